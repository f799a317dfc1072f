#![allow(clippy::cast_possible_truncation, reason = "sizes in tests are small")]

use super::fuzz::{Item, Seen, fuzz_websocket, read};
use super::{Anomaly, Decoder, Deflate, Fault, Kind, negotiated, plausible_start};
use crate::EndKind;
use crate::coding::{Budget, Limits};
use flate2::{Compress, Compression, FlushCompress};
use net::Direction::{self, ToClient, ToServer};
use proptest::collection::vec;
use proptest::prelude::*;

const TAKEOVER: Deflate = Deflate { no_context_takeover: false, window_bits: 15 };
const FRESH: Deflate = Deflate { no_context_takeover: true, window_bits: 15 };

fn payload(text: &str) -> Item {
    Item::Payload(text.as_bytes().to_vec())
}

fn text(content: &str) -> [Item; 2] {
    [payload(content), Item::End(Kind::Text)]
}

/// A frame; `first` is its first byte.
fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        n @ 0..=125 => frame.push(bit | n as u8),
        n @ 126..=0xffff => {
            frame.push(bit | 0x7e);
            frame.extend((n as u16).to_be_bytes());
        }
        n => {
            frame.push(bit | 0x7f);
            frame.extend((n as u64).to_be_bytes());
        }
    }
    frame.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
    frame.extend(payload.iter().zip(mask.unwrap_or_default().iter().cycle()).map(|(b, m)| b ^ m));
    frame
}

/// What a sender with context does to its messages (RFC 7692 §7.2.1).
struct Deflater(Compress, bool);

impl Deflater {
    fn new(deflate: Deflate) -> Self {
        Self(Compress::new(Compression::default(), false), deflate.no_context_takeover)
    }

    fn message(&mut self, content: &[u8]) -> Vec<u8> {
        if self.1 {
            self.0.reset();
        }
        if content.is_empty() {
            // zlib gives nothing for a second flush in a row; the RFC wants an empty block (RFC 7692 §7.2.3.6).
            return vec![0];
        }
        let mut out = Vec::with_capacity(content.len() + 100);
        self.0.compress_vec(content, &mut out, FlushCompress::Sync).unwrap();
        assert_eq!(out.split_off(out.len() - 4), [0, 0, 0xff, 0xff]);
        out
    }
}

#[track_caller]
fn check(name: &str, from: Direction, deflate: Option<Deflate>, wire: &[u8], want: &[Item]) {
    for size in [wire.len().max(1), 1, 3] {
        let (seen, _, _) = read(from, deflate, &Limits::default(), wire.chunks(size));
        assert_eq!(seen, want, "{name}, in pieces of {size}");
    }
}

#[test]
fn frames_are_read_as_rfc_6455_shows_them() {
    check("unmasked text", ToClient, None, b"\x81\x05Hello", &text("Hello"));
    check("masked text", ToServer, None, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", &text("Hello"));
    check("fragments", ToClient, None, b"\x01\x03Hel\x80\x02lo", &text("Hello"));
    check("ping", ToClient, None, b"\x89\x05Hello", &[Item::Control(9, b"Hello".to_vec())]);
    check(
        "pong",
        ToServer,
        None,
        b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        &[Item::Control(10, b"Hello".to_vec())],
    );
    for n in [256, 65536] {
        let content = vec![7; n];
        check(
            "binary",
            ToClient,
            None,
            &frame(0x82, None, &content),
            &[Item::Payload(content), Item::End(Kind::Binary)],
        );
    }
}

#[test]
fn compressed_messages_are_read_as_rfc_7692_shows_them() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let again = b"\xf2\x00\x11\x00\x00";
    let both = |first: &[u8], second: &[u8]| [frame(0xc1, None, first), frame(0xc1, None, second)].concat();
    let hellos = [text("Hello"), text("Hello")].concat();
    check("one frame", ToClient, Some(TAKEOVER), &frame(0xc1, None, hello), &text("Hello"));
    check("fragments", ToClient, Some(TAKEOVER), b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00", &text("Hello"));
    check("the window is kept", ToClient, Some(TAKEOVER), &both(hello, again), &hellos);
    check("the window is not kept", ToClient, Some(FRESH), &both(hello, hello), &hellos);
    check(
        "a block without compression",
        ToClient,
        Some(TAKEOVER),
        b"\xc1\x0b\x00\x05\x00\xfa\xffHello\x00",
        &text("Hello"),
    );
    check("a last block", ToClient, Some(TAKEOVER), b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00", &text("Hello"));
    check(
        "two blocks",
        ToClient,
        Some(TAKEOVER),
        b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        &text("Hello"),
    );
    check(
        "nothing",
        ToClient,
        Some(TAKEOVER),
        b"\xc1\x01\x00\x81\x01a",
        &[vec![Item::End(Kind::Text)], text("a").to_vec()].concat(),
    );
    // The second begins with a literal, which can be read.
    let bad = [payload("H"), Item::Anomaly(Anomaly::Undecodable), Item::Lost(0), Item::End(Kind::Text)];
    check(
        "a window that was not kept",
        ToClient,
        Some(FRESH),
        &both(hello, again),
        &[&text("Hello")[..], &bad].concat(),
    );
}

#[test]
fn oddities_are_told_and_read_past() {
    use Anomaly::{
        AfterClose, BadControl, Interrupted, LongLength, Masked, ReservedBits, ReservedOpcode, Stray, Undecodable,
        Unmasked,
    };
    let anomaly = Item::Anomaly;
    let with = |what, rest: &[Item]| [&[anomaly(what)], rest].concat();
    check("unmasked client", ToServer, None, b"\x81\x01a", &with(Unmasked, &text("a")));
    check("masked server", ToClient, None, b"\x81\x81\0\0\0\0a", &with(Masked, &text("a")));
    check("length in 2 bytes", ToClient, None, b"\x81\x7e\0\x01a", &with(LongLength, &text("a")));
    check("length in 8 bytes", ToClient, None, b"\x81\x7f\0\0\0\0\0\0\0\x01a", &with(LongLength, &text("a")));
    check("rsv2", ToClient, Some(TAKEOVER), b"\xa1\x01a", &with(ReservedBits, &text("a")));
    check(
        "rsv1 without extension",
        ToClient,
        None,
        b"\xc1\x01a\x81\x01b",
        &[&[anomaly(ReservedBits), anomaly(Undecodable), Item::Lost(1), Item::End(Kind::Text)], &text("b")[..]]
            .concat(),
    );
    check(
        "rsv1 on a control frame",
        ToClient,
        Some(TAKEOVER),
        b"\xc9\x01a",
        &with(ReservedBits, &[Item::Control(9, vec![b'a'])]),
    );
    check(
        "reserved opcodes",
        ToClient,
        None,
        b"\x83\x01a\x8b\x01a\x81\x01b",
        &[&[anomaly(ReservedOpcode), anomaly(ReservedOpcode)], &text("b")[..]].concat(),
    );
    check("stray continuation", ToClient, None, b"\x80\x01a\x81\x01b", &with(Stray, &text("b")));
    check(
        "a message in another",
        ToClient,
        None,
        b"\x01\x01a\x81\x01b",
        &[&[payload("a"), anomaly(Interrupted), Item::Lost(0), Item::End(Kind::Text)], &text("b")[..]].concat(),
    );
    check("fragmented ping", ToClient, None, b"\x09\x01a", &with(BadControl, &[Item::Control(9, vec![b'a'])]));
    check(
        "long ping",
        ToClient,
        None,
        &frame(0x89, None, &[1; 200]),
        &with(BadControl, &[Item::Control(9, vec![1; 125])]),
    );
    check(
        "data after close",
        ToClient,
        None,
        b"\x88\x02\x03\xe8\x81\x01a",
        &[&[Item::Control(8, vec![3, 0xe8]), anomaly(AfterClose)], &text("a")[..]].concat(),
    );
    check(
        "control frames inside a message",
        ToClient,
        None,
        b"\x01\x01a\x89\x00\x00\x01b\x8a\x01x\x80\x00",
        &[payload("a"), Item::Control(9, vec![]), payload("b"), Item::Control(10, vec![b'x']), Item::End(Kind::Text)],
    );
}

#[test]
fn an_impossible_length_ends_the_direction() {
    let wire = b"\x81\x7f\x80\0\0\0\0\0\0\0abc";
    let (seen, end, _) = read(ToClient, None, &Limits::default(), [&wire[..], b"\x81\x01a"]);
    assert_eq!((seen, end), (vec![], Err(Fault::Length)));
}

#[test]
fn the_end_is_complete_only_between_messages() {
    for (wire, want) in [
        (&b""[..], EndKind::Complete),
        (b"\x81\x01a", EndKind::Complete),
        (b"\x01\x01a", EndKind::Cut),
        (b"\x81\x02a", EndKind::Cut),
        (b"\x81", EndKind::Cut),
        (b"\x01\x01a\x88\x00", EndKind::Complete),
    ] {
        assert_eq!(read(ToClient, None, &Limits::default(), [wire]).1, Ok(want), "{wire:?}");
    }
}

#[test]
fn a_gap_inside_a_payload_keeps_the_place_and_the_mask() {
    let wire = frame(0x81, Some([1, 2, 3, 4]), b"0123456789");
    let (mut decoder, mut seen) = (Decoder::new(ToServer, None), Seen::default());
    let limits = Limits::default();
    decoder.feed(&limits, &wire[..8], &mut seen).unwrap();
    decoder.gap(5, &mut seen).unwrap();
    decoder.feed(&limits, &wire[13..], &mut seen).unwrap();
    assert_eq!(seen.0, [payload("01"), Item::Lost(5), payload("789"), Item::End(Kind::Text)]);
    assert_eq!(decoder.stats().incomplete, 1);
    assert_eq!(decoder.stats().lost_bytes, 5);

    // To the very end of the frame.
    let mut seen = Seen::default();
    decoder.feed(&limits, &wire[..8], &mut seen).unwrap();
    decoder.gap(8, &mut seen).unwrap();
    assert_eq!(seen.0, [payload("01"), Item::Lost(8), Item::End(Kind::Text)]);

    // In a control frame, inside a compressed message: nothing of the message is lost.
    let (mut decoder, mut seen) = (Decoder::new(ToClient, Some(TAKEOVER)), Seen::default());
    decoder.feed(&limits, b"\x41\x03\xf2\x48\xcd\x89\x04p", &mut seen).unwrap();
    decoder.gap(2, &mut seen).unwrap();
    decoder.feed(&limits, b"g\x80\x04\xc9\xc9\x07\x00", &mut seen).unwrap();
    assert_eq!(seen.0.iter().filter(|item| matches!(item, Item::Lost(_))).count(), 0);
    assert!(seen.0.contains(&Item::Control(9, b"p".to_vec())));
    assert_eq!(seen.0.last(), Some(&Item::End(Kind::Text)));
}

#[test]
fn a_gap_over_a_header_ends_the_direction() {
    for (before, n) in [(&b"\x81\x02a"[..], 2), (b"\x81\x02a", 0), (b"\x81", 1), (b"", 1)] {
        let (mut decoder, mut seen) = (Decoder::new(ToClient, None), Seen::default());
        decoder.feed(&Limits::default(), before, &mut seen).unwrap();
        assert_eq!(decoder.gap(n, &mut seen), Err(Fault::FramingLost), "{before:?} {n}");
        assert_eq!(decoder.feed(&Limits::default(), b"\x81\x01a", &mut seen), Err(Fault::FramingLost));
        assert!(!seen.0.contains(&Item::End(Kind::Text)));
    }
}

#[test]
fn after_a_gap_only_a_fresh_window_reads_compressed_messages_again() {
    for deflate in [TAKEOVER, FRESH] {
        let mut sender = Deflater::new(deflate);
        let first = frame(0xc1, None, &sender.message(b"first message"));
        let rest = [frame(0xc1, None, &sender.message(b"second message")), frame(0x81, None, b"plain")].concat();
        let (mut decoder, mut seen) = (Decoder::new(ToClient, Some(deflate)), Seen::default());
        decoder.feed(&Limits::default(), &first[..6], &mut seen).unwrap();
        decoder.gap(2, &mut seen).unwrap();
        decoder.feed(&Limits::default(), &first[8..], &mut seen).unwrap();
        seen.0.clear();
        decoder.feed(&Limits::default(), &rest, &mut seen).unwrap();
        assert_eq!(seen.0.contains(&payload("second message")), deflate.no_context_takeover);
        assert!(seen.0.contains(&payload("plain")));
        assert_eq!(decoder.stats().incomplete, if deflate.no_context_takeover { 1 } else { 2 });
    }
}

#[test]
fn a_message_that_inflates_without_end_stops_at_the_limit() {
    let bomb = Deflater::new(FRESH).message(&vec![0; 1 << 22]);
    let wire = [frame(0xc2, None, &bomb), frame(0xc1, None, &Deflater::new(FRESH).message(b"next"))].concat();
    let limits = Limits { max_output: 1 << 20, ..Limits::default() };
    for (deflate, next) in [(FRESH, true), (TAKEOVER, false)] {
        let (seen, _, stats) = read(ToClient, Some(deflate), &limits, wire.chunks(100));
        assert_eq!(seen[0], Item::Payload(vec![0; 1 << 20]));
        assert_eq!(seen[1..4], [Item::Anomaly(Anomaly::Undecodable), Item::Lost(0), Item::End(Kind::Binary)]);
        assert_eq!(seen.contains(&payload("next")), next);
        assert_eq!((stats.messages, stats.compressed), (2, 2));
    }
}

#[test]
fn inflaters_are_on_the_account_and_only_while_they_are_needed() {
    let budget = Budget::new(50 << 10);
    let hello = frame(0xc1, None, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    let mut one = Decoder::with_budget(ToClient, Some(TAKEOVER), budget.clone());
    let mut two = Decoder::with_budget(ToClient, Some(FRESH), budget.clone());
    assert_eq!(budget.live_bytes(), 0);
    two.feed(&Limits::default(), &hello, &mut Seen::default()).unwrap();
    assert_eq!(budget.live_bytes(), 0);
    one.feed(&Limits::default(), &hello, &mut Seen::default()).unwrap();
    assert_eq!(budget.live_bytes(), 48 << 10);
    let mut seen = Seen::default();
    two.feed(&Limits::default(), &hello, &mut seen).unwrap();
    assert_eq!(seen.0, [Item::Anomaly(Anomaly::Undecodable), Item::Lost(7), Item::End(Kind::Text)]);
    assert_eq!(budget.refused(), 1);
    drop(one);
    assert_eq!(budget.live_bytes(), 0);
}

#[test]
fn the_extension_is_read_from_the_answer() {
    let deflate = |no_context_takeover, window_bits| Deflate { no_context_takeover, window_bits };
    for (header, want) in [
        ("permessage-deflate", Some((TAKEOVER, TAKEOVER))),
        ("Permessage-Deflate ; Server_No_Context_Takeover", Some((TAKEOVER, FRESH))),
        (
            "x, permessage-deflate;client_no_context_takeover;client_max_window_bits=10",
            Some((deflate(true, 10), TAKEOVER)),
        ),
        ("permessage-deflate; server_max_window_bits=\"8\"", Some((TAKEOVER, deflate(false, 8)))),
        ("permessage-deflate; server_max_window_bits=99; z=1", Some((TAKEOVER, TAKEOVER))),
        ("x-webkit-deflate-frame", None),
        ("", None),
    ] {
        assert_eq!(negotiated(header), want, "{header}");
    }
}

#[test]
fn a_start_is_plausible_only_if_nothing_in_it_is_forbidden() {
    for (name, bytes, masked, want) in [
        ("server text", &b"\x81\x05Hello"[..], false, true),
        ("server text as a client's", b"\x81\x05Hello", true, false),
        ("client text", b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", true, true),
        ("cut payload", b"\x81\x85\x37\xfa\x21\x3d\x7f", true, true),
        ("compressed", b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", false, true),
        ("two frames", b"\x89\x00\x81\x01a\x81", false, true),
        ("text that is none", b"\x81\x02\xff\xff", false, false),
        ("text cut inside a character", b"\x81\x05\xc3", false, true),
        ("a second frame that is none", b"\x81\x01aHTTP/1.1", false, false),
        ("half a header", b"\x81", false, false),
        ("a request", b"GET / HTTP/1.1", false, false),
        ("a TLS record", b"\x16\x03\x01\x02\x00", false, false),
        ("long length", b"\x81\x7e\x00\x01a", false, false),
        ("long ping", b"\x89\x7e\x01\x00", false, false),
    ] {
        assert_eq!(plausible_start(bytes, masked), want, "{name}");
    }
}

#[derive(Clone, Debug)]
struct Sent {
    content: Vec<u8>,
    binary: bool,
    compressed: bool,
    frames: usize,
    ping: bool,
    mask: Option<[u8; 4]>,
}

fn sent() -> impl Strategy<Value = Sent> {
    let content = prop_oneof![
        vec(any::<u8>(), 0..300),
        vec(prop_oneof![Just(b'a'), Just(b'b')], 0..70_000),
        vec(prop_oneof![Just("{\"jsonrpc\":"), Just("\"2.0\""), Just("}")], 0..50)
            .prop_map(|v| v.concat().into_bytes()),
    ];
    (content, any::<bool>(), any::<bool>(), 1_usize..5, any::<bool>(), any::<Option<[u8; 4]>>()).prop_map(
        |(content, binary, compressed, frames, ping, mask)| Sent { content, binary, compressed, frames, ping, mask },
    )
}

fn wire_of(sent: &[Sent], deflate: Deflate) -> Vec<u8> {
    let mut sender = Deflater::new(deflate);
    let mut wire = Vec::new();
    for message in sent {
        let body = if message.compressed { sender.message(&message.content) } else { message.content.clone() };
        let size = body.len().div_ceil(message.frames).max(1);
        let mut pieces: Vec<_> = body.chunks(size).collect();
        pieces.resize(message.frames, &[]);
        for (i, piece) in pieces.iter().enumerate() {
            let opcode = if i > 0 {
                0
            } else if message.binary {
                2
            } else {
                1
            };
            let rsv1 = if message.compressed && i == 0 { 0x40 } else { 0 };
            let fin = if i + 1 == message.frames { 0x80 } else { 0 };
            wire.extend(frame(fin | rsv1 | opcode, message.mask, piece));
            if message.ping {
                wire.extend(frame(0x89, message.mask, b"ping"));
            }
        }
    }
    wire
}

/// Cuts `bytes` into pieces of the lengths `sizes`, and a last one.
fn cut<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut pieces: Vec<_> = sizes.iter().map(|n| rest.split_off(..(*n).min(rest.len())).unwrap()).collect();
    pieces.push(rest);
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_sent_is_read_however_it_is_cut(
        sent in vec(sent(), 0..5),
        fresh in any::<bool>(),
        sizes in vec(1_usize..3000, 0..60),
    ) {
        let deflate = if fresh { FRESH } else { TAKEOVER };
        let wire = wire_of(&sent, deflate);
        let (seen, end, stats) = read(ToServer, Some(deflate), &Limits::default(), cut(&wire, &sizes));
        prop_assert_eq!(end, Ok(EndKind::Complete));
        prop_assert_eq!(stats.incomplete, 0);
        prop_assert_eq!(stats.messages, sent.len() as u64);
        let mut content = Vec::new();
        let mut messages = Vec::new();
        for item in seen {
            match item {
                Item::Payload(bytes) => content.extend(bytes),
                Item::End(kind) => messages.push((std::mem::take(&mut content), kind == Kind::Binary)),
                Item::Control(opcode, bytes) => prop_assert_eq!((opcode, &bytes[..]), (9, &b"ping"[..])),
                other => prop_assert_eq!(other, Item::Anomaly(Anomaly::Unmasked)),
            }
        }
        prop_assert_eq!(messages, sent.into_iter().map(|m| (m.content, m.binary)).collect::<Vec<_>>());
    }

    #[test]
    fn broken_bytes_are_read_the_same_however_they_are_cut(
        sent in vec(sent(), 1..4),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<u8>(),
        mode in any::<u8>(),
    ) {
        let mut data = vec![cut, mode];
        data.extend(wire_of(&sent, if mode & 4 != 0 { FRESH } else { TAKEOVER }));
        data.truncate(6000);
        for (at, value) in flips {
            let at = at.index(data.len());
            data[at] = value;
        }
        fuzz_websocket(&data);
    }

    #[test]
    fn no_bytes_break_the_decoder(data in vec(any::<u8>(), 0..200)) {
        fuzz_websocket(&data);
    }
}
