//! DNS answers over UDP (RFC 1035, RFC 3596): which addresses a name was said to have. Enough to bear out a name
//! that a client claims; queries and other record types are left alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most addresses taken from one answer.
pub const MAX_ADDRESSES: usize = 32;
/// Longest name in its text form, in bytes (RFC 1035 §3.1).
pub const MAX_NAME: usize = 253;
/// Most records looked at in one message.
const MAX_RECORDS: u16 = 128;
/// Most compression pointers followed in one name.
const MAX_POINTERS: usize = 16;

/// What one response says of the name it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name of the question, lower case, without the final dot.
    pub name: String,
    /// Its addresses, by A and AAAA records of the answer section (those behind aliases included).
    pub addresses: Vec<IpAddr>,
}

/// Reads a response to one address question; `None` for anything else.
pub fn answer(message: &[u8]) -> Option<Answer> {
    let (head, _) = message.split_first_chunk::<12>()?;
    let &[_, _, flags, code, q_hi, q_lo, a_hi, a_lo, ..] = head;
    // QR set, opcode QUERY; RCODE NOERROR.
    let is_answer = flags & 0xF8 == 0x80 && code.trailing_zeros() >= 4;
    if !is_answer || u16::from_be_bytes([q_hi, q_lo]) != 1 {
        return None;
    }
    let (name, mut at) = name(message, 12)?;
    at += 4;
    let mut addresses = Vec::new();
    for _ in 0..u16::from_be_bytes([a_hi, a_lo]).min(MAX_RECORDS) {
        at = skip_name(message, at)?;
        let (record, rest) = message.get(at..)?.split_first_chunk::<10>()?;
        let &[t_hi, t_lo, c_hi, c_lo, .., l_hi, l_lo] = record;
        let len = usize::from(u16::from_be_bytes([l_hi, l_lo]));
        let data = rest.get(..len)?;
        let internet = [c_hi, c_lo] == [0, 1];
        let address = match (u16::from_be_bytes([t_hi, t_lo]), data.len()) {
            (1, 4) => data.first_chunk::<4>().map(|b| IpAddr::V4(Ipv4Addr::from(*b))),
            (28, 16) => data.first_chunk::<16>().map(|b| IpAddr::V6(Ipv6Addr::from(*b))),
            _ => None,
        };
        if let Some(address) = address.filter(|_| internet && addresses.len() < MAX_ADDRESSES) {
            addresses.push(address);
        }
        at += 10 + len;
    }
    if addresses.is_empty() { None } else { Some(Answer { name, addresses }) }
}

/// The name at `at`, and where the message goes on behind it.
fn name(message: &[u8], at: usize) -> Option<(String, usize)> {
    let after = skip_name(message, at)?;
    let (mut at, mut text, mut pointers) = (at, String::new(), 0);
    loop {
        let length = usize::from(*message.get(at)?);
        match length {
            0 => break,
            1..=63 => {
                let label = message.get(at + 1..at + 1 + length)?;
                let plain = label.iter().all(|b| b.is_ascii_graphic() && *b != b'.');
                if !plain || text.len() + length + 1 > MAX_NAME {
                    return None;
                }
                if !text.is_empty() {
                    text.push('.');
                }
                text.extend(label.iter().map(|b| char::from(b.to_ascii_lowercase())));
                at += 1 + length;
            }
            192.. => {
                pointers += 1;
                if pointers > MAX_POINTERS {
                    return None;
                }
                at = (length & 0x3F) << 8 | usize::from(*message.get(at + 1)?);
            }
            _ => return None,
        }
    }
    Some((text, after))
}

/// Where the message goes on behind the name at `at`.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*message.get(at)?) {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + length,
            192.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// Reads arbitrary bytes; what comes out keeps its limits.
#[doc(hidden)]
pub fn fuzz_dns(data: &[u8]) {
    if let Some(answer) = answer(data) {
        assert!(answer.name.len() <= MAX_NAME && answer.addresses.len() <= MAX_ADDRESSES, "over a limit");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(question: &[u8], records: &[&[u8]]) -> Vec<u8> {
        let mut m = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0];
        m.extend_from_slice(question);
        m.extend_from_slice(&[0, 1, 0, 1]);
        m.extend_from_slice(&records.concat());
        m
    }

    const QUESTION: &[u8] = b"\x03McP\x04corp\x07example\0";
    const A: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xcb\0\x71\x09";
    const CNAME: &[u8] = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01x\xc0\x10";

    #[test]
    fn answers_give_the_addresses_of_the_name_that_was_asked_for() {
        let got = answer(&message(QUESTION, &[CNAME, A])).unwrap();
        assert_eq!(got, Answer { name: "mcp.corp.example".into(), addresses: vec!["203.0.113.9".parse().unwrap()] });
        let mut six = b"\xc0\x0c\0\x1c\0\x01\0\0\0\x3c\0\x10".to_vec();
        six.extend_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(answer(&message(QUESTION, &[&six])).unwrap().addresses, ["2001:db8::7".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn everything_else_gives_nothing() {
        let good = message(QUESTION, &[A]);
        let with = |at: usize, byte: u8| {
            let mut m = good.clone();
            m[at] = byte;
            m
        };
        for (what, bytes) in [
            ("a query", with(2, 0x01)),
            ("an error", with(3, 0x83)),
            ("two questions", with(5, 2)),
            ("no address record", message(QUESTION, &[CNAME])),
            ("a pointer to itself", message(b"\xc0\x0c", &[A])),
            ("a label of a reserved kind", message(b"\x80\0", &[A])),
            ("nothing", Vec::new()),
        ] {
            assert_eq!(answer(&bytes), None, "{what}");
        }
        for cut in 0..good.len() {
            assert_eq!(answer(&good[..cut]), None, "cut at {cut}");
        }
    }
}
