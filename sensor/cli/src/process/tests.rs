//! What is given up cannot be had back, so each test starts this test program again, for one scene.

use super::confine::Means;
use super::*;
use nix::unistd::{Uid, User, chown};
use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::low_level::raise;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, thread};

const SCENE: &str = "MCP_SENSOR_TEST_SCENE";
const FOLDER: &str = "MCP_SENSOR_TEST_FOLDER";
const LONG: Duration = Duration::from_secs(20);

/// Starts `scene` in a process of its own, with `folder` to work in.
fn start(scene: &str, folder: &Path) -> Command {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "process::tests::what_a_child_does", "--nocapture", "--test-threads=1"]);
    child.env(SCENE, scene).env(FOLDER, folder).stdout(Stdio::piped());
    child
}

/// Does nothing unless one of the tests below started it.
#[test]
fn what_a_child_does() {
    let Ok(scene) = env::var(SCENE) else { return };
    let folder = PathBuf::from(env::var_os(FOLDER).unwrap());
    match scene.as_str() {
        "confined" => confined(&folder),
        "raw" => raw(&folder),
        "foreign" => foreign(&folder),
        "shed" => shed_all(),
        "signals" => signals(),
        "notify" => service(&folder),
        other => panic!("no scene {other}"),
    }
}

/// Whom tests become where root runs them. Every Linux system has it.
fn somebody() -> Option<User> {
    Uid::effective().is_root().then(|| User::from_name("nobody").unwrap().unwrap())
}

/// `read/rules.toml`, an empty `logs`, and a `secret` that anybody could read.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["", "read", "logs"] {
        fs::create_dir_all(path(name)).unwrap();
        fs::set_permissions(path(name), Permissions::from_mode(0o755)).unwrap();
    }
    for name in ["read/rules.toml", "secret"] {
        fs::write(path(name), "rules").unwrap();
    }
    if let Some(user) = somebody() {
        chown(&path("logs"), Some(user.uid), Some(user.gid)).unwrap();
    }
    folder
}

fn everything(folder: &Path) -> Confinement {
    Confinement {
        user: somebody().map(|user| user.name),
        keep_net_raw: false,
        seccomp: true,
        landlock: true,
        connects: false,
        read: vec![folder.join("read/rules.toml")],
        write: vec![folder.join("logs/events.jsonl")],
    }
}

#[track_caller]
fn denied<T>(result: io::Result<T>) {
    assert_eq!(result.map(drop).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
}

fn confined(folder: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let achieved = confine(&everything(folder)).unwrap();

    // What is gone.
    let status = Status::of_this_thread().unwrap();
    assert_eq!(status, achieved.status);
    assert_eq!((status.effective, status.permitted), (0, 0));
    assert!(status.no_new_privs && status.seccomp && status.uid != 0, "{status:?}");
    assert_eq!(achieved.seccomp, Means::On);
    assert!(!achieved.can_open_interfaces());
    denied(Command::new("/bin/true").status());
    denied(UdpSocket::bind("127.0.0.1:0"));
    denied(TcpListener::bind("127.0.0.1:0"));
    if matches!(achieved.landlock, Means::On | Means::InPart) {
        for path in [Path::new("/etc/passwd"), &folder.join("secret")] {
            denied(File::open(path));
        }
        denied(File::create(folder.join("logs/../new")));
        denied(fs::read_dir("/"));
    }

    // What works on.
    assert_eq!(fs::read_to_string(folder.join("read/rules.toml")).unwrap(), "rules");
    fs::read_to_string("/proc/self/statm").unwrap();
    assert!(fs::read_dir("/proc/self/fd").unwrap().count() > 2);
    assert!(fs::read_dir("/sys/class/net").unwrap().count() > 0);
    let events = folder.join("logs/events.jsonl");
    let writer = thread::Builder::new().name("writer".to_owned()).spawn(move || {
        let open = || OpenOptions::new().append(true).create(true).open(&events).unwrap();
        let (first, old) = (open(), events.with_extension("1"));
        fs::rename(&events, &old).unwrap();
        (&first).write_all(b"torn").unwrap();
        first.set_len(0).unwrap();
        open().write_all(b"line\n").unwrap();
        open().sync_data().unwrap();
        fs::remove_file(&old).unwrap();
        Status::of_this_thread().unwrap()
    });
    assert_eq!(writer.unwrap().join().unwrap(), status);
    println!("\nport {}", listener.local_addr().unwrap().port());
    let (mut peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(LONG)).unwrap();
    peer.write_all(b"served").unwrap();
}

#[test]
fn a_confined_process_works_on_and_reaches_nothing_else() {
    let folder = folder();
    let mut child = start("confined", folder.path()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ports = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("port ")?.parse::<u16>().ok());
    if let Some(port) = ports.next() {
        let mut answer = String::new();
        TcpStream::connect(("127.0.0.1", port)).unwrap().read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "served");
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(folder.path().join("logs/events.jsonl")).unwrap(), "line\n");
    assert!(!folder.path().join("logs/events.1").exists());
}

fn raw(folder: &Path) {
    let achieved = confine(&Confinement { keep_net_raw: true, ..everything(folder) }).unwrap();
    let net_raw = 1 << 13;
    assert_eq!((achieved.status.effective, achieved.status.permitted, achieved.status.bounding), (net_raw, net_raw, 0));
    assert!(achieved.can_open_interfaces() && achieved.status.uid != 0);
    assert!(achieved.to_string().contains("capabilities cap_net_raw, no new privileges on"), "{achieved}");
    let inherited = thread::spawn(|| Status::of_this_thread().unwrap()).join().unwrap();
    assert_eq!(inherited, achieved.status);
}

#[test]
fn the_right_to_open_interfaces_can_be_kept_alone() {
    if somebody().is_some() {
        let folder = folder();
        assert!(start("raw", folder.path()).status().unwrap().success());
    }
}

fn foreign(folder: &Path) {
    let wanted = Confinement { user: None, keep_net_raw: true, ..everything(folder) };
    let achieved = confine(&wanted).unwrap();
    // CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_NET_RAW.
    assert_eq!((achieved.status.permitted, achieved.status.uid), (1 << 1 | 1 << 2 | 1 << 13, 0));
    let warning = achieved.warning(true).unwrap();
    assert!(warning.contains("logs/events.jsonl or its folder belongs to another user"), "{warning}");
    assert!(!achieved.warning(false).is_some_and(|text| text.contains("root") || text.contains("logs")));
    fs::write(folder.join("logs/events.jsonl"), "line\n").unwrap();
    if matches!(achieved.landlock, Means::On | Means::InPart) {
        denied(File::open("/etc/passwd"));
        denied(File::create(folder.join("new")));
    }
}

#[test]
fn root_without_a_user_writes_in_folders_of_others_and_nowhere_else() {
    if somebody().is_some() {
        let folder = folder();
        assert!(start("foreign", folder.path()).status().unwrap().success());
    }
}

fn shed_all() {
    shed([Path::new("/proc/self"), Path::new("/no/such/file")]).unwrap();
    let status = Status::of_this_thread().unwrap();
    assert_eq!((status.effective, status.permitted, status.no_new_privs), (0, 0, true));
    assert_eq!(thread::spawn(|| Status::of_this_thread().unwrap()).join().unwrap(), status);
}

#[test]
fn a_command_that_reads_files_has_no_capability() {
    assert!(start("shed", Path::new("/")).status().unwrap().success());
}

#[test]
fn a_user_that_will_not_do_is_refused_before_anything_is_given_up() {
    let of = |user: &str| confine(&Confinement { user: Some(user.to_owned()), ..Confinement::default() }).unwrap_err();
    let before = Status::of_this_thread().unwrap();
    let text = of("no-such-user-here").to_string();
    assert!(text.contains("there is no user `no-such-user-here`; make one (`useradd --system"), "{text}");
    if somebody().is_none() {
        let text = of("root").to_string();
        assert!(text.contains("only root can become `root`"), "{text}");
    }
    assert_eq!(Status::of_this_thread().unwrap(), before);
}

fn signals() {
    let signals = Signals::catch().unwrap();
    raise(SIGHUP).unwrap();
    let listener = signals.listen().unwrap();
    let next = || listener.events().recv_timeout(LONG).unwrap();
    assert_eq!(next(), Signal::Reload);
    raise(SIGTERM).unwrap();
    assert_eq!(next(), Signal::Stop);
    println!("\nstopping");
    raise(SIGTERM).unwrap();
    println!("\nstill here");
}

#[test]
fn the_first_signal_stops_and_the_second_ends_at_once() {
    let output = start("signals", Path::new("/")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(128 + SIGTERM), "{text}");
    assert!(text.contains("\nstopping") && !text.contains("still here"), "{text}");
}

fn service(folder: &Path) {
    confine(&Confinement { user: None, write: Vec::new(), ..everything(folder) }).unwrap();
    super::notify::ready("watching eth1\nWATCHDOG=trigger").unwrap();
    super::notify::reloading().unwrap();
    super::notify::status("reloaded").unwrap();
    let (asked, answers) = crossbeam_channel::bounded(0);
    let mut turn = 0;
    let watchdog = super::notify::watch(move || {
        turn += 1;
        // The third answer, and all behind it: a worker hangs.
        let _ = asked.send(turn);
        turn < 3
    });
    let watchdog = watchdog.unwrap().expect("a watchdog is asked for");
    assert_eq!(answers.iter().take(4).collect::<Vec<_>>(), [1, 2, 3, 4]);
    drop(answers);
    drop(watchdog);
    super::notify::stopping().unwrap();
}

#[test]
fn the_service_manager_is_told_and_a_hung_worker_starves_the_watchdog() {
    let folder = folder();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let mut child = start("notify", folder.path());
    let status = child.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "20000").env_remove("WATCHDOG_PID").status();
    assert!(status.unwrap().success());
    let told: Vec<String> = (0..6)
        .map(|_| {
            let mut text = [0; 256];
            let length = socket.recv(&mut text).unwrap();
            String::from_utf8_lossy(&text[..length]).into_owned()
        })
        .collect();
    let [ready, reloading, status, alive, alive_too, stopping] = &told[..] else { panic!("{told:?}") };
    assert_eq!(ready.trim_end(), "READY=1\nSTATUS=watching eth1 WATCHDOG=trigger");
    let (word, time) = reloading.trim_end().split_once('\n').unwrap();
    assert_eq!(word, "RELOADING=1");
    assert!(time.strip_prefix("MONOTONIC_USEC=").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(status.trim_end(), "STATUS=reloaded");
    assert_eq!([alive.trim_end(), alive_too.trim_end()], ["WATCHDOG=1"; 2]);
    assert_eq!(stopping.trim_end(), "STOPPING=1");
}

#[test]
fn no_service_manager_is_no_error() {
    // The variables are those of whoever runs the tests; none sets them here.
    if env::var_os("NOTIFY_SOCKET").is_none() {
        super::notify::ready("here").unwrap();
        assert!(super::notify::watch(|| true).unwrap().is_none());
    }
}
