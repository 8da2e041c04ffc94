//! Sessions as a changelog: each row gives its session as it is then, and takes back what stood
//! before. A session that begins earlier than it did is another row: who keeps rows by their
//! session's start must let the old one go.

use std::ptr;

use super::{LOOKS_MAX, Session, Sessions};
use crate::changelog::{DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE, UPDATE_ROWS, push};
use crate::error::Result;
use crate::frame::Frame;
use crate::operator::aggregate::Progress;
use crate::table::{BATCH_ROWS, Slots};

impl Sessions {
    /// Takes rows of `frame` from row `from` on as long as `out` has room for what they change.
    /// Gives the first row that is left.
    ///
    /// # Errors
    /// As [`Sessions::update`] and [`Sessions::emit`].
    pub fn change(
        &mut self,
        frame: &Frame,
        hashes: &[u64],
        from: usize,
        out: &mut Frame,
    ) -> Result<usize> {
        let mut slots: Slots = [ptr::null_mut(); BATCH_ROWS];
        let mut at = from;
        while at < hashes.len() && self.has_room(out) {
            let count = (hashes.len() - at)
                .min(BATCH_ROWS)
                .min(out.room() / UPDATE_ROWS);
            let found = self.find(frame, hashes, at, at + count, &mut slots)?;
            for &slot in &slots[..found] {
                if !self.has_room(out) {
                    return Ok(at);
                }
                self.change_one(frame, at, slot, out)?;
                at += 1;
            }
        }
        Ok(at)
    }

    fn has_room(&self, out: &Frame) -> bool {
        out.room() >= UPDATE_ROWS && !(self.has_strings && out.is_full())
    }

    fn change_one(
        &mut self,
        frame: &Frame,
        row: usize,
        slot: *mut u64,
        out: &mut Frame,
    ) -> Result<()> {
        let (meets, time) = self.meet(frame, row, slot)?;
        let list = &self.lists[meets.list];
        let before = list.get(meets.first).copied().filter(|_| meets.count > 0);
        let gone = list
            .get(meets.first + 1)
            .copied()
            .filter(|_| meets.count > 1);
        if let Some(session) = gone {
            self.give(meets.list, session, DELETE, out)?;
        }
        let stays = before.is_some_and(|session| session.start <= time);
        if let Some(session) = before {
            let op = if stays { UPDATE_BEFORE } else { DELETE };
            self.give(meets.list, session, op, out)?;
        }
        let session = self.join(meets, time, slot)?;
        self.apply(frame, row, &[session.group])?;
        let op = if stays { UPDATE_AFTER } else { INSERT };
        self.give(meets.list, session, op, out)
    }

    /// Appends a session as it is now.
    fn give(&mut self, list: usize, session: Session, op: i8, out: &mut Frame) -> Result<()> {
        self.push(&[(list, session)], out)?;
        push(out, op);
        out.commit_rows(1);
        Ok(())
    }

    /// Forgets the sessions that end at or before `upto_ns`: no row of theirs comes any more.
    /// [`Progress::Full`] where enough were forgotten for one turn.
    pub fn close_upto(&mut self, upto_ns: i64) -> Progress {
        let mut looks = LOOKS_MAX;
        for _ in 0..BATCH_ROWS {
            let Some((list, session)) = self.pop(Some(upto_ns), &mut looks) else {
                break;
            };
            self.close(list, session);
        }
        match self.is_due(Some(upto_ns)) {
            true => Progress::Full,
            false => Progress::Done,
        }
    }
}
