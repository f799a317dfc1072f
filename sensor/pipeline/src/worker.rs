//! Workers: each owns the flows of its virtual shards, and shares none of it.

use crate::Settings;
use crate::app::{Context, FlowApp, Work};
use crate::datagrams::Datagrams;
use crate::load::Load;
use crate::totals::Totals;
use crate::tunnels::Names;
use detect::{Generation, Observation, Order, Scratch};
use net::{FlowTable, Packet, Path, Spot, Timestamp, Tunnel};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Virtual shards. Flows hash to a shard, shards to a worker, so that the number of workers changes nothing.
pub(crate) const SHARDS: u8 = 64;

/// Packets whose flows are looked up together, before the first of them is worked on.
const AHEAD: usize = 8;

/// One thing to do, in order.
#[derive(Debug)]
pub(crate) enum Job {
    /// A packet of shard `shard`; its bytes are where [`Load::data`] finds `frame`.
    Packet { packet: Packet, shard: u8, frame: u32 },
    /// What a tunnel is called of which packets of shard `shard` follow.
    Tunnel { tunnel: Tunnel, path: Path, shard: u8 },
    /// A second of packet time has passed before packet number `before`.
    Tick { now: Timestamp, before: u64 },
}

struct Shard {
    number: u8,
    flows: FlowTable<FlowApp>,
    datagrams: Datagrams,
    context: Context,
}

/// A fresh context for the flows of one shard.
pub(crate) fn context(settings: &Settings, generation: &Arc<Generation>) -> Context {
    let limits = &settings.limits;
    let scratch = Scratch::new(limits.inspection.clone());
    // One account of decoder memory a shard: what another shard does must not show here.
    let decoders = scratch.pool.budget().clone();
    let keys = settings.keys.view();
    Context {
        limits: proto::Limits { decoders, ..limits.protocols.clone() },
        proto: proto::Stats::default(),
        work: Work {
            generation: Arc::clone(generation),
            scratch,
            look_alikes: settings.look_alikes,
            tunnels: Names::default(),
            opener: keys.opener(),
            keys,
            bypassed: BTreeMap::new(),
            ends: BTreeMap::new(),
            exchanges_let_go: 0,
            heard_left_out: 0,
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
            datagrams: Datagrams::default(),
            context: context(settings, generation),
        });
        Self { shards: shards.collect(), workers }
    }

    /// Does the jobs of one batch; observations go to `out`.
    pub(crate) fn run(&mut self, load: &Load, jobs: &[Job], out: &mut Vec<Observation>) {
        for group in jobs.chunks(AHEAD) {
            let mut spots = [None; AHEAD];
            for (spot, job) in spots.iter_mut().zip(group) {
                if let Job::Packet { packet, shard, .. } = job
                    && packet.tcp.is_some()
                {
                    *spot = self.shards.get(usize::from(*shard) / self.workers).map(|s| s.flows.locate(packet));
                }
            }
            for (spot, job) in spots.into_iter().zip(group) {
                self.job(load, job, spot);
            }
        }
        self.collect(out);
    }

    fn job(&mut self, load: &Load, job: &Job, spot: Option<Spot>) {
        match job {
            Job::Packet { packet, shard, frame } => {
                let Some((data, conflict)) = load.data(*frame) else { return };
                let shard = self.shards.get_mut(usize::from(*shard) / self.workers);
                let Some(shard) = shard else { return };
                shard.context.work.order =
                    Order { packet: packet.place.number, phase: 1, shard: shard.number, part: 0 };
                let Some(spot) = spot else {
                    let payload = packet.payload.start as usize..packet.payload.end as usize;
                    let payload = data.get(payload).unwrap_or_default();
                    return shard.datagrams.packet(packet, payload, &mut shard.context.work);
                };
                shard.context.work.keys.set_packet(packet.place.number);
                shard.flows.packet_at(spot, packet, data, &mut shard.context);
                if conflict {
                    shard.flows.conflict(packet, &mut shard.context);
                }
            }
            Job::Tunnel { tunnel, path, shard } => {
                if let Some(shard) = self.shards.get_mut(usize::from(*shard) / self.workers) {
                    shard.context.work.tunnels.learn(*tunnel, path);
                }
            }
            Job::Tick { now, before } => {
                for shard in &mut self.shards {
                    shard.context.work.order = Order { packet: *before, phase: 0, shard: shard.number, part: 0 };
                    shard.flows.tick(*now, &mut shard.context);
                    shard.datagrams.tick(*now, &mut shard.context.work);
                }
            }
        }
    }

    /// The input is over: closes every flow.
    pub(crate) fn finish(&mut self, out: &mut Vec<Observation>) {
        for shard in &mut self.shards {
            shard.context.work.order = Order { packet: u64::MAX, phase: 0, shard: shard.number, part: 0 };
            shard.flows.finish(&mut shard.context);
            shard.datagrams.finish(&mut shard.context.work);
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
            totals.datagrams(&shard.datagrams.stats);
        }
    }
}
