//! Zstandard (RFC 8878), block by block.
//!
//! The frame is read here, so that a block is decoded as soon as it is whole, and the library sees one whole
//! header or block at a time. It would keep back the last window of output until the frame is over, and so an event
//! stream for ever; [`Blocks`] says how that is avoided.

use super::meter::{Meter, Out, wide};
use super::pool::{Budget, Charge};
use super::{Limits, Stop};
use crate::EndKind;
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{Read, Write};

const MAGIC: u32 = 0xFD2F_B528;
/// The low 4 bits are free (RFC 8878 §3.1.2).
const SKIPPABLE: u32 = 0x184D_2A50;
/// Longest block, encoded or decoded, in bytes (RFC 8878 §3.1.1.2.4).
const MAX_BLOCK: usize = 128 * 1024;
/// Tables of a decoder, in bytes, rounded up.
const TABLES: u64 = 64 * 1024;
/// Decoded bytes above the window that are kept before the buffer is packed, at least.
const MIN_SURPLUS: usize = 256 * 1024;
/// The header of an empty raw block, the last of its frame.
const EMPTY_LAST: [u8; 3] = [1, 0, 0];
/// In a frame header descriptor: a check sum follows the last block.
const HAS_SUM: u8 = 1 << 2;
/// In a frame header descriptor: reserved.
const RESERVED: u8 = 1 << 3;
/// In a frame header descriptor: no window, the content is kept whole.
const SINGLE_SEGMENT: u8 = 1 << 5;
/// Longest frame header, in bytes.
const MAX_HEADER: usize = 18;

/// A Zstandard body.
#[derive(Debug)]
pub(super) struct Zstd {
    at: At,
    /// The start of a header or block that is not whole yet; at most [`MAX_BLOCK`] bytes.
    carry: Vec<u8>,
    blocks: Option<Blocks>,
    charge: Charge,
    any_frame: bool,
}

#[derive(Clone, Copy, Debug)]
enum At {
    FrameHeader,
    Skip {
        left: u64,
    },
    BlockHeader,
    Block {
        header: [u8; 3],
        len: usize,
    },
    Sum {
        left: usize,
    },
    /// After the last frame. What follows is no part of the content.
    Over,
}

impl Zstd {
    pub(super) fn new(budget: &Budget) -> Option<Self> {
        let charge = budget.charge(TABLES)?;
        Some(Self { at: At::FrameHeader, carry: Vec::new(), blocks: None, charge, any_frame: false })
    }

    pub(super) fn finish(&self) -> EndKind {
        match self.at {
            At::FrameHeader if self.carry.is_empty() || self.any_frame => EndKind::Complete,
            At::Over => EndKind::Complete,
            _ => EndKind::Cut,
        }
    }

    pub(super) fn feed(
        &mut self,
        meter: &mut Meter,
        limits: &Limits,
        mut input: &[u8],
        out: Out<'_>,
    ) -> Result<(), Stop> {
        loop {
            match self.at {
                At::FrameHeader => {
                    let want = match header_len(&self.carry) {
                        Some(want) => want,
                        // As with gzip, what follows a whole frame and opens no other is let be.
                        None if self.any_frame => {
                            self.at = At::Over;
                            continue;
                        }
                        None => return Err(Stop::Corrupt),
                    };
                    if self.carry.len() < want {
                        if input.is_empty() {
                            return Ok(());
                        }
                        self.fill(meter, &mut input, want);
                        continue;
                    }
                    self.open(limits)?;
                    self.carry.clear();
                }
                At::Skip { left } => {
                    let n = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                    input = input.get(n..).unwrap_or_default();
                    meter.used(n);
                    let left = left - wide(n);
                    if left != 0 {
                        self.at = At::Skip { left };
                        return Ok(());
                    }
                    self.at = At::FrameHeader;
                }
                At::BlockHeader => {
                    if !self.fill(meter, &mut input, 3) {
                        return Ok(());
                    }
                    let Some(&header) = self.carry.first_chunk() else { return Err(Stop::Corrupt) };
                    self.carry.clear();
                    self.at = At::Block { header, len: block_len(header)? };
                }
                At::Block { header, len } => {
                    let carry_empty = self.carry.is_empty();
                    let body = match input.split_at_checked(len) {
                        Some((body, rest)) if carry_empty => {
                            input = rest;
                            meter.used(len);
                            body
                        }
                        _ if self.fill(meter, &mut input, len) => self.carry.as_slice(),
                        _ => return self.account(),
                    };
                    let Some(blocks) = &mut self.blocks else { return Err(Stop::Corrupt) };
                    blocks.decode(header, body, meter, limits, &mut *out)?;
                    self.carry.clear();
                    let [flags, ..] = header;
                    self.at = At::BlockHeader;
                    if flags & 1 != 0 {
                        self.at = if blocks.sum { At::Sum { left: 4 } } else { At::FrameHeader };
                        self.any_frame = true;
                        self.blocks = None;
                    }
                    self.account()?;
                }
                At::Sum { left } => {
                    let n = left.min(input.len());
                    input = input.get(n..).unwrap_or_default();
                    self.at = if n == left { At::FrameHeader } else { At::Sum { left: left - n } };
                    if n < left {
                        return Ok(());
                    }
                }
                At::Over => return Ok(()),
            }
        }
    }
}

impl Zstd {
    /// Brings the carry up to `want` bytes; `false` if `input` ends before.
    fn fill(&mut self, meter: &mut Meter, input: &mut &[u8], want: usize) -> bool {
        let missing = want.saturating_sub(self.carry.len());
        let (head, rest) = input.split_at(missing.min(input.len()));
        self.carry.reserve_exact(missing);
        self.carry.extend_from_slice(head);
        meter.used(head.len());
        *input = rest;
        self.carry.len() == want
    }

    /// Opens the frame whose header is in the carry.
    fn open(&mut self, limits: &Limits) -> Result<(), Stop> {
        if let Some((magic, rest)) = self.carry.split_first_chunk()
            && is_skippable(*magic)
        {
            let len = rest.first_chunk().map_or(0, |len| u32::from_le_bytes(*len));
            self.at = At::Skip { left: u64::from(len) };
            return Ok(());
        }
        self.blocks = Some(Blocks::open(&self.carry, limits)?);
        self.at = At::BlockHeader;
        Ok(())
    }

    /// Brings the account up to date.
    fn account(&mut self) -> Result<(), Stop> {
        let blocks = self.blocks.as_ref().map_or(0, Blocks::bytes);
        let bytes = TABLES.saturating_add(wide(self.carry.capacity())).saturating_add(blocks);
        if self.charge.set(bytes) { Ok(()) } else { Err(Stop::Memory) }
    }
}

fn is_skippable(magic: [u8; 4]) -> bool {
    u32::from_le_bytes(magic) & !0x0f == SKIPPABLE
}

/// How long a header that begins with `bytes` is, as far as they tell; `None` if no header does.
fn header_len(bytes: &[u8]) -> Option<usize> {
    match *bytes {
        [] => Some(1),
        [0x28 | 0x50..=0x5f] | [0x28 | 0x50..=0x5f, _] | [0x28 | 0x50..=0x5f, _, _] => Some(4),
        [a, b, c, d, ref rest @ ..] if is_skippable([a, b, c, d]) => Some(if rest.len() < 4 { 8 } else { bytes.len() }),
        [a, b, c, d] if u32::from_le_bytes([a, b, c, d]) == MAGIC => Some(5),
        [a, b, c, d, flags, ..] if u32::from_le_bytes([a, b, c, d]) == MAGIC => {
            let window = usize::from(flags & SINGLE_SEGMENT == 0);
            let dictionary = [0, 1, 2, 4].get(usize::from(flags & 3)).copied()?;
            Some(5 + window + dictionary + content_size_len(flags))
        }
        _ => None,
    }
}

/// Length of the frame content size field.
fn content_size_len(flags: u8) -> usize {
    match flags >> 6 {
        0 => usize::from(flags & SINGLE_SEGMENT != 0),
        1 => 2,
        2 => 4,
        _ => 8,
    }
}

/// Window that a whole frame header asks for, in bytes (RFC 8878 §3.1.1.1.2).
fn window(header: &[u8]) -> Option<u64> {
    let flags = *header.get(4)?;
    if flags & SINGLE_SEGMENT == 0 {
        let window = *header.get(5)?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let field = header.get(header.len().checked_sub(content_size_len(flags))?..)?;
    let mut size = [0; 8];
    size.get_mut(..field.len())?.copy_from_slice(field);
    let size = u64::from_le_bytes(size);
    Some(if field.len() == 2 { size + 256 } else { size })
}

/// Length of the body of a block on the wire, in bytes.
fn block_len(header: [u8; 3]) -> Result<usize, Stop> {
    let [a, b, c] = header;
    let size = usize::try_from(u32::from_le_bytes([a, b, c, 0]) >> 3).map_err(|_| Stop::Corrupt)?;
    match (a >> 1) & 3 {
        _ if size > MAX_BLOCK => Err(Stop::Corrupt),
        0 | 2 => Ok(size),
        1 => Ok(1),
        _ => Err(Stop::Corrupt),
    }
}

/// The blocks of one frame.
///
/// The library gives out only what lies outside the window, until the last block has come. So it is told
/// at once, by an empty block marked as the last, that the frame is over; it decodes further blocks all the same.
/// Then all of its buffer can be read, and a reader that takes nothing leaves the window in place.
/// The window is dropped here instead, now and then, by [`Blocks::pack`].
struct Blocks {
    decoder: FrameDecoder,
    window: usize,
    /// Bytes in the buffer of the decoder; all have been handed on.
    kept: usize,
    /// Most bytes that were in the buffer, and longest block, decoded.
    most: usize,
    largest: usize,
    /// A check sum follows the last block.
    sum: bool,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("window", &self.window).field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl Blocks {
    fn open(header: &[u8], limits: &Limits) -> Result<Self, Stop> {
        let window = window(header).and_then(|window| usize::try_from(window).ok()).ok_or(Stop::Corrupt)?;
        if window > limits.window {
            return Err(Stop::Window);
        }
        let mut copy = [0; MAX_HEADER];
        let copy = copy.get_mut(..header.len()).ok_or(Stop::Corrupt)?;
        copy.copy_from_slice(header);
        let flags = copy.get_mut(4).ok_or(Stop::Corrupt)?;
        if *flags & RESERVED != 0 {
            return Err(Stop::Corrupt);
        }
        let sum = *flags & HAS_SUM != 0;
        // Else the decoder would look for the sum after the empty block.
        *flags &= !HAS_SUM;
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(wide(window));
        decoder.reset(&*copy).map_err(|error| match error {
            FrameDecoderError::DictNotProvided { .. } => Stop::Dictionary,
            _ => Stop::Corrupt,
        })?;
        let mut blocks = Self { decoder, window, kept: 0, most: 0, largest: 0, sum };
        blocks.push(EMPTY_LAST, &[])?;
        Ok(blocks)
    }

    /// Estimate of the memory held, in bytes: the buffer, which grows by doubling above two blocks, and scratch for the
    /// literals and sequences of a block. [`Self::pack`] holds a copy of the buffer beside it while it runs.
    fn bytes(&self) -> u64 {
        let need = self.most.saturating_add(2);
        let above = need.saturating_sub(2 * MAX_BLOCK);
        let buffer = if above == 0 { need.next_power_of_two() } else { above.next_power_of_two() + 2 * MAX_BLOCK };
        wide(buffer.saturating_add(self.largest.saturating_mul(6)))
    }

    fn decode(
        &mut self,
        header: [u8; 3],
        body: &[u8],
        meter: &mut Meter,
        limits: &Limits,
        out: Out<'_>,
    ) -> Result<(), Stop> {
        if self.kept > self.window.saturating_add(self.window.max(MIN_SURPLUS)) {
            self.pack()?;
        }
        self.push(header, body)?;
        let have = self.decoder.can_collect();
        let len = have.saturating_sub(self.kept);
        if len > MAX_BLOCK {
            return Err(Stop::Corrupt);
        }
        if len != 0 {
            let mut peek = Peek { skip: self.kept, seen: 0, meter, limits, out, result: Ok(()) };
            let drained = self.decoder.collect_to_writer(&mut peek);
            peek.result?;
            if peek.seen != len || !matches!(drained, Ok(0)) {
                return Err(Stop::Corrupt);
            }
        }
        self.kept = have;
        self.most = self.most.max(have);
        self.largest = self.largest.max(len);
        Ok(())
    }

    fn push(&mut self, header: [u8; 3], body: &[u8]) -> Result<(), Stop> {
        let source = header.as_slice().chain(body);
        self.decoder.decode_blocks(source, BlockDecodingStrategy::UptoBlocks(1)).map_err(|_| Stop::Corrupt)?;
        Ok(())
    }

    /// Drops what lies outside the window. Taking all and putting the window back, as raw blocks, leaves the
    /// buffer of the decoder in one piece, which [`Peek`] relies on; at most one byte is copied per byte decoded.
    fn pack(&mut self) -> Result<(), Stop> {
        let all = self.decoder.collect().unwrap_or_default();
        let tail = all.get(all.len().saturating_sub(self.window)..).unwrap_or_default();
        for piece in tail.chunks(self.window.clamp(1, MAX_BLOCK)) {
            let size = u32::try_from(piece.len()).map_err(|_| Stop::Corrupt)?;
            let [a, b, c, _] = (size << 3).to_le_bytes();
            self.push([a, b, c], piece)?;
        }
        self.kept = tail.len();
        Ok(())
    }
}

/// Reads the buffer of the decoder and takes nothing.
struct Peek<'a, 'o> {
    skip: usize,
    seen: usize,
    meter: &'a mut Meter,
    limits: &'a Limits,
    out: &'a mut (dyn FnMut(&[u8]) -> Result<(), Stop> + 'o),
    result: Result<(), Stop>,
}

impl Write for Peek<'_, '_> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let new = buffer.get(self.skip..).unwrap_or_default();
        self.seen = new.len();
        self.result = self.meter.pass(self.limits, new, &mut *self.out);
        Ok(0)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
