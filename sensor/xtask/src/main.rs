//! Checks and generators of this repository: `cargo xtask <command>`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a tool for people at a terminal: it prints, and it times what it runs"
)]

mod check;
mod flood;
mod fuzz;
mod judge;
mod mutate;
mod seeds;
mod soak;
mod sweep;

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask <command>

  check                     everything that must hold before a change goes in
  sweep DIR --bin PATH [--seconds N] [--mib N]
                            replay every file of a folder that holds no MCP, one process each, and report
                            panics, hangs, memory and false alarms
  fuzz TARGET SECONDS       run a fuzz target (needs a nightly toolchain and cargo-fuzz)
  flood --bin PATH [--scale PERCENT] [--threads N] [--config FILE] [NAME...]
                            floods at full size through the program: what is found, memory against the budget,
                            processor time
  soak --bin PATH [--minutes N] [--threads N] [--config FILE] [--live]
                            mixed traffic without end through one process: what is found, memory and descriptors over
                            time; --live over a cable between two network namespaces, with 1,000 reloads (root)
  judge [CAPTURE [KEYLOG]]  the requests that we read beside those that tshark prints with the same keys, over the
                            captures of the fixtures or the one that is named
  mutate --bin PATH [--count N] [--seed N] [--jobs N] [--seconds N] [--mib N] [--keep DIR] [DIR...]
                            damaged captures through the program, one process each: panics, hangs, growth
  seeds                     write the seeds of the fuzz targets again";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["check"] => check::run(),
        ["sweep", ref rest @ ..] => sweep::run(rest),
        ["fuzz", target, seconds] => fuzz::run(target, seconds),
        ["flood", ref rest @ ..] => flood::run(rest),
        ["soak", ref rest @ ..] => soak::run(rest),
        ["judge", ref rest @ ..] => judge::run(rest),
        ["mutate", ref rest @ ..] => mutate::run(rest),
        ["seeds"] => seeds::run(),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The cargo that runs us.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where cargo puts the programs of the profile that we were built with.
fn build_folder() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where is xtask?")?;
    own.parent().map(Path::to_path_buf).context("xtask lies in no folder")
}

/// Runs a step to its end.
fn must(name: &str, command: &mut Command) -> Result<()> {
    let status =
        command.status().with_context(|| format!("{name}: cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}
