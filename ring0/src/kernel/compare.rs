//! Comparisons: 64 rows make one word of bits. All six follow from "equal" and "less", with the
//! sides exchanged or the word inverted.

use crate::column::{Binaries, Bitmap, Bools, Fixed, Interval, Strings, Validity};
use crate::expr::BinaryOp;

use super::binary::Arg;

/// A total order, in which comparing makes no branches.
pub(super) trait Total: Copy {
    fn same(self, other: Self) -> bool;
    fn less(self, other: Self) -> bool;
}

macro_rules! total {
    ($($type:ty),+) => {$(
        impl Total for $type {
            #[inline(always)]
            fn same(self, other: Self) -> bool {
                self == other
            }
            #[inline(always)]
            fn less(self, other: Self) -> bool {
                self < other
            }
        }
    )+};
}
total!(i8, i16, i32, i64, i128, u8, u16, u32, u64, Interval, &[u8]);

macro_rules! total_float {
    ($($type:ty),+) => {$(
        /// NaN equals NaN and is the greatest; -0.0 = 0.0.
        impl Total for $type {
            #[inline(always)]
            fn same(self, other: Self) -> bool {
                (self == other) | (self.is_nan() & other.is_nan())
            }
            #[inline(always)]
            fn less(self, other: Self) -> bool {
                (self < other) | (!self.is_nan() & other.is_nan())
            }
        }
    )+};
}
total_float!(f32, f64);

/// What the word of a comparison is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Same,
    /// Left is less than right.
    Less,
    /// Right is less than left.
    More,
}

/// The base of an operation, and the mask that inverts its words where it is a negation.
fn base(op: BinaryOp) -> (Base, u64) {
    match op {
        BinaryOp::Eq | BinaryOp::IsNotDistinctFrom => (Base::Same, 0),
        BinaryOp::NotEq | BinaryOp::IsDistinctFrom => (Base::Same, u64::MAX),
        BinaryOp::Lt => (Base::Less, 0),
        BinaryOp::GtEq => (Base::Less, u64::MAX),
        BinaryOp::Gt => (Base::More, 0),
        BinaryOp::LtEq => (Base::More, u64::MAX),
        _ => unreachable!("types are checked before"),
    }
}

/// Fills `out` with the bits that `word` gives for the operation's base, inverted where the
/// operation is a negation, and settles what NULLs make of them.
#[inline(always)]
fn finish(
    op: BinaryOp,
    left: Option<&Validity>,
    right: Option<&Validity>,
    out: &mut Bools,
    mut word: impl FnMut(usize) -> u64,
) {
    let (_, invert) = base(op);
    let len = left.or(right).map_or(0, Validity::len);
    let valid = |side: Option<&Validity>, w| side.map_or(u64::MAX, |v: &Validity| v.word(w));
    let nulls = left.map_or(0, Validity::nulls) + right.map_or(0, Validity::nulls);
    if matches!(op, BinaryOp::IsDistinctFrom | BinaryOp::IsNotDistinctFrom) {
        out.validity.clear();
        out.validity.push_valid(len);
        return out.values.fill_words(len, |w| {
            let (l, r) = (valid(left, w), valid(right, w));
            ((l & r & word(w)) | (!l & !r)) ^ invert
        });
    }
    if nulls == 0 {
        out.validity.clear();
        out.validity.push_valid(len);
        return out.values.fill_words(len, |w| word(w) ^ invert);
    }
    out.validity
        .fill_words(len, |w| valid(left, w) & valid(right, w));
    out.values.fill_words(len, |w| {
        (word(w) ^ invert) & valid(left, w) & valid(right, w)
    });
}

/// One bit for each of at most 64 rows.
#[inline(always)]
fn pack(bits: impl Iterator<Item = bool>) -> u64 {
    let mut word = 0;
    for (i, bit) in bits.enumerate() {
        word |= u64::from(bit) << i;
    }
    word
}

#[inline]
fn chunk<T>(values: &[T], w: usize) -> &[T] {
    &values[w * 64..values.len().min(w * 64 + 64)]
}

/// The word of 64 rows from a whole chunk, for which the compiler knows the length, or the rest.
#[inline(always)]
fn word_one<T: Copy>(rows: &[T], one: T, w: usize, f: impl Fn(T, T) -> bool) -> u64 {
    let rows = chunk(rows, w);
    match <&[T; 64]>::try_from(rows) {
        Ok(rows) => pack(rows.iter().map(|&v| f(v, one))),
        Err(_) => pack(rows.iter().map(|&v| f(v, one))),
    }
}

/// As [`word_one`], of two columns.
#[inline(always)]
fn word_two<T: Copy>(l: &[T], r: &[T], w: usize, f: impl Fn(T, T) -> bool) -> u64 {
    let (l, r) = (chunk(l, w), chunk(r, w));
    match (<&[T; 64]>::try_from(l), <&[T; 64]>::try_from(r)) {
        (Ok(l), Ok(r)) => pack(l.iter().zip(r).map(|(&a, &b)| f(a, b))),
        _ => pack(l.iter().zip(r).map(|(&a, &b)| f(a, b))),
    }
}

/// The operation with its sides exchanged.
fn exchanged(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::LtEq => BinaryOp::GtEq,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::GtEq => BinaryOp::LtEq,
        op => op,
    }
}

/// Compares values of one width.
pub(super) fn fixed<T: Total + Default>(
    op: BinaryOp,
    left: Arg<'_, T>,
    right: Arg<'_, T>,
    out: &mut Bools,
) {
    match (left, right) {
        (Arg::Rows(l), Arg::One(one)) => fixed_one(op, l, one, out),
        (Arg::One(one), Arg::Rows(r)) => fixed_one(exchanged(op), r, one, out),
        (Arg::Rows(l), Arg::Rows(r)) => {
            assert_eq!(l.values.len(), r.values.len(), "columns of unlike length");
            let (lv, rv) = (Some(&l.validity), Some(&r.validity));
            let (l, r) = (&l.values[..], &r.values[..]);
            match base(op).0 {
                Base::Same => finish(op, lv, rv, out, |w| word_two(l, r, w, T::same)),
                Base::Less => finish(op, lv, rv, out, |w| word_two(l, r, w, T::less)),
                Base::More => finish(op, lv, rv, out, |w| word_two(r, l, w, T::less)),
            }
        }
        (Arg::One(_), Arg::One(_)) => unreachable!("one side is broadcast"),
    }
}

fn fixed_one<T: Total + Default>(op: BinaryOp, rows: &Fixed<T>, one: T, out: &mut Bools) {
    let (validity, rows) = (Some(&rows.validity), &rows.values[..]);
    match base(op).0 {
        Base::Same => finish(op, validity, None, out, |w| word_one(rows, one, w, T::same)),
        Base::Less => finish(op, validity, None, out, |w| word_one(rows, one, w, T::less)),
        Base::More => finish(op, validity, None, out, |w| {
            word_one(rows, one, w, |v, one| one.less(v))
        }),
    }
}

/// Compares booleans: false is less than true.
pub(super) fn bools(op: BinaryOp, left: &Bools, right: &Bools, out: &mut Bools) {
    let word = |bits: &Bitmap, w: usize| bits.words()[w];
    let which = base(op).0;
    finish(op, Some(&left.validity), Some(&right.validity), out, |w| {
        let (l, r) = (word(&left.values, w), word(&right.values, w));
        match which {
            Base::Same => !(l ^ r),
            Base::Less => !l & r,
            Base::More => l & !r,
        }
    });
}

/// One side of a comparison of strings.
#[derive(Debug, Clone, Copy)]
pub(super) enum Texts<'a> {
    /// A string a row.
    Rows(&'a Strings),
    /// Bytes a row.
    Binaries(&'a Binaries),
    /// The bytes of one string for all rows.
    One(&'a [u8]),
}

impl<'a> Texts<'a> {
    #[inline(always)]
    fn bytes(self, i: usize) -> &'a [u8] {
        match self {
            Self::Rows(rows) => rows.bytes(i),
            Self::Binaries(rows) => rows.bytes(i),
            Self::One(bytes) => bytes,
        }
    }
    fn validity(self) -> Option<&'a Validity> {
        match self {
            Self::Rows(rows) => Some(&rows.validity),
            Self::Binaries(rows) => Some(&rows.validity),
            Self::One(_) => None,
        }
    }
}

/// Compares strings by their bytes.
pub(super) fn texts(op: BinaryOp, left: Texts<'_>, right: Texts<'_>, out: &mut Bools) {
    let (lv, rv) = (left.validity(), right.validity());
    let len = lv.or(rv).map_or(0, Validity::len);
    let rows = |w: usize| w * 64..len.min(w * 64 + 64);
    let (l, r) = (|i| left.bytes(i), |i| right.bytes(i));
    match base(op).0 {
        Base::Same => finish(op, lv, rv, out, |w| pack(rows(w).map(|i| l(i).same(r(i))))),
        Base::Less => finish(op, lv, rv, out, |w| pack(rows(w).map(|i| l(i).less(r(i))))),
        Base::More => finish(op, lv, rv, out, |w| pack(rows(w).map(|i| r(i).less(l(i))))),
    }
}
