//! Tricks of content codings (RFC 9110 8.4): a body that says something only to who decodes it.

use super::{CALL, HOST, TOOLS, Trick, answered, asked, call, clean, either, found};
use crate::{Turn, http};
use flate2::{Compress, Compression, Crc, FlushCompress, GzBuilder};
use std::io::Write;

pub(super) fn tricks() -> Vec<Trick> {
    [honest(), labels(), broken(), bombs()].concat()
}

/// A request with this label, and a body as it is.
fn coded(label: &str, body: &[u8]) -> Vec<Turn> {
    let line = if label.is_empty() { String::new() } else { format!("\nContent-Encoding: {label}") };
    let head = format!("POST /rpc HTTP/1.1\nHost: {HOST}\nContent-Type: application/json{line}");
    asked(http::message(&head, body))
}

/// An answer with this label, in chunks that are given.
fn streamed(label: &str, chunks: &[Vec<u8>]) -> Vec<Turn> {
    let head = format!(
        "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nContent-Encoding: {label}\nTransfer-Encoding: chunked"
    );
    let mut out = http::message(&head, b"");
    for chunk in chunks {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    answered(out)
}

/// The answer as events, in pieces.
fn pieces() -> Vec<Vec<u8>> {
    http::events(&[("message", TOOLS)], "\n").chunks(17).map(<[u8]>::to_vec).collect()
}

/// A gzip member with a name, a comment and an extra field (RFC 1952 2.3).
fn decorated(bytes: &[u8]) -> Vec<u8> {
    let builder = GzBuilder::new().filename("x".repeat(300)).comment("a comment").extra(vec![b'{'; 200]).mtime(7);
    let mut out = builder.write(Vec::new(), Compression::new(6));
    out.write_all(bytes).expect("writing to memory");
    out.finish().expect("writing to memory")
}

fn honest() -> Vec<Trick> {
    vec![
        found("gzip-members", "members add up (RFC 1952 2.2)", || {
            let (a, b) = CALL.as_bytes().split_at(40);
            coded("gzip", &[http::gzip(a), http::gzip(b""), http::gzip(b)].concat())
        }),
        found("gzip-member-for-each-byte", "members add up (RFC 1952 2.2)", || {
            coded("gzip", &CALL.as_bytes().chunks(1).flat_map(http::gzip).collect::<Vec<_>>())
        }),
        found("gzip-name-and-comment", "optional fields are passed over (RFC 1952 2.3)", || {
            coded("gzip", &decorated(CALL.as_bytes()))
        }),
        found("gzip-by-its-old-name", "`x-gzip` is the same (RFC 9110 8.4.1.3)", || {
            coded("X-GZip", &http::gzip(CALL.as_bytes()))
        }),
        either("deflate-raw", "the name means zlib; some send and take it raw (RFC 9110 8.4.1.2)", || {
            coded("deflate", &http::deflate(CALL.as_bytes()))
        }),
        found("deflate-zlib", "the name means zlib (RFC 9110 8.4.1.2)", || {
            coded("deflate", &http::zlib(CALL.as_bytes()))
        }),
        found("stack-of-two", "taken off last first (RFC 9110 8.4)", || {
            coded("gzip, deflate", &http::zlib(&http::gzip(CALL.as_bytes())))
        }),
        found("stack-in-two-fields", "fields of one name are one list (RFC 9110 5.3)", || {
            coded("deflate\nContent-Encoding: gzip", &http::gzip(&http::zlib(CALL.as_bytes())))
        }),
        found("stack-of-three", "taken off last first (RFC 9110 8.4)", || {
            coded("zstd, br, gzip", &http::gzip(&http::brotli(&http::zstd(CALL.as_bytes()))))
        }),
        either("stack-of-thirty", "how deep a receiver goes is its affair", || {
            let body = (0..30).fold(CALL.as_bytes().to_vec(), |bytes, _| http::gzip(&bytes));
            coded(&["gzip"; 30].join(", "), &body)
        }),
        found("brotli", "RFC 7932", || coded("br", &http::brotli(CALL.as_bytes()))),
        found("zstd", "RFC 8878", || coded("zstd", &http::zstd(CALL.as_bytes()))),
        found("zstd-frames", "frames add up, skippable ones say nothing (RFC 8878 3.1)", || {
            let (a, b) = CALL.as_bytes().split_at(40);
            let skipped = b"\x5a\x2a\x4d\x18\x05\0\0\0{\"a\":";
            coded("zstd", &[&http::zstd(a)[..], skipped, &http::zstd(b"")[..], &http::zstd(b)[..]].concat())
        }),
        found("coded-chunk-by-chunk", "the coding goes over the chunks (RFC 9112 7)", || {
            let mut coder = Compress::new_with_window_bits(Compression::new(6), false, 15);
            let head = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
            let mut chunks = vec![head];
            for piece in pieces() {
                let mut out = Vec::with_capacity(200);
                coder.compress_vec(&piece, &mut out, FlushCompress::Sync).expect("compressing to memory");
                chunks.push(out);
            }
            let all = pieces().concat();
            let mut crc = Crc::new();
            crc.update(&all);
            chunks.push([&[3, 0][..], &crc.sum().to_le_bytes(), &crc.amount().to_le_bytes()].concat());
            streamed("gzip", &chunks)
        }),
        found("member-for-each-chunk", "members add up (RFC 1952 2.2)", || {
            streamed("gzip", &pieces().iter().map(|piece| http::gzip(piece)).collect::<Vec<_>>())
        }),
    ]
}

fn labels() -> Vec<Trick> {
    const WRONG: &str = "receivers fail, or look at what is there";
    vec![
        either("labelled-gzip-and-plain", WRONG, || coded("gzip", CALL.as_bytes())),
        either("labelled-brotli-and-plain", WRONG, || coded("br", CALL.as_bytes())),
        either("labelled-deflate-and-gzip", WRONG, || coded("deflate", &http::gzip(CALL.as_bytes()))),
        either("labelled-brotli-and-gzip", WRONG, || coded("br", &http::gzip(CALL.as_bytes()))),
        either("labelled-zstd-and-zlib", WRONG, || coded("zstd", &http::zlib(CALL.as_bytes()))),
        either("labelled-by-an-unknown-word", WRONG, || coded("x-odd", CALL.as_bytes())),
        either("labelled-by-an-unknown-word-and-gzip", WRONG, || coded("x-odd", &http::gzip(CALL.as_bytes()))),
        either("gzip-without-a-label", WRONG, || coded("", &http::gzip(CALL.as_bytes()))),
        either("zlib-without-a-label", WRONG, || coded("", &http::zlib(CALL.as_bytes()))),
        either("zstd-without-a-label", WRONG, || coded("", &http::zstd(CALL.as_bytes()))),
        either("gzip-twice-labelled-once", WRONG, || coded("gzip", &http::gzip(&http::gzip(CALL.as_bytes())))),
        found("labelled-identity", "no coding at all (RFC 9110 12.5.3)", || coded("identity", CALL.as_bytes())),
        clean("gzip-of-a-page", "a page that quotes MCP, coded", || {
            let page = format!("<html><pre>{CALL}</pre></html>");
            let head = "HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Encoding: gzip";
            answered(http::message(head, &http::gzip(page.as_bytes())))
        }),
    ]
}

fn broken() -> Vec<Trick> {
    vec![
        either("gzip-without-its-end", "an error; what came before it was read already", || {
            let body = http::gzip(CALL.as_bytes());
            coded("gzip", &body[..body.len() - 8])
        }),
        either("gzip-cut-in-the-message", "an error; what came before it was read already", || {
            let long = CALL.replace("budget", &"budget of the year ".repeat(200));
            let body = http::gzip(long.as_bytes());
            coded("gzip", &body[..body.len() * 2 / 3])
        }),
        either("gzip-with-a-wrong-sum", "an error (RFC 1952 2.3.1); what came before it was read already", || {
            let mut body = http::gzip(CALL.as_bytes());
            let at = body.len() - 6;
            body[at] ^= 0xff;
            coded("gzip", &body)
        }),
        either("gzip-with-rubbish-behind", "an error or let be", || {
            coded("gzip", &[&http::gzip(CALL.as_bytes())[..], b"\x00\x1f\x8brubbish"].concat())
        }),
        either("gzip-broken-inside", "an error; what came before it was read already", || {
            let long = format!("{CALL}\n{{\"note\":\"{}\"}}", "abcdefgh01234567".repeat(100));
            let mut body = http::gzip(long.as_bytes());
            let at = body.len() - 20;
            body[at..at + 8].fill(0xee);
            coded("gzip", &body)
        }),
    ]
}

/// Ten gibibytes of blanks and then `last`, as gzip in some ten megabytes.
fn ten_gigabytes(last: &[u8]) -> Vec<u8> {
    const TIMES: usize = 10 << 10;
    let blanks = vec![b' '; 1 << 20];
    let mut coder = Compress::new(Compression::new(9), false);
    let mut unit = Vec::with_capacity(1 << 16);
    // After a full flush the same bytes mean the same again, so one unit can be repeated.
    coder.compress_vec(&blanks, &mut unit, FlushCompress::Full).expect("compressing to memory");
    let mut one = Crc::new();
    one.update(&blanks);
    let mut crc = Crc::new();
    (0..TIMES).for_each(|_| crc.combine(&one));
    crc.update(last);
    let mut end = Vec::with_capacity(1 << 16);
    Compress::new(Compression::new(9), false).compress_vec(last, &mut end, FlushCompress::Finish).expect("to memory");
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
    [&head[..], &unit.repeat(TIMES), &end, &crc.sum().to_le_bytes(), &crc.amount().to_le_bytes()].concat()
}

/// 64 MiB of zeros as Brotli with a window of 4 MiB.
const BROTLI_BOMB: [u8; 104] = [
    0xcb, 0xff, 0xff, 0x3f, 0xf8, 0x27, 0x00, 0xe2, 0xb1, 0x40, 0x20, 0xf7, 0xfe, 0x8f, 0xff, 0xff, 0x7f, 0xf0, 0x4f,
    0x00, 0xc4, 0x61, 0x11, 0x80, 0xee, 0xfd, 0x1f, 0xff, 0xff, 0xff, 0xe0, 0x9f, 0x00, 0x88, 0xc3, 0x02, 0x00, 0xdd,
    0xfb, 0x3f, 0xfe, 0xff, 0xff, 0xc1, 0x3f, 0x01, 0x10, 0x87, 0x05, 0x00, 0xba, 0xf7, 0x7f, 0xfc, 0xff, 0xff, 0x83,
    0x7f, 0x02, 0x20, 0x0e, 0x0b, 0x00, 0x74, 0xef, 0xff, 0xf8, 0xff, 0xff, 0x07, 0xff, 0x04, 0x40, 0x1c, 0x16, 0x00,
    0xe8, 0xde, 0xff, 0xf1, 0xff, 0xff, 0x0f, 0xfe, 0x09, 0x80, 0x38, 0x2c, 0x00, 0xd0, 0xbd, 0xff, 0xcb, 0xff, 0xff,
    0x3f, 0xfc, 0x13, 0x00, 0x71, 0x58, 0x00, 0xa0, 0x7b,
];

/// Ten gibibytes of zeros as one Zstandard frame: runs of 128 KiB in four bytes each (RFC 8878 3.1.1.2).
fn zstd_bomb() -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 10 << 3];
    for _ in 0..80 << 10 {
        frame.extend_from_slice(&((128_u32 << 10) << 3 | 1 << 1).to_le_bytes()[..3]);
        frame.push(0);
    }
    frame.extend_from_slice(&[1, 0, 0]);
    frame
}

fn bombs() -> Vec<Trick> {
    const LIMIT: &str = "how much a receiver decodes is its affair; the sensor stops and says so";
    vec![
        either("bomb-gzip-in-gzip", LIMIT, || coded("gzip, gzip", &http::gzip(&ten_gigabytes(CALL.as_bytes())))),
        either("bomb-zstd", LIMIT, || coded("zstd", &zstd_bomb())),
        either("bomb-brotli", LIMIT, || coded("br", &BROTLI_BOMB)),
        found("bomb-and-then-mcp", "the next request on the connection is one like any other", || {
            let bomb = http::gzip(&vec![0; 64 << 20]);
            [coded("gzip", &bomb), asked(call())].concat()
        }),
    ]
}
