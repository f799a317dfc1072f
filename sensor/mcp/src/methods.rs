//! The methods of the MCP revisions 2024-11-05 to 2026-07-28, and those of protocols that resemble it.

/// Who sends a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The client (in HTTP: a request body).
    Client,
    /// The server (in HTTP: a response body or event).
    Server,
    /// Either.
    Both,
}

/// Dated revisions of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    /// 2024-11-05
    A,
    /// 2025-03-26
    B,
    /// 2025-06-18
    C,
    /// 2025-11-25
    D,
    /// 2026-07-28
    E,
}

/// One method or notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Who sends it.
    pub sender: Sender,
    /// First revision that has it.
    pub since: Revision,
    /// Last revision that has it as a method of its own.
    pub until: Revision,
}

const fn method(name: &'static str, sender: Sender, since: Revision, until: Revision) -> Method {
    Method { name, sender, since, until }
}

/// All of them.
pub const METHODS: &[Method] = {
    use Revision::{A, C, D, E};
    use Sender::{Both, Client, Server};
    &[
        method("initialize", Client, A, D),
        method("notifications/initialized", Client, A, D),
        method("ping", Both, A, D),
        method("server/discover", Client, E, E),
        method("tools/list", Client, A, E),
        method("tools/call", Client, A, E),
        method("resources/list", Client, A, E),
        method("resources/templates/list", Client, A, E),
        method("resources/read", Client, A, E),
        method("resources/subscribe", Client, A, D),
        method("resources/unsubscribe", Client, A, D),
        method("prompts/list", Client, A, E),
        method("prompts/get", Client, A, E),
        method("completion/complete", Client, A, E),
        method("logging/setLevel", Client, A, D),
        method("subscriptions/listen", Client, E, E),
        method("sampling/createMessage", Server, A, D),
        method("roots/list", Server, A, D),
        method("elicitation/create", Server, C, D),
        method("tasks/get", Both, D, E),
        method("tasks/cancel", Both, D, E),
        method("tasks/result", Both, D, D),
        method("tasks/list", Both, D, D),
        method("tasks/update", Client, E, E),
        method("notifications/cancelled", Both, A, E),
        method("notifications/progress", Both, A, E),
        method("notifications/message", Server, A, E),
        method("notifications/resources/updated", Server, A, E),
        method("notifications/resources/list_changed", Server, A, E),
        method("notifications/tools/list_changed", Server, A, E),
        method("notifications/prompts/list_changed", Server, A, E),
        method("notifications/roots/list_changed", Client, A, D),
        method("notifications/elicitation/complete", Server, D, D),
        method("notifications/tasks/status", Both, D, D),
        method("notifications/tasks", Server, E, E),
        method("notifications/subscriptions/acknowledged", Server, E, E),
    ]
};

/// The entry of [`METHODS`] for `method`.
pub fn method_of(method: &str) -> Option<&'static Method> {
    METHODS.iter().find(|m| m.name == method)
}

/// Whether an MCP revision has this method (`ping` included).
pub fn is_mcp_method(method: &str) -> bool {
    method_of(method).is_some()
}

/// Who sends this method; `None` for one MCP does not have.
pub fn direction_of(method: &str) -> Option<Sender> {
    method_of(method).map(|m| m.sender)
}
