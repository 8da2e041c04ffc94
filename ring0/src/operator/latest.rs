//! Of rows that replace each other by a key, those that stand: the last one of each key, once the
//! input has ended. Rows come in the order of their split, all of a key to one shard.

use std::sync::Arc;

use crate::build::HASH_SEED;
use crate::error::{Result, refuse};
use crate::frame::Frame;
use crate::hash::hash_keys;
use crate::operator::aggregate::Progress;
use crate::schema::Schema;
use crate::table::BATCH_ROWS;
use crate::table::index::{KeyIndex, Looked, ROWS_MAX};
use crate::table::keys::{KeyBatch, KeyLayout};
use crate::tally::Charge;

/// Rows of a block, a whole number of batches.
const BLOCK_ROWS: usize = 4096;
const _: () = assert!(BLOCK_ROWS.is_multiple_of(BATCH_ROWS));

/// By what rows replace each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestSpec {
    /// The input's columns, which are the output's.
    pub schema: Arc<Schema>,
    /// The key.
    pub keys: Vec<usize>,
}

/// The rows so far.
#[derive(Debug)]
pub(crate) struct Latest {
    spec: LatestSpec,
    layout: KeyLayout,
    batch: KeyBatch,
    /// The first row of those in the batch.
    batched: Option<usize>,
    hashes: Vec<u64>,
    blocks: Vec<Frame>,
    /// Bytes of the blocks but the last, and of all that is kept.
    full_bytes: usize,
    charge: Charge,
    index: KeyIndex,
    /// How many rows were looked at once all were there.
    told: usize,
}

impl Latest {
    /// # Errors
    /// [`crate::error::Error::Program`] where the key is none of columns.
    pub(crate) fn new(spec: &LatestSpec) -> Result<Self> {
        let columns = spec.schema.fields.len();
        if spec.keys.is_empty() || spec.keys.iter().any(|&key| key >= columns) {
            return refuse(format!("rows by the key {:?} of {columns}", spec.keys));
        }
        let layout = KeyLayout::new(&spec.schema, &spec.keys);
        Ok(Self {
            index: KeyIndex::new(&layout),
            layout,
            batch: KeyBatch::default(),
            batched: None,
            hashes: Vec::new(),
            blocks: Vec::new(),
            full_bytes: 0,
            charge: Charge::default(),
            told: 0,
            spec: spec.clone(),
        })
    }

    /// The rows so far, in the order in which they came.
    pub(super) fn all(&self) -> (&Schema, &[Frame]) {
        (&self.spec.schema, &self.blocks)
    }

    /// Takes the rows of a frame.
    pub(crate) fn update(&mut self, frame: &Frame) {
        let schema = &self.spec.schema;
        assert!(
            self.index.len() + frame.rows() < ROWS_MAX,
            "rows of a table have 32 bits"
        );
        hash_keys(frame, schema, &self.spec.keys, HASH_SEED, &mut self.hashes);
        for start in (0..frame.rows()).step_by(BATCH_ROWS) {
            let count = BATCH_ROWS.min(frame.rows() - start);
            self.batch.fill(&self.layout, frame, start, count);
            let hashes = &self.hashes[start..start + count];
            self.index.append(&self.batch, hashes, |_| true);
        }
        let mut from = 0;
        while from < frame.rows() {
            if self.blocks.last().is_none_or(|b| b.room() == 0) {
                self.full_bytes += self.blocks.last().map_or(0, Frame::heap_bytes);
                self.blocks.push(Frame::new(schema, BLOCK_ROWS));
            }
            let block = self.blocks.last_mut().expect("there is one with room");
            let upto = frame.rows().min(from + block.room());
            block.append_range(frame, from..upto);
            from = upto;
        }
        let last = self.blocks.last().map_or(0, Frame::heap_bytes);
        self.charge.set(self.full_bytes + last + self.index.bytes());
    }

    /// Writes rows into `out`, as far as there is room and a slice of work goes.
    pub(crate) fn emit(&mut self, out: &mut Frame) -> Progress {
        if !self.index.build(BLOCK_ROWS) {
            return Progress::Full;
        }
        let upto = self.index.len().min(self.told + BLOCK_ROWS);
        while self.told < upto && !out.is_full() {
            if self.stands(self.told) {
                let within = self.told % BLOCK_ROWS;
                out.append_range(&self.blocks[self.told / BLOCK_ROWS], within..within + 1);
            }
            self.told += 1;
        }
        match self.told < self.index.len() {
            true => Progress::Full,
            false => Progress::Done,
        }
    }

    /// Whether no later row has the key of this one.
    fn stands(&mut self, row: usize) -> bool {
        let first = row - row % BATCH_ROWS;
        if self.batched != Some(first) {
            let block = &self.blocks[row / BLOCK_ROWS];
            let start = first % BLOCK_ROWS;
            let count = BATCH_ROWS.min(block.rows() - start);
            self.batch.fill(&self.layout, block, start, count);
            self.batched = Some(first);
        }
        let looked = Looked {
            hash: self.index.hash(row),
            batch: &self.batch,
            row: row - first,
        };
        self.index.next(row, &looked).is_none()
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;

    use super::*;
    use crate::column::Column;
    use crate::schema::Field;

    /// Of each key the last row stands, whatever the frames and however many rows there are.
    #[test]
    fn the_last_row_of_each_key_stands() {
        let fields = ["k", "n"].map(|name| Field::new(name, DataType::Int64));
        let schema = Arc::new(Schema::new(fields.to_vec()));
        for (rows, keys, frame_rows) in [(0, 1, 1), (10, 3, 1), (9000, 7, 1024), (9000, 5000, 7)] {
            let spec = LatestSpec {
                schema: Arc::clone(&schema),
                keys: vec![0],
            };
            let mut latest = Latest::new(&spec).expect("a key");
            let numbers: Vec<i64> = (0..rows).collect();
            for some in numbers.chunks(700) {
                let mut frame = Frame::new(&schema, 700);
                for (at, column) in frame.columns.iter_mut().enumerate() {
                    let Column::I64(column) = column else {
                        panic!("BIGINT")
                    };
                    let value = |n: &i64| Some(if at == 0 { n % keys } else { *n });
                    some.iter().for_each(|n| column.push(value(n)));
                }
                frame.commit_rows(some.len());
                latest.update(&frame);
            }
            let mut got = Vec::new();
            let mut out = Frame::new(&schema, frame_rows);
            loop {
                let progress = latest.emit(&mut out);
                let Column::I64(column) = &out.columns[1] else {
                    panic!("BIGINT")
                };
                got.extend_from_slice(&column.values);
                out.clear();
                if progress == Progress::Done {
                    break;
                }
            }
            let want = (rows - keys).max(0)..rows;
            assert_eq!(got, want.collect::<Vec<_>>(), "{rows} rows of {keys} keys");
        }
    }
}
