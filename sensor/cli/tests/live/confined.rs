//! What a sensor that runs may still do, and that it is enough for all its work.

use crate::needs_lab;
use crate::process::RUN;
use crate::support::*;
use nix::sys::signal::Signal;
use nix::unistd::{User, chown};
use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A field of `/proc/PID/task/*/status`, of all threads. They are never fewer than two.
#[track_caller]
fn of_all_threads(sensor: &Running, field: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", sensor.pid())).unwrap();
    let text = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
    let found = text.map(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    let found: Vec<_> = found.collect();
    assert!(found.len() > 1, "{found:?}");
    found
}

/// `logs` belongs to nobody, as a package would make it for its user; everything else to root.
fn logs_of(dir: &Path, user: &User) -> PathBuf {
    let logs = dir.join("logs");
    fs::create_dir(&logs).unwrap();
    fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
    chown(&logs, Some(user.uid), Some(user.gid)).unwrap();
    logs
}

fn get(lab: &Lab, address: &str) -> String {
    within(&lab.near, || {
        let mut peer = TcpStream::connect(address).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        peer.read_to_string(&mut text).unwrap();
        text
    })
}

#[test]
fn a_running_sensor_has_one_right_left_and_does_all_its_work_without_others() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    ip(&["-n", &lab.near, "link", "set", "lo", "up"]);
    let user = User::from_name("nobody").unwrap().unwrap();
    let logs = logs_of(dir.path(), &user);
    let source = format!("[[source]]\nkind = \"interface\"\ninterface = \"{SPAN}\"\nrings = 2\n");
    let config = format!(
        "[process]\nuser = \"nobody\"\n[metrics]\nlisten = \"127.0.0.1:19464\"\n[capture]\nthreads = 3\n\
         [[sink]]\nkind = \"jsonl\"\npath = \"logs/a.jsonl\"\nrotate_bytes = 65536\n\
         [[sink]]\nkind = \"jsonl\"\npath = \"-\"\n{source}"
    );
    fs::write(dir.path().join("sensor.toml"), &config).unwrap();
    let mut sensor = Running::start(&mut lab.sensor(dir.path(), &RUN));
    let send = |from: usize, to: usize| (from..to).for_each(|n| lab.send(&conversation(n)));
    send(0, 50);
    until("50 calls are written", || fs::read_to_string(logs.join("a.jsonl")).is_ok_and(|t| t.contains("\"tool_49\"")));

    let all = |field: &str, want: &str| {
        let found = of_all_threads(&sensor, field);
        assert!(found.iter().all(|value| value == want), "{field} {found:?}");
    };
    let (uid, gid) = (user.uid, user.gid);
    all("Uid", &format!("{uid} {uid} {uid} {uid}"));
    all("Gid", &format!("{gid} {gid} {gid} {gid}"));
    for set in ["CapEff", "CapPrm"] {
        // CAP_NET_RAW.
        all(set, "0000000000002000");
    }
    for set in ["CapInh", "CapBnd", "CapAmb"] {
        all(set, "0000000000000000");
    }
    all("NoNewPrivs", "1");
    all("Seccomp", "2");
    let limits = fs::read_to_string(format!("/proc/{}/limits", sensor.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");

    // A scrape, a reload, an interface that comes back, files that are rotated.
    assert!(get(&lab, "127.0.0.1:19464").contains("mcp_sensor_packets_total"));
    fs::write(dir.path().join("sensor.toml"), format!("{config}\n[denied]\nservers = [\"mcp.example.com\"]\n"))
        .unwrap();
    sensor.signal(Signal::SIGHUP);
    sensor.wait_for("are in force");
    lab.unplug();
    lab.plug();
    let mut next = 50;
    until("it captures again", || {
        send(next, next + 1);
        next += 1;
        fs::read_to_string(logs.join("a.jsonl")).is_ok_and(|t| t.contains("\"denied\""))
    });
    send(next, next + 100);
    let ended = sensor.stop().well();
    assert!(!ended.stderr.contains("not permitted") && !ended.stderr.contains("denied:"), "{}", ended.stderr);
    let told = events(&ended.stdout);
    adds_up(&totals(&told));
    assert_eq!(called(&told).last(), Some(&(next + 99)));
    let files: Vec<_> = fs::read_dir(&logs).unwrap().map(|file| file.unwrap()).collect();
    assert!(files.len() > 1, "{files:?}");
    for file in files {
        let (meta, path) = (file.metadata().unwrap(), file.path());
        assert_eq!((meta.uid(), meta.mode() & 0o137), (uid.as_raw(), 0), "{}", path.display());
    }
}

#[test]
fn a_user_that_cannot_write_where_events_go_is_refused_at_the_start() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let config = format!(
        "[process]\nuser = \"nobody\"\n[[sink]]\nkind = \"jsonl\"\npath = \"a.jsonl\"\n\
         [[source]]\nkind = \"interface\"\ninterface = \"{SPAN}\"\n"
    );
    fs::write(dir.path().join("sensor.toml"), config).unwrap();
    let ended = Running::begin(&mut lab.sensor(dir.path(), &RUN)).end();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("`nobody` cannot write in") && ended.stderr.contains("chown nobody"),
        "{}",
        ended.stderr
    );
}

#[test]
fn root_that_captures_into_the_folder_of_a_user_can_write_there() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let user = User::from_name("nobody").unwrap().unwrap();
    let logs = logs_of(dir.path(), &user);
    let args = ["-c", "../empty.toml", "capture", "-i", SPAN, "-o", "events.jsonl"];
    let sensor = Running::start(&mut lab.sensor(&logs, &args));
    lab.send(&conversation(1));
    // CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_NET_RAW.
    assert!(of_all_threads(&sensor, "CapPrm").iter().all(|bits| bits == "0000000000002006"));
    let ended = sensor.stop().well();
    assert!(!ended.stderr.contains("root"), "nobody has to be told: {}", ended.stderr);
    assert_eq!(called(&events_of(&logs.join("events.jsonl"))), [1]);
}

#[test]
fn without_the_right_to_open_interfaces_nothing_is_left() {
    needs_lab!();
    let (lab, dir) = (Lab::new(), directory());
    let config = format!(
        "[process]\nkeep_net_raw = false\n[[sink]]\nkind = \"jsonl\"\npath = \"-\"\n\
         [[source]]\nkind = \"interface\"\ninterface = \"{SPAN}\"\n"
    );
    fs::write(dir.path().join("sensor.toml"), config).unwrap();
    let sensor = Running::start(&mut lab.sensor(dir.path(), &RUN));
    lab.send(&conversation(1));
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        let found = of_all_threads(&sensor, set);
        assert!(found.iter().all(|bits| bits == "0000000000000000"), "{set} {found:?}");
    }
    assert_eq!(called(&events(&sensor.stop().well().stdout)), [1]);
}
