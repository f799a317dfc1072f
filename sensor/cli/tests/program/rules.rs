use crate::support::{directory, finish, run, sensor};
use std::fs;

const GOOD: &str = r#"
[pack]
id = "own.pack"
version = "1.0.0"

[[signature]]
id = "own.body.secret-tool"
name = "Our secret tool"
on = "request.body"
regex = '"secret_tool_[0-9]{1,4}"'
weight = "medium"
[[signature.example]]
hit = '{"name":"secret_tool_17"}'
[[signature.example]]
miss = '{"name":"secret_tool"}'
"#;

#[test]
fn the_built_in_rules_are_right_and_prove_themselves() {
    let dir = directory();
    let check = |args: &[&str]| {
        finish(sensor(dir.path(), &["-c", "empty.toml", "rules", "check", "--strict"]).args(args)).ends(0, &[]).stdout
    };
    let plain = check(&[]);
    assert!(plain.starts_with("ok: ") && plain.contains("\npattern engine rust: "), "{plain}");
    assert!(
        plain.contains("\nSIGNATURE ") && plain.contains("  ANCHOR\n") && plain.contains("\nmcp.body.tools "),
        "{plain}"
    );
    assert!(!plain.contains("short field") && check(&["--verbose"]).contains("short field"), "{plain}");
    assert_eq!(check(&["-q"]).lines().count(), 2);
    let test = run(dir.path(), &["-c", "empty.toml", "rules", "test"]).ends(0, &[]).stdout;
    assert!(test.starts_with("ok: ") && test.contains(", by engine rust"), "{test}");
    assert_eq!(test.contains(" and hyperscan"), cfg!(feature = "hyperscan"), "{test}");
}

#[test]
fn a_pattern_is_told_with_its_anchor_its_cost_and_its_bound_and_a_refused_one_is_marked() {
    let dir = directory();
    fs::write(dir.path().join("own.toml"), GOOD).unwrap();
    let check = run(dir.path(), &["rules", "check", "own.toml"]).ends(0, &[]).stdout;
    assert!(check.contains("own.body.secret-tool  request.body  rare anchor  18     et_tool_"), "{check}");
    for (pattern, place, mark, why) in [
        ("secret.*tool", "own.toml:10:17: ", "                ^", "an unbounded repeat"),
        ("one[a-z]{900}two", "own.toml:10:13: ", "            ^^^^^^^^^^", "over the limit of 1024 kB"),
    ] {
        fs::write(dir.path().join("own.toml"), GOOD.replace("\"secret_tool_[0-9]{1,4}\"", pattern)).unwrap();
        let outcome = run(dir.path(), &["rules", "check", "own.toml"]).ends(2, &[place, why, "  help: "]);
        let line = format!("10 | regex = '{pattern}'\n     | {mark}\n");
        assert!(outcome.stderr.contains(&line), "{}\n{line}", outcome.stderr);
    }
}

#[test]
fn every_fault_of_a_rule_file_is_told_with_its_place() {
    let dir = directory();
    let bad = GOOD
        .replace("weight = \"medium\"", "weight = \"heavy\"")
        .replace("[pack]\nid = \"own.pack\"", "[pack]\nid = 7");
    fs::write(dir.path().join("bad.toml"), bad).unwrap();
    let outcome = run(dir.path(), &["rules", "check", "bad.toml"])
        .ends(2, &["bad.toml:3:", "bad.toml:", "heavy", "2 faults in the rules"]);
    assert_eq!(outcome.stdout, "");
    run(dir.path(), &["rules", "check", "."]).ends(2, &[]);
    run(dir.path(), &["rules", "check", "absent"]).ends(2, &["cannot read rules from absent"]);
    fs::create_dir(dir.path().join("none")).unwrap();
    run(dir.path(), &["rules", "check", "none"]).ends(2, &["no rule file (*.toml) in none"]);
}

#[test]
fn a_signature_without_examples_is_fine_until_it_must_be_proven() {
    let dir = directory();
    let unproven = GOOD.split("[[signature.example]]").next().unwrap();
    fs::write(dir.path().join("own.toml"), unproven).unwrap();
    assert!(
        run(dir.path(), &["rules", "check", "own.toml"]).ends(0, &[]).stdout.starts_with("ok: 1 pack, 1 signature,")
    );
    run(dir.path(), &["rules", "check", "--strict", "own.toml"])
        .ends(2, &["own.toml:6: own.body.secret-tool has no example", "[[signature.example]]"]);
    fs::write(dir.path().join("own.toml"), GOOD).unwrap();
    run(dir.path(), &["rules", "check", "--strict", "own.toml"]).ends(0, &[]);
}

#[test]
fn an_example_that_does_not_do_what_it_says_is_told() {
    let dir = directory();
    fs::write(dir.path().join("own.toml"), GOOD.replace("secret_tool_17", "other_tool")).unwrap();
    run(dir.path(), &["rules", "test", "own.toml"])
        .ends(2, &["own.toml:", "own.body.secret-tool does not hit", "1 failed"]);
}

#[test]
fn rules_of_a_directory_are_added_and_the_built_in_ones_can_be_left_out() {
    let dir = directory();
    fs::create_dir(dir.path().join("own")).unwrap();
    fs::write(dir.path().join("own/own.toml"), GOOD).unwrap();
    let list = |args: &[&str]| {
        let outcome =
            finish(sensor(dir.path(), &["-c", "empty.toml", "rules", "list", "--json"]).args(args)).ends(0, &[]);
        outcome.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    let (plain, added, alone) = (list(&[]), list(&["--rules", "own"]), list(&["--rules", "own", "--no-builtin-rules"]));
    assert_eq!(added.len(), plain.len() + 1);
    assert_eq!(alone.len(), 1);
    assert_eq!(alone[0]["id"], "own.body.secret-tool");
    assert_eq!(alone[0]["weight"], "medium");
    let outcome =
        run(dir.path(), &["-c", "empty.toml", "rules", "list", "--rules", "own", "--no-builtin-rules"]).ends(0, &[]);
    assert_eq!(outcome.stdout.lines().count(), 2);
    assert!(outcome.stdout.contains("own.body.secret-tool  request.body  medium  info"), "{}", outcome.stdout);
}

#[test]
fn a_signature_is_shown_whole_and_a_slip_gets_a_suggestion() {
    let dir = directory();
    fs::write(dir.path().join("own.toml"), GOOD).unwrap();
    let args = ["-c", "empty.toml", "--rules", "own.toml", "rules", "show"];
    let outcome = finish(sensor(dir.path(), &args).arg("own.body.secret-tool")).ends(0, &[]);
    insta::assert_snapshot!(outcome.stdout);
    finish(sensor(dir.path(), &args).arg("own.body.secret-tol")).ends(2, &["did you mean own.body.secret-tool?"]);
    let fact = finish(sensor(dir.path(), &args).arg("mcp.proof.initialize")).ends(0, &[]);
    assert!(fact.stdout.contains("a fact the parser finds"), "{}", fact.stdout);
}

#[test]
fn rules_that_everybody_may_change_are_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = directory();
    let path = dir.path().join("own.toml");
    fs::write(&path, GOOD).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    run(dir.path(), &["rules", "check", "own.toml"]).ends(2, &["own.toml may be written to by everybody", "chmod o-w"]);
}

#[test]
fn an_http_message_is_explained() {
    let dir = directory();
    let message = testkit::http::post(
        "mcp.example.com",
        "/mcp",
        "",
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/CANARYSECRET"}}}"#,
    );
    fs::write(dir.path().join("message"), &message).unwrap();
    let by_file = run(dir.path(), &["-c", "empty.toml", "rules", "explain", "--http", "message"]).ends(0, &[]).stdout;
    let by_pipe =
        finish(sensor(dir.path(), &["-c", "empty.toml", "rules", "explain", "--http", "-"]).write_stdin(message))
            .ends(0, &[])
            .stdout;
    assert_eq!(by_file, by_pipe);
    for want in
        ["POST mcp.example.com/mcp", "Signals, strongest first:", "Confidence likely: a strong sign", "read_file"]
    {
        assert!(by_file.contains(want), "{want}\n{by_file}");
    }
    assert!(!by_file.contains("CANARYSECRET"));
    fs::write(dir.path().join("page"), b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n").unwrap();
    assert!(
        run(dir.path(), &["-c", "empty.toml", "rules", "explain", "--http", "page"])
            .ends(0, &[])
            .stdout
            .starts_with("Nothing:")
    );
}

#[test]
fn an_event_is_explained_by_its_id() {
    let dir = directory();
    fs::write(dir.path().join("x.pcap"), crate::support::mcp_capture()).unwrap();
    run(dir.path(), &["-c", "empty.toml", "replay", "-q", "-o", "events.jsonl", "x.pcap"]).ends(0, &[]);
    let events = fs::read_to_string(dir.path().join("events.jsonl")).unwrap();
    let events = events.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    let id = events.filter(|e| e["type"] == "detection").map(|e| e["id"].as_str().unwrap().to_owned()).next().unwrap();
    let text = run(dir.path(), &["-c", "empty.toml", "rules", "explain", "events.jsonl", &id]).ends(0, &[]).stdout;
    for want in
        [id.as_str(), "x.pcap, packets", "Confidence confirmed: the parser proved it", "Classification shadow: "]
    {
        assert!(text.contains(want), "{want}\n{text}");
    }
    run(dir.path(), &["-c", "empty.toml", "rules", "explain", "events.jsonl", "nope"])
        .ends(2, &["no detection nope among the 1 of events.jsonl"]);
    run(dir.path(), &["-c", "empty.toml", "rules", "explain", "absent", "x"]).ends(2, &["cannot read absent"]);
}
