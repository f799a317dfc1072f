//! Names and the addresses that name servers gave for them.

use proto::dns::Answer;
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

/// Most pairs of name and address kept; the oldest goes first.
const MAX_PAIRS: usize = 65_536;

/// What was answered in this run.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pairs: BTreeSet<(String, IpAddr)>,
    age: VecDeque<(String, IpAddr)>,
}

impl Names {
    pub(crate) fn learn(&mut self, answer: &Answer) {
        for address in &answer.addresses {
            let pair = (answer.name.clone(), address.to_canonical());
            if self.pairs.insert(pair.clone()) {
                self.age.push_back(pair);
            }
            if self.age.len() > MAX_PAIRS
                && let Some(oldest) = self.age.pop_front()
            {
                self.pairs.remove(&oldest);
            }
        }
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
        let answer = |i: usize| Answer { name: format!("h{i}.example"), addresses: vec!["192.0.2.1".parse().unwrap()] };
        (0..MAX_PAIRS + 10).for_each(|i| names.learn(&answer(i)));
        assert_eq!(names.pairs.len(), MAX_PAIRS);
        assert!(!names.says("h0.example", "192.0.2.1".parse().unwrap()));
        assert!(names.says("h100.example", "::ffff:192.0.2.1".parse().unwrap()));
        assert!(!names.says("h100.example", "192.0.2.2".parse().unwrap()));
    }
}
