//! `cargo xtask seeds`: starting inputs for the fuzz targets, made from the other fixtures.
//!
//! Small on purpose: a fuzzer mutates short inputs best. The first bytes of some targets steer them (where to cut,
//! which side), so seeds of those come with a few such prefixes.

use crate::root;
use anyhow::{Context, Result, anyhow};
use std::fs;
use std::path::{Path, PathBuf};
use testkit::carrier::Carrier;
use testkit::tls::{Hello, record};
use testkit::vector::Vector;
use testkit::{Capture, Direction, Link, Wire, http, websocket};

/// The engine's seeds begin with four lines of patterns.
const PATTERNS: &str =
    "\"method\"\\s{0,5}:\\s{0,5}\"tools/call\"\n\"protocolVersion\"\\s{0,5}:\njsonrpc.{1,20}id\n[0-9]{3}\n";

/// Seeds longer than this are cut.
const MAX_SEED: usize = 4096;

/// Writes every seed folder again. Seeds that were found by fuzzing (`found-`) or made by hand (`made-`) stay.
pub(crate) fn run() -> Result<()> {
    let vectors = vectors()?;
    let mut count = 0;
    let mut put = |target: &str, name: &str, bytes: &[u8]| -> Result<()> {
        let folder = root().join("fixtures/seeds").join(target);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        fs::write(folder.join(name), bytes.get(..MAX_SEED).unwrap_or(bytes)).with_context(|| name.to_owned())?;
        count += 1;
        Ok(())
    };
    clear()?;
    for (name, link, capture) in captures() {
        let pcap = capture.pcap();
        put("reader", &format!("{name}.pcap"), &pcap)?;
        put("reader", &format!("{name}.pcap.gz"), &http::gzip(&pcap))?;
        for (n, (_, frame)) in capture.frames().iter().enumerate().filter(|(n, _)| n % 4 == 3 || *n == 0) {
            put("decode", &format!("{name}-{n}"), &[&[0, link, 0][..], frame].concat())?;
        }
    }
    put("reader", "pcapng", &pcapng())?;
    let hello = record(22, &Hello::client("mcp.example").client_message());
    put("tls", "client-hello", &[&[255][..], &hello].concat())?;
    put("tls", "server-hello", &[&[0][..], &record(22, &Hello::server13().server_message())].concat())?;
    sealed(&mut put)?;
    for steps in ["in-order", "holes", "repeats", "swapped"] {
        put("reassembly", steps, &script(steps))?;
    }
    for (carrier, name) in carriers() {
        for (n, (_, frame)) in short().frames().iter().enumerate().filter(|(n, _)| *n == 0 || *n == 3) {
            put("decode", &format!("{name}-{n}"), &[&[0, 1, 0][..], &carrier.carry(frame)].concat())?;
        }
    }
    for (name, order) in [("in-order", [0, 1, 2]), ("reversed", [2, 1, 0]), ("repeated", [0, 1, 1])] {
        for version in [0, 1] {
            put("fragments", &format!("{name}-{version}"), &fragments(version, &order))?;
        }
    }
    for vector in &vectors {
        for (n, block) in vector.blocks.iter().enumerate() {
            let name = format!("{}-{n}", vector.id);
            // A script of one event: options, kind (data, with the side in its lowest bit), length, data.
            let length = u16::try_from(block.bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
            let event = [4, 4 | u8::from(block.direction == Direction::ToClient), length[0], length[1]];
            let body = block.bytes.windows(4).position(|w| w == b"\r\n\r\n").map_or(0, |at| at + 4);
            let (head, body) = block.bytes.split_at(body);
            put("http1", &name, &[&event[..], &block.bytes].concat())?;
            put("headers", &name, &fields(head))?;
            if body.starts_with(b"data:") || body.starts_with(b"event:") || body.starts_with(b"id:") {
                put("sse", &name, &[&[9][..], body].concat())?;
            } else if !body.is_empty() {
                put("json", &name, &[&[6][..], body].concat())?;
                put("engine", &name, &[PATTERNS.as_bytes(), body].concat())?;
            }
        }
    }
    let answer = br#"{"output":[{"type":"mcp_list_tools","server_label":"n","tools":[{"name":"echo"}]},{"type":"mcp_call","id":"1","name":"echo","error":null}]}"#;
    put("json", "provider-answer", &[&[6][..], answer].concat())?;
    let text = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    // Where to cut, which coding (and with 16 a second one), body.
    let codings: [(u8, &str, Vec<u8>); 6] = [
        (0, "gzip", http::gzip(text)),
        (1, "deflate", http::zlib(text)),
        (1, "deflate-raw", http::deflate(text)),
        (2, "brotli", brotli(text)),
        (3, "zstd", zstd(text)),
        (16, "gzip-twice", http::gzip(&http::gzip(text))),
    ];
    for (mode, name, body) in codings {
        put("coding", name, &[&[9, mode][..], &body].concat())?;
    }
    let key = Some([0x37, 0xfa, 0x21, 0x3d]);
    let (head, tail) = text.split_at(20);
    let frames = [
        ("masked", websocket::frame(1, text, key)),
        ("plain", websocket::frame(1, text, None)),
        (
            "control-between",
            [
                websocket::fragment(false, 1, head, key),
                websocket::frame(9, b"hi", key),
                websocket::fragment(true, 0, tail, key),
            ]
            .concat(),
        ),
        ("close", websocket::frame(8, &[3, 232], key)),
    ];
    for (name, frame) in frames {
        for mode in [0, 1, 2, 3] {
            put("websocket", &format!("{name}-{mode}"), &[&[5, mode][..], &frame].concat())?;
        }
    }
    for path in files(&root().join("rules"), "toml")? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path)?;
        // Whole tables: the pack, then one signature a seed.
        let mut tables = text.split("\n[[signature]]");
        put("rules", &format!("{name}-pack"), tables.next().unwrap_or_default().as_bytes())?;
        for (n, table) in tables.enumerate().take(3) {
            put(
                "rules",
                &format!("{name}-{n}"),
                format!("[pack]\nid = \"p\"\nversion = \"1.0.0\"\n\n[[signature]]{table}").as_bytes(),
            )?;
        }
    }
    println!("{count} seeds");
    Ok(())
}

/// The sessions of RFC 8448 as the target takes them (where to cut, length of the client's part, how much of it
/// comes first, client, server), and their key log.
fn sealed(put: &mut impl FnMut(&str, &str, &[u8]) -> Result<()>) -> Result<()> {
    let folder = root().join("fixtures/tls");
    let log = fs::read(folder.join("rfc8448.keylog"))?;
    put("keylog", "rfc8448", &[&[70][..], &log].concat())?;
    put(
        "keylog",
        "odd",
        b"\x09\xef\xbb\xbfCLIENT_RANDOM 00 11\r\n# a\n\nRSA 0011223344556677 00\nEXPORTER_SECRET 00 11\nCLIENT_R",
    )?;
    let records = fs::read_to_string(folder.join("rfc8448.txt"))?;
    for section in ["3", "4", "5", "6", "7"] {
        let (mut client, mut server) = (Vec::new(), Vec::new());
        for line in records.lines() {
            let mut words = line.split(' ');
            if words.next() != Some(section) {
                continue;
            }
            let side = if words.next() == Some("s") { &mut server } else { &mut client };
            let hex = words.next().unwrap_or_default().as_bytes().chunks(2);
            let bytes = hex.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
            side.extend(bytes);
        }
        let [high, low] = u16::try_from(client.len()).unwrap_or(0).to_be_bytes();
        // The first hello and some more.
        let first = if section == "4" { 140 } else { 55 };
        put("tls_decrypt", &format!("section-{section}"), &[&[77, high, low, first][..], &client, &server].concat())?;
    }
    Ok(())
}

/// One carrier of each kind, and its name.
fn carriers() -> impl Iterator<Item = (Carrier, String)> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let all = Carrier::ALL.into_iter().chain([Carrier::InIpv4, Carrier::InIpv6]);
    all.map(move |carrier| (carrier, format!("{carrier:?}").chars().map(plain).collect()))
}

/// A request and its answer.
fn short() -> Capture {
    let turns = [
        (Direction::ToServer, b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        (Direction::ToClient, b"HTTP/1.1 204 \r\n\r\n".to_vec()),
    ];
    let mut capture = Capture::new();
    capture.play("10.0.0.1:4000", "10.0.0.2:80", Wire::default(), &turns);
    capture
}

/// Three fragments of a segment in the form of the target: version, id, place, length, cut, wait, fill, bytes.
fn fragments(version: u8, order: &[usize]) -> Vec<u8> {
    let capture = short();
    let Some((_, frame)) = capture.frames().get(3) else { return Vec::new() };
    let segment = testkit::carrier::payload(frame);
    let pieces: Vec<&[u8]> = segment.chunks(16).collect();
    let mut out = Vec::new();
    for n in order {
        let piece = pieces.get(*n).copied().unwrap_or_default();
        let more = u16::from(n + 1 < pieces.len());
        let at = u16::try_from(n * 16).unwrap_or(0);
        let place = if version == 1 { (at / 8) | (more << 13) } else { at | more };
        let length = u8::try_from(piece.len()).unwrap_or(0);
        out.extend([version ^ 1, 9]);
        out.extend(place.to_be_bytes());
        out.extend([length, 0, 1, 1]);
        out.extend(piece);
    }
    out
}

fn vectors() -> Result<Vec<Vector>> {
    files(&root().join("fixtures/vectors"), "http")?
        .iter()
        .map(|path| Vector::parse(&fs::read_to_string(path)?).map_err(|why| anyhow!("{}: {why}", path.display())))
        .collect()
}

/// A head as the target and lines of fields, without the rest of the start line.
fn fields(head: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(head).replace("\r\n", "\n");
    let (start, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let target = start.split(' ').nth(1).unwrap_or_default();
    format!("{target}\n{}", rest.trim_end()).into_bytes()
}

/// A brotli stream of one uncompressed block (RFC 7932 section 9.2), for texts under 64 KiB.
fn brotli(text: &[u8]) -> Vec<u8> {
    let head = (u32::try_from(text.len()).unwrap_or(1) - 1) << 4 | 1 << 20;
    [&head.to_le_bytes()[..3], text, &[3]].concat()
}

/// A zstd frame of one raw block (RFC 8878 section 3.1.1), for texts under 256 bytes.
fn zstd(text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    let block = u32::from(length) << 3 | 1;
    [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, length][..], &block.to_le_bytes()[..3], text].concat()
}

/// Files with this ending, sorted.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == ending) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Removes what an earlier run wrote.
fn clear() -> Result<()> {
    let seeds = root().join("fixtures/seeds");
    if !seeds.exists() {
        return Ok(());
    }
    for folder in fs::read_dir(seeds)? {
        for entry in fs::read_dir(folder?.path())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !["found-", "made-"].iter().any(|stays| name.starts_with(stays)) {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}

/// Short captures of each link type and IP version, with the number of the link type.
fn captures() -> Vec<(&'static str, u8, Capture)> {
    let turns = [
        (Direction::ToServer, http::post("a.example", "/mcp", "", r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#)),
        (Direction::ToClient, http::json("", r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#)),
    ];
    let make = |link, wire: Wire, client: &str, server: &str| {
        let mut capture = Capture::with_link(link);
        capture.play(client, server, wire, &turns);
        capture
    };
    let (v4, v6) = (("10.0.0.1:4000", "10.0.0.2:80"), ("[fd00::1]:4000", "[fd00::2]:80"));
    vec![
        ("ethernet", 1, make(Link::Ethernet, Wire::default(), v4.0, v4.1)),
        ("vlan", 1, make(Link::Ethernet, Wire { vlan: Some(12), ..Wire::cut(50) }, v4.0, v4.1)),
        ("ipv6", 1, make(Link::Ethernet, Wire::default(), v6.0, v6.1)),
        ("cooked", 113, make(Link::LinuxCooked, Wire::default(), v4.0, v4.1)),
        ("raw", 101, make(Link::RawIp, Wire { reorder: 3, ..Wire::cut(40) }, v4.0, v4.1)),
    ]
}

/// A section, an interface and one packet.
fn pcapng() -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let len = 12 + body.len().next_multiple_of(4);
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&u32::try_from(len).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(body);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend_from_slice(&u32::try_from(len).unwrap_or(0).to_le_bytes());
    };
    let frame = Capture::new().pcap();
    block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    block(1, &[1, 0, 0, 0, 0, 0, 4, 0]);
    block(6, &[&[0; 12][..], &[24, 0, 0, 0, 24, 0, 0, 0], &frame].concat());
    out
}

/// A scripted flow for the reassembler: a handshake, ten segments in an order that `kind` names, and the end. Eight
/// bytes a packet: kind, flags, sequence number, acknowledgement, length, wait.
fn script(kind: &str) -> Vec<u8> {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    const FIN: u8 = 0x01;
    const LENGTH: u8 = 40;
    let mut out = vec![[0, SYN, 0, 0, 0, 0, 0, 2], [1, SYN | ACK, 0, 0, 0, 1, 0, 2], [0, ACK, 0, 1, 0, 1, 0, 2]];
    for n in 0..10_u8 {
        let place = match kind {
            "holes" => n * 2,
            "swapped" => n ^ 1,
            "repeats" => n / 2,
            _ => n,
        };
        let [high, low] = (u16::from(place) * u16::from(LENGTH) + 1).to_be_bytes();
        out.push([0, ACK, high, low, 0, 1, LENGTH, n]);
    }
    let [high, low] = (10 * u16::from(LENGTH) + 1).to_be_bytes();
    out.push([0, FIN | ACK, high, low, 0, 1, 0, 3]);
    out.push([1, FIN | ACK, 0, 1, high, low, 0, 3]);
    out.concat()
}
