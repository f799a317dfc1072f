//! One datagram in the making.

use super::Origin;
use crate::Timestamp;
use crate::decode::Outer;
use crate::tunnel::Path;
use std::ops::Range;

/// What a fragment did to its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// Others are missing.
    Waits,
    /// It is whole.
    Whole,
    /// The fragment contradicts what came before and is left out.
    Bad,
    /// The datagram must be thrown away.
    Poisoned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Whole,
    Poisoned,
}

/// Bytes of the datagram that one fragment brought.
#[derive(Clone, Debug)]
struct Piece {
    /// Where they belong.
    start: u32,
    end: u32,
    /// Where they lie in `bytes`, and how many of them were captured.
    at: usize,
    len: usize,
    /// Of the whole fragment, to know copies of it.
    hash: u64,
}

/// What came out.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) bytes: Vec<u8>,
    /// Length on the wire.
    pub(super) len: u32,
    pub(super) protocol: u8,
    pub(super) outer: Outer,
    pub(super) path: Path,
    pub(super) conflict: bool,
    pub(super) frames: Vec<u64>,
    pub(super) frame_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) serial: u64,
    /// When its first fragment came, and when it became whole.
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    outer: Outer,
    path: Path,
    state: State,
    /// What the fragment at 0 says it holds.
    protocol: u8,
    /// In the order in which they came.
    bytes: Vec<u8>,
    /// In the order in which they belong; they do not overlap.
    pieces: Vec<Piece>,
    /// Known once the last fragment came.
    total: Option<u32>,
    /// Bytes of the datagram that pieces cover.
    covered: u32,
    conflict: bool,
    frames: Vec<u64>,
    frame_bytes: u64,
}

impl Datagram {
    pub(super) const fn new(serial: u64, first: Timestamp, outer: Outer, path: Path) -> Self {
        Self {
            serial,
            first,
            last: first,
            outer,
            path,
            state: State::Waiting,
            protocol: 0,
            bytes: Vec::new(),
            pieces: Vec::new(),
            total: None,
            covered: 0,
            conflict: false,
            frames: Vec::new(),
            frame_bytes: 0,
        }
    }

    /// What its lists take, in bytes.
    pub(super) const fn size(&self) -> usize {
        self.bytes.capacity() + self.pieces.capacity() * size_of::<Piece>() + self.frames.capacity() * size_of::<u64>()
    }

    pub(super) fn is_whole(&self) -> bool {
        self.state == State::Whole
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.state == State::Poisoned
    }

    /// Whether this very fragment is part of it.
    pub(super) fn has(&self, start: u32, end: u32, hash: u64) -> bool {
        let at = self.pieces.partition_point(|p| p.start < start);
        self.pieces.get(at).is_some_and(|p| p.start == start && p.end == end && p.hash == hash)
    }

    pub(super) fn count(&mut self, origin: Origin) {
        self.frames.extend(origin.frames);
        self.frame_bytes += origin.bytes;
    }

    pub(super) fn into_origin(self) -> Origin {
        Origin { frames: self.frames, bytes: self.frame_bytes }
    }

    /// Throws away what there is, and all that will come.
    pub(super) fn poison(&mut self) -> Origin {
        self.state = State::Poisoned;
        self.bytes = Vec::new();
        self.pieces = Vec::new();
        Origin { frames: std::mem::take(&mut self.frames), bytes: std::mem::take(&mut self.frame_bytes) }
    }

    /// A fragment of `range`, of which `bytes` were captured. `first_wins` says what to do with overlaps: keep what
    /// came first (IPv4), or throw everything away (IPv6).
    pub(super) fn add(
        &mut self,
        (range, more): (Range<u32>, bool),
        bytes: &[u8],
        hash: u64,
        protocol: u8,
        first_wins: bool,
    ) -> Added {
        if self.is_poisoned() {
            return Added::Poisoned;
        }
        if self.has(range.start, range.end, hash) {
            return Added::Waits;
        }
        let covered = self.pieces.last().map_or(0, |p| p.end);
        let beyond = self.total.is_some_and(|total| range.end > total || (!more && range.end != total));
        if beyond || (!more && covered > range.end) {
            // Two ends: receivers take the one or the other, or none.
            self.conflict = true;
            return if first_wins { Added::Bad } else { Added::Poisoned };
        }
        let at = self.pieces.partition_point(|p| p.end <= range.start);
        let overlaps = self.pieces.get(at).is_some_and(|p| p.start < range.end);
        if overlaps && !first_wins {
            return Added::Poisoned;
        }
        if !more {
            self.total = Some(range.end);
        }
        if range.start == 0 && self.pieces.first().is_none_or(|p| p.start > 0) {
            self.protocol = protocol;
        }
        self.fill(at, range, bytes, hash);
        if self.total == Some(self.covered) { Added::Whole } else { Added::Waits }
    }

    /// Puts what is new of a fragment between the pieces, from the one at `at` on.
    fn fill(&mut self, mut at: usize, range: Range<u32>, bytes: &[u8], hash: u64) {
        let base = self.bytes.len();
        let mut from = range.start;
        while from < range.end {
            let next = self.pieces.get(at).filter(|p| p.start < range.end);
            let until = next.map_or(range.end, |p| p.start);
            if from < until {
                let lies = captured(bytes, range.start, from..until);
                let piece = Piece { start: from, end: until, at: self.bytes.len(), len: lies.len(), hash };
                self.bytes.extend_from_slice(lies);
                self.pieces.insert(at, piece);
                self.covered += until - from;
                at += 1;
            }
            let Some(known) = self.pieces.get(at).filter(|p| p.start < range.end) else { break };
            let both = known.start.max(range.start)..known.end.min(range.end);
            // Pieces put in just now lie behind `base`.
            if known.at < base {
                let old = captured(
                    self.bytes.get(known.at..known.at + known.len).unwrap_or_default(),
                    known.start,
                    both.clone(),
                );
                let new = captured(bytes, range.start, both);
                let len = old.len().min(new.len());
                self.conflict |= old.get(..len) != new.get(..len);
            }
            from = known.end;
            at += 1;
        }
    }

    /// Takes out what is whole; remembers which fragments there were.
    pub(super) fn finish(&mut self) -> Finished {
        self.state = State::Whole;
        let mut bytes = std::mem::take(&mut self.bytes);
        let lie_in_order =
            self.pieces.iter().try_fold(0_usize, |end, p| (p.at == end && spans(p) == p.len).then_some(end + p.len));
        if lie_in_order != Some(bytes.len()) {
            let mut ordered = Vec::with_capacity(bytes.len());
            for piece in &self.pieces {
                ordered.extend_from_slice(bytes.get(piece.at..piece.at + piece.len).unwrap_or_default());
                if piece.len < spans(piece) {
                    // Cut by the snaplen: what lies behind has no place in an unbroken run.
                    break;
                }
            }
            bytes = ordered;
        }
        Finished {
            bytes,
            len: self.covered,
            protocol: self.protocol,
            outer: self.outer,
            path: self.path,
            conflict: self.conflict,
            frames: std::mem::take(&mut self.frames),
            frame_bytes: std::mem::take(&mut self.frame_bytes),
        }
    }
}

fn spans(piece: &Piece) -> usize {
    usize::try_from(piece.end - piece.start).unwrap_or(usize::MAX)
}

/// The part of `bytes`, which begin at `start` of the datagram, that lies in `range` of it, as far as captured.
fn captured(bytes: &[u8], start: u32, range: Range<u32>) -> &[u8] {
    let at = |n: u32| usize::try_from(n.saturating_sub(start)).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(at(range.start)..at(range.end)).unwrap_or_default()
}
