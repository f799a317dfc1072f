//! Limits, counts, and the ends of a flow.

use super::VersionClass;

/// What a flow may cost until its hellos are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest hello, and most bytes of the handshake of one side that are kept, in bytes.
    pub crypto_bytes: usize,
    /// Most pieces in which these bytes are kept, for what comes out of order. A piece weighs 24 bytes.
    pub crypto_pieces: usize,
    /// Most datagrams of one direction that are looked at; the flow ends with the next.
    pub datagrams: u32,
    /// Most packets looked at in one datagram.
    pub packets: u32,
    /// How often keys are derived for one flow.
    pub keys: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { crypto_bytes: 64 << 10, crypto_pieces: 256, datagrams: 64, packets: 16, keys: 8 }
    }
}

/// Why no more of a flow is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// The hellos of both sides were read: the rest is ciphertext.
    Hellos,
    /// The flow does not begin with a long header that is known: no QUIC, or not from its beginning.
    NotQuic,
    /// The client hello is over [`Limits::crypto_bytes`].
    TooLong,
    /// The client hello cannot be read.
    BadHello,
    /// [`Limits::datagrams`] was met. Where the client hello was read this is the ordinary end of a flow of which only
    /// one side is seen.
    Datagrams,
    /// The flow was forgotten before.
    Finished,
}

impl End {
    /// Every end, in the order of declaration.
    pub const ALL: [Self; 6] =
        [Self::Hellos, Self::NotQuic, Self::TooLong, Self::BadHello, Self::Datagrams, Self::Finished];

    /// Stable word for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Hellos => "hellos",
            Self::NotQuic => "not_quic",
            Self::TooLong => "too_long",
            Self::BadHello => "bad_hello",
            Self::Datagrams => "datagrams",
            Self::Finished => "finished",
        }
    }
}

/// What the observer wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// The datagrams that follow.
    More,
    /// Nothing, ever: the flow can be bypassed.
    Nothing(End),
}

/// Totals over flows; plain integers that the owner adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams looked at.
    pub datagrams: u64,
    /// Initial packets decrypted.
    pub initials: u64,
    /// Initial packets that could not be decrypted: damaged, or of a connection whose beginning was not seen.
    pub undecrypted: u64,
    /// 0-RTT and Handshake packets, which are passed over.
    pub protected: u64,
    /// Datagrams, or rests of them, with a short header.
    pub short: u64,
    /// Long headers that end too early.
    pub malformed: u64,
    /// Packets that reach beyond the end of the datagram, as where the capture was cut.
    pub cut: u64,
    /// Packets not looked at, because of [`Limits::packets`] or for another destination than the first of their
    /// datagram (RFC 9000 §12.2).
    pub ignored: u64,
    /// Retry packets with the right tag.
    pub retries: u64,
    /// Other Retry packets.
    pub bad_retries: u64,
    /// Times that [`Limits::keys`] kept a packet from being read.
    pub keys_refused: u64,
    /// Frames that close the connection.
    pub closes: u64,
    /// Packets with a frame that may not be there.
    pub bad_frames: u64,
    /// Pieces of the handshake that say other than earlier ones of the same place; the first are taken.
    pub conflicts: u64,
    /// Pieces of the handshake over [`Limits::crypto_bytes`] or [`Limits::crypto_pieces`].
    pub pieces_refused: u64,
    /// Client hellos read.
    pub client_hellos: u64,
    /// Server hellos read, hello retry requests included.
    pub server_hellos: u64,
    /// Handshakes that do not begin with a hello that can be read.
    pub bad_hellos: u64,
    /// Packets by [`VersionClass`], in the order of [`VersionClass::ALL`].
    pub(super) versions: [u64; VersionClass::ALL.len()],
    /// By [`End`], in the order of [`End::ALL`].
    pub(super) ends: [u64; End::ALL.len()],
}

impl Stats {
    /// How many packets with a long header were of these versions.
    pub fn versions(&self, class: VersionClass) -> u64 {
        self.versions.get(class as usize).copied().unwrap_or_default()
    }

    /// How many flows ended so.
    pub fn ends(&self, end: End) -> u64 {
        self.ends.get(end as usize).copied().unwrap_or_default()
    }

    pub(super) fn count_version(&mut self, class: VersionClass) {
        if let Some(n) = self.versions.get_mut(class as usize) {
            *n += 1;
        }
    }

    pub(super) fn count_end(&mut self, end: End) {
        if let Some(n) = self.ends.get_mut(end as usize) {
            *n += 1;
        }
    }

    /// Adds the counts of another worker or period.
    pub fn add(&mut self, other: &Self) {
        self.datagrams += other.datagrams;
        self.initials += other.initials;
        self.undecrypted += other.undecrypted;
        self.protected += other.protected;
        self.short += other.short;
        self.malformed += other.malformed;
        self.cut += other.cut;
        self.ignored += other.ignored;
        self.retries += other.retries;
        self.bad_retries += other.bad_retries;
        self.keys_refused += other.keys_refused;
        self.closes += other.closes;
        self.bad_frames += other.bad_frames;
        self.conflicts += other.conflicts;
        self.pieces_refused += other.pieces_refused;
        self.client_hellos += other.client_hellos;
        self.server_hellos += other.server_hellos;
        self.bad_hellos += other.bad_hellos;
        for (mine, more) in self.versions.iter_mut().zip(other.versions) {
            *mine += more;
        }
        for (mine, more) in self.ends.iter_mut().zip(other.ends) {
            *mine += more;
        }
    }
}
