//! Casts of text: numbers, booleans, dates and times, read whole.

use std::str::FromStr;

use arrow_schema::DataType;

use crate::column::{Binaries, Bools, Column, Fixed, Strings};
use crate::format::decimal::parse_decimal;
use crate::format::span::parse_time;
use crate::format::time::{parse_date, parse_timestamp};

/// Replaces `out`, a column of type `to`, by the values that texts stand for; notes rows that
/// stand for none.
pub(super) fn read(from: &Strings, to: &DataType, out: &mut Column, failed: &mut Vec<u32>) {
    match (out, to) {
        (Column::Bool(out), _) => booleans(from, out, failed),
        (Column::I32(out), DataType::Date32) => fill(from, out, failed, |t| parse_date(t).ok()),
        (Column::I32(out), DataType::Time32(unit)) => {
            fill(from, out, failed, |t| {
                i32::try_from(parse_time(t, *unit).ok()?).ok()
            });
        }
        (Column::I64(out), DataType::Time64(unit)) => {
            fill(from, out, failed, |t| parse_time(t, *unit).ok());
        }
        (Column::I64(out), DataType::Timestamp(unit, _)) => {
            // A day alone is its midnight.
            fill(from, out, failed, |t| {
                let midnight = |_| parse_timestamp(&format!("{t} 00:00:00"), *unit);
                parse_timestamp(t, *unit).or_else(midnight).ok()
            });
        }
        (Column::I128(out), DataType::Decimal128(p, s)) => {
            fill(from, out, failed, |t| {
                parse_decimal(t, *p, s.unsigned_abs()).ok()
            });
        }
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

fn parse<T: Copy + Default + FromStr>(from: &Strings, out: &mut Fixed<T>, failed: &mut Vec<u32>) {
    fill(from, out, failed, |text| text.parse().ok());
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
    out.clear();
    for i in 0..from.validity.len() {
        let value = from.get(i).map(|text| {
            let text = text.trim().to_ascii_lowercase();
            match text.as_str() {
                "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" | "on" | "1" => true,
                "f" | "fa" | "fal" | "fals" | "false" | "n" | "no" | "of" | "off" | "0" => false,
                _ => {
                    failed.push(i as u32);
                    false
                }
            }
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
