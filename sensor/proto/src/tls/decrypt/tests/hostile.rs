//! Keys that come late, are missing or wrong; records that are lost, changed or made up.

use super::live::{SUITES13, setup, talk};
use super::partner::{Hosts, Pair};
use super::rfc8448::section;
use super::{play, text, words};
use crate::coding::Budget;
use crate::tls::decrypt::fuzz::{Event, Part, RFC8448_KEYS, Seen, Stored, decrypt};
use crate::tls::decrypt::{Limits, Stats, Undecrypted, fuzz_tls_decrypt};
use crate::tls::keys::{Keys, NoKeys, SessionKeys};
use net::Direction::{self, ToClient, ToServer};
use proptest::prelude::*;
use rustls::CipherSuite;
use std::cell::Cell;

const TLS12: CipherSuite = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;

/// Knows its keys from the so-and-so-manyth question on.
struct Late(Stored, Cell<i32>);

impl Keys for Late {
    fn any(&self) -> bool {
        true
    }

    fn fill(&self, client_random: &[u8; 32], into: &mut SessionKeys) {
        self.1.set(self.1.get() - 1);
        if self.1.get() < 0 {
            self.0.fill(client_random, into);
        }
    }
}

fn parts(pair: &Pair) -> impl Iterator<Item = Part<'_>> {
    pair.turns.iter().map(|(dir, turn)| Part::Bytes(*dir, turn))
}

fn failures(seen: &Seen) -> Vec<(Option<Direction>, Undecrypted)> {
    let failed = seen.events.iter().filter_map(|(dir, _, event)| match event {
        Event::Failed(why) => Some((*dir, *why)),
        _ => None,
    });
    failed.collect()
}

#[test]
fn keys_that_come_late_give_what_is_left() {
    for suite in [SUITES13[0], SUITES13[1], SUITES13[2], TLS12] {
        let hosts = Hosts::new(setup(suite));
        let mut pair = hosts.connect(b"");
        for n in 0..12 {
            pair.say(ToServer, &[n; 300]);
            pair.say(ToClient, &vec![n; 20_000]);
        }
        for after in 0..8 {
            let keys = Late(Stored::of(&hosts.log.text()), Cell::new(after));
            let (seen, stats) = decrypt(&Limits::default(), &keys, parts(&pair));
            assert_eq!(failures(&seen), [], "{suite:?} {after}");
            for dir in [ToServer, ToClient] {
                let (got, all) = (text(&seen, dir), &pair.sent[dir.index()]);
                assert!(all.ends_with(got), "{suite:?} {after} {dir:?}");
                let lost = seen.events.iter().any(|(d, _, event)| *d == Some(dir) && matches!(event, Event::Lost(_)));
                // Tickets among the records that passed look like data.
                assert!(lost || got.len() == all.len(), "{suite:?} {after} {dir:?}: {}", words(&seen));
                assert!(after > 0 || !lost, "{suite:?} {dir:?}: {}", words(&seen));
                assert!(got.len() > 2000, "{suite:?} {after} {dir:?}: {}", got.len());
            }
            assert_eq!(stats.lost(Undecrypted::NoKeys) > 0, after > 0, "{suite:?} {after}");
        }
    }
}

#[test]
fn without_keys_both_directions_are_given_up_soon() {
    for suite in [SUITES13[0], TLS12] {
        let hosts = Hosts::new(setup(suite));
        let mut pair = hosts.connect(b"");
        (0..40).for_each(|_| {
            pair.say(ToServer, b"more");
            pair.say(ToClient, b"more");
        });
        let (seen, stats) = decrypt(&Limits::default(), &NoKeys, parts(&pair));
        let both = [(Some(ToServer), Undecrypted::NoKeys), (Some(ToClient), Undecrypted::NoKeys)];
        assert!(failures(&seen).iter().all(|failed| both.contains(failed)) && failures(&seen).len() == 2);
        assert_eq!((stats.keyless_sessions, stats.records, seen.data.concat().len()), (1, 0, 0));
        assert_eq!(stats.failed(Undecrypted::NoKeys), 2);
        assert!(seen.unread.iter().all(|unread| *unread > 0));
    }
}

#[test]
fn wrong_keys_are_noticed() {
    for suite in [SUITES13[0], SUITES13[1], SUITES13[2], TLS12] {
        let hosts = Hosts::new(setup(suite));
        let mut pair = hosts.connect(b"");
        talk(&mut pair);
        let log = String::from_utf8(hosts.log.text()).unwrap();
        let wrong = log.lines().fold(String::new(), |all, line| all + &line[..line.len() - 2] + "00\n");
        let (seen, stats) = decrypt(&Limits::default(), &Stored::of(wrong.as_bytes()), parts(&pair));
        assert_eq!((seen.data.concat().len(), stats.failed(Undecrypted::BadTag)), (0, 2), "{suite:?}");
    }
}

#[test]
fn a_hole_within_a_record_costs_that_record_and_a_larger_one_the_direction() {
    for suite in [SUITES13[0], TLS12] {
        let hosts = Hosts::new(setup(suite));
        let mut pair = hosts.connect(b"");
        for n in 0..5 {
            pair.say(ToClient, &[n; 10_000]);
        }
        let long: Vec<_> = (0..pair.turns.len()).filter(|n| pair.turns[*n].1.len() > 10_000).collect();
        let hurt = long[2];
        let all = |n: u64, from: usize| {
            let upto = from + usize::try_from(n).unwrap();
            let parts = pair.turns.iter().enumerate().flat_map(move |(at, (dir, turn))| {
                if at != hurt {
                    return vec![Part::Bytes(*dir, turn)];
                }
                let after = turn.get(upto..).unwrap_or_default();
                vec![Part::Bytes(*dir, &turn[..from]), Part::Gap(*dir, n), Part::Bytes(*dir, after)]
            });
            decrypt(&Limits::default(), &Stored::of(&hosts.log.text()), parts)
        };
        let len = pair.turns[hurt].1.len();
        for (n, from) in [(1460, 100), (1, 5), (len as u64 - 5, 5), (1, len - 1)] {
            let (seen, stats) = all(n, from);
            let want: Vec<u8> = [0, 1, 3, 4].into_iter().flat_map(|n| [n; 10_000]).collect();
            assert!(text(&seen, ToClient) == want, "{suite:?} {n}@{from}: {}", words(&seen));
            assert_eq!(stats.lost(Undecrypted::Gap), len as u64);
            assert!(words(&seen).contains(&format!("s:lost({len})@20000")), "{}", words(&seen));
        }
        for (n, from) in [(1460, 0), (1, 0), (1, 4), (len as u64 + 1, 5)] {
            let (seen, stats) = all(n, from);
            assert_eq!(text(&seen, ToClient).len(), 20_000, "{suite:?} {n}@{from}");
            assert_eq!(
                (failures(&seen), stats.failed(Undecrypted::Gap)),
                (vec![(Some(ToClient), Undecrypted::Gap)], 1)
            );
        }
    }
}

#[test]
fn a_hole_in_the_handshake_does_not_hide_the_data() {
    let hosts = Hosts::new(setup(SUITES13[0]));
    let mut pair = hosts.connect(b"");
    talk(&mut pair);
    // The records of the server's first flight behind its hello, one after the other.
    let (_, flight) = &pair.turns[1];
    let mut at = 0;
    let mut records = Vec::new();
    while at < flight.len() {
        let len = 5 + usize::from(u16::from_be_bytes([flight[at + 3], flight[at + 4]]));
        records.push((at, flight[at], len));
        at += len;
    }
    for (at, _, len) in records.into_iter().filter(|(_, kind, _)| *kind == 23) {
        let parts = pair.turns.iter().enumerate().flat_map(|(n, (dir, turn))| match n {
            1 => vec![
                Part::Bytes(*dir, &turn[..at + 5]),
                Part::Gap(*dir, len as u64 - 5),
                Part::Bytes(*dir, &turn[at + len..]),
            ],
            _ => vec![Part::Bytes(*dir, turn)],
        });
        let (seen, _) = decrypt(&Limits::default(), &Stored::of(&hosts.log.text()), parts);
        assert!(seen.data == pair.sent, "hole at {at}: {}", words(&seen));
        assert_eq!(failures(&seen), [], "hole at {at}");
    }
}

#[test]
fn a_changed_record_ends_its_direction_and_not_the_other() {
    for (suite, place) in [(SUITES13[0], 100), (SUITES13[2], 100), (TLS12, 100), (TLS12, 6)] {
        let hosts = Hosts::new(setup(suite));
        let mut pair = hosts.connect(b"");
        pair.say(ToServer, &[1; 1000]);
        pair.say(ToServer, &[2; 1000]);
        pair.say(ToClient, &[3; 1000]);
        let at = pair.turns.len() - 2;
        assert_eq!(pair.turns[at].0, ToServer);
        pair.turns[at].1[place] ^= 1;
        let (seen, stats) = play(&hosts.log.text(), &pair.turns);
        assert_eq!((text(&seen, ToServer).len(), text(&seen, ToClient).len()), (1000, 1000));
        assert_eq!(
            (failures(&seen), stats.failed(Undecrypted::BadTag)),
            (vec![(Some(ToServer), Undecrypted::BadTag)], 1)
        );
    }
}

#[test]
fn what_is_not_done_is_named() {
    let hosts = Hosts::new(setup(TLS12));
    let mut pair = hosts.connect(b"");
    talk(&mut pair);
    let (_, flight) = &pair.turns[1];
    // Version, random value, empty or whole session id, suite.
    let suite = 5 + 4 + 2 + 32 + 1 + usize::from(flight[5 + 4 + 2 + 32]);
    for (version, number, want) in [
        ([3, 3], [0xc0, 0x23], Undecrypted::CbcSuite),
        ([3, 3], [0x00, 0x2f], Undecrypted::CbcSuite),
        ([3, 3], [0x00, 0x05], Undecrypted::CbcSuite),
        ([3, 3], [0xc0, 0xac], Undecrypted::CcmSuite),
        ([3, 3], [0xc0, 0x7a], Undecrypted::OtherSuite),
        ([3, 3], [0x13, 0x01], Undecrypted::OtherSuite),
        ([3, 2], [0xc0, 0x13], Undecrypted::OldVersion),
        ([3, 0], [0x00, 0x05], Undecrypted::OldVersion),
    ] {
        let mut turns = pair.turns.clone();
        turns[1].1[9..11].copy_from_slice(&version);
        turns[1].1[suite..suite + 2].copy_from_slice(&number);
        let (seen, stats) = play(&hosts.log.text(), &turns);
        assert_eq!((seen.data.concat().len(), stats.failed(want)), (0, 2), "{number:02x?}");
    }
    // A second handshake changes keys that nobody knows.
    let mut turns = pair.turns.clone();
    turns.truncate(turns.len() - 2);
    turns.push((ToServer, vec![20, 3, 3, 0, 1, 1]));
    let (seen, _) = play(&hosts.log.text(), &turns);
    assert_eq!(failures(&seen), [(Some(ToServer), Undecrypted::Renegotiation)]);
}

#[test]
fn records_under_way_are_held_within_a_limit() {
    let hosts = Hosts::new(setup(SUITES13[0]));
    let mut pair = hosts.connect(b"");
    pair.say(ToClient, &[1; 500]);
    pair.say(ToClient, &[2; 9000]);
    pair.say(ToClient, &[3; 500]);
    let limits = Limits { held: Budget::new(4000), ..Limits::default() };
    let cut = pair.turns.iter().flat_map(|(dir, turn)| turn.chunks(100).map(|piece| Part::Bytes(*dir, piece)));
    let (seen, stats) = decrypt(&limits, &Stored::of(&hosts.log.text()), cut);
    assert_eq!(text(&seen, ToClient), [[1; 500], [3; 500]].concat());
    assert!(stats.lost(Undecrypted::Memory) > 9000 && words(&seen).contains("s:lost(90"), "{}", words(&seen));
    assert!(limits.held.refused() > 0);
}

#[test]
fn what_is_no_record_is_the_end() {
    let mut turns = section("3");
    turns.push((ToServer, b"GET / HTTP/1.1\r\n\r\n".to_vec()));
    let (seen, _) = play(RFC8448_KEYS, &turns);
    assert_eq!(words(&seen), "c:closed@50 s:closed@50 c:broken@50");
}

#[test]
fn nothing_of_keys_is_printed() {
    let (mut decryptor, mut stats, mut scratch, mut seen) = <(_, Stats, _, Seen)>::default();
    let (keys, limits) = (Stored::of(RFC8448_KEYS), Limits::default());
    let mut observer = crate::tls::Observer::new();
    let mut context =
        crate::tls::decrypt::Context { limits: &limits, stats: &mut stats, scratch: &mut scratch, keys: &keys };
    let mut printed = String::new();
    for (dir, turn) in section("4") {
        let (mut observed, mut teller) = (crate::tls::Stats::default(), super::super::fuzz::Teller(&mut decryptor));
        observer.feed(&crate::tls::Limits::default(), &mut observed, dir, &turn, &mut teller);
        decryptor.feed(&mut context, dir, &turn, &mut seen);
        printed.extend([format!("{decryptor:?}{decryptor:#?}"), format!("{context:?}")]);
    }
    let printed: String = printed.to_lowercase().split_whitespace().collect();
    for line in std::str::from_utf8(RFC8448_KEYS).unwrap().lines().filter(|line| !line.starts_with('#')) {
        let hex = line.rsplit(' ').next().unwrap();
        let bytes: Vec<u8> = (0..8).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
        let list: Vec<String> = bytes.iter().map(u8::to_string).collect();
        assert!(!printed.contains(&hex[..8]) && !printed.contains(&list.join(",")), "a secret is printed");
    }
    assert!(printed.contains("secret(32bytes)"), "{printed}");
}

/// Sections of RFC 8448 as the fuzz target takes them.
#[test]
fn the_fuzz_target_takes_true_sessions() {
    for number in ["3", "4", "5", "7"] {
        let (mut client, mut server) = (Vec::new(), Vec::new());
        for (dir, turn) in section(number) {
            if dir == ToServer { &mut client } else { &mut server }.extend(turn);
        }
        let [high, low] = u16::try_from(client.len()).unwrap().to_be_bytes();
        for cut in [0, 1, 5, 77, 255] {
            for first in [50, 140, 255] {
                fuzz_tls_decrypt(&[&[cut, high, low, first][..], &client, &server].concat());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn changed_bytes_never_give_other_data(
        number in prop::sample::select(vec!["3", "4", "5", "7"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut turns = section(number);
        let (whole, _) = play(RFC8448_KEYS, &turns);
        for (place, by) in changes {
            let all: usize = turns.iter().map(|(_, turn)| turn.len()).sum();
            let mut at = place.index(all);
            for (_, turn) in &mut turns {
                if at < turn.len() {
                    turn[at] ^= by;
                    break;
                }
                at -= turn.len();
            }
        }
        let parts = turns.iter().map(|(dir, turn)| Part::Bytes(*dir, turn));
        let (seen, _) = decrypt(&Limits::default(), &Stored::of(RFC8448_KEYS), parts);
        for (got, all) in seen.data.iter().zip(&whole.data) {
            // A record may be missing, and what stands in one is true.
            prop_assert!(got.is_empty() || all.windows(got.len()).any(|part| part == got));
        }
    }

    #[test]
    fn no_bytes_break_it(data in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz_tls_decrypt(&data);
    }
}
