//! The rows of one side of an interval join, as long as they may match: found by key and time,
//! forgotten in the order of time.
//!
//! Rows lie in blocks in the order in which they came; a block is used anew once none of its rows
//! is held. A directory has a chain for each key and stretch of time as long as the interval, so
//! that all that a row may match is in two of them at the most. It grows by a bucket at a time
//! (linear hashing): no row waits for all others to be sorted anew.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::keys::SideKeys;
use crate::column::Column;
use crate::frame::Frame;
use crate::schema::Schema;
use crate::table::BATCH_ROWS;
use crate::table::index::{Keys, Looked};
use crate::table::keys::KeyLayout;
use crate::tally::Charge;

/// Rows of a block.
const BLOCK_ROWS: usize = 4096;
/// Ends a chain.
const NONE: u32 = u32::MAX;
/// A row that no chain has: it equals nothing.
const ALONE: u32 = NONE - 1;
/// Blocks, whose rows have to be told apart by 32 bits.
const BLOCKS_MAX: usize = (ALONE as usize) / BLOCK_ROWS;

/// A held row: its block, and its place there.
pub(super) type Slot = u32;

#[derive(Debug)]
struct Block {
    rows: Frame,
    keys: Keys,
    entries: Vec<Entry>,
    live: usize,
    charge: Charge,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    time: i128,
    /// Of the key and its stretch of time.
    hash: u64,
    before: u32,
    next: u32,
    matched: bool,
}

/// A row whose matches are looked for.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) key: Looked<'a>,
    /// From and to which time, in nanoseconds.
    pub(super) times: [i128; 2],
    /// Where NULL equals NULL: the frame, the row in it, and its key columns.
    pub(super) nulls: Option<(&'a Frame, usize, &'a [usize])>,
}

/// Where a search stands: the stretch of time, and the row of its chain that is looked at next.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    stretch: i128,
    next: u32,
}

/// What a step of a search gives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Found(Slot),
    Nothing,
    End,
}

/// The rows of a side.
#[derive(Debug)]
pub(super) struct Held {
    schema: Arc<Schema>,
    layout: KeyLayout,
    keys: Vec<usize>,
    /// Length of a stretch of time, in nanoseconds.
    stretch_ns: i128,
    blocks: Vec<Block>,
    unused: Vec<u32>,
    /// The block that takes rows.
    open: Option<u32>,
    /// The first row of each bucket, and how many rows they have.
    buckets: Vec<u32>,
    linked: usize,
    /// The next to be forgotten first.
    order: BinaryHeap<Reverse<(i128, Slot)>>,
    within: Vec<u32>,
    /// Of what is not of a block.
    charge: Charge,
}

impl Block {
    /// Counts its memory.
    fn weigh(&mut self) {
        let entries = self.entries.capacity() * size_of::<Entry>();
        self.charge
            .set(self.rows.heap_bytes() + self.keys.bytes() + entries);
    }
}

fn at(slot: Slot) -> (usize, usize) {
    (slot as usize / BLOCK_ROWS, slot as usize % BLOCK_ROWS)
}

/// The hash of a key and a stretch of time: of one key it is another for each stretch.
pub(super) fn hash_at(key: u64, stretch: i128) -> u64 {
    let mixed = (key ^ (stretch as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .wrapping_mul(0xD6E8_FEB8_6659_FD93);
    mixed ^ (mixed >> 32)
}

impl Held {
    pub(super) fn new(keys: &SideKeys, stretch_ns: i128) -> Self {
        assert!(stretch_ns > 0, "a stretch of time has a length");
        Self {
            schema: Arc::clone(&keys.schema),
            layout: KeyLayout::new(&keys.schema, &keys.columns),
            keys: keys.columns.clone(),
            stretch_ns,
            blocks: Vec::new(),
            unused: Vec::new(),
            open: None,
            buckets: vec![NONE],
            linked: 0,
            order: BinaryHeap::new(),
            within: Vec::new(),
            charge: Charge::default(),
        }
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Blocks that there are, in use or not.
    #[cfg(test)]
    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Holds the rows of a frame, whose keys are hashed. `times` has each row's time, in
    /// nanoseconds; rows for which `matches` is false equal nothing. Appends each row's slot.
    pub(super) fn append(
        &mut self,
        frame: &Frame,
        keys: &mut SideKeys,
        times: &[i128],
        matches: impl Fn(&SideKeys, usize) -> bool,
        slots: &mut Vec<Slot>,
    ) {
        let mut start = 0;
        while start < frame.rows() {
            let number = self.open_block();
            let block = &mut self.blocks[number as usize];
            let count = (frame.rows() - start)
                .min(BATCH_ROWS)
                .min(block.rows.room());
            if !self.keys.is_empty() {
                keys.fill(frame, start, count);
                block.keys.append(&keys.batch, count);
            }
            let first = number * BLOCK_ROWS as u32 + block.rows.rows() as u32;
            block.rows.append_range(frame, start..start + count);
            block.live += count;
            for (row, slot) in (start..start + count).zip(first..) {
                let key = keys.hashes.get(row).copied().unwrap_or(0);
                let time = times[row];
                let hash = hash_at(key, time.div_euclid(self.stretch_ns));
                self.blocks[number as usize].entries.push(Entry {
                    time,
                    hash,
                    before: NONE,
                    next: ALONE,
                    matched: false,
                });
                if matches(keys, row) {
                    self.link(slot);
                }
                self.order.push(Reverse((time, slot)));
                slots.push(slot);
            }
            start += count;
            self.blocks[number as usize].weigh();
        }
        let order = self.order.capacity() * size_of::<Reverse<(i128, Slot)>>();
        self.charge.set(order + self.buckets.capacity() * 4);
    }

    /// A block with room.
    fn open_block(&mut self) -> u32 {
        if let Some(open) = self.open {
            let block = &self.blocks[open as usize];
            if block.rows.room() > 0 {
                return open;
            }
            self.open = None;
            if block.live == 0 {
                self.reuse(open);
            }
        }
        let number = self.unused.pop().unwrap_or_else(|| {
            assert!(
                self.blocks.len() < BLOCKS_MAX,
                "rows of a join's side have 32 bits"
            );
            self.blocks.push(Block {
                rows: Frame::new(&self.schema, BLOCK_ROWS),
                keys: Keys::new(&self.layout),
                entries: Vec::with_capacity(BLOCK_ROWS),
                live: 0,
                charge: Charge::default(),
            });
            self.blocks.len() as u32 - 1
        });
        self.open = Some(number);
        number
    }

    fn reuse(&mut self, number: u32) {
        let block = &mut self.blocks[number as usize];
        block.rows.clear();
        block.keys.clear();
        block.entries.clear();
        self.unused.push(number);
    }

    fn entry(&mut self, slot: Slot) -> &mut Entry {
        let (block, row) = at(slot);
        &mut self.blocks[block].entries[row]
    }

    fn bucket(&self, hash: u64) -> usize {
        let all = self.buckets.len();
        let wide = hash as usize & (all.next_power_of_two() - 1);
        match wide < all {
            true => wide,
            false => wide & (all.next_power_of_two() / 2 - 1),
        }
    }

    fn link(&mut self, slot: Slot) {
        self.linked += 1;
        if self.linked > self.buckets.len() {
            self.split();
        }
        self.push(slot);
    }

    fn push(&mut self, slot: Slot) {
        let hash = self.entry(slot).hash;
        let bucket = self.bucket(hash);
        let head = std::mem::replace(&mut self.buckets[bucket], slot);
        let entry = self.entry(slot);
        (entry.before, entry.next) = (NONE, head);
        if head != NONE {
            self.entry(head).before = slot;
        }
    }

    /// Makes one bucket two.
    fn split(&mut self) {
        let all = self.buckets.len();
        let parted = all - all.next_power_of_two() / if all.is_power_of_two() { 1 } else { 2 };
        self.buckets.push(NONE);
        let mut slot = std::mem::replace(&mut self.buckets[parted], NONE);
        while slot != NONE {
            let next = self.entry(slot).next;
            self.push(slot);
            slot = next;
        }
    }

    fn unlink(&mut self, slot: Slot) {
        let Entry {
            hash, before, next, ..
        } = *self.entry(slot);
        if next == ALONE {
            return;
        }
        self.linked -= 1;
        match before {
            NONE => {
                let bucket = self.bucket(hash);
                self.buckets[bucket] = next;
            }
            before => self.entry(before).next = next,
        }
        if next != NONE {
            self.entry(next).before = before;
        }
    }

    /// Begins a search.
    pub(super) fn begin(&self, wanted: &Wanted<'_>) -> At {
        self.enter(wanted, wanted.times[0].div_euclid(self.stretch_ns))
    }

    fn enter(&self, wanted: &Wanted<'_>, stretch: i128) -> At {
        let next = self.buckets[self.bucket(hash_at(wanted.key.hash, stretch))];
        At { stretch, next }
    }

    /// Looks at one row.
    pub(super) fn step(&self, wanted: &Wanted<'_>, place: &mut At) -> Step {
        let [from, to] = wanted.times;
        let begin = place.stretch * self.stretch_ns;
        if place.next == NONE {
            if begin + self.stretch_ns > to {
                return Step::End;
            }
            *place = self.enter(wanted, place.stretch + 1);
            return Step::Nothing;
        }
        let slot = place.next;
        let (block, row) = at(slot);
        let block = &self.blocks[block];
        let entry = &block.entries[row];
        place.next = entry.next;
        // Chains of two stretches may be one.
        let times = from.max(begin)..=to.min(begin + self.stretch_ns - 1);
        let found = entry.hash == hash_at(wanted.key.hash, place.stretch)
            && times.contains(&entry.time)
            && (self.keys.is_empty() || block.keys.is(row, &wanted.key))
            && wanted.nulls.is_none_or(|(frame, of, columns)| {
                let mut pairs = self.keys.iter().zip(columns);
                pairs.all(|(&k, &c)| {
                    block.rows.columns[k].is_valid(row) == frame.columns[c].is_valid(of)
                })
            });
        match found {
            true => Step::Found(slot),
            false => Step::Nothing,
        }
    }

    /// Some of the rows: the next behind so many, in an order that holds while none comes or goes.
    pub(super) fn some(&self, from: usize, most: usize) -> Vec<Slot> {
        let all = self.order.as_slice();
        let upto = all.len().min(from + most);
        let mut slots: Vec<Slot> = all[from..upto].iter().map(|Reverse((_, s))| *s).collect();
        slots.sort_unstable();
        slots
    }

    /// Notes that a row has matched. Gives whether it is the first time.
    pub(super) fn mark(&mut self, slot: Slot) -> bool {
        !std::mem::replace(&mut self.entry(slot).matched, true)
    }

    /// Whether it has.
    pub(super) fn has_matched(&self, slot: Slot) -> bool {
        let (block, row) = at(slot);
        self.blocks[block].entries[row].matched
    }

    /// Takes the first row by time, if its time is below this one, out of what is found and told;
    /// its values stay until [`Held::forget`].
    pub(super) fn pop(&mut self, below: i128) -> Option<Slot> {
        let Reverse((time, slot)) = *self.order.peek()?;
        (time < below).then(|| {
            self.order.pop();
            self.unlink(slot);
            slot
        })
    }

    /// Forgets rows that were taken out.
    pub(super) fn forget(&mut self, slots: &[Slot]) {
        for &slot in slots {
            let number = at(slot).0;
            let block = &mut self.blocks[number];
            block.live -= 1;
            if block.live == 0 && self.open != Some(number as u32) {
                self.reuse(number as u32);
            }
        }
    }

    /// Appends rows to columns.
    pub(super) fn append_to(&mut self, to: &mut [Column], slots: &[Slot]) {
        for run in slots.chunk_by(|a, b| at(*a).0 == at(*b).0) {
            self.within.clear();
            self.within.extend(run.iter().map(|s| at(*s).1 as u32));
            let from = &self.blocks[at(run[0]).0].rows.columns;
            for (to, from) in to.iter_mut().zip(from) {
                to.append_rows(from, &self.within);
            }
        }
    }
}
