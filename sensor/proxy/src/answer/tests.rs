use super::*;
use crate::inspect::{Cause, Said};
use detect::{Action, Classification, Confidence, Decision};
use mcp::{Id, Kind};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

const PORTAL: &str = "https://mcp.corp.example/mcp?from=%22sensor%22&x=1";

fn blocks() -> Ruling {
    let decision = Decision {
        action: Action::Block,
        policy: detect::PolicyId::key("actions.shadow"),
        message: Some("Ask the \"platform\" team.".into()),
        ..Decision::LOG
    };
    Ruling {
        decision,
        confidence: Confidence::Confirmed,
        classification: Classification::Shadow,
        ..Ruling::bare("mcp.example", std::net::IpAddr::from([10, 1, 2, 3]), Cause::Policy)
    }
}

fn redirects() -> Ruling {
    let mut ruling = blocks();
    ruling.decision.action = Action::Redirect;
    ruling.decision.redirect_to = Some(PORTAL.into());
    ruling
}

fn said(kind: Kind, id: Option<Id>) -> Said {
    Said { kind, method: None, name: None, id }
}

fn request(id: &str) -> Said {
    said(Kind::Request, Some(Id::Number(id.to_owned())))
}

fn parts(method: &str, fields: &[(&str, &str)]) -> Parts {
    let mut builder = http::Request::builder().method(method).uri("https://mcp.example/mcp?next=https://evil.example/");
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

/// What every answer of ours keeps to.
#[track_caller]
fn sound(response: &Response<Bytes>) -> &Response<Bytes> {
    let headers = response.headers();
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(headers[CONTENT_LENGTH], response.body().len().to_string());
    assert!(!headers.contains_key("server"));
    for value in headers.values() {
        assert!(value.as_bytes().iter().all(|b| (b' '..=b'~').contains(b)), "{value:?}");
    }
    let text = str::from_utf8(response.body()).unwrap();
    match headers[CONTENT_TYPE].to_str().unwrap() {
        "application/json" => {
            assert!(serde_json::from_str::<Value>(text).unwrap().is_object() || text.starts_with('['));
        }
        "text/event-stream" => assert!(text.starts_with("event: message\ndata: ") && text.ends_with("\n\n")),
        "text/html; charset=utf-8" => {
            assert!(text.starts_with("<!doctype html>"));
            assert!(!text.contains("<script") && !text.contains("src="));
            assert_eq!(headers[CONTENT_SECURITY_POLICY], page::POLICY);
        }
        "text/plain; charset=utf-8" | "application/x-ns-proxy-autoconfig" => {}
        other => panic!("{other}"),
    }
    response
}

fn body(response: &Response<Bytes>) -> Value {
    let text = str::from_utf8(response.body()).unwrap();
    let text = text.strip_prefix("event: message\ndata: ").unwrap_or(text);
    serde_json::from_str(text).unwrap()
}

const SDK: (&str, &str) = ("accept", "application/json, text/event-stream");
const STREAM: (&str, &str) = ("accept", "text/event-stream");
const BROWSER: [(&str, &str); 2] =
    [("accept", "text/html,application/xhtml+xml,*/*;q=0.8"), ("sec-fetch-mode", "navigate")];
const SOCKET: [(&str, &str); 3] = [("connection", "Upgrade"), ("upgrade", "websocket"), ("accept", "text/html")];

type Fields<'f> = &'f [(&'f str, &'f str)];

/// Status, content type, whether a location is named, and the ids of the errors: `None` where there is none.
type Want = (u16, &'static str, bool, Vec<Option<Value>>);

#[track_caller]
fn check(name: &str, change: impl FnOnce(&mut Ruling), redirect: bool, method: &str, fields: Fields<'_>, want: &Want) {
    let mut ruled = if redirect { redirects() } else { blocks() };
    change(&mut ruled);
    let response = ruling(&ruled, &parts(method, fields));
    sound(&response);
    let headers = response.headers();
    let media = headers[CONTENT_TYPE]
        .to_str()
        .unwrap()
        .split_once(';')
        .map_or_else(|| headers[CONTENT_TYPE].to_str().unwrap().to_owned(), |(media, _)| media.to_owned());
    assert_eq!((response.status().as_u16(), media.as_str()), (want.0, want.1), "{name}");
    assert_eq!(headers.get(LOCATION).map(HeaderValue::as_bytes), want.2.then_some(PORTAL.as_bytes()), "{name}");
    assert_eq!(headers[PROXY_STATUS], "mcp-sensor; error=http_request_denied; details=\"actions.shadow\"", "{name}");
    if media == "text/html" {
        let text = str::from_utf8(response.body()).unwrap();
        assert!(text.contains("Ask the &quot;platform&quot; team."), "{name}: {text}");
        assert_eq!(
            text.contains("href=\"https://mcp.corp.example/mcp?from=%22sensor%22&amp;x=1\""),
            redirect,
            "{name}"
        );
        return;
    }
    let body = body(&response);
    let errors = if ruled.batch && body.is_array() { body.as_array().unwrap().clone() } else { vec![body] };
    assert_eq!(errors.iter().map(|e| e.get("id").cloned()).collect::<Vec<_>>(), want.3, "{name}");
    for error in errors {
        assert_eq!(error["jsonrpc"], "2.0", "{name}");
        let error = &error["error"];
        let code = error["code"].as_i64().unwrap();
        assert!(!(-32_768..=-32_000).contains(&code), "{name}: {code}");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("Ask the \"platform\" team. (policy actions.shadow)"), "{name}: {message}");
        assert_eq!(message.contains(PORTAL), redirect, "{name}: {message}");
        let mut data = json!({
            "by": "mcp-sensor", "policy": "actions.shadow", "host": "mcp.example", "reason": "shadow",
        });
        if redirect {
            data["use"] = json!(PORTAL);
        }
        assert_eq!(error["data"], data, "{name}");
    }
}

#[test]
fn a_block_is_told_in_the_way_its_client_shows_people() {
    let json = "application/json";
    let none = || vec![None];
    check(
        "a request",
        |r| r.messages = vec![request("7")],
        false,
        "POST",
        &[SDK],
        &(200, json, false, vec![Some(json!(7))]),
    );
    check(
        "no accept",
        |r| r.messages = vec![request("7")],
        false,
        "POST",
        &[],
        &(200, json, false, vec![Some(json!(7))]),
    );
    let sse = "text/event-stream";
    check(
        "only SSE",
        |r| r.messages = vec![request("7")],
        false,
        "POST",
        &[STREAM],
        &(200, sse, false, vec![Some(json!(7))]),
    );
    let text = |r: &mut Ruling| r.messages = vec![said(Kind::Request, Some(Id::Text("a\"\\\n\u{1}\u{e9}".to_owned())))];
    check("text id", text, false, "POST", &[SDK], &(200, json, false, vec![Some(json!("a\"\\\n\u{1}\u{e9}"))]));
    let null = |r: &mut Ruling| r.messages = vec![said(Kind::Request, Some(Id::Null))];
    check("null id", null, false, "POST", &[SDK], &(200, json, false, vec![Some(Value::Null)]));
    for kind in [Kind::Notification, Kind::Result, Kind::Error, Kind::Other] {
        let id = (kind != Kind::Notification).then(|| Id::Number("9".to_owned()));
        let messages = |r: &mut Ruling| r.messages = vec![said(kind, id)];
        check("no request", messages, false, "POST", &[SDK], &(403, json, false, none()));
    }
    let batch = |r: &mut Ruling| {
        r.batch = true;
        r.messages = vec![request("1"), said(Kind::Notification, None), request("2")];
    };
    check("batch", batch, false, "POST", &[SDK], &(200, json, false, vec![Some(json!(1)), Some(json!(2))]));
    let batch = |r: &mut Ruling| (r.batch, r.messages) = (true, vec![request("1")]);
    check("batch of one", batch, false, "POST", &[SDK], &(200, json, false, vec![Some(json!(1))]));
    let batch = |r: &mut Ruling| (r.batch, r.messages) = (true, vec![said(Kind::Notification, None)]);
    check("batch of notifications", batch, false, "POST", &[SDK], &(403, json, false, none()));
    let apart = |r: &mut Ruling| (r.apart, r.messages) = (true, vec![request("3")]);
    check("call of HTTP+SSE", apart, false, "POST", &[], &(403, json, false, none()));
    check("event stream", |r| r.start = true, false, "GET", &[STREAM], &(403, json, false, none()));
    check("delete", |_| (), false, "DELETE", &[SDK], &(403, json, false, none()));
    check("websocket", |r| r.start = true, false, "GET", &SOCKET, &(403, json, false, none()));
    check("browser", |_| (), false, "GET", &BROWSER, &(403, "text/html", false, none()));
    check("old browser", |_| (), false, "GET", &BROWSER[..1], &(403, "text/html", false, none()));
    let fetch = [BROWSER[0], ("sec-fetch-mode", "cors")];
    check("fetch of a page", |_| (), false, "GET", &fetch, &(403, json, false, none()));
    check("curl", |_| (), false, "GET", &[("accept", "*/*")], &(403, json, false, none()));
    check("upload", |_| (), false, "PUT", &[], &(403, json, false, none()));
    check("preflight", |_| (), false, "OPTIONS", &[("accept", "*/*")], &(403, json, false, none()));
}

#[test]
fn a_redirect_leads_to_the_portal_where_a_session_begins_and_names_it_later() {
    let json = "application/json";
    let start = |r: &mut Ruling| (r.start, r.messages) = (true, vec![request("0")]);
    check("initialize", start, true, "POST", &[SDK], &(307, json, true, vec![Some(json!(0))]));
    check("first stream", |r| r.start = true, true, "GET", &[STREAM], &(307, json, true, vec![None]));
    let later = |r: &mut Ruling| r.messages = vec![request("5")];
    check("a call", later, true, "POST", &[SDK], &(200, json, false, vec![Some(json!(5))]));
    let later = |r: &mut Ruling| r.messages = vec![said(Kind::Notification, None)];
    check("a notification", later, true, "POST", &[SDK], &(403, json, false, vec![None]));
    check("later stream", |_| (), true, "GET", &[STREAM], &(403, json, false, vec![None]));
    check("websocket", |r| r.start = true, true, "GET", &SOCKET, &(403, json, false, vec![None]));
    check("browser", |_| (), true, "GET", &BROWSER, &(403, "text/html", false, vec![None]));
}

#[test]
fn a_location_that_is_no_field_value_is_told_in_words() {
    let mut ruled = redirects();
    ruled.start = true;
    ruled.messages = vec![request("1")];
    ruled.decision.redirect_to = Some("https://x.example/\r\nset-cookie: a=b".into());
    let response = ruling(&ruled, &parts("POST", &[SDK]));
    sound(&response);
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key(LOCATION) && !response.headers().contains_key("set-cookie"));
    assert!(body(&response)["error"]["message"].as_str().unwrap().contains("https://x.example/"));
}

#[test]
fn people_are_told_what_happened_where_the_operator_has_nothing_to_say() {
    use Classification::{Denied, SanctionedDirect, Shadow, Unknown};
    for (cause, classification, text, reason) in [
        (Cause::Policy, Shadow, "mcp.example is not an approved MCP server", "shadow"),
        (Cause::Policy, Unknown, "mcp.example is not an approved MCP server", "unknown"),
        (Cause::Policy, Denied, "mcp.example is a denied MCP server", "denied"),
        (Cause::Policy, SanctionedDirect, "through the company MCP portal", "sanctioned_direct"),
        (Cause::Limit("hold_bytes"), Shadow, "beyond what is inspected (hold_bytes)", "hold_bytes"),
        (Cause::Fault, Shadow, "could not be inspected", "fault"),
    ] {
        let mut ruled = blocks();
        ruled.decision.message = None;
        ruled.cause = cause;
        ruled.classification = classification;
        ruled.messages = vec![request("1")];
        let response = ruling(&ruled, &parts("POST", &[SDK]));
        let error = &body(&response)["error"];
        assert!(error["message"].as_str().unwrap().contains(text), "{error}");
        assert_eq!(error["data"]["reason"], reason);
    }
}

#[test]
fn a_failure_is_told_in_the_form_the_client_asks_for() {
    let failed = Failure::UpstreamTls {
        host: "<b>.example".to_owned(),
        reason: "expired",
        text: "certificate\r\nexpired: \"1 day\"".to_owned(),
    };
    for (fields, media, part) in [
        (&[SDK][..], "application/json", "<b>.example cannot be trusted: certificate  expired: \\\"1 day\\\""),
        (&BROWSER, "text/html; charset=utf-8", "&lt;b&gt;.example cannot be trusted: certificate  expired: &quot;"),
        (&[("accept", "*/*")], "text/plain; charset=utf-8", "mcp-sensor: the certificate or the TLS of <b>.example"),
    ] {
        let response = failure(&failed, Some(&parts("GET", fields)));
        let text = str::from_utf8(sound(&response).body()).unwrap();
        assert_eq!((response.status().as_u16(), response.headers()[CONTENT_TYPE].to_str().unwrap()), (502, media));
        assert!(text.contains(part), "{text}");
        let status = response.headers()[PROXY_STATUS].to_str().unwrap();
        assert!(status.starts_with("mcp-sensor; error=tls_certificate_error; details=\"the certificate"), "{status}");
    }
    let unasked = failure(&failed, None);
    assert_eq!(sound(&unasked).headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
}

#[test]
fn each_failure_has_a_registered_word_and_its_own_status() {
    let text = || "x".to_owned();
    for (failed, status, word) in [
        (Failure::Forbidden { what: text(), why: "loopback" }, 403, "destination_ip_prohibited"),
        (Failure::Resolve(text(), text()), 502, "dns_error"),
        (Failure::Connect(text(), text()), 502, "connection_refused"),
        (Failure::Timeout(text()), 504, "connection_timeout"),
        (Failure::HandshakeReset(text(), text()), 502, "connection_terminated"),
        (Failure::UpstreamProxy(text()), 502, "destination_unavailable"),
        (Failure::Loop, 508, "proxy_loop_detected"),
        (Failure::Misdirected { asked: text(), connected: text() }, 421, "http_request_denied"),
        (Failure::Invalid("two lengths"), 400, "http_request_error"),
        (Failure::Broken(text()), 502, "connection_terminated"),
        (Failure::Limit("connections"), 503, "connection_limit_reached"),
        (Failure::Fault, 503, "proxy_internal_error"),
    ] {
        let response = failure(&failed, None);
        sound(&response);
        let field = response.headers()[PROXY_STATUS].to_str().unwrap();
        assert_eq!(response.status().as_u16(), status, "{failed:?}");
        assert!(field.starts_with(&format!("mcp-sensor; error={word}; details=\"")), "{field}");
    }
}

#[test]
fn what_the_proxy_says_as_a_server_is_sound_too() {
    let asks = login();
    assert_eq!((sound(&asks).status().as_u16(), asks.headers().contains_key("proxy-authenticate")), (407, true));
    let wait = too_many(Duration::from_millis(300));
    assert_eq!((sound(&wait).status().as_u16(), &wait.headers()["retry-after"]), (429, &HeaderValue::from_static("1")));
    let script = pac(Bytes::from_static(b"function FindProxyForURL() {}"));
    assert_eq!(sound(&script).headers()[CONTENT_TYPE], "application/x-ns-proxy-autoconfig");
    assert_eq!(sound(&root()).status(), 200);
    assert_eq!(sound(&unknown()).status(), 404);
}

#[test]
fn the_reason_of_a_close_fits_its_frame() {
    let mut ruled = redirects();
    assert!(websocket_reason(&ruled).len() <= MAX_REASON);
    ruled.decision.message = Some("\u{20ac}".repeat(100).into());
    let reason = websocket_reason(&ruled);
    assert!(reason.len() <= MAX_REASON && reason.len() > MAX_REASON - 4, "{reason}");
    ruled.messages = vec![request("3")];
    assert_eq!(serde_json::from_str::<Value>(&websocket_text(&ruled)).unwrap()["id"], 3);
}

fn id() -> impl Strategy<Value = (Id, Value)> {
    prop_oneof![
        any::<i64>().prop_map(|n| (Id::Number(n.to_string()), json!(n))),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(|f| {
            // As it is read, which may differ in the last digit.
            let text = json!(f).to_string();
            (Id::Number(text.clone()), serde_json::from_str(&text).unwrap())
        }),
        any::<String>().prop_map(|s| (Id::Text(s.clone()), json!(s))),
        "[\\x00-\\x1f\"\\\\\u{7f}\u{2028}\u{10ffff}]{0,40}".prop_map(|s| (Id::Text(s.clone()), json!(s))),
        Just((Id::Null, Value::Null)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn ids_of_any_kind_come_back_as_they_were(ids in vec(id(), 1..6), batch in any::<bool>(), stream in any::<bool>()) {
        let mut ruled = blocks();
        ruled.batch = batch;
        let ids = if batch { &ids[..] } else { &ids[..1] };
        ruled.messages = ids.iter().map(|(id, _)| said(Kind::Request, Some(id.clone()))).collect();
        let response = ruling(&ruled, &parts("POST", &[if stream { STREAM } else { SDK }]));
        let body = body(sound(&response));
        let errors = body.as_array().cloned().unwrap_or_else(|| vec![body]);
        let got = errors.into_iter().map(|mut e| e["id"].take()).collect::<Vec<_>>();
        prop_assert_eq!(got, ids.iter().map(|(_, id)| id.clone()).collect::<Vec<_>>());
        for (id, _) in ids {
            if let Id::Number(text) = id {
                let there = str::from_utf8(response.body()).unwrap().contains(&format!("\"id\":{text},"));
                prop_assert!(there, "{}", text);
            }
        }
    }

    #[test]
    fn no_text_of_others_becomes_markup_or_a_field(host in ".*", number in ".*", text in ".*", browser in any::<bool>()) {
        let mut ruled = blocks();
        ruled.host = format!("{host}<script>alert(1)</script>'\"`&\r\n");
        ruled.decision.message = Some(text.as_str().into());
        if !browser {
            ruled.messages = vec![request(&number)];
        }
        let fields = if browser { &BROWSER[..] } else { &[SDK] };
        let response = ruling(&ruled, &parts("GET", fields));
        sound(&response);
        let failed = failure(&Failure::Connect(host, text), Some(&parts("GET", fields)));
        sound(&failed);
        for response in [&response, &failed] {
            let body = str::from_utf8(response.body()).unwrap();
            prop_assert!(!browser || body.matches('<').count() == page_tags(response.status()), "{}", body);
        }
    }
}

/// Tags of a page of ours, with nothing of others in it.
fn page_tags(status: StatusCode) -> usize {
    let page = if status == 403 { page::refusal(&blocks()) } else { page::failure(status, "") };
    page.matches('<').count()
}
