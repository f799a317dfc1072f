//! Names to addresses.

use super::once::Once;
use crate::counters::Counters;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What a look-up gave: addresses in the order in which to try them, or why there are none.
pub(super) type Found = Result<Arc<[IpAddr]>, Arc<str>>;

/// What a test answers.
#[cfg(test)]
type Answer = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// Looks names up, for all threads.
pub(super) struct Resolver {
    kept: Once<Box<str>, Found>,
    /// Look-ups that may run at a time.
    running: Arc<Semaphore>,
    from: Names,
    counters: Arc<Counters>,
}

/// Who knows addresses.
#[derive(Clone)]
enum Names {
    /// The system: its hosts file and name servers.
    System,
    /// A test.
    #[cfg(test)]
    Test(Answer),
}

impl Resolver {
    /// Names that are kept, with those under way.
    const KEPT: usize = 4096;
    /// For how long. The system does not say how long an answer is good for; this is short enough for origins that move,
    /// and the address is judged anew each time.
    const LIFE: Duration = Duration::from_secs(30);
    /// Look-ups at a time: each blocks a thread.
    const RUNNING: usize = 64;
    /// Addresses of a name that are tried.
    const ADDRESSES: usize = 16;

    /// A resolver that asks the system.
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        let kept = Once::new(Self::KEPT, Self::LIFE);
        Self { kept, running: Arc::new(Semaphore::new(Self::RUNNING)), from: Names::System, counters }
    }

    /// A resolver that asks a test, each time.
    #[cfg(test)]
    pub(super) fn fake(answer: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        let kept = Once::new(Self::KEPT, Duration::ZERO);
        let from = Names::Test(Arc::new(answer));
        Self { kept, running: Arc::new(Semaphore::new(Self::RUNNING)), from, counters: Arc::default() }
    }

    /// Addresses of `host`, which may be one itself.
    pub(super) async fn find(&self, host: &str) -> Found {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Arc::new([ip]));
        }
        let key = Box::from(host);
        if let Some(known) = self.kept.known(&key) {
            return known;
        }
        if let Some(found) = self.kept.get(&key, self.ask(host), Result::is_ok).await {
            return found;
        }
        self.counters.count("limit", "names");
        self.ask(host).await
    }

    async fn ask(&self, host: &str) -> Found {
        let permit = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Arc::from("no look-ups any more"))?;
        let (from, host) = (self.from.clone(), host.to_owned());
        let found = tokio::task::spawn_blocking(move || {
            // The thread is blocked for as long as this closure, whoever still waits for it.
            let _permit = permit;
            let mut all: Vec<IpAddr> = Vec::new();
            for ip in from.look_up(&host)? {
                if !all.contains(&ip) && all.len() < Self::ADDRESSES {
                    all.push(ip);
                }
            }
            io::Result::Ok(all)
        });
        match found.await {
            Ok(Ok(all)) if all.is_empty() => Err(Arc::from("there is none")),
            Ok(Ok(all)) => Ok(by_turns(&all).into()),
            Ok(Err(e)) => Err(e.to_string().into()),
            Err(_) => Err(Arc::from("the look-up failed")),
        }
    }
}

impl Names {
    fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match self {
            Self::System => Ok((host, 0).to_socket_addrs()?.map(|address: SocketAddr| address.ip()).collect()),
            #[cfg(test)]
            Self::Test(answer) => answer(host),
        }
    }
}

/// Puts addresses of the two families by turns, the family of the first one first (RFC 8305 section 4).
fn by_turns(all: &[IpAddr]) -> Vec<IpAddr> {
    let six = all.first().is_some_and(IpAddr::is_ipv6);
    let mut first = all.iter().filter(|ip| ip.is_ipv6() == six);
    let mut second = all.iter().filter(|ip| ip.is_ipv6() != six);
    let mut out = Vec::with_capacity(all.len());
    loop {
        let (a, b) = (first.next(), second.next());
        if a.is_none() && b.is_none() {
            return out;
        }
        out.extend(a.into_iter().chain(b));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns() {
        for (all, want) in [
            (vec!["::1", "::2", "::3", "1.1.1.1"], vec!["::1", "1.1.1.1", "::2", "::3"]),
            (vec!["1.1.1.1", "1.1.1.2", "::1", "::2"], vec!["1.1.1.1", "::1", "1.1.1.2", "::2"]),
            (vec!["1.1.1.1"], vec!["1.1.1.1"]),
            (vec![], vec![]),
        ] {
            assert_eq!(by_turns(&ips(&all)), ips(&want));
        }
    }

    #[tokio::test]
    async fn an_address_needs_no_look_up_and_a_name_one_at_a_time() {
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        let mut resolver = Resolver::fake(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(ips(&["192.0.2.1", "192.0.2.1", "::1"]))
        });
        resolver.kept = Once::new(8, Duration::from_secs(30));
        assert_eq!(&*resolver.find("::7").await.unwrap(), ips(&["::7"]));
        let (a, b) = tokio::join!(resolver.find("a.example"), resolver.find("a.example"));
        assert_eq!((&*a.unwrap(), &*b.unwrap()), (&*ips(&["192.0.2.1", "::1"]), &*ips(&["192.0.2.1", "::1"])));
        assert!(resolver.find("a.example").await.is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn failures_and_empty_answers_are_not_kept_and_long_ones_cut() {
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        let mut resolver = Resolver::fake(move |host| {
            count.fetch_add(1, Ordering::Relaxed);
            match host {
                "many" => Ok((0..200).map(|n| IpAddr::from([192, 0, 2, n])).collect()),
                "none" => Ok(Vec::new()),
                _ => Err(io::Error::other("no such host")),
            }
        });
        resolver.kept = Once::new(8, Duration::from_secs(30));
        for _ in 0..2 {
            assert_eq!(&*resolver.find("gone").await.unwrap_err(), "no such host");
            assert_eq!(&*resolver.find("none").await.unwrap_err(), "there is none");
        }
        assert_eq!(resolver.find("many").await.unwrap().len(), Resolver::ADDRESSES);
        assert_eq!(asked.load(Ordering::Relaxed), 5);
    }

    #[tokio::test]
    async fn a_full_table_still_finds_names() {
        let mut resolver = Resolver::fake(|_| Ok(ips(&["192.0.2.1"])));
        resolver.kept = Once::new(1, Duration::from_secs(30));
        for host in ["a", "b", "c"] {
            assert!(resolver.find(host).await.is_ok());
        }
        assert_eq!(resolver.counters.totals().words.get(&("limit", "names")), Some(&2));
    }

    #[tokio::test]
    async fn the_system_knows_this_machine() {
        let resolver = Resolver::new(Arc::default());
        assert!(resolver.find("localhost").await.unwrap().iter().all(IpAddr::is_loopback));
    }
}
