//! Which way of hiding which trick stands for. The lines follow the project's list of tricks, item by item.

mod clear;
mod streams;

/// Where a way of hiding belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Link, IP, TCP.
    Network,
    /// HTTP/1.
    Http,
    /// Content codings.
    Codings,
    /// JSON and JSON-RPC.
    Json,
    /// HTTP/2, `WebSocket`, event streams.
    Streams,
    /// TLS, QUIC, DNS.
    Names,
}

impl Area {
    /// Every area, in order.
    pub const ALL: [Self; 6] = [Self::Network, Self::Http, Self::Codings, Self::Json, Self::Streams, Self::Names];

    /// A heading.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Network => "IP and TCP",
            Self::Http => "HTTP/1",
            Self::Codings => "Content codings",
            Self::Json => "JSON",
            Self::Streams => "HTTP/2, WebSocket, event streams",
            Self::Names => "TLS, QUIC, DNS",
        }
    }
}

/// What stands for a way of hiding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Tricks, by name.
    Tricks(&'static [&'static str]),
    /// Nothing yet, and why.
    Later(&'static str),
}

/// One way of hiding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where it belongs.
    pub area: Area,
    /// What it is.
    pub what: &'static str,
    /// What stands for it.
    pub cover: Cover,
}

const fn by(area: Area, what: &'static str, names: &'static [&'static str]) -> Item {
    Item { area, what, cover: Cover::Tricks(names) }
}

const fn later(area: Area, what: &'static str, why: &'static str) -> Item {
    Item { area, what, cover: Cover::Later(why) }
}

/// Every way of hiding, and what stands for it.
pub fn checklist() -> impl Iterator<Item = &'static Item> {
    clear::ITEMS.iter().chain(streams::ITEMS)
}
