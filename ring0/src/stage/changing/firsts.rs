//! Which rows of a changelog are the first of their kind that come, or the last that go.

use std::ops::Bound;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::DataType;

use super::ascending;
use crate::changelog;
use crate::column::Column;
use crate::error::Result;
use crate::frame::Frame;
use crate::order::{Rows, SortKey, count, put_key};
use crate::schema::Schema;
use crate::snapshot::{Owned, counted_rows, owned_rows};
use crate::tally::Packed;

/// How often rows of each kind stand.
#[derive(Debug)]
pub(super) struct Firsts {
    /// The columns that say the kind.
    schema: Schema,
    keys: Vec<SortKey>,
    rows: Rows,
}

impl Firsts {
    pub(super) fn new(keys: &[usize], input: &Schema) -> Self {
        let fields = keys.iter().map(|&key| input.fields[key].clone());
        Self {
            schema: Schema::new(fields.collect()),
            keys: ascending(keys),
            rows: Rows::new(),
        }
    }

    /// Appends the rows of a frame, and of each whether it is the first or the last of its kind.
    pub(super) fn mark(&mut self, frame: &Frame, out: &mut Frame) {
        let all = frame.rows();
        let own = frame.columns.len() - 1;
        for (to, from) in out.columns[..own].iter_mut().zip(&frame.columns) {
            to.append_range(from, 0..all);
        }
        out.columns[own + 1].append_range(&frame.columns[own], 0..all);
        let Column::Bool(marks) = &mut out.columns[own] else {
            unreachable!("types are checked before")
        };
        for row in 0..all {
            let mut key = Vec::new();
            put_key(&mut key, frame, row, &self.keys);
            let weight = changelog::weight(frame, row);
            let stood = count(&mut self.rows, key, weight);
            marks.push(Some((stood > 0) != (stood + weight > 0)));
        }
        out.commit_rows(all);
    }

    /// Number of kinds.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The next kinds as rows of state, behind the one that was handed on last; `None` where there
    /// is none.
    pub(super) fn save(&self, last: &mut Option<Packed>) -> Option<RecordBatch> {
        let from = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.rows.range::<[u8], _>((from, Bound::Unbounded));
        let rows = rows.map(|(key, &count)| (key, &key[..], count));
        let (upto, rows) = counted_rows(&self.schema, rows).unzip();
        *last = upto.cloned();
        rows
    }

    /// Takes those kinds up that are owned here.
    pub(super) fn load(&mut self, rows: &RecordBatch, owned: &Owned, seed: u64) -> Result<()> {
        let (frame, more) = owned_rows(rows, &self.schema, &[DataType::Int64], owned, seed)?;
        let by: Vec<SortKey> = (0..self.keys.len()).map(SortKey::ascending).collect();
        let counts = more[0].as_primitive::<Int64Type>();
        for row in 0..frame.rows() {
            let mut key = Vec::new();
            put_key(&mut key, &frame, row, &by);
            count(&mut self.rows, key, counts.value(row));
        }
        Ok(())
    }
}
