//! One event stream, whole and cut, for fuzzing.

use super::{Event, Parser, Sink};

/// What a [`Sink`] was given, with everything owned.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) events: Vec<Owned>,
    data: Vec<u8>,
}

/// An event with its data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) name: Vec<u8>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) retry: Option<u64>,
    pub(super) data: Option<Vec<u8>>,
    pub(super) cut: bool,
}

impl Sink for Seen {
    fn data(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }

    fn event(&mut self, event: Event<'_>) {
        let data = std::mem::take(&mut self.data);
        assert!(event.has_data || data.is_empty(), "data without a data line");
        self.events.push(Owned {
            name: event.name.to_vec(),
            id: event.id.map(<[u8]>::to_vec),
            retry: event.retry,
            data: event.has_data.then_some(data),
            cut: event.cut,
        });
    }
}

/// Reads `pieces` as one stream.
pub(super) fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Owned> {
    let (mut parser, mut seen) = (Parser::new(), Seen::default());
    for piece in pieces {
        parser.feed(piece, &mut seen);
    }
    parser.finish(&mut seen);
    assert!(seen.data.is_empty(), "data that belongs to no event");
    seen.events
}

/// The same stream whole, byte by byte, and cut in two where the first byte says; and one with a gap.
#[doc(hidden)]
pub fn fuzz_sse(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let whole = read([stream]);
    assert_eq!(whole, read(stream.chunks(1)), "byte by byte");
    let (head, tail) = stream.split_at(usize::from(cut).min(stream.len()));
    assert_eq!(whole, read([head, tail]), "cut at {cut}");
    let (mut parser, mut seen) = (Parser::new(), Seen::default());
    parser.feed(head, &mut seen);
    parser.gap(&mut seen);
    parser.feed(tail, &mut seen);
    parser.finish(&mut seen);
}
