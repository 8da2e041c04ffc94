//! A member's value on its way into a column.

use std::borrow::Cow;
use std::fmt;

use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::column::{Column, Structs, each_integer};
use crate::format::decimal::parse_decimal;
use crate::format::span::{parse_span, parse_time};
use crate::format::time::{parse_date, parse_timestamp, shorten, since_1970};
use crate::schema::{Field, sql_name};

/// From here on a number is out of the range of the widest type of its kind: 2^63 or 2^64.
fn integers_end(t: &DataType) -> f64 {
    match t {
        DataType::UInt64 => 18_446_744_073_709_551_616.0,
        _ => 9_223_372_036_854_775_808.0,
    }
}

/// What a column takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Date,
    /// Integers of any width, of this type.
    Integer(DataType),
    Time(TimeUnit),
    Timestamp(TimeUnit),
    /// A timestamp, integers being so many of the second unit.
    Instant(TimeUnit, TimeUnit),
    Float,
    Double,
    /// Precision and scale.
    Decimal(u8, u8),
    Varchar,
    /// A text of at most so many characters.
    Text(u32),
    Interval,
    /// Hexadecimal digits.
    Binary,
    /// Any value, as its text.
    Json,
    List(Box<Kind>),
    /// Members by name; what a record does not give is NULL.
    Struct(Vec<(String, Kind)>),
    /// A type that no JSON value is read as.
    Unread(DataType),
}

impl Kind {
    pub(super) fn of(field: &Field) -> Self {
        match (field.json, field.length_max) {
            (true, _) => Self::json(&field.data_type),
            (false, Some(length)) => Self::Text(length),
            (false, None) => Self::of_type(&field.data_type, field.epoch),
        }
    }

    fn json(data_type: &DataType) -> Self {
        match data_type {
            DataType::List(item) => Self::List(Box::new(Self::json(item.data_type()))),
            _ => Self::Json,
        }
    }

    fn of_type(data_type: &DataType, epoch: Option<TimeUnit>) -> Self {
        match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Date32 => Self::Date,
            DataType::Time32(unit) | DataType::Time64(unit) => Self::Time(*unit),
            DataType::Timestamp(unit, _) => match epoch {
                None => Self::Timestamp(*unit),
                Some(epoch) => Self::Instant(*unit, epoch),
            },
            DataType::Float32 => Self::Float,
            DataType::Float64 => Self::Double,
            DataType::Decimal128(p, s) => Self::Decimal(*p, s.unsigned_abs()),
            DataType::Utf8 => Self::Varchar,
            DataType::Interval(IntervalUnit::MonthDayNano) => Self::Interval,
            DataType::Binary => Self::Binary,
            DataType::List(item) => Self::List(Box::new(Self::of_type(item.data_type(), epoch))),
            DataType::Struct(fields) => {
                let fields = fields.iter();
                Self::Struct(
                    fields
                        .map(|f| (f.name().clone(), Self::of_type(f.data_type(), epoch)))
                        .collect(),
                )
            }
            t if t.is_integer() => Self::Integer(t.clone()),
            t => Self::Unread(t.clone()),
        }
    }

    /// Whether there is JSON for its values, and those inside of it.
    pub(super) fn is_read(&self) -> bool {
        match self {
            Self::List(item) => item.is_read(),
            Self::Struct(members) => members.iter().all(|(_, kind)| kind.is_read()),
            Self::Unread(_) => false,
            _ => true,
        }
    }

    fn sql_name(&self) -> String {
        match self {
            Self::Boolean => "BOOLEAN".to_owned(),
            Self::Date => "DATE".to_owned(),
            Self::Integer(t) | Self::Unread(t) => sql_name(t),
            Self::Time(_) => "TIME".to_owned(),
            Self::Timestamp(_) | Self::Instant(..) => "TIMESTAMP".to_owned(),
            Self::Float => "FLOAT".to_owned(),
            Self::Double => "DOUBLE".to_owned(),
            Self::Decimal(p, s) => format!("DECIMAL({p}, {s})"),
            Self::Varchar => "VARCHAR".to_owned(),
            Self::Text(length) => format!("VARCHAR({length})"),
            Self::Interval => "INTERVAL".to_owned(),
            Self::Binary => "BINARY in hexadecimal".to_owned(),
            Self::Json => "JSON".to_owned(),
            Self::List(_) => "an array".to_owned(),
            Self::Struct(_) => "an object".to_owned(),
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
    /// An integer of the column's width.
    Integer,
    Time(TimeUnit),
    Timestamp(TimeUnit),
    /// A timestamp, integers being so many of the second unit.
    Instant(TimeUnit, TimeUnit),
    Float,
    Double,
    /// Precision and scale.
    Decimal(u8, u8),
    Varchar,
    /// A text of at most so many characters.
    Text(u32),
    Interval,
    /// Hexadecimal digits.
    Binary,
    Json,
    /// A type that no quick parser knows.
    Doubt,
}

impl Op {
    /// What is done for a column of this field.
    pub(in crate::format) fn of(field: &Field) -> Self {
        match Kind::of(field) {
            Kind::Boolean => Self::Boolean,
            Kind::Date => Self::Date,
            Kind::Integer(_) => Self::Integer,
            Kind::Time(unit) => Self::Time(unit),
            Kind::Timestamp(unit) => Self::Timestamp(unit),
            Kind::Instant(unit, epoch) => Self::Instant(unit, epoch),
            Kind::Float => Self::Float,
            Kind::Double => Self::Double,
            Kind::Decimal(precision, scale) => Self::Decimal(precision, scale),
            Kind::Varchar => Self::Varchar,
            Kind::Text(length) => Self::Text(length),
            Kind::Interval => Self::Interval,
            Kind::Binary => Self::Binary,
            Kind::Json => Self::Json,
            Kind::List(_) | Kind::Struct(_) | Kind::Unread(_) => Self::Doubt,
        }
    }
}

/// Appends a number to a column of integers, `None` where it does not fit.
#[inline(always)]
pub(in crate::format) fn push_integer(column: &mut Column, value: i128) -> Option<()> {
    each_integer!(column, c => c.push(Some(value.try_into().ok()?)), other => {
        unreachable!("{:?} is no integer", other.physical())
    });
    Some(())
}

/// Appends what a text stands for: no number, or one without an end.
fn push_double(column: &mut Column, value: f64) {
    match column {
        Column::F32(c) => c.push(Some(value as f32)),
        Column::F64(c) => c.push(Some(value)),
        other => unreachable!("{:?} is no number with a point", other.physical()),
    }
}

/// The FLOAT that is nearest to a number, `None` where it has no finite one.
#[inline(always)]
pub(in crate::format) fn float(value: f64) -> Option<f32> {
    Some(value as f32).filter(|float| float.is_finite())
}

/// A text that is no longer than its VARCHAR(n).
///
/// # Errors
/// Where it is longer.
pub(in crate::format) fn within(text: &str, length_max: u32) -> Result<&str, String> {
    match is_within(text, length_max) {
        true => Ok(text),
        false => Err(format!(
            "{} is too long for VARCHAR({length_max})",
            shorten(text)
        )),
    }
}

/// Whether a text has no more than so many characters.
pub fn is_within(text: &str, length_max: u32) -> bool {
    let length_max = length_max as usize;
    text.len() <= length_max || text.chars().count() <= length_max
}

/// The bytes that hexadecimal digits stand for, perhaps with `\x` before them.
pub(in crate::format) fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let digits = text.strip_prefix("\\x").unwrap_or(text);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let pair = |[a, b]: &[u8; 2]| Some(digit(*a)? << 4 | digit(*b)?);
    rest.is_empty().then(|| pairs.iter().map(pair).collect())?
}

/// Appends one JSON value to a column.
pub(super) struct Value<'a> {
    pub(super) kind: &'a Kind,
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

    #[cold]
    fn out_of_range<E: Error>(&self, value: impl fmt::Display) -> E {
        E::custom(format_args!(
            "{value} is out of range for {}",
            self.kind.sql_name()
        ))
    }

    fn take_integer<E: Error>(self, value: i128) -> Result<(), E> {
        match (self.kind, &mut *self.column) {
            (Kind::Integer(_), column) => match push_integer(column, value) {
                Some(()) => {}
                None => return Err(self.out_of_range(value)),
            },
            (Kind::Instant(unit, epoch), Column::I64(c)) => {
                match since_1970(value, *epoch, *unit) {
                    Some(value) => c.push(Some(value)),
                    None => return Err(self.out_of_range(value)),
                }
            }
            (Kind::Float | Kind::Double, _) => return self.take_double(value as f64),
            _ => return Err(self.refuse(value)),
        }
        Ok(())
    }

    fn take_double<E: Error>(self, value: f64) -> Result<(), E> {
        match &mut *self.column {
            Column::F32(c) => match float(value) {
                Some(value) => c.push(Some(value)),
                // With an exponent where there are many digits.
                None => return Err(self.out_of_range(format_args!("{value:?}"))),
            },
            column => push_double(column, value),
        }
        Ok(())
    }

    /// Takes the text of a value: a number beyond what a DOUBLE holds, or any at all.
    fn take_raw<E: Error>(self, text: &str) -> Result<(), E> {
        match (self.kind, &mut *self.column) {
            _ if text == "null" => self.visit_unit(),
            (Kind::Json, Column::Utf8(c)) => {
                c.push(Some(text));
                Ok(())
            }
            (Kind::Decimal(p, s), Column::I128(c)) => {
                let number = match text.as_bytes()[0] {
                    b'"' => serde_json::from_str(text).map_err(E::custom)?,
                    b'-' | b'0'..=b'9' => Cow::Borrowed(text),
                    _ => return Err(self.refuse(shorten(text))),
                };
                c.push(Some(parse_decimal(&number, *p, *s).map_err(E::custom)?));
                Ok(())
            }
            _ => unreachable!("read as what it is"),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        match self.kind {
            Kind::Json | Kind::Decimal(..) => {
                let raw = <&RawValue>::deserialize(json)?;
                self.take_raw(raw.get())
            }
            _ => json.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind.sql_name())
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
        self.take_integer(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.take_integer(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match (self.kind, &mut *self.column) {
            (Kind::Float | Kind::Double, _) => return self.take_double(value),
            (Kind::Integer(_), column) if value == 0.0 && value.is_sign_negative() => {
                push_integer(column, 0).expect("zero is of every type");
            }
            (Kind::Instant(..), Column::I64(c)) if value == 0.0 && value.is_sign_negative() => {
                c.push(Some(0));
            }
            (Kind::Integer(t), _) if value.abs() >= integers_end(t) => {
                return Err(self.out_of_range(format_args!("{value:?}")));
            }
            _ => return Err(self.refuse(format_args!("{value:?}"))),
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match (self.kind, &mut *self.column) {
            (Kind::Varchar, Column::Utf8(c)) => c.push(Some(text)),
            (Kind::Text(max), Column::Utf8(c)) => {
                c.push(Some(within(text, *max).map_err(E::custom)?));
            }
            (Kind::Interval, Column::Interval(c)) => {
                c.push(Some(parse_span(text).map_err(E::custom)?));
            }
            (Kind::Timestamp(unit) | Kind::Instant(unit, _), Column::I64(c)) => {
                c.push(Some(parse_timestamp(text, *unit).map_err(E::custom)?));
            }
            (Kind::Date, Column::I32(c)) => c.push(Some(parse_date(text).map_err(E::custom)?)),
            (Kind::Time(unit), column) => {
                let time = parse_time(text, *unit).map_err(E::custom)?;
                push_integer(column, time.into()).expect("a time of day fits its type");
            }
            (Kind::Float | Kind::Double, column) => match text {
                "NaN" => push_double(column, f64::NAN),
                "Infinity" => push_double(column, f64::INFINITY),
                "-Infinity" => push_double(column, f64::NEG_INFINITY),
                _ => return Err(self.refuse(shorten(text))),
            },
            (Kind::Binary, Column::Binary(c)) => match bytes(text) {
                Some(bytes) => c.push(Some(&bytes)),
                None => return Err(self.refuse(shorten(text))),
            },
            _ => return Err(self.refuse(shorten(text))),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut json: A) -> Result<(), A::Error> {
        let (Kind::List(kind), Column::List(lists)) = (self.kind, &mut *self.column) else {
            return Err(self.refuse("an array"));
        };
        loop {
            let element = Value {
                kind,
                nullable: true,
                column: &mut lists.values,
            };
            if json.next_element_seed(element)?.is_none() {
                lists.seal(true);
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, json: A) -> Result<(), A::Error> {
        match (self.kind, &mut *self.column) {
            (Kind::Struct(kinds), Column::Struct(structs)) => take_struct(kinds, structs, json),
            _ => Err(self.refuse("an object")),
        }
    }
}

/// Appends an object's members to those of a struct.
fn take_struct<'de, A: MapAccess<'de>>(
    kinds: &[(String, Kind)],
    structs: &mut Structs,
    mut json: A,
) -> Result<(), A::Error> {
    let row = structs.validity.len();
    while let Some(member) = json.next_key_seed(Member(kinds))? {
        let Some(i) = member else {
            json.next_value::<IgnoredAny>()?;
            continue;
        };
        if structs.fields[i].len() > row {
            return Err(A::Error::custom(format_args!("{} given twice", kinds[i].0)));
        }
        json.next_value_seed(Value {
            kind: &kinds[i].1,
            nullable: true,
            column: &mut structs.fields[i],
        })?;
    }
    for member in &mut structs.fields {
        if member.len() == row {
            member.push_null();
        }
    }
    structs.validity.push(true);
    Ok(())
}

/// Which member of a struct a name is.
struct Member<'a>(&'a [(String, Kind)]);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Member<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|(member, _)| member == name))
    }
}
