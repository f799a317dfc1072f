//! The signals of one request with its answer, and what heads and bodies say against them.

use crate::observation::{MessageSeen, RequestSeen, ResponseSeen, SideEnd};
use crate::{Confidence, Context, Signal, SignalKind, Trace, TraceSeen, Weight};
use mcp::{BodyKind, LookAlike, Verdict};
use std::ops::Deref;

/// Most signals kept of one request with its answer; what comes after is counted.
pub const MAX_SIGNALS: usize = 64;

/// Signals, each once by id and field.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    list: Vec<Signal>,
    /// Signals beyond [`MAX_SIGNALS`].
    pub not_kept: u64,
}

impl Deref for Signals {
    type Target = [Signal];

    fn deref(&self) -> &[Signal] {
        &self.list
    }
}

impl Signals {
    /// Adds one, unless it is there.
    pub fn add(&mut self, signal: Signal) {
        let known = self.list.iter().any(|s| s.id == signal.id && s.on == signal.on);
        if known {
            return;
        }
        if self.list.len() < MAX_SIGNALS {
            self.list.push(signal);
        } else {
            self.not_kept += 1;
        }
    }

    /// Adds a fact that the parser proved.
    pub fn structure(&mut self, id: &str, on: &str, weight: Weight, excerpt: &str, offset: u64) {
        let (id, on, excerpt) = (id.to_owned(), on.to_owned(), excerpt.to_owned());
        self.add(Signal { id, kind: SignalKind::Structure, on, weight, excerpt, offset });
    }

    /// Adds what a message proves by itself. `on` is the body that it came in.
    pub fn message(&mut self, seen: &MessageSeen, on: &str) {
        let (id, weight) = match &seen.verdict {
            Verdict::Proof(word) => (format!("mcp.proof.{word}"), Weight::Proof),
            Verdict::Strong(word) => (format!("mcp.shape.{word}"), Weight::Strong),
            Verdict::Neutral | Verdict::LookAlike(_) => return,
        };
        let evidence = &seen.message.evidence;
        self.structure(&id, on, weight, &evidence.excerpt, evidence.offset);
    }

    /// Adds what an answer proves; `strong` says that its call was MCP by itself.
    pub fn answer(&mut self, seen: &MessageSeen, on: &str, strong: bool) {
        self.message(seen, on);
        if strong && seen.shows() {
            let evidence = &seen.message.evidence;
            self.structure("mcp.proof.answered", on, Weight::Proof, &evidence.excerpt, evidence.offset);
        }
    }

    /// Adds what the answer to a call of MCP proves that was seen before its call.
    pub fn early_answer(&mut self) {
        self.structure("mcp.proof.answered", "response.body", Weight::Proof, "", 0);
    }

    /// Pattern hits in a body know where they ended. Where that is in the decisive member of a message, that member
    /// is the excerpt, already masked.
    pub fn show_what_was_hit(&mut self, seen: &MessageSeen, on: &str) {
        // White space that the excerpt leaves out, in bytes.
        const SLACK: u64 = 12;
        let evidence = &seen.message.evidence;
        let held = evidence.offset..evidence.offset + evidence.excerpt.len() as u64 + SLACK;
        let bare = |s: &&mut Signal| s.kind == SignalKind::Signature && s.on == on && s.excerpt.is_empty();
        for signal in self.list.iter_mut().filter(bare).filter(|s| !seen.sse && held.contains(&s.offset)) {
            signal.excerpt.clone_from(&evidence.excerpt);
            signal.offset = evidence.offset;
        }
    }
}

impl MessageSeen {
    /// Whether it is MCP by itself.
    pub const fn shows(&self) -> bool {
        matches!(self.verdict, Verdict::Proof(_) | Verdict::Strong(_))
    }

    /// Whether it is of another protocol.
    pub const fn is_foreign(&self) -> bool {
        matches!(self.verdict, Verdict::LookAlike(_))
    }
}

/// What of a request head speaks for an ordinary page visit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one property of the head")]
pub struct RequestSigns {
    /// HTML is asked for.
    pub browsed: bool,
    /// The path is that of a part of a page.
    pub asset: bool,
    /// A CORS preflight: it says what a page would like to do; the request that follows says what it does.
    pub preflight: bool,
    /// The body is a form.
    pub form: bool,
    /// GET or HEAD.
    pub got: bool,
}

impl From<&RequestSeen> for RequestSigns {
    fn from(seen: &RequestSeen) -> Self {
        Self {
            browsed: seen.facts.accepts_html,
            asset: seen.facts.path.is_asset,
            preflight: seen.method == "OPTIONS",
            form: seen.is_form,
            got: matches!(seen.method.as_str(), "GET" | "HEAD"),
        }
    }
}

/// What of a response head speaks for an ordinary page visit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one property of the head")]
pub struct ResponseSigns {
    /// Status code.
    pub status: u16,
    /// HTML.
    pub html: bool,
    /// An event stream.
    pub sse: bool,
    /// JSON.
    pub json: bool,
}

impl From<&ResponseSeen> for ResponseSigns {
    fn from(seen: &ResponseSeen) -> Self {
        let facts = &seen.facts;
        Self { status: seen.status, html: facts.is_html, sse: facts.is_sse, json: facts.is_json }
    }
}

/// All that the signals of an exchange are weighed against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings {
    /// Of the request head, where it was seen.
    pub request: Option<RequestSigns>,
    /// Of the response head, where it was seen.
    pub response: Option<ResponseSigns>,
    /// What each body was, so far.
    pub parsed: [Option<BodyKind>; 2],
    /// How each direction ended, once it has.
    pub ended: [Option<SideEnd>; 2],
    /// A look-alike that messages were recognised as.
    pub look_alike: Option<LookAlike>,
    /// It carries WebSocket messages.
    pub websocket: bool,
}

impl Surroundings {
    /// What speaks against mere names, paths and patterns.
    pub fn context(&self) -> Context {
        let Self { request, response, look_alike, .. } = *self;
        let html = request.is_some_and(|r| r.browsed || r.asset) || response.is_some_and(|r| r.html);
        let preflight = request.is_some_and(|r| r.preflight);
        let form = request.is_some_and(|r| r.form);
        // What a GET got that is neither JSON nor an event stream is a document.
        let document = request.is_some_and(|r| r.got)
            && !self.websocket
            && response.is_some_and(|r| (200..300).contains(&r.status) && !r.sse && !r.json)
            && !matches!(self.parsed[1], Some(BodyKind::Json { .. } | BodyKind::Broken));
        let gone = response.is_some_and(|r| matches!(r.status, 404 | 410));
        let other = |kind: &Option<BodyKind>| matches!(kind, Some(BodyKind::Json { messages: 0 }));
        let counts = |end: &Option<SideEnd>| end.is_none_or(|e| e.raw_hits_count);
        let [request_body, response_body] = &self.parsed;
        let [request_end, response_end] = &self.ended;
        Context {
            page_visit: html || gone || preflight || form || document,
            parsed_as_other: other(request_body) || other(response_body) || look_alike.is_some(),
            look_alike,
            raw_hits_count: [counts(request_end), counts(response_end)],
        }
    }

    /// What traces amount to, given how the request was made and answered.
    pub fn trace(&self, trace: &TraceSeen) -> Option<(Trace, Confidence)> {
        let failed = self.response.is_some_and(|r| r.status >= 400);
        let browsed = self.request.is_some_and(|r| r.browsed);
        let page = self.response.is_some_and(|r| r.html);
        let bundle = trace.supply.as_ref().is_some_and(|s| s.kind == mcp::SupplyKind::Bundle);
        trace.verdict(|kind| match kind {
            // What was asked of the provider counts, whatever came of it.
            Trace::Provider => false,
            // Indexes of packages are pages for programs; bundles are fetched by people.
            Trace::Supply => failed || (browsed && !bundle),
            Trace::Registry => failed || browsed || page,
            Trace::Install => failed,
        })
    }
}
