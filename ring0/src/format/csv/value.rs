//! A field's text on its way into a column. NULL is an unquoted field with the dialect's text for
//! it (none, as a rule); an empty field, quoted or not, of any type but VARCHAR and BYTEA; and
//! JSON's null.
//!
//! VARCHAR(n) has at most so many characters; JSON is any JSON value, BYTEA hexadecimal digits,
//! INTERVAL what PostgreSQL prints, or ISO 8601. BOOLEAN is `true` or `false` in any case; integers
//! have digits and may have a sign; FLOAT and DOUBLE are decimal, or one of `NaN`, `Infinity` and
//! `-Infinity`; so is DECIMAL without these words; dates, times and timestamps are as in JSON.
//! Lists and structs are JSON arrays and objects, and all that is inside of them is as there.

use std::num::IntErrorKind;

use crate::column::Column;
use crate::format::decimal::parse_decimal;
use crate::format::ndjson::{Op, bytes, float, is_within, push_integer, within};
use crate::format::number;
use crate::format::span::{parse_span, parse_time, time};
use crate::format::time::{date, parse_date, parse_timestamp, shorten, since_1970, timestamp};
use crate::schema::Physical;

/// Appends the text of a field.
///
/// # Errors
/// Where it is no value of the column's type.
pub(super) fn append(op: Op, text: &str, column: &mut Column) -> Result<(), String> {
    match (op, column) {
        (Op::Varchar, Column::Utf8(c)) => c.push(Some(text)),
        (Op::Text(max), Column::Utf8(c)) => c.push(Some(within(text, max)?)),
        (Op::Json, Column::Utf8(c)) => {
            let text = text.trim_ascii();
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            c.push(Some(
                is_json
                    .then_some(text)
                    .ok_or_else(|| refused("JSON", text))?,
            ));
        }
        (Op::Binary, Column::Binary(c)) => {
            let value = bytes(text).ok_or_else(|| refused("BINARY in hexadecimal", text))?;
            c.push(Some(&value));
        }
        (Op::Interval, Column::Interval(c)) => c.push(Some(parse_span(text)?)),
        (Op::Boolean, Column::Bool(c)) => {
            let words = [("true", true), ("false", false)];
            let word = words.iter().find(|(w, _)| text.eq_ignore_ascii_case(w));
            c.push(Some(word.ok_or_else(|| refused("BOOLEAN", text))?.1));
        }
        (Op::Date, Column::I32(c)) => c.push(Some(parse_date(text)?)),
        (Op::Timestamp(unit), Column::I64(c)) => c.push(Some(parse_timestamp(text, unit)?)),
        (Op::Instant(unit, epoch), Column::I64(c)) => match text.parse::<i128>() {
            Ok(count) => {
                let value = since_1970(count, epoch, unit);
                c.push(Some(value.ok_or_else(|| out_of_range("TIMESTAMP", text))?));
            }
            Err(_) => c.push(Some(parse_timestamp(text, unit)?)),
        },
        (Op::Integer, column) => {
            let pushed = match text.parse::<i128>() {
                Ok(value) => push_integer(column, value),
                Err(e) => match e.kind() {
                    IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => None,
                    _ => return Err(refused(integer_name(column), text)),
                },
            };
            pushed.ok_or_else(|| out_of_range(integer_name(column), text))?;
        }
        (Op::Time(unit), column) => {
            let time = parse_time(text, unit)?;
            push_integer(column, time.into()).expect("a time of day fits its type");
        }
        (Op::Float, Column::F32(c)) => {
            let value = double(text, "FLOAT")?;
            // The words for what has no end stay what they are.
            let float = match value.is_finite() {
                true => float(value),
                false => Some(value as f32),
            };
            c.push(Some(float.ok_or_else(|| out_of_range("FLOAT", text))?));
        }
        (Op::Double, Column::F64(c)) => c.push(Some(double(text, "DOUBLE")?)),
        (Op::Decimal(precision, scale), Column::I128(c)) => {
            // Blanks are no part of a number here, whatever a JSON string may have.
            if text.len() != text.trim_ascii().len() {
                return Err(format!("invalid decimal {}", shorten(text)));
            }
            c.push(Some(parse_decimal(text, precision, scale)?));
        }
        (op, column) => unreachable!("{op:?} into a column of {:?}", column.physical()),
    }
    Ok(())
}

fn double(text: &str, name: &str) -> Result<f64, String> {
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
        _ => return Err(refused(name, text)),
    };
    if !value.is_finite() {
        return Err(out_of_range(name, text));
    }
    Ok(value)
}

/// What a column of integers is called in SQL.
fn integer_name(column: &Column) -> &'static str {
    match column.physical() {
        Physical::I8 => "TINYINT",
        Physical::I16 => "SMALLINT",
        Physical::I32 => "INTEGER",
        Physical::I64 => "BIGINT",
        Physical::U8 => "TINYINT UNSIGNED",
        Physical::U16 => "SMALLINT UNSIGNED",
        Physical::U32 => "INTEGER UNSIGNED",
        Physical::U64 => "BIGINT UNSIGNED",
        other => unreachable!("{other:?} is no integer"),
    }
}

#[cold]
fn refused(name: &str, text: &str) -> String {
    format!("expected {name}, found {}", shorten(text))
}

#[cold]
fn out_of_range(name: &str, text: &str) -> String {
    format!("{} is out of range for {name}", shorten(text))
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
        (Op::Integer, Column::I64(c)) => {
            let number = number::integer(bytes, start).filter(|n| n.1 == end);
            number.map(|(value, _)| c.push(Some(value))).is_some()
        }
        (Op::Double, Column::F64(c)) => {
            if let Some(value) = number::short_double(bytes, start, end) {
                c.push(Some(value));
                return true;
            }
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
        (op, column) => append_rarer(op, bytes, start, end, column).is_some(),
    }
}

/// [`append_quickly`] of types that are not in most records.
#[inline(never)]
fn append_rarer(op: Op, bytes: &[u8], start: usize, end: usize, column: &mut Column) -> Option<()> {
    match (op, column) {
        (Op::Integer, column) => {
            let (value, _) = number::integer(bytes, start).filter(|n| n.1 == end)?;
            push_integer(column, value.into())
        }
        (Op::Float, Column::F32(c)) => {
            let (value, _) = number::double(bytes, start).filter(|n| n.1 == end)?;
            c.push(Some(float(value)?));
            Some(())
        }
        (Op::Instant(unit, epoch), Column::I64(c)) => {
            let count = number::integer(bytes, start).filter(|n| n.1 == end);
            c.push(Some(match count {
                Some((count, _)) => since_1970(count.into(), epoch, unit)?,
                None => timestamp(&bytes[start..end], unit)?,
            }));
            Some(())
        }
        (Op::Time(unit), column) => push_integer(column, time(&bytes[start..end], unit)?.into()),
        (Op::Text(max), Column::Utf8(c)) => {
            let text = std::str::from_utf8(&bytes[start..end]).ok()?;
            let is_within = is_within(text, max);
            is_within.then(|| c.push(Some(text)))
        }
        (Op::Decimal(precision, scale), Column::I128(c)) => {
            number::end(bytes, start).filter(|&found| found == end)?;
            let text = std::str::from_utf8(&bytes[start..end]).ok()?;
            c.push(Some(parse_decimal(text, precision, scale).ok()?));
            Some(())
        }
        _ => None,
    }
}
