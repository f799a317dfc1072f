//! The ordered merge: batches in sequence, observations of all workers in order, into the serial stage.

use crate::dispatch::Extras;
use crate::totals::{About, Read, Totals};
use crate::worker::Part;
use crate::{Control, RunInfo, Settings, Snapshot};
use correlate::record::{Input, NoticeCode, Run, RunSource, SCHEMA};
use correlate::{Correlator, Options, Record};
use detect::{Generation, Observation};
use net::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One batch on its way to the serial stage.
#[derive(Debug, Default)]
struct Partial {
    done: usize,
    observations: Vec<Observation>,
    extras: Option<Extras>,
    totals: Option<Box<Totals>>,
    restarts: u64,
}

/// Puts together what workers made of each batch.
pub(crate) struct Collector<'a> {
    serial: Correlator,
    emit: &'a mut (dyn FnMut(Record) + Send),
    progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
    run: Option<Run>,
    names: Vec<String>,
    notices: Vec<capture::Notice>,
    waiting: BTreeMap<u64, Partial>,
    next: u64,
    workers: usize,
    now: Timestamp,
    sensor: String,
    generation: Arc<Generation>,
    control: Control,
    /// How often totals are written, in packet time, and when they were last.
    stats_every: Option<Duration>,
    stats_written: Option<Timestamp>,
    reloads: u64,
    /// Totals of all workers at the end.
    totals: Totals,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(
        options: Options,
        inputs: &[capture::Input],
        (workers, settings): (usize, &Settings),
        info: &RunInfo,
        emit: &'a mut (dyn FnMut(Record) + Send),
        progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
        control: &Control,
    ) -> Self {
        let one = |(i, input): (usize, &capture::Input)| Input {
            name: input.name.clone(),
            bytes: input.bytes,
            sha256: info.sha256.get(i).cloned().flatten(),
        };
        let source = |kind: &str, name: &str| RunSource { kind: kind.into(), name: name.into() };
        let (files, interfaces) = if options.live { (&[][..], inputs) } else { (inputs, &[][..]) };
        let interfaces = interfaces.iter().map(|input| source("interface", &input.name));
        let proxies = settings.proxies.iter().map(|name| source("proxy", name));
        let run = Run {
            schema: SCHEMA,
            ts: Timestamp::default(),
            sensor: info.sensor.clone(),
            version: info.version.clone(),
            config: info.config.clone(),
            rules_generation: options.generation.rules.hash().to_owned(),
            inputs: files.iter().enumerate().map(one).collect(),
            sources: interfaces.chain(proxies).collect(),
        };
        Self {
            names: options.files.clone(),
            generation: Arc::clone(&options.generation),
            serial: Correlator::new(options),
            emit,
            progress,
            run: Some(run),
            notices: Vec::new(),
            waiting: BTreeMap::new(),
            next: 0,
            workers,
            now: Timestamp::default(),
            sensor: info.sensor.clone(),
            control: control.clone(),
            stats_every: settings.stats_every,
            stats_written: None,
            reloads: 0,
            totals: Totals::default(),
        }
    }

    /// What the reader's role has to add to batch `seq`.
    pub(crate) fn extras(&mut self, seq: u64, extras: Extras) {
        let partial = self.waiting.entry(seq).or_default();
        if extras.idle {
            partial.done = self.workers;
        }
        partial.extras = Some(extras);
        self.advance();
    }

    /// What one worker made of batch `seq`. Leaves the part empty, to be filled again.
    pub(crate) fn part(&mut self, seq: u64, part: &mut Part) {
        let partial = self.waiting.entry(seq).or_default();
        partial.done += 1;
        partial.observations.append(&mut part.observations);
        partial.restarts += std::mem::take(&mut part.restarts);
        if let Some(totals) = part.totals.take() {
            match &mut partial.totals {
                Some(all) => all.add(&totals),
                none => *none = Some(totals),
            }
        }
        self.advance();
    }

    fn advance(&mut self) {
        let workers = self.workers;
        while self.waiting.get(&self.next).is_some_and(|p| p.done == workers && p.extras.is_some()) {
            let Some(partial) = self.waiting.remove(&self.next) else { return };
            self.next += 1;
            self.merge(partial);
        }
    }

    fn merge(&mut self, mut partial: Partial) {
        let Some(mut extras) = partial.extras.take() else { return };
        if let Some((first, last)) = extras.span {
            self.begin(first);
            self.now = last;
        }
        if let Some(generation) = extras.generation.take() {
            self.change(generation);
        }
        // The first line is the first.
        let fed = if self.run.is_none() { self.control.feed().take() } else { Vec::new() };
        let Self { serial, emit, .. } = self;
        partial.observations.sort_by_key(|o| o.order);
        let mut ticks = extras.ticks.into_iter().peekable();
        // What comes from beside the packets has no place in their order: it goes by time.
        let mut fed = fed.into_iter().peekable();
        for observation in partial.observations {
            // A tick stands before its packet, and after what expired with it in the shards.
            while let Some((_, tick)) =
                ticks.next_if(|(before, _)| (*before, 0) < (observation.order.packet, observation.order.phase))
            {
                while let Some(earlier) = fed.next_if(|o| o.ts < tick) {
                    serial.observe(earlier, &mut |r| emit(r));
                }
                serial.tick(tick, &mut |r| emit(r));
            }
            while let Some(earlier) = fed.next_if(|o| o.ts < observation.ts) {
                serial.observe(earlier, &mut |r| emit(r));
            }
            serial.observe(observation, &mut |r| emit(r));
        }
        for (_, tick) in ticks {
            while let Some(earlier) = fed.next_if(|o| o.ts < tick) {
                serial.observe(earlier, &mut |r| emit(r));
            }
            serial.tick(tick, &mut |r| emit(r));
        }
        for last in fed {
            serial.observe(last, &mut |r| emit(r));
        }
        self.notices.extend(std::mem::take(&mut extras.notices));
        self.tell_notices();
        for (code, text) in std::mem::take(&mut extras.told) {
            self.notice(code, text);
        }
        self.tell_faults(extras.faults, partial.restarts);
        (self.progress)(extras.position.0, extras.position.1);
        match (extras.read.take(), partial.totals) {
            (Some(read), Some(totals)) => self.snapshot(&totals, *read, extras.queues),
            // The last part of all.
            (None, Some(totals)) => self.totals = *totals,
            _ => {}
        }
        if let Some(until) = extras.until {
            self.control.set_merged(until);
        }
    }

    /// From here on other rules and scope are in force.
    fn change(&mut self, generation: Arc<Generation>) {
        self.serial.set_generation(Arc::clone(&generation), self.now, &mut |r| (self.emit)(r));
        self.reloads += 1;
        let text = format!("rules {} and the scope given with them are in force from here on", generation.rules.hash());
        self.generation = generation;
        self.notice(NoticeCode::ConfigReloaded, text);
    }

    fn tell_faults(&mut self, dispatcher: u64, workers: u64) {
        let dispatcher = (dispatcher, "the packets left of a batch were not looked at");
        let workers = (workers, "the flows of one worker were given up, and it was built anew");
        for (n, what) in [dispatcher, workers] {
            for _ in 0..n {
                self.notice(NoticeCode::InternalFault, format!("a fault in the sensor's own code; {what}"));
            }
        }
    }

    fn notice(&mut self, code: NoticeCode, text: String) {
        let emit = &mut self.emit;
        self.serial.notice(self.now, code, text, None, &mut |r| emit(r));
    }

    /// Publishes what was counted so far, and writes it where it is time to.
    fn snapshot(&mut self, totals: &Totals, read: Read, queues: Vec<usize>) {
        let snapshot = self.sum_up(totals, read, queues, false);
        if let Some(every) = self.stats_every {
            let written = self.stats_written.get_or_insert(self.now);
            // The clock may have been set back.
            *written = self.now.min(*written);
            if u128::try_from(self.now.since(*written)).is_ok_and(|since| since >= every.as_nanos()) {
                self.stats_written = Some(self.now);
                let (emit, stats) = (&mut self.emit, Box::new(snapshot.stats.clone()));
                self.serial.emit(Record::Stats(stats), &mut |r| emit(r));
            }
        }
        self.control.publish(snapshot);
    }

    fn sum_up(&self, totals: &Totals, read: Read, queues: Vec<usize>, is_final: bool) -> Snapshot {
        let Self { serial, generation, sensor, now, .. } = self;
        let outside = self.control.outside();
        let stats = totals.record(&read, About { serial, generation, ts: *now, sensor, is_final, outside });
        let mut gauges = totals.gauges;
        gauges.fragment_bytes = read.fragment_bytes;
        gauges.correlation_bytes = serial.held_bytes() as u64;
        Snapshot {
            stats,
            rules: generation.rules.hash().to_owned(),
            reloads: self.reloads,
            last_packet: read.last_packet,
            gauges,
            queues,
            workers: self.workers,
            capture: read.live,
        }
    }

    /// Writes what was odd about the files; not before the first line.
    fn tell_notices(&mut self) {
        if self.run.is_some() {
            return;
        }
        for notice in std::mem::take(&mut self.notices) {
            let name = self.names.get(usize::from(notice.file)).map_or("", String::as_str);
            let text = format!("{name}: {}", notice.message);
            self.notice(code(notice.code), text);
        }
    }

    /// Writes the first line, once.
    fn begin(&mut self, ts: Timestamp) {
        if let Some(mut run) = self.run.take() {
            run.ts = ts;
            let emit = &mut self.emit;
            self.serial.emit(Record::Run(run), &mut |r| emit(r));
        }
    }

    /// Everything has come: what is still open is decided, and the last line written.
    pub(crate) fn finish(mut self, read: Read) {
        self.begin(Timestamp::default());
        self.tell_notices();
        let emit = &mut self.emit;
        for last in self.control.feed().take() {
            self.now = self.now.max(last.ts);
            self.serial.observe(last, &mut |r| emit(r));
        }
        self.serial.finish(self.now, &mut |r| emit(r));
        let totals = std::mem::take(&mut self.totals);
        let snapshot = self.sum_up(&totals, read, Vec::new(), true);
        (self.emit)(Record::Stats(Box::new(snapshot.stats.clone())));
        self.control.publish(snapshot);
    }
}

fn code(code: capture::NoticeCode) -> NoticeCode {
    use capture::NoticeCode as C;
    match code {
        C::TruncatedFile => NoticeCode::TruncatedFile,
        C::EmptyFile | C::ForeignFile | C::UnreadableFile | C::EmptyDirectory => NoticeCode::SkippedFile,
        C::UnknownInterface => NoticeCode::UnknownInterface,
        C::LimitMet | C::MergeLimit => NoticeCode::LimitMet,
        C::InterfaceDown => NoticeCode::InterfaceDown,
        C::InterfaceUp => NoticeCode::InterfaceUp,
        C::LossBegan => NoticeCode::LossBegan,
        C::LossEnded => NoticeCode::LossEnded,
        _ => NoticeCode::CorruptFile,
    }
}
