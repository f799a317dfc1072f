//! The frames of an Initial packet (RFC 9000 §12.4, §19).

use super::read::Reader;

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame<'p> {
    /// Bytes of the handshake, and where they stand in it.
    Crypto(u64, &'p [u8]),
    /// The connection ends.
    Close,
    /// What says nothing about the handshake; adjoining padding is one such frame.
    Other,
    /// What no peer may send here, or a frame that reaches beyond the end of the packet. None follows.
    Bad,
}

/// The frames of a decrypted payload.
#[derive(Clone, Debug)]
pub(super) struct Frames<'p>(Reader<'p>);

impl<'p> Frames<'p> {
    pub(super) const fn new(payload: &'p [u8]) -> Self {
        Self(Reader::new(payload))
    }

    /// A frame of the type `kind`, without the type.
    fn frame(&mut self, kind: u8) -> Option<Frame<'p>> {
        let reader = &mut self.0;
        match kind {
            PADDING => {
                let rest = reader.rest();
                reader.take(rest.iter().position(|byte| *byte != PADDING).unwrap_or(rest.len()))?;
            }
            PING => {}
            ACK | ACK_ECN => {
                // Largest, delay; the count of ranges; the first range, gap and length of each other.
                reader.varint()?;
                reader.varint()?;
                let ranges = reader.varint()?;
                reader.varint()?;
                for _ in 0..ranges {
                    reader.varint()?;
                    reader.varint()?;
                }
                for _ in 0..if kind == ACK_ECN { 3 } else { 0 } {
                    reader.varint()?;
                }
            }
            CRYPTO => return Some(Frame::Crypto(reader.varint()?, reader.bytes()?)),
            CLOSE => {
                // Code and type of the frame at fault; reason.
                reader.varint()?;
                reader.varint()?;
                reader.bytes()?;
                return Some(Frame::Close);
            }
            _ => return None,
        }
        Some(Frame::Other)
    }
}

const PADDING: u8 = 0;
const PING: u8 = 1;
const ACK: u8 = 2;
const ACK_ECN: u8 = 3;
const CRYPTO: u8 = 6;
const CLOSE: u8 = 0x1c;

impl<'p> Iterator for Frames<'p> {
    type Item = Frame<'p>;

    fn next(&mut self) -> Option<Frame<'p>> {
        let kind = self.0.u8()?;
        let frame = self.frame(kind);
        if frame.is_none() {
            self.0 = Reader::new(&[]);
        }
        Some(frame.unwrap_or(Frame::Bad))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_up_to_the_first_that_is_bad() {
        for (what, payload, want) in [
            ("nothing", &b""[..], vec![]),
            ("padding and pings", b"\0\0\x01\0\x01\x01\0", vec![]),
            ("a piece", b"\x06\x00\x03abc\0\0", vec![Frame::Crypto(0, b"abc")]),
            ("two pieces", b"\x06\x41\x00\x01a\x01\x06\x00\x00", vec![Frame::Crypto(256, b"a"), Frame::Crypto(0, b"")]),
            ("an acknowledgement", b"\x02\x05\x00\x01\x00\x01\x01\x06\x00\x01x", vec![Frame::Crypto(0, b"x")]),
            ("with counts", b"\x03\x05\x00\x00\x00\x01\x02\x03\x06\x00\x01x", vec![Frame::Crypto(0, b"x")]),
            ("many ranges", b"\x02\x05\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x01", vec![Frame::Bad]),
            ("a close", b"\x1c\x01\x00\x02no\0", vec![Frame::Close]),
            ("a stream", b"\x06\x00\x01x\x08\x00", vec![Frame::Crypto(0, b"x"), Frame::Bad]),
            ("cut", b"\x06\x00\x05abc", vec![Frame::Bad]),
            ("a long length", b"\x06\x00\xff\xff\xff\xff\xff\xff\xff\xff", vec![Frame::Bad]),
        ] {
            let got: Vec<_> = Frames::new(payload).filter(|frame| *frame != Frame::Other).collect();
            assert_eq!(got, want, "{what}");
        }
    }
}
