//! Groups as rows of state: their keys, and their cells as they pass between the phases. So they
//! are kept while the program does not run, and taken up again by whoever owns their keys then.

use std::ops::Bound;
use std::ptr;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::DataType;

use super::merging::Merging;
use super::{Aggregate, Pane, Shared};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::hash::hash_keys;
use crate::program::{AggregateCall, AggregateFunction, AggregateSpec, Phase};
use crate::schema::Schema;
use crate::snapshot::{Owned, SLICE_ROWS, batch, frame_of, rows_of};
use crate::table::keys::KeyLayout;
use crate::table::{BATCH_ROWS, ScanCursor, Slots};

/// What a batch says of the window that its groups are of.
const WINDOW: &str = "window";

/// Where handing on the groups stands.
#[derive(Debug)]
pub(crate) struct SaveCursor {
    rows: Rows,
    /// The last window whose groups were begun.
    window: Option<i64>,
    scan: ScanCursor,
    /// The states of generic calls of the groups of the table in hand, by call and column.
    generic: Option<Vec<Vec<ArrayRef>>>,
}

/// How groups are rows of state.
#[derive(Debug)]
struct Rows {
    keys: Schema,
    layout: KeyLayout,
    cells: Merging,
}

impl Rows {
    fn new(shared: &Shared) -> Result<Self> {
        let spec = &shared.spec;
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
            cells: Merging::of_cells(&alike, &shared.plan.cells, SLICE_ROWS)?,
            keys,
        })
    }

    /// The columns of these groups.
    fn columns(&mut self, shared: &Shared, slots: &[*mut u64]) -> Vec<ArrayRef> {
        let mut keys = Frame::new(&self.keys, slots.len().max(1));
        let all: Vec<usize> = (0..self.keys.fields.len()).collect();
        let words = shared.layout.slot_words();
        for &slot in slots {
            // SAFETY: slots of a scan are valid while the table does not change.
            let slot = unsafe { std::slice::from_raw_parts(slot.cast_const(), words) };
            let layout = &shared.layout.keys;
            layout.push(&shared.store, slot, &mut keys.columns, &all);
        }
        let keys = keys.columns.into_iter().zip(self.keys.types());
        let mut columns: Vec<ArrayRef> = keys.map(|(c, t)| c.into_array(t)).collect();
        self.cells.take(&shared.plan.cells, &shared.store, slots);
        columns.extend(self.cells.columns());
        columns
    }
}

impl Aggregate {
    /// A cursor before the first group.
    ///
    /// # Errors
    /// [`Error::Program`] where groups cannot be kept.
    pub(crate) fn begin_save(&self) -> Result<SaveCursor> {
        Ok(SaveCursor {
            rows: Rows::new(&self.shared)?,
            window: None,
            scan: ScanCursor::default(),
            generic: None,
        })
    }

    /// The next groups as rows of state; `None` behind the last. Between two calls there is no
    /// update.
    ///
    /// # Errors
    /// What generic calls say.
    pub(crate) fn save(&mut self, cursor: &mut SaveCursor) -> Result<Option<RecordBatch>> {
        if let Some(pane) = &mut self.whole {
            return self.shared.save(pane, None, cursor);
        }
        let from = match cursor.window {
            Some(start) => Bound::Included(start),
            None => Bound::Unbounded,
        };
        for (&start, pane) in self.windows.range_mut((from, Bound::Unbounded)) {
            if cursor.window != Some(start) {
                cursor.window = Some(start);
                cursor.scan = ScanCursor::default();
                cursor.generic = None;
            }
            let saved = self.shared.save(pane, Some(start), cursor)?;
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
        let window = rows.schema_ref().metadata().get(WINDOW);
        let window = window.map(|start| start.parse::<i64>());
        match (&mut self.whole, window) {
            (Some(pane), None) => self.shared.load(pane, rows, owned, seed),
            (None, Some(Ok(start))) => {
                let mut pane = match self.windows.remove(&start) {
                    Some(pane) => pane,
                    None => self.shared.new_pane()?,
                };
                let loaded = self.shared.load(&mut pane, rows, owned, seed);
                match pane.table.is_empty() {
                    true => pane.table.release(&mut self.shared.store),
                    false => _ = self.windows.insert(start, pane),
                }
                loaded
            }
            (_, _) => Err(other()),
        }
    }
}

fn other() -> Error {
    Error::Restore("rows of state are those of other groups".to_owned())
}

impl Shared {
    fn save(
        &self,
        pane: &mut Pane,
        window: Option<i64>,
        cursor: &mut SaveCursor,
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
        let mut columns = cursor.rows.columns(self, &taken);
        if let Some(at) = self.plan.number_at {
            if cursor.generic.is_none() {
                cursor.generic = Some(generic.states()?);
            }
            let mut numbers = Vec::with_capacity(taken.len());
            generic.number(&taken, at, &mut numbers);
            let all = cursor.generic.iter().flatten().flatten();
            columns.extend(all.map(|states| rows_of(states, &numbers)));
        }
        let start = window.map(|start| (WINDOW, start.to_string()));
        let known: Vec<(&str, String)> = start.into_iter().collect();
        Ok(Some(batch(columns, taken.len(), &known)))
    }

    fn load(
        &mut self,
        pane: &mut Pane,
        rows: &RecordBatch,
        owned: &Owned,
        seed: u64,
    ) -> Result<()> {
        let mut of = Rows::new(self)?;
        let (keys, cells) = (of.keys.fields.len(), of.cells.types().count());
        let least = keys + cells;
        let wanted = of.keys.types().chain(of.cells.types());
        let alike = |(column, wanted): (&ArrayRef, &DataType)| column.data_type() == wanted;
        let same = rows.columns().iter().zip(wanted).all(alike);
        if rows.num_columns() < least || !same {
            return Err(other());
        }
        let count = rows.num_rows();
        let all: Vec<usize> = (0..keys).collect();
        let mut hashes = Vec::new();
        let frame = frame_of(&of.keys, rows.columns(), count);
        hash_keys(&frame, &of.keys, &all, seed, &mut hashes);
        let mine = owned.rows(&frame, &of.keys, seed);
        if mine.is_empty() {
            return Ok(());
        }
        let columns: Vec<ArrayRef> = rows.columns().iter().map(|c| rows_of(c, &mine)).collect();
        hashes = mine.iter().map(|&row| hashes[row]).collect();
        let frame = frame_of(&of.keys, &columns, mine.len());
        of.cells.fill(&columns[keys..least], mine.len());
        let mut numbers = Vec::new();
        self.insert(pane, &of, &frame, &hashes, &mut numbers)?;
        pane.generic.merge(&columns[least..], &numbers)
    }

    /// Makes the slots of these groups, with the cells that were filled.
    fn insert(
        &mut self,
        pane: &mut Pane,
        of: &Rows,
        keys: &Frame,
        hashes: &[u64],
        numbers: &mut Vec<usize>,
    ) -> Result<()> {
        let Pane { table, generic } = pane;
        let keyless = self.layout.keys.words() == 0;
        let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
        for (at, hashes) in hashes.chunks(BATCH_ROWS).enumerate() {
            let start = at * BATCH_ROWS;
            let zero = [0; BATCH_ROWS];
            let hashes = if keyless {
                &zero[..hashes.len()]
            } else {
                hashes
            };
            self.batch.fill(&of.layout, keys, start, hashes.len());
            let mut from = 0;
            while from < hashes.len() {
                let before = table.len();
                let store = &mut self.store;
                let end =
                    table.resolve(&self.layout, store, &self.batch, hashes, from, &mut slots)?;
                if !keyless && table.len() - before != end - from {
                    return Err(Error::Restore(
                        "rows of state hold a group twice".to_owned(),
                    ));
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
