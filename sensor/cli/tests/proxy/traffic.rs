//! What passes is what was sent, and what is MCP is told.

use crate::needs_curl;
use crate::support::{CALL, INITIALIZE, Lab};

#[test]
fn clients_reach_origins_over_every_protocol_and_calls_are_told() {
    needs_curl!();
    let lab = Lab::new();
    let proxy = lab.start("");
    assert_eq!(lab.curl(&proxy, &[&lab.origin.http("/page")]), (200, "hello\n".to_owned()));
    assert_eq!(lab.curl(&proxy, &["--http1.1", &lab.origin.https("/page")]), (200, "hello\n".to_owned()));
    assert_eq!(lab.curl(&proxy, &["--http2", &lab.origin.https("/page")]), (200, "hello\n".to_owned()));
    let (status, answer) = lab.post(&proxy, &lab.origin.https("/mcp"), INITIALIZE);
    assert!(status == 200 && answer.contains("serverInfo"), "{status} {answer}");
    assert_eq!(lab.post(&proxy, &lab.origin.http("/mcp"), CALL).0, 200);
    let seen = lab.origin.seen();
    assert_eq!(
        seen,
        [
            "HTTP/1.1 GET /page ".to_owned(),
            "HTTP/1.1 GET /page ".to_owned(),
            "HTTP/2.0 GET /page ".to_owned(),
            format!("HTTP/2.0 POST /mcp {INITIALIZE}"),
            format!("HTTP/1.1 POST /mcp {CALL}"),
        ]
    );

    let found = lab.detection("initialize");
    assert_eq!(found["source"]["kind"], "proxy", "{found}");
    assert_eq!(found["source"]["name"], "agents");
    assert_eq!((&found["visibility"], &found["confidence"]), (&"intercepted".into(), &"confirmed".into()), "{found}");
    assert_eq!(found["http"]["host"], "localhost");
    assert_eq!(found["mcp"]["server"]["name"], "weather");
    assert_eq!(lab.detection("tools/call")["visibility"], "cleartext");
    let server = lab.event("a server", |event| event["type"] == "server");
    assert_eq!(server["classification"], "shadow");
    proxy.stop();
    let events = lab.events();
    assert_eq!(events[0]["sources"], serde_json::json!([{"kind": "proxy", "name": "agents"}]));
    let totals = events.last().unwrap();
    assert!(totals["type"] == "stats" && totals["final"] == true, "{totals}");
    let proxied = &totals["proxy"];
    assert_eq!((&proxied["requests"]["200"], &proxied["connections_active"]), (&5.into(), &0.into()), "{proxied}");
    assert_eq!(proxied["added_latency"]["count"], 5, "{proxied}");
    assert_eq!(totals["events"].as_u64().unwrap() + 1, events.len() as u64);
}

#[test]
fn an_origin_that_cannot_be_trusted_is_refused_with_the_reason() {
    needs_curl!();
    let lab = Lab::new();
    let other = crate::origin::Origin::start(&lab.path("other.pem"));
    let proxy = lab.start("");
    let (status, page) = lab.curl(&proxy, &[&other.https("/page")]);
    assert_eq!(status, 502, "{page}");
    assert_eq!(other.seen(), [""; 0]);
    assert_eq!(lab.event("the notice", |event| event["code"] == "origin_untrusted")["type"], "notice");
    proxy.stop();
}

#[test]
fn what_is_not_allowed_to_be_reached_is_not() {
    needs_curl!();
    let lab = Lab::new();
    let proxy = lab.start("");
    // The second listener of the sensor is its own.
    let own = format!("http://{}/", proxy.address);
    let (status, _) = lab.curl(&proxy, &[&own]);
    assert!(matches!(status, 403 | 508), "{status}");
    let (status, page) = lab.curl(&proxy, &["http://169.254.169.254/latest/meta-data/"]);
    assert_eq!(status, 403, "{page}");
    proxy.stop();
}
