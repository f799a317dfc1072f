//! The process itself: signals, the service manager, and what it gives up once everything is open.
//!
//! The order of a start is: [`Signals::catch`]; open what takes rights, such as interfaces and listeners; [`confine()`];
//! open what the user will have to write; start threads, which inherit what was given up; [`notify::ready`]. A thread
//! that was there before keeps some of its rights; `Confined::outside` counts such.

mod calls;
mod confine;
mod files;
pub(crate) mod notify;
mod signals;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use confine::{Confinement, NET_RAW, confine, guard_memory, open_many_files, shed, use_small_pages};
pub(crate) use signals::{Signal, Signals};
pub(crate) use status::Status;
