//! What can go wrong with a state directory.

use std::io;
use std::path::{Path, PathBuf};

/// Why a checkpoint could not be written or read (exit code 5).
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused an operation.
    #[error("cannot {doing} {}: {error}", path.display())]
    Io {
        /// What was tried: a verb, as in "write".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another process, or another store of this one, has the directory.
    #[error("the state directory {} is in use: another process holds its lock", dir.display())]
    Locked {
        /// The state directory.
        dir: PathBuf,
    },
    /// A file is not what was written.
    #[error("{} is damaged at byte {at}: {how}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where it was noticed: the first byte of the smallest part whose checksum differs.
        at: u64,
        /// What differs.
        how: String,
    },
    /// A file that a manifest refers to is not there.
    #[error("{} is missing; manifest {epoch} refers to it", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The epoch of the manifest.
        epoch: u64,
    },
    /// A file of a format that this version does not read.
    #[error("{} has version {found} of its format; this program reads {known}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version it has.
        found: u32,
        /// The version that is known.
        known: u32,
    },
    /// There are checkpoints, and none is sound.
    #[error("no checkpoint in {} is sound:{}", dir.display(), lines(passed_over))]
    NoneSound {
        /// The state directory.
        dir: PathBuf,
        /// Why not, the newest first.
        passed_over: Vec<(u64, StoreError)>,
    },
    /// There is no checkpoint of that epoch.
    #[error("there is no checkpoint {epoch} in {}", dir.display())]
    NoSuchEpoch {
        /// The state directory.
        dir: PathBuf,
        /// The epoch.
        epoch: u64,
    },
    /// A number of an epoch that was used before.
    #[error("epoch {epoch} cannot begin: {least} is the least number not used yet")]
    EpochUsed {
        /// The number.
        epoch: u64,
        /// The least that can be used.
        least: u64,
    },
    /// One epoch is written at a time.
    #[error("epoch {epoch} cannot begin: another one is being written")]
    InFlight {
        /// The epoch.
        epoch: u64,
    },
    /// A piece that is larger than any may be.
    #[error("a piece of {bytes} bytes cannot be written: {most} at most")]
    PieceTooLarge {
        /// Its size.
        bytes: usize,
        /// The most that is allowed.
        most: usize,
    },
    /// The epoch failed before: it is not tried again.
    #[error("epoch {epoch} was abandoned after an error")]
    Abandoned {
        /// The epoch.
        epoch: u64,
    },
    /// What the manifest is to say cannot be written as JSON.
    #[error("the manifest of epoch {epoch} cannot be written: {why}")]
    Manifest {
        /// The epoch.
        epoch: u64,
        /// Why not.
        why: String,
    },
    /// The manifest has its name, and the directory could not be fsynced: the epoch is abandoned
    /// and its manifest removed, and after a crash of the machine it may be there again.
    #[error("epoch {epoch} was abandoned, and may come back after a crash: {error}")]
    InDoubt {
        /// The epoch.
        epoch: u64,
        /// What failed.
        error: Box<StoreError>,
    },
}

impl StoreError {
    /// For `map_err`: `doing` to `path` failed.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { doing, path, error }
    }

    /// Whether the file is not there: a checkpoint that its owner removed meanwhile.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

fn lines(passed_over: &[(u64, StoreError)]) -> String {
    let lines = passed_over
        .iter()
        .map(|(epoch, error)| format!("\n  epoch {epoch}: {error}"));
    lines.collect()
}
