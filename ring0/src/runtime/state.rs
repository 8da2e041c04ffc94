//! How much memory the state of programs takes, and what becomes of one that takes too much.
//!
//! A shard adds up between two turns what its part of each program holds, and says it in a word
//! that it alone writes; a host says what it keeps of results. Where the sum over all programs is
//! more than the limit, the program that has most of it ends with an error, and no other one does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Control;
use super::hosted::{Hosted, Part, Slot};
use crate::error::Error;
use crate::limits::{WEIGH_BYTES, WEIGH_TURNS};
use crate::program::Program;
use crate::shard::{Shard, Turn};

/// The limit of a runtime.
#[derive(Debug)]
pub(super) struct Limit {
    bytes: u64,
    /// A shard looks for the program that is to end; no other one does meanwhile, so that one ends
    /// and not two.
    is_judged: AtomicBool,
}

impl Limit {
    pub(super) fn new(bytes: u64) -> Self {
        Self {
            bytes,
            is_judged: AtomicBool::new(false),
        }
    }
}

/// What a program holds.
#[derive(Debug)]
pub(super) struct Holdings {
    /// Bytes by shard, where there is a limit.
    shards: Vec<AtomicU64>,
    /// By shard what each operator said when it was asked last.
    operators: Vec<Vec<Told>>,
    /// The stage and number of each.
    places: Vec<(usize, usize)>,
    /// What the host keeps.
    kept_rows: AtomicU64,
    kept_bytes: AtomicU64,
    /// What it kept when it woke a shard for that.
    rung_bytes: AtomicU64,
}

/// What an operator said.
#[derive(Debug, Default)]
struct Told {
    rows: AtomicU64,
    bytes: AtomicU64,
    bytes_max: AtomicU64,
}

/// The memory of a program's state, as it was when it was last asked for, and of what its host
/// keeps now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// Of each of its operators.
    pub operators: Vec<OperatorState>,
    /// Rows of results that the host keeps.
    pub kept_rows: u64,
    /// Bytes of these.
    pub kept_bytes: u64,
}

/// The state of an operator, on all shards together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorState {
    /// The stage of the program, as it was made.
    pub stage: usize,
    /// The operator's number in it.
    pub operator: usize,
    /// Rows and groups that it keeps.
    pub rows: u64,
    /// Bytes of memory that they take.
    pub bytes: u64,
    /// The most that each shard had at any time, added up.
    pub bytes_max: u64,
}

impl Holdings {
    pub(super) fn new(program: &Program, shards: usize) -> Self {
        let stages = program.stages.iter().enumerate();
        let places = stages.flat_map(|(stage, spec)| {
            let operators = 0..spec.operators.len();
            operators.map(move |operator| (stage, operator))
        });
        let places: Vec<_> = places.collect();
        let untold = || places.iter().map(|_| Told::default()).collect();
        Self {
            shards: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            operators: (0..shards).map(|_| untold()).collect(),
            places,
            kept_rows: AtomicU64::new(0),
            kept_bytes: AtomicU64::new(0),
            rung_bytes: AtomicU64::new(0),
        }
    }

    /// Bytes of all shards and of the host.
    fn bytes(&self) -> u64 {
        let shards = self
            .shards
            .iter()
            .map(|bytes| bytes.load(Ordering::Relaxed));
        shards.sum::<u64>() + self.kept_bytes.load(Ordering::Relaxed)
    }

    /// A shard has ended, and holds nothing.
    pub(super) fn end(&self, number: usize) {
        self.shards[number].store(0, Ordering::Relaxed);
    }

    /// Says what a shard holds, by operator.
    pub(super) fn tell(&self, number: usize, shard: &Shard) {
        for counters in shard.operators() {
            let place = (counters.stage, counters.operator);
            let Ok(at) = self.places.binary_search(&place) else {
                continue;
            };
            let told = &self.operators[number][at];
            told.rows.store(counters.state_rows, Ordering::Relaxed);
            told.bytes.store(counters.state_bytes, Ordering::Relaxed);
            told.bytes_max
                .store(counters.state_bytes_max, Ordering::Relaxed);
        }
    }
}

impl Control {
    /// Says how many rows of results the host keeps, and how many bytes of memory they take: they
    /// count as the program's state does.
    pub fn keep(&self, rows: u64, bytes: u64) {
        let holdings = &self.orders.holdings;
        holdings.kept_rows.store(rows, Ordering::Relaxed);
        holdings.kept_bytes.store(bytes, Ordering::Relaxed);
        let rung = holdings.rung_bytes.load(Ordering::Relaxed);
        if bytes < rung {
            holdings.rung_bytes.store(bytes, Ordering::Relaxed);
        } else if bytes >= rung + WEIGH_BYTES {
            // Shards may sleep by now.
            holdings.rung_bytes.store(bytes, Ordering::Relaxed);
            self.bells[0].ring_always();
        }
    }

    /// The memory of its state, as the shards said when they were last asked ([`Control::ask`]).
    pub fn holding(&self) -> Holding {
        let holdings = &self.orders.holdings;
        let sum = |at: usize, of: fn(&Told) -> &AtomicU64| {
            let shards = holdings.operators.iter();
            shards
                .map(|told| of(&told[at]).load(Ordering::Relaxed))
                .sum()
        };
        let places = holdings.places.iter().enumerate();
        let operators = places.map(|(at, &(stage, operator))| OperatorState {
            stage,
            operator,
            rows: sum(at, |told| &told.rows),
            bytes: sum(at, |told| &told.bytes),
            bytes_max: sum(at, |told| &told.bytes_max),
        });
        Holding {
            operators: operators.collect(),
            kept_rows: holdings.kept_rows.load(Ordering::Relaxed),
            kept_bytes: holdings.kept_bytes.load(Ordering::Relaxed),
        }
    }
}

/// Whether it goes on: what has failed is freed, as soon as its host looks.
fn goes_on(slot: &Slot) -> bool {
    !slot.part.orders.failed.load(Ordering::Acquire)
}

impl Hosted {
    /// Adds up what the parts hold, where there is a limit, behind a turn in which something moved
    /// or hosts came to keep much more. All programs are looked at where that has grown by much,
    /// and now and then. Whether one was ended.
    pub(super) fn weigh(&mut self, turn: Turn) -> bool {
        let Some(limit) = &self.limit else {
            return false;
        };
        let kept = self.slots.iter().map(|slot| &slot.part.orders.holdings);
        let kept = kept.map(|holdings| holdings.kept_bytes.load(Ordering::Relaxed));
        let kept: u64 = kept.sum();
        let has_grown = kept >= self.kept + WEIGH_BYTES;
        if turn == Turn::Idle && !has_grown {
            return false;
        }
        let mut mine = 0;
        for Slot { part, .. } in &self.slots {
            let bytes = part.shard.state_bytes();
            part.orders.holdings.shards[part.number].store(bytes, Ordering::Relaxed);
            mine += bytes;
        }
        self.turns = self.turns.wrapping_add(1);
        let is_due = has_grown || mine >= self.weighed + WEIGH_BYTES;
        if !is_due && !self.turns.is_multiple_of(WEIGH_TURNS) {
            return false;
        }
        (self.weighed, self.kept) = (mine, kept);
        if self.held() <= limit.bytes {
            return false;
        }
        let limit = Arc::clone(limit);
        self.judge(&limit)
    }

    /// Bytes of all programs that go on.
    fn held(&self) -> u64 {
        let slots = self.slots.iter().filter(|slot| goes_on(slot));
        slots.map(|slot| slot.part.orders.holdings.bytes()).sum()
    }

    /// Ends the program that has most. Whether there was one.
    fn judge(&mut self, limit: &Limit) -> bool {
        if limit.is_judged.swap(true, Ordering::Acquire) {
            return false;
        }
        let mut has_ended = false;
        // Another shard may have ended one meanwhile.
        let held = self.held();
        if held > limit.bytes {
            let slots = self.slots.iter_mut().filter(|slot| goes_on(slot));
            let most = slots.max_by_key(|slot| slot.part.orders.holdings.bytes());
            if let Some(Slot { part, .. }) = most {
                part.exceed(held, limit.bytes);
                has_ended = true;
            }
        }
        limit.is_judged.store(false, Ordering::Release);
        has_ended
    }
}

impl Part {
    /// It has most of what is too much.
    fn exceed(&mut self, held: u64, limit: u64) {
        let holdings = &self.orders.holdings;
        let kept = holdings.kept_bytes.load(Ordering::Relaxed);
        let largest = self.shard.largest_state();
        let (part, part_bytes) = match largest.filter(|(.., bytes)| *bytes >= kept) {
            Some((stage, name, bytes)) => (format!("{name} (stage {})", stage + 1), bytes),
            None => ("its rows that stand".to_owned(), kept),
        };
        let own = holdings.bytes();
        self.fail(Error::Memory {
            held,
            limit,
            own,
            part,
            part_bytes,
        });
    }
}
