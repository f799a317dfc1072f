//! Frame → packet: link, VLAN tags, tunnels, IP, TCP or UDP. No copy, no allocation, no state.

mod carrier;
mod ip;
mod link;
#[cfg(test)]
mod tests;
mod transport;

pub use carrier::carrier_by_port;

use crate::tunnel::{Path, Step, Tunnel};
use crate::{End, Frame, MAX_TUNNELS, Packet};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::ops::Range;

/// Most VLAN tags read before a frame is given up.
pub const MAX_VLAN_TAGS: usize = 8;
/// Most extension headers read before a packet is given up (IPv6, and AH in IPv4).
pub const MAX_EXTENSION_HEADERS: usize = 32;
/// Most MPLS labels read before a packet is given up.
pub const MAX_LABELS: usize = 16;

/// Decodes one frame down to its TCP or UDP payload, through up to [`MAX_TUNNELS`] tunnels.
///
/// A frame the snaplen cut is decoded as far as it goes: `payload` is what was captured, `wire_payload` what was sent.
/// Padding behind the IP packet is left out. An IP length of 0 (segmentation offload) means "to the end of the frame".
/// An IP length beyond a frame that was captured whole is a [`Undecoded::BadHeader`].
///
/// # Errors
///
/// [`Undecoded`] says why there is nothing to look at; none of its values is a fault of the sensor.
pub fn decode(frame: &Frame<'_>) -> Result<Packet, Undecoded> {
    Layers::new(frame, None).link()
}

/// The tunnels that a frame came through, outermost first. Asked once for each [`Tunnel`] that is new, where [`decode`]
/// is asked for each frame.
pub fn tunnel_path(frame: &Frame<'_>) -> Path {
    let mut path = Path::default();
    // What is in it does not matter here, nor that there may be nothing.
    let _ = Layers::new(frame, Some(&mut path)).link();
    path
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
    /// A part of a fragmented datagram: [`Fragments`](crate::Fragments) has use for it.
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
    /// More VLAN tags, extension headers or labels than [`MAX_VLAN_TAGS`], [`MAX_EXTENSION_HEADERS`], [`MAX_LABELS`].
    #[error("too many headers")]
    TooManyHeaders,
    /// More tunnels in each other than [`MAX_TUNNELS`].
    #[error("too many tunnels")]
    TooManyTunnels,
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
            Self::TooManyTunnels => "tunnel_depth",
        }
    }
}

/// What the outer layers have told so far.
pub(crate) struct Layers<'f, 'p> {
    frame: &'f Frame<'f>,
    /// The frame as far as the captured bytes of the innermost carrier go; all of it, while there is none.
    data: &'f [u8],
    /// Where the carrier ended on the wire, at or behind the end of `data`.
    wire_end: usize,
    /// Whoever mirrored the packet may have cut it without a word.
    cut: bool,
    pub(crate) outer: Outer,
    /// Where to write down the tunnels by name, where somebody asks.
    path: Option<&'p mut Path>,
    /// Set with [`Undecoded::Fragment`].
    pub(crate) fragment: Option<Part>,
}

/// What lies around a packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outer {
    pub(crate) src_mac: Option<[u8; 6]>,
    /// Of the innermost IP header so far.
    pub(crate) ttl: u8,
    pub(crate) vlan: [Option<NonZeroU16>; 2],
    pub(crate) tunnel: Tunnel,
    /// Tunnels so far.
    pub(crate) depth: u8,
}

/// A part of a fragmented datagram.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    /// Identification field.
    pub(crate) id: u32,
    /// What the datagram holds; in IPv6 only the first part's word counts.
    pub(crate) protocol: u8,
    /// Where its first byte belongs, in bytes.
    pub(crate) offset: u32,
    /// It is not the last one.
    pub(crate) more: bool,
    /// Its captured bytes in the frame.
    pub(crate) bytes: Range<usize>,
    /// Its length on the wire, in bytes.
    pub(crate) wire_len: u32,
}

/// Where the rest of a packet lies in the frame.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    /// Where the next header begins.
    at: usize,
    /// Where the captured bytes of this packet end.
    end: usize,
    /// Where the packet ended on the wire, at or behind `end`.
    wire_end: usize,
}

impl<'f, 'p> Layers<'f, 'p> {
    pub(crate) fn new(frame: &'f Frame<'f>, path: Option<&'p mut Path>) -> Self {
        let data = frame.data;
        let wire_end = usize::try_from(frame.wire_len).unwrap_or(usize::MAX).max(data.len());
        Self { frame, data, wire_end, cut: false, outer: Outer::default(), path, fragment: None }
    }

    /// Goes on in a datagram that was put together: `frame` is what `protocol` names, and lies in `outer`.
    pub(crate) fn resume(frame: &'f Frame<'f>, outer: Outer, path: Option<&'p mut Path>) -> Self {
        Self { outer, ..Self::new(frame, path) }
    }

    /// What [`Self::resume`] goes on with.
    pub(crate) fn upper_of_whole(&mut self, protocol: u8, src: IpAddr, dst: IpAddr) -> Result<Packet, Undecoded> {
        self.upper(protocol, End::new(src, 0), End::new(dst, 0), self.rest(0))
    }

    /// Nothing behind the end of `span` belongs to what follows.
    fn narrow(&mut self, span: Span) {
        self.data = self.data.get(..span.end).unwrap_or(self.data);
        self.wire_end = span.wire_end;
    }

    /// All that is left of the carrier, from `at` on.
    const fn rest(&self, at: usize) -> Span {
        Span { at, end: self.data.len(), wire_end: self.wire_end }
    }

    /// The captured bytes from `at` on; empty behind their end.
    fn from(&self, at: usize) -> &'f [u8] {
        self.data.get(at..).unwrap_or_default()
    }

    /// The `N` bytes at `at`.
    fn array<const N: usize>(&self, at: usize) -> Result<&'f [u8; N], Undecoded> {
        self.from(at).first_chunk().ok_or(Undecoded::Truncated)
    }

    /// Every tunnel that is opened comes through here, and goes on at [`Self::ethertype`], [`Self::ip`] or
    /// [`Self::ethernet`] behind its own header; one that is not opened is told by name.
    fn enter(&mut self, step: Step, ends: Option<(IpAddr, IpAddr)>, span: Span) -> Result<(), Undecoded> {
        if usize::from(self.outer.depth) >= MAX_TUNNELS {
            return Err(Undecoded::TooManyTunnels);
        }
        if let Some(path) = &mut self.path {
            path.set(usize::from(self.outer.depth), step);
        }
        self.outer.depth += 1;
        // That of the tunnel's end is nobody's inside.
        self.outer.src_mac = None;
        self.outer.tunnel = self.outer.tunnel.inside(step, ends);
        self.narrow(span);
        Ok(())
    }
}

const fn be16(hi: u8, lo: u8) -> u16 {
    u16::from_be_bytes([hi, lo])
}
