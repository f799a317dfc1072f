//! Notices, rate-limited by code with an exact count of what was held back.

use crate::record::{Flow, Notice, NoticeCode, SCHEMA};
use net::Timestamp;
use std::collections::BTreeMap;

/// Notices of one code written before the rest is only counted.
const WRITTEN_PER_CODE: u64 = 20;

#[derive(Debug)]
pub(crate) struct Notices {
    sensor: String,
    by_code: BTreeMap<NoticeCode, u64>,
    counts: BTreeMap<&'static str, u64>,
}

impl Notices {
    pub(crate) fn new(sensor: String) -> Self {
        Self { sensor, by_code: BTreeMap::new(), counts: BTreeMap::new() }
    }

    /// The notice to write, if this code has not been written too often.
    pub(crate) fn pass(
        &mut self,
        ts: Timestamp,
        code: NoticeCode,
        message: String,
        flow: Option<Flow>,
    ) -> Option<Notice> {
        *self.counts.entry(code.word()).or_default() += 1;
        let n = self.by_code.entry(code).or_default();
        *n += 1;
        (*n <= WRITTEN_PER_CODE).then(|| self.notice(ts, code, message, flow, 0))
    }

    /// One last notice for each code that held some back.
    pub(crate) fn held_back(&self, ts: Timestamp) -> Vec<Notice> {
        let over = self.by_code.iter().filter(|(_, n)| **n > WRITTEN_PER_CODE);
        over.map(|(code, n)| {
            let held = n - WRITTEN_PER_CODE;
            self.notice(ts, *code, format!("{held} more notices of this kind were held back"), None, held)
        })
        .collect()
    }

    /// By code, held back ones included.
    pub(crate) fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    fn notice(&self, ts: Timestamp, code: NoticeCode, message: String, flow: Option<Flow>, held_back: u64) -> Notice {
        Notice { schema: SCHEMA, ts, sensor: self.sensor.clone(), code, message, flow: flow.map(Box::new), held_back }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_is_counted_exactly() {
        let mut notices = Notices::new("t".into());
        let pass = |n: &mut Notices| n.pass(Timestamp(0), NoticeCode::LimitMet, "x".into(), None).is_some();
        let written = (0..100).filter(|_| pass(&mut notices)).count() as u64;
        let held: u64 = notices.held_back(Timestamp(0)).iter().map(|n| n.held_back).sum();
        assert_eq!((written, written + held), (WRITTEN_PER_CODE, 100));
        assert_eq!(notices.counts().get("limit_met"), Some(&100));
    }
}
