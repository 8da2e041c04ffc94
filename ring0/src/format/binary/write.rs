//! The other direction: rows of a frame as columns of a message.

use std::ops::Range;

use super::{ENVELOPE_BYTES, RECORDS};
use crate::column::{Column, Fixed, Interval, Validity};
use crate::frame::Frame;

/// Writes rows of a frame as a frame of records, the first of which has the number `first`. What
/// stands before, the checksum and the length, is left empty.
///
/// # Panics
/// Where a column is a list or a struct.
pub fn write_columns(frame: &Frame, rows: Range<usize>, first: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; ENVELOPE_BYTES]);
    out.extend_from_slice(&[RECORDS, 0, 0, 0]);
    let count = u32::try_from(rows.len()).expect("a frame has fewer rows");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&first.to_le_bytes());
    if rows.is_empty() {
        return;
    }
    for column in &frame.columns {
        validity(column.validity(), rows.clone(), out);
        values(column, rows.clone(), out);
    }
}

fn validity(validity: &Validity, rows: Range<usize>, out: &mut Vec<u8>) {
    let has_nulls = rows.clone().any(|row| !validity.is_valid(row));
    out.push(u8::from(has_nulls));
    if !has_nulls {
        return;
    }
    let begin = out.len();
    out.resize(begin + rows.len().div_ceil(8), 0);
    for (at, row) in rows.enumerate() {
        out[begin + at / 8] |= u8::from(validity.is_valid(row)) << (at % 8);
    }
}

fn values(column: &Column, rows: Range<usize>, out: &mut Vec<u8>) {
    match column {
        Column::Bool(c) => out.extend(rows.map(|row| u8::from(c.values.get(row)))),
        Column::I8(c) => fixed(c, rows, i8::to_le_bytes, out),
        Column::I16(c) => fixed(c, rows, i16::to_le_bytes, out),
        Column::I32(c) => fixed(c, rows, i32::to_le_bytes, out),
        Column::I64(c) => fixed(c, rows, i64::to_le_bytes, out),
        Column::U8(c) => fixed(c, rows, u8::to_le_bytes, out),
        Column::U16(c) => fixed(c, rows, u16::to_le_bytes, out),
        Column::U32(c) => fixed(c, rows, u32::to_le_bytes, out),
        Column::U64(c) => fixed(c, rows, u64::to_le_bytes, out),
        Column::F32(c) => fixed(c, rows, f32::to_le_bytes, out),
        Column::F64(c) => fixed(c, rows, f64::to_le_bytes, out),
        Column::I128(c) => fixed(c, rows, i128::to_le_bytes, out),
        Column::Interval(c) => fixed(c, rows, interval, out),
        Column::Utf8(c) => bytes(|row| c.bytes(row), rows, out),
        Column::Binary(c) => bytes(|row| c.bytes(row), rows, out),
        Column::List(_) | Column::Struct(_) => panic!("a column that is nested does not go so"),
    }
}

fn fixed<T: Copy, const N: usize>(
    column: &Fixed<T>,
    rows: Range<usize>,
    write: impl Fn(T) -> [u8; N],
    out: &mut Vec<u8>,
) {
    for value in &column.values[rows] {
        out.extend_from_slice(&write(*value));
    }
}

fn interval(value: Interval) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&value.months.to_le_bytes());
    bytes[4..8].copy_from_slice(&value.days.to_le_bytes());
    bytes[8..].copy_from_slice(&value.nanoseconds.to_le_bytes());
    bytes
}

fn bytes<'a>(of: impl Fn(usize) -> &'a [u8], rows: Range<usize>, out: &mut Vec<u8>) {
    for row in rows.clone() {
        let length = u32::try_from(of(row).len()).expect("a value is shorter");
        out.extend_from_slice(&length.to_le_bytes());
    }
    for row in rows {
        out.extend_from_slice(of(row));
    }
}
