//! The records of RFC 8448 §3 to §7, decrypted with the secrets printed there.

use super::{play, text, words};
use crate::tls::decrypt::fuzz::RFC8448_KEYS;
use crate::tls::decrypt::{Stats, Undecrypted};
use net::Direction::{self, ToClient, ToServer};

const RECORDS: &str = include_str!("../../../../../../fixtures/tls/rfc8448.txt");

pub(super) fn section(number: &str) -> Vec<(Direction, Vec<u8>)> {
    let hex = |s: &str| (0..s.len()).step_by(2).map(|at| u8::from_str_radix(&s[at..at + 2], 16).unwrap()).collect();
    let lines = RECORDS.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|words| words[0] == number)
        .map(|words| (if words[1] == "c" { ToServer } else { ToClient }, hex(words[2])))
        .collect()
}

/// What each side says in sections 3 and 4.
fn counting() -> Vec<u8> {
    (0..50).collect()
}

#[test]
fn a_simple_handshake_is_decrypted() {
    let (seen, stats) = play(RFC8448_KEYS, &section("3"));
    assert_eq!(words(&seen), "c:closed@50 s:closed@50");
    assert_eq!((text(&seen, ToServer), text(&seen, ToClient)), (&counting()[..], &counting()[..]));
    // Two flights, a ticket, two of data, two alerts.
    let want = Stats { tls13_sessions: 1, records: 7, plaintext_bytes: 100, ..Stats::default() };
    assert_eq!(stats, want);
}

#[test]
fn early_data_come_before_the_rest_once_they_are_accepted() {
    let (seen, stats) = play(RFC8448_KEYS, &section("4"));
    assert_eq!(words(&seen), "c:closed@56 s:closed@50");
    assert_eq!(text(&seen, ToServer), [b"ABCDEF", &counting()[..]].concat());
    assert_eq!((stats.early_accepted, stats.plaintext_bytes, stats.records), (1, 106, 8));
}

#[test]
fn early_data_of_the_client_alone_are_told_by_its_end_of_early_data() {
    let client: Vec<_> = section("4").into_iter().filter(|(dir, _)| *dir == ToServer).collect();
    let (seen, stats) = play(RFC8448_KEYS, &client);
    assert_eq!(text(&seen, ToServer), [b"ABCDEF", &counting()[..]].concat());
    assert_eq!((words(&seen), stats.early_accepted), ("c:closed@56".to_owned(), 1));
}

#[test]
fn a_hello_retry_request_client_authentication_and_middlebox_compatibility_change_nothing() {
    for number in ["5", "6", "7"] {
        let (seen, stats) = play(RFC8448_KEYS, &section(number));
        assert_eq!(words(&seen), "c:closed@0 s:closed@0", "section {number}");
        assert_eq!((stats.tls13_sessions, stats.records), (1, 4), "section {number}");
    }
}

#[test]
fn one_direction_is_enough_for_the_client() {
    for (number, want) in [("3", "c:closed@50"), ("5", "c:closed@0"), ("7", "c:closed@0")] {
        let client: Vec<_> = section(number).into_iter().filter(|(dir, _)| *dir == ToServer).collect();
        let (seen, _) = play(RFC8448_KEYS, &client);
        assert_eq!(words(&seen), want, "section {number}");
    }
    let server: Vec<_> = section("3").into_iter().filter(|(dir, _)| *dir == ToClient).collect();
    let (seen, stats) = play(RFC8448_KEYS, &server);
    assert_eq!(words(&seen), "");
    assert!(stats.lost(Undecrypted::NoHello) > 0);
}

#[test]
fn directions_go_by_who_says_hello() {
    let turned: Vec<_> = section("4").into_iter().map(|(dir, turn)| (dir.reverse(), turn)).collect();
    let (seen, _) = play(RFC8448_KEYS, &turned);
    assert_eq!(text(&seen, ToClient), [b"ABCDEF", &counting()[..]].concat());
}

#[test]
fn secrets_of_the_data_alone_are_enough() {
    let keys = String::from_utf8(RFC8448_KEYS.to_vec()).unwrap();
    let some: Vec<_> = keys.lines().filter(|line| line.contains("_TRAFFIC_SECRET_0")).collect();
    let (seen, stats) = play(some.join("\n").as_bytes(), &section("3"));
    assert_eq!(words(&seen), "c:closed@50 s:closed@50");
    assert_eq!((text(&seen, ToServer), text(&seen, ToClient)), (&counting()[..], &counting()[..]));
    assert!(stats.lost(Undecrypted::NoKeys) > 0);
    // Of early data nothing is known then.
    let (seen, stats) = play(some.join("\n").as_bytes(), &section("4"));
    assert_eq!((text(&seen, ToServer), text(&seen, ToClient)), (&counting()[..], &counting()[..]));
    assert!(stats.lost(Undecrypted::EarlyData) > 0);
}
