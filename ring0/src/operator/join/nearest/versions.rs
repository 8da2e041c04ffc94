//! The versions of the right side: one for each key and time, those of a key in the order of time.
//! Where they come as they are, two heaps say which of them is next: to be certain, and to be
//! forgotten.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Bound;

use crate::column::Column;
use crate::operator::join::keyed::{KeyPlace, Keyed};
use crate::order::take;
use crate::program::{Nearest, Toward};
use crate::tally::Packed;

/// Bytes of a time, where it is one.
const TIME_BYTES: usize = 16;

/// A key and a time behind it, as sort keys: where a row stands among the versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bytes: Packed,
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

    /// Where it stands among those of its key.
    fn behind_key(&self) -> &[u8] {
        &self.bytes[self.key_bytes..]
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

    /// The key of such bytes and the time.
    fn parts_of(bytes: &[u8]) -> (&[u8], &[u8]) {
        bytes.split_at(bytes.len() - TIME_BYTES)
    }
}

/// A version.
#[derive(Debug)]
pub(super) struct Version {
    /// By which it stands among those of the same key and time; those that are alike as they come.
    pub(super) tie: Packed,
    pub(super) row: Packed,
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
type ByTime = BinaryHeap<Reverse<(i128, Packed)>>;

/// The versions.
#[derive(Debug)]
pub(super) struct Versions {
    nearest: Nearest,
    /// By key, and by time as a sort key.
    rows: Keyed<BTreeMap<Packed, Version>>,
    count: usize,
    /// Those that may not be the first behind the time before them, as nearer ones may come.
    coming: ByTime,
    /// Those that are to be forgotten.
    staying: ByTime,
}

impl Versions {
    pub(super) fn new(nearest: Nearest) -> Self {
        Self {
            nearest,
            rows: Keyed::default(),
            count: 0,
            coming: BinaryHeap::new(),
            staying: BinaryHeap::new(),
        }
    }

    /// Number of versions.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Keeps a version, unless another one stands in its place that is nearer.
    pub(super) fn keep(&mut self, place: Place, version: Version) {
        let before = self.nearest.toward.is_before();
        let of_key = self.rows.or_default(place.key());
        if let Some(other) = of_key.get_mut(place.behind_key()) {
            let is_nearer = match before {
                true => version.tie >= other.tie,
                false => version.tie < other.tie,
            };
            if is_nearer {
                *other = version;
            }
            return;
        }
        of_key.insert(place.behind_key().into(), version);
        self.count += 1;
        if self.nearest.lag_ns.is_some() {
            let by_time = match before {
                true => &mut self.staying,
                false => &mut self.coming,
            };
            by_time.push(Reverse((place.time(), place.bytes)));
        }
    }

    /// The version that is the nearest to this place, as far as they have come; and its time as
    /// bytes.
    pub(super) fn nearest(&self, place: &Place) -> Option<(&[u8], &Version)> {
        let at = place.behind_key();
        let of_key = self.rows.get(place.key())?;
        let last = |end| of_key.range::<[u8], _>((Bound::Unbounded, end)).next_back();
        let first = |from| of_key.range::<[u8], _>((from, Bound::Unbounded)).next();
        let found = match self.nearest.toward {
            Toward::Before => last(Bound::Excluded(at)),
            Toward::AtOrBefore => last(Bound::Included(at)),
            Toward::After => first(Bound::Excluded(at)),
            Toward::AtOrAfter => first(Bound::Included(at)),
        };
        found.map(|(time, version)| (&**time, version))
    }

    /// The first version of those that are not passed, if no nearer one comes: all that come have
    /// at least the time `right`.
    pub(super) fn certain(&self, right: i128) -> Option<(&[u8], &Version)> {
        let Reverse((time, place)) = self.coming.peek()?;
        (*time < right).then(|| {
            let (key, behind) = Place::parts_of(place);
            let version = self.rows.get(key).and_then(|of_key| of_key.get(behind));
            (&**place, version.expect("what is to come stands"))
        })
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
        let (key, time) = Place::parts_of(&place);
        let is_before = self.nearest.toward.is_before();
        let forget = |of_key: &mut BTreeMap<Packed, Version>| {
            let before = of_key.len();
            match is_before {
                false => _ = of_key.remove(time),
                // It is nearer than all before it, and goes when one behind it is.
                true => {
                    let end = (Bound::Unbounded, Bound::Excluded(time));
                    let last = of_key.range::<[u8], _>(end).next_back();
                    if let Some(last) = last.map(|(last, _)| last.clone()) {
                        of_key.remove(&last);
                    }
                }
            }
            (before - of_key.len(), of_key.is_empty())
        };
        self.count -= (self.rows).change(key, forget, || unreachable!("what stays stands"));
        true
    }

    /// The versions behind this place, that of a key and the time of one of its versions, or all;
    /// each with its place.
    pub(super) fn behind(
        &self,
        last: Option<&(KeyPlace, Packed)>,
    ) -> impl Iterator<Item = (KeyPlace, &[u8], &Version)> {
        let (from, time) = match last {
            Some((place, time)) => (*place, Some(&**time)),
            None => (KeyPlace::default(), None),
        };
        self.rows.from(from).flat_map(move |(place, of_key)| {
            let bound = time.filter(|_| place == from);
            let bound = bound.map_or(Bound::Unbounded, Bound::Excluded);
            let versions = of_key.range::<[u8], _>((bound, Bound::Unbounded));
            versions.map(move |(time, version)| (place, &**time, version))
        })
    }
}
