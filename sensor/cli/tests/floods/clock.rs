//! Clocks that jump: frames an hour off, of 1970 and of 2106, in any order.

use crate::run::told;
use Direction::{ToClient, ToServer};
use pipeline::Limits;
use testkit::flood::Tally;
use testkit::{Capture, Direction, Wire, http};

const HOUR: i64 = 3600;
const HOST: &str = "notes.corp.example";

/// Conversations one after the other, and pages in between that stay open.
fn conversations(count: u8) -> Vec<u8> {
    let mut capture = Capture::new();
    for n in 0..count {
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":{n},"method":"tools/call","params":{{"name":"note_find","arguments":{{"q":"k"}}}}}}"#
        );
        let result = format!(r#"{{"jsonrpc":"2.0","id":{n},"result":{{"content":[{{"type":"text","text":"x"}}]}}}}"#);
        let turns = [(ToServer, http::post(HOST, "/mcp", "", &call)), (ToClient, http::json("", &result))];
        capture.play(&format!("10.77.2.{n}:40000"), "10.78.2.1:8000", Wire::default(), &turns);
        let page = capture.flow(&format!("10.0.0.{n}:40000"), "10.0.1.1:80", Wire::default());
        capture.send(page, ToServer, &http::request("GET / HTTP/1.1\nHost: a.example\n\n"));
        capture.send(page, ToClient, &http::message("HTTP/1.1 200 OK", b"<p>"));
    }
    capture.pcap()
}

/// Gives each frame of a capture another time: its number and the seconds it has.
fn with_times(mut pcap: Vec<u8>, time: impl Fn(usize, i64) -> i64) -> Vec<u8> {
    let (mut at, mut number) = (24, 0);
    while at < pcap.len() {
        let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap());
        let (seconds, length) = (word(at), word(at + 8) as usize);
        let changed = time(number, i64::from(seconds)).clamp(0, i64::from(u32::MAX));
        pcap[at..at + 4].copy_from_slice(&u32::try_from(changed).unwrap().to_le_bytes());
        (at, number) = (at + 16 + length, number + 1);
    }
    pcap
}

#[test]
fn no_clock_ends_flows_or_makes_a_duration_negative() {
    const COUNT: u8 = 40;
    type Clock = fn(usize, i64) -> i64;
    let clocks: [(&str, Clock); 7] = [
        ("an hour ahead, from one frame on", |n, t| if n > 100 { t + HOUR } else { t }),
        ("an hour back", |n, t| if n > 100 { t - HOUR } else { t }),
        ("to and fro by an hour", |n, t| [t, t + HOUR, t - HOUR][n % 3]),
        ("some frames of 1970", |n, t| if n % 7 == 3 { 0 } else { t }),
        ("some frames of 2106", |n, t| if n % 7 == 3 { i64::from(u32::MAX) } else { t }),
        ("first 2106, then 1970", |n, _| if n < 100 { i64::from(u32::MAX) } else { 0 }),
        ("backwards", |n, t| t - 5 * i64::try_from(n).unwrap()),
    ];
    for (name, clock) in clocks {
        let pcap = with_times(conversations(COUNT), clock);
        let mut tally = Tally::default();
        let mut found = 0;
        for line in told(pcap, &Limits::default()) {
            tally.line(&line);
            found += u32::from(line.contains(r#""type":"detection""#) && line.contains(r#""ip":"10.77.2."#));
            assert!(!line.contains(":-"), "{name}: {line}");
        }
        assert_eq!(found, u32::from(COUNT), "{name}");
        assert_eq!((tally.stat("limits", "flows"), tally.stat("limits", "internal_faults")), (0, 0), "{name}");
        // A jump counts as a minute: it may end a handshake under way, and nothing that was established.
        assert!(tally.stat("reassembly", "flows_timeout") <= 2, "{name}: {}", tally.stats);
        assert!(tally.stat("reassembly", "flows_opened") <= 2 * u64::from(COUNT) + 2, "{name}: {}", tally.stats);
    }
}
