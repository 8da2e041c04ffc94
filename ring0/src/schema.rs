//! Names and types of columns. Logical types are Arrow's; a physical type says how a column of
//! that type lies in memory.

use arrow_schema::{DataType, TimeUnit};

/// How a column's values lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Physical {
    /// One bit a value.
    Bool,
    /// Four bytes: DATE (days since 1970-01-01).
    I32,
    /// Eight bytes: BIGINT, TIMESTAMP in its own unit.
    I64,
    /// Eight bytes: DOUBLE.
    F64,
    /// UTF-8 bytes with 32-bit offsets.
    Utf8,
}

/// The physical type of a logical one, or `None` where Ring 0 cannot hold it yet.
pub fn physical(data_type: &DataType) -> Option<Physical> {
    Some(match data_type {
        DataType::Boolean => Physical::Bool,
        DataType::Date32 => Physical::I32,
        DataType::Int64 | DataType::Timestamp(_, None) => Physical::I64,
        DataType::Float64 => Physical::F64,
        DataType::Utf8 => Physical::Utf8,
        _ => return None,
    })
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
}

impl Field {
    /// A nullable column.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self {
            name: name.into(),
            data_type,
            nullable: true,
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

    /// Index of the column with this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name)
    }
}
