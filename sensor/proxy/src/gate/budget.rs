//! How much a client may ask for of what is dear: wrong passwords, new certificates.

use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Counts by client address: so many at once, then one every so often.
pub(super) struct Budget {
    table: Mutex<Table>,
    room: usize,
    /// What each costs.
    pause: Duration,
    /// What may be owed.
    credit: Duration,
}

struct Table {
    /// Until when what a client had is paid for. One that lies in the past says nothing.
    paid: HashMap<IpAddr, Instant, RandomState>,
    /// The same for all clients that the table has no room for, together.
    others: Option<Instant>,
    sweep: Option<Instant>,
}

/// What was spent, to be taken back where it should cost nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    client: Option<IpAddr>,
}

impl Budget {
    /// Clients that are kept in mind.
    pub(super) const ROOM: usize = 4096;

    /// For at most `room` clients: `burst` at once, then one every `pause`.
    pub(super) fn new(room: usize, burst: u32, pause: Duration) -> Self {
        let table = Table { paid: HashMap::default(), others: None, sweep: None };
        Self { table: Mutex::new(table), room, pause, credit: pause.saturating_mul(burst) }
    }

    /// Takes one. `None` where there were too many of late.
    pub(super) fn spend(&self, client: IpAddr, now: Instant) -> Option<Spent> {
        self.spend_late(client, now, Duration::ZERO).map(|(spent, _)| spent)
    }

    /// Takes one that may have to wait, `patience` at most; with for how long.
    pub(super) fn spend_late(&self, client: IpAddr, now: Instant, patience: Duration) -> Option<(Spent, Duration)> {
        let client = network(client);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Table { paid, others, sweep } = &mut *table;
        if paid.len() >= self.room && sweep.is_none_or(|at| now >= at) {
            paid.retain(|_, until| *until > now);
            *sweep = Some(now + Duration::from_secs(1));
        }
        let known = paid.len() < self.room || paid.contains_key(&client);
        let until = if known { paid.entry(client).or_insert(now) } else { others.get_or_insert(now) };
        let after = (*until).max(now) + self.pause;
        let wait = after.saturating_duration_since(now + self.credit);
        if wait > patience {
            return None;
        }
        *until = after;
        Some((Spent { client: known.then_some(client) }, wait))
    }

    /// Whether the client has none left.
    pub(super) fn over(&self, client: IpAddr, now: Instant) -> bool {
        let client = network(client);
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let until = table.paid.get(&client).copied().or(if table.paid.len() < self.room { None } else { table.others });
        until.is_some_and(|until| until + self.pause > now + self.credit)
    }

    /// It should have cost nothing.
    pub(super) fn give_back(&self, spent: Spent) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let until = match spent.client {
            Some(client) => table.paid.get_mut(&client),
            None => table.others.as_mut(),
        };
        if let Some(until) = until {
            *until = until.checked_sub(self.pause).unwrap_or(*until);
        }
    }
}

/// Whom an address stands for: with IPv6 one machine has a network of them.
pub(super) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(6);

    fn budget(room: usize) -> Budget {
        Budget::new(room, 10, PAUSE)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn after_ten_at_once_there_is_one_every_six_seconds() {
        let (budget, now) = (budget(8), Instant::now());
        let client = ip("192.0.2.1");
        for n in 0..10 {
            assert!(!budget.over(client, now) && budget.spend(client, now).is_some(), "{n}");
        }
        assert!(budget.over(client, now) && budget.spend(client, now).is_none());
        assert!(!budget.over(ip("192.0.2.2"), now) && budget.spend(ip("192.0.2.2"), now).is_some());
        let later = now + PAUSE;
        assert!(!budget.over(client, later) && budget.spend(client, later).is_some());
        assert!(budget.over(client, later) && budget.spend(client, later).is_none());
        let much_later = later + PAUSE * 10;
        assert!((0..10).all(|_| budget.spend(client, much_later).is_some()));
        assert!(budget.over(client, much_later));
    }

    #[test]
    fn what_is_given_back_costs_nothing() {
        let (budget, now) = (budget(8), Instant::now());
        for _ in 0..100 {
            let spent = budget.spend(ip("192.0.2.1"), now).unwrap();
            budget.give_back(spent);
        }
    }

    #[test]
    fn one_machine_has_one_count_however_many_addresses_it_has() {
        let (budget, now) = (budget(8), Instant::now());
        for n in 0..10 {
            assert!(budget.spend(ip(&format!("2001:db8::{n}")), now).is_some());
        }
        assert!(budget.spend(ip("2001:db8::ffff"), now).is_none());
        assert!(budget.spend(ip("2001:db8:0:1::1"), now).is_some());
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn clients_beyond_the_table_share_a_count_and_the_table_keeps_its_size() {
        let (budget, now) = (budget(2), Instant::now());
        for n in 1..=2 {
            assert!(budget.spend(ip(&format!("192.0.2.{n}")), now).is_some());
        }
        for n in 3..=12 {
            assert!(budget.spend(ip(&format!("192.0.2.{n}")), now).is_some(), "{n}");
        }
        assert!(budget.spend(ip("192.0.2.13"), now).is_none() && budget.over(ip("192.0.2.14"), now));
        assert!(budget.spend(ip("192.0.2.1"), now).is_some() && !budget.over(ip("192.0.2.1"), now));
        assert_eq!(budget.table.lock().unwrap().paid.len(), 2);
        let later = now + Duration::from_mins(1);
        assert!(budget.spend(ip("192.0.2.14"), later).is_some());
        assert_eq!(budget.table.lock().unwrap().paid.len(), 1);
    }

    #[test]
    fn who_waits_has_its_turn_in_order_and_nobody_waits_too_long() {
        let (budget, now) = (Budget::new(8, 3, Duration::from_millis(500)), Instant::now());
        let client = ip("192.0.2.1");
        let patience = Duration::from_secs(2);
        let waits: Vec<_> =
            (0..9).map(|_| budget.spend_late(client, now, patience).map(|(_, wait)| wait.as_millis())).collect();
        let want = [0, 0, 0, 500, 1000, 1500, 2000].map(Some).into_iter().chain([None, None]);
        assert_eq!(waits, want.collect::<Vec<_>>());
        assert!(budget.spend(client, now).is_none() && budget.spend(ip("192.0.2.2"), now).is_some());
        let later = now + Duration::from_secs(1);
        let wait = budget.spend_late(client, later, patience).map(|(_, wait)| wait.as_millis());
        assert_eq!(wait, Some(1500), "those who were refused took nobody's turn");
    }
}
