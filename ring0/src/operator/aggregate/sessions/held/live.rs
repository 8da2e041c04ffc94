//! What held calls have computed so far of a session whose result is asked for with each row: the
//! rows that came since are taken, and no row twice. It is made anew of all rows where two sessions
//! became one whose rows came in turns.

use std::collections::HashSet;
use std::fmt::Debug;

use arrow_array::ArrayRef;

use super::{Call, Function, Held, Row};
use crate::column::Column;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::operator::aggregate::cells::Kind;
use crate::operator::aggregate::generic::{self, GroupStates};
use crate::operator::aggregate::{emit, update};
use crate::order::{put_key, take};
use crate::program::Phase;
use crate::table::store::PageStore;
use crate::table::var::VarHeap;
use crate::tally::{Charge, Packed};

/// The state of one call.
pub(super) struct Live {
    /// So many of the session's rows were taken.
    taken: usize,
    /// With DISTINCT, what was there among them.
    seen: HashSet<Packed>,
    state: State,
    charge: Charge,
}

enum State {
    /// The one group of these.
    Generic(Box<dyn GroupStates>),
    /// The words of a slot.
    Native(Vec<u64>),
}

impl Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { taken, seen, .. } = self;
        write!(f, "of {taken} rows, {} first ones", seen.len())
    }
}

fn failed(message: String) -> Error {
    Error::Row { message }
}

impl Call {
    /// Whether what it computes can be gone on with: words of its own say all.
    pub(super) fn goes_on(&self) -> bool {
        match &self.function {
            Function::Generic(_) => true,
            Function::Native { plan, .. } => {
                let kept_beside = |kind: Kind| matches!(kind, Kind::Min(_) | Kind::Max(_));
                !plan.cells.iter().any(|cell| kept_beside(cell.kind))
            }
        }
    }

    fn begin(&self, held: &Held) -> Result<Live> {
        let state = match &self.function {
            Function::Generic(call) => {
                let types = self
                    .args
                    .iter()
                    .map(|&arg| &held.schema.fields[arg].data_type);
                let states = generic::states(&call.kernel, Phase::Changes, types);
                State::Generic(states.map_err(failed)?)
            }
            Function::Native { plan, .. } => State::Native(plan.initial.clone()),
        };
        Ok(Live {
            taken: 0,
            seen: HashSet::new(),
            state,
            charge: Charge::default(),
        })
    }
}

impl Held {
    /// Appends the result of a call for a session, of which some rows were taken before.
    pub(super) fn push_live(
        &mut self,
        number: usize,
        group: u32,
        (heap, store): (&mut VarHeap, &mut PageStore),
        to: &mut Column,
    ) -> Result<()> {
        let at = group as usize;
        if self.live.len() <= at {
            self.live.resize_with(at + 1, Vec::new);
        }
        let mut live = std::mem::take(&mut self.live[at]);
        while live.len() < self.calls.len() {
            live.push(self.calls[live.len()].begin(self)?);
        }
        let call = &self.calls[number];
        let of = &mut live[number];
        self.take_new(call, of, &self.rows[at], (&mut *heap, &mut *store))?;
        match (&mut of.state, &call.function) {
            (State::Generic(states), _) => {
                let result = states.result(0).map_err(failed)?;
                to.append_array(&result, 0..1);
            }
            (State::Native(words), Function::Native { plan, .. }) => {
                emit::push_results(&plan.outputs[0], store, &[words.as_mut_ptr()], to)?;
            }
            (State::Native(_), Function::Generic(_)) => unreachable!("a state is its call's"),
        }
        self.live[at] = live;
        Ok(())
    }

    /// Takes the rows that came since.
    fn take_new(
        &self,
        call: &Call,
        live: &mut Live,
        rows: &[Row],
        (heap, store): (&mut VarHeap, &mut PageStore),
    ) -> Result<()> {
        let new = &rows[live.taken..];
        live.taken = rows.len();
        if new.is_empty() {
            return Ok(());
        }
        let mut frame = Frame::new(&self.schema, new.len());
        for row in new {
            let mut rest = super::values(row);
            frame.columns.iter_mut().for_each(|to| take(&mut rest, to));
        }
        frame.commit_rows(new.len());
        let seen = &mut live.seen;
        let counts = |row: &u32| {
            let row = *row as usize;
            call.passes(&frame, row)
                && call.first_by.as_ref().is_none_or(|columns| {
                    let mut key = Vec::new();
                    put_key(&mut key, &frame, row, columns);
                    seen.insert(key.into())
                })
        };
        let counted: Vec<u32> = (0..new.len() as u32).filter(counts).collect();
        let args = call.args.iter().map(|&arg| {
            let mut taken = frame.columns[arg].empty_like();
            taken.append_rows(&frame.columns[arg], &counted);
            (taken, &self.schema.fields[arg].data_type)
        });
        match (&mut live.state, &call.function) {
            (State::Generic(states), _) => {
                let args: Vec<ArrayRef> = args.map(|(c, t)| c.into_array(t)).collect();
                let taken = states.update(&args, &vec![0; counted.len()], 1);
                taken.map_err(failed)?;
                live.charge.set(size_of::<Live>() + states.bytes());
            }
            (State::Native(words), Function::Native { plan, schema }) => {
                let mut frame = Frame::new(schema, counted.len().max(1));
                for (to, (column, _)) in frame.columns.iter_mut().zip(args) {
                    to.append_all(&column);
                }
                frame.commit_rows(counted.len());
                let slots = vec![words.as_mut_ptr(); counted.len()];
                for cell in &plan.cells {
                    update::apply(cell, Phase::Complete, heap, store, &frame, 0, &slots)?;
                }
            }
            (State::Native(_), Function::Generic(_)) => unreachable!("a state is its call's"),
        }
        Ok(())
    }

    /// Forgets what was computed of a session: it is computed anew.
    pub(super) fn begin_anew(&mut self, group: u32) {
        if let Some(live) = self.live.get_mut(group as usize) {
            live.clear();
        }
    }
}

/// Whether the rows of one session all came before those of another: then they stand in their order
/// where these are put behind them.
pub(super) fn is_before(one: &[Row], other: &[Row]) -> bool {
    match (one.last(), other.first()) {
        (Some(last), Some(first)) => last < first,
        _ => true,
    }
}
