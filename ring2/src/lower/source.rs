//! The source under a plan: which of its columns are read, and its event time once a window asks
//! for it.

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::TableScan;
use trefoil_ring0::expr::Expr;
use trefoil_ring0::id::SourceId;
use trefoil_ring0::operator::latest::LatestSpec;
use trefoil_ring0::program::{
    BadData, EventTime, LastColumn, OperatorSpec, Reading, SourceKind, SourceSpec, StageInput,
    SystemColumn,
};
use trefoil_ring0::schema::{Field, Schema};

use std::sync::Arc;

use trefoil_ring0::align::SplitPolicy;
use trefoil_ring0::feed::Feed;
use trefoil_ring1::connector::{Stdin, Tail};
use trefoil_ring1::format::{ArrowIpc, Parquet};
use trefoil_ring1::watermark::Patience;

use super::branch::Branch;
use super::{DEAD_LETTERS, Lowering, Refusal, captured, order};
use crate::catalog::{BadDataPolicy, SourceDef, SourceFormat};
use crate::files::expand;
use crate::options::CHANNEL;

/// What a source knows besides its columns, in the plan's order.
const SYSTEM: [SystemColumn; 3] = [
    SystemColumn::Ingested,
    SystemColumn::Split,
    SystemColumn::Offset,
];

/// What a declared source reads or makes, of it these columns.
fn kind(source: &SourceDef, columns: &[usize]) -> SourceKind {
    if let Some(generator) = &source.generator {
        return SourceKind::Generator(generator.reading(columns));
    }
    if let (Some(sockets), SourceFormat::Records(format)) = (&source.sockets, &source.format) {
        return SourceKind::Connections {
            listen: Arc::new(sockets.clone()),
            format: format.clone(),
        };
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
    if source.connector.as_deref() == Some(CHANNEL) {
        return SourceKind::Channel;
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

/// Why no window over a column closes: the watermark is of another one.
fn never_closes(spec: &SourceSpec, column: usize, source: &SourceDef, time: usize) -> Refusal {
    let (name, time) = (&spec.schema.fields[column].name, &source.columns[time].name);
    let message = format!(
        "no window over \"{name}\" ever closes: the watermark of \"{}\" is of \"{time}\"",
        source.name
    );
    ("E0402", message)
}

/// These columns of a source, and those among them that it knows besides its own.
fn fields(
    source: &SourceDef,
    scan: &TableScan,
    columns: &[usize],
) -> Result<(Vec<Field>, Vec<SystemColumn>), Refusal> {
    let mut fields = Vec::new();
    let mut system = Vec::new();
    for &c in columns {
        let Some(column) = source.columns.get(c) else {
            system.push(SYSTEM[c - source.columns.len()]);
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
        fields.push(column.field(source.timestamp_unit));
    }
    Ok((fields, system))
}

/// The columns that a query names of a source, and those that it needs besides.
fn with_needed(source: &SourceDef, columns: Vec<usize>, time: Option<usize>) -> Vec<usize> {
    let mut columns = columns;
    // Late rows go on whole.
    let own = match source.late_sink.is_some() {
        true => 0..source.columns.len(),
        false => 0..0,
    };
    let keys = source.primary_key.iter().copied();
    for more in keys.chain(time).chain(own) {
        if !columns.contains(&more) {
            columns.insert(columns.partition_point(|c| *c < more), more);
        }
    }
    columns
}

impl Lowering<'_> {
    pub(super) fn scan(&mut self, scan: &TableScan, columns: Vec<usize>) -> Result<(), Refusal> {
        let name = scan.table_name.table();
        let source = self.query.tables.iter().find(|t| t.name == name);
        let Some(source) = source else {
            return Err(("E0301", format!("reading {name} is not supported yet")));
        };
        if let Some(why) = &source.later {
            return Err(("E0301", format!("reading {name}: {why}")));
        }
        // Rows that are alike stand by event time, and replace each other by a key.
        let is_ordered = order::is_ordered(&self.query.plan);
        let time = (source.event_time).filter(|_| is_ordered || self.is_compared(source));
        let columns = with_needed(source, columns, time);
        let keyed = !source.primary_key.is_empty();
        let is_judged = source.patience != Patience::default();
        let told = source.late_sink.is_some() || is_judged;
        let at = |key: &usize| columns.iter().position(|c| c == key);
        let keys: Vec<usize> = source.primary_key.iter().filter_map(at).collect();
        self.times.push(time.as_ref().and_then(at));
        let (fields, system) = fields(source, scan, &columns)?;
        let mut kind = kind(source, &columns);
        let changes = source.has_changes();
        if changes {
            let (schema, read) = captured::read(source, &keys, fields, !system.is_empty())?;
            self.schema = schema;
            kind = captured::reads(kind, read);
        } else {
            self.schema = Arc::new(Schema::new(fields));
        }
        self.once(source, &kind)?;
        let number = u32::try_from(self.program.sources.len()).expect("few sources");
        self.program.sources.push(SourceSpec {
            name: source.name.clone(),
            schema: Arc::clone(&self.schema),
            event_time: None,
            is_only_compared: false,
            reading: match (&kind, self.analysis.in_order || keyed || changes || told) {
                (
                    SourceKind::Stream { .. }
                    | SourceKind::Connections { .. }
                    | SourceKind::Channel,
                    _,
                )
                | (_, true) => Reading::InOrder,
                (_, false) => Reading::Chunks,
            },
            kind,
            system,
            splits: source.splits,
            max_ahead_ns: source.max_ahead_ns,
            policy: is_judged.then(|| Arc::new(source.patience) as Arc<dyn SplitPolicy>),
            processing: None,
            late: None,
            bad_data: match source.bad_data {
                BadDataPolicy::Fail => BadData::Fail,
                BadDataPolicy::Skip => BadData::Skip,
                BadDataPolicy::DeadLetters(_) => BadData::DeadLetters(DEAD_LETTERS),
            },
        });
        let spec = &self.program.sources[number as usize];
        self.branches = vec![Branch {
            input: StageInput::Source(SourceId(number)),
            others: Vec::new(),
            operators: Vec::new(),
            origins: match changes {
                true => vec![None; self.schema.fields.len()],
                false => (0..columns.len()).map(Some).collect(),
            },
            read: columns.clone(),
            single: spec.reading == Reading::InOrder,
        }];
        self.windows.clear();
        match (changes, keyed) {
            (true, _) => self.captured(keys),
            (false, true) => self.latest(keys),
            (false, false) => {}
        }
        self.columns = Some(columns);
        Ok(())
    }

    /// Of one key the last row of the file stands: one shard reads it in its order.
    fn latest(&mut self, keys: Vec<usize>) {
        let spec = LatestSpec {
            schema: Arc::clone(&self.schema),
            keys,
        };
        self.push(OperatorSpec::Latest(Arc::new(spec)));
        self.grouped = true;
    }

    /// Refuses to read twice what can be read once, and to write two files of bad records.
    fn once(&self, source: &SourceDef, kind: &SourceKind) -> Result<(), Refusal> {
        let no = |what: String| Err(("E0301", format!("{what} is not supported yet")));
        let before = &self.program.sources;
        let name = &source.name;
        let comes = matches!(
            kind,
            SourceKind::Stream { .. } | SourceKind::Connections { .. }
        );
        if comes && before.iter().any(|s| s.name == *name) {
            return no(format!("reading the stream {name} twice in one query"));
        }
        if source.late_sink.is_some() && before.iter().any(|s| s.name == *name) {
            let why = "whose late rows go to a sink";
            return no(format!("reading {name}, {why}, twice in one query"));
        }
        let tells = |s: &SourceSpec| matches!(s.bad_data, BadData::DeadLetters(_));
        if matches!(source.bad_data, BadDataPolicy::DeadLetters(_)) && before.iter().any(tells) {
            return no(format!("a second input with bad_data = 'dlq', {name},"));
        }
        Ok(())
    }

    pub(super) fn declared(&self, source: usize) -> Option<&SourceDef> {
        let name = &self.program.sources[source].name;
        self.query.tables.iter().find(|t| t.name == *name)
    }

    /// Whether records carry event time, or processing time, this far.
    pub(super) fn timed(&self) -> bool {
        let timed = |branch: &Branch| {
            let source = branch.source();
            let source = source.map(|s| &self.program.sources[s]);
            source.is_some_and(|s| s.event_time.is_some() || s.processing.is_some())
        };
        self.branches.iter().all(timed)
    }

    /// Has the sources read event time for this window. Gives the column with each row's watermark,
    /// where there are watermarks.
    pub(super) fn event_time(&mut self, column: Option<usize>) -> Result<Option<usize>, Refusal> {
        let sources = self.branches.iter().map(Branch::source);
        let Some(sources) = sources.collect::<Option<Vec<usize>>>() else {
            // Groups have no event time: their windows close at the end of input.
            if !self.changes && self.query.tables.iter().any(|t| !t.bounded) {
                let message = "a window over rows that were grouped or joined, of an input \
                               without end, is not supported yet";
                return Err(("E0301", message.to_owned()));
            }
            return Ok(None);
        };
        if sources
            .iter()
            .any(|&s| self.program.sources[s].processing.is_some())
        {
            let message = "event time beside a window on processing time is not supported yet";
            return Err(("E0301", message.to_owned()));
        }
        let mut timed = Vec::new();
        for (branch, &source) in self.branches.iter().zip(&sources) {
            let origin = column.and_then(|c| branch.origins.get(c).copied().flatten());
            let (Some(declared), Some(origin)) = (self.declared(source), origin) else {
                let message = "a window over a computed time is not supported yet";
                return Err(("E0301", message.to_owned()));
            };
            if let Some(time) = declared.event_time
                && time != branch.read[origin]
            {
                if !declared.bounded && !self.changes && declared.lag_ns.is_some() {
                    let spec = &self.program.sources[source];
                    return Err(never_closes(spec, origin, declared, time));
                }
                return Ok(None);
            }
            let lag_ns = declared.event_time.and(declared.lag_ns);
            timed.push((source, origin, lag_ns));
        }
        let lags = timed.iter().filter(|(_, _, lag_ns)| lag_ns.is_some());
        if !matches!(lags.count(), n if n == 0 || n == timed.len()) {
            let message = "UNION of inputs of which only some have a watermark is not supported \
                           yet below a window";
            return Err(("E0301", message.to_owned()));
        }
        for &(source, column, lag_ns) in &timed {
            let spec = &mut self.program.sources[source];
            let known = spec.event_time.and_then(|time| time.bound);
            let bound = known.or(lag_ns.map(|_| spec.schema.fields.len()));
            spec.event_time = Some(EventTime {
                column,
                lag_ns,
                bound,
            });
        }
        match timed[0].2 {
            Some(_) => self.carry(&sources).map(Some),
            None => Ok(None),
        }
    }

    /// The column with event time, which the operators so far carry on; `None` where the source has
    /// none.
    pub(super) fn time_column(&mut self) -> Option<usize> {
        let [branch] = self.branches.as_slice() else {
            return None;
        };
        let source = branch.source()?;
        let time = self.declared(source)?.event_time?;
        let at = branch.read.iter().position(|c| *c == time)?;
        let field = self.program.sources[source].schema.fields[at].clone();
        Some(self.carried(0, at, &field, false))
    }

    /// Has the sources give each row's watermark as their last column, and the operators so far
    /// carry it on, before the column that UNNEST adds. Gives the column that it is then.
    fn carry(&mut self, sources: &[usize]) -> Result<usize, Refusal> {
        let field = Field {
            nullable: false,
            ..Field::new("_BOUND", DataType::Int64)
        };
        let before = Arc::clone(&self.schema);
        let mut carried = Vec::new();
        for (number, &source) in sources.iter().enumerate() {
            let source = &mut self.program.sources[source];
            let bound = source.event_time.and_then(|time| time.bound);
            let bound = bound.expect("the sources have watermarks");
            let is_new = bound == source.schema.fields.len();
            if is_new {
                source.schema = with(&source.schema, bound, &field);
            }
            self.schema = Arc::clone(&source.schema);
            carried.push(self.carried(number, bound, &field, is_new));
        }
        match carried.iter().all(|at| *at == carried[0]) {
            true => {
                self.schema = match before.fields.len() < self.schema.fields.len() {
                    true => with(&before, carried[0], &field),
                    false => before,
                };
                Ok(carried[0])
            }
            false => Err(("E0301", "this UNION is not supported yet".to_owned())),
        }
    }

    /// Has the operators of a branch so far carry a column of the source on, which is `at` there;
    /// `added`: it is new, and moved those behind it. Gives the column that it is in the end.
    fn carried(&mut self, number: usize, mut at: usize, field: &Field, mut added: bool) -> usize {
        let mut apart = false;
        for operator in &mut self.branches[number].operators {
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
                OperatorSpec::Repeat(spec) => {
                    let spec = Arc::make_mut(spec);
                    if added {
                        spec.schema = with(&spec.schema, at, field);
                    }
                    apart |= matches!(spec.tail, LastColumn::NewFlag | LastColumn::Flag);
                    self.schema = Arc::clone(&spec.schema);
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
                | OperatorSpec::Latest(_)
                | OperatorSpec::Standing(_)
                | OperatorSpec::Changing(_)
                | OperatorSpec::Sessions(_)
                | OperatorSpec::Join(_)
                | OperatorSpec::Panes(_)
                | OperatorSpec::MarkFirst { .. }
                | OperatorSpec::Aggregate(_) => {}
            }
        }
        let columns = self.schema.fields.len();
        self.branches[number].origins.resize(columns, None);
        at
    }
}

/// A schema with one more column, before the one that was `at`.
fn with(schema: &Schema, at: usize, field: &Field) -> Arc<Schema> {
    let mut schema = schema.clone();
    schema.fields.insert(at, field.clone());
    Arc::new(schema)
}
