//! Frames that are ready in memory: each is lent as it is, and nothing is copied.

use std::sync::Arc;

use super::bad::BadRecords;
use crate::error::Result;
use crate::frame::Frame;
use crate::kernel::RowError;
use crate::metrics::SourceCounters;
use crate::program::SourceSpec;
use crate::source::{Polled, Reader};

/// The frames that are one shard's.
#[derive(Debug)]
pub(crate) struct MemorySource {
    pub(super) bad: BadRecords,
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
        reader: Reader,
    ) -> Self {
        Self {
            bad: BadRecords::new(spec, reader.frame_rows),
            frames: Arc::clone(frames),
            next: reader.shard,
            end: frames.len() * repeat,
            stopped: false,
            shards: reader.shards,
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
    pub(super) fn take_failed(&mut self, failed: &mut Vec<RowError>) -> Result<()> {
        let before = &self.frames[..self.in_hand()];
        let first = before.iter().map(Frame::rows).sum();
        self.bad.take_rows(first, failed)
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
