//! Policies for people: which there are, what is odd about them, and which of them an event was held against.

use crate::config::{Config, DEFAULT_FILE};
use crate::failure::Failure;
use detect::{
    Authorization, Classes, Classification, Confidence, Facet, Generation, LogPayload, Policies, Rule, Severity,
    Signal, Stage, Subject,
};
use mcp::{OAuthStage, ToolClass};
use net::{Direction, Timestamp};
use serde_json::{Value, json};
use sinks::safe::safe;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// Their rows: id, action, what it is for, place.
pub(super) fn rows(policies: &Policies) -> impl Iterator<Item = [String; 4]> {
    policies.rules().iter().map(|rule| {
        let dry = if rule.dry_run { " (dry run)" } else { "" };
        let place = format!("{}:{}", rule.file, rule.line);
        [rule.id.to_string(), format!("{}{dry}", rule.action.word()), rule.description.clone(), place]
    })
}

/// A policy as a line of JSON.
pub(super) fn line(rule: &Rule) -> Value {
    json!({
        "policy": rule.id.as_str(), "description": rule.description, "action": rule.action, "dry_run": rule.dry_run,
        "log_payload": rule.log_payload,
        "when": conditions(rule), "redirect_to": rule.redirect_to.as_deref(), "message": rule.message.as_deref(), "owner": rule.owner,
        "reason": rule.reason, "ticket": rule.ticket, "expires": rule.expires_on(), "file": rule.file, "line": rule.line,
    })
}

fn conditions(rule: &Rule) -> Value {
    rule.wanted()
        .into_iter()
        .map(|(key, wanted)| (key.to_owned(), Value::String(wanted)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// All of a policy.
pub(super) fn show(rule: &Rule) -> String {
    let mut out = String::new();
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "{name:<12}{}", safe(value));
        }
    };
    field("policy", rule.id.as_str());
    field("description", &rule.description);
    for (key, wanted) in rule.wanted() {
        field("when", &format!("{key} = {wanted}"));
    }
    field("action", rule.action.word());
    field("redirect to", rule.redirect_to.as_deref().unwrap_or_default());
    field("message", rule.message.as_deref().unwrap_or_default());
    field("access", rule.request_access.as_deref().unwrap_or_default());
    field("log payload", rule.log_payload.map(LogPayload::word).unwrap_or_default());
    field("dry run", if rule.dry_run { "yes" } else { "no" });
    field("expires", &rule.expires_on());
    field("owner", &rule.owner);
    field("reason", &rule.reason);
    field("ticket", &rule.ticket);
    field("file", &format!("{}:{}", rule.file, rule.line));
    out
}

/// Refuses policies that have messages encrypted where nobody could read these.
pub(super) fn somebody_reads(policies: &Policies, config: &Config) -> Result<(), Failure> {
    let encrypts = |rule: &&Rule| rule.log_payload == Some(LogPayload::Encrypted);
    let Some(rule) = policies.rules().iter().find(encrypts).filter(|_| config.recipients.is_empty()) else {
        return Ok(());
    };
    let place = config.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE)).display();
    Err(Failure::usage(format!(
        "{}:{}: policy {}: `log_payload = \"encrypted\"`, and there is no key to encrypt to\n  help: `mcp-sensor payload \
         keygen -o FILE` makes a pair; put the public key into {place} as [payload] recipients = [\"age1…\"], or write \
         log_payload = \"masked\"",
        rule.file, rule.line, rule.id
    )))
}

/// What is odd about them, a line each.
pub(super) fn warnings(policies: &Policies, now: Timestamp) -> Vec<String> {
    policies.warnings(now).into_iter().map(|(file, line, text)| format!("{file}:{line}: warning: {text}")).collect()
}

/// Which policies a detection was held against, as far as its event tells, and why each did or did not match.
pub(super) fn explained(event: &Value, generation: &Generation) -> String {
    let told = Told::of(event, generation);
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(safe).unwrap_or_default();
    let mut out = format!("\nAction {}, by {}", text("/action/decided"), text("/action/policy"));
    let _ = writeln!(out, "; done: {}.", text("/action/taken"));
    let policies = generation.rules.policies();
    let facets = told.facets();
    let subject = told.subject();
    for rule in policies.rules() {
        let each: Vec<Option<&Facet<'_>>> =
            if facets.is_empty() { vec![None] } else { facets.iter().map(Some).collect() };
        let tried: Vec<_> = each.iter().map(|facet| rule.try_all(&subject, *facet)).collect();
        // Of several messages the one that comes nearest.
        let Some(best) = tried.into_iter().min_by_key(|tried| tried.iter().filter(|t| !t.met).count()) else {
            continue;
        };
        let matches = best.iter().all(|tried| tried.met);
        let word = if matches { "matches" } else { "does not match" };
        let _ = writeln!(out, "  {} ({}) {word}", rule.id, rule.action.word());
        for tried in best {
            let met = if tried.met { "yes" } else { "no " };
            let found =
                if tried.condition == "arguments" { "values are not kept in events".to_owned() } else { tried.found };
            let _ = writeln!(out, "    {met} {} = {}; was: {}", tried.condition, safe(&tried.wanted), safe(&found));
        }
        if matches {
            let _ = writeln!(out, "  The first that matches decides; what stands behind it was not tried.");
            return out;
        }
    }
    let _ = writeln!(
        out,
        "  {} left: [actions] of the configuration says what is done.",
        if policies.rules().is_empty() { "No policy" } else { "No other policy" }
    );
    out
}

/// What an event tells of the authorisation that it is a step of.
fn authorization(event: &Value) -> Option<Authorization> {
    let oauth = event.pointer("/mcp/oauth")?;
    let text = |key: &str| oauth.get(key).and_then(Value::as_str);
    let resources = oauth.get("resources").and_then(Value::as_array).into_iter().flatten();
    Some(Authorization {
        stage: OAuthStage::ALL.into_iter().find(|stage| Some(stage.word()) == text("stage"))?,
        resources: resources.filter_map(Value::as_str).map(Into::into).collect(),
        server: text("authorization_server").unwrap_or_default().into(),
        client_name: text("client_name").map(Into::into),
        client_id: text("client_id").map(Into::into),
        confidence: Confidence::Possible,
    })
}

/// What an event tells of what policies ask for.
struct Told<'e> {
    event: &'e Value,
    classes: Classes,
    confidence: Option<Confidence>,
    severity: Severity,
    signals: Vec<Signal>,
    revisions: Vec<&'e str>,
    provider: Vec<String>,
    oauth: Option<Authorization>,
    dlp: detect::dlp::ProfileSet,
}

impl<'e> Told<'e> {
    fn of(event: &'e Value, generation: &Generation) -> Self {
        let word = |key: &str| event.get(key).cloned().unwrap_or_default();
        let texts = |pointer: &str| {
            event.pointer(pointer).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        };
        let class = serde_json::from_value::<Classification>(word("classification")).map(Classes::from);
        let signals = event.get("signals").and_then(Value::as_array).into_iter().flatten();
        let signal = |of: &Value| Signal {
            id: of.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
            kind: detect::SignalKind::Structure,
            on: String::new(),
            weight: detect::Weight::Info,
            excerpt: String::new(),
            offset: 0,
        };
        let servers = event.pointer("/mcp/provider_side/servers").and_then(Value::as_array).into_iter().flatten();
        Self {
            event,
            classes: class.unwrap_or_default(),
            confidence: serde_json::from_value(word("confidence")).ok(),
            severity: serde_json::from_value(word("severity")).unwrap_or_default(),
            signals: signals.map(signal).collect(),
            revisions: texts("/mcp/protocol_versions").collect(),
            provider: servers.filter_map(|s| Some(s.get("server_url")?.as_str()?.to_owned())).collect(),
            oauth: authorization(event),
            dlp: texts("/dlp").filter_map(|id| generation.rules.dlp().index_of(id)).collect(),
        }
    }

    fn text(&self, pointer: &str) -> Option<&'e str> {
        self.event.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    fn subject(&self) -> Subject<'_> {
        let port = self.event.pointer("/flow/server/port").and_then(Value::as_u64);
        let client = self.text("/flow/client/forwarded_for").or(self.text("/flow/client/ip"));
        Subject {
            at: self.text("/ts").and_then(|text| crate::time::parse(text).ok()).unwrap_or_default(),
            stage: Stage::Whole,
            classes: self.classes,
            confidence: self.confidence,
            severity: self.severity,
            host: self
                .text("/http/host")
                .or(self.text("/tls/sni"))
                .or(self.text("/flow/server/ip"))
                .unwrap_or_default(),
            port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
            path: self.text("/http/path").unwrap_or_default(),
            client: client.and_then(|ip| ip.parse().ok()).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            user: self.text("/user/name"),
            direction: match self.text("/flow/direction") {
                Some("outbound") => "outbound",
                Some("inbound") => "inbound",
                Some("internal") => "internal",
                _ => "unknown",
            },
            signals: &self.signals,
            mcp_client: self.text("/mcp/client/name"),
            mcp_server: self.text("/mcp/server/name"),
            revisions: &self.revisions,
            provider: &self.provider,
            oauth: self.oauth.as_ref(),
            header_mismatch: self.event.pointer("/mcp/header_mismatch").and_then(Value::as_bool).unwrap_or_default(),
        }
    }

    fn facets(&self) -> Vec<Facet<'e>> {
        let list = |pointer: &str| self.event.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        let incomplete = self.event.pointer("/mcp/inner_tools_incomplete").and_then(Value::as_bool).unwrap_or_default();
        let mut all = Vec::new();
        for call in list("/mcp/calls") {
            let text = |key: &str| call.get(key).and_then(Value::as_str);
            Facet::add(&mut all, Direction::ToServer, text("method"), text("name"), None);
            let class = text("tool_class");
            let class = ToolClass::ALL.into_iter().find(|known| class == Some(known.word()));
            all.iter_mut().last().into_iter().for_each(|facet| facet.class = class);
        }
        let calls = all.clone();
        for method in list("/mcp/methods").filter_map(Value::as_str) {
            if !calls.iter().any(|call| call.method == Some(method)) {
                Facet::add(&mut all, Direction::ToServer, Some(method), None, None);
            }
        }
        for tool in list("/mcp/inner_tools").filter_map(Value::as_str) {
            Facet::add(&mut all, Direction::ToServer, Some("tools/call"), Some(tool), None);
        }
        for facet in &mut all {
            facet.dlp = self.dlp;
            facet.inner_incomplete = incomplete;
        }
        all
    }
}
