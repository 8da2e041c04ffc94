//! Columns from Arrow arrays: rows are copied in whole runs, and what lies under a NULL is zeroed,
//! so that a frame's bytes never depend on where its rows came from.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};

use super::{Column, Fixed, Validity};

/// Bytes of the strings in rows `rows` of an array, 0 for other types.
pub(crate) fn array_string_bytes(array: &ArrayRef, rows: Range<usize>) -> usize {
    match array.as_string_opt::<i32>() {
        Some(strings) => {
            let offsets = strings.value_offsets();
            (offsets[rows.end] - offsets[rows.start]) as usize
        }
        None => 0,
    }
}

/// Bytes of the longest string of an array, 0 for other types.
pub(crate) fn array_string_bytes_max(array: &ArrayRef) -> usize {
    let Some(strings) = array.as_string_opt::<i32>() else {
        return 0;
    };
    let lengths = strings.value_offsets().windows(2).map(|w| w[1] - w[0]);
    lengths.max().unwrap_or(0) as usize
}

impl Column {
    /// Appends the rows `rows` of an array of the column's logical type.
    ///
    /// # Panics
    /// Where the types differ or rows are missing.
    pub fn append_array(&mut self, array: &ArrayRef, rows: Range<usize>) {
        assert!(
            rows.start <= rows.end && rows.end <= array.len(),
            "rows of the array"
        );
        match (self, array.data_type()) {
            (Self::I64(to), DataType::Int64) => append::<Int64Type>(to, array, rows),
            (Self::F64(to), DataType::Float64) => append::<Float64Type>(to, array, rows),
            (Self::I32(to), DataType::Date32) => append::<Date32Type>(to, array, rows),
            (Self::I64(to), DataType::Timestamp(unit, None)) => match unit {
                TimeUnit::Second => append::<TimestampSecondType>(to, array, rows),
                TimeUnit::Millisecond => append::<TimestampMillisecondType>(to, array, rows),
                TimeUnit::Microsecond => append::<TimestampMicrosecondType>(to, array, rows),
                TimeUnit::Nanosecond => append::<TimestampNanosecondType>(to, array, rows),
            },
            (Self::Bool(to), DataType::Boolean) => {
                let array = array.as_boolean();
                for row in rows {
                    to.push(array.is_valid(row).then(|| array.value(row)));
                }
            }
            (Self::Utf8(to), DataType::Utf8) => {
                let array = array.as_string::<i32>();
                for row in rows {
                    to.push(array.is_valid(row).then(|| array.value(row)));
                }
            }
            (to, other) => panic!("a column of {:?} and an array of {other}", to.physical()),
        }
    }
}

fn append<T: ArrowPrimitiveType>(to: &mut Fixed<T::Native>, array: &ArrayRef, rows: Range<usize>)
where
    T::Native: Copy + Default,
{
    let array = array.as_primitive::<T>();
    to.values.extend_from_slice(&array.values()[rows.clone()]);
    append_validity(&mut to.validity, array.nulls(), rows);
    to.zero_nulls();
}

fn append_validity(to: &mut Validity, nulls: Option<&NullBuffer>, rows: Range<usize>) {
    match nulls.filter(|n| n.null_count() > 0) {
        None => to.push_valid(rows.len()),
        Some(nulls) => rows.for_each(|row| to.push(nulls.is_valid(row))),
    }
}
