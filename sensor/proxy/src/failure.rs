//! Why a request could not be served, and whose fault it is.

use http::StatusCode;

/// Why a request could not be served. None of it is cached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The proxy does not connect there.
    #[error("this proxy does not connect to {what}: {why}")]
    Forbidden {
        /// The destination as asked for.
        what: String,
        /// The reason, in a few words.
        why: &'static str,
    },
    /// The name has no address.
    #[error("{0} has no address: {1}")]
    Resolve(String, String),
    /// Nobody answers there.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, String),
    /// It took too long.
    #[error("{0} did not answer in time")]
    Timeout(String),
    /// TLS with the origin failed; the reason is a word of a metric.
    #[error("the certificate or the TLS of {host} cannot be trusted: {text}")]
    UpstreamTls {
        /// The origin.
        host: String,
        /// A word for the metric: `expired`, `unknown_issuer`, `wrong_name`, ...
        reason: &'static str,
        /// What the library says.
        text: String,
    },
    /// The origin broke off in the TLS handshake, without a word of TLS about why.
    #[error("{0} broke the connection off during the TLS handshake: {1}")]
    HandshakeReset(String, String),
    /// The next proxy refused.
    #[error("the upstream proxy refused: {0}")]
    UpstreamProxy(String),
    /// The request came through us before.
    #[error("this request has come through this proxy before")]
    Loop,
    /// `Host` or `:authority` names another server than the connection is for.
    #[error("the request is for {asked}, but this connection is for {connected}")]
    Misdirected {
        /// What the request names.
        asked: String,
        /// What the connection is for.
        connected: String,
    },
    /// The request cannot be read in one way only, or not at all.
    #[error("the request is not valid: {0}")]
    Invalid(&'static str),
    /// The origin broke off before it answered.
    #[error("the origin broke off: {0}")]
    Broken(String),
    /// A limit of ours.
    #[error("over a limit of this proxy: {0}")]
    Limit(&'static str),
    /// Our own code failed, and the configuration says to stop traffic then.
    #[error("a fault in the proxy")]
    Fault,
}

impl Failure {
    /// The status of the answer.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::Resolve(..) | Self::Connect(..) | Self::UpstreamTls { .. } | Self::UpstreamProxy(_) => {
                StatusCode::BAD_GATEWAY
            }
            Self::HandshakeReset(..) | Self::Broken(_) => StatusCode::BAD_GATEWAY,
            Self::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::Misdirected { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Limit(_) | Self::Fault => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The value of a metric label and of `Proxy-Status` (RFC 9209 section 2.3), never renamed.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Forbidden { .. } => "destination_ip_prohibited",
            Self::Resolve(..) => "dns_error",
            Self::Connect(..) => "connection_refused",
            Self::Timeout(_) => "connection_timeout",
            Self::UpstreamTls { .. } => "tls_certificate_error",
            Self::HandshakeReset(..) => "handshake_reset",
            Self::UpstreamProxy(_) => "upstream_proxy",
            Self::Loop => "proxy_loop_detected",
            Self::Misdirected { .. } => "misdirected",
            Self::Invalid(_) => "http_request_error",
            Self::Broken(_) => "connection_terminated",
            Self::Limit(_) => "connection_limit_reached",
            Self::Fault => "proxy_internal_error",
        }
    }
}
