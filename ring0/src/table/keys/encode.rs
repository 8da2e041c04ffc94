//! Values as canonical bytes: equal values, and only those, have equal bytes.
//!
//! ```text
//! one width        8 or 16 bytes, little-endian
//! string, bytes    length u32, unless it is the key's last value | bytes
//! list             number of elements u32 | each: 1, then its value; 0 where NULL
//! struct           each member: 1, then its value; 0 where NULL
//! ```

use super::{push_wide, push_word, text, value_words, wide_of, word_of};
use crate::column::{Column, Lists, Structs};

/// Whether a string's length stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Written,
    /// All bytes up to the end of the key.
    Rest,
}

/// Appends the bytes of a value that is not NULL.
pub(super) fn put(out: &mut Vec<u8>, column: &Column, row: usize, length: Length) {
    match column {
        Column::Utf8(c) => put_bytes(out, c.bytes(row), length),
        Column::Binary(c) => put_bytes(out, c.bytes(row), length),
        Column::List(c) => {
            let elements = c.range(row);
            out.extend_from_slice(&(elements.len() as u32).to_le_bytes());
            elements.for_each(|element| put_tagged(out, &c.values, element));
        }
        Column::Struct(c) => c
            .fields
            .iter()
            .for_each(|field| put_tagged(out, field, row)),
        flat if value_words(flat.physical()) == 2 => {
            out.extend_from_slice(&wide_of(flat, row).to_le_bytes());
        }
        flat => out.extend_from_slice(&word_of(flat, row).to_le_bytes()),
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8], length: Length) {
    if length == Length::Written {
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    }
    out.extend_from_slice(bytes);
}

fn put_tagged(out: &mut Vec<u8>, column: &Column, row: usize) {
    let valid = column.is_valid(row);
    out.push(u8::from(valid));
    if valid {
        put(out, column, row, Length::Written);
    }
}

/// Appends a value to a column from its bytes, which are taken off the front of `from`.
pub(super) fn take(from: &mut &[u8], column: &mut Column, length: Length) {
    match column {
        Column::Utf8(c) => c.push(Some(text(take_bytes(from, length)))),
        Column::Binary(c) => c.push(Some(take_bytes(from, length))),
        Column::List(c) => take_list(from, c),
        Column::Struct(c) => take_struct(from, c),
        flat if value_words(flat.physical()) == 2 => {
            let value = i128::from_le_bytes(take_array(from));
            push_wide(flat, Some(value));
        }
        flat => push_word(flat, Some(u64::from_le_bytes(take_array(from)))),
    }
}

fn take_list(from: &mut &[u8], column: &mut Lists) {
    for _ in 0..u32::from_le_bytes(take_array(from)) {
        take_tagged(from, &mut column.values);
    }
    column.seal(true);
}

fn take_struct(from: &mut &[u8], column: &mut Structs) {
    column
        .fields
        .iter_mut()
        .for_each(|field| take_tagged(from, field));
    column.validity.push(true);
}

fn take_tagged(from: &mut &[u8], column: &mut Column) {
    match take_array(from) {
        [0] => column.push_null(),
        [_] => take(from, column, Length::Written),
    }
}

fn take_array<const N: usize>(from: &mut &[u8]) -> [u8; N] {
    let (head, rest) = from.split_first_chunk().expect("a key's bytes are whole");
    *from = rest;
    *head
}

fn take_bytes<'a>(from: &mut &'a [u8], length: Length) -> &'a [u8] {
    let len = match length {
        Length::Written => u32::from_le_bytes(take_array(from)) as usize,
        Length::Rest => from.len(),
    };
    let (bytes, rest) = from.split_at(len);
    *from = rest;
    bytes
}
