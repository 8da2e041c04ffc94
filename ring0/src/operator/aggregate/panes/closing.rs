//! Windows that close, one after the other, in bounded steps: which tables are added to which.
//!
//! ```text
//! panes   a     b    c   d    e  f    their last windows are k, k + 1, ...
//! front   abcd  bcd  cd  d            sums, of which each window uses up one
//! back                        ef      one sum of the panes that came since
//! ```
//!
//! The groups of window k are those of its sum of the front and of the back; when the front is used
//! up, the panes that the back is the sum of become the next. So a group of a pane is added to the
//! back, to the sum before it in the front, and with one of these sums to a window: three times,
//! whatever the ratio of size to slide. Sums are never subtracted: DOUBLEs would not come back, and
//! MIN and MAX cannot.
//!
//! A pane of late rows can end within the front. It is added to sums of 1, 2, 4, ... windows, the
//! fewest that make up its own, and a window adds those that it lies in.

use std::collections::{BTreeMap, VecDeque};

use super::Span;
use crate::error::Result;
use crate::frame::Frame;
use crate::operator::aggregate::merging::Merging;
use crate::operator::aggregate::{EmitCursor, Pane, Progress, Shared};
use crate::program::AggregateSpec;
use crate::table::{BATCH_ROWS, ScanCursor, Slots};

/// The most windows of a sum of late rows, as a power of two.
const BLOCK_BITS: u32 = 32;

/// Groups that are added before others have their turn.
const GROUPS_PER_TURN: usize = 4 * BATCH_ROWS;

/// The number of a table.
pub(super) type TableId = usize;

/// A sum of panes, the least of whose last windows is this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum {
    last: i64,
    table: TableId,
}

/// Windows from one number on, as many as a power of two that divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Block {
    first: i64,
    last: i64,
}

/// A table to be added to another.
#[derive(Debug, Clone, Copy)]
struct Addition {
    from: TableId,
    to: TableId,
    then: Then,
}

/// What becomes of a table that was added to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Keep,
    Free,
}

/// A window that is being closed: once all additions are made, this table has its groups.
#[derive(Debug, Clone, Copy)]
struct Window {
    number: i64,
    table: TableId,
}

/// What closing a window needs, and what it leaves for the next.
#[derive(Debug)]
pub(super) struct Closing {
    /// The last window that was closed, or is.
    pub(super) closed: Option<i64>,
    merging: Merging,
    tables: Vec<Option<Pane>>,
    spare: Vec<TableId>,
    /// The last has the least last window.
    front: Vec<Sum>,
    back: Option<TableId>,
    /// The panes that the back is the sum of.
    kept: Vec<Sum>,
    /// Late rows.
    blocks: BTreeMap<Block, TableId>,
    additions: VecDeque<Addition>,
    scan: ScanCursor,
    result: Option<Window>,
    cursor: EmitCursor,
    hashes: Vec<u64>,
}

impl Closing {
    /// Nothing was closed yet of `spec`, whose tables are as `shared` says.
    pub(super) fn new(spec: &AggregateSpec, shared: &Shared) -> Result<Self> {
        let merging = Merging::new(spec, shared.layout.state_at(), BATCH_ROWS)?;
        assert_eq!(
            shared.plan.initial, merging.plan.initial,
            "cells are the same in both phases"
        );
        Ok(Self {
            closed: None,
            merging,
            tables: Vec::new(),
            spare: Vec::new(),
            front: Vec::new(),
            back: None,
            kept: Vec::new(),
            blocks: BTreeMap::new(),
            additions: VecDeque::new(),
            scan: ScanCursor::default(),
            result: None,
            cursor: EmitCursor::default(),
            hashes: Vec::new(),
        })
    }

    /// Number of groups of its tables.
    pub(super) fn groups(&self) -> usize {
        let tables = self.tables.iter().flatten();
        tables.map(|pane| pane.table.len()).sum()
    }

    /// The next window that has groups.
    pub(super) fn next(&self, open: &BTreeMap<Span, Pane>) -> Option<i64> {
        match self.closed {
            // A pane that was in the one before reaches into it.
            Some(closed) if !self.front.is_empty() || !self.kept.is_empty() => Some(closed + 1),
            _ => open.first_key_value().map(|(span, _)| span.first),
        }
    }

    /// Begins to close the window that [`Closing::next`] gave, and takes the panes that are in it
    /// and were in none before.
    pub(super) fn begin(
        &mut self,
        window: i64,
        open: &mut BTreeMap<Span, Pane>,
        shared: &mut Shared,
    ) -> Result<()> {
        assert!(
            self.result.is_none() && self.closed.is_none_or(|c| c < window),
            "windows close one after the other"
        );
        self.closed = Some(window);
        let mut panes = Vec::new();
        while let Some(first) = open.first_entry() {
            if first.key().first > window {
                break;
            }
            let (span, pane) = first.remove_entry();
            panes.push((span, self.put(pane)));
        }
        match self.front.first() {
            None => self.make_front(&panes),
            Some(longest) => self.let_in(&panes, longest.last, shared)?,
        }
        let sum = *self.front.last().expect("a pane is in the window");
        let table = match sum.last == window {
            true => {
                self.front.pop();
                sum.table
            }
            // No pane ends with this window, so that the next one needs the sum, too.
            false => {
                let table = self.put(shared.new_pane()?);
                self.add(sum.table, table, Then::Keep);
                table
            }
        };
        if let Some(back) = self.back {
            self.add(back, table, Then::Keep);
        }
        let late_rows = !self.blocks.is_empty();
        for bits in (0..=BLOCK_BITS).filter(|_| late_rows) {
            let block = Block::around(window, bits);
            if block.last == window {
                if let Some(late) = self.blocks.remove(&block) {
                    self.add(late, table, Then::Free);
                }
            } else if let Some(late) = self.blocks.get(&block) {
                self.add(*late, table, Then::Keep);
            }
        }
        self.result = Some(Window {
            number: window,
            table,
        });
        Ok(())
    }

    /// The tables that windows which are not closed yet have of those that are, each with just the
    /// windows whose sum it is a part of.
    pub(super) fn parts(&self) -> Vec<(Span, TableId)> {
        assert!(
            self.result.is_none() && self.additions.is_empty(),
            "a window that was begun is closed"
        );
        let Some(closed) = self.closed else {
            return Vec::new();
        };
        let mut parts = Vec::new();
        let mut first = closed + 1;
        for sum in self.front.iter().rev() {
            let last = sum.last;
            parts.push((Span { first, last }, sum.table));
            first = last + 1;
        }
        // The back goes as far as the front, and from there on the panes that it is the sum of.
        let back = Span {
            first: closed + 1,
            last: first - 1,
        };
        parts.extend(self.back.map(|table| (back, table)));
        let kept = self.kept.iter();
        parts.extend(kept.map(|sum| {
            (
                Span {
                    first,
                    last: sum.last,
                },
                sum.table,
            )
        }));
        for (&Block { first, last }, &table) in &self.blocks {
            let first = first.max(closed + 1);
            parts.push((Span { first, last }, table));
        }
        parts.retain(|(span, _)| span.first <= span.last);
        parts
    }

    /// A table that has this number.
    pub(super) fn table(&mut self, table: TableId) -> &mut Pane {
        self.tables[table].as_mut().expect(THERE)
    }

    /// The same, to be looked at.
    pub(super) fn pane(&self, table: TableId) -> &Pane {
        self.tables[table].as_ref().expect(THERE)
    }

    /// Makes a front of the panes that are kept and these.
    fn make_front(&mut self, panes: &[(Span, TableId)]) {
        assert!(
            self.back.is_none() && self.blocks.is_empty(),
            "what ends with the front went with it"
        );
        let mut sums = std::mem::take(&mut self.kept);
        sums.extend(
            panes
                .iter()
                .map(|&(Span { last, .. }, table)| Sum { last, table }),
        );
        sums.sort_by_key(|sum| std::cmp::Reverse(sum.last));
        for sum in sums {
            match self.front.last().copied() {
                Some(top) if top.last == sum.last => self.add(sum.table, top.table, Then::Free),
                top => {
                    if let Some(top) = top {
                        self.add(top.table, sum.table, Then::Keep);
                    }
                    self.front.push(sum);
                }
            }
        }
    }

    /// Adds panes behind the front, which goes up to window `end`.
    fn let_in(&mut self, panes: &[(Span, TableId)], end: i64, shared: &mut Shared) -> Result<()> {
        for &(span, table) in panes {
            if span.last >= end {
                let back = match self.back {
                    Some(back) => back,
                    None => self.put(shared.new_pane()?),
                };
                self.back = Some(back);
                self.add(table, back, Then::Keep);
                self.kept.push(Sum {
                    last: span.last,
                    table,
                });
                continue;
            }
            let mut first = span.first;
            while first <= span.last {
                let block = Block::of(first, span.last);
                let to = match self.blocks.get(&block) {
                    Some(to) => *to,
                    None => self.put(shared.new_pane()?),
                };
                self.blocks.insert(block, to);
                first = block.last + 1;
                let then = if first > span.last {
                    Then::Free
                } else {
                    Then::Keep
                };
                self.add(table, to, then);
            }
        }
        Ok(())
    }

    /// Goes on closing the window that was begun, if any, whose start `start` gives.
    /// [`Progress::Done`] where its groups have left.
    pub(super) fn go_on(
        &mut self,
        shared: &mut Shared,
        start: impl Fn(i64) -> i64,
        out: &mut Frame,
    ) -> Result<Progress> {
        let mut groups = 0;
        while let Some(&addition) = self.additions.front() {
            if groups >= GROUPS_PER_TURN {
                return Ok(Progress::Full);
            }
            groups += self.add_some(addition, shared)?;
        }
        let Some(Window { number, table }) = self.result else {
            return Ok(Progress::Done);
        };
        let pane = self.tables[table].as_mut().expect(THERE);
        if shared.emit(pane, Some(start(number)), &mut self.cursor, out)? == Progress::Full {
            return Ok(Progress::Full);
        }
        self.result = None;
        self.cursor = EmitCursor::default();
        self.free(table, shared);
        if self.front.is_empty() {
            // The next window begins a front of the panes that reach into it.
            let gone = self.kept.extract_if(.., |sum| sum.last <= number);
            let gone: Vec<TableId> = gone.map(|sum| sum.table).chain(self.back.take()).collect();
            gone.into_iter().for_each(|table| self.free(table, shared));
        }
        Ok(Progress::Done)
    }

    /// Adds some groups of one table to another's. Gives how many; none where all are added.
    fn add_some(&mut self, addition: Addition, shared: &mut Shared) -> Result<usize> {
        let Shared {
            plan,
            layout,
            store,
            batch,
            ..
        } = shared;
        let from = self.tables[addition.from].as_ref().expect(THERE);
        let mut slots: Slots = [std::ptr::null_mut(); BATCH_ROWS];
        let count = (from.table).scan(layout, store, &mut self.scan, BATCH_ROWS, &mut slots);
        if count == 0 {
            self.additions.pop_front();
            self.scan = ScanCursor::default();
            if addition.then == Then::Free {
                self.free(addition.from, shared);
            }
            return Ok(0);
        }
        self.merging.take(&plan.cells, store, &slots[..count]);
        batch.fill_slots(layout, store, &slots[..count], &mut self.hashes);
        let to = self.tables[addition.to].as_mut().expect(THERE);
        let mut at = 0;
        while at < count {
            let end = (to.table).resolve(layout, store, batch, &self.hashes, at, &mut slots)?;
            if store.is_frozen() {
                store.keep_slots(&slots[at..end], layout.slot_words() * 8)?;
            }
            (self.merging).add(&mut to.table.heap, store, at, &slots[at..end])?;
            at = end;
        }
        Ok(count)
    }

    fn add(&mut self, from: TableId, to: TableId, then: Then) {
        assert_ne!(from, to, "a table is not added to itself");
        self.additions.push_back(Addition { from, to, then });
    }

    /// Gives a table a number.
    fn put(&mut self, pane: Pane) -> TableId {
        match self.spare.pop() {
            Some(table) => {
                self.tables[table] = Some(pane);
                table
            }
            None => {
                self.tables.push(Some(pane));
                self.tables.len() - 1
            }
        }
    }

    fn free(&mut self, table: TableId, shared: &mut Shared) {
        let pane = self.tables[table].take().expect(THERE);
        pane.table.release(&mut shared.store);
        self.spare.push(table);
    }
}

const THERE: &str = "a table that has a number is there";

impl Block {
    /// The longest that begins with a window and does not go beyond `last`.
    fn of(first: i64, last: i64) -> Self {
        let fits = (last - first + 1).ilog2();
        let bits = first.trailing_zeros().min(fits).min(BLOCK_BITS);
        Self::around(first, bits)
    }

    /// The one of so many windows, a power of two, in which a window is.
    fn around(window: i64, bits: u32) -> Self {
        let first = window >> bits << bits;
        Self {
            first,
            last: first.wrapping_add((1 << bits) - 1),
        }
    }
}
