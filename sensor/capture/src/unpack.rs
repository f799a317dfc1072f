//! From a file's bytes to a capture's bytes: gzip and zstd, told by content.

use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Largest zstd window accepted, in bytes per open file (what `zstd` itself accepts without asking).
pub const MAX_ZSTD_WINDOW: u64 = 128 << 20;

/// Compressed bytes read at a time.
const INPUT_BYTES: usize = 256 << 10;

/// How packed files begin.
pub(crate) const MAGICS: [&[u8]; 2] = [GZIP, ZSTD];
const GZIP: &[u8] = &[0x1f, 0x8b, 8];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// A stream of capture bytes.
pub(crate) type Input = Box<dyn Read + Send>;

/// What is known of the file below the decoder; shared with the one who holds the decoder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    read: Arc<AtomicU64>,
    failed: Arc<AtomicBool>,
}

impl Meter {
    /// Bytes taken from the file so far.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Whether the system failed to read. If not, an error of the decoder is the fault of the data.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// A file with its meter.
struct Source {
    inner: Input,
    meter: Meter,
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(out);
        match &result {
            Ok(n) => {
                self.meter.read.fetch_add(*n as u64, Ordering::Relaxed);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.meter.failed.store(true, Ordering::Relaxed),
        }
        result
    }
}

/// Puts the decoder before the file that its first bytes ask for; says which.
pub(crate) fn unpack(file: Input, meter: Meter) -> io::Result<(Input, Option<&'static str>)> {
    let mut source = Source { inner: file, meter };
    let mut magic = [0; 4];
    let mut have = 0;
    while let Some(room) = magic.get_mut(have..).filter(|room| !room.is_empty()) {
        match source.read(room) {
            Ok(0) => break,
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let first = Cursor::new(magic).take(have as u64).chain(source);
    // A skippable frame (RFC 8878 §3.1.2) is what some packers put first.
    let skippable = matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18]);
    Ok(if magic.starts_with(GZIP) {
        (Box::new(Gzip::new(first)), Some("gzip"))
    } else if magic.starts_with(ZSTD) || skippable {
        (Box::new(Zstd::new(first)), Some("zstd"))
    } else {
        (Box::new(first), None)
    })
}

/// All members of a gzip file, one after the other.
///
/// `flate2`'s own reader forgets what a call decoded before it met an error; this one gives it out first.
struct Gzip<R> {
    source: BufReader<R>,
    member: Decompress,
    /// Between members, and before the first.
    between: bool,
    failed: Option<io::Error>,
}

impl<R: Read> Gzip<R> {
    /// Binary logarithm of the deflate window (RFC 1951 §2): the largest there is.
    const WINDOW_BITS: u8 = 15;

    fn new(source: R) -> Self {
        let source = BufReader::with_capacity(INPUT_BYTES, source);
        Self { source, member: Decompress::new_gzip(Self::WINDOW_BITS), between: true, failed: None }
    }

    /// Decodes into `out`; says how many bytes came, and how that ended.
    fn step(&mut self, out: &mut [u8]) -> (usize, io::Result<()>) {
        let input = match self.source.fill_buf() {
            Ok([]) if self.between => return (0, Ok(())),
            Ok([]) => return (0, Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(input) => input,
            Err(e) => return (0, Err(e)),
        };
        if self.between {
            self.between = false;
            self.member = Decompress::new_gzip(Self::WINDOW_BITS);
        }
        let before = (self.member.total_in(), self.member.total_out());
        let status = self.member.decompress(input, out, FlushDecompress::None);
        let used = usize::try_from(self.member.total_in() - before.0).unwrap_or(usize::MAX);
        let made = usize::try_from(self.member.total_out() - before.1).unwrap_or(usize::MAX);
        self.source.consume(used);
        let ended = match status {
            Ok(Status::StreamEnd) => {
                self.between = true;
                Ok(())
            }
            Ok(_) if used > 0 || made > 0 => Ok(()),
            // The decoder's own words depend on how the data came in.
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "corrupt gzip data")),
        };
        (made, ended)
    }

    fn ended(&mut self) -> bool {
        self.between && self.source.fill_buf().is_ok_and(<[u8]>::is_empty)
    }
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(e) = self.failed.take() {
                return Err(e);
            }
            if out.is_empty() || self.ended() {
                return Ok(0);
            }
            match self.step(out) {
                (0, Ok(())) => {}
                (made, Ok(())) => return Ok(made),
                (0, Err(e)) => return Err(e),
                (made, Err(e)) => {
                    self.failed = Some(e);
                    return Ok(made);
                }
            }
        }
    }
}

/// All frames of a zstd file, one after the other.
///
/// The decoder proper holds a window back until its frame ends. When data break off, what it holds is still
/// given out before the error.
struct Zstd<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    inside: bool,
    failed: Option<io::Error>,
    done: bool,
}

impl<R: Read> Zstd<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_ZSTD_WINDOW);
        let source = BufReader::with_capacity(INPUT_BYTES, source);
        Self { source, decoder, inside: false, failed: None, done: false }
    }

    /// Decodes until there is something to give out, or nothing more will come.
    fn advance(&mut self) -> io::Result<()> {
        if self.inside && !self.decoder.is_finished() {
            let one = BlockDecodingStrategy::UptoBlocks(1);
            return self.decoder.decode_blocks(&mut self.source, one).map(|_| ()).map_err(|e| self.error(&e));
        }
        if self.inside {
            self.inside = false;
            let written = self.decoder.get_checksum_from_data();
            if written.is_some() && written != self.decoder.get_calculated_checksum() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum does not match"));
            }
        }
        if self.source.fill_buf()?.is_empty() {
            self.done = true;
            return Ok(());
        }
        match self.decoder.reset(&mut self.source) {
            Ok(()) => self.inside = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let length = u64::from(length);
                if io::copy(&mut self.source.by_ref().take(length), &mut io::sink())? < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(e) => return Err(self.error(&e)),
        }
        Ok(())
    }

    /// The decoder's error types do not say "ended early" in one way, the source does.
    fn error(&mut self, e: &FrameDecoderError) -> io::Error {
        let ended = self.source.fill_buf().is_ok_and(<[u8]>::is_empty);
        let kind = if ended { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::InvalidData };
        io::Error::new(kind, e.to_string())
    }

    /// Makes the decoder give out what it holds back, by ending its frame with an empty last block.
    fn release(&mut self) {
        if self.inside && !self.decoder.is_finished() {
            let end: &[u8] = &[1, 0, 0, 0, 0, 0, 0];
            // If even that fails, there is nothing more to be had from it.
            let _ = self.decoder.decode_blocks(end, BlockDecodingStrategy::UptoBlocks(1));
        }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(out);
            }
            if let Some(e) = self.failed.take() {
                self.done = true;
                return Err(e);
            }
            if self.done || out.is_empty() {
                return Ok(0);
            }
            match self.advance() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.release();
                    self.failed = Some(e);
                }
                Ok(()) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gzip, zstd};

    fn read_all(bytes: &[u8]) -> (Vec<u8>, Option<io::ErrorKind>) {
        let (mut input, _) = unpack(Box::new(Cursor::new(bytes.to_vec())), Meter::default()).unwrap();
        let mut out = Vec::new();
        let error = input.read_to_end(&mut out).err().map(|e| e.kind());
        (out, error)
    }

    #[test]
    fn packed_data_is_told_by_content_and_read_through_all_members() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        let (a, b) = text.split_at(123_457);
        let mut skippable = vec![0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
        skippable.extend(zstd(&text));
        for (name, packed) in [
            ("plain", text.clone()),
            ("gzip", gzip(&text)),
            ("gzip of two members", [gzip(a), gzip(b)].concat()),
            ("zstd", zstd(&text)),
            ("zstd of two frames", [zstd(a), zstd(b)].concat()),
            ("zstd with a skippable frame first", skippable),
        ] {
            let (out, error) = read_all(&packed);
            assert_eq!(error, None, "{name}");
            assert!(out == text, "{name}");
        }
    }

    #[test]
    fn cut_packed_data_give_what_came_before_and_say_that_they_end_early() {
        let text: Vec<u8> = (0..300_000_u32).flat_map(|i| (i / 3).to_le_bytes()).collect();
        for (name, packed) in [("gzip", gzip(&text)), ("zstd", zstd(&text))] {
            let mut longest = 0;
            for cut in (4..packed.len()).step_by(packed.len() / 50) {
                let (out, error) = read_all(&packed[..cut]);
                assert!(text.starts_with(&out), "{name} cut at {cut}");
                assert_eq!(error, Some(io::ErrorKind::UnexpectedEof), "{name} cut at {cut}");
                assert!(out.len() >= longest, "{name} cut at {cut}");
                longest = out.len();
            }
            assert!(longest > text.len() / 2, "{name}: {longest}");
        }
    }

    #[test]
    fn a_wrong_zstd_checksum_is_an_error_after_the_data() {
        let text = b"some text some text some text".repeat(40);
        let mut packed = zstd(&text);
        *packed.last_mut().unwrap() ^= 1;
        assert_eq!(read_all(&packed), (text, Some(io::ErrorKind::InvalidData)));
    }

    #[test]
    fn a_zstd_window_over_the_limit_is_refused() {
        // Frame header: no single segment, window descriptor with exponent 31.
        let packed = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 1, 0, 0];
        assert_eq!(read_all(&packed), (Vec::new(), Some(io::ErrorKind::InvalidData)));
    }
}
