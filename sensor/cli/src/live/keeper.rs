//! What goes on beside the packets: signals, reloads, the table, and what the operator has to know.

use super::Plan;
use super::gauges::Counters;
use super::losses::{Losses, News, QUIET};
use super::outputs::Outputs;
use super::proxied::Proxied;
use super::screen::Screen;
use super::terminals::Terminals;
use crate::config::Config;
use crate::failure::Failure;
use crate::log::Log;
use crate::process::{Signal, notify};
use crate::words::plural;
use correlate::record::{Notice, NoticeCode};
use crossbeam_channel::{Receiver, select, tick};
use detect::Generation;
use pipeline::{Control, Snapshot};
use sinks::outlet::{Handle, OutletStats, State};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// For how long an interface that cannot be opened again is waited for.
const GONE: Duration = Duration::from_secs(5);
/// Between two lines for the service manager.
const STATUS: Duration = Duration::from_secs(10);
/// Longest reason told in a notice, in characters.
const MAX_REASON: usize = 1000;

/// Looks after a run from a thread of its own.
pub(super) struct Keeper<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) control: &'a Control,
    pub(super) proxy: &'a Proxied,
    pub(super) outputs: &'a Outputs<'a>,
    pub(super) screen: Option<&'a Screen>,
    pub(super) counters: &'a Counters,
    /// Whether an interface that went away can be opened again.
    pub(super) can_reopen: bool,
    /// Those that a person may have closed.
    pub(super) terminals: &'a Terminals<'a>,
    pub(super) log: &'a Log,
}

/// What it remembers from look to look.
struct Memory {
    started: Instant,
    told: Instant,
    down_since: Option<Instant>,
    /// One for each output.
    outputs: Vec<Told>,
}

/// What was told of an output.
#[derive(Default)]
struct Told {
    failing: bool,
    losses: Losses,
}

impl Keeper<'_> {
    /// Works until `ended` is closed. Gives why the run had to end, if it was no request.
    pub(super) fn keep(&self, signals: &Receiver<Signal>, ended: &Receiver<()>) -> Option<Failure> {
        let looks = tick(LOOK);
        let now = clock();
        let outputs = self.outputs.handles().iter().map(|_| Told::default()).collect();
        let mut memory = Memory { started: now, told: now, down_since: None, outputs };
        let mut failure = None;
        loop {
            select! {
                recv(ended) -> _ => {
                    self.outputs.news().try_iter().for_each(|notice| self.tell(&notice));
                    return failure;
                }
                recv(self.outputs.news()) -> notice => {
                    if let Ok(notice) = notice {
                        self.tell(&notice);
                    }
                }
                recv(signals) -> signal => match signal {
                    Ok(Signal::Stop) => self.stop(),
                    // Whoever sat there is gone, and so is who would end it.
                    Ok(Signal::Reload) if self.terminals.are_gone() => {
                        self.log.info("the terminal is gone");
                        self.stop();
                    }
                    Ok(Signal::Reload) => self.reload(),
                    // Nobody sends any more.
                    Err(_) => {
                        let _ = ended.recv();
                        return failure;
                    }
                },
                recv(looks) -> _ => failure = self.look(&mut memory).or(failure),
            }
        }
    }

    fn stop(&self) {
        self.counters.stopping.store(true, Ordering::Relaxed);
        let _ = notify::stopping();
        // What it sees until its end is to be told, too.
        self.proxy.stop(self.plan.config.live.proxy.stop);
        self.control.stop();
    }

    fn look(&self, memory: &mut Memory) -> Option<Failure> {
        let now = clock();
        let snapshot = self.control.snapshot();
        if let Some(screen) = self.screen {
            screen.draw(&snapshot.stats);
        }
        self.tell_outputs(&mut memory.outputs, now);
        if now.duration_since(memory.told) >= STATUS {
            memory.told = now;
            let _ = notify::status(&status(&snapshot));
        }
        let over = self.plan.duration.is_some_and(|duration| now.duration_since(memory.started) >= duration);
        if over || (self.plan.ends_with_reader && self.outputs.is_stdout_closed()) {
            self.stop();
        }
        self.gone(&snapshot, &mut memory.down_since, now)
    }

    /// A notice for who reads standard error.
    fn tell(&self, notice: &Notice) {
        match notice.code {
            NoticeCode::InterfaceUp | NoticeCode::LossEnded => self.log.info(&notice.message),
            _ => self.log.warn(&notice.message),
        }
    }

    /// Says once that writing fails, and once that it works again; so too of events that are dropped.
    fn tell_outputs(&self, told: &mut [Told], now: Instant) {
        for (handle, Told { failing, losses }) in self.outputs.handles().iter().zip(told) {
            let (state, stats) = (handle.state(), handle.stats());
            self.tell_losses(handle, &state, &stats, losses.see(&stats, &state, now));
            let fails = matches!(state, State::Failing { .. } | State::Ended);
            if fails && !*failing {
                let why = if let State::Failing { why, .. } = state { why } else { "its thread has ended".to_owned() };
                self.log.error(&format!("events are not written to {}: {why}", handle.name()));
            } else if *failing && !fails {
                self.log.warn(&format!("events are written to {} again", handle.name()));
            }
            *failing = fails;
        }
    }

    fn tell_losses(&self, handle: &Handle, state: &State, stats: &OutletStats, news: Option<News>) {
        // That nobody reads any more is the end of it, as asked for.
        if *state == State::Closed && self.plan.ends_with_reader {
            return;
        }
        let (name, OutletStats { given, dropped, queued, .. }) = (handle.name(), stats);
        let text = match news {
            None => return,
            Some(News::Began) => {
                let why = match state {
                    State::Writing => "it takes them slower than they come",
                    State::Failing { .. } => "writing fails",
                    State::Closed => "nobody reads it any more",
                    State::Ended => "nothing writes it any more",
                };
                let text = format!(
                    "events are being dropped: {name} lost {dropped} of {given} so far, and {queued} wait; {why}"
                );
                self.log.warn(&text);
                text
            }
            Some(News::Ended { lost, lasted }) => {
                let (lost, quiet, lasted) = (plural(lost, "event"), QUIET.as_secs(), lasted.as_secs());
                let text = format!(
                    "{name}: no event was dropped for {quiet} s; {lost} lost in {lasted} s, {dropped} of {given} in all"
                );
                self.log.info(&text);
                text
            }
        };
        self.control.notice(NoticeCode::Overload, text.chars().take(MAX_REASON).collect());
    }

    /// An interface that is gone for good is the end: who starts the program anew can open it. One without link is not
    /// gone.
    fn gone(&self, snapshot: &Snapshot, down_since: &mut Option<Instant>, now: Instant) -> Option<Failure> {
        let interfaces = &snapshot.capture.as_ref()?.interfaces;
        let Some(down) = interfaces.iter().find(|i| !i.open) else {
            *down_since = None;
            return None;
        };
        let since = *down_since.get_or_insert(now);
        if self.can_reopen || now.duration_since(since) < GONE {
            return None;
        }
        self.stop();
        Some(Failure::run(format!(
            "{} went away and there is no right left to open it again; start anew, or set `keep_net_raw = true`",
            down.name
        )))
    }

    /// Puts new rules and scope in force, or tells why not.
    fn reload(&self) {
        let _ = notify::reloading();
        self.outputs.reopen();
        match self.load() {
            Ok((generation, config)) => {
                let (rules, hash) = (generation.rules.hash(), &config.hash);
                self.log.info(&format!("rules {rules} and configuration {hash} are in force"));
                self.control.set_generation(generation);
                let waiting = config.needing_a_start(&self.plan.config);
                if !waiting.is_empty() {
                    self.log.warn(&format!("changed and not in force before the next start: {}", waiting.join(", ")));
                }
            }
            Err(why) => {
                self.counters.reloads_failed.fetch_add(1, Ordering::Relaxed);
                self.log.error(&format!("the old rules and configuration stay in force: {why}"));
                let why: String = why.chars().take(MAX_REASON).collect();
                self.control.notice(NoticeCode::ReloadFailed, why);
            }
        }
        let _ = notify::ready(&status(&self.control.snapshot()));
    }

    /// Reads everything; what the proxy takes at once is in force there.
    fn load(&self) -> Result<(Arc<Generation>, Config), String> {
        let config = Config::load(self.plan.common, &self.plan.overrides).map_err(|e| format!("{e:#}"))?;
        let generation = super::generation(&config, self.log).map_err(|failure| match failure {
            Failure::Usage(e) | Failure::Run(e) => format!("{e:#}"),
            Failure::Closed => String::new(),
        })?;
        let generation = Arc::new(generation);
        self.proxy.reload(config.live.proxy.settings(&generation))?;
        self.outputs.encrypt_to(&config.recipients);
        Ok((generation, config))
    }
}

/// A line for `systemctl status`.
fn status(snapshot: &Snapshot) -> String {
    let stats = &snapshot.stats;
    let dropped: u64 = stats.packets_dropped.values().sum();
    let servers: u64 = stats.servers.values().sum();
    let proxy = stats.proxy.as_ref().map(|proxy| {
        let requests: u64 = proxy.requests.values().sum();
        format!("; {} connections to the proxy, {requests} requests so far", proxy.connections_active)
    });
    let proxy = proxy.unwrap_or_default();
    format!(
        "{} packets, {dropped} of them not analysed{proxy}; {servers} servers; {} events",
        stats.packets, stats.events
    )
}

#[expect(clippy::disallowed_methods, reason = "what is told to people and when; no event depends on it")]
pub(super) fn clock() -> Instant {
    Instant::now()
}
