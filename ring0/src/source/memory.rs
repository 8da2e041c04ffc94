//! Frames that are ready in memory: each is lent as it is, and nothing is copied.

use std::sync::Arc;

use crate::error::Result;
use crate::frame::Frame;
use crate::kernel::RowError;
use crate::metrics::SourceCounters;
use crate::program::{BadData, SourceSpec};
use crate::source::{Polled, Reader, first_failed};

/// The frames that are one shard's.
#[derive(Debug)]
pub(crate) struct MemorySource {
    name: String,
    bad_data: BadData,
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
        spec: &SourceSpec,
        frames: &Arc<Vec<Frame>>,
        repeat: usize,
        Reader { shard, shards, .. }: Reader,
    ) -> Self {
        Self {
            name: spec.name.clone(),
            bad_data: spec.bad_data,
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

    /// What becomes of rows of the last frame on which an expression failed.
    pub(super) fn take_failed(&self, failed: &mut Vec<RowError>) -> Result<()> {
        let before = &self.frames[..self.in_hand()];
        let first = before.iter().map(Frame::rows).sum();
        first_failed(&self.name, self.bad_data, first, failed)
    }

    /// Lends no further frame.
    pub(super) fn stop(&mut self) {
        self.stopped |= self.next < self.end;
        self.end = self.end.min(self.next);
    }

    /// The frame that the last poll gave.
    pub(super) fn frame(&self) -> &Frame {
        &self.frames[self.in_hand()]
    }

    /// The number of that frame.
    fn in_hand(&self) -> usize {
        (self.next - self.shards) % self.frames.len()
    }
}
