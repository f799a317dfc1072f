//! `[limits]`.

use super::MAX_THREADS;
use pipeline::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[limits]`. Memory and work, whatever the traffic. Those in all, but for `correlation_bytes`, are shared out evenly
/// among 64 parts of the traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
    /// Most memory, in bytes, that traffic can make this program hold; 2 GiB where left out. It sets the other limits but
    /// for `head_bytes` and `decoded_bytes`, and all queues, each to its share. One that is given holds in place of its
    /// share.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    /// Most connections kept in mind at a time.
    flows: Option<usize>,
    /// Most bytes held, in all, while earlier ones are waited for.
    reassembly_bytes: Option<usize>,
    /// The same for one direction of a connection.
    direction_bytes: Option<usize>,
    /// Longest head of an HTTP message, in bytes.
    head_bytes: Option<usize>,
    /// Most bytes of one body or WebSocket message after decompression.
    decoded_bytes: Option<u64>,
    /// Most bytes kept, in all, of exchanges under way, conversations, servers and names.
    correlation_bytes: Option<usize>,
}

impl RawLimits {
    /// Puts in what is left out, so that the whole can be shown. A total that is too small is told by [`Self::check`].
    pub(super) fn fill(&mut self) {
        let limits = self.shares().unwrap_or_default();
        let parts = usize::from(MAX_THREADS);
        self.flows.get_or_insert(limits.flows.flows * parts);
        self.reassembly_bytes.get_or_insert(limits.flows.held_total * parts);
        self.direction_bytes.get_or_insert(limits.flows.held_per_direction);
        self.head_bytes.get_or_insert(limits.protocols.head_bytes);
        self.decoded_bytes.get_or_insert(limits.inspection.coding.max_output);
        self.correlation_bytes.get_or_insert(limits.correlation.total());
    }

    /// The limits without those that are given one by one, or the least total that would do.
    pub(super) fn shares(&self) -> Result<Limits, u64> {
        self.memory_bytes.map_or_else(|| Ok(Limits::default()), Limits::of)
    }

    /// The limits of one part of the traffic, or the key that is too small with the least that would do.
    pub(super) fn check(&self) -> Result<Limits, (&'static str, u64)> {
        let parts = usize::from(MAX_THREADS);
        let mut limits = self.shares().map_err(|least| ("limits.memory_bytes", least))?;
        let mut filled = self.clone();
        filled.fill();
        let (Some(flows), Some(reassembly), Some(direction), Some(head), Some(decoded), Some(correlation)) = (
            filled.flows,
            filled.reassembly_bytes,
            filled.direction_bytes,
            filled.head_bytes,
            filled.decoded_bytes,
            filled.correlation_bytes,
        ) else {
            return Ok(limits);
        };
        let least = [
            ("limits.flows", flows as u64, parts as u64),
            ("limits.reassembly_bytes", reassembly as u64, 1 << 20),
            ("limits.direction_bytes", direction as u64, 4 << 10),
            ("limits.head_bytes", head as u64, 1 << 10),
            ("limits.decoded_bytes", decoded, 64 << 10),
            ("limits.correlation_bytes", correlation as u64, 1 << 20),
        ];
        if let Some((key, _, least)) = least.into_iter().find(|(_, value, least)| value < least) {
            return Err((key, least));
        }
        limits.flows.flows = flows / parts;
        limits.flows.held_total = reassembly / parts;
        limits.flows.held_per_direction = direction;
        limits.protocols.head_bytes = head;
        limits.protocols.websocket.max_output = decoded;
        limits.inspection.coding.max_output = decoded;
        limits.correlation = correlate::Limits::of(correlation);
        Ok(limits)
    }
}
