//! The path-state machine: tokens → the fields of [`Message`] and [`Document`]. Everything off the known paths
//! is skipped; what is kept is bounded by [`Limits`].

use crate::{
    Document, Doubt, Failure, Implementation, Limits, Message, Outcome, Params, Standing, Stats,
    arguments::{Enter, Masker},
    catalogue::Taker,
    evidence,
    keys::Key,
    nodes::{Node, has, outcome_child, outcome_member, params_member},
    provider::Gather,
    tokenizer::{Token, Tokenizer},
};
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) node: Node,
    pub(crate) key: Key,
    /// Names seen at this level.
    seen: u128,
    /// Members or elements begun so far.
    count: u32,
    pub(crate) has: u8,
}

/// A stretch of the body: as UTF-8 for the tokenizer and as sent, and how places in the one are places in the
/// other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'a> {
    /// As UTF-8.
    pub(crate) text: &'a [u8],
    /// As sent.
    pub(crate) raw: &'a [u8],
    /// For each byte of `text` where in `raw` it came from; `None` where both are the same.
    pub(crate) map: Option<&'a [usize]>,
    /// Offset of `raw` in the body.
    pub(crate) base: u64,
}

impl Chunk<'_> {
    fn place(&self, at: usize) -> usize {
        self.map.map_or(at, |map| map.get(at).copied().unwrap_or(self.raw.len()))
    }

    fn offset(&self, at: usize) -> u64 {
        self.base + self.place(at) as u64
    }
}

/// Everything kept while a body is read. Allocated once per reader, when a body begins like JSON.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is the presence of one member on the wire")]
pub(crate) struct Extractor {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) frames: Vec<Frame>,
    pub(crate) message: Message,
    pub(crate) document: Document,
    pub(crate) stats: Stats,
    pub(crate) messages: u32,
    /// An object or array was seen at the top level.
    pub(crate) begun: bool,
    /// Why receivers may read the body differently; the first reason.
    pub(crate) doubt: Option<Doubt>,
    /// A decisive member of the current message came twice; came in another case.
    twice: bool,
    odd_method: bool,
    odd_jsonrpc: bool,
    /// A `jsonrpc` member of any value; `seq`, `command`, `type` of the current top-level object.
    jsonrpc_member: bool,
    seq: bool,
    command: bool,
    pub(crate) dap_type: bool,
    /// Where the last name at the level of messages began, and where the decisive ones did.
    key_at: u64,
    places: evidence::Places,
    pub(crate) arguments: Option<Masker>,
    /// Depth of the frames at which `arguments` is a member.
    arguments_level: usize,
    /// Where in the current chunk the unhashed part of `arguments` begins.
    hash_from: usize,
    /// Text kept for the list item being read.
    pub(crate) item: Option<String>,
    /// Text of the tool that is offered.
    pub(crate) tool: Taker,
    pub(crate) provider: Gather,
}

impl Extractor {
    pub(crate) fn new() -> Self {
        Self {
            tokenizer: Tokenizer::new(),
            frames: Vec::with_capacity(16),
            message: Message::default(),
            document: Document::default(),
            stats: Stats::default(),
            messages: 0,
            begun: false,
            doubt: None,
            twice: false,
            odd_method: false,
            odd_jsonrpc: false,
            jsonrpc_member: false,
            seq: false,
            command: false,
            dap_type: false,
            key_at: 0,
            places: evidence::Places::default(),
            arguments: None,
            arguments_level: 0,
            hash_from: 0,
            item: None,
            tool: Taker::default(),
            provider: Gather::default(),
        }
    }

    pub(crate) fn reset(&mut self) {
        self.tokenizer.reset();
        self.frames.clear();
        self.document = Document::default();
        self.provider.reset();
        self.messages = 0;
        self.begun = false;
        self.doubt = None;
        self.begin_message(0);
    }

    pub(crate) fn standing(&self) -> Standing {
        match (self.tokenizer.is_between(), self.begun) {
            (false, _) => Standing::Open,
            (true, true) => Standing::Closed,
            (true, false) => Standing::Before,
        }
    }

    pub(crate) fn shows_rpc(&self) -> bool {
        let Message { method, params, result, error, .. } = &self.message;
        self.messages > 0
            || self.jsonrpc_member
            || method.is_some()
            || params.is_some()
            || result.is_some()
            || error.is_some()
    }

    fn begin_message(&mut self, offset: u64) {
        self.message = Message { offset, ..Message::default() };
        self.twice = false;
        self.odd_method = false;
        self.odd_jsonrpc = false;
        self.jsonrpc_member = false;
        self.seq = false;
        self.command = false;
        self.dap_type = false;
        self.places = evidence::Places::default();
        self.arguments = None;
        self.item = None;
        self.tool.forget();
    }

    /// Reads one chunk. False: the body is not JSON from here on.
    pub(crate) fn chunk(&mut self, limits: &Limits, chunk: Chunk<'_>, out: &mut dyn FnMut(Message)) -> bool {
        self.hash_from = 0;
        self.tool.next_chunk();
        let mut pos = 0;
        while let Some(token) = self.tokenizer.next(chunk.text, &mut pos) {
            let from = pos.saturating_sub(1);
            match token {
                Token::KeyStart => {
                    if self.node() == Some(Node::Message) {
                        self.key_at = chunk.offset(from);
                    }
                }
                Token::Key => self.key(),
                Token::ObjectStart => self.open(limits, chunk, from, true),
                Token::ArrayStart => self.open(limits, chunk, from, false),
                Token::TextStart | Token::ScalarStart => self.begin_scalar(limits, from),
                Token::Text | Token::Scalar => {
                    self.value(limits, token == Token::Text);
                    self.end_arguments(chunk, pos);
                    self.skip_hidden();
                }
                Token::ObjectEnd | Token::ArrayEnd => self.close(limits, chunk, pos, out),
                Token::Broken => {
                    self.break_off();
                    self.arguments = None;
                    self.give_up(chunk.offset(pos), out);
                    return false;
                }
            }
        }
        if let Some(masker) = &mut self.arguments {
            masker.raw(chunk.raw.get(chunk.place(self.hash_from)..).unwrap_or_default());
        }
        self.tool.keep(chunk);
        true
    }

    /// Ends the input; false if it ended inside a value (or in something that is no value).
    pub(crate) fn finish(&mut self, end: u64, out: &mut dyn FnMut(Message)) -> bool {
        let broken = self.tokenizer.finish() == Some(Token::Broken);
        let whole = !broken && self.tokenizer.is_between();
        if !whole {
            self.break_off();
            self.give_up(end, out);
        }
        whole
    }

    /// The body is no JSON from here on.
    fn break_off(&mut self) {
        let in_message = self.frames.iter().any(|f| f.node == Node::Message);
        if self.begun {
            self.doubt.get_or_insert(if in_message && self.jsonrpc_member { Doubt::BrokenRpc } else { Doubt::Broken });
        }
    }

    /// Gives what is known of a message that will not be completed.
    pub(crate) fn give_up(&mut self, end: u64, out: &mut dyn FnMut(Message)) {
        let open = self.frames.iter().any(|f| f.node == Node::Message);
        self.frames.clear();
        self.tool.forget();
        let m = &self.message;
        if open && (m.method.is_some() || m.result.is_some() || m.error.is_some()) {
            self.message.cut = true;
            self.arguments = None;
            self.emit(end, out);
        }
    }

    fn node(&self) -> Option<Node> {
        self.frames.last().map(|f| f.node)
    }

    /// A member name was read.
    fn key(&mut self) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        if frame.node == Node::ArgumentObject {
            if let Some(masker) = &mut self.arguments {
                masker.key(&String::from_utf8_lossy(self.tokenizer.text()), frame.count);
            }
            frame.count = frame.count.saturating_add(1);
            return;
        }
        let key = Key::of(self.tokenizer.text());
        frame.key = key;
        if frame.seen & key.bit() != 0 {
            self.message.duplicate_keys = true;
            let decisive = matches!(key, Key::Jsonrpc | Key::Method | Key::Params | Key::Result | Key::Error);
            self.twice |= frame.node == Node::Message && decisive;
        }
        if frame.node == Node::Message && key == Key::Other {
            let text = self.tokenizer.text();
            self.odd_method |= text.eq_ignore_ascii_case(b"method");
            self.odd_jsonrpc |= text.eq_ignore_ascii_case(b"jsonrpc");
        }
        frame.seen |= key.bit();
        let node = frame.node;
        self.forget(node, key);
        if let (true, Some(params)) = (node == Node::ParamsMeta && key.is_meta_mcp(), &mut self.message.params) {
            params.meta_mcp = true;
        }
        if let (true, Some(outcome)) = (node == Node::OutcomeMeta && key.is_meta_mcp(), &mut self.message.result) {
            outcome.meta_mcp = true;
        }
    }

    /// The last of several members of one name wins: what an earlier one said is taken back.
    fn forget(&mut self, node: Node, key: Key) {
        let m = &mut self.message;
        match (node, key) {
            (Node::Message, Key::Jsonrpc) => {
                m.jsonrpc = false;
                self.jsonrpc_member = true;
            }
            (Node::Message, Key::Id) => m.id = None,
            (Node::Message, Key::Method) => {
                m.method = None;
                self.places.method = self.key_at;
            }
            (Node::Message, Key::Params) => m.params = Some(Params::default()),
            (Node::Message, Key::Result) => {
                m.result = Some(Outcome::default());
                self.places.result = self.key_at;
            }
            (Node::Message, Key::Error) => {
                m.error = Some(Failure::default());
                self.places.error = self.key_at;
            }
            (Node::Message, Key::Seq) => self.seq = true,
            (Node::Message, Key::Command) => self.command = true,
            (Node::Params, key) => {
                if let Some(p) = &mut m.params {
                    params_member(p, key);
                }
            }
            (Node::Outcome, key) => {
                if let Some(o) = &mut m.result {
                    outcome_member(o, key);
                }
            }
            (Node::FailureData, Key::Elicitations) => {
                if let Some(e) = &mut m.error {
                    e.elicitations = true;
                }
            }
            (node, key) if node.is_provider_item() => self.provider.member(node, key),
            (Node::OutcomeCapabilities, Key::Lsp) => {
                if let Some(o) = &mut m.result {
                    o.lsp_capabilities = true;
                }
            }
            _ => {}
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.has |= match (node, key) {
                (Node::Tool, Key::InputSchema) => has::SCHEMA,
                (Node::Turn | Node::Outcome, Key::Role) => has::ROLE,
                (Node::Turn | Node::Outcome, Key::Content) => has::CONTENT,
                (Node::Outcome, Key::Model) => has::MODEL,
                _ => 0,
            };
        }
    }

    /// Number of the element about to begin, if the innermost container is an array of arguments.
    fn element(&mut self) -> Option<u32> {
        let frame = self.frames.last_mut()?;
        if frame.node != Node::ArgumentArray {
            return None;
        }
        let number = frame.count;
        frame.count = frame.count.saturating_add(1);
        Some(number)
    }

    /// Whether the value about to begin is `params.arguments` itself.
    fn begins_arguments(&self) -> bool {
        self.frames.last().is_some_and(|f| f.node == Node::Params && f.key == Key::Arguments)
    }

    fn begin_arguments(&mut self, limits: &Limits, from: usize) {
        self.arguments = Some(Masker::new(limits.arguments));
        self.arguments_level = self.frames.len();
        self.hash_from = from;
    }

    /// A container begins.
    fn open(&mut self, limits: &Limits, chunk: Chunk<'_>, from: usize, object: bool) {
        if self.begins_arguments() {
            self.begin_arguments(limits, from);
        }
        let element = self.element();
        let node = if let Some(masker) = &mut self.arguments {
            match masker.open(object, element) {
                Enter::Inside if object => Node::ArgumentObject,
                Enter::Inside => Node::ArgumentArray,
                Enter::Skip => Node::Skip,
            }
        } else {
            self.descend(object)
        };
        match node {
            Node::Skip => self.tokenizer.skip_rest(),
            Node::Message => {
                self.begun = true;
                self.begin_message(chunk.offset(from));
                self.message.in_batch = !self.frames.is_empty();
            }
            Node::Batch => self.begun = true,
            Node::Tool => {
                self.item = None;
                self.tool.begin(from);
            }
            Node::Resource | Node::Prompt | Node::InputRequest | Node::AcpServer => self.item = None,
            node if node.is_provider_item() => self.provider.begin(node),
            _ => {}
        }
        self.frames.push(Frame { node, key: Key::Other, seen: 0, count: 0, has: 0 });
    }

    /// The node of a container that begins now, with what its mere presence says.
    fn descend(&mut self, object: bool) -> Node {
        let Some(frame) = self.frames.last_mut() else {
            return if object { Node::Message } else { Node::Batch };
        };
        let (node, key) = (frame.node, frame.key);
        let m = &mut self.message;
        match (node, key, object) {
            (Node::Batch, _, true) => Node::Message,
            (Node::Message, Key::Params, true) => {
                m.params.get_or_insert_default().is_object = true;
                Node::Params
            }
            (Node::Message, Key::Result, true) => {
                m.result.get_or_insert_default().is_object = true;
                Node::Outcome
            }
            (Node::Message, Key::Error, true) => Node::Failure,
            (Node::Message, Key::RedirectUris, false) if !m.in_batch => {
                self.document.redirect_uris = true;
                Node::RedirectUris
            }
            (Node::Message, Key::McpServersSnake, false) if !m.in_batch => Node::ProviderServers,
            (Node::Message, Key::Tools, false) if !m.in_batch => Node::ProviderTools,
            (Node::Message, Key::AuthorizationServers, false) if !m.in_batch => {
                self.document.authorization_servers = true;
                self.document.servers.clear();
                Node::AuthorizationServers
            }
            (Node::Message, Key::McpServers, true) if !m.in_batch => {
                self.document.client_config = true;
                Node::Skip
            }
            (Node::Params, Key::Capabilities, true) => {
                m.params.get_or_insert_default().capabilities = true;
                Node::Skip
            }
            (Node::Params, Key::ClientInfo, true) => {
                m.params.get_or_insert_default().client_info = Some(Implementation::default());
                Node::Client
            }
            (Node::Params, Key::Meta, true) => Node::ParamsMeta,
            (Node::Params, Key::McpServers, _) => Node::AcpServers,
            (Node::AcpServers, _, true) => Node::AcpServer,
            (Node::ParamsMeta, Key::MetaClient, true) => {
                m.params.get_or_insert_default().meta_client = Some(Implementation::default());
                Node::MetaClient
            }
            (Node::Outcome, key, object) => outcome_child(m.result.get_or_insert_default(), key, object),
            (Node::OutcomeMeta, Key::MetaServer, true) => {
                m.result.get_or_insert_default().server_info = Some(Implementation::default());
                Node::Server
            }
            (Node::Tools, _, true) => Node::Tool,
            (Node::Resources, _, true) => Node::Resource,
            (Node::Templates, _, true) => Node::Template,
            (Node::Prompts, _, true) => Node::Prompt,
            (Node::Contents, _, true) => Node::ContentsItem,
            (Node::Content, _, true) => Node::ContentItem,
            (Node::Turns, _, true) => Node::Turn,
            (Node::Roots, _, true) => Node::Root,
            (Node::InputRequests, _, true) => Node::InputRequest,
            (Node::Failure, Key::Data, true) => Node::FailureData,
            (Node::FailureData, Key::Supported, false) => Node::FailureSupported,
            _ if m.in_batch => Node::Skip,
            _ => self.provider.descend(node, key, object),
        }
    }

    /// A string, number or word begins.
    fn begin_scalar(&mut self, limits: &Limits, from: usize) {
        if self.begins_arguments() {
            self.begin_arguments(limits, from);
        }
        let element = self.element();
        if let Some(masker) = &mut self.arguments {
            masker.scalar(element);
            return;
        }
        let wanted = self.frames.last().is_some_and(|f| match f.node {
            Node::Versions | Node::FailureSupported | Node::RedirectUris | Node::AuthorizationServers => true,
            _ => f.key != Key::Other,
        });
        if wanted {
            self.tokenizer.keep_text();
        }
    }

    /// The value of `arguments` may have ended at `pos`.
    fn end_arguments(&mut self, chunk: Chunk<'_>, pos: usize) {
        if self.arguments.is_none() || self.frames.len() != self.arguments_level {
            return;
        }
        if let Some(mut masker) = self.arguments.take() {
            masker.raw(chunk.raw.get(chunk.place(self.hash_from)..chunk.place(pos)).unwrap_or_default());
            if masker.is_full() {
                self.stats.arguments_cut += 1;
            }
            if let Some(params) = &mut self.message.params {
                params.arguments = Some(masker.finish());
            }
        }
    }

    /// Once nothing more of `arguments` can be shown, the rest only counts for the hash, at the speed of skipping.
    fn skip_hidden(&mut self) {
        let full = self.arguments.as_ref().is_some_and(Masker::is_full);
        if full && self.frames.len() > self.arguments_level {
            self.tokenizer.skip_rest();
        }
    }

    /// A container ended at `pos`.
    fn close(&mut self, limits: &Limits, chunk: Chunk<'_>, pos: usize, out: &mut dyn FnMut(Message)) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        if let Some(masker) = &mut self.arguments {
            match frame.node {
                Node::ArgumentObject => masker.close(true),
                Node::ArgumentArray => masker.close(false),
                _ => {}
            }
            self.end_arguments(chunk, pos);
            self.skip_hidden();
            return;
        }
        match frame.node {
            Node::Message => self.end_message(chunk.offset(pos), out),
            // Something inside an item; the item goes on.
            Node::Skip => {}
            _ => {
                if frame.node == Node::Tool {
                    self.end_tool(limits, chunk, pos);
                }
                self.end_item(limits, frame);
            }
        }
    }

    /// A tool that is offered ended at `pos`.
    fn end_tool(&mut self, limits: &Limits, chunk: Chunk<'_>, pos: usize) {
        let Some(outcome) = &mut self.message.result else { return };
        let catalogue = Arc::make_mut(outcome.catalogue.get_or_insert_default());
        let (most, name) = ((limits.list, limits.text), self.item.as_deref());
        if !self.tool.end(most, chunk, pos, name, catalogue) {
            self.stats.tools_cut += 1;
        }
    }

    /// A list item (or `result`) ended: what it had decides the shape of the list.
    fn end_item(&mut self, limits: &Limits, frame: Frame) {
        let all = |bits: u8| frame.has & bits == bits;
        let item = self.item.take();
        let list_limit = limits.list;
        let stats = &mut self.stats;
        let mut keep = |list: &mut Vec<String>, text: Option<String>| {
            if let Some(text) = text {
                if list.len() < list_limit {
                    list.push(text);
                } else {
                    stats.lists_cut += 1;
                }
            }
        };
        if let Some(o) = &mut self.message.result {
            match frame.node {
                Node::Tool => {
                    o.tools_shaped |= all(has::NAME | has::SCHEMA);
                    keep(&mut o.tools, item);
                    return;
                }
                Node::Resource => {
                    o.resources_shaped |= all(has::URI | has::NAME);
                    keep(&mut o.resources, item);
                    return;
                }
                Node::Template => o.templates_shaped |= all(has::URI),
                Node::Prompt => {
                    o.prompts_shaped |= all(has::NAME);
                    keep(&mut o.prompts, item);
                    return;
                }
                Node::ContentsItem => o.contents_shaped |= all(has::URI),
                Node::ContentItem => o.content_shaped &= all(has::TYPE),
                Node::Turn => o.messages_shaped |= all(has::ROLE | has::CONTENT),
                Node::Root => o.roots_shaped |= all(has::URI),
                Node::InputRequest => {
                    keep(&mut o.input_requests, item);
                    return;
                }
                Node::Outcome => o.sampling_shaped = all(has::ROLE | has::CONTENT | has::MODEL),
                _ => {}
            }
        }
        match frame.node {
            Node::AcpServer => {
                if let Some(params) = &mut self.message.params {
                    keep(&mut params.mcp_server_urls, item);
                }
            }
            node if node.is_provider_item() => self.provider.end(node, &mut self.document, &mut self.stats),
            _ => {}
        }
    }

    fn end_message(&mut self, end: u64, out: &mut dyn FnMut(Message)) {
        let m = &mut self.message;
        m.dap = self.seq && (self.command || self.dap_type);
        if self.odd_method && m.method.is_none() && (self.jsonrpc_member || self.odd_jsonrpc) {
            self.doubt.get_or_insert(Doubt::OtherCase);
        }
        let answer = m.id.is_some() && (m.result.is_some() || m.error.is_some());
        if self.jsonrpc_member || m.method.is_some() || answer || m.dap {
            self.emit(end, out);
        }
    }

    fn emit(&mut self, end: u64, out: &mut dyn FnMut(Message)) {
        let m = &mut self.message;
        m.bytes = end.saturating_sub(m.offset);
        m.evidence = evidence::of(m, self.places);
        if self.twice {
            self.doubt.get_or_insert(Doubt::DuplicateMember);
        }
        let called = m.method.is_some() || m.result.is_some() || m.error.is_some();
        if called && (self.jsonrpc_member || m.id.is_some()) {
            self.messages = self.messages.saturating_add(1);
        }
        out(std::mem::take(m));
    }
}
