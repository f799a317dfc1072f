//! `score MANIFEST.json FOLDER`: precision and recall on captures with a known truth, ours beside a naive baseline's.
//!
//! Both are asked one question per (client, server, port): is there MCP? Ours says yes where it made a detection of
//! `likely` or more. The baseline is the pack of ten published patterns for bodies, hosts and paths
//! (`cloudflare-mcp-v1`) alone: it says yes where any of its patterns hit, in whatever message. That is fairer than
//! patterns over raw packets would be: the baseline is given our reassembly, our dechunking, inflating and unmasking.
//! What neither can read (TLS without keys, HTTP/2, tunnels; `later` in the manifest) is listed and left out.
#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "a program that prints shares of small counts")]

use anyhow::{Context, Result, bail};
use correlate::Record;
use detect::{Classification, Confidence, Generation};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A service as the manifest names it: client, server, port.
type Service = (String, String, u64);

/// The pack of the baseline.
const BASELINE: &str = "cloudflare-mcp-v1";

#[derive(Default)]
struct Score {
    right: usize,
    wrong: Vec<String>,
    missed: Vec<String>,
}

impl Score {
    fn add(&mut self, name: &str, said: &BTreeSet<Service>, truth: &BTreeSet<Service>) {
        self.right += said.intersection(truth).count();
        let list = |set: std::collections::btree_set::Difference<'_, Service>| {
            set.map(|(client, server, port)| format!("{name} {client} -> {server}:{port}")).collect::<Vec<_>>()
        };
        self.wrong.extend(list(said.difference(truth)));
        self.missed.extend(list(truth.difference(said)));
    }

    fn print(&self, name: &str) {
        let share = |part: usize, whole: usize| if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
        println!(
            "{name:10} precision {:.3}  recall {:.3}  ({} right, {} wrong, {} missed)",
            share(self.right, self.right + self.wrong.len()),
            share(self.right, self.right + self.missed.len()),
            self.right,
            self.wrong.len(),
            self.missed.len()
        );
        for (what, list) in [("wrong", &self.wrong), ("missed", &self.missed)] {
            for line in list {
                println!("           {what}: {line}");
            }
        }
    }
}

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [manifest, folder] = &arguments[..] else { bail!("usage: score MANIFEST.json FOLDER") };
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(manifest).with_context(|| manifest.display().to_string())?)?;
    let captures = manifest.get("captures").and_then(Value::as_array).context("the manifest lists no captures")?;
    let Ok(rules) = detect::rules::compile(&detect::rules::builtin()) else {
        bail!("the built-in rules do not compile")
    };
    let scope = detect::Scope::try_from(&detect::RawScope::default())?;
    let generation = Arc::new(Generation { rules, scope, policy: detect::Policy::default() });
    let (mut ours, mut baseline, mut services, mut later) = (Score::default(), Score::default(), 0, Vec::new());
    for capture in captures {
        let name = capture.get("file").and_then(Value::as_str).context("a capture without a file")?;
        if let Some(why) = capture.get("later").and_then(Value::as_str) {
            later.push(format!("{name} ({why})"));
            continue;
        }
        let (all, mcp) = truth(capture);
        services += all.len();
        let (found, hit) = run(&folder.join(name), &generation, &all).with_context(|| name.to_owned())?;
        ours.add(name, &found, &mcp);
        baseline.add(name, &hit, &mcp);
    }
    println!("{services} services in {} captures", captures.len() - later.len());
    ours.print("mcp-sensor");
    baseline.print("baseline");
    println!("left out: {}", later.join(", "));
    Ok(())
}

/// All services of a capture, and those that are MCP.
fn truth(capture: &Value) -> (BTreeSet<Service>, BTreeSet<Service>) {
    let (mut all, mut mcp) = (BTreeSet::new(), BTreeSet::new());
    for expected in capture.get("expected").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| expected.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let service =
            (text("client"), text("server"), expected.get("port").and_then(Value::as_u64).unwrap_or_default());
        if expected.get("is_mcp").and_then(Value::as_bool).unwrap_or_default() {
            mcp.insert(service.clone());
        }
        all.insert(service);
    }
    (all, mcp)
}

/// What we said, and what the baseline said.
fn run(
    path: &Path,
    generation: &Arc<Generation>,
    all: &BTreeSet<Service>,
) -> Result<(BTreeSet<Service>, BTreeSet<Service>)> {
    let reader = capture::Reader::open(&[path.to_path_buf()], &capture::Options::default())?;
    let tagged =
        |id: &str| generation.rules.signatures().iter().any(|s| s.id == id && s.tags.iter().any(|tag| tag == BASELINE));
    let (mut ours, mut baseline) = (BTreeSet::new(), BTreeSet::new());
    let mut emit = |record| match record {
        Record::Detection(d) if d.confidence >= Confidence::Likely && d.classification != Classification::LookAlike => {
            ours.insert((d.flow.client.ip.clone(), d.flow.server.ip.clone(), u64::from(d.flow.server.port)));
        }
        // Hits are counted whatever became of them. A capture holds one service, so that they are its own.
        Record::Stats(stats) if stats.signals.iter().any(|(id, hits)| *hits > 0 && tagged(id)) => {
            baseline.extend(all.iter().cloned());
        }
        _ => {}
    };
    pipeline::replay(
        reader,
        &pipeline::Settings::default(),
        generation,
        &pipeline::RunInfo::default(),
        &mut emit,
        &|_, _| {},
    )?;
    Ok((ours, baseline))
}
