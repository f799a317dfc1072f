//! QUIC as an onlooker without keys sees it: the hellos in its Initial packets, whose keys follow from the packets
//! themselves (RFC 9000, RFC 9001, RFC 9369).
//!
//! One [`Observer`] per flow is fed the datagrams of both directions and hands the hellos to a [`Sink`]; after them it
//! wants nothing more. Only a datagram that [`looks_like_initial`] needs to begin such a flow.
//!
//! Not read: drafts and other versions than 1 and 2 (counted by [`VersionClass`]), a second connection that uses the
//! same addresses and ports once the hellos of the first were read, and a server's Initial that is captured before the
//! client's.

mod assembly;
mod frame;
mod fuzz;
mod header;
mod keys;
mod observer;
mod read;
mod stats;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

#[doc(hidden)]
pub use fuzz::fuzz_quic;
pub use header::{Version, VersionClass, looks_like_initial};
pub use observer::{Observer, Scratch, Sink};
pub use stats::{End, Limits, Stats, Want};
