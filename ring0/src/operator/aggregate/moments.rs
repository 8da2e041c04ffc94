//! What VARIANCE and STDDEV are made from: the count, the sum and the sum of squares, of twice the
//! digits of a DOUBLE. A mean that is kept up to date, as Welford does, depends in its last digits
//! on the order of rows and on how they are divided among shards; these sums do not, as far as the
//! result shows, and what cancels is within their digits.
//!
//! ```text
//! count | sum, high | low | sum of squares, high | low
//! ```

/// What rounding may have left of a difference that is none: a little for each value.
const NOISE: f64 = 1.0 / (1u128 << 105) as f64;

/// The sum of two doubles, and what rounding lost.
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// The product of two doubles, and what rounding lost.
#[inline(always)]
fn two_product(a: f64, b: f64) -> (f64, f64) {
    // Veltkamp's halves: a fused operation is a call where the processor may lack it.
    let halves = |x: f64| {
        let scaled = x * 134_217_729.0;
        let high = scaled - (scaled - x);
        (high, x - high)
    };
    let product = a * b;
    let ((ah, al), (bh, bl)) = (halves(a), halves(b));
    (product, ((ah * bh - product) + ah * bl + al * bh) + al * bl)
}

/// Adds to a sum of two words.
#[inline(always)]
fn add_to(high: &mut u64, low: &mut u64, value: (f64, f64)) {
    let (sum, lost) = two_sum(f64::from_bits(*high), value.0);
    let rest = lost + (f64::from_bits(*low) + value.1);
    let next = sum + rest;
    *high = next.to_bits();
    *low = (rest - (next - sum)).to_bits();
}

/// Takes a value.
#[inline(always)]
pub(super) fn add(cell: &mut [u64; 5], value: f64) {
    let [count, sum, sum_low, squares, squares_low] = cell;
    *count += 1;
    add_to(sum, sum_low, (value, 0.0));
    add_to(squares, squares_low, two_product(value, value));
}

/// Takes what another cell holds.
pub(super) fn merge(cell: &mut [u64; 5], more: i64, sums: [f64; 4]) {
    let [count, sum, sum_low, squares, squares_low] = cell;
    *count += more as u64;
    add_to(sum, sum_low, (sums[0], sums[1]));
    add_to(squares, squares_low, (sums[2], sums[3]));
}

/// The sum of squared distances from the mean.
pub(super) fn distances(cell: &[u64; 5]) -> f64 {
    let count = cell[0] as f64;
    let [sum, sum_low, squares, squares_low] =
        [cell[1], cell[2], cell[3], cell[4]].map(f64::from_bits);
    if !squares.is_finite() {
        // Of finite values it is their squares that are beyond a DOUBLE.
        return if sum.is_finite() {
            f64::INFINITY
        } else {
            f64::NAN
        };
    }
    // count * squares - sum * sum, over count.
    let (all, lost) = two_product(squares, count);
    let lost = lost + squares_low * count;
    let (square, rest) = two_product(sum, sum);
    let rest = rest + 2.0 * sum * sum_low;
    let (difference, left) = two_sum(all, -square);
    let difference = difference + (left + (lost - rest));
    if difference <= all * (NOISE * count) {
        return 0.0;
    }
    difference / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = f64>) -> [u64; 5] {
        let mut cell = [0; 5];
        values.into_iter().for_each(|v| add(&mut cell, v));
        cell
    }

    /// In any order and in any parts, to the last digit.
    #[test]
    fn neither_order_nor_parts_show() {
        let value = |i: u64| (i * 7919 % 10_007) as f64 / 7.0 + 1e6;
        let wanted = distances(&of((0..10_000).map(value)));
        assert_eq!(distances(&of((0..10_000).rev().map(value))), wanted);
        for parts in [2, 3, 7, 64] {
            let mut all = [0; 5];
            for part in 0..parts {
                let cell = of((0..10_000).filter(|i| i % parts == part).map(value));
                let sums = [cell[1], cell[2], cell[3], cell[4]].map(f64::from_bits);
                merge(&mut all, cell[0] as i64, sums);
            }
            assert_eq!(distances(&all), wanted, "{parts} parts");
        }
    }

    #[test]
    fn equal_values_have_no_distance() {
        for value in [0.0, 0.1, -21.5, 1e-30, 1e100, 123_456.789] {
            for count in [1, 2, 3, 10, 1000] {
                let got = distances(&of(std::iter::repeat_n(value, count)));
                assert_eq!(got, 0.0, "{count} times {value}");
            }
        }
    }

    #[test]
    fn little_distances_far_from_zero_are_found() {
        // Exact: 2 * (0.5 * step)^2.
        for (base, step) in [(1e9, 1.0), (1e12, 0.5), (1e15, 1.0), (3.0, 1e-6)] {
            let pair: [f64; 2] = [base, base + step];
            let half = (pair[1] - pair[0]) / 2.0;
            let wanted = 2.0 * half * half;
            let got = distances(&of(pair));
            assert!(
                (got - wanted).abs() <= 1e-12 * wanted,
                "{base}: {got}, not {wanted}"
            );
        }
    }

    #[test]
    fn what_is_not_finite() {
        assert!(distances(&of([1.0, f64::NAN])).is_nan());
        assert!(distances(&of([1.0, f64::INFINITY])).is_nan());
        assert_eq!(distances(&of([1e200, -1e200])), f64::INFINITY);
    }
}
