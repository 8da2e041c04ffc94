//! An epoch being written. What is dropped without a commit is abandoned, and its files are
//! removed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::error::StoreError;
use super::manifest::{Manifest, ManifestData, PartRecord};
use super::names;
use super::part::{PartWriter, Place};
use super::store::Owned;

/// An epoch being written; it may move to a thread of its own.
#[derive(Debug)]
pub struct Draft {
    owned: Arc<Owned>,
    epoch: u64,
    /// The part of each shard that gave a piece.
    parts: BTreeMap<u32, Part>,
    stage: Stage,
}

/// A part file that was begun: it is to be removed if the epoch is not committed.
#[derive(Debug)]
struct Part {
    name: String,
    /// `None` when it was finished, or an error ended it.
    writer: Option<PartWriter>,
}

/// How far a draft is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Pieces,
    /// A descriptor failed. Nothing of this epoch is tried again.
    Failed,
    /// The manifest may have its name.
    Renamed,
    Committed,
}

/// An epoch that is durable.
#[derive(Debug)]
pub struct Committed {
    /// Number of the epoch.
    pub epoch: u64,
    /// Bytes of its part files.
    pub bytes: u64,
    /// Number of its pieces.
    pub pieces: u64,
    /// What kept older files from being removed. The next commit, and the next opening, try again.
    pub not_removed: Option<StoreError>,
}

impl Draft {
    pub(crate) fn new(owned: Arc<Owned>, epoch: u64) -> Self {
        Self {
            owned,
            epoch,
            parts: BTreeMap::new(),
            stage: Stage::Pieces,
        }
    }

    /// Number of the epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Writes a piece behind those that the shard gave before.
    ///
    /// # Errors
    /// The system refused something, or the piece is too large. The epoch has failed then, and
    /// every further call says so.
    pub fn append(&mut self, shard: u32, place: Place, bytes: &[u8]) -> Result<(), StoreError> {
        self.go_on()?;
        let appended = self.append_to(shard, place, bytes);
        if appended.is_err() {
            self.stage = Stage::Failed;
        }
        appended
    }

    fn append_to(&mut self, shard: u32, place: Place, bytes: &[u8]) -> Result<(), StoreError> {
        let folder = &self.owned.folder;
        let part = self.parts.entry(shard).or_insert_with(|| Part {
            name: names::part(self.epoch, shard),
            writer: None,
        });
        if part.writer.is_none() {
            let created = PartWriter::create(&*folder.disk, &folder.dir, self.epoch, shard)?;
            part.writer = Some(created);
        }
        match &mut part.writer {
            Some(writer) => writer.append(place, bytes),
            None => Err(StoreError::Abandoned { epoch: self.epoch }),
        }
    }

    /// Makes the epoch durable: parts and their directory are fsynced, then the manifest is, under
    /// another name; its rename is the commit. What older checkpoints needed alone is removed then.
    ///
    /// # Errors
    /// The system refused something: the epoch is abandoned, and nothing of it is tried again.
    /// [`StoreError::InDoubt`] where the rename may have become durable nevertheless.
    pub fn commit(mut self, data: ManifestData) -> Result<Committed, StoreError> {
        self.go_on()?;
        let manifest = Manifest {
            epoch: self.epoch,
            parts: self.finish_parts()?,
            data,
        };
        self.write_manifest(&manifest)?;
        self.stage = Stage::Committed;
        Ok(Committed {
            epoch: self.epoch,
            bytes: manifest.bytes(),
            pieces: manifest.pieces(),
            not_removed: self.owned.retain().err(),
        })
    }

    fn go_on(&self) -> Result<(), StoreError> {
        match self.stage {
            Stage::Pieces => Ok(()),
            _ => Err(StoreError::Abandoned { epoch: self.epoch }),
        }
    }

    fn finish_parts(&mut self) -> Result<Vec<PartRecord>, StoreError> {
        let mut records = Vec::with_capacity(self.parts.len());
        for part in self.parts.values_mut() {
            let Some(writer) = part.writer.take() else {
                return Err(StoreError::Abandoned { epoch: self.epoch });
            };
            records.push(PartRecord::new(part.name.clone(), writer.finish()?));
        }
        let folder = &self.owned.folder;
        folder.sync_dir(&folder.state_dir())?;
        Ok(records)
    }

    fn write_manifest(&mut self, manifest: &Manifest) -> Result<(), StoreError> {
        let bytes = manifest.encode()?;
        let folder = &self.owned.folder;
        let (temporary, path) = self.manifest_paths();
        let created = folder.disk.create(&temporary);
        let mut file = created.map_err(StoreError::io("create", &temporary))?;
        let written = file.write(&bytes);
        written.map_err(StoreError::io("write", &temporary))?;
        file.sync().map_err(StoreError::io("fsync", &temporary))?;
        drop(file);
        self.stage = Stage::Renamed;
        let renamed = folder.disk.rename(&temporary, &path);
        renamed
            .map_err(StoreError::io("rename", &temporary))
            .and_then(|()| folder.sync_dir(&folder.dir))
            .map_err(|error| StoreError::InDoubt {
                epoch: self.epoch,
                error: Box::new(error),
            })
    }

    /// The manifest's name until it is whole, and the one it gets.
    fn manifest_paths(&self) -> (PathBuf, PathBuf) {
        let dir = &self.owned.folder.dir;
        (
            dir.join(names::temporary_manifest(self.epoch)),
            dir.join(names::manifest(self.epoch)),
        )
    }

    /// Removes the files of an epoch that is not committed, as far as that is possible: what stays
    /// is swept up with the next commit, or when the directory is opened again.
    fn abandon(&mut self) {
        for part in self.parts.values_mut() {
            part.writer = None;
        }
        let folder = &self.owned.folder;
        let (temporary, path) = self.manifest_paths();
        if self.stage == Stage::Renamed {
            // Without its manifest the epoch is gone; with it, all its parts have to stay.
            let is_gone = match folder.disk.remove(&path) {
                Err(error) => error.kind() == std::io::ErrorKind::NotFound,
                Ok(()) => folder.sync_dir(&folder.dir).is_ok(),
            };
            if !is_gone {
                self.owned.state().unsound.insert(self.epoch);
                return;
            }
        }
        // Nobody is there to be told, and nothing is lost where one of them stays.
        _ = folder.remove(&temporary);
        for part in self.parts.values() {
            _ = folder.remove(&folder.state_dir().join(&part.name));
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.stage != Stage::Committed {
            self.abandon();
        }
        self.owned.state().is_in_flight = false;
    }
}
