//! Records that are made: row i from (seed, i, column) alone, so that shards make them by chunks
//! and they are the same whatever the number of shards. With a rate row i is due at a time of its
//! own; the clock is read once a frame.

mod draw;
mod nexmark;

use std::sync::Arc;

use arrow_schema::DataType;

pub use self::draw::{Drawn, is_made};

use self::nexmark::Event;
use super::bad::BadRecords;
use super::chunks::{Left, Numbers};
use super::clock::Clock;
use super::open::{Files, file_schema};
use super::system::{System, seal};
use crate::column::Column;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::kernel::RowError;
use crate::metrics::SourceCounters;
use crate::program::{GeneratorSpec, Made, SourceKind, SourceSpec};
use crate::source::{Polled, Reader};
use crate::wake::{self, Bell};

/// Rows of a chunk.
const CHUNK_ROWS: u64 = 16 * 1024;
/// Events of a chunk, where rows are some of them: tables of one benchmark are read together, and a
/// chunk of each is as long a time.
const CHUNK_EVENTS: u64 = 4_000;
/// Chunks a second, at least, where a rate is given: what one shard makes nobody waits for long.
const CHUNKS_PER_S: u64 = 50;
/// Time between two looks at what is due.
const PACE_MS: i32 = 1;

/// Rows that are made on one shard.
#[derive(Debug)]
pub(crate) struct GeneratorSource {
    rows: u64,
    spec: GeneratorSpec,
    /// The time of row 0, and how it is read.
    begun: i64,
    now: fn() -> i64,
    pub(super) numbers: Numbers,
    chunk_rows: u64,
    /// The rows of the chunk in hand that are to be made.
    chunk: std::ops::Range<u64>,
    shards: usize,
    chunk_ended: bool,
    columns: Columns,
    types: Vec<DataType>,
    raw: Frame,
    pub(super) out: Frame,
    /// The first row of the frame.
    first: u64,
    clock: Option<Clock>,
    system: System,
    pub(super) bad: BadRecords,
    pub(super) counters: SourceCounters,
}

/// What the columns hold, one way for each.
#[derive(Debug)]
enum Columns {
    Drawn(Vec<Drawn>),
    Nexmark(Vec<Event>),
}

impl Columns {
    fn new(spec: &GeneratorSpec) -> Self {
        match &spec.made {
            Made::Drawn(columns) => {
                let drawn = columns.iter().map(|c| Drawn::new(c, spec.seed));
                Self::Drawn(drawn.collect())
            }
            Made::Nexmark(made) => {
                let columns = made.columns.iter();
                Self::Nexmark(columns.map(|c| Event::new(made, *c, spec.seed)).collect())
            }
        }
    }

    /// Appends rows to all columns.
    fn append(&self, rows: std::ops::Range<u64>, types: &[DataType], to: &mut [Column]) {
        match self {
            Self::Drawn(columns) => {
                for ((column, data_type), to) in columns.iter().zip(types).zip(to) {
                    draw::append(column, rows.clone(), data_type, to);
                }
            }
            Self::Nexmark(columns) => {
                for (column, to) in columns.iter().zip(to) {
                    nexmark::append(column, rows.clone(), to);
                }
            }
        }
    }
}

impl GeneratorSource {
    /// Whether rows come at their own time.
    pub(super) fn is_paced(&self) -> bool {
        self.spec.rate.is_some()
    }

    pub(super) fn new(
        spec: &SourceSpec,
        made: &GeneratorSpec,
        files: &Files,
        reader: Reader,
    ) -> Self {
        let schema = file_schema(spec);
        let most = match &made.made {
            Made::Drawn(_) => CHUNK_ROWS,
            Made::Nexmark(_) => CHUNK_EVENTS,
        };
        let chunk = made.rate.map_or(most, |rate| most.min(rate / CHUNKS_PER_S));
        let chunk_rows = made.rows_due(chunk).max(1);
        let rows = made.rows.unwrap_or(u64::MAX);
        let chunks = rows.div_ceil(chunk_rows);
        Self {
            rows,
            spec: made.clone(),
            begun: reader.begun,
            now: reader.now,
            numbers: Numbers::new(&files.cut, chunks, reader.shard, reader.shards),
            chunk_rows,
            chunk: 0..0,
            shards: reader.shards,
            chunk_ended: false,
            columns: Columns::new(made),
            types: schema.types().cloned().collect(),
            raw: Frame::new(&schema, reader.frame_rows),
            out: Frame::new(&spec.schema, reader.frame_rows),
            first: 0,
            clock: Clock::new(spec, reader, 1),
            system: System::new(spec, schema.fields.len(), reader.now),
            bad: BadRecords::new(spec, reader.frame_rows),
            counters: SourceCounters::default(),
        }
    }

    /// Fills a frame, as far as rows are due.
    pub(super) fn poll(&mut self) -> Polled {
        self.out.clear();
        if std::mem::take(&mut self.chunk_ended) {
            if let Some(clock) = &mut self.clock {
                clock.begin_chunk();
            }
            return Polled::ChunkEnd;
        }
        if self.chunk.is_empty() {
            if let Some((epoch, _)) = self.numbers.at_barrier() {
                return Polled::Barrier(epoch);
            }
            // A chunk is begun when it is due: who stops has to wait for what was begun.
            if self.due() <= self.numbers.next().saturating_mul(self.chunk_rows)
                && self.numbers.left() == Left::Some
            {
                return Polled::Pending;
            }
            let Some(number) = self.numbers.pop() else {
                return match self.numbers.left() {
                    Left::Some => Polled::Pending,
                    Left::None => Polled::End,
                    Left::Stopped => Polled::Stopped,
                };
            };
            let start = number * self.chunk_rows;
            self.chunk = start..self.rows.min(start.saturating_add(self.chunk_rows));
        }
        let due = self.chunk.end.min(self.due());
        let start = self.chunk.start;
        if due <= start {
            return Polled::Pending;
        }
        let count = (due - start).min(self.raw.room() as u64) as usize;
        let count = self.make(start, count);
        self.first = start;
        self.chunk.start += count as u64;
        self.chunk_ended = self.chunk.is_empty() && self.shards > 1;
        self.counters.rows_read += count as u64;
        self.counters.rows_passed += count as u64;
        seal(
            &mut self.raw,
            &mut self.out,
            &mut self.system,
            &mut self.clock,
        );
        Polled::Frame
    }

    /// Its numbers, its clock, and whether a split ends, at the barrier: it is one split.
    pub(super) fn at_barrier(&mut self) -> (&mut Numbers, Option<&Clock>, bool) {
        (&mut self.numbers, self.clock.as_ref(), false)
    }

    /// Goes on behind so many chunks. Gives the clock.
    pub(super) fn go_on(&mut self, chunks: u64) -> Option<&mut Clock> {
        self.numbers.begin_behind(chunks);
        self.clock.as_mut()
    }

    /// How many rows are due by now.
    fn due(&self) -> u64 {
        let Some(rate) = self.spec.rate else {
            return u64::MAX;
        };
        let passed = i128::from((self.now)()) - i128::from(self.begun);
        // Row 0 is due at once.
        let due = passed.max(0) * i128::from(rate) / 1_000_000_000 + 1;
        self.spec.rows_due(u64::try_from(due).unwrap_or(u64::MAX))
    }

    /// Makes rows from `start` on, as many as there is room for their texts. Returns how many.
    fn make(&mut self, start: u64, count: usize) -> usize {
        let mut made = 0;
        // Texts are short as a rule; where they are long, the frame is full before all rows are.
        while made < count && !self.raw.is_full() {
            let rows = start + made as u64..start + (made + ROWS_AT_ONCE.min(count - made)) as u64;
            let to = &mut self.raw.columns;
            self.columns.append(rows.clone(), &self.types, to);
            let step = (rows.end - rows.start) as usize;
            self.raw.commit_rows(step);
            made += step;
        }
        for row in 0..made {
            self.system.note(start + row as u64);
            if let Some(clock) = &mut self.clock {
                let ticked = clock.tick(&self.raw, row);
                assert!(ticked.is_ok(), "event time that is made is never NULL");
            }
        }
        made
    }

    /// What becomes of rows of the last frame on which an expression failed.
    pub(super) fn take_failed(&mut self, failed: &mut Vec<RowError>) -> Result<()> {
        self.bad.take_rows(self.first as usize, failed)
    }

    /// Stops where all shards do.
    pub(super) fn stop(&mut self) {
        self.numbers.stop();
    }

    /// The greatest watermark that was reached.
    pub(super) fn reached(&self) -> Option<i64> {
        self.clock.as_ref()?.reached()
    }

    /// The watermark behind the last frame, if it moved.
    pub(super) fn watermark(&mut self) -> Option<i64> {
        self.clock.as_mut()?.advance()
    }
}

/// Rows made between two looks at how full a frame is.
const ROWS_AT_ONCE: usize = 256;

/// Where rows of a source are due by and by, wakes the shards until they have ended: one that
/// sleeps has no clock.
pub(crate) fn pace(spec: &SourceSpec, files: &Files, bells: &[Arc<Bell>]) -> Result<()> {
    let SourceKind::Generator(GeneratorSpec { rate: Some(_), .. }) = &spec.kind else {
        return Ok(());
    };
    wake::pace(&files.cut, PACE_MS, bells).map_err(|error| Error::Preflight {
        what: format!("source {}: no thread keeps its rate: {error}", spec.name),
        hint: "see the limits on files, threads and memory (ulimit -a)".to_owned(),
    })
}
