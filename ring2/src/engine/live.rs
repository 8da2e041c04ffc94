//! A view as a table of DataFusion, for one query: partition i is shard i, and all its scans see
//! the rows of one moment, which is when the first of them begins. Where filters name the whole key
//! of a view that is scanned once, only the rows with these keys are looked up. Rows become columns
//! outside of the view's lock, slice by slice, as the query pulls them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::DataFusionError;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use tokio::sync::OnceCell;

use super::fold::{Layout, Rest, Snapshot};
use super::probe::keys_named;
use super::view::{Moment, Shared};
use crate::limits::SLICE_ROWS;
use crate::scan::shape::{Shape, is_of_the_row};
use crate::scan::{StreamSource, StreamingScanExec, check_partition};

/// The rows of a view, for one query.
#[derive(Debug)]
struct LiveRows {
    view: Arc<Shared>,
    moment: Moment,
    layout: Arc<Layout>,
    /// Scans of the query's plan.
    scans: AtomicUsize,
    pinned: OnceCell<Result<Arc<Snapshot>, Arc<DataFusionError>>>,
    memory: MemoryReservation,
}

/// The table of a view, for one query.
#[derive(Debug, Clone)]
pub(super) struct LiveTable(Arc<LiveRows>);

impl LiveTable {
    /// Of a query that takes its memory from `pool`.
    pub(super) fn new(
        name: &str,
        view: Arc<Shared>,
        moment: Moment,
        pool: &Arc<dyn MemoryPool>,
    ) -> Self {
        Self(Arc::new(LiveRows {
            layout: view.layout(),
            view,
            moment,
            scans: AtomicUsize::new(0),
            pinned: OnceCell::new(),
            memory: MemoryConsumer::new(format!("rows of {name}")).register(pool),
        }))
    }
}

/// The table of a view in a session that is not the engine's: each scan has a moment of its own.
#[derive(Debug)]
pub(super) struct ViewTable {
    name: String,
    view: Arc<Shared>,
    moment: Moment,
}

impl ViewTable {
    pub(super) fn new(name: &str, view: Arc<Shared>, moment: Moment) -> Self {
        let name = name.to_owned();
        Self { name, view, moment }
    }
}

#[async_trait]
impl TableProvider for ViewTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.view.layout().schema())
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(pushdown(filters))
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let pool = &session.runtime_env().memory_pool;
        let table = LiveTable::new(&self.name, Arc::clone(&self.view), self.moment, pool);
        table.scan(session, projection, filters, limit).await
    }
}

/// Which filters a scan honours.
fn pushdown(filters: &[&Expr]) -> Vec<TableProviderFilterPushDown> {
    let exactly = |filter: &&Expr| match is_of_the_row(filter) {
        true => TableProviderFilterPushDown::Exact,
        false => TableProviderFilterPushDown::Unsupported,
    };
    filters.iter().map(exactly).collect()
}

#[async_trait]
impl TableProvider for LiveTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.0.layout.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(pushdown(filters))
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        self.0.scans.fetch_add(1, Ordering::Relaxed);
        let scan = StreamingScanExec::try_new(
            Arc::new(self.clone()),
            projection.cloned(),
            filters.to_vec(),
        )?;
        Ok(Arc::new(scan))
    }
}

impl LiveRows {
    /// The rows of the moment at which this is asked for the first time.
    async fn pin(&self, filters: &[Expr]) -> Result<Arc<Snapshot>, DataFusionError> {
        let snapshot = || async { self.snapshot(filters).await.map_err(Arc::new) };
        match self.pinned.get_or_init(snapshot).await {
            Ok(snapshot) => Ok(Arc::clone(snapshot)),
            Err(error) => Err(DataFusionError::Shared(Arc::clone(error))),
        }
    }

    async fn snapshot(&self, filters: &[Expr]) -> Result<Arc<Snapshot>, DataFusionError> {
        // Two scans have two sets of filters, and are to see the same rows.
        let keys = match self.scans.load(Ordering::Relaxed) {
            1 => keys_named(filters, &self.layout)?,
            _ => None,
        };
        let found = self.view.rows(self.moment, keys).await;
        let snapshot = found.map_err(|e| DataFusionError::External(Box::new(e)))?;
        self.memory.try_grow(snapshot.bytes())?;
        Ok(snapshot)
    }
}

impl StreamSource for LiveTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.0.layout.schema())
    }

    fn num_partitions(&self) -> usize {
        self.0.view.shards()
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn stream(
        &self,
        partition: usize,
        projection: Option<Vec<usize>>,
        filters: Vec<Expr>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        check_partition(partition, self.num_partitions())?;
        let shape = Shape::new(self.0.layout.schema(), projection, filters.clone())?;
        let schema = Arc::clone(shape.schema());
        let rest = self.0.layout.rest(shape.columns());
        let rows = Arc::clone(&self.0);
        let batches = async move {
            let snapshot = rows.pin(&filters).await?;
            let rows = snapshot.len(partition);
            let batches = (0..rows).step_by(SLICE_ROWS).map(move |from| {
                let slice = from..rows.min(from + SLICE_ROWS);
                shaped(&snapshot, (partition, slice), rest, &shape)
            });
            let some = batches.filter(|batch| batch.as_ref().map_or(true, |b| b.num_rows() > 0));
            Ok::<_, DataFusionError>(futures::stream::iter(some))
        };
        let stream = futures::stream::once(batches).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

/// What comes out of some rows of a shard.
fn shaped(
    snapshot: &Snapshot,
    (shard, rows): (usize, Range<usize>),
    rest: Rest,
    shape: &Shape,
) -> Result<RecordBatch, DataFusionError> {
    if shape.counts_only() {
        let count = RecordBatchOptions::new().with_row_count(Some(snapshot.count(shard, rows)));
        let schema = Arc::clone(shape.schema());
        let none: Vec<ArrayRef> = Vec::new();
        return Ok(RecordBatch::try_new_with_options(schema, none, &count)?);
    }
    shape.of(snapshot.part(shard, rows, rest)?)
}
