//! What one packet (or one tick) does to one flow.

use super::judge::checksum_allows;
use super::recent::{Recent, Shelf};
use super::slab::{Class, Life, Progress, Slot};
use super::{Anomaly, App, FlowEnd, Limits, Stats, limits::nanos};
use crate::stream::{Acked, Chunk, Stamp, Store};
use crate::{Direction, Packet, TcpHeader, Timestamp};

/// Further from the expected sequence number than this, in bytes, a segment belongs to no window.
const WINDOW: i64 = 16 << 20;
/// A RST is believed from so far behind the expected sequence number ...
const RESET_BEHIND: i64 = 64 << 10;
/// ... to so far ahead: bytes may have been lost to us, not to the receiver.
const RESET_AHEAD: i64 = 1 << 20;
/// So many segments in a row out of window, and we are the ones who lost the thread.
const STRAYS: u8 = 8;

/// What only flows with payload need.
#[derive(Debug)]
pub(super) struct Warm<A> {
    pub(super) app: Option<A>,
    pub(super) stores: [Option<Box<Store>>; 2],
    /// Sequence number of a SYN that came while the flow was alive, until something confirms it.
    pub(super) odd_syn: Option<Box<[Option<u32>; 2]>>,
    /// Anomalies told so far, a bit for each.
    pub(super) told: u8,
    /// What the client sent last, until the server acknowledges it.
    pub(super) recent: Option<Box<Recent>>,
    /// What the layer above held for it after the last piece, in bytes.
    pub(super) weight: u32,
}

impl<A> Warm<A> {
    fn odd_syn(&self, dir: Direction) -> Option<u32> {
        self.odd_syn.as_deref().and_then(|both| *dir.of(both))
    }
}

const _: () = assert!(size_of::<Warm<[u64; 8]>>() <= 112, "what a flow takes beside its entry and the layer above");

/// A weight as it is added up.
pub(super) fn weight(weight: u32) -> usize {
    usize::try_from(weight).unwrap_or(usize::MAX)
}

/// What to do with the flow next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing.
    Done,
    /// The packet begins another flow on the same ports. Nothing has been counted.
    NewFlow,
}

/// A packet, from the flow's point of view.
struct Seen<'p> {
    dir: Direction,
    packet: &'p Packet,
    tcp: TcpHeader,
    frame_data: &'p [u8],
    stamp: Stamp,
    /// Answer of the checksum, once asked.
    believed: Option<bool>,
}

impl<'p> Seen<'p> {
    /// The captured part of the payload.
    fn payload(&self) -> &'p [u8] {
        let range = &self.packet.payload;
        let range = usize::try_from(range.start).unwrap_or(0)..usize::try_from(range.end).unwrap_or(0);
        self.frame_data.get(range).unwrap_or_default()
    }
}

/// Waits, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) hole_one_sided: i64,
    pub(super) hole_unacknowledged: i64,
    pub(super) ack_slack: i64,
}

impl Waits {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            hole_one_sided: nanos(limits.hole_one_sided),
            hole_unacknowledged: nanos(limits.hole_unacknowledged),
            ack_slack: nanos(limits.ack_slack),
        }
    }
}

/// Everything a flow may touch while it is its turn.
pub(super) struct Turn<'t, A, C> {
    pub(super) slot: &'t mut Slot<A>,
    /// Bytes held by the whole table.
    pub(super) held: &'t mut usize,
    /// Bytes that the layer above holds for all flows.
    pub(super) above: &'t mut usize,
    pub(super) shelf: &'t mut Shelf,
    pub(super) stats: &'t mut Stats,
    pub(super) limits: &'t Limits,
    pub(super) waits: &'t Waits,
    pub(super) cx: &'t mut C,
}

impl<A: App<C>, C> Turn<'_, A, C> {
    pub(super) fn packet(&mut self, packet: &Packet, tcp: TcpHeader, frame_data: &[u8]) -> Outcome {
        let to_server = packet.tuple.src == self.slot.flow.client;
        let dir = if to_server { Direction::ToServer } else { Direction::ToClient };
        let stamp = Stamp { ts: packet.ts, place: packet.place };
        let seen = &mut Seen { dir, packet, tcp, frame_data, stamp, believed: None };
        if self.begins_another(seen) {
            return Outcome::NewFlow;
        }
        self.count(seen);
        if self.slot.class != Class::Active && !tcp.has(TcpHeader::RST) {
            dir.of_mut(&mut self.slot.sides).hear();
        }
        if self.slot.life == Life::Closed {
            self.stats.packets_late += 1;
            self.stats.late_bytes += u64::from(packet.wire_payload);
            return Outcome::Done;
        }
        if tcp.has(TcpHeader::SYN) && !self.syn(seen) {
            return Outcome::Done;
        }
        if tcp.has(TcpHeader::RST) {
            self.reset(seen);
            return Outcome::Done;
        }
        if self.slot.bypass {
            self.follow(seen);
        } else {
            self.forget_acknowledged(dir, tcp);
            if self.acknowledgement(seen) && self.payload(seen) {
                self.stats.packets_taken += 1;
                self.give_up_old_holes(packet.ts);
            }
        }
        self.close_if_over();
        Outcome::Done
    }

    /// The bytes of `packet` are in doubt; nothing else comes of it.
    pub(super) fn conflict(&mut self, packet: &Packet) {
        let to_server = packet.tuple.src == self.slot.flow.client;
        let dir = if to_server { Direction::ToServer } else { Direction::ToClient };
        if self.slot.life != Life::Closed {
            self.tell(dir, Stamp { ts: packet.ts, place: packet.place }, Anomaly::OverlapConflict);
        }
    }

    /// Closes a flow of which every direction has ended.
    pub(super) fn close_if_over(&mut self) {
        // A direction that is invisible will show no FIN either.
        let over = |dir: Direction| dir.of(&self.slot.sides).ended() || *dir.of(&self.slot.flow.packets) == 0;
        if over(Direction::ToServer) && over(Direction::ToClient) {
            self.close(FlowEnd::Fin);
        }
    }

    /// What the flow is to the timeouts now.
    pub(super) fn class(&self) -> Class {
        if self.slot.life != Life::Live {
            return Class::Closed;
        }
        if self.slot.class == Class::Active {
            return Class::Active;
        }
        let [to_server, to_client] = self.slot.sides;
        let [asked, answered] = self.slot.flow.packets;
        let both = to_server.heard() && to_client.heard() && asked > 0 && answered > 0;
        match (self.slot.flow.bytes != [0, 0], both) {
            (true, true) => Class::Active,
            (true, false) => Class::OneSided,
            // A server answers a forged SYN, too, and more than once; who sent it does not go on.
            (false, true) if asked > 1 => Class::Silent,
            (false, _) => Class::HalfOpen,
        }
    }

    /// Whether any direction waits for something.
    pub(super) fn waits(&self) -> bool {
        !self.slot.bypass && self.slot.warm.as_ref().is_some_and(|w| w.stores.iter().any(Option::is_some))
    }

    /// Ends the flow: what is held is delivered, the gaps before it first.
    pub(super) fn close(&mut self, end: FlowEnd) {
        if self.slot.life == Life::Closed {
            return;
        }
        let end = if self.slot.life == Life::Reset { FlowEnd::Reset } else { end };
        for dir in [Direction::ToServer, Direction::ToClient] {
            self.flush(dir);
        }
        self.drop_stores();
        self.forget_recent();
        self.slot.life = Life::Closed;
        *match end {
            FlowEnd::Fin => &mut self.stats.flows_fin,
            FlowEnd::Reset => &mut self.stats.flows_reset,
            FlowEnd::Timeout => &mut self.stats.flows_timeout,
            FlowEnd::Evicted => &mut self.stats.flows_evicted,
            FlowEnd::Reused => &mut self.stats.flows_reused,
            FlowEnd::EndOfInput => &mut self.stats.flows_end_of_input,
        } += 1;
        let warm = self.slot.warm.take();
        *self.above = self.above.saturating_sub(warm.as_ref().map_or(0, |warm| weight(warm.weight)));
        if let Some(app) = warm.and_then(|warm| warm.app) {
            app.close(&self.slot.flow, end, self.cx);
        }
    }

    /// Gives up the holes whose time is over at `now`.
    pub(super) fn give_up_old_holes(&mut self, now: Timestamp) {
        if self.waits() {
            for dir in [Direction::ToServer, Direction::ToClient] {
                while self.give_up_old_hole(dir, now) {}
                self.tidy(dir);
            }
        }
    }

    fn count(&mut self, seen: &Seen<'_>) {
        let flow = &mut self.slot.flow;
        flow.last = seen.packet.ts;
        let packets = seen.dir.of_mut(&mut flow.packets);
        *packets = packets.saturating_add(1);
        *seen.dir.of_mut(&mut flow.bytes) += u64::from(seen.packet.wire_payload);
        if seen.dir == Direction::ToServer && flow.sender.is_none() {
            flow.sender = seen.packet.sender();
        }
    }

    /// Asks the checksum, once.
    fn believes(&mut self, seen: &mut Seen<'_>) -> bool {
        *seen.believed.get_or_insert_with(|| {
            let other = *seen.dir.reverse().of(&self.slot.sides);
            let side = seen.dir.of_mut(&mut self.slot.sides);
            checksum_allows(side, other, seen.packet, seen.frame_data, self.stats)
        })
    }

    /// As [`Self::believes`], and counts the packet as dropped where the answer is no.
    fn accepts(&mut self, seen: &mut Seen<'_>) -> bool {
        let yes = self.believes(seen);
        if !yes {
            self.stats.packets_bad_checksum += 1;
            self.stats.bad_checksum_bytes += u64::from(seen.packet.wire_payload);
        }
        yes
    }

    /// Distance of `seq` from what `dir` is expected to send next.
    fn ahead(&self, dir: Direction, seq: u32) -> i64 {
        i64::from(seq.wrapping_sub(*dir.of(&self.slot.next)).cast_signed())
    }

    /// Whether a new connection on the same ports shows in this packet.
    ///
    /// On a flow that is over, a SYN of another number or data nobody sent before is enough. On a live flow a SYN
    /// alone is not, or one forged SYN would blind us: it needs an answer that fits it, or data that follows it.
    fn begins_another(&mut self, seen: &mut Seen<'_>) -> bool {
        let (dir, tcp) = (seen.dir, seen.tcp);
        let peer = dir.reverse();
        let over = self.slot.life != Life::Live;
        if tcp.has(TcpHeader::SYN) {
            let odd_syn = self.odd_syn(peer);
            let answered = tcp.has(TcpHeader::ACK) && odd_syn == Some(tcp.ack.wrapping_sub(1));
            return (over && !self.is_known_syn(dir, tcp.seq) || answered) && self.believes(seen);
        }
        if seen.packet.wire_payload == 0 {
            return false;
        }
        if self.slot.life == Life::Closed {
            let side = dir.of(&self.slot.sides);
            let ahead = self.ahead(dir, tcp.seq);
            return side.known() && (0..=WINDOW).contains(&ahead) && self.believes(seen);
        }
        self.odd_syn(dir) == Some(tcp.seq.wrapping_sub(1))
            && self.ahead(dir, tcp.seq).abs() > RESET_AHEAD
            && self.believes(seen)
    }

    /// Of most flows it is known without a look at what lies elsewhere.
    fn odd_syn(&self, dir: Direction) -> Option<u32> {
        if !self.slot.odd_syn {
            return None;
        }
        self.slot.warm.as_ref().and_then(|w| w.odd_syn(dir))
    }

    /// Whether a SYN of this number opened the flow: everything counted since lies between.
    fn is_known_syn(&self, dir: Direction, seq: u32) -> bool {
        let since = dir.of(&self.slot.next).wrapping_sub(seq.wrapping_add(1));
        dir.of(&self.slot.sides).known() && u64::from(since) <= dir.of(&self.slot.flow.bytes).saturating_add(2)
    }

    /// Takes in a SYN or SYN/ACK. False if the packet must not be looked at further; it is counted then.
    fn syn(&mut self, seen: &mut Seen<'_>) -> bool {
        if !self.accepts(seen) {
            return false;
        }
        let (dir, peer, tcp) = (seen.dir, seen.dir.reverse(), seen.tcp);
        let first = !dir.of(&self.slot.sides).known();
        // The first SYN/ACK says which of the client's SYNs the server took.
        if first && tcp.has(TcpHeader::ACK) && *peer.of(&self.slot.flow.bytes) == 0 && !self.has_told() {
            self.expect(peer, tcp.ack);
        }
        if first {
            self.expect(dir, tcp.seq.wrapping_add(1));
            return true;
        }
        if self.is_known_syn(dir, tcp.seq) {
            // Or data overtook it, and nothing is missing after all.
            self.slot.flow.midstream = false;
            self.stats.retransmitted += 1;
            return true;
        }
        let payload = u64::from(seen.packet.wire_payload);
        let [to_server, to_client] = self.slot.flow.bytes;
        if to_server + to_client <= payload && !self.has_told() {
            // Not a byte was said under the old number: the later SYN counts. A forged SYN/ACK is not taken.
            if !tcp.has(TcpHeader::ACK) || tcp.ack == *peer.of(&self.slot.next) {
                self.expect(dir, tcp.seq.wrapping_add(1));
            }
            return true;
        }
        *dir.of_mut(self.warm().odd_syn.get_or_insert_default()) = Some(tcp.seq);
        self.slot.odd_syn = true;
        self.stats.packets_odd_syn += 1;
        false
    }

    /// Begins a direction at `seq`. Nothing of it has been told, and what was learned under another number is void.
    fn expect(&mut self, dir: Direction, seq: u32) {
        let side = *dir.of(&self.slot.sides);
        // A FIN without a byte before it may have overtaken the SYN/ACK that confirms its number.
        let began_at = dir.of(&self.slot.next).wrapping_sub(u32::from(side.ended()));
        if side.known() && began_at == seq {
            return;
        }
        self.take_store(dir);
        *dir.of_mut(&mut self.slot.next) = seq;
        dir.of_mut(&mut self.slot.sides).progress = Progress::Open;
    }

    /// A RST closes nothing yet: it may be a decoy that never reaches the receiver. Unless data follows, the flow
    /// ends when it has lingered.
    fn reset(&mut self, seen: &mut Seen<'_>) {
        if !self.accepts(seen) {
            return;
        }
        let (dir, peer, tcp) = (seen.dir, seen.dir.reverse(), seen.tcp);
        let fits = if dir.of(&self.slot.sides).known() {
            (-RESET_BEHIND..=RESET_AHEAD).contains(&self.ahead(dir, tcp.seq))
        } else {
            // A refused connection: the number is 0, the acknowledgement fits the SYN.
            tcp.has(TcpHeader::ACK) && peer.of(&self.slot.sides).known() && self.ahead(peer, tcp.ack) == 0
        };
        if fits {
            self.slot.life = Life::Reset;
            self.stats.packets_taken += 1;
        } else {
            self.stats.packets_bad_reset += 1;
        }
    }

    /// Keeps up with a flow that is not reassembled, just enough to see its end.
    fn follow(&mut self, seen: &Seen<'_>) {
        let payload = seen.packet.wire_payload;
        self.stats.packets_bypassed += 1;
        self.stats.bypassed_bytes += u64::from(payload);
        let ahead = self.ahead(seen.dir, seen.tcp.seq) + i64::from(payload);
        if (0..=WINDOW).contains(&ahead) {
            let fin = seen.tcp.has(TcpHeader::FIN);
            *seen.dir.of_mut(&mut self.slot.next) = seen.tcp.seq.wrapping_add(payload).wrapping_add(u32::from(fin));
            if fin {
                seen.dir.of_mut(&mut self.slot.sides).progress = Progress::Ended;
            }
        }
    }

    /// Learns from an acknowledgement what the receiver got and we did not. False if the packet is a decoy.
    fn acknowledgement(&mut self, seen: &mut Seen<'_>) -> bool {
        let (peer, tcp) = (seen.dir.reverse(), seen.tcp);
        let side = *peer.of(&self.slot.sides);
        if !tcp.has(TcpHeader::ACK) || tcp.has(TcpHeader::SYN) || !side.known() || side.ended() {
            return true;
        }
        let ahead = self.ahead(peer, tcp.ack);
        if ahead.abs() > WINDOW && side.strays >= STRAYS {
            // We see only strays, and the receiver takes them.
            if !self.accepts(seen) {
                return false;
            }
            self.resync(peer, tcp.ack, seen.stamp);
            return true;
        }
        let holds = self.store_mut(peer).is_some_and(|s| s.first().is_some());
        // One byte is what a FIN that we missed takes, or a keep-alive.
        if !(1..=WINDOW).contains(&ahead) || (ahead == 1 && !holds) {
            return true;
        }
        if !self.accepts(seen) {
            return false;
        }
        let [a, b] = self.slot.flow.packets;
        let packets = a.wrapping_add(b);
        let store = self.make_store(peer);
        let to = store.pos + ahead.unsigned_abs();
        let known = store.acked.get_or_insert(Acked { to, stamp: seen.stamp, packets });
        known.to = known.to.max(to);
        true
    }

    /// Takes in payload and FIN. False if the packet was dropped; it is counted then.
    fn payload(&mut self, seen: &mut Seen<'_>) -> bool {
        let (dir, tcp, packet) = (seen.dir, seen.tcp, seen.packet);
        let len = i64::from(packet.wire_payload);
        let fin = tcp.has(TcpHeader::FIN);
        if len == 0 && !fin {
            return true;
        }
        let seq = tcp.seq.wrapping_add(u32::from(tcp.has(TcpHeader::SYN)));
        if !dir.of(&self.slot.sides).known() {
            if !self.accepts(seen) {
                return false;
            }
            self.expect(dir, seq);
        }
        let mut ahead = self.ahead(dir, seq);
        if dir.of(&self.slot.sides).ended() {
            return self.after_fin(seen, ahead);
        }
        if ahead.abs() > WINDOW {
            if !self.accepts(seen) {
                return false;
            }
            let strays = &mut dir.of_mut(&mut self.slot.sides).strays;
            *strays = strays.saturating_add(1);
            // With the receiver in sight its acknowledgements decide.
            if *strays < STRAYS || *dir.reverse().of(&self.slot.flow.packets) > 0 {
                self.stats.packets_out_of_window += 1;
                self.stats.out_of_window_bytes += u64::from(packet.wire_payload);
                return false;
            }
            self.resync(dir, seq, seen.stamp);
            ahead = 0;
        }
        if ahead + len + i64::from(fin) <= 0 {
            if len <= 1 && ahead == -1 {
                self.stats.keep_alives += 1;
            } else {
                self.stats.retransmitted += 1;
                self.stats.retransmitted_bytes += u64::from(packet.wire_payload);
                self.compare_with_recent(seen, seq);
            }
            return true;
        }
        if !self.accepts(seen) {
            return false;
        }
        if tcp.has(TcpHeader::URG) && len > 0 {
            self.stats.urgent_segments += 1;
            self.tell(dir, seen.stamp, Anomaly::UrgentData);
        }
        dir.of_mut(&mut self.slot.sides).strays = 0;
        if self.slot.life == Life::Reset && len > 0 {
            self.slot.life = Life::Live;
            self.stats.resets_revoked += 1;
        }
        let chunk = Chunk { start: 0, bytes: seen.payload(), len: len.unsigned_abs(), stamp: seen.stamp };
        let old = ahead.min(0).unsigned_abs();
        if old > 0 {
            self.stats.retransmitted += 1;
            self.stats.retransmitted_bytes += old;
            self.compare_with_recent(seen, seq);
        }
        let chunk = Chunk { start: 0, ..chunk.from(old) };
        let store = if ahead > 0 { Some(self.make_store(dir)) } else { self.store_mut(dir) };
        if let Some(store) = store {
            let chunk = Chunk { start: store.pos + ahead.max(0).unsigned_abs(), ..chunk };
            if fin {
                store.fin = Some((chunk.end(), seen.stamp));
            }
            self.store_chunk(dir, chunk);
            self.tidy(dir);
        } else {
            self.deliver(dir, chunk);
            if fin {
                self.end(dir, seen.stamp);
            }
        }
        true
    }

    /// Tells where a segment has other bytes than were delivered under its numbers.
    fn compare_with_recent(&mut self, seen: &mut Seen<'_>, seq: u32) {
        let recent = self.slot.warm.as_ref().and_then(|w| w.recent.as_ref());
        let differs = seen.dir == Direction::ToServer && recent.is_some_and(|r| r.differs(seq, seen.payload()));
        if differs && self.believes(seen) {
            self.stats.retransmitted_otherwise += 1;
            self.tell(seen.dir, seen.stamp, Anomaly::OverlapConflict);
        }
    }

    /// Forgets what the client sent last once the server has it.
    fn forget_acknowledged(&mut self, dir: Direction, tcp: TcpHeader) {
        let recent = self.slot.warm.as_ref().and_then(|w| w.recent.as_ref());
        let acknowledges = dir == Direction::ToClient && tcp.has(TcpHeader::ACK);
        if acknowledges && recent.is_some_and(|r| r.is_acknowledged(tcp.ack)) {
            self.forget_recent();
        }
    }

    /// A segment after the FIN: a retransmission, or data the receiver will not take either.
    fn after_fin(&mut self, seen: &mut Seen<'_>, ahead: i64) -> bool {
        let behind = ahead + i64::from(seen.packet.wire_payload);
        // `ahead` counts from behind the FIN itself, which has a number of its own.
        if behind < 0 || seen.packet.wire_payload <= 1 || ahead.abs() > WINDOW {
            self.stats.retransmitted += 1;
            self.stats.retransmitted_bytes += u64::from(seen.packet.wire_payload);
            return true;
        }
        if !self.accepts(seen) {
            return false;
        }
        self.behind_fin(seen.dir, seen.stamp, u64::from(seen.packet.wire_payload));
        true
    }

    /// Takes a direction up again at `seq`, wherever that is. It goes on there, so a FIN behind a hole was none.
    fn resync(&mut self, dir: Direction, seq: u32, stamp: Stamp) {
        if let Some(store) = self.store_mut(dir) {
            store.fin = None;
        }
        self.flush(dir);
        let lost = seq.wrapping_sub(*dir.of(&self.slot.next));
        self.lose(dir, u64::from(lost), stamp);
        dir.of_mut(&mut self.slot.sides).strays = 0;
        self.stats.resyncs += 1;
        self.tidy(dir);
    }
}
