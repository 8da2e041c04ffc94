//! Decoded rows on their way into frames: runs of good ones, and the bad ones in between.

use std::collections::BTreeMap;

use arrow_array::Array;

use crate::column::{array_bytes, array_bytes_max};
use crate::format::columnar::Rows;
use crate::frame::Frame;
use crate::limits::{FRAME_BYTES, RECORD_BYTES_MAX};
use crate::schema::Schema;
use crate::source::columns::fitting;

/// Rows of which some were taken.
#[derive(Debug)]
pub(super) struct Taking {
    rows: Rows,
    /// The next row.
    next: usize,
    /// The number of the first row's record.
    first: u64,
    /// How many of the bad rows were taken.
    bad: usize,
}

impl Taking {
    /// The rows from record `first` on. Those are bad, too, that have NULL where the schema has
    /// none, or in column `time`.
    pub(super) fn new(mut rows: Rows, first: u64, schema: &Schema, time: Option<usize>) -> Self {
        add_refused(&mut rows, schema, time);
        Self {
            rows,
            next: 0,
            first,
            bad: 0,
        }
    }

    /// The number of the next record.
    pub(super) fn record(&self) -> u64 {
        self.first + self.next as u64
    }

    pub(super) fn is_done(&self) -> bool {
        self.next == self.rows.count
    }

    /// Takes the next row where it is bad, with the reason.
    pub(super) fn take_bad(&mut self) -> Option<String> {
        let (row, reason) = self.rows.bad.get_mut(self.bad)?;
        if *row != self.next {
            return None;
        }
        self.bad += 1;
        self.next += 1;
        Some(std::mem::take(reason))
    }

    /// Appends good rows, one at least, to a frame that is not full. Returns how many.
    pub(super) fn append(&mut self, frame: &mut Frame) -> usize {
        let bad = self.rows.bad.get(self.bad).map(|(row, _)| *row);
        let end = bad.unwrap_or(self.rows.count);
        let end = end.min(self.next + frame.room());
        let columns = &self.rows.columns;
        let room = FRAME_BYTES - frame.string_bytes().min(FRAME_BYTES);
        let rows = self.next..fitting(columns, self.next..end, room);
        for (column, array) in frame.columns.iter_mut().zip(columns) {
            column.append_array(array, rows.clone());
        }
        frame.commit_rows(rows.len());
        self.next = rows.end;
        rows.len()
    }
}

/// Adds to the bad rows those that a source refuses, whatever the format.
fn add_refused(rows: &mut Rows, schema: &Schema, time: Option<usize>) {
    let mut refused = BTreeMap::new();
    for (number, (field, array)) in schema.fields.iter().zip(&rows.columns).enumerate() {
        let is_time = time == Some(number);
        if array.null_count() > 0 && (is_time || !field.nullable) {
            let reason = match field.nullable {
                false => format!("column {}: null where null cannot be", field.name),
                true => "event time is NULL".to_owned(),
            };
            let nulls = (0..array.len()).filter(|row| array.is_null(*row));
            nulls.for_each(|row| {
                refused.entry(row).or_insert_with(|| reason.clone());
            });
        }
        if array_bytes(array, 0..array.len()) > RECORD_BYTES_MAX
            && array_bytes_max(array) > RECORD_BYTES_MAX
        {
            let bytes = |row: &usize| array_bytes(array, *row..row + 1);
            let long = (0..array.len()).filter(|row| bytes(row) > RECORD_BYTES_MAX);
            long.for_each(|row| {
                let reason = format!(
                    "column {}: a value is over {RECORD_BYTES_MAX} bytes",
                    field.name
                );
                refused.entry(row).or_insert(reason);
            });
        }
    }
    if refused.is_empty() {
        return;
    }
    // What the format says of a row comes first.
    refused.extend(rows.bad.drain(..));
    rows.bad = refused.into_iter().collect();
}
