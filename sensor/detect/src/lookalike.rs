//! Hosts that pass themselves off as an approved server or a portal (`[sanctioned]`, `[portals]`).
//!
//! Nothing is looked up and nothing is known of who owns a name: what is compared is how it reads. Of two hosts under
//! one registrable domain neither imitates the other. That domain is taken to be the last two labels, or three where
//! the last two are a suffix such as `co.uk` or a platform that gives names away.

mod letters;

#[cfg(test)]
mod tests;

use crate::Scope;
use crate::scope::HostPattern;
use foldhash::fast::RandomState;
use letters::Text;
use std::collections::HashMap;
use std::net::IpAddr;

/// Longest host that is looked at, in bytes (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;
/// Shortest name of a domain that is told from others by how its letters look, or that others may borrow on a platform.
const SHORT: usize = 4;
/// Shortest one of which another may be one letter off.
const LONG: usize = 5;
/// From here on, one letter off counts under another suffix too.
const LONGER: usize = 8;
/// Most words between hyphens of one label that are looked at.
const MAX_WORDS: usize = 12;

const LETTERS: &str = "letters that look alike";
const ONE_OFF: &str = "one letter off";
const INSIDE: &str = "its name inside another domain";
const PLATFORM: &str = "its name on a platform where anybody can take one";

/// Suffixes below which anybody can have a name: hosting platforms and tunnels. Sorted.
const PLATFORMS: &[&str] = &[
    "alpic.live",
    "amplifyapp.com",
    "apify.actor",
    "app.github.dev",
    "azure-api.net",
    "azurecontainerapps.io",
    "azurestaticapps.net",
    "azurewebsites.net",
    "bolt.host",
    "bore.pub",
    "cloudfront.net",
    "csb.app",
    "deno.dev",
    "devtunnels.ms",
    "fastmcp.app",
    "firebaseapp.com",
    "fly.dev",
    "github.dev",
    "github.io",
    "gitlab.io",
    "glitch.me",
    "herokuapp.com",
    "hf.space",
    "koyeb.app",
    "lhr.life",
    "loca.lt",
    "localtunnel.me",
    "lovable.app",
    "mcpize.run",
    "netlify.app",
    "ngrok-free.app",
    "ngrok-free.dev",
    "ngrok.app",
    "ngrok.dev",
    "ngrok.io",
    "ngrok.pizza",
    "on.aws",
    "ondigitalocean.app",
    "onrender.com",
    "pages.dev",
    "pinggy.link",
    "r2.dev",
    "railway.app",
    "repl.co",
    "replit.app",
    "replit.dev",
    "run.app",
    "run.tools",
    "serveo.net",
    "serveousercontent.com",
    "streamlit.app",
    "supabase.co",
    "surge.sh",
    "trycloudflare.com",
    "ts.net",
    "tunnelmole.net",
    "up.railway.app",
    "val.run",
    "vercel.app",
    "web.app",
    "webcontainer.io",
    "workers.dev",
    "zeabur.app",
];

/// Second labels that are part of the suffix under the domain of a country.
const SECOND: [&str; 11] = ["co", "com", "org", "net", "ac", "gov", "edu", "or", "ne", "go", "gob"];

/// What a host imitates, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imitation<'a> {
    /// The approved host or portal, as configured, without a leading `*.`.
    pub of: &'a str,
    /// How, in a few words.
    pub how: &'static str,
}

/// The approved names, ready to be compared with.
#[derive(Clone, Debug, Default)]
pub struct Lookalikes {
    names: Vec<Name>,
    /// By registrable domain.
    domains: HashMap<Box<str>, u32, RandomState>,
    /// By how the first label of that reads.
    skeletons: HashMap<Box<str>, Vec<u32>, RandomState>,
    /// By that label, and by it with one letter left out.
    shorter: HashMap<Box<str>, Vec<u32>, RandomState>,
    /// By the whole host without dots and hyphens, up to the suffix.
    joined: HashMap<Box<str>, u32, RandomState>,
}

#[derive(Clone, Debug)]
struct Name {
    host: Box<str>,
    /// The first label of the registrable domain.
    label: Box<str>,
    suffix: Box<str>,
}

/// A host and where it is cut: `mcp.` `example` `.co.uk`.
#[derive(Clone, Copy, Debug)]
struct Cut<'h> {
    /// What stands before the registrable domain, without the dot; may be empty.
    before: &'h str,
    domain: &'h str,
    label: &'h str,
    suffix: &'h str,
    platform: bool,
}

impl<'h> Cut<'h> {
    /// Nothing for an address, a name of one label and what is no name.
    fn of(host: &'h str) -> Option<Self> {
        if host.len() > MAX_HOST || host.starts_with('.') || host.contains("..") || host.parse::<IpAddr>().is_ok() {
            return None;
        }
        let dots = || host.match_indices('.').map(|(at, _)| at).rev();
        let behind = |dot: Option<usize>| dot.and_then(|at| host.get(at + 1..));
        let platform = |dot: usize| behind(Some(dot)).filter(|suffix| PLATFORMS.binary_search(suffix).is_ok());
        let platform = dots().take(4).filter_map(platform).last();
        let suffix = match (platform, behind(dots().nth(1))) {
            (Some(platform), _) => platform,
            (None, Some(two)) if is_suffix(two) => two,
            _ => behind(dots().next())?,
        };
        let rest = host.get(..host.len().checked_sub(suffix.len() + 1)?)?;
        let (before, label) = rest.rsplit_once('.').unwrap_or(("", rest));
        let domain = host.get(host.len() - suffix.len() - 1 - label.len()..)?;
        (!label.is_empty()).then_some(Self { before, domain, label, suffix, platform: platform.is_some() })
    }
}

/// Whether two labels are the suffix of domains in a country, such as `co.uk`.
fn is_suffix(two: &str) -> bool {
    two.split_once('.').is_some_and(|(second, top)| top.len() == 2 && SECOND.contains(&second))
}

impl Lookalikes {
    /// Takes up the hosts of portals and of approved servers. Patterns with a `*` anywhere but in front name nobody in
    /// particular and are left out.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a HostPattern>) -> Self {
        let mut all = Self::default();
        patterns.into_iter().for_each(|pattern| all.add(pattern));
        all
    }

    fn add(&mut self, pattern: &HostPattern) {
        let labels = pattern.labels();
        let labels = match labels.split_first() {
            Some((star, rest)) if star == "*" => rest,
            _ => labels,
        };
        let host = labels.join(".");
        let Some(cut) = Cut::of(&host).filter(|_| !host.contains('*')) else { return };
        let Ok(at) = u32::try_from(self.names.len()) else { return };
        self.domains.entry(cut.domain.into()).or_insert(at);
        if cut.label.len() >= SHORT {
            if let Some(skeleton) = letters::skeleton(cut.label) {
                self.skeletons.entry(skeleton.as_str().into()).or_default().push(at);
            }
            let whole = host.get(..host.len() - cut.suffix.len() - 1).unwrap_or_default();
            let joined = whole.replace(['.', '-'], "");
            if !cut.before.is_empty() {
                self.joined.entry(joined.into()).or_insert(at);
            }
        }
        if cut.label.len() >= LONG && !cut.label.starts_with("xn--") {
            self.shorter.entry(cut.label.into()).or_default().push(at);
            letters::shorter(cut.label, |text| {
                let known = self.shorter.entry(text.into()).or_default();
                if known.last() != Some(&at) {
                    known.push(at);
                }
                false
            });
        }
        let (label, suffix) = (cut.label.into(), cut.suffix.into());
        self.names.push(Name { host: host.into(), label, suffix });
    }

    /// What a host imitates (lower case, without port). An approved host imitates nobody, nor does one under the
    /// registrable domain of one. Allocates nothing.
    pub fn of(&self, host: &str) -> Option<Imitation<'_>> {
        if self.names.is_empty() {
            return None;
        }
        let cut = Cut::of(host)?;
        if self.domains.contains_key(cut.domain) {
            return None;
        }
        self.inside(host, &cut)
            .or_else(|| self.borrowed(&cut))
            .or_else(|| self.alike(&cut))
            .or_else(|| self.one_off(&cut))
    }

    fn name(&self, at: u32) -> Option<&Name> {
        self.names.get(usize::try_from(at).ok()?)
    }

    fn found(&self, at: u32, how: &'static str) -> Option<Imitation<'_>> {
        Some(Imitation { of: &self.name(at)?.host, how })
    }

    /// `mcp.example.com.other.net`, `mcp-example-com.other.net`, `mcpexample.net`.
    fn inside(&self, host: &str, cut: &Cut<'_>) -> Option<Imitation<'_>> {
        let how = if cut.platform { PLATFORM } else { INSIDE };
        let mut rest = cut.before;
        while !rest.is_empty() {
            // From here up to each further dot before the domain it stands in.
            let ends = rest.match_indices('.').map(|(at, _)| at).chain([rest.len()]).skip(1).take(3);
            for end in ends {
                if let Some(at) = rest.get(..end).and_then(|domain| self.domains.get(domain)) {
                    return self.found(*at, how);
                }
            }
            // The last label of the name may be the first of the domain: `example.com.net`.
            rest = rest.split_once('.').map_or("", |(_, rest)| rest);
        }
        let labels = host.get(..host.len() - cut.suffix.len() - 1).unwrap_or_default().split('.');
        for label in labels.filter(|label| label.contains('-')) {
            let hit = runs(label, |run| {
                let dotted = Text::of(run.bytes().map(|b| if b == b'-' { b'.' } else { b }))?;
                self.domains.get(dotted.as_str()).filter(|_| run.contains('-')).copied()
            });
            if let Some(at) = hit {
                return self.found(at, how);
            }
        }
        let joined = Text::of(cut.label.bytes().filter(|b| *b != b'-'))?;
        self.joined.get(joined.as_str()).and_then(|at| self.found(*at, how))
    }

    /// `example-mcp.pages.dev`, `example.ngrok.app`, `example-mcp.net`.
    fn borrowed(&self, cut: &Cut<'_>) -> Option<Imitation<'_>> {
        let word = |run: &str| {
            let skeleton = letters::skeleton(run)?;
            self.skeletons.get(skeleton.as_str())?.first().copied()
        };
        if cut.platform {
            let labels = cut.before.split('.').chain([cut.label]);
            return labels.filter_map(|label| runs(label, word)).find_map(|at| self.found(at, PLATFORM));
        }
        let mcp = cut.label.split('-').any(|word| word == "mcp");
        let at = if mcp { runs(cut.label, word) } else { None };
        at.and_then(|at| self.found(at, INSIDE))
    }

    /// `examp1e.com`, `exarnple.com`, `xn--exmple-cua.com`.
    fn alike(&self, cut: &Cut<'_>) -> Option<Imitation<'_>> {
        let skeleton = letters::skeleton(cut.label)?;
        // Letters of other scripts and digits are not there by chance; that two words differ in `i` and `l` may be.
        let odd = cut.label.starts_with("xn--") || cut.label.contains(['0', '1']);
        let fits = |at: &&u32| {
            self.name(**at).is_some_and(|name| *name.label != *cut.label && (odd || *name.suffix == *cut.suffix))
        };
        self.skeletons.get(skeleton.as_str())?.iter().find(fits).and_then(|at| self.found(*at, LETTERS))
    }

    /// `exmple.com`, `examplle.com`, `exapmle.com`.
    fn one_off(&self, cut: &Cut<'_>) -> Option<Imitation<'_>> {
        if cut.label.len() < LONG || cut.label.starts_with("xn--") {
            return None;
        }
        let fits = |at: &u32| {
            self.name(*at).is_some_and(|name| {
                (*name.suffix == *cut.suffix || name.label.len() >= LONGER && cut.label.len() >= LONGER)
                    && letters::is_one_off(&name.label, cut.label)
            })
        };
        let mut hit = None;
        let mut look = |text: &str| {
            hit = hit.or_else(|| self.shorter.get(text)?.iter().copied().find(fits));
            hit.is_some()
        };
        if !look(cut.label) {
            letters::shorter(cut.label, look);
        }
        self.found(hit?, ONE_OFF)
    }
}

impl From<&Scope> for Lookalikes {
    fn from(scope: &Scope) -> Self {
        Self::new(scope.portal_hosts.iter().chain(scope.sanctioned.iter().map(crate::ServerEntry::host)))
    }
}

/// Gives all runs of words between hyphens of a label, the whole among them, until one is known.
fn runs(label: &str, mut known: impl FnMut(&str) -> Option<u32>) -> Option<u32> {
    if let Some(at) = known(label) {
        return Some(at);
    }
    let mut rest = Some(label);
    for _ in 0..MAX_WORDS {
        let Some(from) = rest else { break };
        for (end, _) in from.match_indices('-').chain([(from.len(), "")]).take(MAX_WORDS) {
            if let Some(at) = from.get(..end).filter(|run| !run.is_empty()).and_then(&mut known) {
                return Some(at);
            }
        }
        rest = from.split_once('-').map(|(_, rest)| rest);
    }
    None
}
