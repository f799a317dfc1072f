//! Connections played from a script, and what must hold of any.

use super::blocks::Block;
use super::lane::{At, Lane};
use super::{Flow, Start};
use crate::conn::Context;
use crate::http1::fuzz::{Event, Log, Seen};
use crate::{ExchangeId, Limits, Stats};
use net::Direction;
use std::collections::HashSet;

/// Plays a connection to its close, each piece in parts of at most `cut(..)` bytes, and checks that every exchange
/// ended in both directions.
pub(super) fn play(
    events: &[Event<'_>],
    start: Start,
    limits: &Limits,
    mut cut: impl FnMut() -> usize,
) -> (Log, Stats, Flow) {
    let (mut log, mut stats) = (Log::default(), Stats::default());
    let mut flow = Flow::new(ExchangeId(u32::from(start != Start::Preface)), start);
    let mut cx = Context { limits, stats: &mut stats, sink: &mut log };
    for event in events {
        match *event {
            Event::Bytes(wire, mut bytes) => {
                while !bytes.is_empty() {
                    let (piece, rest) = bytes.split_at(cut().clamp(1, bytes.len()));
                    flow.bytes(&mut cx, wire, piece);
                    bytes = rest;
                }
            }
            Event::Gap(wire, n) => flow.gap(&mut cx, wire, n.max(1)),
            Event::Fin(wire) => flow.fin(&mut cx, wire),
        }
    }
    flow.close(&mut cx);
    let ended = |dir: Direction| -> HashSet<Option<u32>> {
        let list = dir.of(&log.seen);
        list.iter().filter(|(_, seen)| matches!(seen, Seen::End(_))).map(|(id, _)| *id).collect()
    };
    let over = [ended(Direction::ToServer), ended(Direction::ToClient)];
    for (id, _) in log.seen.iter().flatten().filter(|(id, _)| id.is_some()) {
        // The request of an exchange taken over from HTTP/1 ended there.
        let taken_over = start != Start::Preface && *id == Some(0);
        assert!(taken_over || over.iter().all(|dir| dir.contains(id)), "exchange {id:?} never ended");
    }
    (log, stats, flow)
}

impl Flow {
    /// Bytes were searched for a frame, so where pieces begin may show.
    pub(super) fn was_lost(&self, stats: &Stats) -> bool {
        stats.resynchronisations > 0 || self.lanes.iter().any(Lane::was_lost)
    }
}

/// Drives a connection with `data` as a script: a byte of options, then events of a kind byte, two length bytes,
/// and that many bytes where the kind is data. How pieces are cut must change nothing while the place is known.
///
/// # Panics
///
/// If it does, if an exchange does not end once in each direction, or if a part comes after that.
pub fn fuzz_http2(data: &[u8]) {
    let Some((&options, mut rest)) = data.split_first() else { return };
    let mut events = Vec::new();
    while let [kind, hi, lo, more @ ..] = rest {
        let n = usize::from(u16::from_be_bytes([*hi, *lo]));
        let dir = if kind & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        rest = more;
        events.push(match kind >> 1 & 7 {
            0 => Event::Gap(dir, n as u64),
            1 => Event::Fin(dir),
            _ => {
                let (bytes, after) = more.split_at(n.min(more.len()));
                rest = after;
                Event::Bytes(dir, bytes)
            }
        });
    }
    let start = match options & 3 {
        0 | 1 => Start::Preface,
        2 => Start::Upgraded(ExchangeId(0)),
        _ => Start::Midstream,
    };
    let limits = if options & 4 == 0 {
        Limits::default()
    } else {
        Limits { head_bytes: 200, pipeline: 2, search_bytes: 100, ..Limits::default() }
    };
    let (whole, stats, flow) = play(&events, start, &limits, || usize::MAX);
    let mut seed = u32::from(options >> 3) | 1;
    for most in [1, 24] {
        let (cut, ..) = play(&events, start, &limits, || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            1 + (seed >> 16) as usize % most
        });
        if !flow.was_lost(&stats) {
            assert_eq!(whole, cut, "cut into pieces of at most {most}");
        }
    }
}

/// What came of blocks: the fields of each, and what was met.
type Blocks = Vec<(Vec<(String, Vec<u8>)>, [bool; 3], u32)>;

/// Reads blocks of one direction, each in parts of at most `cut(..)` bytes.
fn read_blocks(blocks: &[&[u8]], late: bool, limit: usize, mut cut: impl FnMut() -> usize) -> Blocks {
    let mut lane = Lane::new(At::Header, late);
    let mut out = Vec::new();
    for mut block in blocks.iter().copied() {
        lane.block_begins(Block::of_headers(1, false));
        let mut whole = true;
        while whole && !block.is_empty() {
            let (piece, rest) = block.split_at(cut().clamp(1, block.len()));
            whole = lane.read(piece, limit);
            block = rest;
        }
        if !whole || !lane.carry.is_empty() {
            lane.break_block();
        }
        let fields = &lane.fields;
        let list: Vec<_> = fields.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        let size: usize = list.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
        // A name that is no UTF-8 reads as another.
        assert!(size <= limit + 3 * list.len(), "a list of {size} bytes");
        assert_eq!(list.len(), fields.len());
        out.push((list, [fields.over, fields.bad, fields.capped], fields.unknown));
    }
    out
}

/// Reads `data` as header blocks, each behind a length byte; the first byte says whether the beginning was missed,
/// and how to cut.
///
/// # Panics
///
/// If how blocks are cut changes what is read, or a list outgrows its limit.
pub fn fuzz_hpack(data: &[u8]) {
    let Some((&options, mut rest)) = data.split_first() else { return };
    let mut blocks = Vec::new();
    while let Some((&len, more)) = rest.split_first() {
        let (block, after) = more.split_at(usize::from(len).min(more.len()));
        blocks.push(block);
        rest = after;
    }
    let late = options & 1 != 0;
    let limit = if options & 2 == 0 { 64 << 10 } else { 100 };
    let whole = read_blocks(&blocks, late, limit, || usize::MAX);
    let most = 1 + usize::from(options >> 2);
    for most in [1, most] {
        assert_eq!(whole, read_blocks(&blocks, late, limit, || most), "cut into pieces of {most}");
    }
}
