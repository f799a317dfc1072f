use crate::support::{directory, run};

const COMMANDS: &[&str] = &[
    "",
    "replay",
    "capture",
    "proxy",
    "run",
    "rules",
    "rules check",
    "rules test",
    "rules list",
    "rules show",
    "rules explain",
    "config",
    "config check",
    "config show",
    "config schema",
    "ca",
    "ca init",
    "ca show",
    "ca export",
    "payload",
    "payload keygen",
    "payload decrypt",
    "doctor",
    "completions",
    "man",
];

#[test]
fn the_help_of_each_command() {
    let dir = directory();
    for command in COMMANDS {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let outcome = run(dir.path(), &args).ends(0, &[]);
        insta::assert_snapshot!(format!("help {command}").trim().replace(' ', "-"), outcome.stdout);
    }
}

#[test]
fn without_a_command_the_help_is_an_error() {
    let outcome = run(directory().path(), &[]).ends(2, &["Usage: mcp-sensor", "replay"]);
    assert_eq!(outcome.stdout, "");
}

#[test]
fn the_version_is_printed() {
    assert_eq!(
        run(directory().path(), &["--version"]).ends(0, &[]).stdout,
        concat!("mcp-sensor ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn wrong_usage_is_status_2_and_says_what_would_do() {
    let dir = directory();
    for (args, words) in [
        (&["replya", "x"][..], &["unrecognized subcommand 'replya'", "replay"][..]),
        (&["replay"], &["<PATH>"]),
        (&["replay", "--tabel", "x"], &["unexpected argument '--tabel'", "--table"]),
        (&["replay", "--threads", "0", "x"], &["0", "1..=64"]),
        (&["replay", "--threads", "65", "x"], &["65", "1..=64"]),
        (&["replay", "--from", "noon", "x"], &["--from", "2026-11-23T09:12:01Z"]),
        (&["replay", "--fail-on", "shadows", "x"], &["shadows", "sanctioned_direct"]),
        (&["replay", "--table", "-o", "-", "x"], &["--table and `-o -`"]),
        (&["completions", "tcsh"], &["tcsh", "bash"]),
        (&["rules", "explain"], &["required"]),
        (&["rules", "explain", "events.jsonl"], &["ID"]),
    ] {
        let outcome = run(dir.path(), args).ends(2, words);
        assert_eq!(outcome.stdout, "", "{args:?}");
    }
}

#[test]
fn completions_and_manual_pages_are_made() {
    let dir = directory();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(run(dir.path(), &["completions", shell]).ends(0, &[]).stdout.contains("mcp-sensor"), "{shell}");
    }
    assert!(run(dir.path(), &["man"]).ends(0, &[]).stdout.contains(".TH mcp-sensor 1"));
    std::fs::create_dir(dir.path().join("man")).unwrap();
    run(dir.path(), &["man", "--dir", "man"]).ends(0, &[]);
    assert!(dir.path().join("man/mcp-sensor-replay.1").exists());
    run(dir.path(), &["man", "--dir", "absent"]).ends(1, &["absent"]);
}
