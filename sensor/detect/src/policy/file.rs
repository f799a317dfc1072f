//! `[[policy]]` and `[[group]]` as written.

use crate::{Classification, Confidence, LogPayload, Severity};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use toml::Spanned;

/// `[[policy]]`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPolicy {
    pub(crate) id: Spanned<String>,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) when: RawWhen,
    pub(super) action: Spanned<RawAct>,
    pub(super) redirect_to: Option<Spanned<String>>,
    pub(super) message: Option<Spanned<String>>,
    pub(super) request_access: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) dry_run: bool,
    #[serde(default)]
    pub(super) severity: Severity,
    pub(super) log_payload: Option<LogPayload>,
    pub(super) expires: Option<Spanned<toml::value::Datetime>>,
    #[serde(default)]
    pub(super) owner: String,
    #[serde(default)]
    pub(super) reason: String,
    #[serde(default)]
    pub(super) ticket: String,
    #[serde(default = "yes")]
    pub(super) enabled: bool,
}

const fn yes() -> bool {
    true
}

/// What a policy may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawAct {
    Allow,
    Log,
    Block,
    Redirect,
    Redact,
    Filter,
}

/// `when`: all members must be met, and of each list one.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWhen {
    pub(super) classification: Option<Many<Classification>>,
    pub(super) confidence: Option<Many<Confidence>>,
    pub(super) severity: Option<Many<Severity>>,
    pub(super) signature: Option<Many<String>>,
    pub(super) host: Option<Many<String>>,
    pub(super) port: Option<Many<u16>>,
    pub(super) path: Option<Many<String>>,
    pub(super) uri: Option<Many<String>>,
    pub(super) method: Option<Many<String>>,
    pub(super) tool: Option<Many<String>>,
    pub(super) tool_class: Option<Many<RawToolClass>>,
    pub(super) resource: Option<Many<String>>,
    pub(super) prompt: Option<Many<String>>,
    pub(super) mcp_client: Option<Many<String>>,
    pub(super) mcp_server: Option<Many<String>>,
    pub(super) revision: Option<Many<String>>,
    pub(super) user: Option<Many<String>>,
    pub(super) group: Option<Many<String>>,
    pub(super) client: Option<Many<String>>,
    pub(super) direction: Option<Many<RawDirection>>,
    pub(super) message: Option<Many<RawMessage>>,
    pub(super) dlp: Option<Many<String>>,
    pub(super) arguments: Option<Many<RawArgument>>,
    pub(super) provider: Option<Many<String>>,
    pub(super) oauth: Option<Many<RawStage>>,
    pub(super) resource_server: Option<Many<String>>,
    pub(super) authorization_server: Option<Many<String>>,
    pub(super) client_name: Option<Many<String>>,
    pub(super) inner_tools_incomplete: Option<bool>,
    pub(super) header_mismatch: Option<bool>,
    pub(super) not: Option<Box<RawWhen>>,
}

/// What a tool says it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawToolClass {
    Read,
    Write,
    Destructive,
    Unknown,
}

impl From<RawToolClass> for mcp::ToolClass {
    fn from(raw: RawToolClass) -> Self {
        match raw {
            RawToolClass::Read => Self::Read,
            RawToolClass::Write => Self::Write,
            RawToolClass::Destructive => Self::Destructive,
            RawToolClass::Unknown => Self::Unknown,
        }
    }
}

/// Direction of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawDirection {
    Outbound,
    Inbound,
    Internal,
    Unknown,
}

impl RawDirection {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
            Self::Internal => "internal",
            Self::Unknown => "unknown",
        }
    }
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawMessage {
    Request,
    Answer,
}

/// A step of OAuth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawStage {
    Metadata,
    Registration,
    Authorization,
    Token,
}

/// One test of an argument.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawArgument {
    /// JSON Pointer (RFC 6901) below `params.arguments`.
    pub(super) pointer: Spanned<String>,
    pub(super) regex: Option<Spanned<String>>,
    #[serde(rename = "in")]
    pub(super) set: Option<Many<String>>,
    pub(super) above: Option<f64>,
    pub(super) below: Option<f64>,
}

/// `[[group]]`: people by a name.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawGroup {
    pub(crate) id: Spanned<String>,
    #[serde(default)]
    pub(super) users: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) clients: Vec<Spanned<String>>,
}

/// One value, or a list of them, each with its place.
#[derive(Clone, Debug)]
pub(super) struct Many<T>(pub(super) Vec<Spanned<T>>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The place of the whole value, for a single one.
        let all = Spanned::<OneOrMany<T>>::deserialize(deserializer)?;
        let span = all.span();
        Ok(match all.into_inner() {
            OneOrMany::One(one) => Self(vec![Spanned::new(span, one)]),
            OneOrMany::Many(many) => Self(many),
        })
    }
}

enum OneOrMany<T> {
    One(T),
    Many(Vec<Spanned<T>>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value, or a list of them")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut many = Vec::new();
                while let Some(one) = list.next_element()? {
                    many.push(one);
                }
                Ok(OneOrMany::Many(many))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(OneOrMany::One)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(de::value::StrDeserializer::new(text)).map(OneOrMany::One)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                T::deserialize(de::value::I64Deserializer::new(number)).map(OneOrMany::One)
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}
