//! Tricks of IP and TCP: which bytes, in which order, the receiver's stream has (RFC 9293), and names (RFC 1035).

use super::Truth::{Clean, Found, FoundOrNotice};
use super::{CALL, HOST, Scene, TOOLS, Trick, answered, asked, call, packets, plain, taken};
use crate::Direction::{ToClient, ToServer};
use crate::capture::Odd;
use crate::carrier::{Carrier, fragment, fragments, payload};
use crate::{Capture, Turn, Wire, http};

/// Where the tricks cut a request: inside its body.
fn middle() -> usize {
    call().len() - CALL.len() / 2
}

pub(super) fn tricks() -> Vec<Trick> {
    [overlaps(), decoys(), oddities(), lives(), mirrors(), fragmented(), tunnelled(), names()].concat()
}

fn overlaps() -> Vec<Trick> {
    vec![
        packets("overlap-same-old-first", "one stream, whoever sent it twice (RFC 9293 3.10.7.4)", Found, |s| {
            let (flow, bytes) = (s.flow(Wire::default()), call());
            s.part(flow, &bytes, 0..90);
            s.part(flow, &bytes, 60..bytes.len());
            s.done(flow, bytes.len());
        }),
        packets("overlap-same-new-first", "one stream, in whichever order (RFC 9293 3.10.7.4)", Found, |s| {
            let (flow, bytes) = (s.flow(Wire::default()), call());
            s.part(flow, &bytes, 60..bytes.len());
            s.part(flow, &bytes, 0..90);
            s.done(flow, bytes.len());
        }),
        packets(
            "overlap-other-behind-a-hole",
            "which of two copies behind a hole counts, systems decide differently",
            FoundOrNotice,
            |s| {
                let (flow, bytes, other, at) = (s.flow(Wire::default()), call(), plain(), middle());
                s.part(flow, &bytes, at..bytes.len());
                s.part(flow, &other, at..other.len());
                s.part(flow, &bytes, 0..at);
                s.done(flow, bytes.len());
            },
        ),
        packets(
            "overlap-other-behind-a-hole-first",
            "which of two copies behind a hole counts, systems decide differently",
            FoundOrNotice,
            |s| {
                let (flow, bytes, other, at) = (s.flow(Wire::default()), call(), plain(), middle());
                s.part(flow, &other, at..other.len());
                s.part(flow, &bytes, at..bytes.len());
                s.part(flow, &bytes, 0..at);
                s.done(flow, bytes.len());
            },
        ),
        packets(
            "overlap-other-in-part",
            "a segment that overlaps what waits at both ends, with other bytes in the overlap",
            FoundOrNotice,
            |s| {
                let (flow, bytes, other, at) = (s.flow(Wire::default()), call(), plain(), middle());
                s.part(flow, &other, at - 20..at + 20);
                s.part(flow, &bytes, at..bytes.len());
                s.part(flow, &bytes, at - 40..at);
                s.part(flow, &bytes, 0..at - 40);
                s.done(flow, bytes.len());
            },
        ),
        packets("retransmission-other-later", "what was received stays (RFC 9293 3.10.7.4)", Found, |s| {
            let (flow, bytes) = (s.flow(Wire::default()), call());
            s.part(flow, &bytes, 0..bytes.len());
            s.part(flow, &plain(), 0..bytes.len());
            s.done(flow, bytes.len());
        }),
        packets(
            "retransmission-other-first",
            "a receiver that missed the first copy reads the second; nobody tells us which",
            FoundOrNotice,
            |s| {
                let (flow, bytes) = (s.flow(Wire::default()), call());
                s.part(flow, &plain(), 0..bytes.len());
                s.part(flow, &bytes, 0..bytes.len());
                s.done(flow, bytes.len());
            },
        ),
        packets(
            "retransmission-other-in-pieces",
            "as before, the first copy in several segments and the second in one",
            FoundOrNotice,
            |s| {
                let (flow, bytes, other, at) = (s.flow(Wire::default()), call(), plain(), middle());
                s.part(flow, &other, 0..at);
                s.part(flow, &other, at..other.len());
                s.part(flow, &bytes, 0..bytes.len());
                s.done(flow, bytes.len());
            },
        ),
        packets(
            "retransmission-other-and-more",
            "other bytes for the first half, which came before, together with the second half",
            FoundOrNotice,
            |s| {
                let (flow, bytes, other, at) = (s.flow(Wire::default()), call(), plain(), middle());
                s.part(flow, &other, 0..at);
                s.part(flow, &bytes, 0..bytes.len());
                s.done(flow, bytes.len());
            },
        ),
    ]
}

fn decoys() -> Vec<Trick> {
    vec![
        packets("bad-checksum-decoy", "a receiver drops it (RFC 9293 3.1)", Found, |s| {
            let (flow, bytes) = (s.flow(Wire::default()), call());
            s.capture.odd(flow, &Odd { bad_checksum: true, ..Odd::data(ToServer, 0, &plain()) });
            s.part(flow, &bytes, 0..bytes.len());
            s.done(flow, bytes.len());
        }),
        packets("bad-checksum-mcp", "a receiver never reads it (RFC 9293 3.1)", Clean, |s| {
            let (flow, bytes) = (s.flow(Wire::default()), plain());
            s.capture.odd(flow, &Odd { bad_checksum: true, ..Odd::data(ToServer, 0, &call()) });
            s.part(flow, &bytes, 0..bytes.len());
            s.done(flow, bytes.len());
        }),
        packets("bad-checksum-reset", "a receiver drops it (RFC 9293 3.1)", Found, |s| {
            let (flow, bytes) = (s.flow(Wire::default()), call());
            s.capture.odd(flow, &Odd { bad_checksum: true, ..Odd::flags(ToServer, 0, Odd::RST) });
            s.part(flow, &bytes, 0..bytes.len());
            s.done(flow, bytes.len());
        }),
        packets("bad-checksums-throughout", "offload: a capture at the sender has no right one", Found, |s| {
            s.play(Wire { bad_checksums: true, ..s.wire() }, &asked(call()));
        }),
        packets(
            "low-ttl-decoy",
            "a packet that dies on the way reaches the sensor and not the receiver; the hops are unknown",
            FoundOrNotice,
            |s| {
                let (flow, bytes) = (s.flow(Wire::default()), call());
                s.capture.odd(flow, &Odd { ttl: 2, ..Odd::data(ToServer, 0, &plain()) });
                s.part(flow, &bytes, 0..bytes.len());
                s.done(flow, bytes.len());
            },
        ),
        packets("low-ttl-decoy-behind-a-hole", "as before, where both copies wait", FoundOrNotice, |s| {
            let (flow, bytes, at) = (s.flow(Wire::default()), call(), middle());
            s.capture.odd(flow, &Odd { ttl: 2, ..Odd::data(ToServer, at as i64, &plain()[at..]) });
            s.part(flow, &bytes, at..bytes.len());
            s.part(flow, &bytes, 0..at);
            s.done(flow, bytes.len());
        }),
        packets("low-ttl-reset", "the connection goes on, so the reset did not arrive", Found, |s| {
            let (flow, bytes) = (s.flow(Wire::default()), call());
            s.capture.odd(flow, &Odd { ttl: 2, ..Odd::flags(ToServer, 0, Odd::RST) });
            s.part(flow, &bytes, 0..bytes.len());
            s.done(flow, bytes.len());
        }),
        packets("reset-out-of-window", "a receiver ignores it (RFC 9293 3.5.3)", Found, |s| {
            let (flow, bytes) = (s.flow(Wire::default()), call());
            s.capture.odd(flow, &Odd::flags(ToServer, 30 << 20, Odd::RST));
            s.part(flow, &bytes, 0..bytes.len());
            s.done(flow, bytes.len());
        }),
        packets("reset-in-window-but-not-next", "a receiver asks back and goes on (RFC 5961 3.2)", Found, |s| {
            let (flow, bytes) = (s.flow(Wire::default()), call());
            s.capture.odd(flow, &Odd::flags(ToServer, 700, Odd::RST));
            s.part(flow, &bytes, 0..bytes.len());
            s.done(flow, bytes.len());
        }),
        packets(
            "fin-out-of-place",
            "it ends nothing before what stands before it came (RFC 9293 3.10.7.4)",
            Found,
            |s| {
                let (flow, bytes) = (s.flow(Wire::default()), call());
                s.capture.odd(flow, &Odd::flags(ToServer, 40, Odd::FIN | Odd::ACK));
                s.part(flow, &bytes, 0..bytes.len());
                s.done(flow, bytes.len());
            },
        ),
        packets(
            "fin-decoy-in-place",
            "a FIN that dies on the way ends nothing, one that arrives ends everything",
            FoundOrNotice,
            |s| {
                let (flow, bytes) = (s.flow(Wire::default()), call());
                s.capture.odd(flow, &Odd { ttl: 2, ..Odd::flags(ToServer, 0, Odd::FIN | Odd::ACK) });
                s.part(flow, &bytes, 0..bytes.len());
                s.done(flow, bytes.len());
            },
        ),
        packets("data-behind-a-fin", "a receiver ignores text behind a FIN (RFC 9293 3.10.7.4)", Clean, |s| {
            let flow = s.flow(Wire::default());
            s.capture.send(flow, ToServer, &plain());
            s.capture.odd(flow, &Odd::flags(ToServer, 0, Odd::FIN | Odd::ACK));
            s.capture.skip(flow, ToServer, 1);
            s.capture.odd(flow, &Odd::data(ToServer, 0, &call()));
            s.capture.send(flow, ToClient, &taken());
            s.capture.odd(flow, &Odd::flags(ToClient, 0, Odd::FIN | Odd::ACK));
        }),
        packets(
            "data-behind-both-fins",
            "ignored, unless the FINs were decoys, or the ports begin again and the SYN was missed",
            FoundOrNotice,
            |s| {
                let flow = s.flow(Wire::default());
                s.capture.send(flow, ToServer, &plain());
                s.capture.send(flow, ToClient, &taken());
                s.capture.fin(flow);
                s.capture.odd(flow, &Odd::data(ToServer, 0, &call()));
            },
        ),
        packets("out-of-window-decoy", "a receiver drops it (RFC 9293 3.10.7.4)", Found, |s| {
            let (flow, bytes) = (s.flow(Wire::default()), call());
            s.capture.odd(flow, &Odd::data(ToServer, 100 << 20, &plain()));
            s.part(flow, &bytes, 0..bytes.len());
            s.done(flow, bytes.len());
        }),
        packets("out-of-window-mcp", "a receiver drops it (RFC 9293 3.10.7.4)", Clean, |s| {
            let flow = s.flow(Wire::default());
            s.capture.odd(flow, &Odd::data(ToServer, 100 << 20, &call()));
            s.capture.send(flow, ToServer, &plain());
            s.capture.send(flow, ToClient, &taken());
            s.capture.fin(flow);
        }),
        packets("beyond-the-window-mcp", "behind a window of 64 KiB a receiver drops it too", Clean, |s| {
            let flow = s.flow(Wire::default());
            s.capture.odd(flow, &Odd::data(ToServer, 1 << 20, &call()));
            s.capture.send(flow, ToServer, &plain());
            s.capture.send(flow, ToClient, &taken());
            s.capture.fin(flow);
        }),
        packets("keep-alive-byte", "one old byte, of any value, is a probe (RFC 9293 3.8.4)", Found, |s| {
            let (flow, bytes, at) = (s.flow(Wire::default()), call(), middle());
            s.part(flow, &bytes, 0..at);
            s.capture.odd(flow, &Odd::data(ToServer, at as i64 - 1, b"#"));
            s.part(flow, &bytes, at..bytes.len());
            s.done(flow, bytes.len());
        }),
    ]
}

fn oddities() -> Vec<Trick> {
    vec![
        packets("data-on-syn", "it is kept until the connection stands (RFC 9293 3.10.7.2, RFC 7413)", Found, |s| {
            let (flow, bytes) = (s.flow(Wire { midstream: true, ..Wire::default() }), call());
            s.capture.odd(flow, &Odd { flags: Odd::SYN, ..Odd::data(ToServer, -1, &bytes) });
            s.capture.skip(flow, ToServer, bytes.len());
            s.capture.odd(flow, &Odd::flags(ToClient, -1, Odd::SYN | Odd::ACK));
            s.capture.ack(flow, ToServer);
            s.done(flow, 0);
        }),
        packets("data-on-syn-refused", "not acknowledged, so it is sent again (RFC 7413 4.2.2)", Found, |s| {
            let (flow, bytes) = (s.flow(Wire { midstream: true, ..Wire::default() }), call());
            s.capture.odd(flow, &Odd { flags: Odd::SYN, ..Odd::data(ToServer, -1, &bytes) });
            s.capture.odd(flow, &Odd::flags(ToClient, -1, Odd::SYN | Odd::ACK));
            s.part(flow, &bytes, 0..bytes.len());
            s.done(flow, bytes.len());
        }),
        packets(
            "data-on-syn-other-later",
            "the server acknowledged only the SYN; whether it kept the data, systems differ",
            FoundOrNotice,
            |s| {
                let (flow, bytes) = (s.flow(Wire { midstream: true, ..Wire::default() }), call());
                s.capture.odd(flow, &Odd { flags: Odd::SYN, ..Odd::data(ToServer, -1, &plain()) });
                s.capture.odd(flow, &Odd::flags(ToClient, -1, Odd::SYN | Odd::ACK));
                s.part(flow, &bytes, 0..bytes.len());
                s.done(flow, bytes.len());
            },
        ),
        packets("urgent-in-line", "urgent bytes are part of the stream (RFC 6093 3.1)", Found, |s| {
            let (flow, bytes) = (s.flow(Wire::default()), call());
            s.capture.odd(flow, &Odd { urgent: 5, ..Odd::data(ToServer, 0, &bytes) });
            s.done(flow, bytes.len());
        }),
        packets(
            "urgent-extra-byte",
            "many systems take the urgent byte out of the stream (RFC 6093 3.2)",
            FoundOrNotice,
            |s| {
                let flow = s.flow(Wire::default());
                let text = String::from_utf8(call()).unwrap();
                let extra = text.replace("tools/call", "toolsX/call");
                let at = extra.find('X').unwrap() + 1;
                s.capture.odd(flow, &Odd { urgent: at as u16, ..Odd::data(ToServer, 0, extra.as_bytes()) });
                s.done(flow, extra.len());
            },
        ),
        packets("simultaneous-open", "both sides may open (RFC 9293 3.5)", Found, |s| {
            let flow = s.flow(Wire { midstream: true, ..s.wire() });
            s.capture.odd(flow, &Odd::flags(ToServer, -1, Odd::SYN));
            s.capture.odd(flow, &Odd::flags(ToClient, -1, Odd::SYN));
            s.capture.odd(flow, &Odd::flags(ToServer, -1, Odd::SYN | Odd::ACK));
            s.capture.odd(flow, &Odd::flags(ToClient, -1, Odd::SYN | Odd::ACK));
            s.capture.send(flow, ToServer, &call());
            s.capture.send(flow, ToClient, &taken());
            s.capture.fin(flow);
        }),
        packets("sequence-wrap", "numbers are modulo 2^32 (RFC 9293 3.4)", Found, |s| {
            let turns = [asked(plain()), asked(call())].concat();
            s.play(Wire { first: Some(u32::MAX - 200), ..s.wire() }, &turns);
        }),
        packets("sequence-wrap-in-a-hole", "numbers are modulo 2^32 behind a hole as well", Found, |s| {
            let (flow, bytes) = (s.flow(Wire { first: Some(u32::MAX - 100), ..Wire::default() }), call());
            s.part(flow, &bytes, 120..bytes.len());
            s.part(flow, &bytes, 80..120);
            s.part(flow, &bytes, 0..80);
            s.done(flow, bytes.len());
        }),
        packets("one-byte-segments", "a stream has no segments (RFC 9293 2.2)", Found, |s| {
            s.play(Wire::cut(1), &asked(call()));
        }),
        packets("reordered", "a stream has one order (RFC 9293 2.2)", Found, |s| {
            s.play(Wire { reorder: 40, ..Wire::cut(5) }, &asked(call()));
        }),
        packets("one-byte-segments-backwards", "a stream has one order (RFC 9293 2.2)", Found, |s| {
            let (flow, bytes) = (s.flow(Wire::default()), call());
            for at in (0..bytes.len()).rev() {
                s.part(flow, &bytes, at..at + 1);
            }
            s.done(flow, bytes.len());
        }),
    ]
}

fn lives() -> Vec<Trick> {
    vec![
        packets("ports-again-after-close", "a new connection may use them again (RFC 9293 3.6.1)", Found, |s| {
            s.play(s.wire(), &asked(plain()));
            s.play(s.wire(), &asked(call()));
        }),
        packets("ports-again-after-reset", "a new connection may use them at once", Found, |s| {
            let flow = s.flow(s.wire());
            s.capture.send(flow, ToServer, &plain());
            s.capture.rst(flow, ToClient);
            s.play(s.wire(), &asked(call()));
        }),
        packets("ports-again-without-close", "a server that forgot the old connection takes a new one", Found, |s| {
            let flow = s.flow(s.wire());
            s.capture.send(flow, ToServer, &plain());
            s.play(Wire { first: Some(0x7000_0000), ..s.wire() }, &asked(call()));
        }),
        packets("syn-of-another-number", "a SYN inside a connection changes nothing (RFC 5961 4)", Found, |s| {
            let flow = s.flow(s.wire());
            s.capture.send(flow, ToServer, &plain());
            s.capture.send(flow, ToClient, &taken());
            s.capture.odd(flow, &Odd::flags(ToServer, 1 << 28, Odd::SYN));
            s.capture.send(flow, ToServer, &call());
            s.capture.send(flow, ToClient, &taken());
            s.capture.fin(flow);
        }),
    ]
}

fn mirrors() -> Vec<Trick> {
    fn taught() -> Vec<Turn> {
        answered(http::json("", TOOLS))
    }
    vec![
        packets("mirrored-twice", "a mirror may copy a frame more than once", Found, |s| {
            s.play(Wire { duplicate: 1, ..s.wire() }, &asked(call()));
        }),
        packets("only-the-client", "one side is enough", Found, |s| {
            s.play(Wire { only: Some(ToServer), ..s.wire() }, &asked(call()));
        }),
        packets("only-the-server", "one side is enough", Found, |s| {
            s.play(Wire { only: Some(ToClient), ..s.wire() }, &taught());
        }),
        packets("mid-stream", "the capture began later than the connection", Found, |s| {
            s.play(Wire { midstream: true, ..s.wire() }, &asked(call()));
        }),
        packets("mid-stream-in-a-body", "the capture began inside a message; the next one is whole", Found, |s| {
            let half = http::post(HOST, "/rpc", "", &format!(r#"{{"note":"{}"}}"#, "x".repeat(3000)));
            let turns = [vec![(ToServer, half[2000..].to_vec()), (ToClient, taken())], asked(call())].concat();
            s.play(Wire { midstream: true, ..s.wire() }, &turns);
        }),
        packets("atomic-fragments", "a fragment that is the whole packet (RFC 6946)", Found, |s| {
            let wire = Wire { atomic_fragments: true, ..s.wire() };
            s.capture.play("[fd00:66::1]:40001", "[fd00:66::2]:8000", wire, &asked(call()));
        }),
        packets("a-tag-for-each-direction", "a mirror may tag the directions differently", Found, |s| {
            s.play(Wire { vlan: Some(101), vlan_back: Some(102), ..s.wire() }, &taught());
        }),
        packets("snap-length-keeps-the-head", "what was captured counts", Found, |s| {
            s.capture.snaplen(300);
            let extra = "Mcp-Method: tools/call\nMcp-Name: note_find\nMcp-Protocol-Version: 2026-07-28\n";
            let text =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"x":"{}"}}}}"#, "x".repeat(900));
            s.play(Wire::default(), &asked(http::post(HOST, "/rpc", extra, &text)));
            s.capture.snaplen(65_535);
        }),
        packets("snap-length-keeps-half-a-body", "what was captured counts", Found, |s| {
            s.capture.snaplen(500);
            let text =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"x":"{}"}}}}"#, "x".repeat(900));
            s.play(Wire::default(), &asked(http::post(HOST, "/rpc", "", &text)));
            s.capture.snaplen(65_535);
        }),
        packets("snap-length-cuts-each-frame", "the next message on the connection is short enough", Found, |s| {
            s.capture.snaplen(600);
            let long = http::post(HOST, "/rpc", "", &format!(r#"{{"note":"{}"}}"#, "x".repeat(5000)));
            s.play(Wire::default(), &[asked(long), asked(call())].concat());
            s.capture.snaplen(65_535);
        }),
    ]
}

/// Plays the call, then puts what `change` makes of it in the place of the packet that carries it.
fn in_parts(s: &mut Scene, (client, server): (&str, &str), change: fn(&[u8]) -> Vec<Vec<u8>>) {
    s.capture.play(client, server, Wire::default(), &asked(call()));
    let is_call = |frame: &[u8]| frame.windows(CALL.len()).any(|w| w == CALL.as_bytes());
    s.capture = s.capture.rewritten(|_, frame| if is_call(frame) { change(frame) } else { vec![frame.to_vec()] });
}

/// `bytes` of the packet in `frame` as a fragment.
fn cut(frame: &[u8], whole: &[u8], bytes: std::ops::Range<usize>) -> Vec<u8> {
    fragment(frame, bytes.start, bytes.end < whole.len(), &whole[bytes], 7)
}

/// What `frame` carries, with a request of the same length that is no MCP.
fn with_plain(frame: &[u8]) -> Vec<u8> {
    let whole = payload(frame);
    [&whole[..whole.len() - plain().len()], &plain()[..]].concat()
}

/// Behind the head of the request, on a boundary of eight bytes.
const IN_THE_BODY: usize = 160;

fn fragmented() -> Vec<Trick> {
    const V4: (&str, &str) = (Scene::CLIENT, Scene::SERVER);
    const V6: (&str, &str) = ("[fd00:66::1]:40001", "[fd00:66::2]:8000");
    let doubt = "which of two overlapping fragments counts, systems decide differently, or take neither (RFC 791 3.2)";
    vec![
        packets("tiny-fragments", "a datagram has no fragments (RFC 791 3.2)", Found, |s| {
            in_parts(s, V4, |frame| fragments(frame, 8, 7));
        }),
        packets("tiny-fragments-backwards", "fragments may come in any order (RFC 791 3.2)", Found, |s| {
            in_parts(s, V4, |frame| fragments(frame, 8, 7).into_iter().rev().collect());
        }),
        packets("tiny-fragments-ipv6", "a datagram has no fragments (RFC 8200 4.5)", Found, |s| {
            in_parts(s, V6, |frame| fragments(frame, 8, 7));
        }),
        packets("fragments-twice", "a copy of a fragment says nothing new (RFC 8200 4.5)", Found, |s| {
            in_parts(s, V6, |frame| fragments(frame, 64, 7).into_iter().flat_map(|f| [f.clone(), f]).collect());
        }),
        packets("overlapping-fragments-same", doubt, FoundOrNotice, |s| {
            in_parts(s, V4, |frame| {
                let whole = payload(frame);
                vec![cut(frame, whole, 0..IN_THE_BODY), cut(frame, whole, 40..whole.len())]
            });
        }),
        packets("overlapping-fragments-other-first", doubt, FoundOrNotice, |s| {
            in_parts(s, V4, |frame| {
                let (whole, other) = (payload(frame), with_plain(frame));
                let end = whole.len() / 8 * 8;
                vec![
                    cut(frame, &other, IN_THE_BODY..end),
                    cut(frame, whole, IN_THE_BODY..whole.len()),
                    cut(frame, whole, 0..IN_THE_BODY),
                ]
            });
        }),
        packets("overlapping-fragments-other-later", doubt, FoundOrNotice, |s| {
            in_parts(s, V4, |frame| {
                let (whole, other) = (payload(frame), with_plain(frame));
                vec![
                    cut(frame, whole, IN_THE_BODY..whole.len()),
                    cut(frame, &other, IN_THE_BODY..whole.len()),
                    cut(frame, whole, 0..IN_THE_BODY),
                ]
            });
        }),
        packets("fragments-of-two-ends", doubt, FoundOrNotice, |s| {
            in_parts(s, V4, |frame| {
                let whole = payload(frame);
                vec![
                    cut(frame, whole, IN_THE_BODY..whole.len()),
                    fragment(frame, IN_THE_BODY, false, &whole[IN_THE_BODY..IN_THE_BODY + 8], 7),
                    cut(frame, whole, 0..IN_THE_BODY),
                ]
            });
        }),
        packets("overlapping-fragments-ipv6", "every receiver throws the datagram away (RFC 5722 3)", Clean, |s| {
            in_parts(s, V6, |frame| {
                let whole = payload(frame);
                let other = with_plain(frame);
                vec![
                    cut(frame, &other, 40..48),
                    cut(frame, whole, 0..IN_THE_BODY),
                    cut(frame, whole, IN_THE_BODY..whole.len()),
                ]
            });
        }),
        packets("fragments-without-an-end", "what is not whole is not received (RFC 791 3.2)", Clean, |s| {
            in_parts(s, V4, |frame| {
                let mut parts = fragments(frame, 64, 7);
                parts.pop();
                parts
            });
        }),
        packets("atomic-fragment-among-others", "it is a packet of its own (RFC 6946 4)", Found, |s| {
            in_parts(s, V6, |frame| {
                let other = with_plain(frame);
                vec![cut(frame, &other, 0..IN_THE_BODY), fragment(frame, 0, false, payload(frame), 7)]
            });
        }),
    ]
}

fn tunnelled() -> Vec<Trick> {
    fn through(s: &mut Scene, carriers: &[Carrier]) {
        s.play(s.wire(), &asked(call()));
        let carry = |frame: &[u8]| carriers.iter().rev().fold(frame.to_vec(), |frame, c| c.carry(&frame));
        s.capture = s.capture.rewritten(|_, frame| vec![carry(frame)]);
    }
    vec![
        packets("nested-tunnels", "each router takes off its own", Found, |s| {
            through(s, &[Carrier::Mpls, Carrier::Gre(Some(9)), Carrier::InIpv4, Carrier::Vxlan(7)]);
        }),
        packets("nested-tunnels-as-deep-as-they-go", "each router takes off its own", Found, |s| {
            through(s, &[Carrier::InIpv4; net::MAX_TUNNELS]);
        }),
        packets("tunnel-in-fragments", "the outer packets are put together first", Found, |s| {
            through(s, &[Carrier::Vxlan(7)]);
            let mut id = 0;
            s.capture = s.capture.rewritten(|_, frame| {
                id += 1;
                fragments(frame, 64, id)
            });
        }),
        packets(
            "other-tunnel-with-the-same-addresses",
            "tenants may use the same addresses (RFC 7348 4)",
            Found,
            |s| {
                let mut other = Capture::new();
                other.play(Scene::CLIENT, Scene::SERVER, Wire::default(), &asked(plain()));
                through(s, &[Carrier::Vxlan(7)]);
                s.capture.merge(&other.rewritten(|_, frame| vec![Carrier::Vxlan(8).carry(frame)]));
            },
        ),
        packets("vxlan-with-reserved-bits", "receivers ignore them (RFC 7348 5)", Found, |s| {
            through(s, &[Carrier::Vxlan(7)]);
            s.capture = s.capture.rewritten(|_, frame| {
                let mut frame = frame.to_vec();
                frame[42] |= 0x31;
                frame[49] = 0xff;
                vec![frame]
            });
        }),
    ]
}

/// An answer of a name server with this question and answer section (RFC 1035 4.1).
fn dns(answers: u16, sections: &[u8]) -> Vec<u8> {
    [&[0x12, 0x34, 0x81, 0x80, 0, 1][..], &answers.to_be_bytes(), &[0, 0, 0, 0], sections].concat()
}

fn names() -> Vec<Trick> {
    const RESOLVER: &str = "10.66.0.2:53";
    const ASKER: &str = "10.66.0.1:5353";
    vec![
        packets("name-that-points-at-itself", "a pointer must point back (RFC 1035 4.1.4)", Clean, |s| {
            s.capture.datagram(RESOLVER, ASKER, &dns(1, &[0xc0, 12, 0, 1, 0, 1]));
            s.capture.datagram(RESOLVER, ASKER, &dns(1, &[1, b'a', 0xc0, 12, 0, 1, 0, 1, 0xc0, 12]));
        }),
        packets("names-that-point-at-each-other", "a pointer must point back (RFC 1035 4.1.4)", Clean, |s| {
            s.capture.datagram(RESOLVER, ASKER, &dns(1, &[0xc0, 14, 0xc0, 12, 0, 1, 0, 1]));
        }),
        packets("names-in-a-long-chain", "a chain of pointers ends somewhere (RFC 1035 4.1.4)", Clean, |s| {
            let chain: Vec<u8> = (0..8000_u16).flat_map(|n| (0xc000 | (12 + 2 * n)).to_be_bytes()).collect();
            s.capture.datagram(RESOLVER, ASKER, &dns(0xffff, &[&[0, 0, 1, 0, 1], &chain[..]].concat()));
        }),
        packets("answers-that-are-not-there", "counts and lengths beyond the datagram", Clean, |s| {
            let question = b"\x01a\x04corp\x00\x00\x01\x00\x01";
            for cut in [b"".as_slice(), b"\xc0", b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\xff\xff\x0a"] {
                s.capture.datagram(RESOLVER, ASKER, &dns(0xffff, &[question, cut].concat()));
            }
            s.capture.datagram(RESOLVER, ASKER, &[0x12, 0x34, 0x81]);
        }),
    ]
}
