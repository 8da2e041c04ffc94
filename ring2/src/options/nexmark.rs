//! The tables of the NEXMark benchmark: which columns they have, and how many rows. `rows` and
//! `rate` are of the events of all three, so that three sources with the same options are one run
//! of the benchmark, and end together.

use std::borrow::Cow;

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::Ident;
use trefoil_ring0::program::{EVENTS_PER_S, GeneratorSpec, Made, NexmarkSpec, NexmarkTable};

use super::generator::whole;
use super::{get, word};
use crate::catalog::SourceDef;
use crate::error::{SqlError, meant};
use crate::place::Place;
use crate::syntax::{ColumnSpec, CreateSource, SourceKind, TypeName, Watermark};

/// The connector.
pub(crate) const NAME: &str = "nexmark";
/// Its options.
pub(super) const OPTIONS: [&str; 4] = ["rows", "rate", "seed", "table"];
/// The event time of each table.
const TIME: &str = "date_time";
/// Seconds from the first event to the last one at most: until the year 9999.
const SECONDS_MAX: u64 = 251_000_000_000;

/// Whether a definition is of such a table.
pub(crate) fn is_nexmark(create: &CreateSource) -> bool {
    get(&create.options, "connector").is_some_and(|option| option.value == NAME)
}

/// The table that the options name.
fn table(place: Place<'_>, create: &CreateSource) -> Result<NexmarkTable, SqlError> {
    let Some(option) = get(&create.options, "table") else {
        let message = "option \"table\" is missing";
        let hint = "table = 'person', 'auction' or 'bid'";
        return Err(place.hinted("E0104", create.options_at.0, message, hint));
    };
    let named = word(place, option, &NexmarkTable::ALL.map(NexmarkTable::name))?;
    let found = NexmarkTable::ALL.into_iter().find(|t| t.name() == named);
    Ok(found.expect("the word is one of these"))
}

/// A definition with the table's columns, where it states none that are read; and then with their
/// watermark, unless it says something of event time. Events come in the order of their times.
pub(crate) fn with_columns<'c>(
    place: Place<'_>,
    create: Cow<'c, CreateSource>,
) -> Result<Cow<'c, CreateSource>, SqlError> {
    if !is_nexmark(&create) || create.columns.iter().any(|c| c.generated.is_none()) {
        return Ok(create);
    }
    let table = table(place, &create)?;
    let at = create.options_at;
    let mut create = create.into_owned();
    let own = table.columns().iter().map(|(name, column)| ColumnSpec {
        name: Ident::new(*name),
        data_type: type_name(&column.data_type()),
        type_at: at,
        not_null: true,
        generated: None,
        generated_at: at,
    });
    create.columns = own.chain(create.columns).collect();
    let told = ["event_time_field", "watermark_field"];
    let is_told = told.iter().any(|name| get(&create.options, name).is_some());
    if create.kind == SourceKind::Source && create.watermarks.is_empty() && !is_told {
        create.watermarks.push(Watermark {
            column: Ident::new(TIME),
            expr: None,
            at,
        });
    }
    Ok(Cow::Owned(create))
}

/// The type of a column as it is declared.
fn type_name(data_type: &DataType) -> TypeName {
    let (name, numbers) = match data_type {
        DataType::Int64 => ("BIGINT", vec![]),
        DataType::Utf8 => ("VARCHAR", vec![]),
        DataType::Timestamp(..) => ("TIMESTAMP", vec![3]),
        other => unreachable!("no column of the benchmark is {other}"),
    };
    TypeName::Named(name.to_owned(), numbers)
}

/// How the records of a source are made. Columns that are stated are columns of the table.
pub(super) fn nexmark(
    place: Place<'_>,
    def: &SourceDef,
    create: &CreateSource,
) -> Result<GeneratorSpec, SqlError> {
    let table = table(place, create)?;
    let number = |name: &str, least: u64| {
        let option = get(&create.options, name);
        option.map(|option| whole(place, option, least)).transpose()
    };
    let rate = number("rate", 1)?;
    let events_per_s = rate.unwrap_or(EVENTS_PER_S);
    let events = number("rows", 0)?;
    if let Some(option) = get(&create.options, "rows")
        && events.is_some_and(|events| events / events_per_s >= SECONDS_MAX)
    {
        let message = format!(
            "{} events at {events_per_s} a second are too many",
            option.value
        );
        let hint = "their times end with the year 9999";
        return Err(place.hinted("E0104", option.value_at.0, message, hint));
    }
    let mut columns = Vec::new();
    let read = create.columns.iter().filter(|c| c.generated.is_none());
    for (column, spec) in def.columns.iter().zip(read) {
        let known = table.columns();
        let Some((_, known)) = known.iter().find(|(name, _)| *name == column.name) else {
            let (name, of) = (&column.name, table.name());
            let message = format!("column \"{name}\" does not exist in table '{of}' of nexmark");
            let mut error = place.error("E0201", spec.name.span.start, message);
            error.hint = meant(&column.name, known.iter().map(|(name, _)| *name));
            return Err(error);
        };
        let type_name = type_name(&known.data_type()).to_string();
        if column.declared != type_name {
            let (name, declared) = (&column.name, &column.declared);
            let message = format!("\"{name}\" of nexmark is a {type_name}, not a {declared}");
            let hint = "leave all columns out, and they are there as they are";
            return Err(place.hinted("E0105", spec.type_at.0, message, hint));
        }
        columns.push(*known);
    }
    Ok(GeneratorSpec {
        rows: events.map(|events| table.rows_of(events)),
        rate,
        seed: number("seed", 0)?.unwrap_or_default(),
        made: Made::Nexmark(NexmarkSpec {
            table,
            events_per_s,
            columns,
        }),
    })
}
