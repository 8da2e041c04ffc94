//! Least and greatest values of one width: a word that is ordered as the values are, or two.

use super::update::{each_fixed, greater_f64, lesser_f64};
use crate::column::{Column, Fixed, Interval};
use crate::table::keys::{wide, wide_interval};

/// Keeps the least value in the word, or words, at `at` of each slot.
pub(super) fn least(slots: &[*mut u64], at: usize, column: &Column, start: usize) {
    let wide_word = |w: &mut [u64; 2], v: i128| set(w, wide(w[0], w[1]).min(v));
    match column {
        Column::I64(c) => words(slots, at, c, start, i64::min),
        Column::I8(c) => words(slots, at, c, start, i64::min),
        Column::I16(c) => words(slots, at, c, start, i64::min),
        Column::I32(c) => words(slots, at, c, start, i64::min),
        Column::U8(c) => words(slots, at, c, start, i64::min),
        Column::U16(c) => words(slots, at, c, start, i64::min),
        Column::U32(c) => words(slots, at, c, start, i64::min),
        Column::U64(c) => each_fixed(slots, at, c, start, |w: &mut [u64; 1], v| {
            w[0] = w[0].min(v);
        }),
        Column::F32(c) => each_fixed(slots, at, c, start, |w: &mut [u64; 1], v| {
            w[0] = lesser_f64(w[0], f64::from(v));
        }),
        Column::F64(c) => each_fixed(slots, at, c, start, |w: &mut [u64; 1], v| {
            w[0] = lesser_f64(w[0], v);
        }),
        Column::I128(c) => each_fixed(slots, at, c, start, wide_word),
        Column::Interval(c) => intervals(slots, at, c, start, wide_word),
        Column::Bool(_) => bools(slots, at, column, start, i64::min),
        other => unreachable!("the least {:?}", other.physical()),
    }
}

/// Keeps the greatest value.
pub(super) fn greatest(slots: &[*mut u64], at: usize, column: &Column, start: usize) {
    let wide_word = |w: &mut [u64; 2], v: i128| set(w, wide(w[0], w[1]).max(v));
    match column {
        Column::I64(c) => words(slots, at, c, start, i64::max),
        Column::I8(c) => words(slots, at, c, start, i64::max),
        Column::I16(c) => words(slots, at, c, start, i64::max),
        Column::I32(c) => words(slots, at, c, start, i64::max),
        Column::U8(c) => words(slots, at, c, start, i64::max),
        Column::U16(c) => words(slots, at, c, start, i64::max),
        Column::U32(c) => words(slots, at, c, start, i64::max),
        Column::U64(c) => each_fixed(slots, at, c, start, |w: &mut [u64; 1], v| {
            w[0] = w[0].max(v);
        }),
        Column::F32(c) => each_fixed(slots, at, c, start, |w: &mut [u64; 1], v| {
            w[0] = greater_f64(w[0], f64::from(v));
        }),
        Column::F64(c) => each_fixed(slots, at, c, start, |w: &mut [u64; 1], v| {
            w[0] = greater_f64(w[0], v);
        }),
        Column::I128(c) => each_fixed(slots, at, c, start, wide_word),
        Column::Interval(c) => intervals(slots, at, c, start, wide_word),
        Column::Bool(_) => bools(slots, at, column, start, i64::max),
        other => unreachable!("the greatest {:?}", other.physical()),
    }
}

fn set(words: &mut [u64; 2], value: i128) {
    *words = [value as u64, (value >> 64) as u64];
}

#[inline(always)]
fn words<T: Copy + Into<i64>>(
    slots: &[*mut u64],
    at: usize,
    column: &Fixed<T>,
    start: usize,
    better: impl Fn(i64, i64) -> i64,
) {
    each_fixed(slots, at, column, start, |w: &mut [u64; 1], v: T| {
        w[0] = better(w[0] as i64, v.into()) as u64;
    });
}

fn intervals(
    slots: &[*mut u64],
    at: usize,
    column: &Fixed<Interval>,
    start: usize,
    change: impl Fn(&mut [u64; 2], i128),
) {
    each_fixed(slots, at, column, start, |w, v| change(w, wide_interval(v)));
}

fn bools(
    slots: &[*mut u64],
    at: usize,
    column: &Column,
    start: usize,
    better: impl Fn(i64, i64) -> i64,
) {
    let Column::Bool(c) = column else {
        unreachable!("a column of booleans")
    };
    for (i, &slot) in slots.iter().enumerate() {
        if let Some(value) = c.get(start + i) {
            // SAFETY: slots of a batch are valid, this cell's word lies at `at`.
            let word = unsafe { &mut *slot.add(at) };
            *word = better(*word as i64, i64::from(value)) as u64;
        }
    }
}
