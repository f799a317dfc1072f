//! Observations from beside the packets: of a proxy, on their way to the serial stage.

use crate::control::lock;
use detect::{Observation, Signal, Update, What};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Most observations that may wait. The serial stage takes all of them several times a second.
pub const MAX_FED: usize = 65_536;
/// Most bytes of them, by a rough estimate.
pub const MAX_FED_BYTES: usize = 64 << 20;
/// The last such part of both is for what was stopped: that must be told also where much else is to tell.
const RESERVE: usize = 8;

/// The way of observations from beside the packets to the serial stage. Clones are the same way; to be used from any
/// thread.
#[derive(Clone, Default)]
pub struct Feed {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    observations: Vec<Observation>,
    bytes: usize,
}

impl Feed {
    /// Takes an observation; waits for nobody but for another that is being put there.
    ///
    /// # Errors
    ///
    /// Gives it back where [`MAX_FED`] or [`MAX_FED_BYTES`] are waiting, less a reserve for what was stopped; that is
    /// counted.
    pub fn give(&self, observation: Observation) -> Result<(), Box<Observation>> {
        let bytes = weight(&observation);
        let reserve = usize::from(!tells_of_a_stop(&observation));
        let (items, most) =
            (MAX_FED - reserve * (MAX_FED / RESERVE), MAX_FED_BYTES - reserve * (MAX_FED_BYTES / RESERVE));
        let mut waiting = lock(&self.shared.waiting);
        if waiting.observations.len() >= items || waiting.bytes.saturating_add(bytes) > most {
            drop(waiting);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return Err(Box::new(observation));
        }
        waiting.bytes += bytes;
        waiting.observations.push(observation);
        Ok(())
    }

    /// How often there was no room.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        lock(&self.shared.waiting).observations.len()
    }

    /// Takes what waits, in the order of time; of the same time, in that of giving.
    pub(crate) fn take(&self) -> Vec<Observation> {
        let mut taken = std::mem::take(&mut *lock(&self.shared.waiting)).observations;
        taken.sort_by_key(|observation| observation.ts);
        taken
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

fn tells_of_a_stop(observation: &Observation) -> bool {
    match &observation.what {
        What::Exchange(_, update) => update.acted.as_ref().is_some_and(|acted| acted.taken.stops()),
        _ => false,
    }
}

/// Roughly what an observation takes, in bytes: enough to bound many of them.
fn weight(observation: &Observation) -> usize {
    let what = match &observation.what {
        What::Exchange(_, update) => update_weight(update),
        What::Contact(..) => 2 << 10,
        _ => 512,
    };
    size_of::<Observation>() + what
}

fn update_weight(update: &Update) -> usize {
    /// What is kept of a message beside its texts, and the most that is kept of those.
    const MESSAGE: usize = 512;
    const TEXTS: u64 = 128 << 10;
    let messages = update.messages.iter().map(|seen| {
        let texts = seen.message.bytes.min(TEXTS);
        let logged = seen.content.as_ref().and_then(|content| content.payload.as_ref()).map_or(0, |p| p.weight());
        (MESSAGE + logged).saturating_add(usize::try_from(texts).unwrap_or(usize::MAX))
    });
    let signals = update.signals.iter().map(|s| size_of::<Signal>() + s.excerpt.len() + s.on.len() + s.id.len());
    let heads =
        if update.request.is_some() { 4 << 10 } else { 0 } + if update.response.is_some() { 1 << 10 } else { 0 };
    let provider = update.document.as_deref().and_then(|seen| seen.provider.as_deref()).map_or(0, mcp::Provider::bytes);
    size_of::<Update>() + messages.sum::<usize>() + signals.sum::<usize>() + heads + provider
}
