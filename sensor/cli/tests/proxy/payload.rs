//! What passes the proxy is logged as policies ask for, and read with the key alone.

use crate::needs_curl;
use crate::support::{CALL, Lab, sensor};
use serde_json::Value;
use std::fs;

/// A policy about calls of tools, and the configuration that puts it in force.
fn config(lab: &Lab, action: &str, form: &str, recipients: &str) -> String {
    fs::create_dir_all(lab.path("rules")).unwrap();
    let policy = format!(
        "[pack]\nid = \"own\"\nversion = \"1\"\n[[policy]]\nid = \"keep\"\nwhen = {{ method = \"tools/call\" }}\naction = \"{action}\"\nlog_payload = \"{form}\"\n"
    );
    fs::write(lab.path("rules/own.toml"), policy).unwrap();
    format!("[rules]\ndirs = [\"rules\"]\n[payload]\nrecipients = [{recipients}]\n")
}

fn keys(lab: &Lab) -> String {
    let made = sensor(lab.dir.path(), &["payload", "keygen", "-o", "payload.key"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    format!("\"{}\"", String::from_utf8(made.stdout).unwrap().trim_end())
}

/// What the key opens.
fn read(lab: &Lab) -> Vec<Value> {
    let read = sensor(lab.dir.path(), &["payload", "decrypt", "-i", "payload.key", "events.jsonl"]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    String::from_utf8(read.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_call_that_passes_and_one_that_is_stopped_are_logged_for_whoever_has_the_key() {
    needs_curl!();
    let lab = Lab::new();
    let key = keys(&lab);
    let call = CALL.replace("{}", "{\"city\":\"hush hush\"}");
    let mut logged = Vec::new();
    for (action, messages) in [("allow", 2), ("block", 1)] {
        let proxy = lab.start(&config(&lab, action, "encrypted", &key));
        let (status, answer) = lab.post(&proxy, &lab.origin.https("/mcp"), &call);
        assert_eq!(status, 200, "{answer}");
        let taken = if action == "block" { "block" } else { "log" };
        let found = lab.event(action, |event| {
            event["type"] == "detection" && event["action"]["taken"] == taken && event["payload"].is_array()
        });
        assert_eq!(found["payload"].as_array().unwrap().len(), messages, "{found}");
        let said = proxy.stop();
        let events = fs::read_to_string(lab.path("events.jsonl")).unwrap();
        assert!(!said.contains("hush") && !events.contains("hush"), "{said}{events}");
        logged = read(&lab);
        let last = &logged[logged.len() - messages..];
        assert_eq!(last[0]["payload"], call.as_str());
        if let [_, passed] = last {
            assert_eq!(passed["payload"], answer.as_str());
        }
    }
    assert_eq!(logged.len(), 3);
}

#[test]
fn a_reload_puts_the_keys_of_the_configuration_in_force() {
    needs_curl!();
    let lab = Lab::new();
    let key = keys(&lab);
    let mut proxy = lab.start(&config(&lab, "log", "masked", ""));
    lab.post(&proxy, &lab.origin.https("/mcp"), CALL);
    let masked = lab.event("a masked one", |event| event["payload"].is_array());
    assert!(masked["payload"][0]["excerpt"].as_str().unwrap().contains("\"name\":\"forecast\""), "{masked}");
    // Without a key the old rules stay.
    fs::write(lab.path("sensor.toml"), Lab::config(&config(&lab, "log", "encrypted", ""))).unwrap();
    proxy.signal(nix::sys::signal::Signal::SIGHUP);
    proxy.wait_for("there is no key to encrypt to");
    fs::write(lab.path("sensor.toml"), Lab::config(&config(&lab, "log", "encrypted", &key))).unwrap();
    proxy.signal(nix::sys::signal::Signal::SIGHUP);
    proxy.wait_for("are in force");
    lab.post(&proxy, &lab.origin.https("/mcp"), CALL);
    lab.event("an encrypted one", |event| event["payload"][0]["form"] == "encrypted");
    proxy.stop();
    assert_eq!(read(&lab)[0]["payload"], CALL);
}
