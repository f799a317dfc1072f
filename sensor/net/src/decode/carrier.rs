//! Tunnels that are opened. Checksums of their own headers are not judged: network cards fill them in behind a capture
//! as they do those of TCP, and the inner packet has its own.

use super::{Layers, MAX_LABELS, Span, Undecoded, be16};
use crate::checksum::{fold, sum};
use crate::tunnel::{Carrier, Step};
use crate::{End, FiveTuple, Packet};

/// GRE flags (RFC 2784 §2.1, RFC 2890 §2; the routing bit is of RFC 1701).
const CHECKSUM: u8 = 0x80;
const ROUTING: u8 = 0x40;
const KEY: u8 = 0x20;
const SEQUENCE: u8 = 0x10;

/// Why the datagrams to or from this port are not looked into, where the port belongs to a carrier that is not opened:
/// GTP-U, L2TP, Teredo, GUE, VXLAN-GPE, LISP, CAPWAP, MPLS and TZSP over UDP.
pub const fn carrier_by_port(tuple: &FiveTuple) -> Option<&'static str> {
    const fn name(port: u16) -> Option<&'static str> {
        match port {
            2152 => Some("gtp_u"),
            1701 => Some("l2tp"),
            3544 => Some("teredo"),
            6080 => Some("gue"),
            4790 => Some("vxlan_gpe"),
            4341 => Some("lisp"),
            5247 => Some("capwap"),
            6635 => Some("mpls_in_udp"),
            37008 => Some("tzsp"),
            _ => None,
        }
    }
    match name(tuple.dst.port()) {
        None => name(tuple.src.port()),
        known => known,
    }
}

/// Whether a header is as its standard has it, and what is in it.
type Guess = (bool, Result<Packet, Undecoded>);

const fn numbered(carrier: Carrier, id: u32) -> Step {
    Step { carrier, id: Some(id) }
}

const fn plain(carrier: Carrier) -> Step {
    Step { carrier, id: None }
}

/// Whether Ethernet is likely to carry this: IP, ARP, tags, labels, and what a switch sends of its own.
const fn is_usual(ethertype: u16) -> bool {
    matches!(
        ethertype,
        0x0800 | 0x86dd | 0x0806 | 0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x8847 | 0x8848 | 0x8863 | 0x8864 | 0x88cc
    )
}

impl Layers<'_, '_> {
    /// An Ethernet frame that somebody put into a tunnel. Mirrors do, and may have cut it before.
    fn bridged(&mut self, at: usize) -> Result<Packet, Undecoded> {
        self.cut = true;
        self.ethernet(at)
    }

    #[cold]
    pub(super) fn ip_in_ip(&mut self, protocol: u8, src: End, dst: End, span: Span) -> Result<Packet, Undecoded> {
        let carrier = match (protocol, src.is_ipv4()) {
            (4, true) => Carrier::IpInIp,
            (4, false) => Carrier::FourInSix,
            (_, true) => Carrier::SixInFour,
            (_, false) => Carrier::SixInSix,
        };
        self.enter(plain(carrier), Some((src.ip(), dst.ip())), span)?;
        if protocol == 4 { self.ipv4(span.at) } else { self.ipv6(span.at) }
    }

    /// RFC 2784, RFC 2890; ERSPAN by its protocol numbers.
    #[cold]
    pub(super) fn gre(&mut self, src: End, dst: End, span: Span) -> Result<Packet, Undecoded> {
        let &[flags, version, hi, lo] = self.header(span)?;
        let protocol = be16(hi, lo);
        if version & 7 == 1 {
            return Err(Undecoded::Carrier("pptp"));
        }
        if version & 7 != 0 {
            return Err(Undecoded::BadHeader);
        }
        if flags & ROUTING != 0 {
            return Err(Undecoded::Carrier("gre_routing"));
        }
        let mut at = span.at + if flags & CHECKSUM == 0 { 4 } else { 8 };
        let mut key = None;
        if flags & KEY != 0 {
            key = Some(u32::from_be_bytes(*self.header(Span { at, ..span })?));
            at += 4;
        }
        if flags & SEQUENCE != 0 {
            at += 4;
        }
        let span = Span { at, ..span };
        match protocol {
            // Type I has no header of its own, and no sequence number by which it is known.
            0x88be if flags & SEQUENCE == 0 => Err(Undecoded::Carrier("erspan_i")),
            0x88be | 0x22eb => self.erspan(span),
            kind => {
                self.enter(Step { carrier: Carrier::Gre, id: key }, Some((src.ip(), dst.ip())), span)?;
                if kind == 0x6558 { self.bridged(at) } else { self.ethertype(kind, at) }
            }
        }
    }

    /// Type II: version 1, eight bytes. Type III: version 2, twelve bytes, and eight more where the last bit says so.
    fn erspan(&mut self, span: Span) -> Result<Packet, Undecoded> {
        let &[version, _, id_hi, id_lo, _, _, _, _] = self.header(span)?;
        let session = u32::from(be16(id_hi, id_lo) & 0x03ff);
        let (len, ip) = match version >> 4 {
            1 => (8, false),
            2 => {
                let &[.., kind, last] = self.header::<12>(span)?;
                (if last & 1 == 0 { 12 } else { 20 }, kind >> 2 & 0x1f == 2)
            }
            _ => return Err(Undecoded::Carrier("erspan")),
        };
        let span = Span { at: span.at + len, ..span };
        self.enter(numbered(Carrier::Erspan, session), None, span)?;
        if !ip {
            return self.bridged(span.at);
        }
        self.cut = true;
        self.ip(span.at)
    }

    /// MPLS in IP (RFC 4023).
    #[cold]
    pub(super) fn mpls_in_ip(&mut self, span: Span) -> Result<Packet, Undecoded> {
        self.narrow(span);
        self.mpls(span.at)
    }

    /// Labels (RFC 3032), and what no header names behind them: IP where it can be, else an Ethernet pseudowire, with
    /// or without its control word (RFC 4385, RFC 4448).
    #[cold]
    pub(super) fn mpls(&mut self, at: usize) -> Result<Packet, Undecoded> {
        let mut at = at;
        let mut labels = 0;
        loop {
            if labels == MAX_LABELS {
                return Err(Undecoded::TooManyHeaders);
            }
            let &[_, _, last, _] = self.array(at)?;
            at += 4;
            labels += 1;
            if last & 1 == 1 {
                break;
            }
        }
        self.enter(plain(Carrier::Mpls), None, self.rest(at))?;
        let &[first] = self.array(at)?;
        let pseudowire = |at: usize| self.array::<2>(at + 12).is_ok_and(|&[hi, lo]| is_usual(be16(hi, lo)));
        match first >> 4 {
            4 if self.is_ipv4(at) => self.ipv4(at),
            6 if self.is_ipv6(at) => self.ipv6(at),
            0 if pseudowire(at + 4) => self.bridged(at + 4),
            _ if pseudowire(at) => self.bridged(at),
            4 => self.ipv4(at),
            6 => self.ipv6(at),
            // The associated channel: the network talking about itself.
            1 => Err(Undecoded::NotIp),
            _ => Err(Undecoded::Carrier("mpls")),
        }
    }

    /// A MAC address may begin with a 4 as well. A length or a sum that fits does not come by chance.
    fn is_ipv4(&self, at: usize) -> bool {
        let Ok(&[first, _, hi, lo]) = self.array(at) else { return false };
        let header = self.from(at).get(..usize::from(first & 15) * 4).filter(|header| header.len() >= 20);
        at + usize::from(be16(hi, lo)) == self.wire_end || header.is_some_and(|header| fold(sum(header)) == u16::MAX)
    }

    /// Or with a 6.
    fn is_ipv6(&self, at: usize) -> bool {
        self.array(at + 4).is_ok_and(|&[hi, lo]| at + 40 + usize::from(be16(hi, lo)) == self.wire_end)
    }

    /// RFC 2516 §5, and what PPP carries.
    #[cold]
    pub(super) fn pppoe(&mut self, at: usize) -> Result<Packet, Undecoded> {
        let &[version, code, id_hi, id_lo, len_hi, len_lo, first, second] = self.array(at)?;
        if version != 0x11 || code != 0 {
            return Err(Undecoded::BadHeader);
        }
        let span = self.span(at + 6, usize::from(be16(len_hi, len_lo)))?;
        // An odd first byte is the whole number (RFC 1661 §6.5).
        let (protocol, len) = if first & 1 == 1 { (u16::from(first), 1) } else { (be16(first, second), 2) };
        let at = at + 6 + len;
        self.enter(numbered(Carrier::Pppoe, u32::from(be16(id_hi, id_lo))), None, Span { at, ..span })?;
        match protocol {
            0x0021 => self.ipv4(at),
            0x0057 => self.ipv6(at),
            0x0281 | 0x0283 => self.mpls(at),
            // Control protocols of PPP.
            0x4000.. => Err(Undecoded::NotIp),
            _ => Err(Undecoded::Carrier("ppp")),
        }
    }

    /// VXLAN and Geneve are known by a port, which others use as well. `None` where this is another datagram.
    pub(super) fn over_udp(&mut self, tuple: &FiveTuple, span: Span) -> Option<Result<Packet, Undecoded>> {
        match tuple.dst.port() {
            4789 | 8472 => self.guessed(span, Self::vxlan),
            6081 => self.guessed(span, Self::geneve),
            _ => None,
        }
    }

    /// `open` says whether the header is as the standard has it. One with bits set that have no meaning yet, which
    /// receivers ignore, counts as long as something is found in it.
    #[cold]
    fn guessed(&mut self, span: Span, open: fn(&mut Self, Span) -> Option<Guess>) -> Option<Result<Packet, Undecoded>> {
        let before = (self.data, self.wire_end, self.cut, self.outer);
        match open(self, span) {
            Some((exact, inner)) if exact || matches!(inner, Ok(_) | Err(Undecoded::Fragment)) => Some(inner),
            _ => {
                (self.data, self.wire_end, self.cut, self.outer) = before;
                if let Some(path) = &mut self.path {
                    path.truncate(usize::from(self.outer.depth));
                }
                None
            }
        }
    }

    /// RFC 7348 §5, and the group policy bit of its most common extension.
    fn vxlan(&mut self, span: Span) -> Option<Guess> {
        let &[flags, a, b, c, v0, v1, v2, last] = self.header(span).ok()?;
        if flags & 0x08 == 0 {
            return None;
        }
        let exact = last == 0 && (flags == 0x88 || (flags == 0x08 && [a, b, c] == [0; 3]));
        let span = Span { at: span.at + 8, ..span };
        let step = numbered(Carrier::Vxlan, u32::from_be_bytes([0, v0, v1, v2]));
        Some((exact, self.enter(step, None, span).and_then(|()| self.bridged(span.at))))
    }

    /// RFC 8926 §3.4. Options are skipped.
    fn geneve(&mut self, span: Span) -> Option<Guess> {
        let &[first, control, hi, lo, v0, v1, v2, last] = self.header(span).ok()?;
        if first >> 6 != 0 {
            return None;
        }
        let kind = be16(hi, lo);
        // Two flags, then six reserved bits.
        let exact = control << 2 == 0 && last == 0 && (kind == 0x6558 || is_usual(kind));
        let span = Span { at: span.at + 8 + usize::from(first & 0x3f) * 4, ..span };
        let step = numbered(Carrier::Geneve, u32::from_be_bytes([0, v0, v1, v2]));
        let entered = self.enter(step, None, span);
        let inner =
            entered.and_then(|()| if kind == 0x6558 { self.bridged(span.at) } else { self.ethertype(kind, span.at) });
        Some((exact, inner))
    }
}
