//! Three-valued logic, 64 rows at a time. A NULL's value bit is zero, so that "true" is the value
//! bit alone and "false" is valid without it.

use crate::column::{Bitmap, Bools, Validity};
use crate::expr::BinaryOp;

#[inline(always)]
fn words(column: &Bools, w: usize) -> (u64, u64) {
    let yes = column.values.words()[w];
    (yes, column.validity.word(w) & !yes)
}

/// AND and OR.
pub(super) fn connect(op: BinaryOp, left: &Bools, right: &Bools, out: &mut Bools) {
    let len = left.values.len();
    assert_eq!(len, right.values.len(), "columns of unlike length");
    let and = op == BinaryOp::And;
    let both = |w: usize| {
        let ((l, not_l), (r, not_r)) = (words(left, w), words(right, w));
        match and {
            true => (l & r, not_l | not_r),
            false => (l | r, not_l & not_r),
        }
    };
    out.values.fill_words(len, |w| both(w).0);
    if left.validity.nulls() + right.validity.nulls() == 0 {
        out.validity.clear();
        out.validity.push_valid(len);
    } else {
        out.validity.fill_words(len, |w| both(w).0 | both(w).1);
    }
}

/// Rows whose right side counts: those where the left side does not settle the result.
pub(super) fn right_counts(op: BinaryOp, left: &Bools, active: Option<&Bitmap>, out: &mut Bitmap) {
    out.fill_words(left.values.len(), |w| {
        let (yes, no) = words(left, w);
        let settled = if op == BinaryOp::And { no } else { yes };
        active.map_or(u64::MAX, |a| a.words()[w]) & !settled
    });
}

/// NOT.
pub(super) fn not(from: &Bools, out: &mut Bools) {
    let len = from.values.len();
    super::arithmetic::copy(&from.validity, &mut out.validity);
    out.values.fill_words(len, |w| words(from, w).1);
}

/// IS NOT NULL with a mask of 0, IS NULL with one of all ones.
pub(super) fn valid_xor(from: &Validity, mask: u64, out: &mut Bools) {
    out.validity.clear();
    out.validity.push_valid(from.len());
    out.values.fill_words(from.len(), |w| from.word(w) ^ mask);
}
