//! What our own proxy tells beside exchanges, and what it did about them.

use crate::correlator::{Correlator, Out};
use crate::record::{ActionRecord, NoticeCode, User, UserFrom};
use crate::ruling::expired;
use crate::unit::{Open, Unit};
use detect::{Acted, FlowFacts, ProxyFacts, ProxyNews};
use net::Timestamp;

impl Correlator {
    /// Each piece of news is a notice.
    pub(crate) fn proxy_news(
        &mut self,
        news: &ProxyNews,
        (ts, missed): (Timestamp, u64),
        facts: &FlowFacts,
        out: Out<'_>,
    ) {
        let (mut flow, user) = self.desk().flow(facts, None, missed);
        let who = facts.proxy.as_deref().and_then(user_of).or(user).map(|user| user.name);
        let who = who.or_else(|| flow.client.name.take()).map_or_else(String::new, |name| format!(" ({name})"));
        let client = format!("{}{who}", facts.client.ip());
        let (code, text) = match news {
            ProxyNews::CaRefused { host } => (
                NoticeCode::CaRefused,
                format!(
                    "{client} refused the proxy's certificate for {host}: it does not trust the CA, or pins another"
                ),
            ),
            ProxyNews::Untrusted { host, reason } => (
                NoticeCode::OriginUntrusted,
                format!("the certificate or the TLS of {host} cannot be trusted ({reason}); {client} was told so"),
            ),
            ProxyNews::Misdirected { connected, asked } => (
                NoticeCode::Misdirected,
                format!("{client} connected to {connected}, and asked for {asked} inside; this was refused"),
            ),
            ProxyNews::BypassBegan { host } => (
                NoticeCode::BypassBegan,
                format!("{host} is passed through unread for some time: clients refused the proxy's certificate"),
            ),
            ProxyNews::BypassEnded { host } => (NoticeCode::BypassEnded, format!("{host} is intercepted again")),
            ProxyNews::RefusedUnread { host, why } => (
                NoticeCode::RefusedUnread,
                format!("{client} wanted {host}, which is refused and not read ({why}): the connection was ended"),
            ),
            ProxyNews::LeafRate { host } => (
                NoticeCode::LeafRate,
                format!("{client} asked for many names in a short time; its handshake for {host} was refused"),
            ),
            ProxyNews::HoldLimit { host, limit, done } => (
                NoticeCode::HoldLimit,
                format!(
                    "a message of {client} to {host} waited for a verdict and met the limit {limit}: it was {done}"
                ),
            ),
            ProxyNews::Fault { host, done } => (
                NoticeCode::ProxyFault,
                format!("a fault in the proxy's own code; a request of {client} to {host} was {done}"),
            ),
        };
        let (flow, _) = self.desk().flow(facts, None, missed);
        self.notice(ts, code, text, Some(flow), out);
    }
}

/// Who authenticated.
pub(crate) fn user_of(proxy: &ProxyFacts) -> Option<User> {
    let name = proxy.user.as_deref()?;
    Some(User { name: name.to_owned(), from: UserFrom::ProxyAuth })
}

/// What was decided and done, as the proxy says.
pub(crate) fn action_of(acted: &Acted) -> ActionRecord {
    ActionRecord {
        decided: acted.decision.action,
        taken: acted.taken,
        stage: acted.stage.to_owned(),
        policy: acted.decision.policy.to_string(),
        cause: acted.cause.to_owned(),
        dry_run: acted.decision.dry_run,
        delivered: acted.taken.stops().then(|| acted.delivered.to_owned()),
        reason: acted.reason.map(str::to_owned).or_else(|| acted.decision.expired.as_ref().map(expired)),
    }
}

impl Open {
    /// Keeps what the proxy did, for the record of the unit that it is about: on a WebSocket the last message, else the
    /// request.
    pub(crate) fn acts(&mut self, acted: Box<Acted>) {
        let last = self.extra.iter().rev().find(|unit| self.websocket && unit.written.is_none());
        let seq = last.unwrap_or(&self.primary).seq;
        self.acted = Some((seq, acted));
    }

    /// What the proxy did about a unit, and has not been written yet.
    pub(crate) fn acted_on(&self, unit: &Unit) -> Option<&Acted> {
        self.acted.as_ref().filter(|(seq, _)| *seq == unit.seq).map(|(_, acted)| &**acted)
    }

    /// What our own proxy knows of the connection.
    pub(crate) fn proxy(&self) -> Option<&ProxyFacts> {
        self.flow.proxy.as_deref()
    }
}
