//! A flow played from a script, and what must hold of any.

use crate::{Anomaly, AtRest, Conn, EndKind, ExchangeId, Interest, Limits, Part, PartSink, Stats};
use net::Direction;
use std::collections::HashSet;

/// One thing that happens to a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'s> {
    Bytes(Direction, &'s [u8]),
    Gap(Direction, u64),
    Fin(Direction),
}

/// What was reported, one list per direction, adjacent body parts and gaps of an exchange as one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) seen: [Vec<(Option<u32>, Seen)>; 2],
    ended: HashSet<(u32, Direction)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Start line, and fields.
    Head(String, String),
    Body(Vec<u8>),
    Gap(u64),
    MessageEnd,
    End(EndKind),
    Anomaly(Anomaly),
}

impl Log {
    fn push(&mut self, id: Option<u32>, dir: Direction, seen: Seen) {
        let Some(list) = self.seen.get_mut(dir.index()) else { return };
        if let (Seen::Body(more), Some((last, Seen::Body(body)))) = (&seen, list.last_mut())
            && *last == id
        {
            body.extend_from_slice(more);
            return;
        }
        // Frames that cannot be inflated are gaps as long as the pieces they come in.
        if let (Seen::Gap(more @ 1..), Some((last, Seen::Gap(n @ 1..)))) = (&seen, list.last_mut())
            && *last == id
        {
            *n = n.saturating_add(*more);
            return;
        }
        list.push((id, seen));
    }
}

impl PartSink for Log {
    fn part(&mut self, id: ExchangeId, dir: Direction, part: Part<'_>) {
        assert!(!self.ended.contains(&(id.0, dir)), "{part:?} after the end of {id:?} {dir:?}");
        let seen = match part {
            Part::Request(h) => {
                let via = h.via_connect.map(|via| format!(" via {via}")).unwrap_or_default();
                Seen::Head(format!("{} {} {}{via}", h.method, h.target, h.version), fields(h.headers))
            }
            Part::Response(h) => Seen::Head(format!("{} {}", h.status, h.version), fields(h.headers)),
            Part::Body(bytes) => {
                assert!(!bytes.is_empty(), "an empty body part");
                Seen::Body(bytes.to_vec())
            }
            Part::Gap(n) => Seen::Gap(n),
            Part::MessageEnd => Seen::MessageEnd,
            Part::End(kind) => {
                self.ended.insert((id.0, dir));
                Seen::End(kind)
            }
        };
        self.push(Some(id.0), dir, seen);
    }

    fn anomaly(&mut self, id: Option<ExchangeId>, dir: Direction, what: Anomaly) {
        self.push(id.map(|id| id.0), dir, Seen::Anomaly(what));
    }
}

fn fields(headers: crate::Headers<'_>) -> String {
    let shown = headers.0.iter().map(|field| format!("{}={}", field.name, field.value.escape_ascii()));
    shown.collect::<Vec<_>>().join(", ")
}

/// Plays a flow to its close, each piece in parts of at most `cut(..)` bytes, and checks that every exchange
/// ended in both directions.
pub(crate) fn play(
    events: &[Event<'_>],
    midstream: bool,
    limits: &Limits,
    cut: impl FnMut() -> usize,
) -> (Log, Stats, Conn, Interest) {
    play_with(events, midstream, limits, cut, false)
}

/// The same; `put_away` does so with the connection wherever it can be, and lets one that was used before go on.
pub(crate) fn play_with(
    events: &[Event<'_>],
    midstream: bool,
    limits: &Limits,
    mut cut: impl FnMut() -> usize,
    put_away: bool,
) -> (Log, Stats, Conn, Interest) {
    let (mut log, mut stats, mut conn) = (Log::default(), Stats::default(), Conn::new(midstream != put_away));
    let (mut interest, mut other) = (Interest::More, Conn::new(midstream));
    if put_away {
        conn.resume(AtRest::new(midstream));
    }
    let rest = |conn: &mut Conn, other: &mut Conn| {
        if let Some(rest) = conn.at_rest().filter(|_| put_away) {
            assert_eq!(rest.flipped(), conn.flipped());
            other.resume(rest);
            std::mem::swap(conn, other);
        }
    };
    for event in events {
        match *event {
            Event::Bytes(dir, mut bytes) => {
                while !bytes.is_empty() {
                    let (piece, after) = bytes.split_at(cut().clamp(1, bytes.len()));
                    interest = conn.bytes(limits, &mut stats, dir, piece, &mut log);
                    bytes = after;
                    rest(&mut conn, &mut other);
                }
            }
            Event::Gap(dir, n) => interest = conn.gap(limits, &mut stats, dir, n, &mut log),
            Event::Fin(dir) => match conn.at_rest().filter(|_| put_away) {
                Some(mut rest) => {
                    rest.fin(dir);
                    conn.resume(rest);
                }
                None => conn.fin(limits, &mut stats, dir, &mut log),
            },
        }
        rest(&mut conn, &mut other);
    }
    conn.close(limits, &mut stats, &mut log);
    for (id, _) in log.seen.iter().flatten() {
        for dir in [Direction::ToServer, Direction::ToClient] {
            assert!(id.is_none_or(|id| log.ended.contains(&(id, dir))), "exchange {id:?} never ended {dir:?}");
        }
    }
    (log, stats, conn, interest)
}

/// Whether how pieces are cut may show: the place was lost somewhere, or the flow is nothing known.
pub(crate) fn cuts_may_show(stats: &Stats) -> bool {
    let u = &stats.uninspected;
    stats.resynchronisations + u.unknown + u.out_of_sync + u.websocket > 0
}

/// Drives [`Conn`] with `data` as a script: a byte of options, then events of a kind byte, two length bytes, and
/// that many bytes where the kind is data. How pieces are cut must change nothing while HTTP is in step, and putting the
/// connection away between them must change nothing at all.
///
/// # Panics
///
/// If it does, if an exchange does not end once in each direction, or if a part comes after that.
pub fn fuzz_http1(data: &[u8]) {
    let Some((&options, mut rest)) = data.split_first() else { return };
    let mut events = Vec::new();
    while let [kind, hi, lo, more @ ..] = rest {
        let n = usize::from(u16::from_be_bytes([*hi, *lo]));
        let dir = if kind & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        rest = more;
        events.push(match kind >> 1 & 7 {
            0 => Event::Gap(dir, n as u64),
            1 => Event::Fin(dir),
            _ => {
                let (bytes, after) = more.split_at(n.min(more.len()));
                rest = after;
                Event::Bytes(dir, bytes)
            }
        });
    }
    let midstream = options & 1 != 0;
    let limits = if options & 2 == 0 {
        Limits::default()
    } else {
        Limits { head_bytes: 200, pipeline: 2, held_bytes: 40, ..Limits::default() }
    };
    let whole = play(&events, midstream, &limits, || usize::MAX);
    let rested = play_with(&events, midstream, &limits, || usize::MAX, true);
    assert_eq!((&whole.0, whole.1), (&rested.0, rested.1), "put away between pieces");
    let mut seed = u32::from(options >> 2) | 1;
    for most in [1, 24] {
        let cut = play(&events, midstream, &limits, || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            1 + (seed >> 16) as usize % most
        });
        // A long answer of DNS is known only where its first 14 bytes come in one piece.
        if !cuts_may_show(&whole.1) && !whole.2.is_dns() {
            assert_eq!(whole.0, cut.0, "cut into pieces of at most {most}");
        }
    }
}
