//! Sort keys: values as bytes whose order is that of the values, so that rows compare by one
//! comparison of bytes, whatever their types. NaN is the greatest number, and -0 equals 0.
//!
//! ```text
//! value            tag: 1, or where NULL 0 (first) or 2 (last) | bytes, inverted where descending
//! integer          big-endian, sign bit inverted
//! float            the same of its bits; of negative numbers all bits are inverted
//! string, bytes    each 0 as 0 255 | 0 0
//! list             each element with its tag | 0
//! struct           each member with its tag
//! ```

mod taken;

pub(crate) use self::taken::{Rows, count, put_row, take};

use crate::column::Column;
use crate::frame::Frame;
use crate::hash::canonical_bits;
use crate::table::keys::wide_interval;

/// A column that rows are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    /// The column.
    pub column: usize,
    /// Which way.
    pub direction: Direction,
    /// Where NULLs stand.
    pub nulls: Nulls,
}

/// Which value comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The least.
    Ascending,
    /// The greatest.
    Descending,
}

/// Where NULLs stand among the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// Before all values.
    First,
    /// Behind all values.
    Last,
}

impl SortKey {
    /// By a column from the least value on, NULLs behind.
    pub fn ascending(column: usize) -> Self {
        Self {
            column,
            direction: Direction::Ascending,
            nulls: Nulls::Last,
        }
    }
}

/// Appends the sort key of a row.
pub(crate) fn put_key(out: &mut Vec<u8>, frame: &Frame, row: usize, keys: &[SortKey]) {
    for key in keys {
        let column = &frame.columns[key.column];
        let from = out.len() + 1;
        put_tagged(out, column, row, key.nulls, canonical_bits);
        if key.direction == Direction::Descending {
            out[from..].iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
}

/// Appends a value and whether it is NULL; `bits`: of a float.
pub(crate) fn put_tagged(
    out: &mut Vec<u8>,
    column: &Column,
    row: usize,
    nulls: Nulls,
    bits: fn(f64) -> u64,
) {
    match (column.is_valid(row), nulls) {
        (true, _) => {
            out.push(1);
            put(out, column, row, bits);
        }
        (false, Nulls::First) => out.push(0),
        (false, Nulls::Last) => out.push(2),
    }
}

fn put(out: &mut Vec<u8>, column: &Column, row: usize, bits: fn(f64) -> u64) {
    match column {
        Column::Bool(c) => out.push(u8::from(c.values.get(row))),
        Column::I8(c) => put_signed(out, i64::from(c.values[row])),
        Column::I16(c) => put_signed(out, i64::from(c.values[row])),
        Column::I32(c) => put_signed(out, i64::from(c.values[row])),
        Column::I64(c) => put_signed(out, c.values[row]),
        Column::U8(c) => out.push(c.values[row]),
        Column::U16(c) => out.extend_from_slice(&c.values[row].to_be_bytes()),
        Column::U32(c) => out.extend_from_slice(&c.values[row].to_be_bytes()),
        Column::U64(c) => out.extend_from_slice(&c.values[row].to_be_bytes()),
        Column::F32(c) => put_float(out, bits(f64::from(c.values[row]))),
        Column::F64(c) => put_float(out, bits(c.values[row])),
        Column::I128(c) => put_wide(out, c.values[row]),
        Column::Interval(c) => put_wide(out, wide_interval(c.values[row])),
        Column::Utf8(c) => put_bytes(out, c.bytes(row)),
        Column::Binary(c) => put_bytes(out, c.bytes(row)),
        Column::List(c) => {
            for element in c.range(row) {
                out.push(1);
                put_tagged(out, &c.values, element, Nulls::Last, bits);
            }
            out.push(0);
        }
        Column::Struct(c) => {
            let members = c.fields.iter();
            members.for_each(|member| put_tagged(out, member, row, Nulls::Last, bits));
        }
    }
}

fn put_signed(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&(value as u64 ^ 1 << 63).to_be_bytes());
}

pub(crate) fn put_wide(out: &mut Vec<u8>, value: i128) {
    out.extend_from_slice(&(value as u128 ^ 1 << 127).to_be_bytes());
}

fn put_float(out: &mut Vec<u8>, bits: u64) {
    let ordered = match bits >> 63 {
        0 => bits ^ 1 << 63,
        _ => !bits,
    };
    out.extend_from_slice(&ordered.to_be_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        out.push(byte);
        if byte == 0 {
            out.push(255);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use arrow_schema::DataType;
    use proptest::prelude::*;

    use super::*;
    use crate::schema::{Field, Schema};

    /// The bytes of a column's values, each by itself.
    fn keys(data_type: DataType, fill: impl Fn(&mut Column), key: SortKey) -> Vec<Vec<u8>> {
        let schema = Schema::new(vec![Field::new("x", data_type)]);
        let mut frame = Frame::new(&schema, 1 << 16);
        fill(&mut frame.columns[0]);
        let rows = frame.columns[0].len();
        frame.commit_rows(rows);
        let of = |row| {
            let mut bytes = Vec::new();
            put_key(&mut bytes, &frame, row, &[key]);
            bytes
        };
        (0..rows).map(of).collect()
    }

    fn check<T>(values: &[Option<T>], keys: &[Vec<u8>], key: SortKey, by: fn(&T, &T) -> Ordering) {
        for (a, key_a) in values.iter().zip(keys) {
            for (b, key_b) in values.iter().zip(keys) {
                let null = match key.nulls {
                    Nulls::First => Ordering::Less,
                    Nulls::Last => Ordering::Greater,
                };
                let want = match (a, b) {
                    (None, None) => Ordering::Equal,
                    (None, _) => null,
                    (_, None) => null.reverse(),
                    (Some(a), Some(b)) if key.direction == Direction::Descending => by(b, a),
                    (Some(a), Some(b)) => by(a, b),
                };
                assert_eq!(key_a.cmp(key_b), want);
            }
        }
    }

    fn key() -> impl Strategy<Value = SortKey> {
        (any::<bool>(), any::<bool>()).prop_map(|(ascending, first)| SortKey {
            column: 0,
            direction: match ascending {
                true => Direction::Ascending,
                false => Direction::Descending,
            },
            nulls: if first { Nulls::First } else { Nulls::Last },
        })
    }

    fn floats(a: &f64, b: &f64) -> Ordering {
        match (a.is_nan(), b.is_nan()) {
            (false, false) => a.partial_cmp(b).expect("no NaN"),
            (a, b) => a.cmp(&b),
        }
    }

    proptest! {
        #[test]
        fn bytes_are_ordered_as_integers_are(
            values in prop::collection::vec(prop::option::of(any::<i64>()), 0..20), key in key(),
        ) {
            let keys = keys(DataType::Int64, |c| {
                let Column::I64(c) = c else { panic!("BIGINT") };
                values.iter().for_each(|v| c.push(*v));
            }, key);
            check(&values, &keys, key, i64::cmp);
        }

        #[test]
        fn bytes_are_ordered_as_floats_are(
            values in prop::collection::vec(prop::option::of(prop_oneof![
                any::<f64>(), Just(0.0), Just(-0.0), Just(f64::NAN), Just(-f64::NAN),
                Just(f64::INFINITY), Just(f64::NEG_INFINITY),
            ]), 0..20),
            key in key(),
        ) {
            let keys = keys(DataType::Float64, |c| {
                let Column::F64(c) = c else { panic!("DOUBLE") };
                values.iter().for_each(|v| c.push(*v));
            }, key);
            check(&values, &keys, key, floats);
        }

        #[test]
        fn bytes_are_ordered_as_decimals_are(
            values in prop::collection::vec(prop::option::of(any::<i128>()), 0..20), key in key(),
        ) {
            let keys = keys(DataType::Decimal128(38, 2), |c| {
                let Column::I128(c) = c else { panic!("DECIMAL") };
                values.iter().for_each(|v| c.push(*v));
            }, key);
            check(&values, &keys, key, i128::cmp);
        }

        #[test]
        fn bytes_are_ordered_as_byte_strings_are(
            values in prop::collection::vec(
                prop::option::of(prop::collection::vec(
                    prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()],
                    0..6,
                )),
                0..20,
            ),
            key in key(),
        ) {
            let keys = keys(DataType::Binary, |c| {
                let Column::Binary(c) = c else { panic!("BYTEA") };
                values.iter().for_each(|v| c.push(v.as_deref()));
            }, key);
            check(&values, &keys, key, Vec::cmp);
        }
    }
}
