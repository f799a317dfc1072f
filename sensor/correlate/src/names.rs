//! Names and the addresses that name servers gave for them.

use crate::limits;
use detect::NameSeen;
use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

/// Stands for a key of Encrypted Client Hello where an address stands otherwise.
const KEY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// Most names of one address looked at.
const MAX_OF_ADDRESS: usize = 64;

/// Pairs of an address and a name, the oldest forgotten first.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pairs: BTreeSet<(IpAddr, String)>,
    age: VecDeque<(IpAddr, String)>,
    /// Bytes of all pairs.
    pub(crate) bytes: usize,
}

/// What a pair weighs: it is kept twice.
fn weight(name: &str) -> usize {
    2 * (limits::name(name) + size_of::<IpAddr>())
}

impl Names {
    /// Learns an answer; gives how many older pairs were forgotten to stay within `limit` bytes.
    pub(crate) fn learn(&mut self, seen: &NameSeen, limit: usize) -> u64 {
        let key = seen.ech.then_some(KEY);
        seen.addresses.iter().copied().chain(key).map(|address| self.add(address, &seen.name, limit).1).sum()
    }

    /// Adds a pair; gives whether it is new, and how many older ones were forgotten.
    pub(crate) fn add(&mut self, address: IpAddr, name: &str, limit: usize) -> (bool, u64) {
        let pair = (address.to_canonical(), name.to_owned());
        let new = self.pairs.insert(pair.clone());
        if new {
            self.bytes += weight(name);
            self.age.push_back(pair);
        }
        let mut forgotten = 0;
        while self.bytes > limit
            && let Some(oldest) = self.age.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(weight(&oldest.1));
            self.pairs.remove(&oldest);
            forgotten += 1;
        }
        (new, forgotten)
    }

    /// Whether a name server said that `name` is at `address`.
    pub(crate) fn says(&self, name: &str, address: IpAddr) -> bool {
        self.pairs.contains(&(address.to_canonical(), name.to_owned()))
    }

    /// Whether a name server gave a key for encrypted hellos to `name`.
    pub(crate) fn has_key(&self, name: &str) -> bool {
        self.says(name, KEY)
    }

    /// Names that are at `address`, in their order; at most [`MAX_OF_ADDRESS`] of them.
    pub(crate) fn at(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        let address = address.to_canonical();
        let from = self.pairs.range((address, String::new())..);
        from.take_while(move |(at, _)| *at == address).take(MAX_OF_ADDRESS).map(|(_, name)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_name_is_forgotten_first_and_the_table_stays_bounded() {
        let mut names = Names::default();
        let answer = |i: usize| NameSeen {
            name: format!("h{i:03}.example"),
            addresses: vec!["192.0.2.1".parse().unwrap()],
            ech: false,
        };
        let limit = 300 * weight("h000.example");
        // Just full: nothing is forgotten.
        assert_eq!((0..300).map(|i| names.learn(&answer(i), limit)).sum::<u64>(), 0);
        assert!(names.says("h000.example", "192.0.2.1".parse().unwrap()));
        assert_eq!((300..310).map(|i| names.learn(&answer(i), limit)).sum::<u64>(), 10);
        assert_eq!((names.pairs.len(), names.age.len(), names.bytes), (300, 300, limit));
        assert!(!names.says("h009.example", "192.0.2.1".parse().unwrap()));
        assert!(names.says("h100.example", "::ffff:192.0.2.1".parse().unwrap()));
        assert!(!names.says("h100.example", "192.0.2.2".parse().unwrap()));
        assert_eq!(names.at("192.0.2.1".parse().unwrap()).next(), Some("h010.example"));
        assert_eq!(names.at("192.0.2.2".parse().unwrap()).count(), 0);
    }
}
