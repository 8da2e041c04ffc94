//! Where what is printed goes: to standard output, or to a file that takes its name only when it is
//! whole.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::WriteError;
use super::location::Location;

/// Files that have no name yet, so that who ends the process can take them away.
#[derive(Debug, Default)]
pub struct Temporaries(Mutex<Vec<PathBuf>>);

impl Temporaries {
    /// The files; none is made while this is held.
    pub fn hold(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one beside a file.
    fn make(&self, real: &Path) -> io::Result<(File, PathBuf)> {
        let name = real.file_name().unwrap_or_default().to_string_lossy();
        let process = std::process::id();
        let mut all = self.hold();
        // Others of this process may write the same file.
        for number in 0.. {
            let temporary = real.with_file_name(format!(".{name}.{process}.{number}.tmp"));
            match File::create_new(&temporary) {
                Ok(file) => {
                    all.push(temporary.clone());
                    return Ok((file, temporary));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        unreachable!("there are more numbers than files")
    }
}

/// Where text goes.
#[derive(Debug)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A device, pipe or descriptor that keeps its name.
    Direct {
        /// It.
        file: File,
        /// As it was named.
        path: PathBuf,
    },
    /// A file that is renamed when it is whole.
    File {
        /// It.
        file: File,
        /// Its name until then.
        temporary: PathBuf,
        /// The file to replace: what a link leads to, not the link.
        real: PathBuf,
        /// As it was named.
        path: PathBuf,
        /// Where it is noted.
        temporaries: Arc<Temporaries>,
    },
}

impl Target {
    /// Opens the file, or standard output where there is none.
    ///
    /// # Errors
    /// [`WriteError::Failed`] where it cannot be written.
    pub fn open(path: Option<&Path>, temporaries: &Arc<Temporaries>) -> Result<Self, WriteError> {
        let Some(path) = path else {
            return Ok(Self::Stdout);
        };
        let refuse = |error: io::Error| WriteError::of(path, &error);
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
        let (file, temporary) = temporaries.make(&real).map_err(refuse)?;
        let target = Self::File {
            file,
            temporary,
            real,
            path: path.to_owned(),
            temporaries: Arc::clone(temporaries),
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
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Direct { file, .. } => file.is_terminal(),
            Self::File { .. } => false,
        }
    }

    /// Writes.
    ///
    /// # Errors
    /// What went wrong, [`WriteError::ClosedPipe`] where a pipe is not read any more.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
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
            io::ErrorKind::BrokenPipe => WriteError::ClosedPipe,
            _ => WriteError::of(name, &error),
        })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`WriteError::Failed`] where it cannot be.
    pub fn finish(&self) -> Result<(), WriteError> {
        match self {
            Self::Stdout | Self::Direct { .. } => Ok(()),
            Self::File {
                file,
                temporary,
                real,
                path,
                ..
            } => file
                .sync_all()
                .and_then(|()| std::fs::rename(temporary, real))
                .map_err(|e| WriteError::of(path, &e)),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Self::File {
            temporary,
            temporaries,
            ..
        } = self
        {
            let mut all = temporaries.hold();
            // After a rename there is nothing to remove, which is the usual case.
            let _ = std::fs::remove_file(&*temporary);
            all.retain(|path| path != temporary);
        }
    }
}
