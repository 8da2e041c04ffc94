//! Which rows of the kept side have matched, as rows of state. That side is made again, and its
//! rows may come in another order and to another shard; so matched rows are told by those values of
//! theirs on which it depends whether a row matches: rows alike by these match all or none.

use std::collections::HashSet;

use arrow_array::RecordBatch;

use super::Join;
use super::kept::Kept;
use crate::column::Bitmap;
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::frame::Frame;
use crate::order::{SortKey, put_key, put_row};
use crate::program::{JoinSpec, Side};
use crate::schema::Schema;
use crate::snapshot::{SLICE_ROWS, arrays_of, batch, columns_of, owned_rows};
use crate::tally::Packed;

/// Which rows of the kept side have matched.
#[derive(Debug)]
pub(super) struct Matched {
    rows: Bitmap,
    /// The columns of the side on which it depends whether a row matches: keys, then those that the
    /// condition asks for.
    columns: Vec<usize>,
    keys: Vec<SortKey>,
    schema: Schema,
    /// The rows that had matched before a snapshot, until all rows are there again.
    before: HashSet<Packed>,
    /// Rows that were looked at for a snapshot.
    saved: usize,
}

/// The columns of a side that a condition asks for.
fn asked(spec: &JoinSpec, side: Side) -> Vec<usize> {
    let left = spec.inputs[0].fields.len();
    let first = if side == Side::Left { 0 } else { left };
    let own = first..first + spec.inputs[side.port()].fields.len();
    let mut asked = Vec::new();
    let mut ask = |column: &mut usize| {
        if own.contains(column) {
            asked.push(*column - first);
        }
    };
    let condition: Option<Expr> = spec.condition.clone();
    condition
        .into_iter()
        .for_each(|mut c| c.each_column(&mut ask));
    asked.sort_unstable();
    asked.dedup();
    asked
}

impl Matched {
    pub(super) fn new(spec: &JoinSpec, side: Side) -> Self {
        let keys = &spec.keys[side.port()];
        let columns = [&keys[..], &asked(spec, side)].concat();
        let fields = &spec.inputs[side.port()].fields;
        let schema = Schema::new(columns.iter().map(|&c| fields[c].clone()).collect());
        Self {
            rows: Bitmap::default(),
            keys: keys.iter().copied().map(SortKey::ascending).collect(),
            columns,
            schema,
            before: HashSet::new(),
            saved: 0,
        }
    }

    /// What tells a row whose columns stand here.
    fn told(frame: &Frame, row: usize, keys: &[SortKey], asked: &[usize]) -> Packed {
        let mut bytes = Vec::new();
        put_key(&mut bytes, frame, row, keys);
        put_row(&mut bytes, asked.iter().map(|&c| &frame.columns[c]), row);
        bytes.into()
    }

    /// Rows come to the side: those have matched that had before.
    pub(super) fn keep(&mut self, frame: &Frame) {
        if self.before.is_empty() {
            return;
        }
        let asked = &self.columns[self.keys.len()..];
        for row in 0..frame.rows() {
            let told = Self::told(frame, row, &self.keys, asked);
            self.rows.push(self.before.contains(&told));
        }
    }

    /// Notes that a row has matched, of so many: all are there.
    pub(super) fn mark(&mut self, row: u32, all: usize) {
        if self.rows.len() < all {
            self.rows.fill_words(all, |_| 0);
        }
        self.rows.set(row as usize, true);
    }

    pub(super) fn has(&self, row: usize) -> bool {
        row < self.rows.len() && self.rows.get(row)
    }

    fn save(&mut self, kept: &Kept, fields: &Schema) -> Option<RecordBatch> {
        let from = self.saved..self.rows.len();
        let matched = from.filter(|&row| self.rows.get(row)).take(SLICE_ROWS);
        let matched: Vec<Option<u32>> = matched.map(|row| Some(row as u32)).collect();
        self.saved = match matched.last() {
            Some(Some(row)) => *row as usize + 1,
            _ => {
                self.saved = 0;
                return None;
            }
        };
        let mut all = columns_of(fields);
        kept.append_to(&mut all, &matched);
        let columns = self.columns.iter().map(|&c| all[c].clone()).collect();
        Some(batch(arrays_of(&self.schema, columns), matched.len(), &[]))
    }
}

impl Join {
    /// The next rows of the kept side that have matched, where that is to be told; `None` behind
    /// the last. All rows of that side are there.
    pub(crate) fn save(&mut self) -> Option<RecordBatch> {
        let fields = &self.spec.inputs[self.build.port()];
        self.matched.as_mut()?.save(&self.kept, fields)
    }

    /// Before any row: these have matched; of them those are taken up that can come here.
    ///
    /// # Errors
    /// [`Error::Restore`] where they are those of another join.
    pub(crate) fn load(&mut self, rows: &RecordBatch) -> Result<()> {
        let Some(matched) = &mut self.matched else {
            let message = "there is state of a join that has none".to_owned();
            return Err(Error::Restore(message));
        };
        let (frame, _) = owned_rows(rows, &matched.schema, &[], &self.owned, self.seed)?;
        let keys = matched.keys.len();
        let by: Vec<SortKey> = (0..keys).map(SortKey::ascending).collect();
        let asked: Vec<usize> = (keys..matched.columns.len()).collect();
        let told = (0..frame.rows()).map(|row| Matched::told(&frame, row, &by, &asked));
        matched.before.extend(told);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
