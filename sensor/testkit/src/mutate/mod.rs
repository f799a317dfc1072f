//! Captures that are damaged on purpose: at every layer, and with the layers below it made whole again.
//!
//! Flipping bits anywhere mostly proves that checksums work. So most damage here is put right from below: a changed
//! header gets lengths and checksums that fit, a spliced body gets a packet around it.

mod file;
mod packet;

use crate::Rng;
use file::{Block, File, SECTION};
use packet::{layout, repair};

/// One way of damaging a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Bits flipped anywhere in the file, at one of several ratios.
    Bits,
    /// Bits flipped in packets; the file around them stays whole.
    PacketBits,
    /// Bits flipped in what TCP or UDP carry, repaired below.
    PayloadBits,
    /// The end of the file is missing.
    Cut,
    /// The end of some packets is missing, as by a snap length.
    Snap,
    /// Packets left out.
    Remove,
    /// Packets that come twice.
    Duplicate,
    /// Packets in another order.
    Reorder,
    /// A field of an IP, TCP or UDP header holds something else; lengths and checksums are repaired, or not.
    Header,
    /// Bytes put into or taken out of a payload, repaired below.
    Resize,
    /// The head of one HTTP message before the body of another.
    Splice,
    /// A number in a payload is another number.
    Number,
    /// A word that means something to a parser, put into a payload.
    Word,
    /// The structure of the file: its header, block types, lengths and interfaces.
    Structure,
}

impl Damage {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Bits,
        Self::PacketBits,
        Self::PayloadBits,
        Self::Cut,
        Self::Snap,
        Self::Remove,
        Self::Duplicate,
        Self::Reorder,
        Self::Header,
        Self::Resize,
        Self::Splice,
        Self::Number,
        Self::Word,
        Self::Structure,
    ];
}

/// What parsers act on.
const WORDS: [&[u8]; 30] = [
    b"\r\n\r\n",
    b"\n",
    b"\r\nContent-Length: 99999999999999999999\r\n",
    b"\r\nContent-Length: -1\r\n",
    b"\r\nTransfer-Encoding: chunked\r\n",
    b"\r\nTransfer-Encoding: gzip, chunked\r\n",
    b"\r\nContent-Encoding: gzip\r\n",
    b"\r\nContent-Encoding: br, zstd, deflate\r\n",
    b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    b"\r\nContent-Type: text/event-stream\r\n",
    b"\r\nMcp-Session-Id: \xff\xfe\r\n",
    b"ffffffffffffffff\r\n",
    b"0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"CONNECT a:443 HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\xff\xff\x01",
    b"\x1f\x8b\x08\x00",
    b"\x28\xb5\x2f\xfd\xff",
    b"\x78\x9c",
    b"\xff\xfe{\0",
    b"\xef\xbb\xbf",
    b"\\ud800\\u0000",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"{\"method\":{\"method\":[\"",
    b"\"jsonrpc\":\"2.0\",\"id\":1e999,",
    b"event: endpoint\ndata: //[::1]:99999/\n\n",
    b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xc1\x7e\xff\xff",
];

/// The capture `file` with one to four damages, chosen and placed by `seed`; the same each time.
pub fn mutate(file: &[u8], seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let mut out = file.to_vec();
    for _ in 0..=rng.below(4) {
        let damage = Damage::ALL[rng.below(Damage::ALL.len())];
        out = apply(&out, damage, &mut rng);
    }
    out
}

/// The capture `file` with one damage of this kind.
pub fn apply(file: &[u8], damage: Damage, rng: &mut Rng) -> Vec<u8> {
    let mut parts = File::parse(file);
    let packets = parts.len();
    let some = |rng: &mut Rng| 1 + rng.below(packets.div_ceil(4).min(16));
    match damage {
        Damage::Bits => return bits(file, rng),
        Damage::Cut => return file[..rng.below(file.len())].to_vec(),
        Damage::Structure => return structure(parts, rng),
        _ if packets == 0 => return bits(file, rng),
        Damage::PacketBits => {
            (0..some(rng)).for_each(|_| each(&mut parts, rng, |frame, _, rng| *frame = bits(frame, rng)));
        }
        Damage::Snap => (0..some(rng)).for_each(|_| parts.snap(rng.below(packets), rng.below(100))),
        Damage::Remove => (0..some(rng)).for_each(|_| parts.arrange(rng.below(packets), None, false)),
        Damage::Duplicate => {
            (0..some(rng)).for_each(|_| parts.arrange(rng.below(packets), Some(rng.below(packets)), true));
        }
        Damage::Reorder => {
            (0..some(rng)).for_each(|_| parts.arrange(rng.below(packets), Some(rng.below(packets)), false));
        }
        Damage::Header => (0..some(rng)).for_each(|_| each(&mut parts, rng, header)),
        Damage::Splice => splice(&mut parts, rng),
        Damage::PayloadBits => payloads(&mut parts, rng, |payload, rng| *payload = bits(payload, rng)),
        Damage::Resize => payloads(&mut parts, rng, resize),
        Damage::Number => payloads(&mut parts, rng, number),
        Damage::Word => payloads(&mut parts, rng, |payload, rng| {
            let at = rng.below(payload.len() + 1);
            payload.splice(at..at, WORDS[rng.below(WORDS.len())].iter().copied());
        }),
    }
    parts.write()
}

fn bits(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut out = bytes.to_vec();
    // One bit in so many.
    let every = [20, 100, 1_000, 10_000][rng.below(4)];
    let flips = (bytes.len() * 8 / every).clamp(1, 20_000);
    for _ in 0..flips.min(bytes.len() * 8) {
        let bit = rng.below(bytes.len() * 8);
        out[bit / 8] ^= 1 << (bit % 8);
    }
    out
}

/// Changes one packet, chosen at random.
fn each(parts: &mut File, rng: &mut Rng, change: impl FnOnce(&mut Vec<u8>, u32, &mut Rng)) {
    let n = rng.below(parts.len());
    let link = parts.link().unwrap_or(u32::MAX);
    if let Some(frame) = parts.packet(n) {
        let mut frame = frame.to_vec();
        change(&mut frame, link, rng);
        parts.set_packet(n, frame);
    }
}

/// Numbers of the packets that carry something.
fn full(parts: &File) -> Vec<usize> {
    let link = parts.link().unwrap_or(u32::MAX);
    let carries =
        |n: &usize| parts.packet(*n).and_then(|f| layout(f, link).map(|l| l.payload < f.len())).unwrap_or(false);
    (0..parts.len()).filter(carries).collect()
}

/// Longest payload made, so that a packet still has a length that IP can say.
const LONGEST: usize = 60_000;

/// Changes what some packets carry, and repairs what is around it.
fn payloads(parts: &mut File, rng: &mut Rng, change: impl Fn(&mut Vec<u8>, &mut Rng)) {
    let link = parts.link().unwrap_or(u32::MAX);
    let full = full(parts);
    for _ in 0..=rng.below(4) {
        let Some(&n) = full.get(rng.below(full.len())) else { return };
        let Some(frame) = parts.packet(n).map(<[u8]>::to_vec) else { return };
        let Some(at) = layout(&frame, link).map(|l| l.payload) else { return };
        let mut payload = frame[at..].to_vec();
        change(&mut payload, rng);
        payload.truncate(LONGEST);
        let mut frame = [&frame[..at], &payload].concat();
        repair(&mut frame, link);
        parts.set_packet(n, frame);
    }
}

fn resize(payload: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.below(payload.len() + 1);
    if rng.below(2) == 0 {
        let len = 1 + rng.below(200);
        let bytes: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
        payload.splice(at..at, bytes);
    } else {
        payload.drain(at..(at + rng.below(200)).min(payload.len()));
    }
}

fn number(payload: &mut Vec<u8>, rng: &mut Rng) {
    let digits: Vec<usize> = (0..payload.len()).filter(|at| payload[*at].is_ascii_digit()).collect();
    let Some(&at) = digits.get(rng.below(digits.len())) else { return };
    let start = payload[..at].iter().rposition(|b| !b.is_ascii_digit()).map_or(0, |p| p + 1);
    let end = payload[at..].iter().position(|b| !b.is_ascii_digit()).map_or(payload.len(), |p| at + p);
    let old: u64 = std::str::from_utf8(&payload[start..end]).ok().and_then(|t| t.parse().ok()).unwrap_or(0);
    let new = match rng.below(6) {
        0 => "0".to_owned(),
        1 => old.wrapping_add(1).to_string(),
        2 => old.saturating_sub(1).to_string(),
        3 => old.wrapping_mul(2).wrapping_add(7).to_string(),
        4 => u64::MAX.to_string(),
        _ => "-1".to_owned(),
    };
    payload.splice(start..end, new.into_bytes());
}

/// Something else in a field of a header.
fn header(frame: &mut Vec<u8>, link: u32, rng: &mut Rng) {
    let Some(found) = layout(frame, link) else { return };
    let headers = [found.ip.clone(), found.transport.clone()];
    for _ in 0..=rng.below(3) {
        let range = headers[rng.below(2)].clone();
        let at = range.start + rng.below(range.len());
        // Values at the edge find more than any other.
        frame[at] = [0, 0xff, 0x7f, 0x80, frame[at].wrapping_add(1), rng.next_u64() as u8][rng.below(6)];
    }
    match rng.below(4) {
        // A byte or four of options, or of padding, where none were.
        0 => {
            let options: Vec<u8> = (0..4 * (1 + rng.below(5))).map(|_| rng.next_u64() as u8).collect();
            frame.splice(found.payload..found.payload, options);
        }
        // Lengths and checksums as they were: what does not fit is part of it.
        1 => return,
        _ => {}
    }
    repair(frame, link);
}

/// The head of one message before the body of another.
fn splice(parts: &mut File, rng: &mut Rng) {
    let link = parts.link().unwrap_or(u32::MAX);
    let split = |n: usize| {
        let frame = parts.packet(n)?;
        let payload = layout(frame, link)?.payload;
        let at = frame[payload..].windows(4).position(|w| w == b"\r\n\r\n")?;
        Some((n, payload, payload + at + 4))
    };
    let heads: Vec<_> = full(parts).into_iter().filter_map(split).collect();
    let (Some(&(n, _, body)), Some(&(other, _, other_body))) =
        (heads.get(rng.below(heads.len())), heads.get(rng.below(heads.len())))
    else {
        return;
    };
    let (Some(head), Some(tail)) = (parts.packet(n), parts.packet(other)) else { return };
    let mut frame = [&head[..body], &tail[other_body..]].concat();
    repair(&mut frame, link);
    parts.set_packet(n, frame);
}

/// Wrong headers, lengths and blocks.
fn structure(mut parts: File, rng: &mut Rng) -> Vec<u8> {
    let edge = |rng: &mut Rng| [0, 1, 0x7f, 0x80, 0xff, rng.next_u64() as u8][rng.below(6)];
    match &mut parts {
        File::Lump(bytes) => return bits(bytes, rng),
        File::Pcap { header, .. } if rng.below(2) == 0 => header[rng.below(24)] = edge(rng),
        File::Pcapng { blocks, .. } if !blocks.is_empty() && rng.below(3) > 0 => {
            let n = rng.below(blocks.len());
            match rng.below(5) {
                0 => blocks[n].kind = [1, 2, 3, 4, 5, 6, 10, SECTION, 0x8000_0001][rng.below(9)],
                1 => blocks.insert(rng.below(n + 1), Block { kind: SECTION, body: blocks[0].body.clone() }),
                2 => {
                    let len = rng.below(blocks[n].body.len() + 1);
                    blocks[n].body.truncate(len);
                }
                3 => {
                    let copy = blocks[n].clone();
                    blocks.insert(rng.below(n + 1), copy);
                }
                _ => {
                    let len = blocks[n].body.len();
                    if let Some(byte) = blocks[n].body.get_mut(rng.below(len.min(40))) {
                        *byte = edge(rng);
                    }
                }
            }
        }
        // The lengths themselves, in the file as it is.
        File::Pcap { records, .. } => {
            let n = rng.below(records.len());
            let before: usize = (0..n).filter_map(|n| parts.packet(n)).map(|p| p.len() + 16).sum();
            let mut out = parts.write();
            if let Some(byte) = out.get_mut(24 + before + rng.below(16)) {
                *byte = edge(rng);
            }
            return out;
        }
        File::Pcapng { blocks, .. } => {
            let n = rng.below(blocks.len());
            let before: usize = blocks[..n].iter().map(|b| b.body.len().next_multiple_of(4) + 12).sum();
            let mut out = parts.write();
            if let Some(byte) = out.get_mut(before + rng.below(8)) {
                *byte = edge(rng);
            }
            return out;
        }
    }
    parts.write()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capture, Direction, Wire, http};

    fn seed() -> Vec<u8> {
        let mut capture = Capture::new();
        for n in 0..3 {
            let flow = capture.flow(&format!("10.0.0.1:{}", 500 + n), "10.0.0.2:80", Wire::default());
            capture.send(flow, Direction::ToServer, &http::post("a.example", "/mcp", "", "{\"id\":17}"));
            capture.send(flow, Direction::ToClient, &http::json("", "[1,2,3]"));
        }
        capture.pcap()
    }

    #[test]
    fn every_damage_changes_something_and_the_same_seed_does_the_same() {
        for damage in Damage::ALL {
            let run = |n| apply(&seed(), damage, &mut Rng::new(n));
            assert!((0..20).any(|n| run(n) != seed()), "{damage:?}");
            assert!((0..20).all(|n| run(n) == run(n)), "{damage:?}");
        }
        assert_eq!(mutate(&seed(), 7), mutate(&seed(), 7));
    }

    #[test]
    fn files_that_are_no_captures_can_be_damaged_too() {
        for file in [&b""[..], b"x", &seed()[..24], &seed()[..30]] {
            for damage in Damage::ALL {
                (0..20).for_each(|n| drop(apply(file, damage, &mut Rng::new(n))));
            }
        }
    }

    #[test]
    fn a_number_that_can_grow_no_more_becomes_another() {
        for n in 0..20 {
            let mut payload = format!("a {} b", u64::MAX).into_bytes();
            number(&mut payload, &mut Rng::new(n));
            assert!(payload.starts_with(b"a ") && payload.ends_with(b" b"));
        }
    }

    #[test]
    fn a_changed_payload_is_in_a_packet_that_fits_it() {
        let mut repaired = 0;
        for n in 0..50 {
            for damage in [Damage::Word, Damage::Number, Damage::Resize, Damage::Splice, Damage::PayloadBits] {
                let file = File::parse(&apply(&seed(), damage, &mut Rng::new(n)));
                for n in 0..file.len() {
                    let frame = file.packet(n).unwrap();
                    let mut again = frame.to_vec();
                    repair(&mut again, 1);
                    assert_eq!(again, frame, "{damage:?}");
                    repaired += 1;
                }
            }
        }
        assert!(repaired > 1_000);
    }
}
