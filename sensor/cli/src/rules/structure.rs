//! What the signals mean that no rule file holds: facts the parser finds.

const MEANINGS: &[(&str, &str)] = &[
    ("mcp.proof.initialize", "an initialize request with protocolVersion and capabilities"),
    ("mcp.proof.initialize-result", "the answer to initialize, with protocolVersion and serverInfo"),
    ("mcp.proof.discover-result", "the answer to server/discover"),
    ("mcp.proof.meta", "a key of io.modelcontextprotocol where MCP puts it"),
    ("mcp.proof.answered", "a result only MCP has, answering a request that was seen"),
    ("mcp.proof.conversation", "a message of a conversation that is known to be MCP"),
    ("mcp.proof.method-header", "an Mcp-Method header"),
    ("mcp.proof.marked-message", "JSON-RPC with an MCP header on its HTTP message"),
    ("mcp.proof.marked-stream", "an event stream with an MCP header"),
    ("mcp.proof.sse-chain", "an endpoint event, and a POST there that is answered as MCP answers"),
    ("mcp.shape.method", "a JSON-RPC message with a method of MCP"),
    ("mcp.shape.notification", "a JSON-RPC notification of MCP"),
    ("mcp.shape.initialize", "an initialize request with a protocolVersion"),
    ("mcp.shape.initialize-result", "what looks like the answer to initialize"),
    ("mcp.shape.discover-result", "what looks like the answer to server/discover"),
    ("mcp.shape.tools", "a list of tools with their input schemas"),
    ("mcp.shape.resource-templates", "a list of resource templates"),
    ("mcp.shape.input-requests", "requests for input, as MCP makes them"),
    ("mcp.shape.call-result", "the result of a tool call"),
    ("mcp.shape.result-type", "a result with the types of MCP"),
    ("mcp.shape.refusal", "an error code of MCP"),
    ("mcp.shape.url-elicitation", "an error that sends the user to a URL, as MCP does"),
    ("mcp.shape.answers-call", "the answer to a call of MCP that was seen"),
    ("mcp.header.session", "an Mcp-Session-Id header"),
    ("mcp.header.protocol-version", "an MCP-Protocol-Version header"),
    ("mcp.header.cf-mcp", "a header of MCP carried inside a WebSocket"),
    ("mcp.websocket.subprotocol", "a WebSocket that asks for the subprotocol mcp"),
    ("mcp.path.telltale", "a path that MCP servers use"),
    ("mcp.path.session-query", "a session in the query, as HTTP+SSE has it"),
    ("mcp.path.well-known", "a well-known path of MCP or of its authorisation"),
    ("mcp.sse.endpoint", "an endpoint event on a stream"),
    ("mcp.oauth.challenge", "an authorisation challenge with resource metadata"),
    ("mcp.oauth.authorization", "somebody is asked to authorise a client at an MCP server"),
    ("mcp.oauth.registration", "a client registers to be authorised at an MCP server"),
    ("mcp.oauth.token", "an access token for an MCP server is asked for"),
    ("mcp.oauth.metadata", "authorisation metadata of a resource"),
    ("mcp.oauth.resource-parameter", "an authorisation request for a resource"),
    ("mcp.provider.servers", "a model call that has the provider contact MCP servers"),
    ("mcp.provider.use", "a provider says that it used an MCP server"),
    ("mcp.install.redirect", "an answer that leads to a link which installs an MCP server"),
    ("mcp.shape.endpoint-rpc", "an endpoint event, and JSON-RPC on the same stream"),
    ("mcp.endpoint.stream", "an event stream from a known MCP endpoint"),
    ("mcp.host.imitates", "a host that passes itself off as an approved server or a portal"),
    ("mcp.endpoint.rpc", "JSON-RPC to a known MCP endpoint"),
];

/// What a structure is, as a noun.
pub(super) fn meaning(id: &str) -> Option<&'static str> {
    MEANINGS.iter().find(|(known, _)| *known == id).map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_named_once() {
        for (i, (id, meaning)) in MEANINGS.iter().enumerate() {
            assert!(MEANINGS.iter().skip(i + 1).all(|(other, _)| other != id), "{id} twice");
            assert!(!meaning.is_empty() && !meaning.ends_with('.'));
        }
    }
}
