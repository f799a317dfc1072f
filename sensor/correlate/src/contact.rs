//! Contacts: handshakes and questions to name servers, of which nothing that was said can be read.

use crate::correlator::{Correlator, Out};
use crate::record::{Flow, NoticeCode};
use crate::unit::{Open, Unit};
use detect::hosts::normal_host;
use detect::{ContactKind, ContactSeen, FlowFacts, Weight, is_nobody};
use net::{Place, Timestamp};
use std::net::IpAddr;
use std::sync::Arc;

impl Correlator {
    /// News of a contact of a flow: by number, and with the bytes of the flow that were never seen.
    pub(crate) fn contact(
        &mut self,
        (number, flow, missed): (u32, Arc<FlowFacts>, u64),
        mut seen: ContactSeen,
        place: Place,
        out: Out<'_>,
    ) {
        // Exchanges number from below.
        let number = u32::MAX - number;
        let key = (flow.opened.number, number);
        if seen.opened {
            // What was said inside speaks for itself.
            self.open.remove(&key);
            return;
        }
        if seen.kind == ContactKind::Dns && !self.is_first_question(&seen.host, flow.client.ip()) {
            return;
        }
        if seen.model_call && seen.over {
            let (told, _) = self.desk().flow(&flow, None, missed);
            self.model_call((flow.client.ip(), &seen.host), seen.ts, Some(told), out);
        }
        let resolved = self.resolved(&seen, flow.server.ip());
        if seen.signals.is_empty() && resolved.is_none() {
            return;
        }
        let over = seen.over;
        if self.open.get(&key).is_none() {
            self.sent(&flow, seen.ts);
            let mut open = Open::new(flow, number, seen.ts, seen.place);
            open.primary = Unit::new(0, seen.ts, seen.place);
            self.open.insert(key, open);
        }
        let Some(open) = self.open.get_mut(&key) else { return };
        open.missed = missed;
        open.primary.last = open.primary.last.max(place);
        for signal in std::mem::take(&mut seen.signals) {
            open.primary.signals.add(signal);
        }
        if let Some(name) = resolved {
            open.primary.signals.structure("mcp.host.resolved", "dns.answer", Weight::Medium, &name, 0);
            seen.host = name;
        }
        open.contact = Some(Box::new(seen));
        if over { self.close(key, out) } else { self.open.touch(&key) }
    }

    /// Whether a client asks for a known name for the first time, as far as that is remembered. Names of portals and
    /// approved servers are asked for all day.
    fn is_first_question(&mut self, name: &str, client: IpAddr) -> bool {
        if self.options.generation.scope.speaks_of(name) {
            return false;
        }
        let (new, forgotten) = self.asked.add(client, name, self.options.limits.of_clients());
        self.totals.met("names_asked_for", forgotten);
        new
    }

    /// The known name that name servers gave this address for, where the contact itself shows no name: none was sent,
    /// or what was sent may stand for another, and a key for hiding that one was published.
    fn resolved(&self, seen: &ContactSeen, server: IpAddr) -> Option<String> {
        let hides = seen.hidden || is_nobody(&seen.host);
        if seen.kind == ContactKind::Dns || !hides || !seen.signals.is_empty() {
            return None;
        }
        let rules = &self.options.generation.rules;
        let mut names = self.names.at(server).filter(|name| is_nobody(&seen.host) || self.names.has_key(name));
        names.find(|name| detect::is_known_host(rules, name)).map(str::to_owned)
    }

    /// Tells where the evidence contradicts the name of a decided contact.
    pub(crate) fn contradictions(&mut self, seen: &ContactSeen, ts: Timestamp, flow: &Flow, out: Out<'_>) {
        let name = seen.tls.sni.as_str();
        if name.is_empty() || seen.hidden {
            return;
        }
        let mut tell =
            |text: String| self.notice(ts, NoticeCode::IdentityMismatch, text, Some(flow.clone()), &mut *out);
        if let Some(via) = &seen.via_connect {
            let tunnel = normal_host(via);
            if tunnel != seen.host && tunnel.parse::<IpAddr>().is_err() {
                tell(format!("a tunnel to {tunnel} was asked for, but inside of it {name}"));
            }
        }
        let complete = !seen.certificate.is_empty() && seen.certificate_left_out == 0;
        if complete && !seen.certificate.iter().any(|of| covers(of, &seen.host)) {
            tell(format!("{name} was asked for, but the certificate of the server is not for that name"));
        }
    }
}

/// Whether a name of a certificate stands for a host (RFC 6125 §6.4.3: a wildcard for one whole label in front).
fn covers(of: &str, host: &str) -> bool {
    let below = |rest: &str| host.split_once('.').is_some_and(|(label, after)| !label.is_empty() && after == rest);
    of == host || of.strip_prefix("*.").is_some_and(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (of, host, want) in [
            ("mcp.example", "mcp.example", true),
            ("*.example", "mcp.example", true),
            ("*.example", "a.mcp.example", false),
            ("*.example", "example", false),
            ("mcp.example", "x.mcp.example", false),
        ] {
            assert_eq!(covers(of, host), want, "{of} for {host}");
        }
    }
}
