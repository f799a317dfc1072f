//! What both directions of a connection share: the hellos, the secrets, early data.

use super::cipher::Suite;
use super::{Context, Plaintext, Stats, Undecrypted};
use crate::coding::Charge;
use crate::tls::keys::{Label, Secret, SessionKeys};
use crate::tls::{ClientHello, ServerHello, Version};
use net::Direction;

/// Which of the two ways of TLS to protect records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The server hello was not seen.
    Unknown,
    Tls13,
    /// TLS 1.2 and below.
    Tls12,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    /// The direction of the client.
    pub(super) client: Option<Direction>,
    pub(super) client_random: Option<[u8; 32]>,
    pub(super) server: Option<Server>,
    /// The server asked for a second hello, which only TLS 1.3 has.
    retried: bool,
    /// What is known of the session, until both directions have their last keys.
    session: Option<Box<SessionKeys>>,
    /// By direction: it has its last keys.
    settled: [bool; 2],
    /// The suite that the server chose, or that fits.
    pub(super) suite: Option<Suite>,
    /// A record was decrypted.
    opened: bool,
    /// Counted as one without keys.
    keyless: bool,
    early: Early,
}

/// What the server hello said.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) version: Version,
    pub(super) cipher: u16,
    pub(super) random: [u8; 32],
}

/// Early data (RFC 8446 §2.3).
#[derive(Debug, Default)]
struct Early {
    offered: bool,
    /// Whether the server accepted them.
    verdict: Option<bool>,
    /// Plaintext without a verdict.
    held: Vec<u8>,
    charge: Option<Charge>,
    /// Bytes that did not fit.
    over: u64,
}

impl Shared {
    pub(super) fn client_hello(&mut self, dir: Direction, hello: &ClientHello) {
        // A second one, after a hello retry request, has the same random value (RFC 8446 §4.1.2).
        if self.client_random.is_none() {
            self.client = Some(dir);
            self.client_random = Some(*hello.random().bytes());
            self.early.offered = hello.early_data;
        }
    }

    pub(super) fn server_hello(&mut self, dir: Direction, hello: &ServerHello) {
        if self.server.is_some() {
            return;
        }
        if self.client.is_none() {
            self.client = Some(dir.reverse());
        }
        if hello.retry || !hello.resumed || !hello.is_tls13() {
            // Early data are only accepted together with a key known before (RFC 8446 §4.2.10).
            self.early.offered = self.early.offered && hello.is_tls13();
            self.early.verdict = self.early.offered.then_some(false);
            self.early.over += std::mem::take(&mut self.early.held).len() as u64;
            self.early.charge = None;
        }
        let (version, cipher, random) = (hello.version, hello.cipher, *hello.random().bytes());
        // It is the same in a hello retry request and the hello after it (§4.1.4).
        self.suite = if hello.is_tls13() { Suite::tls13(cipher) } else { Suite::tls12(cipher) }.ok();
        if hello.retry {
            self.retried = true;
        } else {
            self.server = Some(Server { version, cipher, random });
        }
    }

    pub(super) fn mode(&self) -> Mode {
        match &self.server {
            None if self.retried => Mode::Tls13,
            None => Mode::Unknown,
            Some(server) if server.version >= Version::TLS13 => Mode::Tls13,
            Some(_) => Mode::Tls12,
        }
    }

    /// What no keys can help against.
    pub(super) fn obstacle(&self) -> Option<Undecrypted> {
        let server = self.server.as_ref()?;
        match self.mode() {
            Mode::Unknown => None,
            Mode::Tls13 => Suite::tls13(server.cipher).err(),
            Mode::Tls12 if server.version < Version::TLS12 => Some(Undecrypted::OldVersion),
            Mode::Tls12 => Suite::tls12(server.cipher).err(),
        }
    }

    /// The suites that may be in use with a secret of so many bytes.
    pub(super) fn suites(&self, secret_len: usize) -> impl Iterator<Item = Suite> + use<> {
        let (chosen, unknown) = (self.suite, self.mode() == Mode::Unknown);
        Suite::ALL
            .into_iter()
            .filter(move |suite| suite.secret_len() == secret_len && chosen.map_or(unknown, |chosen| chosen == *suite))
    }

    /// Asks again for what is known of the session.
    pub(super) fn look_up(&mut self, cx: &Context<'_>) {
        if let Some(random) = &self.client_random {
            let mut session = self.session.take().unwrap_or_default();
            cx.keys.fill(random, &mut session);
            self.session = Some(session).filter(|session| !session.is_empty());
        }
    }

    pub(super) fn secret(&self, label: Label) -> Option<&Secret> {
        self.session.as_ref()?.get(label)
    }

    pub(super) fn knows(&self, label: Label) -> bool {
        self.secret(label).is_some()
    }

    /// `dir` has its last keys, or needs none any more.
    pub(super) fn settled(&mut self, dir: Direction) {
        if let Some(settled) = self.settled.get_mut(dir.index()) {
            *settled = true;
        }
        if self.settled == [true; 2] {
            self.session = None;
        }
    }

    /// A record was decrypted.
    pub(super) fn opened(&mut self, stats: &mut Stats) {
        stats.records += 1;
        if !self.opened {
            self.opened = true;
            let sessions =
                if self.mode() == Mode::Tls12 { &mut stats.tls12_sessions } else { &mut stats.tls13_sessions };
            *sessions += 1;
        }
    }

    /// The connection is over, and records passed for want of keys.
    pub(super) fn keyless(&mut self, stats: &mut Stats) {
        if !self.opened && !self.keyless {
            self.keyless = true;
            stats.keyless_sessions += 1;
        }
    }

    /// Whether records of the client may still be early data.
    pub(super) fn early_pending(&self) -> bool {
        self.early.offered
    }

    /// No more early data come; `accepted` where that was not known before.
    pub(super) fn early_over(&mut self, accepted: bool, stats: &mut Stats, sink: &mut impl Plaintext) {
        self.settle(accepted, stats, sink);
        self.early.offered = false;
    }

    /// The server said whether it takes early data, or the client showed that it knows.
    pub(super) fn settle(&mut self, accepted: bool, stats: &mut Stats, sink: &mut impl Plaintext) {
        if !self.early.offered || self.early.verdict.is_some() {
            return;
        }
        self.early.verdict = Some(accepted);
        let Some(client) = self.client.filter(|_| accepted) else {
            self.drop_early(stats);
            return;
        };
        let (held, over) = (std::mem::take(&mut self.early.held), std::mem::take(&mut self.early.over));
        self.early.charge = None;
        stats.early_accepted += 1;
        if !held.is_empty() {
            stats.plaintext_bytes += held.len() as u64;
            sink.data(client, &held);
        }
        if over > 0 {
            stats.lose(Undecrypted::EarlyData, over);
            sink.lost(client, over);
        }
    }

    /// A record of early data was not read.
    pub(super) fn early_lost(&mut self, bytes: u64) {
        self.early.over += bytes;
    }

    /// Early data of the client.
    pub(super) fn early_data(&mut self, cx: &mut Context<'_>, dir: Direction, bytes: &[u8], sink: &mut impl Plaintext) {
        match self.early.verdict {
            Some(true) => {
                cx.stats.plaintext_bytes += bytes.len() as u64;
                sink.data(dir, bytes);
            }
            Some(false) => cx.stats.lose(Undecrypted::EarlyData, bytes.len() as u64),
            None => {
                if self.early.over > 0 || !self.hold(cx, bytes) {
                    self.early.over += bytes.len() as u64;
                }
            }
        }
    }

    fn hold(&mut self, cx: &Context<'_>, bytes: &[u8]) -> bool {
        let early = &mut self.early;
        let all = early.held.len() + bytes.len();
        if all > cx.limits.early_bytes {
            return false;
        }
        let charge = early.charge.get_or_insert_with(|| cx.limits.held.entry());
        if !charge.set(all as u64) {
            return false;
        }
        early.held.reserve_exact(bytes.len());
        early.held.extend_from_slice(bytes);
        true
    }

    /// Nobody will say any more whether early data were accepted.
    pub(super) fn drop_early(&mut self, stats: &mut Stats) {
        let held = std::mem::take(&mut self.early.held);
        self.early.charge = None;
        stats.lose(Undecrypted::EarlyData, held.len() as u64 + std::mem::take(&mut self.early.over));
    }

    pub(super) fn held(&self) -> usize {
        self.early.held.capacity()
    }
}
