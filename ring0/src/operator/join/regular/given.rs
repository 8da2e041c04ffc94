//! What changes of a regular join give, and how it leaves: as often as rows stand, as far as there
//! is room, many rows at once.

use super::RegularJoin;
use crate::changelog::{self, DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE};
use crate::column::Column;
use crate::frame::Frame;
use crate::program::{JoinKind, Side};

/// A row of a result: rows of the frame in hand and of the slice of the other side, and what is
/// said of a row that is asked whether it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) own: Option<u32>,
    pub(super) other: Option<u32>,
    pub(super) mark: bool,
}

/// What is to be given so many times: a row, or the row before and the one behind of an update.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    pub(super) row: Row,
    pub(super) op: i8,
    pub(super) after: Option<Row>,
    pub(super) times: u64,
}

impl RegularJoin {
    /// Has rows given that go and rows that come, as often as they stand.
    pub(super) fn give(&mut self, before: [Option<Row>; 2], after: [Option<Row>; 2], weight: i64) {
        let (before, after) = if weight < 0 {
            (after, before)
        } else {
            (before, after)
        };
        let only = |rows: [Option<Row>; 2], others: [Option<Row>; 2]| {
            rows.map(|row| row.filter(|_| !others.contains(&row)))
        };
        let (goes, comes) = (only(before, after), only(after, before));
        let times = weight.unsigned_abs();
        let mut push = |row: Row, op: i8, after: Option<Row>| {
            self.pending.push(Given {
                row,
                op,
                after,
                times,
            });
        };
        let one = |rows: [Option<Row>; 2]| match rows {
            [Some(row), None] | [None, Some(row)] => Some(row),
            _ => None,
        };
        if let (Some(goes), Some(comes)) = (one(goes), one(comes)) {
            return push(goes, UPDATE_BEFORE, Some(comes));
        }
        goes.into_iter()
            .flatten()
            .for_each(|row| push(row, DELETE, None));
        comes
            .into_iter()
            .flatten()
            .for_each(|row| push(row, INSERT, None));
    }

    /// Gives what is pending, as far as there is room. Returns whether all of it is.
    pub(super) fn drain(&mut self, frame: &Frame, out: &mut Frame) -> bool {
        while let Some(&given) = self.pending.get(self.given) {
            if given.times == 0 {
                self.given += 1;
                continue;
            }
            let rows = 1 + usize::from(given.after.is_some());
            if out.room() < self.batch.len() + rows {
                self.flush(frame, out);
                return false;
            }
            self.pending[self.given].times -= 1;
            self.batch.push((given.row, given.op));
            self.batch
                .extend(given.after.map(|row| (row, UPDATE_AFTER)));
        }
        self.pending.clear();
        self.given = 0;
        true
    }

    /// Appends the rows that are given together.
    pub(super) fn flush(&mut self, frame: &Frame, out: &mut Frame) {
        if self.batch.is_empty() {
            return;
        }
        let mut at = 0;
        for side in [Side::Left, Side::Right] {
            if self.spec.kind.asked().is_some_and(|asked| asked != side) {
                continue;
            }
            let width = self.rows[side.port()].schema.fields.len();
            let to = &mut out.columns[at..at + width];
            at += width;
            match side == self.side {
                true => append(to, &frame.columns, &self.batch, |row| row.own),
                false => append(to, &self.others[side.port()].columns, &self.batch, |row| {
                    row.other
                }),
            }
        }
        if let (JoinKind::Mark(_), Column::Bool(marks)) = (self.spec.kind, &mut out.columns[at]) {
            self.batch
                .iter()
                .for_each(|(row, _)| marks.push(Some(row.mark)));
        }
        self.batch
            .iter()
            .for_each(|(_, op)| changelog::push(out, *op));
        out.commit_rows(self.batch.len());
        self.batch.clear();
    }
}

/// Appends one of the rows of each result, NULL where there is none.
fn append(
    to: &mut [Column],
    from: &[Column],
    rows: &[(Row, i8)],
    of: impl Fn(&Row) -> Option<u32>,
) {
    let mut numbers = Vec::new();
    for run in rows.chunk_by(|(a, _), (b, _)| of(a).is_some() == of(b).is_some()) {
        numbers.clear();
        numbers.extend(run.iter().filter_map(|(row, _)| of(row)));
        for (to, from) in to.iter_mut().zip(from) {
            match numbers.is_empty() {
                true => run.iter().for_each(|_| to.push_null()),
                false => to.append_rows(from, &numbers),
            }
        }
    }
}
