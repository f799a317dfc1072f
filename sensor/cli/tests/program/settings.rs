use crate::support::{directory, finish, run, sensor};
use std::fs;

#[test]
fn the_configuration_in_force_by_default() {
    let outcome = run(directory().path(), &["-c", "empty.toml", "config", "show", "--threads", "4"]).ends(0, &[]);
    insta::assert_snapshot!(outcome.stdout);
}

#[test]
fn what_is_shown_says_which_pattern_engine_runs_and_why() {
    let dir = directory();
    let shown = |text: &str| {
        fs::write(dir.path().join("c.toml"), text).unwrap();
        let text = run(dir.path(), &["-c", "c.toml", "config", "show"]).ends(0, &[]).stdout;
        text.lines().find_map(|l| l.strip_prefix("# The pattern engine is ")).unwrap().to_owned()
    };
    assert_eq!(shown(""), "rust: no body pattern is slow in rust.");
    assert_eq!(shown("[rules]\nengine = \"rust\"\n"), "rust: asked for.");
    if cfg!(feature = "hyperscan") {
        assert_eq!(shown("[rules]\nengine = \"hyperscan\"\n"), "hyperscan: asked for.");
    }
    fs::create_dir(dir.path().join("own")).unwrap();
    let slow = "[pack]\nid = \"own\"\nversion = \"1\"\n[[signature]]\nid = \"own.card\"\non = \"request.body\"\n\
                regex = '[0-9]{4}-[0-9]{4}'\nweight = \"weak\"\n";
    fs::write(dir.path().join("own/own.toml"), slow).unwrap();
    let engine = shown("[rules]\ndirs = [\"own\"]\n");
    let want = if cfg!(feature = "hyperscan") { "hyperscan: 1 of " } else { "rust: 1 of " };
    assert!(engine.starts_with(want) && engine.contains(" body patterns are slow in rust"), "{engine}");
}

#[test]
fn the_schema_of_the_configuration() {
    insta::assert_snapshot!(run(directory().path(), &["config", "schema"]).ends(0, &[]).stdout);
}

#[test]
fn the_schema_of_events() {
    insta::assert_snapshot!(run(directory().path(), &["config", "schema", "--events"]).ends(0, &[]).stdout);
}

#[test]
fn the_environment_lies_over_the_file_and_flags_over_both() {
    let dir = directory();
    fs::write(dir.path().join("c.toml"), "[replay]\nthreads = 2\n[output]\nlook_alikes = true\n").unwrap();
    let threads = |args: &[&str], env: Option<&str>| {
        let mut command = sensor(dir.path(), &["-c", "c.toml", "config", "show"]);
        command.args(args);
        env.map(|value| command.env("MCP_SENSOR_THREADS", value));
        let text = finish(&mut command).ends(0, &[]).stdout;
        assert!(text.contains("look_alikes = true"), "{text}");
        text.lines().find_map(|l| l.strip_prefix("threads = ")).unwrap().to_owned()
    };
    assert_eq!(threads(&[], None), "2");
    assert_eq!(threads(&[], Some("3")), "3");
    assert_eq!(threads(&["--threads", "5"], Some("3")), "5");
}

#[test]
fn switches_are_read_from_the_environment() {
    let dir = directory();
    for (value, want) in [("1", "true"), ("yes", "true"), ("0", "false"), ("false", "false"), ("", "false")] {
        let mut command = sensor(dir.path(), &["-c", "empty.toml", "config", "show"]);
        let text = finish(command.env("MCP_SENSOR_LOOK_ALIKES", value)).ends(0, &[]).stdout;
        assert!(text.contains(&format!("look_alikes = {want}")), "{value}: {text}");
    }
}

#[test]
fn a_wrong_configuration_is_refused_by_every_command_that_needs_it() {
    let dir = directory();
    fs::write(dir.path().join("c.toml"), "[output]\nlookalikes = true\n").unwrap();
    fs::write(dir.path().join("x.pcap"), crate::support::mcp_capture()).unwrap();
    for args in [&["config", "check"][..], &["config", "show"], &["replay", "x.pcap"], &["rules", "list"]] {
        let outcome = finish(sensor(dir.path(), &["-c", "c.toml"]).args(args))
            .ends(2, &["c.toml:2:1: unknown key `lookalikes`", "did you mean `look_alikes`?", "^^^^^^^^^^"]);
        assert_eq!(outcome.stdout, "", "{args:?}");
    }
    run(dir.path(), &["-c", "absent.toml", "config", "check"]).ends(2, &["cannot read absent.toml"]);
    let checked = run(dir.path(), &["-c", "empty.toml", "config", "check"]).ends(0, &[]).stdout;
    assert_eq!(checked, "ok: empty.toml; 0 sources, 0 sinks\n");
    let both = "[[source]]\nkind = \"interface\"\ninterface = \"eth1\"\n[[source]]\nkind = \"proxy\"\n\
                listen = \"127.0.0.1:8080\"\n[[sink]]\nkind = \"jsonl\"\npath = \"-\"\n";
    fs::write(dir.path().join("c.toml"), both).unwrap();
    let checked = run(dir.path(), &["-c", "c.toml", "config", "check"]).ends(0, &[]).stdout;
    assert_eq!(checked, "ok: c.toml; 2 sources, 1 sink\n");
}

#[test]
fn messages_can_be_json() {
    let outcome =
        run(directory().path(), &["-c", "absent\n.toml", "--log-format", "json", "config", "check"]).ends(2, &[]);
    let message: serde_json::Value = serde_json::from_str(outcome.stderr.trim_end()).unwrap();
    assert_eq!(message["level"], "error");
    assert!(message["message"].as_str().unwrap().contains("absent\n.toml"));
    assert_eq!(outcome.stderr.lines().count(), 1);
}
