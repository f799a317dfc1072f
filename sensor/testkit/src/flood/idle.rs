//! Connections that said something and are silent now, and such as say one thing only.

use super::wire::{Stream, Tcp};
use super::{INITIALIZE, INITIALIZED, Kind, MSS, get};
use crate::Direction::{ToClient, ToServer};
use crate::{Rng, http, http2, tls};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// Streams of each connection of [`Kind::OpenStreams`].
const STREAMS: u32 = 500;

/// The `n`th connection of a kind that stays open.
pub(super) fn play(out: &mut Stream<'_>, kind: Kind, n: u32, mut tcp: Tcp) -> io::Result<()> {
    let host = format!("h{n}.flood.example");
    tcp.open(out)?;
    match kind {
        Kind::IdleTls => {
            let hello = tls::records(&tls::Hello::client(&host).client_message(), 16_384);
            tcp.send(out, ToServer, &hello, MSS)?;
            let answer = tls::records(&tls::Hello::server13().server_message(), 16_384);
            tcp.send(out, ToClient, &[answer, tls::record(23, &[7; 600])].concat(), MSS)?;
            tcp.send(out, ToServer, &tls::record(23, &[8; 90]), MSS)?;
            tcp.send(out, ToClient, &tls::record(23, &[9; 300]), MSS)
        }
        Kind::IdleEvents => {
            tcp.send(out, ToServer, &http::post(&host, "/mcp", "", INITIALIZE), MSS)?;
            let id = format!("Mcp-Session-Id: {n:024x}\n");
            tcp.send(out, ToClient, &http::json(&id, INITIALIZED), MSS)?;
            let listen = format!(
                "GET /mcp HTTP/1.1\nHost: {host}\nAccept: text/event-stream\nMCP-Protocol-Version: 2025-06-18\n{id}\n"
            );
            tcp.send(out, ToServer, &http::request(&listen), MSS)?;
            let stream = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked";
            let ping =
                b"event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
            let first = [http::message(stream, b""), http::chunks(ping, 1 << 14, "")].concat();
            // All but the last chunk.
            tcp.send(out, ToClient, first.get(..first.len() - 5).unwrap_or_default(), MSS)
        }
        Kind::OpenStreams => {
            let mut encoder = http2::Encoder::default();
            let mut frames = http2::Frames::client().settings(&[(3, 1000)]);
            for stream in 0..STREAMS {
                let path = format!("/orders/{stream}");
                let block = encoder.request("POST", &path, &[("content-type", "application/json")]);
                frames = frames.headers(2 * stream + 1, &block, false).data(2 * stream + 1, b"{\"order\":[", false);
            }
            tcp.send(out, ToServer, &frames.bytes(), MSS)
        }
        _ => {
            tcp.send(out, ToServer, &get(&host, n), MSS)?;
            let page = "HTTP/1.1 200 OK\nContent-Type: text/html\nServer: shop/2.1";
            tcp.send(out, ToClient, &http::message(page, &b"<p>Nothing new.</p>\n".repeat(8)), MSS)
        }
    }
}

/// One packet with payload, of random ends: in turns the beginning of a request, of an answer, and a datagram.
pub(super) fn lone(out: &mut Stream<'_>, rng: &mut Rng, n: u32) -> io::Result<()> {
    let (bits, ports) = (rng.next_u64(), rng.next_u64());
    let end = |bits: u64, port: u16| -> SocketAddr {
        (Ipv4Addr::from_bits(16 << 24 | (bits as u32 & 0x7fff_ffff)), port).into()
    };
    let (client, server) = (end(bits, (ports as u16).max(1024)), end(bits >> 32, 8080));
    match n % 3 {
        0 => Tcp::new(client, server).send(out, ToServer, &get("one.flood.example", n), MSS),
        1 => {
            let answer = http::message("HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Length: 100000", b"<p>");
            Tcp::new(client, server).send(out, ToClient, &answer, MSS)
        }
        _ => out.datagram(client, server, &ports.to_be_bytes().repeat(12)),
    }
}
