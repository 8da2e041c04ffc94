//! SHOW and DESCRIBE: questions that the catalogue answers at once.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions, StringArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::sql::sqlparser::ast::Ident;

use crate::Answer;
use crate::catalog::Catalog;
use crate::error::{SqlError, meant};
use crate::place::Place;
use crate::script::Session;
use crate::syntax::{Kind, Show, SourceKind};

type Columns = Vec<(String, DataType)>;
type Rows = Vec<Vec<Option<String>>>;

impl Answer {
    /// Columns of texts.
    pub fn texts(names: &[&str]) -> Vec<(String, DataType)> {
        let text = |name: &&str| ((*name).to_owned(), DataType::Utf8);
        names.iter().map(text).collect()
    }

    /// The rows, of the types of the columns.
    ///
    /// # Errors
    /// Where a text is no value of its column.
    pub fn batch(&self) -> Result<RecordBatch, ArrowError> {
        let fields = self.columns.iter();
        let fields = fields.map(|(name, data_type)| Field::new(name, data_type.clone(), true));
        let arrays = self.columns.iter().enumerate().map(|(at, (_, data_type))| {
            let texts = self.rows.iter().map(|row| row[at].as_deref());
            let texts = texts.collect::<StringArray>();
            let strict = CastOptions {
                safe: false,
                ..CastOptions::default()
            };
            cast_with_options(&texts, data_type, &strict)
        });
        let arrays = arrays.collect::<Result<_, _>>()?;
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let rows = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        RecordBatch::try_new_with_options(schema, arrays, &rows)
    }
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|t| Some(t.to_string())).collect()
}

/// What SHOW shows: columns and rows.
pub(crate) fn show(
    place: Place<'_>,
    show: &Show,
    session: &Session,
) -> Result<(Columns, Rows), SqlError> {
    let catalog = &session.catalog;
    let declared = |wanted: fn(SourceKind) -> bool| -> Rows {
        let sources = catalog.sources.values().filter(|s| wanted(s.kind));
        let row = |s: &crate::catalog::SourceDef| vec![Some(s.name.clone()), s.connector.clone()];
        sources.map(row).collect()
    };
    let (columns, rows) = match show {
        Show::Sources => {
            let rows = declared(|k| k == SourceKind::Source);
            (vec!["name", "connector"], rows)
        }
        Show::Tables => {
            let rows = declared(|k| k != SourceKind::Source);
            (vec!["name", "connector"], rows)
        }
        Show::Sinks => {
            let sinks = catalog.sinks.values();
            let rows = sinks.map(|s| some(&[&s.name, &s.connector])).collect();
            (vec!["name", "connector"], rows)
        }
        Show::Views => {
            let row = |v: &crate::catalog::ViewDef| {
                let text = v.query.to_string();
                some(&[&v.name, v.kind.word(), &text])
            };
            let rows = catalog.views.values().map(row).collect();
            (vec!["name", "kind", "query"], rows)
        }
        // A script's queries run one after the other: none runs while it asks.
        Show::Jobs => (vec!["name", "query"], Vec::new()),
        Show::All => (vec!["name", "value", "meaning"], session.settings.rows()),
        Show::Setting(name) => {
            let value = session.settings.get(place, name)?;
            (vec!["value"], vec![vec![Some(value)]])
        }
    };
    Ok((Answer::texts(&columns), rows))
}

/// The columns of what has a name.
pub(crate) fn describe(
    place: Place<'_>,
    name: &Ident,
    catalog: &Catalog,
) -> Result<(Columns, Rows), SqlError> {
    let mut columns = Answer::texts(&["name", "type", "nullable", "note"]);
    columns[2].1 = DataType::Boolean;
    let flag = |set: bool| match set {
        true => "true",
        false => "false",
    };
    if let Some(source) = catalog.sources.get(&name.value) {
        let rows = source.declared().into_iter().map(|c| {
            let mut notes = Vec::new();
            match source.index_of(&c.name) {
                Some(i) if source.primary_key.contains(&i) => notes.push("primary key"),
                Some(_) => {}
                None => notes.push("generated"),
            }
            if source
                .event_time
                .is_some_and(|i| source.columns[i].name == c.name)
            {
                notes.push("event time");
            }
            let note = (!notes.is_empty()).then(|| notes.join(", "));
            let mut row = some(&[&c.name, &c.declared, flag(c.nullable)]);
            row.push(note);
            row
        });
        return Ok((columns, rows.collect()));
    }
    if let Some(view) = catalog.views.get(&name.value) {
        let row = |c: &crate::catalog::ViewColumn| {
            let data_type = c.data_type.as_ref().map(type_name);
            let data_type = c.declared.clone().or(data_type);
            vec![Some(c.name.clone()), data_type, Some("true".into()), None]
        };
        return Ok((columns, view.columns.iter().map(row).collect()));
    }
    if let Some(sink) = catalog.sinks.get(&name.value) {
        let row = |c: &crate::catalog::ColumnDef| {
            let mut row = some(&[&c.name, &c.declared, flag(c.nullable)]);
            row.push(None);
            row
        };
        return Ok((columns, sink.columns.iter().map(row).collect()));
    }
    let at = name.span.start;
    if catalog.kind(&name.value) == Some(Kind::Index) {
        let message = format!(
            "\"{}\" is an index: it has no columns of its own",
            name.value
        );
        let hint = "DESCRIBE what it is of";
        return Err(place.hinted("E0211", at, message, hint));
    }
    let message = format!("relation \"{}\" does not exist", name.value);
    let mut error = place.error("E0202", at, message);
    error.hint = meant(&name.value, catalog.names());
    Err(error)
}

/// A type as this SQL writes it.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::UInt64 => "BIGINT UNSIGNED".into(),
        DataType::UInt32 => "INT UNSIGNED".into(),
        DataType::UInt16 => "SMALLINT UNSIGNED".into(),
        DataType::UInt8 => "TINYINT UNSIGNED".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Float32 => "REAL".into(),
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Timestamp(unit, None) => format!("TIMESTAMP({})", digits(*unit)),
        DataType::Time32(unit) | DataType::Time64(unit) => format!("TIME({})", digits(*unit)),
        DataType::Interval(_) => "INTERVAL".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTEA".into(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::List(item) => format!("{}[]", type_name(item.data_type())),
        DataType::Struct(fields) => {
            let fields = fields
                .iter()
                .map(|f| format!("{} {}", f.name(), type_name(f.data_type())));
            format!("STRUCT<{}>", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string().to_uppercase(),
    }
}

/// How many digits of a second a unit has.
fn digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ddl::named_type;

    #[test]
    fn types_are_named_as_they_are_declared() {
        for name in [
            "VARCHAR",
            "BIGINT",
            "INT",
            "SMALLINT",
            "TINYINT",
            "BIGINT UNSIGNED",
            "INT UNSIGNED",
            "SMALLINT UNSIGNED",
            "TINYINT UNSIGNED",
            "DOUBLE",
            "REAL",
            "BOOLEAN",
            "DATE",
            "BYTEA",
            "INTERVAL",
        ] {
            let data_type = named_type(name, &[]).expect(name);
            assert_eq!(type_name(&data_type), name);
        }
        for (name, digits) in ["TIME", "TIMESTAMP"]
            .into_iter()
            .flat_map(|name| [0, 3, 6, 9].map(|digits| (name, digits)))
        {
            let data_type = named_type(name, &[digits]).expect(name);
            assert_eq!(type_name(&data_type), format!("{name}({digits})"));
        }
    }
}
