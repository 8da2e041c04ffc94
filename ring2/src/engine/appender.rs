//! Rows going into a channel.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use trefoil_ring0::appender::{self, Pushed, Value};

use super::durable::Ledger;
use super::wakers::Wakers;
use crate::error::{Error, Result};

/// Appends rows to a source with connector = 'channel'. It can be sent to another thread and used
/// by one at a time; its rows stay in order. They are staged until a frame is full or it is
/// flushed; dropping it sends what is staged, without waiting.
#[derive(Debug)]
pub struct Appender {
    rows: appender::Appender,
    wakers: Arc<Wakers>,
    /// What checkpoints hold of it, where it has a name.
    named: Option<(Arc<Ledger>, String)>,
}

impl Appender {
    pub(super) fn new(
        rows: appender::Appender,
        wakers: Arc<Wakers>,
        named: Option<(Arc<Ledger>, String)>,
    ) -> Self {
        Self {
            rows,
            wakers,
            named,
        }
    }

    /// The number of the last row that was appended; of a producer with a name they go on from
    /// [`Self::held`].
    pub fn rows(&self) -> u64 {
        self.rows.rows()
    }

    /// The number of the row behind which it began: every view has those before, and the next one
    /// is to be the one behind it.
    pub fn held(&self) -> u64 {
        self.rows.held()
    }

    /// The number of the last row that is in a durable checkpoint of every view that reads the
    /// source: those up to it are not asked for again. `None` where it has no name, or no view of
    /// the source is kept.
    pub fn durable(&self) -> Option<u64> {
        let (ledger, name) = self.named.as_ref()?;
        ledger.durable(name)
    }

    /// The columns of its source, by name and type.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &DataType)> {
        let fields = self.rows.schema().fields.iter();
        fields.map(|field| (field.name.as_str(), &field.data_type))
    }

    /// Appends a row, of a value for each declared column, and waits for room.
    ///
    /// # Errors
    /// `E0602` where a value does not fit its column, `E0601` where the source was dropped or the
    /// engine shut down. The row is not taken then.
    pub fn append_row(&mut self, row: &[Value<'_>]) -> Result<()> {
        Ok(self.rows.append_row(row)?)
    }

    /// As [`Self::append_row`], and never waits: where there is no room the row is not taken.
    ///
    /// # Errors
    /// As [`Self::append_row`].
    pub fn try_push(&mut self, row: &[Value<'_>]) -> Result<Pushed> {
        Ok(self.rows.try_append_row(row)?)
    }

    /// As [`Self::append_row`], and waits so long at most.
    ///
    /// # Errors
    /// As [`Self::append_row`].
    pub fn push_timeout(&mut self, row: &[Value<'_>], timeout: Duration) -> Result<Pushed> {
        Ok(self.rows.append_row_timeout(row, timeout)?)
    }

    /// As [`Self::append_row`], in a task of any executor: where there is no room it waits without
    /// holding a thread up. Dropped before it is done, the row was not taken.
    ///
    /// # Errors
    /// As [`Self::append_row`].
    pub async fn push(&mut self, row: &[Value<'_>]) -> Result<()> {
        while self.rows.try_append_row(row)? == Pushed::Full {
            self.room().await?;
        }
        Ok(())
    }

    /// As [`Self::append_batch`], in a task of any executor, as [`Self::push`]. Dropped before it
    /// is done, some rows may have been taken, in order.
    ///
    /// # Errors
    /// As [`Self::append_batch`].
    pub async fn push_batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let arrays = self.arrays(batch)?;
        let mut taken = 0;
        loop {
            let rows = taken..batch.num_rows();
            taken += self.rows.try_append_arrays(&arrays, rows)?;
            if taken == batch.num_rows() {
                return Ok(());
            }
            self.room().await?;
        }
    }

    /// As [`Self::flush`], in a task of any executor, as [`Self::push`].
    ///
    /// # Errors
    /// As [`Self::append_row`].
    pub async fn push_flush(&mut self) -> Result<()> {
        self.room().await
    }

    /// All that is staged has left.
    fn room(&mut self) -> Room<'_> {
        Room {
            rows: &mut self.rows,
            wakers: &self.wakers,
            waits: false,
        }
    }

    /// Appends all rows of a batch, whose columns are found by their names, and waits for room.
    ///
    /// # Errors
    /// `E0602` where a column is missing, of another type, or has a NULL where there may be none;
    /// `E0601` as for rows.
    pub fn append_batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let arrays = self.arrays(batch)?;
        Ok(self.rows.append_arrays(&arrays)?)
    }

    /// As [`Self::append_batch`], and never waits: gives back the rows for which there was no room.
    ///
    /// # Errors
    /// As [`Self::append_batch`].
    pub fn try_push_batch(&mut self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let arrays = self.arrays(batch)?;
        let rows = batch.num_rows();
        let taken = self.rows.try_append_arrays(&arrays, 0..rows)?;
        Ok((taken < rows).then(|| batch.slice(taken, rows - taken)))
    }

    fn arrays(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let fields = &self.rows.schema().fields;
        let known = |name: &str| fields.iter().any(|f| f.name == name);
        let schema = batch.schema();
        if let Some(other) = schema.fields().iter().find(|f| !known(f.name())) {
            let message = format!("the source has no column \"{}\"", other.name());
            return Err(Error::engine("E0602", message));
        }
        let column = |name: &String| {
            let found = batch.column_by_name(name).cloned();
            found.ok_or_else(|| {
                Error::engine("E0602", format!("the batch has no column \"{name}\""))
            })
        };
        fields.iter().map(|f| column(&f.name)).collect()
    }

    /// Sends what is staged, and waits for room: a single row leaves at once.
    ///
    /// # Errors
    /// As [`Self::append_row`].
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.rows.flush()?)
    }

    /// Sends what is staged, as far as there is room, and never waits.
    pub fn try_flush(&mut self) -> Pushed {
        self.rows.try_flush()
    }

    /// As [`Self::flush`], and waits so long at most.
    ///
    /// # Errors
    /// As [`Self::append_row`].
    pub fn flush_timeout(&mut self, timeout: Duration) -> Result<Pushed> {
        Ok(self.rows.flush_timeout(timeout)?)
    }

    /// Says that no later row of this appender has an event time below this one, in nanoseconds. It
    /// leaves behind the rows so far, with the next flush.
    pub fn watermark(&mut self, time_ns: i64) {
        self.rows.watermark(time_ns);
    }

    /// Sends what is staged and ends, without waiting.
    pub fn close(self) {
        self.rows.close();
    }
}

impl Appender {
    /// As if it had never been: its source does not hear of an end.
    pub(super) fn abandon(self) {
        self.rows.abandon();
    }
}

/// What is staged on its way into the lanes.
struct Room<'a> {
    rows: &'a mut appender::Appender,
    wakers: &'a Wakers,
    waits: bool,
}

impl Room<'_> {
    fn end(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.wakers.forget(&self.rows.readiness());
            self.rows.disarm();
        }
    }
}

impl Future for Room<'_> {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let room = &mut *self;
        room.end();
        if room.rows.arm() == Pushed::Done {
            return Poll::Ready(Ok(()));
        }
        room.waits = true;
        match room.wakers.wait(room.rows.readiness(), context.waker()) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
