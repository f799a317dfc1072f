//! Handshake messages inside of encrypted records of TLS 1.3 (RFC 8446 §4), which go on across records.

use crate::tls::read::{Reader, length, whole16};
use crate::tls::{Alpn, extension};

pub(super) const END_OF_EARLY_DATA: u8 = 5;
pub(super) const ENCRYPTED_EXTENSIONS: u8 = 8;
pub(super) const FINISHED: u8 = 20;
pub(super) const KEY_UPDATE: u8 = 24;

/// Longest `EncryptedExtensions` that is read, in bytes; those of longer ones stay unknown.
pub(super) const MAX_EXTENSIONS: usize = 4 << 10;

/// The messages of one direction, of which only the types are looked at, and one of them is read.
#[derive(Debug, Default)]
pub(super) struct Messages {
    head: [u8; 4],
    have: u8,
    /// Bytes of the message under way still to come.
    left: usize,
    /// The message under way, where it is to be read.
    body: Vec<u8>,
}

impl Messages {
    /// Takes bytes up to the end of a message and gives its type; `None` where they end before.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<u8> {
        while usize::from(self.have) < self.head.len() {
            let (&byte, rest) = bytes.split_first()?;
            *bytes = rest;
            *self.head.get_mut(usize::from(self.have))? = byte;
            self.have += 1;
            let [_, a, b, c] = self.head;
            self.left = length(a, b, c);
        }
        let [kind, a, b, c] = self.head;
        let (now, rest) = bytes.split_at_checked(self.left).unwrap_or((bytes, &[]));
        if kind == ENCRYPTED_EXTENSIONS && length(a, b, c) <= MAX_EXTENSIONS {
            self.body.extend_from_slice(now);
        }
        self.left -= now.len();
        *bytes = rest;
        if self.left > 0 {
            return None;
        }
        self.have = 0;
        Some(kind)
    }

    /// What the `EncryptedExtensions` that just ended say.
    pub(super) fn extensions(&mut self) -> Extensions {
        Extensions::parse(&std::mem::take(&mut self.body))
    }

    /// Bytes held on the heap.
    pub(super) fn held(&self) -> usize {
        self.body.capacity()
    }
}

/// What the server says under its first keys (RFC 8446 §4.3.1).
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub(super) alpn: Alpn,
    /// Early data is accepted.
    pub(super) early_data: bool,
}

impl Extensions {
    fn parse(body: &[u8]) -> Self {
        let mut found = Self::default();
        let mut reader = Reader::new(whole16(body).unwrap_or_default());
        while let (Some(number), Some(data)) = (reader.u16(), reader.vec16()) {
            match number {
                extension::ALPN => found.alpn = Alpn::parse(data).0,
                extension::EARLY_DATA => found.early_data = true,
                _ => {}
            }
        }
        found
    }
}
