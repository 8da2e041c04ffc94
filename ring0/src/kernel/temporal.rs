//! Timestamps and dates, an interval later or earlier: months first, the day being kept or the
//! month's last, then days, then nanoseconds; and intervals added to each other.

use arrow_schema::DataType;

use super::arithmetic::noun;
use super::node::Run;
use super::text::DAYS;
use crate::column::{Column, Fixed, Interval};
use crate::expr::BinaryOp;
use crate::format::time::{civil_of_days, days_in_month, days_of_civil};
use crate::schema::{sql_name, unit_nanos};

const DAY_NANOS: i128 = 86_400_000_000_000;

/// Whether an operation has an INTERVAL on a side.
pub(super) fn has_interval(left: &DataType, right: &DataType) -> bool {
    [left, right]
        .iter()
        .any(|t| matches!(t, DataType::Interval(_)))
}

/// So many months and days behind a day; `None` beyond what chrono, and with it arrow, counts.
fn shift_days(days: i64, months: i64, more: i64) -> Option<i64> {
    let within = |days: i64| DAYS.contains(&days).then_some(days);
    let (year, month, day) = civil_of_days(within(days)?);
    let months = year * 12 + month - 1 + months;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
    let days = days_of_civil(year, month, day.min(days_in_month(year, month)));
    within(within(days)? + more)
}

/// Months, days and nanoseconds of an interval, negated for a subtraction.
fn parts(op: BinaryOp, interval: Interval) -> (i64, i64, i128) {
    let sign = if op == BinaryOp::Sub { -1 } else { 1 };
    let nanos = i128::from(interval.nanoseconds) * i128::from(sign);
    (
        sign * i64::from(interval.months),
        sign * i64::from(interval.days),
        nanos,
    )
}

fn shift_timestamp(op: BinaryOp, time: i64, interval: Interval, unit_ns: i64) -> Option<i64> {
    let (months, days, nanos) = parts(op, interval);
    let time = i128::from(time) * i128::from(unit_ns);
    let day = shift_days(time.div_euclid(DAY_NANOS) as i64, months, days)?;
    let time = i128::from(day) * DAY_NANOS + time.rem_euclid(DAY_NANOS) + nanos;
    let day = time.div_euclid(DAY_NANOS);
    let value = i64::try_from(time.div_euclid(unit_ns.into())).ok()?;
    i64::try_from(day)
        .is_ok_and(|d| DAYS.contains(&d))
        .then_some(value)
}

/// What nanoseconds make no whole day is cut off.
fn shift_date(op: BinaryOp, date: i32, interval: Interval) -> Option<i32> {
    let (months, days, nanos) = parts(op, interval);
    let more = (nanos / DAY_NANOS) as i64;
    let day = shift_days(shift_days(date.into(), months, days)?, 0, more)?;
    i32::try_from(day).ok()
}

fn join(op: BinaryOp, a: Interval, b: Interval) -> Option<Interval> {
    match op {
        BinaryOp::Sub => a.checked_sub(b),
        _ => a.checked_add(b),
    }
}

/// Replaces `out`, of type `result`, by the sums or differences.
pub(super) fn binary(
    op: BinaryOp,
    left: &Column,
    right: &Column,
    result: &DataType,
    out: &mut Column,
    run: &mut Run<'_>,
) {
    let name = || format!("{} out of range in {}", sql_name(result), noun(op));
    match (left, right, out) {
        (Column::Interval(l), Column::Interval(r), Column::Interval(out)) => {
            zip(l, r, out, run, name, |a, b| join(op, a, b));
        }
        (Column::Interval(_), time, out @ (Column::I64(_) | Column::I32(_))) => {
            binary(op, time, left, result, out, run);
        }
        (Column::I64(l), Column::Interval(r), Column::I64(out)) => {
            let DataType::Timestamp(unit, _) = result else {
                unreachable!("types are checked before")
            };
            let unit_ns = unit_nanos(*unit);
            zip(l, r, out, run, name, |a, b| {
                shift_timestamp(op, a, b, unit_ns)
            });
        }
        (Column::I32(l), Column::Interval(r), Column::I32(out)) => {
            zip(l, r, out, run, name, |a, b| shift_date(op, a, b));
        }
        _ => unreachable!("types are checked before"),
    }
}

fn zip<A: Copy + Default, B: Copy + Default, T: Copy + Default>(
    left: &Fixed<A>,
    right: &Fixed<B>,
    out: &mut Fixed<T>,
    run: &mut Run<'_>,
    message: impl Fn() -> String,
    f: impl Fn(A, B) -> Option<T>,
) {
    out.clear();
    for i in 0..left.values.len() {
        let value = match (left.get(i), right.get(i)) {
            (Some(a), Some(b)) => Some(f(a, b).unwrap_or_else(|| {
                run.fail(i, &message);
                T::default()
            })),
            _ => None,
        };
        out.push(value);
    }
}
