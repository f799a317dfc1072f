//! The ordered merge: batches in sequence, observations of all workers in order, into the serial stage.

use crate::RunInfo;
use crate::dispatch::Extras;
use correlate::record::{Input, NoticeCode, Run, SCHEMA};
use correlate::{Correlator, Record};
use detect::Observation;
use net::Timestamp;
use std::collections::BTreeMap;

/// One batch on its way to the serial stage.
#[derive(Debug, Default)]
struct Partial {
    done: usize,
    observations: Vec<Observation>,
    extras: Option<Extras>,
}

/// Puts together what workers made of each batch.
pub(crate) struct Collector<'a> {
    pub(crate) serial: Correlator,
    emit: &'a mut (dyn FnMut(Record) + Send),
    progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
    run: Option<Run>,
    names: Vec<String>,
    notices: Vec<capture::Notice>,
    waiting: BTreeMap<u64, Partial>,
    next: u64,
    workers: usize,
    now: Timestamp,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(
        serial: Correlator,
        workers: usize,
        (info, inputs, rules): (&RunInfo, &[capture::Input], &str),
        emit: &'a mut (dyn FnMut(Record) + Send),
        progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
    ) -> Self {
        let one = |(i, input): (usize, &capture::Input)| Input {
            name: input.name.clone(),
            bytes: input.bytes,
            sha256: info.sha256.get(i).cloned().flatten(),
        };
        let run = Run {
            schema: SCHEMA,
            ts: Timestamp::default(),
            sensor: info.sensor.clone(),
            version: info.version.clone(),
            config: info.config.clone(),
            rules_generation: rules.to_owned(),
            inputs: inputs.iter().enumerate().map(one).collect(),
        };
        let names = inputs.iter().map(|i| i.name.clone()).collect();
        Self {
            serial,
            emit,
            progress,
            run: Some(run),
            names,
            notices: Vec::new(),
            waiting: BTreeMap::new(),
            next: 0,
            workers,
            now: Timestamp::default(),
        }
    }

    /// What the reader's role has to add to batch `seq`.
    pub(crate) fn extras(&mut self, seq: u64, extras: Extras) {
        self.waiting.entry(seq).or_default().extras = Some(extras);
        self.advance();
    }

    /// What one worker made of batch `seq`.
    pub(crate) fn part(&mut self, seq: u64, observations: &mut Vec<Observation>) {
        let partial = self.waiting.entry(seq).or_default();
        partial.done += 1;
        partial.observations.append(observations);
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
        let Some(extras) = partial.extras.take() else { return };
        if let Some((first, last)) = extras.span {
            self.begin(first);
            self.now = self.now.max(last);
        }
        let Self { serial, emit, .. } = self;
        partial.observations.sort_by_key(|o| o.order);
        let mut ticks = extras.ticks.into_iter().peekable();
        for observation in partial.observations {
            // A tick stands before its packet, and after what expired with it in the shards.
            while let Some((_, tick)) =
                ticks.next_if(|(before, _)| (*before, 0) < (observation.order.packet, observation.order.phase))
            {
                serial.tick(tick, &mut |r| emit(r));
            }
            serial.observe(observation, &mut |r| emit(r));
        }
        for (_, tick) in ticks {
            serial.tick(tick, &mut |r| emit(r));
        }
        self.notices.extend(extras.notices);
        self.tell_notices();
        (self.progress)(extras.position.0, extras.position.1);
    }

    /// Writes what was odd about the files; not before the first line.
    fn tell_notices(&mut self) {
        if self.run.is_some() {
            return;
        }
        for notice in std::mem::take(&mut self.notices) {
            let name = self.names.get(usize::from(notice.file)).map_or("", String::as_str);
            let emit = &mut self.emit;
            let text = format!("{name}: {}", notice.message);
            self.serial.notice(self.now, code(notice.code), text, None, &mut |r| emit(r));
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

    /// Everything has come: what is still open is decided.
    pub(crate) fn finish(&mut self) -> Timestamp {
        self.begin(Timestamp::default());
        self.tell_notices();
        let emit = &mut self.emit;
        self.serial.finish(self.now, &mut |r| emit(r));
        self.now
    }

    /// Writes the last line.
    pub(crate) fn last(&mut self, record: Record) {
        (self.emit)(record);
    }
}

fn code(code: capture::NoticeCode) -> NoticeCode {
    use capture::NoticeCode as C;
    match code {
        C::TruncatedFile => NoticeCode::TruncatedFile,
        C::EmptyFile | C::ForeignFile | C::UnreadableFile | C::EmptyDirectory => NoticeCode::SkippedFile,
        C::UnknownInterface => NoticeCode::UnknownInterface,
        C::LimitMet | C::MergeLimit => NoticeCode::LimitMet,
        _ => NoticeCode::CorruptFile,
    }
}
