//! Pages as they were at a barrier, while they go on changing: a part of a page is copied before it
//! is written to for the first time since, so that who hands the pages on may take its time.
//!
//! ```text
//! page      parts as they are now           written to by whoever has it
//! log       parts as they were, in the      pages of the same store; what is handed on
//!           order in which they were copied leaves its place to another part
//! image     a page as it was                made of both for who reads it, given back behind that
//! ```
//!
//! Copies lie one behind the other, wherever the parts were: rows of many keys write to another
//! page each, and memory that nobody had yet is taken by the size of what is copied, not by the
//! number of pages. Whether a part was passed already is a bit in a dense array beside the pages,
//! which stays in the first caches; while nothing is frozen nobody looks there.

use std::ptr;

use super::{PAGE_BYTES, PART_BYTES, PARTS, PageId, PageStore};
use crate::error::Result;
use crate::limits::{FROZEN_IMAGES_MAX, FROZEN_PAGES_MAX};

/// What is known of pages that are frozen.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    is_on: bool,
    /// By page: parts that are written to without being copied. They were copied, or handed on, or
    /// nothing was there.
    passed: Vec<u64>,
    /// By page: parts that are in the log.
    copied: Vec<u64>,
    /// By part of a page: its number in the log, where it is there.
    places: Vec<u32>,
    log: Vec<PageId>,
    /// Places of the log that were used, and those of them that are free again.
    logged: usize,
    free: Vec<u32>,
    images: Vec<PageId>,
    /// Pages that were of the log, or images.
    pool: Vec<PageId>,
    /// Pages that were given back and are not handed on.
    held: Vec<PageId>,
}

/// The numbers of the bits that are set.
fn bits(mut of: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = of.trailing_zeros();
        of &= of.wrapping_sub(1);
        (bit < u64::BITS).then_some(bit as usize)
    })
}

impl PageStore {
    /// Keeps all pages as they are, until [`PageStore::thaw`].
    pub(crate) fn freeze(&mut self) {
        assert!(!self.frozen.is_on, "pages are frozen once at a time");
        let frozen = &mut self.frozen;
        frozen.is_on = true;
        for of_pages in [&mut frozen.passed, &mut frozen.copied] {
            of_pages.clear();
            of_pages.resize(self.fresh, 0);
        }
        let parts = frozen.places.len().max(self.fresh * PARTS);
        frozen.places.resize(parts, 0);
    }

    /// Whether pages are kept as they were.
    #[inline(always)]
    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.is_on
    }

    /// Whether so much is copied that nothing more should be before the rest was handed on.
    pub(crate) fn has_copied_enough(&self) -> bool {
        let left = self.pages_max - self.used();
        self.frozen.logged - self.frozen.free.len() >= FROZEN_PAGES_MAX * PARTS
            || left < self.pages_max / 8
    }

    /// Pages that were copies, and are to be used again.
    pub(super) fn pooled(&self) -> usize {
        self.frozen.pool.len()
    }

    /// Pages that are copies, or were.
    pub(super) fn copies(&self) -> usize {
        self.frozen.log.len() + self.frozen.images.len() + self.frozen.pool.len()
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
        self.give_images();
        let frozen = &mut self.frozen;
        frozen.is_on = false;
        self.free.append(&mut frozen.held);
        frozen.pool.append(&mut frozen.log);
        frozen.free.clear();
        frozen.logged = 0;
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
        // Where nothing was written to nothing was.
        for part in bits(parts & self.written[at]) {
            let place = self.place()?;
            let (log, to) = (self.frozen.log[place / PARTS], place % PARTS);
            self.frozen.copied[at] |= 1 << part;
            self.frozen.places[at * PARTS + part] = place as u32;
            self.written[log as usize] |= 1 << to;
            self.copy_part((id, part), (log, to));
        }
        self.frozen.passed[at] |= parts;
        Ok(())
    }

    fn copy_part(&mut self, (id, part): (PageId, usize), (to, at): (PageId, usize)) {
        assert!(id != to && part < PARTS && at < PARTS, "parts of two pages");
        // SAFETY: the parts lie within two pages, both accessible, which are not the same one.
        unsafe {
            let from = self.page(id).add(part * PART_BYTES).cast_const();
            ptr::copy_nonoverlapping(from, self.page(to).add(at * PART_BYTES), PART_BYTES);
        }
    }

    /// A place in the log.
    fn place(&mut self) -> Result<usize> {
        if let Some(place) = self.frozen.free.pop() {
            return Ok(place as usize);
        }
        if self.frozen.logged.is_multiple_of(PARTS) {
            // It need not be zero: what is written to it is noted.
            let id = match self.frozen.pool.pop() {
                Some(id) => id,
                None => self.take_marked()?,
            };
            self.frozen.log.push(id);
            self.count();
        }
        self.frozen.logged += 1;
        Ok(self.frozen.logged - 1)
    }

    /// A page that holds what this one held: itself, where nothing was written to it. Others are
    /// there until [`PageStore::give_images`].
    ///
    /// # Errors
    /// Memory.
    pub(crate) fn image(&mut self, id: PageId) -> Result<PageId> {
        let at = id as usize;
        let (passed, copied) = (self.frozen.passed[at], self.frozen.copied[at]);
        if passed == 0 {
            return Ok(id);
        }
        let image = match self.take_pooled() {
            Some(image) => image,
            None => self.take_marked()?,
        };
        self.frozen.images.push(image);
        self.count();
        for part in bits(copied) {
            let place = self.frozen.places[at * PARTS + part] as usize;
            let log = self.frozen.log[place / PARTS];
            self.copy_part((log, place % PARTS), (image, part));
        }
        let unchanged = self.written[at] & !passed;
        bits(unchanged).for_each(|part| self.copy_part((id, part), (image, part)));
        self.written[image as usize] = copied | unchanged;
        Ok(image)
    }

    /// Whether there may be another image before those that there are are given back.
    pub(crate) fn has_images(&self) -> bool {
        self.frozen.images.len() < FROZEN_IMAGES_MAX
    }

    /// Takes back what [`PageStore::image`] gave.
    pub(crate) fn give_images(&mut self) {
        self.frozen.pool.append(&mut self.frozen.images);
    }

    /// A page was handed on: from now on it is written to as it is.
    pub(crate) fn hand_on(&mut self, id: PageId) {
        let at = id as usize;
        let frozen = &mut self.frozen;
        frozen.passed[at] = u64::MAX;
        for part in bits(std::mem::take(&mut frozen.copied[at])) {
            frozen.free.push(frozen.places[at * PARTS + part]);
        }
    }

    /// A page was taken: there is nothing to keep of it. One that was given back when all of it was
    /// copied has its copies still.
    pub(super) fn pass_taken(&mut self, id: PageId) {
        let Frozen {
            is_on: true,
            passed,
            copied,
            ..
        } = &mut self.frozen
        else {
            return;
        };
        if passed.len() <= id as usize {
            passed.resize(id as usize + 1, u64::MAX);
            copied.resize(id as usize + 1, 0);
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
