//! Text of values, character for character as arrow-cast prints them, and the case of text.

use std::fmt::Write;

use crate::column::Strings;
use crate::format::time::civil_of_days;

/// The days that chrono, and with it arrow, can print: the years -262143 to 262142.
pub(super) const DAYS: std::ops::RangeInclusive<i64> = -96_465_292..=95_026_236;
const DAY_SECONDS: i64 = 86_400;

/// Decimal digits.
pub(super) fn number(value: impl std::fmt::Display, out: &mut String) -> Option<()> {
    write!(out, "{value}").ok()
}

/// The shortest digits that read back as the same value.
pub(super) fn float(value: f32, out: &mut String) -> Option<()> {
    // As for `double`.
    if (1e-5..1e-4).contains(&value.abs()) {
        write!(out, "{value}").ok()
    } else {
        write!(out, "{value:?}").ok()
    }
}

/// The shortest digits that read back as the same value.
pub(super) fn double(value: f64, out: &mut String) -> Option<()> {
    // Ryu, which arrow prints with, writes an exponent from 1e-6 downwards, Rust from 1e-5.
    if (1e-5..1e-4).contains(&value.abs()) {
        write!(out, "{value}").ok()
    } else {
        write!(out, "{value:?}").ok()
    }
}

/// `YYYY-MM-DD` of days since 1970-01-01; a sign before other years than 0 to 9999.
pub(super) fn date(days: i64, out: &mut String) -> Option<()> {
    if !DAYS.contains(&days) {
        return None;
    }
    let (year, month, day) = civil_of_days(days);
    if (0..=9999).contains(&year) {
        write!(out, "{year:04}-{month:02}-{day:02}").ok()
    } else {
        write!(out, "{year:+05}-{month:02}-{day:02}").ok()
    }
}

/// `YYYY-MM-DDThh:mm:ss` with 0, 3, 6 or 9 digits of the second's fraction; `per_second` units
/// make a second.
pub(super) fn timestamp(value: i64, per_second: i64, out: &mut String) -> Option<()> {
    let seconds = value.div_euclid(per_second);
    let nanos = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
    date(seconds.div_euclid(DAY_SECONDS), out)?;
    out.push('T');
    clock(seconds.rem_euclid(DAY_SECONDS), nanos, out)
}

/// A time of day, as in [`timestamp`].
pub(super) fn time(value: i64, per_second: i64, out: &mut String) -> Option<()> {
    let day = DAY_SECONDS * per_second;
    let nanos = value % per_second * (1_000_000_000 / per_second);
    (0..day).contains(&value).then_some(())?;
    clock(value / per_second, nanos, out)
}

fn clock(second: i64, nanos: i64, out: &mut String) -> Option<()> {
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    write!(out, "{h:02}:{m:02}:{s:02}").ok()?;
    match nanos {
        0 => Some(()),
        n if n % 1_000_000 == 0 => write!(out, ".{:03}", n / 1_000_000).ok(),
        n if n % 1_000 == 0 => write!(out, ".{:06}", n / 1_000).ok(),
        n => write!(out, ".{n:09}").ok(),
    }
}

/// UPPER, of all of Unicode.
pub(super) fn upper(from: &Strings, out: &mut Strings, buffer: &mut String) {
    change(from, out, buffer, |text, to| {
        if text.is_ascii() {
            to.push_str(text);
            to.make_ascii_uppercase();
        } else {
            to.extend(text.chars().flat_map(char::to_uppercase));
        }
    });
}

/// LOWER, of all of Unicode.
pub(super) fn lower(from: &Strings, out: &mut Strings, buffer: &mut String) {
    change(from, out, buffer, |text, to| {
        // A sigma has another small letter at the end of a word: who knows words allocates.
        if text.is_ascii() {
            to.push_str(text);
            to.make_ascii_lowercase();
        } else if text.contains('Σ') {
            to.push_str(&text.to_lowercase());
        } else {
            to.extend(text.chars().flat_map(char::to_lowercase));
        }
    });
}

fn change(
    from: &Strings,
    out: &mut Strings,
    buffer: &mut String,
    change: impl Fn(&str, &mut String),
) {
    out.clear();
    for i in 0..from.validity.len() {
        let text = from.get(i);
        buffer.clear();
        if let Some(text) = text {
            change(text, buffer);
        }
        out.push(text.map(|_| buffer.as_str()));
    }
}
