//! Keys of TLS sessions for all workers: of a key log file, which may grow, and of secrets blocks in captures.
//!
//! Output must not depend on the number of threads. What a capture brings counts from its place between the packets
//! on, whenever it was read. A key log is read to its end before the first packet; what is added to it later counts
//! from when it is seen, which no replay of files that stand still can meet.

use capture::Secrets;
use proto::Opener;
use proto::coding::Budget;
use proto::tls::decrypt;
use proto::tls::keys::{KeyLog, KeyStore, Keys, LogStats, MAX_SESSIONS, SessionKeys};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How often a key log is looked at for news, at most.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes of a key log read at a time.
const PIECE_BYTES: usize = 64 << 10;
/// What a session takes in a store, in bytes: its secrets, and its places in the table and in the order.
const SESSION_BYTES: usize = 640;

/// All keys of a run.
#[derive(Debug, Default)]
pub struct KeyRing {
    log: Option<LogFile>,
    blocks: RwLock<Blocks>,
    /// Blocks may come, or have come.
    expected: AtomicBool,
}

/// What secrets blocks brought.
#[derive(Debug, Default)]
struct Blocks {
    store: KeyStore,
    stats: LogStats,
    other_kinds: u64,
}

#[derive(Debug)]
struct LogFile {
    store: RwLock<KeyStore>,
    tail: Mutex<Tail>,
}

/// The end of a key log as far as it was read.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    log: KeyLog,
    /// Bytes of it that were read. `None` where it is no regular file: that is read once.
    read: Option<u64>,
    /// Device and number of the file.
    identity: (u64, u64),
    looked: Instant,
    /// Lines of files that were replaced.
    before: LogStats,
}

/// What is known of the keys of a run, and what was left out. Plain integers, no secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyStats {
    /// Sessions of which a secret is known; those of both sources count twice.
    pub sessions: u64,
    /// Lines of key logs, in files and in captures.
    pub lines: LogStats,
    /// Sessions given up to make room for newer ones.
    pub evicted: u64,
    /// Secrets that differ from the one known before, and were left out.
    pub conflicts: u64,
    /// Secrets blocks that are not of TLS.
    pub other_kinds: u64,
}

impl KeyRing {
    /// Reads a key log to its end, where there is one.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn open(log: Option<&Path>) -> io::Result<Self> {
        let log = log.map(LogFile::open).transpose()?;
        Ok(Self { log, ..Self::default() })
    }

    /// Captures are read that may bring secrets.
    pub fn expect_blocks(&self) {
        self.expected.store(true, Ordering::Relaxed);
    }

    /// Adds what a capture brought.
    pub fn add(&self, secrets: &Secrets) {
        let mut blocks = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
        let blocks = &mut *blocks;
        if secrets.kind != Secrets::TLS_KEY_LOG {
            blocks.other_kinds += 1;
            return;
        }
        let mut log = KeyLog::new();
        log.feed(&secrets.bytes, secrets.since, &mut blocks.store);
        log.finish(secrets.since, &mut blocks.store);
        blocks.stats.add(log.stats());
    }

    /// What is known by now.
    pub fn stats(&self) -> KeyStats {
        let blocks = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
        let mut stats = KeyStats { lines: blocks.stats, other_kinds: blocks.other_kinds, ..KeyStats::default() };
        stats.store(&blocks.store);
        if let Some(log) = &self.log {
            stats.store(&log.store.read().unwrap_or_else(PoisonError::into_inner));
            let tail = log.tail();
            stats.lines.add(tail.log.stats());
            stats.lines.add(&tail.before);
        }
        stats
    }

    /// What it may hold, in bytes: a store for the key log, where there is one; a store and the blocks themselves, where
    /// blocks are expected.
    pub fn memory_bytes(&self) -> u64 {
        let store = MAX_SESSIONS * SESSION_BYTES;
        let log = if self.log.is_some() { store } else { 0 };
        let blocks = if self.expected.load(Ordering::Relaxed) { store + capture::MAX_SECRETS_BYTES } else { 0 };
        (log + blocks) as u64
    }

    /// A view for one shard.
    pub(crate) fn view(self: &Arc<Self>) -> KeyView {
        KeyView { ring: Arc::clone(self), now: Arc::default(), held_bytes: decrypt::Limits::HELD_BYTES }
    }
}

impl KeyStats {
    fn store(&mut self, store: &KeyStore) {
        self.sessions += store.len() as u64;
        self.evicted += store.evicted();
        self.conflicts += store.conflicts();
    }
}

/// The keys as one shard may see them. A clone is the same view.
#[derive(Clone, Debug)]
pub(crate) struct KeyView {
    ring: Arc<KeyRing>,
    /// The number of the packet that is looked at.
    now: Arc<AtomicU64>,
    /// Most bytes of records under way.
    held_bytes: u64,
}

impl KeyView {
    /// The shard comes to this packet.
    pub(crate) fn set_packet(&self, number: u64) {
        self.now.store(number, Ordering::Relaxed);
    }

    /// The same, where records under way may take so many bytes.
    pub(crate) fn holding(self, held_bytes: u64) -> Self {
        Self { held_bytes, ..self }
    }

    /// What opens TLS with these keys, where there are any or some may come.
    pub(crate) fn opener(&self) -> Option<Box<Opener>> {
        self.any().then(|| {
            Box::new(Opener {
                // An account of its own: what another shard does must not show here.
                limits: decrypt::Limits { held: Budget::new(self.held_bytes), ..decrypt::Limits::default() },
                stats: decrypt::Stats::default(),
                scratch: decrypt::Scratch::default(),
                keys: Box::new(self.clone()),
            })
        })
    }
}

impl Keys for KeyView {
    fn any(&self) -> bool {
        self.ring.log.is_some() || self.ring.expected.load(Ordering::Relaxed)
    }

    fn fill(&self, client_random: &[u8; 32], into: &mut SessionKeys) {
        let now = self.now.load(Ordering::Relaxed);
        let blocks = self.ring.blocks.read().unwrap_or_else(PoisonError::into_inner);
        // A packet may use what stands before it.
        blocks.store.fill(client_random, now.saturating_sub(1), into);
        drop(blocks);
        if let Some(log) = &self.ring.log {
            log.fill(client_random, into);
        }
    }
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        let mut store = KeyStore::default();
        let mut tail = Tail {
            path: path.to_owned(),
            log: KeyLog::new(),
            read: meta.is_file().then_some(0),
            identity: (meta.dev(), meta.ino()),
            looked: clock(),
            before: LogStats::default(),
        };
        tail.read_on(file, &mut store)?;
        tail.log.glance(0, &mut store);
        Ok(Self { store: RwLock::new(store), tail: Mutex::new(tail) })
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, client_random: &[u8; 32], into: &mut SessionKeys) {
        let before = into.len();
        let fill = |into: &mut SessionKeys| {
            let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
            store.fill(client_random, u64::MAX, into);
        };
        fill(into);
        if into.len() == before && self.look() {
            fill(into);
        }
    }

    /// Reads what was added to the file, unless that was done just now. Says whether there may be news.
    fn look(&self) -> bool {
        let mut tail = self.tail();
        if tail.read.is_none() || tail.looked.elapsed() < PAUSE {
            return false;
        }
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be read now may be read again later; what is known stays.
        let news = tail.look(&mut store).unwrap_or(false);
        tail.looked = clock();
        news
    }
}

/// What a file that others write to was looked at by.
#[expect(clippy::disallowed_methods, reason = "when a file is looked at again is no matter of packet time")]
fn clock() -> Instant {
    Instant::now()
}

impl Tail {
    /// # Errors
    ///
    /// The file cannot be read; nothing of what came before is lost.
    fn look(&mut self, store: &mut KeyStore) -> io::Result<bool> {
        let mut file = File::open(&self.path)?;
        let meta = file.metadata()?;
        let identity = (meta.dev(), meta.ino());
        let at = self.read.unwrap_or(0);
        if identity != self.identity || meta.len() < at {
            // Another file, or the same begun anew.
            self.before.add(self.log.stats());
            (self.log, self.identity, self.read) = (KeyLog::new(), identity, Some(0));
        } else if meta.len() == at {
            self.log.glance(0, store);
            return Ok(true);
        }
        file.seek(SeekFrom::Start(self.read.unwrap_or(0)))?;
        self.read_on(file, store)?;
        Ok(true)
    }

    fn read_on(&mut self, mut file: File, store: &mut KeyStore) -> io::Result<()> {
        let mut piece = Zeroizing::new(vec![0; PIECE_BYTES]);
        loop {
            let n = match file.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            self.log.feed(piece.get(..n).unwrap_or_default(), 0, store);
            self.read = self.read.map(|read| read + n as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn line(byte: u8) -> String {
        let hex = |len: usize| format!("{byte:02x}").repeat(len);
        format!("CLIENT_TRAFFIC_SECRET_0 {} {}\n", hex(32), hex(32))
    }

    fn knows(keys: &impl Keys, byte: u8) -> bool {
        let mut session = SessionKeys::default();
        keys.fill(&[byte; 32], &mut session);
        !session.is_empty()
    }

    /// Makes the next look at the file a true one.
    fn later(ring: &KeyRing) {
        ring.log.as_ref().unwrap().tail().looked -= PAUSE;
    }

    fn secrets(since: u64, text: &str) -> Secrets {
        Secrets { kind: Secrets::TLS_KEY_LOG, file: 0, since, bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn a_key_log_that_grows_is_read_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        std::fs::write(&path, line(1)).unwrap();
        let ring = Arc::new(KeyRing::open(Some(&path)).unwrap());
        let view = ring.view();
        assert!(view.any() && knows(&view, 1) && !knows(&view, 2));
        let mut file = File::options().append(true).open(&path).unwrap();
        let second = line(2);
        let (head, rest) = second.split_at(100);
        file.write_all(head.as_bytes()).unwrap();
        assert!(!knows(&view, 2), "looked too soon");
        later(&ring);
        assert!(!knows(&view, 2), "half a line");
        file.write_all(rest.as_bytes()).unwrap();
        later(&ring);
        assert!(knows(&view, 2));
        // A last line without its end.
        file.write_all(line(3).trim_end().as_bytes()).unwrap();
        later(&ring);
        assert!(!knows(&view, 3));
        later(&ring);
        assert!(knows(&view, 3));
        // Replaced by a shorter file: what was known stays.
        std::fs::write(&path, line(4)).unwrap();
        later(&ring);
        assert!(!knows(&view, 9));
        assert!((1..=4).all(|byte| knows(&view, byte)));
        assert_eq!((ring.stats().sessions, ring.stats().lines.bad), (4, 0));
    }

    #[test]
    fn a_last_line_without_its_end_counts_at_once_where_the_file_stands_still() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        std::fs::write(&path, [line(1), line(2)].concat().trim_end()).unwrap();
        let ring = Arc::new(KeyRing::open(Some(&path)).unwrap());
        assert!(knows(&ring.view(), 1) && knows(&ring.view(), 2));
    }

    #[test]
    fn a_key_log_that_is_not_there_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert!(KeyRing::open(Some(&dir.path().join("none"))).is_err());
        assert!(KeyRing::open(Some(dir.path())).is_err());
        let ring = Arc::new(KeyRing::open(None).unwrap());
        assert!(!ring.view().any());
        assert_eq!(ring.memory_bytes(), 0);
        ring.expect_blocks();
        assert!(ring.view().any());
        assert!(ring.memory_bytes() > capture::MAX_SECRETS_BYTES as u64);
    }

    #[test]
    fn blocks_count_for_the_packets_behind_them() {
        let ring = Arc::new(KeyRing::default());
        ring.add(&secrets(0, &line(1)));
        ring.add(&secrets(10, line(2).trim_end()));
        ring.add(&Secrets { kind: 0x5747_4b4c, file: 0, since: 0, bytes: b"wireguard".to_vec() });
        let view = ring.view();
        for (packet, want) in [(1, [true, false]), (10, [true, false]), (11, [true, true]), (u64::MAX, [true, true])] {
            view.set_packet(packet);
            assert_eq!([1, 2].map(|byte| knows(&view, byte)), want, "packet {packet}");
        }
        assert_eq!((ring.stats().sessions, ring.stats().lines.secrets, ring.stats().other_kinds), (2, 2, 1));
    }

    #[test]
    fn nothing_of_a_secret_is_printed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        std::fs::write(&path, [line(0xab), line(0xcd)].concat().trim_end()).unwrap();
        let ring = Arc::new(KeyRing::open(Some(&path)).unwrap());
        ring.add(&secrets(0, &line(0xef)));
        let printed = format!("{ring:?}{:?}{:?}", ring.view(), ring.stats());
        for word in ["abab", "cdcd", "efef", "171, 171", "205, 205", "239, 239"] {
            assert!(!printed.contains(word), "{printed}");
        }
    }
}
