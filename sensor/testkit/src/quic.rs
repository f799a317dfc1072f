//! QUIC packets with the protection of Initials (RFC 9001 §5, RFC 9369 §3.3). Only what a handshake begins with: no
//! connection made of these would complete.

use aws_lc_rs::aead::quic::{AES_128, HeaderProtectionKey};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

/// Version 1.
pub const V1: u32 = 1;
/// Version 2.
pub const V2: u32 = 0x6b33_43cf;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// An Initial packet before it is protected.
#[derive(Clone, Debug)]
pub struct Initial {
    /// Version.
    pub version: u32,
    /// Destination connection id.
    pub to: Vec<u8>,
    /// Source connection id.
    pub from: Vec<u8>,
    /// Token, as after a Retry.
    pub token: Vec<u8>,
    /// Packet number.
    pub number: u64,
    /// In how many bytes it is written, 1 to 4.
    pub number_len: usize,
    /// Frames.
    pub frames: Vec<u8>,
}

impl Initial {
    /// The first packet of a client, with these frames.
    pub fn client(to: &[u8], number: u64, frames: Vec<u8>) -> Self {
        Self {
            version: V1,
            to: to.to_vec(),
            from: b"client".to_vec(),
            token: Vec::new(),
            number,
            number_len: 2,
            frames,
        }
    }

    /// An answer to it.
    pub fn server(number: u64, frames: Vec<u8>) -> Self {
        Self { from: b"server-id".to_vec(), ..Self::client(b"client", number, frames) }
    }

    /// The packet, protected with the keys of `side` that follow from the connection id `id`. Frames too short for a
    /// sample are padded.
    pub fn seal(&self, side: Side, id: &[u8]) -> Vec<u8> {
        let words = words(self.version);
        let initial = Salt::new(HKDF_SHA256, &words.salt).extract(id);
        let secret = expand(&initial, if side == Side::Client { b"client in" } else { b"server in" }, 32);
        let secret = Prk::new_less_safe(HKDF_SHA256, &secret);
        let key = expand(&secret, words.labels[0].as_bytes(), 16);
        let mut nonce: [u8; 12] = expand(&secret, words.labels[1].as_bytes(), 12).try_into().unwrap();
        let header = expand(&secret, words.labels[2].as_bytes(), 16);
        for (byte, n) in nonce.iter_mut().rev().zip(self.number.to_le_bytes()) {
            *byte ^= n;
        }
        let mut payload = self.frames.clone();
        payload.resize(payload.len().max(4 - self.number_len), 0);
        let kind = if self.version == V2 { 0xd0 } else { 0xc0 };
        let mut packet = vec![kind | (self.number_len - 1) as u8];
        packet.extend(self.version.to_be_bytes());
        for id in [&self.to, &self.from] {
            packet.push(id.len() as u8);
            packet.extend(id);
        }
        packet.extend(varint(self.token.len() as u64));
        packet.extend(&self.token);
        let len = (self.number_len + payload.len() + 16) as u16;
        packet.extend((0x4000 | len).to_be_bytes());
        let at = packet.len();
        packet.extend(&self.number.to_be_bytes()[8 - self.number_len..]);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&packet), &mut payload).unwrap();
        let head = packet.len();
        packet.extend(payload);
        let mask = HeaderProtectionKey::new(&AES_128, &header).unwrap().new_mask(&packet[at + 4..at + 20]).unwrap();
        packet[0] ^= mask[0] & 0x0f;
        for (byte, mask) in packet[at..head].iter_mut().zip(&mask[1..]) {
            *byte ^= mask;
        }
        packet
    }
}

/// A Retry packet that answers the connection id `id`, with its tag (RFC 9001 §5.8).
pub fn retry(version: u32, id: &[u8], to: &[u8], from: &[u8], token: &[u8]) -> Vec<u8> {
    let words = words(version);
    let kind = if version == V2 { 0xcf } else { 0xff };
    let mut packet = vec![kind];
    packet.extend(version.to_be_bytes());
    for id in [to, from] {
        packet.push(id.len() as u8);
        packet.extend(id);
    }
    packet.extend(token);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &words.retry_key).unwrap());
    let seen = [&[id.len() as u8][..], id, &packet].concat();
    let nonce = Nonce::assume_unique_for_key(words.retry_nonce);
    packet.extend(key.seal_in_place_separate_tag(nonce, Aad::from(&seen), &mut []).unwrap().as_ref());
    packet
}

/// A Version Negotiation packet (RFC 9000 §17.2.1).
pub fn negotiation(to: &[u8], from: &[u8], versions: &[u32]) -> Vec<u8> {
    let mut packet = vec![0x80, 0, 0, 0, 0];
    for id in [to, from] {
        packet.push(id.len() as u8);
        packet.extend(id);
    }
    packet.extend(versions.iter().flat_map(|version| version.to_be_bytes()));
    packet
}

/// A packet of version 1 whose content nobody but the peers can read: 1 for 0-RTT, 2 for Handshake.
pub fn protected(kind: u8, to: &[u8], from: &[u8], len: usize) -> Vec<u8> {
    let mut packet = vec![0xc0 | kind << 4, 0, 0, 0, 1];
    for id in [to, from] {
        packet.push(id.len() as u8);
        packet.extend(id);
    }
    packet.extend(varint(len as u64));
    packet.resize(packet.len() + len, 0xa5);
    packet
}

/// A CRYPTO frame.
pub fn crypto(offset: u64, data: &[u8]) -> Vec<u8> {
    [vec![6], varint(offset), varint(data.len() as u64), data.to_vec()].concat()
}

/// An ACK frame for packet 0.
pub fn ack() -> Vec<u8> {
    vec![2, 0, 0, 0, 0]
}

/// An integer in as few bytes as it takes (RFC 9000 §16).
pub fn varint(n: u64) -> Vec<u8> {
    match n {
        0..0x40 => vec![n as u8],
        0x40..0x4000 => (0x4000 | n as u16).to_be_bytes().to_vec(),
        0x4000..0x4000_0000 => (0x8000_0000 | n as u32).to_be_bytes().to_vec(),
        _ => (0xc000_0000_0000_0000 | n).to_be_bytes().to_vec(),
    }
}

struct Words {
    salt: [u8; 20],
    labels: [&'static str; 3],
    retry_key: [u8; 16],
    retry_nonce: [u8; 12],
}

/// RFC 9001 §5.2 and §5.8, RFC 9369 §3.3.
fn words(version: u32) -> Words {
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    };
    let (salt, labels, key, nonce) = if version == V2 {
        (
            "0dede3def700a6db819381be6e269dcbf9bd2ed9",
            ["quicv2 key", "quicv2 iv", "quicv2 hp"],
            "8fb4b01b56ac48e260fbcbcead7ccc92",
            "d86969bc2d7c6d9990efb04a",
        )
    } else {
        (
            "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
            ["quic key", "quic iv", "quic hp"],
            "be0c690b9f66575a1d766b54e368c84e",
            "461599d35d632bf2239825bb",
        )
    };
    Words {
        salt: bytes(salt).try_into().unwrap(),
        labels,
        retry_key: bytes(key).try_into().unwrap(),
        retry_nonce: bytes(nonce).try_into().unwrap(),
    }
}

/// HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
fn expand(secret: &Prk, label: &[u8], len: usize) -> Vec<u8> {
    struct Len(usize);
    impl KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }
    let info = [&[0, len as u8, label.len() as u8 + 6], &b"tls13 "[..], label, &[0]].concat();
    let mut out = vec![0; len];
    secret.expand(&[&info], Len(len)).unwrap().fill(&mut out).unwrap();
    out
}
