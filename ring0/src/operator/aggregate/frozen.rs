//! Groups that are handed on to a snapshot as they were at its barrier, while rows behind it change
//! them: pages are copied before they are written to. Groups with calls that Ring 0 does not
//! compute itself are not; their rows wait.

use std::collections::VecDeque;
use std::ptr;

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

impl Aggregate {
    /// Whether it can be frozen.
    pub(crate) fn may_freeze(&self) -> bool {
        self.shared.plan.number_at.is_none() && self.shared.spec.phase != Phase::Partial
    }

    /// Keeps all groups as they are, to be handed on by [`Shared::save_frozen`].
    ///
    /// # Errors
    /// [`crate::error::Error::Program`] where groups cannot be kept.
    pub(crate) fn freeze(&mut self) -> Result<()> {
        let whole = self.whole.iter().map(|pane| (Vec::new(), &pane.table));
        let windows = self.windows.iter();
        let windows = windows.map(|(start, pane)| (vec![(WINDOW, start.to_string())], &pane.table));
        self.shared.freeze(whole.chain(windows))
    }

    /// What keeps its groups.
    pub(crate) fn shared(&mut self) -> &mut Shared {
        &mut self.shared
    }
}

impl Shared {
    /// Keeps these tables as they are, about whose groups these things are known.
    ///
    /// # Errors
    /// [`crate::error::Error::Program`] where groups cannot be kept.
    pub(super) fn freeze<'t>(
        &mut self,
        tables: impl Iterator<Item = (Vec<(&'static str, String)>, &'t Table)>,
    ) -> Result<()> {
        let rows = Rows::new(&self.spec, &self.plan.cells)?;
        let tables = tables.map(|(known, table)| {
            let (pages, slots) = table.pages();
            FrozenTable {
                known,
                pages: pages.into(),
                slots,
                next: 0,
            }
        });
        let tables = tables.collect();
        self.frozen = Some(Frozen { rows, tables });
        self.store.freeze();
        Ok(())
    }

    /// Whether some of how groups were is still to be handed on.
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Whether so much of how they were is copied that nothing should change before it is handed
    /// on.
    pub(crate) fn has_copied_enough(&self) -> bool {
        self.store.has_copied_enough()
    }

    /// The next of the groups that were frozen as rows of state; `None` behind the last, where
    /// they no longer are.
    ///
    /// # Errors
    /// Memory.
    pub(crate) fn save_frozen(&mut self) -> Result<Option<RecordBatch>> {
        let mut frozen = self.frozen.take().expect("it was frozen");
        while let Some(table) = frozen.tables.front_mut() {
            let saved = self.save_table(&mut frozen.rows, table)?;
            if saved.is_some() {
                self.frozen = Some(frozen);
                return Ok(saved);
            }
            frozen.tables.pop_front();
        }
        self.store.thaw();
        Ok(None)
    }

    /// The next groups of a table that was frozen.
    fn save_table(
        &mut self,
        rows: &mut Rows,
        table: &mut FrozenTable,
    ) -> Result<Option<RecordBatch>> {
        let mut taken = [ptr::null_mut(); FROZEN_ROWS];
        let mut read = Vec::new();
        while !table.pages.is_empty() {
            let mut count = 0;
            while count < FROZEN_ROWS
                && self.store.has_images()
                && let Some(&page) = table.pages.front()
            {
                let image = self.store.image(page)?;
                count += table.take(self, image, &mut taken[count..]);
                if table.next < table.slots {
                    break;
                }
                table.pages.pop_front();
                table.next = 0;
                read.push(page);
            }
            let saved = (count > 0).then(|| {
                let (layout, cells) = (&self.layout.keys, &self.plan.cells);
                let columns = rows.columns(layout, cells, &self.store, &taken[..count]);
                batch(columns, count, &table.known)
            });
            read.drain(..).for_each(|page| self.store.hand_on(page));
            self.store.give_images();
            if saved.is_some() {
                return Ok(saved);
            }
        }
        Ok(None)
    }
}

impl FrozenTable {
    /// Slots of its first page, which this one holds as it was. Gives how many.
    fn take(&mut self, shared: &Shared, image: PageId, out: &mut [*mut u64]) -> usize {
        let of = (image, self.slots);
        slots_of(&shared.layout, &shared.store, of, &mut self.next, out)
    }
}
