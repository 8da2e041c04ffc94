//! The rows of one side of a regular join that stand, by key. Keys are hashed; of most there is one
//! row, others have theirs in an order, so that which come next can be told.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::ops::Bound;

use crate::column::Column;
use crate::frame::Frame;
use crate::operator::join::keyed::Keyed;
use crate::order::{SortKey, take};
use crate::schema::Schema;
use crate::snapshot::Owned;
use crate::tally::Packed;

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
    pub(super) rows: BTreeSet<(i128, Packed)>,
    /// The column of the time, and nanoseconds of one unit of it.
    column: usize,
    unit_ns: i64,
}

/// The rows of one key, by their values.
#[derive(Debug)]
pub(super) enum Group {
    One(Packed, Standing),
    Many(BTreeMap<Packed, Standing>),
}

/// The rows of a side.
#[derive(Debug)]
pub(super) struct Rows {
    /// By key and values.
    pub(super) rows: Keyed<Group>,
    /// Rows that differ from each other.
    pub(super) count: usize,
    /// How many there are of each key, where that says whether a row of the other side matches.
    pub(super) totals: Option<Keyed<i64>>,
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
            rows: Keyed::default(),
            count: 0,
            totals: counted.then(Keyed::default),
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

    /// Adds to how often a row stands, its key and its values, which so many match; one that stands
    /// zero times is gone.
    pub(super) fn weigh(
        &mut self,
        (key, values): (&[u8], &[u8]),
        time: Option<i128>,
        weight: i64,
        matches: i64,
    ) {
        let standing = Standing { weight, matches };
        let change = |group: &mut Group| {
            let changed = group.weigh(values, standing);
            (changed, group.is_empty())
        };
        let make = || (Group::One(values.into(), standing), (true, false));
        let (is_new, is_gone) = self.rows.change(key, change, make);
        self.count = self.count + usize::from(is_new) - usize::from(is_gone);
        if let Some((times, time)) = self.times.as_mut().zip(time)
            && (is_new || is_gone)
        {
            let row = (time, [key, values].concat().into());
            match is_new {
                true => _ = times.rows.insert(row),
                false => _ = times.rows.remove(&row),
            }
        }
    }

    /// Forgets a row, however often it stands, which it gives.
    pub(super) fn forget(&mut self, key: &[u8], values: &[u8]) -> Standing {
        let change = |group: &mut Group| match group {
            Group::One(_, standing) => (*standing, true),
            Group::Many(rows) => (rows.remove(values).expect(STANDS), rows.is_empty()),
        };
        self.count -= 1;
        self.rows.change(key, change, || unreachable!("{STANDS}"))
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
        let change = |total: &mut i64| {
            *total += more;
            ((), *total == 0)
        };
        totals.change(key, change, || (more, ()));
    }
}

/// What is said of a row that has to be there.
const STANDS: &str = "what has a time stands";

impl Group {
    fn is_empty(&self) -> bool {
        match self {
            Self::One(..) => false,
            Self::Many(rows) => rows.is_empty(),
        }
    }

    /// Adds to how often a row of these values stands. Whether it is new, and whether it is gone:
    /// the group of one may then hold it still.
    fn weigh(&mut self, values: &[u8], by: Standing) -> (bool, bool) {
        if let Self::One(own, standing) = self {
            if **own == *values {
                standing.weight += by.weight;
                let is_gone = standing.weight == 0;
                if is_gone {
                    *self = Self::Many(BTreeMap::new());
                }
                return (false, is_gone);
            }
            let first = (std::mem::take(own), *standing);
            *self = Self::Many(BTreeMap::from([first]));
        }
        let Self::Many(rows) = self else {
            unreachable!("one row became a map of rows")
        };
        match rows.entry(values.into()) {
            btree_map::Entry::Vacant(place) => {
                place.insert(by);
                (true, false)
            }
            btree_map::Entry::Occupied(mut standing) => {
                standing.get_mut().weight += by.weight;
                let is_gone = standing.get().weight == 0;
                if is_gone {
                    standing.remove();
                }
                (false, is_gone)
            }
        }
    }

    /// The rows behind these values, or all of them.
    pub(super) fn behind(
        &self,
        last: Option<&[u8]>,
    ) -> impl Iterator<Item = (&[u8], &Standing)> + '_ {
        let (one, many) = match self {
            Self::One(own, standing) => {
                let is_behind = last.is_none_or(|last| **own > *last);
                (is_behind.then_some((&**own, standing)), None)
            }
            Self::Many(rows) => {
                let from = last.map_or(Bound::Unbounded, Bound::Excluded);
                (None, Some(rows.range::<[u8], _>((from, Bound::Unbounded))))
            }
        };
        let many = many.into_iter().flatten();
        one.into_iter().chain(many.map(|(own, s)| (&**own, s)))
    }

    /// The rows of these values and behind.
    pub(super) fn rest_mut(&mut self, first: &[u8]) -> impl Iterator<Item = &mut Standing> {
        let (one, many) = match self {
            Self::One(own, standing) => ((**own >= *first).then_some(standing), None),
            Self::Many(rows) => {
                let from = (Bound::Included(first), Bound::Unbounded);
                (None, Some(rows.range_mut::<[u8], _>(from)))
            }
        };
        let many = many.into_iter().flatten();
        one.into_iter().chain(many.map(|(_, standing)| standing))
    }
}
