//! Steps over the records of a capture file, as far as they have come in. Pure: bytes in, index entries out.

mod pcap;
mod pcapng;

use crate::FrameRef;
use crate::error::FirstBytes;
use crate::notice::NoticeCode;
use crate::unpack;
use net::{LinkType, Place, Timestamp};
use std::fmt;
use std::ops::Range;
use zeroize::Zeroize as _;

/// Longest frame accepted, in bytes.
pub const MAX_FRAME: usize = 16 << 20;
/// Longest pcapng block that is looked at, in bytes: a frame with its options. Longer ones are stepped over.
pub(crate) const MAX_BLOCK: usize = MAX_FRAME + (1 << 20);
/// Interfaces of one pcapng section that are kept.
pub const MAX_INTERFACES: usize = 65_536;

/// The contents of a pcapng Decryption Secrets Block. Its `Debug` shows no byte of them, and they are overwritten when
/// it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// The registered type, e.g. [`Secrets::TLS_KEY_LOG`].
    pub kind: u32,
    /// Index of the input they came from.
    pub file: u16,
    /// The packet after which they count, by its number in the run: they stand behind it where one input is read, and
    /// not before it where several are merged. 0 where they stand in front of all.
    pub since: u64,
    /// The contents, in the format the type says.
    pub bytes: Vec<u8>,
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl Secrets {
    /// Type of a TLS key log in the NSS format.
    pub const TLS_KEY_LOG: u32 = 0x544c_534b;

    /// Bytes that keeping them takes.
    pub(crate) fn cost(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("kind", &format_args!("{:#010x}", self.kind))
            .field("file", &self.file)
            .field("since", &self.since)
            .field("bytes", &format_args!("[{} bytes]", self.bytes.len()))
            .finish()
    }
}

/// What walking one file has brought since it was last taken out.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) file: u16,
    /// Packets of this file so far; never reset.
    pub(crate) in_file: u64,
    pub(crate) frames: Vec<FrameRef>,
    /// Latest time in `frames`.
    pub(crate) latest: Option<Timestamp>,
    /// Each with the count of `frames` at which it arose.
    pub(crate) notices: Vec<(usize, NoticeCode, String)>,
    /// Each known after so many of `frames`.
    pub(crate) secrets: Vec<Secrets>,
    /// Where in the bytes that were walked over secrets stand.
    pub(crate) sensitive: Vec<Range<usize>>,
    /// Records that were stepped over because they cannot be right; never reset.
    pub(crate) corrupt: u64,
    /// Packets of interfaces without description; never reset.
    pub(crate) undescribed: u64,
}

impl Found {
    fn frame(&mut self, ts: Timestamp, link: LinkType, start: usize, data: &[u8], wire_len: u32) {
        self.in_file += 1;
        self.latest = Some(self.latest.map_or(ts, |latest| latest.max(ts)));
        let place = Place { number: 0, file: self.file, in_file: self.in_file };
        self.frames.push(FrameRef { place, ts, link, block: 0, start: int(start), len: int(data.len()), wire_len });
    }

    pub(crate) fn notice(&mut self, code: NoticeCode, message: String) {
        self.notices.push((self.frames.len(), code, message));
    }

    /// Counts a record that cannot be right, and tells of the first.
    fn corrupt(&mut self, what: impl FnOnce() -> String) {
        self.corrupt += 1;
        if self.corrupt == 1 {
            self.notice(NoticeCode::CorruptFile, format!("after packet {} of the file: {}", self.in_file, what()));
        }
    }
}

/// An offset or length within a block. Blocks are far below 4 GiB.
fn int(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// How far a walk got. Offsets are into the bytes it was given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Everything before `used` is done with; the record there wants `need` bytes.
    More { used: usize, need: usize },
    /// All bytes are done with, and as many more that have not come yet.
    Skip(u64),
    /// The rest of the file is of no use.
    Stop,
}

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, b: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(b),
            Self::Big => u16::from_be_bytes(b),
        }
    }

    fn u32(self, b: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(b),
            Self::Big => u32::from_be_bytes(b),
        }
    }
}

/// Takes numbers off the front of a record.
#[derive(Clone, Copy)]
struct Fields<'b> {
    rest: &'b [u8],
    order: Order,
}

impl<'b> Fields<'b> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*head)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(|b| self.order.u16(b))
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(|b| self.order.u32(b))
    }

    fn bytes(&mut self, len: usize) -> Option<&'b [u8]> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }
}

/// A walk over one file.
#[derive(Debug)]
pub(crate) enum Walker {
    /// Nothing seen yet.
    Unknown,
    Pcap(pcap::Walk),
    Pcapng(pcapng::Walk),
    /// No capture file; its first bytes.
    Foreign(Vec<u8>),
}

impl Walker {
    /// Walks on from `from` over the records that are whole in `bytes`.
    pub(crate) fn walk(&mut self, bytes: &[u8], from: usize, found: &mut Found) -> Next {
        let mut from = from;
        if let Self::Unknown = self {
            match Self::sniff(bytes.get(from..).unwrap_or_default()) {
                Sniffed::Need(need) => return Next::More { used: from, need },
                Sniffed::Known(walker, used) => {
                    *self = walker;
                    from += used;
                }
            }
        }
        match self {
            Self::Pcap(walk) => walk.walk(bytes, from, found),
            Self::Pcapng(walk) => walk.walk(bytes, from, found),
            Self::Unknown | Self::Foreign(_) => Next::Stop,
        }
    }

    /// Whether the file is too short to tell. Call it at the end of the file, with what is left of it.
    pub(crate) fn end(&mut self, left: &[u8]) -> End {
        if let Self::Unknown = self {
            if left.is_empty() {
                return End::Empty;
            }
            let begins = |magic: &[u8]| magic.starts_with(left.get(..4).unwrap_or(left));
            let plain = pcap::Dialect::ALL.iter().any(|(magic, _)| begins(magic)) || begins(&pcapng::MAGIC);
            if !(plain || unpack::MAGICS.iter().any(|magic| begins(magic))) {
                *self = Self::Foreign(left.iter().copied().take(FirstBytes::MAX).collect());
                return End::Clean;
            }
        }
        if left.is_empty() { End::Clean } else { End::Cut }
    }

    fn sniff(bytes: &[u8]) -> Sniffed {
        let Some(magic) = bytes.first_chunk::<4>() else {
            return Sniffed::Need(4);
        };
        if *magic == pcapng::MAGIC {
            let Some(head) = bytes.first_chunk::<12>() else {
                return Sniffed::Need(12);
            };
            // The magic alone is also how a text file of empty lines can begin.
            if pcapng::section_order(head).is_some() {
                return Sniffed::Known(Self::Pcapng(pcapng::Walk::new()), 0);
            }
        }
        if let Some((_, dialect)) = pcap::Dialect::ALL.iter().find(|(known, _)| known == magic) {
            return match bytes.first_chunk() {
                Some(header) => Sniffed::Known(Self::Pcap(pcap::Walk::new(*dialect, header)), header.len()),
                None => Sniffed::Need(pcap::HEADER_LEN),
            };
        }
        let first = bytes.iter().copied().take(FirstBytes::MAX).collect();
        Sniffed::Known(Self::Foreign(first), 0)
    }
}

enum Sniffed {
    Need(usize),
    Known(Walker, usize),
}

/// How a file ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Clean,
    /// In the middle of something.
    Cut,
    /// Before the first byte.
    Empty,
}
