//! A bounded channel of batches, from who pushes them to DataFusion, which pulls. Who sends waits
//! while it is full, and is told when nobody takes any more. Filters and projection are applied
//! where batches are taken.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::execution::RecordBatchStream;
use futures::{FutureExt, Stream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::shape::Shape;

type Item = Result<RecordBatch, DataFusionError>;

/// Why a batch was not sent.
#[derive(Debug, thiserror::Error)]
pub enum BridgeSendError {
    /// Nobody takes what is sent: the query has ended, or the source was reset.
    #[error("the receiver of the stream was dropped")]
    ReceiverDropped,
    /// The batch is of other columns.
    #[error("the batch does not fit the columns of its stream")]
    Columns(#[source] ArrowError),
}

/// Why a batch was not sent at once.
#[derive(Debug, thiserror::Error)]
pub enum BridgeTrySendError {
    /// There is no room now.
    #[error("the channel of the stream is full")]
    Full,
    /// Nobody takes what is sent: the query has ended, or the source was reset.
    #[error("the receiver of the stream was dropped")]
    ReceiverDropped,
    /// The batch is of other columns.
    #[error("the batch does not fit the columns of its stream")]
    Columns(#[source] ArrowError),
}

/// What sends to a partition. Its stream ends when all clones are dropped.
#[derive(Debug, Clone)]
pub struct BridgeSender {
    partition: usize,
    schema: SchemaRef,
    sender: mpsc::Sender<Item>,
}

impl BridgeSender {
    /// The partition that it sends to.
    pub fn partition(&self) -> usize {
        self.partition
    }

    /// Sends a batch, once there is room.
    ///
    /// # Errors
    /// Where nobody takes it any more, and where it is of other columns.
    pub async fn send(&self, batch: RecordBatch) -> Result<(), BridgeSendError> {
        let batch = self.fitted(batch).map_err(BridgeSendError::Columns)?;
        let sent = self.sender.send(Ok(batch)).await;
        sent.map_err(|_| BridgeSendError::ReceiverDropped)
    }

    /// As [`Self::send`], from a thread that runs no tasks.
    ///
    /// # Errors
    /// As [`Self::send`].
    ///
    /// # Panics
    /// Within an asynchronous runtime.
    pub fn blocking_send(&self, batch: RecordBatch) -> Result<(), BridgeSendError> {
        let batch = self.fitted(batch).map_err(BridgeSendError::Columns)?;
        let sent = self.sender.blocking_send(Ok(batch));
        sent.map_err(|_| BridgeSendError::ReceiverDropped)
    }

    /// Sends a batch where there is room for it now.
    ///
    /// # Errors
    /// Where there is none, and as [`Self::send`].
    pub fn try_send(&self, batch: RecordBatch) -> Result<(), BridgeTrySendError> {
        let batch = self.fitted(batch).map_err(BridgeTrySendError::Columns)?;
        self.sender.try_send(Ok(batch)).map_err(|e| match e {
            TrySendError::Full(_) => BridgeTrySendError::Full,
            TrySendError::Closed(_) => BridgeTrySendError::ReceiverDropped,
        })
    }

    /// Ends the query that takes the stream with an error, once there is room.
    ///
    /// # Errors
    /// Where nobody takes it any more.
    pub async fn send_error(&self, error: DataFusionError) -> Result<(), BridgeSendError> {
        let sent = self.sender.send(Err(error)).await;
        sent.map_err(|_| BridgeSendError::ReceiverDropped)
    }

    /// Whether nobody takes what is sent any more.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// The batch under the stream's own schema, of which DataFusion was told.
    fn fitted(&self, batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
        if Arc::ptr_eq(batch.schema_ref(), &self.schema) {
            return Ok(batch);
        }
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let (_, columns, _) = batch.into_parts();
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &rows)
    }
}

/// The other end of a channel, before a query takes it.
#[derive(Debug)]
pub(super) struct Outlet {
    receiver: mpsc::Receiver<Item>,
    /// Told that the source was reset. That it was dropped means nothing.
    reset: Option<oneshot::Receiver<()>>,
}

/// A channel of `partition`; what is sent through the third says that the source was reset.
pub(super) fn bridge(
    partition: usize,
    schema: &SchemaRef,
    capacity: usize,
) -> (BridgeSender, Outlet, oneshot::Sender<()>) {
    let (sender, receiver) = mpsc::channel(capacity);
    let (end, reset) = oneshot::channel();
    let sender = BridgeSender {
        partition,
        schema: Arc::clone(schema),
        sender,
    };
    let reset = Some(reset);
    (sender, Outlet { receiver, reset }, end)
}

/// The stream of a partition.
#[derive(Debug)]
pub(super) struct BridgeStream {
    outlet: Outlet,
    shape: Shape,
}

impl BridgeStream {
    pub(super) fn new(outlet: Outlet, shape: Shape) -> Self {
        Self { outlet, shape }
    }
}

impl Stream for BridgeStream {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        if let Some(reset) = &mut self.outlet.reset
            && let Poll::Ready(told) = reset.poll_unpin(cx)
        {
            self.outlet.reset = None;
            if told.is_ok() {
                // What is in the channel is still given; nothing more gets into it.
                self.outlet.receiver.close();
            }
        }
        loop {
            let Some(item) = ready!(self.outlet.receiver.poll_recv(cx)) else {
                return Poll::Ready(None);
            };
            let item = item.and_then(|batch| self.shape.of(batch));
            if item.as_ref().is_ok_and(|batch| batch.num_rows() == 0) {
                continue;
            }
            return Poll::Ready(Some(item));
        }
    }
}

impl RecordBatchStream for BridgeStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.shape.schema())
    }
}
