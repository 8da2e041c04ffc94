//! The rows of the left side to which nearer versions may come: by time, and where the first
//! version behind them is wanted, by key as well.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::versions::Place;
use crate::program::Toward;
use crate::tally::Packed;

/// A time in nanoseconds, and which of the rows that waited it is.
type Number = (i128, u64);

/// The rows that wait.
#[derive(Debug)]
pub(super) struct Waiting {
    toward: Toward,
    rows: BTreeMap<Number, (Place, Packed)>,
    /// Where they stand among the versions, where these ask for them.
    places: BTreeSet<(Packed, u64)>,
    /// How many rows there have been.
    count: u64,
}

impl Waiting {
    pub(super) fn new(toward: Toward) -> Self {
        Self {
            toward,
            rows: BTreeMap::new(),
            places: BTreeSet::new(),
            count: 0,
        }
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Has a row wait.
    pub(super) fn add(&mut self, place: Place, row: Packed) {
        self.count += 1;
        if !self.toward.is_before() {
            self.places.insert((place.bytes.clone(), self.count));
        }
        self.rows.insert((place.time(), self.count), (place, row));
    }

    /// Of those whose nearest version is before them: whether all that may be it for this time have
    /// come, where all that come have at least the time `right`.
    pub(super) fn is_over(&self, time: i128, right: i128) -> bool {
        match self.toward {
            Toward::Before => time <= right,
            _ => time < right,
        }
    }

    /// The first time that one has.
    pub(super) fn first_time(&self) -> Option<i128> {
        self.rows.first_key_value().map(|((time, _), _)| *time)
    }

    /// Takes a row of the first time.
    pub(super) fn take_first(&mut self) -> Option<(Place, Packed)> {
        let ((_, number), (place, row)) = self.rows.pop_first()?;
        if !self.toward.is_before() {
            self.places.remove(&(place.bytes.clone(), number));
        }
        Some((place, row))
    }

    /// Takes a row that a version at this place is behind, of its key.
    pub(super) fn take_upto(&mut self, version: &[u8]) -> Option<Packed> {
        let end = match self.toward {
            Toward::After => Bound::Excluded((Packed::from(version), 0)),
            _ => Bound::Included((Packed::from(version), u64::MAX)),
        };
        let mut range = self.places.range((Bound::Unbounded, end));
        let (place, number) = range.next_back()?;
        if !place.starts_with(Place::key_of(version)) {
            return None;
        }
        let (place, number) = (place.clone(), *number);
        let time = Place::time_of(&place);
        self.places.remove(&(place, number));
        let (_, row) = self.rows.remove(&(time, number)).expect("it waits");
        Some(row)
    }

    /// The rows behind this one, or all.
    pub(super) fn behind(&self, last: Option<Number>) -> impl Iterator<Item = (Number, &[u8])> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.rows.range((from, Bound::Unbounded));
        rows.map(|(number, (_, row))| (*number, &**row))
    }
}
