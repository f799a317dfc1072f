//! Properties: how the wire is cut changes nothing.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

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
        vec(prop_oneof![Just(b'a'), Just(b'{')], 0..20_000),
        vec(prop_oneof![Just("{\"jsonrpc\":"), Just("\"2.0\""), Just("}")], 0..50)
            .prop_map(|v| v.concat().into_bytes()),
    ];
    (content, any::<bool>(), any::<bool>(), 1_usize..5, any::<bool>(), any::<Option<[u8; 4]>>()).prop_map(
        |(content, binary, compressed, frames, ping, mask)| Sent { content, binary, compressed, frames, ping, mask },
    )
}

fn wire_of(sent: &[Sent]) -> Vec<u8> {
    let mut sender = Deflater::new();
    let mut wire = Vec::new();
    for message in sent {
        let body = if message.compressed { sender.message(&message.content) } else { message.content.clone() };
        let size = body.len().div_ceil(message.frames).max(1);
        let mut pieces: Vec<_> = body.chunks(size).collect();
        pieces.resize(message.frames, &[]);
        for (i, piece) in pieces.iter().enumerate() {
            let opcode = match i {
                0 if message.binary => 2,
                0 => 1,
                _ => 0,
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

async fn write_pieces(side: &mut DuplexStream, wire: &[u8], sizes: &[usize]) {
    let mut rest = wire;
    for size in sizes {
        let piece = rest.split_off(..(*size).min(rest.len())).unwrap();
        side.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    side.write_all(rest).await.unwrap();
    side.shutdown().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn both_directions_pass_unchanged_and_are_read_the_same_however_they_are_cut(
        up in vec(sent(), 0..4),
        down in vec(sent(), 0..4),
        sizes in vec(1_usize..2000, 0..60),
    ) {
        let (wire_up, wire_down) = (wire_of(&up), wire_of(&down));
        let mut script = Script::default();
        let (got_up, got_down) = with(&mut script, Some(DEFLATE), LONG, async |mut client, mut origin| {
            let ((mut from_client, mut to_client), (mut from_origin, mut to_origin)) =
                (tokio::io::split(&mut client), tokio::io::split(&mut origin));
            let (mut got_up, mut got_down) = (Vec::new(), Vec::new());
            let write = async |side: &mut tokio::io::WriteHalf<&mut DuplexStream>, wire: &[u8]| {
                let mut rest = wire;
                for size in &sizes {
                    let piece = rest.split_off(..(*size).min(rest.len())).unwrap();
                    side.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                side.write_all(rest).await.unwrap();
                side.shutdown().await.unwrap();
            };
            let _ = tokio::join!(
                write(&mut to_client, &wire_up),
                write(&mut to_origin, &wire_down),
                from_client.read_to_end(&mut got_down),
                from_origin.read_to_end(&mut got_up),
            );
            (got_up, got_down)
        });
        prop_assert_eq!(got_up, wire_up);
        prop_assert_eq!(got_down, wire_down);
        for (dir, sent) in [(ToServer, up), (ToClient, down)] {
            let got = script.messages.iter().filter(|(d, _)| *d == dir).map(|(_, m)| m.clone());
            let want = sent.into_iter().map(|message| message.content);
            prop_assert_eq!(got.collect::<Vec<_>>(), want.collect::<Vec<_>>());
        }
        prop_assert_eq!((script.ends.len(), script.held), (2, 0));
    }

    #[test]
    fn bytes_that_are_no_websocket_pass_too(wire in vec(any::<u8>(), 0..3000), sizes in vec(1_usize..200, 0..30)) {
        let mut script = Script::default();
        let got = with(&mut script, Some(DEFLATE), LONG, async |mut client, mut origin| {
            let got = async {
                let mut got = Vec::new();
                let _ = origin.read_to_end(&mut got).await;
                drop(origin);
                got
            };
            tokio::join!(write_pieces(&mut client, &wire, &sizes), got).1
        });
        if script.acted.is_empty() {
            prop_assert_eq!(got, wire);
        }
        prop_assert_eq!((script.ends.len(), script.held), (2, 0));
    }
}
