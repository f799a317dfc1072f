//! The flow table: finding, opening, ageing and closing flows.

use super::judge::sender_is_client;
use super::limits::nanos;
use super::recent::Shelf;
use super::slab::{Class, Life, Slab, Slot};
use super::turn::{Outcome, Turn, Waits};
use super::{App, Flow, FlowEnd, Limits, Stats};
use crate::{End, FiveTuple, Packet, TcpHeader, Timestamp};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _};

/// A longer step from one tick to the next counts as this much: a clock that jumps must not end every flow.
const LONGEST_STEP: i64 = 60 * Timestamp::SECOND;

/// The TCP flows of one shard, each with its `A`.
///
/// Time is what [`Self::tick`] says; call it about once a second of packet time, or nothing ever times out. The same
/// packets and ticks give the same calls of [`App`] in the same order. Its own memory stays what its fullest moment took, which
/// [`Limits::flows`] bounds: a flood that came once may come again.
pub struct FlowTable<A> {
    slab: Slab<A>,
    /// Entries by both ends. Keyed at random; nothing depends on its order.
    index: HashTable<u32>,
    hasher: RandomState,
    limits: Limits,
    waits: Waits,
    stats: Stats,
    /// How many flows have come and gone: while it stays the same, every flow is where it was.
    changes: u64,
    /// Bytes held by all stores.
    held: usize,
    /// Bytes that the layer above holds for all flows.
    above: usize,
    shelf: Shelf,
    /// Flows that wait for something, in the order in which they were opened.
    waiting: BTreeSet<(u64, u32)>,
    last_tick: Option<Timestamp>,
    /// Nanoseconds ticked so far, in steps of at most [`LONGEST_STEP`].
    clock: i64,
    /// The same in whole seconds.
    seconds: u32,
}

/// Where a flow lies in its table; a hint that is checked. See [`FlowTable::locate`].
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    hash: u64,
    entry: Option<u32>,
    /// [`FlowTable::changes`] at that time.
    changes: u64,
}

impl<A> FlowTable<A> {
    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        Self {
            slab: Slab::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            waits: Waits::new(&limits),
            limits,
            stats: Stats::default(),
            changes: 0,
            held: 0,
            above: 0,
            shelf: Shelf::default(),
            waiting: BTreeSet::new(),
            last_tick: None,
            clock: 0,
            seconds: 0,
        }
    }

    /// What was counted so far.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Flows in the table, those that are over and linger included.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there is no flow.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held behind holes at present, bookkeeping included; never over [`Limits::held_total`].
    pub const fn held_bytes(&self) -> usize {
        self.held
    }

    /// Bytes that the layer above holds at present for all flows; over [`Limits::above`] for the length of one packet only.
    pub const fn above_bytes(&self) -> usize {
        self.above
    }

    /// Where the flow of a packet lies. Asking for some packets ahead of [`Self::packet_at`] brings their entries into
    /// the cache all at once, where asking for each in its turn would wait for each.
    pub fn locate(&self, packet: &Packet) -> Spot {
        let hash = hash_of(&self.hasher, &packet.tuple);
        let found = self.index.find(hash, |i| self.is_at(*i, &packet.tuple));
        Spot { hash, entry: found.copied(), changes: self.changes }
    }

    fn is_at(&self, i: u32, tuple: &FiveTuple) -> bool {
        self.slab.get(i).is_some_and(|slot| is_of(tuple, &slot.flow))
    }

    /// Takes in one packet; anything but TCP is ignored. `frame_data` is the data of the frame it was decoded from.
    pub fn packet<C>(&mut self, packet: &Packet, frame_data: &[u8], cx: &mut C)
    where
        A: App<C>,
    {
        let spot = self.locate(packet);
        self.packet_at(spot, packet, frame_data, cx);
    }

    /// [`Self::packet`] of a packet that was located before, though other packets may have come in between.
    pub fn packet_at<C>(&mut self, spot: Spot, packet: &Packet, frame_data: &[u8], cx: &mut C)
    where
        A: App<C>,
    {
        let Some(tcp) = packet.tcp else { return };
        self.stats.segments += 1;
        let hash = spot.hash;
        let found = if spot.changes == self.changes { spot } else { self.locate(packet) }.entry;
        if let Some(i) = found {
            if self.turn(i, cx, |turn| turn.packet(packet, tcp, frame_data)) != Some(Outcome::NewFlow) {
                self.shed(i, cx);
                return;
            }
            self.close(i, FlowEnd::Reused, cx);
        }
        let payload_or_syn = packet.wire_payload > 0 || tcp.has(TcpHeader::SYN);
        if !payload_or_syn || tcp.has(TcpHeader::RST) {
            self.stats.packets_stray += 1;
            return;
        }
        let i = self.open(packet, tcp, hash, cx);
        self.turn(i, cx, |turn| turn.packet(packet, tcp, frame_data));
        self.shed(i, cx);
    }

    /// Evicts until the layer above holds no more than it may. Only flows with payload weigh anything, and among those
    /// that are over some that may come alive again; what has just had a packet stays.
    fn shed<C>(&mut self, present: u32, cx: &mut C)
    where
        A: App<C>,
    {
        while self.above > self.limits.above {
            let oldest = |class| {
                let (i, _) = self.slab.oldest(class)?;
                if i == present { self.slab.younger(i).map(|(i, _)| i) } else { Some(i) }
            };
            let Some(oldest) = [Class::Closed, Class::OneSided, Class::Active].into_iter().find_map(oldest) else {
                break;
            };
            let evicted = self.stats.flows_evicted;
            self.close(oldest, FlowEnd::Evicted, cx);
            // Some were over, and lingered.
            self.stats.flows_too_heavy += self.stats.flows_evicted - evicted;
        }
    }

    /// Says that the fragments which `packet` was put together from claimed the same bytes with different content:
    /// [`Anomaly::OverlapConflict`](super::Anomaly) on its flow, where there is one.
    pub fn conflict<C>(&mut self, packet: &Packet, cx: &mut C)
    where
        A: App<C>,
    {
        if let Some(i) = self.locate(packet).entry {
            self.turn(i, cx, |turn| {
                turn.conflict(packet);
                Outcome::Done
            });
        }
    }

    /// Tells the time: gives up holes, and ends the flows whose time is over, in the order in which it ran out.
    pub fn tick<C>(&mut self, now: Timestamp, cx: &mut C)
    where
        A: App<C>,
    {
        let step = self.last_tick.replace(now).map_or(0, |last| now.since(last).min(LONGEST_STEP));
        self.clock = self.clock.saturating_add(step);
        self.seconds = u32::try_from(self.clock / Timestamp::SECOND).unwrap_or(u32::MAX);
        for (_, i) in self.waiting.iter().copied().collect::<Vec<_>>() {
            self.turn(i, cx, |turn| {
                turn.give_up_old_holes(now);
                turn.close_if_over();
                Outcome::Done
            });
        }
        let mut due = Vec::new();
        for class in Class::ALL {
            let timeout = nanos(match class {
                Class::Closed => self.limits.closed,
                Class::HalfOpen => self.limits.half_open,
                Class::Silent => self.limits.silent,
                Class::OneSided | Class::Active => self.limits.active,
            });
            // Entries are moved once a second, so one may have been active for up to a second more.
            let clock = self.clock.saturating_sub(timeout).saturating_sub(Timestamp::SECOND);
            let mut oldest = self.slab.oldest(class);
            while let Some((i, moved)) = oldest
                && i64::from(moved).saturating_mul(Timestamp::SECOND) <= clock
            {
                if let Some(slot) = self.slab.get(i) {
                    due.push((slot.flow.last.plus(timeout), slot.flow.opened.number, i));
                }
                oldest = self.slab.younger(i);
            }
        }
        due.sort_unstable();
        for (deadline, _, i) in due {
            if let Some(slot) = self.slab.get_mut(i)
                && slot.life == Life::Live
            {
                slot.flow.last = deadline;
            }
            self.close(i, FlowEnd::Timeout, cx);
        }
    }

    /// The input is over: closes every flow, in the order in which they were opened. The table can be used again.
    pub fn finish<C>(&mut self, cx: &mut C)
    where
        A: App<C>,
    {
        let mut all: Vec<_> = self.slab.iter().map(|(i, slot)| (slot.flow.opened.number, i)).collect();
        all.sort_unstable();
        for (_, i) in all {
            self.close(i, FlowEnd::EndOfInput, cx);
        }
    }

    /// Gives a flow its turn and sees to what follows from it. `None` if there is no such flow.
    fn turn<C>(&mut self, i: u32, cx: &mut C, act: impl FnOnce(&mut Turn<'_, A, C>) -> Outcome) -> Option<Outcome>
    where
        A: App<C>,
    {
        let slot = self.slab.get_mut(i)?;
        let mut turn = Turn {
            slot,
            held: &mut self.held,
            above: &mut self.above,
            shelf: &mut self.shelf,
            stats: &mut self.stats,
            limits: &self.limits,
            waits: &self.waits,
            cx,
        };
        let packets = turn.slot.flow.packets;
        let outcome = act(&mut turn);
        let (class, waits) = (turn.class(), turn.waits());
        let moves = packets != turn.slot.flow.packets || class != turn.slot.class;
        if waits != slot.waiting {
            slot.waiting = waits;
            let entry = (slot.flow.opened.number, i);
            if waits {
                self.waiting.insert(entry)
            } else {
                self.waiting.remove(&entry)
            };
        }
        if moves {
            self.slab.touch(i, class, self.seconds);
        }
        Some(outcome)
    }

    fn open<C>(&mut self, packet: &Packet, tcp: TcpHeader, hash: u64, cx: &mut C) -> u32
    where
        A: App<C>,
    {
        while self.slab.len() >= self.limits.flows.max(1) {
            let Some(oldest) = self.slab.first_to_go() else { break };
            self.close(oldest, FlowEnd::Evicted, cx);
        }
        let tuple = &packet.tuple;
        let from_client = sender_is_client(packet, tcp);
        let (client, server) = if from_client { (tuple.src, tuple.dst) } else { (tuple.dst, tuple.src) };
        let midstream = !tcp.has(TcpHeader::SYN);
        self.stats.flows_opened += 1;
        self.stats.flows_midstream += u64::from(midstream);
        let flow = Flow {
            client,
            server,
            first: packet.ts,
            last: packet.ts,
            opened: packet.place,
            sender: None,
            vlan: packet.vlan,
            tunnel: tuple.tunnel,
            midstream,
            missed: [0; 2],
            packets: [0; 2],
            bytes: [0; 2],
        };
        self.changes += 1;
        let i = self.slab.insert(Slot::new(flow), self.seconds);
        let (slab, hasher) = (&self.slab, &self.hasher);
        self.index.insert_unique(hash, i, |i| slab.get(*i).map_or(0, |slot| hash_of(hasher, &tuple_of(&slot.flow))));
        i
    }

    /// Closes a flow unless that has been done, and forgets it.
    fn close<C>(&mut self, i: u32, end: FlowEnd, cx: &mut C)
    where
        A: App<C>,
    {
        self.turn(i, cx, |turn| {
            turn.close(end);
            Outcome::Done
        });
        self.changes += 1;
        let Some(slot) = self.slab.remove(i) else { return };
        let hash = hash_of(&self.hasher, &tuple_of(&slot.flow));
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == i) {
            entry.remove();
        }
    }
}

const fn tuple_of(flow: &Flow) -> FiveTuple {
    FiveTuple { src: flow.client, dst: flow.server, transport: crate::Transport::Tcp, tunnel: flow.tunnel }
}

fn is_of(tuple: &FiveTuple, flow: &Flow) -> bool {
    let ends = (tuple.src == flow.client && tuple.dst == flow.server)
        || (tuple.src == flow.server && tuple.dst == flow.client);
    ends && tuple.tunnel == flow.tunnel
}

/// The same for both directions.
///
/// The ends go into one hash, the lower one first. The sum of a hash of each would know no order either, but ends that
/// are bound to one another, such as complements, cancel each other out in it, whatever the key.
fn hash_of(hasher: &RandomState, tuple: &FiveTuple) -> u64 {
    let mut hash = hasher.build_hasher();
    let (a, b, tunnel) = (tuple.src, tuple.dst, u64::from(tuple.tunnel.key()));
    if a.is_ipv4() && b.is_ipv4() {
        let word = |end: End| {
            let [_, ip] = end.words();
            ip << 16 | u64::from(end.port())
        };
        let (a, b) = (word(a), word(b));
        // An end takes 48 bits; the tunnel goes where there is room.
        hash.write_u64(a.min(b) | tunnel << 48);
        hash.write_u64(a.max(b) | tunnel >> 16 << 48);
    } else {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        low.words().into_iter().chain(high.words()).for_each(|word| hash.write_u64(word));
        hash.write_u64(tunnel << 32 | u64::from(low.port()) << 16 | u64::from(high.port()));
    }
    hash.finish()
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "parts of words")]
mod tests {
    use super::*;
    use crate::{Carrier, Step, Tunnel};
    use std::collections::HashSet;
    use std::net::{Ipv4Addr, Ipv6Addr};

    /// Ends made of one number.
    type Family = fn(u64) -> (End, End);

    fn v4(word: u64) -> End {
        End::new(Ipv4Addr::from_bits((word >> 16) as u32).into(), word as u16)
    }

    fn v6(high: u64, low: u64, port: u16) -> End {
        End::new(Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into(), port)
    }

    #[test]
    fn the_same_ends_spread_over_tunnels_like_any_others() {
        const N: u32 = 1 << 14;
        for (src, dst) in [(v4(7), v4(9)), (v6(1, 2, 80), v6(3, 4, 80))] {
            let hasher = RandomState::default();
            let hash = |vni| {
                let step = Step { carrier: Carrier::Vxlan, id: Some(vni) };
                let tunnel = Tunnel::NONE.inside(step, None);
                hash_of(&hasher, &FiveTuple { src, dst, transport: crate::Transport::Tcp, tunnel })
            };
            let places: HashSet<u64> = (1..=N).map(|n| hash(n) & u64::from(N - 1)).collect();
            assert!(places.len() > N as usize * 60 / 100, "{}", places.len());
        }
    }

    #[test]
    fn tuples_whose_ends_are_bound_to_one_another_spread_like_any_others() {
        const N: u64 = 1 << 14;
        let word = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let families: [(&str, Family); 7] = [
            ("one server", |w| (v4(w), v4(0xac10_0001_1f40))),
            ("complements", |w| (v4(w), v4(!w))),
            ("sums", |w| (v4(w), v4(0xb600_0000_ffff_u64.wrapping_sub(w)))),
            ("differences", |w| (v4(w), v4(w ^ 0xa600_0000_1f90))),
            ("twice the same", |w| (v4(w), v4(w))),
            ("complements over IPv6", |w| (v6(w, !w, 80), v6(!w, w, 80))),
            ("differences over IPv6", |w| (v6(1, w, 80), v6(2, w, 80))),
        ];
        for _ in 0..3 {
            let hasher = RandomState::default();
            for (name, family) in families {
                let hash = |n| {
                    let (src, dst) = family(word(n));
                    let tuple =
                        |src, dst| FiveTuple { src, dst, transport: crate::Transport::Tcp, tunnel: Tunnel::NONE };
                    let there = hash_of(&hasher, &tuple(src, dst));
                    let back = hash_of(&hasher, &tuple(dst, src));
                    assert_eq!(there, back, "{name}");
                    there
                };
                // What a table looks at: the low bits choose a place, the high ones are compared there.
                let places: HashSet<u64> = (1..=N).map(|n| hash(n) & (N - 1)).collect();
                let marks: HashSet<u64> = (1..=N).map(|n| hash(n) >> 50).collect();
                // Of balls thrown into as many boxes, 63 % of the boxes get one.
                let least = usize::try_from(N * 60 / 100).unwrap();
                let spread = (places.len(), marks.len());
                assert!(spread.0 > least && spread.1 > least, "{name}: {spread:?} of {N}");
            }
        }
    }
}
