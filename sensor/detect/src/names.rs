//! Who clients are: `[names]` of the configuration, and `[networks] trusted_proxies`, which may say for whom they ask.

use crate::Scope;
use crate::scope::{Cidr, HostPattern, ScopeError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

/// Longest name of a host or a user in the configuration, in bytes.
const MAX_TEXT: usize = 253;

/// `[names]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawNames {
    /// Domains of our own hosts: an answer of a name server for a name in one of them names the host at that address.
    pub domains: Vec<String>,
    /// Names of hosts and users that are known beforehand. The most specific entry counts: address, then MAC address,
    /// then the smallest network; for name and user each by itself.
    pub map: Vec<RawNamed>,
}

/// One entry of `[[names.map]]`: one of `address`, `network` and `mac`, and `name`, `user` or both.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawNamed {
    /// One address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// All addresses of a CIDR block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Whatever has this MAC address, where it can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Name of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who sits there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// What one entry says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Named {
    name: Option<String>,
    user: Option<String>,
}

/// The checked section.
#[derive(Clone, Debug, Default)]
pub struct Names {
    addresses: BTreeMap<IpAddr, Named>,
    macs: BTreeMap<[u8; 6], Named>,
    /// By length of the prefix, then by its address.
    networks: BTreeMap<u8, BTreeMap<IpAddr, Named>>,
    domains: Vec<String>,
}

impl Names {
    /// The name of the host at an address, whose own MAC address is `mac` as far as known.
    pub fn host(&self, ip: IpAddr, mac: Option<[u8; 6]>) -> Option<&str> {
        self.entries(ip, mac).find_map(|named| named.name.as_deref())
    }

    /// Who sits there.
    pub fn user(&self, ip: IpAddr, mac: Option<[u8; 6]>) -> Option<&str> {
        self.entries(ip, mac).find_map(|named| named.user.as_deref())
    }

    /// Whether a host name (lower case, no final dot) is one of our own.
    pub fn is_ours(&self, host: &str) -> bool {
        let below = |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        self.domains.iter().any(|domain| below(domain))
    }

    /// The entries that are about an address, the most specific first.
    fn entries(&self, ip: IpAddr, mac: Option<[u8; 6]>) -> impl Iterator<Item = &Named> {
        let ip = ip.to_canonical();
        let exact = self.addresses.get(&ip).into_iter();
        let by_mac = mac.and_then(|mac| self.macs.get(&mac));
        let networks = self.networks.iter().rev();
        exact.chain(by_mac).chain(networks.filter_map(move |(bits, all)| all.get(&Cidr::prefix(ip, *bits)?)))
    }
}

impl TryFrom<&RawNames> for Names {
    type Error = ScopeError;

    fn try_from(raw: &RawNames) -> Result<Self, ScopeError> {
        let mut names = Self::default();
        for (i, text) in raw.domains.iter().enumerate() {
            let key = format!("names.domains[{i}]");
            let domain = text.trim().trim_matches('.').to_ascii_lowercase();
            if domain.contains('*') || HostPattern::parse(&domain).is_err() {
                let fault =
                    format!("`{text}` is no domain; write one like `corp.example`: what is below it counts, too");
                return Err(ScopeError { key, fault });
            }
            names.domains.push(domain);
        }
        for (i, raw) in raw.map.iter().enumerate() {
            names.add(&format!("names.map[{i}]"), raw)?;
        }
        Ok(names)
    }
}

impl Names {
    fn add(&mut self, key: &str, raw: &RawNamed) -> Result<(), ScopeError> {
        let fault = |key: String, fault: String| ScopeError { key, fault };
        let named = Named { name: text(key, "name", raw.name.as_ref())?, user: text(key, "user", raw.user.as_ref())? };
        if named == Named::default() {
            let why = "says neither `name` nor `user`; add one, like `name = \"ana-laptop\"`";
            return Err(fault(key.to_owned(), why.to_owned()));
        }
        let (what, place) = match (&raw.address, &raw.network, &raw.mac) {
            (Some(text), None, None) => {
                let ip = text.parse::<IpAddr>().map_err(|_| {
                    let why = format!("`{text}` is no address; write one like `10.1.2.3`, or use `network`");
                    fault(format!("{key}.address"), why)
                })?;
                ("address", self.addresses.entry(ip.to_canonical()))
            }
            (None, Some(text), None) => {
                let at = |why| fault(format!("{key}.network"), why);
                let block = Cidr::parse(text).map_err(at)?;
                let (bits, prefix) = block.parts();
                ("network", self.networks.entry(bits).or_default().entry(prefix))
            }
            (None, None, Some(text)) => {
                let mac = parse_mac(text).ok_or_else(|| {
                    let why = format!("`{text}` is no MAC address; write one like `02:00:5e:10:00:01`");
                    fault(format!("{key}.mac"), why)
                })?;
                return match self.macs.entry(mac) {
                    Entry::Vacant(place) => {
                        place.insert(named);
                        Ok(())
                    }
                    Entry::Occupied(_) => Err(fault(format!("{key}.mac"), twice(text))),
                };
            }
            _ => {
                let why = "must have one of `address`, `network` and `mac`, like `address = \"10.1.2.3\"`";
                return Err(fault(key.to_owned(), why.to_owned()));
            }
        };
        match place {
            Entry::Vacant(place) => {
                place.insert(named);
                Ok(())
            }
            Entry::Occupied(known) => Err(fault(format!("{key}.{what}"), twice(&known.key().to_string()))),
        }
    }
}

fn twice(what: &str) -> String {
    format!("`{what}` stands in an earlier entry already; put `name` and `user` into one")
}

/// A name that can be shown.
fn text(key: &str, member: &str, text: Option<&String>) -> Result<Option<String>, ScopeError> {
    let Some(text) = text else { return Ok(None) };
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.len() > MAX_TEXT || trimmed.contains(char::is_control) {
        let fault = format!("must be of 1 to {MAX_TEXT} bytes without control characters, like `ana-laptop`");
        return Err(ScopeError { key: format!("{key}.{member}"), fault });
    }
    Ok(Some(trimmed.to_owned()))
}

/// `02:00:5e:10:00:01`, or with `-` between.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.trim().split([':', '-']);
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2 && !part.starts_with('+'))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

/// For whom a peer asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// For itself, or it is not trusted to say.
    Nobody,
    /// For the client at this address.
    Client(IpAddr),
    /// It is trusted, but what it says is hidden, cannot be read, or contradicts itself.
    Hidden,
}

impl Scope {
    /// For whom `peer` asks, going by what it says: the nearest address that is no trusted proxy, else the farthest one.
    /// What lies behind an address that is hidden was said by nobody known. `Forwarded` and `X-Forwarded-For` must agree
    /// where there are both, since a proxy that knows only one of them passes on the other as its client wrote it.
    pub fn behind(&self, peer: IpAddr, said: &mcp::Forwarded) -> Behind {
        let trusted = |ip: IpAddr| self.trusted_proxies.iter().any(|block| block.contains(ip));
        if !trusted(peer) {
            return Behind::Nobody;
        }
        let read = |hops: &[Option<IpAddr>]| {
            let mut client = Behind::Nobody;
            for hop in hops.iter().rev() {
                let Some(ip) = *hop else { return Behind::Hidden };
                client = Behind::Client(ip);
                if !trusted(ip) {
                    break;
                }
            }
            client
        };
        match (read(&said.standard), read(&said.common)) {
            (one, Behind::Nobody) | (Behind::Nobody, one) => one,
            (one, other) if one == other => one,
            _ => Behind::Hidden,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RawNetworks, RawScope};

    fn named(set: impl Fn(&mut RawNamed)) -> RawNamed {
        let mut raw = RawNamed::default();
        set(&mut raw);
        raw
    }

    #[allow(clippy::unnecessary_wraps, reason = "members of an entry may be absent")]
    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn the_most_specific_entry_counts_for_name_and_user_each_by_itself() {
        let entry = |key: &str, value: &str, name: Option<&str>, user: Option<&str>| {
            named(|raw| {
                match key {
                    "address" => raw.address = some(value),
                    "network" => raw.network = some(value),
                    _ => raw.mac = some(value),
                }
                (raw.name, raw.user) = (name.map(str::to_owned), user.map(str::to_owned));
            })
        };
        let map = vec![
            entry("network", "10.1.0.0/16", Some("lab"), Some("students")),
            entry("network", "10.1.2.9/24", Some("room"), None),
            entry("address", "10.1.2.3", Some("desk"), None),
            entry("mac", "02:00:5E:10:00:01", Some("laptop"), Some("ana")),
            entry("network", "0.0.0.0/0", None, Some("anybody")),
            entry("network", "2001:db8::/32", Some("six"), None),
            entry("address", "::ffff:10.9.9.9", Some("mapped"), None),
        ];
        let names = Names::try_from(&RawNames { domains: vec![], map }).unwrap();
        let mac = Some([2, 0, 0x5e, 0x10, 0, 1]);
        for (ip, mac, host, user) in [
            ("10.1.2.3", None, Some("desk"), Some("students")),
            ("10.1.2.3", mac, Some("desk"), Some("ana")),
            ("10.1.2.4", None, Some("room"), Some("students")),
            ("10.1.2.4", mac, Some("laptop"), Some("ana")),
            ("10.1.3.4", Some([9; 6]), Some("lab"), Some("students")),
            ("10.2.0.1", None, None, Some("anybody")),
            ("::ffff:10.1.2.3", None, Some("desk"), Some("students")),
            ("10.9.9.9", None, Some("mapped"), Some("anybody")),
            ("2001:db8:1::1", None, Some("six"), None),
            ("2001:db9::1", None, None, None),
        ] {
            let ip = ip.parse().unwrap();
            assert_eq!((names.host(ip, mac), names.user(ip, mac)), (host, user), "{ip} {mac:?}");
        }
    }

    #[test]
    fn our_domains_are_told_by_whole_labels() {
        let raw = RawNames { domains: vec!["Corp.example.".to_owned(), "lan".to_owned()], map: vec![] };
        let names = Names::try_from(&raw).unwrap();
        for (host, want) in [
            ("corp.example", true),
            ("ana.corp.example", true),
            ("a.b.lan", true),
            ("evilcorp.example", false),
            ("corp.example.net", false),
            ("", false),
        ] {
            assert_eq!(names.is_ours(host), want, "{host}");
        }
        assert!(!Names::default().is_ours("corp.example"));
    }

    #[test]
    fn a_faulty_entry_is_refused_with_its_key_and_what_would_do() {
        let whole = |raw: &mut RawNamed| (raw.address, raw.name) = (some("10.1.2.3"), some("desk"));
        for (raw, key, why) in [
            (named(|r| r.name = some("x")), "names.map[0]", "one of `address`, `network` and `mac`"),
            (named(|r| (whole(r), r.mac = some("02:00:00:00:00:01")).0), "names.map[0]", "one of `address`"),
            (named(|r| r.address = some("10.1.2.3")), "names.map[0]", "neither `name` nor `user`"),
            (named(|r| (whole(r), r.address = some("10.1.2.0/24")).0), "names.map[0].address", "or use `network`"),
            (named(|r| (r.network, r.name) = (some("10.1"), some("x"))), "names.map[0].network", "`10.0.0.0/8`"),
            (named(|r| (r.mac, r.name) = (some("02:00:00"), some("x"))), "names.map[0].mac", "`02:00:5e:10:00:01`"),
            (named(|r| (r.mac, r.name) = (some("02:00:00:00:00:+1"), some("x"))), "names.map[0].mac", "no MAC"),
            (named(|r| (whole(r), r.name = some(" ")).0), "names.map[0].name", "1 to 253 bytes"),
            (named(|r| (whole(r), r.user = some("a\u{1b}[2J")).0), "names.map[0].user", "control characters"),
        ] {
            let error = Names::try_from(&RawNames { domains: vec![], map: vec![raw] }).unwrap_err();
            assert_eq!(error.key, key, "{error}");
            assert!(error.fault.contains(why), "{error}");
        }
        let twice = vec![named(whole), named(whole)];
        let error = Names::try_from(&RawNames { domains: vec![], map: twice }).unwrap_err();
        assert_eq!(error.key, "names.map[1].address");
        for domain in ["*.corp.example", "a b", ""] {
            let raw = RawNames { domains: vec![domain.to_owned()], map: vec![] };
            assert_eq!(Names::try_from(&raw).unwrap_err().key, "names.domains[0]", "{domain}");
        }
    }

    #[test]
    fn only_trusted_proxies_say_for_whom_they_ask() {
        let networks = RawNetworks {
            trusted_proxies: vec!["10.0.0.0/24".to_owned(), "fd00::/64".to_owned()],
            ..RawNetworks::default()
        };
        let scope = Scope::try_from(&RawScope { networks, ..RawScope::default() }).unwrap();
        let hops = |text: &str| -> Vec<Option<IpAddr>> { text.split_whitespace().map(|t| t.parse().ok()).collect() };
        let client = |text: &str| Behind::Client(text.parse().unwrap());
        for (peer, standard, common, want) in [
            ("10.0.0.1", "", "203.0.113.5", client("203.0.113.5")),
            ("10.0.0.1", "203.0.113.5", "", client("203.0.113.5")),
            ("10.0.1.1", "", "203.0.113.5", Behind::Nobody),
            ("203.0.113.9", "", "203.0.113.5", Behind::Nobody),
            ("10.0.0.1", "", "", Behind::Nobody),
            // What stands before the nearest one that is not trusted is its own word.
            ("10.0.0.1", "", "6.6.6.6 203.0.113.5", client("203.0.113.5")),
            ("10.0.0.1", "", "6.6.6.6 203.0.113.5 10.0.0.2 10.0.0.3", client("203.0.113.5")),
            ("10.0.0.1", "", "10.0.0.9 10.0.0.2", client("10.0.0.9")),
            ("10.0.0.1", "", "203.0.113.5 -", Behind::Hidden),
            ("10.0.0.1", "", "203.0.113.5 - 10.0.0.2", Behind::Hidden),
            ("10.0.0.1", "", "- 203.0.113.5", client("203.0.113.5")),
            ("10.0.0.1", "-", "", Behind::Hidden),
            ("10.0.0.1", "203.0.113.5", "6.6.6.6 203.0.113.5", client("203.0.113.5")),
            ("10.0.0.1", "6.6.6.6", "203.0.113.5", Behind::Hidden),
            ("10.0.0.1", "-", "203.0.113.5", Behind::Hidden),
            ("fd00::1", "", "2001:db8::7", client("2001:db8::7")),
            ("::ffff:10.0.0.1", "", "203.0.113.5", client("203.0.113.5")),
        ] {
            let said = mcp::Forwarded { standard: hops(standard), common: hops(common) };
            assert_eq!(scope.behind(peer.parse().unwrap(), &said), want, "{peer}: {standard} / {common}");
        }
        let nobody = Scope::try_from(&RawScope::default()).unwrap();
        let said = mcp::Forwarded { standard: vec![], common: hops("203.0.113.5") };
        assert_eq!(nobody.behind("10.0.0.1".parse().unwrap(), &said), Behind::Nobody, "nobody is trusted by default");
    }
}
