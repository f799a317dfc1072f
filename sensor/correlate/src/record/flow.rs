//! Flows, and who their ends are.

use schemars::JsonSchema;
use serde::Serialize;

/// One end of a flow.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Endpoint {
    /// Address.
    pub ip: String,
    /// Port.
    pub port: u16,
    /// MAC address of this end itself, as far as can be told; a router's is left out. It is the one that DHCP was seen to
    /// give the address to, else the source of its first frame where two things hold: that packet came over no router
    /// (its TTL or hop limit is 64, 128 or 255, as it left), and the same MAC address has sent for no more than two
    /// IPv4 addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The client that this end asks for, as a trusted proxy says (`Forwarded`, `X-Forwarded-For`): its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<String>,
    /// Name of the client: of `forwarded_for` where that is known, else of `ip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who says so: `map` (the configuration), `dhcp` or `dns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_from: Option<NameFrom>,
}

/// Where a name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NameFrom {
    /// `[[names.map]]` of the configuration.
    Map,
    /// A lease of DHCP seen on the wire.
    Dhcp,
    /// An answer of a name server seen on the wire.
    Dns,
}

/// Who sits at the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct User {
    /// The name.
    pub name: String,
    /// Who says so: `map` (the configuration) or `proxy_auth`.
    pub from: UserFrom,
}

/// Where the name of a user comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserFrom {
    /// `[[names.map]]` of the configuration.
    Map,
    /// The user authenticated at the proxy.
    ProxyAuth,
}

/// The flow a detection was seen on.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Flow {
    /// Community id v1.
    pub community_id: String,
    /// `tcp` or `udp`.
    pub transport: String,
    /// `outbound`, `inbound`, `internal` or `unknown`, by the configured networks.
    pub direction: String,
    /// Who asks.
    pub client: Endpoint,
    /// Who answers.
    pub server: Endpoint,
    /// VLAN ids, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vlan: Vec<u16>,
    /// Tunnels around the flow, outermost first: the kind and, where it has one, its number (`vxlan:7001`, `gre`,
    /// `mpls`); `unknown` where the name was forgotten.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tunnel: Vec<String>,
    /// Bytes of the flow that were never seen, up to here.
    pub missed_bytes: u64,
    /// The start of the flow was not seen.
    pub midstream: bool,
}
