//! Where a chain stands to barriers, and which rows of state a shard owns behind one.

use super::made::Operator;
use super::{Chain, Level, Place};
use crate::error::Result;
use crate::limits::KEY_GROUPS;
use crate::operator::aggregate::Shared;
use crate::shard::Aligning;
use crate::snapshot::{self, Owned, Recorder};
use crate::tally;

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
    /// State is handed on behind a barrier that has passed.
    pub(crate) is_saving: bool,
    pub(crate) aligning: Aligning,
}

impl Barriers {
    /// Whether nothing is kept back by the chain before this barrier has passed on the shard.
    pub(crate) fn are_past(&self, epoch: u64) -> bool {
        !self.is_saving && (self.is_remade || self.ended || self.passed >= epoch)
    }

    /// Whether it stands behind this barrier, and goes on from there. What had ended is passed by
    /// barriers, too, where its input was not looked at before one was asked for.
    pub(crate) fn goes_on(&self, epoch: u64) -> bool {
        !self.is_remade && !self.is_over && self.passed >= epoch
    }
}

impl Level {
    /// The groups that it keeps as they were at a barrier, if it does.
    pub(super) fn frozen(&mut self) -> Option<&mut Shared> {
        match &mut self.operator {
            Operator::Aggregate(state) => state.shared().filter(|shared| shared.is_frozen()),
            _ => None,
        }
    }
}

impl Chain {
    /// Notes whether state is handed on behind a barrier that has passed.
    pub(super) fn note_saving(&mut self) {
        let mut levels = self.levels.iter_mut();
        self.barriers.is_saving = levels.any(|level| level.frozen().is_some());
    }

    /// Whether nothing is taken before more of the state was handed on.
    pub(super) fn waits_for_saved(&mut self) -> bool {
        let mut levels = self.levels.iter_mut();
        self.barriers.is_saving
            && levels.any(|level| level.frozen().is_some_and(|g| g.has_copied_enough()))
    }

    /// Hands on the next slice of what was kept at a barrier. Returns whether there was one.
    pub(crate) fn save_some(&mut self, recorder: &mut Recorder) -> Result<bool> {
        if !self.barriers.is_saving || !recorder.has_room() {
            return Ok(false);
        }
        for level in &mut self.levels {
            let (stage, operator) = level.origin;
            let Some(groups) = level.frozen() else {
                continue;
            };
            // Pages are taken for copies here, too.
            let before = tally::held();
            let saved = groups.save_frozen();
            level.state.add_since(before);
            if let Some(rows) = saved? {
                let place = snapshot::Place::Operator(stage, operator);
                recorder.record(place, snapshot::encode(&rows));
            }
            break;
        }
        self.note_saving();
        Ok(true)
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
