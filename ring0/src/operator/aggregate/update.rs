//! How rows, or cells of an earlier phase, change the cells of the slots of a batch: one tight
//! loop a cell, over slots that lie in the first cache.

use crate::column::{Bytes, Column, Content, Fixed, Validity, each_integer};
use crate::error::Result;
use crate::frame::Frame;
use crate::operator::aggregate::cells::{Cell, Kind};
use crate::operator::aggregate::{extremes, moments};
use crate::program::Phase;
use crate::table::store::PageStore;
use crate::table::var::{VarHeap, VarRef, var_bytes};

/// Changes the word `at` of each slot with the row's value, NULLs left out.
#[inline(always)]
pub(super) fn each<T: Copy, const N: usize>(
    slots: &[*mut u64],
    at: usize,
    values: &[T],
    validity: &Validity,
    start: usize,
    mut change: impl FnMut(&mut [u64; N], T),
) {
    let values = &values[start..start + slots.len()];
    if validity.nulls() == 0 {
        for (&slot, &value) in slots.iter().zip(values) {
            // SAFETY: slots of a batch are valid and distinct words of this cell lie at `at`; one
            // reference at a time.
            change(unsafe { &mut *slot.add(at).cast() }, value);
        }
    } else {
        for (i, (&slot, &value)) in slots.iter().zip(values).enumerate() {
            if validity.is_valid(start + i) {
                // SAFETY: as above.
                change(unsafe { &mut *slot.add(at).cast() }, value);
            }
        }
    }
}

#[inline(always)]
pub(super) fn each_fixed<T: Copy, const N: usize>(
    slots: &[*mut u64],
    at: usize,
    column: &Fixed<T>,
    start: usize,
    change: impl FnMut(&mut [u64; N], T),
) {
    each(slots, at, &column.values, &column.validity, start, change);
}

/// Changes the cell `cell` of each slot with the rows of `frame` from `start` on.
pub(super) fn apply(
    cell: &Cell,
    phase: Phase,
    heap: &mut VarHeap,
    store: &mut PageStore,
    frame: &Frame,
    start: usize,
    slots: &[*mut u64],
) -> Result<()> {
    let at = cell.at;
    if cell.kind == Kind::Rows && phase != Phase::Final {
        count(slots, at);
        return Ok(());
    }
    let column = &frame.columns[cell.column];
    match (cell.kind, column) {
        (Kind::Min(_), Column::Utf8(c)) => {
            return var(slots, at, c, start, heap, store, |new, old| new < old);
        }
        (Kind::Max(_), Column::Utf8(c)) => {
            return var(slots, at, c, start, heap, store, |new, old| new > old);
        }
        (Kind::Min(_), Column::Binary(c)) => {
            return var(slots, at, c, start, heap, store, |new, old| new < old);
        }
        (Kind::Max(_), Column::Binary(c)) => {
            return var(slots, at, c, start, heap, store, |new, old| new > old);
        }
        (Kind::Min(_), _) => extremes::least(slots, at, column, start),
        (Kind::Max(_), _) => extremes::greatest(slots, at, column, start),
        _ if phase == Phase::Final => merge(cell, frame, start, slots),
        (Kind::Values, _) => count_values(slots, at, column.validity(), start),
        (Kind::SumF64, Column::F32(c)) => {
            each_fixed(slots, at, c, start, |w, v| add_f64(w, f64::from(v)));
        }
        (Kind::SumF64, Column::F64(c)) => each_fixed(slots, at, c, start, add_f64),
        (Kind::SumDecimal, Column::I128(c)) => {
            each_fixed(slots, at, c, start, |w, v| {
                add_i192(w, v, (v >> 127) as u64)
            });
        }
        (Kind::Moments, Column::F64(c)) => each_fixed(slots, at, c, start, moments::add),
        (Kind::Moments, Column::F32(c)) => {
            each_fixed(slots, at, c, start, |w, v| moments::add(w, f64::from(v)));
        }
        (Kind::SumInt, _) => {
            each_integer!(column, c => each_fixed(slots, at, c, start, |w, v| {
                add_i128(w, i128::from(v));
            }), other => no_number(other));
        }
        (Kind::Moments, _) => {
            each_integer!(column, c => each_fixed(slots, at, c, start, |w, v| {
                moments::add(w, v as f64);
            }), other => no_number(other));
        }
        (kind, _) => unreachable!("{kind:?} of a column of {:?}", column.physical()),
    }
    Ok(())
}

fn no_number(column: &Column) -> ! {
    unreachable!("a column of {:?} is no number", column.physical())
}

/// Changes the word `at` of each slot.
pub(super) fn each_word(slots: &[*mut u64], at: usize, mut change: impl FnMut(&mut u64)) {
    for &slot in slots {
        // SAFETY: slots of a batch or scan are valid and have a word at `at`; one reference at a
        // time.
        change(unsafe { &mut *slot.add(at) });
    }
}

fn count(slots: &[*mut u64], at: usize) {
    for &slot in slots {
        // SAFETY: slots of a batch are valid, this cell's word lies at `at`.
        unsafe { *slot.add(at) += 1 };
    }
}

fn count_values(slots: &[*mut u64], at: usize, validity: &Validity, start: usize) {
    if validity.nulls() == 0 {
        return count(slots, at);
    }
    for (i, &slot) in slots.iter().enumerate() {
        // SAFETY: as for `count`.
        unsafe { *slot.add(at) += u64::from(validity.is_valid(start + i)) };
    }
}

#[inline(always)]
pub(super) fn add_i128(cell: &mut [u64; 2], value: i128) {
    let (low, carry) = cell[0].overflowing_add(value as u64);
    cell[0] = low;
    cell[1] = cell[1]
        .wrapping_add((value >> 64) as u64)
        .wrapping_add(u64::from(carry));
}

/// Adds 128 bits and the word above them.
#[inline(always)]
pub(super) fn add_i192(cell: &mut [u64; 3], low: i128, high: u64) {
    let sum = u128::from(cell[0]) | u128::from(cell[1]) << 64;
    let (next, carry) = sum.overflowing_add(low as u128);
    (cell[0], cell[1]) = (next as u64, (next >> 64) as u64);
    cell[2] = cell[2].wrapping_add(high).wrapping_add(u64::from(carry));
}

/// Knuth's two-sum: what rounding loses goes into the second word. Without a branch; where the
/// sum is not finite the second word is nothing to go by.
#[inline(always)]
pub(super) fn add_f64(cell: &mut [u64; 2], value: f64) {
    let sum = f64::from_bits(cell[0]);
    let next = sum + value;
    let part = next - sum;
    let lost = (sum - (next - part)) + (value - part);
    cell[0] = next.to_bits();
    cell[1] = (f64::from_bits(cell[1]) + lost).to_bits();
}

/// The lesser of a word's double and a value; NaN is the greatest.
#[inline(always)]
pub(super) fn lesser_f64(word: u64, value: f64) -> u64 {
    let old = f64::from_bits(word);
    let next = if value < old || old.is_nan() {
        value
    } else {
        old
    };
    next.to_bits()
}

/// The greater of a word's double and a value.
#[inline(always)]
pub(super) fn greater_f64(word: u64, value: f64) -> u64 {
    let old = f64::from_bits(word);
    let next = if value > old || value.is_nan() {
        value
    } else {
        old
    };
    next.to_bits()
}

fn var<C: Content>(
    slots: &[*mut u64],
    at: usize,
    column: &Bytes<C>,
    start: usize,
    heap: &mut VarHeap,
    store: &mut PageStore,
    better: impl Fn(&[u8], &[u8]) -> bool,
) -> Result<()> {
    for (i, &slot) in slots.iter().enumerate() {
        if !column.validity.is_valid(start + i) {
            continue;
        }
        let new = column.bytes(start + i);
        // SAFETY: as for `each`; the heap's pages are others than the slot's.
        let cell: &mut [u64; 2] = unsafe { &mut *slot.add(at).cast() };
        let old = VarRef(cell[0], cell[1]);
        if !old.is_some() || better(new, var_bytes(store, cell)) {
            let VarRef(a, b) = heap.replace(store, old, new)?;
            *cell = [a, b];
        }
    }
    Ok(())
}

/// Adds the cell's columns of state.
fn merge(cell: &Cell, frame: &Frame, start: usize, slots: &[*mut u64]) {
    let columns = &frame.columns[cell.column..cell.column + cell.kind.columns()];
    let at = cell.at;
    match (cell.kind, columns) {
        (Kind::Rows | Kind::Values, [Column::I64(c)]) => {
            each_fixed(slots, at, c, start, |w: &mut [u64; 1], v| w[0] += v as u64);
        }
        (Kind::SumInt, [Column::I64(high), Column::I64(low)]) => {
            let mut row = start;
            each(
                slots,
                at,
                &high.values,
                &Validity::default(),
                start,
                |w, v| {
                    add_i128(w, i128::from(v) << 64 | i128::from(low.values[row] as u64));
                    row += 1;
                },
            );
        }
        (Kind::SumF64, [Column::F64(sum), Column::F64(lost)]) => {
            let mut row = start;
            each(
                slots,
                at,
                &sum.values,
                &Validity::default(),
                start,
                |w, v| {
                    add_f64(w, v);
                    w[1] = (f64::from_bits(w[1]) + lost.values[row]).to_bits();
                    row += 1;
                },
            );
        }
        (Kind::SumDecimal, [Column::I128(low), Column::I64(high)]) => {
            let mut row = start;
            each(
                slots,
                at,
                &low.values,
                &Validity::default(),
                start,
                |w, v| {
                    add_i192(w, v, high.values[row] as u64);
                    row += 1;
                },
            );
        }
        (
            Kind::Moments,
            [
                Column::I64(n),
                Column::F64(a),
                Column::F64(b),
                Column::F64(c),
                Column::F64(d),
            ],
        ) => {
            let mut row = start;
            each(slots, at, &n.values, &Validity::default(), start, |w, v| {
                let sums = [a, b, c, d].map(|column| column.values[row]);
                moments::merge(w, v, sums);
                row += 1;
            });
        }
        (kind, _) => unreachable!("state of {kind:?} in other columns"),
    }
}
