//! Ranked rows as rows of state: their values, when they arrived, their numbers and what was given
//! of them; and rows that are owed. Partitions and their order are told by the values.

use std::ops::Bound;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;

use super::Ranked;
use super::partition::{Partition, arrival, values, visible};
use crate::column::Column;
use crate::error::Result;
use crate::order::take;
use crate::schema::Schema;
use crate::snapshot::{Owned, SLICE_ROWS, arrays_of, batch, columns_of, owned_rows};
use crate::tally::Packed;

/// What stands behind a row's values: its arrival, its three numbers, its results; or, of a row
/// that is owed, how often.
const MORE: [DataType; 6] = [
    DataType::UInt64,
    DataType::UInt64,
    DataType::UInt64,
    DataType::UInt64,
    DataType::Binary,
    DataType::Int64,
];

/// The last row that was handed on: its partition, whether it is owed, and its key there.
type Last = ((i64, Packed), bool, Packed);

/// Where handing on the rows stands.
#[derive(Debug, Default)]
pub(crate) struct SaveCursor(Option<Last>);

/// Rows of state, as they are gathered.
struct Gathered {
    values: Vec<Column>,
    numbers: [Vec<u64>; 4],
    given: Vec<Option<Packed>>,
    owed: Vec<i64>,
    /// The last of them.
    last: Option<(bool, Packed)>,
}

impl Gathered {
    fn is_full(&self) -> bool {
        self.owed.len() == SLICE_ROWS
    }

    fn push(&mut self, mut row: &[u8], numbers: [u64; 4], given: Option<Packed>, owed: i64) {
        self.values.iter_mut().for_each(|to| take(&mut row, to));
        let all = self.numbers.iter_mut().zip(numbers);
        all.for_each(|(to, number)| to.push(number));
        self.given.push(given);
        self.owed.push(owed);
    }

    /// Adds the next rows of a partition, behind a row, or all.
    fn push_partition(&mut self, partition: &Partition, behind: Option<&(bool, Packed)>) {
        let behind = behind.map(|(is_owed, key)| (*is_owed, Bound::Excluded(&key[..])));
        let (standing, owed) = match behind {
            None => (Some(Bound::Unbounded), Bound::Unbounded),
            Some((false, key)) => (Some(key), Bound::Unbounded),
            Some((true, key)) => (None, key),
        };
        let rows = standing.map(|from| partition.rows.range::<[u8], _>((from, Bound::Unbounded)));
        for (key, entry) in rows.into_iter().flatten() {
            if self.is_full() {
                return;
            }
            let [number, rank, dense] = entry.numbers;
            let numbers = [arrival(key), number, rank, dense];
            self.push(&entry.row, numbers, entry.given.clone(), 0);
            self.last = Some((false, key.clone()));
        }
        for (row, &count) in partition.owed.range::<[u8], _>((owed, Bound::Unbounded)) {
            if self.is_full() {
                return;
            }
            self.push(row, [0; 4], None, count);
            self.last = Some((true, row.clone()));
        }
    }
}

impl Ranked {
    /// The columns of rows' own.
    fn own_schema(&self) -> Schema {
        Schema::new(self.spec.input.fields[..visible(&self.spec)].to_vec())
    }

    /// The next rows; `None` behind the last. Between two calls there is no change.
    pub(crate) fn save(&self, cursor: &mut SaveCursor) -> Option<RecordBatch> {
        let is_settled = self.pending.is_empty() && self.leaving.is_none();
        assert!(is_settled, "what is pending is given before");
        let schema = self.own_schema();
        let mut rows = Gathered {
            values: columns_of(&schema),
            numbers: [const { Vec::new() }; 4],
            given: Vec::new(),
            owed: Vec::new(),
            last: None,
        };
        let mut behind = cursor.0.take().map(|(at, owed, key)| (at, (owed, key)));
        let from = behind.as_ref().map(|(at, _)| at.clone());
        let from = from.map_or(Bound::Unbounded, Bound::Included);
        let mut last = None;
        for (at, partition) in self.partitions.range((from, Bound::Unbounded)) {
            if rows.is_full() {
                break;
            }
            let behind = behind.take().map(|(_, behind)| behind);
            rows.push_partition(partition, behind.as_ref());
            last = Some(at);
        }
        if rows.owed.is_empty() {
            return None;
        }
        let last = last
            .zip(rows.last)
            .map(|(at, (owed, key))| (at.clone(), owed, key));
        cursor.0 = last;
        let count = rows.owed.len();
        let mut columns = arrays_of(&schema, rows.values);
        let numbers = rows.numbers.into_iter().map(UInt64Array::from);
        columns.extend(numbers.map(|numbers| Arc::new(numbers) as ArrayRef));
        columns.push(Arc::new(BinaryArray::from_iter(rows.given)));
        columns.push(Arc::new(Int64Array::from(rows.owed)));
        Some(batch(columns, count, &[]))
    }

    /// Takes those rows up whose partitions are owned here. Rows that come from now on arrive
    /// behind them.
    ///
    /// # Errors
    /// [`crate::error::Error::Restore`] where they are those of another operator.
    pub(crate) fn load(&mut self, rows: &RecordBatch, owned: &Owned, seed: u64) -> Result<()> {
        let (frame, more) = owned_rows(rows, &self.own_schema(), &MORE, owned, seed)?;
        let number = |of: usize, row: usize| more[of].as_primitive::<UInt64Type>().value(row);
        let given = more[4].as_binary::<i32>();
        let owed = more[5].as_primitive::<Int64Type>();
        for row in 0..frame.rows() {
            let at = self.partition_of(&frame, row);
            let partition = self.partitions.entry(at).or_default();
            if owed.value(row) > 0 {
                let values = values(&self.spec, &frame, row);
                partition.owed.insert(values, owed.value(row));
                continue;
            }
            let arrival = number(0, row);
            self.arrived = self.arrived.max(arrival + 1);
            let key = partition.insert(&self.spec, &frame, row, arrival);
            self.rows += 1;
            let entry = partition.rows.get_mut(&key).expect("it was inserted");
            entry.numbers = [number(1, row), number(2, row), number(3, row)];
            entry.given = given.is_valid(row).then(|| given.value(row).into());
        }
        Ok(())
    }
}
