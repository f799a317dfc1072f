//! One connection, both directions.

use super::lane::{Context, Lane};
use super::{Certificate, ClientHello, ServerHello, SessionId};
use net::Direction;

/// What a connection may cost until its ciphertext begins. Meeting one of the first two ends the direction with
/// [`End::TooLong`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest body of a hello, and longest leaf certificate, in bytes. So much is kept per direction at most, while
    /// such a message is under way.
    pub message_bytes: usize,
    /// Most bytes of a direction, record headers included, in which the handshake must come to its end.
    pub handshake_bytes: u64,
    /// How many bytes may come after the end of one direction while the other goes on, or is not seen at all: then
    /// [`Observer::is_over`].
    pub lone_bytes: u64,
}

/// Longest body of a client hello that its fields can make, in bytes (RFC 8446 §4.1.2): version and random, 32 bytes of
/// session id, 64 KiB of cipher suites, 255 compression methods, 64 KiB of extensions. Some servers take it all.
const MAX_HELLO: usize = 34 + 33 + (2 + 0xfffe) + 256 + (2 + 0xffff);

impl Default for Limits {
    fn default() -> Self {
        Self { message_bytes: MAX_HELLO, handshake_bytes: 512 << 10, lone_bytes: 64 << 10 }
    }
}

/// Why no more of a direction is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// Ciphertext begins.
    Opaque,
    /// The direction does not begin like TLS, or not at its beginning.
    NotTls,
    /// A message, or the whole handshake, is over its limit.
    TooLong,
    /// Bytes are missing.
    Gap,
    /// A hello that contradicts itself.
    BadHello,
    /// What follows a good beginning is no TLS: a record or message that no peer may send.
    Broken,
    /// The direction ended, or was forgotten, before its ciphertext began.
    Finished,
}

impl End {
    /// Every end, in the order of declaration.
    pub const ALL: [Self; 7] =
        [Self::Opaque, Self::NotTls, Self::TooLong, Self::Gap, Self::BadHello, Self::Broken, Self::Finished];

    /// Stable word for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Opaque => "opaque",
            Self::NotTls => "not_tls",
            Self::TooLong => "too_long",
            Self::Gap => "gap",
            Self::BadHello => "bad_hello",
            Self::Broken => "broken",
            Self::Finished => "finished",
        }
    }
}

/// What the observer wants next of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// The bytes that follow.
    More,
    /// Nothing, ever. So many bytes at the end of the piece were not read (a few of them may have been looked at).
    Nothing(usize),
}

/// An alert in the clear (RFC 8446 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alert {
    /// It ends the connection; otherwise a warning.
    pub fatal: bool,
    /// Its number in the IANA TLS Alerts registry.
    pub description: u8,
}

/// Totals over connections; plain integers that the owner adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Client hellos read, second ones included.
    pub client_hellos: u64,
    /// Server hellos read, hello retry requests included.
    pub server_hellos: u64,
    /// Certificates read.
    pub certificates: u64,
    /// Certificates that could not be read.
    pub bad_certificates: u64,
    /// Alerts in the clear.
    pub alerts: u64,
    /// By [`End`], in the order of [`End::ALL`].
    pub(super) ends: [u64; End::ALL.len()],
}

impl Stats {
    /// How many directions ended so.
    pub fn ends(&self, end: End) -> u64 {
        self.ends.get(end as usize).copied().unwrap_or_default()
    }

    /// Adds the counts of another worker or period.
    pub fn add(&mut self, other: &Self) {
        self.client_hellos += other.client_hellos;
        self.server_hellos += other.server_hellos;
        self.certificates += other.certificates;
        self.bad_certificates += other.bad_certificates;
        self.alerts += other.alerts;
        for (mine, more) in self.ends.iter_mut().zip(other.ends) {
            *mine += more;
        }
    }
}

/// Where facts go. `dir` is the direction of the bytes; the side that sends a client hello is the client, whatever the
/// flow table took it for.
pub trait Sink {
    /// A client hello; a second one answers a hello retry request.
    fn client_hello(&mut self, dir: Direction, hello: ClientHello);
    /// A server hello or hello retry request.
    fn server_hello(&mut self, dir: Direction, hello: ServerHello);
    /// The leaf certificate of the server, in TLS 1.2 and below.
    fn certificate(&mut self, dir: Direction, leaf: Certificate);
    /// An alert that is not encrypted.
    fn alert(&mut self, dir: Direction, alert: Alert);
    /// No more of this direction is read. Once per direction, at the latest from [`Observer::finish`].
    fn end(&mut self, dir: Direction, end: End);
}

/// The observer of one connection. How its bytes are cut into pieces and records changes nothing.
///
/// A message that lies in one record and one piece is read in place; others are joined first, within
/// [`Limits::message_bytes`].
#[derive(Debug, Default)]
pub struct Observer {
    lanes: [Lane; 2],
    /// Session id of the last client hello.
    offered: SessionId,
}

impl Observer {
    /// A connection of which nothing was seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next bytes of `dir`.
    pub fn feed(
        &mut self,
        limits: &Limits,
        stats: &mut Stats,
        dir: Direction,
        bytes: &[u8],
        sink: &mut impl Sink,
    ) -> Want {
        let Some(lane) = self.lanes.get_mut(dir.index()) else { return Want::Nothing(bytes.len()) };
        if lane.has_ended() {
            lane.pass(bytes.len());
            return Want::Nothing(bytes.len());
        }
        let room = usize::try_from(limits.handshake_bytes.saturating_sub(lane.taken())).unwrap_or(usize::MAX);
        let (now, over) = bytes.split_at(room.min(bytes.len()));
        let mut cx = Context { limits, stats, sink, dir, offered: &mut self.offered };
        let (end, unread) = match lane.read(&mut cx, now) {
            Ok(()) if over.is_empty() => return Want::More,
            Ok(()) => (End::TooLong, 0),
            Err(ended) => ended,
        };
        cx.end(lane, end);
        Want::Nothing(unread + over.len())
    }

    /// `n` bytes of `dir` will never be seen. What follows is not read: a message may have begun among them.
    pub fn gap(&mut self, stats: &mut Stats, dir: Direction, n: u64, sink: &mut impl Sink) -> Want {
        if n > 0 {
            self.close(stats, dir, End::Gap, sink);
        }
        if self.has_ended(dir) { Want::Nothing(0) } else { Want::More }
    }

    /// `dir` ended, or is forgotten.
    pub fn finish(&mut self, stats: &mut Stats, dir: Direction, sink: &mut impl Sink) {
        self.close(stats, dir, End::Finished, sink);
    }

    /// Whether no more of `dir` is read.
    pub fn has_ended(&self, dir: Direction) -> bool {
        self.lanes.get(dir.index()).is_none_or(Lane::has_ended)
    }

    /// Whether the connection can be bypassed: both directions ended, or one did and the other stays behind by
    /// [`Limits::lone_bytes`].
    pub fn is_over(&self, limits: &Limits) -> bool {
        self.lanes.iter().all(Lane::has_ended) || self.lanes.iter().any(|lane| lane.beyond() >= limits.lone_bytes)
    }

    /// Bytes held on the heap, for messages under way.
    pub fn held(&self) -> usize {
        self.lanes.iter().map(Lane::held).sum()
    }

    fn close(&mut self, stats: &mut Stats, dir: Direction, end: End, sink: &mut impl Sink) {
        if let Some(lane) = self.lanes.get_mut(dir.index()).filter(|lane| !lane.has_ended()) {
            let limits = &Limits::default();
            Context { limits, stats, sink, dir, offered: &mut self.offered }.end(lane, end);
        }
    }
}
