//! A member's value on its way into a column.

use std::fmt;

use arrow_schema::{DataType, TimeUnit};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::column::Column;
use crate::format::time::{parse_date, parse_timestamp, shorten};
use crate::schema::{Field, Physical};

/// 2^63: from here on a number is out of a BIGINT's range.
const BIGINT_END: f64 = 9_223_372_036_854_775_808.0;

/// What a column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Date,
    BigInt,
    Timestamp(TimeUnit),
    Double,
    Varchar,
}

impl Kind {
    pub(super) fn of(field: &Field) -> Self {
        match (field.physical(), &field.data_type) {
            (_, DataType::Timestamp(unit, _)) => Self::Timestamp(*unit),
            (Physical::Bool, _) => Self::Boolean,
            (Physical::I32, _) => Self::Date,
            (Physical::I64, _) => Self::BigInt,
            (Physical::F64, _) => Self::Double,
            (Physical::Utf8, _) => Self::Varchar,
        }
    }

    fn sql_name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::Date => "DATE",
            Self::BigInt => "BIGINT",
            Self::Timestamp(_) => "TIMESTAMP",
            Self::Double => "DOUBLE",
            Self::Varchar => "VARCHAR",
        }
    }
}

/// What a quick parser does with the text of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::format) enum Op {
    /// No column wants it.
    Skip,
    /// There is none: the record ends.
    End,
    Boolean,
    Date,
    BigInt,
    Timestamp(TimeUnit),
    Double,
    Varchar,
    /// A type that no quick parser knows.
    Doubt,
}

impl Op {
    /// What is done for a column of this field.
    pub(in crate::format) fn of(field: &Field) -> Self {
        match (Kind::of(field), &field.data_type) {
            (Kind::Boolean, DataType::Boolean) => Self::Boolean,
            (Kind::Date, DataType::Date32) => Self::Date,
            (Kind::BigInt, DataType::Int64) => Self::BigInt,
            (Kind::Timestamp(unit), DataType::Timestamp(..)) => Self::Timestamp(unit),
            (Kind::Double, DataType::Float64) => Self::Double,
            (Kind::Varchar, DataType::Utf8) => Self::Varchar,
            _ => Self::Doubt,
        }
    }
}

/// Appends one JSON value to a column.
pub(super) struct Value<'a> {
    pub(super) kind: Kind,
    pub(super) nullable: bool,
    pub(super) column: &'a mut Column,
}

impl Value<'_> {
    #[cold]
    fn refuse<E: Error>(&self, found: impl fmt::Display) -> E {
        E::custom(format_args!(
            "expected {}, found {found}",
            self.kind.sql_name()
        ))
    }
}

#[cold]
fn out_of_range<E: Error>(value: impl fmt::Display) -> E {
    E::custom(format_args!("{value} is out of range for BIGINT"))
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.sql_name())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if !self.nullable {
            return Err(E::custom("null where null cannot be"));
        }
        self.column.push_null();
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.column {
            Column::Bool(c) => c.push(Some(value)),
            _ => return Err(self.refuse(value)),
        }
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        match (self.kind, &mut *self.column) {
            (Kind::BigInt, Column::I64(c)) => c.push(Some(value)),
            (_, Column::F64(c)) => c.push(Some(value as f64)),
            _ => return Err(self.refuse(value)),
        }
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match (self.kind, i64::try_from(value), &mut *self.column) {
            (Kind::BigInt, Ok(value), Column::I64(c)) => c.push(Some(value)),
            (Kind::BigInt, Err(_), _) => return Err(out_of_range(value)),
            (_, _, Column::F64(c)) => c.push(Some(value as f64)),
            _ => return Err(self.refuse(value)),
        }
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match (self.kind, &mut *self.column) {
            (_, Column::F64(c)) => c.push(Some(value)),
            (Kind::BigInt, Column::I64(c)) if value == 0.0 && value.is_sign_negative() => {
                c.push(Some(0));
            }
            (Kind::BigInt, _) if value.abs() >= BIGINT_END => return Err(out_of_range(value)),
            _ => return Err(self.refuse(format_args!("{value:?}"))),
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match (self.kind, &mut *self.column) {
            (_, Column::Utf8(c)) => c.push(Some(text)),
            (Kind::Timestamp(unit), Column::I64(c)) => {
                c.push(Some(parse_timestamp(text, unit).map_err(E::custom)?));
            }
            (_, Column::I32(c)) => c.push(Some(parse_date(text).map_err(E::custom)?)),
            (_, Column::F64(c)) => match text {
                "NaN" => c.push(Some(f64::NAN)),
                "Infinity" => c.push(Some(f64::INFINITY)),
                "-Infinity" => c.push(Some(f64::NEG_INFINITY)),
                _ => return Err(self.refuse(shorten(text))),
            },
            _ => return Err(self.refuse(shorten(text))),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.refuse("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.refuse("an object"))
    }
}
