mod catalogues;
mod changes;
mod oauth;
mod sessions;
mod table;

use super::*;
use crate::gate::Authority;
use crate::options::{Access, Bypass, Destinations, Fault, Hold, Limits, Options, Reporter, Upstream};
use crate::thread::{Files, Shared, Thread};
use detect::{
    Classification, Generation, Observation, ProxyNews, RawAction, RawActions, RawScope, RawServer, RawServers,
    TlsSeen, What,
};
use http::{Method, Request, Version, request, response};
use mcp::Kind;
use proptest::prelude::*;
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/x"}}}"#;
const CALLER: Caller<'_> = Caller { client: std::net::IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)), user: None, port: 443 };
const VENDOR: &str = r#"{"jsonrpc":"2.0","id":"v-1","method":"acme/compute"}"#;
const LSP: &str = r#"{"jsonrpc":"2.0","id":1,"method":"textDocument/hover"}"#;

/// Keeps what is reported, and has no room for the first `full` of it.
#[derive(Default)]
struct Kept {
    seen: Mutex<Vec<Observation>>,
    full: AtomicUsize,
}

impl Reporter for Kept {
    fn report(&self, observation: Observation) -> Result<(), Box<Observation>> {
        let full = self.full.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if full.is_ok() {
            return Err(Box::new(observation));
        }
        self.seen.lock().unwrap().push(observation);
        Ok(())
    }
}

struct Bench {
    thread: Rc<Thread>,
    settings: Arc<Settings>,
    kept: Arc<Kept>,
    generation: Arc<Generation>,
}

fn bench(change: impl FnOnce(&mut RawActions)) -> Bench {
    let mut actions = RawActions::default();
    change(&mut actions);
    bench_of(generation(detect::rules::compile(&detect::rules::builtin()).unwrap(), &actions))
}

fn generation(rules: detect::rules::RuleSet, actions: &RawActions) -> Arc<Generation> {
    let servers =
        |names: &[&str]| RawServers { servers: names.iter().map(|name| RawServer::Name((*name).to_owned())).collect() };
    let scope = RawScope {
        denied: servers(&["denied.example", "half.example/mcp"]),
        sanctioned: servers(&["good.example"]),
        ..RawScope::default()
    };
    Arc::new(Generation {
        rules,
        scope: detect::Scope::try_from(&scope).unwrap(),
        policy: detect::Policy::try_from(actions).unwrap(),
    })
}

fn bench_of(generation: Arc<Generation>) -> Bench {
    let settings = Settings {
        generation: Arc::clone(&generation),
        access: Access::default(),
        destinations: Destinations::default(),
        bypass: Bypass::default(),
        hold: Hold::default(),
        on_fault: Fault::Closed,
    };
    let options = Options {
        listeners: Vec::new(),
        threads: NonZeroUsize::MIN,
        ca: None,
        upstream: Upstream { system_roots: true, ..Upstream::default() },
        limits: Limits::default(),
        look_alikes: false,
        first_source: 3,
        own: Vec::new(),
    };
    let kept = Arc::new(Kept::default());
    let files = Files::read(&options, &settings).unwrap();
    let reporter: Arc<dyn Reporter> = Arc::clone(&kept) as _;
    let thread = Thread::new(Shared::new(files, options, settings.clone(), reporter));
    Bench { thread, settings: Arc::new(settings), kept, generation }
}

fn blocks() -> Bench {
    bench(|raw| (raw.shadow, raw.denied) = (RawAction::Block, RawAction::Block))
}

impl Bench {
    fn conn(&self, host: &str) -> Rc<Conn> {
        self.conn_to(host, host)
    }

    /// CONNECT named `authority`, the handshake `host`.
    fn conn_to(&self, authority: &str, host: &str) -> Rc<Conn> {
        let tls = TlsSeen { sni: host.to_owned(), version: "1.3", ..TlsSeen::default() };
        Rc::new(Conn {
            thread: Rc::clone(&self.thread),
            number: self.thread.shared.number(),
            listener: 1,
            client: SocketAddr::from(([10, 1, 2, 3], 51_234)),
            user: Some("ana".into()),
            authority: Authority { host: authority.to_owned(), port: 443 },
            server: Cell::new(SocketAddr::from(([203, 0, 113, 9], 443))),
            tls: Some(tls),
            verified: true,
            connect: true,
            line: Line::default(),
        })
    }

    fn begin(&self, host: &str, head: &request::Parts) -> (Inspection, Verdict) {
        Inspection::request(&self.conn(host), &self.settings, head)
    }

    /// Everything reported so far, as the serial stage writes it.
    fn records(&self) -> Vec<serde_json::Value> {
        let options = correlate::Options {
            sensor: "test".to_owned(),
            generation: Arc::clone(&self.generation),
            files: ["a", "b", "c", "d", "egress"].map(str::to_owned).to_vec(),
            live: true,
            look_alikes: false,
            passive: true,
            limits: correlate::Limits::default(),
            session_every: None,
        };
        let mut stage = correlate::Correlator::new(options);
        let mut records = Vec::new();
        let mut out = |record| records.push(serde_json::to_value(&record).unwrap());
        for observation in self.kept.seen.lock().unwrap().drain(..) {
            stage.observe(observation, &mut out);
        }
        stage.finish(net::Timestamp::default(), &mut out);
        records
    }

    fn detections(&self) -> Vec<serde_json::Value> {
        self.records().into_iter().filter(|record| record["type"] == "detection").collect()
    }
}

fn head(method: Method, uri: &str, fields: &[(&str, &str)]) -> request::Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn post(len: usize) -> request::Parts {
    let len = len.to_string();
    head(Method::POST, "/mcp", &[("host", "x.example"), ("content-type", "application/json"), ("content-length", &len)])
}

fn answer(status: u16, kind: &str) -> response::Parts {
    http::Response::builder().status(status).header("content-type", kind).body(()).unwrap().into_parts().0
}

/// `P`ass, `H`old, `A`ct or `E`dit.
fn word(verdict: &Verdict) -> char {
    match verdict {
        Verdict::Pass => 'P',
        Verdict::Hold => 'H',
        Verdict::Act(_) => 'A',
        Verdict::Edit => 'E',
    }
}

#[track_caller]
fn acts(verdict: Verdict) -> Box<Ruling> {
    match verdict {
        Verdict::Act(ruling) => ruling,
        other => panic!("{other:?}"),
    }
}

/// gzip of one stored block.
fn gzip(text: &[u8]) -> Vec<u8> {
    let len = u16::try_from(text.len()).unwrap();
    let mut crc = u32::MAX;
    for byte in text {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    let mut all = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01".to_vec();
    all.extend(len.to_le_bytes());
    all.extend((!len).to_le_bytes());
    all.extend(text);
    all.extend((!crc).to_le_bytes());
    all.extend(u32::from(len).to_le_bytes());
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn however_it_is_cut_a_message_waits_for_its_closing_byte_and_gets_one_verdict(
        cuts in prop::collection::vec(1_usize..60, 1..30),
        coded: bool,
        shadow: bool,
        blank in 0_usize..4,
    ) {
        thread_local!(static BENCH: Bench = blocks());
        let text = format!("{}{}", " ".repeat(blank), if shadow { CALL } else { LSP });
        let body = if coded { gzip(text.as_bytes()) } else { text.clone().into_bytes() };
        let closes = if coded { 15 + text.len() } else { text.len() };
        BENCH.with(|bench| {
            let mut head = post(body.len());
            if coded {
                head.headers.insert("content-encoding", http::HeaderValue::from_static("gzip"));
            }
            let (mut inspection, verdict) = bench.begin("x.example", &head);
            prop_assert_eq!(word(&verdict), 'H');
            let (mut at, mut verdicts) = (0, 0);
            for cut in cuts.iter().cycle() {
                let end = (at + cut).min(body.len());
                let verdict = inspection.body(Direction::ToServer, &body[at..end]);
                let whole = end >= closes;
                match word(&verdict) {
                    'H' => prop_assert!(!whole, "{} of {}", end, closes),
                    'A' => {
                        prop_assert!(whole && shadow && verdicts == 0);
                        verdicts += 1;
                    }
                    _ => prop_assert!(whole && (!shadow || verdicts == 1)),
                }
                at = end;
                if at == body.len() {
                    break;
                }
            }
            prop_assert_eq!(verdicts, i32::from(shadow));
            prop_assert_eq!(word(&inspection.end(Direction::ToServer, EndKind::Complete)), 'P');
            Ok(())
        })?;
    }
}

#[test]
fn the_head_waits_only_where_a_message_may_come_and_somebody_may_be_stopped() {
    let json = ("content-type", "application/json");
    let (ten, none) = (("content-length", "10"), ("content-length", "0"));
    let block = blocks();
    let unknown = bench(|raw| raw.unknown = RawAction::Block);
    let denies = bench(|raw| raw.denied = RawAction::Block);
    let logs = bench(|_| ());
    let dry = bench(|raw| (raw.shadow, raw.denied, raw.dry_run) = (RawAction::Block, RawAction::Block, true));
    let method = ("mcp-method", "tools/call");
    for (name, bench, host, verb, path, fields, h2, want) in [
        ("a JSON post", &block, "x.example", Method::POST, "/x", &[json, ten][..], false, 'H'),
        ("one of unknown type and known length", &block, "x.example", Method::POST, "/x", &[ten], false, 'H'),
        ("one without a body", &block, "x.example", Method::POST, "/x", &[json, none], false, 'P'),
        ("a stream of JSON", &block, "x.example", Method::POST, "/x", &[json], true, 'H'),
        ("gRPC", &block, "x.example", Method::POST, "/x", &[("content-type", "application/grpc")], true, 'P'),
        (
            "gRPC with JSON",
            &block,
            "x.example",
            Method::POST,
            "/x",
            &[("content-type", "application/grpc+json")],
            true,
            'P',
        ),
        ("a page", &block, "x.example", Method::GET, "/", &[("accept", "text/html")], false, 'P'),
        ("to an approved server", &block, "good.example", Method::POST, "/mcp", &[json, ten], false, 'P'),
        ("where only others are stopped", &denies, "x.example", Method::POST, "/mcp", &[json, ten], false, 'P'),
        ("where nobody is stopped", &logs, "x.example", Method::POST, "/mcp", &[json, ten], false, 'P'),
        ("in pretence", &dry, "denied.example", Method::POST, "/mcp", &[json, ten], false, 'P'),
        ("a page of a denied host", &block, "denied.example", Method::GET, "/", &[("accept", "text/html")], false, 'A'),
        ("a post to a denied host", &block, "denied.example", Method::POST, "/", &[json, ten], false, 'H'),
        ("a denied path", &block, "half.example", Method::GET, "/mcp/x", &[], false, 'A'),
        ("another path beside it", &block, "half.example", Method::GET, "/", &[], false, 'P'),
        ("a telltale path where guesses are stopped", &unknown, "x.example", Method::GET, "/mcp", &[], false, 'A'),
        ("a page there", &unknown, "x.example", Method::GET, "/mcp", &[("accept", "text/html")], false, 'P'),
        ("a field of MCP without a body", &block, "x.example", Method::POST, "/x", &[method, none], false, 'A'),
    ] {
        let fields: Vec<_> = std::iter::once(("host", host)).chain(fields.iter().copied()).collect();
        let mut parts = head(verb, path, &fields);
        if h2 {
            parts.version = Version::HTTP_2;
        }
        let (_, verdict) = bench.begin(host, &parts);
        assert_eq!(word(&verdict), want, "{name}");
    }
}

#[test]
fn binary_bodies_pass_as_they_come_and_a_value_that_hides_in_one_type_is_found() {
    let bench = blocks();
    let mut parts = head(Method::POST, "/x", &[("host", "x.example"), ("content-type", "application/grpc")]);
    parts.version = Version::HTTP_2;
    let (mut inspection, _) = bench.begin("x.example", &parts);
    for _ in 0..3 {
        assert_eq!(word(&inspection.body(Direction::ToServer, b"\0\0\0\0\x05hello")), 'P');
    }
    let (mut inspection, _) = bench.begin("x.example", &parts);
    let (first, rest) = CALL.split_at(50);
    assert_eq!(word(&inspection.body(Direction::ToServer, first.as_bytes())), 'H');
    assert_eq!(word(&inspection.body(Direction::ToServer, rest.as_bytes())), 'A');
}

#[test]
fn a_batch_is_one_value_and_each_of_its_messages_is_named() {
    let bench = blocks();
    let long = "x".repeat(1000);
    let batch = format!(
        r#"[{VENDOR},{CALL},{{"jsonrpc":"2.0","method":"notifications/initialized"}},{{"jsonrpc":"2.0","id":"{long}","method":"tools/list"}}]"#
    );
    let (mut inspection, _) = bench.begin("x.example", &post(batch.len()));
    let (most, last) = batch.split_at(batch.len() - 1);
    for byte in most.as_bytes().chunks(7) {
        assert_eq!(word(&inspection.body(Direction::ToServer, byte)), 'H');
    }
    let ruling = acts(inspection.body(Direction::ToServer, last.as_bytes()));
    assert!(ruling.batch && ruling.start);
    assert_eq!((ruling.stage, ruling.cause, ruling.left_out), (Stage::Message, Cause::Policy, 0));
    let ids: Vec<_> = ruling.messages.iter().map(|said| (said.kind, said.id.clone())).collect();
    let text = |id: &str| Some(mcp::Id::Text(id.to_owned()));
    assert_eq!(
        ids,
        [
            (Kind::Request, text("v-1")),
            (Kind::Request, Some(mcp::Id::Number("7".to_owned()))),
            (Kind::Notification, None),
            (Kind::Request, text(&long)),
        ]
    );
}

#[test]
fn of_two_messages_on_one_stream_each_has_a_verdict_of_its_own() {
    let bench = bench(|raw| raw.shadow = RawAction::Block);
    let mut parts = head(Method::POST, "/rpc", &[("host", "x.example"), ("content-type", "application/json")]);
    parts.version = Version::HTTP_2;
    let (mut inspection, _) = bench.begin("x.example", &parts);
    assert_eq!(word(&inspection.body(Direction::ToServer, LSP.as_bytes())), 'P');
    assert_eq!(word(&inspection.body(Direction::ToServer, b"\n")), 'P');
    assert_eq!(word(&inspection.body(Direction::ToServer, &CALL.as_bytes()[..20])), 'H');
    assert_eq!(word(&inspection.body(Direction::ToServer, &CALL.as_bytes()[20..])), 'A');
    // In one slice, with the next one begun.
    let (mut inspection, _) = bench.begin("x.example", &parts);
    let both = format!("{CALL}\n{{\"a\":");
    assert_eq!(word(&inspection.body(Direction::ToServer, both.as_bytes())), 'A');
}

#[test]
fn a_message_that_is_cut_at_the_end_of_its_body_is_judged_as_far_as_it_goes() {
    let bench = blocks();
    let cut = &CALL[..CALL.len() - 2];
    let (mut inspection, _) = bench.begin("x.example", &post(cut.len()));
    assert_eq!(word(&inspection.body(Direction::ToServer, cut.as_bytes())), 'H');
    let ruling = acts(inspection.end(Direction::ToServer, EndKind::Complete));
    assert_eq!(ruling.messages.len(), 1);
    // Where the client went away nobody waits for a verdict.
    let (mut inspection, _) = bench.begin("x.example", &post(cut.len()));
    inspection.body(Direction::ToServer, cut.as_bytes());
    assert_eq!(word(&inspection.end(Direction::ToServer, EndKind::Cut)), 'P');
}

#[test]
fn a_server_that_shows_mcp_by_its_answer_has_its_next_request_judged_by_that() {
    let bench = blocks();
    let ask = |path: &str, body: &str| {
        let len = body.len().to_string();
        let parts = head(
            Method::POST,
            path,
            &[("host", "x.example"), ("content-type", "text/plain"), ("content-length", &len)],
        );
        let (mut inspection, _) = bench.begin("x.example", &parts);
        let verdict = word(&inspection.body(Direction::ToServer, body.as_bytes()));
        (inspection, verdict)
    };
    let (mut inspection, verdict) = ask("/odd", VENDOR);
    assert_eq!(verdict, 'P');
    inspection.end(Direction::ToServer, EndKind::Complete);
    inspection.response(&answer(200, "application/json"));
    let tools = r#"{"jsonrpc":"2.0","id":"v-1","result":{"tools":[{"name":"a","inputSchema":{}}]}}"#;
    assert_eq!(word(&inspection.body(Direction::ToClient, tools.as_bytes())), 'P', "answers pass");
    drop(inspection);
    assert_eq!(ask("/odd", VENDOR).1, 'A');
    assert_eq!(ask("/odd", r#"{"query":"{a}"}"#).1, 'P', "what is no message there passes");
    assert_eq!(ask("/other", VENDOR).1, 'P');
    // What only a client says makes no server.
    let (mut inspection, _) = ask("/third", CALL);
    inspection.response(&answer(404, "text/html"));
    drop(inspection);
    assert_eq!(ask("/third", VENDOR).1, 'P');
}

#[test]
fn websocket_messages_are_judged_one_by_one() {
    let bench = blocks();
    let upgrade = [("host", "x.example"), ("connection", "upgrade"), ("upgrade", "websocket")];
    let (mut inspection, verdict) = bench.begin("x.example", &head(Method::GET, "/socket", &upgrade));
    assert_eq!(word(&verdict), 'P');
    let switched = http::Response::builder().status(101).header("upgrade", "websocket").body(()).unwrap();
    inspection.response(&switched.into_parts().0);
    for (text, want) in [(LSP, 'P'), ("no JSON at all", 'P'), (CALL, 'A')] {
        let (first, rest) = text.as_bytes().split_at(9);
        inspection.body(Direction::ToServer, first);
        inspection.body(Direction::ToServer, rest);
        let verdict = inspection.message_end(Direction::ToServer);
        // A value that is closed is judged at once.
        assert!(word(&verdict) == want || text == CALL, "{text}: {verdict:?}");
    }
    assert!(inspection.case.as_ref().is_some_and(|case| case.done));
}

#[test]
fn what_is_stopped_is_recorded_with_all_that_was_decided_even_when_nobody_takes_it_at_first() {
    let bench = bench(|raw| {
        (raw.shadow, raw.message) = (RawAction::Block, Some("Use the portal.".to_owned()));
    });
    bench.kept.full.store(usize::MAX, Ordering::Relaxed);
    let (mut inspection, _) = bench.begin("x.example", &post(CALL.len()));
    let ruling = acts(inspection.body(Direction::ToServer, CALL.as_bytes()));
    assert_eq!(ruling.decision.message.as_deref(), Some("Use the portal."));
    assert_eq!((ruling.classification, ruling.host.as_str()), (Classification::Shadow, "x.example"));
    inspection.acted(&ruling, "none");
    drop(inspection);
    assert_eq!(bench.thread.outbox.waiting(), 1);
    bench.kept.full.store(0, Ordering::Relaxed);
    bench.thread.outbox.flush(&bench.thread.shared);
    assert_eq!(bench.thread.outbox.waiting(), 0);
    let made = bench.detections();
    let [made] = made.as_slice() else { panic!("{made:#?}") };
    assert_eq!(
        made["action"],
        serde_json::json!({"decided": "block", "taken": "block", "stage": "message", "policy": "actions.shadow",
            "cause": "policy", "dry_run": false, "delivered": "none"})
    );
    assert_eq!((&made["mcp"]["outcome"], &made["classification"]), (&"blocked".into(), &"shadow".into()));
    assert_eq!(made["source"], serde_json::json!({"kind": "proxy", "name": "egress"}));
    assert_eq!((&made["visibility"], &made["http"]["scheme"]), (&"intercepted".into(), &"https".into()));
    assert_eq!((&made["tls"]["sni"], &made["http"]["host"]), (&"x.example".into(), &"x.example".into()));
    assert_eq!(made["user"], serde_json::json!({"name": "ana", "from": "proxy_auth"}));
    assert_eq!(made["flow"]["server"]["ip"], "203.0.113.9");
}

#[test]
fn a_dry_run_stops_nothing_and_tells_what_it_would_have_stopped() {
    let bench = bench(|raw| (raw.shadow, raw.denied, raw.dry_run) = (RawAction::Block, RawAction::Block, true));
    for (host, path, body) in [("x.example", "/mcp", CALL), ("denied.example", "/", "{}")] {
        let parts = head(Method::POST, path, &[("host", host), ("content-type", "application/json")]);
        let (mut inspection, verdict) = bench.begin(host, &parts);
        assert_eq!(word(&verdict), 'P');
        assert_eq!(word(&inspection.body(Direction::ToServer, body.as_bytes())), 'P');
        assert_eq!(word(&inspection.end(Direction::ToServer, EndKind::Complete)), 'P');
        drop(inspection);
    }
    let actions: Vec<_> = bench.detections().into_iter().map(|made| made["action"].clone()).collect();
    assert_eq!(actions.len(), 2, "{actions:#?}");
    for action in actions {
        assert_eq!(
            (&action["decided"], &action["taken"], &action["dry_run"]),
            (&"block".into(), &"log".into(), &true.into())
        );
    }
    assert!(!refuses_host(&bench.settings, &CALLER, "denied.example"));
}

#[test]
fn what_cannot_be_held_is_refused_by_that_cause_and_makes_no_server() {
    let bench = blocks();
    let fields = [("host", "x.example"), ("content-type", "application/json"), ("content-length", "9000000")];
    let (mut inspection, _) = bench.begin("x.example", &head(Method::POST, "/upload", &fields));
    assert_eq!(word(&inspection.body(Direction::ToServer, br#"{"data":"#)), 'H');
    let ruling = inspection.refuse(Cause::Limit("hold_bytes"));
    assert_eq!((ruling.cause, ruling.decision.action), (Cause::Limit("hold_bytes"), Action::Block));
    inspection.acted(&ruling, "partial");
    drop(inspection);
    let records = bench.records();
    let made = records.iter().find(|record| record["type"] == "detection").unwrap();
    assert_eq!((&made["action"]["cause"], &made["action"]["reason"]), (&"limit".into(), &"hold_bytes".into()));
    assert_eq!(made["action"]["delivered"], "partial");
    assert!(!records.iter().any(|record| record["type"] == "server"));
}

#[test]
fn a_host_is_refused_by_its_name_alone_only_where_all_of_it_is_stopped() {
    let block = blocks();
    let unknown = bench(|raw| raw.unknown = RawAction::Block);
    let logs = bench(|_| ());
    for (bench, host, want) in [
        (&block, "denied.example", true),
        (&block, "half.example", false),
        (&block, "x.example", false),
        (&block, "mcp.notion.com", false),
        (&unknown, "mcp.notion.com", true),
        (&unknown, "denied.example", false),
        (&logs, "denied.example", false),
    ] {
        assert_eq!(refuses_host(&bench.settings, &CALLER, host), want, "{host}");
    }
    let (_, verdict) = block.begin("denied.example", &head(Method::GET, "/", &[("host", "denied.example")]));
    let ruling = acts(verdict);
    assert_eq!((ruling.stage, ruling.classification), (Stage::Connect, Classification::Denied));
}

#[test]
fn the_serial_stage_hears_of_the_end_of_a_connection_that_had_something_to_tell() {
    let bench = bench(|_| ());
    drop(bench.conn("x.example"));
    assert!(bench.kept.seen.lock().unwrap().is_empty());
    let conn = bench.conn("x.example");
    tell(&conn, ProxyNews::CaRefused { host: "x.example".to_owned() });
    drop(conn);
    let seen = bench.kept.seen.lock().unwrap();
    assert!(matches!(seen.last().map(|o| &o.what), Some(What::FlowEnd)));
    drop(seen);
    let records = bench.records();
    let [notice] = records.as_slice() else { panic!("{records:#?}") };
    assert_eq!((&notice["type"], &notice["code"]), (&"notice".into(), &"ca_refused".into()));
    let text = notice["message"].as_str().unwrap();
    assert!(text.contains("10.1.2.3 (ana)") && text.contains("x.example"), "{text}");
}

#[test]
fn heads_read_as_they_would_on_the_wire_whatever_form_the_target_has() {
    let bench = bench(|_| ());
    let conn = bench.conn("x.example");
    for (name, parts) in [
        ("origin form", head(Method::GET, "/mcp?a=1", &[("host", "x.example"), ("accept", "b")])),
        ("absolute form", head(Method::GET, "http://x.example/mcp?a=1", &[("host", "liar.example"), ("accept", "b")])),
        ("without a host", head(Method::GET, "/mcp?a=1", &[("accept", "b"), ("proxy-authorization", "Basic eA==")])),
    ] {
        heads::request(&conn, &parts, |head| {
            assert_eq!((head.method, head.target), ("GET", "/mcp?a=1"), "{name}");
            let host = head.headers.text("host").or(head.via_connect).unwrap_or_default();
            assert_eq!(detect::hosts::normal_host(host), "x.example", "{name}");
            assert_eq!(head.headers.all("host").count() + usize::from(head.via_connect.is_some()), 1, "{name}");
            assert_eq!(head.headers.text("accept"), Some("b"));
            assert_eq!(head.headers.get("proxy-authorization"), None);
        });
    }
}

#[test]
fn the_address_of_a_server_is_told_as_soon_as_there_is_one_and_not_before() {
    let bench = bench(|_| ());
    let conn = bench.conn("x.example");
    conn.server.set(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let (mut inspection, _) = Inspection::request(&conn, &bench.settings, &post(CALL.len()));
    inspection.body(Direction::ToServer, CALL.as_bytes());
    inspection.end(Direction::ToServer, EndKind::Complete);
    assert!(bench.kept.seen.lock().unwrap().is_empty());
    conn.server.set(SocketAddr::from(([198, 51, 100, 7], 443)));
    inspection.response(&answer(200, "application/json"));
    inspection.body(Direction::ToClient, br#"{"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#);
    inspection.end(Direction::ToClient, EndKind::Complete);
    drop(inspection);
    drop(conn);
    let made = bench.detections();
    assert_eq!(made.len(), 1);
    assert_eq!(
        (&made[0]["flow"]["server"]["ip"], &made[0]["action"]["taken"]),
        (&"198.51.100.7".into(), &"log".into())
    );
}

#[test]
fn a_server_is_known_by_the_name_of_the_handshake_where_connect_names_an_address() {
    let bench = blocks();
    for (host, want) in [("denied.example", 'A'), ("good.example", 'P')] {
        let body = CALL.as_bytes();
        for authority in [host, "203.0.113.9"] {
            let conn = bench.conn_to(authority, host);
            let (mut inspection, verdict) = Inspection::request(&conn, &bench.settings, &post(body.len()));
            let verdict = if word(&verdict) == 'H' { inspection.body(Direction::ToServer, body) } else { verdict };
            assert_eq!(word(&verdict), want, "{host} by {authority}");
        }
    }
}

#[test]
fn who_is_redirected_gets_in() {
    let bench = bench(|raw| {
        raw.shadow = RawAction::Redirect;
        raw.redirect_to = Some("https://portal.example/mcp".to_owned());
    });
    for (host, want) in [("x.example", 'A'), ("portal.example", 'P')] {
        let (mut inspection, verdict) = bench.begin(host, &post(CALL.len()));
        let verdict =
            if word(&verdict) == 'H' { inspection.body(Direction::ToServer, CALL.as_bytes()) } else { verdict };
        assert_eq!(word(&verdict), want, "{host}");
    }
}
