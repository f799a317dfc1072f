//! HTTP/1 messages with their framing filled in.

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::io::Write;

/// A request or response head and its body. The head is given with `\n` line ends and becomes CRLF; a
/// `Content-Length` is added where the body is not empty and the head says nothing of framing.
pub fn message(head: &str, body: &[u8]) -> Vec<u8> {
    let head = head.trim_end_matches('\n');
    let lower = head.to_ascii_lowercase();
    let framed = lower.contains("\ncontent-length:") || lower.contains("\ntransfer-encoding:");
    let mut out = head.replace('\n', "\r\n").into_bytes();
    if !framed && !body.is_empty() {
        out.extend_from_slice(format!("\r\nContent-Length: {}", body.len()).as_bytes());
    }
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
    out
}

/// A message from one text: head, an empty line, body.
pub fn request(text: &str) -> Vec<u8> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    message(head, body.as_bytes())
}

/// A JSON POST as MCP clients of the handshake era send it.
pub fn post(host: &str, path: &str, extra: &str, json: &str) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\nHost: {host}\nContent-Type: application/json\nAccept: application/json, text/event-stream\n{extra}"
    );
    message(&head, json.as_bytes())
}

/// A 200 with a JSON body.
pub fn json(extra: &str, json: &str) -> Vec<u8> {
    message(&format!("HTTP/1.1 200 OK\nContent-Type: application/json\n{extra}"), json.as_bytes())
}

/// A head that announces chunks, followed by `body` in chunks of `size` bytes, each with `extension` (may be empty,
/// else starts with `;`), and the last chunk.
pub fn chunked(head: &str, body: &[u8], size: usize, extension: &str) -> Vec<u8> {
    let mut out = message(&format!("{}\nTransfer-Encoding: chunked", head.trim_end_matches('\n')), b"");
    out.extend_from_slice(&chunks(body, size, extension));
    out
}

/// `body` in chunks of `size` bytes, and the last chunk.
pub fn chunks(body: &[u8], size: usize, extension: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in body.chunks(size.max(1)) {
        out.extend_from_slice(format!("{:x}{extension}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// Events of an event stream: (name, data). An empty name leaves its line out; data with line breaks becomes several
/// `data:` lines; `eol` is the line end.
pub fn events(events: &[(&str, &str)], eol: &str) -> Vec<u8> {
    let mut out = String::new();
    for (name, data) in events {
        if !name.is_empty() {
            out.extend(["event: ", name, eol]);
        }
        for line in data.split('\n') {
            out.extend(["data: ", line, eol]);
        }
        out.push_str(eol);
    }
    out.into_bytes()
}

/// The gzip coding of `bytes`.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::new(6));
    out.write_all(bytes).expect("writing to memory");
    out.finish().expect("writing to memory")
}

/// The zlib coding of `bytes`, which HTTP calls `deflate`.
pub fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut out = ZlibEncoder::new(Vec::new(), Compression::new(6));
    out.write_all(bytes).expect("writing to memory");
    out.finish().expect("writing to memory")
}

/// The raw deflate stream of `bytes`, as `permessage-deflate` uses it.
pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = DeflateEncoder::new(Vec::new(), Compression::new(6));
    out.write_all(bytes).expect("writing to memory");
    out.finish().expect("writing to memory")
}

/// `bytes` as Brotli (RFC 7932) that stores instead of compressing: a window of 4 MiB, an empty last block.
pub fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // WBITS 22 in four bits, first of all; later blocks begin at a byte.
    let (mut bits, mut used) = (22_u32 - 17 << 1 | 1, 4);
    for piece in bytes.chunks(1 << 16) {
        // Not last, four nibbles of length less one, stored.
        bits |= ((piece.len() as u32 - 1) << 3 | 1 << 19) << used;
        used += 20;
        out.extend_from_slice(&bits.to_le_bytes()[..usize::div_ceil(used, 8)]);
        out.extend_from_slice(piece);
        (bits, used) = (0, 0);
    }
    out.push((bits | 3 << used) as u8);
    out
}

/// `bytes` as one Zstandard frame (RFC 8878) that stores instead of compressing, with a window of 1 MiB.
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 10 << 3];
    for piece in bytes.chunks(100_000) {
        out.extend_from_slice(&((piece.len() as u32) << 3).to_le_bytes()[..3]);
        out.extend_from_slice(piece);
    }
    // An empty last block.
    out.extend_from_slice(&[1, 0, 0]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_added_once_and_only_where_it_is_needed() {
        assert_eq!(request("GET / HTTP/1.1\nHost: a"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(request("POST / HTTP/1.1\n\nhello"), b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(
            message("POST / HTTP/1.1\nContent-Length: 9", b"hi"),
            b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhi"
        );
    }

    #[test]
    fn chunks_carry_their_sizes_and_extensions() {
        let got = chunked("POST / HTTP/1.1", b"abcd", 3, ";x=y");
        assert_eq!(
            got,
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n"
        );
    }

    #[test]
    fn events_may_have_names_and_several_lines() {
        assert_eq!(
            events(&[("endpoint", "/m"), ("", "a\nb")], "\n"),
            b"event: endpoint\ndata: /m\n\ndata: a\ndata: b\n\n"
        );
    }

    #[test]
    fn codings_can_be_undone() {
        use std::io::Read;
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&gzip(b"hello hello")[..]).read_to_end(&mut back).unwrap();
        flate2::read::ZlibDecoder::new(&zlib(b"hello hello")[..]).read_to_end(&mut back).unwrap();
        flate2::read::DeflateDecoder::new(&deflate(b"hello hello")[..]).read_to_end(&mut back).unwrap();
        assert_eq!(back, b"hello hello".repeat(3));
    }
}
