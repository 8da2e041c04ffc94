//! From a syntax tree to DataFusion's logical plan. DataFusion gives the types: its analyzer makes
//! casts explicit. Of its optimizer's rules only those run that hold for streams (`rules`).
//!
//! Any query that passes the checks is planned, so that it can be explained: [`tree`] writes it
//! anew for DataFusion. Whether a plan runs is decided by lowering.

mod all_rows;
mod asked;
mod correlated;
mod extremes;
mod far;
mod flags;
pub(crate) mod generated;
mod mixed;
mod not_in;
mod numbers;
pub(crate) mod only;
mod rules;
pub(crate) mod state_ttl;
mod subqueries;
pub(crate) mod tree;
mod types;
pub(crate) mod window_keys;

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{
    DFSchema, DFSchemaRef, DataFusionError, Result as PlanResult, TableReference,
};
use datafusion::datasource::MemTable;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::functions_aggregate::bool_and_or::bool_and_udaf;
use datafusion::functions_aggregate::variance::var_samp_udaf;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan, ScalarUDF, Volatility};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_planner::create_window_expr;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as PlanStatement;
use datafusion::sql::sqlparser::ast::{Query, Statement};

use crate::ResultColumn;
use crate::catalog::SourceDef;
use crate::constants;
use crate::elapsed::CompareLengths;
use crate::error::{SqlError, nearest};
use crate::functions;
use crate::json;
use crate::later;
use crate::modulo::Mod;
use crate::ordinals::Ordinals;
use crate::script::{Emit, Select};
use crate::structs;
use crate::to_char::ToChar;
use crate::truncated::Truncated;
use crate::views;
use crate::window::{Bound, marker};
use generated::Computed;
use mixed::Mixed;
pub(crate) use mixed::compares;
use tree::{AGAIN, RESULT_END, RESULT_START, SYSTEM};
use types::SecondDigits;

/// A planned query.
#[derive(Debug)]
pub(crate) struct Planned {
    /// The plan.
    pub(crate) plan: LogicalPlan,
    /// How the plan's columns are printed.
    pub(crate) results: Vec<ResultColumn>,
    /// The declared tables that it reads.
    pub(crate) tables: Vec<SourceDef>,
}

/// A session with this engine's settings and functions.
pub(crate) fn session() -> SessionContext {
    session_of(1)
}

/// As [`session`], for work in so many partitions.
pub(crate) fn session_of(partitions: usize) -> SessionContext {
    session_within(partitions, Arc::default())
}

/// As [`session_of`], within the memory of `environment`.
pub(crate) fn session_within(partitions: usize, environment: Arc<RuntimeEnv>) -> SessionContext {
    let context = bare(partitions, environment);
    functions::known().register(&context);
    context
}

/// As [`session`], without what the host brings.
pub(crate) fn own_session() -> SessionContext {
    bare(1, Arc::default())
}

fn bare(partitions: usize, environment: Arc<RuntimeEnv>) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(partitions)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
        .set_bool("datafusion.sql_parser.enable_ident_normalization", true)
        .set_bool("datafusion.sql_parser.collect_spans", true)
        // Scalar subqueries are joins: a stage that merges, and one that reads what it merged.
        .set_bool(
            "datafusion.optimizer.enable_physical_uncorrelated_scalar_subquery",
            false,
        )
        // `x IS TRUE` of a column that is never NULL is never NULL, to its logical plans alone.
        .set_bool(
            "datafusion.execution.skip_physical_aggregate_schema_check",
            true,
        );
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(environment)
        .with_default_features()
        .with_type_planner(Arc::new(SecondDigits))
        .build();
    let mut state = state;
    let operators = Arc::new(json::Operators);
    for planner in [operators as Arc<dyn ExprPlanner>, Arc::new(flags::Beside)] {
        state
            .register_expr_planner(planner)
            .expect("a session takes planners");
    }
    let context = SessionContext::new_with_state(state);
    context.add_analyzer_rule(Arc::new(CompareLengths));
    json::all().for_each(|f| context.register_udf(f));
    context.register_udf(ScalarUDF::new_from_impl(Bound::start()));
    context.register_udf(ScalarUDF::new_from_impl(Bound::end()));
    marker::all().for_each(|f| context.register_udf(f));
    context.register_udf(ScalarUDF::new_from_impl(ToChar::new()));
    context.register_udf(ScalarUDF::new_from_impl(Ordinals::new()));
    // Without zones these are the same.
    for (clock, others) in [
        ("now", &["localtimestamp", "transaction_timestamp"][..]),
        ("current_time", &["localtime"]),
    ] {
        let function = context.udf(clock).expect("DataFusion has it");
        let others = others.iter().copied();
        context.register_udf(function.as_ref().clone().with_aliases(others));
    }
    context.register_udf(ScalarUDF::new_from_impl(Mod::new()));
    let truncate = context.udf("date_trunc").expect("DataFusion has it");
    context.register_udf(ScalarUDF::new_from_impl(Truncated::of(&truncate)));
    let sign = context.udf("signum").expect("DataFusion has it");
    context.register_udf(sign.as_ref().clone().with_aliases(["sign"]));
    context.register_udaf(bool_and_udaf().as_ref().clone().with_aliases(["every"]));
    let variance = var_samp_udaf().as_ref().clone();
    context.register_udaf(variance.with_aliases(["variance"]));
    context
}

fn known() -> &'static SessionContext {
    static SESSION: LazyLock<SessionContext> = LazyLock::new(own_session);
    &SESSION
}

/// What computes an expression over columns of a schema. Constants are computed beforehand, and
/// functions that only stand for others are replaced; clocks are not read.
pub(crate) fn physical(expr: PlanExpr, schema: &DFSchemaRef) -> PlanResult<Arc<dyn PhysicalExpr>> {
    known().create_physical_expr(simplified(expr, schema)?, schema)
}

/// An expression, its constants computed.
pub(crate) fn simplified(expr: PlanExpr, schema: &DFSchemaRef) -> PlanResult<PlanExpr> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(schema))
        .with_config_options(Arc::clone(known().state_ref().read().config_options()))
        .build();
    ExprSimplifier::new(context).simplify(expr)
}

/// What computes an aggregate over columns of a schema.
pub(crate) fn aggregate(
    call: PlanExpr,
    schema: &SchemaRef,
) -> PlanResult<Arc<AggregateFunctionExpr>> {
    let named = DFSchema::try_from(Arc::clone(schema))?;
    let (props, context) = (ExecutionProps::new(), PhysicalPlanningContext::default());
    let lowered = LoweredAggregateBuilder::new(&call, &named, schema, &props, &context);
    Ok(lowered.build()?.aggregate)
}

/// What computes a function with OVER over columns of a schema.
pub(crate) fn over(call: &PlanExpr, schema: &DFSchema) -> PlanResult<Arc<dyn WindowExpr>> {
    let (props, context) = (ExecutionProps::new(), PhysicalPlanningContext::default());
    create_window_expr(call, schema, &props, &context)
}

/// The names of all functions, for hints.
pub(crate) fn function_names() -> Vec<String> {
    let state = known().state_ref();
    let state = state.read();
    let own = |name: &String| !name.starts_with("trefoil_");
    let names = state.scalar_functions().keys();
    let names = names.chain(state.aggregate_functions().keys());
    let mut names: Vec<String> = names.filter(|n| own(n)).cloned().collect();
    names.extend(functions::known().names().map(str::to_owned));
    names
}

/// Whether DataFusion knows a function of this name, of any kind.
pub(crate) fn is_function(name: &str) -> bool {
    let state = known().state_ref();
    let state = state.read();
    let has = state.udf(name).is_ok() || state.udaf(name).is_ok() || state.udwf(name).is_ok();
    has || functions::known().kind(name).is_some()
}

/// How sure a scalar function gives the same for the same; `None` of one that is not known.
pub(crate) fn volatility(name: &str) -> Option<Volatility> {
    let state = known().state_ref();
    let state = state.read();
    let function = state.udf(&name.to_lowercase()).ok()?;
    Some(function.signature().volatility)
}

/// A source's columns as Arrow has them.
pub(crate) fn arrow_schema(source: &SourceDef) -> SchemaRef {
    let field =
        |c: &crate::catalog::ColumnDef| Field::new(&c.name, c.data_type.clone(), c.nullable);
    Arc::new(Schema::new(
        source.columns.iter().map(field).collect::<Vec<_>>(),
    ))
}

/// Gives the session a table.
pub(crate) fn register(
    context: &SessionContext,
    name: &str,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
) -> PlanResult<()> {
    let table = MemTable::try_new(schema, vec![batches])?;
    context.register_table(TableReference::bare(name), Arc::new(table))?;
    Ok(())
}

/// Plans and analyzes, tables with columns that are computed being these.
/// `steady`: results are told when all input has ended.
fn plan(
    context: &SessionContext,
    query: &Query,
    computed: &[Computed],
    steady: bool,
) -> PlanResult<LogicalPlan> {
    let state = context.state();
    let statement = Statement::Query(Box::new(query.clone()));
    let statement = PlanStatement::Statement(Box::new(statement));
    let plan = generated::put(ready(state.statement_to_plan(statement))?, computed)?;
    let plan = keys_once(plan)?;
    mixed::check(&plan)?;
    let plan = structs::rewrite(flags::rewrite(plan)?)?;
    let plan = all_rows::rewrite(plan)?;
    let plan = asked::rewrite(plan, steady)?;
    let plan = state
        .analyzer()
        .execute_and_check(plan, state.config_options(), |_, _| {})?;
    subqueries::check(&plan)?;
    let plan = correlated::rewrite(subqueries::named(plan)?)?;
    let plan = rules::rewrite(not_in::rewrite(plan)?, state.config_options())?;
    window_keys::rewrite(not_in::known(plan)?)
}

/// Keys of groups without repetition: the schema of the groups has each of them once.
fn keys_once(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let once = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Aggregate(mut groups) = node else {
            return Ok(Transformed::no(node));
        };
        let all = groups.group_expr.len();
        let mut seen = HashSet::new();
        groups.group_expr.retain(|key| seen.insert(key.clone()));
        let repeated = groups.group_expr.len() < all;
        let plan = LogicalPlan::Aggregate(groups);
        Ok(Transformed::new_transformed(plan, repeated))
    })?;
    Ok(once.data)
}

/// Plans a query of a script.
///
/// # Errors
/// Where the query is wrong, or cannot even be planned.
pub(crate) fn plan_select(select: &Select<'_>) -> Result<Planned, SqlError> {
    plan_in(&session(), select)
}

/// The columns and rows of a declared table.
type Rows<'a> = &'a dyn Fn(&SourceDef) -> (SchemaRef, Vec<RecordBatch>);

/// As [`plan_select`], over rows.
pub(crate) fn plan_over(select: &Select<'_>, rows: Rows<'_>) -> Result<Planned, SqlError> {
    planned(&session(), select, rows)
}

/// As [`plan_select`], in a session that is there.
pub(crate) fn plan_in(context: &SessionContext, select: &Select<'_>) -> Result<Planned, SqlError> {
    planned(context, select, &|source| (arrow_schema(source), vec![]))
}

fn planned(
    context: &SessionContext,
    select: &Select<'_>,
    rows: Rows<'_>,
) -> Result<Planned, SqlError> {
    let t = tree::rewrite(select).map_err(|error| later::instead(select, error))?;
    let refuse = |e: DataFusionError| refused(select, &e);
    let mut computed = Vec::new();
    for table in &t.tables {
        let (schema, batches) = match t.system && table.view.is_none() {
            true => (with_system(&arrow_schema(table)), vec![]),
            false => rows(table),
        };
        let batches = constants::rows(table, &schema).unwrap_or(batches);
        if table.generated.is_empty() {
            register(context, &table.name, schema, batches).map_err(refuse)?;
            continue;
        }
        let whole = Computed::new(select, table, schema, batches)?;
        register(context, &table.name, whole.schema(), vec![]).map_err(refuse)?;
        computed.push(whole);
    }
    let at_end = matches!(select.emit, Emit::Default | Emit::Final(_));
    let steady = at_end && t.tables.iter().all(|table| table.bounded);
    let plan = plan(context, &t.query, &computed, steady).map_err(refuse)?;
    let plan = match select.settings.state_ttl_ns {
        Some(ttl_ns) => state_ttl::rewrite(plan, &t.tables, ttl_ns).map_err(refuse)?,
        None => plan,
    };
    let plan = match steady {
        true => extremes::rewrite(plan).map_err(refuse)?,
        false => plan,
    };
    Ok(Planned {
        results: results(&plan),
        plan,
        tables: t.tables,
    })
}

/// A source's columns, and those that every source has.
fn with_system(schema: &Schema) -> SchemaRef {
    use datafusion::arrow::datatypes::{DataType, TimeUnit};
    let types = [
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Int64,
        DataType::Int64,
    ];
    let system = SYSTEM.iter().zip(types);
    let system = system.map(|(name, t)| Arc::new(Field::new(*name, t, false)));
    let fields: Vec<_> = schema.fields().iter().cloned().chain(system).collect();
    Arc::new(Schema::new(fields))
}

/// How the columns of a plan are printed: windows by their two bounds.
fn results(plan: &LogicalPlan) -> Vec<ResultColumn> {
    let fields = plan.schema().fields();
    let mut results = Vec::new();
    let mut index = 0;
    while let Some(field) = fields.get(index) {
        let next = fields.get(index + 1);
        let window = (field.name().strip_suffix(RESULT_START))
            .filter(|w| next.is_some_and(|n| n.name().strip_suffix(RESULT_END) == Some(w)));
        match window {
            Some(name) => {
                let (name, start, end) = (name.to_owned(), index, index + 1);
                results.push(ResultColumn::Window { name, start, end });
                index += 2;
            }
            None => {
                let name = field.name().split(AGAIN).next().unwrap_or_default();
                let name = name.to_owned();
                results.push(ResultColumn::Plain { name, index });
                index += 1;
            }
        }
    }
    told_apart(&mut results);
    results
}

/// Gives names that several results have a number, from the second on: an object of JSON has each
/// of its keys once.
fn told_apart(results: &mut [ResultColumn]) {
    let mut taken: HashSet<String> = results.iter().map(|r| r.name().to_owned()).collect();
    let mut seen = HashSet::new();
    for result in results {
        let (ResultColumn::Plain { name, .. } | ResultColumn::Window { name, .. }) = result;
        if !seen.insert(name.clone()) {
            let numbered = (2..).map(|n: usize| format!("{name}_{n}"));
            let mut free = numbered.filter(|n| !taken.contains(n));
            *name = free.next().expect("numbers do not end");
            taken.insert(name.clone());
        }
    }
}

/// DataFusion's refusal, at the place it names, else at the statement.
fn refused(select: &Select<'_>, error: &DataFusionError) -> SqlError {
    use datafusion::common::SchemaError;
    use datafusion::sql::sqlparser::tokenizer::Location;
    let first = select.chunk.tokens.first();
    let at = first.map_or(select.chunk.end, |t| t.span.start);
    let span = error.diagnostic().and_then(|d| d.span);
    let at = span.map_or(at, |s| {
        let (line, column) = (s.start.line, s.start.column);
        Location { line, column }
    });
    let place = select.place;
    match error.find_root() {
        DataFusionError::External(e) if let Some(mixed) = e.downcast_ref::<Mixed>() => {
            let (at, message) = (mixed.at.unwrap_or(at), mixed.message.clone());
            place.hinted("E0206", at, message, mixed.hint.clone())
        }
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound {
                field,
                valid_fields,
            } => {
                let message = format!("column \"{}\" does not exist", field.name);
                let mut refusal = place.error("E0201", at, message);
                let known = valid_fields.iter().map(|c| c.name.as_str());
                let found = nearest(&field.name, known.filter(|n| !SYSTEM.contains(n)));
                refusal.hint = found.map(|n| format!("did you mean \"{n}\"?"));
                refusal
            }
            SchemaError::AmbiguousReference { field } => {
                let message = format!("column \"{}\" is ambiguous", field.name);
                let name = &field.name;
                let is_bound = name == "window_start" || name == "window_end";
                match views::window_around(select).filter(|_| is_bound) {
                    Some(at) => {
                        let hint = format!(
                            "the window has one, and so has what it is over: \
                             (SELECT {name} AS other, .. FROM t) instead of that"
                        );
                        place.hinted("E0201", at, message, hint)
                    }
                    None => place.hinted("E0201", at, message, "name its relation before it"),
                }
            }
            other => place.error("E0201", at, other.to_string()),
        },
        root if root.strip_backtrace().contains("GROUP BY") => {
            place.error("E0203", at, root.strip_backtrace())
        }
        _ => crate::plan_error::refusal(select, error),
    }
}

/// The result of a future that never waits: tables in memory are there at once.
fn ready<T>(future: impl Future<Output = PlanResult<T>>) -> PlanResult<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(DataFusionError::Internal(
            "planning waited for something".into(),
        )),
    }
}

#[cfg(test)]
mod tests;
