//! The rows of a join's build side: kept in blocks, and found by key; where the condition says how
//! far times of both sides are apart, by key and stretch of time, a stretch being as long as that.
//! What a row matches lies in two stretches at the most.

use super::held::hash_at;
use super::keys::SideKeys;
use crate::column::Column;
use crate::frame::Frame;
use crate::program::{Interval, JoinSpec, Side};
use crate::table::BATCH_ROWS;
use crate::table::index::{KeyIndex, Looked, ROWS_MAX};
use crate::tally::Charge;

/// Rows of a block.
const BLOCK_ROWS: usize = 4096;

/// A row of the build side, or none in its place.
pub(super) type Match = Option<u32>;

/// Where the search for the matches of a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    /// Behind this row, which was found in the first of these stretches of time; the last one is
    /// where the search ends.
    Behind(usize, [i128; 2]),
    End,
}

/// Where the rows near to one lie.
#[derive(Debug)]
struct Near {
    interval: Interval,
    /// Length of a stretch of time, in nanoseconds.
    stretch_ns: i128,
}

impl Near {
    fn new(spec: &JoinSpec) -> Option<Self> {
        let interval = spec.near?;
        Some(Self {
            interval,
            stretch_ns: interval.stretch_ns(),
        })
    }

    /// A row's time in nanoseconds; `None` where it is NULL.
    fn time(&self, frame: &Frame, side: Side, row: usize) -> Option<i128> {
        let Column::I64(times) = &frame.columns[self.interval.times[side.port()]] else {
            unreachable!("types are checked before")
        };
        let time = times.get(row)?;
        Some(i128::from(time) * i128::from(self.interval.unit_ns[side.port()]))
    }

    /// The stretches in which that lies what a row of this side matches.
    fn stretches(&self, frame: &Frame, side: Side, row: usize) -> Option<[i128; 2]> {
        let time = self.time(frame, side, row)?;
        let from = time - i128::from(self.interval.before_ns(side));
        let to = time + i128::from(self.interval.behind_ns(side));
        Some([from, to].map(|at| at.div_euclid(self.stretch_ns)))
    }
}

/// The rows.
#[derive(Debug)]
pub(super) struct Kept {
    blocks: Vec<Frame>,
    /// Bytes of the blocks but the last, and of all that is kept.
    full_bytes: usize,
    charge: Charge,
    rows: usize,
    index: KeyIndex,
    indexed: bool,
    near: Option<Near>,
    /// The side that is kept.
    side: Side,
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
            full_bytes: 0,
            charge: Charge::default(),
            rows: 0,
            index: KeyIndex::new(&build.layout),
            indexed: false,
            near: Near::new(spec),
            side,
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
        if self.is_indexed() {
            self.append_keys(frame);
        }
        let mut from = 0;
        while from < frame.rows() {
            if self.blocks.last().is_none_or(|b| b.room() == 0) {
                self.full_bytes += self.blocks.last().map_or(0, Frame::heap_bytes);
                self.blocks.push(Frame::new(&self.build.schema, BLOCK_ROWS));
            }
            let block = self.blocks.last_mut().expect("there is one with room");
            let upto = frame.rows().min(from + block.room());
            block.append_range(frame, from..upto);
            from = upto;
        }
        self.rows += frame.rows();
        self.weigh();
    }

    /// Counts the memory.
    fn weigh(&mut self) {
        let last = self.blocks.last().map_or(0, Frame::heap_bytes);
        self.charge.set(self.full_bytes + last + self.index.bytes());
    }

    /// Whether rows are found by anything.
    fn is_indexed(&self) -> bool {
        !self.build.columns.is_empty() || self.near.is_some()
    }

    fn append_keys(&mut self, frame: &Frame) {
        self.build.hash(frame, self.seed);
        let near = self.near.as_ref();
        if let Some(near) = near {
            for (row, hash) in self.build.hashes.iter_mut().enumerate() {
                if let Some(time) = near.time(frame, self.side, row) {
                    *hash = hash_at(*hash, time.div_euclid(near.stretch_ns));
                }
            }
        }
        for start in (0..frame.rows()).step_by(BATCH_ROWS) {
            let count = BATCH_ROWS.min(frame.rows() - start);
            self.build.fill(frame, start, count);
            let all = self.nulls_equal;
            let known = |row: usize| {
                let row = start + row;
                let is_timed = near.is_none_or(|near| near.time(frame, self.side, row).is_some());
                (all || self.build.known(frame, row)) && is_timed
            };
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
        if !self.indexed {
            self.indexed = !self.is_indexed() || self.index.build(rows);
            self.weigh();
        }
        self.indexed
    }

    /// Takes a frame of the other side in hand.
    pub(super) fn begin(&mut self, frame: &Frame) {
        if self.is_indexed() {
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
        self.at = match self.is_indexed() {
            false => self.next_of_all(),
            true => self.next_by_key(frame, row),
        };
        match self.at {
            At::Behind(row, _) => Some(row as u32),
            At::Start | At::End => None,
        }
    }

    fn next_of_all(&self) -> At {
        let next = match self.at {
            At::Start => 0,
            At::Behind(row, _) => row + 1,
            At::End => return At::End,
        };
        match next < self.rows {
            true => At::Behind(next, [0, 0]),
            false => At::End,
        }
    }

    fn next_by_key(&mut self, frame: &Frame, row: usize) -> At {
        if !self.nulls_equal && !self.probe.known(frame, row) {
            return At::End;
        }
        if !(self.start..self.start + self.count).contains(&row) {
            (self.start, self.count) = (row, BATCH_ROWS.min(frame.rows() - row));
            self.probe.fill(frame, self.start, self.count);
        }
        let (stretches, mut before) = match (self.at, &self.near) {
            (At::Start, None) => (Some([0, 0]), None),
            (At::Start, Some(near)) => (near.stretches(frame, self.side.other(), row), None),
            (At::Behind(before, stretches), _) => (Some(stretches), Some(before)),
            (At::End, _) => (None, None),
        };
        let Some([mut stretch, last]) = stretches else {
            return At::End;
        };
        while stretch <= last {
            let hash = self.probe.hashes[row];
            let looked = Looked {
                hash: self.near.as_ref().map_or(hash, |_| hash_at(hash, stretch)),
                batch: &self.probe.batch,
                row: row - self.start,
            };
            let mut found = match before.take() {
                None => self.index.first(&looked),
                Some(before) => self.index.next(before, &looked),
            };
            while let Some(at) =
                found.filter(|at| self.nulls_equal && !self.same_nulls(*at, frame, row))
            {
                found = self.index.next(at, &looked);
            }
            if let Some(found) = found {
                return At::Behind(found, [stretch, last]);
            }
            stretch += 1;
        }
        At::End
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
