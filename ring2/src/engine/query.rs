//! Queries over what stands in views: one SELECT in this SQL, run by DataFusion.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, ParamValues, TableReference};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement as PlanStatement;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::Location;
use futures::StreamExt;

use super::Value;
use super::live::LiveTable;
use super::system::System;
use super::view::{Moment, Shared};
use super::workers::Workers;
use crate::error::{Error, Result};
use crate::place::{Chunk, Place};
use crate::syntax::{self, Statement};
use crate::{SourceFile, planner};

/// What a query can name.
#[derive(Debug)]
pub(super) struct Tables {
    /// Views by their names.
    pub(super) views: Vec<(String, Arc<Shared>)>,
    /// When their rows stood.
    pub(super) moment: Moment,
    /// What the engine says of itself, where the query may ask.
    pub(super) system: Option<System>,
}

/// The rows of a SELECT.
pub(super) fn run(
    workers: &Workers,
    tables: Tables,
    sql: &str,
    params: &[Value<'_>],
) -> Result<Vec<RecordBatch>> {
    let params: Vec<ScalarValue> = params.iter().map(scalar).collect();
    let context = planner::session_within(workers.width(), workers.environment()?);
    let (sql, bytes) = (sql.to_owned(), workers.query_bytes());
    workers.run(async move {
        if let Some(system) = tables.system {
            system.register(&context).map_err(|e| failed(&e, bytes))?;
        }
        for (name, view) in tables.views {
            let pool = Arc::clone(&context.runtime_env().memory_pool);
            let table = LiveTable::new(&name, view, tables.moment, &pool);
            let added = context.register_table(TableReference::bare(name), Arc::new(table));
            added.map_err(|e| failed(&e, bytes))?;
        }
        let query = parsed(sql)?;
        let rows = rows(&context, query, params).await;
        rows.map_err(|e| failed(&e, bytes))
    })
}

/// The one SELECT of a text.
fn parsed(sql: String) -> Result<ast::Query> {
    let file = SourceFile {
        name: "<sql>".to_owned(),
        text: sql,
        base: PathBuf::from("."),
    };
    let place = Place { file: &file };
    let chunks = place.chunks()?;
    let hint = "execute runs any number of statements";
    let [chunk] = &chunks[..] else {
        let at = chunks.get(1).map_or(Location::new(1, 1), Chunk::start);
        let message = format!("a query is one SELECT, and not {} statements", chunks.len());
        return Err(place.hinted("E0303", at, message, hint).into());
    };
    match syntax::read(place, chunk)? {
        Statement::Query(query) if query.emit.is_none() => Ok(*query.query),
        Statement::Query(query) => {
            let message = "a query gives the rows that stand, and no changes";
            let hint = "subscribe to the view";
            Err(place.hinted("E0303", query.emit_at.0, message, hint).into())
        }
        _ => {
            let message = "a query is a SELECT";
            Err(place.hinted("E0303", chunk.start(), message, hint).into())
        }
    }
}

/// The rows of a query, within its memory.
async fn rows(
    context: &SessionContext,
    query: ast::Query,
    params: Vec<ScalarValue>,
) -> Result<Vec<RecordBatch>, DataFusionError> {
    let statement = ast::Statement::Query(Box::new(query));
    let statement = PlanStatement::Statement(Box::new(statement));
    let plan = context.state().statement_to_plan(statement).await?;
    let frame = context.execute_logical_plan(plan).await?;
    let frame = frame.with_param_values(ParamValues::from(params))?;
    let mut stream = frame.execute_stream().await?;
    // What is kept for the caller counts, too.
    let kept = MemoryConsumer::new("results").register(&context.runtime_env().memory_pool);
    let mut rows = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        kept.try_grow(batch.get_array_memory_size())?;
        rows.push(batch);
    }
    if rows.is_empty() {
        // It says which columns there are.
        rows.push(RecordBatch::new_empty(stream.schema()));
    }
    Ok(rows)
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
        // What a view has failed with.
        DataFusionError::External(own) if let Some(own) = own.downcast_ref::<Error>() => {
            Error::engine(own.code(), own.to_string())
        }
        _ => Error::engine("E0608", error.strip_backtrace()),
    }
}

fn scalar(value: &Value<'_>) -> ScalarValue {
    match *value {
        Value::Null => ScalarValue::Null,
        Value::Bool(v) => v.into(),
        Value::I64(v) => v.into(),
        Value::U64(v) => v.into(),
        Value::I128(v) => ScalarValue::Decimal128(Some(v), 38, 0),
        Value::F64(v) => v.into(),
        Value::Str(v) => v.into(),
        Value::Bytes(v) => ScalarValue::Binary(Some(v.to_vec())),
    }
}
