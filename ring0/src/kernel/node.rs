//! An expression as a tree of operations, each with the column it writes. Children run first,
//! left before right; types were checked when the tree was made, so a mismatch here is a bug.

use arrow_schema::DataType;

use super::arithmetic::{self, negate, negate_integer};
use super::binary::{binary, bools, bools_mut, broadcast};
use super::branch::{Choice, InList};
use super::cast::{Cast, OnFailure};
use super::check::{check_binary, check_unary};
use super::generic::Call;
use super::like::Like;
use super::temporal::{self, has_interval};
use super::{Failures, decimal, logic};
use crate::column::{Bitmap, Column};
use crate::error::{Result, refuse};
use crate::expr::{BinaryOp, Expr, Scalar, UnaryOp, arithmetic_type};
use crate::frame::Frame;
use crate::limits::EXPR_DEPTH_MAX;
use crate::program::Reach;
use crate::schema::{Schema, physical};

/// What one evaluation shares.
pub(super) struct Run<'a> {
    /// The input.
    pub(super) frame: &'a Frame,
    /// Rows that may raise an error, all where `None`.
    pub(super) active: Option<&'a Bitmap>,
    /// What failed so far.
    pub(super) failures: &'a mut Failures,
    /// Where one value's text is written before it enters a column.
    pub(super) text: &'a mut String,
}

impl Run<'_> {
    /// Notes that `row` errs, where it may.
    pub(super) fn fail(&mut self, row: usize, message: impl FnOnce() -> String) {
        if self.active.is_some_and(|active| !active.get(row)) {
            return;
        }
        self.failures.note(row, message);
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
        /// Of DECIMALs.
        factors: Option<Box<decimal::Factors>>,
        left: Box<Node>,
        right: Box<Node>,
        /// Scratch of AND and OR: rows whose right side counts.
        active: Bitmap,
    },
    /// With an INTERVAL on a side: the operation and its type.
    Temporal(BinaryOp, DataType, Box<[Node; 2]>),
    Unary(UnaryOp, Box<Node>),
    Cast(Box<Cast>, Box<Node>),
    Choice(Box<Choice>),
    InList(Box<InList>),
    Like(Box<Like>, Box<Node>, Box<Node>),
    Call(Call),
    Tumble {
        time: Box<Node>,
        size: i64,
        offset: i64,
    },
    InWindows(Box<Node>, Reach),
}

impl Kind {
    /// The operation, and whether it or one below it can err.
    fn new(expr: &Expr, schema: &Schema, depth: usize) -> Result<(Self, bool)> {
        let child = |expr: &Expr| Node::new(expr, schema, depth + 1).map(Box::new);
        Ok(match expr {
            Expr::Column(i) => {
                if *i >= schema.fields.len() {
                    return refuse(format!("column {i} of {}", schema.fields.len()));
                }
                (Self::Column(*i), false)
            }
            Expr::Literal(scalar) => (Self::Literal(scalar.clone()), false),
            Expr::Binary(op, l, r) => {
                let (left, right) = (child(l)?, child(r)?);
                let types = [l, r].map(|e| e.data_type(schema));
                Self::binary(*op, left, right, types)?
            }
            Expr::Unary(op, inner) => {
                let node = child(inner)?;
                let t = inner.data_type(schema);
                check_unary(*op, &t)?;
                let fallible = node.fallible || (*op == UnaryOp::Negate && t.is_integer());
                (Self::Unary(*op, node), fallible)
            }
            Expr::Cast(inner, to) => {
                let node = child(inner)?;
                let cast = Cast::new(&inner.data_type(schema), to, OnFailure::Err)?;
                (Self::Cast(Box::new(cast), node), true)
            }
            Expr::TryCast(inner, to) => {
                let node = child(inner)?;
                let fallible = node.fallible;
                let cast = Cast::new(&inner.data_type(schema), to, OnFailure::Null)?;
                (Self::Cast(Box::new(cast), node), fallible)
            }
            Expr::Case { .. } | Expr::Coalesce(_) => {
                let choice = Choice::new(expr, schema, depth)?;
                let fallible = choice.is_fallible();
                (Self::Choice(Box::new(choice)), fallible)
            }
            Expr::InList { .. } => {
                let list = InList::new(expr, schema, depth)?;
                let fallible = list.is_fallible();
                (Self::InList(Box::new(list)), fallible)
            }
            Expr::Like {
                value,
                pattern,
                negated,
                ignore_case,
            } => {
                let (left, right) = (child(value)?, child(pattern)?);
                for t in [value.data_type(schema), pattern.data_type(schema)] {
                    if t != DataType::Utf8 {
                        return refuse(format!("LIKE of {t}"));
                    }
                }
                let fallible = left.fallible || right.fallible;
                let like = Box::new(Like::new(*negated, *ignore_case));
                (Self::Like(like, left, right), fallible)
            }
            Expr::Call { kernel, args } => {
                (Self::Call(Call::new(kernel, args, schema, depth)?), true)
            }
            Expr::TumbleStart { time, size, offset } => {
                let node = child(time)?;
                let kind = Self::tumble(node, &time.data_type(schema), *size, *offset)?;
                (kind, true)
            }
            Expr::InWindows { time, windows } => {
                let node = child(time)?;
                let t = time.data_type(schema);
                if !matches!(t, DataType::Timestamp(_, None)) || !windows.is_sound() {
                    return refuse(format!("{t} in {windows:?}"));
                }
                (Self::InWindows(node, *windows), true)
            }
        })
    }

    fn binary(
        op: BinaryOp,
        left: Box<Node>,
        right: Box<Node>,
        [t, u]: [DataType; 2],
    ) -> Result<(Self, bool)> {
        use BinaryOp::{Add, Div, Mul, Rem, Sub};
        check_binary(op, &t, &u)?;
        if let Some(result) = arithmetic_type(op, &t, &u)
            && has_interval(&t, &u)
        {
            return Ok((Self::Temporal(op, result, Box::new([*left, *right])), true));
        }
        let is_float = matches!(t, DataType::Float32 | DataType::Float64);
        let own = matches!(op, Add | Sub | Mul | Div | Rem) && !is_float;
        let fallible = own || left.fallible || right.fallible;
        let kind = Self::Binary {
            op,
            factors: decimal::Factors::new(op, &t, &u).map(Box::new),
            left,
            right,
            active: Bitmap::default(),
        };
        Ok((kind, fallible))
    }

    fn tumble(time: Box<Node>, t: &DataType, size: i64, offset: i64) -> Result<Self> {
        if !matches!(t, DataType::Timestamp(_, None)) {
            return refuse(format!("TUMBLE of {t}: a TIMESTAMP is needed"));
        }
        if size <= 0 || offset < 0 || offset >= size {
            return refuse(format!("TUMBLE of size {size} and offset {offset}"));
        }
        Ok(Self::Tumble { time, size, offset })
    }
}

impl Node {
    pub(super) fn new(expr: &Expr, schema: &Schema, depth: usize) -> Result<Self> {
        if depth > EXPR_DEPTH_MAX {
            return refuse(format!(
                "an expression is nested deeper than {EXPR_DEPTH_MAX}"
            ));
        }
        // Children are made, and so checked, before a type is asked for: a column may not exist.
        let (kind, fallible) = Kind::new(expr, schema, depth)?;
        let t = expr.data_type(schema);
        if physical(&t).is_none() {
            return refuse(format!("type {t} is not supported"));
        }
        Ok(Self {
            kind,
            out: Column::of(&t),
            fallible,
        })
    }

    /// Whether it or an operation below it can err.
    pub(super) fn is_fallible(&self) -> bool {
        self.fallible
    }

    /// The values, once [`Node::run`] has run.
    pub(super) fn column<'a>(&'a self, frame: &'a Frame) -> &'a Column {
        match self.kind {
            Kind::Column(i) => &frame.columns[i],
            _ => &self.out,
        }
    }

    /// The column that it writes; `None` where its values are the frame's.
    pub(super) fn own_column(&mut self) -> Option<&mut Column> {
        match self.kind {
            Kind::Column(_) => None,
            _ => Some(&mut self.out),
        }
    }

    /// The constant that this node is, unless it is NULL.
    pub(super) fn scalar(&self) -> Option<&Scalar> {
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
                ..
            } => {
                left.run(run);
                let frame = run.frame;
                if right.fallible {
                    let l = bools(left.column(frame));
                    logic::right_counts(*op, l, run.active, active);
                    right.run(&mut Run {
                        frame,
                        active: Some(active),
                        failures: run.failures,
                        text: run.text,
                    });
                } else {
                    right.run(run);
                }
                let (l, r) = (bools(left.column(frame)), bools(right.column(frame)));
                logic::connect(*op, l, r, bools_mut(out));
            }
            Kind::Binary {
                op,
                factors,
                left,
                right,
                ..
            } => binary(*op, factors.as_deref(), left, right, out, run),
            Kind::Temporal(op, result, sides) => {
                sides.iter_mut().for_each(|side| side.run(run));
                let [l, r] = &**sides;
                let (l, r) = (l.column(run.frame), r.column(run.frame));
                temporal::binary(*op, l, r, result, out, run);
            }
            Kind::Unary(op, inner) => {
                inner.run(run);
                unary(*op, inner.column(run.frame), out, run);
            }
            Kind::Cast(cast, inner) => {
                inner.run(run);
                cast.run(inner.column(run.frame), out, run);
            }
            Kind::Choice(choice) => choice.run(out, run),
            Kind::InList(list) => list.run(bools_mut(out), run),
            Kind::Like(like, value, pattern) => {
                value.run(run);
                pattern.run(run);
                let (value, pattern) = (value.column(run.frame), pattern.column(run.frame));
                like.run(value, pattern, bools_mut(out));
            }
            Kind::Call(call) => call.run(out, run),
            Kind::Tumble { time, size, offset } => {
                time.run(run);
                let (Column::I64(time), Column::I64(out)) = (time.column(run.frame), out) else {
                    unreachable!("types are checked before")
                };
                arithmetic::tumble(time, *size, *offset, out, run);
            }
            Kind::InWindows(time, windows) => {
                time.run(run);
                arithmetic::in_windows(time.column(run.frame), *windows, out, run);
            }
        }
    }
}

fn unary(op: UnaryOp, from: &Column, out: &mut Column, run: &mut Run<'_>) {
    match (op, from, out) {
        (UnaryOp::Not, Column::Bool(from), Column::Bool(out)) => logic::not(from, out),
        (UnaryOp::IsNull, from, Column::Bool(out)) => {
            logic::valid_xor(from.validity(), u64::MAX, out);
        }
        (UnaryOp::IsNotNull, from, Column::Bool(out)) => {
            logic::valid_xor(from.validity(), 0, out);
        }
        (UnaryOp::Negate, Column::I8(from), Column::I8(out)) => negate_integer(from, out, run),
        (UnaryOp::Negate, Column::I16(from), Column::I16(out)) => negate_integer(from, out, run),
        (UnaryOp::Negate, Column::I32(from), Column::I32(out)) => negate_integer(from, out, run),
        (UnaryOp::Negate, Column::I64(from), Column::I64(out)) => negate_integer(from, out, run),
        (UnaryOp::Negate, Column::F32(from), Column::F32(out)) => negate(from, out),
        (UnaryOp::Negate, Column::F64(from), Column::F64(out)) => negate(from, out),
        (UnaryOp::Negate, Column::I128(from), Column::I128(out)) => negate(from, out),
        (UnaryOp::Upper, Column::Utf8(from), Column::Utf8(out)) => {
            super::text::upper(from, out, run.text);
        }
        (UnaryOp::Lower, Column::Utf8(from), Column::Utf8(out)) => {
            super::text::lower(from, out, run.text);
        }
        _ => unreachable!("types are checked before"),
    }
}
