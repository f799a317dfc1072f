//! TLS on a flow: the handshake as an onlooker sees it and, where there are keys, what is inside.

use super::{Conn, Context, Protocol, role};
use crate::tls::decrypt::{self, Decryptor, Plaintext, Undecrypted};
use crate::tls::keys::Keys;
use crate::tls::{Alert, Certificate, ClientHello, End, Observer, ServerHello, Sink, Want};
use crate::{ExchangeId, Interest, PartSink, Shown};
use net::Direction::{self, ToClient, ToServer};
use std::fmt;

/// What opens TLS: keys, and what a worker has for all its flows.
pub struct Opener {
    /// What it may cost.
    pub limits: decrypt::Limits,
    /// Counters.
    pub stats: decrypt::Stats,
    /// Buffers.
    pub scratch: decrypt::Scratch,
    /// Keys.
    pub keys: Box<dyn Keys + Send>,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("limits", &self.limits).field("stats", &self.stats).finish_non_exhaustive()
    }
}

/// Both directions of one TLS connection.
#[derive(Debug)]
pub(super) struct Tls {
    observer: Observer,
    protocol: Protocol,
    /// Authority of the CONNECT tunnel it goes through.
    via: Option<Box<str>>,
    /// The true roles are the reverse of those `net` knows; `None` while neither hello nor tunnel has told.
    flipped: Option<bool>,
    /// Somebody still wants to know more of the handshake.
    wanted: bool,
    /// The end of the handshake was told.
    told: bool,
    inside: Option<Box<Inside>>,
}

/// What keys may open.
#[derive(Debug)]
struct Inside {
    decryptor: Decryptor,
    conn: Option<Conn>,
    /// The first exchange.
    first: ExchangeId,
    depth: u8,
    /// The handshake settled on HTTP/2.
    http2: bool,
    /// What is inside is of no interest.
    dull: bool,
}

impl Tls {
    pub(super) fn new<S: PartSink>(
        cx: &mut Context<'_, S>,
        protocol: Protocol,
        via: Option<Box<str>>,
        flipped: bool,
        (first, depth): (ExchangeId, u8),
    ) -> Self {
        let flipped = via.is_some().then_some(flipped);
        let inside = cx.sink.lend().and_then(|opener| {
            let decryptor = opener.keys.any().then(Decryptor::new);
            cx.sink.give_back(opener);
            decryptor.map(|decryptor| {
                Box::new(Inside { decryptor, conn: None, first, depth: depth + 1, http2: false, dull: false })
            })
        });
        Self { observer: Observer::new(), protocol, via, flipped, wanted: true, told: false, inside }
    }

    /// What it holds on the heap, in bytes, with itself.
    pub(super) fn held_bytes(&self) -> usize {
        let inside = self.inside.as_deref().map_or(0, |inside| {
            size_of::<Inside>() + inside.decryptor.held() + inside.conn.as_ref().map_or(0, Conn::held_bytes)
        });
        size_of::<Self>() + self.observer.held() + inside
    }

    pub(super) fn flipped(&self) -> Option<bool> {
        self.flipped
    }

    /// The next bytes of a direction. Gives the protocol where no more is read.
    pub(super) fn bytes<S: PartSink>(
        &mut self,
        cx: &mut Context<'_, S>,
        dir: Direction,
        data: &[u8],
    ) -> Option<Protocol> {
        let (observer, mut told) = self.told(cx.sink);
        let want = observer.feed(&cx.limits.tls, &mut cx.stats.tls, dir, data, &mut told);
        let unread = match (want, &self.inside) {
            (Want::Nothing(unread), None) => unread,
            (Want::More, None) => 0,
            (_, Some(_)) => {
                let fed = self.open(cx, |decryptor, keys, plain| decryptor.feed(keys, dir, data, plain));
                // Where the keys are with another connection, nothing of this one is read.
                match fed.unwrap_or(Want::Nothing(data.len())) {
                    Want::Nothing(unread) => unread,
                    Want::More => 0,
                }
            }
        };
        self.protocol.count(cx.stats, unread);
        self.over(cx)
    }

    pub(super) fn gap<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction, n: u64) -> Option<Protocol> {
        let (observer, mut told) = self.told(cx.sink);
        observer.gap(&mut cx.stats.tls, dir, n, &mut told);
        self.open(cx, |decryptor, keys, plain| decryptor.gap(keys, dir, n, plain));
        self.over(cx)
    }

    pub(super) fn fin<S: PartSink>(&mut self, cx: &mut Context<'_, S>, dir: Direction) -> Option<Protocol> {
        let (observer, mut told) = self.told(cx.sink);
        observer.finish(&mut cx.stats.tls, dir, &mut told);
        self.open(cx, |decryptor, keys, plain| {
            decryptor.finish(keys, dir);
            plain.closed(dir);
        });
        self.over(cx)
    }

    pub(super) fn close<S: PartSink>(&mut self, cx: &mut Context<'_, S>) {
        let (observer, mut told) = self.told(cx.sink);
        observer.finish(&mut cx.stats.tls, ToServer, &mut told);
        observer.finish(&mut cx.stats.tls, ToClient, &mut told);
        self.open(cx, |decryptor, keys, _| {
            decryptor.finish(keys, ToServer);
            decryptor.finish(keys, ToClient);
        });
        self.end(cx);
    }

    /// Lets the decryptor do something, if there is one; what it reads goes inside.
    fn open<S: PartSink, R>(
        &mut self,
        cx: &mut Context<'_, S>,
        act: impl FnOnce(&mut Decryptor, &mut decrypt::Context<'_>, &mut Plain<'_, '_, S>) -> R,
    ) -> Option<R> {
        let Self { inside, via, flipped, .. } = self;
        let Inside { decryptor, conn, first, depth, http2, dull } = &mut **inside.as_mut()?;
        let mut opener = cx.sink.lend()?;
        let Opener { limits, stats, scratch, keys } = &mut *opener;
        let mut context = decrypt::Context { limits, stats, scratch, keys: &**keys };
        let flipped = flipped.unwrap_or(false);
        let mut plain = Plain { cx, conn, via, flipped, first: *first, depth: *depth, http2, dull };
        let done = act(decryptor, &mut context, &mut plain);
        cx.sink.give_back(opener);
        Some(done)
    }

    fn over<S: PartSink>(&mut self, cx: &mut Context<'_, S>) -> Option<Protocol> {
        let read = !self.wanted || self.observer.is_over(&cx.limits.tls);
        let waits = |inside: &Inside| inside.conn.is_none() && !inside.decryptor.is_over();
        // Until it is known whether the keys open it.
        let waiting = self.inside.as_deref().is_some_and(waits);
        if read && !waiting && !std::mem::replace(&mut self.told, true) {
            cx.sink.shown(self.via.as_deref(), Shown::Over);
        }
        let opened = self.inside.as_ref().is_none_or(|inside| inside.dull || inside.decryptor.is_over());
        if !(read && opened) {
            return None;
        }
        self.end(cx);
        Some(self.protocol)
    }

    /// Everything told and open ends.
    fn end<S: PartSink>(&mut self, cx: &mut Context<'_, S>) {
        if let Some(conn) = self.inside.as_mut().and_then(|inside| inside.conn.as_mut()) {
            conn.over(cx);
        }
        self.inside = None;
        if !std::mem::replace(&mut self.told, true) {
            cx.sink.shown(self.via.as_deref(), Shown::Over);
        }
    }

    fn told<'t, S>(&'t mut self, sink: &'t mut S) -> (&'t mut Observer, Told<'t, S>) {
        let Self { observer, via, flipped, wanted, inside, .. } = self;
        (observer, Told { sink, via: via.as_deref(), flipped, wanted, inside: inside.as_deref_mut() })
    }
}

/// Hands on what the observer reads.
struct Told<'t, S> {
    sink: &'t mut S,
    via: Option<&'t str>,
    flipped: &'t mut Option<bool>,
    wanted: &'t mut bool,
    inside: Option<&'t mut Inside>,
}

impl<S: PartSink> Sink for Told<'_, S> {
    fn client_hello(&mut self, dir: Direction, hello: ClientHello) {
        self.flipped.get_or_insert(dir == ToClient);
        *self.wanted = self.sink.shown(self.via, Shown::ClientHello(&hello));
        if let Some(inside) = &mut self.inside {
            inside.decryptor.client_hello(dir, &hello);
        }
    }

    fn server_hello(&mut self, dir: Direction, hello: ServerHello) {
        self.flipped.get_or_insert(dir == ToServer);
        *self.wanted = self.sink.shown(self.via, Shown::ServerHello(&hello));
        if let Some(inside) = &mut self.inside {
            inside.http2 |= hello.alpn.has(b"h2");
            inside.decryptor.server_hello(dir, &hello);
        }
    }

    fn certificate(&mut self, _: Direction, leaf: Certificate) {
        *self.wanted = self.sink.shown(self.via, Shown::Certificate(&leaf));
    }

    fn alert(&mut self, _: Direction, _: Alert) {}

    fn end(&mut self, _: Direction, _: End) {}
}

/// Takes what was encrypted to the reader of what is inside.
struct Plain<'p, 'c, S> {
    cx: &'p mut Context<'c, S>,
    conn: &'p mut Option<Conn>,
    via: &'p Option<Box<str>>,
    flipped: bool,
    first: ExchangeId,
    depth: u8,
    http2: &'p mut bool,
    dull: &'p mut bool,
}

impl<'c, S: PartSink> Plain<'_, 'c, S> {
    fn conn(&mut self) -> (&mut Conn, &mut Context<'c, S>) {
        let Self { cx, conn, via, first, depth, http2, .. } = self;
        let conn = conn.get_or_insert_with(|| {
            cx.sink.shown(via.as_deref(), Shown::Opened(*first));
            Conn::inside(*first, via.clone(), **http2, *depth)
        });
        (conn, cx)
    }
}

impl<S: PartSink> Plaintext for Plain<'_, '_, S> {
    fn data(&mut self, dir: Direction, bytes: &[u8]) {
        let dir = role(self.flipped, dir);
        let (conn, cx) = self.conn();
        let interest = conn.feed(cx, dir, bytes);
        *self.dull = interest != Interest::More;
    }

    fn lost(&mut self, dir: Direction, bytes: u64) {
        let dir = role(self.flipped, dir);
        let (conn, cx) = self.conn();
        conn.lose(cx, dir, bytes.max(1));
    }

    fn alpn(&mut self, name: &[u8]) {
        *self.http2 |= name == b"h2";
        self.cx.sink.shown(self.via.as_deref(), Shown::Protocol(name));
    }

    fn closed(&mut self, dir: Direction) {
        let dir = role(self.flipped, dir);
        if let Some(conn) = &mut self.conn {
            conn.end(self.cx, dir);
        }
    }

    fn failed(&mut self, _: Direction, _: Undecrypted) {}
}
