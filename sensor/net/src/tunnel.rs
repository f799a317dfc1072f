//! Tunnels: what tells them apart, and their names.
//!
//! | carrier | what tells two of them apart |
//! | --- | --- |
//! | VXLAN, Geneve, ERSPAN, `PPPoE` | the network, session or VNI number: it is the same both ways, the outer ends may differ |
//! | GRE | the key, if any, and the two outer ends, in whichever order |
//! | IP in IP | the two outer ends, in whichever order |
//! | MPLS | nothing: labels differ between the two directions, and one of them often has none (RFC 3032 §3.6) |
//!
//! So a flow whose two directions travel under two VNIs (asymmetric routing between overlays) makes two one-sided flows,
//! and one that is mirrored into two VNIs is seen twice: the price of never mixing tenants that use the same addresses.
//! Two MPLS VPNs with the same addresses are not told apart.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

/// Most tunnels in each other that are opened.
pub const MAX_TUNNELS: usize = 8;

/// A kind of tunnel that is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Carrier {
    /// MPLS labels (RFC 3032), with IP or an Ethernet pseudowire (RFC 4448) behind them.
    Mpls,
    /// GRE (RFC 2784, RFC 2890).
    Gre,
    /// ERSPAN of type II or III, in GRE (draft-foschiano-erspan).
    Erspan,
    /// VXLAN (RFC 7348).
    Vxlan,
    /// Geneve (RFC 8926).
    Geneve,
    /// IPv4 in IPv4 (RFC 2003).
    IpInIp,
    /// IPv6 in IPv4 (RFC 4213).
    SixInFour,
    /// IPv4 in IPv6 (RFC 2473).
    FourInSix,
    /// IPv6 in IPv6 (RFC 2473).
    SixInSix,
    /// A `PPPoE` session (RFC 2516).
    Pppoe,
}

impl Carrier {
    /// The word in events; never renamed.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mpls => "mpls",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::IpInIp => "ipip",
            Self::SixInFour => "6in4",
            Self::FourInSix => "4in6",
            Self::SixInSix => "6in6",
            Self::Pppoe => "pppoe",
        }
    }
}

/// One tunnel of a [`Path`]; in words `vxlan:7001`, or `gre` where it has no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// Its kind.
    pub carrier: Carrier,
    /// VNI, key or session; of MPLS never, since labels belong to one direction.
    pub id: Option<u32>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(f, "{}:{id}", self.carrier.word()),
            None => f.write_str(self.carrier.word()),
        }
    }
}

/// The tunnels around a packet, outermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path {
    steps: [Option<Step>; MAX_TUNNELS],
}

impl Path {
    /// Outermost first.
    pub fn steps(&self) -> impl Iterator<Item = Step> {
        self.steps.into_iter().flatten()
    }

    /// Puts `step` at `at` and forgets what was behind it.
    pub(crate) fn set(&mut self, at: usize, step: Step) {
        self.truncate(at);
        if let Some(place) = self.steps.get_mut(at) {
            *place = Some(step);
        }
    }

    /// Keeps the first `len` steps.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.steps.iter_mut().skip(len).for_each(|step| *step = None);
    }
}

/// What tells the tunnels of two packets apart, in 31 bits: a fixed hash of the [`Path`] and, where the module says
/// so, of the outer ends. Two tunnels share one by chance in a case out of 2^31, and then mix only flows with the same
/// addresses and ports; who can aim at that can as well send into the other tunnel.
///
/// One more bit says whether there were MPLS labels. It does not count when two are compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tunnel(u32);

impl Tunnel {
    /// Of a packet that came in none.
    pub const NONE: Self = Self(0);
    const LABELS: u32 = 1;

    /// Whether there was none, labels included.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// All 32 bits, for tables of names: differs where only the labels do.
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Spread over 64 bits, to add to a hash; 0 for none.
    pub const fn spread(self) -> u64 {
        (self.key() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// What is compared: two equal ones have the same.
    pub const fn key(self) -> u32 {
        self.0 & !Self::LABELS
    }

    /// `step` within this one; `ends` where they tell it apart.
    #[must_use]
    pub(crate) fn inside(self, step: Step, ends: Option<(IpAddr, IpAddr)>) -> Self {
        if step.carrier == Carrier::Mpls {
            return Self(self.0 | Self::LABELS);
        }
        let kind = step.carrier as u64 + 1;
        let id = step.id.map_or(0, |id| u64::from(id) + 1);
        // A sum knows no order.
        let ends = ends.map_or(0, |(a, b)| mix_address(a).wrapping_add(mix_address(b)));
        let hash = mix(mix(u64::from(self.key()) << 8 | kind) ^ mix(id) ^ ends);
        let [_, _, _, _, a, b, c, d] = hash.to_be_bytes();
        let key = u32::from_be_bytes([a, b, c, d]) & !Self::LABELS;
        // 0 is none.
        Self(if key == 0 { 2 } else { key } | (self.0 & Self::LABELS))
    }
}

impl PartialEq for Tunnel {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Tunnel {}

impl Hash for Tunnel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

fn mix_address(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(ip) => mix(u64::from(ip.to_bits())),
        IpAddr::V6(ip) => {
            let octets = ip.octets();
            let (halves, _) = octets.as_chunks::<8>();
            halves.iter().fold(6, |hash, half| mix(hash ^ u64::from_be_bytes(*half)))
        }
    }
}

/// Every bit of `x` moves about half the bits of the result.
const fn mix(x: u64) -> u64 {
    let x = (x ^ 0xA076_1D64_78BD_642F).wrapping_mul(0xE703_7ED1_A0B4_28DB);
    let x = (x ^ (x >> 32)).wrapping_mul(0x8EBC_6AF0_9C88_C6E3);
    x ^ (x >> 29)
}

#[cfg(test)]
mod tests {
    use super::{Carrier, MAX_TUNNELS, Path, Step, Tunnel};
    use std::collections::HashSet;
    use std::net::IpAddr;

    const fn step(carrier: Carrier, id: u32) -> Step {
        Step { carrier, id: Some(id) }
    }

    fn ends(a: &str, b: &str) -> (IpAddr, IpAddr) {
        (a.parse().unwrap(), b.parse().unwrap())
    }

    #[test]
    fn the_two_directions_of_a_tunnel_are_one() {
        let gre = Step { carrier: Carrier::Gre, id: None };
        for (a, b) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
            let there = Tunnel::NONE.inside(gre, Some(ends(a, b)));
            assert_eq!(there, Tunnel::NONE.inside(gre, Some(ends(b, a))));
            assert_ne!(there, Tunnel::NONE.inside(gre, Some(ends(a, a))));
            assert_ne!(there, Tunnel::NONE.inside(gre, None));
        }
    }

    #[test]
    fn numbers_kinds_and_nesting_tell_tunnels_apart() {
        let (a, b) = (step(Carrier::Vxlan, 1), step(Carrier::Geneve, 2));
        let mut seen = HashSet::new();
        for tunnel in [
            Tunnel::NONE,
            Tunnel::NONE.inside(a, None),
            Tunnel::NONE.inside(b, None),
            Tunnel::NONE.inside(a, None).inside(b, None),
            Tunnel::NONE.inside(b, None).inside(a, None),
            Tunnel::NONE.inside(a, None).inside(a, None),
            Tunnel::NONE.inside(step(Carrier::Geneve, 1), None),
            Tunnel::NONE.inside(Step { carrier: Carrier::Vxlan, id: None }, None),
        ] {
            assert!(seen.insert(tunnel), "{tunnel:?}");
        }
        let many: HashSet<_> = (0..100_000).map(|vni| Tunnel::NONE.inside(step(Carrier::Vxlan, vni), None)).collect();
        assert!(many.len() >= 99_990, "{}", many.len());
    }

    #[test]
    fn labels_show_and_do_not_count() {
        let mpls = Step { carrier: Carrier::Mpls, id: None };
        let labelled = Tunnel::NONE.inside(mpls, None);
        assert_eq!(labelled, Tunnel::NONE);
        assert!(!labelled.is_none());
        assert_ne!(labelled.raw(), Tunnel::NONE.raw());
        assert_eq!(labelled.spread(), 0);
        let vxlan = step(Carrier::Vxlan, 9);
        assert_eq!(labelled.inside(vxlan, None), Tunnel::NONE.inside(vxlan, None));
    }

    #[test]
    fn a_path_reads_from_the_outside_in() {
        let mut path = Path::default();
        for at in 0..MAX_TUNNELS {
            path.set(at, step(Carrier::Vxlan, 7));
        }
        path.set(MAX_TUNNELS, step(Carrier::Vxlan, 8));
        assert_eq!(path.steps().count(), MAX_TUNNELS);
        path.set(1, Step { carrier: Carrier::Mpls, id: None });
        let names: Vec<_> = path.steps().map(|s| s.to_string()).collect();
        assert_eq!(names, ["vxlan:7", "mpls"]);
    }
}
