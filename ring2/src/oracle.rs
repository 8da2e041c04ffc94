//! Support for tests: the same SQL, run by DataFusion as a batch. What the engine gives is compared
//! with it. Windows are computed by the functions they are rewritten to.

mod opaque;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use datafusion::arrow::array::{RecordBatch, new_null_array};
use datafusion::arrow::datatypes::{DataType, Schema as ArrowSchema, SchemaRef};
use datafusion::common::DataFusionError;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::{Field, Schema, physical};

use crate::catalog::SourceDef;
use crate::convert::record_batch;
use crate::error::{Error, Result};
use crate::lower_expr::Kernels;
use crate::{PlannedQuery, ResultColumn, SourceFile, alike, clock, planner, script};

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

/// Plans a script as [`crate::plan_script`] does, but with DataFusion's kernels wherever they give
/// what Ring 0's give, at this instant.
///
/// # Errors
/// [`Error::Sql`] for the first statement that is refused.
pub fn plan_generic(files: &[SourceFile], now: SystemTime) -> Result<Vec<PlannedQuery>> {
    let steps = crate::steps_with(files, Kernels::Generic, now, &HashMap::new())?;
    Ok(crate::queries(steps))
}

/// Whether DataFusion knows the constants of a query before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constants {
    /// It computes them, and leaves out what a NULL among them makes needless.
    Known,
    /// It computes all that is written.
    Opaque,
}

/// Runs every query of the script over these tables, at this instant.
///
/// # Errors
/// A refused statement, or what DataFusion fails with.
pub fn batch(
    files: &[SourceFile],
    tables: &[Table],
    now: SystemTime,
    constants: Constants,
) -> Result<Vec<BatchResult>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| Error::Batch(e.to_string()))?;
    let mut results = Vec::new();
    for select in script::read(files)? {
        let failed = |e: DataFusionError| Error::Batch(e.to_string());
        let planned = planner::plan_over(&select, &|source| {
            rows(source, tables).unwrap_or_else(|| (planner::arrow_schema(source), vec![]))
        })?;
        let planned = clock::stopped(planned, now).map_err(failed)?;
        let context = planner::session();
        let plan = alike::floats_alike(planned.plan).map_err(failed)?;
        let plan = match constants {
            Constants::Known => plan,
            Constants::Opaque => opaque::opaque(plan).map_err(failed)?,
        };
        let batches = runtime
            .block_on(async {
                let plan = context.execute_logical_plan(plan).await?;
                plan.collect().await
            })
            .map_err(failed)?;
        let columns = planned.results;
        results.push(BatchResult { columns, batches });
    }
    Ok(results)
}

/// The rows that are given for a source, with all its columns.
fn rows(source: &SourceDef, tables: &[Table]) -> Option<(SchemaRef, Vec<RecordBatch>)> {
    let fields = planner::arrow_schema(source);
    let nullable: Vec<_> = (fields.fields().iter())
        .map(|f| f.as_ref().clone().with_nullable(true))
        .collect();
    let declared: SchemaRef = Arc::new(ArrowSchema::new(nullable));
    let (_, schema, frames) = tables.iter().find(|(name, ..)| *name == source.name)?;
    let mut batches = Vec::new();
    for frame in frames {
        let given = record_batch(schema, frame).expect("frames are of their schema");
        let columns = declared.fields().iter().map(|field| {
            let found = given.column_by_name(field.name()).cloned();
            found.unwrap_or_else(|| new_null_array(field.data_type(), given.num_rows()))
        });
        let whole = RecordBatch::try_new(Arc::clone(&declared), columns.collect());
        batches.push(whole.expect("columns are of the declared types"));
    }
    Some((declared, batches))
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
