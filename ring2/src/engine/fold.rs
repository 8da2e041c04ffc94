//! The rows of a view that stand: its changelog, applied. Rows are told apart by the view's keys,
//! or wholly where it has none; each has a weight, as a deletion may come before what it deletes.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{RowConverter, SortField};

type Result<T> = std::result::Result<T, ArrowError>;

/// A row, and how often it stands.
type Standing = (Box<[u8]>, i64);

/// The rows that stand.
#[derive(Debug)]
pub(super) struct Fold {
    /// Without what a row does.
    schema: SchemaRef,
    /// Whether the first column of a batch says that.
    changes: bool,
    keys: Vec<usize>,
    of_rows: RowConverter,
    of_keys: RowConverter,
    rows: HashMap<Box<[u8]>, Vec<Standing>>,
}

fn converter(schema: &SchemaRef, columns: impl Iterator<Item = usize>) -> Result<RowConverter> {
    let field = |column| SortField::new(schema.field(column).data_type().clone());
    RowConverter::new(columns.map(field).collect())
}

impl Fold {
    /// For batches of `schema`; `keys` are among its columns, without what a row does.
    pub(super) fn new(schema: SchemaRef, changes: bool, keys: Vec<usize>) -> Result<Self> {
        let all = 0..schema.fields().len();
        let by: Vec<usize> = match keys.is_empty() {
            true => all.clone().collect(),
            false => keys.clone(),
        };
        Ok(Self {
            of_rows: converter(&schema, all)?,
            of_keys: converter(&schema, by.iter().copied())?,
            schema,
            changes,
            keys: by,
            rows: HashMap::new(),
        })
    }

    /// The columns of the rows.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Applies a batch.
    pub(super) fn apply(&mut self, batch: &RecordBatch) -> Result<()> {
        let (ops, columns) = match self.changes {
            true => (
                Some(batch.column(0).as_string::<i32>()),
                &batch.columns()[1..],
            ),
            false => (None, batch.columns()),
        };
        let rows = self.of_rows.convert_columns(columns)?;
        let keys: Vec<ArrayRef> = self.keys.iter().map(|k| Arc::clone(&columns[*k])).collect();
        let keys = self.of_keys.convert_columns(&keys)?;
        for row in 0..batch.num_rows() {
            let gone = ops.is_some_and(|ops| ops.value(row).starts_with('-'));
            let weight = if gone { -1 } else { 1 };
            self.add(keys.row(row).as_ref(), rows.row(row).as_ref(), weight);
        }
        Ok(())
    }

    fn add(&mut self, key: &[u8], row: &[u8], weight: i64) {
        let Some(standing) = self.rows.get_mut(key) else {
            self.rows.insert(key.into(), vec![(row.into(), weight)]);
            return;
        };
        match standing.iter_mut().find(|(r, _)| **r == *row) {
            Some((_, weights)) => *weights += weight,
            None => standing.push((row.into(), weight)),
        }
        standing.retain(|(_, weight)| *weight != 0);
        if standing.is_empty() {
            self.rows.remove(key);
        }
    }

    /// All rows that stand.
    pub(super) fn batch(&self) -> Result<RecordBatch> {
        self.decode(self.rows.values().flatten())
    }

    /// The types of the key.
    pub(super) fn keys(&self) -> &[usize] {
        &self.keys
    }

    /// The rows with this key.
    pub(super) fn find(&self, key: &[ArrayRef]) -> Result<RecordBatch> {
        let key = self.of_keys.convert_columns(key)?;
        let found = self.rows.get(key.row(0).as_ref());
        self.decode(found.into_iter().flatten())
    }

    fn decode<'a>(&self, rows: impl Iterator<Item = &'a Standing>) -> Result<RecordBatch> {
        let parser = self.of_rows.parser();
        let weighted = rows.flat_map(|(row, weight)| {
            let times = usize::try_from(*weight).unwrap_or(0);
            std::iter::repeat_n(parser.parse(row), times)
        });
        let columns = self.of_rows.convert_rows(weighted)?;
        let empty = columns.first().is_none_or(|c: &ArrayRef| c.is_empty());
        match empty {
            true => Ok(RecordBatch::new_empty(Arc::clone(&self.schema))),
            false => RecordBatch::try_new(Arc::clone(&self.schema), columns),
        }
    }
}
