//! Rows of a frame as they change the groups of one table, or of several where rows are of
//! different windows or panes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::ptr;

use super::fused::Fused;
use super::splitter::Splitter;
use super::{Pane, Shared, open, update};
use crate::error::Result;
use crate::frame::Frame;
use crate::table::{BATCH_ROWS, Slots, Table};

/// Rows of so many windows, one behind the other, are taken as they lie in a frame.
const RUNS_MAX: usize = 8;
/// Pages that may be split before others have their turn.
const SPLITS_MAX: u64 = 2;
/// Rows that are taken at a time while a table grows, and how many times more behind a split.
const GROWING_ROWS: usize = 64;
const GROWING_PIECES: u32 = 16;

impl Shared {
    /// Takes the rows of a frame, each into the pane of its key.
    pub(super) fn apply_by<K: Ord + Copy>(
        &mut self,
        panes: &mut BTreeMap<K, Pane>,
        splitter: &mut Splitter<K>,
        keys: &[K],
        (frame, hashes, from): (&Frame, &[u64], usize),
    ) -> Result<usize> {
        // Rows mostly come in the order of their times: then none has to be copied.
        let mut runs = keys[from..].chunk_by(|a, b| a == b);
        if runs.by_ref().take(RUNS_MAX).count() < RUNS_MAX || runs.next().is_none() {
            let mut at = from;
            for run in keys[from..].chunk_by(|a, b| a == b) {
                let pane = open(panes, self, run[0])?;
                let end = at + run.len();
                at = self.apply_some(pane, frame, at..end, hashes)?;
                if at < end {
                    break;
                }
            }
            return Ok(at);
        }
        assert_eq!(from, 0, "such a frame is taken at once");
        splitter.split(keys);
        for number in 0..splitter.parts() {
            let (key, frame, hashes) = splitter.part(number, frame, hashes);
            let pane = open(panes, self, key)?;
            self.apply(pane, frame, 0..hashes.len(), hashes)?;
        }
        Ok(hashes.len())
    }

    /// Takes rows of these of a frame into a pane, until its table has grown by [`SPLITS_MAX`]
    /// pages. Gives the first row that is left. Hashes are even, so that all pages are full at
    /// about the same time: a thousand new keys may split twenty of them, each at the cost of
    /// hundreds of rows.
    pub(super) fn apply_some(
        &mut self,
        pane: &mut Pane,
        frame: &Frame,
        rows: Range<usize>,
        hashes: &[u64],
    ) -> Result<usize> {
        if self.plan.number_at.is_some() {
            // A call of DataFusion's kernels costs as much as many rows.
            self.apply(pane, frame, rows.clone(), hashes)?;
            return Ok(rows.end);
        }
        let (mut at, mut splits) = (rows.start, 0);
        while at < rows.end && splits < SPLITS_MAX {
            let end = match self.growing {
                0 => rows.end,
                _ => rows.end.min(at + GROWING_ROWS),
            };
            let before = self.store.drained();
            self.apply(pane, frame, at..end, hashes)?;
            let drained = self.store.drained() - before;
            self.growing = match drained {
                0 => self.growing.saturating_sub(1),
                _ => GROWING_PIECES,
            };
            splits += drained;
            at = end;
        }
        Ok(at)
    }

    /// Takes these rows of a frame into a pane.
    pub(super) fn apply(
        &mut self,
        pane: &mut Pane,
        frame: &Frame,
        rows: Range<usize>,
        hashes: &[u64],
    ) -> Result<()> {
        let Pane { table, generic } = pane;
        let mut numbers = Vec::new();
        // Without keys in the table there is one group, wherever the hashes point.
        let one_group = [0; BATCH_ROWS];
        let keyless = self.layout.keys.words() == 0;
        let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
        let first = rows.start;
        for (batch, hashes) in hashes[rows].chunks(BATCH_ROWS).enumerate() {
            let start = first + batch * BATCH_ROWS;
            let hashes = if keyless {
                &one_group[..hashes.len()]
            } else {
                hashes
            };
            self.batch
                .fill(&self.layout.keys, frame, start, hashes.len());
            let mut from = 0;
            while from < hashes.len() {
                let store = &mut self.store;
                let end =
                    table.resolve(&self.layout, store, &self.batch, hashes, from, &mut slots)?;
                self.apply_cells(table, frame, start + from, &slots[from..end])?;
                if let Some(at) = self.plan.number_at {
                    generic.number(&slots[from..end], at, &mut numbers);
                }
                from = end;
            }
        }
        match self.plan.number_at {
            Some(_) => generic.update(&self.spec, frame, first, &numbers),
            None => Ok(()),
        }
    }

    /// Changes the cells of `slots` with the rows of `frame` from `start` on.
    #[inline]
    pub(super) fn apply_cells(
        &mut self,
        table: &mut Table,
        frame: &Frame,
        start: usize,
        slots: &[*mut u64],
    ) -> Result<()> {
        if self.store.is_frozen() {
            self.store.keep_slots(slots, self.layout.slot_words() * 8)?;
        }
        let plan = &self.plan;
        let done = |f: &Fused| f.apply(frame, start, slots);
        let cells = match plan.fused.as_ref().is_some_and(done) {
            true => &plan.rest,
            false => &plan.cells,
        };
        let phase = self.spec.phase;
        for cell in cells {
            let (heap, store) = (&mut table.heap, &mut self.store);
            update::apply(cell, phase, heap, store, frame, start, slots)?;
        }
        Ok(())
    }
}
