//! The `mcp-sensor` program: arguments, configuration, wiring.

#[cfg(feature = "mimalloc")]
mod allocator;
mod args;
mod ca;
mod carve;
mod config;
mod doctor;
mod failure;
mod files;
mod hash;
mod live;
mod log;
mod manual;
mod payload;
mod process;
mod replay;
mod rules;
mod suggest;
mod time;
mod words;

use args::{Cli, Command, ConfigCommand};
use clap::Parser as _;
use failure::{Failure, Outcome};
use log::{Level, Log};
use std::io::Write as _;
use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: allocator::MiMalloc = allocator::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = if cli.common.quiet { Level::Error } else { cli.common.log_level };
    let log = Log { level, format: cli.common.log_format, bar: indicatif::ProgressBar::hidden() };
    match run(&cli, &log) {
        Ok(code) => ExitCode::from(code),
        Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => {
            log.error(&format!("{error:#}"));
            ExitCode::from(2)
        }
        Err(Failure::Run(error)) => {
            log.error(&format!("{error:#}"));
            ExitCode::from(1)
        }
    }
}

fn run(cli: &Cli, log: &Log) -> Outcome {
    match &cli.command {
        Command::Replay(args) => {
            // Reading captures takes no rights, and goes on with those it has where the system lets none be given up.
            if let Err(error) = process::shed(args.files()) {
                log.warn(&error.to_string());
            }
            replay::run(&cli.common, args, log)
        }
        Command::Capture(args) => live::capture(&cli.common, args, log),
        Command::Proxy(args) => live::proxy(&cli.common, args, log),
        Command::Run(args) => live::run(&cli.common, args, log),
        Command::Ca(command) => ca::run(&cli.common, command, log),
        Command::Payload(command) => payload::run(command, log),
        Command::Doctor(args) => doctor::run(&cli.common, args, log),
        Command::Rules(command) => rules::run(&cli.common, command, log),
        Command::Config(command) => configuration(cli, command, log),
        Command::Completions { shell } => manual::completions(*shell),
        Command::Man { dir } => manual::pages(dir.as_deref()),
    }
}

fn configuration(cli: &Cli, command: &ConfigCommand, log: &Log) -> Outcome {
    let mut out = std::io::stdout().lock();
    match command {
        ConfigCommand::Check { overrides } => {
            let config = config::Config::load(&cli.common, overrides)?;
            rules::load(&config, log)?;
            writeln!(out, "ok: {}", config.in_short())?;
        }
        ConfigCommand::Show { overrides } => {
            let config = config::Config::load(&cli.common, overrides)?;
            let engine = rules::load(&config, log)?.engine_and_why();
            let text = config.to_toml(&engine)?;
            out.write_all(text.as_bytes())?;
        }
        ConfigCommand::Schema { events } => {
            let schema = if *events { sinks::schema::events() } else { config::schema() };
            writeln!(out, "{schema:#}")?;
        }
    }
    out.flush()?;
    Ok(0)
}
