//! What a client sent last, until the server acknowledges it, so that other bytes under the same numbers show.
//!
//! Delivered bytes are gone, and of two copies the first counts. But the first may be a decoy that dies on its way to
//! the server (a low TTL, say), and only the second is read there. Nobody can tell from outside; it must not pass in
//! silence. Only what clients send is kept, since a request is what a sender would hide; it costs one short copy.

/// Most bytes kept for one flow: the last ones.
const KEPT: usize = 2048;
/// Most flows of one table for which bytes are kept at a time.
const FLOWS: usize = 128;

/// What the copies of one table take at most, in bytes.
pub(super) const BYTES: usize = FLOWS * (KEPT + 64);

/// Buffers that are free, and how many are in use. At most [`FLOWS`] times [`KEPT`] bytes together.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    #[expect(clippy::vec_box, reason = "a flow takes one from here as it is")]
    free: Vec<Box<Recent>>,
    lent: usize,
}

/// The last bytes of one client.
#[derive(Debug)]
pub(super) struct Recent {
    bytes: Vec<u8>,
    /// Sequence number behind the last of them.
    end: u32,
}

impl Shelf {
    /// An empty buffer; `None` while too many are in use.
    pub(super) fn lend(&mut self) -> Option<Box<Recent>> {
        if self.lent >= FLOWS {
            return None;
        }
        self.lent += 1;
        let new = || Box::new(Recent { bytes: Vec::with_capacity(KEPT), end: 0 });
        Some(self.free.pop().unwrap_or_else(new))
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&mut self, mut recent: Box<Recent>) {
        self.lent = self.lent.saturating_sub(1);
        recent.bytes.clear();
        recent.end = 0;
        self.free.push(recent);
    }
}

impl Recent {
    /// Keeps `bytes`, which begin at `seq`.
    pub(super) fn add(&mut self, seq: u32, bytes: &[u8]) {
        if seq != self.end {
            self.bytes.clear();
        }
        let len = u32::try_from(bytes.len()).unwrap_or_default();
        self.end = seq.wrapping_add(len);
        let last = bytes.get(bytes.len().saturating_sub(KEPT)..).unwrap_or_default();
        let over = (self.bytes.len() + last.len()).saturating_sub(KEPT);
        self.bytes.drain(..over.min(self.bytes.len()));
        self.bytes.extend_from_slice(last);
    }

    /// Whether `bytes`, which begin at `seq`, differ from those kept under the same numbers.
    pub(super) fn differs(&self, seq: u32, bytes: &[u8]) -> bool {
        let len = u32::try_from(self.bytes.len()).unwrap_or_default();
        let ahead = seq.wrapping_sub(self.end.wrapping_sub(len)).cast_signed();
        let skip = usize::try_from(ahead.unsigned_abs()).unwrap_or(usize::MAX);
        let (kept, other) =
            if ahead >= 0 { (self.bytes.get(skip..), Some(bytes)) } else { (Some(&*self.bytes), bytes.get(skip..)) };
        kept.unwrap_or_default().iter().zip(other.unwrap_or_default()).any(|(a, b)| a != b)
    }

    /// Whether an acknowledgement of everything before `ack` covers all that is kept.
    pub(super) fn is_acknowledged(&self, ack: u32) -> bool {
        ack.wrapping_sub(self.end).cast_signed() >= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_under_the_same_numbers_show_however_they_are_cut() {
        let start = u32::MAX - 3;
        let mut recent = Shelf::default().lend().unwrap();
        recent.add(start, b"GET ");
        recent.add(start.wrapping_add(4), b"/mcp HTTP");
        for (at, bytes, want) in [
            (0_i32, "GET /mcp HTTP", false),
            (0, "GET /mcp HTTP/1.1", false),
            (4, "/mcp", false),
            (4, "/mcq", true),
            (-3, "...GET", false),
            (-3, "...GEX", true),
            (12, "P/1.1", false),
            (12, "X", true),
            (13, "X", false),
            (90, "X", false),
            (-9, "X", false),
        ] {
            assert_eq!(recent.differs(start.wrapping_add_signed(at), bytes.as_bytes()), want, "{at} {bytes}");
        }
        assert!(recent.is_acknowledged(9) && recent.is_acknowledged(10) && !recent.is_acknowledged(8));
    }

    #[test]
    fn only_so_many_bytes_of_so_many_flows_are_kept() {
        let mut shelf = Shelf::default();
        let mut all: Vec<_> = std::iter::from_fn(|| shelf.lend()).take(1000).collect();
        assert_eq!(all.len(), FLOWS);
        let mut recent = all.pop().unwrap();
        for n in 0..10 {
            recent.add(n * 1500, &[b'x'; 1500]);
            assert!(recent.bytes.len() <= KEPT);
        }
        recent.add(15_000, &[b'y'; 5000]);
        assert!(recent.bytes == [b'y'; KEPT] && recent.bytes.capacity() == KEPT);
        shelf.give_back(recent);
        assert!(shelf.lend().is_some_and(|r| r.bytes.is_empty()) && shelf.lend().is_none());
    }
}
