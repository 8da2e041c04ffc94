//! The groups of the view: the records that make them, and the rows that then stand.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_schema::DataType;

use crate::bench::data::{Digest, Random, scaled};

/// Rows of a batch, which is what DataFusion takes at once.
pub(super) const BATCH_ROWS: usize = 8192;
/// Values are whole numbers below this.
const VALUE_MAX: u64 = 1 << 20;

/// Groups by their keys, 0 up to their number, in no order.
#[derive(Debug)]
pub(super) struct Groups {
    keys: Vec<i64>,
}

/// The value that a key comes with first; the second time it is one more.
fn value(key: i64) -> i64 {
    let bits = (key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    scaled(bits, VALUE_MAX) as i64
}

fn double(value: i64) -> f64 {
    value as f64 / 8.0
}

/// How often each key comes.
pub(super) const TIMES: i64 = 2;

/// The sum that stands for a key.
pub(super) fn total(key: i64) -> i64 {
    2 * value(key) + 1
}

impl Groups {
    /// So many; the same each time.
    pub(super) fn new(count: usize) -> Self {
        let mut keys: Vec<i64> = (0..count as i64).collect();
        let mut random = Random::default();
        for end in (1..keys.len()).rev() {
            keys.swap(end, random.below(end as u64 + 1) as usize);
        }
        Self { keys }
    }

    /// Their number.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The records that make them.
    pub(super) fn records(&self) -> impl Iterator<Item = RecordBatch> {
        let keys = self.keys.chunks(BATCH_ROWS);
        (0..TIMES).flat_map(move |time| keys.clone().map(move |keys| records(keys, time)))
    }

    /// The rows that stand, in so many parts of batches.
    pub(super) fn rows(&self, parts: usize) -> Vec<Vec<RecordBatch>> {
        let part = self.keys.len().div_ceil(parts.max(1)).max(1);
        let mut all: Vec<Vec<RecordBatch>> = self
            .keys
            .chunks(part)
            .map(|keys| keys.chunks(BATCH_ROWS).map(rows).collect())
            .collect();
        all.resize(parts, Vec::new());
        all
    }

    /// What they come to.
    pub(super) fn digest(&self) -> Digest {
        digest(&self.rows(1).concat())
    }
}

fn columns<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .expect("columns are of one length")
}

fn longs(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn doubles(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

/// A record for each of these keys, which come for the time of this number.
pub(super) fn records(keys: &[i64], time: i64) -> RecordBatch {
    let values = || keys.iter().map(|key| value(*key) + time);
    columns([
        ("k", longs(keys.iter().copied())),
        ("v", longs(values())),
        ("x", doubles(values().map(double))),
    ])
}

fn rows(keys: &[i64]) -> RecordBatch {
    let each = || keys.iter().copied();
    columns([
        ("k", longs(each())),
        ("n", longs(each().map(|_| TIMES))),
        ("total", longs(each().map(total))),
        ("least", doubles(each().map(|key| double(value(key))))),
        ("most", doubles(each().map(|key| double(value(key) + 1)))),
    ])
}

/// Rows, and all that is in them, in whatever order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) rows: u64,
    bits: u64,
}

/// Adds up every value of every column.
pub(super) fn sum(batches: &[RecordBatch]) -> Sum {
    let mut sum = Sum::default();
    for batch in batches {
        sum.rows += batch.num_rows() as u64;
        for (number, column) in batch.columns().iter().enumerate() {
            // Columns of the same values are told apart.
            let weight = 2 * number as u64 + 1;
            sum.bits = sum.bits.wrapping_add(bits(column).wrapping_mul(weight));
        }
    }
    sum
}

fn bits(column: &ArrayRef) -> u64 {
    assert_eq!(column.null_count(), 0, "no value of the view is NULL");
    match column.data_type() {
        DataType::Int64 => {
            let values = column.as_primitive::<Int64Type>().values();
            values.iter().fold(0, |sum, v| sum.wrapping_add(*v as u64))
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>().values();
            let bits = values.iter().map(|v| v.to_bits());
            bits.fold(0, u64::wrapping_add)
        }
        other => panic!("no column of the view is {other}"),
    }
}

/// What whole rows come to, one by one.
pub(super) fn digest(batches: &[RecordBatch]) -> Digest {
    let mut digest = Digest::default();
    for batch in batches {
        let long = |at: usize| batch.column(at).as_primitive::<Int64Type>().values();
        let double = |at: usize| batch.column(at).as_primitive::<Float64Type>().values();
        let (key, count, total) = (long(0), long(1), long(2));
        let (least, most) = (double(3), double(4));
        for row in 0..batch.num_rows() {
            let total = total[row] as f64;
            digest.add(key[row], count[row], total, least[row], most[row]);
        }
    }
    digest
}

/// The records of which all groups are.
pub(super) fn records_in(batches: &[RecordBatch]) -> i64 {
    let counts = batches.iter().map(|batch| batch.column(1));
    let counts = counts.flat_map(|column| column.as_primitive::<Int64Type>().values());
    counts.sum()
}

/// The same rows, but for the totals of two, each of which has that of the other.
#[cfg(test)]
pub(super) fn swapped(batches: &[RecordBatch]) -> Vec<RecordBatch> {
    let mut all = batches.to_vec();
    let first = &all[0];
    let mut totals = first
        .column(2)
        .as_primitive::<Int64Type>()
        .values()
        .to_vec();
    assert_ne!(totals[0], totals[1]);
    totals.swap(0, 1);
    let mut columns = first.columns().to_vec();
    columns[2] = longs(totals.into_iter());
    all[0] = RecordBatch::try_new(first.schema(), columns).expect("the same columns");
    all
}
