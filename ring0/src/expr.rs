//! Expressions over the columns of a frame, as plain data. Types are resolved before: both sides
//! of a binary operation have the same type, casts are explicit.

use arrow_schema::DataType;

use crate::schema::Schema;

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// NULL of a type.
    Null(DataType),
    /// BOOLEAN.
    Bool(bool),
    /// BIGINT.
    I64(i64),
    /// DOUBLE.
    F64(f64),
    /// VARCHAR.
    Utf8(String),
    /// DATE, days since 1970-01-01.
    Date32(i32),
    /// TIMESTAMP of this type, in its unit.
    Timestamp(i64, DataType),
}

impl Scalar {
    /// Its logical type.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Null(t) | Self::Timestamp(_, t) => t.clone(),
            Self::Bool(_) => DataType::Boolean,
            Self::I64(_) => DataType::Int64,
            Self::F64(_) => DataType::Float64,
            Self::Utf8(_) => DataType::Utf8,
            Self::Date32(_) => DataType::Date32,
        }
    }
}

/// Operations of two arguments of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    /// `+`: BIGINT (overflow is an error) or DOUBLE; of two TIMESTAMPs of one unit where the
    /// second is a length of time.
    Add,
    /// `-`, as `+`.
    Sub,
    /// `*`, as `+`.
    Mul,
    /// `/`: BIGINT truncates towards zero, by zero is an error; DOUBLE as IEEE.
    Div,
    /// `%`, as `/`; the sign is the dividend's.
    Rem,
    /// `=`. Doubles compare in a total order: NaN equals NaN and is the greatest; -0.0 = 0.0.
    Eq,
    /// `<>`
    NotEq,
    /// `<`
    Lt,
    /// `<=`
    LtEq,
    /// `>`
    Gt,
    /// `>=`
    GtEq,
    /// `IS DISTINCT FROM`
    IsDistinctFrom,
    /// `IS NOT DISTINCT FROM`
    IsNotDistinctFrom,
    /// Three-valued AND; an error of the right side counts only where the left is not false.
    And,
    /// Three-valued OR; an error of the right side counts only where the left is not true.
    Or,
}

/// Operations of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOp {
    /// `NOT`
    Not,
    /// `-x`: BIGINT (overflow is an error) or DOUBLE.
    Negate,
    /// `IS NULL`
    IsNull,
    /// `IS NOT NULL`
    IsNotNull,
    /// `UPPER(text)`
    Upper,
    /// `LOWER(text)`
    Lower,
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A column of the input, by index.
    Column(usize),
    /// A constant.
    Literal(Scalar),
    /// Two arguments.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// One argument.
    Unary(UnaryOp, Box<Expr>),
    /// A cast; a value that does not fit is an error.
    /// Known: BIGINT <-> DOUBLE, BIGINT/DOUBLE/BOOLEAN/DATE/TIMESTAMP -> VARCHAR, DATE ->
    /// TIMESTAMP, TIMESTAMP -> DATE, between units of TIMESTAMP, BOOLEAN -> BIGINT.
    Cast(Box<Expr>, DataType),
    /// The start of the tumbling window that holds a TIMESTAMP: argument, size and offset in the
    /// timestamp's own unit.
    TumbleStart {
        /// The timestamp.
        time: Box<Expr>,
        /// Size, greater than 0.
        size: i64,
        /// Offset, from 0 to below the size.
        offset: i64,
    },
}

impl Expr {
    /// Its logical type over rows of `schema`.
    pub fn data_type(&self, schema: &Schema) -> DataType {
        use BinaryOp::{Add, Div, Mul, Rem, Sub};
        match self {
            Self::Column(i) => schema.fields[*i].data_type.clone(),
            Self::Literal(s) => s.data_type(),
            Self::Binary(Add | Sub | Mul | Div | Rem, left, _) => left.data_type(schema),
            Self::Binary(..) => DataType::Boolean,
            Self::Unary(UnaryOp::Negate, inner) => inner.data_type(schema),
            Self::Unary(UnaryOp::Upper | UnaryOp::Lower, _) => DataType::Utf8,
            Self::Unary(UnaryOp::Not | UnaryOp::IsNull | UnaryOp::IsNotNull, _) => {
                DataType::Boolean
            }
            Self::Cast(_, to) => to.clone(),
            Self::TumbleStart { time, .. } => time.data_type(schema),
        }
    }
}
