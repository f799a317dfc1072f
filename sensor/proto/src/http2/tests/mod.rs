//! Whole connections, written with the test kit and read back as parts.

mod exchanges;
mod hostile;
mod late;
mod limits;
mod websocket;

use super::fuzz::play;
use super::{Flow, Start};
use crate::http1::fuzz::{Event, Log, Seen};
use crate::{EndKind, Limits, Stats};
use net::Direction::{self, ToClient, ToServer};
use testkit::http2::Frames;

/// What came of a connection, a line for each thing, per direction.
struct Read {
    to_server: Vec<String>,
    to_client: Vec<String>,
    stats: Stats,
    flow: Flow,
}

fn show((id, seen): &(Option<u32>, Seen)) -> String {
    let id = id.map_or("-".to_owned(), |id| id.to_string());
    match seen {
        Seen::Head(line, fields) => format!("{id} {line} [{fields}]"),
        Seen::Body(bytes) if bytes.len() > 200 => format!("{id} body of {}", bytes.len()),
        Seen::Body(bytes) => format!("{id} body {}", bytes.escape_ascii()).replace("\\\"", "\""),
        Seen::Gap(n) => format!("{id} gap {n}"),
        Seen::MessageEnd => format!("{id} message"),
        Seen::End(EndKind::Complete) => format!("{id} end"),
        Seen::End(EndKind::Cut) => format!("{id} cut"),
        Seen::Anomaly(what) => format!("{id} {}", what.reason()),
    }
}

fn read_with(events: &[Event<'_>], start: Start, limits: &Limits) -> Read {
    let (log, stats, flow) = play(events, start, limits, || usize::MAX);
    if !flow.was_lost(&stats) {
        for size in [1, 2, 7, 10, 100] {
            let (cut, ..) = play(events, start, limits, || size);
            assert_eq!(log, cut, "in pieces of {size}");
        }
    }
    let Log { seen: [to_server, to_client], .. } = &log;
    let lines = |list: &[(Option<u32>, Seen)]| list.iter().map(show).collect();
    Read { to_server: lines(to_server), to_client: lines(to_client), stats, flow }
}

/// The client says all it has to say, then the server.
fn read(client: Frames, server: Frames) -> Read {
    let (client, server) = (client.bytes(), server.bytes());
    read_with(&[bytes(ToServer, &client), bytes(ToClient, &server)], Start::Preface, &Limits::default())
}

fn bytes(dir: Direction, bytes: &[u8]) -> Event<'_> {
    Event::Bytes(dir, bytes)
}

#[track_caller]
fn check(client: Frames, server: Frames, to_server: &[&str], to_client: &[&str]) -> Stats {
    let got = read(client, server);
    assert_eq!(got.to_server, to_server);
    assert_eq!(got.to_client, to_client);
    got.stats
}
