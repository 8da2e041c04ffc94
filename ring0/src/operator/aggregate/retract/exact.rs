//! Sums of doubles without rounding: a fixed-point number as wide as all that doubles, or their
//! squares, can sum to. What is taken back leaves no trace, whatever it was, and no order of rows
//! shows. What is not finite is counted apart.

use crate::tally::allocated;

/// Values that are counted: 2^63 of the greatest fit above it.
const CARRY_BITS: usize = 64;
/// Words from the least double's bit, 2^-1074, to above the greatest.
const SUM_WORDS: usize = (1074 + 1024 + CARRY_BITS).div_ceil(64);
/// The same of squares, from 2^-2148 on.
const SQUARE_WORDS: usize = (2 * (1074 + 1024) + CARRY_BITS).div_ceil(64);

/// A sum in two's complement, lowest word first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wide {
    words: Box<[u64]>,
    /// What the lowest bit is worth, as a power of two.
    least: i32,
}

impl Wide {
    /// Adds, or takes, an integer at a bit.
    fn add(&mut self, value: u128, bit: usize, negative: bool) {
        let (word, shift) = (bit / 64, bit % 64);
        let low = value << shift;
        let high = match shift {
            0 => 0,
            _ => (value >> (128 - shift)) as u64,
        };
        let parts = [low as u64, (low >> 64) as u64, high];
        let mut carry = false;
        for (i, to) in self.words[word..].iter_mut().enumerate() {
            let part = parts.get(i).copied().unwrap_or(0);
            if i >= parts.len() && !carry {
                break;
            }
            let (next, first, second);
            if negative {
                let (less, borrows) = to.overflowing_sub(part);
                (first, (next, second)) = (borrows, less.overflowing_sub(u64::from(carry)));
            } else {
                let (more, carries) = to.overflowing_add(part);
                (first, (next, second)) = (carries, more.overflowing_add(u64::from(carry)));
            }
            *to = next;
            carry = first || second;
        }
    }

    /// The nearest double of what is left, which is taken away.
    fn next(&mut self) -> f64 {
        let negative = self.words.last().is_some_and(|w| w >> 63 == 1);
        let mut words = self.words.to_vec();
        if negative {
            let mut carry = true;
            for word in &mut words {
                (*word, carry) = (!*word).overflowing_add(u64::from(carry));
            }
        }
        let Some(top) = words.iter().rposition(|w| *w != 0) else {
            return 0.0;
        };
        let highest = top * 64 + 63 - words[top].leading_zeros() as usize;
        // As many bits as a double has; fewer where it is subnormal.
        let least_of_double = usize::try_from(-1074 - self.least).unwrap_or(0);
        let lowest = highest
            .saturating_sub(52)
            .max(least_of_double.min(highest + 1));
        let bit = |at: usize| words[at / 64] >> (at % 64) & 1 == 1;
        let mut mantissa = (lowest..=highest)
            .rev()
            .fold(0u64, |m, at| m << 1 | u64::from(bit(at)));
        if lowest > 0 && bit(lowest - 1) {
            let (word, shift) = ((lowest - 1) / 64, (lowest - 1) % 64);
            let rest =
                words[..word].iter().any(|w| *w != 0) || words[word] & ((1 << shift) - 1) != 0;
            if rest || mantissa & 1 == 1 {
                mantissa += 1;
            }
        }
        self.add(u128::from(mantissa), lowest, !negative);
        let value = scaled(mantissa, lowest as i32 + self.least);
        if negative { -value } else { value }
    }
}

/// An integer below 2^54 times a power of two.
fn scaled(mantissa: u64, exponent: i32) -> f64 {
    // In two steps, each of which is exact: no power of two is beyond a double then.
    let half = exponent / 2;
    let power = |by: i32| 2f64.powi(by);
    if exponent > 1023 {
        return f64::INFINITY;
    }
    mantissa as f64 * power(half) * power(exponent - half)
}

/// Mantissa, the power of two it is worth, and whether it is negative.
fn parts(value: f64) -> (u64, i32, bool) {
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    match exponent {
        0 => (fraction, -1074, bits >> 63 == 1),
        _ => (fraction | 1 << 52, exponent - 1075, bits >> 63 == 1),
    }
}

/// A sum, and with it that of the squares where it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exact {
    sum: Wide,
    squares: Option<Wide>,
    /// How many are NaN, infinite and negative infinite.
    nans: i64,
    infinite: i64,
    negative: i64,
}

impl Exact {
    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        let wides = [Some(&self.sum), self.squares.as_ref()];
        let words = wides.into_iter().flatten();
        let words = words.map(|wide| allocated(size_of_val(&wide.words[..])));
        allocated(size_of::<Self>()) + words.sum::<usize>()
    }

    pub(super) fn sum() -> Self {
        Self {
            sum: Wide {
                words: vec![0; SUM_WORDS].into(),
                least: -1074,
            },
            squares: None,
            nans: 0,
            infinite: 0,
            negative: 0,
        }
    }

    pub(super) fn moments() -> Self {
        Self {
            squares: Some(Wide {
                words: vec![0; SQUARE_WORDS].into(),
                least: -2148,
            }),
            ..Self::sum()
        }
    }

    /// All there is of it.
    pub(super) fn words(&self) -> Vec<u64> {
        let counts = [self.nans, self.infinite, self.negative].map(|count| count as u64);
        let squares = self.squares.iter().flat_map(|s| &s.words);
        let sums = self.sum.words.iter().chain(squares).copied();
        sums.chain(counts).collect()
    }

    /// Takes that back. Gives the words behind it; `None` where there are too few.
    pub(super) fn set_words<'w>(&mut self, words: &'w [u64]) -> Option<&'w [u64]> {
        let mut rest = words;
        for wide in std::iter::once(&mut self.sum).chain(&mut self.squares) {
            let (own, behind) = rest.split_at_checked(wide.words.len())?;
            wide.words.copy_from_slice(own);
            rest = behind;
        }
        let (&[nans, infinite, negative], behind) = rest.split_first_chunk()?;
        self.nans = nans as i64;
        self.infinite = infinite as i64;
        self.negative = negative as i64;
        Some(behind)
    }

    /// Takes a value `weight` times, which is 1 or -1.
    pub(super) fn weigh(&mut self, value: f64, weight: i64) {
        match value {
            v if v.is_nan() => self.nans += weight,
            f64::INFINITY => self.infinite += weight,
            f64::NEG_INFINITY => self.negative += weight,
            _ => {
                let (mantissa, exponent, negative) = parts(value);
                let takes = weight < 0;
                let bit = (exponent + 1074) as usize;
                self.sum.add(mantissa.into(), bit, negative != takes);
                if let Some(squares) = &mut self.squares {
                    let square = u128::from(mantissa) * u128::from(mantissa);
                    squares.add(square, 2 * bit, takes);
                }
            }
        }
    }

    /// Of what is not finite the sum.
    fn strange(&self) -> Option<f64> {
        match (self.nans != 0, self.infinite != 0, self.negative != 0) {
            (false, false, false) => None,
            (false, true, false) => Some(f64::INFINITY),
            (false, false, true) => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }

    /// The sum as two words, the second of what the first has no digits for.
    pub(super) fn total(&self) -> [f64; 2] {
        match self.strange() {
            Some(strange) => [strange, 0.0],
            None => two(&self.sum),
        }
    }

    /// The sum of the squares as two words.
    pub(super) fn squares(&self) -> [f64; 2] {
        match (self.strange(), &self.squares) {
            (Some(_), _) => [f64::NAN, 0.0],
            (None, Some(squares)) => two(squares),
            (None, None) => [0.0; 2],
        }
    }
}

fn two(wide: &Wide) -> [f64; 2] {
    let mut rest = wide.clone();
    let first = rest.next();
    match first.is_finite() {
        true => [first, rest.next()],
        false => [first, 0.0],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f64]) -> Exact {
        let mut sum = Exact::moments();
        values.iter().for_each(|v| sum.weigh(*v, 1));
        sum
    }

    #[test]
    fn what_is_taken_back_leaves_no_trace() {
        let cases: [(&[f64], f64); 9] = [
            (&[], 0.0),
            (&[1.5], 1.5),
            (&[-0.0, 0.0], 0.0),
            (&[1e300, 1.0, -1e300], 1.0),
            (&[f64::MAX, f64::MAX, -f64::MAX], f64::MAX),
            (&[f64::MAX, f64::MAX], f64::INFINITY),
            (&[5e-324, 5e-324], 1e-323),
            (&[f64::MIN_POSITIVE, -5e-324], f64::MIN_POSITIVE - 5e-324),
            (&[f64::INFINITY, -1.0], f64::INFINITY),
        ];
        for (values, wanted) in cases {
            let mut sum = of(values);
            assert_eq!(sum.total()[0], wanted, "{values:?}");
            for extra in [1e308, f64::NAN, f64::NEG_INFINITY, -3.25, 5e-324] {
                sum.weigh(extra, 1);
                sum.weigh(extra, -1);
                assert_eq!(sum, of(values), "{values:?} and {extra}");
            }
        }
        assert!(of(&[f64::INFINITY, f64::NEG_INFINITY]).total()[0].is_nan());
        assert!(of(&[1.0, f64::NAN]).total()[0].is_nan());
    }

    proptest! {
        /// Integers and quarters have sums that 128 bits tell.
        #[test]
        fn sums_are_the_nearest_doubles(values in prop::collection::vec(any::<i64>(), 0..30)) {
            let sum: i128 = values.iter().map(|v| *v as f64 as i128).sum();
            let doubles: Vec<f64> = values.iter().map(|v| *v as f64).collect();
            prop_assert_eq!(of(&doubles).total()[0], sum as f64);
            let small: Vec<f64> = values.iter().map(|v| (v % 1_000_000) as f64 / 4.0).collect();
            let squares: i128 = values.iter().map(|v| i128::from(v % 1_000_000).pow(2)).sum();
            prop_assert_eq!(of(&small).squares()[0], squares as f64 / 16.0);
        }

        /// Of one value all digits stay, of its square all in two words.
        #[test]
        fn one_value_is_itself(value in any::<f64>()) {
            prop_assume!(value.is_finite());
            prop_assert_eq!(of(&[value]).total(), [value, 0.0]);
            prop_assert_eq!(of(&[value]).squares()[0], value * value);
        }
    }
}
