//! The reader as a whole: every dialect, packing, cut and order.

use crate::testing::{Ng, Written, gzip, pcap, pcapng, read_all, read_memory, zstd};
use crate::*;
use net::{LinkType, Place, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use std::fs;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

/// How a file is written.
#[derive(Clone, Copy, Debug)]
enum Dialect {
    Pcap { nanos: bool, big: bool },
    Pcapng { resolution: u8, big: bool },
}

impl Dialect {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            (any::<bool>(), any::<bool>()).prop_map(|(nanos, big)| Self::Pcap { nanos, big }),
            (0..=9_u8, any::<bool>()).prop_map(|(resolution, big)| Self::Pcapng { resolution, big }),
        ]
    }

    /// The file, and what reading it must give.
    fn write(self, frames: &[Written]) -> (Vec<u8>, Vec<Written>) {
        let mut frames = frames.to_vec();
        let (unit, link) = match self {
            Self::Pcap { nanos, .. } => (if nanos { 1 } else { 1000 }, frames.first().map(|f| f.link)),
            Self::Pcapng { resolution, .. } => (10_i64.pow(u32::from(9 - resolution)), None),
        };
        for f in &mut frames {
            f.ts = Timestamp(f.ts.0 / unit * unit);
            f.link = link.unwrap_or(f.link);
        }
        let file = match self {
            Self::Pcap { nanos, big } => pcap(&frames, nanos, big),
            Self::Pcapng { resolution, big } => pcapng(&frames, resolution, big),
        };
        (file, frames)
    }
}

fn pack(how: u8, file: &[u8]) -> Vec<u8> {
    match how {
        0 => file.to_vec(),
        1 => gzip(file),
        2 => zstd(file),
        _ => {
            let (a, b) = file.split_at(file.len() / 3);
            if how == 3 { [gzip(a), gzip(b)].concat() } else { [zstd(a), zstd(b)].concat() }
        }
    }
}

fn options(block_bytes: usize) -> Options {
    Options { block_bytes, ..Options::default() }
}

fn sources(files: Vec<Vec<u8>>) -> Vec<(String, Box<dyn Read + Send>)> {
    files.into_iter().map(|f| ("memory".to_owned(), Box::new(Cursor::new(f)) as Box<dyn Read + Send>)).collect()
}

fn codes(notices: &[Notice]) -> Vec<NoticeCode> {
    notices.iter().map(|n| n.code).collect()
}

/// A frame at a second, with its number as contents.
fn at(second: i64, tag: u8) -> Written {
    Written { ts: Timestamp::new(second, 0), link: LinkType::Ethernet, data: vec![tag; 20], wire_len: 20 }
}

fn file_at(seconds: &[i64], tag: u8) -> Vec<u8> {
    pcap(&seconds.iter().map(|s| at(*s, tag)).collect::<Vec<_>>(), true, false)
}

fn write(dir: &Path, name: &str, contents: &[u8]) -> PathBuf {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, contents).unwrap();
    path
}

fn seconds_and_tags(reader: &mut Reader) -> Vec<(i64, u8)> {
    read_all(reader).0.iter().map(|f| (f.ts.seconds(), f.data[0])).collect()
}

proptest! {
    #[test]
    fn every_dialect_and_packing_gives_the_frames_that_were_written(
        frames in vec(Written::any(), 0..30),
        dialect in Dialect::any(),
        how in 0..5_u8,
        block_bytes in 1..4000_usize,
    ) {
        let (file, want) = dialect.write(&frames);
        let mut reader = Reader::from_sources(sources(vec![pack(how, &file)]), &options(block_bytes)).unwrap();
        let (read, notices) = read_all(&mut reader);
        // A pcapng file of no frame is a section header; an empty file does not occur.
        prop_assert_eq!(notices, vec![]);
        prop_assert_eq!(reader.stats().packets, want.len() as u64);
        prop_assert_eq!(read, want);
    }

    #[test]
    fn a_file_cut_anywhere_gives_what_came_before_the_cut(
        frames in vec(Written::any(), 0..12),
        dialect in Dialect::any(),
        how in 0..3_u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let (file, want) = dialect.write(&frames);
        let packed = pack(how, &file);
        let cut = cut.index(packed.len());
        let (read, notices) = read_memory(packed[..cut].to_vec());
        prop_assert!(want.starts_with(&read));
        for notice in &notices {
            let expected = if cut == 0 { NoticeCode::EmptyFile } else { NoticeCode::TruncatedFile };
            prop_assert_eq!((notice.code, notice.after), (expected, read.len() as u64), "{}", notice.message);
        }
        prop_assert!(notices.len() <= 1);
        // Between records nothing is missed: only a cut through packed data always shows.
        if how > 0 || cut == 0 {
            prop_assert_eq!(notices.len(), 1);
        }
    }

    #[test]
    fn neither_read_sizes_nor_block_sizes_show(
        frames in vec(Written::any(), 0..30),
        dialect in Dialect::any(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        how in 0..3_u8,
    ) {
        let (file, _) = dialect.write(&frames);
        let mut packed = pack(how, &file);
        for (index, byte) in damage {
            let index = index.index(packed.len());
            packed[index] = byte;
        }
        fuzz_reader(&packed);
    }

    #[test]
    fn files_that_overlap_are_merged_by_time_and_keep_their_own_order(
        files in vec(vec((0..50_i64, 0..30_usize), 1..20), 1..5),
        sorted in any::<bool>(),
        block_bytes in 64..1500_usize,
    ) {
        let mut files: Vec<Vec<Written>> = (0..).zip(files).map(|(tag, times)| {
            times.into_iter().map(|(s, len)| Written { data: vec![tag; len + 1], wire_len: 2000, ..at(s, tag) }).collect()
        }).collect();
        if sorted {
            for file in &mut files {
                file.sort_by_key(|w| w.ts);
            }
        }
        let bytes = files.iter().map(|f| pcap(f, false, true)).collect();
        let mut reader = Reader::from_sources(sources(bytes), &options(block_bytes)).unwrap();
        let mut seen = Vec::new();
        let mut per_file = vec![Vec::new(); files.len()];
        while let Some(batch) = reader.next_batch().unwrap() {
            prop_assert_eq!(batch.bytes(), batch.iter().map(|f| f.data.len() as u64).sum::<u64>());
            for f in batch.iter() {
                seen.push((f.ts, f.place));
                let own = &mut per_file[usize::from(f.place.file)];
                own.push(Written { ts: f.ts, link: f.link, data: f.data.to_vec(), wire_len: f.wire_len });
                prop_assert_eq!(f.place.in_file, own.len() as u64);
            }
        }
        prop_assert_eq!(&per_file, &files);
        for (number, (_, place)) in (1..).zip(&seen) {
            prop_assert_eq!(place.number, number);
        }
        if sorted {
            prop_assert!(seen.is_sorted_by_key(|(ts, _)| *ts));
        }
    }

    #[test]
    fn bytes_that_are_no_capture_do_no_harm(data in vec(any::<u8>(), 0..300), magic in 0..6_usize) {
        let mut file = [&b""[..], b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0",
            b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18\x02\0\0\0"][magic].to_vec();
        file.extend(&data);
        fuzz_reader(&file);
        fuzz_merge(&file);
    }

    #[test]
    fn two_damaged_files_merge_the_same_way_whatever_the_block_size(
        a in vec(Written::any(), 0..10),
        b in vec(Written::any(), 0..10),
        dialects in (Dialect::any(), Dialect::any()),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let (a, b) = (dialects.0.write(&a).0, dialects.1.write(&b).0);
        let mut data = u16::try_from(a.len()).unwrap().to_be_bytes().to_vec();
        data.extend(a);
        data.extend(b);
        for (index, byte) in damage {
            let index = 2 + index.index(data.len() - 2);
            data[index] = byte;
        }
        fuzz_merge(&data);
    }
}

#[test]
fn readers_and_batches_can_go_to_other_threads() {
    fn send<T: Send>() {}
    fn share<T: Send + Sync>() {}
    send::<Reader>();
    share::<Batch>();
}

#[test]
fn a_rotated_set_is_read_in_time_order_whatever_the_order_of_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let later = write(dir.path(), "a.pcap", &file_at(&[30, 40], 1));
    let first = write(dir.path(), "b.pcap", &file_at(&[10, 20], 2));
    let between = write(dir.path(), "c.pcap", &gzip(&file_at(&[25, 26], 3)));
    let mut reader = Reader::open(&[later, first, between], &Options::default()).unwrap();
    assert_eq!(seconds_and_tags(&mut reader), [(10, 2), (20, 2), (25, 3), (26, 3), (30, 1), (40, 1)]);
    let names: Vec<_> = reader.inputs().iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["a.pcap", "b.pcap", "c.pcap"]);
    let (read, total) = reader.position();
    assert_eq!(Some(read), total);
    assert_eq!((reader.skipped(), reader.notices().count()), (0, 0));
}

#[test]
fn files_captured_side_by_side_are_merged_packet_by_packet() {
    let dir = tempfile::tempdir().unwrap();
    let left = write(dir.path(), "left.pcap", &file_at(&[1, 3, 5, 7], 1));
    let right = write(dir.path(), "right.pcap", &file_at(&[2, 3, 4, 9], 2));
    let mut reader = Reader::open(&[right, left], &Options::default()).unwrap();
    // At the same time the file that began first goes first.
    let want = [(1, 1), (2, 2), (3, 1), (3, 2), (4, 2), (5, 1), (7, 1), (9, 2)];
    assert_eq!(seconds_and_tags(&mut reader), want);
}

#[test]
fn time_that_runs_backwards_in_a_file_keeps_its_order() {
    let mut reader =
        Reader::from_sources(sources(vec![file_at(&[5, 1, 9], 1), file_at(&[6, 7], 2)]), &Options::default()).unwrap();
    assert_eq!(seconds_and_tags(&mut reader), [(5, 1), (1, 1), (6, 2), (7, 2), (9, 1)]);
}

#[test]
fn files_over_the_limit_of_open_ones_wait_and_are_told_of() {
    let dir = tempfile::tempdir().unwrap();
    for tag in 0..6 {
        write(dir.path(), &format!("{tag}.pcap"), &file_at(&[i64::from(tag), 100 + i64::from(tag)], tag));
    }
    let options = Options { open_files: 2, ..Options::default() };
    let mut reader = Reader::open(&[dir.path().to_owned()], &options).unwrap();
    let (frames, notices) = read_all(&mut reader);
    assert_eq!((frames.len(), codes(&notices)), (12, vec![NoticeCode::MergeLimit]));
}

#[test]
fn in_a_directory_what_is_no_capture_is_skipped_and_told_of() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "deep/er/a.pcap", &file_at(&[1], 1));
    write(dir.path(), "b.pcap", &file_at(&[2], 2));
    write(dir.path(), "empty.pcap", b"");
    write(dir.path(), "notes.txt", b"notes");
    write(dir.path(), "short", b"x");
    std::os::unix::fs::symlink(dir.path(), dir.path().join("deep/loop")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("b.pcap"), dir.path().join("latest.pcap")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("gone"), dir.path().join("dangling")).unwrap();
    let mut reader = Reader::open(&[dir.path().to_owned()], &Options::default()).unwrap();
    assert_eq!(seconds_and_tags_again(&mut reader), [(1, 1), (2, 2)]);
    assert_eq!(reader.skipped(), 4);
    let mut told: Vec<_> = reader.notices().map(|n| (n.code, n.file)).collect();
    told.sort_unstable();
    let names: Vec<_> =
        told.iter().map(|(code, file)| (*code, reader.inputs()[usize::from(*file)].name.as_str())).collect();
    let want = [
        (NoticeCode::EmptyFile, "empty.pcap"),
        (NoticeCode::ForeignFile, "notes.txt"),
        (NoticeCode::ForeignFile, "short"),
        (NoticeCode::UnreadableFile, "dangling"),
    ];
    assert_eq!(names, want);
    assert_eq!(reader.position().0, reader.position().1.unwrap());
}

/// As [`seconds_and_tags`], leaving the notices.
fn seconds_and_tags_again(reader: &mut Reader) -> Vec<(i64, u8)> {
    let mut out = Vec::new();
    while let Some(batch) = reader.next_batch().unwrap() {
        out.extend(batch.iter().map(|f| (f.ts.seconds(), f.data[0])));
    }
    out
}

#[test]
fn a_directory_without_files_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let mut reader = Reader::open(&[dir.path().to_owned()], &Options::default()).unwrap();
    assert!(reader.next_batch().unwrap().is_none());
    assert_eq!(reader.skipped(), 1);
    assert_eq!(reader.notices().map(|n| n.code).collect::<Vec<_>>(), [NoticeCode::EmptyDirectory]);
}

#[test]
fn a_named_file_that_is_no_capture_is_an_error_that_says_what_it_is_and_what_would_do() {
    let dir = tempfile::tempdir().unwrap();
    for (name, contents, words) in [
        ("events.jsonl", b"{\"schema\":1,\"type\":\"run\"}".to_vec(), ["7b 22 73", "{\"schema\":1", "pcap and pcapng"]),
        ("a.zip", b"PK\x03\x04rest".to_vec(), ["50 4b 03 04", "PK..rest", "unzip"]),
        ("a.gz", gzip(b"text"), ["74 65 78 74", "(\"text\") inside gzip", "pcap and pcapng"]),
        ("twice.gz", gzip(&gzip(b"text")), ["1f 8b", "inside gzip", "packed twice"]),
        ("lines", b"\n\r\r\n\n\r\r\n\n\r\r\n\n".to_vec(), ["0a 0d 0d 0a", "....", "pcap and pcapng"]),
        ("tiny", b"no".to_vec(), ["6e 6f", "(\"no\")", "pcap and pcapng"]),
    ] {
        let path = write(dir.path(), name, &contents);
        let error = Reader::open(&[path], &Options::default()).unwrap_err();
        assert!(matches!(error, OpenError::NotACapture { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(name) && words.iter().all(|w| text.contains(w)), "{text}");
    }
}

#[test]
fn what_cannot_be_opened_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.pcap");
    let error = Reader::open(&[missing], &Options::default()).unwrap_err().to_string();
    assert!(error.contains("missing.pcap") && error.contains("No such file"), "{error}");
    assert!(matches!(Reader::open(&[], &Options::default()), Err(OpenError::NoInput)));
    // Asking twice is found before anything is read.
    assert!(matches!(Reader::open(&["-".into(), "-".into()], &Options::default()), Err(OpenError::StdinTwice)));
}

#[test]
fn an_empty_named_file_is_an_empty_capture() {
    let dir = tempfile::tempdir().unwrap();
    for (name, contents) in [("empty", Vec::new()), ("empty.gz", gzip(b"")), ("empty.zst", zstd(b""))] {
        let path = write(dir.path(), name, &contents);
        let mut reader = Reader::open(&[path], &Options::default()).unwrap();
        let (frames, notices) = read_all(&mut reader);
        assert_eq!((frames.len(), codes(&notices), reader.skipped()), (0, vec![NoticeCode::EmptyFile], 0), "{name}");
    }
}

#[test]
fn a_capture_without_packets_is_no_cause_for_a_notice() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a", &pcap(&[], true, false));
    write(dir.path(), "b", &Ng::new(false).section().interface(1, 0, None, None).done());
    let mut reader = Reader::open(&[dir.path().to_owned()], &Options::default()).unwrap();
    assert_eq!(read_all(&mut reader), (vec![], vec![]));
    assert_eq!(reader.skipped(), 0);
}

#[test]
fn a_corrupt_length_ends_a_pcap_file_and_the_next_file_goes_on() {
    let mut bad = file_at(&[1, 2], 1);
    let second = 24 + 36;
    bad[second + 8..second + 12].fill(0xff);
    let mut reader = Reader::from_sources(sources(vec![bad, file_at(&[3], 2)]), &Options::default()).unwrap();
    let (frames, notices) = read_all(&mut reader);
    assert_eq!(frames, [at(1, 1), at(3, 2)]);
    assert_eq!(codes(&notices), [NoticeCode::CorruptFile]);
    assert_eq!((notices[0].file, notices[0].after), (0, 1));
    assert_eq!(reader.stats().corrupt_records, 1);
}

#[test]
fn the_time_window_is_inclusive_at_its_start_and_exclusive_at_its_end() {
    let options = Options { from: Some(Timestamp::new(2, 0)), to: Some(Timestamp::new(4, 0)), ..Options::default() };
    let mut reader = Reader::from_sources(sources(vec![file_at(&[1, 2, 3, 4], 1)]), &options).unwrap();
    let batch = reader.next_batch().unwrap().unwrap();
    let places: Vec<_> = batch.frames().iter().map(|f| (f.ts.seconds(), f.place)).collect();
    let place = |number| Place { number, file: 0, in_file: number };
    assert_eq!(places, [(2, place(2)), (3, place(3))]);
    let stats = reader.stats();
    assert_eq!((stats.packets, stats.outside_window, stats.bytes), (4, 2, 80));
    assert_eq!((batch.first_ts(), batch.last_ts()), (options.from, Some(Timestamp::new(3, 0))));

    let empty = Options { to: options.from, ..options };
    let error = Reader::from_sources(Vec::new(), &empty).unwrap_err().to_string();
    assert!(error.contains("1970-01-01T00:00:02"), "{error}");
}

#[cfg(feature = "pcap")]
#[test]
fn a_filter_expression_is_judged_per_link_type_and_numbers_count_all_packets() {
    let ethernet = [&[0; 12][..], &[8, 0, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]].concat();
    let (tcp, mut udp) = (ethernet.clone(), ethernet.clone());
    udp[23] = 17;
    let raw = tcp[14..].to_vec();
    let file = Ng::new(false)
        .section()
        .interface(1, 0, None, None)
        .interface(101, 0, None, None)
        .packet(0, 1, &udp, 34)
        .packet(0, 2, &tcp, 34)
        .packet(1, 3, &raw, 20)
        .done();
    for (bpf, numbers) in
        [("tcp", vec![2, 3]), ("udp", vec![1]), ("ether[0] = 0 and tcp", vec![2, 3]), ("vlan", vec![])]
    {
        let options = Options { bpf: Some(bpf.to_owned()), ..Options::default() };
        let mut reader = Reader::from_sources(sources(vec![file.clone()]), &options).unwrap();
        let mut seen = Vec::new();
        while let Some(batch) = reader.next_batch().unwrap() {
            seen.extend(batch.frames().iter().map(|f| f.place.number));
        }
        // "ether[0]" is the first byte of whatever the link layer is.
        let want = if bpf.starts_with("ether") { vec![2] } else { numbers };
        assert_eq!(seen, want, "{bpf}");
        assert_eq!(reader.stats().filtered_out, 3 - want.len() as u64);
    }
    let options = Options { bpf: Some("tcp prot 80".to_owned()), ..Options::default() };
    assert!(matches!(Reader::from_sources(Vec::new(), &options), Err(OpenError::Filter { .. })));
}

#[cfg(not(feature = "pcap"))]
#[test]
fn a_filter_expression_needs_the_feature() {
    let options = Options { bpf: Some("tcp".to_owned()), ..Options::default() };
    let error = Reader::from_sources(Vec::new(), &options).unwrap_err().to_string();
    assert!(error.contains("feature `pcap`"), "{error}");
}

#[test]
fn secrets_are_here_when_the_packets_after_them_are() {
    let dir = tempfile::tempdir().unwrap();
    for (name, key, second) in [("b", b"KEY 1", 1_000_000), ("a", b"KEY 2", 2_000_000)] {
        let mut body = Secrets::TLS_KEY_LOG.to_le_bytes().to_vec();
        body.extend(5_u32.to_le_bytes());
        body.extend(key);
        let file =
            Ng::new(false).section().interface(1, 0, None, None).block(10, &body).packet(0, second, b"x", 1).done();
        write(dir.path(), name, &file);
    }
    let mut reader = Reader::open(&[dir.path().to_owned()], &Options::default()).unwrap();
    assert_eq!((reader.take_secrets(), reader.may_bring_secrets()), (Vec::new(), true));
    let mut known = Vec::new();
    while reader.next_batch().unwrap().is_some() {
        let new = reader.take_secrets();
        known.push(new.iter().map(|s| (s.since, String::from_utf8(s.bytes.clone()).unwrap())).collect::<Vec<_>>());
    }
    assert_eq!(known, [vec![(0, "KEY 1".to_owned())], vec![(1, "KEY 2".to_owned())]]);
}

#[test]
fn secrets_count_from_their_place_between_the_packets_and_leave_no_copy_in_the_block() {
    let mut body = Secrets::TLS_KEY_LOG.to_le_bytes().to_vec();
    body.extend(8_u32.to_le_bytes());
    body.extend(b"VERYDEEP");
    let file = Ng::new(false)
        .section()
        .interface(1, 0, None, None)
        .packet(0, 1, b"a", 1)
        .packet(0, 2, b"b", 1)
        .block(10, &body)
        .packet(0, 3, b"c", 1)
        .done();
    let blocks = [Options::MIN_BLOCK_BYTES, 65, 80, 100, 1 << 20];
    for block_bytes in blocks {
        let options = Options { block_bytes, ..Options::default() };
        let sources = vec![("a".to_owned(), Box::new(Cursor::new(file.clone())) as _)];
        let mut reader = Reader::from_sources(sources, &options).unwrap();
        let (mut since, mut frames) = (Vec::new(), Vec::new());
        while let Some(batch) = reader.next_batch().unwrap() {
            since.extend(reader.take_secrets().iter().map(|s| s.since));
            frames.extend(batch.iter().map(|f| f.data.to_vec()));
            assert!(!batch.holds(b"VERY"), "{block_bytes}");
        }
        assert_eq!((since, frames), (vec![2], vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]), "{block_bytes}");
    }
}

/// Fails after what it holds.
struct Broken(Cursor<Vec<u8>>);

impl Read for Broken {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(io::Error::from_raw_os_error(5)),
            n => Ok(n),
        }
    }
}

#[test]
fn a_file_that_the_system_cannot_read_on_is_an_error_and_the_others_are_read() {
    for packed in [false, true] {
        let file = file_at(&[1, 2, 3], 1);
        let bytes = if packed { gzip(&file)[..40].to_vec() } else { file };
        let mut all = sources(vec![file_at(&[9], 2)]);
        all.push(("broken".to_owned(), Box::new(Broken(Cursor::new(bytes)))));
        let mut reader = Reader::from_sources(all, &Options::default()).unwrap();
        let mut errors = Vec::new();
        let mut last = None;
        for _ in 0..10 {
            match reader.next_batch() {
                Ok(Some(batch)) => last = batch.last_ts(),
                Ok(None) => break,
                Err(e) => errors.push(e.to_string()),
            }
        }
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("broken"), "{errors:?}");
        assert_eq!(last, Some(Timestamp::new(9, 0)));
    }
}

#[test]
fn a_record_larger_than_a_block_is_read_whole_and_blocks_are_used_again() {
    let large = Written { data: vec![7; 200_000], wire_len: 200_000, ..at(2, 0) };
    let frames: Vec<_> = (0..300).map(|i| if i == 150 { large.clone() } else { at(2, 1) }).collect();
    let mut reader = Reader::from_sources(sources(vec![pcap(&frames, true, true)]), &options(4096)).unwrap();
    assert_eq!(read_all(&mut reader).0, frames);
}

#[test]
fn a_long_unknown_block_is_stepped_over_without_being_held() {
    let file = Ng::new(true)
        .section()
        .interface(1, 0, None, None)
        .block(0x4000_0001, &vec![1; 3_000_000])
        .packet(0, 5, b"x", 1)
        .done();
    let mut reader = Reader::from_sources(sources(vec![file.clone()]), &options(1000)).unwrap();
    assert_eq!(read_all(&mut reader).0.len(), 1);
    let (frames, notices) = read_memory(file[..2_000_000].to_vec());
    assert_eq!((frames.len(), codes(&notices)), (0, vec![NoticeCode::TruncatedFile]));
}

#[test]
fn a_batch_stays_as_it_is_while_reading_goes_on() {
    let frames: Vec<_> = (0..100).map(|i| at(i64::from(i), i)).collect();
    let mut reader = Reader::from_sources(sources(vec![pcap(&frames, true, false)]), &options(200)).unwrap();
    let mut kept = Vec::new();
    while let Some(batch) = reader.next_batch().unwrap() {
        kept.push(batch);
    }
    let tags: Vec<_> = kept.iter().flat_map(|b| b.iter().map(|f| f.data[0]).collect::<Vec<_>>()).collect();
    assert_eq!(tags, (0..100).collect::<Vec<_>>());
}
