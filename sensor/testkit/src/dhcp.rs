//! Messages of DHCP (RFC 2131) and `DHCPv6` (RFC 8415).

use std::net::{Ipv4Addr, Ipv6Addr};

/// Kinds of DHCP (RFC 2132 section 9.6).
pub mod kind {
    /// DHCPREQUEST.
    pub const REQUEST: u8 = 3;
    /// DHCPDECLINE.
    pub const DECLINE: u8 = 4;
    /// DHCPACK.
    pub const ACK: u8 = 5;
    /// DHCPRELEASE.
    pub const RELEASE: u8 = 7;
    /// DHCPINFORM.
    pub const INFORM: u8 = 8;
}

/// A DHCP message of the client `mac`, with its type and what `options` add. `address` is its own where the client
/// speaks (`ciaddr`), the one it gets where the server does (`yiaddr`).
pub fn v4(kind: u8, transaction: u32, mac: [u8; 6], address: Option<&str>, options: &[(u8, &[u8])]) -> Vec<u8> {
    let asks = matches!(kind, 1 | 3 | 4 | 7 | 8);
    let mut out = vec![if asks { 1 } else { 2 }, 1, 6, 0];
    out.extend_from_slice(&transaction.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    let address: Ipv4Addr = address.unwrap_or("0.0.0.0").parse().expect("an IPv4 address");
    let [client, yours] = if asks { [address.octets(), [0; 4]] } else { [[0; 4], address.octets()] };
    out.extend_from_slice(&[client, yours, [0; 4], [0; 4]].concat());
    out.extend_from_slice(&mac);
    // The rest of the hardware address, the server's name, the boot file.
    out.extend_from_slice(&[0; 10 + 64 + 128]);
    out.extend_from_slice(&[99, 130, 83, 99, 53, 1, kind]);
    for (code, value) in options {
        out.extend_from_slice(&[*code, value.len() as u8]);
        out.extend_from_slice(value);
    }
    out.push(255);
    out
}

/// A `DHCPv6` message with these options.
pub fn v6(kind: u8, transaction: u32, options: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = transaction.to_be_bytes().to_vec();
    out[0] = kind;
    out.extend(field(options));
    out
}

/// Options of `DHCPv6`, one after the other.
pub fn field(options: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (code, value) in options {
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        out.extend_from_slice(value);
    }
    out
}

/// The identity of a client by its MAC address (DUID-LL).
pub fn duid(mac: [u8; 6]) -> (u16, Vec<u8>) {
    (1, [&[0, 3, 0, 1][..], &mac].concat())
}

/// An identity association with one address that is valid for so many seconds.
pub fn ia_na(address: &str, valid: u32) -> (u16, Vec<u8>) {
    let address: Ipv6Addr = address.parse().expect("an IPv6 address");
    let lifetimes = [valid / 2, valid].map(u32::to_be_bytes).concat();
    let inner = field(&[(5, [&address.octets()[..], &lifetimes].concat())]);
    (3, [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0][..], &inner].concat())
}

/// A name as labels with their lengths; with the root at its end where `whole`.
pub fn labels(name: &str, whole: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.extend(whole.then_some(0));
    out
}

/// The option that names a client of `DHCPv6` (RFC 4704).
pub fn fqdn6(name: &str, whole: bool) -> (u16, Vec<u8>) {
    (39, [vec![0], labels(name, whole)].concat())
}

/// What a relay makes of a message, with the client's MAC address where it says that (RFC 6939).
pub fn relayed(message: &[u8], mac: Option<[u8; 6]>) -> Vec<u8> {
    let mut out = vec![12, 0];
    out.extend_from_slice(&[0; 32]);
    let link_layer = mac.map(|mac| (79, [&[0, 1][..], &mac].concat()));
    let options: Vec<_> = link_layer.into_iter().chain([(9, message.to_vec())]).collect();
    out.extend(field(&options));
    out
}
