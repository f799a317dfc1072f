//! Every call in the order of time, one a line, for people: who, when, what, with which arguments, how it ended and how
//! long that took. Lines are written as the run goes on; what is held back is bounded.

use crate::safe::{columns, safe, width};
use correlate::Record;
use correlate::record::{Call, Detection};
use net::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Packet time after which nothing from before is expected any more: a detection is written 5 s after its request at
/// the latest, and packet time goes in steps of a second.
const HORIZON: i64 = 8 * Timestamp::SECOND;
/// Most lines held back to put them in order. Beyond it the oldest is written as it is.
pub const MAX_WAITING: usize = 8192;
/// Narrowest and widest timeline, in columns.
const WIDTHS: (usize, usize) = (80, 400);
/// Longest text taken from one field, in characters.
const MAX_TEXT: usize = 200;
/// Shortest beginning of a session's hash that names it, in characters after `sha256:`.
const MIN_SESSION: usize = 6;

/// Columns of time, outcome and duration.
const FIXED: [usize; 3] = [12, 14, 9];
/// Space between columns.
const GAP: usize = 2;

/// Which calls are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    what: String,
}

impl Filter {
    /// Those that `what` names, all where it is empty: a host, with or without a port and the beginning of a path; an
    /// address of a server or client; or a session, by the hash that events give, its beginning being enough.
    pub fn new(what: &str) -> Self {
        Self { what: what.trim().to_ascii_lowercase() }
    }

    /// Whether a detection is among them.
    pub fn shows(&self, d: &Detection) -> bool {
        if self.what.is_empty() || self.what == d.flow.client.ip {
            return true;
        }
        let session = |hash: &str| {
            let hash = hash.strip_prefix("sha256:").unwrap_or(hash);
            let named = self.what.strip_prefix("sha256:").unwrap_or(&self.what);
            named.len() >= MIN_SESSION && hash.starts_with(named)
        };
        if d.mcp.session.as_deref().is_some_and(session) {
            return true;
        }
        let path = d.http.as_ref().map_or("", |h| h.path.as_str());
        let ip = d.flow.server.ip.as_str();
        let hosts = [host(d), ip].into_iter().map(|h| if h.contains(':') { format!("[{h}]") } else { h.to_owned() });
        hosts.chain([ip.to_owned()]).any(|host| self.names(&host, d.flow.server.port, path))
    }

    fn names(&self, host: &str, port: u16, path: &str) -> bool {
        let Some(rest) = self.what.strip_prefix(&host.to_ascii_lowercase()) else { return false };
        let rest = rest.strip_prefix(&format!(":{port}")).unwrap_or(rest);
        let path = path.to_ascii_lowercase();
        // Whole segments: `/mcp` names `/mcp` and `/mcp/x`, not `/mcpx`.
        let below = |after: &str| after.is_empty() || after.starts_with(['/', '?']) || rest.ends_with('/');
        rest.is_empty() || (rest.starts_with('/') && path.strip_prefix(rest).is_some_and(below))
    }
}

/// Host as asked for, in HTTP, a question to a name server, or a hello, else as name servers gave it away; the address
/// where none was seen.
fn host(d: &Detection) -> &str {
    let signal = |on: &str| d.signals.iter().find(|s| s.on == on).map(|s| s.excerpt.as_str());
    let http = d.http.as_ref().map(|h| h.host.as_str());
    let resolved = || signal("dns.answer").or_else(|| d.tls.as_ref().map(|t| t.sni.as_str()));
    let name = if is_contact(d) { signal("dns.query").or_else(resolved) } else { http };
    name.filter(|name| !name.is_empty()).unwrap_or(&d.flow.server.ip)
}

/// Whether nothing that was said can be read: a handshake, or a question to a name server.
fn is_contact(d: &Detection) -> bool {
    matches!(d.visibility.as_str(), "tls_metadata" | "quic_metadata" | "dns")
}

/// Puts calls in order and writes them. Takes every record of a run.
#[derive(Debug)]
pub struct Timeline {
    filter: Filter,
    width: usize,
    /// Lines that an earlier one may still come before: by time, then as they came.
    waiting: BTreeMap<(Timestamp, u64), String>,
    /// Lines so far.
    lines: u64,
    /// Time of the last line written, and its day.
    last: Timestamp,
    day: String,
    /// Lines that came too late for their place.
    late: u64,
    begun: bool,
}

impl Timeline {
    /// A timeline of what `filter` shows, `width` columns wide; taken as at least 80 and at most 400.
    pub fn new(filter: Filter, width: usize) -> Self {
        Self {
            filter,
            width: width.clamp(WIDTHS.0, WIDTHS.1),
            waiting: BTreeMap::new(),
            lines: 0,
            last: Timestamp(i64::MIN),
            day: String::new(),
            late: 0,
            begun: false,
        }
    }

    /// Takes what is of use from `record`, and writes what nothing can come before any more.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn add(&mut self, record: &Record, out: &mut dyn Write) -> io::Result<()> {
        let Record::Detection(detection) = record else { return Ok(()) };
        if self.filter.shows(detection) {
            for line in lines(detection, self.width) {
                self.waiting.insert((detection.ts, self.lines), line);
                self.lines += 1;
            }
        }
        while let Some((&(ts, _), _)) = self.waiting.first_key_value()
            && (self.waiting.len() > MAX_WAITING || detection.ts.since(ts) > HORIZON)
        {
            self.next(out)?;
        }
        Ok(())
    }

    /// The run is over: writes the rest and what it amounts to.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        while !self.waiting.is_empty() {
            self.next(out)?;
        }
        match (self.lines, self.filter.what.is_empty()) {
            (0, true) => writeln!(out, "No call was seen."),
            (0, false) => writeln!(out, "No call was seen of {}.", safe(&self.filter.what)),
            (n, _) => writeln!(out, "{n} line{}.", if n == 1 { "" } else { "s" }),
        }?;
        if self.late > 0 {
            writeln!(
                out,
                "{} of them came too late for their place: they were told long after their time.",
                self.late
            )?;
        }
        Ok(())
    }

    fn next(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some(((ts, _), line)) = self.waiting.pop_first() else { return Ok(()) };
        if !self.begun {
            self.begun = true;
            let [client, server, method, what] = shares(self.width);
            let titles = [
                ("TIME (UTC)", FIXED[0]),
                ("CLIENT", client),
                ("SERVER", server),
                ("METHOD", method),
                ("WHAT", what),
                ("OUTCOME", FIXED[1]),
                ("TOOK", FIXED[2]),
            ];
            writeln!(out, "{}", row(&titles))?;
        }
        self.late += u64::from(ts < self.last);
        self.last = self.last.max(ts);
        let time = ts.to_string();
        let day = time.get(..10).unwrap_or_default();
        if day != self.day {
            day.clone_into(&mut self.day);
            writeln!(out, "{day}")?;
        }
        writeln!(out, "{line}")
    }
}

/// Columns for client, server, method and what is called, where a line may have `width`.
fn shares(width: usize) -> [usize; 4] {
    let rest = width.saturating_sub(FIXED.iter().sum::<usize>() + 6 * GAP);
    // A client is mostly an IPv4 address; the arguments get what is left.
    let (client, server, method) = (15.min(rest / 4), (rest / 4).clamp(12, 40), (rest / 5).clamp(9, 24));
    [client, server, method, rest.saturating_sub(client + server + method)]
}

/// The lines of one detection: its calls, or itself where it has none.
fn lines(d: &Detection, width: usize) -> Vec<String> {
    let [client_width, server_width, method_width, what_width] = shares(width);
    let path = d.http.as_ref().map_or("", |h| h.path.as_str());
    let name = host(d);
    let host = if d.visibility == "dns" { &d.flow.server.ip } else { name };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let server = format!("{host}:{}{path}", d.flow.server.port);
    let time = d.ts.to_string();
    let time = time.get(11..23).unwrap_or(&time);
    let line = |method: &str, what: &str, outcome: &str, took: &str| {
        row(&[
            (time, FIXED[0]),
            (&clip(&d.flow.client.ip), client_width),
            (&clip(&server), server_width),
            (&clip(method), method_width),
            (&clip(what), what_width),
            (&clip(outcome), FIXED[1]),
            (took, FIXED[2]),
        ])
    };
    if let Some(category) = &d.category {
        return vec![line(category, &traced(d), &without_answer(d), "")];
    }
    if is_contact(d) {
        // Who was contacted is all that is known; of a question, the server is who was asked.
        let outcome = if d.limits.undecoded.is_some() { "encrypted" } else { "" };
        return vec![line(&d.visibility, if d.visibility == "dns" { name } else { "" }, outcome, "")];
    }
    if d.mcp.calls.is_empty() {
        // Notifications, else what HTTP says: the opening of a stream, an answer of the client, the end of a session.
        let told = d.mcp.methods.join(" ");
        let method = if told.is_empty() { d.http.as_ref().map_or("", |h| h.method.as_str()) } else { &told };
        return vec![line(method, "", &without_answer(d), "")];
    }
    d.mcp
        .calls
        .iter()
        .map(|call| {
            let by_server = mcp::direction_of(&call.method) == Some(mcp::Sender::Server);
            let method = if by_server { format!("< {}", call.method) } else { call.method.clone() };
            let outcome = match call.is_error {
                Some(true) => "error".to_owned(),
                Some(false) => "ok".to_owned(),
                None => without_answer(d),
            };
            let took = call.duration_ms.map(duration).unwrap_or_default();
            line(&method, &called(call), &outcome, &took)
        })
        .collect()
}

/// Name and masked arguments of a call.
fn called(call: &Call) -> String {
    let mut text = call.name.clone().unwrap_or_default();
    if let Some(arguments) = &call.arguments {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{arguments}", if text.is_empty() { "" } else { " " });
    }
    text
}

/// What a detection without MCP in it is about.
fn traced(d: &Detection) -> String {
    let mut parts: Vec<&str> = Vec::new();
    if let Some(side) = &d.mcp.provider_side {
        let servers = side.servers.iter().filter_map(|s| s.server_url.as_deref().or(s.connector.as_deref()));
        parts.extend(servers.chain(side.calls.iter().filter_map(|c| c.tool.as_deref())));
    }
    if let Some(supply) = &d.mcp.supply {
        parts.push(&supply.kind);
        let texts = [&supply.runner, &supply.name, &supply.version, &supply.server_url, &supply.command];
        parts.extend(texts.into_iter().flatten().map(String::as_str));
    }
    parts.join(" ")
}

/// How an exchange ended that has no answer of MCP to show.
fn without_answer(d: &Detection) -> String {
    let status = d.http.as_ref().and_then(|h| h.status);
    match (d.mcp.outcome.as_str(), status) {
        ("unseen", None) => "no answer".to_owned(),
        ("unseen" | "answered", Some(status)) => format!("{status}"),
        (outcome, Some(status)) => format!("{outcome} {status}"),
        (outcome, None) => outcome.to_owned(),
    }
}

/// `12 ms`, `4.1 s`, `75 s`.
fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} s", ms / 1000),
    }
}

/// Cells side by side, each cut or filled to its width.
fn row(cells: &[(&str, usize)]) -> String {
    let mut line = String::new();
    for (text, room) in cells {
        let shown = fit(text, *room);
        line.push_str(&shown);
        line.extend(std::iter::repeat_n(' ', room.saturating_sub(width(&shown)) + GAP));
    }
    line.truncate(line.trim_end().len());
    line
}

/// `text` in at most `room` columns.
fn fit(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut used = 1;
    let mut kept: String = text
        .chars()
        .take_while(|c| {
            used += columns(*c);
            used <= room
        })
        .collect();
    kept.push('…');
    kept
}

/// `text` harmless and of a bounded length.
fn clip(text: &str) -> String {
    let end = text.char_indices().nth(MAX_TEXT).map_or(text.len(), |(at, _)| at);
    safe(text.get(..end).unwrap_or("")).into_owned()
}

#[cfg(test)]
mod tests;
