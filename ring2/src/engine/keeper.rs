//! The thread of a view: it takes the results, folds them into the rows that stand, and then hands
//! them to every subscriber. So who was given a batch finds its rows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use futures::task::AtomicWaker;
use trefoil_ring0::mailbox::Sender;
use trefoil_ring0::runtime::{Next, Running};

use super::batch;
use super::fold::Layout;
use super::session::Listener;
use super::sink::Entry;
use super::taking::Taking;
use super::view::{Read, Shared, wrong};
use crate::PlannedQuery;
use crate::error::{Error, Result};
use crate::limits::{READ_AHEAD_BATCHES, WEIGH_ROWS};

/// What a view gives.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// Rows of one shard.
    Rows { shard: usize, rows: RecordBatch },
    /// To a view that reads it: all rows before a barrier were given. It is dropped when they are
    /// in that view's lanes.
    Flushed(Flushing),
}

impl Given {
    fn rows(&self) -> usize {
        match self {
            Self::Rows { rows, .. } => rows.num_rows(),
            Self::Flushed(_) => 0,
        }
    }
}

/// Held by who has something to do before a FLUSH is done; told with it is what went wrong.
pub(super) type Flushing = std::sync::mpsc::Sender<Error>;

/// Who subscribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Host,
    View,
}

/// What a view that subscribes says of itself.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// It wants no more, and is to see the end.
    pub(super) left: AtomicBool,
    /// It takes nothing, as somebody takes nothing of it.
    pub(super) stuck: AtomicBool,
}

/// A subscriber, and what it had no room for.
#[derive(Debug)]
pub(super) struct Subscriber {
    to: Sender<Given>,
    waiting: VecDeque<Given>,
    reader: Arc<Reader>,
    who: Who,
    /// Dropped last: the task that waits for a batch sees that none comes any more.
    waker: WokenAtEnd,
}

/// The task that waits for a batch, if there is one.
#[derive(Debug)]
struct WokenAtEnd(Arc<AtomicWaker>);

impl Drop for WokenAtEnd {
    fn drop(&mut self) {
        self.0.wake();
    }
}

impl Subscriber {
    /// The host.
    pub(super) fn host(to: Sender<Given>, waker: Arc<AtomicWaker>) -> Self {
        Self {
            to,
            waiting: VecDeque::new(),
            reader: Arc::default(),
            who: Who::Host,
            waker: WokenAtEnd(waker),
        }
    }

    /// A view, until it has left.
    pub(super) fn view(to: Sender<Given>, reader: Arc<Reader>) -> Self {
        Self {
            reader,
            who: Who::View,
            ..Self::host(to, Arc::default())
        }
    }

    /// Whether there is somebody who wants more.
    pub(super) fn is_there(&self) -> bool {
        !self.reader.left.load(Ordering::Acquire) && self.to.is_wanted()
    }

    /// Whether nobody knows when it takes the next batch.
    fn is_stuck(&self) -> bool {
        match self.who {
            Who::Host => true,
            Who::View => self.reader.stuck.load(Ordering::Acquire),
        }
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
        state.listening.clear();
        state.reading.clear();
        state.flushing.clear();
        state.asking.clear();
        self.0.ended.notify_all();
    }
}

/// The view's thread. Fields are dropped in order: who reads and subscribers see the end when its
/// reason is known.
pub(super) struct Keeper {
    running: Running,
    query: PlannedQuery,
    /// Where rows go that are not kept.
    into: Option<Entry>,
    /// How its rows are kept.
    layout: Arc<Layout>,
    shared: AtEnd,
    subscribers: Vec<Subscriber>,
    listeners: Vec<Listener>,
    /// Those whose barrier is under way.
    reads: Vec<Read>,
    flushes: Vec<Flushing>,
    /// Its checkpoints, where it is kept on disk.
    taking: Option<Taking>,
    /// The last barrier that was asked for.
    epoch: u64,
    /// What the view is called.
    name: String,
    /// Rows that came since their memory was looked at.
    unweighed: usize,
}

impl Keeper {
    /// Of a program whose rows are kept.
    pub(super) fn new(running: Running, query: PlannedQuery, shared: Arc<Shared>) -> Self {
        Self {
            running,
            query,
            into: None,
            layout: shared.layout(),
            shared: AtEnd(shared),
            subscribers: Vec::new(),
            listeners: Vec::new(),
            reads: Vec::new(),
            flushes: Vec::new(),
            taking: None,
            epoch: 0,
            name: String::new(),
            unweighed: 0,
        }
    }

    /// Of a view of this name.
    pub(super) fn named(self, name: &str) -> Self {
        let name = name.to_owned();
        Self { name, ..self }
    }

    /// Of one that is kept on disk.
    pub(super) fn taking(self, taking: Option<Taking>) -> Self {
        Self { taking, ..self }
    }

    /// Of one whose rows go there.
    pub(super) fn into(self, entry: Entry) -> Self {
        let into = Some(entry);
        Self { into, ..self }
    }

    pub(super) fn run(mut self) {
        let kept = self.keep();
        let rows = self.subscribers.iter().flat_map(|s| &s.waiting);
        let rows: usize = rows.map(Given::rows).sum();
        let shared = &self.shared.0;
        shared
            .rows_undelivered
            .fetch_add(rows as u64, Ordering::Relaxed);
        if let Err(error) = kept {
            let mut state = shared.lock();
            let mut message = error.to_string();
            if error.code() == "E0616" {
                let what = if self.into.is_some() { "sink" } else { "view" };
                message = format!("{what} \"{}\": {message}", self.name);
                // Nobody reads its rows any more, and their memory is wanted.
                state.fold.forget();
                shared.keep((0, 0));
            }
            state.failure = Some((error.code(), message));
        }
    }

    /// Says how much memory the rows take that stand.
    fn weigh(&mut self) {
        let shared = &self.shared.0;
        let size = shared.lock().fold.size();
        shared.keep(size);
        self.unweighed = 0;
    }

    fn keep(&mut self) -> Result<()> {
        self.weigh();
        while !self.shared.0.is_gone() {
            let wait = self.take_checkpoint();
            self.begin_reads();
            let is_behind = self.hand_on();
            self.shared
                .0
                .stick(is_behind && self.behind(Subscriber::is_stuck) > 0);
            let awaits = self.taking.as_ref().is_some_and(Taking::awaits_rows);
            let is_asked = !self.reads.is_empty() || !self.flushes.is_empty() || awaits;
            // What has failed gives its memory back, also where a subscriber takes nothing.
            let goes_on = !self.running.has_failed();
            if is_behind && !is_asked && !self.hurries() && goes_on {
                self.wait_for_room();
                continue;
            }
            match self.running.next_block_timeout(wait)? {
                Next::Nothing => {}
                Next::Barrier(output, epoch) if output.index() == 0 => self.met(epoch),
                // Not of the view's rows.
                Next::Barrier(..) => {}
                Next::End => {
                    let ended = self.shared.0.lock().fold.end();
                    ended.map_err(|e| wrong(&e))?;
                    self.weigh();
                    self.end_reads(self.epoch);
                    if let Some(taking) = &mut self.taking {
                        taking.finish(&self.shared.0);
                    }
                    while !self.shared.0.is_gone() && self.hand_on() {
                        self.begin_reads();
                        self.end_reads(self.epoch);
                        self.wait_for_room();
                    }
                    return Ok(());
                }
                Next::Block(block) if let Some(into) = &self.into => {
                    let rows = block.rows().rows() as u64;
                    let taken = into.take(&self.query, block.rows(), block.shard());
                    self.running.give_back(block);
                    taken?;
                    self.shared.0.rows_out.fetch_add(rows, Ordering::Relaxed);
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

    /// Whether rows are taken that a subscriber has no room for, so that a FLUSH comes to its end.
    fn hurries(&self) -> bool {
        let shared = &self.shared.0;
        if !shared.is_hurried() {
            return false;
        }
        let is_over = self.behind(|_| true) > READ_AHEAD_BATCHES;
        if is_over && self.behind(Subscriber::is_stuck) > 0 {
            shared.hold_back();
        }
        !is_over
    }

    /// Batches that one of these subscribers had no room for.
    fn behind(&self, which: impl Fn(&Subscriber) -> bool) -> usize {
        let which = self.subscribers.iter().filter(|s| which(s));
        which.map(|s| s.waiting.len()).max().unwrap_or_default()
    }

    /// Goes on with the checkpoint that is under way, or begins one that is due. Gives how long
    /// there is nothing to do.
    fn take_checkpoint(&mut self) -> Duration {
        // Before a barrier all rows are taken that are before it.
        let has_room = self.behind(|_| true) <= READ_AHEAD_BATCHES;
        let is_stuck = self.behind(Subscriber::is_stuck) > READ_AHEAD_BATCHES;
        let Some(taking) = &mut self.taking else {
            return Duration::MAX;
        };
        let asked = std::mem::take(&mut self.shared.0.lock().asking);
        taking.ask(asked);
        taking.turn(&mut self.running, &self.shared.0);
        let is_free = self.reads.is_empty() && self.flushes.is_empty() && !taking.has_barrier();
        if is_free && has_room && taking.begin(self.epoch + 1, &self.running) {
            self.epoch += 1;
        }
        if is_free && is_stuck {
            taking.answer(held_back);
        }
        taking.wait()
    }

    /// All rows before a barrier were given.
    fn met(&mut self, epoch: u64) {
        self.weigh();
        let (taking, shared) = (self.taking.as_mut(), &self.shared.0);
        if !taking.is_some_and(|taking| taking.met(epoch, shared)) {
            self.end_reads(epoch);
        }
    }

    /// Asks for the barrier of those who have come to read, or to flush, unless one is under way.
    /// They wait for views that are about to take what is there.
    fn begin_reads(&mut self) {
        let is_busy = self.taking.as_ref().is_some_and(Taking::has_barrier);
        if is_busy || !self.reads.is_empty() || !self.flushes.is_empty() {
            return;
        }
        let is_stuck = self.behind(Subscriber::is_stuck) > READ_AHEAD_BATCHES;
        if !is_stuck && self.behind(|_| true) > READ_AHEAD_BATCHES {
            return;
        }
        {
            let mut state = self.shared.0.lock();
            self.reads = std::mem::take(&mut state.reading);
            self.flushes = std::mem::take(&mut state.flushing);
        }
        if is_stuck {
            // Who has gone wants no answer.
            for read in self.reads.drain(..) {
                _ = read.reply.send(Err(held_back()));
            }
            for flush in self.flushes.drain(..) {
                _ = flush.send(held_back());
            }
        }
        if !self.flushes.is_empty() {
            self.epoch += 1;
            self.running.ask_flushing(self.epoch);
        } else if !self.reads.is_empty() {
            self.epoch += 1;
            self.running.ask_parting(self.epoch);
        }
    }

    /// Gives those who read the rows that stand at this barrier.
    fn end_reads(&mut self, epoch: u64) {
        assert_eq!(epoch, self.epoch, "one barrier is under way at a time");
        for flush in self.flushes.drain(..) {
            // Those that have just come were given the rows that stood then.
            self.subscribers.append(&mut self.shared.0.lock().joining);
            let views = self.subscribers.iter_mut().filter(|s| s.who == Who::View);
            views.for_each(|view| view.waiting.push_back(Given::Flushed(flush.clone())));
        }
        let mut all = None;
        for read in self.reads.drain(..) {
            if read.reply.is_closed() {
                continue;
            }
            let mut state = self.shared.0.lock();
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
        let changes = self.layout.changes(batch).map_err(|e| wrong(&e))?;
        {
            let mut state = shared.lock();
            state.fold.apply(shard, &changes).map_err(|e| wrong(&e))?;
            self.subscribers.append(&mut state.joining);
            self.listeners.append(&mut state.listening);
        }
        self.unweighed += batch.num_rows();
        if self.unweighed >= WEIGH_ROWS {
            self.weigh();
        }
        self.listeners
            .retain(|listener| listener.give(shard, batch));
        let rows = batch.num_rows() as u64;
        let shared = &self.shared.0;
        shared.rows_out.fetch_add(rows, Ordering::Relaxed);
        for subscriber in &mut self.subscribers {
            let rows = batch.clone();
            subscriber.waiting.push_back(Given::Rows { shard, rows });
        }
        Ok(())
    }

    /// Gives subscribers what they have room for. Whether one has too little.
    fn hand_on(&mut self) -> bool {
        let mut is_behind = false;
        self.subscribers.retain_mut(|subscriber| {
            if !subscriber.is_there() {
                return false;
            }
            let waiting = subscriber.waiting.len();
            while let Some(given) = subscriber.waiting.pop_front() {
                if let Err(given) = subscriber.to.try_send(given) {
                    subscriber.waiting.push_front(given);
                    is_behind = true;
                    break;
                }
            }
            if subscriber.waiting.len() < waiting {
                subscriber.waker.0.wake();
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

/// Why a view that waits for a subscriber cannot come to a barrier.
pub(super) fn held_back() -> Error {
    let message = "a subscriber does not take its rows, and the view waits for it";
    Error::engine("E0612", message.to_owned())
}
