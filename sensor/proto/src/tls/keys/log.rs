//! Key logs in the format of NSS (RFC 9850), which pcapng carries too.

use super::{KeyStore, Label, Secret};
use zeroize::Zeroizing;

/// Longest line, in bytes; longer ones are left out and counted. The longest that is of use has some 200.
pub const MAX_LINE: usize = 1024;

/// What the lines were; plain integers. Comments and empty lines are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Secrets taken.
    pub secrets: u64,
    /// Well-formed lines of no use here, such as exporter secrets.
    pub other: u64,
    /// Lines that would need RSA-encrypted or plain pre-master secrets, which is not done.
    pub premaster: u64,
    /// Lines that cannot be read, also for their length.
    pub bad: u64,
}

impl LogStats {
    /// Adds the counts of another log.
    pub const fn add(&mut self, other: &Self) {
        self.secrets += other.secrets;
        self.other += other.other;
        self.premaster += other.premaster;
        self.bad += other.bad;
    }
}

/// Reads a key log as it grows. How it is cut into pieces changes nothing.
pub struct KeyLog {
    /// The beginning of the last line. INVARIANT: within its first allocation, so that no copy is left behind.
    carry: Zeroizing<Vec<u8>>,
    /// The line under way is too long.
    skip: bool,
    stats: LogStats,
}

impl Default for KeyLog {
    fn default() -> Self {
        Self { carry: Zeroizing::new(Vec::with_capacity(MAX_LINE)), skip: false, stats: LogStats::default() }
    }
}

impl std::fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyLog").field("carry", &self.carry.len()).field("stats", &self.stats).finish_non_exhaustive()
    }
}

impl KeyLog {
    /// Before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// The lines so far.
    pub const fn stats(&self) -> &LogStats {
        &self.stats
    }

    /// The next bytes, known after packet `since` (0: from the beginning). A last line without its end waits.
    pub fn feed(&mut self, bytes: &[u8], since: u64, store: &mut KeyStore) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            rest = after.get(1..).unwrap_or_default();
            if self.skip {
                self.skip = false;
            } else if self.carry.is_empty() && line.len() <= MAX_LINE {
                count(&mut self.stats, take(line, since, false, store));
            } else if self.hold(line) {
                self.end_line(since, store);
            }
            self.skip = false;
        }
        if !self.skip {
            self.hold(rest);
        }
    }

    /// Reads a line whose end has not come, for now: a writer may leave out the last line break. Should more of it
    /// come, that counts.
    pub fn glance(&self, since: u64, store: &mut KeyStore) {
        take(&self.carry, since, true, store);
    }

    /// There is no more: the last line is whole.
    pub fn finish(&mut self, since: u64, store: &mut KeyStore) {
        self.skip = false;
        self.end_line(since, store);
    }

    /// Keeps the beginning of a line; `false` where it becomes too long.
    fn hold(&mut self, part: &[u8]) -> bool {
        if self.carry.len() + part.len() > MAX_LINE {
            self.carry.clear();
            self.skip = true;
            self.stats.bad += 1;
            return false;
        }
        self.carry.extend_from_slice(part);
        true
    }

    fn end_line(&mut self, since: u64, store: &mut KeyStore) {
        count(&mut self.stats, take(&self.carry, since, false, store));
        // Every use overwrites from the front; the rest is wiped with the whole.
        self.carry.clear();
    }
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Empty, or a comment.
    Nothing,
    Secret,
    Other,
    Premaster,
    Bad,
}

fn count(stats: &mut LogStats, line: Line) {
    match line {
        Line::Nothing => {}
        Line::Secret => stats.secrets += 1,
        Line::Other => stats.other += 1,
        Line::Premaster => stats.premaster += 1,
        Line::Bad => stats.bad += 1,
    }
}

/// Reads one line and keeps its secret.
fn take(line: &[u8], since: u64, provisional: bool, store: &mut KeyStore) -> Line {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return Line::Nothing;
    }
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let name = words.next().unwrap_or_default();
    let label = match name {
        b"CLIENT_RANDOM" => Label::Master,
        b"CLIENT_EARLY_TRAFFIC_SECRET" => Label::ClientEarly,
        b"CLIENT_HANDSHAKE_TRAFFIC_SECRET" => Label::ClientHandshake,
        b"SERVER_HANDSHAKE_TRAFFIC_SECRET" => Label::ServerHandshake,
        b"CLIENT_TRAFFIC_SECRET_0" => Label::ClientTraffic,
        b"SERVER_TRAFFIC_SECRET_0" => Label::ServerTraffic,
        b"RSA" | b"PMS_CLIENT_RANDOM" => return Line::Premaster,
        _ => {
            let is_name = name.iter().all(|c| matches!(c, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
            let values = words.by_ref().take(2).filter(|word| word.iter().all(u8::is_ascii_hexdigit)).count();
            return if is_name && values == 2 && words.next().is_none() { Line::Other } else { Line::Bad };
        }
    };
    let (Some(random), Some(hex), None) = (words.next(), words.next(), words.next()) else { return Line::Bad };
    let mut client_random = [0; 32];
    let fits = if label == Label::Master { hex.len() == 96 } else { matches!(hex.len(), 64 | 96) };
    let mut secret = Secret::zero(hex.len() / 2);
    if !fits || !unhex(random, &mut client_random) || !unhex(hex, secret.bytes_mut()) {
        return Line::Bad;
    }
    store.insert(&client_random, label, secret, since, provisional);
    Line::Secret
}

/// Writes the bytes that `hex` means; `false` where they are not exactly those of `to`, or it is no hex.
fn unhex(hex: &[u8], to: &mut [u8]) -> bool {
    let (pairs, rest) = hex.as_chunks::<2>();
    let fits = rest.is_empty() && pairs.len() == to.len();
    fits && pairs.iter().zip(to).all(|(&[high, low], byte)| match (digit(high), digit(low)) {
        (Some(high), Some(low)) => {
            *byte = high << 4 | low;
            true
        }
        _ => false,
    })
}

const fn digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        b'A'..=b'F' => Some(c - b'A' + 10),
        _ => None,
    }
}

/// A key log whole, and cut at the place the first byte says and everywhere.
#[doc(hidden)]
pub fn fuzz_keylog(data: &[u8]) {
    let Some((&cut, text)) = data.split_first() else { return };
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut log, mut store) = (KeyLog::new(), KeyStore::new(8));
        for piece in pieces {
            log.feed(piece, 0, &mut store);
            assert!(log.carry.capacity() == MAX_LINE, "grew");
        }
        log.finish(0, &mut store);
        (*log.stats(), store.len(), store.evicted(), store.conflicts())
    };
    let whole = read(&mut std::iter::once(text));
    let (head, tail) = text.split_at(usize::from(cut).min(text.len()));
    assert_eq!(whole, read(&mut [head, tail].into_iter()), "cut at {cut}");
    assert_eq!(whole, read(&mut text.chunks(1)), "byte by byte");
    assert!(whole.1 <= 8, "over its limit");
}
