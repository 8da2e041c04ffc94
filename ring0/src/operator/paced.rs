//! Changes that wait for their time: of a changelog what has changed since it was last told, once
//! in a while. What came and went in between is not told of at all.
//!
//! A row weighs what all its changes weigh together; one that weighs nothing is forgotten. Of rows
//! with the same key one that goes and one that comes are an update. Time is an argument.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::DataType;

use crate::changelog::{self, DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE, UPDATE_ROWS};
use crate::error::{Error, Result, refuse};
use crate::frame::Frame;
use crate::operator::aggregate::Progress;
use crate::order::{Rows, SortKey, count, put_key, put_row};
use crate::schema::Schema;
use crate::snapshot::{Owned, counted_rows, owned_rows};
use crate::tally::{Charge, Packed, node_bytes};

/// How changes are held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacedSpec {
    /// The columns by which rows replace each other, without any all rows do; `None`: no row does,
    /// so that no change is an update.
    pub keys: Option<Vec<usize>>,
    /// How much time lies between two times at which changes are told, in nanoseconds, above 0.
    /// `None`: they are told once the input has ended, and are the rows that stand.
    pub every_ns: Option<i64>,
}

/// The changes that wait, on one shard.
#[derive(Debug)]
pub(crate) struct Paced {
    keys: Option<Vec<SortKey>>,
    every_ns: Option<i64>,
    begun_ns: i64,
    /// When they are told of next, if before the end.
    due_ns: i64,
    /// By key, the rows that weigh something.
    waiting: BTreeMap<Packed, Rows>,
    /// Of the nodes of each key's rows.
    charge: Charge,
    key: Vec<u8>,
    /// The rows' own columns.
    schema: Schema,
}

/// A key and a row of it.
type Waiting = (Packed, Packed);

/// The last row that was handed on to a snapshot.
#[derive(Debug, Default)]
pub(crate) struct SaveCursor(Option<Waiting>);

impl Paced {
    /// Over rows of `schema`; `begun_ns`: the time from which on it is counted.
    ///
    /// # Errors
    /// [`crate::error::Error::Program`] where `spec` does not fit these.
    pub(crate) fn new(spec: &PacedSpec, schema: &Schema, begun_ns: i64) -> Result<Self> {
        let known = |key: &usize| *key + 1 < schema.fields.len();
        let keys = spec.keys.iter().flatten();
        if !changelog::is_weighted(schema)
            || !keys.clone().all(known)
            || spec.every_ns.is_some_and(|every_ns| every_ns <= 0)
        {
            return refuse("changes that wait without a time or by no columns".to_owned());
        }
        Ok(Self {
            keys: spec
                .keys
                .as_ref()
                .map(|_| keys.copied().map(SortKey::ascending).collect()),
            every_ns: spec.every_ns,
            begun_ns,
            due_ns: begun_ns.saturating_add(spec.every_ns.unwrap_or(i64::MAX)),
            waiting: BTreeMap::new(),
            charge: Charge::default(),
            key: Vec::new(),
            schema: changelog::own(schema),
        })
    }

    /// The next changes that wait as rows of state; `None` behind the last.
    pub(crate) fn save(&self, cursor: &mut SaveCursor) -> Option<RecordBatch> {
        let last = cursor.0.take();
        let from = last.as_ref().map(|(key, _)| &key[..]);
        let from = from.map_or(Bound::Unbounded, Bound::Included);
        let keys = self.waiting.range::<[u8], _>((from, Bound::Unbounded));
        let rows = keys.flat_map(|(key, rows)| {
            let behind = last.as_ref().filter(|(last, _)| last == key);
            let from = behind.map_or(Bound::Unbounded, |(_, row)| Bound::Excluded(&row[..]));
            let rows = rows.range::<[u8], _>((from, Bound::Unbounded));
            rows.map(move |(row, weight)| ((key, row), &row[..], *weight))
        });
        let (upto, rows) = counted_rows(&self.schema, rows).unzip();
        cursor.0 = upto.map(|(key, row)| (key.clone(), row.clone()));
        rows
    }

    /// Takes those changes up that are owned here. They wait from now on: it is time for them once
    /// it would have been.
    ///
    /// # Errors
    /// [`Error::Restore`] where they are those of another operator.
    pub(crate) fn load(&mut self, rows: &RecordBatch, owned: &Owned, seed: u64) -> Result<()> {
        let (frame, more) = owned_rows(rows, &self.schema, &[DataType::Int64], owned, seed)?;
        let weights = more[0].as_primitive::<Int64Type>();
        for row in 0..frame.rows() {
            self.put(&frame, row, weights.value(row));
        }
        Ok(())
    }

    /// Adds a change to those that wait.
    fn put(&mut self, frame: &Frame, row: usize, weight: i64) {
        let mut value = Vec::new();
        put_row(&mut value, &frame.columns[..self.schema.fields.len()], row);
        self.key.clear();
        match &self.keys {
            None => self.key.extend_from_slice(&value),
            Some(keys) => put_key(&mut self.key, frame, row, keys),
        }
        match self.waiting.entry(self.key.as_slice().into()) {
            Entry::Vacant(place) => {
                place.insert(Rows::from([(value.into(), weight)]));
            }
            Entry::Occupied(mut rows) => {
                count(rows.get_mut(), value, weight);
                if rows.get().is_empty() {
                    rows.remove();
                }
            }
        }
    }

    /// Keys whose changes wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes all rows of a frame.
    pub(crate) fn update(&mut self, frame: &Frame) {
        for row in 0..frame.rows() {
            self.put(frame, row, changelog::weight(frame, row));
        }
        // As a rule there is one row of a key, or two.
        let node = 2 * node_bytes::<Packed, i64>();
        self.charge.set(self.waiting.len() * node);
    }

    /// Whether it is time to tell of what waits, if anything does.
    pub(crate) fn is_due(&mut self, now_ns: i64) -> bool {
        let Some(every_ns) = self.every_ns.filter(|_| now_ns >= self.due_ns) else {
            return false;
        };
        let passed = now_ns.saturating_sub(self.begun_ns) / every_ns;
        let next = passed.saturating_add(1).saturating_mul(every_ns);
        self.due_ns = self.begun_ns.saturating_add(next);
        !self.waiting.is_empty()
    }

    /// The end of the input, or where it was stopped: as [`Paced::emit`]. Rows that stand do so at
    /// the end alone.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn end(&mut self, is_stopped: bool, out: &mut Frame) -> Result<Progress> {
        match is_stopped && self.every_ns.is_none() {
            true => Ok(Progress::Done),
            false => self.emit(out),
        }
    }

    /// Tells of what waits, as far as `out` has room: what goes before what comes.
    ///
    /// # Errors
    /// [`Error::Row`] where rows are to stand of which one goes.
    pub(crate) fn emit(&mut self, out: &mut Frame) -> Result<Progress> {
        while let Some(mut first) = self.waiting.first_entry() {
            let rows = first.get_mut();
            while !rows.is_empty() {
                if out.is_full() || out.room() < UPDATE_ROWS.min(out.rows_max()) {
                    return Ok(Progress::Full);
                }
                let goes = take_one(rows, |weight| weight < 0);
                let comes = take_one(rows, |weight| weight > 0);
                if goes.is_some() && self.every_ns.is_none() {
                    let message = "a row goes that never came".to_owned();
                    return Err(Error::Row { message });
                }
                let (before, after) = match goes.is_some() && comes.is_some() {
                    true => (UPDATE_BEFORE, UPDATE_AFTER),
                    false => (DELETE, INSERT),
                };
                goes.into_iter()
                    .for_each(|row| changelog::push_row(&row, before, out));
                comes
                    .into_iter()
                    .for_each(|row| changelog::push_row(&row, after, out));
            }
            first.remove();
        }
        self.charge.set(0);
        Ok(Progress::Done)
    }
}

/// Takes one row whose weight is such.
fn take_one(rows: &mut Rows, is: fn(i64) -> bool) -> Option<Packed> {
    let (row, weight) = rows.iter_mut().find(|(_, weight)| is(**weight))?;
    let row = row.clone();
    *weight -= weight.signum();
    if *weight == 0 {
        rows.remove(&row);
    }
    Some(row)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::column::Column;
    use crate::schema::Field;

    /// Key, value, what it does.
    type Change = (i64, i64, i8);

    fn schema() -> Arc<Schema> {
        let fields = ["k", "v"].map(|name| Field::new(name, DataType::Int64));
        changelog::weighted(Schema::new(fields.to_vec()))
    }

    fn paced(keys: Option<&[usize]>, every_ns: i64) -> Paced {
        let keys = keys.map(<[usize]>::to_vec);
        let every_ns = Some(every_ns);
        Paced::new(&PacedSpec { keys, every_ns }, &schema(), 100).expect("keys of columns")
    }

    fn give(paced: &mut Paced, changes: &[Change]) {
        let mut frame = Frame::new(&schema(), changes.len().max(1));
        for &(key, value, op) in changes {
            for (column, value) in frame.columns.iter_mut().zip([key, value]) {
                let Column::I64(column) = column else {
                    panic!("BIGINT")
                };
                column.push(Some(value));
            }
            changelog::push(&mut frame, op);
        }
        frame.commit_rows(changes.len());
        paced.update(&frame);
    }

    /// All that is told, in frames of so many rows.
    fn told(paced: &mut Paced, rows: usize) -> Vec<Change> {
        let mut out = Frame::new(&schema(), rows);
        let mut told = Vec::new();
        loop {
            let progress = paced.emit(&mut out).expect("rows may go");
            let [Column::I64(keys), Column::I64(values), ..] = &out.columns[..] else {
                panic!("BIGINT")
            };
            let ops = changelog::given(&out);
            let rows = keys.values.iter().zip(&values.values).zip(ops);
            told.extend(rows.map(|((k, v), op)| (*k, *v, *op)));
            out.clear();
            if progress == Progress::Done {
                return told;
            }
        }
    }

    #[test]
    fn what_is_left_of_changes_is_told() {
        let came = [(1, 10, INSERT), (2, 5, INSERT)];
        let cases: [(&[Change], &[Change]); 5] = [
            (&[], &came),
            (
                &[(1, 10, UPDATE_BEFORE), (1, 11, UPDATE_AFTER)],
                &[(1, 11, INSERT), (2, 5, INSERT)],
            ),
            (&[(1, 10, DELETE)], &[(2, 5, INSERT)]),
            // It went before it came.
            (&[(3, 1, DELETE), (3, 1, INSERT)], &came),
            (&[(1, 10, DELETE), (2, 5, DELETE)], &[]),
        ];
        for (more, wanted) in cases {
            let mut paced = paced(Some(&[0]), 10);
            give(&mut paced, &came);
            give(&mut paced, more);
            assert_eq!(told(&mut paced, 3), wanted, "{more:?}");
            assert_eq!(told(&mut paced, 3), [], "once");
        }
        let update = [(1, 10, UPDATE_BEFORE), (1, 11, UPDATE_AFTER)];
        for (keys, wanted) in [
            (Some(&[0][..]), update),
            (Some(&[]), update),
            (None, [(1, 10, DELETE), (1, 11, INSERT)]),
        ] {
            let mut paced = paced(keys, 10);
            give(&mut paced, &update);
            assert_eq!(told(&mut paced, 3), wanted);
        }
    }

    /// No more often than asked for, counted from the beginning, however late somebody looks.
    #[test]
    fn time_goes_on_in_steps() {
        let mut paced = paced(Some(&[0]), 10);
        give(&mut paced, &[(1, 1, INSERT)]);
        let due = [105, 109, 110, 111, 119, 127, 129, 130].map(|now| paced.is_due(now));
        assert_eq!(due, [false, false, true, false, false, true, false, true]);
        told(&mut paced, 3);
        assert!(!paced.is_due(1000), "nothing waits");
    }

    proptest! {
        /// Whatever is told when: all of it together is what all changes are together, and of no
        /// key more is told than one change at a time.
        #[test]
        fn nothing_is_lost(
            steps in prop::collection::vec((0i64..4, 0i64..3, any::<bool>(), 0u8..5), 0..60),
            rows in 3usize..9,
        ) {
            let mut paced = paced(Some(&[0]), 10);
            let mut stands: BTreeMap<i64, i64> = BTreeMap::new();
            let mut seen: BTreeMap<i64, i64> = BTreeMap::new();
            let mut check = |told: Vec<Change>, stands: &BTreeMap<i64, i64>| {
                for (key, value, op) in told {
                    match op < 0 {
                        true => prop_assert_eq!(seen.remove(&key), Some(value)),
                        false => prop_assert_eq!(seen.insert(key, value), None),
                    }
                }
                prop_assert_eq!(&seen, stands);
                Ok(())
            };
            for (key, value, goes, tick) in steps {
                let before = stands.get(&key).copied();
                let changes = match (before, goes) {
                    (None, _) => vec![(key, value, INSERT)],
                    (Some(old), true) => vec![(key, old, DELETE)],
                    (Some(old), false) => {
                        vec![(key, old, UPDATE_BEFORE), (key, value, UPDATE_AFTER)]
                    }
                };
                match before.is_some() && goes {
                    true => stands.remove(&key),
                    false => stands.insert(key, value),
                };
                give(&mut paced, &changes);
                if tick == 0 {
                    check(told(&mut paced, rows), &stands)?;
                }
            }
            check(told(&mut paced, rows), &stands)?;
        }
    }
}
