//! Whom to believe: checksums, and who is the client.

use super::{Stats, slab::Side};
use crate::checksum::{Checksum, judge};
use crate::{Packet, TcpHeader};

/// So many wrong checksums and no right one: the direction leaves them to its network card.
const OFFLOADED_AFTER: u8 = 8;
/// More payload than any wire carries in one frame: merged by the card or the kernel before capture.
const LARGEST_ON_A_WIRE: u32 = 9_216;

/// Whether to believe `packet`, sent by `side`, by its checksum.
///
/// A direction whose checksums are all wrong is offloaded and trusted. Once a right one was seen, a wrong one is a
/// decoy, which the receiver drops as well. One exception: on a capture at the receiving host (whose own packets,
/// `other`, then have no right checksum) the kernel or the card
/// merges segments and leaves a partial sum, or none, in them.
pub(super) fn checksum_allows(
    side: &mut Side,
    other: Side,
    packet: &Packet,
    frame_data: &[u8],
    stats: &mut Stats,
) -> bool {
    if !side.good && side.bad >= OFFLOADED_AFTER {
        return true;
    }
    match judge(packet, frame_data) {
        Checksum::Good => {
            side.good = true;
            true
        }
        Checksum::Unknown => true,
        Checksum::Partial | Checksum::Bad if !side.good => {
            side.bad += 1;
            stats.offloaded_directions += u64::from(side.bad == OFFLOADED_AFTER);
            true
        }
        Checksum::Partial => !other.good,
        Checksum::Bad => !other.good && packet.wire_payload > LARGEST_ON_A_WIRE,
    }
}

/// Ports above 1023 on which servers usually listen.
const SERVER_PORTS: [u16; 14] = [1080, 3000, 3001, 3128, 4000, 5000, 5173, 6274, 6277, 8000, 8080, 8081, 8443, 8888];

/// Whether the sender of a flow's first packet is its client. A SYN tells; else the ports have to.
pub(super) fn sender_is_client(packet: &Packet, tcp: TcpHeader) -> bool {
    if tcp.has(TcpHeader::SYN) {
        return !tcp.has(TcpHeader::ACK);
    }
    let rank = |port: u16| (port >= 1024, !SERVER_PORTS.contains(&port), port);
    rank(packet.tuple.dst.port()) <= rank(packet.tuple.src.port())
}
