//! Parameters of OAuth: in the query of an authorisation request (RFC 6749 section 4.1.1) and in the form that a token or a
//! pushed authorisation request posts (RFC 6749 section 4.1.3, RFC 9126). Only what says who asks for which resource is
//! kept; codes, secrets, states and verifiers are never copied.

use crate::mask;
use sha2::{Digest, Sha256};
use std::fmt;

/// Longest form that may be one of OAuth, in bytes; of what is longer nothing is read.
pub const MAX_FORM: u64 = 64 << 10;
/// Longest name of a parameter that is looked at, in bytes as sent.
const MAX_NAME: usize = 48;
/// Longest value that is looked at, in bytes as sent.
const MAX_VALUE: usize = 4096;
/// Most resources of one request.
const MAX_RESOURCES: usize = 8;
/// Most parameters of a query.
const MAX_PARAMETERS: usize = 256;

/// A step of the way to an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OAuthStage {
    /// What a resource or an authorisation server says of itself is asked for (RFC 9728, RFC 8414).
    Metadata,
    /// A client registers (RFC 7591).
    Registration,
    /// Somebody is asked to authorise a client (RFC 6749 section 4.1.1, RFC 9126).
    Authorization,
    /// A token is asked for (RFC 6749 section 4.1.3).
    Token,
}

impl OAuthStage {
    /// All of them, in the order they come in.
    pub const ALL: [Self; 4] = [Self::Metadata, Self::Registration, Self::Authorization, Self::Token];

    /// Stable word for policies and records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Registration => "registration",
            Self::Authorization => "authorization",
            Self::Token => "token",
        }
    }
}

/// Who a client of OAuth is (RFC 6749 section 2.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId {
    /// SHA-256 of it, to meet it again. Never for records.
    pub key: [u8; 32],
    /// For records: host and path of one that is a URL (a client-id metadata document), `…` for what looks like a secret.
    pub shown: String,
}

impl ClientId {
    /// Of a value as the client or the server says it.
    pub fn of(text: &str) -> Self {
        let shown = match text.strip_prefix("https://") {
            Some(rest) if !rest.contains('@') => {
                let clean = mask::clean_uri(text);
                let bare = clean.strip_prefix("https://").unwrap_or(&clean);
                bare.split(['?', '#']).next().unwrap_or_default().to_owned()
            }
            Some(_) => mask::MASK.to_owned(),
            None => mask::name(text),
        };
        Self { key: Sha256::digest(text.as_bytes()).into(), shown }
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientId").field(&self.shown).finish()
    }
}

/// What the parameters of a request say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// `response_type`, or `request_uri` of a request that was pushed before.
    asks_to_authorize: bool,
    /// `grant_type`.
    asks_for_token: bool,
    /// `client_id`.
    pub client: Option<ClientId>,
    /// `resource` (RFC 8707), cleaned; at most 8.
    pub resources: Vec<String>,
}

impl Parameters {
    /// The step that these parameters make a request.
    pub fn stage(&self) -> Option<OAuthStage> {
        match () {
            () if self.asks_for_token => Some(OAuthStage::Token),
            () if self.asks_to_authorize && self.client.is_some() => Some(OAuthStage::Authorization),
            () => None,
        }
    }

    fn take(&mut self, parameter: Parameter, value: &str) {
        match parameter {
            Parameter::Authorize => self.asks_to_authorize = true,
            Parameter::Grant => self.asks_for_token = true,
            Parameter::Client => self.client = Some(ClientId::of(value)),
            Parameter::Resource => {
                let url = mask::clean_uri(value);
                if value.contains("://") && self.resources.len() < MAX_RESOURCES && !self.resources.contains(&url) {
                    self.resources.push(url);
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parameter {
    Authorize,
    Grant,
    Client,
    Resource,
}

impl Parameter {
    fn of(name: &[u8]) -> Option<Self> {
        // Names may be encoded like values.
        if name.contains(&b'%') { Self::named(decoded(name).as_bytes()) } else { Self::named(name) }
    }

    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"response_type" | b"request_uri" => Self::Authorize,
            b"grant_type" => Self::Grant,
            b"client_id" => Self::Client,
            b"resource" => Self::Resource,
            _ => return None,
        })
    }
}

fn decoded(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    mask::percent_decode(&if text.contains('+') { text.replace('+', " ").into() } else { text })
}

/// The parameters of OAuth in the query of a target; `None` where there is no client in it.
pub fn query_parameters(target: &str) -> Option<Parameters> {
    let (_, query) = target.split_once('?')?;
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    if !query.contains("client_id") {
        return None;
    }
    let mut parameters = Parameters::default();
    for pair in query.split('&').take(MAX_PARAMETERS) {
        let Some((name, value)) = pair.split_once('=') else { continue };
        if let Some(parameter) = Parameter::of(name.as_bytes()).filter(|_| value.len() <= MAX_VALUE) {
            parameters.take(parameter, &decoded(value.as_bytes()));
        }
    }
    Some(parameters)
}

/// Reads a form (`application/x-www-form-urlencoded`) as it comes, however it is cut. What it keeps is bounded.
#[derive(Debug, Default)]
pub struct Form {
    parameters: Parameters,
    /// Name of the parameter under way, then its value where somebody cares.
    held: Held,
    value_of: Option<Parameter>,
    in_value: bool,
    bytes: u64,
}

/// Bytes that no `Debug` shows.
#[derive(Default)]
struct Held(Vec<u8>);

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Form {
    /// The next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if !self.may_be_oauth() {
            self.held.0 = Vec::new();
            return;
        }
        for byte in bytes {
            match byte {
                b'&' => self.close(),
                b'=' if !self.in_value => {
                    self.in_value = true;
                    self.value_of = Parameter::of(&self.held.0).filter(|_| self.held.0.len() <= MAX_NAME);
                    self.held.0.clear();
                }
                // One byte more than may be: it is too long then.
                byte if !self.in_value && self.held.0.len() <= MAX_NAME => self.held.0.push(*byte),
                byte if self.value_of.is_some() && self.held.0.len() <= MAX_VALUE => self.held.0.push(*byte),
                _ => {}
            }
        }
    }

    fn close(&mut self) {
        if let Some(parameter) = self.value_of.take().filter(|_| self.held.0.len() <= MAX_VALUE) {
            self.parameters.take(parameter, &decoded(&self.held.0));
        }
        self.held.0.clear();
        self.in_value = false;
    }

    /// Whether it is not too long for a form of OAuth.
    pub const fn may_be_oauth(&self) -> bool {
        self.bytes <= MAX_FORM
    }

    /// What it said, now that it is over.
    pub fn finish(mut self) -> Parameters {
        if !self.may_be_oauth() {
            return Parameters::default();
        }
        self.close();
        self.parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str, size: usize) -> Parameters {
        let mut form = Form::default();
        for piece in text.as_bytes().chunks(size) {
            form.feed(piece);
        }
        form.finish()
    }

    #[test]
    fn a_form_says_what_is_asked_for_which_resource_however_it_is_cut() {
        use OAuthStage::{Authorization, Token};
        for (text, stage, client, resources) in [
            ("", None, None, &[][..]),
            ("user=ana&password=x", None, None, &[]),
            ("client_id=x", None, Some("x"), &[]),
            ("grant_type=refresh_token", Some(Token), None, &[]),
            (
                "grant_type=authorization_code&code=S3CR3T&client_id=notes-cli&resource=https%3A%2F%2Fnotes.example%2Fmcp",
                Some(Token),
                Some("notes-cli"),
                &["https://notes.example/mcp"],
            ),
            (
                "response_type=code&client_id=https%3A%2F%2Fide.example%2Foauth%2Fclient.json%3Fx%3D1&state=S",
                Some(Authorization),
                Some("ide.example/oauth/client.json"),
                &[],
            ),
            ("response_type=code", None, None, &[]),
            (
                "%72esource=https://a.example/mcp&grant%5Ftype=x&resource=https://b.example/&resource=here",
                Some(Token),
                None,
                &["https://a.example/mcp", "https://b.example/"],
            ),
            ("grant_type", None, None, &[]),
            ("=&&=&a==&grant_type==", Some(Token), None, &[]),
        ] {
            for size in [text.len().max(1), 1, 7] {
                let got = form(text, size);
                assert_eq!(got.stage(), stage, "{text}");
                assert_eq!(got.client.as_ref().map(|c| c.shown.as_str()), client, "{text}");
                assert_eq!(got.resources, resources, "{text}");
            }
        }
    }

    #[test]
    fn a_query_is_read_as_a_form_is() {
        let asked = "/authorize?response_type=code&client_id=https%3A%2F%2Fide.example%2Fc.json&state=s3cr3t&resource=https%3A%2F%2Fnotes.example%2Fmcp#x";
        let got = query_parameters(asked).unwrap();
        assert_eq!(got.stage(), Some(OAuthStage::Authorization));
        assert_eq!(got.resources, ["https://notes.example/mcp"]);
        assert!(!format!("{got:?}").contains("s3cr3t"));
        let pushed = query_parameters("/authorize?client_id=abc&request_uri=urn%3Ax").unwrap();
        assert_eq!(pushed.stage(), Some(OAuthStage::Authorization));
        for other in ["/authorize", "/authorize?response_type=code", "/x?q=client"] {
            assert_eq!(query_parameters(other), None, "{other}");
        }
    }

    #[test]
    fn a_client_id_is_shown_unless_it_may_be_a_secret() {
        for (id, shown) in [
            ("notes-cli", "notes-cli"),
            ("https://ide.example/oauth/client.json?token=1#2", "ide.example/oauth/client.json"),
            ("https://ana:pw@ide.example/c.json", "…"),
            ("9f86d081884c7d659a2feaa0c55ad015", "…"),
        ] {
            assert_eq!(ClientId::of(id).shown, shown, "{id}");
            assert_eq!(ClientId::of(id), ClientId::of(id));
        }
        assert_ne!(ClientId::of("a").key, ClientId::of("b").key);
    }

    #[test]
    fn what_is_too_long_is_left_out_and_memory_stays_bounded() {
        let long = "x".repeat(MAX_VALUE + 1);
        let got = form(&format!("{long}=1&resource=https://{long}&grant_type=x"), 1000);
        assert_eq!((got.stage(), got.resources.len()), (Some(OAuthStage::Token), 0));
        let mut endless = Form::default();
        for _ in 0..(MAX_FORM / 1000) {
            endless.feed(long.get(..1000).unwrap().as_bytes());
            assert!(endless.held.0.len() <= MAX_VALUE + 1);
        }
        assert!(endless.may_be_oauth());
        endless.feed(format!("&grant_type=x{long}").as_bytes());
        assert!(!endless.may_be_oauth());
        assert_eq!(endless.finish(), Parameters::default());
    }
}
