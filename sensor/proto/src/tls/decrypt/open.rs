//! The keys of one direction: which are in use, from which to which they change, and what comes out.

use super::cipher::Cipher;
use super::lane::Context;
use super::messages::{ENCRYPTED_EXTENSIONS, END_OF_EARLY_DATA, FINISHED, KEY_UPDATE, Messages};
use super::shared::Mode;
use super::{Plaintext, Undecrypted};
use crate::tls::keys::{Label, Secret};
use crate::tls::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER};

/// How many handshake records are reckoned with among those that passed before the keys came.
const MAX_BACK: u64 = 32;
/// `close_notify` (RFC 8446 §6.1).
const CLOSE_NOTIFY: u8 = 0;

/// Which keys are in use in TLS 1.3 (RFC 8446 §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Epoch {
    /// Not known.
    #[default]
    Start,
    Early,
    Handshake,
    Traffic,
}

/// Whether an encrypted record can be read.
enum Ready {
    Yes,
    /// What is missing may still come.
    NotYet(Undecrypted),
    Never(Undecrypted),
}

/// The keys of one direction.
#[derive(Debug, Default)]
pub(super) struct Opener {
    epoch: Epoch,
    current: Option<Box<Cipher>>,
    /// The secret of `current`, where the next one is made of it.
    secret: Option<Secret>,
    /// Number of the next record under `current`.
    seq: u64,
    /// Encrypted records that passed while there were no keys.
    blind: u64,
    /// Their bytes.
    blind_bytes: u64,
    tries: u32,
    messages: Messages,
    opened: bool,
    /// Records passed for want of keys.
    keyless: bool,
    /// The direction said that it sends no more.
    closed: bool,
}

impl Opener {
    /// A record was decrypted.
    pub(super) const fn is_open(&self) -> bool {
        self.opened
    }

    pub(super) fn held(&self) -> usize {
        self.messages.held() + self.current.as_ref().map_or(0, |_| Cipher::BYTES)
    }

    /// Records passed for want of keys.
    pub(super) const fn is_keyless(&self) -> bool {
        self.keyless
    }

    /// Drops keys and all that is held.
    pub(super) fn close(&mut self) {
        *self = Self { opened: self.opened, keyless: self.keyless, ..Self::default() };
    }

    /// Whether the encrypted record of `len` bytes that begins can be read; where not, it passes and is counted.
    ///
    /// # Errors
    ///
    /// It never will be.
    pub(super) fn is_ready<P: Plaintext>(
        &mut self,
        cx: &mut Context<'_, '_, P>,
        len: u64,
    ) -> Result<bool, Undecrypted> {
        if self.current.is_some() {
            return Ok(true);
        }
        match self.look(cx) {
            Ready::Yes => Ok(true),
            Ready::Never(why) => Err(why),
            Ready::NotYet(why) if self.blind >= u64::from(cx.outer.limits.blind_records) => Err(why),
            Ready::NotYet(why) => {
                self.keyless |= why == Undecrypted::NoKeys;
                self.blind += 1;
                self.blind_bytes += len;
                cx.outer.stats.lose(why, len);
                Ok(false)
            }
        }
    }

    fn look<P>(&self, cx: &mut Context<'_, '_, P>) -> Ready {
        if let Some(why) = cx.shared.obstacle() {
            return Ready::Never(why);
        }
        if cx.shared.client_random.is_none() {
            return Ready::NotYet(Undecrypted::NoHello);
        }
        let mode = cx.shared.mode();
        if mode == Mode::Unknown && !cx.is_client() {
            return Ready::NotYet(Undecrypted::NoServerHello);
        }
        if !self.knows(cx, mode) && (self.blind == 0 || self.blind.is_power_of_two()) {
            cx.shared.look_up(cx.outer);
        }
        if self.knows(cx, mode) {
            Ready::Yes
        } else if mode == Mode::Unknown && cx.shared.knows(Label::Master) {
            Ready::NotYet(Undecrypted::NoServerHello)
        } else {
            Ready::NotYet(Undecrypted::NoKeys)
        }
    }

    /// Whether a secret of this direction is known.
    fn knows<P>(&self, cx: &Context<'_, '_, P>, mode: Mode) -> bool {
        let (handshake, traffic) = cx.labels();
        match mode {
            Mode::Tls12 => cx.shared.knows(Label::Master),
            Mode::Tls13 | Mode::Unknown => {
                let early = cx.is_client() && cx.shared.early_pending() && cx.shared.knows(Label::ClientEarly);
                let before = early || cx.shared.knows(handshake);
                cx.shared.knows(traffic) || (before && self.epoch != Epoch::Traffic)
            }
        }
    }

    /// Reads one encrypted record.
    pub(super) fn open<P: Plaintext>(
        &mut self,
        cx: &mut Context<'_, '_, P>,
        header: [u8; HEADER],
        fragment: &[u8],
    ) -> Result<(), Undecrypted> {
        let mut out = cx.outer.scratch.take_out();
        let done = match cx.shared.mode() {
            Mode::Tls12 => self.open12(cx, header, fragment, &mut out),
            Mode::Tls13 | Mode::Unknown => self.open13(cx, header, fragment, &mut out),
        };
        cx.outer.scratch.out = out;
        done
    }

    /// A record of `len` bytes will not be read, though it is known where it ends.
    pub(super) fn pass_over<P: Plaintext>(&mut self, cx: &mut Context<'_, '_, P>, len: u64) {
        self.messages = Messages::default();
        if self.current.is_none() {
            self.blind += 1;
            self.blind_bytes += len;
            return;
        }
        self.seq += 1;
        match self.epoch {
            Epoch::Early => cx.shared.early_lost(len),
            // The keys may change with it.
            Epoch::Handshake => {
                (self.current, self.epoch, self.blind) = (None, Epoch::Start, self.seq);
            }
            Epoch::Start | Epoch::Traffic => cx.sink.lost(cx.dir, len),
        }
    }

    /// The records that passed before the keys came held application data.
    fn tell_lost<P: Plaintext>(&mut self, cx: &mut Context<'_, '_, P>, any: bool) {
        let bytes = std::mem::take(&mut self.blind_bytes);
        if any && bytes > 0 {
            cx.sink.lost(cx.dir, bytes);
        }
    }

    fn opened<P>(&mut self, cx: &mut Context<'_, '_, P>) {
        self.opened = true;
        cx.shared.opened(cx.outer.stats);
    }

    /// Application data. What follows the end of a direction nobody reads (RFC 8446 §6.1).
    fn data<P: Plaintext>(&self, cx: &mut Context<'_, '_, P>, text: &[u8]) {
        if self.closed {
            cx.outer.stats.lose(Undecrypted::BadContent, text.len() as u64);
        } else if !text.is_empty() {
            cx.outer.stats.plaintext_bytes += text.len() as u64;
            cx.sink.data(cx.dir, text);
        }
    }

    fn end<P: Plaintext>(&mut self, cx: &mut Context<'_, '_, P>) {
        if !std::mem::replace(&mut self.closed, true) {
            cx.sink.closed(cx.dir);
        }
    }

    // TLS 1.2: one key from the change of cipher on, and every record counts.

    fn open12<P: Plaintext>(
        &mut self,
        cx: &mut Context<'_, '_, P>,
        header: [u8; HEADER],
        fragment: &[u8],
        out: &mut [u8],
    ) -> Result<(), Undecrypted> {
        let [kind, ..] = header;
        if kind == CHANGE_CIPHER_SPEC {
            return Err(Undecrypted::Renegotiation);
        }
        if self.current.is_none() {
            let cipher = cx.cipher12().ok_or(Undecrypted::NoKeys)?;
            (self.current, self.seq) = (Some(Box::new(cipher)), self.blind);
        }
        let len = self.current.as_ref().and_then(|cipher| cipher.open(self.seq, header, fragment, out));
        let text = len.and_then(|len| out.get(..len)).ok_or(Undecrypted::BadTag)?;
        if !self.opened {
            cx.shared.settled(cx.dir);
            // The first record is the Finished message.
            self.tell_lost(cx, self.blind > 1);
        }
        self.seq += 1;
        self.opened(cx);
        match (kind, text) {
            (APPLICATION_DATA, text) => self.data(cx, text),
            (ALERT, &[_, CLOSE_NOTIFY]) => self.end(cx),
            _ => {}
        }
        Ok(())
    }

    // TLS 1.3: early, handshake and traffic keys, each of which counts from zero.

    fn open13<P: Plaintext>(
        &mut self,
        cx: &mut Context<'_, '_, P>,
        header: [u8; HEADER],
        fragment: &[u8],
        out: &mut [u8],
    ) -> Result<(), Undecrypted> {
        let mut opened = self.current.as_ref().and_then(|cipher| cipher.open(self.seq, header, fragment, out));
        if opened.is_some() {
            self.seq += 1;
        } else if self.current.is_none() || self.epoch == Epoch::Early {
            opened = self.search(cx, header, fragment, out);
        }
        let Some(len) = opened else { return self.missed(cx, fragment.len() as u64) };
        self.opened(cx);
        let text = out.get(..len).unwrap_or_default();
        // Padding is zeros behind the content type (RFC 8446 §5.4).
        let end = text.iter().rposition(|byte| *byte != 0).ok_or(Undecrypted::BadContent)?;
        let (text, kind) = text.split_at_checked(end).unwrap_or((text, &[]));
        match (kind.first().copied().unwrap_or(0), text) {
            (APPLICATION_DATA, text) if self.epoch == Epoch::Early => {
                cx.shared.early_data(cx.outer, cx.dir, text, cx.sink);
            }
            (APPLICATION_DATA, text) => self.data(cx, text),
            (HANDSHAKE, text) => self.handshake(cx, text)?,
            (ALERT, &[_, CLOSE_NOTIFY]) => self.end(cx),
            (ALERT, _) => {}
            _ => return Err(Undecrypted::BadContent),
        }
        Ok(())
    }

    /// No key opened a record. That is nothing special where early data may be rejected, where the secret of the
    /// handshake is not known, or where records passed; up to a limit.
    fn missed<P: Plaintext>(&mut self, cx: &mut Context<'_, '_, P>, len: u64) -> Result<(), Undecrypted> {
        let early = cx.is_client() && cx.shared.early_pending();
        let unsure = !cx.shared.knows(cx.labels().0) || self.blind > 0;
        let searching = matches!(self.epoch, Epoch::Start | Epoch::Early) && (early || unsure);
        self.tries += 1;
        if !searching || self.tries > cx.outer.limits.tries {
            return Err(Undecrypted::BadTag);
        }
        let why = match (early, self.blind) {
            (true, _) => Undecrypted::EarlyData,
            (false, 0) => Undecrypted::NoKeys,
            (false, _) => Undecrypted::BadTag,
        };
        cx.outer.stats.lose(why, len + HEADER as u64);
        Ok(())
    }

    /// Tries the keys that may be in use, and goes on with the one that fits.
    fn search<P: Plaintext>(
        &mut self,
        cx: &mut Context<'_, '_, P>,
        header: [u8; HEADER],
        fragment: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        let (handshake, traffic) = cx.labels();
        let early = cx.is_client() && cx.shared.early_pending();
        if self.epoch == Epoch::Traffic {
            return self.attempt(cx, traffic, self.blind, (header, fragment), out);
        }
        if !cx.shared.knows(handshake) || !cx.shared.knows(traffic) {
            cx.shared.look_up(cx.outer);
        }
        let record = (header, fragment);
        if early
            && self.epoch == Epoch::Start
            && let opened @ Some(_) = self.attempt(cx, Label::ClientEarly, self.blind, record, out)
        {
            return opened;
        }
        let blind = self.blind;
        for seq in [Some(blind), (blind > 0).then_some(0)].into_iter().flatten() {
            if let opened @ Some(_) = self.attempt(cx, handshake, seq, record, out) {
                return opened;
            }
        }
        (0..=blind.min(MAX_BACK)).find_map(|back| self.attempt(cx, traffic, blind - back, record, out))
    }

    /// Tries one secret, with every suite that may be.
    fn attempt<P: Plaintext>(
        &mut self,
        cx: &mut Context<'_, '_, P>,
        label: Label,
        seq: u64,
        (header, fragment): ([u8; HEADER], &[u8]),
        out: &mut [u8],
    ) -> Option<usize> {
        let secret = cx.shared.secret(label)?.clone();
        for suite in cx.shared.suites(secret.bytes().len()) {
            if self.tries > cx.outer.limits.tries {
                return None;
            }
            let cipher = Cipher::tls13(suite, &secret)?;
            let Some(len) = cipher.open(seq, header, fragment, out) else {
                self.tries += 1;
                continue;
            };
            cx.shared.suite = Some(suite);
            (self.current, self.seq) = (Some(Box::new(cipher)), seq + 1);
            match label {
                Label::ClientEarly => self.epoch = Epoch::Early,
                Label::ClientHandshake | Label::ServerHandshake => {
                    self.epoch = Epoch::Handshake;
                    cx.early_over(false);
                }
                Label::ClientTraffic | Label::ServerTraffic | Label::Master => {
                    cx.early_over(false);
                    self.tell_lost(cx, seq > 0);
                    (self.epoch, self.secret) = (Epoch::Traffic, Some(secret));
                    cx.shared.settled(cx.dir);
                }
            }
            self.blind = 0;
            return Some(len);
        }
        None
    }

    /// A piece of the handshake, or of what comes after it.
    fn handshake<P: Plaintext>(&mut self, cx: &mut Context<'_, '_, P>, text: &[u8]) -> Result<(), Undecrypted> {
        let mut rest = text;
        while let Some(kind) = self.messages.next(&mut rest) {
            let changes = match (self.epoch, kind) {
                (Epoch::Early, END_OF_EARLY_DATA) => {
                    cx.early_over(true);
                    self.change(cx, Epoch::Handshake, cx.labels().0);
                    true
                }
                (Epoch::Handshake, ENCRYPTED_EXTENSIONS) if !cx.is_client() => {
                    let said = self.messages.extensions();
                    if let Some(name) = said.alpn.names().next() {
                        cx.sink.alpn(name);
                    }
                    cx.shared.settle(said.early_data, cx.outer.stats, cx.sink);
                    false
                }
                (Epoch::Handshake, FINISHED) => {
                    self.change(cx, Epoch::Traffic, cx.labels().1);
                    true
                }
                (Epoch::Traffic, KEY_UPDATE) => {
                    self.update(cx);
                    true
                }
                _ => false,
            };
            // Keys change between records (RFC 8446 §5.1).
            if changes && !rest.is_empty() {
                return Err(Undecrypted::BadContent);
            }
        }
        Ok(())
    }

    /// The next keys, where their secret is known; otherwise they are waited for.
    fn change<P: Plaintext>(&mut self, cx: &mut Context<'_, '_, P>, epoch: Epoch, label: Label) {
        if !cx.shared.knows(label) {
            cx.shared.look_up(cx.outer);
        }
        let secret = cx.shared.secret(label).cloned();
        let cipher = cx.shared.suite.zip(secret.as_ref()).and_then(|(suite, secret)| Cipher::tls13(suite, secret));
        (self.current, self.seq, self.blind, self.blind_bytes) = (cipher.map(Box::new), 0, 0, 0);
        self.epoch = if self.current.is_none() && epoch == Epoch::Handshake { Epoch::Start } else { epoch };
        if epoch == Epoch::Traffic && self.current.is_some() {
            self.secret = secret;
            cx.shared.settled(cx.dir);
        }
    }

    /// The direction updates its key (RFC 8446 §4.6.3).
    fn update<P>(&mut self, cx: &mut Context<'_, '_, P>) {
        let Some((suite, secret)) = cx.shared.suite.zip(self.secret.take()) else { return };
        let next = suite.next_secret(&secret);
        if let Some((next, cipher)) = next.and_then(|next| Cipher::tls13(suite, &next).map(|cipher| (next, cipher))) {
            (self.secret, self.current, self.seq) = (Some(next), Some(Box::new(cipher)), 0);
            cx.outer.stats.key_updates += 1;
        }
    }
}
