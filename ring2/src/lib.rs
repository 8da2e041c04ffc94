//! Ring 2 of Trefoil: SQL. A script is split and read ([`dialect`], `script`), its sources go into
//! the [`catalog`], its queries are checked (`check`), typed by DataFusion (`planner`), and lowered
//! to Ring 0's programs (`lower`); what does not run yet is named by place (`later`). Nothing here
//! runs per record.

#![warn(missing_docs)]
// A refusal is made once and ends planning: its size costs nothing.
#![allow(clippy::result_large_err)]

pub mod error;
pub mod limits;

pub mod dialect;
mod guard;
mod hints;
mod interval;
mod place;
pub mod syntax;

pub mod catalog;
mod constants;
mod ddl;
mod define;
mod elapsed;
pub mod functions;
mod json;
mod options;
mod settings;
mod to_char;

mod answer;
mod script;
mod sink;

mod check;
mod flatten;
mod later;
mod views;
mod window;

mod alike;
mod clock;
mod plan_error;
mod planner;

pub mod partitioning;

pub mod checkpoints;
mod depth;
mod files;
mod fingerprint;
mod lower;
mod lower_expr;
mod modulo;
mod ordinals;
mod structs;
mod time_of_day;
mod truncated;
mod upsert;

pub mod explain;

pub mod convert;
pub mod engine;
pub mod output;
pub mod scan;
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct Embedding;
pub mod oracle;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::SystemTime;

use datafusion::arrow::datatypes::DataType;
use trefoil_ring0::program::Program;

use crate::catalog::BadDataPolicy;
use crate::lower::changes::{self, Told};
use crate::lower_expr::Kernels;

use script::Reading;

pub use datafusion;
pub use engine::Engine;
pub use error::{Error, Result, SqlError};
pub use explain::{Explanation, explain_script};
pub use files::would_read;
pub use fingerprint::statements;
pub use scan::{
    ChannelStreamSource, SourceSnapshotProvider, StreamSource, StreamingScanExec,
    StreamingTableProvider, create_partitioned_streaming_context, create_streaming_context,
};
pub use sink::{LateRows, Sink, SinkConnector, SinkFormat};

/// A file of a script.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its name, for errors.
    pub name: String,
    /// Its text.
    pub text: String,
    /// What relative paths in it are relative to.
    pub base: PathBuf,
}

/// A query that can run.
#[derive(Debug, Clone)]
pub struct PlannedQuery {
    /// Its text, without the semicolon.
    pub sql: String,
    /// What every shard runs; one source, one output.
    pub program: Program,
    /// The paths that its sources were declared with: files, folders or patterns.
    pub paths: Vec<std::path::PathBuf>,
    /// The file for what is told about bad records, the program's second output.
    pub dead_letters: Option<std::path::PathBuf>,
    /// The sinks that late rows of its sources go into, each with an output of the program.
    pub late: Vec<LateRows>,
    /// How the output's columns are printed, in order.
    pub columns: Vec<ResultColumn>,
    /// Whether the rows are a changelog: the first column says what each does.
    pub changes: bool,
    /// Where the rows go; `None` where they are printed.
    pub sink: Option<Sink>,
    /// The plan of its rows, as text: what tells whether it is the one it was.
    pub logical: String,
    /// Which of [`Self::columns`] tell groups apart, where the rows are groups with all their keys.
    pub keys: Vec<usize>,
    /// What shards do, as EXPLAIN shows it.
    pub stages: Vec<partitioning::Stage>,
    /// What is to be known before it runs.
    pub warnings: Vec<String>,
}

/// A result as it is printed, of one column of the output or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultColumn {
    /// One column.
    Plain {
        /// Its name.
        name: String,
        /// The output's column.
        index: usize,
    },
    /// A window, printed as `{"start": .., "end": ..}`.
    Window {
        /// Its name.
        name: String,
        /// The output's column with the start.
        start: usize,
        /// The output's column with the end.
        end: usize,
    },
}

impl ResultColumn {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Plain { name, .. } | Self::Window { name, .. } => name,
        }
    }
}

/// Rows that are known without running anything: what SHOW and DESCRIBE give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The statement's text, without the semicolon.
    pub sql: String,
    /// Names of the columns, and what their texts are printed as.
    pub columns: Vec<(String, DataType)>,
    /// The rows, all of them texts.
    pub rows: Vec<Vec<Option<String>>>,
}

/// What a script does, in order.
#[derive(Debug, Clone)]
pub enum Step {
    /// A query to run.
    Query(Box<PlannedQuery>),
    /// A query to run without its rows: what it measured is told with its plan.
    Analyze(Box<explain::Analyze>),
    /// Rows to print.
    Answer(Answer),
}

/// Reads a script and plans its queries.
///
/// # Errors
/// [`Error::Sql`] for the first statement that is refused; then nothing runs.
pub fn plan_script(files: &[SourceFile]) -> Result<Vec<PlannedQuery>> {
    Ok(queries(plan_steps(files)?))
}

fn queries(steps: Vec<Step>) -> Vec<PlannedQuery> {
    let queries = steps.into_iter().filter_map(|step| match step {
        Step::Query(query) => Some(*query),
        Step::Analyze(_) | Step::Answer(_) => None,
    });
    queries.collect()
}

/// Reads a script and plans all that it does.
///
/// # Errors
/// [`Error::Sql`] for the first statement that is refused; then nothing runs.
pub fn plan_steps(files: &[SourceFile]) -> Result<Vec<Step>> {
    plan_steps_at(files, SystemTime::now())
}

/// As [`plan_steps`], at this instant: what NOW() and CURRENT_DATE are over input that ends, in
/// every query of the script.
///
/// # Errors
/// As [`plan_steps`].
pub fn plan_steps_at(files: &[SourceFile], now: SystemTime) -> Result<Vec<Step>> {
    steps_with(files, Kernels::Native, now, &HashMap::new())
}

/// As [`plan_steps_at`], where queries go on that were planned before: `read_upto` says how many
/// bytes they read of files that may have grown since.
///
/// # Errors
/// As [`plan_steps`].
pub fn plan_steps_again(
    files: &[SourceFile],
    now: SystemTime,
    read_upto: &HashMap<PathBuf, u64>,
) -> Result<Vec<Step>> {
    steps_with(files, Kernels::Native, now, read_upto)
}

fn steps_with(
    files: &[SourceFile],
    kernels: Kernels,
    now: SystemTime,
    read_upto: &HashMap<PathBuf, u64>,
) -> Result<Vec<Step>> {
    limits::with_stack(|| {
        let (steps, _) = script::steps(files, Reading::Run)?;
        let mut fed: Vec<(Sink, sink::Fed)> = Vec::new();
        let steps = steps.into_iter().map(|step| match step {
            script::Step::Answer(answer) => Ok(Step::Answer(answer)),
            script::Step::Refused(error) => Err(error.into()),
            script::Step::Explain(select, format, told) => {
                let told = explain::tell(&select, format, told, kernels, now);
                Ok(match told? {
                    explain::Told::Answer(answer) => Step::Answer(answer),
                    explain::Told::Analyze(analyze) => Step::Analyze(analyze),
                })
            }
            script::Step::Select(select) => {
                let planned = plan_select(&select, kernels, now, read_upto);
                let mut query = planned.map_err(|error| match error {
                    Error::Sql(error) => views::named(&select, *error).into(),
                    other => other,
                })?;
                if select.target.is_some() {
                    let now = sink::into(&select, &mut query)?;
                    let sink = query.sink.as_ref();
                    match fed.iter().find(|(other, _)| Some(other) == sink) {
                        Some((_, before)) => sink::check_alike(&select, before, &now)?,
                        None => fed.extend(sink.cloned().map(|sink| (sink, now))),
                    }
                }
                for late in &query.late {
                    let now = sink::fed(late, &query.program);
                    match fed.iter().find(|(other, _)| *other == late.sink) {
                        Some((_, before)) => sink::check_alike(&select, before, &now)?,
                        None => fed.push((late.sink.clone(), now)),
                    }
                }
                Ok(Step::Query(Box::new(query)))
            }
        });
        steps.collect()
    })
}

/// Reads a script as far as the catalogue goes: also what has no runtime yet is accepted, where it
/// is right.
///
/// # Errors
/// [`Error::Sql`] for the first statement that is refused.
pub fn check_script(files: &[SourceFile]) -> Result<catalog::Catalog> {
    limits::with_stack(|| {
        let (steps, session) = script::steps(files, Reading::Plan)?;
        let refused = steps.into_iter().find_map(|step| match step {
            script::Step::Refused(error) => Some(error),
            script::Step::Select(_) | script::Step::Explain(..) | script::Step::Answer(_) => None,
        });
        refused.map_or(Ok(session.catalog), |error| Err(error.into()))
    })
}

fn plan_select(
    select: &script::Select<'_>,
    kernels: Kernels,
    now: SystemTime,
    read_upto: &HashMap<PathBuf, u64>,
) -> Result<PlannedQuery> {
    let mut plan = planner::plan_select(select)?;
    for table in &mut plan.tables {
        table.read_upto = read_upto.get(&table.path).copied();
    }
    let analysis = explain::analysis(select, &plan)?;
    let plan = clock::stopped(plan, now).map_err(|e| plan_error::refusal(select, &e))?;
    let logical = plan.plan.display_indent().to_string();
    let program = lower::lower_planned(select, &plan, &analysis, kernels)?;
    let tells = changes::asked(select, &plan, &analysis)? != Told::Nothing;
    let mut keys = engine::keys::of(&plan.plan, &plan.results);
    if tells {
        // Before them stands what a row does.
        keys.iter_mut().for_each(|key| *key += 1);
    }
    let columns = match tells {
        true => changes::told(select, plan.results)?,
        false => plan.results,
    };
    if depth::is_too_deep(&program) {
        let at = select.chunk.start();
        let hint = "split it into several columns";
        let message = "an expression is nested too deeply to run";
        return Err(select.place.hinted("E0106", at, message, hint).into());
    }
    Ok(PlannedQuery {
        sql: select.sql.clone(),
        warnings: lower::regular::warnings(&program, &plan.tables),
        late: sink::late_rows(select, &program, &plan.tables)?,
        program,
        paths: plan.tables.iter().map(|t| t.path.clone()).collect(),
        dead_letters: plan.tables.iter().find_map(|t| match &t.bad_data {
            BadDataPolicy::DeadLetters(path) => Some(path.clone()),
            BadDataPolicy::Fail | BadDataPolicy::Skip => None,
        }),
        columns,
        changes: tells,
        logical,
        sink: None,
        keys,
        stages: analysis.stages,
    })
}
