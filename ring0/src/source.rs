//! Sources: what fills frames. Each kind divides its records among the shards, so that every one
//! is read once; one that is to be read in order is read by shard 0 alone.

mod bad;
mod board;
mod chunks;
mod clock;
mod columns;
mod cut;
mod division;
mod file;
mod kind;
mod memory;
mod open;
mod system;

use arrow_schema::DataType;

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::io::{Completion, Io};
use crate::kernel::RowError;
use crate::metrics::SourceCounters;
use crate::program::{Reading, SourceKind, SourceSpec, SystemColumn};

pub(crate) use self::columns::check as check_columns;
pub(crate) use self::open::{Files, open};

use self::columns::ColumnsSource;
use self::file::FileSource;
use self::memory::MemorySource;

/// Kinds of reads of one source, each under way at most once; a request's tag is the source's
/// number times these, plus its kind.
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
    /// Nothing any more, though there is more to read: the source was stopped.
    Stopped,
}

/// A source on one shard.
#[derive(Debug)]
pub(crate) enum Source {
    /// Files.
    Files(Box<FileSource>),
    /// Arrow arrays.
    Columns(Box<ColumnsSource>),
    /// Ready frames.
    Memory(MemorySource),
    /// Another shard reads all of it.
    Elsewhere,
}

/// Which part of a source is read where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    pub(crate) shard: usize,
    pub(crate) shards: usize,
    pub(crate) frame_rows: usize,
    pub(crate) chunk_bytes: usize,
    /// Nanoseconds since the epoch.
    pub(crate) now: fn() -> i64,
}

/// Checks that columns which a source fills by itself can take what it fills in.
pub(crate) fn check_system(spec: &SourceSpec) -> Result<()> {
    let fields = &spec.schema.fields;
    let end = fields.len() - usize::from(spec.event_time.is_some_and(|e| e.bound.is_some()));
    let first = end.checked_sub(spec.system.len());
    let system = first.map(|first| fields[first..end].iter().zip(&spec.system));
    let fits = system.is_some_and(|mut system| {
        system.all(|(field, column)| match column {
            SystemColumn::Offset | SystemColumn::Split => field.data_type == DataType::Int64,
            SystemColumn::Ingested => matches!(field.data_type, DataType::Timestamp(_, None)),
        })
    });
    if fits {
        return Ok(());
    }
    Err(Error::Program(format!(
        "source {} has system columns of other types",
        spec.name
    )))
}

impl Source {
    pub(crate) fn new(tag: usize, spec: &SourceSpec, files: Files, reader: Reader) -> Self {
        let reader = match (spec.reading, reader.shard) {
            (Reading::Chunks, _) => reader,
            (Reading::InOrder, 0) => Reader {
                shards: 1,
                ..reader
            },
            (Reading::InOrder, _) => return Self::Elsewhere,
        };
        match &spec.kind {
            SourceKind::Memory { frames, repeat } => {
                Self::Memory(MemorySource::new(spec, frames, *repeat, reader))
            }
            SourceKind::Columns { arrays, repeat } => {
                Self::Columns(Box::new(ColumnsSource::new(spec, arrays, *repeat, reader)))
            }
            SourceKind::Files { format, .. } => {
                Self::Files(Box::new(FileSource::new(tag, spec, format, files, reader)))
            }
        }
    }

    /// Fills a frame, as far as there is something.
    pub(crate) fn poll(&mut self, io: &mut Io) -> Result<Polled> {
        match self {
            Self::Files(source) => source.poll(io),
            Self::Columns(source) => Ok(source.poll()),
            Self::Memory(source) => Ok(source.poll()),
            Self::Elsewhere => Ok(Polled::End),
        }
    }

    /// Reads no more than what keeps to the order of the records: where shards read one file, what
    /// they read is its beginning.
    pub(crate) fn stop(&mut self) {
        match self {
            Self::Files(source) => source.stop(),
            Self::Columns(source) => source.stop(),
            Self::Memory(source) => source.stop(),
            Self::Elsewhere => {}
        }
    }

    /// The frame that the last poll filled.
    pub(crate) fn frame(&self) -> &Frame {
        match self {
            Self::Files(source) => &source.out,
            Self::Columns(source) => &source.out,
            Self::Memory(source) => source.frame(),
            Self::Elsewhere => unreachable!("a source that gives nothing has no frame"),
        }
    }

    /// The watermark behind that frame, if it moved.
    pub(crate) fn watermark(&mut self) -> Option<i64> {
        match self {
            Self::Files(source) => source.watermark(),
            Self::Columns(source) => source.watermark(),
            Self::Memory(_) | Self::Elsewhere => None,
        }
    }

    /// The greatest watermark that was reached in what is read here.
    pub(crate) fn reached(&self) -> Option<i64> {
        match self {
            Self::Files(source) => source.reached(),
            Self::Columns(source) => source.reached(),
            Self::Memory(_) | Self::Elsewhere => None,
        }
    }

    /// Takes a read that was carried out.
    pub(crate) fn complete(&mut self, completion: Completion) -> Result<()> {
        match self {
            Self::Files(source) => source.complete(completion),
            Self::Columns(_) | Self::Memory(_) | Self::Elsewhere => {
                unreachable!("a source in memory reads nothing")
            }
        }
    }

    /// Takes rows of the last frame, in order, on which an expression failed; they stay there as
    /// far as there is no room for their letters.
    pub(crate) fn take_failed(&mut self, failed: &mut Vec<RowError>) -> Result<()> {
        match self {
            Self::Files(source) => source.take_failed(failed),
            Self::Columns(source) => source.take_failed(failed),
            Self::Memory(source) => source.take_failed(failed),
            Self::Elsewhere => unreachable!("a source that gives nothing has no rows"),
        }
    }

    /// Rows that tell of bad records; to be taken, and cleared, before the next poll.
    pub(crate) fn letters(&mut self) -> Option<&mut Frame> {
        match self {
            Self::Files(source) => Some(source.letters()),
            Self::Columns(source) => Some(source.bad.letters()),
            Self::Memory(source) => Some(source.bad.letters()),
            Self::Elsewhere => None,
        }
    }

    pub(crate) fn counters(&self) -> SourceCounters {
        match self {
            Self::Files(source) => source.counters,
            Self::Columns(source) => source.counters,
            Self::Memory(source) => source.counters,
            Self::Elsewhere => SourceCounters::default(),
        }
    }
}
