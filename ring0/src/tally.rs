//! How much memory the state of operators takes. It is counted where memory is taken and given
//! back, in a number of the thread that does so: what an operator changed in a step is the
//! difference over that step. So nothing is shared between shards, and nobody has to know who holds
//! what.
//!
//! The number itself means nothing: what was taken on one thread may be given back on another.

use std::borrow::Borrow;
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
}

/// Bytes of an entry of an ordered map beside its key's bytes: its share of a node that is three
/// quarters full.
const ENTRY_BYTES: usize = 32;
/// Places of a node.
const NODE_ENTRIES: usize = 11;
/// What the system's allocator adds, and the multiple that it gives.
const ALLOCATION_BYTES: usize = 16;

/// Bytes of the node of a map that has few entries, beyond what these count for themselves.
pub(crate) const fn node_bytes<K, V>() -> usize {
    NODE_ENTRIES * (size_of::<K>() + size_of::<V>()) / 2
}

/// Bytes that this thread has taken for state, less those that it has given back.
#[inline]
pub(crate) fn held() -> i64 {
    HELD.get()
}

#[inline]
fn add(bytes: usize) {
    HELD.set(HELD.get().wrapping_add(bytes as i64));
}

#[inline]
fn sub(bytes: usize) {
    HELD.set(HELD.get().wrapping_sub(bytes as i64));
}

/// What an allocation of so many bytes takes.
#[inline]
pub(crate) fn allocated(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        _ => (bytes + ALLOCATION_BYTES / 2)
            .next_multiple_of(ALLOCATION_BYTES)
            .max(2 * ALLOCATION_BYTES),
    }
}

/// Memory that is counted as state as long as this is there.
#[derive(Debug, Default)]
pub(crate) struct Charge(usize);

impl Charge {
    /// So many bytes.
    pub(crate) fn of(bytes: usize) -> Self {
        add(bytes);
        Self(bytes)
    }

    /// It is so many bytes now.
    #[inline]
    pub(crate) fn set(&mut self, bytes: usize) {
        sub(self.0);
        add(bytes);
        self.0 = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        sub(self.0);
    }
}

/// A key or a row of state as bytes, in an ordered map as a rule.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Packed(Box<[u8]>);

impl Packed {
    fn counted(bytes: Box<[u8]>) -> Self {
        add(allocated(bytes.len()) + ENTRY_BYTES);
        Self(bytes)
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        sub(allocated(self.0.len()) + ENTRY_BYTES);
    }
}

impl Default for Packed {
    fn default() -> Self {
        Self::counted(Box::default())
    }
}

impl Clone for Packed {
    fn clone(&self) -> Self {
        Self::counted(self.0.clone())
    }
}

impl From<Vec<u8>> for Packed {
    fn from(bytes: Vec<u8>) -> Self {
        Self::counted(bytes.into())
    }
}

impl From<&[u8]> for Packed {
    fn from(bytes: &[u8]) -> Self {
        Self::counted(bytes.into())
    }
}

impl Deref for Packed {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Packed {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Packed {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What is given back is what was taken, whatever becomes of it between.
    #[test]
    fn what_comes_goes() {
        let before = held();
        let mut rows = BTreeMap::new();
        for n in 0..1_000u32 {
            let key = n.to_be_bytes().repeat(n as usize % 9);
            rows.insert(Packed::from(key), Packed::from(&[7; 40][..]));
        }
        let mut charge = Charge::of(100);
        charge.set(5_000);
        charge.set(10);
        assert!(held() > before + 40_000);
        let other = rows.clone();
        assert!(other.contains_key(&[][..]));
        drop((rows, other, charge));
        assert_eq!(held(), before);
    }
}
