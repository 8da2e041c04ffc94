//! Where the shards that read one source come to a point together: where they stop, or where a
//! barrier lies between what they have read and what they read next. Each says how many chunks of
//! the file were begun with its own last one, and begins no other until all have said so; then all
//! chunks before the greatest of these are read first, and none behind. So what was read is the
//! beginning of the file, whatever each shard was doing, and nobody waits for a chunk that never
//! comes.

#[cfg(test)]
mod model;

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::wake::Bell;

/// The epoch that is behind all others.
const NEVER: u64 = u64::MAX;

/// A word that threads share: the machine's, or in tests that of a model checker.
trait Word: Debug + Default {
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
}

impl Word for AtomicU64 {
    fn load(&self, order: Ordering) -> u64 {
        Self::load(self, order)
    }

    fn store(&self, value: u64, order: Ordering) {
        Self::store(self, value, order);
    }
}

/// What a reader has said.
#[derive(Debug, Default)]
struct Said<W> {
    /// Written behind the number of chunks, which is of this epoch; 0 before it said anything.
    epoch: W,
    begun: W,
}

impl<W: Word> Said<W> {
    fn say(&self, begun: u64, epoch: u64) {
        self.begun.store(begun, Ordering::Relaxed);
        self.epoch.store(epoch, Ordering::Release);
    }

    /// The number of chunks, where it is of this epoch or a later one.
    fn of(&self, epoch: u64) -> Option<u64> {
        let is_said = self.epoch.load(Ordering::Acquire) >= epoch;
        is_said.then(|| self.begun.load(Ordering::Relaxed))
    }
}

/// What one reader has said of each point.
#[derive(Debug, Default)]
struct Reader<W = AtomicU64> {
    /// Where it stops.
    stop: Said<W>,
    /// Its last chunk of all. Who is past a barrier may say this while others still look for it, so
    /// that it counts only for barriers that the reader was never asked for.
    last: Said<W>,
    barrier: Said<W>,
}

impl<W: Word> Reader<W> {
    /// The number of chunks up to its last one before the barrier of an epoch. Its last one of all
    /// is looked at first: a reader that has passed the barrier and comes to its end between the
    /// two looks is seen to have said something of the barrier, as it said that before.
    fn before(&self, epoch: u64) -> Option<u64> {
        let last = self.last.of(NEVER);
        self.barrier.of(epoch).or(last)
    }
}

/// The greatest number of chunks that a reader has said, once all have.
fn most<W>(readers: &[Reader<W>], of: impl Fn(&Reader<W>) -> Option<u64>) -> Option<u64> {
    let mut readers = readers.iter();
    readers.try_fold(0, |most, reader| Some(most.max(of(reader)?)))
}

/// What the readers of a source tell each other when they are to come to a point.
#[derive(Debug)]
pub(crate) struct Cut {
    readers: Box<[Reader]>,
    bells: Vec<Arc<Bell>>,
}

impl Cut {
    /// A cut of these readers.
    pub(super) fn new(readers: &[Arc<Bell>]) -> Self {
        Self {
            readers: readers.iter().map(|_| Reader::default()).collect(),
            bells: readers.to_vec(),
        }
    }

    /// Says, for ever, that up to the last chunk of this reader there are so many.
    pub(super) fn report(&self, reader: usize, chunks: u64) {
        self.readers[reader].stop.say(chunks, NEVER);
        // Of two who say it at once one at least sees both.
        fence(Ordering::SeqCst);
        if self.chunks().is_some() {
            self.wake();
        }
    }

    /// The number of chunks that are read; `None` as long as somebody has not said his.
    pub(super) fn chunks(&self) -> Option<u64> {
        most(&self.readers, |reader| reader.stop.of(NEVER))
    }

    /// Says of the barrier of an epoch, all before which every reader has passed, that up to the
    /// last chunk of this reader there are so many.
    pub(super) fn report_barrier(&self, reader: usize, chunks: u64, epoch: u64) {
        self.readers[reader].barrier.say(chunks, epoch);
        fence(Ordering::SeqCst);
        if self.chunks_before(epoch).is_some() {
            self.wake();
        }
    }

    /// Says so for ever: this reader begins no other chunk.
    pub(super) fn report_last(&self, reader: usize, chunks: u64) {
        self.readers[reader].last.say(chunks, NEVER);
        self.wake();
    }

    /// The number of chunks before the barrier of an epoch, as [`Self::chunks`].
    pub(super) fn chunks_before(&self, epoch: u64) -> Option<u64> {
        most(&self.readers, |reader| reader.before(epoch))
    }

    /// Those who said it before sleep, and nobody else wakes them.
    fn wake(&self) {
        self.bells.iter().for_each(|bell| bell.ring_always());
    }
}
