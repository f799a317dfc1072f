//! Static and dynamic table (RFC 7541 §2.3).

use std::collections::VecDeque;

/// What a field costs beyond its text, in bytes (§4.1; also RFC 9113 §6.5.2).
pub(crate) const OVERHEAD: usize = 32;

/// Appendix A, from index 1 on.
pub(super) static STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// A field as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known<'t> {
    pub(crate) name: Option<&'t [u8]>,
    pub(crate) value: Option<&'t [u8]>,
}

impl Known<'_> {
    /// What it counts in the table; unknown text counts nothing.
    pub(super) fn size(self) -> usize {
        OVERHEAD + self.name.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len)
    }
}

/// The newest entries of a dynamic table.
///
/// Entries are addressed from the newest, so how many old ones are missing here does not matter to those that are
/// present: a sender never refers to one that it evicted.
#[derive(Debug)]
pub(super) struct Dynamic {
    /// The text of all entries, oldest first, with that of evicted ones before it.
    text: Vec<u8>,
    /// Where the text of the oldest entry begins.
    start: usize,
    /// How much text was dropped before `text`, so that entries need not be changed for it.
    dropped: usize,
    /// Oldest first.
    entries: VecDeque<Entry>,
    /// By §4.1.
    size: usize,
    /// Most of `size`.
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// From the beginning of all text.
    at: usize,
    name: Option<u32>,
    value: Option<u32>,
}

impl Entry {
    fn lens(self) -> (usize, usize) {
        (length(self.name), length(self.value))
    }
}

fn length(len: Option<u32>) -> usize {
    len.map_or(0, |len| usize::try_from(len).unwrap_or(usize::MAX))
}

impl Dynamic {
    pub(super) fn new(limit: usize) -> Self {
        Self { text: Vec::new(), start: 0, dropped: 0, entries: VecDeque::new(), size: 0, limit }
    }

    /// The entry that came `back` entries before the newest.
    pub(super) fn get(&self, back: usize) -> Option<Known<'_>> {
        let entry = self.entries.get(self.entries.len().checked_sub(back)?.checked_sub(1)?)?;
        let (name, value) = entry.lens();
        let text = self.text.get(entry.at.checked_sub(self.dropped)?..)?;
        let (name, rest) = text.split_at_checked(name)?;
        Some(Known { name: entry.name.map(|_| name), value: entry.value.and_then(|_| rest.get(..value)) })
    }

    /// Adds an entry, and evicts as many old ones as that takes. One over the limit leaves the table empty (§4.4).
    pub(super) fn insert(&mut self, field: Known<'_>) {
        let size = field.size();
        self.evict(self.limit.saturating_sub(size));
        if size > self.limit {
            return;
        }
        let at = self.dropped + self.text.len();
        let len = |text: Option<&[u8]>| text.and_then(|text| u32::try_from(text.len()).ok());
        for text in [field.name, field.value].into_iter().flatten() {
            self.text.extend_from_slice(text);
        }
        self.entries.push_back(Entry { at, name: len(field.name), value: len(field.value) });
        self.size += size;
    }

    /// Changes the limit, which may evict (§4.3).
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.evict(limit);
    }

    /// Forgets everything, and the memory with it.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }

    fn evict(&mut self, size: usize) {
        while self.size > size
            && let Some(entry) = self.entries.pop_front()
        {
            let (name, value) = entry.lens();
            self.size = self.size.saturating_sub(OVERHEAD + name + value);
            self.start += name + value;
        }
        // Moves at most as many bytes as were added since the last time.
        if self.start * 2 >= self.text.len() && self.start > 0 {
            self.text.drain(..self.start.min(self.text.len()));
            self.dropped += self.start;
            self.start = 0;
        }
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Size by §4.1.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
