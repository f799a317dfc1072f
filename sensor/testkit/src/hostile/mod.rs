//! Hostile input with its truth: what a sender may do so that a sensor reads other bytes than the receiver, or none.
//!
//! Each [`Trick`] plays itself on a flow of its own and states what a sensor must make of it, and why. [`checklist`]
//! says which trick stands for which way of hiding, so that a reader can see what is covered and what waits for a
//! protocol that is not read yet. A capture of a trick ends with the [canary](Scene::canary), plain MCP on addresses of
//! its own: whatever the trick did, that must be found.

mod checklist;
mod codings;
mod dns;
mod http;
mod http2;
mod json;
mod network;
mod quic;
mod streams;
mod tls;

pub use checklist::{Area, Cover, Item, checklist};

use crate::capture::Odd;
use crate::http as message;
use crate::{Capture, Direction, FlowId, Turn, Wire};
use Direction::{ToClient, ToServer};
use std::ops::Range;

/// What must come of a trick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// The standards settle what the receiver reads, and it is MCP: a detection, likely or confirmed.
    Found,
    /// Receivers differ: a detection, or a notice about this flow. Never silence.
    FoundOrNotice,
    /// What is said is encrypted, but a server is named that the list knows: a detection of any confidence.
    Contact,
    /// Harmless, whatever it looks like: no detection at any confidence.
    Clean,
}

impl Truth {
    /// In words, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Found => "must be found",
            Self::FoundOrNotice => "found or a notice",
            Self::Contact => "must be possible",
            Self::Clean => "must not be accused",
        }
    }
}

/// One way to hide, or to be taken for what one is not.
#[derive(Clone, Copy, Debug)]
pub struct Trick {
    /// A stable name.
    pub name: &'static str,
    /// Why the truth is what it is, with the section that settles it.
    pub why: &'static str,
    /// What must come of it.
    pub truth: Truth,
    /// How it is played.
    pub play: Play,
}

/// How a trick is played.
#[derive(Clone, Copy, Debug)]
pub enum Play {
    /// A conversation. It means the same however it is cut into segments.
    Turns(fn() -> Vec<Turn>),
    /// Packets by hand.
    Packets(fn(&mut Scene)),
}

/// A capture while a trick is played on it.
#[derive(Debug)]
pub struct Scene {
    /// The capture so far.
    pub capture: Capture,
    wire: Wire,
}

/// Name of every server here. No list knows it.
const HOST: &str = "notes.corp.example";
/// A call that only MCP makes.
const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"note_find","arguments":{"q":"budget"}}}"#;
/// An answer whose shape only MCP has.
const TOOLS: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"note_find","inputSchema":{"type":"object"}}]}}"#;

impl Scene {
    /// Who plays the tricks, `ip:port`.
    pub const CLIENT: &'static str = "10.66.0.1:40001";
    /// The same, where a trick needs IPv6.
    pub const CLIENT_V6: &'static str = "fd00:66::1:40001";
    /// Whom they are played on.
    pub const SERVER: &'static str = "10.66.0.2:8000";
    /// The canary's client.
    pub const CANARY_CLIENT: &'static str = "10.77.0.1:47001";
    /// The canary's server.
    pub const CANARY_SERVER: &'static str = "10.77.0.2:8700";

    /// An empty capture in which clean flows travel as `wire` says.
    pub fn new(wire: Wire) -> Self {
        Self { capture: Capture::new(), wire }
    }

    /// Plain MCP on its own addresses, sent last.
    pub fn canary(&mut self) {
        let ask = message::post("canary.corp.example", "/rpc", "", CALL);
        let result =
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"tweet"}],"isError":false}}"#;
        let turns = [(ToServer, ask), (ToClient, message::json("", result))];
        self.capture.play(Self::CANARY_CLIENT, Self::CANARY_SERVER, Wire::default(), &turns);
    }

    /// How clean flows travel here.
    fn wire(&self) -> Wire {
        self.wire.clone()
    }

    fn flow(&mut self, wire: Wire) -> FlowId {
        self.capture.flow(Self::CLIENT, Self::SERVER, wire)
    }

    fn play(&mut self, wire: Wire, turns: &[Turn]) -> FlowId {
        self.capture.play(Self::CLIENT, Self::SERVER, wire, turns)
    }

    /// The bytes of `range` of what the client sends next, where they belong. Call [`Self::done`] in the end.
    fn part(&mut self, flow: FlowId, bytes: &[u8], range: Range<usize>) {
        let ahead = range.start as i64;
        self.capture.odd(flow, &Odd::data(ToServer, ahead, &bytes[range]));
    }

    /// The client has sent `len` bytes by hand; the server takes them, and both close.
    fn done(&mut self, flow: FlowId, len: usize) {
        self.capture.skip(flow, ToServer, len);
        self.capture.send(flow, ToClient, &taken());
        self.capture.fin(flow);
    }
}

impl Trick {
    /// A capture of the trick and, behind it, of the canary. `wire` cuts what may be cut.
    pub fn capture(&self, wire: Wire) -> Capture {
        let mut scene = Scene::new(wire.clone());
        match self.play {
            Play::Turns(turns) => drop(scene.play(wire, &turns())),
            Play::Packets(play) => play(&mut scene),
        }
        scene.canary();
        scene.capture
    }
}

/// Every trick, in the order of [`checklist`].
pub fn tricks() -> Vec<Trick> {
    let clear = [network::tricks(), http::tricks(), codings::tricks(), json::tricks(), streams::tricks()];
    let others = [http2::tricks(), tls::tricks(), quic::tricks(), dns::tricks()];
    [clear.concat(), others.concat()].concat()
}

fn found(name: &'static str, why: &'static str, turns: fn() -> Vec<Turn>) -> Trick {
    Trick { name, why, truth: Truth::Found, play: Play::Turns(turns) }
}

fn either(name: &'static str, why: &'static str, turns: fn() -> Vec<Turn>) -> Trick {
    Trick { name, why, truth: Truth::FoundOrNotice, play: Play::Turns(turns) }
}

fn contact(name: &'static str, why: &'static str, turns: fn() -> Vec<Turn>) -> Trick {
    Trick { name, why, truth: Truth::Contact, play: Play::Turns(turns) }
}

fn clean(name: &'static str, why: &'static str, turns: fn() -> Vec<Turn>) -> Trick {
    Trick { name, why, truth: Truth::Clean, play: Play::Turns(turns) }
}

const fn packets(name: &'static str, why: &'static str, truth: Truth, play: fn(&mut Scene)) -> Trick {
    Trick { name, why, truth, play: Play::Packets(play) }
}

/// An answer that says nothing.
fn taken() -> Vec<u8> {
    message::request("HTTP/1.1 202 Accepted\nContent-Length: 0\n\n")
}

/// A request that says nothing.
fn get() -> Vec<u8> {
    message::request("GET /feed HTTP/1.1\nHost: notes.corp.example\nAccept: */*\n\n")
}

/// The call, as MCP clients post it.
fn call() -> Vec<u8> {
    message::post(HOST, "/rpc", "", CALL)
}

/// A request of the same length that is no MCP.
fn plain() -> Vec<u8> {
    let filler = "x".repeat(CALL.len() - r#"{"note":""}"#.len());
    message::post(HOST, "/rpc", "", &format!(r#"{{"note":"{filler}"}}"#))
}

/// `request`, and an answer that does not give it away.
fn asked(request: impl Into<Vec<u8>>) -> Vec<Turn> {
    vec![(ToServer, request.into()), (ToClient, taken())]
}

/// A request that does not give it away, and `response`.
fn answered(response: impl Into<Vec<u8>>) -> Vec<Turn> {
    vec![(ToServer, get()), (ToClient, response.into())]
}

/// A POST of `json` to a path that no list knows.
fn posted(json: &str) -> Vec<Turn> {
    asked(message::post(HOST, "/rpc", "", json))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_trick_stands_in_the_checklist_once_and_every_line_of_it_has_tricks_or_a_reason() {
        let names: Vec<_> = tricks().iter().map(|t| t.name).collect();
        let mut left: BTreeSet<_> = names.iter().copied().collect();
        assert_eq!(left.len(), names.len(), "a name is used twice");
        for item in checklist() {
            match item.cover {
                Cover::Tricks(by) => {
                    assert!(!by.is_empty(), "{}: nothing covers it", item.what);
                    for name in by {
                        assert!(left.remove(name), "{}: no trick `{name}`, or it is listed twice", item.what);
                    }
                }
                Cover::Later(why) => assert!(!why.is_empty(), "{}: why later?", item.what),
            }
        }
        assert!(left.is_empty(), "tricks that the checklist does not name: {left:?}");
    }

    #[test]
    fn what_passes_for_each_other_has_one_length() {
        assert_eq!(call().len(), plain().len());
    }

    #[test]
    fn a_trick_gives_the_same_bytes_every_time() {
        for trick in tricks().iter().filter(|t| !t.name.starts_with("bomb")) {
            let wire = || Wire { ragged: true, ..Wire::default() };
            assert_eq!(trick.capture(wire()).pcap(), trick.capture(wire()).pcap(), "{}", trick.name);
        }
    }
}
