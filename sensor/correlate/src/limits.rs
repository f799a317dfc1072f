//! What the serial stage may keep, in bytes, and what things weigh.
//!
//! Weights are estimates: the bytes of the texts, the size of the structs, and a share of what maps and the allocator
//! take beside. They depend on what was seen alone, never on capacities, so that a limit is met at the same packet
//! whatever the number of threads. They err on the high side.

/// Limits of the serial stage, in bytes. What cannot be kept is counted in the final totals under `limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Exchanges with news still to come. Over it the one that has been quiet longest is decided early
    /// (`open_exchanges`).
    pub open: usize,
    /// Conversations. Over it the one that would end first is ended (`conversations`).
    pub conversations: usize,
    /// Servers. Over it a further server has detections only (`servers`), and nothing more is learnt of known ones
    /// (`server_facts`).
    pub servers: usize,
    /// What servers offer. Over it that of the server that was asked longest ago is forgotten (`catalogues`).
    pub catalogues: usize,
    /// Names: half of it for those of servers with their addresses (`names`), an eighth each for those that clients
    /// asked for (`names_asked_for`), leases of DHCP (`leases`), names of clients (`client_names`), and MAC addresses with
    /// names that wait for a lease (`mac_addresses`). Over it the oldest is forgotten.
    pub names: usize,
}

impl Limits {
    /// Total of the default limits, in bytes.
    pub const DEFAULT_BYTES: usize = 192 << 20;

    /// Shares out `total` bytes: three eighths for exchanges, a quarter each for conversations and servers (of that a
    /// quarter for what they offer), the rest for names.
    pub const fn of(total: usize) -> Self {
        let eighth = total / 8;
        let catalogues = eighth / 2;
        Self {
            open: 3 * eighth,
            conversations: 2 * eighth,
            servers: 2 * eighth - catalogues,
            catalogues,
            names: eighth,
        }
    }

    /// Share of [`Self::names`] for names of servers.
    pub(crate) const fn of_servers(&self) -> usize {
        self.names / 2
    }

    /// Share of [`Self::names`] for each of the tables about clients.
    pub(crate) const fn of_clients(&self) -> usize {
        self.names / 8
    }

    /// All of them together, in bytes.
    pub const fn total(&self) -> usize {
        self.open + self.conversations + self.servers + self.catalogues + self.names
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(Self::DEFAULT_BYTES)
    }
}

/// Share of the allocator in one allocation, in bytes.
const ALLOCATION: usize = 16;
/// One entry of a map or a set beside what it holds, in bytes: nodes are about half full.
pub(crate) const ENTRY: usize = 48;

/// A text on the heap.
pub(crate) const fn text(text: &str) -> usize {
    text.len() + ALLOCATION
}

/// A text that may be there.
pub(crate) fn some_text(some: Option<&String>) -> usize {
    some.map_or(0, |t| text(t))
}

/// A text as an entry of a set.
pub(crate) const fn name(name: &str) -> usize {
    text(name) + size_of::<String>() + ENTRY
}

/// The id of a call.
pub(crate) fn id(id: &mcp::Id) -> usize {
    match id {
        mcp::Id::Number(t) | mcp::Id::Text(t) => text(t),
        mcp::Id::Null => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_of_a_detection_are_kept_up_to_their_limit_and_the_rest_is_counted() {
        let mut unit = crate::unit::Unit::new(0, net::Timestamp(0), net::Place::default());
        let signal = |n: usize| detect::Signal {
            id: format!("s{n}"),
            kind: detect::SignalKind::Signature,
            on: "request.body".to_owned(),
            weight: detect::Weight::Weak,
            excerpt: String::new(),
            offset: 0,
        };
        for (n, not_kept) in [(detect::MAX_SIGNALS, 0), (detect::MAX_SIGNALS + 2, 2)] {
            // The second time round all but two are known.
            (0..n).for_each(|n| unit.signals.add(signal(n)));
            assert_eq!((unit.signals.len(), unit.signals.not_kept), (detect::MAX_SIGNALS, not_kept));
        }
    }

    #[test]
    fn shares_add_up_to_no_more_than_the_whole() {
        for total in [0, 7, 8, 1 << 20, Limits::DEFAULT_BYTES] {
            let limits = Limits::of(total);
            assert!(limits.total() <= total && limits.total() + 8 > total, "{total}");
        }
    }
}
