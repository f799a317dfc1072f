//! DHCP (RFC 2131, RFC 2132) and `DHCPv6` (RFC 8415): which address a client was given, for how long, and what it calls
//! itself (RFC 4702, RFC 4704).
//!
//! A message is one datagram and is read in one piece. What is needed is owned: messages are rare, and the answer to one
//! comes on another five-tuple. Names are claims of the client, or of the server about it; anything that no host can be
//! called is refused. Leases of prefixes, and what else options say, are not read.

mod fuzz;
mod name;
#[cfg(test)]
mod tests;
mod v4;
mod v6;

use std::net::IpAddr;

#[doc(hidden)]
pub use fuzz::fuzz_dhcp;
pub use name::MAX_NAME;

/// Most addresses taken from one message.
pub const MAX_LEASES: usize = 16;
/// Longest identity of a client, in bytes: a DUID (RFC 8415 §11.1) with a byte before it that tells the two versions
/// apart.
pub const MAX_CLIENT: usize = 131;
/// Most relays in each other that are opened: as many as RFC 8415 §7.6 (`HOP_COUNT_LIMIT`) lets pass.
pub const MAX_RELAYS: usize = 8;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client asks for an address, wants to keep it, or asks for other parameters. Its name stands here.
    Asks,
    /// The server gives what [`Message::leases`] say.
    Grants,
    /// The client gives up the addresses in [`Message::leases`]: released, or in use by another.
    Ends,
    /// Anything else, such as an offer, which binds nobody.
    Other,
}

/// One address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: IpAddr,
    /// Seconds that it is given for, [`u32::MAX`] for good, 0 for no longer; `None` where the message does not say.
    pub seconds: Option<u32>,
}

/// One message, of either version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is for.
    pub step: Step,
    /// Transaction id: question and answer share it.
    pub transaction: u32,
    /// What tells the client from others: its hardware address (DHCP), its DUID (`DHCPv6`). Opaque, at most
    /// [`MAX_CLIENT`] bytes.
    pub client: Vec<u8>,
    /// MAC address of the client: in DHCP its hardware address; in `DHCPv6` as a relay saw it (RFC 6939).
    pub mac: Option<[u8; 6]>,
    /// Name of the client: letters, digits, `-`, `_`, and dots between labels; lower case; at most [`MAX_NAME`] bytes.
    pub name: Option<String>,
    /// A name was there that no host can have.
    pub name_refused: bool,
    /// At most [`MAX_LEASES`].
    pub leases: Vec<Lease>,
    /// Addresses beyond that.
    pub left_out: u16,
}

/// Whether datagrams to this port are read here: 67 and 68 of DHCP, 546 and 547 of `DHCPv6`.
pub const fn is_port(port: u16) -> bool {
    matches!(port, 67 | 68 | 546 | 547)
}

/// Reads what was sent to `port`, which [`is_port`]. `None` where it is no such message.
pub fn read(port: u16, message: &[u8]) -> Option<Message> {
    match port {
        67 | 68 => v4::read(message),
        546 | 547 => v6::read(message),
        _ => None,
    }
}

impl Message {
    fn new(step: Step, transaction: u32) -> Self {
        let (client, leases) = (Vec::new(), Vec::new());
        Self { step, transaction, client, mac: None, name: None, name_refused: false, leases, left_out: 0 }
    }

    fn add(&mut self, address: IpAddr, seconds: Option<u32>) {
        if self.leases.len() < MAX_LEASES {
            self.leases.push(Lease { address, seconds });
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// Takes a name, or notes that it is none.
    fn call(&mut self, name: Option<String>) {
        self.name_refused |= name.is_none();
        self.name = name.or(self.name.take());
    }
}
