//! Sources: what fills frames. Each kind divides its records among the shards, so that every one
//! is read once; one that is to be read in order is read by shard 0 alone.

mod bad;
mod board;
mod channel;
mod chunks;
mod clock;
mod columnar;
mod columns;
mod connections;
mod cut;
mod division;
mod file;
mod generator;
mod joint;
mod kind;
mod memory;
mod open;
mod processing;
mod producers;
mod stream;
mod system;
mod timed;

use arrow_schema::DataType;

use crate::changelog::{UPDATE_ROWS, is_weighted};
use crate::error::{Error, Result};
use crate::feed::{Arriving, Blocked};
use crate::frame::Frame;
use crate::io::{Completion, Io};
use crate::kernel::RowError;
use crate::metrics::SourceCounters;
use crate::program::{Reading, SourceKind, SourceSpec, SystemColumn};
use crate::snapshot::{LivePosition, SourcePosition};

pub(crate) use self::columns::{check as check_columns, fitting};
pub(crate) use self::open::{Files, file_schema, open, open_stream};
pub(crate) use self::stream::StreamPosition;

pub(crate) use self::channel::{Door, Doorway, Inlet};
pub(crate) use self::processing::Processing;
pub(crate) use self::producers::Onward;

use self::channel::ChannelSource;
use self::columnar::ColumnarSource;
use self::columns::ColumnsSource;
use self::connections::ConnectionsSource;
use self::file::FileSource;
use self::generator::GeneratorSource;
pub(crate) use self::generator::pace;
pub use self::generator::{Drawn, is_made};
use self::memory::MemorySource;
use self::stream::StreamSource;

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
    /// No frame, but perhaps another watermark.
    Marked,
    /// The end of a chunk of the file that all shards read.
    ChunkEnd,
    /// The same, and the end of a split with it.
    SplitEnd,
    /// What was asked for: a barrier of this epoch lies here.
    Barrier(u64),
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
    /// Files of columns.
    Columnar(Box<ColumnarSource>),
    /// Arrow arrays.
    Columns(Box<ColumnsSource>),
    /// A stream of records.
    Stream(Box<StreamSource>),
    /// Streams of records that come and go.
    Connections(Box<ConnectionsSource>),
    /// Rows of appenders.
    Channel(Box<ChannelSource>),
    /// Records that are made.
    Generator(Box<GeneratorSource>),
    /// Ready frames.
    Memory(MemorySource),
    /// Another shard reads all of it.
    Elsewhere,
}

/// What a source takes that comes at its own time.
#[derive(Debug)]
pub(crate) enum Live {
    /// The blocks of a stream.
    Blocks(Blocked),
    /// Streams that come.
    Arrivals(Arriving),
    /// The lanes of appenders.
    Lanes(Door),
}

/// Which part of a source is read where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    pub(crate) shard: usize,
    pub(crate) shards: usize,
    pub(crate) frame_rows: usize,
    pub(crate) chunk_bytes: usize,
    /// Nanoseconds since the epoch, and what they were when the program began.
    pub(crate) now: fn() -> i64,
    pub(crate) begun: i64,
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

/// A position without chunks.
fn live(live: Option<LivePosition>) -> SourcePosition {
    SourcePosition {
        chunks: 0,
        split: None,
        stream: None,
        followed: None,
        live,
    }
}

impl Source {
    /// The source of this number; `live` is what it takes, where that comes at its own time.
    pub(crate) fn new(
        tag: usize,
        spec: &SourceSpec,
        files: Files,
        live: Option<Live>,
        reader: Reader,
    ) -> Self {
        let least = if is_weighted(&spec.schema) {
            UPDATE_ROWS
        } else {
            1
        };
        let reader = Reader {
            frame_rows: reader.frame_rows.max(least),
            ..reader
        };
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
            SourceKind::Stream { feed, format } => {
                let Some(Live::Blocks(blocks)) = live else {
                    panic!("a stream was opened for its reader")
                };
                let source = StreamSource::new(spec, format, feed.name(), blocks, reader);
                Self::Stream(Box::new(source))
            }
            SourceKind::Connections { format, .. } => {
                let Some(Live::Arrivals(door)) = live else {
                    panic!("a listener was opened for its reader")
                };
                let source = ConnectionsSource::new(spec, format, door, reader);
                Self::Connections(Box::new(source))
            }
            SourceKind::Channel => {
                let Some(Live::Lanes(door)) = live else {
                    panic!("a channel has a door at its reader")
                };
                Self::Channel(Box::new(ChannelSource::new(spec, door, reader)))
            }
            SourceKind::Generator(made) => {
                let source = GeneratorSource::new(spec, made, &files, reader);
                Self::Generator(Box::new(source))
            }
            SourceKind::Columnar { .. } => {
                Self::Columnar(Box::new(ColumnarSource::new(tag, spec, files, reader)))
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
            Self::Columnar(source) => source.poll(io),
            Self::Stream(source) => source.poll(),
            Self::Connections(source) => source.poll(),
            Self::Channel(source) => Ok(source.poll()),
            Self::Generator(source) => Ok(source.poll()),
            Self::Columns(source) => Ok(source.poll()),
            Self::Memory(source) => Ok(source.poll()),
            Self::Elsewhere => Ok(Polled::End),
        }
    }

    /// Fills a frame as [`Source::poll`] does, of no more than what lies before the barrier that
    /// was asked for, as far as that can be told.
    pub(crate) fn poll_upto_barrier(&mut self, io: &mut Io) -> Result<Polled> {
        match self {
            Self::Channel(source) => Ok(source.poll_due()),
            _ => self.poll(io),
        }
    }

    /// Reads no more than what keeps to the order of the records: where shards read one file, what
    /// they read is its beginning.
    pub(crate) fn stop(&mut self) {
        match self {
            Self::Files(source) => source.stop(),
            Self::Columnar(source) => source.stop(),
            Self::Stream(source) => source.stop(),
            Self::Connections(source) => source.stop(),
            Self::Channel(source) => source.stop(),
            Self::Generator(source) => source.stop(),
            Self::Columns(source) => source.stop(),
            Self::Memory(source) => source.stop(),
            Self::Elsewhere => {}
        }
    }

    /// Lets input without an end have one: what appenders have pushed is still taken.
    pub(crate) fn drain(&mut self) {
        match self {
            Self::Channel(source) => source.drain(),
            Self::Stream(_) | Self::Connections(_) | Self::Generator(_) => self.stop(),
            Self::Files(_)
            | Self::Columnar(_)
            | Self::Columns(_)
            | Self::Memory(_)
            | Self::Elsewhere => {}
        }
    }

    /// Whether a barrier may lie between any two frames: what each shard reads here is its own.
    pub(crate) fn is_cut_anywhere(&self) -> bool {
        match self {
            Self::Files(_) | Self::Columnar(_) | Self::Generator(_) | Self::Elsewhere => false,
            Self::Stream(_)
            | Self::Connections(_)
            | Self::Channel(_)
            | Self::Columns(_)
            | Self::Memory(_) => true,
        }
    }

    /// Is to come to a barrier.
    pub(crate) fn ask_barrier(&mut self, epoch: u64) {
        match self {
            Self::Files(source) => source.chunks.numbers().ask(epoch),
            Self::Columnar(source) => source.chunks.numbers().ask(epoch),
            Self::Generator(source) => source.numbers.ask(epoch),
            // It has ended, once it is looked at.
            Self::Elsewhere => {}
            Self::Stream(_)
            | Self::Connections(_)
            | Self::Channel(_)
            | Self::Columns(_)
            | Self::Memory(_) => {
                unreachable!("a barrier lies between any two of its frames")
            }
        }
    }

    /// Is to take what appenders have pushed by now before it comes to a barrier.
    pub(crate) fn take_pushed(&mut self) {
        if let Self::Channel(source) = self {
            source.take_pushed();
        }
    }

    /// Whether it has taken that.
    pub(crate) fn has_taken_pushed(&self) -> bool {
        match self {
            Self::Channel(source) => source.has_taken_pushed(),
            _ => true,
        }
    }

    /// Where it is, at the barrier that it has come to; it goes on behind it.
    pub(crate) fn pass_barrier(&mut self) -> SourcePosition {
        let (numbers, clock, ends) = match self {
            Self::Files(source) => source.at_barrier(),
            Self::Columnar(source) => source.at_barrier(),
            Self::Generator(source) => source.at_barrier(),
            Self::Stream(source) => return source.at_barrier(),
            Self::Connections(source) => return live(Some(source.at_barrier())),
            Self::Channel(source) => return live(Some(source.at_barrier())),
            // Nothing goes on behind it.
            Self::Columns(_) | Self::Memory(_) => return live(None),
            Self::Elsewhere => unreachable!("it came to no barrier"),
        };
        let (_, chunks) = numbers.at_barrier().expect("it came to one");
        numbers.pass();
        let split = clock.and_then(|clock| clock.split(ends));
        SourcePosition {
            chunks,
            split,
            ..live(None)
        }
    }

    /// Goes on from where it was, before it is polled.
    ///
    /// # Errors
    /// Where what is before cannot be read.
    pub(crate) fn go_on(&mut self, at: SourcePosition) -> Result<()> {
        let clock = match self {
            Self::Files(source) => source.go_on(at.chunks)?,
            Self::Columnar(source) => source.go_on(at.chunks),
            Self::Generator(source) => source.go_on(at.chunks),
            Self::Stream(source) => source.go_on(at.stream)?,
            Self::Connections(source) => {
                source.go_on(at.live.unwrap_or_default());
                None
            }
            Self::Channel(source) => {
                source.go_on(at.live.unwrap_or_default());
                None
            }
            Self::Columns(_) | Self::Memory(_) => {
                unreachable!("no barrier was asked of what cannot go back")
            }
            Self::Elsewhere => None,
        };
        if let (Some(clock), Some(split)) = (clock, at.split) {
            clock.go_on(split);
        }
        Ok(())
    }

    /// Has no record any more: all were read before the program goes on.
    pub(crate) fn go_to_end(&mut self) {
        match self {
            Self::Files(source) => source.chunks.numbers().go_to_end(),
            Self::Columnar(source) => source.chunks.numbers().go_to_end(),
            Self::Generator(source) => source.numbers.go_to_end(),
            Self::Stream(source) => source.go_to_end(),
            Self::Connections(source) => source.stop(),
            Self::Channel(source) => source.drain(),
            Self::Columns(_) | Self::Memory(_) => {
                unreachable!("no barrier was asked of what cannot go back")
            }
            Self::Elsewhere => {}
        }
    }

    /// End of a turn: wakes who waits for room.
    pub(crate) fn end_turn(&mut self) {
        if let Self::Channel(source) = self {
            source.end_turn();
        }
    }

    /// The frame that the last poll filled.
    pub(crate) fn frame(&self) -> &Frame {
        match self {
            Self::Files(source) => &source.out,
            Self::Columnar(source) => &source.out,
            Self::Stream(source) => &source.out,
            Self::Connections(source) => source.frame(),
            Self::Channel(source) => &source.out,
            Self::Generator(source) => &source.out,
            Self::Columns(source) => &source.out,
            Self::Memory(source) => source.frame(),
            Self::Elsewhere => unreachable!("a source that gives nothing has no frame"),
        }
    }

    /// The same, to be changed before anybody has seen it.
    pub(crate) fn frame_mut(&mut self) -> &mut Frame {
        match self {
            Self::Files(source) => &mut source.out,
            Self::Columnar(source) => &mut source.out,
            Self::Stream(source) => &mut source.out,
            Self::Connections(source) => source.frame_mut(),
            Self::Channel(source) => &mut source.out,
            Self::Generator(source) => &mut source.out,
            Self::Columns(_) | Self::Memory(_) | Self::Elsewhere => {
                unreachable!("a source without system columns is not told by when it is read")
            }
        }
    }

    /// Takes a read that was carried out.
    pub(crate) fn complete(&mut self, completion: Completion) -> Result<()> {
        match self {
            Self::Files(source) => source.complete(completion),
            Self::Columnar(source) => source.complete(completion),
            Self::Stream(_)
            | Self::Connections(_)
            | Self::Channel(_)
            | Self::Generator(_)
            | Self::Columns(_)
            | Self::Memory(_)
            | Self::Elsewhere => {
                unreachable!("this source reads no file")
            }
        }
    }

    /// Takes rows of the last frame, in order, on which an expression failed; they stay there as
    /// far as there is no room for their letters.
    pub(crate) fn take_failed(&mut self, failed: &mut Vec<RowError>) -> Result<()> {
        match self {
            Self::Files(source) => source.take_failed(failed),
            Self::Columnar(source) => source.take_failed(failed),
            Self::Stream(source) => source.take_failed(failed),
            Self::Connections(source) => source.take_failed(failed),
            Self::Channel(source) => source.take_failed(failed),
            Self::Generator(source) => source.take_failed(failed),
            Self::Columns(source) => source.take_failed(failed),
            Self::Memory(source) => source.take_failed(failed),
            Self::Elsewhere => unreachable!("a source that gives nothing has no rows"),
        }
    }

    /// Rows that tell of bad records; to be taken, and cleared, before the next poll.
    pub(crate) fn letters(&mut self) -> Option<&mut Frame> {
        match self {
            Self::Files(source) => Some(source.letters()),
            Self::Columnar(source) => Some(source.bad.letters()),
            Self::Stream(source) => Some(source.bad.letters()),
            Self::Connections(source) => source.letters(),
            Self::Channel(source) => Some(source.bad.letters()),
            Self::Generator(source) => Some(source.bad.letters()),
            Self::Columns(source) => Some(source.bad.letters()),
            Self::Memory(source) => Some(source.bad.letters()),
            Self::Elsewhere => None,
        }
    }

    pub(crate) fn counters(&self) -> SourceCounters {
        match self {
            Self::Files(source) => source.counters,
            Self::Columnar(source) => source.counters,
            Self::Stream(source) => source.counters,
            Self::Connections(source) => source.counters(),
            Self::Channel(source) => source.counters,
            Self::Generator(source) => source.counters,
            Self::Columns(source) => source.counters,
            Self::Memory(source) => source.counters,
            Self::Elsewhere => SourceCounters::default(),
        }
    }
}
