//! Completions and manual pages, made from the command line's own description.

use crate::args::Cli;
use crate::failure::{Failure, Outcome};
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::io::Write as _;
use std::path::Path;

pub(crate) fn completions(shell: Shell) -> Outcome {
    // The generators panic where writing fails, so they write to memory.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mcp-sensor", &mut text);
    std::io::stdout().lock().write_all(&text)?;
    Ok(0)
}

pub(crate) fn pages(dir: Option<&Path>) -> Outcome {
    let command = Cli::command();
    match dir {
        Some(dir) => clap_mangen::generate_to(command, dir)
            .map_err(|e| Failure::run(format!("cannot write manual pages to {}: {e}", dir.display())))?,
        None => clap_mangen::Man::new(command).render(&mut std::io::stdout().lock())?,
    }
    Ok(0)
}
