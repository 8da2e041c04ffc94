//! From a resolved syntax tree to DataFusion's logical plan. DataFusion gives the types: its
//! analyzer makes casts explicit. No optimizer rule runs: they assume batches, fold the clock, and
//! may drop event time; what lowering needs (projection to the named columns) it does itself.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{DataFusionError, Result as PlanResult, TableReference};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{LogicalPlan, ScalarUDF};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as PlanStatement;
use datafusion::sql::sqlparser::ast::{Query, Statement};

use crate::catalog::SourceDef;
use crate::window::Bound;

/// A session with this engine's settings and functions.
pub(crate) fn session() -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
        .set_bool("datafusion.sql_parser.enable_ident_normalization", true)
        .set_bool("datafusion.sql_parser.collect_spans", true);
    let context = SessionContext::new_with_config(config);
    context.register_udf(ScalarUDF::new_from_impl(Bound::start()));
    context.register_udf(ScalarUDF::new_from_impl(Bound::end()));
    context
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

/// Plans and analyzes.
pub(crate) fn plan(context: &SessionContext, query: &Query) -> PlanResult<LogicalPlan> {
    let state = context.state();
    let statement = Statement::Query(Box::new(query.clone()));
    let statement = PlanStatement::Statement(Box::new(statement));
    let plan = ready(state.statement_to_plan(statement))?;
    state
        .analyzer()
        .execute_and_check(plan, state.config_options(), |_, _| {})
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
