mod certificates;
mod flows;
mod hellos;
mod hostile;
mod traces;

use super::fuzz::{Item, read};
use super::{Alert, ClientHello, Limits, Stats, Transport};
use net::Direction::{self, ToServer};
use testkit::tls::{Hello, record};

/// What happened, one word a fact, so that a test reads as a line.
fn words(items: &[(Direction, Item)]) -> String {
    let word = |(dir, item): &(Direction, Item)| {
        let side = if *dir == ToServer { "c" } else { "s" };
        match item {
            Item::Client(hello) => {
                let name = hello.sni.as_ref().map_or("-", |sni| sni.text());
                format!("{side}:hello({name})")
            }
            Item::Server(hello) => {
                let kind = if hello.retry { "retry" } else { "hello" };
                let resumed = if hello.resumed { "+resumed" } else { "" };
                format!("{side}:{kind}({}{resumed})", hello.version.name())
            }
            Item::Certificate(leaf) => format!("{side}:cert({})", leaf.names().collect::<Vec<_>>().join(",")),
            Item::Alert(Alert { fatal, description }) => {
                format!("{side}:{}({description})", if *fatal { "fatal" } else { "warning" })
            }
            Item::End(end) => format!("{side}:{}", end.reason()),
        }
    };
    items.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Plays turns whole, byte by byte and cut in two at every place: all give `want`.
#[track_caller]
fn check(name: &str, turns: &[(Direction, &[u8])], want: &str) -> Stats {
    let limits = Limits::default();
    let (items, stats) = read(&limits, turns.iter().copied());
    assert_eq!(words(&items), want, "{name}");
    let bytes = turns.iter().flat_map(|(dir, turn)| turn.chunks(1).map(|byte| (*dir, byte)));
    assert_eq!(read(&limits, bytes), (items.clone(), stats), "{name}, byte by byte");
    let longest = turns.iter().map(|(_, turn)| turn.len()).max().unwrap_or(0);
    // Every place of ordinary turns, some of huge ones.
    for cut in (0..longest).step_by(1 + longest / 4096) {
        let halves = turns.iter().flat_map(|(dir, turn)| {
            let (head, tail) = turn.split_at(cut.min(turn.len()));
            [(*dir, head), (*dir, tail)]
        });
        assert_eq!(read(&limits, halves), (items.clone(), stats), "{name}, cut at {cut}");
    }
    stats
}

fn parsed(hello: &Hello) -> ClientHello {
    ClientHello::parse(&hello.client_body(), Transport::Tcp).unwrap()
}

/// Change of cipher, and ciphertext of either version behind it.
fn sealed13() -> Vec<u8> {
    [record(20, &[1]), record(23, &[0xee; 53])].concat()
}

fn sealed12() -> Vec<u8> {
    [record(20, &[1]), record(22, &[0, 0, 0, 0, 0, 0, 0, 0, 0xee, 0xee, 0xee, 0xee]), record(23, &[0xee; 40])].concat()
}
