//! Where the proxy may connect to, judged by the address that is connected to.

use crate::options::Destinations;
use detect::Cidr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Judges addresses for one dial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'a> {
    /// What the configuration says.
    pub(super) rules: &'a Destinations,
    /// Where this program listens.
    pub(super) own: &'a [SocketAddr],
}

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is a listener of ours: a request would go round.
    Ourselves,
    /// Any other reason, in a few words.
    Because(&'static str),
}

impl Judge<'_> {
    /// Whether this address may be connected to.
    ///
    /// An address that carries an IPv4 address (mapped, translated, 6to4, Teredo) is judged as itself and as that one:
    /// whichever is refused refuses both. Exceptions must name the address as it is.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(super) fn judge(&self, to: SocketAddr) -> Result<(), Refusal> {
        let ip = to.ip().to_canonical();
        if self.is_ours(ip, to.port()) {
            return Err(Refusal::Ourselves);
        }
        let within = |list: &[Cidr], ip: IpAddr| list.iter().any(|net| net.contains(ip));
        let carried = carried(ip);
        if std::iter::once(ip).chain(carried.into_iter().flatten()).any(|ip| within(&self.rules.deny, ip)) {
            return Err(Refusal::Because("the configuration denies this network"));
        }
        if within(&self.rules.allow, ip) {
            return Ok(());
        }
        if let Some(why) = std::iter::once(ip).chain(carried.into_iter().flatten()).find_map(refused) {
            return Err(Refusal::Because(why));
        }
        // Beyond our own listeners the port may still be that of something else of ours on another address.
        if self.own.iter().any(|own| own.port() == to.port()) && is_local(ip) {
            return Err(Refusal::Because("it is this machine, on a port of this proxy"));
        }
        Ok(())
    }

    /// Whether one of our listeners answers there.
    fn is_ours(&self, ip: IpAddr, port: u16) -> bool {
        self.own.iter().filter(|own| own.port() == port).any(|own| {
            let own = own.ip().to_canonical();
            // The unspecified address reaches this machine as well, and a listener of all addresses answers on each.
            own == ip || ((own.is_unspecified() || ip.is_unspecified()) && is_local(ip))
        })
    }

    /// Whether CONNECT may name this port.
    pub(super) fn port(&self, port: u16) -> bool {
        self.rules.connect_ports.is_empty() || self.rules.connect_ports.contains(&port)
    }
}

/// Whether an address is one of this machine.
///
/// The routing table says so: what is sent to an own address comes from that same address. Connecting a datagram socket
/// asks it and sends nothing.
fn is_local(ip: IpAddr) -> bool {
    if ip.is_loopback() || ip.is_unspecified() {
        return true;
    }
    let any =
        if ip.is_ipv4() { SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)) } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let source = || -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind(any)?;
        socket.connect((ip, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    // No route: nothing can be connected to there anyway.
    source().is_ok_and(|source| source == ip)
}

/// Why an address is refused unless the configuration allows it.
fn refused(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            match ip.octets() {
                // Azure, Alibaba, Oracle Cloud; those of all others are link-local.
                [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => Some(METADATA),
                _ if a == 0 => Some("it is no address of a server"),
                _ if a == 127 => Some(LOOPBACK),
                [169, 254, 169 | 170, _] => Some(METADATA),
                _ if (a, b) == (169, 254) => Some(LINK_LOCAL),
                _ if (224..240).contains(&a) => Some(MULTICAST),
                [255, 255, 255, 255] => Some("it is the broadcast address"),
                _ if a >= 240 => Some("it is no address of a server"),
                _ => None,
            }
        }
        IpAddr::V6(ip) => match ip.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Some("it is no address of a server"),
            [0, 0, 0, 0, 0, 0, 0, 1] => Some(LOOPBACK),
            // Amazon, Google, Akamai, Scaleway.
            [0xfd00, 0x0ec2, ..]
            | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254]
            | [0xfd00, 0xa9fe, 0xa9fe, ..]
            | [0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042] => Some(METADATA),
            [0xfe80..=0xfebf, ..] => Some(LINK_LOCAL),
            [0xff00..=0xffff, ..] => Some(MULTICAST),
            _ => None,
        },
    }
}

const LOOPBACK: &str = "it is this machine";
const LINK_LOCAL: &str = "it is a link-local address";
pub(super) const METADATA: &str = "it is a metadata service";
const MULTICAST: &str = "it is a multicast address";

/// Whether a name stands for a metadata service, for where nobody here looks it up.
pub(super) fn is_metadata(host: &str) -> bool {
    const NAMES: [&str; 5] =
        ["metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];
    NAMES.contains(&host)
}

/// IPv4 addresses inside of an IPv6 address that a gateway may unpack: IPv4-compatible and IPv4-translated ones, NAT64
/// (RFC 6052 section 2.2, RFC 8215), 6to4 (RFC 3056), Teredo with its server and its client (RFC 4380), ISATAP
/// (RFC 5214). Mapped ones are canonical already.
fn carried(ip: IpAddr) -> [Option<IpAddr>; 2] {
    let IpAddr::V6(ip) = ip else { return [None, None] };
    let octets = ip.octets();
    let at = |from: usize| octets.get(from..)?.first_chunk::<4>().copied().map(IpAddr::from);
    let low = at(12);
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None, None],
        // Who runs a gateway of RFC 8215 chooses how long its prefix is: 96 bits as with the other forms, or 48.
        [0, 0, 0, 0, 0 | 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [0x64, 0xff9b, 1, 0, ..]
        | [_, _, _, _, 0 | 0x0200, 0x5efe, ..] => [low, None],
        // The address goes round the ninth byte, which is 0.
        [0x64, 0xff9b, 1, ..] => {
            let [_, _, _, _, _, _, p, q, _, r, s, ..] = octets;
            [Some([p, q, r, s].into()), low.filter(|ip| !ip.is_unspecified())]
        }
        [0x2002, ..] => [at(2), None],
        [0x2001, 0, ..] => {
            let client = octets.last_chunk::<4>().map(|bytes| IpAddr::from(bytes.map(|byte| !byte)));
            [at(4), client]
        }
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nets(list: &[&str]) -> Vec<Cidr> {
        list.iter().map(|net| Cidr::parse(net).unwrap()).collect()
    }

    #[track_caller]
    fn check(rules: &Destinations, own: &[SocketAddr], to: &str, want: Option<Refusal>) {
        let got = Judge { rules, own }.judge(to.parse().unwrap());
        assert_eq!(got.err(), want, "{to}");
    }

    #[test]
    fn what_is_this_machine_its_link_or_its_cloud_is_refused() {
        let because = |why| Some(Refusal::Because(why));
        let nowhere = because("it is no address of a server");
        for (to, want) in [
            ("127.0.0.1:80", because(LOOPBACK)),
            ("127.255.255.254:80", because(LOOPBACK)),
            ("[::1]:80", because(LOOPBACK)),
            ("[::ffff:127.0.0.1]:80", because(LOOPBACK)),
            ("[::127.0.0.1]:80", because(LOOPBACK)),
            ("[::ffff:0:127.0.0.1]:80", because(LOOPBACK)),
            ("[64:ff9b::127.0.0.1]:80", because(LOOPBACK)),
            ("[64:ff9b:1::127.0.0.1]:80", because(LOOPBACK)),
            ("[64:ff9b:1:7f00:0:100::]:80", because(LOOPBACK)),
            ("[2002:7f00:1::]:80", because(LOOPBACK)),
            ("[2002:7f00:1::5]:80", because(LOOPBACK)),
            ("[2001:0:c000:201::80ff:fffe]:80", because(LOOPBACK)),
            ("[2001:0:7f00:1::3f57:fefe]:80", because(LOOPBACK)),
            ("[2001:db8::5efe:7f00:1]:80", because(LOOPBACK)),
            ("[2001:db8::200:5efe:7f00:1]:80", because(LOOPBACK)),
            ("0.0.0.0:80", nowhere),
            ("0.1.2.3:80", nowhere),
            ("[::]:80", nowhere),
            ("[::ffff:0.0.0.0]:80", nowhere),
            ("[64:ff9b::]:80", nowhere),
            ("169.254.169.254:80", because(METADATA)),
            ("169.254.170.2:80", because(METADATA)),
            ("168.63.129.16:80", because(METADATA)),
            ("100.100.100.200:80", because(METADATA)),
            ("192.0.0.192:80", because(METADATA)),
            ("[fd00:ec2::254]:80", because(METADATA)),
            ("[fd00:ec2::23]:80", because(METADATA)),
            ("[fd20:ce::254]:80", because(METADATA)),
            ("[fd00:42::42]:80", because(METADATA)),
            ("[fd00:a9fe:a9fe::1]:80", because(METADATA)),
            ("[::ffff:169.254.169.254]:80", because(METADATA)),
            ("[64:ff9b::a9fe:a9fe]:80", because(METADATA)),
            ("[2002:a9fe:a9fe::1]:80", because(METADATA)),
            ("169.254.1.1:80", because(LINK_LOCAL)),
            ("[fe80::1]:80", because(LINK_LOCAL)),
            ("[febf::1]:80", because(LINK_LOCAL)),
            ("224.0.0.1:80", because(MULTICAST)),
            ("239.255.255.255:80", because(MULTICAST)),
            ("[ff02::1]:80", because(MULTICAST)),
            ("255.255.255.255:80", because("it is the broadcast address")),
            ("240.0.0.1:80", nowhere),
            ("10.0.0.1:80", None),
            ("172.16.0.1:80", None),
            ("192.168.1.1:80", None),
            ("100.64.0.1:80", None),
            ("203.0.113.7:80", None),
            ("[fd12:3456::1]:80", None),
            ("[2001:db8::1]:80", None),
            ("[64:ff9b::203.0.113.7]:80", None),
            ("[64:ff9b:1::203.0.113.7]:80", None),
            ("[64:ff9b:1:cb00:71:700::]:80", None),
            ("[2002:cb00:7107::1]:80", None),
            ("[fec0::1]:80", None),
        ] {
            check(&Destinations::default(), &[], to, want);
        }
    }

    #[test]
    fn exceptions_name_the_address_as_it_is() {
        let rules =
            Destinations { allow: nets(&["127.0.0.0/8", "fe80::/10", "64:ff9b::/96"]), ..Destinations::default() };
        for to in ["127.0.0.1:80", "[::ffff:127.0.0.1]:80", "[fe80::1]:80", "[64:ff9b::127.0.0.1]:80"] {
            check(&rules, &[], to, None);
        }
        for to in ["[::1]:80", "[2002:7f00:1::]:80", "[::127.0.0.1]:80"] {
            check(&rules, &[], to, Some(Refusal::Because(LOOPBACK)));
        }
    }

    #[test]
    fn what_is_denied_stays_so_in_every_disguise() {
        let (deny, allow) = (nets(&["10.0.0.0/8", "2001:db8::/32", "127.0.0.1"]), nets(&["0.0.0.0/0", "::/0"]));
        let rules = Destinations { allow, deny, ..Destinations::default() };
        for to in [
            "10.1.2.3:80",
            "[::ffff:10.1.2.3]:80",
            "[64:ff9b::10.1.2.3]:80",
            "[2002:a01:203::]:80",
            "[2001:db8::1]:80",
            "127.0.0.1:80",
        ] {
            check(&rules, &[], to, Some(Refusal::Because("the configuration denies this network")));
        }
        check(&rules, &[], "127.0.0.2:80", None);
        check(&rules, &[], "11.0.0.1:80", None);
    }

    #[test]
    fn our_own_listeners_are_refused_by_every_local_address_and_whatever_is_allowed() {
        let rules = Destinations { allow: nets(&["0.0.0.0/0", "::/0"]), ..Destinations::default() };
        let own = |text: &str| [text.parse::<SocketAddr>().unwrap()];
        let ours = Some(Refusal::Ourselves);
        for (listener, to, want) in [
            ("127.0.0.1:3128", "127.0.0.1:3128", ours),
            ("127.0.0.1:3128", "[::ffff:127.0.0.1]:3128", ours),
            ("127.0.0.1:3128", "0.0.0.0:3128", ours),
            ("127.0.0.1:3128", "127.0.0.1:3129", None),
            ("127.0.0.1:3128", "127.0.0.2:3128", None),
            ("0.0.0.0:3128", "127.9.9.9:3128", ours),
            ("[::]:3128", "127.0.0.1:3128", ours),
            ("[::]:3128", "[::1]:3128", ours),
            ("[::]:3128", "[::]:3128", ours),
            ("0.0.0.0:3128", "203.0.113.9:3128", None),
            ("10.255.0.1:3128", "10.255.0.1:3128", ours),
        ] {
            check(&rules, &own(listener), to, want);
        }
        let why = Some(Refusal::Because(LOOPBACK));
        check(&Destinations::default(), &own("127.0.0.1:3128"), "127.0.0.2:3128", why);
        check(&Destinations::default(), &own("0.0.0.0:3128"), "203.0.113.9:3128", None);
    }

    #[test]
    fn an_address_of_an_interface_is_known_to_be_ours() {
        // Where the machine has a route to the outside, the source of it is an own address.
        let probe = UdpSocket::bind("0.0.0.0:0").unwrap();
        if probe.connect("192.0.2.1:9").is_err() {
            return;
        }
        let ip = probe.local_addr().unwrap().ip();
        let own = ["0.0.0.0:3128".parse().unwrap()];
        check(&Destinations::default(), &own, &format!("{ip}:3128"), Some(Refusal::Ourselves));
        let own = ["127.0.0.1:3128".parse().unwrap()];
        let want = Some(Refusal::Because("it is this machine, on a port of this proxy"));
        check(&Destinations::default(), &own, &format!("{ip}:3128"), want);
        check(&Destinations::default(), &own, &format!("{ip}:3129"), None);
    }

    #[test]
    fn ports_of_connect_are_those_listed_or_any() {
        let mut rules = Destinations::default();
        assert!(Judge { rules: &rules, own: &[] }.port(25));
        rules.connect_ports = vec![443, 8443];
        let judge = Judge { rules: &rules, own: &[] };
        assert!(judge.port(443) && judge.port(8443) && !judge.port(25));
    }

    /// Writes an IPv4 address into each form of IPv6 address that can carry one.
    fn disguises(ip: Ipv4Addr) -> Vec<IpAddr> {
        let [a, b, c, d] = ip.octets().map(u16::from);
        let (high, low) = (a << 8 | b, c << 8 | d);
        let six = |segments: [u16; 8]| IpAddr::V6(Ipv6Addr::from(segments));
        vec![
            ip.into(),
            ip.to_ipv6_mapped().into(),
            six([0, 0, 0, 0, 0xffff, 0, high, low]),
            six([0x64, 0xff9b, 0, 0, 0, 0, high, low]),
            six([0x64, 0xff9b, 1, 0, 0, 0, high, low]),
            six([0x2002, high, low, 1, 2, 3, 4, 5]),
            six([0x2001, 0, 0xc000, 0x0201, 0, 0, !high, !low]),
            six([0x2001, 0, high, low, 0, 0, !0xc000, !0x0201]),
            six([0x2001, 0xdb8, 0, 0, 0, 0x5efe, high, low]),
        ]
    }

    proptest! {
        #[test]
        fn what_may_be_connected_to_is_nothing_that_the_standards_set_apart(bits in any::<u128>(), four in any::<u32>()) {
            let rules = Destinations::default();
            let judge = Judge { rules: &rules, own: &[] };
            for ip in [IpAddr::from(Ipv6Addr::from_bits(bits)), IpAddr::from(Ipv4Addr::from_bits(four))] {
                if judge.judge((ip, 443).into()).is_ok() {
                    prop_assert!(!(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast()), "{}", ip);
                }
            }
        }

        #[test]
        fn no_disguise_helps_an_address(
            four in prop_oneof![
                any::<u32>(),
                any::<u32>().prop_map(|n| 0x7f00_0000 | n >> 8),
                any::<u32>().prop_map(|n| 0xa9fe_0000 | n >> 16),
            ],
        ) {
            let rules = Destinations { deny: nets(&["10.0.0.0/8"]), ..Destinations::default() };
            let judge = Judge { rules: &rules, own: &[] };
            let ip = Ipv4Addr::from_bits(four);
            let want = judge.judge((ip, 443).into());
            for disguise in disguises(ip) {
                prop_assert_eq!(judge.judge((disguise, 443).into()), want, "{}", disguise);
            }
        }
    }
}
