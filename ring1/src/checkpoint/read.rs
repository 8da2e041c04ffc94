//! A checkpoint that was verified, and its pieces.

use std::vec::IntoIter;

use super::error::StoreError;
use super::folder::Folder;
use super::manifest::{Manifest, PartRecord};
use super::names;
use super::part::{PartReader, Place};

/// A sound checkpoint: every byte of its files was compared with its checksums.
#[derive(Debug)]
pub struct Checkpoint {
    pub(crate) folder: Folder,
    pub(crate) manifest: Manifest,
    pub(crate) passed_over: Vec<(u64, StoreError)>,
}

impl Checkpoint {
    /// Number of its epoch.
    pub fn epoch(&self) -> u64 {
        self.manifest.epoch
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Newer checkpoints that are not sound, with what is wrong, the newest first. They were
    /// committed: before the run goes on from this older one it is for the caller to make sure that
    /// sources can rewind to it and that no sink has committed past it.
    pub fn passed_over(&self) -> &[(u64, StoreError)] {
        &self.passed_over
    }

    /// All pieces with their shards, by shards and, of each, in the order they were written. They
    /// are read, and verified, again; after an error nothing more is given.
    pub fn pieces(&self) -> Pieces {
        Pieces {
            folder: self.folder.clone(),
            epoch: self.manifest.epoch,
            parts: self.manifest.parts.clone().into_iter(),
            open: None,
        }
    }
}

/// Pieces of a checkpoint, as they are read.
#[derive(Debug)]
pub struct Pieces {
    folder: Folder,
    epoch: u64,
    parts: IntoIter<PartRecord>,
    open: Option<(u32, PartReader)>,
}

impl Iterator for Pieces {
    type Item = Result<(u32, Place, Vec<u8>), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            (self.parts, self.open) = (Vec::new().into_iter(), None);
        }
        next.transpose()
    }
}

impl Pieces {
    fn advance(&mut self) -> Result<Option<(u32, Place, Vec<u8>)>, StoreError> {
        loop {
            if let Some((shard, part)) = &mut self.open {
                if let Some((place, bytes)) = part.next()? {
                    return Ok(Some((*shard, place, bytes)));
                }
                self.open = None;
            }
            let Some(record) = self.parts.next() else {
                return Ok(None);
            };
            self.open = Some(open_part(&self.folder, self.epoch, &record)?);
        }
    }
}

/// Opens a part of the checkpoint of an epoch; with its shard.
pub(crate) fn open_part(
    folder: &Folder,
    epoch: u64,
    record: &PartRecord,
) -> Result<(u32, PartReader), StoreError> {
    let Some(of) = names::place_of_part(&record.name) else {
        return Err(StoreError::Damaged {
            path: folder.dir.join(names::manifest(epoch)),
            at: 0,
            how: format!("it names a part {:?}", record.name),
        });
    };
    let path = folder.state_dir().join(&record.name);
    let disk = &*folder.disk;
    let part = PartReader::open(disk, path.clone(), of, record.totals());
    match part {
        Ok(part) => Ok((of.1, part)),
        Err(error) if error.is_not_found() => Err(StoreError::Missing { path, epoch }),
        Err(error) => Err(error),
    }
}
