//! HTTP content codings, taken off as the bytes come (RFC 9110 §8.4): gzip, deflate, br, zstd, and stacks of them.
//!
//! Whatever can be decoded from the bytes so far is handed on at once, so that an event stream comes out event by
//! event. How the input is cut changes neither the output nor the end; but for a corrupt Brotli body, whose last
//! few bytes may or may not be given. Memory is bounded per body ([`Limits::window`]) and over all bodies of a worker
//! ([`Budget`]).

mod brotli;
mod fuzz;
mod inflate;
mod meter;
mod pool;
#[cfg(test)]
mod tests;
mod zstd;

#[doc(hidden)]
pub use fuzz::fuzz_coding;
pub use pool::{Budget, Charge, Pool};

pub(crate) use inflate::inflate;
pub(crate) use meter::Meter;
pub(crate) use pool::Inflater;

use crate::EndKind;
use meter::Out;

/// What decoding one body may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most decoded bytes per body, and of each coding in a stack. Default 16 MiB.
    pub max_output: u64,
    /// Most decoded bytes per byte of input, looked at every 64 KiB from 1 MiB of output on. Default 1000: DEFLATE
    /// cannot do more than 1032, and JSON does not come near.
    pub max_ratio: u32,
    /// Most codings on one body. Default 4.
    pub max_depth: usize,
    /// Largest window of Brotli and Zstandard, in bytes. Default 8 MiB, all that RFC 9659 lets a Zstandard sender
    /// ask for. Brotli counts what is used, not what is declared.
    pub window: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_output: 16 << 20, max_ratio: 1000, max_depth: 4, window: 8 << 20 }
    }
}

/// One content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// `gzip`, `x-gzip` (RFC 1952).
    Gzip,
    /// `deflate`: zlib (RFC 1950), as the name means, or raw (RFC 1951), as it is often sent.
    Deflate,
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstd,
}

impl Coding {
    fn from_token(token: &[u8]) -> Option<Self> {
        [
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("br", Self::Brotli),
            ("zstd", Self::Zstd),
        ]
        .into_iter()
        .find(|(name, _)| token.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, coding)| coding)
    }
}

/// The content codings of one body, first to be taken off first. Plain data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codings {
    list: [Coding; Self::MAX],
    len: usize,
}

impl Codings {
    /// Most codings that are ever taken off, whatever [`Limits::max_depth`] says.
    pub const MAX: usize = 8;

    /// Reads the values of all `Content-Encoding` lines, in order; `None` where nothing is to be taken off.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] with the reason; the body is then to be counted as undecoded.
    pub fn read<'a>(
        content_encoding: impl IntoIterator<Item = &'a [u8]>,
        limits: &Limits,
    ) -> Result<Option<Self>, Unsupported> {
        let mut codings = Self { list: [Coding::Gzip; Self::MAX], len: 0 };
        for token in content_encoding.into_iter().flat_map(|value| value.split(|&b| b == b',')) {
            let token = token.trim_ascii();
            if token.is_empty() || token.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            let room = codings.list.get_mut(codings.len).filter(|_| codings.len < limits.max_depth);
            *room.ok_or(Unsupported::Depth)? = Coding::from_token(token).ok_or(Unsupported::Coding)?;
            codings.len += 1;
        }
        let found = codings.list.get_mut(..codings.len).unwrap_or_default();
        found.reverse();
        Ok((!found.is_empty()).then_some(codings))
    }

    /// Them, first to be taken off first.
    pub fn list(&self) -> &[Coding] {
        self.list.get(..self.len).unwrap_or_default()
    }
}

/// Why no decoder was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// A coding this module does not know.
    #[error("unknown content coding")]
    Coding,
    /// More codings than [`Limits::max_depth`].
    #[error("too many content codings")]
    Depth,
    /// The [`Budget`] is used up.
    #[error("decoder memory is used up")]
    Memory,
}

impl Unsupported {
    /// Stable word for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Coding => "unknown_coding",
            Self::Depth => "coding_depth",
            Self::Memory => "decoder_budget",
        }
    }
}

/// Why decoding stopped before the end. What was handed on before stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Stop {
    /// The bytes are not of this coding.
    #[error("corrupt content coding")]
    Corrupt,
    /// [`Limits::max_output`] is met.
    #[error("decoded body over the limit")]
    Output,
    /// [`Limits::max_ratio`] is met.
    #[error("compression ratio over the limit")]
    Ratio,
    /// [`Limits::window`] is met.
    #[error("compression window over the limit")]
    Window,
    /// The [`Budget`] is used up.
    #[error("decoder memory is used up")]
    Memory,
    /// A dictionary would be needed that is not part of the body.
    #[error("compressed with a dictionary")]
    Dictionary,
}

impl Stop {
    /// Stable word for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt_coding",
            Self::Output => "decoder_output",
            Self::Ratio => "decoder_ratio",
            Self::Window => "decoder_window",
            Self::Memory => "decoder_budget",
            Self::Dictionary => "coding_dictionary",
        }
    }
}

/// Takes the codings off one body. `Send`; bounded by [`Limits`] and [`Budget`].
#[derive(Debug)]
pub struct Decoder {
    /// Last applied, first taken off, first.
    layers: Vec<Layer>,
    stopped: Option<Stop>,
}

#[derive(Debug)]
struct Layer {
    codec: Codec,
    meter: Meter,
}

#[derive(Debug)]
enum Codec {
    Inflate(inflate::Inflate),
    Brotli(brotli::Brotli),
    Zstd(Box<zstd::Zstd>),
}

impl Decoder {
    /// A decoder for the values of all `Content-Encoding` lines, in order; `None` where nothing is to be taken off.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] with the reason; the body is then to be counted as undecoded.
    pub fn new<'a>(
        content_encoding: impl IntoIterator<Item = &'a [u8]>,
        limits: &Limits,
        pool: &mut Pool,
    ) -> Result<Option<Self>, Unsupported> {
        let codings = Codings::read(content_encoding, limits)?;
        codings.map(|codings| Self::of(codings.list(), pool)).transpose()
    }

    /// A decoder for `codings`, first to be taken off first; for bodies that are sniffed instead of labelled.
    ///
    /// # Errors
    ///
    /// [`Unsupported::Memory`].
    pub fn of(codings: &[Coding], pool: &mut Pool) -> Result<Self, Unsupported> {
        let mut decoder = Self { layers: Vec::with_capacity(codings.len()), stopped: None };
        for coding in codings {
            let Some(codec) = Codec::new(*coding, pool) else {
                decoder.finish(pool);
                return Err(Unsupported::Memory);
            };
            decoder.layers.push(Layer { codec, meter: Meter::default() });
        }
        Ok(decoder)
    }

    /// Takes the next bytes of the body, and gives `out` all that they decode to, in pieces of any size.
    ///
    /// # Errors
    ///
    /// [`Stop`]; what was decoded before has been given, and every later call says the same.
    pub fn feed(&mut self, limits: &Limits, input: &[u8], out: &mut dyn FnMut(&[u8])) -> Result<(), Stop> {
        if let Some(stop) = self.stopped {
            return Err(stop);
        }
        let result = run(&mut self.layers, limits, input, out);
        self.stopped = result.err();
        result
    }

    /// The body is over: whether all of it was decoded. States go back to `pool`.
    ///
    /// A body of no bytes is complete. Bytes after the end of a coding belong to no one and are let be.
    pub fn finish(self, pool: &mut Pool) -> EndKind {
        let mut end = if self.stopped.is_none() { EndKind::Complete } else { EndKind::Cut };
        for layer in self.layers {
            if layer.codec.finish() == EndKind::Cut {
                end = EndKind::Cut;
            }
            if let Codec::Inflate(codec) = layer.codec {
                pool.give_back(codec.into_inflater());
            }
        }
        end
    }

    /// Decoded bytes so far.
    pub fn output(&self) -> u64 {
        self.layers.last().map_or(0, |layer| layer.meter.output)
    }
}

/// Sends `input` through `layers`; each hands on to those behind it.
fn run(layers: &mut [Layer], limits: &Limits, input: &[u8], out: &mut dyn FnMut(&[u8])) -> Result<(), Stop> {
    let Some((layer, rest)) = layers.split_first_mut() else {
        out(input);
        return Ok(());
    };
    layer.codec.feed(&mut layer.meter, limits, input, &mut |bytes| run(rest, limits, bytes, &mut *out))
}

impl Codec {
    fn new(coding: Coding, pool: &mut Pool) -> Option<Self> {
        Some(match coding {
            Coding::Gzip => Self::Inflate(inflate::Inflate::gzip(pool.inflater()?)),
            Coding::Deflate => Self::Inflate(inflate::Inflate::deflate(pool.inflater()?)),
            Coding::Brotli => Self::Brotli(brotli::Brotli::new(pool.budget())?),
            Coding::Zstd => Self::Zstd(Box::new(zstd::Zstd::new(pool.budget())?)),
        })
    }

    fn feed(&mut self, meter: &mut Meter, limits: &Limits, input: &[u8], out: Out<'_>) -> Result<(), Stop> {
        match self {
            Self::Inflate(codec) => codec.feed(meter, limits, input, out),
            Self::Brotli(codec) => codec.feed(meter, limits, input, out),
            Self::Zstd(codec) => codec.feed(meter, limits, input, out),
        }
    }

    fn finish(&self) -> EndKind {
        match self {
            Self::Inflate(codec) => codec.finish(),
            Self::Brotli(codec) => codec.finish(),
            Self::Zstd(codec) => codec.finish(),
        }
    }
}

/// The coding that `bytes`, the start of a body, seem to have, whatever its label says. Brotli has no mark.
pub fn sniff(bytes: &[u8]) -> Option<Coding> {
    match *bytes {
        [0x1f, 0x8b, 0x08, ..] => Some(Coding::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Coding::Zstd),
        // zlib as encoders write it: the largest window, then a block type that exists.
        [0x78, level, block, ..] if inflate::is_zlib([0x78, level]) && block & 6 != 6 => Some(Coding::Deflate),
        _ => None,
    }
}
