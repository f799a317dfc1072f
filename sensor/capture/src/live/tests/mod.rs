//! Everything but the kernel, over made-up rings.

mod capturer;
mod fake;
mod merge;
mod watch;
mod whole;
