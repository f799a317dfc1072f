//! DNS over TCP: messages, each behind its length in two bytes (RFC 1035 §4.2.2, RFC 7766 §8).

use super::message::{HEADER, is_plausible};

/// What a connection may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest message that is joined from pieces, in bytes; so much is kept per direction at most. Longer ones, as in
    /// zone transfers, are passed over.
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message_bytes: 16 << 10 }
    }
}

/// Totals over connections; plain integers that the owner adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages handed out.
    pub messages: u64,
    /// Messages over [`Limits::message_bytes`].
    pub too_long: u64,
    /// Messages with a hole, or that did not come to their end.
    pub incomplete: u64,
    /// Directions that are no DNS.
    pub not_dns: u64,
    /// Directions of which nothing more is read, since a hole hides where the next message begins.
    pub out_of_step: u64,
}

impl Stats {
    /// Adds the counts of another worker or period.
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.too_long += other.too_long;
        self.incomplete += other.incomplete;
        self.not_dns += other.not_dns;
        self.out_of_step += other.out_of_step;
    }
}

/// What a stream wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// The bytes that follow.
    More,
    /// Nothing, ever.
    Nothing,
}

/// One direction of a connection. How its bytes are cut into pieces changes nothing. A message that lies in one piece
/// is handed out in place; others are joined first.
#[derive(Debug, Default)]
pub struct Stream {
    /// The beginning of a message that is not whole yet, with its length.
    carry: Vec<u8>,
    /// Bytes of a message still to come that nobody reads.
    skip: usize,
    ended: bool,
}

/// Length of a length.
const LENGTH: usize = 2;
/// So many bytes tell whether a message is worth waiting for.
const FRONT: usize = LENGTH + HEADER;

impl Stream {
    /// A direction of which nothing was seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next bytes; `each` gets the messages that end in them.
    pub fn feed(&mut self, limits: &Limits, stats: &mut Stats, bytes: &[u8], each: &mut impl FnMut(&[u8])) -> Want {
        let mut now = bytes;
        while !self.ended && !now.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(now.len());
                self.skip -= skipped;
                now = now.get(skipped..).unwrap_or_default();
                continue;
            }
            if self.carry.is_empty()
                && let Some(Ok(len)) = front(now)
                && let Some((message, rest)) = now.split_at_checked(len)
                && len <= LENGTH + limits.message_bytes
            {
                stats.messages += 1;
                each(message.get(LENGTH..).unwrap_or_default());
                now = rest;
                continue;
            }
            let wanted = if let Some(Ok(len)) = front(&self.carry) { len } else { FRONT };
            let (taken, rest) = now.split_at_checked(wanted.saturating_sub(self.carry.len())).unwrap_or((now, &[]));
            self.carry.extend_from_slice(taken);
            now = rest;
            self.settle(*limits, stats, each);
        }
        self.want()
    }

    /// `n` bytes will never be seen.
    pub fn gap(&mut self, stats: &mut Stats, n: u64) -> Want {
        if self.ended || n == 0 {
            return self.want();
        }
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let left = match self.carry.first_chunk() {
            Some(length) if self.skip == 0 => whole(*length).saturating_sub(self.carry.len()),
            _ => self.skip,
        };
        stats.incomplete += u64::from(!self.carry.is_empty());
        if n > left {
            stats.out_of_step += 1;
            self.end();
        } else {
            (self.carry, self.skip) = (Vec::new(), left - n);
        }
        self.want()
    }

    /// The direction ended, or is forgotten.
    pub fn finish(&mut self, stats: &mut Stats) {
        stats.incomplete += u64::from(!self.carry.is_empty());
        self.end();
    }

    /// Bytes held on the heap.
    pub const fn held(&self) -> usize {
        self.carry.capacity()
    }

    fn end(&mut self) {
        (self.carry, self.skip, self.ended) = (Vec::new(), 0, true);
    }

    const fn want(&self) -> Want {
        if self.ended { Want::Nothing } else { Want::More }
    }

    /// Looks at what is carried: hands out a message, or passes over one that is too long.
    fn settle(&mut self, limits: Limits, stats: &mut Stats, each: &mut impl FnMut(&[u8])) {
        match front(&self.carry) {
            Some(Err(NotDns)) => {
                stats.not_dns += 1;
                self.end();
            }
            Some(Ok(len)) if len > LENGTH + limits.message_bytes => {
                stats.too_long += 1;
                self.skip = len - self.carry.len();
                self.carry = Vec::new();
            }
            Some(Ok(len)) if len == self.carry.len() => {
                stats.messages += 1;
                each(self.carry.get(LENGTH..).unwrap_or_default());
                self.carry = Vec::new();
            }
            _ => {}
        }
    }
}

/// A message that is none.
struct NotDns;

/// The length of the message that begins so, with its length in front. `None` where that cannot be told yet.
fn front(bytes: &[u8]) -> Option<Result<usize, NotDns>> {
    let len = whole(*bytes.first_chunk()?);
    if len < FRONT {
        return Some(Err(NotDns));
    }
    let head = *bytes.get(LENGTH..)?.first_chunk()?;
    Some(if is_plausible(head) { Ok(len) } else { Err(NotDns) })
}

fn whole(length: [u8; LENGTH]) -> usize {
    LENGTH + usize::from(u16::from_be_bytes(length))
}
