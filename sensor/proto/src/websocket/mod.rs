//! WebSocket (RFC 6455) with per-message deflate (RFC 7692), one [`Decoder`] per direction.
//!
//! Payload is unmasked, inflated and handed on as it comes, and never kept. How the input is cut changes nothing.

mod decode;
mod extension;
mod frame;
mod fuzz;
mod messages;
#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use extension::negotiated;
pub use frame::{Header, plausible_start};
#[doc(hidden)]
pub use fuzz::fuzz_websocket;
pub(crate) use messages::Messages;

/// Per-message deflate as negotiated for one direction (RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// The sender starts each message with an empty window.
    pub no_context_takeover: bool,
    /// Base-2 logarithm of the sender's window, 8 to 15. Informative: a window of 15 reads them all.
    pub window_bits: u8,
}

impl Default for Deflate {
    /// What the extension means without parameters; also the guess where the handshake was not seen.
    fn default() -> Self {
        Self { no_context_takeover: false, window_bits: 15 }
    }
}

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text. Not checked.
    Text,
    /// Anything.
    Binary,
}

/// Why a direction cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A gap over a frame header: where the next frame starts cannot be known.
    #[error("a gap over a WebSocket frame header")]
    FramingLost,
    /// A length of 2^63 or more (RFC 6455 §5.2): this is no WebSocket, or its place is lost.
    #[error("a WebSocket frame of impossible length")]
    Length,
}

impl Fault {
    /// Stable word for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::FramingLost => "websocket_framing_lost",
            Self::Length => "websocket_length",
        }
    }
}

/// Something RFC 6455 or RFC 7692 forbid, or that could not be read; reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Anomaly {
    /// A client frame without a mask (§5.1).
    Unmasked,
    /// A server frame with a mask (§5.1).
    Masked,
    /// Reserved bits set without an extension that gives them a meaning (§5.2). RSV1 on a message makes it
    /// compressed all the same, and so unreadable; the others are looked past.
    ReservedBits,
    /// An opcode that is not assigned (§5.2); its payload is skipped.
    ReservedOpcode,
    /// A length in more bytes than needed (§5.2).
    LongLength,
    /// A control frame that is fragmented or over 125 bytes (§5.5).
    BadControl,
    /// A continuation without a message to continue (§5.4); its payload is skipped.
    Stray,
    /// A new message inside another (§5.4); the other ends there.
    Interrupted,
    /// A data frame after a close frame (§5.5.1).
    AfterClose,
    /// A compressed message that could not be inflated, or only in part.
    Undecodable,
}

impl Anomaly {
    /// Stable word for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unmasked => "websocket_unmasked",
            Self::Masked => "websocket_masked",
            Self::ReservedBits => "websocket_reserved_bits",
            Self::ReservedOpcode => "websocket_reserved_opcode",
            Self::LongLength => "websocket_long_length",
            Self::BadControl => "websocket_bad_control",
            Self::Stray => "websocket_stray_continuation",
            Self::Interrupted => "websocket_interrupted_message",
            Self::AfterClose => "websocket_after_close",
            Self::Undecodable => "websocket_undecodable",
        }
    }
}

/// Where the content of messages goes.
pub trait Sink {
    /// Bytes of the current message, unmasked and inflated.
    fn payload(&mut self, bytes: &[u8]);
    /// `n` wire bytes of the current message will not be seen, or cannot be read; 0 for an unknown number.
    /// The message goes on, and is incomplete.
    fn lost(&mut self, n: u64);
    /// The current message is over.
    fn message_end(&mut self, kind: Kind);
    /// A control frame is over: close (8), ping (9) or pong (10). At most the first 125 bytes of its payload, and
    /// less where a gap fell into it. It may come in the middle of a message.
    fn control(&mut self, opcode: u8, payload_prefix: &[u8]);
    /// Something forbidden or unreadable.
    fn anomaly(&mut self, what: Anomaly);
}

/// What a decoder has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames whose header was read.
    pub frames: u64,
    /// Messages that ended.
    pub messages: u64,
    /// Messages that ended and were compressed.
    pub compressed: u64,
    /// Messages of which something was lost or unreadable.
    pub incomplete: u64,
    /// Payload bytes on the wire that were lost, skipped or not to be read. Not those of a message from where it turns
    /// out to be corrupt or over a limit.
    pub lost_bytes: u64,
}
