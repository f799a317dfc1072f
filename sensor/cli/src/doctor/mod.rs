//! `mcp-sensor doctor`: is the sensor blind, and why?
//!
//! ```text
//! machine ─look─▶ Survey ─judge─▶ Findings ─print─▶
//! packets ─count─▶ ┘
//! ```

pub(crate) mod args;
mod count;
mod judge;
mod look;
mod print;
mod survey;
#[cfg(test)]
mod tests;

use crate::args::{Common, Overrides};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::log::Log;
use crate::process;
use args::Doctor;
use capture::{InterfaceOptions, Live, LiveOptions, RingInfo};
use count::Counter;
use judge::Level;
use net::LinkType;
use std::io::Write as _;
use std::time::{Duration, Instant};
use survey::{Interface, Survey};

/// Looks, listens, judges, prints. Status 1 if anything fails.
pub(crate) fn run(common: &Common, args: &Doctor, log: &Log) -> Outcome {
    let config = Config::load(common, &Overrides::default())?;
    let wanted = wanted(args, &config)?;
    let mut survey = Survey {
        seconds: args.seconds,
        may_capture: process::Status::of_this_thread().is_ok_and(|status| status.effective & process::NET_RAW != 0),
        clock_synchronized: look::clock_synchronized(),
        known: look::names(),
        interfaces: wanted.iter().map(describe).collect(),
        ..Survey::default()
    };
    listen(&mut survey, &wanted, &config.live.capture, log);
    let findings = judge::judge(&survey);
    let mut out = std::io::stdout().lock();
    if args.json {
        print::json(&findings, &survey, &mut out)?;
    } else {
        print::text(&findings, &mut out)?;
    }
    out.flush()?;
    Ok(u8::from(findings.iter().any(|finding| finding.level == Level::Fail)))
}

/// Interfaces that were named, as the configuration has them where it does; else those of the configuration.
fn wanted(args: &Doctor, config: &Config) -> Result<Vec<InterfaceOptions>, Failure> {
    let sources = &config.live.sources;
    let of = |name: &String| {
        let source = sources.iter().find(|source| source.name == *name);
        source.cloned().unwrap_or_else(|| InterfaceOptions::new(name))
    };
    let mut wanted: Vec<InterfaceOptions> =
        if args.interface.is_empty() { sources.clone() } else { args.interface.iter().map(of).collect() };
    let mut seen = Vec::new();
    wanted.retain(|options| {
        !seen.contains(&options.name) && {
            seen.push(options.name.clone());
            true
        }
    });
    if wanted.is_empty() {
        let known = look::names().join(", ");
        return Err(Failure::usage(format!("name an interface with -i; there are {known}")));
    }
    Ok(wanted)
}

fn describe(options: &InterfaceOptions) -> Interface {
    Interface {
        bpf: options.bpf.clone(),
        snaplen: options.snaplen,
        ring_bytes: u64::from(options.buffer_bytes).saturating_mul(options.rings as u64),
        ..look::interface(&options.name)
    }
}

/// Opens what can be opened, and counts.
fn listen(survey: &mut Survey, wanted: &[InterfaceOptions], options: &LiveOptions, log: &Log) {
    // One by one first: which of them fails, and why, is what is asked.
    for (interface, options_of) in survey.interfaces.iter_mut().zip(wanted) {
        if interface.exists && interface.up {
            interface.failure =
                Live::open(std::slice::from_ref(options_of), options).err().map(|error| error.to_string());
        }
    }
    let good = |interface: &&mut Interface| interface.exists && interface.up && interface.failure.is_none();
    let (mut interfaces, wanted): (Vec<_>, Vec<_>) =
        survey.interfaces.iter_mut().zip(wanted.iter().cloned()).filter(|(interface, _)| good(interface)).unzip();
    if interfaces.is_empty() {
        return;
    }
    let mut live = match Live::open(&wanted, options) {
        Ok(live) => live,
        Err(error) => {
            for interface in interfaces {
                interface.failure = Some(error.to_string());
            }
            return;
        }
    };
    if let Err(error) = process::shed([]) {
        log.warn(&error.to_string());
    }
    let names: Vec<_> = wanted.iter().map(|options| options.name.as_str()).collect();
    log.info(&format!("listening to {} for {} s", names.join(", "), survey.seconds));
    let cards = || names.iter().map(|name| look::card_counters(name)).collect::<Vec<_>>();
    let before = cards();
    let mut counter = Counter::new(names.iter().map(|name| look::address(name)).collect());
    count(&mut live, &mut counter, Duration::from_secs(survey.seconds));
    let (traffic, flows) = counter.finish();
    survey.flows = flows;
    let stats = live.stats().interfaces;
    let cards = before.into_iter().zip(cards());
    for ((((interface, traffic), stats), (before, after)), name) in
        interfaces.iter_mut().zip(traffic).zip(stats).zip(cards).zip(&names)
    {
        interface.traffic = traffic;
        interface.kernel_dropped = stats.kernel_dropped;
        interface.queue_dropped = stats.queue_dropped;
        interface.cut = stats.cut;
        interface.card_lost = after.0.saturating_sub(before.0).max(stats.interface_dropped);
        interface.card_errors = after.1.saturating_sub(before.1);
        let rings: Vec<&RingInfo> = live.rings().iter().filter(|ring| ring.interface == *name).collect();
        interface.ring_bytes_given = rings.iter().map(|ring| ring.buffer_bytes).sum();
        interface.ring_version = rings.iter().filter_map(|ring| ring.version).min();
        interface.unread_link = rings.iter().find_map(|ring| match ring.link {
            LinkType::Other(number) => Some(number),
            _ => None,
        });
    }
}

/// Counts for so long, and what was captured by then.
fn count(live: &mut Live, counter: &mut Counter, time: Duration) {
    let stopper = live.stopper();
    let (begin, mut stopping) = (clock(), false);
    while let Some(batch) = live.next_batch() {
        let now = crate::time::now();
        batch.iter().for_each(|frame| counter.frame(&frame, now));
        if !stopping && begin.elapsed() >= time {
            stopper.stop();
            stopping = true;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it listens for as long as it was told")]
fn clock() -> Instant {
    Instant::now()
}
