//! A source whose rows other threads send: a channel for each partition, which holds a number of
//! batches and no more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use tokio::sync::oneshot;

use super::bridge::{BridgeSender, BridgeStream, Outlet, bridge};
use super::shape::{Shape, is_of_the_row};
use super::{StreamSource, check_partition};
use crate::limits::BRIDGE_BATCHES;

/// Rows that are sent, to one partition or several. A partition's stream is given once, and ends
/// when its senders are dropped; [`Self::reset`] makes it anew.
#[derive(Debug)]
pub struct ChannelStreamSource {
    schema: SchemaRef,
    capacity: usize,
    partitions: Mutex<Vec<Partition>>,
    /// How often it was reset. Changed under the lock of the partitions.
    generation: AtomicU64,
}

#[derive(Debug)]
struct Partition {
    /// Until it is taken.
    sender: Option<BridgeSender>,
    /// Until a query takes it.
    outlet: Option<Outlet>,
    /// Ends the stream that took it.
    end: oneshot::Sender<()>,
}

impl ChannelStreamSource {
    /// A source of one partition.
    pub fn new(schema: SchemaRef) -> Self {
        Self::with_partitions(schema, 1)
    }

    /// A source of so many partitions.
    ///
    /// # Panics
    /// Where that is none.
    pub fn with_partitions(schema: SchemaRef, partitions: usize) -> Self {
        Self::with_partitions_and_capacity(schema, partitions, BRIDGE_BATCHES)
    }

    /// A source of one partition, whose channel holds so many batches.
    ///
    /// # Panics
    /// Where that is none.
    pub fn with_capacity(schema: SchemaRef, capacity: usize) -> Self {
        Self::with_partitions_and_capacity(schema, 1, capacity)
    }

    /// A source of so many partitions, the channel of each of which holds so many batches.
    ///
    /// # Panics
    /// Where either is none.
    pub fn with_partitions_and_capacity(
        schema: SchemaRef,
        partitions: usize,
        capacity: usize,
    ) -> Self {
        assert!(partitions > 0, "a source has a partition at least");
        assert!(capacity > 0, "a channel holds a batch at least");
        let made = (0..partitions).map(|number| Partition::new(number, &schema, capacity));
        Self {
            partitions: Mutex::new(made.collect()),
            schema,
            capacity,
            generation: AtomicU64::new(0),
        }
    }

    /// What sends to a partition, once. Clone it where several do.
    ///
    /// # Errors
    /// Where it was taken before, or where there is no such partition, saying how many there are.
    pub fn take_sender(&self, partition: usize) -> Result<BridgeSender, DataFusionError> {
        let mut partitions = self.lock();
        check_partition(partition, partitions.len())?;
        partitions[partition].sender.take().ok_or_else(|| {
            let message = format!("the sender of partition {partition} was taken before");
            DataFusionError::Execution(message)
        })
    }

    /// What sends to the partitions, in their order, of all whose sender was not taken yet.
    pub fn take_senders(&self) -> Vec<BridgeSender> {
        let mut partitions = self.lock();
        let senders = partitions.iter_mut().filter_map(|p| p.sender.take());
        senders.collect()
    }

    /// Begins anew, for another query: new senders for all partitions, in their order, as
    /// [`Self::take_senders`] gives them. The old streams end when they have given what was sent
    /// until now, and old senders are told that nobody takes any more. What was sent to a partition
    /// that no query has taken is dropped.
    pub fn reset(&self) -> Vec<BridgeSender> {
        let mut partitions = self.lock();
        self.generation.fetch_add(1, Ordering::Release);
        let numbered = partitions.iter_mut().enumerate();
        let senders = numbered.map(|(number, partition)| {
            let mut new = Partition::new(number, &self.schema, self.capacity);
            let sender = new.sender.take();
            let old = std::mem::replace(partition, new);
            // Where no query has taken the stream nobody hears it.
            _ = old.end.send(());
            sender.expect("a new partition has its sender")
        });
        senders.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Partition>> {
        self.partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Partition {
    fn new(number: usize, schema: &SchemaRef, capacity: usize) -> Self {
        let (sender, outlet, end) = bridge(number, schema, capacity);
        Self {
            sender: Some(sender),
            outlet: Some(outlet),
            end,
        }
    }
}

impl StreamSource for ChannelStreamSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn num_partitions(&self) -> usize {
        self.lock().len()
    }

    fn stream(
        &self,
        partition: usize,
        projection: Option<Vec<usize>>,
        filters: Vec<Expr>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let shape = Shape::new(&self.schema, projection, filters)?;
        let mut partitions = self.lock();
        check_partition(partition, partitions.len())?;
        let outlet = partitions[partition].outlet.take().ok_or_else(|| {
            let message = format!(
                "the stream of partition {partition} was taken before: reset the source to query \
                 it again"
            );
            DataFusionError::Execution(message)
        })?;
        Ok(Box::pin(BridgeStream::new(outlet, shape)))
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn supports_filters(&self, filters: &[Expr]) -> Vec<bool> {
        filters.iter().map(is_of_the_row).collect()
    }
}
