//! The one serial stage: conversations across flows, detections, servers. Pure: no I/O, no threads, no clock.

pub mod record;

mod catalogue;
mod contact;
mod conversation;
mod correlator;
mod decide;
mod detection;
mod limits;
mod messages;
mod names;
mod notices;
mod oauth;
mod open;
mod payload;
mod proxy;
mod ruling;
mod servers;
mod trace;
mod unit;
mod who;

pub use correlator::{Correlator, Out, Totals};
pub use limits::Limits;
pub use record::Record;

use std::sync::Arc;
use std::time::Duration;

/// What the stage needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// `replay` or the configured name.
    pub sensor: String,
    /// Rules and scope.
    pub generation: Arc<detect::Generation>,
    /// Base names of the inputs, by index.
    pub files: Vec<String>,
    /// The inputs are interfaces, not files.
    pub live: bool,
    /// Also write look-alikes as detections.
    pub look_alikes: bool,
    /// Nothing can be stopped: the strongest thing done is `log`.
    pub passive: bool,
    /// What may be kept.
    pub limits: Limits,
    /// How often a conversation that lasts is told of, in packet time, while there is news of it; `None` for once, at
    /// its end.
    pub session_every: Option<Duration>,
}
