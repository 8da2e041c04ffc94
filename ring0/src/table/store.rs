//! The pages of state: one reserved range of addresses, so that a page's address is the base plus
//! its number times [`PAGE_BYTES`]. Memory is taken in steps of 2 MiB as pages are taken; pages
//! given back are zeroed and handed out again, the range itself lives as long as the store.
//!
//! Of each page it is noted which parts of it may hold something, so that one of few slots is
//! neither zeroed nor looked through as a whole: windows that hop have many tables of few groups.

mod frozen;

use std::ptr::{self, NonNull};

use self::frozen::Frozen;

use crate::error::{Error, Result};
use crate::limits::PAGE_BYTES;
use crate::preflight::addresses_max;
use crate::tally::Charge;

/// Addresses to reserve, where there are as many for each store; halved until the system lets us.
const RESERVE_BYTES: usize = 64 << 30;
/// Fewest addresses worth having.
const RESERVE_BYTES_MIN: usize = 16 << 20;
/// Addresses of any process; half of what there is, by limit or at all, is left to others.
const ADDRESS_BYTES: u64 = 1 << 47;
/// Memory is made accessible by this much: a huge page.
const STEP_BYTES: usize = 2 << 20;

/// Parts of a page; which of them may hold something is a bit each.
const PARTS: usize = u64::BITS as usize;
const PART_BYTES: usize = PAGE_BYTES / PARTS;

/// Number of a page.
pub type PageId = u32;

/// How many addresses a store may reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    stores: usize,
    bytes: usize,
}

/// Addresses of a store that are plenty.
const PLENTY_BYTES: usize = 1 << 30;

impl Addresses {
    /// One share of `stores`, all those of the process, within what it is allowed by
    /// [`addresses_max`].
    pub fn shared_by(stores: usize) -> Self {
        let all = addresses_max().min(ADDRESS_BYTES) as usize / 2;
        let share = (all / stores.max(1)).min(RESERVE_BYTES);
        Self {
            stores,
            bytes: share - share % STEP_BYTES,
        }
    }

    /// Whether there are enough for state that only makes a program faster.
    pub(crate) fn are_plenty(&self) -> bool {
        self.bytes >= PLENTY_BYTES
    }
}

/// Pages of [`PAGE_BYTES`] at addresses that never change.
#[derive(Debug)]
pub struct PageStore {
    mapping: NonNull<u8>,
    mapping_bytes: usize,
    base: NonNull<u8>,
    pages_max: usize,
    /// Pages made accessible.
    open: usize,
    /// Pages ever handed out; those from here to `open` are still zero.
    fresh: usize,
    free: Vec<PageId>,
    /// Slots in use, by page; whoever has the page keeps the figure.
    occupied: Vec<u32>,
    /// Parts that may hold something, by page: bit n is part n.
    written: Vec<u64>,
    /// A page's words while it is split, and how many pages ever were.
    drained: Vec<u64>,
    drains: u64,
    frozen: Frozen,
    /// Of all pages ever handed out: those that came back keep their memory.
    charge: Charge,
}

// SAFETY: the store owns its mapping alone; nothing in it is bound to a thread.
unsafe impl Send for PageStore {}

impl PageStore {
    /// Reserves addresses.
    ///
    /// # Errors
    /// [`Error::Preflight`] where there are too few.
    pub fn new(addresses: Addresses) -> Result<Self> {
        let mut bytes = addresses.bytes;
        while bytes >= RESERVE_BYTES_MIN {
            // SAFETY: an anonymous mapping at an address of the system's choice touches no
            // memory of ours.
            let at = unsafe {
                libc::mmap(
                    ptr::null_mut(),
                    bytes + STEP_BYTES,
                    libc::PROT_NONE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                    -1,
                    0,
                )
            };
            if at != libc::MAP_FAILED
                && let Some(mapping) = NonNull::new(at.cast::<u8>())
            {
                let skip = mapping.align_offset(STEP_BYTES);
                assert!(skip < STEP_BYTES, "a huge page begins within the range");
                // SAFETY: `skip` is below STEP_BYTES, by which the mapping is longer.
                let base = unsafe { mapping.add(skip) };
                return Ok(Self {
                    mapping,
                    mapping_bytes: bytes + STEP_BYTES,
                    base,
                    pages_max: bytes / PAGE_BYTES,
                    open: 0,
                    fresh: 0,
                    free: Vec::new(),
                    occupied: Vec::new(),
                    written: Vec::new(),
                    drained: Vec::new(),
                    drains: 0,
                    frozen: Frozen::default(),
                    charge: Charge::default(),
                });
            }
            bytes = bytes / 2 - bytes / 2 % STEP_BYTES;
        }
        Err(Error::Preflight {
            what: format!(
                "too few addresses for the state of {} aggregations, counted on each shard",
                addresses.stores
            ),
            hint: "raise the limit on virtual memory (`ulimit -v`), or use fewer shards".to_owned(),
        })
    }

    /// Takes a page, all zero, any part of which may be written to.
    pub fn take(&mut self) -> Result<PageId> {
        let id = self.take_marked()?;
        self.written[id as usize] = u64::MAX;
        Ok(id)
    }

    /// As [`PageStore::take`], for whoever says with [`PageStore::mark`] what is written to.
    pub fn take_marked(&mut self) -> Result<PageId> {
        if let Some(id) = self.free.pop() {
            self.clear(id);
            self.occupied[id as usize] = 0;
            self.pass_taken(id);
            return Ok(id);
        }
        if let Some(id) = self.take_pooled() {
            self.count();
            return Ok(id);
        }
        if self.fresh == self.open {
            self.open_step()?;
        }
        let id = self.fresh as PageId;
        self.fresh += 1;
        self.count();
        self.occupied.push(0);
        self.written.push(0);
        self.pass_taken(id);
        Ok(id)
    }

    /// Counts the pages that are taken, and those that were given back. Copies of pages go with a
    /// snapshot and are not what state takes.
    fn count(&mut self) {
        let pages = self.fresh - self.copies();
        self.charge.set(pages * PAGE_BYTES);
    }

    /// Makes all of a page zero.
    fn clear(&mut self, id: PageId) {
        let page = self.page(id);
        let mut written = std::mem::take(&mut self.written[id as usize]);
        while written != 0 {
            let first = written.trailing_zeros() as usize;
            let parts = (written >> first).trailing_ones() as usize;
            // SAFETY: the parts lie within the page, which is accessible and no part of a vector;
            // nobody refers to what is there.
            unsafe {
                let from = page.add(first * PART_BYTES);
                ptr::write_bytes(from, 0, parts * PART_BYTES);
            }
            written &= !(u64::MAX >> (PARTS - parts) << first);
        }
    }

    /// Says that bytes `from..from + bytes` of a page, at least one, may be written to.
    #[inline(always)]
    pub fn mark(&mut self, id: PageId, from: usize, bytes: usize) {
        let (first, last) = (from / PART_BYTES, (from + bytes - 1) / PART_BYTES);
        debug_assert!(last < PARTS, "what is written lies within the page");
        self.written[id as usize] |= u64::MAX << first & u64::MAX >> (PARTS - 1 - last);
    }

    /// Of the slots of a page, each of so many bytes, those that may hold something and are not
    /// before slot `from`: the first of them, and one behind the last in a row.
    #[inline]
    pub(super) fn written(&self, id: PageId, bytes: usize, from: usize) -> Option<(usize, usize)> {
        let part = from * bytes / PART_BYTES;
        let left = self.written[id as usize].checked_shr(part as u32)?;
        if left == 0 {
            return None;
        }
        let begin = part + left.trailing_zeros() as usize;
        let parts = (left >> (begin - part)).trailing_ones() as usize;
        // What begins in a part is noted there.
        let first = (begin * PART_BYTES).div_ceil(bytes).max(from);
        Some((first, ((begin + parts) * PART_BYTES).div_ceil(bytes)))
    }

    fn open_step(&mut self) -> Result<()> {
        if self.open >= self.pages_max {
            return Err(out_of_memory("the state of an operator is full"));
        }
        // SAFETY: `open` is below `pages_max`, a multiple of a step, so the step lies in the
        // mapping; nobody refers to it yet.
        let refused = unsafe {
            let at = self.base.as_ptr().add(self.open * PAGE_BYTES).cast();
            let refused = libc::mprotect(at, STEP_BYTES, libc::PROT_READ | libc::PROT_WRITE);
            // Advice only: without huge pages it is merely slower.
            libc::madvise(at, STEP_BYTES, libc::MADV_HUGEPAGE);
            refused
        };
        if refused != 0 {
            return Err(out_of_memory("the system has no more memory for state"));
        }
        self.open += STEP_BYTES / PAGE_BYTES;
        Ok(())
    }

    /// Gives a page back; nothing may refer to it any more.
    pub fn give(&mut self, id: PageId) {
        debug_assert!(!self.free.contains(&id), "a page is given back once");
        if !self.holds(id) {
            self.free.push(id);
        }
    }

    /// Slots in use of a page.
    #[inline(always)]
    pub fn occupied(&self, id: PageId) -> u32 {
        self.occupied[id as usize]
    }

    /// Says how many slots of a page are in use.
    #[inline(always)]
    pub fn set_occupied(&mut self, id: PageId, slots: u32) {
        self.occupied[id as usize] = slots;
    }

    /// The words of so many bytes of a page, all of which is zero afterwards; to be handed to
    /// [`PageStore::keep_drained`], so that the memory is used again.
    pub(super) fn drain_page(&mut self, id: PageId, bytes: usize) -> Vec<u64> {
        assert!(bytes <= PAGE_BYTES, "a page is not longer");
        self.drains += 1;
        let mut words = std::mem::take(&mut self.drained);
        words.resize(bytes / 8, 0);
        let page = self.page(id);
        // SAFETY: a page is PAGE_BYTES long and no part of a vector.
        unsafe {
            ptr::copy_nonoverlapping(page.cast(), words.as_mut_ptr(), bytes / 8);
        }
        self.clear(id);
        words
    }

    /// How many pages were drained.
    #[inline(always)]
    pub(crate) fn drained(&self) -> u64 {
        self.drains
    }

    /// Takes back what [`PageStore::drain_page`] gave.
    pub(super) fn keep_drained(&mut self, words: Vec<u64>) {
        self.drained = words;
    }

    /// Pages in use.
    pub fn used(&self) -> usize {
        self.fresh - self.free.len() - self.pooled()
    }

    /// Where a page lies.
    #[inline(always)]
    pub fn page(&self, id: PageId) -> *mut u8 {
        debug_assert!((id as usize) < self.fresh, "pages are taken before use");
        // SAFETY: pages handed out lie in the mapping.
        unsafe { self.base.as_ptr().add(id as usize * PAGE_BYTES) }
    }
}

impl Drop for PageStore {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made in `new`, unmapped once.
        unsafe { libc::munmap(self.mapping.as_ptr().cast(), self.mapping_bytes) };
    }
}

fn out_of_memory(what: &str) -> Error {
    Error::Preflight {
        what: what.to_owned(),
        hint: "give the process more memory or fewer keys".to_owned(),
    }
}

const _: () = assert!(PAGE_BYTES.is_multiple_of(PARTS));
const _: () = assert!(STEP_BYTES.is_multiple_of(PAGE_BYTES));
const _: () = assert!(RESERVE_BYTES_MIN.is_multiple_of(STEP_BYTES));

#[cfg(test)]
mod tests {
    use super::*;

    /// A page is all zero when it is taken, whatever part of it was written to and noted.
    #[test]
    fn pages_are_taken_as_zeros() {
        let mut store = PageStore::new(Addresses::shared_by(8)).expect("addresses");
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % below
        };
        for round in 0..500 {
            let id = match round % 5 {
                0 => store.take(),
                _ => store.take_marked(),
            };
            let id = id.expect("memory");
            // SAFETY: the page was taken, and is referred to here alone.
            let page = unsafe { std::slice::from_raw_parts_mut(store.page(id), PAGE_BYTES) };
            assert!(page.iter().all(|byte| *byte == 0), "round {round}");
            match round % 5 {
                0 => page.fill(1),
                _ => {
                    for _ in 0..random(8) {
                        let from = random(PAGE_BYTES);
                        let bytes = 1 + random(3_000).min(PAGE_BYTES - from - 1);
                        page[from..from + bytes].fill(1);
                        store.mark(id, from, bytes);
                    }
                }
            }
            store.give(id);
        }
        assert_eq!(store.used(), 0);
    }

    /// Slots that were noted are found, whatever their size, and others only beside them.
    #[test]
    fn what_was_written_is_found() {
        let mut store = PageStore::new(Addresses::shared_by(8)).expect("addresses");
        for bytes in [16, 24, 56, 1_000, 1_024, 4_096] {
            let slots = PAGE_BYTES / bytes;
            for noted in [vec![], vec![0], vec![slots - 1], vec![1, 2, slots / 2]] {
                let id = store.take_marked().expect("memory");
                for slot in &noted {
                    store.mark(id, slot * bytes, bytes);
                }
                let (mut found, mut from) = (Vec::new(), 0);
                while from < slots
                    && let Some((first, end)) = store.written(id, bytes, from)
                {
                    assert!(first >= from && end > first);
                    found.extend(first..end.min(slots));
                    from = end;
                }
                assert!(
                    noted.iter().all(|slot| found.contains(slot)),
                    "{bytes} bytes"
                );
                let most = noted.len() * (2 * PART_BYTES / bytes + 2 + bytes / PART_BYTES);
                assert!(found.len() <= most, "{} of {bytes} bytes", found.len());
                store.give(id);
            }
        }
    }
}
