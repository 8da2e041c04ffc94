//! Where the shards that read one source stop together. Each says how many chunks of the file were
//! begun with its own last one, and begins no other until all have said so; then all chunks before
//! the greatest of these are read, and none behind. So what was read is the beginning of the file,
//! whatever each shard was doing, and nobody waits for a chunk that never comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::wake::Bell;

/// What the readers of a source tell each other when they are to stop.
#[derive(Debug)]
pub(crate) struct Cut {
    /// For each reader one more than the chunks up to its last, 0 before it has said so.
    begun: Box<[AtomicU64]>,
    readers: Vec<Arc<Bell>>,
}

impl Cut {
    /// A cut of these readers.
    pub(super) fn new(readers: &[Arc<Bell>]) -> Self {
        Self {
            begun: readers.iter().map(|_| AtomicU64::new(0)).collect(),
            readers: readers.to_vec(),
        }
    }

    /// Says, for ever, that up to the last chunk of this reader there are so many.
    pub(super) fn report(&self, reader: usize, chunks: u64) {
        self.begun[reader].store(chunks + 1, Ordering::Release);
        if self.chunks().is_some() {
            // Those who said it before sleep, and nobody else wakes them.
            self.readers.iter().for_each(|bell| bell.ring_always());
        }
    }

    /// The number of chunks that are read; `None` as long as somebody has not said his.
    pub(super) fn chunks(&self) -> Option<u64> {
        let told = self.begun.iter().map(|b| b.load(Ordering::Acquire));
        told.map(|b| b.checked_sub(1))
            .try_fold(0, |most, chunks| Some(most.max(chunks?)))
    }
}
