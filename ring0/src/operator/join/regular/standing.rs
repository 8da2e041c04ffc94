//! The rows of one side of a regular join that stand, by key.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::column::Column;
use crate::frame::Frame;
use crate::order::{SortKey, take};
use crate::schema::Schema;
use crate::snapshot::Owned;

/// How often a row stands, and how many rows of the other side match it, where that is counted with
/// the row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    pub(super) weight: i64,
    pub(super) matches: i64,
}

/// The rows that have a time, by it.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) rows: BTreeSet<(i128, Box<[u8]>)>,
    /// The column of the time, and nanoseconds of one unit of it.
    column: usize,
    unit_ns: i64,
}

/// The rows of a side.
#[derive(Debug)]
pub(super) struct Rows {
    /// By key and values.
    pub(super) rows: BTreeMap<Box<[u8]>, Standing>,
    /// How many there are of each key, where that says whether a row of the other side matches.
    pub(super) totals: Option<BTreeMap<Box<[u8]>, i64>>,
    /// By time, where that says when they are forgotten.
    pub(super) times: Option<Times>,
    pub(super) keys: Vec<SortKey>,
    pub(super) schema: Schema,
    pub(super) owned: Option<Owned>,
}

impl Rows {
    /// None yet, by these keys; `counted`: of each key it is known how many there are; `time`: the
    /// column by which rows are forgotten, and nanoseconds of one unit of it.
    pub(super) fn new(
        keys: &[usize],
        schema: Schema,
        counted: bool,
        time: Option<(usize, i64)>,
    ) -> Self {
        let times = |(column, unit_ns)| Times {
            rows: BTreeSet::new(),
            column,
            unit_ns,
        };
        Self {
            times: time.map(times),
            rows: BTreeMap::new(),
            totals: counted.then(BTreeMap::new),
            keys: keys.iter().copied().map(SortKey::ascending).collect(),
            schema,
            owned: None,
        }
    }

    /// When a row of a frame was, in nanoseconds, where rows are forgotten by that.
    pub(super) fn time(&self, frame: &Frame, row: usize) -> Option<i128> {
        let times = self.times.as_ref()?;
        let Column::I64(column) = &frame.columns[times.column] else {
            unreachable!("types are checked before")
        };
        let time = column.get(row)?;
        Some(i128::from(time) * i128::from(times.unit_ns))
    }

    /// Adds to how often a row stands, which so many match; one that stands zero times is gone.
    pub(super) fn weigh(&mut self, row: Box<[u8]>, time: Option<i128>, weight: i64, matches: i64) {
        let times = self.times.as_mut().zip(time);
        match self.rows.entry(row) {
            Entry::Vacant(place) => {
                if let Some((times, time)) = times {
                    times.rows.insert((time, place.key().clone()));
                }
                place.insert(Standing { weight, matches });
            }
            Entry::Occupied(mut standing) => {
                standing.get_mut().weight += weight;
                if standing.get().weight == 0 {
                    let (row, _) = standing.remove_entry();
                    if let Some((times, time)) = times {
                        times.rows.remove(&(time, row));
                    }
                }
            }
        }
    }

    /// How many bytes of a row as it is kept are its key.
    pub(super) fn key_of(&self, row: &[u8]) -> usize {
        let mut rest = row;
        for key in &self.keys {
            take(
                &mut rest,
                &mut Column::of(&self.schema.fields[key.column].data_type),
            );
        }
        row.len() - rest.len()
    }

    /// Adds to how many rows there are of a key, where that is counted.
    pub(super) fn add_total(&mut self, key: &[u8], more: i64) {
        let Some(totals) = self.totals.as_mut().filter(|_| more != 0) else {
            return;
        };
        let total = totals.entry(key.into()).or_default();
        *total += more;
        if *total == 0 {
            totals.remove(key);
        }
    }
}
