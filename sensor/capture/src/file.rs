//! One capture file, block by block.

use crate::FrameRef;
use crate::batch::{Block, Pool};
use crate::error::FirstBytes;
use crate::notice::NoticeCode;
use crate::unpack::{Input, Meter, unpack};
use crate::walk::{End, Found, Next, Secrets, Walker};
use net::Timestamp;
use std::io::{self, Read};
use std::sync::Arc;
use zeroize::Zeroize as _;

/// A block and what was found in it.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) block: Arc<Block>,
    pub(crate) frames: Vec<FrameRef>,
    /// Latest time in `frames`.
    pub(crate) latest: Option<Timestamp>,
    /// Each with the count of `frames` before it.
    pub(crate) notices: Vec<(usize, NoticeCode, String)>,
    pub(crate) secrets: Vec<Secrets>,
}

/// Reads one file to its end.
pub(crate) struct FileReader {
    input: Input,
    packing: Option<&'static str>,
    meter: Meter,
    walker: Walker,
    found: Found,
    /// The beginning of a record that the last block cut. At most one record.
    carry: Vec<u8>,
    /// Bytes the record in `carry` wants.
    need: usize,
    /// Bytes to throw away before anything else.
    skip: u64,
    /// Hand over what there is rather than wait for a full block: for pipes.
    eager: bool,
    ended: bool,
    empty: bool,
    failed: Option<io::Error>,
}

impl FileReader {
    /// Begins with a file, pipe or memory. Reads its first four bytes.
    pub(crate) fn new(input: Input, file: u16, eager: bool) -> io::Result<Self> {
        let meter = Meter::default();
        let (input, packing) = unpack(input, meter.clone())?;
        let found = Found { file, ..Found::default() };
        Ok(Self {
            input,
            packing,
            meter,
            walker: Walker::Unknown,
            found,
            carry: Vec::new(),
            need: 0,
            skip: 0,
            eager,
            ended: false,
            empty: false,
            failed: None,
        })
    }

    /// Bytes taken from the file as it lies on disk.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.meter.read()
    }

    /// Whether everything was read.
    pub(crate) fn ended(&self) -> bool {
        self.ended && self.failed.is_none()
    }

    /// Index of the input.
    pub(crate) fn file(&self) -> u16 {
        self.found.file
    }

    /// Whether it ended before its first byte.
    pub(crate) fn is_empty(&self) -> bool {
        self.empty
    }

    /// The first bytes, if it is no capture.
    pub(crate) fn foreign(&self) -> Option<FirstBytes> {
        match &self.walker {
            Walker::Foreign(bytes) => Some(FirstBytes { bytes: bytes.clone(), packing: self.packing }),
            _ => None,
        }
    }

    /// Whether it is of the format that can hold secrets.
    pub(crate) fn is_pcapng(&self) -> bool {
        matches!(self.walker, Walker::Pcapng(_))
    }

    /// Packets so far, by the numbering of the file itself.
    pub(crate) fn packets(&self) -> u64 {
        self.found.in_file
    }

    /// Records stepped over as corrupt, packets of undescribed interfaces.
    pub(crate) fn losses(&self) -> (u64, u64) {
        (self.found.corrupt, self.found.undescribed)
    }

    /// Reads the next block, of about `block_bytes`. It can hold no frame at all. `frames` is an empty list to
    /// fill. After the last block [`Self::ended`] holds.
    ///
    /// # Errors
    ///
    /// The system failed to read; what came before was handed over by earlier calls. Nothing follows.
    pub(crate) fn next_chunk(
        &mut self,
        pool: &mut Pool,
        block_bytes: usize,
        frames: Vec<FrameRef>,
    ) -> io::Result<Chunk> {
        if let Some(e) = self.failed.take() {
            return Err(e);
        }
        self.found.frames = frames;
        self.found.latest = None;
        let mut block = pool.block(block_bytes.max(self.need).max(self.carry.len() + 1));
        if self.skip > 0 {
            self.throw_away(&mut block);
        }
        self.fill(&mut block);
        Ok(Chunk {
            block: pool.share(block),
            frames: std::mem::take(&mut self.found.frames),
            latest: self.found.latest,
            notices: std::mem::take(&mut self.found.notices),
            secrets: std::mem::take(&mut self.found.secrets),
        })
    }

    /// Fills the block from its beginning and walks over what is whole in it.
    fn fill(&mut self, block: &mut Block) {
        let mut filled = self.carry.len();
        if let Some(room) = block.get_mut(..filled) {
            room.copy_from_slice(&self.carry);
        }
        // It may have been the beginning of secrets.
        self.carry.as_mut_slice().zeroize();
        self.carry.clear();
        let mut used = 0;
        while !self.ended {
            let got = self.read(block.get_mut(filled..).unwrap_or_default());
            filled += got;
            let full = filled == block.len();
            if !(full || self.ended || self.eager) {
                continue;
            }
            let next = self.walker.walk(block.get(..filled).unwrap_or_default(), used, &mut self.found);
            for at in self.found.sensitive.drain(..) {
                block.get_mut(at).unwrap_or_default().zeroize();
            }
            match next {
                Next::More { used: now, need } => (used, self.need) = (now, need),
                Next::Skip(count) => (used, self.need, self.skip) = (filled, 0, count),
                Next::Stop => {
                    self.ended = true;
                    self.settle_notices();
                    return;
                }
            }
            let left = block.get_mut(used..filled).unwrap_or_default();
            if self.ended {
                self.end(left);
            } else if full || self.skip > 0 || !self.found.frames.is_empty() {
                self.carry.extend_from_slice(left);
                // Secrets may have been cut here.
                left.zeroize();
                return;
            }
        }
    }

    /// One read. At the end of the file, or of what can be had of it, `ended` is set.
    fn read(&mut self, room: &mut [u8]) -> usize {
        loop {
            match self.input.read(room) {
                Ok(0) => self.ended = true,
                Ok(n) => return n.min(room.len()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    self.ended = true;
                    if self.meter.failed() {
                        self.failed = Some(e);
                    } else {
                        self.undecodable(&e);
                    }
                }
            }
            return 0;
        }
    }

    fn undecodable(&mut self, e: &io::Error) {
        let packing = self.packing.unwrap_or("packed");
        let (code, what) = if e.kind() == io::ErrorKind::UnexpectedEof {
            (NoticeCode::TruncatedFile, format!("the {packing} data end early"))
        } else {
            (NoticeCode::CorruptFile, format!("the {packing} data cannot be unpacked further ({e})"))
        };
        // The walk over what came before is still to be done: the count of packets is not known yet.
        self.found.notices.push((usize::MAX, code, what));
    }

    /// Judges what is left at the end of the file.
    fn end(&mut self, left: &[u8]) {
        let told = self.settle_notices();
        if self.failed.is_some() {
            return;
        }
        match self.walker.end(left) {
            _ if told => {}
            End::Clean if self.skip > 0 => {
                let message =
                    format!("ends inside a block after packet {}: {} bytes short", self.found.in_file, self.skip);
                self.found.notice(NoticeCode::TruncatedFile, message);
            }
            End::Clean => {}
            End::Empty => {
                self.empty = true;
                self.found.notice(NoticeCode::EmptyFile, "holds no byte; there is nothing to read".to_owned());
            }
            End::Cut => {
                let message = format!(
                    "ends inside the record after packet {}: {} of {} bytes are there",
                    self.found.in_file,
                    left.len(),
                    self.need
                );
                self.found.notice(NoticeCode::TruncatedFile, message);
            }
        }
    }

    /// Gives the notices of [`Self::undecodable`] their place: after everything. Says whether there were any.
    fn settle_notices(&mut self) -> bool {
        let (frames, packets) = (self.found.frames.len(), self.found.in_file);
        let mut any = false;
        for (at, _, message) in self.found.notices.iter_mut().filter(|(at, ..)| *at == usize::MAX) {
            *at = frames;
            *message = format!("after packet {packets} of the file: {message}");
            any = true;
        }
        self.found.notices.sort_by_key(|(at, ..)| *at);
        any
    }

    /// Reads past what a block too long to look at still has to come.
    fn throw_away(&mut self, scratch: &mut [u8]) {
        while self.skip > 0 && !self.ended {
            let room = usize::try_from(self.skip).unwrap_or(usize::MAX).min(scratch.len());
            let got = self.read(scratch.get_mut(..room).unwrap_or_default());
            self.skip -= got as u64;
        }
        if self.ended {
            self.end(&[]);
        }
    }
}
