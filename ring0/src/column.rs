//! Columns in Arrow's memory layout: values, 32-bit offsets, validity bits from the least
//! significant on. Buffers are vectors, so that handing one to Arrow and taking it back copies
//! nothing. A NULL's value is zero, an empty string or list, a struct of NULLs, so that bytes never
//! depend on history.

/// Evaluates `$body` with `$c` the typed column within the [`Column`] `$column`.
macro_rules! each_column {
    ($column:expr, $c:ident => $body:expr) => {
        match $column {
            $crate::column::Column::Bool($c) => $body,
            $crate::column::Column::I8($c) => $body,
            $crate::column::Column::I16($c) => $body,
            $crate::column::Column::I32($c) => $body,
            $crate::column::Column::I64($c) => $body,
            $crate::column::Column::U8($c) => $body,
            $crate::column::Column::U16($c) => $body,
            $crate::column::Column::U32($c) => $body,
            $crate::column::Column::U64($c) => $body,
            $crate::column::Column::F32($c) => $body,
            $crate::column::Column::F64($c) => $body,
            $crate::column::Column::I128($c) => $body,
            $crate::column::Column::Interval($c) => $body,
            $crate::column::Column::Utf8($c) => $body,
            $crate::column::Column::Binary($c) => $body,
            $crate::column::Column::List($c) => $body,
            $crate::column::Column::Struct($c) => $body,
        }
    };
}

/// Evaluates `$body` with `$c` the typed column within a [`Column`] of integers, else `$else`.
macro_rules! each_integer {
    ($column:expr, $c:ident => $body:expr, $other:pat => $else:expr) => {
        match $column {
            $crate::column::Column::I8($c) => $body,
            $crate::column::Column::I16($c) => $body,
            $crate::column::Column::I32($c) => $body,
            $crate::column::Column::I64($c) => $body,
            $crate::column::Column::U8($c) => $body,
            $crate::column::Column::U16($c) => $body,
            $crate::column::Column::U32($c) => $body,
            $crate::column::Column::U64($c) => $body,
            $other => $else,
        }
    };
}
pub(crate) use each_integer;

/// Evaluates `$body` with the typed columns within two [`Column`]s of one physical type.
macro_rules! both_columns {
    ($to:expr, $from:expr, $a:ident, $b:ident => $body:expr) => {
        match ($to, $from) {
            (Column::Bool($a), Column::Bool($b)) => $body,
            (Column::I8($a), Column::I8($b)) => $body,
            (Column::I16($a), Column::I16($b)) => $body,
            (Column::I32($a), Column::I32($b)) => $body,
            (Column::I64($a), Column::I64($b)) => $body,
            (Column::U8($a), Column::U8($b)) => $body,
            (Column::U16($a), Column::U16($b)) => $body,
            (Column::U32($a), Column::U32($b)) => $body,
            (Column::U64($a), Column::U64($b)) => $body,
            (Column::F32($a), Column::F32($b)) => $body,
            (Column::F64($a), Column::F64($b)) => $body,
            (Column::I128($a), Column::I128($b)) => $body,
            (Column::Interval($a), Column::Interval($b)) => $body,
            (Column::Utf8($a), Column::Utf8($b)) => $body,
            (Column::Binary($a), Column::Binary($b)) => $body,
            (Column::List($a), Column::List($b)) => $body,
            (Column::Struct($a), Column::Struct($b)) => $body,
            ($a, $b) => panic!("columns of {:?} and {:?}", $a.physical(), $b.physical()),
        }
    };
}

mod arrow;
mod bits;
mod bulk;
mod bytes;
mod fixed;
mod memory;
mod nested;
#[cfg(test)]
pub(crate) mod random;
#[cfg(test)]
mod tests;

use arrow_schema::DataType;

pub(crate) use self::arrow::{array_bytes, array_bytes_max, has_any_length};
pub use self::bits::{Bitmap, Validity};
pub use self::bytes::{Binaries, Bytes, Content, Raw, Strings, Text};
pub use self::fixed::{Bools, Fixed};
pub use self::nested::{Lists, Structs};
pub use arrow_buffer::IntervalMonthDayNano as Interval;

use crate::schema::{Physical, physical};

/// One column of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Booleans.
    Bool(Bools),
    /// TINYINT.
    I8(Fixed<i8>),
    /// SMALLINT.
    I16(Fixed<i16>),
    /// INTEGER, DATE, TIME in seconds or milliseconds.
    I32(Fixed<i32>),
    /// BIGINT, TIMESTAMP, finer TIME, lengths of time.
    I64(Fixed<i64>),
    /// Unsigned, 8 bits.
    U8(Fixed<u8>),
    /// Unsigned, 16 bits.
    U16(Fixed<u16>),
    /// Unsigned, 32 bits.
    U32(Fixed<u32>),
    /// Unsigned, 64 bits.
    U64(Fixed<u64>),
    /// FLOAT.
    F32(Fixed<f32>),
    /// DOUBLE.
    F64(Fixed<f64>),
    /// DECIMAL, without its point.
    I128(Fixed<i128>),
    /// INTERVAL.
    Interval(Fixed<Interval>),
    /// Strings.
    Utf8(Strings),
    /// Byte strings.
    Binary(Binaries),
    /// Lists.
    List(Lists),
    /// Structs.
    Struct(Structs),
}

impl Column {
    /// An empty column of a type that is not nested.
    ///
    /// # Panics
    /// Where it is nested: what a list or struct holds is known by [`Column::of`].
    pub fn new(physical: Physical) -> Self {
        match physical {
            Physical::Bool => Self::Bool(Bools::default()),
            Physical::I8 => Self::I8(Fixed::default()),
            Physical::I16 => Self::I16(Fixed::default()),
            Physical::I32 => Self::I32(Fixed::default()),
            Physical::I64 => Self::I64(Fixed::default()),
            Physical::U8 => Self::U8(Fixed::default()),
            Physical::U16 => Self::U16(Fixed::default()),
            Physical::U32 => Self::U32(Fixed::default()),
            Physical::U64 => Self::U64(Fixed::default()),
            Physical::F32 => Self::F32(Fixed::default()),
            Physical::F64 => Self::F64(Fixed::default()),
            Physical::I128 => Self::I128(Fixed::default()),
            Physical::Interval => Self::Interval(Fixed::default()),
            Physical::Utf8 => Self::Utf8(Strings::default()),
            Physical::Binary => Self::Binary(Binaries::default()),
            Physical::List | Physical::Struct => panic!("a nested column is made of its type"),
        }
    }
    /// An empty column of a logical type.
    ///
    /// # Panics
    /// Where the type is none that [`physical`] knows: programs are checked before they start.
    pub fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::List(item) => Self::List(Lists::new(Self::of(item.data_type()))),
            DataType::Struct(fields) => {
                let members = fields.iter().map(|f| Self::of(f.data_type()));
                Self::Struct(Structs::new(members.collect()))
            }
            flat => Self::new(physical(flat).unwrap_or_else(|| panic!("unsupported type {flat}"))),
        }
    }
    /// An empty column of the same type.
    pub fn empty_like(&self) -> Self {
        match self {
            Self::List(c) => Self::List(Lists::new(c.values.empty_like())),
            Self::Struct(c) => Self::Struct(Structs::new(
                c.fields.iter().map(Self::empty_like).collect(),
            )),
            flat => Self::new(flat.physical()),
        }
    }
    /// How the values lie in memory.
    #[inline]
    pub fn physical(&self) -> Physical {
        match self {
            Self::Bool(_) => Physical::Bool,
            Self::I8(_) => Physical::I8,
            Self::I16(_) => Physical::I16,
            Self::I32(_) => Physical::I32,
            Self::I64(_) => Physical::I64,
            Self::U8(_) => Physical::U8,
            Self::U16(_) => Physical::U16,
            Self::U32(_) => Physical::U32,
            Self::U64(_) => Physical::U64,
            Self::F32(_) => Physical::F32,
            Self::F64(_) => Physical::F64,
            Self::I128(_) => Physical::I128,
            Self::Interval(_) => Physical::Interval,
            Self::Utf8(_) => Physical::Utf8,
            Self::Binary(_) => Physical::Binary,
            Self::List(_) => Physical::List,
            Self::Struct(_) => Physical::Struct,
        }
    }
    /// Which rows hold a value.
    #[inline]
    pub fn validity(&self) -> &Validity {
        each_column!(self, c => &c.validity)
    }
    /// Which rows hold a value, to be changed: only to make rows NULL whose values are zero.
    #[inline]
    pub(crate) fn validity_mut(&mut self) -> &mut Validity {
        each_column!(self, c => &mut c.validity)
    }
    /// Number of rows.
    #[inline]
    pub fn len(&self) -> usize {
        self.validity().len()
    }
    /// Whether there is no row.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Whether row `i` holds a value.
    #[inline]
    pub fn is_valid(&self, i: usize) -> bool {
        self.validity().is_valid(i)
    }
    /// Forgets all rows, keeps the memory.
    pub fn clear(&mut self) {
        each_column!(self, c => c.clear());
    }
    /// Forgets all rows from `len` on; nothing where there are no more.
    pub fn truncate(&mut self, len: usize) {
        each_column!(self, c => c.truncate(len));
    }
    /// Appends a NULL.
    pub fn push_null(&mut self) {
        match self {
            Self::List(c) => c.push_null(),
            Self::Struct(c) => c.push_null(),
            Self::Bool(c) => c.push(None),
            Self::I8(c) => c.push(None),
            Self::I16(c) => c.push(None),
            Self::I32(c) => c.push(None),
            Self::I64(c) => c.push(None),
            Self::U8(c) => c.push(None),
            Self::U16(c) => c.push(None),
            Self::U32(c) => c.push(None),
            Self::U64(c) => c.push(None),
            Self::F32(c) => c.push(None),
            Self::F64(c) => c.push(None),
            Self::I128(c) => c.push(None),
            Self::Interval(c) => c.push(None),
            Self::Utf8(c) => c.push(None),
            Self::Binary(c) => c.push(None),
        }
    }
    /// Appends the rows `rows` of `from`, a column of the same physical type.
    ///
    /// # Panics
    /// Where the physical types differ.
    pub fn append_rows(&mut self, from: &Column, rows: &[u32]) {
        both_columns!(self, from, to, from => to.append_rows(from, rows));
    }
    /// Bytes of the values in this column where their length is not fixed, 0 for other types.
    #[inline]
    pub fn string_bytes(&self) -> usize {
        match self {
            Self::Utf8(c) => c.value_bytes(),
            Self::Binary(_) | Self::List(_) | Self::Struct(_) => self.value_bytes(),
            _ => 0,
        }
    }
    /// Bytes of its values.
    fn value_bytes(&self) -> usize {
        each_column!(self, c => c.value_bytes())
    }
}
