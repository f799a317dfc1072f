//! One direction: its records, the handshake messages in them, and where they end.

use super::read::length;
use super::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Header, Pushed};
use super::{Alert, Certificate, ClientHello, End, Limits, ServerHello, SessionId, Sink, Stats, Transport};
use net::Direction;

/// Most hellos of one direction: the second follows a hello retry request (RFC 8446 §4.1.4).
const MAX_HELLOS: u8 = 2;
/// Room made for a message that comes in pieces, in bytes: all but huge ones take one allocation, and a length that
/// is only claimed takes no more.
const FIRST_ROOM: usize = 4 << 10;

// Types of handshake messages (RFC 8446 §4, RFC 5246 §7.4).
const HELLO_REQUEST: u8 = 0;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;

/// What a lane needs beside its state.
pub(super) struct Context<'c, S> {
    pub(super) limits: &'c Limits,
    pub(super) stats: &'c mut Stats,
    pub(super) sink: &'c mut S,
    pub(super) dir: Direction,
    /// Session id of the last client hello of the connection.
    pub(super) offered: &'c mut SessionId,
}

impl<S: Sink> Context<'_, S> {
    /// No more of the lane is read; what it held is freed.
    pub(super) fn end(&mut self, lane: &mut Lane, end: End) {
        lane.end = true;
        lane.carry = Vec::new();
        if let Some(n) = self.stats.ends.get_mut(end as usize) {
            *n += 1;
        }
        self.sink.end(self.dir, end);
    }
}

/// One direction.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for alone")]
pub(super) struct Lane {
    header: Header,
    /// Content type of the record under way.
    kind: u8,
    /// Bytes of its fragment still to come.
    left: u16,
    /// The record under way holds one alert, and nothing else.
    one_alert: bool,
    /// Its level, where that has come.
    level: Option<u8>,
    hellos: u8,
    /// A record header was read.
    record: bool,
    /// A handshake message was met.
    begun: bool,
    /// A server hello was met.
    server: bool,
    /// The cipher was changed: what follows is encrypted, unless it is a hello of TLS 1.3, where that means nothing.
    changed: bool,
    end: bool,
    /// The beginning of a handshake message that is not whole yet, with its header.
    carry: Vec<u8>,
    /// Bytes of a handshake message still to come that nobody reads.
    skip: usize,
    /// Bytes taken.
    taken: u64,
    /// Bytes that came after the end.
    beyond: u64,
}

/// What to do with a handshake message of which the beginning is known.
enum Plan {
    /// So many bytes of it are needed first.
    Need(usize),
    /// Nobody reads it; its length.
    Skip(usize),
    /// To be read up to the first length; the second is that of the whole message.
    Read(usize, usize),
    /// No more is read.
    End(End),
}

impl Lane {
    pub(super) const fn has_ended(&self) -> bool {
        self.end
    }

    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) const fn beyond(&self) -> u64 {
        self.beyond
    }

    /// `n` bytes came after the end.
    pub(super) const fn pass(&mut self, n: usize) {
        self.beyond = self.beyond.saturating_add(n as u64);
    }

    pub(super) const fn held(&self) -> usize {
        self.carry.capacity()
    }

    /// Reads a piece.
    ///
    /// # Errors
    ///
    /// The end, and how many bytes of the piece were not read.
    pub(super) fn read<S: Sink>(&mut self, cx: &mut Context<'_, S>, bytes: &[u8]) -> Result<(), (End, usize)> {
        self.taken += bytes.len() as u64;
        let mut rest = bytes;
        while let Some((&byte, tail)) = rest.split_first() {
            if self.left == 0 {
                rest = tail;
                let ended = match self.header.push(byte) {
                    Pushed::More => continue,
                    Pushed::Whole(kind, len) => self.record(kind, len),
                    Pushed::Bad if self.record => Err(End::Broken),
                    Pushed::Bad => Err(End::NotTls),
                };
                ended.map_err(|end| (end, rest.len()))?;
                continue;
            }
            let (now, after) = rest.split_at_checked(usize::from(self.left)).unwrap_or((rest, &[]));
            self.left = u16::try_from(usize::from(self.left) - now.len()).unwrap_or(0);
            rest = after;
            match self.kind {
                HANDSHAKE => self.handshake(cx, now).map_err(|(end, unread)| (end, unread + rest.len()))?,
                ALERT if self.one_alert => self.alert(cx, now),
                _ => {}
            }
        }
        Ok(())
    }

    /// A record begins.
    fn record(&mut self, kind: u8, len: u16) -> Result<(), End> {
        (self.record, self.kind, self.left) = (true, kind, len);
        match kind {
            // Not in the middle of a message (RFC 8446 §5.1).
            APPLICATION_DATA if !self.carry.is_empty() || self.skip > 0 => return Err(End::Broken),
            APPLICATION_DATA => return Err(End::Opaque),
            CHANGE_CIPHER_SPEC => self.changed = true,
            ALERT => (self.one_alert, self.level) = (len == 2, None),
            _ => {}
        }
        Ok(())
    }

    fn alert<S: Sink>(&mut self, cx: &mut Context<'_, S>, now: &[u8]) {
        for &byte in now {
            // Otherwise it is the level, or ciphertext with an odd one.
            if let Some(level @ 1..=2) = self.level.replace(byte) {
                cx.stats.alerts += 1;
                cx.sink.alert(cx.dir, Alert { fatal: level == 2, description: byte });
            }
        }
    }

    /// A piece of the handshake, in which messages go on across records (RFC 8446 §5.1).
    fn handshake<S: Sink>(&mut self, cx: &mut Context<'_, S>, fragment: &[u8]) -> Result<(), (End, usize)> {
        let mut now = fragment;
        loop {
            let skipped = self.skip.min(now.len());
            self.skip -= skipped;
            now = now.get(skipped..).unwrap_or_default();
            let carried = !self.carry.is_empty();
            let message = if carried { &self.carry } else { now };
            let Some(plan) = self.plan(cx.limits, message) else { return Ok(()) };
            match plan {
                Plan::End(end) => return Err((end, now.len())),
                Plan::Need(_) if now.is_empty() => return Ok(()),
                Plan::Need(n) => {
                    let missing = n.saturating_sub(self.carry.len());
                    let (take, rest) = now.split_at_checked(missing).unwrap_or((now, &[]));
                    if self.carry.capacity() < n.min(FIRST_ROOM) {
                        self.carry.reserve_exact(n.min(FIRST_ROOM).saturating_sub(self.carry.len()));
                    }
                    self.carry.extend_from_slice(take);
                    now = rest;
                }
                Plan::Skip(len) => {
                    self.begun = true;
                    self.skip = len.saturating_sub(self.carry.len());
                    self.carry = Vec::new();
                }
                Plan::Read(len, whole) => {
                    self.begun = true;
                    self.skip = whole.saturating_sub(len);
                    let carry = std::mem::take(&mut self.carry);
                    let message = if carried {
                        &carry
                    } else {
                        let (message, rest) = now.split_at_checked(len).unwrap_or((now, &[]));
                        now = rest;
                        message
                    };
                    self.message(cx, message).map_err(|end| (end, now.len()))?;
                }
            }
        }
    }

    /// What to do with the message that begins so; `None` where nothing of it is there.
    fn plan(&self, limits: &Limits, message: &[u8]) -> Option<Plan> {
        let &kind = message.first()?;
        let is_hello = matches!(kind, CLIENT_HELLO | SERVER_HELLO);
        if self.changed && !is_hello {
            return Some(Plan::End(End::Opaque));
        }
        if !self.begun && !is_hello && kind != HELLO_REQUEST {
            return Some(Plan::End(End::NotTls));
        }
        let Some((&[_, a, b, c], body)) = message.split_first_chunk() else { return Some(Plan::Need(4)) };
        let whole = 4 + length(a, b, c);
        let read = |upto: usize| if message.len() < upto { Plan::Need(upto) } else { Plan::Read(upto, whole) };
        Some(match kind {
            CLIENT_HELLO | SERVER_HELLO => match body.first() {
                // Ciphertext may begin like a hello, up to a point.
                _ if self.changed && whole == 4 => Plan::End(End::Opaque),
                Some(major) if self.changed && *major != 3 => Plan::End(End::Opaque),
                None if self.changed => Plan::Need(5),
                _ if whole - 4 > limits.message_bytes => Plan::End(End::TooLong),
                _ => read(whole),
            },
            // The first certificate of the list (RFC 5246 §7.4.2): two lengths, then the leaf.
            CERTIFICATE if self.server && whole > 10 => match *body {
                [_, _, _, a, b, c, ..] if length(a, b, c) > limits.message_bytes => Plan::End(End::TooLong),
                [_, _, _, a, b, c, ..] => read(whole.min(10 + length(a, b, c))),
                _ => Plan::Need(10),
            },
            _ => Plan::Skip(whole),
        })
    }

    /// Reads a message, or as much of it as was planned.
    fn message<S: Sink>(&mut self, cx: &mut Context<'_, S>, message: &[u8]) -> Result<(), End> {
        let Some((&[kind, ..], body)) = message.split_first_chunk::<4>() else { return Ok(()) };
        if matches!(kind, CLIENT_HELLO | SERVER_HELLO) {
            if self.hellos == MAX_HELLOS {
                return Err(End::Broken);
            }
            self.hellos += 1;
        }
        match kind {
            CLIENT_HELLO => {
                let hello = ClientHello::parse(body, Transport::Tcp).map_err(|_| End::BadHello)?;
                *cx.offered = *hello.session_id();
                cx.stats.client_hellos += 1;
                cx.sink.client_hello(cx.dir, hello);
            }
            SERVER_HELLO => {
                let hello = ServerHello::parse(body, cx.offered).map_err(|_| End::BadHello)?;
                self.server = true;
                let encrypted = hello.is_tls13() && !hello.retry;
                cx.stats.server_hellos += 1;
                cx.sink.server_hello(cx.dir, hello);
                if encrypted {
                    return Err(End::Opaque);
                }
            }
            _ => match Certificate::parse(body.get(6..).unwrap_or_default()) {
                Ok(leaf) => {
                    cx.stats.certificates += 1;
                    cx.sink.certificate(cx.dir, leaf);
                }
                Err(_) => cx.stats.bad_certificates += 1,
            },
        }
        Ok(())
    }
}
