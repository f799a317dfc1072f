//! The interception CA: its files, and leaf certificates on the fly.

use crate::options::CaFiles;
use std::sync::Arc;

/// Why the CA cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// Stand-in until the rest is there.
    #[error("no CA")]
    Missing,
}

/// The interception CA. Its key never leaves it.
pub struct CertificateAuthority {}

impl CertificateAuthority {
    /// Reads the CA; `leaves` are kept for use again.
    ///
    /// # Errors
    ///
    /// [`CaError`].
    pub fn load(_files: &CaFiles, _leaves: u64) -> Result<Self, CaError> {
        Err(CaError::Missing)
    }

    /// What a handshake as `name` (a host name or an address) takes, with `alpn` as the one protocol, if any.
    pub(crate) fn server_config(
        &self,
        _name: &str,
        _alpn: Option<&'static [u8]>,
    ) -> Result<Arc<rustls::ServerConfig>, CaError> {
        Err(CaError::Missing)
    }
}
