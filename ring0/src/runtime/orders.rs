//! What the host wants of a program's shards, and what they say of themselves.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use super::state::Holdings;
use crate::shard::Shard;
use crate::snapshot::{Parts, barrier_of, epoch_of};

/// To end at once, whatever is in hand.
pub(super) const HALT: u32 = 1;
/// To read no further record, and to end when those that were read have gone their way.
pub(super) const STOP: u32 = 2;
/// To let input without an end have one.
pub(super) const DRAIN: u32 = 4;
/// One more question.
pub(super) const ASK: u32 = 8;

/// What the shards know of a program's health, and what the host wants of it.
#[derive(Debug)]
pub(super) struct Orders {
    /// Bits: [`HALT`], [`STOP`], [`DRAIN`], and above them a count of the times that the host asked
    /// how far it is. A shard looks at all of it at once, between two turns.
    given: AtomicU32,
    /// The last barrier that the host asked for.
    barrier: AtomicU64,
    pub(super) failed: AtomicBool,
    told: Vec<Answer>,
    /// The memory of its state.
    pub(super) holdings: Holdings,
}

/// What a shard said when it was last asked.
#[derive(Debug)]
struct Answer {
    rows_read: AtomicU64,
    rows_bad: AtomicU64,
    rows_failed: AtomicU64,
    rows_late: AtomicU64,
    rows_late_idle: AtomicU64,
    /// `i64::MIN` where it has none.
    watermark: AtomicI64,
    /// As in [`holder_word`].
    held_by: AtomicU64,
}

/// A source in the upper half of a word, and its split in the lower one; all ones without any.
fn holder_word(holder: Option<Holder>) -> u64 {
    holder.map_or(u64::MAX, |holder| {
        (holder.source as u64) << 32 | u64::from(holder.split)
    })
}

fn holder_of(word: u64) -> Option<Holder> {
    (word < u64::MAX).then_some(Holder {
        source: (word >> 32) as usize,
        split: word as u32,
    })
}

impl Orders {
    pub(super) fn new(shards: usize, holdings: Holdings) -> Self {
        let untold = || Answer {
            rows_read: AtomicU64::new(0),
            rows_bad: AtomicU64::new(0),
            rows_failed: AtomicU64::new(0),
            rows_late: AtomicU64::new(0),
            rows_late_idle: AtomicU64::new(0),
            watermark: AtomicI64::new(i64::MIN),
            held_by: AtomicU64::new(u64::MAX),
        };
        Self {
            given: AtomicU32::new(0),
            barrier: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            told: (0..shards).map(|_| untold()).collect(),
            holdings,
        }
    }

    #[inline]
    pub(super) fn given(&self) -> u32 {
        self.given.load(Ordering::Acquire)
    }

    /// The last barrier that was asked for; 0 where none was.
    #[inline]
    pub(super) fn barrier(&self) -> u64 {
        self.barrier.load(Ordering::Acquire)
    }

    /// Gives these orders, besides those that were given.
    pub(super) fn give(&self, orders: u32) {
        self.given.fetch_or(orders, Ordering::Release);
    }

    /// Asks once more how far the shards are.
    pub(super) fn ask(&self) {
        self.given.fetch_add(ASK, Ordering::Release);
    }

    /// Asks for a barrier.
    pub(super) fn ask_barrier(&self, epoch: u64, parts: Parts) {
        let barrier = barrier_of(epoch, parts);
        let before = self.barrier.swap(barrier, Ordering::Release);
        assert!(epoch_of(before) < epoch, "epochs ascend from 1");
    }

    /// Says how far a shard is.
    pub(super) fn tell(&self, number: usize, shard: &Shard) {
        let reached = shard.reached();
        let told = &self.told[number];
        for (told, count) in [
            (&told.rows_read, reached.rows_read),
            (&told.rows_bad, reached.rows_bad),
            (&told.rows_failed, reached.rows_failed),
            (&told.rows_late, reached.rows_late),
            (&told.rows_late_idle, reached.rows_late_idle),
        ] {
            told.store(count, Ordering::Relaxed);
        }
        let watermark = reached.watermark.unwrap_or(i64::MIN);
        told.watermark.store(watermark, Ordering::Relaxed);
        let holder = holder_word(reached.held_by);
        told.held_by.store(holder, Ordering::Relaxed);
        self.holdings.tell(number, shard);
    }

    /// How far each shard was when it was last asked.
    pub(super) fn reached(&self) -> impl Iterator<Item = Reached> + '_ {
        self.told.iter().map(|told| {
            let watermark = told.watermark.load(Ordering::Relaxed);
            Reached {
                rows_read: told.rows_read.load(Ordering::Relaxed),
                rows_bad: told.rows_bad.load(Ordering::Relaxed),
                rows_failed: told.rows_failed.load(Ordering::Relaxed),
                rows_late: told.rows_late.load(Ordering::Relaxed),
                rows_late_idle: told.rows_late_idle.load(Ordering::Relaxed),
                watermark: Some(watermark).filter(|w| *w > i64::MIN),
                held_by: holder_of(told.held_by.load(Ordering::Relaxed)),
            }
        })
    }
}

/// How far a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reached {
    /// Records that were read.
    pub rows_read: u64,
    /// Those of them that are no rows, and were left out.
    pub rows_bad: u64,
    /// Rows on which an expression failed, and which were left out: once for each stage that reads
    /// their source.
    pub rows_failed: u64,
    /// Rows behind their own split's watermark, counted so, too.
    pub rows_late: u64,
    /// Rows that are late for the watermark of other splits alone.
    pub rows_late_idle: u64,
    /// The least watermark (ns) that a shard has reached in what it reads.
    pub watermark: Option<i64>,
    /// The split that holds it back: of those that are waited for the one that is furthest behind.
    pub held_by: Option<Holder>,
}

/// A split that others wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// The number of its source in the program.
    pub source: usize,
    /// Its own number: which file, or which of the appenders or clients so far.
    pub split: u32,
}
