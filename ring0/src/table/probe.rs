//! How the slots of a batch of keys are found or made: where each search begins in one loop, what
//! is there in another, as memory is fetched meanwhile.

use super::keys::KeyBatch;
use super::store::{PageId, PageStore};
use super::var::{VarHeap, VarRef, var_eq};
use super::{BATCH_ROWS, Entry, HASH_MASK, Slots, Table, TableLayout, WIDER, prefetch, slot_index};
use crate::error::{Error, Result};
use crate::limits::PAGE_BYTES;

/// How far ahead slots are fetched.
const PREFETCH_ROWS: usize = 16;
/// Up to so many pages lie in the second cache, where looking at two slots at once costs less than
/// guessing wrong which of them it is; beyond, the second would be fetched from memory.
const NEAR_PAGES: usize = 32;
/// Tables of fewer pages split these when half full: searches are shorter, above all those that
/// nobody can foresee, and little memory is spent on it.
const FEW_PAGES: usize = 8;
/// Deepest directory. Hashes are even, so that 2^28 pages are more than the store has.
const DEPTH_MAX: u32 = 28;

/// Whether a page takes one more slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Granted,
    PageFull,
}

impl Table {
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

    /// [`Table::resolve`] for one form of keys.
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
        put: impl FnMut(&mut PageStore, &mut VarHeap, *mut u64, usize) -> Result<()>,
    ) -> Result<usize> {
        match self.directory.len() {
            1 => self.probe_pages::<true>(layout, store, masks, hashes, from, out, same, put),
            _ => self.probe_pages::<false>(layout, store, masks, hashes, from, out, same, put),
        }
    }

    /// Where the search for each row begins, and the header that it looks for.
    #[inline(always)]
    fn begin<const ONE_PAGE: bool>(
        &self,
        layout: &TableLayout,
        store: &PageStore,
        (masks, hashes): (&[u16], &[u64]),
        (slots, headers): (&mut [*mut u64], &mut [u64]),
    ) {
        let rows = hashes.iter().zip(masks);
        let to = slots.iter_mut().zip(headers);
        // Nothing is looked up for the rows of the only page.
        let only = store.page(self.directory[0].id()).cast::<u64>();
        for ((&hash, &mask), (slot, header)) in rows.zip(to) {
            let place = layout.place(hash);
            let (page, depth) = match ONE_PAGE {
                true => (only, 0),
                false => {
                    let entry = self.directory[self.index(place)];
                    (store.page(entry.id()).cast::<u64>(), entry.depth())
                }
            };
            *slot = page.wrapping_add(slot_index(place, depth, self.slots) * layout.slot_words);
            *header = place | u64::from(mask) << 1 | 1;
        }
    }

    #[inline(always)]
    #[expect(
        clippy::too_many_arguments,
        reason = "one loop, inlined for each form of keys"
    )]
    fn probe_pages<const ONE_PAGE: bool>(
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
        let near = match ONE_PAGE || self.directory.len() <= NEAR_PAGES {
            true => usize::MAX,
            false => 0,
        };
        'again: loop {
            let slots = self.slots;
            let of = (&masks[from..end], &hashes[from..end]);
            let to = (&mut out[from..end], &mut headers[from..end]);
            self.begin::<ONE_PAGE>(layout, store, of, to);
            if !ONE_PAGE {
                for &slot in &out[from..end.min(from + PREFETCH_ROWS)] {
                    prefetch(slot);
                }
            }
            for i in from..end {
                // One page is in the second cache at least.
                if !ONE_PAGE {
                    prefetch(out[(i + PREFETCH_ROWS).min(BATCH_ROWS - 1)]);
                }
                let header = headers[i];
                let first = out[i];
                let step = layout.next(first, slots).addr().wrapping_sub(first.addr()) & near;
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
                        match self.claim(layout, store, header, slot)? {
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
                                self.make_room(layout, store, self.index(place))?;
                                if ONE_PAGE && self.directory.len() > 1 {
                                    return self.probe_pages::<false>(
                                        layout, store, masks, hashes, from, out, same, put,
                                    );
                                }
                                continue 'again;
                            }
                        }
                    }
                    slot = layout.next(slot, slots);
                }
                out[i] = slot;
            }
            return Ok(end);
        }
    }

    /// Counts a new slot, this one, on the page of `header`, if the page may have one more.
    #[inline(never)]
    fn claim(
        &mut self,
        layout: &TableLayout,
        store: &mut PageStore,
        header: u64,
        slot: *mut u64,
    ) -> Result<Claim> {
        let id = self.directory[self.index(header & HASH_MASK)].id();
        let occupied = store.occupied(id);
        let max = match self.directory.len() {
            ..FEW_PAGES => self.slots / 2,
            _ => layout.slots_max,
        };
        if occupied as usize >= max {
            return Ok(Claim::PageFull);
        }
        if store.is_frozen() {
            store.keep(slot, layout.slot_words * 8)?;
        }
        store.set_occupied(id, occupied + 1);
        store.mark(id, slot.addr() & (PAGE_BYTES - 1), layout.slot_words * 8);
        self.len += 1;
        Ok(Claim::Granted)
    }

    /// Has the page of a directory entry take more slots: by more of its own, or by another page.
    #[cold]
    fn make_room(
        &mut self,
        layout: &TableLayout,
        store: &mut PageStore,
        index: usize,
    ) -> Result<()> {
        if self.slots == layout.slots {
            return self.split(layout, store, index);
        }
        let id = self.directory[0].id();
        store.keep_page(id)?;
        let slots = store.drain_page(id, self.slots * layout.slot_words * 8);
        self.slots = (self.slots * WIDER).min(layout.slots);
        for from in slots.chunks_exact(layout.slot_words) {
            if from[0] != 0 {
                self.put_back(layout, store, (id, 0), from);
            }
        }
        store.keep_drained(slots);
        Ok(())
    }

    /// Splits the page of a directory entry by its next bit.
    fn split(&mut self, layout: &TableLayout, store: &mut PageStore, index: usize) -> Result<()> {
        let entry = self.directory[index];
        let depth = entry.depth() + 1;
        if depth > DEPTH_MAX {
            return Err(Error::Row {
                message: "too many keys with alike hashes in GROUP BY".to_owned(),
            });
        }
        store.keep_page(entry.id())?;
        let right = store.take_marked()?;
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

        let slots = store.drain_page(entry.id(), layout.slots * layout.slot_words * 8);
        let (mut left_count, mut right_count) = (0, 0);
        for from in slots.chunks_exact(layout.slot_words) {
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
            self.put_back(layout, store, (id, depth), from);
        }
        store.keep_drained(slots);
        store.set_occupied(entry.id(), left_count);
        store.set_occupied(right, right_count);
        Ok(())
    }

    /// Puts a slot's words into a page that was emptied and gets no more slots than it has.
    fn put_back(
        &self,
        layout: &TableLayout,
        store: &mut PageStore,
        (id, depth): (PageId, u32),
        from: &[u64],
    ) {
        let at = slot_index(from[0] & HASH_MASK, depth, self.slots) * layout.slot_words;
        let mut slot = store.page(id).cast::<u64>().wrapping_add(at);
        // SAFETY: `slot_index` and `next` stay within the page, which has a free slot: it was
        // emptied, and gets no more slots than a page that was not full held.
        unsafe {
            while *slot != 0 {
                slot = layout.next(slot, self.slots);
            }
            std::ptr::copy_nonoverlapping(from.as_ptr(), slot, from.len());
        }
        store.mark(id, slot.addr() & (PAGE_BYTES - 1), layout.slot_words * 8);
    }
}
