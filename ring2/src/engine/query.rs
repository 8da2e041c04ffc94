//! Queries over what stands in views: DataFusion over a copy of the rows, on a thread of its own,
//! as the caller's may be one of an asynchronous runtime.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, ParamValues};
use datafusion::datasource::MemTable;
use datafusion::execution::context::SQLOptions;
use datafusion::scalar::ScalarValue;

use super::Value;
use super::view::Shared;
use crate::error::{Error, Result};
use crate::{limits, planner};

/// Views by their names.
pub(super) type Tables = Vec<(String, Arc<Shared>)>;

fn failed(error: &DataFusionError) -> Error {
    Error::engine("E0608", error.strip_backtrace())
}

/// The rows of a SELECT.
pub(super) fn run(tables: Tables, sql: &str, params: &[Value<'_>]) -> Result<Vec<RecordBatch>> {
    let params: Vec<ScalarValue> = params.iter().map(scalar).collect();
    limits::with_stack(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|e| Error::engine("E0606", format!("no runtime for a query: {e}")))?;
        let context = planner::session();
        for (name, view) in tables {
            let batch = view.rows()?;
            let table = MemTable::try_new(batch.schema(), vec![vec![batch]]);
            let table = table.map_err(|e| failed(&e))?;
            let added = context.register_table(&*name, Arc::new(table));
            added.map_err(|e| failed(&e))?;
        }
        let only_rows = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        let run = async {
            let frame = context.sql_with_options(sql, only_rows).await?;
            let frame = frame.with_param_values(ParamValues::from(params))?;
            frame.collect().await
        };
        runtime.block_on(run).map_err(|e| failed(&e))
    })
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
