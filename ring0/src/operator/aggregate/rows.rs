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

impl Shared {
    /// Takes the rows of a frame, each into the pane of its key.
    pub(super) fn apply_by<K: Ord + Copy>(
        &mut self,
        panes: &mut BTreeMap<K, Pane>,
        splitter: &mut Splitter<K>,
        keys: &[K],
        frame: &Frame,
        hashes: &[u64],
    ) -> Result<()> {
        // Rows mostly come in the order of their times: then none has to be copied.
        let mut runs = keys.chunk_by(|a, b| a == b);
        if runs.by_ref().take(RUNS_MAX).count() < RUNS_MAX || runs.next().is_none() {
            let mut at = 0;
            for run in keys.chunk_by(|a, b| a == b) {
                let pane = open(panes, self, run[0])?;
                self.apply(pane, frame, at..at + run.len(), hashes)?;
                at += run.len();
            }
            return Ok(());
        }
        splitter.split(keys);
        for number in 0..splitter.parts() {
            let (key, frame, hashes) = splitter.part(number, frame, hashes);
            let pane = open(panes, self, key)?;
            self.apply(pane, frame, 0..hashes.len(), hashes)?;
        }
        Ok(())
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
