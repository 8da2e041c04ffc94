//! Rows as a host sees them: in batches, each value by its column's name.

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::scalar::ScalarValue;

use crate::error::{Error, Result};

/// A row of a batch.
#[derive(Debug, Clone)]
pub struct Row {
    batch: RecordBatch,
    row: usize,
}

impl Row {
    /// A row of a batch, by its number.
    pub(crate) fn new(batch: RecordBatch, row: usize) -> Self {
        Self { batch, row }
    }

    /// The value of the column with this name.
    ///
    /// # Errors
    /// `E0603` where there is no such column, where it is of another type, and where it is NULL and
    /// no [`Option`] was asked for.
    pub fn get<T: FromValue>(&self, name: &str) -> Result<T> {
        let wrong = |message: String| Error::engine("E0603", message);
        let Some(column) = self.batch.column_by_name(name) else {
            return Err(wrong(format!("the row has no column \"{name}\"")));
        };
        let value = ScalarValue::try_from_array(column, self.row)
            .map_err(|e| wrong(format!("column \"{name}\": {e}")))?;
        let told = column.data_type();
        T::from_value(value).ok_or_else(|| {
            let what = match column.is_null(self.row) {
                true => "is NULL".to_owned(),
                false => format!("is {}", trefoil_ring0::schema::sql_name(told)),
            };
            wrong(format!("column \"{name}\" {what}"))
        })
    }

    /// The row as a batch of its own.
    pub fn to_batch(&self) -> RecordBatch {
        self.batch.slice(self.row, 1)
    }
}

/// The rows of a batch.
pub fn rows(batch: &RecordBatch) -> impl Iterator<Item = Row> + '_ {
    (0..batch.num_rows()).map(|row| Row::new(batch.clone(), row))
}

/// What a value of a row can be taken as.
pub trait FromValue: Sized {
    /// The value; `None` where it is no such one.
    fn from_value(value: ScalarValue) -> Option<Self>;
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: ScalarValue) -> Option<Self> {
        match value.is_null() {
            true => Some(None),
            false => T::from_value(value).map(Some),
        }
    }
}

impl FromValue for ScalarValue {
    fn from_value(value: ScalarValue) -> Option<Self> {
        Some(value)
    }
}

/// Integers, dates and times: the number that the column holds.
fn integer(value: &ScalarValue) -> Option<i128> {
    use ScalarValue as S;
    Some(match value {
        S::Int8(v) => i128::from((*v)?),
        S::Int16(v) => i128::from((*v)?),
        S::Int32(v) | S::Date32(v) | S::Time32Second(v) | S::Time32Millisecond(v) => {
            i128::from((*v)?)
        }
        S::Int64(v)
        | S::Time64Microsecond(v)
        | S::Time64Nanosecond(v)
        | S::TimestampSecond(v, _)
        | S::TimestampMillisecond(v, _)
        | S::TimestampMicrosecond(v, _)
        | S::TimestampNanosecond(v, _) => i128::from((*v)?),
        S::UInt8(v) => i128::from((*v)?),
        S::UInt16(v) => i128::from((*v)?),
        S::UInt32(v) => i128::from((*v)?),
        S::UInt64(v) => i128::from((*v)?),
        _ => return None,
    })
}

macro_rules! integers {
    ($($t:ty),+) => {
        $(impl FromValue for $t {
            fn from_value(value: ScalarValue) -> Option<Self> {
                integer(&value)?.try_into().ok()
            }
        })+
    };
}

integers!(i8, i16, i32, i64, u8, u16, u32, u64);

/// A DECIMAL without its point, or any integer.
impl FromValue for i128 {
    fn from_value(value: ScalarValue) -> Option<Self> {
        match value {
            ScalarValue::Decimal128(v, ..) => v,
            other => integer(&other),
        }
    }
}

impl FromValue for f64 {
    fn from_value(value: ScalarValue) -> Option<Self> {
        match value {
            ScalarValue::Float64(v) => v,
            ScalarValue::Float32(v) => v.map(Self::from),
            _ => None,
        }
    }
}

impl FromValue for bool {
    fn from_value(value: ScalarValue) -> Option<Self> {
        match value {
            ScalarValue::Boolean(v) => v,
            _ => None,
        }
    }
}

impl FromValue for String {
    fn from_value(value: ScalarValue) -> Option<Self> {
        match value {
            ScalarValue::Utf8(v) | ScalarValue::LargeUtf8(v) | ScalarValue::Utf8View(v) => v,
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: ScalarValue) -> Option<Self> {
        match value {
            ScalarValue::Binary(v) => v,
            _ => None,
        }
    }
}
