//! From a definition's tree to what the catalogue holds: types, event time, watermark, keys. The
//! options are read by [`crate::options`]; none is ignored.

use datafusion::arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident, Spanned};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::catalog::{ColumnDef, GeneratedDef, SourceDef};
use crate::error::{SqlError, meant, nearest};
use crate::interval;
use crate::options;
use crate::place::Place;
use crate::syntax::{ColumnSpec, CreateSource, SourceKind, TypeName, Watermark};

const TYPES: [&str; 17] = [
    "BIGINT",
    "INT",
    "SMALLINT",
    "TINYINT",
    "DOUBLE",
    "REAL",
    "VARCHAR",
    "BOOLEAN",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "DECIMAL",
    "BYTEA",
    "JSON",
    "STRUCT",
    "CHAR",
    "INTERVAL",
];

/// The longest VARCHAR(n).
const MAX_LENGTH: u64 = u32::MAX as u64;

/// Reads a definition.
pub(crate) fn define(place: Place<'_>, create: &CreateSource) -> Result<SourceDef, SqlError> {
    let mut def = SourceDef {
        name: create.name.value.clone(),
        kind: create.kind,
        ..SourceDef::default()
    };
    let all = columns(place, &create.columns)?;
    for (at, (column, spec)) in all.into_iter().zip(&create.columns).enumerate() {
        match &spec.generated {
            None => def.columns.push(column),
            Some(_) if spec.not_null => {
                let what = "NOT NULL of a GENERATED column";
                return Err(place.unsupported(spec.generated_at.0, what));
            }
            Some(expr) => def.generated.push(GeneratedDef {
                column,
                at,
                expr: expr.clone(),
            }),
        }
    }
    if def.columns.is_empty() {
        let at = create.columns[0].generated_at.0;
        return Err(place.error(
            "E0105",
            at,
            "a relation has at least one column that is read",
        ));
    }
    for key in &create.primary_key {
        let index = column(place, &def, key)?;
        if def.primary_key.contains(&index) {
            let message = format!("column \"{}\" is named twice in the key", key.value);
            return Err(place.error("E0205", key.span.start, message));
        }
        def.primary_key.push(index);
    }
    if create.kind == SourceKind::AppendOnlyTable && !def.primary_key.is_empty() {
        let at = create.primary_key[0].span.start;
        let hint = "a key lets INSERT replace rows: leave one of both out";
        let message = "an APPEND ONLY table has no primary key";
        return Err(place.hinted("E0105", at, message, hint));
    }
    for watermark in &create.watermarks {
        let index = column(place, &def, &watermark.column)?;
        let lag = lag(place, watermark)?;
        set_watermark(place, &mut def, index, lag, watermark.column.span.start)?;
    }
    if !create.has_options {
        if create.kind == SourceKind::Source {
            let hint = "WITH (connector = 'file', path = '...', format = 'json')";
            let message = "a source needs a connector: WITH is missing";
            return Err(place.hinted("E0104", create.options_at.0, message, hint));
        }
        def.later = Some("it has no connector: tables that are written to cannot run".into());
        return Ok(def);
    }
    options::source(place, &mut def, create)?;
    if !def.primary_key.is_empty() && !def.bounded && !def.has_changes() {
        let why = "rows that replace each other by a key without end cannot run yet";
        def.later.get_or_insert_with(|| why.to_owned());
    }
    Ok(def)
}

/// Reads columns.
pub(crate) fn columns(place: Place<'_>, specs: &[ColumnSpec]) -> Result<Vec<ColumnDef>, SqlError> {
    let mut columns: Vec<ColumnDef> = Vec::new();
    for spec in specs {
        let name = spec.name.value.clone();
        if columns.iter().any(|c| c.name == name) {
            let message = format!("column \"{name}\" is defined twice");
            return Err(place.error("E0205", spec.name.span.start, message));
        }
        if ["_timestamp", "_partition", "_offset"].contains(&name.as_str()) {
            let message = format!("column \"{name}\" is there by itself, in every source");
            return Err(place.error("E0205", spec.name.span.start, message));
        }
        columns.push(ColumnDef {
            name,
            data_type: match &spec.data_type {
                // What is read is no longer; of values within others nobody would know.
                TypeName::Named(name, length)
                    if name == "VARCHAR" && matches!(length[..], [1..=MAX_LENGTH]) =>
                {
                    DataType::Utf8
                }
                of => data_type(place, of, spec.type_at.0)?,
            },
            declared: spec.data_type.to_string(),
            nullable: !spec.not_null,
        });
    }
    if columns.is_empty() {
        let at = Location { line: 1, column: 1 };
        return Err(place.error("E0105", at, "a relation has at least one column"));
    }
    Ok(columns)
}

fn column(place: Place<'_>, def: &SourceDef, name: &Ident) -> Result<usize, SqlError> {
    named_column(place, def, &name.value, name.span.start)
}

/// Index of a column of the definition.
pub(crate) fn named_column(
    place: Place<'_>,
    def: &SourceDef,
    name: &str,
    at: Location,
) -> Result<usize, SqlError> {
    if def.generated.iter().any(|g| g.column.name == name) {
        let what = format!("\"{name}\" is GENERATED: a key or an event time that is computed");
        return Err(place.unsupported(at, what));
    }
    def.index_of(name).ok_or_else(|| {
        let message = format!("column \"{name}\" does not exist");
        let mut error = place.error("E0201", at, message);
        error.hint = meant(name, def.columns.iter().map(|c| c.name.as_str()));
        error
    })
}

/// Makes a column the event time.
pub(crate) fn set_event_time(
    place: Place<'_>,
    def: &mut SourceDef,
    index: usize,
    at: Location,
) -> Result<(), SqlError> {
    let column = &def.columns[index];
    if !matches!(column.data_type, DataType::Timestamp(_, None)) {
        let message = format!("event time is a TIMESTAMP, not {}", column.declared);
        let hint = format!("declare {} TIMESTAMP(3)", column.name);
        return Err(place.hinted("E0105", at, message, hint));
    }
    if def.event_time.is_some_and(|e| e != index) {
        let message = "a source has one event time";
        return Err(place.error("E0105", at, message));
    }
    def.event_time = Some(index);
    Ok(())
}

/// Makes a column the event time, with a watermark.
pub(crate) fn set_watermark(
    place: Place<'_>,
    def: &mut SourceDef,
    index: usize,
    lag: i64,
    at: Location,
) -> Result<(), SqlError> {
    if def.kind == SourceKind::Table {
        let hint = "CREATE SOURCE, or CREATE TABLE .. APPEND ONLY";
        let message = "a table whose rows change has no watermark";
        return Err(place.hinted("E0105", at, message, hint));
    }
    if def.lag_ns.is_some() {
        let message = "a source has one watermark";
        return Err(place.error("E0105", at, message));
    }
    set_event_time(place, def, index, at)?;
    def.lag_ns = Some(lag);
    Ok(())
}

/// How far a watermark stays behind its column.
fn lag(place: Place<'_>, watermark: &Watermark) -> Result<i64, SqlError> {
    let name = &watermark.column.value;
    let shape = || {
        let hint = format!("AS {name} - INTERVAL '5' SECOND");
        let message = "a watermark is its column, or its column minus an interval";
        place.hinted("E0105", watermark.at.0, message, hint)
    };
    let is_column = |e: &Expr| matches!(e, Expr::Identifier(i) if i.value == *name);
    match &watermark.expr {
        None => Ok(0),
        Some(expr) if is_column(expr) => Ok(0),
        Some(Expr::BinaryOp {
            left,
            op: BinaryOperator::Minus,
            right,
        }) if is_column(left) => match right.as_ref() {
            Expr::Interval(interval) => match interval::length(place, interval)? {
                ns if ns >= 0 => Ok(ns),
                _ => {
                    let at = interval.value.span().start;
                    let message = "a watermark stays behind its column: the interval is negative";
                    Err(place.error("E0105", at, message))
                }
            },
            other => {
                let hint = format!("AS {name} - INTERVAL '5' SECOND");
                let message = "a watermark's lag is an INTERVAL";
                Err(place.hinted("E0105", other.span().start, message, hint))
            }
        },
        Some(Expr::BinaryOp {
            left,
            op: BinaryOperator::Plus,
            ..
        }) if is_column(left) => {
            let hint = format!("AS {name} - INTERVAL '5' SECOND");
            let message = "a watermark cannot be ahead of its column";
            Err(place.hinted("E0105", watermark.at.0, message, hint))
        }
        Some(_) => Err(shape()),
    }
}

fn data_type(place: Place<'_>, declared: &TypeName, at: Location) -> Result<DataType, SqlError> {
    match declared {
        TypeName::Named(name, numbers) => named_type(name, numbers).ok_or_else(|| {
            let message = format!("type {declared} does not exist");
            let mut hint = match nearest(name, TYPES.into_iter()) {
                Some(n) if n != name => format!("did you mean {n}?"),
                _ => "BIGINT, DOUBLE, VARCHAR, BOOLEAN, DATE, TIMESTAMP(3)".to_string(),
            };
            if name.ends_with("WITH TIME ZONE") || name == "TIMESTAMPTZ" {
                hint = "a TIMESTAMP has no zone and is taken as UTC".into();
            } else if name == "DATETIME" {
                hint = "TIMESTAMP(3)".into();
            } else if name == "UUID" {
                hint = "VARCHAR".into();
            } else if name == "SERIAL" || name == "BIGSERIAL" {
                hint = "BIGINT".into();
            }
            place.hinted("E0302", at, message, hint)
        }),
        TypeName::Struct(fields) => {
            if fields.iter().any(|(_, t)| is_json(t)) {
                let message = "a STRUCT with a member of type JSON is not supported yet";
                let hint = "declare all of it as JSON: -> and ->> read its members";
                return Err(place.hinted("E0302", at, message, hint));
            }
            let fields = fields
                .iter()
                .map(|(name, t)| Ok(Field::new(&name.value, data_type(place, t, at)?, true)));
            Ok(DataType::Struct(fields.collect::<Result<Fields, _>>()?))
        }
        TypeName::List(item) => Ok(DataType::new_list(data_type(place, item, at)?, true)),
    }
}

/// Whether a type is JSON, or lists of it.
fn is_json(declared: &TypeName) -> bool {
    match declared {
        TypeName::Named(name, _) => name == "JSON",
        TypeName::List(item) => is_json(item),
        TypeName::Struct(_) => false,
    }
}

/// The type of a name in capitals and the numbers behind it.
pub(crate) fn named_type(name: &str, numbers: &[u64]) -> Option<DataType> {
    Some(match (name, numbers) {
        ("VARCHAR", []) => DataType::Utf8,
        ("BIGINT", []) => DataType::Int64,
        ("INT", []) => DataType::Int32,
        ("SMALLINT", []) => DataType::Int16,
        ("TINYINT", []) => DataType::Int8,
        ("DOUBLE", []) => DataType::Float64,
        ("REAL", []) => DataType::Float32,
        ("BOOLEAN", []) => DataType::Boolean,
        ("DATE", []) => DataType::Date32,
        ("TIMESTAMP", [0]) => DataType::Timestamp(TimeUnit::Second, None),
        ("TIMESTAMP", [1..=3]) => DataType::Timestamp(TimeUnit::Millisecond, None),
        ("TIMESTAMP", [] | [4..=6]) => DataType::Timestamp(TimeUnit::Microsecond, None),
        ("TIMESTAMP", [7..=9]) => DataType::Timestamp(TimeUnit::Nanosecond, None),
        ("DECIMAL", [p @ 1..=38, rest @ ..]) if rest.len() < 2 => {
            let scale = i8::try_from(rest.first().copied().unwrap_or(0)).ok()?;
            DataType::Decimal128(u8::try_from(*p).ok()?, scale)
        }
        ("BYTEA", []) => DataType::Binary,
        ("INTERVAL", []) => DataType::Interval(IntervalUnit::MonthDayNano),
        // Any JSON value, as its text: `ColumnDef::is_json` tells it apart.
        ("JSON", []) => DataType::Utf8,
        ("TIME", [0]) => DataType::Time32(TimeUnit::Second),
        ("TIME", [1..=3]) => DataType::Time32(TimeUnit::Millisecond),
        ("TIME", [] | [4..=6]) => DataType::Time64(TimeUnit::Microsecond),
        ("TIME", [7..=9]) => DataType::Time64(TimeUnit::Nanosecond),
        ("TINYINT UNSIGNED", []) => DataType::UInt8,
        ("SMALLINT UNSIGNED", []) => DataType::UInt16,
        ("INT UNSIGNED", []) => DataType::UInt32,
        ("BIGINT UNSIGNED", []) => DataType::UInt64,
        ("DECIMAL", []) => DataType::Decimal128(38, 10),
        // Text of this length alone, and of a length within lists and structs, is not read.
        ("VARCHAR" | "CHAR", [_]) => DataType::Utf8View,
        _ => return None,
    })
}
