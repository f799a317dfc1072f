//! A cursor over the vectors of the TLS presentation language (RFC 8446 §3.4). Every answer is checked.

/// What is left of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A vector whose length is written in one byte.
    pub(super) fn vec8(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    /// A vector whose length is written in two bytes.
    pub(super) fn vec16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }
}

/// A list that is the whole of `bytes`, with its length in two bytes in front; `None` where that does not fit.
pub(super) fn whole16(bytes: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(bytes);
    let list = reader.vec16()?;
    reader.is_empty().then_some(list)
}

/// A list that is the whole of `bytes`, with its length in one byte in front; `None` where that does not fit.
pub(super) fn whole8(bytes: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(bytes);
    let list = reader.vec8()?;
    reader.is_empty().then_some(list)
}

/// The two-byte values of `bytes`, and whether a lone byte stands behind them.
pub(super) fn pairs(bytes: &[u8]) -> (impl Iterator<Item = u16> + Clone, bool) {
    let (pairs, rest) = bytes.as_chunks();
    (pairs.iter().map(|pair| u16::from_be_bytes(*pair)), !rest.is_empty())
}

/// A length of three bytes.
pub(super) fn length(a: u8, b: u8, c: u8) -> usize {
    [a, b, c].into_iter().fold(0, |len, byte| len << 8 | usize::from(byte))
}
