//! The nodes of the path-state machine, and what the mere presence of a member says.

use crate::{Implementation, Outcome, Params, Version, keys::Key};

/// Where a container stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Of no interest; skipped.
    Skip,
    /// A top-level array.
    Batch,
    /// A top-level object, or an element of a top-level array: maybe a message.
    Message,
    Params,
    ParamsMeta,
    /// `clientInfo`, there or under `_meta`.
    Client,
    MetaClient,
    /// `params.mcpServers`, and an entry of it.
    AcpServers,
    AcpServer,
    Outcome,
    OutcomeMeta,
    Server,
    OutcomeCapabilities,
    Versions,
    Tools,
    Tool,
    Resources,
    Resource,
    Templates,
    Template,
    Prompts,
    Prompt,
    Contents,
    ContentsItem,
    Content,
    ContentItem,
    Turns,
    Turn,
    InputRequests,
    InputRequest,
    Roots,
    Root,
    Failure,
    FailureData,
    FailureSupported,
    ArgumentObject,
    ArgumentArray,
    /// Members of a document that is no message.
    RedirectUris,
    AuthorizationServers,
    ProviderServers,
    ProviderServer,
    ProviderTools,
    ProviderTool,
    /// `tools[].mcp_servers`, an entry of it, and how that is reached.
    ProviderNested,
    ProviderNestedServer,
    ProviderTransport,
    /// The answer inside an event, its items, and what an item lists.
    ProviderAnswer,
    ProviderItems,
    ProviderItem,
    ProviderListing,
    ProviderListed,
}

/// What an item of a list was seen to have.
pub(crate) mod has {
    pub(crate) const NAME: u8 = 1;
    pub(crate) const SCHEMA: u8 = 2;
    pub(crate) const URI: u8 = 4;
    pub(crate) const ROLE: u8 = 8;
    pub(crate) const CONTENT: u8 = 16;
    pub(crate) const TYPE: u8 = 32;
    pub(crate) const MODEL: u8 = 64;
}

/// The presence of `key` in `params`; takes back what an earlier one of its name said.
pub(crate) fn params_member(p: &mut Params, key: Key) {
    match key {
        Key::ProtocolVersion => p.protocol_version = Some(Version::Other),
        Key::Capabilities => p.capabilities = false,
        Key::ClientCapabilities => p.client_capabilities = true,
        Key::ClientInfo => p.client_info = None,
        Key::Name => p.name = None,
        Key::Uri => p.uri = None,
        Key::TaskId => {
            p.task_id = true;
            p.task = None;
        }
        Key::Id => p.id = true,
        Key::SessionId => p.session_id = true,
        Key::Lsp => p.lsp = true,
        Key::BspVersion => p.bsp = true,
        Key::McpServers => p.mcp_server_urls.clear(),
        Key::RequestId => p.request_id = None,
        Key::Meta => {
            p.meta_version = None;
            p.meta_client = None;
            p.meta_mcp = false;
        }
        Key::Arguments => p.arguments = None,
        Key::Cursor => p.cursor = None,
        _ => {}
    }
}

/// As [`params_member`], for `result`.
pub(crate) fn outcome_member(o: &mut Outcome, key: Key) {
    match key {
        Key::ProtocolVersion => o.protocol_version = Some(Version::Other),
        Key::SupportedVersions => o.supported_versions.clear(),
        Key::Capabilities => (o.capabilities, o.lsp_capabilities) = (false, false),
        Key::Tools => {
            o.tools.clear();
            o.catalogue = None;
            (o.tools_shaped, o.tools_array) = (false, false);
        }
        Key::Resources => {
            o.resources.clear();
            o.resources_shaped = false;
        }
        Key::ResourceTemplates => o.templates_shaped = false,
        Key::Prompts => {
            o.prompts.clear();
            o.prompts_shaped = false;
        }
        Key::Content => o.content_shaped = false,
        Key::Contents => o.contents_shaped = false,
        Key::Messages => o.messages_shaped = false,
        Key::IsError => o.is_error = None,
        Key::StructuredContent => o.structured = true,
        Key::ResultType => o.result_type = None,
        Key::InputRequests => o.input_requests.clear(),
        Key::TtlMs | Key::CacheScope => o.cache_hints = true,
        Key::NextCursor => o.next_cursor = None,
        Key::Roots => o.roots_shaped = false,
        Key::Action => o.elicit_shaped = false,
        Key::AgentCapabilities | Key::AuthMethods => o.acp = true,
        _ => {}
    }
}

/// The node of a container under `result`.
pub(crate) fn outcome_child(o: &mut Outcome, key: Key, object: bool) -> Node {
    match (key, object) {
        (Key::Capabilities, true) => {
            o.capabilities = true;
            Node::OutcomeCapabilities
        }
        (Key::ServerInfo, true) => {
            o.server_info = Some(Implementation::default());
            Node::Server
        }
        (Key::Meta, true) => Node::OutcomeMeta,
        (Key::SupportedVersions, false) => Node::Versions,
        (Key::Tools, false) => {
            o.tools_array = true;
            Node::Tools
        }
        (Key::Resources, false) => Node::Resources,
        (Key::ResourceTemplates, false) => Node::Templates,
        (Key::Prompts, false) => Node::Prompts,
        (Key::Content, false) => {
            o.content_shaped = true;
            Node::Content
        }
        (Key::Contents, false) => Node::Contents,
        (Key::Messages, false) => Node::Turns,
        (Key::Roots, false) => Node::Roots,
        (Key::InputRequests, true) => Node::InputRequests,
        _ => Node::Skip,
    }
}
