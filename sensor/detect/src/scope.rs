//! Whose networks and servers these are: the `[networks]`, `[portals]`, `[sanctioned]`, `[denied]` and
//! `[published]` sections of the configuration, checked once. `[names]` has a module of its own.

use crate::gateway::{LlmGateway, RawLlmGateway};
use crate::lookalike::Lookalikes;
use crate::names::{Names, RawNames};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The sections as written.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawScope {
    /// What is ours.
    pub networks: RawNetworks,
    /// The company's MCP portals.
    pub portals: RawPortals,
    /// Approved servers.
    pub sanctioned: RawServers,
    /// Servers nobody may use: they alert at any confidence.
    pub denied: RawServers,
    /// Our own servers that others may call.
    pub published: RawServers,
    /// What clients are called.
    pub names: RawNames,
    /// The gateway that model calls are to pass.
    pub llm_gateway: RawLlmGateway,
}

/// `[networks]`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawNetworks {
    /// CIDR blocks that are ours.
    pub internal: Vec<String>,
    /// CIDR blocks of proxies that are believed where they say for whom they ask (`Forwarded`, `X-Forwarded-For`).
    pub trusted_proxies: Vec<String>,
}

impl Default for RawNetworks {
    fn default() -> Self {
        let blocks =
            ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"];
        let six = ["::1/128", "fc00::/7", "fe80::/10"];
        let internal = blocks.iter().chain(&six).map(ToString::to_string).collect();
        Self { internal, trusted_proxies: Vec::new() }
    }
}

/// `[portals]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPortals {
    /// Hosts of the portals, exact or by label (`mcp.corp.example`, `*.portal.example`).
    pub hosts: Vec<String>,
    /// Networks the portals live in and call their upstream servers from.
    pub networks: Vec<String>,
}

/// `[sanctioned]`, `[denied]`, `[published]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawServers {
    /// One entry a server.
    pub servers: Vec<RawServer>,
}

/// One server: a plain string `host[:port][/path]`, or a table.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RawServer {
    /// `host[:port][/path]`.
    Name(String),
    /// With more detail.
    Table(RawServerTable),
}

/// One server in detail.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawServerTable {
    /// Host name or address, exact or by label.
    pub host: String,
    /// Only this port.
    pub port: Option<u16>,
    /// Only this path and what is below it.
    pub path: Option<String>,
    /// Where the server really is: CIDR blocks. A name is a claim; this is what confirms it.
    pub networks: Vec<String>,
    /// Approved, but to be reached through the portal only.
    pub through_portal: bool,
    /// For approved servers: the lists of tools that were approved, as `sha256:` and 64 digits, from `server` events. Any
    /// other raises one.
    pub catalogue: Vec<String>,
}

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    addr: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Reads `10.0.0.0/8`, `fd00::/8`, or a single address.
    ///
    /// # Errors
    ///
    /// What is wrong and a value that would do.
    pub fn parse(text: &str) -> Result<Self, String> {
        let hint = || format!("`{text}` is no network; write one like `10.0.0.0/8`, `fd00::/8` or `192.0.2.7`");
        let (addr, bits) = match text.split_once('/') {
            Some((a, b)) => (a, Some(b.parse::<u8>().map_err(|_| hint())?)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| hint())?;
        let max = if addr.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(max);
        if bits > max { Err(hint()) } else { Ok(Self { addr, bits }) }
    }

    /// Length of its prefix, and that prefix.
    pub(crate) fn parts(&self) -> (u8, IpAddr) {
        let addr = self.addr.to_canonical();
        // A mapped address counts as IPv4 as long as its prefix reaches into that.
        let bits = if addr.is_ipv4() && self.addr.is_ipv6() { self.bits.saturating_sub(96) } else { self.bits };
        (bits, Self::prefix(addr, bits).unwrap_or(addr))
    }

    /// The first `bits` bits of an address; `None` where it has fewer.
    pub(crate) fn prefix(ip: IpAddr, bits: u8) -> Option<IpAddr> {
        match ip {
            IpAddr::V4(ip) => {
                let shift = 32_u32.checked_sub(u32::from(bits))?;
                Some(Ipv4Addr::from_bits(ip.to_bits() & u32::MAX.checked_shl(shift).unwrap_or(0)).into())
            }
            IpAddr::V6(ip) => {
                let shift = 128_u32.checked_sub(u32::from(bits))?;
                Some(Ipv6Addr::from_bits(ip.to_bits() & u128::MAX.checked_shl(shift).unwrap_or(0)).into())
            }
        }
    }

    /// Whether `ip` is inside. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.addr, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.bits);
                u64::from(net.to_bits()) >> shift == u64::from(ip.to_bits()) >> shift
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(self.bits);
                shift == 128 || net.to_bits() >> shift == ip.to_bits() >> shift
            }
            _ => false,
        }
    }
}

/// A host name pattern that matches whole labels: exact, `*.example.com` (any depth), `mcp.*`, `*-mcp.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    labels: Vec<String>,
}

impl HostPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// What is wrong and a value that would do.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_end_matches('.').to_ascii_lowercase();
        let bad = text.is_empty()
            || text == "*"
            || text.contains(['/', ' ', '@'])
            || text.contains("..")
            || (text.contains(':') && text.parse::<IpAddr>().is_err());
        if bad {
            return Err(format!("`{text}` is no host; write one like `mcp.example.com`, `*.example.com` or `mcp.*`"));
        }
        let labels =
            if text.parse::<IpAddr>().is_ok() { vec![text] } else { text.split('.').map(str::to_owned).collect() };
        Ok(Self { labels })
    }

    /// The labels of the pattern, in lower case.
    pub(crate) fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Whether `host` (lower case, no port, no final dot) matches.
    pub fn matches(&self, host: &str) -> bool {
        if let [only] = self.labels.as_slice() {
            return label_matches(only, host) && (host.parse::<IpAddr>().is_ok() || !host.contains('.'));
        }
        let labels: Vec<&str> = host.split('.').collect();
        let (first_any, last_any) =
            (self.labels.first().is_some_and(|l| l == "*"), self.labels.last().is_some_and(|l| l == "*"));
        let core: &[String] =
            self.labels.get(usize::from(first_any)..self.labels.len() - usize::from(last_any)).unwrap_or(&[]);
        let spare = labels.len().saturating_sub(core.len());
        if labels.len() < self.labels.len() || core.is_empty() {
            return false;
        }
        // A leading or trailing `*` stands for one label or more; both together let the core float.
        (0..=spare).any(|start| {
            let (before, after) = (start, spare - start);
            (if first_any { before >= 1 } else { before == 0 })
                && (if last_any { after >= 1 } else { after == 0 })
                && core.iter().zip(labels.iter().skip(start)).all(|(p, l)| label_matches(p, l))
        })
    }
}

/// Glob within one label.
fn label_matches(pattern: &str, label: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return false };
    let Some(mut rest) = label.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or(""),
            None => return false,
        }
    }
    true
}

/// One server of the configuration.
#[derive(Clone, Debug)]
pub struct ServerEntry {
    host: HostPattern,
    port: Option<u16>,
    path: Option<String>,
    networks: Vec<Cidr>,
    /// To be reached through the portal only.
    pub through_portal: bool,
    /// The lists of tools that were approved; where there is none, whatever it offered first was.
    pub catalogues: Vec<[u8; 32]>,
}

/// A server as seen in traffic.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Host as asked for, lower case, without port; the address where none was named.
    pub host: &'a str,
    /// Address; the unspecified one as long as the proxy has not connected.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
    /// Normalised path.
    pub path: &'a str,
    /// More than the claim says that the name is that of this address: a DNS answer that was seen; in the proxy, the
    /// certificate that was verified.
    pub resolved: bool,
}

impl ServerEntry {
    /// The pattern of its host.
    pub(crate) const fn host(&self) -> &HostPattern {
        &self.host
    }

    /// Whether the name, port and path fit.
    pub fn names(&self, seen: &Seen<'_>) -> bool {
        self.host.matches(seen.host)
            && self.port.is_none_or(|p| p == seen.port)
            && self.path.as_deref().is_none_or(|p| {
                seen.path
                    .strip_prefix(p)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || p.ends_with('/'))
            })
    }

    /// Whether evidence beyond the name says that it is this server.
    pub fn proved(&self, seen: &Seen<'_>) -> bool {
        let by_address = seen.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == seen.ip.to_canonical());
        if self.networks.is_empty() {
            seen.resolved || by_address
        } else {
            // Nobody has connected yet; that it goes elsewhere shows when somebody has.
            seen.resolved && seen.ip.is_unspecified() || self.networks.iter().any(|n| n.contains(seen.ip))
        }
    }
}

/// The checked sections.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// `[networks] internal`.
    pub internal: Vec<Cidr>,
    /// `[portals] hosts`.
    pub portal_hosts: Vec<HostPattern>,
    /// `[portals] networks`.
    pub portal_networks: Vec<Cidr>,
    /// `[sanctioned] servers`.
    pub sanctioned: Vec<ServerEntry>,
    /// `[denied] servers`.
    pub denied: Vec<ServerEntry>,
    /// `[published] servers`.
    pub published: Vec<ServerEntry>,
    /// `[networks] trusted_proxies`.
    pub trusted_proxies: Vec<Cidr>,
    /// `[names]`.
    pub names: Names,
    /// `[llm_gateway]`.
    pub llm_gateway: LlmGateway,
    /// Who imitates a portal or an approved server.
    pub lookalikes: Lookalikes,
}

impl Scope {
    /// Whether a host is denied as a whole: on any port, with any path.
    pub fn denies_host(&self, host: &str) -> bool {
        self.denied.iter().any(|e| e.port.is_none() && e.path.is_none() && e.host.matches(host))
    }

    /// The entry of a server that is approved, as [`classify`](crate::classify) found.
    pub fn approval(&self, seen: &Seen<'_>) -> Option<&ServerEntry> {
        self.sanctioned.iter().find(|entry| entry.names(seen))
    }

    /// Whether an entry that a name server could bear out names this host.
    pub fn speaks_of(&self, host: &str) -> bool {
        self.portal_hosts.iter().any(|h| h.matches(host)) || self.sanctioned.iter().any(|e| e.host.matches(host))
    }
}

/// A fault in the sections: the key, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {fault}")]
pub struct ScopeError {
    /// Dotted key, such as `networks.internal[2]`.
    pub key: String,
    /// The fault, and a value that would do.
    pub fault: String,
}

impl TryFrom<&RawScope> for Scope {
    type Error = ScopeError;

    fn try_from(raw: &RawScope) -> Result<Self, ScopeError> {
        let mut scope = Self {
            internal: all("networks.internal", &raw.networks.internal, Cidr::parse)?,
            portal_hosts: all("portals.hosts", &raw.portals.hosts, HostPattern::parse)?,
            portal_networks: all("portals.networks", &raw.portals.networks, Cidr::parse)?,
            sanctioned: servers("sanctioned", &raw.sanctioned)?,
            denied: servers("denied", &raw.denied)?,
            published: servers("published", &raw.published)?,
            trusted_proxies: all("networks.trusted_proxies", &raw.networks.trusted_proxies, Cidr::parse)?,
            names: Names::try_from(&raw.names)?,
            llm_gateway: LlmGateway::try_from(&raw.llm_gateway)?,
            lookalikes: Lookalikes::default(),
        };
        scope.lookalikes = Lookalikes::from(&scope);
        Ok(scope)
    }
}

/// Parses each text of a list; the fault names its key and place.
pub(crate) fn all<T>(
    key: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, ScopeError> {
    let one =
        |(i, text): (usize, &String)| parse(text).map_err(|fault| ScopeError { key: format!("{key}[{i}]"), fault });
    texts.iter().enumerate().map(one).collect()
}

fn servers(section: &str, raw: &RawServers) -> Result<Vec<ServerEntry>, ScopeError> {
    let one = |(i, server): (usize, &RawServer)| {
        let key = format!("{section}.servers[{i}]");
        let table = match server {
            RawServer::Name(text) => split_name(text),
            RawServer::Table(table) => table.clone(),
        };
        let host = HostPattern::parse(&table.host).map_err(|fault| ScopeError { key: key.clone(), fault })?;
        let networks = all(&format!("{key}.networks"), &table.networks, Cidr::parse)?;
        if section != "sanctioned" && !table.catalogue.is_empty() {
            let fault = "a catalogue is approved with its server: put it under [sanctioned]".to_owned();
            return Err(ScopeError { key: format!("{key}.catalogue"), fault });
        }
        let catalogues = all(&format!("{key}.catalogue"), &table.catalogue, digest)?;
        let path = table.path.map(|p| p.to_ascii_lowercase());
        Ok(ServerEntry { host, port: table.port, path, networks, through_portal: table.through_portal, catalogues })
    };
    raw.servers.iter().enumerate().map(one).collect()
}

/// `sha256:` and 64 hexadecimal digits.
fn digest(text: &str) -> Result<[u8; 32], String> {
    let fault = || format!("`{text}` is no digest; copy one like `sha256:` and 64 digits from a `server` event");
    let digits = text.strip_prefix("sha256:").ok_or_else(fault)?;
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(fault());
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let pair = str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        *byte = pair.ok_or_else(fault)?;
    }
    Ok(bytes)
}

/// `host[:port][/path]`, with brackets around an IPv6 address that has a port.
fn split_name(text: &str) -> RawServerTable {
    let (authority, path) = match text.find('/') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let path = (!path.is_empty() && path != "/").then(|| path.to_owned());
    if let Ok(ip) = authority.parse::<IpAddr>() {
        return RawServerTable { host: ip.to_string(), path, ..RawServerTable::default() };
    }
    let (host, port) = match authority.rsplit_once(':').map(|(h, p)| (h, p.parse::<u16>())) {
        Some((host, Ok(port))) => (host, Some(port)),
        _ => (authority, None),
    };
    RawServerTable { host: host.trim_matches(['[', ']']).to_owned(), port, path, ..RawServerTable::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_match_by_label_and_never_by_substring() {
        for (pattern, host, want) in [
            ("example.com", "example.com", true),
            ("example.com", "evil-example.com", false),
            ("example.com", "example.com.evil.net", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "notexample.com", false),
            ("mcp.*", "mcp.stripe.com", true),
            ("mcp.*", "mcp", false),
            ("mcp.*", "amcp.stripe.com", false),
            ("mcp.*", "mcpx.stripe.com", false),
            ("*-mcp.*", "x-mcp.vendor.io", true),
            ("*-mcp.*", "xmcp.vendor.io", false),
            ("*.mcp.*", "a.mcp.example.com", true),
            ("*.mcp.*", "mcp.example.com", false),
            ("localhost", "localhost", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("*", "x", false),
        ] {
            assert_eq!(HostPattern::parse(pattern).is_ok_and(|p| p.matches(host)), want, "{pattern} on {host}");
        }
    }

    #[test]
    fn catalogues_are_approved_with_their_server_by_a_whole_digest() {
        let of = |text: &str| {
            let table =
                RawServerTable { host: "a.example".into(), catalogue: vec![text.into()], ..RawServerTable::default() };
            RawServers { servers: vec![RawServer::Table(table)] }
        };
        let good = format!("sha256:{}", "aB".repeat(32));
        let scope = Scope::try_from(&RawScope { sanctioned: of(&good), ..RawScope::default() }).unwrap();
        assert_eq!(scope.sanctioned[0].catalogues, [[0xab; 32]]);
        let denied = RawScope { denied: of(&good), ..RawScope::default() };
        assert_eq!(Scope::try_from(&denied).unwrap_err().key, "denied.servers[0].catalogue");
        for bad in [&good[7..], &good[..70], "sha256:", &good.replace("aB", "+1"), &good.replace("aB", "xx"), "é"] {
            let error = Scope::try_from(&RawScope { sanctioned: of(bad), ..RawScope::default() }).unwrap_err();
            assert_eq!(error.key, "sanctioned.servers[0].catalogue[0]", "{bad}");
        }
    }

    #[test]
    fn networks_hold_their_addresses() {
        for (net, ip, want) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("fd00::/8", "fd77::1", true),
            ("::/0", "2001:db8::1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(Cidr::parse(net).unwrap().contains(ip), want, "{net} {ip}");
        }
        assert!(Cidr::parse("10.0.0.0/33").is_err());
        assert!(Cidr::parse("ten").is_err());
    }
}
