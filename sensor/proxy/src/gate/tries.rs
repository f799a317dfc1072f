//! How many wrong guesses a client has left.

use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Counts wrong passwords by client address: [`Tries::BURST`] at once, then one every [`Tries::PAUSE`].
pub(super) struct Tries {
    table: Mutex<Table>,
    room: usize,
}

struct Table {
    /// Until when the guesses of a client are paid for. One that lies in the past says nothing.
    paid: HashMap<IpAddr, Instant, RandomState>,
    /// The same for all clients that the table has no room for, together.
    others: Option<Instant>,
    sweep: Option<Instant>,
}

/// A guess, to be taken back where it was right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    client: Option<IpAddr>,
}

impl Tries {
    /// Guesses that may come at once.
    const BURST: u32 = 10;
    /// What each costs.
    const PAUSE: Duration = Duration::from_secs(6);
    /// Clients that are kept in mind.
    pub(super) const ROOM: usize = 4096;

    /// A table of at most `room` clients.
    pub(super) fn new(room: usize) -> Self {
        let table = Table { paid: HashMap::default(), others: None, sweep: None };
        Self { table: Mutex::new(table), room }
    }

    /// Counts a guess. `None` where there were too many of late.
    pub(super) fn guess(&self, client: IpAddr, now: Instant) -> Option<Guess> {
        let client = network(client);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Table { paid, others, sweep } = &mut *table;
        if paid.len() >= self.room && sweep.is_none_or(|at| now >= at) {
            paid.retain(|_, until| *until > now);
            *sweep = Some(now + Duration::from_secs(1));
        }
        let known = paid.len() < self.room || paid.contains_key(&client);
        let until = if known { paid.entry(client).or_insert(now) } else { others.get_or_insert(now) };
        let after = (*until).max(now) + Self::PAUSE;
        if after > now + Self::PAUSE * Self::BURST {
            return None;
        }
        *until = after;
        Some(Guess { client: known.then_some(client) })
    }

    /// Whether the client has none left.
    pub(super) fn over(&self, client: IpAddr, now: Instant) -> bool {
        let client = network(client);
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let until = table.paid.get(&client).copied().or(if table.paid.len() < self.room { None } else { table.others });
        until.is_some_and(|until| until + Self::PAUSE > now + Self::PAUSE * Self::BURST)
    }

    /// A guess was right: it costs nothing.
    pub(super) fn right(&self, guess: Guess) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let until = match guess.client {
            Some(client) => table.paid.get_mut(&client),
            None => table.others.as_mut(),
        };
        if let Some(until) = until {
            *until = until.checked_sub(Self::PAUSE).unwrap_or(*until);
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

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn after_ten_wrong_guesses_there_is_one_every_six_seconds() {
        let (tries, now) = (Tries::new(8), Instant::now());
        let client = ip("192.0.2.1");
        for n in 0..10 {
            assert!(!tries.over(client, now) && tries.guess(client, now).is_some(), "{n}");
        }
        assert!(tries.over(client, now) && tries.guess(client, now).is_none());
        assert!(!tries.over(ip("192.0.2.2"), now) && tries.guess(ip("192.0.2.2"), now).is_some());
        let later = now + Tries::PAUSE;
        assert!(!tries.over(client, later) && tries.guess(client, later).is_some());
        assert!(tries.over(client, later) && tries.guess(client, later).is_none());
        let much_later = later + Tries::PAUSE * Tries::BURST;
        assert!((0..10).all(|_| tries.guess(client, much_later).is_some()));
        assert!(tries.over(client, much_later));
    }

    #[test]
    fn right_ones_cost_nothing() {
        let (tries, now) = (Tries::new(8), Instant::now());
        for _ in 0..100 {
            let guess = tries.guess(ip("192.0.2.1"), now).unwrap();
            tries.right(guess);
        }
    }

    #[test]
    fn one_machine_has_one_count_however_many_addresses_it_has() {
        let (tries, now) = (Tries::new(8), Instant::now());
        for n in 0..10 {
            assert!(tries.guess(ip(&format!("2001:db8::{n}")), now).is_some());
        }
        assert!(tries.guess(ip("2001:db8::ffff"), now).is_none());
        assert!(tries.guess(ip("2001:db8:0:1::1"), now).is_some());
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn clients_beyond_the_table_share_a_count_and_the_table_keeps_its_size() {
        let (tries, now) = (Tries::new(2), Instant::now());
        for n in 1..=2 {
            assert!(tries.guess(ip(&format!("192.0.2.{n}")), now).is_some());
        }
        for n in 3..=12 {
            assert!(tries.guess(ip(&format!("192.0.2.{n}")), now).is_some(), "{n}");
        }
        assert!(tries.guess(ip("192.0.2.13"), now).is_none() && tries.over(ip("192.0.2.14"), now));
        assert!(tries.guess(ip("192.0.2.1"), now).is_some() && !tries.over(ip("192.0.2.1"), now));
        assert_eq!(tries.table.lock().unwrap().paid.len(), 2);
        let later = now + Duration::from_mins(1);
        assert!(tries.guess(ip("192.0.2.14"), later).is_some());
        assert_eq!(tries.table.lock().unwrap().paid.len(), 1);
    }
}
