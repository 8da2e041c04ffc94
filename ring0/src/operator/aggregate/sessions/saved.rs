//! Sessions as rows of state: keys and cells as those of groups, then when each began and its last
//! row was, then the rows that it holds.

use std::ptr;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, cast::AsArray, types::Int64Type};

use super::{Session, Sessions};
use crate::error::Result;
use crate::operator::aggregate::saved::{Rows, other, twice};
use crate::snapshot::{Owned, SLICE_ROWS, batch};
use crate::table::{BATCH_ROWS, Slots};

/// Where handing on sessions stands.
#[derive(Debug)]
pub(super) struct Saving {
    rows: Rows,
    /// The list in hand, and how many of its sessions were taken.
    at: (usize, usize),
}

impl Sessions {
    /// How sessions are rows of state, but for the rows that they hold.
    fn rows(&self) -> Result<Rows> {
        Rows::new(&self.cells, &self.plan.cells)
    }

    /// The next sessions as rows of state; `None` behind the last, where the next call begins
    /// anew. In between there is no update.
    ///
    /// # Errors
    /// [`crate::error::Error::Program`] where sessions cannot be kept.
    pub(crate) fn save(&mut self) -> Result<Option<RecordBatch>> {
        let mut saving = match self.saving.take() {
            Some(saving) => saving,
            None => Saving {
                rows: self.rows()?,
                at: (0, 0),
            },
        };
        let sessions = self.next(&mut saving.at);
        if sessions.is_empty() {
            return Ok(None);
        }
        let slot = |s: &Session| self.arena.slot(&self.store, s.group);
        let slots: Vec<*mut u64> = sessions.iter().map(slot).collect();
        let (layout, cells) = (&self.layout.keys, &self.plan.cells);
        let mut columns = (saving.rows).columns(layout, cells, &self.store, &slots);
        let starts: Int64Array = sessions.iter().map(|s| Some(s.start)).collect();
        let lasts: Int64Array = sessions.iter().map(|s| Some(s.last)).collect();
        columns.extend([starts, lasts].map(|times| Arc::new(times) as ArrayRef));
        let groups: Vec<u32> = sessions.iter().map(|s| s.group).collect();
        columns.extend(self.held.saved(&groups));
        self.saving = Some(saving);
        Ok(Some(batch(columns, sessions.len(), &[])))
    }

    /// The next sessions from a place in the lists on, which goes behind them.
    fn next(&self, (list, at): &mut (usize, usize)) -> Vec<Session> {
        let mut sessions = Vec::new();
        while let Some(all) = self.lists.get(*list) {
            let rest = &all[*at..];
            let some = &rest[..rest.len().min(SLICE_ROWS - sessions.len())];
            sessions.extend_from_slice(some);
            if some.len() < rest.len() {
                *at += some.len();
                break;
            }
            (*list, *at) = (*list + 1, 0);
        }
        sessions
    }

    /// Takes those sessions up whose keys are owned here.
    ///
    /// # Errors
    /// [`crate::error::Error::Restore`] where they are others, or the same ones again; memory.
    pub(crate) fn load(&mut self, rows: &RecordBatch, owned: &Owned, seed: u64) -> Result<()> {
        let mut of = self.rows()?;
        let taken = of.take(rows, owned, seed)?;
        let held = usize::from(!self.held.is_empty());
        let [starts, lasts, rows @ ..] = taken.others.as_slice() else {
            return Err(other());
        };
        let times = |c: &ArrayRef| c.as_primitive_opt::<Int64Type>().cloned();
        let (Some(starts), Some(lasts)) = (times(starts), times(lasts)) else {
            return Err(other());
        };
        if rows.len() != held {
            return Err(other());
        }
        let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
        for start in (0..taken.hashes.len()).step_by(BATCH_ROWS) {
            let hashes = of.batch(&taken, start, &mut self.batch);
            let mut from = 0;
            while from < hashes.len() {
                let (table, store) = (&mut self.table, &mut self.store);
                let end =
                    table.resolve(&self.layout, store, &self.batch, hashes, from, &mut slots)?;
                for (row, slot) in (start + from..).zip(&mut slots[from..end]) {
                    let times = (starts.value(row), lasts.value(row));
                    let group = self.take_up(*slot, times)?;
                    *slot = self.arena.slot(&self.store, group);
                    for rows in rows {
                        self.held.restore(rows, row, group)?;
                    }
                }
                let (heap, store) = (&mut self.table.heap, &mut self.store);
                of.cells.add(heap, store, start + from, &slots[from..end])?;
                from = end;
            }
        }
        Ok(())
    }

    /// Puts a session where it stood among those of the key of `slot`. Gives its group.
    fn take_up(&mut self, slot: *mut u64, times: (i64, i64)) -> Result<u32> {
        let (start, last) = times;
        if last < start || last.checked_add(self.spec.gap).is_none() {
            return Err(other());
        }
        let list = self.list(slot);
        let sessions = &self.lists[list];
        let at = sessions.partition_point(|s| s.start < start);
        if sessions.get(at).is_some_and(|s| s.start == start) {
            return Err(twice());
        }
        Ok(self.begin(list, at, times, slot)?.group)
    }
}
