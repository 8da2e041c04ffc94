//! State tables: an extendible hash table in hash order, in pages of fixed slots.
//!
//! The high bits of the hash, counted from the shard's first key group on, choose the page
//! through the directory; the bits below the page's depth choose the slot, then it is linear
//! probing within the page. A full page splits by its next bit, so that a table grows page by
//! page. Scanning page by page in the directory's order is scanning in the order of hashes.
//!
//! A table begins with the first few slots of one page, and with more of them as it fills: windows
//! that hop have thousands of tables of a few groups each, whose slots would lie far from each
//! other.
//!
//! ```text
//! slot   header u64 | key words | state words
//! header top 48 bits of the hash | NULLs of the key columns, 15 bits | occupied
//! ```

pub(crate) mod index;
pub mod keys;
mod probe;
pub mod replicated;
pub mod store;
pub mod var;

use crate::error::{Error, Result};
use crate::limits::{KEY_GROUPS, PAGE_BYTES};
use crate::table::keys::KeyLayout;
use crate::table::store::{PageId, PageStore};
use crate::table::var::{VarHeap, VarRef};

/// Rows whose slots are resolved, then updated, together: their slots stay in the first cache.
pub const BATCH_ROWS: usize = 256;
/// Fewest slots of a page.
const SLOTS_MIN: usize = 16;
/// Bytes of the slots that a table begins with, and how many times as many come next.
const FIRST_BYTES: usize = 2 * 1024;
const WIDER: usize = 4;
const HASH_MASK: u64 = !0xffff;

/// Slots of a batch of rows; valid until the next call that may insert.
pub type Slots = [*mut u64; BATCH_ROWS];

/// How the slots of tables of one operator are made, and which hashes they hold.
#[derive(Debug)]
pub struct TableLayout {
    /// How keys are kept.
    pub keys: KeyLayout,
    /// State words of a new slot.
    pub initial: Vec<u64>,
    base: u64,
    base_shift: u32,
    slot_words: usize,
    slots: usize,
    slots_first: usize,
    slots_max: usize,
}

impl TableLayout {
    /// Slots with these keys and state words, for the hashes of `groups` key groups from
    /// `first_group` on.
    pub fn new(keys: KeyLayout, initial: Vec<u64>, first_group: u32, groups: u32) -> Result<Self> {
        let bits = KEY_GROUPS.trailing_zeros();
        if groups == 0 || (first_group + groups) as usize > KEY_GROUPS {
            return Err(Error::Program(format!(
                "no key groups {first_group} + {groups}"
            )));
        }
        let slot_words = 1 + keys.words() + initial.len();
        let slots = PAGE_BYTES / (slot_words * 8);
        if slots < SLOTS_MIN {
            return Err(Error::Program(format!(
                "{} state words are too many for one group",
                initial.len()
            )));
        }
        Ok(Self {
            keys,
            initial,
            base: u64::from(first_group) << (64 - bits),
            base_shift: bits - groups.next_power_of_two().trailing_zeros(),
            slot_words,
            slots,
            slots_first: (FIRST_BYTES / (slot_words * 8)).max(SLOTS_MIN),
            slots_max: slots * 7 / 8,
        })
    }

    /// Words before the state in a slot.
    pub fn state_at(&self) -> usize {
        1 + self.keys.words()
    }

    /// Words of a slot.
    pub fn slot_words(&self) -> usize {
        self.slot_words
    }

    /// The hash counted from the first group, spread over all bits.
    #[inline(always)]
    fn place(&self, hash: u64) -> u64 {
        (hash.wrapping_sub(self.base) << self.base_shift) & HASH_MASK
    }

    /// The slot behind `slot` in its page of so many, the first behind the last.
    #[inline(always)]
    fn next(&self, slot: *mut u64, slots: usize) -> *mut u64 {
        let offset = slot.addr() & (PAGE_BYTES - 1);
        let bytes = self.slot_words * 8;
        if offset + bytes == slots * bytes {
            slot.wrapping_byte_sub(offset)
        } else {
            slot.wrapping_byte_add(bytes)
        }
    }
}

/// Where in a page of so many slots the search for a hash begins.
#[inline(always)]
fn slot_index(place: u64, depth: u32, slots: usize) -> usize {
    ((((place << depth) >> 32) * slots as u64) >> 32) as usize
}

/// A page of the directory: its number and how many bits of the hash its slots have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry(u32);

impl Entry {
    fn new(id: PageId, depth: u32) -> Self {
        assert!(id < 1 << 26, "page numbers have 26 bits");
        Self(id << 6 | depth)
    }
    #[inline(always)]
    fn id(self) -> PageId {
        self.0 >> 6
    }
    #[inline(always)]
    fn depth(self) -> u32 {
        self.0 & 63
    }
}

/// Where a scan stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanCursor {
    entry: usize,
    slot: usize,
}

/// A table. Its pages are those of the store that is given to every call, always the same one.
#[derive(Debug)]
pub struct Table {
    directory: Vec<Entry>,
    depth: u32,
    len: usize,
    /// Slots of each page: as many as one has room for, once there are several.
    slots: usize,
    /// Values that slots refer to.
    pub heap: VarHeap,
}

impl Table {
    /// An empty table of one page.
    pub fn new(layout: &TableLayout, store: &mut PageStore) -> Result<Self> {
        Ok(Self {
            directory: vec![Entry::new(store.take_marked()?, 0)],
            depth: 0,
            len: 0,
            slots: layout.slots_first,
            heap: VarHeap::default(),
        })
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Gives all pages back; the table is gone.
    pub fn release(mut self, store: &mut PageStore) {
        self.heap.release(store);
        self.pages().0.into_iter().for_each(|id| store.give(id));
    }

    /// Its pages in the order of the directory, and how many slots each has.
    pub(crate) fn pages(&self) -> (Vec<PageId>, usize) {
        let mut pages = Vec::new();
        let mut at = 0;
        while at < self.directory.len() {
            let entry = self.directory[at];
            pages.push(entry.id());
            at += 1 << (self.depth - entry.depth());
        }
        (pages, self.slots)
    }

    #[inline(always)]
    fn index(&self, place: u64) -> usize {
        ((place >> 1) >> (63 - self.depth)) as usize
    }

    /// Takes the slot with this header out for which `is` says so, and gives its key's space back.
    /// Slots behind it in its page move.
    ///
    /// # Panics
    /// Where there is no such slot.
    pub fn remove(
        &mut self,
        layout: &TableLayout,
        store: &mut PageStore,
        header: u64,
        is: impl Fn(&[u64]) -> bool,
    ) {
        assert!(!store.is_frozen(), "what is taken out is nowhere frozen");
        let entry = self.directory[self.index(header & HASH_MASK)];
        let (words, slots) = (layout.slot_words, self.slots);
        let page = store.page(entry.id()).cast::<u64>();
        let at = |number: usize| page.wrapping_add(number * words);
        let next = |number: usize| {
            if number + 1 == slots { 0 } else { number + 1 }
        };
        // SAFETY: slots below `slots` lie within the page, whose words are initialised; no
        // two of these slices live at a time.
        let slot = |number: usize| unsafe { std::slice::from_raw_parts_mut(at(number), words) };
        let mut hole = slot_index(header & HASH_MASK, entry.depth(), slots);
        while slot(hole)[0] != header || !is(slot(hole)) {
            assert!(slot(hole)[0] != 0, "a key that is taken out is there");
            hole = next(hole);
        }
        if layout.keys.is_var() {
            let found = slot(hole);
            self.heap.free(store, VarRef(found[1], found[2]));
        }
        let mut behind = next(hole);
        while slot(behind)[0] != 0 {
            let home = slot_index(slot(behind)[0] & HASH_MASK, entry.depth(), slots);
            let from = |a: usize, b: usize| (b + slots - a) % slots;
            // It stays where its search begins behind the hole.
            if from(home, behind) >= from(hole, behind) {
                // SAFETY: as above; the two are not the same slot.
                unsafe { std::ptr::copy_nonoverlapping(at(behind), at(hole), words) };
                hole = behind;
            }
            behind = next(behind);
        }
        slot(hole)[0] = 0;
        store.set_occupied(entry.id(), store.occupied(entry.id()) - 1);
        self.len -= 1;
    }

    /// The next slots in the order of the directory, at most `rows_max`; 0 at the end. The table
    /// must not change while a scan is under way.
    pub fn scan(
        &self,
        layout: &TableLayout,
        store: &PageStore,
        cursor: &mut ScanCursor,
        rows_max: usize,
        out: &mut Slots,
    ) -> usize {
        let rows_max = rows_max.min(BATCH_ROWS);
        let mut count = 0;
        while count < rows_max && cursor.entry < self.directory.len() {
            let entry = self.directory[cursor.entry];
            let of = (entry.id(), self.slots);
            let to = &mut out[count..rows_max];
            count += slots_of(layout, store, of, &mut cursor.slot, to);
            if cursor.slot == self.slots {
                cursor.slot = 0;
                cursor.entry += 1 << (self.depth - entry.depth());
            }
        }
        count
    }
}

/// The slots in use of a page of so many, from `next` on, as far as there is room for them. Gives
/// how many, and says in `next` which slot comes then.
pub(crate) fn slots_of(
    layout: &TableLayout,
    store: &PageStore,
    (page, slots): (PageId, usize),
    next: &mut usize,
    out: &mut [*mut u64],
) -> usize {
    let words = store.page(page).cast::<u64>();
    let bytes = layout.slot_words * 8;
    let mut count = 0;
    while count < out.len() && *next < slots {
        let written = store.written(page, bytes, *next);
        let (first, end) = written.unwrap_or((slots, slots));
        *next = first.min(slots);
        let end = end.min(slots);
        while count < out.len() && *next < end {
            let slot = words.wrapping_add(*next * layout.slot_words);
            // SAFETY: the slot lies within the page, whose words are initialised.
            if unsafe { *slot } != 0 {
                out[count] = slot;
                count += 1;
            }
            *next += 1;
        }
    }
    count
}

#[inline(always)]
fn prefetch(slot: *const u64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program could see, at whatever address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(slot.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = slot;
}
