//! Groups as rows of state: their keys, and their cells as they pass between the phases. So they
//! are kept while the program does not run, and taken up again by whoever owns their keys then.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::ptr;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::DataType;

use super::cells::Cell;
use super::emit;
use super::merging::Merging;
use super::{Aggregate, Pane, Shared};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::hash::hash_keys;
use crate::program::{AggregateCall, AggregateFunction, AggregateSpec, Phase};
use crate::schema::Schema;
use crate::snapshot::{Owned, SLICE_ROWS, batch, frame_of, rows_of};
use crate::table::keys::{KeyBatch, KeyLayout};
use crate::table::store::PageStore;
use crate::table::{BATCH_ROWS, ScanCursor, Slots};

/// What a batch says of the window that its groups are of.
pub(super) const WINDOW: &str = "window";

/// Where handing on the groups of a table stands.
#[derive(Debug)]
pub(super) struct TableCursor {
    rows: Rows,
    scan: ScanCursor,
    /// The states of generic calls of the groups of the table in hand, by call and column.
    generic: Option<Vec<Vec<ArrayRef>>>,
}

impl TableCursor {
    /// Before the first group.
    ///
    /// # Errors
    /// [`Error::Program`] where groups cannot be kept.
    pub(super) fn new(shared: &Shared) -> Result<Self> {
        Ok(Self {
            rows: Rows::new(&shared.spec, &shared.plan.cells)?,
            scan: ScanCursor::default(),
            generic: None,
        })
    }

    /// Goes before the first group of another table.
    pub(super) fn restart(&mut self) {
        self.scan = ScanCursor::default();
        self.generic = None;
    }
}

/// Where handing on groups stands, and the last window whose groups were begun.
#[derive(Debug)]
pub(super) struct Saving {
    cursor: TableCursor,
    window: Option<i64>,
}

/// What is said of a group of which there is something already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It comes once.
    Refused,
    /// It is the sum of all that comes.
    Added,
}

/// How groups are rows of state: keys and cells, and what else there is.
#[derive(Debug)]
pub(super) struct Rows {
    keys: Schema,
    pub(super) layout: KeyLayout,
    pub(super) cells: Merging,
}

/// Rows of state that are taken up; their cells are those that can be added.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) keys: Frame,
    pub(super) hashes: Vec<u64>,
    /// The columns behind the cells.
    pub(super) others: Vec<ArrayRef>,
}

impl Rows {
    /// # Errors
    /// [`Error::Program`] where groups of these cells cannot be kept.
    pub(super) fn new(spec: &AggregateSpec, cells: &[Cell]) -> Result<Self> {
        let fields = spec.hashed_keys().into_iter();
        let keys = Schema::new(fields.map(|k| spec.input.fields[k].clone()).collect());
        let all: Vec<usize> = (0..keys.fields.len()).collect();
        let mut calls: Vec<AggregateCall> = spec.calls.clone();
        calls.retain(|call| !matches!(call.function, AggregateFunction::Generic(_)));
        if spec.phase == Phase::Changes {
            // Whether a group stands.
            calls.push(AggregateCall {
                function: AggregateFunction::Count,
                argument: None,
            });
        }
        let alike = AggregateSpec {
            calls,
            ..AggregateSpec::clone(spec)
        };
        Ok(Self {
            layout: KeyLayout::new(&keys, &all),
            cells: Merging::of_cells(&alike, cells, SLICE_ROWS)?,
            keys,
        })
    }

    /// The columns of these groups, whose slots begin as those of tables of the layout do.
    pub(super) fn columns(
        &mut self,
        layout: &KeyLayout,
        cells: &[Cell],
        store: &PageStore,
        slots: &[*mut u64],
    ) -> Vec<ArrayRef> {
        let mut keys = Frame::new(&self.keys, slots.len().max(1));
        let all: Vec<usize> = (0..self.keys.fields.len()).collect();
        emit::push_keys(layout, store, slots, &mut keys.columns, &all);
        let keys = keys.columns.into_iter().zip(self.keys.types());
        let mut columns: Vec<ArrayRef> = keys.map(|(c, t)| c.into_array(t)).collect();
        self.cells.take(cells, store, slots);
        columns.extend(self.cells.columns());
        columns
    }

    /// Takes those rows of state whose groups are owned here.
    ///
    /// # Errors
    /// [`Error::Restore`] where they are those of other groups.
    pub(super) fn take(&mut self, rows: &RecordBatch, owned: &Owned, seed: u64) -> Result<Taken> {
        let (keys, cells) = (self.keys.fields.len(), self.cells.types().count());
        let least = keys + cells;
        let wanted = self.keys.types().chain(self.cells.types());
        let alike = |(column, wanted): (&ArrayRef, &DataType)| column.data_type() == wanted;
        let same = rows.columns().iter().zip(wanted).all(alike);
        if rows.num_columns() < least || !same {
            return Err(other());
        }
        let count = rows.num_rows();
        let all: Vec<usize> = (0..keys).collect();
        let mut hashes = Vec::new();
        let all_keys = frame_of(&self.keys, rows.columns(), count);
        hash_keys(&all_keys, &self.keys, &all, seed, &mut hashes);
        let mine = owned.rows(&all_keys, &self.keys, seed);
        let columns: Vec<ArrayRef> = rows.columns().iter().map(|c| rows_of(c, &mine)).collect();
        self.cells.fill(&columns[keys..least], mine.len());
        Ok(Taken {
            keys: frame_of(&self.keys, &columns, mine.len()),
            hashes: mine.iter().map(|&row| hashes[row]).collect(),
            others: columns[least..].to_vec(),
        })
    }

    /// The keys of taken rows from `start` on, up to a batch of them, and their hashes.
    pub(super) fn batch<'a>(&self, taken: &'a Taken, start: usize, to: &mut KeyBatch) -> &'a [u64] {
        let count = (taken.hashes.len() - start).min(BATCH_ROWS);
        to.fill(&self.layout, &taken.keys, start, count);
        match self.layout.words() {
            // Without keys there is one group, wherever the hashes point.
            0 => &[0; BATCH_ROWS][..count],
            _ => &taken.hashes[start..start + count],
        }
    }
}

impl Aggregate {
    /// The next groups as rows of state; `None` behind the last, where the next call begins anew.
    /// In between there is no update.
    ///
    /// # Errors
    /// [`Error::Program`] where groups cannot be kept; what generic calls say.
    pub(crate) fn save(&mut self) -> Result<Option<RecordBatch>> {
        let mut saving = match self.saving.take() {
            Some(saving) => saving,
            None => Saving {
                cursor: TableCursor::new(&self.shared)?,
                window: None,
            },
        };
        let rows = self.save_some(&mut saving)?;
        self.saving = rows.is_some().then_some(saving);
        Ok(rows)
    }

    fn save_some(&mut self, saving: &mut Saving) -> Result<Option<RecordBatch>> {
        let Saving { cursor, window } = saving;
        if let Some(pane) = &mut self.whole {
            return self.shared.save(pane, &[], cursor);
        }
        let from = match *window {
            Some(start) => Bound::Included(start),
            None => Bound::Unbounded,
        };
        for (&start, pane) in self.windows.range_mut((from, Bound::Unbounded)) {
            if *window != Some(start) {
                *window = Some(start);
                cursor.restart();
            }
            let known = [(WINDOW, start.to_string())];
            let saved = self.shared.save(pane, &known, cursor)?;
            if saved.is_some() {
                return Ok(saved);
            }
        }
        Ok(None)
    }

    /// Takes those rows of state up whose groups are owned here.
    ///
    /// # Errors
    /// [`Error::Restore`] where they are those of other groups, or the same ones again; memory.
    pub(crate) fn load(&mut self, rows: &RecordBatch, owned: &Owned, seed: u64) -> Result<()> {
        let taken = (rows, owned, seed);
        match (&mut self.whole, number(rows, WINDOW)?) {
            (Some(pane), None) => self.shared.load(pane, taken, Again::Refused),
            (None, Some(start)) => {
                let (windows, shared) = (&mut self.windows, &mut self.shared);
                load_part(windows, start, shared, taken, Again::Refused)
            }
            (_, _) => Err(other()),
        }
    }
}

/// Takes rows of state up that are of a part of the groups, of which there may be some already.
pub(super) fn load_part<K: Ord>(
    parts: &mut BTreeMap<K, Pane>,
    part: K,
    shared: &mut Shared,
    rows: (&RecordBatch, &Owned, u64),
    again: Again,
) -> Result<()> {
    let mut pane = match parts.remove(&part) {
        Some(pane) => pane,
        None => shared.new_pane()?,
    };
    let loaded = shared.load(&mut pane, rows, again);
    match pane.table.is_empty() {
        true => pane.table.release(&mut shared.store),
        false => _ = parts.insert(part, pane),
    }
    loaded
}

/// A number that is known of rows of state, where it is.
///
/// # Errors
/// [`Error::Restore`] where it is none.
pub(super) fn number(rows: &RecordBatch, name: &str) -> Result<Option<i64>> {
    let known = rows.schema_ref().metadata().get(name);
    let parsed = known.map(|number| number.parse().map_err(|_| other()));
    parsed.transpose()
}

/// What is wrong with rows that are not of these groups.
pub(super) fn other() -> Error {
    Error::Restore("rows of state are those of other groups".to_owned())
}

/// What is wrong with rows that come again.
pub(super) fn twice() -> Error {
    Error::Restore("rows of state hold a group twice".to_owned())
}

impl Shared {
    /// The next groups of a table as rows of state, about which these things are known; `None`
    /// behind the last.
    pub(super) fn save(
        &self,
        pane: &mut Pane,
        known: &[(&str, String)],
        cursor: &mut TableCursor,
    ) -> Result<Option<RecordBatch>> {
        let Pane { table, generic } = pane;
        let mut taken: Vec<*mut u64> = Vec::with_capacity(SLICE_ROWS);
        let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
        while taken.len() < SLICE_ROWS {
            let most = SLICE_ROWS - taken.len();
            let count = table.scan(
                &self.layout,
                &self.store,
                &mut cursor.scan,
                most,
                &mut slots,
            );
            if count == 0 {
                break;
            }
            taken.extend_from_slice(&slots[..count]);
        }
        if taken.is_empty() {
            return Ok(None);
        }
        let (layout, plan) = (&self.layout.keys, &self.plan);
        let mut columns = (cursor.rows).columns(layout, &plan.cells, &self.store, &taken);
        if let Some(at) = plan.number_at {
            if cursor.generic.is_none() {
                cursor.generic = Some(generic.states()?);
            }
            let mut numbers = Vec::with_capacity(taken.len());
            generic.number(&taken, at, &mut numbers);
            let all = cursor.generic.iter().flatten().flatten();
            columns.extend(all.map(|states| rows_of(states, &numbers)));
        }
        Ok(Some(batch(columns, taken.len(), known)))
    }

    /// Takes those of some rows up whose groups are owned here.
    fn load(
        &mut self,
        pane: &mut Pane,
        (rows, owned, seed): (&RecordBatch, &Owned, u64),
        again: Again,
    ) -> Result<()> {
        let mut of = Rows::new(&self.spec, &self.plan.cells)?;
        let taken = of.take(rows, owned, seed)?;
        if taken.hashes.is_empty() {
            return Ok(());
        }
        let mut numbers = Vec::new();
        self.insert(pane, &of, &taken, again, &mut numbers)?;
        pane.generic.merge(&taken.others, &numbers)
    }

    /// Makes the slots of these groups, with the cells that were filled.
    fn insert(
        &mut self,
        pane: &mut Pane,
        of: &Rows,
        taken: &Taken,
        again: Again,
        numbers: &mut Vec<usize>,
    ) -> Result<()> {
        let Pane { table, generic } = pane;
        let keyless = self.layout.keys.words() == 0;
        let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
        for start in (0..taken.hashes.len()).step_by(BATCH_ROWS) {
            let hashes = of.batch(taken, start, &mut self.batch);
            let mut from = 0;
            while from < hashes.len() {
                let before = table.len();
                let store = &mut self.store;
                let end =
                    table.resolve(&self.layout, store, &self.batch, hashes, from, &mut slots)?;
                let all_new = keyless || table.len() - before == end - from;
                if again == Again::Refused && !all_new {
                    return Err(twice());
                }
                let slots = &slots[from..end];
                (of.cells).add(&mut table.heap, &mut self.store, start + from, slots)?;
                if let Some(at) = self.plan.number_at {
                    generic.number(slots, at, numbers);
                }
                from = end;
            }
        }
        Ok(())
    }
}
