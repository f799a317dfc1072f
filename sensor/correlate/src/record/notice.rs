//! Notices, and why they are written.

use super::{Flow, time};
use net::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// Something a reader of the results must know.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Notice {
    /// Always [`SCHEMA`](super::SCHEMA).
    pub schema: u32,
    /// Packet time.
    #[serde(serialize_with = "time")]
    #[schemars(with = "String")]
    pub ts: Timestamp,
    /// `replay` or the configured name.
    pub sensor: String,
    /// One of a closed, documented list.
    pub code: NoticeCode,
    /// For people.
    pub message: String,
    /// The flow it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<Box<Flow>>,
    /// How many of this code were held back since the last one written.
    #[serde(skip_serializing_if = "is_zero")]
    pub held_back: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Why a notice was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeCode {
    /// A capture file ends in mid-packet.
    TruncatedFile,
    /// Part of a capture file cannot be read.
    CorruptFile,
    /// A file in a directory is empty or no capture; it was skipped.
    SkippedFile,
    /// A packet names an interface its file does not describe.
    UnknownInterface,
    /// Framing that receivers may read in different ways.
    HttpAmbiguity,
    /// Messages that receivers may read in different ways.
    MessageAmbiguity,
    /// Segments that claim the same bytes with other content.
    OverlapConflict,
    /// Segments that receivers may read in different ways.
    TcpAmbiguity,
    /// A name that the evidence contradicts.
    IdentityMismatch,
    /// `Mcp-*` headers that contradict the body.
    HeaderMismatch,
    /// A limit was met; what came after was not looked at.
    LimitMet,
    /// A body could not be decoded.
    Undecoded,
    /// A worker met a fault in our own code; that flow was given up.
    InternalFault,
    /// A capture interface went away.
    InterfaceDown,
    /// A capture interface came back.
    InterfaceUp,
    /// Packets are being lost before the sensor can look at them.
    LossBegan,
    /// No more packets are being lost.
    LossEnded,
    /// New rules or a new configuration are in force.
    ConfigReloaded,
    /// New rules or a new configuration are faulty; the old ones stay in force.
    ReloadFailed,
    /// The sensor sheds work to keep within its limits.
    Overload,
    /// A client refused the certificate that the proxy made for a server.
    CaRefused,
    /// The certificate or the TLS of a server cannot be trusted; the proxy refused to connect.
    OriginUntrusted,
    /// A request was for another server than its connection.
    Misdirected,
    /// The proxy passes a server through unread, because clients refused its certificate.
    BypassBegan,
    /// The proxy intercepts that server again.
    BypassEnded,
    /// A client wanted a server that is refused, and what it says there is not read; the connection was ended.
    RefusedUnread,
    /// A client asked the proxy for certificates of more new names than it may; a handshake was refused.
    LeafRate,
    /// A message waited for a verdict and met a limit.
    HoldLimit,
    /// The proxy's own code failed on a request.
    ProxyFault,
    /// A client calls a provider of models without passing the gateway.
    LlmGatewayBypassed,
}

impl NoticeCode {
    /// The word of the record.
    pub const fn word(self) -> &'static str {
        match self {
            Self::TruncatedFile => "truncated_file",
            Self::CorruptFile => "corrupt_file",
            Self::SkippedFile => "skipped_file",
            Self::UnknownInterface => "unknown_interface",
            Self::HttpAmbiguity => "http_ambiguity",
            Self::MessageAmbiguity => "message_ambiguity",
            Self::OverlapConflict => "overlap_conflict",
            Self::TcpAmbiguity => "tcp_ambiguity",
            Self::IdentityMismatch => "identity_mismatch",
            Self::HeaderMismatch => "header_mismatch",
            Self::LimitMet => "limit_met",
            Self::Undecoded => "undecoded",
            Self::InternalFault => "internal_fault",
            Self::InterfaceDown => "interface_down",
            Self::InterfaceUp => "interface_up",
            Self::LossBegan => "loss_began",
            Self::LossEnded => "loss_ended",
            Self::ConfigReloaded => "config_reloaded",
            Self::ReloadFailed => "reload_failed",
            Self::Overload => "overload",
            Self::CaRefused => "ca_refused",
            Self::OriginUntrusted => "origin_untrusted",
            Self::Misdirected => "misdirected",
            Self::BypassBegan => "bypass_began",
            Self::BypassEnded => "bypass_ended",
            Self::RefusedUnread => "refused_unread",
            Self::LeafRate => "leaf_rate",
            Self::HoldLimit => "hold_limit",
            Self::ProxyFault => "proxy_fault",
            Self::LlmGatewayBypassed => "llm_gateway_bypassed",
        }
    }
}
