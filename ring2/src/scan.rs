//! Scans by DataFusion of what other threads send, or have: a source has partitions, each of them a
//! stream of its own, and a scan has as many ([`StreamingScanExec`]), so that nothing is exchanged
//! before it must be. Nothing here knows shards or frames.
//!
//! ```
//! use std::sync::Arc;
//! use trefoil::scan::{ChannelStreamSource, StreamingTableProvider};
//! use trefoil::scan::create_partitioned_streaming_context;
//! # use datafusion::arrow::array::{Int64Array, RecordBatch};
//! # use datafusion::arrow::datatypes::{DataType, Field, Schema};
//!
//! # tokio::runtime::Builder::new_multi_thread().build()?.block_on(async {
//! let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
//! let source = Arc::new(ChannelStreamSource::with_partitions(Arc::clone(&schema), 2));
//! for (number, sender) in source.take_senders().into_iter().enumerate() {
//!     let numbers = Int64Array::from(vec![number as i64]);
//!     sender.send(RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(numbers)])?).await?;
//!     // The sender is dropped: its partition ends.
//! }
//! let context = create_partitioned_streaming_context(2);
//! context.register_table("numbers", Arc::new(StreamingTableProvider::new("numbers", source)))?;
//! let rows = context.sql("SELECT n FROM numbers").await?.collect().await?;
//! assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bridge;
mod channel;
mod context;
mod exec;
pub(crate) mod shape;
mod snapshot;
mod table;

use std::fmt::Debug;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;

pub use self::bridge::{BridgeSendError, BridgeSender, BridgeTrySendError};
pub use self::channel::ChannelStreamSource;
pub use self::context::{create_partitioned_streaming_context, create_streaming_context};
pub use self::exec::StreamingScanExec;
pub use self::snapshot::{SnapshotProvider, SourceSnapshotProvider};
pub use self::table::StreamingTableProvider;

/// Rows that come in streams, one for each partition.
pub trait StreamSource: Debug + Send + Sync {
    /// The columns of its rows.
    fn schema(&self) -> SchemaRef;

    /// How many streams it has: at least one, and always as many.
    fn num_partitions(&self) -> usize {
        1
    }

    /// Whether its streams end by themselves, whoever sends: then what waits for an end can be
    /// asked.
    fn is_bounded(&self) -> bool {
        false
    }

    /// The stream of a partition: of each row for which all `filters` are true (they may name any
    /// column) the columns of `projection`, in that order; `None` is all of them. The rows of a
    /// partition stay in order. Filters that [`Self::supports_filters`] does not take need not be
    /// looked at.
    ///
    /// # Errors
    /// Where there is no such partition, saying how many there are, or no stream of it any more.
    fn stream(
        &self,
        partition: usize,
        projection: Option<Vec<usize>>,
        filters: Vec<Expr>,
    ) -> Result<SendableRecordBatchStream, DataFusionError>;

    /// How often it began anew. A plan that opened streams of an earlier beginning, and did not ask
    /// for all of them, drops these when it runs again.
    fn generation(&self) -> u64 {
        0
    }

    /// Of each filter, whether [`Self::stream`] honours it exactly. DataFusion does the others.
    fn supports_filters(&self, filters: &[Expr]) -> Vec<bool> {
        vec![false; filters.len()]
    }
}

/// A source in the hands of several.
pub type StreamSourceRef = Arc<dyn StreamSource>;

/// Refuses a partition that is not there.
pub(crate) fn check_partition(partition: usize, partitions: usize) -> Result<(), DataFusionError> {
    if partition < partitions {
        return Ok(());
    }
    let there_are = match partitions {
        1 => "there is 1 partition".to_owned(),
        n => format!("there are {n} partitions"),
    };
    let message = format!("partition {partition} is out of range: {there_are}");
    Err(DataFusionError::Execution(message))
}

/// The columns of a projection.
fn projected(
    schema: &SchemaRef,
    projection: Option<&[usize]>,
) -> Result<SchemaRef, DataFusionError> {
    Ok(match projection {
        Some(columns) => Arc::new(schema.project(columns)?),
        None => Arc::clone(schema),
    })
}
