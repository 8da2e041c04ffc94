//! What the operators of a chain hold in memory, and what they did.

use super::Chain;
use crate::metrics::OperatorCounters;
use crate::tally;

/// Memory of an operator's state.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StateBytes {
    now: i64,
    max: i64,
}

impl StateBytes {
    /// Adds what was taken, and not given back, since so much was held on this thread.
    #[inline]
    pub(super) fn add_since(&mut self, before: i64) {
        self.now += tally::held() - before;
        self.max = self.max.max(self.now);
    }

    /// How much it is; what was given back by others than took it may make it less than nothing.
    pub(super) fn bytes(self) -> u64 {
        u64::try_from(self.now).unwrap_or_default()
    }

    /// The most that it was.
    fn bytes_max(self) -> u64 {
        u64::try_from(self.max).unwrap_or_default()
    }
}

impl Chain {
    /// What each of its operators did.
    pub(crate) fn operators(&self) -> impl Iterator<Item = OperatorCounters> + '_ {
        self.levels.iter().map(|level| OperatorCounters {
            stage: level.origin.0 as usize,
            operator: level.origin.1 as usize,
            rows_in: level.rows_in,
            rows_out: level.rows_out,
            state_rows: level.operator.state_rows() as u64,
            state_bytes: level.state.bytes(),
            state_bytes_max: level.state.bytes_max(),
        })
    }

    /// Bytes of the state of all of its operators.
    pub(crate) fn state_bytes(&self) -> u64 {
        self.levels.iter().map(|level| level.state.bytes()).sum()
    }

    /// The operator that has most of it: its stage, its name and how much that is.
    pub(crate) fn largest_state(&self) -> Option<(u32, &'static str, u64)> {
        let levels = self.levels.iter();
        let of = levels.map(|level| (level.origin.0, level.name, level.state.bytes()));
        of.max_by_key(|(.., bytes)| *bytes)
    }
}
