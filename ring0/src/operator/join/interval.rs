//! Joins of two inputs that need not end, over an interval of event time. Each row is looked for
//! among the held rows of the other side as it comes, and held itself until the other side's
//! watermark proves that nothing it matches can come. That is when the unmatched row of an outer
//! side leaves: what has left is never taken back. Of a side that is only asked whether its rows
//! match, one that does leaves with its first match, and one that does not when it is forgotten.
//!
//! Pairs are made by slices; where one ends in the middle of the matches of a row, that is where
//! the next one goes on. Behind each frame, and at each mark, rows are forgotten by slices.

mod saved;

use std::sync::Arc;

use super::held::{At, Held, Slot, Step, Wanted};
use super::keys::SideKeys;
use super::{Condition, SLICE_ROWS, append_rows, check, check_interval, push_marks};
use crate::column::Column;
use crate::error::Result;
use crate::frame::Frame;
use crate::kernel::RowError;
use crate::mesh::Flow;
use crate::program::{Interval, JoinKind, JoinSpec, Side};
use crate::snapshot::Owned;
use crate::table::BATCH_ROWS;
use crate::table::index::Looked;

/// The watermark of an input that has ended.
pub(crate) const ENDED: i128 = i128::MAX;

/// An interval join on one shard.
#[derive(Debug)]
pub(crate) struct IntervalJoin {
    spec: Arc<JoinSpec>,
    interval: Interval,
    /// The side that the item in hand came from.
    side: Side,
    /// Each input's watermark, where it has one: no row with an earlier time comes.
    reached: [Option<i128>; 2],
    held: [Held; 2],
    keys: [SideKeys; 2],
    condition: Option<Condition>,
    seed: u64,
    /// The frame in hand, once it is held: each row's time and slot.
    looking: bool,
    times: Vec<i128>,
    slots: Vec<Slot>,
    /// The rows whose keys are in the batch.
    batched: std::ops::Range<usize>,
    row: usize,
    at: Option<At>,
    /// The pairs of a slice: rows of the frame, and of the other side.
    rows: Vec<u32>,
    others: Vec<Slot>,
    /// Rows that are forgotten, and those of them that leave.
    forgotten: Vec<Slot>,
    alone: Vec<Slot>,
    /// Which rows of each side there can be here.
    owned: [Option<Owned>; 2],
    /// Where handing on the rows to a snapshot stands: the side, and how many of it are handed on.
    saving: (usize, usize),
    /// How many rows of each side were forgotten before the end, and not told of yet.
    gone: [u64; 2],
}

impl IntervalJoin {
    /// Rows of both sides that it holds.
    pub(crate) fn state_rows(&self) -> usize {
        self.held.iter().map(Held::len).sum()
    }

    /// # Errors
    /// [`crate::error::Error::Program`] where the spec does not fit together.
    pub(crate) fn new(spec: &Arc<JoinSpec>, interval: Interval, seed: u64) -> Result<Self> {
        check(spec)?;
        check_interval(spec, &interval)?;
        let keys = [Side::Left, Side::Right].map(|side| SideKeys::of(spec, side));
        let held = [0, 1].map(|side: usize| Held::new(&keys[side], interval.stretch_ns()));
        Ok(Self {
            interval,
            side: Side::Left,
            reached: [None; 2],
            held,
            keys,
            condition: Condition::new(spec)?,
            seed,
            looking: false,
            times: Vec::new(),
            slots: Vec::new(),
            batched: 0..0,
            row: 0,
            at: None,
            rows: Vec::new(),
            others: Vec::new(),
            forgotten: Vec::new(),
            alone: Vec::new(),
            owned: [None, None],
            saving: (0, 0),
            gone: [0; 2],
            spec: Arc::clone(spec),
        })
    }

    /// Which rows of each side there can be on this shard; `None` where nothing says it.
    pub(crate) fn owning(self, owned: [Option<Owned>; 2]) -> Self {
        Self { owned, ..self }
    }

    /// The next item comes from this port, and the inputs' watermarks are these.
    pub(crate) fn take_from(&mut self, port: usize, reached: [Option<i128>; 2]) {
        self.side = if port == 0 { Side::Left } else { Side::Right };
        self.reached = reached;
    }

    /// The watermark of what leaves from now on, whichever of both times is looked at: joined rows
    /// are as far behind their inputs as the interval is long.
    pub(crate) fn watermark(&self) -> Option<i64> {
        let [left, right] = self.reached;
        let of = |side: Side| {
            let reached = self.reached[side.port()]?;
            let back = i128::from(self.interval.before_ns(side)).max(0);
            Some(reached.saturating_sub(back))
        };
        (left.and(right))
            .and(of(Side::Left).min(of(Side::Right)))
            .and_then(|least| i64::try_from(least).ok())
    }

    /// Takes a frame as far as there is room for what it gives. Gives the pairs on which the
    /// condition failed.
    pub(crate) fn take(&mut self, frame: &Frame, out: &mut Frame) -> (Flow, Vec<RowError>) {
        if !std::mem::replace(&mut self.looking, true) {
            self.hold(frame);
        }
        if self.row < frame.rows() {
            self.gather(frame, out.room().min(SLICE_ROWS));
            let failed = self.pass(frame);
            if failed.is_empty() {
                self.give(frame, out);
            }
            return (Flow::Full, failed);
        }
        let flow = self.forget(self.side, out);
        self.looking = flow == Flow::Full;
        (flow, Vec::new())
    }

    /// Holds the rows of a frame.
    fn hold(&mut self, frame: &Frame) {
        let side = self.side.port();
        let Column::I64(times) = &frame.columns[self.interval.times[side]] else {
            unreachable!("types are checked before")
        };
        let unit_ns = i128::from(self.interval.unit_ns[side]);
        self.times.clear();
        // A time that is not known is before all, and matches nothing.
        self.times.extend((0..frame.rows()).map(|row| {
            let time = times.get(row);
            time.map_or(i128::MIN, |t| i128::from(t) * unit_ns)
        }));
        let keys = &mut self.keys[side];
        if !keys.columns.is_empty() {
            keys.hash(frame, self.seed);
        }
        self.slots.clear();
        let nulls_equal = self.spec.nulls_equal;
        let matches = |keys: &SideKeys, row: usize| {
            times.validity.is_valid(row) && (nulls_equal || keys.known(frame, row))
        };
        self.held[side].append(frame, keys, &self.times, matches, &mut self.slots);
        (self.row, self.at, self.batched) = (0, None, 0..0);
    }

    /// Finds the next pairs, at most so many, and looks at no more rows than a slice has. Of a row
    /// that is only asked whether it matches, no match behind the first says more.
    fn gather(&mut self, frame: &Frame, pairs_max: usize) {
        self.rows.clear();
        self.others.clear();
        let side = self.side;
        let asked = self.spec.kind.asked();
        let (asks, asks_other) = (asked == Some(side), asked == Some(side.other()));
        let other = &self.held[side.other().port()];
        let keys = &mut self.keys[side.port()];
        let nulls_equal = self.spec.nulls_equal;
        let [before, behind] =
            [self.interval.before_ns(side), self.interval.behind_ns(side)].map(i128::from);
        for _ in 0..SLICE_ROWS {
            if self.row == frame.rows() || self.rows.len() == pairs_max {
                return;
            }
            let (row, time) = (self.row, self.times[self.row]);
            let known = time > i128::MIN && (nulls_equal || keys.known(frame, row));
            let enough = asks && self.held[side.port()].has_matched(self.slots[row]);
            if !known || enough || before + behind < 0 {
                (self.row, self.at) = (row + 1, None);
                continue;
            }
            if !keys.columns.is_empty() && !self.batched.contains(&row) {
                self.batched = row..frame.rows().min(row + BATCH_ROWS);
                keys.fill(frame, row, self.batched.len());
            }
            let wanted = Wanted {
                key: Looked {
                    hash: keys.hashes.get(row).copied().unwrap_or(0),
                    batch: &keys.batch,
                    row: row - self.batched.start.min(row),
                },
                times: [time - before, time + behind],
                nulls: nulls_equal.then_some((frame, row, &keys.columns[..])),
            };
            let at = self.at.get_or_insert_with(|| other.begin(&wanted));
            let step = other.step(&wanted, at);
            match step {
                Step::Found(slot) if asks_other && other.has_matched(slot) => {}
                Step::Found(slot) => {
                    self.rows.push(row as u32);
                    self.others.push(slot);
                }
                Step::Nothing | Step::End => {}
            }
            let first = asks && self.condition.is_none() && matches!(step, Step::Found(_));
            if first || matches!(step, Step::End) {
                (self.row, self.at) = (row + 1, None);
            }
        }
    }

    /// Leaves out the pairs for which the condition is not true.
    fn pass(&mut self, frame: &Frame) -> Vec<RowError> {
        let Some(condition) = self.condition.as_mut().filter(|_| !self.rows.is_empty()) else {
            return Vec::new();
        };
        let other = &mut self.held[self.side.other().port()];
        let failed = condition.select(self.side, frame, &self.rows, |columns| {
            other.append_to(columns, &self.others);
        });
        for (to, &from) in condition.passing.iter().enumerate() {
            self.rows[to] = self.rows[from as usize];
            self.others[to] = self.others[from as usize];
        }
        self.rows.truncate(condition.passing.len());
        self.others.truncate(condition.passing.len());
        failed
    }

    /// Appends the pairs, or the rows that are asked for and match for the first time.
    fn give(&mut self, frame: &Frame, out: &mut Frame) {
        let (side, other) = (self.side, self.side.other());
        let Some(asked) = self.spec.kind.asked() else {
            if self.spec.kind.tells(side) {
                for &row in &self.rows {
                    self.held[side.port()].mark(self.slots[row as usize]);
                }
            }
            if self.spec.kind.tells(other) {
                for &slot in &self.others {
                    self.held[other.port()].mark(slot);
                }
            }
            let (own, others) = columns(&self.spec, side, out);
            append_rows(own, frame, &self.rows);
            self.held[other.port()].append_to(others, &self.others);
            out.commit_rows(self.rows.len());
            return;
        };
        let held = &mut self.held[asked.port()];
        match asked == side {
            true => self.rows.retain(|row| held.mark(self.slots[*row as usize])),
            false => self.others.retain(|slot| held.mark(*slot)),
        }
        if !matches!(self.spec.kind, JoinKind::Semi(_)) {
            return;
        }
        if asked == side {
            append_rows(&mut out.columns, frame, &self.rows);
            out.commit_rows(self.rows.len());
        } else {
            held.append_to(&mut out.columns, &self.others);
            out.commit_rows(self.others.len());
        }
    }

    /// Forgets what matches nothing that can still come, as far as there is room for what is to be
    /// told of it.
    pub(crate) fn forget_all(&mut self, out: &mut Frame) -> Flow {
        match self.forget(Side::Left, out) {
            Flow::Done => self.forget(Side::Right, out),
            Flow::Full => Flow::Full,
        }
    }

    /// How many rows of each side were forgotten since this was asked before.
    pub(crate) fn take_forgotten(&mut self) -> [u64; 2] {
        std::mem::take(&mut self.gone)
    }

    fn forget(&mut self, side: Side, out: &mut Frame) -> Flow {
        let other = side.other();
        let below = match self.reached[other.port()] {
            None => return Flow::Done,
            Some(ENDED) => ENDED,
            Some(reached) => {
                let lag = i128::from(self.interval.lag_ns[other.port()]);
                reached - lag - i128::from(self.interval.behind_ns(side))
            }
        };
        let held = &mut self.held[side.port()];
        let most = out.room().min(SLICE_ROWS);
        self.forgotten.clear();
        self.forgotten
            .extend(std::iter::from_fn(|| held.pop(below)).take(most));
        if self.spec.kind.tells(side) {
            self.tell(side, out);
        }
        self.held[side.port()].forget(&self.forgotten);
        if below != ENDED {
            self.gone[side.port()] += self.forgotten.len() as u64;
        }
        match self.forgotten.len() == most {
            true => Flow::Full,
            false => Flow::Done,
        }
    }

    /// Appends what is to be told of rows that are forgotten.
    fn tell(&mut self, side: Side, out: &mut Frame) {
        let held = &mut self.held[side.port()];
        let all = matches!(self.spec.kind, JoinKind::Mark(_));
        let leaves = |s: &&Slot| all || !held.has_matched(**s);
        self.alone.clear();
        self.alone.extend(self.forgotten.iter().filter(leaves));
        match self.spec.kind {
            // They left when they matched.
            JoinKind::Semi(_) => return,
            JoinKind::Pairs { .. } => {
                let (own, others) = columns(&self.spec, side, out);
                held.append_to(own, &self.alone);
                for column in others {
                    self.alone.iter().for_each(|_| column.push_null());
                }
            }
            JoinKind::Anti(_) => held.append_to(&mut out.columns, &self.alone),
            JoinKind::Mark(_) => {
                let marks: Vec<bool> = self.alone.iter().map(|s| held.has_matched(*s)).collect();
                let (mark, columns) = out.columns.split_last_mut().expect("the mark is a column");
                held.append_to(columns, &self.alone);
                push_marks(mark, &marks);
            }
        }
        out.commit_rows(self.alone.len());
    }
}

/// The columns of a side among those of a pair, and the other's.
fn columns<'o>(
    spec: &JoinSpec,
    side: Side,
    out: &'o mut Frame,
) -> (&'o mut [Column], &'o mut [Column]) {
    let left = spec.inputs[0].fields.len();
    let (l, r) = out.columns.split_at_mut(left);
    match side {
        Side::Left => (l, r),
        Side::Right => (r, l),
    }
}

#[cfg(test)]
mod tests;
