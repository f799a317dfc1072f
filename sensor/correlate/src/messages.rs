//! Messages: which conversation they belong to, which call an answer answers.

use crate::catalogue::Page;
use crate::conversation::Key;
use crate::correlator::{Correlator, Out};
use crate::unit::{ExchangeKey, Told, Unit};
use detect::{Confidence, MessageSeen, Weight};
use mcp::{Kind, Verdict};
use net::{Direction, Place, Timestamp};

impl Correlator {
    /// Finds the conversation by what names one: session header, endpoint URL, the WebSocket itself.
    pub(crate) fn join_conversation(&mut self, key: ExchangeKey, ts: Timestamp) {
        let Some(open) = self.open.get_mut(&key) else { return };
        if open.conversation.is_some() {
            return;
        }
        let server = open.flow.server;
        let request = open.request.as_deref();
        // A session id on an error begins nothing: some servers mint one and then refuse.
        let minted = open.response.as_deref().filter(|r| r.status < 400).and_then(|r| r.facts.session);
        let session = request.and_then(|r| r.facts.session).or(minted);
        let posts = request.filter(|r| r.method == "POST");
        let at = |r: &detect::RequestSeen| Some(server).filter(|_| r.path().session_query.is_none());
        let endpoint = posts.map(|r| Key::Endpoint(r.target_key, at(r)));
        let id = if let Some(hash) = session {
            Some(self.conversations.enter(Key::Session(hash, server), open.client(), ts))
        } else if open.websocket {
            Some(self.conversations.enter(Key::Socket(key), open.client(), ts))
        } else {
            endpoint.and_then(|k| self.conversations.find(&k))
        };
        open.conversation = id;
        let Some(conversation) = id.and_then(|id| self.conversations.touch(id, ts)) else { return };
        if matches!(conversation.key, Key::Endpoint(..)) {
            open.http_sse = true;
        }
        for unit in std::iter::once(&open.primary).chain(&open.extra) {
            for call in unit.calls.iter().filter(|c| c.answer.is_none()) {
                if let Some(id) = &call.id {
                    conversation.waiting.push(id, call.dir, key, unit.seq);
                }
            }
        }
    }

    pub(crate) fn message(&mut self, key: ExchangeKey, place: Place, seen: &MessageSeen, out: Out<'_>) {
        let Some(open) = self.open.get_mut(&key) else { return };
        let on = detect::Side::of(seen.dir).body_field();
        open.sse |= seen.sse;
        open.primary.signals.show_what_was_hit(seen, on);
        let conversation = open.conversation.and_then(|id| self.conversations.touch(id, seen.ts));
        let proved = conversation.as_ref().is_some_and(|c| c.proved);
        let m = &seen.message;
        let foreign = seen.is_foreign() && !proved;
        let mismatch = seen.dir == Direction::ToServer
            && open.request.as_deref().is_some_and(|r| mcp::header_mismatch(&r.facts, m));
        match m.kind() {
            Kind::Request | Kind::Notification => {
                // A batch on a WebSocket is one detection, as it is elsewhere.
                if let Some(unit) = open.unit_of_batch(seen) {
                    if !foreign {
                        unit.told.message(seen, None);
                        unit.call(seen);
                    }
                    unit.mismatch |= mismatch;
                    unit.signals.message(seen, on);
                    let seq = unit.seq;
                    if let (Some(conversation), Some(id), Kind::Request) = (conversation, &m.id, m.kind()) {
                        conversation.waiting.push(id, seen.dir, key, seq);
                    }
                    return;
                }
                // A call of its own: after the first was written, in the other direction, or on a WebSocket.
                let to_primary = open.primary.written.is_none()
                    && (seen.dir == Direction::ToServer || open.request.is_none())
                    && (!open.websocket || open.primary.calls.is_empty());
                if m.kind() == Kind::Notification && !to_primary {
                    if open.primary.written.is_none() {
                        open.primary.told.message(seen, None);
                        open.primary.signals.message(seen, on);
                        open.primary.last = open.primary.last.max(place);
                        return;
                    }
                    self.late(key, &Late::message(seen), out);
                    return;
                }
                let frame = open.batch_of(seen);
                let unit = if to_primary { &mut open.primary } else { open.extra_unit(seen.ts, place) };
                unit.frame = frame;
                if !foreign {
                    unit.told.message(seen, None);
                    unit.call(seen);
                }
                unit.mismatch |= mismatch;
                unit.last = unit.last.max(place);
                unit.signals.message(seen, on);
                if proved && m.jsonrpc {
                    unit.signals.structure(
                        "mcp.proof.conversation",
                        on,
                        Weight::Proof,
                        &m.evidence.excerpt,
                        m.evidence.offset,
                    );
                }
                let (deadline, seq) = (unit.deadline, unit.seq);
                if let (Some(conversation), Some(id), Kind::Request) = (conversation, &m.id, m.kind()) {
                    conversation.waiting.push(id, seen.dir, key, seq);
                }
                if !to_primary {
                    self.open.expect(deadline, key, seq);
                }
            }
            Kind::Result | Kind::Error => self.answer(key, place, seen, on, proved, out),
            Kind::Other => open.primary.signals.message(seen, on),
        }
    }

    /// A result or error: finds its call here or elsewhere in the conversation.
    pub(crate) fn answer(
        &mut self,
        key: ExchangeKey,
        place: Place,
        seen: &MessageSeen,
        on: &str,
        proved: bool,
        out: Out<'_>,
    ) {
        let Some(open) = self.open.get_mut(&key) else { return };
        let here = std::iter::once(&mut open.primary).chain(&mut open.extra).find_map(|unit| {
            let answered = unit.answer(seen)?;
            Some((unit, answered))
        });
        if let Some((unit, (method, strong))) = here {
            answered(unit, seen, on, place, &method, strong);
            let seq = unit.seq;
            let late = unit.written.is_some().then(|| Late::of(unit));
            if let (Some(id), Some(rpc)) = (open.conversation, &seen.message.id)
                && let Some(c) = self.conversations.touch(id, seen.ts)
            {
                c.waiting.forget(|i, k, s| i == rpc && k == key && s == seq);
            }
            if let Some(late) = late {
                self.late(key, &late, out);
            }
            return;
        }
        let elsewhere = open
            .conversation
            .and_then(|id| self.conversations.touch(id, seen.ts))
            .and_then(|c| c.waiting.answered(seen.message.id.as_ref(), seen.dir, key));
        if let Some((other, seq)) = elsewhere {
            // It answers a call of this conversation: that makes the stream it came on MCP, too.
            if seen.verdict == Verdict::Neutral || proved {
                open.primary.signals.structure(
                    "mcp.shape.answers-call",
                    on,
                    Weight::Strong,
                    &seen.message.evidence.excerpt,
                    seen.message.evidence.offset,
                );
            }
            open.primary.signals.message(seen, on);
            open.primary.replied |= seen.dir == Direction::ToClient && open.primary.calls.is_empty();
            let told_here = open.primary.written.is_none();
            let mut late = None;
            match self.open.get_mut(&other).and_then(|o| o.unit(seq)) {
                Some(unit) => {
                    if let Some((method, strong)) = unit.answer(seen) {
                        answered(unit, seen, on, unit.last, &method, strong);
                        late = unit.written.is_some().then(|| (other, Late::of(unit)));
                    }
                }
                // The call's own exchange is over; its conversation is not.
                None => late = Some((key, Late::message(seen))),
            }
            if let Some((key, late)) = late {
                self.late(key, &late, out);
            }
            if told_here
                && seen.dir == Direction::ToServer
                && let Some(open) = self.open.get_mut(&key)
            {
                open.primary.told.message(seen, None);
            }
            self.settle(other, out);
            return;
        }
        // An answer to nothing we saw.
        let foreign = seen.is_foreign();
        let shows = seen.shows();
        if open.primary.written.is_none() {
            let unit = &mut open.primary;
            if !foreign {
                unit.told.message(seen, None);
                unit.replied |= seen.dir == Direction::ToClient;
                unit.keep_early(seen);
            }
            unit.signals.message(seen, on);
            unit.last = unit.last.max(place);
            if proved && seen.message.jsonrpc {
                unit.signals.structure("mcp.proof.conversation", on, Weight::Proof, "", 0);
            }
        } else if shows && open.primary.written < Some(Confidence::Likely) {
            open.primary.signals.message(seen, on);
            open.primary.told.message(seen, None);
        } else if !foreign {
            self.late(key, &Late::message(seen), out);
        }
    }

    /// What came after the detection was written belongs to the session and the server.
    pub(crate) fn late(&mut self, key: ExchangeKey, late: &Late, out: Out<'_>) {
        let Some(open) = self.open.get(&key) else { return };
        let (conversation, client) = (open.conversation, open.client());
        let mut news = None;
        let server = conversation.and_then(|id| self.conversations.get(id)).and_then(|c| c.server.clone());
        let server = server.or_else(|| open.server.clone());
        let learns = self.servers.may_learn(self.options.limits.servers);
        if let Some((key, server)) = server.and_then(|k| self.servers.all.get_mut(&k).map(|s| (k, s))) {
            if learns {
                self.totals.met("names_per_server", server.told.join(&late.told));
            } else {
                self.totals.met("server_facts", 1);
            }
            if late.answered {
                server.outcome = "answered";
            }
            if let Some(why) = late.why.as_ref().filter(|_| server.confidence < Confidence::Confirmed) {
                server.confidence = Confidence::Confirmed;
                server.why.clone_from(why);
            }
            let classification = server.classification;
            self.servers.weigh(&key);
            let lists = self.offered((&key, classification), client, &late.listed);
            news = Some((key, lists));
        }
        if let Some(c) = conversation.and_then(|id| self.conversations.touch(id, self.now)) {
            self.totals.met("names_per_session", c.told.join(&late.told));
            if late.why.is_some() {
                c.confidence = Some(Confidence::Confirmed);
            }
        }
        if let Some((key, lists)) = news {
            self.tell_lists(&key, lists, self.now, out);
        }
    }

    /// An `endpoint` event and then a POST there that is answered as MCP answers.
    pub(crate) fn sse_chain(&mut self, key: ExchangeKey) {
        let Some(open) = self.open.get_mut(&key) else { return };
        let post = open.request.as_deref().is_some_and(|r| r.method == "POST");
        let answered = open.status().is_some_and(|s| (200..300).contains(&s))
            || open.primary.calls.iter().any(|c| c.answer.is_some());
        let spoke = !open.primary.calls.is_empty() || !open.primary.told.methods.is_empty() || open.primary.replied;
        let Some(id) = open.conversation.filter(|_| open.http_sse && post && answered && spoke) else { return };
        if open.look_alike.is_some() {
            return;
        }
        open.primary.signals.structure("mcp.proof.sse-chain", "url", Weight::Proof, "", 0);
        let Some(conversation) = self.conversations.touch(id, self.now) else { return };
        conversation.proved = true;
        let stream = conversation.stream.filter(|s| *s != key);
        if let Some(stream) = stream.and_then(|s| self.open.get_mut(&s)) {
            stream.primary.signals.structure(
                "mcp.proof.sse-chain",
                "response.body",
                Weight::Proof,
                "event: endpoint",
                0,
            );
        }
    }
}

/// What came too late for the detection it belongs to.
#[derive(Debug)]
pub(crate) struct Late {
    told: Told,
    answered: bool,
    /// The signal that makes it certain, if one does.
    why: Option<String>,
    listed: Vec<Page>,
}

impl Late {
    /// All that a unit knows, now that an answer has come.
    fn of(unit: &mut Unit) -> Self {
        let mut told = unit.told.clone();
        let error = unit.calls.iter().all(|c| c.answer.is_some_and(|a| a.is_error));
        if !error && !told.methods.contains("initialize") {
            told.accept_offers();
        }
        let why = unit.signals.iter().find(|s| s.weight == Weight::Proof).map(|s| s.id.clone());
        Self { told, answered: unit.replied, why, listed: unit.take_listed() }
    }

    /// What one message tells by itself.
    fn message(seen: &MessageSeen) -> Self {
        let mut told = Told::default();
        told.message(seen, None);
        Self { told, answered: seen.dir == Direction::ToClient, why: None, listed: Vec::new() }
    }
}

fn answered(unit: &mut Unit, seen: &MessageSeen, on: &str, place: Place, method: &str, strong: bool) {
    unit.told.message(seen, Some(method));
    unit.replied |= seen.dir == Direction::ToClient;
    unit.last = unit.last.max(place);
    unit.signals.answer(seen, on, strong);
}
