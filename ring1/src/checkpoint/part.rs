//! A part file: pieces of one shard's state, framed, each with a checksum over its head and its
//! bytes. `docs/format.md` draws it.

use std::hash::Hasher;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash64;

use super::disk::{Disk, Incoming, Outgoing};
use super::error::StoreError;
use super::{checksum, names};

/// Version of the format of part files.
const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"TRFPART\0";
const PIECE_MARK: [u8; 4] = *b"PIEC";
const END_MARK: [u8; 4] = *b"ENDS";
const HEADER_BYTES: usize = 32;
const PIECE_HEAD_BYTES: usize = 32;
const FOOTER_BYTES: usize = 40;
/// Frames of a shard wait until they are so many bytes.
const BUFFER_BYTES: usize = 64 << 10;
/// Most bytes of a piece.
pub const PIECE_BYTES_MAX: usize = 1 << 30;

/// What a piece is of. Only who gives the piece knows what the numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Kind of what has the state: an operator, a source, an exchange..
    pub kind: u16,
    /// Which one of the kind.
    pub number: u32,
    /// Which level or structure of it.
    pub level: u32,
}

/// What was written into a part file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Bytes of the file.
    pub(crate) bytes: u64,
    pub(crate) pieces: u64,
    /// Bytes of all pieces, without frames.
    pub(crate) payload: u64,
    /// Checksum of the whole file.
    pub(crate) checksum: u64,
}

/// Bytes in the order of the format.
fn join<const N: usize>(fields: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut at = 0;
    for field in fields {
        bytes[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
    bytes
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

/// A part file being written.
#[derive(Debug)]
pub(crate) struct PartWriter {
    file: Box<dyn Outgoing>,
    path: PathBuf,
    buffer: Vec<u8>,
    sum: XxHash64,
    totals: Totals,
}

impl PartWriter {
    pub(crate) fn create(
        disk: &dyn Disk,
        dir: &Path,
        epoch: u64,
        shard: u32,
    ) -> Result<Self, StoreError> {
        let path = names::state_dir(dir).join(names::part(epoch, shard));
        let file = disk
            .create(&path)
            .map_err(StoreError::io("create", &path))?;
        let mut header: [u8; HEADER_BYTES] = join(&[
            &MAGIC,
            &VERSION.to_le_bytes(),
            &shard.to_le_bytes(),
            &epoch.to_le_bytes(),
        ]);
        let sum = checksum(&header[..24]);
        header[24..].copy_from_slice(&sum.to_le_bytes());
        let mut part = Self {
            file,
            path,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            sum: XxHash64::with_seed(0),
            totals: Totals {
                bytes: 0,
                pieces: 0,
                payload: 0,
                checksum: 0,
            },
        };
        part.put(&header)?;
        Ok(part)
    }

    pub(crate) fn append(&mut self, place: Place, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > PIECE_BYTES_MAX {
            return Err(StoreError::PieceTooLarge {
                bytes: bytes.len(),
                most: PIECE_BYTES_MAX,
            });
        }
        let mut head = piece_head(place, bytes.len() as u64);
        let sum = piece_sum(&head, bytes);
        head[24..].copy_from_slice(&sum.to_le_bytes());
        self.put(&head)?;
        self.put(bytes)?;
        self.totals.pieces += 1;
        self.totals.payload += bytes.len() as u64;
        Ok(())
    }

    /// Ends the file and makes it durable.
    pub(crate) fn finish(mut self) -> Result<Totals, StoreError> {
        let mut footer: [u8; FOOTER_BYTES] = join(&[
            &END_MARK,
            &[0; 4],
            &self.totals.pieces.to_le_bytes(),
            &self.totals.payload.to_le_bytes(),
            &self.sum.finish().to_le_bytes(),
        ]);
        let sum = checksum(&footer[..32]);
        footer[32..].copy_from_slice(&sum.to_le_bytes());
        self.put(&footer)?;
        self.flush()?;
        self.file
            .sync()
            .map_err(StoreError::io("fsync", &self.path))?;
        self.totals.checksum = self.sum.finish();
        Ok(self.totals)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.sum.write(bytes);
        self.totals.bytes += bytes.len() as u64;
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() > BUFFER_BYTES {
            let written = self.file.write(bytes);
            return written.map_err(StoreError::io("write", &self.path));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.write(&self.buffer);
        self.buffer.clear();
        written.map_err(StoreError::io("write", &self.path))
    }
}

/// The head of a piece, its checksum still 0.
fn piece_head(place: Place, bytes: u64) -> [u8; PIECE_HEAD_BYTES] {
    join(&[
        &PIECE_MARK,
        &place.kind.to_le_bytes(),
        &[0; 2],
        &place.number.to_le_bytes(),
        &place.level.to_le_bytes(),
        &bytes.to_le_bytes(),
    ])
}

fn piece_sum(head: &[u8; PIECE_HEAD_BYTES], bytes: &[u8]) -> u64 {
    let mut sum = XxHash64::with_seed(0);
    sum.write(&head[..24]);
    sum.write(bytes);
    sum.finish()
}

/// A part file being read, piece by piece. After an error it gives nothing more.
#[derive(Debug)]
pub(crate) struct PartReader {
    file: Box<dyn Incoming>,
    path: PathBuf,
    /// What the manifest says of it.
    want: Totals,
    /// What was read so far.
    read: Totals,
    sum: XxHash64,
}

impl PartReader {
    /// Opens the part of an epoch and a shard. Its size is compared first, so that no field of it
    /// can make us take more memory than the file has bytes.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: PathBuf,
        (epoch, shard): (u64, u32),
        want: Totals,
    ) -> Result<Self, StoreError> {
        let file = disk.open(&path).map_err(StoreError::io("open", &path))?;
        let bytes = file.size().map_err(StoreError::io("read", &path))?;
        let mut part = Self {
            file,
            path,
            want,
            read: Totals {
                bytes: 0,
                pieces: 0,
                payload: 0,
                checksum: 0,
            },
            sum: XxHash64::with_seed(0),
        };
        if bytes != want.bytes {
            let how = format!("it has {bytes} bytes, and had {}", want.bytes);
            return Err(part.damaged(bytes.min(want.bytes), how));
        }
        if bytes < (HEADER_BYTES + FOOTER_BYTES) as u64 {
            return Err(part.damaged(bytes, "it is too short to be a part file".to_owned()));
        }
        let header: [u8; HEADER_BYTES] = part.take()?;
        if header[..8] != MAGIC {
            return Err(part.damaged(0, "it does not begin as a part file does".to_owned()));
        }
        if u64_at(&header, 24) != checksum(&header[..24]) {
            return Err(part.damaged(0, "the checksum of its header differs".to_owned()));
        }
        let found = u32_at(&header, 8);
        if found != VERSION {
            return Err(StoreError::Version {
                path: part.path,
                found,
                known: VERSION,
            });
        }
        let of = (u64_at(&header, 16), u32_at(&header, 12));
        if of != (epoch, shard) {
            let how = format!("it is the part of epoch {} and shard {}", of.0, of.1);
            return Err(part.damaged(12, how));
        }
        Ok(part)
    }

    /// The next piece; `None` at the end, when all that the footer and the manifest say was
    /// compared.
    pub(crate) fn next(&mut self) -> Result<Option<(Place, Vec<u8>)>, StoreError> {
        let at = self.read.bytes;
        let before = self.sum.finish();
        // A footer is longer than the head of a piece: there is as much as this in any case.
        if self.left() < FOOTER_BYTES as u64 {
            return Err(self.damaged(at, "it ends within a piece".to_owned()));
        }
        let head: [u8; PIECE_HEAD_BYTES] = self.take()?;
        if head[..4] == END_MARK {
            self.end(at, before, &head)?;
            return Ok(None);
        }
        let bytes = u64_at(&head, 16);
        let room = self.left().saturating_sub(FOOTER_BYTES as u64);
        let bytes = usize::try_from(bytes).ok().filter(|_| bytes <= room);
        let Some(bytes) = bytes.filter(|_| head[..4] == PIECE_MARK) else {
            return Err(self.damaged(at, "the head of a piece is not sound".to_owned()));
        };
        let mut piece = vec![0; bytes];
        self.fill(&mut piece)?;
        if u64_at(&head, 24) != piece_sum(&head, &piece) {
            let how = format!("the checksum of a piece of {bytes} bytes differs");
            return Err(self.damaged(at, how));
        }
        let mut kind = [0; 2];
        kind.copy_from_slice(&head[4..6]);
        self.read.pieces += 1;
        self.read.payload += bytes as u64;
        let place = Place {
            kind: u16::from_le_bytes(kind),
            number: u32_at(&head, 8),
            level: u32_at(&head, 12),
        };
        Ok(Some((place, piece)))
    }

    /// Compares the footer at `at`, of which `head` was read, with what came before it.
    fn end(
        &mut self,
        at: u64,
        before: u64,
        head: &[u8; PIECE_HEAD_BYTES],
    ) -> Result<(), StoreError> {
        let sum: [u8; FOOTER_BYTES - PIECE_HEAD_BYTES] = self.take()?;
        if u64_at(&sum, 0) != checksum(head) {
            return Err(self.damaged(at, "the checksum of its footer differs".to_owned()));
        }
        if self.left() > 0 {
            let how = format!("{} bytes follow its footer", self.left());
            return Err(self.damaged(self.read.bytes, how));
        }
        let counts = (u64_at(head, 8), u64_at(head, 16));
        if counts != (self.read.pieces, self.read.payload) || u64_at(head, 24) != before {
            return Err(self.damaged(at, "its footer is not that of its pieces".to_owned()));
        }
        self.read.checksum = self.sum.finish();
        if self.read != self.want {
            return Err(self.damaged(0, "it is not the file its manifest names".to_owned()));
        }
        Ok(())
    }

    fn left(&self) -> u64 {
        self.want.bytes - self.read.bytes
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        match self.file.read_exact(bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.damaged(self.read.bytes, "it ends there".to_owned()));
            }
            Err(error) => return Err(StoreError::io("read", &self.path)(error)),
        }
        self.sum.write(bytes);
        self.read.bytes += bytes.len() as u64;
        Ok(())
    }

    fn damaged(&self, at: u64, how: String) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            at,
            how,
        }
    }
}
