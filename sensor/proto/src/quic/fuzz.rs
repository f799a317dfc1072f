//! One flow, and frames past their decryption, for fuzzing.

use super::assembly::Assembly;
use super::frame::{Frame, Frames};
use super::{End, Limits, Observer, Scratch, Sink, Stats, Version, Want, looks_like_initial};
use crate::tls::{ClientHello, ServerHello};
use net::Direction;

/// What a [`Sink`] was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) client: Vec<(Direction, Version, ClientHello)>,
    pub(super) server: Vec<(Direction, Version, ServerHello)>,
}

impl Sink for Seen {
    fn client_hello(&mut self, dir: Direction, version: Version, hello: ClientHello) {
        self.client.push((dir, version, hello));
    }

    fn server_hello(&mut self, dir: Direction, version: Version, hello: ServerHello) {
        self.server.push((dir, version, hello));
    }
}

/// All that comes of `datagrams`.
pub(super) fn read<'a>(
    limits: &Limits,
    datagrams: impl IntoIterator<Item = (Direction, &'a [u8])>,
) -> (Seen, Stats, End) {
    let (mut observer, mut stats, mut seen) = (Observer::new(), Stats::default(), Seen::default());
    let mut scratch = Scratch::default();
    for (dir, datagram) in datagrams {
        let before = observer.end();
        let want = observer.feed(limits, &mut stats, &mut scratch, dir, datagram, &mut seen);
        assert_eq!(want, observer.end().map_or(Want::More, Want::Nothing), "what is wanted");
        assert!(before.is_none() || before == observer.end(), "ended twice");
        // Twice, for the room of vectors that grow, and the little that is always there.
        let most = 2 * (2 * (limits.crypto_bytes + 24 * limits.crypto_pieces)) + 1024;
        assert!(observer.held() <= most, "{} bytes held", observer.held());
    }
    observer.finish(&mut stats);
    assert_eq!((observer.held(), observer.client()), (0, None), "held after the end");
    assert_eq!(End::ALL.iter().map(|end| stats.ends(*end)).sum::<u64>(), 1, "one end");
    (seen, stats, observer.end().unwrap_or(End::Finished))
}

/// The messages of the handshake that stands in these frames.
fn messages(limits: &Limits, frames: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Vec<Vec<u8>> {
    let (mut assembly, mut messages) = (Assembly::default(), Vec::new());
    for (mut offset, data) in frames {
        let mut data = data.as_slice();
        while let Some(message) = assembly.in_place(limits, offset, data) {
            messages.push(message.to_vec());
            offset = offset.saturating_add(message.len() as u64);
            data = data.get(message.len()..).unwrap_or_default();
        }
        assembly.add(limits, offset, data);
        while let Ok(Some(message)) = assembly.take(limits) {
            messages.push(message);
        }
    }
    messages
}

/// Datagrams, each behind its length in two bytes, of which the highest bit is the direction. All of them together are
/// also read as the payload of a packet.
#[doc(hidden)]
pub fn fuzz_quic(data: &[u8]) {
    let (mut rest, mut datagrams) = (data, Vec::new());
    while let Some((&[hi, lo], tail)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([hi & 0x7f, lo])).min(tail.len());
        let (datagram, after) = tail.split_at(len);
        let dir = if hi & 0x80 == 0 { Direction::ToServer } else { Direction::ToClient };
        looks_like_initial(datagram);
        datagrams.push((dir, datagram));
        rest = after;
    }
    let limits = Limits { crypto_bytes: 2048, crypto_pieces: 1024, ..Limits::default() };
    let (mut over, mut stats, mut scratch) = (Observer::new(), Stats::default(), Scratch::default());
    over.finish(&mut stats);
    for (dir, datagram) in &datagrams {
        if let Some(next) = over.next(&limits, &mut stats, &mut scratch, *dir, datagram, &mut Seen::default()) {
            over = next;
            over.finish(&mut stats);
        }
    }
    read(&limits, datagrams);

    // Frames as they are, and cut in two.
    let frames = || {
        Frames::new(data).filter_map(|frame| match frame {
            Frame::Crypto(offset, data) => Some((offset, data.to_vec())),
            Frame::Close | Frame::Other | Frame::Bad => None,
        })
    };
    let halves = frames().flat_map(|(offset, data)| {
        let (head, tail) = data.split_at(data.len() / 2);
        [(offset, head.to_vec()), (offset.saturating_add(head.len() as u64), tail.to_vec())]
    });
    // The halves may meet the limit where the whole does not.
    if frames().count() < limits.crypto_pieces / 4 {
        assert_eq!(messages(&limits, frames()), messages(&limits, halves), "frames cut in two");
    }
}
