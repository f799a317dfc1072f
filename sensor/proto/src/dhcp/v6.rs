//! `DHCPv6` (RFC 8415 §8, §9, §21).

use super::{MAX_CLIENT, MAX_RELAYS, Message, Step, name};
use std::net::Ipv6Addr;

/// Fixed part of what a relay sends: kind, hop count, and two addresses.
const RELAY: usize = 34;
const RELAY_FORWARD: u8 = 12;
const RELAY_REPLY: u8 = 13;

/// Options (RFC 8415 §21, RFC 4704, RFC 6939).
mod code {
    pub(super) const CLIENT_ID: u16 = 1;
    pub(super) const IA_NA: u16 = 3;
    pub(super) const IA_TA: u16 = 4;
    pub(super) const ADDRESS: u16 = 5;
    pub(super) const RELAYED: u16 = 9;
    pub(super) const FQDN: u16 = 39;
    pub(super) const LINK_LAYER: u16 = 79;
}

/// Calls `each` with every option of a field; `None` where one reaches beyond it.
fn options<'b>(mut field: &'b [u8], mut each: impl FnMut(u16, &'b [u8])) -> Option<()> {
    while !field.is_empty() {
        let (&[c_hi, c_lo, l_hi, l_lo], rest) = field.split_first_chunk()?;
        let (value, after) = rest.split_at_checked(usize::from(u16::from_be_bytes([l_hi, l_lo])))?;
        each(u16::from_be_bytes([c_hi, c_lo]), value);
        field = after;
    }
    Some(())
}

/// Reads a message, through its relays; `None` where it is none.
pub(super) fn read(bytes: &[u8]) -> Option<Message> {
    let (mut bytes, mut mac) = (bytes, None);
    for _ in 0..MAX_RELAYS {
        if !matches!(bytes.first()?, &RELAY_FORWARD | &RELAY_REPLY) {
            break;
        }
        let mut inner = None;
        options(bytes.get(RELAY..)?, |code, value| match code {
            code::RELAYED => inner = Some(value),
            // Hardware type 1, then the address. The relay next to the client knows best.
            code::LINK_LAYER => {
                mac = value.strip_prefix(&[0, 1]).and_then(|address| address.try_into().ok()).or(mac);
            }
            _ => {}
        })?;
        bytes = inner?;
    }
    let (&[kind, x0, x1, x2], rest) = bytes.split_first_chunk()?;
    let step = match kind {
        // SOLICIT, REQUEST, CONFIRM, RENEW, REBIND, INFORMATION-REQUEST.
        1 | 3 | 4 | 5 | 6 | 11 => Step::Asks,
        7 => Step::Grants,
        8 | 9 => Step::Ends,
        // ADVERTISE, RECONFIGURE.
        2 | 10 => Step::Other,
        _ => return None,
    };
    let mut message = Message::new(step, u32::from_be_bytes([0, x0, x1, x2]));
    message.mac = mac;
    message.client.push(6);
    let mut whole = Some(());
    options(rest, |code, value| match code {
        code::CLIENT_ID => {
            message.client.truncate(1);
            message.client.extend_from_slice(value);
            message.client.truncate(MAX_CLIENT);
        }
        // An identity and two times stand before the addresses; those that are temporary have no times.
        code::IA_NA => whole = whole.and_then(|()| addresses(&mut message, value.get(12..)?)),
        code::IA_TA => whole = whole.and_then(|()| addresses(&mut message, value.get(4..)?)),
        code::FQDN => {
            if let Some((_, labels)) = value.split_first()
                && labels.iter().any(|b| *b != 0)
            {
                message.call(name::labels(labels));
            }
        }
        _ => {}
    })?;
    whole?;
    Some(message)
}

/// Takes the addresses of one identity. What a client asks for is only a wish.
fn addresses(message: &mut Message, field: &[u8]) -> Option<()> {
    let mut whole = Some(());
    options(field, |code, value| {
        if code != code::ADDRESS || !matches!(message.step, Step::Grants | Step::Ends) {
            return;
        }
        // Address, preferred and valid lifetime.
        let Some((octets, [_, _, _, _, v0, v1, v2, v3, ..])) = value.split_first_chunk::<16>() else {
            whole = None;
            return;
        };
        let valid = if message.step == Step::Ends { 0 } else { u32::from_be_bytes([*v0, *v1, *v2, *v3]) };
        message.add(Ipv6Addr::from(*octets).into(), Some(valid));
    })?;
    whole
}
