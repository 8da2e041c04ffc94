//! Numbers at a place in text, by the grammar of JSON: `-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?`.
//! Each function says where the number ends and never looks at what follows; that it is no more
//! of a number is for the caller to see.
//!
//! A double is exact without further ado where its digits are below 2^53 and its power of ten is
//! among the 22 that a double holds (Clinger 1990): one multiplication or division, rounded once.
//! All else is left to the standard library.

use super::scan::{Digits, POWERS_OF_TEN, digits};

/// Most digits whose number is sure to fit into 64 bits, without a sign.
const DIGITS_MAX: usize = 19;
/// Most digits whose number is sure to fit into 63 bits.
const BIGINT_DIGITS_MAX: usize = 18;
/// Most digits of an exponent that is looked at here.
const EXPONENT_DIGITS_MAX: usize = 4;
/// 2^53: whole numbers up to here are doubles.
const EXACT_MAX: u64 = 1 << 53;
/// Powers of ten that are doubles.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// The digits before the point, without a leading zero.
#[inline(always)]
fn whole(bytes: &[u8], at: usize) -> Option<Digits> {
    let whole = digits(bytes, at);
    let leading_zero = whole.count > 1 && bytes[at] == b'0';
    (whole.count > 0 && !leading_zero).then_some(whole)
}

/// The BIGINT at `at` and where it ends; `None` for what is none, or too long to be sure.
#[inline(always)]
pub(super) fn integer(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let negative = bytes.get(at) == Some(&b'-');
    let start = at + usize::from(negative);
    let whole = whole(bytes, start)?;
    let end = start + whole.count;
    if whole.count > BIGINT_DIGITS_MAX {
        let text = std::str::from_utf8(&bytes[at..end]).ok()?;
        return Some((text.parse().ok()?, end));
    }
    let value = whole.value as i64;
    Some((if negative { -value } else { value }, end))
}

/// The number at `at` as a double and where it ends; `None` for what is none, or not finite.
#[inline(always)]
pub(super) fn double(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    let negative = bytes.get(at) == Some(&b'-');
    let start = at + usize::from(negative);
    let whole = whole(bytes, start)?;
    let (mut value, mut count, mut end) = (whole.value, whole.count, start + whole.count);
    let mut power = 0;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(bytes, end + 1);
        if fraction.count == 0 {
            return None;
        }
        end += 1 + fraction.count;
        count += fraction.count;
        if count <= DIGITS_MAX {
            value = value
                .wrapping_mul(POWERS_OF_TEN[fraction.count])
                .wrapping_add(fraction.value);
            power = -(fraction.count as i64);
        }
    }
    if let Some(b'e' | b'E') = bytes.get(end) {
        let (exponent, behind) = exponent(bytes, end)?;
        end = behind;
        power += exponent;
    }
    if count <= DIGITS_MAX && value <= EXACT_MAX && power.unsigned_abs() <= 22 {
        let exact = value as f64;
        let value = if power < 0 {
            exact / EXACT_POWERS[power.unsigned_abs() as usize]
        } else {
            exact * EXACT_POWERS[power.unsigned_abs() as usize]
        };
        return Some((if negative { -value } else { value }, end));
    }
    Some((inexact(&bytes[at..end])?, end))
}

/// The exponent at `at`, an `e` or `E`, and where it ends.
#[inline]
fn exponent(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let signed = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
    let start = at + 1 + usize::from(signed);
    let number = digits(bytes, start);
    if number.count == 0 || number.count > EXPONENT_DIGITS_MAX {
        return None;
    }
    let value = number.value as i64;
    let negative = bytes[at + 1] == b'-';
    Some((if negative { -value } else { value }, start + number.count))
}

#[cold]
fn inexact(number: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// Where the number at `at` ends, of whatever size; `None` for what is none.
#[inline(always)]
pub(super) fn end(bytes: &[u8], at: usize) -> Option<usize> {
    let start = at + usize::from(bytes.get(at) == Some(&b'-'));
    let mut end = start + whole(bytes, start)?.count;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(bytes, end + 1).count;
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    if let Some(b'e' | b'E') = bytes.get(end) {
        let signed = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
        let start = end + 1 + usize::from(signed);
        let exponent = digits(bytes, start).count;
        if exponent == 0 {
            return None;
        }
        end = start + exponent;
    }
    Some(end)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The longest start of the text that is a number of JSON, found by trying all of them.
    fn longest(text: &str) -> Option<usize> {
        (1..=text.len()).rev().find(|&end| {
            let is = |b: u8| b.is_ascii_digit() || b"+-.eE".contains(&b);
            text.as_bytes()[..end].iter().all(|&b| is(b))
                && serde_json::from_str::<serde::de::IgnoredAny>(&text[..end]).is_ok()
        })
    }

    fn check(text: &str) {
        let (bytes, longest) = (text.as_bytes(), longest(text));
        if let Some(got) = end(bytes, 0) {
            assert_eq!(Some(got), longest, "{text}");
        }
        if let Some((value, end)) = integer(bytes, 0) {
            assert_eq!(text[..end].parse(), Ok(value), "{text}");
        }
        if let Some((value, end)) = double(bytes, 0) {
            assert_eq!(Some(end), longest, "{text}");
            let want: f64 = text[..end].parse().unwrap();
            assert_eq!(value.to_bits(), want.to_bits(), "{text}");
            let json: f64 = serde_json::from_str(&text[..end]).unwrap();
            assert_eq!(value.to_bits(), json.to_bits(), "{text}");
        }
    }

    #[test]
    fn numbers_of_every_kind() {
        for text in [
            "0",
            "-0",
            "-0.0",
            "12.34,",
            "1e22",
            "1e23",
            "1E-22}",
            "9007199254740993",
            "9007199254740992",
            "90071992547409.93",
            "18446744073709551615",
            "18446744073709551616",
            "0.1e1",
            "123456789012345678901234567890",
            "1.7976931348623157e308",
            "5e-324",
            "2.2250738585072011e-308",
            "0.000000000000000000000000000001",
            "9223372036854775807",
            "-9223372036854775808",
        ] {
            check(text);
            assert!(end(text.as_bytes(), 0).is_some(), "{text}");
            assert!(double(text.as_bytes(), 0).is_some(), "{text}");
        }
        for text in [
            "", "-", "01", "-01", ".5", "1.", "1.e5", "1e", "1e+", "+1", "x",
        ] {
            check(text);
            assert_eq!(end(text.as_bytes(), 0), None, "{text}");
            assert_eq!(double(text.as_bytes(), 0), None, "{text}");
        }
        assert_eq!(integer(b"9223372036854775808", 0), None);
        assert_eq!(integer(b"-9223372036854775808,", 0), Some((i64::MIN, 20)));
        assert_eq!(double(b"1e400", 0), None);
        assert_eq!(double(b"x-1.5e1,", 1), Some((-15.0, 7)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn doubles_are_rounded_as_the_standard_library_does(
            bits in any::<u64>(), whole in any::<i64>(), digits in 0u32..19,
        ) {
            let x = f64::from_bits(bits);
            if x.is_finite() {
                check(&format!("{x:?}"));
                check(&format!("{x}"));
                check(&format!("{x:e}"));
            }
            check(&whole.to_string());
            let cut = whole / 10i64.pow(digits);
            check(&format!("{cut}.{:03}", whole.unsigned_abs() % 1000));
            check(&format!("{cut}e{}", whole % 40));
        }

        #[test]
        fn anything_like_a_number(text in "-?[0-9]{0,12}\\.?[0-9]{0,12}([eE][-+]?[0-9]{0,4})?.?") {
            check(&text);
        }
    }
}
