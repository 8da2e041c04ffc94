//! Aggregation as a changelog: each row of the input gives its group as it is then, and takes back
//! how it was before. Rows are taken one by one, in order, so that nothing depends on how they came
//! together in frames.

use std::ops::Range;
use std::ptr;

use super::generic::Generic;
use super::{Aggregate, Pane, Progress, Shared, emit, open};
use crate::changelog::{INSERT, UPDATE_AFTER, UPDATE_BEFORE, UPDATE_ROWS, push};
use crate::error::Result;
use crate::frame::Frame;
use crate::table::{BATCH_ROWS, Slots};

/// Windows that are forgotten in one step.
const WINDOWS_MAX: usize = 32;

impl Aggregate {
    /// Takes rows of `frame` from row `from` on as long as `out` has room for what they change.
    /// Gives the first row that is left.
    ///
    /// # Errors
    /// As [`Aggregate::update`] and [`Aggregate::emit`].
    pub fn change(
        &mut self,
        frame: &Frame,
        hashes: &[u64],
        from: usize,
        out: &mut Frame,
    ) -> Result<usize> {
        assert_eq!(frame.rows(), hashes.len(), "one hash a row");
        if let Some(pane) = &mut self.whole {
            let rows = from..hashes.len();
            return self.shared.change(pane, None, frame, hashes, rows, out);
        }
        let starts = match hashes.is_empty() {
            true => &[],
            false => self.shared.window_starts(frame)?,
        };
        let mut at = from;
        while at < starts.len() && self.shared.has_room(out) {
            let start = starts[at];
            let alike = starts[at..].iter().take_while(|s| **s == start).count();
            let pane = open(&mut self.windows, &mut self.shared, start)?;
            let rows = at..at + alike;
            at = (self.shared).change(pane, Some(start), frame, hashes, rows, out)?;
        }
        Ok(at)
    }

    /// Replaces `first` by whether each row of `frame` is the first of its group.
    ///
    /// # Errors
    /// As [`Aggregate::update`].
    pub fn mark(&mut self, frame: &Frame, hashes: &[u64], first: &mut Vec<bool>) -> Result<()> {
        assert_eq!(frame.rows(), hashes.len(), "one hash a row");
        first.clear();
        if let Some(pane) = &mut self.whole {
            return self
                .shared
                .mark(pane, frame, hashes, 0..hashes.len(), first);
        }
        let starts = match hashes.is_empty() {
            true => &[],
            false => self.shared.window_starts(frame)?,
        };
        for alike in starts.chunk_by(|a, b| a == b) {
            let pane = open(&mut self.windows, &mut self.shared, alike[0])?;
            let rows = first.len()..first.len() + alike.len();
            (self.shared).mark(pane, frame, hashes, rows, first)?;
        }
        Ok(())
    }

    /// The end of the input: the one group of all rows stands, also where there were none.
    ///
    /// # Errors
    /// As [`Aggregate::emit`].
    pub fn end_changes(&mut self, out: &mut Frame) -> Result<()> {
        let Some(Pane { table, generic }) = &mut self.whole else {
            return Ok(());
        };
        if !self.shared.spec.keys.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
        let mut cursor = Default::default();
        let count = table.scan(&shared.layout, &shared.store, &mut cursor, 1, &mut slots);
        assert_eq!(count, 1, "without keys there is one group");
        match shared.is_new(slots[0]) {
            true => shared.give(generic, slots[0], None, INSERT, out),
            false => Ok(()),
        }
    }

    /// Forgets the windows that end at or before `upto_ns`: no row of theirs comes any more.
    /// [`Progress::Full`] where enough were forgotten for one turn.
    pub fn close(&mut self, upto_ns: i64) -> Progress {
        for _ in 0..WINDOWS_MAX {
            let Some(first) = self.windows.first_entry() else {
                return Progress::Done;
            };
            if self.shared.window_end_ns(*first.key()) > i128::from(upto_ns) {
                return Progress::Done;
            }
            first.remove().table.release(&mut self.shared.store);
        }
        Progress::Full
    }
}

impl Shared {
    fn has_room(&self, out: &Frame) -> bool {
        out.room() >= UPDATE_ROWS && !(self.has_strings && out.is_full())
    }

    fn is_new(&self, slot: *mut u64) -> bool {
        emit::word(slot, self.plan.rows_at) == 0
    }

    /// Appends a group as it is now.
    fn give(
        &self,
        generic: &mut Generic,
        slot: *mut u64,
        window: Option<i64>,
        op: i8,
        out: &mut Frame,
    ) -> Result<()> {
        self.push(generic, &[slot], window, out)?;
        push(out, op);
        out.commit_rows(1);
        Ok(())
    }

    fn mark(
        &mut self,
        pane: &mut Pane,
        frame: &Frame,
        hashes: &[u64],
        rows: Range<usize>,
        first: &mut Vec<bool>,
    ) -> Result<()> {
        let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
        let mut at = rows.start;
        while at < rows.end {
            let found = self.find(pane, frame, hashes, at..rows.end, &mut slots)?;
            for &slot in &slots[..found] {
                first.push(self.is_new(slot));
                self.apply_cells(&mut pane.table, frame, at, &[slot])?;
                at += 1;
            }
        }
        Ok(())
    }

    /// Finds or makes the slots of some of the next rows. Gives how many.
    fn find(
        &mut self,
        pane: &mut Pane,
        frame: &Frame,
        hashes: &[u64],
        rows: Range<usize>,
        slots: &mut Slots,
    ) -> Result<usize> {
        let count = rows.len().min(BATCH_ROWS);
        self.batch.fill(&self.layout.keys, frame, rows.start, count);
        let hashes = match self.layout.keys.words() {
            0 => &[0; BATCH_ROWS][..count],
            _ => &hashes[rows.start..rows.start + count],
        };
        let store = &mut self.store;
        (pane.table).resolve(&self.layout, store, &self.batch, hashes, 0, slots)
    }

    fn change(
        &mut self,
        pane: &mut Pane,
        window: Option<i64>,
        frame: &Frame,
        hashes: &[u64],
        rows: Range<usize>,
        out: &mut Frame,
    ) -> Result<usize> {
        let mut numbers = Vec::new();
        let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
        let mut at = rows.start;
        while at < rows.end && self.has_room(out) {
            // Groups are made for no more rows than there is room for.
            let next = at..rows.end.min(at + out.room() / UPDATE_ROWS);
            let found = self.find(pane, frame, hashes, next, &mut slots)?;
            let Pane { table, generic } = &mut *pane;
            for &slot in &slots[..found] {
                if !self.has_room(out) {
                    return Ok(at);
                }
                let is_new = self.is_new(slot);
                if !is_new && self.spec.calls.is_empty() {
                    // The keys are all that there is of a group, and they stand.
                    at += 1;
                    continue;
                }
                if !is_new {
                    self.give(generic, slot, window, UPDATE_BEFORE, out)?;
                }
                self.apply_cells(table, frame, at, &[slot])?;
                if let Some(number_at) = self.plan.number_at {
                    numbers.clear();
                    generic.number(&[slot], number_at, &mut numbers);
                    generic.update(&self.spec, frame, at, &numbers)?;
                }
                let op = if is_new { INSERT } else { UPDATE_AFTER };
                self.give(generic, slot, window, op, out)?;
                at += 1;
            }
        }
        Ok(at)
    }
}
