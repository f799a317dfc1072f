//! Whether the sensor is well: from samples, one after the other.

use super::Sample;
use crate::outlet::State;
use std::time::{Duration, Instant};

/// A pipeline that has not moved for this long hangs.
const STALLED: Duration = Duration::from_secs(10);
/// For this long after a loss the sensor is called degraded.
const DEGRADED: Duration = Duration::from_secs(10);
/// A sink that fails for this long is a fault; before, it is degraded.
const SINK_FAILING: Duration = Duration::from_secs(5);

/// How the sensor is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Reasons for not being well.
    pub faults: Vec<String>,
    /// Reasons for seeing or telling less than there is, though everything works.
    pub degraded: Vec<String>,
    /// Packets can come.
    pub ready: bool,
}

/// Remembers what is needed to tell from the next sample how the sensor is.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    lost: Option<u64>,
    loss: Option<Instant>,
    moved: Option<(u64, Instant)>,
}

impl Watch {
    /// How the sensor is at `now`.
    pub fn see(&mut self, sample: &Sample, now: Instant) -> Health {
        let lost = sample.lost();
        if self.lost.replace(lost).is_some_and(|before| lost > before) {
            self.loss = Some(now);
        }
        let moved = match self.moved {
            // Before the beginning and after the end nothing has to move.
            Some((progress, at)) if progress == sample.progress && sample.capturing && !sample.stopping => at,
            _ => now,
        };
        self.moved = Some((sample.progress, moved));

        let mut health = Health::default();
        if sample.workers_alive < sample.workers_configured && !sample.stopping {
            let (alive, all) = (sample.workers_alive, sample.workers_configured);
            health.faults.push(format!("{alive} of {all} workers alive"));
        }
        if sample.proxy_threads_alive < sample.proxy_threads_configured && !sample.stopping {
            let (alive, all) = (sample.proxy_threads_alive, sample.proxy_threads_configured);
            health.faults.push(format!("{alive} of {all} threads of the proxy alive"));
        }
        let still = now.saturating_duration_since(moved);
        if still >= STALLED {
            health.faults.push(format!("no progress for {} s", still.as_secs()));
        }
        for sink in &sample.sinks {
            match &sink.state {
                State::Writing => {}
                State::Failing { why, since } if *since < SINK_FAILING => health.degraded.push(why.clone()),
                State::Failing { why, since } => health.faults.push(format!("{why} (for {} s)", since.as_secs())),
                State::Closed => health.faults.push(format!("nobody reads the events of {}", sink.name)),
                State::Ended if sample.stopping => {}
                State::Ended => health.faults.push(format!("nothing writes the events of {}", sink.name)),
            }
        }
        if self.loss.is_some_and(|loss| now.saturating_duration_since(loss) < DEGRADED) {
            health.degraded.push(format!("packets or events were dropped in the last {} s", DEGRADED.as_secs()));
        }
        let down = sample.interfaces.iter().filter(|i| !i.up);
        health.degraded.extend(down.map(|i| format!("interface {} is down", i.name)));
        let blind = !sample.interfaces.is_empty() && sample.interfaces.iter().all(|i| !i.up);
        health.ready = sample.capturing && !sample.stopping && !blind;
        health
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Interface, Sink};
    use crate::outlet::OutletStats;

    fn sample() -> Sample {
        Sample { workers_alive: 2, workers_configured: 2, capturing: true, ..Sample::default() }
    }

    fn dropped(reason: &str, n: u64, progress: u64) -> Sample {
        let mut sample = Sample { progress, ..sample() };
        sample.stats.packets_dropped.insert(reason.into(), n);
        sample
    }

    fn sink(state: State) -> Sample {
        let sink = Sink { name: "events".into(), stats: OutletStats::default(), state };
        Sample { sinks: vec![sink], ..sample() }
    }

    #[track_caller]
    fn check(sample: &Sample, faults: &[&str], degraded: &[&str], ready: bool) {
        let health = Watch::default().see(sample, crate::outlet::now());
        assert_eq!((health.faults, health.degraded, health.ready), (owned(faults), owned(degraded), ready));
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&t| t.to_owned()).collect()
    }

    #[test]
    fn what_is_wrong_is_said() {
        check(&sample(), &[], &[], true);
        check(&Sample { workers_alive: 1, ..sample() }, &["1 of 2 workers alive"], &[], true);
        let proxy = Sample { proxy_threads_alive: 1, proxy_threads_configured: 2, ..sample() };
        check(&proxy, &["1 of 2 threads of the proxy alive"], &[], true);
        check(&Sample { capturing: false, ..sample() }, &[], &[], false);
        check(&Sample { stopping: true, workers_alive: 0, ..sample() }, &[], &[], false);
        let failing = |secs| State::Failing { why: "disk full".into(), since: Duration::from_secs(secs) };
        check(&sink(failing(1)), &[], &["disk full"], true);
        check(&sink(failing(7)), &["disk full (for 7 s)"], &[], true);
        check(&sink(State::Closed), &["nobody reads the events of events"], &[], true);
        check(&sink(State::Ended), &["nothing writes the events of events"], &[], true);
        let interface = |name: &str, up| Interface { name: name.into(), up, ..Interface::default() };
        let one = Sample { interfaces: vec![interface("a", true), interface("b", false)], ..sample() };
        check(&one, &[], &["interface b is down"], true);
        let none = Sample { interfaces: vec![interface("b", false)], ..sample() };
        check(&none, &[], &["interface b is down"], false);
    }

    #[test]
    fn loss_degrades_for_ten_seconds_and_frames_that_are_not_ip_are_no_loss() {
        let start = crate::outlet::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut watch = Watch::default();
        let degraded = |health: Health| !health.degraded.is_empty();
        assert!(!degraded(watch.see(&dropped("queue", 5, 0), at(0))), "what was lost before is not news");
        assert!(!degraded(watch.see(&dropped("queue", 5, 1), at(1))));
        assert!(degraded(watch.see(&dropped("queue", 6, 2), at(2))));
        assert!(degraded(watch.see(&dropped("queue", 6, 3), at(11))));
        assert!(!degraded(watch.see(&dropped("queue", 6, 4), at(12))));
        let mut watch = Watch::default();
        watch.see(&dropped("not_ip", 5, 0), at(0));
        assert!(!degraded(watch.see(&dropped("not_ip", 50, 1), at(1))));
    }

    #[test]
    fn a_pipeline_that_stands_still_is_a_fault_until_it_moves() {
        let start = crate::outlet::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut watch = Watch::default();
        let with = |progress| Sample { progress, ..sample() };
        assert_eq!(watch.see(&with(7), at(0)).faults, owned(&[]));
        assert_eq!(watch.see(&with(7), at(9)).faults, owned(&[]));
        assert_eq!(watch.see(&with(7), at(10)).faults, ["no progress for 10 s"]);
        assert_eq!(watch.see(&with(8), at(11)).faults, owned(&[]));
    }
}
