//! System columns: what the source itself knows of its records.

use arrow_schema::DataType;

use crate::column::Column;
use crate::frame::Frame;
use crate::program::{SourceSpec, SystemColumn};
use crate::schema::unit_nanos;
use crate::source::clock::Clock;

/// Fills the system columns of a source's frames.
#[derive(Debug)]
pub(super) struct System {
    /// The first of them.
    first: usize,
    columns: Vec<SystemColumn>,
    /// Nanoseconds of a unit of each, where it is a time.
    units_ns: Vec<i64>,
    /// Whether rows are asked for their offsets, and those of the rows since the last frame.
    wants_offsets: bool,
    offsets: Vec<i64>,
    /// The same of their splits, and the one in hand.
    wants_splits: bool,
    splits: Vec<i64>,
    split: i64,
    now: fn() -> i64,
}

impl System {
    pub(super) fn new(spec: &SourceSpec, first: usize, now: fn() -> i64) -> Self {
        let fields = &spec.schema.fields[first..];
        let unit = |field: &crate::schema::Field| match field.data_type {
            DataType::Timestamp(unit, _) => unit_nanos(unit),
            _ => 1,
        };
        Self {
            first,
            columns: spec.system.clone(),
            units_ns: fields.iter().map(unit).collect(),
            wants_offsets: spec.system.contains(&SystemColumn::Offset),
            offsets: Vec::new(),
            wants_splits: spec.system.contains(&SystemColumn::Split),
            splits: Vec::new(),
            split: 0,
            now,
        }
    }

    /// Takes note of a row at this position of the split.
    #[inline]
    pub(super) fn note(&mut self, offset: u64) {
        if self.wants_offsets {
            self.offsets.push(offset as i64);
        }
        if self.wants_splits {
            self.splits.push(self.split);
        }
    }

    /// Rows that are noted from here on are of this split.
    pub(super) fn begin_split(&mut self, split: usize) {
        self.split = split as i64;
    }

    /// Fills the columns for the rows since the last call. The clock is read once.
    pub(super) fn seal(&mut self, frame: &mut Frame, rows: usize) {
        for (number, system) in self.columns.iter().enumerate() {
            let Column::I64(column) = &mut frame.columns[self.first + number] else {
                panic!("system columns are of eight bytes")
            };
            match system {
                SystemColumn::Offset => column.values.extend_from_slice(&self.offsets),
                SystemColumn::Split => column.values.extend_from_slice(&self.splits),
                SystemColumn::Ingested => {
                    let time = (self.now)().div_euclid(self.units_ns[number]);
                    column.values.extend(std::iter::repeat_n(time, rows));
                }
            }
            column.validity.push_valid(rows);
        }
        self.offsets.clear();
        self.splits.clear();
    }
}

/// Moves the columns that were read into the frame that goes on, beside what the source itself
/// knows of the rows: their system columns and their watermarks.
pub(super) fn seal(
    raw: &mut Frame,
    out: &mut Frame,
    system: &mut System,
    clock: &mut Option<Clock>,
) {
    let rows = raw.rows();
    for (out, raw) in out.columns.iter_mut().zip(&mut raw.columns) {
        std::mem::swap(out, raw);
    }
    raw.clear();
    system.seal(out, rows);
    if let Some(clock) = clock {
        clock.seal(out);
    }
    out.commit_rows(rows);
}
