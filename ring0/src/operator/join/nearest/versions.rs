//! The versions of the right side: one for each key and time, in the order of both. Where they come
//! as they are, two heaps say which of them is next: to be certain, and to be forgotten.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Bound;

use crate::column::Column;
use crate::order::take;
use crate::program::{Nearest, Toward};

/// Bytes of a time, where it is one.
const TIME_BYTES: usize = 16;

/// A key and a time behind it, as sort keys: where a row stands among the versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bytes: Box<[u8]>,
    key_bytes: usize,
}

impl Place {
    pub(super) fn new(bytes: Vec<u8>, key_bytes: usize) -> Self {
        Self {
            bytes: bytes.into(),
            key_bytes,
        }
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.bytes[..self.key_bytes]
    }

    /// Its time in nanoseconds.
    pub(super) fn time(&self) -> i128 {
        Self::time_of(&self.bytes)
    }

    /// The time in nanoseconds of such bytes.
    pub(super) fn time_of(bytes: &[u8]) -> i128 {
        let last = bytes.last_chunk::<TIME_BYTES>();
        let ordered = u128::from_be_bytes(*last.expect("a time stands last"));
        (ordered ^ 1 << 127) as i128
    }

    /// The key of such bytes.
    pub(super) fn key_of(bytes: &[u8]) -> &[u8] {
        &bytes[..bytes.len() - TIME_BYTES]
    }
}

/// A version.
#[derive(Debug)]
pub(super) struct Version {
    /// By which it stands among those of the same key and time; those that are alike as they come.
    pub(super) tie: Box<[u8]>,
    pub(super) row: Box<[u8]>,
}

impl Version {
    /// Appends its row to columns.
    pub(super) fn append_to(&self, columns: &mut [Column]) {
        let mut bytes = &self.row[..];
        columns
            .iter_mut()
            .for_each(|column| take(&mut bytes, column));
    }
}

/// Versions by time, the first of them on top.
type ByTime = BinaryHeap<Reverse<(i128, Box<[u8]>)>>;

/// The versions.
#[derive(Debug)]
pub(super) struct Versions {
    nearest: Nearest,
    rows: BTreeMap<Box<[u8]>, Version>,
    /// Those that may not be the first behind the time before them, as nearer ones may come.
    coming: ByTime,
    /// Those that are to be forgotten.
    staying: ByTime,
}

impl Versions {
    pub(super) fn new(nearest: Nearest) -> Self {
        Self {
            nearest,
            rows: BTreeMap::new(),
            coming: BinaryHeap::new(),
            staying: BinaryHeap::new(),
        }
    }

    /// Number of versions.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Keeps a version, unless another one stands in its place that is nearer.
    pub(super) fn keep(&mut self, place: Place, version: Version) {
        let before = self.nearest.toward.is_before();
        if let Some(other) = self.rows.get_mut(&place.bytes) {
            let is_nearer = match before {
                true => version.tie >= other.tie,
                false => version.tie < other.tie,
            };
            if is_nearer {
                *other = version;
            }
            return;
        }
        if self.nearest.lag_ns.is_some() {
            let by_time = match before {
                true => &mut self.staying,
                false => &mut self.coming,
            };
            by_time.push(Reverse((place.time(), place.bytes.clone())));
        }
        self.rows.insert(place.bytes, version);
    }

    /// The version that is the nearest to this place, as far as they have come; and its place.
    pub(super) fn nearest(&self, place: &Place) -> Option<(&[u8], &Version)> {
        let at = &place.bytes[..];
        let last = |end| {
            let mut range = self.rows.range::<[u8], _>((Bound::Unbounded, end));
            range.next_back()
        };
        let first = |from| {
            let mut range = self.rows.range::<[u8], _>((from, Bound::Unbounded));
            range.next()
        };
        let found = match self.nearest.toward {
            Toward::Before => last(Bound::Excluded(at)),
            Toward::AtOrBefore => last(Bound::Included(at)),
            Toward::After => first(Bound::Excluded(at)),
            Toward::AtOrAfter => first(Bound::Included(at)),
        };
        // Keys end by themselves: those that begin with another one are that.
        let (bytes, version) = found?;
        (bytes.starts_with(place.key())).then_some((&**bytes, version))
    }

    /// The first version of those that are not passed, if no nearer one comes: all that come have
    /// at least the time `right`.
    pub(super) fn certain(&self, right: i128) -> Option<(&[u8], &Version)> {
        let Reverse((time, place)) = self.coming.peek()?;
        (*time < right).then(|| (&**place, &self.rows[place]))
    }

    /// Goes behind the first version that is certain: no row waits for it any more.
    pub(super) fn pass(&mut self) {
        self.staying.extend(self.coming.pop());
    }

    /// Forgets what the next version is certain to take the place of, or that version, where all
    /// rows that are still to be looked at have at least this time. Returns whether there was one.
    pub(super) fn forget_one(&mut self, from: i128) -> bool {
        let Some(Reverse((time, _))) = self.staying.peek() else {
            return false;
        };
        let is_over = match self.nearest.toward {
            Toward::AtOrBefore | Toward::After => *time <= from,
            Toward::Before | Toward::AtOrAfter => *time < from,
        };
        if !is_over {
            return false;
        }
        let Some(Reverse((_, place))) = self.staying.pop() else {
            unreachable!("there was one on top")
        };
        match self.nearest.toward.is_before() {
            false => {
                self.rows.remove(&place);
            }
            // It is nearer than all before it, and goes when one behind it is.
            true => {
                let key = Place::key_of(&place);
                let end = (Bound::Unbounded, Bound::Excluded(&*place));
                let mut range = self.rows.range::<[u8], _>(end);
                let before = range.next_back().map(|(before, _)| before.clone());
                if let Some(before) = before.filter(|before| before.starts_with(key)) {
                    self.rows.remove(&before);
                }
            }
        }
        true
    }

    /// The versions behind this one, or all.
    pub(super) fn behind(
        &self,
        last: Option<&[u8]>,
    ) -> impl Iterator<Item = (&Box<[u8]>, &Version)> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.rows.range::<[u8], _>((from, Bound::Unbounded))
    }
}
