//! Panes as rows of state: groups, of which the first and the last window are known that hold them.
//!
//! Sums that were made to close windows are panes, too: each of just those windows that have not
//! closed and would have added it. So nothing else has to be known of how far closing came, which
//! differs from shard to shard, and a group that comes in several of such panes is their sum.

use std::collections::VecDeque;

use arrow_array::RecordBatch;

use super::closing::TableId;
use super::{Panes, Span};
use crate::error::Result;
use crate::operator::aggregate::saved::{Again, TableCursor, load_part, number, other};
use crate::snapshot::Owned;

/// What a batch says of the pane that its groups are of.
const FIRST: &str = "first";
const LAST: &str = "last";

/// What is known of the groups of a pane.
pub(super) fn known(span: Span) -> Vec<(&'static str, String)> {
    let bounds = [(FIRST, span.first), (LAST, span.last)];
    bounds.map(|(name, at)| (name, at.to_string())).into()
}

/// Where handing on panes stands.
#[derive(Debug)]
pub(super) struct Saving {
    cursor: TableCursor,
    /// Those that are left: open ones, and tables of what is closing.
    left: VecDeque<(Span, Option<TableId>)>,
}

impl Panes {
    /// The next groups as rows of state; `None` behind the last, where the next call begins anew.
    /// In between there is no update, and nothing is being closed.
    ///
    /// # Errors
    /// [`crate::error::Error::Program`] where groups cannot be kept.
    pub(crate) fn save(&mut self) -> Result<Option<RecordBatch>> {
        let mut saving = match self.saving.take() {
            Some(saving) => saving,
            None => {
                let parts = self.closing.parts().into_iter();
                let parts = parts.map(|(span, table)| (span, Some(table)));
                let open = self.open.keys().map(|span| (*span, None));
                Saving {
                    cursor: TableCursor::new(&self.shared)?,
                    left: parts.chain(open).collect(),
                }
            }
        };
        while let Some(&(span, table)) = saving.left.front() {
            let pane = match table {
                Some(table) => self.closing.table(table),
                None => self.open.get_mut(&span).expect("a pane that is open"),
            };
            let rows = (self.shared).save(pane, &known(span), &mut saving.cursor)?;
            if rows.is_some() {
                self.saving = Some(saving);
                return Ok(rows);
            }
            saving.left.pop_front();
            saving.cursor.restart();
        }
        Ok(None)
    }

    /// Takes those rows of state up whose groups are owned here.
    ///
    /// # Errors
    /// [`crate::error::Error::Restore`] where they are those of other groups; memory.
    pub(crate) fn load(&mut self, rows: &RecordBatch, owned: &Owned, seed: u64) -> Result<()> {
        let (Some(first), Some(last)) = (number(rows, FIRST)?, number(rows, LAST)?) else {
            return Err(other());
        };
        if first > last {
            return Err(other());
        }
        let (open, shared) = (&mut self.open, &mut self.shared);
        let span = Span { first, last };
        load_part(open, span, shared, (rows, owned, seed), Again::Added)
    }
}
