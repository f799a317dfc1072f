//! Many names, many threads.

use super::*;
use crate::clock;
use std::sync::{Arc, Barrier};
use std::thread;

/// As many as are kept unless the configuration says otherwise.
const LEAVES: u64 = 10_000;
/// Set where a test is the only one of its process.
const ALONE: &str = "MCP_SENSOR_TEST_ALONE";

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn fifty_thousand_names_leave_ten_thousand_leaves_and_little_memory() {
    // In a process of its own: tests beside it use memory, too.
    if std::env::var_os(ALONE).is_none() {
        let name = "fifty_thousand_names_leave_ten_thousand_leaves_and_little_memory";
        let (_, module) = module_path!().split_once("::").unwrap();
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", &format!("{module}::{name}")])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let (_dir, files, _) = made();
    let ca = CertificateAuthority::load(&files, LEAVES).unwrap();
    let before = resident();
    let mut most = 0;
    for index in 0..50_000 {
        let name = format!("a-host-with-a-name-of-usual-length-{index}.example.com");
        for alpn in [&b"h2"[..], b"http/1.1"] {
            ca.server_config(&name, Some(alpn)).unwrap();
        }
        // One that is in use stays in.
        ca.server_config("busy.example.com", None).unwrap();
        if index % 1000 == 0 {
            most = most.max(ca.leaves.iter().count());
        }
    }
    let grown = resident().saturating_sub(before);
    ca.leaves.run_pending_tasks();
    assert!(ca.leaves.entry_count() <= LEAVES);
    // What was put in and not yet counted comes on top: the cache counts in batches.
    assert!(most <= 11_000, "{most}");
    assert!(ca.leaves.contains_key("busy.example.com"));
    assert!(grown < 40 << 20, "{grown} bytes");
    println!("{most} leaves at most, {} KiB", grown >> 10);
}

#[test]
fn no_spelling_of_a_name_has_a_leaf_of_its_own() {
    let (_dir, files, _) = made();
    let ca = load(&files).unwrap();
    let now = clock::now().seconds();
    let leaf = ca.leaf("example.com", now).unwrap();
    for name in ["EXAMPLE.com", "example.com.", "Example.Com."] {
        assert!(Arc::ptr_eq(&leaf, &ca.leaf(name, now).unwrap()), "{name}");
    }
    let leaf = ca.leaf("2001:db8::1", now).unwrap();
    assert!(Arc::ptr_eq(&leaf, &ca.leaf("2001:DB8:0::0:1", now).unwrap()));
    for name in ["", "*.example.com", "example.com\0", "exa mple.com", "127.1", "[::1]", &"a.".repeat(150)] {
        assert_eq!(ca.server_config(name, None).unwrap_err().reason(), "name", "{name}");
    }
    ca.leaves.run_pending_tasks();
    assert_eq!(ca.leaves.entry_count(), 2);
}

#[test]
fn the_same_configuration_is_given_again() {
    let (_dir, files, _) = made();
    let ca = load(&files).unwrap();
    for alpn in [None, Some(&b"h2"[..]), Some(b"http/1.1")] {
        let one = ca.server_config("example.com", alpn).unwrap();
        assert!(Arc::ptr_eq(&one, &ca.server_config("EXAMPLE.com", alpn).unwrap()));
        assert_eq!(one.alpn_protocols, alpn.map(<[u8]>::to_vec).into_iter().collect::<Vec<_>>());
        assert_eq!((one.max_early_data_size, one.send_half_rtt_data), (0, false));
    }
}

#[test]
fn threads_that_want_one_name_share_one_leaf() {
    const THREADS: usize = 16;
    let (_dir, files, _) = made();
    let ca = load(&files).unwrap();
    let barrier = Barrier::new(THREADS);
    for round in 0..20 {
        let name = format!("host-{round}.example.com");
        let now = clock::now().seconds();
        let leaves: Vec<_> = thread::scope(|scope| {
            let wait = || {
                barrier.wait();
                ca.leaf(&name, now).unwrap()
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(wait)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(leaves.iter().all(|leaf| Arc::ptr_eq(leaf, &leaves[0])));
    }
}

#[test]
fn threads_that_want_many_names_get_each_its_own() {
    let (_dir, files, _) = made();
    // So few that leaves are thrown out all the time.
    let ca = CertificateAuthority::load(&files, 8).unwrap();
    let now = clock::now().seconds();
    thread::scope(|scope| {
        for offset in 0..8 {
            let ca = &ca;
            scope.spawn(move || {
                for index in 0..400 {
                    let name = format!("host-{}.example.com", (index * 7 + offset) % 40);
                    let der = leaves::der(&ca.leaf(&name, now).unwrap());
                    let at = der.windows(name.len()).filter(|window| *window == name.as_bytes()).count();
                    assert_eq!(at, 2, "{name}: common name and alternative name");
                }
            });
        }
    });
}
