//! Intervals of a fixed length, in nanoseconds. Months and years have none.

use datafusion::sql::sqlparser::ast::{DateTimeField, Expr, Interval, Spanned, Value};

use trefoil_ring0::format::span::parse_span;

use crate::error::{SqlError, nearest};
use crate::place::Place;

const UNITS: [&str; 10] = [
    "second", "seconds", "minute", "minutes", "hour", "hours", "day", "days", "week", "weeks",
];
const CALENDAR: [&str; 8] = [
    "month", "months", "mon", "mons", "year", "years", "quarter", "quarters",
];

/// Whether an interval can be read, whatever its length.
pub(crate) fn check(place: Place<'_>, interval: &Interval) -> Result<(), SqlError> {
    let Interval {
        value,
        leading_field,
        leading_precision,
        last_field,
        fractional_seconds_precision,
    } = interval;
    let at = value.span().start;
    let wrong = |message: String, hint: String| Err(place.hinted("E0213", at, message, hint));
    let example = || "INTERVAL '5' MINUTE".to_string();
    let Expr::Value(constant) = value.as_ref() else {
        return wrong("an interval is a constant".into(), example());
    };
    let text = match &constant.value {
        Value::SingleQuotedString(text) | Value::Number(text, _) => text.as_str(),
        _ => return wrong("an interval is a text or a number".into(), example()),
    };
    if last_field.is_some() {
        let hint = "INTERVAL '1 hour 30 minutes'".into();
        return wrong("an interval with TO is not part of this SQL".into(), hint);
    }
    if leading_precision.is_some() || fractional_seconds_precision.is_some() {
        let hint = "INTERVAL '1.5' SECOND".into();
        return wrong("an interval takes no precision".into(), hint);
    }
    if let Some(field) = leading_field {
        let unit = field.to_string().to_lowercase();
        return match scale(text.trim(), 1_000_000_000).is_some() {
            true if unit_nanos(&unit).is_some() || CALENDAR.contains(&unit.as_str()) => Ok(()),
            true => {
                let hint = format!("SECOND, MINUTE, HOUR, DAY; {}", example());
                wrong(format!("{field} is no unit of an interval"), hint)
            }
            false => {
                let hint = format!("INTERVAL '5' {field}");
                wrong(format!("'{text}' is no number of {field}"), hint)
            }
        };
    }
    if !is_in_units(text) && parse_span(text).is_ok() {
        return Ok(());
    }
    let mut words = text.split_whitespace().peekable();
    if words.peek().is_none() {
        return wrong("an empty interval".into(), example());
    }
    while let Some(first) = words.next() {
        let split = first.find(|c: char| c.is_ascii_alphabetic());
        let (number, unit) = match split {
            Some(i) => first.split_at(i),
            None => (first, words.next().unwrap_or_default()),
        };
        let known = unit.to_lowercase();
        if scale(number, 1_000_000_000).is_none() {
            return wrong(format!("'{text}' is no interval"), example());
        }
        if unit.is_empty() {
            let hint = format!("INTERVAL '{number}' SECOND");
            return wrong(format!("interval '{text}' has no unit"), hint);
        }
        if unit_nanos(&known).is_none() && !CALENDAR.contains(&known.as_str()) {
            let hint = nearest(&known, UNITS.into_iter())
                .map_or(example(), |n| format!("did you mean \"{n}\"?"));
            return wrong(format!("\"{unit}\" is no unit of an interval"), hint);
        }
    }
    Ok(())
}

/// Length of an interval that has to have a fixed one.
pub(crate) fn length(place: Place<'_>, interval: &Interval) -> Result<i64, SqlError> {
    check(place, interval)?;
    nanos(interval).ok_or_else(|| {
        let hint = "months and years have no fixed length: use days";
        let message = "this interval has no fixed length";
        place.hinted("E0213", interval.value.span().start, message, hint)
    })
}

/// Length of a parsed INTERVAL, or `None` where it has none.
pub(crate) fn nanos(interval: &Interval) -> Option<i64> {
    let text = match interval.value.as_ref() {
        Expr::Value(v) => match &v.value {
            Value::SingleQuotedString(text) => text.clone(),
            Value::Number(text, _) => text.clone(),
            _ => return None,
        },
        _ => return None,
    };
    let precise = interval
        .leading_precision
        .or(interval.fractional_seconds_precision);
    if interval.last_field.is_some() || precise.is_some() {
        return None;
    }
    match &interval.leading_field {
        None => text_nanos(&text),
        Some(field) => scale(text.trim(), field_unit(field)?),
    }
}

/// Length of text such as `5 seconds` or `1 hour 30 minutes`, or in another form that PostgreSQL
/// reads, as `01:30:00`.
pub(crate) fn text_nanos(text: &str) -> Option<i64> {
    if !is_in_units(text) {
        let span = parse_span(text).ok().filter(|span| span.months == 0)?;
        let days = i64::from(span.days).checked_mul(unit_nanos("day")?)?;
        return days.checked_add(span.nanoseconds);
    }
    let mut words = text.split_whitespace().peekable();
    words.peek()?;
    let mut sum = 0i64;
    while let Some(first) = words.next() {
        let split = first.find(|c: char| c.is_ascii_alphabetic());
        let (number, unit) = match split {
            Some(i) => first.split_at(i),
            None => (first, words.next()?),
        };
        sum = sum.checked_add(scale(number, unit_nanos(unit)?)?)?;
    }
    Some(sum)
}

/// Whether a text is of numbers with a unit behind each.
pub(crate) fn is_in_units(text: &str) -> bool {
    let mut words = text.split_whitespace().peekable();
    let mut pair = || {
        let first = words.next()?;
        let split = first.find(|c: char| c.is_ascii_alphabetic());
        let (number, unit) = match split {
            Some(i) => first.split_at(i),
            None => (first, words.next().unwrap_or_default()),
        };
        let unit = unit.to_lowercase();
        let known = unit_nanos(&unit).is_some() || CALENDAR.contains(&unit.as_str());
        Some(known && scale(number, 1_000_000_000).is_some())
    };
    let mut any = false;
    while let Some(is_pair) = pair() {
        any = true;
        if !is_pair {
            return false;
        }
    }
    any
}

/// A decimal number of units, exactly.
fn scale(number: &str, unit: i64) -> Option<i64> {
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if fraction.len() > 9 || all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scaled = all.parse::<i128>().ok()?.checked_mul(i128::from(unit))?;
    let divisor = 10i128.pow(u32::try_from(fraction.len()).ok()?);
    let value = i64::try_from(scaled / divisor).ok()?;
    (scaled % divisor == 0).then_some(if negative { -value } else { value })
}

fn field_unit(field: &DateTimeField) -> Option<i64> {
    unit_nanos(&field.to_string())
}

fn unit_nanos(unit: &str) -> Option<i64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "ns" | "nanosecond" | "nanoseconds" => 1,
        "us" | "microsecond" | "microseconds" => 1_000,
        "ms" | "millisecond" | "milliseconds" => 1_000_000,
        "s" | "sec" | "second" | "seconds" => 1_000_000_000,
        "m" | "min" | "minute" | "minutes" => 60_000_000_000,
        "h" | "hour" | "hours" => 3_600_000_000_000,
        "d" | "day" | "days" => 86_400_000_000_000,
        "w" | "week" | "weeks" => 604_800_000_000_000,
        _ => return None,
    })
}
