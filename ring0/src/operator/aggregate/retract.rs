//! Aggregation of a changelog: rows come and go, and groups with them. Each change gives its group
//! as it is then, and takes back how it was; or all groups leave once the input has ended.
//!
//! Counts and sums forget a row as they took it. Where the least, the greatest or what Ring 0 does
//! not compute itself is asked for, a group keeps how often each value stands. A row may go before
//! it comes: a group stands while it has more rows than none, and is kept until nothing is owed.
//!
//! Never drops a row: what comes without a weight or a group does not exist.

mod exact;
mod saved;
mod state;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

pub(crate) use self::saved::SaveCursor;
use self::state::State;
use super::Progress;
use super::cells::Plan;
use crate::changelog::{
    self, DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE, UPDATE_ROWS, is_weighted,
};
use crate::column::has_any_length;
use crate::error::{Result, refuse};
use crate::frame::Frame;
use crate::order::{SortKey, put_key, put_row};
use crate::program::{AggregateSpec, Phase};
use crate::tally::Packed;

/// A group: what stands of it, and whether it was given.
#[derive(Debug)]
struct Group {
    rows: i64,
    state: State,
    given: bool,
}

/// The groups of a changelog's rows on one shard, in the order of their keys.
#[derive(Debug)]
pub(crate) struct Retracting {
    spec: Arc<AggregateSpec>,
    plan: Plan,
    keys: Vec<SortKey>,
    groups: BTreeMap<Packed, Group>,
    has_strings: bool,
    /// The input has ended, and groups leave.
    ended: bool,
    /// The key of the row in hand, and of the one behind it.
    key: Vec<u8>,
    other: Vec<u8>,
}

impl Retracting {
    /// # Errors
    /// [`crate::error::Error::Program`] where `spec` does not fit together.
    pub(crate) fn new(spec: &Arc<AggregateSpec>) -> Result<Self> {
        if !is_weighted(&spec.input) {
            return refuse("an aggregation of a changelog without its column".to_owned());
        }
        if !matches!(spec.phase, Phase::Changes | Phase::Complete) || spec.window.is_some() {
            return refuse("an aggregation of a changelog in phases or by windows".to_owned());
        }
        if let Some(key) = spec.keys.iter().find(|&&k| k >= spec.input.fields.len()) {
            return refuse(format!("key {key} of {} columns", spec.input.fields.len()));
        }
        let plan = Plan::new(spec, 0)?;
        super::check_output(spec, &plan)?;
        let fields = &spec.output.fields;
        Ok(Self {
            plan,
            keys: spec.keys.iter().copied().map(SortKey::ascending).collect(),
            groups: BTreeMap::new(),
            has_strings: fields.iter().any(|f| has_any_length(&f.data_type)),
            ended: false,
            key: Vec::new(),
            other: Vec::new(),
            spec: Arc::clone(spec),
        })
    }

    fn gives_changes(&self) -> bool {
        self.spec.phase == Phase::Changes
    }

    fn has_room(&self, out: &Frame) -> bool {
        out.room() >= UPDATE_ROWS && !(self.has_strings && out.is_full())
    }

    /// Takes rows of `frame` from row `from` on, as long as `out` has room for what they change.
    /// Gives the first row that is left.
    ///
    /// # Errors
    /// [`crate::error::Error::Row`] where a result does not fit its type.
    pub(crate) fn take(&mut self, frame: &Frame, from: usize, out: &mut Frame) -> Result<usize> {
        let mut row = from;
        while row < frame.rows() && (!self.gives_changes() || self.has_room(out)) {
            self.key.clear();
            put_key(&mut self.key, frame, row, &self.keys);
            let mut rows = 1;
            if changelog::is_update(frame, row) {
                self.other.clear();
                put_key(&mut self.other, frame, row + 1, &self.keys);
                rows += usize::from(self.key == self.other);
            }
            self.change(frame, row, rows, out)?;
            row += rows;
        }
        Ok(row)
    }

    /// Takes `rows` rows of one group that are one change.
    fn change(&mut self, frame: &Frame, row: usize, rows: usize, out: &mut Frame) -> Result<()> {
        let (spec, plan) = (&*self.spec, &self.plan);
        let mut entry = match self.groups.entry(self.key.as_slice().into()) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(place) => place.insert_entry(Group {
                rows: 0,
                state: State::new(spec, plan),
                given: false,
            }),
        };
        let changes = spec.phase == Phase::Changes;
        let before = out.rows();
        if changes && entry.get().given {
            give(spec, plan, &self.key, entry.get_mut(), UPDATE_BEFORE, out)?;
        }
        let group = entry.get_mut();
        for row in row..row + rows {
            let weight = changelog::weight(frame, row);
            group.rows += weight;
            group.state.weigh(spec, plan, frame, row, weight);
        }
        // The one group of all rows stands also where there are none.
        let stands = group.rows > 0 || spec.keys.is_empty();
        match (changes && group.given, changes && stands) {
            (true, true) => {
                give(spec, plan, &self.key, group, UPDATE_AFTER, out)?;
                if is_alike(out, before) {
                    out.truncate(before);
                }
            }
            (true, false) => changelog::set_last(out, &[DELETE]),
            (false, true) => give(spec, plan, &self.key, group, INSERT, out)?,
            (false, false) => {}
        }
        group.given = changes && stands;
        if group.rows == 0 && group.state.is_empty() && !group.given {
            entry.remove();
        }
        Ok(())
    }

    /// The end of the input: the one group of all rows stands, also where there were none; where
    /// groups are given once, they leave now, until `out` is full.
    ///
    /// # Errors
    /// As [`Retracting::take`].
    pub(crate) fn end(&mut self, out: &mut Frame) -> Result<Progress> {
        let (spec, plan) = (&*self.spec, &self.plan);
        let begins = !std::mem::replace(&mut self.ended, true);
        if begins && spec.keys.is_empty() && self.groups.is_empty() {
            let state = State::new(spec, plan);
            let (rows, given) = (0, false);
            let group = Group { rows, state, given };
            self.groups.insert(Packed::default(), group);
        }
        if spec.phase == Phase::Changes && !spec.keys.is_empty() {
            return Ok(Progress::Done);
        }
        while let Some(mut first) = self.groups.first_entry() {
            let key = first.key().clone();
            let group = first.get_mut();
            if !group.given && (group.rows > 0 || spec.keys.is_empty()) {
                if out.is_full() {
                    return Ok(Progress::Full);
                }
                if spec.phase == Phase::Changes {
                    give(spec, plan, &key, group, INSERT, out)?;
                } else {
                    group.state.push(spec, plan, &key, out)?;
                    out.commit_rows(1);
                }
            }
            first.remove();
        }
        Ok(Progress::Done)
    }

    /// Number of groups in state.
    pub(crate) fn groups(&self) -> usize {
        self.groups.len()
    }
}

/// Appends a group as it is now.
fn give(
    spec: &AggregateSpec,
    plan: &Plan,
    key: &[u8],
    group: &mut Group,
    op: i8,
    out: &mut Frame,
) -> Result<()> {
    group.state.push(spec, plan, key, out)?;
    changelog::push(out, op);
    out.commit_rows(1);
    Ok(())
}

/// Whether rows `at` and `at + 1` say the same, but for what they do.
fn is_alike(frame: &Frame, at: usize) -> bool {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let values = &frame.columns[..frame.columns.len() - 1];
    put_row(&mut before, values, at);
    put_row(&mut after, values, at + 1);
    before == after
}
