//! How a command ends.

use std::io;

/// The exit status of a command that did what it was asked for.
pub(crate) type Outcome = Result<u8, Failure>;

/// Why a command did not.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Usage, configuration, rules or input are wrong: exit status 2.
    Usage(anyhow::Error),
    /// It failed while running: exit status 1.
    Run(anyhow::Error),
    /// Nobody reads standard output any more: an end without a word.
    Closed,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(anyhow::Error::msg(message.into()))
    }

    pub(crate) fn run(message: impl Into<String>) -> Self {
        Self::Run(anyhow::Error::msg(message.into()))
    }
}

/// Errors without a more special place come from reading what the operator wrote.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Usage(error)
    }
}

/// Plain I/O errors come from writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Run(anyhow::Error::new(error).context("cannot write to standard output"))
        }
    }
}

impl From<sinks::jsonl::Error> for Failure {
    fn from(error: sinks::jsonl::Error) -> Self {
        match error {
            sinks::jsonl::Error::Closed => Self::Closed,
            error => Self::Run(error.into()),
        }
    }
}
