//! The exchanges that may still bring news: by key, by age and by when they are decided.

use crate::unit::{ExchangeKey, Open};
use net::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// All open exchanges, what they weigh, and the order in which they wait.
#[derive(Debug, Default)]
pub(crate) struct OpenTable {
    all: BTreeMap<ExchangeKey, Box<Open>>,
    /// By when each last had news.
    by_age: BTreeMap<u64, ExchangeKey>,
    /// Units that are decided at a time even if no answer has come.
    deadlines: BTreeSet<(Timestamp, ExchangeKey, u32)>,
    /// Bytes of all, as of when each was last weighed.
    pub(crate) bytes: usize,
    news: u64,
}

impl OpenTable {
    pub(crate) fn get(&self, key: &ExchangeKey) -> Option<&Open> {
        self.all.get(key).map(|open| &**open)
    }

    pub(crate) fn get_mut(&mut self, key: &ExchangeKey) -> Option<&mut Open> {
        self.all.get_mut(key).map(|open| &mut **open)
    }

    pub(crate) fn insert(&mut self, key: ExchangeKey, open: Open) {
        self.expect(open.primary.deadline, key, open.primary.seq);
        self.all.insert(key, Box::new(open));
        self.touch(&key);
    }

    /// Has news: it is now the youngest, and is weighed anew.
    pub(crate) fn touch(&mut self, key: &ExchangeKey) {
        let Some(open) = self.all.get_mut(key) else { return };
        self.by_age.remove(&open.age);
        self.news += 1;
        open.age = self.news;
        self.by_age.insert(self.news, *key);
        self.weigh(key);
    }

    pub(crate) fn weigh(&mut self, key: &ExchangeKey) {
        let Some(open) = self.all.get_mut(key) else { return };
        let before = std::mem::replace(&mut open.charged, 0);
        open.charged = open.bytes();
        self.bytes = self.bytes.saturating_sub(before) + open.charged;
    }

    pub(crate) fn remove(&mut self, key: &ExchangeKey) -> Option<Box<Open>> {
        let open = self.all.remove(key)?;
        self.by_age.remove(&open.age);
        self.bytes = self.bytes.saturating_sub(open.charged);
        for unit in std::iter::once(&open.primary).chain(&open.extra) {
            self.deadlines.remove(&(unit.deadline, *key, unit.seq));
        }
        Some(open)
    }

    /// Lets go of the extra units that are decided.
    pub(crate) fn drop_decided(&mut self, key: &ExchangeKey) {
        let Some(open) = self.all.get_mut(key) else { return };
        let over = open.over;
        let deadlines = &mut self.deadlines;
        open.extra.retain(|unit| {
            let stays = unit.written.is_none() && !(unit.due || over);
            if !stays {
                deadlines.remove(&(unit.deadline, *key, unit.seq));
            }
            stays
        });
    }

    /// A unit is to be decided at `deadline`.
    pub(crate) fn expect(&mut self, deadline: Timestamp, key: ExchangeKey, seq: u32) {
        self.deadlines.insert((deadline, key, seq));
    }

    /// Takes out a unit whose time has come.
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<(ExchangeKey, u32)> {
        let (deadline, key, seq) = self.deadlines.first().copied()?;
        if deadline > now {
            return None;
        }
        self.deadlines.pop_first();
        Some((key, seq))
    }

    /// The first in the order of flows.
    pub(crate) fn first(&self) -> Option<ExchangeKey> {
        self.all.first_key_value().map(|(key, _)| *key)
    }

    /// The first of one flow.
    pub(crate) fn of_flow(&self, flow: u64) -> Option<ExchangeKey> {
        self.all.range((flow, 0)..=(flow, u32::MAX)).next().map(|(key, _)| *key)
    }

    /// The one that has been quiet longest, where all weigh more than `limit` and it is not the only one.
    pub(crate) fn excess(&self, limit: usize) -> Option<ExchangeKey> {
        let over = self.bytes > limit && self.all.len() > 1;
        self.by_age.first_key_value().map(|(_, key)| *key).filter(|_| over)
    }
}
