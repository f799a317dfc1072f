//! Five-tuples made to collide under hashes without a secret key.
//!
//! Each family is what somebody who has read the source of a sensor could send. A table whose hash is keyed at random
//! must not notice any of them.

use crate::Rng;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A hash without a secret key, and how many of its bits all tuples made for it share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weak {
    /// Exclusive or of the addresses and of the ports, as symmetric hashes are often made: all bits.
    Xor,
    /// Sums of the addresses and of the ports: all bits.
    Sum,
    /// The sum of a multiplicative hash of each end, as symmetric hashes are made too, whatever the multiplier: all
    /// bits. Each end is the complement of the other, so that its hash is a constant less that of the other.
    Complement,
    /// FNV-1a over the twelve bytes of an IPv4 key with the published basis: the low 24 bits, which choose the
    /// bucket of any table of up to 16 million.
    Fnv1a,
    /// The multiply-and-rotate hash of rustc-hash 1 with seed 0 over IPv4 words: the low 32 bits.
    Fx,
    /// The same over IPv6 words: all bits.
    Fx6,
    /// The add-and-multiply hash of rustc-hash 2 with seed 0 over IPv6 words: all bits.
    Rustc6,
    /// The sensor's own choice of a virtual shard, whose key is fixed: all in one of 64.
    Shard,
}

/// Client and server. The client's address is the lower one.
pub type Tuple = (SocketAddr, SocketAddr);

const FNV_PRIME: u64 = 0x0100_0000_01b3;
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
/// The low 24 bits.
const FNV_MASK: u64 = 0x00ff_ffff;
const FX: u64 = 0x517c_c1b7_2722_0a95;
const RUSTC: u64 = 0xf135_7aea_2e62_a9c5;

impl Weak {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Xor, Self::Sum, Self::Complement, Self::Fnv1a, Self::Fx, Self::Fx6, Self::Rustc6, Self::Shard];

    /// A word for tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Xor => "xor",
            Self::Sum => "sum",
            Self::Complement => "complement",
            Self::Fnv1a => "fnv1a",
            Self::Fx => "fx",
            Self::Fx6 => "fx-v6",
            Self::Rustc6 => "rustc2-v6",
            Self::Shard => "shard",
        }
    }

    /// The bits of the hash of a tuple that all tuples of [`Tuples`] share.
    pub fn hash(self, tuple: &Tuple) -> u64 {
        let (client, server) = tuple;
        let ports = [u64::from(client.port()), u64::from(server.port())];
        match (self, client.ip(), server.ip()) {
            (Self::Xor, IpAddr::V4(a), IpAddr::V4(b)) => {
                u64::from(a.to_bits() ^ b.to_bits()) << 16 | (ports[0] ^ ports[1])
            }
            (Self::Sum, IpAddr::V4(a), IpAddr::V4(b)) => {
                (u64::from(a.to_bits()) + u64::from(b.to_bits())) << 17 | (ports[0] + ports[1])
            }
            (Self::Fnv1a, IpAddr::V4(a), IpAddr::V4(b)) => {
                let client = [a.octets().as_slice(), &client.port().to_be_bytes()].concat();
                let server = [b.octets().as_slice(), &server.port().to_be_bytes()].concat();
                client.iter().chain(&server).fold(FNV_BASIS, |h, byte| fnv(h, *byte)) & FNV_MASK
            }
            (Self::Complement, ..) => words(tuple).into_iter().fold(0, |sum, w| sum.wrapping_add(w.wrapping_mul(FX))),
            (Self::Fx, ..) => words(tuple).into_iter().fold(0, fx) & 0xffff_ffff,
            (Self::Fx6, ..) => words(tuple).into_iter().fold(0, fx),
            (Self::Rustc6, ..) => words(tuple).into_iter().fold(0, rustc),
            (Self::Shard, ..) => u64::from(shard(tuple)),
            _ => panic!("this family is of IPv4"),
        }
    }

    /// Tuples that collide under it.
    pub fn tuples(self, seed: u64) -> Tuples {
        Tuples { weak: self, n: 0, rng: Rng::new(seed), backward: HashMap::new(), found: Vec::new() }
    }
}

const fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(FNV_PRIME)
}

const fn fx(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(FX)
}

const fn rustc(hash: u64, word: u64) -> u64 {
    hash.wrapping_add(word).wrapping_mul(RUSTC)
}

/// What a table would hash: a word for each IPv4 end, three for each IPv6 end.
fn words((client, server): &Tuple) -> Vec<u64> {
    let mut out = Vec::new();
    for end in [client, server] {
        let port = u64::from(end.port());
        match end.ip() {
            IpAddr::V4(ip) => out.push(u64::from(ip.to_bits()) << 16 | port),
            IpAddr::V6(ip) => out.extend([(ip.to_bits() >> 64) as u64, ip.to_bits() as u64, port]),
        }
    }
    out
}

/// The virtual shard of a flow, told again from the sensor's source, as an attacker would. That it is still right is
/// shown by a test that counts what the one shard evicts.
fn shard((client, server): &Tuple) -> u8 {
    let (low, high) =
        if (client.ip(), client.port()) <= (server.ip(), server.port()) { (client, server) } else { (server, client) };
    let mut hash = 0x9E37_79B9_7F4A_7C15_u64;
    for end in [low, high] {
        let bits = match end.ip() {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        for word in [(bits >> 64) as u64, bits as u64, u64::from(end.port())] {
            hash = (hash ^ word).wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(29);
        }
    }
    ((hash >> 57) % 64) as u8
}

fn v4(bits: u32, port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(bits).into(), port)
}

fn v6(high: u64, low: u64, port: u16) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into(), port)
}

/// Colliding tuples, each another; without end for all practical purposes.
#[derive(Clone, Debug)]
pub struct Tuples {
    weak: Weak,
    n: u32,
    rng: Rng,
    /// For FNV: the state before its last two bytes from which they lead to 0.
    backward: HashMap<u32, u16>,
    found: Vec<Tuple>,
}

impl Iterator for Tuples {
    type Item = Tuple;

    fn next(&mut self) -> Option<Tuple> {
        if self.weak == Weak::Fnv1a {
            while self.found.is_empty() {
                self.meet_in_the_middle();
            }
            return self.found.pop();
        }
        loop {
            self.n += 1;
            let tuple = self.one();
            let aimed = self.weak != Weak::Shard || shard(&tuple) == 0;
            if aimed && tuple.0.port() != 0 && tuple.1.port() != 0 {
                return Some(tuple);
            }
        }
    }
}

impl Tuples {
    fn one(&mut self) -> Tuple {
        // Every client address comes once.
        let client_bits = 10 << 24 | (self.n.wrapping_mul(0x9e37_79b1) & 0x00ff_ffff);
        let port = 1024 + self.rng.below(60_000) as u16;
        match self.weak {
            Weak::Xor => (v4(client_bits, port), v4(client_bits ^ 0xa600_0000, port ^ 0x1f90)),
            Weak::Sum => (v4(client_bits, port), v4(0xb600_0000 - client_bits, u16::MAX - port)),
            Weak::Complement => (v4(client_bits, port), v4(!client_bits, !port)),
            Weak::Fx => {
                let before = fx(0, u64::from(client_bits) << 16 | u64::from(port));
                let low = (before.rotate_left(5) as u32) ^ 0x0001_1f40;
                (v4(client_bits, port), v4(0xac10 << 16 | low >> 16, low as u16))
            }
            Weak::Fx6 | Weak::Rustc6 => {
                let client = v6(0xfd00 << 48, u64::from(client_bits), port);
                let high = 0xfd01_u64 << 48;
                let step = if self.weak == Weak::Fx6 { fx } else { rustc };
                let before = [0xfd00 << 48, u64::from(client_bits), u64::from(port), high].into_iter().fold(0, step);
                let low =
                    if self.weak == Weak::Fx6 { before.rotate_left(5) ^ 0x42 } else { 0x42_u64.wrapping_sub(before) };
                (client, v6(high, low, 8000))
            }
            Weak::Shard | Weak::Fnv1a => (v4(client_bits, port), v4(0xac10_0001, 8000)),
        }
    }

    /// All tuples behind one prefix of eight bytes whose hash ends in 24 bits of 0: forward over two bytes, backward
    /// over the last two.
    fn meet_in_the_middle(&mut self) {
        if self.backward.is_empty() {
            // Newton's iteration for the inverse of an odd number.
            let inverse = (0..6).fold(FNV_PRIME, |x, _| x.wrapping_mul(2_u64.wrapping_sub(FNV_PRIME.wrapping_mul(x))));
            for last in 0..=u16::MAX {
                let [high, low] = last.to_be_bytes();
                // (before ^ high) * prime ^ low = 0
                let before = (u64::from(low).wrapping_mul(inverse) ^ u64::from(high)) & FNV_MASK;
                self.backward.insert(before as u32, last);
            }
        }
        self.n += 1;
        let client = v4(10 << 24 | (self.n & 0x00ff_ffff), 1024 + self.rng.below(60_000) as u16);
        let IpAddr::V4(ip) = client.ip() else { return };
        let prefix = [ip.octets().as_slice(), &client.port().to_be_bytes(), &[172, 16]].concat();
        let state = prefix.iter().fold(FNV_BASIS, |h, byte| fnv(h, *byte));
        for middle in 0..=u16::MAX {
            let [a, b] = middle.to_be_bytes();
            let state = fnv(fnv(state, a), b) & FNV_MASK;
            if let Some(port) = self.backward.get(&(state as u32)).filter(|p| **p != 0) {
                self.found.push((client, v4(0xac10 << 16 | u32::from(middle), *port)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_family_collides_and_holds_no_tuple_twice() {
        for weak in Weak::ALL {
            let tuples: Vec<_> = weak.tuples(1).take(3_000).collect();
            let hashes: HashSet<u64> = tuples.iter().map(|t| weak.hash(t)).collect();
            assert_eq!(hashes.len(), 1, "{}", weak.word());
            let distinct: HashSet<&Tuple> = tuples.iter().collect();
            assert_eq!(distinct.len(), tuples.len(), "{}", weak.word());
            assert!(tuples.iter().all(|(c, s)| c.ip() < s.ip()), "{}", weak.word());
        }
    }
}
