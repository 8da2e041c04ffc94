//! Lists and structs that other formats have as a text: the JSON of them.

use serde::de::DeserializeSeed;

use super::fallback::{message, too_deep};
use super::value::{Kind, Value};
use crate::column::Column;
use crate::schema::Field;

/// How the lists or structs of a column are read from their text.
#[derive(Debug, Clone)]
pub(in crate::format) struct Nested {
    kind: Kind,
    nullable: bool,
}

impl Nested {
    /// Of a column; `None` where it has neither lists nor structs, or a type in them is not read.
    pub(in crate::format) fn of(field: &Field) -> Option<Self> {
        let kind = Kind::of(field);
        let is_nested = matches!(kind, Kind::List(_) | Kind::Struct(_));
        (is_nested && kind.is_read()).then_some(Self {
            kind,
            nullable: field.nullable,
        })
    }

    /// Appends what a text says.
    ///
    /// # Errors
    /// Where it is no JSON, or none of this type. The column may then have elements of no row.
    pub(in crate::format) fn append(&self, text: &str, column: &mut Column) -> Result<(), String> {
        too_deep(text.as_bytes())?;
        let mut json = serde_json::Deserializer::from_str(text);
        let value = Value {
            kind: &self.kind,
            nullable: self.nullable,
            column,
        };
        let read = value.deserialize(&mut json).and_then(|()| json.end());
        read.map_err(|error| message(&error, None))
    }
}
