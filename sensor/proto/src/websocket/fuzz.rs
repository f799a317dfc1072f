//! One direction, whole and cut, for fuzzing.

use super::{Anomaly, Decoder, Deflate, Fault, Kind, Sink, Stats, negotiated, plausible_start};
use crate::EndKind;
use crate::coding::Limits;
use net::Direction;

/// What a [`Sink`] was given, with the pieces joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Payload(Vec<u8>),
    Lost(u64),
    End(Kind),
    Control(u8, Vec<u8>),
    Anomaly(Anomaly),
}

#[derive(Debug, Default)]
pub(super) struct Seen(pub(super) Vec<Item>);

impl Sink for Seen {
    fn payload(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "a piece of nothing");
        match self.0.last_mut() {
            Some(Item::Payload(before)) => before.extend_from_slice(bytes),
            _ => self.0.push(Item::Payload(bytes.to_vec())),
        }
    }

    fn lost(&mut self, n: u64) {
        match self.0.last_mut() {
            Some(Item::Lost(before)) if n != 0 && *before != 0 => *before += n,
            _ => self.0.push(Item::Lost(n)),
        }
    }

    fn message_end(&mut self, kind: Kind) {
        self.0.push(Item::End(kind));
    }

    fn control(&mut self, opcode: u8, payload_prefix: &[u8]) {
        self.0.push(Item::Control(opcode, payload_prefix.to_vec()));
    }

    fn anomaly(&mut self, what: Anomaly) {
        self.0.push(Item::Anomaly(what));
    }
}

/// All that comes of `pieces` as one direction.
pub(super) fn read<'a>(
    from: Direction,
    deflate: Option<Deflate>,
    limits: &Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Item>, Result<EndKind, Fault>, Stats) {
    let (mut decoder, mut seen) = (Decoder::new(from, deflate), Seen::default());
    let mut fault = Ok(());
    for piece in pieces {
        fault = decoder.feed(limits, piece, &mut seen);
    }
    let end = decoder.finish();
    (seen.0, fault.map(|()| end), decoder.stats())
}

/// The same direction whole, byte by byte, and cut in two; and one with a gap. The first byte says where to cut, the
/// second which direction and extension.
#[doc(hidden)]
pub fn fuzz_websocket(data: &[u8]) {
    let Some((&[cut, mode], wire)) = data.split_first_chunk() else { return };
    let from = if mode & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
    let deflate =
        (mode & 2 == 0).then_some(Deflate { no_context_takeover: mode & 4 != 0, window_bits: 8 + (mode >> 5) });
    // Small, so that it is met; the ratio is measured in whole steps only and plays no part below 1 MiB.
    let limits = Limits { max_output: 4096, ..Limits::default() };
    let whole = read(from, deflate, &limits, [wire]);
    assert_eq!(whole, read(from, deflate, &limits, wire.chunks(1)), "byte by byte");
    let (head, tail) = wire.split_at(usize::from(cut).min(wire.len()));
    assert_eq!(whole, read(from, deflate, &limits, [head, tail]), "cut at {cut}");

    let (mut decoder, mut seen) = (Decoder::new(from, deflate), Seen::default());
    let _ = decoder.feed(&limits, head, &mut seen);
    let lost = tail.len().min(usize::from(mode));
    let _ = decoder.gap(u64::try_from(lost).unwrap_or(0), &mut seen);
    let _ = decoder.feed(&limits, tail.get(lost..).unwrap_or_default(), &mut seen);
    decoder.finish();

    plausible_start(wire, mode & 1 == 0);
    if let Ok(header) = str::from_utf8(wire) {
        negotiated(header);
    }
}
