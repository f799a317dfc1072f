//! Capture files taken apart and put together again, so that one layer can be damaged and the others stay whole.

/// A capture file in its parts. What is no capture, or is damaged, is one lump of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum File {
    Pcap { header: Vec<u8>, records: Vec<Record>, rest: Vec<u8> },
    Pcapng { big: bool, blocks: Vec<Block>, rest: Vec<u8> },
    Lump(Vec<u8>),
}

/// A packet of a pcap file: time and original length as they stand, and the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    time: [u8; 8],
    original: [u8; 4],
    data: Vec<u8>,
    big: bool,
}

/// A block of a pcapng file without its framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) kind: u32,
    pub(super) body: Vec<u8>,
}

/// Kind of a section header block.
pub(super) const SECTION: u32 = 0x0a0d_0d0a;
/// Kind of an enhanced packet block.
const PACKET: u32 = 6;
/// Kind of an interface description block.
const INTERFACE: u32 = 1;
/// What an enhanced packet block has before its packet.
const BEFORE_PACKET: usize = 20;

fn word(bytes: &[u8], at: usize, big: bool) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
}

const fn bytes(word: u32, big: bool) -> [u8; 4] {
    if big { word.to_be_bytes() } else { word.to_le_bytes() }
}

impl File {
    pub(super) fn parse(file: &[u8]) -> Self {
        let parsed = match file {
            [0xd4, 0xc3, 0xb2, 0xa1, ..] | [0x4d, 0x3c, 0xb2, 0xa1, ..] => Self::pcap(file, false),
            [0xa1, 0xb2, 0xc3, 0xd4, ..] | [0xa1, 0xb2, 0x3c, 0x4d, ..] => Self::pcap(file, true),
            [0x0a, 0x0d, 0x0d, 0x0a, ..] => Self::pcapng(file),
            _ => None,
        };
        parsed.unwrap_or_else(|| Self::Lump(file.to_vec()))
    }

    fn pcap(file: &[u8], big: bool) -> Option<Self> {
        let header = file.get(..24)?.to_vec();
        let (mut records, mut at) = (Vec::new(), 24);
        while let Some(len) = word(file, at + 8, big)
            && let Some(data) = file.get(at + 16..at + 16 + len as usize)
        {
            let time = file.get(at..at + 8)?.try_into().ok()?;
            let original = file.get(at + 12..at + 16)?.try_into().ok()?;
            records.push(Record { time, original, data: data.to_vec(), big });
            at += 16 + len as usize;
        }
        Some(Self::Pcap { header, records, rest: file.get(at..)?.to_vec() })
    }

    fn pcapng(file: &[u8]) -> Option<Self> {
        let big = file.get(8..12)? == [0x1a, 0x2b, 0x3c, 0x4d];
        let (mut blocks, mut at) = (Vec::new(), 0);
        while let Some(kind) = word(file, at, big)
            && let Some(len) = word(file, at + 4, big).map(|len| len as usize)
            && len >= 12
            && len.is_multiple_of(4)
            && let Some(body) = file.get(at + 8..at + len - 4)
            && file.len() >= at + len
        {
            blocks.push(Block { kind, body: body.to_vec() });
            at += len;
        }
        Some(Self::Pcapng { big, blocks, rest: file.get(at..)?.to_vec() })
    }

    /// The whole file with lengths that fit.
    pub(super) fn write(&self) -> Vec<u8> {
        match self {
            Self::Lump(bytes) => bytes.clone(),
            Self::Pcap { header, records, rest } => {
                let mut out = header.clone();
                for record in records {
                    out.extend_from_slice(&record.time);
                    out.extend_from_slice(&bytes(record.data.len() as u32, record.big));
                    out.extend_from_slice(&record.original);
                    out.extend_from_slice(&record.data);
                }
                out.extend_from_slice(rest);
                out
            }
            Self::Pcapng { big, blocks, rest } => {
                let mut out = Vec::new();
                for block in blocks {
                    let len = bytes((12 + block.body.len().next_multiple_of(4)) as u32, *big);
                    out.extend_from_slice(&bytes(block.kind, *big));
                    out.extend_from_slice(&len);
                    out.extend_from_slice(&block.body);
                    out.resize(out.len().next_multiple_of(4), 0);
                    out.extend_from_slice(&len);
                }
                out.extend_from_slice(rest);
                out
            }
        }
    }

    /// How many packets it has.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Lump(_) => 0,
            Self::Pcap { records, .. } => records.len(),
            Self::Pcapng { blocks, .. } => blocks.iter().filter(|b| b.kind == PACKET).count(),
        }
    }

    /// The link type of all packets, where there is one.
    pub(super) fn link(&self) -> Option<u32> {
        match self {
            Self::Lump(_) => None,
            Self::Pcap { header, records, .. } => word(header, 20, records.first()?.big).map(|l| l & 0xffff),
            Self::Pcapng { big, blocks, .. } => {
                let first = blocks.iter().find(|b| b.kind == INTERFACE)?;
                word(&first.body, 0, *big).map(|l| l & 0xffff)
            }
        }
    }

    /// The bytes of packet `n`.
    pub(super) fn packet(&self, n: usize) -> Option<&[u8]> {
        match self {
            Self::Lump(_) => None,
            Self::Pcap { records, .. } => Some(&records.get(n)?.data),
            Self::Pcapng { big, blocks, .. } => {
                let body = &blocks.iter().filter(|b| b.kind == PACKET).nth(n)?.body;
                let len = word(body, 12, *big)? as usize;
                body.get(BEFORE_PACKET..BEFORE_PACKET + len)
            }
        }
    }

    /// Puts other bytes in place of packet `n`.
    pub(super) fn set_packet(&mut self, n: usize, data: Vec<u8>) {
        match self {
            Self::Lump(_) => {}
            Self::Pcap { records, .. } => {
                if let Some(record) = records.get_mut(n) {
                    record.original = bytes(data.len() as u32, record.big);
                    record.data = data;
                }
            }
            Self::Pcapng { big, blocks, .. } => {
                if let Some(block) = blocks.iter_mut().filter(|b| b.kind == PACKET).nth(n)
                    && block.body.len() >= BEFORE_PACKET
                {
                    let len = bytes(data.len() as u32, *big);
                    block.body.truncate(BEFORE_PACKET);
                    block.body[12..16].copy_from_slice(&len);
                    block.body[16..20].copy_from_slice(&len);
                    block.body.extend_from_slice(&data);
                }
            }
        }
    }

    /// Keeps the first `len` bytes of packet `n`, as a snap length does.
    pub(super) fn snap(&mut self, n: usize, len: usize) {
        if let Self::Pcap { records, .. } = self
            && let Some(record) = records.get_mut(n)
        {
            record.data.truncate(len);
        }
    }

    /// Removes packet `n`, puts it elsewhere, or leaves a copy elsewhere.
    pub(super) fn arrange(&mut self, n: usize, to: Option<usize>, copy: bool) {
        fn arrange<T: Clone>(list: &mut Vec<T>, n: usize, to: Option<usize>, copy: bool) {
            if n < list.len() {
                let item = if copy { list[n].clone() } else { list.remove(n) };
                if let Some(to) = to {
                    list.insert(to.min(list.len()), item);
                }
            }
        }
        match self {
            Self::Lump(_) => {}
            Self::Pcap { records, .. } => arrange(records, n, to, copy),
            Self::Pcapng { blocks, .. } => arrange(blocks, n + 2, to.map(|to| to + 2), copy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capture, Direction, Wire};

    #[test]
    fn a_file_taken_apart_and_put_together_is_the_same() {
        let mut capture = Capture::new();
        let flow = capture.flow("10.0.0.1:5", "10.0.0.2:6", Wire::default());
        capture.send(flow, Direction::ToServer, b"hello");
        let pcap = capture.pcap();
        let file = File::parse(&pcap);
        assert_eq!((file.len(), file.link(), file.write()), (5, Some(1), pcap.clone()));
        assert_eq!(File::parse(&pcap[..pcap.len() - 3]).write(), &pcap[..pcap.len() - 3]);
        for (name, bytes) in [("nothing", &b""[..]), ("a text", b"hello"), ("half a header", &pcap[..20])] {
            assert_eq!(File::parse(bytes), File::Lump(bytes.to_vec()), "{name}");
        }
    }

    #[test]
    fn pcapng_blocks_keep_their_padding_and_order() {
        let block = |kind: u32, body: &[u8]| {
            let len = 12 + body.len() as u32;
            [&kind.to_le_bytes()[..], &len.to_le_bytes(), body, &len.to_le_bytes()].concat()
        };
        let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
        let mut packet = vec![0; 20];
        packet[12] = 3;
        packet[16] = 3;
        packet.extend_from_slice(b"abc\0");
        let file =
            [block(SECTION, &section), block(INTERFACE, &[1, 0, 0, 0, 0, 0, 4, 0]), block(PACKET, &packet)].concat();
        let mut parsed = File::parse(&file);
        assert_eq!((parsed.len(), parsed.link(), parsed.packet(0)), (1, Some(1), Some(&b"abc"[..])));
        assert_eq!(parsed.write(), file);
        parsed.set_packet(0, b"longer".to_vec());
        assert_eq!(File::parse(&parsed.write()).packet(0), Some(&b"longer"[..]));
    }
}
