//! The reader's role: reads a batch, decodes far enough to know the flow, gives each worker its jobs.

use crate::control::clock;
use crate::datagrams;
use crate::load::Load;
use crate::totals::Read;
use crate::tunnels::Told;
use crate::worker::{Job, SHARDS};
use crate::{Control, KeyRing, Settings};
use capture::{Batch, Source};
use correlate::record::NoticeCode;
use detect::Generation;
use net::{FlowKey, Fragments, Frame, Packet, Rebuilt, Timestamp, Transport, Undecoded};
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long what was captured may be worked on once the run is to end. What is not read by then is lost.
const DRAIN: Duration = Duration::from_secs(3);
/// A clock that goes back by more than this was set; time goes on from there.
const CLOCK_SET: i64 = 2;

/// What one batch brings beside the jobs.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Ticks: before which packet, and the time.
    pub(crate) ticks: Vec<(u64, Timestamp)>,
    /// What was odd about the files.
    pub(crate) notices: Vec<capture::Notice>,
    /// Input bytes read so far, and in all where known.
    pub(crate) position: (u64, Option<u64>),
    /// Time of the first and last packet so far; of live traffic also the time that has come without one.
    pub(crate) span: Option<(Timestamp, Timestamp)>,
    /// No worker has anything to do with it.
    pub(crate) idle: bool,
    /// Live traffic is known up to here.
    pub(crate) until: Option<Timestamp>,
    /// In force from this batch on.
    pub(crate) generation: Option<Arc<Generation>>,
    /// Notices of something outside of the traffic.
    pub(crate) told: Vec<(NoticeCode, String)>,
    /// What was counted up to the end of this batch, where a snapshot is due.
    pub(crate) read: Option<Box<Read>>,
    /// Batches that wait for each worker.
    pub(crate) queues: Vec<usize>,
    /// Times that our own code failed on this batch.
    pub(crate) faults: u64,
}

/// Reads, decodes and shards.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    source: Source,
    live: bool,
    control: Control,
    generation: Arc<Generation>,
    keys: Arc<KeyRing>,
    workers: usize,
    /// Worker of each shard; asked for every packet, where a division would be felt.
    owners: [usize; SHARDS as usize],
    spread: Spread,
    /// Beginning of the last second that was told of.
    second: Option<Timestamp>,
    /// Number of the last packet.
    number: u64,
    last_packet: Option<Timestamp>,
    /// When to read no more.
    deadline: Option<Instant>,
    /// The frame that is looked at, of this batch.
    at: usize,
    span: Option<(Timestamp, Timestamp)>,
    pub(crate) fragments: Fragments,
    /// Datagrams put together in this batch.
    rebuilt: Vec<Rebuilt>,
    pub(crate) tunnels: Told,
    /// Frames that hold no packet for us, by reason.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
    /// Their bytes.
    pub(crate) dropped_bytes: BTreeMap<&'static str, u64>,
    /// TCP packets handed to workers, and datagrams that were read.
    packets: u64,
    /// Frames that were fragments, and those of datagrams that are whole.
    fragment_frames: u64,
    whole_frames: u64,
    faults: u64,
}

impl Dispatcher {
    pub(crate) fn new(
        source: Source,
        workers: usize,
        settings: &Settings,
        generation: &Arc<Generation>,
        control: &Control,
    ) -> Self {
        let keys = Arc::clone(&settings.keys);
        if source.may_bring_secrets() {
            keys.expect_blocks();
        }
        let live = matches!(source, Source::Live(_));
        Self {
            source,
            live,
            control: control.clone(),
            generation: Arc::clone(generation),
            keys,
            workers,
            owners: std::array::from_fn(|shard| shard % workers.max(1)),
            spread: if live { Spread::random() } else { Spread::FIXED },
            second: None,
            number: 0,
            last_packet: None,
            deadline: None,
            at: 0,
            span: None,
            fragments: Fragments::new(settings.limits.fragments),
            rebuilt: Vec::new(),
            tunnels: Told::default(),
            dropped: BTreeMap::new(),
            dropped_bytes: BTreeMap::new(),
            packets: 0,
            fragment_frames: 0,
            whole_frames: 0,
            faults: 0,
        }
    }

    /// What was counted so far.
    pub(crate) fn read(&self) -> Read {
        let fragments = self.fragments.stats().clone();
        let decided = fragments.repeated + fragments.dropped().map(|(_, frames, _)| frames).sum::<u64>();
        Read {
            capture: self.source.stats(),
            live: self.source.live().map(capture::Live::stats),
            dropped: self.dropped.clone(),
            dropped_bytes: self.dropped_bytes.clone(),
            packets: self.packets,
            fragments_waiting: self.fragment_frames.saturating_sub(self.whole_frames + decided),
            fragments,
            fragment_bytes: self.fragments.held_bytes() as u64,
            tunnels_forgotten: self.tunnels.forgotten,
            key_sessions_forgotten: self.keys.stats().evicted,
            last_packet: self.last_packet,
            faults: self.faults,
        }
    }

    /// The next batch of the source; `None` also once the run was asked to end, and has had its time.
    fn batch(&mut self) -> Result<Option<Batch>, capture::ReadError> {
        if self.deadline.is_none() && self.control.is_stopped() {
            if let Source::Live(live) = &self.source {
                live.stopper().stop();
            }
            self.deadline = Some(clock() + DRAIN);
        }
        match self.deadline {
            Some(deadline) if !self.live || clock() >= deadline => Ok(None),
            _ => self.source.next_batch(),
        }
    }

    /// The next batch with the jobs of each worker; `None` at the end, where only the extras matter.
    ///
    /// # Errors
    ///
    /// Where the source fails in a way that a notice cannot carry.
    pub(crate) fn next(&mut self, jobs: &mut Vec<Vec<Job>>) -> Result<(Option<Load>, Extras), capture::ReadError> {
        // Lists that come back empty keep their room.
        jobs.resize_with(self.workers, Vec::new);
        jobs.iter_mut().for_each(Vec::clear);
        let batch = self.batch()?;
        for secrets in self.source.take_secrets() {
            self.keys.add(&secrets);
        }
        let frames = batch.as_ref().map_or(0, |batch| batch.frames().len());
        for jobs in jobs.iter_mut() {
            jobs.reserve(frames / self.workers);
        }
        let mut extras = Extras {
            notices: self.source.notices().collect(),
            told: self.control.take_notices(),
            position: self.source.position(),
            ..Extras::default()
        };
        let Some(batch) = batch else {
            self.fragments.finish();
            extras.span = self.span;
            return Ok((None, extras));
        };
        if let Some(generation) = self.control.take_generation() {
            self.generation = Arc::clone(&generation);
            extras.generation = Some(generation);
        }
        self.at = 0;
        if let Some(last) = batch.frames().last() {
            (self.number, self.last_packet) = (last.place.number, Some(last.ts));
        }
        // A fault in our own code costs the rest of the batch.
        if catch_unwind(AssertUnwindSafe(|| self.shard(&batch, jobs, &mut extras))).is_err() {
            let rest = batch.frames().get(self.at..).unwrap_or_default();
            self.drop("fault", rest.len() as u64, rest.iter().map(|frame| u64::from(frame.len)).sum());
            self.faults += 1;
            extras.faults += 1;
        }
        extras.until = batch.until();
        if let Some(until) = batch.until() {
            let latest = batch.frames().iter().map(|frame| frame.ts).max();
            self.set_clock(latest.map_or(until, |latest| latest.max(until)), &extras);
            self.come_to(until, self.number + 1, jobs, &mut extras);
        }
        extras.span = self.span;
        let snapshot = self.live && !extras.ticks.is_empty();
        extras.read = snapshot.then(|| Box::new(self.read()));
        extras.idle = !snapshot && jobs.iter().all(Vec::is_empty);
        let rebuilt = std::mem::take(&mut self.rebuilt);
        Ok((Some(Load::new(batch, rebuilt, &self.generation, snapshot)), extras))
    }

    /// Where the clock was set back, which shows in a whole batch, time goes on from there: else none would pass for as
    /// long as it was set back by.
    fn set_clock(&mut self, now: Timestamp, extras: &Extras) {
        let back = self.second.is_some_and(|known| known.seconds().saturating_sub(now.seconds()) > CLOCK_SET);
        if back && extras.ticks.is_empty() {
            self.second = None;
            self.span = self.span.map(|(first, _)| (first.min(now), now));
        }
    }

    /// It is now `now`, and packet number `before` has not come.
    fn come_to(&mut self, now: Timestamp, before: u64, jobs: &mut [Vec<Job>], extras: &mut Extras) {
        let (first, last) = self.span.unwrap_or((now, now));
        self.span = Some((first.min(now), last.max(now)));
        if self.second.is_none_or(|second| now >= second.plus(Timestamp::SECOND)) {
            self.second = Some(Timestamp::new(now.seconds(), 0));
            extras.ticks.push((before, now));
            for jobs in jobs.iter_mut() {
                jobs.push(Job::Tick { now, before });
            }
            if self.live {
                self.fragments.tick(now);
            }
        }
    }

    fn shard(&mut self, batch: &Batch, jobs: &mut [Vec<Job>], extras: &mut Extras) {
        for (at, frame) in (0_u32..).zip(batch.iter()) {
            self.at = at as usize;
            self.come_to(frame.ts, frame.place.number, jobs, extras);
            // Borrowed where it was made: so a packet is copied once, into its job.
            match &net::decode(&frame) {
                Ok(packet) => {
                    let shard = match packet.tuple.transport {
                        Transport::Tcp => self.spread.shard_of(&packet.tuple.key().0),
                        Transport::Udp => match self.datagram(packet, frame.data, 1) {
                            Some(shard) => shard,
                            None => continue,
                        },
                    };
                    self.packets += 1;
                    let jobs = self.owners.get(usize::from(shard)).and_then(|worker| jobs.get_mut(*worker));
                    if let Some(jobs) = jobs {
                        if !packet.tuple.tunnel.is_none() {
                            self.name(packet, || net::tunnel_path(&frame), shard, jobs);
                        }
                        jobs.push(Job::Packet { packet: packet.clone(), shard, frame: at });
                    }
                }
                Err(Undecoded::Fragment) => self.fragment(&frame, batch.frames().len(), jobs),
                Err(why) => self.drop(why.reason(), 1, frame.data.len() as u64),
            }
        }
    }

    /// Tells the shard what the tunnel of a packet is called, where it does not know.
    #[cold]
    fn name(&mut self, packet: &Packet, path: impl FnOnce() -> net::Path, shard: u8, jobs: &mut Vec<Job>) {
        let tunnel = packet.tuple.tunnel;
        if self.tunnels.is_news(tunnel, shard) {
            jobs.push(Job::Tunnel { tunnel, path: path(), shard });
        }
    }

    /// Goes on with the datagram that a fragment completes, if it does. Its frames are counted by then.
    #[cold]
    fn fragment(&mut self, frame: &Frame<'_>, frames: usize, jobs: &mut [Vec<Job>]) {
        let whole = self.fragments.take(frame);
        self.fragment_frames += 1;
        let Some(whole) = whole else { return };
        let count = whole.frames.len() as u64;
        self.whole_frames += count;
        match &whole.packet {
            Ok(packet) => {
                let shard = match packet.tuple.transport {
                    Transport::Tcp => self.spread.shard_of(&packet.tuple.key().0),
                    Transport::Udp => match self.datagram(packet, &whole.bytes, count) {
                        Some(shard) => shard,
                        None => return,
                    },
                };
                let at = u32::try_from(frames + self.rebuilt.len());
                let (Ok(at), Some(jobs)) = (at, jobs.get_mut(usize::from(shard) % self.workers)) else {
                    return self.drop("fragment", count, whole.frame_bytes);
                };
                self.packets += count;
                if !packet.tuple.tunnel.is_none() {
                    self.name(packet, || whole.path, shard, jobs);
                }
                jobs.push(Job::Packet { packet: packet.clone(), shard, frame: at });
                self.rebuilt.push(*whole);
            }
            Err(why) => self.drop(why.reason(), count, whole.frame_bytes),
        }
    }

    /// The shard that a datagram is for; `None` for one that is not worth a look, which is counted. It came in so many
    /// `frames`.
    fn datagram(&mut self, packet: &Packet, frame: &[u8], frames: u64) -> Option<u8> {
        let payload = frame.get(packet.payload.start as usize..packet.payload.end as usize).unwrap_or(&[]);
        if datagrams::is_worth_a_look(packet, payload) {
            return Some(self.spread.shard_of(&packet.tuple.key().0));
        }
        let quic = || if datagrams::is_quic(packet, payload) { "quic" } else { "udp" };
        let why = net::carrier_by_port(&packet.tuple).unwrap_or_else(quic);
        self.drop(why, frames, u64::from(packet.wire_payload));
        None
    }

    fn drop(&mut self, why: &'static str, frames: u64, bytes: u64) {
        *self.dropped.entry(why).or_default() += frames;
        *self.dropped_bytes.entry(why).or_default() += bytes;
    }
}

/// How flows are spread over the virtual shards.
#[derive(Clone, Copy, Debug)]
struct Spread {
    seed: u64,
    /// Odd.
    factor: u64,
}

impl Spread {
    /// The same each time, for what must say the same each time.
    const FIXED: Self = Self { seed: 0x9E37_79B9_7F4A_7C15, factor: 0xD6E8_FEB8_6659_FD93 };

    /// Drawn anew: nobody knows which flows share a shard.
    fn random() -> Self {
        let keys = RandomState::new();
        Self { seed: keys.hash_one(0_u8), factor: keys.hash_one(1_u8) | 1 }
    }

    /// Virtual shard of a flow: the same for both directions.
    fn shard_of(self, key: &FlowKey) -> u8 {
        let mut hash = self.seed ^ key.tunnel.spread();
        for end in [key.low, key.high] {
            let [high, low] = end.words();
            for word in [high, low, u64::from(end.port())] {
                hash = (hash ^ word).wrapping_mul(self.factor).rotate_left(29);
            }
        }
        // The top bits are the best mixed.
        (hash >> 57) as u8 % SHARDS
    }
}
