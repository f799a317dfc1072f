//! `log_payload` of policies, and `mcp-sensor payload`.

use crate::support::{directory, finish, run, sensor};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use testkit::{Capture, Direction, Turn, Wire, http};

const CALL: &str = "{\"jsonrpc\":\"2.0\", \"id\":7,\n \"method\":\"tools/call\",\"params\":{\"name\":\"send\",\"arguments\":{\"to\":\"hush@corp.example \\u00e9 \u{202e}\"}}}";
const RESULT: &str =
    r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"hushhush"}],"isError":false}}"#;

/// A call with its answer, and one that no policy is about.
fn capture() -> Vec<u8> {
    let mut capture = Capture::new();
    let other = CALL.replace("\"send\"", "\"other\"");
    let turns: [Turn; 4] = [
        (Direction::ToServer, http::post("mcp.example.com", "/mcp", "", CALL)),
        (Direction::ToClient, http::json("", RESULT)),
        (Direction::ToServer, http::post("mcp.example.com", "/mcp", "", &other)),
        (Direction::ToClient, http::json("", RESULT)),
    ];
    capture.play("10.1.2.3:51234", "203.0.113.9:80", Wire::default(), &turns);
    capture.pcap()
}

/// Puts a policy in force, and a capture beside it.
fn place(dir: &Path, form: &str, config: &str) {
    fs::create_dir_all(dir.join("rules")).unwrap();
    let policy = format!(
        "[pack]\nid = \"own\"\nversion = \"1\"\n\n[[policy]]\nid = \"keep\"\nwhen = {{ tool = \"send\" }}\naction = \"log\"\nlog_payload = \"{form}\"\n"
    );
    fs::write(dir.join("rules/own.toml"), policy).unwrap();
    fs::write(dir.join("sensor.toml"), format!("[rules]\ndirs = [\"rules\"]\n{config}")).unwrap();
    fs::write(dir.join("x.pcap"), capture()).unwrap();
}

/// Makes a pair of keys, and gives the public one.
fn keys(dir: &Path, file: &str) -> String {
    let public = run(dir, &["payload", "keygen", "-o", file]).ends(0, &[]).stdout;
    let public = public.trim_end().to_owned();
    assert!(public.starts_with("age1") && !public.contains('\n'), "{public}");
    public
}

/// Everything that was written of a replay, and its events.
fn replayed(dir: &Path) -> (String, Vec<Value>) {
    let args = ["-c", "sensor.toml", "--log-level", "debug", "replay", "--table", "-o", "events.jsonl", "x.pcap"];
    let outcome = run(dir, &args).ends(0, &[]);
    let events = fs::read_to_string(dir.join("events.jsonl")).unwrap();
    let all = format!("{events}{}{}", outcome.stdout, outcome.stderr);
    (all, events.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn payloads(events: &[Value]) -> Vec<&Value> {
    events.iter().filter_map(|event| event["payload"].as_array()).flatten().collect()
}

#[test]
fn what_is_logged_encrypted_is_read_with_the_key_and_is_what_was_sent() {
    let dir = directory();
    let (ana, ben) = (keys(dir.path(), "ana.key"), keys(dir.path(), "ben.key"));
    let mode = fs::metadata(dir.path().join("ana.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    fs::write(dir.path().join("recipients.txt"), format!("# who may read\n\n{ben} # Ben\n")).unwrap();
    place(
        dir.path(),
        "encrypted",
        &format!("[payload]\nrecipients = [\"{ana}\"]\nrecipients_file = \"recipients.txt\"\n"),
    );
    let (all, events) = replayed(dir.path());
    assert!(!all.contains("hush") && !all.contains("aHVza"), "{all}");
    let logged = payloads(&events);
    let [ask, answer] = logged.as_slice() else { panic!("{logged:?}") };
    for (payload, message, bytes) in [(ask, "request", CALL.len()), (answer, "answer", RESULT.len())] {
        assert_eq!((&payload["message"], &payload["form"]), (&message.into(), &"encrypted".into()));
        assert_eq!((&payload["policy"], &payload["rpc_id"]), (&"keep".into(), &"7".into()));
        assert_eq!((&payload["bytes"], &payload["truncated"]), (&bytes.into(), &false.into()));
        assert_eq!(payload["recipients"], 2);
    }
    for key in ["ana.key", "ben.key"] {
        let args = ["payload", "decrypt", "--identity", key, "events.jsonl"];
        let read = run(dir.path(), &args).ends(0, &[]).stdout;
        assert!(!read.contains('\u{202e}'), "what turns text round is escaped");
        let read: Vec<Value> = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [first, second] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!((first["payload"].as_str(), second["payload"].as_str()), (Some(CALL), Some(RESULT)));
        let event = events.iter().find(|event| event["payload"].is_array()).unwrap();
        for member in ["id", "ts", "sensor", "flow"] {
            assert_eq!(first[member], event[member], "{member}");
        }
        assert_eq!((&first["policy"], &second["message"]), (&"keep".into(), &"answer".into()));
        let piped = fs::read(dir.path().join("events.jsonl")).unwrap();
        let args = ["payload", "decrypt", "--identity", key];
        let piped = finish(sensor(dir.path(), &args).write_stdin(piped)).ends(0, &[]).stdout;
        assert_eq!(piped.lines().count(), 2);
    }
}

#[test]
fn who_has_another_key_or_a_file_that_was_changed_is_told_and_gets_the_rest() {
    let dir = directory();
    let ana = keys(dir.path(), "ana.key");
    keys(dir.path(), "eve.key");
    place(dir.path(), "encrypted", &format!("[payload]\nrecipients = [\"{ana}\"]\n"));
    let (_, events) = replayed(dir.path());
    let decrypt = |key: &str, events: &str| run(dir.path(), &["payload", "decrypt", "-i", key, events]);
    let id = events.iter().find(|event| event["payload"].is_array()).unwrap()["id"].as_str().unwrap();
    let other = decrypt("eve.key", "events.jsonl")
        .ends(1, &["it is encrypted to other keys", &format!("event {id}"), "2 payloads could not be read"]);
    assert_eq!(other.stdout, "");
    // One is changed, one has no data, and one line is none.
    let text = fs::read_to_string(dir.path().join("events.jsonl")).unwrap();
    let data = payloads(&events)[1]["data"].as_str().unwrap();
    let changed = format!("no event\n{}\n", text.replace(data, &data.replace(&data[data.len() - 9..], "AAAAAAAA=")));
    fs::write(dir.path().join("changed.jsonl"), changed).unwrap();
    let read = decrypt("ana.key", "changed.jsonl")
        .ends(1, &["was changed or cut", "1 payload could not be read", "1 line could not be read"]);
    assert_eq!(read.stdout.lines().count(), 1);
    for (file, content, words) in [
        ("empty.key", "# nothing\n", "it holds no private key"),
        ("wrong.key", "\nAGE-SECRET-KEY-1hushhush\n", "line 2 is no private key of age"),
    ] {
        fs::write(dir.path().join(file), content).unwrap();
        fs::set_permissions(dir.path().join(file), Permissions::from_mode(0o600)).unwrap();
        let told = decrypt(file, "events.jsonl").ends(2, &[file, words]);
        assert!(!told.stderr.contains("hush"), "{}", told.stderr);
    }
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(dir.path().join("ana.key"), Permissions::from_mode(mode)).unwrap();
        decrypt("ana.key", "events.jsonl").ends(2, &["ana.key holds a private key", "run `chmod 600`"]);
    }
    decrypt("none.key", "events.jsonl").ends(2, &["cannot read none.key"]);
    fs::set_permissions(dir.path().join("ana.key"), Permissions::from_mode(0o400)).unwrap();
    decrypt("ana.key", "none.jsonl").ends(2, &["cannot read none.jsonl"]);
    decrypt("ana.key", "sensor.toml").ends(1, &["lines could not be read", "no encrypted payload"]);
    run(dir.path(), &["payload", "keygen", "-o", "ana.key"]).ends(2, &["ana.key exists, and may hold a key"]);
    let shown = run(dir.path(), &["payload", "keygen"]).ends(0, &[]).stdout;
    assert!(shown.starts_with("# public key: age1") && shown.contains("\nAGE-SECRET-KEY-1"), "{shown}");
}

#[test]
fn what_is_logged_masked_shows_structure_and_names() {
    let dir = directory();
    place(dir.path(), "masked", "");
    let (all, events) = replayed(dir.path());
    assert!(!all.contains("hush"), "{all}");
    let logged = payloads(&events);
    let excerpts: Vec<_> = logged.iter().map(|payload| payload["excerpt"].as_str().unwrap()).collect();
    assert_eq!(
        excerpts,
        [
            r#"{"jsonrpc":"2.0","id":"…","method":"tools/call","params":{"name":"send","arguments":{"to":"…"}}}"#,
            r#"{"jsonrpc":"2.0","id":"…","result":{"content":[{"type":"text","text":"…"}],"isError":"…"}}"#,
        ]
    );
    assert_eq!((&logged[0]["bytes"], &logged[0]["truncated"]), (&CALL.len().into(), &false.into()));
    assert!(logged.iter().all(|payload| payload.get("data").is_none() && payload.get("recipients").is_none()));
}

#[test]
fn nothing_is_encrypted_to_nobody_and_a_wrong_key_is_told_with_its_place() {
    let dir = directory();
    place(dir.path(), "encrypted", "");
    let words = [
        "own.toml:5: policy keep: `log_payload = \"encrypted\"`, and there is no key to encrypt to",
        "`mcp-sensor payload keygen -o FILE`",
        "[payload] recipients = [\"age1…\"]",
    ];
    for args in [&["replay", "x.pcap"][..], &["config", "check"], &["rules", "check"]] {
        let outcome = run(dir.path(), &[&["-c", "sensor.toml"], args].concat()).ends(2, &words);
        assert_eq!(outcome.stdout, "");
    }
    // By itself a file of rules is right.
    run(dir.path(), &["rules", "check", "rules"]).ends(0, &[]);
    let private = run(dir.path(), &["payload", "keygen"]).ends(0, &[]).stdout;
    let private = private.lines().last().unwrap();
    fs::write(dir.path().join("wrong.txt"), format!("# one\n{private}\n")).unwrap();
    for (config, words) in [
        ("recipients = [\"age1x\"]".to_owned(), "sensor.toml:4:15: `payload.recipients[0]`: no public key of age"),
        (
            format!("recipients = [\"{private}\"]"),
            "`payload`: recipients[0] is a private key where a public one belongs",
        ),
        ("recipients_file = \"wrong.txt\"".to_owned(), "wrong.txt:2: a private key where a public one belongs"),
        ("recipients_file = \"none.txt\"".to_owned(), "sensor.toml:4:19: `payload.recipients_file`: cannot read"),
        ("recipient = []".to_owned(), "did you mean `recipients`?"),
    ] {
        place(dir.path(), "encrypted", &format!("[payload]\n{config}\n"));
        let told = run(dir.path(), &["-c", "sensor.toml", "config", "check"]).ends(2, &[words]);
        assert!(!told.stderr.contains(&private[..40]), "{}", told.stderr);
    }
    place(dir.path(), "clear", "");
    run(dir.path(), &["-c", "sensor.toml", "rules", "check"]).ends(2, &["own.toml:9:", "`masked` or `encrypted`"]);
}

#[test]
fn rules_show_what_is_logged_and_warn_of_what_cannot_be() {
    let dir = directory();
    place(dir.path(), "masked", "");
    let shown = run(dir.path(), &["-c", "sensor.toml", "rules", "show", "keep"]).ends(0, &[]).stdout;
    assert!(shown.contains("log payload masked\n"), "{shown}");
    let listed = run(dir.path(), &["-c", "sensor.toml", "rules", "list", "--json"]).ends(0, &[]).stdout;
    assert!(listed.contains(r#""log_payload":"masked""#));
    let policy = "[pack]\nid = \"own\"\nversion = \"1\"\n[[policy]]\nid = \"a\"\nwhen = { host = \"x.example\" }\naction = \"block\"\nlog_payload = \"masked\"\n";
    fs::write(dir.path().join("host.toml"), policy).unwrap();
    let checked = run(dir.path(), &["rules", "check", "host.toml"]).ends(0, &[]).stdout;
    assert!(checked.contains("host.toml:4: warning: policy a: log_payload has nothing to log"), "{checked}");
}

#[test]
fn what_is_too_much_to_be_logged_is_counted() {
    let dir = directory();
    place(dir.path(), "masked", "");
    let mut capture = Capture::new();
    let batch = format!("[{}]", vec![CALL; 20].join(","));
    let turns: [Turn; 2] = [
        (Direction::ToServer, http::post("mcp.example.com", "/mcp", "", &batch)),
        (Direction::ToClient, http::json("", "[]")),
    ];
    capture.play("10.1.2.3:51234", "203.0.113.9:80", Wire::default(), &turns);
    fs::write(dir.path().join("x.pcap"), capture.pcap()).unwrap();
    let (_, events) = replayed(dir.path());
    assert_eq!(payloads(&events).len(), 16);
    let found = events.iter().find(|event| event["payload"].is_array()).unwrap();
    assert_eq!(found["limits"]["payloads_left_out"], 4);
    assert_eq!(events.last().unwrap()["limits"]["payloads_per_detection"], 4);
}

#[test]
fn a_private_key_in_the_wrong_place_is_refused_unseen() {
    let dir = directory();
    for line in [
        "recipients = [\"AGE-SECRET-KEY-1HUSHHUSH\"]",
        "recipients = \"AGE-SECRET-KEY-1HUSHHUSH\"",
        "recipients = \"age-secret-key-1hushhush\"",
        "recipients_file = \"AGE-SECRET-KEY-1HUSHHUSH\"",
    ] {
        fs::write(dir.path().join("sensor.toml"), format!("[payload]\n{line}\n")).unwrap();
        let told = run(dir.path(), &["-c", "sensor.toml", "config", "check"])
            .ends(2, &["sensor.toml:1", "a private key where a public one belongs"]);
        assert!(!format!("{}{}", told.stdout, told.stderr).to_lowercase().contains("hush"), "{line}: {}", told.stderr);
    }
}
