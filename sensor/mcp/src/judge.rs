//! Is a message MCP, something that resembles it, or neither (contract section 3; wire notes section 8)?

use crate::{Failure, Message, Outcome, Params, Version, is_mcp_method};

/// How much a message proves, by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// MCP beyond doubt; the word names the proof and becomes a signal id `mcp.proof.<word>`.
    Proof(&'static str),
    /// A method of an MCP revision, or a result shape only MCP has; signal id `mcp.shape.<word>`.
    Strong(&'static str),
    /// Fits MCP and much else (`ping`, a bare result, an error): counts only as the answer to a known MCP
    /// request or inside a known conversation.
    Neutral,
    /// Another protocol that resembles MCP.
    LookAlike(LookAlike),
}

/// What resembles MCP and is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LookAlike {
    /// Language Server Protocol.
    Lsp,
    /// Build Server Protocol.
    Bsp,
    /// Agent Client Protocol.
    Acp,
    /// A2A, agent to agent.
    A2a,
    /// Codex app-server style (no `jsonrpc`, no `protocolVersion`).
    AppServer,
    /// Debug Adapter Protocol.
    Dap,
    /// JSON-RPC with another vocabulary (Ethereum, Kodi, aria2, …).
    OtherRpc,
    /// A document, log or prompt that quotes MCP.
    Quote,
}

impl LookAlike {
    /// Stable word for records and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lsp => "lsp",
            Self::Bsp => "bsp",
            Self::Acp => "acp",
            Self::A2a => "a2a",
            Self::AppServer => "app_server",
            Self::Dap => "dap",
            Self::OtherRpc => "other_rpc",
            Self::Quote => "quote",
        }
    }
}

/// Judges one message by itself. What it answers, which headers came with it and what the conversation showed
/// before is for the caller to add: [`Verdict::Neutral`] may still be MCP there, and so may
/// [`LookAlike::OtherRpc`], since vendors add methods.
pub fn judge(m: &Message) -> Verdict {
    if m.dap {
        return Verdict::LookAlike(LookAlike::Dap);
    }
    // Of a cut message `jsonrpc` may be in the part we never saw: some SDKs write it last.
    let rpc = m.jsonrpc || m.cut;
    if let Some(method) = &m.method {
        let none = Params::default();
        return request(m, rpc, method, m.params.as_ref().unwrap_or(&none));
    }
    if let Some(outcome) = &m.result {
        return answer(m, rpc, outcome);
    }
    m.error.as_ref().map_or(Verdict::Neutral, |failure| error(rpc, failure))
}

fn request(m: &Message, rpc: bool, method: &str, p: &Params) -> Verdict {
    if method == "initialize" {
        return initialize(m, p);
    }
    if p.meta_mcp {
        return Verdict::Proof("meta");
    }
    if let Some(foreign) = foreign(m, method, p) {
        return Verdict::LookAlike(foreign);
    }
    let word = match method {
        "ping" => return Verdict::Neutral,
        // A2A has these too, with `id`; a bare one may be either.
        "tasks/get" | "tasks/cancel" | "tasks/result" | "tasks/list" | "tasks/update" if !p.task_id => {
            return Verdict::Neutral;
        }
        _ if method.starts_with("notifications/") => {
            if !is_mcp_method(method) {
                return Verdict::Neutral;
            }
            "notification"
        }
        _ if is_mcp_method(method) => "method",
        _ => return Verdict::LookAlike(LookAlike::OtherRpc),
    };
    if rpc { Verdict::Strong(word) } else { Verdict::Neutral }
}

fn initialize(m: &Message, p: &Params) -> Verdict {
    match p.protocol_version {
        Some(Version::Text(_)) if p.bsp => Verdict::LookAlike(LookAlike::Bsp),
        Some(Version::Text(_)) if p.capabilities && m.jsonrpc => Verdict::Proof("initialize"),
        Some(Version::Text(_)) if p.client_capabilities && !p.capabilities => Verdict::LookAlike(LookAlike::Acp),
        Some(Version::Text(_)) => Verdict::Strong("initialize"),
        Some(_) => Verdict::LookAlike(LookAlike::Acp),
        None if p.meta_mcp => Verdict::Proof("meta"),
        None if p.lsp => Verdict::LookAlike(LookAlike::Lsp),
        // The version may be in the part we never saw.
        None if m.cut => Verdict::Neutral,
        None if m.jsonrpc => Verdict::LookAlike(LookAlike::Lsp),
        None => Verdict::LookAlike(LookAlike::AppServer),
    }
}

/// The protocol whose vocabulary `method` is, if it is one of those that get mistaken for MCP.
fn foreign(m: &Message, method: &str, p: &Params) -> Option<LookAlike> {
    let family = method.split_once('/').map_or("", |(family, _)| family);
    Some(match (family, method) {
        (_, "elicitation/create") if p.session_id => LookAlike::Acp,
        ("session" | "fs" | "terminal" | "mcp", _) | (_, "authenticate") => LookAlike::Acp,
        ("build" | "buildTarget", _) | (_, "workspace/buildTargets" | "workspace/reload") => LookAlike::Bsp,
        ("message" | "agent", _)
        | (
            _,
            "tasks/send"
            | "tasks/sendSubscribe"
            | "tasks/resubscribe"
            | "SendMessage"
            | "SendStreamingMessage"
            | "GetTask"
            | "ListTasks"
            | "CancelTask"
            | "SubscribeToTask"
            | "TaskSubscription"
            | "CreateTaskPushNotificationConfig"
            | "SetTaskPushNotificationConfig"
            | "GetTaskPushNotificationConfig"
            | "ListTaskPushNotificationConfig"
            | "ListTaskPushNotificationConfigs"
            | "DeleteTaskPushNotificationConfig"
            | "GetExtendedAgentCard"
            | "GetAgentCard",
        ) => LookAlike::A2a,
        ("tasks", _) if method.starts_with("tasks/pushNotificationConfig/") => LookAlike::A2a,
        ("tasks", "tasks/get" | "tasks/cancel") if p.id && !p.task_id => LookAlike::A2a,
        ("thread" | "turn" | "item" | "account" | "review", _) | (_, "initialized") if !m.jsonrpc => {
            LookAlike::AppServer
        }
        (
            "textDocument" | "workspace" | "window" | "$" | "client" | "completionItem" | "codeAction" | "codeLens"
            | "documentLink" | "inlayHint" | "notebookDocument" | "callHierarchy" | "typeHierarchy" | "telemetry",
            _,
        )
        | (_, "initialized" | "shutdown" | "exit") => LookAlike::Lsp,
        _ => return None,
    })
}

fn answer(m: &Message, rpc: bool, o: &Outcome) -> Verdict {
    let text_version = matches!(o.protocol_version, Some(Version::Text(_)));
    if rpc && text_version && o.capabilities && o.server_info.is_some() {
        return if m.jsonrpc { Verdict::Proof("initialize-result") } else { Verdict::Strong("initialize-result") };
    }
    if o.meta_mcp {
        let discover = !o.supported_versions.is_empty() && o.server_info.is_some();
        return Verdict::Proof(if discover { "discover-result" } else { "meta" });
    }
    if o.acp || matches!(o.protocol_version, Some(Version::Integer(_))) {
        return Verdict::LookAlike(LookAlike::Acp);
    }
    if !rpc {
        return Verdict::Neutral;
    }
    if text_version && (o.capabilities || o.server_info.is_some()) {
        return Verdict::Strong("initialize-result");
    }
    if !o.supported_versions.is_empty() && o.capabilities {
        return Verdict::Strong("discover-result");
    }
    if o.capabilities && o.protocol_version.is_none() && (o.lsp_capabilities || o.server_info.is_some()) && !m.cut {
        return Verdict::LookAlike(LookAlike::Lsp);
    }
    if o.tools_shaped {
        return Verdict::Strong("tools");
    }
    if o.templates_shaped {
        return Verdict::Strong("resource-templates");
    }
    if !o.input_requests.is_empty() {
        return Verdict::Strong("input-requests");
    }
    if o.content_shaped && (o.is_error.is_some() || o.structured) {
        return Verdict::Strong("call-result");
    }
    let typed = matches!(o.result_type.as_deref(), Some("complete" | "input_required" | "task"));
    let other_sign = o.content_shaped
        || o.contents_shaped
        || o.messages_shaped
        || o.tools_array
        || o.resources_shaped
        || o.prompts_shaped
        || o.cache_hints;
    if typed && other_sign {
        return Verdict::Strong("result-type");
    }
    Verdict::Neutral
}

fn error(rpc: bool, e: &Failure) -> Verdict {
    let told = e.sdk_text || !e.supported.is_empty();
    match e.code {
        Some(-32022..=-32020) if rpc && told => Verdict::Strong("refusal"),
        Some(-32042) if rpc && (e.elicitations || e.sdk_text) => Verdict::Strong("url-elicitation"),
        _ => Verdict::Neutral,
    }
}
