//! What a run found and what it could not see, for people.

mod columns;
mod words;

use crate::safe::safe;
use columns::{Column, Line, wrap};
use correlate::Record;
use correlate::record::{Change, ServerKey, ServerRecord, Stats};
use detect::{Classification, Confidence};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};
use words::{bytes, count, list, number, reason};

/// Servers kept for the table; the least alarming ones beyond that are only counted.
pub const MAX_ROWS: usize = 500;
/// Narrowest and widest table, in columns.
const WIDTHS: (usize, usize) = (80, 200);
/// From this width on every fact has a column of its own.
const WIDE: usize = 130;
/// Longest text taken from one field, in characters.
const MAX_TEXT: usize = 300;
/// Tools named in a row.
const MAX_TOOLS: usize = 12;
/// Clients named in a row: each has a line, and so has the number of others.
const MAX_CLIENTS: usize = 4;

/// How to draw.
pub struct Look<'a> {
    /// Columns to use; taken as at least 80 and at most 200.
    pub width: usize,
    /// Whether escapes for colour may be written. Only for a terminal, and not where `NO_COLOR` is set.
    pub colour: bool,
    /// What a signal id means, in words.
    pub meaning: &'a dyn Fn(&str) -> Option<String>,
}

/// Collects what the table shows. Takes every record of a run; keeps the servers of its end and its last totals, or
/// while live those of any time.
#[derive(Debug, Default)]
pub struct Summary {
    rows: BTreeMap<(u8, Reverse<Confidence>, ServerKey), Row>,
    more: u64,
    stats: Option<Box<Stats>>,
    /// While live: where the row of each server is.
    places: Option<BTreeMap<ServerKey, (u8, Reverse<Confidence>)>>,
}

/// One server, cut to what is shown.
#[derive(Debug)]
struct Row {
    classification: Classification,
    confidence: Confidence,
    server: Vec<String>,
    transport: String,
    versions: Vec<String>,
    tools: String,
    clients: Vec<String>,
    why: String,
}

impl Summary {
    /// Collects what is known at any time of a run that may never end.
    pub fn live() -> Self {
        Self { places: Some(BTreeMap::new()), ..Self::default() }
    }

    /// Takes totals of a run that goes on.
    pub fn totals(&mut self, stats: Stats) {
        self.more = total(&stats.servers).saturating_sub(self.rows.len() as u64);
        self.stats = Some(Box::new(stats));
    }

    /// Takes a change of a server. Those beyond [`MAX_ROWS`] are counted by the totals.
    fn change(&mut self, server: &ServerRecord) {
        let Some(places) = &mut self.places else { return };
        let rank = (alarm(server.classification), Reverse(server.confidence));
        let before = places.insert(server.server.clone(), rank);
        let before = before.and_then(|(class, sure)| self.rows.remove(&(class, sure, server.server.clone())));
        let mut row = Row::new(server);
        // This change tells of the new client alone.
        if let (Change::Client, Some(before)) = (server.change, before) {
            row.clients = before.clients.into_iter().filter(|c| !c.starts_with('+')).collect();
            row.clients.extend(clients(server));
            let all = usize::try_from(server.client_count).unwrap_or(usize::MAX).max(row.clients.len());
            row.clients = named(row.clients.iter().map(String::as_str), MAX_CLIENTS, all);
        }
        self.rows.insert((rank.0, rank.1, server.server.clone()), row);
        if self.rows.len() > MAX_ROWS
            && let Some(((.., key), _)) = self.rows.pop_last()
        {
            places.remove(&key);
        }
    }

    /// Takes what is of use from `record`.
    pub fn add(&mut self, record: &Record) {
        match record {
            Record::Server(server) if self.places.is_some() => self.change(server),
            Record::Server(server) if server.change == Change::Seen => {
                let key = (alarm(server.classification), Reverse(server.confidence), server.server.clone());
                self.rows.insert(key, Row::new(server));
                if self.rows.len() > MAX_ROWS {
                    self.rows.pop_last();
                    self.more += 1;
                }
            }
            Record::Stats(stats) if self.places.is_some() => self.totals(Stats::clone(stats)),
            Record::Stats(stats) if stats.is_final => self.stats = Some(stats.clone()),
            _ => {}
        }
    }

    /// Writes the table of servers, then what was found in all, then what could not be seen.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write(&self, out: &mut dyn Write, look: &Look<'_>) -> io::Result<()> {
        let width = look.width.clamp(WIDTHS.0, WIDTHS.1);
        if !self.rows.is_empty() {
            self.table(out, look, width)?;
            writeln!(out)?;
        }
        for text in self.lines() {
            for (i, line) in wrap(&text, width - 2).iter().enumerate() {
                writeln!(out, "{}{line}", if i == 0 { "" } else { "  " })?;
            }
        }
        Ok(())
    }

    fn table(&self, out: &mut dyn Write, look: &Look<'_>, width: usize) -> io::Result<()> {
        let wide = width >= WIDE;
        let layout = if wide { WIDE_LAYOUT } else { NARROW_LAYOUT };
        let lines: Vec<Line> = self.rows.values().map(|row| row.line(look, wide)).collect();
        columns::write(out, layout, &lines, width)
    }

    fn lines(&self) -> Vec<String> {
        let Some(stats) = &self.stats else {
            if self.places.is_some() {
                return vec!["Nothing was read yet.".into()];
            }
            return vec![
                "The run did not come to its end: there are no totals, and the table may lack servers.".into(),
            ];
        };
        let mut lines = vec![headline(stats)];
        if self.more > 0 {
            lines.push(format!("{} left out of the table; all of them are in the events.", count(self.more, "server")));
        }
        let detections = total(&stats.detections);
        if detections > 0 {
            // Keys are `classification/confidence`, and what was done where that stopped something.
            let by = list(&stats.detections, |key| match key.split('/').collect::<Vec<_>>().as_slice() {
                [class, confidence] => format!("{} {}", reason(confidence), reason(class)),
                [class, confidence, done] => format!("{} {} ({})", reason(confidence), reason(class), reason(done)),
                _ => reason(key),
            });
            lines.push(format!("{}: {by}.", count(detections, "detection")));
        }
        if total(&stats.look_alikes) > 0 {
            let by = list(&stats.look_alikes, reason);
            lines.push(format!("Look-alikes, which are not MCP: {by}."));
        }
        if let Some(proxy) = &stats.proxy {
            let tunnelled = total(&proxy.tunnelled);
            let unread =
                if tunnelled > 0 { format!("; {} passed through unread", number(tunnelled)) } else { String::new() };
            let (requests, connections) = (total(&proxy.requests), proxy.connections);
            lines.push(format!(
                "Proxy: {} over {}, {} of them open{unread}.",
                count(requests, "request"),
                count(connections, "connection"),
                number(proxy.connections_active)
            ));
        }
        let only_proxy = stats.proxy.is_some() && stats.packets == 0;
        if !only_proxy {
            lines.push(format!(
                "Read {} ({}) in {}.",
                count(stats.packets, "packet"),
                bytes(stats.bytes),
                count(flows(stats), "flow")
            ));
        }
        let unseen = unseen(stats);
        if unseen.is_empty() && !only_proxy {
            lines.push(if stats.packets == 0 {
                "There was nothing to look into.".into()
            } else {
                "All of it could be looked into.".into()
            });
        }
        lines.extend(unseen);
        if total(&stats.notices) > 0 {
            lines.push(format!("Notices: {}.", list(&stats.notices, reason)));
        }
        lines
    }
}

/// What was found, in one sentence.
fn headline(stats: &Stats) -> String {
    let of = |name: &str| stats.servers.get(name).copied().unwrap_or(0);
    let (all, maybe) = (total(&stats.servers), of("unknown"));
    let proven = all - maybe;
    let may = |n: u64| {
        if n == 1 { "1 server that may speak it".into() } else { format!("{} servers that may speak it", number(n)) }
    };
    match (proven, maybe) {
        (0, 0) if total(&stats.detections) > 0 => "No MCP server found, only attempts and signs of MCP.".into(),
        (0, 0) if unseen(stats).is_empty() => "No MCP found.".into(),
        (0, 0) => "No MCP found in what could be seen.".into(),
        (0, n) => format!("No MCP proven; {}.", may(n)),
        (n, maybe) => {
            let named: BTreeMap<String, u64> =
                stats.servers.iter().filter(|(k, _)| *k != "unknown").map(|(k, v)| (k.clone(), *v)).collect();
            let tail = if maybe > 0 { format!("; and {}", may(maybe)) } else { String::new() };
            format!("Found {}: {}{tail}.", count(n, "MCP server"), list(&named, reason))
        }
    }
}

/// What the totals say was not looked at, one sentence a kind.
fn unseen(stats: &Stats) -> Vec<String> {
    let mut lines = Vec::new();
    if total(&stats.uninspected_bytes) > 0 {
        let mut parts: Vec<(&String, u64)> =
            stats.uninspected_bytes.iter().map(|(k, v)| (k, *v)).filter(|p| p.1 > 0).collect();
        parts.sort_by_key(|&(_, n)| Reverse(n));
        let parts: Vec<String> =
            parts.iter().map(|&(key, n)| format!("{} {}", bytes(n), words::uninspected(key))).collect();
        lines.push(format!("Not looked into: {}.", parts.join(", ")));
    }
    let (asked, dropped): (BTreeMap<String, u64>, _) =
        stats.packets_dropped.clone().into_iter().partition(|(why, _)| words::left_out_as_asked(why));
    if total(&dropped) > 0 {
        lines.push(format!("Not analysed: {} ({}).", count(total(&dropped), "packet"), list(&dropped, reason)));
    }
    if total(&asked) > 0 {
        lines.push(format!("Left out as asked: {} ({}).", count(total(&asked), "packet"), list(&asked, reason)));
    }
    let missed: Vec<String> =
        stats.reassembly.iter().filter(|(_, n)| **n > 0).filter_map(|(k, n)| words::missed(k, *n)).collect();
    if !missed.is_empty() {
        lines.push(format!("Missing or in doubt: {}.", missed.join(", ")));
    }
    if total(&stats.limits) > 0 {
        lines.push(format!("Limits met: {}.", list(&stats.limits, reason)));
    }
    lines
}

/// Flows that ended; beside their ends the map tells how often a reader found its place again.
fn flows(stats: &Stats) -> u64 {
    stats.flows.iter().filter(|(end, _)| *end != "resynchronised").map(|(_, n)| n).sum()
}

fn total(map: &BTreeMap<String, u64>) -> u64 {
    map.values().fold(0, |sum, n| sum.saturating_add(*n))
}

/// Order of rows: what somebody has to act on first.
fn alarm(classification: Classification) -> u8 {
    match classification {
        Classification::Denied => 0,
        Classification::Shadow => 1,
        Classification::SanctionedDirect => 2,
        Classification::Unknown => 3,
        Classification::Published => 4,
        Classification::Sanctioned => 5,
        Classification::Portal => 6,
        Classification::LookAlike => 7,
    }
}

impl Row {
    fn new(record: &ServerRecord) -> Self {
        let (key, mcp) = (&record.server, &record.mcp);
        let bracketed = if key.host.contains(':') { format!("[{}]", clip(&key.host)) } else { clip(&key.host) };
        let mut server = vec![format!("{bracketed}:{}{}", key.port, clip(&key.path))];
        if key.ip != key.host && !key.ip.is_empty() {
            server.push(format!("at {}", clip(&key.ip)));
        }
        if let Some(peer) = &mcp.server {
            server.push(format!("says {} {}", clip(&peer.name), clip(&peer.version)).trim_end().to_owned());
        }
        let offered: Vec<&String> = mcp.tools_listed.iter().filter(|t| !mcp.tools.contains(t)).collect();
        let called = named(mcp.tools.iter().map(String::as_str), MAX_TOOLS, mcp.tools.len()).join(", ");
        let tools = match (called.is_empty(), offered.len()) {
            (_, 0) => called,
            (false, n) => format!("{called} ({} more offered)", number(n as u64)),
            (true, n) => {
                format!("only offered: {}", named(offered.iter().map(|t| t.as_str()), MAX_TOOLS, n).join(", "))
            }
        };
        let all_clients = usize::try_from(record.client_count).unwrap_or(usize::MAX).max(record.clients.len());
        Self {
            classification: record.classification,
            confidence: record.confidence,
            server,
            transport: words::transport(&mcp.transport).to_owned(),
            versions: mcp.protocol_versions.iter().take(4).map(|v| clip(v)).collect(),
            tools,
            clients: named(clients(record).iter().map(String::as_str), MAX_CLIENTS, all_clients),
            why: clip(&record.why),
        }
    }

    /// The row as it is drawn. Where there is no room for a column a fact, some share one and the reason goes below.
    fn line(&self, look: &Look<'_>, wide: bool) -> Line {
        let class = words::name(self.classification).to_owned();
        let confidence = words::confidence(self.confidence).to_owned();
        let why = match (look.meaning)(&self.why) {
            Some(meaning) => format!("{} ({})", clip(&meaning), self.why),
            None => self.why.clone(),
        };
        let colour = if look.colour { words::colour(self.classification) } else { None };
        let tools = vec![self.tools.clone()];
        let clients = self.clients.clone();
        if wide {
            let transport = vec![self.transport.clone()];
            let versions = self.versions.clone();
            let (class, confidence) = (vec![class], vec![confidence]);
            let cells = vec![class, confidence, self.server.clone(), transport, versions, tools, clients, vec![why]];
            return Line { cells, below: String::new(), colour };
        }
        let transport = std::iter::once(self.transport.clone()).chain(self.versions.iter().cloned()).collect();
        let cells = vec![vec![class, confidence], self.server.clone(), transport, tools, clients];
        Line { cells, below: format!("why: {why}"), colour }
    }
}

const NARROW_LAYOUT: &[Column] = &[
    Column { title: "CLASS", min: 10 },
    Column { title: "SERVER", min: 22 },
    Column { title: "TRANSPORT", min: 10 },
    Column { title: "TOOLS", min: 14 },
    Column { title: "CLIENTS", min: 12 },
];

const WIDE_LAYOUT: &[Column] = &[
    Column { title: "CLASS", min: 10 },
    Column { title: "CONFIDENCE", min: 10 },
    Column { title: "SERVER", min: 24 },
    Column { title: "TRANSPORT", min: 10 },
    Column { title: "VERSIONS", min: 10 },
    Column { title: "TOOLS", min: 16 },
    Column { title: "CLIENTS", min: 12 },
    Column { title: "WHY", min: 20 },
];

/// Clients by address, and what they are called.
fn clients(record: &ServerRecord) -> Vec<String> {
    let one = |ip: &String| match record.client_names.get(ip) {
        Some(name) => format!("{} ({})", clip(ip), clip(name)),
        None => clip(ip),
    };
    record.clients.iter().map(one).collect()
}

/// Up to `most` of `items`, and how many more there are of `all`.
fn named<'a>(items: impl Iterator<Item = &'a str>, most: usize, all: usize) -> Vec<String> {
    let mut out: Vec<String> = items.take(most).map(clip).collect();
    let more = all.saturating_sub(out.len());
    if more > 0 {
        out.push(format!("+{}", number(more as u64)));
    }
    out
}

/// `text` harmless and of a bounded length.
fn clip(text: &str) -> String {
    let end = text.char_indices().nth(MAX_TEXT).map_or(text.len(), |(at, _)| at);
    let cut = if end < text.len() { "…" } else { "" };
    format!("{}{cut}", safe(text.get(..end).unwrap_or("")))
}

#[cfg(test)]
mod tests;
