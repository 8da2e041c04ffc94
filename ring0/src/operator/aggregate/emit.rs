//! How slots become rows of a frame: column by column over a batch of slots.

use crate::column::Column;
use crate::error::{Error, Result};
use crate::hash::canonical_bits;
use crate::operator::aggregate::cells::{Cell, Kind, Output};
use crate::program::AggregateFunction;
use crate::schema::Physical;
use crate::table::keys::{push_word, text};
use crate::table::store::PageStore;
use crate::table::var::var_bytes;

/// Words `at..at + N` of a slot.
#[inline(always)]
fn words<const N: usize>(slot: *mut u64, at: usize) -> [u64; N] {
    // SAFETY: slots of a scan are valid, and cells lie within them.
    unsafe { *slot.add(at).cast() }
}

#[inline(always)]
fn word(slot: *mut u64, at: usize) -> u64 {
    words::<1>(slot, at)[0]
}

fn push_i64s(to: &mut Column, slots: &[*mut u64], value: impl Fn(*mut u64) -> Option<i64>) {
    let Column::I64(c) = to else {
        unreachable!("a result of BIGINT")
    };
    slots.iter().for_each(|&slot| c.push(value(slot)));
}

fn push_f64s(to: &mut Column, slots: &[*mut u64], value: impl Fn(*mut u64) -> Option<f64>) {
    let Column::F64(c) = to else {
        unreachable!("a result of DOUBLE")
    };
    slots.iter().for_each(|&slot| c.push(value(slot)));
}

fn sum_i128(slot: *mut u64, at: usize) -> i128 {
    let [low, high] = words(slot, at);
    i128::from(high as i64) << 64 | i128::from(low)
}

fn sum_f64(slot: *mut u64, at: usize) -> f64 {
    let [sum, lost] = words(slot, at).map(f64::from_bits);
    if sum.is_finite() { sum + lost } else { sum }
}

/// Appends the least or greatest values.
fn push_extremes(cell: &Cell, store: &PageStore, slots: &[*mut u64], to: &mut Column) {
    let is_there = |slot| word(slot, cell.values_at) > 0;
    match (cell.kind, to) {
        (Kind::Min(Physical::Utf8) | Kind::Max(Physical::Utf8), Column::Utf8(c)) => {
            for &slot in slots {
                let reference = words(slot, cell.at);
                c.push(is_there(slot).then(|| text(var_bytes(store, &reference))));
            }
        }
        // Which of equal values came first decides about no bit: one zero, one NaN.
        (Kind::Min(Physical::F64) | Kind::Max(Physical::F64), to) => push_f64s(to, slots, |slot| {
            let value = f64::from_bits(word(slot, cell.at));
            is_there(slot).then(|| f64::from_bits(canonical_bits(value)))
        }),
        (_, to) => {
            for &slot in slots {
                push_word(to, is_there(slot).then(|| word(slot, cell.at)));
            }
        }
    }
}

/// Appends the cell's columns of state.
pub(super) fn push_state(cell: &Cell, store: &PageStore, slots: &[*mut u64], to: &mut [Column]) {
    let at = cell.at;
    match cell.kind {
        Kind::Rows | Kind::Values => push_i64s(&mut to[0], slots, |s| Some(word(s, at) as i64)),
        Kind::SumI64 => {
            push_i64s(&mut to[0], slots, |s| Some(word(s, at + 1) as i64));
            push_i64s(&mut to[1], slots, |s| Some(word(s, at) as i64));
        }
        Kind::SumF64 => {
            push_f64s(&mut to[0], slots, |s| Some(f64::from_bits(word(s, at))));
            push_f64s(&mut to[1], slots, |s| Some(f64::from_bits(word(s, at + 1))));
        }
        Kind::Moments => {
            push_i64s(&mut to[0], slots, |s| Some(word(s, at) as i64));
            push_f64s(&mut to[1], slots, |s| Some(f64::from_bits(word(s, at + 1))));
            push_f64s(&mut to[2], slots, |s| Some(f64::from_bits(word(s, at + 2))));
        }
        Kind::Min(_) | Kind::Max(_) => push_extremes(cell, store, slots, &mut to[0]),
    }
}

/// Appends the results of a call.
pub(super) fn push_results(
    output: &Output,
    store: &PageStore,
    slots: &[*mut u64],
    to: &mut Column,
) -> Result<()> {
    use AggregateFunction as F;
    let cell = &output.cell;
    let at = cell.at;
    let values = |slot| word(slot, cell.values_at);
    match (output.function, cell.kind) {
        (F::Count, _) => push_i64s(to, slots, |s| Some(word(s, at) as i64)),
        (F::Sum, Kind::SumI64) => {
            if slots
                .iter()
                .any(|&s| i64::try_from(sum_i128(s, at)).is_err())
            {
                return Err(Error::Row {
                    message: "BIGINT out of range in SUM".to_owned(),
                });
            }
            push_i64s(to, slots, |s| {
                (values(s) > 0).then(|| sum_i128(s, at) as i64)
            });
        }
        (F::Sum, _) => push_f64s(to, slots, |s| (values(s) > 0).then(|| sum_f64(s, at))),
        (F::Avg, Kind::SumI64) => push_f64s(to, slots, |s| {
            (values(s) > 0).then(|| sum_i128(s, at) as f64 / values(s) as f64)
        }),
        (F::Avg, _) => push_f64s(to, slots, |s| {
            (values(s) > 0).then(|| sum_f64(s, at) / values(s) as f64)
        }),
        (F::Min | F::Max, _) => push_extremes(cell, store, slots, to),
        (F::StddevSamp | F::StddevPop | F::VarSamp | F::VarPop, _) => {
            let samp = matches!(output.function, F::StddevSamp | F::VarSamp);
            let root = matches!(output.function, F::StddevSamp | F::StddevPop);
            push_f64s(to, slots, |s| {
                let count = word(s, at);
                let least = u64::from(samp);
                let variance = f64::from_bits(word(s, at + 2)) / count.wrapping_sub(least) as f64;
                (count > least).then(|| if root { variance.sqrt() } else { variance })
            });
        }
    }
    Ok(())
}
