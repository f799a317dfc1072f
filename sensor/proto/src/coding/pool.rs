//! What decoders cost: a shared account of their memory, and the states kept for the next body.

use flate2::Decompress;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memory of one inflater, in bytes: a window of 32 KiB and its tables, as measured.
pub(crate) const INFLATER_BYTES: u64 = 48 * 1024;
/// Inflaters kept for reuse by one [`Pool`], at most (1.5 MiB).
const MAX_IDLE: usize = 32;

/// An account of decoder memory with a limit, shared by all that decode for one worker.
///
/// A clone is the same account. Decoders give back what they hold when they are dropped, on any thread.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Account>);

#[derive(Debug)]
struct Account {
    limit: u64,
    live: AtomicU64,
    refused: AtomicU64,
}

impl Budget {
    /// Default limit of one account, in bytes.
    pub const DEFAULT: u64 = 64 << 20;

    /// An account that allows `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(Account { limit, live: AtomicU64::new(0), refused: AtomicU64::new(0) }))
    }

    /// Bytes held by decoders now.
    pub fn live_bytes(&self) -> u64 {
        self.0.live.load(Ordering::Relaxed)
    }

    /// How often memory was refused.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// An entry of 0 bytes, to be grown.
    pub(crate) fn entry(&self) -> Charge {
        Charge { budget: self.clone(), bytes: 0 }
    }

    /// An entry of `bytes`, or `None` (and counted) above the limit.
    pub fn charge(&self, bytes: u64) -> Option<Charge> {
        let mut charge = self.entry();
        charge.set(bytes).then_some(charge)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Self::DEFAULT)
    }
}

/// Bytes on a [`Budget`], given back when dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Budget,
    bytes: u64,
}

impl Charge {
    /// Makes this entry `bytes`. `false`, and nothing changed but the count, if that is above the limit.
    pub(crate) fn set(&mut self, bytes: u64) -> bool {
        let account = &*self.budget.0;
        if bytes <= self.bytes {
            account.live.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            self.bytes = bytes;
            return true;
        }
        let more = bytes - self.bytes;
        let grown = account.live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| {
            live.checked_add(more).filter(|sum| *sum <= account.limit)
        });
        if grown.is_err() {
            account.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.bytes = bytes;
        true
    }

    /// Bytes of this entry.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.0.live.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A raw DEFLATE decompressor with its entry on the account.
#[derive(Debug)]
pub(crate) struct Inflater {
    pub(crate) state: Decompress,
    // Held for its drop.
    _charge: Charge,
}

impl Inflater {
    /// A new one, or `None` if the account refuses.
    pub(crate) fn new(budget: &Budget) -> Option<Self> {
        let charge = budget.charge(INFLATER_BYTES)?;
        Some(Self { state: Decompress::new(false), _charge: charge })
    }
}

/// What one worker keeps between bodies: its account and its idle inflaters (at most 32, 1.5 MiB).
///
/// Only inflaters are worth keeping: the states of Brotli and Zstandard are sized by the stream.
#[derive(Debug, Default)]
pub struct Pool {
    budget: Budget,
    idle: Vec<Decompress>,
}

impl Pool {
    /// An empty pool whose decoders together may hold `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { budget: Budget::new(limit), idle: Vec::new() }
    }

    /// The account, to be shared with WebSocket decoders.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Bytes held by decoders in use, and by idle ones.
    pub fn live_bytes(&self) -> u64 {
        let idle = u64::try_from(self.idle.len()).unwrap_or(u64::MAX);
        self.budget.live_bytes().saturating_add(idle.saturating_mul(INFLATER_BYTES))
    }

    pub(super) fn inflater(&mut self) -> Option<Inflater> {
        let charge = self.budget.charge(INFLATER_BYTES)?;
        let state = self.idle.pop().unwrap_or_else(|| Decompress::new(false));
        Some(Inflater { state, _charge: charge })
    }

    pub(super) fn give_back(&mut self, inflater: Inflater) {
        if self.idle.len() < MAX_IDLE {
            let mut state = inflater.state;
            state.reset(false);
            self.idle.push(state);
        }
    }
}
