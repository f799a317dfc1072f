//! A connection whose keys are known, whole and cut, for fuzzing.

use super::{Context, Decryptor, Limits, Plaintext, Scratch, Stats, Undecrypted};
use crate::coding::Budget;
use crate::tls::keys::{KeyLog, KeyStore, Keys, SessionKeys};
use crate::tls::{Alert, Certificate, ClientHello, End, Observer, ServerHello, Sink, Want};
use net::Direction;

/// What came of a connection. Application data are joined, since how they are cut into records is nobody's business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) data: [Vec<u8>; 2],
    /// In order, with the place in the data of the direction.
    pub(super) events: Vec<(Option<Direction>, usize, Event)>,
    /// Bytes not taken.
    pub(super) unread: [usize; 2],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Lost(u64),
    Alpn(Vec<u8>),
    Closed,
    Failed(Undecrypted),
}

impl Seen {
    fn event(&mut self, dir: Option<Direction>, event: Event) {
        let at = dir.and_then(|dir| self.data.get(dir.index())).map_or(0, Vec::len);
        self.events.push((dir, at, event));
    }
}

impl Plaintext for Seen {
    fn data(&mut self, dir: Direction, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "an empty piece");
        if let Some(data) = self.data.get_mut(dir.index()) {
            data.extend_from_slice(bytes);
        }
    }

    fn lost(&mut self, dir: Direction, bytes: u64) {
        self.event(Some(dir), Event::Lost(bytes));
    }

    fn alpn(&mut self, name: &[u8]) {
        self.event(None, Event::Alpn(name.to_vec()));
    }

    fn closed(&mut self, dir: Direction) {
        self.event(Some(dir), Event::Closed);
    }

    fn failed(&mut self, dir: Direction, why: Undecrypted) {
        self.event(Some(dir), Event::Failed(why));
    }
}

/// Keys from a store, all known from the beginning.
pub(super) struct Stored(pub(super) KeyStore);

impl Stored {
    pub(super) fn of(log: &[u8]) -> Self {
        let (mut reader, mut store) = (KeyLog::new(), KeyStore::default());
        reader.feed(log, 0, &mut store);
        reader.finish(0, &mut store);
        Self(store)
    }
}

impl Keys for Stored {
    fn any(&self) -> bool {
        !self.0.is_empty()
    }

    fn fill(&self, client_random: &[u8; 32], into: &mut SessionKeys) {
        self.0.fill(client_random, u64::MAX, into);
    }
}

/// Tells a decryptor the hellos.
pub(super) struct Teller<'d>(pub(super) &'d mut Decryptor);

impl Sink for Teller<'_> {
    fn client_hello(&mut self, dir: Direction, hello: ClientHello) {
        self.0.client_hello(dir, &hello);
    }

    fn server_hello(&mut self, dir: Direction, hello: ServerHello) {
        self.0.server_hello(dir, &hello);
    }

    fn certificate(&mut self, _: Direction, _: Certificate) {}

    fn alert(&mut self, _: Direction, _: Alert) {}

    fn end(&mut self, _: Direction, _: End) {}
}

/// A part of one direction: bytes, or so many missing ones.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    Bytes(Direction, &'a [u8]),
    Gap(Direction, u64),
}

/// All that comes of `parts`.
pub(super) fn decrypt<'a>(
    limits: &Limits,
    keys: &dyn Keys,
    parts: impl IntoIterator<Item = Part<'a>>,
) -> (Seen, Stats) {
    let (mut stats, mut scratch, mut seen) = (Stats::default(), Scratch::default(), Seen::default());
    let (mut observer, mut decryptor) = (Observer::new(), Decryptor::new());
    let (observing, mut observed) = (crate::tls::Limits::default(), crate::tls::Stats::default());
    let mut cx = Context { limits, stats: &mut stats, scratch: &mut scratch, keys };
    for part in parts {
        match part {
            Part::Bytes(dir, bytes) => {
                observer.feed(&observing, &mut observed, dir, bytes, &mut Teller(&mut decryptor));
                if let Want::Nothing(unread) = decryptor.feed(&mut cx, dir, bytes, &mut seen)
                    && let Some(all) = seen.unread.get_mut(dir.index())
                {
                    *all += unread;
                }
            }
            Part::Gap(dir, n) => {
                observer.gap(&mut observed, dir, n, &mut Teller(&mut decryptor));
                decryptor.gap(&mut cx, dir, n, &mut seen);
            }
        }
        let record =
            usize::from(super::MAX_RECORD) + 2 * super::messages::MAX_EXTENSIONS + super::cipher::Cipher::BYTES;
        let most = 2 * (record + limits.early_bytes);
        assert!(decryptor.held() <= most, "{} bytes held", decryptor.held());
    }
    for dir in [Direction::ToServer, Direction::ToClient] {
        decryptor.finish(&mut cx, dir);
    }
    assert!(decryptor.is_over() && decryptor.held() == 0, "held after the end");
    assert_eq!(limits.held.live_bytes(), 0, "charged after the end");
    (seen, stats)
}

/// The secrets of the sessions in RFC 8448.
pub(super) const RFC8448_KEYS: &[u8] = include_bytes!("../../../../../fixtures/tls/rfc8448.keylog");

/// The first byte says where to cut, two more how long the part of the client is, one how many times four bytes of that
/// come before the server; the others come after it. The keys are those of RFC 8448.
#[doc(hidden)]
pub fn fuzz_tls_decrypt(data: &[u8]) {
    let Some((&[cut, high, low, first], wire)) = data.split_first_chunk() else { return };
    let limits = || Limits { early_bytes: 64, held: Budget::new(40 << 10), ..Limits::default() };
    let keys = Stored::of(RFC8448_KEYS);
    let (client, server) = wire.split_at(usize::from(u16::from_be_bytes([high, low])).min(wire.len()));
    let (client1, client2) = client.split_at((4 * usize::from(first)).min(client.len()));
    let turns = [(Direction::ToServer, client1), (Direction::ToClient, server), (Direction::ToServer, client2)];
    let whole = decrypt(&limits(), &keys, turns.map(|(dir, turn)| Part::Bytes(dir, turn)));
    let bytes = turns.into_iter().flat_map(|(dir, turn)| turn.chunks(1).map(move |byte| Part::Bytes(dir, byte)));
    assert_eq!(whole, decrypt(&limits(), &keys, bytes), "byte by byte");
    let halves = || {
        turns.into_iter().flat_map(|(dir, turn)| {
            let (head, tail) = turn.split_at(usize::from(cut).min(turn.len()));
            [(dir, head), (dir, tail)]
        })
    };
    let parts = halves().map(|(dir, piece)| Part::Bytes(dir, piece));
    assert_eq!(whole, decrypt(&limits(), &keys, parts), "cut at {cut}");
    // With a piece of each turn missing.
    let holes = halves().flat_map(|(dir, piece)| [Part::Bytes(dir, piece), Part::Gap(dir, u64::from(cut))]);
    decrypt(&limits(), &keys, holes);
}
