//! Strings, numbers and words → the fields they belong to, masked before they are kept.

use crate::{
    ClientId, Id, Implementation, Limits, MAX_ID, MAX_TEXT, Stats, Version, catalogue, evidence,
    extract::Extractor,
    keys::Key,
    mask,
    nodes::{Node, has},
};

impl Extractor {
    /// A string, number or word ended; `quoted` says which.
    pub(crate) fn value(&mut self, limits: &Limits, quoted: bool) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        if self.arguments.is_some() {
            return;
        }
        let raw = self.tokenizer.text();
        let whole = self.tokenizer.is_whole();
        let (node, key) = (frame.node, frame.key);
        let listed =
            matches!(node, Node::Versions | Node::FailureSupported | Node::RedirectUris | Node::AuthorizationServers);
        if key == Key::Other && !listed {
            if let (Node::Content, Some(o)) = (node, &mut self.message.result) {
                o.content_shaped = false;
            }
            return;
        }
        let lossy = String::from_utf8_lossy(raw);
        let text: &str = &lossy;
        if quoted && (!whole || text.len() > MAX_TEXT) {
            self.stats.texts_cut += 1;
        }
        let name = |text: &str| {
            let mut kept = mask::name(text);
            kept.truncate(mask::cut(&kept, limits.text).len());
            kept
        };
        let m = &mut self.message;
        let has = &mut frame.has;
        match (node, key, quoted) {
            (Node::Message, Key::Jsonrpc, true) => m.jsonrpc = text == "2.0",
            (Node::Message, Key::Id, _) => m.id = Some(id(text, quoted)),
            (Node::Message, Key::Method, true) => m.method = Some(name(text)),
            // JSON-RPC 1.0 writes both members, one of them null.
            (Node::Message, Key::Error, false) if text == "null" => m.error = None,
            (Node::Message, Key::Type, true) => self.dap_type = matches!(text, "request" | "response" | "event"),
            (Node::Message, Key::Resource, true) if !m.in_batch => self.document.resource = Some(uri(text, whole)),
            (Node::Message, Key::ClientName, true) if !m.in_batch => self.document.client_name = Some(name(text)),
            (Node::Message, Key::ClientId, true) if !m.in_batch => {
                self.document.client_id = whole.then(|| ClientId::of(text));
            }
            (Node::Message, Key::Issuer, true) if !m.in_batch => self.document.issuer = true,
            (Node::Message, Key::AuthorizationEndpoint | Key::TokenEndpoint | Key::RegistrationEndpoint, true)
                if !m.in_batch && whole =>
            {
                let host = crate::oauth::authority_of(text);
                self.document.add_endpoint(host);
            }
            (Node::AuthorizationServers, _, true) if whole => self.document.add_server(text),
            (Node::RedirectUris, _, true) => self.document.redirect_uris_loopback |= crate::oauth::is_loopback(text),
            (Node::Params, ..) => {
                if let Some(p) = &mut m.params {
                    match (key, quoted) {
                        (Key::ProtocolVersion, _) => p.protocol_version = Some(version(text, quoted)),
                        (Key::Name, true) => p.name = Some(name(text)),
                        (Key::Uri, true) => p.uri = Some(uri(text, whole)),
                        (Key::TaskId, true) => p.task = Some(name(text)),
                        (Key::RequestId, _) => p.request_id = Some(id(text, quoted)),
                        (Key::Cursor, _) => p.cursor = cursor(text, quoted),
                        _ => {}
                    }
                }
            }
            (Node::ParamsMeta, Key::MetaVersion, true) => {
                if let Some(p) = &mut m.params {
                    p.meta_version = Some(mask::version(text));
                }
            }
            (Node::Client, _, true) => {
                implementation(m.params.as_mut().and_then(|p| p.client_info.as_mut()), key, text);
            }
            (Node::MetaClient, _, true) => {
                implementation(m.params.as_mut().and_then(|p| p.meta_client.as_mut()), key, text);
            }
            (Node::Server, _, true) => {
                implementation(m.result.as_mut().and_then(|o| o.server_info.as_mut()), key, text);
            }
            (Node::AcpServer, Key::Url, true) => self.item = Some(uri(text, whole)),
            (node, key, quoted) if node.is_provider_item() => {
                self.provider.value(limits, (node, key), quoted, text, whole);
            }
            (Node::Outcome, ..) => {
                if let Some(o) = &mut m.result {
                    match (key, quoted) {
                        (Key::ProtocolVersion, _) => o.protocol_version = Some(version(text, quoted)),
                        (Key::IsError, false) => o.is_error = text.parse().ok(),
                        (Key::ResultType, true) => o.result_type = Some(name(text)),
                        (Key::NextCursor, _) => o.next_cursor = cursor(text, quoted),
                        (Key::Action, true) => o.elicit_shaped = matches!(text, "accept" | "decline" | "cancel"),
                        _ => {}
                    }
                }
            }
            (Node::Versions, _, true) => {
                if let Some(o) = &mut m.result {
                    push(&mut o.supported_versions, mask::version(text), limits, &mut self.stats);
                }
            }
            (Node::Tool | Node::Prompt, Key::Name, true) => {
                *has |= has::NAME;
                self.item = Some(name(text));
            }
            (Node::Resource, Key::Name, true) => *has |= has::NAME,
            (Node::Resource, Key::Uri, true) => {
                *has |= has::URI;
                self.item = Some(uri(text, whole));
            }
            (Node::Template, Key::UriTemplate, true) | (Node::ContentsItem | Node::Root, Key::Uri, true) => {
                *has |= has::URI;
            }
            (Node::ContentItem, Key::Type, true)
                if matches!(text, "text" | "image" | "audio" | "resource" | "resource_link") =>
            {
                *has |= has::TYPE;
            }
            (Node::InputRequest, Key::Method, true) => self.item = Some(name(text)),
            (Node::Failure, Key::Code, false) => {
                if let Some(e) = &mut m.error {
                    e.code = text.parse().ok();
                }
            }
            (Node::Failure, Key::Message, true) => {
                if let Some(e) = &mut m.error {
                    e.sdk_text = evidence::is_sdk_text(text);
                }
            }
            (Node::FailureSupported, _, true) => {
                if let Some(e) = &mut m.error {
                    push(&mut e.supported, mask::version(text), limits, &mut self.stats);
                }
            }
            _ => {}
        }
    }
}

fn push(list: &mut Vec<String>, text: String, limits: &Limits, stats: &mut Stats) {
    if list.len() < limits.list {
        list.push(text);
    } else {
        stats.lists_cut += 1;
    }
}

fn id(text: &str, quoted: bool) -> Id {
    if quoted {
        Id::Text(mask::cut(text, MAX_ID).to_owned())
    } else if text == "null" {
        Id::Null
    } else {
        Id::Number(text.to_owned())
    }
}

/// Hash of a cursor; `null` is none.
fn cursor(text: &str, quoted: bool) -> Option<[u8; 16]> {
    (quoted || text != "null").then(|| catalogue::cursor(text))
}

fn version(text: &str, quoted: bool) -> Version {
    if quoted { Version::Text(mask::version(text)) } else { text.parse().map_or(Version::Other, Version::Integer) }
}

fn implementation(of: Option<&mut Implementation>, key: Key, text: &str) {
    match (of, key) {
        (Some(i), Key::Name) => i.name = mask::name(text),
        (Some(i), Key::Version) => i.version = mask::name(text),
        _ => {}
    }
}

/// A URI as kept. Of one that was too long to hold, the last segment may be half a secret, and goes.
pub(crate) fn uri(text: &str, whole: bool) -> String {
    if whole {
        return mask::clean_uri(text);
    }
    let kept = text.rfind(['/', '?']).map_or("", |at| text.get(..=at).unwrap_or_default());
    let mut clean = mask::clean_uri(kept);
    clean.truncate(mask::cut(&clean, MAX_TEXT - mask::MASK.len()).len());
    clean.push_str(mask::MASK);
    clean
}
