use super::fuzz::relayed;
use super::{Lease, MAX_LEASES, MAX_NAME, MAX_RELAYS, Message, Step, fuzz_dhcp, is_port, read};
use proptest::collection::vec;
use proptest::prelude::*;
use testkit::dhcp::{duid, field, fqdn6, ia_na, kind, labels, v4, v6};

const MAC: [u8; 6] = [2, 0x16, 0x3e, 1, 2, 3];

fn v4_of(message: &[u8]) -> Option<Message> {
    read(67, message)
}

fn leases(message: &Message) -> Vec<(String, Option<u32>)> {
    message.leases.iter().map(|Lease { address, seconds }| (address.to_string(), *seconds)).collect()
}

#[test]
fn what_a_message_is_for_and_whom_it_gives_an_address() {
    let hour: (u8, &[u8]) = (51, &[0, 0, 14, 16]);
    for (name, bytes, step, want) in [
        ("discover", v4(1, 7, MAC, None, &[]), Step::Other, None),
        ("offer", v4(2, 7, MAC, Some("10.1.2.3"), &[hour]), Step::Other, None),
        ("request", v4(kind::REQUEST, 7, MAC, None, &[(50, &[10, 1, 2, 3])]), Step::Asks, None),
        ("renewal", v4(kind::REQUEST, 7, MAC, Some("10.1.2.3"), &[]), Step::Asks, None),
        ("ack", v4(kind::ACK, 7, MAC, Some("10.1.2.3"), &[hour]), Step::Grants, Some(Some(3600))),
        (
            "ack for good",
            v4(kind::ACK, 7, MAC, Some("10.1.2.3"), &[(51, &[255; 4])]),
            Step::Grants,
            Some(Some(u32::MAX)),
        ),
        ("ack to inform", v4(kind::ACK, 7, MAC, Some("10.1.2.3"), &[]), Step::Grants, Some(None)),
        ("nak", v4(6, 7, MAC, None, &[]), Step::Other, None),
        ("release", v4(kind::RELEASE, 7, MAC, Some("10.1.2.3"), &[]), Step::Ends, Some(Some(0))),
        ("decline", v4(kind::DECLINE, 7, MAC, None, &[(50, &[10, 1, 2, 3])]), Step::Ends, Some(Some(0))),
        ("inform", v4(kind::INFORM, 7, MAC, Some("10.1.2.3"), &[]), Step::Asks, None),
    ] {
        let message = v4_of(&bytes).unwrap_or_else(|| panic!("{name}"));
        assert_eq!((message.step, message.transaction, message.mac), (step, 7, Some(MAC)), "{name}");
        let want: Vec<_> = want.into_iter().map(|seconds| ("10.1.2.3".to_owned(), seconds)).collect();
        assert_eq!(leases(&message), want, "{name}");
    }
}

#[test]
fn the_answer_belongs_to_the_client_that_asked() {
    let asks = v4_of(&v4(kind::REQUEST, 7, MAC, None, &[(61, &[1, 9, 9])])).unwrap();
    let gives = v4_of(&v4(kind::ACK, 7, MAC, Some("10.1.2.3"), &[])).unwrap();
    assert_eq!(asks.client, gives.client);
    let other = v4_of(&v4(kind::ACK, 7, [2; 6], Some("10.1.2.3"), &[])).unwrap();
    assert_ne!(asks.client, other.client);
    // Without a hardware address the client's own id counts (RFC 4390).
    let bare = |id: &[u8]| {
        let mut bytes = v4(kind::REQUEST, 7, [0; 6], None, &[(61, id)]);
        (bytes[1], bytes[2]) = (32, 0);
        v4_of(&bytes).unwrap()
    };
    assert_eq!(bare(&[1, 2, 3]).mac, None);
    assert_ne!(bare(&[1, 2, 3]).client, bare(&[1, 2, 4]).client);
}

#[test]
fn a_name_is_what_a_host_can_be_called() {
    let fqdn = |flags: u8, text: &[u8]| [&[flags, 0, 0][..], text].concat();
    let long = "a23456789.".repeat(26);
    for (case, options, want, refused) in [
        ("none", vec![], None, false),
        ("host name", vec![(12, b"Ana-Laptop".to_vec())], Some("ana-laptop"), false),
        ("with a NUL at its end", vec![(12, b"ana-laptop\0".to_vec())], Some("ana-laptop"), false),
        ("with dots", vec![(12, b"ana_laptop.corp.example.".to_vec())], Some("ana_laptop.corp.example"), false),
        ("full name, as text", vec![(81, fqdn(0, b"ana.corp.example"))], Some("ana.corp.example"), false),
        (
            "full name, as labels",
            vec![(81, fqdn(5, &labels("Ana.corp.example", true)))],
            Some("ana.corp.example"),
            false,
        ),
        ("first label of it", vec![(81, fqdn(4, &labels("ana", false)))], Some("ana"), false),
        ("both", vec![(81, fqdn(0, b"ana.corp.example")), (12, b"ana".to_vec())], Some("ana.corp.example"), false),
        ("full one of use, other not", vec![(12, b"a b".to_vec()), (81, fqdn(0, b"ana"))], Some("ana"), true),
        ("empty full one", vec![(81, fqdn(1, b"")), (12, b"ana".to_vec())], Some("ana"), false),
        ("a space", vec![(12, b"ana laptop".to_vec())], None, true),
        ("not ASCII", vec![(12, "anä".as_bytes().to_vec())], None, true),
        ("control characters", vec![(12, b"\x1b[2J".to_vec())], None, true),
        ("a NUL in it", vec![(12, b"ana\0laptop".to_vec())], None, true),
        ("an address", vec![(12, b"10.1.2.3".to_vec())], None, true),
        ("an empty label", vec![(12, b"ana..corp".to_vec())], None, true),
        ("a label of 64", vec![(12, vec![b'a'; 64])], None, true),
        ("in two parts", vec![(12, b"ana-".to_vec()), (12, b"laptop".to_vec())], Some("ana-laptop"), false),
        ("a dot in a label", vec![(81, fqdn(4, b"\x03a.b\0"))], None, true),
        ("a pointer", vec![(81, fqdn(4, &[0xc0, 12]))], None, true),
        ("longer than a name can be", vec![(12, long.as_bytes()[..255].to_vec())], None, true),
    ] {
        let options: Vec<_> = options.iter().map(|(code, value)| (*code, value.as_slice())).collect();
        let message = v4_of(&v4(kind::REQUEST, 7, MAC, None, &options)).unwrap();
        assert_eq!((message.name.as_deref(), message.name_refused), (want, refused), "{case}");
    }
}

#[test]
fn options_may_stand_where_the_file_and_the_server_are_named() {
    for (overload, in_file, in_name, want) in [
        (1, true, false, Some("ana")),
        (2, false, true, Some("ana")),
        (3, true, true, Some("anaana")),
        (0, true, true, None),
    ] {
        let mut bytes = v4(kind::REQUEST, 7, MAC, None, &[(52, &[overload])]);
        for (place, there) in [(108, in_file), (44, in_name)] {
            if there {
                bytes[place..place + 6].copy_from_slice(&[12, 3, b'a', b'n', b'a', 255]);
            }
        }
        assert_eq!(v4_of(&bytes).unwrap().name.as_deref(), want, "{overload}");
    }
}

#[test]
fn addresses_of_version_6_come_with_how_long_they_are_valid() {
    let na = |valid| ia_na("2001:db8::17", valid);
    for (case, bytes, step, want) in [
        ("solicit", v6(1, 9, &[duid(MAC), na(0)]), Step::Asks, vec![]),
        ("advertise", v6(2, 9, &[duid(MAC), na(60)]), Step::Other, vec![]),
        ("request", v6(3, 9, &[duid(MAC), na(60), fqdn6("ana", false)]), Step::Asks, vec![]),
        ("reply", v6(7, 9, &[duid(MAC), na(60)]), Step::Grants, vec![("2001:db8::17", 60)]),
        ("reply for good", v6(7, 9, &[na(u32::MAX), duid(MAC)]), Step::Grants, vec![("2001:db8::17", u32::MAX)]),
        ("reply, no longer", v6(7, 9, &[duid(MAC), na(0)]), Step::Grants, vec![("2001:db8::17", 0)]),
        (
            "reply, two",
            v6(7, 9, &[duid(MAC), na(60), ia_na("2001:db8::18", 70)]),
            Step::Grants,
            vec![("2001:db8::17", 60), ("2001:db8::18", 70)],
        ),
        ("release", v6(8, 9, &[duid(MAC), na(60)]), Step::Ends, vec![("2001:db8::17", 0)]),
        ("decline", v6(9, 9, &[duid(MAC), na(60)]), Step::Ends, vec![("2001:db8::17", 0)]),
    ] {
        let message = read(547, &bytes).unwrap_or_else(|| panic!("{case}"));
        assert_eq!((message.step, message.transaction, message.mac), (step, 9, None), "{case}");
        let want: Vec<_> = want.into_iter().map(|(ip, seconds)| (ip.to_owned(), Some(seconds))).collect();
        assert_eq!(leases(&message), want, "{case}");
        assert_eq!(message.client, [&[6][..], &duid(MAC).1].concat(), "{case}");
    }
}

#[test]
fn relays_are_opened_and_say_the_mac_address() {
    let inner = v6(3, 9, &[duid(MAC), fqdn6("Ana.corp.example", true)]);
    let mut bytes = testkit::dhcp::relayed(&inner, Some(MAC));
    for n in 1..=MAX_RELAYS + 1 {
        let message = read(547, &bytes);
        assert_eq!(message.is_some(), n <= MAX_RELAYS, "{n}");
        if let Some(message) = message {
            assert_eq!((message.name.as_deref(), message.mac), (Some("ana.corp.example"), Some(MAC)), "{n}");
        }
        bytes = relayed(&bytes).unwrap();
    }
}

#[test]
fn no_more_addresses_are_taken_than_the_limit() {
    for n in [MAX_LEASES, MAX_LEASES + 3] {
        let options: Vec<_> = (0..n).map(|n| ia_na(&format!("2001:db8::{n:x}"), 60)).collect();
        let message = read(547, &v6(7, 9, &options)).unwrap();
        assert_eq!(message.leases.len() + usize::from(message.left_out), n);
        assert!(message.leases.len() <= MAX_LEASES);
    }
}

#[test]
fn what_is_no_message_is_refused() {
    let good = v4(kind::ACK, 7, MAC, Some("10.1.2.3"), &[(51, &[0, 0, 14, 16])]);
    let change = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    for (case, port, bytes) in [
        ("nothing", 67, vec![]),
        ("no cookie", 67, change(237, 0)),
        ("neither question nor answer", 67, change(0, 3)),
        ("cut in an option", 67, good[..good.len() - 2].to_vec()),
        ("cut in the fixed part", 67, good[..200].to_vec()),
        ("an option beyond the end", 67, change(244, 200)),
        ("version 4 at the port of version 6", 547, good.clone()),
        ("nothing, version 6", 546, vec![]),
        ("an unknown kind", 546, v6(77, 1, &[])),
        ("a relay with nothing in it", 547, testkit::dhcp::relayed(&[], None)),
        ("cut in an option, version 6", 546, v6(7, 1, &[duid(MAC)])[..8].to_vec()),
        ("an address cut short", 546, v6(7, 1, &[(3, [vec![0; 12], field(&[(5, vec![0; 20])])].concat())])),
        ("another port", 53, good.clone()),
    ] {
        assert_eq!(read(port, &bytes), None, "{case}");
    }
    assert!([67, 68, 546, 547].into_iter().all(is_port) && !is_port(53));
    assert_eq!(MAX_NAME, 253);
}

proptest! {
    #[test]
    fn no_bytes_make_it_fail(bytes in vec(any::<u8>(), 0..400), kind in 1_u8..9, options in vec((any::<u8>(), vec(any::<u8>(), 0..40)), 0..8)) {
        fuzz_dhcp(&bytes);
        let options: Vec<_> = options.iter().map(|(code, value)| (*code, value.as_slice())).collect();
        let mut message = v4(kind, 7, MAC, Some("10.1.2.3"), &options);
        fuzz_dhcp(&message);
        for (at, byte) in (0..).map(|n| n * 31).zip(&bytes).take(9) {
            if let Some(place) = message.get_mut(at) {
                *place = *byte;
            }
        }
        fuzz_dhcp(&message);
        let six: Vec<_> = options.iter().map(|(code, value)| (u16::from(*code % 40), value.to_vec())).collect();
        fuzz_dhcp(&v6(kind, 7, &six));
    }
}
