//! Casts, with the meaning that arrow-cast gives them; a value that does not fit is an error, or
//! NULL for TRY_CAST.

mod number;
mod print;
mod read;
mod temporal;

use arrow_schema::DataType;

use super::arithmetic::copy;
use super::node::Run;
use crate::column::{Column, Fixed};
use crate::error::{Error, Result};
use crate::schema::{physical, sql_name, unit_nanos};

const DAY_SECONDS: i64 = 86_400;
const SECOND_NANOS: i64 = 1_000_000_000;

/// What becomes of a value that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    Err,
    Null,
}

/// A cast, ready to be run.
#[derive(Debug)]
pub(super) struct Cast {
    kind: Kind,
    from: DataType,
    to: DataType,
    on_failure: OnFailure,
    /// Rows that failed.
    failed: Vec<u32>,
}

/// Which cast; factors are ratios of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The values stay.
    Same,
    /// Between integers and floating point numbers; also of an integer to a time and back.
    Number,
    BoolToNumber,
    NumberToBool,
    /// Of an integer or floating point number: precision and scale.
    ToDecimal(u8, u8),
    /// To an integer or floating point number: the scale.
    FromDecimal(u8),
    /// The scale before, then precision and scale.
    Rescale(u8, u8, u8),
    /// To a finer unit, or of days to a timestamp: times the factor.
    Finer(i64),
    /// To a coarser unit: divided by the factor, towards zero.
    Coarser(i64),
    /// Divided by the units of a day, towards the past.
    TimestampToDate(i64),
    /// Units of a day, nanoseconds of both units.
    TimestampToTime(i64, i64, i64),
    BinaryToText,
    TextToBinary,
    ToText,
    FromText,
}

/// Whether there is a cast.
pub fn castable(from: &DataType, to: &DataType) -> bool {
    kind(from, to).is_some()
}

fn is_plain_number(t: &DataType) -> bool {
    t.is_integer() || matches!(t, DataType::Float32 | DataType::Float64)
}

/// Nanoseconds of a unit of a time of day or a length of time.
fn nanos_of(t: &DataType) -> Option<i64> {
    match t {
        DataType::Time32(unit) | DataType::Time64(unit) | DataType::Duration(unit) => {
            Some(unit_nanos(*unit))
        }
        _ => None,
    }
}

fn kind(from: &DataType, to: &DataType) -> Option<Kind> {
    use DataType::{
        Binary, Boolean, Date32, Decimal128, Duration, Int32, Int64, List, Struct, Time32, Time64,
        Timestamp, Utf8,
    };
    let width = physical(from)?;
    let same_width = Some(width) == physical(to);
    physical(to)?;
    let day = |unit| DAY_SECONDS * (SECOND_NANOS / unit_nanos(unit));
    let ratio = |a: i64, b: i64| match a >= b {
        true => Kind::Finer(a / b),
        false => Kind::Coarser(b / a),
    };
    Some(match (from, to) {
        (a, b) if a == b => Kind::Same,
        (List(_) | Struct(_), _) | (_, List(_) | Struct(_)) => return None,
        (Boolean, t) if is_plain_number(t) => Kind::BoolToNumber,
        (t, Boolean) if is_plain_number(t) => Kind::NumberToBool,
        (a, b) if is_plain_number(a) && is_plain_number(b) => Kind::Number,
        (Decimal128(_, a), Decimal128(p, b)) => {
            Kind::Rescale(a.unsigned_abs(), *p, b.unsigned_abs())
        }
        (t, Decimal128(p, s)) if is_plain_number(t) => Kind::ToDecimal(*p, s.unsigned_abs()),
        (Decimal128(_, s), t) if is_plain_number(t) => Kind::FromDecimal(s.unsigned_abs()),
        (Timestamp(a, None), Timestamp(b, None)) => ratio(unit_nanos(*a), unit_nanos(*b)),
        (Time32(_) | Time64(_), Time32(_) | Time64(_)) | (Duration(_), Duration(_)) => {
            ratio(nanos_of(from)?, nanos_of(to)?)
        }
        (Date32, Timestamp(unit, None)) => Kind::Finer(day(*unit)),
        (Timestamp(unit, None), Date32) => Kind::TimestampToDate(day(*unit)),
        (Timestamp(unit, None), Time32(_) | Time64(_)) => {
            Kind::TimestampToTime(day(*unit), unit_nanos(*unit), nanos_of(to)?)
        }
        // Units and days as they are.
        (Int32 | Int64, t) | (t, Int32 | Int64) if same_width && t.is_temporal() => Kind::Number,
        (Date32, Int64) => Kind::Number,
        (Utf8, Binary) => Kind::TextToBinary,
        (Binary, Utf8) => Kind::BinaryToText,
        // It has no text that both directions agree on yet.
        (Utf8, Duration(_)) | (Duration(_), Utf8) => return None,
        (Utf8, _) => Kind::FromText,
        (_, Utf8) => Kind::ToText,
        _ => return None,
    })
}

impl Cast {
    pub(super) fn new(from: &DataType, to: &DataType, on_failure: OnFailure) -> Result<Self> {
        let Some(kind) = kind(from, to) else {
            return Err(Error::Program(format!(
                "there is no CAST of {from} to {to}"
            )));
        };
        Ok(Self {
            kind,
            from: from.clone(),
            to: to.clone(),
            on_failure,
            failed: Vec::new(),
        })
    }

    /// Replaces `out` by `from`, cast.
    pub(super) fn run(&mut self, from: &Column, out: &mut Column, run: &mut Run<'_>) {
        self.failed.clear();
        let failed = &mut self.failed;
        match (self.kind, from, &mut *out) {
            (Kind::Same, ..) => {
                out.clear();
                out.append_all(from);
            }
            (Kind::Number, ..) => number::numbers(from, out, failed),
            (Kind::BoolToNumber, Column::Bool(from), out) => number::from_bools(from, out),
            (Kind::NumberToBool, _, Column::Bool(out)) => number::to_bools(from, out),
            (Kind::ToDecimal(p, s), _, Column::I128(out)) => {
                number::to_decimal(from, p, s, out, failed);
            }
            (Kind::FromDecimal(s), Column::I128(from), _) => {
                number::from_decimal(from, s, out, failed);
            }
            (Kind::Rescale(a, p, b), Column::I128(from), Column::I128(out)) => {
                number::rescale(from, a, p, b, out, failed);
            }
            (Kind::Finer(factor), ..) => {
                temporal::units(from, out, failed, |v| v.checked_mul(factor));
            }
            (Kind::Coarser(factor), ..) => {
                temporal::units(from, out, failed, |v| Some(v / factor));
            }
            (Kind::TimestampToDate(day), ..) => {
                temporal::units(from, out, failed, |v| Some(v.div_euclid(day)));
            }
            (Kind::TimestampToTime(day, a, b), ..) => {
                temporal::units(from, out, failed, |v| Some(v.rem_euclid(day) * a / b));
            }
            (Kind::TextToBinary, Column::Utf8(from), Column::Binary(out)) => {
                out.clear();
                (0..from.validity.len()).for_each(|i| out.push(from.get(i).map(str::as_bytes)));
            }
            (Kind::BinaryToText, Column::Binary(from), Column::Utf8(out)) => {
                read::text_of_binary(from, out, failed);
            }
            (Kind::ToText, _, Column::Utf8(out)) => {
                print::print(from, &self.from, out, run.text, failed);
            }
            (Kind::FromText, Column::Utf8(from), _) => read::read(from, &self.to, out, failed),
            _ => unreachable!("types are checked before"),
        }
        if !self.failed.is_empty() {
            self.settle(from, out, run);
        }
    }

    /// What becomes of the values that did not fit, which are zero so far.
    #[cold]
    fn settle(&self, from: &Column, out: &mut Column, run: &mut Run<'_>) {
        for &row in &self.failed {
            let row = row as usize;
            match self.on_failure {
                OnFailure::Null => out.validity_mut().set_null(row),
                OnFailure::Err => run.fail(row, || self.message(from, row)),
            }
        }
    }

    fn message(&self, from: &Column, row: usize) -> String {
        match (self.kind, from) {
            (Kind::FromText, Column::Utf8(texts)) => {
                let text = crate::format::time::shorten(texts.value(row));
                format!("{text} is no {}", sql_name(&self.to))
            }
            (Kind::BinaryToText, _) => "bytes that are no text in CAST".to_owned(),
            (Kind::ToText, _) => format!("{} out of range in CAST", sql_name(&self.from)),
            _ => format!("{} out of range in CAST", sql_name(&self.to)),
        }
    }
}

/// Replaces `out` by `f` of each value, zero where that is `None`; notes which rows those are.
#[inline(always)]
fn map<A: Copy + Default, B: Copy + Default>(
    from: &Fixed<A>,
    out: &mut Fixed<B>,
    failed: &mut Vec<u32>,
    f: impl Fn(A) -> Option<B>,
) {
    copy(&from.validity, &mut out.validity);
    out.values.clear();
    let mut any = false;
    out.values.extend(from.values.iter().map(|&v| {
        let value = f(v);
        any |= value.is_none();
        value.unwrap_or_default()
    }));
    if any {
        // A NULL's value is zero, which always fits.
        let rows = from.values.iter().enumerate();
        failed.extend(
            rows.filter(|(_, v)| f(**v).is_none())
                .map(|(i, _)| i as u32),
        );
    }
}
