//! Aggregates that Ring 0 does not have itself: whoever makes the program brings them, over Arrow
//! arrays. They may allocate. A slot keeps the number of its group, in the order in which groups
//! were made; each call keeps one state for all groups of a table.

use std::fmt::Debug;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::cells::Output;
use super::middle::Middles;
use super::update;
use crate::column::Column;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::program::{AggregateFunction, AggregateSpec, Phase};
use crate::tally::Charge;

/// The number of a group that has none yet.
pub(super) const NONE: u64 = u64::MAX;

/// An aggregate of columns.
pub trait AggregateKernel: Debug + Send + Sync {
    /// The type of its results, one that [`crate::schema::physical`] knows.
    fn data_type(&self) -> &DataType;

    /// Whether its result is that of the values in the middle: by size of those of its one argument
    /// that are not NULL, of an even number both that stand there.
    fn takes_middle(&self) -> bool {
        false
    }

    /// The states of the groups of one table, of which there are none yet. With
    /// [`Phase::Changes`] [`GroupStates::result`] is asked for, else [`GroupStates::results`].
    ///
    /// # Errors
    /// What it cannot do.
    fn states(&self, phase: Phase) -> std::result::Result<Box<dyn GroupStates>, String>;
}

/// The states of groups 0, 1, 2, ...
pub trait GroupStates: Send {
    /// Takes rows: the arguments, and the group of each. There are `total` groups from now on.
    ///
    /// # Errors
    /// What is wrong with at least one of the rows.
    fn update(
        &mut self,
        args: &[ArrayRef],
        groups: &[usize],
        total: usize,
    ) -> std::result::Result<(), String>;

    /// The results of all groups, in order, of which there are `total`. Nothing is left of the
    /// states.
    ///
    /// # Errors
    /// Where there is no result.
    fn results(&mut self, total: usize) -> std::result::Result<ArrayRef, String>;

    /// How many columns [`GroupStates::states`] has.
    fn columns(&self) -> usize;

    /// The states of all groups, in order, of which there are `total`, as rows; they stay as they
    /// are.
    ///
    /// # Errors
    /// Where a state cannot be kept.
    fn states(&mut self, total: usize) -> std::result::Result<Vec<ArrayRef>, String>;

    /// Adds such rows to the groups of these numbers, of which there are `total` from now on.
    ///
    /// # Errors
    /// Where they are none of these states.
    fn merge(
        &mut self,
        states: &[ArrayRef],
        groups: &[usize],
        total: usize,
    ) -> std::result::Result<(), String>;

    /// The result of one group as it is now. There may be no row of it.
    ///
    /// # Errors
    /// Where there is no result.
    fn result(&mut self, group: usize) -> std::result::Result<ArrayRef, String>;

    /// Bytes of memory of all of them. It is asked for behind each frame of rows, so that it does
    /// not take longer where there are more groups.
    fn bytes(&self) -> usize;
}

/// A call of an [`AggregateKernel`]; equal to itself only.
#[derive(Debug)]
pub struct GenericCall {
    /// What computes it.
    pub kernel: Arc<dyn AggregateKernel>,
    /// The arguments' columns.
    pub args: Vec<usize>,
    /// The BOOLEAN column that says which rows count, where not all do.
    pub filter: Option<usize>,
}

/// The states that belong to one table.
#[derive(Default)]
pub(super) struct Generic {
    states: Vec<Box<dyn GroupStates>>,
    groups: usize,
    /// All results, once the first of them was asked for.
    results: Vec<Column>,
    charge: Charge,
}

impl Debug for Generic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { states, groups, .. } = self;
        write!(f, "{} states of {groups} groups", states.len())
    }
}

/// The generic calls of an aggregation, in their order.
pub(super) fn calls(spec: &AggregateSpec) -> impl Iterator<Item = &GenericCall> {
    spec.calls.iter().filter_map(|call| match &call.function {
        AggregateFunction::Generic(generic) => Some(&**generic),
        _ => None,
    })
}

fn failed(message: String) -> Error {
    Error::Row { message }
}

/// The states of a kernel over arguments of these types.
pub(super) fn states<'t>(
    kernel: &Arc<dyn AggregateKernel>,
    phase: Phase,
    mut types: impl ExactSizeIterator<Item = &'t DataType>,
) -> std::result::Result<Box<dyn GroupStates>, String> {
    match (phase, types.len(), types.next()) {
        (Phase::Changes, 1, Some(data_type)) if kernel.takes_middle() => {
            Ok(Box::new(Middles::new(kernel, data_type)))
        }
        _ => kernel.states(phase),
    }
}

impl Generic {
    pub(super) fn new(spec: &AggregateSpec) -> Result<Self> {
        let states = calls(spec).map(|call| {
            let types = call.args.iter().map(|&a| &spec.input.fields[a].data_type);
            states(&call.kernel, spec.phase, types).map_err(failed)
        });
        Ok(Self {
            states: states.collect::<Result<_>>()?,
            ..Self::default()
        })
    }

    /// The numbers of the groups of `slots`, whose word `at` keeps them.
    pub(super) fn number(&mut self, slots: &[*mut u64], at: usize, numbers: &mut Vec<usize>) {
        update::each_word(slots, at, |number| {
            if *number == NONE {
                *number = self.groups as u64;
                self.groups += 1;
            }
            numbers.push(*number as usize);
        });
    }

    /// Takes rows of a frame: from `start` on, as many as `numbers` are given of their groups.
    pub(super) fn update(
        &mut self,
        spec: &AggregateSpec,
        frame: &Frame,
        start: usize,
        numbers: &[usize],
    ) -> Result<()> {
        let mut rows = Vec::new();
        let mut groups = Vec::new();
        for (call, states) in calls(spec).zip(&mut self.states) {
            rows.clear();
            groups.clear();
            for (i, &number) in numbers.iter().enumerate() {
                let counts = call.filter.is_none_or(|f| match &frame.columns[f] {
                    Column::Bool(c) => c.get(start + i) == Some(true),
                    other => unreachable!("a filter of {:?}", other.physical()),
                });
                if counts {
                    rows.push((start + i) as u32);
                    groups.push(number);
                }
            }
            let args = call.args.iter().map(|&arg| {
                let column = &frame.columns[arg];
                let mut taken = column.empty_like();
                taken.append_rows(column, &rows);
                taken.into_array(&spec.input.fields[arg].data_type)
            });
            let args: Vec<ArrayRef> = args.collect();
            let taken = states.update(&args, &groups, self.groups);
            taken.map_err(failed)?;
        }
        self.weigh();
        Ok(())
    }

    /// Counts the memory.
    fn weigh(&mut self) {
        if !self.states.is_empty() {
            let states = self.states.iter().map(|states| states.bytes());
            let results = self.results.iter().map(Column::heap_bytes);
            self.charge.set(states.chain(results).sum());
        }
    }

    /// The states of all groups, by call and column.
    pub(super) fn states(&mut self) -> Result<Vec<Vec<ArrayRef>>> {
        let total = self.groups;
        let states = self.states.iter_mut();
        let states = states.map(|states| states.states(total).map_err(failed));
        states.collect()
    }

    /// Adds rows of state, with the columns of all calls, to the groups of these numbers.
    pub(super) fn merge(&mut self, mut rows: &[ArrayRef], numbers: &[usize]) -> Result<()> {
        for states in &mut self.states {
            let Some((mine, others)) = rows.split_at_checked(states.columns()) else {
                return Err(Error::Restore("states of other aggregates".to_owned()));
            };
            states.merge(mine, numbers, self.groups).map_err(failed)?;
            rows = others;
        }
        self.weigh();
        match rows {
            [] => Ok(()),
            [..] => Err(Error::Restore("states of other aggregates".to_owned())),
        }
    }

    /// Has the results of all groups ready to be pushed; there is no update any more.
    pub(super) fn finish(&mut self) -> Result<()> {
        if self.results.is_empty() {
            for states in &mut self.states {
                let results = states.results(self.groups).map_err(failed)?;
                assert_eq!(results.len(), self.groups, "a result for each group");
                self.results.push(Column::from_array(results));
            }
            self.weigh();
        }
        Ok(())
    }

    /// Appends the results of the call of this number among the generic ones.
    pub(super) fn push(
        &mut self,
        call: usize,
        output: &Output,
        slots: &[*mut u64],
        to: &mut Column,
    ) -> Result<()> {
        let mut numbers = Vec::with_capacity(slots.len());
        self.number(slots, output.cell.at, &mut numbers);
        match self.results.get(call) {
            Some(results) => {
                let rows: Vec<u32> = numbers.iter().map(|&n| n as u32).collect();
                to.append_rows(results, &rows);
            }
            None => {
                for number in numbers {
                    let result = self.states[call].result(number).map_err(failed)?;
                    to.append_array(&result, 0..1);
                }
            }
        }
        Ok(())
    }
}
