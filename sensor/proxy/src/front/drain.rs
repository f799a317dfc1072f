//! Tells the connections of a thread that no more requests are wanted.

use std::cell::Cell;
use tokio::sync::Notify;

/// Set once, when the thread takes no more connections.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    begun: Cell<bool>,
    waiting: Notify,
}

impl Drain {
    /// No more requests are wanted.
    pub(crate) fn begin(&self) {
        self.begun.set(true);
        self.waiting.notify_waiters();
    }

    /// Returns once no more requests are wanted.
    pub(crate) async fn begun(&self) {
        let told = self.waiting.notified();
        if !self.begun.get() {
            told.await;
        }
    }
}
