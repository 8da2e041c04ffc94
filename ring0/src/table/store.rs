//! The pages of state: one reserved range of addresses, so that a page's address is the base plus
//! its number times [`PAGE_BYTES`]. Memory is taken in steps of 2 MiB as pages are taken; pages
//! given back are zeroed and handed out again, the range itself lives as long as the store.

use std::ptr::{self, NonNull};

use crate::error::{Error, Result};
use crate::limits::PAGE_BYTES;
use crate::preflight::addresses_max;

/// Addresses to reserve, where there are as many for each store; halved until the system lets us.
const RESERVE_BYTES: usize = 64 << 30;
/// Fewest addresses worth having.
const RESERVE_BYTES_MIN: usize = 16 << 20;
/// Addresses of any process; half of what there is, by limit or at all, is left to others.
const ADDRESS_BYTES: u64 = 1 << 47;
/// Memory is made accessible by this much: a huge page.
const STEP_BYTES: usize = 2 << 20;

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
    /// A page's words while it is split.
    drained: Vec<u64>,
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
                    drained: Vec::new(),
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

    /// Takes a page, all zero.
    pub fn take(&mut self) -> Result<PageId> {
        if let Some(id) = self.free.pop() {
            // SAFETY: a free page is accessible and nobody refers to it.
            unsafe { ptr::write_bytes(self.page(id), 0, PAGE_BYTES) };
            self.occupied[id as usize] = 0;
            return Ok(id);
        }
        if self.fresh == self.open {
            self.open_step()?;
        }
        let id = self.fresh as PageId;
        self.fresh += 1;
        self.occupied.push(0);
        Ok(id)
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
        self.free.push(id);
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

    /// The words of a page, which is zero afterwards; to be handed to
    /// [`PageStore::keep_drained`], so that the memory is used again.
    pub(super) fn drain_page(&mut self, id: PageId) -> Vec<u64> {
        let mut words = std::mem::take(&mut self.drained);
        words.resize(PAGE_BYTES / 8, 0);
        let page = self.page(id);
        // SAFETY: a page is PAGE_BYTES long and no part of a vector.
        unsafe {
            ptr::copy_nonoverlapping(page.cast(), words.as_mut_ptr(), PAGE_BYTES / 8);
            ptr::write_bytes(page, 0, PAGE_BYTES);
        }
        words
    }

    /// Takes back what [`PageStore::drain_page`] gave.
    pub(super) fn keep_drained(&mut self, words: Vec<u64>) {
        self.drained = words;
    }

    /// Pages in use.
    pub fn used(&self) -> usize {
        self.fresh - self.free.len()
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

const _: () = assert!(STEP_BYTES.is_multiple_of(PAGE_BYTES));
const _: () = assert!(RESERVE_BYTES_MIN.is_multiple_of(STEP_BYTES));
