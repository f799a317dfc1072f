//! Totals.

use super::time;
use net::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// Totals of a run. Deterministic fields only.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Stats {
    /// Always [`SCHEMA`](super::SCHEMA).
    pub schema: u32,
    /// Time of the last packet.
    #[serde(serialize_with = "time")]
    #[schemars(with = "String")]
    pub ts: Timestamp,
    /// `replay` or the configured name.
    pub sensor: String,
    /// No further line follows.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Packets read.
    pub packets: u64,
    /// Captured bytes read.
    pub bytes: u64,
    /// Packets that became part of a flow or were looked at as datagrams.
    pub packets_analysed: u64,
    /// Packets not analysed, by reason. `packets` = `packets_analysed` + the sum of these.
    pub packets_dropped: std::collections::BTreeMap<String, u64>,
    /// Flows by how they ended.
    pub flows: std::collections::BTreeMap<String, u64>,
    /// Messages by protocol.
    pub messages: std::collections::BTreeMap<String, u64>,
    /// Payload bytes not looked into, by reason.
    pub uninspected_bytes: std::collections::BTreeMap<String, u64>,
    /// Reassembly: gaps, conflicts, retransmissions and what limits cost.
    pub reassembly: std::collections::BTreeMap<String, u64>,
    /// Signals by signature or structure.
    pub signals: std::collections::BTreeMap<String, u64>,
    /// Detections by `classification/confidence`.
    pub detections: std::collections::BTreeMap<String, u64>,
    /// Look-alikes by what they are, written or not.
    pub look_alikes: std::collections::BTreeMap<String, u64>,
    /// Servers by classification.
    pub servers: std::collections::BTreeMap<String, u64>,
    /// Notices by code, held back ones included.
    pub notices: std::collections::BTreeMap<String, u64>,
    /// Limits met, by name.
    pub limits: std::collections::BTreeMap<String, u64>,
    /// The pattern engine that bodies went through: `rust` or `hyperscan`. Both give the same answers.
    pub engine: String,
    /// Lines made, this one not counted. Made = written in replay.
    pub events: u64,
}
