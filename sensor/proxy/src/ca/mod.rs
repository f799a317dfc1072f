//! The interception CA: its files, and leaf certificates on the fly.
//!
//! The key of the CA signs leaves and nothing else, never leaves the process, and is not the leaves' own. A leaf is for
//! the one name that was asked for, lives a week, and is handed out for a day.

mod certificate;
mod constraints;
mod create;
mod der;
mod error;
mod files;
mod key;
mod leaf;
mod name;
#[cfg(test)]
mod tests;
mod tickets;

pub use certificate::CaCertificate;
pub use create::NewCa;
pub use error::CaError;

use crate::clock;
use crate::options::CaFiles;
use key::Signer;
use leaf::{Leaf, Mint};
use moka::ops::compute::{CompResult, Op};
use moka::sync::Cache;
use name::Host;
use std::fmt;
use std::sync::Arc;

/// A day, in seconds.
const DAY: i64 = 24 * 60 * 60;

/// The interception CA. Its key never leaves it.
pub struct CertificateAuthority {
    mint: Mint,
    /// By the name in its one form.
    leaves: Cache<String, Arc<Leaf>>,
}

impl CertificateAuthority {
    /// Makes a CA, and writes it to files that are not there yet: the key for its owner alone, and encrypted where
    /// `files` names a passphrase.
    ///
    /// # Errors
    ///
    /// [`CaError`].
    pub fn create(files: &CaFiles, new: &NewCa) -> Result<CaCertificate, CaError> {
        new.create(files)
    }

    /// Reads the CA; `leaves` are kept for use again.
    ///
    /// # Errors
    ///
    /// [`CaError`]: files that others could have read or replaced, a certificate that is for another key, for no CA, or
    /// not for now.
    pub fn load(files: &CaFiles, leaves: u64) -> Result<Self, CaError> {
        let signer = Signer::read(&files.key, files.passphrase.as_deref())?;
        let certificate = CaCertificate::read(&files.certificate)?;
        if certificate.public() != signer.public() {
            return Err(CaError::ForeignKey { certificate: files.certificate.clone(), key: files.key.clone() });
        }
        certificate.usable()?;
        Ok(Self { mint: Mint::new(certificate, signer)?, leaves: Cache::new(leaves) })
    }

    /// Its certificate.
    pub const fn certificate(&self) -> &CaCertificate {
        self.mint.ca()
    }

    /// What a handshake as `name` (a host name or an address) takes, with `alpn` as the one protocol, if any. Threads
    /// that ask for the same name at once share one leaf.
    ///
    /// # Errors
    ///
    /// [`CaError`]: `name` is no host, the CA may not sign for it, or is over.
    pub(crate) fn server_config(
        &self,
        name: &str,
        alpn: Option<&'static [u8]>,
    ) -> Result<Arc<rustls::ServerConfig>, CaError> {
        Ok(self.mint.config(&*self.leaf(name, clock::now().seconds())?, alpn))
    }

    /// Whether there is a leaf for `name`, so that [`Self::server_config`] costs nearly nothing.
    pub(crate) fn is_ready(&self, name: &str) -> bool {
        let now = clock::now().seconds();
        let ready = |name: &str| self.leaves.get(name).is_some_and(|leaf| leaf.is_fresh(now));
        // Most names come in their one form.
        ready(name) || Host::parse(name).is_ok_and(|host| ready(&host.to_string()))
    }

    fn leaf(&self, name: &str, now: i64) -> Result<Arc<Leaf>, CaError> {
        // Names in other forms than theirs are never keys.
        if let Some(leaf) = self.leaves.get(name).filter(|leaf| leaf.is_fresh(now)) {
            return Ok(leaf);
        }
        let host = Host::parse(name)?;
        let entry = self.leaves.entry(host.to_string()).and_try_compute_with(|entry| match entry {
            Some(entry) if entry.value().is_fresh(now) => Ok(Op::Nop),
            _ => self.mint.leaf(&host, now).map(|leaf| Op::Put(Arc::new(leaf))),
        })?;
        match entry {
            CompResult::Inserted(entry) | CompResult::ReplacedWith(entry) | CompResult::Unchanged(entry) => {
                Ok(entry.into_value())
            }
            // Not reached: a leaf is put or is there. Were it otherwise, one for this connection alone would do.
            CompResult::StillNone(_) | CompResult::Removed(_) => Ok(Arc::new(self.mint.leaf(&host, now)?)),
        }
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority").field("subject", &self.mint.ca().subject()).finish_non_exhaustive()
    }
}
