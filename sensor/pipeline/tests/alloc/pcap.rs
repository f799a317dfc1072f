//! The capture in memory, and the source that hands it out and counts.

use crate::counter::{self, Counts};
use std::io::Read;
use std::sync::{Arc, Mutex};

/// Frames with their times, in microseconds since 1970, as a classic Ethernet capture.
pub(crate) fn file(frames: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let word = |n: u64| u32::try_from(n).unwrap().to_le_bytes();
    let mut out = testkit::Capture::new().pcap();
    for (us, frame) in frames {
        let len = word(frame.len() as u64);
        out.extend([word(us / 1_000_000), word(us % 1_000_000), len, len].as_flattened());
        out.extend_from_slice(frame);
    }
    out
}

/// How far the file was read, and what had been allocated then.
type Mark = (usize, Counts);

/// The first look at the counters after the warm-up, and the last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(Arc<Mutex<[Option<Mark>; 2]>>);

impl Marks {
    /// Bytes of the file between the marks, and what was allocated between them.
    pub(crate) fn measured(&self) -> (usize, Counts) {
        let [Some((from, before)), Some((to, after))] = *self.0.lock().unwrap() else {
            panic!("the capture is too short to be measured");
        };
        (to - from, after.since(before))
    }
}

/// Hands out a file.
pub(crate) struct Source {
    file: Vec<u8>,
    at: usize,
    sample_every: u32,
    marks: Marks,
}

impl Source {
    pub(crate) fn new(file: Vec<u8>, sample_every: u32) -> (Self, Marks) {
        let marks = Marks::default();
        (Self { file, at: 0, sample_every, marks: marks.clone() }, marks)
    }
}

impl Read for Source {
    /// Whoever asks for more is done with what it had, but for the record that the last block cut.
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.file[self.at..];
        let mut marks = self.marks.0.lock().unwrap();
        // The end of the file is read when nothing is left to be dealt with, so the last mark stands before that.
        if self.at >= self.file.len() / 2 && !rest.is_empty() {
            let mark = Some((self.at, counter::now()));
            if marks[0].is_none() {
                marks[0] = mark;
                counter::sample(self.sample_every);
            }
            marks[1] = mark;
        }
        let n = out.len().min(rest.len());
        out[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        if self.at == self.file.len() {
            counter::sample(0);
        }
        Ok(n)
    }
}
