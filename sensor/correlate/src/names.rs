//! Names and the addresses that name servers gave for them.

use crate::limits;
use proto::dns::Answer;
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

/// What was answered in this run.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pairs: BTreeSet<(String, IpAddr)>,
    age: VecDeque<(String, IpAddr)>,
    /// Bytes of all pairs.
    bytes: usize,
}

/// What a pair weighs: it is kept twice.
fn weight(name: &str) -> usize {
    2 * (limits::name(name) + size_of::<IpAddr>())
}

impl Names {
    /// Learns an answer; gives how many older pairs were forgotten to stay within `limit` bytes.
    pub(crate) fn learn(&mut self, answer: &Answer, limit: usize) -> u64 {
        let mut forgotten = 0;
        for address in &answer.addresses {
            let pair = (answer.name.clone(), address.to_canonical());
            if self.pairs.insert(pair.clone()) {
                self.bytes += weight(&pair.0);
                self.age.push_back(pair);
            }
            while self.bytes > limit
                && let Some(oldest) = self.age.pop_front()
            {
                self.bytes = self.bytes.saturating_sub(weight(&oldest.0));
                self.pairs.remove(&oldest);
                forgotten += 1;
            }
        }
        forgotten
    }

    /// Whether a name server said that `name` is at `address`.
    pub(crate) fn says(&self, name: &str, address: IpAddr) -> bool {
        self.pairs.contains(&(name.to_owned(), address.to_canonical()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_name_is_forgotten_first_and_the_table_stays_bounded() {
        let mut names = Names::default();
        let answer =
            |i: usize| Answer { name: format!("h{i:03}.example"), addresses: vec!["192.0.2.1".parse().unwrap()] };
        let limit = 300 * weight("h000.example");
        // Just full: nothing is forgotten.
        assert_eq!((0..300).map(|i| names.learn(&answer(i), limit)).sum::<u64>(), 0);
        assert!(names.says("h000.example", "192.0.2.1".parse().unwrap()));
        assert_eq!((300..310).map(|i| names.learn(&answer(i), limit)).sum::<u64>(), 10);
        assert_eq!((names.pairs.len(), names.age.len(), names.bytes), (300, 300, limit));
        assert!(!names.says("h009.example", "192.0.2.1".parse().unwrap()));
        assert!(names.says("h100.example", "::ffff:192.0.2.1".parse().unwrap()));
        assert!(!names.says("h100.example", "192.0.2.2".parse().unwrap()));
    }
}
