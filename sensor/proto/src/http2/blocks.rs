//! Header blocks (RFC 9113 §4.3, §6.10): fields are read as their bytes come, so that no block is ever kept.

use super::Flow;
use super::lane::Lane;
use crate::conn::Context;
use crate::{Anomaly, PartSink};
use net::Direction;

/// Memory kept for the next block that comes in pieces, in bytes.
const KEPT: usize = 1024;

/// A header block under way.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for alone")]
pub(super) struct Block {
    /// The stream its frames are on.
    pub(super) on: u32,
    /// The stream it concerns: another one for a promise.
    pub(super) stream: u32,
    /// It promises a request (§6.6).
    pub(super) promise: bool,
    /// The stream ends with it.
    pub(super) ends_stream: bool,
    /// It was reported as far as it fits, because it is over a limit; the rest is read for the table alone.
    pub(super) told: bool,
    /// The rest cannot be read.
    pub(super) broken: bool,
}

impl Block {
    pub(super) fn of_headers(stream: u32, ends_stream: bool) -> Self {
        Self { on: stream, stream, promise: false, ends_stream, told: false, broken: false }
    }

    pub(super) fn of_promise(on: u32, promised: u32) -> Self {
        Self { on, stream: promised, promise: true, ends_stream: false, told: false, broken: false }
    }
}

impl Lane {
    pub(super) fn block_begins(&mut self, block: Block) {
        self.hpack.begin();
        self.fields.clear();
        self.block = Some(block);
    }

    /// Bytes of the block are lost or cannot be read, and with them the rest of it and the table.
    pub(super) fn break_block(&mut self) {
        self.hpack.lose();
        self.carry.clear();
        if let Some(block) = &mut self.block {
            block.broken = true;
        }
    }

    /// Reads what can be read with the bytes of `fragment`; `false` if the rest of the block cannot be.
    pub(super) fn read(&mut self, mut fragment: &[u8], limit: usize) -> bool {
        while !fragment.is_empty() {
            if self.carry.is_empty() {
                let Ok(used) = self.hpack.decode(fragment, limit, &mut self.fields) else { return false };
                fragment = fragment.get(used..).unwrap_or_default();
            }
            let room = limit.saturating_sub(self.carry.len()).min(fragment.len());
            if room == 0 {
                self.fields.over |= !fragment.is_empty();
                return fragment.is_empty();
            }
            let (more, rest) = fragment.split_at(room);
            let fresh = self.carry.is_empty();
            self.carry.extend_from_slice(more);
            fragment = rest;
            if !fresh {
                let Ok(used) = self.hpack.decode(&self.carry, limit, &mut self.fields) else { return false };
                self.carry.drain(..used);
            }
        }
        true
    }
}

impl Flow {
    /// Bytes of the header block under way.
    pub(super) fn fragment<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, fragment: &[u8]) {
        let limit = cx.limits.head_bytes;
        let lane = wire.of_mut(&mut self.lanes);
        let Some(mut block) = lane.block else { return };
        if block.broken {
            cx.stats.uninspected.http2 += fragment.len() as u64;
            return;
        }
        if !lane.read(fragment, limit) {
            lane.break_block();
            block.broken = true;
        }
        let tell = lane.fields.over && !block.told;
        block.told |= tell;
        lane.block = Some(block);
        if tell {
            self.tell(cx, wire, block);
            cx.anomaly(None, self.role(wire), Anomaly::HeadTooLarge);
        }
    }

    /// The header block under way is over; `cut` where its end is missing.
    pub(super) fn block_ends<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, cut: bool) {
        let lane = wire.of_mut(&mut self.lanes);
        let Some(mut block) = lane.block.take() else { return };
        let rest = lane.carry.len();
        lane.carry.clear();
        lane.carry.shrink_to(KEPT);
        if rest > 0 {
            cx.stats.uninspected.http2 += rest as u64;
            lane.fields.bad |= !cut;
        }
        if rest > 0 || cut {
            lane.hpack.lose();
            block.broken = true;
        }
        cx.stats.http2.cut_blocks += u64::from(block.broken || block.told);
        // Of a block that was cut before its first field there is nothing to tell.
        if !block.told && (!block.broken || lane.fields.len() > 0) {
            self.tell(cx, wire, block);
        }
        let dir = self.role(wire);
        let fields = &mut wire.of_mut(&mut self.lanes).fields;
        cx.stats.http2.unknown_fields += u64::from(fields.unknown);
        cx.stats.http2.tables_capped += u64::from(fields.capped);
        let bad = fields.bad;
        fields.clear();
        if bad {
            cx.anomaly(None, dir, Anomaly::BadHpack);
        }
        if block.ends_stream {
            self.stream_ends(cx, wire, block.stream);
        }
    }

    /// Reports what is known of a block.
    fn tell<S: PartSink>(&mut self, cx: &mut Context<'_, S>, wire: Direction, block: Block) {
        // Taken out, as its text is lent to the report while the flow changes.
        let mut fields = std::mem::take(&mut wire.of_mut(&mut self.lanes).fields);
        self.head(cx, wire, block, &fields);
        fields.forget();
        wire.of_mut(&mut self.lanes).fields = fields;
    }
}
