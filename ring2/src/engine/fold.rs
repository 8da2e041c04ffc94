//! The rows of a view that stand: its changelog, applied, by the shard that gave it. Rows are told
//! apart by the view's keys, or wholly where it has none; each has a weight, as a deletion may come
//! before what it deletes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_ipc::writer::StreamWriter;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{RowConverter, SortField};

/// What a row does, as the first column says.
const INSERT: &str = "+I";
const UPDATE_BEFORE: &str = "-U";

type Result<T> = std::result::Result<T, ArrowError>;

/// A row, and how often it stands.
type Standing = (Arc<[u8]>, i64);

/// How rows are written as bytes, and which of their columns are keys.
#[derive(Debug)]
pub(super) struct Layout {
    /// Without what a row does.
    schema: SchemaRef,
    keys: Vec<usize>,
    of_rows: RowConverter,
    of_keys: RowConverter,
}

/// The rows that stand.
#[derive(Debug)]
pub(super) struct Fold {
    layout: Arc<Layout>,
    /// Whether the first column of a batch says what a row does.
    changes: bool,
    shards: Vec<Rows>,
    homes: Homes,
}

/// Where rows of a shard are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Homes {
    /// Apart from those of others.
    Own,
    /// All in one place: some stood before, and another shard may take them away than gave them.
    One,
}

impl Homes {
    fn of(self, shard: usize) -> usize {
        match self {
            Self::Own => shard,
            Self::One => 0,
        }
    }
}

/// A key, and the row to be taken away from it.
type Leaving = (Box<[u8]>, Box<[u8]>);

/// The rows of a shard.
#[derive(Debug, Default, Clone)]
struct Rows {
    /// By their keys.
    standing: HashMap<Box<[u8]>, Vec<Standing>>,
    /// What the last batch ended with, where that is to be replaced by the row behind it: it stands
    /// until then, so that no read finds neither.
    leaving: Option<Leaving>,
}

/// Rows that stood at one moment, by shard.
#[derive(Debug)]
pub(super) struct Snapshot {
    layout: Arc<Layout>,
    shards: Vec<Vec<Standing>>,
}

fn converter(schema: &SchemaRef, columns: impl Iterator<Item = usize>) -> Result<RowConverter> {
    let field = |column| SortField::new(schema.field(column).data_type().clone());
    RowConverter::new(columns.map(field).collect())
}

impl Layout {
    /// The columns of the rows.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns by which rows are told apart.
    pub(super) fn keys(&self) -> &[usize] {
        &self.keys
    }
}

impl Fold {
    /// For batches of `schema`, from so many shards; `keys` are among its columns, without what a
    /// row does.
    pub(super) fn new(
        schema: SchemaRef,
        changes: bool,
        keys: Vec<usize>,
        shards: usize,
    ) -> Result<Self> {
        let all = 0..schema.fields().len();
        let keys: Vec<usize> = match keys.is_empty() {
            true => all.clone().collect(),
            false => keys,
        };
        Ok(Self {
            layout: Arc::new(Layout {
                of_rows: converter(&schema, all)?,
                of_keys: converter(&schema, keys.iter().copied())?,
                schema,
                keys,
            }),
            changes,
            shards: vec![Rows::default(); shards],
            homes: Homes::Own,
        })
    }

    /// Before any row is there.
    pub(super) fn with_homes(self, homes: Homes) -> Self {
        Self { homes, ..self }
    }

    /// Rows of a shard that stood before: each with how often, which is the last column.
    pub(super) fn go_on(&mut self, shard: usize, rows: &RecordBatch) -> Result<()> {
        let Some((weights, columns)) = rows.columns().split_last() else {
            return Err(ArrowError::SchemaError("rows have no weights".to_owned()));
        };
        let types = columns.iter().map(|column| column.data_type());
        let fields = self.layout.schema.fields().iter();
        let Some(weights) = weights.as_primitive_opt::<Int64Type>() else {
            return Err(ArrowError::SchemaError("rows have no weights".to_owned()));
        };
        if !types.eq(fields.map(|field| field.data_type())) {
            let message = "rows of the view have other columns".to_owned();
            return Err(ArrowError::SchemaError(message));
        }
        let layout = &self.layout;
        let keys = layout.keys.iter().map(|k| Arc::clone(&columns[*k]));
        let keys: Vec<ArrayRef> = keys.collect();
        let (rows, keys) = (
            layout.of_rows.convert_columns(columns)?,
            layout.of_keys.convert_columns(&keys)?,
        );
        let into = &mut self.shards[self.homes.of(shard)];
        for (number, weight) in weights.values().iter().enumerate() {
            let (key, row) = (keys.row(number), rows.row(number));
            into.add(key.as_ref(), row.as_ref(), *weight);
        }
        Ok(())
    }

    pub(super) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Applies a batch of a shard.
    pub(super) fn apply(&mut self, shard: usize, batch: &RecordBatch) -> Result<()> {
        let (ops, columns) = match self.changes {
            true => (
                Some(batch.column(0).as_string::<i32>()),
                &batch.columns()[1..],
            ),
            false => (None, batch.columns()),
        };
        let layout = &self.layout;
        let rows = layout.of_rows.convert_columns(columns)?;
        let keys = layout.keys.iter().map(|k| Arc::clone(&columns[*k]));
        let keys: Vec<ArrayRef> = keys.collect();
        let keys = layout.of_keys.convert_columns(&keys)?;
        let home = self.homes.of(shard);
        leave(&mut self.shards, shard, home);
        for row in 0..batch.num_rows() {
            let op = ops.map_or(INSERT, |ops| ops.value(row));
            let weight = if op.starts_with('-') { -1 } else { 1 };
            let (key, bytes) = (keys.row(row), rows.row(row));
            if op == UPDATE_BEFORE && row + 1 == batch.num_rows() {
                let leaving = (key.as_ref().into(), bytes.as_ref().into());
                self.shards[shard].leaving = Some(leaving);
            } else {
                self.shards[home].add(key.as_ref(), bytes.as_ref(), weight);
            }
        }
        Ok(())
    }

    /// Nothing comes any more.
    pub(super) fn end(&mut self) {
        for shard in 0..self.shards.len() {
            leave(&mut self.shards, shard, self.homes.of(shard));
        }
    }

    /// All rows that stand.
    pub(super) fn snapshot(&self) -> Snapshot {
        let shards = self.shards.iter();
        Snapshot {
            layout: Arc::clone(&self.layout),
            shards: shards
                .map(|s| s.standing.values().flatten().cloned().collect())
                .collect(),
        }
    }

    /// The rows that stand until the ones come that replace them.
    pub(super) fn leaving(&self) -> Snapshot {
        let shards = self.shards.iter();
        let leaving = |rows: &Rows| {
            let leaving = rows.leaving.iter();
            leaving.map(|(_, row)| (row.as_ref().into(), 1)).collect()
        };
        Snapshot {
            layout: Arc::clone(&self.layout),
            shards: shards.map(leaving).collect(),
        }
    }

    /// The rows with one of these keys, of each of which there is an array.
    pub(super) fn probe(&self, keys: &[ArrayRef]) -> Result<Snapshot> {
        let keys = self.layout.of_keys.convert_columns(keys)?;
        let keys: HashSet<&[u8]> = keys.iter().map(|key| key.data()).collect();
        let found = |rows: &Rows| {
            let found = keys.iter().filter_map(|key| rows.standing.get(*key));
            found.flatten().cloned().collect()
        };
        Ok(Snapshot {
            layout: Arc::clone(&self.layout),
            shards: self.shards.iter().map(found).collect(),
        })
    }
}

impl Rows {
    /// Adds to a row's weight.
    fn add(&mut self, key: &[u8], row: &[u8], weight: i64) {
        let Some(standing) = self.standing.get_mut(key) else {
            self.standing.insert(key.into(), vec![(row.into(), weight)]);
            return;
        };
        match standing.iter_mut().find(|(r, _)| **r == *row) {
            Some((_, weights)) => *weights += weight,
            None => standing.push((row.into(), weight)),
        }
        standing.retain(|(_, weight)| *weight != 0);
        if standing.is_empty() {
            self.standing.remove(key);
        }
    }
}

/// Takes the row of a shard away that waits for the one behind it.
fn leave(shards: &mut [Rows], shard: usize, home: usize) {
    if let Some((key, row)) = shards[shard].leaving.take() {
        shards[home].add(&key, &row, -1);
    }
}

/// How often a row is given.
fn times(weight: i64) -> usize {
    usize::try_from(weight).unwrap_or(0)
}

impl Snapshot {
    /// How many shards there are.
    pub(super) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Some rows of a shard as bytes, each once, with how often it stands: what
    /// [`Fold::go_on`] takes, as an Arrow IPC stream.
    ///
    /// # Panics
    /// The rows are not of their layout.
    pub(super) fn encoded(&self, shard: usize, rows: std::ops::Range<usize>) -> Vec<u8> {
        let Layout {
            schema, of_rows, ..
        } = &*self.layout;
        let rows = &self.shards[shard][rows];
        let parser = of_rows.parser();
        let parsed = rows.iter().map(|(row, _)| parser.parse(row));
        let columns = of_rows.convert_rows(parsed);
        let mut columns = columns.expect("rows are of their layout");
        let weights = rows.iter().map(|(_, weight)| *weight);
        columns.push(Arc::new(weights.collect::<Int64Array>()));
        let weight = Field::new("weight", DataType::Int64, false);
        let fields = schema.fields().iter().cloned();
        let fields: Vec<FieldRef> = fields.chain([Arc::new(weight)]).collect();
        let schema = Arc::new(Schema::new(fields));
        let mut bytes = Vec::new();
        let written = RecordBatch::try_new(Arc::clone(&schema), columns).and_then(|batch| {
            let mut writer = StreamWriter::try_new(&mut bytes, &schema)?;
            writer.write(&batch)?;
            writer.finish()
        });
        written.expect("columns of rows have types that the format knows");
        bytes
    }

    /// Rows of a shard that differ from each other: what [`Self::batch`] counts in.
    pub(super) fn len(&self, shard: usize) -> usize {
        self.shards[shard].len()
    }

    /// Bytes that it keeps.
    pub(super) fn bytes(&self) -> usize {
        let rows = self.shards.iter().flatten();
        rows.map(|(row, _)| size_of::<Standing>() + row.len()).sum()
    }

    /// How many rows some of a shard's are.
    pub(super) fn count(&self, shard: usize, rows: std::ops::Range<usize>) -> usize {
        let rows = self.shards[shard][rows].iter();
        rows.map(|(_, weight)| times(*weight)).sum()
    }

    /// Some rows of a shard.
    pub(super) fn batch(&self, shard: usize, rows: std::ops::Range<usize>) -> Result<RecordBatch> {
        self.weighed(shard, rows, times)
    }

    /// Those of them that went before they came.
    pub(super) fn owed(&self, shard: usize, rows: std::ops::Range<usize>) -> Result<RecordBatch> {
        self.weighed(shard, rows, |weight| times(weight.saturating_neg()))
    }

    /// Some rows of a shard, each as often as its weight says.
    fn weighed(
        &self,
        shard: usize,
        rows: std::ops::Range<usize>,
        times: fn(i64) -> usize,
    ) -> Result<RecordBatch> {
        let Layout {
            schema, of_rows, ..
        } = &*self.layout;
        let parser = of_rows.parser();
        let weighted = self.shards[shard][rows]
            .iter()
            .flat_map(|(row, weight)| std::iter::repeat_n(parser.parse(row), times(*weight)));
        let columns = of_rows.convert_rows(weighted)?;
        let empty = columns.first().is_none_or(|c: &ArrayRef| c.is_empty());
        match empty {
            true => Ok(RecordBatch::new_empty(Arc::clone(schema))),
            false => RecordBatch::try_new(Arc::clone(schema), columns),
        }
    }
}
