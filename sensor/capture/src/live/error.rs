//! Why live capture cannot begin. All of it is for the operator to mend.

use super::options::{InterfaceOptions, MAX_LIVE_INTERFACES, MAX_RINGS, MAX_SNAPLEN};

/// Why the capture cannot begin as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// No interface was given.
    #[error("no interface was named; `ip link` lists them")]
    NoInterface,
    /// More than [`MAX_LIVE_INTERFACES`].
    #[error("more than {MAX_LIVE_INTERFACES} interfaces; name fewer, or `any` for all")]
    TooManyInterfaces,
    /// More than [`MAX_RINGS`].
    #[error("{0} rings in all; at most {MAX_RINGS} will do")]
    TooManyRings(usize),
    /// The same interface is named twice.
    #[error("interface {0} is named twice; its frames would be seen twice")]
    Twice(String),
    /// An option is out of range.
    #[error("interface {interface}: {option} is {value}; {advice}")]
    Option {
        /// Name of the interface.
        interface: String,
        /// Which one.
        option: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        advice: String,
    },
    /// There is no such interface.
    #[error("there is no interface {name}; there are: {}", known.join(", "))]
    NoSuchInterface {
        /// As given.
        name: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// The interface is not up.
    #[error("interface {0} is down; `ip link set {0} up` brings it up")]
    NotUp(String),
    /// Not permitted.
    #[error(
        "no permission to capture on {interface}; it takes CAP_NET_RAW: run as root, or give it to the program \
         (`setcap cap_net_raw+ep FILE`), or to the service (`AmbientCapabilities=CAP_NET_RAW`)"
    )]
    Permission {
        /// Name of the interface.
        interface: String,
    },
    /// The filter expression does not compile for this interface.
    #[error("interface {interface}: the filter expression `{expression}` is not valid: {message}")]
    Filter {
        /// Name of the interface.
        interface: String,
        /// As given.
        expression: String,
        /// What libpcap said.
        message: String,
    },
    /// The system refuses to share the flows out among several rings.
    #[error("interface {interface} cannot have {rings} rings: {message}; 1 always works")]
    Fanout {
        /// Name of the interface.
        interface: String,
        /// As many as were asked for.
        rings: usize,
        /// What the system said.
        message: String,
    },
    /// Anything else.
    #[error("interface {interface} cannot be opened: {message}")]
    Open {
        /// Name of the interface.
        interface: String,
        /// What libpcap or the system said.
        message: String,
    },
    /// This build cannot capture.
    #[error(
        "interface {interface} cannot be captured: this build leaves live capture out; \
         build on Linux with the feature `pcap` (on by default)"
    )]
    NotBuilt {
        /// Name of the interface.
        interface: String,
    },
}

/// Checks what can be checked without the system.
pub(crate) fn check(interfaces: &[InterfaceOptions]) -> Result<(), LiveError> {
    if interfaces.is_empty() {
        return Err(LiveError::NoInterface);
    }
    if interfaces.len() > MAX_LIVE_INTERFACES {
        return Err(LiveError::TooManyInterfaces);
    }
    for (i, options) in interfaces.iter().enumerate() {
        if interfaces.iter().take(i).any(|earlier| earlier.name == options.name) {
            return Err(LiveError::Twice(options.name.clone()));
        }
        let wrong = |option, value: String, advice: String| {
            Err(LiveError::Option { interface: options.name.clone(), option, value, advice })
        };
        let (low, high) = (InterfaceOptions::MIN_SNAPLEN, MAX_SNAPLEN);
        if !(low..=high).contains(&options.snaplen) {
            return wrong("snaplen", options.snaplen.to_string(), format!("from {low} to {high} bytes will do"));
        }
        let (low, high) = (InterfaceOptions::MIN_BUFFER_BYTES, InterfaceOptions::MAX_BUFFER_BYTES);
        if !(low..=high).contains(&options.buffer_bytes) {
            return wrong("buffer", options.buffer_bytes.to_string(), format!("from {low} to {high} bytes will do"));
        }
        let most = if options.name == ANY { 1 } else { MAX_RINGS };
        if !(1..=most).contains(&options.rings) {
            return wrong("rings", options.rings.to_string(), format!("from 1 to {most} will do"));
        }
        if options.timeout.as_millis() == 0 || options.timeout > InterfaceOptions::MAX_TIMEOUT {
            return wrong("timeout", format!("{:?}", options.timeout), "from 1 ms to 1 s will do".to_owned());
        }
    }
    let rings = interfaces.iter().map(|options| options.rings).sum();
    if rings > MAX_RINGS {
        return Err(LiveError::TooManyRings(rings));
    }
    Ok(())
}

/// The name that stands for all interfaces.
pub(crate) const ANY: &str = "any";
