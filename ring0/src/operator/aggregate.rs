//! Grouped aggregation: rows of a shard's keys change cells of state in a table, groups leave in
//! the order of their hashes.
//!
//! With a window key there is one table for each window start; closing a window gives its pages
//! back at once. NULL is a key like any other, but never a window's start.

mod cells;
mod changes;
mod combined;
mod emit;
mod extremes;
mod frozen;
mod fused;
mod generic;
mod merging;
mod middle;
mod moments;
pub mod panes;
pub(crate) mod retract;
mod rows;
mod saved;
pub mod sessions;
mod splitter;
mod update;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ptr;
use std::sync::Arc;

use arrow_schema::DataType;

pub use self::cells::{partial_schema, result_type};
pub(crate) use self::combined::before_exchange;
pub use self::generic::{AggregateKernel, GenericCall, GroupStates};

use self::cells::Plan;
use self::combined::Combining;
use self::frozen::Frozen;
use self::generic::Generic;
use self::saved::Saving;
use self::splitter::Splitter;
use crate::changelog::is_weighted;
use crate::column::{Column, has_any_length};
use crate::error::{Error, Result, refuse};
use crate::frame::Frame;
use crate::program::{AggregateFunction, AggregateSpec, Phase};
use crate::schema::unit_nanos;
use crate::table::keys::{KeyBatch, KeyLayout};
use crate::table::store::{Addresses, PageStore};
use crate::table::{BATCH_ROWS, ScanCursor, Slots, Table, TableLayout};

/// Rows emitted at a time where strings decide when a frame is full.
const STRING_ROWS: usize = 16;

/// How far a resumable call got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is nothing left.
    Done,
    /// The output is full; call again with an empty one and the same cursor.
    Full,
}

/// Where an emission stands. A new one starts at [`EmitCursor::default`]; between
/// [`Progress::Full`] and the next call there must be no update.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EmitCursor {
    scan: ScanCursor,
}

/// Everything that updates and emissions of any window share.
#[derive(Debug)]
pub(crate) struct Shared {
    spec: Arc<AggregateSpec>,
    plan: Plan,
    layout: TableLayout,
    store: PageStore,
    batch: KeyBatch,
    /// Columns of the output that the table's keys go to.
    keys_to: Vec<usize>,
    /// Nanoseconds of the window key's unit.
    window_unit_ns: i64,
    has_strings: bool,
    /// A page was split lately, and so more are about to: for so many pieces of rows.
    growing: u32,
    /// The groups as they were at a barrier, while they are handed on.
    frozen: Option<Frozen>,
}

/// The groups of one window, or all.
#[derive(Debug)]
struct Pane {
    table: Table,
    generic: Generic,
}

/// The state of an aggregation on one shard.
#[derive(Debug)]
pub struct Aggregate {
    shared: Shared,
    /// The one table without windows.
    whole: Option<Pane>,
    /// By the window's start, in the key's unit.
    windows: BTreeMap<i64, Pane>,
    splitter: Splitter<i64>,
    /// Where handing on the groups to a snapshot stands.
    saving: Option<Saving>,
    /// How groups are read that were made before an exchange, once some came.
    combining: Option<Box<Combining>>,
}

impl Aggregate {
    /// An aggregation of the keys whose hashes lie in `groups` key groups from `first_group` on,
    /// whose state lies in `addresses`.
    ///
    /// # Errors
    /// [`Error::Program`] where `spec` does not fit together, [`Error::Preflight`] where the
    /// system gives no memory.
    pub fn new(
        spec: Arc<AggregateSpec>,
        first_group: u32,
        groups: u32,
        addresses: Addresses,
    ) -> Result<Self> {
        let mut shared = Shared::new(spec, first_group, groups, addresses)?;
        let whole = match shared.spec.window {
            Some(_) => None,
            None => Some(shared.new_pane()?),
        };
        Ok(Self {
            splitter: Splitter::new(&shared.spec.input),
            shared,
            whole,
            windows: BTreeMap::new(),
            saving: None,
            combining: None,
        })
    }

    /// Takes the rows of `frame`; `hashes` are those of its keys, by
    /// [`hash_keys`](crate::hash::hash_keys).
    ///
    /// # Errors
    /// [`Error::Row`] where a value is too long for state or a window's start is NULL; memory.
    pub fn update(&mut self, frame: &Frame, hashes: &[u64]) -> Result<()> {
        let mut from = 0;
        while from < hashes.len() {
            from = self.update_some(frame, hashes, from)?;
        }
        Ok(())
    }

    /// As [`Aggregate::update`], from row `from` on, until tables have grown by so much that others
    /// should have their turn. Gives the first row that is left.
    pub(crate) fn update_some(
        &mut self,
        frame: &Frame,
        hashes: &[u64],
        from: usize,
    ) -> Result<usize> {
        assert_eq!(frame.rows(), hashes.len(), "one hash a row");
        if let Some(pane) = &mut self.whole {
            let rows = from..hashes.len();
            return self.shared.apply_some(pane, frame, rows, hashes);
        }
        let starts = self.shared.window_starts(frame)?;
        let windows = &mut self.windows;
        let rows = (frame, hashes, from);
        self.shared
            .apply_by(windows, &mut self.splitter, starts, rows)
    }

    /// Emits groups into `out` until it is full: with `None` all of them, the end of the input;
    /// else those of windows that end at or before `upto_ns`. Windows that were emitted are gone.
    /// Strings can make `out` fuller than full by a few rows.
    ///
    /// # Errors
    /// [`Error::Row`] where a result does not fit its type; `out` is then of no use but cleared.
    pub fn emit(
        &mut self,
        upto_ns: Option<i64>,
        cursor: &mut EmitCursor,
        out: &mut Frame,
    ) -> Result<Progress> {
        if let Some(pane) = &mut self.whole {
            return match upto_ns {
                Some(_) => Ok(Progress::Done),
                None => self.shared.emit(pane, None, cursor, out),
            };
        }
        while let Some(mut first) = self.windows.first_entry() {
            let start = *first.key();
            if upto_ns.is_some_and(|upto| self.shared.window_end_ns(start) > i128::from(upto)) {
                break;
            }
            let pane = first.get_mut();
            if self.shared.emit(pane, Some(start), cursor, out)? == Progress::Full {
                return Ok(Progress::Full);
            }
            first.remove().table.release(&mut self.shared.store);
            *cursor = EmitCursor::default();
        }
        Ok(Progress::Done)
    }

    /// Forgets all groups: they were emitted, and others follow.
    pub(crate) fn begin_anew(&mut self) -> Result<()> {
        if let Some(pane) = self.whole.take() {
            pane.table.release(&mut self.shared.store);
            self.whole = Some(self.shared.new_pane()?);
        }
        assert!(
            self.windows.is_empty(),
            "windows are gone once they were emitted"
        );
        Ok(())
    }

    /// Number of groups in state.
    pub fn groups(&self) -> usize {
        self.whole
            .iter()
            .chain(self.windows.values())
            .map(|pane| pane.table.len())
            .sum()
    }

    /// Pages of state in use.
    pub fn pages(&self) -> usize {
        self.shared.store.used()
    }
}

/// The groups of the window that starts at `start`.
fn open<'a, K: Ord>(
    windows: &'a mut BTreeMap<K, Pane>,
    shared: &mut Shared,
    start: K,
) -> Result<&'a mut Pane> {
    use std::collections::btree_map::Entry;
    Ok(match windows.entry(start) {
        Entry::Occupied(pane) => pane.into_mut(),
        Entry::Vacant(place) => place.insert(shared.new_pane()?),
    })
}

/// Refuses an output schema whose columns could not take what is emitted.
fn check_output(spec: &AggregateSpec, plan: &Plan) -> Result<()> {
    let columns = spec.keys.len()
        + match spec.phase {
            Phase::Partial => plan.cells.iter().map(|c| c.kind.columns()).sum(),
            Phase::Complete | Phase::Final => plan.outputs.len(),
            Phase::Changes => plan.outputs.len() + 1,
        };
    if spec.phase == Phase::Changes && !is_weighted(&spec.output) {
        return refuse("a changelog without its column".to_owned());
    }
    if spec.output.fields.len() != columns {
        let given = spec.output.fields.len();
        return refuse(format!(
            "{given} columns for the {columns} of an aggregation"
        ));
    }
    for (i, &key) in spec.keys.iter().enumerate() {
        if spec.output.fields[i].data_type != spec.input.fields[key].data_type {
            return refuse(format!("key {i} of another type"));
        }
    }
    Ok(())
}

impl Shared {
    /// What [`Aggregate::new`] says.
    fn new(
        spec: Arc<AggregateSpec>,
        first_group: u32,
        groups: u32,
        addresses: Addresses,
    ) -> Result<Self> {
        let columns = spec.input.fields.len();
        if let Some(key) = spec.keys.iter().find(|&&k| k >= columns) {
            return refuse(format!("key {key} of {columns} columns"));
        }
        let mut keys_to: Vec<usize> = (0..spec.keys.len()).collect();
        let mut window_unit_ns = 1;
        if let Some(window) = spec.window {
            let key = spec.keys.get(window.key);
            match key.map(|&k| &spec.input.fields[k].data_type) {
                Some(DataType::Timestamp(unit, None)) => window_unit_ns = unit_nanos(*unit),
                other => return refuse(format!("a window key of type {other:?}")),
            }
            keys_to.remove(window.key);
        }
        let keys = KeyLayout::new(&spec.input, &spec.hashed_keys());
        let plan = Plan::new(&spec, 1 + keys.words())?;
        let layout = TableLayout::new(keys, plan.initial.clone(), first_group, groups)?;
        check_output(&spec, &plan)?;
        let has_strings = spec
            .output
            .fields
            .iter()
            .any(|f| has_any_length(&f.data_type));
        Ok(Self {
            plan,
            layout,
            store: PageStore::new(addresses)?,
            batch: KeyBatch::default(),
            keys_to,
            window_unit_ns,
            has_strings,
            growing: 0,
            frozen: None,
            spec,
        })
    }

    fn new_pane(&mut self) -> Result<Pane> {
        let mut generic = Generic::new(&self.spec)?;
        let mut table = Table::new(&self.layout, &mut self.store)?;
        if self.spec.keys.is_empty() {
            // The one group of all rows exists without any.
            let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
            table.resolve(
                &self.layout,
                &mut self.store,
                &self.batch,
                &[0],
                0,
                &mut slots,
            )?;
            if let Some(at) = self.plan.number_at {
                generic.number(&slots[..1], at, &mut Vec::new());
            }
        }
        Ok(Pane { table, generic })
    }

    fn window_starts<'a>(&self, frame: &'a Frame) -> Result<&'a [i64]> {
        let key = self.spec.window.map_or(0, |w| self.spec.keys[w.key]);
        let Column::I64(starts) = &frame.columns[key] else {
            unreachable!("a window's start is a TIMESTAMP")
        };
        if starts.validity.nulls() > 0 {
            return Err(Error::Row {
                message: "NULL as the start of a window in GROUP BY".to_owned(),
            });
        }
        Ok(&starts.values)
    }

    fn window_end_ns(&self, start: i64) -> i128 {
        let size = self.spec.window.map_or(0, |w| w.size_ns);
        i128::from(start) * i128::from(self.window_unit_ns) + i128::from(size)
    }

    fn emit(
        &self,
        pane: &mut Pane,
        window: Option<i64>,
        cursor: &mut EmitCursor,
        out: &mut Frame,
    ) -> Result<Progress> {
        let Pane { table, generic } = pane;
        generic.finish()?;
        let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
        loop {
            if out.is_full() {
                return Ok(Progress::Full);
            }
            let rows_max = if self.has_strings {
                out.room().min(STRING_ROWS)
            } else {
                out.room()
            };
            let count = table.scan(
                &self.layout,
                &self.store,
                &mut cursor.scan,
                rows_max,
                &mut slots,
            );
            if count == 0 {
                return Ok(Progress::Done);
            }
            self.push(generic, &slots[..count], window, out)?;
            out.commit_rows(count);
        }
    }

    /// Appends the columns of groups and results; the rows are not committed yet.
    fn push(
        &self,
        generic: &mut Generic,
        slots: &[*mut u64],
        window: Option<i64>,
        out: &mut Frame,
    ) -> Result<()> {
        if let (Some(key), Some(start)) = (self.spec.window, window)
            && let Column::I64(c) = &mut out.columns[key.key]
        {
            slots.iter().for_each(|_| c.push(Some(start)));
        }
        let keys = &self.layout.keys;
        emit::push_keys(keys, &self.store, slots, &mut out.columns, &self.keys_to);
        let mut at = self.spec.keys.len();
        match self.spec.phase {
            Phase::Partial => {
                for cell in &self.plan.cells {
                    emit::push_state(cell, &self.store, slots, &mut out.columns[at..]);
                    at += cell.kind.columns();
                }
            }
            Phase::Complete | Phase::Final | Phase::Changes => {
                let mut call = 0;
                for output in &self.plan.outputs {
                    let to = &mut out.columns[at];
                    if let AggregateFunction::Generic(_) = output.function {
                        generic.push(call, output, slots, to)?;
                        call += 1;
                    } else {
                        emit::push_results(output, &self.store, slots, to)?;
                    }
                    at += 1;
                }
            }
        }
        Ok(())
    }
}
