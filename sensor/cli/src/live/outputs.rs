//! Where events go: every sink, and the screen.

use super::screen::Screen;
use crate::config::{Fsync, Sink};
use crate::failure::Failure;
use crate::log::Log;
use crate::words::plural;
use correlate::Record;
use correlate::record::{Notice, NoticeCode};
use crossbeam_channel::{Receiver, Sender, bounded};
use sinks::jsonl;
use sinks::metrics;
use sinks::outlet::{self, Handle, Outlet, OutletOptions, Rotation, State};
use sinks::payload::Recipients;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most notices that wait to be told on standard error. The events have all of them.
const NEWS: usize = 64;

/// Open outlets.
pub(super) struct Outputs<'s> {
    /// Held while all of them are given one event.
    outlets: Arc<Mutex<Vec<Outlet>>>,
    handles: Vec<Handle>,
    screen: Option<&'s Screen>,
    stdout: Option<Handle>,
    news: (Sender<Notice>, Receiver<Notice>),
    /// Who may read what policies log encrypted.
    recipients: Mutex<Arc<Recipients>>,
}

impl<'s> Outputs<'s> {
    /// Opens all of them.
    pub(super) fn open(sinks: &[Sink], recipients: &Recipients, screen: Option<&'s Screen>) -> Result<Self, Failure> {
        let outlets = sinks.iter().map(|sink| Outlet::open(options(sink)));
        let outlets: Vec<Outlet> = outlets.collect::<Result<_, _>>().map_err(|e| Failure::usage(e.to_string()))?;
        let handles: Vec<Handle> = outlets.iter().map(Outlet::handle).collect();
        let stdout = sinks.iter().position(Sink::is_stdout).and_then(|at| handles.get(at).cloned());
        let recipients = Mutex::new(Arc::new(recipients.clone()));
        Ok(Self { outlets: Arc::new(Mutex::new(outlets)), handles, screen, stdout, news: bounded(NEWS), recipients })
    }

    /// What is logged encrypted is for these from now on.
    pub(super) fn encrypt_to(&self, recipients: &Recipients) {
        *self.recipients.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(recipients.clone());
    }

    /// Encrypts what is to be encrypted, before anything else sees the record.
    fn seal(&self, record: &mut Record) {
        if matches!(record, Record::Detection(detection) if !detection.payload.is_empty()) {
            let recipients = Arc::clone(&self.recipients.lock().unwrap_or_else(PoisonError::into_inner));
            recipients.seal(record);
        }
    }

    /// What takes each record, once.
    pub(super) fn emit(&self) -> impl FnMut(Record) + Send + '_ {
        let mut line = Vec::with_capacity(4096);
        move |mut record| {
            self.seal(&mut record);
            if let Record::Notice(notice) = &record
                && is_news(notice.code)
            {
                // Whoever makes events waits for nobody, standard error included.
                let _ = self.news.0.try_send(notice.clone());
            }
            if let Some(screen) = self.screen {
                screen.add(&record);
            }
            let mut outlets = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
            if let [one] = outlets.as_mut_slice() {
                one.give(&record);
                return;
            }
            // What JSON cannot hold would be a fault of ours; an empty line is counted as dropped.
            if !outlets.is_empty() && jsonl::line(&record, &mut line).is_err() {
                line.clear();
            }
            for outlet in outlets.iter_mut() {
                outlet.give_line(&line);
            }
        }
    }

    /// For other threads.
    pub(super) fn handles(&self) -> &[Handle] {
        &self.handles
    }

    /// What the operator should hear of too: interfaces and losses.
    pub(super) fn news(&self) -> &Receiver<Notice> {
        &self.news.1
    }

    /// Looks at all outlets between two events: all were given the same number.
    pub(super) fn watch(&self) -> impl Fn() -> Vec<metrics::Sink> + Send + Sync + use<> {
        let (outlets, handles) = (Arc::clone(&self.outlets), self.handles.clone());
        move || {
            let _between = outlets.lock().unwrap_or_else(PoisonError::into_inner);
            handles.iter().map(Into::into).collect()
        }
    }

    /// Whether there was a reader of standard output and it has gone.
    pub(super) fn is_stdout_closed(&self) -> bool {
        self.stdout.as_ref().is_some_and(|stdout| stdout.state() == State::Closed)
    }

    /// Asks for all files to be opened anew.
    pub(super) fn reopen(&self) {
        self.handles.iter().for_each(Handle::reopen);
    }

    /// Writes what waits, for at most `deadline` in all. Gives how many events some outlet did not write.
    pub(super) fn close(self, deadline: Duration, log: &Log) -> u64 {
        let end = clock() + deadline;
        let mut lost = 0;
        let outlets = std::mem::take(&mut *self.outlets.lock().unwrap_or_else(PoisonError::into_inner));
        for outlet in outlets {
            let handle = outlet.handle();
            let closed = handle.state() == State::Closed;
            let totals = outlet.close(end.saturating_duration_since(clock()));
            lost += totals.stats.dropped;
            if totals.stats.dropped > 0 && !closed {
                log.warn(&format!("{} not written to {}", plural(totals.stats.dropped, "event"), handle.name()));
            }
        }
        lost
    }
}

/// Of what the keeper does not tell by itself.
fn is_news(code: NoticeCode) -> bool {
    use NoticeCode as C;
    matches!(code, C::InterfaceDown | C::InterfaceUp | C::LossBegan | C::LossEnded)
}

fn options(sink: &Sink) -> OutletOptions {
    let target = sink.path.to_string_lossy();
    OutletOptions {
        queue_bytes: sink.queue_bytes,
        // Who reads a pipe may be waiting.
        flush: if sink.is_stdout() { Duration::ZERO } else { sink.flush },
        fsync: match sink.fsync {
            Fsync::Never => outlet::Fsync::Never,
            Fsync::Second => outlet::Fsync::Interval(Duration::from_secs(1)),
            Fsync::Always => outlet::Fsync::Always,
        },
        rotation: Rotation {
            max_bytes: sink.rotate_bytes.map(Into::into),
            every: sink.rotate_every,
            keep: usize::try_from(sink.keep).ok().filter(|keep| *keep > 0),
        },
        ..OutletOptions::new(&target)
    }
}

#[expect(clippy::disallowed_methods, reason = "the end may take only so long; no event depends on it")]
fn clock() -> Instant {
    Instant::now()
}
