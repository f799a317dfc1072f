use super::fuzz::{Seen, fuzz_quic, read};
use super::vectors::{
    CLIENT_FRAME, CLIENT_ID, CLIENT_V1, CLIENT_V2, RETRY_V1, RETRY_V2, SERVER_FRAMES, SERVER_V1, SERVER_V2, unhex,
};
use super::{End, Limits, Observer, Scratch, Stats, Version, VersionClass};
use crate::tls;
use net::Direction;
use net::Direction::{ToClient, ToServer};
use proptest::collection::vec;
use proptest::prelude::*;
use testkit::quic::{Initial, Side, V1, V2, ack, crypto, negotiation, protected, retry};
use testkit::tls::{Hello, key_shares};

const ID: &[u8] = b"client-chosen";

fn observe(datagrams: &[(Direction, Vec<u8>)]) -> (Seen, Stats, End) {
    read(&Limits::default(), datagrams.iter().map(|(dir, datagram)| (*dir, datagram.as_slice())))
}

/// Server names of the client hellos, and how many server hellos there were.
fn names(seen: &Seen) -> (Vec<String>, usize) {
    let names = seen.client.iter().map(|(_, _, hello)| hello.sni.as_ref().unwrap().host().unwrap().to_owned());
    (names.collect(), seen.server.len())
}

#[track_caller]
fn check(what: &str, datagrams: &[(Direction, Vec<u8>)], hellos: (&[&str], usize), end: End) -> Stats {
    let (seen, stats, ended) = observe(datagrams);
    let (client, server) = names(&seen);
    assert_eq!((client.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), server), hellos, "{what}");
    assert_eq!(ended, end, "{what}");
    stats
}

/// The hello of a client, at most so long.
fn hello() -> Vec<u8> {
    Hello::client("mcp.example.com").client_message()
}

fn first(frames: Vec<u8>) -> (Direction, Vec<u8>) {
    (ToServer, Initial::client(ID, 0, frames).seal(Side::Client, ID))
}

fn answer(number: u64, frames: Vec<u8>) -> (Direction, Vec<u8>) {
    (ToClient, Initial::server(number, frames).seal(Side::Server, ID))
}

fn usual_answer() -> (Direction, Vec<u8>) {
    answer(0, [ack(), crypto(0, &Hello::server13().server_message())].concat())
}

#[test]
fn the_examples_of_the_specifications_are_read() {
    for (version, client, server) in [(Version::V1, CLIENT_V1, SERVER_V1), (Version::V2, CLIENT_V2, SERVER_V2)] {
        let (seen, stats, end) = observe(&[(ToServer, unhex(client)), (ToClient, unhex(server))]);
        let [(ToServer, v, hello)] = seen.client.as_slice() else { panic!("{version:?}: {seen:?}") };
        assert_eq!((*v, hello.sni.as_ref().unwrap().host()), (version, Some("example.com")));
        assert_eq!((hello.alpn.has(b"alpn"), hello.version), (true, tls::Version::TLS13));
        assert!(hello.ja4.as_str().starts_with("q13d"), "{}", hello.ja4.as_str());
        let [(ToClient, v, hello)] = seen.server.as_slice() else { panic!("{version:?}: {seen:?}") };
        assert_eq!((*v, hello.version, hello.cipher), (version, tls::Version::TLS13, 0x1301));
        assert_eq!((end, stats.initials, stats.undecrypted), (End::Hellos, 2, 0));
    }
}

#[test]
fn another_connection_on_the_same_ports_begins_with_an_id_of_its_own() {
    let (limits, mut stats, mut scratch) = (Limits::default(), Stats::default(), Scratch::default());
    let (mut observer, mut seen) = (Observer::new(), Seen::default());
    let (_, opening) = first(crypto(0, &hello()));
    let (_, usual) = usual_answer();
    observer.feed(&limits, &mut stats, &mut scratch, ToServer, &opening, &mut seen);
    let other = Initial::client(b"another", 0, crypto(0, &hello())).seal(Side::Client, b"another");
    let mut next = |observer: &mut Observer, datagram: &[u8]| {
        observer.next(&limits, &mut stats, &mut scratch, ToServer, datagram, &mut seen)
    };
    assert!(next(&mut observer, &other).is_none(), "the first has not ended");
    observer.feed(&limits, &mut Stats::default(), &mut Scratch::default(), ToClient, &usual, &mut Seen::default());
    assert_eq!(observer.end(), Some(End::Hellos));
    let late = Initial::client(b"server-id", 1, ack()).seal(Side::Client, ID);
    for (what, datagram) in [("sent again", &opening), ("what follows", &late), ("of the server", &usual)] {
        assert!(next(&mut observer, datagram).is_none(), "{what}");
    }
    let mut second = next(&mut observer, &other).expect("another");
    assert_eq!((second.client(), second.end()), (Some(ToServer), None));
    second.finish(&mut Stats::default());
    for (what, datagram) in [("of the first", &opening), ("of the second", &other)] {
        assert!(next(&mut second, datagram).is_none(), "{what}");
    }
    for n in 0..100_u8 {
        let broken = Initial::client(&[n; 8], 0, crypto(0, &hello())).seal(Side::Server, ID);
        assert!(next(&mut second, &broken).is_none());
    }
    let third = Initial::client(b"third one", 0, crypto(0, &hello())).seal(Side::Client, b"third one");
    assert!(next(&mut second, &third).is_none(), "too many were tried in vain");
    assert_eq!(seen.client.len(), 2);
}

#[test]
fn the_writer_of_the_tests_makes_the_packets_of_the_specifications() {
    let id = unhex(CLIENT_ID);
    for (version, client, server, again) in [(V1, CLIENT_V1, SERVER_V1, RETRY_V1), (V2, CLIENT_V2, SERVER_V2, RETRY_V2)]
    {
        let mut frames = unhex(CLIENT_FRAME);
        frames.resize(1162, 0);
        let packet = Initial { version, from: Vec::new(), number_len: 4, ..Initial::client(&id, 2, frames) };
        assert_eq!(packet.seal(Side::Client, &id), unhex(client));
        let from = unhex("f067a5502a4262b5");
        let packet =
            Initial { version, to: Vec::new(), from: from.clone(), ..Initial::server(1, unhex(SERVER_FRAMES)) };
        assert_eq!(packet.seal(Side::Server, &id), unhex(server));
        // The unused bits of the first byte differ between the two.
        assert_eq!(retry(version, &id, b"", &from, b"token"), unhex(again));
    }
}

#[test]
fn a_retry_is_known_by_its_tag() {
    for (client, again) in [(CLIENT_V1, RETRY_V1), (CLIENT_V2, RETRY_V2)] {
        let (_, stats, _) = observe(&[(ToServer, unhex(client)), (ToClient, unhex(again))]);
        assert_eq!((stats.retries, stats.bad_retries), (1, 0));
        for at in 0..unhex(again).len() {
            let mut bad = unhex(again);
            bad[at] ^= 1;
            let (_, stats, _) = observe(&[(ToServer, unhex(client)), (ToClient, bad)]);
            assert_eq!(stats.retries, 0, "byte {at}");
        }
        // Nor does one count that the client sends, or that comes first.
        let (_, stats, _) = observe(&[(ToServer, unhex(client)), (ToServer, unhex(again)), (ToClient, unhex(again))]);
        assert_eq!((stats.retries, stats.bad_retries), (1, 1));
    }
}

#[test]
fn after_a_retry_the_keys_follow_the_new_connection_id() {
    let hello = hello();
    let (head, tail) = hello.split_at(100);
    let new = b"new-server-id";
    let piece = |number, offset, data: &[u8]| Initial {
        token: b"token".to_vec(),
        ..Initial::client(new, number, crypto(offset, data))
    };
    let again = (ToClient, retry(V1, ID, b"client", new, b"token"));
    let answer = (ToClient, Initial::server(0, crypto(0, &Hello::server13().server_message())).seal(Side::Server, new));
    let second = |number, offset, data: &[u8]| (ToServer, piece(number, offset, data).seal(Side::Client, new));
    for (what, datagrams) in [
        ("whole", vec![first(crypto(0, &hello)), again.clone(), second(1, 0, &hello), answer.clone()]),
        (
            "halves",
            vec![first(crypto(0, head)), again.clone(), second(1, 0, head), second(2, 100, tail), answer.clone()],
        ),
        (
            "the Retry was not seen",
            vec![first(crypto(0, head)), second(2, 100, tail), second(1, 0, head), answer.clone()],
        ),
        (
            "a packet from before comes late",
            vec![
                first(crypto(0, head)),
                again,
                second(1, 0, head),
                first(crypto(0, head)),
                second(2, 100, tail),
                answer,
            ],
        ),
    ] {
        check(what, &datagrams, (&["mcp.example.com"], 1), End::Hellos);
    }
}

#[test]
fn the_version_may_change_on_the_way() {
    let hello = crypto(0, &hello());
    let server = |version| Initial { version, ..Initial::server(0, crypto(0, &Hello::server13().server_message())) };
    // The server takes version 2 for the same connection (RFC 9369 §4.1).
    let compatible = [first(hello.clone()), (ToClient, server(V2).seal(Side::Server, ID))];
    check("compatible", &compatible, (&["mcp.example.com"], 1), End::Hellos);
    // It knows no reserved version; the client takes version 2 with another connection id.
    let unknown = Initial { version: 0x1a2a_3a4a, ..Initial::client(ID, 0, hello.clone()) }.seal(Side::Client, ID);
    let again = Initial { version: V2, ..Initial::client(b"other", 0, hello) }.seal(Side::Client, b"other");
    let negotiated = [
        (ToServer, unknown),
        (ToClient, negotiation(b"client", ID, &[V1, V2])),
        (ToServer, again),
        (ToClient, server(V2).seal(Side::Server, b"other")),
    ];
    let stats = check("negotiated", &negotiated, (&["mcp.example.com"], 1), End::Hellos);
    let counts = [VersionClass::Reserved, VersionClass::Negotiation, VersionClass::V2, VersionClass::V1];
    assert_eq!(counts.map(|class| stats.versions(class)), [1, 1, 2, 0]);
}

#[test]
fn a_hello_retry_request_is_no_end() {
    let hello = hello();
    let request = Hello::retry().server_message();
    let server = Hello::server13().server_message();
    let datagrams = [
        first(crypto(0, &hello)),
        answer(0, crypto(0, &request)),
        (ToServer, Initial::client(b"server-id", 1, crypto(hello.len() as u64, &hello)).seal(Side::Client, ID)),
        answer(1, crypto(request.len() as u64, &server)),
    ];
    check("a second round", &datagrams, (&["mcp.example.com"], 2), End::Hellos);
    let both = [first(crypto(0, &hello)), answer(0, crypto(0, &[request, server].concat()))];
    check("both in one frame", &both, (&["mcp.example.com"], 2), End::Hellos);
}

#[test]
fn whoever_sends_the_hello_is_the_client() {
    let turned: Vec<_> = [first(crypto(0, &hello())), usual_answer()]
        .into_iter()
        .map(|(dir, datagram)| ([ToClient, ToServer][dir.index()], datagram))
        .collect();
    let (seen, _, end) = observe(&turned);
    assert_eq!((seen.client[0].0, seen.server[0].0, end), (ToClient, ToServer, End::Hellos));
}

#[test]
fn what_is_not_quic_is_let_go_at_once() {
    let hello = crypto(0, &hello());
    let with = |version| Initial { version, ..Initial::client(ID, 0, hello.clone()) }.seal(Side::Client, ID);
    for (what, datagram) in [
        ("nothing", Vec::new()),
        ("a short header", vec![0x41; 60]),
        ("DNS", b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01".to_vec()),
        ("RTP", [b"\x80\x60\x12\x34\0\0\0\x01".to_vec(), vec![7; 160]].concat()),
        ("a version nobody knows", with(0x0102_0304)),
        ("a header that ends too early", b"\xc0\0\0\0\x01\x14abc".to_vec()),
    ] {
        let stats = check(what, &[(ToServer, datagram), first(hello.clone())], (&[], 0), End::NotQuic);
        assert_eq!(stats.versions, [0; VersionClass::ALL.len()], "{what}");
    }
    // A version that is known, though not read, may be followed by another.
    for (version, class) in [(0xff00_001d, VersionClass::Draft), (0x5130_3530, VersionClass::Google)] {
        let stats = check(
            "known",
            &[(ToServer, with(version)), first(hello.clone())],
            (&["mcp.example.com"], 0),
            End::Finished,
        );
        assert_eq!(stats.versions(class), 1);
    }
}

#[test]
fn damaged_packets_give_nothing() {
    let (_, good) = first([crypto(0, &hello()), vec![0; 50]].concat());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        let (seen, stats, _) = observe(&[(ToServer, bad)]);
        assert!(seen.client.is_empty() && stats.initials == 0, "byte {at}");
    }
    for end in 0..good.len() {
        let (seen, stats, _) = observe(&[(ToServer, good[..end].to_vec())]);
        assert!(seen.client.is_empty() && stats.initials == 0, "cut at {end}");
    }
    // A damaged packet between good ones changes nothing.
    let mut bad = good.clone();
    bad[60] ^= 1;
    let stats =
        check("between", &[(ToServer, bad), (ToServer, good), usual_answer()], (&["mcp.example.com"], 1), End::Hellos);
    assert_eq!(stats.undecrypted, 1);
}

#[test]
fn an_answer_without_the_clients_packet_cannot_be_read() {
    let stats = check("server only", &[usual_answer(), usual_answer()], (&[], 0), End::Finished);
    assert_eq!(stats.undecrypted, 2);
}

#[test]
fn frames_that_may_not_be_there_end_their_packet() {
    let hello = hello();
    let frames = [crypto(0, &hello[..50]), vec![0x08, 0, 1, 2], crypto(50, &hello[50..])].concat();
    let stats = check("a stream frame", &[first(frames)], (&[], 0), End::Finished);
    assert_eq!((stats.initials, stats.bad_frames), (1, 1));
    let stats = check("a close", &[first(vec![0x1c, 0, 0, 0])], (&[], 0), End::Finished);
    assert_eq!((stats.closes, stats.bad_frames), (1, 0));
}

#[test]
fn a_handshake_without_a_hello_is_no_hello() {
    let hello = hello();
    let stats = check(
        "a server hello of a client",
        &[first(crypto(0, &Hello::server13().server_message()))],
        (&[], 0),
        End::BadHello,
    );
    assert_eq!(stats.bad_hellos, 1);
    check("a hello cut by its own length", &[first(crypto(0, b"\x01\0\0\x03abc"))], (&[], 0), End::BadHello);
    // A bad answer does not keep the client hello from being read.
    let halves = [first(crypto(0, &hello[..50])), answer(0, crypto(0, b"\x0b\0\0\0")), first(crypto(50, &hello[50..]))];
    check("a bad answer", &halves, (&["mcp.example.com"], 0), End::Hellos);
}

#[test]
fn the_first_bytes_of_a_place_count() {
    let hello = hello();
    let other = vec![0xee; 60];
    let datagrams = [
        first(crypto(0, &hello[..50])),
        first(crypto(20, &other)),
        first(crypto(50, &hello[50..])),
        first(crypto(0, &hello)),
    ];
    let stats = check("conflict", &datagrams, (&[], 0), End::BadHello);
    assert_eq!(stats.conflicts, 2);
    let datagrams =
        [first(crypto(20, &hello[20..100])), first(crypto(0, &other[..60])), first(crypto(60, &hello[60..]))];
    let (_, stats, _) = observe(&datagrams);
    assert_eq!(stats.conflicts, 1);
}

#[test]
fn packets_for_another_connection_in_the_same_datagram_are_ignored() {
    let (_, mine) = first(crypto(0, &hello()));
    let other = Initial::client(b"other-id", 0, crypto(0, &Hello::client("other.example").client_message()));
    let datagram = [mine, other.seal(Side::Client, b"other-id")].concat();
    let stats = check("two connections", &[(ToServer, datagram)], (&["mcp.example.com"], 0), End::Finished);
    assert_eq!(stats.ignored, 1);
}

#[test]
fn limits_hold_and_are_counted() {
    let endless = b"\x01\xff\xff\xff\x03\x03".to_vec();
    let stats = check("a never-ending hello", &[first(crypto(0, &endless))], (&[], 0), End::TooLong);
    assert_eq!(stats.ends(End::TooLong), 1);

    // A hello that is claimed to be long but possible, and goes on.
    let mut datagrams = vec![first(crypto(0, b"\x01\0\xff\xf0\x03\x03"))];
    datagrams.extend((0..80).map(|i: u64| first(crypto(6 + i * 1100, &[7; 1100]))));
    let stats = check("a long hello", &datagrams, (&[], 0), End::BadHello);
    assert_eq!(stats.datagrams, 61);
    let few = Limits { crypto_bytes: 3000, ..Limits::default() };
    let (_, stats, end) = read(&few, datagrams.iter().map(|(dir, d)| (*dir, d.as_slice())));
    assert_eq!((end, stats.datagrams), (End::TooLong, 1));

    // Bytes far behind, and pieces without end.
    let far = [first(crypto(70_000, b"x")), first(crypto(u64::MAX >> 2, b"x")), first(crypto(0, &hello()))];
    let stats = check("far behind", &far, (&["mcp.example.com"], 0), End::Finished);
    assert_eq!(stats.pieces_refused, 2);
    let holes: Vec<u8> = (0..300_u64).flat_map(|i| crypto(1000 + 2 * i, b"x")).collect();
    let stats = check("holes", &[first(holes), first(crypto(0, &hello()))], (&["mcp.example.com"], 0), End::Finished);
    assert_eq!(stats.pieces_refused, 45);

    // Datagrams, packets in one, keys.
    let (_, ping) = first(vec![1]);
    let pings = vec![(ToServer, ping.clone()); 100];
    let stats = check("datagrams", &pings, (&[], 0), End::Datagrams);
    assert_eq!((stats.datagrams, stats.initials), (64, 64));
    let stats = check("packets", &[(ToServer, ping.repeat(40))], (&[], 0), End::Finished);
    assert_eq!((stats.initials, stats.ignored), (16, 1));
    let ids: Vec<_> =
        (0..30_u8).map(|i| (ToServer, Initial::client(&[i; 8], 0, vec![1]).seal(Side::Server, &[i; 8]))).collect();
    let stats = check("keys", &ids, (&[], 0), End::Finished);
    assert_eq!((stats.undecrypted, stats.keys_refused), (30, 22));
    let ids: Vec<_> =
        (0..30_u8).map(|i| (ToServer, Initial::client(&[i; 8], 0, vec![1]).seal(Side::Client, &[i; 8]))).collect();
    let stats = check("restarts", &ids, (&[], 0), End::Finished);
    assert_eq!((stats.initials, stats.undecrypted), (5, 25));
}

#[test]
fn nothing_is_read_after_the_end() {
    let mut datagrams = vec![first(crypto(0, &hello())), usual_answer()];
    datagrams.extend(vec![first(crypto(0, &hello())); 5]);
    let stats = check("after the end", &datagrams, (&["mcp.example.com"], 1), End::Hellos);
    assert_eq!(stats.datagrams, 2);
    assert_eq!(stats.ends(End::Hellos), 1);
}

#[test]
fn stats_add_up() {
    let (_, one, _) = observe(&[first(crypto(0, &hello())), usual_answer()]);
    let mut two = one;
    two.add(&one);
    assert_eq!((two.initials, two.ends(End::Hellos), two.versions(VersionClass::V1)), (4, 2, 4));
    for (at, end) in End::ALL.into_iter().enumerate() {
        assert_eq!(end as usize, at, "{}", end.reason());
    }
}

/// A hello that exceeds a packet, as with a post-quantum key share.
fn long_hello() -> Vec<u8> {
    Hello::client("mcp.example.com").with(51, key_shares(&[(0x11ec, 1216), (0x001d, 32)])).client_message()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn how_a_hello_is_cut_and_sent_changes_nothing(
        cuts in vec(1_usize..400, 1..30),
        overlap in 0_usize..40,
        packets in vec(1_usize..6, 1..20),
        datagrams in vec(1_usize..4, 1..20),
        padding in vec(0_usize..30, 1..5),
        seed in any::<u64>(),
        version in prop_oneof![Just(V1), Just(V2)],
    ) {
        let mut rng = testkit::Rng::new(seed);
        let hello = long_hello();
        let mut frames = Vec::new();
        let (mut from, mut cuts) = (0, cuts.iter().cycle());
        while from < hello.len() {
            let to = (from + cuts.next().unwrap()).min(hello.len());
            frames.push(crypto(from.saturating_sub(overlap) as u64, &hello[from.saturating_sub(overlap)..to]));
            from = to;
        }
        frames.push(frames[rng.below(frames.len())].clone());
        rng.shuffle(&mut frames);
        let (mut number, mut left, mut sealed) = (0, frames.as_slice(), Vec::new());
        for (n, pad) in packets.iter().cycle().zip(padding.iter().cycle()) {
            let (now, rest) = left.split_at((*n).min(left.len()));
            let mut payload = vec![0; *pad];
            payload.extend(now.concat());
            payload.extend(ack());
            let len = 1 + rng.below(4);
            let to = if rng.below(2) == 0 { ID } else { b"server-id".as_slice() };
            // The first goes to the id from which the keys follow; others may.
            let to = if number == 0 { ID } else { to };
            sealed.push(Initial { version, number_len: len, ..Initial::client(to, number, payload) }.seal(Side::Client, ID));
            number += 1;
            left = rest;
            if left.is_empty() { break; }
        }
        // Twice, and in any order behind the first.
        let again = sealed[rng.below(sealed.len())].clone();
        sealed.push(again);
        rng.shuffle(&mut sealed[1..]);
        let mut wire = Vec::new();
        let mut left = sealed.as_slice();
        for n in datagrams.iter().cycle() {
            // Coalesced packets go to the same connection id.
            let same = left.iter().take_while(|p| p[5..20] == left[0][5..20]).count();
            let (now, rest) = left.split_at((*n).min(same));
            let mut datagram = now.concat();
            match rng.below(4) {
                0 => datagram.extend(protected(1, if now[0][6..].starts_with(ID) { ID } else { b"server-id" }, b"client", 40)),
                1 => datagram.extend(vec![0; 30]),
                2 => datagram.extend(vec![0x41; 30]),
                _ => {}
            }
            wire.push((ToServer, datagram));
            left = rest;
            if left.is_empty() { break; }
        }
        wire.push((ToClient, Initial { version, ..Initial::server(0, crypto(0, &Hello::server13().server_message())) }.seal(Side::Server, ID)));

        let whole = Initial { version, ..Initial::client(ID, 0, crypto(0, &hello)) }.seal(Side::Client, ID);
        let (want, _, _) = observe(&[(ToServer, whole), wire.last().unwrap().clone()]);
        let limits = Limits { datagrams: 1000, crypto_pieces: 2000, ..Limits::default() };
        let (got, stats, end) = read(&limits, wire.iter().map(|(dir, datagram)| (*dir, datagram.as_slice())));
        prop_assert_eq!(end, End::Hellos);
        prop_assert_eq!(got, want);
        prop_assert_eq!(stats.conflicts + stats.undecrypted + stats.bad_frames, 0);
    }

    #[test]
    fn a_hello_in_single_bytes_in_any_order_is_read(seed in any::<u64>()) {
        let hello = hello();
        let mut frames: Vec<_> = hello.iter().zip(0_u64..).map(|(byte, at)| crypto(at, &[*byte])).collect();
        testkit::Rng::new(seed).shuffle(&mut frames);
        let wire: Vec<_> = frames.chunks(40).map(|frames| first(frames.concat())).collect();
        let (got, stats, _) = observe(&wire);
        prop_assert_eq!(names(&got).0, ["mcp.example.com"]);
        prop_assert_eq!(stats.pieces_refused, 0);
    }

    #[test]
    fn any_bytes_are_taken(data in vec(any::<u8>(), 0..600)) {
        fuzz_quic(&data);
        let frames = crypto(0, &data);
        let (seen, _, _) = observe(&[first(frames), answer(0, data)]);
        prop_assert!(seen.client.is_empty());
    }
}
