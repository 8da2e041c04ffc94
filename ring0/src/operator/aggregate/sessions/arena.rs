//! Slots of one size that never move: each session has one. Slots given back are used again.

use crate::error::{Result, refuse};
use crate::limits::PAGE_BYTES;
use crate::table::store::{PageId, PageStore};

/// The slots of an operator's sessions, in pages of its store.
#[derive(Debug)]
pub(super) struct Arena {
    /// Words before the state.
    state_at: usize,
    initial: Vec<u64>,
    pages: Vec<PageId>,
    of: Vec<Owner>,
    free: Vec<u32>,
}

/// Whose a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    list: u32,
    /// How often the slot was given back: what was said of it before is of another session.
    life: u32,
}

impl Arena {
    /// Slots whose state begins at word `state_at` with these words.
    pub(super) fn new(state_at: usize, initial: Vec<u64>) -> Result<Self> {
        let arena = Self {
            state_at,
            initial,
            pages: Vec::new(),
            of: Vec::new(),
            free: Vec::new(),
        };
        match arena.slots_of_page() {
            0 => refuse("the state of a session is longer than a page".to_owned()),
            _ => Ok(arena),
        }
    }

    fn words(&self) -> usize {
        self.state_at + self.initial.len()
    }

    fn slots_of_page(&self) -> usize {
        PAGE_BYTES / (self.words() * 8)
    }

    /// A slot with the state of no row, of a session of `list`.
    pub(super) fn take(&mut self, store: &mut PageStore, list: u32) -> Result<u32> {
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                if self.of.len() == self.pages.len() * self.slots_of_page() {
                    self.pages.push(store.take()?);
                }
                self.of.push(Owner { list, life: 0 });
                (self.of.len() - 1) as u32
            }
        };
        self.of[number as usize].list = list;
        let slot = self.slot(store, number);
        // SAFETY: a slot has `state_at` words, and behind them as many as the state.
        unsafe {
            let to = slot.add(self.state_at);
            std::ptr::copy_nonoverlapping(self.initial.as_ptr(), to, self.initial.len());
        }
        Ok(number)
    }

    /// Slots that are in use.
    pub(super) fn len(&self) -> usize {
        self.of.len() - self.free.len()
    }

    /// Bytes of memory besides its pages.
    pub(super) fn bytes(&self) -> usize {
        self.of.capacity() * size_of::<Owner>() + self.free.capacity() * size_of::<u32>()
    }

    /// Gives a slot back.
    pub(super) fn give(&mut self, number: u32) {
        self.of[number as usize].life += 1;
        self.free.push(number);
    }

    /// Where a slot lies, for as long as the store lives.
    pub(super) fn slot(&self, store: &PageStore, number: u32) -> *mut u64 {
        let (page, at) = (
            number as usize / self.slots_of_page(),
            number as usize % self.slots_of_page(),
        );
        let page = store.page(self.pages[page]).cast::<u64>();
        page.wrapping_add(at * self.words())
    }

    /// The list of the session whose slot it is.
    pub(super) fn list(&self, number: u32) -> u32 {
        self.of[number as usize].list
    }

    /// How often the slot was given back.
    pub(super) fn life(&self, number: u32) -> u32 {
        self.of[number as usize].life
    }
}
