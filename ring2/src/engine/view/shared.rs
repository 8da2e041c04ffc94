//! What the thread of a view shares with all others: the rows that stand, and who waits for them.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use datafusion::arrow::array::ArrayRef;
use tokio::sync::oneshot;
use trefoil_ring0::runtime::{Control, Running};
use trefoil_ring0::schema::{Field, Schema};

use super::super::fold::{Fold, Layout, Snapshot};
use super::super::keeper::{Flushing, Reader, Subscriber};
use super::super::row::Row;
use super::super::session::Listener;
use super::super::taking::Counts;
use super::super::{Value, arrays};
use super::{Following, wrong};
use crate::error::{Error, Result};
use crate::limits::SUBSCRIBER_BATCHES;

/// What the view's thread shares.
#[derive(Debug)]
pub(in crate::engine) struct Shared {
    pub(super) shards: usize,
    pub(super) control: Control,
    pub(super) state: Mutex<State>,
    pub(in crate::engine) ended: Condvar,
    /// Nobody wants the view any more.
    pub(super) gone: AtomicBool,
    /// FLUSHes that wait for it, for which it goes on also where a subscriber does not take rows.
    pub(super) hurried: AtomicUsize,
    /// It waits for a subscriber all the same.
    pub(super) held_back: AtomicBool,
    /// A subscriber takes no rows, and it can give no others.
    pub(super) stuck: AtomicBool,
    pub(in crate::engine) rows_out: AtomicU64,
    /// Rows that a subscriber was still to be given when the view was dropped.
    pub(in crate::engine) rows_undelivered: AtomicU64,
    pub(super) inputs: Mutex<Inputs>,
}

/// What a view reads that may still go on.
#[derive(Debug)]
pub(super) struct Inputs {
    /// Views.
    pub(super) feeds: usize,
    /// Whether there is other input that would be cut short, were it to end with these.
    is_endless: bool,
    /// Whether input without an end is to have one.
    pub(super) is_drained: bool,
}

/// What is looked at by one thread at a time.
#[derive(Debug)]
pub(in crate::engine) struct State {
    pub(in crate::engine) fold: Fold,
    pub(super) has_key: bool,
    pub(in crate::engine) joining: Vec<Subscriber>,
    /// And in SQL.
    pub(in crate::engine) listening: Vec<Listener>,
    /// Those who wait for the rows of a barrier that is still to be asked for.
    pub(in crate::engine) reading: Vec<Read>,
    /// And those who wait until what was pushed before is in the rows.
    pub(in crate::engine) flushing: Vec<Flushing>,
    /// And until a checkpoint of what is before now is durable.
    pub(in crate::engine) asking: Vec<Flushing>,
    /// The checkpoints so far.
    pub(in crate::engine) checkpoints: Counts,
    pub(in crate::engine) is_ended: bool,
    pub(in crate::engine) failure: Option<(&'static str, String)>,
}

/// When the rows that are read stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Moment {
    /// At a barrier: they are of all that every shard had taken by then.
    Barrier,
    /// Just then: of one shard they may be of later records than of another.
    Now,
}

/// Who reads.
#[derive(Debug)]
pub(in crate::engine) struct Read {
    /// An array for each column of the key, where only some rows are wanted.
    pub(in crate::engine) keys: Option<Vec<ArrayRef>>,
    pub(in crate::engine) reply: oneshot::Sender<Result<Arc<Snapshot>>>,
}

impl Shared {
    /// Of a program that so many views feed, and, if so, other input that goes on.
    pub(super) fn new(running: &Running, state: State, (feeds, is_endless): (usize, bool)) -> Self {
        Self {
            shards: running.shards(),
            control: running.control(),
            state: Mutex::new(state),
            ended: Condvar::new(),
            gone: AtomicBool::new(false),
            hurried: AtomicUsize::new(0),
            held_back: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            rows_out: AtomicU64::new(0),
            rows_undelivered: AtomicU64::new(0),
            inputs: Mutex::new(Inputs {
                feeds,
                is_endless,
                is_drained: false,
            }),
        }
    }

    /// Whether its input has no end of its own.
    pub(in crate::engine) fn is_endless(&self) -> bool {
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        inputs.is_endless || inputs.feeds > 0
    }

    /// Has its sources read no further; what was read goes on.
    pub(in crate::engine) fn stop(&self) {
        self.control.stop();
    }

    pub(in crate::engine) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody listens from now on.
    pub(in crate::engine) fn listen(&self, listener: Listener) {
        let mut state = self.lock();
        // Of a view that has ended there is nothing more.
        if !state.is_ended {
            state.listening.push(listener);
        }
    }

    /// How many shards give rows.
    pub(in crate::engine) fn shards(&self) -> usize {
        self.shards
    }

    pub(in crate::engine) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Asks that what was pushed before be in the rows; who waits for it holds the other end.
    pub(in crate::engine) fn flush(&self, waiting: Flushing) {
        let mut state = self.lock();
        if !state.is_ended {
            state.flushing.push(waiting);
        }
        drop(state);
        self.control.wake_host();
    }

    /// Asks for a checkpoint; who waits for it holds the other end.
    pub(in crate::engine) fn ask_checkpoint(&self, waiting: Flushing) {
        let mut state = self.lock();
        if !state.is_ended {
            state.asking.push(waiting);
        }
        drop(state);
        self.control.wake_host();
    }

    /// Says how many rows the view's thread keeps, and how many bytes of memory they take.
    pub(in crate::engine) fn keep(&self, (rows, bytes): (usize, usize)) {
        self.control.keep(rows as u64, bytes as u64);
    }

    /// Tells of the checkpoints so far.
    pub(in crate::engine) fn count(&self, checkpoints: Counts) {
        self.lock().checkpoints = checkpoints;
    }

    /// Whether input without an end was to have one.
    pub(in crate::engine) fn is_drained(&self) -> bool {
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        inputs.is_drained
    }

    /// A FLUSH waits for it.
    pub(in crate::engine) fn hurry(&self) {
        self.hurried.fetch_add(1, Ordering::AcqRel);
        self.control.wake_host();
    }

    /// It waits no longer.
    pub(in crate::engine) fn hurry_no_more(&self) {
        self.hurried.fetch_sub(1, Ordering::AcqRel);
        self.held_back.store(false, Ordering::Release);
    }

    pub(in crate::engine) fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::Acquire) > 0
    }

    /// It waits for a subscriber although a FLUSH waits for it.
    pub(in crate::engine) fn hold_back(&self) {
        self.held_back.store(true, Ordering::Release);
    }

    pub(in crate::engine) fn is_held_back(&self) -> bool {
        self.held_back.load(Ordering::Acquire)
    }

    /// Whether it waits for a subscriber of which nobody knows when it takes rows.
    pub(in crate::engine) fn stick(&self, stuck: bool) {
        self.stuck.store(stuck, Ordering::Release);
    }

    pub(in crate::engine) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Acquire)
    }

    /// Something that the view's thread looks at is another now.
    pub(in crate::engine) fn look_again(&self) {
        self.control.wake_host();
    }

    /// What the view has failed with.
    pub(in crate::engine) fn failure(&self) -> Option<Error> {
        self.lock().failure()
    }

    /// Ends the view with this failure.
    pub(in crate::engine) fn fail(&self, error: &Error) {
        let failure = (error.code(), error.to_string());
        self.lock().failure.get_or_insert(failure);
        self.gone.store(true, Ordering::Release);
        self.control.wake_host();
    }

    /// A view that it reads gives nothing more.
    pub(in crate::engine) fn feed_ended(&self) {
        self.ends(|inputs| inputs.feeds -= 1);
    }

    /// Notes what of its input ends; once all of it does, what is under way is the last.
    pub(super) fn ends(&self, note: impl FnOnce(&mut Inputs)) {
        let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut inputs);
        if inputs.feeds == 0 && (inputs.is_drained || !inputs.is_endless) {
            self.control.drain();
        }
    }

    /// The rows that stand, those among them that are about to be replaced, and all that is given
    /// from then on, until the reader has left and [`Self::unfollow`].
    pub(in crate::engine) fn follow(&self, reader: &Arc<Reader>) -> Result<Following> {
        let (sender, inbox) = self.control.mailbox(SUBSCRIBER_BATCHES)?;
        let mut state = self.lock();
        let standing = state.rows(None)?;
        let leaving = state.fold.leaving().map_err(|e| wrong(&e))?;
        if !state.is_ended {
            let follower = Subscriber::view(sender, Arc::clone(reader));
            state.joining.push(follower);
        }
        Ok((standing, leaving, inbox))
    }

    /// Has those who left see the end.
    pub(in crate::engine) fn unfollow(&self) {
        self.lock().joining.retain(Subscriber::is_there);
        self.control.wake_host();
    }

    /// Rows of results so far, and those that were not delivered.
    pub(in crate::engine) fn undelivered(&self) -> u64 {
        self.rows_undelivered.load(Ordering::Relaxed)
    }

    /// How the rows look.
    pub(in crate::engine) fn layout(&self) -> Arc<Layout> {
        Arc::clone(self.lock().fold.layout())
    }

    /// The rows that stand; `keys`: those that have one of these, of which there is an array for
    /// each column.
    pub(in crate::engine) async fn rows(
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
    pub(in crate::engine) fn get(&self, view: &str, key: &[Value<'_>]) -> Result<Option<Row>> {
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
        let found = found.batch(shard, 0..found.len(shard));
        let found = found.map_err(|e| wrong(&e))?;
        Ok((found.num_rows() > 0).then(|| Row::new(found, 0)))
    }

    /// Waits until the view has ended; whether it has, before the deadline.
    pub(in crate::engine) fn wait(&self, deadline: Instant) -> bool {
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
    pub(super) fn of(fold: Fold) -> Self {
        Self {
            fold,
            has_key: false,
            joining: Vec::new(),
            listening: Vec::new(),
            reading: Vec::new(),
            flushing: Vec::new(),
            asking: Vec::new(),
            checkpoints: Counts::default(),
            is_ended: false,
            failure: None,
        }
    }

    pub(in crate::engine) fn rows(&mut self, keys: Option<&[ArrayRef]>) -> Result<Snapshot> {
        self.failure().map_or(Ok(()), Err)?;
        match keys {
            Some(keys) => self.fold.probe(keys).map_err(|e| wrong(&e)),
            None => Ok(self.fold.snapshot()),
        }
    }

    pub(super) fn failure(&self) -> Option<Error> {
        let (code, message) = self.failure.as_ref()?;
        Some(Error::engine(code, message.clone()))
    }
}
