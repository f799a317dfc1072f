//! Tricks of name servers (RFC 1035), over UDP and TCP (RFC 7766).

use super::tls::KNOWN;
use super::{Scene, Trick, Truth, packets};
use crate::Direction::{ToClient, ToServer};
use crate::Wire;
use Truth::{Clean, Contact, FoundOrNotice};

pub(super) fn tricks() -> Vec<Trick> {
    [over_tcp(), names()].concat()
}

const RESOLVER: &str = "10.66.0.2:53";

/// A name in labels.
fn labels(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

/// A message with these flags that holds one question.
pub(super) fn question(flags: u16, name: &str, kind: u16) -> Vec<u8> {
    let head = [&[0x12, 0x34][..], &flags.to_be_bytes(), &[0, 1, 0, 0, 0, 0, 0, 0]].concat();
    [head, labels(name), kind.to_be_bytes().to_vec(), vec![0, 1]].concat()
}

fn asks(name: &str) -> Vec<u8> {
    question(0x0100, name, 1)
}

/// A message behind its length.
fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// Says this to a name server over TCP.
fn said(s: &mut Scene, wire: Wire, bytes: &[u8]) {
    let refused = framed(&question(0x8183, "www.corp.example", 1));
    s.capture.play(Scene::CLIENT, RESOLVER, wire, &[(ToServer, bytes.to_vec()), (ToClient, refused)]);
}

fn ask(s: &mut Scene, message: &[u8]) {
    s.capture.datagram(Scene::CLIENT, RESOLVER, message);
}

fn over_tcp() -> Vec<Trick> {
    const FRAMED: &str = "each message behind its length (RFC 1035 4.2.2)";
    vec![
        packets("dns-over-tcp", FRAMED, Contact, |s| said(s, s.wire(), &framed(&asks(KNOWN)))),
        packets("dns-over-tcp-byte-by-byte", FRAMED, Contact, |s| said(s, Wire::cut(1), &framed(&asks(KNOWN)))),
        packets("dns-over-tcp-out-of-order", FRAMED, Contact, |s| {
            said(s, Wire { reorder: 4, duplicate: 3, ..Wire::cut(5) }, &framed(&asks(KNOWN)));
        }),
        packets("dns-questions-in-a-row", "a client need not wait (RFC 7766 6.2.1.1)", Contact, |s| {
            let mut all = framed(&asks("www.corp.example")).repeat(60);
            all.extend(framed(&asks(KNOWN)));
            said(s, s.wire(), &all);
        }),
        packets("dns-behind-a-long-message", "a message has up to 64 KiB (RFC 1035 4.2.2)", Contact, |s| {
            let mut long = asks("www.corp.example");
            long.resize(60_000, 0);
            said(s, s.wire(), &[framed(&long), framed(&asks(KNOWN))].concat());
        }),
        packets("dns-over-tcp-name-that-points-at-itself", "a pointer must point back (RFC 1035 4.1.4)", Clean, |s| {
            let looped = [&asks("")[..12], &[0xc0, 12, 0, 1, 0, 1]].concat();
            said(s, s.wire(), &framed(&looped).repeat(20));
        }),
        packets("dns-behind-a-name-that-points-at-itself", "the next message stands by itself", Contact, |s| {
            let looped = [&asks("")[..12], &[0xc0, 12, 0, 1, 0, 1]].concat();
            said(s, s.wire(), &[framed(&looped), framed(&asks(KNOWN))].concat());
        }),
    ]
}

fn names() -> Vec<Trick> {
    vec![
        packets("dns-name-in-odd-case", "names have no case (RFC 4343)", Contact, |s| ask(s, &asks("mCp.LiNeAr.ApP"))),
        packets("dns-question-for-another-record", "whoever asks of the name means the host", Contact, |s| {
            ask(s, &question(0x0100, KNOWN, 65));
        }),
        packets("dns-known-name-below-another", "a search list adds the site's own domain", FoundOrNotice, |s| {
            ask(s, &asks(&format!("{KNOWN}.corp.example")));
        }),
        packets("dns-dot-inside-a-label", "another name: dots stand between labels only (RFC 1035 5.1)", Clean, |s| {
            let name = b"\x0amcp.linear\x03app\0\0\x01\0\x01";
            ask(s, &[&asks("")[..12], name].concat());
        }),
        packets("dns-known-name-in-an-answer", "an answer says what was asked, not who asks", Clean, |s| {
            let mut message = question(0x8180, "www.corp.example", 16);
            message[7] = 1;
            let text = [&[KNOWN.len() as u8][..], KNOWN.as_bytes()].concat();
            message.extend_from_slice(&[0xc0, 0x0c, 0, 16, 0, 1, 0, 0, 0, 60, 0, text.len() as u8]);
            message.extend(text);
            s.capture.datagram(RESOLVER, Scene::CLIENT, &message);
        }),
    ]
}
