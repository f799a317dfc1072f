//! What the reader keeps of one JSON-RPC message (JSON-RPC 2.0; MCP revisions 2024-10-07 to 2026-07-28).
//! Owned and bounded: names are cut at [`MAX_TEXT`] bytes, lists at [`MAX_LIST`] entries.

use crate::catalogue::Catalogue;
use std::sync::Arc;

/// Longest kept text, in bytes of UTF-8.
pub const MAX_TEXT: usize = 256;
/// Longest kept text of a JSON-RPC id, in bytes of UTF-8: who answers in place of a server must give it back whole.
pub const MAX_ID: usize = 2048;
/// Longest kept list (tools offered, versions supported), in entries.
pub const MAX_LIST: usize = 512;
/// Longest kept masked-arguments text, in bytes.
pub const MAX_ARGUMENTS: usize = 512;

/// A JSON-RPC id. Numbers keep their text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// A number, as written.
    Number(String),
    /// A string, unescaped, cut at [`MAX_ID`].
    Text(String),
    /// `null`.
    Null,
}

/// What kind of JSON-RPC message it is by its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `method` and `id`.
    Request,
    /// `method` without `id`.
    Notification,
    /// `result`.
    Result,
    /// `error`.
    Error,
    /// An object with none of these.
    Other,
}

/// A protocol version as sent: MCP sends a string, ACP an integer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// MCP.
    Text(String),
    /// Not MCP.
    Integer(i64),
    /// Some other JSON type.
    Other,
}

/// Name and version a peer gives itself. Self-reported: evidence, never identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Implementation {
    /// `name`.
    pub name: String,
    /// `version`.
    pub version: String,
}

/// The arguments of a call: keys kept, values masked as `…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Masked JSON text, at most [`MAX_ARGUMENTS`] bytes, always cut after masking.
    pub masked: String,
    /// Raw length in bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes of the value as they stand in the decoded body.
    pub sha256: [u8; 32],
}

/// One line of evidence inside a body: byte offset and a masked excerpt of at most 150 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Offset in the decoded body.
    pub offset: u64,
    /// Masked text such as `"method":"tools/call"`.
    pub excerpt: String,
}

/// `params` of a request or notification: the members MCP and its look-alikes are told apart by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is the presence of one member on the wire")]
pub struct Params {
    /// `params` is an object (JSON-RPC also allows an array).
    pub is_object: bool,
    /// `protocolVersion`.
    pub protocol_version: Option<Version>,
    /// `capabilities` is an object.
    pub capabilities: bool,
    /// `clientCapabilities` is present (ACP).
    pub client_capabilities: bool,
    /// `clientInfo`.
    pub client_info: Option<Implementation>,
    /// `name` (tool or prompt).
    pub name: Option<String>,
    /// `uri` (resource).
    pub uri: Option<String>,
    /// `taskId` (MCP tasks).
    pub task_id: bool,
    /// `taskId`, masked if it looks like a secret; to hold against the `Mcp-Name` header.
    pub task: Option<String>,
    /// `sessionId` (ACP).
    pub session_id: bool,
    /// `id` (A2A tasks).
    pub id: bool,
    /// `processId`, `rootUri`, `rootPath`, `workspaceFolders`, `textDocument` (LSP).
    pub lsp: bool,
    /// `bspVersion` (BSP).
    pub bsp: bool,
    /// `mcpServers[].url` (ACP session/new): named servers, to be harvested.
    pub mcp_server_urls: Vec<String>,
    /// `requestId` (notifications/cancelled), as text.
    pub request_id: Option<Id>,
    /// `_meta["io.modelcontextprotocol/protocolVersion"]`.
    pub meta_version: Option<String>,
    /// `_meta["io.modelcontextprotocol/clientInfo"]`.
    pub meta_client: Option<Implementation>,
    /// Any key under `_meta` that begins with `io.modelcontextprotocol/`.
    pub meta_mcp: bool,
    /// `arguments`.
    pub arguments: Option<Arguments>,
    /// Hash of `cursor`: not the first page of a list is asked for.
    pub cursor: Option<[u8; 16]>,
}

/// `result` of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is the presence of one member on the wire")]
pub struct Outcome {
    /// `result` is an object.
    pub is_object: bool,
    /// `protocolVersion`.
    pub protocol_version: Option<Version>,
    /// `supportedVersions` (2026-07-28 discover), strings only.
    pub supported_versions: Vec<String>,
    /// `capabilities` is an object.
    pub capabilities: bool,
    /// `capabilities` holds a member LSP servers announce (`hoverProvider`, `textDocumentSync`, …).
    pub lsp_capabilities: bool,
    /// `serverInfo`, or `_meta["io.modelcontextprotocol/serverInfo"]`.
    pub server_info: Option<Implementation>,
    /// Any key under `_meta` that begins with `io.modelcontextprotocol/`.
    pub meta_mcp: bool,
    /// `tools[]`: names of entries that have `name`.
    pub tools: Vec<String>,
    /// What these say they do.
    pub catalogue: Option<Arc<Catalogue>>,
    /// Hash of `nextCursor`: the list goes on elsewhere.
    pub next_cursor: Option<[u8; 16]>,
    /// `tools[]` has at least one entry with both `name` and `inputSchema`.
    pub tools_shaped: bool,
    /// `tools` is an array (maybe empty).
    pub tools_array: bool,
    /// `resources[]` with `uri` and `name`.
    pub resources_shaped: bool,
    /// `resources[].uri`.
    pub resources: Vec<String>,
    /// `resourceTemplates[]` with `uriTemplate`.
    pub templates_shaped: bool,
    /// `prompts[]` with `name`.
    pub prompts_shaped: bool,
    /// `prompts[].name`.
    pub prompts: Vec<String>,
    /// `content[]` of `{type: text|image|audio|resource|resource_link}`.
    pub content_shaped: bool,
    /// `contents[]` with `uri` (resources/read).
    pub contents_shaped: bool,
    /// `messages[]` with `role` and `content` (prompts/get).
    pub messages_shaped: bool,
    /// `isError`.
    pub is_error: Option<bool>,
    /// `structuredContent` is present.
    pub structured: bool,
    /// `resultType`.
    pub result_type: Option<String>,
    /// `inputRequests` is an object: methods of the requests inside.
    pub input_requests: Vec<String>,
    /// `ttlMs` or `cacheScope` is present.
    pub cache_hints: bool,
    /// `roots[]` with `uri` (client answer).
    pub roots_shaped: bool,
    /// `role`, `content`, `model` (sampling answer).
    pub sampling_shaped: bool,
    /// `action` in accept|decline|cancel (elicitation answer).
    pub elicit_shaped: bool,
    /// `agentCapabilities` or `authMethods` (ACP).
    pub acp: bool,
}

/// `error` of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// `code`.
    pub code: Option<i64>,
    /// `data.supported` (MCP -32022), strings only.
    pub supported: Vec<String>,
    /// `message` equals one of the texts MCP SDKs send (`Session not found`, `Unsupported protocol version`, …).
    pub sdk_text: bool,
    /// `data.elicitations` (MCP -32042).
    pub elicitations: bool,
}

/// One JSON-RPC-like value at the top level of a body, an SSE event or a WebSocket message, or one element of
/// a top-level array of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one property of the message on the wire")]
pub struct Message {
    /// Offset of the opening brace in the decoded body, in bytes.
    pub offset: u64,
    /// Length of the value, in bytes as sent.
    pub bytes: u64,
    /// It came inside a top-level array.
    pub in_batch: bool,
    /// `"jsonrpc":"2.0"` at its top level.
    pub jsonrpc: bool,
    /// `seq` with `command` or `type` at its top level (DAP).
    pub dap: bool,
    /// `id`.
    pub id: Option<Id>,
    /// `method`, unescaped, the last one where duplicated; `…` if it looks like a secret.
    pub method: Option<String>,
    /// Place and masked excerpt of the decisive member (`method`, else `result`/`error`).
    pub evidence: Evidence,
    /// `params`.
    pub params: Option<Params>,
    /// `result`.
    pub result: Option<Outcome>,
    /// `error`.
    pub error: Option<Failure>,
    /// A key we look at came twice at one level.
    pub duplicate_keys: bool,
    /// The value was cut (by a gap, the end of the body or a limit) before its closing brace.
    pub cut: bool,
}

impl Message {
    /// What kind of message the members make it.
    pub fn kind(&self) -> Kind {
        match (&self.method, &self.id, &self.result, &self.error) {
            (Some(_), Some(_), _, _) => Kind::Request,
            (Some(_), None, _, _) => Kind::Notification,
            (None, _, Some(_), _) => Kind::Result,
            (None, _, None, Some(_)) => Kind::Error,
            _ => Kind::Other,
        }
    }
}

/// What a whole body turned out to be, known when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// No significant byte.
    Empty,
    /// JSON, with this many JSON-RPC-like messages at the top level (0: some other document).
    Json {
        /// Top-level objects or array elements that had `method`, `result` or `error` beside `jsonrpc` or `id`.
        messages: u32,
    },
    /// Began like JSON and then was not (comments, single quotes, a cut, a gap, a limit).
    Broken,
    /// Does not begin like JSON.
    NotJson,
}
