//! What was odd about the source, for the operator.

use std::collections::VecDeque;

/// Notices that wait to be fetched; more than that are only counted
/// ([`Stats::notices_lost`](crate::Stats::notices_lost)).
pub const MAX_NOTICES: usize = 4096;

/// Something about an input that the operator should know. Never an error: reading goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Index of the input: of the file or the interface.
    pub file: u16,
    /// What kind of thing.
    pub code: NoticeCode,
    /// One sentence for people; the file is to be named by who prints it.
    pub message: String,
    /// Global number of the packet after which it arose; 0 = before the first.
    pub after: u64,
}

/// The closed list of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum NoticeCode {
    /// Ends in the middle of a record or of its compressed data; everything before was read.
    TruncatedFile,
    /// Holds what cannot be right; everything before was read, and after it where possible.
    CorruptFile,
    /// Holds no byte at all.
    EmptyFile,
    /// In a directory: no capture file. Skipped.
    ForeignFile,
    /// In a directory, or gone since it was listed: cannot be read. Skipped.
    UnreadableFile,
    /// A directory without any file.
    EmptyDirectory,
    /// pcapng: packets of an interface that no block describes. Counted and skipped.
    UnknownInterface,
    /// pcapng: more interfaces or secrets than we keep.
    LimitMet,
    /// More files overlap in time than are held open: the order across files is not by time here.
    MergeLimit,
    /// The filter expression has no meaning for a link type met: its packets are filtered out.
    FilterLinkType,
    /// Live: an interface is gone, down or failed. It is opened again as soon as it can be.
    InterfaceDown,
    /// Live: it is captured again.
    InterfaceUp,
    /// Live: frames are being dropped, by the kernel, the interface or the queue.
    LossBegan,
    /// Live: none has been dropped for a while.
    LossEnded,
}

impl NoticeCode {
    /// The stable name, in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TruncatedFile => "truncated_file",
            Self::CorruptFile => "corrupt_file",
            Self::EmptyFile => "empty_file",
            Self::ForeignFile => "foreign_file",
            Self::UnreadableFile => "unreadable_file",
            Self::EmptyDirectory => "empty_directory",
            Self::UnknownInterface => "unknown_interface",
            Self::LimitMet => "capture_limit",
            Self::MergeLimit => "merge_limit",
            Self::FilterLinkType => "filter_link_type",
            Self::InterfaceDown => "interface_down",
            Self::InterfaceUp => "interface_up",
            Self::LossBegan => "loss_began",
            Self::LossEnded => "loss_ended",
        }
    }
}

/// Notices waiting for the caller.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    pub(crate) waiting: VecDeque<Notice>,
    pub(crate) lost: u64,
}

impl Notices {
    pub(crate) fn push(&mut self, file: u16, code: NoticeCode, message: String, after: u64) {
        if self.waiting.len() < MAX_NOTICES {
            self.waiting.push_back(Notice { file, code, message, after });
        } else {
            self.lost += 1;
        }
    }
}
