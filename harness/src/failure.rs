//! How a command can fail, and its exit code: 1 failed while running, 2 wrong usage, 3 SQL
//! refused, 4 a connector could not be opened, 5 a checkpoint or its restore failed,
//! 6 a benchmark missed its threshold, 7 a load is no result.

use std::fmt::Display;
use std::io;
use std::path::Path;

use trefoil_ring0::error::Error;

use crate::say::say;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Who read standard output went away: no failure of ours.
    ClosedPipe,
    /// Failed while running.
    Running(String),
    /// Wrong usage.
    Usage(String),
    /// What was typed is no command, or asks for help.
    Typed(clap::Error),
    /// SQL was refused; the text names the place.
    Sql(String),
    /// A connector could not be opened.
    Open(String),
    /// A checkpoint or its restore failed.
    Checkpoint(String),
    /// A benchmark missed its threshold.
    Threshold(String),
    /// A load that was not sent as it should be: what was measured is no result.
    Invalid(String),
}

impl Failure {
    /// A file that could not be written.
    pub(crate) fn write(path: &Path, error: &io::Error) -> Self {
        Self::Running(format!("cannot write {}: {error}", path.display()))
    }

    /// What went wrong; `None` where that is nothing of ours.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::ClosedPipe => None,
            Self::Typed(error) => Some(error.to_string()),
            Self::Running(text)
            | Self::Usage(text)
            | Self::Sql(text)
            | Self::Open(text)
            | Self::Checkpoint(text)
            | Self::Threshold(text)
            | Self::Invalid(text) => Some(text.clone()),
        }
    }

    /// Says on standard error what is wrong, and gives the exit code.
    pub(crate) fn report(&self) -> u8 {
        let (code, text): (u8, &dyn Display) = match self {
            Self::ClosedPipe => return 0,
            Self::Typed(error) => return report_typed(error),
            Self::Running(text) => (1, text),
            Self::Usage(text) => (2, text),
            Self::Sql(text) => (3, text),
            Self::Open(text) => (4, text),
            Self::Checkpoint(text) => (5, text),
            Self::Threshold(text) => (6, text),
            Self::Invalid(text) => (7, text),
        };
        match self {
            // It begins with its own code, as in `error[E0201]: ...`.
            Self::Sql(_) => say(text),
            _ => say(&format_args!("error: {text}")),
        }
        code
    }
}

/// Prints help to standard output, what is wrong to standard error.
fn report_typed(error: &clap::Error) -> u8 {
    match error.print() {
        Err(failed) if !error.use_stderr() => Failure::from(failed).report(),
        _ => error.exit_code().try_into().unwrap_or(2),
    }
}

/// What nobody reads is lost: a failure where it is more than results that were not wanted.
pub(crate) fn needed(written: Result<(), Failure>, path: &Path) -> Result<(), Failure> {
    written.map_err(|failure| match failure {
        Failure::ClosedPipe => Failure::write(path, &io::ErrorKind::BrokenPipe.into()),
        other => other,
    })
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Running(format!("cannot write results: {error}")),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Open { .. } => Self::Open(error.to_string()),
            Error::Restore(_) => Self::Checkpoint(error.to_string()),
            _ => Self::Running(error.to_string()),
        }
    }
}

impl From<trefoil::Error> for Failure {
    fn from(error: trefoil::Error) -> Self {
        match error {
            trefoil::Error::Sql(error) => Self::Sql(error.to_string()),
            trefoil::Error::Ring0(error) => error.into(),
            trefoil::Error::Engine {
                code: "E0610" | "E0615",
                message,
            } => Self::Checkpoint(message),
            error => Self::Running(error.to_string()),
        }
    }
}
