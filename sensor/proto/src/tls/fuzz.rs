//! One connection, whole and cut, for fuzzing.

use super::{
    Alert, Certificate, ClientHello, DECIDED_AT, End, HelloError, Likeness, Limits, MAX_SNI, Observer, ServerHello,
    Sink, Stats, Transport, Want, looks_like_client_hello, looks_like_server_hello,
};
use net::Direction;

/// What a [`Sink`] was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Client(Box<ClientHello>),
    Server(ServerHello),
    Certificate(Certificate),
    Alert(Alert),
    End(End),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen(pub(super) Vec<(Direction, Item)>);

impl Sink for Seen {
    fn client_hello(&mut self, dir: Direction, hello: ClientHello) {
        self.0.push((dir, Item::Client(Box::new(hello))));
    }

    fn server_hello(&mut self, dir: Direction, hello: ServerHello) {
        self.0.push((dir, Item::Server(hello)));
    }

    fn certificate(&mut self, dir: Direction, leaf: Certificate) {
        self.0.push((dir, Item::Certificate(leaf)));
    }

    fn alert(&mut self, dir: Direction, alert: Alert) {
        self.0.push((dir, Item::Alert(alert)));
    }

    fn end(&mut self, dir: Direction, end: End) {
        self.0.push((dir, Item::End(end)));
    }
}

/// All that comes of `pieces`, each a part of one direction.
pub(super) fn read<'a>(
    limits: &Limits,
    pieces: impl IntoIterator<Item = (Direction, &'a [u8])>,
) -> (Vec<(Direction, Item)>, Stats) {
    let (mut observer, mut stats, mut seen) = (Observer::new(), Stats::default(), Seen::default());
    for (dir, piece) in pieces {
        let before = observer.has_ended(dir);
        let want = observer.feed(limits, &mut stats, dir, piece, &mut seen);
        assert_eq!(want == Want::More, !observer.has_ended(dir), "what is wanted");
        assert!(!before || want == Want::Nothing(piece.len()), "read after the end");
        // Twice, for the room of a vector that grows.
        let most = 2 * (2 * limits.message_bytes.max(4 << 10) + 64);
        assert!(observer.held() <= most, "{} bytes held", observer.held());
    }
    for dir in [Direction::ToServer, Direction::ToClient] {
        observer.finish(&mut stats, dir, &mut seen);
    }
    assert_eq!(observer.held(), 0, "held after the end");
    (seen.0, stats)
}

/// The first byte says where to cut; the rest is a turn of the client, of which the second byte says the share, and
/// one of the server. Also read as the bodies of hellos, and as a certificate.
#[doc(hidden)]
pub fn fuzz_tls(data: &[u8]) {
    let Some((&[cut, share], wire)) = data.split_first_chunk() else { return };
    let (client, server) = wire.split_at(wire.len() * usize::from(share) / 255);
    let turns = [(Direction::ToServer, client), (Direction::ToClient, server)];
    let limits = Limits { message_bytes: 4096, handshake_bytes: 8192, ..Limits::default() };
    let whole = read(&limits, turns);
    let bytes = turns.into_iter().flat_map(|(dir, turn)| turn.chunks(1).map(move |byte| (dir, byte)));
    assert_eq!(whole, read(&limits, bytes), "byte by byte");
    let halves = turns.into_iter().flat_map(|(dir, turn)| {
        let (head, tail) = turn.split_at(usize::from(cut).min(turn.len()));
        [(dir, head), (dir, tail)]
    });
    assert_eq!(whole, read(&limits, halves), "cut at {cut}");

    for look in [looks_like_client_hello, looks_like_server_hello] {
        let mut before = Likeness::NotEnough;
        for end in 0..=wire.len().min(2 * DECIDED_AT) {
            let now = look(wire.get(..end).unwrap_or_default());
            assert!(before == Likeness::NotEnough || now == before, "a judgement was taken back");
            assert!(now != Likeness::NotEnough || end < DECIDED_AT, "undecided");
            before = now;
        }
    }

    for transport in [Transport::Tcp, Transport::Quic] {
        if let Ok(hello) = ClientHello::parse(wire, transport) {
            assert!(hello.sni.as_ref().is_none_or(|sni| sni.text().len() <= MAX_SNI), "over a limit");
            assert_eq!(hello.ja4.as_str().len(), 36, "a fingerprint cut short");
        }
    }
    let _: Result<_, HelloError> = ServerHello::parse(wire, &super::SessionId::default());
    if let Ok(leaf) = Certificate::parse(wire) {
        assert!(leaf.names().count() <= super::MAX_NAMES, "over a limit");
    }
}
