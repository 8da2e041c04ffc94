//! A materialized view that is kept: its program on the shards, and a thread that owns its results
//! ([`keeper`](super::keeper)). Who reads asks for a barrier, and is given the rows that stand when
//! it comes: those of all that every shard had taken by then, and of nothing else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::Schema as ArrowSchema;
use datafusion::arrow::error::ArrowError;
use tokio::sync::oneshot;
use trefoil_ring0::mailbox::Receiver;
use trefoil_ring0::runtime::{Control, Running};
use trefoil_ring0::schema::{Field, Schema};

use super::feed::{Feed, Inlet};
use super::fold::{Fold, Layout, Snapshot};
use super::keeper::{Given, Keeper, Subscriber};
use super::kept::KeptView;
use super::row::Row;
use super::subscription::Subscription;
use super::system::Job;
use super::{Value, ViewMetrics, arrays};
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
    /// The names of its sources, in the order of the program.
    sources: Arc<[String]>,
    kept: KeptView,
    control: Control,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// What it reads of other views.
    feeds: Vec<Feed>,
}

/// What the view's thread shares.
#[derive(Debug)]
pub(super) struct Shared {
    shards: usize,
    control: Control,
    state: Mutex<State>,
    pub(super) ended: Condvar,
    /// Nobody wants the view any more.
    gone: AtomicBool,
    pub(super) rows_out: AtomicU64,
    /// Rows that a subscriber was still to be given when the view was dropped.
    pub(super) rows_undelivered: AtomicU64,
    inputs: Mutex<Inputs>,
}

/// What a view reads that may still go on.
#[derive(Debug)]
struct Inputs {
    /// Views.
    feeds: usize,
    /// Whether there is other input that would be cut short, were it to end with these.
    is_endless: bool,
    /// Whether input without an end is to have one.
    is_drained: bool,
}

/// What is looked at by one thread at a time.
#[derive(Debug)]
pub(super) struct State {
    pub(super) fold: Fold,
    has_key: bool,
    pub(super) joining: Vec<Subscriber>,
    /// Those who wait for the rows of a barrier that is still to be asked for.
    pub(super) reading: Vec<Read>,
    pub(super) is_ended: bool,
    pub(super) failure: Option<(&'static str, String)>,
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
pub(super) struct Read {
    /// An array for each column of the key, where only some rows are wanted.
    pub(super) keys: Option<Vec<ArrayRef>>,
    pub(super) reply: oneshot::Sender<Result<Arc<Snapshot>>>,
}

pub(super) fn wrong(error: &ArrowError) -> Error {
    Error::engine("E0609", format!("rows do not fit their view: {error}"))
}

/// What stands in a view, what of it is about to be replaced, and what it gives behind that.
pub(super) type Following = (Snapshot, Snapshot, Receiver<Given>);

impl View {
    /// A view of this program, which other views feed, and, if so, other input that goes on.
    pub(super) fn start(
        name: String,
        query: &PlannedQuery,
        running: Running,
        inlets: Vec<Inlet>,
        is_endless: bool,
    ) -> Result<Self> {
        let first = usize::from(query.changes);
        let keys: Vec<usize> = query.keys.iter().map(|key| key - first).collect();
        let has_key = !keys.is_empty();
        let kept = KeptView::of(query);
        // What texts mean is for who reads them.
        let plain = kept.columns.fields().iter();
        let plain = plain.map(|f| f.as_ref().clone().with_metadata(HashMap::new()));
        let schema = Arc::new(ArrowSchema::new(plain.collect::<Vec<_>>()));
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
            inputs: Mutex::new(Inputs {
                feeds: inlets.len(),
                is_endless,
                is_drained: false,
            }),
        });
        let keeper = Keeper::new(running, query.clone(), Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name(format!("view-{name}"))
            .spawn(move || keeper.run())
            .map_err(|e| Error::engine("E0606", format!("no thread for a view: {e}")))?;
        let mut view = Self {
            name,
            sql: query.sql.clone(),
            stages: query.stages.clone().into(),
            sources: query
                .program
                .sources
                .iter()
                .map(|s| s.name.clone())
                .collect(),
            kept,
            control,
            shared,
            thread: Some(thread),
            feeds: Vec::new(),
        };
        for inlet in inlets {
            view.feeds.push(inlet.start(&view.shared)?);
        }
        Ok(view)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What others see of it.
    pub(super) fn kept(&self) -> &KeptView {
        &self.kept
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn subscribe(&self) -> Result<Subscription> {
        let (sender, inbox) = self.control.mailbox(SUBSCRIBER_BATCHES)?;
        let mut state = self.shared.lock();
        // Of a view that has ended there is nothing more.
        if !state.is_ended {
            state.joining.push(Subscriber::new(sender, Arc::default()));
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
            sources: Arc::clone(&self.sources),
        }
    }

    pub(super) fn metrics(&self) -> ViewMetrics {
        self.control.ask();
        let reached = self.control.reached();
        ViewMetrics {
            name: self.name.clone(),
            rows_read: reached.rows_read,
            rows_bad: reached.rows_bad,
            watermark: reached.watermark,
            held_by: (reached.held_by)
                .and_then(|h| Some((self.sources.get(h.source)?.clone(), h.split))),
            rows_out: self.shared.rows_out.load(Ordering::Relaxed),
        }
    }

    /// Lets its input end.
    pub(super) fn drain(&self) {
        self.shared.ends(|inputs| inputs.is_drained = true);
    }

    /// Ends it, wherever it is; nobody waits for it.
    pub(super) fn leave(&self) {
        self.feeds.iter().for_each(Feed::leave);
        self.shared.gone.store(true, Ordering::Release);
        self.control.wake_host();
    }

    /// Ends it and waits until its threads have.
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
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many shards give rows.
    pub(super) fn shards(&self) -> usize {
        self.shards
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// What the view has failed with.
    pub(super) fn failure(&self) -> Option<Error> {
        self.lock().failure()
    }

    /// Ends the view with this failure.
    pub(super) fn fail(&self, error: &Error) {
        let failure = (error.code(), error.to_string());
        self.lock().failure.get_or_insert(failure);
        self.gone.store(true, Ordering::Release);
        self.control.wake_host();
    }

    /// A view that it reads gives nothing more.
    pub(super) fn feed_ended(&self) {
        self.ends(|inputs| inputs.feeds -= 1);
    }

    /// Notes what of its input ends; once all of it does, what is under way is the last.
    fn ends(&self, note: impl FnOnce(&mut Inputs)) {
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut inputs);
        if inputs.feeds == 0 && (inputs.is_drained || !inputs.is_endless) {
            self.control.drain();
        }
    }

    /// The rows that stand, those among them that are about to be replaced, and all that is given
    /// from then on, until `left` and [`Self::unfollow`].
    pub(super) fn follow(&self, left: &Arc<AtomicBool>) -> Result<Following> {
        let (sender, inbox) = self.control.mailbox(SUBSCRIBER_BATCHES)?;
        let mut state = self.lock();
        let standing = state.rows(None)?;
        let leaving = state.fold.leaving();
        if !state.is_ended {
            let follower = Subscriber::new(sender, Arc::clone(left));
            state.joining.push(follower);
        }
        Ok((standing, leaving, inbox))
    }

    /// Has those who left see the end.
    pub(super) fn unfollow(&self) {
        self.lock().joining.retain(Subscriber::is_there);
        self.control.wake_host();
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
    pub(super) fn rows(&self, keys: Option<&[ArrayRef]>) -> Result<Snapshot> {
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
