//! `doctor`, as far as it goes without a span port.

use crate::support::{directory, run};
use serde_json::Value;

#[test]
fn an_interface_that_is_not_there_fails_and_those_that_are_there_are_named() {
    let outcome = run(directory().path(), &["-c", "empty.toml", "doctor", "-i", "absent0"]).ends(1, &[]);
    let line = outcome.stdout.lines().find(|line| line.contains("absent0")).unwrap();
    assert!(line.starts_with("fail  absent0 interface"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("-> there are ") && outcome.stdout.contains("lo"), "{}", outcome.stdout);
}

#[test]
fn without_an_interface_it_says_which_there_are() {
    run(directory().path(), &["-c", "empty.toml", "doctor"]).ends(2, &["name an interface with -i; there are", "lo"]);
    run(directory().path(), &["-c", "empty.toml", "doctor", "-i", "no/name"]).ends(2, &["no name of an interface"]);
}

#[test]
fn sources_of_the_configuration_are_looked_at_and_programs_get_the_numbers() {
    let dir = directory();
    let source = "[[source]]\nkind = \"interface\"\ninterface = \"absent0\"\nbpf = \"tcp\"\nbuffer_bytes = 2097152\n";
    std::fs::write(dir.path().join("c.toml"), source).unwrap();
    let outcome = run(dir.path(), &["-c", "c.toml", "doctor", "--json"]).ends(1, &[]);
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let interface = &told["survey"]["interfaces"][0];
    assert_eq!(interface["name"], "absent0");
    assert_eq!(interface["bpf"], "tcp");
    assert_eq!(interface["ring_bytes"], 2_097_152);
    let of = |check: &str| told["findings"].as_array().unwrap().iter().find(|f| f["check"] == check).cloned();
    assert_eq!(of("interface").unwrap()["level"], "fail");
    assert!(of("clock").is_some() && of("permissions").is_some() && of("packets").is_none(), "{told}");
}

/// The loopback interface is no mirror, but it can be listened to.
#[cfg(feature = "pcap")]
#[test]
fn it_listens_where_it_may_and_says_where_not() {
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sending = {
        let done = done.clone();
        std::thread::spawn(move || {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = sender.send_to(b"hello", "127.0.0.1:9");
                std::thread::park_timeout(std::time::Duration::from_millis(20));
            }
        })
    };
    let dir = directory();
    let outcome = run(dir.path(), &["-c", "empty.toml", "doctor", "-i", "lo", "--seconds", "1", "--json"]);
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    sending.join().unwrap();
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let interface = &told["survey"]["interfaces"][0];
    if told["survey"]["may_capture"] == true {
        assert_eq!(interface["failure"], Value::Null, "{told}");
        assert!(interface["traffic"]["packets"].as_u64() > Some(10), "{told}");
        assert_eq!(outcome.code, 0, "{told}");
    } else {
        assert_eq!(outcome.code, 1);
        assert!(outcome.stdout.contains("CAP_NET_RAW is missing"), "{told}");
    }
}
