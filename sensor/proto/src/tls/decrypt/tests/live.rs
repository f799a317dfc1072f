//! Connections of a true client and server.

use super::partner::{Hosts, Pair, Setup};
use super::{play, text, words};
use crate::tls::decrypt::fuzz::{Part, Stored, decrypt};
use crate::tls::decrypt::{Limits, Stats, Undecrypted};
use net::Direction::{ToClient, ToServer};
use proptest::prelude::*;
use rustls::CipherSuite;
use rustls::version::{TLS12, TLS13};

pub(super) const SUITES13: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
];
const SUITES12: [CipherSuite; 3] = [
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
];

pub(super) fn setup(suite: CipherSuite) -> Setup {
    let version = if SUITES13.contains(&suite) { &TLS13 } else { &TLS12 };
    Setup { version, suite, retry: false, early: 16_384, tickets: false }
}

fn suites() -> impl Iterator<Item = CipherSuite> {
    SUITES13.into_iter().chain(SUITES12)
}

/// A few messages of all sizes, with key updates between them where there are any.
pub(super) fn talk(pair: &mut Pair) {
    let updates = pair.client.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
    for (n, len) in [1, 100, 0, 20_000, 16_384, 7].into_iter().enumerate() {
        let words: Vec<u8> = (0..len).map(|at| u8::try_from((at * 7 + n) % 251).unwrap()).collect();
        pair.say(ToServer, &words);
        pair.say(ToClient, &[&words[..], b" yes"].concat());
        if updates && n % 2 == 1 {
            pair.update(if n == 1 { ToServer } else { ToClient });
        }
    }
    pair.close();
}

/// All that was said comes out, and nothing else happens but what `want` says.
#[track_caller]
fn check(hosts: &Hosts, pair: &Pair, want: &str) -> Stats {
    let (seen, stats) = play(&hosts.log.text(), &pair.turns);
    for dir in [ToServer, ToClient] {
        assert!(text(&seen, dir) == pair.sent[dir.index()], "{dir:?}: {} bytes", text(&seen, dir).len());
    }
    let closed = format!("c:closed@{} s:closed@{}", pair.sent[0].len(), pair.sent[1].len());
    assert_eq!(words(&seen), format!("{want}{closed}"));
    stats
}

#[test]
fn every_suite_gives_what_was_said() {
    for suite in suites() {
        let hosts = Hosts::new(setup(suite));
        let mut pair = hosts.connect(b"");
        talk(&mut pair);
        let tls13 = SUITES13.contains(&suite);
        let stats = check(&hosts, &pair, if tls13 { "alpn(http/1.1) " } else { "" });
        assert_eq!((stats.tls13_sessions, stats.tls12_sessions), (u64::from(tls13), u64::from(!tls13)));
        // A refresh asks the other side for one too.
        assert_eq!(stats.key_updates > 0, tls13, "{suite:?}");
    }
}

#[test]
fn resumed_sessions_are_read_like_first_ones() {
    for suite in suites() {
        for tickets in [false, true] {
            let hosts = Hosts::new(Setup { tickets, ..setup(suite) });
            for n in 0..3 {
                let mut pair = hosts.connect(b"");
                talk(&mut pair);
                let alpn = if SUITES13.contains(&suite) { "alpn(http/1.1) " } else { "" };
                check(&hosts, &pair, alpn);
                let resumed = pair.client.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
                assert_eq!(resumed, n > 0, "{suite:?} {tickets} {n}");
            }
        }
    }
}

#[test]
fn a_hello_retry_request_changes_nothing() {
    let hosts = Hosts::new(Setup { retry: true, ..setup(SUITES13[0]) });
    let mut pair = hosts.connect(b"");
    talk(&mut pair);
    assert_eq!(pair.client.handshake_kind(), Some(rustls::HandshakeKind::FullWithHelloRetryRequest));
    check(&hosts, &pair, "alpn(http/1.1) ");
}

#[test]
fn early_data_are_read_where_they_are_accepted_and_left_out_where_not() {
    for suite in SUITES13 {
        let hosts = Hosts::new(setup(suite));
        hosts.connect(b"").carry();
        let early = b"GET / HTTP/1.1\r\n\r\n".repeat(400);
        let mut pair = hosts.connect(&early);
        assert!(pair.client.is_early_data_accepted());
        talk(&mut pair);
        let stats = check(&hosts, &pair, "alpn(http/1.1) ");
        assert_eq!((stats.early_accepted, stats.lost(Undecrypted::EarlyData)), (1, 0));

        // The same session at a server that takes none.
        let mut server = (*hosts.server).clone();
        server.max_early_data_size = 0;
        let none = Hosts { server: server.into(), client: hosts.client.clone(), log: hosts.log.clone() };
        let mut pair = none.connect(&early);
        assert!(!pair.client.is_early_data_accepted());
        talk(&mut pair);
        let stats = check(&none, &pair, "alpn(http/1.1) ");
        assert_eq!((stats.early_accepted, stats.lost(Undecrypted::EarlyData) > 0), (0, true));

        // A server that does not know the session.
        let strange = Hosts { client: hosts.client.clone(), log: hosts.log.clone(), ..Hosts::new(setup(suite)) };
        hosts.connect(b"").carry();
        let mut pair = strange.connect(&early);
        assert!(!pair.client.is_early_data_accepted());
        talk(&mut pair);
        check(&strange, &pair, "alpn(http/1.1) ");

        // A server that asks for a second hello.
        let other = Hosts::new(Setup { retry: true, ..setup(suite) });
        let retry = Hosts { server: other.server, client: hosts.client.clone(), log: hosts.log.clone() };
        hosts.connect(b"").carry();
        let mut pair = retry.connect(&early);
        talk(&mut pair);
        check(&retry, &pair, "alpn(http/1.1) ");
    }
}

#[test]
fn early_data_over_the_limit_are_told_as_lost() {
    let hosts = Hosts::new(setup(SUITES13[1]));
    hosts.connect(b"").carry();
    let mut pair = hosts.connect(&[b'x'; 5000]);
    pair.say(ToServer, b"done");
    let limits = Limits { early_bytes: 4000, ..Limits::default() };
    let parts = pair.turns.iter().map(|(dir, turn)| Part::Bytes(*dir, turn));
    let (seen, stats) = decrypt(&limits, &Stored::of(&hosts.log.text()), parts);
    assert_eq!((text(&seen, ToServer), words(&seen)), (&b"done"[..], "alpn(http/1.1) c:lost(5000)@0".to_owned()));
    assert_eq!(stats.lost(Undecrypted::EarlyData), 5000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn pieces_of_any_size_give_the_same(
        suite in prop::sample::select(suites().collect::<Vec<_>>()),
        cuts in prop::collection::vec(prop_oneof![1_usize..64, 1_usize..20_000], 1..40),
    ) {
        let hosts = Hosts::new(setup(suite));
        let mut pair = hosts.connect(b"");
        talk(&mut pair);
        let mut cuts = cuts.iter().cycle();
        let mut parts = Vec::new();
        for (dir, turn) in &pair.turns {
            let mut rest = &turn[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(cuts.next().unwrap().min(&rest.len()).to_owned());
                parts.push(Part::Bytes(*dir, piece));
                rest = after;
            }
        }
        let (seen, _) = decrypt(&Limits::default(), &Stored::of(&hosts.log.text()), parts);
        prop_assert!(seen.data == pair.sent);
        prop_assert_eq!(seen.unread, [0, 0]);
    }
}
