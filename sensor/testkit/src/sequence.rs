//! Sequences: files that play vectors and inline messages on several flows, and say what must come out.
//!
//! ```text
//! # S1: what it shows
//! flow a 10.9.1.1:40001 10.9.1.2:8000 midstream
//! a T01
//! a accepted
//! wait 3600s
//! times 60 60s a change
//! close a
//! expect detections 1..2
//! expect least likely
//!
//! === response name=accepted
//! HTTP/1.1 202 Accepted
//! === end
//! ```
//!
//! `a T01` sends vector T01 on flow a, `a accepted` the block of that name; `times 60 60s a change` sends it 60 times,
//! 60 s apart. A flow may be `midstream`, `to-client-only` or `to-server-only`. `expect` takes a count or a range for
//! `detections`, `likely` (those of likely or more), `confirmed`, `sessions`, `servers`; `least` names the lowest
//! confidence a detection may have; `transport` the transport of every session.

use crate::vector::{Block, Vector, block, split};
use crate::{Capture, Direction, FlowId, Wire};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// One sequence.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// `S1`.
    pub id: String,
    /// What it shows.
    pub shows: String,
    /// Counts that must come out.
    pub counts: BTreeMap<String, RangeInclusive<usize>>,
    /// Lowest confidence a detection may have.
    pub least: Option<String>,
    /// Transport of every session.
    pub transport: Option<String>,
    /// The traffic.
    pub capture: Capture,
}

impl Sequence {
    /// Reads a sequence file and plays it. `vectors` are all that it may name.
    ///
    /// # Errors
    ///
    /// What is wrong, with its line.
    pub fn parse(text: &str, vectors: &[Vector]) -> Result<Self, String> {
        let (headers, blocks) = split(text);
        let (id, shows) = headers.first().cloned().ok_or("line 1: `# id: what it shows` is missing")?;
        let blocks: Vec<Block> =
            blocks.iter().map(|(options, lines)| block(options, lines)).collect::<Result<_, _>>()?;
        let mut player = Player { capture: Capture::new(), flows: BTreeMap::new(), vectors, blocks: &blocks };
        let (mut counts, mut least, mut transport) = (BTreeMap::new(), None, None);
        for line in text.lines().take_while(|line| !line.starts_with("=== ")) {
            let words: Vec<_> = line.split_whitespace().collect();
            match words[..] {
                [] | ["#", ..] => {}
                ["expect", "least", value] => least = Some(value.to_owned()),
                ["expect", "transport", value] => transport = Some(value.to_owned()),
                ["expect", key, value] => {
                    let (low, high) = value.split_once("..").unwrap_or((value, value));
                    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("`{line}`"));
                    counts.insert(key.to_owned(), number(low)?..=number(high)?);
                }
                _ => player.step(&words).map_err(|why| format!("`{line}`: {why}"))?,
            }
        }
        Ok(Self { id, shows, counts, least, transport, capture: player.capture })
    }
}

struct Player<'a> {
    capture: Capture,
    flows: BTreeMap<String, FlowId>,
    vectors: &'a [Vector],
    blocks: &'a [Block],
}

impl Player<'_> {
    fn step(&mut self, words: &[&str]) -> Result<(), String> {
        match *words {
            ["flow", name, client, server, ref options @ ..] => {
                let mut wire = Wire::default();
                for option in options {
                    match *option {
                        "midstream" => wire.midstream = true,
                        "to-client-only" => wire.only = Some(Direction::ToClient),
                        "to-server-only" => wire.only = Some(Direction::ToServer),
                        other => return Err(format!("flow option `{other}` is unknown")),
                    }
                }
                let id = self.capture.flow(client, server, wire);
                self.flows.insert(name.to_owned(), id);
            }
            ["wait", time] => self.capture.wait(seconds(time)?),
            ["close", flow] => {
                let id = self.flow(flow)?;
                self.capture.fin(id);
            }
            ["times", count, time, flow, what] => {
                for _ in 0..count.parse::<usize>().map_err(|e| e.to_string())? {
                    self.capture.wait(seconds(time)?);
                    self.send(flow, what)?;
                }
            }
            [flow, what] => self.send(flow, what)?,
            _ => return Err("no such step".to_owned()),
        }
        Ok(())
    }

    fn flow(&self, name: &str) -> Result<FlowId, String> {
        self.flows.get(name).copied().ok_or_else(|| format!("no flow `{name}`"))
    }

    fn send(&mut self, flow: &str, what: &str) -> Result<(), String> {
        let id = self.flow(flow)?;
        let blocks: Vec<&Block> = match self.vectors.iter().find(|v| v.id == what) {
            Some(vector) => vector.blocks.iter().collect(),
            None => self.blocks.iter().filter(|b| b.name == what).collect(),
        };
        if blocks.is_empty() {
            return Err(format!("no vector or block `{what}`"));
        }
        for block in blocks {
            self.capture.send(id, block.direction, &block.bytes);
        }
        Ok(())
    }
}

/// `60s` in microseconds.
fn seconds(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix('s').and_then(|n| n.parse::<u64>().ok());
    number.map(|n| n * 1_000_000).ok_or_else(|| format!("`{text}`: want a time such as 60s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_play_in_order_on_their_flows() {
        let text = "# S0: x\nflow a 10.0.0.1:1 10.0.0.2:2 midstream\nflow b 10.0.0.1:3 10.0.0.2:2\na hi\nb hi\n\
                    times 2 60s a hi\nclose b\nexpect sessions 1..2\nexpect least likely\n=== request raw name=hi\nhello\n=== end\n";
        let sequence = Sequence::parse(text, &[]).unwrap();
        assert_eq!((sequence.id.as_str(), &sequence.counts["sessions"]), ("S0", &(1..=2)));
        assert_eq!(sequence.least.as_deref(), Some("likely"));
        // A handshake of three, four sends with their acknowledgement, three to close.
        assert_eq!(sequence.capture.frames().len(), 3 + 4 * 2 + 3);
        let (first, last) = (sequence.capture.frames()[0].0, sequence.capture.frames().last().unwrap().0);
        assert!(last - first > 120_000_000);
    }

    #[test]
    fn a_wrong_step_is_named() {
        for (text, want) in [
            ("# S0: x\na T01\n", "no flow `a`"),
            ("# S0: x\nflow a 10.0.0.1:1 10.0.0.2:2\na T99\n", "no vector or block `T99`"),
            ("# S0: x\nflow a 10.0.0.1:1 10.0.0.2:2 upside-down\n", "is unknown"),
            ("# S0: x\nwait long\n", "want a time"),
        ] {
            assert!(Sequence::parse(text, &[]).unwrap_err().contains(want));
        }
    }
}
