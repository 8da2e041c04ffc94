//! An expression as a tree of operations, each with the column it writes. Children run first,
//! left before right; types were checked when the tree was made, so a mismatch here is a bug.

use arrow_schema::DataType;

use super::cast::{self, CastKind};
use super::{RowError, arithmetic, compare, logic};
use crate::column::{Bitmap, Bools, Column, Fixed};
use crate::error::{Error, Result};
use crate::expr::{BinaryOp, Expr, Scalar, UnaryOp};
use crate::frame::Frame;
use crate::limits::EXPR_DEPTH_MAX;
use crate::schema::{Physical, Schema, physical};

/// What one evaluation shares.
pub(super) struct Run<'a> {
    /// The input.
    pub(super) frame: &'a Frame,
    /// Rows that may raise an error, all where `None`.
    pub(super) active: Option<&'a Bitmap>,
    /// The error of the lowest row so far, of the operation that came first on that row.
    pub(super) error: &'a mut Option<RowError>,
    /// Where one value's text is written before it enters a column.
    pub(super) text: &'a mut String,
}

impl Run<'_> {
    /// Notes that `row` errs, where it may and no lower row did.
    pub(super) fn fail(&mut self, row: usize, message: impl FnOnce() -> String) {
        if self.active.is_some_and(|active| !active.get(row)) {
            return;
        }
        let row = row as u32;
        if self.error.as_ref().is_none_or(|e| row < e.row) {
            *self.error = Some(RowError {
                row,
                message: message(),
            });
        }
    }
}

/// One operation and the column it writes.
#[derive(Debug)]
pub(super) struct Node {
    kind: Kind,
    out: Column,
    /// Whether it or an operation below it can err.
    fallible: bool,
}

#[derive(Debug)]
enum Kind {
    Column(usize),
    Literal(Scalar),
    Binary {
        op: BinaryOp,
        left: Box<Node>,
        right: Box<Node>,
        /// Scratch of AND and OR: rows whose right side counts.
        active: Bitmap,
    },
    Unary(UnaryOp, Box<Node>),
    Cast(CastKind, Box<Node>),
    Tumble {
        time: Box<Node>,
        size: i64,
        offset: i64,
    },
}

fn refuse<T>(message: String) -> Result<T> {
    Err(Error::Program(message))
}

impl Node {
    pub(super) fn new(expr: &Expr, schema: &Schema, depth: usize) -> Result<Self> {
        if depth > EXPR_DEPTH_MAX {
            return refuse(format!(
                "an expression is nested deeper than {EXPR_DEPTH_MAX}"
            ));
        }
        let child = |expr: &Expr| Node::new(expr, schema, depth + 1).map(Box::new);
        // Children are made, and so checked, before a type is asked for: a column may not exist.
        let (kind, fallible) = match expr {
            Expr::Column(i) => {
                if *i >= schema.fields.len() {
                    return refuse(format!("column {i} of {}", schema.fields.len()));
                }
                (Kind::Column(*i), false)
            }
            Expr::Literal(scalar) => (Kind::Literal(scalar.clone()), false),
            Expr::Binary(op, l, r) => {
                let (left, right) = (child(l)?, child(r)?);
                let t = l.data_type(schema);
                check_binary(*op, &t, &r.data_type(schema))?;
                let own = matches!(
                    op,
                    BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem
                ) && physical(&t) == Some(Physical::I64);
                let fallible = own || left.fallible || right.fallible;
                let kind = Kind::Binary {
                    op: *op,
                    left,
                    right,
                    active: Bitmap::default(),
                };
                (kind, fallible)
            }
            Expr::Unary(op, inner) => {
                let node = child(inner)?;
                let t = inner.data_type(schema);
                check_unary(*op, &t)?;
                let fallible = node.fallible || (*op == UnaryOp::Negate && t == DataType::Int64);
                (Kind::Unary(*op, node), fallible)
            }
            Expr::Cast(inner, to) => {
                let node = child(inner)?;
                let kind = CastKind::new(&inner.data_type(schema), to)?;
                (Kind::Cast(kind, node), true)
            }
            Expr::TumbleStart { time, size, offset } => {
                let node = child(time)?;
                let t = time.data_type(schema);
                if !matches!(t, DataType::Timestamp(_, None)) {
                    return refuse(format!("TUMBLE of {t}: a TIMESTAMP is needed"));
                }
                if *size <= 0 || *offset < 0 || offset >= size {
                    return refuse(format!("TUMBLE of size {size} and offset {offset}"));
                }
                let kind = Kind::Tumble {
                    time: node,
                    size: *size,
                    offset: *offset,
                };
                (kind, true)
            }
        };
        let t = expr.data_type(schema);
        let Some(physical) = physical(&t) else {
            return refuse(format!("type {t} is not supported"));
        };
        Ok(Self {
            kind,
            out: Column::new(physical),
            fallible,
        })
    }

    /// The values, once [`Node::run`] has run.
    pub(super) fn column<'a>(&'a self, frame: &'a Frame) -> &'a Column {
        match self.kind {
            Kind::Column(i) => &frame.columns[i],
            _ => &self.out,
        }
    }

    /// The constant that this node is, unless it is NULL.
    fn scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Literal(Scalar::Null(_)) => None,
            Kind::Literal(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Evaluates over all rows.
    pub(super) fn run(&mut self, run: &mut Run<'_>) {
        let Self { kind, out, .. } = self;
        let rows = run.frame.rows();
        match kind {
            Kind::Column(_) => {}
            Kind::Literal(scalar) => {
                if out.len() != rows {
                    out.clear();
                    broadcast(scalar, rows, out);
                }
            }
            Kind::Binary {
                op: op @ (BinaryOp::And | BinaryOp::Or),
                left,
                right,
                active,
            } => {
                left.run(run);
                let frame = run.frame;
                if right.fallible {
                    let l = bools(left.column(frame));
                    logic::right_counts(*op, l, run.active, active);
                    right.run(&mut Run {
                        frame,
                        active: Some(active),
                        error: run.error,
                        text: run.text,
                    });
                } else {
                    right.run(run);
                }
                let (l, r) = (bools(left.column(frame)), bools(right.column(frame)));
                logic::connect(*op, l, r, bools_mut(out));
            }
            Kind::Binary {
                op, left, right, ..
            } => binary(*op, left, right, out, run),
            Kind::Unary(op, inner) => {
                inner.run(run);
                let from = inner.column(run.frame);
                match (op, from, out) {
                    (UnaryOp::Not, Column::Bool(from), Column::Bool(out)) => logic::not(from, out),
                    (UnaryOp::IsNull, from, Column::Bool(out)) => {
                        logic::valid_xor(from.validity(), u64::MAX, out);
                    }
                    (UnaryOp::IsNotNull, from, Column::Bool(out)) => {
                        logic::valid_xor(from.validity(), 0, out);
                    }
                    (UnaryOp::Negate, Column::I64(from), Column::I64(out)) => {
                        arithmetic::negate_i64(from, out, run);
                    }
                    (UnaryOp::Negate, Column::F64(from), Column::F64(out)) => {
                        arithmetic::negate_f64(from, out);
                    }
                    (UnaryOp::Upper, Column::Utf8(from), Column::Utf8(out)) => {
                        super::text::upper(from, out, run.text);
                    }
                    (UnaryOp::Lower, Column::Utf8(from), Column::Utf8(out)) => {
                        super::text::lower(from, out, run.text);
                    }
                    _ => unreachable!("types are checked before"),
                }
            }
            Kind::Cast(cast_kind, inner) => {
                inner.run(run);
                cast::cast(*cast_kind, inner.column(run.frame), out, run);
            }
            Kind::Tumble { time, size, offset } => {
                time.run(run);
                let (Column::I64(time), Column::I64(out)) = (time.column(run.frame), out) else {
                    unreachable!("types are checked before")
                };
                arithmetic::tumble(time, *size, *offset, out, run);
            }
        }
    }
}

/// One side of an operation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arg<'a, T> {
    /// A value a row.
    Rows(&'a Fixed<T>),
    /// One value for all rows.
    One(T),
}

/// Evaluates the sides, at most one of them a scalar, and the operation.
fn binary(op: BinaryOp, left: &mut Node, right: &mut Node, out: &mut Column, run: &mut Run<'_>) {
    // A scalar BOOLEAN and two scalars are rare enough to be broadcast, once for each length.
    let keep = |node: &Node| node.scalar().is_some_and(|s| !matches!(s, Scalar::Bool(_)));
    let right_one = keep(right);
    let left_one = !right_one && keep(left);
    if !left_one {
        left.run(run);
    }
    if !right_one {
        right.run(run);
    }
    let frame = run.frame;
    macro_rules! sides {
        () => {
            (side(left, left_one, frame), side(right, right_one, frame))
        };
    }
    use BinaryOp::{Add, Div, Mul, Rem, Sub};
    let physical = if left_one { &*right } else { &*left }
        .column(frame)
        .physical();
    match (op, physical, out) {
        (Add | Sub | Mul | Div | Rem, Physical::I64, Column::I64(out)) => {
            let (l, r) = sides!();
            arithmetic::binary_i64(op, l, r, out, run);
        }
        (Add | Sub | Mul | Div | Rem, Physical::F64, Column::F64(out)) => {
            let (l, r) = sides!();
            arithmetic::binary_f64(op, l, r, out);
        }
        (_, Physical::I32, Column::Bool(out)) => {
            let (l, r) = sides!();
            compare::fixed::<i32>(op, l, r, out);
        }
        (_, Physical::I64, Column::Bool(out)) => {
            let (l, r) = sides!();
            compare::fixed::<i64>(op, l, r, out);
        }
        (_, Physical::F64, Column::Bool(out)) => {
            let (l, r) = sides!();
            compare::fixed::<f64>(op, l, r, out);
        }
        (_, Physical::Bool, Column::Bool(out)) => {
            compare::bools(
                op,
                bools(left.column(frame)),
                bools(right.column(frame)),
                out,
            );
        }
        (_, Physical::Utf8, Column::Bool(out)) => {
            let (l, r) = (texts(left, left_one, frame), texts(right, right_one, frame));
            compare::texts(op, l, r, out);
        }
        _ => unreachable!("types are checked before"),
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
native!(i32, I32, Scalar::Date32(v) => *v);
native!(i64, I64, Scalar::I64(v) | Scalar::Timestamp(v, _) => *v);
native!(f64, F64, Scalar::F64(v) => *v);

fn bools(column: &Column) -> &Bools {
    match column {
        Column::Bool(bools) => bools,
        _ => unreachable!("types are checked before"),
    }
}

fn bools_mut(column: &mut Column) -> &mut Bools {
    match column {
        Column::Bool(bools) => bools,
        _ => unreachable!("types are checked before"),
    }
}

/// Appends `rows` times the same value.
fn broadcast(scalar: &Scalar, rows: usize, out: &mut Column) {
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
        (Scalar::I64(v) | Scalar::Timestamp(v, _), Column::I64(out)) => fill(*v, rows, out),
        (Scalar::F64(v), Column::F64(out)) => fill(*v, rows, out),
        (Scalar::Date32(v), Column::I32(out)) => fill(*v, rows, out),
        (Scalar::Utf8(v), Column::Utf8(out)) => (0..rows).for_each(|_| out.push(Some(v))),
        _ => unreachable!("types are checked before"),
    }
}

fn check_binary(op: BinaryOp, left: &DataType, right: &DataType) -> Result<()> {
    use BinaryOp::{Add, And, Div, Mul, Or, Rem, Sub};
    if left != right {
        return refuse(format!("{} of {left} and {right}", symbol(op)));
    }
    let ok = match op {
        // A window's end is its start and its size, both in the timestamp's unit.
        Add if matches!(left, DataType::Timestamp(..)) => true,
        Add | Sub | Mul | Div | Rem => matches!(left, DataType::Int64 | DataType::Float64),
        And | Or => *left == DataType::Boolean,
        _ => true,
    };
    if ok {
        Ok(())
    } else {
        refuse(format!("{} of {left}", symbol(op)))
    }
}

fn check_unary(op: UnaryOp, t: &DataType) -> Result<()> {
    let (name, ok) = match op {
        UnaryOp::Not => ("NOT", *t == DataType::Boolean),
        UnaryOp::Negate => ("-", matches!(t, DataType::Int64 | DataType::Float64)),
        UnaryOp::Upper => ("UPPER", *t == DataType::Utf8),
        UnaryOp::Lower => ("LOWER", *t == DataType::Utf8),
        UnaryOp::IsNull | UnaryOp::IsNotNull => return Ok(()),
    };
    if ok {
        Ok(())
    } else {
        refuse(format!("{name} of {t}"))
    }
}

/// How an operation is written.
pub(super) fn symbol(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Rem => "%",
        BinaryOp::Eq => "=",
        BinaryOp::NotEq => "<>",
        BinaryOp::Lt => "<",
        BinaryOp::LtEq => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::GtEq => ">=",
        BinaryOp::IsDistinctFrom => "IS DISTINCT FROM",
        BinaryOp::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
        BinaryOp::And => "AND",
        BinaryOp::Or => "OR",
    }
}
