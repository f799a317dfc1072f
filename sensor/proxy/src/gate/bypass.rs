//! What is passed through unread.

use super::budget::network;
use crate::counters::Counters;
use crate::options::{Bypass, Settings};
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Whom a connection is for: what CONNECT named, and what its TLS hello says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    /// Host that CONNECT named, as [`Authority`](super::Authority) has it. It decides which address is connected to.
    pub(crate) asked: &'a str,
    /// Server name of the hello; it decides who answers at that address.
    pub(crate) sni: Option<&'a str>,
}

impl<'a> Names<'a> {
    /// The one host that both mean. Without a server name only an address is meant for certain.
    fn agreed(self) -> Option<&'a str> {
        let same = match self.sni {
            Some(sni) => sni.strip_suffix('.').unwrap_or(sni).eq_ignore_ascii_case(self.asked),
            None => self.asked.parse::<IpAddr>().is_ok(),
        };
        same.then_some(self.asked)
    }
}

/// Hosts that are passed through beside those of the configuration.
pub(super) struct Passed {
    shipped: Shipped,
    learned: Mutex<HashMap<Box<str>, Learned, RandomState>>,
    counters: Arc<Counters>,
}

/// The list that comes with the program.
struct Shipped {
    exact: HashSet<&'static str, RandomState>,
    /// What comes behind `*.`.
    below: HashSet<&'static str, RandomState>,
}

/// A host whose certificate of ours was refused.
#[derive(Clone, Copy)]
enum Learned {
    /// By clients of one network so far.
    Once(IpAddr, Instant),
    /// By others as well: it is passed through until then.
    Passed(Instant),
}

impl Passed {
    /// Hosts that are kept in mind.
    const ROOM: usize = 1024;
    /// Within which time another client must refuse as well.
    const WINDOW: Duration = Duration::from_hours(1);

    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { shipped: Shipped::new(include_str!("bypass.txt")), learned: Mutex::default(), counters }
    }

    /// Why a connection is passed through: a word of a metric.
    pub(super) fn why(
        &self,
        settings: &Settings,
        names: Names<'_>,
        client: IpAddr,
        now: Instant,
    ) -> Option<&'static str> {
        let Bypass { hosts, clients, builtin, learn } = &settings.bypass;
        if clients.iter().any(|net| net.contains(client)) {
            return Some("client");
        }
        let host = names.agreed()?;
        if hosts.iter().any(|pattern| pattern.matches(host)) {
            return Some("host");
        }
        let why = if *builtin && self.shipped.holds(host) {
            "builtin"
        } else if learn.is_some() && self.has_learned(host, now) {
            "learned"
        } else {
            return None;
        };
        (!settings.generation.rules.lists_host(host)).then_some(why)
    }

    /// Whether a host that was learned is passed through no longer: its time is over, or nothing is to be learned any more.
    pub(super) fn ended(&self, settings: &Settings, host: &str, now: Instant) -> bool {
        if settings.bypass.learn.is_some() && self.has_learned(host, now) {
            return false;
        }
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).remove(host);
        true
    }

    fn has_learned(&self, host: &str, now: Instant) -> bool {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(learned.get(host), Some(Learned::Passed(until)) if *until > now)
    }

    /// A client refused our certificate. Whether the host is passed through from now on, and was not before.
    pub(super) fn refused(
        &self,
        settings: &Settings,
        names: Names<'_>,
        client: IpAddr,
        mcp_seen: bool,
        now: Instant,
    ) -> bool {
        let Some((life, host)) = settings.bypass.learn.zip(names.agreed()) else { return false };
        // Servers are asked for by address where nobody should know of them; what is ours to judge by name is never let go.
        let never = mcp_seen
            || host.parse::<IpAddr>().is_ok()
            || settings.generation.scope.speaks_of(host)
            || settings.generation.rules.lists_host(host);
        if never {
            return false;
        }
        let client = network(client);
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = match learned.get(host).filter(|entry| entry.is_live(now)) {
            Some(Learned::Passed(_)) => return false,
            Some(Learned::Once(first, _)) if *first == client => return false,
            Some(Learned::Once(..)) => true,
            None => false,
        };
        if learned.len() >= Self::ROOM && !learned.contains_key(host) {
            learned.retain(|_, entry| entry.is_live(now));
            if learned.len() >= Self::ROOM {
                self.counters.count("limit", "learned_bypass");
                return false;
            }
        }
        let entry = if begun { Learned::Passed(now + life) } else { Learned::Once(client, now) };
        learned.insert(host.into(), entry);
        begun
    }
}

impl Learned {
    fn is_live(&self, now: Instant) -> bool {
        match self {
            Self::Once(_, at) => now < *at + Passed::WINDOW,
            Self::Passed(until) => now < *until,
        }
    }
}

impl Shipped {
    fn new(text: &'static str) -> Self {
        let mut all = Self { exact: HashSet::default(), below: HashSet::default() };
        for host in text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_whitespace().next())
        {
            match host.strip_prefix("*.") {
                Some(domain) => all.below.insert(domain),
                None => all.exact.insert(host),
            };
        }
        all
    }

    fn holds(&self, host: &str) -> bool {
        let above = std::iter::successors(host.split_once('.'), |(_, rest)| rest.split_once('.'));
        self.exact.contains(host) || above.map(|(_, rest)| rest).any(|domain| self.below.contains(domain))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;
    use detect::{Cidr, HostPattern};
    use std::path::Path;

    fn passed() -> Passed {
        Passed::new(Arc::default())
    }

    fn names(asked: &'static str) -> Names<'static> {
        Names { asked, sni: Some(asked) }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn hosts_and_clients_are_passed_through_only_where_both_names_agree() {
        let mut settings = settings();
        settings.bypass = Bypass {
            hosts: vec![HostPattern::parse("*.bank.example").unwrap(), HostPattern::parse("192.0.2.80").unwrap()],
            clients: vec![Cidr::parse("198.51.100.0/24").unwrap()],
            builtin: true,
            learn: None,
        };
        let (passed, now) = (passed(), Instant::now());
        for (asked, sni, client, want) in [
            ("www.bank.example", Some("www.bank.example"), "192.0.2.1", Some("host")),
            ("www.bank.example", Some("WWW.bank.example."), "192.0.2.1", Some("host")),
            ("www.bank.example", None, "192.0.2.1", None),
            ("www.bank.example", Some("evil.example"), "192.0.2.1", None),
            ("www.bank.example", Some("api.bank.example"), "192.0.2.1", None),
            ("evil.example", Some("www.bank.example"), "192.0.2.1", None),
            ("203.0.113.7", Some("www.bank.example"), "192.0.2.1", None),
            ("bank.example", Some("bank.example"), "192.0.2.1", None),
            ("192.0.2.80", None, "192.0.2.1", Some("host")),
            ("192.0.2.80", Some("evil.example"), "192.0.2.1", None),
            ("evil.example", Some("evil.example"), "198.51.100.9", Some("client")),
            ("evil.example", None, "198.51.100.9", Some("client")),
            ("1-courier.push.apple.com", Some("1-courier.push.apple.com"), "192.0.2.1", Some("builtin")),
            ("push.apple.com", Some("push.apple.com"), "192.0.2.1", None),
            ("notpush.apple.com", Some("notpush.apple.com"), "192.0.2.1", None),
            ("mcp.push.apple.com", Some("mcp.push.apple.com"), "192.0.2.1", None),
            ("aus5.mozilla.org", Some("aus5.mozilla.org"), "192.0.2.1", Some("builtin")),
            ("a.aus5.mozilla.org", Some("a.aus5.mozilla.org"), "192.0.2.1", None),
            ("aus5.mozilla.org", Some("evil.example"), "192.0.2.1", None),
        ] {
            assert_eq!(passed.why(&settings, Names { asked, sni }, ip(client), now), want, "{asked} {sni:?} {client}");
        }
        settings.bypass.builtin = false;
        assert_eq!(passed.why(&settings, names("aus5.mozilla.org"), ip("192.0.2.1"), now), None);
    }

    #[test]
    fn the_shipped_list_is_small_reasoned_and_holds_no_mcp_server() {
        let text = include_str!("bypass.txt");
        let shipped = Shipped::new(text);
        let lines: Vec<_> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert!(lines.len() < 100 && shipped.exact.len() + shipped.below.len() == lines.len());
        for line in &lines {
            let (host, reason) = line.split_once(' ').unwrap_or_else(|| panic!("no reason: {line}"));
            assert!(
                !reason.trim().is_empty() && HostPattern::parse(host).is_ok() && !host[1..].contains('*'),
                "{line}"
            );
        }
        let rules = &settings().generation.rules;
        for host in shipped.exact.iter().chain(&shipped.below) {
            assert!(!rules.lists_host(host) && !rules.lists_host(&format!("a.{host}")), "{host}");
        }
        let lists = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/hosts");
        let mut seen = 0;
        for list in ["known-mcp-endpoints.tsv", "known-mcp-host-patterns.tsv"] {
            let text = std::fs::read_to_string(lists.join(list)).unwrap();
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let host = line.split(['\t', '/']).next().unwrap();
                assert!(!shipped.holds(host.trim_start_matches("*.")) && !shipped.holds(host), "{host}");
                seen += 1;
            }
        }
        assert!(seen > 7000, "{seen}");
    }

    #[test]
    fn a_host_is_learned_from_two_clients_and_for_a_time() {
        let mut settings = settings();
        let (passed, now) = (passed(), Instant::now());
        let refuse = |settings: &Settings, client, now| {
            passed.refused(settings, names("pinned.example"), ip(client), false, now)
        };
        let why = |settings: &Settings, now| passed.why(settings, names("pinned.example"), ip("192.0.2.9"), now);
        assert!(!refuse(&settings, "192.0.2.1", now) && !refuse(&settings, "192.0.2.2", now));
        settings.bypass.learn = Some(Duration::from_mins(10));
        for client in ["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"] {
            assert!(!refuse(&settings, client, now));
        }
        assert_eq!(why(&settings, now), None);
        assert!(refuse(&settings, "192.0.2.2", now));
        assert!(!refuse(&settings, "192.0.2.3", now), "it is said once");
        assert_eq!(why(&settings, now), Some("learned"));
        assert_eq!(why(&settings, now + Duration::from_secs(599)), Some("learned"));
        assert_eq!(why(&settings, now + Duration::from_mins(10)), None);
        let later = now + Duration::from_secs(601);
        assert!(!refuse(&settings, "192.0.2.1", later), "it begins anew");
        assert!(!refuse(&settings, "192.0.2.2", later + Passed::WINDOW), "the first is too long ago");
        assert!(refuse(&settings, "192.0.2.1", later + Passed::WINDOW));
        settings.bypass.learn = None;
        assert_eq!(why(&settings, later + Passed::WINDOW), None);
    }

    #[test]
    fn what_was_learned_ends_with_its_time_or_when_nothing_is_to_be_learned() {
        let mut settings = settings();
        settings.bypass.learn = Some(Duration::from_mins(10));
        let (passed, now) = (passed(), Instant::now());
        let learn = |settings: &Settings| {
            for client in ["192.0.2.1", "192.0.2.2"] {
                passed.refused(settings, names("pinned.example"), ip(client), false, now);
            }
        };
        learn(&settings);
        assert!(!passed.ended(&settings, "pinned.example", now + Duration::from_secs(599)));
        assert!(passed.ended(&settings, "pinned.example", now + Duration::from_mins(10)));
        assert!(passed.learned.lock().unwrap().is_empty());
        learn(&settings);
        settings.bypass.learn = None;
        assert!(passed.ended(&settings, "pinned.example", now));
        settings.bypass.learn = Some(Duration::from_mins(10));
        assert_eq!(passed.why(&settings, names("pinned.example"), ip("192.0.2.9"), now), None, "it begins anew");
    }

    #[test]
    fn one_client_with_many_addresses_is_one_client() {
        let mut settings = settings();
        settings.bypass.learn = Some(Duration::from_mins(10));
        let (passed, now) = (passed(), Instant::now());
        for client in ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:1"] {
            assert!(!passed.refused(&settings, names("pinned.example"), ip(client), false, now));
        }
        assert!(passed.refused(&settings, names("pinned.example"), ip("2001:db8:0:1::1"), false, now));
    }

    #[test]
    fn mcp_servers_addresses_and_other_names_are_never_learned() {
        let mut settings = settings();
        settings.bypass.learn = Some(Duration::from_mins(10));
        let (passed, now) = (passed(), Instant::now());
        for (asked, sni, mcp) in [
            ("mcp.stripe.com", Some("mcp.stripe.com"), false),
            ("x-mcp.vendor.example", Some("x-mcp.vendor.example"), false),
            ("something.workers.dev", Some("something.workers.dev"), false),
            ("huggingface.co", Some("huggingface.co"), false),
            ("learn.microsoft.com", Some("learn.microsoft.com"), false),
            ("quiet.example", Some("quiet.example"), true),
            ("203.0.113.7", None, false),
            ("pinned.example", Some("other.example"), false),
            ("pinned.example", None, false),
        ] {
            for client in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
                assert!(!passed.refused(&settings, Names { asked, sni }, ip(client), mcp, now), "{asked} {sni:?}");
            }
        }
        assert!(passed.learned.lock().unwrap().is_empty());
    }

    #[test]
    fn what_is_learned_has_a_limit() {
        let mut settings = settings();
        settings.bypass.learn = Some(Duration::from_mins(10));
        let (passed, now) = (passed(), Instant::now());
        for n in 0..Passed::ROOM + 10 {
            let host = format!("h{n}.example");
            passed.refused(&settings, Names { asked: &host, sni: Some(&host) }, ip("192.0.2.1"), false, now);
        }
        assert_eq!(passed.learned.lock().unwrap().len(), Passed::ROOM);
        assert_eq!(passed.counters.totals().words.get(&("limit", "learned_bypass")), Some(&10));
        let later = now + Passed::WINDOW;
        assert!(!passed.refused(&settings, names("new.example"), ip("192.0.2.1"), false, later));
        assert_eq!(passed.learned.lock().unwrap().len(), 1);
    }
}
