//! Which of the conversations in a flood were found.

use super::Canary;
use std::collections::BTreeSet;

/// Reads lines of events and notes which canaries they tell of with `likely` or more.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    found: BTreeSet<(u8, u8)>,
    /// Detections of `likely` or more that are of no canary.
    pub others: u64,
    /// The last line of statistics.
    pub stats: String,
    /// Lines that are notices.
    pub notices: u64,
}

impl Tally {
    /// One event.
    pub fn line(&mut self, line: &str) {
        self.notices += u64::from(line.contains(r#""type":"notice""#));
        if line.contains(r#""type":"stats""#) {
            line.clone_into(&mut self.stats);
        }
        let sure = [r#""confidence":"likely""#, r#""confidence":"confirmed""#].iter().any(|c| line.contains(c));
        if !line.contains(r#""type":"detection""#) || !sure {
            return;
        }
        let client = line.split_once(r#""client":{"ip":"10.77."#).and_then(|(_, rest)| rest.split_once('"'));
        let numbers = client.and_then(|(ip, _)| ip.split_once('.'));
        match numbers.and_then(|(kind, n)| Some((kind.parse().ok()?, n.parse().ok()?))) {
            Some(canary) => drop(self.found.insert(canary)),
            None => self.others += 1,
        }
    }

    /// How many of a kind were found.
    pub fn found(&self, canary: Canary) -> usize {
        self.found.range((canary as u8, 0)..=(canary as u8, u8::MAX)).count()
    }

    /// A number of the statistics: that of `key` inside `map`, or at the top where `map` is empty. 0 where absent.
    pub fn stat(&self, map: &str, key: &str) -> u64 {
        let inside = if map.is_empty() { self.stats.as_str() } else { self.map(map) };
        let value = inside.split_once(&format!("\"{key}\":"));
        let digits = value.map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or(""));
        digits.and_then(|d| d.parse().ok()).unwrap_or(0)
    }

    /// The text inside a map of the statistics.
    pub fn map(&self, map: &str) -> &str {
        let rest = self.stats.split_once(&format!("\"{map}\":{{")).map_or("", |(_, rest)| rest);
        rest.split_once('}').map_or("", |(inside, _)| inside)
    }

    /// Sum of a map of the statistics.
    pub fn sum(&self, map: &str) -> u64 {
        let values = self.map(map).split(',').filter_map(|pair| pair.rsplit_once(':'));
        values.filter_map(|(_, n)| n.parse::<u64>().ok()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sure_detections_of_canaries_count_and_each_once() {
        let mut tally = Tally::default();
        for (ip, confidence) in
            [("10.77.2.9", "likely"), ("10.77.2.9", "confirmed"), ("10.77.4.1", "possible"), ("11.0.0.1", "confirmed")]
        {
            tally.line(&format!(
                r#"{{"type":"detection","flow":{{"client":{{"ip":"{ip}","port":1}}}},"confidence":"{confidence}"}}"#
            ));
        }
        tally.line(r#"{"type":"stats","packets":12,"limits":{"flows":3,"names":4},"events":9}"#);
        assert_eq!((tally.found(Canary::During), tally.found(Canary::After), tally.others), (1, 0, 1));
        let got =
            [tally.stat("", "packets"), tally.stat("limits", "names"), tally.stat("limits", "no"), tally.sum("limits")];
        assert_eq!(got, [12, 4, 0, 7]);
    }
}
