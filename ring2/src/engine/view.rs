//! A materialized view that is kept: its program on the shards, and a thread that owns its results.
//! The thread folds them into the rows that stand, and then hands them to every subscriber: so who
//! was given a batch finds its rows. Who reads asks for a barrier, and is given the rows that stand
//! when it comes: those of all that every shard had taken by then, and of nothing else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::Schema as ArrowSchema;
use datafusion::arrow::error::ArrowError;
use tokio::sync::oneshot;
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
use crate::limits::{READ_AHEAD_BATCHES, SUBSCRIBER_BATCHES};
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
    control: Control,
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
    /// Those who wait for the rows of a barrier that is still to be asked for.
    reading: Vec<Read>,
    is_ended: bool,
    failure: Option<(&'static str, String)>,
}

/// When the rows that are read stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// At a barrier: they are of all that every shard had taken by then.
    Barrier,
    /// Just then: of one shard they may be of later records than of another.
    Now,
}

/// Who reads.
#[derive(Debug)]
struct Read {
    /// An array for each column of the key, where only some rows are wanted.
    keys: Option<Vec<ArrayRef>>,
    reply: oneshot::Sender<Result<Arc<Snapshot>>>,
}

/// A subscriber, and what it had no room for.
#[derive(Debug)]
struct Subscriber {
    to: Sender<RecordBatch>,
    waiting: VecDeque<RecordBatch>,
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
        let control = running.control();
        let shared = Arc::new(Shared {
            shards,
            control: control.clone(),
            state: Mutex::new(State {
                fold,
                has_key,
                joining: Vec::new(),
                reading: Vec::new(),
                is_ended: false,
                failure: None,
            }),
            ended: Condvar::new(),
            gone: AtomicBool::new(false),
            rows_out: AtomicU64::new(0),
            rows_undelivered: AtomicU64::new(0),
        });
        let keeper = Keeper {
            running,
            query: query.clone(),
            subscribers: Vec::new(),
            reads: Vec::new(),
            epoch: 0,
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

    /// The rows that stand; `keys`: those that have one of these, of which there is an array for
    /// each column.
    pub(super) async fn rows(
        &self,
        of: Moment,
        keys: Option<Vec<ArrayRef>>,
    ) -> Result<Arc<Snapshot>> {
        match of {
            Moment::Barrier => self.at_barrier(keys).await,
            Moment::Now => self.latest(keys.as_deref()).map(Arc::new),
        }
    }

    /// Those at the next barrier.
    async fn at_barrier(&self, keys: Option<Vec<ArrayRef>>) -> Result<Arc<Snapshot>> {
        let (reply, answer) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.is_ended {
                return state.rows(keys.as_deref()).map(Arc::new);
            }
            let keys = keys.clone();
            state.reading.push(Read { keys, reply });
        }
        self.control.wake_host();
        match answer.await {
            Ok(rows) => rows,
            // It has ended, and its rows are the last.
            Err(_) => self.latest(keys.as_deref()).map(Arc::new),
        }
    }

    /// Those of now.
    fn latest(&self, keys: Option<&[ArrayRef]>) -> Result<Snapshot> {
        self.lock().rows(keys)
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
        let found = self.latest(Some(&key))?;
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
    fn rows(&self, keys: Option<&[ArrayRef]>) -> Result<Snapshot> {
        self.failure().map_or(Ok(()), Err)?;
        match keys {
            Some(keys) => self.fold.probe(keys).map_err(|e| wrong(&e)),
            None => Ok(self.fold.snapshot()),
        }
    }

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
        state.reading.clear();
        self.0.ended.notify_all();
    }
}

/// The view's thread. Fields are dropped in order: who reads and subscribers see the end when its
/// reason is known.
struct Keeper {
    running: Running,
    query: PlannedQuery,
    shared: AtEnd,
    subscribers: Vec<Subscriber>,
    /// Those whose barrier is under way.
    reads: Vec<Read>,
    /// The last barrier that was asked for.
    epoch: u64,
}

impl Keeper {
    fn run(mut self) {
        let kept = self.keep();
        let rows = self.subscribers.iter().flat_map(|s| &s.waiting);
        let rows: usize = rows.map(RecordBatch::num_rows).sum();
        let shared = &self.shared.0;
        shared
            .rows_undelivered
            .fetch_add(rows as u64, Ordering::Relaxed);
        if let Err(error) = kept {
            let failure = (error.code(), error.to_string());
            shared.lock().failure = Some(failure);
        }
    }

    fn keep(&mut self) -> Result<()> {
        while !self.shared.0.is_gone() {
            self.begin_reads();
            let is_behind = self.hand_on();
            if is_behind && self.reads.is_empty() {
                self.wait_for_room();
                continue;
            }
            match self.running.next_block_timeout(Duration::MAX)? {
                Next::Nothing => {}
                Next::Barrier(output, epoch) if output.index() == 0 => self.end_reads(epoch),
                // Not of the view's rows.
                Next::Barrier(..) => {}
                Next::End => {
                    self.shared.0.lock().fold.end();
                    self.end_reads(self.epoch);
                    while !self.shared.0.is_gone() && self.hand_on() {
                        self.begin_reads();
                        self.end_reads(self.epoch);
                        self.wait_for_room();
                    }
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

    /// Asks for the barrier of those who have come to read, unless one is under way.
    fn begin_reads(&mut self) {
        if !self.reads.is_empty() {
            return;
        }
        self.reads = std::mem::take(&mut self.shared.0.lock().reading);
        let behind = self.subscribers.iter().map(|s| s.waiting.len()).max();
        if behind.unwrap_or_default() > READ_AHEAD_BATCHES {
            let message = "a subscriber does not take its rows, and the view waits for it";
            for read in self.reads.drain(..) {
                // Who has gone wants no answer.
                _ = read
                    .reply
                    .send(Err(Error::engine("E0612", message.to_owned())));
            }
        }
        if !self.reads.is_empty() {
            self.epoch += 1;
            self.running.ask_parting(self.epoch);
        }
    }

    /// Gives those who read the rows that stand at this barrier.
    fn end_reads(&mut self, epoch: u64) {
        assert_eq!(epoch, self.epoch, "one barrier is under way at a time");
        let mut all = None;
        for read in self.reads.drain(..) {
            if read.reply.is_closed() {
                continue;
            }
            let state = self.shared.0.lock();
            let rows = match read.keys {
                Some(keys) => state.rows(Some(&keys)).map(Arc::new),
                None => {
                    let all = all.get_or_insert_with(|| Arc::new(state.fold.snapshot()));
                    Ok(Arc::clone(all))
                }
            };
            drop(state);
            // Who has gone wants no answer.
            _ = read.reply.send(rows);
        }
    }

    fn take(&mut self, shard: usize, batch: &RecordBatch) -> Result<()> {
        let shared = &self.shared.0;
        {
            let mut state = shared.lock();
            state.fold.apply(shard, batch).map_err(|e| wrong(&e))?;
            let joining = state.joining.drain(..);
            self.subscribers.extend(joining.map(|to| Subscriber {
                to,
                waiting: VecDeque::new(),
            }));
        }
        let rows = batch.num_rows() as u64;
        shared.rows_out.fetch_add(rows, Ordering::Relaxed);
        let subscribers = self.subscribers.iter_mut();
        subscribers.for_each(|s| s.waiting.push_back(batch.clone()));
        Ok(())
    }

    /// Gives subscribers what they have room for. Whether one has too little.
    fn hand_on(&mut self) -> bool {
        let mut is_behind = false;
        self.subscribers.retain_mut(|subscriber| {
            while let Some(batch) = subscriber.waiting.pop_front() {
                if let Err(batch) = subscriber.to.try_send(batch) {
                    subscriber.waiting.push_front(batch);
                    is_behind = true;
                    break;
                }
            }
            subscriber.to.is_wanted()
        });
        is_behind
    }

    /// Waits until a subscriber may have room, or somebody rings.
    fn wait_for_room(&mut self) {
        let full = self.subscribers.iter_mut().find(|s| !s.waiting.is_empty());
        if let Some(subscriber) = full {
            subscriber.to.wait_for_room();
        }
    }
}
