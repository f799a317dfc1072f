//! Totals.

use super::time;
use net::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

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
    pub packets_dropped: BTreeMap<String, u64>,
    /// Flows by how they ended.
    pub flows: BTreeMap<String, u64>,
    /// Messages by protocol.
    pub messages: BTreeMap<String, u64>,
    /// Payload bytes not looked into, by reason.
    pub uninspected_bytes: BTreeMap<String, u64>,
    /// Reassembly: gaps, conflicts, retransmissions and what limits cost.
    pub reassembly: BTreeMap<String, u64>,
    /// Signals by signature or structure.
    pub signals: BTreeMap<String, u64>,
    /// Detections by `classification/confidence`, with `/block` or `/redirect` behind it where something was stopped.
    pub detections: BTreeMap<String, u64>,
    /// Look-alikes by what they are, written or not.
    pub look_alikes: BTreeMap<String, u64>,
    /// Servers by classification.
    pub servers: BTreeMap<String, u64>,
    /// Notices by code, held back ones included.
    pub notices: BTreeMap<String, u64>,
    /// Limits met, by name.
    pub limits: BTreeMap<String, u64>,
    /// The pattern engine that bodies went through: `rust` or `hyperscan`. Both give the same answers.
    pub engine: String,
    /// Lines made, this one not counted. Made = written in replay.
    pub events: u64,
    /// What the proxy did, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyStats>,
}

/// What the proxy did since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProxyStats {
    /// Connections of clients, in all.
    pub connections: u64,
    /// Connections of clients now.
    pub connections_active: u64,
    /// Bytes of messages that wait for a verdict now.
    pub held_bytes: u64,
    /// Requests by status of the answer, in classes or one by one.
    pub requests: BTreeMap<String, u64>,
    /// Handshakes with clients, by result.
    pub tls_client: BTreeMap<String, u64>,
    /// Handshakes with servers, by result.
    pub tls_origin: BTreeMap<String, u64>,
    /// What was not served, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Connections passed through unread, by reason.
    pub tunnelled: BTreeMap<String, u64>,
    /// What was done about MCP, by action.
    pub actions: BTreeMap<String, u64>,
    /// Limits met, by name.
    pub limits: BTreeMap<String, u64>,
    /// What else was counted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, u64>,
    /// News of inspection for which there was no room on the way to the events.
    pub observations_dropped: u64,
    /// Time that the proxy itself took for requests: not what servers and their names took.
    pub added_latency: Latency,
}

/// How long something took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Latency {
    /// How often it was measured.
    pub count: u64,
    /// Microseconds, in all.
    pub sum_us: u64,
    /// By bound in microseconds: how often it took at most so long.
    pub up_to_us: BTreeMap<u64, u64>,
}
