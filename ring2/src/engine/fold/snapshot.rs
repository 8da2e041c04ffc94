//! Rows that stood at one moment, shared with the view that goes on. They are read by slices, each
//! of which is a block.

use std::ops::Range;
use std::sync::Arc;

use arrow_ipc::writer::StreamWriter;
use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};

use super::block::{BLOCK_ROWS, Block, Rest, times};
use super::{Layout, Result};

/// Rows that stood at one moment, by shard.
#[derive(Debug)]
pub(in crate::engine) struct Snapshot {
    pub(super) layout: Arc<Layout>,
    pub(super) shards: Vec<Vec<Block>>,
}

impl Snapshot {
    /// How many shards there are.
    pub(in crate::engine) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Some rows of a shard as bytes, each once, with how often it stands: what
    /// [`Fold::go_on`](super::Fold::go_on) takes, as an Arrow IPC stream.
    ///
    /// # Panics
    /// The rows are not of their layout.
    pub(in crate::engine) fn encoded(&self, shard: usize, rows: Range<usize>) -> Vec<u8> {
        let Layout { schema, places, .. } = &*self.layout;
        let (block, rows) = self.block(shard, rows);
        let weights = rows.clone().map(|row| block.weight(row));
        let weights: Int64Array = weights.filter(|weight| *weight != 0).collect();
        let once = |weight| usize::from(weight != 0);
        let columns = block.columns(places, rows, (once, Rest::Read));
        let mut columns = columns.expect("rows are of their layout");
        columns.push(Arc::new(weights));
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

    /// Places of a shard's rows, in which [`Self::batch`] counts: as many at once as are read in
    /// one slice.
    pub(in crate::engine) fn len(&self, shard: usize) -> usize {
        self.shards[shard].iter().map(Block::len).sum()
    }

    /// The block that has these places, and where in it.
    fn block(&self, shard: usize, rows: Range<usize>) -> (&Block, Range<usize>) {
        let number = rows.start / BLOCK_ROWS;
        let first = number * BLOCK_ROWS;
        assert!(rows.end <= first + BLOCK_ROWS, "slices are blocks");
        (
            &self.shards[shard][number],
            rows.start - first..rows.end - first,
        )
    }

    /// Bytes that it keeps.
    pub(in crate::engine) fn bytes(&self) -> usize {
        self.shards.iter().flatten().map(Block::bytes).sum()
    }

    /// How many rows are in some places of a shard.
    pub(in crate::engine) fn count(&self, shard: usize, rows: Range<usize>) -> usize {
        let (block, rows) = self.block(shard, rows);
        block.count(rows)
    }

    /// The rows in some places of a shard.
    pub(in crate::engine) fn batch(&self, shard: usize, rows: Range<usize>) -> Result<RecordBatch> {
        self.weighed(shard, rows, (times, Rest::Read))
    }

    /// The same, of which nobody looks at columns that are left out.
    pub(in crate::engine) fn part(
        &self,
        shard: usize,
        rows: Range<usize>,
        rest: Rest,
    ) -> Result<RecordBatch> {
        self.weighed(shard, rows, (times, rest))
    }

    /// Those of them that went before they came.
    pub(in crate::engine) fn owed(&self, shard: usize, rows: Range<usize>) -> Result<RecordBatch> {
        let owed = |weight: i64| times(weight.saturating_neg());
        self.weighed(shard, rows, (owed, Rest::Read))
    }

    /// Some rows of a shard, each as often as its weight says.
    fn weighed(
        &self,
        shard: usize,
        rows: Range<usize>,
        times: (fn(i64) -> usize, Rest),
    ) -> Result<RecordBatch> {
        let Layout { schema, places, .. } = &*self.layout;
        if rows.is_empty() {
            return Ok(RecordBatch::new_empty(Arc::clone(schema)));
        }
        let (block, rows) = self.block(shard, rows);
        RecordBatch::try_new(Arc::clone(schema), block.columns(places, rows, times)?)
    }
}
