//! What an answer says of a ruling.

use crate::inspect::{Cause, Ruling, Speech, Stage};
use detect::Classification;
use mcp::{Id, Kind};
use std::fmt::Write as _;

/// Longest host that an answer names, in bytes (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 255;

/// The ids that wait for an answer, in order.
pub(super) fn ids(ruling: &Ruling) -> impl Iterator<Item = Option<&Id>> {
    ruling.messages.iter().filter(|said| said.kind == Kind::Request).map(|said| said.id.as_ref())
}

/// Whether anything waits for an answer.
pub(super) fn has_request(ruling: &Ruling) -> bool {
    ids(ruling).next().is_some()
}

/// The host that was asked for, bounded. The client claims it, so it is escaped wherever it shows.
pub(super) fn host(ruling: &Ruling) -> &str {
    ruling.host.get(..ruling.host.floor_char_boundary(MAX_HOST)).unwrap_or_default()
}

/// Why, as a word: what the server means here, or what of ours was in the way.
pub(super) fn reason(ruling: &Ruling) -> &'static str {
    match ruling.cause {
        Cause::Policy => ruling.classification.word(),
        Cause::Limit(name) => name,
        Cause::Fault => ruling.cause.word(),
    }
}

/// The sanctioned place, where the policy leads to one.
pub(super) fn location(ruling: &Ruling) -> Option<&str> {
    ruling.decision.redirect_to.as_deref()
}

/// Where people ask for access.
pub(super) fn access(ruling: &Ruling) -> Option<&str> {
    ruling.decision.request_access.as_deref()
}

/// What happened, in the operator's words where there are some.
pub(super) fn text(ruling: &Ruling) -> String {
    let host = host(ruling);
    match (ruling.cause, ruling.decision.message.as_deref(), ruling.classification) {
        (Cause::Limit(name), ..) => format!("Blocked: a message to {host} is beyond what is inspected ({name})."),
        (Cause::Fault, ..) => format!("Blocked: a message to {host} could not be inspected."),
        (Cause::Policy, Some(text), _) => detect::fill(text, &|blank| blank_of(ruling, blank)),
        (Cause::Policy, None, _) if ruling.stage == Stage::Response => {
            format!("Blocked: what {host} answered must not pass.")
        }
        (Cause::Policy, None, Classification::Denied) => format!("Blocked: {host} is a denied MCP server."),
        (Cause::Policy, None, Classification::SanctionedDirect) if matches!(ruling.speech, Speech::Model(_)) => {
            format!("Blocked: {host} is to be called through the company gateway for models.")
        }
        (Cause::Policy, None, Classification::SanctionedDirect) => {
            format!("Blocked: {host} is to be reached through the company MCP portal.")
        }
        (Cause::Policy, None, _) => format!("Blocked: {host} is not an approved MCP server."),
    }
}

/// What a blank of the operator's words stands for.
fn blank_of(ruling: &Ruling, blank: &str) -> String {
    let first = ruling.messages.iter().find(|said| said.method.is_some());
    match blank {
        "host" => host(ruling).to_owned(),
        "method" => first.and_then(|said| said.method.clone()).unwrap_or_default(),
        "tool" => first.and_then(|said| said.name.clone()).unwrap_or_default(),
        "user" => ruling.user.as_deref().unwrap_or_default().to_owned(),
        "client" => ruling.client.to_string(),
        "classification" => ruling.classification.word().to_owned(),
        "policy" => ruling.decision.policy.to_string(),
        _ => String::new(),
    }
}

/// All that people are told, in one line: what happened, which policy asks for it, and what to use instead.
pub(super) fn message(ruling: &Ruling) -> String {
    let mut message = text(ruling);
    // Writing to a string does not fail.
    let _ = write!(message, " (policy {})", ruling.decision.policy);
    if let Some(location) = location(ruling) {
        let _ = write!(message, " Use {location} instead.");
    }
    if let Some(access) = access(ruling) {
        let _ = write!(message, " Ask for access at {access}.");
    }
    message
}
