//! What must not matter: how the wire is cut, ordered, doubled, framed and tagged.

use crate::support::{Run, said, scripted};
use serde_json::Value;
use testkit::{Capture, Direction, Link, Rng, Turn, Wire, http};

fn run(turns: &[Turn], link: Link, wire: Wire) -> Run {
    let mut capture = Capture::with_link(link);
    capture.play("10.1.1.1:40001", "10.2.2.2:8000", wire, turns);
    Run::of(&capture.pcap())
}

#[track_caller]
fn same(name: &str, how: &str, got: &Run, want: &Run, also: &[&str]) {
    let (got, want) = (said(got, also), said(want, also));
    assert!(!want.is_empty(), "{name}: nothing to compare");
    if got != want {
        let at = got.iter().zip(&want).position(|(a, b)| a != b).unwrap_or(got.len().min(want.len()));
        panic!(
            "{name}, {how}: {} events, want {}; the first that differs:\n got {}\nwant {}",
            got.len(),
            want.len(),
            got.get(at).unwrap_or(&Value::Null),
            want.get(at).unwrap_or(&Value::Null)
        );
    }
}

#[test]
fn cutting_the_wire_elsewhere_changes_nothing() {
    for (name, turns) in scripted() {
        let want = run(&turns, Link::Ethernet, Wire::default());
        for mss in [1, 7, 536, 65_000] {
            // A detection tells the bytes of the answer so far, and is made when a message of it closes.
            let got = run(&turns, Link::Ethernet, Wire::cut(mss));
            same(name, &format!("segments of {mss}"), &got, &want, &["response_bytes"]);
        }
    }
}

#[test]
fn reordering_and_doubling_segments_changes_nothing() {
    for (name, turns) in scripted() {
        let want = run(&turns, Link::Ethernet, Wire::default());
        for seed in 1..6 {
            for wire in [
                Wire { reorder: 4, seed, ..Wire::cut(100) },
                Wire { duplicate: 2, ..Wire::cut(100) },
                Wire { reorder: 8, duplicate: 3, seed, ..Wire::cut(60) },
            ] {
                same(name, &format!("{wire:?}"), &run(&turns, Link::Ethernet, wire.clone()), &want, &[]);
            }
        }
    }
}

#[test]
fn other_bytes_claimed_later_for_delivered_ones_change_nothing() {
    for (name, turns) in scripted() {
        let want = run(&turns, Link::Ethernet, Wire::default());
        same(name, "conflict", &run(&turns, Link::Ethernet, Wire { conflict: 4, ..Wire::cut(80) }), &want, &[]);
    }
}

#[test]
fn link_type_tags_and_offload_change_nothing() {
    for (name, turns) in scripted() {
        let want = run(&turns, Link::Ethernet, Wire::default());
        let also = &["mac", "vlan"];
        for (how, link, wire) in [
            ("linux cooked", Link::LinuxCooked, Wire::default()),
            ("raw ip", Link::RawIp, Wire::default()),
            ("vlan", Link::Ethernet, Wire { vlan: Some(12), ..Wire::default() }),
            ("offload", Link::Ethernet, Wire { bad_checksums: true, ..Wire::cut(40_000) }),
        ] {
            same(name, how, &run(&turns, link, wire), &want, also);
        }
    }
}

#[test]
fn chunking_a_body_otherwise_changes_nothing_but_its_bytes_on_the_wire() {
    let json =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"note_find","arguments":{"q":"budget"}}}"#;
    let answer =
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"three notes"}],"isError":false}}"#;
    let ask = "POST /mcp HTTP/1.1\nHost: notes.corp.example\nContent-Type: application/json\nAccept: application/json, text/event-stream";
    let reply = "HTTP/1.1 200 OK\nContent-Type: text/event-stream";
    let stream = http::events(&[("message", answer)], "\r\n");
    let turns = |size: usize, extension: &str| {
        vec![
            (Direction::ToServer, http::chunked(ask, json.as_bytes(), size, extension)),
            (Direction::ToClient, http::chunked(reply, &stream, size, extension)),
        ]
    };
    let also = &["request_bytes", "response_bytes"];
    let want = run(
        &[
            (Direction::ToServer, http::message(ask, json.as_bytes())),
            (Direction::ToClient, http::message(reply, &stream)),
        ],
        Link::Ethernet,
        Wire::default(),
    );
    for (size, extension) in [(1, ""), (3, ";x=y"), (10, ""), (4096, ";a=\"b c\"")] {
        for mss in [1, 1460] {
            let got = run(&turns(size, extension), Link::Ethernet, Wire::cut(mss));
            same("chunks", &format!("{size}{extension}, {mss}"), &got, &want, also);
        }
    }
}

/// Puts a content coding on a body.
type Code = fn(&[u8]) -> Vec<u8>;

#[test]
fn compressing_a_body_changes_nothing_but_its_bytes_on_the_wire() {
    let json = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let answer =
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"note_find","inputSchema":{"type":"object"}}]}}"#;
    let turns = |coding: &str, code: Code| {
        let line = if coding.is_empty() { String::new() } else { format!("Content-Encoding: {coding}\n") };
        vec![
            (Direction::ToServer, {
                let head =
                    format!("POST /mcp HTTP/1.1\nHost: notes.corp.example\nContent-Type: application/json\n{line}");
                http::message(&head, &code(json.as_bytes()))
            }),
            (Direction::ToClient, {
                let head = format!("HTTP/1.1 200 OK\nContent-Type: application/json\n{line}");
                http::message(&head, &code(answer.as_bytes()))
            }),
        ]
    };
    let also = &["request_bytes", "response_bytes"];
    let want = run(&turns("", <[u8]>::to_vec), Link::Ethernet, Wire::default());
    let codings: [(&str, Code); 4] = [
        ("gzip", http::gzip),
        ("deflate", http::zlib),
        ("deflate", http::deflate),
        ("gzip, gzip", |bytes| http::gzip(&http::gzip(bytes))),
    ];
    for (coding, code) in codings {
        for mss in [1, 1460] {
            same(coding, &mss.to_string(), &run(&turns(coding, code), Link::Ethernet, Wire::cut(mss)), &want, also);
        }
    }
}

#[test]
fn noise_between_the_flows_changes_nothing() {
    let (name, turns) = scripted().remove(0);
    let want = run(&turns, Link::Ethernet, Wire::default());
    let mut rng = Rng::new(3);
    let mut conversations = vec![("10.1.1.1:40001".to_owned(), "10.2.2.2:8000".to_owned(), turns)];
    for n in 0..40 {
        let noise: Vec<Turn> = (0..6)
            .map(|turn| {
                let bytes = (0..rng.below(900)).map(|_| (rng.next_u64() & 0xff) as u8).collect();
                (if turn % 2 == 0 { Direction::ToServer } else { Direction::ToClient }, bytes)
            })
            .collect();
        conversations.push((format!("10.3.3.3:{}", 41_000 + n), format!("10.4.4.4:{}", 9_000 + n), noise));
    }
    let mut capture = Capture::new();
    capture.interleave(&conversations, 41, &Wire::default(), 8);
    same(name, "noise", &Run::of(&capture.pcap()), &want, &[]);
}

#[test]
fn a_file_cut_anywhere_is_read_as_far_as_it_goes() {
    let mut capture = Capture::new();
    for (n, (_, turns)) in (0_u16..).zip(scripted()) {
        capture.play(&format!("10.1.1.1:{}", 40_001 + n), "10.2.2.2:8000", Wire::default(), &turns);
    }
    let pcap = capture.pcap();
    let whole = Run::of(&pcap);
    let detections = |run: &Run| run.of_type("detection").len();
    let mut before = 0;
    for end in (24..pcap.len()).step_by(97) {
        let run = Run::of(&pcap[..end]);
        assert!(detections(&run) <= detections(&whole), "cut at {end}");
        let (packets, analysed) = (&run.stats()["packets"], run.stats()["packets_analysed"].as_u64().unwrap());
        assert_eq!(packets.as_u64().unwrap(), analysed + run.total("packets_dropped"), "cut at {end}");
        assert!(packets.as_u64().unwrap() >= before, "cut at {end}");
        before = packets.as_u64().unwrap();
    }
    // Not even a header, or none at all: a notice says so, and the first and last lines are there.
    for end in [0, 1, 10, 23] {
        let run = Run::of(&pcap[..end]);
        assert_eq!(detections(&run), 0);
        assert!(!run.of_type("notice").is_empty(), "cut at {end}: nothing says that the file could not be read");
    }
}
