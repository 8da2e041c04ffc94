//! Frames that are ready in memory: each is lent as it is, and nothing is copied.

use std::sync::Arc;

use crate::frame::Frame;
use crate::metrics::SourceCounters;
use crate::source::{Polled, Reader};

/// The frames that are one shard's.
#[derive(Debug)]
pub(crate) struct MemorySource {
    /// All frames of all shards.
    frames: Arc<Vec<Frame>>,
    /// The next one here, counting repetitions.
    next: usize,
    /// The end of that count.
    end: usize,
    /// Where it was stopped there are more frames than up to that end.
    stopped: bool,
    /// Shards that share the frames.
    shards: usize,
    pub(super) counters: SourceCounters,
}

impl MemorySource {
    pub(super) fn new(
        frames: &Arc<Vec<Frame>>,
        repeat: usize,
        Reader { shard, shards, .. }: Reader,
    ) -> Self {
        Self {
            frames: Arc::clone(frames),
            next: shard,
            end: frames.len() * repeat,
            stopped: false,
            shards,
            counters: SourceCounters::default(),
        }
    }

    pub(super) fn poll(&mut self) -> Polled {
        if self.next >= self.end {
            return match self.stopped {
                true => Polled::Stopped,
                false => Polled::End,
            };
        }
        let rows = self.frames[self.next % self.frames.len()].rows() as u64;
        self.counters.rows_read += rows;
        self.counters.rows_passed += rows;
        self.next += self.shards;
        Polled::Frame
    }

    /// Lends no further frame.
    pub(super) fn stop(&mut self) {
        self.stopped |= self.next < self.end;
        self.end = self.end.min(self.next);
    }

    /// The frame that the last poll gave.
    pub(super) fn frame(&self) -> &Frame {
        &self.frames[(self.next - self.shards) % self.frames.len()]
    }
}
