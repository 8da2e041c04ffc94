//! Joins, as plain data.

use std::sync::Arc;

use crate::expr::Expr;
use crate::schema::Schema;

/// A join of two inputs, left and right. One of them, the build side, is kept wholly before the
/// first row of the other is looked at.
#[derive(Debug, Clone)]
pub struct JoinSpec {
    /// The columns of each side, left before right.
    pub inputs: [Arc<Schema>; 2],
    /// The columns of each side that have to be equal, pair by pair; of the same types. Without
    /// any, each row meets all rows of the other side.
    pub keys: [Vec<usize>; 2],
    /// Whether NULL is equal to NULL: IS NOT DISTINCT FROM.
    pub nulls_equal: bool,
    /// What else has to be true, over the columns of both sides.
    pub condition: Option<Expr>,
    /// Which rows leave.
    pub kind: JoinKind,
    /// The side that is kept.
    pub build: Side,
    /// The columns of what leaves.
    pub output: Arc<Schema>,
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
            Self::Semi(of) | Self::Anti(of) | Self::Mark(of) => of == side,
        }
    }
}
