//! What policies say of a detection.

use crate::Options;
use crate::payload::{Logged, logged};
use crate::record::{Mcp, User};
use crate::unit::{CallState, Open, Unit};
use detect::dlp::ProfileSet;
use detect::{Classification, Confidence, Content, Decision, Facet, PolicyId, Severity, Signal, Stage, Subject};
use net::Direction;

/// What is known of a detection beside its exchange.
pub(crate) struct Found<'a> {
    pub(crate) mcp: &'a Mcp,
    pub(crate) user: Option<&'a User>,
    pub(crate) signals: &'a [Signal],
    pub(crate) confidence: Confidence,
    pub(crate) classification: Classification,
    /// Without policies.
    pub(crate) severity: Severity,
}

/// What is done about it, and what is logged of it.
pub(crate) fn decision(options: &Options, open: &Open, unit: &Unit, found: &Found<'_>) -> (Decision, Logged) {
    let generation = &options.generation;
    let plain = || generation.policy.decide(found.classification, found.confidence);
    if generation.rules.policies().rules().is_empty() && !plain().action.interferes() {
        return (plain(), Logged::default());
    }
    let request = open.request.as_deref();
    let named = request.map(|r| r.host.as_str()).or(open.contact.as_deref().map(|c| c.host.as_str()));
    let (client, server) = (open.flow.client.ip(), open.flow.server);
    let address = server.ip().to_string();
    let revisions: Vec<&str> = found.mcp.protocol_versions.iter().map(String::as_str).collect();
    let provider: Vec<String> = open.provider_servers().map(str::to_owned).collect();
    let subject = Subject {
        at: unit.ts,
        stage: Stage::Whole,
        classes: found.classification.into(),
        confidence: Some(found.confidence),
        severity: found.severity,
        host: named.filter(|host| !host.is_empty()).unwrap_or(&address),
        port: server.port(),
        path: request.map_or("", |r| r.path().normal.as_str()),
        client: open.asks_for.unwrap_or(client),
        user: found.user.map(|user| user.name.as_str()),
        direction: detect::direction(&generation.scope, client, server.ip()),
        signals: found.signals,
        mcp_client: found.mcp.client.as_ref().map(|said| said.name.as_str()),
        mcp_server: found.mcp.server.as_ref().map(|said| said.name.as_str()),
        revisions: &revisions,
        provider: &provider,
        oauth: open.authorization.as_deref().filter(|_| unit.seq == open.primary.seq),
        header_mismatch: unit.mismatch,
    };
    let facets = facets(unit);
    (generation.decide(&subject, &facets), logged(generation, &subject, unit, &facets))
}

/// Calls and notifications, and answers to them where it is known what these hold: which way each goes, and what it holds.
pub(crate) fn messages(unit: &Unit) -> impl Iterator<Item = (Direction, &CallState, Option<&Content>)> {
    unit.calls.iter().chain(&unit.notes).flat_map(|call| {
        let answer = call.answer_content.as_deref().map(|content| (call.dir.reverse(), call, Some(content)));
        std::iter::once((call.dir, call, call.content.as_deref())).chain(answer)
    })
}

/// The messages of a unit, then methods of others.
fn facets(unit: &Unit) -> Vec<Facet<'_>> {
    let mut all = Vec::new();
    for (dir, call, content) in messages(unit) {
        Facet::add(&mut all, dir, Some(call.method.as_str()), call.name.as_deref(), content);
    }
    let called = |method: &String| unit.calls.iter().chain(&unit.notes).any(|call| call.method == *method);
    let others = unit.told.methods.iter().filter(|method| !called(method));
    for method in others {
        Facet::add(&mut all, Direction::ToServer, Some(method), None, None);
    }
    Facet::classify(&mut all, |tool| unit.classes.get(tool).copied().unwrap_or_default());
    all
}

/// Why something is told again that was excused.
pub(crate) fn expired(policy: &PolicyId) -> String {
    format!("policy {policy} has expired")
}

impl Unit {
    /// What its calls and answers hold.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &Content> {
        self.calls
            .iter()
            .chain(&self.notes)
            .flat_map(|call| [call.content.as_deref(), call.answer_content.as_deref()])
            .flatten()
    }
}

/// Tools that programs in it call.
pub(crate) fn inner_tools(unit: &Unit) -> Vec<String> {
    let all: std::collections::BTreeSet<&String> = unit.contents().flat_map(|content| &content.inner_tools).collect();
    all.into_iter().take(mcp::MAX_LIST).cloned().collect()
}

/// Profiles of data that were found in it.
pub(crate) fn profiles(options: &Options, unit: &Unit) -> Vec<String> {
    let all = unit.contents().fold(ProfileSet::EMPTY, |all, content| all.union(content.dlp));
    all.iter().map(|profile| options.generation.rules.dlp().id(profile).to_owned()).collect()
}
