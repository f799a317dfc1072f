//! How a request authorises itself: the kind, and of a bearer JSON web token the claims that name parties. The
//! credential itself is never kept.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use proto::RequestHead;

use crate::{
    mask::{self, clean_uri},
    tokenizer::{Token, Tokenizer},
};

/// Longest payload of a token that is decoded, in bytes of base64.
const MAX_PAYLOAD: usize = 8192;
/// Longest kept claim, in bytes.
const MAX_CLAIM: usize = 256;

/// Kind of credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AuthKind {
    /// None was sent.
    #[default]
    None,
    /// `Authorization: Bearer` (RFC 6750), `DPoP` included.
    Bearer,
    /// `Authorization: Basic` (RFC 7617).
    Basic,
    /// A key in a field of its own (`X-Api-Key` and the like), or the scheme `ApiKey`.
    ApiKey,
    /// Some other scheme.
    Other,
}

impl AuthKind {
    /// Stable word for records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::ApiKey => "api_key",
            Self::Other => "other",
        }
    }
}

/// Claims of a JSON web token (RFC 7519 §4.1). Not verified: evidence, never identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// `iss`, cleaned like a URI.
    pub iss: Option<String>,
    /// `sub`, at most 256 bytes.
    pub sub: Option<String>,
    /// `aud`, the first if there are several, cleaned like a URI.
    pub aud: Option<String>,
}

/// What is kept of a credential.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// Its kind.
    pub kind: AuthKind,
    /// Claims, where it is a JSON web token.
    pub claims: Option<Claims>,
}

impl Auth {
    /// Reads `Authorization`, else the fields API keys travel in.
    pub(crate) fn of(head: &RequestHead<'_>) -> Self {
        if let Some(value) = head.headers.get("authorization") {
            return authorization(value);
        }
        let key = ["x-api-key", "api-key", "apikey", "x-goog-api-key", "x-auth-token", "x-mcp-remote-auth"]
            .iter()
            .any(|name| head.headers.get(name).is_some());
        Self { kind: if key { AuthKind::ApiKey } else { AuthKind::None }, claims: None }
    }
}

fn authorization(value: &[u8]) -> Auth {
    let end = value.iter().position(|b| *b == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    let is = |name: &str| scheme.eq_ignore_ascii_case(name.as_bytes());
    let kind = if is("bearer") || is("dpop") {
        AuthKind::Bearer
    } else if is("basic") {
        AuthKind::Basic
    } else if is("apikey") || is("api-key") {
        AuthKind::ApiKey
    } else {
        AuthKind::Other
    };
    let claims = (kind == AuthKind::Bearer).then(|| claims(rest.trim_ascii())).flatten();
    Auth { kind, claims }
}

/// The claims of a token in compact form; `None` if it has no JSON object in its middle.
fn claims(token: &[u8]) -> Option<Claims> {
    let mut parts = token.split(|b| *b == b'.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if payload.len() > MAX_PAYLOAD {
        return None;
    }
    let payload = payload.strip_suffix(b"==").or_else(|| payload.strip_suffix(b"=")).unwrap_or(payload);
    let json = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    let mut found = Claims::default();
    let mut tokenizer = Tokenizer::new();
    let mut pos = 0;
    let (mut depth, mut claim) = (0_u32, Claim::Other);
    let mut object = false;
    while let Some(token) = tokenizer.next(&json, &mut pos) {
        match token {
            Token::ObjectStart | Token::ArrayStart => {
                depth += 1;
                object |= depth == 1 && token == Token::ObjectStart;
                let audience = depth == 2 && token == Token::ArrayStart && claim == Claim::Aud;
                if depth > 1 && !audience {
                    tokenizer.skip_rest();
                }
            }
            Token::ObjectEnd | Token::ArrayEnd => depth = depth.saturating_sub(1),
            Token::Key => claim = Claim::of(tokenizer.text()),
            Token::TextStart => tokenizer.keep_text(),
            Token::Text => {
                let text = String::from_utf8_lossy(tokenizer.text());
                match claim {
                    Claim::Iss => found.iss = Some(clean_uri(&text)),
                    Claim::Sub => found.sub = Some(mask::cut(&text, MAX_CLAIM).to_owned()),
                    Claim::Aud if depth == 1 || found.aud.is_none() => found.aud = Some(clean_uri(&text)),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    object.then_some(found)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    Iss,
    Sub,
    Aud,
    Other,
}

impl Claim {
    fn of(text: &[u8]) -> Self {
        match text {
            b"iss" => Self::Iss,
            b"sub" => Self::Sub,
            b"aud" => Self::Aud,
            _ => Self::Other,
        }
    }
}
