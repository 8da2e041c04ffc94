//! Producers that have a name: how many rows of each were taken, in this program and in those that
//! it goes on from, and how far its event time is. One that is away, and has not said that nothing
//! more comes, is a split that is silent.
//!
//! Of one producer one lane is read at a time: rows are taken in the order of their numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::clock::Clock;
use crate::align::SplitFacts;
use crate::feed::Greeting;
use crate::limits::PRODUCERS_MAX;
use crate::snapshot::ProducerPosition;

/// Whose rows a lane has, and how many of them come before its first one.
#[derive(Debug, Clone)]
pub(crate) struct Onward {
    pub(crate) name: Arc<str>,
    /// Known before the lane's first row is sent; before that no more than it will be.
    pub(crate) before: Arc<AtomicU64>,
    /// Said before the lane is given up, where nothing more comes of the producer. One that leaves
    /// without it is away.
    pub(crate) has_ended: Arc<AtomicBool>,
}

/// How a lane was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing more comes of its producer.
    Ended,
    /// It may come again.
    Away,
    /// It may come again, and brought nothing: all is as it was before.
    Unused,
}

#[derive(Debug)]
struct Producer {
    name: Arc<str>,
    /// Rows of it that were taken so far.
    rows: u64,
    /// Its event time, while it has no lane.
    clock: Option<Clock>,
    /// The number of the split whose lane is read.
    lane: Option<usize>,
    /// It had, when it had a lane last.
    has_ended: bool,
    moved_ns: i64,
}

impl Producer {
    fn is_away(&self) -> bool {
        self.lane.is_none() && !self.has_ended
    }
}

/// All producers that a source knows.
#[derive(Debug, Default)]
pub(super) struct Producers(Vec<Producer>);

/// What a lane is given when it is its turn.
pub(super) struct Turn {
    /// Whose it is.
    pub(super) producer: usize,
    /// The clock to go on with, where the lane is read now and there was one before.
    pub(super) clock: Option<Clock>,
}

impl Producers {
    /// A producer has a lane now, that of this split: it is read, unless one of before still is.
    pub(super) fn enter(&mut self, onward: &Onward, split: usize, now_ns: i64) -> Turn {
        let found = self.0.iter().position(|p| p.name == onward.name);
        let producer = found.unwrap_or_else(|| {
            self.0.push(Producer {
                name: Arc::clone(&onward.name),
                rows: 0,
                clock: None,
                lane: None,
                has_ended: false,
                moved_ns: now_ns,
            });
            self.0.len() - 1
        });
        let clock = match self.0[producer].lane {
            Some(_) => None,
            None => self.begin(producer, onward, split),
        };
        Turn { producer, clock }
    }

    /// Reads this lane of a producer from now on.
    pub(super) fn begin(
        &mut self,
        producer: usize,
        onward: &Onward,
        split: usize,
    ) -> Option<Clock> {
        let of = &mut self.0[producer];
        of.lane = Some(split);
        of.rows = onward.before.load(Ordering::Acquire);
        of.clock.take()
    }

    /// Whether a producer is who greets.
    pub(super) fn is(&self, producer: usize, greeting: &Greeting) -> bool {
        self.0[producer].name == greeting.producer
    }

    /// Whether the lane of a split is the one that is read.
    pub(super) fn is_read(&self, producer: usize, split: usize) -> bool {
        self.0[producer].lane == Some(split)
    }

    /// Rows were taken of the lane that is read, which had so many before.
    pub(super) fn take(&mut self, producer: usize, onward: &Onward, before: u64, rows: u64) {
        let of = &mut self.0[producer];
        if before == 0 {
            of.rows = onward.before.load(Ordering::Acquire);
        }
        of.rows += rows;
    }

    /// How many rows of a producer were taken; `None` where one more name is too many.
    pub(super) fn held(&self, name: &str) -> Option<u64> {
        match self.0.iter().find(|p| &*p.name == name) {
            Some(producer) => Some(producer.rows),
            None => (self.0.len() < PRODUCERS_MAX).then_some(0),
        }
    }

    /// So many rows of a producer were taken.
    pub(super) fn reach(&mut self, producer: usize, rows: u64) {
        self.0[producer].rows = rows;
    }

    /// The lane of a split was left. Whether that lane was the one that is read.
    pub(super) fn leave(
        &mut self,
        (producer, split): (usize, usize),
        clock: Option<Clock>,
        left: Left,
        now_ns: i64,
    ) -> bool {
        let of = &mut self.0[producer];
        if of.lane != Some(split) {
            return false;
        }
        let has_ended = match left {
            Left::Ended => true,
            Left::Away => false,
            Left::Unused => of.has_ended,
        };
        (of.lane, of.has_ended, of.clock, of.moved_ns) = (None, has_ended, clock, now_ns);
        true
    }

    /// What is known of those that are away.
    pub(super) fn away(&self) -> impl Iterator<Item = SplitFacts> + '_ {
        self.0.iter().filter(|p| p.is_away()).map(|p| SplitFacts {
            watermark_ns: p.clock.as_ref().and_then(Clock::reached),
            moved_ns: p.moved_ns,
            waits: false,
        })
    }

    /// Where they are; `reached`: the watermark of a split whose lane is read.
    pub(super) fn positions(
        &self,
        reached: impl Fn(usize) -> Option<i64>,
    ) -> Vec<ProducerPosition> {
        let position = |p: &Producer| ProducerPosition {
            name: p.name.to_string(),
            rows: p.rows,
            own: match p.lane {
                Some(split) => reached(split),
                None => p.clock.as_ref().and_then(Clock::reached),
            },
            has_ended: p.has_ended && p.lane.is_none(),
        };
        self.0.iter().map(position).collect()
    }

    /// Goes on from there, each with a clock of its own.
    pub(super) fn go_on(
        &mut self,
        from: Vec<ProducerPosition>,
        clock: impl Fn() -> Option<Clock>,
        now_ns: i64,
    ) {
        let producer = |position: ProducerPosition| {
            let mut clock = clock();
            if let (Some(clock), Some(own)) = (&mut clock, position.own) {
                clock.raise(own);
            }
            Producer {
                name: position.name.into(),
                rows: position.rows,
                clock,
                lane: None,
                has_ended: position.has_ended,
                moved_ns: now_ns,
            }
        };
        self.0 = from.into_iter().map(producer).collect();
    }
}
