//! Many files as one capture in time order.

use crate::batch::{Contents, Pool};
use crate::file::{Chunk, FileReader};
use crate::filter::Filter;
use crate::inputs::{Input, Listed, Listing};
use crate::notice::{Notice, NoticeCode, Notices};
use crate::walk::Secrets;
use crate::{Batch, FrameRef, OpenError, ReadError, unpack};
use net::Timestamp;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files read at the same time, because they overlap in time.
pub const MAX_OPEN_FILES: usize = 256;
/// Bytes of decryption secrets kept in a run, in all, each counted with what it takes to hold it.
pub const MAX_SECRETS_BYTES: usize = 64 << 20;

/// How to read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Frames to keep, as an expression of libpcap (`pcap-filter(7)`).
    pub bpf: Option<String>,
    /// Frames from this time on, inclusive.
    pub from: Option<Timestamp>,
    /// Frames before this time.
    pub to: Option<Timestamp>,
    /// Bytes read at a time; kept between [`Options::MIN_BLOCK_BYTES`] and [`Options::MAX_BLOCK_BYTES`]. A block
    /// grows beyond that for a single larger record only.
    pub block_bytes: usize,
    /// Files read at the same time where they overlap; from 1 to [`MAX_OPEN_FILES`].
    pub open_files: usize,
}

impl Options {
    /// Smallest block in bytes.
    pub const MIN_BLOCK_BYTES: usize = 64;
    /// Largest block in bytes.
    pub const MAX_BLOCK_BYTES: usize = 64 << 20;
}

impl Default for Options {
    fn default() -> Self {
        Self { bpf: None, from: None, to: None, block_bytes: 128 << 10, open_files: MAX_OPEN_FILES }
    }
}

/// What was read and what became of it. Packets = frames handed over + `outside_window` + `filtered_out`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets read and numbered, filtered or not.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Packets outside the time window.
    pub outside_window: u64,
    /// Packets the filter expression turned away.
    pub filtered_out: u64,
    /// Packets without number, because no block describes their interface.
    pub undescribed: u64,
    /// Records stepped over because they cannot be right.
    pub corrupt_records: u64,
    /// Bytes of decryption secrets beyond [`MAX_SECRETS_BYTES`].
    pub secrets_lost: u64,
    /// Notices beyond [`MAX_NOTICES`](crate::MAX_NOTICES) waiting ones.
    pub notices_lost: u64,
}

/// Reads captures in time order.
///
/// Files are ordered by the time of their first packet. One is opened when its time has come; those that overlap
/// are merged packet by packet, and within each the file's own order holds. Memory: a block per open file and
/// those of batches still in use, one record (17 MiB at most) per open file, and up to
/// [`MAX_ZSTD_WINDOW`](crate::MAX_ZSTD_WINDOW) per open zstd file.
pub struct Reader {
    inputs: Vec<Input>,
    /// Files whose time has not come, by first packet.
    pending: VecDeque<Pending>,
    /// Open files.
    active: Vec<Active>,
    pool: Pool,
    filter: Filter,
    block_bytes: usize,
    open_files: usize,
    number: u64,
    skipped: u64,
    stats: Stats,
    notices: Notices,
    secrets: Vec<Secrets>,
    secrets_bytes: usize,
    /// An input is of the format that can hold secrets.
    pcapng: bool,
    crowded: bool,
    /// Bytes of the files that are done with.
    done: u64,
}

struct Pending {
    file: u16,
    rank: u32,
    first: Timestamp,
    /// What cannot be opened a second time, or need not be.
    open: Option<(FileReader, Chunk)>,
}

struct Active {
    reader: FileReader,
    file: u16,
    /// Decides between packets of the same time.
    rank: u32,
    chunk: Chunk,
    /// First frame of the chunk that was not handed over.
    at: usize,
    /// Index of the chunk's block in the batch being made.
    slot: Option<u16>,
}

/// Place in the merged order: files of lower rank go first where times are equal.
type Turn = (Timestamp, u32);

impl Active {
    fn turn(&self) -> Option<Turn> {
        self.chunk.frames.get(self.at).map(|f| (f.ts, self.rank))
    }

    /// End of the run of frames that may go before `until`.
    fn run_end(&self, until: Option<Turn>) -> usize {
        let frames = &self.chunk.frames;
        let Some(until) = until else { return frames.len() };
        if self.chunk.latest.is_none_or(|latest| (latest, self.rank) < until) {
            return frames.len();
        }
        let rest = frames.iter().enumerate().skip(self.at);
        rest.filter(|(_, f)| (f.ts, self.rank) >= until).map(|(i, _)| i).next().unwrap_or(frames.len())
    }
}

/// Blocks are made smaller where more files than this many bytes' worth are open.
const OPEN_BLOCKS_BYTES: usize = 64 << 20;
/// Smallest block then.
const SMALL_BLOCK_BYTES: usize = 64 << 10;

impl Reader {
    /// Opens files, directories (with all below them) and standard input (`-`).
    ///
    /// Looks into each file as far as its first packet, to know their order.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: a named path that cannot be read or is no capture, or options that cannot work. In
    /// directories such files are skipped with a [`Notice`] instead, see [`Reader::skipped`].
    pub fn open(paths: &[PathBuf], options: &Options) -> Result<Self, OpenError> {
        let filter = Filter::new(options)?;
        let mut listing = Listing::of(paths)?;
        let files = std::mem::take(&mut listing.files);
        let mut reader = Self::new(listing, filter, options);
        let single = files.len() == 1;
        let mut peek = Pool::new(SMALL_BLOCK_BYTES);
        for listed in &files {
            let keep = single || !listed.regular;
            reader.look_into(listed, keep, &mut peek)?;
        }
        reader.order();
        Ok(reader)
    }

    /// Reads captures from memory or any other source. They are all held open, whatever their number.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`]; the name takes the place of the path.
    pub fn from_sources(sources: Vec<(String, unpack::Input)>, options: &Options) -> Result<Self, OpenError> {
        let filter = Filter::new(options)?;
        let mut listing = Listing::default();
        let mut readers = Vec::new();
        for (name, source) in sources {
            let file = u16::try_from(listing.inputs.len()).map_err(|_| OpenError::TooManyFiles)?;
            let reader = FileReader::new(source, file, true);
            readers.push(reader.map_err(|source| OpenError::Unreadable { path: name.clone().into(), source })?);
            listing.inputs.push(Input { name, path: None, bytes: None });
        }
        let mut reader = Self::new(listing, filter, options);
        for file in readers {
            reader.admit_peeked(file, true, true, None).map_err(|e| e.1)?;
        }
        reader.order();
        Ok(reader)
    }

    fn new(listing: Listing, filter: Filter, options: &Options) -> Self {
        let block_bytes = options.block_bytes.clamp(Options::MIN_BLOCK_BYTES, Options::MAX_BLOCK_BYTES);
        Self {
            inputs: listing.inputs,
            pending: VecDeque::new(),
            active: Vec::new(),
            pool: Pool::new(block_bytes),
            filter,
            block_bytes,
            open_files: options.open_files.clamp(1, MAX_OPEN_FILES),
            number: 0,
            skipped: listing.skipped,
            stats: Stats::default(),
            notices: listing.notices,
            secrets: Vec::new(),
            secrets_bytes: 0,
            pcapng: false,
            crowded: false,
            done: 0,
        }
    }

    /// All inputs, also skipped ones; the index is `Place::file`.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Inputs that were skipped: in directories, empty, foreign or unreadable files.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Counts so far.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats { notices_lost: self.notices.lost, ..self.stats };
        for (corrupt, undescribed) in self.active.iter().map(|a| a.reader.losses()) {
            stats.corrupt_records += corrupt;
            stats.undescribed += undescribed;
        }
        stats
    }

    /// Takes the notices out that have come up since last asked.
    pub fn notices(&mut self) -> impl Iterator<Item = Notice> + '_ {
        self.notices.waiting.drain(..)
    }

    pub(crate) fn waiting_notices(&mut self) -> &mut VecDeque<Notice> {
        &mut self.notices.waiting
    }

    /// Takes the decryption secrets out that have come up since last asked, in the order they were met: those before a
    /// packet are here when the packet is handed over. At most [`MAX_SECRETS_BYTES`] in a run.
    pub fn take_secrets(&mut self) -> Vec<Secrets> {
        std::mem::take(&mut self.secrets)
    }

    /// Whether an input is of the format that can hold secrets (pcapng). Known once the reader is open.
    pub fn may_bring_secrets(&self) -> bool {
        self.pcapng
    }

    /// Bytes of the files that were read, and of all files, as they lie on disk. Not known where a pipe is read.
    pub fn position(&self) -> (u64, Option<u64>) {
        let total = self.inputs.iter().map(|input| input.bytes).sum::<Option<u64>>();
        let read = self.done + self.active.iter().map(|a| a.reader.bytes_read()).sum::<u64>();
        (total.map_or(read, |total| read.min(total)), total)
    }

    /// The next frames; `None` when all files are done with. A batch can be empty where a filter is set.
    ///
    /// # Errors
    ///
    /// [`ReadError`] where the system fails to read a file. The next call goes on with the other files.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, ReadError> {
        loop {
            self.refill()?;
            let head = self.active.iter().filter_map(Active::turn).min();
            if !self.open_next(head) {
                break;
            }
        }
        if self.active.is_empty() {
            return Ok(None);
        }
        let mut contents = self.pool.contents();
        self.active.iter_mut().for_each(|a| a.slot = None);
        while self.hand_over_run(&mut contents) {}
        for (link, message) in self.filter.refused() {
            let message = format!("the filter expression means nothing for link type {}: {message}", link.number());
            let file = contents.frames.last().map_or(0, |f| f.place.file);
            self.notices.push(file, NoticeCode::FilterLinkType, message, self.number);
        }
        Ok(Some(self.pool.batch(contents)))
    }

    /// Gives every open file a frame to hand over, and closes those that have none left.
    fn refill(&mut self) -> Result<(), ReadError> {
        let block_bytes = (OPEN_BLOCKS_BYTES / self.active.len().max(1)).max(SMALL_BLOCK_BYTES).min(self.block_bytes);
        let mut i = 0;
        while let Some(active) = self.active.get_mut(i) {
            if active.at < active.chunk.frames.len() {
                i += 1;
                continue;
            }
            if active.reader.ended() {
                let active = self.active.swap_remove(i);
                self.close(&active.reader, active.file);
                continue;
            }
            active.at = 0;
            // The rest of the chunk goes, so that its block can be used again.
            let mut frames = std::mem::take(&mut active.chunk).frames;
            frames.clear();
            match active.reader.next_chunk(&mut self.pool, block_bytes, frames) {
                Ok(chunk) => {
                    active.chunk = chunk;
                    let file = active.file;
                    let secrets = std::mem::take(&mut active.chunk.secrets);
                    Self::tell(&mut self.notices, file, &mut active.chunk, 0, 0, self.number);
                    self.keep_secrets(file, secrets);
                }
                Err(source) => {
                    let active = self.active.swap_remove(i);
                    let in_file = active.reader.packets();
                    self.close(&active.reader, active.file);
                    let name = self.inputs.get(usize::from(active.file)).map(|i| i.name.clone()).unwrap_or_default();
                    return Err(ReadError::Io { name, file: active.file, in_file, source });
                }
            }
        }
        Ok(())
    }

    /// Opens the next file if its time has come. Says whether there is anything new to look at.
    fn open_next(&mut self, head: Option<Turn>) -> bool {
        let due = |p: &Pending| head.is_none_or(|(ts, _)| p.first < ts);
        if !self.pending.front().is_some_and(due) {
            return false;
        }
        if self.active.len() >= self.open_files {
            return false;
        }
        let Some(Pending { file, rank, open, .. }) = self.pending.pop_front() else { return false };
        let opened = match open {
            Some(open) => Ok(open),
            None => self.reopen(file).map(|reader| (reader, Chunk::default())),
        };
        match opened {
            Ok((reader, mut chunk)) => {
                Self::tell(&mut self.notices, file, &mut chunk, 0, 0, self.number);
                self.active.push(Active { reader, file, rank, chunk, at: 0, slot: None });
            }
            Err(e) => {
                self.skip(file, NoticeCode::UnreadableFile, format!("cannot be opened a second time ({e}); skipped"));
            }
        }
        true
    }

    fn reopen(&self, file: u16) -> io::Result<FileReader> {
        let path = self.inputs.get(usize::from(file)).and_then(|input| input.path.as_deref());
        let path = path.ok_or(io::ErrorKind::NotFound)?;
        FileReader::new(Box::new(File::open(path)?), file, false)
    }

    /// Hands over the longest run of frames of one file. Says whether the batch can take another run.
    fn hand_over_run(&mut self, contents: &mut Contents) -> bool {
        let turns = self.active.iter().enumerate().filter_map(|(i, a)| a.turn().map(|turn| (turn, i)));
        let Some((turn, lead)) = turns.min() else { return false };
        let mut waiting = self.pending.front().map(|p| (p.first, p.rank));
        if waiting.is_some_and(|waiting| waiting < turn) {
            if self.active.len() < self.open_files {
                return false;
            }
            self.tell_crowded();
            waiting = None;
        }
        let others = self.active.iter().enumerate().filter(|(i, _)| *i != lead).filter_map(|(_, a)| a.turn());
        let until = others.chain(waiting).min();
        let Some(active) = self.active.get_mut(lead) else { return false };
        let (from, to) = (active.at, active.run_end(until));
        let before = self.number;
        let (filter, stats, number) = (&mut self.filter, &mut self.stats, &mut self.number);
        let block = &active.chunk.block;
        // Numbers a frame and says whether it is wanted.
        let mut take = |frame: &mut FrameRef| {
            *number += 1;
            frame.place.number = *number;
            stats.bytes += u64::from(frame.len);
            filter.is_open() || filter.passes(frame, frame.bytes(block), stats)
        };
        let had = contents.frames.len();
        let whole = from == 0 && to == active.chunk.frames.len() && contents.frames.is_empty();
        if whole {
            // The usual case: the file's index becomes the batch's.
            std::mem::swap(&mut contents.frames, &mut active.chunk.frames);
            contents.frames.retain_mut(take);
            contents.blocks.push(Arc::clone(block));
            active.at = 0;
        } else {
            let slot = *active.slot.get_or_insert_with(|| {
                contents.blocks.push(Arc::clone(block));
                u16::try_from(contents.blocks.len() - 1).unwrap_or(u16::MAX)
            });
            let run = active.chunk.frames.get_mut(from..to).unwrap_or_default();
            let wanted = run.iter_mut().filter_map(|frame| take(frame).then_some(FrameRef { block: slot, ..*frame }));
            contents.frames.extend(wanted);
            active.at = to;
        }
        contents.bytes += contents.frames.iter().skip(had).map(|f| u64::from(f.len)).sum::<u64>();
        self.stats.packets = self.number;
        Self::tell(&mut self.notices, active.file, &mut active.chunk, from, to, before);
        active.turn().is_some()
    }

    /// Tells once that files must wait for others to end.
    fn tell_crowded(&mut self) {
        let Some(file) = self.pending.front().map(|p| p.file).filter(|_| !self.crowded) else { return };
        self.crowded = true;
        let message = format!(
            "more than {} files overlap in time; this and later ones wait, so their packets come out of order",
            self.open_files
        );
        self.notices.push(file, NoticeCode::MergeLimit, message, self.number);
    }

    fn close(&mut self, reader: &FileReader, file: u16) {
        if reader.foreign().is_some() {
            // It was a capture when it was listed.
            self.skipped += 1;
            let message = "is not a capture file any more; skipped".to_owned();
            self.notices.push(file, NoticeCode::ForeignFile, message, self.number);
        }
        let (corrupt, undescribed) = reader.losses();
        self.stats.corrupt_records += corrupt;
        self.stats.undescribed += undescribed;
        let size = self.inputs.get(usize::from(file)).and_then(|input| input.bytes);
        self.done += size.unwrap_or(reader.bytes_read());
    }

    fn skip(&mut self, file: u16, code: NoticeCode, message: String) {
        self.skipped += 1;
        self.done += self.inputs.get(usize::from(file)).and_then(|input| input.bytes).unwrap_or(0);
        self.notices.push(file, code, message, self.number);
    }

    /// Passes on the notices of a chunk up to its frame `to`. Frame `from` has the global number `before + 1`.
    fn tell(notices: &mut Notices, file: u16, chunk: &mut Chunk, from: usize, to: usize, before: u64) {
        let due = chunk.notices.partition_point(|(at, ..)| *at <= to);
        for (at, code, message) in chunk.notices.drain(..due) {
            notices.push(file, code, message, before + at.saturating_sub(from) as u64);
        }
    }

    /// Keeps secrets of the chunk that was just read, of which no frame was handed over.
    fn keep_secrets(&mut self, file: u16, secrets: Vec<Secrets>) {
        for mut secret in secrets {
            secret.since += self.number;
            let all = self.secrets_bytes.saturating_add(secret.cost());
            if all <= MAX_SECRETS_BYTES {
                self.secrets_bytes = all;
                self.secrets.push(secret);
            } else {
                if self.stats.secrets_lost == 0 {
                    let message =
                        format!("more than {MAX_SECRETS_BYTES} bytes of decryption secrets; others are left out");
                    self.notices.push(file, NoticeCode::LimitMet, message, self.number);
                }
                self.stats.secrets_lost += secret.bytes.len() as u64;
            }
        }
    }

    /// Opens a listed file to learn when it begins.
    fn look_into(&mut self, listed: &Listed, keep: bool, peek: &mut Pool) -> Result<(), OpenError> {
        let path = self.inputs.get(usize::from(listed.file)).and_then(|input| input.path.clone());
        let input = match &path {
            Some(path) => File::open(path).map(|file| Box::new(file) as unpack::Input),
            None => Ok(Box::new(io::stdin()) as unpack::Input),
        };
        let path = path.as_deref().unwrap_or(Path::new("standard input"));
        let reader = input.and_then(|input| FileReader::new(input, listed.file, !listed.regular));
        let failed = match reader {
            Ok(reader) => match self.admit_peeked(reader, keep, listed.named, Some((path, peek))) {
                Ok(()) => return Ok(()),
                Err((code, error)) => (code, error),
            },
            Err(source) => (NoticeCode::UnreadableFile, OpenError::Unreadable { path: path.to_owned(), source }),
        };
        match failed {
            (_, error) if listed.named => Err(error),
            (code, OpenError::Unreadable { source, .. }) => {
                self.skip(listed.file, code, format!("cannot be read ({source}); skipped"));
                Ok(())
            }
            (code, OpenError::NotACapture { first, .. }) => {
                let advice = first.advice();
                self.skip(
                    listed.file,
                    code,
                    format!("is not a capture file: it begins with {first}; {advice}; skipped"),
                );
                Ok(())
            }
            (_, error) => Err(error),
        }
    }

    /// Reads up to the first packet. A file without any is done with here.
    fn admit_peeked(
        &mut self,
        mut reader: FileReader,
        keep: bool,
        named: bool,
        peek: Option<(&Path, &mut Pool)>,
    ) -> Result<(), (NoticeCode, OpenError)> {
        let file = reader.file();
        let name = self.inputs.get(usize::from(file)).map(|i| PathBuf::from(&i.name)).unwrap_or_default();
        let (path, pool, block_bytes) = match peek {
            Some((path, pool)) if !keep => (path.to_owned(), pool, SMALL_BLOCK_BYTES),
            Some((path, _)) => (path.to_owned(), &mut self.pool, self.block_bytes),
            None => (name, &mut self.pool, self.block_bytes),
        };
        let mut notices = Vec::new();
        let mut secrets = Vec::new();
        let (mut held, mut lost) = (0_usize, 0);
        loop {
            let chunk = reader.next_chunk(pool, block_bytes, Vec::new());
            let mut chunk = chunk
                .map_err(|source| (NoticeCode::UnreadableFile, OpenError::Unreadable { path: path.clone(), source }))?;
            if let Some(first) = reader.foreign() {
                return Err((NoticeCode::ForeignFile, OpenError::NotACapture { path, first }));
            }
            self.pcapng |= reader.is_pcapng();
            for secret in chunk.secrets.drain(..) {
                held = held.saturating_add(secret.cost());
                if held <= MAX_SECRETS_BYTES {
                    secrets.push(secret);
                } else {
                    lost += secret.bytes.len() as u64;
                }
            }
            if let Some(first) = chunk.frames.first().map(|f| f.ts) {
                let open = keep.then(|| {
                    // Those of the blocks before stand before the first frame.
                    notices.append(&mut chunk.notices);
                    chunk.notices = notices;
                    self.keep_secrets(file, secrets);
                    self.stats.secrets_lost += lost;
                    (reader, chunk)
                });
                self.pending.push_back(Pending { file, rank: 0, first, open });
                return Ok(());
            }
            notices.append(&mut chunk.notices);
            if reader.ended() {
                break;
            }
        }
        if reader.is_empty() && !named {
            self.skip(file, NoticeCode::EmptyFile, "holds no byte; skipped".to_owned());
            return Ok(());
        }
        for (_, code, message) in notices {
            self.notices.push(file, code, message, 0);
        }
        self.keep_secrets(file, secrets);
        self.stats.secrets_lost += lost;
        self.close(&reader, file);
        Ok(())
    }

    /// Puts the files in the order of their first packets, as listed where these are of the same time.
    fn order(&mut self) {
        self.pending.make_contiguous().sort_by_key(|p| (p.first, p.file));
        for (rank, pending) in (0..).zip(&mut self.pending) {
            pending.rank = rank;
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("inputs", &self.inputs.len())
            .field("pending", &self.pending.len())
            .field("active", &self.active.len())
            .field("packets", &self.number)
            .finish_non_exhaustive()
    }
}
