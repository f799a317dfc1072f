//! What a worker lends to the exchanges it inspects: buffers, pools, limits and counters.

use crate::inspect::{Inspector, Promise};
use crate::kept::Heads;
use crate::rules::RuleSet;
use crate::{Hits, Side};
use std::collections::BTreeMap;

/// Inspectors of bodies that one shard keeps for use again; each holds some kilobytes.
const MAX_IDLE: usize = 4;

/// Limits of inspection.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of content decoding.
    pub coding: proto::coding::Limits,
    /// Of the JSON reader.
    pub json: mcp::Limits,
    /// Memory that decoders of one shard may hold, in bytes.
    pub decoder_bytes: u64,
    /// Memory that request heads of open exchanges of one shard may take, in bytes. Beyond it the request line and
    /// the host are kept.
    pub head_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            coding: proto::coding::Limits::default(),
            json: mcp::Limits::default(),
            decoder_bytes: 32 << 20,
            head_bytes: 2 << 20,
        }
    }
}

/// Counters of inspection, by worker; added up by the pipeline.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Hits by signature.
    pub signals: Hits,
    /// Bodies (or their rest) that could not be decoded, by reason.
    pub undecoded: BTreeMap<&'static str, u64>,
    /// Bodies let go after their beginning showed no promise.
    pub bodies_let_go: u64,
    /// Bodies that began as JSON, turned out to be none, and showed no sign of MCP.
    pub broken_json: u64,
    /// What was cut of messages.
    pub cut: mcp::Stats,
    /// Messages and signals of exchanges that found no room between two updates.
    pub news_left_out: u64,
    /// Events of event streams.
    pub sse_events: u64,
    /// Look-alikes that were nothing else, by word.
    pub look_alikes: BTreeMap<&'static str, u64>,
}

impl Stats {
    /// Adds another worker's counters.
    pub fn add(&mut self, other: &Self) {
        self.signals.add(&other.signals);
        for (word, n) in &other.undecoded {
            *self.undecoded.entry(word).or_default() += n;
        }
        for (word, n) in &other.look_alikes {
            *self.look_alikes.entry(word).or_default() += n;
        }
        self.bodies_let_go += other.bodies_let_go;
        self.broken_json += other.broken_json;
        self.news_left_out += other.news_left_out;
        self.sse_events += other.sse_events;
        self.cut += other.cut;
    }
}

/// Lent to every call of an exchange.
#[derive(Debug)]
pub struct Scratch {
    /// Of the engine.
    pub rules: crate::rules::Scratch,
    /// Inflaters and the like.
    pub pool: proto::coding::Pool,
    /// Limits.
    pub limits: Limits,
    /// Counters.
    pub stats: Stats,
    /// Request heads of open exchanges.
    pub(crate) heads: Heads,
    /// A text buffer.
    pub(crate) text: String,
    #[expect(clippy::vec_box, reason = "an exchange holds its inspector in a box, and takes it from here as it is")]
    idle: Vec<Box<Inspector>>,
}

impl Scratch {
    /// Fresh scratch under `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            rules: crate::rules::Scratch::default(),
            pool: proto::coding::Pool::new(limits.decoder_bytes),
            heads: Heads::new(limits.head_bytes),
            limits,
            stats: Stats::default(),
            text: String::new(),
            idle: Vec::new(),
        }
    }

    /// Request heads that were kept without their fields, because [`Limits::head_bytes`] was met.
    pub fn heads_cut(&self) -> u64 {
        self.heads.cut()
    }

    pub(crate) fn inspector(&mut self, side: Side, promise: Promise, rules: &RuleSet) -> Box<Inspector> {
        match self.idle.pop() {
            Some(mut inspector) => {
                inspector.renew(side, promise, rules);
                inspector
            }
            None => Box::new(Inspector::new(side, promise, rules)),
        }
    }

    pub(crate) fn give_back(&mut self, inspector: Box<Inspector>) {
        if self.idle.len() < MAX_IDLE {
            self.idle.push(inspector);
        }
    }
}
