//! A partition that is closed: its rows leave one by one, ranked as they do, or are forgotten, in
//! steps that are bounded whatever its size.

use std::collections::BTreeMap;

use super::partition::{Entry, Given, Numbers, Partition, counted, numbers_behind};
use super::{Rank, RankedSpec};
use crate::tally::Packed;

/// Its rows that are left.
#[derive(Debug)]
pub(super) struct Leaving {
    rows: BTreeMap<Packed, Entry>,
    /// The order and the numbers of the last row that left, where rows are ranked.
    ranks: Option<Option<(Packed, Numbers)>>,
}

impl Leaving {
    /// Its rows are ranked, and given as far as the limit goes.
    pub(super) fn ranked(partition: Partition) -> Self {
        Self {
            rows: partition.rows,
            ranks: Some(None),
        }
    }

    /// Its rows were given.
    pub(super) fn forgotten(partition: Partition) -> Self {
        Self {
            rows: partition.rows,
            ranks: None,
        }
    }

    /// Whether rows of it may be given.
    pub(super) fn gives(&self) -> bool {
        self.ranks.is_some()
    }

    /// The next row goes: what is given of it. `None` where none is left.
    pub(super) fn pop(&mut self, spec: &RankedSpec, ranks: &[Rank]) -> Option<Option<Given>> {
        let (key, entry) = self.rows.pop_first()?;
        let Some(last) = &mut self.ranks else {
            return Some(None);
        };
        let order = &key[..entry.order_bytes()];
        let numbers = numbers_behind(last.as_ref(), order);
        if spec.is_beyond(numbers) {
            // So are all that follow.
            self.ranks = None;
            return Some(None);
        }
        match last {
            Some((alike, before)) if **alike == *order => *before = numbers,
            last => *last = Some((order.into(), numbers)),
        }
        let is_skipped = numbers[0] <= spec.skip;
        Some((!is_skipped).then(|| (entry.row, counted(ranks, numbers))))
    }
}
