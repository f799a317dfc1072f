//! Whether a direction begins with a hello, whatever the port.

use super::read::length;
use super::record::{HANDSHAKE, HEADER, MAX_RECORD};

/// Whether bytes begin a hello, cannot, or are too few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// They do.
    Yes,
    /// They cannot.
    No,
    /// More are needed; never said of [`DECIDED_AT`] bytes or more.
    NotEnough,
}

/// So many bytes always decide.
pub const DECIDED_AT: usize = MAX_RECORDS * (HEADER + 1);

/// Most records over which the first bytes of a hello may be spread, empty ones included.
const MAX_RECORDS: usize = 8;
/// Shortest body of a hello: version, random, and the lengths of what follows.
const MIN_HELLO: usize = 38;
/// Longest body of a client hello that is taken for one, in bytes. Common servers stop at 64 KiB or 128 KiB.
const MAX_CLIENT_HELLO: usize = (128 << 10) + (64 << 10);
/// Longest body of a server hello that is taken for one, in bytes.
const MAX_SERVER_HELLO: usize = 64 << 10;

/// Whether `bytes` begin a client hello: records of type 22 and version 3.0 to 3.4 (RFC 8446 §5.1) that hold a
/// handshake message of type 1, with nothing behind it, of a length that can be. It may be spread over records of any
/// size. The version inside says nothing: servers take any.
pub fn looks_like_client_hello(bytes: &[u8]) -> Likeness {
    look::<4>(bytes, |head, record| match *head {
        [1, a, b, c] => {
            let len = length(a, b, c);
            (MIN_HELLO..MAX_CLIENT_HELLO).contains(&len) && record <= len + 4
        }
        [kind, ..] => kind == 1,
        [] => true,
    })
}

/// Whether `bytes` begin a server hello: as above, of type 2, with a version of 3.0 to 3.3 inside. For captures that
/// hold one side only.
pub fn looks_like_server_hello(bytes: &[u8]) -> Likeness {
    look::<6>(bytes, |head, _| match *head {
        [2, a, b, c, ref version @ ..] => {
            (MIN_HELLO..MAX_SERVER_HELLO).contains(&length(a, b, c)) && matches!(version, [] | [3] | [3, 0..=3])
        }
        [kind, ..] => kind == 2,
        [] => true,
    })
}

/// Whether `can_be` says of the first `N` handshake bytes, and on the way of fewer, that they can be; with the length
/// of the record in which the last of them stands.
fn look<const N: usize>(bytes: &[u8], can_be: impl Fn(&[u8], usize) -> bool) -> Likeness {
    let (mut head, mut have) = ([0; N], 0);
    let mut rest = bytes;
    for _ in 0..MAX_RECORDS {
        let fits = rest.iter().zip(0..HEADER).all(|(&byte, at)| match at {
            0 => byte == HANDSHAKE,
            1 => byte == 3,
            2 => byte <= 4,
            _ => true,
        });
        if !fits {
            return Likeness::No;
        }
        let Some((&[.., hi, lo], fragment)) = rest.split_first_chunk::<HEADER>() else { return Likeness::NotEnough };
        let len = u16::from_be_bytes([hi, lo]);
        if len > MAX_RECORD {
            return Likeness::No;
        }
        let len = usize::from(len);
        for (to, byte) in head.iter_mut().skip(have).zip(fragment.iter().take(len)) {
            *to = *byte;
            have += 1;
        }
        if !can_be(head.get(..have).unwrap_or_default(), len) {
            return Likeness::No;
        }
        if have == N {
            return Likeness::Yes;
        }
        match fragment.get(len..) {
            Some(next) => rest = next,
            None => return Likeness::NotEnough,
        }
    }
    Likeness::No
}

#[cfg(test)]
mod tests {
    use super::*;
    use Likeness::{No, NotEnough, Yes};

    #[test]
    fn a_client_hello_is_told_by_its_first_bytes() {
        for (name, bytes, want) in [
            ("nothing yet", &b""[..], NotEnough),
            ("a header", b"\x16\x03\x01\x02\x00", NotEnough),
            ("two bytes of length", b"\x16\x03\x01\x02\x00\x01\x00\x01", NotEnough),
            ("the ordinary", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", Yes),
            ("record version 3.0", b"\x16\x03\x00\x02\x00\x01\x00\x01\xfc", Yes),
            ("record version 3.4", b"\x16\x03\x04\x02\x00\x01\x00\x01\xfc", Yes),
            ("record version 3.5", b"\x16\x03\x05\x02\x00\x01\x00\x01\xfc", No),
            ("goes on in the next record", b"\x16\x03\x01\x02\x00\x01\x00\x80\x00", Yes),
            ("over 128 KiB", b"\x16\x03\x01\x40\x00\x01\x02\x80\x00", Yes),
            ("far too long", b"\x16\x03\x01\x40\x00\x01\x07\x07\x07", No),
            ("too short", b"\x16\x03\x01\x00\x24\x01\x00\x00\x20", No),
            ("more in the record", b"\x16\x03\x01\x02\x01\x01\x00\x01\xfc", No),
            ("a record too long", b"\x16\x03\x01\x48\x01\x01\x00\x80\x00", No),
            ("a server hello", b"\x16\x03\x03\x00\x5a\x02\x00\x00\x56", No),
            ("an alert", b"\x15\x03\x01\x00\x02\x02\x28", No),
            ("one byte, wrong", b"G", No),
            ("SSL 2", b"\x80\x2e\x01\x03\x01", No),
            (
                "a record a byte",
                b"\x16\x03\x01\x00\x01\x01\x16\x03\x01\x00\x01\x00\x16\x03\x01\x00\x01\x01\x16\x03\x01\x00\x01\xfc",
                Yes,
            ),
            ("an empty record first", b"\x16\x03\x01\x00\x00\x16\x03\x01\x02\x00\x01\x00\x01\xfc", Yes),
            ("another type between", b"\x16\x03\x01\x00\x01\x01\x17\x03\x01", No),
        ] {
            assert_eq!(looks_like_client_hello(bytes), want, "{name}");
        }
    }

    #[test]
    fn a_server_hello_is_told_by_its_first_bytes() {
        for (name, bytes, want) in [
            ("nothing yet", &b""[..], NotEnough),
            ("the ordinary", b"\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x03", Yes),
            ("with what follows in the same record", b"\x16\x03\x03\x0f\x00\x02\x00\x00\x56\x03\x01", Yes),
            ("no version yet", b"\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03", NotEnough),
            ("an odd version", b"\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x04", No),
            ("too long", b"\x16\x03\x03\x00\x5a\x02\x01\x00\x56\x03\x03", No),
            ("a client hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", No),
        ] {
            assert_eq!(looks_like_server_hello(bytes), want, "{name}");
        }
    }

    #[test]
    fn enough_bytes_always_decide() {
        let empty = b"\x16\x03\x01\x00\x00".repeat(20);
        let single = b"\x16\x03\x01\x00\x00\x16\x03\x01\x00\x01\x02".repeat(20);
        for bytes in [&empty, &single] {
            for look in [looks_like_client_hello, looks_like_server_hello] {
                assert_eq!(look(bytes.get(..DECIDED_AT).unwrap()), No);
            }
        }
    }
}
