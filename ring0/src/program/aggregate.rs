//! What a grouped aggregation is told.

use std::sync::Arc;

use crate::operator::aggregate::GenericCall;
use crate::schema::{Field, Schema};

/// A grouped aggregation. Its output's columns: the keys in order, then one for each call; with
/// [`Phase::Partial`] the keys, then the cells of each call's state; with [`Phase::Changes`] the
/// changelog's column behind them.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateSpec {
    /// The input's columns.
    pub input: Arc<Schema>,
    /// Key columns of the input; none: one group, which also exists without input.
    pub keys: Vec<usize>,
    /// What to compute.
    pub calls: Vec<AggregateCall>,
    /// Whole, or one of two phases.
    pub phase: Phase,
    /// When a group is closed by the watermark: it is emitted and freed.
    pub window: Option<WindowKey>,
    /// The output's columns.
    pub output: Arc<Schema>,
}

impl AggregateSpec {
    /// The columns of the calls' results: the output's last, but for a changelog's own. Sessions
    /// have their bounds before them.
    pub(crate) fn results(&self) -> &[Field] {
        let changelog = usize::from(self.phase == Phase::Changes);
        let end = self.output.fields.len().saturating_sub(changelog);
        &self.output.fields[end.saturating_sub(self.calls.len())..end]
    }

    /// The columns by whose hash groups are kept: the keys but for the window, which never decides
    /// where a group lives.
    pub fn hashed_keys(&self) -> Vec<usize> {
        let window = self.window.map(|w| w.key);
        let keys = self.keys.iter().enumerate();
        let keys = keys.filter(|(position, _)| Some(*position) != window);
        keys.map(|(_, &key)| key).collect()
    }
}

/// Which of an aggregate's keys is the start of a tumbling window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowKey {
    /// Position among the keys; a TIMESTAMP.
    pub key: usize,
    /// Size of the window in nanoseconds.
    pub size_ns: i64,
}

/// An aggregation by sessions. Its output's columns: the keys and the session's bounds, then one
/// for each call, then, with [`Phase::Changes`], the changelog's.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSpec {
    /// What to compute of each session, in one phase; without a window.
    pub aggregate: AggregateSpec,
    /// The event time column of the input, a TIMESTAMP.
    pub time: usize,
    /// The pause that ends a session, above 0, in that column's unit.
    pub gap: i64,
    /// The output's column for the first row's time, if it is wanted.
    pub start: Option<usize>,
    /// The output's column for the last row's time plus the gap.
    pub end: Option<usize>,
    /// For each call with DISTINCT the input's columns by which a row counts only where it is the
    /// first of its session.
    pub first_by: Vec<Option<Vec<usize>>>,
}

/// Phases of an aggregation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Rows in, results out.
    Complete,
    /// Rows in, state out.
    Partial,
    /// State in (the output of [`Phase::Partial`]), results out.
    Final,
    /// Rows in; for each of them out what it changes of its group, as a changelog
    /// ([`crate::changelog`]): the results, and how they were before.
    Changes,
}

/// One aggregate.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    /// Which.
    pub function: AggregateFunction,
    /// The argument's column in the input of the first phase; `None` for `COUNT(*)` and generic
    /// ones.
    pub argument: Option<usize>,
}

/// Native aggregates, which skip NULL arguments, and any other.
#[derive(Debug, Clone)]
pub enum AggregateFunction {
    /// `COUNT(*)` and `COUNT(x)`: BIGINT.
    Count,
    /// BIGINT -> BIGINT, summed in 128 bits, an overflow is an error at emission; DOUBLE ->
    /// DOUBLE, compensated.
    Sum,
    /// BIGINT or DOUBLE -> DOUBLE.
    Avg,
    /// Any type -> the same. NaN is the greatest.
    Min,
    /// Any type -> the same.
    Max,
    /// BIGINT or DOUBLE -> DOUBLE; n - 1.
    StddevSamp,
    /// n.
    StddevPop,
    /// n - 1.
    VarSamp,
    /// n.
    VarPop,
    /// Not Ring 0's; whole, or as changes.
    Generic(Arc<GenericCall>),
}

impl PartialEq for AggregateFunction {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Generic(a), Self::Generic(b)) => Arc::ptr_eq(a, b),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}
