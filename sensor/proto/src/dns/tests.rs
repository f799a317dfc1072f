use super::fuzz::messages;
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::IpAddr;

const QUESTION: &[u8] = b"\x03McP\x04corp\x07example\0";
const A: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xcb\0\x71\x09";
/// `x.corp.example`, and its address.
const CNAME: &[u8] = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01x\xc0\x10";
const A_OF_X: &[u8] = b"\x01X\x04Corp\x07example\0\0\x01\0\x01\0\0\0\x3c\0\x04\xcb\0\x71\x0a";

fn message(flags: [u8; 2], question: &[u8], kind: u16, records: &[&[u8]]) -> Vec<u8> {
    let mut m = vec![0x12, 0x34, flags[0], flags[1], 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0];
    m.extend_from_slice(question);
    m.extend_from_slice(&kind.to_be_bytes());
    m.extend_from_slice(&[0, 1]);
    m.extend_from_slice(&records.concat());
    m
}

fn reply(records: &[&[u8]]) -> Vec<u8> {
    message([0x81, 0x80], QUESTION, kind::A, records)
}

fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap();
    [b"\xc0\x0c", &kind.to_be_bytes()[..], b"\0\x01\0\0\0\x3c", &len.to_be_bytes(), data].concat()
}

fn parameter(key: u16, value: &[u8]) -> Vec<u8> {
    [&key.to_be_bytes()[..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

fn addresses(bytes: &[u8]) -> Vec<String> {
    let addresses = Message::read(bytes).unwrap().records().filter_map(|record| match record {
        Record::Address(address) => Some(address.to_string()),
        Record::Service(_) | Record::Pointer(_) => None,
    });
    addresses.collect()
}

#[test]
fn a_query_names_what_is_asked_for() {
    // With EDNS behind it.
    let mut bytes = message([0x01, 0x20], QUESTION, kind::HTTPS, &[]);
    bytes[11] = 1;
    bytes.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
    let query = Message::read(&bytes).unwrap();
    assert_eq!((query.name().as_str(), query.kind(), query.is_response()), ("mcp.corp.example", 65, false));
    assert_eq!((query.records().next(), answer(&bytes)), (None, None));
    let root = message([0x01, 0], b"\0", kind::A, &[]);
    assert!(Message::read(&root).unwrap().name().is_empty());
}

#[test]
fn answers_give_the_addresses_of_the_name_that_was_asked_for() {
    let got = answer(&reply(&[CNAME, A])).unwrap();
    assert_eq!(got, Answer { name: "mcp.corp.example".into(), addresses: vec!["203.0.113.9".parse().unwrap()] });
    let v6: IpAddr = "2001:db8::7".parse().unwrap();
    let IpAddr::V6(octets) = v6 else { unreachable!() };
    assert_eq!(answer(&reply(&[&record(kind::AAAA, &octets.octets())])).unwrap().addresses, [v6]);
    assert_eq!(answer(&reply(&[A, A])).unwrap().addresses.len(), 1);
}

#[test]
fn aliases_are_followed_and_other_names_are_not_mixed_in() {
    assert_eq!(addresses(&reply(&[CNAME, A_OF_X])), ["203.0.113.10"]);
    assert_eq!(addresses(&reply(&[CNAME, A_OF_X, A])), ["203.0.113.10", "203.0.113.9"]);
    assert_eq!(addresses(&reply(&[A_OF_X, A])), ["203.0.113.9"], "nobody said that x is an alias");
    let circle = b"\x01x\xc0\x10\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c";
    assert_eq!(addresses(&reply(&[CNAME, circle, A_OF_X])), ["203.0.113.10"]);
    let many = vec![CNAME; MAX_ALIASES + 3];
    let bytes = reply(&many);
    let mut records = Message::read(&bytes).unwrap().records();
    assert_eq!((records.next(), records.left_out()), (None, 3));
}

#[test]
fn service_records_say_how_a_host_is_reached() {
    let full = [
        b"\0\x01\0".to_vec(),
        parameter(0, b"\0\x01"),
        parameter(1, b"\x02h3\x02h2"),
        parameter(3, &8443_u16.to_be_bytes()),
        parameter(4, &[192, 0, 2, 1, 192, 0, 2, 2]),
        parameter(5, b"keys"),
        parameter(6, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        parameter(0xff00, b"any"),
    ]
    .concat();
    let of = |kind: u16, data: &[u8]| {
        let bytes = reply(&[&record(kind, data)]);
        let mut records = Message::read(&bytes).unwrap().records();
        let found = records.next().map(|record| {
            let Record::Service(s) = record else { panic!("{record:?}") };
            let alpn: Vec<String> = s.alpn().map(|name| String::from_utf8(name.to_vec()).unwrap()).collect();
            let addresses: Vec<String> = s.addresses().map(|a| a.to_string()).collect();
            (s.priority, s.port, s.ech, alpn.join(","), addresses.join(","))
        });
        assert!(!records.is_bad());
        found
    };
    for kind in [kind::HTTPS, kind::SVCB] {
        let (priority, port, ech, alpn, addresses) = of(kind, &full).unwrap();
        assert_eq!((priority, port, ech), (1, Some(8443), true));
        assert_eq!((alpn.as_str(), addresses.as_str()), ("h3,h2", "192.0.2.1,192.0.2.2,2001:db8::1"));
    }
    assert_eq!(answer(&reply(&[&record(kind::HTTPS, &full)])).unwrap().addresses.len(), 3);
    let plain = (1, None, false, String::new(), String::new());
    assert_eq!(of(kind::HTTPS, b"\0\x01\0"), Some(plain.clone()));
    assert_eq!(of(kind::HTTPS, b"\0\0\x03cdn\0"), Some((0, None, false, String::new(), String::new())));
    for (what, data) in [
        ("nothing", Vec::new()),
        ("no target", b"\0\x01".to_vec()),
        ("a target beyond the end", b"\0\x01\x05ab".to_vec()),
        ("half a parameter", b"\0\x01\0\0\x01".to_vec()),
        ("a long parameter", [b"\0\x01\0".to_vec(), b"\0\x01\0\x09\x02h3".to_vec()].concat()),
        ("out of order", [b"\0\x01\0".to_vec(), parameter(5, b""), parameter(1, b"\x02h3")].concat()),
        ("twice", [b"\0\x01\0".to_vec(), parameter(5, b""), parameter(5, b"")].concat()),
        ("half an address", [b"\0\x01\0".to_vec(), parameter(4, &[1, 2, 3])].concat()),
        ("half a protocol", [b"\0\x01\0".to_vec(), parameter(1, b"\x05h3")].concat()),
        ("an odd port", [b"\0\x01\0".to_vec(), parameter(3, b"x")].concat()),
    ] {
        assert_eq!(of(kind::HTTPS, &data), None, "{what}");
    }
}

#[test]
fn a_name_is_the_same_with_and_without_a_pointer() {
    // "aB" stands in a place of the header that says nothing here: the counts of the last two sections.
    let mut pointed = message([0x01, 0], b"\x03McP\xc0\x08", kind::A, &[]);
    pointed[8..12].copy_from_slice(b"\x02aB\0");
    let name = *Message::read(&pointed).unwrap().name();
    assert_eq!(name.as_str(), "mcp.ab");
    let plain = message([0x01, 0], b"\x03McP\x02aB\0", kind::A, &[]);
    assert_eq!(*Message::read(&plain).unwrap().name(), name);
}

#[test]
fn everything_else_gives_nothing() {
    let good = reply(&[A]);
    let with = |at: usize, byte: u8| {
        let mut m = good.clone();
        m[at] = byte;
        m
    };
    let long = [&[63][..], &[b'a'; 63]].concat().repeat(4);
    for (what, bytes) in [
        ("an error", with(3, 0x83)),
        ("an update", with(2, 0xa8)),
        ("a reserved bit", with(3, 0xc0)),
        ("no question", with(5, 0)),
        ("two questions", with(5, 2)),
        ("another class", with(12 + QUESTION.len() + 3, 3)),
        ("the unicast bit of multicast DNS", with(12 + QUESTION.len() + 2, 0x80)),
        ("an answer of another class", with(12 + QUESTION.len() + 4 + 5, 3)),
        ("no address record", reply(&[CNAME])),
        ("a pointer to itself", message([0x81, 0x80], b"\xc0\x0c", kind::A, &[A])),
        ("a pointer to the header", message([0x81, 0x80], b"\x03abc\xc0\x00", kind::A, &[A])),
        ("a pointer ahead", message([0x81, 0x80], b"\xc0\x0e\x01a\0", kind::A, &[A])),
        ("a name without an end", message([0x81, 0x80], b"\x01a\xc0\x0c", kind::A, &[A])),
        ("a label of a reserved kind", message([0x81, 0x80], b"\x80\0", kind::A, &[A])),
        ("a dot in a label", message([0x81, 0x80], b"\x03a.b\0", kind::A, &[A])),
        ("a space in a label", message([0x81, 0x80], b"\x03a b\0", kind::A, &[A])),
        ("a long name", message([0x81, 0x80], &[&long[..], b"\0"].concat(), kind::A, &[A])),
        ("nothing", Vec::new()),
    ] {
        assert_eq!(answer(&bytes), None, "{what}");
    }
    for cut in 0..good.len() {
        assert_eq!(answer(&good[..cut]), None, "cut at {cut}");
    }
    // A name of the greatest length is read.
    let name = [&long[..3 * 64], &[61], &[b'b'; 61], b"\0"].concat();
    let bytes = message([0x81, 0x80], &name, kind::A, &[A]);
    assert_eq!(answer(&bytes).unwrap().name.len(), MAX_NAME);
}

#[test]
fn a_message_with_too_many_records_costs_no_more() {
    let mut bytes = reply(&[]);
    bytes[6] = 0x10;
    bytes.extend(A.repeat(4096));
    let mut records = Message::read(&bytes).unwrap().records();
    assert_eq!(records.by_ref().count(), usize::from(MAX_RECORDS));
    assert_eq!(records.left_out(), 4096 - MAX_RECORDS);
}

fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    let framed = messages.iter().map(|m| [&u16::try_from(m.len()).unwrap().to_be_bytes()[..], m].concat());
    framed.collect::<Vec<_>>().concat()
}

#[test]
fn a_stream_that_is_no_dns_is_let_go() {
    for wire in
        [&b"GET / HTTP/1.1\r\nHost: a\r\n"[..], b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03abcdefg", b"\0\x03abc"]
    {
        let mut stream = Stream::new();
        let (limits, mut stats) = (Limits::default(), Stats::default());
        assert_eq!(stream.feed(&limits, &mut stats, wire, &mut |_| panic!("a message")), Want::Nothing);
        assert_eq!(
            stream.feed(&limits, &mut stats, &framed(&[reply(&[A])]), &mut |_| panic!("a message")),
            Want::Nothing
        );
        stream.finish(&mut stats);
        assert_eq!(stats, Stats { not_dns: 1, ..Stats::default() });
    }
}

#[test]
fn a_hole_costs_its_message_as_long_as_the_next_can_be_found() {
    let all = [reply(&[A]), reply(&[CNAME, A]), reply(&[A, A])];
    let wire = framed(&all);
    let (first, second) = (2 + all[0].len(), 4 + all[0].len() + all[1].len());
    let play = |from: usize, to: usize| {
        let (limits, mut stats, mut seen) = (Limits::default(), Stats::default(), Vec::new());
        let mut stream = Stream::new();
        stream.feed(&limits, &mut stats, &wire[..from], &mut |m| seen.push(m.to_vec()));
        stream.gap(&mut stats, (to - from) as u64);
        stream.feed(&limits, &mut stats, &wire[to..], &mut |m| seen.push(m.to_vec()));
        stream.finish(&mut stats);
        (seen, stats)
    };
    let lost = Stats { messages: 2, incomplete: 1, ..Stats::default() };
    for (from, to) in [(first + 2, first + 3), (first + 20, second), (first + 14, second - 1)] {
        assert_eq!(play(from, to), (vec![all[0].clone(), all[2].clone()], lost), "{from}..{to}");
    }
    for (from, to, incomplete) in [(first, first + 1, 0), (first + 1, first + 2, 1), (first + 20, second + 1, 1)] {
        let want = Stats { messages: 1, incomplete, out_of_step: 1, ..Stats::default() };
        assert_eq!(play(from, to), (vec![all[0].clone()], want), "{from}..{to}");
    }
}

#[test]
fn messages_over_the_limit_are_passed_over_and_counted() {
    let limits = Limits { message_bytes: 100 };
    let mut long = reply(&[A]);
    long.resize(101, 0);
    let mut fits = reply(&[A]);
    fits.resize(100, 0);
    let wire = framed(&[long, fits.clone()]);
    for size in [1, 7, 1000] {
        let (seen, stats) = messages(limits, wire.chunks(size));
        assert_eq!((seen, stats), (vec![fits.clone()], Stats { messages: 1, too_long: 1, ..Stats::default() }));
    }
    let (_, mut twice) = messages(limits, [&wire[..]]);
    twice.add(&twice.clone());
    assert_eq!((twice.messages, twice.too_long), (2, 2));
}

proptest! {
    #[test]
    fn cutting_a_stream_elsewhere_changes_nothing(
        kinds in vec(0_usize..4, 0..12),
        cuts in vec(1_usize..80, 1..40),
    ) {
        let all = [reply(&[A]), reply(&[CNAME, A_OF_X]), message([1, 0], QUESTION, kind::AAAA, &[]), reply(&[])];
        let sent: Vec<Vec<u8>> = kinds.iter().map(|kind| all[*kind].clone()).collect();
        let wire = framed(&sent);
        let (mut pieces, mut rest, mut cuts) = (Vec::new(), wire.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        let (seen, stats) = messages(Limits::default(), pieces);
        prop_assert_eq!(stats, Stats { messages: sent.len() as u64, ..Stats::default() });
        prop_assert_eq!(seen, sent);
    }

    #[test]
    fn any_bytes_are_taken(
        data in vec(any::<u8>(), 0..300),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        fuzz_dns(&data);
        let mut damaged = reply(&[CNAME, A_OF_X, A, &record(kind::HTTPS, &[&b"\0\x01\0"[..], &parameter(1, b"\x02h3")].concat())]);
        for (at, byte) in changes {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        fuzz_dns(&damaged);
        fuzz_dns(&[&[7], &framed(&[damaged])[..]].concat());
    }
}
