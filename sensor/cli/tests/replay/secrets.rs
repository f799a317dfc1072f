//! Keys are used and never shown, and when they come decides the same for any number of threads.

use crate::support::{Run, fixtures};

fn captures() -> Vec<(Vec<u8>, String)> {
    let logs = fixtures("captures", "keylog");
    assert!(!logs.is_empty());
    let read = |path: std::path::PathBuf| {
        let pcap = std::fs::read(path.with_extension("pcap")).unwrap();
        (pcap, std::fs::read_to_string(path).unwrap())
    };
    logs.into_iter().map(read).collect()
}

fn with(pcap: &[u8], log: &str, threads: usize) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, log).unwrap();
    Run::with_keys(pcap, Some(&path), threads)
}

#[test]
fn no_event_shows_a_secret() {
    for (pcap, log) in captures() {
        let run = with(&pcap, &log, 1);
        let lines = run.lines.concat().to_lowercase();
        for line in log.lines().filter(|line| !line.starts_with('#')) {
            for hex in line.split(' ').skip(1) {
                // Any eight bytes of it.
                for part in hex.to_lowercase().as_bytes().chunks_exact(16) {
                    assert!(!lines.contains(std::str::from_utf8(part).unwrap()), "{line}");
                }
            }
        }
    }
}

#[test]
fn keys_of_other_sessions_and_garbage_open_nothing() {
    for (pcap, log) in captures() {
        let plain = Run::of(&pcap);
        // The first digit of every client random is another.
        let other = log.lines().fold(String::new(), |all, line| {
            let mut words = line.splitn(3, ' ');
            let (label, random) = (words.next().unwrap_or(""), words.next().unwrap_or("0"));
            all + &format!("{label} f{} {}\n", &random[1..], words.next().unwrap_or(""))
        });
        for log in [other, "\0\u{1}garbage\nCLIENT_RANDOM 00 00\n".to_owned(), String::new()] {
            let run = with(&pcap, &log, 1);
            assert_eq!(run.of_type("detection").len(), plain.of_type("detection").len());
            assert!(run.of_type("detection").iter().all(|d| d["visibility"] != "keylog"));
            assert!(run.stats()["messages"]["tls_sessions_without_keys"].as_u64() > Some(0), "{}", run.stats());
        }
    }
}

/// The blocks of a little-endian pcapng file, each with its type.
fn blocks(file: &[u8]) -> Vec<(u32, &[u8])> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let (mut at, mut blocks) = (0, Vec::new());
    while at < file.len() {
        let len = word(at + 4) as usize;
        blocks.push((word(at), &file[at..at + len]));
        at += len;
    }
    blocks
}

#[test]
fn a_secrets_block_counts_from_its_place_on_for_any_number_of_threads() {
    const SECRETS: u32 = 10;
    let path = fixtures("captures", "pcapng").into_iter().find(|path| path.ends_with("d12_tls13.dsb.pcapng")).unwrap();
    let file = std::fs::read(path).unwrap();
    let all = blocks(&file);
    let secrets: Vec<_> = all.iter().filter(|(kind, _)| *kind == SECRETS).collect();
    let rest: Vec<_> = all.iter().filter(|(kind, _)| *kind != SECRETS).collect();
    let mut read = Vec::new();
    for place in [2, 8, 12, 40, 80, rest.len()] {
        let (head, tail) = rest.split_at(place.min(rest.len()));
        let parts: Vec<&[u8]> = head.iter().chain(&secrets).chain(tail).map(|(_, block)| *block).collect();
        let one = Run::with_keys(&parts.concat(), None, 1);
        let four = Run::with_keys(&parts.concat(), None, 4);
        assert_eq!(one.lines, four.lines, "behind {place} blocks");
        read.push(one.of_type("detection").iter().filter(|d| d["visibility"] == "keylog").count());
    }
    assert!(read[0] > 0 && read.is_sorted_by(|a, b| a >= b), "{read:?}");
    assert_eq!(read.last(), Some(&0));
}
