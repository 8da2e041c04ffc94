//! Where what is printed goes: to standard output, or to a file that takes its name only when it is
//! whole.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::failure::Failure;
use crate::location::Location;

/// Where text goes.
#[derive(Debug)]
pub(crate) enum Target {
    /// Standard output.
    Stdout,
    /// A device, pipe or descriptor that keeps its name.
    Direct { file: File, path: PathBuf },
    /// A file that is renamed when it is whole.
    File {
        file: File,
        temporary: PathBuf,
        /// The file to replace: what a link leads to, not the link.
        real: PathBuf,
        /// As it was named.
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
        let location = match Location::of(path).map_err(refuse)? {
            Location::File(location) => location,
            Location::Stdout => return Ok(Self::Stdout),
            // The descriptor itself: a second one would write over what is said.
            Location::Stderr => {
                let stderr = io::stderr().as_fd().try_clone_to_owned();
                let file = stderr.map_err(refuse)?.into();
                let path = path.to_owned();
                return Ok(Self::Direct { file, path });
            }
            Location::Direct => {
                let file = File::options().append(true).open(path).map_err(refuse)?;
                let path = path.to_owned();
                return Ok(Self::Direct { file, path });
            }
        };
        let real = location.file().to_owned();
        let name = real.file_name().unwrap_or_default();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let name = format!(".{}.{process}.{number}.tmp", name.to_string_lossy());
        let temporary = real.with_file_name(name);
        let mut all = temporaries();
        let file = File::create(&temporary).map_err(refuse)?;
        all.push(temporary.clone());
        drop(all);
        let target = Self::File {
            file,
            temporary,
            real,
            path: path.to_owned(),
        };
        target.take_permissions().map_err(refuse)?;
        Ok(target)
    }

    /// Who may read the file that is replaced may read this one.
    fn take_permissions(&self) -> io::Result<()> {
        let Self::File { file, real, .. } = self else {
            return Ok(());
        };
        match real.metadata() {
            Ok(metadata) => file.set_permissions(metadata.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
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
                real,
                path,
            } => file
                .sync_all()
                .and_then(|()| std::fs::rename(temporary, real))
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

/// Opens a file that a script names; the error is for a connector's.
pub(crate) fn open_file(path: &Path) -> Result<Target, String> {
    Target::open(Some(path)).map_err(|failure| match failure {
        Failure::Running(text) | Failure::Usage(text) => text,
        other => format!("{other:?}"),
    })
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
