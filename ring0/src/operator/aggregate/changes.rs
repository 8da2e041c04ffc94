//! Aggregation as a changelog: each row of the input gives its group as it is then, and takes back
//! how it was before. Rows are taken one by one, in order, so that nothing depends on how they came
//! together in frames.

use std::ops::Range;
use std::ptr;

use super::{Aggregate, Shared, emit, open};
use crate::changelog::{INSERT, UPDATE_AFTER, UPDATE_BEFORE, UPDATE_ROWS, push};
use crate::error::Result;
use crate::frame::Frame;
use crate::table::{BATCH_ROWS, Slots, Table};

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
        if let Some(table) = &mut self.whole {
            let rows = from..hashes.len();
            return self.shared.change(table, None, frame, hashes, rows, out);
        }
        let starts = match hashes.is_empty() {
            true => &[],
            false => self.shared.window_starts(frame)?,
        };
        let mut at = from;
        while at < starts.len() && self.shared.has_room(out) {
            let start = starts[at];
            let alike = starts[at..].iter().take_while(|s| **s == start).count();
            let table = open(&mut self.windows, &mut self.shared, start)?;
            let rows = at..at + alike;
            at = (self.shared).change(table, Some(start), frame, hashes, rows, out)?;
        }
        Ok(at)
    }

    /// The end of the input: the one group of all rows stands, also where there were none.
    ///
    /// # Errors
    /// As [`Aggregate::emit`].
    pub fn end_changes(&mut self, out: &mut Frame) -> Result<()> {
        let Some(table) = &self.whole else {
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
            true => shared.give(slots[0], None, INSERT, out),
            false => Ok(()),
        }
    }

    /// Forgets the windows that end at or before `upto_ns`: no row of theirs comes any more.
    pub fn close(&mut self, upto_ns: i64) {
        while let Some(first) = self.windows.first_entry() {
            if self.shared.window_end_ns(*first.key()) > i128::from(upto_ns) {
                return;
            }
            first.remove().release(&mut self.shared.store);
        }
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
    fn give(&self, slot: *mut u64, window: Option<i64>, op: i8, out: &mut Frame) -> Result<()> {
        self.push(&[slot], window, out)?;
        push(out, op);
        out.commit_rows(1);
        Ok(())
    }

    fn change(
        &mut self,
        table: &mut Table,
        window: Option<i64>,
        frame: &Frame,
        hashes: &[u64],
        rows: Range<usize>,
        out: &mut Frame,
    ) -> Result<usize> {
        let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
        let mut at = rows.start;
        while at < rows.end && self.has_room(out) {
            // Groups are made for no more rows than there is room for.
            let count = (rows.end - at)
                .min(BATCH_ROWS)
                .min(out.room() / UPDATE_ROWS);
            self.batch.fill(&self.layout.keys, frame, at, count);
            let hashes = match self.layout.keys.words() {
                0 => &[0; BATCH_ROWS][..count],
                _ => &hashes[at..at + count],
            };
            let store = &mut self.store;
            let found = table.resolve(&self.layout, store, &self.batch, hashes, 0, &mut slots)?;
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
                    self.give(slot, window, UPDATE_BEFORE, out)?;
                }
                self.apply_cells(table, frame, at, &[slot])?;
                let op = if is_new { INSERT } else { UPDATE_AFTER };
                self.give(slot, window, op, out)?;
                at += 1;
            }
        }
        Ok(at)
    }
}
