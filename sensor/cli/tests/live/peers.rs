//! Real clients and servers of the official SDKs talk over the cable while the sensor listens at one end of it.

use crate::support::*;
use crate::{installed, needs_lab};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const FAR: &str = "10.99.7.1";
const NEAR: &str = "10.99.7.2";
const PORT: u16 = 8000;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/peers").join(name)
}

/// A server that is killed at the end.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server at the far end and waits until it listens, which is asked for from its own end: the sensor shall
/// not see it.
fn serve(lab: &Lab, program: &Path, script: &Path) -> Server {
    let mut command = Lab::command(&lab.far, program);
    let mut server = Server(
        command.arg(script).arg(FAR).arg(PORT.to_string()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
    );
    within(&lab.far, || {
        let end = clock() + PATIENCE;
        while TcpStream::connect((FAR, PORT)).is_err() {
            assert!(clock() < end && server.0.try_wait().unwrap().is_none(), "the server does not come up");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    });
    server
}

/// Records what the sensor sees too, until it is told to stop; gives how many frames there were.
fn record(lab: &Lab, path: &Path, over: &AtomicBool, ready: &AtomicBool) -> usize {
    within(&lab.near, || {
        let capture = pcap::Capture::from_device(SPAN).unwrap().timeout(50).snaplen(262_144).buffer_size(64 << 20);
        let mut capture = capture.open().unwrap().setnonblock().unwrap();
        let mut file = capture.savefile(path).unwrap();
        ready.store(true, Ordering::Release);
        let mut frames = 0;
        let mut idle_since = clock();
        loop {
            let last = over.load(Ordering::Acquire);
            match capture.next_packet() {
                Ok(packet) => {
                    file.write(&packet);
                    frames += 1;
                    idle_since = clock();
                }
                // The kernel hands over what came within two of its timeouts.
                Err(_) if last && idle_since.elapsed() > Duration::from_millis(500) => break,
                Err(_) => std::thread::park_timeout(Duration::from_millis(5)),
            }
        }
        assert_eq!(capture.stats().unwrap().dropped, 0, "the recording is whole");
        file.flush().unwrap();
        frames
    })
}

/// One client talks to one server; the sensor and a recorder listen.
fn talk(program: &Path, folder: &Path, suffix: &str, tools: &[&str]) {
    let (lab, dir) = (Lab::new(), directory());
    lab.address(&format!("{FAR}/24"), &format!("{NEAR}/24"));
    let _server = serve(&lab, program, &folder.join(format!("server.{suffix}")));
    let sensor =
        Running::start(&mut lab.sensor(dir.path(), &["-c", "empty.toml", "capture", "-i", SPAN, "-o", "live.jsonl"]));
    let (over, ready) = (AtomicBool::new(false), AtomicBool::new(false));
    let pcap = dir.path().join("same.pcap");
    let frames = std::thread::scope(|scope| {
        let recorder = scope.spawn(|| record(&lab, &pcap, &over, &ready));
        while !ready.load(Ordering::Acquire) {
            assert!(!recorder.is_finished(), "nothing can be recorded");
            std::thread::yield_now();
        }
        let client = Lab::command(&lab.near, program)
            .arg(folder.join(format!("client.{suffix}")))
            .arg(format!("http://{FAR}:{PORT}/mcp"))
            .output();
        over.store(true, Ordering::Release);
        let frames = recorder.join().unwrap();
        let client = client.unwrap();
        assert!(client.status.success(), "{}", String::from_utf8_lossy(&client.stderr));
        frames
    });
    assert!(frames > 20, "{frames}");
    let ended = sensor.stop().well();
    let live = events_of(&dir.path().join("live.jsonl"));
    assert!(ended.stderr.contains("drops=0"), "{}", ended.stderr);
    let called = |tool: &str| live.iter().any(|e| e["type"] == "detection" && e["mcp"]["tools"][0] == tool);
    for tool in tools {
        assert!(called(tool), "no call of {tool} among {:?}", found(&live));
    }
    let confirmed = servers(&live).into_values().filter(|s| s[0] == "\"confirmed\"").count();
    assert_eq!(confirmed, 1, "{:?}", servers(&live));
    let again = replayed(dir.path(), &pcap, &[]);
    assert_eq!(found(&live), found(&again));
    assert_eq!(servers(&live), servers(&again));
}

#[test]
fn the_python_sdk_is_seen_live_and_its_recording_says_the_same() {
    needs_lab!();
    let Some(python) = installed::python("python-sdk", &script("requirements.txt")) else {
        println!("skipped: the Python SDK cannot be installed here (python3 with venv, and the network)");
        return;
    };
    talk(&python, &script(""), "py", &["find_part", "order_part"]);
}

#[test]
fn the_typescript_sdk_is_seen_live_and_its_recording_says_the_same() {
    needs_lab!();
    let Some(folder) = installed::node("node-sdk", &script("")) else {
        println!("skipped: the TypeScript SDK cannot be installed here (npm, and the network)");
        return;
    };
    talk(Path::new("node"), &folder, "mjs", &["start_build"]);
}
