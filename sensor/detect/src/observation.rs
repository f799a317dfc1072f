//! What a worker tells the serial stage: owned, bounded, for MCP-relevant traffic only.

use crate::TraceSeen;
use crate::{ContactSeen, Side, Signal, TlsSeen};
use mcp::{BodyKind, LookAlike, Message, PathFacts, RequestFacts, ResponseFacts, Verdict};
use net::{Direction, Place, Sender, Timestamp, Transport};
use proto::{Anomaly, EndKind, ExchangeId};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Where an observation stands among all others of a run. The same whatever the number of workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    /// Number of the packet that caused it; for expiry, of the packet the tick came before.
    pub packet: u64,
    /// 0 for what expired before the packet, 1 for what the packet caused.
    pub phase: u8,
    /// Virtual shard.
    pub shard: u8,
    /// Count within all of the above.
    pub part: u32,
}

/// The flow an observation was made on. Built when the flow first has something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowFacts {
    /// Who asks, by content where that contradicts the ports.
    pub client: SocketAddr,
    /// Who answers.
    pub server: SocketAddr,
    /// Who sent the first packet of the client, where the link layer says so: itself, or a router.
    pub sender: Option<Sender>,
    /// VLAN ids, outermost first.
    pub vlan: [Option<u16>; 2],
    /// Tunnels around the flow, outermost first, in words (`vxlan:7001`).
    pub tunnel: Vec<String>,
    /// First packet: its number is unique in the run.
    pub opened: Place,
    /// The start of the flow was not seen.
    pub midstream: bool,
    /// TCP, or UDP.
    pub transport: Transport,
    /// What was encrypted in it and could be read.
    pub inside: Option<Inside>,
}

/// An encrypted part of a flow that keys opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// The first exchange in it; those before were in the clear.
    pub first: ExchangeId,
    /// What its handshake told.
    pub tls: TlsSeen,
}

/// One observation.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Its place among all others.
    pub order: Order,
    /// Packet time.
    pub ts: Timestamp,
    /// The packet that completed it.
    pub place: Place,
    /// The flow.
    pub flow: Arc<FlowFacts>,
    /// Bytes of the flow never seen, so far.
    pub missed: u64,
    /// What was seen.
    pub what: What,
}

/// What was seen.
#[derive(Clone, Debug)]
pub enum What {
    /// News of one exchange.
    Exchange(ExchangeId, Box<Update>),
    /// A handshake, or a question to a name server. Its number is unique in the flow.
    Contact(u32, Box<ContactSeen>),
    /// A name server said which addresses a name has. Only of names that matter.
    Name(NameSeen),
    /// A name server said which host an address belongs to.
    Host(HostSeen),
    /// A client asked for an address, was given one, or gave one up.
    Lease(Box<proto::dhcp::Message>),
    /// The flow is over; exchanges still open have ended.
    FlowEnd,
    /// Wire framing that receivers may read differently.
    Anomaly(Anomaly),
    /// Segments that could hide bytes from us.
    Segments(net::Anomaly),
    /// Our own code failed on this flow; it was given up.
    Fault,
}

/// What a name server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameSeen {
    /// The name of the question, lower case, without the final dot.
    pub name: String,
    /// Addresses it was said to have.
    pub addresses: Vec<IpAddr>,
    /// A key for Encrypted Client Hello came with it.
    pub ech: bool,
}

impl NameSeen {
    /// Most addresses kept of one answer.
    pub const MAX_ADDRESSES: usize = 32;

    /// Adds an address, if there is room.
    pub fn add(&mut self, address: IpAddr) {
        if self.addresses.len() < Self::MAX_ADDRESSES {
            self.addresses.push(address);
        }
    }
}

/// Which host an address belongs to, as a name server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSeen {
    /// The address.
    pub address: IpAddr,
    /// Name of the host, lower case, without the final dot.
    pub name: String,
    /// It was asked for the name of the address (PTR), and not the other way round.
    pub reverse: bool,
}

/// News of one exchange since the last update. Fields are absent where there is no news.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// The request head; always in the first update of an exchange whose request was seen.
    pub request: Option<Box<RequestSeen>>,
    /// The response head.
    pub response: Option<Box<ResponseSeen>>,
    /// JSON-RPC messages, in order.
    pub messages: Vec<MessageSeen>,
    /// `endpoint` event of an HTTP+SSE stream.
    pub endpoint: Option<EndpointSeen>,
    /// Signals by signatures and heads. Those that messages prove are made from [`Update::messages`].
    pub signals: Vec<Signal>,
    /// How each direction ended, once it has.
    pub ended: [Option<SideEnd>; 2],
    /// Documents that name MCP servers or resources.
    pub document: Option<Box<DocumentSeen>>,
    /// Traces of MCP where none is spoken.
    pub trace: Option<Box<TraceSeen>>,
    /// What each body was, so far.
    pub parsed: [Option<BodyKind>; 2],
    /// A look-alike that messages were recognised as.
    pub look_alike: Option<LookAlike>,
    /// The exchange carries WebSocket messages.
    pub websocket: bool,
    /// Body bytes of request and response on the wire, so far.
    pub bytes: [u64; 2],
}

/// A request head, as far as MCP cares.
#[derive(Clone, Debug)]
pub struct RequestSeen {
    /// When it began.
    pub ts: Timestamp,
    /// The packet it began in.
    pub place: Place,
    /// HTTP version.
    pub version: &'static str,
    /// Request method.
    pub method: String,
    /// Host without port, lower case; empty where none was named.
    pub host: String,
    /// Host as sent, port included.
    pub authority: String,
    /// `https` only where the request itself says so (absolute form).
    pub scheme: &'static str,
    /// User-Agent, bounded.
    pub user_agent: Option<String>,
    /// MCP's headers and the like.
    pub facts: RequestFacts,
    /// The target names the server: CONNECT or absolute form, as to a proxy.
    pub proxied: bool,
    /// The body is a form, as a page posts it.
    pub is_form: bool,
    /// Key of host and target, to meet an `endpoint` event.
    pub target_key: [u8; 32],
}

impl RequestSeen {
    /// What the path says.
    pub fn path(&self) -> &PathFacts {
        &self.facts.path
    }
}

/// A response head, as far as MCP cares.
#[derive(Clone, Debug)]
pub struct ResponseSeen {
    /// When it began.
    pub ts: Timestamp,
    /// HTTP version.
    pub version: &'static str,
    /// Status code.
    pub status: u16,
    /// MCP's headers and the like.
    pub facts: ResponseFacts,
}

/// One JSON-RPC message.
#[derive(Clone, Debug)]
pub struct MessageSeen {
    /// When its last byte came.
    pub ts: Timestamp,
    /// Which way.
    pub dir: Direction,
    /// The message.
    pub message: Message,
    /// What it proves by itself.
    pub verdict: Verdict,
    /// It came on an SSE stream.
    pub sse: bool,
}

/// An `endpoint` event.
#[derive(Clone, Debug)]
pub struct EndpointSeen {
    /// Key of the host and target that POSTs will have.
    pub key: [u8; 32],
    /// Hash of the session id in its query.
    pub session: Option<[u8; 32]>,
}

/// A JSON document that is no message but speaks of MCP.
#[derive(Clone, Debug, Default)]
pub struct DocumentSeen {
    /// Which body it was.
    pub side: Option<Side>,
    /// `resource` of protected-resource metadata (RFC 9728), cleaned.
    pub resource: Option<String>,
    /// Servers that the provider of a model is told to use, and what it did there.
    pub provider: Option<Box<mcp::Provider>>,
}

/// How one direction of an exchange ended.
#[derive(Clone, Copy, Debug)]
pub struct SideEnd {
    /// By its framing, or cut.
    pub how: EndKind,
    /// Why receivers may read its messages in different ways.
    pub doubt: Option<&'static str>,
    /// Why part of it could not be decoded.
    pub undecoded: Option<&'static str>,
    /// Decoded bytes before that.
    pub truncated_at: Option<u64>,
    /// Signature patterns that hit raw body bytes count (the body did not parse and is no page).
    pub raw_hits_count: bool,
}

impl Default for SideEnd {
    fn default() -> Self {
        Self { how: EndKind::Cut, undecoded: None, doubt: None, truncated_at: None, raw_hits_count: false }
    }
}
