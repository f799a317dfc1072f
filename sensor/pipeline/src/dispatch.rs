//! The reader's role: reads a batch, decodes far enough to know the flow, gives each worker its jobs.

use crate::worker::{Job, SHARDS};
use capture::{Batch, Reader};
use net::{FlowKey, Packet, Timestamp, Transport, Undecoded};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What one batch brings beside the jobs.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Ticks: before which packet, and the time.
    pub(crate) ticks: Vec<(u64, Timestamp)>,
    /// What was odd about the files.
    pub(crate) notices: Vec<capture::Notice>,
    /// Input bytes read so far, and in all where known.
    pub(crate) position: (u64, Option<u64>),
    /// Addresses that names were said to have, by the packet that said so.
    pub(crate) names: Vec<(u64, proto::dns::Answer)>,
    /// Time of the first and last packet so far.
    pub(crate) span: Option<(Timestamp, Timestamp)>,
}

/// Reads, decodes and shards.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    reader: Reader,
    workers: usize,
    second: Option<i64>,
    span: Option<(Timestamp, Timestamp)>,
    /// Frames that hold no packet for us, by reason.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
    /// Their bytes.
    pub(crate) dropped_bytes: BTreeMap<&'static str, u64>,
    /// TCP packets handed to workers, and datagrams that were read.
    pub(crate) packets: u64,
}

impl Dispatcher {
    pub(crate) fn new(reader: Reader, workers: usize) -> Self {
        let (dropped, dropped_bytes) = (BTreeMap::new(), BTreeMap::new());
        Self { reader, workers, second: None, span: None, dropped, dropped_bytes, packets: 0 }
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The next batch with the jobs of each worker; `None` at the end, where only the extras matter.
    ///
    /// # Errors
    ///
    /// Where the source fails in a way that a notice cannot carry.
    pub(crate) fn next(&mut self, jobs: &mut Vec<Vec<Job>>) -> Result<(Option<Batch>, Extras), capture::ReadError> {
        // Lists that come back empty keep their room.
        jobs.resize_with(self.workers, Vec::new);
        jobs.iter_mut().for_each(Vec::clear);
        let batch = self.reader.next_batch()?;
        let frames = batch.as_ref().map_or(0, |batch| batch.frames().len());
        for jobs in jobs.iter_mut() {
            jobs.reserve(frames / self.workers);
        }
        let mut extras =
            Extras { notices: self.reader.notices().collect(), position: self.reader.position(), ..Extras::default() };
        if let Some(batch) = &batch {
            self.shard(batch, jobs, &mut extras);
        }
        extras.span = self.span;
        Ok((batch, extras))
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
                Ok(packet) if packet.tuple.transport == Transport::Tcp => {
                    self.packets += 1;
                    let shard = shard_of(&packet.tuple.key().0);
                    let worker = usize::from(shard) % self.workers;
                    if let Some(jobs) = jobs.get_mut(worker) {
                        jobs.push(Job::Packet { packet, shard, frame: at });
                    }
                }
                Ok(packet) => self.datagram(&packet, frame.data, extras),
                Err(why) => self.drop(Undecoded::reason(why), frame.data.len() as u64),
            }
        }
    }

    /// UDP: answers of name servers are read, the rest is not looked at yet.
    fn datagram(&mut self, packet: &Packet, frame: &[u8], extras: &mut Extras) {
        let payload = frame.get(packet.payload.start as usize..packet.payload.end as usize).unwrap_or(&[]);
        let from_server = packet.tuple.src.port() == 53;
        match proto::dns::answer(payload).filter(|_| from_server) {
            Some(answer) => {
                self.packets += 1;
                extras.names.push((packet.place.number, answer));
            }
            None => self.drop("udp", u64::from(packet.wire_payload)),
        }
    }

    fn drop(&mut self, why: &'static str, bytes: u64) {
        *self.dropped.entry(why).or_default() += 1;
        *self.dropped_bytes.entry(why).or_default() += bytes;
    }
}

/// Virtual shard of a flow: the same for both directions, with a fixed key, so that a replay is the same each time.
fn shard_of(key: &FlowKey) -> u8 {
    let mut hash = 0x9E37_79B9_7F4A_7C15_u64;
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
