//! Traces of MCP where none is spoken become detections of a category of their own. They make no conversation and no
//! server.

use crate::correlator::{Correlator, Out, context};
use crate::detection;
use crate::record::{ProviderCallRecord, ProviderServerRecord, ProviderSide, Record, SupplyRecord};
use crate::unit::{ExchangeKey, Open, Unit};
use detect::{Assessment, Classification, Confidence, Seen, Trace, classify_named};

/// What a unit amounts to: MCP itself, else a trace of it.
pub(crate) fn assess(open: &Open, unit: &Unit) -> (Assessment, Option<Trace>) {
    let assessment = Assessment::of(&unit.signals, &context(open, unit));
    let settled = matches!(assessment, Assessment::Mcp(c) if c >= Confidence::Likely);
    // What is fetched or asked for explains a name or path better than the guess that a server is there.
    let trace = || open.trace.as_deref().and_then(|trace| open.around().trace(trace));
    match Some(unit.seq).filter(|seq| !settled && *seq == open.primary.seq).and_then(|_| trace()) {
        Some((trace, confidence)) => (Assessment::Mcp(confidence), Some(trace)),
        None => (assessment, None),
    }
}

impl Open {
    /// What a provider is asked to do and says it did, for the record.
    pub(crate) fn provider_side(&self) -> Option<ProviderSide> {
        let provider = self.provider.as_deref()?;
        let host = self.request.as_deref().map(|r| r.host.clone()).filter(|h| !h.is_empty());
        let server = |s: &mcp::ProviderServer| ProviderServerRecord {
            label: s.label.clone(),
            server_url: s.url.clone(),
            connector: s.connector.clone(),
            credentials: s.credentials,
            require_approval: s.approval.clone(),
        };
        let call = |c: &mcp::ProviderCall| ProviderCallRecord {
            server: c.server.clone(),
            tool: c.tool.clone(),
            is_error: c.is_error,
            awaits_approval: c.asks,
        };
        Some(ProviderSide {
            provider: host.unwrap_or_else(|| self.flow.server.ip().to_string()),
            api: provider.api.map(|api| api.word().to_owned()),
            servers: provider.servers.iter().map(server).collect(),
            tools_listed: provider.tools_listed.clone(),
            calls: provider.calls.iter().map(call).collect(),
        })
    }

    /// What the request fetches or installs, for the record.
    pub(crate) fn supply(&self) -> Option<SupplyRecord> {
        let supply = self.trace.as_deref()?.supply.as_ref()?;
        Some(SupplyRecord {
            kind: supply.kind.word().to_owned(),
            name: supply.name.clone(),
            version: supply.version.clone(),
            runner: supply.runner.map(str::to_owned),
            server_url: supply.url.clone(),
            command: supply.command.clone(),
        })
    }

    /// Servers that a provider is told to contact.
    pub(crate) fn provider_servers(&self) -> impl Iterator<Item = &str> {
        self.provider.as_deref().into_iter().flat_map(|p| &p.servers).filter_map(|s| s.url.as_deref())
    }

    /// Addresses of servers that are named but not contacted here.
    fn named(&self) -> impl Iterator<Item = &str> {
        let link = self.trace.as_deref().and_then(|t| t.supply.as_ref()).and_then(|s| s.url.as_deref());
        self.provider_servers().chain(link)
    }

    /// What its traces weigh, in bytes.
    pub(crate) fn trace_bytes(&self) -> usize {
        let signal = |(_, s): &(Trace, detect::Signal)| {
            2 * size_of::<(Trace, detect::Signal)>() + s.id.capacity() + s.on.capacity() + s.excerpt.capacity()
        };
        let trace = self.trace.as_deref().map_or(0, |t| {
            size_of::<detect::TraceSeen>()
                + t.signals.iter().map(signal).sum::<usize>()
                + t.supply.as_ref().map_or(0, mcp::Supply::bytes)
        });
        trace + self.provider.as_deref().map_or(0, |p| size_of::<mcp::Provider>() + p.bytes())
    }
}

impl Correlator {
    /// Writes the detection of a trace.
    pub(crate) fn decide_trace(&mut self, key: ExchangeKey, (trace, confidence): (Trace, Confidence), out: Out<'_>) {
        let Some(open) = self.open.get_mut(&key) else { return };
        open.primary.written = Some(confidence);
        open.primary.writes += 1;
        let mut unit = open.primary.clone();
        for (_, signal) in open.trace.iter().flat_map(|t| &t.signals) {
            unit.signals.add(signal.clone());
        }
        self.totals.met("provider_items", open.provider.as_mut().map_or(0, |p| std::mem::take(&mut p.not_kept)));
        let used = open.provider.as_deref().is_some_and(mcp::Provider::shows_use);
        let outcome = if trace == Trace::Provider && used { "answered" } else { "unseen" };
        let classification = self.classify_trace(key, (trace, confidence));
        let Some(open) = self.open.get(&key) else { return };
        let mut made = detection::build(self.desk(), open, &unit, None, outcome, confidence, classification, None);
        made.category = Some(trace.word().to_owned());
        for signal in unit.signals.iter().filter(|s| s.kind == detect::SignalKind::Structure) {
            *self.totals.signals.entry(signal.id.clone()).or_default() += 1;
        }
        *self.totals.detections.entry(format!("{}/{}", classification.word(), confidence.word())).or_default() += 1;
        self.emit(Record::Detection(Box::new(made)), out);
    }

    fn classify_trace(&self, key: ExchangeKey, (trace, confidence): (Trace, Confidence)) -> Classification {
        let scope = &self.options.generation.scope;
        let Some(open) = self.open.get(&key) else { return Classification::Unknown };
        let (client, server) = (open.flow.client.ip(), open.flow.server);
        let address = server.ip().to_string();
        let request = open.request.as_deref();
        let host = request.map(|r| r.host.as_str()).filter(|host| !host.is_empty()).unwrap_or(&address);
        let path = request.map_or("", |r| r.path().normal.as_str());
        let seen = Seen { host, ip: server.ip(), port: server.port(), path, resolved: false };
        classify_named(scope, client, &seen, open.named(), (confidence, trace == Trace::Provider))
    }
}
