//! Rows by their numbers, found by key: which numbers have the key of a row that is looked for.
//! All rows are appended first, then the directory is built, which may be done by slices.
//!
//! Keys have the form that slots of state tables keep, and so the one equality of keys. Rows of one
//! key are found in their order.

use super::keys::{KeyBatch, KeyLayout};

/// Ends a chain of rows.
const NONE: u32 = u32::MAX;
/// Fewer rows than this can be told apart.
pub(crate) const ROWS_MAX: usize = NONE as usize;

/// The keys of all rows, and the directory.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    hashes: Vec<u64>,
    keys: Keys,
    /// The first row of each bucket, and for each row the next one there.
    first: Vec<u32>,
    next: Vec<u32>,
    /// Rows that equal nothing: until the directory is built `next` says so.
    built: usize,
}

/// Says in `next`, before the directory is built, that a row is not to be found.
const UNKNOWN: u32 = NONE - 1;

/// The keys of rows.
#[derive(Debug)]
pub(crate) enum Keys {
    /// So many words each.
    Words(usize, Vec<u64>),
    /// Bytes, and where each key ends.
    Bytes(Vec<u8>, Vec<usize>),
}

/// A row that is looked for: its hash, and which row of a batch it is.
#[derive(Debug)]
pub(crate) struct Looked<'b> {
    pub(crate) hash: u64,
    pub(crate) batch: &'b KeyBatch,
    pub(crate) row: usize,
}

impl Keys {
    pub(crate) fn new(layout: &KeyLayout) -> Self {
        match layout.is_var() {
            true => Self::Bytes(Vec::new(), Vec::new()),
            false => Self::Words(layout.words(), Vec::new()),
        }
    }

    /// Bytes of its memory.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Words(_, words) => words.capacity() * size_of::<u64>(),
            Self::Bytes(bytes, ends) => bytes.capacity() + ends.capacity() * size_of::<usize>(),
        }
    }

    /// Forgets all, keeps the memory.
    pub(crate) fn clear(&mut self) {
        match self {
            Self::Words(_, words) => words.clear(),
            Self::Bytes(bytes, ends) => {
                bytes.clear();
                ends.clear();
            }
        }
    }

    pub(crate) fn append(&mut self, batch: &KeyBatch, count: usize) {
        match self {
            Self::Words(n, words) => words.extend_from_slice(&batch.words[..*n * count]),
            Self::Bytes(bytes, ends) => {
                for row in 0..count {
                    bytes.extend_from_slice(batch.encoded(row));
                    ends.push(bytes.len());
                }
            }
        }
    }

    /// Whether a row's key is the one that is looked for.
    pub(crate) fn is(&self, row: usize, looked: &Looked<'_>) -> bool {
        let probed = looked.row;
        match self {
            Self::Words(n, words) => {
                words[row * n..][..*n] == looked.batch.words[probed * n..][..*n]
            }
            Self::Bytes(bytes, ends) => {
                let from = row.checked_sub(1).map_or(0, |before| ends[before]);
                bytes[from..ends[row]] == *looked.batch.encoded(probed)
            }
        }
    }
}

impl KeyIndex {
    pub(crate) fn new(layout: &KeyLayout) -> Self {
        Self {
            hashes: Vec::new(),
            keys: Keys::new(layout),
            first: Vec::new(),
            next: Vec::new(),
            built: 0,
        }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Bytes of its memory.
    pub(crate) fn bytes(&self) -> usize {
        let numbers = self.first.capacity() + self.next.capacity();
        let hashes = self.hashes.capacity() * size_of::<u64>();
        hashes + self.keys.bytes() + numbers * size_of::<u32>()
    }

    /// The hash of a row's key.
    pub(crate) fn hash(&self, row: usize) -> u64 {
        self.hashes[row]
    }

    /// Appends the rows of a batch; those that are not `known` equal nothing.
    pub(crate) fn append(
        &mut self,
        batch: &KeyBatch,
        hashes: &[u64],
        known: impl Fn(usize) -> bool,
    ) {
        assert!(self.built == 0, "all rows come before the directory");
        self.keys.append(batch, hashes.len());
        self.hashes.extend_from_slice(hashes);
        let kept = (0..hashes.len()).map(|row| if known(row) { NONE } else { UNKNOWN });
        self.next.extend(kept);
    }

    /// Builds the directory, for so many rows more. Returns whether it is whole.
    pub(crate) fn build(&mut self, rows: usize) -> bool {
        let all = self.len();
        if self.first.is_empty() {
            self.first = vec![NONE; (all * 2).next_power_of_two().max(2)];
        }
        let buckets = self.first.len();
        let upto = all.min(self.built.saturating_add(rows));
        // Backwards, so that the rows of a bucket stand in their order.
        for row in (all - upto..all - self.built).rev() {
            let known = self.next[row] == NONE;
            self.next[row] = NONE;
            if known {
                let head = &mut self.first[bucket(self.hashes[row], buckets)];
                self.next[row] = std::mem::replace(head, row as u32);
            }
        }
        self.built = upto;
        upto == all
    }

    /// The first row with this key.
    pub(crate) fn first(&self, looked: &Looked<'_>) -> Option<usize> {
        self.walk(self.first[bucket(looked.hash, self.first.len())], looked)
    }

    /// The row with this key behind `row`.
    pub(crate) fn next(&self, row: usize, looked: &Looked<'_>) -> Option<usize> {
        self.walk(self.next[row], looked)
    }

    fn walk(&self, mut row: u32, looked: &Looked<'_>) -> Option<usize> {
        while row != NONE {
            let at = row as usize;
            if self.hashes[at] == looked.hash && self.keys.is(at, looked) {
                return Some(at);
            }
            row = self.next[at];
        }
        None
    }
}

/// Key groups are in the high bits, so that the low ones tell more.
fn bucket(hash: u64, buckets: usize) -> usize {
    hash as usize & (buckets - 1)
}
