//! What the first bytes of a direction are. Every answer tells "not enough yet" from "never".

use crate::http1::{Look, Wanted, look_at_start_line};
use crate::tls::{Likeness, looks_like_client_hello, looks_like_server_hello};

/// A verdict on the beginning of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// More bytes are needed; never said of [`DECIDED_AT`] bytes or more.
    More,
    /// It may be an HTTP/1 head (its start line decides).
    Http1,
    /// A TLS handshake.
    Tls,
    /// The HTTP/2 preface of a client, or the SETTINGS frame a server begins with.
    Http2,
    /// SSH.
    Ssh,
    /// A message to or from a name server, with its length in front.
    Dns,
    /// So many bytes stand before the protocol proper: blank lines or a PROXY protocol header.
    Skip(usize),
    /// None of these.
    Unknown,
}

/// So many bytes always give a verdict.
pub(crate) const DECIDED_AT: usize = 128;

/// Longest PROXY protocol v1 line, CRLF included (PROXY protocol specification §2.1).
const PROXY_V1_MAX: usize = 107;
/// How a PROXY protocol v2 header begins (§2.2).
const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Connection preface of an HTTP/2 client (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Judges the first bytes of a direction. `wanted` says which heads would do.
pub(crate) fn first(b: &[u8], wanted: Wanted) -> First {
    for (probe, verdict) in [
        (proxy_v2(b), None),
        (proxy_v1(b), None),
        (prefix(b, HTTP2_PREFACE), Some(First::Http2)),
        (http2_settings(b), Some(First::Http2)),
        (prefix(b, b"SSH-"), Some(First::Ssh)),
        (tls(b), Some(First::Tls)),
        (dns(b), Some(First::Dns)),
    ] {
        match probe {
            Probe::Yes(n) => return verdict.unwrap_or(First::Skip(n)),
            Probe::More => return First::More,
            Probe::No => {}
        }
    }
    let blank = b.iter().take_while(|c| matches!(c, b'\r' | b'\n')).count();
    if blank > 0 {
        return First::Skip(blank);
    }
    match look_at_start_line(b, wanted) {
        Look::No => First::Unknown,
        Look::More | Look::Yes(_) => First::Http1,
    }
}

/// Whether `b` begins with the header of a TLS record of any kind (RFC 8446 §5.1): `Some(true)` where a second
/// record follows in place, `Some(false)` where that cannot be seen.
pub(crate) fn tls_record(b: &[u8]) -> Option<bool> {
    let len = tls_record_len(b)?;
    match b.get(5 + len..) {
        Some([]) | None => Some(false),
        Some(next) if next.len() < 5 => Some(false),
        Some(next) => tls_record_len(next).map(|_| true),
    }
}

/// Whether `b` is a chunk-size line and the beginning of an event stream or of JSON: a chunked body already
/// running. Only sure answers, so a piece that shows less is not taken.
pub(crate) fn running_chunk(b: &[u8]) -> bool {
    let digits = b.iter().take_while(|c| c.is_ascii_hexdigit()).count();
    let (Some(size), Some(rest)) = (b.get(..digits), b.get(digits..)) else { return false };
    if !(1..=8).contains(&digits) || size.iter().all(|&c| c == b'0') {
        return false;
    }
    rest.strip_prefix(b"\r\n").is_some_and(|content| {
        [&b"event:"[..], b"data:", b"id:", b"retry:", b":", b"{"].iter().any(|sign| content.starts_with(sign))
    })
}

/// Whether bytes begin a thing, cannot, or are too few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// They do; so many bytes were needed (or belong to it).
    Yes(usize),
    /// Too few.
    More,
    /// They cannot.
    No,
}

/// Whether `b` begins with `magic`.
pub(crate) fn prefix(b: &[u8], magic: &[u8]) -> Probe {
    if b.starts_with(magic) {
        Probe::Yes(magic.len())
    } else if magic.starts_with(b) {
        Probe::More
    } else {
        Probe::No
    }
}

fn proxy_v2(b: &[u8]) -> Probe {
    match prefix(b, PROXY_V2) {
        Probe::Yes(_) => match b.get(12..16) {
            Some(&[_, _, hi, lo]) => Probe::Yes(16 + usize::from(u16::from_be_bytes([hi, lo]))),
            _ => Probe::More,
        },
        other => other,
    }
}

fn proxy_v1(b: &[u8]) -> Probe {
    match prefix(b, b"PROXY ") {
        Probe::Yes(_) => {}
        other => return other,
    }
    let line = b.get(..PROXY_V1_MAX).unwrap_or(b);
    match memchr::memchr(b'\n', line) {
        // "PROXY /x HTTP/1.1" is an odd request, not this.
        Some(end) if line.starts_with(b"PROXY TCP") || line.starts_with(b"PROXY UNKNOWN") => Probe::Yes(end + 1),
        Some(_) => Probe::No,
        None if b.len() >= PROXY_V1_MAX => Probe::No,
        None => Probe::More,
    }
}

/// The SETTINGS frame that opens a server's side (RFC 9113 §6.5): whole settings, no flags, stream 0.
fn http2_settings(b: &[u8]) -> Probe {
    let fits = b.iter().zip(0_usize..9).all(|(&c, i)| match i {
        2 => c % 6 == 0,
        3 => c == 4,
        _ => c == 0,
    });
    match (fits, b.len() >= 9) {
        (false, _) => Probe::No,
        (true, true) => Probe::Yes(9),
        (true, false) => Probe::More,
    }
}

/// A DNS message with its length in front (RFC 1035 §4.1.1, §4.2.2): a query for one name, with at most the additional
/// records that queries have, or an answer to one.
fn dns(b: &[u8]) -> Probe {
    // The least: a header, and a question about the root.
    const LEAST: u8 = 12 + 1 + 4;
    let answer = b.get(4).is_some_and(|flags| flags & 0x80 != 0);
    let fits = b.iter().zip(0_usize..14).all(|(&c, i)| match i {
        1 => c >= LEAST || b.first().is_some_and(|&high| high > 0),
        // Opcode QUERY; the reserved bit.
        4 => c & 0x78 == 0,
        5 => c & 0x40 == 0,
        6 | 8 | 10 | 12 => c == 0,
        7 => c == 1,
        9 | 11 => answer || c == 0,
        13 => answer || c <= 2,
        _ => true,
    });
    // Much else may begin with two bytes and wait: only a query of ordinary length is waited for.
    let ordinary = matches!(b, [] | [0, ..]);
    match (fits, b.len() >= 14) {
        (true, true) => Probe::Yes(14),
        (true, false) if ordinary => Probe::More,
        _ => Probe::No,
    }
}

/// A client or server hello, over however many records.
fn tls(b: &[u8]) -> Probe {
    match (looks_like_client_hello(b), looks_like_server_hello(b)) {
        (Likeness::Yes, _) | (_, Likeness::Yes) => Probe::Yes(0),
        (Likeness::NotEnough, _) | (_, Likeness::NotEnough) => Probe::More,
        (Likeness::No, Likeness::No) => Probe::No,
    }
}

/// A handshake record with a client or server hello in front (RFC 8446 §4, §5.1).
pub(crate) fn tls_hello(b: &[u8]) -> Probe {
    let fits = b.iter().zip(0_usize..6).all(|(&c, i)| match i {
        0 => c == 22,
        1 => c == 3,
        2 => c <= 4,
        3 => c <= 0x48,
        5 => c == 1 || c == 2,
        _ => true,
    });
    match (fits, b.len() >= 6) {
        (false, _) => Probe::No,
        (true, true) => Probe::Yes(6),
        (true, false) => Probe::More,
    }
}

fn tls_record_len(b: &[u8]) -> Option<usize> {
    match b {
        &[20..=23, 3, 1..=4, hi, lo, ..] => {
            let len = usize::from(u16::from_be_bytes([hi, lo]));
            (1..=(1 << 14) + 2048).contains(&len).then_some(len)
        }
        _ => None,
    }
}
