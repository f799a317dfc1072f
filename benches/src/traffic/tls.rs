//! What TLS looks like from outside (RFC 8446): hellos that can be read, and records that cannot.

use crate::bodies;
use testkit::{Direction, Rng, Turn};

/// A session that carries about `len` bytes to the client.
pub(super) fn session(rng: &mut Rng, name: &str, len: usize) -> Vec<Turn> {
    let mut up = record(22, &client_hello(rng, name));
    let mut down = record(22, &server_hello(rng));
    for (out, size) in [(&mut up, 80), (&mut down, 2400)] {
        out.extend(record(20, &[1]));
        let sealed = bodies::opaque(rng, size);
        out.extend(record(23, &sealed));
    }
    let mut turns = vec![(Direction::ToServer, up), (Direction::ToClient, down)];
    let mut left = len;
    while left > 0 {
        let part = left.min(4000 + rng.below(60_000));
        left -= part;
        let asked = bodies::opaque(rng, 300);
        turns.push((Direction::ToServer, record(23, &asked)));
        let sealed = bodies::opaque(rng, part);
        turns.push((Direction::ToClient, sealed.chunks(16_000).flat_map(|piece| record(23, piece)).collect()));
    }
    turns
}

fn record(kind: u8, fragment: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 3, 3];
    out.extend_from_slice(&(fragment.len() as u16).to_be_bytes());
    out.extend_from_slice(fragment);
    out
}

/// `bytes` behind their length.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

fn extension(number: u16, content: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &counted(content)].concat()
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, len @ ..] = (body.len() as u32).to_be_bytes();
    [&[kind], &len[..], body].concat()
}

fn client_hello(rng: &mut Rng, name: &str) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(bodies::opaque(rng, 32));
    body.push(32);
    body.extend(bodies::opaque(rng, 32));
    body.extend(counted(&[0x13, 1, 0x13, 2, 0x13, 3, 0xc0, 0x2b, 0xc0, 0x2f]));
    body.extend([1, 0]);
    let key = bodies::opaque(rng, 32);
    let extensions = [
        extension(0, &counted(&[&[0], &counted(name.as_bytes())[..]].concat())),
        extension(10, &counted(&[0, 29, 0, 23])),
        extension(13, &counted(&[4, 3, 8, 4])),
        extension(16, &counted(b"\x02h2\x08http/1.1")),
        extension(43, &[2, 3, 4]),
        extension(51, &counted(&[&[0, 29], &counted(&key)[..]].concat())),
    ];
    body.extend(counted(&extensions.concat()));
    handshake(1, &body)
}

fn server_hello(rng: &mut Rng) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(bodies::opaque(rng, 32));
    body.push(32);
    body.extend(bodies::opaque(rng, 32));
    body.extend([0x13, 1, 0]);
    let key = bodies::opaque(rng, 32);
    let extensions = [extension(43, &[3, 4]), extension(51, &[&[0, 29], &counted(&key)[..]].concat())];
    body.extend(counted(&extensions.concat()));
    handshake(2, &body)
}
