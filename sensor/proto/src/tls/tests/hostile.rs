use super::check;
use crate::tls::fuzz::{Seen, fuzz_tls, read};
use crate::tls::{ClientHello, End, Limits, Observer, Stats, Transport, Want};
use net::Direction::{ToClient, ToServer};
use proptest::prelude::*;
use testkit::tls::{Hello, certificate, certificates, handshake, record, records, server_names};

#[test]
fn framing_that_cannot_be_ends_the_direction_with_its_reason() {
    let hello = record(22, &Hello::client("a.example").client_message());
    let then = |wire: &[u8]| [&hello[..], wire].concat();
    let split = [record(22, &hello[5..50]), record(23, &[0; 9])].concat();
    let mut lies = Hello::client("a.example").client_message();
    lies[3] -= 1;
    let bad = [&lies[..], &[0; 8]].concat();
    let broken_leaf =
        [Hello::server12(b"h2").server_message(), certificates(&[b"no certificate".to_vec()]), handshake(14, &[])]
            .concat();
    for (name, dir, wire, want) in [
        ("HTTP", ToServer, b"GET / HTTP/1.1\r\n".to_vec(), "c:not_tls s:finished"),
        ("SSL 2", ToServer, b"\x80\x2e\x01\x03\x01\0\x15".to_vec(), "c:not_tls s:finished"),
        ("another major version", ToServer, b"\x16\x04\x03\0\x05\x01\0\0\x01".to_vec(), "c:not_tls s:finished"),
        ("a record too long", ToServer, [&b"\x16\x03\x01\x48\x01"[..], &[1; 99]].concat(), "c:not_tls s:finished"),
        ("a handshake from its middle", ToServer, record(22, &handshake(16, &[0; 30])), "c:not_tls s:finished"),
        ("HTTP behind a hello", ToServer, then(b"GET /"), "c:hello(a.example) c:broken s:finished"),
        ("data inside a hello", ToServer, split, "c:broken s:finished"),
        ("three hellos", ToServer, hello.repeat(3), "c:hello(a.example) c:hello(a.example) c:broken s:finished"),
        ("a length that lies", ToServer, record(22, &bad), "c:bad_hello s:finished"),
        ("an empty hello", ToServer, record(22, &handshake(1, &[])), "c:bad_hello s:finished"),
        ("an empty server hello", ToClient, record(22, &handshake(2, &[])), "s:bad_hello c:finished"),
        ("no certificate", ToClient, record(22, &broken_leaf), "s:hello(1.2) c:finished s:finished"),
        (
            "an empty chain",
            ToClient,
            record(22, &[Hello::server12(b"h2").server_message(), certificates(&[])].concat()),
            "s:hello(1.2) c:finished s:finished",
        ),
        (
            "an empty hello behind a change of cipher",
            ToServer,
            // The record behind it was once taken for its version.
            then(&[record(20, &[1]), record(22, &[handshake(1, &[]), vec![3]].concat())].concat()),
            "c:hello(a.example) c:opaque s:finished",
        ),
        (
            "ciphertext that begins like a hello",
            ToServer,
            then(&[record(20, &[1]), record(22, &[1, 0, 0, 60, 9, 9, 9])].concat()),
            "c:hello(a.example) c:opaque s:finished",
        ),
    ] {
        check(name, &[(dir, &wire)], want);
    }
}

#[test]
fn the_certificate_of_a_client_is_left_alone() {
    let flight = [
        Hello::client("a.example").client_message(),
        certificates(&[certificate(Some("a person"), &["person.example"])]),
    ]
    .concat();
    let stats = check("client", &[(ToServer, &record(22, &flight))], "c:hello(a.example) c:finished s:finished");
    assert_eq!((stats.certificates, stats.bad_certificates), (0, 0));
}

#[test]
fn long_hellos_are_read_up_to_the_limit() {
    let padded = |len: usize| {
        let mut hello = Hello::client("a.example").with(21, Vec::new());
        if len > 65_000 {
            hello.ciphers = vec![0x1301; 0x7fff];
        }
        let padding = len - hello.client_body().len();
        hello.with(21, vec![0; padding]).client_message()
    };
    let limit = Limits::default().message_bytes;
    for len in [17_000, 60_000, limit - 254] {
        let wire = records(&padded(len), 16_384);
        check(&len.to_string(), &[(ToServer, &wire)], "c:hello(a.example) c:finished s:finished");
    }
    // Only 255 compression methods would take it to the limit, and nothing beyond: but the header can claim so much.
    let over = handshake(1, &vec![1; limit + 1]);
    let stats = check("over the limit", &[(ToServer, &records(&over, 16_384))], "c:too_long s:finished");
    assert_eq!(stats.ends(End::TooLong), 1);
    let leaf = [Hello::server12(b"h2").server_message(), certificates(&[vec![0x30; limit + 1]])].concat();
    check("a leaf", &[(ToClient, &records(&leaf, 16_384))], "s:hello(1.2) s:too_long c:finished");
}

#[test]
fn a_length_that_is_only_claimed_takes_little_room() {
    let (mut observer, mut stats, mut seen) = (Observer::new(), Stats::default(), Seen::default());
    let limits = Limits::default();
    let hello = handshake(1, &vec![0; 65_000]);
    observer.feed(&limits, &mut stats, ToServer, &record(22, &hello[..10]), &mut seen);
    assert!(observer.held() <= 4096, "{}", observer.held());
    for (n, part) in hello[10..].chunks(500).enumerate() {
        observer.feed(&limits, &mut stats, ToServer, &record(22, part), &mut seen);
        assert!(observer.held() <= (10 + 500 * (n + 1)).max(2048) * 2, "{}", observer.held());
    }
    assert!(seen.0.len() == 1 && observer.held() == 0);
}

#[test]
fn a_handshake_without_end_is_given_up() {
    let limits = Limits::default();
    let hello = record(22, &Hello::client("a.example").client_message());
    for (name, filler) in [
        ("empty records", record(22, &[])),
        ("warnings", record(21, &[1, 90])),
        ("changes of cipher", record(20, &[1])),
        ("messages nobody reads", record(22, &handshake(16, &[0; 1000]))),
    ] {
        let (mut observer, mut stats, mut seen) = (Observer::new(), Stats::default(), Seen::default());
        observer.feed(&limits, &mut stats, ToServer, &hello, &mut seen);
        let mut fed = hello.len() as u64;
        let mut end = Want::More;
        while end == Want::More {
            assert!(fed < limits.handshake_bytes + 2000, "{name}: read on");
            end = observer.feed(&limits, &mut stats, ToServer, &filler, &mut seen);
            fed += filler.len() as u64;
        }
        let Want::Nothing(unread) = end else { unreachable!() };
        assert_eq!(fed - unread as u64, limits.handshake_bytes, "{name}");
        assert_eq!(stats.ends(End::TooLong), 1, "{name}");
    }
}

#[test]
fn lists_of_every_size_are_counted_and_sorted_in_time() {
    let mut hello = Hello::client("a.example");
    hello.ciphers = (0..15_000).map(|n: u16| n.wrapping_mul(40_503)).collect();
    hello.extensions = Some((0..8_000).map(|n: u16| (n.wrapping_mul(7), Vec::new())).collect());
    let got = ClientHello::parse(&hello.client_body(), Transport::Tcp).unwrap();
    assert!(got.grease && got.ja4.as_str().starts_with("t12d9999"), "{}", got.ja4);
    assert!(got.ciphers > 14_900 && got.extensions > 7_900 && !got.duplicate_extension);
    let twice = Hello { extensions: Some(vec![(9, Vec::new()); 16_000]), ..hello };
    assert!(ClientHello::parse(&twice.client_body(), Transport::Tcp).unwrap().duplicate_extension);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn bytes_of_any_kind_are_read_alike_however_cut(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzz_tls(&data);
    }

    #[test]
    fn damaged_handshakes_are_read_alike_however_cut(
        at in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        share in any::<u8>(),
        size in 1_usize..400,
    ) {
        let server = [
            Hello::server12(b"h2").server_message(),
            certificates(&[certificate(Some("a.example"), &["b.example", "192.0.2.1"])]),
            handshake(14, &[]),
        ]
        .concat();
        let mut data = [
            vec![99, share],
            records(&Hello::client("a.example").client_message(), size),
            records(&server, size),
            record(20, &[1]),
            record(22, &[0; 20]),
        ]
        .concat();
        for (index, byte) in at {
            *index.get_mut(&mut data[2..]) = byte;
        }
        fuzz_tls(&data);
    }

    #[test]
    fn any_server_name_keeps_its_limits_and_is_printable(
        names in proptest::collection::vec((0_u8..2, proptest::collection::vec(any::<u8>(), 0..400)), 0..3),
    ) {
        let names: Vec<_> = names.iter().map(|(kind, name)| (*kind, &name[..])).collect();
        let hello = Hello::client("").with(0, server_names(&names));
        let sni = super::parsed(&hello).sni.unwrap();
        prop_assert!(sni.text().len() <= crate::tls::MAX_SNI);
        prop_assert!(sni.text().bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()));
        prop_assert!(sni.host().is_none_or(|host| !host.is_empty() && !host.ends_with('.')));
    }
}

#[test]
fn the_limits_of_the_reader_are_those_it_is_given() {
    let limits = Limits { message_bytes: 100, ..Limits::default() };
    let hello = record(22, &Hello::client("a.example").client_message());
    let (items, _) = read(&limits, [(ToServer, &hello[..])]);
    assert_eq!(super::words(&items), "c:too_long s:finished");
    let limits = Limits { handshake_bytes: 50, ..Limits::default() };
    let (items, _) = read(&limits, [(ToServer, &hello[..])]);
    assert_eq!(super::words(&items), "c:too_long s:finished");
}
