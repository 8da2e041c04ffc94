//! Groups that are handed on to a snapshot as they were at its barrier, while rows behind it change
//! them: pages are copied before they are written to. Groups with calls that Ring 0 does not
//! compute itself are not; their rows wait.

use std::collections::VecDeque;

use arrow_array::RecordBatch;

use super::saved::{Rows, WINDOW};
use super::{Aggregate, Shared};
use crate::error::Result;
use crate::program::Phase;
use crate::snapshot::{FROZEN_ROWS, batch};
use crate::table::store::PageId;
use crate::table::{Table, slots_of};

/// What is still to be handed on.
#[derive(Debug)]
pub(super) struct Frozen {
    rows: Rows,
    tables: VecDeque<FrozenTable>,
}

/// The pages of a table, of so many slots each.
#[derive(Debug)]
struct FrozenTable {
    known: Vec<(&'static str, String)>,
    pages: VecDeque<PageId>,
    slots: usize,
    /// The next slot of the first of them.
    next: usize,
}

impl Frozen {
    /// Keeps these tables of `shared` as they are, about whose groups these things are known.
    ///
    /// # Errors
    /// [`crate::error::Error::Program`] where groups cannot be kept.
    pub(super) fn new<'t>(
        shared: &mut Shared,
        tables: impl Iterator<Item = (Vec<(&'static str, String)>, &'t mut Table)>,
    ) -> Result<Self> {
        let rows = Rows::new(&shared.spec, &shared.plan.cells)?;
        let tables = tables.map(|(known, table)| {
            table.heap.freeze();
            let (pages, slots) = table.pages();
            FrozenTable {
                known,
                pages: pages.into(),
                slots,
                next: 0,
            }
        });
        let tables = tables.collect();
        shared.store.freeze();
        Ok(Self { rows, tables })
    }

    /// The next groups as rows of state; `None` behind the last.
    ///
    /// # Errors
    /// Memory.
    pub(super) fn save(&mut self, shared: &mut Shared) -> Result<Option<RecordBatch>> {
        while let Some(table) = self.tables.front_mut() {
            if let Some(rows) = shared.save_frozen(&mut self.rows, table)? {
                return Ok(Some(rows));
            }
            self.tables.pop_front();
        }
        Ok(None)
    }
}

/// Forgets how these tables of `shared` were, which are all there are.
pub(super) fn thaw<'t>(shared: &mut Shared, tables: impl Iterator<Item = &'t mut Table>) {
    shared.store.thaw();
    tables.for_each(|table| table.heap.thaw());
}

impl Aggregate {
    /// Whether it can be frozen.
    pub(crate) fn may_freeze(&self) -> bool {
        self.shared.plan.number_at.is_none() && self.shared.spec.phase != Phase::Partial
    }

    /// Whether some of how it was is still to be handed on.
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Whether so much of how it was is copied that nothing should change before it is handed on.
    pub(crate) fn has_copied_enough(&self) -> bool {
        self.frozen.is_some() && self.shared.store.has_copied_enough()
    }

    /// Keeps all groups as they are, to be handed on by [`Aggregate::save_frozen`].
    ///
    /// # Errors
    /// [`crate::error::Error::Program`] where groups cannot be kept.
    pub(crate) fn freeze(&mut self) -> Result<()> {
        let whole = self.whole.iter_mut();
        let whole = whole.map(|pane| (Vec::new(), &mut pane.table));
        let windows = self.windows.iter_mut();
        let windows =
            windows.map(|(start, pane)| (vec![(WINDOW, start.to_string())], &mut pane.table));
        self.frozen = Some(Frozen::new(&mut self.shared, whole.chain(windows))?);
        Ok(())
    }

    /// The next of the groups that were frozen as rows of state; `None` behind the last, where
    /// they no longer are.
    ///
    /// # Errors
    /// Memory.
    pub(crate) fn save_frozen(&mut self) -> Result<Option<RecordBatch>> {
        let frozen = self.frozen.as_mut().expect("it was frozen");
        let rows = frozen.save(&mut self.shared)?;
        if rows.is_none() {
            self.frozen = None;
            let panes = self.whole.iter_mut().chain(self.windows.values_mut());
            thaw(&mut self.shared, panes.map(|pane| &mut pane.table));
        }
        Ok(rows)
    }
}

impl FrozenTable {
    /// Appends slots of its first page, which this one holds as it was.
    fn take(&mut self, shared: &Shared, image: PageId, taken: &mut Vec<*mut u64>) {
        let of = (image, self.slots);
        let (layout, store) = (&shared.layout, &shared.store);
        slots_of(layout, store, of, &mut self.next, FROZEN_ROWS, taken);
    }
}

impl Shared {
    /// The next groups of a table that was frozen.
    fn save_frozen(
        &mut self,
        rows: &mut Rows,
        table: &mut FrozenTable,
    ) -> Result<Option<RecordBatch>> {
        let mut taken = Vec::with_capacity(FROZEN_ROWS);
        let mut read = Vec::new();
        while taken.len() < FROZEN_ROWS
            && let Some(&page) = table.pages.front()
        {
            let image = self.store.image(page, table.next > 0)?;
            let (before, from) = (taken.len(), table.next);
            table.take(self, image, &mut taken);
            if table.next < table.slots {
                // What is left of it is read when others may have written to it.
                if image == page {
                    let image = self.store.image(page, true)?;
                    taken.truncate(before);
                    table.next = from;
                    table.take(self, image, &mut taken);
                }
                break;
            }
            table.pages.pop_front();
            table.next = 0;
            read.push(page);
        }
        let saved = (!taken.is_empty()).then(|| {
            let (layout, cells) = (&self.layout.keys, &self.plan.cells);
            let columns = rows.columns(layout, cells, &self.store, &taken);
            batch(columns, taken.len(), &table.known)
        });
        read.into_iter().for_each(|page| self.store.hand_on(page));
        Ok(saved)
    }
}
