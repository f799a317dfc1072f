//! Each carrier, built as its standard has it, around the same packet.

use super::{check, ethernet, extended, frame, joined, segment};
use crate::decode::{carrier_by_port, tunnel_path};
use crate::{FiveTuple, Frame, LinkType, MAX_TUNNELS, Transport, Tunnel, Undecoded, decode};

/// `payload` of protocol `kind` in IPv4 between two routers.
fn v4(kind: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + payload.len()).unwrap();
    let mut out = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, kind, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    out[2..4].copy_from_slice(&len.to_be_bytes());
    out.extend(payload);
    out
}

/// A datagram to `port`.
fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0xc0, 0];
    out.extend(port.to_be_bytes());
    out.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    out.extend([0, 0]);
    out.extend(payload);
    v4(17, &out)
}

fn vxlan(vni: u8, inner: &[u8]) -> Vec<u8> {
    udp(4789, &joined(&[&[8, 0, 0, 0, 0, 0, vni, 0], inner]))
}

fn words(frame: &Frame<'_>) -> Vec<String> {
    tunnel_path(frame).steps().map(|step| step.to_string()).collect()
}

/// Every carrier, its name in events, and the bytes of a raw IP packet or, where `Ethernet`, of a frame.
fn all() -> Vec<(&'static str, &'static [&'static str], LinkType, Vec<u8>)> {
    let ip = segment(false, b"hello").ip();
    let ip6 = segment(true, b"hello").ip();
    let eth = segment(false, b"hello").frame();
    let gre = |flags: u8, kind: u16, options: &[u8], inner: &[u8]| {
        v4(47, &joined(&[&[flags, 0], &kind.to_be_bytes(), options, inner]))
    };
    let geneve = |first: u8, kind: u16, options: &[u8], inner: &[u8]| {
        udp(6081, &joined(&[&[first, 0], &kind.to_be_bytes(), &[0, 0, 9, 0], options, inner]))
    };
    let labels = |labels: &[u8], inner: &[u8]| ethernet(0x8847, &joined(&[labels, inner]));
    let pppoe = |protocol: &[u8], inner: &[u8]| {
        let len = u16::try_from(protocol.len() + inner.len()).unwrap();
        ethernet(0x8864, &joined(&[&[0x11, 0, 0, 17], &len.to_be_bytes(), protocol, inner, &[0; 5]]))
    };
    let erspan3 = |kind: u8, options: &[u8], inner: &[u8]| {
        let last = u8::from(!options.is_empty());
        let head = [0x20, 5, 0, 10, 0, 0, 0, 0, 0, 0, kind << 2, last];
        gre(0x10, 0x22eb, &joined(&[&[0, 0, 0, 1], &head, options]), inner)
    };
    let bottom = [0, 0x10, 0x01, 64];
    let (raw, link) = (LinkType::Raw, LinkType::Ethernet);
    vec![
        ("ip in ip", &["ipip"], raw, v4(4, &ip)),
        ("6in4", &["6in4"], raw, v4(41, &ip6)),
        ("4in6", &["4in6"], raw, extended(4, &[], &ip)),
        ("6in6", &["6in6"], raw, extended(41, &[], &ip6)),
        ("6in6 behind destination options", &["6in6"], raw, extended(60, &[41, 0, 4, 1, 4, 1, 1, 0], &ip6)),
        ("gre", &["gre"], raw, gre(0, 0x0800, &[], &ip)),
        ("gre, v6", &["gre"], raw, gre(0, 0x86dd, &[], &ip6)),
        ("gre, checksum", &["gre"], raw, gre(0x80, 0x0800, &[1, 2, 0, 0], &ip)),
        ("gre, key", &["gre:66051"], raw, gre(0x20, 0x0800, &[0, 1, 2, 3], &ip)),
        ("gre, sequence", &["gre"], raw, gre(0x10, 0x0800, &[0, 0, 0, 9], &ip)),
        ("gre, all", &["gre:5"], raw, gre(0xb0, 0x0800, &[1, 2, 0, 0, 0, 0, 0, 5, 0, 0, 0, 9], &ip)),
        ("gre, ethernet", &["gre"], raw, gre(0, 0x6558, &[], &eth)),
        ("gre, labels", &["gre", "mpls"], raw, gre(0, 0x8847, &bottom, &ip)),
        ("erspan II", &["erspan:10"], raw, gre(0x10, 0x88be, &[0, 0, 0, 1, 0x10, 5, 0x18, 10, 0, 0, 0, 0], &eth)),
        ("erspan III", &["erspan:10"], raw, erspan3(0, &[], &eth)),
        ("erspan III, subheader", &["erspan:10"], raw, erspan3(0, &[0; 8], &eth)),
        ("erspan III, ip", &["erspan:10"], raw, erspan3(2, &[], &ip)),
        ("vxlan", &["vxlan:7"], raw, vxlan(7, &eth)),
        ("vxlan of linux", &["vxlan:7"], raw, udp(8472, &joined(&[&[8, 0, 0, 0, 0, 0, 7, 0], &eth]))),
        ("vxlan, group policy", &["vxlan:7"], raw, udp(4789, &joined(&[&[0x88, 8, 1, 2, 0, 0, 7, 0], &eth]))),
        ("vxlan, reserved bits", &["vxlan:7"], raw, udp(4789, &joined(&[&[0xff, 9, 1, 2, 0, 0, 7, 1], &eth]))),
        ("geneve", &["geneve:9"], raw, geneve(0, 0x6558, &[], &eth)),
        ("geneve, options", &["geneve:9"], raw, geneve(3, 0x6558, &[1; 12], &eth)),
        ("geneve, ip", &["geneve:9"], raw, geneve(0, 0x0800, &[], &ip)),
        ("geneve, v6", &["geneve:9"], raw, geneve(0, 0x86dd, &[], &ip6)),
        ("geneve, reserved bits", &["geneve:9"], raw, geneve(0, 0x0800, &[], &ip).tap(|p| p[29] = 0x3f)),
        ("mpls", &["mpls"], link, labels(&bottom, &ip)),
        ("mpls, v6", &["mpls"], link, labels(&bottom, &ip6)),
        ("mpls, three labels", &["mpls"], link, labels(&joined(&[&[0, 1, 0, 64, 0, 2, 0, 64], &bottom]), &ip)),
        ("mpls, pseudowire", &["mpls"], link, labels(&bottom, &eth)),
        ("mpls, pseudowire, control word", &["mpls"], link, labels(&bottom, &joined(&[&[0; 4], &eth]))),
        ("mpls, pseudowire, address of 4", &["mpls"], link, labels(&bottom, &eth.clone().tap(|e| e[0] = 0x46))),
        ("mpls, pseudowire, address of 6", &["mpls"], link, labels(&bottom, &eth.clone().tap(|e| e[0] = 0x62))),
        ("mpls in ip", &["mpls"], raw, v4(137, &joined(&[&bottom, &ip]))),
        ("pppoe", &["pppoe:17"], link, pppoe(&[0, 0x21], &ip)),
        ("pppoe, v6", &["pppoe:17"], link, pppoe(&[0, 0x57], &ip6)),
        ("pppoe, short protocol", &["pppoe:17"], link, pppoe(&[0x21], &ip)),
        ("vlan in vxlan in vlan", &["vxlan:7"], link, {
            let inner = ethernet(0x8100, &joined(&[&[0, 6, 8, 0], &ip]));
            ethernet(0x8100, &joined(&[&[0, 5, 8, 0], &vxlan(7, &inner)]))
        }),
        ("vxlan in gre in ip in mpls", &["mpls", "ipip", "gre", "vxlan:7"], link, {
            labels(&bottom, &v4(4, &gre(0, 0x0800, &[], &vxlan(7, &eth))))
        }),
    ]
}

trait Tap: Sized {
    fn tap(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Tap for Vec<u8> {}

#[test]
fn every_carrier_leads_to_the_same_payload_and_has_its_name() {
    for (name, path, link, data) in all() {
        let packet = check(name, link, &data, b"hello");
        assert_eq!(words(&frame(link, &data)), path, "{name}");
        assert!(!packet.tuple.tunnel.is_none(), "{name}");
        assert_eq!(packet.tuple.tunnel == Tunnel::NONE, path == ["mpls"], "{name}");
    }
}

#[test]
fn a_carrier_may_be_cut_anywhere() {
    for (name, _, link, data) in all() {
        for keep in 0..data.len() {
            let mut frame = frame(link, &data[..keep]);
            frame.wire_len = u32::try_from(data.len()).unwrap();
            let got = decode(&frame);
            // What a pseudowire holds cannot be told without its ethertype, nor VXLAN without its header.
            let fine = match &got {
                Ok(packet) if packet.tuple.dst.port() == 80 => {
                    packet.wire_payload == 5 && packet.payload.end as usize <= keep
                }
                Ok(packet) => packet.tuple.transport == Transport::Udp,
                Err(why) => matches!(why, Undecoded::Truncated | Undecoded::Carrier("mpls") | Undecoded::BadHeader),
            };
            assert!(fine, "{name}, {keep}: {got:?}");
            crate::fuzz::check_decode(&frame);
        }
    }
}

#[test]
fn an_inner_packet_that_a_mirror_cut_is_read_as_far_as_it_goes_and_no_decoy() {
    let eth = segment(false, b"hello").frame();
    let data = vxlan(7, &eth[..eth.len() - 3]);
    let packet = decode(&frame(LinkType::Raw, &data)).unwrap();
    assert_eq!((packet.payload.end - packet.payload.start, packet.wire_payload), (2, 5));
    // No mirror stands between routers.
    let ip = segment(false, b"hello").ip();
    let data = v4(4, &ip[..ip.len() - 3]);
    assert_eq!(decode(&frame(LinkType::Raw, &data)), Err(Undecoded::BadHeader));
}

#[test]
fn what_lies_behind_a_carriers_end_is_not_read() {
    // The outer length says that the inner packet has no room for its payload.
    let mut data = v4(4, &segment(false, b"hello").ip());
    data[3] -= 5;
    assert_eq!(decode(&frame(LinkType::Raw, &data)), Err(Undecoded::BadHeader));
    let mut data = v4(4, &segment(false, b"hello").ip());
    data[3] -= 20;
    assert_eq!(decode(&frame(LinkType::Raw, &data)), Err(Undecoded::BadHeader));
}

#[test]
fn tunnels_are_told_apart_by_number_or_by_their_ends_and_the_directions_are_one() {
    let eth = segment(false, b"x").frame();
    let ip = segment(false, b"x").ip();
    let swapped = |mut data: Vec<u8>| {
        let (low, high) = data[12..20].split_at_mut(4);
        low.swap_with_slice(high);
        data
    };
    let elsewhere = |mut data: Vec<u8>| {
        data[19] = 77;
        data
    };
    let tunnel = |data: &[u8]| decode(&frame(LinkType::Raw, data)).unwrap().tuple.tunnel;
    assert_ne!(tunnel(&vxlan(1, &eth)), tunnel(&vxlan(2, &eth)));
    assert_eq!(tunnel(&vxlan(1, &eth)), tunnel(&swapped(vxlan(1, &eth))));
    assert_eq!(tunnel(&vxlan(1, &eth)), tunnel(&elsewhere(vxlan(1, &eth))), "a mirror has ends of its own");
    let gre = |key: u8| v4(47, &joined(&[&[0x20, 0, 8, 0, 0, 0, 0, key], &ip]));
    assert_ne!(tunnel(&gre(1)), tunnel(&gre(2)));
    for data in [gre(1), v4(4, &ip), v4(47, &joined(&[&[0, 0, 8, 0], &ip]))] {
        assert_eq!(tunnel(&data), tunnel(&swapped(data.clone())));
        assert_ne!(tunnel(&data), tunnel(&elsewhere(data.clone())));
    }
    let labels = |label: u8| ethernet(0x8847, &joined(&[&[0, label, 1, 64], &ip]));
    let of = |data: &[u8]| decode(&frame(LinkType::Ethernet, data)).unwrap().tuple;
    assert_eq!(of(&labels(1)), of(&labels(2)), "labels belong to one direction");
    assert_eq!(of(&labels(1)), of(&ethernet(0x0800, &ip)), "and the last router takes them off");
}

#[test]
fn nesting_ends_at_its_limit() {
    let mut data = segment(false, b"hello").ip();
    for _ in 0..MAX_TUNNELS {
        data = v4(4, &data);
    }
    check("at the limit", LinkType::Raw, &data, b"hello");
    data = v4(4, &data);
    assert_eq!(decode(&frame(LinkType::Raw, &data)), Err(Undecoded::TooManyTunnels));
    assert_eq!(tunnel_path(&frame(LinkType::Raw, &data)).steps().count(), MAX_TUNNELS);
    let labels = ethernet(0x8847, &[0, 1, 0, 64].repeat(40));
    assert_eq!(decode(&frame(LinkType::Ethernet, &labels)), Err(Undecoded::TooManyHeaders));
}

#[test]
fn a_datagram_on_the_port_of_a_tunnel_may_be_another() {
    let dns = b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0\x01a\x04corp\0\0\x01\0\x01";
    let quic = [0x4f; 60];
    for port in [4789, 8472, 6081] {
        for payload in [&dns[..], &[][..], &quic, &[0xff; 40], b"\x08"] {
            let data = udp(port, payload);
            let packet = decode(&frame(LinkType::Raw, &data)).unwrap();
            assert_eq!((packet.tuple.dst.port(), packet.tuple.tunnel), (port, Tunnel::NONE), "{payload:?}");
            assert_eq!(packet.wire_payload as usize, payload.len());
            assert_eq!(words(&frame(LinkType::Raw, &data)), [""; 0]);
        }
    }
}

#[test]
fn what_is_not_opened_has_a_name() {
    let gre = |head: &[u8]| v4(47, &joined(&[head, &[0; 40]]));
    let arp = vxlan(7, &ethernet(0x0806, &[0; 28]));
    let (raw, link) = (LinkType::Raw, LinkType::Ethernet);
    for (link, data, want) in [
        (raw, gre(&[0, 0, 0x88, 0xbe]), "erspan_i"),
        (raw, gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 0, 0x70]), "erspan"),
        (raw, gre(&[0x20, 1, 0x88, 0x0b]), "pptp"),
        (raw, gre(&[0x40, 0, 8, 0]), "gre_routing"),
        (raw, gre(&[0, 2, 8, 0]), "bad_header"),
        (raw, gre(&[0, 0, 0x88, 0x3e]), "wccp"),
        (raw, gre(&[0, 0, 0x12, 0x34]), "ethertype"),
        (raw, arp, "not_ip"),
        (link, ethernet(0x8847, &[0, 0x10, 1, 64, 0x10, 0, 0, 0x21]), "not_ip"),
        (link, ethernet(0x8847, &[0, 0x10, 1, 64, 0xb0, 0, 0, 0x21]), "mpls"),
        (link, ethernet(0x8864, &[0x11, 0, 0, 1, 0, 4, 0xc0, 0x21, 0, 0]), "not_ip"),
        (link, ethernet(0x8864, &[0x11, 0, 0, 1, 0, 4, 0, 0x2b, 0, 0]), "ppp"),
        (link, ethernet(0x8864, &[0x21, 0, 0, 1, 0, 4, 0, 0x21, 0, 0]), "bad_header"),
        (link, ethernet(0x88e5, &[0; 20]), "macsec"),
        (link, ethernet(0x22f3, &[0; 20]), "trill"),
    ] {
        assert_eq!(decode(&frame(link, &data)).map_err(Undecoded::reason), Err(want), "{data:?}");
    }
    let between = |src: u16, dst: u16| {
        let host = "192.0.2.1".parse().unwrap();
        carrier_by_port(&FiveTuple::new(host, src, host, dst, Transport::Udp))
    };
    assert_eq!(between(50_000, 2152), Some("gtp_u"));
    assert_eq!(between(2152, 50_000), Some("gtp_u"));
    assert_eq!(between(50_000, 1701), Some("l2tp"));
    assert_eq!(between(50_000, 53), None);
}
