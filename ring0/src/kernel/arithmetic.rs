//! Arithmetic. Loops wrap around and collect a flag; only when it is set are rows looked at one
//! by one, because the value that overflowed may be a NULL's or an inactive row's.

use super::node::{Arg, Run};
use crate::column::{Fixed, Validity};
use crate::expr::BinaryOp;

/// Replaces `out` by `f` of both sides, row by row; returns the flags of all rows joined by OR.
#[inline(always)]
fn zip<T: Copy + Default>(
    left: Arg<'_, T>,
    right: Arg<'_, T>,
    out: &mut Fixed<T>,
    f: impl Fn(T, T) -> (T, i64),
) -> i64 {
    let mut flags = 0;
    let mut keep = |(value, flag)| {
        flags |= flag;
        value
    };
    out.values.clear();
    match (left, right) {
        (Arg::Rows(l), Arg::Rows(r)) => {
            let pairs = l.values.iter().zip(&r.values);
            out.values.extend(pairs.map(|(&a, &b)| keep(f(a, b))));
            out.validity.fill_both(&l.validity, &r.validity);
        }
        (Arg::Rows(l), Arg::One(b)) => {
            out.values.extend(l.values.iter().map(|&a| keep(f(a, b))));
            copy(&l.validity, &mut out.validity);
        }
        (Arg::One(a), Arg::Rows(r)) => {
            out.values.extend(r.values.iter().map(|&b| keep(f(a, b))));
            copy(&r.validity, &mut out.validity);
        }
        (Arg::One(_), Arg::One(_)) => unreachable!("one side is broadcast"),
    }
    out.zero_nulls();
    flags
}

/// Makes `out` equal to `from`.
pub(super) fn copy(from: &Validity, out: &mut Validity) {
    out.clear();
    out.append_range(from, 0..from.len());
}

/// BIGINT `+ - * / %`.
pub(super) fn binary_i64(
    op: BinaryOp,
    left: Arg<'_, i64>,
    right: Arg<'_, i64>,
    out: &mut Fixed<i64>,
    run: &mut Run<'_>,
) {
    let flags = match op {
        BinaryOp::Add => zip(left, right, out, |a, b| {
            let sum = a.wrapping_add(b);
            (sum, (a ^ sum) & (b ^ sum))
        }),
        BinaryOp::Sub => zip(left, right, out, |a, b| {
            let difference = a.wrapping_sub(b);
            (difference, (a ^ b) & (a ^ difference))
        }),
        BinaryOp::Mul => zip(left, right, out, |a, b| {
            let (product, over) = a.overflowing_mul(b);
            (product, -i64::from(over))
        }),
        BinaryOp::Div => zip(left, right, out, |a, b| match a.checked_div(b) {
            Some(quotient) => (quotient, 0),
            None => (0, -1),
        }),
        // The remainder of the least integer and -1 is 0 and fits, as in arrow.
        BinaryOp::Rem => zip(left, right, out, |a, b| match b {
            0 => (0, -1),
            b => (a.wrapping_rem(b), 0),
        }),
        _ => unreachable!("types are checked before"),
    };
    if flags < 0 {
        locate(op, left, right, &out.validity, run);
    }
}

/// Finds the first row that may err and does.
#[cold]
fn locate(
    op: BinaryOp,
    left: Arg<'_, i64>,
    right: Arg<'_, i64>,
    validity: &Validity,
    run: &mut Run<'_>,
) {
    let value = |arg: Arg<'_, i64>, i: usize| match arg {
        Arg::Rows(rows) => rows.values[i],
        Arg::One(value) => value,
    };
    for i in (0..validity.len()).filter(|&i| validity.is_valid(i)) {
        let (a, b) = (value(left, i), value(right, i));
        let (fits, by_zero) = match op {
            BinaryOp::Add => (a.checked_add(b).is_some(), false),
            BinaryOp::Sub => (a.checked_sub(b).is_some(), false),
            BinaryOp::Mul => (a.checked_mul(b).is_some(), false),
            BinaryOp::Div => (a.checked_div(b).is_some(), b == 0),
            _ => (b != 0, true),
        };
        if !fits {
            run.fail(i, || match by_zero {
                true => "division by zero".to_owned(),
                false => format!("BIGINT out of range in {}", noun(op)),
            });
        }
    }
}

/// What an operation that may overflow is called: its sign alone does not read in a sentence.
fn noun(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "addition",
        BinaryOp::Sub => "subtraction",
        BinaryOp::Mul => "multiplication",
        BinaryOp::Div => "division",
        _ => unreachable!("{op:?} does not overflow"),
    }
}

/// DOUBLE `+ - * / %`, as IEEE 754.
pub(super) fn binary_f64(
    op: BinaryOp,
    left: Arg<'_, f64>,
    right: Arg<'_, f64>,
    out: &mut Fixed<f64>,
) {
    match op {
        BinaryOp::Add => zip(left, right, out, |a, b| (a + b, 0)),
        BinaryOp::Sub => zip(left, right, out, |a, b| (a - b, 0)),
        BinaryOp::Mul => zip(left, right, out, |a, b| (a * b, 0)),
        BinaryOp::Div => zip(left, right, out, |a, b| (a / b, 0)),
        BinaryOp::Rem => zip(left, right, out, |a, b| (a % b, 0)),
        _ => unreachable!("types are checked before"),
    };
}

/// BIGINT `-x`.
pub(super) fn negate_i64(from: &Fixed<i64>, out: &mut Fixed<i64>, run: &mut Run<'_>) {
    copy(&from.validity, &mut out.validity);
    out.values.clear();
    let mut least = false;
    out.values.extend(from.values.iter().map(|&v| {
        least |= v == i64::MIN;
        v.wrapping_neg()
    }));
    if least {
        // A NULL's value is zero, hence none of these rows is NULL.
        for (i, _) in from
            .values
            .iter()
            .enumerate()
            .filter(|(_, v)| **v == i64::MIN)
        {
            run.fail(i, || "BIGINT out of range in negation".to_owned());
        }
    }
}

/// DOUBLE `-x`.
pub(super) fn negate_f64(from: &Fixed<f64>, out: &mut Fixed<f64>) {
    copy(&from.validity, &mut out.validity);
    out.values.clear();
    out.values.extend(from.values.iter().map(|v| -v));
    out.zero_nulls();
}

/// The start of the window of `size` and `offset` that holds `time`.
fn window_start(time: i64, size: i64, offset: i64) -> Option<i64> {
    time.checked_sub(time.checked_sub(offset)?.rem_euclid(size))
}

/// Starts of tumbling windows.
pub(super) fn tumble(
    time: &Fixed<i64>,
    size: i64,
    offset: i64,
    out: &mut Fixed<i64>,
    run: &mut Run<'_>,
) {
    copy(&time.validity, &mut out.validity);
    out.values.clear();
    // Neighbours mostly share a window: comparing is cheaper than dividing.
    let mut last = None;
    for (i, &t) in time.values.iter().enumerate() {
        if let Some(start) = last
            && t >= start
            && (t.wrapping_sub(start) as u64) < size as u64
        {
            out.values.push(start);
            continue;
        }
        last = window_start(t, size, offset);
        if last.is_none() && time.validity.is_valid(i) {
            run.fail(i, || "TIMESTAMP out of range in TUMBLE".to_owned());
        }
        out.values.push(last.unwrap_or_default());
    }
    out.zero_nulls();
}
