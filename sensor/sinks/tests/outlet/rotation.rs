//! Files that are set aside, renamed, emptied or removed, by us and by others.

use crate::{adds_up, drained, event, eventually, numbers};
use proptest::prelude::*;
use sinks::outlet::{Outlet, OutletOptions, Rotation, State};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const ENOUGH: Duration = Duration::from_secs(20);

fn options(path: &Path) -> OutletOptions {
    OutletOptions::new(path.to_str().unwrap())
}

/// Files set aside from `path`, the oldest first.
fn aside(path: &Path) -> Vec<PathBuf> {
    let name = format!("{}.", path.file_name().unwrap().to_str().unwrap());
    let files = fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = files.filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with(&name)).collect();
    let order = |p: &PathBuf| {
        let text = p.to_str().unwrap().to_owned();
        let (stamp, n) = text.rsplit_once('-').unwrap();
        (stamp.to_owned(), n.parse::<u32>().unwrap())
    };
    files.sort_by_key(order);
    files
}

#[test]
fn files_keep_to_their_size_and_hold_every_line_once_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let rotation = Rotation { max_bytes: Some(50_000), ..Rotation::default() };
    let mut outlet = Outlet::open(OutletOptions { rotation, ..options(&path) }).unwrap();
    (0..5000).for_each(|n| assert!(outlet.give(&event(n))));
    let totals = outlet.close(ENOUGH);
    let mut files = aside(&path);
    assert_eq!(totals.stats.rotations, files.len() as u64);
    assert!(files.len() > 10, "{files:?}");
    files.push(path);
    let sizes: Vec<u64> = files.iter().map(|f| f.metadata().unwrap().len()).collect();
    assert!(sizes.iter().all(|size| *size <= 50_000), "{sizes:?}");
    assert!(sizes.iter().rev().skip(1).all(|size| *size > 49_000), "{sizes:?}");
    assert_eq!(files.iter().flat_map(|f| numbers(f)).collect::<Vec<_>>(), (0..5000).collect::<Vec<_>>());
}

#[test]
fn a_line_longer_than_a_file_may_be_has_one_of_its_own_and_old_files_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    fs::write(dir.path().join("events.jsonl.gz"), "").unwrap();
    let rotation = Rotation { max_bytes: Some(10), every: None, keep: Some(3) };
    let mut outlet = Outlet::open(OutletOptions { rotation, ..options(&path) }).unwrap();
    (0..20).for_each(|n| assert!(outlet.give(&event(n))));
    let totals = outlet.close(ENOUGH);
    assert_eq!((totals.stats.written, totals.stats.rotations, totals.stats.errors), (20, 19, 0));
    fs::remove_file(dir.path().join("events.jsonl.gz")).expect("what is not ours stays");
    let kept: Vec<_> = aside(&path).iter().chain([&path]).flat_map(|f| numbers(f)).collect();
    assert_eq!(kept, [16, 17, 18, 19]);
}

#[test]
fn a_file_of_yesterday_is_set_aside_at_the_start_and_an_empty_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let rotation = Rotation { every: Some(Duration::from_hours(24)), ..Rotation::default() };
    let options = OutletOptions { rotation, ..options(&path) };
    let yesterday = |path: &Path| {
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    };
    let mut outlet = Outlet::open(options.clone()).unwrap();
    outlet.give(&event(1));
    outlet.close(ENOUGH);
    yesterday(&path);
    let outlet = Outlet::open(options.clone()).unwrap();
    let handle = outlet.handle();
    eventually("the rotation, though no line comes", || handle.stats().rotations == 1);
    outlet.close(ENOUGH);
    assert_eq!((numbers(&path), numbers(&aside(&path)[0])), (vec![], vec![1]));
    yesterday(&path);
    let mut outlet = Outlet::open(options).unwrap();
    outlet.give(&event(2));
    outlet.give(&event(3));
    assert_eq!(outlet.close(ENOUGH).stats.rotations, 0);
    assert_eq!(numbers(&path), [2, 3]);
}

#[test]
fn a_hundred_renames_under_load_lose_and_repeat_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let mut outlet = Outlet::open(options(&path).prompt()).unwrap();
    let handle = outlet.handle();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (given, totals) = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut n = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                assert!(outlet.give(&event(n)), "room for all");
                n += 1;
                if n % 10 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            (n, outlet.close(ENOUGH))
        });
        for n in 1..=100 {
            let before = handle.stats().written;
            fs::rename(&path, dir.path().join(format!("old.{n}"))).unwrap();
            handle.reopen();
            eventually("the new file, and lines in it", || {
                handle.stats().reopened == n && path.exists() && handle.stats().written > before
            });
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        load.join().unwrap()
    });
    adds_up(&totals.stats);
    assert_eq!((totals.stats.written, totals.stats.dropped, totals.stats.errors), (given, 0, 0));
    let mut all: Vec<u64> = (1..=100).flat_map(|n| numbers(&dir.path().join(format!("old.{n}")))).collect();
    all.extend(numbers(&path));
    assert_eq!(all, (0..given).collect::<Vec<_>>());
}

#[test]
fn a_renamed_or_removed_file_is_noticed_without_being_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let mut outlet = Outlet::open(options(&path).prompt()).unwrap();
    let handle = outlet.handle();
    let mut n = 0;
    let mut give = |until: &dyn Fn() -> bool| {
        eventually("a new file", || {
            outlet.give(&event(n));
            n += 1;
            drained(&handle);
            until()
        });
    };
    give(&|| true);
    fs::rename(&path, dir.path().join("old")).unwrap();
    give(&|| path.exists());
    // At once, since nothing can be read of what is written to it any more.
    fs::remove_file(&path).unwrap();
    give(&|| true);
    assert_eq!(numbers(&path).len(), 1);
    give(&|| true);
    assert_eq!(handle.stats().reopened, 2);
    // Emptied by `copytruncate`: what follows begins at the new end.
    fs::copy(&path, dir.path().join("copy")).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    give(&|| true);
    assert_eq!((numbers(&path).len(), numbers(&dir.path().join("copy")).len()), (1, 2));
    let totals = outlet.close(ENOUGH);
    assert_eq!((totals.stats.written, totals.stats.dropped, totals.stats.errors), (n, 0, 0));
}

#[test]
fn lines_wait_for_a_directory_that_is_gone_and_for_a_link_to_go() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, path) = (dir.path().join("logs"), dir.path().join("logs/events.jsonl"));
    fs::create_dir(&folder).unwrap();
    let mut outlet = Outlet::open(options(&path).prompt()).unwrap();
    let handle = outlet.handle();
    outlet.give(&event(0));
    drained(&handle);
    fs::remove_dir_all(&folder).unwrap();
    outlet.give(&event(1));
    eventually("the failure", || matches!(handle.state(), State::Failing { .. }));
    let State::Failing { why, .. } = handle.state() else { panic!("still failing") };
    assert!(why.contains("there is no directory") && why.contains(folder.to_str().unwrap()), "{why}");
    fs::create_dir(&folder).unwrap();
    drained(&handle);
    assert_eq!((numbers(&path), handle.state()), (vec![1], State::Writing));
    // Somebody puts a link in its place: nothing is written through it.
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, "").unwrap();
    fs::rename(&path, dir.path().join("old")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    outlet.reopen();
    outlet.give(&event(2));
    eventually("the refusal", || matches!(handle.state(), State::Failing { why, .. } if why.contains("symbolic link")));
    fs::remove_file(&path).unwrap();
    let totals = outlet.close(ENOUGH);
    adds_up(&totals.stats);
    assert_eq!((totals.stats.written, totals.stats.dropped, numbers(&path)), (3, 0, vec![2]));
    assert_eq!(fs::read(&elsewhere).unwrap(), b"");
}

/// What may happen to a file while events come.
#[derive(Clone, Debug)]
enum Step {
    Give(u64),
    Rename,
    Reopen,
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u64..60).prop_map(Step::Give),
        2 => Just(Step::Rename),
        2 => Just(Step::Reopen),
        1 => Just(Step::Drain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_becomes_of_the_file_each_line_is_in_one_of_them_once(
        steps in prop::collection::vec(step(), 1..40),
        max_bytes in prop_oneof![Just(None), (100_u64..5000).prop_map(Some)],
        prompt in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let rotation = Rotation { max_bytes, ..Rotation::default() };
        let options = OutletOptions { rotation, ..options(&path) };
        let mut outlet = Outlet::open(if prompt { options.prompt() } else { options }).unwrap();
        let (mut given, mut renamed) = (0, 0);
        for step in steps {
            match step {
                Step::Give(n) => {
                    (given..given + n).for_each(|n| assert!(outlet.give(&event(n))));
                    given += n;
                }
                Step::Rename => {
                    renamed += 1;
                    // It may not be there yet again.
                    let _ = fs::rename(&path, dir.path().join(format!("old.{renamed}")));
                }
                Step::Reopen => outlet.reopen(),
                Step::Drain => drained(&outlet.handle()),
            }
        }
        let totals = outlet.close(ENOUGH);
        adds_up(&totals.stats);
        prop_assert_eq!((totals.stats.written, totals.stats.dropped), (given, 0));
        let mut all = Vec::new();
        for file in fs::read_dir(dir.path()).unwrap() {
            let lines = numbers(&file.unwrap().path());
            prop_assert!(lines.is_sorted());
            all.extend(lines);
        }
        all.sort_unstable();
        prop_assert_eq!(all, (0..given).collect::<Vec<_>>());
    }
}
