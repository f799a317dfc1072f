//! What must hold of every flow.

use super::{Event, Log, play};
use crate::Limits;
use crate::http1::fuzz::fuzz_http1;
use net::Direction::{ToClient, ToServer};
use proptest::collection::vec;
use proptest::prelude::*;

/// One exchange as it is on the wire.
#[derive(Clone, Debug)]
struct Exchange {
    request: Vec<u8>,
    response: Vec<u8>,
}

fn body() -> impl Strategy<Value = (String, Vec<u8>)> {
    let content = || vec(any::<u8>(), 0..80);
    prop_oneof![
        content().prop_map(|b| (format!("Content-Length: {}\r\n", b.len()), b)),
        (vec(vec(any::<u8>(), 1..40), 0..4), any::<bool>()).prop_map(|(chunks, decorated)| {
            let mut wire = Vec::new();
            for chunk in chunks {
                let size = chunk.len();
                wire.extend(
                    if decorated { format!("00{size:X};a=\"b\"\r\n") } else { format!("{size:x}\r\n") }.bytes(),
                );
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            wire.extend(if decorated { &b"000\r\nDigest: x\r\n\r\n"[..] } else { b"0\r\n\r\n" });
            ("Transfer-Encoding: chunked\r\n".to_owned(), wire)
        }),
    ]
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let method = prop_oneof![Just("GET"), Just("POST"), Just("HEAD"), Just("mcp-x")];
    let status = prop_oneof![Just(200_u16), Just(204), Just(304), Just(404)];
    (method, status, body(), body(), 0..3_usize, any::<bool>()).prop_map(|(method, status, sent, got, interim, lf)| {
        let end = if lf { "\n" } else { "\r\n" };
        let mut request = format!("{method} /mcp HTTP/1.1{end}Host: a{end}{}{end}", sent.0).into_bytes();
        request.extend(sent.1);
        let mut response = "HTTP/1.1 100 Continue\r\n\r\n".repeat(interim).into_bytes();
        response.extend(format!("HTTP/1.1 {status} Reason{end}{}{end}", got.0).bytes());
        if status < 300 && status != 204 && method != "HEAD" || status == 404 && method != "HEAD" {
            response.extend(got.1);
        }
        Exchange { request, response }
    })
}

/// Both directions in an order in which no response comes before its request is over.
fn interleave<'e>(exchanges: &'e [Exchange], cuts: &[usize], turns: &[bool]) -> Vec<Event<'e>> {
    let mut events = Vec::new();
    let (mut cuts, mut turns) = (cuts.iter().cycle(), turns.iter().cycle());
    let (mut asked, mut answered) = (0, 0);
    let (mut ask_at, mut answer_at) = (0, 0);
    while answered < exchanges.len() {
        let n = *cuts.next().unwrap();
        let ask = asked < exchanges.len() && (answered == asked || *turns.next().unwrap());
        let (dir, wire, at, done) = if ask {
            (ToServer, &exchanges[asked].request, &mut ask_at, &mut asked)
        } else {
            (ToClient, &exchanges[answered].response, &mut answer_at, &mut answered)
        };
        let end = (*at + n).min(wire.len());
        events.push(Event::Bytes(dir, &wire[*at..end]));
        *at = end;
        if end == wire.len() {
            (*at, *done) = (0, *done + 1);
        }
    }
    events
}

fn log(events: &[Event<'_>], cut: usize) -> Log {
    play(events, false, &Limits::default(), || cut).0
}

/// Things a peer may say at any time.
const PIECES: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HEAD /x HTTP/1.0\r\n\r\n",
    b"GET /old\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    b"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 100 C\r\n\r\n",
    b"\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\x00",
    b"\x81\x05Hello",
    b"3\r\n{ }\r\n",
    b"0\r\n\r\n",
    b"\r\n",
    b"HTTP/1.1 2",
    b"PO",
    b"\x16\x03\x01",
    b"data: x\n",
];

#[test]
fn what_fuzzing_found_holds() {
    const FOUND: [&[u8]; 1] =
        [include_bytes!("../../../../../fixtures/seeds/http1/found-websocket-place-lost-inside-a-piece")];
    FOUND.into_iter().for_each(fuzz_http1);
}

proptest! {
    #[test]
    fn cutting_and_interleaving_the_wire_elsewhere_changes_nothing(
        exchanges in vec(exchange(), 1..6),
        cuts in vec(1_usize..50, 1..40),
        turns in vec(any::<bool>(), 1..40),
    ) {
        let one_by_one: Vec<_> = exchanges
            .iter()
            .flat_map(|e| [Event::Bytes(ToServer, &e.request), Event::Bytes(ToClient, &e.response)])
            .collect();
        let want = log(&one_by_one, usize::MAX);
        prop_assert_eq!(&log(&one_by_one, 1), &want);
        prop_assert_eq!(&log(&interleave(&exchanges, &cuts, &turns), usize::MAX), &want);
        let ids = want.seen.iter().flatten().filter_map(|(id, _)| *id).max();
        prop_assert_eq!(ids, u32::try_from(exchanges.len() - 1).ok());
    }

    #[test]
    fn a_hole_anywhere_breaks_no_rule(
        exchanges in vec(exchange(), 1..6),
        cuts in vec(1_usize..50, 1..40),
        turns in vec(any::<bool>(), 1..40),
        holes in vec((0_usize..60, 1_u64..200), 1..4),
        midstream in any::<bool>(),
    ) {
        let mut events = interleave(&exchanges, &cuts, &turns);
        for (at, n) in holes {
            let at = at % events.len();
            if let Event::Bytes(dir, bytes) = events[at] {
                events[at] = Event::Gap(dir, n.max(bytes.len() as u64));
            }
        }
        // The player checks that each direction of each exchange ends once, and that nothing follows its end.
        let (_, stats, ..) = play(&events, midstream, &Limits::default(), || usize::MAX);
        prop_assert!(stats.http1_requests <= exchanges.len() as u64);
    }

    #[test]
    fn a_lost_piece_never_makes_a_wrong_pair(
        paths in vec(0_u32..1000, 2..12),
        lost in vec((0_usize..24, any::<bool>()), 1..4),
        late in 0_usize..12,
    ) {
        let wires: Vec<_> = paths
            .iter()
            .enumerate()
            .flat_map(|(i, n)| [
                (ToServer, format!("GET /{i}/{n} HTTP/1.1\r\n\r\n")),
                (ToClient, format!("HTTP/1.1 200 /{i}/{n}\r\nX: {i}\r\nContent-Length: 0\r\n\r\n")),
            ])
            .collect();
        let mut events: Vec<_> = wires.iter().map(|(dir, wire)| Event::Bytes(*dir, wire.as_bytes())).collect();
        for (at, _) in lost {
            let at = at % events.len();
            if let Event::Bytes(dir, bytes) = events[at] {
                events[at] = Event::Gap(dir, bytes.len() as u64);
            }
        }
        // The first loss of a request is told late, and holds back the requests behind it.
        if let Some(hole) = events.iter().position(|event| matches!(event, Event::Gap(ToServer, _)))
            && !events.iter().any(|event| matches!(event, Event::Gap(ToClient, _)))
        {
            let told = (hole + late).min(events.len());
            events[hole..told].sort_by_key(|event| !matches!(event, Event::Bytes(ToClient, _)));
        }
        let log = log(&events, usize::MAX);
        for (id, seen) in &log.seen[1] {
            let super::Seen::Head(_, fields) = seen else { continue };
            let place = fields.split([' ', ',']).next().unwrap().strip_prefix("X=").unwrap();
            for (other, asked) in &log.seen[0] {
                if let (true, super::Seen::Head(line, _)) = (other == id, asked) {
                    prop_assert!(line.starts_with(&format!("GET /{place}/")), "{line} got the answer of {place}");
                }
            }
        }
    }

    #[test]
    fn no_script_breaks_anything(data in vec(any::<u8>(), 0..400)) {
        fuzz_http1(&data);
    }

    #[test]
    fn no_likely_script_breaks_anything(
        options in any::<u8>(),
        events in vec((0_u8..16, 0..PIECES.len(), any::<bool>()), 0..20),
    ) {
        let mut script = vec![options];
        for (kind, piece, cut) in events {
            let bytes = PIECES[piece];
            let bytes = if cut { &bytes[..bytes.len() / 2] } else { bytes };
            script.extend([kind, 0, u8::try_from(bytes.len()).unwrap()]);
            // Gaps and ends carry no bytes.
            if kind >> 1 & 7 > 1 {
                script.extend(bytes);
            }
        }
        fuzz_http1(&script);
    }
}
