//! Columns in memory as Arrow arrays, shared by all shards. Shard s of n reads the s-th of n equal
//! slices, so that there is a source on each; where event time matters shard 0 reads all, in
//! order. Rows are copied into the source's own frame: whoever holds the arrays keeps them.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};

use super::bad::BadRecords;
use super::clock::Clock;
use crate::column::{array_bytes, array_bytes_max, has_any_length};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::kernel::RowError;
use crate::limits::{FRAME_BYTES, RECORD_BYTES_MAX};
use crate::metrics::SourceCounters;
use crate::program::{SourceKind, SourceSpec};
use crate::source::{Polled, Reader};

/// The rows of the arrays that are one shard's.
#[derive(Debug)]
pub(crate) struct ColumnsSource {
    pub(super) bad: BadRecords,
    arrays: Arc<[ArrayRef]>,
    slice: Range<usize>,
    /// The next row; rounds begin at the slice's start.
    next: usize,
    /// The first row of the frame.
    first: usize,
    /// Rounds still to come, this one included.
    rounds: usize,
    /// There were rounds left when it was stopped.
    stopped: bool,
    /// Whether an array holds strings, so that bytes can fill a frame.
    has_strings: bool,
    clock: Option<Clock>,
    pub(super) out: Frame,
    pub(super) counters: SourceCounters,
}

/// Checks that the arrays of a source are what its schema says.
pub(crate) fn check(spec: &SourceSpec) -> Result<()> {
    let SourceKind::Columns { arrays, .. } = &spec.kind else {
        return Ok(());
    };
    let refuse = |what: String| Err(Error::Program(format!("source {}: {what}", spec.name)));
    let fields = &spec.schema.fields;
    let bound = spec.event_time.and_then(|e| e.bound);
    let given = bound.map_or(fields.len(), |b| b);
    if given == 0 {
        return refuse("columns in memory are at least one".to_owned());
    }
    if arrays.len() != given {
        return refuse(format!("{} arrays for {given} columns", arrays.len()));
    }
    for (field, array) in fields.iter().zip(arrays.iter()) {
        if *array.data_type() != field.data_type {
            let (is, wanted) = (array.data_type(), &field.data_type);
            return refuse(format!("column {} is {is}, not {wanted}", field.name));
        }
        if array.len() != arrays[0].len() {
            return refuse(format!("column {} is of another length", field.name));
        }
        if array_bytes_max(array) > RECORD_BYTES_MAX {
            return refuse(format!(
                "column {}: a value is over {RECORD_BYTES_MAX} bytes",
                field.name
            ));
        }
    }
    match spec.event_time {
        Some(time) if arrays[time.column].null_count() > 0 && !spec.is_only_compared => {
            refuse("event time is NULL".to_owned())
        }
        _ => Ok(()),
    }
}

impl ColumnsSource {
    /// The slice of shard `shard` of arrays that [`check`] has seen.
    pub(super) fn new(
        spec: &SourceSpec,
        arrays: &Arc<[ArrayRef]>,
        repeat: usize,
        reader: Reader,
    ) -> Self {
        let Reader {
            shard,
            shards,
            frame_rows,
            ..
        } = reader;
        let clock = Clock::new(spec, reader, 1);
        let rows = arrays[0].len();
        let bound = |s: usize| (rows as u128 * s as u128 / shards as u128) as usize;
        let in_order = spec.event_time.is_some_and(|time| time.lag_ns.is_some());
        let slice = match (in_order, shard) {
            (false, _) => bound(shard)..bound(shard + 1),
            (true, 0) => 0..rows,
            (true, _) => rows..rows,
        };
        Self {
            bad: BadRecords::new(spec, frame_rows),
            arrays: Arc::clone(arrays),
            next: slice.start,
            first: slice.start,
            rounds: if slice.is_empty() { 0 } else { repeat },
            slice,
            stopped: false,
            has_strings: arrays.iter().any(|a| has_any_length(a.data_type())),
            clock,
            out: Frame::new(&spec.schema, frame_rows),
            counters: SourceCounters::default(),
        }
    }

    /// Fills a frame; a frame never holds rows of two rounds.
    pub(super) fn poll(&mut self) -> Polled {
        if self.rounds == 0 {
            return match self.stopped {
                true => Polled::Stopped,
                false => Polled::End,
            };
        }
        self.out.clear();
        let end = self.slice.end.min(self.next + self.out.room());
        let rows = self.next..match self.has_strings {
            true => fitting(&self.arrays, self.next..end, FRAME_BYTES),
            false => end,
        };
        let count = rows.len();
        for (column, array) in self.out.columns.iter_mut().zip(self.arrays.iter()) {
            column.append_array(array, rows.clone());
        }
        if let Some(clock) = &mut self.clock {
            for row in 0..count {
                let ticked = clock.tick(&self.out, row);
                assert!(ticked.is_ok(), "event times were checked at the start");
            }
            clock.seal(&mut self.out);
        }
        self.out.commit_rows(count);
        self.counters.rows_read += count as u64;
        self.counters.rows_passed += count as u64;
        (self.first, self.next) = (rows.start, rows.end);
        if self.next == self.slice.end {
            self.next = self.slice.start;
            self.rounds -= 1;
        }
        Polled::Frame
    }

    /// What becomes of rows of the last frame on which an expression failed.
    pub(super) fn take_failed(&mut self, failed: &mut Vec<RowError>) -> Result<()> {
        self.bad.take_rows(self.first, failed)
    }

    /// Reads no further row.
    pub(super) fn stop(&mut self) {
        self.stopped |= self.rounds > 0;
        self.rounds = 0;
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

/// The end of those of the rows that fill a frame with room for so many bytes: the last may make it
/// fuller than full, and there is one at least.
pub(crate) fn fitting(arrays: &[ArrayRef], rows: Range<usize>, room: usize) -> usize {
    let bytes = |end: usize| -> usize {
        let strings = arrays.iter();
        strings.map(|a| array_bytes(a, rows.start..end)).sum()
    };
    let (mut fits, mut over) = (rows.start + 1, rows.end);
    while fits < over {
        let middle = fits + (over - fits) / 2;
        if bytes(middle) >= room {
            over = middle;
        } else {
            fits = middle + 1;
        }
    }
    fits
}
