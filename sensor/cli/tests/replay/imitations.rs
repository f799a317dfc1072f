//! Hosts that pass themselves off as approved ones.

use crate::support::Run;
use detect::{RawPortals, RawScope, RawServer, RawServers};
use serde_json::{Value, json};
use testkit::Direction::{ToClient, ToServer};
use testkit::{Capture, Wire, http};

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"note_find","arguments":{"q":"k"}}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"x"}],"isError":false}}"#;

/// Severity, classification and the signal of each host called in turn.
fn told(hosts: &[&str]) -> Vec<Value> {
    let mut capture = Capture::new();
    for (n, host) in hosts.iter().enumerate() {
        let turns = [(ToServer, http::post(host, "/mcp", "", CALL)), (ToClient, http::json("", RESULT))];
        capture.play(&format!("10.1.2.3:{}", 40_000 + n), "203.0.113.9:8000", Wire::default(), &turns);
    }
    let servers = vec![RawServer::Name("mcp.stripe.com".to_owned()), RawServer::Name("203.0.113.9".to_owned())];
    let scope = RawScope {
        sanctioned: RawServers { servers },
        portals: RawPortals { hosts: vec!["portal.corp.example".to_owned()], ..Default::default() },
        denied: RawServers { servers: vec![RawServer::Name("*.strlpe.com".to_owned())] },
        ..Default::default()
    };
    let run = Run::configured(&capture.pcap(), &scope, None, 1);
    let told = |detection: &&Value| {
        let signals = detection["signals"].as_array().unwrap();
        let signal = signals.iter().find(|s| s["id"] == "mcp.host.imitates");
        json!([detection["severity"], detection["classification"], signal.map(|s| (&s["weight"], &s["excerpt"]))])
    };
    run.of_type("detection").iter().map(told).collect()
}

#[test]
fn a_host_that_imitates_an_approved_one_is_told_and_weighs_more() {
    let imitates = |how: &str| json!(["info", how]);
    assert_eq!(
        told(&[
            "mcp.str1pe.com",
            "mcp.stripe.com.evil.net",
            "portal-corp-example.trycloudflare.com",
            "mcp.other.net",
            "api.stripe.com",
            "mcp.strlpe.com",
            "203.0.113.9",
        ]),
        [
            json!(["high", "shadow", imitates("letters that look alike: mcp.stripe.com")]),
            json!(["high", "shadow", imitates("its name inside another domain: mcp.stripe.com")]),
            json!([
                "high",
                "shadow",
                imitates("its name on a platform where anybody can take one: portal.corp.example")
            ]),
            json!(["high", "shadow", null]),
            json!(["high", "shadow", null]),
            json!(["high", "denied", null]),
            json!(["info", "sanctioned", null]),
        ]
    );
}
