//! From signals to a confidence (contract section 3).

use crate::{Signal, SignalKind, Weight};
use mcp::LookAlike;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How sure we are that it is MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// A name, a path or a pattern; nothing that the parser could read.
    Possible,
    /// A message that only MCP sends, seen alone.
    Likely,
    /// Proof.
    Confirmed,
}

/// What speaks against mere names, paths and patterns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// HTML asked for or served, an asset, or 404: an ordinary page visit.
    pub page_visit: bool,
    /// A body parsed and is something else.
    pub parsed_as_other: bool,
    /// What the messages were recognised as.
    pub look_alike: Option<LookAlike>,
    /// Pattern hits in the request, response body count.
    pub raw_hits_count: [bool; 2],
}

/// What signals amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assessment {
    /// MCP, this sure.
    Mcp(Confidence),
    /// Resembles MCP and is not.
    LookAlike(LookAlike),
    /// Nothing to say.
    Nothing,
}

impl Assessment {
    /// Joins the signals of one exchange.
    pub fn of(signals: &[Signal], context: &Context) -> Self {
        let top = signals.iter().map(|s| s.weight).filter(|w| *w > Weight::Medium).max();
        match top {
            Some(Weight::Proof) => return Self::Mcp(Confidence::Confirmed),
            // Methods of no known vocabulary beside MCP's own are a vendor's, or there to distract.
            Some(_) if matches!(context.look_alike, None | Some(LookAlike::OtherRpc)) => {
                return Self::Mcp(Confidence::Likely);
            }
            _ => {}
        }
        if let Some(what) = context.look_alike {
            return Self::LookAlike(what);
        }
        let pattern = |s: &Signal| s.kind == SignalKind::Signature;
        let quoted = signals
            .iter()
            .any(|s| pattern(s) && matches!(s.on.as_str(), "request.body" | "response.body" | "websocket.message"));
        // That was joined with an MCP server already, whatever page or document it is by itself.
        let step = |s: &Signal| s.weight == Weight::Medium && s.kind == SignalKind::Structure && is_step(&s.id);
        if signals.iter().any(step) {
            return Self::Mcp(Confidence::Possible);
        }
        if context.parsed_as_other {
            return if quoted { Self::LookAlike(LookAlike::Quote) } else { Self::Nothing };
        }
        let counts = |s: &&Signal| match s.on.as_str() {
            "request.body" if pattern(s) => context.raw_hits_count[0],
            "response.body" if pattern(s) => context.raw_hits_count[1],
            "websocket.message" if pattern(s) => context.raw_hits_count.contains(&true),
            "host" | "tls.sni" | "dns.query" => !context.page_visit || s.id == "mcp.host.known",
            _ => !context.page_visit,
        };
        let mut weak: Vec<&str> =
            signals.iter().filter(counts).filter(|s| s.weight == Weight::Weak).map(|s| s.id.as_str()).collect();
        weak.dedup();
        if signals.iter().filter(counts).any(|s| s.weight == Weight::Medium) || weak.len() >= 2 {
            Self::Mcp(Confidence::Possible)
        } else if quoted {
            Self::LookAlike(LookAlike::Quote)
        } else {
            Self::Nothing
        }
    }
}

/// A step of OAuth for an MCP server.
fn is_step(id: &str) -> bool {
    matches!(id, "mcp.oauth.registration" | "mcp.oauth.authorization" | "mcp.oauth.token")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(id: &str, on: &str, weight: Weight) -> Signal {
        Signal { id: id.into(), kind: SignalKind::Signature, on: on.into(), weight, excerpt: String::new(), offset: 0 }
    }

    #[test]
    fn signals_join_as_the_contract_says() {
        use Assessment::{LookAlike as Like, Mcp, Nothing};
        let plain = Context::default();
        let page = Context { page_visit: true, ..plain };
        let other = Context { parsed_as_other: true, ..plain };
        let raw = Context { raw_hits_count: [true, false], ..plain };
        let lsp = Context { look_alike: Some(LookAlike::Lsp), ..plain };
        let rpc = Context { look_alike: Some(LookAlike::OtherRpc), ..plain };
        let path = || signal("mcp.path.telltale", "url", Weight::Medium);
        let step =
            || Signal { kind: SignalKind::Structure, ..signal("mcp.oauth.token", "request.body", Weight::Medium) };
        let body = || signal("cf.body.tools-call", "request.body", Weight::Medium);
        for (name, signals, context, want) in [
            ("nothing", vec![], plain, Nothing),
            ("proof", vec![signal("p", "request.body", Weight::Proof)], other, Mcp(Confidence::Confirmed)),
            ("strong", vec![signal("s", "request.body", Weight::Strong)], plain, Mcp(Confidence::Likely)),
            ("strong beside LSP", vec![signal("s", "request.body", Weight::Strong)], lsp, Like(LookAlike::Lsp)),
            (
                "strong beside a vendor's method",
                vec![signal("s", "request.body", Weight::Strong)],
                rpc,
                Mcp(Confidence::Likely),
            ),
            ("path beside a vendor's method", vec![path()], rpc, Like(LookAlike::OtherRpc)),
            ("path", vec![path()], plain, Mcp(Confidence::Possible)),
            ("path visited as a page", vec![path()], page, Nothing),
            ("path of something else", vec![path()], other, Nothing),
            ("pattern in a body that parses", vec![body()], other, Like(LookAlike::Quote)),
            ("pattern in a body that does not parse", vec![body()], raw, Mcp(Confidence::Possible)),
            ("pattern in a page", vec![body()], plain, Like(LookAlike::Quote)),
            ("pattern in LSP", vec![body()], lsp, Like(LookAlike::Lsp)),
            ("one weak sign", vec![signal("a", "url", Weight::Weak)], plain, Nothing),
            (
                "two weak signs",
                vec![signal("a", "url", Weight::Weak), signal("b", "url", Weight::Weak)],
                plain,
                Mcp(Confidence::Possible),
            ),
            ("a step of OAuth on a page", vec![step()], page, Mcp(Confidence::Possible)),
            ("a step of OAuth in a document", vec![step()], other, Mcp(Confidence::Possible)),
            ("a step of OAuth in LSP", vec![step()], lsp, Like(LookAlike::Lsp)),
            ("information", vec![signal("a", "url", Weight::Info)], plain, Nothing),
        ] {
            assert_eq!(Assessment::of(&signals, &context), want, "{name}");
        }
    }
}
