//! DECIMALs as text and back: digits as an integer, the point being the type's.

use std::io::Write as _;

use super::time::shorten;
use crate::limits::DECIMAL_DIGITS_MAX;

/// 10 to the power of `exponent`, which is at most [`DECIMAL_DIGITS_MAX`].
pub(crate) fn power_of_ten(exponent: u8) -> i128 {
    assert!(exponent <= DECIMAL_DIGITS_MAX, "a power that 128 bits hold");
    10i128.pow(u32::from(exponent))
}

/// Whether `digits` are at most `precision`.
#[inline]
pub(crate) fn fits(value: i128, precision: u8) -> bool {
    value.unsigned_abs() < power_of_ten(precision).unsigned_abs()
}

/// The decimal that `text` is: digits with a sign, a point and an exponent, all but the digits
/// optional. What the scale cannot hold is rounded, half away from zero.
///
/// # Errors
/// Where `text` is none, or has more digits than `precision`.
pub fn parse_decimal(text: &str, precision: u8, scale: u8) -> Result<i128, String> {
    let too_long = || {
        format!(
            "{} is out of range for DECIMAL({precision}, {scale})",
            shorten(text)
        )
    };
    match digits(text.as_bytes(), i64::from(scale)) {
        Some(Some(value)) if fits(value, precision) => Ok(value),
        Some(_) => Err(too_long()),
        None => Err(format!("invalid decimal {}", shorten(text))),
    }
}

/// `None` where the text is no number, `Some(None)` where 128 bits do not hold it.
fn digits(text: &[u8], scale: i64) -> Option<Option<i128>> {
    let text = text.trim_ascii();
    let (negative, text) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let (number, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(at) => (&text[..at], exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let (whole, fraction) = match number.iter().position(|&b| b == b'.') {
        Some(at) => (&number[..at], &number[at + 1..]),
        None => (number, &b""[..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // Powers of ten of the digits, counted from the last that the scale keeps.
    let mut power = whole.len() as i64 - 1 + exponent + scale;
    let (mut value, mut round) = (Some(0i128), false);
    for &b in whole.iter().chain(fraction) {
        let digit = b.is_ascii_digit().then(|| i128::from(b - b'0'))?;
        match power {
            0.. => value = value.and_then(|v| v.checked_mul(10)?.checked_add(digit)),
            -1 => round = digit >= 5,
            _ => {}
        }
        power -= 1;
    }
    while power >= 0 && value.is_some_and(|v| v != 0) {
        value = value.and_then(|v| v.checked_mul(10));
        power -= 1;
    }
    let value = value.and_then(|v| v.checked_add(i128::from(round)));
    Some(value.map(|v| if negative { -v } else { v }))
}

fn exponent(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let value: i64 = text.parse().ok()?;
    // Beyond this no digit is kept, or none fits.
    Some(value.clamp(-1_000_000_000, 1_000_000_000))
}

/// Appends a decimal with all digits of its scale.
pub fn write_decimal(value: i128, scale: u8, out: &mut Vec<u8>) {
    let magnitude = value.unsigned_abs();
    let one = power_of_ten(scale).unsigned_abs();
    if value < 0 {
        out.push(b'-');
    }
    let width = usize::from(scale);
    let written = match scale {
        0 => write!(out, "{magnitude}"),
        _ => write!(out, "{}.{:0width$}", magnitude / one, magnitude % one),
    };
    written.expect("memory takes all bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_decimals() {
        let check = |text: &str, precision, scale, want: Option<i128>| {
            assert_eq!(parse_decimal(text, precision, scale).ok(), want, "{text}");
        };
        check("12.34", 10, 2, Some(1234));
        check("-12.345", 10, 2, Some(-1235));
        check("12.344999", 10, 2, Some(1234));
        check("+.5", 10, 0, Some(1));
        check("5.", 10, 1, Some(50));
        check(" 7 ", 10, 2, Some(700));
        check("1.5e3", 10, 2, Some(150_000));
        check("15E-1", 10, 2, Some(150));
        check("1e-900000000", 10, 2, Some(0));
        check("0e900000000", 10, 2, Some(0));
        check("1e900000000", 10, 2, None);
        check("99999999.994", 10, 2, Some(9_999_999_999));
        check("99999999.995", 10, 2, None);
        check(
            "99999999999999999999999999999999999999",
            38,
            0,
            Some(10i128.pow(38) - 1),
        );
        check("999999999999999999999999999999999999999", 38, 0, None);
        for bad in ["", ".", "-", "1.2.3", "a", "1e", "1_0", "--1", "nan"] {
            check(bad, 10, 2, None);
        }
        for (value, scale, want) in [
            (0, 0, "0"),
            (0, 3, "0.000"),
            (-5, 2, "-0.05"),
            (123_456, 2, "1234.56"),
            (
                -(10i128.pow(38) - 1),
                38,
                "-0.99999999999999999999999999999999999999",
            ),
        ] {
            let mut out = Vec::new();
            write_decimal(value, scale, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), want);
            assert_eq!(parse_decimal(want, 38, scale), Ok(value));
        }
    }
}
