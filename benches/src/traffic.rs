//! Captures of any size with the truth about them.
//!
//! Traffic comes in rounds of some hundred flows that run at the same time, so that memory stays small however large
//! the capture. Every flow states whether it is MCP; what merely talks of MCP, or speaks a protocol that resembles it,
//! is among the others.

mod dns;
mod flows;
mod keys;
mod tls;

use std::io::{self, Write};
use testkit::{Capture, FlowId, Rng, Turn, Wire};

/// What a capture is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Clear text only: pages, interfaces for machines, downloads, event streams, some MCP.
    Http,
    /// The same, and more than half of the bytes in TLS.
    Mixed,
    /// Small packets: a question to a name server and its answer, each a flow of its own; a little HTTP beside it.
    Dns,
    /// As [`Profile::Http`], with every flow in TLS 1.3 (AES-128-GCM) of which the keys are logged. Ends draw keys as they
    /// like, so its bytes are others each time.
    Keys,
}

impl Profile {
    /// The profile of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [("http", Self::Http), ("mixed", Self::Mixed), ("dns", Self::Dns), ("keys", Self::Keys)]
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, profile)| profile)
    }
}

/// One flow to be played.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) kind: &'static str,
    pub(crate) mcp: bool,
    pub(crate) turns: Vec<Turn>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of the capture.
    pub bytes: u64,
    /// Frames.
    pub packets: u64,
    /// TCP flows; questions to name servers are not among them.
    pub flows: u64,
    /// Those that are MCP.
    pub mcp: u64,
}

/// Flows at once, unless asked otherwise.
pub const OPEN: usize = 250;
/// Questions to name servers for each turn of a flow, in the `dns` profile. A tenth of the flows run at once there.
const QUESTIONS: u64 = 20;
/// Time from one question to the next, in microseconds: 4,000 a second, so that old ones are forgotten.
const EVERY_US: u64 = 250;

/// Writes a capture of at least `bytes` bytes, and one JSON line for each TCP flow: `client` and `server` as
/// `address:port`, `kind`, `mcp`. `open` flows run at a time. Keys, where the profile has any, go to `keylog`.
///
/// # Errors
///
/// Those of the writers.
pub fn write(
    profile: Profile,
    bytes: u64,
    open: usize,
    pcap: &mut impl Write,
    truth: &mut impl Write,
    keylog: &mut impl Write,
) -> io::Result<Totals> {
    let hosts = (profile == Profile::Keys).then(keys::Hosts::new);
    let mut rng = Rng::new(2026);
    let mut totals = Totals::default();
    let mut clock = 0;
    let open = if profile == Profile::Dns { open.div_ceil(10) } else { open };
    let header = Capture::new().pcap();
    pcap.write_all(&header)?;
    totals.bytes = header.len() as u64;
    while totals.bytes < bytes {
        let frames = round(profile, &mut rng, open, &mut totals, (truth, hosts.as_ref()))?;
        if let Some(hosts) = &hosts {
            keylog.write_all(hosts.take_log().as_bytes())?;
        }
        for (us, frame) in &frames {
            let us = us + clock;
            let len = (frame.len() as u32).to_le_bytes();
            let times = [((us / 1_000_000) as u32).to_le_bytes(), ((us % 1_000_000) as u32).to_le_bytes()];
            pcap.write_all([times[0], times[1], len, len].as_flattened())?;
            pcap.write_all(frame)?;
            totals.bytes += 16 + frame.len() as u64;
        }
        totals.packets += frames.len() as u64;
        let end = frames.last().map_or(Capture::START_US, |(us, _)| *us);
        clock += end - Capture::START_US + 10_000;
    }
    pcap.flush()?;
    truth.flush()?;
    keylog.flush()?;
    Ok(totals)
}

/// Plays `2 * open` flows, at most `open` at a time: frames by time.
fn round(
    profile: Profile,
    rng: &mut Rng,
    open: usize,
    totals: &mut Totals,
    (truth, hosts): (&mut impl Write, Option<&keys::Hosts>),
) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let mut capture = Capture::new();
    let mut running: Vec<(FlowId, std::vec::IntoIter<Turn>)> = Vec::new();
    let mut waiting = 2 * open;
    let mut questions = Vec::new();
    loop {
        while running.len() < open && waiting > 0 {
            waiting -= 1;
            let mut script = flows::choose(profile, rng);
            if let Some(hosts) = hosts {
                script.turns = hosts.session(&script.turns);
            }
            let (client, server) = ends(rng, totals.flows, if hosts.is_some() { "tls" } else { script.kind });
            totals.flows += 1;
            totals.mcp += u64::from(script.mcp);
            writeln!(
                truth,
                r#"{{"client":"{client}","server":"{server}","kind":"{}","mcp":{}}}"#,
                script.kind, script.mcp
            )?;
            running.push((capture.flow(&client, &server, wire(rng, totals.flows)), script.turns.into_iter()));
        }
        if running.is_empty() {
            break;
        }
        let chosen = rng.below(running.len());
        let id = running[chosen].0;
        if let Some((direction, bytes)) = running[chosen].1.next() {
            capture.send(id, direction, &bytes);
        } else {
            capture.fin(id);
            drop(running.swap_remove(chosen));
        }
        if profile == Profile::Dns {
            let now = capture.frames().last().map_or(Capture::START_US, |(us, _)| *us);
            questions.extend((0..QUESTIONS).flat_map(|n| dns::lookup(rng, now + n * EVERY_US)));
            capture.wait(QUESTIONS * EVERY_US);
        }
    }
    let mut frames = capture.frames().to_vec();
    if !questions.is_empty() {
        frames.append(&mut questions);
        frames.sort_by_key(|(us, _)| *us);
    }
    Ok(frames)
}

/// Client and server; no two flows have the same, unless there are more than 200 million.
fn ends(rng: &mut Rng, flow: u64, kind: &str) -> (String, String) {
    let (host, port) = (flow / 20_000, 20_000 + flow % 20_000);
    let service = match kind {
        "tls" => 443,
        _ => [80, 80, 8080, 8000, 3000][rng.below(5)],
    };
    let server = 1 + rng.below(200);
    if rng.below(100) < 15 {
        (format!("[fd00:1::{:x}]:{port}", host + 1), format!("[fd00:2::{server:x}]:{service}"))
    } else {
        let (a, b, c) = (host / 62_500 % 200, host / 250 % 250, host % 250 + 1);
        (format!("10.{}.{b}.{c}:{port}", a + 1), format!("192.0.2.{server}:{service}"))
    }
}

/// One flow in five has a VLAN tag; some are reordered, some come twice.
fn wire(rng: &mut Rng, seed: u64) -> Wire {
    Wire {
        vlan: (rng.below(5) == 0).then_some(40),
        reorder: if rng.below(40) == 0 { 3 } else { 0 },
        duplicate: if rng.below(40) == 0 { 20 } else { 0 },
        seed,
        ..Wire::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_arguments_give_the_same_bytes() {
        for profile in [Profile::Http, Profile::Mixed, Profile::Dns] {
            let make = || {
                let (mut pcap, mut truth) = (Vec::new(), Vec::new());
                let totals = write(profile, 4 << 20, 100, &mut pcap, &mut truth, &mut io::sink()).unwrap();
                (totals, pcap, truth)
            };
            let (totals, pcap, truth) = make();
            assert_eq!(totals.bytes, pcap.len() as u64);
            assert_eq!(totals.flows as usize, truth.split(|b| *b == b'\n').count() - 1);
            assert!(totals.mcp > 0 && totals.mcp < totals.flows / 2, "{profile:?}: {totals:?}");
            assert_eq!(make(), (totals, pcap, truth), "{profile:?}");
        }
    }

    #[test]
    fn every_flow_in_tls_leaves_its_keys() {
        let (mut pcap, mut truth, mut keylog) = (Vec::new(), Vec::new(), Vec::new());
        let totals = write(Profile::Keys, 1 << 20, 10, &mut pcap, &mut truth, &mut keylog).unwrap();
        // Of the handshake and of what follows, for both directions, and one for exporters.
        assert_eq!(keylog.split(|b| *b == b'\n').count() - 1, totals.flows as usize * 5);
    }
}
