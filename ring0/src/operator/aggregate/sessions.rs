//! Sessions: of each key the stretches of event time without a pause of the gap, merged as rows
//! come, in whatever order. A session closes when the watermark reaches its last row's time plus
//! the gap; a row at just that time begins another.
//!
//! A table leads from a key to the list of its sessions, which is short; each session's cells lie
//! in a slot of an arena, which is used again once the session is gone. The order in which sessions
//! close stands in a heap with one entry a session, which is looked at, and corrected, only when
//! it is due: growing a session costs nothing there.

mod arena;
mod changes;
mod held;
mod memory;
mod output;
mod saved;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ptr;
use std::sync::Arc;

use arrow_schema::DataType;

use self::arena::Arena;
use self::held::{Held, Made, divided};
use self::output::check_output;
pub(crate) use self::output::key_columns;
use self::saved::Saving;
use super::cells::Plan;
use super::merging::Merging;
use super::{Progress, STRING_ROWS, emit, update};
use crate::column::{Column, has_any_length};
use crate::error::{Error, Result, refuse};
use crate::frame::Frame;
use crate::program::{AggregateSpec, SessionSpec};
use crate::schema::unit_nanos;
use crate::table::keys::{KeyBatch, KeyLayout};
use crate::table::store::{Addresses, PageStore};
use crate::table::{BATCH_ROWS, Slots, Table, TableLayout};
use crate::tally::Charge;

/// Entries of the heap that are looked at in one step; those of sessions that have grown go back.
const LOOKS_MAX: usize = 4 * BATCH_ROWS;
/// A key without sessions, which has no list.
const NO_LIST: u64 = u64::MAX;

/// An open session; times are in the column's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    start: i64,
    last: i64,
    /// Its slot in the arena.
    group: u32,
}

/// What a row meets: sessions that it joins, which lie next to each other in the key's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meets {
    list: usize,
    first: usize,
    /// At most two: the gap between sessions is as long as the row reaches to either side.
    count: usize,
}

/// When a session is to be looked at, and whether it still is the one it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    close: i64,
    group: u32,
    life: u32,
}

/// The state of an aggregation by sessions on one shard.
#[derive(Debug)]
pub struct Sessions {
    spec: Arc<SessionSpec>,
    plan: Plan,
    layout: TableLayout,
    store: PageStore,
    batch: KeyBatch,
    table: Table,
    arena: Arena,
    lists: Vec<Vec<Session>>,
    spare_lists: Vec<u32>,
    due: BinaryHeap<Reverse<Due>>,
    merging: Merging,
    /// The calls that have cells, as rows of one phase.
    cells: AggregateSpec,
    /// Where the result of each call is made.
    made: Vec<Made>,
    held: Held,
    /// Columns of the output that the keys go to.
    keys_to: Vec<usize>,
    unit_ns: i64,
    has_strings: bool,
    /// Where handing on the sessions to a snapshot stands.
    saving: Option<Saving>,
    charge: Charge,
}

impl Sessions {
    /// Sessions of the keys whose hashes lie in `groups` key groups from `first_group` on, whose
    /// state lies in `addresses`.
    ///
    /// # Errors
    /// [`Error::Program`] where `spec` does not fit together, [`Error::Preflight`] where the
    /// system gives no memory.
    pub fn new(
        spec: Arc<SessionSpec>,
        first_group: u32,
        groups: u32,
        addresses: Addresses,
    ) -> Result<Self> {
        let aggregate = &spec.aggregate;
        let input = &aggregate.input.fields;
        let unit_ns = match input.get(spec.time).map(|f| &f.data_type) {
            Some(DataType::Timestamp(unit, None)) => unit_nanos(*unit),
            other => return refuse(format!("sessions by a time of type {other:?}")),
        };
        if spec.gap <= 0 {
            return refuse(format!("sessions with a gap of {}", spec.gap));
        }
        if let Some(key) = aggregate.keys.iter().find(|&&k| k >= input.len()) {
            return refuse(format!("key {key} of {} columns", input.len()));
        }
        let keys_to = check_output(&spec)?;
        let keys = KeyLayout::new(&aggregate.input, &aggregate.keys);
        let state_at = 1 + keys.words();
        let (cells, made, held) = divided(&spec)?;
        let plan = Plan::new(&cells, state_at)?;
        let merging = Merging::new(&cells, state_at, 1)?;
        assert_eq!(
            plan.initial, merging.plan.initial,
            "cells are the same in both phases"
        );
        let layout = TableLayout::new(keys, vec![NO_LIST], first_group, groups)?;
        let mut store = PageStore::new(addresses)?;
        let output = &aggregate.output.fields;
        Ok(Self {
            table: Table::new(&layout, &mut store)?,
            arena: Arena::new(state_at, plan.initial.clone())?,
            has_strings: output.iter().any(|f| has_any_length(&f.data_type)),
            batch: KeyBatch::default(),
            saving: None,
            charge: Charge::default(),
            lists: Vec::new(),
            spare_lists: Vec::new(),
            due: BinaryHeap::new(),
            spec,
            plan,
            layout,
            store,
            merging,
            cells,
            made,
            held,
            keys_to,
            unit_ns,
        })
    }

    /// Takes the rows of `frame`; `hashes` are those of its keys.
    ///
    /// # Errors
    /// [`Error::Row`] where a value is too long for state, an event time is NULL or a session's end
    /// lies beyond what a TIMESTAMP tells; memory.
    pub fn update(&mut self, frame: &Frame, hashes: &[u64]) -> Result<()> {
        assert_eq!(frame.rows(), hashes.len(), "one hash a row");
        for start in (0..hashes.len()).step_by(BATCH_ROWS) {
            let count = (hashes.len() - start).min(BATCH_ROWS);
            let mut at = start;
            while at < start + count {
                at = self.take(frame, hashes, at, start + count)?;
            }
        }
        self.weigh();
        Ok(())
    }

    /// Takes rows `from..to`, or fewer; gives the first that is left.
    fn take(&mut self, frame: &Frame, hashes: &[u64], from: usize, to: usize) -> Result<usize> {
        let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
        let found = self.find(frame, hashes, from, to, &mut slots)?;
        let mut groups = [0; BATCH_ROWS];
        let mut applied = 0;
        for i in 0..found {
            let (meets, time) = self.meet(frame, from + i, slots[i])?;
            if meets.count > 1 {
                // Rows before this one may be in the session that goes.
                self.apply(frame, from + applied, &groups[applied..i])?;
                applied = i;
            }
            let session = self.join(meets, time, slots[i])?;
            groups[i] = session.group;
        }
        self.apply(frame, from + applied, &groups[applied..found])?;
        Ok(from + found)
    }

    /// The table's slots of rows `from..to`, or of fewer; gives how many.
    fn find(
        &mut self,
        frame: &Frame,
        hashes: &[u64],
        from: usize,
        to: usize,
        slots: &mut Slots,
    ) -> Result<usize> {
        let count = to - from;
        self.batch.fill(&self.layout.keys, frame, from, count);
        let one_key = [0; BATCH_ROWS];
        let hashes = match self.layout.keys.words() {
            0 => &one_key[..count],
            _ => &hashes[from..to],
        };
        let store = &mut self.store;
        self.table
            .resolve(&self.layout, store, &self.batch, hashes, 0, slots)
    }

    /// The sessions that a row joins.
    fn meet(&mut self, frame: &Frame, row: usize, slot: *mut u64) -> Result<(Meets, i64)> {
        let Column::I64(times) = &frame.columns[self.spec.time] else {
            unreachable!("a time is a TIMESTAMP")
        };
        let wrong = |message: &str| {
            Err(Error::Row {
                message: message.to_owned(),
            })
        };
        let time = times.values[row];
        if !times.validity.is_valid(row) {
            return wrong("NULL as the time of a session");
        }
        if time.checked_add(self.spec.gap).is_none() {
            return wrong("TIMESTAMP out of range in SESSION");
        }
        let list = self.list(slot);
        let gap = self.spec.gap;
        let reach = |a: i64, b: i64| i128::from(b) - i128::from(a) < i128::from(gap);
        let sessions = &self.lists[list];
        let first = sessions.partition_point(|s| !reach(s.last, time));
        let joins = sessions[first..]
            .iter()
            .take_while(|s| reach(time, s.start));
        let count = joins.count();
        Ok((Meets { list, first, count }, time))
    }

    /// The list of the key whose slot this is.
    fn list(&mut self, slot: *mut u64) -> usize {
        // SAFETY: slots of a batch are valid, and the state's one word lies within them.
        let list = unsafe { &mut *slot.add(self.layout.state_at()) };
        if *list == NO_LIST {
            *list = u64::from(self.spare_lists.pop().unwrap_or(self.lists.len() as u32));
            if *list as usize == self.lists.len() {
                self.lists.push(Vec::new());
            }
        }
        *list as usize
    }

    /// Puts a row into the session that it begins or joins, and makes two that it joins one.
    fn join(&mut self, meets: Meets, time: i64, slot: *mut u64) -> Result<Session> {
        let Meets { list, first, count } = meets;
        if count == 0 {
            return self.begin(list, first, (time, time), slot);
        }
        if count > 1 {
            assert_eq!(count, 2, "a row reaches one session on either side");
            let gone = self.lists[list].remove(first + 1);
            self.merge(self.lists[list][first].group, gone.group)?;
            self.lists[list][first].last = gone.last;
        }
        let session = &mut self.lists[list][first];
        session.start = session.start.min(time);
        session.last = session.last.max(time);
        Ok(*session)
    }

    /// Begins a session of these times in the `at`-th place of a list, of the key of `slot`.
    fn begin(
        &mut self,
        list: usize,
        at: usize,
        (start, last): (i64, i64),
        slot: *mut u64,
    ) -> Result<Session> {
        let group = self.arena.take(&mut self.store, list as u32)?;
        let to = self.arena.slot(&self.store, group);
        // SAFETY: both slots begin with a header and the words of one key.
        unsafe { ptr::copy_nonoverlapping(slot, to, self.layout.state_at()) };
        let session = Session { start, last, group };
        self.lists[list].insert(at, session);
        self.due.push(Reverse(Due {
            close: last + self.spec.gap,
            group,
            life: self.arena.life(group),
        }));
        Ok(session)
    }

    /// Adds the cells of one session to another's; it is gone then.
    fn merge(&mut self, stays: u32, gone: u32) -> Result<()> {
        let from = self.arena.slot(&self.store, gone);
        let to = [self.arena.slot(&self.store, stays)];
        let (heap, store) = (&mut self.table.heap, &mut self.store);
        self.merging.take(&self.plan.cells, store, &[from]);
        self.merging.add(heap, store, 0, &to)?;
        self.held.merge(stays, gone);
        self.forget(gone);
        Ok(())
    }

    fn apply(&mut self, frame: &Frame, start: usize, groups: &[u32]) -> Result<()> {
        self.held.take(frame, start, groups);
        let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
        for (slot, &group) in slots.iter_mut().zip(groups) {
            *slot = self.arena.slot(&self.store, group);
        }
        let slots = &slots[..groups.len()];
        let done = self
            .plan
            .fused
            .as_ref()
            .is_some_and(|f| f.apply(frame, start, slots));
        let cells = match done {
            true => &self.plan.rest,
            false => &self.plan.cells,
        };
        for cell in cells {
            let (heap, store) = (&mut self.table.heap, &mut self.store);
            let phase = self.cells.phase;
            update::apply(cell, phase, heap, store, frame, start, slots)?;
        }
        Ok(())
    }

    /// Gives a session's slot back, with what its cells keep elsewhere.
    fn forget(&mut self, group: u32) {
        let slot = self.arena.slot(&self.store, group);
        for cell in &self.plan.cells {
            cell.free(&mut self.table.heap, &self.store, slot);
        }
        self.held.forget(group);
        self.arena.give(group);
    }

    /// Emits sessions into `out` until it is full: with `None` all of them, the end of the input;
    /// else those that end at or before `upto_ns`. What was emitted is gone. [`Progress::Full`]
    /// also where enough was done for one turn.
    ///
    /// # Errors
    /// [`Error::Row`] where a result does not fit its type.
    pub fn emit(&mut self, upto_ns: Option<i64>, out: &mut Frame) -> Result<Progress> {
        if !self.is_due(upto_ns) {
            return Ok(Progress::Done);
        }
        let rows_max = if self.has_strings {
            STRING_ROWS
        } else {
            BATCH_ROWS
        };
        let (mut given, mut looks) = (0, LOOKS_MAX);
        loop {
            let mut closing = [(0, NO_SESSION); BATCH_ROWS];
            let room = if out.is_full() {
                0
            } else {
                out.room().min(rows_max).min(BATCH_ROWS - given)
            };
            let mut count = 0;
            while count < room
                && let Some(closed) = self.pop(upto_ns, &mut looks)
            {
                closing[count] = closed;
                count += 1;
            }
            let closed = &closing[..count];
            if count == 0 {
                return Ok(match self.is_due(upto_ns) {
                    true => Progress::Full,
                    false => Progress::Done,
                });
            }
            self.push(closed, out)?;
            out.commit_rows(count);
            closed
                .iter()
                .for_each(|&(list, session)| self.close(list, session));
            given += count;
        }
    }

    /// Whether a session may have to be emitted.
    fn is_due(&self, upto_ns: Option<i64>) -> bool {
        let Some(Reverse(due)) = self.due.peek() else {
            return false;
        };
        let close_ns = i128::from(due.close) * i128::from(self.unit_ns);
        upto_ns.is_none_or(|upto| close_ns <= i128::from(upto))
    }

    /// The next session that is complete, and its list, if there is one among so many.
    fn pop(&mut self, upto_ns: Option<i64>, looks: &mut usize) -> Option<(usize, Session)> {
        while *looks > 0 && self.is_due(upto_ns) {
            *looks -= 1;
            let Reverse(due) = self.due.pop()?;
            if self.arena.life(due.group) != due.life {
                continue;
            }
            let list = self.arena.list(due.group) as usize;
            let sessions = self.lists[list].iter();
            let session = *sessions.clone().find(|s| s.group == due.group)?;
            let close = session.last + self.spec.gap;
            if close == due.close {
                return Some((list, session));
            }
            self.due.push(Reverse(Due { close, ..due }));
        }
        None
    }

    /// Forgets a session that was emitted, and with the last of a key the key.
    fn close(&mut self, list: usize, session: Session) {
        let sessions = &mut self.lists[list];
        sessions.retain(|s| s.group != session.group);
        if sessions.is_empty() {
            // SAFETY: a session's slot begins with the header of its key's.
            let header = unsafe { *self.arena.slot(&self.store, session.group) };
            let at = self.layout.state_at();
            let is = |slot: &[u64]| slot[at] == list as u64;
            self.table.remove(&self.layout, &mut self.store, header, is);
            self.spare_lists.push(list as u32);
        }
        self.forget(session.group);
    }

    /// Appends the columns of sessions; the rows are not committed yet.
    fn push(&mut self, sessions: &[(usize, Session)], out: &mut Frame) -> Result<()> {
        let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
        for (slot, (_, session)) in slots.iter_mut().zip(sessions) {
            *slot = self.arena.slot(&self.store, session.group);
        }
        let slots = &slots[..sessions.len()];
        for &slot in slots {
            // SAFETY: slots of the arena begin with a header and the key's words.
            let key = unsafe { std::slice::from_raw_parts(slot, self.layout.state_at()) };
            let keys = &self.layout.keys;
            keys.push(&self.store, key, &mut out.columns, &self.keys_to);
        }
        let ends = |s: &Session| s.last + self.spec.gap;
        push_times(out, self.spec.start, sessions.iter().map(|(_, s)| s.start));
        push_times(out, self.spec.end, sessions.iter().map(|(_, s)| ends(s)));
        let mut at = self.keys_to.len() + usize::from(self.spec.start.is_some());
        at += usize::from(self.spec.end.is_some());
        let groups: Vec<u32> = sessions.iter().map(|(_, s)| s.group).collect();
        for made in &self.made {
            let to = &mut out.columns[at];
            match *made {
                Made::Cells(output) => {
                    emit::push_results(&self.plan.outputs[output], &self.store, slots, to)?;
                }
                Made::Held(call) => {
                    let state = (&mut self.table.heap, &mut self.store);
                    self.held.push(call, &groups, state, to)?;
                }
            }
            at += 1;
        }
        Ok(())
    }
}

/// Holds a place.
const NO_SESSION: Session = Session {
    start: 0,
    last: 0,
    group: 0,
};

fn push_times(out: &mut Frame, column: Option<usize>, times: impl Iterator<Item = i64>) {
    let Some(Column::I64(to)) = column.map(|c| &mut out.columns[c]) else {
        assert!(column.is_none(), "a session's bound is a TIMESTAMP");
        return;
    };
    times.for_each(|time| to.push(Some(time)));
}

#[cfg(test)]
mod tests;
