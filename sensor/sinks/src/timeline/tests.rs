use super::*;
use crate::safe::width as columns_of;
use crate::samples;

/// A detection of one call, `ms` after the others begin.
fn call(ms: i64, tool: &str) -> Detection {
    let all = samples::all();
    let mut detection = all
        .iter()
        .find_map(|r| match r {
            Record::Detection(d) => Some((**d).clone()),
            _ => None,
        })
        .unwrap();
    detection.ts = detection.ts.plus(ms * 1_000_000);
    detection.category = None;
    detection.mcp = samples::mcp("x");
    let http = detection.http.as_mut().unwrap();
    (http.host, http.path) = ("mcp.example.com".to_owned(), "/mcp".to_owned());
    detection.mcp.session = Some("sha256:00aabbccddee".to_owned());
    detection.mcp.calls[0].name = Some(tool.to_owned());
    detection
}

fn drawn(filter: &str, width: usize, detections: Vec<Detection>) -> String {
    let mut timeline = Timeline::new(Filter::new(filter), width);
    let mut out = Vec::new();
    for detection in detections {
        timeline.add(&Record::Detection(Box::new(detection)), &mut out).unwrap();
    }
    timeline.finish(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_filter_names_a_host_an_address_or_a_session_and_nothing_else() {
    let detection = call(0, "get_weather");
    for (what, want) in [
        ("", true),
        ("mcp.example.com", true),
        ("MCP.example.com:80", true),
        ("mcp.example.com:81", false),
        ("mcp.example.com/mcp", true),
        ("mcp.example.com:80/", true),
        ("mcp.example.com/m", false),
        ("mcp.example.co", false),
        ("example.com", false),
        ("203.0.113.9", true),
        ("203.0.113.9:80/mcp", true),
        ("203.0.113.90", false),
        ("10.1.2.3", true),
        ("10.1.2.30", false),
        ("sha256:00aabb", true),
        ("00aabbccddee", true),
        ("00aab", false),
        ("sha256:00aabbff", false),
    ] {
        assert_eq!(Filter::new(what).shows(&detection), want, "{what}");
    }
}

#[test]
fn contacts_are_named_by_what_names_them() {
    let contact = |visibility: &str, sni: &str, signal: Option<(&str, &str)>| {
        let mut detection = call(0, "x");
        (detection.http, detection.visibility) = (None, visibility.to_owned());
        detection.mcp.calls.clear();
        detection.mcp.session = None;
        detection.tls.as_mut().unwrap().sni = sni.to_owned();
        detection.signals.truncate(1);
        if let Some((on, excerpt)) = signal {
            (detection.signals[0].on, detection.signals[0].excerpt) = (on.to_owned(), excerpt.to_owned());
        }
        detection.limits.undecoded = (visibility != "dns").then(|| "tls".to_owned());
        detection
    };
    for (detection, want) in [
        (contact("tls_metadata", "mcp.example.com", None), "mcp.example.com:80"),
        (contact("quic_metadata", "front.example", Some(("dns.answer", "mcp.example.com"))), "mcp.example.com:80"),
        (contact("tls_metadata", "", None), "203.0.113.9:80"),
        (contact("dns", "", Some(("dns.query", "mcp.example.com"))), "203.0.113.9:80"),
    ] {
        let text = drawn("", 200, vec![detection.clone()]);
        assert!(text.contains(want) && text.contains(&detection.visibility), "{text}");
        assert_eq!(text.contains("encrypted"), detection.visibility != "dns", "{text}");
        let named = detection.visibility == "dns" || want.starts_with("mcp");
        assert_eq!(Filter::new("mcp.example.com").shows(&detection), named, "{text}");
        assert_eq!(text.contains("mcp.example.com"), named, "{text}");
    }
}

#[test]
fn calls_come_in_the_order_of_time_however_late_they_are_told() {
    let text = drawn("", 120, vec![call(900, "third"), call(0, "first"), call(300, "second"), call(60_000, "last")]);
    let places: Vec<_> = ["first", "second", "third", "last"].map(|tool| text.find(tool).unwrap()).into();
    assert!(places.is_sorted(), "{text}");
    assert!(text.ends_with("4 lines.\n"), "{text}");
}

#[test]
fn lines_are_written_as_soon_as_nothing_can_come_before_them() {
    let mut timeline = Timeline::new(Filter::default(), 100);
    let mut out = Vec::new();
    timeline.add(&Record::Detection(Box::new(call(0, "first"))), &mut out).unwrap();
    assert!(out.is_empty());
    timeline.add(&Record::Detection(Box::new(call(8_001, "second"))), &mut out).unwrap();
    let text = String::from_utf8(out.clone()).unwrap();
    assert!(text.contains("first") && !text.contains("second"), "{text}");
    timeline.add(&Record::Detection(Box::new(call(-1, "late"))), &mut out).unwrap();
    timeline.add(&Record::Detection(Box::new(call(99_000, "last"))), &mut out).unwrap();
    timeline.finish(&mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().contains("1 of them came too late"));
}

#[test]
fn no_more_than_the_limit_is_held_back() {
    let mut timeline = Timeline::new(Filter::default(), 100);
    let mut out = Vec::new();
    let record = Record::Detection(Box::new(call(0, "x")));
    for _ in 0..MAX_WAITING + 10 {
        timeline.add(&record, &mut out).unwrap();
    }
    assert_eq!(timeline.waiting.len(), MAX_WAITING);
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 10 + 2);
}

#[test]
fn outcomes_are_told_in_words() {
    let mut failed = call(0, "a");
    failed.mcp.calls[0].is_error = Some(true);
    let mut unseen = call(1, "b");
    unseen.mcp.calls[0].is_error = None;
    unseen.mcp.calls[0].duration_ms = None;
    unseen.mcp.outcome = "unseen".to_owned();
    unseen.http.as_mut().unwrap().status = None;
    let mut challenged = call(2, "c");
    challenged.mcp.calls.clear();
    challenged.mcp.outcome = "challenged".to_owned();
    challenged.http.as_mut().unwrap().status = Some(401);
    let mut asked = call(3, "d");
    asked.mcp.calls[0].method = "sampling/createMessage".to_owned();
    asked.mcp.calls[0].duration_ms = Some(4_180);
    let mut provider = call(4, "e");
    provider.category = Some("remote-mcp-by-provider".to_owned());
    insta::assert_snapshot!(drawn("", 160, vec![failed, unseen, challenged, asked, provider]));
}

#[test]
fn no_line_is_wider_than_asked_and_none_holds_what_a_terminal_acts_on() {
    for width in [80, 81, 100, 160, 400] {
        let mut timeline = Timeline::new(Filter::default(), width);
        let mut out = Vec::new();
        for record in samples::all() {
            timeline.add(&record, &mut out).unwrap();
        }
        timeline.finish(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().count() > 3, "{text}");
        for line in text.lines() {
            assert!(columns_of(line) <= width, "{width}: {line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert_eq!(line.trim_end(), line);
        }
    }
    assert_eq!(drawn("nobody.example", 80, vec![call(0, "x")]), "No call was seen of nobody.example.\n");
}
