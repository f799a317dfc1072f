//! Captures as the stages see them.

use net::{Frame, LinkType, Packet, Place, Timestamp};
use testkit::Capture;

/// Frames with their times, in microseconds since 1970.
pub(crate) type Frames = [(u64, Vec<u8>)];

/// The frames of an Ethernet capture.
pub(crate) fn each(frames: &Frames) -> impl Iterator<Item = Frame<'_>> {
    (1..).zip(frames).map(|(n, (us, data))| Frame {
        place: Place { number: n, file: 0, in_file: n },
        ts: Timestamp(*us as i64 * 1000),
        link: LinkType::from_number(1),
        data,
        wire_len: data.len() as u32,
    })
}

/// Every frame decoded, with its bytes.
pub(crate) fn packets(frames: &Frames) -> Vec<(Packet, &[u8])> {
    each(frames).map(|frame| (net::decode(&frame).unwrap(), frame.data)).collect()
}

/// A classic capture file of such frames.
pub(crate) fn pcap(frames: &Frames) -> Vec<u8> {
    let mut out = Capture::new().pcap();
    for (us, frame) in frames {
        let len = (frame.len() as u32).to_le_bytes();
        let times = [((us / 1_000_000) as u32).to_le_bytes(), ((us % 1_000_000) as u32).to_le_bytes()];
        out.extend_from_slice([times[0], times[1], len, len].as_flattened());
        out.extend_from_slice(frame);
    }
    out
}
