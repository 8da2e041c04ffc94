//! Where a chain stands to barriers, and which rows of state a shard owns behind one.

use super::Place;
use crate::limits::KEY_GROUPS;
use crate::shard::Aligning;
use crate::snapshot::Owned;

/// What a chain has to do with barriers.
#[derive(Debug)]
pub(crate) struct Barriers {
    /// The stages that it is made of.
    pub(crate) stages: Vec<u32>,
    /// No barrier comes: it makes the side of a join that is made again.
    pub(crate) is_remade: bool,
    /// It had ended before the snapshot that the program goes on from: it gives nothing again.
    pub(super) is_over: bool,
    /// The last one that passed.
    pub(super) passed: u64,
    pub(super) ended: bool,
    pub(crate) aligning: Aligning,
}

impl Barriers {
    /// Whether nothing is kept back by the chain before this barrier has passed on the shard.
    pub(crate) fn are_past(&self, epoch: u64) -> bool {
        self.is_remade || self.ended || self.passed >= epoch
    }

    /// Whether it stands behind this barrier, and goes on from there. What had ended is passed by
    /// barriers, too, where its input was not looked at before one was asked for.
    pub(crate) fn goes_on(&self, epoch: u64) -> bool {
        !self.is_remade && !self.is_over && self.passed >= epoch
    }
}

impl Place {
    /// Which groups there can be here: where shard 0 has all rows, they are `single`, else they
    /// were routed by these of the columns that are kept. `None` where nothing says it.
    pub(super) fn owned(self, single: bool, by: Option<Vec<usize>>) -> Option<Owned> {
        match by {
            _ if single && self.shard > 0 => Some(Owned::None),
            // There is no other, or none that gets rows.
            _ if single || self.groups == KEY_GROUPS as u32 => Some(Owned::All),
            by => by.map(|by| Owned::Routed {
                by,
                first: self.first_group,
                groups: self.groups,
            }),
        }
    }
}
