use super::parsed;
use crate::tls::{Alpn, ClientHello, Ech, HelloError, ServerHello, SessionId, SniProblem, Transport, Version};
use testkit::tls::{Hello, key_shares, list8, list16, protocols, server_names};

#[test]
fn an_ordinary_hello_gives_its_facts() {
    let hello = parsed(&Hello::client("mcp.example.com"));
    assert_eq!(hello.sni.as_ref().and_then(|sni| sni.host()), Some("mcp.example.com"));
    assert_eq!(hello.alpn.names().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
    assert!(hello.alpn.has(b"h2") && !hello.alpn.has(b"h3"));
    assert_eq!((hello.version, hello.legacy_version), (Version::TLS13, Version::TLS12));
    assert_eq!((hello.ciphers, hello.extensions), (4, 6));
    assert_eq!((hello.ech, hello.encrypted_sni, hello.grease), (None, false, false));
    assert!(!hello.early_data && !hello.psk && !hello.session_ticket && !hello.post_quantum);
    assert!(!hello.duplicate_extension && !hello.bad_extension && !hello.wants_resumption());
    assert_eq!(hello.random().bytes(), &[0x51; 32]);
    assert_eq!(&hello.ja4.as_str()[..11], "t13d0406h2_");
}

#[test]
fn the_letter_of_the_transport_is_the_only_difference() {
    let body = Hello::client("a.example").client_body();
    let [tcp, quic] = [Transport::Tcp, Transport::Quic].map(|t| ClientHello::parse(&body, t).unwrap().ja4.to_string());
    assert_eq!((&tcp[..1], &quic[..1]), ("t", "q"));
    assert_eq!(tcp[1..], quic[1..]);
}

#[test]
fn printing_shows_neither_random_nor_session_id() {
    let text = format!("{:?}", parsed(&Hello::client("a.example")));
    assert!(text.contains("Random(..)") && text.contains("SessionId(32 bytes)"), "{text}");
    assert!(!text.contains("81, 81") && !text.contains("29, 29"), "{text}");
}

type Fact = (&'static str, Hello, fn(&ClientHello) -> bool);

#[test]
fn each_extension_tells_its_fact() {
    let base = || Hello::client("a.example");
    let outer = [&[0, 0, 1, 0, 1, 7, 0, 4][..], &[5; 4], &[0, 3, 9, 9, 9]].concat();
    let facts: [Fact; 19] = [
        ("ECH outside", base().with(0xfe0d, outer.clone()), |h| h.ech == Some(Ech::Outer)),
        ("ECH inside", base().with(0xfe0d, vec![1]), |h| h.ech == Some(Ech::Inner)),
        ("ECH cut", base().with(0xfe0d, outer[..9].to_vec()), |h| h.ech == Some(Ech::Other)),
        ("ECH without payload", base().with(0xfe0d, vec![0, 0, 1, 0, 1, 7, 0, 0, 0, 0]), |h| h.ech == Some(Ech::Other)),
        ("ECH of another kind", base().with(0xfe0d, vec![2]), |h| h.ech == Some(Ech::Other)),
        ("ESNI", base().with(0xffce, vec![1]), |h| h.encrypted_sni),
        ("early data", base().with(42, vec![]), |h| h.early_data),
        ("pre-shared key", base().with(41, vec![0; 8]), |h| h.psk && h.wants_resumption()),
        ("a ticket", base().with(35, vec![1]), |h| h.session_ticket && h.wants_resumption()),
        ("room for a ticket", base().with(35, vec![]), |h| !h.session_ticket && !h.wants_resumption()),
        ("a session id of TLS 1.2", base().without(43), |h| h.wants_resumption() && h.version == Version::TLS12),
        ("no session id", Hello { session_id: vec![], ..base().without(43) }, |h| !h.wants_resumption()),
        ("ML-KEM", base().with(51, key_shares(&[(0x11ec, 1216), (0x1d, 32)])), |h| h.post_quantum && !h.bad_extension),
        ("Kyber", base().with(51, key_shares(&[(0x6399, 1216)])), |h| h.post_quantum),
        ("no name", base().without(0), |h| h.sni.is_none() && h.ja4.as_str().starts_with("t13i0405h2_")),
        ("no protocol", base().without(16), |h| h.alpn.is_empty() && h.ja4.as_str().starts_with("t13d040500_")),
        ("no extensions", Hello { extensions: None, ..base() }, |h| {
            h.extensions == 0 && h.sni.is_none() && h.ja4.as_str().starts_with("t12i040000_")
        }),
        ("only old versions", base().with(43, list8(&[0x0301, 0x0302])), |h| h.version.name() == "1.1"),
        ("a draft", base().with(43, list8(&[0x7f1c, 0x0303])), |h| h.version == Version(0x7f1c)),
    ];
    for (name, hello, holds) in facts {
        assert!(holds(&parsed(&hello)), "{name}");
    }
}

#[test]
fn grease_changes_no_fingerprint_wherever_it_stands() {
    let plain = parsed(&Hello::client("a.example"));
    let base = || Hello::client("a.example");
    let mut everywhere = base()
        .with(10, list16(&[0x8a8a, 0x001d, 0x0017]))
        .with(13, list16(&[0x0403, 0x0804, 0x5a5a, 0x0401]))
        .with(43, list8(&[0xfafa, 0x0304, 0x0303]))
        .with(51, key_shares(&[(0x2a2a, 1), (0x001d, 32)]))
        .and(0xcaca, vec![0]);
    everywhere.ciphers.insert(0, 0x0a0a);
    everywhere.extensions.as_mut().unwrap().insert(0, (0x1a1a, vec![]));
    let cipher = Hello { ciphers: vec![0xbaba, 0x1301, 0x1302, 0xc02b, 0xc02f], ..base() };
    for (name, hello) in [
        ("everywhere", everywhere),
        ("cipher", cipher),
        ("extension", base().and(0x3a3a, vec![])),
        ("group", base().with(10, list16(&[0x4a4a, 0x001d]))),
        ("signature", base().with(13, list16(&[0x0403, 0x6a6a, 0x0804, 0x0401]))),
        ("version", base().with(43, list8(&[0x0304, 0x7a7a]))),
        ("share", base().with(51, key_shares(&[(0xdada, 1)]))),
    ] {
        let got = parsed(&hello);
        assert!(got.grease && !plain.grease, "{name}");
        assert_eq!((got.ja4, got.ciphers, got.extensions), (plain.ja4, 4, 6), "{name}");
        assert!(!got.bad_extension && !got.duplicate_extension, "{name}");
    }
    assert!(!parsed(&Hello { ciphers: vec![0x0a1a, 0x0b0b], ..base() }).grease);
}

#[test]
fn the_order_of_suites_and_extensions_changes_no_fingerprint_but_that_of_signatures_does() {
    let base = Hello::client("a.example");
    let mut turned = base.clone();
    turned.ciphers.reverse();
    turned.extensions.as_mut().unwrap().reverse();
    assert_eq!(parsed(&turned).ja4, parsed(&base).ja4);
    let signatures = base.clone().with(13, list16(&[0x0804, 0x0403, 0x0401]));
    assert_ne!(parsed(&signatures).ja4, parsed(&base).ja4);
}

#[test]
fn odd_extensions_are_told_and_the_rest_is_read() {
    let base = || Hello::client("a.example");
    for (name, hello) in [
        ("protocols cut", base().with(16, b"\0\x04\x02h2\x09".to_vec())),
        ("protocols longer than said", base().with(16, b"\0\x03\x02h2x".to_vec())),
        ("no protocols", base().with(16, protocols(&[]))),
        ("an empty protocol", base().with(16, protocols(&[b"h2", b""]))),
        ("versions odd", base().with(43, vec![3, 3, 4, 3])),
        ("versions cut", base().with(43, vec![4, 3, 4])),
        ("signatures cut", base().with(13, vec![0, 8, 4, 3])),
        ("groups odd", base().with(10, vec![0, 3, 0, 0x1d, 0])),
        ("shares cut", base().with(51, vec![0, 6, 0, 0x1d, 0, 9, 1, 2])),
        ("nothing in it", base().with(51, vec![])),
    ] {
        let got = parsed(&hello);
        assert!(got.bad_extension, "{name}");
        assert_eq!(got.sni.unwrap().host(), Some("a.example"), "{name}");
    }
}

#[test]
fn of_an_extension_that_comes_twice_the_first_counts() {
    let twice = Hello::client("a.example").and(0, server_names(&[(0, b"b.example")]));
    let got = parsed(&twice);
    let sni = got.sni.unwrap();
    assert!(got.duplicate_extension && sni.problems.has(SniProblem::Several));
    assert_eq!((sni.host(), got.extensions), (Some("a.example"), 7));
    let other = parsed(&Hello::client("a.example").and(16, protocols(&[b"h3"])));
    assert!(other.duplicate_extension && other.alpn.has(b"h2") && !other.alpn.has(b"h3"));
    assert!(other.sni.unwrap().problems.is_empty());
}

#[test]
fn many_protocols_are_kept_as_far_as_there_is_room() {
    let names = [&[b'x'; 200][..]; 9];
    let got = parsed(&Hello::client("a.example").with(16, protocols(&names)));
    assert!(got.alpn.is_cut() && !got.bad_extension);
    assert_eq!(got.alpn.names().count(), Alpn::MAX_BYTES / 201);
    assert_eq!(&got.ja4.as_str()[8..10], "xx");
}

#[test]
fn a_hello_that_contradicts_itself_is_refused_with_the_reason() {
    let good = Hello::client("a.example").client_body();
    for end in 0..good.len() {
        // Cut right before its extensions it is whole.
        let whole = end == 2 + 32 + 33 + 10 + 2;
        let got = ClientHello::parse(&good[..end], Transport::Tcp).map(|_| ());
        assert_eq!(got, if whole { Ok(()) } else { Err(HelloError::Truncated) }, "cut at {end}");
    }
    let odd = {
        let mut body = good.clone();
        body[2 + 32 + 33 + 1] = 7;
        body
    };
    let shifted = [&good[..77], &[0, 5, 0, 0, 0, 9, 1]].concat();
    for (body, want) in [
        ([&good[..], &[0]].concat(), HelloError::Trailing),
        (odd, HelloError::OddList),
        (Hello { session_id: vec![1; 33], ..Hello::client("a") }.client_body(), HelloError::SessionId),
        (shifted, HelloError::Truncated),
        (Vec::new(), HelloError::Truncated),
    ] {
        assert_eq!(ClientHello::parse(&body, Transport::Tcp).unwrap_err(), want);
    }
}

#[test]
fn a_server_hello_gives_version_suite_and_protocol() {
    let read = |hello: &Hello, offered: &[u8]| {
        let message = hello.server_message();
        ServerHello::parse(&message[4..], &SessionId::new(offered).unwrap()).unwrap()
    };
    let tls12 = read(&Hello::server12(b"h2"), &[]);
    assert_eq!((tls12.version, tls12.cipher, tls12.retry, tls12.resumed), (Version::TLS12, 0xc02f, false, false));
    assert_eq!(tls12.alpn.names().collect::<Vec<_>>(), [b"h2"]);
    assert_eq!(tls12.random().bytes(), &[0x53; 32]);
    assert!(read(&Hello::server12(b"h2"), &[0x2e; 32]).resumed, "the session id of the client");
    assert!(!read(&Hello::server12(b"h2"), &[0x2f; 32]).resumed, "another");
    assert!(!read(&Hello { session_id: vec![], ..Hello::server12(b"h2") }, &[]).resumed, "none at all");

    let tls13 = read(&Hello::server13(), &[0x1d; 32]);
    assert_eq!((tls13.version, tls13.alpn.is_empty(), tls13.resumed), (Version::TLS13, true, false));
    assert!(read(&Hello::server13().with(41, vec![0, 0]), &[]).resumed);
    assert!(read(&Hello::retry(), &[]).retry);
    assert!(read(&Hello::server13().with(43, vec![3]), &[]).bad_extension);

    let bare = Hello { extensions: None, version: 0x0301, ..Hello::server12(b"h2") };
    assert_eq!(read(&bare, &[]).version.name(), "1.0");
    let message = bare.server_message();
    let none = SessionId::default();
    for (end, want) in [(3, HelloError::Truncated), (message.len() - 1, HelloError::Truncated)] {
        assert_eq!(ServerHello::parse(&message[4..end.max(4)], &none).unwrap_err(), want);
    }
    let trailing = [&Hello::server13().server_message()[4..], &[1]].concat();
    assert_eq!(ServerHello::parse(&trailing, &none).unwrap_err(), HelloError::Trailing);
}
