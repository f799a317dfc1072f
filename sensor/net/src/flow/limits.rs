//! Every limit of a flow table.

use std::time::Duration;

/// Limits of one [`FlowTable`](super::FlowTable), which is one shard of 64: divide what the whole sensor may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most flows kept, closed ones that linger included. A full table evicts closed ones first, then such as one
    /// sender can make alone (half-open, or with payload that nobody answered, whichever are more), then silent, then
    /// active ones, each the least recently used first (to the tick). At least 1.
    pub flows: usize,
    /// Most bytes held for one direction behind a hole, bookkeeping included. Over it, the hole counts as lost.
    pub held_per_direction: usize,
    /// Most bytes held by the whole table, bookkeeping included. Over it, holes count as lost where they appear.
    pub held_total: usize,
    /// Most bytes that the layer above holds for all flows, as [`App::weight`](super::App::weight) tells. Over it,
    /// flows with payload are evicted, those that nobody answered before the others, the least recently used first;
    /// but for the one that has just had a packet.
    pub above: usize,
    /// Only one side has been heard, or the client has not gone on after the answer to its SYN; no payload.
    pub half_open: Duration,
    /// Both sides have been heard, but no payload.
    pub silent: Duration,
    /// A flow with payload. Long, because event streams idle for long.
    pub active: Duration,
    /// A flow that is over is remembered so long, for late segments, and for data that proves a RST false.
    pub closed: Duration,
    /// How long a hole may wait for its bytes where the other direction is invisible.
    pub hole_one_sided: Duration,
    /// The same where both directions are visible and the receiver has not acknowledged the hole: then it has not
    /// got the bytes either, and they will be sent again.
    pub hole_unacknowledged: Duration,
    /// How long a hole may wait once the receiver has acknowledged it, since mirrors reorder the two directions.
    pub ack_slack: Duration,
    /// The same in packets of the flow, whichever is met first.
    pub ack_slack_packets: u32,
}

impl Limits {
    /// What copies of the last bytes of clients take beside all these, in bytes. They show where a segment comes again with
    /// other content.
    pub const COPIES_BYTES: usize = super::recent::BYTES;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 16_384,
            held_per_direction: 256 << 10,
            held_total: 4 << 20,
            above: 8 << 20,
            half_open: Duration::from_secs(30),
            silent: Duration::from_mins(5),
            active: Duration::from_hours(1),
            closed: Duration::from_secs(10),
            hole_one_sided: Duration::from_secs(2),
            hole_unacknowledged: Duration::from_secs(30),
            ack_slack: Duration::from_secs(1),
            ack_slack_packets: 32,
        }
    }
}

/// Nanoseconds as timestamps count them, saturating.
pub(super) fn nanos(d: Duration) -> i64 {
    i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)
}
