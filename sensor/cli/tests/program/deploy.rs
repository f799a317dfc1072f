//! What is installed beside the program.

use crate::support::{directory, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)
}

/// Exposure in tenths, of 100 at most.
const PROMISED: &str = "21";

#[test]
fn the_unit_is_as_closed_as_promised() {
    let unit = deploy("systemd/mcp-sensor.service");
    let analysis = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(format!("--threshold={PROMISED}"))
        .arg(&unit)
        .output();
    let Ok(analysis) = analysis else {
        println!("skipped: there is no systemd-analyze");
        return;
    };
    let text = String::from_utf8_lossy(&analysis.stdout);
    assert!(analysis.status.success(), "{text}\n{}", String::from_utf8_lossy(&analysis.stderr));
    assert!(text.contains("Overall exposure level for mcp-sensor.service"), "{text}");
    // It understands every line.
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    let faults: Vec<_> =
        said.lines().filter(|l| l.contains("mcp-sensor") && !l.contains("is not executable")).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn the_unit_runs_the_program_as_the_manual_says() {
    let unit = fs::read_to_string(deploy("systemd/mcp-sensor.service")).unwrap();
    let has = |line: &str| assert!(unit.lines().any(|l| l == line), "no {line}");
    for line in [
        "Type=notify",
        "ExecStart=/usr/bin/mcp-sensor run",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "User=mcp-sensor",
        "AmbientCapabilities=CAP_NET_RAW",
        "CapabilityBoundingSet=CAP_NET_RAW",
        "Restart=on-failure",
    ] {
        has(line);
    }
    let user = fs::read_to_string(deploy("systemd/mcp-sensor.sysusers.conf")).unwrap();
    assert!(user.lines().any(|line| line.starts_with("u mcp-sensor ")), "{user}");
}

#[test]
fn the_configuration_to_begin_with_is_valid_also_with_everything_in_it_switched_on() {
    let dir = directory();
    let text = fs::read_to_string(deploy("sensor.toml")).unwrap();
    // Keys have no space behind the mark, as prose has.
    let switched_on = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => key.replace("/etc/mcp-sensor/rules", "rules"),
        _ => line.to_owned(),
    };
    let all = text.lines().map(switched_on).collect::<Vec<_>>().join("\n");
    assert_ne!(text, all);
    fs::create_dir(dir.path().join("rules")).unwrap();
    for (name, text) in [("plain.toml", &text), ("all.toml", &all)] {
        fs::write(dir.path().join(name), text).unwrap();
        run(dir.path(), &["-c", name, "config", "check"]).ends(0, &[]);
    }
}
