//! Who talks to whom.

use crate::Tunnel;
use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Transport protocol of a five-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

/// One end of a flow: address and port, in words that compare and hash as they are. (A [`SocketAddr`] has to be asked
/// for its version first, each time, and every packet asks some ten times.)
///
/// Ends are in the order of their version, address and port.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct End {
    /// The address as a number, the upper half; 0 in IPv4.
    high: u64,
    /// The lower half.
    low: u64,
    /// Version above the port.
    rest: u32,
}

impl End {
    const V4: u32 = 4 << 16;
    const V6: u32 = 6 << 16;

    /// From an address and a port.
    pub const fn new(ip: IpAddr, port: u16) -> Self {
        match ip {
            IpAddr::V4(ip) => Self { high: 0, low: ip.to_bits() as u64, rest: Self::V4 | port as u32 },
            IpAddr::V6(ip) => {
                let [high, low] = halves(ip.to_bits());
                Self { high, low, rest: Self::V6 | port as u32 }
            }
        }
    }

    /// The same address with another port.
    #[must_use]
    pub const fn with_port(self, port: u16) -> Self {
        Self { rest: self.rest & !0xffff | port as u32, ..self }
    }

    /// Whether the address is one of IPv4.
    pub const fn is_ipv4(self) -> bool {
        self.rest & !0xffff == Self::V4
    }

    /// The address.
    pub const fn ip(self) -> IpAddr {
        if self.is_ipv4() {
            IpAddr::V4(Ipv4Addr::from_bits((self.low & 0xffff_ffff) as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits((self.high as u128) << 64 | self.low as u128))
        }
    }

    /// The port.
    pub const fn port(self) -> u16 {
        (self.rest & 0xffff) as u16
    }

    /// The address as a number, upper and lower half; the upper one is 0 in IPv4.
    pub const fn words(self) -> [u64; 2] {
        [self.high, self.low]
    }
}

/// Upper and lower half.
const fn halves(bits: u128) -> [u64; 2] {
    [(bits >> 64) as u64, (bits & 0xffff_ffff_ffff_ffff) as u64]
}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for End {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |end: &Self| (end.rest >> 16, end.high, end.low, end.rest);
        rank(self).cmp(&rank(other))
    }
}

impl From<SocketAddr> for End {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr.ip(), addr.port())
    }
}

impl From<End> for SocketAddr {
    fn from(end: End) -> Self {
        Self::new(end.ip(), end.port())
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

/// Source and destination of one packet. Has a direction; [`FlowKey`] has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    /// Sender.
    pub src: End,
    /// Receiver.
    pub dst: End,
    /// Transport protocol.
    pub transport: Transport,
    /// The tunnel it came in. The same addresses in another tunnel are other hosts.
    pub tunnel: Tunnel,
}

impl FiveTuple {
    /// Builds a tuple from addresses and ports, in no tunnel.
    pub const fn new(src: IpAddr, sport: u16, dst: IpAddr, dport: u16, transport: Transport) -> Self {
        Self { src: End::new(src, sport), dst: End::new(dst, dport), transport, tunnel: Tunnel::NONE }
    }

    /// The same in another tunnel.
    #[must_use]
    pub const fn within(self, tunnel: Tunnel) -> Self {
        Self { tunnel, ..self }
    }

    /// The key both directions share, and whether `src` is its low end.
    pub fn key(&self) -> (FlowKey, bool) {
        let forward = self.src <= self.dst;
        let (low, high) = if forward { (self.src, self.dst) } else { (self.dst, self.src) };
        (FlowKey { low, high, transport: self.transport, tunnel: self.tunnel }, forward)
    }
}

/// Both ends of a flow in a fixed order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The lower address and port.
    pub low: End,
    /// The higher one.
    pub high: End,
    /// Transport protocol.
    pub transport: Transport,
    /// The tunnel.
    pub tunnel: Tunnel,
}

/// Which way bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

impl Direction {
    /// 0 for `ToServer`, 1 for `ToClient`: an index into per-direction pairs.
    pub const fn index(self) -> usize {
        match self {
            Self::ToServer => 0,
            Self::ToClient => 1,
        }
    }

    /// This direction's half of a pair.
    pub const fn of<T>(self, pair: &[T; 2]) -> &T {
        let [to_server, to_client] = pair;
        match self {
            Self::ToServer => to_server,
            Self::ToClient => to_client,
        }
    }

    /// This direction's half of a pair, to change.
    pub const fn of_mut<T>(self, pair: &mut [T; 2]) -> &mut T {
        let [to_server, to_client] = pair;
        match self {
            Self::ToServer => to_server,
            Self::ToClient => to_client,
        }
    }

    /// The other way.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_addresses_and_ports_again_and_in_the_same_order() {
        let all = [
            "0.0.0.0:0",
            "9.255.255.255:65535",
            "10.0.0.1:1",
            "10.0.0.1:2",
            "255.0.0.1:1",
            "[::]:1",
            "[::10.0.0.1]:1",
            "[::ffff:10.0.0.1]:1",
            "[0:0:0:1::]:0",
            "[2001:db8::1]:443",
            "[ffff::1]:0",
        ];
        let all = all.map(|text| text.parse::<SocketAddr>().unwrap());
        for a in all {
            assert_eq!(SocketAddr::from(End::from(a)), a);
            assert_eq!(End::from(a), End::new(a.ip(), 7).with_port(a.port()));
            assert_eq!((End::from(a).ip(), End::from(a).port()), (a.ip(), a.port()));
            for b in all {
                let order = (a.ip(), a.port()).cmp(&(b.ip(), b.port()));
                assert_eq!(End::from(a).cmp(&End::from(b)), order, "{a} {b}");
                assert_eq!(End::from(a) == End::from(b), a == b, "{a} {b}");
            }
        }
    }
}
