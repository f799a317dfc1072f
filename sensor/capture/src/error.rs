//! What makes opening or reading fail. All of it is for the operator to mend; what a file's writer did wrong is
//! a [`Notice`](crate::Notice).

use crate::MAX_INPUTS;
use net::Timestamp;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why nothing can be read as it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No path was given.
    #[error("no capture file was named; name files, directories, or `-` for standard input")]
    NoInput,
    /// `-` was given more than once.
    #[error("standard input (`-`) was named twice; it can be read only once")]
    StdinTwice,
    /// A named path cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A named file holds something else.
    #[error("{} is not a capture file: it begins with {first}; {advice}", path.display(), advice = first.advice())]
    NotACapture {
        /// The path as given.
        path: PathBuf,
        /// What was found instead.
        first: FirstBytes,
    },
    /// The directories hold more than [`MAX_INPUTS`] files.
    #[error("more than {MAX_INPUTS} files; name fewer, or merge some of them first (mergecap)")]
    TooManyFiles,
    /// The time window is empty.
    #[error("the time window is empty: it starts at {from} and ends before {to}; the end must be later")]
    EmptyWindow {
        /// Start, inclusive.
        from: Timestamp,
        /// End, exclusive.
        to: Timestamp,
    },
    /// The filter expression does not compile.
    #[error("the filter expression `{expression}` is not valid: {message}")]
    Filter {
        /// As given.
        expression: String,
        /// What libpcap said.
        message: String,
    },
    /// There is a filter expression, but nothing here to compile it.
    #[error(
        "the filter expression `{expression}` needs libpcap, which this build leaves out; \
         build with the feature `pcap` (on by default)"
    )]
    FilterNotBuilt {
        /// As given.
        expression: String,
    },
}

/// Why reading stopped short, for one file. The reader can be asked for the next batch after it: it goes on
/// with the other files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system failed to read (not: the file ended too early).
    #[error("reading {name} failed after packet {in_file} of it: {source}")]
    Io {
        /// Base name of the file.
        name: String,
        /// Index of the input.
        file: u16,
        /// Packets of this file that were read before.
        in_file: u64,
        /// What the system said.
        source: io::Error,
    },
}

/// The first bytes of what is no capture (at most 16), for the error message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstBytes {
    pub(crate) bytes: Vec<u8>,
    pub(crate) packing: Option<&'static str>,
}

impl FirstBytes {
    /// Longest part that is kept.
    pub(crate) const MAX: usize = 16;

    /// The bytes themselves.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What would do, given what was found.
    pub fn advice(&self) -> &'static str {
        let known: &[(&[u8], &str)] = &[
            (b"\x1f\x8b", "it is packed twice, unpack it once"),
            (b"\x28\xb5\x2f\xfd", "it is packed twice, unpack it once"),
            (b"BZh", "unpack it with bunzip2 first"),
            (b"\xfd7zXZ", "unpack it with unxz first"),
            (b"\x04\x22\x4d\x18", "unpack it with unlz4 first"),
            (b"PK\x03\x04", "unpack it with unzip first"),
            (b"snoop\0", "convert it with `editcap -F pcapng` first"),
            (b"GMBU", "convert it with `editcap -F pcapng` first"),
            (b"RTSS", "convert it with `editcap -F pcapng` first"),
            (b"XCP\0", "convert it with `editcap -F pcapng` first"),
            (b"TRSNIFF", "convert it with `editcap -F pcapng` first"),
        ];
        let found = known.iter().find(|(magic, _)| self.bytes.starts_with(magic));
        found.map_or("pcap and pcapng are read, plain or packed with gzip or zstd", |(_, advice)| advice)
    }
}

/// `7b 22 61 ("{"a")`.
impl fmt::Display for FirstBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for b in &self.bytes {
            write!(f, "{b:02x} ")?;
        }
        let text = self.bytes.iter().map(|&b| if b.is_ascii_graphic() || b == b' ' { char::from(b) } else { '.' });
        write!(f, "(\"{}\")", text.collect::<String>())?;
        match self.packing {
            Some(packing) => write!(f, " inside {packing}"),
            None => Ok(()),
        }
    }
}
