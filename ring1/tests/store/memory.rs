//! A disk in memory that fails where a test wants, and of which a crash keeps no more than was
//! fsynced: of all else, any part.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use trefoil_ring1::checkpoint::{Disk, Incoming, Outgoing};

/// The disk; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<World>>);

#[derive(Debug, Default)]
struct World {
    inodes: Vec<Inode>,
    dirs: BTreeMap<PathBuf, Names>,
    locked: BTreeSet<PathBuf>,
    /// Operations so far.
    operations: usize,
    fault: Option<Fault>,
}

/// What happens to which operation, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This one and all behind it are not done.
    Crash(usize),
    /// From this one on so many fail with EIO. What a failed fsync was to make durable is lost for
    /// later ones, too.
    Errors(usize, usize),
    /// From this one on there is no room.
    Full(usize),
}

#[derive(Debug, Default, Clone)]
struct Inode {
    bytes: Vec<u8>,
    /// How much of it was fsynced.
    durable: usize,
    /// An fsync failed: no later one can be believed.
    is_lost: bool,
}

/// Names of a directory, as they are and as they were fsynced.
#[derive(Debug, Default, Clone)]
struct Names {
    now: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    /// Changed before an fsync that failed.
    lost: BTreeSet<String>,
}

/// What of that which was not fsynced is there after a crash.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Survives {
    /// All: the process was killed.
    All,
    /// Nothing.
    Nothing,
    /// Any part, by this seed.
    Some(u64),
}

/// What an operation does to the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It needs room.
    Grows,
    Other,
}

impl World {
    /// Counts an operation, and says whether it fails.
    fn begin(&mut self, kind: Kind) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        match self.fault {
            Some(Fault::Crash(at)) if number >= at => Err(io::Error::other("crashed")),
            Some(Fault::Errors(from, count)) if (from..from + count).contains(&number) => {
                Err(io::Error::other("EIO"))
            }
            Some(Fault::Full(at)) if number >= at && kind == Kind::Grows => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn names(&mut self, path: &Path) -> io::Result<(&mut Names, String)> {
        let (dir, name) = split(path);
        let names = self.dirs.get_mut(&dir).ok_or(io::ErrorKind::NotFound)?;
        Ok((names, name))
    }
}

fn split(path: &Path) -> (PathBuf, String) {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    (path.parent().unwrap().to_owned(), name)
}

impl MemoryDisk {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// Sets what is to fail; operations are counted from the beginning.
    pub(crate) fn set(&self, fault: Option<Fault>) {
        self.world().fault = fault;
    }

    /// Operations so far.
    pub(crate) fn operations(&self) -> usize {
        self.world().operations
    }

    /// The disk that is found after a crash at this moment.
    pub(crate) fn after_crash(&self, survives: Survives) -> Self {
        let world = self.world();
        let mut random = match survives {
            Survives::Some(seed) => seed,
            _ => 0,
        };
        let mut choose = |most: usize| match survives {
            Survives::All => most,
            Survives::Nothing => 0,
            Survives::Some(_) => {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                usize::try_from(random % (most as u64 + 1)).unwrap()
            }
        };
        let mut after = World::default();
        for inode in &world.inodes {
            let pending = inode.bytes.len() - inode.durable;
            let mut bytes = inode.bytes[..inode.durable + choose(pending)].to_vec();
            // What a machine lost may be there as zeros.
            let whole = choose(bytes.len() - inode.durable);
            bytes[inode.durable + whole..].fill(0);
            after.inodes.push(Inode {
                durable: bytes.len(),
                bytes,
                is_lost: false,
            });
        }
        for (dir, names) in &world.dirs {
            let mut found = names.durable.clone();
            let changed = names.now.keys().chain(names.durable.keys());
            for name in changed.collect::<BTreeSet<_>>() {
                match (names.now.get(name), names.durable.get(name)) {
                    (now, durable) if now == durable || choose(1) == 0 => {}
                    (Some(inode), _) => _ = found.insert(name.clone(), *inode),
                    (None, _) => _ = found.remove(name),
                }
            }
            let names = Names {
                now: found.clone(),
                durable: found,
                lost: BTreeSet::new(),
            };
            after.dirs.insert(dir.clone(), names);
        }
        Self(Arc::new(Mutex::new(after)))
    }

    /// All files with their content.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let world = self.world();
        let mut files = BTreeMap::new();
        for (dir, names) in &world.dirs {
            for (name, inode) in &names.now {
                files.insert(dir.join(name), world.inodes[*inode].bytes.clone());
            }
        }
        files
    }

    /// Changes a file behind the back of who reads it.
    pub(crate) fn change(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut world = self.world();
        let (names, name) = world.names(path).unwrap();
        let inode = names.now[&name];
        change(&mut world.inodes[inode].bytes);
    }

    /// A disk with these files, durably.
    pub(crate) fn with(files: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let mut world = World::default();
        for (path, bytes) in files {
            let (dir, name) = split(path);
            let names = world.dirs.entry(dir).or_default();
            names.now.insert(name.clone(), world.inodes.len());
            names.durable.insert(name, world.inodes.len());
            world.inodes.push(Inode {
                bytes: bytes.clone(),
                durable: bytes.len(),
                is_lost: false,
            });
        }
        Self(Arc::new(Mutex::new(world)))
    }
}

/// A lock that is held.
struct Guard(MemoryDisk, PathBuf);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.world().locked.remove(&self.1);
    }
}

#[derive(Debug)]
struct Open {
    disk: MemoryDisk,
    inode: usize,
    at: usize,
}

impl Disk for MemoryDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.begin(Kind::Grows)?;
        world.dirs.entry(dir.to_owned()).or_default();
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut world = self.world();
        world.begin(Kind::Other)?;
        match world.locked.insert(path.to_owned()) {
            true => Ok(Box::new(Guard(self.clone(), path.to_owned()))),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut world = self.world();
        world.begin(Kind::Other)?;
        let names = world.dirs.get(dir).ok_or(io::ErrorKind::NotFound)?;
        Ok(names.now.keys().cloned().collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Outgoing>> {
        let mut world = self.world();
        world.begin(Kind::Grows)?;
        let inode = world.inodes.len();
        world.inodes.push(Inode::default());
        let (names, name) = world.names(path)?;
        if names.now.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        names.lost.remove(&name);
        names.now.insert(name, inode);
        Ok(Box::new(Open {
            disk: self.clone(),
            inode,
            at: 0,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Incoming>> {
        let mut world = self.world();
        world.begin(Kind::Other)?;
        let (names, name) = world.names(path)?;
        let inode = *names.now.get(&name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Open {
            disk: self.clone(),
            inode,
            at: 0,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.begin(Kind::Other)?;
        let (names, from) = world.names(from)?;
        let inode = names.now.remove(&from).ok_or(io::ErrorKind::NotFound)?;
        let to = split(to).1;
        names.lost.remove(&from);
        names.lost.remove(&to);
        names.now.insert(to, inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.begin(Kind::Other)?;
        let (names, name) = world.names(path)?;
        names.lost.remove(&name);
        let removed = names.now.remove(&name);
        removed.map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        let fault = world.begin(Kind::Other);
        let names = world.dirs.get_mut(dir).ok_or(io::ErrorKind::NotFound)?;
        let all = names.now.keys().chain(names.durable.keys());
        for name in all.cloned().collect::<BTreeSet<_>>() {
            let (now, durable) = (names.now.get(&name), names.durable.get(&name));
            if now == durable || names.lost.contains(&name) {
                continue;
            }
            match now.copied() {
                _ if fault.is_err() => _ = names.lost.insert(name),
                Some(inode) => _ = names.durable.insert(name, inode),
                None => _ = names.durable.remove(&name),
            }
        }
        fault
    }
}

impl Outgoing for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.disk.world();
        let fault = world.begin(Kind::Grows);
        let written = match fault {
            Ok(()) => bytes,
            Err(_) => &bytes[..bytes.len() / 2],
        };
        world.inodes[self.inode].bytes.extend_from_slice(written);
        fault
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut world = self.disk.world();
        let fault = world.begin(Kind::Other);
        let inode = &mut world.inodes[self.inode];
        inode.is_lost |= fault.is_err();
        if !inode.is_lost {
            inode.durable = inode.bytes.len();
        }
        fault
    }
}

impl Incoming for Open {
    fn size(&self) -> io::Result<u64> {
        let mut world = self.disk.world();
        world.begin(Kind::Other)?;
        Ok(world.inodes[self.inode].bytes.len() as u64)
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let mut world = self.disk.world();
        world.begin(Kind::Other)?;
        let end = self.at + bytes.len();
        let from = world.inodes[self.inode].bytes.get(self.at..end);
        bytes.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        self.at = end;
        Ok(())
    }
}
