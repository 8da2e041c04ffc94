//! Times of day and intervals as text, and back.

mod read;

use std::io::Write as _;

use arrow_schema::TimeUnit;

use super::time::shorten;
use crate::column::Interval;
use crate::schema::unit_nanos;

pub use read::parse_span;

const SECOND_NANOS: i64 = 1_000_000_000;

/// The time of day that `text` is, `HH:MM[:SS[.f]]`, in `unit`s since midnight. What the unit
/// cannot hold of a fraction is cut off.
///
/// # Errors
/// Where `text` is none.
pub fn parse_time(text: &str, unit: TimeUnit) -> Result<i64, String> {
    time(text.as_bytes(), unit).ok_or_else(|| format!("invalid time {}", shorten(text)))
}

/// [`parse_time`] without a word about what is wrong.
#[inline]
pub(super) fn time(text: &[u8], unit: TimeUnit) -> Option<i64> {
    Some(nanos_of_day(text)? / unit_nanos(unit))
}

fn nanos_of_day(text: &[u8]) -> Option<i64> {
    let two = |text: &[u8], below: i64| {
        let [a @ b'0'..=b'9', b @ b'0'..=b'9'] = *text else {
            return None;
        };
        let value = i64::from(a - b'0') * 10 + i64::from(b - b'0');
        (value < below).then_some(value)
    };
    let minutes = two(text.get(..2)?, 24)? * 60 + two(text.get(3..5)?, 60)?;
    if text[2] != b':' {
        return None;
    }
    let (seconds, fraction) = match &text[5..] {
        [] => (0, &b""[..]),
        [b':', a, b] => (two(&[*a, *b], 60)?, &b""[..]),
        [b':', a, b, b'.', fraction @ ..] if !fraction.is_empty() => {
            (two(&[*a, *b], 60)?, fraction)
        }
        _ => return None,
    };
    let (mut nanos, mut digit_nanos) = (0, SECOND_NANOS);
    for b in fraction {
        digit_nanos /= 10;
        nanos += i64::from(b.is_ascii_digit().then(|| b - b'0')?) * digit_nanos;
    }
    Some((minutes * 60 + seconds) * SECOND_NANOS + nanos)
}

/// Appends a time of day as `14:00:00.120`: no fraction where it is zero, else all digits of the
/// unit. Times outside of a day, which casts can make, are written all the same.
pub fn write_time(value: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    let per_second = SECOND_NANOS / unit_nanos(unit);
    let (seconds, fraction) = (value.div_euclid(per_second), value.rem_euclid(per_second));
    let (h, m, s) = (
        seconds.div_euclid(3600),
        seconds.rem_euclid(3600) / 60,
        seconds.rem_euclid(60),
    );
    let width = per_second.ilog10() as usize;
    let written = match fraction {
        0 => write!(out, "{h:02}:{m:02}:{s:02}"),
        _ => write!(out, "{h:02}:{m:02}:{s:02}.{fraction:0width$}"),
    };
    written.expect("memory takes all bytes");
}

/// Appends an interval as Arrow prints it: `1 mons 2 days 3 hours 4 mins 5.000000006 secs`,
/// without parts that are zero.
pub fn write_interval(value: Interval, out: &mut Vec<u8>) {
    let start = out.len();
    let mut part = |number: i64, name: &str| {
        if number != 0 {
            let blank = if out.len() > start { " " } else { "" };
            write!(out, "{blank}{number} {name}").expect("memory takes all bytes");
        }
    };
    part(i64::from(value.months), "mons");
    part(i64::from(value.days), "days");
    let seconds = value.nanoseconds / SECOND_NANOS;
    part(seconds / 3600, "hours");
    part(seconds / 60 % 60, "mins");
    let nanos = value.nanoseconds % SECOND_NANOS;
    if seconds % 60 != 0 || nanos != 0 {
        let blank = if out.len() > start { " " } else { "" };
        let sign = if value.nanoseconds < 0 { "-" } else { "" };
        let (whole, nanos) = ((seconds % 60).unsigned_abs(), nanos.unsigned_abs());
        write!(out, "{blank}{sign}{whole}.{nanos:09} secs").expect("memory takes all bytes");
    }
    if out.len() == start {
        out.extend_from_slice(b"0 secs");
    }
}

/// Appends an interval as PostgreSQL prints it: `1 mon -2 days +03:04:05.000000006`, without parts
/// that are zero.
pub fn write_span(value: Interval, out: &mut Vec<u8>) {
    let months = i64::from(value.months);
    let parts = [
        (months / 12, "year"),
        (months % 12, "mon"),
        (i64::from(value.days), "day"),
    ];
    write_parts(parts, value.nanoseconds, out);
}

/// Appends a length of time, as what lies between two timestamps: days, and the rest of a day.
pub fn write_duration(value: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    let unit_ns = unit_nanos(unit);
    let units_per_day = 86_400 * SECOND_NANOS / unit_ns;
    let days = (value / units_per_day, "day");
    let rest_ns = value % units_per_day * unit_ns;
    write_parts([days, (0, "mon"), (0, "year")], rest_ns, out);
}

fn write_parts(parts: [(i64, &str); 3], nanos: i64, out: &mut Vec<u8>) {
    let start = out.len();
    let mut is_behind_minus = false;
    for (number, name) in parts.into_iter().filter(|(number, _)| *number != 0) {
        let blank = if out.len() > start { " " } else { "" };
        let plus = if is_behind_minus && number > 0 {
            "+"
        } else {
            ""
        };
        let plural = if number == 1 { "" } else { "s" };
        write!(out, "{blank}{plus}{number} {name}{plural}").expect("memory takes all bytes");
        is_behind_minus = number < 0;
    }
    if nanos == 0 && out.len() > start {
        return;
    }
    let sign = match nanos {
        ..0 => "-",
        _ if is_behind_minus => "+",
        _ => "",
    };
    let blank = if out.len() > start { " " } else { "" };
    let second = SECOND_NANOS.unsigned_abs();
    let nanos = nanos.unsigned_abs();
    let (seconds, fraction) = (nanos / second, nanos % second);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let written = write!(out, "{blank}{sign}{hours:02}:{minutes:02}:{seconds:02}");
    written.expect("memory takes all bytes");
    if fraction != 0 {
        let digits = format!("{fraction:09}");
        let written = write!(out, ".{}", digits.trim_end_matches('0'));
        written.expect("memory takes all bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        let second = 1_000_000_000;
        for (months, days, nanos, want) in [
            (0, 0, 0, "00:00:00"),
            (1, 0, 0, "1 mon"),
            (
                14,
                3,
                14_706 * second + 700_000_000,
                "1 year 2 mons 3 days 04:05:06.7",
            ),
            (-14, 1, 0, "-1 years -2 mons +1 day"),
            (0, -1, 7200 * second, "-1 days +02:00:00"),
            (0, -1, -7200 * second, "-1 days -02:00:00"),
            (0, 2, -1, "2 days -00:00:00.000000001"),
            (0, 0, 100 * 3600 * second, "100:00:00"),
            (
                i32::MIN,
                i32::MIN,
                i64::MIN,
                "-178956970 years -8 mons -2147483648 days -2562047:47:16.854775808",
            ),
        ] {
            let mut out = Vec::new();
            write_span(Interval::new(months, days, nanos), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), want);
        }
        for (value, unit, want) in [
            (360, TimeUnit::Second, "00:06:00"),
            (90_061_500, TimeUnit::Millisecond, "1 day 01:01:01.5"),
            (-90_061_500, TimeUnit::Millisecond, "-1 days -01:01:01.5"),
            (i64::MAX, TimeUnit::Second, "106751991167300 days 15:30:07"),
        ] {
            let mut out = Vec::new();
            write_duration(value, unit, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), want);
        }
    }

    #[test]
    fn times_of_day() {
        let check = |text: &str, unit, want: Option<i64>| {
            assert_eq!(parse_time(text, unit).ok(), want, "{text}");
        };
        check("00:00", TimeUnit::Second, Some(0));
        check("23:59:59", TimeUnit::Second, Some(86_399));
        check("14:00:00.5", TimeUnit::Millisecond, Some(50_400_500));
        check(
            "14:00:00.1234567891",
            TimeUnit::Nanosecond,
            Some(50_400_123_456_789),
        );
        for bad in [
            "",
            "24:00:00",
            "1:00",
            "12:60",
            "12:00:60",
            "12:00:00.",
            "12:00:00.x",
            "12-00",
        ] {
            check(bad, TimeUnit::Second, None);
        }
        for (value, unit, want) in [
            (0, TimeUnit::Second, "00:00:00"),
            (50_400_120, TimeUnit::Millisecond, "14:00:00.120"),
            (1, TimeUnit::Nanosecond, "00:00:00.000000001"),
        ] {
            let mut out = Vec::new();
            write_time(value, unit, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), want);
            assert_eq!(parse_time(want, unit), Ok(value));
        }
    }

    #[test]
    fn intervals() {
        for (months, days, nanos, want) in [
            (0, 0, 0, "0 secs"),
            (1, 0, 0, "1 mons"),
            (
                0,
                -2,
                3_661_000_000_006,
                "-2 days 1 hours 1 mins 1.000000006 secs",
            ),
            (0, 0, -500_000_000, "-0.500000000 secs"),
        ] {
            let mut out = Vec::new();
            write_interval(Interval::new(months, days, nanos), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), want);
        }
    }
}
