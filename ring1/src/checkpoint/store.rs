//! A state directory that this process writes: its lock, the numbers of its epochs, and what is
//! removed when.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, LocalDisk};
use super::draft::Draft;
use super::error::StoreError;
use super::folder::Folder;
use super::manifest::Manifest;
use super::names;
use super::read::Checkpoint;

/// How many sound checkpoints stay: the newest, and one to fall back to.
pub const KEPT: usize = 2;

/// A state directory, locked for this process as long as the store or a draft of it lives.
///
/// ```
/// use trefoil_ring1::checkpoint::{ManifestData, Place, Store, StoreError};
///
/// # let dir = std::env::temp_dir().join(format!("trefoil-doc-store-{}", std::process::id()));
/// let mut store = Store::open(&dir)?;
/// let mut draft = store.begin(store.next_epoch())?;
/// let place = Place { kind: 1, number: 0, level: 0 };
/// draft.append(0, place, b"what shard 0 has")?;
/// draft.append(1, place, b"what shard 1 has")?;
/// draft.commit(ManifestData {
///     created_ns: 0,
///     shards: 2,
///     seed: 7,
///     chunk_bytes: 1 << 20,
///     step: 0,
///     fingerprint: Vec::new(),
///     sources: Vec::new(),
///     sinks: Vec::new(),
///     counters: serde_json::Value::Null,
/// })?;
///
/// let newest = store.newest()?.expect("one was committed");
/// for piece in newest.pieces() {
///     let (shard, of, bytes) = piece?;
///     assert_eq!((of, bytes), (place, format!("what shard {shard} has").into_bytes()));
/// }
/// # std::fs::remove_dir_all(&dir).expect("it is ours");
/// # Ok::<(), StoreError>(())
/// ```
#[derive(Debug)]
pub struct Store {
    owned: Arc<Owned>,
}

/// What a store and its draft share.
pub(crate) struct Owned {
    pub(crate) folder: Folder,
    state: Mutex<State>,
    _lock: Box<dyn Any + Send + Sync>,
}

#[derive(Debug)]
pub(crate) struct State {
    /// The least number of an epoch that was never used.
    least: u64,
    pub(crate) is_in_flight: bool,
    /// Epochs that have a manifest and are not to be relied on.
    pub(crate) unsound: BTreeSet<u64>,
}

impl Store {
    /// Takes a directory of this machine, which is made where it is not there, and removes what is
    /// left of epochs that were never committed.
    ///
    /// # Errors
    /// Another store has it, or it cannot be made, read or written.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_on(Arc::new(LocalDisk), dir)
    }

    /// Takes a directory of a disk, as [`Store::open`] does.
    ///
    /// # Errors
    /// As of [`Store::open`].
    pub fn open_on(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, StoreError> {
        let folder = Folder::on(disk, dir);
        for dir in [dir, &folder.state_dir()] {
            let made = folder.disk.make_dir(dir);
            made.map_err(StoreError::io("make the directory", dir))?;
        }
        let path = dir.join(names::LOCK);
        let lock = folder
            .disk
            .lock(&path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => StoreError::Locked {
                    dir: dir.to_owned(),
                },
                _ => StoreError::io("lock", &path)(error),
            })?;
        let least = least_unused(&folder)?;
        sweep(&folder, &folder.epochs()?)?;
        let state = State {
            least,
            is_in_flight: false,
            unsound: BTreeSet::new(),
        };
        Ok(Self {
            owned: Arc::new(Owned {
                folder,
                state: Mutex::new(state),
                _lock: lock,
            }),
        })
    }

    /// What is in the directory, to be read.
    pub fn folder(&self) -> &Folder {
        &self.owned.folder
    }

    /// The newest checkpoint that is sound, as [`Folder::newest`] finds it. Those it passes over do
    /// not count among those that are kept.
    ///
    /// # Errors
    /// As of [`Folder::newest`].
    pub fn newest(&self) -> Result<Option<Checkpoint>, StoreError> {
        let newest = self.owned.folder.newest()?;
        if let Some(newest) = &newest {
            let epochs = newest.passed_over().iter().map(|(epoch, _)| *epoch);
            self.owned.state().unsound.extend(epochs);
        }
        Ok(newest)
    }

    /// The least number that an epoch can have: above all that this store used, and all that files
    /// told of when it was opened.
    pub fn next_epoch(&self) -> u64 {
        self.owned.state().least
    }

    /// Begins to write an epoch. One is written at a time, and its number is used up.
    ///
    /// # Errors
    /// The number is below [`Store::next_epoch`], or another epoch is being written.
    pub fn begin(&mut self, epoch: u64) -> Result<Draft, StoreError> {
        let mut state = self.owned.state();
        if state.is_in_flight {
            return Err(StoreError::InFlight { epoch });
        }
        if epoch < state.least || epoch == u64::MAX {
            let least = state.least;
            return Err(StoreError::EpochUsed { epoch, least });
        }
        state.least = epoch + 1;
        state.is_in_flight = true;
        drop(state);
        Ok(Draft::new(Arc::clone(&self.owned), epoch))
    }
}

impl Owned {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what the newest checkpoints made superfluous: manifests first, durably, so that none
    /// is ever seen without its parts, then the parts.
    pub(crate) fn retain(&self) -> Result<(), StoreError> {
        let epochs = self.folder.epochs()?;
        let is_counted = |epoch: &u64| {
            let is_known_unsound = self.state().unsound.contains(epoch);
            !is_known_unsound && self.folder.manifest(*epoch).is_ok()
        };
        let counted: Vec<u64> = epochs
            .iter()
            .copied()
            .filter(is_counted)
            .take(KEPT)
            .collect();
        let oldest = match counted[..] {
            [.., oldest] if counted.len() == KEPT => oldest,
            _ => 0,
        };
        let (staying, old): (Vec<u64>, Vec<u64>) = epochs.iter().partition(|e| **e >= oldest);
        for &epoch in &old {
            let path = self.folder.dir.join(names::manifest(epoch));
            self.folder.remove(&path)?;
            self.state().unsound.remove(&epoch);
        }
        if !old.is_empty() {
            self.folder.sync_dir(&self.folder.dir)?;
        }
        sweep(&self.folder, &staying)
    }
}

impl fmt::Debug for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owned")
            .field("folder", &self.folder)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Above every epoch that a name of a file tells of.
fn least_unused(folder: &Folder) -> Result<u64, StoreError> {
    let names = folder.list(&folder.dir)?;
    let manifests = names.iter().filter_map(|name| {
        names::epoch_of_manifest(name).or_else(|| names::epoch_of_temporary(name))
    });
    let parts = folder.list(&folder.state_dir())?;
    let parts = parts.iter().filter_map(|name| names::place_of_part(name));
    let newest = manifests.chain(parts.map(|(epoch, _)| epoch)).max();
    Ok(newest.map_or(1, |epoch| epoch.saturating_add(1)))
}

/// Removes, while nothing is being written, manifests that never got their names, and part files
/// that no manifest of these epochs refers to. What a manifest refers to that cannot be read is not
/// known: all that is as old as the newest such one stays.
fn sweep(folder: &Folder, staying: &[u64]) -> Result<(), StoreError> {
    for name in folder.list(&folder.dir)? {
        if names::epoch_of_temporary(&name).is_some() {
            folder.remove(&folder.dir.join(name))?;
        }
    }
    let mut referred = BTreeSet::new();
    let mut unreadable = None;
    for &epoch in staying {
        match Manifest::read(&*folder.disk, &folder.dir, epoch) {
            Ok(manifest) => referred.extend(manifest.parts.into_iter().map(|part| part.name)),
            Err(_) => unreadable = unreadable.max(Some(epoch)),
        }
    }
    let dir = folder.state_dir();
    for name in folder.list(&dir)? {
        let Some((epoch, _)) = names::place_of_part(&name) else {
            continue;
        };
        if !referred.contains(&name) && Some(epoch) > unreadable {
            folder.remove(&dir.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{ManifestData, Place};
    use super::*;

    fn commit(store: &mut Store, epoch: u64) {
        let mut draft = store.begin(epoch).unwrap();
        let place = Place {
            kind: 0,
            number: 0,
            level: 0,
        };
        draft.append(0, place, &epoch.to_le_bytes()).unwrap();
        let data = ManifestData {
            created_ns: 0,
            shards: 1,
            seed: 0,
            chunk_bytes: 1,
            step: 0,
            fingerprint: Vec::new(),
            sources: Vec::new(),
            sinks: Vec::new(),
            counters: serde_json::Value::Null,
        };
        assert!(draft.commit(data).unwrap().not_removed.is_none());
    }

    /// No draft refers to parts of earlier epochs yet. The format has room for that, and what
    /// removes files goes by it.
    #[test]
    fn a_part_stays_as_long_as_a_later_manifest_refers_to_it() {
        let name = format!("trefoil-parts-stay-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        _ = fs::remove_dir_all(&dir);
        let mut store = Store::open(&dir).unwrap();
        commit(&mut store, 1);
        let mut second = store.folder().manifest(1).unwrap();
        second.epoch = 2;
        fs::write(dir.join(names::manifest(2)), second.encode().unwrap()).unwrap();
        drop(store);
        let mut store = Store::open(&dir).unwrap();
        commit(&mut store, 3);
        assert_eq!(store.folder().epochs().unwrap(), [3, 2]);
        let second = store.folder().checkpoint(2).unwrap();
        let (_, _, bytes) = second.pieces().next().unwrap().unwrap();
        assert_eq!(bytes, 1_u64.to_le_bytes());
        commit(&mut store, 4);
        let parts = store.folder().list(&store.folder().state_dir()).unwrap();
        assert_eq!(parts.len(), 2, "{parts:?}");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_writes_and_reads_may_move_to_another_thread() {
        fn is_send<T: Send>() {}
        is_send::<Store>();
        is_send::<Draft>();
        is_send::<Checkpoint>();
        is_send::<super::super::Pieces>();
    }
}
