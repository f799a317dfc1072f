//! An answer to keep: a name and its addresses.

use super::{Message, Record};
use std::net::IpAddr;

/// Most addresses taken from one answer.
pub const MAX_ADDRESSES: usize = 32;

/// What one response says of the name it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name of the question, lower case, without the final dot.
    pub name: String,
    /// Its addresses, each once: of A and AAAA records, those behind aliases included, and the hints of HTTPS and SVCB
    /// records.
    pub addresses: Vec<IpAddr>,
}

impl Answer {
    /// The addresses that a message gives for the name in question. `None` where it gives none, or cannot be read to
    /// its end.
    pub fn of(message: &Message<'_>) -> Option<Self> {
        let (mut records, mut addresses) = (message.records(), Vec::new());
        let mut put = |address| {
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        };
        for record in &mut records {
            match record {
                Record::Address(address) => put(address),
                Record::Service(service) => service.addresses().for_each(&mut put),
                Record::Pointer(_) => {}
            }
        }
        let usable = !addresses.is_empty() && !records.is_bad();
        usable.then(|| Self { name: message.name().as_str().to_owned(), addresses })
    }
}

/// Reads a response to one question; `None` for anything else, and where it gives no address.
pub fn answer(message: &[u8]) -> Option<Answer> {
    Answer::of(&Message::read(message)?)
}
