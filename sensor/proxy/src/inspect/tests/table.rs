//! The table of policies in `fixtures/policies`: what is decided, and what clients and servers get, over every protocol.
//! Its format is told in the README beside it.

use super::*;
use http::header::LOCATION;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;

/// A file: rules, and what they lead to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// `[[policy]]`, `[[group]]`, `[[signature]]` and `[[dlp]]` without their `[pack]`.
    rules: String,
    /// `[actions]`, as in the configuration.
    #[serde(default)]
    actions: RawActions,
    /// `[networks]`, `[sanctioned]` and so on, in place of the usual ones.
    #[serde(default)]
    scope: Option<RawScope>,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "vendor")]
    host: String,
    #[serde(default = "https")]
    port: u16,
    #[serde(default = "post_method")]
    method: String,
    #[serde(default = "endpoint")]
    path: String,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    client: Option<IpAddr>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What was said before, which passed.
    #[serde(default)]
    before: Vec<Step>,
    /// A message, or an array of some.
    #[serde(default)]
    body: String,
    #[serde(default)]
    form: Form,
    /// What the server answers, where it is asked.
    #[serde(default)]
    server_says: Option<String>,
    /// Decided.
    action: Action,
    /// By.
    policy: String,
    /// It is only pretended.
    #[serde(default)]
    dry_run: bool,
    /// Status of an answer of ours over HTTP.
    #[serde(default = "fine")]
    status: u16,
    /// The same where the client asks for a WebSocket.
    #[serde(default = "switched")]
    upgrade: u16,
    /// The message of the answer that clients show.
    #[serde(default)]
    says: Option<String>,
    /// What the server means here.
    #[serde(default = "shadow")]
    reason: String,
    /// Where to go instead: of a 307, its `Location`, too.
    #[serde(default, rename = "use")]
    instead: Option<String>,
    /// Where to ask for access.
    #[serde(default)]
    request_access: Option<String>,
    /// The ids that are answered, as JSON; those of the requests of `body` where they are left out.
    #[serde(default)]
    ids: Option<Vec<String>>,
    /// The whole answer over HTTP/1 and HTTP/2.
    #[serde(default)]
    answer: Option<String>,
    /// What the server gets in place of `body`.
    #[serde(default)]
    server_gets: Option<String>,
    /// What the client gets in place of `server_says`.
    #[serde(default)]
    client_gets: Option<String>,
    /// Members of the record, by JSON Pointer.
    #[serde(default)]
    told: BTreeMap<String, serde_json::Value>,
    /// Protocols that it is not for.
    #[serde(default)]
    but: BTreeSet<String>,
    /// What is decided of it where nothing is known but packets: for another runner.
    #[serde(default, rename = "replay")]
    _replay: Option<serde_json::Value>,
}

/// An exchange that comes before.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    body: String,
    server_says: String,
    /// The session that the server gives.
    #[serde(default)]
    session: Option<String>,
}

/// What is made of a text on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    #[default]
    Plain,
    Utf8Mark,
    Utf16Le,
    Utf16Be,
    Gzip,
}

fn vendor() -> String {
    "mcp.vendor.example".to_owned()
}

const fn https() -> u16 {
    443
}

fn post_method() -> String {
    "POST".to_owned()
}

fn endpoint() -> String {
    "/mcp".to_owned()
}

const fn fine() -> u16 {
    200
}

const fn switched() -> u16 {
    101
}

fn shadow() -> String {
    "shadow".to_owned()
}

const PROTOCOLS: [&str; 4] = ["http1", "http2", "sse", "websocket"];

/// An answer of ours.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    location: Option<String>,
    text: String,
}

/// What came of a case.
#[derive(Debug)]
struct Outcome {
    action: Action,
    policy: String,
    dry_run: bool,
    answer: Option<Answer>,
    server_gets: Option<String>,
    client_gets: Option<String>,
    /// The record of it.
    told: serde_json::Value,
}

impl Form {
    fn of(self, text: &str) -> Vec<u8> {
        let wide =
            |order: fn(u16) -> [u8; 2]| "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(order).collect();
        match self {
            Self::Plain => text.as_bytes().to_vec(),
            Self::Utf8Mark => format!("\u{feff}{text}").into_bytes(),
            Self::Utf16Le => wide(u16::to_le_bytes),
            Self::Utf16Be => wide(u16::to_be_bytes),
            Self::Gzip => gzip(text.as_bytes()),
        }
    }
}

/// One client that talks to the server of a case.
struct Talk<'t> {
    bench: &'t Bench,
    case: &'t Case,
    conn: Rc<Conn>,
    protocol: &'t str,
}

impl Talk<'_> {
    fn websocket(&self) -> bool {
        self.protocol == "websocket"
    }

    fn request(&self, body: &[u8], form: Form) -> request::Parts {
        let case = self.case;
        let len = body.len().to_string();
        let mut fields = vec![("host", case.host.as_str())];
        let accept = if self.protocol == "sse" { "text/event-stream" } else { "application/json, text/event-stream" };
        if self.websocket() {
            fields.extend([("connection", "upgrade"), ("upgrade", "websocket")]);
        } else if body.is_empty() {
            fields.push(("accept", accept));
        } else {
            fields.extend([("content-type", "application/json"), ("content-length", &len), ("accept", accept)]);
            fields.extend((form == Form::Gzip).then_some(("content-encoding", "gzip")));
        }
        fields.retain(|(name, _)| !case.headers.keys().any(|own| own.eq_ignore_ascii_case(name)));
        fields.extend(case.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let method = if self.websocket() { "GET" } else { &case.method };
        let mut parts = head(method.parse().unwrap(), &case.path, &fields);
        if self.protocol == "http2" {
            parts.version = Version::HTTP_2;
        }
        parts
    }

    fn open(&self, parts: &request::Parts) -> (Inspection, Verdict) {
        let (mut inspection, verdict) = Inspection::request(&self.conn, &self.bench.settings, parts);
        if self.websocket() && !matches!(verdict, Verdict::Act(_)) {
            let switched = http::Response::builder().status(101).header("upgrade", "websocket").body(()).unwrap();
            inspection.response(&switched.into_parts().0);
        }
        (inspection, verdict)
    }

    /// Says it all: in frames over HTTP/2, at once elsewhere. The verdict is the last that is more than to wait.
    fn say(&self, inspection: &mut Inspection, dir: Direction, text: &[u8]) -> Verdict {
        let most = if self.protocol == "http2" { 7 } else { usize::MAX };
        let mut verdict = Verdict::Pass;
        for piece in text.chunks(most) {
            match inspection.body(dir, piece) {
                act @ Verdict::Act(_) => return act,
                Verdict::Edit => verdict = Verdict::Edit,
                Verdict::Pass | Verdict::Hold => {}
            }
        }
        let end = if self.websocket() { inspection.message_end(dir) } else { inspection.end(dir, EndKind::Complete) };
        if matches!(end, Verdict::Act(_) | Verdict::Edit) { end } else { verdict }
    }

    /// The server answers with `text`; the outcome is what becomes of that.
    fn answer(&self, inspection: &mut Inspection, text: &str, session: Option<&str>) -> Option<String> {
        let streams = self.protocol == "sse";
        if !self.websocket() {
            let mut head = answer(200, if streams { "text/event-stream" } else { "application/json" });
            if let Some(session) = session {
                head.headers.insert("mcp-session-id", session.parse().unwrap());
            }
            inspection.response(&head);
        }
        let wire = if streams { format!("event: message\ndata: {text}\n\n") } else { text.to_owned() };
        let verdict = self.say(inspection, Direction::ToClient, wire.as_bytes());
        edited(inspection, &verdict, Direction::ToClient, text)
    }

    fn run(&self) -> Outcome {
        let case = self.case;
        let body = case.form.of(&case.body);
        let parts = self.request(&body, case.form);
        let mut socket = self.websocket().then(|| self.open(&parts));
        for step in &case.before {
            let mut fresh = None;
            let (inspection, _) = match &mut socket {
                Some(socket) => socket,
                None => fresh.insert(self.open(&self.request(step.body.as_bytes(), Form::Plain))),
            };
            let verdict = self.say(inspection, Direction::ToServer, step.body.as_bytes());
            assert!(!matches!(verdict, Verdict::Act(_)), "{}: {} passes", case.name, step.body);
            self.answer(inspection, &step.server_says, step.session.as_deref());
        }
        let (mut inspection, mut verdict) = socket.unwrap_or_else(|| self.open(&parts));
        let says_nothing = self.websocket() && case.body.is_empty();
        if !matches!(verdict, Verdict::Act(_)) && !says_nothing {
            verdict = self.say(&mut inspection, Direction::ToServer, &body);
        }
        let (mut stopped, mut server_gets, mut client_gets) = (None, None, None);
        if let Verdict::Act(ruling) = verdict {
            inspection.acted(&ruling, "none");
            let answer = self.our_answer(&ruling, &parts);
            stopped = Some((ruling.decision.action, ruling.decision.policy.to_string(), answer));
        } else {
            server_gets = edited(&mut inspection, &verdict, Direction::ToServer, &case.body);
            let ids = case.ids();
            let usual =
                || format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, ids.first().map_or("1", String::as_str));
            if !case.body.is_empty() {
                let text = case.server_says.clone().unwrap_or_else(usual);
                client_gets = self.answer(&mut inspection, &text, None);
            }
        }
        drop(inspection);
        self.outcome(stopped, server_gets, client_gets)
    }

    fn our_answer(&self, ruling: &Ruling, parts: &request::Parts) -> Answer {
        if self.websocket() && ruling.stage == Stage::Message {
            return Answer { status: 101, location: None, text: crate::answer::websocket_text(ruling) };
        }
        let response = crate::answer::ruling(ruling, parts);
        Answer {
            status: response.status().as_u16(),
            location: response.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned()),
            text: String::from_utf8(response.into_body().to_vec()).unwrap(),
        }
    }

    fn outcome(
        &self,
        stopped: Option<(Action, String, Answer)>,
        server_gets: Option<String>,
        client_gets: Option<String>,
    ) -> Outcome {
        let mut made = self.bench.detections();
        let of = |made: &serde_json::Value| {
            let action = &made["action"];
            let decided: Action = serde_json::from_value(action["decided"].clone()).unwrap();
            (decided, action["policy"].as_str().unwrap().to_owned())
        };
        let (done, answer) = match stopped {
            Some((action, policy, answer)) => (Some((action, policy)), Some(answer)),
            None => (None, None),
        };
        if let Some(done) = &done {
            let all: Vec<_> = made.iter().map(of).collect();
            assert!(all.contains(done), "{}: what was done is what is told: {done:?}, {all:?}", self.case.name);
            made.retain(|made| of(made) == *done);
        } else if made.iter().any(|made| !made["mcp"]["methods"].as_array().unwrap().is_empty()) {
            // The handshake of a WebSocket is another record.
            made.retain(|made| !made["mcp"]["methods"].as_array().unwrap().is_empty());
        }
        let last = if self.case.before.is_empty() {
            made.into_iter().max_by_key(|made| gravity(of(made).0))
        } else {
            made.pop()
        };
        let told = last.unwrap_or_default();
        let (action, policy) = if told.is_null() { (Action::None, String::new()) } else { of(&told) };
        let dry_run = told["action"]["dry_run"] == true;
        Outcome { action, policy, dry_run, answer, server_gets, client_gets, told }
    }
}

/// What a text becomes, where it is to be changed.
fn edited(inspection: &mut Inspection, verdict: &Verdict, dir: Direction, text: &str) -> Option<String> {
    let edit = matches!(verdict, Verdict::Edit);
    let new = edit.then(|| inspection.edit(dir, 0, text.as_bytes()).expect("it is found in its text")).flatten();
    new.map(|new| String::from_utf8(new).unwrap())
}

/// Of several messages the gravest counts.
const fn gravity(action: Action) -> u8 {
    match action {
        Action::None => 0,
        Action::Allow => 1,
        Action::Log => 2,
        Action::Filter => 3,
        Action::Redact => 4,
        Action::Redirect => 5,
        Action::Block => 6,
    }
}

impl Case {
    /// The ids of the requests in it, as JSON.
    fn ids(&self) -> Vec<String> {
        if let Some(ids) = &self.ids {
            return ids.clone();
        }
        let message: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        let all = message.as_array().cloned().unwrap_or_else(|| vec![message]);
        let waits = all.iter().filter(|one| one.get("method").is_some());
        waits.filter_map(|one| one.get("id").map(ToString::to_string)).collect()
    }

    fn stops(&self) -> bool {
        matches!(self.action, Action::Block | Action::Redirect) && !self.dry_run
    }

    /// The answer, byte for byte.
    fn wanted(&self, protocol: &str) -> Answer {
        let Self { host, policy, .. } = self;
        let status = if protocol == "websocket" { self.upgrade } else { self.status };
        // Before anything was said a server that nobody approved is only possibly one.
        let early = protocol == "websocket" && status == 403 && self.reason == "shadow";
        let reason = if early { "unknown" } else { &self.reason };
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let says = self.says.clone().unwrap_or_else(|| {
            let mut says = match reason {
                "denied" => format!("Blocked: {host} is a denied MCP server."),
                "sanctioned_direct" => format!("Blocked: {host} is to be reached through the company MCP portal."),
                _ => format!("Blocked: {host} is not an approved MCP server."),
            };
            says.extend([" (policy ", policy.as_str(), ")"]);
            says.extend(self.instead.as_ref().map(|to| format!(" Use {to} instead.")));
            says.extend(self.request_access.as_ref().map(|at| format!(" Ask for access at {at}.")));
            says
        });
        let access = self.request_access.as_ref().map(|at| format!(r#","request_access":{}"#, json(at)));
        let instead = self.instead.as_ref().map(|to| format!(r#","use":{}"#, json(to)));
        let error = format!(
            r#"{{"code":-31000,"data":{{"by":"mcp-sensor","host":{},"policy":{},"reason":{}{}{}}},"message":{}}}"#,
            json(host),
            json(policy),
            json(reason),
            access.unwrap_or_default(),
            instead.unwrap_or_default(),
            json(&says)
        );
        // A handshake was refused, and no message.
        let ids = if status == 403 { Vec::new() } else { self.ids() };
        let each = ids.iter().map(|id| format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#));
        let text = match each.collect::<Vec<_>>().join(",") {
            none if none.is_empty() => format!(r#"{{"error":{error},"jsonrpc":"2.0"}}"#),
            some if self.body.trim_start().starts_with('[') => format!("[{some}]"),
            some => some,
        };
        let text = match (&self.answer, protocol) {
            (Some(answer), "http1" | "http2") => answer.clone(),
            (_, "sse") if status == 200 => format!("event: message\ndata: {text}\n\n"),
            _ => text,
        };
        Answer { status, location: self.instead.clone().filter(|_| status == 307), text }
    }

    /// What is wrong about an outcome.
    fn faults(&self, protocol: &str, got: &Outcome) -> Option<String> {
        let (is, want) =
            ((got.action, got.policy.as_str(), got.dry_run), (self.action, self.policy.as_str(), self.dry_run));
        if is != want {
            return Some(format!("{is:?}, not {want:?}: {}", got.told));
        }
        let wanted = self.stops().then(|| self.wanted(protocol));
        if got.answer != wanted {
            return Some(format!("{:?}\n  not {wanted:?}", got.answer));
        }
        for (what, is, want) in
            [("the server", &got.server_gets, &self.server_gets), ("the client", &got.client_gets, &self.client_gets)]
        {
            if is != want {
                return Some(format!("{what} gets {is:?}\n  not {want:?}"));
            }
        }
        for (pointer, want) in &self.told {
            let is = got.told.pointer(pointer).cloned().unwrap_or_default();
            if is != *want {
                return Some(format!("{pointer} is {is}, not {want}"));
            }
        }
        None
    }
}

/// The rules of a table, with those that come with the program.
fn rules_of(name: &str, table: &Table) -> detect::rules::RuleSet {
    let text = format!("[pack]\nid = \"table\"\nversion = \"1\"\n{}", table.rules);
    let own = detect::rules::RuleText { file: name, text: &text, lists: &|_| Err("there is none".to_owned()) };
    let all = [detect::rules::builtin().as_slice(), &[own]].concat();
    detect::rules::compile(&all).unwrap_or_else(|errors| panic!("{name}: {errors:#?}"))
}

#[test]
fn every_policy_of_the_table_decides_and_answers_as_it_says_over_every_protocol() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/policies");
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "toml"));
    files.sort();
    let (mut cases, mut runs, mut wrong) = (0, 0, Vec::new());
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let table: Table =
            toml::from_str(&fs::read_to_string(&file).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut generation = generation(rules_of(&name, &table), &table.actions);
        if let Some(scope) = &table.scope {
            Arc::get_mut(&mut generation).unwrap().scope = detect::Scope::try_from(scope).unwrap();
        }
        let mut names = BTreeSet::new();
        for case in &table.case {
            assert!(names.insert(&case.name), "{name}: two cases are called {}", case.name);
            cases += 1;
            for protocol in PROTOCOLS.into_iter().filter(|protocol| !case.but.contains(*protocol)) {
                runs += 1;
                let bench = bench_of(Arc::clone(&generation));
                let outcome = Talk { bench: &bench, case, conn: conn(&bench, case), protocol }.run();
                if let Some(fault) = case.faults(protocol, &outcome) {
                    wrong.push(format!("{name}: {}: {protocol}: {fault}", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {runs} runs:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= 150 && runs >= 3 * cases, "{cases} cases, {runs} runs");
}

fn conn(bench: &Bench, case: &Case) -> Rc<Conn> {
    let mut conn = bench.conn(&case.host);
    let fields = Rc::get_mut(&mut conn).unwrap();
    fields.user = case.user.as_deref().map(Into::into);
    fields.authority.port = case.port;
    fields.server.set(SocketAddr::from(([203, 0, 113, 9], case.port)));
    if let Some(client) = case.client {
        fields.client.set_ip(client);
    }
    conn
}
