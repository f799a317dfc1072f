//! DNS (RFC 1035): which names are asked for, and where the answers say that they are (RFC 3596, RFC 9460).
//!
//! [`Message::read`] takes no memory and stops at the question, so that a caller who is not interested in the name pays
//! for little more than reading it; [`Message::records`] goes on from there. [`Stream`] cuts the messages out of a TCP
//! connection.
//!
//! For [`PORT`] only. Multicast DNS (5353) and LLMNR (5355) look much the same, but there anybody answers for himself,
//! and names mean something on one link only. Authority and additional sections, and with them EDNS, are not read.

mod answer;
mod fuzz;
mod message;
mod name;
mod record;
mod reverse;
mod stream;
#[cfg(test)]
mod tests;

pub use answer::{Answer, MAX_ADDRESSES, answer};
#[doc(hidden)]
pub use fuzz::fuzz_dns;
pub use message::{Message, kind};
pub use name::{MAX_NAME, Name};
pub use record::{MAX_ALIASES, MAX_RECORDS, Pointer, Record, Records, Service};
pub use reverse::address_of;
pub use stream::{Limits, Stats, Stream, Want};

/// The port of name servers, on UDP and TCP.
pub const PORT: u16 = 53;
