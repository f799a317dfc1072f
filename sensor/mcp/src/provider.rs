//! MCP that the provider of a model speaks for its caller: the call names the servers, the answer tells which tools
//! were listed and called there (the Responses, Messages and Interactions interfaces and their likes). On the wire
//! before us there is no MCP, only these members.

use crate::{Document, Limits, Stats, keys::Key, mask, nodes::Node, values::uri};

/// Most servers kept of one call.
pub const MAX_PROVIDER_SERVERS: usize = 32;
/// Most tool calls kept of one answer, and most names of tools.
pub const MAX_PROVIDER_CALLS: usize = 128;

/// Whose shape a call has; many vendors took over one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderApi {
    /// `tools[]` of type `mcp` (Responses).
    OpenAi,
    /// `mcp_servers[]` of type `url` (Messages).
    Anthropic,
    /// `tools[]` of type `mcp_server` (Interactions), or `tools[].mcp_servers[]` (generateContent).
    Gemini,
}

impl ProviderApi {
    /// Stable word for records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }
}

/// What a model call or its answer says of MCP. All texts are masked and bounded like those of a
/// [`crate::Message`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provider {
    /// The shape; `None` where only the answer was seen.
    pub api: Option<ProviderApi>,
    /// Servers the provider is to contact; at most [`MAX_PROVIDER_SERVERS`].
    pub servers: Vec<ProviderServer>,
    /// Tools it says the servers offer; at most [`MAX_PROVIDER_CALLS`].
    pub tools_listed: Vec<String>,
    /// Calls it says it made, or asks to be allowed to make; at most [`MAX_PROVIDER_CALLS`].
    pub calls: Vec<ProviderCall>,
    /// Servers, tools and calls beyond these limits.
    pub not_kept: u64,
}

/// One server a provider is to contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderServer {
    /// What the caller names it.
    pub label: Option<String>,
    /// Its address, cleaned as [`crate::clean_uri`] does.
    pub url: Option<String>,
    /// A connector or tunnel of the provider's own in place of an address.
    pub connector: Option<String>,
    /// The caller hands over credentials for it.
    pub credentials: bool,
    /// `require_approval` where it is one word: `never` lets the provider call tools unasked.
    pub approval: Option<String>,
}

/// One tool call of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderCall {
    /// What tells it from others of the same answer.
    id: Option<String>,
    /// The server's label.
    pub server: Option<String>,
    /// The tool.
    pub tool: Option<String>,
    /// It failed; `None` while no result was seen.
    pub is_error: Option<bool>,
    /// Only asked for: the caller is to approve it.
    pub asks: bool,
}

impl Provider {
    /// Nothing in it.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty() && !self.shows_use()
    }

    /// The provider says that it spoke to a server.
    pub fn shows_use(&self) -> bool {
        !self.tools_listed.is_empty() || self.calls.iter().any(|c| !c.asks)
    }

    /// Adds what another part of the same exchange says.
    pub fn join(&mut self, other: Self) {
        self.api = self.api.or(other.api);
        self.not_kept = self.not_kept.saturating_add(other.not_kept);
        for server in other.servers {
            self.server(server);
        }
        for tool in other.tools_listed {
            self.listed(tool);
        }
        for call in other.calls {
            self.call(call);
        }
    }

    /// What it weighs on the heap, in bytes.
    pub fn bytes(&self) -> usize {
        let text = |t: &Option<String>| t.as_ref().map_or(0, String::capacity);
        let server = |s: &ProviderServer| {
            size_of::<ProviderServer>() + text(&s.label) + text(&s.url) + text(&s.connector) + text(&s.approval)
        };
        let call = |c: &ProviderCall| size_of::<ProviderCall>() + text(&c.id) + text(&c.server) + text(&c.tool);
        2 * (self.servers.iter().map(server).sum::<usize>()
            + self.calls.iter().map(call).sum::<usize>()
            + self.tools_listed.iter().map(|t| size_of::<String>() + t.capacity()).sum::<usize>())
    }

    fn server(&mut self, server: ProviderServer) {
        // An answer repeats what it was asked, mostly without the credentials.
        let same = |s: &&mut ProviderServer| {
            (&s.label, &s.url, &s.connector) == (&server.label, &server.url, &server.connector)
        };
        if let Some(known) = self.servers.iter_mut().find(same) {
            known.credentials |= server.credentials;
        } else if self.servers.len() < MAX_PROVIDER_SERVERS {
            self.servers.push(server);
        } else {
            self.not_kept = self.not_kept.saturating_add(1);
        }
    }

    fn listed(&mut self, tool: String) {
        if self.tools_listed.contains(&tool) {
            return;
        }
        if self.tools_listed.len() < MAX_PROVIDER_CALLS {
            self.tools_listed.push(tool);
        } else {
            self.not_kept = self.not_kept.saturating_add(1);
        }
    }

    fn call(&mut self, call: ProviderCall) {
        let same = |c: &&mut ProviderCall| call.id.is_some() && c.id == call.id;
        if let Some(known) = self.calls.iter_mut().find(same) {
            known.is_error = call.is_error.or(known.is_error);
            known.asks &= call.asks;
            known.server = known.server.take().or(call.server);
            known.tool = known.tool.take().or(call.tool);
        } else if self.calls.len() < MAX_PROVIDER_CALLS {
            self.calls.push(call);
        } else {
            self.not_kept = self.not_kept.saturating_add(1);
        }
    }
}

/// What the item being read has shown so far.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    /// An answer is read: its items are of interest.
    pub(crate) answers: bool,
    kind: Option<Item>,
    /// Its type says that it is nothing of MCP: its names are not worth keeping.
    dull: bool,
    server: ProviderServer,
    call: ProviderCall,
    failed: Option<bool>,
    tool: Option<String>,
    listed: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    OpenAiTool,
    GeminiTool,
    UrlServer,
    Listing,
    Call,
    Asks,
    Result,
}

impl Item {
    fn of(node: Node, text: &str) -> Option<Self> {
        Some(match (node, text) {
            (Node::ProviderTool, "mcp") => Self::OpenAiTool,
            (Node::ProviderTool, "mcp_server") => Self::GeminiTool,
            (Node::ProviderServer, "url") => Self::UrlServer,
            (Node::ProviderItem, "mcp_list_tools") => Self::Listing,
            (Node::ProviderItem, "mcp_call" | "mcp_tool_use" | "mcp_server_tool_call") => Self::Call,
            (Node::ProviderItem, "mcp_approval_request") => Self::Asks,
            (Node::ProviderItem, "mcp_tool_result" | "mcp_server_tool_result") => Self::Result,
            _ => return None,
        })
    }
}

impl Gather {
    /// The node of a container inside a model call or its answer.
    pub(crate) fn descend(&mut self, node: Node, key: Key, object: bool) -> Node {
        match (node, key, object) {
            (Node::ProviderServers, _, true) => Node::ProviderServer,
            (Node::ProviderTools, _, true) => Node::ProviderTool,
            (Node::ProviderTool, Key::McpServers | Key::McpServersSnake, false) => Node::ProviderNested,
            (Node::ProviderNested, _, true) => Node::ProviderNestedServer,
            (Node::ProviderNestedServer, Key::HttpTransport | Key::HttpTransportCamel, true) => Node::ProviderTransport,
            (Node::Message | Node::ProviderAnswer, Key::Output | Key::Outputs | Key::Content | Key::Steps, false)
                if self.answers =>
            {
                Node::ProviderItems
            }
            (Node::Message, Key::Item | Key::ContentBlock | Key::Delta | Key::Step, true) if self.answers => {
                Node::ProviderItem
            }
            (Node::Message, Key::Response, true) if self.answers => Node::ProviderAnswer,
            (Node::ProviderItems, _, true) => Node::ProviderItem,
            (Node::ProviderItem, Key::Tools, false) => Node::ProviderListing,
            (Node::ProviderListing, _, true) => Node::ProviderListed,
            (Node::ProviderItem, Key::Error, true) => {
                self.failed = Some(true);
                Node::Skip
            }
            _ => Node::Skip,
        }
    }

    /// Back to the start of a body.
    pub(crate) fn reset(&mut self) {
        *self = Self { answers: self.answers, ..Self::default() };
    }

    /// An item begins.
    pub(crate) fn begin(&mut self, node: Node) {
        match node {
            Node::ProviderListed => self.tool = None,
            Node::ProviderNestedServer => {
                self.server = ProviderServer::default();
                self.dull = false;
            }
            Node::ProviderServer | Node::ProviderTool | Node::ProviderItem => self.reset(),
            _ => {}
        }
    }

    /// A member of an item begins; its mere presence says something.
    pub(crate) fn member(&mut self, node: Node, key: Key) {
        let credentials = matches!(key, Key::Authorization | Key::AuthorizationToken | Key::Headers);
        if credentials && node != Node::ProviderItem {
            self.server.credentials = true;
        }
    }

    /// A string, number or word of an item.
    pub(crate) fn value(&mut self, limits: &Limits, (node, key): (Node, Key), quoted: bool, text: &str, whole: bool) {
        let name = |text: &str| {
            let mut kept = mask::name(text);
            kept.truncate(mask::cut(&kept, limits.text).len());
            Some(kept)
        };
        match (key, quoted) {
            (Key::Type, true) => {
                self.kind = Item::of(node, text);
                self.dull = self.kind.is_none();
            }
            (Key::Url | Key::ServerUrl, true) if node != Node::ProviderItem => {
                self.server.url = Some(uri(text, whole));
            }
            (Key::ConnectorId | Key::TunnelId, true) => self.server.connector = name(text),
            _ if self.dull => {}
            (Key::RequireApproval, true) => self.server.approval = name(text),
            (Key::ServerLabel | Key::ServerName, true) if node == Node::ProviderItem => self.call.server = name(text),
            (Key::ServerLabel | Key::ServerName, true) => self.server.label = name(text),
            (Key::Name, true) if node == Node::ProviderListed => self.tool = name(text),
            (Key::Name, true) if node == Node::ProviderItem => self.call.tool = name(text),
            (Key::Name, true) if self.server.label.is_none() => self.server.label = name(text),
            (Key::ToolUseId | Key::CallId, true) => self.call.id = name(text),
            (Key::Id, true) if self.call.id.is_none() => self.call.id = name(text),
            (Key::IsErrorSnake | Key::IsError, false) => self.failed = text.parse().ok(),
            (Key::Error, false) => self.failed = Some(text != "null"),
            (Key::Error, true) => self.failed = Some(true),
            (Key::Output | Key::Result, true) => self.failed = self.failed.or(Some(false)),
            _ => {}
        }
    }

    /// An item ended: what it had decides what it was.
    pub(crate) fn end(&mut self, node: Node, document: &mut Document, stats: &mut Stats) {
        let into = |document: &mut Document, stats: &mut Stats, add: &mut dyn FnMut(&mut Provider)| {
            let provider = document.provider.get_or_insert_default();
            let before = provider.not_kept;
            add(provider);
            stats.lists_cut += provider.not_kept - before;
        };
        match (node, self.kind) {
            (Node::ProviderTool, Some(kind @ (Item::OpenAiTool | Item::GeminiTool)))
            | (Node::ProviderServer, Some(kind @ Item::UrlServer)) => {
                let server = std::mem::take(&mut self.server);
                if server.url.is_none() && server.connector.is_none() {
                    return;
                }
                let api = match kind {
                    Item::OpenAiTool => ProviderApi::OpenAi,
                    Item::GeminiTool => ProviderApi::Gemini,
                    _ => ProviderApi::Anthropic,
                };
                into(document, stats, &mut |p| {
                    p.api = p.api.or(Some(api));
                    p.server(server.clone());
                });
            }
            (Node::ProviderNestedServer, _) => {
                let server = std::mem::take(&mut self.server);
                if server.url.is_some() {
                    into(document, stats, &mut |p| {
                        p.api = p.api.or(Some(ProviderApi::Gemini));
                        p.server(server.clone());
                    });
                }
            }
            (Node::ProviderListed, _) => {
                if let Some(tool) = self.tool.take()
                    && self.listed.len() < MAX_PROVIDER_CALLS
                {
                    self.listed.push(tool);
                }
            }
            (Node::ProviderItem, Some(Item::Listing)) => {
                let listed = std::mem::take(&mut self.listed);
                into(document, stats, &mut |p| listed.iter().for_each(|tool| p.listed(tool.clone())));
            }
            (Node::ProviderItem, Some(kind @ (Item::Call | Item::Asks | Item::Result))) => {
                let mut call = std::mem::take(&mut self.call);
                call.asks = kind == Item::Asks;
                call.is_error = self.failed.or((kind == Item::Result).then_some(false));
                into(document, stats, &mut |p| p.call(call.clone()));
            }
            _ => {}
        }
    }
}

impl Node {
    /// Inside a model call or its answer.
    pub(crate) fn is_provider_item(self) -> bool {
        matches!(
            self,
            Self::ProviderServer
                | Self::ProviderTool
                | Self::ProviderNestedServer
                | Self::ProviderTransport
                | Self::ProviderItem
                | Self::ProviderListed
        )
    }
}
