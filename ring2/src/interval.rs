//! Intervals of a fixed length, in nanoseconds. Months and years have none.

use datafusion::sql::sqlparser::ast::{DateTimeField, Expr, Interval, Value};

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
    if interval.last_field.is_some() {
        return None;
    }
    match &interval.leading_field {
        None => text_nanos(&text),
        Some(field) => scale(text.trim(), field_unit(field)?),
    }
}

/// Length of text such as `5 seconds` or `1 hour 30 minutes`.
pub(crate) fn text_nanos(text: &str) -> Option<i64> {
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
