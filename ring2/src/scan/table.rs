//! A [`StreamSource`] as a table of DataFusion.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::DataFusionError;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

use super::{StreamSource, StreamSourceRef, StreamingScanExec};

/// A table whose scan takes the streams of a source.
#[derive(Debug)]
pub struct StreamingTableProvider {
    name: String,
    source: StreamSourceRef,
}

impl StreamingTableProvider {
    /// The table of a source. The name is for who looks at it.
    pub fn new(name: impl Into<String>, source: Arc<dyn StreamSource>) -> Self {
        let name = name.into();
        Self { name, source }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its source.
    pub fn source(&self) -> &StreamSourceRef {
        &self.source
    }
}

#[async_trait]
impl TableProvider for StreamingTableProvider {
    fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        let filters: Vec<Expr> = filters.iter().map(|f| (*f).clone()).collect();
        let supported = self.source.supports_filters(&filters).into_iter();
        Ok(supported
            .map(|exactly| match exactly {
                true => TableProviderFilterPushDown::Exact,
                false => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        // Who limits drops the streams when it has enough.
        let source = Arc::clone(&self.source);
        let scan = StreamingScanExec::try_new(source, projection.cloned(), filters.to_vec())?;
        Ok(Arc::new(scan))
    }
}
