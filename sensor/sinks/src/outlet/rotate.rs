//! Setting a file aside: when, under which name, and which of the old ones go.

use super::Rotation;
use net::Timestamp;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Which of the spans since 1970 a time lies in. Zero where nothing is rotated by time.
pub(super) fn span(rotation: &Rotation, time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    rotation.every.map_or(0, |every| since / every.as_secs().max(1))
}

/// How long the span of `time` still lasts.
pub(super) fn left(rotation: &Rotation, time: SystemTime) -> Option<Duration> {
    let every = Duration::from_secs(rotation.every?.as_secs().max(1));
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let next = every.checked_mul(u32::try_from(span(rotation, time)).ok()?.checked_add(1)?)?;
    Some(next.saturating_sub(since))
}

/// Renames the file at `path` to its name with the time behind it. Never takes a name that is in use, and names sort as
/// the files came, though the clock was set back in between: the newest must not look like the oldest.
pub(super) fn set_aside(path: &Path, time: SystemTime) -> io::Result<()> {
    let now = stamp(time);
    let (stamp, n) = match aside(path)?.pop() {
        Some(((newest, n), _)) if newest >= now => (newest, n.saturating_add(1)),
        _ => (now, 1),
    };
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{stamp}-{n}"));
    let to = PathBuf::from(name);
    match to.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(path, to),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

/// Removes what was set aside, but for the newest `keep`. One that cannot be removed keeps no other; the first
/// such is told.
pub(super) fn remove_old(path: &Path, keep: usize) -> io::Result<()> {
    let mut aside = aside(path)?;
    aside.truncate(aside.len().saturating_sub(keep));
    let mut result = Ok(());
    for (_, file) in &aside {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound && result.is_ok() => {
                result = Err(io::Error::new(error.kind(), format!("{}: {error}", file.display())));
            }
            _ => {}
        }
    }
    result
}

/// What was set aside from `path`, the oldest first.
fn aside(path: &Path) -> io::Result<Vec<((String, u32), PathBuf)>> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default();
    let mut aside = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        aside.extend(order(name, &entry.file_name()).map(|order| (order, entry.path())));
    }
    aside.sort_unstable();
    Ok(aside)
}

/// Time and number in the name of a file that was set aside from `name`; `None` for any other.
fn order(name: &OsStr, file: &OsStr) -> Option<(String, u32)> {
    let rest = file.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b".")?;
    let (stamp, n) = std::str::from_utf8(rest).ok()?.split_once('-')?;
    let shape = stamp.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b });
    let number = !n.starts_with(['0', '+']);
    (number && shape.eq(*b"00000000T000000Z")).then_some(())?;
    Some((stamp.to_owned(), n.parse().ok()?))
}

/// `20261123T091201Z`.
fn stamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanos = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
    let text = Timestamp(nanos).to_string();
    let digits = text.get(..19).unwrap_or(&text).chars().filter(|c| c.is_ascii_digit() || *c == 'T');
    digits.chain(['Z']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(secs)
    }

    #[test]
    fn a_day_ends_at_midnight_utc() {
        let daily = Rotation { every: Some(Duration::from_hours(24)), ..Rotation::default() };
        let midnight = 1_795_392_000;
        assert_eq!(stamp(at(midnight)), "20261123T000000Z");
        assert_ne!(span(&daily, at(midnight - 1)), span(&daily, at(midnight)));
        assert_eq!(span(&daily, at(midnight)), span(&daily, at(midnight + 86_399)));
        assert_eq!(left(&daily, at(midnight - 1)), Some(Duration::from_secs(1)));
        assert_eq!(left(&daily, at(midnight)), Some(Duration::from_hours(24)));
        assert_eq!(left(&Rotation::default(), at(midnight)), None);
    }

    #[test]
    fn names_are_never_taken_twice_and_only_ours_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        for n in 0..12 {
            fs::write(&path, format!("{n}")).unwrap();
            set_aside(&path, at(1_795_392_000)).unwrap();
        }
        fs::write(&path, "later").unwrap();
        set_aside(&path, at(1_795_392_001)).unwrap();
        let others = [
            "events.jsonl.20261123T000000Z-1.gz",
            "events.jsonl.20261123T000000Z-+1",
            "events.jsonl.1",
            "other.jsonl.20261123T000000Z-1",
            "events.jsonl.20261123T000000Z-",
        ];
        for other in others {
            fs::write(dir.path().join(other), "").unwrap();
        }
        remove_old(&path, 3).unwrap();
        let kept = |n: u32| fs::read_to_string(dir.path().join(format!("events.jsonl.20261123T000000Z-{n}")));
        // The tenth is newer than the second, though it sorts before it as text.
        assert_eq!((kept(11).unwrap(), kept(12).unwrap()), ("10".into(), "11".into()));
        let last = dir.path().join("events.jsonl.20261123T000001Z-1");
        assert!(kept(10).is_err() && last.exists());
        // The clock was set back.
        fs::write(&path, "last").unwrap();
        set_aside(&path, at(1_795_391_000)).unwrap();
        remove_old(&path, 1).unwrap();
        assert!(kept(12).is_err() && !last.exists());
        let last = dir.path().join("events.jsonl.20261123T000001Z-2");
        assert_eq!(fs::read_to_string(last).unwrap(), "last");
        assert!(others.iter().all(|other| dir.path().join(other).exists()));
    }

    #[test]
    fn what_cannot_be_removed_is_told_and_keeps_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let name = |n: u32| dir.path().join(format!("events.jsonl.20261123T000000Z-{n}"));
        fs::create_dir(name(1)).unwrap();
        (2..5).for_each(|n| fs::write(name(n), "").unwrap());
        let told = remove_old(&dir.path().join("events.jsonl"), 1).unwrap_err().to_string();
        assert!(told.contains("20261123T000000Z-1"), "{told}");
        assert_eq!((1..5).map(|n| name(n).exists()).collect::<Vec<_>>(), [true, false, false, true]);
    }
}
