//! The reader's role: reads a batch, decodes far enough to know the flow, gives each worker its jobs.

use crate::KeyRing;
use crate::datagrams;
use crate::load::Load;
use crate::tunnels::Told;
use crate::worker::{Job, SHARDS};
use capture::{Batch, Reader};
use net::{FlowKey, FragmentLimits, Fragments, Frame, Packet, Rebuilt, Timestamp, Transport, Undecoded};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What one batch brings beside the jobs.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Ticks: before which packet, and the time.
    pub(crate) ticks: Vec<(u64, Timestamp)>,
    /// What was odd about the files.
    pub(crate) notices: Vec<capture::Notice>,
    /// Input bytes read so far, and in all where known.
    pub(crate) position: (u64, Option<u64>),
    /// Time of the first and last packet so far.
    pub(crate) span: Option<(Timestamp, Timestamp)>,
}

/// Reads, decodes and shards.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    reader: Reader,
    keys: Arc<KeyRing>,
    workers: usize,
    second: Option<i64>,
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
    pub(crate) packets: u64,
}

impl Dispatcher {
    pub(crate) fn new(reader: Reader, workers: usize, fragments: FragmentLimits, keys: Arc<KeyRing>) -> Self {
        if reader.may_bring_secrets() {
            keys.expect_blocks();
        }
        Self {
            reader,
            keys,
            workers,
            second: None,
            span: None,
            fragments: Fragments::new(fragments),
            rebuilt: Vec::new(),
            tunnels: Told::default(),
            dropped: BTreeMap::new(),
            dropped_bytes: BTreeMap::new(),
            packets: 0,
        }
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.keys
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
        let batch = self.reader.next_batch()?;
        for secrets in self.reader.take_secrets() {
            self.keys.add(&secrets);
        }
        let frames = batch.as_ref().map_or(0, |batch| batch.frames().len());
        for jobs in jobs.iter_mut() {
            jobs.reserve(frames / self.workers);
        }
        let mut extras =
            Extras { notices: self.reader.notices().collect(), position: self.reader.position(), ..Extras::default() };
        match &batch {
            Some(batch) => self.shard(batch, jobs, &mut extras),
            None => self.fragments.finish(),
        }
        extras.span = self.span;
        let rebuilt = std::mem::take(&mut self.rebuilt);
        Ok((batch.map(|batch| Load::new(batch, rebuilt)), extras))
    }

    fn shard(&mut self, batch: &Batch, jobs: &mut [Vec<Job>], extras: &mut Extras) {
        for (at, frame) in (0_u32..).zip(batch.iter()) {
            let (first, last) = self.span.unwrap_or((frame.ts, frame.ts));
            self.span = Some((first.min(frame.ts), last.max(frame.ts)));
            let second = frame.ts.seconds();
            if self.second.is_none_or(|s| second > s) {
                self.second = Some(second);
                extras.ticks.push((frame.place.number, frame.ts));
                for jobs in jobs.iter_mut() {
                    jobs.push(Job::Tick { now: frame.ts, before: frame.place.number });
                }
            }
            match net::decode(&frame) {
                Ok(packet) => {
                    let shard = match packet.tuple.transport {
                        Transport::Tcp => shard_of(&packet.tuple.key().0),
                        Transport::Udp => match self.datagram(&packet, frame.data, 1) {
                            Some(shard) => shard,
                            None => continue,
                        },
                    };
                    self.packets += 1;
                    let worker = usize::from(shard) % self.workers;
                    if let Some(jobs) = jobs.get_mut(worker) {
                        if !packet.tuple.tunnel.is_none() {
                            self.name(&packet, || net::tunnel_path(&frame), shard, jobs);
                        }
                        jobs.push(Job::Packet { packet, shard, frame: at });
                    }
                }
                Err(Undecoded::Fragment) => self.fragment(&frame, batch.frames().len(), jobs),
                Err(why) => self.drop(Undecoded::reason(why), 1, frame.data.len() as u64),
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
        let Some(whole) = self.fragments.take(frame) else { return };
        let count = whole.frames.len() as u64;
        match &whole.packet {
            Ok(packet) => {
                let shard = match packet.tuple.transport {
                    Transport::Tcp => shard_of(&packet.tuple.key().0),
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
            return Some(shard_of(&packet.tuple.key().0));
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

/// Virtual shard of a flow: the same for both directions, with a fixed key, so that a replay is the same each time.
fn shard_of(key: &FlowKey) -> u8 {
    let mut hash = 0x9E37_79B9_7F4A_7C15_u64 ^ key.tunnel.spread();
    for end in [key.low, key.high] {
        let (high, low) = match end.ip() {
            IpAddr::V4(ip) => (0, u64::from(ip.to_bits())),
            IpAddr::V6(ip) => {
                let octets = ip.octets();
                let (words, _) = octets.as_chunks::<8>();
                (
                    words.first().map_or(0, |w| u64::from_be_bytes(*w)),
                    words.get(1).map_or(0, |w| u64::from_be_bytes(*w)),
                )
            }
        };
        for word in [high, low, u64::from(end.port())] {
            hash = (hash ^ word).wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(29);
        }
    }
    // The top bits are the best mixed.
    ((hash >> 57) % u64::from(SHARDS)) as u8
}
