//! Rows in order, once all of them are there: ORDER BY and LIMIT over input that ends. Of rows
//! that are alike by all keys those that came first stand first.
//!
//! With a limit no more is kept than twice what it lets pass: then the rows that cannot be among
//! the first any more go, and later ones are not even kept that stand behind the last of these.

use std::sync::Arc;

use crate::error::{Result, refuse};
use crate::frame::Frame;
use crate::operator::aggregate::Progress;
use crate::order::{SortKey, put_key};
use crate::schema::Schema;
use crate::tally::Charge;

/// Rows of a block, which is copied as a whole when rows go.
const BLOCK_ROWS: usize = 4096;

/// In which order rows leave, and which of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortSpec {
    /// The input's columns, which are the output's.
    pub schema: Arc<Schema>,
    /// By what, the most important first; none: as they came.
    pub keys: Vec<SortKey>,
    /// How many of the first are left out.
    pub skip: usize,
    /// How many follow at most.
    pub fetch: Option<usize>,
}

/// A row: where its sort key lies, and where the row does.
#[derive(Debug, Clone, Copy)]
struct Entry {
    key: usize,
    key_bytes: u32,
    /// How many of them are the partition's.
    partition_bytes: u32,
    row: u32,
}

/// The rows so far.
#[derive(Debug)]
pub(crate) struct Sort {
    spec: SortSpec,
    /// How many of the keys say which rows belong together.
    partition: usize,
    blocks: Vec<Frame>,
    /// Bytes of the blocks but the last, and of all that is kept.
    full_bytes: usize,
    charge: Charge,
    keys: Vec<u8>,
    entries: Vec<Entry>,
    /// The key behind which no row is wanted any more.
    last: Option<Vec<u8>>,
    /// How many rows have left; `None` before they are in order.
    left: Option<usize>,
}

impl Sort {
    /// # Errors
    /// [`crate::error::Error::Program`] where a key is no column.
    pub(crate) fn new(spec: &SortSpec) -> Result<Self> {
        Self::partitioned(spec, 0)
    }

    /// As [`Sort::new`], the rows of equal first `partition` keys belonging together.
    pub(super) fn partitioned(spec: &SortSpec, partition: usize) -> Result<Self> {
        let columns = spec.schema.fields.len();
        if let Some(key) = spec.keys.iter().find(|key| key.column >= columns) {
            return refuse(format!("ORDER BY column {} of {columns}", key.column));
        }
        Ok(Self {
            spec: spec.clone(),
            partition,
            blocks: Vec::new(),
            full_bytes: 0,
            charge: Charge::default(),
            keys: Vec::new(),
            entries: Vec::new(),
            last: None,
            left: None,
        })
    }

    /// How many rows are wanted at the most.
    fn rows_max(&self) -> Option<usize> {
        self.spec
            .fetch
            .map(|fetch| self.spec.skip.saturating_add(fetch))
    }

    /// Takes the rows of a frame.
    pub(crate) fn update(&mut self, frame: &Frame) {
        assert!(self.left.is_none(), "no row comes behind the end");
        let mut kept = Vec::with_capacity(frame.rows());
        for row in 0..frame.rows() {
            let key = self.keys.len();
            let (partition, order) = self.spec.keys.split_at(self.partition);
            put_key(&mut self.keys, frame, row, partition);
            let partition_bytes = (self.keys.len() - key) as u32;
            put_key(&mut self.keys, frame, row, order);
            let bytes = &self.keys[key..];
            // It came later, so that it stands behind what is alike.
            if self.last.as_deref().is_some_and(|last| bytes >= last) {
                self.keys.truncate(key);
                continue;
            }
            let key_bytes = bytes.len() as u32;
            let number = self.rows() + kept.len();
            kept.push(row as u32);
            self.entries.push(Entry {
                key,
                key_bytes,
                partition_bytes,
                row: u32::try_from(number).expect("rows of a sort have 32 bits"),
            });
            if let Some(max) = self.rows_max()
                && self.entries.len() >= max.saturating_mul(2).max(BLOCK_ROWS)
            {
                self.keep(frame, &kept);
                kept.clear();
                self.shrink(max);
            }
        }
        self.keep(frame, &kept);
        let entries = self.entries.capacity() * size_of::<Entry>();
        let last = self.blocks.last().map_or(0, Frame::heap_bytes);
        self.charge
            .set(self.full_bytes + last + self.keys.capacity() + entries);
    }

    /// The rows that are kept, in the order in which they came.
    pub(super) fn all(&self) -> (&Schema, &[Frame]) {
        (&self.spec.schema, &self.blocks)
    }

    /// How many rows the blocks hold.
    fn rows(&self) -> usize {
        let last = self.blocks.last().map_or(BLOCK_ROWS, Frame::rows);
        self.blocks.len() * BLOCK_ROWS + last - BLOCK_ROWS
    }

    /// Keeps rows, in this order.
    fn keep(&mut self, frame: &Frame, mut rows: &[u32]) {
        while !rows.is_empty() {
            if self.rows() == self.blocks.len() * BLOCK_ROWS {
                self.full_bytes += self.blocks.last().map_or(0, Frame::heap_bytes);
                self.blocks.push(Frame::new(&self.spec.schema, BLOCK_ROWS));
            }
            let block = self.blocks.last_mut().expect("a block with room");
            let (fit, rest) = rows.split_at(rows.len().min(block.room()));
            block.append_rows(frame, fit);
            rows = rest;
        }
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        &self.keys[entry.key..entry.key + entry.key_bytes as usize]
    }

    fn sort(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by(|a, b| (self.key(a), a.row).cmp(&(self.key(b), b.row)));
        self.entries = entries;
    }

    /// Forgets all rows but the first `max`.
    fn shrink(&mut self, max: usize) {
        self.sort();
        self.entries.truncate(max);
        self.last = self.entries.last().map(|entry| self.key(entry).to_vec());
        if max == 0 {
            self.last = Some(Vec::new());
        }
        // In the order in which they came, so that their numbers still tell it.
        self.entries.sort_unstable_by_key(|entry| entry.row);
        let (blocks, keys) = (
            std::mem::take(&mut self.blocks),
            std::mem::take(&mut self.keys),
        );
        self.full_bytes = 0;
        let mut entries = std::mem::take(&mut self.entries);
        let block_of = |entry: &Entry| entry.row as usize / BLOCK_ROWS;
        for same in entries.chunk_by(|a, b| block_of(a) == block_of(b)) {
            let rows = same.iter().map(|e| e.row % BLOCK_ROWS as u32);
            self.keep(&blocks[block_of(&same[0])], &rows.collect::<Vec<_>>());
        }
        for (number, entry) in entries.iter_mut().enumerate() {
            let Entry { key, key_bytes, .. } = *entry;
            entry.key = self.keys.len();
            self.keys
                .extend_from_slice(&keys[key..key + key_bytes as usize]);
            entry.row = number as u32;
        }
        self.entries = entries;
    }

    /// The rows of the partition behind the last one that was given; to be called once no more
    /// come.
    pub(super) fn next_partition(&mut self) -> Option<Frame> {
        if self.left.is_none() {
            self.sort();
        }
        let from = *self.left.get_or_insert(0);
        let first = self.entries.get(from)?;
        let partition = |e: &Entry| &self.keys[e.key..e.key + e.partition_bytes as usize];
        let same = |e: &&Entry| partition(e) == partition(first);
        let rows = self.entries[from..].iter().take_while(same).count();
        let mut out = Frame::new(&self.spec.schema, rows);
        for entry in &self.entries[from..from + rows] {
            let (block, row) = (
                entry.row as usize / BLOCK_ROWS,
                entry.row as usize % BLOCK_ROWS,
            );
            out.append_range(&self.blocks[block], row..row + 1);
        }
        self.left = Some(from + rows);
        Some(out)
    }

    /// Writes rows into `out` until it is full; to be called once no more come.
    pub(crate) fn emit(&mut self, out: &mut Frame) -> Progress {
        if self.left.is_none() {
            self.sort();
            if let Some(max) = self.rows_max() {
                self.entries.truncate(max);
            }
            self.left = Some(self.spec.skip.min(self.entries.len()));
        }
        let mut at = self.left.unwrap_or_default();
        while at < self.entries.len() && !out.is_full() {
            let row = self.entries[at].row as usize;
            let row_of_block = row % BLOCK_ROWS;
            out.append_range(
                &self.blocks[row / BLOCK_ROWS],
                row_of_block..row_of_block + 1,
            );
            at += 1;
        }
        self.left = Some(at);
        match at < self.entries.len() {
            true => Progress::Full,
            false => Progress::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;
    use proptest::prelude::*;

    use super::*;
    use crate::column::Column;
    use crate::order::{Direction, Nulls};
    use crate::schema::Field;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// As a stable sort of all rows, whatever is kept on the way.
        #[test]
        fn rows_leave_as_a_stable_sort_has_them(
            values in prop::collection::vec(prop::option::of(0i64..50), 0..20_000),
            skip in prop_oneof![Just(0usize), 0usize..100],
            fetch in prop::option::of(prop_oneof![0usize..20, 0usize..6000]),
            frame_rows in prop::sample::select(vec![1usize, 7, 1024]),
            descending in any::<bool>(),
        ) {
            let fields = vec![Field::new("a", DataType::Int64), Field::new("n", DataType::Int64)];
            let schema = Arc::new(Schema::new(fields));
            let direction = match descending {
                true => Direction::Descending,
                false => Direction::Ascending,
            };
            let keys = vec![SortKey { column: 0, direction, nulls: Nulls::First }];
            let spec = SortSpec { schema: Arc::clone(&schema), keys, skip, fetch };
            let mut sort = Sort::new(&spec).expect("a column");
            let numbered: Vec<(Option<i64>, i64)> = values.iter().copied().zip(0..).collect();
            for rows in numbered.chunks(1000) {
                let mut frame = Frame::new(&schema, 1000);
                for (a, n) in rows {
                    for (column, value) in frame.columns.iter_mut().zip([*a, Some(*n)]) {
                        let Column::I64(column) = column else { panic!("BIGINT") };
                        column.push(value);
                    }
                }
                frame.commit_rows(rows.len());
                sort.update(&frame);
            }
            let mut got = Vec::new();
            loop {
                let mut out = Frame::new(&schema, frame_rows);
                let progress = sort.emit(&mut out);
                let Column::I64(column) = &out.columns[1] else { panic!("BIGINT") };
                got.extend_from_slice(&column.values);
                if progress == Progress::Done {
                    break;
                }
            }
            let mut want = numbered;
            match descending {
                true => want.sort_by_key(|(a, _)| (a.is_some(), std::cmp::Reverse(*a))),
                false => want.sort_by_key(|(a, _)| *a),
            }
            let want = want.into_iter().skip(skip).take(fetch.unwrap_or(usize::MAX));
            prop_assert_eq!(got, want.map(|(_, n)| n).collect::<Vec<_>>());
        }
    }
}
