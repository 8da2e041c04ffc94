//! Operations of two arguments: their sides, at most one of them a scalar, and which loop runs.

use super::arithmetic;
use super::compare;
use super::decimal;
use super::node::{Node, Run};
use crate::column::{Bools, Column, Fixed, Interval};
use crate::expr::{BinaryOp, Scalar};
use crate::frame::Frame;

/// One side of an operation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arg<'a, T> {
    /// A value a row.
    Rows(&'a Fixed<T>),
    /// One value for all rows.
    One(T),
}

impl<T: Copy> Arg<'_, T> {
    /// The value of row `i`.
    #[inline]
    pub(super) fn get(self, i: usize) -> T {
        match self {
            Self::Rows(rows) => rows.values[i],
            Self::One(value) => value,
        }
    }
}

/// Evaluates the sides and the operation.
pub(super) fn binary(
    op: BinaryOp,
    factors: Option<&decimal::Factors>,
    left: &mut Node,
    right: &mut Node,
    out: &mut Column,
    run: &mut Run<'_>,
) {
    let right_one = is_one(right);
    let left_one = !right_one && is_one(left);
    if !left_one {
        left.run(run);
    }
    if !right_one {
        right.run(run);
    }
    let sides = Sides {
        left,
        right,
        left_one,
        right_one,
    };
    match factors {
        Some(factors) => {
            let Column::I128(out) = out else {
                unreachable!("types are checked before")
            };
            let (l, r) = sides.of(run.frame);
            decimal::binary(op, *factors, l, r, out, run);
        }
        None => apply(op, sides, out, run),
    }
}

/// Whether a side is one value for all rows. A scalar BOOLEAN and two scalars are rare enough to
/// be broadcast, once for each length.
pub(super) fn is_one(node: &Node) -> bool {
    node.scalar().is_some_and(|s| !matches!(s, Scalar::Bool(_)))
}

/// Whether `left`, which is evaluated, equals `right`, which is too unless it [`is_one`].
pub(super) fn equal(left: &Node, right: &Node, out: &mut Bools, frame: &Frame) {
    let sides = Sides {
        left,
        right,
        left_one: false,
        right_one: is_one(right),
    };
    compare_sides(BinaryOp::Eq, sides, left.column(frame), out, frame);
}

/// The sides of an operation, evaluated; those that are one value for all rows.
#[derive(Debug, Clone, Copy)]
struct Sides<'a> {
    left: &'a Node,
    right: &'a Node,
    left_one: bool,
    right_one: bool,
}

impl<'a> Sides<'a> {
    fn of<T: Native>(self, frame: &'a Frame) -> (Arg<'a, T>, Arg<'a, T>) {
        (
            side(self.left, self.left_one, frame),
            side(self.right, self.right_one, frame),
        )
    }
}

fn apply(op: BinaryOp, sides: Sides<'_>, out: &mut Column, run: &mut Run<'_>) {
    let frame = run.frame;
    let rows = if sides.left_one {
        sides.right
    } else {
        sides.left
    };
    macro_rules! integer {
        ($out:expr) => {{
            let (l, r) = sides.of(frame);
            arithmetic::binary_integer(op, l, r, $out, run);
        }};
    }
    macro_rules! float {
        ($out:expr) => {{
            let (l, r) = sides.of(frame);
            arithmetic::binary_float(op, l, r, $out);
        }};
    }
    match out {
        Column::I8(out) => integer!(out),
        Column::I16(out) => integer!(out),
        Column::I32(out) => integer!(out),
        Column::I64(out) => integer!(out),
        Column::U8(out) => integer!(out),
        Column::U16(out) => integer!(out),
        Column::U32(out) => integer!(out),
        Column::U64(out) => integer!(out),
        Column::F32(out) => float!(out),
        Column::F64(out) => float!(out),
        Column::Bool(out) => compare_sides(op, sides, rows.column(frame), out, frame),
        _ => unreachable!("types are checked before"),
    }
}

/// `rows` is a side that is no scalar.
fn compare_sides(op: BinaryOp, sides: Sides<'_>, rows: &Column, out: &mut Bools, frame: &Frame) {
    macro_rules! fixed {
        ($type:ty) => {{
            let (l, r) = sides.of(frame);
            compare::fixed::<$type>(op, l, r, out);
        }};
    }
    match rows {
        Column::I8(_) => fixed!(i8),
        Column::I16(_) => fixed!(i16),
        Column::I32(_) => fixed!(i32),
        Column::I64(_) => fixed!(i64),
        Column::U8(_) => fixed!(u8),
        Column::U16(_) => fixed!(u16),
        Column::U32(_) => fixed!(u32),
        Column::U64(_) => fixed!(u64),
        Column::F32(_) => fixed!(f32),
        Column::F64(_) => fixed!(f64),
        Column::I128(_) => fixed!(i128),
        Column::Interval(_) => fixed!(Interval),
        Column::Bool(_) => {
            let (l, r) = (sides.left.column(frame), sides.right.column(frame));
            compare::bools(op, bools(l), bools(r), out);
        }
        Column::Utf8(_) | Column::Binary(_) => {
            let l = texts(sides.left, sides.left_one, frame);
            let r = texts(sides.right, sides.right_one, frame);
            compare::texts(op, l, r, out);
        }
        Column::List(_) | Column::Struct(_) => unreachable!("types are checked before"),
    }
}

fn side<'a, T: Native>(node: &'a Node, as_one: bool, frame: &'a Frame) -> Arg<'a, T> {
    match node.scalar() {
        Some(scalar) if as_one => Arg::One(T::one(scalar)),
        _ => Arg::Rows(T::rows(node.column(frame))),
    }
}

fn texts<'a>(node: &'a Node, as_one: bool, frame: &'a Frame) -> compare::Texts<'a> {
    match (node.scalar(), node.column(frame)) {
        (Some(Scalar::Utf8(text)), _) if as_one => compare::Texts::One(text.as_bytes()),
        (Some(Scalar::Binary(bytes)), _) if as_one => compare::Texts::One(bytes),
        (_, Column::Binary(rows)) => compare::Texts::Binaries(rows),
        (_, Column::Utf8(rows)) => compare::Texts::Rows(rows),
        _ => unreachable!("types are checked before"),
    }
}

/// Types of one width, as columns and as constants.
pub(super) trait Native: Copy + Default {
    fn one(scalar: &Scalar) -> Self;
    fn rows(column: &Column) -> &Fixed<Self>;
}

macro_rules! native {
    ($type:ty, $column:ident, $($scalar:pat => $value:expr),+) => {
        impl Native for $type {
            fn one(scalar: &Scalar) -> Self {
                match scalar {
                    $($scalar => $value,)+
                    _ => unreachable!("types are checked before"),
                }
            }
            fn rows(column: &Column) -> &Fixed<Self> {
                match column {
                    Column::$column(rows) => rows,
                    _ => unreachable!("types are checked before"),
                }
            }
        }
    };
}
native!(i8, I8, Scalar::I8(v) => *v);
native!(i16, I16, Scalar::I16(v) => *v);
native!(i32, I32, Scalar::I32(v) | Scalar::Date32(v) => *v, Scalar::Time(v, _) => *v as i32);
native!(
    i64,
    I64,
    Scalar::I64(v) | Scalar::Timestamp(v, _) | Scalar::Time(v, _) | Scalar::Duration(v, _) => *v
);
native!(u8, U8, Scalar::U8(v) => *v);
native!(u16, U16, Scalar::U16(v) => *v);
native!(u32, U32, Scalar::U32(v) => *v);
native!(u64, U64, Scalar::U64(v) => *v);
native!(f32, F32, Scalar::F32(v) => *v);
native!(f64, F64, Scalar::F64(v) => *v);
native!(i128, I128, Scalar::Decimal(v, _) => *v);
native!(Interval, Interval, Scalar::Interval(v) => *v);

pub(super) fn bools(column: &Column) -> &Bools {
    match column {
        Column::Bool(bools) => bools,
        _ => unreachable!("types are checked before"),
    }
}

pub(super) fn bools_mut(column: &mut Column) -> &mut Bools {
    match column {
        Column::Bool(bools) => bools,
        _ => unreachable!("types are checked before"),
    }
}

/// Appends `rows` times the same value.
pub(super) fn broadcast(scalar: &Scalar, rows: usize, out: &mut Column) {
    fn fill<T: Copy + Default>(value: T, rows: usize, out: &mut Fixed<T>) {
        out.values.resize(rows, value);
        out.validity.push_valid(rows);
    }
    match (scalar, out) {
        (Scalar::Null(_), out) => (0..rows).for_each(|_| out.push_null()),
        (Scalar::Bool(v), Column::Bool(out)) => {
            out.values.extend(*v, rows);
            out.validity.push_valid(rows);
        }
        (Scalar::Utf8(v), Column::Utf8(out)) => (0..rows).for_each(|_| out.push(Some(v))),
        (Scalar::Binary(v), Column::Binary(out)) => (0..rows).for_each(|_| out.push(Some(v))),
        (scalar, Column::I8(out)) => fill(Native::one(scalar), rows, out),
        (scalar, Column::I16(out)) => fill(Native::one(scalar), rows, out),
        (scalar, Column::I32(out)) => fill(Native::one(scalar), rows, out),
        (scalar, Column::I64(out)) => fill(Native::one(scalar), rows, out),
        (scalar, Column::U8(out)) => fill(Native::one(scalar), rows, out),
        (scalar, Column::U16(out)) => fill(Native::one(scalar), rows, out),
        (scalar, Column::U32(out)) => fill(Native::one(scalar), rows, out),
        (scalar, Column::U64(out)) => fill(Native::one(scalar), rows, out),
        (scalar, Column::F32(out)) => fill(Native::one(scalar), rows, out),
        (scalar, Column::F64(out)) => fill(Native::one(scalar), rows, out),
        (scalar, Column::I128(out)) => fill(Native::one(scalar), rows, out),
        (scalar, Column::Interval(out)) => fill(Native::one(scalar), rows, out),
        _ => unreachable!("types are checked before"),
    }
}
