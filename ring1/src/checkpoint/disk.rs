//! The few operations on files that a store needs, behind a trait: tests and the simulation of
//! faults bring a disk that fails, fills up or crashes where they want.

use std::any::Any;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

/// Bytes that a file is read ahead by: most pieces have a head of a few bytes and a page.
const READ_BYTES: usize = 64 << 10;

/// A disk. Paths are whole.
pub trait Disk: Debug + Send + Sync {
    /// Makes the directory and those above it, durably, where they are not there.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock of this file, which is made where it is not there, until the guard is
    /// dropped. `WouldBlock` where somebody else has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;

    /// Names of the regular files of a directory, in any order. A name that is no UTF-8 is none of
    /// ours, and left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes a file to write. It must not be there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Outgoing>>;

    /// Opens a file to read.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Incoming>>;

    /// Gives a file another name, at once.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes what was made, renamed and removed in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// A file being written, from its beginning to its end.
pub trait Outgoing: Debug + Send {
    /// Writes all of these bytes behind those before.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes all that was written durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file being read, from its beginning to its end.
pub trait Incoming: Debug + Send {
    /// How many bytes it has.
    fn size(&self) -> io::Result<u64>;

    /// Reads the next bytes, as many as are wanted. `UnexpectedEof` where there are fewer.
    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let above = dir.parent().filter(|above| !above.as_os_str().is_empty());
        if let Some(above) = above {
            self.make_dir(above)?;
        }
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.sync_dir(above.unwrap_or(Path::new(".")))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let options = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path);
        let file = options?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Outgoing>> {
        Ok(Box::new(File::create_new(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Incoming>> {
        Ok(Box::new(BufReader::with_capacity(
            READ_BYTES,
            File::open(path)?,
        )))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl Outgoing for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl Incoming for BufReader<File> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.get_ref().metadata()?.len())
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        Read::read_exact(self, bytes)
    }
}
