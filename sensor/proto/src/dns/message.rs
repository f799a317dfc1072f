//! A message up to its question (RFC 1035 §4.1).

use super::name::Name;
use super::record::Records;

/// Types of records (IANA DNS Resource Record types registry).
pub mod kind {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// Another name for the same.
    pub const CNAME: u16 = 5;
    /// The name of an address (RFC 1035 §3.5).
    pub const PTR: u16 = 12;
    /// Text.
    pub const TXT: u16 = 16;
    /// An IPv6 address (RFC 3596).
    pub const AAAA: u16 = 28;
    /// How to reach a service (RFC 9460).
    pub const SVCB: u16 = 64;
    /// The same for HTTPS.
    pub const HTTPS: u16 = 65;
}

/// Length of the header.
pub(super) const HEADER: usize = 12;

/// A query, or the answer to one, with its one question. Borrows the message.
#[derive(Clone, Debug)]
pub struct Message<'m> {
    bytes: &'m [u8],
    name: Name,
    kind: u16,
    /// Where the answers begin.
    at: usize,
    answers: u16,
    flags: u8,
    codes: u8,
}

impl<'m> Message<'m> {
    /// Reads a message. `None` where it is none, or of another kind: with no question or several, of another class than
    /// the Internet, with an opcode other than QUERY, or with a name that no host can have. Takes no memory.
    pub fn read(bytes: &'m [u8]) -> Option<Self> {
        let (&[_, _, flags, codes, q_hi, q_lo, a_hi, a_lo, ..], _) = bytes.split_first_chunk::<HEADER>()?;
        if flags & OPCODE != 0 || codes & RESERVED != 0 || [q_hi, q_lo] != [0, 1] {
            return None;
        }
        let answers = u16::from_be_bytes([a_hi, a_lo]);
        let mut message = Self { bytes, name: Name::EMPTY, kind: 0, at: 0, answers, flags, codes };
        let at = message.name.read(bytes, HEADER)?;
        let (&[k_hi, k_lo, 0, 1], _) = bytes.get(at..)?.split_first_chunk()? else { return None };
        (message.kind, message.at) = (u16::from_be_bytes([k_hi, k_lo]), at + 4);
        Some(message)
    }

    /// Whether this is an answer; otherwise a query.
    pub const fn is_response(&self) -> bool {
        self.flags & RESPONSE != 0
    }

    /// Whether records were left out because they did not fit (TC).
    pub const fn is_cut(&self) -> bool {
        self.flags & CUT != 0
    }

    /// The response code: 0 without an error, 3 where the name does not exist (RFC 1035 §4.1.1).
    pub const fn code(&self) -> u8 {
        self.codes & 0x0f
    }

    /// The name that is asked for.
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The type that is asked for, such as [`kind::A`].
    pub const fn kind(&self) -> u16 {
        self.kind
    }

    /// What the answer section says of the name, aliases followed; nothing for a query or an error.
    pub const fn records(&self) -> Records<'m> {
        let answers = if self.is_response() && self.code() == 0 { self.answers } else { 0 };
        Records::new(self.bytes, self.at, answers)
    }
}

const RESPONSE: u8 = 0x80;
const OPCODE: u8 = 0x78;
const CUT: u8 = 0x02;
/// The one bit of the header that means nothing yet.
const RESERVED: u8 = 0x40;

/// Whether a message of any kind can begin so: for telling a stream that is no DNS. Updates and notifications count,
/// and the messages of a zone transfer, which have no question.
pub(super) fn is_plausible(head: [u8; HEADER]) -> bool {
    let [_, _, flags, codes, q_hi, q_lo, ..] = head;
    let opcode = (flags & OPCODE) >> 3;
    // A query has no response code.
    let code = if flags & RESPONSE == 0 { codes & 0x0f } else { 0 };
    opcode <= 6 && opcode != 3 && code == 0 && codes & RESERVED == 0 && q_hi == 0 && q_lo <= 1
}
