//! Panes that are handed on as they were at a barrier, while rows change them and windows close.

use arrow_array::RecordBatch;

use super::Panes;
use super::saved::known;
use crate::error::Result;
use crate::operator::aggregate::frozen::{Frozen, thaw};

impl Panes {
    /// Whether some of how it was is still to be handed on.
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Whether so much of how it was is copied that nothing should change before it is handed on.
    pub(crate) fn has_copied_enough(&self) -> bool {
        self.frozen.is_some() && self.shared.store.has_copied_enough()
    }

    /// Keeps all panes as they are, to be handed on by [`Panes::save_frozen`]. Nothing is being
    /// closed.
    ///
    /// # Errors
    /// [`crate::error::Error::Program`] where groups cannot be kept.
    pub(crate) fn freeze(&mut self) -> Result<()> {
        let parts = self.closing.parts();
        let mut tables = self.closing.tables();
        let parts = parts.into_iter().map(|(span, table)| {
            let table = tables[table].take().expect("a table is a part once");
            (known(span), &mut table.table)
        });
        let open = self.open.iter_mut();
        let open = open.map(|(span, pane)| (known(*span), &mut pane.table));
        self.frozen = Some(Frozen::new(&mut self.shared, parts.chain(open))?);
        Ok(())
    }

    /// The next of the groups that were frozen as rows of state; `None` behind the last, where they
    /// no longer are.
    ///
    /// # Errors
    /// Memory.
    pub(crate) fn save_frozen(&mut self) -> Result<Option<RecordBatch>> {
        let frozen = self.frozen.as_mut().expect("it was frozen");
        let rows = frozen.save(&mut self.shared)?;
        if rows.is_none() {
            self.frozen = None;
            let closing = self.closing.tables().into_iter().flatten();
            let panes = closing.chain(self.open.values_mut());
            thaw(&mut self.shared, panes.map(|pane| &mut pane.table));
        }
        Ok(rows)
    }
}
