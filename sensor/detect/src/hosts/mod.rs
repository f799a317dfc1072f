//! Which known MCP hosts and addresses a name is.
//!
//! Names match exactly or by label, never by substring:
//!
//! - `example.com`: this name;
//! - `*.example.com`: any name below it, at any depth, but not `example.com` itself;
//! - `mcp.*`: first label `mcp` and something after it;
//! - `*-mcp.*`, `*mcp.googleapis.com`: a `*` inside a label stands for any run of characters of that label;
//! - `a.*.example.com`: a whole-label `*` in the middle stands for exactly one label.
//!
//! A host can be followed by a path, whose `*` stands for any run of characters.

mod pattern;
mod table;

use std::borrow::Cow;

pub use pattern::{HostPatternError, MAX_HOST_BYTES, glob};
pub(crate) use pattern::{glob_bytes, path_matches};
pub(crate) use table::NewEntry;
pub use table::{HostTable, MAX_OPEN_PATTERNS};

/// How sure a list or pattern is that a server is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listed {
    /// For the record only.
    Info,
    /// Says nothing alone.
    Low,
    /// Enough for `possible`.
    Medium,
    /// The owner says so, or a handshake was seen there.
    High,
}

/// What kind of place a host is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// An MCP server.
    #[default]
    Server,
    /// A platform on which anybody can run one, and anything else.
    Hosting,
    /// A tunnel to somebody's own machine.
    Tunnel,
    /// A login step before a server.
    Login,
    /// A catalogue of servers: browsing it is not MCP.
    Catalog,
    /// A download of server software.
    SupplyChain,
    /// A link that installs a server in a client.
    InstallLink,
    /// A document that says where servers are.
    Discovery,
}

impl Category {
    /// True where MCP itself is spoken, or may be.
    pub const fn is_server(self) -> bool {
        matches!(self, Self::Server | Self::Hosting | Self::Tunnel)
    }

    /// The name in rule files and lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Hosting => "hosting",
            Self::Tunnel => "tunnel",
            Self::Login => "login",
            Self::Catalog => "catalog",
            Self::SupplyChain => "supply_chain",
            Self::InstallLink => "install_link",
            Self::Discovery => "discovery",
        }
    }

    /// The category of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Server,
            Self::Hosting,
            Self::Tunnel,
            Self::Login,
            Self::Catalog,
            Self::SupplyChain,
            Self::InstallLink,
            Self::Discovery,
        ]
        .into_iter()
        .find(|category| category.name() == name)
    }
}

/// A host that a signature knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostMatch<'r> {
    /// Index of the signature in [`RuleSet::signatures`](crate::rules::RuleSet::signatures).
    pub signature: u32,
    /// A listed host that serves MCP and little else: its name alone makes MCP possible.
    pub dedicated: bool,
    /// The signature names a path too.
    pub has_path: bool,
    /// It names a path, a path was seen, and they agree. Without this a host that is not dedicated is not reported.
    pub path_matches: bool,
    /// How sure the list is.
    pub listed: Listed,
    /// What kind of place it is.
    pub category: Category,
    /// The host or host pattern that matched, as in the rule, in lower case.
    pub label: &'r str,
    /// The path or path pattern of the rule; empty without one.
    pub path: &'r str,
    /// Who runs it; empty where unknown or the same as the host.
    pub vendor: &'r str,
    /// Transport spoken there: `http`, `sse` or `any`.
    pub transport: &'r str,
    /// Where the entry comes from; empty for a signature that names the host itself.
    pub source: &'r str,
}

/// A host name as tables want it: lower case, without port, trailing dots and the brackets of an IPv6 address.
/// Borrows where nothing is to be done. Names in Unicode stay as they are: on the wire they are punycode.
pub fn normal_host(host: &str) -> Cow<'_, str> {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(address, _)| address),
        None => match host.split_once(':') {
            // One colon is a port; several are an IPv6 address without brackets.
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        },
    };
    let bare = bare.trim_end_matches('.');
    if bare.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(bare.to_ascii_lowercase())
    } else {
        Cow::Borrowed(bare)
    }
}
