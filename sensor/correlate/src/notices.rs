//! Notices, rate-limited by code with an exact count of what was held back.

use crate::record::{Flow, Notice, NoticeCode, SCHEMA};
use net::Timestamp;
use std::collections::BTreeMap;

/// Notices of one code written in one [`WINDOW`] before the rest is only counted.
const WRITTEN_PER_CODE: u64 = 20;
/// How long that counts, in packet time, from the first of them on.
const WINDOW: i64 = 3_600 * Timestamp::SECOND;

/// Notices of one code.
#[derive(Clone, Copy, Debug)]
struct Window {
    since: Timestamp,
    all: u64,
}

impl Window {
    const fn held_back(self) -> u64 {
        self.all.saturating_sub(WRITTEN_PER_CODE)
    }
}

#[derive(Debug)]
pub(crate) struct Notices {
    sensor: String,
    windows: BTreeMap<NoticeCode, Window>,
    counts: BTreeMap<&'static str, u64>,
}

impl Notices {
    pub(crate) const fn new(sensor: String) -> Self {
        Self { sensor, windows: BTreeMap::new(), counts: BTreeMap::new() }
    }

    /// The notice to write, if this code has not been written too often. `time` is when that is judged, and never runs
    /// backwards.
    pub(crate) fn pass(
        &mut self,
        (ts, time): (Timestamp, Timestamp),
        code: NoticeCode,
        message: String,
        flow: Option<Flow>,
    ) -> Option<Notice> {
        *self.counts.entry(code.word()).or_default() += 1;
        let window = self.windows.entry(code).or_insert(Window { since: time, all: 0 });
        window.all += 1;
        (window.held_back() == 0).then(|| self.notice(ts, code, message, flow, 0))
    }

    /// Ends the windows whose time is over at `now`, with a notice for each that held some back.
    pub(crate) fn over(&mut self, now: Timestamp) -> Vec<Notice> {
        let over: Vec<_> = self.windows.extract_if(.., |_, window| now.since(window.since) >= WINDOW).collect();
        over.into_iter().filter_map(|(code, window)| self.rest(now, code, window)).collect()
    }

    /// One last notice for each code that held some back.
    pub(crate) fn held_back(&mut self, ts: Timestamp) -> Vec<Notice> {
        let all = std::mem::take(&mut self.windows);
        all.into_iter().filter_map(|(code, window)| self.rest(ts, code, window)).collect()
    }

    /// By code, held back ones included.
    pub(crate) fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    fn rest(&self, ts: Timestamp, code: NoticeCode, window: Window) -> Option<Notice> {
        let held = Some(window.held_back()).filter(|held| *held > 0)?;
        Some(self.notice(ts, code, format!("{held} more notices of this kind were held back"), None, held))
    }

    fn notice(&self, ts: Timestamp, code: NoticeCode, message: String, flow: Option<Flow>, held_back: u64) -> Notice {
        Notice { schema: SCHEMA, ts, sensor: self.sensor.clone(), code, message, flow: flow.map(Box::new), held_back }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(notices: &mut Notices, code: NoticeCode, seconds: i64) -> bool {
        let ts = Timestamp(seconds * Timestamp::SECOND);
        notices.pass((ts, ts), code, "x".into(), None).is_some()
    }

    #[test]
    fn what_is_held_back_is_counted_exactly() {
        let mut notices = Notices::new("t".into());
        let written = (0..100).filter(|_| pass(&mut notices, NoticeCode::LimitMet, 0)).count() as u64;
        let held: u64 = notices.held_back(Timestamp(0)).iter().map(|n| n.held_back).sum();
        assert_eq!((written, written + held), (WRITTEN_PER_CODE, 100));
        assert_eq!(notices.counts().get("limit_met"), Some(&100));
    }

    #[test]
    fn each_hour_has_its_own_and_what_it_held_back_is_told_when_it_is_over() {
        let mut notices = Notices::new("t".into());
        let (mut written, mut held) = (0, Vec::new());
        // Thirty of one code every half hour, three of another: the first begins a window at 0, 3600, 7200.
        for n in 0..5 {
            let now = n * 1800;
            held.extend(notices.over(Timestamp(now * Timestamp::SECOND)).iter().map(|n| (n.code, n.held_back)));
            written += (0..30).filter(|_| pass(&mut notices, NoticeCode::Undecoded, now)).count();
            assert!((0..3).all(|_| pass(&mut notices, NoticeCode::LossBegan, now)), "{n}");
        }
        held.extend(notices.held_back(Timestamp(0)).iter().map(|n| (n.code, n.held_back)));
        assert_eq!(written, 60);
        assert_eq!(held, [(NoticeCode::Undecoded, 40), (NoticeCode::Undecoded, 40), (NoticeCode::Undecoded, 10)]);
        assert_eq!(notices.counts().get("undecoded"), Some(&150));
        assert!(notices.held_back(Timestamp(0)).is_empty(), "told twice");
    }
}
