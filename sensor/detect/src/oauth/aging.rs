//! A bounded map that forgets what was not asked for in a while.

use std::borrow::Borrow;
use std::collections::BTreeMap;

/// Two generations: what is used is young; where the young are half of all that may be kept, the old are forgotten and the
/// young grow old. So it keeps at least the half of its limit that was used last, and at most the limit.
#[derive(Debug)]
pub(super) struct Aging<K, V> {
    young: BTreeMap<K, V>,
    old: BTreeMap<K, V>,
    half: usize,
    /// Entries that were forgotten to make room, since they were last asked for.
    forgotten: u64,
}

impl<K: Ord, V> Aging<K, V> {
    /// An empty map of at most `limit` entries.
    pub(super) const fn new(limit: usize) -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new(), half: limit / 2, forgotten: 0 }
    }

    /// The value of a key.
    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// The value of a key, which is made where there is none; the key counts as used.
    pub(super) fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let known = self.renew(&key);
        self.young.entry(key).or_insert_with(|| known.unwrap_or_else(make))
    }

    /// Sets the value of a key, which counts as used.
    pub(super) fn put(&mut self, key: K, value: V) {
        self.renew(&key);
        self.young.insert(key, value);
    }

    /// Makes room for a key among the young; gives its value where it was an old one.
    fn renew(&mut self, key: &K) -> Option<V> {
        let known = self.old.remove(key);
        if self.young.len() >= self.half && !self.young.contains_key(key) {
            self.forgotten += self.old.len() as u64;
            self.old = std::mem::take(&mut self.young);
        }
        known
    }

    /// Entries that were forgotten to make room, since the last call.
    pub(super) fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
