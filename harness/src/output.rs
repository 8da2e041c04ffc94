//! Where what is printed goes: what has no name yet is taken away however the process ends.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use trefoil::output::{Temporaries, WriteError};

use crate::failure::Failure;

pub(crate) use trefoil::output::Target;

/// Files that have no name yet.
static TEMPORARIES: LazyLock<Arc<Temporaries>> = LazyLock::new(Arc::default);

/// Opens the file, or standard output where there is none.
pub(crate) fn open(path: Option<&Path>) -> Result<Target, Failure> {
    Ok(Target::open(path, &TEMPORARIES)?)
}

/// Opens a file that a script names; the error is for a connector's.
pub(crate) fn open_file(path: &Path) -> Result<Target, String> {
    Target::open(Some(path), &TEMPORARIES).map_err(|error| error.to_string())
}

/// Ends the process, whatever other threads do, and leaves no temporary file.
pub(crate) fn abandon(report: impl FnOnce() -> u8) -> ! {
    // Kept to the end, so that nobody makes another.
    let all = TEMPORARIES.hold();
    for path in all.iter() {
        let _ = std::fs::remove_file(path);
    }
    std::process::exit(i32::from(report()))
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::ClosedPipe => Self::ClosedPipe,
            WriteError::Failed(text) => Self::Running(text),
        }
    }
}
