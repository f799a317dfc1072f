//! The open streams of a connection.

use super::tunnel::Tunnel;
use crate::ExchangeId;
use net::Direction;
use net::Direction::{ToClient, ToServer};

/// A stream that is open in at least one direction, in 32 bytes.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) exchange: ExchangeId,
    /// When something of it came last, in the count of [`Streams::now`].
    touched: u32,
    /// Per direction: its head was seen.
    heads: [bool; 2],
    /// Per direction: its end was reported.
    ended: [bool; 2],
    /// Its payload is not a body.
    pub(super) tunnel: Option<Box<Tunnel>>,
}

impl Stream {
    pub(super) fn head_seen(&self, dir: Direction) -> bool {
        *dir.of(&self.heads)
    }

    pub(super) fn see_head(&mut self, dir: Direction) {
        *dir.of_mut(&mut self.heads) = true;
    }

    pub(super) fn is_ended(&self, dir: Direction) -> bool {
        *dir.of(&self.ended)
    }

    /// Notes the end of a direction; `false` if it was reported before.
    pub(super) fn end(&mut self, dir: Direction) -> bool {
        !std::mem::replace(dir.of_mut(&mut self.ended), true)
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_ended(ToServer) && self.is_ended(ToClient)
    }
}

/// All of them, and which identifiers are used up.
#[derive(Debug)]
pub(super) struct Streams {
    /// By identifier. They come in order, so a new one goes to the end.
    open: Vec<Stream>,
    next: u32,
    /// Counts what streams are touched by.
    now: u32,
    /// Highest identifier that the client opened, and that the server promised.
    highest: [u32; 2],
    /// Identifiers of the client from the first to before the second may have been opened where it was not seen.
    unseen: (u32, u32),
    /// The client's requests may have been lost since the last one that was seen.
    losing: bool,
    /// Streams that became tunnels so far, open or not.
    pub(super) tunnels: usize,
}

impl Streams {
    pub(super) fn new(first: ExchangeId, midstream: bool) -> Self {
        Self { open: Vec::new(), next: first.0, now: 0, highest: [0; 2], unseen: (1, 1), losing: midstream, tunnels: 0 }
    }

    /// Frames of the client were lost, and maybe requests with them.
    pub(super) fn requests_lost(&mut self) {
        self.losing = true;
    }

    fn place(&self, id: u32) -> Result<usize, usize> {
        match self.open.last() {
            Some(last) if last.id < id => Err(self.open.len()),
            _ => self.open.binary_search_by_key(&id, |stream| stream.id),
        }
    }

    /// The stream `id`, as something comes of it.
    pub(super) fn touch(&mut self, id: u32) -> Option<&mut Stream> {
        let at = self.place(id).ok()?;
        self.now = self.now.wrapping_add(1);
        let stream = self.open.get_mut(at)?;
        stream.touched = self.now;
        Some(stream)
    }

    /// The stream `id`.
    pub(super) fn get(&mut self, id: u32) -> Option<&mut Stream> {
        let at = self.place(id).ok()?;
        self.open.get_mut(at)
    }

    /// Whether `id` was open once and is no more.
    pub(super) fn is_closed(&self, id: u32) -> bool {
        let promised = id.is_multiple_of(2);
        let [client, server] = self.highest;
        let maybe_unseen = !promised && (self.unseen.0..self.unseen.1).contains(&id);
        id <= if promised { server } else { client } && !maybe_unseen && self.place(id).is_err()
    }

    /// Whether the request of `id` may have been lost, or passed before we looked.
    pub(super) fn request_may_be_lost(&self, id: u32) -> bool {
        let [client, _] = self.highest;
        (self.losing && id > client) || (self.unseen.0..self.unseen.1).contains(&id)
    }

    /// Notes that the client opens `id` (or the server promises it), and with it all below (RFC 9113 §5.1.1).
    pub(super) fn pass(&mut self, id: u32) {
        let [client, server] = &mut self.highest;
        if id.is_multiple_of(2) {
            *server = id.max(*server);
        } else if id > *client {
            if std::mem::take(&mut self.losing) {
                let from = if self.unseen.0 < self.unseen.1 { self.unseen.0 } else { client.saturating_add(1) };
                self.unseen = (from, id);
            }
            *client = id;
        }
    }

    /// Opens `id`, which is not open.
    pub(super) fn open(&mut self, id: u32) -> &mut Stream {
        let exchange = ExchangeId(self.next);
        self.next = self.next.wrapping_add(1);
        self.join(id, exchange)
    }

    /// Opens `id`, which is not open, as an exchange that has its number already.
    pub(super) fn join(&mut self, id: u32, exchange: ExchangeId) -> &mut Stream {
        self.now = self.now.wrapping_add(1);
        let at = self.place(id).unwrap_or_else(|at| at).min(self.open.len());
        let (heads, ended) = ([false; 2], [false; 2]);
        self.open.insert(at, Stream { id, exchange, touched: self.now, heads, ended, tunnel: None });
        // `at` is in range by now; the last is as good as any for the compiler.
        let last = self.open.len().saturating_sub(1);
        #[expect(clippy::indexing_slicing, reason = "one was just inserted, and the index is capped")]
        &mut self.open[at.min(last)]
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Takes the stream out that was idle longest.
    pub(super) fn take_idlest(&mut self) -> Option<Stream> {
        let idle = |stream: &Stream| self.now.wrapping_sub(stream.touched);
        let (at, _) = self.open.iter().enumerate().max_by_key(|(_, stream)| idle(stream))?;
        Some(self.open.remove(at))
    }

    /// Takes the stream `id` out.
    pub(super) fn take(&mut self, id: u32) -> Option<Stream> {
        let at = self.place(id).ok()?;
        Some(self.open.remove(at))
    }

    /// Takes those out that `over` says so of, in order of their identifiers.
    pub(super) fn drain(&mut self, over: impl FnMut(&mut Stream) -> bool) {
        let mut over = over;
        self.open.retain_mut(|stream| !over(stream));
        if self.open.is_empty() {
            self.open = Vec::new();
        }
    }

    /// Bytes of memory held, as many tunnels as there may be included, without what their decoders have on account.
    pub(super) fn memory(&self) -> usize {
        self.open.capacity() * size_of::<Stream>() + self.tunnels.min(self.open.len()) * size_of::<Tunnel>()
    }
}

#[cfg(test)]
mod tests {
    use super::{Stream, Streams};
    use crate::ExchangeId;

    #[test]
    fn a_stream_is_small() {
        assert!(size_of::<Stream>() <= 32);
    }

    #[test]
    fn the_idlest_goes_first() {
        let mut streams = Streams::new(ExchangeId(10), false);
        for id in [1, 3, 5] {
            streams.open(id);
        }
        streams.touch(1);
        assert_eq!(streams.take_idlest().map(|s| (s.id, s.exchange.0)), Some((3, 11)));
        assert_eq!(streams.take_idlest().map(|s| s.id), Some(5));
        assert_eq!(streams.take_idlest().map(|s| s.id), Some(1));
        assert!(streams.take_idlest().is_none());
    }

    #[test]
    fn passed_identifiers_are_closed_unless_they_may_not_have_been_seen() {
        let mut streams = Streams::new(ExchangeId(0), true);
        assert!(!streams.is_closed(3) && streams.request_may_be_lost(3));
        streams.pass(9);
        streams.open(9);
        assert!(!streams.is_closed(7) && streams.request_may_be_lost(7));
        assert!(!streams.is_closed(9) && !streams.request_may_be_lost(9));
        assert!(!streams.request_may_be_lost(11), "the client is in step again");
        streams.take(9);
        assert!(streams.is_closed(9));
        streams.pass(13);
        assert!(streams.is_closed(11));
        streams.requests_lost();
        assert!(streams.request_may_be_lost(15) && streams.is_closed(11));
        streams.pass(19);
        assert!(streams.request_may_be_lost(17));
        assert!(!streams.is_closed(2));
        streams.pass(4);
        assert!(streams.is_closed(2) && !streams.is_closed(6));
    }
}
