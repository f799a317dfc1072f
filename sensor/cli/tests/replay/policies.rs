//! The table of policies in `fixtures/policies`, as it is decided where nothing is known but packets: no user but by
//! address, no certificate, no conversation before. What is decided, and by which policy, is what the proxy does.

use detect::{Action, Generation, RawActions, RawScope};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// The address that captures of one message have their client at.
const SENDER: &str = "192.0.2.1";

/// What of a file is needed here; the README beside it tells of all.
#[derive(Deserialize)]
struct Table {
    rules: String,
    #[serde(default)]
    actions: RawActions,
    #[serde(default)]
    scope: Option<RawScope>,
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    client: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    before: Vec<Value>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    form: Option<String>,
    #[serde(default)]
    server_says: Option<String>,
    action: Action,
    policy: String,
    #[serde(default)]
    but: Vec<String>,
    #[serde(default)]
    replay: Option<Decided>,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Decided {
    action: Action,
    policy: String,
}

impl Case {
    /// Every case asks from an address of its own, unless it says from which.
    fn client(&self, number: usize) -> String {
        self.client.clone().unwrap_or_else(|| format!("10.1.{}.{}", number / 250 + 2, number % 250 + 1))
    }

    /// Whether packets of one exchange can show it.
    fn is_for_packets(&self) -> bool {
        let over_http = ["http1", "http2"].iter().any(|protocol| !self.but.iter().any(|but| but == protocol));
        over_http && self.before.is_empty() && !self.but.iter().any(|but| but == "replay")
    }

    fn body(&self) -> Vec<u8> {
        let wide = |order: fn(u16) -> [u8; 2]| {
            "\u{feff}".encode_utf16().chain(self.body.encode_utf16()).flat_map(order).collect()
        };
        match self.form.as_deref() {
            None | Some("plain") => self.body.as_bytes().to_vec(),
            Some("utf8_mark") => format!("\u{feff}{}", self.body).into_bytes(),
            Some("utf16_le") => wide(u16::to_le_bytes),
            Some("utf16_be") => wide(u16::to_be_bytes),
            Some("gzip") => testkit::http::gzip(self.body.as_bytes()),
            Some(other) => panic!("{other}"),
        }
    }

    /// The exchange as it is on the wire.
    fn wire(&self, number: usize) -> Vec<u8> {
        let body = self.body();
        let method = self.method.as_deref().unwrap_or("POST");
        let host = self.host.as_deref().unwrap_or("mcp.vendor.example");
        let path = self.path.as_deref().unwrap_or("/mcp");
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: {}\r\n", self.client(number));
        let length = body.len().to_string();
        let mut usual = vec![("accept", "application/json, text/event-stream")];
        if !body.is_empty() {
            usual.extend([("content-type", "application/json"), ("content-length", &length)]);
        }
        usual.extend((self.form.as_deref() == Some("gzip")).then_some(("content-encoding", "gzip")));
        usual.retain(|(name, _)| !self.headers.keys().any(|own| own.eq_ignore_ascii_case(name)));
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in usual.into_iter().chain(own) {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let answer = self.server_says.clone().unwrap_or_else(|| {
            let message: Value = serde_json::from_str(&self.body).unwrap_or_default();
            let id = message.get("id").cloned().unwrap_or(Value::from(1));
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
        });
        let (kind, answer) =
            if body.is_empty() { ("text/html", "<html></html>".to_owned()) } else { ("application/json", answer) };
        let mut wire = format!("{head}\r\n").into_bytes();
        wire.extend(body);
        let length = answer.len();
        wire.extend(
            format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{answer}").bytes(),
        );
        wire
    }

    fn wanted(&self) -> Decided {
        let own = || Decided { action: self.action, policy: self.policy.clone() };
        self.replay.clone().unwrap_or_else(own)
    }

    fn is_decided(&self, number: usize, generation: &Arc<Generation>) -> Decided {
        let records = pipeline::explain(&self.wire(number), generation);
        let made = records.iter().map(|record| serde_json::to_value(record).unwrap());
        // What only resembles MCP is told here, and elsewhere only to those who ask.
        let made = made.filter(|made| made["type"] == "detection" && made["classification"] != "look_alike");
        let decided = made.map(|made| serde_json::from_value(made["action"].clone()).unwrap());
        let decided = decided.map(|RawDecided { decided, policy }| Decided { action: decided, policy });
        // Of several messages the gravest counts.
        let gravest = decided.max_by_key(|decided| match decided.action {
            Action::None => 0,
            Action::Allow => 1,
            Action::Log => 2,
            Action::Filter => 3,
            Action::Redact => 4,
            Action::Redirect => 5,
            Action::Block => 6,
        });
        gravest.unwrap_or(Decided { action: Action::None, policy: String::new() })
    }
}

/// The two members of `action` in a record.
#[derive(Deserialize)]
struct RawDecided {
    decided: Action,
    policy: String,
}

/// Rules and scope of a table. Clients are told of by a proxy that is trusted, users by the addresses of these.
fn generation(name: &str, table: &Table) -> Arc<Generation> {
    let text = format!("[pack]\nid = \"table\"\nversion = \"1\"\n{}", table.rules);
    let own = detect::rules::RuleText { file: name, text: &text, lists: &|_| Err("there is none".to_owned()) };
    let all = [detect::rules::builtin().as_slice(), &[own]].concat();
    let usual = || {
        let servers = |names: &[&str]| {
            let of = |name: &&str| detect::RawServer::Name((*name).to_owned());
            detect::RawServers { servers: names.iter().map(of).collect() }
        };
        RawScope {
            denied: servers(&["denied.example", "half.example/mcp"]),
            sanctioned: servers(&["good.example"]),
            ..RawScope::default()
        }
    };
    let mut scope = table.scope.clone().unwrap_or_else(usual);
    scope.networks.trusted_proxies.push(SENDER.to_owned());
    let mut users = BTreeMap::new();
    for (number, case) in table.case.iter().enumerate() {
        let Some(user) = case.user.as_deref().filter(|_| case.is_for_packets()) else { continue };
        let known = users.insert(case.client(number), user);
        assert!(known.is_none_or(|known| known == user), "{name}: {}: two users at one address", case.name);
    }
    for (address, user) in users {
        let (address, user) = (Some(address), Some(user.to_owned()));
        scope.names.map.push(detect::RawNamed { address, user, ..detect::RawNamed::default() });
    }
    Arc::new(Generation {
        rules: detect::rules::compile(&all).unwrap_or_else(|errors| panic!("{name}: {errors:#?}")),
        scope: detect::Scope::try_from(&scope).unwrap(),
        policy: detect::Policy::try_from(&table.actions).unwrap(),
    })
}

#[test]
fn what_the_proxy_does_by_the_table_of_policies_is_decided_of_packets_too() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/policies");
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "toml"));
    files.sort();
    let (mut cases, mut left_out, mut wrong) = (0, 0, Vec::new());
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let table: Table =
            toml::from_str(&fs::read_to_string(&file).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let generation = generation(&name, &table);
        for (number, case) in table.case.iter().enumerate() {
            if !case.is_for_packets() {
                left_out += 1;
                continue;
            }
            cases += 1;
            let (is, want) = (case.is_decided(number, &generation), case.wanted());
            if is != want {
                wrong.push(format!("{name}: {}: {is:?}, not {want:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= 150 && left_out < cases / 8, "{cases} cases, and {left_out} that are not for packets");
}
