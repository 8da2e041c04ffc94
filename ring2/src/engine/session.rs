//! SUBSCRIBE in SQL: what a view gives from then on, those rows of it that are wanted. It waits in
//! a bounded queue; who takes too little is told so, and holds nobody back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, StringArray,
};
use datafusion::arrow::compute::{concat_batches, filter_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::physical_expr::PhysicalExpr;

use super::view::{Shared, wrong};
use super::{Received, wanted};
use crate::error::{Error, Result};
use crate::limits::SESSION_BATCHES;
use crate::lower_expr::cause;

const INSERT: &str = "+I";
const DELETE: &str = "-D";
const UPDATE_BEFORE: &str = "-U";

/// Rows of a shard.
type FromShard = (usize, RecordBatch);

/// The view's end of a SUBSCRIBE.
#[derive(Debug)]
pub(super) struct Listener {
    to: SyncSender<FromShard>,
    fell_behind: Arc<AtomicBool>,
}

impl Listener {
    /// Gives it rows; whether it wants more.
    pub(super) fn give(&self, shard: usize, rows: &RecordBatch) -> bool {
        match self.to.try_send((shard, rows.clone())) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.fell_behind.store(true, Ordering::Release);
                false
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

/// A SUBSCRIBE, in the hands of its session. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Listening {
    inbox: Receiver<FromShard>,
    fell_behind: Arc<AtomicBool>,
    view: Arc<Shared>,
    columns: SchemaRef,
    wanted: Option<Wanted>,
}

/// Which rows are wanted.
#[derive(Debug)]
struct Wanted {
    predicate: Arc<dyn PhysicalExpr>,
    /// Whether the first column says what a row does.
    changes: bool,
    /// Of each shard what its last batch ended with, where that is to be replaced by the row behind
    /// it.
    held: Vec<Option<RecordBatch>>,
}

impl Listening {
    /// Of a view, whose rows have these columns.
    pub(super) fn new(view: &Arc<Shared>, columns: SchemaRef, asked: wanted::Wanted) -> Self {
        let (to, inbox) = sync_channel(SESSION_BATCHES);
        let fell_behind: Arc<AtomicBool> = Arc::default();
        view.listen(Listener {
            to,
            fell_behind: Arc::clone(&fell_behind),
        });
        let wanted::Wanted { predicate, changes } = asked;
        let wanted = predicate.map(|predicate| Wanted {
            predicate,
            changes,
            held: vec![None; view.shards()],
        });
        Self {
            inbox,
            fell_behind,
            view: Arc::clone(view),
            columns,
            wanted,
        }
    }

    /// The columns of its rows.
    pub(super) fn columns(&self) -> &SchemaRef {
        &self.columns
    }

    /// The next rows; waits so long at most.
    pub(super) fn next_timeout(&mut self, timeout: Duration) -> Result<Received> {
        let received = match timeout.is_zero() {
            true => self.inbox.try_recv().map_err(|e| match e {
                std::sync::mpsc::TryRecvError::Empty => RecvTimeoutError::Timeout,
                std::sync::mpsc::TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            }),
            false => self.inbox.recv_timeout(timeout),
        };
        match received {
            Ok((shard, rows)) => {
                let rows = match &mut self.wanted {
                    None => rows,
                    Some(wanted) => wanted.of(shard, rows)?,
                };
                Ok(Received::Batch(rows))
            }
            Err(RecvTimeoutError::Timeout) => Ok(Received::Nothing),
            Err(RecvTimeoutError::Disconnected) if self.fell_behind.load(Ordering::Acquire) => {
                let message = format!(
                    "{SESSION_BATCHES} batches wait for who has subscribed, and no more are kept"
                );
                Err(Error::engine("E0614", message))
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.view.failure().map_or(Ok(()), Err)?;
                let rest = self.wanted.as_mut().map(Wanted::rest).transpose()?;
                Ok(match rest.flatten() {
                    Some(rows) => Received::Batch(rows),
                    None => Received::End,
                })
            }
        }
    }
}

impl Wanted {
    /// Those rows of a batch that are wanted. Of an update one of whose rows is wanted, and one is
    /// not, a deletion or an insertion is left.
    fn of(&mut self, shard: usize, rows: RecordBatch) -> Result<RecordBatch> {
        if !self.changes {
            let is_wanted = self.is_wanted(rows.columns(), &rows)?;
            return filter_record_batch(&rows, &is_wanted).map_err(|e| wrong(&e));
        }
        let rows = match self.held[shard].take() {
            Some(held) => concat_batches(&rows.schema(), [&held, &rows]).map_err(|e| wrong(&e))?,
            None => rows,
        };
        let ops = rows.column(0).as_string::<i32>();
        let is_open = ops.iter().next_back() == Some(Some(UPDATE_BEFORE));
        let whole = rows.num_rows() - usize::from(is_open);
        if is_open {
            self.held[shard] = Some(rows.slice(whole, 1));
        }
        let rows = rows.slice(0, whole);
        let wanted = self.is_wanted(&rows.columns()[1..], &rows)?;
        let ops = told(rows.column(0).as_string::<i32>(), &wanted);
        let kept = filter_record_batch(&with_ops(&rows, ops).map_err(|e| wrong(&e))?, &wanted);
        kept.map_err(|e| wrong(&e))
    }

    /// What was to be replaced when the view ended.
    fn rest(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(rows) = self.held.iter_mut().find_map(Option::take) {
            let wanted = self.is_wanted(&rows.columns()[1..], &rows)?;
            let ops = StringArray::from_iter_values([DELETE]);
            let rows = with_ops(&rows, ops).and_then(|rows| filter_record_batch(&rows, &wanted));
            return rows.map(Some).map_err(|e| wrong(&e));
        }
        Ok(None)
    }

    /// Whether each row is wanted.
    fn is_wanted(&self, columns: &[ArrayRef], rows: &RecordBatch) -> Result<BooleanArray> {
        let first = rows.num_columns() - columns.len();
        let fields: Vec<_> = rows.schema().fields().iter().skip(first).cloned().collect();
        let schema = Arc::new(datafusion::arrow::datatypes::Schema::new(fields));
        let count = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let own = RecordBatch::try_new_with_options(schema, columns.to_vec(), &count);
        let own = own.map_err(|e| wrong(&e))?;
        let failed = |e| Error::engine("E0607", cause(&e));
        let value = self.predicate.evaluate(&own).map_err(failed)?;
        let value = value.into_array(rows.num_rows()).map_err(failed)?;
        // NULL is not true.
        Ok(value
            .as_boolean()
            .iter()
            .map(|is| Some(is == Some(true)))
            .collect())
    }
}

/// What rows do once those that are not wanted are left out.
fn told(ops: &StringArray, wanted: &BooleanArray) -> StringArray {
    let other = |row: usize| match ops.value(row) {
        UPDATE_BEFORE => row + 1,
        _ => row - 1,
    };
    let told = (0..ops.len()).map(|row| match ops.value(row) {
        "-U" | "+U" if wanted.value(other(row)) => ops.value(row),
        "-U" => DELETE,
        "+U" => INSERT,
        op => op,
    });
    StringArray::from_iter_values(told)
}

fn with_ops(rows: &RecordBatch, ops: StringArray) -> std::result::Result<RecordBatch, ArrowError> {
    let mut columns = rows.columns().to_vec();
    columns[0] = Arc::new(ops);
    RecordBatch::try_new(rows.schema(), columns)
}

/// A cursor: a SUBSCRIBE that is fetched from.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) view: String,
    listening: Listening,
    /// Rows that came and were not fetched.
    rest: Option<RecordBatch>,
    /// What went wrong behind rows that were given.
    failed: Option<Error>,
}

impl Cursor {
    pub(super) fn new(view: String, listening: Listening) -> Self {
        Self {
            view,
            listening,
            rest: None,
            failed: None,
        }
    }

    /// Rows that are there, so many at most; nothing is waited for.
    pub(super) fn fetch(&mut self, rows_max: u64) -> Result<RecordBatch> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut left = usize::try_from(rows_max).unwrap_or(usize::MAX);
        let mut fetched = Vec::new();
        while left > 0 {
            let rows = match self.rest.take() {
                Some(rows) => rows,
                None => match self.listening.next_timeout(Duration::ZERO) {
                    Ok(Received::Batch(rows)) => rows,
                    Ok(Received::Nothing) => break,
                    Ok(Received::End) if fetched.is_empty() => {
                        let message = format!("view \"{}\" has ended", self.view);
                        return Err(Error::engine("E0601", message));
                    }
                    // What came before is given first.
                    Ok(Received::End) => break,
                    Err(error) if !fetched.is_empty() => {
                        self.failed = Some(error);
                        break;
                    }
                    Err(error) => return Err(error),
                },
            };
            let taken = rows.num_rows().min(left);
            if taken < rows.num_rows() {
                self.rest = Some(rows.slice(taken, rows.num_rows() - taken));
            }
            left -= taken;
            if taken > 0 {
                fetched.push(rows.slice(0, taken));
            }
        }
        concat_batches(self.listening.columns(), &fetched).map_err(|e| wrong(&e))
    }
}
