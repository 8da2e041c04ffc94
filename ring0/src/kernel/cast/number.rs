//! Casts between numbers: integers, floating point numbers, decimals, and booleans.

use super::map;
use crate::column::{Bools, Column, Fixed, each_integer};
use crate::format::decimal::{fits, power_of_ten};
use crate::kernel::arithmetic::copy;

/// Numbers that lie in columns, but for decimals.
trait Number: Copy + Default + PartialEq {
    fn of_i64(value: i64) -> Option<Self>;
    fn of_u64(value: u64) -> Option<Self>;
    fn of_i128(value: i128) -> Option<Self>;
    /// Of a floating point number, towards zero.
    fn of_float(value: f64) -> Option<Self>;
    /// To whatever number.
    fn to<T: Number>(self) -> Option<T>;
    /// With so many places behind the point, rounded.
    fn to_decimal(self, scale: u8) -> Option<i128>;
}

macro_rules! integers {
    ($of:ident: $($type:ty),+) => {$(
        impl Number for $type {
            #[inline(always)]
            fn of_i64(value: i64) -> Option<Self> {
                Self::try_from(value).ok()
            }
            #[inline(always)]
            fn of_u64(value: u64) -> Option<Self> {
                Self::try_from(value).ok()
            }
            #[inline(always)]
            fn of_i128(value: i128) -> Option<Self> {
                Self::try_from(value).ok()
            }
            #[inline(always)]
            fn of_float(value: f64) -> Option<Self> {
                // The bounds are powers of two, or zero: a DOUBLE holds them exactly.
                const END: f64 = (<$type>::MAX / 2 + 1) as f64 * 2.0;
                let whole = value.trunc();
                (whole >= <$type>::MIN as f64 && whole < END).then_some(whole as Self)
            }
            #[inline(always)]
            fn to<T: Number>(self) -> Option<T> {
                T::$of(self.into())
            }
            #[inline(always)]
            fn to_decimal(self, scale: u8) -> Option<i128> {
                i128::from(self).checked_mul(power_of_ten(scale))
            }
        }
    )+};
}
integers!(of_i64: i8, i16, i32, i64, u8, u16, u32);
integers!(of_u64: u64);

macro_rules! floats {
    ($($type:ty),+) => {$(
        impl Number for $type {
            #[inline(always)]
            fn of_i64(value: i64) -> Option<Self> {
                Some(value as Self)
            }
            #[inline(always)]
            fn of_u64(value: u64) -> Option<Self> {
                Some(value as Self)
            }
            #[inline(always)]
            fn of_i128(value: i128) -> Option<Self> {
                Some(value as Self)
            }
            #[inline(always)]
            fn of_float(value: f64) -> Option<Self> {
                Some(value as Self)
            }
            #[inline(always)]
            fn to<T: Number>(self) -> Option<T> {
                T::of_float(self.into())
            }
            #[inline(always)]
            fn to_decimal(self, scale: u8) -> Option<i128> {
                let digits = (f64::from(self) * 10f64.powi(scale.into())).round();
                // 2^127, which a DOUBLE holds exactly.
                const END: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
                (digits.abs() < END).then_some(digits as i128)
            }
        }
    )+};
}
floats!(f32, f64);

/// Evaluates `$body` with `$c` the typed column within a [`Column`] of integers or floating point
/// numbers.
macro_rules! each_number {
    ($column:expr, $c:ident => $body:expr) => {
        each_integer!($column, $c => $body, other => match other {
            Column::F32($c) => $body,
            Column::F64($c) => $body,
            other => unreachable!("{:?} is no number", other.physical()),
        })
    };
}

/// Integers and floating point numbers to such.
pub(super) fn numbers(from: &Column, out: &mut Column, failed: &mut Vec<u32>) {
    each_number!(from, from => each_number!(out, out => map(from, out, failed, |v| v.to())));
}

pub(super) fn from_bools(from: &Bools, out: &mut Column) {
    fn fill<T: Number>(from: &Bools, out: &mut Fixed<T>) {
        copy(&from.validity, &mut out.validity);
        out.values.clear();
        let bits = (0..from.values.len()).map(|i| T::of_i64(from.values.get(i).into()));
        out.values.extend(bits.map(Option::unwrap_or_default));
    }
    each_number!(out, out => fill(from, out));
}

/// All but zero is true.
pub(super) fn to_bools(from: &Column, out: &mut Bools) {
    fn fill<T: Number>(from: &Fixed<T>, out: &mut Bools) {
        copy(&from.validity, &mut out.validity);
        let rows = from.values.len();
        out.values.fill_words(rows, |w| {
            let values = &from.values[w * 64..rows.min(w * 64 + 64)];
            let bit = |(i, v): (usize, &T)| u64::from(*v != T::default()) << i;
            values.iter().enumerate().map(bit).sum()
        });
    }
    each_number!(from, from => fill(from, out));
}

pub(super) fn to_decimal(
    from: &Column,
    precision: u8,
    scale: u8,
    out: &mut Fixed<i128>,
    failed: &mut Vec<u32>,
) {
    each_number!(from, from => map(from, out, failed, |v| {
        v.to_decimal(scale).filter(|v| fits(*v, precision))
    }));
}

/// To an integer what is behind the point is cut off.
pub(super) fn from_decimal(from: &Fixed<i128>, scale: u8, out: &mut Column, failed: &mut Vec<u32>) {
    let (one, divisor) = (power_of_ten(scale), 10f64.powi(scale.into()));
    match out {
        Column::F32(out) => map(from, out, failed, |v| Some((v as f64 / divisor) as f32)),
        Column::F64(out) => map(from, out, failed, |v| Some(v as f64 / divisor)),
        out => each_number!(out, out => map(from, out, failed, |v| {
            Number::of_i128(v / one)
        })),
    }
}

/// To another scale, rounded half away from zero.
pub(super) fn rescale(
    from: &Fixed<i128>,
    scale: u8,
    precision: u8,
    to_scale: u8,
    out: &mut Fixed<i128>,
    failed: &mut Vec<u32>,
) {
    if to_scale >= scale {
        let factor = power_of_ten(to_scale - scale);
        return map(from, out, failed, |v| {
            v.checked_mul(factor).filter(|v| fits(*v, precision))
        });
    }
    let divisor = power_of_ten(scale - to_scale);
    map(from, out, failed, |v| {
        let (quotient, rest) = (v / divisor, v % divisor);
        let up = i128::from(rest.abs() >= divisor / 2) * v.signum();
        Some(quotient + up).filter(|v| fits(*v, precision))
    });
}
