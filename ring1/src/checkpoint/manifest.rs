//! The manifest: what a checkpoint is made of, and what the run was that it is of. JSON within a
//! frame that has a checksum; `docs/format.md` draws it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::error::StoreError;
use super::part::{Totals, u32_at, u64_at};
use super::print::{FilePrint, StatementPrint, hex};
use super::{checksum, names};

/// Version of the format of manifests.
const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"TRFMANI\0";
const HEADER_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 8;
/// Most bytes of a manifest.
const MANIFEST_BYTES_MAX: u64 = 1 << 30;

/// What a run says of itself for its checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestData {
    /// When the epoch was triggered: nanoseconds since 1970-01-01 UTC.
    pub created_ns: i64,
    /// Shards of the run.
    pub shards: u32,
    /// Seed of the hash of keys.
    #[serde(with = "hex")]
    pub seed: u64,
    /// Bytes of the chunks that sources are read by.
    pub chunk_bytes: u64,
    /// How many statements of the script were done before the one that the pieces are of.
    pub step: u32,
    /// The script, statement by statement.
    pub fingerprint: Vec<StatementPrint>,
    /// What was read.
    pub sources: Vec<SourcePrint>,
    /// What was written.
    pub sinks: Vec<SinkPrint>,
    /// Figures of the run so far, as the run wants them.
    pub counters: serde_json::Value,
}

/// A source, and the files it was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePrint {
    /// Its name in SQL.
    pub name: String,
    /// Its connector.
    pub connector: String,
    /// Its files, in the order they are read.
    pub files: Vec<FilePrint>,
}

/// A sink, and the files that its commit gives their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkPrint {
    /// Its name in SQL.
    pub name: String,
    /// Where it writes.
    pub path: PathBuf,
    /// Files that were written and fsynced, and are to get their names after the commit.
    pub prepared: Vec<Prepared>,
}

/// A file of a sink between the two steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The name it was written under.
    pub temporary: PathBuf,
    /// The name it is to have.
    pub name: PathBuf,
    /// How many bytes of it are of this epoch and those before.
    pub bytes: u64,
}

/// A part file, as the manifest names it. It may be of an earlier epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Its name within `state/`.
    pub name: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Number of pieces.
    pub pieces: u64,
    /// Bytes of all pieces.
    pub payload: u64,
    /// Checksum of the whole file.
    #[serde(with = "hex")]
    pub checksum: u64,
}

impl PartRecord {
    pub(crate) fn new(name: String, totals: Totals) -> Self {
        Self {
            name,
            bytes: totals.bytes,
            pieces: totals.pieces,
            payload: totals.payload,
            checksum: totals.checksum,
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            bytes: self.bytes,
            pieces: self.pieces,
            payload: self.payload,
            checksum: self.checksum,
        }
    }
}

/// A manifest, as it is in its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Number of the epoch.
    pub epoch: u64,
    /// The part files, in the order of shards.
    pub parts: Vec<PartRecord>,
    /// What the run said.
    #[serde(flatten)]
    pub data: ManifestData,
}

impl Manifest {
    /// Bytes of its part files.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// Number of its pieces.
    pub fn pieces(&self) -> u64 {
        self.parts.iter().map(|part| part.pieces).sum()
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let json = serde_json::to_vec(self).map_err(|error| StoreError::Manifest {
            epoch: self.epoch,
            why: error.to_string(),
        })?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + json.len() + CHECKSUM_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(&(json.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&json);
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        Ok(bytes)
    }

    /// Reads the manifest of an epoch, and verifies it.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path, epoch: u64) -> Result<Self, StoreError> {
        let path = dir.join(names::manifest(epoch));
        let mut file = disk.open(&path).map_err(StoreError::io("open", &path))?;
        let size = file.size().map_err(StoreError::io("read", &path))?;
        let damaged = |at: u64, how: String| StoreError::Damaged {
            path: path.clone(),
            at,
            how,
        };
        let least = (HEADER_BYTES + CHECKSUM_BYTES) as u64;
        if !(least..=MANIFEST_BYTES_MAX).contains(&size) {
            return Err(damaged(size, format!("no manifest has {size} bytes")));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        file.read_exact(&mut bytes)
            .map_err(StoreError::io("read", &path))?;
        decode(&bytes, &path, epoch)
    }
}

fn decode(bytes: &[u8], path: &Path, epoch: u64) -> Result<Manifest, StoreError> {
    let damaged = |at: u64, how: &str| StoreError::Damaged {
        path: path.to_owned(),
        at,
        how: how.to_owned(),
    };
    if bytes[..8] != MAGIC {
        return Err(damaged(0, "it does not begin as a manifest does"));
    }
    let (covered, sum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    if u64_at(sum, 0) != checksum(covered) {
        return Err(damaged(0, "its checksum differs"));
    }
    let found = u32_at(bytes, 8);
    if found != VERSION {
        return Err(StoreError::Version {
            path: path.to_owned(),
            found,
            known: VERSION,
        });
    }
    let json = &covered[HEADER_BYTES..];
    if u64_at(bytes, 24) != json.len() as u64 {
        return Err(damaged(24, "its length is not that of the file"));
    }
    let manifest: Manifest = serde_json::from_slice(json)
        .map_err(|error| damaged(HEADER_BYTES as u64, &format!("its JSON: {error}")))?;
    if u64_at(bytes, 16) != epoch || manifest.epoch != epoch {
        return Err(damaged(16, "it is the manifest of another epoch"));
    }
    Ok(manifest)
}
