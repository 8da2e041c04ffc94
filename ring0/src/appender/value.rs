//! The values of rows that are appended, and how they become those of columns. A value fits its
//! column, or is refused: nothing is cut or rounded.

use std::ops::Range;

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use crate::column::{Column, array_bytes};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::limits::{FRAME_BYTES, RECORD_BYTES_MAX};
use crate::schema::{Field, Schema, sql_name};

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// BOOLEAN.
    Bool(bool),
    /// Integers of any width; DATE in days, TIME and TIMESTAMP in the unit of the column.
    I64(i64),
    /// BIGINT UNSIGNED.
    U64(u64),
    /// DECIMAL without its point.
    I128(i128),
    /// DOUBLE, FLOAT.
    F64(f64),
    /// VARCHAR.
    Str(&'a str),
    /// BYTEA.
    Bytes(&'a [u8]),
}

macro_rules! from {
    ($($t:ty => $variant:ident),+ $(,)?) => {
        $(impl From<$t> for Value<'_> {
            fn from(value: $t) -> Self {
                Self::$variant(value.into())
            }
        })+
    };
}

from! {
    bool => Bool,
    i8 => I64, i16 => I64, i32 => I64, i64 => I64,
    u8 => U64, u16 => U64, u32 => U64, u64 => U64,
    i128 => I128,
    f32 => F64, f64 => F64,
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Str(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Str(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A frame of one row, of a value for each column.
///
/// # Errors
/// [`Error::Append`] where a value does not fit its column.
pub fn row_frame(schema: &Schema, row: &[Value<'_>]) -> Result<Frame> {
    let mut frame = Frame::new(schema, 1);
    write(schema, None, row, &mut frame)?;
    frame.commit_rows(1);
    Ok(frame)
}

/// Writes a row behind those of a frame; it is not committed.
pub(super) fn write(
    schema: &Schema,
    event_time: Option<usize>,
    row: &[Value<'_>],
    to: &mut Frame,
) -> Result<()> {
    if row.len() != schema.fields.len() {
        return Err(Error::Append {
            column: schema
                .fields
                .first()
                .map_or_else(String::new, |f| f.name.clone()),
            message: format!("{} values for {} columns", row.len(), schema.fields.len()),
        });
    }
    for (number, (field, value)) in schema.fields.iter().zip(row).enumerate() {
        if *value == Value::Null && (!field.nullable || event_time == Some(number)) {
            return Err(refused(field, "NULL where there may be none".to_owned()));
        }
        if !push(&mut to.columns[number], *value) {
            let is = sql_name(&field.data_type);
            return Err(refused(field, format!("{value:?} is no {is}")));
        }
    }
    Ok(())
}

fn refused(field: &Field, message: String) -> Error {
    Error::Append {
        column: field.name.clone(),
        message,
    }
}

/// Appends a value, where it fits.
fn push(to: &mut Column, value: Value<'_>) -> bool {
    macro_rules! integer {
        ($c:expr) => {
            match value {
                Value::I64(v) => v.try_into().map(|v| $c.push(Some(v))).is_ok(),
                Value::U64(v) => v.try_into().map(|v| $c.push(Some(v))).is_ok(),
                _ => false,
            }
        };
    }
    if value == Value::Null {
        to.push_null();
        return true;
    }
    match (to, value) {
        (Column::Bool(c), Value::Bool(v)) => c.push(Some(v)),
        (Column::F64(c), Value::F64(v)) => c.push(Some(v)),
        // It is not rounded: what is not a FLOAT is refused.
        (Column::F32(c), Value::F64(v)) if f64::from(v as f32) == v || v.is_nan() => {
            c.push(Some(v as f32));
        }
        (Column::I128(c), Value::I128(v)) => c.push(Some(v)),
        (Column::I128(c), Value::I64(v)) => c.push(Some(i128::from(v))),
        (Column::Utf8(c), Value::Str(v)) if v.len() <= RECORD_BYTES_MAX => c.push(Some(v)),
        (Column::Binary(c), Value::Bytes(v)) if v.len() <= RECORD_BYTES_MAX => c.push(Some(v)),
        (Column::I8(c), _) => return integer!(c),
        (Column::I16(c), _) => return integer!(c),
        (Column::I32(c), _) => return integer!(c),
        (Column::I64(c), _) => return integer!(c),
        (Column::U8(c), _) => return integer!(c),
        (Column::U16(c), _) => return integer!(c),
        (Column::U32(c), _) => return integer!(c),
        (Column::U64(c), _) => return integer!(c),
        _ => return false,
    }
    true
}

/// Refuses arrays that are not the columns.
pub(super) fn check_arrays(
    schema: &Schema,
    event_time: Option<usize>,
    arrays: &[ArrayRef],
    rows: &Range<usize>,
) -> Result<()> {
    let fields = &schema.fields;
    if arrays.len() != fields.len() {
        return Err(Error::Append {
            column: fields.first().map_or_else(String::new, |f| f.name.clone()),
            message: format!("{} arrays for {} columns", arrays.len(), fields.len()),
        });
    }
    for (number, (field, array)) in fields.iter().zip(arrays).enumerate() {
        let is = array.data_type();
        let fits = match &field.data_type {
            nested @ (DataType::List(_) | DataType::Struct(_)) => nested.equals_datatype(is),
            flat => flat == is,
        };
        if !fits {
            let (is, wanted) = (sql_name(is), sql_name(&field.data_type));
            return Err(refused(field, format!("an array of {is}, not {wanted}")));
        }
        if rows.start > rows.end || rows.end > array.len() {
            return Err(refused(field, format!("rows {rows:?} of {}", array.len())));
        }
        let may_be_null = field.nullable && event_time != Some(number);
        if !may_be_null && array.slice(rows.start, rows.len()).null_count() > 0 {
            return Err(refused(field, "NULL where there may be none".to_owned()));
        }
        if crate::column::array_bytes_max(array) > RECORD_BYTES_MAX {
            let message = format!("a value is over {RECORD_BYTES_MAX} bytes");
            return Err(refused(field, message));
        }
    }
    Ok(())
}

/// The end of those of the rows that fill a frame; one at least.
pub(super) fn fitting(arrays: &[ArrayRef], rows: Range<usize>, frame: &Frame) -> usize {
    let room = FRAME_BYTES.saturating_sub(frame.string_bytes());
    let bytes = |end: usize| -> usize {
        let all = arrays.iter();
        all.map(|a| array_bytes(a, rows.start..end)).sum()
    };
    match bytes(rows.end) < room {
        true => rows.end,
        false => crate::source::fitting(arrays, rows, room),
    }
}
