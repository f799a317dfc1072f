//! The member names the extraction knows, as one small enum.

macro_rules! keys {
    ($($key:ident = $text:literal),* $(,)?) => {
        /// A member name that means something somewhere.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Key {
            /// Any other name.
            Other,
            /// A name LSP servers use in `capabilities`, or LSP clients in `params`.
            Lsp,
            /// A `_meta` name of MCP that has no variant of its own.
            MetaMcp,
            $($key,)*
        }

        /// The names with their keys, in the order of the enum.
        const NAMES: &[(&[u8], Key)] = &[$(($text, Key::$key),)*];
    };
}

keys! {
    Jsonrpc = b"jsonrpc",
    Id = b"id",
    Method = b"method",
    Params = b"params",
    Result = b"result",
    Error = b"error",
    Seq = b"seq",
    Command = b"command",
    Type = b"type",
    ProtocolVersion = b"protocolVersion",
    Capabilities = b"capabilities",
    ClientCapabilities = b"clientCapabilities",
    ClientInfo = b"clientInfo",
    Name = b"name",
    Cursor = b"cursor",
    NextCursor = b"nextCursor",
    Version = b"version",
    Uri = b"uri",
    TaskId = b"taskId",
    SessionId = b"sessionId",
    BspVersion = b"bspVersion",
    McpServers = b"mcpServers",
    Url = b"url",
    RequestId = b"requestId",
    Meta = b"_meta",
    Arguments = b"arguments",
    SupportedVersions = b"supportedVersions",
    ServerInfo = b"serverInfo",
    Tools = b"tools",
    InputSchema = b"inputSchema",
    Resources = b"resources",
    ResourceTemplates = b"resourceTemplates",
    UriTemplate = b"uriTemplate",
    Prompts = b"prompts",
    Content = b"content",
    Contents = b"contents",
    Messages = b"messages",
    Role = b"role",
    Model = b"model",
    IsError = b"isError",
    StructuredContent = b"structuredContent",
    ResultType = b"resultType",
    InputRequests = b"inputRequests",
    TtlMs = b"ttlMs",
    CacheScope = b"cacheScope",
    Roots = b"roots",
    Action = b"action",
    AgentCapabilities = b"agentCapabilities",
    AuthMethods = b"authMethods",
    Code = b"code",
    Message = b"message",
    Data = b"data",
    Supported = b"supported",
    Elicitations = b"elicitations",
    MetaVersion = b"io.modelcontextprotocol/protocolVersion",
    MetaClient = b"io.modelcontextprotocol/clientInfo",
    MetaServer = b"io.modelcontextprotocol/serverInfo",
    Resource = b"resource",
    AuthorizationServers = b"authorization_servers",
    RedirectUris = b"redirect_uris",
    ClientName = b"client_name",
    ClientId = b"client_id",
    Issuer = b"issuer",
    AuthorizationEndpoint = b"authorization_endpoint",
    TokenEndpoint = b"token_endpoint",
    RegistrationEndpoint = b"registration_endpoint",
    McpServersSnake = b"mcp_servers",
    ServerUrl = b"server_url",
    ServerLabel = b"server_label",
    ServerName = b"server_name",
    ConnectorId = b"connector_id",
    TunnelId = b"tunnel_id",
    RequireApproval = b"require_approval",
    Authorization = b"authorization",
    AuthorizationToken = b"authorization_token",
    Headers = b"headers",
    HttpTransport = b"streamable_http_transport",
    HttpTransportCamel = b"streamableHttpTransport",
    Response = b"response",
    Output = b"output",
    Outputs = b"outputs",
    Steps = b"steps",
    Item = b"item",
    ContentBlock = b"content_block",
    Delta = b"delta",
    Step = b"step",
    ToolUseId = b"tool_use_id",
    CallId = b"call_id",
    IsErrorSnake = b"is_error",
}

/// Slots of the hash table below; a power of two, sparse enough for short probes.
const SLOTS: usize = 256;

/// Place of a name in the table: from its length and three of its bytes.
const fn slot(text: &[u8]) -> usize {
    let [first, .., last] = text else {
        return 0;
    };
    let middle = match text.split_at(text.len() / 2).1 {
        [middle, ..] => *middle,
        [] => 0,
    };
    let sum = text.len() * 7 + *first as usize * 31 + *last as usize * 5 + middle as usize * 17;
    sum % SLOTS
}

/// For each slot one more than the index in [`NAMES`], or 0; linear probing.
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "runs at compile time")]
static TABLE: [u8; SLOTS] = {
    let mut table = [0; SLOTS];
    let mut i = 0;
    while i < NAMES.len() {
        let mut at = slot(NAMES[i].0);
        while table[at] != 0 {
            at = (at + 1) % SLOTS;
        }
        i += 1;
        table[at] = i as u8;
    }
    table
};

fn exact(text: &[u8]) -> Key {
    let mut at = slot(text);
    while let Some(&index) = TABLE.get(at) {
        let Some((name, key)) = usize::from(index).checked_sub(1).and_then(|i| NAMES.get(i)) else {
            break;
        };
        if *name == text {
            return *key;
        }
        at = (at + 1) % SLOTS;
    }
    Key::Other
}

/// Beginning of the `_meta` keys reserved for MCP.
const META_PREFIX: &[u8] = b"io.modelcontextprotocol/";

impl Key {
    /// The key `text` is.
    pub(crate) fn of(text: &[u8]) -> Self {
        match exact(text) {
            Self::Other if text.starts_with(META_PREFIX) => Self::MetaMcp,
            Self::Other if is_lsp(text) => Self::Lsp,
            key => key,
        }
    }

    /// A bit of its own, for noticing a name that comes twice; none for names that stand for many.
    pub(crate) fn bit(self) -> u128 {
        match self {
            Self::Other | Self::Lsp | Self::MetaMcp => 0,
            key => 1_u128 << (key as u8),
        }
    }

    /// One of the reserved `_meta` keys.
    pub(crate) fn is_meta_mcp(self) -> bool {
        matches!(self, Self::MetaMcp | Self::MetaVersion | Self::MetaClient | Self::MetaServer)
    }
}

fn is_lsp(text: &[u8]) -> bool {
    matches!(
        text,
        b"processId"
            | b"rootUri"
            | b"rootPath"
            | b"workspaceFolders"
            | b"textDocument"
            | b"textDocumentSync"
            | b"positionEncoding"
            | b"workspace"
            | b"workspaceSymbolProvider"
            | b"inlayHintProvider"
            | b"semanticTokensProvider"
            | b"foldingRangeProvider"
            | b"documentSymbolProvider"
            | b"documentFormattingProvider"
            | b"codeActionProvider"
            | b"completionProvider"
            | b"definitionProvider"
            | b"diagnosticProvider"
            | b"executeCommandProvider"
            | b"hoverProvider"
            | b"implementationProvider"
            | b"referencesProvider"
            | b"renameProvider"
            | b"signatureHelpProvider"
            | b"typeDefinitionProvider"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_bit() {
        assert!((Key::IsErrorSnake as u8) < 128, "more keys than bits");
        for (name, key) in NAMES {
            assert_eq!(Key::of(name), *key);
        }
        assert_eq!((Key::of(b""), Key::of(b"i"), Key::of(b"idd")), (Key::Other, Key::Other, Key::Other));
        assert_eq!(Key::of(b"METHOD"), Key::Other);
        assert_eq!(Key::of(b"io.modelcontextprotocol/logLevel"), Key::MetaMcp);
        assert_eq!(Key::of(b"hoverProvider"), Key::Lsp);
    }
}
