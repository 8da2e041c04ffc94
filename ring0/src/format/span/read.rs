//! Intervals read from text: as PostgreSQL prints and takes them, and as ISO 8601 writes them.

use crate::column::Interval;
use crate::format::time::shorten;

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;

/// What a unit's number counts in: months, days or nanoseconds, and how many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Months(i128),
    Days(i128),
    Nanos(i128),
}

/// The interval that `text` is: `1 year 2 mons -3 days +04:05:06.7`, numbers each with a unit and
/// perhaps `ago` behind them, or `P1Y2M-3DT4H5M6.7S`. A fraction of a day or week counts as hours;
/// what is finer than a nanosecond is cut off.
///
/// # Errors
/// Where `text` is none, or beyond what months, days and nanoseconds hold.
pub fn parse_span(text: &str) -> Result<Interval, String> {
    let trimmed = text.trim_ascii();
    let unsigned = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    let sum = match unsigned.strip_prefix(['P', 'p']) {
        Some(rest) if trimmed.starts_with('-') => iso(rest).map(Sum::negated),
        Some(rest) => iso(rest),
        None => words(trimmed),
    };
    let sum = sum.ok_or_else(|| format!("invalid interval {}", shorten(text)))?;
    let interval = (|| {
        Some(Interval::new(
            sum.months.try_into().ok()?,
            sum.days.try_into().ok()?,
            sum.nanos.try_into().ok()?,
        ))
    })();
    interval.ok_or_else(|| format!("{} is out of range for INTERVAL", shorten(text)))
}

/// Parts added up. Each is below 2^100, and a text has fewer than 2^20: sums hold them.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    months: i128,
    days: i128,
    nanos: i128,
}

impl Sum {
    fn negated(self) -> Self {
        Self {
            months: -self.months,
            days: -self.days,
            nanos: -self.nanos,
        }
    }

    /// Adds so many billionths of a unit.
    fn add(&mut self, billionths: i128, unit: Unit) -> Option<()> {
        let (whole, rest) = (billionths / SECOND, billionths % SECOND);
        match unit {
            // A month's days differ: there is no half of one.
            Unit::Months(_) if rest != 0 => return None,
            Unit::Months(each) => self.months += whole * each,
            Unit::Days(each) => {
                let rest = rest * each;
                self.days += whole * each + rest / SECOND;
                self.nanos += rest % SECOND * (DAY / SECOND);
            }
            Unit::Nanos(each) => self.nanos += whole * each + rest * each / SECOND,
        }
        Some(())
    }
}

/// A number with at most 18 digits before its point, in billionths; what is finer is cut off.
fn number(text: &str) -> Option<i128> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.len() > 18 || whole.is_empty() && fraction.is_empty() {
        return None;
    }
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(9)];
    let scale = 10_i128.pow(9 - fraction.len() as u32);
    let part = |text: &str| match text {
        "" => Some(0),
        _ => text.parse::<i128>().ok(),
    };
    let value = part(whole)? * SECOND + part(fraction)? * scale;
    Some(if is_negative { -value } else { value })
}

fn unit(name: &str) -> Option<Unit> {
    Some(match name.to_ascii_lowercase().as_str() {
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Months(12),
        "mon" | "mons" | "month" | "months" => Unit::Months(1),
        "w" | "week" | "weeks" => Unit::Days(7),
        "d" | "day" | "days" => Unit::Days(1),
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Nanos(3600 * SECOND),
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Nanos(60 * SECOND),
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Nanos(SECOND),
        "ms" | "millisecond" | "milliseconds" => Unit::Nanos(1_000_000),
        "us" | "microsecond" | "microseconds" => Unit::Nanos(1_000),
        "ns" | "nanosecond" | "nanoseconds" => Unit::Nanos(1),
        _ => return None,
    })
}

/// Numbers with units, and at most one time of the form `[+-]HH:MM[:SS[.f]]`.
fn words(text: &str) -> Option<Sum> {
    let mut sum = Sum::default();
    let mut words = text.split_ascii_whitespace().peekable();
    words.next_if_eq(&"@");
    words.peek()?;
    let (mut has_clock, mut has_part) = (false, false);
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case("ago") {
            return (has_part && words.next().is_none()).then_some(sum.negated());
        }
        has_part = true;
        if word.contains(':') {
            if std::mem::replace(&mut has_clock, true) {
                return None;
            }
            sum.nanos += clock(word)?;
            continue;
        }
        let (amount, name) = match word.find(|c: char| c.is_ascii_alphabetic()) {
            Some(at) => word.split_at(at),
            None => (word, words.next()?),
        };
        sum.add(number(amount)?, unit(name)?)?;
    }
    Some(sum)
}

/// `[+-]HH:MM[:SS[.f]]` in nanoseconds; hours may be more than a day's.
fn clock(word: &str) -> Option<i128> {
    let (is_negative, rest) = match word.as_bytes().first()? {
        b'-' => (true, &word[1..]),
        b'+' => (false, &word[1..]),
        _ => (false, word),
    };
    let mut parts = rest.split(':');
    let whole = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (is_number && text.len() <= 12).then(|| text.parse::<i128>().ok())?
    };
    let hours = whole(parts.next()?)?;
    let minutes = whole(parts.next()?).filter(|m| *m < 60)?;
    let seconds = match parts.next() {
        None => 0,
        Some(text) => {
            let starts = text.starts_with(|c: char| c.is_ascii_digit());
            number(text).filter(|s| starts && *s < 60 * SECOND)?
        }
    };
    if parts.next().is_some() {
        return None;
    }
    let nanos = (hours * 3600 + minutes * 60) * SECOND + seconds;
    Some(if is_negative { -nanos } else { nanos })
}

/// What is behind the `P` of ISO 8601: numbers with a letter each, those behind `T` of a day.
fn iso(text: &str) -> Option<Sum> {
    let mut sum = Sum::default();
    let mut rest = text;
    let (mut in_day, mut parts) = (false, 0);
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(['T', 't']) {
            if std::mem::replace(&mut in_day, true) || behind.is_empty() {
                return None;
            }
            rest = behind;
            continue;
        }
        let at = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let unit = match (in_day, rest.as_bytes()[at].to_ascii_uppercase()) {
            (false, b'Y') => Unit::Months(12),
            (false, b'M') => Unit::Months(1),
            (false, b'W') => Unit::Days(7),
            (false, b'D') => Unit::Days(1),
            (true, b'H') => Unit::Nanos(3600 * SECOND),
            (true, b'M') => Unit::Nanos(60 * SECOND),
            (true, b'S') => Unit::Nanos(SECOND),
            _ => return None,
        };
        sum.add(number(&rest[..at])?, unit)?;
        parts += 1;
        rest = &rest[at + 1..];
    }
    (parts > 0).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::span::write_span;

    const SEC: i64 = 1_000_000_000;

    #[test]
    fn texts() {
        for (text, want) in [
            ("1 mon", Some((1, 0, 0))),
            (
                "1 year 2 mons -3 days +04:05:06.7",
                Some((14, -3, 14_706 * SEC + 700_000_000)),
            ),
            ("-00:00:00.000000001", Some((0, 0, -1))),
            ("100:00", Some((0, 0, 360_000 * SEC))),
            ("@ 2 weeks 1.5 days ago", Some((0, -15, -43_200 * SEC))),
            ("5 minutes", Some((0, 0, 300 * SEC))),
            ("1h30m", None),
            ("1h 30m", Some((0, 0, 5400 * SEC))),
            (" 250ms ", Some((0, 0, SEC / 4))),
            (
                "P1Y2M-3DT4H5M6.7S",
                Some((14, -3, 14_706 * SEC + 700_000_000)),
            ),
            ("pt0.5s", Some((0, 0, SEC / 2))),
            ("P2W", Some((0, 14, 0))),
            ("-P1YT1S", Some((-12, 0, -SEC))),
            ("+P1D", Some((0, 1, 0))),
            ("-", None),
            ("-.5 s", Some((0, 0, -SEC / 2))),
            ("", None),
            ("@", None),
            ("P", None),
            ("PT", None),
            ("P1H", None),
            ("PT1D", None),
            ("P1YT", None),
            ("5", None),
            ("1.5 months", None),
            ("1 fortnight", None),
            ("01:60", None),
            ("01:02:60", None),
            ("01:02:-3", None),
            ("1:2:3:4", None),
            ("1:02 1:02", None),
            ("ago", None),
            ("1 day ago 1 day", None),
            ("2147483648 months", None),
            ("1 dáy", None),
            ("é", None),
            ("9223372036.854775807 s", Some((0, 0, i64::MAX))),
            ("9223372036.854775808 s", None),
            ("1234567890123456789 s", None),
        ] {
            let want = want.map(|(m, d, n)| Interval::new(m, d, n));
            assert_eq!(parse_span(text).ok(), want, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(months: i32, days: i32, nanos: i64) {
            let value = Interval::new(months, days, nanos);
            let mut text = Vec::new();
            write_span(value, &mut text);
            let text = String::from_utf8(text).unwrap();
            proptest::prop_assert_eq!(parse_span(&text), Ok(value), "{}", text);
        }

        #[test]
        fn no_text_breaks_it(text in "[-+@PTYMDHS0-9:. a-zé]{0,24}") {
            let _ = parse_span(&text);
        }
    }
}
