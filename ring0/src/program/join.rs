//! Joins, as plain data.

use std::sync::Arc;

use crate::expr::Expr;
use crate::schema::Schema;

/// A join of two inputs, left and right.
#[derive(Debug, Clone)]
pub struct JoinSpec {
    /// The columns of each side, left before right.
    pub inputs: [Arc<Schema>; 2],
    /// The columns of each side that have to be equal, pair by pair; of the same types. Without
    /// any, each row meets all rows of the other side.
    pub keys: [Vec<usize>; 2],
    /// Whether NULL is equal to NULL: IS NOT DISTINCT FROM.
    pub nulls_equal: bool,
    /// Whether NULL may be equal to anything, as NOT IN takes it: a row matches none for certain
    /// only where its key is known and no key of the kept side is NULL, or no row is kept. All rows
    /// of the kept side are on every shard, or all rows of both on one.
    pub not_in: bool,
    /// What else has to be true, over the columns of both sides.
    pub condition: Option<Expr>,
    /// Between which times of both sides the condition can be true: where a side is kept wholly, of
    /// any TIMESTAMP columns, and no other rows are looked at; where changes are joined, of times
    /// that watermarks follow, and rows are forgotten once no change can come that concerns them.
    /// `None`: any.
    pub near: Option<Interval>,
    /// Which rows leave.
    pub kind: JoinKind,
    /// Which rows are kept, and for how long.
    pub keep: Keep,
    /// The columns of what leaves.
    pub output: Arc<Schema>,
}

impl JoinSpec {
    /// The side that is kept wholly, if one is.
    pub fn build(&self) -> Option<Side> {
        match self.keep {
            Keep::Side(side) => Some(side),
            Keep::Nearest(nearest) => nearest.lag_ns.is_none().then_some(Side::Right),
            Keep::Interval(_) | Keep::Changes => None,
        }
    }
}

/// What a join keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// This side wholly, before the first row of the other is looked at.
    Side(Side),
    /// Rows of both sides, as long as rows may come that lie within the interval.
    Interval(Interval),
    /// Versions of the right side, of which each row of the left one takes the nearest.
    Nearest(Nearest),
    /// All rows that stand, or those of them that something can still happen to, where times say
    /// so. Both sides are changelogs, and so is what leaves; of the columns of both sides the last
    /// ones, which say what a row does, are none that a condition asks for.
    Changes,
}

/// When rows of two sides lie near each other: left - `lower` <= right <= left + `upper`. Rows of a
/// side come with times at or above its watermark, less what these lag behind it: those before that
/// were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The column of each side with its event time, a TIMESTAMP.
    pub times: [usize; 2],
    /// Nanoseconds of one unit of these columns.
    pub unit_ns: [i64; 2],
    /// How far the right side may lie before the left one, in nanoseconds; below 0 it lies behind.
    pub lower_ns: i64,
    /// How far the right side may lie behind the left one, in nanoseconds; below 0 it lies before.
    pub upper_ns: i64,
    /// How far each side's times lag behind its watermark at the most, in nanoseconds: the starts
    /// of windows that are open by less than a window's size.
    pub lag_ns: [i64; 2],
}

impl Interval {
    /// The column of a side's time, and nanoseconds of one unit of it.
    pub fn time(&self, side: Side) -> (usize, i64) {
        (self.times[side.port()], self.unit_ns[side.port()])
    }

    /// How far the times that a row of this side matches begin before its own.
    pub fn before_ns(&self, side: Side) -> i64 {
        match side {
            Side::Left => self.lower_ns,
            Side::Right => self.upper_ns,
        }
    }

    /// Length of a stretch of time, in nanoseconds: what a row matches lies in two at the most.
    pub fn stretch_ns(&self) -> i128 {
        (i128::from(self.lower_ns) + i128::from(self.upper_ns)).max(0) + 1
    }

    /// How far they end behind it.
    pub fn behind_ns(&self, side: Side) -> i64 {
        self.before_ns(side.other())
    }
}

/// Which row of the right side is the nearest to one of the left side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nearest {
    /// The column of each side by which rows are near: of one type, or both a TIMESTAMP. NULL is
    /// near nothing.
    pub times: [usize; 2],
    /// Where the right side's row lies.
    pub toward: Toward,
    /// Which of several rows at the nearest time it is.
    pub ties: Ties,
    /// How far each side's times lag behind its watermark at the most, in nanoseconds: both come as
    /// they are. `None` where the right side ends, and is kept wholly before the first row of the
    /// left one is looked at.
    pub lag_ns: Option<[i64; 2]>,
}

/// Where the nearest row lies, seen from the time that it is to be near to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    /// Before it: of several at the nearest time the last one.
    Before,
    /// The same, or at that time.
    AtOrBefore,
    /// Behind it: of several at the nearest time the first one.
    After,
    /// The same, or at that time.
    AtOrAfter,
}

impl Toward {
    /// Whether the last one at or before a time is wanted.
    pub fn is_before(self) -> bool {
        matches!(self, Self::Before | Self::AtOrBefore)
    }
}

/// How rows of the right side stand that are alike by key and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ties {
    /// As they come, which is the order of their source.
    Arrival,
    /// By their values: nothing else tells them apart.
    Values,
}

/// A side of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first input.
    Left,
    /// The second one.
    Right,
}

impl Side {
    /// The number of its port.
    pub fn port(self) -> usize {
        match self {
            Self::Left => 0,
            Self::Right => 1,
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// Which rows leave a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    /// Pairs that match; and rows of these sides, left and right, that match none, with NULL in
    /// place of the other side's columns.
    Pairs {
        /// Whether rows of the left side are kept.
        left: bool,
        /// Whether rows of the right side are kept.
        right: bool,
    },
    /// The side's rows that match some, as they are.
    Semi(Side),
    /// The side's rows that match none, as they are.
    Anti(Side),
    /// The side's rows, and a BOOLEAN behind them that says whether they match some.
    Mark(Side),
}

impl JoinKind {
    /// Whether rows of a side leave because they match none, or once because they match some: what
    /// is known only where all rows that they may match are.
    pub fn tells(self, side: Side) -> bool {
        match self {
            Self::Pairs { left, right } => match side {
                Side::Left => left,
                Side::Right => right,
            },
            Self::Semi(_) | Self::Anti(_) | Self::Mark(_) => self.asked() == Some(side),
        }
    }

    /// The side whose rows leave as they are, by whether they match.
    pub fn asked(self) -> Option<Side> {
        match self {
            Self::Pairs { .. } => None,
            Self::Semi(of) | Self::Anti(of) | Self::Mark(of) => Some(of),
        }
    }
}
