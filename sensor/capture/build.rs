//! Looks for libpcap before the linker does, whose own words ("cannot find -lpcap") help nobody.
#![allow(clippy::print_stdout, reason = "a build script talks to cargo through its standard output")]

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Printed by `main` through its `Debug`, which is why that is the plain sentence.
struct Missing;

impl fmt::Debug for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "libpcap was not found. Install it (Debian, Ubuntu: `apt-get install libpcap-dev`), \
             or name its folder in LIBPCAP_LIBDIR, or build without it: `--no-default-features`",
        )
    }
}

fn main() -> Result<(), Missing> {
    println!("cargo:rerun-if-changed=build.rs");
    for name in ["LIBPCAP_LIBDIR", "LIBRARY_PATH", "PKG_CONFIG_PATH", "DOCS_RS"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let wanted = env::var_os("CARGO_FEATURE_PCAP").is_some() && env::var_os("DOCS_RS").is_none();
    // The folders of this machine say nothing about those of another target.
    let native = env::var_os("TARGET") == env::var_os("HOST");
    if wanted && native && !found() { Err(Missing) } else { Ok(()) }
}

fn found() -> bool {
    match env::var_os("LIBPCAP_LIBDIR") {
        Some(dir) => holds_libpcap(Path::new(&dir)),
        None => pkg_config_knows() || linker_knows() || usual_folders().iter().any(|dir| holds_libpcap(dir)),
    }
}

fn holds_libpcap(dir: &Path) -> bool {
    ["libpcap.so", "libpcap.a", "libpcap.dylib", "libpcap.tbd"].iter().any(|name| dir.join(name).exists())
}

fn pkg_config_knows() -> bool {
    let program = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let status = Command::new(program).args(["--exists", "libpcap"]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The compiler driver answers with a whole path if it finds the file, else with the bare name.
fn linker_knows() -> bool {
    let output = Command::new("cc").arg("-print-file-name=libpcap.so").stderr(Stdio::null()).output();
    output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_absolute())
}

fn usual_folders() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        env::var_os("LIBRARY_PATH").map(|p| env::split_paths(&p).collect()).unwrap_or_default();
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    dirs.extend(["/usr/local/lib", "/usr/lib", "/usr/lib64", "/lib", "/lib64"].map(PathBuf::from));
    dirs.push(format!("/usr/lib/{arch}-linux-gnu").into());
    dirs
}
