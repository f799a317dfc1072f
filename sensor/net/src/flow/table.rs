//! The flow table: finding, opening, ageing and closing flows.

use super::judge::sender_is_client;
use super::limits::nanos;
use super::recent::Shelf;
use super::slab::{Class, Life, Slab, Slot};
use super::turn::{Outcome, Turn, Waits};
use super::{App, Flow, FlowEnd, Limits, Stats};
use crate::{FiveTuple, Packet, TcpHeader, Timestamp};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::{IpAddr, SocketAddr};

/// A longer step from one tick to the next counts as this much: a clock that jumps must not end every flow.
const LONGEST_STEP: i64 = 60 * Timestamp::SECOND;

/// The TCP flows of one shard, each with its `A`.
///
/// Time is what [`Self::tick`] says; call it about once a second of packet time, or nothing ever times out. The same
/// packets and ticks give the same calls of [`App`] in the same order.
pub struct FlowTable<A> {
    slab: Slab<A>,
    /// Entries by both ends. Keyed at random; nothing depends on its order.
    index: HashTable<u32>,
    hasher: RandomState,
    limits: Limits,
    waits: Waits,
    stats: Stats,
    /// Bytes held by all stores.
    held: usize,
    shelf: Shelf,
    /// Flows that wait for something, in the order in which they were opened.
    waiting: BTreeSet<(u64, u32)>,
    last_tick: Option<Timestamp>,
    /// Nanoseconds ticked so far, in steps of at most [`LONGEST_STEP`].
    clock: i64,
}

/// Where a flow lies in its table; a hint that is checked. See [`FlowTable::locate`].
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    hash: u64,
    entry: Option<u32>,
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
            held: 0,
            shelf: Shelf::default(),
            waiting: BTreeSet::new(),
            last_tick: None,
            clock: 0,
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

    /// Where the flow of a packet lies. Asking for some packets ahead of [`Self::packet_at`] brings their entries into
    /// the cache all at once, where asking for each in its turn would wait for each.
    pub fn locate(&self, packet: &Packet) -> Spot {
        let hash = hash_of(&self.hasher, &packet.tuple);
        let found = self.index.find(hash, |i| self.is_at(*i, &packet.tuple));
        Spot { hash, entry: found.copied() }
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
        let still = spot.entry.filter(|i| self.is_at(*i, &packet.tuple));
        let found = still.or_else(|| self.index.find(hash, |i| self.is_at(*i, &packet.tuple)).copied());
        if let Some(i) = found {
            if self.turn(i, cx, |turn| turn.packet(packet, tcp, frame_data)) != Some(Outcome::NewFlow) {
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
    }

    /// Tells the time: gives up holes, and ends the flows whose time is over, in the order in which it ran out.
    pub fn tick<C>(&mut self, now: Timestamp, cx: &mut C)
    where
        A: App<C>,
    {
        let step = self.last_tick.replace(now).map_or(0, |last| now.since(last).min(LONGEST_STEP));
        self.clock = self.clock.saturating_add(step);
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
                Class::Active => self.limits.active,
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
            self.slab.touch(i, class, seconds(self.clock));
        }
        Some(outcome)
    }

    fn open<C>(&mut self, packet: &Packet, tcp: TcpHeader, hash: u64, cx: &mut C) -> u32
    where
        A: App<C>,
    {
        while self.slab.len() >= self.limits.flows.max(1) {
            let Some((oldest, _)) = Class::ALL.into_iter().find_map(|class| self.slab.oldest(class)) else { break };
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
            client_mac: None,
            vlan: packet.vlan,
            midstream,
            missed: [0; 2],
            packets: [0; 2],
            bytes: [0; 2],
        };
        let i = self.slab.insert(Slot::new(flow), seconds(self.clock));
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
        let Some(slot) = self.slab.remove(i) else { return };
        let hash = hash_of(&self.hasher, &tuple_of(&slot.flow));
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == i) {
            entry.remove();
        }
    }
}

fn seconds(clock: i64) -> u32 {
    u32::try_from(clock / Timestamp::SECOND).unwrap_or(u32::MAX)
}

const fn tuple_of(flow: &Flow) -> FiveTuple {
    FiveTuple { src: flow.client, dst: flow.server, transport: crate::Transport::Tcp }
}

fn is_of(tuple: &FiveTuple, flow: &Flow) -> bool {
    (tuple.src == flow.client && tuple.dst == flow.server) || (tuple.src == flow.server && tuple.dst == flow.client)
}

/// The same for both directions.
fn hash_of(hasher: &RandomState, tuple: &FiveTuple) -> u64 {
    let end = |end: SocketAddr| {
        let mut hash = hasher.build_hasher();
        match end.ip() {
            IpAddr::V4(ip) => hash.write_u64(u64::from(ip.to_bits()) << 16 | u64::from(end.port())),
            IpAddr::V6(ip) => {
                hash.write_u128(ip.to_bits());
                hash.write_u16(end.port());
            }
        }
        hash.finish()
    };
    // A sum knows no order; both parts are keyed, so it collides no more than they do.
    end(tuple.src).wrapping_add(end(tuple.dst))
}
