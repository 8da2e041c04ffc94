//! What a view gives, to who has subscribed: every batch, in the order in which it came. A
//! subscriber that stops reading holds the view back.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use futures::task::AtomicWaker;
use trefoil_ring0::mailbox::{Received as FromRing, Receiver};

use super::keeper::Given;
use super::stream::Changes;
use super::view::Shared;
use crate::error::Result;

/// What a look for a batch gives.
#[derive(Debug, PartialEq)]
pub enum Received {
    /// Rows.
    Batch(RecordBatch),
    /// None now.
    Nothing,
    /// None any more: the view's input has ended, or it was dropped.
    End,
}

/// The results of a view. As an iterator it waits for each batch.
#[derive(Debug)]
pub struct Subscription {
    inbox: Receiver<Given>,
    view: Arc<Shared>,
    /// The task that waits for a batch.
    waker: Arc<AtomicWaker>,
}

impl Subscription {
    pub(super) fn new(inbox: Receiver<Given>, view: Arc<Shared>, waker: Arc<AtomicWaker>) -> Self {
        Self { inbox, view, waker }
    }

    /// As a stream, for a task of any executor.
    pub fn changes(self) -> Changes {
        let waker = Arc::clone(&self.waker);
        Changes::new(self, waker)
    }

    /// The next batch, if there is one now.
    ///
    /// # Errors
    /// What the view has failed with.
    pub fn try_next(&mut self) -> Result<Received> {
        let received = self.inbox.try_receive();
        self.received(received)
    }

    /// The next batch; waits so long at most.
    ///
    /// # Errors
    /// What the view has failed with.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Received> {
        let received = self.inbox.receive(Some(timeout));
        self.received(received)
    }

    fn received(&self, received: FromRing<Given>) -> Result<Received> {
        match received {
            FromRing::Value(Given::Rows { rows, .. }) => Ok(Received::Batch(rows)),
            FromRing::Value(Given::Flushed(_)) | FromRing::Nothing => Ok(Received::Nothing),
            FromRing::End => self.view.failure().map_or(Ok(Received::End), Err),
        }
    }

    /// Has the descriptor become readable once there is something to look at. False where there is
    /// already: then it may not.
    pub fn arm(&mut self) -> bool {
        self.inbox.arm()
    }

    /// Ends what [`Self::arm`] began, and quiets the descriptor.
    pub fn disarm(&mut self) {
        self.inbox.disarm();
    }
}

impl Iterator for Subscription {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let received = self.inbox.receive(None);
        match self.received(received) {
            Ok(Received::Batch(batch)) => Some(Ok(batch)),
            Ok(Received::Nothing | Received::End) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// For who waits in poll(2); see [`Subscription::arm`].
impl AsRawFd for Subscription {
    fn as_raw_fd(&self) -> RawFd {
        self.inbox.as_raw_fd()
    }
}
