//! Names that stand for addresses (RFC 1035 §3.5, RFC 3596 §2.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that a name below `in-addr.arpa` or `ip6.arpa` stands for, its parts in reverse order; `None` for any other
/// name, and for that of a part of an address. `name` in lower case, without the final dot.
pub fn address_of(name: &str) -> Option<IpAddr> {
    if let Some(parts) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut parts = parts.rsplit('.');
        for octet in &mut octets {
            let part = parts.next()?;
            let plain = part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            *octet = part.parse().ok().filter(|_| plain)?;
        }
        return parts.next().is_none().then(|| Ipv4Addr::from(octets).into());
    }
    let mut parts = name.strip_suffix(".ip6.arpa")?.rsplit('.');
    let mut bits = 0_u128;
    for _ in 0..32 {
        let [digit] = parts.next()?.as_bytes() else { return None };
        bits = bits << 4 | u128::from(char::from(*digit).to_digit(16)?);
    }
    parts.next().is_none().then(|| Ipv6Addr::from(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reverse_name_stands_for_one_address() {
        let six = "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
        for (name, want) in [
            ("3.2.1.10.in-addr.arpa", Some("10.1.2.3")),
            ("0.0.0.0.in-addr.arpa", Some("0.0.0.0")),
            (six, Some("2001:db8::567:89ab")),
            ("2.1.10.in-addr.arpa", None),
            ("5.3.2.1.10.in-addr.arpa", None),
            ("256.2.1.10.in-addr.arpa", None),
            ("03.2.1.10.in-addr.arpa", None),
            ("+3.2.1.10.in-addr.arpa", None),
            ("..1.10.in-addr.arpa", None),
            ("in-addr.arpa", None),
            ("8.b.d.0.1.0.0.2.ip6.arpa", None),
            (&six.replace("b.a.9", "g.a.9"), None),
            (&six.replace("b.a.9", "ba.9.9"), None),
            ("mcp.example", None),
        ] {
            assert_eq!(address_of(name).map(|ip| ip.to_string()).as_deref(), want, "{name}");
        }
    }
}
