//! How slots become rows of a frame: column by column over a batch of slots.

use arrow_schema::DataType;

use crate::column::Column;
use crate::error::{Error, Result};
use crate::format::decimal::{fits, power_of_ten};
use crate::hash::canonical_bits;
use crate::operator::aggregate::cells::{Cell, Kind, Output};
use crate::operator::aggregate::moments;
use crate::program::AggregateFunction;
use crate::schema::{Physical, sql_name};
use crate::table::keys::{KeyLayout, push_wide, push_word, text, value_words, wide};
use crate::table::store::PageStore;
use crate::table::var::var_bytes;

/// Words `at..at + N` of a slot.
#[inline(always)]
fn words<const N: usize>(slot: *mut u64, at: usize) -> [u64; N] {
    // SAFETY: slots of a scan are valid, and cells lie within them.
    unsafe { *slot.add(at).cast() }
}

#[inline(always)]
pub(super) fn word(slot: *mut u64, at: usize) -> u64 {
    words::<1>(slot, at)[0]
}

/// Appends the keys of slots to these of the columns.
pub(super) fn push_keys(
    layout: &KeyLayout,
    store: &PageStore,
    slots: &[*mut u64],
    columns: &mut [Column],
    to: &[usize],
) {
    for &slot in slots {
        // SAFETY: slots of a scan or an arena are valid while there is no update, and begin with
        // their header and key.
        let slot = unsafe { std::slice::from_raw_parts(slot.cast_const(), 1 + layout.words()) };
        layout.push(store, slot, columns, to);
    }
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
        (_, Column::Utf8(c)) => {
            for &slot in slots {
                let reference = words(slot, cell.at);
                c.push(is_there(slot).then(|| text(var_bytes(store, &reference))));
            }
        }
        (_, Column::Binary(c)) => {
            for &slot in slots {
                let reference = words(slot, cell.at);
                c.push(is_there(slot).then(|| var_bytes(store, &reference)));
            }
        }
        (Kind::Min(p) | Kind::Max(p), to) if value_words(p) == 2 => {
            for &slot in slots {
                let [low, high] = words(slot, cell.at);
                push_wide(to, is_there(slot).then(|| wide(low, high)));
            }
        }
        // Which of equal values came first decides about no bit: one zero, one NaN.
        (
            Kind::Min(Physical::F32 | Physical::F64) | Kind::Max(Physical::F32 | Physical::F64),
            to,
        ) => {
            for &slot in slots {
                let bits = canonical_bits(f64::from_bits(word(slot, cell.at)));
                push_word(to, is_there(slot).then_some(bits));
            }
        }
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
        Kind::SumDecimal => {
            let Column::I128(low) = &mut to[0] else {
                unreachable!("state of DECIMAL")
            };
            slots
                .iter()
                .for_each(|&s| low.push(Some(wide(word(s, at), word(s, at + 1)))));
            push_i64s(&mut to[1], slots, |s| Some(word(s, at + 2) as i64));
        }
        Kind::SumInt => {
            push_i64s(&mut to[0], slots, |s| Some(word(s, at + 1) as i64));
            push_i64s(&mut to[1], slots, |s| Some(word(s, at) as i64));
        }
        Kind::SumF64 => {
            push_f64s(&mut to[0], slots, |s| Some(f64::from_bits(word(s, at))));
            push_f64s(&mut to[1], slots, |s| Some(f64::from_bits(word(s, at + 1))));
        }
        Kind::Moments => {
            push_i64s(&mut to[0], slots, |s| Some(word(s, at) as i64));
            for (i, to) in to[1..5].iter_mut().enumerate() {
                push_f64s(to, slots, |s| Some(f64::from_bits(word(s, at + 1 + i))));
            }
        }
        Kind::Min(_) | Kind::Max(_) => push_extremes(cell, store, slots, &mut to[0]),
        Kind::Number => unreachable!("a generic aggregate has one phase"),
    }
}

/// A value of a narrower type, NULL as it is; `None` where it does not fit.
fn narrow<T: TryFrom<i128>>(value: Option<i128>) -> Option<Option<T>> {
    value.map(T::try_from).transpose().ok()
}

#[cold]
fn out_of_range(output: &Output) -> Error {
    let function = match output.function {
        AggregateFunction::Avg => "AVG",
        _ => "SUM",
    };
    Error::Row {
        message: format!("{} out of range in {function}", sql_name(&output.data_type)),
    }
}

/// SUM and AVG of decimals from 192 bits; what the scale of AVG cannot hold is cut off, as in
/// DataFusion.
fn decimal(output: &Output, sum: [u64; 3], count: u64) -> Result<i128> {
    let DataType::Decimal128(precision, scale) = output.data_type else {
        unreachable!("a result of DECIMAL")
    };
    let divisor = match &output.function {
        AggregateFunction::Avg => count,
        _ => 1,
    };
    let factor = power_of_ten(scale.unsigned_abs() - output.scale);
    let (quotient, rest) = divide(sum, divisor).ok_or_else(|| out_of_range(output))?;
    // The sum is quotient * count + rest, both of its sign, so that nothing is cut off twice.
    let value = quotient.checked_mul(factor).and_then(|v| {
        let rest = i128::from(rest).checked_mul(factor)? / i128::from(divisor);
        v.checked_add(rest)
    });
    let value = value.filter(|v| fits(*v, precision));
    value.ok_or_else(|| out_of_range(output))
}

/// Quotient towards zero and remainder of 192 bits; `None` where 128 bits do not hold them.
fn divide(words: [u64; 3], divisor: u64) -> Option<(i128, i64)> {
    let negative = (words[2] as i64) < 0;
    let mut magnitude = words;
    if negative {
        let mut carry = true;
        for word in &mut magnitude {
            (*word, carry) = (!*word).overflowing_add(u64::from(carry));
        }
    }
    let mut rest = 0u128;
    for word in magnitude.iter_mut().rev() {
        let part = rest << 64 | u128::from(*word);
        *word = (part / u128::from(divisor)) as u64;
        rest = part % u128::from(divisor);
    }
    let quotient = u128::from(magnitude[1]) << 64 | u128::from(magnitude[0]);
    let quotient = i128::try_from(quotient)
        .ok()
        .filter(|_| magnitude[2] == 0)?;
    let rest = i64::try_from(rest).ok()?;
    Some(if negative {
        (-quotient, -rest)
    } else {
        (quotient, rest)
    })
}

/// Appends the results of a call.
pub(super) fn push_results(
    output: &Output,
    store: &PageStore,
    slots: &[*mut u64],
    to: &mut Column,
) -> Result<()> {
    use AggregateFunction as F;
    match output.function {
        F::Min | F::Max => {
            push_extremes(&output.cell, store, slots, to);
            Ok(())
        }
        _ => push_numbers(output, slots, to),
    }
}

/// Appends the results of a call whose words say all.
pub(super) fn push_numbers(output: &Output, slots: &[*mut u64], to: &mut Column) -> Result<()> {
    use AggregateFunction as F;
    let cell = &output.cell;
    let at = cell.at;
    let values = |slot| word(slot, cell.values_at);
    match (&output.function, cell.kind) {
        (F::Generic(_) | F::Min | F::Max, _) => {
            unreachable!("what words do not say is pushed from where it is kept")
        }
        (F::Count, _) => push_i64s(to, slots, |s| Some(word(s, at) as i64)),
        (F::Sum, Kind::SumInt) => {
            let sum = |s| (values(s) > 0).then(|| sum_i128(s, at));
            for &slot in slots {
                let sum = sum(slot);
                let fits = match &mut *to {
                    Column::I64(c) => narrow(sum).map(|v| c.push(v)),
                    Column::U64(c) => narrow(sum).map(|v| c.push(v)),
                    other => unreachable!("a sum in a column of {:?}", other.physical()),
                };
                fits.ok_or_else(|| out_of_range(output))?;
            }
        }
        (F::Sum | F::Avg, Kind::SumDecimal) => {
            let Column::I128(to) = to else {
                unreachable!("a result of DECIMAL")
            };
            for &slot in slots {
                let value = match values(slot) {
                    0 => None,
                    count => Some(decimal(output, words(slot, at), count)?),
                };
                to.push(value);
            }
        }
        (F::Sum, _) => push_f64s(to, slots, |s| (values(s) > 0).then(|| sum_f64(s, at))),
        (F::Avg, Kind::SumInt) => push_f64s(to, slots, |s| {
            (values(s) > 0).then(|| sum_i128(s, at) as f64 / values(s) as f64)
        }),
        (F::Avg, _) => push_f64s(to, slots, |s| {
            (values(s) > 0).then(|| sum_f64(s, at) / values(s) as f64)
        }),
        (F::StddevSamp | F::StddevPop | F::VarSamp | F::VarPop, _) => {
            let samp = matches!(output.function, F::StddevSamp | F::VarSamp);
            let root = matches!(output.function, F::StddevSamp | F::StddevPop);
            push_f64s(to, slots, |s| {
                let count = word(s, at);
                let least = u64::from(samp);
                (count > least).then(|| {
                    let variance = moments::distances(&words(s, at)) / (count - least) as f64;
                    if root { variance.sqrt() } else { variance }
                })
            });
        }
    }
    Ok(())
}
