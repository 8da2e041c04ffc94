//! The data of keyed benchmarks, and the digest by which two results over it are compared.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array};
use arrow_schema::DataType;
use trefoil_ring0::program::SourceKind;

use crate::args::Keys;

/// Rows of a run where the machine has time.
const ROWS: usize = 1 << 26;
/// Rows of columns in memory, which several rounds are read of.
const COLUMN_ROWS: usize = 1 << 24;
const QUICK_ROWS: usize = 1 << 23;
/// Values are whole numbers below this, so that sums are exact whatever their order.
const VALUE_MAX: u64 = 1 << 20;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Numbers that look random, the same each time: splitmix64 (public domain).
#[derive(Debug, Default)]
pub(super) struct Random(Option<u64>);

impl Random {
    /// The next one.
    pub(super) fn bits(&mut self) -> u64 {
        let state = self.0.unwrap_or(SEED).wrapping_add(SEED);
        self.0 = Some(state);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// The next one below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        scaled(self.bits(), end)
    }
}

/// Of evenly distributed bits an evenly distributed number below `end`.
pub(super) fn scaled(bits: u64, end: u64) -> u64 {
    ((u128::from(bits) * u128::from(end)) >> 64) as u64
}

/// How much data there is for one number of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) keys: Keys,
    /// Rows of the columns.
    pub(super) rows: usize,
    /// How many times they are read.
    pub(super) rounds: usize,
}

/// Sizes for these numbers of keys; `rows` instead of the usual, in one round.
pub(super) fn sizes(keys: &[Keys], rows: Option<usize>, quick: bool) -> Vec<Size> {
    let total = if quick { QUICK_ROWS } else { ROWS };
    let of = |keys: Keys| {
        // A few rows for each key at least: else most of the time goes into making groups.
        let wanted = (keys.count() * 2).next_power_of_two();
        let column = COLUMN_ROWS
            .min(total)
            .max(wanted.min(total.max(COLUMN_ROWS)));
        Size {
            keys,
            rows: rows.unwrap_or(column),
            rounds: if rows.is_some() {
                1
            } else {
                (total / column).max(1)
            },
        }
    };
    keys.iter().copied().map(of).collect()
}

impl Size {
    /// Rows of all rounds.
    pub(super) fn total(&self) -> u64 {
        (self.rows * self.rounds) as u64
    }
}

/// Columns in memory: BIGINT keys, evenly distributed and in no order, and DOUBLE values.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) size: Size,
    pub(super) keys: Int64Array,
    pub(super) values: Float64Array,
}

impl Data {
    /// Makes the columns; the same each time.
    pub(super) fn new(size: Size) -> Self {
        let keys = size.keys.count() as u64;
        let mut random = Random::default();
        let (mut k, mut v) = (Vec::new(), Vec::new());
        k.reserve_exact(size.rows);
        v.reserve_exact(size.rows);
        for _ in 0..size.rows {
            let bits = random.bits();
            k.push(scaled(bits, keys) as i64);
            v.push((bits % VALUE_MAX) as f64);
        }
        Self {
            size,
            keys: Int64Array::from(k),
            values: Float64Array::from(v),
        }
    }

    /// The columns as a source, in the order of their types.
    pub(super) fn source(&self, types: &[DataType]) -> SourceKind {
        let array = |data_type: &DataType| -> ArrayRef {
            match data_type {
                DataType::Int64 => Arc::new(self.keys.clone()),
                _ => Arc::new(self.values.clone()),
            }
        };
        SourceKind::Columns {
            arrays: types.iter().map(array).collect(),
            repeat: self.size.rounds,
        }
    }
}

/// A sum over all groups of a result that does not depend on their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) groups: u64,
    rows: u64,
    sum: u64,
}

impl Digest {
    /// Takes one group.
    #[inline]
    pub(super) fn add(&mut self, key: i64, count: i64, sum: f64, min: f64, max: f64) {
        let words = [count as u64, sum.to_bits(), min.to_bits(), max.to_bits()];
        let group = words.iter().fold(key as u64 ^ SEED, |state, &word| {
            let product = u128::from(state ^ word) * u128::from(SEED | 1);
            (product as u64 ^ (product >> 64) as u64).rotate_left(29) ^ word
        });
        self.groups += 1;
        self.rows += count as u64;
        self.sum = self.sum.wrapping_add(group);
    }
}
