//! What shards begin with that go on behind a barrier.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Piece, Place};
use crate::error::{Error, Result};
use crate::source::StreamPosition;

/// What is known of the splits of a source behind a number of chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Split {
    /// Splits that have not ended, the next one included.
    pub(crate) left: usize,
    /// The watermark (ns) of that one, so far.
    pub(crate) own: Option<i64>,
}

/// Where a source goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourcePosition {
    /// Chunks that were read, of the size that the program ran with.
    pub(crate) chunks: u64,
    /// What its one reader knows of its splits. Of several each knows its chunks only.
    pub(crate) split: Option<Split>,
    /// Where it is in a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stream: Option<StreamPosition>,
    /// The watermark (ns) that other sources came to while it was idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) followed: Option<i64>,
    /// Where it is in splits that come at their own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) live: Option<LivePosition>,
}

/// Where a source is in splits that come at their own time, and cannot be read again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LivePosition {
    /// Records that were taken so far.
    pub(crate) rows: u64,
    /// The watermark (ns) of all splits.
    pub(crate) watermark: Option<i64>,
    /// The producers that have a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) producers: Vec<ProducerPosition>,
}

/// Where a producer that has a name goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProducerPosition {
    pub(crate) name: String,
    /// Rows of it that were taken so far.
    pub(crate) rows: u64,
    /// Its watermark (ns).
    pub(crate) own: Option<i64>,
    /// It said that nothing more comes.
    pub(crate) has_ended: bool,
}

/// What a snapshot holds of a source whose splits come at their own time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Records that were taken, those that are no rows included.
    pub rows: u64,
    /// Of each producer that has a name so many rows.
    pub producers: Vec<(String, u64)>,
}

impl Taken {
    /// What a piece of [`Place::Source`] says; `None` where it is of another kind of source.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let position: SourcePosition = serde_json::from_slice(bytes).ok()?;
        let LivePosition {
            rows, producers, ..
        } = position.live?;
        let producers = producers.into_iter().map(|p| (p.name, p.rows));
        Some(Self {
            rows,
            producers: producers.collect(),
        })
    }
}

/// The snapshots of all shards of a program, to go on from with any number of them.
#[derive(Debug, Default)]
pub struct Restore {
    /// By the shard that each is from.
    pieces: Vec<(usize, Piece)>,
    shards: usize,
    begun: i64,
    sizes: HashMap<PathBuf, u64>,
}

impl Restore {
    /// What so many shards told of a program that began at this time (ns since
    /// 1970-01-01T00:00:00Z), each piece with the number of its shard.
    pub fn new(shards: usize, begun: i64, pieces: Vec<(usize, Piece)>) -> Self {
        Self {
            pieces,
            shards,
            begun,
            sizes: HashMap::new(),
        }
    }

    /// How many bytes of these files are read, where they have more by now: what is behind was not
    /// there when the program began.
    #[must_use]
    pub fn with_sizes(mut self, sizes: HashMap<PathBuf, u64>) -> Self {
        self.sizes = sizes;
        self
    }

    /// How many bytes of files are read at most.
    pub(crate) fn sizes(&self) -> &HashMap<PathBuf, u64> {
        &self.sizes
    }

    /// When the program began (ns since 1970-01-01T00:00:00Z).
    pub fn begun(&self) -> i64 {
        self.begun
    }

    /// How many shards told it.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// What was told of a place, with the shards that told it.
    pub(crate) fn of(&self, place: Place) -> impl Iterator<Item = (usize, &[u8])> {
        let pieces = self.pieces.iter().filter(move |(_, p)| p.place == place);
        pieces.map(|(shard, piece)| (*shard, &piece.bytes[..]))
    }

    /// Whether a stage was there for the barrier to pass; else it had ended before.
    pub(crate) fn passed(&self, stage: u32) -> bool {
        self.of(Place::Stage(stage)).next().is_some()
    }

    /// What was taken of a source whose splits come at their own time, by its number.
    pub fn taken(&self, source: u32) -> Option<Taken> {
        let mut pieces = self.of(Place::Source(source));
        pieces.find_map(|(_, bytes)| Taken::of(bytes))
    }

    /// Where a source goes on; `None` where it had ended.
    ///
    /// # Errors
    /// [`Error::Restore`] where that cannot be read, or shards say different things.
    pub(crate) fn position(&self, source: u32) -> Result<Option<SourcePosition>> {
        let all = self.of(Place::Source(source)).map(|(_, bytes)| read(bytes));
        let all: Vec<SourcePosition> = all.collect::<Result<_>>()?;
        let Some(first) = all.first() else {
            return Ok(None);
        };
        if all.iter().any(|other| other.chunks != first.chunks) {
            let message = "shards went on at different places of a source".to_owned();
            return Err(Error::Restore(message));
        }
        let known = all.iter().find(|position| position.split.is_some());
        Ok(Some(known.unwrap_or(first).clone()))
    }

    /// What the receivers of an exchange knew of the splits of its source.
    ///
    /// # Errors
    /// [`Error::Restore`] where that cannot be read.
    pub(crate) fn split(&self, exchange: u32) -> Result<Option<Split>> {
        let first = self.of(Place::Exchange(exchange)).next();
        first.map(|(_, bytes)| read(bytes)).transpose()
    }
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    let unusable = |e| Error::Restore(format!("a position cannot be read: {e}"));
    serde_json::from_slice(bytes).map_err(unusable)
}

/// The bytes of a position.
pub(super) fn write<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers are JSON")
}

impl SourcePosition {
    /// Its bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        write(self)
    }
}

impl Split {
    /// Its bytes.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        write(&self)
    }
}
