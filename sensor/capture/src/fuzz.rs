//! Entry points for fuzzing, also run by tests over known input.

use crate::unpack::Input;
use crate::{Options, Reader};
use net::{LinkType, Place, Timestamp};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Cursor, Read};

/// Frames compared per input.
const MAX_COMPARED: usize = 20_000;

/// Gives its bytes out in small pieces, of changing size.
struct Drip {
    bytes: Cursor<Vec<u8>>,
    turn: usize,
}

impl Read for Drip {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        let len = (self.turn * 7 % 61 + 1).min(out.len());
        self.bytes.read(out.get_mut(..len).unwrap_or_default())
    }
}

type Seen = (Place, Timestamp, LinkType, u32, usize, u64);

fn frames(sources: Vec<Input>, block_bytes: usize) -> Option<(Vec<Seen>, Vec<crate::Notice>)> {
    let options = Options { block_bytes, ..Options::default() };
    let sources = sources.into_iter().enumerate().map(|(i, source)| (format!("{i}"), source)).collect();
    let mut reader = Reader::from_sources(sources, &options).ok()?;
    let mut seen = Vec::new();
    while let Ok(Some(batch)) = reader.next_batch() {
        for frame in batch.iter() {
            let mut hasher = DefaultHasher::new();
            hasher.write(frame.data);
            seen.push((frame.place, frame.ts, frame.link, frame.wire_len, frame.data.len(), hasher.finish()));
        }
        if seen.len() > MAX_COMPARED {
            seen.truncate(MAX_COMPARED);
            return Some((seen, Vec::new()));
        }
    }
    assert_eq!(reader.stats().packets, seen.len() as u64, "packets are counted");
    let notices = reader.notices().collect();
    Some((seen, notices))
}

/// Reads `data` as a file: in one piece, and in small pieces with small blocks. Both must give the same.
///
/// # Panics
///
/// If they do not.
pub fn fuzz_reader(data: &[u8]) {
    let whole = frames(vec![Box::new(Cursor::new(data.to_vec()))], 1 << 20);
    let drip = Drip { bytes: Cursor::new(data.to_vec()), turn: 0 };
    let pieces = frames(vec![Box::new(drip)], Options::MIN_BLOCK_BYTES);
    assert_eq!(whole, pieces, "the way of reading shows in the frames");
}

/// Reads `data` as two files to be merged, cut where its first two bytes say.
///
/// # Panics
///
/// If numbering or order do not hold, or the size of blocks shows.
pub fn fuzz_merge(data: &[u8]) {
    let Some((&[a, b], data)) = data.split_first_chunk() else { return };
    let cut = usize::from(u16::from_be_bytes([a, b])).min(data.len());
    let (first, second) = data.split_at(cut);
    let sources =
        || -> Vec<Input> { vec![Box::new(Cursor::new(first.to_vec())), Box::new(Cursor::new(second.to_vec()))] };
    let merged = frames(sources(), 1 << 20);
    assert_eq!(merged, frames(sources(), Options::MIN_BLOCK_BYTES), "the size of blocks shows in the merge");
    let Some((seen, _)) = merged else { return };
    let mut in_file = [0, 0];
    for (number, (place, ..)) in (1..).zip(&seen) {
        assert_eq!(place.number, number, "numbers have no gaps");
        if let Some(count) = in_file.get_mut(usize::from(place.file)) {
            *count += 1;
            assert_eq!(place.in_file, *count, "the order within a file holds");
        }
    }
}

/// Runs `data` as a filter program (8 bytes an instruction, up to 16) over the rest of `data`.
#[cfg(feature = "pcap")]
pub fn fuzz_bpf(data: &[u8]) {
    use crate::bpf::{Instruction, Program};
    let (code, frame) = data.split_at(data.len().min(16 * 8));
    let instructions = code.chunks_exact(8).map(|c| match *c {
        [a, b, jt, jf, k0, k1, k2, k3] => {
            Instruction { code: u16::from_be_bytes([a, b]), jt, jf, k: u32::from_be_bytes([k0, k1, k2, k3]) }
        }
        _ => Instruction { code: 0, jt: 0, jf: 0, k: 0 },
    });
    Program(instructions.collect()).run(frame, 1500);
}
