//! Verdicts, and what an answer of our own is made from.

use detect::{Action, Classification, Confidence, Decision};
use mcp::{OAuthStage, ProviderApi};
use std::net::IpAddr;
use std::sync::Arc;

/// Messages of one held value that an answer may name, one by one; what comes after is only counted.
pub(crate) const MAX_MESSAGES: usize = 1024;

/// What may happen to what was just looked at.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It may pass.
    Pass,
    /// It may pass once it is changed ([`super::Inspection::edit`]).
    Edit,
    /// A message is under way; what was looked at since the last `Pass` waits.
    Hold,
    /// It must not pass: what to do instead.
    Act(Box<Ruling>),
}

/// What to do instead of passing a message on.
#[derive(Clone, Debug)]
pub(crate) struct Ruling {
    /// `block` or `redirect` with where to, what people are told, and the policy that asks for it. Never a dry run.
    pub(crate) decision: Decision,
    /// How sure it is that it is MCP.
    pub(crate) confidence: Confidence,
    /// What the server means here.
    pub(crate) classification: Classification,
    /// Host as asked for: lower case, without port. Of a step of OAuth that of the server that it is for, of a model call
    /// that of the server that the provider is told to use.
    pub(crate) host: String,
    /// Who asked.
    pub(crate) client: IpAddr,
    /// The same by name, where it is known.
    pub(crate) user: Option<Arc<str>>,
    /// The JSON-RPC messages of the held value in order, at most [`MAX_MESSAGES`]; empty where the head alone decided.
    pub(crate) messages: Vec<Said>,
    /// Messages beyond [`MAX_MESSAGES`].
    pub(crate) left_out: u64,
    /// The held value is an array of messages.
    pub(crate) batch: bool,
    /// It would begin a conversation (`initialize`, `server/discover`, the first GET, anything in a session that is not
    /// this server's), so that a client can still be sent elsewhere.
    pub(crate) start: bool,
    /// Clients wait for the answer on another stream (HTTP+SSE), and read no more than the status of this one.
    pub(crate) apart: bool,
    /// What its client understands.
    pub(crate) speech: Speech,
    /// How far it got.
    pub(crate) stage: Stage,
    /// Why it is stopped.
    pub(crate) cause: Cause,
}

impl Ruling {
    /// A ruling to block of which nothing is known but its cause.
    pub(crate) fn bare(host: &str, client: IpAddr, cause: Cause) -> Self {
        Self {
            decision: Decision { action: Action::Block, ..Decision::LOG },
            confidence: Confidence::Possible,
            classification: Classification::Unknown,
            host: host.to_owned(),
            client,
            user: None,
            messages: Vec::new(),
            left_out: 0,
            batch: false,
            start: false,
            apart: false,
            speech: Speech::Rpc,
            stage: Stage::Message,
            cause,
        }
    }
}

/// The language in which a client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// JSON-RPC, or what the head of the request asks for.
    Rpc,
    /// OAuth (RFC 6749 section 5.2): this step of it.
    OAuth(OAuthStage),
    /// The interface of a provider of models.
    Model(ProviderApi),
}

/// One JSON-RPC message of a held value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// What its members make it.
    pub(crate) kind: mcp::Kind,
    /// Its method, where it has one; `…` where that looks like a secret.
    pub(crate) method: Option<String>,
    /// What it is about: tool, prompt, or URI of a resource.
    pub(crate) name: Option<String>,
    /// Its id, unescaped; numbers as they were written.
    pub(crate) id: Option<mcp::Id>,
}

/// How far an exchange got before it was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing was asked yet: the name of the server was enough.
    Connect,
    /// The head of the request was enough.
    Request,
    /// A message.
    Message,
    /// What came back.
    Response,
}

impl Stage {
    /// The word of the record.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Request => "request",
            Self::Message => "message",
            Self::Response => "response",
        }
    }
}

/// Why something is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The configuration asks for it.
    Policy,
    /// It could not be held: a limit of ours, by name.
    Limit(&'static str),
    /// Our own code failed, and the configuration says to stop traffic then.
    Fault,
}

impl Cause {
    /// The word of the record.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Limit(_) => "limit",
            Self::Fault => "fault",
        }
    }

    /// More about it, where there is more.
    pub(crate) const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Limit(name) => Some(name),
            Self::Policy | Self::Fault => None,
        }
    }
}
