//! DataFusion's MemTable of the same rows, and the view as a table beside it: each in a session as
//! wide as the engine's own, on a runtime with as many threads, on the same cores.

use std::sync::Arc;

use arrow_array::RecordBatch;
use tokio::runtime::Runtime;
use trefoil::datafusion::catalog::TableProvider;
use trefoil::datafusion::datasource::MemTable;
use trefoil::datafusion::error::DataFusionError;
use trefoil::datafusion::prelude::{SessionConfig, SessionContext};
use trefoil_ring0::preflight::keep_thread_to;

use super::VIEW;
use super::data::Groups;
use super::live::Live;
use crate::failure::Failure;

/// Planning recurses.
const STACK_BYTES: usize = 64 << 20;

pub(super) struct Memory {
    runtime: Runtime,
    memory: SessionContext,
    live: SessionContext,
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Running(format!("DataFusion: {error}"))
}

impl Memory {
    /// The rows in so many partitions.
    pub(super) fn new(groups: &Groups, parts: usize, live: &Live) -> Result<Self, Failure> {
        let parts = groups.rows(parts);
        let schema = parts.iter().flatten().next().map(RecordBatch::schema);
        let schema = schema.ok_or_else(|| failed("there are no rows"))?;
        let table = MemTable::try_new(schema, parts).map_err(failed)?;
        let cores = live.cores.clone();
        let width = cores.len();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(width)
            .thread_stack_size(STACK_BYTES)
            .on_thread_start(move || {
                // Where that is refused it is slower, or faster, and no answer another one.
                _ = keep_thread_to(&cores);
            })
            .build()
            .map_err(failed)?;
        let context = |table: Arc<dyn TableProvider>| {
            let config = SessionConfig::new().with_target_partitions(width);
            let context = SessionContext::new_with_config(config);
            context.register_table(VIEW, table).map_err(failed)?;
            Ok::<_, Failure>(context)
        };
        Ok(Self {
            runtime,
            memory: context(Arc::new(table))?,
            live: context(live.table()?)?,
        })
    }

    /// The rows of a query over the MemTable.
    pub(super) fn query(&self, sql: &str) -> Result<Vec<RecordBatch>, Failure> {
        self.run(&self.memory, sql)
    }

    /// Those of one over the view.
    pub(super) fn query_live(&self, sql: &str) -> Result<Vec<RecordBatch>, Failure> {
        self.run(&self.live, sql)
    }

    fn run(&self, context: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, Failure> {
        let (context, sql) = (context.clone(), sql.to_owned());
        let query = async move {
            let frame = context.sql(&sql).await?;
            let rows = frame.collect().await?;
            Ok::<_, DataFusionError>(rows)
        };
        let task = self.runtime.spawn(query);
        let done = self.runtime.block_on(task).map_err(failed)?;
        done.map_err(failed)
    }
}
