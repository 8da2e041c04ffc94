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
use crate::table::keys::{KeyBatch, KeyLayout};

/// Ends a chain of rows.
const NONE: u32 = u32::MAX;

/// The table.
#[derive(Debug)]
pub struct ReplicatedTable {
    rows: Frame,
    bytes: usize,
    hashes: Vec<u64>,
    keys: Keys,
    /// The first row of each bucket, and for each row the next one there.
    first: Vec<u32>,
    next: Vec<u32>,
}

/// The keys of all rows.
#[derive(Debug)]
enum Keys {
    /// So many words each.
    Words(usize, Vec<u64>),
    /// Bytes, and where each key ends.
    Bytes(Vec<u8>, Vec<usize>),
}

impl Keys {
    fn new(layout: &KeyLayout) -> Self {
        match layout.is_var() {
            true => Self::Bytes(Vec::new(), Vec::new()),
            false => Self::Words(layout.words(), Vec::new()),
        }
    }

    fn append(&mut self, batch: &KeyBatch, count: usize) {
        match self {
            Self::Words(n, words) => words.extend_from_slice(&batch.words[..*n * count]),
            Self::Bytes(bytes, ends) => {
                for row in 0..count {
                    bytes.extend_from_slice(batch.encoded(row));
                    ends.push(bytes.len());
                }
            }
        }
    }

    fn is(&self, row: usize, batch: &KeyBatch, probed: usize) -> bool {
        match self {
            Self::Words(n, words) => words[row * n..][..*n] == batch.words[probed * n..][..*n],
            Self::Bytes(bytes, ends) => {
                let from = row.checked_sub(1).map_or(0, |before| ends[before]);
                bytes[from..ends[row]] == *batch.encoded(probed)
            }
        }
    }
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
        if bytes > bytes_max || rows.rows() >= NONE as usize {
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
        let mut kept = Keys::new(&layout);
        let mut batch = KeyBatch::default();
        for start in (0..rows.rows()).step_by(BATCH_ROWS) {
            let count = BATCH_ROWS.min(rows.rows() - start);
            batch.fill(&layout, &rows, start, count);
            kept.append(&batch, count);
        }
        let buckets = (rows.rows() * 2).next_power_of_two().max(2);
        let mut first = vec![NONE; buckets];
        let mut next = vec![NONE; rows.rows()];
        // Backwards, so that the rows of a bucket stand in their order.
        for row in (0..rows.rows()).rev() {
            if keys.iter().all(|&k| rows.columns[k].is_valid(row)) {
                let head = &mut first[bucket(hashes[row], buckets)];
                next[row] = std::mem::replace(head, row as u32);
            }
        }
        Ok(Self {
            rows,
            bytes,
            hashes,
            keys: kept,
            first,
            next,
        })
    }

    /// Its rows.
    pub fn rows(&self) -> &Frame {
        &self.rows
    }

    /// Bytes of its values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn walk(&self, mut row: u32, probe: &Probe, probed: usize) -> u32 {
        let hash = probe.hashes[probe.start + probed];
        while row != NONE {
            let at = row as usize;
            if self.hashes[at] == hash && self.keys.is(at, &probe.batch, probed) {
                break;
            }
            row = self.next[at];
        }
        row
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

/// Key groups are in the high bits, so that the low ones tell more.
fn bucket(hash: u64, buckets: usize) -> usize {
    hash as usize & (buckets - 1)
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
        let head = match known {
            true => table.first[bucket(self.hashes[row], table.first.len())],
            false => NONE,
        };
        Found {
            table,
            probe: self,
            probed,
            row: table.walk(head, self, probed),
        }
    }
}

/// Rows of a table with one key.
#[derive(Debug)]
pub struct Found<'t> {
    table: &'t ReplicatedTable,
    probe: &'t Probe,
    probed: usize,
    row: u32,
}

impl Iterator for Found<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let found = (self.row != NONE).then_some(self.row as usize)?;
        let rest = self.table.next[found];
        self.row = self.table.walk(rest, self.probe, self.probed);
        Some(found)
    }
}

#[cfg(test)]
mod tests;
