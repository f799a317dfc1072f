use super::{check, sealed12, sealed13};
use crate::tls::fuzz::{Seen, read};
use crate::tls::{End, Limits, Observer, Stats, Want};
use net::Direction::{ToClient, ToServer};
use proptest::prelude::*;
use testkit::tls::{Hello, certificate, certificates, handshake, key_shares, record, records};

fn hello() -> Vec<u8> {
    record(22, &Hello::client("mcp.example.com").client_message())
}

#[test]
fn handshakes_of_each_kind_give_their_facts_and_end_in_ciphertext() {
    let server13 = [record(22, &Hello::server13().server_message()), sealed13()].concat();
    let chain = certificates(&[certificate(None, &["mcp.example.com", "*.example.com"]), certificate(Some("CA"), &[])]);
    let done = [handshake(12, &[0; 300]), handshake(14, &[])].concat();
    let flight = [Hello::server12(b"h2").server_message(), chain, done].concat();
    let client12 = [hello(), record(22, &handshake(16, &[0; 66])), sealed12()].concat();
    let server12 = [record(22, &flight), sealed12()].concat();
    let repeated = Hello { session_id: vec![0x1d; 32], ..Hello::server12(b"h2") };
    let resumed = [record(22, &repeated.server_message()), sealed12()].concat();
    let retry = [record(22, &Hello::retry().server_message()), record(20, &[1])].concat();
    let early = [record(22, &Hello::client("a.example").with(42, vec![]).client_message()), sealed13()].concat();
    let renewed = [hello(), sealed13()].concat();
    for (name, turns, want) in [
        (
            "TLS 1.3",
            vec![(ToServer, hello()), (ToClient, server13.clone()), (ToServer, sealed13())],
            "c:hello(mcp.example.com) s:hello(1.3) s:opaque c:opaque",
        ),
        (
            "TLS 1.2",
            vec![(ToServer, client12), (ToClient, server12.clone())],
            "c:hello(mcp.example.com) c:opaque s:hello(1.2) s:cert(mcp.example.com,*.example.com) s:opaque",
        ),
        (
            "TLS 1.2 resumed",
            vec![(ToServer, hello()), (ToClient, resumed), (ToServer, sealed12())],
            "c:hello(mcp.example.com) s:hello(1.2+resumed) s:opaque c:opaque",
        ),
        (
            "hello retry request",
            vec![
                (ToServer, hello()),
                (ToClient, retry),
                (ToServer, [record(20, &[1]), renewed].concat()),
                (ToClient, server13.clone()),
            ],
            "c:hello(mcp.example.com) s:retry(1.3) c:hello(mcp.example.com) c:opaque s:hello(1.3) s:opaque",
        ),
        (
            "early data",
            vec![(ToServer, early), (ToClient, server13)],
            "c:hello(a.example) c:opaque s:hello(1.3) s:opaque",
        ),
        (
            "refused",
            vec![(ToServer, hello()), (ToClient, record(21, &[2, 40]))],
            "c:hello(mcp.example.com) s:fatal(40) c:finished s:finished",
        ),
        (
            "a warning first",
            vec![(ToServer, hello()), (ToClient, [record(21, &[1, 112]), server12].concat())],
            "c:hello(mcp.example.com) s:warning(112) s:hello(1.2) s:cert(mcp.example.com,*.example.com) s:opaque c:finished",
        ),
        (
            "the server alone",
            vec![(ToClient, record(22, &flight))],
            "s:hello(1.2) s:cert(mcp.example.com,*.example.com) c:finished s:finished",
        ),
        ("the client alone", vec![(ToServer, hello())], "c:hello(mcp.example.com) c:finished s:finished"),
        ("the roles turned round", vec![(ToClient, hello())], "s:hello(mcp.example.com) c:finished s:finished"),
        ("midstream", vec![(ToServer, sealed13()), (ToClient, sealed12())], "c:opaque s:opaque"),
        ("nothing", vec![], "c:finished s:finished"),
        (
            "a request for a hello",
            vec![(ToClient, record(22, &[handshake(0, &[]), Hello::server13().server_message()].concat()))],
            "s:hello(1.3) s:opaque c:finished",
        ),
    ] {
        let turns: Vec<_> = turns.iter().map(|(dir, turn)| (*dir, &turn[..])).collect();
        check(name, &turns, want);
    }
}

#[test]
fn records_of_any_size_and_kind_between_change_nothing() {
    let message = Hello::client("mcp.example.com").with(51, key_shares(&[(0x11ec, 1216), (0x1d, 32)])).client_message();
    assert!(message.len() > 1400);
    let want = "c:hello(mcp.example.com) c:finished s:finished";
    for size in [1, 2, 3, 4, 5, 100, 516, message.len() - 1, message.len()] {
        check(&format!("records of {size}"), &[(ToServer, &records(&message, size))], want);
    }
    let between = |kind: u8, payload: &[u8]| {
        message.chunks(100).flat_map(|part| [record(22, part), record(kind, payload)].concat()).collect::<Vec<_>>()
    };
    for (name, wire) in [
        ("empty records", between(22, &[])),
        ("changes of cipher", between(20, &[1])),
        ("empty alerts", between(21, &[])),
        ("heartbeats", between(24, &[1, 0, 0])),
        ("long alerts", between(21, &[7; 30])),
    ] {
        check(name, &[(ToServer, &wire)], want);
    }
    let warned =
        [record(22, &message[..9]), record(21, &[1]), record(21, &[1, 90]), record(22, &message[9..])].concat();
    check("an alert", &[(ToServer, &warned)], "c:warning(90) c:hello(mcp.example.com) c:finished s:finished");
}

#[test]
fn what_follows_the_end_is_not_looked_at() {
    let (limits, mut stats, mut seen) = (Limits::default(), Stats::default(), Seen::default());
    let mut observer = Observer::new();
    let piece = [hello(), record(20, &[1]), record(23, &[0; 200])].concat();
    // The header of the first record of ciphertext is read.
    assert_eq!(observer.feed(&limits, &mut stats, ToServer, &piece, &mut seen), Want::Nothing(200));
    assert_eq!(observer.feed(&limits, &mut stats, ToServer, &hello(), &mut seen), Want::Nothing(hello().len()));
    assert_eq!(observer.gap(&mut stats, ToServer, 5, &mut seen), Want::Nothing(0));
    assert!(observer.has_ended(ToServer) && !observer.has_ended(ToClient));
    assert_eq!((seen.0.len(), stats.client_hellos, stats.ends(End::Opaque)), (2, 1, 1));
    assert_eq!(observer.held(), 0);
}

#[test]
fn a_connection_of_which_one_side_is_seen_is_over_after_a_while() {
    let (limits, mut stats, mut seen) = (Limits::default(), Stats::default(), Seen::default());
    let mut observer = Observer::new();
    observer.feed(&limits, &mut stats, ToServer, &[hello(), sealed13()].concat(), &mut seen);
    for _ in 0..64 {
        assert!(!observer.is_over(&limits));
        observer.feed(&limits, &mut stats, ToServer, &[0; 1 << 10], &mut seen);
    }
    assert!(observer.is_over(&limits));
    let mut observer = Observer::new();
    observer.feed(&limits, &mut stats, ToServer, &[hello(), sealed13()].concat(), &mut seen);
    observer.feed(&limits, &mut stats, ToClient, &record(22, &Hello::server13().server_message()), &mut seen);
    assert!(observer.is_over(&limits));
}

#[test]
fn a_gap_before_the_end_gives_up_and_says_so() {
    let (hello, limits) = (hello(), Limits::default());
    for at in 0..=hello.len() {
        let (mut observer, mut stats, mut seen) = (Observer::new(), Stats::default(), Seen::default());
        observer.feed(&limits, &mut stats, ToServer, &hello[..at], &mut seen);
        assert_eq!(observer.gap(&mut stats, ToServer, 0, &mut seen), Want::More);
        assert_eq!(observer.gap(&mut stats, ToServer, 1, &mut seen), Want::Nothing(0));
        observer.feed(&limits, &mut stats, ToServer, hello.get(at + 1..).unwrap_or_default(), &mut seen);
        let want = if at == hello.len() { "c:hello(mcp.example.com) c:gap" } else { "c:gap" };
        assert_eq!(super::words(&seen.0), want, "at {at}");
        assert_eq!((stats.ends(End::Gap), observer.held()), (1, 0));
    }
}

#[test]
fn a_hello_in_one_piece_is_read_without_being_kept() {
    let (mut observer, mut stats, mut seen) = (Observer::new(), Stats::default(), Seen::default());
    let piece = hello();
    observer.feed(&Limits::default(), &mut stats, ToServer, &piece, &mut seen);
    assert_eq!((stats.client_hellos, observer.held()), (1, 0));
    let (head, tail) = piece.split_at(100);
    let mut observer = Observer::new();
    observer.feed(&Limits::default(), &mut stats, ToServer, head, &mut seen);
    assert!((95..=4096).contains(&observer.held()), "{}", observer.held());
    observer.feed(&Limits::default(), &mut stats, ToServer, tail, &mut seen);
    assert_eq!((stats.client_hellos, observer.held()), (2, 0));
}

#[test]
fn counts_add_up() {
    let flight = [Hello::server12(b"h2").server_message(), certificates(&[certificate(None, &["a.example"])])].concat();
    let turns = [(ToServer, hello()), (ToClient, record(21, &[1, 0])), (ToClient, record(22, &flight))];
    let turns: Vec<_> = turns.iter().map(|(dir, turn)| (*dir, &turn[..])).collect();
    let (_, stats) = read(&Limits::default(), turns);
    let mut twice = stats;
    twice.add(&stats);
    assert_eq!((twice.client_hellos, twice.server_hellos, twice.certificates, twice.alerts), (2, 2, 2, 2));
    assert_eq!((twice.ends(End::Finished), twice.ends(End::Opaque), twice.bad_certificates), (4, 0, 0));
}

proptest! {
    #[test]
    fn cutting_into_other_pieces_and_records_changes_nothing(
        name in "[a-z]{1,20}\\.example",
        session in proptest::collection::vec(any::<u8>(), 0..=32),
        padding in 0_usize..3000,
        sizes in proptest::collection::vec(1_usize..600, 1..20),
        pieces in proptest::collection::vec(1_usize..200, 1..20),
    ) {
        let hello = Hello { session_id: session, ..Hello::client(&name) }.with(21, vec![0; padding]);
        let message = hello.client_message();
        let limits = Limits::default();
        let whole = [record(22, &message), sealed13()].concat();
        let want = read(&limits, [(ToServer, &whole[..])]);
        let mut rest = &message[..];
        let mut wire = Vec::new();
        for size in sizes.iter().cycle() {
            let (now, after) = rest.split_at((*size).min(rest.len()));
            wire.extend(record(22, now));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        wire.extend(sealed13());
        let mut cut = Vec::new();
        let mut rest = &wire[..];
        for size in pieces.iter().cycle() {
            let (now, after) = rest.split_at((*size).min(rest.len()));
            cut.push((ToServer, now));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(read(&limits, cut), want);
    }
}
