//! The way to an access token: joined over connections into an authorisation map, classified by the server that it is for,
//! and decided by policies; what is no authorisation for an MCP server says nothing.

use crate::support::Run;
use detect::{RawScope, RawServer, RawServers};
use serde_json::Value;
use testkit::{Capture, Direction, Turn, Wire, http};

const NOTES: &str = "mcp.notes.example";
const LOGIN: &str = "login.notes.example";
const SECRETS: [&str; 10] = [
    "c0de-in-a-query",
    "c0de-in-a-form",
    "st4te-of-a-request",
    "ch4llenge-of-a-request",
    "v3rifier-of-a-form",
    "s3cret-of-a-client",
    "s3cret-in-a-form",
    "t0ken-of-access",
    "t0ken-of-refresh",
    "t0ken-of-registration",
];

fn form(host: &str, path: &str, body: &str) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\nHost: {host}\nContent-Type: application/x-www-form-urlencoded");
    http::message(&head, body.as_bytes())
}

fn get(host: &str, target: &str) -> Vec<u8> {
    http::request(&format!("GET {target} HTTP/1.1\nHost: {host}\nAccept: */*\n\n"))
}

fn say(request: Vec<u8>, answer: Vec<u8>) -> Vec<Turn> {
    vec![(Direction::ToServer, request), (Direction::ToClient, answer)]
}

/// A client that is challenged, learns, registers, has somebody asked, and gets its token: each on a connection of its own.
fn trail(client: &str) -> Capture {
    let [code, code_in_form, state, challenge, verifier, secret, secret_in_form, token, refresh, registration] =
        SECRETS;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find","arguments":{}}}"#;
    let refused = format!(
        "HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Bearer resource_metadata=\"http://{NOTES}/.well-known/oauth-protected-resource/mcp\"\nContent-Length: 0\n\n"
    );
    let resource = "resource=http%3A%2F%2Fmcp.notes.example%2Fmcp";
    let all = [
        ("10.2.2.2:80", say(http::post(NOTES, "/mcp", "", call), http::request(&refused))),
        (
            "10.2.2.2:80",
            say(
                get(NOTES, "/.well-known/oauth-protected-resource/mcp"),
                http::json("", &format!(r#"{{"resource":"http://{NOTES}/mcp","authorization_servers":["http://{LOGIN}"]}}"#)),
            ),
        ),
        (
            "10.2.2.3:80",
            say(
                get(LOGIN, "/.well-known/oauth-authorization-server"),
                http::json("", &format!(r#"{{"issuer":"http://{LOGIN}","token_endpoint":"http://{LOGIN}/token","registration_endpoint":"http://{LOGIN}/reg"}}"#)),
            ),
        ),
        (
            "10.2.2.3:80",
            say(
                http::post(LOGIN, "/reg", "", r#"{"redirect_uris":["http://127.0.0.1:1/cb"],"client_name":"Notes CLI"}"#),
                http::message(
                    "HTTP/1.1 201 Created\nContent-Type: application/json",
                    format!(r#"{{"client_id":"cli-17","client_secret":"{secret}","registration_access_token":"{registration}"}}"#).as_bytes(),
                ),
            ),
        ),
        (
            "10.2.2.3:80",
            say(
                get(LOGIN, &format!("/authorize?response_type=code&client_id=cli-17&state={state}&code_challenge={challenge}&{resource}")),
                http::request(&format!("HTTP/1.1 302 Found\nLocation: http://127.0.0.1:1/cb?code={code}\nContent-Length: 0\n\n")),
            ),
        ),
        (
            "10.2.2.3:80",
            say(
                form(LOGIN, "/token", &format!("grant_type=authorization_code&code={code_in_form}&code_verifier={verifier}&client_secret={secret_in_form}&client_id=cli-17")),
                http::json("", &format!(r#"{{"access_token":"{token}","refresh_token":"{refresh}","token_type":"Bearer"}}"#)),
            ),
        ),
    ];
    let mut capture = Capture::new();
    for (n, (server, turns)) in all.iter().enumerate() {
        capture.play(&format!("{client}:{}", 40_000 + n), server, Wire::default(), turns);
    }
    capture
}

fn scope(sanctioned: bool) -> RawScope {
    let servers = vec![RawServer::Name(NOTES.to_owned())];
    RawScope {
        sanctioned: RawServers { servers: if sanctioned { servers } else { Vec::new() } },
        ..RawScope::default()
    }
}

fn steps(run: &Run) -> Vec<&Value> {
    let is = |stage: &&&Value| stage["mcp"]["oauth"]["stage"].is_string();
    let mut all: Vec<_> = run.of_type("detection");
    all.retain(|made| is(&made));
    all
}

#[test]
fn a_trail_over_many_connections_becomes_one_map_of_who_asks_whom_for_what() {
    let pcap = trail("10.1.1.1").pcap();
    for (sanctioned, want) in [(false, "shadow"), (true, "sanctioned")] {
        let run = Run::configured(&pcap, &scope(sanctioned), None, 1);
        let steps = steps(&run);
        let words: Vec<_> = steps.iter().map(|made| made["mcp"]["oauth"]["stage"].as_str().unwrap()).collect();
        assert_eq!(words, ["metadata", "registration", "authorization", "token"], "{steps:#?}");
        for made in &steps[1..] {
            let oauth = &made["mcp"]["oauth"];
            assert_eq!((&made["classification"], &made["confidence"]), (&want.into(), &"likely".into()), "{made:#}");
            assert_eq!(oauth["resources"][0], format!("http://{NOTES}/mcp"));
            assert_eq!((&oauth["authorization_server"], &oauth["client_name"]), (&LOGIN.into(), &"Notes CLI".into()));
            assert_eq!(made["mcp"]["outcome"], "answered");
        }
        let servers = run.servers();
        assert_eq!(servers.len(), 1, "an authorisation server is none of MCP: {servers:#?}");
        let map = &servers[0]["authorization"];
        assert_eq!(map["authorization_servers"], serde_json::json!([LOGIN]));
        assert_eq!(map["clients"].as_array().unwrap().len(), 1, "{map}");
        assert_eq!((&map["clients"][0]["name"], &map["clients"][0]["id"]), (&"Notes CLI".into(), &"cli-17".into()));
        let all = run.lines.join("");
        for secret in SECRETS {
            assert!(!all.contains(secret), "{secret}");
        }
        let four = Run::configured(&pcap, &scope(sanctioned), None, 4);
        assert_eq!(run.lines, four.lines);
    }
}

#[test]
fn ordinary_oauth_makes_no_event() {
    let resource = "resource=https%3A%2F%2Fgraph.example%2F";
    let mut capture = Capture::new();
    for (n, turns) in [
        say(
            get("pds.example", "/xrpc/x"),
            http::request("HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Bearer resource_metadata=\"http://pds.example/.well-known/oauth-protected-resource\"\nContent-Length: 0\n\n"),
        ),
        say(
            get("pds.example", "/.well-known/oauth-protected-resource"),
            http::json("", r#"{"resource":"http://pds.example","authorization_servers":["http://login.example"]}"#),
        ),
        say(get("login.example", "/.well-known/openid-configuration"), http::json("", r#"{"issuer":"http://login.example","token_endpoint":"http://login.example/t"}"#)),
        say(
            http::post("login.example", "/register", "", r#"{"redirect_uris":["https://app.example/cb"],"client_name":"App"}"#),
            http::json("", r#"{"client_id":"app"}"#),
        ),
        say(
            get("login.example", &format!("/authorize?response_type=code&client_id=app&{resource}")),
            http::request("HTTP/1.1 302 Found\nLocation: https://app.example/cb?code=x\nContent-Length: 0\n\n"),
        ),
        say(form("login.example", "/t", &format!("grant_type=authorization_code&code=x&client_id=app&{resource}")), http::json("", r#"{"access_token":"x"}"#)),
        say(form("shop.example", "/login", "user=ana&password=x"), http::json("", "{}")),
    ]
    .iter()
    .enumerate()
    {
        capture.play(&format!("10.1.1.1:{}", 41_000 + n), "10.2.2.9:80", Wire::default(), turns);
    }
    let run = Run::configured(&capture.pcap(), &RawScope::default(), None, 1);
    assert!(run.of_type("detection").is_empty() && run.of_type("server").is_empty(), "{:#?}", run.of_type("detection"));
    assert!(run.of_type("notice").is_empty());
}

#[test]
fn policies_decide_about_steps_as_the_proxy_would_and_say_that_they_only_watched() {
    let text = "[pack]\nid = \"p\"\nversion = \"1\"\n[[policy]]\nid = \"p\"\nwhen = { classification = \"shadow\", oauth = [\"registration\", \"token\"], resource_server = \"*.notes.example\" }\naction = \"block\"\n";
    let own = detect::rules::RuleText { file: "p.toml", text, lists: &|_| Err("none".to_owned()) };
    let rules = detect::rules::compile(&[detect::rules::builtin().as_slice(), &[own]].concat()).unwrap();
    let generation = detect::Generation {
        rules,
        scope: detect::Scope::try_from(&RawScope::default()).unwrap(),
        policy: detect::Policy::default(),
    };
    let run = Run::by(&trail("10.1.1.1").pcap(), generation);
    let decided: Vec<_> =
        steps(&run).iter().map(|made| made["action"]["decided"].as_str().unwrap().to_owned()).collect();
    assert_eq!(decided, ["log", "block", "log", "block"]);
    assert!(steps(&run).iter().all(|made| made["action"]["taken"] == "none" || made["action"]["taken"] == "log"));
}

#[test]
fn model_calls_that_pass_the_gateway_by_are_told_once_for_a_client_and_a_provider_and_counted() {
    let named = r#"{"model":"m","mcp_servers":[{"type":"url","name":"n","url":"https://mcp.notes.example/mcp"}]}"#;
    let plain = r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;
    let mut capture = Capture::new();
    let calls = [
        ("10.1.1.1", "api.anthropic.com", plain),
        ("10.1.1.1", "api.anthropic.com", plain),
        ("10.1.1.1", "api.anthropic.com", named),
        ("10.1.1.2", "api.openai.com", plain),
        ("10.1.1.2", "ai.corp.example", named),
        ("10.9.9.9", "api.openai.com", plain),
        ("10.1.1.3", "llm.other.example", named),
        ("10.1.1.3", "shop.example", plain),
    ];
    for (n, (client, host, body)) in calls.iter().enumerate() {
        let turns = say(http::post(host, "/v1/messages", "", body), http::json("", r#"{"content":[]}"#));
        capture.play(&format!("{client}:{}", 42_000 + n), "203.0.113.9:80", Wire::default(), &turns);
    }
    let mut raw = RawScope::default();
    let off = Run::configured(&capture.pcap(), &raw, None, 1);
    assert!(off.of_type("notice").is_empty(), "nothing of it where no gateway is configured");
    let classes = |run: &Run| -> Vec<(String, String)> {
        let word = |v: &Value| v.as_str().unwrap().to_owned();
        run.of_type("detection")
            .iter()
            .map(|made| (word(&made["http"]["host"]), word(&made["classification"])))
            .collect()
    };
    assert!(classes(&off).iter().all(|(_, class)| class == "unknown") && classes(&off).len() == 3);
    raw.llm_gateway.hosts = vec!["ai.corp.example".into()];
    raw.llm_gateway.networks = vec!["10.9.9.0/24".into()];
    let on = Run::configured(&capture.pcap(), &raw, None, 1);
    let want = [
        ("api.anthropic.com", "sanctioned_direct"),
        ("ai.corp.example", "sanctioned"),
        ("llm.other.example", "shadow"),
    ];
    assert_eq!(classes(&on), want.map(|(host, class)| (host.to_owned(), class.to_owned())));
    let told: Vec<_> =
        on.of_type("notice").iter().map(|n| (n["code"].as_str().unwrap(), n["message"].as_str().unwrap())).collect();
    let text = |client, host| format!("{client} calls {host} without passing the gateway for models");
    let want = [text("10.1.1.1", "api.anthropic.com"), text("10.1.1.2", "api.openai.com")];
    assert_eq!(told, [("llm_gateway_bypassed", want[0].as_str()), ("llm_gateway_bypassed", want[1].as_str())]);
    assert_eq!(on.stats()["messages"]["llm_calls_past_the_gateway"], 4);
}
