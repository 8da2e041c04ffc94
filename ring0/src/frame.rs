//! A frame: columns of fixed capacity in motion. It has one owner; consumers on the same shard
//! borrow it in turn, and then it goes home to its pool.

use std::ops::Range;

use crate::column::Column;
use crate::limits::FRAME_BYTES;
use crate::schema::Schema;

/// Rows in columns, all of one length.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The columns, in the order of the frame's schema.
    pub columns: Vec<Column>,
    rows: usize,
    rows_max: usize,
}

impl Frame {
    /// An empty frame for `schema` that is full at `rows_max` rows.
    pub fn new(schema: &Schema, rows_max: usize) -> Self {
        assert!(rows_max > 0, "a frame holds at least one row");
        let columns = schema
            .fields
            .iter()
            .map(|f| Column::of(&f.data_type))
            .collect();
        Self {
            columns,
            rows: 0,
            rows_max,
        }
    }

    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Most rows.
    #[inline]
    pub fn rows_max(&self) -> usize {
        self.rows_max
    }

    /// Bytes of memory of its columns.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.columns.iter().map(Column::heap_bytes).sum()
    }

    /// Rows that still fit by number.
    #[inline]
    pub fn room(&self) -> usize {
        self.rows_max - self.rows
    }

    /// Whether the next row has to go into another frame.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.rows >= self.rows_max || self.string_bytes() >= FRAME_BYTES
    }

    /// Bytes of the values whose length is not fixed, those not committed included.
    #[inline]
    pub fn string_bytes(&self) -> usize {
        self.columns.iter().map(Column::string_bytes).sum()
    }

    /// Says that `count` rows were appended to every column.
    ///
    /// # Panics
    /// Where a column has another number of rows: a row was lost or doubled.
    #[inline]
    pub fn commit_rows(&mut self, count: usize) {
        self.rows += count;
        assert!(
            self.rows <= self.rows_max,
            "a frame holds more rows than it may"
        );
        assert!(
            self.columns.iter().all(|c| c.len() == self.rows),
            "columns of unlike length"
        );
    }

    /// Takes back what was appended to columns since the last [`Frame::commit_rows`].
    pub fn roll_back(&mut self) {
        let rows = self.rows;
        self.columns.iter_mut().for_each(|c| c.truncate(rows));
    }

    /// Forgets all rows from `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        self.roll_back();
    }

    /// Forgets all rows, keeps the memory.
    pub fn clear(&mut self) {
        self.columns.iter_mut().for_each(Column::clear);
        self.rows = 0;
    }

    /// Appends the rows `rows` of `from`, which has the same schema.
    pub fn append_rows(&mut self, from: &Frame, rows: &[u32]) {
        for (to, from) in self.columns.iter_mut().zip(&from.columns) {
            to.append_rows(from, rows);
        }
        self.commit_rows(rows.len());
    }

    /// Appends the rows `rows` of `from`, which has the same schema, in whole copies.
    pub fn append_range(&mut self, from: &Frame, rows: Range<usize>) {
        for (to, from) in self.columns.iter_mut().zip(&from.columns) {
            to.append_range(from, rows.clone());
        }
        self.commit_rows(rows.len());
    }

    /// Appends of the rows `rows` of `from` these columns, which are this frame's.
    pub fn append_columns(&mut self, from: &Frame, columns: &[usize], rows: Range<usize>) {
        assert_eq!(self.columns.len(), columns.len(), "a column for each");
        for (to, column) in self.columns.iter_mut().zip(columns) {
            to.append_range(&from.columns[*column], rows.clone());
        }
        self.commit_rows(rows.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Field;
    use arrow_schema::DataType;

    fn append(frame: &mut Frame, i: usize, null: bool) {
        for column in &mut frame.columns {
            match column {
                _ if null => column.push_null(),
                Column::Bool(c) => c.push(Some(i.is_multiple_of(3))),
                Column::I32(c) => c.push(Some(i as i32)),
                Column::I64(c) => c.push(Some(i as i64)),
                Column::F64(c) => c.push(Some(i as f64)),
                Column::Utf8(c) => c.push(Some(["", "a", "ü"][i % 3])),
                other => panic!("no column of {:?}", other.physical()),
            }
        }
    }

    #[test]
    fn a_frame_rolled_back_equals_one_that_never_had_more() {
        let types = [
            DataType::Boolean,
            DataType::Date32,
            DataType::Int64,
            DataType::Float64,
            DataType::Utf8,
        ];
        let schema = Schema::new(types.map(|t| Field::new("x", t)).into());
        for kept in [0, 1, 63, 64, 65, 130] {
            for more in [0, 1, 63, 64, 65] {
                for null in [0, 64, kept.max(1) - 1, kept, usize::MAX] {
                    let mut want = Frame::new(&schema, 1000);
                    (0..kept).for_each(|i| append(&mut want, i, i == null));
                    want.commit_rows(kept);
                    let mut got = want.clone();
                    (kept..kept + more).for_each(|i| append(&mut got, i, i == null));
                    got.columns[3].push_null();
                    got.roll_back();
                    assert_eq!(got, want, "{kept} rows and {more}, row {null} NULL");
                }
            }
        }
    }
}
