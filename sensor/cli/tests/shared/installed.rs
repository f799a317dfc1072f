//! SDKs from the package registries, for tests with real peers: installed once below `target` with pinned versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs something that may need the network, and says whether it worked.
fn worked(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A folder for what is installed, below `target`; it stays for the next time.
fn home(name: &str, pins: &Path) -> (PathBuf, bool) {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let done = fs::read(dir.join("pins")).is_ok_and(|had| had == fs::read(pins).unwrap());
    if !done {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
    }
    (dir, done)
}

/// Python in an environment of its own with what `pins` lists; `None` where it cannot be had.
pub(crate) fn python(name: &str, pins: &Path) -> Option<PathBuf> {
    let (dir, done) = home(name, pins);
    let program = dir.join("bin/python");
    if !done {
        let made = worked(Command::new("python3").args(["-m", "venv"]).arg(&dir));
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "-r"];
        if !made || !worked(Command::new(&program).args(pip).arg(pins)) {
            return None;
        }
        fs::copy(pins, dir.join("pins")).unwrap();
    }
    Some(program)
}

/// A folder with the packages of `package.json` in `scripts`, and copies of the scripts that are there; `None` where it
/// cannot be had.
pub(crate) fn node(name: &str, scripts: &Path) -> Option<PathBuf> {
    let pins = scripts.join("package.json");
    let (dir, done) = home(name, &pins);
    if !done {
        fs::copy(&pins, dir.join("package.json")).unwrap();
        let npm = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries", "1"];
        if !worked(Command::new("npm").args(npm).current_dir(&dir)) {
            return None;
        }
        fs::copy(&pins, dir.join("pins")).unwrap();
    }
    for script in fs::read_dir(scripts).unwrap().map(|entry| entry.unwrap().path()) {
        if script.extension().is_some_and(|kind| kind == "mjs") {
            fs::copy(&script, dir.join(script.file_name().unwrap())).unwrap();
        }
    }
    Some(dir)
}
