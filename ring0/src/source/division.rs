//! How a file's chunks are divided into records: where the first one of a chunk begins.

use super::board::Board;
use super::chunks::Extent;
use super::open::has_quotes;
use crate::format::csv::quotes::{Grammar, Place};
use crate::program::FileFormat;

/// How records are found from within a file, on one shard.
#[derive(Debug)]
pub(super) enum Division {
    /// One begins behind each newline.
    Lines,
    /// Newlines may be inside of quotes: the chunk before says whether this one begins there.
    Quotes(Box<Quotes>),
}

/// What is known of the places in a record at which chunks begin.
#[derive(Debug)]
pub(super) struct Quotes {
    grammar: Grammar,
    /// A chunk, and the place at its beginning.
    chunk: u64,
    place: Place,
}

impl Division {
    pub(super) fn new(format: &FileFormat) -> Self {
        match format {
            FileFormat::Csv { dialect, .. } if has_quotes(format) => {
                Self::Quotes(Box::new(Quotes {
                    grammar: Grammar::new(dialect),
                    chunk: 0,
                    place: Place::Begin,
                }))
            }
            FileFormat::Ndjson | FileFormat::Csv { .. } => Self::Lines,
        }
    }

    /// Tells the other shards what they have to know of a chunk that was read: `bytes` begin with
    /// its first one and may go on behind its last one.
    pub(super) fn tell(&self, board: &Board, shard: usize, chunk: Extent, bytes: &[u8]) {
        if let Self::Quotes(quotes) = self {
            let bytes = &bytes[..(chunk.end - chunk.start) as usize];
            board.tell_effect(shard, chunk.number, quotes.grammar.effect(bytes));
        }
    }

    /// Where the first record begins in the bytes of a chunk, which begin at `base`, one before the
    /// chunk's own where there is one; at their end where none does. `None` while that is not known.
    pub(super) fn first_record(
        &mut self,
        board: &Board,
        chunk: Extent,
        base: u64,
        bytes: &[u8],
    ) -> Option<usize> {
        let before = (chunk.start - base) as usize;
        if chunk.number == chunk.first {
            return Some(before);
        }
        match self {
            Self::Lines => Some(memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1)),
            Self::Quotes(quotes) => {
                if quotes.chunk < chunk.first {
                    (quotes.chunk, quotes.place) = (chunk.first, Place::Begin);
                }
                let known = board.advance(&mut quotes.chunk, &mut quotes.place, chunk.number);
                known.then(|| {
                    let first = quotes.grammar.first_record(&bytes[before..], quotes.place);
                    first.map_or(bytes.len(), |at| before + at)
                })
            }
        }
    }
}
