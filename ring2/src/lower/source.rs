//! The source under a plan: which of its columns are read, and its event time once a window asks
//! for it.

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::TableScan;
use trefoil_ring0::expr::Expr;
use trefoil_ring0::program::{
    BadData, EventTime, GeneratorSpec, OperatorSpec, Reading, SourceKind, SourceSpec, SystemColumn,
};
use trefoil_ring0::schema::{Field, Schema};

use std::sync::Arc;

use trefoil_ring0::feed::Feed;
use trefoil_ring1::connector::{Stdin, Tail};
use trefoil_ring1::format::{ArrowIpc, Parquet};

use super::{DEAD_LETTERS, Lowering, Refusal, order};
use crate::catalog::{BadDataPolicy, SourceDef, SourceFormat};
use crate::files::expand;

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
        let mut columns = columns;
        if let Some(time) = source.event_time
            && order::is_ordered(&self.query.plan)
            && !columns.contains(&time)
        {
            // Rows that are alike stand by it.
            columns.insert(columns.partition_point(|c| *c < time), time);
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
        self.origins = (0..fields.len()).map(Some).collect();
        self.read.clone_from(&columns);
        self.columns = Some(columns);
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
            splits: source.splits,
            max_ahead_ns: source.max_ahead_ns,
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
    pub(super) fn event_time(&mut self, column: Option<usize>) -> Result<Option<usize>, Refusal> {
        if !self.program.exchanges.is_empty() {
            // Groups have no event time: their windows close at the end of input.
            return Ok(None);
        }
        let spec = &self.program.sources[0];
        let source = self.query.tables.iter().find(|t| t.name == spec.name);
        let (Some(source), Some(column)) = (source, column) else {
            let message = "a window over a computed time is not supported yet";
            return Err(("E0301", message.to_owned()));
        };
        if let Some(time) = source.event_time
            && time != self.read[column]
        {
            if !source.bounded && !self.changes && source.lag_ns.is_some() {
                let (name, time) = (&spec.schema.fields[column].name, &source.columns[time].name);
                let of = &source.name;
                let message = format!(
                    "no window over \"{name}\" ever closes: the watermark of \"{of}\" is of \
                     \"{time}\""
                );
                return Err(("E0402", message));
            }
            return Ok(None);
        }
        let lag_ns = source.event_time.and(source.lag_ns);
        let spec = &mut self.program.sources[0];
        let bound = lag_ns.map(|_| spec.schema.fields.len());
        spec.event_time = Some(EventTime {
            column,
            lag_ns,
            bound,
        });
        Ok(bound.map(|bound| self.carry(bound)))
    }

    /// The column with event time, which the operators so far carry on; `None` where the source has
    /// none.
    pub(super) fn time_column(&mut self) -> Option<usize> {
        let spec = self.program.sources.first()?;
        let source = self.query.tables.iter().find(|t| t.name == spec.name)?;
        let time = source.event_time?;
        let at = self.read.iter().position(|c| *c == time)?;
        let field = spec.schema.fields[at].clone();
        Some(self.carried(at, &field, false))
    }

    /// Has the source give each row's watermark as column `bound`, and the operators so far carry
    /// it on, before the column that UNNEST adds. Gives the column that it is then.
    fn carry(&mut self, bound: usize) -> usize {
        let field = Field {
            nullable: false,
            ..Field::new("_BOUND", DataType::Int64)
        };
        let source = &mut self.program.sources[0];
        source.schema = with(&source.schema, bound, &field);
        self.schema = Arc::clone(&source.schema);
        self.carried(bound, &field, true)
    }

    /// Has the operators so far carry a column of the source on, which is `at` there; `added`: it
    /// is new, and moved those behind it. Gives the column that it is in the end.
    fn carried(&mut self, mut at: usize, field: &Field, mut added: bool) -> usize {
        let mut apart = false;
        for operator in &mut self.operators {
            match operator {
                OperatorSpec::Project { exprs, schema } => {
                    if added {
                        exprs.iter_mut().for_each(|e| e.shift_columns(at));
                    }
                    let same = |e: &Expr| *e == Expr::Column(at);
                    let there = exprs.iter().position(same).filter(|_| !added);
                    let end = exprs.len() - usize::from(apart);
                    if there.is_none() {
                        exprs.insert(end, Expr::Column(at));
                        *schema = with(schema, end, field);
                        added = true;
                    }
                    at = there.unwrap_or(end);
                    self.schema = Arc::clone(schema);
                }
                OperatorSpec::Unnest { schema, .. } => {
                    if added {
                        *schema = with(schema, at, field);
                    }
                    apart = true;
                    self.schema = Arc::clone(schema);
                }
                OperatorSpec::Windows(spec) => {
                    let spec = Arc::make_mut(spec);
                    if added {
                        spec.schema = with(&spec.schema, at, field);
                    }
                    apart = true;
                    self.schema = Arc::clone(&spec.schema);
                }
                OperatorSpec::Filter(expr) if added => expr.shift_columns(at),
                // These have their input's columns, and say nothing of those that may move.
                OperatorSpec::Filter(_)
                | OperatorSpec::FilterChanges(_)
                | OperatorSpec::DropLate(_)
                | OperatorSpec::Applied
                | OperatorSpec::Sort(_)
                | OperatorSpec::Over(_)
                | OperatorSpec::Sessions(_)
                | OperatorSpec::Panes(_)
                | OperatorSpec::MarkFirst { .. }
                | OperatorSpec::Aggregate(_) => {}
            }
        }
        self.origins.resize(self.schema.fields.len(), None);
        at
    }
}

/// A schema with one more column, before the one that was `at`.
fn with(schema: &Schema, at: usize, field: &Field) -> Arc<Schema> {
    let mut schema = schema.clone();
    schema.fields.insert(at, field.clone());
    Arc::new(schema)
}
