//! Who talks to whom.

use crate::Tunnel;
use std::net::{IpAddr, SocketAddr};

/// Transport protocol of a five-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

/// Source and destination of one packet. Has a direction; [`FlowKey`] has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    /// Sender.
    pub src: SocketAddr,
    /// Receiver.
    pub dst: SocketAddr,
    /// Transport protocol.
    pub transport: Transport,
    /// The tunnel it came in. The same addresses in another tunnel are other hosts.
    pub tunnel: Tunnel,
}

impl FiveTuple {
    /// Builds a tuple from addresses and ports, in no tunnel.
    pub const fn new(src: IpAddr, sport: u16, dst: IpAddr, dport: u16, transport: Transport) -> Self {
        Self { src: SocketAddr::new(src, sport), dst: SocketAddr::new(dst, dport), transport, tunnel: Tunnel::NONE }
    }

    /// The same in another tunnel.
    #[must_use]
    pub const fn within(self, tunnel: Tunnel) -> Self {
        Self { tunnel, ..self }
    }

    /// The key both directions share, and whether `src` is its low end.
    pub fn key(&self) -> (FlowKey, bool) {
        let forward = (self.src.ip(), self.src.port()) <= (self.dst.ip(), self.dst.port());
        let (low, high) = if forward { (self.src, self.dst) } else { (self.dst, self.src) };
        (FlowKey { low, high, transport: self.transport, tunnel: self.tunnel }, forward)
    }
}

/// Both ends of a flow in a fixed order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The lower address and port.
    pub low: SocketAddr,
    /// The higher one.
    pub high: SocketAddr,
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
