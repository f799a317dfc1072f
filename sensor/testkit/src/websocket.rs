//! WebSocket frames (RFC 6455 section 5.2).

/// One whole message in one frame: `opcode` 1 for text, 2 for binary, 8 close, 9 ping, 10 pong. Clients mask.
pub fn frame(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    fragment(true, opcode, payload, mask)
}

/// One frame, the last of its message or not. Continuations have opcode 0.
pub fn fragment(last: bool, opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = vec![u8::from(last) << 7 | opcode];
    let masked = u8::from(mask.is_some()) << 7;
    match payload.len() {
        short @ 0..126 => out.push(masked | short as u8),
        medium @ 126..65_536 => {
            out.push(masked | 0x7e);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(masked | 0x7f);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    let key = mask.unwrap_or_default();
    out.extend_from_slice(if mask.is_some() { &key } else { &[] });
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_those_of_rfc_6455_section_5_7() {
        assert_eq!(frame(1, b"Hello", None), [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        let key = [0x37, 0xfa, 0x21, 0x3d];
        assert_eq!(frame(1, b"Hello", Some(key)), [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        assert_eq!(fragment(false, 1, b"Hel", None), [0x01, 0x03, 0x48, 0x65, 0x6c]);
        assert_eq!(frame(2, &[0; 256], None)[..4], [0x82, 0x7e, 0x01, 0x00]);
        assert_eq!(frame(2, &vec![0; 65_536], None)[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
