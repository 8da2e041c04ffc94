//! Names and types of columns. Logical types are Arrow's; a physical type says how a column of
//! that type lies in memory.

use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use crate::limits::{DECIMAL_DIGITS_MAX, TYPE_DEPTH_MAX};

/// How a column's values lie in memory: Arrow's layout, each width as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Physical {
    /// One bit a value.
    Bool,
    /// TINYINT.
    I8,
    /// SMALLINT.
    I16,
    /// INTEGER, DATE (days since 1970-01-01), TIME of up to milliseconds.
    I32,
    /// BIGINT, TIMESTAMP in its own unit, finer TIME, lengths of time.
    I64,
    /// Unsigned, one byte.
    U8,
    /// Unsigned, two bytes.
    U16,
    /// Unsigned, four bytes.
    U32,
    /// Unsigned, eight bytes.
    U64,
    /// FLOAT.
    F32,
    /// DOUBLE.
    F64,
    /// DECIMAL: the digits as an integer of sixteen bytes, the point being the type's.
    I128,
    /// INTERVAL: months, days and nanoseconds, sixteen bytes.
    Interval,
    /// UTF-8 bytes with 32-bit offsets.
    Utf8,
    /// Bytes with 32-bit offsets.
    Binary,
    /// 32-bit offsets into a column of elements.
    List,
    /// A column for each member.
    Struct,
}

/// The physical type of a logical one, or `None` where Ring 0 cannot hold it.
pub fn physical(data_type: &DataType) -> Option<Physical> {
    physical_within(data_type, TYPE_DEPTH_MAX)
}

fn physical_within(data_type: &DataType, depth: usize) -> Option<Physical> {
    Some(match data_type {
        DataType::Boolean => Physical::Bool,
        DataType::Int8 => Physical::I8,
        DataType::Int16 => Physical::I16,
        DataType::Int32 | DataType::Date32 => Physical::I32,
        DataType::Time32(TimeUnit::Second | TimeUnit::Millisecond) => Physical::I32,
        DataType::Int64 | DataType::Timestamp(_, None) | DataType::Duration(_) => Physical::I64,
        DataType::Time64(TimeUnit::Microsecond | TimeUnit::Nanosecond) => Physical::I64,
        DataType::UInt8 => Physical::U8,
        DataType::UInt16 => Physical::U16,
        DataType::UInt32 => Physical::U32,
        DataType::UInt64 => Physical::U64,
        DataType::Float32 => Physical::F32,
        DataType::Float64 => Physical::F64,
        DataType::Decimal128(precision, scale) => {
            let digits = 1..=DECIMAL_DIGITS_MAX;
            let fits = digits.contains(precision) && (0..=*precision as i8).contains(scale);
            return fits.then_some(Physical::I128);
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => Physical::Interval,
        DataType::Utf8 => Physical::Utf8,
        DataType::Binary => Physical::Binary,
        DataType::List(item) => {
            physical_within(item.data_type(), depth.checked_sub(1)?)?;
            Physical::List
        }
        DataType::Struct(fields) if !fields.is_empty() => {
            let depth = depth.checked_sub(1)?;
            for field in fields {
                physical_within(field.data_type(), depth)?;
            }
            Physical::Struct
        }
        _ => return None,
    })
}

/// What a type is called in SQL, for messages.
pub fn sql_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INTEGER",
        DataType::Int64 => "BIGINT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INTEGER UNSIGNED",
        DataType::UInt64 => "BIGINT UNSIGNED",
        DataType::Float32 => "FLOAT",
        DataType::Float64 => "DOUBLE",
        DataType::Utf8 => "VARCHAR",
        DataType::Binary => "BINARY",
        DataType::Date32 => "DATE",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Timestamp(..) => "TIMESTAMP",
        DataType::Duration(_) => "a length of time",
        DataType::Interval(_) => "INTERVAL",
        DataType::Struct(members) => {
            let members = members
                .iter()
                .map(|m| format!("{} {}", m.name(), sql_name(m.data_type())));
            return format!("STRUCT<{}>", members.collect::<Vec<_>>().join(", "));
        }
        DataType::Decimal128(p, s) => return format!("DECIMAL({p}, {s})"),
        DataType::List(item) => return format!("{}[]", sql_name(item.data_type())),
        other => return other.to_string(),
    };
    name.to_owned()
}

/// Nanoseconds of one unit of a timestamp.
pub fn unit_nanos(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// A column's name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name, as it is printed.
    pub name: String,
    /// Logical type; one that [`physical`] knows.
    pub data_type: DataType,
    /// Whether NULL can occur.
    pub nullable: bool,
    /// Whether the texts of a VARCHAR are JSON, or those of a list's elements: a source then takes
    /// any JSON value, as its text.
    pub json: bool,
    /// What a source takes integers for where a TIMESTAMP is wanted: so many of these since 1970.
    pub epoch: Option<TimeUnit>,
    /// How many characters a source takes for a VARCHAR at most: a longer text is a bad record.
    pub length_max: Option<u32>,
}

impl Field {
    /// A nullable column.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self {
            name: name.into(),
            data_type,
            nullable: true,
            json: false,
            epoch: None,
            length_max: None,
        }
    }

    /// A nullable column of JSON: VARCHAR in all but what a source reads into it.
    pub fn json(name: impl Into<String>) -> Self {
        Self {
            json: true,
            ..Self::new(name, DataType::Utf8)
        }
    }

    /// How this column lies in memory.
    ///
    /// # Panics
    /// Where the type is none that [`physical`] knows: programs are checked before they start.
    pub fn physical(&self) -> Physical {
        physical(&self.data_type).unwrap_or_else(|| panic!("unsupported type {}", self.data_type))
    }
}

/// The columns of a frame, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    /// The columns.
    pub fields: Vec<Field>,
}

impl Schema {
    /// A schema of these fields.
    pub fn new(fields: Vec<Field>) -> Self {
        Self { fields }
    }

    /// The columns' types.
    pub fn types(&self) -> impl Iterator<Item = &DataType> {
        self.fields.iter().map(|f| &f.data_type)
    }

    /// Index of the column with this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name)
    }
}
