//! What is done about a classification where no policy matches (`[actions]` of the configuration).

use super::decision::{Decision, PolicyId};
use super::template;
use crate::rules::RuleSet;
use crate::{Action, Classification, Confidence, Scope, Severity, is_known_host};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Longest [`RawActions::message`], in bytes: clients show it in one line.
const MAX_MESSAGE: usize = 500;
/// Longest [`RawActions::redirect_to`], in bytes.
const MAX_LOCATION: usize = 2048;

/// `[actions]`: what is done, by what a server means here. Look-alikes are never acted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawActions {
    /// Portals.
    pub portal: RawAction,
    /// Approved servers.
    pub sanctioned: RawAction,
    /// Approved servers that should be reached through the portal, reached directly.
    pub sanctioned_direct: RawAction,
    /// Our own servers, called from outside.
    pub published: RawAction,
    /// Servers somebody denied. Where this is `block` or `redirect`, nothing at all reaches them.
    pub denied: RawAction,
    /// MCP that nobody approved.
    pub shadow: RawAction,
    /// What is only possibly MCP.
    pub unknown: RawAction,
    /// Where `redirect` sends clients: URL of the portal.
    pub redirect_to: Option<String>,
    /// What people are told where something was stopped. `{host}`, `{method}`, `{tool}`, `{user}`, `{client}` and
    /// `{classification}` stand for what was stopped.
    pub message: Option<String>,
    /// Where people ask for access: a URL that they are told.
    pub request_access: Option<String>,
    /// Only write down what would be done.
    pub dry_run: bool,
    /// Least confidence at which `shadow` is blocked or redirected; below, it is logged.
    pub confidence: Confidence,
}

impl Default for RawActions {
    fn default() -> Self {
        Self {
            portal: RawAction::Log,
            sanctioned: RawAction::Log,
            sanctioned_direct: RawAction::Log,
            published: RawAction::Log,
            denied: RawAction::Log,
            shadow: RawAction::Log,
            unknown: RawAction::Log,
            redirect_to: None,
            message: None,
            request_access: None,
            dry_run: false,
            confidence: Confidence::Likely,
        }
    }
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawAction {
    /// Let it pass.
    Allow,
    /// Let it pass and write it down.
    #[default]
    Log,
    /// Stop it.
    Block,
    /// Send the client to the portal.
    Redirect,
}

impl From<RawAction> for Action {
    fn from(raw: RawAction) -> Self {
        match raw {
            RawAction::Allow => Self::Allow,
            RawAction::Log => Self::Log,
            RawAction::Block => Self::Block,
            RawAction::Redirect => Self::Redirect,
        }
    }
}

/// A fault in `[actions]`: the key, what is wrong with it and what would do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {fault}")]
pub struct PolicyError {
    /// Dotted key, such as `actions.redirect_to`.
    pub key: &'static str,
    /// The fault, and a value that would do.
    pub fault: String,
}

/// The checked section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    portal: Action,
    sanctioned: Action,
    sanctioned_direct: Action,
    published: Action,
    denied: Action,
    shadow: Action,
    unknown: Action,
    redirect_to: Option<Arc<str>>,
    message: Option<Arc<str>>,
    request_access: Option<Arc<str>>,
    dry_run: bool,
    confidence: Confidence,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            portal: Action::Log,
            sanctioned: Action::Log,
            sanctioned_direct: Action::Log,
            published: Action::Log,
            denied: Action::Log,
            shadow: Action::Log,
            unknown: Action::Log,
            redirect_to: None,
            message: None,
            request_access: None,
            dry_run: false,
            confidence: Confidence::Likely,
        }
    }
}

impl Policy {
    /// What is done about a server of this kind, seen this surely.
    pub fn decide(&self, classification: Classification, confidence: Confidence) -> Decision {
        let (asked, key) = match classification {
            Classification::Portal => (self.portal, "actions.portal"),
            Classification::Sanctioned => (self.sanctioned, "actions.sanctioned"),
            Classification::SanctionedDirect => (self.sanctioned_direct, "actions.sanctioned_direct"),
            Classification::Published => (self.published, "actions.published"),
            Classification::Denied => (self.denied, "actions.denied"),
            Classification::Shadow => (self.shadow, "actions.shadow"),
            Classification::Unknown => (self.unknown, "actions.unknown"),
            // What only resembles MCP is nobody's business.
            Classification::LookAlike => (Action::Log, "default"),
        };
        let unsure = classification == Classification::Shadow && confidence < self.confidence;
        if asked == Action::Log || asked.stops() && unsure {
            return Decision::LOG;
        }
        let redirects = asked == Action::Redirect;
        Decision {
            action: asked,
            policy: PolicyId::key(key),
            dry_run: self.dry_run && asked.stops(),
            redirect_to: self.redirect_to.clone().filter(|_| redirects),
            message: self.message.clone().filter(|_| asked.stops()),
            request_access: self.request_access.clone().filter(|_| asked.stops()),
            severity: Severity::Info,
            expired: None,
        }
    }

    /// Whether it asks to stop anything at all, be it only in pretence.
    pub fn asks_to_stop(&self) -> bool {
        self.all().iter().any(|action| action.stops())
    }

    /// Whether it can stop anything at all: if not, nothing need wait for a verdict.
    pub fn can_stop(&self) -> bool {
        !self.dry_run && self.asks_to_stop()
    }

    /// Whether a host is stopped, whatever is said to it: it is denied as a whole, or it is one that nobody approved and
    /// that the rules know by its name, and such are stopped.
    pub fn stops_host(&self, rules: &RuleSet, scope: &Scope, host: &str) -> bool {
        let unknown = || self.unknown.stops() && !scope.speaks_of(host) && is_known_host(rules, host);
        !self.dry_run && (self.denied.stops() && scope.denies_host(host) || unknown())
    }

    /// Where `redirect` leads, if anything asks for that.
    pub(crate) fn leads_to(&self) -> Option<&str> {
        self.redirect_to.as_deref().filter(|_| self.all().contains(&Action::Redirect))
    }

    /// What people are told where something was stopped.
    pub fn message(&self) -> Option<&Arc<str>> {
        self.message.as_ref()
    }

    fn all(&self) -> [Action; 7] {
        let Self { portal, sanctioned, sanctioned_direct, published, denied, shadow, unknown, .. } = *self;
        [portal, sanctioned, sanctioned_direct, published, denied, shadow, unknown]
    }
}

impl TryFrom<&RawActions> for Policy {
    type Error = PolicyError;

    fn try_from(raw: &RawActions) -> Result<Self, PolicyError> {
        let at = |key| move |fault| PolicyError { key, fault };
        let access = raw.request_access.as_deref().map(location).transpose();
        let access = access.map_err(at("actions.request_access"))?;
        let to = raw.redirect_to.as_deref().map(location).transpose().map_err(at("actions.redirect_to"))?;
        // What stands in them is known for good; there is no policy with an owner.
        let known = |name: &str| match name {
            "use" => Some(to.unwrap_or_default().to_owned()),
            "request_access" => Some(access.unwrap_or_default().to_owned()),
            "owner" | "reason" | "ticket" => Some(String::new()),
            _ => None,
        };
        let told = raw.message.as_deref().map(message).transpose().map_err(at("actions.message"))?;
        let policy = Self {
            portal: raw.portal.into(),
            sanctioned: raw.sanctioned.into(),
            sanctioned_direct: raw.sanctioned_direct.into(),
            published: raw.published.into(),
            denied: raw.denied.into(),
            shadow: raw.shadow.into(),
            unknown: raw.unknown.into(),
            redirect_to: to.map(Into::into),
            message: told.map(|text| template::prepare(text, &known).into()),
            request_access: access.map(Into::into),
            dry_run: raw.dry_run,
            confidence: raw.confidence,
        };
        if policy.redirect_to.is_none() && policy.all().contains(&Action::Redirect) {
            let fault = format!("`redirect` needs a place to lead to; write one like `{EXAMPLE}`");
            return Err(PolicyError { key: "actions.redirect_to", fault });
        }
        Ok(policy)
    }
}

/// Whether a checked location is at that host and port.
pub(crate) fn is_at(location: &str, host: &str, port: u16) -> bool {
    let Some((scheme, rest)) = location.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let (name, after) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some(parts) => parts,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let usual = if scheme.eq_ignore_ascii_case("http") { 80 } else { 443 };
    let there = after.strip_prefix(':').map_or(Some(usual), |port| port.parse().ok());
    name.eq_ignore_ascii_case(host) && there == Some(port)
}

/// A location that would do.
const EXAMPLE: &str = "https://mcp.corp.example/mcp";

/// Checks where a redirect leads: what goes into a header field and what people click on must be harmless.
pub(super) fn location(text: &str) -> Result<&str, String> {
    let fault = |why: &str| Err(format!("`{}` {why}; write a URL like `{EXAMPLE}`", text.escape_debug()));
    if text.len() > MAX_LOCATION {
        return Err(format!("a URL of more than {MAX_LOCATION} bytes; write one like `{EXAMPLE}`"));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b)) {
        return fault("holds what no URL may hold (blanks, line ends, quotes, or letters beyond ASCII)");
    }
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if ["https", "http"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) => rest,
        _ => return fault("does not begin with `https://` or `http://`"),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        // Not shown: it may be a password.
        return Err(format!(
            "holds a user or password, which every client would be told; write a URL like `{EXAMPLE}`"
        ));
    }
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((six, after)) => {
            if six.parse::<std::net::Ipv6Addr>().is_err() || !(after.is_empty() || after.starts_with(':')) {
                return fault("names no host");
            }
            (six, after.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let named = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
    if !named {
        return fault("names no host");
    }
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return fault("names no port");
    }
    Ok(text)
}

/// Checks what people are told: one line of plain text.
pub(super) fn message(text: &str) -> Result<&str, String> {
    let fault = match () {
        () if text.trim().is_empty() => "is empty".to_owned(),
        () if text.len() > MAX_MESSAGE => format!("is longer than {MAX_MESSAGE} bytes"),
        () if text.chars().any(char::is_control) => "holds a line end or another control character".to_owned(),
        () => match template::check(text) {
            Ok(()) => return Ok(text),
            Err(fault) => fault,
        },
    };
    Err(format!("{fault}; write one line such as `Use the company MCP portal.`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(change: impl FnOnce(&mut RawActions)) -> Result<Policy, PolicyError> {
        let mut raw = RawActions::default();
        change(&mut raw);
        Policy::try_from(&raw)
    }

    #[test]
    fn who_is_redirected_somewhere_is_led_to_that_host_and_port_alone() {
        for (url, host, port, want) in [
            ("https://portal.example/mcp", "portal.example", 443, true),
            ("https://Portal.example:8443", "portal.example", 8443, true),
            ("https://portal.example/mcp", "portal.example", 8443, false),
            ("http://portal.example?x=1", "portal.example", 80, true),
            ("https://[2001:db8::1]:9/mcp", "2001:db8::1", 9, true),
            ("https://portal.example/mcp", "evil.portal.example", 443, false),
        ] {
            assert_eq!(is_at(url, host, port), want, "{url}: {host} {port}");
        }
    }

    #[test]
    fn each_classification_has_its_action_and_names_the_key_that_asks_for_it() {
        use Classification as C;
        use Confidence::{Confirmed, Likely, Possible};
        let policy = policy(|raw| {
            raw.portal = RawAction::Allow;
            raw.sanctioned_direct = RawAction::Redirect;
            raw.denied = RawAction::Block;
            raw.shadow = RawAction::Block;
            raw.confidence = Confirmed;
            raw.redirect_to = Some(EXAMPLE.to_owned());
            raw.message = Some("Use the portal.".to_owned());
        })
        .unwrap();
        for (classification, confidence, action, key) in [
            (C::Portal, Confirmed, Action::Allow, "actions.portal"),
            (C::Sanctioned, Confirmed, Action::Log, "default"),
            (C::SanctionedDirect, Possible, Action::Redirect, "actions.sanctioned_direct"),
            (C::Published, Confirmed, Action::Log, "default"),
            (C::Denied, Possible, Action::Block, "actions.denied"),
            (C::Shadow, Confirmed, Action::Block, "actions.shadow"),
            (C::Shadow, Likely, Action::Log, "default"),
            (C::Unknown, Possible, Action::Log, "default"),
            (C::LookAlike, Confirmed, Action::Log, "default"),
        ] {
            let got = policy.decide(classification, confidence);
            assert_eq!((got.action, got.policy.as_str()), (action, key), "{classification:?} {confidence:?}");
            assert_eq!(got.message.is_some(), action.stops(), "{classification:?}");
            assert_eq!(got.redirect_to.is_some(), action == Action::Redirect, "{classification:?}");
            assert_eq!(got.stops(), action.stops());
        }
        assert!(policy.can_stop());
        assert!(!Policy::default().can_stop());
    }

    #[test]
    fn a_dry_run_decides_and_stops_nothing() {
        let policy = policy(|raw| (raw.shadow, raw.denied, raw.dry_run) = (RawAction::Block, RawAction::Block, true));
        let policy = policy.unwrap();
        let got = policy.decide(Classification::Shadow, Confidence::Likely);
        assert_eq!((got.action, got.dry_run, got.stops()), (Action::Block, true, false));
        assert!(!policy.can_stop() && policy.asks_to_stop());
    }

    #[test]
    fn a_place_to_lead_to_is_a_url_that_every_client_may_be_told() {
        for (text, fine) in [
            (EXAMPLE, true),
            ("http://10.1.2.3:8080/", true),
            ("https://[2001:db8::7]:8443/mcp?from=sensor", true),
            ("HTTPS://portal.example", true),
            ("", false),
            ("portal.example/mcp", false),
            ("ftp://portal.example/", false),
            ("javascript://portal.example/%0aalert(1)", false),
            ("https:///mcp", false),
            ("https://user:secret@portal.example/", false),
            ("https://portal.example/\r\nSet-Cookie: a=b", false),
            ("https://portal.example/a b", false),
            ("https://portal.example:99999/", false),
            ("https://[portal]/", false),
            ("https://p\u{f6}rtal.example/", false),
        ] {
            let got = policy(|raw| (raw.shadow, raw.redirect_to) = (RawAction::Redirect, Some(text.to_owned())));
            assert_eq!(got.is_ok(), fine, "{text}");
            if let Err(error) = got {
                let text = error.to_string();
                assert!(text.starts_with("actions.redirect_to: ") && text.contains(EXAMPLE), "{text}");
                assert!(!text.contains("secret"), "{text}");
            }
        }
        assert_eq!(policy(|raw| raw.shadow = RawAction::Redirect).unwrap_err().key, "actions.redirect_to");
        for text in ["", " ", "two\nlines", &"x".repeat(MAX_MESSAGE + 1)] {
            assert_eq!(policy(|raw| raw.message = Some(text.to_owned())).unwrap_err().key, "actions.message");
        }
    }
}
