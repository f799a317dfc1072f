//! One direction: its records, and which of them are encrypted.

use super::cipher::{Cipher, Suite};
use super::open::Opener;
use super::shared::{Mode, Shared};
use super::{Plaintext, Undecrypted};
use crate::coding::Charge;
use crate::tls::keys::Label;
use crate::tls::record::{APPLICATION_DATA, CHANGE_CIPHER_SPEC, HEADER, Header, Pushed};
use net::Direction;

/// What a lane needs beside its state.
pub(super) struct Context<'c, 'o, P> {
    pub(super) outer: &'c mut super::Context<'o>,
    pub(super) shared: &'c mut Shared,
    pub(super) dir: Direction,
    pub(super) sink: &'c mut P,
}

impl<P> Context<'_, '_, P> {
    /// Whether this is the direction of the client.
    pub(super) fn is_client(&self) -> bool {
        self.shared.client == Some(self.dir)
    }

    /// The secrets of this direction: of the handshake, and of what follows.
    pub(super) fn labels(&self) -> (Label, Label) {
        if self.is_client() {
            (Label::ClientHandshake, Label::ClientTraffic)
        } else {
            (Label::ServerHandshake, Label::ServerTraffic)
        }
    }

    /// The keys of this direction in TLS 1.2.
    pub(super) fn cipher12(&self) -> Option<Cipher> {
        let server = self.shared.server.as_ref()?;
        let randoms = [self.shared.client_random.as_ref()?, &server.random];
        let suite = Suite::tls12(server.cipher).ok()?;
        Cipher::tls12(suite, self.shared.secret(Label::Master)?, self.is_client(), randoms)
    }
}

impl<P: Plaintext> Context<'_, '_, P> {
    /// Where this is the client: it went on to the keys after those of early data.
    pub(super) fn early_over(&mut self, accepted: bool) {
        if self.is_client() {
            self.shared.early_over(accepted, self.outer.stats, self.sink);
        }
    }
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Lane {
    header: Header,
    /// Header of the record under way.
    head: [u8; HEADER],
    /// Length of its fragment, and what of it is still to come.
    len: u16,
    left: u16,
    /// It is to be decrypted.
    take: bool,
    /// What of it has come, where it is not whole in one piece.
    carry: Option<Carry>,
    /// The cipher was changed; means something in TLS 1.2 only.
    changed: bool,
    opener: Opener,
    over: bool,
    why: Option<Undecrypted>,
}

#[derive(Debug)]
struct Carry {
    bytes: Vec<u8>,
    /// Held for as long as the bytes are.
    _charge: Charge,
}

impl Lane {
    pub(super) const fn has_ended(&self) -> bool {
        self.over
    }

    pub(super) const fn is_open(&self) -> bool {
        self.opener.is_open()
    }

    pub(super) const fn is_keyless(&self) -> bool {
        self.opener.is_keyless()
    }

    pub(super) const fn why(&self) -> Option<Undecrypted> {
        self.why
    }

    pub(super) fn held(&self) -> usize {
        self.opener.held() + self.carry.as_ref().map_or(0, |carry| carry.bytes.capacity())
    }

    /// Reads a piece.
    ///
    /// # Errors
    ///
    /// Why no more can be read, and how many bytes of the piece were not taken.
    pub(super) fn feed<P: Plaintext>(
        &mut self,
        cx: &mut Context<'_, '_, P>,
        bytes: &[u8],
    ) -> Result<(), (Undecrypted, usize)> {
        let mut rest = bytes;
        while let Some((&byte, tail)) = rest.split_first() {
            if self.left == 0 {
                rest = tail;
                let begun = match self.header.push(byte) {
                    Pushed::More => continue,
                    Pushed::Whole(kind, len) => self.begin(cx, kind, len),
                    Pushed::Bad => Err(Undecrypted::Broken),
                };
                begun.map_err(|why| (why, rest.len()))?;
                continue;
            }
            let (now, after) = rest.split_at_checked(usize::from(self.left)).unwrap_or((rest, &[]));
            self.left -= u16::try_from(now.len()).unwrap_or(self.left);
            rest = after;
            if !self.take {
                continue;
            }
            let done = if self.left == 0 && self.carry.is_none() {
                self.opener.open(cx, self.head, now)
            } else {
                self.collect(cx, now)
            };
            done.map_err(|why| (why, rest.len()))?;
            self.take &= self.left > 0;
        }
        Ok(())
    }

    /// A record begins.
    fn begin<P: Plaintext>(&mut self, cx: &mut Context<'_, '_, P>, kind: u8, len: u16) -> Result<(), Undecrypted> {
        (self.head, self.len, self.left, self.take) = (self.header.bytes(), len, len, false);
        let mode = cx.shared.mode();
        let sealed = match mode {
            Mode::Tls13 => kind == APPLICATION_DATA,
            Mode::Tls12 if self.changed => true,
            Mode::Tls12 if kind == APPLICATION_DATA => return Err(Undecrypted::Broken),
            Mode::Tls12 => false,
            // The server begins with its hello, which was not seen yet.
            Mode::Unknown if !cx.is_client() => kind == APPLICATION_DATA,
            Mode::Unknown => kind == APPLICATION_DATA || (self.changed && kind != CHANGE_CIPHER_SPEC),
        };
        self.changed |= kind == CHANGE_CIPHER_SPEC;
        if !sealed {
            return Ok(());
        }
        let ready = self.opener.is_ready(cx, u64::from(len) + HEADER as u64)?;
        // Without a server hello only TLS 1.3 can be ready, where all that is encrypted looks like application data.
        self.take = ready && (mode == Mode::Tls12 || kind == APPLICATION_DATA);
        if self.take && len == 0 {
            self.opener.open(cx, self.head, &[])?;
            self.take = false;
        }
        Ok(())
    }

    /// Keeps a part of a record; reads it once it is whole.
    fn collect<P: Plaintext>(&mut self, cx: &mut Context<'_, '_, P>, now: &[u8]) -> Result<(), Undecrypted> {
        let carry = match self.carry.take() {
            Some(carry) => Some(carry),
            None => cx.outer.limits.held.charge(u64::from(self.len)).map(|charge| {
                let mut bytes = cx.outer.scratch.take();
                bytes.reserve_exact(usize::from(self.len));
                Carry { bytes, _charge: charge }
            }),
        };
        let Some(mut carry) = carry else {
            self.pass_over(cx, Undecrypted::Memory);
            return Ok(());
        };
        carry.bytes.extend_from_slice(now);
        if self.left > 0 {
            self.carry = Some(carry);
            return Ok(());
        }
        let done = self.opener.open(cx, self.head, &carry.bytes);
        cx.outer.scratch.give(carry.bytes);
        done
    }

    /// The record under way will not be read.
    fn pass_over<P: Plaintext>(&mut self, cx: &mut Context<'_, '_, P>, why: Undecrypted) {
        let bytes = u64::from(self.len) + HEADER as u64;
        self.take = false;
        if let Some(carry) = self.carry.take() {
            cx.outer.scratch.give(carry.bytes);
        }
        cx.outer.stats.lose(why, bytes);
        self.opener.pass_over(cx, bytes);
    }

    /// Bytes are missing.
    ///
    /// # Errors
    ///
    /// They reach beyond the record under way, so that nobody knows how many records they were.
    pub(super) fn gap<P: Plaintext>(&mut self, cx: &mut Context<'_, '_, P>, n: u64) -> Result<(), Undecrypted> {
        if n == 0 {
            return Ok(());
        }
        match u16::try_from(n).ok().and_then(|n| self.left.checked_sub(n)) {
            Some(left) => {
                self.left = left;
                if self.take {
                    self.pass_over(cx, Undecrypted::Gap);
                }
                Ok(())
            }
            None => Err(Undecrypted::Gap),
        }
    }

    /// The direction is given up.
    pub(super) fn fail<P: Plaintext>(&mut self, cx: &mut Context<'_, '_, P>, why: Undecrypted) {
        // What was taken of the record that cannot be read.
        let taken = if self.take { u64::from(self.len - self.left) + HEADER as u64 } else { 0 };
        cx.outer.stats.lose(why, taken);
        cx.outer.stats.fail(why);
        cx.shared.settled(cx.dir);
        self.why = Some(why);
        self.finish(cx.outer);
        cx.sink.failed(cx.dir, why);
    }

    /// No more comes. What was held is freed, and keys are wiped.
    pub(super) fn finish(&mut self, cx: &mut super::Context<'_>) {
        self.over = true;
        if let Some(carry) = self.carry.take() {
            cx.scratch.give(carry.bytes);
        }
        self.opener.close();
    }
}
