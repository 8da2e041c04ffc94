//! What an engine says of itself, as tables of the schema `trefoil`. Shards answer between two
//! turns: what a query finds is what they said when they were asked before.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use datafusion::arrow::error::ArrowError;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Query, TableAlias, TableFactor, VisitMut, VisitorMut,
};
use trefoil_ring0::appender::Counts;
use trefoil_ring0::runtime::{Executor, Reached};

use super::StateMetrics;
use crate::partitioning::{ExchangeKind, Operator, Stage};

/// The schema of the tables.
pub(super) const SCHEMA: &str = "trefoil";

/// Their names.
pub(super) const TABLES: [&str; 8] = [
    "jobs",
    "operators",
    "state",
    "shards",
    "splits",
    "watermarks",
    "settings",
    "ledger",
];

/// What there is to say.
#[derive(Debug)]
pub(super) struct System {
    pub(super) jobs: Vec<Job>,
    /// Names of channels, what was appended to them, and by each appender that is there.
    pub(super) channels: Vec<(String, Counts, Vec<Counts>)>,
    /// Of each shard its core, where it is pinned.
    pub(super) cores: Vec<Option<usize>>,
    pub(super) executor: Executor,
    /// Names, values and meanings.
    pub(super) settings: Vec<Vec<Option<String>>>,
}

/// A view that is kept.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) name: String,
    pub(super) sql: String,
    pub(super) is_ended: bool,
    pub(super) failure: Option<String>,
    pub(super) rows_out: u64,
    /// How far each shard is.
    pub(super) shards: Vec<Reached>,
    pub(super) stages: Arc<[Stage]>,
    /// Names of the program's sources.
    pub(super) sources: Arc<[String]>,
    /// Its operators that have state, and the rows that it keeps.
    pub(super) state: Vec<StateMetrics>,
    pub(super) rows_kept: u64,
    pub(super) bytes_kept: u64,
}

/// Whether a text can name one of the tables.
pub(super) fn may_be_named(sql: &str) -> bool {
    sql.to_ascii_lowercase().contains(SCHEMA)
}

/// Whether a name, as queries know it, is of the schema.
pub(super) fn is_named(name: &str) -> bool {
    name.strip_prefix(SCHEMA)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// Gives what stands in the schema one name each, as other relations have.
pub(super) fn named_plainly(query: &mut Query) {
    _ = VisitMut::visit(query, &mut Plainly);
}

struct Plainly;

impl VisitorMut for Plainly {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, .. } = factor
            && let [schema, table] = &name.0[..]
            && let (Some(schema), Some(table)) = (schema.as_ident(), table.as_ident())
            && schema.value == SCHEMA
        {
            let own = Ident::with_quote('"', &table.value);
            let mut whole = Ident::with_quote('"', format!("{SCHEMA}.{}", table.value));
            whole.span = schema.span.union(&table.span);
            *name = ObjectName::from(vec![whole]);
            alias.get_or_insert(TableAlias {
                explicit: true,
                name: own,
                columns: Vec::new(),
                at: None,
            });
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && parts.len() == 3
            && parts[0].value == SCHEMA
        {
            parts.remove(0);
        }
        ControlFlow::Continue(())
    }
}

/// A column of a table.
type Column = (&'static str, ArrayRef);

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn names<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    texts(values.map(Some))
}

fn numbers(values: impl Iterator<Item = Option<u64>>) -> ArrayRef {
    let fits = |value: Option<u64>| value.map(|v| i64::try_from(v).unwrap_or(i64::MAX));
    Arc::new(values.map(fits).collect::<Int64Array>())
}

fn counts(values: impl Iterator<Item = u64>) -> ArrayRef {
    numbers(values.map(Some))
}

fn times(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<TimestampNanosecondArray>())
}

impl System {
    /// The tables, by the names that queries know them by.
    pub(super) fn tables(&self) -> Result<Vec<(String, RecordBatch)>, ArrowError> {
        let columns = [
            self.jobs(),
            self.operators(),
            self.state(),
            self.shards(),
            self.splits(),
            self.watermarks(),
            self.settings(),
            self.ledger(),
        ];
        let tables = TABLES.into_iter().zip(columns).map(|(name, columns)| {
            let columns = columns.into_iter().map(|(name, array)| (name, array, true));
            let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
            Ok((format!("{SCHEMA}.{name}"), batch))
        });
        tables.collect()
    }

    fn jobs(&self) -> Vec<Column> {
        let jobs = || self.jobs.iter();
        let state = |job: &Job| match (&job.failure, job.is_ended) {
            (Some(_), _) => "failed",
            (None, true) => "ended",
            (None, false) => "running",
        };
        let sum = |of: fn(&Reached) -> u64| {
            counts(jobs().map(move |job| job.shards.iter().map(of).sum()))
        };
        let watermark = |job: &Job| job.shards.iter().filter_map(|s| s.watermark).min();
        vec![
            ("name", names(jobs().map(|job| job.name.as_str()))),
            ("query", names(jobs().map(|job| job.sql.as_str()))),
            ("state", names(jobs().map(state))),
            ("error", texts(jobs().map(|job| job.failure.as_deref()))),
            ("rows_read", sum(|shard| shard.rows_read)),
            ("rows_bad", sum(|shard| shard.rows_bad)),
            ("rows_failed", sum(|shard| shard.rows_failed)),
            ("rows_late", sum(|shard| shard.rows_late)),
            ("rows_late_idle", sum(|shard| shard.rows_late_idle)),
            ("rows_out", counts(jobs().map(|job| job.rows_out))),
            ("watermark", times(jobs().map(watermark))),
        ]
    }

    fn operators(&self) -> Vec<Column> {
        let mut all: Vec<(&Job, usize, usize, &Operator, Option<&'static str>)> = Vec::new();
        for job in &self.jobs {
            for (number, stage) in job.stages.iter().enumerate() {
                let last = stage.operators.len().saturating_sub(1);
                for (step, operator) in stage.operators.iter().enumerate() {
                    let exchange = stage.exchange.as_ref().filter(|_| step == last);
                    let exchange = exchange.map(|e| word(&e.kind));
                    all.push((job, number, step, operator, exchange));
                }
            }
        }
        let all = || all.iter();
        let native = all().map(|(_, _, _, operator, _)| Some(operator.native));
        vec![
            ("job", names(all().map(|(job, ..)| job.name.as_str()))),
            ("stage", counts(all().map(|(_, stage, ..)| *stage as u64))),
            ("step", counts(all().map(|(_, _, step, ..)| *step as u64))),
            (
                "operator",
                names(all().map(|(_, _, _, o, _)| o.name.as_str())),
            ),
            ("native", Arc::new(native.collect::<BooleanArray>())),
            (
                "state",
                texts(all().map(|(_, _, _, o, _)| o.state.as_deref())),
            ),
            (
                "bounded_by",
                texts(all().map(|(_, _, _, o, _)| o.bounded_by.as_deref())),
            ),
            ("exchange", texts(all().map(|(.., exchange)| *exchange))),
        ]
    }

    /// Of each job the operators of its program that have state, then the rows that stand.
    fn state(&self) -> Vec<Column> {
        let mut all: Vec<(&Job, Option<&StateMetrics>)> = Vec::new();
        for job in &self.jobs {
            all.extend(job.state.iter().map(|operator| (job, Some(operator))));
            all.push((job, None));
        }
        let all = || all.iter();
        let place = |of: fn(&StateMetrics) -> usize| {
            numbers(all().map(move |(_, operator)| Some(of((*operator)?) as u64)))
        };
        let operator = |operator: Option<&StateMetrics>| operator.map_or("rows", |o| o.operator);
        let rows = |job: &Job, operator: Option<&StateMetrics>| {
            operator.map_or(job.rows_kept, |operator| operator.rows)
        };
        let bytes = |job: &Job, operator: Option<&StateMetrics>| {
            operator.map_or(job.bytes_kept, |operator| operator.bytes)
        };
        let most = all().map(|(_, operator)| Some((*operator)?.bytes_max));
        vec![
            ("job", names(all().map(|(job, _)| job.name.as_str()))),
            ("stage", place(|operator| operator.stage)),
            ("step", place(|operator| operator.step)),
            ("operator", names(all().map(|(_, o)| operator(*o)))),
            ("rows", counts(all().map(|(job, o)| rows(job, *o)))),
            ("bytes", counts(all().map(|(job, o)| bytes(job, *o)))),
            ("bytes_max", numbers(most)),
        ]
    }

    fn shards(&self) -> Vec<Column> {
        let executor = match self.executor {
            Executor::Auto | Executor::Uring => "io_uring",
            Executor::Threads => "threads",
        };
        let cores = || self.cores.iter();
        vec![
            ("shard", counts((0..).zip(cores()).map(|(shard, _)| shard))),
            ("core", numbers(cores().map(|core| core.map(|c| c as u64)))),
            ("executor", names(cores().map(|_| executor))),
        ]
    }

    fn splits(&self) -> Vec<Column> {
        let mut all: Vec<(&str, u64, &Counts)> = Vec::new();
        for (name, _, splits) in &self.channels {
            let splits = (0..).zip(splits);
            all.extend(splits.map(|(split, counts)| (name.as_str(), split, counts)));
        }
        let mut columns = vec![
            ("source", names(all.iter().map(|(source, ..)| *source))),
            ("split", counts(all.iter().map(|(_, split, _)| *split))),
        ];
        columns.extend(counted(all.iter().map(|(.., counts)| *counts)));
        columns
    }

    fn watermarks(&self) -> Vec<Column> {
        let mut all: Vec<(&Job, u64, Reached)> = Vec::new();
        for job in &self.jobs {
            let shards = (0..).zip(&job.shards);
            all.extend(shards.map(|(shard, reached)| (job, shard, *reached)));
        }
        let all = || all.iter();
        vec![
            ("job", names(all().map(|(job, ..)| job.name.as_str()))),
            ("shard", counts(all().map(|(_, shard, _)| *shard))),
            (
                "rows_read",
                counts(all().map(|(.., reached)| reached.rows_read)),
            ),
            (
                "rows_failed",
                counts(all().map(|(.., reached)| reached.rows_failed)),
            ),
            (
                "rows_late",
                counts(all().map(|(.., reached)| reached.rows_late)),
            ),
            (
                "rows_late_idle",
                counts(all().map(|(.., reached)| reached.rows_late_idle)),
            ),
            (
                "watermark",
                times(all().map(|(.., reached)| reached.watermark)),
            ),
            (
                "held_by_source",
                texts(all().map(|(job, _, reached)| {
                    let source = job.sources.get(reached.held_by?.source);
                    source.map(String::as_str)
                })),
            ),
            (
                "held_by_split",
                numbers(all().map(|(.., reached)| Some(u64::from(reached.held_by?.split)))),
            ),
        ]
    }

    fn settings(&self) -> Vec<Column> {
        let column = |number: usize| texts(self.settings.iter().map(move |r| r[number].as_deref()));
        vec![
            ("name", column(0)),
            ("value", column(1)),
            ("meaning", column(2)),
        ]
    }

    fn ledger(&self) -> Vec<Column> {
        let all = || self.channels.iter();
        let mut columns = vec![("source", names(all().map(|(name, ..)| name.as_str())))];
        columns.extend(counted(all().map(|(_, counts, _)| counts)));
        columns
    }
}

/// What was appended, and where it stayed.
fn counted<'a>(all: impl Iterator<Item = &'a Counts> + Clone) -> [Column; 4] {
    let column = |of: fn(&Counts) -> u64| counts(all.clone().map(of));
    [
        ("rows_appended", column(|c| c.rows_appended)),
        ("rows_staged", column(|c| c.rows_staged)),
        ("rows_unread", column(|c| c.rows_unread)),
        ("rows_untaken", column(|c| c.rows_untaken)),
    ]
}

fn word(kind: &ExchangeKind) -> &'static str {
    match kind {
        ExchangeKind::Hash(_) => "hash",
        ExchangeKind::Partials => "partials",
        ExchangeKind::All => "all",
        ExchangeKind::Broadcast => "broadcast",
        ExchangeKind::Local => "local",
    }
}
