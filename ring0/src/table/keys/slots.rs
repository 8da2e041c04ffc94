//! Keys of the slots of one table, to be looked for in another of the same layout.

use super::KeyBatch;
use crate::table::store::PageStore;
use crate::table::var::var_bytes;
use crate::table::{BATCH_ROWS, HASH_MASK, TableLayout};

impl KeyBatch {
    /// Takes the keys of `slots`, and puts their hashes, as far as a table tells them apart, into
    /// `hashes`. They are slots in use of a table of this layout and store.
    pub(crate) fn fill_slots(
        &mut self,
        layout: &TableLayout,
        store: &PageStore,
        slots: &[*mut u64],
        hashes: &mut Vec<u64>,
    ) {
        assert!(slots.len() <= BATCH_ROWS, "a batch of slots");
        let words = layout.keys.words();
        hashes.clear();
        self.words.clear();
        self.bytes.clear();
        self.ends.clear();
        for (&slot, mask) in slots.iter().zip(&mut self.masks) {
            // SAFETY: a slot in use has a header and the words of a key.
            let slot = unsafe { std::slice::from_raw_parts(slot.cast_const(), 1 + words) };
            hashes.push(layout.hash(slot[0]));
            *mask = (slot[0] >> 1) as u16 & 0x7fff;
            if layout.keys.is_var() {
                let reference = [slot[1], slot[2]];
                self.bytes.extend_from_slice(var_bytes(store, &reference));
                self.ends.push(self.bytes.len() as u32);
            } else {
                self.words.extend_from_slice(&slot[1..]);
            }
        }
        if layout.keys.is_var() {
            self.end();
        }
    }
}

impl TableLayout {
    /// A hash whose place is the one in a slot's header: the bits that the header lacks are 0, and
    /// no table looks at them.
    fn hash(&self, header: u64) -> u64 {
        ((header & HASH_MASK) >> self.base_shift).wrapping_add(self.base)
    }
}
