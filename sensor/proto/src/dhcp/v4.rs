//! DHCP (RFC 2131 §2, RFC 2132).

use super::{MAX_CLIENT, Message, Step, name};
use std::net::Ipv4Addr;

/// Length of the fixed part, before the magic cookie.
const FIXED: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Most bytes of one option that comes in parts (RFC 3396): more than any name has.
const MAX_OPTION: usize = 512;

/// Options (RFC 2132, RFC 4702).
mod code {
    pub(super) const PAD: u8 = 0;
    pub(super) const HOST_NAME: u8 = 12;
    pub(super) const REQUESTED: u8 = 50;
    pub(super) const LEASE: u8 = 51;
    pub(super) const OVERLOAD: u8 = 52;
    pub(super) const KIND: u8 = 53;
    pub(super) const CLIENT_ID: u8 = 61;
    pub(super) const FQDN: u8 = 81;
    pub(super) const END: u8 = 255;
}

/// Options that matter. Parts of one are put together in the order in which they stand.
#[derive(Default)]
struct Options {
    host_name: Vec<u8>,
    fqdn: Vec<u8>,
    requested: Vec<u8>,
    lease: Vec<u8>,
    kind: Vec<u8>,
    client_id: Vec<u8>,
    overload: Vec<u8>,
}

impl Options {
    /// Reads one field of options; `None` where one reaches beyond it.
    fn read(&mut self, mut field: &[u8]) -> Option<()> {
        while let Some((&code, rest)) = field.split_first() {
            if code == code::END {
                break;
            }
            if code == code::PAD {
                field = rest;
                continue;
            }
            let (&len, rest) = rest.split_first()?;
            let (value, after) = rest.split_at_checked(usize::from(len))?;
            field = after;
            let known = match code {
                code::HOST_NAME => &mut self.host_name,
                code::FQDN => &mut self.fqdn,
                code::REQUESTED => &mut self.requested,
                code::LEASE => &mut self.lease,
                code::KIND => &mut self.kind,
                code::CLIENT_ID => &mut self.client_id,
                code::OVERLOAD => &mut self.overload,
                _ => continue,
            };
            let room = MAX_OPTION.saturating_sub(known.len());
            known.extend_from_slice(value.get(..room.min(value.len()))?);
        }
        Some(())
    }
}

/// Reads a message; `None` where it is none. BOOTP without a message type counts as [`Step::Other`].
pub(super) fn read(bytes: &[u8]) -> Option<Message> {
    let (fixed, rest) = bytes.split_first_chunk::<FIXED>()?;
    let (cookie, rest) = rest.split_first_chunk::<4>()?;
    let &[op, hardware, hardware_len, _, x0, x1, x2, x3, ..] = fixed;
    if *cookie != COOKIE || !matches!(op, 1 | 2) {
        return None;
    }
    let mut options = Options::default();
    options.read(rest)?;
    // The fields of the boot file and the server's name may hold options, too (§9.3), in this order (RFC 3396 §5).
    let overload = options.overload.first().copied().unwrap_or(0);
    for (bit, place) in [(1, 108..236), (2, 44..108)] {
        if overload & bit != 0 {
            options.read(fixed.get(place)?)?;
        }
    }
    let address = |at: usize| {
        let octets = fixed.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok())?;
        Some(Ipv4Addr::from(octets)).filter(|address| !address.is_unspecified())
    };
    let (client_address, your_address) = (address(12), address(16));
    let step = match (op, options.kind.as_slice()) {
        (1, [3 | 8]) => Step::Asks,
        (2, [5]) => Step::Grants,
        (1, [4 | 7]) => Step::Ends,
        _ => Step::Other,
    };
    let mut message = Message::new(step, u32::from_be_bytes([x0, x1, x2, x3]));
    let chaddr = fixed.get(28..28 + usize::from(hardware_len).min(16)).unwrap_or_default();
    let chaddr = if chaddr.iter().all(|b| *b == 0) { &[] } else { chaddr };
    // Ethernet, and those that use its addresses (IEEE 802).
    message.mac = matches!(hardware, 1 | 6).then(|| chaddr.try_into().ok()).flatten();
    message.client.push(4);
    message.client.extend_from_slice(if chaddr.is_empty() { &options.client_id } else { chaddr });
    message.client.truncate(MAX_CLIENT);
    match step {
        Step::Grants => {
            // An answer to who has an address already (DHCPINFORM) says nothing of how long.
            let seconds = options.lease.as_slice().try_into().ok().map(u32::from_be_bytes);
            if let Some(address) = your_address.or(client_address) {
                message.add(address.into(), seconds);
            }
        }
        Step::Ends => {
            let requested = <[u8; 4]>::try_from(options.requested.as_slice()).ok().map(Ipv4Addr::from);
            if let Some(address) = client_address.or(requested) {
                message.add(address.into(), Some(0));
            }
        }
        Step::Asks | Step::Other => {}
    }
    // The full name, where there is one, says more than the first label.
    if !options.host_name.is_empty() {
        message.call(name::text(&options.host_name));
    }
    if let Some((&[flags, _, _], text)) = options.fqdn.split_first_chunk()
        && text.iter().any(|b| *b != 0)
    {
        message.call(if flags & WIRE_FORM == 0 { name::text(text) } else { name::labels(text) });
    }
    Some(message)
}

/// The name stands as labels with their lengths (RFC 4702 §2.1, bit E).
const WIRE_FORM: u8 = 4;
