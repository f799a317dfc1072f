//! What policies are held against.

use crate::dlp::ProfileSet;
use crate::{Authorization, Classification, Confidence, Content, Severity, Signal};
use mcp::ToolClass;
use net::{Direction, Timestamp};
use std::net::IpAddr;

/// How much is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Who wants to talk to which host.
    Connect,
    /// The request head.
    Head,
    /// All that there is to know.
    Whole,
}

/// A set of classifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u16);

impl Classes {
    /// Adds one.
    #[must_use]
    pub const fn with(self, class: Classification) -> Self {
        Self(self.0 | 1 << class as u16)
    }

    /// Those in both.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it is in.
    pub const fn has(self, class: Classification) -> bool {
        self.0 & (1 << class as u16) != 0
    }
}

impl From<Classification> for Classes {
    fn from(class: Classification) -> Self {
        Self::default().with(class)
    }
}

/// What was seen of a client and a server.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// When.
    pub at: Timestamp,
    /// How much of the following is known; the rest is not looked at.
    pub stage: Stage,
    /// What the server means here; before all is known, what it may mean.
    pub classes: Classes,
    /// How sure it is that this is MCP; `None` where nothing says so (any more, or yet).
    pub confidence: Option<Confidence>,
    /// How bad it is without policies.
    pub severity: Severity,
    /// Host as asked for: lower case, without port; the address where none was named.
    pub host: &'a str,
    /// Port of the server.
    pub port: u16,
    /// Normalised path.
    pub path: &'a str,
    /// Who asks: as a trusted proxy says, else who sent it.
    pub client: IpAddr,
    /// Who that is, where known.
    pub user: Option<&'a str>,
    /// `outbound`, `inbound`, `internal` or `unknown`.
    pub direction: &'static str,
    /// What was seen.
    pub signals: &'a [Signal],
    /// What the client calls itself.
    pub mcp_client: Option<&'a str>,
    /// What the server calls itself.
    pub mcp_server: Option<&'a str>,
    /// MCP revisions that were named.
    pub revisions: &'a [&'a str],
    /// MCP servers that the provider of a model is told to use.
    pub provider: &'a [String],
    /// The authorisation that it is a step of, where that is for a server of MCP.
    pub oauth: Option<&'a Authorization>,
    /// An `Mcp-*` header contradicts the body.
    pub header_mismatch: bool,
}

impl Subject<'_> {
    /// Whether all is known, and none of it is MCP.
    pub(super) fn shows_nothing(&self) -> bool {
        self.stage == Stage::Whole && self.confidence.is_none()
    }
}

/// One message, or one tool that a message speaks of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facet<'a> {
    /// Which way it goes.
    pub dir: Option<Direction>,
    /// JSON-RPC method; of an answer, of its call.
    pub method: Option<&'a str>,
    /// Tool that is called, or called by a program that is given to another.
    pub tool: Option<&'a str>,
    /// What that tool says it does; `None` where there is none, or nobody looked it up.
    pub class: Option<ToolClass>,
    /// URI of a resource.
    pub resource: Option<&'a str>,
    /// Name of a prompt.
    pub prompt: Option<&'a str>,
    /// A program is given that may call tools which cannot be told.
    pub inner_incomplete: bool,
    /// Profiles of data that were found in it.
    pub dlp: ProfileSet,
    /// Numbers of the tests that its arguments meet ([`super::Policies::arguments`]).
    pub arguments: &'a [u16],
}

impl Facet<'_> {
    /// Adds what policies see of a message: itself, and each tool that a program in it calls. `method` is that of a
    /// request, or of the call that is answered; `name` what it is about: tool, prompt, or URI of a resource.
    pub fn add<'a>(
        to: &mut Vec<Facet<'a>>,
        dir: Direction,
        method: Option<&'a str>,
        name: Option<&'a str>,
        content: Option<&'a Content>,
    ) {
        let of = |wanted: &str| name.filter(|_| method == Some(wanted));
        let outer = Facet {
            dir: Some(dir),
            method,
            tool: of("tools/call"),
            class: None,
            resource: name.filter(|_| method.is_some_and(|method| method.starts_with("resources/"))),
            prompt: of("prompts/get"),
            inner_incomplete: content.is_some_and(|content| content.inner_incomplete),
            dlp: content.map_or(ProfileSet::EMPTY, |content| content.dlp),
            arguments: content.map_or(&[], |content| &content.arguments),
        };
        to.push(outer);
        let inner = content.map_or(&[][..], |content| &content.inner_tools);
        to.extend(inner.iter().map(|tool| Facet { tool: Some(tool), inner_incomplete: false, ..outer }));
    }

    /// Has every tool that is called looked up.
    pub fn classify(facets: &mut [Self], mut class: impl FnMut(&str) -> ToolClass) {
        for facet in facets {
            facet.class = facet.tool.map(&mut class);
        }
    }

    /// A call of a tool of which nothing is known but its name and what it says it does.
    pub(super) fn call_of(tool: &str, class: ToolClass) -> Facet<'_> {
        let (dir, method) = (Some(Direction::ToServer), Some("tools/call"));
        Facet { dir, method, tool: Some(tool), class: Some(class), ..Facet::default() }
    }

    /// Whether a tool is called by it.
    pub(super) fn is_call(&self) -> bool {
        self.dir != Some(Direction::ToClient) && self.method == Some("tools/call")
    }
}
