//! The rows of a join's build side: kept in blocks, and found by key.

use super::keys::SideKeys;
use crate::column::Column;
use crate::frame::Frame;
use crate::program::{JoinSpec, Side};
use crate::table::BATCH_ROWS;
use crate::table::index::{KeyIndex, Looked, ROWS_MAX};

/// Rows of a block.
const BLOCK_ROWS: usize = 4096;

/// A row of the build side, or none in its place.
pub(super) type Match = Option<u32>;

/// Where the search for the matches of a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Behind(usize),
    End,
}

/// The rows.
#[derive(Debug)]
pub(super) struct Kept {
    blocks: Vec<Frame>,
    rows: usize,
    index: KeyIndex,
    indexed: bool,
    build: SideKeys,
    probe: SideKeys,
    nulls_equal: bool,
    seed: u64,
    /// The rows of the frame in hand whose keys are in the batch.
    start: usize,
    count: usize,
    at: At,
}

impl Kept {
    /// Of the rows of a side.
    pub(super) fn new(spec: &JoinSpec, side: Side, seed: u64) -> Self {
        let build = SideKeys::of(spec, side);
        Self {
            blocks: Vec::new(),
            rows: 0,
            index: KeyIndex::new(&build.layout),
            indexed: false,
            build,
            probe: SideKeys::of(spec, side.other()),
            nulls_equal: spec.nulls_equal,
            seed,
            start: 0,
            count: 0,
            at: At::Start,
        }
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Keeps the rows of a frame.
    pub(super) fn append(&mut self, frame: &Frame) {
        assert!(
            self.rows + frame.rows() < ROWS_MAX,
            "rows of a join's side have 32 bits"
        );
        if !self.build.columns.is_empty() {
            self.append_keys(frame);
        }
        let mut from = 0;
        while from < frame.rows() {
            if self.blocks.last().is_none_or(|b| b.room() == 0) {
                self.blocks.push(Frame::new(&self.build.schema, BLOCK_ROWS));
            }
            let block = self.blocks.last_mut().expect("there is one with room");
            let upto = frame.rows().min(from + block.room());
            block.append_range(frame, from..upto);
            from = upto;
        }
        self.rows += frame.rows();
    }

    fn append_keys(&mut self, frame: &Frame) {
        self.build.hash(frame, self.seed);
        for start in (0..frame.rows()).step_by(BATCH_ROWS) {
            let count = BATCH_ROWS.min(frame.rows() - start);
            self.build.fill(frame, start, count);
            let all = self.nulls_equal;
            let known = |row: usize| all || self.build.known(frame, start + row);
            let hashes = &self.build.hashes[start..start + count];
            self.index.append(&self.build.batch, hashes, known);
        }
    }

    /// Whether a row of the build side has a key that is not known.
    pub(super) fn has_unknown(&self, frame: &Frame) -> bool {
        (0..frame.rows()).any(|row| !self.build.known(frame, row))
    }

    /// Whether the key of a row of the other side is known.
    pub(super) fn is_known(&self, frame: &Frame, row: usize) -> bool {
        self.probe.known(frame, row)
    }

    /// Makes so many rows more be found. Returns whether all are.
    pub(super) fn index(&mut self, rows: usize) -> bool {
        self.indexed = self.indexed || self.build.columns.is_empty() || self.index.build(rows);
        self.indexed
    }

    /// Takes a frame of the other side in hand.
    pub(super) fn begin(&mut self, frame: &Frame) {
        if !self.probe.columns.is_empty() {
            self.probe.hash(frame, self.seed);
        }
        (self.start, self.count, self.at) = (0, 0, At::Start);
    }

    /// Another row is looked at.
    pub(super) fn restart(&mut self) {
        self.at = At::Start;
    }

    /// The next row with the key of this row of the frame in hand.
    pub(super) fn next(&mut self, frame: &Frame, row: usize) -> Match {
        let found = match self.probe.columns.is_empty() {
            true => self.next_of_all(),
            false => self.next_by_key(frame, row),
        };
        self.at = found.map_or(At::End, At::Behind);
        found.map(|row| row as u32)
    }

    fn next_of_all(&self) -> Option<usize> {
        let next = match self.at {
            At::Start => 0,
            At::Behind(row) => row + 1,
            At::End => return None,
        };
        (next < self.rows).then_some(next)
    }

    fn next_by_key(&mut self, frame: &Frame, row: usize) -> Option<usize> {
        if !self.nulls_equal && !self.probe.known(frame, row) {
            return None;
        }
        if !(self.start..self.start + self.count).contains(&row) {
            (self.start, self.count) = (row, BATCH_ROWS.min(frame.rows() - row));
            self.probe.fill(frame, self.start, self.count);
        }
        let looked = Looked {
            hash: self.probe.hashes[row],
            batch: &self.probe.batch,
            row: row - self.start,
        };
        let mut found = match self.at {
            At::Start => self.index.first(&looked),
            At::Behind(before) => self.index.next(before, &looked),
            At::End => None,
        };
        while let Some(at) =
            found.filter(|at| self.nulls_equal && !self.same_nulls(*at, frame, row))
        {
            found = self.index.next(at, &looked);
        }
        found
    }

    /// Whether the keys of two rows are NULL in the same places: values in their stead are alike.
    fn same_nulls(&self, kept: usize, frame: &Frame, row: usize) -> bool {
        let (block, at) = (&self.blocks[kept / BLOCK_ROWS], kept % BLOCK_ROWS);
        let keys = self.build.columns.iter().zip(&self.probe.columns);
        keys.into_iter()
            .all(|(&b, &p)| block.columns[b].is_valid(at) == frame.columns[p].is_valid(row))
    }

    /// Appends rows to columns, NULL where there is none.
    pub(super) fn append_to(&self, to: &mut [Column], rows: &[Match]) {
        let block = |row: &Match| row.map(|r| r as usize / BLOCK_ROWS);
        for run in rows.chunk_by(|a, b| block(a) == block(b)) {
            let Some(block) = block(&run[0]) else {
                for column in to.iter_mut() {
                    run.iter().for_each(|_| column.push_null());
                }
                continue;
            };
            let within: Vec<u32> = run
                .iter()
                .flatten()
                .map(|r| r % BLOCK_ROWS as u32)
                .collect();
            for (to, from) in to.iter_mut().zip(&self.blocks[block].columns) {
                to.append_rows(from, &within);
            }
        }
    }
}
