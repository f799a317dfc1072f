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

const UNITS: [&str; 2] = ["mcp-sensor.service", "mcp-sensor-proxy.service"];

#[test]
fn the_units_are_as_closed_as_promised() {
    for unit in UNITS {
        closed(unit);
    }
}

fn closed(name: &str) {
    let unit = deploy("systemd").join(name);
    let analysis = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(format!("--threshold={PROMISED}"))
        .arg(&unit)
        .output();
    // It is part of systemd, which not every machine has.
    let Ok(analysis) = analysis else { return };
    let text = String::from_utf8_lossy(&analysis.stdout);
    assert!(analysis.status.success(), "{text}\n{}", String::from_utf8_lossy(&analysis.stderr));
    assert!(text.contains(&format!("Overall exposure level for {name}")), "{text}");
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
    let proxy = fs::read_to_string(deploy("systemd/mcp-sensor-proxy.service")).unwrap();
    for line in [
        "Type=notify",
        "ExecStart=/usr/bin/mcp-sensor -c /etc/mcp-sensor/proxy.toml run",
        "User=mcp-sensor",
        "CapabilityBoundingSet=",
    ] {
        assert!(proxy.lines().any(|l| l == line), "no {line}");
    }
    let user = fs::read_to_string(deploy("systemd/mcp-sensor.sysusers.conf")).unwrap();
    assert!(user.lines().any(|line| line.starts_with("u mcp-sensor ")), "{user}");
}

#[test]
fn the_configurations_to_begin_with_are_valid_also_with_everything_in_them_switched_on() {
    for name in ["sensor.toml", "proxy.toml"] {
        let dir = directory();
        let text = fs::read_to_string(deploy(name)).unwrap();
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
}
