//! One condition of a policy: a field, and the values that do.

use super::subject::{Classes, Facet, Stage, Subject};
use crate::dlp::ProfileSet;
use crate::hosts::{glob_bytes, path_matches};
use crate::scope::{Cidr, HostPattern};
use crate::{Confidence, Severity};
use mcp::OAuthStage;
use mcp::ToolClass;
use net::Direction;
use regex_automata::meta::Regex;
use std::fmt::Write as _;
use std::sync::Arc;

/// What a condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// More must be known.
    Open,
}

impl From<bool> for Answer {
    fn from(met: bool) -> Self {
        if met { Self::Yes } else { Self::No }
    }
}

/// A condition and what became of it, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Key in the rule file.
    pub condition: &'static str,
    /// Whether it is met.
    pub met: bool,
    /// What it asks for.
    pub wanted: String,
    /// What was there.
    pub found: String,
}

/// A text with `*` for any run of characters; the whole text must fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob {
    pub(super) text: Box<str>,
    pub(super) nocase: bool,
}

impl Glob {
    fn matches(&self, text: &str) -> bool {
        glob_bytes(self.text.as_bytes(), text.as_bytes(), self.nocase)
    }

    /// Whether all that `other` matches is matched by this, as far as can be told.
    fn covers(&self, other: &Self) -> bool {
        &*self.text == "*" || self == other || !other.text.contains('*') && self.matches(&other.text)
    }
}

/// People by a name.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) id: Box<str>,
    pub(super) users: Vec<Glob>,
    pub(super) clients: Vec<Cidr>,
}

impl Group {
    fn has(&self, subject: &Subject<'_>) -> bool {
        subject.user.is_some_and(|user| self.users.iter().any(|glob| glob.matches(user)))
            || self.clients.iter().any(|net| net.contains(subject.client))
    }
}

/// A test of one value of a call's arguments.
#[derive(Clone, Debug)]
pub struct ArgumentTest {
    /// JSON Pointer (RFC 6901) of the value in its message; empty for any value of the arguments.
    pub(crate) pointer: Box<str>,
    pub(super) regex: Option<Regex>,
    pub(super) set: Option<Vec<Box<str>>>,
    pub(super) above: Option<f64>,
    pub(super) below: Option<f64>,
    /// As written, for people.
    pub(super) shown: Box<str>,
}

impl ArgumentTest {
    /// Whether a value at the place meets it: as text (numbers as written), and as a number where it is one.
    pub(crate) fn is_met(&self, text: &str, number: Option<f64>) -> bool {
        self.regex.as_ref().is_none_or(|regex| regex.is_match(text))
            && self.set.as_ref().is_none_or(|set| set.iter().any(|one| **one == *text))
            && self.above.is_none_or(|bound| number.is_some_and(|number| number > bound))
            && self.below.is_none_or(|bound| number.is_some_and(|number| number < bound))
    }
}

/// One condition.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Classification(Classes, Box<str>),
    Confidence(Vec<Confidence>),
    Severity(Vec<Severity>),
    Signature(Vec<Glob>),
    Host(Vec<HostPattern>, Box<str>),
    Port(Vec<u16>),
    Path(Vec<Glob>),
    /// Host and path together.
    Uri(Vec<Glob>),
    Method(Vec<Glob>),
    Tool(Vec<Glob>),
    ToolClass(Vec<ToolClass>),
    Resource(Vec<Glob>),
    Prompt(Vec<Glob>),
    McpClient(Vec<Glob>),
    McpServer(Vec<Glob>),
    Revision(Vec<Glob>),
    User(Vec<Glob>),
    Group(Vec<Arc<Group>>),
    Client(Vec<Cidr>, Box<str>),
    Direction(Vec<&'static str>),
    Message(Vec<Direction>),
    Dlp(ProfileSet, Box<str>),
    Arguments(Vec<u16>, Box<str>),
    Provider(Vec<HostPattern>, Box<str>),
    /// The step of OAuth that a request is.
    OAuth(Vec<OAuthStage>),
    /// Host of the MCP resource that an authorisation is for.
    ResourceServer(Vec<HostPattern>, Box<str>),
    AuthorizationServer(Vec<HostPattern>, Box<str>),
    ClientName(Vec<Glob>),
    InnerIncomplete(bool),
    HeaderMismatch(bool),
    /// Not all of these.
    Not(Vec<Condition>),
}

fn any(globs: &[Glob], text: Option<&str>) -> bool {
    text.is_some_and(|text| globs.iter().any(|glob| glob.matches(text)))
}

/// The host of a URL, or of what is said like one.
pub(super) fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.split_once(':').map_or(host, |(host, _)| host)
}

impl Condition {
    /// Key in the rule file.
    pub(super) const fn key(&self) -> &'static str {
        match self {
            Self::Classification(..) => "classification",
            Self::Confidence(_) => "confidence",
            Self::Severity(_) => "severity",
            Self::Signature(_) => "signature",
            Self::Host(..) => "host",
            Self::Port(_) => "port",
            Self::Path(_) => "path",
            Self::Uri(_) => "uri",
            Self::Method(_) => "method",
            Self::Tool(_) => "tool",
            Self::ToolClass(_) => "tool_class",
            Self::Resource(_) => "resource",
            Self::Prompt(_) => "prompt",
            Self::McpClient(_) => "mcp_client",
            Self::McpServer(_) => "mcp_server",
            Self::Revision(_) => "revision",
            Self::User(_) => "user",
            Self::Group(_) => "group",
            Self::Client(..) => "client",
            Self::Direction(_) => "direction",
            Self::Message(_) => "message",
            Self::Dlp(..) => "dlp",
            Self::Arguments(..) => "arguments",
            Self::Provider(..) => "provider",
            Self::OAuth(_) => "oauth",
            Self::ResourceServer(..) => "resource_server",
            Self::AuthorizationServer(..) => "authorization_server",
            Self::ClientName(_) => "client_name",
            Self::InnerIncomplete(_) => "inner_tools_incomplete",
            Self::HeaderMismatch(_) => "header_mismatch",
            Self::Not(_) => "not",
        }
    }

    /// Whether it is about the way to an access token.
    pub(super) const fn is_of_oauth(&self) -> bool {
        matches!(self, Self::OAuth(_) | Self::ResourceServer(..) | Self::AuthorizationServer(..) | Self::ClientName(_))
    }

    /// How much must be known to say.
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::Host(..) | Self::Port(_) | Self::User(_) | Self::Group(_) | Self::Client(..) | Self::Direction(_) => {
                Stage::Connect
            }
            Self::Path(_) | Self::Uri(_) => Stage::Head,
            Self::Not(all) => all.iter().map(Self::stage).max().unwrap_or(Stage::Connect),
            _ => Stage::Whole,
        }
    }

    pub(super) fn test(&self, subject: &Subject<'_>, facet: Option<&Facet<'_>>) -> Answer {
        match self {
            Self::Classification(wanted, _) => {
                let both = wanted.and(subject.classes);
                return match () {
                    () if both.is_empty() => Answer::No,
                    () if both == subject.classes => Answer::Yes,
                    () => Answer::Open,
                };
            }
            // All of it must be met for this to say no; one that is not is enough for yes.
            Self::Not(all) => {
                let mut open = false;
                for condition in all {
                    match condition.test(subject, facet) {
                        Answer::No => return Answer::Yes,
                        Answer::Open => open = true,
                        Answer::Yes => {}
                    }
                }
                return if open { Answer::Open } else { Answer::No };
            }
            _ if self.stage() > subject.stage => return Answer::Open,
            _ => {}
        }
        let of = |pick: fn(&Facet<'_>) -> bool| facet.is_some_and(pick);
        let text = |pick: for<'f> fn(&Facet<'f>) -> Option<&'f str>| facet.and_then(pick);
        let met = match self {
            Self::Classification(..) | Self::Not(_) => false,
            Self::Confidence(wanted) => subject.confidence.is_some_and(|is| wanted.contains(&is)),
            Self::Severity(wanted) => wanted.contains(&subject.severity),
            Self::Signature(globs) => subject.signals.iter().any(|signal| any(globs, Some(&signal.id))),
            Self::Host(patterns, _) => patterns.iter().any(|pattern| pattern.matches(subject.host)),
            Self::Port(ports) => ports.contains(&subject.port),
            Self::Path(globs) => globs.iter().any(|glob| path_matches(glob.text.as_bytes(), subject.path.as_bytes())),
            Self::Uri(globs) => globs.iter().any(|glob| uri_matches(&glob.text, subject.host, subject.path)),
            Self::Method(globs) => any(globs, text(|f| f.method)),
            Self::Tool(globs) => any(globs, text(|f| f.tool)),
            Self::ToolClass(wanted) => facet.and_then(|f| f.class).is_some_and(|is| wanted.contains(&is)),
            Self::Resource(globs) => any(globs, text(|f| f.resource)),
            Self::Prompt(globs) => any(globs, text(|f| f.prompt)),
            Self::McpClient(globs) => any(globs, subject.mcp_client),
            Self::McpServer(globs) => any(globs, subject.mcp_server),
            Self::Revision(globs) => subject.revisions.iter().any(|is| any(globs, Some(is))),
            Self::User(globs) => any(globs, subject.user),
            Self::Group(groups) => groups.iter().any(|group| group.has(subject)),
            Self::Client(nets, _) => nets.iter().any(|net| net.contains(subject.client)),
            Self::Direction(wanted) => wanted.contains(&subject.direction),
            Self::Message(wanted) => facet.and_then(|f| f.dir).is_some_and(|dir| wanted.contains(&dir)),
            Self::Dlp(wanted, _) => facet.is_some_and(|f| !f.dlp.intersection(*wanted).is_empty()),
            Self::Arguments(wanted, _) => facet.is_some_and(|f| f.arguments.iter().any(|met| wanted.contains(met))),
            Self::Provider(patterns, _) => {
                subject.provider.iter().any(|url| patterns.iter().any(|pattern| pattern.matches(host_of(url))))
            }
            Self::OAuth(wanted) => subject.oauth.is_some_and(|oauth| wanted.contains(&oauth.stage)),
            Self::ResourceServer(patterns, _) => subject.oauth.is_some_and(|oauth| {
                oauth.resources.iter().any(|url| patterns.iter().any(|pattern| pattern.matches(host_of(url))))
            }),
            Self::AuthorizationServer(patterns, _) => subject
                .oauth
                .is_some_and(|oauth| patterns.iter().any(|pattern| pattern.matches(host_of(&oauth.server)))),
            Self::ClientName(globs) => any(globs, subject.oauth.and_then(|oauth| oauth.client_name.as_deref())),
            Self::InnerIncomplete(wanted) => of(|f| f.inner_incomplete) == *wanted,
            Self::HeaderMismatch(wanted) => subject.header_mismatch == *wanted,
        };
        met.into()
    }

    /// Whether a message may meet it of which nothing but the message is known; its method, and what it is about, are
    /// not known of an answer.
    pub(super) fn allows(&self, facet: &Facet<'_>) -> bool {
        let named = |globs: &[Glob], text: Option<&str>| facet.method.is_none() || any(globs, text);
        match self {
            Self::Method(globs) => named(globs, facet.method),
            Self::Tool(globs) => named(globs, facet.tool),
            Self::Resource(globs) => named(globs, facet.resource),
            Self::Prompt(globs) => named(globs, facet.prompt),
            Self::Message(wanted) => facet.dir.is_none_or(|dir| wanted.contains(&dir)),
            Self::Dlp(wanted, _) => !facet.dlp.intersection(*wanted).is_empty(),
            Self::Arguments(wanted, _) => facet.arguments.iter().any(|met| wanted.contains(met)),
            _ => true,
        }
    }

    /// What it says, for people.
    pub(super) fn tried(&self, subject: &Subject<'_>, facet: Option<&Facet<'_>>) -> Tried {
        let found = self.found(subject, facet);
        let found = if found.is_empty() { "nothing".to_owned() } else { found };
        Tried { condition: self.key(), met: self.test(subject, facet) == Answer::Yes, wanted: self.to_string(), found }
    }

    fn found(&self, subject: &Subject<'_>, facet: Option<&Facet<'_>>) -> String {
        let some = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let facet = facet.copied().unwrap_or_default();
        match self {
            Self::Classification(..) => {
                let all = crate::Classification::ALL.iter().filter(|class| subject.classes.has(**class));
                all.map(|class| class.word()).collect::<Vec<_>>().join(" or ")
            }
            Self::Confidence(_) => some(subject.confidence.map(Confidence::word)),
            Self::Severity(_) => format!("{:?}", subject.severity).to_lowercase(),
            Self::Signature(_) => {
                subject.signals.iter().map(|signal| signal.id.as_str()).collect::<Vec<_>>().join(", ")
            }
            Self::Host(..) => subject.host.to_owned(),
            Self::Port(_) => subject.port.to_string(),
            Self::Path(_) => subject.path.to_owned(),
            Self::Uri(_) => format!("{}{}", subject.host, subject.path),
            Self::Method(_) => some(facet.method),
            Self::Tool(_) => some(facet.tool),
            Self::ToolClass(_) => some(facet.class.map(ToolClass::word)),
            Self::Resource(_) => some(facet.resource),
            Self::Prompt(_) => some(facet.prompt),
            Self::McpClient(_) => some(subject.mcp_client),
            Self::McpServer(_) => some(subject.mcp_server),
            Self::Revision(_) => subject.revisions.join(", "),
            Self::User(_) => some(subject.user),
            Self::Group(groups) => {
                let of = groups.iter().filter(|group| group.has(subject));
                of.map(|group| &*group.id).collect::<Vec<_>>().join(", ")
            }
            Self::Client(..) => subject.client.to_string(),
            Self::Direction(_) => subject.direction.to_owned(),
            Self::Message(_) => some(facet.dir.map(way)),
            Self::Dlp(..) => count(facet.dlp.iter().count(), "profile"),
            Self::Arguments(..) => count(facet.arguments.len(), "test met"),
            Self::Provider(..) => subject.provider.iter().map(|url| host_of(url)).collect::<Vec<_>>().join(", "),
            Self::OAuth(_) => some(subject.oauth.map(|oauth| oauth.stage.word())),
            Self::ResourceServer(..) => {
                let all = subject.oauth.map(|oauth| oauth.resources.iter().map(|url| host_of(url)).collect::<Vec<_>>());
                all.unwrap_or_default().join(", ")
            }
            Self::AuthorizationServer(..) => some(subject.oauth.map(|oauth| host_of(&oauth.server))),
            Self::ClientName(_) => some(subject.oauth.and_then(|oauth| oauth.client_name.as_deref())),
            Self::InnerIncomplete(_) => facet.inner_incomplete.to_string(),
            Self::HeaderMismatch(_) => subject.header_mismatch.to_string(),
            Self::Not(all) => all.iter().map(|c| c.found(subject, Some(&facet))).collect::<Vec<_>>().join("; "),
        }
    }

    /// Whether all that `other` lets through is let through by this, as far as can be told.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let globs = |mine: &[Glob], theirs: &[Glob]| theirs.iter().all(|t| mine.iter().any(|m| m.covers(t)));
        match (self, other) {
            (Self::Classification(mine, _), Self::Classification(theirs, _)) => mine.and(*theirs) == *theirs,
            (Self::Confidence(mine), Self::Confidence(theirs)) => theirs.iter().all(|t| mine.contains(t)),
            (Self::Severity(mine), Self::Severity(theirs)) => theirs.iter().all(|t| mine.contains(t)),
            (Self::Host(mine, _), Self::Host(theirs, _))
            | (Self::Provider(mine, _), Self::Provider(theirs, _))
            | (Self::ResourceServer(mine, _), Self::ResourceServer(theirs, _))
            | (Self::AuthorizationServer(mine, _), Self::AuthorizationServer(theirs, _)) => {
                theirs.iter().all(|t| mine.contains(t))
            }
            (Self::OAuth(mine), Self::OAuth(theirs)) => theirs.iter().all(|t| mine.contains(t)),
            (Self::Port(mine), Self::Port(theirs)) => theirs.iter().all(|t| mine.contains(t)),
            (Self::Path(m), Self::Path(t))
            | (Self::Uri(m), Self::Uri(t))
            | (Self::Signature(m), Self::Signature(t))
            | (Self::Method(m), Self::Method(t))
            | (Self::Tool(m), Self::Tool(t))
            | (Self::Resource(m), Self::Resource(t))
            | (Self::Prompt(m), Self::Prompt(t))
            | (Self::McpClient(m), Self::McpClient(t))
            | (Self::McpServer(m), Self::McpServer(t))
            | (Self::Revision(m), Self::Revision(t))
            | (Self::ClientName(m), Self::ClientName(t))
            | (Self::User(m), Self::User(t)) => globs(m, t),
            (Self::Group(mine), Self::Group(theirs)) => theirs.iter().all(|t| mine.iter().any(|m| m.id == t.id)),
            (Self::Client(mine, _), Self::Client(theirs, _)) => theirs.iter().all(|t| mine.contains(t)),
            (Self::ToolClass(mine), Self::ToolClass(theirs)) => theirs.iter().all(|t| mine.contains(t)),
            (Self::Direction(mine), Self::Direction(theirs)) => theirs.iter().all(|t| mine.contains(t)),
            (Self::Message(mine), Self::Message(theirs)) => theirs.iter().all(|t| mine.contains(t)),
            (Self::Dlp(mine, _), Self::Dlp(theirs, _)) => mine.intersection(*theirs) == *theirs,
            (Self::Arguments(mine, _), Self::Arguments(theirs, _)) => theirs.iter().all(|t| mine.contains(t)),
            (Self::InnerIncomplete(mine), Self::InnerIncomplete(theirs))
            | (Self::HeaderMismatch(mine), Self::HeaderMismatch(theirs)) => mine == theirs,
            _ => false,
        }
    }
}

/// `host/path` as one text: the part before the first slash is a host pattern, the rest a path.
fn uri_matches(pattern: &str, host: &str, path: &str) -> bool {
    let (of_host, of_path) = pattern.split_at(pattern.find('/').unwrap_or(pattern.len()));
    glob_bytes(of_host.as_bytes(), host.as_bytes(), true)
        && (of_path.is_empty() || path_matches(of_path.as_bytes(), path.as_bytes()))
}

const fn way(dir: Direction) -> &'static str {
    match dir {
        Direction::ToServer => "request",
        Direction::ToClient => "answer",
    }
}

fn count(n: usize, what: &str) -> String {
    if n == 0 { String::new() } else { format!("{n} {what}") }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        let mut list = |items: &mut dyn Iterator<Item = String>| {
            for item in items {
                let _ = write!(text, "{}{item}", if text.is_empty() { "" } else { ", " });
            }
        };
        match self {
            Self::Classification(_, shown)
            | Self::Host(_, shown)
            | Self::Client(_, shown)
            | Self::Dlp(_, shown)
            | Self::Arguments(_, shown)
            | Self::ResourceServer(_, shown)
            | Self::AuthorizationServer(_, shown)
            | Self::Provider(_, shown) => return f.write_str(shown),
            Self::OAuth(all) => list(&mut all.iter().map(|stage| stage.word().to_owned())),
            Self::Confidence(all) => list(&mut all.iter().map(|c| c.word().to_owned())),
            Self::Severity(all) => list(&mut all.iter().map(|s| format!("{s:?}").to_lowercase())),
            Self::Port(all) => list(&mut all.iter().map(u16::to_string)),
            Self::Signature(all)
            | Self::Path(all)
            | Self::Uri(all)
            | Self::Method(all)
            | Self::Tool(all)
            | Self::Resource(all)
            | Self::Prompt(all)
            | Self::McpClient(all)
            | Self::McpServer(all)
            | Self::Revision(all)
            | Self::ClientName(all)
            | Self::User(all) => list(&mut all.iter().map(|glob| glob.text.to_string())),
            Self::Group(all) => list(&mut all.iter().map(|group| group.id.to_string())),
            Self::ToolClass(all) => list(&mut all.iter().map(|class| class.word().to_owned())),
            Self::Direction(all) => list(&mut all.iter().map(|word| (*word).to_owned())),
            Self::Message(all) => list(&mut all.iter().map(|dir| way(*dir).to_owned())),
            Self::InnerIncomplete(wanted) | Self::HeaderMismatch(wanted) => return write!(f, "{wanted}"),
            Self::Not(all) => list(&mut all.iter().map(|c| format!("{} = {c}", c.key()))),
        }
        f.write_str(&text)
    }
}
