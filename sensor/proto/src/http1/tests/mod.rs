//! Tables for what the specifications say, properties for what must hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod framing;
mod heads;
mod loss;
mod pairing;
mod properties;
mod upgrades;

use super::fuzz::{Event, Log, Seen, cuts_may_show, play, play_with};
use crate::{EndKind, Interest, Limits, Stats};
use net::Direction::{ToClient, ToServer};

/// Bytes to the server.
fn c(bytes: &[u8]) -> Event<'_> {
    Event::Bytes(ToServer, bytes)
}

/// Bytes to the client.
fn s(bytes: &[u8]) -> Event<'_> {
    Event::Bytes(ToClient, bytes)
}

/// What was reported in one direction, without fields, as a line: `0 POST / 1.1; 0 "body"; 0 end`.
fn line(log: &[(Option<u32>, Seen)]) -> String {
    let shown = log.iter().map(|(id, seen)| {
        let id = id.map_or("-".to_owned(), |id| id.to_string());
        match seen {
            Seen::Head(line, _) => format!("{id} {line}"),
            Seen::Body(bytes) => format!("{id} \"{}\"", bytes.escape_ascii()),
            Seen::Gap(n) => format!("{id} gap {n}"),
            Seen::MessageEnd => format!("{id} message"),
            Seen::End(EndKind::Complete) => format!("{id} end"),
            Seen::End(EndKind::Cut) => format!("{id} cut"),
            Seen::Anomaly(what) => format!("{id} !{}", what.reason()),
        }
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// What a flow came to.
struct Outcome {
    client: String,
    server: String,
    stats: Stats,
    interest: Interest,
    flipped: bool,
}

fn outcome(midstream: bool, limits: &Limits, events: &[Event<'_>], cut: usize) -> Outcome {
    let (log, stats, conn, interest): (Log, _, _, _) = play(events, midstream, limits, || cut);
    let (other, counted, ..) = play_with(events, midstream, limits, || cut, true);
    assert_eq!((&log, stats), (&other, counted), "put away between pieces");
    let [client, server] = &log.seen;
    Outcome { client: line(client), server: line(server), stats, interest, flipped: conn.flipped() }
}

/// Plays a flow seen from its start, whole and byte by byte.
#[track_caller]
fn check(name: &str, events: &[Event<'_>], client: &str, server: &str) -> Outcome {
    check_with(&Limits::default(), false, name, events, client, server)
}

#[track_caller]
fn check_with(
    limits: &Limits,
    midstream: bool,
    name: &str,
    events: &[Event<'_>],
    client: &str,
    server: &str,
) -> Outcome {
    let whole = outcome(midstream, limits, events, usize::MAX);
    assert_eq!(whole.client, client, "{name}: to the server");
    assert_eq!(whole.server, server, "{name}: to the client");
    if !cuts_may_show(&whole.stats) {
        let cut = outcome(midstream, limits, events, 1);
        assert_eq!(cut.client, client, "{name}: to the server, byte by byte");
        assert_eq!(cut.server, server, "{name}: to the client, byte by byte");
        assert_eq!(cut.interest, whole.interest, "{name}: byte by byte");
    }
    whole
}
