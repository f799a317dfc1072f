//! What policies must know of a message beyond its names: values of arguments, profiles of data, tools that a program calls.

use crate::dlp::{ProfileSet, Profiles};
use crate::payload::{Clear, LogPayload, MAX_LOGGED, Payload};
use crate::policy::{Facet, Policies};
use crate::rules::RuleSet;
use mcp::{CodeMode, Kind, Leaf, Message, Value, Walker};
use net::Direction;
use std::fmt;
use std::sync::Arc;

/// Longest message of which the text is kept until it is closed, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// The same where nothing but programs is looked for.
const MAX_PROGRAM: usize = 256 << 10;
/// Memory that is kept between two bodies, in bytes.
const KEPT: usize = 64 << 10;
/// Where the arguments of a call stand.
const ARGUMENTS: &str = "/params/arguments";

/// What a message holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Profiles that were found in it.
    pub dlp: ProfileSet,
    /// Tests of arguments that it meets, in order.
    pub arguments: Vec<u16>,
    /// Tools that a program in it calls.
    pub inner_tools: Vec<String>,
    /// It may call others.
    pub inner_incomplete: bool,
    /// It was too long to be looked at, or no JSON to its end.
    pub unread: bool,
    /// What may be logged of it, where a policy may ask for that.
    pub payload: Option<Box<Payload>>,
}

/// The text of the JSON value that is open, where somebody will ask for it. Nothing prints it.
#[derive(Default)]
pub(crate) struct KeptText {
    text: Vec<u8>,
    /// Where it begins in the body.
    base: u64,
    /// Bytes of the body so far.
    seen: u64,
    /// Longest text; 0 where nobody asks.
    limit: usize,
    /// The server was asked to show two tools alone, which take programs.
    two_tools: bool,
    over: bool,
    /// Its beginning is kept also where it is over the limit: it may be logged.
    logs: bool,
}

impl fmt::Debug for KeptText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptText").field("bytes", &self.text.len()).field("over", &self.over).finish_non_exhaustive()
    }
}

impl KeptText {
    /// For a body that goes in `dir`.
    pub(crate) fn of_body(dir: Direction, rules: &RuleSet) -> Self {
        let mut kept = Self::default();
        kept.begin(dir, rules);
        kept
    }

    /// As new, for another body.
    pub(crate) fn begin(&mut self, dir: Direction, rules: &RuleSet) {
        let needs = rules.policies().needs();
        self.limit = match dir {
            Direction::ToServer if needs.requests => MAX_TEXT,
            Direction::ToServer => MAX_PROGRAM,
            Direction::ToClient if needs.answers => MAX_TEXT,
            Direction::ToClient => 0,
        };
        self.logs = needs.logs && self.limit == MAX_TEXT;
        self.two_tools = false;
        self.restart();
        self.text.shrink_to(KEPT);
    }

    /// The server was asked to show two tools alone, which take programs.
    pub(crate) const fn expect_programs(&mut self) {
        self.two_tools = true;
    }

    /// Another body, or event, or message begins.
    pub(crate) fn restart(&mut self) {
        (self.base, self.seen, self.over) = (0, 0, false);
        self.text.clear();
    }

    /// Takes bytes that are about to be read.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        if self.limit == 0 {
            return;
        }
        self.seen += bytes.len() as u64;
        self.over |= self.text.len() + bytes.len() > self.limit;
        if self.over && self.logs {
            let room = MAX_LOGGED.saturating_sub(self.text.len());
            self.text.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        } else if self.over {
            self.text.clear();
        } else {
            self.text.extend_from_slice(bytes);
        }
    }

    /// All values are closed: of those nobody will ask any more.
    pub(crate) fn settle(&mut self) {
        self.text.clear();
        self.base = self.seen;
        self.over = false;
    }

    /// The text of a message that was just closed.
    fn of(&self, message: &Message) -> Option<&[u8]> {
        let begin = usize::try_from(message.offset.checked_sub(self.base)?).ok()?;
        self.text.get(begin..begin.checked_add(usize::try_from(message.bytes).ok()?)?)
    }

    /// As much as there is of it.
    fn beginning_of(&self, message: &Message) -> &[u8] {
        let begin = message.offset.checked_sub(self.base).and_then(|begin| usize::try_from(begin).ok());
        let text = begin.and_then(|begin| self.text.get(begin..)).unwrap_or_default();
        usize::try_from(message.bytes).ok().and_then(|bytes| text.get(..bytes)).unwrap_or(text)
    }

    /// What it holds, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.text.capacity()
    }

    /// What the message holds; `None` where nobody asks.
    pub(crate) fn examine(&self, rules: &RuleSet, dir: Direction, message: &Message) -> Option<Arc<Content>> {
        if self.limit == 0 || !message.jsonrpc {
            return None;
        }
        let (policies, profiles) = (rules.policies(), rules.dlp());
        let called = message.params.as_ref().and_then(|params| params.name.as_deref());
        let calls = dir == Direction::ToServer && message.method.as_deref() == Some("tools/call");
        let program = called.filter(|_| calls).map_or(CodeMode::No, |tool| mcp::code_mode(tool, self.two_tools));
        let needs = policies.needs();
        let asked = match dir {
            Direction::ToServer => needs.requests,
            Direction::ToClient => needs.answers && message.kind() != Kind::Other,
        };
        if program == CodeMode::No && !asked {
            return None;
        }
        let mut content = match self.of(message).filter(|_| !message.cut) {
            Some(text) => {
                let reading = Reading { policies, profiles, wanted: policies.wanted(dir), program, dir };
                reading.read(&mcp::utf8_form(text))
            }
            None => Content { unread: true, inner_incomplete: program == CodeMode::Yes, ..Content::default() },
        };
        if self.logs {
            content.payload = self.payload(rules, dir, message, &content);
        }
        (content != Content::default()).then(|| Arc::new(content))
    }

    /// What may be logged of it, in each form that a policy which may decide about it asks for.
    fn payload(&self, rules: &RuleSet, dir: Direction, message: &Message, content: &Content) -> Option<Box<Payload>> {
        let (policies, profiles) = (rules.policies(), rules.dlp());
        let (params, method) = (message.params.as_ref(), message.method.as_deref());
        let name = params.and_then(|params| params.name.as_deref().or(params.uri.as_deref()));
        let mut facets = Vec::new();
        Facet::add(&mut facets, dir, method, name, Some(content));
        let logs = |form| facets.iter().any(|facet| policies.may_log(facet, form));
        let (masked, encrypted) = (logs(LogPayload::Masked), logs(LogPayload::Encrypted));
        if !masked && !encrypted {
            return None;
        }
        let text = self.beginning_of(message);
        let mut kind = |name: &str, text: &str| {
            let mut found = None;
            profiles.find_named(policies.wanted(dir), name, text, &mut |hit| found = found.or(Some(hit.profile)));
            found.map(|profile| profiles.id(profile).to_owned())
        };
        let masked = masked.then(|| {
            let mut excerpt = mcp::excerpt(&mcp::utf8_form(text), method, &mut kind);
            excerpt.truncated |= text.len() as u64 != message.bytes;
            excerpt
        });
        Some(Box::new(Payload { bytes: message.bytes, masked, clear: encrypted.then(|| Clear::new(text)) }))
    }
}

struct Reading<'p> {
    policies: &'p Policies,
    profiles: &'p Profiles,
    wanted: ProfileSet,
    program: CodeMode,
    dir: Direction,
}

impl Reading<'_> {
    fn read(&self, text: &[u8]) -> Content {
        let mut content = Content::default();
        let done = Walker::default().walk(text, &mut |leaf| self.leaf(leaf, &mut content));
        content.unread = done.is_err();
        content.inner_incomplete |= self.program == CodeMode::Yes && done.is_err();
        content.arguments.sort_unstable();
        content
    }

    fn leaf(&self, leaf: &Leaf<'_>, content: &mut Content) {
        let (Value::Text(text) | Value::Number(text) | Value::Deep(text)) = leaf.value else { return };
        if holds_data(leaf) && !self.wanted.is_empty() {
            let name = leaf.path.member().unwrap_or_default();
            self.profiles.find_named(self.wanted, name, text, &mut |hit| content.dlp.insert(hit.profile));
        }
        if self.dir == Direction::ToServer && !leaf.is_name && leaf.path.is_within(ARGUMENTS) {
            self.arguments(leaf, text, content);
            if self.is_program(leaf, text) {
                let program = mcp::inner_tools(text);
                content.inner_incomplete |= program.incomplete;
                for tool in program.tools {
                    if !content.inner_tools.contains(&tool) && content.inner_tools.len() < mcp::MAX_LIST {
                        content.inner_tools.push(tool);
                    }
                }
            }
        }
    }

    fn is_program(&self, leaf: &Leaf<'_>, text: &str) -> bool {
        let named = || leaf.path.member().is_some_and(|member| mcp::PROGRAM_MEMBERS.contains(&member));
        match self.program {
            CodeMode::No => false,
            _ if matches!(leaf.value, Value::Number(_)) => false,
            CodeMode::Perhaps => mcp::looks_like_program(text),
            CodeMode::Yes => named() || mcp::looks_like_program(text),
        }
    }

    fn arguments(&self, leaf: &Leaf<'_>, text: &str, content: &mut Content) {
        for (number, test) in (0..).zip(self.policies.arguments()) {
            let anywhere = test.pointer.is_empty();
            if !anywhere && !leaf.path.is(&test.pointer) {
                continue;
            }
            let value = matches!(leaf.value, Value::Number(_)).then(|| text.parse().ok()).flatten();
            let met = test.is_met(text, value);
            let at = content.arguments.iter().position(|known| *known == number);
            match (met, at) {
                (true, None) => content.arguments.push(number),
                // Of members of one name receivers keep the last.
                (false, Some(at)) if !anywhere => {
                    content.arguments.swap_remove(at);
                }
                _ => {}
            }
        }
    }
}

/// Whether it is something that people put in: not the frame of the message around it.
pub(crate) fn holds_data(leaf: &Leaf<'_>) -> bool {
    leaf.path.is_within("/params") || leaf.path.is_within("/result") || leaf.path.is_within("/error")
}
