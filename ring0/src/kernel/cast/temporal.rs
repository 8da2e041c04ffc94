//! Casts between dates, times and timestamps: integers of 32 or 64 bits in one unit or another.

use super::map;
use crate::column::Column;

/// Replaces `out` by `f` of each value, in the width of `out`.
pub(super) fn units(
    from: &Column,
    out: &mut Column,
    failed: &mut Vec<u32>,
    f: impl Fn(i64) -> Option<i64>,
) {
    let narrow = |v: i64| i32::try_from(v).ok();
    match (from, out) {
        (Column::I64(from), Column::I64(out)) => map(from, out, failed, f),
        (Column::I32(from), Column::I64(out)) => map(from, out, failed, |v| f(v.into())),
        (Column::I64(from), Column::I32(out)) => {
            map(from, out, failed, |v| f(v).and_then(narrow));
        }
        (Column::I32(from), Column::I32(out)) => {
            map(from, out, failed, |v| f(v.into()).and_then(narrow));
        }
        _ => unreachable!("types are checked before"),
    }
}
