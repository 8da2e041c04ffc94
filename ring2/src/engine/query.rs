//! Queries over what stands in views: one SELECT, read and planned as those over sources are, and
//! run by DataFusion. Only its scans know that they are of views.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Field, Schema as ArrowSchema};
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::datasource::{MemTable, TableProvider, provider_as_source};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::tokenizer::{Location, Span};
use futures::StreamExt;
use trefoil_ring0::schema::Schema;

use super::kept::{self, Kept};
use super::live::LiveTable;
use super::params::{self, Parameter};
use super::system::{self, System};
use super::view::{Moment, Shared};
use super::workers::{Still, Workers};
use super::{Value, batch};
use crate::catalog::ViewRows;
use crate::check::{self, Purpose};
use crate::error::{Error, Result, SqlError};
use crate::lower_expr::{Kernels, as_type, cause};
use crate::place::{Chunk, Place, find_word};
use crate::planner::Planned;
use crate::script::{self, Select, Session, Told};
use crate::syntax::{self, EmitQuery, Statement};
use crate::window::marker;
use crate::{ResultColumn, SourceFile, alike, clock, explain, lower, plan_error, planner};

/// What a query can name.
#[derive(Debug)]
pub(super) struct Tables {
    /// Views by their names.
    pub(super) views: Vec<(String, Arc<Shared>)>,
    /// Their columns.
    pub(super) kept: Kept,
    /// When their rows stood.
    pub(super) moment: Moment,
    /// What the engine says of itself, where the query may ask.
    pub(super) system: Option<System>,
    /// What is declared.
    pub(super) session: Session,
}

/// A SELECT, and where it stands.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) file: SourceFile,
    /// Which of the file's statements it is; `None`: the only one.
    pub(super) number: Option<usize>,
}

impl Asked {
    /// A text of one statement.
    pub(super) fn text(sql: &str) -> Self {
        let file = SourceFile {
            name: "<sql>".to_owned(),
            text: sql.to_owned(),
            base: PathBuf::from("."),
        };
        Self { file, number: None }
    }
}

/// A query that can run.
struct Ready {
    sql: String,
    plan: LogicalPlan,
    columns: Vec<ResultColumn>,
    /// Of the plan's rows, as results hold them.
    held: Arc<Schema>,
}

/// The rows of a SELECT; `None` where it was not wanted any more.
pub(super) fn run(
    (workers, still): (&Workers, Still<'_>),
    tables: Tables,
    asked: Asked,
    params: &[Value<'_>],
) -> Result<Option<Vec<RecordBatch>>> {
    let params: Vec<Parameter> = params.iter().map(params::constant).collect();
    let functions = Arc::clone(&tables.session.functions);
    let environment = workers.environment()?;
    let context = functions.within(|| planner::session_within(workers.width(), environment));
    let bytes = workers.query_bytes();
    workers.run_while(still, async move {
        let (ready, told) = functions.within(|| ready(&context, tables, &asked, &params))?;
        match told {
            None => rows(&context, ready, bytes).await,
            Some(told) => plan(&context, ready, told, bytes).await,
        }
    })
}

/// Reads and plans it.
fn ready(
    context: &SessionContext,
    tables: Tables,
    asked: &Asked,
    params: &[Parameter],
) -> Result<(Ready, Option<Told>)> {
    let place = Place { file: &asked.file };
    let mut chunk = chunk(place, asked.number)?;
    let (mut query, told) = select(place, &mut chunk)?;
    params::bind(place, &mut query.query, params)?;
    let read = kept::named(place, &query.query, &tables.session.catalog);
    system::named_plainly(&mut query.query);
    let (session, providers) = relations(context, tables)?;
    let catalog = &session.catalog;
    check::query(place, &chunk, catalog, &query, Purpose::Print)?;
    let others = read?
        .into_iter()
        .find(|(name, _)| !kept::is_kept(catalog, name));
    if let Some((name, at)) = others {
        let message = format!("reading \"{name}\", which is no view, is not supported yet here");
        let hint = "a query over views, or one over sources: a view over both joins them";
        return Err(place.hinted("E0301", at, message, hint).into());
    }
    let sql = place.text(Span::new(chunk.start(), chunk.end));
    let select = script::select(place, chunk, sql, &query, &session, None)?;
    let planned = planner::plan_in(context, &select)?;
    computable(&select, &planned.plan)?;
    let refuse = |e: DataFusionError| plan_error::refusal(&select, &e);
    let analysis = explain::analysis(&select, &planned)?;
    let planned = clock::stopped(planned, SystemTime::now()).map_err(refuse)?;
    // The program is not run: it says what is refused, and what results hold.
    let program = lower::lower_planned(&select, &planned, &analysis, Kernels::Native)?;
    let held = Arc::clone(&program.outputs[0].schema);
    let Planned { plan, results, .. } = planned;
    let plan = alike::floats_alike(plan).and_then(alike::checked::integers);
    let plan = plan.and_then(|plan| scanning(plan, &providers));
    let ready = Ready {
        sql: select.sql.clone(),
        plan: plan.map_err(refuse)?,
        columns: results,
        held,
    };
    Ok((ready, told))
}

/// The statement that is asked for.
fn chunk(place: Place<'_>, number: Option<usize>) -> Result<Chunk, SqlError> {
    let mut chunks = place.chunks()?;
    let number = match number {
        Some(number) => number,
        None if chunks.len() == 1 => 0,
        None => {
            let at = chunks.get(1).map_or(Location::new(1, 1), Chunk::start);
            let message = format!("a query is one SELECT, and not {} statements", chunks.len());
            let hint = "execute runs any number of statements";
            return Err(place.hinted("E0303", at, message, hint));
        }
    };
    Ok(chunks.swap_remove(number))
}

/// The SELECT that a statement is, or is to tell the plan of; the tokens are left to it alone.
fn select(place: Place<'_>, chunk: &mut Chunk) -> Result<(EmitQuery, Option<Told>), SqlError> {
    let (query, told) = match syntax::read(place, chunk)? {
        Statement::Query(query) => (query, None),
        Statement::Explain(explain) => {
            let start = explain.query_at.0;
            chunk.tokens.retain(|token| token.span.start >= start);
            let told = match explain.analyze {
                true => Told::Measured,
                false => Told::Plan,
            };
            (explain.query, Some(told))
        }
        _ => {
            let message = "a query is a SELECT";
            let hint = "execute runs any number of statements";
            return Err(place.hinted("E0303", chunk.start(), message, hint));
        }
    };
    if query.emit.is_some() {
        let message = "a query gives the rows that stand, and no changes";
        let hint = "subscribe to the view";
        return Err(place.hinted("E0303", query.emit_at.0, message, hint));
    }
    Ok((query, told))
}

/// What can be read, by name.
type Providers = BTreeMap<String, Arc<dyn TableProvider>>;

/// The session in which views are relations, and what gives their rows.
fn relations(context: &SessionContext, tables: Tables) -> Result<(Session, Providers)> {
    let mut session = tables.session;
    session.catalog = kept::standing(&session.catalog, &tables.kept);
    let mut providers = Providers::new();
    for (name, view) in tables.views {
        let pool = &context.runtime_env().memory_pool;
        let table = LiveTable::new(&name, view, tables.moment, pool);
        providers.insert(name, Arc::new(table));
    }
    let wrong = |e: ArrowError| Error::engine("E0609", format!("a table of the engine: {e}"));
    let system = tables.system.map(|system| system.tables().map_err(wrong));
    for (name, rows) in system.transpose()?.unwrap_or_default() {
        let mut def = kept::relation(&name, &rows.schema(), ViewRows::Coming);
        def.bounded = true;
        session.catalog.sources.insert(name.clone(), def);
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]]);
        let table = table.map_err(|e| Error::engine("E0609", e.to_string()))?;
        providers.insert(name, Arc::new(table));
    }
    Ok((session, providers))
}

/// Refuses what stands in a plan for something that only programs compute.
fn computable(select: &Select<'_>, plan: &LogicalPlan) -> Result<(), SqlError> {
    let mut found = None;
    let looked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::ScalarFunction(call) = e
                    && marker::is_computed_elsewhere(call.name())
                {
                    found = Some(call.name().to_owned());
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    looked.map_err(|e| plan_error::refusal(select, &e))?;
    let Some(marker) = found else { return Ok(()) };
    let (words, what) = marker::written(&marker);
    let at = find_word(&select.chunk.tokens, words, select.chunk.start());
    let message = format!("{what} over the rows that stand in a view is not supported yet");
    let hint = "CREATE MATERIALIZED VIEW .. AS this, and query that";
    Err(select.place.hinted("E0301", at, message, hint))
}

/// The plan, over what gives rows.
fn scanning(plan: LogicalPlan, providers: &Providers) -> PlanResult<LogicalPlan> {
    let plan = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::TableScan(mut scan) = node else {
            return Ok(Transformed::no(node));
        };
        if let Some(provider) = providers.get(scan.table_name.table()) {
            scan.source = provider_as_source(Arc::clone(provider));
        }
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    })?;
    Ok(plan.data)
}

/// A plan as it runs. Joins that look at all pairs give way now and then, to other queries and to
/// the end of their own.
async fn physical(
    context: &SessionContext,
    plan: LogicalPlan,
) -> PlanResult<Arc<dyn ExecutionPlan>> {
    let frame = context.execute_logical_plan(plan).await?;
    let plan = frame.create_physical_plan().await?;
    let plan = plan.transform_up(|node| {
        let looks_at_pairs = matches!(node.name(), "NestedLoopJoinExec" | "CrossJoinExec");
        Ok(match looks_at_pairs {
            true => Transformed::yes(Arc::new(CooperativeExec::new(node)) as _),
            false => Transformed::no(node),
        })
    })?;
    Ok(plan.data)
}

/// The rows of a query, within its memory.
async fn rows(context: &SessionContext, ready: Ready, bytes: usize) -> Result<Vec<RecordBatch>> {
    let failed = |e: DataFusionError| failed(&e, bytes);
    let plan = physical(context, ready.plan).await.map_err(failed)?;
    let mut stream = execute_stream(plan, context.task_ctx()).map_err(failed)?;
    let schema = batch::schema(&ready.columns, &ready.held);
    // What is kept for the caller counts, too.
    let kept = MemoryConsumer::new("results").register(&context.runtime_env().memory_pool);
    let mut rows = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch = as_held(&batch.map_err(failed)?, &ready.held).map_err(failed)?;
        let batch = batch::named(&ready.columns, &schema, &batch)?;
        kept.try_grow(batch.get_array_memory_size())
            .map_err(failed)?;
        rows.push(batch);
    }
    if rows.is_empty() {
        // It says which columns there are.
        rows.push(RecordBatch::new_empty(schema));
    }
    Ok(rows)
}

/// The plan of a query, as DataFusion runs it, and what a run of it measured.
async fn plan(
    context: &SessionContext,
    ready: Ready,
    told: Told,
    bytes: usize,
) -> Result<Vec<RecordBatch>> {
    let failed = |e: DataFusionError| failed(&e, bytes);
    let plan = physical(context, ready.plan).await.map_err(failed)?;
    let mut text = "runs        in DataFusion, over the rows that stand in views\n".to_owned();
    let shown = match told {
        Told::Plan => displayable(&*plan).indent(false).to_string(),
        Told::Measured => {
            let begun = Instant::now();
            let stream = execute_stream(Arc::clone(&plan), context.task_ctx());
            let mut stream = stream.map_err(failed)?;
            let mut count = 0;
            while let Some(batch) = stream.next().await {
                count += batch.map_err(failed)?.num_rows();
            }
            let elapsed_s = begun.elapsed().as_secs_f64();
            text += &format!("measured    {count} rows of results, {elapsed_s:.6} s\n");
            let shown = DisplayableExecutionPlan::with_metrics(&*plan);
            shown.indent(false).to_string()
        }
    };
    text += "result\n";
    shown
        .lines()
        .for_each(|line| text += &format!("  {line}\n"));
    Ok(vec![batch::answer(&explain::lines(ready.sql, &text))?])
}

/// A batch in the types that results have.
fn as_held(batch: &RecordBatch, held: &Schema) -> PlanResult<RecordBatch> {
    let arrays = batch.columns().iter().zip(&held.fields);
    let arrays = arrays.map(|(array, field)| as_type(array, &field.data_type));
    let arrays: Vec<ArrayRef> = arrays.collect::<PlanResult<_>>()?;
    let fields = held.fields.iter();
    let fields = fields.map(|field| Field::new(&field.name, field.data_type.clone(), true));
    let schema = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
    let count = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema, arrays, &count)?)
}

fn failed(error: &DataFusionError, bytes: usize) -> Error {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(what) => {
            let what = what.lines().next().unwrap_or_default();
            let message = format!(
                "the query needs more memory than the {bytes} bytes that one may take \
                 (Builder::query_bytes): {what}"
            );
            Error::engine("E0605", message)
        }
        // What a view has failed with, or a row.
        DataFusionError::External(own) if let Some(own) = own.downcast_ref::<Error>() => {
            Error::engine(own.code(), own.to_string())
        }
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => {
            Error::engine("E0607", cause(error))
        }
        _ => Error::engine("E0608", error.strip_backtrace()),
    }
}
