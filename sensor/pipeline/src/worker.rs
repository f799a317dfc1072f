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
use std::panic::{AssertUnwindSafe, catch_unwind};
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

/// What a worker makes of one batch.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) observations: Vec<Observation>,
    /// Where they were asked for.
    pub(crate) totals: Option<Box<Totals>>,
    /// How often the worker had to be built anew.
    pub(crate) restarts: u64,
}

struct Shard {
    number: u8,
    flows: FlowTable<FlowApp>,
    datagrams: Datagrams,
    context: Context,
}

impl Shard {
    fn new(number: u8, settings: &Settings, generation: &Arc<Generation>) -> Self {
        Self {
            number,
            flows: FlowTable::new(settings.limits.flows),
            datagrams: Datagrams::default(),
            context: context(settings, generation),
        }
    }

    fn count(&self, totals: &mut Totals) {
        totals.shard(&self.flows, &self.context);
        totals.datagrams(&self.datagrams.stats);
    }
}

/// A fresh context for the flows of one shard.
pub(crate) fn context(settings: &Settings, generation: &Arc<Generation>) -> Context {
    let limits = &settings.limits;
    let scratch = Scratch::new(limits.inspection.clone());
    // One account of decoder memory a shard: what another shard does must not show here.
    let decoders = scratch.pool.budget().clone();
    let keys = settings.keys.view().holding(limits.tls_records);
    Context {
        limits: proto::Limits { decoders, ..limits.protocols.clone() },
        proto: proto::Stats::default(),
        work: Work {
            generation: Arc::clone(generation),
            scratch,
            look_alikes: settings.look_alikes,
            tunnels: Names::default(),
            idle: Vec::new(),
            opener: keys.opener(),
            keys,
            bypassed: BTreeMap::new(),
            ends: BTreeMap::new(),
            open: 0,
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
    /// Where each shard lies in `shards`; asked for every packet, where a division would be felt.
    at_of: [u8; SHARDS as usize],
    settings: Settings,
    generation: Arc<Generation>,
    /// The job under way, of this batch.
    at: usize,
    /// Packet to fail at, for tests; 0 for none.
    fault_at: u64,
    /// What shards counted that are no more.
    before: Totals,
}

impl Worker {
    /// Worker `index` of `workers`.
    pub(crate) fn new(index: usize, workers: usize, settings: &Settings, generation: &Arc<Generation>) -> Self {
        let mine: Vec<u8> = (0..SHARDS).filter(|s| usize::from(*s) % workers == index).collect();
        let mut at_of = [u8::MAX; SHARDS as usize];
        for (at, number) in (0..).zip(&mine) {
            if let Some(place) = at_of.get_mut(usize::from(*number)) {
                *place = at;
            }
        }
        Self {
            shards: mine.into_iter().map(|number| Shard::new(number, settings, generation)).collect(),
            at_of,
            settings: settings.clone(),
            generation: Arc::clone(generation),
            at: 0,
            fault_at: settings.fault_at.unwrap_or(0),
            before: Totals::default(),
        }
    }

    /// Does the jobs of one batch.
    pub(crate) fn run(&mut self, load: &Load, jobs: &[Job], part: &mut Part) {
        if !Arc::ptr_eq(&self.generation, &load.generation) {
            self.change(&load.generation);
        }
        self.at = 0;
        // Faults in one flow are caught there. This is for all that lies around it.
        if catch_unwind(AssertUnwindSafe(|| self.jobs(load, jobs))).is_err() {
            let rest = jobs.get(self.at..).unwrap_or_default();
            self.start_anew(part);
            for job in rest {
                match job {
                    Job::Packet { frame, .. } => self.before.fault_packets += load.frames(*frame),
                    // Who told it thinks that it is known.
                    Job::Tunnel { .. } => self.job(load, job, None),
                    Job::Tick { .. } => {}
                }
            }
        }
        self.collect(part);
        part.totals = load.snapshot.then(|| {
            let mut totals = Box::default();
            self.count(&mut totals);
            totals
        });
    }

    /// Other rules and scope are in force for what begins from now on.
    #[cold]
    fn change(&mut self, generation: &Arc<Generation>) {
        self.generation = Arc::clone(generation);
        for shard in &mut self.shards {
            shard.context.work.generation = Arc::clone(generation);
            shard.context.work.scratch.stats.signals.change(&generation.rules);
        }
    }

    /// Gives up all flows, for nobody knows what state they are in. What was seen and counted stays.
    #[cold]
    fn start_anew(&mut self, part: &mut Part) {
        self.before.restarts += 1;
        part.restarts += 1;
        for shard in &mut self.shards {
            let fresh = Shard::new(shard.number, &self.settings, &self.generation);
            let mut old = std::mem::replace(shard, fresh);
            part.observations.append(&mut old.context.work.out);
            shard.context.work.tunnels = std::mem::take(&mut old.context.work.tunnels);
            old.count(&mut self.before);
            self.before.given_up(old.context.work.open);
            // A second fault would be one too many; what it keeps from being freed is lost.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
        }
    }

    fn jobs(&mut self, load: &Load, jobs: &[Job]) {
        for group in jobs.chunks(AHEAD) {
            let mut spots = [None; AHEAD];
            for (spot, job) in spots.iter_mut().zip(group) {
                if let Job::Packet { packet, shard, .. } = job
                    && packet.tcp.is_some()
                {
                    let at = self.at_of.get(usize::from(*shard));
                    let shard = at.and_then(|at| self.shards.get(usize::from(*at)));
                    *spot = shard.map(|shard| shard.flows.locate(packet));
                }
            }
            for (spot, job) in spots.into_iter().zip(group) {
                self.job(load, job, spot);
                self.at += 1;
            }
        }
    }

    fn shard(&mut self, number: u8) -> Option<&mut Shard> {
        let at = self.at_of.get(usize::from(number))?;
        self.shards.get_mut(usize::from(*at))
    }

    fn job(&mut self, load: &Load, job: &Job, spot: Option<Spot>) {
        match job {
            Job::Packet { packet, shard, frame } => {
                let Some((data, conflict)) = load.data(*frame) else { return };
                if packet.place.number == self.fault_at {
                    fault();
                }
                let Some(shard) = self.shard(*shard) else { return };
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
                if let Some(shard) = self.shard(*shard) {
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
    pub(crate) fn finish(&mut self, part: &mut Part) {
        let close = |shards: &mut Vec<Shard>| {
            for shard in shards {
                shard.context.work.order = Order { packet: u64::MAX, phase: 0, shard: shard.number, part: 0 };
                shard.flows.finish(&mut shard.context);
                shard.datagrams.finish(&mut shard.context.work);
            }
        };
        if catch_unwind(AssertUnwindSafe(|| close(&mut self.shards))).is_err() {
            self.start_anew(part);
        }
        self.collect(part);
        let mut totals = Box::default();
        self.count(&mut totals);
        part.totals = Some(totals);
    }

    fn collect(&mut self, part: &mut Part) {
        for shard in &mut self.shards {
            part.observations.append(&mut shard.context.work.out);
        }
    }

    /// Adds this worker's counters.
    fn count(&self, totals: &mut Totals) {
        self.shards.iter().for_each(|shard| shard.count(totals));
        totals.add(&self.before);
    }
}

/// What a fault in our own code would do.
#[cold]
#[expect(clippy::panic, reason = "asked for by a test of what comes after")]
fn fault() {
    panic!("a fault that was asked for");
}
