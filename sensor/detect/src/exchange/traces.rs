//! Traces of MCP in an exchange where none is spoken.

use super::{Exchange, Gathered, cut};
use crate::{Side, Signal, SignalKind, Trace, Weight};
use net::Direction;
use proto::RequestHead;

impl Exchange {
    /// A model call that has the provider speak MCP, or the answer to one.
    pub(super) fn provider(&mut self, dir: Direction, provider: &mcp::Provider) {
        let on = Side::of(dir).body_field();
        let news = &mut self.news;
        if let Some(server) = provider.servers.first() {
            let shown = server.url.as_deref().or(server.connector.as_deref()).unwrap_or_default();
            let id = (SignalKind::Structure, "mcp.provider.servers");
            news.trace(Trace::Provider, id, on, Weight::Medium, shown);
        }
        if provider.shows_use() {
            // Without the call it answers nobody knows which server that was.
            let [asked, _] = &self.sides;
            let weight = if asked.names_provider { Weight::Strong } else { Weight::Medium };
            news.trace(Trace::Provider, (SignalKind::Structure, "mcp.provider.use"), on, weight, "");
        }
        news.telling |= news.update.trace.is_some();
        let [request, response] = &mut self.sides;
        if dir == Direction::ToServer && !provider.servers.is_empty() {
            (request.names_provider, response.answers_provider) = (true, true);
            if let Some(inspector) = &mut response.inspector {
                inspector.expect_provider();
            }
        }
    }
}

impl Gathered {
    /// A trace of MCP where none is spoken.
    pub(super) fn trace(
        &mut self,
        trace: Trace,
        (kind, id): (SignalKind, &str),
        on: &str,
        weight: Weight,
        excerpt: &str,
    ) {
        let excerpt = cut(excerpt).to_owned();
        let signal = Signal { id: id.to_owned(), kind, on: on.to_owned(), weight, excerpt, offset: 0 };
        self.update.trace.get_or_insert_default().signal(trace, signal);
    }

    /// All of a request head was seen: are its traces worth telling?
    pub(super) fn judge_trace(&mut self, head: &RequestHead<'_>) {
        let Some(mut trace) = self.update.trace.take() else { return };
        trace.supply = mcp::supply(head);
        let library = trace.supply.as_ref().is_some_and(mcp::Supply::is_library);
        if trace.verdict(|trace| trace == Trace::Supply && library).is_some() {
            self.telling = true;
            self.update.trace = Some(trace);
        }
    }

    /// An answer that leads to a link which installs a server.
    pub(super) fn install(&mut self, link: mcp::Supply) {
        let shown = link.name.clone().unwrap_or_default();
        let id = (SignalKind::Structure, "mcp.install.redirect");
        self.trace(Trace::Install, id, "response.header.location", Weight::Medium, &shown);
        self.telling = true;
        if let Some(trace) = &mut self.update.trace {
            trace.supply.get_or_insert(link);
        }
    }
}
