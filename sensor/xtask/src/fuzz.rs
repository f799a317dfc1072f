//! `cargo xtask fuzz`: one target for some time, from the seeds of the repository.

use crate::{must, root};
use anyhow::{Context, Result, ensure};
use std::process::Command;

/// Runs `target` for `seconds`. What it finds interesting is kept in `sensor/fuzz/corpus`, what breaks it in
/// `sensor/fuzz/artifacts`.
pub(crate) fn run(target: &str, seconds: &str) -> Result<()> {
    let seconds: u32 = seconds.parse().with_context(|| format!("`{seconds}` is no number of seconds"))?;
    let fuzz = root().join("sensor/fuzz");
    let source = fuzz.join("fuzz_targets").join(format!("{target}.rs"));
    ensure!(source.exists(), "no target `{target}`: see sensor/fuzz/fuzz_targets");
    let corpus = fuzz.join("corpus").join(target);
    std::fs::create_dir_all(&corpus).with_context(|| corpus.display().to_string())?;
    let mut command = Command::new("cargo");
    // The toolchain of this process would otherwise be handed on.
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").current_dir(root());
    command.args(["+nightly", "fuzz", "run", "--fuzz-dir", "sensor/fuzz", target]);
    command.arg(corpus).arg(root().join("fixtures/seeds").join(target));
    command.args(["--", &format!("-max_total_time={seconds}"), "-timeout=20", "-rss_limit_mb=2048", "-max_len=65536"]);
    must("cargo fuzz", &mut command)
}
