//! Record headers (RFC 8446 §5.1), taken byte by byte, since they may be cut anywhere.

/// Type, version, length.
pub(super) const HEADER: usize = 5;
/// Longest fragment, in bytes (RFC 5246 §6.2.3; TLS 1.3 allows less).
pub(super) const MAX_RECORD: u16 = (1 << 14) + 2048;

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;
/// RFC 6520.
pub(super) const HEARTBEAT: u8 = 24;

/// A record header on its way in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    bytes: [u8; HEADER],
    have: u8,
}

/// What one more byte made of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    More,
    /// Content type and length of the fragment.
    Whole(u8, u16),
    /// No record begins like this.
    Bad,
}

impl Header {
    /// The bytes of the last header that was whole.
    pub(super) const fn bytes(self) -> [u8; HEADER] {
        self.bytes
    }

    /// Takes the next byte. Only the first half of the version is looked at, as servers do.
    pub(super) fn push(&mut self, byte: u8) -> Pushed {
        let at = self.have;
        if let Some(to) = self.bytes.get_mut(usize::from(at)) {
            *to = byte;
        }
        self.have += 1;
        let [kind, .., hi, lo] = self.bytes;
        let len = u16::from_be_bytes([hi, lo]);
        match at {
            0 if !(CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(&byte) => Pushed::Bad,
            1 if byte != 3 => Pushed::Bad,
            0..=3 => Pushed::More,
            _ if len > MAX_RECORD => Pushed::Bad,
            _ => {
                self.have = 0;
                Pushed::Whole(kind, len)
            }
        }
    }
}
