//! The thread of a view: it takes the results, folds them into the rows that stand, and then hands
//! them to every subscriber. So who was given a batch finds its rows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use trefoil_ring0::mailbox::Sender;
use trefoil_ring0::runtime::{Next, Running};

use super::batch;
use super::view::{Read, Shared, wrong};
use crate::PlannedQuery;
use crate::error::{Error, Result};
use crate::limits::READ_AHEAD_BATCHES;

/// Rows that a view gives, of one shard.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) shard: usize,
    pub(super) rows: RecordBatch,
}

/// A subscriber, and what it had no room for.
#[derive(Debug)]
pub(super) struct Subscriber {
    to: Sender<Given>,
    waiting: VecDeque<Given>,
    /// It wants no more, and is to see the end.
    left: Arc<AtomicBool>,
}

impl Subscriber {
    pub(super) fn new(to: Sender<Given>, left: Arc<AtomicBool>) -> Self {
        Self {
            to,
            waiting: VecDeque::new(),
            left,
        }
    }

    /// Whether there is somebody who wants more.
    pub(super) fn is_there(&self) -> bool {
        !self.left.load(Ordering::Acquire) && self.to.is_wanted()
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
pub(super) struct Keeper {
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
    pub(super) fn new(running: Running, query: PlannedQuery, shared: Arc<Shared>) -> Self {
        Self {
            running,
            query,
            shared: AtEnd(shared),
            subscribers: Vec::new(),
            reads: Vec::new(),
            epoch: 0,
        }
    }

    pub(super) fn run(mut self) {
        let kept = self.keep();
        let rows = self.subscribers.iter().flat_map(|s| &s.waiting);
        let rows: usize = rows.map(|given| given.rows.num_rows()).sum();
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
            self.subscribers.append(&mut state.joining);
        }
        let rows = batch.num_rows() as u64;
        shared.rows_out.fetch_add(rows, Ordering::Relaxed);
        for subscriber in &mut self.subscribers {
            let rows = batch.clone();
            subscriber.waiting.push_back(Given { shard, rows });
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
            while let Some(given) = subscriber.waiting.pop_front() {
                if let Err(given) = subscriber.to.try_send(given) {
                    subscriber.waiting.push_front(given);
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
