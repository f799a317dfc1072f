//! Answers that are dear to get: asked for once at a time, kept for a while.

use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// A table of answers, shared by all threads. Who asks for one that is being fetched waits for that one. An answer that is
/// not worth keeping goes to those who wait, and is forgotten.
pub(super) struct Once<K, V> {
    kept: Mutex<Kept<K, V>>,
    room: usize,
    life: Duration,
}

struct Kept<K, V> {
    entries: HashMap<K, Entry<V>, RandomState>,
    /// When to look for entries that are over, once the table is full.
    sweep: Instant,
}

struct Entry<V> {
    cell: Arc<OnceCell<V>>,
    /// `None` while the answer is being fetched.
    until: Option<Instant>,
}

impl<K: Clone + Eq + Hash, V: Clone> Once<K, V> {
    /// A table of at most `room` answers, each kept for `life`.
    pub(super) fn new(room: usize, life: Duration) -> Self {
        let kept = Kept { entries: HashMap::default(), sweep: Instant::now() };
        Self { kept: Mutex::new(kept), room, life }
    }

    fn lock(&self) -> MutexGuard<'_, Kept<K, V>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer that is known already.
    pub(super) fn known(&self, key: &K) -> Option<V> {
        let kept = self.lock();
        let entry = kept.entries.get(key)?;
        entry.until.is_some_and(|until| until > Instant::now()).then(|| entry.cell.get().cloned()).flatten()
    }

    /// The answer, from the table or by `fetch`; `keep` says what is worth keeping. `None` where the table is full.
    ///
    /// Where who fetches goes away, one of those who wait takes over.
    pub(super) async fn get(&self, key: &K, fetch: impl Future<Output = V>, keep: fn(&V) -> bool) -> Option<V> {
        let cell = self.cell(key)?;
        let mut fetched = false;
        let value = cell.get_or_init(|| {
            fetched = true;
            fetch
        });
        let value = value.await.clone();
        if fetched {
            let keep = keep(&value).then(|| Instant::now() + self.life);
            let mut kept = self.lock();
            match (kept.entries.get_mut(key), keep) {
                (Some(entry), Some(_)) if Arc::ptr_eq(&entry.cell, &cell) => entry.until = keep,
                (Some(entry), None) if Arc::ptr_eq(&entry.cell, &cell) => drop(kept.entries.remove(key)),
                _ => {}
            }
        }
        Some(value)
    }

    /// The place of an answer, with or without it.
    fn cell(&self, key: &K) -> Option<Arc<OnceCell<V>>> {
        let now = Instant::now();
        // One that is being fetched is over when all who asked for it went away.
        let live = |entry: &Entry<V>| entry.until.map_or(Arc::strong_count(&entry.cell) > 1, |until| until > now);
        let mut kept = self.lock();
        if let Some(entry) = kept.entries.get(key).filter(|entry| live(entry)) {
            return Some(Arc::clone(&entry.cell));
        }
        if kept.entries.len() >= self.room && now >= kept.sweep {
            kept.entries.retain(|_, entry| live(entry));
            kept.sweep = now + Duration::from_secs(1);
        }
        if kept.entries.len() >= self.room && !kept.entries.contains_key(key) {
            return None;
        }
        let cell = Arc::new(OnceCell::new());
        kept.entries.insert(key.clone(), Entry { cell: Arc::clone(&cell), until: None });
        Some(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn those_who_ask_at_once_share_one_fetch() {
        let table = Once::new(8, Duration::from_mins(1));
        let fetches = Cell::new(0);
        let ask = || {
            table.get(
                &"a",
                async {
                    fetches.set(fetches.get() + 1);
                    tokio::task::yield_now().await;
                    7
                },
                |_| true,
            )
        };
        assert_eq!(tokio::join!(ask(), ask(), ask()), (Some(7), Some(7), Some(7)));
        assert_eq!(ask().await, Some(7));
        assert_eq!((fetches.get(), table.known(&"a"), table.known(&"b")), (1, Some(7), None));
    }

    #[tokio::test]
    async fn what_is_not_worth_keeping_or_too_old_is_fetched_again() {
        for (life, keep) in [(Duration::from_mins(1), false), (Duration::ZERO, true)] {
            let table = Once::new(8, life);
            let keep: fn(&i32) -> bool = if keep { |_| true } else { |_| false };
            assert_eq!(table.get(&"a", async { 1 }, keep).await, Some(1));
            assert_eq!(table.known(&"a"), None);
            assert_eq!(table.get(&"a", async { 2 }, keep).await, Some(2));
        }
    }

    #[tokio::test]
    async fn a_full_table_takes_no_more() {
        let table = Once::new(2, Duration::from_mins(1));
        for key in ["a", "b"] {
            assert!(table.get(&key, async { 1 }, |_| true).await.is_some());
        }
        assert_eq!(table.get(&"c", async { 1 }, |_| true).await, None);
        assert_eq!(table.get(&"a", async { 2 }, |_| true).await, Some(1));
        let table = Once::new(1, Duration::ZERO);
        assert_eq!(table.get(&"a", async { 1 }, |_| true).await, Some(1));
        assert_eq!(table.get(&"b", async { 2 }, |_| true).await, Some(2));
    }

    #[tokio::test]
    async fn who_goes_away_leaves_nothing_behind_and_holds_nobody_up() {
        let table = Once::new(1, Duration::from_mins(1));
        let gone =
            tokio::time::timeout(Duration::from_millis(1), table.get(&"a", std::future::pending::<i32>(), |_| true));
        assert!(gone.await.is_err());
        assert_eq!(table.get(&"b", async { 1 }, |_| false).await, Some(1));
        let mut first = Box::pin(table.get(&"a", std::future::pending::<i32>(), |_| true));
        let second = async {
            tokio::time::timeout(Duration::from_millis(1), &mut first).await.unwrap_err();
            let second = table.get(&"a", async { 5 }, |_| true);
            drop(first);
            second.await
        };
        assert_eq!(second.await, Some(5));
        assert_eq!(table.known(&"a"), Some(5));
    }
}
