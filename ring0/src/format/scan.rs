//! Finding bytes of text, sixteen at a time, and reading digits, eight at a time. Everything here
//! looks only at the slice it is given; near its end it goes byte by byte.

mod block;
pub(super) mod marks;

use self::block::Block;

/// The eight bytes at `at`, the first lowest; `None` where there are fewer.
#[inline(always)]
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let chunk = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*chunk))
}

/// The sixteen bytes at `at`, the first lowest; `None` where there are fewer.
#[inline(always)]
pub(super) fn wide(bytes: &[u8], at: usize) -> Option<u128> {
    let chunk = bytes.get(at..)?.first_chunk::<16>()?;
    Some(u128::from_le_bytes(*chunk))
}

#[inline(always)]
fn ends_json_text(b: u8) -> bool {
    b < 0x20 || b == b'"' || b == b'\\'
}

/// A stretch of bytes that ends before one that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Index of the byte that was found.
    pub(super) end: usize,
    /// Whether all bytes before it are ASCII.
    pub(super) ascii: bool,
}

/// The text from `at` to the first quote, backslash or control character; `None` without one.
#[inline(always)]
pub(super) fn json_text(bytes: &[u8], mut at: usize) -> Option<Stretch> {
    let mut high = 0;
    while let Some(wide) = wide(bytes, at) {
        let block = Block::new(wide);
        let found = block.ends_json_text();
        if found != 0 {
            let i = found.trailing_zeros();
            high |= block.high() & ((1 << i) - 1);
            return Some(Stretch {
                end: at + i as usize,
                ascii: high == 0,
            });
        }
        high |= block.high();
        at += 16;
    }
    let mut ascii = high == 0;
    for (i, &b) in bytes.get(at..)?.iter().enumerate() {
        if ends_json_text(b) {
            let end = at + i;
            return Some(Stretch { end, ascii });
        }
        ascii &= b.is_ascii();
    }
    None
}

/// 10^0 to 10^19.
pub(super) const POWERS_OF_TEN: [u64; 20] = {
    let mut powers = [1; 20];
    let mut i = 1;
    while i < 20 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

pub(super) const ZEROS: u64 = 0x3030_3030_3030_3030;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Marks the high bit of each byte that is above 9; right up to the first such byte.
#[inline(always)]
pub(super) fn above_nine(bytes: u64) -> u64 {
    (bytes.wrapping_add(0x7676_7676_7676_7676) | bytes) & HIGH_BITS
}

/// The number of eight digits, 0 to 9 each, the first in the lowest byte.
#[inline(always)]
pub(super) fn eight_digits(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

/// Decimal digits in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digits {
    /// The number they are; right where `count` is at most 19.
    pub(super) value: u64,
    /// How many.
    pub(super) count: usize,
}

/// The digits from `at` on.
#[inline(always)]
pub(super) fn digits(bytes: &[u8], at: usize) -> Digits {
    let (mut value, mut count) = (0u64, 0);
    while let Some(word) = word(bytes, at + count) {
        let digits = word ^ ZEROS;
        let end = above_nine(digits);
        if end != 0 {
            let more = end.trailing_zeros() as usize / 8;
            if more > 0 {
                let number = eight_digits(digits << (64 - 8 * more));
                value = value.wrapping_mul(POWERS_OF_TEN[more]).wrapping_add(number);
            }
            count += more;
            return Digits { value, count };
        }
        value = value
            .wrapping_mul(100_000_000)
            .wrapping_add(eight_digits(digits));
        count += 8;
    }
    for b in bytes[at.min(bytes.len())..].iter().skip(count) {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        count += 1;
    }
    Digits { value, count }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(bytes: &[u8], at: usize, is: impl Fn(u8) -> bool) -> Option<Stretch> {
        let i = bytes.get(at..)?.iter().position(|&b| is(b))?;
        Some(Stretch {
            end: at + i,
            ascii: bytes[at..at + i].is_ascii(),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn stretches_end_where_a_byte_is(
            bytes in prop::collection::vec(prop_oneof![
                9 => b'a'..=b'z', 1 => any::<u8>(), 1 => Just(b'"'),
            ], 0..140),
            at in 0usize..142,
        ) {
            prop_assert_eq!(json_text(&bytes, at), plain(&bytes, at, ends_json_text));
        }

        #[test]
        fn digits_are_counted_and_read(
            text in "[0-9]{0,25}", behind in "\\PC{0,12}", before in "[0-9]{0,9}",
        ) {
            let all = format!("{before}{text}{behind}");
            let got = digits(all.as_bytes(), before.len());
            let rest = &all[before.len()..];
            let count = rest.bytes().take_while(u8::is_ascii_digit).count();
            prop_assert_eq!(got.count, count);
            if (1..=19).contains(&count) {
                prop_assert_eq!(got.value, rest[..count].parse::<u64>().unwrap());
            }
        }

        #[test]
        fn every_byte_ends_digits_that_is_none(b in any::<u8>(), next in any::<[u8; 8]>()) {
            let mut bytes = vec![b'1', b];
            bytes.extend(next);
            let want = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
            prop_assert_eq!(digits(&bytes, 0).count, want);
        }
    }
}
