//! Arithmetic of DECIMALs: integers of 128 bits that are brought to one scale first. A result of
//! more digits than its type has is an error.

use arrow_schema::DataType;

use super::arithmetic::{copy, noun};
use super::binary::Arg;
use super::node::Run;
use crate::column::{Fixed, Validity};
use crate::expr::{BinaryOp, decimal_type};
use crate::format::decimal::power_of_ten;

/// What the sides are multiplied with, and what the result's digits stay below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Factors {
    left: i128,
    right: i128,
    below: i128,
}

impl Factors {
    /// Those of an arithmetic operation of two DECIMALs, `None` for others.
    pub(super) fn new(op: BinaryOp, left: &DataType, right: &DataType) -> Option<Self> {
        let result = decimal_type(op, left, right)?;
        let scale = |t: &DataType| match t {
            DataType::Decimal128(_, scale) => *scale,
            _ => 0,
        };
        let DataType::Decimal128(precision, result_scale) = result else {
            return None;
        };
        let power = |exponent: i8| power_of_ten(exponent.max(0).unsigned_abs());
        let (left, right) = match op {
            BinaryOp::Mul => (1, 1),
            BinaryOp::Div => {
                let shift = result_scale - scale(left) + scale(right);
                (power(shift), power(-shift))
            }
            _ => (
                power(result_scale - scale(left)),
                power(result_scale - scale(right)),
            ),
        };
        let below = power_of_ten(precision);
        Some(Self { left, right, below })
    }

    #[inline(always)]
    fn apply(self, op: BinaryOp, a: i128, b: i128) -> Option<i128> {
        let (a, b) = (a.checked_mul(self.left)?, b.checked_mul(self.right)?);
        let value = match op {
            BinaryOp::Add => a.checked_add(b),
            BinaryOp::Sub => a.checked_sub(b),
            BinaryOp::Mul => a.checked_mul(b),
            BinaryOp::Div => a.checked_div(b),
            BinaryOp::Rem => a.checked_rem(b),
            _ => unreachable!("types are checked before"),
        };
        value.filter(|v| -self.below < *v && *v < self.below)
    }
}

/// `+ - * / %`.
pub(super) fn binary(
    op: BinaryOp,
    factors: Factors,
    left: Arg<'_, i128>,
    right: Arg<'_, i128>,
    out: &mut Fixed<i128>,
    run: &mut Run<'_>,
) {
    let rows = match (left, right) {
        (Arg::Rows(l), Arg::Rows(r)) => {
            out.validity.fill_both(&l.validity, &r.validity);
            l.values.len()
        }
        (Arg::Rows(rows), Arg::One(_)) | (Arg::One(_), Arg::Rows(rows)) => {
            copy(&rows.validity, &mut out.validity);
            rows.values.len()
        }
        (Arg::One(_), Arg::One(_)) => unreachable!("one side is broadcast"),
    };
    out.values.clear();
    let mut failed = false;
    out.values.extend((0..rows).map(|i| {
        let value = factors.apply(op, left.get(i), right.get(i));
        failed |= value.is_none();
        value.unwrap_or_default()
    }));
    out.zero_nulls();
    if failed {
        locate(op, factors, left, right, &out.validity, run);
    }
}

#[cold]
fn locate(
    op: BinaryOp,
    factors: Factors,
    left: Arg<'_, i128>,
    right: Arg<'_, i128>,
    validity: &Validity,
    run: &mut Run<'_>,
) {
    for i in (0..validity.len()).filter(|&i| validity.is_valid(i)) {
        if factors.apply(op, left.get(i), right.get(i)).is_none() {
            let by_zero = right.get(i) == 0 && matches!(op, BinaryOp::Div | BinaryOp::Rem);
            run.fail(i, || match by_zero {
                true => "division by zero".to_owned(),
                false => format!("DECIMAL out of range in {}", noun(op)),
            });
        }
    }
}
