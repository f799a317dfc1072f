//! What a worker lends to the exchanges it inspects: buffers, pools, limits and counters.

use std::collections::BTreeMap;

/// Limits of inspection.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Of content decoding.
    pub coding: proto::coding::Limits,
    /// Of the JSON reader.
    pub json: mcp::Limits,
}

/// Counters of inspection, by worker; added up by the pipeline.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Hits by signature index.
    pub signals: Vec<u64>,
    /// Bodies (or their rest) that could not be decoded, by reason.
    pub undecoded: BTreeMap<&'static str, u64>,
    /// Bodies let go after their beginning showed no promise.
    pub bodies_let_go: u64,
    /// Events of event streams.
    pub sse_events: u64,
    /// Look-alikes that were nothing else, by word.
    pub look_alikes: BTreeMap<&'static str, u64>,
}

impl Stats {
    /// Adds another worker's counters.
    pub fn add(&mut self, other: &Self) {
        if self.signals.len() < other.signals.len() {
            self.signals.resize(other.signals.len(), 0);
        }
        for (mine, theirs) in self.signals.iter_mut().zip(&other.signals) {
            *mine += theirs;
        }
        for (word, n) in &other.undecoded {
            *self.undecoded.entry(word).or_default() += n;
        }
        for (word, n) in &other.look_alikes {
            *self.look_alikes.entry(word).or_default() += n;
        }
        self.bodies_let_go += other.bodies_let_go;
        self.sse_events += other.sse_events;
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
    /// A text buffer.
    pub(crate) text: String,
}

impl Scratch {
    /// Memory that decoders of one shard may hold, in bytes.
    pub const DECODER_BYTES: u64 = 32 << 20;

    /// Fresh scratch under `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            rules: crate::rules::Scratch::default(),
            pool: proto::coding::Pool::new(Self::DECODER_BYTES),
            limits,
            stats: Stats::default(),
            text: String::new(),
        }
    }
}
