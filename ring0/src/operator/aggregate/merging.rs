//! Two groups that become one, as two sessions do, or the panes of a window: the cells of one are
//! added to the other's, by a plan for state as it passes between phases. It never reads rows.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::DataType;

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
    schema: Schema,
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
            schema: Schema::clone(&input),
        })
    }

    /// For groups whose cells are these, to pass as columns; `spec` without generic calls.
    pub(super) fn of_cells(spec: &AggregateSpec, cells: &[Cell], groups: usize) -> Result<Self> {
        let mut calls = Vec::new();
        for call in &spec.calls {
            if !calls.contains(call) {
                calls.push(call.clone());
            }
        }
        let state = match spec.phase {
            Phase::Final => spec.input.fields[spec.keys.len()..].to_vec(),
            Phase::Complete | Phase::Partial | Phase::Changes => {
                partial_schema(&spec.input, &[], &calls)?.fields
            }
        };
        let mut column = 0;
        let mut moved = cells.to_vec();
        for cell in &mut moved {
            cell.column = column;
            column += cell.kind.columns();
        }
        assert_eq!(column, state.len(), "a column for each part of a cell");
        let state = Schema::new(state);
        Ok(Self {
            plan: Plan::of_cells(moved),
            state: Frame::new(&state, groups),
            schema: state,
        })
    }

    /// The types of a cell's columns, one behind the other.
    pub(super) fn types(&self) -> impl Iterator<Item = &DataType> {
        self.schema.types()
    }

    /// The columns of what was taken.
    pub(super) fn columns(&self) -> impl Iterator<Item = ArrayRef> {
        let columns = self.state.columns.iter().zip(self.schema.types());
        columns.map(|(column, data_type)| column.to_array(data_type))
    }

    /// Takes columns instead, of so many groups.
    pub(super) fn fill(&mut self, columns: &[ArrayRef], groups: usize) {
        self.state = Frame::new(&self.schema, groups.max(1));
        for (to, from) in self.state.columns.iter_mut().zip(columns) {
            to.append_array(from, 0..groups);
        }
        self.state.commit_rows(groups);
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
