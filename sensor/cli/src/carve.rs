//! The packets of each detection, in files of their own: a second pass over the input.

use crate::failure::Failure;
use crate::log::Log;
use crate::words::plural;
use capture::{CarveWriter, Options, Reader};
use correlate::record::Detection;
use net::{
    Carrier, FiveTuple, FlowKey, FragmentLimits, Fragments, Frame, Packet, Path as Tunnels, Transport, Tunnel,
    Undecoded,
};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Most detections whose packets are carved; later ones are counted and told.
pub(crate) const MAX_RANGES: usize = 100_000;
/// Bytes held back for one file before they are written out.
const FILE_BUFFER_BYTES: usize = 16 << 10;
/// Bytes of fragments held until their datagram is whole; beyond that the oldest are left out.
const FRAGMENT_BYTES: usize = 32 << 20;
/// Bytes held back for all files together; beyond that every write goes out at once.
const TOTAL_BUFFER_BYTES: usize = 64 << 20;

/// What to carve: the packets of a flow from one to another, within a file.
#[derive(Debug)]
struct Range {
    id: String,
    first: u64,
    last: u64,
}

/// A flow as detections name it: both ends, and the tunnels around it but for labels, which may differ by direction.
type Flow = (FlowKey, Vec<String>);

/// What is to be carved for the detections of a run.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    by_flow: HashMap<(Flow, String), Vec<Range>>,
    ids: HashSet<String>,
    left_out: u64,
}

impl Ranges {
    /// Notes the packets of `detection`.
    pub(crate) fn add(&mut self, detection: &Detection) {
        if self.ids.len() >= MAX_RANGES {
            self.left_out += 1;
            return;
        }
        let Some(key) = key(detection) else { return };
        // The id names a file.
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b':');
        if detection.id.is_empty() || !detection.id.bytes().all(plain) || !self.ids.insert(detection.id.clone()) {
            return;
        }
        let [first, last] = detection.source.packets;
        // A flow that goes on in another file of the run: to the end of this one.
        let last = if last < first { u64::MAX } else { last };
        let ranges = self.by_flow.entry((key, detection.source.name.clone())).or_default();
        ranges.push(Range { id: detection.id.clone(), first, last });
    }
}

fn key(detection: &Detection) -> Option<Flow> {
    let flow = &detection.flow;
    let transport = match flow.transport.as_str() {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        _ => return None,
    };
    let (client, server) = (&flow.client, &flow.server);
    let (src, dst) = (client.ip.parse().ok()?, server.ip.parse().ok()?);
    let labels = Carrier::Mpls.word();
    let tunnels = flow.tunnel.iter().filter(|word| *word != labels).cloned().collect();
    Some((FiveTuple::new(src, client.port, dst, server.port, transport).key().0, tunnels))
}

/// The flow of a packet; `tunnels` is asked where it came in some.
fn flow_of(packet: &Packet, tunnels: impl FnOnce() -> Tunnels) -> Flow {
    let key = packet.tuple.within(Tunnel::NONE).key().0;
    if packet.tuple.tunnel == Tunnel::NONE {
        return (key, Vec::new());
    }
    let numbered =
        tunnels().steps().filter(|step| step.carrier != Carrier::Mpls).map(|step| step.to_string()).collect();
    (key, numbered)
}

/// The ranges of one flow in one file, in order, and those being written.
#[derive(Default)]
struct Work {
    /// By first packet, the next one last.
    waiting: Vec<Range>,
    open: Vec<(Range, CarveWriter<Held>)>,
}

/// Reads the input once more and writes what `ranges` holds to `dir`.
pub(crate) fn carve(
    ranges: Ranges,
    dir: &Path,
    paths: &[PathBuf],
    options: &Options,
    log: &Log,
) -> Result<(), Failure> {
    if ranges.left_out > 0 {
        log.warn(&format!(
            "the packets of the first {MAX_RANGES} detections are carved; {} more have no file",
            ranges.left_out
        ));
    }
    let file_of = |id: &str| dir.join(format!("{id}.pcapng"));
    // Told before anything is written, rather than half way through.
    let mut taken: Vec<PathBuf> =
        ranges.ids.iter().map(|id| file_of(id)).filter(|p| p.symlink_metadata().is_ok()).collect();
    taken.sort();
    if let Some(first) = taken.first() {
        return Err(Failure::run(format!(
            "{} exists already and is left as it is; nothing was carved ({} such files). Name an empty directory",
            first.display(),
            taken.len()
        )));
    }
    let count = ranges.ids.len();
    let mut reader = Reader::open(paths, options).map_err(|e| Failure::run(e.to_string()))?;
    let names: Vec<String> = reader.inputs().iter().map(|i| i.name.clone()).collect();
    // Names are base names: files of the same name in several directories share their ranges.
    let first_of_name: HashMap<&str, usize> = names.iter().enumerate().rev().map(|(i, n)| (n.as_str(), i)).collect();
    let mut carving = Carving {
        flows: HashMap::new(),
        fragments: Fragments::new(FragmentLimits::default()),
        parts: BTreeMap::new(),
        part_bytes: 0,
        held: Rc::default(),
        frames: 0,
        files: 0,
        file_of: &file_of,
    };
    #[expect(clippy::iter_over_hash_type, reason = "each goes to a place of its own")]
    for ((key, name), mut waiting) in ranges.by_flow {
        waiting.sort_by_key(|r| std::cmp::Reverse(r.first));
        if let Some(file) = first_of_name.get(name.as_str()) {
            carving.flows.insert((key, *file), Work { waiting, open: Vec::new() });
        }
    }
    loop {
        let batch = match reader.next_batch() {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            // Told in the first pass.
            Err(error) => {
                log.debug(&error.to_string());
                continue;
            }
        };
        for frame in batch.iter() {
            let name = names.get(usize::from(frame.place.file)).map_or("", String::as_str);
            let Some(file) = first_of_name.get(name) else { continue };
            carving.frame(&frame, *file)?;
        }
    }
    carving.finish()?;
    let (packets, detections) = (plural(carving.frames, "packet"), plural(carving.files as u64, "detection"));
    log.info(&format!("carved {packets} of {detections} to {}", dir.display()));
    if carving.files < count {
        log.warn(&format!(
            "{} detections have no packets in the second pass; did the input change?",
            count - carving.files
        ));
    }
    Ok(())
}

/// The frame of a fragment.
struct Part {
    data: Vec<u8>,
    ts: net::Timestamp,
    link: net::LinkType,
    wire_len: u32,
}

/// The state of the second pass.
struct Carving<'a> {
    flows: HashMap<(Flow, usize), Work>,
    fragments: Fragments,
    /// Frames of fragments whose datagram is not whole yet, by number.
    parts: BTreeMap<u64, Part>,
    part_bytes: usize,
    held: Rc<Cell<usize>>,
    frames: u64,
    files: usize,
    file_of: &'a dyn Fn(&str) -> PathBuf,
}

impl Carving<'_> {
    fn frame(&mut self, frame: &Frame<'_>, file: usize) -> Result<(), Failure> {
        match net::decode(frame) {
            Ok(packet) => self.packet(flow_of(&packet, || net::tunnel_path(frame)), &[*frame], file),
            Err(Undecoded::Fragment) => self.fragment(frame, file),
            Err(_) => Ok(()),
        }
    }

    /// Holds a fragment until its datagram is whole: all frames of it are carved then.
    fn fragment(&mut self, frame: &Frame<'_>, file: usize) -> Result<(), Failure> {
        let part = Part { data: frame.data.to_vec(), ts: frame.ts, link: frame.link, wire_len: frame.wire_len };
        self.part_bytes += part.data.len() + size_of::<Part>();
        self.parts.insert(frame.place.number, part);
        while self.part_bytes > FRAGMENT_BYTES
            && let Some((_, part)) = self.parts.pop_first()
        {
            self.part_bytes -= part.data.len() + size_of::<Part>();
        }
        let Some(whole) = self.fragments.take(frame) else { return Ok(()) };
        let parts: Vec<Part> = whole.frames.iter().filter_map(|number| self.parts.remove(number)).collect();
        self.part_bytes -= parts.iter().map(|part| part.data.len() + size_of::<Part>()).sum::<usize>();
        let Ok(packet) = &whole.packet else { return Ok(()) };
        // Each where the last one stands: that is where the detection says the packet is.
        let frames: Vec<Frame<'_>> = parts
            .iter()
            .map(|p| Frame { place: frame.place, ts: p.ts, link: p.link, data: &p.data, wire_len: p.wire_len })
            .collect();
        self.packet(flow_of(packet, || whole.path), &frames, file)
    }

    /// Writes the frames of one packet to whatever they belong to.
    fn packet(&mut self, flow: Flow, frames: &[Frame<'_>], file: usize) -> Result<(), Failure> {
        let Some(number) = frames.last().map(|frame| frame.place.in_file) else { return Ok(()) };
        let Some(work) = self.flows.get_mut(&(flow, file)) else { return Ok(()) };
        while let Some(range) = work.waiting.pop_if(|r| r.first <= number) {
            let path = (self.file_of)(&range.id);
            let name = path.display().to_string();
            let held = Held { path, buffer: Vec::new(), total: Rc::clone(&self.held), created: false };
            let writer = CarveWriter::new(name, held).map_err(|e| Failure::run(e.to_string()))?;
            self.files += 1;
            work.open.push((range, writer));
        }
        for (_, writer) in work.open.iter_mut().filter(|(r, _)| number <= r.last) {
            for frame in frames {
                writer.write(frame).map_err(|e| Failure::run(e.to_string()))?;
                self.frames += 1;
            }
        }
        for (_, writer) in work.open.extract_if(.., |(r, _)| r.last <= number) {
            writer.finish().map_err(|e| Failure::run(e.to_string()))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        #[expect(clippy::iter_over_hash_type, reason = "each closes a file of its own")]
        for work in self.flows.values_mut() {
            for (_, writer) in work.open.drain(..) {
                writer.finish().map_err(|e| Failure::run(e.to_string()))?;
            }
        }
        Ok(())
    }
}

/// A file that is open only while it is written to, so that any number of them can be under way.
#[derive(Debug)]
struct Held {
    path: PathBuf,
    buffer: Vec<u8>,
    /// Bytes held back by all.
    total: Rc<Cell<usize>>,
    created: bool,
}

impl Write for Held {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        self.total.set(self.total.get() + bytes.len());
        if self.buffer.len() > FILE_BUFFER_BYTES || self.total.get() > TOTAL_BUFFER_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.total.set(self.total.get() - self.buffer.len());
        let buffer = std::mem::take(&mut self.buffer);
        let mut file = self.open()?;
        self.created = true;
        file.write_all(&buffer)
    }
}

impl Held {
    fn open(&self) -> io::Result<File> {
        if self.created {
            return OpenOptions::new().append(true).open(&self.path);
        }
        OpenOptions::new().write(true).create_new(true).mode(0o640).open(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_whole_however_little_is_held_back() {
        let dir = tempfile::tempdir().unwrap();
        let total: Rc<Cell<usize>> = Rc::default();
        // As if others held back all there is: every write goes out at once.
        for others in [0, TOTAL_BUFFER_BYTES] {
            total.set(others);
            let path = dir.path().join(others.to_string());
            let mut held = Held { path: path.clone(), buffer: Vec::new(), total: Rc::clone(&total), created: false };
            let mut want = Vec::new();
            for n in 0..200_u8 {
                let piece = vec![n; usize::from(n)];
                held.write_all(&piece).unwrap();
                want.extend(piece);
                assert!(total.get() <= others + FILE_BUFFER_BYTES + 200);
                assert!(others == 0 || held.buffer.is_empty());
            }
            held.flush().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), want);
            assert_eq!(total.get(), others);
            let mut second = Held { path, buffer: vec![1], total: Rc::new(Cell::new(1)), created: false };
            assert_eq!(second.flush().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
    }
}
