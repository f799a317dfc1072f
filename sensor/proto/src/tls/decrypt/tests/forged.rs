//! Records that a client or server with the right keys, and odd manners, may send.

use super::rfc8448::section;
use super::{play, text, words};
use crate::tls::decrypt::cipher::Suite;
use crate::tls::decrypt::fuzz::RFC8448_KEYS;
use crate::tls::decrypt::{Stats, Undecrypted};
use crate::tls::keys::Secret;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use net::Direction::{self, ToClient, ToServer};

const SUITE: Suite = Suite::Aes128GcmSha256;

/// The secret of section 3 with this label.
fn secret(label: &str) -> Secret {
    let keys = std::str::from_utf8(RFC8448_KEYS).unwrap();
    let line = keys.lines().find(|line| line.starts_with(label) && line.contains(" cb34ecb1")).unwrap();
    let hex = line.rsplit(' ').next().unwrap();
    let mut secret = Secret::zero(32);
    for (at, byte) in secret.bytes_mut().iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    }
    secret
}

/// A record of this plaintext, its content type and padding included.
fn sealed(secret: &Secret, seq: u8, plain: &[u8]) -> Vec<u8> {
    let (mut key, mut iv) = ([0; 16], [0; 12]);
    SUITE.expand(secret, b"key", &mut key).unwrap();
    SUITE.expand(secret, b"iv", &mut iv).unwrap();
    iv[11] ^= seq;
    let [high, low] = u16::try_from(plain.len() + 16).unwrap().to_be_bytes();
    let header = [23, 3, 3, high, low];
    let mut text = plain.to_vec();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(iv), Aad::from(header), &mut text).unwrap();
    [&header[..], &text].concat()
}

/// Section 3 up to the end of its handshake, then these plaintexts of the client.
fn client(plains: &[&[u8]]) -> (super::Seen, Stats) {
    let secret = secret("CLIENT_TRAFFIC_SECRET_0");
    let mut turns = section("3");
    turns.truncate(4);
    turns.extend((0..).zip(plains).map(|(seq, plain)| (ToServer, sealed(&secret, seq, plain))));
    play(RFC8448_KEYS, &turns)
}

#[test]
fn padding_is_taken_off() {
    let (seen, _) =
        client(&[b"one\x17", b"two\x17\0", &[b"three\x17", &[0; 9000][..]].concat(), b"\x17\0\0", b"\x17", b"\0\x17"]);
    assert_eq!((text(&seen, ToServer), words(&seen)), (&b"onetwothree\0"[..], String::new()));
}

#[test]
fn what_cannot_be_inside_ends_the_direction() {
    for plain in [&b"\0"[..], &[0; 300], b"", b"data\x14", b"data\x18", b"data\xff"] {
        let (seen, stats) = client(&[b"good\x17", plain, b"more\x17"]);
        assert_eq!((text(&seen, ToServer), &*words(&seen)), (&b"good"[..], "c:bad_content@4"), "{plain:?}");
        assert_eq!(stats.failed(Undecrypted::BadContent), 1);
    }
}

#[test]
fn an_alert_is_no_end_unless_it_closes() {
    let (seen, stats) =
        client(&[b"\x01\x5a\x15", b"a\x17", b"\x01\x00\x15", b"late\x17", b"\x01\x00\x15", b"\x02\x0a\x15"]);
    assert_eq!((text(&seen, ToServer), &*words(&seen)), (&b"a"[..], "c:closed@1"));
    assert_eq!(stats.lost(Undecrypted::BadContent), 4);
}

#[test]
fn a_key_update_changes_keys_at_the_end_of_its_record_alone() {
    let first = secret("CLIENT_TRAFFIC_SECRET_0");
    let second = SUITE.next_secret(&first).unwrap();
    let update = [24, 0, 0, 1, 0];
    let records = |parts: &[&[u8]]| {
        let mut turns = section("3");
        turns.truncate(4);
        turns.extend((0..).zip(parts).map(|(seq, part)| (ToServer, sealed(&first, seq, &[part, &[22][..]].concat()))));
        turns.push((ToServer, sealed(&second, 0, b"new\x17")));
        play(RFC8448_KEYS, &turns)
    };
    // Whole, in two records, behind a ticket.
    let ticket = [4, 0, 0, 3, 1, 2, 3];
    let behind = [&ticket[..], &update].concat();
    for parts in [&[&update[..]][..], &[&update[..3], &update[3..]], &[&behind], &[&ticket[..5], &ticket[5..], &update]]
    {
        let (seen, stats) = records(parts);
        assert_eq!((text(&seen, ToServer), stats.key_updates), (&b"new"[..], 1), "{parts:?}");
    }
    let before = [&update[..], &ticket].concat();
    let (seen, _) = records(&[&before]);
    assert_eq!((text(&seen, ToServer), &*words(&seen)), (&b""[..], "c:bad_content@0"));
    // A length that never ends.
    let (seen, stats) = records(&[&[4, 255, 255, 255, 1], &[9; 16_000], &[9; 16_000]]);
    assert_eq!((&*words(&seen), stats.records, stats.failed(Undecrypted::BadTag)), ("c:bad_tag@0", 5, 1));
}

/// The server's flight of section 3, with other encrypted extensions and without a certificate.
fn server(records: &[&[u8]]) -> (super::Seen, Stats) {
    let (handshake, traffic) = (secret("SERVER_HANDSHAKE_TRAFFIC_SECRET"), secret("SERVER_TRAFFIC_SECRET_0"));
    let mut turns: Vec<(Direction, Vec<u8>)> = section("3")[..2].to_vec();
    turns
        .extend((0..).zip(records).map(|(seq, part)| (ToClient, sealed(&handshake, seq, &[part, &[22][..]].concat()))));
    turns.push((ToClient, sealed(&traffic, 0, b"hello\x17")));
    play(RFC8448_KEYS, &turns)
}

#[test]
fn encrypted_extensions_are_read_across_records() {
    let alpn = [0, 16, 0, 5, 0, 3, 2, b'h', b'2'];
    let extensions = [&[8, 0, 0, 11, 0, 9][..], &alpn].concat();
    let finished = [&[20, 0, 0, 32][..], &[7; 32]].concat();
    let flight = [&extensions[..], &finished].concat();
    for parts in [vec![&flight[..]], vec![&extensions, &finished], flight.chunks(3).collect()] {
        let (seen, _) = server(&parts);
        assert_eq!((text(&seen, ToClient), &*words(&seen)), (&b"hello"[..], "alpn(h2)"));
    }
    // Cut short, without a name, or too long: nothing is known, nothing is lost.
    let huge = [&[8, 0, 0x20, 0, 0x1f, 0xfe][..], &[0; 0x1ffe]].concat();
    for odd in [&[8, 0, 0, 0][..], &[8, 0, 0, 1, 9], &[8, 0, 0, 6, 0, 4, 0, 16, 0, 0], &huge] {
        let (seen, _) = server(&[odd, &finished]);
        assert_eq!((text(&seen, ToClient), &*words(&seen)), (&b"hello"[..], ""), "{odd:?}");
    }
}
