//! `cargo xtask check`: all of CI, offline once the dependencies are there.

use crate::{build_folder, cargo, must, root};
use anyhow::Result;
use std::process::{Command, Stdio};
use std::time::Instant;

/// What must build anywhere, with nothing installed: the pure crates, and the program without its native libraries.
const BARE: [&str; 6] = ["net", "proto", "mcp", "detect", "correlate", "cli"];

/// Runs every check, the tests last. Stops at the first that fails.
pub(crate) fn run() -> Result<()> {
    step("format", || must("cargo fmt", cargo().args(["fmt", "--all", "--check"])))?;
    step("clippy", || {
        let lints = ["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"];
        must("cargo clippy", cargo().args(lints))
    })?;
    step("without default features", || {
        let crates = BARE.iter().flat_map(|name| ["-p", name]);
        let build = ["check", "--no-default-features", "--locked", "--quiet"];
        must("cargo check", cargo().args(build).args(crates))
    })?;
    step("docs", || {
        let docs = ["doc", "--workspace", "--no-deps", "--locked", "--quiet"];
        must("cargo doc", cargo().args(docs).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    if present(&["deny", "--version"]) {
        step("licences", || must("cargo deny", cargo().args(["deny", "--offline", "check", "licenses", "bans"])))?;
    } else {
        eprintln!("== licences: skipped, cargo-deny is not installed");
    }
    step("build", || must("cargo build", cargo().args(["test", "--workspace", "--no-run", "--locked", "--quiet"])))?;
    step("rules", || {
        let sensor = build_folder()?.join("mcp-sensor");
        let sensor = || {
            let mut command = Command::new(&sensor);
            command.current_dir(root());
            command
        };
        must("mcp-sensor rules check", sensor().args(["rules", "check", "--strict"]))?;
        must("mcp-sensor rules test", sensor().args(["rules", "test"]))
    })?;
    step("tests", || {
        if present(&["nextest", "--version"]) {
            must("doc tests", cargo().args(["test", "--workspace", "--doc", "--locked", "--quiet"]))?;
            // On a machine that others use, too, a test may run out of its patience: the second try is named in the sum.
            let tests = ["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--retries", "1"];
            must("cargo nextest", cargo().args(tests))
        } else {
            must("cargo test", cargo().args(["test", "--workspace", "--locked", "--no-fail-fast"]))
        }
    })
}

fn step(name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    eprintln!("== {name}");
    run()?;
    eprintln!("== {name}: {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Whether a cargo subcommand is installed.
fn present(arguments: &[&str]) -> bool {
    cargo().args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
