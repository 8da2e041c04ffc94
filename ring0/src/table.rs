//! State tables: an extendible hash table in hash order, in pages of fixed slots.
//!
//! The high bits of the hash, counted from the shard's first key group on, choose the page
//! through the directory; the bits below the page's depth choose the slot, then it is linear
//! probing within the page. A full page splits by its next bit, so that a table grows page by
//! page. Scanning page by page in the directory's order is scanning in the order of hashes.
//!
//! ```text
//! slot   header u64 | key words | state words
//! header top 48 bits of the hash | NULLs of the key columns, 15 bits | occupied
//! ```

pub(crate) mod index;
pub mod keys;
pub mod replicated;
pub mod store;
pub mod var;

use crate::error::{Error, Result};
use crate::limits::{KEY_GROUPS, PAGE_BYTES};
use crate::table::keys::{KeyBatch, KeyLayout};
use crate::table::store::{PageId, PageStore};
use crate::table::var::{VarHeap, VarRef, var_eq};

/// Rows whose slots are resolved, then updated, together: their slots stay in the first cache.
pub const BATCH_ROWS: usize = 256;
/// How far ahead slots are fetched.
const PREFETCH_ROWS: usize = 16;
/// Up to so many pages lie in the second cache, where looking at two slots at once costs less than
/// guessing wrong which of them it is; beyond, the second would be fetched from memory.
const NEAR_PAGES: usize = 32;
/// Deepest directory. Hashes are even, so that 2^28 pages are more than the store has.
const DEPTH_MAX: u32 = 28;
/// Fewest slots of a page.
const SLOTS_MIN: usize = 16;
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

    #[inline(always)]
    fn slot_index(&self, place: u64, depth: u32) -> usize {
        ((((place << depth) >> 32) * self.slots as u64) >> 32) as usize
    }

    /// The slot behind `slot` in its page, the first behind the last.
    #[inline(always)]
    fn next(&self, slot: *mut u64) -> *mut u64 {
        let offset = slot.addr() & (PAGE_BYTES - 1);
        let bytes = self.slot_words * 8;
        if offset + bytes == self.slots * bytes {
            slot.wrapping_byte_sub(offset)
        } else {
            slot.wrapping_byte_add(bytes)
        }
    }
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

/// Whether a page takes one more slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Granted,
    PageFull,
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
    /// Values that slots refer to.
    pub heap: VarHeap,
}

impl Table {
    /// An empty table of one page.
    pub fn new(store: &mut PageStore) -> Result<Self> {
        Ok(Self {
            directory: vec![Entry::new(store.take()?, 0)],
            depth: 0,
            len: 0,
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
        let mut at = 0;
        while at < self.directory.len() {
            let entry = self.directory[at];
            store.give(entry.id());
            at += 1 << (self.depth - entry.depth());
        }
    }

    #[inline(always)]
    fn index(&self, place: u64) -> usize {
        ((place >> 1) >> (63 - self.depth)) as usize
    }

    /// Finds or makes the slots of rows `from..hashes.len()` of the batch. Returns the end of
    /// the rows whose slots are in `out`: less than all where a page has to be split first,
    /// which would move slots, and at least one more than `from`.
    pub fn resolve(
        &mut self,
        layout: &TableLayout,
        store: &mut PageStore,
        keys: &KeyBatch,
        hashes: &[u64],
        from: usize,
        out: &mut Slots,
    ) -> Result<usize> {
        assert!(
            from < hashes.len() && hashes.len() <= BATCH_ROWS,
            "a batch of rows"
        );
        let words = layout.keys.words();
        if layout.keys.is_var() {
            let same = |store: &PageStore, slot: *mut u64, i: usize| {
                // SAFETY: an occupied slot of this layout has two words behind its header.
                let reference = unsafe { &*slot.add(1).cast::<[u64; 2]>() };
                var_eq(store, reference, keys.shorts[i], keys.encoded(i))
            };
            let put = |store: &mut PageStore, heap: &mut VarHeap, slot: *mut u64, i: usize| {
                let VarRef(a, b) = heap.put(store, keys.encoded(i))?;
                // SAFETY: a slot of this layout has two words behind its header.
                unsafe { slot.add(1).cast::<[u64; 2]>().write([a, b]) };
                Ok(())
            };
            return self.probe(layout, store, &keys.masks, hashes, from, out, same, put);
        }
        assert!(
            keys.words.len() >= words * hashes.len(),
            "keys of every row"
        );
        let rows = keys.words.as_ptr();
        let put = |_: &mut PageStore, _: &mut VarHeap, slot: *mut u64, i: usize| {
            // SAFETY: the batch has `words` words for row i, and the slot after its header.
            unsafe { std::ptr::copy_nonoverlapping(rows.add(i * words), slot.add(1), words) };
            Ok(())
        };
        if words == 1 {
            // SAFETY: as for `put`.
            let same =
                |_: &PageStore, slot: *mut u64, i: usize| unsafe { *slot.add(1) == *rows.add(i) };
            return self.probe(layout, store, &keys.masks, hashes, from, out, same, put);
        }
        let same = |_: &PageStore, slot: *mut u64, i: usize| {
            // SAFETY: as for `put`.
            (0..words).all(|w| unsafe { *slot.add(1 + w) == *rows.add(i * words + w) })
        };
        self.probe(layout, store, &keys.masks, hashes, from, out, same, put)
    }

    #[inline(always)]
    #[expect(
        clippy::too_many_arguments,
        reason = "one loop, inlined for each form of keys"
    )]
    fn probe(
        &mut self,
        layout: &TableLayout,
        store: &mut PageStore,
        masks: &[u16],
        hashes: &[u64],
        from: usize,
        out: &mut Slots,
        same: impl Fn(&PageStore, *mut u64, usize) -> bool,
        mut put: impl FnMut(&mut PageStore, &mut VarHeap, *mut u64, usize) -> Result<()>,
    ) -> Result<usize> {
        let end = hashes.len();
        let mut headers = [0; BATCH_ROWS];
        // All ones where a slot's neighbour is looked at along with it.
        let near = match self.directory.len() <= NEAR_PAGES {
            true => usize::MAX,
            false => 0,
        };
        'again: loop {
            for i in from..end {
                let place = layout.place(hashes[i]);
                let entry = self.directory[self.index(place)];
                let slot = layout.slot_index(place, entry.depth()) * layout.slot_words;
                out[i] = store.page(entry.id()).cast::<u64>().wrapping_add(slot);
                headers[i] = place | u64::from(masks[i]) << 1 | 1;
            }
            for &slot in &out[from..end.min(from + PREFETCH_ROWS)] {
                prefetch(slot);
            }
            for i in from..end {
                prefetch(out[(i + PREFETCH_ROWS).min(BATCH_ROWS - 1)]);
                let header = headers[i];
                let first = out[i];
                let step = layout.next(first).addr().wrapping_sub(first.addr()) & near;
                let second = first.wrapping_byte_add(step);
                // SAFETY: as below.
                let (one, two) = unsafe { (*first, *second) };
                // Which of the two it is nobody can foresee: so without a branch.
                let moved = u64::from(two == header) & u64::from(one != header);
                let mut slot = first.wrapping_byte_add(step & (moved.wrapping_neg() as usize));
                // SAFETY: `slot_index` and `next` stay within the slots of the page, whose words
                // are initialised (pages are taken as zeros).
                while unsafe { *slot } != header || !same(store, slot, i) {
                    // SAFETY: as above.
                    if unsafe { *slot } == 0 {
                        match self.claim(layout, store, header) {
                            Claim::Granted => {
                                put(store, &mut self.heap, slot, i)?;
                                let state = &layout.initial;
                                // SAFETY: the slot has a header, the key's and the state's words.
                                unsafe {
                                    let to = slot.add(layout.state_at());
                                    std::ptr::copy_nonoverlapping(state.as_ptr(), to, state.len());
                                    *slot = header;
                                }
                                break;
                            }
                            // Slots found before this one would move.
                            Claim::PageFull if i > from => return Ok(i),
                            Claim::PageFull => {
                                let place = header & HASH_MASK;
                                self.split(layout, store, self.index(place))?;
                                continue 'again;
                            }
                        }
                    }
                    slot = layout.next(slot);
                }
                out[i] = slot;
            }
            return Ok(end);
        }
    }

    /// Counts a new slot on the page of `header`, if the page may have one more.
    #[inline(never)]
    fn claim(&mut self, layout: &TableLayout, store: &mut PageStore, header: u64) -> Claim {
        let id = self.directory[self.index(header & HASH_MASK)].id();
        let occupied = store.occupied(id);
        if occupied as usize >= layout.slots_max {
            return Claim::PageFull;
        }
        store.set_occupied(id, occupied + 1);
        self.len += 1;
        Claim::Granted
    }

    /// Splits the page of a directory entry by its next bit.
    #[cold]
    fn split(&mut self, layout: &TableLayout, store: &mut PageStore, index: usize) -> Result<()> {
        let entry = self.directory[index];
        let depth = entry.depth() + 1;
        if depth > DEPTH_MAX {
            return Err(Error::Row {
                message: "too many keys with alike hashes in GROUP BY".to_owned(),
            });
        }
        let right = store.take()?;
        let mut index = index;
        if depth > self.depth {
            self.directory = self.directory.iter().flat_map(|&e| [e, e]).collect();
            self.depth += 1;
            index *= 2;
        }
        let span = 1usize << (self.depth - entry.depth());
        let first = index & !(span - 1);
        debug_assert!(
            self.directory[first..first + span]
                .iter()
                .all(|&e| e == entry)
        );
        let (left_half, right_half) = self.directory[first..first + span].split_at_mut(span / 2);
        left_half.fill(Entry::new(entry.id(), depth));
        right_half.fill(Entry::new(right, depth));

        let slots = store.drain_page(entry.id());
        let (mut left_count, mut right_count) = (0, 0);
        for from in slots.chunks_exact(layout.slot_words).take(layout.slots) {
            if from[0] == 0 {
                continue;
            }
            let place = from[0] & HASH_MASK;
            let id = if place << (depth - 1) >> 63 == 1 {
                right_count += 1;
                right
            } else {
                left_count += 1;
                entry.id()
            };
            let at = layout.slot_index(place, depth) * layout.slot_words;
            let mut slot = store.page(id).cast::<u64>().wrapping_add(at);
            // SAFETY: `slot_index` and `next` stay within the page, which has a free slot: both
            // pages were empty and get no more than one page held.
            unsafe {
                while *slot != 0 {
                    slot = layout.next(slot);
                }
                std::ptr::copy_nonoverlapping(from.as_ptr(), slot, from.len());
            }
        }
        store.keep_drained(slots);
        store.set_occupied(entry.id(), left_count);
        store.set_occupied(right, right_count);
        Ok(())
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
        let entry = self.directory[self.index(header & HASH_MASK)];
        let words = layout.slot_words;
        let page = store.page(entry.id()).cast::<u64>();
        let at = |number: usize| page.wrapping_add(number * words);
        let next = |number: usize| {
            if number + 1 == layout.slots {
                0
            } else {
                number + 1
            }
        };
        // SAFETY: slots below `layout.slots` lie within the page, whose words are initialised; no
        // two of these slices live at a time.
        let slot = |number: usize| unsafe { std::slice::from_raw_parts_mut(at(number), words) };
        let mut hole = layout.slot_index(header & HASH_MASK, entry.depth());
        while slot(hole)[0] != header || !is(slot(hole)) {
            assert!(slot(hole)[0] != 0, "a key that is taken out is there");
            hole = next(hole);
        }
        if layout.keys.is_var() {
            let found = slot(hole);
            self.heap.free(VarRef(found[1], found[2]));
        }
        let mut behind = next(hole);
        while slot(behind)[0] != 0 {
            let home = layout.slot_index(slot(behind)[0] & HASH_MASK, entry.depth());
            let from = |a: usize, b: usize| (b + layout.slots - a) % layout.slots;
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
            let page = store.page(entry.id()).cast::<u64>();
            while count < rows_max && cursor.slot < layout.slots {
                let slot = page.wrapping_add(cursor.slot * layout.slot_words);
                // SAFETY: the slot lies within the page, whose words are initialised.
                if unsafe { *slot } != 0 {
                    out[count] = slot;
                    count += 1;
                }
                cursor.slot += 1;
            }
            if cursor.slot == layout.slots {
                cursor.slot = 0;
                cursor.entry += 1 << (self.depth - entry.depth());
            }
        }
        count
    }
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
