//! Numbers at a place in text, by the grammar of JSON: `-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?`.
//! Each function says where the number ends and never looks at what follows; that it is no more
//! of a number is for the caller to see.
//!
//! A double is exact without further ado where its digits are below 2^53 and its power of ten is
//! among the 22 that a double holds (Clinger 1990): one multiplication or division, rounded once.
//! All else is left to the standard library.

use super::scan::{Digits, POWERS_OF_TEN, ZEROS, above_nine, digits, eight_digits, word};

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

/// The number that is all of `start..end`, if it is short: up to eight digits with the point. They
/// are read at once, the point being taken out from between them. `None` for what is longer, has an
/// exponent, or is no number.
#[inline(always)]
pub(super) fn short_double(bytes: &[u8], start: usize, end: usize) -> Option<f64> {
    let negative = bytes.get(start) == Some(&b'-');
    let start = start + usize::from(negative);
    let length = end.checked_sub(start).filter(|l| (1..=8).contains(l))?;
    let word = word(bytes, start)?;
    let points = word ^ u64::from_le_bytes([b'.'; 8]);
    // Right for the first such byte, and behind the end nobody looks.
    let is_point = points.wrapping_sub(0x0101_0101_0101_0101) & !points & 0x8080_8080_8080_8080;
    let whole = (is_point.trailing_zeros() as usize / 8).min(length);
    let (digits, count) = match whole == length {
        true => (word, length),
        false => {
            let before = word & ((1 << (8 * whole)) - 1);
            // In two steps, as the point may be the last of the eight.
            let behind = word >> 8 >> (8 * whole) << (8 * whole);
            (before | behind, length - 1)
        }
    };
    let fraction = count - whole;
    let leading_zero = whole > 1 && bytes[start] == b'0';
    if whole == 0 || leading_zero || (whole < length && fraction == 0) {
        return None;
    }
    let digits = (digits ^ ZEROS) << (64 - 8 * count);
    if above_nine(digits) != 0 {
        return None;
    }
    let value = eight_digits(digits) as f64 / EXACT_POWERS[fraction];
    Some(if negative { -value } else { value })
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

    /// Of each start of a text that is read at once, the value is what the other way finds.
    fn check_short(text: &str) -> usize {
        let followed = format!("{text},1.5e7,\"");
        let ends = (1..=text.len()).filter(|end| text.is_char_boundary(*end));
        let read = ends.filter(|&end| {
            let value = short_double(followed.as_bytes(), 0, end);
            if let Some(value) = value {
                let other = double(&text.as_bytes()[..end], 0);
                let other = other.map(|(value, end)| (value.to_bits(), end));
                assert_eq!(other, Some((value.to_bits(), end)), "{text}");
            }
            value.is_some()
        });
        read.count()
    }

    #[test]
    fn short_numbers_are_read_at_once() {
        for text in [
            "0", "-0", "7", "-12.5", "0.5", "999.75", "12345678", "1234567.", "0.000001",
        ] {
            let end = text.trim_end_matches('.').len();
            assert!(check_short(text) > 0, "{text}");
            let followed = format!("{text},       ");
            assert!(
                short_double(followed.as_bytes(), 0, end).is_some(),
                "{text}"
            );
        }
        for text in [
            ".5",
            "5.",
            "-",
            "01",
            "-01.5",
            "1e5",
            "1.2.3",
            "123456789",
            "1,5",
            "x",
            "٣",
        ] {
            let followed = format!("{text},       ");
            assert_eq!(
                short_double(followed.as_bytes(), 0, text.len()),
                None,
                "{text}"
            );
        }
        assert_eq!(short_double(b"1.5", 0, 3), None);
        assert_eq!(short_double(b"12", 1, 1), None);
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
            check_short(&text);
        }
    }
}
