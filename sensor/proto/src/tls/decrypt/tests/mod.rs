mod forged;
mod hostile;
mod live;
mod partner;
mod rfc8448;

use super::fuzz::{Event, Part, Seen, Stored, decrypt};
use super::{Limits, Stats};
use net::Direction::{self, ToServer};

/// What happened beside data, in short words: `c` and `s` are the directions.
fn words(seen: &Seen) -> String {
    let word = |(dir, at, event): &(Option<Direction>, usize, Event)| {
        let side = dir.map_or("", |dir| if dir == ToServer { "c:" } else { "s:" });
        match event {
            Event::Lost(n) => format!("{side}lost({n})@{at}"),
            Event::Alpn(name) => format!("alpn({})", String::from_utf8_lossy(name)),
            Event::Closed => format!("{side}closed@{at}"),
            Event::Failed(why) => format!("{side}{}@{at}", why.reason()),
        }
    };
    seen.events.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Plays turns whole, and cut in many ways: all give the same.
#[track_caller]
fn play(keys: &[u8], turns: &[(Direction, Vec<u8>)]) -> (Seen, Stats) {
    let keys = Stored::of(keys);
    let all = |size: usize| {
        let parts = turns.iter().flat_map(|(dir, turn)| turn.chunks(size).map(|piece| Part::Bytes(*dir, piece)));
        let (mut seen, stats) = decrypt(&Limits::default(), &keys, parts);
        // Where a direction is given up is told by the records, not by the cuts.
        let unread = std::mem::take(&mut seen.unread);
        (seen, stats, unread)
    };
    let (seen, stats, _) = all(usize::MAX);
    for size in [1, 2, 3, 5, 7, 100, 1460, 16_384 + 22] {
        let (again, same, _) = all(size);
        assert_eq!((words(&again), again == seen, same), (words(&seen), true, stats), "in pieces of {size}");
    }
    (seen, stats)
}

fn text(seen: &Seen, dir: Direction) -> &[u8] {
    &seen.data[dir.index()]
}
