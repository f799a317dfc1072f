//! Frame headers (RFC 9113 §4.1, §6), and what a frame could begin with where the place was lost.

use super::lane::Frame;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
/// RFC 7838, RFC 8336, RFC 9218: extensions that are met and carry nothing of interest.
const ALTSVC: u8 = 10;
const ORIGIN: u8 = 12;
const PRIORITY_UPDATE: u8 = 16;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const HAS_PRIORITY: u8 = 0x20;

/// Connection preface of a client (§3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Largest payload until a receiver allows more (§6.5.2).
pub(super) const DEFAULT_MAX_FRAME: u32 = 16_384;
/// Frames that [`plausible_start`] follows.
const FOLLOWED: usize = 4;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of payload, below 2^24.
    pub(super) len: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// Below 2^31.
    pub(super) stream: u32,
    /// The bit before the stream identifier, which receivers ignore.
    reserved: bool,
}

impl Header {
    pub(super) const LEN: usize = 9;

    pub(super) fn parse(bytes: [u8; Self::LEN]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = bytes;
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
        Self { len: u32::from_be_bytes([0, a, b, c]), kind, flags, stream, reserved: s0 & 0x80 != 0 }
    }

    /// Whether RFC 9113 §6 allows this kind on this stream with this length.
    pub(super) fn is_sound(&self) -> bool {
        let (len, stream) = (self.len, self.stream != 0);
        match self.kind {
            DATA | CONTINUATION => stream,
            HEADERS => stream && (self.flags & HAS_PRIORITY == 0 || len >= 5),
            PRIORITY => stream && len == 5,
            RST_STREAM => stream && len == 4,
            SETTINGS => !stream && len.is_multiple_of(6) && (self.flags & ACK == 0 || len == 0),
            PUSH_PROMISE => stream && len >= 4,
            PING => !stream && len == 8,
            GOAWAY => !stream && len >= 8,
            WINDOW_UPDATE => len == 4,
            _ => true,
        }
    }

    /// Whether a frame begins so of which nothing is unusual. Text never looks like it, and of random bytes not
    /// one place in a milliard.
    pub(super) fn is_plausible(&self, max_frame: u32) -> bool {
        let flags = match self.kind {
            DATA => END_STREAM | PADDED,
            HEADERS => END_STREAM | END_HEADERS | PADDED | HAS_PRIORITY,
            SETTINGS | PING => ACK,
            PUSH_PROMISE => END_HEADERS | PADDED,
            CONTINUATION => END_HEADERS,
            PRIORITY | RST_STREAM | GOAWAY | WINDOW_UPDATE | ALTSVC | ORIGIN | PRIORITY_UPDATE => 0,
            _ => return false,
        };
        let empty = self.len == 0 && !matches!(self.kind, SETTINGS) && self.flags & (END_STREAM | END_HEADERS) == 0;
        self.is_sound() && self.flags & !flags == 0 && !self.reserved && self.len <= max_frame && !empty
    }

    pub(super) fn frame(&self) -> Frame {
        Frame { kind: self.kind, flags: self.flags, stream: self.stream, left: self.len, pad: 0 }
    }
}

/// Whether frames could begin at `bytes`, one after the other as far as can be seen. `false` below a whole header.
pub(super) fn plausible_frames(bytes: &[u8], max_frame: u32) -> bool {
    let mut rest = bytes;
    for followed in 0..FOLLOWED {
        let Some((&header, payload)) = rest.split_first_chunk() else { return followed != 0 };
        let header = Header::parse(header);
        if !header.is_plausible(max_frame) {
            return false;
        }
        match usize::try_from(header.len).ok().and_then(|len| payload.get(len..)) {
            Some(next) => rest = next,
            None => return true,
        }
    }
    true
}

/// Whether an HTTP/2 connection whose beginning was not seen could go on with `bytes`, which begin a piece: whole
/// frames as they are common, and none that begins any other protocol known here. `false` below a whole header.
pub(crate) fn plausible_start(bytes: &[u8]) -> bool {
    plausible_frames(bytes, DEFAULT_MAX_FRAME)
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_MAX_FRAME, Header, plausible_start};
    use testkit::Rng;
    use testkit::http2::{Frames, frame};

    #[test]
    fn headers_are_read_as_section_4_1_draws_them() {
        let header = Header::parse([0x01, 0x02, 0x03, 0x09, 0x04, 0xff, 0, 0, 7]);
        let want = Header { len: 0x01_0203, kind: 9, flags: 4, stream: 0x7f00_0007, reserved: true };
        assert_eq!(header, want);
    }

    #[test]
    fn ordinary_frames_are_plausible_and_other_protocols_are_not() {
        for (name, bytes, want) in [
            ("data", frame(0, 0, 5, b"{}"), true),
            ("data that goes on", frame(0, 0, 5, &[7; 300])[..50].to_vec(), true),
            ("settings, window, headers", Frames::default().settings(&[]).window_update(0, 1).bytes(), true),
            ("half a header", frame(0, 0, 5, b"{}")[..8].to_vec(), false),
            ("data on stream 0", frame(0, 0, 0, b"{}"), false),
            ("empty data that ends nothing", frame(0, 0, 5, b""), false),
            ("a second frame that is none", [frame(0, 0, 5, b"{}"), b"HTTP/1.1 200".to_vec()].concat(), false),
            ("an unknown kind", frame(0x30, 0, 5, b"{}"), false),
            ("odd flags", frame(0, 0x40, 5, b"{}"), false),
            ("a ping of nine bytes", frame(6, 0, 0, b"123456789"), false),
            ("text", b"GET / HTTP/1.1\r\n".to_vec(), false),
            ("tls", vec![0x17, 3, 3, 0, 40, 1, 2, 3, 4, 5, 6], false),
            ("zeros", vec![0; 100], false),
            ("a long frame", frame(0, 0, 5, &vec![1; 1 + DEFAULT_MAX_FRAME as usize]), false),
        ] {
            assert_eq!(plausible_start(&bytes), want, "{name}");
        }
    }

    #[test]
    fn random_bytes_are_never_plausible() {
        let mut rng = Rng::new(7);
        for _ in 0..200_000 {
            let (a, b) = (rng.next_u64().to_be_bytes(), rng.next_u64().to_be_bytes());
            assert!(!plausible_start(&[a, b].concat()));
        }
    }
}
