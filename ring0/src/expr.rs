//! Expressions over the columns of a frame, as plain data. Types are resolved before: both sides
//! of a binary operation have the same type, but for arithmetic of DECIMALs and times; casts are
//! explicit.

use arrow_schema::{DataType, IntervalUnit};

use crate::column::Interval;
use crate::kernel::Generic;
use crate::limits::DECIMAL_DIGITS_MAX;
use crate::program::Reach;
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
    /// TINYINT.
    I8(i8),
    /// SMALLINT.
    I16(i16),
    /// INTEGER.
    I32(i32),
    /// TINYINT UNSIGNED.
    U8(u8),
    /// SMALLINT UNSIGNED.
    U16(u16),
    /// INTEGER UNSIGNED.
    U32(u32),
    /// BIGINT UNSIGNED.
    U64(u64),
    /// FLOAT.
    F32(f32),
    /// DECIMAL of this type, without its point.
    Decimal(i128, DataType),
    /// BINARY.
    Binary(Vec<u8>),
    /// TIME of this type, in its unit since midnight.
    Time(i64, DataType),
    /// A length of time of this type, in its unit.
    Duration(i64, DataType),
    /// INTERVAL.
    Interval(Interval),
}

impl Scalar {
    /// Its logical type.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Null(t)
            | Self::Timestamp(_, t)
            | Self::Decimal(_, t)
            | Self::Time(_, t)
            | Self::Duration(_, t) => t.clone(),
            Self::I8(_) => DataType::Int8,
            Self::I16(_) => DataType::Int16,
            Self::I32(_) => DataType::Int32,
            Self::U8(_) => DataType::UInt8,
            Self::U16(_) => DataType::UInt16,
            Self::U32(_) => DataType::UInt32,
            Self::U64(_) => DataType::UInt64,
            Self::F32(_) => DataType::Float32,
            Self::Binary(_) => DataType::Binary,
            Self::Interval(_) => DataType::Interval(IntervalUnit::MonthDayNano),
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
    /// `+`: integers and DECIMALs (overflow is an error), FLOAT and DOUBLE; of two TIMESTAMPs of
    /// one unit where the second is a length of time. Precision and scale of a DECIMAL result are
    /// those of [`decimal_type`]. A DATE or TIMESTAMP and an INTERVAL, a TIMESTAMP and a length
    /// of time, and what else [`arithmetic_type`] knows.
    Add,
    /// `-`, as `+`.
    Sub,
    /// `*`, as `+`.
    Mul,
    /// `/`: integers truncate towards zero, DECIMALs at four places more than the dividend has, by
    /// zero is an error; FLOAT and DOUBLE as IEEE.
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
    /// `-x`: signed integers (overflow is an error), DECIMAL, FLOAT and DOUBLE.
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
    /// A cast; a value that does not fit is an error. Which there are, [`crate::kernel::castable`]
    /// says.
    Cast(Box<Expr>, DataType),
    /// `TRY_CAST`: NULL where a value does not fit.
    TryCast(Box<Expr>, DataType),
    /// `CASE WHEN .. THEN .. ELSE .. END`; without ELSE it is NULL. A branch's errors count only
    /// for rows that take it, a condition's for rows that come to it. `NULLIF(a, b)` is
    /// `CASE WHEN a = b THEN NULL ELSE a END`.
    Case {
        /// Conditions and results.
        branches: Vec<(Expr, Expr)>,
        /// The result of rows for which no condition is true.
        otherwise: Option<Box<Expr>>,
    },
    /// The first argument that is not NULL; errors of later ones do not count.
    Coalesce(Vec<Expr>),
    /// `value [NOT] IN (list)`, three-valued.
    InList {
        /// What is looked for.
        value: Box<Expr>,
        /// What it is compared with, of the same type.
        list: Vec<Expr>,
        /// NOT IN.
        negated: bool,
    },
    /// `value [NOT] [I]LIKE pattern`, both VARCHAR: `%` stands for any characters, `_` for one, a
    /// backslash before one of these or itself for what follows it.
    Like {
        /// The text.
        value: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
        /// NOT LIKE.
        negated: bool,
        /// ILIKE.
        ignore_case: bool,
    },
    /// A function that whoever made the program brings.
    Call {
        /// The function.
        kernel: Generic,
        /// Its arguments.
        args: Vec<Expr>,
    },
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
    /// A TIMESTAMP itself; an error where it is NULL, or where windows that hold it have bounds
    /// that no TIMESTAMP tells.
    InWindows {
        /// The timestamp.
        time: Box<Expr>,
        /// The windows.
        windows: Reach,
    },
}

impl Expr {
    /// Says anew where columns are, once one more stands before those from `from` on.
    pub fn shift_columns(&mut self, from: usize) {
        self.each_column(&mut |column| *column += usize::from(*column >= from));
    }

    /// Does something with each column that stands in it, by its index.
    pub fn each_column(&mut self, act: &mut impl FnMut(&mut usize)) {
        match self {
            Self::Column(column) => act(column),
            Self::Literal(_) => {}
            Self::Binary(_, left, right) => {
                left.each_column(act);
                right.each_column(act);
            }
            Self::Unary(_, inner) | Self::Cast(inner, _) | Self::TryCast(inner, _) => {
                inner.each_column(act);
            }
            Self::Case {
                branches,
                otherwise,
            } => {
                for (when, then) in branches {
                    when.each_column(act);
                    then.each_column(act);
                }
                otherwise.iter_mut().for_each(|e| e.each_column(act));
            }
            Self::InList { value, list, .. } => {
                value.each_column(act);
                list.iter_mut().for_each(|e| e.each_column(act));
            }
            Self::Like { value, pattern, .. } => {
                value.each_column(act);
                pattern.each_column(act);
            }
            Self::Coalesce(args) | Self::Call { args, .. } => {
                args.iter_mut().for_each(|e| e.each_column(act));
            }
            Self::TumbleStart { time, .. } | Self::InWindows { time, .. } => {
                time.each_column(act);
            }
        }
    }

    /// Its logical type over rows of `schema`.
    pub fn data_type(&self, schema: &Schema) -> DataType {
        use BinaryOp::{Add, Div, Mul, Rem, Sub};
        match self {
            Self::Column(i) => schema.fields[*i].data_type.clone(),
            Self::Literal(s) => s.data_type(),
            Self::Binary(op @ (Add | Sub | Mul | Div | Rem), left, right) => {
                let left = left.data_type(schema);
                arithmetic_type(*op, &left, &right.data_type(schema)).unwrap_or(left)
            }
            Self::Binary(..) => DataType::Boolean,
            Self::Unary(UnaryOp::Negate, inner) => inner.data_type(schema),
            Self::Unary(UnaryOp::Upper | UnaryOp::Lower, _) => DataType::Utf8,
            Self::Unary(UnaryOp::Not | UnaryOp::IsNull | UnaryOp::IsNotNull, _) => {
                DataType::Boolean
            }
            Self::Cast(_, to) | Self::TryCast(_, to) => to.clone(),
            Self::Case {
                branches,
                otherwise,
            } => {
                let result = branches.first().map(|(_, then)| then);
                let result = result.or(otherwise.as_deref());
                result.map_or(DataType::Null, |e| e.data_type(schema))
            }
            Self::Coalesce(args) => args.first().map_or(DataType::Null, |e| e.data_type(schema)),
            Self::InList { .. } | Self::Like { .. } => DataType::Boolean,
            Self::Call { kernel, .. } => kernel.0.data_type().clone(),
            Self::TumbleStart { time, .. } | Self::InWindows { time, .. } => time.data_type(schema),
        }
    }
}

/// The type that an operation of two types has where it is not theirs: of two DECIMALs, and of
/// dates, times and lengths of time.
pub fn arithmetic_type(op: BinaryOp, left: &DataType, right: &DataType) -> Option<DataType> {
    use BinaryOp::{Add, Sub};
    use DataType::{Date32, Decimal128, Duration, Interval, Timestamp};
    match (op, left, right) {
        (_, Decimal128(..), Decimal128(..)) => decimal_type(op, left, right),
        (Sub, Timestamp(a, None), Timestamp(b, None)) if a == b => Some(Duration(*a)),
        (Add | Sub, Timestamp(a, None), Duration(b)) if a == b => Some(left.clone()),
        (Add, Duration(a), Timestamp(b, None)) if a == b => Some(right.clone()),
        (Add | Sub, Duration(a), Duration(b)) if a == b => Some(left.clone()),
        (Add | Sub, Timestamp(..) | Date32 | Interval(_), Interval(_)) => Some(left.clone()),
        (Add, Interval(_), Timestamp(..) | Date32) => Some(right.clone()),
        _ => None,
    }
}

/// The type that an operation of two DECIMALs has, as in Arrow; `None` where a side is none, or
/// the result would need more places than there are.
pub fn decimal_type(op: BinaryOp, left: &DataType, right: &DataType) -> Option<DataType> {
    let (DataType::Decimal128(p1, s1), DataType::Decimal128(p2, s2)) = (left, right) else {
        return None;
    };
    let [p1, s1, p2, s2] = [*p1 as i16, i16::from(*s1), *p2 as i16, i16::from(*s2)];
    let max = i16::from(DECIMAL_DIGITS_MAX);
    let (precision, scale) = match op {
        BinaryOp::Add | BinaryOp::Sub => {
            let scale = s1.max(s2);
            (scale + (p1 - s1).max(p2 - s2) + 1, scale)
        }
        BinaryOp::Mul => (p1 + p2 + 1, s1 + s2),
        BinaryOp::Div => {
            let scale = (s1 + 4).min(max);
            (p1 + scale - s1 + s2, scale)
        }
        BinaryOp::Rem => {
            let scale = s1.max(s2);
            (scale + (p1 - s1).min(p2 - s2), scale)
        }
        _ => return None,
    };
    (scale <= max).then(|| DataType::Decimal128(precision.clamp(1, max) as u8, scale as i8))
}
