//! The types of columns as they are told, and how wide their values are.

use std::fmt;

use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use crate::schema::{Field, physical, sql_name};

/// A type, in three bytes: which one, and two numbers that some have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeCode(pub [u8; 3]);

/// How values of a column lie in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// So many bytes each.
    Fixed(usize),
    /// Their lengths, and behind all of these their bytes.
    Any,
}

const NAMES: [(u8, &str); 18] = [
    (1, "BOOLEAN"),
    (2, "TINYINT"),
    (3, "SMALLINT"),
    (4, "INTEGER"),
    (5, "BIGINT"),
    (6, "TINYINT UNSIGNED"),
    (7, "SMALLINT UNSIGNED"),
    (8, "INTEGER UNSIGNED"),
    (9, "BIGINT UNSIGNED"),
    (10, "FLOAT"),
    (11, "DOUBLE"),
    (12, "DECIMAL"),
    (13, "VARCHAR"),
    (14, "BINARY"),
    (15, "DATE"),
    (16, "TIME"),
    (17, "TIMESTAMP"),
    (18, "INTERVAL"),
];

/// Digits of a second.
fn digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

impl TypeCode {
    /// The code of a type; `None` where its values do not come so.
    pub fn of(data_type: &DataType) -> Option<Self> {
        physical(data_type)?;
        Some(Self(match data_type {
            DataType::Boolean => [1, 0, 0],
            DataType::Int8 => [2, 0, 0],
            DataType::Int16 => [3, 0, 0],
            DataType::Int32 => [4, 0, 0],
            DataType::Int64 => [5, 0, 0],
            DataType::UInt8 => [6, 0, 0],
            DataType::UInt16 => [7, 0, 0],
            DataType::UInt32 => [8, 0, 0],
            DataType::UInt64 => [9, 0, 0],
            DataType::Float32 => [10, 0, 0],
            DataType::Float64 => [11, 0, 0],
            DataType::Decimal128(precision, scale) => [12, *precision, *scale as u8],
            DataType::Utf8 => [13, 0, 0],
            DataType::Binary => [14, 0, 0],
            DataType::Date32 => [15, 0, 0],
            DataType::Time32(unit) | DataType::Time64(unit) => [16, digits(*unit), 0],
            DataType::Timestamp(unit, None) => [17, digits(*unit), 0],
            DataType::Interval(IntervalUnit::MonthDayNano) => [18, 0, 0],
            _ => return None,
        }))
    }

    pub(super) fn width(self) -> Width {
        Width::Fixed(match self.0 {
            [1 | 2 | 6, ..] => 1,
            [3 | 7, ..] => 2,
            [4 | 8 | 10 | 15, ..] | [16, 0 | 3, _] => 4,
            [5 | 9 | 11 | 16 | 17, ..] => 8,
            [12 | 18, ..] => 16,
            _ => return Width::Any,
        })
    }
}

impl fmt::Display for TypeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [code, a, b] = self.0;
        match (NAMES.iter().find(|(c, _)| *c == code), code) {
            (Some((_, name)), 12) => write!(f, "{name}({a}, {b})"),
            (Some((_, name)), 16 | 17) => write!(f, "{name}({a})"),
            (Some((_, name)), _) => f.write_str(name),
            (None, _) => write!(f, "type {code}"),
        }
    }
}

/// Checks that a column can come in frames.
///
/// # Errors
/// Where its type cannot; the text names column and type.
pub fn check_column(field: &Field) -> Result<(), String> {
    match TypeCode::of(&field.data_type) {
        Some(_) => Ok(()),
        None => {
            let of = sql_name(&field.data_type);
            let name = &field.name;
            Err(format!(
                "column {name}: {of} is not read from format 'binary'"
            ))
        }
    }
}
