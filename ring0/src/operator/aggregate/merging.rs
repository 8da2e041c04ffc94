//! Two groups that become one, as two sessions do, or the panes of a window: the cells of one are
//! added to the other's, by a plan for state as it passes between phases. It never reads rows.

use std::sync::Arc;

use crate::error::Result;
use crate::frame::Frame;
use crate::operator::aggregate::cells::{Cell, Plan, partial_schema};
use crate::operator::aggregate::{emit, update};
use crate::program::{AggregateSpec, Phase};
use crate::schema::Schema;
use crate::table::store::PageStore;
use crate::table::var::VarHeap;

/// How the cells of some groups are added to those of others: as state between phases is.
#[derive(Debug)]
pub(super) struct Merging {
    pub(super) plan: Plan,
    state: Frame,
}

impl Merging {
    /// For the groups of `spec`, of which up to `groups` are added at a time, in slots whose state
    /// begins at word `state_at`.
    pub(super) fn new(spec: &AggregateSpec, state_at: usize, groups: usize) -> Result<Self> {
        let (calls, results) = (spec.calls.clone(), spec.results().to_vec());
        let input = Arc::new(partial_schema(&spec.input, &[], &calls)?);
        let last = AggregateSpec {
            input: Arc::clone(&input),
            keys: Vec::new(),
            phase: Phase::Final,
            window: None,
            output: Arc::new(Schema::new(results)),
            calls,
        };
        Ok(Self {
            plan: Plan::new(&last, state_at)?,
            state: Frame::new(&input, groups),
        })
    }

    /// Takes what `cells` of these groups hold.
    pub(super) fn take(&mut self, cells: &[Cell], store: &PageStore, slots: &[*mut u64]) {
        self.state.clear();
        let mut at = 0;
        for cell in cells {
            emit::push_state(cell, store, slots, &mut self.state.columns[at..]);
            at += cell.kind.columns();
        }
        self.state.commit_rows(slots.len());
    }

    /// Adds what was taken, from the group `from` of it on, to that of these.
    ///
    /// # Errors
    /// Memory.
    pub(super) fn add(
        &self,
        heap: &mut VarHeap,
        store: &mut PageStore,
        from: usize,
        slots: &[*mut u64],
    ) -> Result<()> {
        for cell in &self.plan.cells {
            update::apply(cell, Phase::Final, heap, store, &self.state, from, slots)?;
        }
        Ok(())
    }
}
