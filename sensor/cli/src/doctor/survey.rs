//! What was found out, as plain numbers: judging needs no machine.

use serde::Serialize;
use std::collections::BTreeMap;

/// Everything that was found out.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Survey {
    /// How long was listened, in seconds.
    pub(crate) seconds: u64,
    /// Whether the process may open interfaces (`CAP_NET_RAW`).
    pub(crate) may_capture: bool,
    /// Whether the system clock follows another; `None` where the system does not tell.
    pub(crate) clock_synchronized: Option<bool>,
    /// Names of all interfaces of the machine.
    pub(crate) known: Vec<String>,
    /// Those that were asked about.
    pub(crate) interfaces: Vec<Interface>,
    /// Connections, seen on all interfaces together: a tap brings each direction on one of its own.
    pub(crate) flows: Flows,
}

/// One interface.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Interface {
    /// Its name.
    pub(crate) name: String,
    /// Whether there is one of that name.
    pub(crate) exists: bool,
    /// Whether it is switched on.
    pub(crate) up: bool,
    /// Whether something is at the other end of its cable; `None` where it does not tell.
    pub(crate) carrier: Option<bool>,
    /// Whether it is the loopback interface, or all interfaces at once.
    pub(crate) special: bool,
    /// Whether the kernel joins packets before they are captured; `None` where it does not tell.
    pub(crate) gro: Option<bool>,
    /// Whether the card does.
    pub(crate) lro: Option<bool>,
    /// Why it could not be opened, if so.
    pub(crate) failure: Option<String>,
    /// Number of its link type, where that is not read.
    pub(crate) unread_link: Option<u16>,
    /// The filter that is in force.
    pub(crate) bpf: Option<String>,
    /// Longest part taken of a packet, in bytes.
    pub(crate) snaplen: u32,
    /// Memory of all rings, as asked for, in bytes.
    pub(crate) ring_bytes: u64,
    /// The same as the kernel gave it, where it tells.
    pub(crate) ring_bytes_given: Option<u64>,
    /// Version of the ring, where the kernel tells.
    pub(crate) ring_version: Option<u8>,
    /// Packets that the card lost for want of room or of its driver's time, while listening.
    pub(crate) card_lost: u64,
    /// Packets that arrived damaged, while listening.
    pub(crate) card_errors: u64,
    /// Packets that the kernel's ring had no room for.
    pub(crate) kernel_dropped: u64,
    /// Packets that our own queue had no room for.
    pub(crate) queue_dropped: u64,
    /// Packets that the snaplen cut.
    pub(crate) cut: u64,
    /// What passed by.
    pub(crate) traffic: Traffic,
}

/// Packets of one interface.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Traffic {
    /// Packets.
    pub(crate) packets: u64,
    /// Their bytes on the wire.
    pub(crate) bytes: u64,
    /// Most bytes that a ring needed for the packets of one second.
    pub(crate) peak_ring_bytes: u64,
    /// Packets from one other machine to another.
    pub(crate) between_others: u64,
    /// Packets whose sender and receiver can be told by their link layer.
    pub(crate) with_addresses: u64,
    /// Packets by their outermost VLAN id, if they have one.
    pub(crate) vlans: BTreeMap<u16, u64>,
    /// Packets by the tunnel they came in, outermost first (`gre`, `vxlan/mpls`).
    pub(crate) tunnels: BTreeMap<String, u64>,
    /// Packets that were not decoded, by reason.
    pub(crate) undecoded: BTreeMap<&'static str, u64>,
    /// TCP segments whose checksum fits.
    pub(crate) good_sums: u64,
    /// TCP segments whose checksum does not.
    pub(crate) bad_sums: u64,
    /// Furthest that the time of packets was off that of the system, in milliseconds; positive where packets were ahead.
    pub(crate) skew_ms: i64,
}

impl Traffic {
    /// Packets with a VLAN tag.
    pub(crate) fn tagged(&self) -> u64 {
        self.vlans.values().sum()
    }
}

/// Connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Flows {
    /// TCP connections of four packets or more that were no mere attempts.
    pub(crate) tcp: u64,
    /// Those of them with packets of one direction only.
    pub(crate) one_sided: u64,
    /// TCP connections that show a TLS record.
    pub(crate) tls: u64,
    /// TCP connections that show clear HTTP.
    pub(crate) http: u64,
    /// QUIC connections.
    pub(crate) quic: u64,
    /// Packets of connections beyond those that are kept in mind.
    pub(crate) beyond: u64,
}
