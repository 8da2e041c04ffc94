//! Dates and timestamps as text. Timestamps are without zone and taken as UTC; the calendar is
//! the proleptic Gregorian one; days have 86 400 seconds, so a leap second is refused. A year
//! has four digits, or a sign and at least four.

use arrow_schema::TimeUnit;

use super::scan::{above_nine, word};
use crate::schema::unit_nanos;

const SECONDS_OF_DAY: i64 = 86_400;
/// Digits of a year: the last year of a timestamp in seconds has twelve.
const YEAR_DIGITS_MAX: usize = 12;

/// Days since 1970-01-01 of a date of the calendar.
///
/// Years are counted from March on in eras of 400, so that the leap day comes last.
pub(crate) fn days_of_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = year - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
pub(crate) fn civil_of_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Days of a month of the calendar.
pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The number that two digits at the start of `text` are.
#[inline]
fn two_digits(text: &[u8]) -> Option<i64> {
    let (tens, ones) = (
        text.first()?.wrapping_sub(b'0'),
        text.get(1)?.wrapping_sub(b'0'),
    );
    (tens <= 9 && ones <= 9).then(|| i64::from(tens) * 10 + i64::from(ones))
}

/// The year that `text` starts with, and the rest behind it.
#[inline]
fn take_year(text: &[u8]) -> Option<(i64, &[u8])> {
    let signed = matches!(text.first(), Some(b'+' | b'-'));
    let digits = &text[usize::from(signed)..];
    let count = if signed {
        digits.iter().take_while(|b| b.is_ascii_digit()).count()
    } else {
        4
    };
    if !(4..=YEAR_DIGITS_MAX).contains(&count) || digits.len() < count {
        return None;
    }
    let mut year = 0;
    for &b in &digits[..count] {
        if !b.is_ascii_digit() {
            return None;
        }
        year = year * 10 + i64::from(b - b'0');
    }
    Some((if text[0] == b'-' { -year } else { year }, &digits[count..]))
}

/// The days of the date that `text` starts with, and the rest behind it.
#[inline]
fn take_date(text: &[u8]) -> Option<(i64, &[u8])> {
    let (year, rest) = take_year(text)?;
    if rest.len() < 6 || rest[0] != b'-' || rest[3] != b'-' {
        return None;
    }
    let (month, day) = (two_digits(&rest[1..])?, two_digits(&rest[4..])?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    Some((days_of_civil(year, month, day), &rest[6..]))
}

/// The second of the day of the `HH:MM:SS` that `text` starts with, and the rest behind it.
#[inline]
fn take_clock(text: &[u8]) -> Option<(i64, &[u8])> {
    if text.len() < 8 || text[2] != b':' || text[5] != b':' {
        return None;
    }
    let (h, m, s) = (
        two_digits(text)?,
        two_digits(&text[3..])?,
        two_digits(&text[6..])?,
    );
    (h < 24 && m < 60 && s < 60).then(|| (h * 3600 + m * 60 + s, &text[8..]))
}

/// The nanoseconds of the fraction that `text` may start with, and the rest behind it. Digits
/// behind the ninth are read and dropped.
#[inline]
fn take_fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    if text.first() != Some(&b'.') {
        return Some((0, text));
    }
    let (mut nanos, mut worth, mut end) = (0, 100_000_000, 1);
    while let Some(b) = text.get(end).filter(|b| b.is_ascii_digit()) {
        nanos += i64::from(b - b'0') * worth;
        worth /= 10;
        end += 1;
    }
    (end > 1).then(|| (nanos, &text[end..]))
}

/// The seconds that the zone `text` is ahead of UTC; no zone is UTC.
#[inline]
fn zone_seconds(text: &[u8]) -> Option<i64> {
    match text {
        [] | [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), hours @ ..] => {
            let h = two_digits(hours)?;
            let m = match &hours[2..] {
                [] => 0,
                [b':', minutes @ ..] | minutes if minutes.len() == 2 => two_digits(minutes)?,
                _ => return None,
            };
            let ahead = h * 3600 + m * 60;
            (h < 24 && m < 60).then_some(if *sign == b'-' { -ahead } else { ahead })
        }
        _ => None,
    }
}

/// The digits of eight bytes that have `separators` at the bytes that `places` marks, and digits
/// elsewhere, in pairs: byte i is ten times digit i and digit i + 1.
#[inline]
fn pairs(text: &[u8], at: usize, separators: u64, places: u64) -> Option<[u8; 8]> {
    let zeros = 0x3030_3030_3030_3030 & !places;
    let digits = word(text, at)? ^ (zeros | separators);
    let good = above_nine(digits) | (digits & places);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    (good == 0).then(|| pairs.to_le_bytes())
}

/// [`seconds_and_nanos`] of what begins as `YYYY-MM-DDTHH:MM:SS`, the common layout; `None` for
/// others, and for what is no time.
#[inline]
fn common_layout(text: &[u8]) -> Option<(i64, i64)> {
    let date = pairs(text, 0, 0x2d00_002d_0000_0000, 0xff00_00ff_0000_0000)?;
    let clock = pairs(text, 11, 0x0000_3a00_003a_0000, 0x0000_ff00_00ff_0000)?;
    let (year, month) = (
        i64::from(date[0]) * 100 + i64::from(date[2]),
        i64::from(date[5]),
    );
    let day = two_digits(&text[8..])?;
    let (h, m, s) = (
        i64::from(clock[0]),
        i64::from(clock[3]),
        i64::from(clock[6]),
    );
    let is_date = (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    if !is_date || !matches!(text[10], b'T' | b't' | b' ') || h > 23 || m > 59 || s > 59 {
        return None;
    }
    let seconds = days_of_civil(year, month, day) * SECONDS_OF_DAY + h * 3600 + m * 60 + s;
    let (nanos, zone) = take_fraction(&text[19..])?;
    Some((seconds - zone_seconds(zone)?, nanos))
}

/// Seconds since 1970 and nanoseconds behind them.
#[inline]
fn seconds_and_nanos(text: &[u8]) -> Option<(i64, i64)> {
    common_layout(text).or_else(|| {
        let (seconds, nanos) = any_layout(text)?;
        Some((seconds.try_into().ok()?, nanos))
    })
}

/// [`seconds_and_nanos`] of any layout there is. Years of twelve digits go beyond 64 bits.
fn any_layout(text: &[u8]) -> Option<(i128, i64)> {
    let (days, rest) = take_date(text)?;
    let (b'T' | b't' | b' ', clock) = rest.split_first()? else {
        return None;
    };
    let (second_of_day, rest) = take_clock(clock)?;
    let (nanos, zone) = take_fraction(rest)?;
    let seconds = i128::from(days) * i128::from(SECONDS_OF_DAY)
        + i128::from(second_of_day - zone_seconds(zone)?);
    Some((seconds, nanos))
}

/// Up to 64 characters of bad data, for an error.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// What seconds since 1970 and nanoseconds behind them are in `unit`s.
#[inline]
fn units_since_1970(seconds: i64, nanos: i64, unit: TimeUnit) -> Option<i64> {
    let nanos_of_unit = unit_nanos(unit);
    let units_of_second = 1_000_000_000 / nanos_of_unit;
    let (product, over) = seconds.overflowing_mul(units_of_second);
    let (sum, above) = product.overflowing_add(nanos / nanos_of_unit);
    if !over && !above {
        return Some(sum);
    }
    // The sum can fit where the product does not: the first second of the range.
    let units =
        i128::from(seconds) * i128::from(units_of_second) + i128::from(nanos / nanos_of_unit);
    i64::try_from(units).ok()
}

/// [`parse_timestamp`] without a word about what is wrong.
#[inline]
pub(super) fn timestamp(text: &[u8], unit: TimeUnit) -> Option<i64> {
    let (seconds, nanos) = seconds_and_nanos(text)?;
    units_since_1970(seconds, nanos, unit)
}

/// [`parse_date`] without a word about what is wrong.
#[inline]
pub(super) fn date(text: &[u8]) -> Option<i32> {
    let (days, rest) = take_date(text)?;
    i32::try_from(days).ok().filter(|_| rest.is_empty())
}

/// The timestamp that `text` is, in `unit`s since 1970: RFC 3339, or `YYYY-MM-DD HH:MM:SS[.f]`
/// with a `T` or a blank, which is UTC where no zone follows. What the unit cannot hold of a
/// fraction is cut off, towards the past.
///
/// # Errors
/// Where `text` is none, or beyond what 64 bits hold.
pub fn parse_timestamp(text: &str, unit: TimeUnit) -> Result<i64, String> {
    timestamp(text.as_bytes(), unit).ok_or_else(|| match any_layout(text.as_bytes()) {
        Some(_) => format!("timestamp {} out of range", shorten(text)),
        None => format!("invalid timestamp {}", shorten(text)),
    })
}

/// What so many units `of` since 1970 are in `unit`s, cut off towards the past; `None` beyond 64
/// bits.
#[inline]
pub(super) fn since_1970(count: i128, of: TimeUnit, unit: TimeUnit) -> Option<i64> {
    let nanos = count.checked_mul(unit_nanos(of).into())?;
    nanos.div_euclid(unit_nanos(unit).into()).try_into().ok()
}

/// The date `YYYY-MM-DD` that `text` is, in days since 1970-01-01.
///
/// # Errors
/// Where `text` is none, or beyond what 32 bits hold.
pub fn parse_date(text: &str) -> Result<i32, String> {
    match take_date(text.as_bytes()) {
        Some((days, [])) => {
            i32::try_from(days).map_err(|_| format!("date {} out of range", shorten(text)))
        }
        _ => Err(format!("invalid date {}", shorten(text))),
    }
}

fn push_two_digits(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
}

fn push_padded(value: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let (mut at, mut rest) = (digits.len(), value);
    while rest > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[at.min(digits.len() - width)..]);
}

fn push_days(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil_of_days(days);
    if year > 9999 {
        out.push(b'+');
    } else if year < 0 {
        out.push(b'-');
    }
    push_padded(year.unsigned_abs(), 4, out);
    out.push(b'-');
    push_two_digits(month, out);
    out.push(b'-');
    push_two_digits(day, out);
}

/// Appends a date as `2023-09-18`.
pub fn write_date(days: i32, out: &mut Vec<u8>) {
    push_days(i64::from(days), out);
}

/// Appends a timestamp as `2023-09-18T14:00:00.120`: no fraction where it is zero, else all
/// digits of the unit.
pub fn write_timestamp(value: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    let units_of_second = 1_000_000_000 / unit_nanos(unit);
    let seconds = value.div_euclid(units_of_second);
    let fraction = value.rem_euclid(units_of_second);
    push_days(seconds.div_euclid(SECONDS_OF_DAY), out);
    let second_of_day = seconds.rem_euclid(SECONDS_OF_DAY);
    out.push(b'T');
    push_two_digits(second_of_day / 3600, out);
    out.push(b':');
    push_two_digits(second_of_day / 60 % 60, out);
    out.push(b':');
    push_two_digits(second_of_day % 60, out);
    if fraction > 0 {
        out.push(b'.');
        push_padded(
            fraction.unsigned_abs(),
            units_of_second.ilog10() as usize,
            out,
        );
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
