//! Panes that are handed on as they were at a barrier, while rows change them and windows close.

use super::Panes;
use super::saved::known;
use crate::error::Result;
use crate::operator::aggregate::Shared;

impl Panes {
    /// Keeps all panes as they are, to be handed on by [`Shared::save_frozen`]. Nothing is being
    /// closed.
    ///
    /// # Errors
    /// [`crate::error::Error::Program`] where groups cannot be kept.
    pub(crate) fn freeze(&mut self) -> Result<()> {
        let parts = self.closing.parts().into_iter();
        let parts = parts.map(|(span, table)| (known(span), self.closing.pane(table)));
        let open = self.open.iter();
        let open = open.map(|(span, pane)| (known(*span), pane));
        let tables = parts.chain(open).map(|(known, pane)| (known, &pane.table));
        self.shared.freeze(tables)
    }

    /// What keeps its groups.
    pub(crate) fn shared(&mut self) -> &mut Shared {
        &mut self.shared
    }
}
