//! What somebody has, as it stands when it is scanned, as a table of DataFusion.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::common::DataFusionError;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

/// Who has rows, and can say what they are now.
pub trait SnapshotProvider: Debug + Send + Sync {
    /// The columns of the rows.
    fn schema(&self) -> SchemaRef;

    /// The rows that stand now.
    ///
    /// # Errors
    /// Where they cannot be had.
    fn snapshot(&self) -> Result<Vec<RecordBatch>, DataFusionError>;
}

/// A table of what stands when a query is planned. The batches are dealt in turn to as many
/// partitions as the session has for its work (`target_partitions`).
#[derive(Debug)]
pub struct SourceSnapshotProvider {
    source: Arc<dyn SnapshotProvider>,
}

impl SourceSnapshotProvider {
    /// The table of these rows.
    pub fn new(source: Arc<dyn SnapshotProvider>) -> Self {
        Self { source }
    }
}

#[async_trait]
impl TableProvider for SourceSnapshotProvider {
    fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let partitions = session.config().target_partitions();
        let mut dealt: Vec<Vec<RecordBatch>> = vec![Vec::new(); partitions];
        for (number, batch) in self.source.snapshot()?.into_iter().enumerate() {
            dealt[number % partitions].push(batch);
        }
        let rows = MemorySourceConfig::try_new(&dealt, self.source.schema(), projection.cloned())?;
        Ok(datafusion::catalog::memory::DataSourceExec::from_data_source(rows.with_limit(limit)))
    }
}
