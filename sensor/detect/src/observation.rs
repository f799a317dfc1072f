//! What a worker tells the serial stage: owned, bounded, for MCP-relevant traffic only.

use crate::{Action, Classification, Confidence, ContactSeen, Content, Decision, Side, Signal, TlsSeen};
use crate::{OAuthSeen, TraceSeen};
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
    /// It goes through our own proxy. [`Place::file`] of [`Self::opened`] is its listener then, and nothing has a
    /// packet.
    pub proxy: Option<Box<ProxyFacts>>,
}

/// What our own proxy knows of a connection beside its ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyFacts {
    /// Who authenticated at the proxy.
    pub user: Option<Arc<str>>,
    /// The handshake, where the proxy opened it.
    pub tls: Option<TlsSeen>,
    /// The server's certificate was verified for the name.
    pub verified: bool,
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
    /// News of our own proxy.
    Proxy(Box<ProxyNews>),
}

/// What our own proxy has to tell beside exchanges. Hosts are lower case and without port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyNews {
    /// A client does not trust our certificate authority, or pins the server's certificate.
    CaRefused {
        /// The server it wanted.
        host: String,
    },
    /// The certificate or the TLS of a server cannot be trusted.
    Untrusted {
        /// The server.
        host: String,
        /// A word: `expired`, `unknown_issuer`, `wrong_name`, ...
        reason: &'static str,
    },
    /// A request, or the name in a handshake, is for another server than the connection.
    Misdirected {
        /// What the connection is for.
        connected: String,
        /// What was asked for inside of it.
        asked: String,
    },
    /// A server is passed through unread from now on, because clients refused our certificate for it.
    BypassBegan {
        /// The server.
        host: String,
    },
    /// It is intercepted again.
    BypassEnded {
        /// The server.
        host: String,
    },
    /// A server is refused, and what is said to it is not read: so nobody could be told inside of the connection.
    RefusedUnread {
        /// The server.
        host: String,
        /// Why it is not read: a word of a metric.
        why: &'static str,
    },
    /// A client asked for certificates of more new names than it may; a handshake was refused.
    LeafRate {
        /// The server it wanted.
        host: String,
    },
    /// A message waited for a verdict and met a limit.
    HoldLimit {
        /// The server.
        host: String,
        /// Which: `bytes`, `total_bytes`, `idle`.
        limit: &'static str,
        /// What was done: `refused` or `streamed`.
        done: &'static str,
    },
    /// Our own code failed on a request.
    Fault {
        /// The server.
        host: String,
        /// What was done: `passed` or `refused`.
        done: &'static str,
    },
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
    /// What it shows of the way to an access token, be that for MCP or not.
    pub oauth: Option<Box<OAuthSeen>>,
    /// It calls a provider of models, and a gateway is configured that such calls are to pass.
    pub model_call: bool,
    /// What each body was, so far.
    pub parsed: [Option<BodyKind>; 2],
    /// A look-alike that messages were recognised as.
    pub look_alike: Option<LookAlike>,
    /// The exchange carries WebSocket messages.
    pub websocket: bool,
    /// Body bytes of request and response on the wire, so far.
    pub bytes: [u64; 2],
    /// What our own proxy decided and did about it.
    pub acted: Option<Box<Acted>>,
}

/// What our own proxy decided about an exchange, and what it did.
#[derive(Clone, Debug)]
pub struct Acted {
    /// What was asked for, and by which policy.
    pub decision: Decision,
    /// What was done.
    pub taken: Action,
    /// What the server means here.
    pub classification: Classification,
    /// How sure that it is MCP; a name that is denied is enough at [`Confidence::Possible`].
    pub confidence: Confidence,
    /// `connect`, `request`, `response` or `message`.
    pub stage: &'static str,
    /// How much of what was stopped the server got: `none`, `partial` or `whole`.
    pub delivered: &'static str,
    /// `policy`, `limit` or `fault`.
    pub cause: &'static str,
    /// More about the cause, in a few words.
    pub reason: Option<&'static str>,
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
    /// Number of the WebSocket message that it came in, in its direction; 0 elsewhere.
    pub frame: u32,
    /// What it holds beyond its names, where policies ask for that or it holds a program.
    pub content: Option<Arc<Content>>,
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
