//! The handshake bytes of one side, put in order.

use super::Limits;

/// What is between the first byte that is still wanted and the last that came. Bytes are kept in the order they came
/// in, each once, so that what is held is never more than what was sent.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// Where the next message begins.
    base: u64,
    bytes: Vec<u8>,
    /// INVARIANT: sorted by `offset`, behind `base`, without an overlap.
    pieces: Vec<Piece>,
}

/// Bytes that follow each other in the handshake and in [`Assembly::bytes`].
#[derive(Clone, Copy, Debug)]
struct Piece {
    offset: u64,
    at: usize,
    len: usize,
}

impl Piece {
    const fn end(&self) -> u64 {
        self.offset + self.len as u64
    }
}

/// What became of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// They were kept, or were there before.
    Kept,
    /// Other bytes were there before, which stay.
    Conflict,
    /// They are over a limit, at least in part.
    Over,
}

/// A message is longer than [`Limits::crypto_bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Type and length.
const HEADER: usize = 4;

/// The length of the message that begins so, header included.
fn length(limits: &Limits, [_, a, b, c]: [u8; HEADER]) -> Result<usize, TooLong> {
    let len = HEADER + usize::try_from(u32::from_be_bytes([0, a, b, c])).map_err(|_| TooLong)?;
    if len > limits.crypto_bytes { Err(TooLong) } else { Ok(len) }
}

impl Assembly {
    /// Bytes held on the heap.
    pub(super) const fn held(&self) -> usize {
        self.bytes.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }

    /// The message that lies whole in `data`, header included, where nothing was kept so far: the ordinary case, which
    /// copies nothing. What follows it in `data` is not taken.
    pub(super) fn in_place<'d>(&mut self, limits: &Limits, offset: u64, data: &'d [u8]) -> Option<&'d [u8]> {
        if !self.pieces.is_empty() || offset != self.base {
            return None;
        }
        let message = data.get(..length(limits, *data.first_chunk()?).ok()?)?;
        self.base += message.len() as u64;
        Some(message)
    }

    /// The next message, header included, where it is whole.
    ///
    /// # Errors
    ///
    /// [`TooLong`] where it will never be.
    pub(super) fn take(&mut self, limits: &Limits) -> Result<Option<Vec<u8>>, TooLong> {
        let mut bytes = self.ready().flat_map(|piece| self.slice(piece)).copied();
        let (Some(a), Some(b), Some(c), Some(d)) = (bytes.next(), bytes.next(), bytes.next(), bytes.next()) else {
            return Ok(None);
        };
        let head = [a, b, c, d];
        let len = length(limits, head)?;
        if self.ready().map(|piece| piece.len).sum::<usize>() < len {
            return Ok(None);
        }
        let mut message = Vec::with_capacity(len);
        message.extend_from_slice(&head);
        message.extend(bytes.take(len - HEADER));
        self.forget(self.base + len as u64);
        Ok(Some(message))
    }

    /// Keeps the bytes at `offset`, as far as they are wanted and new.
    pub(super) fn add(&mut self, limits: &Limits, offset: u64, data: &[u8]) -> Added {
        let old = usize::try_from(self.base.saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(wanted) = data.get(old..).filter(|data| !data.is_empty()) else { return Added::Kept };
        let mut from = offset.max(self.base);
        let room = (limits.crypto_bytes as u64).saturating_sub(from - self.base);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let (mut rest, mut result) = match wanted.split_at_checked(room) {
            Some((fits, over)) if !over.is_empty() => (fits, Added::Over),
            _ => (wanted, Added::Kept),
        };
        let end = from.saturating_add(rest.len() as u64);
        let mut next = self.pieces.partition_point(|piece| piece.end() <= from);
        while !rest.is_empty() {
            let piece = self.pieces.get(next).copied();
            let (there, upto) = match piece {
                Some(piece) if piece.offset <= from => (Some(piece), piece.end().min(end)),
                Some(piece) => (None, piece.offset.min(end)),
                None => (None, end),
            };
            let len = usize::try_from(upto - from).unwrap_or(usize::MAX);
            let Some((now, after)) = rest.split_at_checked(len) else { return result };
            if let Some(piece) = there {
                let skip = usize::try_from(from - piece.offset).unwrap_or(usize::MAX);
                if self.slice(piece).get(skip..).and_then(|kept| kept.get(..len)) != Some(now) {
                    result = Added::Conflict;
                }
                next += 1;
            } else {
                if self.pieces.len() >= limits.crypto_pieces {
                    // What is far behind gives way to what is wanted sooner, in halves so that this is rare.
                    result = Added::Over;
                    let half = limits.crypto_pieces / 2;
                    if next > half {
                        break;
                    }
                    self.pieces.truncate(half);
                    self.forget(self.base);
                }
                next = self.insert(next, from, now);
            }
            (from, rest) = (upto, after);
        }
        result
    }

    /// Puts a piece in front of the one of this index; the index that this one has afterwards.
    fn insert(&mut self, index: usize, offset: u64, data: &[u8]) -> usize {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(data);
        match index.checked_sub(1).and_then(|before| self.pieces.get_mut(before)) {
            Some(piece) if piece.end() == offset && piece.at + piece.len == at => {
                piece.len += data.len();
                index
            }
            _ => {
                self.pieces.insert(index, Piece { offset, at, len: data.len() });
                index + 1
            }
        }
    }

    fn slice(&self, piece: Piece) -> &[u8] {
        self.bytes.get(piece.at..piece.at + piece.len).unwrap_or_default()
    }

    /// The pieces that follow each other without a hole from the base on.
    fn ready(&self) -> impl Iterator<Item = Piece> {
        let mut next = self.base;
        self.pieces.iter().copied().take_while(move |piece| {
            let follows = piece.offset == next;
            next = piece.end();
            follows
        })
    }

    /// Drops what stands before `base`, and what no piece speaks of.
    fn forget(&mut self, base: u64) {
        let mut left = Self { base, ..Self::default() };
        for piece in &self.pieces {
            let old = usize::try_from(base.saturating_sub(piece.offset)).unwrap_or(usize::MAX);
            if let Some(data) = self.slice(*piece).get(old..).filter(|data| !data.is_empty()) {
                let at = left.bytes.len();
                left.pieces.push(Piece { offset: piece.offset.max(base), at, len: data.len() });
                left.bytes.extend_from_slice(data);
            }
        }
        *self = left;
    }
}
