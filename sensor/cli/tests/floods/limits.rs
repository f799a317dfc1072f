//! Each limit at its edge: as much as it allows is read whole and counts nothing, one more is bounded and counted.

use crate::run::{SHARDS, tally};
use Direction::{ToClient, ToServer};
use pipeline::Limits;
use std::fmt::Write;
use testkit::flood::{Tally, Weak};
use testkit::{Capture, Direction, Wire, http, websocket};

const HOST: &str = "notes.corp.example";
const CALL: &str =
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"note_find","arguments":{"q":"k"}}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"x"}],"isError":false}}"#;

/// A plain MCP call, which must be found behind whatever came before.
fn canary(capture: &mut Capture) {
    let turns = [(ToServer, http::post(HOST, "/mcp", "", CALL)), (ToClient, http::json("", RESULT))];
    capture.play("10.77.4.1:40000", "10.78.4.1:8000", Wire::default(), &turns);
}

fn run(limits: &Limits, build: impl FnOnce(&mut Capture)) -> Tally {
    let mut capture = Capture::new();
    build(&mut capture);
    canary(&mut capture);
    let tally = tally(capture.pcap(), limits);
    assert_eq!(tally.found(testkit::flood::Canary::After), 1, "{}", tally.stats);
    tally
}

/// Plays `build` with as much as is allowed and with one more. The first must not count under `limit`, the second
/// must count `over`.
#[track_caller]
fn edge(limit: &str, limits: &Limits, most: usize, over: u64, build: impl Fn(&mut Capture, usize)) {
    let at = run(limits, |capture| build(capture, most));
    assert_eq!(at.stat("limits", limit), 0, "{limit} at {most}: {}", at.stats);
    let above = run(limits, |capture| build(capture, most + 1));
    assert_eq!(above.stat("limits", limit), over, "{limit} at {}: {}", most + 1, above.stats);
}

#[test]
fn flows() {
    let mut limits = Limits::default();
    limits.flows.flows = 10;
    edge("flows", &limits, 10, 1, |capture, n| {
        for (client, server) in Weak::Shard.tuples(1).take(n) {
            capture.flow(&client.to_string(), &server.to_string(), Wire::default());
        }
    });
}

/// A hole of 100 bytes, and `n` times 1,000 bytes behind it.
fn hole(capture: &mut Capture, n: usize) {
    let flow = capture.flow("10.0.0.1:40000", "10.0.0.2:80", Wire::cut(1000));
    capture.skip(flow, ToServer, 100);
    capture.send(flow, ToServer, &b"y".repeat(1000 * n));
}

#[test]
fn bytes_behind_a_hole_of_one_direction_and_of_all() {
    let mut limits = Limits::default();
    limits.flows.held_per_direction = 8 * 1192;
    edge("reassembly_per_direction", &limits, 8, 1, hole);
    let mut limits = Limits::default();
    limits.flows.held_total = 8 * 1192;
    edge("reassembly", &limits, 8, 1, hole);
}

#[test]
fn the_head_of_a_message() {
    let mut limits = Limits::default();
    limits.protocols.head_bytes = 4096;
    let send = |capture: &mut Capture, n: usize| {
        let mut head = "GET / HTTP/1.1\r\nHost: a.example\r\nX-Long: ".to_owned();
        write!(head, "{}\r\n\r\n", "x".repeat(n - head.len() - 4)).unwrap();
        let flow = capture.flow("10.0.0.1:40000", "10.0.0.2:80", Wire::default());
        capture.send(flow, ToServer, head.as_bytes());
        capture.send(flow, ToClient, &http::request("HTTP/1.1 200 OK\nContent-Length: 0\n\n"));
        capture.fin(flow);
    };
    edge("head_bytes", &limits, 4096, 1, send);
    let over = run(&limits, |capture| send(capture, 5000));
    assert_eq!(over.stat("notices", "http_ambiguity"), 1);
}

/// `n` requests at once.
fn pipelined(capture: &mut Capture, n: usize) {
    let flow = capture.flow("10.0.0.1:40000", "10.0.0.2:80", Wire::default());
    capture.send(flow, ToServer, &b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".repeat(n));
    capture.fin(flow);
}

#[test]
fn bytes_that_readers_hold_for_all_flows() {
    let mut limits = Limits::default();
    limits.flows.above = 64 << 10;
    most("flow_state", &limits, |capture, n| {
        for (client, server) in of_one_part(n) {
            let flow = capture.flow(&client, &server, Wire::default());
            capture.send(flow, ToServer, b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Half: ");
        }
    });
}

#[test]
fn requests_that_wait_for_an_answer() {
    let mut limits = Limits::default();
    limits.protocols.pipeline = 20;
    edge("pipeline_depth", &limits, 20, 1, pipelined);
    assert_eq!(run(&limits, |capture| pipelined(capture, 21)).stat("notices", "http_ambiguity"), 1);
}

#[test]
fn exchanges_of_one_flow() {
    edge("exchanges_per_flow", &Limits::default(), 256, 1, pipelined);
}

#[test]
fn bytes_of_an_unknown_protocol() {
    let mut limits = Limits::default();
    limits.protocols.unknown_bytes = 4096;
    // Behind the limit even an MCP call is not looked for.
    let call = |n: usize| {
        move |capture: &mut Capture| {
            let flow = capture.flow("10.0.0.1:40000", "10.0.0.2:80", Wire::default());
            capture.send(flow, ToServer, &b"\x00\x01".repeat(n / 2));
            // What the piece behind the limit begins with is still looked at.
            capture.send(flow, ToServer, b"\x00\x01");
            capture.send(flow, ToServer, &http::post(HOST, "/mcp", "", CALL));
            capture.send(flow, ToClient, &http::json("", RESULT));
            capture.fin(flow);
        }
    };
    let (at, over) = (run(&limits, call(4000)), run(&limits, call(4100)));
    assert_eq!((at.others, over.others), (1, 0), "{}\n{}", at.stats, over.stats);
    assert!(over.stat("uninspected_bytes", "unknown") > 4100);
}

#[test]
fn decoded_bytes_and_their_ratio_and_the_codings_of_one_body() {
    let post = |capture: &mut Capture, coding: &str, body: &[u8]| {
        let flow = capture.flow("10.0.0.1:40000", "10.0.0.2:80", Wire::default());
        let head =
            format!("POST /a HTTP/1.1\nHost: {HOST}\nContent-Type: application/json\nContent-Encoding: {coding}");
        capture.send(flow, ToServer, &http::message(&head, body));
        capture.fin(flow);
    };
    let mut limits = Limits::default();
    limits.inspection.coding.max_output = 10_000;
    let json = |n: usize| format!("[{}]", "1".repeat(n - 2)).into_bytes();
    edge("undecoded_decoder_output", &limits, 10_000, 1, |capture, n| post(capture, "gzip", &http::gzip(&json(n))));

    let mut limits = Limits::default();
    limits.inspection.coding.max_ratio = 500;
    let tower = |bytes: &[u8]| run(&limits, |capture| post(capture, "gzip", bytes));
    let mixed: Vec<u8> =
        (0..3_000_000_u32).map(|n| b"0123456789"[(n.wrapping_mul(2_654_435_761) >> 29) as usize]).collect();
    assert_eq!(tower(&http::gzip(&mixed)).stat("limits", "undecoded_decoder_ratio"), 0);
    assert_eq!(tower(&http::gzip(&b"1".repeat(3_000_000))).stat("limits", "undecoded_decoder_ratio"), 1);

    edge("undecoded_coding_depth", &Limits::default(), 4, 1, |capture, n| {
        let body = (0..n).fold(CALL.as_bytes().to_vec(), |body, _| http::gzip(&body));
        post(capture, &vec!["gzip"; n].join(", "), &body);
    });
}

/// A POST and its answer, on a connection of its own of client `n`.
fn exchange(capture: &mut Capture, n: usize, extra: &str, call: &str, result: &str) {
    let client = format!("10.1.{}.{}:40000", n >> 8, n & 255);
    let turns = [(ToServer, http::post(HOST, "/mcp", extra, call)), (ToClient, http::json("", result))];
    capture.play(&client, "10.2.0.1:8000", Wire::default(), &turns);
}

fn batch(n: usize) -> String {
    let calls = (0..n).map(|id| CALL.replace("\"id\":7", &format!("\"id\":{id}")));
    format!("[{}]", calls.collect::<Vec<_>>().join(","))
}

#[test]
fn calls_of_a_detection() {
    edge("calls_per_detection", &Limits::default(), 128, 1, |capture, n| exchange(capture, 1, "", &batch(n), "[]"));
}

#[test]
fn names_of_a_detection() {
    // In two answers, since one list is cut at as many names already.
    edge("names_per_detection", &Limits::default(), 512, 1, |capture, n| {
        let listed = |id: usize, names: std::ops::Range<usize>| {
            let tools: Vec<_> = names.map(|n| format!(r#"{{"name":"t{n}","inputSchema":{{}}}}"#)).collect();
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":[{}]}}}}"#, tools.join(","))
        };
        let list = |id: usize| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#);
        let (call, result) =
            (format!("[{},{}]", list(1), list(2)), format!("[{},{}]", listed(1, 0..300), listed(2, 300..n)));
        exchange(capture, 1, "", &call, &result);
    });
}

#[test]
fn names_of_a_session_and_of_a_server() {
    // In two detections, of which neither is at its own limit.
    let listed = |capture: &mut Capture, n: usize| {
        for names in [0..300, 300..n] {
            let tools: Vec<_> = names.map(|n| format!(r#"{{"name":"t{n}","inputSchema":{{}}}}"#)).collect();
            let result = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"tools":[{}]}}}}"#, tools.join(","));
            let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;
            exchange(capture, 1, "Mcp-Session-Id: 5f0c0d9a1e\n", call, &result);
        }
    };
    edge("names_per_session", &Limits::default(), 512, 1, listed);
    edge("names_per_server", &Limits::default(), 512, 1, listed);
}

/// A WebSocket with MCP on it and `n` calls that nobody answers.
fn socket(capture: &mut Capture, n: usize) {
    let flow = capture.flow("10.3.0.1:40000", "10.2.0.1:8001", Wire::default());
    let upgrade = "GET /mcp HTTP/1.1\nHost: notes.corp.example\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\nSec-WebSocket-Protocol: mcp\n\n";
    let accept = "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\nSec-WebSocket-Protocol: mcp\n\n";
    capture.send(flow, ToServer, &http::request(upgrade));
    capture.send(flow, ToClient, &http::request(accept));
    for id in 0..n {
        let call = CALL.replace("\"id\":7", &format!("\"id\":{id}"));
        capture.send(flow, ToServer, &websocket::frame(1, call.as_bytes(), Some([1, 2, 3, 4])));
    }
    capture.fin(flow);
}

#[test]
fn calls_under_way_on_one_exchange() {
    // The first is the exchange's own; 64 more wait beside it.
    edge("units_waiting", &Limits::default(), 65, 1, socket);
    let tally = run(&Limits::default(), |capture| socket(capture, 80));
    assert_eq!((tally.stat("limits", "units_waiting"), tally.others), (15, 80));
}

#[test]
fn calls_of_a_conversation_that_wait_elsewhere() {
    // Batches, whose calls wait in the conversation of the session until their answers come.
    edge("calls_waiting_per_session", &Limits::default(), 8 * 128, 1, |capture, n| {
        for (at, from) in (0..n).step_by(128).enumerate() {
            let calls = (from..n.min(from + 128)).map(|id| CALL.replace("\"id\":7", &format!("\"id\":{id}")));
            let call = format!("[{}]", calls.collect::<Vec<_>>().join(","));
            let flow = capture.flow(&format!("10.1.0.1:{}", 41_000 + at), "10.2.0.1:8000", Wire::default());
            capture.send(flow, ToServer, &http::post(HOST, "/mcp", "Mcp-Session-Id: 5f0c0d9a1e\n", &call));
        }
    });
}

#[test]
fn clients_of_a_server_and_connections_of_a_session() {
    edge("clients_per_server", &Limits::default(), 4096, 1, |capture, n| {
        (0..n).for_each(|n| exchange(capture, n, "", CALL, RESULT));
    });
    edge("flows_per_session", &Limits::default(), 4096, 1, |capture, n| {
        (0..n).for_each(|n| exchange(capture, n % 200, "Mcp-Session-Id: 5f0c0d9a1e\n", CALL, RESULT));
    });
}

/// Client and server of `n` flows that share one part of the limits.
fn of_one_part(n: usize) -> impl Iterator<Item = (String, String)> {
    Weak::Shard.tuples(1).take(n).map(|(client, server)| (client.to_string(), server.to_string()))
}

#[test]
fn memory_of_decoders() {
    // For each of 64 parts; 48 KiB for each inflater.
    let mut limits = Limits::default();
    limits.inspection.decoder_bytes = 4 << 20;
    let most = (4 << 20) / (48 << 10);
    let begun = |capture: &mut Capture, n: usize| {
        let packed = http::gzip(format!("[{CALL},{}", "1,".repeat(500)).as_bytes());
        let head = "POST /a HTTP/1.1\nHost: a.example\nContent-Type: application/json\nContent-Encoding: gzip\nContent-Length: 100000\n\n";
        for (client, server) in of_one_part(n) {
            let flow = capture.flow(&client, &server, Wire::default());
            capture.send(flow, ToServer, &[http::request(head).as_slice(), &packed[..packed.len() - 12]].concat());
        }
    };
    edge("decoder_budget", &limits, most, 1, begun);
    edge("undecoded_decoder_budget", &limits, most, 1, begun);
}

#[test]
fn heads_of_requests_that_wait() {
    // For each of 64 parts; and heads that are kept as 32 KiB each.
    let mut limits = Limits::default();
    limits.inspection.head_bytes = 64 * (32 << 10);
    let waiting = |capture: &mut Capture, n: usize| {
        for (at, (client, server)) in (1..).zip(of_one_part(n)) {
            let flow = capture.flow(&client, &server, Wire::default());
            let body = if at == n { CALL } else { "{}" };
            let mut text = format!(
                "POST /mcp HTTP/1.1\nHost: {HOST}\nContent-Type: application/json\nContent-Length: {}\n",
                body.len()
            );
            // As it is kept: names and values with 8 bytes beside, method, target, and 16 bytes.
            let mut size: usize = 4 + 4 + 16;
            size += text.lines().skip(1).map(|line| line.len() - 2 + 8).sum::<usize>();
            while size < 32 << 10 {
                let value = ((32 << 10) - size - 16).min(8000);
                writeln!(text, "X-Pad-00: {}", "p".repeat(value)).unwrap();
                size += 16 + value;
            }
            text.push('\n');
            capture.send(flow, ToServer, &[http::request(&text).as_slice(), body.as_bytes()].concat());
            if at == n {
                capture.send(flow, ToClient, &http::json("", RESULT));
            }
        }
    };
    edge("request_heads", &limits, 64, 1, waiting);
    // Of the head that was cut enough is left: the call behind it is told all the same.
    assert_eq!(run(&limits, |capture| waiting(capture, 80)).others, 1);
}

#[test]
fn messages_in_one_piece_of_a_flow() {
    let batch = |capture: &mut Capture, n: usize| {
        let text = format!("[{}]", vec![r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#; n].join(","));
        let head = format!("POST /mcp HTTP/1.1\nHost: {HOST}\nContent-Type: application/json\nContent-Encoding: gzip");
        let ask = http::message(&head, &http::gzip(text.as_bytes()));
        let turns = [(ToServer, ask), (ToClient, http::json("", RESULT))];
        capture.play("10.0.0.1:40000", "10.0.0.2:8000", Wire::cut(60_000), &turns);
    };
    edge("exchange_news", &Limits::default(), 4096, 1, batch);
}

#[test]
fn name_servers_in_one_piece_of_a_flow() {
    let ask = |capture: &mut Capture, n: usize| {
        let one = b"\0\x25\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03mcp\x06linear\x03app\0\0\x01\0\x01";
        let one = [&(one.len() as u16 - 2).to_be_bytes()[..], &one[2..]].concat();
        let flow = capture.flow("10.0.0.1:40000", "10.0.0.2:53", Wire::cut(60_000));
        capture.send(flow, ToServer, &one.repeat(n));
    };
    edge("name_server_messages", &Limits::default(), 256, 1, ask);
}

#[test]
fn texts_lists_and_arguments_of_messages() {
    let call = |name: usize, arguments: usize| {
        let arguments: Vec<_> = (0..arguments).map(|n| format!(r#""key{n:03}":{n}"#)).collect();
        let (name, arguments) = ("n".repeat(name), arguments.join(","));
        format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{name}","arguments":{{{arguments}}}}}}}"#
        )
    };
    edge("texts", &Limits::default(), 256, 1, |capture, n| exchange(capture, 1, "", &call(n, 1), RESULT));
    let cut = |n: usize| run(&Limits::default(), |capture| exchange(capture, 1, "", &call(1, n), RESULT));
    assert_eq!([10, 200].map(|n| cut(n).stat("limits", "arguments")), [0, 1]);
    edge("lists", &Limits::default(), 512, 1, |capture, n| {
        let tools: Vec<_> = (0..n).map(|n| format!(r#"{{"name":"t{n}","inputSchema":{{}}}}"#)).collect();
        let listed = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"tools":[{}]}}}}"#, tools.join(","));
        exchange(capture, 1, "", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#, &listed);
    });
}

/// The most of `build` that `limit` lets by: none are counted, with one more one is, with three more three are, or four
/// where what comes behind them is heavier.
fn most(limit: &str, limits: &Limits, build: impl Fn(&mut Capture, usize)) -> usize {
    let count = |n: usize| run(limits, |capture| build(capture, n)).stat("limits", limit);
    let (mut low, mut high) = (1, 1_000);
    assert_eq!((count(low), count(high) > 0), (0, true), "{limit}");
    while high - low > 1 {
        let middle = low.midpoint(high);
        *(if count(middle) == 0 { &mut low } else { &mut high }) = middle;
    }
    let beyond = (count(low + 1), count(low + 3));
    assert!(matches!(beyond, (1, 3 | 4)), "{limit} beyond {low}: {beyond:?}");
    low
}

#[test]
fn bytes_of_names_of_conversations_and_of_servers() {
    let with = |bytes: usize| {
        let correlation =
            correlate::Limits { names: bytes, conversations: bytes, servers: bytes, ..Default::default() };
        Limits { correlation, ..Limits::default() }
    };
    let answers = |capture: &mut Capture, n: usize| {
        for n in 0..n {
            let mut message = vec![0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 4];
            message.extend_from_slice(format!("{n:04}").as_bytes());
            message.extend_from_slice(b"\x05flood\x07example\0\0\x01\0\x01");
            message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 80]);
            capture.datagram("192.0.2.53:53", "10.1.0.1:5353", &message);
        }
    };
    let sessions = |capture: &mut Capture, n: usize| {
        (0..n).for_each(|n| exchange(capture, 256 + n % 10, &format!("Mcp-Session-Id: 5f{n:08}\n"), CALL, RESULT));
    };
    let servers = |capture: &mut Capture, n: usize| {
        for n in 0..n {
            let turns = [
                (ToServer, http::post(&format!("s{n:04}.corp.example"), "/mcp", "", CALL)),
                (ToClient, http::json("", RESULT)),
            ];
            capture.play("10.1.1.1:40000", &format!("10.2.2.1:{}", 10_000 + n), Wire::default(), &turns);
        }
    };
    for bytes in [64 << 10, 128 << 10] {
        let limits = with(bytes);
        // In bytes: each weighs some hundreds.
        let kept = [
            most("names", &limits, answers),
            most("conversations", &limits, sessions),
            most("servers", &limits, servers),
        ];
        assert!(kept.iter().all(|n| (bytes / 4096..bytes / 128).contains(n)), "{kept:?} in {bytes} bytes");
    }
    // Detections are written all the same.
    for build in [sessions as fn(&mut Capture, usize), servers] {
        assert_eq!(run(&with(64 << 10), |capture| build(capture, 500)).others, 500);
    }
}

#[test]
fn bytes_of_exchanges_that_are_still_open() {
    let mut limits = Limits::default();
    // Streams that stay open, each with a detection written already.
    let streams = |n: usize| {
        move |capture: &mut Capture| {
            for n in 0..n {
                let flow =
                    capture.flow(&format!("10.1.{}.{}:40000", n >> 8, n & 255), "10.2.0.1:8000", Wire::default());
                capture.send(flow, ToServer, &http::post(HOST, "/mcp", "", CALL));
                let head = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n";
                capture.send(flow, ToClient, &http::request(head));
            }
        }
    };
    limits.correlation.open = 1 << 20;
    let (at, over) = (run(&limits, streams(100)), run(&limits, streams(1_000)));
    assert_eq!((at.stat("limits", "open_exchanges"), at.others), (0, 100), "{}", at.stats);
    let early = over.stat("limits", "open_exchanges");
    assert!((1..900).contains(&early), "{early}");
    assert_eq!((over.others, over.stat("notices", "limit_met")), (1_000, early));
}

#[test]
fn notices_of_one_code() {
    let ambiguous = |n: usize| {
        move |capture: &mut Capture| {
            for n in 0..n {
                let flow = capture.flow(&format!("10.1.0.1:{}", 40_000 + n), "10.2.0.1:80", Wire::default());
                let text = "POST / HTTP/1.1\nHost: a.example\nContent-Length: 5\nContent-Length: 7\n\nhello";
                capture.send(flow, ToServer, &http::request(text));
                capture.fin(flow);
            }
        }
    };
    for (sent, lines) in [(20, 20), (21, 21), (100, 21)] {
        // At the limit each is a line; beyond it one more line says how many are not.
        let tally = run(&Limits::default(), ambiguous(sent));
        assert_eq!(tally.stat("notices", "http_ambiguity"), sent as u64);
        assert_eq!(tally.notices, lines, "{sent}");
    }
}

#[test]
fn every_counter_of_a_limit_stands_in_the_table_for_people() {
    let page = include_str!("../../../../docs/hostile-input.md");
    let (_, table) = page.split_once("\n## Limits\n").unwrap();
    // In the source: `("name", n)` among the totals and those of HTTP/2, and `.met("name", n)` of the serial stage.
    let totals = include_str!("../../../pipeline/src/totals.rs");
    let (_, totals) = totals.split_once("let met = [").unwrap();
    let (totals, _) = totals.split_once("];").unwrap();
    let serial = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../correlate/src")).unwrap();
    let serial = serial.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let serial: String = serial.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let named = |text: &str, open: &str| -> Vec<String> {
        text.split(open).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
    };
    let http2 = include_str!("../../../proto/src/http2/mod.rs");
    let (_, http2) = http2.split_once("pub fn limits(").unwrap();
    let (http2, _) = http2.split_once("\n    }").unwrap();
    let counters = [named(totals, "(\""), named(http2, "(\""), named(&serial, ".met(\"")].concat();
    assert!(counters.len() > 15, "{counters:?}");
    let missing: Vec<_> = counters.into_iter().filter(|name| !table.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn limits_that_are_shared_out_are_those_of_one_part() {
    // What the other tests of this file take for one part of the traffic is a 64th of what is configured.
    let limits = Limits::default();
    let configured = (1_048_576, 160 << 20);
    assert_eq!((limits.flows.flows * SHARDS, limits.flows.held_total * SHARDS), configured);
}
