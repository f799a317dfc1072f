//! SDKs from the package registries, for tests with real peers: installed once below `target` with pinned versions.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs something that may need the network, and says whether it worked.
pub(crate) fn worked(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A folder below `target` for what `install` puts there once; it stays until one of the files that it is made from is
/// another. Tests are processes of their own and start together: the first one installs while the others wait.
pub(crate) fn home(name: &str, from: &[PathBuf], install: impl FnOnce(&Path) -> bool) -> Option<PathBuf> {
    let wanted: Vec<u8> = from.iter().flat_map(|file| fs::read(file).unwrap()).collect();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let lock = File::create(dir.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let done = fs::read(dir.join("installed")).is_ok_and(|had| had == wanted);
    if !done {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        if !install(&dir) {
            return None;
        }
        fs::write(dir.join("installed"), wanted).unwrap();
    }
    Some(dir)
}

/// Python in an environment of its own with what `pins` lists; `None` where it cannot be had.
pub(crate) fn python(name: &str, pins: &Path) -> Option<PathBuf> {
    let program = |dir: &Path| dir.join("bin/python");
    let dir = home(name, &[pins.to_owned()], |dir| {
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "-r"];
        worked(Command::new("python3").args(["-m", "venv"]).arg(dir))
            && worked(Command::new(program(dir)).args(pip).arg(pins))
    })?;
    Some(program(&dir))
}

/// A folder with what is in `scripts`, and the packages that its `package.json` lists; `None` where it cannot be had.
pub(crate) fn node(name: &str, scripts: &Path) -> Option<PathBuf> {
    let of_node = |file: &PathBuf| file.extension().is_some_and(|kind| kind == "mjs" || kind == "json");
    let mut files: Vec<_> = fs::read_dir(scripts).unwrap().map(|entry| entry.unwrap().path()).filter(of_node).collect();
    files.sort();
    home(name, &files, |dir| {
        for file in &files {
            fs::copy(file, dir.join(file.file_name().unwrap())).unwrap();
        }
        let npm = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries", "1"];
        worked(Command::new("npm").args(npm).current_dir(dir))
    })
}
