//! The records of a run, as contract section 2 names them. Owned, bounded, already masked: a sink only writes.
//! Absent facts are left out of the line rather than written as `null`.

mod catalogue;
mod flow;
mod notice;
mod oauth;
mod payload;
mod stats;

pub use catalogue::CatalogueRecord;
pub use flow::{Endpoint, Flow, NameFrom, User, UserFrom};
pub use notice::{Notice, NoticeCode};
pub use oauth::{AuthorizationRecord, OAuthClientRecord, OAuthRecord};
pub use payload::PayloadRecord;
pub use stats::{Latency, ProxyStats, Stats};

use detect::{Action, Classification, Confidence, Severity, Signal};
use net::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// Version of the event schema, in every line.
pub const SCHEMA: u32 = 1;

/// One line of output.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record {
    /// First line of a run.
    Run(Run),
    /// One JSON-RPC request with its answer, or an exchange that carries signals.
    Detection(Box<Detection>),
    /// One client-server conversation.
    Session(Box<SessionRecord>),
    /// A change in what is known of a server.
    Server(Box<ServerRecord>),
    /// An anomaly, a limit met, loss, an unreadable part.
    Notice(Notice),
    /// Totals that add up.
    Stats(Box<Stats>),
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Packets are counted from 1 on.
fn no_packets(packets: &[u64; 2]) -> bool {
    *packets == [0; 2]
}

/// Serialises as RFC 3339 with microseconds.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
pub(crate) fn time<S: serde::Serializer>(t: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(t)
}

/// First line: what ran on what.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Run {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// Time of the first packet; for a live run, of the start.
    #[serde(serialize_with = "time")]
    #[schemars(with = "String")]
    pub ts: Timestamp,
    /// `replay` or the configured name.
    pub sensor: String,
    /// Version of the program.
    pub version: String,
    /// SHA-256 over the effective configuration.
    pub config: String,
    /// SHA-256 over all rule files in force.
    pub rules_generation: String,
    /// Files that are read.
    pub inputs: Vec<Input>,
    /// Where live traffic comes from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<RunSource>,
}

/// One source of live traffic.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RunSource {
    /// `interface` or `proxy`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// One input of a run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Input {
    /// Base name.
    pub name: String,
    /// Size in bytes, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// SHA-256 of the file, with `--hash-inputs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Where a detection's packets are.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Source {
    /// `pcap`, `interface` or `proxy`.
    pub kind: String,
    /// Base name of the file, or the interface.
    pub name: String,
    /// First and last packet, 1-based, numbered within the file that holds the first one; absent for a proxy, which
    /// sees none.
    #[serde(skip_serializing_if = "no_packets")]
    pub packets: [u64; 2],
}

/// What a TLS handshake showed, that of QUIC included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tls {
    /// The name the client claims to call; absent where it named none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sni: String,
    /// The application protocol chosen, else those offered.
    pub alpn: Vec<String>,
    /// The version chosen, else the highest offered: `1.3`, `1.2`, ...
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// JA4 fingerprint of the client.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ja4: String,
    /// Encrypted Client Hello was offered (or made up, so that all clients look alike): the true name may be another.
    pub ech: bool,
    /// Names of the certificate of the server, where it can be seen (TLS 1.2 and below).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificate: Vec<String>,
}

/// The HTTP exchange.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Http {
    /// `1.0`, `1.1`, `2`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Request method.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// `http` or `https`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scheme: String,
    /// Host as asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Path with secret-looking segments and query values masked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// User-Agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Body bytes of the request on the wire.
    pub request_bytes: u64,
    /// Body bytes of the answer on the wire, so far.
    pub response_bytes: u64,
}

/// A name and version a peer gives itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Peer {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// One JSON-RPC call.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Call {
    /// JSON-RPC id as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpc_id: Option<String>,
    /// Method.
    pub method: String,
    /// Tool, prompt or resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Masked arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// Raw length of the arguments in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments_bytes: Option<u64>,
    /// SHA-256 of the raw arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments_sha256: Option<String>,
    /// Length of the answering message in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_bytes: Option<u64>,
    /// The answer was an error (JSON-RPC error or `isError`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
    /// What the tool says it does: `read`, `write`, `destructive`, or `unknown` where it was not offered. Told where
    /// policies ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_class: Option<String>,
    /// Packet time from call to answer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// How the client authenticated. Never the secret.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Auth {
    /// `none`, `bearer`, `basic`, `api_key`, or the scheme's name.
    pub kind: String,
    /// Claims of a bearer JWT that name who and what, never the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
}

/// Claims of a JWT.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Jwt {
    /// Issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Audience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
}

/// What MCP said.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Mcp {
    /// `streamable_http`, `http_sse`, `websocket` or `unknown`.
    pub transport: String,
    /// `session` or `stateless`; absent while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub era: Option<String>,
    /// Protocol versions in use (those named by an accepted answer or header; offers only while nothing else is known).
    pub protocol_versions: Vec<String>,
    /// Methods, both directions.
    pub methods: Vec<String>,
    /// Tools called.
    pub tools: Vec<String>,
    /// Tools offered.
    pub tools_listed: Vec<String>,
    /// Tools that a program calls which is given to a tool that runs programs (Code Mode).
    pub inner_tools: Vec<String>,
    /// It may call others: which ones is decided while it runs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub inner_tools_incomplete: bool,
    /// Resources read or offered.
    pub resources: Vec<String>,
    /// Prompts asked for or offered.
    pub prompts: Vec<String>,
    /// Calls with their answers.
    pub calls: Vec<Call>,
    /// What the client calls itself, so far in the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Peer>,
    /// What the server calls itself, so far in the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Peer>,
    /// Hash of the session id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// `answered`, `challenged`, `blocked`, `refused` or `unseen`.
    pub outcome: String,
    /// How the client authenticated.
    pub auth: Auth,
    /// An `Mcp-*` header contradicts the body.
    pub header_mismatch: bool,
    /// MCP that the provider of a model is asked to speak for its caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_side: Option<ProviderSide>,
    /// Software of a server that is fetched, or a link that installs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supply: Option<SupplyRecord>,
    /// The step of the way to an access token that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuthRecord>,
}

/// MCP that the provider of a model speaks for its caller. The sensor sees the order and the report, not MCP itself.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ProviderSide {
    /// The provider: host that the model call went to; its address where none was seen.
    pub provider: String,
    /// Whose shape the call has: `openai`, `anthropic` or `gemini`; others took these over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Servers it is told to contact.
    pub servers: Vec<ProviderServerRecord>,
    /// Tools it says they offer.
    pub tools_listed: Vec<String>,
    /// Calls it says it made, or asks to be allowed to make.
    pub calls: Vec<ProviderCallRecord>,
}

/// One server a provider is told to contact.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ProviderServerRecord {
    /// What the caller names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its address; user, query values and secret-looking parts masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_url: Option<String>,
    /// A connector or tunnel of the provider's own in place of an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// The caller hands over credentials for it. Never the credentials.
    pub credentials: bool,
    /// `never` where the provider may call tools unasked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_approval: Option<String>,
}

/// One tool call that a provider reports.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ProviderCallRecord {
    /// The server's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// It failed; absent while no result was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
    /// It was not made: the caller is asked to approve it.
    pub awaits_approval: bool,
}

/// Software of a server that is fetched, or a link that installs one.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct SupplyRecord {
    /// `npm`, `pypi`, `image`, `bundle` or `install_link`.
    pub kind: String,
    /// Package, image, bundle, or the server's name in a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Version or tag, where the request names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `npx` or `uvx`: it is fetched to be run at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// For a link: the server's address, masked as elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_url: Option<String>,
    /// For a link: the program that is to run, without its arguments, and the package it fetches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// What was decided and what was done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ActionRecord {
    /// What the policy asks for.
    pub decided: Action,
    /// What was done; in replay `log` or `none`.
    pub taken: Action,
    /// `connect`, `request`, `response` or `message`.
    pub stage: String,
    /// Name of the policy; `default` where none matched.
    pub policy: String,
    /// `policy`, `limit` or `fault`.
    pub cause: String,
    /// The policy only pretends.
    pub dry_run: bool,
    /// How much of what was stopped, or should have been, reached the server: `none`, `partial` or `whole`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<String>,
    /// More about the cause; `too_late` where our proxy found out only when it had passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where looking stopped.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct LimitsMet {
    /// Decoded body bytes after which we stopped looking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_truncated_at: Option<u64>,
    /// Why a content coding could not be taken off; `tls` or `quic` where all that was said is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undecoded: Option<String>,
    /// The body that broke off before its end, `request` or `answer`, where our own proxy saw it; not that of an event
    /// stream, which ends so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_cut: Option<String>,
    /// Messages of a batch that no policy was held against, since there were too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_unjudged: Option<u64>,
    /// A message was too long for what policies ask of its content, or no JSON to its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub content_unread: bool,
    /// Messages that were to be logged and are not in `payload`: there were too many, or too much.
    #[serde(skip_serializing_if = "is_zero")]
    pub payloads_left_out: u64,
}

/// The record of one request with its answer and all we concluded.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Detection {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// Time of the request.
    #[serde(serialize_with = "time")]
    #[schemars(with = "String")]
    pub ts: Timestamp,
    /// Derived from content: the same traffic gives the same id.
    pub id: String,
    /// `replay` or the configured name.
    pub sensor: String,
    /// Hash of the rules in force.
    pub rules_generation: String,
    /// Where its packets are.
    pub source: Source,
    /// The flow.
    pub flow: Flow,
    /// Who sits at the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Set where no MCP is spoken here and something else tells of it: `remote-mcp-by-provider`, `mcp-supply`,
    /// `mcp-install`, `mcp-registry`. Such a detection makes no server and no session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// `cleartext`, `keylog`, `intercepted`, `tls_metadata`, `quic_metadata`, `dns`.
    pub visibility: String,
    /// The handshake of TLS or QUIC, where one was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The HTTP exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// What MCP said.
    pub mcp: Mcp,
    /// `server`, `client`, `tool`: seen for the first time in this run.
    pub novel: Vec<String>,
    /// The signals behind the confidence, strongest first.
    pub signals: Vec<Signal>,
    /// How sure.
    pub confidence: Confidence,
    /// How bad.
    pub severity: Severity,
    /// What it means here.
    pub classification: Classification,
    /// Profiles of data that policies ask for and that were found in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dlp: Vec<String>,
    /// For `look_alike`: of what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_alike: Option<String>,
    /// What was done.
    pub action: ActionRecord,
    /// Messages that policies have logged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub payload: Vec<PayloadRecord>,
    /// Where looking stopped.
    pub limits: LimitsMet,
}

/// One conversation between a client and a server.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SessionRecord {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// When it was written: the end of the conversation, unless it is `ongoing`.
    #[serde(serialize_with = "time")]
    #[schemars(with = "String")]
    pub ts: Timestamp,
    /// Derived from content; the same in all records of one conversation.
    pub id: String,
    /// It is not over: this is what is known so far.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ongoing: bool,
    /// `replay` or the configured name.
    pub sensor: String,
    /// Client address; behind a trusted proxy that of the client it asks for.
    pub client_ip: String,
    /// Name of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Who says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name_from: Option<NameFrom>,
    /// Who sits at the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// The server.
    pub server: ServerKey,
    /// Everything said.
    pub mcp: Mcp,
    /// Detections that belong to it.
    pub detections: u64,
    /// Connections it used.
    pub flows: u64,
    /// First exchange.
    #[serde(serialize_with = "time")]
    #[schemars(with = "String")]
    pub first_seen: Timestamp,
    /// Last exchange.
    #[serde(serialize_with = "time")]
    #[schemars(with = "String")]
    pub last_seen: Timestamp,
    /// Highest confidence.
    pub confidence: Confidence,
    /// Classification of the server.
    pub classification: Classification,
}

/// What identifies a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct ServerKey {
    /// Host it was asked for by; its address where none was seen.
    pub host: String,
    /// Address.
    pub ip: String,
    /// Port.
    pub port: u16,
    /// Endpoint path, masked as in [`Http::path`]; for HTTP+SSE that of the event stream.
    pub path: String,
}

/// What changed about a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// First time in this run.
    New,
    /// A client not seen with it before.
    Client,
    /// Its list of tools changed.
    Tools,
    /// It is approved, and offers a list of tools that was not there before.
    Catalogue,
    /// How it authenticates changed.
    Auth,
    /// Its review state changed.
    Review,
    /// Once per server at the end of a replay.
    Seen,
}

/// A server, as known so far.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ServerRecord {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// When it was written.
    #[serde(serialize_with = "time")]
    #[schemars(with = "String")]
    pub ts: Timestamp,
    /// `replay` or the configured name.
    pub sensor: String,
    /// What changed.
    pub change: Change,
    /// How bad that is, for the change `catalogue`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The server.
    pub server: ServerKey,
    /// Everything said by and to it. `calls` is empty here.
    pub mcp: Mcp,
    /// Client addresses, sorted; at most 256. For the change `client`, the new one alone.
    pub clients: Vec<String>,
    /// Names of those of `clients` that have one, by address.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub client_names: std::collections::BTreeMap<String, String>,
    /// Clients in all.
    pub client_count: u64,
    /// JSON-RPC calls in all.
    pub call_count: u64,
    /// First exchange.
    #[serde(serialize_with = "time")]
    #[schemars(with = "String")]
    pub first_seen: Timestamp,
    /// Last exchange.
    #[serde(serialize_with = "time")]
    #[schemars(with = "String")]
    pub last_seen: Timestamp,
    /// Highest confidence.
    pub confidence: Confidence,
    /// What it means here.
    pub classification: Classification,
    /// The tools that it offers, once all of them were seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<CatalogueRecord>,
    /// The strongest signal's id: the short answer to "why".
    pub why: String,
    /// Who gives access tokens for it, and to which clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<AuthorizationRecord>,
}
