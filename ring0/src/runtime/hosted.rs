//! The programs that one shard runs: each has a turn, one after the other. They come through the
//! shard's control ring, ready made, and go home the same way, so that a shard neither makes nor
//! frees what a program is made of.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rtrb::{Consumer, Producer};

use super::orders::{ASK, DRAIN, HALT, Orders, STOP};
use super::state::Limit;
use crate::error::Result;
use crate::io::{Completion, Io};
use crate::limits::PROGRAMS_MAX;
use crate::shard::{Shard, ShardReport, Turn};
use crate::wake::RungAtEnd;

/// A program's part on one shard.
#[derive(Debug)]
pub(super) struct Part {
    /// The number of its shard.
    pub(super) number: usize,
    pub(super) shard: Shard,
    pub(super) orders: Arc<Orders>,
    pub(super) obeyed: u32,
    /// The last barrier that was asked for.
    pub(super) barrier: u64,
    /// Once it has ended: what it counted, or its error.
    pub(super) outcome: Option<Result<ShardReport>>,
}

/// A part, and its way home.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) part: Box<Part>,
    pub(super) home: Producer<Box<Part>>,
    /// Dropped last: the host looks for the part then.
    #[expect(dead_code, reason = "what it does it does when it is dropped")]
    pub(super) host: RungAtEnd,
}

impl Slot {
    fn go_home(self) {
        let Self { part, mut home, .. } = self;
        let sent = home.push(part);
        assert!(sent.is_ok(), "there is a place for a part at home");
    }
}

impl Part {
    /// Does what the host wants and then a turn.
    fn turn(&mut self, io: &mut Io) -> Turn {
        let orders = self.orders.given();
        if orders != self.obeyed && self.obey(orders) {
            return Turn::Finished;
        }
        let barrier = self.orders.barrier();
        if barrier != self.barrier && self.shard.ask_barrier(barrier) {
            self.barrier = barrier;
        }
        match self.shard.turn(io) {
            Ok(Turn::Finished) => self.end(),
            Ok(turn) => turn,
            Err(error) => self.fail(error),
        }
    }

    /// Returns whether it is over.
    fn obey(&mut self, orders: u32) -> bool {
        let new = orders & !self.obeyed;
        if new & STOP != 0 {
            self.shard.stop();
        }
        if new & DRAIN != 0 {
            self.shard.drain();
        }
        if orders / ASK != self.obeyed / ASK {
            self.orders.tell(self.number, &self.shard);
        }
        self.obeyed = orders;
        if orders & HALT != 0 {
            self.end();
        }
        orders & HALT != 0
    }

    fn end(&mut self) -> Turn {
        self.orders.tell(self.number, &self.shard);
        self.orders.holdings.end(self.number);
        self.outcome = Some(Ok(self.shard.report()));
        Turn::Finished
    }

    pub(super) fn fail(&mut self, error: crate::error::Error) -> Turn {
        self.orders.holdings.end(self.number);
        self.outcome = Some(Err(error));
        self.orders.failed.store(true, Ordering::Release);
        Turn::Finished
    }
}

/// All that one shard runs.
#[derive(Debug)]
pub(super) struct Hosted {
    incoming: Consumer<Slot>,
    pub(super) slots: Vec<Slot>,
    pub(super) limit: Option<Arc<Limit>>,
    /// Turns in which something moved, and bytes of state as all of them were looked at last.
    pub(super) turns: u32,
    pub(super) weighed: u64,
    /// And bytes that hosts kept.
    pub(super) kept: u64,
}

impl Hosted {
    pub(super) fn new(incoming: Consumer<Slot>, limit: Option<Arc<Limit>>) -> Self {
        Self {
            incoming,
            slots: Vec::with_capacity(PROGRAMS_MAX),
            limit,
            turns: 0,
            weighed: 0,
            kept: 0,
        }
    }

    /// A turn of every program.
    pub(super) fn turn(&mut self, io: &mut Io) -> Turn {
        let mut all = Turn::Idle;
        while self.slots.len() < PROGRAMS_MAX
            && let Ok(slot) = self.incoming.pop()
        {
            self.slots.push(slot);
        }
        while let Some(completion) = io.poll() {
            self.complete(completion);
            all = Turn::Busy;
        }
        let mut at = 0;
        while at < self.slots.len() {
            let part = &mut self.slots[at].part;
            // A read that was not what its file promised has ended it.
            let turn = match part.outcome {
                Some(_) => Turn::Finished,
                None => part.turn(io),
            };
            match turn {
                Turn::Finished => {
                    self.slots.remove(at).go_home();
                    all = Turn::Busy;
                    continue;
                }
                Turn::Busy => all = Turn::Busy,
                Turn::Idle => {}
            }
            at += 1;
        }
        match self.weigh(all) {
            // What was ended goes home in the next turn.
            true => Turn::Busy,
            false => all,
        }
    }

    /// The shard has ended. What it was given and has not looked at is gone as the rest is: the
    /// ring would keep it as long as there is who fills it, and its host would wait for it.
    pub(super) fn leave(mut self) {
        while let Ok(slot) = self.incoming.pop() {
            drop(slot);
        }
    }

    /// Whether there is something that the shard was told and has not done.
    pub(super) fn is_told(&self) -> bool {
        let told = |slot: &Slot| {
            let part = &slot.part;
            part.orders.given() != part.obeyed || part.orders.barrier() != part.barrier
        };
        !self.incoming.is_empty() && self.slots.len() < PROGRAMS_MAX || self.slots.iter().any(told)
    }

    /// Takes note of a sleep.
    pub(super) fn sleeps(&mut self) {
        let slots = self.slots.iter_mut();
        slots.for_each(|slot| slot.part.shard.sleeps += 1);
    }

    /// Gives a read to who asked for it; whoever did may be gone.
    fn complete(&mut self, completion: Completion) {
        let mut completion = completion;
        for slot in &mut self.slots {
            let part = &mut slot.part;
            match part.shard.complete(completion) {
                Ok(None) => return,
                Ok(Some(other)) => completion = other,
                Err(error) => {
                    part.fail(error);
                    return;
                }
            }
        }
    }
}

const fn is_send<T: Send>() {}
// Programs are made on one thread, run on another, and freed on a third; so is what hosts them.
const _: () = is_send::<Slot>();
const _: () = is_send::<super::Runtime>();
const _: () = is_send::<super::Running>();
const _: () = is_send::<crate::appender::Appender>();
