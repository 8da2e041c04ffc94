//! A state directory, to be read: what is in it, without its lock. Its owner may remove checkpoints
//! meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, LocalDisk};
use super::error::StoreError;
use super::manifest::Manifest;
use super::names;
use super::read::{Checkpoint, open_part};

/// A state directory, read only.
#[derive(Debug, Clone)]
pub struct Folder {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
}

impl Folder {
    /// A state directory of this machine.
    pub fn new(dir: &Path) -> Self {
        Self::on(Arc::new(LocalDisk), dir)
    }

    /// A state directory on a disk.
    pub fn on(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        let dir = dir.to_owned();
        Self { disk, dir }
    }

    /// Epochs that have a manifest, the newest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn epochs(&self) -> Result<Vec<u64>, StoreError> {
        let names = self.list(&self.dir)?;
        let found = names
            .iter()
            .filter_map(|name| names::epoch_of_manifest(name));
        let mut epochs: Vec<u64> = found.collect();
        epochs.sort_unstable_by(|a, b| b.cmp(a));
        Ok(epochs)
    }

    /// The manifest of an epoch, verified; its part files are not looked at.
    ///
    /// # Errors
    /// There is none, or it is not sound.
    pub fn manifest(&self, epoch: u64) -> Result<Manifest, StoreError> {
        let manifest = Manifest::read(&*self.disk, &self.dir, epoch);
        manifest.map_err(|error| match error.is_not_found() {
            true => StoreError::NoSuchEpoch {
                dir: self.dir.clone(),
                epoch,
            },
            false => error,
        })
    }

    /// The manifest of an epoch, when its part files are there, each with its size and the header
    /// it is to have; their pieces are not read.
    ///
    /// # Errors
    /// There is none, or something of that is not so.
    pub fn glance(&self, epoch: u64) -> Result<Manifest, StoreError> {
        let manifest = self.manifest(epoch)?;
        for record in &manifest.parts {
            open_part(self, epoch, record)?;
        }
        Ok(manifest)
    }

    /// The checkpoint of an epoch, when every byte of it was verified.
    ///
    /// # Errors
    /// There is none, or it is not sound.
    pub fn checkpoint(&self, epoch: u64) -> Result<Checkpoint, StoreError> {
        let checkpoint = Checkpoint {
            folder: self.clone(),
            manifest: self.manifest(epoch)?,
            passed_over: Vec::new(),
        };
        for piece in checkpoint.pieces() {
            piece?;
        }
        Ok(checkpoint)
    }

    /// The newest checkpoint that is sound, verified wholly; `None` where there is none at all.
    ///
    /// # Errors
    /// There are some, and none is sound; or the directory cannot be read.
    pub fn newest(&self) -> Result<Option<Checkpoint>, StoreError> {
        let mut passed_over = Vec::new();
        for epoch in self.epochs()? {
            match self.checkpoint(epoch) {
                Ok(checkpoint) => {
                    return Ok(Some(Checkpoint {
                        passed_over,
                        ..checkpoint
                    }));
                }
                Err(error) => passed_over.push((epoch, error)),
            }
        }
        match passed_over.is_empty() {
            true => Ok(None),
            false => Err(StoreError::NoneSound {
                dir: self.dir.clone(),
                passed_over,
            }),
        }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        names::state_dir(&self.dir)
    }

    pub(crate) fn list(&self, dir: &Path) -> Result<Vec<String>, StoreError> {
        let names = self.disk.list(dir);
        names.map_err(StoreError::io("read the directory", dir))
    }

    pub(crate) fn remove(&self, path: &Path) -> Result<(), StoreError> {
        let removed = self.disk.remove(path);
        removed.map_err(StoreError::io("remove", path))
    }

    pub(crate) fn sync_dir(&self, dir: &Path) -> Result<(), StoreError> {
        let synced = self.disk.sync_dir(dir);
        synced.map_err(StoreError::io("fsync", dir))
    }
}
