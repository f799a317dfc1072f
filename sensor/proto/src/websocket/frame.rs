//! The frame header (RFC 6455 §5.2).

/// Longest header, in bytes.
pub(super) const MAX_HEADER: usize = 14;

pub(super) const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PONG: u8 = 10;

/// Longest payload of a control frame, in bytes (§5.5).
pub(super) const MAX_CONTROL: usize = 125;

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "bits of the wire")]
pub struct Header {
    /// FIN: the last frame of its message.
    pub fin: bool,
    /// RSV1; on the first frame of a message it says that the message is compressed (RFC 7692 §6).
    pub rsv1: bool,
    /// RSV2 or RSV3.
    pub rsv23: bool,
    /// Opcode, 0 to 15 (§11.8).
    pub opcode: u8,
    /// The mask of the payload, where there is one.
    pub mask: Option<[u8; 4]>,
    /// Payload length in bytes, below 2^64; see [`Header::is_possible`].
    pub len: u64,
    /// The length was written in as few bytes as it can.
    pub short: bool,
}

impl Header {
    /// Longest header, in bytes.
    pub const MAX_LEN: usize = MAX_HEADER;

    /// Reads the header from the start of `bytes`, with its length in bytes.
    ///
    /// # Errors
    ///
    /// How many bytes it needs at least, at most [`Header::MAX_LEN`].
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), usize> {
        let &[first, second, ref rest @ ..] = bytes else { return Err(2) };
        let field = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let masked = second & 0x80 != 0;
        let used = 2 + field + if masked { 4 } else { 0 };
        let (Some((field, rest)), true) = (rest.split_at_checked(field), bytes.len() >= used) else {
            return Err(used);
        };
        let long = field.iter().fold(0, |len, byte| len << 8 | u64::from(*byte));
        let (len, short) = match field.len() {
            0 => (u64::from(second & 0x7f), true),
            2 => (long, long > 125),
            _ => (long, long > u64::from(u16::MAX)),
        };
        let mask = if masked { rest.first_chunk().copied() } else { None };
        let header = Self {
            fin: first & 0x80 != 0,
            rsv1: first & 0x40 != 0,
            rsv23: first & 0x30 != 0,
            opcode: first & 0x0f,
            mask,
            len,
            short,
        };
        Ok((header, used))
    }

    /// The length is below 2^63.
    pub fn is_possible(&self) -> bool {
        self.len >> 63 == 0
    }

    /// A close, ping or pong frame, or one of the opcodes reserved for others (§5.5).
    pub fn is_control(&self) -> bool {
        self.opcode & 8 != 0
    }

    pub(super) fn is_reserved(&self) -> bool {
        !matches!(self.opcode, CONTINUATION | TEXT | BINARY | CLOSE..=PONG)
    }

    /// The last frame of a message.
    pub fn ends_message(&self) -> bool {
        self.fin && matches!(self.opcode, CONTINUATION | TEXT | BINARY)
    }

    pub(super) fn is_bad_control(&self) -> bool {
        self.is_control() && (!self.fin || self.len > 125)
    }
}

/// XORs `bytes` with `mask` into `target`, and returns what was written: as much as both have room for.
pub(super) fn unmask<'t>(bytes: &[u8], mask: [u8; 4], target: &'t mut [u8]) -> &'t [u8] {
    let len = bytes.len().min(target.len());
    let target = target.get_mut(..len).unwrap_or_default();
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (from, from_rest) = bytes.get(..len).unwrap_or_default().as_chunks();
    let (to, to_rest) = target.as_chunks_mut();
    for (to, from) in to.iter_mut().zip(from) {
        *to = (u64::from_ne_bytes(*from) ^ wide).to_ne_bytes();
    }
    for ((to, from), mask) in to_rest.iter_mut().zip(from_rest).zip(wide.to_ne_bytes()) {
        *to = from ^ mask;
    }
    target
}

/// Frames that [`plausible_start`] follows.
const FOLLOWED: usize = 4;
/// Payload bytes of a text frame that [`plausible_start`] looks at.
const TEXT_PREFIX: usize = 64;

/// Whether a WebSocket frame of a sender that masks (a client) or does not (a server) could start at `bytes`.
/// For flows whose handshake was not seen: strict, where [`super::Decoder`] forgives. `false` below a whole header.
pub fn plausible_start(bytes: &[u8], masked: bool) -> bool {
    let mut rest = bytes;
    for followed in 0..FOLLOWED {
        let Ok((header, used)) = Header::parse(rest) else { return followed != 0 };
        let continued_twice = header.rsv1 && (header.is_control() || header.opcode == CONTINUATION);
        if header.mask.is_some() != masked
            || header.rsv23
            || continued_twice
            || header.is_reserved()
            || header.is_bad_control()
            || !header.short
            || !header.is_possible()
        {
            return false;
        }
        let payload = rest.get(used..).unwrap_or_default();
        let whole = usize::try_from(header.len).ok().and_then(|len| payload.split_at_checked(len));
        let (payload, next) = whole.unwrap_or((payload, &[]));
        let mut prefix = [0; TEXT_PREFIX];
        let prefix = unmask(payload, header.mask.unwrap_or_default(), &mut prefix);
        if header.opcode == TEXT && !header.rsv1 && str::from_utf8(prefix).is_err_and(|e| e.error_len().is_some()) {
            return false;
        }
        if next.is_empty() {
            return true;
        }
        rest = next;
    }
    true
}
