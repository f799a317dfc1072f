//! What can be told of encrypted traffic: without keys which known servers were contacted, and what stayed unread;
//! with keys all that was said.

use crate::corpus::{found, manifest, of, wanted};
use crate::support::{Run, fixtures, said};
use serde_json::Value;
use std::path::PathBuf;
use testkit::tls::{Hello, certificate, certificates, handshake, record, records};
use testkit::{Capture, Direction, Wire, quic};

const CLIENT: &str = "10.1.1.1:40001";
const SERVER: &str = "203.0.113.9:443";
const RESOLVER: &str = "10.1.1.53:53";

fn keylog(capture: &Value) -> PathBuf {
    let name = capture["keylog"].as_str().unwrap();
    fixtures("captures", "keylog").into_iter().find(|path| path.ends_with(name)).unwrap()
}

fn pcap(capture: &Value) -> Vec<u8> {
    let name = capture["file"].as_str().unwrap();
    let path = fixtures("captures", "pcap").into_iter().find(|path| path.ends_with(name)).unwrap();
    std::fs::read(path).unwrap()
}

fn sealed() -> Vec<Value> {
    manifest().into_iter().filter(|capture| capture["keylog"].is_string()).collect()
}

#[test]
fn with_keys_all_that_was_said_is_found() {
    let captures = sealed();
    assert_eq!(captures.len(), 4);
    let mut wrong = Vec::new();
    for capture in &captures {
        let run = Run::with_keys(&pcap(capture), Some(&keylog(capture)), 1);
        for expected in capture["expected"].as_array().unwrap() {
            let (got, want) = (found(&run, expected), wanted(expected));
            for (what, want) in want {
                if got[what] != want {
                    wrong.push(format!("{}: {what}: got {:?}, want {want:?}", capture["file"], got[what]));
                }
            }
        }
        for detection in run.of_type("detection") {
            let plain = detection["http"]["method"] == "CONNECT";
            let visibility = if plain { "cleartext" } else { "keylog" };
            if detection["visibility"] != visibility || (!plain && detection["http"]["scheme"] != "https") {
                wrong.push(format!("{}: {detection}", capture["file"]));
            }
        }
        assert_eq!(run.of_type("notice"), Vec::<&Value>::new(), "{}", capture["file"]);
        let four = Run::with_keys(&pcap(capture), Some(&keylog(capture)), 4);
        assert_eq!(run.lines, four.lines, "{}: four threads", capture["file"]);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn keys_that_a_capture_holds_itself_open_it() {
    let captures = sealed();
    let with_log = Run::with_keys(&pcap(&captures[0]), Some(&keylog(&captures[0])), 1);
    let path = fixtures("captures", "pcapng").into_iter().find(|p| p.ends_with("d12_tls13.dsb.pcapng")).unwrap();
    let held = Run::with_keys(&std::fs::read(path).unwrap(), None, 1);
    assert_eq!(said(&held, &["source"]), said(&with_log, &["source"]));
}

#[test]
fn without_keys_a_known_name_is_possible_and_what_is_not_read_is_named() {
    for capture in &sealed() {
        let run = Run::of(&pcap(capture));
        let expected = &capture["expected"][0];
        let known = expected["host"].as_str().unwrap().starts_with("mcp.");
        let contacts: Vec<_> =
            run.of_type("detection").into_iter().filter(|d| d["visibility"] == "tls_metadata").collect();
        assert_eq!(!contacts.is_empty(), known, "{}: an unknown name gives no event", capture["file"]);
        for contact in contacts {
            assert_eq!(contact["confidence"], "possible");
            assert_eq!(contact["tls"]["sni"], "mcp.vendor.test");
            assert_eq!(contact["tls"]["version"], "1.3");
            assert_eq!(contact["tls"]["ech"], false);
            assert!(contact["tls"]["ja4"].as_str().unwrap().starts_with("t13d"), "{contact}");
            assert_eq!(contact["limits"]["undecoded"], "tls");
            assert_eq!(contact["flow"]["server"]["ip"], expected["server"]);
        }
        assert!(!run.servers().iter().any(|s| of(s, expected) && s["confidence"] != "possible"), "{}", capture["file"]);
        let through_proxy = run.of_type("detection").iter().any(|d| d["http"]["method"] == "CONNECT");
        let (why, other) = if through_proxy { ("connect_tls", "tls") } else { ("tls", "connect_tls") };
        let unread = &run.stats()["uninspected_bytes"];
        assert!(unread[why].as_u64().unwrap() > 4000 && unread[other].is_null(), "{}", run.stats());
    }
}

fn hello(name: &str) -> Vec<u8> {
    record(22, &Hello::client(name).client_message())
}

fn opaque(n: usize) -> Vec<u8> {
    [record(20, &[1]), record(23, &vec![0xee; n])].concat()
}

fn server13() -> Vec<u8> {
    [record(22, &Hello::server13().server_message()), opaque(500)].concat()
}

fn server12(names: &[&str]) -> Vec<u8> {
    let chain = certificates(&[certificate(None, names)]);
    let flight = [Hello::server12(b"h2").server_message(), chain, handshake(14, &[])].concat();
    [record(22, &flight), opaque(500)].concat()
}

/// A handshake and some ciphertext.
fn contact(capture: &mut Capture, server: &str, client: &[u8], answer: &[u8]) {
    let flow = capture.flow(CLIENT, server, Wire::default());
    capture.send(flow, Direction::ToServer, client);
    capture.send(flow, Direction::ToClient, answer);
    capture.send(flow, Direction::ToServer, &opaque(300));
    capture.fin(flow);
}

fn one(client: &[u8], answer: &[u8]) -> Run {
    let mut capture = Capture::new();
    contact(&mut capture, SERVER, client, answer);
    Run::of(&capture.pcap())
}

fn codes(run: &Run) -> Vec<&str> {
    run.of_type("notice").iter().filter_map(|n| n["code"].as_str()).collect()
}

#[test]
fn names_of_certificates_and_tunnels_are_held_against_the_name_asked_for() {
    for (name, sni, answer, detections, notices) in [
        ("TLS 1.3", "mcp.vendor.example", server13(), 1, vec![]),
        ("the name of the certificate", "mcp.vendor.example", server12(&["*.vendor.example"]), 1, vec![]),
        ("another name", "mcp.vendor.example", server12(&["other.example"]), 1, vec!["identity_mismatch"]),
        ("more names than are kept", "mcp.vendor.example", server12(&["other.example"; 101]), 1, vec![]),
        ("unknown", "www.vendor.example", server12(&["other.example"]), 0, vec![]),
    ] {
        let run = one(&hello(sni), &answer);
        assert_eq!(run.of_type("detection").len(), detections, "{name}");
        assert_eq!(codes(&run), notices, "{name}");
    }
    let nameless = record(22, &Hello::client("x").without(0).client_message());
    let run = one(&nameless, &server12(&["mcp.vendor.example"]));
    assert_eq!(run.servers()[0]["server"]["host"], "mcp.vendor.example", "the certificate names it");
    assert_eq!(one(&nameless, &server13()).of_type("detection").len(), 0);
    let mut tunnel = Capture::new();
    let flow = tunnel.flow(CLIENT, "10.2.2.2:3128", Wire::default());
    tunnel.send(flow, Direction::ToServer, b"CONNECT bank.example:443 HTTP/1.1\r\nHost: bank.example:443\r\n\r\n");
    tunnel.send(flow, Direction::ToClient, b"HTTP/1.1 200 OK\r\n\r\n");
    tunnel.send(flow, Direction::ToServer, &hello("mcp.vendor.example"));
    tunnel.send(flow, Direction::ToClient, &server13());
    tunnel.fin(flow);
    let run = Run::of(&tunnel.pcap());
    assert_eq!(codes(&run), ["identity_mismatch"]);
    assert_eq!(run.of_type("detection")[0]["tls"]["sni"], "mcp.vendor.example");
}

#[test]
fn cutting_reordering_and_repeating_segments_and_cutting_records_changes_nothing() {
    let message = Hello::client("mcp.vendor.example").client_message();
    let plain = one(&hello("mcp.vendor.example"), &server13());
    assert_eq!(plain.of_type("detection").len(), 1);
    for size in [1, 7, 100] {
        let run = one(&records(&message, size), &server13());
        assert_eq!(said(&run, &["missed_bytes"]), said(&plain, &["missed_bytes"]), "records of {size}");
    }
    for mss in [7, 60, 1000] {
        let mut capture = Capture::new();
        let flow = capture.flow(CLIENT, SERVER, Wire::default());
        capture.send_swapped(flow, Direction::ToServer, &hello("mcp.vendor.example"), mss, 1);
        capture.send_swapped(flow, Direction::ToClient, &server13(), mss, 1);
        capture.send_swapped(flow, Direction::ToServer, &opaque(300), mss, 1);
        capture.fin(flow);
        let run = Run::of(&capture.pcap());
        assert_eq!(said(&run, &["missed_bytes"]), said(&plain, &["missed_bytes"]), "segments of {mss}");
    }
}

/// A message to or from a name server about `name`, with these answers.
fn dns(name: &str, kind: u16, answers: &[&[u8]]) -> Vec<u8> {
    let response = if answers.is_empty() { 1 } else { 0x81 };
    let mut message = vec![0x12, 0x34, response, 0, 0, 1, 0, answers.len() as u8, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, (kind >> 8) as u8, kind as u8, 0, 1]);
    for data in answers {
        message.extend_from_slice(&[0xc0, 0x0c, (kind >> 8) as u8, kind as u8, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
        message.extend_from_slice(data);
    }
    message
}

/// An HTTPS record (RFC 9460) with a key for encrypted hellos.
const ECH: &[u8] = b"\0\x01\0\0\x05\0\x04\xfe\x0d\0\0";
const ADDRESS: &[u8] = &[203, 0, 113, 9];

#[test]
fn a_question_for_a_known_name_is_told_once_per_client() {
    let mut capture = Capture::new();
    for _ in 0..3 {
        capture.datagram("10.1.1.1:40000", RESOLVER, &dns("mcp.vendor.example", 1, &[]));
        capture.datagram(RESOLVER, "10.1.1.1:40000", &dns("mcp.vendor.example", 1, &[ADDRESS]));
        capture.datagram("10.1.1.1:40001", RESOLVER, &dns("www.vendor.example", 1, &[]));
    }
    capture.datagram("10.1.1.2:40000", RESOLVER, &dns("mcp.vendor.example", 28, &[]));
    let run = Run::of(&capture.pcap());
    let detections = run.of_type("detection");
    let clients: Vec<_> = detections.iter().map(|d| d["flow"]["client"]["ip"].as_str().unwrap()).collect();
    assert_eq!(clients, ["10.1.1.1", "10.1.1.2"]);
    for detection in detections {
        assert_eq!((&detection["visibility"], &detection["confidence"]), (&"dns".into(), &"possible".into()));
        assert_eq!(detection["flow"]["transport"], "udp");
        assert_eq!(detection["signals"][0]["on"], "dns.query");
    }
    assert_eq!(run.servers().len(), 0, "a question is no contact");
    let stats = run.stats();
    assert_eq!(stats["packets"], stats["packets_analysed"], "{stats}");
}

#[test]
fn addresses_that_were_answered_name_servers_whose_hello_does_not() {
    let nameless = record(22, &Hello::client("x").without(0).client_message());
    // The name outside stands for another.
    let hidden = record(22, &Hello::client("public.example").with(0xfe0d, vec![0; 40]).client_message());
    for (name, client, answers, want) in [
        ("no name", &nameless, vec![(1_u16, ADDRESS)], Some("mcp.vendor.example")),
        ("no name, another address", &nameless, vec![(1, &[203, 0, 113, 10][..])], None),
        ("a hidden name with a key", &hidden, vec![(1, ADDRESS), (65, ECH)], Some("mcp.vendor.example")),
        ("a hidden name without one", &hidden, vec![(1, ADDRESS)], None),
        ("nothing answered", &nameless, vec![], None),
    ] {
        for tcp in [false, true] {
            let mut capture = Capture::new();
            for (kind, data) in &answers {
                let message = dns("mcp.vendor.example", *kind, &[data]);
                if tcp {
                    let flow = capture.flow("10.1.1.1:41000", RESOLVER, Wire::default());
                    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
                    capture.send(flow, Direction::ToClient, &[&length[..], &message].concat());
                    capture.fin(flow);
                } else {
                    capture.datagram(RESOLVER, "10.1.1.1:41000", &message);
                }
            }
            contact(&mut capture, SERVER, client, &server13());
            let run = Run::of(&capture.pcap());
            let servers = run.servers();
            let got = servers.first().map(|s| s["server"]["host"].as_str().unwrap());
            assert_eq!(got, want, "{name}, over TCP: {tcp}");
            if want.is_some() {
                assert_eq!(servers[0]["why"], "mcp.host.resolved");
            }
        }
    }
}

#[test]
fn the_hello_of_quic_is_told_like_that_of_tls() {
    let message = Hello::client("mcp.vendor.example").client_message();
    let id = [7; 8];
    let mut capture = Capture::new();
    for (number, at) in [(0, 0), (1, 100)] {
        let part = if at == 0 { &message[..100] } else { &message[100..] };
        let packet = quic::Initial::client(&id, number, quic::crypto(at, part));
        capture.datagram(CLIENT, SERVER, &packet.seal(quic::Side::Client, &id));
    }
    capture.datagram(CLIENT, SERVER, &[0x41; 900]);
    let run = Run::of(&capture.pcap());
    let detections = run.of_type("detection");
    assert_eq!(detections.len(), 1, "{}", run.stats());
    assert_eq!(detections[0]["visibility"], "quic_metadata");
    assert_eq!(detections[0]["tls"]["sni"], "mcp.vendor.example");
    assert!(detections[0]["tls"]["ja4"].as_str().unwrap().starts_with('q'));
    assert_eq!(detections[0]["limits"]["undecoded"], "quic");
    assert_eq!(run.stats()["uninspected_bytes"]["quic"], 900);
}
