//! How much there is of open sessions.

use std::cmp::Reverse;

use super::{Due, Session, Sessions};

/// Bytes of a list of sessions, which has room for four where it has any.
const LIST_BYTES: usize = 4 * size_of::<Session>() + 16;

impl Sessions {
    /// Number of open sessions.
    pub fn groups(&self) -> usize {
        self.arena.len()
    }

    /// Counts the memory that is neither pages nor rows.
    pub(super) fn weigh(&mut self) {
        let lists = self.lists.capacity() * size_of::<Vec<Session>>();
        // A list that is not empty has room for a few.
        let own = (self.lists.len() - self.spare_lists.len()) * LIST_BYTES;
        let due = self.due.capacity() * size_of::<Reverse<Due>>();
        self.charge.set(lists + own + due + self.arena.bytes());
    }
}
