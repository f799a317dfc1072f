//! What capture hands over.

use crate::Timestamp;

/// Link-layer type of a frame (the registered `LINKTYPE_` values).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// BSD loopback, 4-byte family in host order of the writer (0).
    Null,
    /// Ethernet (1).
    Ethernet,
    /// Raw IP, version by first nibble (101, also 12 and 14 as some files write it).
    Raw,
    /// OpenBSD loopback, 4-byte family in network order (108).
    Loop,
    /// Linux cooked v1 (113).
    LinuxSll,
    /// Raw IPv4 (228).
    Ipv4,
    /// Raw IPv6 (229).
    Ipv6,
    /// Linux cooked v2 (276).
    LinuxSll2,
    /// Anything else: counted, not looked into.
    Other(u16),
}

impl LinkType {
    /// From the number in a capture file.
    pub const fn from_number(n: u16) -> Self {
        match n {
            0 => Self::Null,
            1 => Self::Ethernet,
            12 | 14 | 101 => Self::Raw,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            276 => Self::LinuxSll2,
            n => Self::Other(n),
        }
    }

    /// The registered number (`Raw` gives 101).
    pub const fn number(self) -> u16 {
        match self {
            Self::Null => 0,
            Self::Ethernet => 1,
            Self::Raw => 101,
            Self::Loop => 108,
            Self::LinuxSll => 113,
            Self::Ipv4 => 228,
            Self::Ipv6 => 229,
            Self::LinuxSll2 => 276,
            Self::Other(n) => n,
        }
    }
}

/// Where a frame stands in its source, for people and for carving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// 1-based number over the whole run; the global order of everything.
    pub number: u64,
    /// Index of the file in the run's list of inputs.
    pub file: u16,
    /// 1-based number inside that file.
    pub in_file: u64,
}

/// One captured frame, borrowed from its block.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'b> {
    /// Where it stands.
    pub place: Place,
    /// When it was captured.
    pub ts: Timestamp,
    /// How `data` begins.
    pub link: LinkType,
    /// Captured bytes (may be cut by the snaplen).
    pub data: &'b [u8],
    /// Length on the wire, in bytes.
    pub wire_len: u32,
}
