//! Pages as they were at a barrier, while they go on changing: a part of a page is copied before it
//! is written to for the first time since, so that who hands the pages on may take its time.
//!
//! ```text
//! page      parts as they are now              written to by whoever has it
//! copy      parts as they were, where passed   taken from the same store
//! ```
//!
//! Whether a part was passed already is a bit in a dense array beside the pages, which stays in the
//! first caches; while nothing is frozen nobody looks there.

use std::ptr;

use super::{PAGE_BYTES, PART_BYTES, PARTS, PageId, PageStore};
use crate::error::Result;
use crate::limits::FROZEN_PAGES_MAX;

/// There is no copy of a page.
const NONE: PageId = PageId::MAX;

/// What is known of pages that are frozen.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    is_on: bool,
    /// By page: parts that are written to without being copied. They were copied, or handed on, or
    /// the page was not there.
    passed: Vec<u64>,
    /// By page: where its copied parts are.
    copies: Vec<PageId>,
    copied: usize,
    /// Pages that were copies.
    pool: Vec<PageId>,
    /// Pages that were given back and are not handed on.
    held: Vec<PageId>,
}

impl PageStore {
    /// Keeps all pages as they are, until [`PageStore::thaw`].
    pub(crate) fn freeze(&mut self) {
        assert!(!self.frozen.is_on, "pages are frozen once at a time");
        let Frozen {
            is_on,
            passed,
            copies,
            ..
        } = &mut self.frozen;
        *is_on = true;
        passed.clear();
        passed.resize(self.fresh, 0);
        copies.clear();
        copies.resize(self.fresh, NONE);
    }

    /// Whether pages are kept as they were.
    #[inline(always)]
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.is_on
    }

    /// Whether so much is copied that nothing more should be before the rest was handed on.
    pub(crate) fn has_copied_enough(&self) -> bool {
        let left = self.pages_max - self.used();
        self.frozen.copied >= FROZEN_PAGES_MAX || left < self.pages_max / 8
    }

    /// Pages that were copies, and are to be used again.
    pub(super) fn pooled(&self) -> usize {
        self.frozen.pool.len()
    }

    /// Pages that are copies, or were.
    pub(super) fn copies(&self) -> usize {
        self.frozen.copied + self.frozen.pool.len()
    }

    /// Takes a page that was a copy, all zero, if there is one.
    pub(super) fn take_pooled(&mut self) -> Option<PageId> {
        let id = self.frozen.pool.pop()?;
        self.clear(id);
        self.occupied[id as usize] = 0;
        self.pass_taken(id);
        Some(id)
    }

    /// Forgets how pages were.
    pub(crate) fn thaw(&mut self) {
        let frozen = &mut self.frozen;
        frozen.is_on = false;
        self.free.append(&mut frozen.held);
        let left = frozen.copies.iter().filter(|copy| **copy != NONE);
        frozen.pool.extend(left);
        frozen.copied = 0;
    }

    /// Has slots that are about to be written to copied, each of so many bytes.
    ///
    /// # Errors
    /// Memory.
    #[inline]
    pub(crate) fn keep_slots(&mut self, slots: &[*mut u64], bytes: usize) -> Result<()> {
        slots
            .iter()
            .try_for_each(|slot| self.keep(slot.cast_const(), bytes))
    }

    /// Has what is about to be written to copied: so many bytes from here on, of one page.
    ///
    /// # Errors
    /// Memory.
    #[inline]
    pub(crate) fn keep(&mut self, at: *const u64, bytes: usize) -> Result<()> {
        let offset = at.addr() - self.base.as_ptr().addr();
        let (id, from) = (offset / PAGE_BYTES, offset % PAGE_BYTES);
        let (first, last) = (from / PART_BYTES, (from + bytes - 1) / PART_BYTES);
        debug_assert!(last < PARTS, "what is written lies within a page");
        let parts = u64::MAX << first & u64::MAX >> (PARTS - 1 - last);
        match parts & !self.frozen.passed[id] {
            0 => Ok(()),
            parts => self.copy(id as PageId, parts),
        }
    }

    /// Has all of a page copied that was not passed yet, where pages are frozen and it was there.
    ///
    /// # Errors
    /// Memory.
    pub(crate) fn keep_page(&mut self, id: PageId) -> Result<()> {
        match self.frozen.is_on && self.frozen.passed[id as usize] != u64::MAX {
            true => self.copy(id, !self.frozen.passed[id as usize]),
            false => Ok(()),
        }
    }

    /// Copies parts of a page, none of which was passed.
    #[cold]
    fn copy(&mut self, id: PageId, parts: u64) -> Result<()> {
        let at = id as usize;
        let copy = match self.frozen.copies[at] {
            // One is taken also where nothing was there: who has no copy is as it was.
            NONE => {
                let copy = match self.take_pooled() {
                    Some(copy) => copy,
                    None => self.take_marked()?,
                };
                self.frozen.copies[at] = copy;
                self.frozen.copied += 1;
                self.count();
                copy
            }
            copy => copy,
        };
        self.frozen.passed[at] |= parts;
        let mut left = parts & self.written[at];
        self.written[copy as usize] |= left;
        while left != 0 {
            let first = left.trailing_zeros() as usize;
            let count = (left >> first).trailing_ones() as usize;
            let (from, to) = (self.page(id), self.page(copy));
            // SAFETY: the parts lie within two pages, both accessible, which are not the same one.
            unsafe {
                let (from, to) = (from.add(first * PART_BYTES), to.add(first * PART_BYTES));
                ptr::copy_nonoverlapping(from.cast_const(), to, count * PART_BYTES);
            }
            left &= !(u64::MAX >> (PARTS - count) << first);
        }
        Ok(())
    }

    /// A page that holds what this one held: itself, where nothing was written to it, unless what
    /// is read is to `stay` while others write.
    ///
    /// # Errors
    /// Memory.
    pub(crate) fn image(&mut self, id: PageId, stay: bool) -> Result<PageId> {
        if !stay && self.frozen.passed[id as usize] == 0 {
            return Ok(id);
        }
        self.keep_page(id)?;
        let copy = self.frozen.copies[id as usize];
        assert!(copy != NONE, "a page is handed on once, and was there");
        Ok(copy)
    }

    /// A page was handed on: from now on it is written to as it is.
    pub(crate) fn hand_on(&mut self, id: PageId) {
        self.frozen.passed[id as usize] = u64::MAX;
        let copy = std::mem::replace(&mut self.frozen.copies[id as usize], NONE);
        if copy != NONE {
            self.frozen.copied -= 1;
            self.frozen.pool.push(copy);
        }
    }

    /// A page was taken: there is nothing to keep of it. One that was given back when all of it was
    /// copied has its copy still.
    pub(super) fn pass_taken(&mut self, id: PageId) {
        let Frozen {
            is_on: true,
            passed,
            copies,
            ..
        } = &mut self.frozen
        else {
            return;
        };
        if passed.len() <= id as usize {
            passed.resize(id as usize + 1, u64::MAX);
            copies.resize(id as usize + 1, NONE);
        }
        passed[id as usize] = u64::MAX;
    }

    /// Whether a page that is given back is held until it was handed on.
    pub(super) fn holds(&mut self, id: PageId) -> bool {
        let holds = self.frozen.is_on && self.frozen.passed[id as usize] != u64::MAX;
        if holds {
            self.frozen.held.push(id);
        }
        holds
    }
}
