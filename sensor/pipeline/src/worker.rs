//! Workers: each owns the flows of its virtual shards, and shares none of it.

use crate::Settings;
use crate::app::{Context, FlowApp, Work};
use crate::totals::Totals;
use capture::Batch;
use detect::{Generation, Observation, Order, Scratch};
use net::{FlowTable, Packet, Spot, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Virtual shards. Flows hash to a shard, shards to a worker, so that the number of workers changes nothing.
pub(crate) const SHARDS: u8 = 64;

/// Packets whose flows are looked up together, before the first of them is worked on.
const AHEAD: usize = 8;

/// One thing to do, in order.
#[derive(Debug)]
pub(crate) enum Job {
    /// A packet of shard `shard`; its bytes are in the batch's frame `frame`.
    Packet { packet: Packet, shard: u8, frame: u32 },
    /// A second of packet time has passed before packet number `before`.
    Tick { now: Timestamp, before: u64 },
}

struct Shard {
    number: u8,
    flows: FlowTable<FlowApp>,
    context: Context,
}

/// A fresh context for the flows of one shard.
pub(crate) fn context(settings: &Settings, generation: &Arc<Generation>) -> Context {
    let limits = &settings.limits;
    let scratch = Scratch::new(limits.inspection.clone());
    // One account of decoder memory a shard: what another shard does must not show here.
    let decoders = scratch.pool.budget().clone();
    Context {
        limits: proto::Limits { decoders, ..limits.protocols.clone() },
        proto: proto::Stats::default(),
        work: Work {
            generation: Arc::clone(generation),
            scratch,
            look_alikes: settings.look_alikes,
            bypassed: BTreeMap::new(),
            ends: BTreeMap::new(),
            exchanges_let_go: 0,
            faults: 0,
            order: Order::default(),
            out: Vec::new(),
        },
    }
}

/// One worker.
pub(crate) struct Worker {
    shards: Vec<Shard>,
    workers: usize,
}

impl Worker {
    /// Worker `index` of `workers`.
    pub(crate) fn new(index: usize, workers: usize, settings: &Settings, generation: &Arc<Generation>) -> Self {
        let mine = (0..SHARDS).filter(|s| usize::from(*s) % workers == index);
        let shards = mine.map(|number| Shard {
            number,
            flows: FlowTable::new(settings.limits.flows),
            context: context(settings, generation),
        });
        Self { shards: shards.collect(), workers }
    }

    /// Does the jobs of one batch; observations go to `out`.
    pub(crate) fn run(&mut self, batch: &Batch, jobs: &[Job], out: &mut Vec<Observation>) {
        for group in jobs.chunks(AHEAD) {
            let mut spots = [None; AHEAD];
            for (spot, job) in spots.iter_mut().zip(group) {
                if let Job::Packet { packet, shard, .. } = job {
                    *spot = self.shards.get(usize::from(*shard) / self.workers).map(|s| s.flows.locate(packet));
                }
            }
            for (spot, job) in spots.into_iter().zip(group) {
                self.job(batch, job, spot);
            }
        }
        self.collect(out);
    }

    fn job(&mut self, batch: &Batch, job: &Job, spot: Option<Spot>) {
        match job {
            Job::Packet { packet, shard, frame } => {
                let Some(entry) = batch.frames().get(*frame as usize) else { return };
                let data = batch.frame(entry).data;
                let shard = self.shards.get_mut(usize::from(*shard) / self.workers);
                let (Some(shard), Some(spot)) = (shard, spot) else { return };
                shard.context.work.order =
                    Order { packet: packet.place.number, phase: 1, shard: shard.number, part: 0 };
                shard.flows.packet_at(spot, packet, data, &mut shard.context);
            }
            Job::Tick { now, before } => {
                for shard in &mut self.shards {
                    shard.context.work.order = Order { packet: *before, phase: 0, shard: shard.number, part: 0 };
                    shard.flows.tick(*now, &mut shard.context);
                }
            }
        }
    }

    /// The input is over: closes every flow.
    pub(crate) fn finish(&mut self, out: &mut Vec<Observation>) {
        for shard in &mut self.shards {
            shard.context.work.order = Order { packet: u64::MAX, phase: 0, shard: shard.number, part: 0 };
            shard.flows.finish(&mut shard.context);
        }
        self.collect(out);
    }

    fn collect(&mut self, out: &mut Vec<Observation>) {
        for shard in &mut self.shards {
            out.append(&mut shard.context.work.out);
        }
    }

    /// Adds this worker's counters.
    pub(crate) fn count(&self, totals: &mut Totals) {
        for shard in &self.shards {
            totals.shard(shard.flows.stats(), &shard.context);
        }
    }
}
