//! gzip (RFC 1952) and deflate (zlib, RFC 1950, or raw, RFC 1951): the frame is read here, so that one kind of
//! raw inflater serves all.

use super::meter::{CHUNK, Meter, Out};
use super::pool::Inflater;
use super::{Limits, Stop};
use crate::EndKind;
use flate2::{FlushDecompress, Status};

/// Gives `inflater` all of `input`, and hands on all that can be known from it. `true` with the number of bytes
/// used once the last block is over.
pub(crate) fn inflate(
    inflater: &mut Inflater,
    meter: &mut Meter,
    limits: &Limits,
    mut input: &[u8],
    out: Out<'_>,
) -> Result<(usize, bool), Stop> {
    let whole = input.len();
    let state = &mut inflater.state;
    // On the stack, where it stays in the nearest cache; one for each inflater would be cold each time.
    let mut chunk = [0_u8; CHUNK];
    loop {
        let room = meter.room();
        let Some(target) = chunk.get_mut(..room) else { return Err(Stop::Corrupt) };
        let (used, made) = (state.total_in(), state.total_out());
        let status = state.decompress(input, target, FlushDecompress::None);
        let used = usize::try_from(state.total_in() - used).unwrap_or(usize::MAX);
        let made = usize::try_from(state.total_out() - made).unwrap_or(usize::MAX);
        input = input.get(used..).unwrap_or_default();
        meter.used(used);
        // Also what came before a fault: the peer may have acted on it.
        meter.pass(limits, target.get(..made).unwrap_or_default(), &mut *out)?;
        match status {
            Err(_) => return Err(Stop::Corrupt),
            Ok(Status::StreamEnd) => return Ok((whole - input.len(), true)),
            Ok(Status::Ok | Status::BufError) => {
                if made < room && (input.is_empty() || used == 0) {
                    return Ok((whole, false));
                }
            }
        }
    }
}

/// A gzip or deflate body.
///
/// Check sums are stepped over, not checked: what a body said is seen as it comes, and a wrong sum unsays nothing.
#[derive(Debug)]
pub(super) struct Inflate {
    inflater: Inflater,
    wrap: Wrap,
    at: At,
}

/// What is around the DEFLATE blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrap {
    Gzip,
    /// `deflate`, which says zlib and is often raw; told apart by the first two bytes.
    Unknown,
    Zlib,
    Raw,
}

/// Where in the body the next byte lies.
#[derive(Clone, Copy, Debug)]
enum At {
    /// At its first byte.
    Start,
    /// In the header of a gzip member.
    Member { flags: u8, field: Field },
    /// At the second byte of `deflate`.
    Second(u8),
    /// In the DEFLATE blocks.
    Blocks,
    /// In the check sum, with so many bytes left.
    Trailer(u8),
    /// After a gzip member.
    Between,
    /// After a gzip member and the first byte of what may be another.
    BetweenSecond,
    /// After the end. What follows is no part of the content.
    Over,
}

/// The fields of a gzip member header, in order, with the bytes done or left (RFC 1952 §2.3).
#[derive(Clone, Copy, Debug)]
enum Field {
    Fixed { done: u8 },
    ExtraLen,
    ExtraLenHigh(u8),
    Extra { left: u16 },
    Name,
    Comment,
    Sum { left: u8 },
}

const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

impl Inflate {
    pub(super) fn gzip(inflater: Inflater) -> Self {
        Self { inflater, wrap: Wrap::Gzip, at: At::Start }
    }

    pub(super) fn deflate(inflater: Inflater) -> Self {
        Self { inflater, wrap: Wrap::Unknown, at: At::Start }
    }

    pub(super) fn into_inflater(self) -> Inflater {
        self.inflater
    }

    pub(super) fn finish(&self) -> EndKind {
        match self.at {
            At::Start | At::Between | At::BetweenSecond | At::Over => EndKind::Complete,
            At::Member { .. } | At::Second(_) | At::Blocks | At::Trailer(_) => EndKind::Cut,
        }
    }

    pub(super) fn feed(
        &mut self,
        meter: &mut Meter,
        limits: &Limits,
        mut input: &[u8],
        out: Out<'_>,
    ) -> Result<(), Stop> {
        while !input.is_empty() {
            if let At::Blocks = self.at {
                let used = self.blocks(meter, limits, input, &mut *out)?;
                input = input.get(used..).unwrap_or_default();
            } else if let At::Over = self.at {
                return Ok(());
            } else if let Some((&byte, rest)) = input.split_first() {
                input = rest;
                let before = self.at;
                self.at = self.step(byte)?;
                if let (At::Second(first), Wrap::Raw) = (before, self.wrap) {
                    // The two bytes were no header but the start of the blocks.
                    self.blocks(meter, limits, &[first, byte], &mut *out)?;
                }
            }
        }
        Ok(())
    }

    fn blocks(&mut self, meter: &mut Meter, limits: &Limits, input: &[u8], out: Out<'_>) -> Result<usize, Stop> {
        let (used, over) = inflate(&mut self.inflater, meter, limits, input, out)?;
        if over {
            self.at = match self.wrap {
                Wrap::Gzip => At::Trailer(8),
                Wrap::Zlib => At::Trailer(4),
                Wrap::Unknown | Wrap::Raw => At::Over,
            };
        }
        Ok(used)
    }

    /// Takes one byte outside the blocks.
    fn step(&mut self, byte: u8) -> Result<At, Stop> {
        Ok(match (self.at, byte) {
            (At::Start, 0x1f) if self.wrap == Wrap::Gzip => At::Member { flags: 0, field: Field::Fixed { done: 1 } },
            (At::Start, _) if self.wrap == Wrap::Gzip => return Err(Stop::Corrupt),
            (At::Start, _) => At::Second(byte),
            (At::Second(first), _) => {
                self.wrap = if is_zlib([first, byte]) { Wrap::Zlib } else { Wrap::Raw };
                At::Blocks
            }
            (At::Member { flags, field }, _) => member(flags, field, byte)?,
            (At::Trailer(left @ 2..), _) => At::Trailer(left - 1),
            (At::Trailer(_), _) if self.wrap == Wrap::Gzip => At::Between,
            (At::Between, 0x1f) => At::BetweenSecond,
            (At::BetweenSecond, 0x8b) => {
                self.inflater.state.reset(false);
                At::Member { flags: 0, field: Field::Fixed { done: 2 } }
            }
            (At::Trailer(_) | At::Between | At::BetweenSecond, _) => At::Over,
            (at @ (At::Blocks | At::Over), _) => at,
        })
    }
}

/// Takes one byte of a gzip member header.
fn member(flags: u8, field: Field, byte: u8) -> Result<At, Stop> {
    let field = match field {
        Field::Fixed { done } => {
            let flags = match (done, byte) {
                (1, 0x8b) | (2, 8) | (4.., _) => flags,
                (3, _) if byte & RESERVED == 0 => byte,
                _ => return Err(Stop::Corrupt),
            };
            if done == 9 {
                return Ok(next_field(flags));
            }
            return Ok(At::Member { flags, field: Field::Fixed { done: done + 1 } });
        }
        Field::ExtraLen => Field::ExtraLenHigh(byte),
        Field::ExtraLenHigh(low) => match u16::from_le_bytes([low, byte]) {
            0 => return Ok(next_field(flags & !FEXTRA)),
            left => Field::Extra { left },
        },
        Field::Extra { left: left @ 2.. } => Field::Extra { left: left - 1 },
        Field::Extra { .. } => return Ok(next_field(flags & !FEXTRA)),
        Field::Name | Field::Comment if byte != 0 => field,
        Field::Name => return Ok(next_field(flags & !FNAME)),
        Field::Comment => return Ok(next_field(flags & !FCOMMENT)),
        Field::Sum { left: left @ 2.. } => Field::Sum { left: left - 1 },
        Field::Sum { .. } => return Ok(At::Blocks),
    };
    Ok(At::Member { flags, field })
}

/// The first optional field that `flags` still announce, or the blocks.
fn next_field(flags: u8) -> At {
    let field = if flags & FEXTRA != 0 {
        Field::ExtraLen
    } else if flags & FNAME != 0 {
        Field::Name
    } else if flags & FCOMMENT != 0 {
        Field::Comment
    } else if flags & FHCRC != 0 {
        Field::Sum { left: 2 }
    } else {
        return At::Blocks;
    };
    At::Member { flags, field }
}

/// Whether these two bytes are a zlib header without dictionary (RFC 1950 §2.2). As the start of raw blocks they
/// would be a stored block with set padding bits, which no encoder writes.
pub(super) fn is_zlib(head: [u8; 2]) -> bool {
    let [cmf, flags] = head;
    cmf & 0x0f == 8 && cmf >> 4 <= 7 && flags & 0x20 == 0 && u16::from_be_bytes(head).is_multiple_of(31)
}
