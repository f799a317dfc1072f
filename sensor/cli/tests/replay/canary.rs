//! Secrets go in everywhere, and none of them comes out.
//!
//! Each place gets a random token of its own, so that a leak names its place. Tokens carry no telltale word: nothing
//! may recognise them but their place.

use crate::support::Run;
use detect::LogPayload;
use sinks::payload::{Identities, Recipients};
use std::sync::Arc;
use testkit::{Capture, Direction, Rng, Wire, http, websocket};

/// Base64 with the URL alphabet and without padding, as JWTs use it; `+/` and padding where `url` is false.
fn base64(bytes: &[u8], url: bool) -> String {
    let alphabet: &[u8; 64] = if url {
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    } else {
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    };
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let value = chunk.iter().fold(0_u32, |v, b| v << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            out.push(char::from(alphabet[(value >> (18 - 6 * digit) & 63) as usize]));
        }
    }
    while !url && !out.len().is_multiple_of(4) {
        out.push('=');
    }
    out
}

/// Hands out tokens and remembers where they went.
struct Canaries {
    rng: Rng,
    placed: Vec<(String, String)>,
}

impl Canaries {
    fn token(&mut self, place: &str) -> String {
        let token = self.rng.word(24);
        self.placed.push((place.to_owned(), token.clone()));
        token
    }

    /// A token that has another look: 32 hex digits, as session ids and keys in paths have.
    fn hex(&mut self, place: &str) -> String {
        let token = format!("{:016x}{:016x}", self.rng.next_u64(), self.rng.next_u64());
        self.placed.push((place.to_owned(), token.clone()));
        token
    }

    /// A number, longer than any that is told.
    fn digits(&mut self, place: &str) -> String {
        let token = format!("1{:019}", self.rng.next_u64() % 10_000_000_000_000_000_000);
        self.placed.push((place.to_owned(), token.clone()));
        token
    }

    /// A text made of others, secret as well.
    fn also(&mut self, place: &str, text: String) -> String {
        self.placed.push((place.to_owned(), text.clone()));
        text
    }

    #[track_caller]
    fn check(&self, run: &Run) {
        self.search(&run.lines);
    }

    /// The same where policies have everything logged, in either form, encrypted to somebody or to nobody. Searched is
    /// also what a record shows to whoever prints it.
    #[track_caller]
    fn check_logged(&self, pcap: &[u8]) {
        let key = Identities::generate();
        for (form, keys) in [
            (LogPayload::Masked, Recipients::default()),
            (LogPayload::Encrypted, Recipients::default()),
            (LogPayload::Encrypted, key.recipients()),
        ] {
            let (events, shown) = logged(pcap, form, &keys);
            self.search(&events);
            self.search(&shown);
            let payloads = events.iter().filter(|line| line.contains(&format!("\"form\":\"{}\"", form.word())));
            assert!(payloads.count() > 0, "nothing was logged, so nothing was tested");
        }
    }

    #[track_caller]
    fn search(&self, lines: &[String]) {
        let mut leaks = Vec::new();
        for line in lines {
            for (place, token) in &self.placed {
                if let Some(at) = line.find(token.as_str()) {
                    let bytes = &line.as_bytes()[at.saturating_sub(80)..(at + token.len() + 20).min(line.len())];
                    leaks.push(format!("{place}: ...{}...", String::from_utf8_lossy(bytes)));
                }
            }
        }
        assert!(leaks.is_empty(), "{} leaks of {} places:\n{}", leaks.len(), self.placed.len(), leaks.join("\n"));
    }
}

/// Events of a capture where everything is logged, as lines and as whoever prints records sees them, before and after they
/// are sealed.
fn logged(pcap: &[u8], form: LogPayload, keys: &Recipients) -> (Vec<String>, Vec<String>) {
    let policy = format!(
        "[pack]\nid = \"own\"\nversion = \"1\"\n[[policy]]\nid = \"a\"\nwhen = {{ classification = [\"look_alike\", \"portal\", \"sanctioned\", \"sanctioned_direct\", \"published\", \"denied\", \"shadow\", \"unknown\"] }}\naction = \"log\"\nlog_payload = \"{}\"\n",
        form.word()
    );
    let own = detect::rules::RuleText { file: "own", text: &policy, lists: &|_| Err("there is none".to_owned()) };
    let all = [detect::rules::builtin().as_slice(), &[own]].concat();
    let rules = detect::rules::compile(&all).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let generation = detect::Generation { rules, scope: detect::Scope::default(), policy: detect::Policy::default() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.pcap");
    std::fs::write(&path, pcap).unwrap();
    let reader = capture::Reader::open(&[path], &capture::Options::default()).unwrap();
    let settings = pipeline::Settings { look_alikes: true, ..Default::default() };
    let (mut lines, mut shown) = (Vec::new(), Vec::new());
    let mut take = |mut record: correlate::Record| {
        let mut line = Vec::new();
        for sealed in [false, true] {
            if sealed {
                keys.seal(&mut record);
            }
            shown.push(format!("{record:?}"));
            sinks::jsonl::line(&record, &mut line).unwrap();
            lines.push(String::from_utf8(line.clone()).unwrap());
        }
    };
    pipeline::replay(reader, &settings, &Arc::new(generation), &pipeline::RunInfo::default(), &mut take, &|_, _| {})
        .unwrap();
    (lines, shown)
}

fn canaries(seed: u64) -> Canaries {
    Canaries { rng: Rng::new(seed), placed: Vec::new() }
}

/// Plays (request, answer) pairs on one flow, and checks that at least one detection was made and nothing leaked.
#[track_caller]
fn holds(canaries: &Canaries, exchanges: &[(Vec<u8>, Vec<u8>)]) {
    for mss in [1460, 11] {
        let mut capture = Capture::new();
        let flow = capture.flow("10.1.1.1:40001", "10.2.2.2:8000", Wire::cut(mss));
        for (request, answer) in exchanges {
            capture.send(flow, Direction::ToServer, request);
            capture.send(flow, Direction::ToClient, answer);
        }
        capture.fin(flow);
        let pcap = capture.pcap();
        for run in [Run::of(&pcap), Run::with_look_alikes(&pcap)] {
            assert!(!run.of_type("detection").is_empty(), "nothing was detected, so nothing was tested");
            canaries.check(&run);
        }
        canaries.check_logged(&pcap);
    }
}

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"note_find","arguments":{"q":"k"}}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}],"isError":false}}"#;
const HOST: &str = "notes.corp.example";

#[test]
fn secrets_in_headers_stay_inside() {
    let mut c = canaries(1);
    let basic = format!("ana:{}", c.token("password of Basic"));
    let basic = c.also("Basic credentials", base64(basic.as_bytes(), false));
    let claims = base64(
        br#"{"iss":"https://login.corp.example","sub":"ana","aud":"https://notes.corp.example/mcp","jti":"made-up"}"#,
        true,
    );
    let signature = c.token("JWT signature");
    let jwt_head = base64(br#"{"alg":"RS256","typ":"JWT"}"#, true);
    c.also("JWT claims as sent", claims.clone());
    let kinds = [
        format!("Authorization: Bearer {}\n", c.token("Bearer token")),
        format!("Authorization: Basic {basic}\n"),
        format!("Authorization: Bearer {jwt_head}.{claims}.{signature}\n"),
        format!("Authorization: {}\n", c.token("Authorization without a scheme")),
        format!("authorization: Custom id=\"1\", response=\"{}\"\n", c.token("Authorization of an unknown scheme")),
        format!("x-api-key: {}\n", c.token("x-api-key")),
        format!("Api-Key: {}\n", c.token("api-key")),
        format!("X-Auth-Token: {}\n", c.token("x-auth-token")),
        format!("Cookie: sid={}; theme=dark; {}=1\n", c.token("Cookie"), c.token("Cookie name")),
        format!("Proxy-Authorization: Basic {}\n", c.token("Proxy-Authorization")),
        format!("Mcp-Session-Id: {}\n", c.hex("Mcp-Session-Id")),
        format!("Mcp-Session-Id: {}\n", c.token("Mcp-Session-Id, a word")),
        format!("Referer: https://portal.corp.example/?code={}\n", c.token("Referer")),
        format!("Last-Event-ID: {}\n", c.token("Last-Event-ID")),
        format!("mcp-param-area: {}\nmcp-method: tools/call\nmcp-name: note_find\n", c.token("Mcp-Param")),
        format!("X-Forwarded-For: 10.0.0.1\nX-Custom-Secret: {}\n", c.token("any other header")),
    ];
    let answers = [
        format!("Set-Cookie: sid={}; HttpOnly\n", c.token("Set-Cookie")),
        format!("Mcp-Session-Id: {}\n", c.hex("Mcp-Session-Id of an answer")),
        format!("Location: https://login.corp.example/?state={}\n", c.token("Location")),
        format!("Authentication-Info: nextnonce=\"{}\"\n", c.token("Authentication-Info")),
        format!("WWW-Authenticate: Bearer realm=\"x\", error_description=\"{}\"\n", c.token("challenge")),
    ];
    let exchanges: Vec<_> = kinds
        .iter()
        .enumerate()
        .map(|(n, extra)| (http::post(HOST, "/mcp", extra, CALL), http::json(&answers[n % answers.len()], RESULT)))
        .collect();
    holds(&c, &exchanges);
}

#[test]
fn secrets_in_targets_stay_inside() {
    let mut c = canaries(2);
    let word = |text: &str| text.to_owned();
    let targets = [
        format!("/mcp?api_key={}", c.token("query value")),
        format!("/mcp?profile=x&token={}&x=1", c.hex("query value, second")),
        format!("/mcp?{}", c.token("query without a name")),
        format!("/mcp?a=1;key={}", c.token("query after a semicolon")),
        format!("/api/mcp/s/{}/mcp", c.hex("path segment, hex")),
        format!("/api/mcp/u/{}-{}/sse", c.token("path segment"), c.rng.word(8)),
        format!("/mcp;key={}", c.token("path parameter")),
        format!("/%6dcp?key={}", c.token("query of an escaped path")),
        format!("http://ana:{}@notes.corp.example/mcp", c.token("user information")),
        format!("/mcp#{}", c.token("fragment")),
        format!("/v1/{}/mcp", {
            let t = format!("sk-{}", c.token("path segment, key"));
            c.also("path segment, whole key", t)
        }),
        word("/mcp"),
    ];
    let exchanges: Vec<_> =
        targets.iter().map(|target| (http::post(HOST, target, "", CALL), http::json("", RESULT))).collect();
    holds(&c, &exchanges);
}

#[test]
fn secrets_in_messages_stay_inside() {
    let mut c = canaries(3);
    let exchange = |request: String, answer: String| (http::post(HOST, "/mcp", "", &request), http::json("", &answer));
    let exchanges = vec![
        exchange(
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"note_find","arguments":{{"q":"{}","deep":{{"list":["{}",{{"x":"\u0041{}"}}]}},"{}":1,"long":"{}{}"}},"_meta":{{"progressToken":"{}"}}}}}}"#,
                c.token("argument"),
                c.token("argument in a list"),
                c.token("argument after an escape"),
                "plain_key",
                "x".repeat(300),
                c.token("argument past a cut"),
                c.token("progress token"),
            ),
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{}"}}],"structuredContent":{{"pin":"{}"}},"isError":false}}}}"#,
                c.token("result text"),
                c.token("structured result"),
            ),
        ),
        exchange(
            format!(r#"{{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{{"uri":"note://17?token={}"}}}}"#, c.token("query of a resource")),
            format!(r#"{{"jsonrpc":"2.0","id":2,"result":{{"contents":[{{"uri":"note://17","text":"{}"}}]}}}}"#, c.token("resource text")),
        ),
        exchange(
            format!(r#"{{"jsonrpc":"2.0","id":3,"method":"prompts/get","params":{{"name":"letter","arguments":{{"to":"{}"}}}}}}"#, c.token("prompt argument")),
            format!(
                r#"{{"jsonrpc":"2.0","id":3,"result":{{"messages":[{{"role":"user","content":{{"type":"text","text":"{}"}}}}]}}}}"#,
                c.token("prompt text")
            ),
        ),
        exchange(
            format!(r#"{{"jsonrpc":"2.0","id":4,"method":"completion/complete","params":{{"ref":{{"type":"ref/prompt","name":"letter"}},"argument":{{"name":"to","value":"{}"}}}}}}"#, c.token("completion")),
            format!(r#"{{"jsonrpc":"2.0","id":4,"error":{{"code":-32000,"message":"no {}","data":{{"trace":"{}"}}}}}}"#, c.token("error message"), c.token("error data")),
        ),
        exchange(
            format!(
                r#"{{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{{"name":"note_find","arguments":"{}","requestState":"{}","inputResponses":{{"who":{{"action":"accept","content":{{"team":"{}"}}}}}}}}}}"#,
                c.token("arguments that are a string"),
                c.token("request state"),
                c.token("input response"),
            ),
            format!(r#"{{"jsonrpc":"2.0","id":5,"result":{{"resultType":"input_required","inputRequests":{{"who":{{"method":"elicitation/create","params":{{"message":"{}"}}}}}},"requestState":"{}"}}}}"#, c.token("elicitation"), c.token("request state of an answer")),
        ),
        exchange(
            format!(r#"{{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{{"name":"note_find","arguments":["{}"]}}}}"#, c.token("arguments that are a list")),
            format!(r#"{{"jsonrpc":"2.0","id":6,"method":"notifications/message","params":{{"level":"info","data":"{}"}}}}"#, c.token("log message")),
        ),
        // Names of members, values of every kind, and what stands where events show something.
        exchange(
            format!(
                r#"{{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{{"name":"note_find","arguments":{{"{}":{{"{}":[1,"{}"]}},"x":{}}},"_meta":{{"{}":"{}"}}}},"{}":"{}"}}"#,
                c.hex("name of an argument"),
                c.hex("name within an argument"),
                c.token("value under a name"),
                c.digits("number"),
                c.hex("name in _meta"),
                c.token("value in _meta"),
                c.hex("name beside the members of JSON-RPC"),
                c.token("value beside them"),
            ),
            format!(
                r#"{{"jsonrpc":"2.0","id":8,"result":{{"content":[{{"type":"{}","text":"{}","annotations":{{"audience":["{}"]}}}}],"structuredContent":{{"{}":{}}},"_meta":{{"x":"{}"}}}}}}"#,
                c.token("type of content"),
                c.token("text of content"),
                c.token("annotation"),
                c.hex("name in a structured result"),
                c.digits("number of a result"),
                c.token("_meta of a result"),
            ),
        ),
        exchange(
            format!(r#"{{"jsonrpc":"2.0","id":9,"method":"tools/list","params":{{"cursor":"{}"}}}}"#, c.token("cursor")),
            format!(
                r#"{{"jsonrpc":"2.0","id":9,"result":{{"tools":[{{"name":"note_find","title":"{}","description":"{}","inputSchema":{{"type":"object","properties":{{"q":{{"type":"string","default":"{}"}}}}}}}}],"nextCursor":"{}"}}}}"#,
                c.token("title of a tool"),
                c.token("description of a tool"),
                c.token("default in a schema"),
                c.token("next cursor"),
            ),
        ),
        // A body that does not parse: raw hits carry excerpts.
        exchange(
            format!(r#"{{"jsonrpc":"2.0",'id':1,"method":"tools/call","params":{{"name":"n","arguments":{{"q":"{}"}}}}}}"#, c.token("next to a raw hit")),
            format!(r#"{{"jsonrpc":"2.0","id":1,"secret":"{}","result":{{"protocolVersion":"2025-06-18","x":{}"#, c.token("before a raw hit"), c.token("a bare word after a raw hit")),
        ),
        // An event stream.
        (
            http::post(HOST, "/mcp", "", &format!(r#"[{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"n","arguments":{{"q":"{}"}}}}}}]"#, c.token("argument in a batch"))),
            http::message(
                "HTTP/1.1 200 OK\nContent-Type: text/event-stream",
                format!("id: {}\nevent: message\ndata: {{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{}\"}}]}}}}\n\n: {}\n\n", c.token("event id"), c.token("event data"), c.token("comment")).as_bytes(),
            ),
        ),
    ];
    holds(&c, &exchanges);
}

#[test]
fn secrets_of_the_authorisation_trail_stay_inside() {
    let mut c = canaries(4);
    let form = "Content-Type: application/x-www-form-urlencoded";
    let exchanges = vec![
        (
            http::post(HOST, "/mcp", "", CALL),
            http::request(
                "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Bearer resource_metadata=\"https://notes.corp.example/.well-known/oauth-protected-resource/mcp\"\nContent-Length: 0\n\n",
            ),
        ),
        (
            http::post(
                HOST,
                "/register",
                "",
                r#"{"redirect_uris":["http://127.0.0.1:33418/callback"],"client_name":"MCP CLI"}"#,
            ),
            http::json(
                "",
                &format!(
                    r#"{{"client_id":"c1","client_secret":"{}","registration_access_token":"{}"}}"#,
                    c.token("client secret"),
                    c.token("registration token")
                ),
            ),
        ),
        (
            http::request(&format!(
                "GET /authorize?client_id=c1&state={}&code_challenge={}&resource=https%3A%2F%2Fnotes.corp.example%2Fmcp HTTP/1.1\nHost: notes.corp.example\n\n",
                c.token("state"),
                c.token("code challenge")
            )),
            http::request(&format!(
                "HTTP/1.1 302 Found\nLocation: http://127.0.0.1:33418/callback?code={}\nContent-Length: 0\n\n",
                c.token("code in Location")
            )),
        ),
        (
            http::request(&format!(
                "GET /callback?code={}&state=s HTTP/1.1\nHost: 127.0.0.1:33418\n\n",
                c.token("code")
            )),
            http::request("HTTP/1.1 200 OK\nContent-Type: text/html\n\n<p>done</p>"),
        ),
        (
            http::request(&format!(
                "POST /token HTTP/1.1\nHost: notes.corp.example\n{form}\n\ngrant_type=authorization_code&code={}&code_verifier={}&client_secret={}&resource=https%3A%2F%2Fnotes.corp.example%2Fmcp",
                c.token("code in a form"),
                c.token("verifier"),
                c.token("client secret in a form")
            )),
            http::json(
                "",
                &format!(
                    r#"{{"access_token":"{}","token_type":"Bearer","refresh_token":"{}","id_token":"{}"}}"#,
                    c.token("access token"),
                    c.token("refresh token"),
                    c.token("id token")
                ),
            ),
        ),
        (
            http::post(HOST, "/mcp", &format!("Authorization: Bearer {}\n", c.token("bearer")), CALL),
            http::json("", RESULT),
        ),
    ];
    holds(&c, &exchanges);
}

#[test]
fn secrets_on_event_streams_and_sockets_stay_inside() {
    let mut c = canaries(5);
    let session = c.hex("session id of an endpoint");
    let mut capture = Capture::new();
    let stream = capture.flow("10.1.1.1:40001", "10.2.2.2:8000", Wire::default());
    capture.send(
        stream,
        Direction::ToServer,
        &http::request("GET /sse HTTP/1.1\nHost: notes.corp.example\nAccept: text/event-stream\n\n"),
    );
    let head = http::request("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n");
    let event = |name: &str, data: &str| {
        let bytes = http::events(&[(name, data)], "\r\n");
        [format!("{:x}\r\n", bytes.len()).into_bytes(), bytes, b"\r\n".to_vec()].concat()
    };
    let endpoint = format!("/messages/?session_id={session}&k={}", c.token("second value of an endpoint"));
    capture.send(stream, Direction::ToClient, &[head, event("endpoint", &endpoint)].concat());
    let post = capture.flow("10.1.1.1:40002", "10.2.2.2:8000", Wire::default());
    capture.send(post, Direction::ToServer, &http::post(HOST, &endpoint, "", CALL));
    capture.send(
        post,
        Direction::ToClient,
        &http::request("HTTP/1.1 202 Accepted\nContent-Type: text/plain\n\nAccepted"),
    );
    capture.send(
        stream,
        Direction::ToClient,
        &event("message", &RESULT.replace(":\"x\"", &format!(":\"{}\"", c.token("answer on the stream")))),
    );

    let socket = capture.flow("10.1.1.1:40003", "10.2.2.2:8001", Wire::default());
    let upgrade = format!(
        "GET /message?key={} HTTP/1.1\nHost: notes.corp.example\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\nSec-WebSocket-Protocol: mcp, {}\n\n",
        c.token("query of an upgrade"),
        c.token("second sub-protocol")
    );
    capture.send(socket, Direction::ToServer, &http::request(&upgrade));
    capture.send(socket, Direction::ToClient, &http::request("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\nSec-WebSocket-Protocol: mcp\n\n"));
    let call = CALL.replace("\"k\"", &format!("\"{}\"", c.token("argument on a socket")));
    capture.send(socket, Direction::ToServer, &websocket::frame(1, call.as_bytes(), Some([9, 8, 7, 6])));
    let result = RESULT.replace("\"x\"", &format!("\"{}\"", c.token("result on a socket")));
    capture.send(socket, Direction::ToClient, &websocket::frame(1, result.as_bytes(), None));
    for flow in [stream, post, socket] {
        capture.fin(flow);
    }
    let pcap = capture.pcap();
    for run in [Run::of(&pcap), Run::with_look_alikes(&pcap)] {
        assert!(run.of_type("detection").len() >= 2);
        c.check(&run);
    }
    c.check_logged(&pcap);
}

#[test]
fn secrets_of_look_alikes_and_broken_messages_stay_inside() {
    let mut c = canaries(6);
    let exchanges = vec![
        (http::post(HOST, "/mcp", "", CALL), http::json("", RESULT)),
        (http::post(HOST, "/", "", &format!(r#"{{"jsonrpc":"2.0","id":7,"method":"eth_sendRawTransaction","params":["{}"]}}"#, c.token("transaction"))), http::json("", &format!(r#"{{"jsonrpc":"2.0","id":7,"result":"{}"}}"#, c.token("transaction id")))),
        (http::post(HOST, "/acp", "", &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"session/new","params":{{"cwd":"/w","mcpServers":[{{"type":"http","name":"n","url":"https://notes.corp.example/mcp?key={}","headers":[{{"name":"Authorization","value":"{}"}}]}}]}}}}"#, c.token("URL of a harvested server"), c.token("header of a harvested server"))), http::json("", "{}")),
        (
            http::request(&format!("POST /v1/responses HTTP/1.1\nHost: llm.example\nAuthorization: Bearer {}\nContent-Type: application/json\n\n{{\"model\":\"m\",\"input\":\"{}\",\"tools\":[{{\"type\":\"mcp\",\"server_label\":\"n\",\"server_url\":\"https://u:{}@notes.corp.example/mcp?k={}\",\"authorization\":\"{}\"}}]}}", c.token("provider key"), c.token("prompt"), c.token("password of a server URL"), c.token("query of a server URL"), c.token("authorization of a provider call"))),
            http::json("", "{}"),
        ),
        // Two lengths that disagree: a notice may quote the head.
        (
            format!("POST /mcp HTTP/1.1\r\nHost: notes.corp.example\r\nAuthorization: Bearer {}\r\nContent-Length: 5\r\nContent-Length: 7\r\nX-Bad Header: {}\r\n\r\nhello", c.token("bearer of an ambiguous request"), c.token("value of a bad header")).into_bytes(),
            http::request("HTTP/1.1 400 Bad Request\nContent-Length: 0\n\n"),
        ),
    ];
    holds(&c, &exchanges);
}
