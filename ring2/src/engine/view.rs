//! A materialized view that is kept: its program on the shards, and a thread that owns its results.
//! The thread folds them into the rows that stand, and then hands them to every subscriber: so who
//! was given a batch finds its rows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::Schema as ArrowSchema;
use datafusion::arrow::error::ArrowError;
use trefoil_ring0::mailbox::Sender;
use trefoil_ring0::runtime::{Control, Next, Running};
use trefoil_ring0::schema::{Field, Schema};

use super::fold::{Fold, Layout, Snapshot};
use super::row::Row;
use super::subscription::Subscription;
use super::system::Job;
use super::{Value, ViewMetrics, arrays, batch};
use crate::PlannedQuery;
use crate::error::{Error, Result};
use crate::limits::SUBSCRIBER_BATCHES;
use crate::partitioning::Stage;

/// A view in the hands of the engine. Dropping it ends it.
#[derive(Debug)]
pub(super) struct View {
    name: String,
    sql: String,
    stages: Arc<[Stage]>,
    control: Control,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the view's thread shares.
#[derive(Debug)]
pub(super) struct Shared {
    shards: usize,
    state: Mutex<State>,
    ended: Condvar,
    /// Nobody wants the view any more.
    gone: AtomicBool,
    rows_out: AtomicU64,
    /// Rows that a subscriber was still to be given when the view was dropped.
    rows_undelivered: AtomicU64,
}

#[derive(Debug)]
struct State {
    fold: Fold,
    has_key: bool,
    joining: Vec<Sender<RecordBatch>>,
    is_ended: bool,
    failure: Option<(&'static str, String)>,
}

fn wrong(error: &ArrowError) -> Error {
    Error::engine("E0609", format!("rows do not fit their view: {error}"))
}

impl View {
    pub(super) fn start(name: String, query: &PlannedQuery, running: Running) -> Result<Self> {
        let whole = batch::schema(&query.columns, &query.program.outputs[0].schema);
        let first = usize::from(query.changes);
        let fields: Vec<_> = whole.fields().iter().skip(first).cloned().collect();
        let keys: Vec<usize> = query.keys.iter().map(|key| key - first).collect();
        let has_key = !keys.is_empty();
        let schema = Arc::new(ArrowSchema::new(fields));
        let shards = running.shards();
        let fold = Fold::new(schema, query.changes, keys, shards).map_err(|e| wrong(&e))?;
        let shared = Arc::new(Shared {
            shards,
            state: Mutex::new(State {
                fold,
                has_key,
                joining: Vec::new(),
                is_ended: false,
                failure: None,
            }),
            ended: Condvar::new(),
            gone: AtomicBool::new(false),
            rows_out: AtomicU64::new(0),
            rows_undelivered: AtomicU64::new(0),
        });
        let control = running.control();
        let keeper = Keeper {
            running,
            query: query.clone(),
            subscribers: Vec::new(),
            shared: AtEnd(Arc::clone(&shared)),
        };
        let thread = std::thread::Builder::new()
            .name(format!("view-{name}"))
            .spawn(move || keeper.run())
            .map_err(|e| Error::engine("E0606", format!("no thread for a view: {e}")))?;
        Ok(Self {
            name,
            sql: query.sql.clone(),
            stages: query.stages.clone().into(),
            control,
            shared,
            thread: Some(thread),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn subscribe(&self) -> Result<Subscription> {
        let (sender, inbox) = self.control.mailbox(SUBSCRIBER_BATCHES)?;
        let mut state = self.shared.lock();
        // Of a view that has ended there is nothing more.
        if !state.is_ended {
            state.joining.push(sender);
        }
        drop(state);
        Ok(Subscription::new(inbox, Arc::clone(&self.shared)))
    }

    /// What the system tables say of it.
    pub(super) fn job(&self) -> Job {
        let metrics = self.metrics();
        let state = self.shared.lock();
        Job {
            name: metrics.name,
            sql: self.sql.clone(),
            is_ended: state.is_ended,
            failure: state.failure().map(|e| e.to_string()),
            rows_out: metrics.rows_out,
            shards: self.control.reached_by_shard().collect(),
            stages: Arc::clone(&self.stages),
        }
    }

    pub(super) fn metrics(&self) -> ViewMetrics {
        self.control.ask();
        let reached = self.control.reached();
        ViewMetrics {
            name: self.name.clone(),
            rows_read: reached.rows_read,
            watermark: reached.watermark,
            rows_out: self.shared.rows_out.load(Ordering::Relaxed),
        }
    }

    /// Lets its input end.
    pub(super) fn drain(&self) {
        self.control.drain();
    }

    /// Ends it, wherever it is; nobody waits for it.
    pub(super) fn leave(&self) {
        self.shared.gone.store(true, Ordering::Release);
        self.control.wake_host();
    }

    /// Ends it and waits until its thread has.
    pub(super) fn end(&mut self) {
        self.leave();
        if let Some(thread) = self.thread.take() {
            // What a panic of it means is told to who reads.
            _ = thread.join();
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many shards give rows.
    pub(super) fn shards(&self) -> usize {
        self.shards
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// What the view has failed with.
    pub(super) fn failure(&self) -> Option<Error> {
        self.lock().failure()
    }

    /// Rows of results so far, and those that were not delivered.
    pub(super) fn undelivered(&self) -> u64 {
        self.rows_undelivered.load(Ordering::Relaxed)
    }

    /// How the rows look.
    pub(super) fn layout(&self) -> Arc<Layout> {
        Arc::clone(self.lock().fold.layout())
    }

    /// The rows that stand.
    pub(super) fn snapshot(&self) -> Result<Snapshot> {
        let state = self.lock();
        state.failure().map_or(Ok(()), Err)?;
        Ok(state.fold.snapshot())
    }

    /// The rows that stand and have one of these keys: an array for each of their columns.
    pub(super) fn probe(&self, keys: &[ArrayRef]) -> Result<Snapshot> {
        let state = self.lock();
        state.failure().map_or(Ok(()), Err)?;
        state.fold.probe(keys).map_err(|e| wrong(&e))
    }

    /// The row with this key.
    pub(super) fn get(&self, view: &str, key: &[Value<'_>]) -> Result<Option<Row>> {
        let state = self.lock();
        state.failure().map_or(Ok(()), Err)?;
        if !state.has_key {
            let message = format!("the rows of view \"{view}\" have no key: it does not group");
            return Err(Error::engine("E0603", message));
        }
        let layout = Arc::clone(state.fold.layout());
        drop(state);
        let fields = layout.keys().iter().map(|column| {
            let field = layout.schema().field(*column);
            Field::new(field.name(), field.data_type().clone())
        });
        let key = arrays(&Schema::new(fields.collect()), key)?;
        let found = self.probe(&key)?;
        let mut shards = 0..self.shards;
        let Some(shard) = shards.find(|shard| found.len(*shard) > 0) else {
            return Ok(None);
        };
        let found = found.batch(shard, 0..1).map_err(|e| wrong(&e))?;
        Ok((found.num_rows() > 0).then(|| Row::new(found, 0)))
    }

    /// Waits until the view has ended; whether it has, before the deadline.
    pub(super) fn wait(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while !state.is_ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.ended.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl State {
    fn failure(&self) -> Option<Error> {
        let (code, message) = self.failure.as_ref()?;
        Some(Error::engine(code, message.clone()))
    }
}

/// The view's thread says that it has ended, however it does.
struct AtEnd(Arc<Shared>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if std::thread::panicking() {
            let message = "the thread of the view panicked".to_owned();
            state.failure.get_or_insert(("E0604", message));
        }
        state.is_ended = true;
        state.joining.clear();
        self.0.ended.notify_all();
    }
}

/// The view's thread. Fields are dropped in order: subscribers see the end when its reason is
/// known.
struct Keeper {
    running: Running,
    query: PlannedQuery,
    shared: AtEnd,
    subscribers: Vec<Sender<RecordBatch>>,
}

impl Keeper {
    fn run(mut self) {
        if let Err(error) = self.keep() {
            let failure = (error.code(), error.to_string());
            self.shared.0.lock().failure = Some(failure);
        }
    }

    fn keep(&mut self) -> Result<()> {
        while !self.shared.0.is_gone() {
            match self.running.next_block_timeout(Duration::MAX)? {
                Next::Nothing | Next::Barrier(..) => {}
                Next::End => {
                    self.shared.0.lock().fold.end();
                    return Ok(());
                }
                Next::Block(block) => {
                    let schema = &self.query.program.outputs[0].schema;
                    let batch = batch::results(&self.query.columns, schema, block.rows());
                    let shard = block.shard();
                    self.running.give_back(block);
                    self.take(shard, &batch?)?;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, shard: usize, batch: &RecordBatch) -> Result<()> {
        let rows = batch.num_rows() as u64;
        let shared = &self.shared.0;
        {
            let mut state = shared.lock();
            state.fold.apply(shard, batch).map_err(|e| wrong(&e))?;
            self.subscribers.append(&mut state.joining);
        }
        shared.rows_out.fetch_add(rows, Ordering::Relaxed);
        for subscriber in &mut self.subscribers {
            let mut left = Some(batch.clone());
            while let Some(batch) = left.take() {
                left = subscriber.try_send(batch).err();
                if left.is_none() {
                    break;
                }
                if shared.is_gone() {
                    shared.rows_undelivered.fetch_add(rows, Ordering::Relaxed);
                    break;
                }
                subscriber.wait_for_room();
            }
        }
        self.subscribers.retain(Sender::is_wanted);
        Ok(())
    }
}
