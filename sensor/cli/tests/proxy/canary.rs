//! Secrets pass through the proxy in every field of every protocol, and none of them comes out anywhere but there.
//!
//! Each place has a random token of its own, so that a leak names its place. Tokens carry no telltale word. Names that
//! the sensor is there to tell (hosts, users that logged in, methods, tools) are none.

use crate::needs_curl;
use crate::support::{CALL, INITIALIZE, Lab, PATIENCE, Proxy, sensor, until};
use crate::wire::{Peer, Wire};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use nix::pty::openpty;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::{Rng, websocket};

/// The password of `ana`, and what the file of logins has of it.
const PASSWORD: &str = "Zq7xV2mNw8LpRt4KcYb9";
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuu1gfWhqpUA33g862gJliokjJqJ.d/LZ.";

/// Hands out tokens and remembers where they went.
struct Canaries {
    rng: Rng,
    placed: BTreeMap<String, &'static str>,
}

impl Canaries {
    fn new() -> Self {
        Self { rng: Rng::new(0xca9a), placed: BTreeMap::from([(PASSWORD.to_owned(), "password of the proxy")]) }
    }

    fn token(&mut self, place: &'static str) -> String {
        let token = self.rng.word(24);
        self.placed.insert(token.clone(), place);
        token
    }

    /// In whatever form a token stands in a text: as it is, in hexadecimal, percent-encoded, in both Base64 alphabets
    /// and at each offset.
    fn check(&self, output: &str, text: &str) -> String {
        let lower = text.to_ascii_lowercase();
        let mut leaks = String::new();
        for (token, place) in &self.placed {
            let hex: String = token.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            let percent: String = token.bytes().fold(String::new(), |all, byte| all + &format!("%{byte:02x}"));
            let mut forms = vec![("in clear", token.to_ascii_lowercase()), ("hex", hex), ("percent", percent)];
            for offset in 0..3 {
                // What the bytes around it have no part in.
                let bytes = [&b"  "[..offset], token.as_bytes()].concat();
                let whole = |text: String| text[[0, 2, 3][offset]..text.len() - 2].to_owned();
                forms.push(("Base64", whole(STANDARD_NO_PAD.encode(&bytes))));
                forms.push(("Base64", whole(URL_SAFE_NO_PAD.encode(&bytes))));
            }
            for (kind, form) in forms {
                let (text, form) = if kind == "Base64" { (text, form) } else { (lower.as_str(), form) };
                if let Some(at) = text.find(&form) {
                    let around = &text.as_bytes()[at.saturating_sub(100)..(at + form.len() + 20).min(text.len())];
                    let around = String::from_utf8_lossy(around).into_owned();
                    writeln!(leaks, "{place} in {output}, {kind}: ...{around}...").unwrap();
                }
            }
        }
        leaks
    }
}

/// A proxy with every output there is, and what it wrote to each.
struct Watched {
    proxy: Proxy,
    metrics: String,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Watched {
    fn start(lab: &Lab, more: &str) -> Self {
        let _ = fs::remove_file(lab.path("events.jsonl"));
        fs::write(lab.path("logins"), format!("ana:{HASH}\n")).unwrap();
        fs::set_permissions(lab.path("logins"), PermissionsExt::from_mode(0o600)).unwrap();
        let config = Lab::config(&format!("[proxy.access]\ncredentials = \"logins\"\n{more}"));
        // Listeners and outputs are named by options.
        let config = config.split_once("[proxy]").unwrap().1;
        fs::write(lab.path("sensor.toml"), format!("[proxy]{config}")).unwrap();
        let pty = openpty(None, None).unwrap();
        let args = ["-c", "sensor.toml", "--log-level", "debug", "proxy", "-l", "127.0.0.1:0", "--look-alikes"];
        let mut command = sensor(lab.dir.path(), &args);
        command.args(["-o", "events.jsonl", "--metrics", "127.0.0.1:0"]).env("TERM", "xterm");
        let mut proxy = Proxy::begin_with(&mut command, Stdio::from(pty.slave));
        drop(command);
        let line = proxy.wait_for("metrics at http://");
        let metrics = line.rsplit_once("http://").unwrap().1.trim_end_matches("/metrics").to_owned();
        let line = proxy.wait_for("proxy on ");
        line.rsplit_once("proxy on ").unwrap().1.clone_into(&mut proxy.address);
        let screen = Arc::<Mutex<Vec<u8>>>::default();
        let drawn = Arc::clone(&screen);
        std::thread::spawn(move || {
            let (mut master, mut bytes) = (File::from(pty.master), [0; 1 << 10]);
            while let Ok(read @ 1..) = master.read(&mut bytes) {
                drawn.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        });
        Self { proxy, metrics, screen }
    }

    /// Says something to the proxy, and gives what comes until the connection ends, or nothing comes for a while.
    fn say(&self, bytes: &[u8]) -> String {
        self.say_and_wait(bytes, Duration::from_millis(400))
    }

    fn say_and_wait(&self, bytes: &[u8], patience: Duration) -> String {
        let mut stream = TcpStream::connect(&self.proxy.address).unwrap();
        stream.set_read_timeout(Some(patience)).unwrap();
        let _ = stream.write_all(bytes);
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    }

    /// A request to an origin by its whole address, as what came with a login.
    fn ask(&self, target: &str, host: &str, fields: &str, method: &str, body: &str) -> String {
        let login = format!("Proxy-Authorization: Basic {}\n", login(PASSWORD));
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\n", body.len()) };
        let head = format!("{method} {target} HTTP/1.1\nHost: {host}\nConnection: close\n{login}{length}{fields}\n");
        self.say_and_wait(&[head.replace('\n', "\r\n").as_bytes(), body.as_bytes()].concat(), PATIENCE)
    }

    /// Ends it, and says what leaked. Gives the events as well.
    fn leaks(self, lab: &Lab, canaries: &Canaries) -> (String, Vec<Value>) {
        let mut stream = TcpStream::connect(&self.metrics).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.metrics).unwrap();
        let mut metrics = String::new();
        stream.read_to_string(&mut metrics).unwrap();
        assert!(metrics.contains("mcp_sensor_proxy_requests_total{"), "{metrics}");
        let said = self.proxy.stop();
        let events = fs::read_to_string(lab.path("events.jsonl")).unwrap();
        let screen = String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned();
        assert!(screen.contains("localhost"), "nothing was drawn: {screen}");
        let outputs = [("events", events), ("messages", said), ("metrics", metrics), ("table", screen)];
        let leaks = outputs.iter().map(|(name, text)| canaries.check(name, text)).collect();
        (leaks, lab.events())
    }
}

fn login(password: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("ana:{password}"))
}

/// An origin that answers a request with what stands in `answers` for the last part of its path; with a result if
/// nothing does.
fn origin(answers: BTreeMap<&'static str, String>) -> Wire {
    Wire::start(None, move |mut peer| {
        while let Some((head, _)) = peer.request() {
            let path = head.split(' ').nth(1).unwrap_or_default();
            let path = path.split(['?', ';']).next().unwrap_or_default();
            if head.to_ascii_lowercase().contains("upgrade: websocket") {
                return socket(peer, &answers["socket"], &answers["reason"]);
            }
            match answers.get(path.rsplit('/').next().unwrap_or_default()) {
                Some(answer) => {
                    peer.send(answer.replace('\n', "\r\n").as_bytes());
                    return peer.end();
                }
                None => peer.send(json("", RESULT).replace('\n', "\r\n").as_bytes()),
            }
        }
    })
}

/// Puts a policy in force that has everything logged; gives a key to encrypt to, where that is the first time.
fn logging(lab: &Lab, action: &str, form: &str) -> Option<String> {
    let _ = fs::create_dir(lab.path("rules"));
    let policy = format!(
        "[pack]\nid = \"own\"\nversion = \"1\"\n[[policy]]\nid = \"all\"\naction = \"{action}\"\nlog_payload = \"{form}\"\n"
    );
    fs::write(lab.path("rules/own.toml"), policy).unwrap();
    let made = sensor(lab.dir.path(), &["payload", "keygen", "-o", "payload.key"]).output().unwrap();
    made.status.success().then(|| String::from_utf8(made.stdout).unwrap().trim_end().to_owned())
}

/// Agrees to a WebSocket, waits for a message, answers it and closes.
fn socket(mut peer: Peer, answer: &str, reason: &str) {
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\nSec-WebSocket-Protocol: mcp\r\n\r\n");
    peer.some();
    peer.send(&websocket::frame(1, answer.as_bytes(), None));
    peer.send(&websocket::frame(8, &[&[0x03, 0xe8], reason.as_bytes()].concat(), None));
    while !peer.some().is_empty() {}
}

const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}],"isError":false}}"#;

fn json(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: {}\n{fields}\n{body}", body.len())
}

fn call(id: &str, argument: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"note_find","arguments":{{"q":"{argument}"}}}}}}"#
    )
}

#[test]
fn a_secret_is_found_in_whatever_form_it_comes_out() {
    let mut c = Canaries::new();
    let token = c.token("here");
    let base64 = |before: &str| STANDARD_NO_PAD.encode(format!("{before}{token}:x"));
    let hex = token.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02X}"));
    for text in [token.to_uppercase(), hex, base64(""), base64("a"), base64("ab"), base64("ana:")] {
        assert!(c.check("it", &format!("some {text} text")).contains("here in it"), "{text}");
    }
    assert_eq!(c.check("it", &token[1..]), "");
}

#[test]
fn no_secret_comes_out_of_the_proxy_whatever_is_done_about_it() {
    needs_curl!();
    let lab = Lab::new();
    let mut c = Canaries::new();
    let answers = BTreeMap::from([
        (
            "fields",
            json(
                &format!(
                    "Set-Cookie: sid={}\nMcp-Session-Id: {}\nAuthentication-Info: nextnonce=\"{}\"\nX-Any: {}\nETag: \"{}\"\n",
                    c.token("Set-Cookie"),
                    c.token("session of an answer"),
                    c.token("nonce"),
                    c.token("any field of an answer"),
                    c.token("tag of an answer")
                ),
                RESULT,
            ),
        ),
        (
            "result",
            json(
                "",
                &format!(
                    r#"{{"jsonrpc":"2.0","id":"{}","result":{{"content":[{{"type":"text","text":"{}"}}],"structuredContent":{{"pin":"{}"}}}}}}"#,
                    c.token("id of an answer"),
                    c.token("result"),
                    c.token("structured result")
                ),
            ),
        ),
        (
            "error",
            json(
                "",
                &format!(
                    r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-32000,"message":"no {}","data":"{}"}}}}"#,
                    c.token("error"),
                    c.token("error data")
                ),
            ),
        ),
        (
            "broken",
            json(
                "",
                &format!(
                    r#"{{"jsonrpc":"2.0","id":1,"result":{{"protocolVersion":"2025-06-18","x":{}"#,
                    c.token("broken answer")
                ),
            ),
        ),
        (
            "events",
            format!(
                "HTTP/1.1 200 OK\nContent-Type: text/event-stream\n\nid: {}\nevent: message\ndata: {{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{}\"}}]}}}}\n\n: {}\n\nevent: {}\ndata: {}\n\n",
                c.token("event id"),
                c.token("event data"),
                c.token("comment"),
                c.token("event name"),
                c.token("event of no JSON")
            ),
        ),
        (
            "sse",
            format!(
                "HTTP/1.1 200 OK\nContent-Type: text/event-stream\n\nevent: endpoint\ndata: /messages/?session_id={}\n\n",
                c.token("session of an endpoint")
            ),
        ),
        (
            "trailer",
            format!(
                "HTTP/1.1 200 OK\nContent-Type: application/json\nTransfer-Encoding: chunked\nTrailer: X-End\n\n{:x}\n{RESULT}\n0\nX-End: {}\n\n",
                RESULT.len(),
                c.token("trailer of an answer")
            ),
        ),
        (
            "moved",
            format!(
                "HTTP/1.1 302 Found\nLocation: https://login.corp.example/?code={}\nContent-Length: 0\n\n",
                c.token("Location")
            ),
        ),
        (
            "who",
            format!(
                "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Bearer realm=\"{}\", error_description=\"{}\"\nContent-Length: 0\n\n",
                c.token("realm"),
                c.token("challenge")
            ),
        ),
        (
            "trouble",
            format!("HTTP/1.1 500 Oh\nContent-Type: text/plain\nContent-Length: 24\n\n{}", c.token("page of an error")),
        ),
        ("garbage", format!("220 {} ready\n", c.token("no head"))),
        (
            "odd",
            format!(
                "HTTP/1.1 200 OK\nBad Field {}\nContent-Length: 1\nContent-Length: 2\n\nab",
                c.token("bad field of an answer")
            ),
        ),
        ("reason-phrase", format!("HTTP/1.1 404 {}\nContent-Length: 0\n\n", c.token("reason phrase"))),
        (
            "cut",
            format!(
                "HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 900\n\n{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{\"x\":\"{}",
                c.token("answer that breaks off")
            ),
        ),
        (
            "token",
            json(
                "",
                &format!(
                    r#"{{"access_token":"{}","token_type":"Bearer","refresh_token":"{}"}}"#,
                    c.token("access token"),
                    c.token("refresh token")
                ),
            ),
        ),
        (
            "socket",
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{}"}}]}}}}"#,
                c.token("answer on a WebSocket")
            ),
        ),
        ("reason", c.token("reason of a close by the origin")),
    ]);
    let paths: Vec<_> = answers.keys().copied().filter(|name| !["socket", "reason"].contains(name)).collect();
    let wire = origin(answers);
    let host = format!("localhost:{}", wire.address.port());
    let (own, odd) = (format!("http://{host}"), "X-Forwarded-For: 10.0.0.1\n");
    let json = "Content-Type: application/json\nAccept: application/json, text/event-stream\n";
    let portal = "redirect_to = \"https://mcp.corp.example/mcp\"\n";
    let block = "[actions]\nshadow = \"block\"\nunknown = \"block\"\n";
    let key = logging(&lab, "log", "masked").unwrap();
    for (action, logged, more) in [
        ("log", None, String::new()),
        ("block", None, block.to_owned()),
        ("redirect", None, format!("[actions]\nshadow = \"redirect\"\nunknown = \"redirect\"\n{portal}")),
        // All that is said is logged.
        ("log", Some("masked"), "[rules]\ndirs = [\"rules\"]\n".to_owned()),
        ("log", Some("encrypted"), format!("[rules]\ndirs = [\"rules\"]\n[payload]\nrecipients = [\"{key}\"]\n")),
        (
            "block",
            Some("encrypted"),
            format!("{block}[rules]\ndirs = [\"rules\"]\n[payload]\nrecipients = [\"{key}\"]\n"),
        ),
    ] {
        if let Some(form) = logged {
            let _ = logging(&lab, action, form);
        }
        let watched = Watched::start(&lab, &more);
        // Fields.
        for field in [
            format!("Authorization: Bearer {}\n", c.token("Bearer")),
            format!("Authorization: Basic {}\n", login(&c.token("password of Basic"))),
            format!("Authorization: {}\n", c.token("Authorization without a scheme")),
            format!("x-api-key: {}\napi-key: {}\n", c.token("x-api-key"), c.token("api-key")),
            format!("Cookie: sid={}; {}=1\n", c.token("Cookie"), c.token("name of a cookie")),
            format!("Mcp-Session-Id: {}\n", c.token("Mcp-Session-Id")),
            format!("Last-Event-ID: {}\nReferer: {own}/?c={}\n", c.token("Last-Event-ID"), c.token("Referer")),
            format!("Mcp-Method: tools/call\nMcp-Name: note_find\nMcp-Param-Area: {}\n", c.token("Mcp-Param")),
            format!("X-Any: {}\n{odd}Forwarded: for=\"_{}\"\n", c.token("any field"), c.token("Forwarded")),
            format!("Origin: https://{}:{}@localhost\n", c.token("user of Origin"), c.token("password of Origin")),
        ] {
            watched.ask(&format!("{own}/mcp"), &host, &format!("{json}{field}"), "POST", CALL);
        }
        // Targets.
        for target in [
            format!("/mcp?api_key={}&x={}", c.token("query"), c.token("query, second")),
            format!("/mcp?{}", c.token("query without a name")),
            format!("/s/{}/mcp", c.token("segment")),
            format!("/s/sk-{}/mcp;key={}", c.token("segment, key"), c.token("path parameter")),
            format!("/%6dcp?key={}", c.token("query of an escaped path")),
        ] {
            watched.ask(&format!("{own}{target}"), &host, json, "POST", CALL);
        }
        let target = format!("http://{}:{}@{host}/mcp", c.token("user of a target"), c.token("password of a target"));
        watched.ask(&target, &host, json, "POST", CALL);
        watched.ask(&format!("{own}/mcp#{}", c.token("fragment")), &host, json, "POST", CALL);
        let other = format!("ana:{}@other.example", c.token("password of Host"));
        watched.ask(&format!("{own}/mcp"), &other, json, "POST", CALL);
        // Messages, and what the origin answers to them.
        for path in &paths {
            let method = if *path == "sse" { "GET" } else { "POST" };
            let id = format!("\"{}\"", c.token("id of a call"));
            let body = if method == "GET" { String::new() } else { call(&id, &c.token("argument")) };
            watched.ask(&format!("{own}/{path}"), &host, json, method, &body);
        }
        let batch = format!("[{},{}]", call("1", &c.token("argument in a batch")), call("2", "k"));
        let twice = format!(
            r#"{{"jsonrpc":"2.0","id":1,"id":"{}","method":"tools/call","method":"ping"}}"#,
            c.token("second id")
        );
        let broken = format!(
            r#"{{"jsonrpc":"2.0",'id':1,"method":"tools/call","params":{{"q":"{}"}}}}"#,
            c.token("broken call")
        );
        let note = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"data":"{}"}}}}"#,
            c.token("notification")
        );
        let start = INITIALIZE
            .replace("\"capabilities\":{}", &format!("\"capabilities\":{{\"x\":\"{}\"}}", c.token("capability")));
        for body in [batch, twice, broken, note, start] {
            watched.ask(&format!("{own}/mcp"), &host, json, "POST", &body);
        }
        let form = format!(
            "grant_type=authorization_code&code={}&client_secret={}",
            c.token("code"),
            c.token("client secret")
        );
        watched.ask(&format!("{own}/token"), &host, "Content-Type: application/x-www-form-urlencoded\n", "POST", &form);
        // Trailers, and a request that breaks off.
        let message = call("1", &c.token("argument in a chunk"));
        let login = login(PASSWORD);
        let chunked = format!(
            "POST {own}/mcp HTTP/1.1\nHost: {host}\nConnection: close\nProxy-Authorization: Basic {login}\n{json}Transfer-Encoding: chunked\nTrailer: X-End\n\n{:x}\n{message}\n0\nX-End: {}\n\n",
            message.len(),
            c.token("trailer")
        );
        watched.say(chunked.replace('\n', "\r\n").as_bytes());
        let torn = format!(
            "POST {own}/mcp HTTP/1.1\nHost: {host}\nProxy-Authorization: Basic {login}\n{json}Content-Length: 900\n\n{}",
            call("1", &c.token("call that breaks off"))
        );
        let mut stream = TcpStream::connect(&watched.proxy.address).unwrap();
        stream.write_all(torn.replace('\n', "\r\n").as_bytes()).unwrap();
        drop(stream);
        // What is refused.
        for head in [
            format!(
                "GET {own}/ HTTP/1.1\nHost: {host}\nProxy-Authorization: Basic {}\n\n",
                self::login(&c.token("wrong password"))
            ),
            format!(
                "GET {own}/ HTTP/1.1\nHost: {host}\nProxy-Authorization: Bearer {}\n\n",
                c.token("login of another kind")
            ),
            format!(
                "CONNECT ana:{}@{host} HTTP/1.1\nHost: {host}\nProxy-Authorization: Basic {login}\n\n",
                c.token("password of CONNECT")
            ),
            format!(
                "CONNECT {host}/{} HTTP/1.1\nHost: {host}\nProxy-Authorization: Basic {login}\n\n",
                c.token("path of CONNECT")
            ),
            format!(
                "CONNECT 169.254.169.254:80 HTTP/1.1\nHost: {}\nProxy-Authorization: Basic {login}\n\n",
                c.token("Host of CONNECT")
            ),
            format!(
                "GET ftp://ana:{}@{host}/ HTTP/1.1\nHost: {host}\nProxy-Authorization: Basic {login}\n\n",
                c.token("password of FTP")
            ),
            format!(
                "GET /{} HTTP/1.1\nHost: {host}\nProxy-Authorization: Basic {login}\nConnection: close\n\n",
                c.token("path for the proxy itself")
            ),
            format!(
                "GET http://169.254.169.254/{} HTTP/1.1\nHost: 169.254.169.254\nProxy-Authorization: Basic {login}\nConnection: close\n\n",
                c.token("path that is forbidden")
            ),
            format!(
                "GET http://nowhere.invalid/{} HTTP/1.1\nHost: nowhere.invalid\nProxy-Authorization: Basic {login}\nConnection: close\n\n",
                c.token("path of no host")
            ),
            format!(
                "POST {own}/mcp HTTP/1.1\nHost: {host}\nProxy-Authorization: Basic {login}\nContent-Length: 5\nContent-Length: 7\nX Bad: {}\n\nhello",
                c.token("bad field")
            ),
            format!(
                "GET {own}/ HTTP/1.1\nHost: {host}\nProxy-Authorization: Basic {login}\nX-Long: {}{}\n\n",
                c.token("long field"),
                "x".repeat(70_000)
            ),
            format!("{} what is this\n\n", c.token("no request")),
        ] {
            watched.say(head.replace('\n', "\r\n").as_bytes());
        }
        // WebSocket, in the clear behind CONNECT.
        let (sent, ping, end) =
            (call("1", &c.token("call on a WebSocket")), c.token("ping"), c.token("reason of a close"));
        let upgrade = format!(
            "CONNECT {host} HTTP/1.1\nHost: {host}\nProxy-Authorization: Basic {login}\n\nGET /ws?key={} HTTP/1.1\nHost: {host}\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\nSec-WebSocket-Protocol: mcp, {}\n\n",
            c.token("query of an upgrade"),
            c.token("second sub-protocol")
        );
        let mask = Some([9, 8, 7, 6]);
        let frames = [
            websocket::frame(9, ping.as_bytes(), mask),
            websocket::frame(1, sent.as_bytes(), mask),
            websocket::frame(8, &[&[0x03, 0xe8], end.as_bytes()].concat(), mask),
        ];
        watched.say(&[upgrade.replace('\n', "\r\n").into_bytes(), frames.concat()].concat());
        // What cannot be read at all.
        watched.say(
            format!(
                "CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Basic {login}\r\n\r\n\0{}",
                c.token("unknown protocol")
            )
            .as_bytes(),
        );
        // The same over HTTP/1.1 and HTTP/2 behind TLS.
        let proxied = format!("http://ana:{PASSWORD}@{}", watched.proxy.address);
        for version in ["--http1.1", "--http2"] {
            let url = format!("{}?key={}", lab.origin.https("/mcp"), c.token("query behind TLS"));
            let bearer = format!("Authorization: Bearer {}", c.token("Bearer behind TLS"));
            let cookie = format!("Cookie: sid={}", c.token("Cookie behind TLS"));
            let session = format!("Mcp-Session-Id: {}", c.token("session behind TLS"));
            let body = call(&format!("\"{}\"", c.token("id behind TLS")), &c.token("argument behind TLS"));
            let json = "Content-Type: application/json";
            let args = [version, "-x", &proxied, "-H", &bearer, "-H", &cookie, "-H", &session, "-H", json];
            lab.curl(&watched.proxy, &[&args[..], &["--data-binary", &body, &url]].concat());
        }
        let calls = |events: &[Value]| {
            let is = |event: &&Value| event["type"] == "detection" && event["mcp"]["methods"][0] == "tools/call";
            events.iter().filter(is).count()
        };
        until("what was called is told", || calls(&lab.events()) >= 25);
        let (leaks, events) = watched.leaks(&lab, &c);
        assert!(leaks.is_empty(), "{action}: {leaks}");
        let form = logged.unwrap_or_default();
        let logs =
            |event: &&Value| event["payload"].as_array().is_some_and(|all| all.iter().all(|p| p["form"] == form));
        assert_eq!(events.iter().filter(logs).count() >= 20, logged.is_some(), "{action}: {form}: {events:#?}");
        let taken = |event: &Value| event["type"] == "detection" && event["action"]["taken"] == action;
        assert!(events.iter().any(taken), "{action}: {events:#?}");
        assert!(
            events.iter().any(|event| event["user"]["name"] == "ana" || event.to_string().contains("\"ana\"")),
            "{events:#?}"
        );
    }
}
