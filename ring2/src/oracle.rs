//! Support for tests: the same SQL, run by DataFusion as a batch. What the engine gives is compared
//! with it. Windows are computed by the functions they are rewritten to.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::{Field, Schema, physical};

use crate::convert::record_batch;
use crate::error::{Error, Result};
use crate::{ResultColumn, SourceFile, planner, resolve, script};

/// What a query gives.
#[derive(Debug)]
pub struct BatchResult {
    /// How the columns are printed.
    pub columns: Vec<ResultColumn>,
    /// The rows, in no particular order.
    pub batches: Vec<RecordBatch>,
}

/// Rows of a source: its name, the schema of the frames (some of the declared columns), the frames.
/// Columns that are left out are NULL.
pub type Table = (String, Schema, Vec<Frame>);

/// Runs every query of the script over these tables.
///
/// # Errors
/// A refused statement, or what DataFusion fails with.
pub fn batch(files: &[SourceFile], tables: &[Table]) -> Result<Vec<BatchResult>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| Error::Batch(e.to_string()))?;
    let mut results = Vec::new();
    for select in script::read(files)? {
        let resolved = resolve::resolve(&select)?;
        let context = planner::session();
        let failed = |e: DataFusionError| Error::Batch(e.to_string());
        let source = &resolved.source;
        let declared = planner::arrow_schema(source);
        let mut batches = Vec::new();
        let rows = tables.iter().filter(|(name, ..)| *name == source.name);
        for (_, schema, frames) in rows {
            for frame in frames {
                let given = record_batch(schema, frame).map_err(|e| failed(e.into()))?;
                let columns = declared.fields().iter().map(|field| {
                    let found = given.column_by_name(field.name()).cloned();
                    found.unwrap_or_else(|| {
                        datafusion::arrow::array::new_null_array(
                            field.data_type(),
                            given.num_rows(),
                        )
                    })
                });
                let nullable: Vec<_> = (declared.fields().iter())
                    .map(|f| f.as_ref().clone().with_nullable(true))
                    .collect();
                let nullable = datafusion::arrow::datatypes::Schema::new(nullable);
                let whole = RecordBatch::try_new(nullable.into(), columns.collect());
                batches.push(whole.map_err(|e| failed(e.into()))?);
            }
        }
        let schema = batches.first().map_or(declared, RecordBatch::schema);
        planner::register(&context, &source.name, schema, batches).map_err(failed)?;
        let plan = planner::plan(&context, &resolved.query).map_err(failed)?;
        let batches = runtime
            .block_on(async { context.execute_logical_plan(plan).await?.collect().await })
            .map_err(failed)?;
        let columns = resolved.results;
        results.push(BatchResult { columns, batches });
    }
    Ok(results)
}

/// The columns of a declared source that Ring 0 can hold, as a schema for [`batch`].
///
/// # Errors
/// A refused statement.
pub fn source_schema(files: &[SourceFile], name: &str) -> Result<Option<Schema>> {
    let queries = script::read(files)?;
    let source = queries.last().and_then(|q| q.catalog.sources.get(name));
    let held = |t: &DataType| physical(t).is_some();
    Ok(source.map(|s| {
        let columns = s.columns.iter().filter(|c| held(&c.data_type));
        Schema::new(
            columns
                .map(|c| Field::new(&c.name, c.data_type.clone()))
                .collect(),
        )
    }))
}
