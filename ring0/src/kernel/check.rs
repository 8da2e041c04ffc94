//! Which operations there are of which types.

use arrow_schema::DataType;

use crate::error::{Error, Result};
use crate::expr::{BinaryOp, UnaryOp, arithmetic_type};

pub(super) fn refuse<T>(message: String) -> Result<T> {
    Err(Error::Program(message))
}

fn is_number(t: &DataType) -> bool {
    t.is_integer()
        || matches!(
            t,
            DataType::Float32 | DataType::Float64 | DataType::Decimal128(..)
        )
}

pub(super) fn check_binary(op: BinaryOp, left: &DataType, right: &DataType) -> Result<()> {
    use BinaryOp::{Add, And, Div, Mul, Or, Rem, Sub};
    let nested = matches!(left, DataType::List(_) | DataType::Struct(_));
    let ok = match (op, left, right) {
        _ if arithmetic_type(op, left, right).is_some() => true,
        (Add | Sub | Mul | Div | Rem, DataType::Decimal128(..), _) => false,
        // Precision is how many digits there may be, not what they stand for.
        (_, DataType::Decimal128(_, a), DataType::Decimal128(_, b)) => a == b,
        _ if left != right => false,
        // A window's end is its start and its size, both in the timestamp's unit.
        (Add, DataType::Timestamp(..), _) => true,
        (Add | Sub | Mul | Div | Rem, ..) => is_number(left),
        (And | Or, ..) => *left == DataType::Boolean,
        _ => !nested,
    };
    match (ok, left == right) {
        (true, _) => Ok(()),
        (false, true) => refuse(format!("{} of {left}", symbol(op))),
        (false, false) => refuse(format!("{} of {left} and {right}", symbol(op))),
    }
}

/// Whether there is an operation of two types.
pub fn operable(op: BinaryOp, left: &DataType, right: &DataType) -> bool {
    check_binary(op, left, right).is_ok()
}

pub(super) fn check_unary(op: UnaryOp, t: &DataType) -> Result<()> {
    let (name, ok) = match op {
        UnaryOp::Not => ("NOT", *t == DataType::Boolean),
        UnaryOp::Negate => ("-", is_number(t) && !t.is_unsigned_integer()),
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
fn symbol(op: BinaryOp) -> &'static str {
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
