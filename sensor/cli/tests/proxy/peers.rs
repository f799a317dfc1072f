//! Clients that people use, old and new, go through the proxy to servers of the official SDK: over HTTP+SSE, Streamable
//! HTTP, WebSocket and the newest protocol without sessions.

mod policies;

use crate::installed;
use crate::support::{Lab, Proxy, until};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// What is installed.
struct Peers {
    /// Python with the SDK of 2025.
    old: PathBuf,
    /// Python with the newest SDK.
    newest: PathBuf,
    /// The folder of Node.js.
    node: PathBuf,
    /// A program on the Rust SDK, where Cargo can build it.
    rust: Option<PathBuf>,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxy/peers").join(name)
}

impl Peers {
    /// `None`, with a message, where they cannot be had.
    fn get() -> Option<&'static Self> {
        static PEERS: OnceLock<Option<Peers>> = OnceLock::new();
        let make = || {
            let python = |name| installed::python(&format!("proxy-{name}"), &script(&format!("{name}.txt")));
            let node = installed::node("proxy-node", &script(""));
            Some(Self { old: python("old")?, newest: python("newest")?, node: node?, rust: on_rust(&script("rmcp")) })
        };
        let peers = PEERS.get_or_init(make).as_ref();
        if peers.is_none() {
            println!("skipped: the SDKs cannot be installed here (python3 with venv, npm, and the network)");
        }
        peers
    }
}

/// The program on the Rust SDK. Its project stands alone, and is built once below `target`.
fn on_rust(project: &Path) -> Option<PathBuf> {
    let files = ["Cargo.toml", "Cargo.lock", "src/main.rs"].map(|file| project.join(file));
    let built = installed::home("rmcp-peer", &files, |dir| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--locked", "--quiet", "--manifest-path"]).arg(&files[0]).arg("--target-dir").arg(dir);
        installed::worked(&mut cargo)
    });
    if built.is_none() {
        println!("skipped in part: the Rust SDK cannot be built here (cargo, cc, and the network)");
    }
    built.map(|built| built.join("debug/rmcp-peer"))
}

/// A server of the SDK. It is killed at the end.
struct Server {
    child: Child,
    port: u16,
    seen: PathBuf,
}

impl Server {
    fn start(lab: &Lab, python: &Path, name: &str) -> Self {
        Self::start_as(lab, python, name, name)
    }

    /// Starts one that calls itself `name`, with files of another name.
    fn start_as(lab: &Lab, python: &Path, name: &str, file: &str) -> Self {
        let (told, seen) = (lab.path(&format!("{file}.port")), lab.path(&format!("{file}.seen")));
        let mut command = Command::new(python);
        command.arg(script("server.py")).args([name, "origin.crt", "origin.key"]).args([&seen, &told]);
        let child = command.current_dir(lab.dir.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Self { child, port: 0, seen };
        until("the server listens", || {
            assert!(server.child.try_wait().unwrap().is_none(), "the server does not come up");
            let text = fs::read_to_string(&told).unwrap_or_default();
            server.port = text.strip_suffix('\n').map_or(0, |port| port.parse().unwrap());
            server.port > 0
        });
        server
    }

    /// The methods that reached it, and forgets them.
    fn seen(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.seen).unwrap_or_default();
        let _ = fs::remove_file(&self.seen);
        text.lines().map(str::to_owned).collect()
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Servers with one tool, and the portal that people are to use instead.
struct Field {
    lab: Lab,
    peers: &'static Peers,
    old: Server,
    newest: Server,
    portal: Server,
}

/// Clients in other languages than Rust, and in Rust.
const CLIENTS: [&str; 7] =
    ["python sse", "python http", "python websocket", "python newest", "node old", "node current", "mcp-remote"];
const RUST_CLIENTS: [&str; 2] = ["rust http", "rust newest"];

impl Field {
    fn new() -> Option<Self> {
        let peers = Peers::get()?;
        let lab = Lab::new();
        let old = Server::start(&lab, &peers.old, "parts");
        let newest = Server::start(&lab, &peers.newest, "newest-parts");
        let portal = Server::start(&lab, &peers.old, "portal");
        Some(Self { lab, peers, old, newest, portal })
    }

    /// The clients that are there.
    fn clients(&self) -> Vec<&'static str> {
        let rust: &[_] = if self.peers.rust.is_some() { &RUST_CLIENTS } else { &[] };
        [&CLIENTS, rust].concat()
    }

    /// Starts the proxy. The portal is approved.
    fn proxy(&self, actions: &str) -> Proxy {
        let portal = self.portal.port;
        self.lab.start(&format!("[sanctioned]\nservers = [\"localhost:{portal}\"]\n[actions]\n{actions}"))
    }

    /// Runs a client, without a proxy where there is none. Gives what it prints: what it got, or why it failed.
    fn run(&self, name: &str, proxy: Option<&Proxy>) -> String {
        let Self { peers, old, .. } = self;
        let python = |program: &Path, kind: &str, url: String| {
            let mut command = Command::new(program);
            command.arg(script("client.py")).args([kind, &url]).env("SSL_CERT_FILE", self.trusted(proxy));
            command
        };
        let node = |args: &[&str], url: String| {
            let mut command = Command::new("node");
            command.args(args).arg(url).current_dir(&peers.node).env("NODE_EXTRA_CA_CERTS", self.trusted(proxy));
            command
        };
        let rust = |kind: &str, url: String| {
            let mut command = Command::new(peers.rust.as_ref().unwrap());
            command.args([kind, &url]).env("SSL_CERT_FILE", self.trusted(proxy)).env_remove("SSL_CERT_DIR");
            command
        };
        let http = || old.url("https", "/mcp");
        let mut command = match name {
            "python sse" => python(&peers.old, "sse", old.url("https", "/sse")),
            "python http" => python(&peers.old, "http", http()),
            "python websocket" => python(&peers.old, "websocket", old.url("wss", "/ws")),
            "python newest" => python(&peers.newest, "newest", self.newest.url("https", "/mcp")),
            "rust http" => rust("http", http()),
            "rust newest" => rust("newest", self.newest.url("https", "/mcp")),
            "node old" => node(&["client.mjs", "sdk-old"], http()),
            "node current" => node(&["client.mjs", "@modelcontextprotocol/sdk"], http()),
            _ => node(&["bridge.mjs"], http()),
        };
        for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command.env_remove(variable).env_remove(variable.to_lowercase());
        }
        if let Some(proxy) = proxy {
            command.env("HTTPS_PROXY", format!("http://{}", proxy.address));
        }
        // What it keeps between two runs shall be of this test.
        command.env("MCP_REMOTE_CONFIG_DIR", self.lab.path("mcp-remote"));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!said.is_empty(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// The CA that clients trust: the proxy's, or that of the servers.
    fn trusted(&self, proxy: Option<&Proxy>) -> PathBuf {
        self.lab.path(if proxy.is_some() { "ca/ca.pem" } else { "origin.pem" })
    }

    /// The server that a client is told to use.
    fn server_of(&self, name: &str) -> &Server {
        if name.ends_with(" newest") { &self.newest } else { &self.old }
    }

    /// What is told of a method, or of heads alone.
    fn told(&self, method: &str) -> Vec<Value> {
        let is = |event: &Value| event["type"] == "detection" && event["mcp"]["methods"][0] == method;
        self.lab.events().into_iter().filter(is).collect()
    }
}

#[test]
fn clients_old_and_new_get_through_the_proxy_what_they_get_without_it() {
    let Some(field) = Field::new() else { return };
    let proxy = field.proxy("");
    for name in field.clients() {
        let direct = field.run(name, None);
        let calls = field.server_of(name).seen();
        let through = field.run(name, Some(&proxy));
        assert_eq!(through, direct, "{name}");
        let got: Value = serde_json::from_str(&through).unwrap_or_else(|e| panic!("{name}: {e}: {through}"));
        assert_eq!((&got["tools"], &got["text"]), (&json!(["find_part"]), &"gasket lies on shelf 4".into()), "{name}");
        assert_eq!(field.server_of(name).seen(), calls, "{name}");
    }
    proxy.stop();
    let calls = field.told("tools/call");
    assert_eq!(calls.len(), field.clients().len(), "{calls:#?}");
    for call in &calls {
        assert_eq!(call["source"], json!({"kind": "proxy", "name": "agents"}), "{call}");
        assert_eq!(
            (&call["visibility"], &call["confidence"], &call["classification"], &call["mcp"]["outcome"]),
            (&"intercepted".into(), &"confirmed".into(), &"shadow".into(), &"answered".into()),
            "{call}"
        );
        assert_eq!(call["mcp"]["tools"], json!(["find_part"]), "{call}");
        assert_eq!(call["action"]["taken"], "log", "{call}");
    }
    let mut transports: Vec<_> = calls.iter().map(|call| call["mcp"]["transport"].as_str().unwrap()).collect();
    transports.sort_unstable();
    transports.dedup();
    assert_eq!(transports, ["http_sse", "streamable_http", "websocket"]);
}

#[test]
fn clients_old_and_new_show_why_they_are_blocked_and_their_server_hears_nothing() {
    let Some(field) = Field::new() else { return };
    let proxy = field.proxy("shadow = \"block\"\nmessage = \"Use the company portal.\"\n");
    for name in field.clients() {
        let said = field.run(name, Some(&proxy));
        // This one shows no body of an answer.
        let want =
            if name == "python sse" { "403 Forbidden" } else { "Use the company portal. (policy actions.shadow)" };
        assert!(said.contains(want), "{name}: {said}");
        assert_eq!(field.server_of(name).seen(), [""; 0], "{name}");
    }
    // From the second time on it is told where it cannot miss it: by its stream.
    let said = field.run("python sse", Some(&proxy));
    assert!(said.contains("HTTPStatusError") && said.contains("/sse"), "{said}");
    proxy.stop();
    let blocked = [field.told("initialize"), field.told("server/discover")].concat();
    assert!(blocked.len() >= field.clients().len(), "{blocked:#?}");
    for event in &blocked {
        assert_eq!(
            (&event["action"]["taken"], &event["mcp"]["outcome"]),
            (&"block".into(), &"blocked".into()),
            "{event}"
        );
        assert_eq!(
            (&event["action"]["delivered"], &event["confidence"]),
            (&"none".into(), &"confirmed".into()),
            "{event}"
        );
    }
}

#[test]
fn clients_are_led_to_the_portal_or_tell_people_where_it_is() {
    let Some(field) = Field::new() else { return };
    let portal = field.portal.url("https", "/mcp");
    let proxy = field.proxy(&format!("shadow = \"redirect\"\nredirect_to = \"{portal}\"\n"));
    let session = ["initialize", "notifications/initialized", "tools/list", "tools/call"].map(str::to_owned);
    for name in field.clients() {
        let said = field.run(name, Some(&proxy));
        if ["python http", "node old", "mcp-remote"].contains(&name) {
            let got: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{name}: {e}: {said}"));
            assert_eq!((&got["server"], &got["text"]), (&"portal".into(), &"gasket lies on shelf 4".into()), "{name}");
            // The last one first tries whether it can connect.
            assert!(field.portal.seen().ends_with(&session), "{name}");
        } else if name == "python sse" {
            assert!(said.contains("403 Forbidden"), "{said}");
        } else {
            assert!(said.contains(&portal), "{name}: {said}");
            assert_eq!(field.portal.seen(), [""; 0], "{name}");
        }
        assert_eq!(field.server_of(name).seen(), [""; 0], "{name}");
    }
    proxy.stop();
    assert!(field.told("tools/call").iter().any(|call| call["classification"] == "sanctioned"));
    let redirected = field.told("notifications/initialized");
    assert!(redirected.iter().any(|event| event["action"]["taken"] == "redirect"), "{redirected:#?}");
}
