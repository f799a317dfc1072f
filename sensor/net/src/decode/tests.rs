mod carriers;

use super::{Layers, Undecoded, decode};
use crate::craft::{Segment, Sum};
use crate::{Frame, LinkType, Packet, Place, TcpHeader, Timestamp, Transport, tcp_checksum_ok};
use proptest::prelude::*;
use std::num::NonZeroU16;

fn frame(link: LinkType, data: &[u8]) -> Frame<'_> {
    let wire_len = u32::try_from(data.len()).unwrap();
    Frame { place: Place { number: 7, file: 0, in_file: 7 }, ts: Timestamp(5), link, data, wire_len }
}

fn segment(v6: bool, payload: &[u8]) -> Segment<'_> {
    let (src, dst) = if v6 { ("[2001:db8::1]:5000", "[2001:db8::2]:80") } else { ("10.0.0.1:5000", "10.0.0.2:80") };
    let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
    Segment { src, dst, seq: 0x0102_0304, ack: 9, flags: TcpHeader::ACK, payload, sum: Sum::Right }
}

/// An Ethernet header of this type, then `rest`.
fn ethernet(kind: u16, rest: &[u8]) -> Vec<u8> {
    let mut out = vec![1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2];
    out.extend(kind.to_be_bytes());
    out.extend(rest);
    out
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// IPv6 with `headers` between the fixed header and what `protocol` names.
fn extended(first: u8, headers: &[u8], rest: &[u8]) -> Vec<u8> {
    let plain = segment(true, b"").ip();
    let mut out = plain[..40].to_vec();
    let len = u16::try_from(headers.len() + rest.len()).unwrap();
    out[4..6].copy_from_slice(&len.to_be_bytes());
    out[6] = first;
    out.extend(headers);
    out.extend(rest);
    out
}

#[track_caller]
fn check(name: &str, link: LinkType, data: &[u8], payload: &[u8]) -> Packet {
    let packet = decode(&frame(link, data)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let range = packet.payload.start as usize..packet.payload.end as usize;
    assert_eq!(&data[range], payload, "{name}");
    assert_eq!(packet.wire_payload as usize, payload.len(), "{name}");
    assert_eq!(packet.tuple.dst.port(), 80, "{name}");
    assert_eq!(tcp_checksum_ok(&packet, data), Some(true), "{name}");
    packet
}

#[test]
fn every_link_type_leads_to_the_same_payload() {
    let v4 = segment(false, b"hello").ip();
    let v6 = segment(true, b"hello").ip();
    let sll = |kind: [u8; 2], rest: &[u8]| joined(&[&[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0], &kind, rest]);
    let sll2 =
        |kind: [u8; 2], rest: &[u8]| joined(&[&kind, &[0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0], rest]);
    for (name, link, data) in [
        ("ethernet, v4", LinkType::Ethernet, ethernet(0x0800, &v4)),
        ("ethernet, v6", LinkType::Ethernet, ethernet(0x86dd, &v6)),
        ("snap", LinkType::Ethernet, ethernet(100, &joined(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &v4]))),
        ("raw, v4", LinkType::Raw, v4.clone()),
        ("raw, v6", LinkType::Raw, v6.clone()),
        ("ipv4", LinkType::Ipv4, v4.clone()),
        ("ipv6", LinkType::Ipv6, v6.clone()),
        ("cooked, v4", LinkType::LinuxSll, sll([8, 0], &v4)),
        ("cooked, v6", LinkType::LinuxSll, sll([0x86, 0xdd], &v6)),
        ("cooked, vlan", LinkType::LinuxSll, sll([0x81, 0], &joined(&[&[0, 5, 8, 0], &v4]))),
        ("cooked 2, v4", LinkType::LinuxSll2, sll2([8, 0], &v4)),
        ("cooked 2, v6", LinkType::LinuxSll2, sll2([0x86, 0xdd], &v6)),
        ("null, little endian", LinkType::Null, joined(&[&[2, 0, 0, 0], &v4])),
        ("null, big endian", LinkType::Null, joined(&[&[0, 0, 0, 2], &v4])),
        ("null, v6 of macOS", LinkType::Null, joined(&[&[30, 0, 0, 0], &v6])),
        ("null, v6 of NetBSD", LinkType::Null, joined(&[&[24, 0, 0, 0], &v6])),
        ("null, v6 of FreeBSD", LinkType::Null, joined(&[&[0, 0, 0, 28], &v6])),
        ("loop, v6 of Linux", LinkType::Loop, joined(&[&[0, 0, 0, 10], &v6])),
    ] {
        check(name, link, &data, b"hello");
    }
}

#[test]
fn the_first_two_vlan_ids_are_kept_and_priority_tags_are_none() {
    let v4 = segment(false, b"x").ip();
    for (name, tags, want) in [
        ("one", &[(0x8100_u16, 0x6005_u16)][..], [Some(5), None]),
        ("two", &[(0x88a8, 7), (0x8100, 8)], [Some(7), Some(8)]),
        ("three", &[(0x9100, 1), (0x8100, 2), (0x8100, 3)], [Some(1), Some(2)]),
        ("priority, then one", &[(0x8100, 0xe000), (0x8100, 4)], [Some(4), None]),
    ] {
        let mut rest = Vec::new();
        for (i, (_, id)) in tags.iter().enumerate() {
            rest.extend(id.to_be_bytes());
            rest.extend(tags.get(i + 1).map_or(0x0800, |(kind, _)| *kind).to_be_bytes());
        }
        rest.extend(&v4);
        let packet = check(name, LinkType::Ethernet, &ethernet(tags[0].0, &rest), b"x");
        assert_eq!(packet.vlan.map(|id| id.map(NonZeroU16::get)), want, "{name}");
        assert_eq!(packet.src_mac, Some([2; 6]), "{name}");
    }
}

#[test]
fn lengths_decide_where_the_payload_ends() {
    let v4 = segment(false, b"hello").ip();
    let v6 = segment(true, b"hello").ip();
    let mut offloaded = v4.clone();
    offloaded[2..4].copy_from_slice(&[0, 0]);
    let mut offloaded6 = v6.clone();
    offloaded6[4..6].copy_from_slice(&[0, 0]);
    let mut options = v4.clone();
    options.splice(20..20, [1; 8]);
    options[0] = 0x47;
    options[3] += 8;
    for (name, data) in [
        ("padding of a short frame", joined(&[&v4, &[0; 9]])),
        ("padding behind IPv6", joined(&[&v6, &[7; 3]])),
        ("total length of 0", offloaded),
        ("payload length of 0", offloaded6),
        ("IPv4 options", options),
    ] {
        check(name, LinkType::Raw, &data, b"hello");
    }
}

#[test]
fn tcp_options_are_skipped() {
    let mut data = segment(false, b"hello").ip();
    data.splice(40..40, [1; 12]);
    data[32] = 0x80;
    data[3] += 12;
    let packet = decode(&frame(LinkType::Raw, &data)).unwrap();
    assert_eq!((packet.payload, packet.transport_bytes), (52..57, 20..57));
}

#[test]
fn what_the_snaplen_cut_is_told_apart_from_what_was_sent() {
    let whole = segment(false, b"hello").ip();
    for (keep, payload, wire_payload) in [(43, 40..43, 5), (40, 40..40, 5)] {
        let mut frame = frame(LinkType::Raw, &whole[..keep]);
        frame.wire_len = 45;
        let packet = decode(&frame).unwrap();
        assert_eq!((packet.payload.clone(), packet.wire_payload), (payload, wire_payload));
        assert_eq!(tcp_checksum_ok(&packet, frame.data), None);
    }
    let mut options = whole.clone();
    options[32] = 0x60;
    let packet = decode(&Frame { wire_len: 45, ..frame(LinkType::Raw, &options[..42]) }).unwrap();
    assert_eq!((packet.payload.clone(), packet.wire_payload), (42..42, 1), "cut inside the TCP options");
    assert_eq!(tcp_checksum_ok(&packet, &options[..42]), None);
    for keep in 0..40 {
        let cut = Frame { wire_len: 45, ..frame(LinkType::Raw, &whole[..keep]) };
        assert_eq!(decode(&cut), Err(Undecoded::Truncated), "{keep}");
    }
}

#[test]
fn a_length_beyond_a_frame_that_was_captured_whole_is_a_decoy() {
    // Where the length field is, and what it says when it is right.
    for (v6, field, right) in [(false, 2, 45_u16), (true, 4, 25)] {
        let whole = segment(v6, b"hello").ip();
        let len = u32::try_from(whole.len()).unwrap();
        for (name, claims, missing, want) in [
            ("all of it", right, 0, Ok((5, 5))),
            ("less, the rest is padding", right - 2, 0, Ok((3, 3))),
            ("nothing, as offloading leaves it", 0, 0, Ok((5, 5))),
            ("nothing, and cut", 0, 7, Ok((5, 12))),
            ("a byte more than there is", right + 1, 0, Err("bad_header")),
            ("the most there can be", u16::MAX, 0, Err("bad_header")),
            ("more than was captured", right + 7, 7, Ok((5, 12))),
            ("more than was captured, whatever was on the wire", right + 8, 7, Ok((5, 13))),
        ] {
            let mut data = whole.clone();
            data[field..field + 2].copy_from_slice(&claims.to_be_bytes());
            for wire_len in if missing == 0 { vec![len, 0, len - 1] } else { vec![len + missing] } {
                let got = decode(&Frame { wire_len, ..frame(LinkType::Raw, &data) });
                let got = got.map(|p| (p.payload.end - p.payload.start, p.wire_payload)).map_err(Undecoded::reason);
                assert_eq!(got, want, "{name}, v6 {v6}, wire {wire_len}");
            }
        }
    }
}

#[test]
fn udp_length_bounds_the_payload_and_0_means_all() {
    for (len, want) in [(8 + 3_u16, 3), (0, 5), (200, 5)] {
        let mut data = segment(false, b"").ip();
        data.truncate(20);
        data[9] = 17;
        data[3] = 20 + 8 + 5;
        data.extend([0, 9, 0, 80]);
        data.extend(len.to_be_bytes());
        data.extend(b"\0\0hello");
        let packet = decode(&frame(LinkType::Raw, &data)).unwrap();
        assert_eq!((packet.wire_payload, packet.payload), (want, 28..28 + want));
        assert_eq!((packet.tuple.transport, packet.tcp), (Transport::Udp, None));
    }
}

#[test]
fn ipv6_extension_headers_are_walked() {
    let tcp = &segment(true, b"hello").ip()[40..];
    let options = [0, 0, 1, 4, 0, 0, 0, 0];
    let then = |next: u8, header: &[u8]| {
        let mut header = header.to_vec();
        header[0] = next;
        header
    };
    for (name, first, headers) in [
        ("hop by hop", 0, then(6, &options)),
        ("routing", 43, then(6, &options)),
        ("destination options", 60, then(6, &options)),
        ("mobility", 135, then(6, &options)),
        ("authentication", 51, then(6, &[0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("atomic fragment", 44, then(6, &[0, 0, 0, 0, 0, 0, 0, 1])),
        ("two", 0, joined(&[&then(60, &options), &then(6, &options)])),
        ("a long one", 60, joined(&[&[6, 2], &[0; 22]])),
    ] {
        check(name, LinkType::Raw, &extended(first, &headers, tcp), b"hello");
    }
    let many: Vec<u8> = std::iter::repeat_n([60, 0, 1, 4, 0, 0, 0, 0], 33).flatten().collect();
    let frame = extended(60, &many, tcp);
    assert_eq!(decode(&super::tests::frame(LinkType::Raw, &frame)), Err(Undecoded::TooManyHeaders));
}

#[test]
fn what_is_not_tcp_or_udp_has_a_reason() {
    let v4 = segment(false, b"hello").ip();
    let with = |at: usize, value: u8| {
        let mut data = v4.clone();
        data[at] = value;
        data
    };
    let eth = LinkType::Ethernet;
    let fragment6 = extended(44, &[6, 0, 0, 1, 0, 0, 0, 1], &[0; 20]);
    for (link, data, want) in [
        (LinkType::Other(147), v4.clone(), "link_type"),
        (eth, ethernet(0x0806, &[0; 28]), "not_ip"),
        (eth, ethernet(0x88cc, &[0; 28]), "not_ip"),
        (eth, ethernet(38, &[0x42, 0x42, 3, 0, 0, 0, 0, 0]), "not_ip"),
        (eth, ethernet(0x1234, &[]), "ethertype"),
        (eth, ethernet(0x88e7, &[]), "pbb"),
        (eth, ethernet(0x0800, &segment(true, b"").ip()), "ip_version"),
        (eth, ethernet(0x8100, &[0, 1]), "truncated"),
        (eth, ethernet(0x8100, &[0x81, 0, 0x81, 0].repeat(9)), "too_many_headers"),
        (eth, vec![0; 13], "truncated"),
        (LinkType::Null, vec![7, 0, 0, 0], "not_ip"),
        (LinkType::Null, vec![1, 2, 3, 4], "not_ip"),
        (LinkType::Raw, vec![], "truncated"),
        (LinkType::Raw, vec![0x55; 40], "ip_version"),
        (LinkType::Raw, with(0, 0x44), "bad_header"),
        (LinkType::Raw, with(3, 19), "bad_header"),
        (LinkType::Raw, with(3, 39), "bad_header"),
        (LinkType::Raw, with(32, 0x40), "bad_header"),
        (LinkType::Raw, with(32, 0xf0), "bad_header"),
        (LinkType::Raw, with(6, 0x20), "fragment"),
        (LinkType::Raw, with(7, 3), "fragment"),
        (LinkType::Raw, with(9, 50), "esp"),
        (LinkType::Raw, with(9, 97), "etherip"),
        (LinkType::Raw, with(9, 115), "l2tp"),
        (LinkType::Raw, with(9, 1), "not_tcp_udp"),
        (LinkType::Raw, with(9, 132), "not_tcp_udp"),
        (LinkType::Raw, with(9, 0), "not_tcp_udp"),
        (LinkType::Raw, fragment6, "fragment"),
        (LinkType::Raw, extended(59, &[], &[]), "not_tcp_udp"),
        (LinkType::Raw, extended(58, &[], &[0; 8]), "not_tcp_udp"),
        (LinkType::Raw, extended(60, &[6, 9, 0, 0, 0, 0, 0, 0], &[]), "bad_header"),
    ] {
        assert_eq!(decode(&frame(link, &data)).map_err(Undecoded::reason), Err(want), "{link:?} {data:?}");
    }
}

#[test]
fn a_wrong_checksum_shows_whatever_the_length() {
    for v6 in [false, true] {
        for len in [0, 1, 2, 3, 4, 5, 1460, 1461] {
            let payload = vec![0xab; len];
            for (sum, want) in [(Sum::Right, true), (Sum::Wrong, false), (Sum::Partial, false)] {
                let data = Segment { sum, ..segment(v6, &payload) }.frame();
                let packet = decode(&frame(LinkType::Ethernet, &data)).unwrap();
                assert_eq!(tcp_checksum_ok(&packet, &data), Some(want), "{v6} {len} {sum:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_frame_makes_the_decoder_point_outside_of_it(
        link in 0_u16..300,
        mut data in proptest::collection::vec(any::<u8>(), 0..120),
        base in proptest::option::of(any::<bool>()),
        changes in proptest::collection::vec((0_usize..80, any::<u8>()), 0..6),
    ) {
        if let Some(v6) = base {
            data = segment(v6, b"some payload").frame();
            for (at, value) in changes {
                if let Some(byte) = data.get_mut(at) {
                    *byte = value;
                }
            }
        }
        for link in [LinkType::from_number(link), LinkType::Ethernet, LinkType::Raw] {
            crate::fuzz::check_decode(&frame(link, &data));
        }
    }
}

proptest! {
    #[test]
    fn the_short_way_says_what_the_long_way_says(
        payload in proptest::collection::vec(any::<u8>(), 0..40),
        changes in proptest::collection::vec((12..54_usize, prop_oneof![any::<u8>(), Just(0x45), Just(0x50)]), 0..3),
        cut in prop_oneof![3 => Just(0_usize), 1 => 0..60_usize],
        hidden in prop_oneof![3 => Just(0_u32), 1 => 0..60_u32],
        padding in 0..9_usize,
    ) {
        let mut data = segment(false, &payload).frame();
        for (at, byte) in changes {
            data[at] = byte;
        }
        data.resize(data.len() + padding, 0);
        data.truncate(data.len() - cut.min(data.len()));
        let mut frame = frame(LinkType::Ethernet, &data);
        frame.wire_len += hidden;
        prop_assert_eq!(decode(&frame), Layers::new(&frame, None).ethernet(0));
    }
}
