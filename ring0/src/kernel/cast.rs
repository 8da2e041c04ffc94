//! Casts, with the meaning that arrow-cast gives them; a value that does not fit is an error.

use arrow_schema::DataType;

use super::arithmetic::copy;
use super::node::Run;
use super::text;
use crate::column::{Column, Fixed, Strings};
use crate::error::{Error, Result};
use crate::schema::{physical, unit_nanos};

const DAY_SECONDS: i64 = 86_400;
const SECOND_NANOS: i64 = 1_000_000_000;

/// Which cast; factors are ratios of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CastKind {
    /// The type stays.
    Same,
    I64ToF64,
    F64ToI64,
    BoolToI64,
    /// To a finer unit, or of days to a timestamp: times the factor.
    Finer(i64),
    /// To a coarser unit: divided by the factor, towards zero.
    Coarser(i64),
    DateToTimestamp(i64),
    /// Divided by the units of a day, towards the past.
    TimestampToDate(i64),
    I64ToText,
    F64ToText,
    BoolToText,
    DateToText,
    /// With so many units a second.
    TimestampToText(i64),
}

impl CastKind {
    pub(super) fn new(from: &DataType, to: &DataType) -> Result<Self> {
        use DataType::{Boolean, Date32, Float64, Int64, Timestamp, Utf8};
        Ok(match (from, to) {
            (a, b) if a == b && physical(a).is_some() => Self::Same,
            (Int64, Float64) => Self::I64ToF64,
            (Float64, Int64) => Self::F64ToI64,
            (Boolean, Int64) => Self::BoolToI64,
            (Timestamp(a, None), Timestamp(b, None)) => {
                let (a, b) = (unit_nanos(*a), unit_nanos(*b));
                if a >= b {
                    Self::Finer(a / b)
                } else {
                    Self::Coarser(b / a)
                }
            }
            (Date32, Timestamp(unit, None)) => {
                Self::DateToTimestamp(DAY_SECONDS * (SECOND_NANOS / unit_nanos(*unit)))
            }
            (Timestamp(unit, None), Date32) => {
                Self::TimestampToDate(DAY_SECONDS * (SECOND_NANOS / unit_nanos(*unit)))
            }
            (Int64, Utf8) => Self::I64ToText,
            (Float64, Utf8) => Self::F64ToText,
            (Boolean, Utf8) => Self::BoolToText,
            (Date32, Utf8) => Self::DateToText,
            (Timestamp(unit, None), Utf8) => {
                Self::TimestampToText(SECOND_NANOS / unit_nanos(*unit))
            }
            _ => {
                return Err(Error::Program(format!(
                    "CAST of {from} to {to} is not supported yet"
                )));
            }
        })
    }
}

/// Replaces `out` by `from`, cast.
pub(super) fn cast(kind: CastKind, from: &Column, out: &mut Column, run: &mut Run<'_>) {
    match (kind, from, out) {
        (CastKind::Same, from, out) => {
            out.clear();
            out.append_all(from);
        }
        (CastKind::I64ToF64, Column::I64(from), Column::F64(out)) => {
            map(from, out, run, "DOUBLE", |v| Some(v as f64));
        }
        (CastKind::F64ToI64, Column::F64(from), Column::I64(out)) => {
            map(from, out, run, "BIGINT", truncate);
        }
        (CastKind::BoolToI64, Column::Bool(from), Column::I64(out)) => {
            copy(&from.validity, &mut out.validity);
            out.values.clear();
            let bits = (0..from.values.len()).map(|i| i64::from(from.values.get(i)));
            out.values.extend(bits);
        }
        (CastKind::Finer(factor), Column::I64(from), Column::I64(out)) => {
            map(from, out, run, "TIMESTAMP", |v| v.checked_mul(factor));
        }
        (CastKind::Coarser(factor), Column::I64(from), Column::I64(out)) => {
            map(from, out, run, "TIMESTAMP", |v| Some(v / factor));
        }
        (CastKind::DateToTimestamp(day), Column::I32(from), Column::I64(out)) => {
            map(from, out, run, "TIMESTAMP", |v| {
                i64::from(v).checked_mul(day)
            });
        }
        (CastKind::TimestampToDate(day), Column::I64(from), Column::I32(out)) => {
            map(from, out, run, "DATE", |v| {
                i32::try_from(v.div_euclid(day)).ok()
            });
        }
        (CastKind::BoolToText, Column::Bool(from), Column::Utf8(out)) => {
            out.clear();
            for i in 0..from.values.len() {
                out.push(from.get(i).map(|v| if v { "true" } else { "false" }));
            }
        }
        (CastKind::I64ToText, Column::I64(from), Column::Utf8(out)) => {
            print(from, out, run, "BIGINT", text::bigint);
        }
        (CastKind::F64ToText, Column::F64(from), Column::Utf8(out)) => {
            print(from, out, run, "DOUBLE", text::double);
        }
        (CastKind::DateToText, Column::I32(from), Column::Utf8(out)) => {
            print(from, out, run, "DATE", |v, to| text::date(i64::from(v), to));
        }
        (CastKind::TimestampToText(second), Column::I64(from), Column::Utf8(out)) => {
            print(from, out, run, "TIMESTAMP", |v, to| {
                text::timestamp(v, second, to)
            });
        }
        _ => unreachable!("types are checked before"),
    }
}

/// Towards zero; `None` where no BIGINT is near.
fn truncate(value: f64) -> Option<i64> {
    // Both bounds are powers of two, which a DOUBLE holds exactly.
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    (-BOUND..BOUND).contains(&value).then_some(value as i64)
}

/// Replaces `out` by `f` of each value; where that is `None`, the row errs.
#[inline(always)]
fn map<A: Copy + Default, B: Copy + Default>(
    from: &Fixed<A>,
    out: &mut Fixed<B>,
    run: &mut Run<'_>,
    target: &str,
    f: impl Fn(A) -> Option<B>,
) {
    copy(&from.validity, &mut out.validity);
    out.values.clear();
    let mut failed = false;
    out.values.extend(from.values.iter().map(|&v| {
        let value = f(v);
        failed |= value.is_none();
        value.unwrap_or_default()
    }));
    if failed {
        // A NULL's value is zero, which always fits.
        for (i, _) in (from.values.iter().enumerate()).filter(|(_, v)| f(**v).is_none()) {
            run.fail(i, || format!("{target} out of range in CAST"));
        }
    }
}

/// Replaces `out` by the text that `f` writes for each value; where it gives `None`, the row errs.
fn print<A: Copy + Default>(
    from: &Fixed<A>,
    out: &mut Strings,
    run: &mut Run<'_>,
    source: &str,
    f: impl Fn(A, &mut String) -> Option<()>,
) {
    out.clear();
    for i in 0..from.values.len() {
        let Some(value) = from.get(i) else {
            out.push(None);
            continue;
        };
        run.text.clear();
        if f(value, run.text).is_none() {
            run.fail(i, || format!("{source} out of range in CAST"));
        }
        out.push(Some(run.text));
    }
}
