//! Secrets of TLS sessions, as key logs and capture files bring them. Pure: who reads files adds lines to a
//! [`KeyStore`], who decrypts asks through [`Keys`].
//!
//! Nothing here prints a byte of a secret, and all of it is overwritten when it is dropped. (What the compiler or an
//! allocator copies on its way is out of reach.)

mod log;
mod store;
#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use log::fuzz_keylog;
pub use log::{KeyLog, LogStats, MAX_LINE};
pub use store::{KeyStore, MAX_SESSIONS};

use std::fmt;
use zeroize::Zeroize;

/// Gives keys by the client random of a connection.
pub trait Keys {
    /// Whether there are keys at all, or some may still come. Where not, nothing needs to be tried.
    fn any(&self) -> bool;
    /// Adds what is known by now of the session with this client random; leaves `into` alone where that is nothing.
    fn fill(&self, client_random: &[u8; 32], into: &mut SessionKeys);
}

/// No keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoKeys;

impl Keys for NoKeys {
    fn any(&self) -> bool {
        false
    }

    fn fill(&self, _: &[u8; 32], _: &mut SessionKeys) {}
}

/// Which secret of a session (RFC 9850 §2.1, §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tls) enum Label {
    /// The master secret of TLS 1.2 and below.
    Master,
    ClientEarly,
    ClientHandshake,
    ServerHandshake,
    ClientTraffic,
    ServerTraffic,
}

impl Label {
    const COUNT: usize = 6;
}

/// A secret of 32 or 48 bytes.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::tls) struct Secret {
    /// INVARIANT: zero behind `len`.
    bytes: [u8; Self::MAX],
    len: u8,
}

impl Secret {
    /// Longest, in bytes: an output of SHA-384, or a master secret.
    pub(in crate::tls) const MAX: usize = 48;

    /// A secret of so many zero bytes, at most [`Secret::MAX`], to be written into.
    pub(in crate::tls) fn zero(len: usize) -> Self {
        Self { bytes: [0; Self::MAX], len: u8::try_from(len.min(Self::MAX)).unwrap_or(0) }
    }

    pub(in crate::tls) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    pub(in crate::tls) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len)
    }
}

/// The secrets of one session, as far as they are known.
#[derive(Debug, Default)]
pub struct SessionKeys {
    secrets: [Option<Secret>; Label::COUNT],
}

impl SessionKeys {
    /// How many are known.
    pub fn len(&self) -> usize {
        self.secrets.iter().flatten().count()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.secrets.iter().all(Option::is_none)
    }

    pub(in crate::tls) fn get(&self, label: Label) -> Option<&Secret> {
        self.secrets.get(label as usize)?.as_ref()
    }

    /// Adds a secret, unless one of this label is known.
    fn add(&mut self, label: Label, secret: &Secret) {
        if let Some(slot @ None) = self.secrets.get_mut(label as usize) {
            *slot = Some(secret.clone());
        }
    }
}
