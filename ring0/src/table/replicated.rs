//! A small table that every shard has: its rows, immutable, found by key. It is built off the
//! shards and probed by all of them at once ([`crate::replicated`] brings it there).
//!
//! Keys have the form that slots of state tables keep, and so the one equality of keys; a NULL
//! among them equals nothing, as in a join. Rows of one key are found in their order. Probing never
//! allocates once a [`Probe`] has seen a full batch.

use crate::build::HASH_SEED;
use crate::error::{Error, Result, refuse};
use crate::frame::Frame;
use crate::hash::hash_keys;
use crate::schema::Schema;
use crate::table::BATCH_ROWS;
use crate::table::index::{KeyIndex, Looked, ROWS_MAX};
use crate::table::keys::{KeyBatch, KeyLayout};

/// The table.
#[derive(Debug)]
pub struct ReplicatedTable {
    rows: Frame,
    bytes: usize,
    index: KeyIndex,
}

impl ReplicatedTable {
    /// The rows of table `name`, to be found by the columns `keys`; at most `bytes_max` bytes of
    /// values, which is the setting `broadcast_max_bytes`.
    ///
    /// # Errors
    /// [`Error::Broadcast`] where the rows are more, [`Error::Program`] where the keys are no
    /// columns.
    pub fn new(
        name: &str,
        schema: &Schema,
        keys: &[usize],
        rows: Frame,
        bytes_max: usize,
    ) -> Result<Self> {
        if keys.is_empty() || keys.iter().any(|&k| k >= schema.fields.len()) {
            return refuse(format!("table {name} has no key columns {keys:?}"));
        }
        let bytes = bytes(schema, &rows);
        if bytes > bytes_max || rows.rows() >= ROWS_MAX {
            let name = name.to_owned();
            return Err(Error::Broadcast {
                name,
                bytes,
                bytes_max,
            });
        }
        let layout = KeyLayout::new(schema, keys);
        let mut hashes = Vec::new();
        hash_keys(&rows, schema, keys, HASH_SEED, &mut hashes);
        let mut index = KeyIndex::new(&layout);
        let mut batch = KeyBatch::default();
        for start in (0..rows.rows()).step_by(BATCH_ROWS) {
            let count = BATCH_ROWS.min(rows.rows() - start);
            batch.fill(&layout, &rows, start, count);
            let known = |row: usize| keys.iter().all(|&k| rows.columns[k].is_valid(start + row));
            index.append(&batch, &hashes[start..start + count], known);
        }
        index.build(usize::MAX);
        Ok(Self { rows, bytes, index })
    }

    /// Its rows.
    pub fn rows(&self) -> &Frame {
        &self.rows
    }

    /// Bytes of its values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Bytes of the values of rows.
fn bytes(schema: &Schema, rows: &Frame) -> usize {
    let columns = rows.columns.iter().zip(&schema.fields);
    let sizes = columns.map(|(column, field)| {
        let data = column.to_array(&field.data_type).to_data();
        // Of any array that is whole this is known.
        data.get_slice_memory_size().unwrap_or(usize::MAX)
    });
    sizes.fold(0, usize::saturating_add)
}

/// The keys of a batch of rows, to be looked for. One is made for an operator and used again.
#[derive(Debug)]
pub struct Probe {
    layout: KeyLayout,
    keys: Vec<usize>,
    batch: KeyBatch,
    hashes: Vec<u64>,
    start: usize,
    count: usize,
}

impl Probe {
    /// Looks by these columns of frames of `schema`; they have the types of the table's keys.
    pub fn new(schema: &Schema, keys: &[usize]) -> Self {
        Self {
            layout: KeyLayout::new(schema, keys),
            keys: keys.to_vec(),
            batch: KeyBatch::default(),
            hashes: Vec::new(),
            start: 0,
            count: 0,
        }
    }

    /// Takes a frame in hand.
    pub fn begin(&mut self, schema: &Schema, frame: &Frame) {
        hash_keys(frame, schema, &self.keys, HASH_SEED, &mut self.hashes);
    }

    /// Takes the keys of `count` of its rows, from row `start` on.
    ///
    /// # Panics
    /// Where that is more than [`BATCH_ROWS`], or than the frame has.
    pub fn take(&mut self, frame: &Frame, start: usize, count: usize) {
        assert_eq!(self.hashes.len(), frame.rows(), "the frame in hand");
        self.batch.fill(&self.layout, frame, start, count);
        (self.start, self.count) = (start, count);
    }

    /// The rows of a table with the key of row `row` of the frame in hand, in their order.
    ///
    /// # Panics
    /// Where the row is not among those that were taken.
    pub fn find<'t>(&'t self, table: &'t ReplicatedTable, frame: &Frame, row: usize) -> Found<'t> {
        let probed = row - self.start;
        assert!(probed < self.count, "a row that was taken");
        let known = self.keys.iter().all(|&k| frame.columns[k].is_valid(row));
        let looked = Looked {
            hash: self.hashes[row],
            batch: &self.batch,
            row: probed,
        };
        Found {
            table,
            row: known.then(|| table.index.first(&looked)).flatten(),
            looked,
        }
    }
}

/// Rows of a table with one key.
#[derive(Debug)]
pub struct Found<'t> {
    table: &'t ReplicatedTable,
    looked: Looked<'t>,
    row: Option<usize>,
}

impl Iterator for Found<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let found = self.row?;
        self.row = self.table.index.next(found, &self.looked);
        Some(found)
    }
}

#[cfg(test)]
mod tests;
