//! How a file's columns become the declared ones. Wider is fine; times are taken in any unit, as
//! text is: what is finer than declared is cut off towards the past, what does not fit is a bad
//! record. Everything else is refused when the file is opened.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{
    Array, ArrayRef, ListArray, RecordBatch, StringArray, StructArray, new_null_array,
};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Fields, IntervalUnit, Schema as ArrowSchema, TimeUnit};
use trefoil_ring0::format::columnar::Rows;
use trefoil_ring0::format::ndjson::is_within;
use trefoil_ring0::schema::{Field, Schema, sql_name, unit_nanos};

/// The wanted columns of a file, each with its way.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    wanted: Vec<Wanted>,
    /// The columns of the file that are read, ascending.
    pub(super) read: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Wanted {
    name: String,
    data_type: DataType,
    /// Its place among the columns that are read.
    at: usize,
    conversion: Conversion,
    /// Characters of a text at most.
    length_max: Option<u32>,
    /// Texts that have to be JSON.
    json: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Conversion {
    /// It is what is wanted.
    Same,
    /// Arrow's cast to a type that holds every value.
    Cast(DataType),
    /// First this one, then that.
    Then(Box<[Self; 2]>),
    /// Timestamps: so many old units are a new one, or so many new ones an old one.
    Coarser(i64),
    Finer(i64),
    /// The elements' way.
    List(Box<Self>),
    /// For each member its place, and its way.
    Struct(Vec<(usize, Self)>),
    Nulls,
}

impl Columns {
    /// Finds the schema's columns, by their names, among a file's.
    pub(super) fn new(schema: &Schema, file: &ArrowSchema) -> Result<Self, String> {
        let found = schema.fields.iter().map(|field| find(field, file));
        let found = found.collect::<Result<Vec<_>, _>>()?;
        let mut read: Vec<usize> = found.iter().map(|(column, _)| *column).collect();
        read.sort_unstable();
        read.dedup();
        let wanted = schema.fields.iter().zip(found);
        let wanted = wanted.map(|(field, (column, conversion))| Wanted {
            name: field.name.clone(),
            data_type: field.data_type.clone(),
            at: read.partition_point(|c| *c < column),
            conversion,
            length_max: field.length_max,
            json: field.json,
        });
        Ok(Self {
            wanted: wanted.collect(),
            read,
        })
    }

    /// The wanted columns of rows of which those were read that are to be.
    pub(super) fn convert(&self, batch: &RecordBatch) -> Result<Rows, String> {
        let mut rows = Rows {
            count: batch.num_rows(),
            columns: Vec::with_capacity(self.wanted.len()),
            bad: Vec::new(),
        };
        for wanted in &self.wanted {
            let from = batch.column(wanted.at);
            let to = apply(&wanted.conversion, from, &wanted.data_type);
            let to = to.map_err(|error| format!("column {}: {error}", wanted.name))?;
            if to.null_count() > from.logical_null_count() {
                let missing = |row: &usize| to.is_null(*row) && from.is_valid(*row);
                let (name, is) = (&wanted.name, sql_name(&wanted.data_type));
                let reason = format!("column {name}: a value is out of range for {is}");
                let bad = (0..to.len()).filter(missing);
                rows.bad.extend(bad.map(|row| (row, reason.clone())));
            }
            if let (Some(max), Some(texts)) = (wanted.length_max, to.as_string_opt::<i32>()) {
                let is_long = |text: Option<&str>| text.is_some_and(|t| !is_within(t, max));
                let long = texts.iter().enumerate().filter(|(_, text)| is_long(*text));
                let reason = format!(
                    "column {}: a text is too long for VARCHAR({max})",
                    wanted.name
                );
                rows.bad.extend(long.map(|(row, _)| (row, reason.clone())));
            }
            let to = match wanted.json {
                true => json(&wanted.name, &to, &mut rows.bad),
                false => to,
            };
            rows.columns.push(to);
        }
        rows.bad.sort();
        rows.bad.dedup_by_key(|(row, _)| *row);
        Ok(rows)
    }
}

/// Texts as JSON has them in the other formats: without blanks around them, and NULL where they say
/// null. What is no JSON is a bad row, and so is one in whose lists such a text is.
fn json(name: &str, texts: &ArrayRef, bad: &mut Vec<(usize, String)>) -> ArrayRef {
    if let Some(lists) = texts.as_list_opt::<i32>() {
        let (item, offsets, values, nulls) = lists.clone().into_parts();
        let mut elements = Vec::new();
        let values = json(name, &values, &mut elements);
        bad.extend(elements.into_iter().filter_map(|(element, reason)| {
            let begun = offsets.partition_point(|&begin| begin as usize <= element);
            let row = begun.checked_sub(1).filter(|row| *row < texts.len())?;
            texts.is_valid(row).then_some((row, reason))
        }));
        let item = item.as_ref().clone().with_nullable(true);
        return Arc::new(ListArray::new(Arc::new(item), offsets, values, nulls));
    }
    let texts = texts.as_string::<i32>();
    let one = |(row, text): (usize, Option<&str>)| {
        let text = text?.trim_ascii();
        if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
            bad.push((row, format!("column {name}: a text is no JSON")));
            return None;
        }
        (text != "null").then(|| text.to_owned())
    };
    Arc::new(texts.iter().enumerate().map(one).collect::<StringArray>())
}

/// Whether values below a list or struct are meant: one of them cannot be told to be bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Top,
    Nested,
}

fn find(field: &Field, file: &ArrowSchema) -> Result<(usize, Conversion), String> {
    let Some((column, found)) = file.column_with_name(&field.name) else {
        let names: Vec<&str> = file.fields().iter().map(|f| f.name().as_str()).collect();
        return Err(format!(
            "it has no column {}, but: {}",
            field.name,
            names.join(", ")
        ));
    };
    match conversion(found.data_type(), &field.data_type, Depth::Top) {
        Some(conversion) => Ok((column, conversion)),
        None => Err(format!(
            "column {} is {}, and declared as {}",
            field.name,
            sql_name(found.data_type()),
            match field.json {
                true => sql_name(&field.data_type).replace("VARCHAR", "JSON"),
                false => sql_name(&field.data_type),
            }
        )),
    }
}

/// How values of type `from` become values of type `to`; `None` where they do not.
fn conversion(from: &DataType, to: &DataType, depth: Depth) -> Option<Conversion> {
    use DataType::*;
    let cast = || Some(Conversion::Cast(to.clone()));
    match (from, to) {
        (List(from), List(to)) => {
            let elements = conversion(from.data_type(), to.data_type(), Depth::Nested)?;
            Some(Conversion::List(Box::new(elements)))
        }
        (Struct(from), Struct(to)) => members(from, to),
        _ if from == to => Some(Conversion::Same),
        (Null, _) => Some(Conversion::Nulls),
        (Dictionary(_, values), _) => then(values, to, depth),
        (LargeList(item) | FixedSizeList(item, _) | ListView(item) | LargeListView(item), _) => {
            then(&List(Arc::clone(item)), to, depth)
        }
        (Timestamp(from, _), Timestamp(to, None)) => timestamps(*from, *to, depth),
        (Time32(_) | Time64(_), Time32(_) | Time64(_)) => cast(),
        (Date64, Date32) => cast(),
        (LargeUtf8 | Utf8View, Utf8) => cast(),
        (LargeBinary | BinaryView | FixedSizeBinary(_), Binary) => cast(),
        (Interval(_), Interval(IntervalUnit::MonthDayNano)) => cast(),
        (Float16, Float32 | Float64) | (Float32, Float64) => cast(),
        _ if widens(from, to) => cast(),
        _ => None,
    }
}

/// By way of a type that Arrow casts to.
fn then(by: &DataType, to: &DataType, depth: Depth) -> Option<Conversion> {
    let rest = conversion(by, to, depth)?;
    let first = Conversion::Cast(by.clone());
    Some(Conversion::Then(Box::new([first, rest])))
}

fn members(from: &Fields, to: &Fields) -> Option<Conversion> {
    let member = |field: &arrow_schema::FieldRef| {
        let (at, found) = from.find(field.name())?;
        let way = conversion(found.data_type(), field.data_type(), Depth::Nested)?;
        Some((at, way))
    };
    let members: Option<Vec<_>> = to.iter().map(member).collect();
    Some(Conversion::Struct(members?))
}

fn timestamps(from: TimeUnit, to: TimeUnit, depth: Depth) -> Option<Conversion> {
    let (from, to) = (unit_nanos(from), unit_nanos(to));
    match from.cmp(&to) {
        // Without the zone: the values are in UTC.
        std::cmp::Ordering::Equal => Some(Conversion::Coarser(1)),
        std::cmp::Ordering::Less => Some(Conversion::Coarser(to / from)),
        std::cmp::Ordering::Greater if depth == Depth::Top => Some(Conversion::Finer(from / to)),
        std::cmp::Ordering::Greater => None,
    }
}

/// Whether every number of type `from` is one of type `to`.
fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    if let (Some((precision, scale)), Decimal128(p, s)) = (decimal(from), to) {
        let whole = i16::from(precision) - i16::from(scale);
        return scale <= *s && whole <= i16::from(*p) - i16::from(*s);
    }
    let Some((is_signed, bits)) = integer(from) else {
        return false;
    };
    match to {
        Float64 => bits <= 32,
        Float32 => bits <= 16,
        Decimal128(p, s) => {
            let digits = match (is_signed, bits) {
                (_, 8) => 3,
                (_, 16) => 5,
                (_, 32) => 10,
                (true, _) => 19,
                (false, _) => 20,
            };
            i16::from(*p) - i16::from(*s) >= digits
        }
        _ => integer(to).is_some_and(|(signed, wide)| match is_signed == signed {
            true => wide >= bits,
            false => signed && wide > bits,
        }),
    }
}

/// Whether it has a sign, and its bits.
fn integer(data_type: &DataType) -> Option<(bool, u32)> {
    Some(match data_type {
        DataType::Int8 => (true, 8),
        DataType::Int16 => (true, 16),
        DataType::Int32 => (true, 32),
        DataType::Int64 => (true, 64),
        DataType::UInt8 => (false, 8),
        DataType::UInt16 => (false, 16),
        DataType::UInt32 => (false, 32),
        DataType::UInt64 => (false, 64),
        _ => return None,
    })
}

fn decimal(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => Some((*p, *s)),
        _ => None,
    }
}

/// The array in its wanted type; what does not fit is NULL.
fn apply(way: &Conversion, from: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match way {
        Conversion::Same => Ok(Arc::clone(from)),
        Conversion::Cast(to) => cast(from, to),
        Conversion::Then(ways) => {
            let between = apply(&ways[0], from, to)?;
            apply(&ways[1], &between, to)
        }
        Conversion::Coarser(units) => {
            let values = cast(from, &DataType::Int64)?;
            let values = match units {
                1 => values,
                _ => {
                    let values = values.as_primitive::<Int64Type>();
                    Arc::new(values.unary::<_, Int64Type>(|v| v.div_euclid(*units)))
                }
            };
            cast(&values, to)
        }
        Conversion::Finer(units) => {
            let values = cast(from, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>();
            let values = values.unary_opt::<_, Int64Type>(|v| v.checked_mul(*units));
            cast(&values, to)
        }
        Conversion::List(elements) => {
            let DataType::List(item) = to else {
                return Err(ArrowError::CastError(format!("{to} is no list")));
            };
            let (_, offsets, values, nulls) = from.as_list::<i32>().clone().into_parts();
            let values = apply(elements, &values, item.data_type())?;
            let item = item.as_ref().clone().with_nullable(true);
            let list = ListArray::try_new(Arc::new(item), offsets, values, nulls)?;
            Ok(Arc::new(list))
        }
        Conversion::Struct(members) => {
            let DataType::Struct(fields) = to else {
                return Err(ArrowError::CastError(format!("{to} is no struct")));
            };
            let from = from.as_struct();
            let columns = members.iter().zip(fields);
            let columns = columns
                .map(|((at, way), field)| apply(way, from.column(*at), field.data_type()))
                .collect::<Result<Vec<_>, _>>()?;
            let nullable = |field: &arrow_schema::FieldRef| {
                Arc::new(field.as_ref().clone().with_nullable(true))
            };
            let fields: Fields = fields.iter().map(nullable).collect();
            let (len, nulls) = (from.len(), from.nulls().cloned());
            let array = StructArray::try_new_with_length(fields, columns, nulls, len)?;
            Ok(Arc::new(array))
        }
        Conversion::Nulls => Ok(new_null_array(to, from.len())),
    }
}

#[cfg(test)]
mod tests;
