//! Rows of a source that come and go. Where they replace each other by a key, each change becomes
//! what it does to the row that stands: what comes takes that one's place, what goes is that one,
//! whatever else is said of it. Changes of a key come in their order, to one shard.

use std::collections::BTreeMap;
use std::ops::Bound;

use arrow_array::RecordBatch;
use arrow_schema::DataType;

use crate::changelog::{self, DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE, UPDATE_ROWS};
use crate::error::{Result, refuse};
use crate::frame::Frame;
use crate::order::{SortKey, put_key, put_row};
use crate::schema::Schema;
use crate::snapshot::{Owned, counted_rows, owned_rows};
use crate::tally::Packed;

/// The rows that stand.
#[derive(Debug)]
pub(crate) struct Captured {
    /// None: rows are told as they were, and none is kept.
    keys: Vec<SortKey>,
    stands: BTreeMap<Packed, Packed>,
    key: Vec<u8>,
    /// The rows' own columns.
    schema: Schema,
}

impl Captured {
    /// Of rows of `schema`, by these columns.
    ///
    /// # Errors
    /// [`crate::error::Error::Program`] where there are no such columns.
    pub(crate) fn new(keys: &[usize], schema: &Schema) -> Result<Self> {
        let known = |key: &usize| *key + 1 < schema.fields.len();
        if !changelog::is_weighted(schema) || !keys.iter().all(known) {
            return refuse("rows of a source that come and go by no columns".to_owned());
        }
        Ok(Self {
            keys: keys.iter().copied().map(SortKey::ascending).collect(),
            stands: BTreeMap::new(),
            key: Vec::new(),
            schema: changelog::own(schema),
        })
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.stands.len()
    }

    /// The next rows that stand as rows of state, behind the key of the last one that was handed
    /// on; `None` where there is none.
    pub(crate) fn save(&self, last: &mut Option<Packed>) -> Option<RecordBatch> {
        let from = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.stands.range::<[u8], _>((from, Bound::Unbounded));
        let (upto, rows) =
            counted_rows(&self.schema, rows.map(|(k, row)| (k, &row[..], 1))).unzip();
        *last = upto.cloned();
        rows
    }

    /// Takes those rows up that are owned here.
    ///
    /// # Errors
    /// [`crate::error::Error::Restore`] where they are those of another operator.
    pub(crate) fn load(&mut self, rows: &RecordBatch, owned: &Owned, seed: u64) -> Result<()> {
        let (frame, _) = owned_rows(rows, &self.schema, &[DataType::Int64], owned, seed)?;
        for row in 0..frame.rows() {
            let (mut key, mut values) = (Vec::new(), Vec::new());
            put_key(&mut key, &frame, row, &self.keys);
            put_row(&mut values, &frame.columns, row);
            self.stands.insert(key.into(), values.into());
        }
        Ok(())
    }

    /// Takes rows of `frame` from `from` on as far as `out` has room. Gives the first that is left.
    pub(crate) fn take(&mut self, frame: &Frame, from: usize, out: &mut Frame) -> usize {
        if self.keys.is_empty() {
            // It is empty, and no smaller than what it is given.
            out.append_range(frame, from..frame.rows());
            return frame.rows();
        }
        let own = frame.columns.len() - 1;
        let mut row = from;
        while row < frame.rows() && out.room() >= UPDATE_ROWS.min(out.rows_max()) && !out.is_full()
        {
            self.key.clear();
            put_key(&mut self.key, frame, row, &self.keys);
            if changelog::weight(frame, row) < 0 {
                if let Some(before) = self.stands.remove(self.key.as_slice()) {
                    changelog::push_row(&before, DELETE, out);
                }
            } else {
                let mut after = Vec::new();
                put_row(&mut after, &frame.columns[..own], row);
                let after: Packed = after.into();
                match self
                    .stands
                    .insert(self.key.as_slice().into(), after.clone())
                {
                    None => changelog::push_row(&after, INSERT, out),
                    Some(before) if before == after => {}
                    Some(before) => {
                        changelog::push_row(&before, UPDATE_BEFORE, out);
                        changelog::push_row(&after, UPDATE_AFTER, out);
                    }
                }
            }
            row += 1;
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Column;
    use crate::schema::Field;

    /// By key and value: what is told of changes, in frames that are too small for all of them.
    #[test]
    fn a_change_is_what_it_does_to_the_row_that_stands() {
        let fields = ["k", "v"].map(|name| Field::new(name, DataType::Int64));
        let schema = changelog::weighted(Schema::new(fields.to_vec()));
        let given = [
            (1, 10, INSERT),
            (2, 20, INSERT),
            (1, 11, INSERT),
            // As it was, and of a key that there is not.
            (1, 11, INSERT),
            (3, 0, DELETE),
            (1, 0, DELETE),
            (1, 12, INSERT),
        ];
        let wanted = [
            (1, 10, INSERT),
            (2, 20, INSERT),
            (1, 10, UPDATE_BEFORE),
            (1, 11, UPDATE_AFTER),
            (1, 11, DELETE),
            (1, 12, INSERT),
        ];
        let mut frame = Frame::new(&schema, given.len());
        for (key, value, op) in given {
            for (column, value) in frame.columns.iter_mut().zip([key, value]) {
                let Column::I64(column) = column else {
                    panic!("BIGINT")
                };
                column.push(Some(value));
            }
            changelog::push(&mut frame, op);
        }
        frame.commit_rows(given.len());
        for rows in [3, 4, 100] {
            let mut captured = Captured::new(&[0], &schema).expect("a key");
            let mut out = Frame::new(&schema, rows);
            let (mut got, mut from) = (Vec::new(), 0);
            while from < given.len() {
                from = captured.take(&frame, from, &mut out);
                let [Column::I64(keys), Column::I64(values), ..] = &out.columns[..] else {
                    panic!("BIGINT")
                };
                let ops = changelog::given(&out).iter();
                let told = keys.values.iter().zip(&values.values).zip(ops);
                got.extend(told.map(|((k, v), op)| (*k, *v, *op)));
                out.clear();
            }
            assert_eq!(got, wanted, "frames of {rows}");
        }
    }
}
