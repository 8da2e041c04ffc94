//! `late = 'sink:NAME'`: the sink that a source's late rows go into, whole, as the source declares
//! them. It is looked for where a query reads the source, so that it may be declared behind it.

use trefoil_ring0::id::OutputId;
use trefoil_ring0::program::Program;
use trefoil_ring0::schema::sql_name;

use super::{Fed, Sink, SinkConnector, SinkFormat, connector, named_at};
use crate::ResultColumn;
use crate::catalog::{SinkDef, SourceDef};
use crate::error::SqlError;
use crate::script::Select;

/// Late rows of a source that a query reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateRows {
    /// The source's name.
    pub source: String,
    /// The program's output that they leave by.
    pub output: OutputId,
    /// Where they go.
    pub sink: Sink,
    /// How the output's columns are written.
    pub columns: Vec<ResultColumn>,
}

/// Where the late rows of each source go that tells of them.
pub(crate) fn late_rows(
    select: &Select<'_>,
    program: &Program,
    tables: &[SourceDef],
) -> Result<Vec<LateRows>, SqlError> {
    let mut all: Vec<LateRows> = Vec::new();
    for source in &program.sources {
        let Some(output) = source.late else { continue };
        let declared = tables.iter().find(|t| t.name == source.name);
        let Some((declared, name)) = declared.and_then(|t| Some((t, t.late_sink.as_ref()?))) else {
            unreachable!("a source that tells of late rows says where they go")
        };
        let sinks = &select.catalog.sinks;
        let sink = sinks.get(name).or_else(|| sinks.get(&name.to_lowercase()));
        let Some(sink) = sink else {
            let message = format!(
                "the late rows of \"{}\" go to 'sink:{name}', and there is no sink \"{name}\"",
                source.name
            );
            let hint = format!(
                "CREATE SINK {name} WITH (connector = 'file', path = '{name}.ndjson', \
                 format = 'json')"
            );
            let at = named_at(select, &source.name);
            return Err(select.place.hinted("E0202", at, message, hint));
        };
        all.push(LateRows {
            source: source.name.clone(),
            output,
            columns: columns(select, declared, sink)?,
            sink: takes(select, (declared, sink), &all)?,
        });
    }
    Ok(all)
}

/// Names and types of the rows that the sink takes.
pub(crate) fn fed(late: &LateRows, program: &Program) -> Fed {
    let fields = &program.outputs[late.output.index()].schema.fields;
    let columns = late.columns.iter().zip(fields);
    columns
        .map(|(column, field)| (column.name().to_owned(), field.data_type.clone()))
        .collect()
}

/// The sink, if it runs and takes rows that only come beside those of queries.
fn takes(
    select: &Select<'_>,
    (source, sink): (&SourceDef, &SinkDef),
    before: &[LateRows],
) -> Result<Sink, SqlError> {
    let no = |why: &str, hint: &str| {
        let message = format!(
            "the late rows of \"{}\" into \"{}\": {why}",
            source.name, sink.name
        );
        let at = named_at(select, &source.name);
        Err(select.place.hinted("E0301", at, message, hint))
    };
    let runs = "a sink that runs: connector = 'file', 'stdout' or 'blackhole', format = 'json', \
                'csv', 'arrow' or 'parquet'";
    let connector = match connector(sink) {
        Ok(connector) => connector,
        Err(why) => return no(&why, runs),
    };
    if sink.mode.as_deref().is_some_and(|mode| mode != "append") {
        return no("they only come", "leave mode out, or mode = 'append'");
    }
    match connector {
        SinkConnector::Print => return no("connector 'print' takes the rows of queries", runs),
        SinkConnector::File { format, .. } | SinkConnector::Stdout { format }
            if format == SinkFormat::Debezium =>
        {
            return no("format 'debezium_json' tells of changes", runs);
        }
        SinkConnector::File { .. } | SinkConnector::Stdout { .. } | SinkConnector::Blackhole => {}
    }
    let own = select.target.as_ref().is_some_and(|t| t.name == sink.name);
    let alone = "give them a sink of their own";
    if own {
        return no("the query's own rows go there", alone);
    }
    if before.iter().any(|late| late.sink.name == sink.name) {
        return no("those of another source of the query go there", alone);
    }
    Ok(Sink {
        name: sink.name.clone(),
        connector,
    })
}

/// The source's columns as the sink names them, if it does.
fn columns(
    select: &Select<'_>,
    source: &SourceDef,
    sink: &SinkDef,
) -> Result<Vec<ResultColumn>, SqlError> {
    let fits = || {
        let mut pairs = sink.columns.iter().zip(&source.columns);
        sink.columns.len() == source.columns.len()
            && pairs.all(|(to, from)| {
                let alike = to.data_type.equals_datatype(&from.data_type);
                alike && to.is_json() == from.is_json() && to.length_max().is_none() && to.nullable
            })
    };
    if !sink.columns.is_empty() && !fits() {
        let list = source.columns.iter().map(|c| {
            let (name, declared) = (&c.name, sql_name(&c.data_type));
            match c.is_json() {
                true => format!("{name} {}", c.declared),
                false => format!("{name} {declared}"),
            }
        });
        let list = list.collect::<Vec<_>>().join(", ");
        let message = format!(
            "the late rows of \"{}\" are ({list}), and \"{}\" is declared with other columns",
            source.name, sink.name
        );
        let at = named_at(select, &source.name);
        let hint = "these columns, of these types and without NOT NULL, or none";
        return Err(select.place.hinted("E0206", at, message, hint));
    }
    let names = match sink.columns.is_empty() {
        true => &source.columns,
        false => &sink.columns,
    };
    let columns = names.iter().enumerate().map(|(index, column)| {
        let name = column.name.clone();
        ResultColumn::Plain { name, index }
    });
    Ok(columns.collect())
}
