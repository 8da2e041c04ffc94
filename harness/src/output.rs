//! Where what is printed goes: to standard output, or to a file that takes its name only when it is
//! whole.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::failure::Failure;

/// Where text goes.
#[derive(Debug)]
pub(crate) enum Target {
    /// Standard output.
    Stdout,
    /// A device or pipe that already has its name.
    Direct { file: File, path: PathBuf },
    /// A file that is renamed when it is whole.
    File {
        file: File,
        temporary: PathBuf,
        path: PathBuf,
    },
}

impl Target {
    /// Opens the file, or standard output where there is none.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self::Stdout);
        };
        let refuse = |error: io::Error| Failure::write(path, &error);
        if path.metadata().is_ok_and(|m| !m.is_file()) {
            let file = File::options().write(true).open(path).map_err(refuse)?;
            let path = path.to_owned();
            return Ok(Self::Direct { file, path });
        }
        let Some(name) = path.file_name() else {
            return Err(Failure::Usage(format!(
                "{} is not the name of a file",
                path.display()
            )));
        };
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let name = format!(".{}.{process}.{number}.tmp", name.to_string_lossy());
        let temporary = path.with_file_name(name);
        let mut all = temporaries();
        let file = File::create(&temporary).map_err(refuse)?;
        all.push(temporary.clone());
        Ok(Self::File {
            file,
            temporary,
            path: path.to_owned(),
        })
    }

    /// Whether a person looks at it.
    pub(crate) fn is_terminal(&self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Direct { file, .. } => file.is_terminal(),
            Self::File { .. } => false,
        }
    }

    /// Writes.
    ///
    /// # Errors
    /// [`Failure::ClosedPipe`] where a pipe is not read any more.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let (written, name) = match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                let written = out.write_all(bytes).and_then(|()| out.flush());
                (written, Path::new("standard output"))
            }
            Self::Direct { file, path } | Self::File { file, path, .. } => {
                (file.write_all(bytes), &**path)
            }
        };
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::write(name, &error),
        })
    }

    /// Gives the file its name.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        match self {
            Self::Stdout | Self::Direct { .. } => Ok(()),
            Self::File {
                file,
                temporary,
                path,
            } => file
                .sync_all()
                .and_then(|()| std::fs::rename(temporary, path))
                .map_err(|e| Failure::write(path, &e)),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Self::File { temporary, .. } = self {
            let mut all = temporaries();
            // After a rename there is nothing to remove, which is the usual case.
            let _ = std::fs::remove_file(&*temporary);
            all.retain(|path| path != temporary);
        }
    }
}

/// Files that have no name yet.
static TEMPORARIES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn temporaries() -> MutexGuard<'static, Vec<PathBuf>> {
    TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process, whatever other threads do, and leaves no temporary file.
pub(crate) fn abandon(report: impl FnOnce() -> u8) -> ! {
    // Kept to the end, so that nobody makes another.
    let all = temporaries();
    for path in all.iter() {
        let _ = std::fs::remove_file(path);
    }
    std::process::exit(i32::from(report()))
}
