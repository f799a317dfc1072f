//! Frame → packet: link, VLAN tags, IP, TCP or UDP. No copy, no allocation, no state.

mod ip;
mod link;
#[cfg(test)]
mod tests;
mod transport;

use crate::{Frame, Packet};

/// Most VLAN tags read before a frame is given up.
pub const MAX_VLAN_TAGS: usize = 8;
/// Most extension headers read before a packet is given up (IPv6, and AH in IPv4).
pub const MAX_EXTENSION_HEADERS: usize = 32;

/// Decodes one frame down to its TCP or UDP payload.
///
/// A frame the snaplen cut is decoded as far as it goes: `payload` is what was captured, `wire_payload` what was sent.
/// Padding behind the IP packet is left out. An IP length of 0 (segmentation offload) means "to the end of the frame".
/// An IP length beyond a frame that was captured whole is a [`Undecoded::BadHeader`].
///
/// # Errors
///
/// [`Undecoded`] says why there is nothing to look at; none of its values is a fault of the sensor.
pub fn decode(frame: &Frame<'_>) -> Result<Packet, Undecoded> {
    Layers { frame, src_mac: None, vlan: [None; 2] }.link()
}

/// Why a frame holds no TCP or UDP packet for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undecoded {
    /// The snaplen cut the frame inside its headers.
    #[error("cut inside the headers")]
    Truncated,
    /// A link type we do not read.
    #[error("link type {0} is not read")]
    LinkType(u16),
    /// A well-known protocol beside IP: ARP, LLDP, spanning tree and other LLC frames, discovery of `PPPoE`, ...
    #[error("not IP")]
    NotIp,
    /// An ethertype we do not read.
    #[error("ethertype {0:#06x} is not read")]
    EtherType(u16),
    /// The version nibble is not the one the layer below promised, or neither 4 nor 6.
    #[error("IP version {0}")]
    IpVersion(u8),
    /// A part of a fragmented datagram.
    #[error("fragment")]
    Fragment,
    /// A tunnel that is not opened; its name is the reason.
    #[error("inside {0}")]
    Carrier(&'static str),
    /// An IP protocol other than TCP and UDP: ICMP, SCTP, ESP, ...
    #[error("IP protocol {0}")]
    NotTcpUdp(u8),
    /// A header that contradicts itself: lengths below the minimum or beyond the packet.
    #[error("a header length that cannot be")]
    BadHeader,
    /// More VLAN tags or extension headers than [`MAX_VLAN_TAGS`] or [`MAX_EXTENSION_HEADERS`].
    #[error("too many headers")]
    TooManyHeaders,
}

impl Undecoded {
    /// The value of a metric label; never renamed.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::LinkType(_) => "link_type",
            Self::NotIp => "not_ip",
            Self::EtherType(_) => "ethertype",
            Self::IpVersion(_) => "ip_version",
            Self::Fragment => "fragment",
            Self::Carrier(name) => name,
            Self::NotTcpUdp(_) => "not_tcp_udp",
            Self::BadHeader => "bad_header",
            Self::TooManyHeaders => "too_many_headers",
        }
    }
}

/// What the outer layers have told so far.
struct Layers<'f> {
    frame: &'f Frame<'f>,
    src_mac: Option<[u8; 6]>,
    vlan: [Option<u16>; 2],
}

/// Where the rest of a packet lies in the frame.
#[derive(Clone, Copy)]
struct Span {
    /// Where the next header begins.
    at: usize,
    /// Where the captured bytes of this packet end.
    end: usize,
    /// Where the packet ended on the wire, at or behind `end`.
    wire_end: usize,
}

impl<'f> Layers<'f> {
    /// The frame's bytes from `at` on; empty behind its end.
    fn from(&self, at: usize) -> &'f [u8] {
        self.frame.data.get(at..).unwrap_or_default()
    }

    /// The `N` bytes at `at`.
    fn array<const N: usize>(&self, at: usize) -> Result<&'f [u8; N], Undecoded> {
        self.from(at).first_chunk().ok_or(Undecoded::Truncated)
    }

    /// Every tunnel comes through here. An opened one re-enters at [`Self::ethertype`], [`Self::ip`] or
    /// [`Self::ethernet`] behind its own header; one that is not opened is told by name.
    fn carrier(name: &'static str) -> Result<Packet, Undecoded> {
        Err(Undecoded::Carrier(name))
    }
}

const fn be16(hi: u8, lo: u8) -> u16 {
    u16::from_be_bytes([hi, lo])
}
