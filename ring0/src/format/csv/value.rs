//! A field's text on its way into a column. NULL is an unquoted field with the dialect's text for
//! it (none, as a rule); and an empty field of any type but VARCHAR, quoted or not.
//!
//! BOOLEAN is `true` or `false` in any case; BIGINT has digits and may have a sign; DOUBLE is
//! decimal, or one of `NaN`, `Infinity` and `-Infinity`; dates and timestamps are as in JSON.

use std::num::IntErrorKind;

use crate::column::Column;
use crate::format::ndjson::Op;
use crate::format::number;
use crate::format::time::{date, parse_date, parse_timestamp, shorten, timestamp};

/// Appends the text of a field.
///
/// # Errors
/// Where it is no value of the column's type.
pub(super) fn append(op: Op, text: &str, column: &mut Column) -> Result<(), String> {
    match (op, column) {
        (Op::Varchar, Column::Utf8(c)) => c.push(Some(text)),
        (Op::Boolean, Column::Bool(c)) => {
            let words = [("true", true), ("false", false)];
            let word = words.iter().find(|(w, _)| text.eq_ignore_ascii_case(w));
            c.push(Some(word.ok_or_else(|| refused(op, text))?.1));
        }
        (Op::Date, Column::I32(c)) => c.push(Some(parse_date(text)?)),
        (Op::Timestamp(unit), Column::I64(c)) => c.push(Some(parse_timestamp(text, unit)?)),
        (Op::BigInt, Column::I64(c)) => {
            let value = text.parse::<i64>().map_err(|e| match e.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
                    format!("{} is out of range for BIGINT", shorten(text))
                }
                _ => refused(op, text),
            })?;
            c.push(Some(value));
        }
        (Op::Double, Column::F64(c)) => c.push(Some(double(text)?)),
        _ => return Err(refused(op, text)),
    }
    Ok(())
}

fn double(text: &str) -> Result<f64, String> {
    match text {
        "NaN" => return Ok(f64::NAN),
        "Infinity" => return Ok(f64::INFINITY),
        "-Infinity" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let decimal = digits.starts_with(|c: char| c == '.' || c.is_ascii_digit());
    let value: f64 = match text.parse() {
        Ok(value) if decimal => value,
        _ => return Err(refused(Op::Double, text)),
    };
    if !value.is_finite() {
        return Err(format!("{} is out of range for DOUBLE", shorten(text)));
    }
    Ok(value)
}

/// Whether fields of a file can become values of the type.
pub(super) fn is_known(op: Op) -> bool {
    !matches!(op, Op::Skip | Op::End | Op::Doubt)
}

fn sql_name(op: Op) -> &'static str {
    match op {
        Op::Boolean => "BOOLEAN",
        Op::Date => "DATE",
        Op::BigInt => "BIGINT",
        Op::Timestamp(_) => "TIMESTAMP",
        Op::Double => "DOUBLE",
        Op::Varchar => "VARCHAR",
        Op::Skip | Op::End | Op::Doubt => unreachable!("the types of columns are known"),
    }
}

#[cold]
fn refused(op: Op, text: &str) -> String {
    format!("expected {}, found {}", sql_name(op), shorten(text))
}

/// Appends the text of the unquoted field from `start` to `end`, which is not empty; says whether
/// it did. It takes what most values are, and refuses what [`append`] might still take.
#[inline(always)]
pub(super) fn append_quickly(
    op: Op,
    bytes: &[u8],
    start: usize,
    end: usize,
    column: &mut Column,
) -> bool {
    match (op, column) {
        (Op::BigInt, Column::I64(c)) => {
            let number = number::integer(bytes, start).filter(|n| n.1 == end);
            number.map(|(value, _)| c.push(Some(value))).is_some()
        }
        (Op::Double, Column::F64(c)) => {
            let number = number::double(bytes, start).filter(|n| n.1 == end);
            number.map(|(value, _)| c.push(Some(value))).is_some()
        }
        (Op::Varchar, Column::Utf8(c)) => {
            let text = std::str::from_utf8(&bytes[start..end]);
            text.map(|text| c.push(Some(text))).is_ok()
        }
        (Op::Timestamp(unit), Column::I64(c)) => {
            let value = timestamp(&bytes[start..end], unit);
            value.map(|value| c.push(Some(value))).is_some()
        }
        (Op::Date, Column::I32(c)) => {
            let value = date(&bytes[start..end]);
            value.map(|value| c.push(Some(value))).is_some()
        }
        (Op::Boolean, Column::Bool(c)) => {
            let value = match &bytes[start..end] {
                b"true" => true,
                b"false" => false,
                _ => return false,
            };
            c.push(Some(value));
            true
        }
        _ => false,
    }
}
