//! What a view gives, as a stream for a task of any executor: the thread of the view wakes it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use datafusion::arrow::array::RecordBatch;
use futures::Stream;
use futures::task::AtomicWaker;

use super::{Received, Subscription};
use crate::error::Result;

/// The results of a view as a stream; it ends behind an error.
#[derive(Debug)]
pub struct Changes {
    subscription: Subscription,
    waker: Arc<AtomicWaker>,
    is_over: bool,
}

impl Changes {
    pub(super) fn new(subscription: Subscription, waker: Arc<AtomicWaker>) -> Self {
        Self {
            subscription,
            waker,
            is_over: false,
        }
    }
}

impl Stream for Changes {
    type Item = Result<RecordBatch>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<RecordBatch>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let mut received = self.subscription.try_next();
        if let Ok(Received::Nothing) = received {
            self.waker.register(context.waker());
            // What came before that has woken nobody.
            received = self.subscription.try_next();
        }
        match received {
            Ok(Received::Nothing) => Poll::Pending,
            Ok(Received::Batch(batch)) => Poll::Ready(Some(Ok(batch))),
            Ok(Received::End) => {
                self.is_over = true;
                Poll::Ready(None)
            }
            Err(error) => {
                self.is_over = true;
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}
