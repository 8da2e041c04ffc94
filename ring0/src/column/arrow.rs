//! Columns from Arrow arrays and back. Into a column rows are copied in whole runs, and what lies
//! under a NULL is zeroed, so that a frame's bytes never depend on where its rows came from; into
//! an array a column's buffers move, and nothing is copied.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, ListArray, PrimitiveArray, StringArray, StructArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use super::{Bitmap, Column, Fixed, Strings, Validity};

/// Evaluates `$body` for a column of values of one width and the Arrow type `$t` that a logical
/// type gives it, `$other` for every other pair.
macro_rules! primitive {
    (
        $data_type:expr, $column:expr,
        $t:ident, $c:ident => $body:expr,
        $other:ident => $rest:expr
    ) => {
        match ($data_type, $column) {
            (DataType::Int8, Column::I8($c)) => {
                type $t = Int8Type;
                $body
            }
            (DataType::Int16, Column::I16($c)) => {
                type $t = Int16Type;
                $body
            }
            (DataType::Int32, Column::I32($c)) => {
                type $t = Int32Type;
                $body
            }
            (DataType::Int64, Column::I64($c)) => {
                type $t = Int64Type;
                $body
            }
            (DataType::UInt8, Column::U8($c)) => {
                type $t = UInt8Type;
                $body
            }
            (DataType::UInt16, Column::U16($c)) => {
                type $t = UInt16Type;
                $body
            }
            (DataType::UInt32, Column::U32($c)) => {
                type $t = UInt32Type;
                $body
            }
            (DataType::UInt64, Column::U64($c)) => {
                type $t = UInt64Type;
                $body
            }
            (DataType::Float32, Column::F32($c)) => {
                type $t = Float32Type;
                $body
            }
            (DataType::Float64, Column::F64($c)) => {
                type $t = Float64Type;
                $body
            }
            (DataType::Decimal128(..), Column::I128($c)) => {
                type $t = Decimal128Type;
                $body
            }
            (DataType::Date32, Column::I32($c)) => {
                type $t = Date32Type;
                $body
            }
            (DataType::Time32(TimeUnit::Second), Column::I32($c)) => {
                type $t = Time32SecondType;
                $body
            }
            (DataType::Time32(_), Column::I32($c)) => {
                type $t = Time32MillisecondType;
                $body
            }
            (DataType::Time64(TimeUnit::Microsecond), Column::I64($c)) => {
                type $t = Time64MicrosecondType;
                $body
            }
            (DataType::Time64(_), Column::I64($c)) => {
                type $t = Time64NanosecondType;
                $body
            }
            (DataType::Timestamp(unit, None), Column::I64($c)) => match unit {
                TimeUnit::Second => {
                    type $t = TimestampSecondType;
                    $body
                }
                TimeUnit::Millisecond => {
                    type $t = TimestampMillisecondType;
                    $body
                }
                TimeUnit::Microsecond => {
                    type $t = TimestampMicrosecondType;
                    $body
                }
                TimeUnit::Nanosecond => {
                    type $t = TimestampNanosecondType;
                    $body
                }
            },
            (DataType::Duration(unit), Column::I64($c)) => match unit {
                TimeUnit::Second => {
                    type $t = DurationSecondType;
                    $body
                }
                TimeUnit::Millisecond => {
                    type $t = DurationMillisecondType;
                    $body
                }
                TimeUnit::Microsecond => {
                    type $t = DurationMicrosecondType;
                    $body
                }
                TimeUnit::Nanosecond => {
                    type $t = DurationNanosecondType;
                    $body
                }
            },
            (DataType::Interval(IntervalUnit::MonthDayNano), Column::Interval($c)) => {
                type $t = IntervalMonthDayNanoType;
                $body
            }
            $other => $rest,
        }
    };
}

/// Whether values of a type are of any length, so that bytes can fill a frame.
pub(crate) fn has_any_length(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::Binary | DataType::List(_) | DataType::Struct(_)
    )
}

/// Bytes of the rows `rows` of an array, 0 where values are of one width.
pub(crate) fn array_bytes(array: &ArrayRef, rows: Range<usize>) -> usize {
    match has_any_length(array.data_type()) {
        true => value_bytes(array, rows),
        false => 0,
    }
}

/// Bytes of the longest value of an array, 0 where values are of one width.
pub(crate) fn array_bytes_max(array: &ArrayRef) -> usize {
    match has_any_length(array.data_type()) {
        true => (0..array.len())
            .map(|row| value_bytes(array, row..row + 1))
            .max()
            .unwrap_or(0),
        false => 0,
    }
}

fn value_bytes(array: &ArrayRef, rows: Range<usize>) -> usize {
    let between = |offsets: &[i32]| offsets[rows.start] as usize..offsets[rows.end] as usize;
    match array.data_type() {
        DataType::Utf8 => between(array.as_string::<i32>().value_offsets()).len(),
        DataType::Binary => between(array.as_binary::<i32>().value_offsets()).len(),
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            4 * rows.len() + value_bytes(lists.values(), between(lists.value_offsets()))
        }
        DataType::Struct(_) => {
            let members = array.as_struct().columns().iter();
            members.map(|m| value_bytes(m, rows.clone())).sum()
        }
        flat => flat.primitive_width().unwrap_or(1) * rows.len(),
    }
}

impl Column {
    /// Appends the rows `rows` of an array of the column's logical type.
    ///
    /// # Panics
    /// Where the types differ or rows are missing.
    pub fn append_array(&mut self, array: &ArrayRef, rows: Range<usize>) {
        assert!(
            rows.start <= rows.end && rows.end <= array.len(),
            "rows of the array"
        );
        let data_type = array.data_type();
        primitive!(data_type, self, T, to => append::<T>(to, array, rows), other => match other {
            (DataType::Boolean, Self::Bool(to)) => {
                let array = array.as_boolean();
                for row in rows {
                    to.push(array.is_valid(row).then(|| array.value(row)));
                }
            }
            (DataType::Utf8, Self::Utf8(to)) => append_strings(to, array, rows),
            (DataType::Binary, Self::Binary(to)) => {
                let array = array.as_binary::<i32>();
                for row in rows {
                    to.push(array.is_valid(row).then(|| array.value(row)));
                }
            }
            (DataType::List(_), Self::List(to)) => {
                let array = array.as_list::<i32>();
                let offsets = array.value_offsets();
                for row in rows {
                    let valid = array.is_valid(row);
                    if valid {
                        let elements = offsets[row] as usize..offsets[row + 1] as usize;
                        to.values.append_array(array.values(), elements);
                    }
                    to.seal(valid);
                }
            }
            (DataType::Struct(_), Self::Struct(to)) => append_structs(to, array, rows),
            (other, to) => panic!("a column of {:?} and an array of {other}", to.physical()),
        })
    }

    /// The column as an array of a logical type: its buffers, not copied.
    ///
    /// # Panics
    /// Where the type is not the column's.
    pub fn into_array(self, data_type: &DataType) -> ArrayRef {
        primitive!(data_type, self, T, c => array::<T>(c, data_type), other => {
            match other {
                (DataType::Boolean, Self::Bool(c)) => {
                    let nulls = nulls(c.validity);
                    Arc::new(BooleanArray::new(bits(c.values), nulls))
                }
                (DataType::Utf8, Self::Utf8(c)) => {
                    let (offsets, data) = (offsets(c.offsets), Buffer::from_vec(c.data));
                    // SAFETY: offsets ascend within the data, and each range is a whole `&str`,
                    // as for `Strings::value`.
                    let array = unsafe {
                        StringArray::new_unchecked(offsets, data, nulls(c.validity))
                    };
                    Arc::new(array)
                }
                (DataType::Binary, Self::Binary(c)) => {
                    let (offsets, data) = (offsets(c.offsets), Buffer::from_vec(c.data));
                    Arc::new(BinaryArray::new(offsets, data, nulls(c.validity)))
                }
                (DataType::List(item), Self::List(c)) => {
                    let values = c.values.into_array(item.data_type());
                    let (offsets, nulls) = (offsets(c.offsets), nulls(c.validity));
                    Arc::new(ListArray::new(Arc::clone(item), offsets, values, nulls))
                }
                (DataType::Struct(fields), Self::Struct(c)) => {
                    let members = c.fields.into_iter().zip(fields);
                    let members = members.map(|(m, f)| m.into_array(f.data_type())).collect();
                    Arc::new(StructArray::new(fields.clone(), members, nulls(c.validity)))
                }
                (other, c) => panic!("a column of {:?} as an array of {other}", c.physical()),
            }
        })
    }

    /// A column of an array's values. Buffers that nobody else holds are taken as they are, as
    /// those are that [`Column::into_array`] gave away; others are copied, and so are bits, and
    /// what is nested.
    ///
    /// # Panics
    /// Where the array is of a type that a column cannot have.
    pub fn from_array(array: ArrayRef) -> Self {
        let data_type = array.data_type().clone();
        let mut column = Self::of(&data_type);
        let to = &mut column;
        primitive!(&data_type, to, T, to => take::<T>(to, array), other => match other {
            (_, Self::Utf8(to)) => take_strings(to, array),
            (_, to) => to.append_array(&array, 0..array.len()),
        });
        column
    }

    /// A copy of the column as an array of a logical type.
    ///
    /// # Panics
    /// As [`Column::into_array`].
    pub fn to_array(&self, data_type: &DataType) -> ArrayRef {
        self.clone().into_array(data_type)
    }
}

fn append<T: ArrowPrimitiveType>(to: &mut Fixed<T::Native>, array: &ArrayRef, rows: Range<usize>)
where
    T::Native: Copy + Default,
{
    let array = array.as_primitive::<T>();
    to.values.extend_from_slice(&array.values()[rows.clone()]);
    append_validity(&mut to.validity, array.nulls(), rows);
    to.zero_nulls();
}

fn take<T: ArrowPrimitiveType>(to: &mut Fixed<T::Native>, array: ArrayRef)
where
    T::Native: Copy + Default,
{
    let typed = array.as_primitive::<T>().clone();
    // What this array holds of the buffers would count as somebody else's.
    drop(array);
    let (_, values, nulls) = typed.into_parts();
    append_validity(&mut to.validity, nulls.as_ref(), 0..values.len());
    to.values = values.into();
    to.zero_nulls();
}

fn take_strings(to: &mut Strings, array: ArrayRef) {
    let typed = array.as_string::<i32>().clone();
    let ends = typed.value_offsets();
    let whole = ends[0] == 0 && ends[typed.len()] as usize == typed.value_data().len();
    // Below a NULL there may be text, which a column has not.
    if !whole || typed.null_count() > 0 {
        let rows = 0..typed.len();
        drop(typed);
        return append_strings(to, &array, rows);
    }
    drop(array);
    let (offsets, data, _) = typed.into_parts();
    to.validity.push_valid(offsets.len() - 1);
    to.offsets = offsets.into_inner().into();
    to.data = ScalarBuffer::from(data).into();
}

fn append_strings(to: &mut Strings, array: &ArrayRef, rows: Range<usize>) {
    let array = array.as_string::<i32>();
    // Below a NULL there may be text, which a column has not.
    if array.null_count() == 0 {
        let offsets = &array.value_offsets()[rows.start..=rows.end];
        let (start, end) = (offsets[0], offsets[rows.len()]);
        let base = to.data.len();
        let texts = &array.value_data()[start as usize..end as usize];
        to.data.extend_from_slice(texts);
        let fits = i32::try_from(to.data.len()).is_ok();
        assert!(fits, "a column of strings stays below 2 GiB");
        let moved = offsets[1..].iter();
        to.offsets.extend(moved.map(|o| o - start + base as i32));
        return to.validity.push_valid(rows.len());
    }
    for row in rows {
        to.push(array.is_valid(row).then(|| array.value(row)));
    }
}

fn append_validity(to: &mut Validity, nulls: Option<&NullBuffer>, rows: Range<usize>) {
    match nulls.filter(|n| n.null_count() > 0) {
        None => to.push_valid(rows.len()),
        Some(nulls) => rows.for_each(|row| to.push(nulls.is_valid(row))),
    }
}

fn append_structs(to: &mut super::Structs, array: &ArrayRef, rows: Range<usize>) {
    let array = array.as_struct();
    // What lies below a NULL struct is anything: such rows are taken one by one.
    if array.null_count() == 0 {
        for (to, from) in to.fields.iter_mut().zip(array.columns()) {
            to.append_array(from, rows.clone());
        }
        return to.validity.push_valid(rows.len());
    }
    for row in rows {
        if array.is_null(row) {
            to.push_null();
            continue;
        }
        for (to, from) in to.fields.iter_mut().zip(array.columns()) {
            to.append_array(from, row..row + 1);
        }
        to.validity.push(true);
    }
}

fn array<T: ArrowPrimitiveType>(column: Fixed<T::Native>, data_type: &DataType) -> ArrayRef {
    let values = ScalarBuffer::from(column.values);
    let array = PrimitiveArray::<T>::new(values, nulls(column.validity));
    Arc::new(array.with_data_type(data_type.clone()))
}

fn bits(bits: Bitmap) -> BooleanBuffer {
    let len = bits.len();
    BooleanBuffer::new(Buffer::from_vec(bits.words), 0, len)
}

fn nulls(validity: Validity) -> Option<NullBuffer> {
    (validity.nulls() > 0).then(|| NullBuffer::new(bits(validity.bits)))
}

fn offsets(offsets: Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(offsets.into())
}
