//! Sources: what fills frames. Each kind divides its records among the shards, so that every one
//! is read once. A source whose event time matters is read by one shard, in order: its clock is
//! the split's.

mod clock;
mod columns;
mod file;
mod memory;

use crate::error::Result;
use crate::frame::Frame;
use crate::io::{Completion, Io};
use crate::metrics::SourceCounters;
use crate::program::{SourceKind, SourceSpec};

pub(crate) use self::columns::check as check_columns;
pub(crate) use self::file::{OpenFile, open};

use self::columns::ColumnsSource;
use self::file::NdjsonSource;
use self::memory::MemorySource;

/// Kinds of reads of one source; a request's tag is the source's number times these, plus one.
pub(crate) const TAGS: usize = 2;

/// What a source has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Polled {
    /// A frame, at [`Source::frame`].
    Frame,
    /// Nothing yet.
    Pending,
    /// The end of a chunk of the file that all shards read.
    ChunkEnd,
    /// Nothing any more.
    End,
}

/// A source on one shard.
#[derive(Debug)]
pub(crate) enum Source {
    /// Lines of JSON.
    Ndjson(Box<NdjsonSource>),
    /// Arrow arrays.
    Columns(Box<ColumnsSource>),
    /// Ready frames.
    Memory(MemorySource),
}

/// Which part of a source is read where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    pub(crate) shard: usize,
    pub(crate) shards: usize,
    pub(crate) frame_rows: usize,
    pub(crate) chunk_bytes: usize,
}

impl Source {
    pub(crate) fn new(
        tag: usize,
        spec: &SourceSpec,
        file: Option<&OpenFile>,
        reader: Reader,
    ) -> Self {
        match &spec.kind {
            SourceKind::Memory { frames, repeat } => {
                Self::Memory(MemorySource::new(frames, *repeat, reader))
            }
            SourceKind::Columns { arrays, repeat } => {
                Self::Columns(Box::new(ColumnsSource::new(spec, arrays, *repeat, reader)))
            }
            SourceKind::NdjsonFile { .. } => {
                let file = file.expect("the host opened the file").clone();
                Self::Ndjson(Box::new(NdjsonSource::new(tag, spec, file, reader)))
            }
        }
    }

    /// Fills a frame, as far as there is something.
    pub(crate) fn poll(&mut self, io: &mut Io) -> Result<Polled> {
        match self {
            Self::Ndjson(source) => source.poll(io),
            Self::Columns(source) => Ok(source.poll()),
            Self::Memory(source) => Ok(source.poll()),
        }
    }

    /// The frame that the last poll filled.
    pub(crate) fn frame(&self) -> &Frame {
        match self {
            Self::Ndjson(source) => &source.out,
            Self::Columns(source) => &source.out,
            Self::Memory(source) => source.frame(),
        }
    }

    /// The watermark behind that frame, if it moved.
    pub(crate) fn watermark(&mut self) -> Option<i64> {
        match self {
            Self::Ndjson(source) => source.watermark(),
            Self::Columns(source) => source.watermark(),
            Self::Memory(_) => None,
        }
    }

    /// Takes a read that was carried out.
    pub(crate) fn complete(&mut self, completion: Completion) -> Result<()> {
        match self {
            Self::Ndjson(source) => source.complete(completion),
            Self::Columns(_) | Self::Memory(_) => {
                unreachable!("a source in memory reads nothing")
            }
        }
    }

    pub(crate) fn counters(&self) -> SourceCounters {
        match self {
            Self::Ndjson(source) => source.counters,
            Self::Columns(source) => source.counters,
            Self::Memory(source) => source.counters,
        }
    }
}
