//! The source under a plan: which of its columns are read, and its event time once a window asks
//! for it.

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr as PlanExpr, TableScan};
use trefoil_ring0::expr::Expr;
use trefoil_ring0::program::{
    BadData, EventTime, GeneratorSpec, LateRule, OperatorSpec, Reading, SourceKind, SourceSpec,
    SystemColumn,
};
use trefoil_ring0::schema::{Field, Schema, unit_nanos};

use std::sync::Arc;

use trefoil_ring0::feed::Feed;
use trefoil_ring1::connector::{Stdin, Tail};
use trefoil_ring1::format::{ArrowIpc, Parquet};

use super::{DEAD_LETTERS, Lowering, Refusal};
use crate::catalog::{BadDataPolicy, SourceDef, SourceFormat};
use crate::files::expand;
use crate::lower_expr::{Scope, expression, unaliased};
use crate::window::START;

/// A tumbling window among the keys.
pub(super) struct Tumble {
    /// The time's column among those that are read, where it is one of the source.
    column: Option<usize>,
    size: i64,
    offset: i64,
    pub(super) size_ns: i64,
    unit_ns: i64,
}

/// Reads a key as a tumbling window.
pub(super) fn tumble(key: &PlanExpr, scope: &Scope<'_>) -> Result<Option<Tumble>, Refusal> {
    match unaliased(key) {
        PlanExpr::ScalarFunction(f) if f.name() == START => {}
        _ => return Ok(None),
    }
    let Expr::TumbleStart { time, size, offset } = expression(key, scope)? else {
        return Ok(None);
    };
    let DataType::Timestamp(unit, _) = time.data_type(&scope.schema) else {
        return Err((
            "E0302",
            "the time of a window is not a TIMESTAMP".to_owned(),
        ));
    };
    let column = match time.as_ref() {
        Expr::Column(column) if scope.of_source => Some(*column),
        _ => None,
    };
    let unit_ns = unit_nanos(unit);
    Ok(Some(Tumble {
        column,
        size,
        offset,
        size_ns: size * unit_ns,
        unit_ns,
    }))
}

impl Tumble {
    /// The rule by which rows with this window's start in column `start` are late.
    pub(super) fn late(&self, start: usize, bound: usize) -> OperatorSpec {
        OperatorSpec::DropLate(LateRule {
            time: start,
            unit_ns: self.unit_ns,
            bound,
            size: self.size,
            offset: self.offset,
        })
    }
}

/// What a declared source reads or makes, of it these columns.
fn kind(source: &SourceDef, columns: &[usize]) -> SourceKind {
    if let Some(generator) = &source.generator {
        let declared = columns.iter().filter_map(|c| generator.columns.get(*c));
        return SourceKind::Generator(GeneratorSpec {
            columns: declared.cloned().collect(),
            ..generator.clone()
        });
    }
    if let SourceFormat::Records(format) = &source.format
        && (source.follow || source.connector.as_deref() == Some("stdin"))
    {
        let feed: Arc<dyn Feed> = match source.follow {
            true => Arc::new(Tail {
                path: source.path.clone(),
            }),
            false => Arc::new(Stdin),
        };
        return SourceKind::Stream {
            feed,
            format: format.clone(),
        };
    }
    let paths = expand(&source.path);
    match &source.format {
        SourceFormat::Records(format) => SourceKind::Files {
            paths,
            format: format.clone(),
        },
        SourceFormat::Parquet => SourceKind::Columnar {
            paths,
            format: Arc::new(Parquet),
        },
        SourceFormat::Arrow => SourceKind::Columnar {
            paths,
            format: Arc::new(ArrowIpc),
        },
    }
}

impl Lowering<'_> {
    pub(super) fn scan(&mut self, scan: &TableScan, columns: Vec<usize>) -> Result<(), Refusal> {
        let name = scan.table_name.table();
        let source = self.query.tables.iter().find(|t| t.name == name);
        let (Some(source), true) = (source, self.program.sources.is_empty()) else {
            return Err(("E0301", format!("reading {name} is not supported yet")));
        };
        if let Some(why) = &source.later {
            return Err(("E0301", format!("reading {name}: {why}")));
        }
        let mut fields = Vec::new();
        let mut system_columns = Vec::new();
        for &c in &columns {
            let Some(column) = source.columns.get(c) else {
                let system = [
                    SystemColumn::Ingested,
                    SystemColumn::Split,
                    SystemColumn::Offset,
                ];
                system_columns.push(system[c - source.columns.len()]);
                let field = scan.projected_schema.field(c);
                fields.push(Field {
                    nullable: false,
                    ..Field::new(field.name(), field.data_type().clone())
                });
                continue;
            };
            if trefoil_ring0::schema::physical(&column.data_type).is_none() {
                let message = format!("type {} is not supported yet", column.declared);
                return Err(("E0302", message));
            }
            let mut field = Field::new(&column.name, column.data_type.clone());
            field.nullable = column.nullable;
            field.json = column.is_json();
            field.epoch = source.timestamp_unit;
            fields.push(field);
        }
        let kind = kind(source, &columns);
        self.columns = Some(columns);
        self.of_source = true;
        self.schema = Arc::new(Schema::new(fields));
        self.program.sources.push(SourceSpec {
            name: source.name.clone(),
            schema: Arc::clone(&self.schema),
            event_time: None,
            reading: match (&kind, self.analysis.in_order) {
                (SourceKind::Stream { .. }, _) | (_, true) => Reading::InOrder,
                (_, false) => Reading::Chunks,
            },
            kind,
            system: system_columns,
            bad_data: match source.bad_data {
                BadDataPolicy::Fail => BadData::Fail,
                BadDataPolicy::Skip => BadData::Skip,
                BadDataPolicy::DeadLetters(_) => BadData::DeadLetters(DEAD_LETTERS),
            },
        });
        Ok(())
    }

    /// Whether records carry event time this far.
    pub(super) fn timed(&self) -> bool {
        let source = self.program.sources.first();
        self.program.exchanges.is_empty() && source.is_some_and(|s| s.event_time.is_some())
    }

    /// Has the source read event time for this window. Gives the column with each row's watermark,
    /// where there are watermarks.
    pub(super) fn event_time(&mut self, window: &Tumble) -> Result<Option<usize>, Refusal> {
        if !self.program.exchanges.is_empty() {
            // Groups have no event time: their windows close at the end of input.
            return Ok(None);
        }
        let spec = &self.program.sources[0];
        let source = self.query.tables.iter().find(|t| t.name == spec.name);
        let (Some(source), Some(columns), true) = (source, &self.columns, self.of_source) else {
            let message = "a window over a computed time is not supported yet";
            return Err(("E0301", message.to_owned()));
        };
        let Some(column) = window.column else {
            let message = "a window over a computed time is not supported yet";
            return Err(("E0301", message.to_owned()));
        };
        if source.event_time.is_some_and(|e| e != columns[column]) {
            return Ok(None);
        }
        let lag_ns = source.event_time.and(source.lag_ns);
        let bound = lag_ns.map(|_| self.schema.fields.len());
        if bound.is_some() {
            let mut fields = self.schema.fields.clone();
            fields.push(Field {
                nullable: false,
                ..Field::new("_BOUND", DataType::Int64)
            });
            self.schema = Arc::new(Schema::new(fields));
        }
        let source = &mut self.program.sources[0];
        source.schema = Arc::clone(&self.schema);
        source.event_time = Some(EventTime {
            column,
            lag_ns,
            bound,
        });
        Ok(bound)
    }
}
