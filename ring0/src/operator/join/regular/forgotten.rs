//! Rows of a regular join that are forgotten. A row has a time: its event time, or the start of the
//! window whose group it is; and times of both sides that are joined lie in an interval. So a row
//! is done with once neither it can change any more nor any row of the other side that it matches:
//! both watermarks have passed what they have to. What it was joined to stands for ever; nothing is
//! told, and nothing depends on when it happens.
//!
//! Rows alike in key are forgotten by their times, one by one; how many match a row of the other
//! side stays as it is, since no change of that number can come any more that is not a change of
//! that row.

use super::RegularJoin;
use crate::mesh::Flow;
use crate::operator::join::SLICE_ROWS;
use crate::operator::join::interval::ENDED;
use crate::program::{Interval, Side};

impl RegularJoin {
    /// Forgets what nothing can happen to any more, by slices; nothing leaves.
    pub(crate) fn forget(&mut self) -> Flow {
        let Some(near) = self.spec.near else {
            return Flow::Done;
        };
        let mut left = SLICE_ROWS;
        for side in [Side::Left, Side::Right] {
            let Some(below) = self.over(&near, side) else {
                continue;
            };
            while left > 0 && self.forget_first(side, below) {
                left -= 1;
            }
        }
        match left {
            0 => Flow::Full,
            _ => Flow::Done,
        }
    }

    /// How many rows of each side were forgotten since this was asked before.
    pub(crate) fn take_forgotten(&mut self) -> [u64; 2] {
        std::mem::take(&mut self.forgotten)
    }

    /// Below which time nothing happens to rows of a side any more.
    fn over(&self, near: &Interval, side: Side) -> Option<i128> {
        let of = |side: Side| match self.reached[side.port()]? {
            ENDED => Some(ENDED),
            reached => Some(reached - i128::from(near.lag_ns[side.port()])),
        };
        let matching = match of(side.other())? {
            ENDED => ENDED,
            reached => reached - i128::from(near.behind_ns(side)),
        };
        Some(of(side)?.min(matching))
    }

    /// Forgets the first row by time, if it is before this one.
    fn forget_first(&mut self, side: Side, below: i128) -> bool {
        let rows = &mut self.rows[side.port()];
        let times = rows.times.as_mut().expect("rows are forgotten by time");
        if times.rows.first().is_none_or(|(time, _)| *time >= below) {
            return false;
        }
        let (_, row) = times.rows.pop_first().expect("there is a first one");
        let (key, values) = row.split_at(rows.key_of(&row));
        let standing = rows.forget(key, values);
        rows.add_total(key, -standing.weight);
        self.forgotten[side.port()] += 1;
        true
    }
}
