//! Decryption of TLS 1.3 and TLS 1.2 with the secrets of the session (RFC 8446, RFC 5246), as an onlooker does it.
//!
//! One [`Decryptor`] per connection is told the hellos that [`Observer`](super::Observer) reads and is fed the same
//! bytes. It finds the records, tries the keys, follows the change from one key to the next and gives the application
//! data to a [`Plaintext`]. A record that is whole in a piece is decrypted from where it lies; others are joined first.
//!
//! Keys may come late, while the first records of the session pass by ([`Limits::blind_records`]), and one direction
//! alone can be read where the client hello was seen. Named gaps, each an [`Undecrypted`]: suites that are not
//! AES-GCM or ChaCha20-Poly1305 (CBC, CCM), TLS 1.1 and below, renegotiation, what follows a hole other than inside
//! of one record, and sessions whose client hello was not seen, since key logs go by its random value, or was itself
//! encrypted (RFC 9849).

mod cipher;
mod fuzz;
mod lane;
mod messages;
mod open;
mod shared;
#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use fuzz::fuzz_tls_decrypt;

use super::keys::Keys;
use super::record::MAX_RECORD;
use super::{ClientHello, ServerHello, Want};
use crate::coding::Budget;
use lane::Lane;
use net::Direction;
use shared::Shared;
use std::fmt;

/// What decryption may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many encrypted records of a direction may pass while its keys are not known, before it is given up.
    pub blind_records: u32,
    /// How often keys are tried on records of a direction whose place is not known.
    pub tries: u32,
    /// Most bytes of early data (RFC 8446 §2.3) held until the server accepts or rejects them; what is over is lost.
    pub early_bytes: usize,
    /// The account that records under way and early data are charged to; share it among the flows of a worker.
    pub held: Budget,
}

impl Limits {
    /// Default of [`Limits::held`], in bytes: more than two hundred of the largest records.
    pub const HELD_BYTES: u64 = 4 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self { blind_records: 16, tries: 256, early_bytes: 64 << 10, held: Budget::new(Self::HELD_BYTES) }
    }
}

/// Why ciphertext was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Undecrypted {
    /// No secret of the session, or of this direction of it, is known.
    NoKeys,
    /// The client hello was not seen; key logs go by its random value.
    NoHello,
    /// The server hello was not seen, and what it says is needed.
    NoServerHello,
    /// TLS 1.1 or below.
    OldVersion,
    /// A suite of TLS 1.2 with CBC, or without any AEAD.
    CbcSuite,
    /// A suite with AES-CCM.
    CcmSuite,
    /// Another suite.
    OtherSuite,
    /// The keys changed by a second handshake inside of the first (RFC 5746).
    Renegotiation,
    /// The keys do not fit: they are of something else, or records were changed or lost.
    BadTag,
    /// What came out cannot be: no content type, messages that go on where keys change, data behind the end of the
    /// direction. Only the last one is stepped over.
    BadContent,
    /// Bytes are missing.
    Gap,
    /// No TLS record where one should begin.
    Broken,
    /// [`Limits::held`] is met.
    Memory,
    /// Early data that the server rejected, or of which it is not known, or beyond [`Limits::early_bytes`].
    EarlyData,
}

impl Undecrypted {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 14] = [
        Self::NoKeys,
        Self::NoHello,
        Self::NoServerHello,
        Self::OldVersion,
        Self::CbcSuite,
        Self::CcmSuite,
        Self::OtherSuite,
        Self::Renegotiation,
        Self::BadTag,
        Self::BadContent,
        Self::Gap,
        Self::Broken,
        Self::Memory,
        Self::EarlyData,
    ];

    /// Stable word for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoKeys => "no_keys",
            Self::NoHello => "no_hello",
            Self::NoServerHello => "no_server_hello",
            Self::OldVersion => "old_version",
            Self::CbcSuite => "cbc_suite",
            Self::CcmSuite => "ccm_suite",
            Self::OtherSuite => "other_suite",
            Self::Renegotiation => "renegotiation",
            Self::BadTag => "bad_tag",
            Self::BadContent => "bad_content",
            Self::Gap => "gap",
            Self::Broken => "broken",
            Self::Memory => "memory",
            Self::EarlyData => "early_data",
        }
    }
}

/// Totals over connections; plain integers that the owner adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections of TLS 1.3 of which at least one record was decrypted.
    pub tls13_sessions: u64,
    /// The same of TLS 1.2.
    pub tls12_sessions: u64,
    /// Connections that ended with records unread for want of keys, and none decrypted.
    pub keyless_sessions: u64,
    /// Records decrypted.
    pub records: u64,
    /// Bytes of application data handed over.
    pub plaintext_bytes: u64,
    /// Key updates followed.
    pub key_updates: u64,
    /// Connections whose early data were accepted, and handed over.
    pub early_accepted: u64,
    /// Bytes of records that passed unread while the decryptor read on, by [`Undecrypted`].
    lost: [u64; Undecrypted::ALL.len()],
    /// Directions given up, by [`Undecrypted`].
    failed: [u64; Undecrypted::ALL.len()],
}

impl Stats {
    /// Bytes of records that passed unread for this reason; not those that [`Want::Nothing`] gave back.
    pub fn lost(&self, why: Undecrypted) -> u64 {
        self.lost.get(why as usize).copied().unwrap_or_default()
    }

    /// Directions given up for this reason.
    pub fn failed(&self, why: Undecrypted) -> u64 {
        self.failed.get(why as usize).copied().unwrap_or_default()
    }

    /// Adds the counts of another worker or period.
    pub fn add(&mut self, other: &Self) {
        self.tls13_sessions += other.tls13_sessions;
        self.tls12_sessions += other.tls12_sessions;
        self.keyless_sessions += other.keyless_sessions;
        self.records += other.records;
        self.plaintext_bytes += other.plaintext_bytes;
        self.key_updates += other.key_updates;
        self.early_accepted += other.early_accepted;
        for (mine, more) in self.lost.iter_mut().zip(other.lost) {
            *mine += more;
        }
        for (mine, more) in self.failed.iter_mut().zip(other.failed) {
            *mine += more;
        }
    }

    fn lose(&mut self, why: Undecrypted, bytes: u64) {
        if let Some(n) = self.lost.get_mut(why as usize) {
            *n += bytes;
        }
    }

    fn fail(&mut self, why: Undecrypted) {
        if let Some(n) = self.failed.get_mut(why as usize) {
            *n += 1;
        }
    }
}

/// Buffers of one worker, used by all its flows in turn.
#[derive(Default)]
pub struct Scratch {
    /// Where plaintext comes to lie.
    out: Vec<u8>,
    /// Buffers for records under way, not in use.
    free: Vec<Vec<u8>>,
}

impl Scratch {
    /// Buffers kept for use again, of at most some 18 KiB each.
    const MAX_FREE: usize = 16;

    /// The buffer for plaintext, to be given back by writing it to `out`.
    fn take_out(&mut self) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.out);
        out.resize(usize::from(MAX_RECORD), 0);
        out
    }

    /// An empty buffer.
    fn take(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_default()
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        if self.free.len() < Self::MAX_FREE {
            buffer.clear();
            self.free.push(buffer);
        }
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("free", &self.free.len()).finish_non_exhaustive()
    }
}

/// What a decryptor needs beside its state.
pub struct Context<'c> {
    /// Limits.
    pub limits: &'c Limits,
    /// Counters.
    pub stats: &'c mut Stats,
    /// Buffers.
    pub scratch: &'c mut Scratch,
    /// Where secrets come from.
    pub keys: &'c dyn Keys,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Where plaintext goes. `dir` is the direction it was fed as.
pub trait Plaintext {
    /// The next application data. May also be called for the client while the server is fed: early data are held until
    /// the server accepts them.
    fn data(&mut self, dir: Direction, bytes: &[u8]);
    /// Application data may be missing here: records of so many bytes passed unread.
    fn lost(&mut self, dir: Direction, bytes: u64);
    /// The application protocol that the server chose, in TLS 1.3. In TLS 1.2 the server hello says it.
    fn alpn(&mut self, name: &[u8]);
    /// The direction said that it sends no more (RFC 8446 §6.1). Once; no data follow.
    fn closed(&mut self, dir: Direction);
    /// The direction is given up. At most once for each.
    fn failed(&mut self, dir: Direction, why: Undecrypted);
}

/// The decryptor of one connection. How its bytes are cut into pieces changes nothing.
///
/// Tell it the hellos that stand in a piece before feeding it the piece.
#[derive(Debug, Default)]
pub struct Decryptor {
    shared: Shared,
    lanes: [Lane; 2],
}

impl Decryptor {
    /// A connection of which nothing was seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client hello was read in direction `dir`.
    pub fn client_hello(&mut self, dir: Direction, hello: &ClientHello) {
        self.shared.client_hello(dir, hello);
    }

    /// A server hello or hello retry request was read in direction `dir`.
    pub fn server_hello(&mut self, dir: Direction, hello: &ServerHello) {
        self.shared.server_hello(dir, hello);
    }

    /// The next bytes of `dir`, from the first record of the connection on. [`Want::Nothing`] says that the direction
    /// is given up, and how many bytes at the end of the piece were not taken.
    pub fn feed(&mut self, cx: &mut Context<'_>, dir: Direction, bytes: &[u8], sink: &mut impl Plaintext) -> Want {
        let Some(lane) = self.lanes.get_mut(dir.index()) else { return Want::Nothing(bytes.len()) };
        if lane.has_ended() {
            return Want::Nothing(bytes.len());
        }
        let mut inner = lane::Context { outer: &mut *cx, shared: &mut self.shared, dir, sink };
        let Err((why, unread)) = lane.feed(&mut inner, bytes) else { return Want::More };
        lane.fail(&mut inner, why);
        self.count_keyless(cx.stats);
        Want::Nothing(unread)
    }

    /// `n` bytes of `dir` will never be seen. Where they lie within one record, only that record is lost; otherwise the
    /// number of records is, and with it everything that follows.
    pub fn gap(&mut self, cx: &mut Context<'_>, dir: Direction, n: u64, sink: &mut impl Plaintext) -> Want {
        let Some(lane) = self.lanes.get_mut(dir.index()) else { return Want::Nothing(0) };
        if lane.has_ended() {
            return Want::Nothing(0);
        }
        let mut inner = lane::Context { outer: &mut *cx, shared: &mut self.shared, dir, sink };
        let Err(why) = lane.gap(&mut inner, n) else { return Want::More };
        lane.fail(&mut inner, why);
        self.count_keyless(cx.stats);
        Want::Nothing(0)
    }

    /// `dir` ended, or is forgotten. What was held of it is freed.
    pub fn finish(&mut self, cx: &mut Context<'_>, dir: Direction) {
        if let Some(lane) = self.lanes.get_mut(dir.index()) {
            lane.finish(cx);
            if self.shared.client == Some(dir) {
                self.shared.drop_early(cx.stats);
            }
        }
        self.count_keyless(cx.stats);
    }

    fn count_keyless(&mut self, stats: &mut Stats) {
        if self.is_over() && self.lanes.iter().any(Lane::is_keyless) {
            self.shared.keyless(stats);
        }
    }

    /// Whether both directions have come to their end or were given up.
    pub fn is_over(&self) -> bool {
        self.lanes.iter().all(Lane::has_ended)
    }

    /// Whether a record of `dir` was decrypted.
    pub fn is_open(&self, dir: Direction) -> bool {
        self.lanes.get(dir.index()).is_some_and(Lane::is_open)
    }

    /// Why `dir` was given up.
    pub fn why(&self, dir: Direction) -> Option<Undecrypted> {
        self.lanes.get(dir.index()).and_then(Lane::why)
    }

    /// Bytes held on the heap, about: records under way, early data, keys in use.
    pub fn held(&self) -> usize {
        self.shared.held() + self.lanes.iter().map(Lane::held).sum::<usize>()
    }
}
