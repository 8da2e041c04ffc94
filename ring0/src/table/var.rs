//! Values of any length beside the slots: a slot keeps a reference of 16 bytes, which holds up to
//! 12 bytes itself; longer ones lie in pages of blocks of one size. A block's size follows from
//! the value's length, freed blocks are listed by size and used again.
//!
//! ```text
//! word 0   length u32 | first 4 bytes
//! word 1   next 8 bytes, or page u32 | block u32
//! ```

use crate::error::{Error, Result};
use crate::limits::PAGE_BYTES;
use crate::table::store::{PageId, PageStore};

/// Bytes that a reference holds itself.
const INLINE_BYTES: usize = 12;
/// Four sizes a doubling, from 16 bytes to a page.
const CLASSES: usize = 49;

/// A reference to a value; two words of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VarRef(pub u64, pub u64);

impl VarRef {
    /// Refers to nothing.
    pub const NONE: Self = Self(u64::MAX, 0);

    /// The reference to a value that it holds itself; of longer ones the first word is right.
    #[inline]
    pub(super) fn short(bytes: &[u8]) -> Self {
        let kept = bytes.len().min(INLINE_BYTES);
        let mut first = [0; 16];
        first[..kept].copy_from_slice(&bytes[..kept]);
        Self::of_first(u128::from_le_bytes(first), bytes.len())
    }

    /// [`VarRef::short`] of a value that begins `first`, whose other bytes are whatever they are.
    #[inline]
    pub(super) fn of_first(first: u128, len: usize) -> Self {
        let kept = len.min(INLINE_BYTES);
        let first = first & !(u128::MAX << (8 * kept));
        Self((first as u64) << 32 | len as u64, (first >> 32) as u64)
    }

    /// Whether it refers to a value.
    #[inline]
    pub fn is_some(self) -> bool {
        self.0 != u64::MAX
    }

    #[inline]
    fn len(self) -> usize {
        self.0 as u32 as usize
    }
}

#[derive(Debug, Clone, Default)]
struct Class {
    /// The page that is being filled, with the number of its blocks in use.
    filling: Option<(PageId, u32)>,
    free: Vec<u64>,
}

/// The values of one table.
#[derive(Debug, Default)]
pub struct VarHeap {
    classes: Vec<Class>,
    pages: Vec<PageId>,
    /// What was forgotten while pages are kept as they were: its space is used again behind that.
    forgotten: Vec<VarRef>,
}

fn class_of(len: usize) -> usize {
    if len <= 16 {
        return 0;
    }
    let top = (len - 1).ilog2();
    let quarter = (len - 1) >> (top - 2) & 3;
    (top as usize - 4) * 4 + quarter + 1
}

fn class_bytes(class: usize) -> usize {
    (4 + class % 4) << (class / 4 + 2)
}

impl VarHeap {
    /// Keeps `bytes`.
    pub fn put(&mut self, store: &mut PageStore, bytes: &[u8]) -> Result<VarRef> {
        let short = VarRef::short(bytes);
        if bytes.len() <= INLINE_BYTES {
            return Ok(short);
        }
        if bytes.len() > PAGE_BYTES {
            return Err(Error::Row {
                message: format!(
                    "a key, or another value that state keeps, has {} bytes, and may have \
                     {PAGE_BYTES}: GROUP BY LEFT(x, 1000), MD5(x)",
                    bytes.len()
                ),
            });
        }
        let block = self.take(store, class_of(bytes.len()))?;
        let reference = VarRef(short.0, block);
        // SAFETY: the block is at least as long as the value, lies in a page of this heap and
        // belongs to nobody else.
        unsafe {
            let to = address(store, reference);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        Ok(reference)
    }

    /// Keeps `bytes` in the place of the value that `old` refers to.
    pub fn replace(&mut self, store: &mut PageStore, old: VarRef, bytes: &[u8]) -> Result<VarRef> {
        self.free(store, old);
        self.put(store, bytes)
    }

    /// Forgets the value that `old` refers to, if any; its space is used again.
    pub fn free(&mut self, store: &PageStore, old: VarRef) {
        if !old.is_some() || old.len() <= INLINE_BYTES {
            return;
        }
        match store.is_frozen() {
            true => self.forgotten.push(old),
            false => self.list(old),
        }
    }

    fn list(&mut self, old: VarRef) {
        self.classes[class_of(old.len())].free.push(old.1);
    }

    fn take(&mut self, store: &mut PageStore, class: usize) -> Result<u64> {
        if self.classes.is_empty() {
            self.classes.resize(CLASSES, Class::default());
        }
        if !store.is_frozen() {
            while let Some(old) = self.forgotten.pop() {
                self.list(old);
            }
        }
        let entry = &mut self.classes[class];
        if let Some(block) = entry.free.pop() {
            return Ok(block);
        }
        let blocks = (PAGE_BYTES / class_bytes(class)) as u32;
        let (page, used) = match entry.filling {
            Some((page, used)) if used < blocks => (page, used),
            _ => {
                let page = store.take()?;
                self.pages.push(page);
                (page, 0)
            }
        };
        entry.filling = Some((page, used + 1));
        Ok(u64::from(page) | u64::from(used) << 32)
    }

    /// Gives all pages back; all values are gone.
    pub fn release(&mut self, store: &mut PageStore) {
        for page in self.pages.drain(..) {
            store.give(page);
        }
        self.classes.clear();
        self.forgotten.clear();
    }
}

#[inline]
fn address(store: &PageStore, reference: VarRef) -> *mut u8 {
    let page = store.page(reference.1 as u32);
    let block = (reference.1 >> 32) as usize;
    // SAFETY: `take` counts a page's blocks below PAGE_BYTES / class_bytes.
    unsafe { page.add(block * class_bytes(class_of(reference.len()))) }
}

/// The bytes that `reference` refers to, which is kept somewhere in `store`.
#[inline]
pub fn var_bytes<'a>(store: &'a PageStore, reference: &'a [u64; 2]) -> &'a [u8] {
    let value = VarRef(reference[0], reference[1]);
    debug_assert!(value.is_some(), "a reference to a value");
    let len = value.len();
    let from = if len <= INLINE_BYTES {
        // SAFETY: twelve bytes follow the length within the reference (little-endian).
        unsafe { reference.as_ptr().cast::<u8>().add(4) }
    } else {
        address(store, value).cast_const()
    };
    // SAFETY: `put` wrote this many bytes there, and a block stays while it is referred to.
    unsafe { std::slice::from_raw_parts(from, len) }
}

/// Whether `reference` refers to these bytes, of which [`VarRef::short`] is `short`: short values
/// are compared as two words.
#[inline(always)]
pub(super) fn var_eq(store: &PageStore, reference: &[u64; 2], short: VarRef, bytes: &[u8]) -> bool {
    reference[0] == short.0
        && match short.len() <= INLINE_BYTES {
            true => reference[1] == short.1,
            false => var_bytes(store, reference) == bytes,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::store::Addresses;

    #[test]
    fn classes_hold_their_lengths() {
        assert_eq!(class_of(PAGE_BYTES) + 1, CLASSES);
        for len in 1..=PAGE_BYTES {
            let class = class_of(len);
            assert!(class_bytes(class) >= len);
            assert!(class == 0 || class_bytes(class - 1) < len);
        }
    }

    #[test]
    fn values_are_kept_replaced_and_their_space_is_used_again() {
        let mut store = PageStore::new(Addresses::shared_by(1)).expect("addresses");
        let mut heap = VarHeap::default();
        let mut kept = Vec::new();
        for len in [0, 1, 11, 12, 13, 100, 5000, PAGE_BYTES] {
            let bytes = vec![len as u8; len];
            kept.push((heap.put(&mut store, &bytes).expect("room"), bytes));
        }
        for (reference, bytes) in &kept {
            assert_eq!(var_bytes(&store, &[reference.0, reference.1]), &bytes[..]);
        }
        let pages = store.used();
        let mut last = kept[5].0;
        for i in 0..10_000u32 {
            let bytes = vec![i as u8; 97 + (i % 8) as usize];
            last = heap.replace(&mut store, last, &bytes).expect("room");
        }
        assert_eq!(store.used(), pages);
        assert!(heap.put(&mut store, &vec![0; PAGE_BYTES + 1]).is_err());
        heap.release(&mut store);
        assert_eq!(store.used(), 0);
    }
}
