//! Writes frames out again, as pcapng.

use net::{Frame, LinkType};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Why frames could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {source}")]
pub struct CarveError {
    path: String,
    source: io::Error,
}

impl CarveError {
    /// What the system said.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// Writes frames to a pcapng file of one section, with one interface per link type and times in nanoseconds.
///
/// Call [`CarveWriter::finish`]; what is merely dropped may be cut short without a word.
#[derive(Debug)]
pub struct CarveWriter<W: Write = BufWriter<File>> {
    out: W,
    path: String,
    links: Vec<LinkType>,
    frames: u64,
}

impl CarveWriter {
    /// Makes a new file, readable by owner and group only. What is there already, be it a link, is left alone.
    ///
    /// # Errors
    ///
    /// [`CarveError`], of kind [`io::ErrorKind::AlreadyExists`] where there is something of that name.
    pub fn create(path: &Path) -> Result<Self, CarveError> {
        let name = path.display().to_string();
        match OpenOptions::new().write(true).create_new(true).mode(0o640).open(path) {
            Ok(file) => Self::new(name, BufWriter::new(file)),
            Err(source) => Err(CarveError { path: name, source }),
        }
    }
}

impl<W: Write> CarveWriter<W> {
    /// Writes to `out`, which is called `name` in errors.
    ///
    /// # Errors
    ///
    /// [`CarveError`] if `out` fails.
    pub fn new(name: impl Into<String>, out: W) -> Result<Self, CarveError> {
        let mut writer = Self { out, path: name.into(), links: Vec::new(), frames: 0 };
        // Section header: byte order, version 1.0, length not given.
        let mut body = Vec::from(0x1a2b_3c4d_u32.to_le_bytes());
        body.extend([1, 0, 0, 0]);
        body.extend([0xff; 8]);
        writer.block(0x0a0d_0d0a, &[&body])?;
        Ok(writer)
    }

    /// Writes a frame. Its time is kept to the nanosecond; a time before 1970 becomes 1970.
    ///
    /// # Errors
    ///
    /// [`CarveError`] if the file cannot be written.
    pub fn write(&mut self, frame: &Frame<'_>) -> Result<(), CarveError> {
        let id = match self.links.iter().position(|link| *link == frame.link) {
            Some(id) => id,
            None => self.interface(frame.link)?,
        };
        let too_large = |_| self.error(io::ErrorKind::FileTooLarge.into());
        let id = u32::try_from(id).map_err(too_large)?;
        let captured = u32::try_from(frame.data.len()).map_err(too_large)?;
        let ts = u64::try_from(frame.ts.0).unwrap_or(0).to_be_bytes();
        let [h0, h1, h2, h3, l0, l1, l2, l3] = ts;
        let mut head = [0; 20];
        let fields =
            [id, u32::from_be_bytes([h0, h1, h2, h3]), u32::from_be_bytes([l0, l1, l2, l3]), captured, frame.wire_len];
        for (room, field) in head.chunks_exact_mut(4).zip(fields) {
            room.copy_from_slice(&field.to_le_bytes());
        }
        self.block(6, &[&head, frame.data])?;
        self.frames += 1;
        Ok(())
    }

    /// Frames written so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Writes out what is still held back, and gives the target back.
    ///
    /// # Errors
    ///
    /// [`CarveError`] if the file cannot be written.
    pub fn finish(mut self) -> Result<W, CarveError> {
        let flushed = self.out.flush();
        match flushed {
            Ok(()) => Ok(self.out),
            Err(e) => Err(self.error(e)),
        }
    }

    fn error(&self, source: io::Error) -> CarveError {
        CarveError { path: self.path.clone(), source }
    }

    /// Interface description: no snaplen, option `if_tsresol` = 10^-9 s.
    fn interface(&mut self, link: LinkType) -> Result<usize, CarveError> {
        let [a, b] = link.number().to_le_bytes();
        self.block(1, &[&[a, b, 0, 0, 0, 0, 0, 0], &[9, 0, 1, 0, 9, 0, 0, 0], &[0; 4]])?;
        self.links.push(link);
        Ok(self.links.len() - 1)
    }

    fn block(&mut self, kind: u32, parts: &[&[u8]]) -> Result<(), CarveError> {
        let body: usize = parts.iter().map(|part| part.len()).sum();
        let padding = body.next_multiple_of(4) - body;
        let written =
            u32::try_from(body + padding + 12).map_err(|_| io::ErrorKind::FileTooLarge.into()).and_then(|len| {
                self.out.write_all(&kind.to_le_bytes())?;
                self.out.write_all(&len.to_le_bytes())?;
                parts.iter().try_for_each(|part| self.out.write_all(part))?;
                self.out.write_all([0; 3].get(..padding).unwrap_or_default())?;
                self.out.write_all(&len.to_le_bytes())
            });
        written.map_err(|e| self.error(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Written, read_memory};
    use net::{Place, Timestamp};
    use proptest::prelude::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    proptest! {
        #[test]
        fn what_is_carved_reads_back_the_same(frames in prop::collection::vec(Written::any(), 0..20)) {
            let mut writer = CarveWriter::new("memory", Vec::new()).unwrap();
            for w in &frames {
                let place = Place::default();
                writer.write(&Frame { place, ts: w.ts, link: w.link, data: &w.data, wire_len: w.wire_len }).unwrap();
            }
            prop_assert_eq!(writer.frames(), frames.len() as u64);
            let (read, notices) = read_memory(writer.finish().unwrap());
            prop_assert_eq!(notices, vec![]);
            prop_assert_eq!(read, frames);
        }
    }

    #[test]
    fn times_before_1970_become_1970() {
        let mut writer = CarveWriter::new("memory", Vec::new()).unwrap();
        let frame = Frame { place: Place::default(), ts: Timestamp(-1), link: LinkType::Raw, data: b"x", wire_len: 1 };
        writer.write(&frame).unwrap();
        assert_eq!(read_memory(writer.finish().unwrap()).0[0].ts, Timestamp(0));
    }

    #[test]
    fn a_new_file_is_private_and_nothing_there_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pcapng");
        CarveWriter::create(&path).unwrap().finish().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
        assert_eq!(CarveWriter::create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let (link, target) = (dir.path().join("link"), dir.path().join("target"));
        symlink(&target, &link).unwrap();
        let error = CarveWriter::create(&link).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("link"), "{error}");
        assert!(!target.exists());
    }
}
