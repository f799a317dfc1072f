//! What servers offer: the class of each tool, and whether the list of an approved server is still what it was.
//!
//! A list may come in pages, and differ from client to client. A whole one is known by a hash; a few of a server are
//! remembered, so that what was seen before is no change.

use crate::correlator::{Correlator, Out};
use crate::detection::hex;
use crate::record::{CatalogueRecord, Change, Record, ServerKey};
use crate::unit::Unit;
use crate::{limits, servers};
use detect::{Classification, Seen, Severity};
use mcp::{Catalogue, ToolClass, catalogue_hash};
use net::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Most tools of one server that are known by name, and most that wait for further pages.
pub(crate) const MAX_TOOLS: usize = 1024;
/// Most whole lists of one server that are remembered by their hash.
const MAX_SEEN: usize = 16;
/// Most lists of one server of which pages are still to come.
const MAX_PAGED: usize = 8;
/// Most names of each kind in a record.
const MAX_WRITTEN: usize = 64;

/// The answer to one `tools/list`.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The page that was asked for; `None` for the first.
    pub(crate) asked: Option<[u8; 16]>,
    /// The page that comes next.
    pub(crate) next: Option<[u8; 16]>,
    pub(crate) tools: Arc<Catalogue>,
}

impl Page {
    /// What `message` offers, where it answers a `tools/list`.
    pub(crate) fn of(message: &mcp::Message) -> Option<Self> {
        let result = message.result.as_ref().filter(|result| result.tools_array && !message.cut)?;
        let tools = result.catalogue.clone().unwrap_or_default();
        Some(Self { asked: None, next: result.next_cursor, tools })
    }

    /// What it weighs.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.tools.tools.iter().map(|tool| limits::name(&tool.name) + 64).sum::<usize>()
    }
}

/// Pages of one list, so far.
#[derive(Debug)]
struct Paged {
    client: IpAddr,
    next: [u8; 16],
    listed: Listed,
}

/// Tools with their digests.
#[derive(Clone, Debug, Default)]
struct Listed {
    tools: Vec<(Box<str>, [u8; 32])>,
    /// Of those beyond [`MAX_TOOLS`].
    rest: Catalogue,
}

impl Listed {
    fn add(&mut self, page: &Catalogue) -> u64 {
        let mut not_kept = 0;
        for tool in &page.tools {
            if self.tools.len() < MAX_TOOLS {
                self.tools.push((tool.name.as_str().into(), tool.digest));
            } else {
                self.rest.chain(&tool.digest);
                not_kept += 1;
            }
        }
        page.rest.iter().for_each(|rest| self.rest.chain(rest));
        not_kept
    }

    fn hash(&self) -> [u8; 32] {
        catalogue_hash(self.tools.iter().map(|(_, digest)| *digest).chain(self.rest.rest))
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.tools.iter().map(|(name, _)| limits::name(name) + 32).sum::<usize>()
    }
}

/// What is known of one server.
#[derive(Debug, Default)]
struct Known {
    /// By [`short`] names.
    classes: BTreeMap<[u8; 8], ToolClass>,
    /// The last whole list.
    listed: Listed,
    hash: Option<[u8; 32]>,
    /// Whole lists that were there, the oldest first.
    seen: Vec<[u8; 32]>,
    paged: Vec<Paged>,
    age: u64,
    charged: usize,
}

/// What is known of all servers. The one that was looked at longest ago is forgotten first.
#[derive(Debug, Default)]
pub(crate) struct Catalogues {
    all: BTreeMap<ServerKey, Known>,
    by_age: BTreeMap<u64, ServerKey>,
    ages: u64,
    pub(crate) bytes: usize,
    /// Servers that were forgotten, lists of which pages were, and tools of which only a digest is kept; not yet added
    /// to the totals.
    pub(crate) forgotten: u64,
    pub(crate) pages_not_kept: u64,
    pub(crate) tools_not_kept: u64,
}

/// A whole list that was not there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewList {
    hash: [u8; 32],
    /// The one before; `None` where it is the first.
    before: Option<[u8; 32]>,
    tools: usize,
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
    more: u64,
}

/// Where the catalogue of a server is kept. A host may have many addresses; the name alone counts where evidence bears it
/// out, which is so for those that are approved.
fn spot(key: &ServerKey, classification: Classification) -> ServerKey {
    if is_approved(classification) { ServerKey { ip: String::new(), ..key.clone() } } else { key.clone() }
}

/// Whether somebody approved the server.
pub(crate) const fn is_approved(classification: Classification) -> bool {
    matches!(classification, Classification::Sanctioned | Classification::SanctionedDirect)
}

impl Catalogues {
    /// What a tool of a server says it does.
    pub(crate) fn class(&self, key: &ServerKey, classification: Classification, tool: &str) -> ToolClass {
        let known = self.all.get(&spot(key, classification)).or_else(|| self.all.get(key));
        known.and_then(|known| known.classes.get(&short(tool))).copied().unwrap_or_default()
    }

    /// Looks up what the tools that are called in a unit say they do.
    pub(crate) fn look_up(&self, (key, classification): (&ServerKey, Classification), unit: &mut Unit) {
        let calls = unit.calls.iter().chain(&unit.notes).filter(|call| call.method == "tools/call");
        let named = calls.filter_map(|call| call.name.as_ref());
        let tools = named.chain(unit.contents().flat_map(|content| &content.inner_tools));
        let found = tools.map(|tool| (tool.clone(), self.class(key, classification, tool))).collect();
        unit.classes = found;
    }

    /// The last whole list of a server, as it is written.
    pub(crate) fn record(&self, key: &ServerKey, classification: Classification) -> Option<CatalogueRecord> {
        let known = self.all.get(&spot(key, classification))?;
        let tools = known.listed.tools.len() as u64;
        Some(CatalogueRecord { sha256: sha256(&known.hash?), tools, ..CatalogueRecord::default() })
    }

    /// Takes in a page that `client` was given. Gives the list that is whole by it, where that was not there before.
    /// All together weigh at most `limit` bytes then.
    pub(crate) fn learn(
        &mut self,
        (key, classification): (&ServerKey, Classification),
        client: IpAddr,
        page: &Page,
        limit: usize,
    ) -> Option<NewList> {
        let key = spot(key, classification);
        self.ages += 1;
        let known = self.all.entry(key.clone()).or_default();
        self.by_age.remove(&std::mem::replace(&mut known.age, self.ages));
        self.by_age.insert(self.ages, key);
        let (tools, pages) = (&mut self.tools_not_kept, &mut self.pages_not_kept);
        let new = known.learn(client, page, tools, pages);
        self.bytes = self.bytes.saturating_sub(known.charged);
        known.charged = known.bytes();
        self.bytes += known.charged;
        while self.bytes > limit
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            let gone = self.all.remove(&oldest).map_or(0, |known| known.charged);
            self.bytes = self.bytes.saturating_sub(gone);
            self.forgotten += 1;
        }
        new
    }
}

impl Known {
    fn learn(
        &mut self,
        client: IpAddr,
        page: &Page,
        tools_not_kept: &mut u64,
        pages_not_kept: &mut u64,
    ) -> Option<NewList> {
        *tools_not_kept += self.classify(&page.tools);
        let mut listed = match page.asked {
            None => Listed::default(),
            // Of a list whose beginning was not seen nothing can be told.
            Some(asked) => self.paged.iter().find(|p| p.client == client && p.next == asked)?.listed.clone(),
        };
        *tools_not_kept += listed.add(&page.tools);
        if let Some(next) = page.next {
            self.paged.retain(|p| p.client != client || p.next != next);
            self.paged.push(Paged { client, next, listed });
            let waiting = |paged: &[Paged]| paged.iter().map(|p| p.listed.tools.len()).sum::<usize>();
            while self.paged.len() > MAX_PAGED || self.paged.len() > 1 && waiting(&self.paged) > 2 * MAX_TOOLS {
                self.paged.remove(0);
                *pages_not_kept += 1;
            }
            return None;
        }
        self.paged.retain(|p| p.client != client);
        let hash = listed.hash();
        let before = self.hash.replace(hash);
        if before == Some(hash) {
            return None;
        }
        let was = std::mem::replace(&mut self.listed, listed);
        if self.seen.contains(&hash) {
            return None;
        }
        if self.seen.len() >= MAX_SEEN {
            self.seen.remove(0);
        }
        self.seen.push(hash);
        Some(NewList::of(&was, &self.listed, before, hash))
    }

    /// Notes what each tool says it does. Where a name is offered several times the worst counts. Gives how many were
    /// forgotten.
    fn classify(&mut self, page: &Catalogue) -> u64 {
        let mut forgotten = 0;
        let mut worst: BTreeMap<[u8; 8], ToolClass> = BTreeMap::new();
        for tool in &page.tools {
            let class = worst.entry(short(&tool.name)).or_default();
            *class = tool.class.max(*class);
        }
        for (name, class) in worst {
            if let Some(known) = self.classes.get_mut(&name) {
                *known = class;
                continue;
            }
            if self.classes.len() >= MAX_TOOLS {
                // Most of them are there no more.
                forgotten += self.classes.len() as u64;
                self.classes.clear();
            }
            self.classes.insert(name, class);
        }
        forgotten
    }

    fn bytes(&self) -> usize {
        /// Its entries by key and by age, and two keys.
        const AROUND: usize = 2 * limits::ENTRY + 2 * (size_of::<ServerKey>() + 512);
        let classes = self.classes.len() * (16 + limits::ENTRY);
        let paged: usize = self.paged.iter().map(|p| size_of::<Paged>() + p.listed.bytes()).sum();
        AROUND + size_of::<Self>() + classes + self.listed.bytes() + paged + 32 * self.seen.len()
    }
}

impl NewList {
    fn of(was: &Listed, is: &Listed, before: Option<[u8; 32]>, hash: [u8; 32]) -> Self {
        let digests = |listed: &Listed| {
            let mut by_name: BTreeMap<String, Vec<[u8; 32]>> = BTreeMap::new();
            for (name, digest) in &listed.tools {
                by_name.entry(name.to_string()).or_default().push(*digest);
            }
            for digests in by_name.values_mut() {
                digests.sort_unstable();
            }
            by_name
        };
        let (was, now) = (digests(was), digests(is));
        let mut more = 0;
        let mut names = |all: &mut dyn Iterator<Item = &String>| {
            let mut all: Vec<String> = all.cloned().collect();
            more += all.len().saturating_sub(MAX_WRITTEN) as u64;
            all.truncate(MAX_WRITTEN);
            all
        };
        let added = names(&mut now.keys().filter(|name| !was.contains_key(*name)));
        let removed = names(&mut was.keys().filter(|name| !now.contains_key(*name)));
        let other = |(name, digests): &(&String, &Vec<[u8; 32]>)| was.get(*name).is_some_and(|was| was != *digests);
        let changed = names(&mut now.iter().filter(other).map(|(name, _)| name));
        Self { hash, before, tools: is.tools.len(), added, removed, changed, more }
    }

    /// Whether somebody has to know: it is none of those that were `approved`, or, where no list was, not the first.
    pub(crate) fn is_news(&self, approved: &[[u8; 32]]) -> bool {
        if approved.is_empty() { self.before.is_some() } else { !approved.contains(&self.hash) }
    }

    /// How bad that is: a tool that reads otherwise is what an attacker does with one that was approved.
    pub(crate) const fn severity(&self, pinned: bool) -> Severity {
        match () {
            () if pinned || !self.changed.is_empty() => Severity::High,
            () if !self.added.is_empty() => Severity::Medium,
            () => Severity::Low,
        }
    }

    pub(crate) fn record(self, pinned: bool) -> CatalogueRecord {
        CatalogueRecord {
            sha256: sha256(&self.hash),
            tools: self.tools as u64,
            before: self.before.as_ref().map(sha256),
            pinned,
            added: self.added,
            removed: self.removed,
            changed: self.changed,
            more: self.more,
        }
    }
}

impl Correlator {
    /// Takes in the pages that `client` was given. Gives the lists that somebody has to know of, and whether the
    /// configuration says which ones are approved.
    pub(crate) fn offered(
        &mut self,
        (key, classification): (&ServerKey, Classification),
        client: IpAddr,
        pages: &[Page],
    ) -> Vec<(NewList, bool)> {
        let limit = self.options.limits.catalogues;
        let of = (key, classification);
        let new: Vec<_> = pages.iter().filter_map(|page| self.catalogues.learn(of, client, page, limit)).collect();
        self.totals.met("catalogues", std::mem::take(&mut self.catalogues.forgotten));
        self.totals.met("catalogue_pages", std::mem::take(&mut self.catalogues.pages_not_kept));
        self.totals.met("tools_per_catalogue", std::mem::take(&mut self.catalogues.tools_not_kept));
        if new.is_empty() || !is_approved(classification) {
            return Vec::new();
        }
        let (ip, path) = (key.ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), mcp::normal_target(&key.path));
        let seen = Seen { host: &key.host, ip, port: key.port, path: &path, resolved: true };
        let approved = self.options.generation.scope.approval(&seen).map_or(&[][..], |entry| &entry.catalogues);
        let news = new.into_iter().filter(|new| new.is_news(approved));
        news.map(|new| (new, !approved.is_empty())).collect()
    }

    /// Tells of lists of tools that an approved server did not offer before.
    pub(crate) fn tell_lists(&mut self, key: &ServerKey, lists: Vec<(NewList, bool)>, ts: Timestamp, out: Out<'_>) {
        for (list, pinned) in lists {
            let Some(server) = self.servers.all.get(key) else { return };
            let mut told = servers::record(key, server, Change::Catalogue, None, ts, &self.options.sensor);
            told.severity = Some(list.severity(pinned));
            told.catalogue = Some(list.record(pinned));
            self.emit(Record::Server(Box::new(told)), out);
        }
    }
}

/// A hash of a name: a server could only make names of its own meet.
fn short(name: &str) -> [u8; 8] {
    let hash: [u8; 32] = Sha256::digest(name).into();
    let mut short = [0; 8];
    short.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    short
}

fn sha256(digest: &[u8; 32]) -> String {
    let mut text = "sha256:".to_owned();
    hex(&mut text, digest);
    text
}

#[cfg(test)]
mod tests;
