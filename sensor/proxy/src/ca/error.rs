//! What can be wrong with a CA, and what would do.

use std::path::PathBuf;

/// Why the CA, or a certificate by it, cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// The system does not let us at a file.
    #[error("cannot {what} {path}: {error}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: String,
    },
    /// A file is in the way of a new one.
    #[error("{path} is there already and stays as it is; move it away first, or name another folder", path = .0.display())]
    Exists(PathBuf),
    /// A secret would be read through a symbolic link.
    #[error("{path} is a symbolic link; give the path of the file itself", path = .0.display())]
    Symlink(PathBuf),
    /// A file is something else.
    #[error("{path} is no regular file", path = .0.display())]
    NotAFile(PathBuf),
    /// A file is larger than anything of its kind.
    #[error("{path} is larger than {limit} bytes", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Most bytes that are read.
        limit: u64,
    },
    /// Others may read, or write, a secret.
    #[error("others may use {path} (mode {mode:04o}); run `chmod 600 {path}`", path = path.display())]
    Wide {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Others may put another file in the place of a secret.
    #[error("others may write to {path} (mode {mode:04o}), the folder of a secret; run `chmod go-w {path}`", path = path.display())]
    WideFolder {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A secret, or its folder, belongs to somebody else.
    #[error("{path} belongs to another user; run `chown {uid} {path}`", path = path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Who we are.
        uid: u32,
    },
    /// There is no private key in the file.
    #[error("{path} holds no private key: {why}", path = path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// In a few words.
        why: String,
    },
    /// The key is of a kind that is not supported.
    #[error("the key in {path} is of no kind that is supported; ECDSA P-256 and P-384 and RSA of 2048 to 8192 bits are", path = .0.display())]
    KeyKind(PathBuf),
    /// The key is encrypted in a way that is not supported.
    #[error("the key in {path} is encrypted in a way that is not supported ({why}); `openssl pkcs8 -topk8 -in {path}` writes one that is", path = path.display())]
    Encryption {
        /// The file.
        path: PathBuf,
        /// In a few words.
        why: String,
    },
    /// The key is encrypted, and there is no passphrase.
    #[error("the key in {path} is encrypted; name the file that holds its passphrase", path = .0.display())]
    NoPassphrase(PathBuf),
    /// The file of the passphrase is empty.
    #[error("{path} holds no passphrase", path = .0.display())]
    EmptyPassphrase(PathBuf),
    /// The passphrase is another.
    #[error("the passphrase does not open the key in {path}", path = .0.display())]
    WrongPassphrase(PathBuf),
    /// There is no certificate in the file, or it cannot be read.
    #[error("{path} holds no certificate that can be read: {why}", path = path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// In a few words.
        why: String,
    },
    /// The certificate is for another key.
    #[error("the certificate in {certificate} is for another key than the one in {key}", certificate = certificate.display(), key = key.display())]
    ForeignKey {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The certificate is not one of a CA, or not for this.
    #[error("the certificate of {subject} is not good for a CA that intercepts TLS: {why}")]
    NotACa {
        /// Whose it is.
        subject: String,
        /// In a few words.
        why: &'static str,
    },
    /// A certificate above ours is not the one that signed it.
    #[error(
        "the certificate of {subject} is not signed by the one behind it in the file, {above}; order them from ours to the root"
    )]
    Chain {
        /// Whose it is.
        subject: String,
        /// Whose the next one is.
        above: String,
    },
    /// The certificate is over.
    #[error("the certificate of {subject} expired at {at}; make another with `mcp-sensor ca init`, or have it renewed")]
    Expired {
        /// Whose it is.
        subject: String,
        /// When, as RFC 3339 writes it.
        at: String,
    },
    /// The certificate is for later.
    #[error("the certificate of {subject} is not valid before {at}; is the clock right?")]
    NotYetValid {
        /// Whose it is.
        subject: String,
        /// When, as RFC 3339 writes it.
        at: String,
    },
    /// What a new CA should be cannot be.
    #[error("{0}")]
    Unfit(String),
    /// No certificate can be made for a name.
    #[error("no certificate can be made for this name: {0}")]
    Name(&'static str),
    /// The CA may not sign for a name.
    #[error("the CA's name constraints do not let it sign for {0}")]
    NotPermitted(String),
    /// The cryptographic library refused.
    #[error("the cryptographic library cannot {0}")]
    Crypto(&'static str),
}

impl CaError {
    /// The value of a metric label, never renamed.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::NotPermitted(_) => "not_permitted",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Crypto(_) => "crypto",
            _ => "files",
        }
    }
}
