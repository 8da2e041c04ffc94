//! What a generated column holds in a row: drawn from (seed, column, row) by a hash, so that no row
//! needs the one before it.

use std::ops::Range;

use arrow_schema::DataType;

use crate::column::{Column, Fixed};
use crate::program::{Draw, GeneratedColumn};

/// The values of a column that is made, each a function of the seed, the column, and its row.
///
/// ```
/// use trefoil_ring0::Drawn;
/// use trefoil_ring0::program::{Draw, GeneratedColumn};
///
/// let draw = Draw::Uniform { min: 1, max: 6 };
/// let column = GeneratedColumn { number: 0, nulls_permille: 0, draw, length: 0 };
/// let dice = Drawn::new(&column, 42);
/// assert!((0..100).all(|row| (1..=6).contains(&dice.number(row))));
/// assert_eq!(dice.number(7), Drawn::new(&column, 42).number(7));
/// ```
#[derive(Debug)]
pub struct Drawn {
    key: u64,
    nulls_permille: u32,
    length: usize,
    law: Law,
}

#[derive(Debug)]
enum Law {
    Sequence { start: i64, step: i64, jitter: u64 },
    Uniform { min: i64, values: u128 },
    Between { min: f64, width: f64 },
    Zipf(Zipf),
}

/// The most often drawn draw of a row; others have numbers of their own.
const FIRST: u64 = 0;
const OF_NULL: u64 = 1 << 32;
/// Letters and digits of texts.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A bijection of 64 bits that looks like chance (the finalizer of SplitMix64).
pub(super) fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// The odd number nearest to 2^64 by the golden ratio: multiples of it are spread evenly.
pub(super) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// From 0 up to 1.
pub(super) fn fraction(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

impl Drawn {
    /// What is drawn for a column with this seed.
    pub fn new(column: &GeneratedColumn, seed: u64) -> Self {
        let law = match column.draw {
            Draw::Sequence {
                start,
                step,
                jitter,
            } => Law::Sequence {
                start,
                step,
                jitter,
            },
            Draw::Uniform { min, max } => Law::Uniform {
                min,
                values: (i128::from(max) - i128::from(min) + 1).max(1) as u128,
            },
            Draw::Between { min, max } => Law::Between {
                min,
                width: max - min,
            },
            Draw::Zipf {
                cardinality,
                exponent,
            } => Law::Zipf(Zipf::new(cardinality, exponent)),
        };
        Self {
            key: mix(mix(seed).wrapping_add(GOLDEN.wrapping_mul(column.number + 1))),
            nulls_permille: column.nulls_permille,
            length: column.length,
            law,
        }
    }

    #[inline]
    fn random(&self, row: u64, draw: u64) -> u64 {
        mix(mix(self.key.wrapping_add(draw)).wrapping_add(row.wrapping_mul(GOLDEN)))
    }

    fn is_null(&self, row: u64) -> bool {
        self.nulls_permille > 0 && self.random(row, OF_NULL) % 1000 < u64::from(self.nulls_permille)
    }

    /// The whole number of a row.
    #[inline]
    pub fn number(&self, row: u64) -> i64 {
        match &self.law {
            Law::Sequence {
                start,
                step,
                jitter,
            } => {
                let number = start.wrapping_add(step.wrapping_mul(row as i64));
                match jitter {
                    0 => number,
                    _ => number.wrapping_sub(self.below(row, u128::from(*jitter) + 1) as i64),
                }
            }
            Law::Uniform { min, values } => min.wrapping_add(self.below(row, *values) as i64),
            Law::Between { min, width } => (min + fraction(self.random(row, FIRST)) * width) as i64,
            Law::Zipf(zipf) => zipf.draw(|draw| fraction(self.random(row, draw))) as i64,
        }
    }

    /// One of so many numbers, at most 2^64.
    fn below(&self, row: u64, values: u128) -> u64 {
        // The product is below 2^128, as both are at most 2^64 and one is below.
        ((u128::from(self.random(row, FIRST)) * values) >> 64) as u64
    }

    /// The number of a row in a column of floating point.
    pub fn float(&self, row: u64) -> f64 {
        match &self.law {
            Law::Between { min, width } => min + fraction(self.random(row, FIRST)) * width,
            _ => self.number(row) as f64,
        }
    }

    /// Writes the text that a number stands for.
    pub fn text(&self, number: i64, text: &mut String) {
        use std::fmt::Write;
        text.clear();
        if self.length == 0 {
            write!(text, "{number}").expect("memory takes all bytes");
            return;
        }
        let mut bits = 0;
        for place in 0..self.length as u64 {
            // Twelve letters of five bits each.
            if place % 12 == 0 {
                bits = mix(self.key ^ mix(number as u64).wrapping_add(GOLDEN.wrapping_mul(place)));
            }
            text.push(char::from(LETTERS[(bits & 31) as usize]));
            bits >>= 5;
        }
    }

    fn fill<T: Copy + Default>(
        &self,
        rows: Range<u64>,
        to: &mut Fixed<T>,
        value: impl Fn(&Self, u64) -> T,
    ) {
        match self.nulls_permille {
            0 => {
                to.validity.push_valid((rows.end - rows.start) as usize);
                to.values.extend(rows.map(|row| value(self, row)));
            }
            _ => rows.for_each(|row| to.push((!self.is_null(row)).then(|| value(self, row)))),
        }
    }
}

/// Appends rows to a column of a type that [`is_made`].
pub(super) fn append(drawn: &Drawn, rows: Range<u64>, data_type: &DataType, to: &mut Column) {
    match to {
        Column::I8(to) => drawn.fill(rows, to, |d, row| d.number(row) as i8),
        Column::I16(to) => drawn.fill(rows, to, |d, row| d.number(row) as i16),
        Column::I32(to) => drawn.fill(rows, to, |d, row| d.number(row) as i32),
        Column::I64(to) => drawn.fill(rows, to, Drawn::number),
        Column::F32(to) => drawn.fill(rows, to, |d, row| d.float(row) as f32),
        Column::F64(to) => drawn.fill(rows, to, Drawn::float),
        Column::Bool(to) => rows.for_each(|row| {
            to.push((!drawn.is_null(row)).then(|| drawn.number(row) & 1 == 1));
        }),
        Column::Utf8(to) => {
            let mut text = String::new();
            for row in rows {
                if drawn.is_null(row) {
                    to.push(None);
                    continue;
                }
                drawn.text(drawn.number(row), &mut text);
                to.push(Some(&text));
            }
        }
        other => panic!(
            "{data_type} in a column of {:?} is not made",
            other.physical()
        ),
    }
}

/// Whether columns of a type can be made.
pub fn is_made(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Utf8
            | DataType::Date32
            | DataType::Timestamp(..)
    )
}

/// Zipf's law by rejection from the integral of its hull (Hörmann and Derflinger, 1996): without a
/// table, and in a few draws whatever the number of values.
#[derive(Debug)]
struct Zipf {
    values: f64,
    exponent: f64,
    /// The integral up to the half behind the first value, less that value's own share, and up to
    /// the half behind the last.
    first: f64,
    last: f64,
    /// What is this near to a whole number is accepted unseen.
    near: f64,
}

impl Zipf {
    fn new(cardinality: u64, exponent: f64) -> Self {
        let mut zipf = Self {
            values: cardinality as f64,
            exponent,
            first: 0.0,
            last: 0.0,
            near: 0.0,
        };
        zipf.first = zipf.integral(1.5) - 1.0;
        zipf.last = zipf.integral(zipf.values + 0.5);
        zipf.near = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.share(2.0));
        zipf
    }

    fn share(&self, x: f64) -> f64 {
        x.powf(-self.exponent)
    }

    /// The integral of the share from 1 on.
    fn integral(&self, x: f64) -> f64 {
        let power = 1.0 - self.exponent;
        match power.abs() < 1e-9 {
            true => x.ln(),
            false => (x.powf(power) - 1.0) / power,
        }
    }

    fn inverse(&self, y: f64) -> f64 {
        let power = 1.0 - self.exponent;
        match power.abs() < 1e-9 {
            true => y.exp(),
            false => (y * power + 1.0).max(0.0).powf(1.0 / power),
        }
    }

    /// A number from 0 on; `fraction` draws, by the number of the draw.
    fn draw(&self, fraction: impl Fn(u64) -> f64) -> u64 {
        for draw in 0..DRAWS_MAX {
            let y = self.last + fraction(draw) * (self.first - self.last);
            let x = self.inverse(y);
            let k = x.round().clamp(1.0, self.values);
            if k - x <= self.near || y >= self.integral(k + 0.5) - self.share(k) {
                return k as u64 - 1;
            }
        }
        0
    }
}

/// Each draw is accepted in most cases, so that these are never used up.
const DRAWS_MAX: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(draw: Draw) -> Drawn {
        let column = GeneratedColumn {
            number: 3,
            nulls_permille: 0,
            draw,
            length: 0,
        };
        Drawn::new(&column, 42)
    }

    #[test]
    fn each_number_is_drawn_as_often_as_it_is_to_be() {
        let uniform = drawn(Draw::Uniform { min: -2, max: 3 });
        let mut counts = [0; 6];
        (0..60_000).for_each(|row| counts[(uniform.number(row) + 2) as usize] += 1);
        assert!(
            counts.iter().all(|c| (9_500..10_500).contains(c)),
            "{counts:?}"
        );
        for exponent in [0.5, 1.0, 1.2, 3.0] {
            let zipf = drawn(Draw::Zipf {
                cardinality: 20,
                exponent,
            });
            let mut counts = [0_f64; 20];
            (0..200_000).for_each(|row| counts[zipf.number(row) as usize] += 1.0);
            let shares: Vec<f64> = (1..=20).map(|k| f64::from(k).powf(-exponent)).collect();
            let all: f64 = shares.iter().sum();
            for (count, share) in counts.iter().zip(&shares) {
                let want = share / all * 200_000.0;
                let off = (count - want).abs();
                assert!(off < 5.0 * want.sqrt() + 1.0, "{count} instead of {want}");
            }
        }
    }

    #[test]
    fn ends_of_the_range_are_no_trouble() {
        let all = drawn(Draw::Uniform {
            min: i64::MIN,
            max: i64::MAX,
        });
        let (mut low, mut high) = (0, 0);
        (0..1000).for_each(|row| match all.number(row) < 0 {
            true => low += 1,
            false => high += 1,
        });
        assert!(low > 400 && high > 400);
        let one = drawn(Draw::Zipf {
            cardinality: 1,
            exponent: 1.0,
        });
        assert!((0..100).all(|row| one.number(row) == 0));
        let late = drawn(Draw::Sequence {
            start: 100,
            step: 10,
            jitter: 25,
        });
        let behind = |row| 100 + 10 * row as i64 - late.number(row);
        assert!((0..1000).all(|row| (0..=25).contains(&behind(row))));
        assert!((0..1000).any(|row| behind(row) == 25) && (0..1000).any(|row| behind(row) == 0));
    }
}
