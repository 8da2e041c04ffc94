//! Casts of text: numbers, booleans, dates and times, read whole.

use std::str::FromStr;

use arrow_schema::{DataType, TimeUnit};

use crate::column::{Binaries, Bools, Column, Fixed, Strings};
use crate::format::decimal::parse_decimal;
use crate::format::span::{parse_span, parse_time};
use crate::format::time::{parse_date, parse_timestamp};
use crate::schema::unit_nanos;

use super::{DAY_SECONDS, SECOND_NANOS};

/// Replaces `out`, a column of type `to`, by the values that texts stand for; notes rows that
/// stand for none.
pub(super) fn read(from: &Strings, to: &DataType, out: &mut Column, failed: &mut Vec<u32>) {
    match (out, to) {
        (Column::Bool(out), _) => booleans(from, out, failed),
        (Column::I32(out), DataType::Date32) => fill(from, out, failed, date),
        (Column::I32(out), DataType::Time32(unit)) => {
            fill(from, out, failed, |t| i32::try_from(time(t, *unit)?).ok());
        }
        (Column::I64(out), DataType::Time64(unit)) => {
            fill(from, out, failed, |t| time(t, *unit));
        }
        (Column::I64(out), DataType::Timestamp(unit, _)) => {
            // A day alone is its midnight.
            let day = DAY_SECONDS * (SECOND_NANOS / unit_nanos(*unit));
            let midnight = |t: &str| i64::from(parse_date(t).ok()?).checked_mul(day);
            fill(from, out, failed, |t| {
                parse_timestamp(t, *unit).ok().or_else(|| midnight(t))
            });
        }
        (Column::I128(out), DataType::Decimal128(p, s)) => {
            // A text with an exponent is no DECIMAL, as in DataFusion.
            let is_plain = |t: &&str| !t.contains(['e', 'E']);
            fill(from, out, failed, |t| {
                let text = Some(t.trim_ascii()).filter(is_plain)?;
                parse_decimal(text, *p, s.unsigned_abs()).ok()
            });
        }
        (Column::Interval(out), _) => fill(from, out, failed, |t| parse_span(t).ok()),
        (Column::I8(out), _) => parse(from, out, failed),
        (Column::I16(out), _) => parse(from, out, failed),
        (Column::I32(out), _) => parse(from, out, failed),
        (Column::I64(out), _) => parse(from, out, failed),
        (Column::U8(out), _) => parse(from, out, failed),
        (Column::U16(out), _) => parse(from, out, failed),
        (Column::U32(out), _) => parse(from, out, failed),
        (Column::U64(out), _) => parse(from, out, failed),
        (Column::F32(out), _) => parse(from, out, failed),
        (Column::F64(out), _) => parse(from, out, failed),
        _ => unreachable!("types are checked before"),
    }
}

/// A day, also that of a point in time.
fn date(text: &str) -> Option<i32> {
    let day_of = |seconds: i64| i32::try_from(seconds.div_euclid(DAY_SECONDS)).ok();
    parse_date(text)
        .ok()
        .or_else(|| day_of(parse_timestamp(text, TimeUnit::Second).ok()?))
}

/// A time of day, also one whose hour is a single digit.
fn time(text: &str, unit: TimeUnit) -> Option<i64> {
    match text.as_bytes() {
        [b'0'..=b'9', b':', ..] => parse_time(&format!("0{text}"), unit).ok(),
        _ => parse_time(text, unit).ok(),
    }
}

/// Blanks around a number are left out, as in PostgreSQL.
fn parse<T: Copy + Default + FromStr>(from: &Strings, out: &mut Fixed<T>, failed: &mut Vec<u32>) {
    fill(from, out, failed, |text| text.trim_ascii().parse().ok());
}

fn fill<T: Copy + Default>(
    from: &Strings,
    out: &mut Fixed<T>,
    failed: &mut Vec<u32>,
    f: impl Fn(&str) -> Option<T>,
) {
    out.clear();
    for i in 0..from.validity.len() {
        let value = from.get(i).map(|text| {
            f(text).unwrap_or_else(|| {
                failed.push(i as u32);
                T::default()
            })
        });
        out.push(value);
    }
}

fn booleans(from: &Strings, out: &mut Bools, failed: &mut Vec<u32>) {
    const YES: [&str; 9] = ["t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"];
    const NO: [&str; 10] = [
        "f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0",
    ];
    out.clear();
    for i in 0..from.validity.len() {
        let value = from.get(i).map(|text| {
            let is_one = |of: &[&str]| of.iter().any(|t| t.eq_ignore_ascii_case(text.trim()));
            let yes = is_one(&YES);
            if !yes && !is_one(&NO) {
                failed.push(i as u32);
            }
            yes
        });
        out.push(value);
    }
}

/// Bytes as the text that they are.
pub(super) fn text_of_binary(from: &Binaries, out: &mut Strings, failed: &mut Vec<u32>) {
    out.clear();
    for i in 0..from.validity.len() {
        let text = from.get(i).map(|bytes| {
            std::str::from_utf8(bytes).unwrap_or_else(|_| {
                failed.push(i as u32);
                ""
            })
        });
        out.push(text);
    }
}
