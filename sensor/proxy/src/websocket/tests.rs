#![allow(clippy::cast_possible_truncation, reason = "sizes in tests are small")]

use super::*;
use crate::inspect::{Cause, Said, Verdict};
use flate2::{Compress, Compression, FlushCompress};
use mcp::{Id, Kind};
use net::Direction::{ToClient, ToServer};
use proto::EndKind;
use proto::websocket::{Deflate, Header};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

mod cuts;

const DEFLATE: Deflate = Deflate { no_context_takeover: false, window_bits: 15 };
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// Longer than any test takes.
const LONG: Duration = Duration::from_mins(1);
/// Room of a connection in memory.
const ROOM: usize = 8 << 10;

/// Holds what begins like JSON to the end of its message, and stops what says `BLOCK`.
struct Script {
    under_way: [Vec<u8>; 2],
    messages: Vec<(Direction, Vec<u8>)>,
    ends: Vec<(Direction, EndKind)>,
    acted: Vec<&'static str>,
    /// Bytes that may wait, and whether more is refused.
    hold: (usize, bool),
    closed_on_fault: bool,
    unreadable: Vec<&'static str>,
    limits: Vec<&'static str>,
    held: usize,
    most_held: usize,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            under_way: [Vec::new(), Vec::new()],
            messages: Vec::new(),
            ends: Vec::new(),
            acted: Vec::new(),
            hold: (1 << 20, true),
            closed_on_fault: false,
            unreadable: Vec::new(),
            limits: Vec::new(),
            held: 0,
            most_held: 0,
        }
    }
}

fn index(dir: Direction) -> usize {
    usize::from(dir == ToClient)
}

fn blocked() -> Box<Ruling> {
    let mut ruling = Ruling::bare("mcp.example", std::net::IpAddr::from([10, 1, 2, 3]), Cause::Policy);
    ruling.messages =
        vec![Said { kind: Kind::Request, method: None, name: None, id: Some(Id::Number("7".to_owned())) }];
    Box::new(ruling)
}

impl Watch for Script {
    fn body(&mut self, dir: Direction, bytes: &[u8]) -> Verdict {
        let message = &mut self.under_way[index(dir)];
        message.extend_from_slice(bytes);
        if dir == ToServer && message.ends_with(b"BLOCK}") {
            return Verdict::Act(blocked());
        }
        let waits = dir == ToServer && matches!(message.first(), Some(b'{' | b'['));
        if waits { Verdict::Hold } else { Verdict::Pass }
    }

    fn edit(&mut self, _: Direction, text: &[u8]) -> Result<Option<Vec<u8>>, Box<Ruling>> {
        Ok(Some(String::from_utf8_lossy(text).replace("SECRET", "-").into_bytes()))
    }

    fn cannot_edit(&mut self, _: Direction) -> Option<Box<Ruling>> {
        None
    }

    fn message_end(&mut self, dir: Direction) -> Verdict {
        let message = std::mem::take(&mut self.under_way[index(dir)]);
        let stops = message.windows(5).any(|word| word == b"BLOCK");
        self.messages.push((dir, message));
        if stops { Verdict::Act(blocked()) } else { Verdict::Pass }
    }

    fn end(&mut self, dir: Direction, how: EndKind) -> Verdict {
        self.ends.push((dir, how));
        Verdict::Pass
    }

    fn acted(&mut self, _: &Ruling, delivered: &'static str) {
        self.acted.push(delivered);
    }

    fn unreadable(&mut self, word: &'static str) -> Option<Box<Ruling>> {
        self.unreadable.push(word);
        self.closed_on_fault.then(blocked)
    }

    fn over(&mut self, limit: &'static str) -> Option<Box<Ruling>> {
        self.limits.push(limit);
        self.hold.1.then(blocked)
    }

    fn holds(&mut self, before: usize, now: usize) -> Option<&'static str> {
        self.held = self.held - before + now;
        self.most_held = self.most_held.max(self.held);
        (now > self.hold.0).then_some("bytes")
    }
}

/// A frame; `first` is its first byte.
pub(crate) fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
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
    frame.extend(mask.iter().flatten());
    frame.extend(payload.iter().zip(mask.unwrap_or_default().iter().cycle()).map(|(b, m)| b ^ m));
    frame
}

fn text(payload: &str) -> Vec<u8> {
    frame(0x81, Some(MASK), payload.as_bytes())
}

/// Opcode and payload of each frame.
#[track_caller]
fn frames(mut wire: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while !wire.is_empty() {
        let (header, used) = Header::parse(wire).unwrap();
        let payload = &wire[used..used + header.len as usize];
        let mask = header.mask.unwrap_or_default();
        frames.push((header.opcode, payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m).collect()));
        wire = &wire[used + header.len as usize..];
    }
    frames
}

/// What both ends of a connection do, with the proxy between them.
fn with<T>(
    script: &mut Script,
    deflate: Option<Deflate>,
    idle: Duration,
    peers: impl AsyncFnOnce(DuplexStream, DuplexStream) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (client, down) = duplex(ROOM);
    let (origin, up) = duplex(ROOM);
    let pumps =
        (Pump::new(ToServer, Decoder::new(ToServer, deflate)), Pump::new(ToClient, Decoder::new(ToClient, deflate)));
    let terms =
        Terms { limits: Limits::default(), idle, drain: Drain { bytes: 1 << 20, time: Duration::from_secs(5) } };
    runtime.block_on(async {
        let both = async { tokio::join!(carry(pumps, down, up, script, &terms), peers(client, origin)) };
        timeout(LONG, both).await.expect("in time").1
    })
}

/// Reads to the end.
async fn all(side: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A side that was left may say so.
    let _ = side.read_to_end(&mut bytes).await;
    bytes
}

/// Reads as many bytes as `wire` has, which must be those.
async fn expect(side: &mut DuplexStream, wire: &[u8]) {
    let mut bytes = vec![0; wire.len()];
    timeout(LONG, side.read_exact(&mut bytes)).await.expect("in time").unwrap();
    assert_eq!(bytes, wire);
}

/// The client sends `wire` and then what `after` does; gives what client and origin got.
fn send(script: &mut Script, wire: &[u8]) -> (Vec<u8>, Vec<u8>) {
    with(script, None, LONG, async |mut client, mut origin| {
        client.write_all(wire).await.unwrap();
        tokio::join!(until_closed(&mut client), until_closed(&mut origin))
    })
}

/// Reads to the end and, as a library does, answers a close frame with one.
async fn until_closed(side: &mut DuplexStream) -> Vec<u8> {
    let mut frames = frames::Frames::new();
    let (mut got, mut seen, mut space) = (Vec::new(), 0, [0; 1024]);
    while let Ok(n @ 1..) = side.read(&mut space).await {
        got.extend_from_slice(&space[..n]);
        while let Some((n, piece)) = frames.step(&got[seen..]) {
            seen += n;
            if matches!(piece, frames::Piece::Header(header) if header.opcode == frames::CLOSE) {
                let _ = side.write_all(&frame(0x88, Some(MASK), &1000_u16.to_be_bytes())).await;
            }
        }
    }
    got
}

#[track_caller]
fn told_and_closed(got: &[u8]) {
    let frames = frames(got);
    let [(1, error), (8, close)] = &frames[..] else { panic!("{frames:?}") };
    let error: Value = serde_json::from_slice(error).unwrap();
    assert_eq!(error["id"], 7);
    assert!(error["error"]["message"].as_str().unwrap().contains("mcp.example"), "{error}");
    assert_eq!(close[..2], 1008_u16.to_be_bytes());
    assert!(str::from_utf8(&close[2..]).unwrap().contains("mcp.example"));
}

#[test]
fn a_message_that_is_stopped_never_reaches_the_origin_and_both_sides_are_closed() {
    for (name, wire) in [
        ("text", text(r#"{"BLOCK":1}"#)),
        ("binary", frame(0x82, Some(MASK), br#"{"BLOCK":1}"#)),
        ("mask of zero", frame(0x81, Some([0; 4]), br#"["BLOCK"]"#)),
        ("no mask", frame(0x81, None, br#"{"BLOCK":1}"#)),
        (
            "fragments",
            [frame(0x01, Some(MASK), b"{"), frame(0, Some(MASK), b""), frame(0x80, Some(MASK), b"BLOCK}")].concat(),
        ),
        ("more behind it", [text(r#"{"BLOCK":1}"#), text("{}"), frame(0x88, Some(MASK), b"")].concat()),
    ] {
        let mut script = Script::default();
        let (client, origin) = send(&mut script, &wire);
        told_and_closed(&client);
        let (header, _) = Header::parse(&origin).unwrap();
        assert!(header.mask.is_some(), "{name}");
        let frames = frames(&origin);
        assert!(matches!(&frames[..], [(8, close)] if close[..2] == 1008_u16.to_be_bytes()), "{name}: {frames:?}");
        assert_eq!((script.acted, script.ends.len(), script.held), (vec!["none"], 2, 0), "{name}");
    }
}

#[test]
fn what_came_before_a_stopped_message_is_delivered() {
    let mut script = Script::default();
    let wire = [text("{}"), frame(0x89, Some(MASK), b"ping"), text("hello"), text(r#"{"BLOCK":1}"#)].concat();
    let (client, origin) = send(&mut script, &wire);
    told_and_closed(&client);
    let kinds = frames(&origin).into_iter().map(|(opcode, _)| opcode).collect::<Vec<_>>();
    assert_eq!(kinds, [1, 9, 1, 8]);
    assert!(origin.starts_with(&wire[..wire.len() - text(r#"{"BLOCK":1}"#).len()]));
}

#[test]
fn a_message_waits_with_all_that_is_behind_it_and_the_other_direction_goes_on() {
    let mut script = Script::default();
    with(&mut script, None, LONG, async |mut client, mut origin| {
        let first = [text("before"), frame(0x01, Some(MASK), b"{\"a\":")].concat();
        let ping = frame(0x89, Some(MASK), b"still here");
        client.write_all(&first).await.unwrap();
        client.write_all(&ping).await.unwrap();
        expect(&mut origin, &text("before")).await;
        for payload in [&b"one"[..], b"two"] {
            let news = frame(0x81, None, payload);
            origin.write_all(&news).await.unwrap();
            expect(&mut client, &news).await;
        }
        let mut nothing = [0];
        assert!(timeout(Duration::from_millis(50), origin.read(&mut nothing)).await.is_err());
        let last = frame(0x80, Some(MASK), b"1}");
        client.write_all(&last).await.unwrap();
        expect(&mut origin, &[first[text("before").len()..].to_vec(), ping, last].concat()).await;
    });
    assert_eq!(script.messages.iter().filter(|(dir, _)| *dir == ToServer).count(), 2);
    assert!(script.most_held > 0 && script.held == 0);
}

#[test]
fn what_does_not_begin_like_json_passes_as_it_comes() {
    let mut script = Script::default();
    with(&mut script, None, LONG, async |mut client, mut origin| {
        let whole = frame(0x82, Some(MASK), &[b'x'; 1000]);
        client.write_all(&whole[..20]).await.unwrap();
        expect(&mut origin, &whole[..20]).await;
        client.write_all(&whole[20..]).await.unwrap();
        expect(&mut origin, &whole[20..]).await;
    });
    assert_eq!(script.messages.len(), 1);
}

#[test]
fn a_message_over_a_limit_is_refused_or_streamed_as_configured() {
    let long = format!("{{\"a\":\"{}\"", "x".repeat(3000));
    let begun = frame(0x01, Some(MASK), long.as_bytes());
    let mut script = Script { hold: (1000, true), ..Script::default() };
    let (client, origin) = send(&mut script, &begun);
    told_and_closed(&client);
    assert_eq!(frames(&origin).len(), 1);
    assert_eq!((&script.acted[..], &script.limits[..]), (&["none"][..], &["bytes"][..]));

    let mut script = Script { hold: (1000, false), ..Script::default() };
    let wire = [begun.clone(), frame(0x80, Some(MASK), b"}"), text("{}")].concat();
    let got = with(&mut script, None, LONG, async |mut client, mut origin| {
        client.write_all(&begun).await.unwrap();
        expect(&mut origin, &begun).await;
        client.write_all(&wire[begun.len()..]).await.unwrap();
        client.shutdown().await.unwrap();
        all(&mut origin).await
    });
    assert_eq!(got, wire[begun.len()..]);
    assert_eq!((script.messages.len(), script.limits.len()), (2, 1));

    // What completes it can still be stopped.
    let mut script = Script { hold: (1000, false), ..Script::default() };
    let (client, origin) = with(&mut script, None, LONG, async |mut client, mut origin| {
        client.write_all(&begun).await.unwrap();
        expect(&mut origin, &begun).await;
        let rest = [frame(0x80, Some(MASK), b",\"BLOCK\":1}"), frame(0x88, Some(MASK), b"")].concat();
        client.write_all(&rest).await.unwrap();
        tokio::join!(until_closed(&mut client), until_closed(&mut origin))
    });
    told_and_closed(&client);
    assert!(matches!(&frames(&origin)[..], [(8, _)]), "{origin:?}");
    assert_eq!(script.acted, ["partial"]);
}

#[test]
fn a_message_that_stalls_does_not_wait_for_ever() {
    let mut script = Script::default();
    let got = with(&mut script, None, Duration::from_millis(30), async |mut client, mut origin| {
        client.write_all(&frame(0x01, Some(MASK), b"{\"a\":")).await.unwrap();
        tokio::join!(until_closed(&mut client), until_closed(&mut origin)).0
    });
    told_and_closed(&got);
    assert_eq!(script.limits, ["idle"]);
}

#[test]
fn an_idle_connection_is_left_alone() {
    let mut script = Script::default();
    with(&mut script, None, Duration::from_millis(10), async |mut client, mut origin| {
        let mut nothing = [0];
        assert!(timeout(Duration::from_millis(100), client.read(&mut nothing)).await.is_err());
        client.write_all(&text("{}")).await.unwrap();
        expect(&mut origin, &text("{}")).await;
    });
    assert_eq!((script.limits.len(), script.ends.len()), (0, 2));
}

#[test]
fn a_frame_of_the_server_that_is_under_way_is_finished_before_the_client_is_told() {
    let mut script = Script::default();
    let news = frame(0x81, None, &[b'n'; 500]);
    let got = with(&mut script, None, LONG, async |mut client, mut origin| {
        origin.write_all(&news[..100]).await.unwrap();
        expect(&mut client, &news[..100]).await;
        client.write_all(&text(r#"{"BLOCK":1}"#)).await.unwrap();
        let (opcode, _) = frames(&{
            let mut close = vec![0; 2];
            origin.read_exact(&mut close).await.unwrap();
            let mut rest = vec![0; usize::from(close[1] & 0x7f) + 4];
            origin.read_exact(&mut rest).await.unwrap();
            [close, rest].concat()
        })[0];
        assert_eq!(opcode, 8);
        origin.write_all(&[&news[100..], &frame(0x81, None, b"not any more")].concat()).await.unwrap();
        let got = async {
            let mut got = vec![0; news.len() - 100];
            client.read_exact(&mut got).await.unwrap();
            let mut rest = vec![0; 4096];
            let n = client.read(&mut rest).await.unwrap();
            rest.truncate(n);
            drop(client);
            assert_eq!(got, news[100..]);
            rest
        }
        .await;
        drop(origin);
        got
    });
    told_and_closed(&got);
}

#[test]
fn a_message_of_the_server_that_is_under_way_is_only_followed_by_the_close_frame() {
    let mut script = Script::default();
    let begun = frame(0x01, None, b"half of a");
    let got = with(&mut script, None, LONG, async |mut client, mut origin| {
        origin.write_all(&begun).await.unwrap();
        expect(&mut client, &begun).await;
        client.write_all(&text(r#"{"BLOCK":1}"#)).await.unwrap();
        client.write_all(&frame(0x88, Some(MASK), b"")).await.unwrap();
        tokio::join!(until_closed(&mut client), until_closed(&mut origin)).0
    });
    assert!(matches!(&frames(&got)[..], [(8, _)]), "{got:?}");
}

#[test]
fn a_side_that_ends_is_told_to_the_other_at_once_and_each_end_once() {
    let mut script = Script::default();
    with(&mut script, None, LONG, async |mut client, mut origin| {
        client.write_all(&text("{}")).await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(all(&mut origin).await, text("{}"));
        let last = frame(0x81, None, b"bye");
        origin.write_all(&last).await.unwrap();
        drop(origin);
        assert_eq!(all(&mut client).await, last);
    });
    assert_eq!(script.ends, [(ToServer, EndKind::Complete), (ToClient, EndKind::Complete)]);

    let mut script = Script::default();
    with(&mut script, None, LONG, async |client, mut origin| {
        drop(client);
        assert_eq!(all(&mut origin).await, b"");
    });
    assert_eq!(script.ends.len(), 2);
}

#[test]
fn a_message_that_was_broken_off_is_told_as_cut() {
    let mut script = Script::default();
    with(&mut script, None, LONG, async |mut client, mut origin| {
        client.write_all(&text("{\"a\":1}")[..8]).await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(all(&mut origin).await, text("{\"a\":1}")[..8]);
    });
    assert_eq!(script.ends[0], (ToServer, EndKind::Cut));
    assert_eq!(script.held, 0);
}

#[test]
fn what_cannot_be_read_passes_unless_the_configuration_says_otherwise() {
    let mut broken = text("{}");
    broken.extend([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4]);
    broken.extend(b"whatever follows");
    let mut script = Script::default();
    let got = with(&mut script, None, LONG, async |mut client, mut origin| {
        client.write_all(&broken).await.unwrap();
        // What the other side says of it passes: a protocol error.
        let close = frame(0x88, None, &[0x03, 0xea]);
        origin.write_all(&close).await.unwrap();
        expect(&mut client, &close).await;
        client.shutdown().await.unwrap();
        all(&mut origin).await
    });
    assert_eq!((got, &script.unreadable[..]), (broken.clone(), &["websocket_length"][..]));

    let mut script = Script { closed_on_fault: true, ..Script::default() };
    let (client, origin) = send(&mut script, &broken);
    told_and_closed(&client);
    assert_eq!(frames(&origin).iter().map(|(opcode, _)| *opcode).collect::<Vec<_>>(), [1, 8]);

    // Compressed, and that was not agreed on.
    let wire = frame(0xc1, Some(MASK), b"\xaa\x56\x05\x00");
    let mut script = Script::default();
    let got = with(&mut script, None, LONG, async |mut client, mut origin| {
        client.write_all(&wire).await.unwrap();
        expect(&mut origin, &wire).await;
        client.shutdown().await.unwrap();
        all(&mut origin).await
    });
    assert_eq!((got.len(), &script.unreadable[..]), (0, &["websocket_undecodable"][..]));
}

#[test]
fn a_side_that_does_not_read_stops_the_other_and_nothing_grows() {
    let mut script = Script::default();
    let sent = with(&mut script, None, LONG, async |mut client, mut origin| {
        let wire = frame(0x82, Some(MASK), &vec![b'x'; 60_000]);
        let mut sent = 0;
        while let Ok(n) = timeout(Duration::from_millis(100), client.write(&wire[sent % wire.len()..])).await {
            sent += n.unwrap();
        }
        client.shutdown().await.unwrap();
        assert_eq!(all(&mut origin).await.len(), sent);
        sent
    });
    // Both connections, and one read.
    assert!(sent <= 2 * ROOM + (16 << 10), "{sent}");
}

/// What a sender with context does to its messages (RFC 7692 section 7.2.1).
struct Deflater(Compress);

impl Deflater {
    fn new() -> Self {
        Self(Compress::new(Compression::default(), false))
    }

    fn message(&mut self, content: &[u8]) -> Vec<u8> {
        if content.is_empty() {
            return vec![0];
        }
        let mut out = Vec::with_capacity(content.len() + 100);
        self.0.compress_vec(content, &mut out, FlushCompress::Sync).unwrap();
        assert_eq!(out.split_off(out.len() - 4), [0, 0, 0xff, 0xff]);
        out
    }
}

#[test]
fn compressed_messages_are_judged_by_what_is_in_them() {
    let mut sender = Deflater::new();
    let fine = sender.message(br#"{"method":"ping","jsonrpc":"2.0"}"#);
    let again = sender.message(br#"{"method":"ping","jsonrpc":"2.0","id":1}"#);
    let bad = sender.message(br#"{"method":"ping","jsonrpc":"2.0","x":"BLOCK"}"#);
    let passed =
        [frame(0xc1, Some(MASK), &fine), frame(0x41, Some(MASK), &again[..3]), frame(0x80, Some(MASK), &again[3..])]
            .concat();
    let wire = [passed.clone(), frame(0xc1, Some(MASK), &bad)].concat();
    let mut script = Script::default();
    let (client, origin) = with(&mut script, Some(DEFLATE), LONG, async |mut client, mut origin| {
        client.write_all(&wire).await.unwrap();
        tokio::join!(until_closed(&mut client), until_closed(&mut origin))
    });
    told_and_closed(&client);
    assert!(origin.starts_with(&passed));
    assert!(matches!(&frames(&origin[passed.len()..])[..], [(8, _)]));
    assert_eq!(script.messages.len(), 3);
}
