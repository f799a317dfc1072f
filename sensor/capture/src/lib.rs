//! Capture files and live interfaces to frames.
//!
//! A [`Source`] yields [`Batch`]es in time order: a [`Reader`] those of files, a [`Live`] those of interfaces.
//!
//! [`Reader`] takes files, directories and standard input, and yields [`Batch`]es in time order. A batch holds
//! one or more blocks of a file as they were read and an index of the frames in them: no frame is copied and
//! nothing is allocated per frame. Blocks die with the last batch that uses them and are then filled again.
//!
//! ```text
//! path ─▶ inputs ─▶ unpack (gzip, zstd) ─▶ file (blocks) ─▶ walk (pcap, pcapng) ─┐
//! path ─▶   …                                                                    ├─▶ reader (merge, filter) ─▶ Batch
//! ```
//!
//! [`Live`] has a thread per ring of libpcap, which copies each frame once, since libpcap's own memory is used again at
//! the next read.
//!
//! ```text
//! ring ─▶ thread (blocks) ─▶ queue (bounded in bytes) ─▶ merge ─▶ Batch
//! ring ─▶   …
//! ```
//!
//! Nothing here looks into a frame, except a filter expression of the operator.

mod batch;
#[cfg_attr(not(feature = "pcap"), path = "bpf_absent.rs")]
mod bpf;
mod carve;
mod error;
mod file;
mod filter;
mod fuzz;
mod inputs;
mod live;
mod notice;
mod reader;
mod source;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unpack;
mod walk;

pub use batch::{Batch, FrameRef};
pub use carve::{CarveError, CarveWriter};
pub use error::{FirstBytes, OpenError, ReadError};
#[cfg(feature = "pcap")]
#[doc(hidden)]
pub use fuzz::fuzz_bpf;
#[doc(hidden)]
pub use fuzz::{fuzz_merge, fuzz_reader};
pub use inputs::{Input, MAX_INPUTS};
#[doc(hidden)]
pub use live::Made;
pub use live::{
    InterfaceOptions, InterfaceStats, LIVE_BLOCK_BYTES, Live, LiveError, LiveOptions, LiveStats, MAX_LIVE_INTERFACES,
    MAX_RINGS, MAX_SNAPLEN, RingInfo, Stopper,
};
pub use notice::{MAX_NOTICES, Notice, NoticeCode};
pub use reader::{MAX_OPEN_FILES, MAX_SECRETS_BYTES, Options, Reader, Stats};
pub use source::Source;
pub use unpack::MAX_ZSTD_WINDOW;
pub use walk::{MAX_FRAME, MAX_INTERFACES, Secrets};
