//! Fragments → datagrams: IPv4 (RFC 791 §3.2, RFC 815) and IPv6 (RFC 8200 §4.5, RFC 5722).
//!
//! What overlaps: in IPv6 the whole datagram is thrown away, as every receiver must (RFC 5722). In IPv4 receivers
//! differ; the first copy is kept, and [`Rebuilt::conflict`] says that another one had other bytes. A repeated
//! fragment changes nothing in either.

mod datagram;
mod limits;
#[cfg(test)]
mod tests;

pub use limits::{FragmentLimits, FragmentStats};

use crate::decode::{Layers, Outer, Part};
use crate::tunnel::{MAX_TUNNELS, Path};
use crate::{Frame, Packet, Timestamp, Tunnel, Undecoded};
use datagram::{Added, Datagram};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use limits::Lost;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::net::IpAddr;

/// So long a datagram that is whole is remembered, for copies of its fragments that a mirror sends.
const REMEMBERED: u64 = Timestamp::SECOND.unsigned_abs();
/// Rebuilt datagrams in each other: one in each tunnel, and the outermost.
const MAX_LEVELS: usize = MAX_TUNNELS + 1;
/// Longest datagram, in bytes.
const LONGEST: u32 = 65_535;
/// What a datagram takes beside its bytes: its place in the table, which may be half empty, and in the order.
const ENTRY: usize = 2 * size_of::<(Key, Datagram)>() + 64;

/// A datagram that was put together.
#[derive(Debug)]
pub struct Rebuilt {
    /// The packet, or why there is nothing to look at. Its place and time are those of the last fragment to come; its
    /// ranges lie in [`Self::bytes`].
    pub packet: Result<Packet, Undecoded>,
    /// The datagram behind its IP header, up to the first byte that the snaplen cut.
    pub bytes: Vec<u8>,
    /// The tunnels around the packet.
    pub path: Path,
    /// Two fragments claimed the same bytes with different content.
    pub conflict: bool,
    /// Numbers of the frames that went into it, in the order in which they came.
    pub frames: Vec<u64>,
    /// Captured bytes of these frames.
    pub frame_bytes: u64,
}

/// What makes fragments belong together (RFC 791 §3.2, RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    /// IPv4 only: in IPv6 the fragments need not agree.
    protocol: u8,
    tunnel: Tunnel,
}

/// The frames behind one fragment: one, or those of the datagram that it came in.
#[derive(Debug)]
struct Origin {
    frames: Vec<u64>,
    bytes: u64,
}

/// Fragments that wait for each other. Every frame given to it is counted once: in [`Rebuilt::frames`], or in the
/// [`FragmentStats`] as repeated or dropped. Time is that of the frames.
#[derive(Debug)]
pub struct Fragments {
    limits: FragmentLimits,
    /// Keyed at random; nothing depends on its order.
    table: HashMap<Key, Datagram, RandomState>,
    /// Datagrams that wait, by the order in which they began.
    waiting: BTreeMap<u64, Key>,
    /// Datagrams that are whole and remembered, by the same.
    whole: BTreeMap<u64, Key>,
    hasher: RandomState,
    serial: u64,
    held: usize,
    stats: FragmentStats,
}

impl Fragments {
    /// Holds nothing yet.
    pub fn new(limits: FragmentLimits) -> Self {
        Self {
            limits,
            table: HashMap::default(),
            waiting: BTreeMap::new(),
            whole: BTreeMap::new(),
            hasher: RandomState::default(),
            serial: 0,
            held: 0,
            stats: FragmentStats::default(),
        }
    }

    /// What was counted so far.
    pub const fn stats(&self) -> &FragmentStats {
        &self.stats
    }

    /// Bytes held at present, bookkeeping included; never over [`FragmentLimits::bytes`].
    pub const fn held_bytes(&self) -> usize {
        self.held
    }

    /// Takes a frame of which [`decode`](crate::decode) said that it is a fragment; any other counts as bad. Gives the
    /// datagram that it completes, if it does.
    pub fn take(&mut self, frame: &Frame<'_>) -> Option<Box<Rebuilt>> {
        self.expire(frame.ts);
        let mut path = Path::default();
        let mut layers = Layers::new(frame, Some(&mut path));
        let found = layers.link();
        let (part, outer) = (layers.fragment.take(), layers.outer);
        let origin = Origin { frames: vec![frame.place.number], bytes: frame.data.len() as u64 };
        let rebuilt = match (found, part) {
            (Err(Undecoded::Fragment), Some(part)) => self.add(frame, &part, outer, path, origin, 1),
            _ => self.lose(Lost::Bad, &origin),
        };
        self.make_room();
        rebuilt
    }

    /// Tells the time where no fragment does: gives up what waited for too long.
    pub fn tick(&mut self, now: Timestamp) {
        self.expire(now);
    }

    /// The input is over: gives up what still waits. Can be used again.
    pub fn finish(&mut self) {
        while let Some((_, key)) = self.waiting.pop_first() {
            self.give_up(&key);
        }
        while let Some((_, key)) = self.whole.pop_first() {
            self.forget(&key);
        }
    }

    fn add(
        &mut self,
        frame: &Frame<'_>,
        part: &Part,
        outer: Outer,
        path: Path,
        origin: Origin,
        level: usize,
    ) -> Option<Box<Rebuilt>> {
        self.stats.fragments += 1;
        let v4 = part.src.is_ipv4();
        let protocol = if v4 { part.protocol } else { 0 };
        let key = Key { src: part.src, dst: part.dst, id: part.id, protocol, tunnel: outer.tunnel };
        let mut end = part.offset.saturating_add(part.wire_len);
        if part.more && !part.wire_len.is_multiple_of(8) {
            // Receivers of IPv4 leave out the odd bytes; those of IPv6 throw it away (RFC 8200 §4.5).
            end = if v4 { end & !7 } else { part.offset };
        }
        if end <= part.offset || end > LONGEST || level > MAX_LEVELS {
            return self.lose(Lost::Bad, &origin);
        }
        let bytes = frame.data.get(part.bytes.clone()).unwrap_or_default();
        let bytes = bytes.get(..usize::try_from(end - part.offset).unwrap_or(0)).unwrap_or(bytes);
        let hash = self.hasher.hash_one(bytes);
        if let Some(known) = self.table.get(&key)
            && known.is_whole()
        {
            if frame.ts.0.abs_diff(known.last.0) <= REMEMBERED && known.has(part.offset, end, hash) {
                self.stats.repeated += origin.frames.len() as u64;
                return None;
            }
            // The number is used again.
            self.whole.remove(&known.serial);
            self.forget(&key);
        }
        if !self.table.contains_key(&key) {
            self.serial += 1;
            self.waiting.insert(self.serial, key);
            let datagram = Datagram::new(self.serial, frame.ts, outer, path);
            self.held += ENTRY + datagram.size();
            self.table.insert(key, datagram);
        }
        let datagram = self.table.get_mut(&key)?;
        let before = datagram.size();
        let added = datagram.add((part.offset..end, part.more), bytes, hash, part.protocol, v4);
        let mut lost = None;
        match added {
            Added::Waits | Added::Whole => datagram.count(origin),
            Added::Bad => lost = Some((Lost::Bad, origin)),
            Added::Poisoned => {
                // What came before goes with it, and so does what will come (RFC 5722 §3).
                self.stats.overlapping += u64::from(!datagram.is_poisoned());
                datagram.count(origin);
                lost = Some((Lost::Overlap, datagram.poison()));
            }
        }
        let whole = (added == Added::Whole).then(|| {
            datagram.last = frame.ts;
            (datagram.serial, datagram.finish())
        });
        self.held = (self.held + datagram.size()).saturating_sub(before);
        if let Some((why, origin)) = lost {
            return self.lose(why, &origin);
        }
        let (serial, whole) = whole?;
        self.waiting.remove(&serial);
        self.whole.insert(serial, key);
        self.stats.datagrams += 1;
        self.stats.conflicts += u64::from(whole.conflict);
        let place = Frame { data: &whole.bytes, wire_len: whole.len, ..*frame };
        let mut path = whole.path;
        let mut layers = Layers::resume(&place, whole.outer, Some(&mut path));
        let packet = layers.upper_of_whole(whole.protocol, part.src, part.dst);
        let (inner, outer) = (layers.fragment.take(), layers.outer);
        let origin = Origin { frames: whole.frames, bytes: whole.frame_bytes };
        if let (Err(Undecoded::Fragment), Some(inner)) = (&packet, inner) {
            return self.add(&place, &inner, outer, path, origin, level + 1);
        }
        let Origin { frames, bytes: frame_bytes } = origin;
        Some(Box::new(Rebuilt { packet, bytes: whole.bytes, path, conflict: whole.conflict, frames, frame_bytes }))
    }

    fn lose<T>(&mut self, why: Lost, origin: &Origin) -> Option<T> {
        self.stats.lose(why, origin.frames.len() as u64, origin.bytes);
        None
    }

    /// Gives up what waited for too long, and forgets what needs no memory any more. A clock that jumps ends what
    /// waits, and nothing that begins later.
    fn expire(&mut self, now: Timestamp) {
        let age = limits::nanos(self.limits.age).unsigned_abs();
        while let Some((&serial, key)) = self.whole.first_key_value()
            && self.table.get(key).is_none_or(|d| now.0.abs_diff(d.last.0) > REMEMBERED)
        {
            let key = *key;
            self.whole.remove(&serial);
            self.forget(&key);
        }
        while let Some((&serial, key)) = self.waiting.first_key_value()
            && self.table.get(key).is_none_or(|d| now.0.abs_diff(d.first.0) > age)
        {
            let key = *key;
            self.waiting.remove(&serial);
            self.stats.timed_out += 1;
            self.give_up(&key);
        }
    }

    fn make_room(&mut self) {
        while self.held > self.limits.bytes {
            if let Some((_, key)) = self.whole.pop_first() {
                self.forget(&key);
            } else if let Some((_, key)) = self.waiting.pop_first() {
                self.stats.evicted += 1;
                self.give_up(&key);
            } else {
                return;
            }
        }
    }

    fn give_up(&mut self, key: &Key) {
        if let Some(datagram) = self.forget(key) {
            self.lose::<()>(Lost::Incomplete, &datagram.into_origin());
        }
    }

    fn forget(&mut self, key: &Key) -> Option<Datagram> {
        let datagram = self.table.remove(key)?;
        self.held = self.held.saturating_sub(ENTRY + datagram.size());
        Some(datagram)
    }
}
