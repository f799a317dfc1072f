//! Where frames begin and end, and frames of our own (RFC 6455 section 5.2).

use proto::websocket::Header;

/// Opcode of a text message.
const TEXT: u8 = 1;
/// Opcode of a close frame.
pub(super) const CLOSE: u8 = 8;
/// Status of a close frame: a policy was violated (section 7.4.1).
const VIOLATED: u16 = 1008;

/// Follows the frames of one direction, by their headers alone.
#[derive(Debug)]
pub(super) struct Frames {
    at: At,
}

#[derive(Debug)]
enum At {
    Header { bytes: [u8; Header::MAX_LEN], have: usize },
    Payload { left: u64 },
}

const BOUNDARY: At = At::Header { bytes: [0; Header::MAX_LEN], have: 0 };

/// What a piece of the wire is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes of a header, and there are more to come.
    Part,
    /// Up to the end of a header. Where it has no payload, its frame is over.
    Header(Header),
    /// Bytes of a payload.
    Payload,
}

impl Frames {
    pub(super) const fn new() -> Self {
        Self { at: BOUNDARY }
    }

    /// Whether no frame is under way.
    pub(super) const fn at_boundary(&self) -> bool {
        matches!(self.at, At::Header { have: 0, .. })
    }

    /// The first piece of `input` and its length; `None` where there is no input.
    pub(super) fn step(&mut self, input: &[u8]) -> Option<(usize, Piece)> {
        if input.is_empty() {
            return None;
        }
        Some(match &mut self.at {
            At::Header { bytes, have } => {
                let mut used = 0;
                loop {
                    match Header::parse(bytes.get(..*have).unwrap_or_default()) {
                        Ok((header, _)) => {
                            self.at = if header.len == 0 { BOUNDARY } else { At::Payload { left: header.len } };
                            return Some((used, Piece::Header(header)));
                        }
                        Err(want) => {
                            let free = bytes.get_mut(*have..want).unwrap_or_default();
                            let rest = input.get(used..).unwrap_or_default();
                            if rest.is_empty() {
                                return Some((used, Piece::Part));
                            }
                            let n = free.len().min(rest.len());
                            for (to, from) in free.iter_mut().zip(rest) {
                                *to = *from;
                            }
                            *have += n;
                            used += n;
                        }
                    }
                }
            }
            At::Payload { left } => {
                let n = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left = left.saturating_sub(u64::try_from(n).unwrap_or(u64::MAX));
                if *left == 0 {
                    self.at = BOUNDARY;
                }
                (n, Piece::Payload)
            }
        })
    }
}

/// Adds a text message of our own, as a server sends it: whole, without mask, not compressed.
pub(super) fn push_text(wire: &mut Vec<u8>, text: &str) {
    push(wire, TEXT, None, text.as_bytes());
}

/// Adds a close frame that says why, of at most 123 bytes. With a mask it is one of a client.
pub(super) fn push_close(wire: &mut Vec<u8>, mask: Option<[u8; 4]>, reason: &str) {
    let mut payload = VIOLATED.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    push(wire, CLOSE, mask, &payload);
}

/// Adds one frame that is a message, or a control frame.
pub(super) fn push(wire: &mut Vec<u8>, opcode: u8, mask: Option<[u8; 4]>, payload: &[u8]) {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    wire.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ ..=125), _) => wire.push(masked | len),
        (_, Ok(len)) => {
            wire.push(masked | 0x7e);
            wire.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            wire.push(masked | 0x7f);
            wire.extend_from_slice(&u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    match mask {
        Some(mask) => {
            wire.extend_from_slice(&mask);
            wire.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        }
        None => wire.extend_from_slice(payload),
    }
}
