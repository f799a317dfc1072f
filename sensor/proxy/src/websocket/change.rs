//! One message exchanged for another.

use super::frames::push;
use proto::websocket::Header;

/// The frames of one message, and control frames between them.
pub(super) struct Whole {
    /// Text or binary.
    opcode: u8,
    /// Its payload, unmasked.
    pub(super) text: Vec<u8>,
    /// The control frames as they came.
    between: Vec<u8>,
}

impl Whole {
    /// Reads `wire`, which holds nothing else. `None` where it is not one whole message that stands for itself.
    pub(super) fn read(mut wire: &[u8]) -> Option<Self> {
        let mut whole = Self { opcode: 0, text: Vec::new(), between: Vec::new() };
        let mut ended = false;
        while !wire.is_empty() {
            let (header, used) = Header::parse(wire).ok()?;
            let len = used.checked_add(usize::try_from(header.len).ok()?)?;
            let (frame, rest) = wire.split_at_checked(len)?;
            wire = rest;
            if header.is_control() {
                whole.between.extend_from_slice(frame);
                continue;
            }
            // A compressed one may be referred to by those that follow.
            if header.rsv1 || header.rsv23 || ended || (header.opcode == 0) == (whole.opcode == 0) {
                return None;
            }
            whole.opcode = whole.opcode.max(header.opcode);
            ended = header.fin;
            let payload = frame.get(used..)?;
            match header.mask {
                Some(mask) => {
                    whole.text.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
                }
                None => whole.text.extend_from_slice(payload),
            }
        }
        ended.then_some(whole)
    }

    /// The control frames, and behind them one frame with `text` in place of the message; none where that is empty.
    pub(super) fn with(self, text: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let mut wire = self.between;
        if !text.is_empty() {
            push(&mut wire, self.opcode, mask, text);
        }
        wire
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_in_pieces_becomes_one_and_control_frames_between_them_stay() {
        let mut wire = Vec::new();
        push(&mut wire, 1, Some([1, 2, 3, 4]), b"{\"a\":");
        wire[0] &= 0x7f;
        push(&mut wire, 9, Some([0; 4]), b"ping");
        push(&mut wire, 0, Some([9, 8, 7, 6]), b"1}");
        let whole = Whole::read(&wire).unwrap();
        assert_eq!(whole.text, b"{\"a\":1}");
        let mut want = Vec::new();
        push(&mut want, 9, Some([0; 4]), b"ping");
        push(&mut want, 1, None, b"{}");
        assert_eq!(whole.with(b"{}", None), want);
        assert!(Whole::read(&wire[..wire.len() - 1]).is_none());
        let compressed = [&[0xc1, 1, 0][..], &wire].concat();
        assert!(Whole::read(&compressed).is_none());
        assert!(Whole::read(&[&wire[..], &wire].concat()).is_none(), "two of them");
    }
}
