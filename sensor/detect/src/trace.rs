//! Traces of MCP where none is spoken: a model call that has the provider speak it, software of a server being fetched,
//! a registry being asked, a link that installs a server. They are kept apart from the signals of MCP itself: a page
//! visit or a document says nothing against them, and they make no server.

use crate::hosts::Category;
use crate::{Confidence, Signal, Weight};

/// Most signals kept of the traces of one exchange.
const MAX_SIGNALS: usize = 16;

/// What kind of trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trace {
    /// The provider of a model is to speak MCP for its caller.
    Provider,
    /// A package, image or bundle of a server is fetched.
    Supply,
    /// A link that installs a server is followed.
    Install,
    /// A registry of servers is asked.
    Registry,
}

impl Trace {
    /// All of them, the most telling first.
    pub const ALL: [Self; 4] = [Self::Provider, Self::Supply, Self::Install, Self::Registry];

    /// Stable word for records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Provider => "remote-mcp-by-provider",
            Self::Supply => "mcp-supply",
            Self::Install => "mcp-install",
            Self::Registry => "mcp-registry",
        }
    }

    /// The trace that a place of this category leaves.
    pub const fn of(category: Category) -> Option<Self> {
        match category {
            Category::SupplyChain => Some(Self::Supply),
            Category::InstallLink => Some(Self::Install),
            Category::Catalog => Some(Self::Registry),
            _ => None,
        }
    }
}

/// The traces of one exchange.
#[derive(Clone, Debug, Default)]
pub struct TraceSeen {
    /// Their signals; at most 16.
    pub signals: Vec<(Trace, Signal)>,
    /// What the request fetches or installs.
    pub supply: Option<mcp::Supply>,
}

impl TraceSeen {
    /// Adds a signal, once by id.
    pub fn signal(&mut self, trace: Trace, signal: Signal) {
        if self.signals.len() < MAX_SIGNALS && !self.signals.iter().any(|(_, s)| s.id == signal.id && s.on == signal.on)
        {
            self.signals.push((trace, signal));
        }
    }

    /// Adds those of a later part of the same exchange.
    pub fn join(&mut self, other: Self) {
        for (trace, signal) in other.signals {
            self.signal(trace, signal);
        }
        self.supply = self.supply.take().or(other.supply);
    }

    /// What the signals amount to, leaving out the kinds that `speaks_against`: a strong one makes it likely, a medium
    /// one or two weak ones possible, as with MCP itself.
    pub fn verdict(&self, speaks_against: impl Fn(Trace) -> bool) -> Option<(Trace, Confidence)> {
        let of = |trace: Trace| {
            let weights = || self.signals.iter().filter(|(t, _)| *t == trace).map(|(_, s)| s.weight);
            if weights().any(|w| w >= Weight::Strong) {
                Some((trace, Confidence::Likely))
            } else if weights().any(|w| w == Weight::Medium) || weights().filter(|w| *w == Weight::Weak).count() >= 2 {
                Some((trace, Confidence::Possible))
            } else {
                None
            }
        };
        Trace::ALL.into_iter().filter(|trace| !speaks_against(*trace)).find_map(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SignalKind;

    #[test]
    fn weak_signs_count_in_pairs_and_only_among_their_kind() {
        use Weight::{Info, Medium, Strong, Weak};
        for (signals, against, want) in [
            (&[][..], None, None),
            (&[(Trace::Supply, Weak)], None, None),
            (&[(Trace::Supply, Weak), (Trace::Registry, Weak)], None, None),
            (&[(Trace::Supply, Weak), (Trace::Supply, Weak)], None, Some((Trace::Supply, Confidence::Possible))),
            (&[(Trace::Supply, Weak), (Trace::Supply, Info)], None, None),
            (&[(Trace::Registry, Medium)], None, Some((Trace::Registry, Confidence::Possible))),
            (&[(Trace::Registry, Medium)], Some(Trace::Registry), None),
            (
                &[(Trace::Registry, Medium), (Trace::Provider, Strong)],
                None,
                Some((Trace::Provider, Confidence::Likely)),
            ),
        ] {
            let mut seen = TraceSeen::default();
            for (n, (trace, weight)) in signals.iter().enumerate() {
                let (id, on, kind) = (format!("x.{n}"), "url".to_owned(), SignalKind::Signature);
                seen.signal(*trace, Signal { id, kind, on, weight: *weight, excerpt: String::new(), offset: 0 });
            }
            assert_eq!(seen.verdict(|trace| against == Some(trace)), want, "{signals:?}");
        }
    }
}
