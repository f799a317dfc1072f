//! What is configured to be stopped does not reach its server.

use crate::needs_curl;
use crate::support::{CALL, INITIALIZE, Lab};
use serde_json::Value;

#[test]
fn shadow_servers_are_blocked_with_an_answer_that_clients_show() {
    needs_curl!();
    let lab = Lab::new();
    let proxy = lab.start("[actions]\nshadow = \"block\"\nmessage = \"Use the company portal.\"\n");
    for version in ["--http1.1", "--http2"] {
        let url = lab.origin.https("/mcp");
        let args = [version, "-H", "content-type: application/json", "--data-binary", CALL, &url];
        let (status, answer) = lab.curl(&proxy, &args);
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer}"));
        assert_eq!((status, &answer["id"]), (200, &"x-7".into()), "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("Use the company portal."), "{answer}");
    }
    assert_eq!(lab.curl(&proxy, &[&lab.origin.https("/page")]).0, 200, "the rest works");
    assert!(!lab.origin.seen().iter().any(|seen| seen.contains("tools/call")), "{:?}", lab.origin.seen());
    let found = lab.detection("tools/call");
    let action = &found["action"];
    assert_eq!((&action["decided"], &action["taken"]), (&"block".into(), &"block".into()), "{found}");
    assert_eq!((&action["delivered"], &action["policy"]), (&"none".into(), &"actions.shadow".into()), "{found}");
    assert_eq!(found["mcp"]["outcome"], "blocked");
    proxy.stop();
    let events = lab.events();
    assert_eq!(events.last().unwrap()["proxy"]["actions"]["block"], 2);
}

#[test]
fn a_session_is_redirected_to_the_portal_at_its_start() {
    needs_curl!();
    let lab = Lab::new();
    let portal = "https://mcp.corp.example/mcp";
    let proxy = lab.start(&format!("[actions]\nshadow = \"redirect\"\nredirect_to = \"{portal}\"\n"));
    let url = lab.origin.https("/mcp");
    let head = ["-D", "-", "-H", "content-type: application/json", "--data-binary", INITIALIZE, &url];
    let (status, text) = lab.curl(&proxy, &head);
    assert_eq!(status, 307, "{text}");
    assert!(text.to_ascii_lowercase().contains(&format!("location: {portal}")), "{text}");
    assert_eq!(lab.origin.seen(), [""; 0]);
    assert_eq!(lab.detection("initialize")["action"]["taken"], "redirect");
    proxy.stop();
}

#[test]
fn a_dry_run_tells_what_would_be_done_and_does_it_not() {
    needs_curl!();
    let lab = Lab::new();
    let proxy = lab.start("[actions]\nshadow = \"block\"\ndry_run = true\n");
    assert_eq!(lab.post(&proxy, &lab.origin.https("/mcp"), CALL).0, 200);
    assert_eq!(lab.origin.seen().len(), 1);
    let action = lab.detection("tools/call")["action"].clone();
    assert_eq!((&action["decided"], &action["dry_run"]), (&"block".into(), &true.into()), "{action}");
    assert_ne!(action["taken"], "block");
    proxy.stop();
}
