//! The rows of one side of a regular join that stand, by key.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::order::SortKey;
use crate::schema::Schema;
use crate::snapshot::Owned;

/// How often a row stands, and how many rows of the other side match it, where that is counted with
/// the row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    pub(super) weight: i64,
    pub(super) matches: i64,
}

/// The rows of a side.
#[derive(Debug)]
pub(super) struct Rows {
    /// By key and values.
    pub(super) rows: BTreeMap<Box<[u8]>, Standing>,
    /// How many there are of each key, where that says whether a row of the other side matches.
    pub(super) totals: Option<BTreeMap<Box<[u8]>, i64>>,
    pub(super) keys: Vec<SortKey>,
    pub(super) schema: Schema,
    pub(super) owned: Option<Owned>,
}

impl Rows {
    /// None yet, by these keys; `counted`: of each key it is known how many there are.
    pub(super) fn new(keys: &[usize], schema: Schema, counted: bool) -> Self {
        Self {
            rows: BTreeMap::new(),
            totals: counted.then(BTreeMap::new),
            keys: keys.iter().copied().map(SortKey::ascending).collect(),
            schema,
            owned: None,
        }
    }

    /// Adds to how often a row stands, which so many match; one that stands zero times is
    /// forgotten.
    pub(super) fn weigh(&mut self, row: Box<[u8]>, weight: i64, matches: i64) {
        match self.rows.entry(row) {
            Entry::Vacant(place) => {
                place.insert(Standing { weight, matches });
            }
            Entry::Occupied(mut standing) => {
                standing.get_mut().weight += weight;
                if standing.get().weight == 0 {
                    standing.remove();
                }
            }
        }
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
