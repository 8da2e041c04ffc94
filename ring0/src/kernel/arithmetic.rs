//! Arithmetic. Loops wrap around and collect a flag; only when it is set are rows looked at one
//! by one, because the value that overflowed may be a NULL's or an inactive row's.

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use super::binary::Arg;
use super::node::Run;
use crate::column::{Column, Fixed, Validity};
use crate::expr::BinaryOp;
use crate::program::Reach;

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

/// Integers of one width. Sums and the like wrap around; the flag's sign says that they did.
pub(super) trait Integer: Copy + Default + PartialEq {
    const NAME: &'static str;
    fn sum(self, other: Self) -> (Self, i64);
    fn difference(self, other: Self) -> (Self, i64);
    fn product(self, other: Self) -> (Self, i64);
    fn quotient(self, other: Self) -> Option<Self>;
    fn remainder(self, other: Self) -> Option<Self>;
}

macro_rules! integer {
    ($type:ty, $name:literal, $sum:expr, $difference:expr) => {
        impl Integer for $type {
            const NAME: &'static str = $name;
            #[inline(always)]
            fn sum(self, other: Self) -> (Self, i64) {
                $sum(self, other)
            }
            #[inline(always)]
            fn difference(self, other: Self) -> (Self, i64) {
                $difference(self, other)
            }
            #[inline(always)]
            fn product(self, other: Self) -> (Self, i64) {
                let (product, over) = self.overflowing_mul(other);
                (product, -i64::from(over))
            }
            #[inline(always)]
            fn quotient(self, other: Self) -> Option<Self> {
                self.checked_div(other)
            }
            // The remainder of the least integer and -1 is 0 and fits, as in arrow.
            #[inline(always)]
            fn remainder(self, other: Self) -> Option<Self> {
                (other != 0).then(|| self.wrapping_rem(other))
            }
        }
    };
}
macro_rules! signed {
    ($type:ty, $name:literal) => {
        integer!(
            $type,
            $name,
            |a: $type, b: $type| {
                let sum = a.wrapping_add(b);
                (sum, i64::from((a ^ sum) & (b ^ sum)))
            },
            |a: $type, b: $type| {
                let difference = a.wrapping_sub(b);
                (difference, i64::from((a ^ b) & (a ^ difference)))
            }
        );
    };
}
macro_rules! unsigned {
    ($type:ty, $name:literal) => {
        integer!(
            $type,
            $name,
            |a: $type, b: $type| {
                let (sum, over) = a.overflowing_add(b);
                (sum, -i64::from(over))
            },
            |a: $type, b: $type| {
                let (difference, under) = a.overflowing_sub(b);
                (difference, -i64::from(under))
            }
        );
    };
}
signed!(i8, "TINYINT");
signed!(i16, "SMALLINT");
signed!(i32, "INTEGER");
signed!(i64, "BIGINT");
unsigned!(u8, "TINYINT UNSIGNED");
unsigned!(u16, "SMALLINT UNSIGNED");
unsigned!(u32, "INTEGER UNSIGNED");
unsigned!(u64, "BIGINT UNSIGNED");

/// `+ - * / %` of integers.
pub(super) fn binary_integer<T: Integer>(
    op: BinaryOp,
    left: Arg<'_, T>,
    right: Arg<'_, T>,
    out: &mut Fixed<T>,
    run: &mut Run<'_>,
) {
    let or_flag = |value: Option<T>| match value {
        Some(value) => (value, 0),
        None => (T::default(), -1),
    };
    let flags = match op {
        BinaryOp::Add => zip(left, right, out, T::sum),
        BinaryOp::Sub => zip(left, right, out, T::difference),
        BinaryOp::Mul => zip(left, right, out, T::product),
        BinaryOp::Div => zip(left, right, out, |a, b| or_flag(a.quotient(b))),
        BinaryOp::Rem => zip(left, right, out, |a, b| or_flag(a.remainder(b))),
        _ => unreachable!("types are checked before"),
    };
    if flags < 0 {
        locate(op, left, right, &out.validity, run);
    }
}

/// Finds the first row that may err and does.
#[cold]
fn locate<T: Integer>(
    op: BinaryOp,
    left: Arg<'_, T>,
    right: Arg<'_, T>,
    validity: &Validity,
    run: &mut Run<'_>,
) {
    for i in (0..validity.len()).filter(|&i| validity.is_valid(i)) {
        let (a, b) = (left.get(i), right.get(i));
        let (fits, by_zero) = match op {
            BinaryOp::Add => (a.sum(b).1 >= 0, false),
            BinaryOp::Sub => (a.difference(b).1 >= 0, false),
            BinaryOp::Mul => (a.product(b).1 >= 0, false),
            BinaryOp::Div => (a.quotient(b).is_some(), b == T::default()),
            _ => (b != T::default(), true),
        };
        if !fits {
            run.fail(i, || match by_zero {
                true => "division by zero".to_owned(),
                false => format!("{} out of range in {}", T::NAME, noun(op)),
            });
        }
    }
}

/// What an operation that may overflow is called: its sign alone does not read in a sentence.
pub(super) fn noun(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "addition",
        BinaryOp::Sub => "subtraction",
        BinaryOp::Mul => "multiplication",
        BinaryOp::Div => "division",
        BinaryOp::Rem => "remainder",
        _ => unreachable!("{op:?} does not overflow"),
    }
}

/// `+ - * / %` of floating point numbers, as IEEE 754.
pub(super) fn binary_float<T>(op: BinaryOp, left: Arg<'_, T>, right: Arg<'_, T>, out: &mut Fixed<T>)
where
    T: Copy + Default + Add<Output = T> + Sub<Output = T> + Mul<Output = T>,
    T: Div<Output = T> + Rem<Output = T>,
{
    match op {
        BinaryOp::Add => zip(left, right, out, |a, b| (a + b, 0)),
        BinaryOp::Sub => zip(left, right, out, |a, b| (a - b, 0)),
        BinaryOp::Mul => zip(left, right, out, |a, b| (a * b, 0)),
        BinaryOp::Div => zip(left, right, out, |a, b| (a / b, 0)),
        BinaryOp::Rem => zip(left, right, out, |a, b| (a % b, 0)),
        _ => unreachable!("types are checked before"),
    };
}

/// `-x` of signed integers.
pub(super) fn negate_integer<T: Integer>(from: &Fixed<T>, out: &mut Fixed<T>, run: &mut Run<'_>) {
    copy(&from.validity, &mut out.validity);
    out.values.clear();
    let mut flags = 0;
    out.values.extend(from.values.iter().map(|&v| {
        let (value, flag) = T::default().difference(v);
        flags |= flag;
        value
    }));
    if flags < 0 {
        // A NULL's value is zero, hence none of these rows is NULL.
        let rows = from.values.iter().enumerate();
        for (i, _) in rows.filter(|(_, v)| T::default().difference(**v).1 < 0) {
            run.fail(i, || format!("{} out of range in negation", T::NAME));
        }
    }
}

/// `-x` of other numbers; no DECIMAL is the least that 128 bits hold.
pub(super) fn negate<T: Copy + Default + Neg<Output = T>>(from: &Fixed<T>, out: &mut Fixed<T>) {
    copy(&from.validity, &mut out.validity);
    out.values.clear();
    out.values.extend(from.values.iter().map(|v| -*v));
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
        // A window has both its bounds.
        last = window_start(t, size, offset).filter(|start| start.checked_add(size).is_some());
        if last.is_none() && time.validity.is_valid(i) {
            run.fail(i, || "TIMESTAMP out of range in TUMBLE".to_owned());
        }
        out.values.push(last.unwrap_or_default());
    }
    out.zero_nulls();
}

/// Replaces `out` by the times, each of which has to fit into its windows.
pub(super) fn in_windows(time: &Column, windows: Reach, out: &mut Column, run: &mut Run<'_>) {
    let (Column::I64(time), Column::I64(out)) = (time, out) else {
        unreachable!("types are checked before")
    };
    copy(&time.validity, &mut out.validity);
    out.values.clear();
    out.values.extend_from_slice(&time.values);
    for i in 0..time.values.len() {
        if let Some(why) = windows.refuses(time.get(i)) {
            run.fail(i, || why.to_owned());
        }
    }
}
