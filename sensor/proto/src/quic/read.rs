//! A cursor over a packet. Every answer is checked.

/// What is left of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    /// An integer of one to eight bytes (RFC 9000 §16).
    pub(super) fn varint(&mut self) -> Option<u64> {
        let first = self.u8()?;
        let more = (1_usize << (first >> 6)) - 1;
        Some(self.take(more)?.iter().fold(u64::from(first & 0x3f), |n, byte| n << 8 | u64::from(*byte)))
    }

    /// So many bytes as an integer in front says.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.varint()?;
        self.take(usize::try_from(len).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_the_specification() {
        // RFC 9000 §A.1.
        for (bytes, want) in [
            (&b"\xc2\x19\x7c\x5e\xff\x14\xe8\x8c"[..], Some(151_288_809_941_952_652)),
            (b"\x9d\x7f\x3e\x7d", Some(494_878_333)),
            (b"\x7b\xbd", Some(15_293)),
            (b"\x25", Some(37)),
            (b"\x40\x25", Some(37)),
            (b"\x9d\x7f\x3e", None),
            (b"", None),
        ] {
            assert_eq!(Reader::new(bytes).varint(), want, "{bytes:02x?}");
        }
    }
}
