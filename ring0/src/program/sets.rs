//! What GROUPING SETS need around an aggregation: each row once for each set before it, and behind
//! it the groups of empty sets, which exist without any row.

use std::sync::Arc;

use crate::expr::Scalar;
use crate::schema::Schema;

/// Each row several times, numbered from 0 up.
#[derive(Debug, Clone, PartialEq)]
pub struct RepeatSpec {
    /// How often.
    pub times: u32,
    /// What stands last in a row.
    pub tail: LastColumn,
    /// The result's columns: the input's own, a BIGINT with the number, and the tail.
    pub schema: Arc<Schema>,
}

/// What stands behind the columns of a row that is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastColumn {
    /// One of its own: rows are groups, and nobody counts them.
    Own,
    /// A BOOLEAN from here on, as behind [`super::OperatorSpec::Unnest`].
    NewFlag,
    /// That BOOLEAN already.
    Flag,
    /// What the row does to those that stand. Both rows of an update stay together.
    Weight,
}

/// Groups that stand without rows, behind the aggregation that has them. Where results change, a
/// group that goes stands without rows again.
#[derive(Debug, Clone, PartialEq)]
pub struct StandingSpec {
    /// Each group as it is without rows: the columns but for a changelog's own.
    pub rows: Vec<Vec<Scalar>>,
    /// The column that tells them apart from all others, and from each other.
    pub id: usize,
    /// The columns by whose hash the groups were brought together; none: all are on shard 0.
    pub routed_by: Vec<usize>,
}
