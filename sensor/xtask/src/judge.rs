//! `cargo xtask judge`: our list of requests against that of tshark, with the same keys.

use crate::{cargo, must};
use anyhow::{Context, Result, bail};
use std::path::absolute;
use std::process::{Command, Stdio};

/// Compares over the captures of the fixtures, or over the one that is named, with its key log if there is one.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let version = Command::new("tshark").arg("--version").stderr(Stdio::null()).output();
    let version = version.context("the judge is tshark, which must be installed")?;
    println!("{}", String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or_default());
    let mut test = cargo();
    test.args(["test", "--quiet", "--locked", "-p", "pipeline", "--test", "judge", "--", "--nocapture"]);
    match *arguments {
        [] => {}
        [capture, ref keylog @ ..] if keylog.len() < 2 => {
            test.env("JUDGE_CAPTURE", absolute(capture)?);
            if let [keylog] = *keylog {
                test.env("JUDGE_KEYLOG", absolute(keylog)?);
            }
        }
        _ => bail!("usage: cargo xtask judge [CAPTURE [KEYLOG]]"),
    }
    must("the judge", &mut test)
}
