//! Delivery in order, and the holes in the way.

use super::slab::{Progress, Slot};
use super::turn::{Turn, Warm, weight};
use super::{Anomaly, App, Data, Flow, Interest, Piece};
use crate::stream::{Acked, Chunk, Stamp, Store};
use crate::{Direction, Timestamp};

impl<A: App<C>, C> Turn<'_, A, C> {
    pub(super) fn warm(&mut self) -> &mut Warm<A> {
        self.slot.warm.get_or_insert_with(|| {
            Box::new(Warm { app: None, stores: [None, None], odd_syn: None, told: 0, recent: None, weight: 0 })
        })
    }

    pub(super) fn store_mut(&mut self, dir: Direction) -> Option<&mut Store> {
        dir.of_mut(&mut self.slot.warm.as_mut()?.stores).as_deref_mut()
    }

    pub(super) fn make_store(&mut self, dir: Direction) -> &mut Store {
        dir.of_mut(&mut self.warm().stores).get_or_insert_default()
    }

    /// Drops the store of a direction that waits for nothing.
    pub(super) fn tidy(&mut self, dir: Direction) {
        if let Some(warm) = &mut self.slot.warm {
            dir.of_mut(&mut warm.stores).take_if(|store| store.is_idle());
        }
    }

    /// Takes a direction's store away, with what it holds.
    pub(super) fn take_store(&mut self, dir: Direction) -> Option<Box<Store>> {
        let store = dir.of_mut(&mut self.slot.warm.as_mut()?.stores).take()?;
        *self.held = self.held.saturating_sub(store.charged());
        Some(store)
    }

    pub(super) fn drop_stores(&mut self) {
        self.take_store(Direction::ToServer);
        self.take_store(Direction::ToClient);
    }

    /// Brings a chunk into a direction that waits for something: delivers what is in order, holds the rest.
    pub(super) fn store_chunk(&mut self, dir: Direction, mut chunk: Chunk<'_>) {
        let Some(store) = self.store_mut(dir) else { return };
        let (held, conflict) = store.compare(chunk);
        self.stats.retransmitted += u64::from(held > 0);
        self.stats.retransmitted_bytes += held;
        if conflict {
            self.stats.overlap_conflicts += 1;
            self.tell(dir, chunk.stamp, Anomaly::OverlapConflict);
        }
        let (direction_limit, total_limit) = (self.limits.held_per_direction, self.limits.held_total);
        loop {
            let total_room = total_limit.saturating_sub(*self.held);
            let Some(store) = self.store_mut(dir) else { return };
            chunk = chunk.from(store.pos);
            if chunk.len == 0 {
                break;
            }
            let first = store.first().map_or(chunk.end(), |(at, _)| at);
            if chunk.start == store.pos {
                self.deliver(dir, chunk.until(first));
                if let Some(end) = self.release(dir) {
                    return self.behind_fin(dir, chunk.stamp, chunk.from(end).len);
                }
                continue;
            }
            let room = direction_limit.saturating_sub(store.charged());
            let (left, grown) = store.insert(chunk, room.min(total_room));
            let first = store.first().map_or(chunk.end(), |(at, _)| at);
            *self.held += grown;
            self.stats.out_of_order += u64::from(grown > 0);
            let Some(left) = left else { break };
            // No room: the first hole is lost, and what comes behind it goes out.
            *if room <= total_room {
                &mut self.stats.holes_over_direction_limit
            } else {
                &mut self.stats.holes_over_total_limit
            } += 1;
            chunk = chunk.from(left);
            if let Some(end) = self.lose_until(dir, chunk.start.min(first), chunk.stamp) {
                return self.behind_fin(dir, chunk.stamp, chunk.from(end).len);
            }
        }
        self.release(dir);
    }

    /// Delivers what was held and is in order now, and the FIN behind it; the position of that FIN.
    fn release(&mut self, dir: Direction) -> Option<u64> {
        loop {
            let store = self.store_mut(dir)?;
            let (before, start) = (store.charged(), store.pos);
            let Some(held) = store.pop_due() else {
                let stamp = store.take_due_fin()?;
                self.end(dir, stamp);
                return Some(start);
            };
            let freed = before - store.charged();
            *self.held = self.held.saturating_sub(freed);
            self.deliver(dir, Chunk { start, bytes: &held.bytes, len: held.len, stamp: held.stamp });
        }
    }

    /// Hands on the next bytes of a direction.
    pub(super) fn deliver(&mut self, dir: Direction, chunk: Chunk<'_>) {
        let captured = u64::try_from(chunk.bytes.len()).unwrap_or(chunk.len).min(chunk.len);
        if captured > 0 {
            self.stats.delivered_bytes += captured;
            if dir == Direction::ToServer {
                self.keep_recent(chunk.bytes);
            }
            self.emit(dir, chunk.stamp, Data::Bytes(chunk.bytes));
            self.advance(dir, captured);
        }
        if captured < chunk.len {
            self.stats.cut_segments += 1;
            self.lose(dir, chunk.len - captured, chunk.stamp);
        }
    }

    /// Keeps a copy of what the client sends next.
    fn keep_recent(&mut self, bytes: &[u8]) {
        if self.slot.bypass {
            return;
        }
        let next = *Direction::ToServer.of(&self.slot.next);
        if self.warm().recent.is_none() {
            let lent = self.shelf.lend();
            self.stats.not_kept_to_compare += u64::from(lent.is_none());
            self.warm().recent = lent;
        }
        if let Some(recent) = &mut self.warm().recent {
            recent.add(next, bytes);
        }
    }

    /// No copy of what the client sent last is needed any more.
    pub(super) fn forget_recent(&mut self) {
        if let Some(recent) = self.slot.warm.as_mut().and_then(|w| w.recent.take()) {
            self.shelf.give_back(recent);
        }
    }

    /// The next `n` bytes will never be seen.
    pub(super) fn lose(&mut self, dir: Direction, n: u64, stamp: Stamp) {
        if n > 0 {
            self.stats.gaps += 1;
            self.stats.gap_bytes += n;
            *dir.of_mut(&mut self.slot.flow.missed) += n;
            self.emit(dir, stamp, Data::Gap(n));
            self.advance(dir, n);
        }
    }

    /// Gives up everything before `position` and delivers what is held behind it; the position of the FIN if that
    /// is reached.
    fn lose_until(&mut self, dir: Direction, position: u64, stamp: Stamp) -> Option<u64> {
        let n = position.saturating_sub(self.store_mut(dir)?.pos);
        self.lose(dir, n, stamp);
        self.release(dir)
    }

    fn advance(&mut self, dir: Direction, n: u64) {
        let next = dir.of_mut(&mut self.slot.next);
        *next = next.wrapping_add(u32::try_from(n & u64::from(u32::MAX)).unwrap_or_default());
        if let Some(store) = self.store_mut(dir) {
            store.advance(n);
        }
    }

    /// The sender's FIN is next in order. Until the layer above is told anything it is only remembered: a flow that
    /// never says a byte is none of its business, and [`Self::emit`] tells the FIN before the first byte there is.
    pub(super) fn end(&mut self, dir: Direction, stamp: Stamp) {
        dir.of_mut(&mut self.slot.sides).progress = Progress::Ended;
        let next = dir.of_mut(&mut self.slot.next);
        *next = next.wrapping_add(1);
        let store = self.take_store(dir);
        if self.has_told() {
            self.emit(dir, stamp, Data::Fin);
        }
        if let Some(store) = store
            && let Some((_, stamp)) = store.first()
        {
            self.behind_fin(dir, stamp, store.held_len());
        }
    }

    /// So many bytes lie behind a FIN and are dropped, as the receiver drops them.
    pub(super) fn behind_fin(&mut self, dir: Direction, stamp: Stamp, n: u64) {
        if n > 0 {
            self.stats.after_fin_bytes += n;
            self.tell(dir, stamp, Anomaly::DataAfterFin);
        }
    }

    /// Whether the layer above knows of the flow.
    pub(super) fn has_told(&self) -> bool {
        self.slot.warm.as_ref().is_some_and(|w| w.app.is_some())
    }

    /// Tells an anomaly, once for each flow.
    pub(super) fn tell(&mut self, dir: Direction, stamp: Stamp, anomaly: Anomaly) {
        let bit = match anomaly {
            Anomaly::OverlapConflict => 1,
            Anomaly::DataAfterFin => 2,
            Anomaly::UrgentData => 4,
        };
        let told = &mut self.warm().told;
        if *told & bit == 0 {
            *told |= bit;
            self.emit(dir, stamp, Data::Anomaly(anomaly));
        }
    }

    fn emit(&mut self, dir: Direction, stamp: Stamp, data: Data<'_>) {
        if self.slot.bypass {
            return;
        }
        self.warm();
        let Slot { flow, warm: Some(warm), sides, .. } = &mut *self.slot else { return };
        let piece = Piece { dir, ts: stamp.ts, place: stamp.place, data };
        let app = &mut warm.app;
        let interest = if let Some(app) = app {
            app.piece(flow, piece, self.cx)
        } else {
            let app = app.insert(A::open(flow, self.cx));
            let early = [Direction::ToServer, Direction::ToClient].into_iter().filter(|dir| dir.of(sides).ended());
            let early = early.map(|dir| Piece { dir, data: Data::Fin, ..piece });
            tell_all(app, flow, early.chain([piece]), self.cx)
        };
        let now = u32::try_from(app.as_ref().map_or(0, A::weight)).unwrap_or(u32::MAX);
        let before = std::mem::replace(&mut warm.weight, now);
        *self.above = self.above.saturating_sub(weight(before)).saturating_add(weight(now));
        if interest == Interest::Bypass {
            self.slot.bypass = true;
            self.stats.flows_bypassed += 1;
            self.drop_stores();
            self.forget_recent();
        }
    }

    /// Gives up one hole that has waited long enough. False if there is none.
    pub(super) fn give_up_old_hole(&mut self, dir: Direction, now: Timestamp) -> bool {
        let [to_server, to_client] = self.slot.flow.packets;
        let packets = to_server.wrapping_add(to_client);
        let one_sided = *dir.reverse().of(&self.slot.flow.packets) == 0;
        let (waits, slack_packets) = (*self.waits, self.limits.ack_slack_packets);
        let Some(store) = self.store_mut(dir) else { return false };
        let first = store.first();
        if let Some(acked) = store.acked
            && (packets.wrapping_sub(acked.packets) >= slack_packets || now.since(acked.stamp.ts) >= waits.ack_slack)
        {
            let (to, stamp) = Self::acknowledged_hole(store, acked);
            let counts = to > store.pos;
            if !counts {
                store.acked = None;
            }
            self.stats.holes_acknowledged += u64::from(counts);
            self.lose_until(dir, to, stamp);
            return true;
        }
        let fin = store.fin.filter(|_| one_sided);
        let Some((to, stamp)) = first.or(fin) else { return false };
        let wait = if one_sided { waits.hole_one_sided } else { waits.hole_unacknowledged };
        if now.since(stamp.ts) < wait {
            return false;
        }
        self.stats.holes_timed_out += 1;
        self.lose_until(dir, to, stamp);
        true
    }

    /// Where the first hole that the receiver acknowledged ends. An acknowledged FIN is no byte.
    fn acknowledged_hole(store: &Store, acked: Acked) -> (u64, Stamp) {
        let to = store.fin.map_or(acked.to, |(at, _)| acked.to.min(at));
        match store.first() {
            Some((at, stamp)) if at <= to => (at, stamp),
            _ => (to, acked.stamp),
        }
    }

    /// Delivers all that is held or known, gaps first. A FIN that was not reached was not believed.
    pub(super) fn flush(&mut self, dir: Direction) {
        while let Some(store) = self.store_mut(dir) {
            let (to, stamp) = match (store.first(), store.acked) {
                (_, Some(acked)) => Self::acknowledged_hole(store, acked),
                (Some(first), None) => first,
                (None, None) => break,
            };
            if to <= store.pos {
                store.acked = None;
            }
            self.lose_until(dir, to, stamp);
        }
    }
}

/// Tells pieces until there is no more interest.
fn tell_all<'b, A: App<C>, C>(
    app: &mut A,
    flow: &Flow,
    mut pieces: impl Iterator<Item = Piece<'b>>,
    cx: &mut C,
) -> Interest {
    if pieces.all(|piece| app.piece(flow, piece, cx) == Interest::More) { Interest::More } else { Interest::Bypass }
}
