//! Sinks that run: where the rows of a query go that are not printed, and whether the query's
//! columns are the sink's. What is declared and has no runtime yet is refused when it is fed.

mod late;

use std::path::PathBuf;

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::sql::sqlparser::ast::{SelectItem, SetExpr, Spanned};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use trefoil_ring0::schema::{Schema, sql_name};

use crate::catalog::SinkDef;
use crate::error::SqlError;
use crate::script::{Select, Target};
use crate::{PlannedQuery, ResultColumn};

pub use self::late::LateRows;
pub(crate) use self::late::{fed, late_rows};

/// A sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sink {
    /// Its name.
    pub name: String,
    /// Where its rows go.
    pub connector: SinkConnector,
}

/// Where the rows of a sink go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkConnector {
    /// Into a file, which takes its name when it is whole.
    File {
        /// The file.
        path: PathBuf,
        /// How they are written.
        format: SinkFormat,
    },
    /// To standard output.
    Stdout {
        /// How they are written.
        format: SinkFormat,
    },
    /// To where the rows of bare queries go, as these are printed.
    Print,
    /// Nowhere: they are counted.
    Blackhole,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkFormat {
    /// An object a line.
    Json,
    /// RFC 4180 with a header.
    Csv,
    /// A stream of Arrow IPC.
    Arrow,
    /// Parquet.
    Parquet,
    /// An object a line, with what stood before a change and behind it, as Debezium has it.
    Debezium,
}

/// Names and types of what a sink was fed with.
pub(crate) type Fed = Vec<(String, DataType)>;

/// Leads the rows of a planned query into the sink that it names.
pub(crate) fn into(select: &Select<'_>, query: &mut PlannedQuery) -> Result<Fed, SqlError> {
    let Some(target) = &select.target else {
        unreachable!("the query names one")
    };
    let schema = &query.program.outputs[0].schema;
    // A sink is declared with the columns of the rows, without what these do.
    let op = query.changes.then(|| query.columns.remove(0));
    let (sink, mut fed) = feed(select, target, schema, &mut query.columns)?;
    if let Some(op) = op {
        let data_type = schema.fields[0].data_type.clone();
        fed.insert(0, (op.name().to_owned(), data_type));
        query.columns.insert(0, op);
    }
    query.sink = Some(sink);
    Ok(fed)
}

/// The sink that a query's rows go into, its columns named as the sink says, and their types.
fn feed(
    select: &Select<'_>,
    target: &Target,
    schema: &Schema,
    columns: &mut Vec<ResultColumn>,
) -> Result<(Sink, Fed), SqlError> {
    let at = named_at(select, &target.name);
    let place = select.place;
    let Some(def) = select.catalog.sinks.get(&target.name) else {
        return Err(place.unsupported(at, format!("writing into \"{}\"", target.name)));
    };
    let connector = connector(def).map_err(|why| {
        let hint = "a sink that runs: connector = 'file', 'stdout', 'print' or 'blackhole', \
                    format = 'json', 'csv', 'arrow', 'parquet' or 'debezium_json'";
        let message = format!("writing into \"{}\": {why}", def.name);
        place.hinted("E0301", at, message, hint)
    })?;
    if !def.columns.is_empty() {
        rename(select, def, target, columns)?;
    }
    let types = columns.iter().map(|c| data_type(c, schema));
    let is_parquet = def.format.as_deref() == Some("parquet");
    let strange = |c: &ResultColumn| is_parquet && has_interval(&data_type(c, schema));
    if let Some(number) = columns.iter().position(strange) {
        let name = columns[number].name();
        let message =
            format!("column \"{name}\" is INTERVAL, which Parquet files do not hold here");
        let at = item_at(select, number).unwrap_or(at);
        return Err(place.hinted("E0302", at, message, "CAST(.. AS VARCHAR)"));
    }
    let names = columns.iter().map(|c| c.name().to_owned());
    let fed: Fed = names.zip(types).collect();
    for (number, (column, (name, given))) in def.columns.iter().zip(&fed).enumerate() {
        let json = matches!(columns.iter().find(|c| c.name() == name),
            Some(ResultColumn::Plain { index, .. }) if schema.fields[*index].json);
        if !column.data_type.equals_datatype(given) || column.is_json() != json {
            let wanted = &column.declared;
            let given = match json {
                true => sql_name(given).replace("VARCHAR", "JSON"),
                false => sql_name(given),
            };
            let message = format!("column \"{name}\" is {wanted}, the query gives {given}");
            let hint = format!("CAST(.. AS {wanted})");
            let given = target.columns.iter().position(|c| *c == column.name);
            let at = item_at(select, given.unwrap_or(number)).unwrap_or(at);
            return Err(place.hinted("E0206", at, message, hint));
        }
        if column.length_max().is_some() {
            let message = format!("the length of \"{name}\" is not kept in a sink");
            let hint = "VARCHAR; LEFT(x, 3) is its first characters";
            return Err(place.hinted("E0301", at, message, hint));
        }
        if !column.nullable {
            let message = format!("NOT NULL of \"{name}\" is not runnable yet in a sink");
            return Err(place.hinted("E0301", at, message, "leave NOT NULL out"));
        }
    }
    let name = def.name.clone();
    Ok((Sink { name, connector }, fed))
}

/// Whether intervals are among the values of a type.
fn has_interval(of: &DataType) -> bool {
    match of {
        DataType::Interval(_) => true,
        DataType::List(item) => has_interval(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|f| has_interval(f.data_type())),
        _ => false,
    }
}

/// Where a name stands first in the statement.
pub(crate) fn named_at(select: &Select<'_>, name: &str) -> Location {
    let tokens = &select.chunk.tokens;
    let is = |t: &&TokenWithSpan| matches!(&t.token, Token::Word(w) if w.value == name);
    let found = tokens.iter().find(is).map(|t| t.span.start);
    found.unwrap_or_else(|| select.chunk.start())
}

/// Where a query's item stands, where each item is one result.
fn item_at(select: &Select<'_>, number: usize) -> Option<Location> {
    let SetExpr::Select(plain) = select.query.body.as_ref() else {
        return None;
    };
    let item = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. } => {
            Some(e.span().start).filter(|at| at.line > 0)
        }
        _ => None,
    };
    let items: Option<Vec<_>> = plain.projection.iter().map(item).collect();
    items?.get(number).copied()
}

/// Two queries feed one sink with the same columns.
pub(crate) fn check_alike(select: &Select<'_>, before: &Fed, now: &Fed) -> Result<(), SqlError> {
    let same = |(a, b): (&(String, DataType), &(String, DataType))| {
        a.0 == b.0 && a.1.equals_datatype(&b.1)
    };
    if before.len() == now.len() && before.iter().zip(now).all(same) {
        return Ok(());
    }
    let list = |fed: &Fed| {
        let columns = fed
            .iter()
            .map(|(name, t)| format!("{name} {}", sql_name(t)));
        columns.collect::<Vec<_>>().join(", ")
    };
    let message = format!(
        "the query gives ({}), the one before gave ({})",
        list(now),
        list(before)
    );
    let hint = "queries that feed one sink have the same columns: declare those of the sink";
    let target = select.target.as_ref();
    let at = target.map_or_else(|| select.chunk.start(), |t| named_at(select, &t.name));
    Err(select.place.hinted("E0206", at, message, hint))
}

fn connector(def: &SinkDef) -> Result<SinkConnector, String> {
    let format = || match def.format.as_deref() {
        None | Some("json") => Ok(SinkFormat::Json),
        Some("csv") => Ok(SinkFormat::Csv),
        Some("arrow") => Ok(SinkFormat::Arrow),
        Some("parquet") => Ok(SinkFormat::Parquet),
        Some("debezium_json") if def.mode.as_deref() == Some("upsert") => {
            Err("format 'debezium_json' tells what stood before, mode 'upsert' does not".to_owned())
        }
        Some("debezium_json") => Ok(SinkFormat::Debezium),
        Some(other) => Err(format!("format '{other}' cannot run yet")),
    };
    match (def.connector.as_str(), &def.format) {
        ("file", _) => Ok(SinkConnector::File {
            path: def.path.clone(),
            format: format()?,
        }),
        ("stdout", _) => Ok(SinkConnector::Stdout { format: format()? }),
        ("print", None) => Ok(SinkConnector::Print),
        ("blackhole", None) => Ok(SinkConnector::Blackhole),
        ("print" | "blackhole", Some(_)) => {
            Err(format!("connector '{}' takes no format", def.connector))
        }
        (other, _) => Err(format!("connector '{other}' cannot run yet")),
    }
}

/// Names and orders a query's columns as the sink's; their number was checked.
fn rename(
    select: &Select<'_>,
    def: &SinkDef,
    target: &Target,
    columns: &mut Vec<ResultColumn>,
) -> Result<(), SqlError> {
    let given = std::mem::take(columns);
    for (number, column) in def.columns.iter().enumerate() {
        let from = match target.columns.is_empty() {
            true => Some(number),
            false => target.columns.iter().position(|name| *name == column.name),
        };
        let Some(from) = from else {
            let message = format!(
                "an INSERT that leaves out \"{}\" of a sink is not runnable yet",
                column.name
            );
            let hint = format!("give it a value: CAST(NULL AS {})", column.declared);
            let at = named_at(select, &def.name);
            return Err(select.place.hinted("E0301", at, message, hint));
        };
        let mut result = given[from].clone();
        let (ResultColumn::Plain { name, .. } | ResultColumn::Window { name, .. }) = &mut result;
        name.clone_from(&column.name);
        columns.push(result);
    }
    Ok(())
}

/// The type of a result.
fn data_type(column: &ResultColumn, schema: &Schema) -> DataType {
    let of = |index: usize| schema.fields[index].data_type.clone();
    match column {
        ResultColumn::Plain { index, .. } => of(*index),
        ResultColumn::Window { start, end, .. } => {
            let bounds = [("start", *start), ("end", *end)];
            let fields = bounds.map(|(name, index)| Field::new(name, of(index), true));
            DataType::Struct(Fields::from(fields.to_vec()))
        }
    }
}
