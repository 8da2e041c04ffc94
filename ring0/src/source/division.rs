//! How a file's chunks are divided into records: where the first one of a chunk begins.

use std::os::unix::fs::FileExt;

use super::board::Board;
use super::chunks::{Chunks, Extent};
use super::open::has_quotes;
use crate::format::csv::quotes::{Grammar, Place};
use crate::program::FileFormat;

/// Bytes that are looked through at a time.
const LOOK_BYTES: usize = 1 << 20;

/// How records are found from within a file, on one shard.
#[derive(Debug)]
pub(super) enum Division {
    /// One begins behind each newline.
    Lines,
    /// Newlines may be inside of quotes: the chunks before say whether this one begins there.
    Shared(Box<Known>),
    /// So it is, and this shard has read all chunks before.
    Alone(Box<Known>),
}

/// What is known of a file.
#[derive(Debug)]
pub(super) struct Known {
    grammar: Grammar,
    /// The place at the beginning of a chunk, by its number, or at a byte.
    place: Place,
    at: u64,
}

/// The bytes of a chunk, which begin at `base`: one before the chunk's own where there is one. They
/// may go on behind its last one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a> {
    pub(super) chunk: Extent,
    pub(super) base: u64,
    pub(super) bytes: &'a [u8],
}

impl<'a> Bytes<'a> {
    /// The chunk's own ones, from one of them on.
    fn own(self, from: u64) -> &'a [u8] {
        let end = (self.chunk.end - self.base) as usize;
        &self.bytes[(from - self.base) as usize..end]
    }

    /// Where the first record begins from byte `from` on, at which the place is this.
    fn first_record(self, grammar: &Grammar, from: u64, place: Place) -> usize {
        let from = (from - self.base) as usize;
        let rest = self.bytes.get(from..);
        let first = rest.and_then(|rest| grammar.first_record(rest, place));
        first.map_or(self.bytes.len(), |at| from + at)
    }
}

impl Division {
    /// For one of so many shards that read the files.
    pub(super) fn new(format: &FileFormat, shards: usize) -> Self {
        match format {
            FileFormat::Csv { dialect, .. } if has_quotes(format) => {
                let known = Box::new(Known {
                    grammar: Grammar::new(dialect),
                    place: Place::Begin,
                    at: 0,
                });
                match shards {
                    1 => Self::Alone(known),
                    _ => Self::Shared(known),
                }
            }
            FileFormat::Ndjson
            | FileFormat::Debezium(_)
            | FileFormat::Csv { .. }
            | FileFormat::Binary(_) => Self::Lines,
        }
    }

    /// The place behind so many chunks, where that matters. What is before in their file is looked
    /// through, since it decides.
    ///
    /// # Errors
    /// The number of the file that cannot be read, and why.
    pub(super) fn place_behind(
        &self,
        chunks: &Chunks,
        behind: u64,
    ) -> Result<Option<(u64, Place)>, (usize, String)> {
        let (Self::Shared(known) | Self::Alone(known)) = self else {
            return Ok(None);
        };
        let Some((number, _, end)) = chunks.locate(behind) else {
            return Ok(None);
        };
        let file = chunks.file(number);
        let mut place = Place::Begin;
        let mut at = file.body;
        let mut bytes = vec![0; LOOK_BYTES];
        while at < end {
            let len = bytes.len().min((end - at) as usize);
            let read = file.file.read_exact_at(&mut bytes[..len], at);
            read.map_err(|error| (number, error.to_string()))?;
            place = known.grammar.effect(&bytes[..len]).after(place);
            at += len as u64;
        }
        Ok(Some((end, place)))
    }

    /// Goes on behind so many chunks, at the byte and place that were found.
    pub(super) fn go_on(&mut self, found: Option<(u64, Place)>, chunks: u64) {
        let Some((byte, place)) = found else { return };
        match self {
            Self::Lines => {}
            Self::Shared(known) => (known.at, known.place) = (chunks, place),
            Self::Alone(known) => (known.at, known.place) = (byte, place),
        }
    }

    /// A chunk was read: tells the other shards what they have to know of it.
    pub(super) fn tell(&self, board: &Board, shard: usize, bytes: Bytes<'_>) {
        if let Self::Shared(known) = self {
            let effect = known.grammar.effect(bytes.own(bytes.chunk.start));
            board.tell_effect(shard, bytes.chunk.number, effect);
        }
    }

    /// Where in the bytes the first record begins, or their end where none does. `None` while that
    /// is not known.
    pub(super) fn first_record(&mut self, board: &Board, bytes: Bytes<'_>) -> Option<usize> {
        let chunk = bytes.chunk;
        let is_first = chunk.number == chunk.first;
        match self {
            Self::Lines if is_first => Some((chunk.start - bytes.base) as usize),
            Self::Lines => {
                let newline = memchr::memchr(b'\n', bytes.bytes);
                Some(newline.map_or(bytes.bytes.len(), |at| at + 1))
            }
            Self::Shared(known) => {
                if known.at < chunk.first {
                    (known.at, known.place) = (chunk.first, Place::Begin);
                }
                board
                    .advance(&mut known.at, &mut known.place, chunk.number)
                    .then(|| bytes.first_record(&known.grammar, chunk.start, known.place))
            }
            Self::Alone(known) => {
                if is_first {
                    (known.at, known.place) = (chunk.start, Place::Begin);
                }
                Some(bytes.first_record(&known.grammar, known.at, known.place))
            }
        }
    }

    /// A chunk was parsed, up to where another record begins, unless that is the end of its bytes.
    pub(super) fn end(&mut self, bytes: Bytes<'_>, at: usize) {
        let Self::Alone(known) = self else { return };
        if at < bytes.bytes.len() {
            (known.at, known.place) = (bytes.base + at as u64, Place::Begin);
        }
        if known.at < bytes.chunk.end {
            let effect = known.grammar.effect(bytes.own(known.at));
            (known.at, known.place) = (bytes.chunk.end, effect.after(known.place));
        }
    }
}
