//! `[llm_gateway]`: the company's gateway to the providers of models, and calls that do not pass it.

use crate::scope::{Cidr, HostPattern, ScopeError, all};
use crate::{Classification, Confidence, Scope, Seen, classify};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Hosts of the interfaces of widely used providers of models, and nothing but these: no web pages, no storage.
const PROVIDERS: [&str; 27] = [
    "api.openai.com",
    "*.openai.azure.com",
    "*.services.ai.azure.com",
    "*.inference.ai.azure.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "aiplatform.googleapis.com",
    "*-aiplatform.googleapis.com",
    "bedrock-runtime.*.amazonaws.com",
    "api.mistral.ai",
    "codestral.mistral.ai",
    "api.cohere.com",
    "api.cohere.ai",
    "api.x.ai",
    "api.groq.com",
    "api.deepseek.com",
    "api.perplexity.ai",
    "api.together.xyz",
    "api.together.ai",
    "api.fireworks.ai",
    "api.cerebras.ai",
    "api.sambanova.ai",
    "api.moonshot.ai",
    "dashscope.aliyuncs.com",
    "dashscope-intl.aliyuncs.com",
    "router.huggingface.co",
    "integrate.api.nvidia.com",
];

/// `[llm_gateway]`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLlmGateway {
    /// Hosts of the gateway that model calls are to pass, exact or by label. Without one nothing of this is looked at.
    pub hosts: Vec<String>,
    /// Networks that the gateway calls providers from.
    pub networks: Vec<String>,
    /// Hosts of the interfaces of providers: a call there that does not come from the gateway passes it by.
    pub providers: Vec<String>,
}

impl Default for RawLlmGateway {
    fn default() -> Self {
        let providers = PROVIDERS.iter().map(ToString::to_string).collect();
        Self { hosts: Vec::new(), networks: Vec::new(), providers }
    }
}

/// The checked section.
#[derive(Clone, Debug, Default)]
pub struct LlmGateway {
    hosts: Vec<HostPattern>,
    networks: Vec<Cidr>,
    providers: Vec<HostPattern>,
}

impl TryFrom<&RawLlmGateway> for LlmGateway {
    type Error = ScopeError;

    fn try_from(raw: &RawLlmGateway) -> Result<Self, ScopeError> {
        let gateway = Self {
            hosts: all("llm_gateway.hosts", &raw.hosts, HostPattern::parse)?,
            networks: all("llm_gateway.networks", &raw.networks, Cidr::parse)?,
            providers: all("llm_gateway.providers", &raw.providers, HostPattern::parse)?,
        };
        if gateway.hosts.is_empty() && !gateway.networks.is_empty() {
            let fault = "the networks of a gateway that is not named; write hosts = [\"ai-gateway.corp.example\"]";
            return Err(ScopeError { key: "llm_gateway.networks".to_owned(), fault: fault.to_owned() });
        }
        // What is said to the gateway itself never passes it by.
        let both = |(_, host): &(usize, &String)| raw.providers.contains(host);
        if let Some((at, host)) = raw.hosts.iter().enumerate().find(both) {
            let fault = format!("`{host}` is a provider, too; take it out of llm_gateway.providers");
            return Err(ScopeError { key: format!("llm_gateway.hosts[{at}]"), fault });
        }
        Ok(gateway)
    }
}

impl LlmGateway {
    /// Whether there is one.
    pub const fn is_configured(&self) -> bool {
        !self.hosts.is_empty()
    }

    fn is_gateway(&self, host: &str) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(host))
    }

    /// Whether a host is that of a provider, where a gateway is configured.
    pub fn is_provider(&self, host: &str) -> bool {
        self.is_configured() && self.providers.iter().any(|pattern| pattern.matches(host))
    }

    /// Whether `client` calls a provider at `host` without the gateway. Never where none is configured.
    pub fn is_passed_by(&self, client: IpAddr, host: &str) -> bool {
        self.is_provider(host) && !self.is_gateway(host) && !self.networks.iter().any(|net| net.contains(client))
    }

    /// What a model call of `client` to `host` means here; `None` where no gateway is configured.
    fn classify(&self, client: IpAddr, host: &str) -> Option<Classification> {
        if !self.is_configured() {
            return None;
        }
        let own = self.is_gateway(host) || self.networks.iter().any(|net| net.contains(client));
        Some(match () {
            () if own => Classification::Sanctioned,
            () if self.providers.iter().any(|pattern| pattern.matches(host)) => Classification::SanctionedDirect,
            () => Classification::Shadow,
        })
    }
}

/// What a trace of MCP means here: `client` asks `seen`, and names `servers` that are not contacted. A server that is denied
/// is denied by whatever way it is reached. Nothing but the names of the servers is known, so these make nothing approved; of
/// a model call the gateway that it passed, or passed by, says more.
pub fn classify_named<'a>(
    scope: &Scope,
    client: IpAddr,
    seen: &Seen<'_>,
    mut servers: impl Iterator<Item = &'a str>,
    (confidence, is_model_call): (Confidence, bool),
) -> Classification {
    let denied = |url: &str| crate::oauth::with_seen(url, |named| scope.denied.iter().any(|e| e.names(named)));
    if servers.any(denied) {
        return Classification::Denied;
    }
    let plain = match confidence {
        Confidence::Possible => Classification::Unknown,
        _ => Classification::Shadow,
    };
    match classify(scope, client, seen, confidence).classification {
        by_place @ (Classification::Denied | Classification::Portal) => by_place,
        _ => scope.llm_gateway.classify(client, seen.host).filter(|_| is_model_call).unwrap_or(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RawScope;

    fn scope() -> Scope {
        let mut raw = RawScope::default();
        raw.llm_gateway.hosts = vec!["ai.corp.example".into()];
        raw.llm_gateway.networks = vec!["10.9.9.0/24".into()];
        raw.denied.servers = vec![crate::RawServer::Name("*.evil.example".into())];
        Scope::try_from(&raw).unwrap()
    }

    #[test]
    fn a_model_call_is_what_the_gateway_makes_of_it() {
        use Classification::{Denied, Sanctioned, SanctionedDirect, Shadow, Unknown};
        let (with, without) = (scope(), Scope::default());
        for (client, host, server, want, want_without, bypass) in [
            ("10.1.2.3", "ai.corp.example", "https://a.example/mcp", Sanctioned, Unknown, false),
            ("10.1.2.3", "api.openai.com", "https://a.example/mcp", SanctionedDirect, Unknown, true),
            ("10.1.2.3", "corp.openai.azure.com", "https://a.example/mcp", SanctionedDirect, Unknown, true),
            (
                "10.1.2.3",
                "eu-west1-aiplatform.googleapis.com",
                "https://a.example/mcp",
                SanctionedDirect,
                Unknown,
                true,
            ),
            ("10.1.2.3", "bedrock-runtime.eu-west-1.amazonaws.com", "x://a", SanctionedDirect, Unknown, true),
            ("10.9.9.7", "api.openai.com", "https://a.example/mcp", Sanctioned, Unknown, false),
            ("10.1.2.3", "llm.other.example", "https://a.example/mcp", Shadow, Unknown, false),
            ("10.1.2.3", "ai.corp.example", "https://x.evil.example/mcp", Denied, Unknown, false),
            ("10.1.2.3", "api.openai.com.evil.net", "https://a.example/mcp", Shadow, Unknown, false),
        ] {
            let client = client.parse().unwrap();
            let seen = Seen { host, ip: "203.0.113.9".parse().unwrap(), port: 443, path: "/v1", resolved: true };
            let of = |scope, call| {
                classify_named(scope, client, &seen, std::iter::once(server), (Confidence::Possible, call))
            };
            assert_eq!((of(&with, true), of(&without, true)), (want, want_without), "{client} {host} {server}");
            assert_eq!(with.llm_gateway.is_passed_by(client, host), bypass, "{client} {host}");
            assert!(!without.llm_gateway.is_passed_by(client, host));
            let fetched = if want == Denied { Denied } else { Unknown };
            assert_eq!(of(&with, false), fetched, "what is no model call has nothing to do with it");
        }
    }

    #[test]
    fn a_faulty_section_is_refused_by_its_key() {
        let check = |raw: &RawLlmGateway| LlmGateway::try_from(raw).map_err(|error| error.to_string());
        assert!(check(&RawLlmGateway::default()).is_ok_and(|gateway| !gateway.is_configured()));
        let raw = RawLlmGateway::default;
        let list = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (key, raw) in [
            ("llm_gateway.hosts[0]", RawLlmGateway { hosts: list(&["https://ai.example/"]), ..raw() }),
            ("llm_gateway.hosts[1]", RawLlmGateway { hosts: list(&["ai.example", "api.openai.com"]), ..raw() }),
            ("llm_gateway.networks[0]", RawLlmGateway { networks: list(&["ten"]), ..raw() }),
            ("llm_gateway.networks", RawLlmGateway { networks: list(&["10.0.0.0/8"]), ..raw() }),
            ("llm_gateway.providers[1]", RawLlmGateway { providers: list(&["a.example", ""]), ..raw() }),
        ] {
            let error = check(&raw).unwrap_err();
            assert!(error.starts_with(&format!("{key}: ")), "{key}: {error}");
        }
    }
}
