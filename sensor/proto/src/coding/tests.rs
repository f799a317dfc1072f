#![allow(clippy::cast_possible_truncation, reason = "sizes in tests are small")]

use super::fuzz::{decode, fuzz_coding};
use super::{Coding, Decoder, Limits, Pool, Stop, Unsupported, sniff};
use crate::EndKind;
use flate2::{Compress, Compression, FlushCompress};
use proptest::collection::vec;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

const JSON: &[u8] = br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","description":"a tool"}]}}"#;

/// What the reference implementations make of [`EVENT`] (`zstd -19`, and `zstd -3 --no-check` of a pipe).
const EVENT: &str = concat!(
    "event: message\n",
    r#"data: {"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","description":"a tool"},"#,
    r#"{"name":"b","description":"another tool"}]}}"#,
    "\n\n"
);
const ZSTD_19: &str = "28b52ffd2492350300c2861517903b07828fc4e2b9d7f7ab680d62a647fe7db364572a4a08c558bc4dda3543c5277dbe39d60d\
    7b07efbaba3ebf8cb64322cf8b737d98efc5e17d57427eb1ab07c0f0fcd1bce658394ca9ad0b2da2cccba4ecb6cf0604004d6505fc3daaa64381\
    3203aa5624a5";
const ZSTD_3: &str = "28b52ffd00583d03000287161980a96d5b18b29dc9d57a066e3b0906f3b48e78a852cd85a00384b4565889e855836957bb5df077\
    ddd4475a8713dd1c7f4f03f58c7067b5db67f7560ace7523b8a374f30060f0fb39962e27ceca6123227940e634cab5e6220303004d6505fc91a7\
    5067";
/// Two events, flushed after each, and the end (the Brotli of Node.js).
const BROTLI: [&str; 3] = [
    "0b1d806576656e743a206d6573736167650a646174613a207b226a736f6e727063223a22322e30222c226964223a312c22726573756c74223a7b\
     7d7d0a0a",
    "d001005f4aa6ac94702694a46200",
    "03",
];
/// 64 MiB of zeros, with a window of 16 MiB and of 4 MiB.
const BROTLI_BOMBS: [&str; 2] = [
    "cfffff7ff82700e2b14020f7fe9ffffffff04f00c4610180eefd3fffffffe19f0088c32200ddfbfffcffffc73f0110870500baf7ff",
    "cbffff3ff82700e2b14020f7fe8fffff7ff04f00c4611180eefd1fffffffe09f0088c30200ddfb3ffeffffc13f0110870500baf77ffcffff837f\
     02200e0b0074effff8ffff07ff04401c1600e8defff1ffff0ffe0980382c00d0bdffcbffff3ffc1300715800a07bff07",
];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn event(id: u32) -> String {
    format!("event: message\ndata: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}\n\n")
}

fn raw(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 1000);
    Compress::new(Compression::default(), false).compress_vec(content, &mut out, FlushCompress::Finish).unwrap();
    out
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 1000);
    Compress::new(Compression::default(), true).compress_vec(content, &mut out, FlushCompress::Finish).unwrap();
    out
}

fn gzip(content: &[u8]) -> Vec<u8> {
    gzip_with(0, b"", content)
}

/// A gzip member with `flags` and the optional fields `fields`. The sums are wrong: they are not looked at.
fn gzip_with(flags: u8, fields: &[u8], content: &[u8]) -> Vec<u8> {
    [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3], fields, &raw(content), &[0; 8]].concat()
}

/// Brotli without compression: a window of `bits` (18 to 24), stored blocks, an empty last one (RFC 7932 §9).
fn brotli(bits: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // WBITS: a one bit, then three for the window. Before the second block on there is nothing to say.
    let (mut head, mut used) = (u32::from(bits - 17) << 1 | 1, 4);
    for piece in content.chunks(1 << 16) {
        // ISLAST 0, MNIBBLES 4, MLEN - 1, ISUNCOMPRESSED.
        let block = ((piece.len() - 1) as u32) << 3 | 1 << 19;
        head |= block << used;
        used += 20;
        out.extend(&head.to_le_bytes()[..usize::div_ceil(used, 8)]);
        out.extend(piece);
        (head, used) = (0, 0);
    }
    head |= 3 << used;
    out.push(head as u8);
    out
}

fn zstd(content: &[u8]) -> Vec<u8> {
    compress_to_vec(content, CompressionLevel::Fastest)
}

/// A Zstandard frame with a window of 1 MiB and `blocks` runs of 128 KiB of zeros.
fn zstd_bomb(blocks: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 10 << 3];
    for i in 1..=blocks {
        let header = (128_u32 << 10) << 3 | 1 << 1 | u32::from(i == blocks);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

const GZIP: &[Coding] = &[Coding::Gzip];
const DEFLATE: &[Coding] = &[Coding::Deflate];
const BR: &[Coding] = &[Coding::Brotli];
const ZSTD: &[Coding] = &[Coding::Zstd];

#[track_caller]
fn check(name: &str, codings: &[Coding], body: &[u8], content: &[u8], end: Result<EndKind, Stop>) {
    let mut pool = Pool::default();
    for size in [body.len().max(1), 1, 7] {
        let (seen, seen_end) = decode(codings, &Limits::default(), &mut pool, body.chunks(size));
        assert_eq!(seen_end, end, "{name}, in pieces of {size}");
        assert!(seen == content, "{name}, in pieces of {size}: {:?}", seen.escape_ascii().to_string());
    }
    assert_eq!(pool.budget().live_bytes(), 0, "{name}");
}

#[test]
fn every_coding_comes_off() {
    let complete = Ok(EndKind::Complete);
    check("gzip", GZIP, &gzip(JSON), JSON, complete);
    check("gzip with all fields", GZIP, &gzip_with(0x1f, b"\x03\x00xyzname\0comment\0cc", JSON), JSON, complete);
    check("gzip with an empty field", GZIP, &gzip_with(0x0c, b"\x00\x00\0", JSON), JSON, complete);
    check("gzip members", GZIP, &[gzip(b"a"), gzip(b""), gzip(b"b")].concat(), b"ab", complete);
    check("gzip and zeros", GZIP, &[gzip(b"a"), vec![0; 9]].concat(), b"a", complete);
    check("gzip and garbage", GZIP, &[&gzip(b"a")[..], b"\x1f\x8cgarbage"].concat(), b"a", complete);
    check("zlib", DEFLATE, &zlib(JSON), JSON, complete);
    check("zlib and garbage", DEFLATE, &[&zlib(JSON)[..], b"garbage"].concat(), JSON, complete);
    check("raw", DEFLATE, &raw(JSON), JSON, complete);
    check("raw, nothing", DEFLATE, &raw(b""), b"", complete);
    check("raw, stored", DEFLATE, b"\x01\x01\x00\xfe\xffa", b"a", complete);
    check("br", BR, &hex(&BROTLI.concat()), [event(1), event(2)].concat().as_bytes(), complete);
    check("br, stored", BR, &brotli(22, JSON), JSON, complete);
    check("br and garbage", BR, &[&brotli(18, JSON)[..], b"garbage"].concat(), JSON, complete);
    check("zstd", ZSTD, &zstd(JSON), JSON, complete);
    check("zstd with size and sum", ZSTD, &hex(ZSTD_19), EVENT.as_bytes(), complete);
    check("zstd of a stream", ZSTD, &hex(ZSTD_3), EVENT.as_bytes(), complete);
    let skippable = b"\x5a\x2a\x4d\x18\x03\0\0\0xyz\x50\x2a\x4d\x18\0\0\0\0";
    let frames = [&skippable[..], &zstd(b"a"), skippable, &zstd(b"b")].concat();
    check("zstd frames", ZSTD, &frames, b"ab", complete);
    check("zstd and garbage", ZSTD, &[&zstd(b"a")[..], b"(garbage"].concat(), b"a", complete);
    check("gzip in br in zstd", &[ZSTD[0], BR[0], GZIP[0]], &zstd(&brotli(20, &gzip(JSON))), JSON, complete);
    for codings in [GZIP, DEFLATE, BR, ZSTD] {
        check("nothing", codings, b"", b"", complete);
    }
}

#[test]
fn a_body_that_breaks_off_is_cut_and_a_wrong_label_corrupt() {
    for (codings, body) in [
        (GZIP, gzip(JSON)),
        (DEFLATE, zlib(JSON)),
        (DEFLATE, raw(JSON)),
        (BR, brotli(22, JSON)),
        (BR, hex(&BROTLI.concat())),
        (ZSTD, zstd(JSON)),
        (ZSTD, hex(ZSTD_19)),
        (&[Coding::Gzip, Coding::Gzip], gzip(&gzip(JSON))),
    ] {
        let mut pool = Pool::default();
        for n in 1..body.len() {
            let (_, end) = decode(codings, &Limits::default(), &mut pool, [&body[..n]]);
            assert_eq!(end, Ok(EndKind::Cut), "{codings:?}, {n} bytes");
        }
    }
    let corrupt = Err(Stop::Corrupt);
    check("json as gzip", GZIP, JSON, b"", corrupt);
    check("json as zstd", ZSTD, JSON, b"", corrupt);
    check("json as br", BR, JSON, b"", corrupt);
    check("zlib as gzip", GZIP, &zlib(JSON), b"", corrupt);
    check("gzip as zstd", ZSTD, &gzip(JSON), b"", corrupt);
    // `{` opens a block with fixed codes, so some rubbish comes before the fault is seen.
    assert_eq!(decode(DEFLATE, &Limits::default(), &mut Pool::default(), [JSON]).1, corrupt);
    check("one byte as gzip", GZIP, b"{", b"", corrupt);
    check("gzip flags from the future", GZIP, &gzip_with(0x20, b"", JSON), b"", corrupt);
    check("a second member that is corrupt", GZIP, &[&gzip(b"a")[..], b"\x1f\x8b\x07"].concat(), b"a", corrupt);
    check("zstd reserved bit", ZSTD, b"\x28\xb5\x2f\xfd\x08\x00\x01\0\0", b"", corrupt);
    check("zstd reserved block", ZSTD, b"\x28\xb5\x2f\xfd\x00\x00\x06\0\0", b"", corrupt);
    check("zstd with a dictionary", ZSTD, b"\x28\xb5\x2f\xfd\x01\x00\x07\x01\0\0", b"", Err(Stop::Dictionary));
    check("zstd with dictionary 0", ZSTD, b"\x28\xb5\x2f\xfd\x01\x00\x00\x09\0\0a", b"a", Ok(EndKind::Complete));
}

#[test]
fn what_came_before_a_fault_is_given() {
    for (codings, mut body) in
        [(GZIP, gzip(&[b"abc".repeat(100), JSON.to_vec()].concat())), (BR, [hex(BROTLI[0]), hex(BROTLI[1])].concat())]
    {
        let n = body.len();
        body.truncate(n - 10);
        body.extend([0xff; 40]);
        let (seen, end) = decode(codings, &Limits::default(), &mut Pool::default(), [&body[..]]);
        assert_eq!(end, Err(Stop::Corrupt), "{codings:?}");
        assert!(seen.len() >= event(1).len(), "{codings:?}: {seen:?}");
    }
}

#[test]
fn events_come_out_as_they_are_flushed() {
    let deflated = |mut state: Compress, head: &[u8]| -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        for id in 1..=2 {
            let mut piece = if id == 1 { head.to_vec() } else { Vec::new() };
            piece.reserve(1000);
            state.compress_vec(event(id).as_bytes(), &mut piece, FlushCompress::Sync).unwrap();
            pieces.push(piece);
        }
        pieces
    };
    // A raw block per event, the frame never over.
    let block = |id| [&((event(id).len() as u32) << 3).to_le_bytes()[..3], event(id).as_bytes()].concat();
    let zstd = vec![[&b"\x28\xb5\x2f\xfd\x00\x58"[..], &block(1)].concat(), block(2)];
    for (codings, pieces) in [
        (GZIP, deflated(Compress::new(Compression::default(), false), b"\x1f\x8b\x08\0\0\0\0\0\0\x03")),
        (DEFLATE, deflated(Compress::new(Compression::default(), true), b"")),
        (DEFLATE, deflated(Compress::new(Compression::default(), false), b"")),
        (BR, BROTLI[..2].iter().map(|piece| hex(piece)).collect()),
        (ZSTD, zstd),
    ] {
        let mut decoder = Decoder::of(codings, &mut Pool::default()).unwrap();
        for (id, piece) in (1..).zip(&pieces) {
            let mut seen = Vec::new();
            decoder.feed(&Limits::default(), piece, &mut |bytes| seen.extend_from_slice(bytes)).unwrap();
            assert_eq!(String::from_utf8(seen).unwrap(), event(id), "{codings:?}");
        }
    }
}

#[test]
fn the_header_names_the_codings_in_the_order_they_were_put_on() {
    let mut pool = Pool::default();
    let mut new = |values: &[&str]| {
        let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
        Decoder::new(values, &Limits::default(), &mut pool)
    };
    for plain in [&[][..], &[""], &["identity"], &[" , Identity"]] {
        assert!(new(plain).unwrap().is_none(), "{plain:?}");
    }
    for values in [&["GZIP , x-gzip"][..], &["gzip", "gzip"], &["identity, gzip,,gzip"]] {
        let mut decoder = new(values).unwrap().unwrap();
        let mut seen = Vec::new();
        decoder.feed(&Limits::default(), &gzip(&gzip(JSON)), &mut |bytes| seen.extend_from_slice(bytes)).unwrap();
        assert_eq!(seen, JSON, "{values:?}");
    }
    let mut decoder = new(&["gzip, br"]).unwrap().unwrap();
    let mut seen = Vec::new();
    decoder.feed(&Limits::default(), &brotli(22, &gzip(JSON)), &mut |bytes| seen.extend_from_slice(bytes)).unwrap();
    assert_eq!(seen, JSON);
    for (value, want) in [
        ("compress", Unsupported::Coding),
        ("gzip;q=1", Unsupported::Coding),
        ("dcz", Unsupported::Coding),
        ("gzip,gzip,gzip,gzip,gzip", Unsupported::Depth),
    ] {
        assert_eq!(new(&[value]).unwrap_err(), want, "{value}");
    }
}

#[test]
fn a_bomb_stops_at_the_limits_with_little_memory() {
    let zeros = vec![0; 1 << 20];
    let deflated = {
        let mut state = Compress::new(Compression::fast(), false);
        let mut out = Vec::with_capacity(1 << 18);
        for _ in 0..20 {
            state.compress_vec(&zeros, &mut out, FlushCompress::None).unwrap();
        }
        out
    };
    let free = Limits { max_ratio: u32::MAX, ..Limits::default() };
    for (codings, body, limits, stop, output, memory) in [
        (DEFLATE, deflated, free, Stop::Output, 16 << 20, 48 << 10),
        (BR, hex(BROTLI_BOMBS[1]), free, Stop::Output, 16 << 20, 5 << 20),
        (BR, hex(BROTLI_BOMBS[1]), Limits::default(), Stop::Ratio, 1 << 20, 5 << 20),
        // The stream declares 16 MiB and uses them.
        (BR, hex(BROTLI_BOMBS[0]), free, Stop::Window, 0, 1 << 20),
        (ZSTD, zstd_bomb(8192), free, Stop::Output, 16 << 20, 4 << 20),
        (ZSTD, zstd_bomb(8192), Limits::default(), Stop::Ratio, 1 << 20, 4 << 20),
        (&[Coding::Deflate, Coding::Zstd][..], raw(&zstd_bomb(8192)), free, Stop::Output, 16 << 20, 4 << 20),
    ] {
        let mut pool = Pool::new(memory);
        let mut decoder = Decoder::of(codings, &mut pool).unwrap();
        let (mut seen, mut high) = (0, 0);
        let mut end = Ok(());
        for piece in body.chunks(100) {
            end = decoder.feed(&limits, piece, &mut |bytes| {
                assert!(bytes.iter().all(|b| *b == 0));
                seen += bytes.len();
            });
            high = high.max(pool.live_bytes());
        }
        assert_eq!(end, Err(stop), "{codings:?}");
        assert_eq!(seen, output, "{codings:?} {stop}");
        assert!(high <= memory, "{codings:?}: {high}");
        assert_eq!(decoder.finish(&mut pool), EndKind::Cut);
        assert_eq!(pool.budget().live_bytes(), 0, "{codings:?}");
    }
}

#[test]
fn the_layers_of_a_stack_are_limited_too() {
    // The outer coding yields nothing but the name field of an inner gzip member without end.
    let inner = [&b"\x1f\x8b\x08\x08\0\0\0\0\0\x03"[..], &vec![b'n'; 20 << 20]].concat();
    let limits = Limits { max_ratio: u32::MAX, ..Limits::default() };
    let (seen, end) = decode(&[Coding::Gzip, Coding::Gzip], &limits, &mut Pool::default(), [&gzip(&inner)[..]]);
    assert_eq!((seen.len(), end), (0, Err(Stop::Output)));
}

#[test]
fn a_window_over_the_limit_is_refused_and_one_that_is_only_declared_is_not() {
    let limits = Limits { window: 1 << 20, ..Limits::default() };
    let mut pool = Pool::default();
    let content = vec![b'x'; 3 << 20];
    for (codings, body, want) in [
        (BR, brotli(24, JSON), Ok(EndKind::Complete)),
        (BR, brotli(20, &content), Ok(EndKind::Complete)),
        (BR, brotli(24, &content), Err(Stop::Window)),
        (ZSTD, b"\x28\xb5\x2f\xfd\x00\x50\x01\0\0".to_vec(), Ok(EndKind::Complete)),
        (ZSTD, b"\x28\xb5\x2f\xfd\x00\x51\x01\0\0".to_vec(), Err(Stop::Window)),
        // One segment of 2 MiB.
        (ZSTD, b"\x28\xb5\x2f\xfd\xa0\x00\x00\x20\x00\x01\0\0".to_vec(), Err(Stop::Window)),
    ] {
        assert_eq!(decode(codings, &limits, &mut pool, [&body[..]]).1, want, "{codings:?}");
    }
}

#[test]
fn a_pool_that_is_used_up_refuses_and_recovers() {
    let mut pool = Pool::new((96 << 10) + 100);
    let first = Decoder::of(&[Coding::Gzip, Coding::Gzip], &mut pool).unwrap();
    assert_eq!(pool.live_bytes(), 96 << 10);
    for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
        assert_eq!(Decoder::of(&[coding], &mut pool).unwrap_err(), Unsupported::Memory);
    }
    assert_eq!(pool.budget().refused(), 3);
    assert_eq!(first.finish(&mut pool), EndKind::Complete);
    assert_eq!(pool.budget().live_bytes(), 0);
    assert!(Decoder::of(&[Coding::Gzip, Coding::Gzip, Coding::Gzip], &mut pool).is_err());
    assert_eq!(pool.budget().live_bytes(), 0);
    // Refused while decoding.
    for (coding, body) in [(Coding::Brotli, brotli(22, &vec![b'x'; 200 << 10])), (Coding::Zstd, zstd_bomb(4))] {
        assert_eq!(
            decode(&[coding], &Limits::default(), &mut pool, body.chunks(5000)).1,
            Err(Stop::Memory),
            "{coding:?}"
        );
        assert_eq!(pool.budget().live_bytes(), 0);
    }
}

#[test]
fn a_zstd_body_many_windows_long_is_read_to_its_end() {
    // Lines that repeat at distances up to the window, over many packings of the buffer.
    let mut content = Vec::new();
    let mut seed = 1_u32;
    while content.len() < 5 << 20 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        content.extend(format!("{{\"id\":{},\"n\":{}}}\n", seed >> 12, content.len() % 977).bytes());
        let back = usize::try_from(seed >> 8).unwrap() % content.len().min(500_000);
        let start = content.len() - 1 - back;
        content.extend_from_within(start..content.len().min(start + 300));
    }
    let body = zstd(&content);
    let (seen, end) = decode(ZSTD, &Limits::default(), &mut Pool::default(), body.chunks(10_000));
    assert_eq!(end, Ok(EndKind::Complete));
    assert!(seen == content);
}

#[test]
fn codings_are_known_by_their_first_bytes() {
    for (body, want) in [
        (gzip(JSON), Some(Coding::Gzip)),
        (zstd(JSON), Some(Coding::Zstd)),
        (zlib(JSON), Some(Coding::Deflate)),
        (raw(JSON), None),
        (JSON.to_vec(), None),
        (b"x^".to_vec(), None),
        (b"x^2 + y^2".to_vec(), Some(Coding::Deflate)),
        (b"xy".to_vec(), None),
        (b"".to_vec(), None),
        (event(1).into_bytes(), None),
    ] {
        assert_eq!(sniff(&body), want, "{}", body.escape_ascii());
    }
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..2000),
        vec(prop_oneof![Just("{\"jsonrpc\":"), Just("\"2.0\""), Just("}"), Just("data: ")], 0..3000)
            .prop_map(|words| words.concat().into_bytes()),
    ]
}

fn body_of(mut content: Vec<u8>, codings: &[Coding]) -> Vec<u8> {
    for coding in codings.iter().rev() {
        content = match coding {
            Coding::Gzip => gzip(&content),
            Coding::Deflate => raw(&content),
            Coding::Brotli => brotli(18, &content),
            Coding::Zstd => zstd(&content),
        };
    }
    content
}

fn codings() -> impl Strategy<Value = Vec<Coding>> {
    vec(prop_oneof![Just(Coding::Gzip), Just(Coding::Deflate), Just(Coding::Brotli), Just(Coding::Zstd)], 1..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_encoded_is_decoded_however_it_is_cut(
        content in content(),
        codings in codings(),
        sizes in vec(1_usize..500, 0..40),
    ) {
        let body = body_of(content.clone(), &codings);
        let mut rest = &body[..];
        let mut pieces: Vec<_> = sizes.iter().map(|n| rest.split_off(..(*n).min(rest.len())).unwrap()).collect();
        pieces.push(rest);
        let seen = decode(&codings, &Limits::default(), &mut Pool::default(), pieces);
        prop_assert_eq!(seen, (content, Ok(EndKind::Complete)));
    }

    #[test]
    fn broken_bytes_are_decoded_the_same_however_they_are_cut(
        content in content(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<u8>(),
        mode in 0_u8..32,
    ) {
        let pick = |bits: u8| [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd][usize::from(bits & 3)];
        let mut codings = vec![pick(mode), pick(mode >> 2)];
        codings.truncate(if mode & 16 == 0 { 1 } else { 2 });
        let mut body = body_of(content, &codings);
        for (at, value) in flips {
            let at = at.index(body.len());
            body[at] = value;
        }
        fuzz_coding(&[&[cut, mode], &body[..]].concat());
    }

    #[test]
    fn no_bytes_break_the_decoder(data in vec(any::<u8>(), 0..200)) {
        fuzz_coding(&data);
    }

    #[test]
    fn broken_brotli_and_zstd_are_decoded_the_same_however_they_are_cut(
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<u8>(),
        which in 0_usize..4,
    ) {
        let bodies = [(2, BROTLI.concat()), (2, BROTLI_BOMBS[1].into()), (3, ZSTD_19.into()), (3, ZSTD_3.into())];
        let (mode, text) = &bodies[which];
        let mut body = hex(text);
        for (at, value) in flips {
            let at = at.index(body.len());
            body[at] = value;
        }
        fuzz_coding(&[&[cut, *mode], &body[..]].concat());
    }
}

#[test]
fn decoders_may_change_threads() {
    fn check<T: Send>() {}
    check::<Decoder>();
    check::<Pool>();
    check::<crate::websocket::Decoder>();
}
