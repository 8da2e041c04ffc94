//! A program that runs, in the hands of its host: its results, what it is told, and how it ends.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rtrb::Consumer;

use super::hosted::Part;
use super::orders::{DRAIN, HALT, Orders, Reached, STOP};
use super::wait::{Deadline, Wait};
use super::{Executor, Runtime, Seating, Shared};
use crate::changelog::{UPDATE_ROWS, is_weighted};
use crate::error::{Error, Result};
use crate::failure;
use crate::id::OutputId;
use crate::mailbox::{Receiver, Sender, mailbox};
use crate::output::{Block, Gives, HostLanes};
use crate::program::Program;
use crate::shard::ShardReport;
use crate::snapshot::{Parts, Told, epoch_of, refusal};
use crate::source::Doorway;
use crate::wake::Bell;

/// A running program in the hands of any thread.
#[derive(Debug, Clone)]
pub struct Control {
    pub(super) orders: Arc<Orders>,
    pub(super) bells: Arc<[Arc<Bell>]>,
    pub(super) host: Arc<Bell>,
}

impl Control {
    /// Lets the sources read no further record. What was read is the beginning of each file, and
    /// all of its results come out that do not wait for the end of input: that is not reached, so
    /// that what is still open by then is not given.
    pub fn stop(&self) {
        self.order(STOP);
    }

    /// Lets input without an end have one: what appenders have pushed is taken, and then it has
    /// ended as a file does. Streams and generators are stopped.
    pub fn drain(&self) {
        self.order(DRAIN);
    }

    /// Asks the shards how far they are. They answer between two turns.
    pub fn ask(&self) {
        self.orders.ask();
        self.ring();
    }

    /// How far the shards were when they were last asked.
    pub fn reached(&self) -> Reached {
        let shards = || self.reached_by_shard();
        Reached {
            rows_read: shards().map(|shard| shard.rows_read).sum(),
            rows_bad: shards().map(|shard| shard.rows_bad).sum(),
            rows_failed: shards().map(|shard| shard.rows_failed).sum(),
            rows_late: shards().map(|shard| shard.rows_late).sum(),
            rows_late_idle: shards().map(|shard| shard.rows_late_idle).sum(),
            watermark: shards().filter_map(|shard| shard.watermark).min(),
            held_by: (shards().filter_map(|shard| Some((shard.watermark?, shard.held_by?))))
                .min()
                .map(|(_, holder)| holder),
        }
    }

    /// How far each shard was when it was last asked.
    pub fn reached_by_shard(&self) -> impl Iterator<Item = Reached> + '_ {
        self.orders.reached()
    }

    /// A ring from the thread that takes the results to another one; [`Self::wake_host`] ends its
    /// waits for room, too.
    ///
    /// # Errors
    /// [`Error::Preflight`] where there is no descriptor left.
    pub fn mailbox<T>(&self, places: usize) -> Result<(Sender<T>, Receiver<T>)> {
        mailbox(places, Arc::clone(&self.host))
    }

    /// Ends a wait of the host for results, once.
    pub fn wake_host(&self) {
        self.host.ring_always();
    }

    fn order(&self, order: u32) {
        self.orders.give(order);
        self.ring();
    }

    fn ring(&self) {
        self.bells.iter().for_each(|bell| bell.ring_always());
    }
}

/// What a look for results gives.
#[derive(Debug)]
pub enum Next {
    /// Rows.
    Block(Block),
    /// All rows of an output that are before the barrier of an epoch were given.
    Barrier(OutputId, u64),
    /// None now.
    Nothing,
    /// None any more.
    End,
}

/// A program that runs. Dropping it ends it on all shards.
#[derive(Debug)]
pub struct Running {
    pub(super) executor: Executor,
    pub(super) notes: Vec<String>,
    pub(super) seating: Seating,
    pub(super) outputs: Vec<HostLanes>,
    pub(super) told: Vec<Consumer<Told>>,
    pub(super) begun: i64,
    pub(super) sizes: HashMap<PathBuf, u64>,
    pub(super) doors: Vec<Option<Doorway>>,
    pub(super) homes: Vec<Consumer<Box<Part>>>,
    pub(super) outcomes: Vec<Option<Result<ShardReport>>>,
    /// How many of these the host has been woken for.
    pub(super) home: usize,
    pub(super) wait: Wait,
    pub(super) shared: Arc<Shared>,
    pub(super) control: Control,
    pub(super) program: Arc<Program>,
    /// The numbers of the chains' first stages.
    pub(super) stages: Vec<usize>,
    /// What the run ended with, once it has failed.
    pub(super) failure: Option<Error>,
    pub(super) lane: LaneShape,
    /// What it runs on, where that is its own.
    pub(super) own: Option<Box<Runtime>>,
}

/// What the lanes of a program are like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneShape {
    pub(crate) frame_rows: usize,
    pub(crate) ring_messages: usize,
}

impl Running {
    /// What the shards run on.
    pub fn executor(&self) -> Executor {
        self.executor
    }

    /// What the user should know about this start.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How many shards it runs on.
    pub fn shards(&self) -> usize {
        self.outcomes.len()
    }

    /// What any thread can do with it.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Whether a shard has ended it with an error, which [`Running::try_next_block`] gives behind
    /// the results that are there.
    pub fn has_failed(&self) -> bool {
        self.orders().failed.load(Ordering::Acquire)
    }

    /// The program, as the shards run it.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The door of a source for appenders' lanes, once, and what these are like.
    pub(crate) fn take_door(&mut self, source: usize) -> Option<(Doorway, LaneShape, Arc<Bell>)> {
        let door = self.doors.get_mut(source)?.take()?;
        // An update is not cut in two.
        let least = match is_weighted(&self.program.sources[source].schema) {
            true => UPDATE_ROWS,
            false => 1,
        };
        let lane = LaneShape {
            frame_rows: self.lane.frame_rows.max(least),
            ..self.lane
        };
        Some((door, lane, Arc::clone(&self.control.bells[0])))
    }

    /// The next results, if there are any now.
    ///
    /// # Errors
    /// As [`Running::next_block`].
    pub fn try_next_block(&mut self) -> Result<Next> {
        if let Some(error) = &self.failure {
            return Err(error.clone());
        }
        let outputs = self.outputs.iter_mut().enumerate();
        let mut given = outputs.filter_map(|(number, lanes)| Some((number, lanes.poll()?)));
        match given.next() {
            Some((_, Gives::Block(block))) => return Ok(Next::Block(block)),
            Some((number, Gives::Barrier(barrier))) => {
                return Ok(Next::Barrier(OutputId(number as u32), epoch_of(barrier)));
            }
            None => {}
        }
        if self.orders().failed.load(Ordering::Acquire) {
            return Err(self.failure());
        }
        // Marks, and blocks that are not given back yet, made room in the ring: a shard may sleep
        // for want of it.
        self.outputs.iter_mut().for_each(HostLanes::end_turn);
        if self.outputs.iter().all(HostLanes::is_ended) {
            return Ok(Next::End);
        }
        if self.is_cut_off() && !self.has_more() {
            return Err(self.failure());
        }
        Ok(Next::Nothing)
    }

    /// Waits for the next results; `None` when all inputs have ended and all results were given.
    ///
    /// # Errors
    /// The error of the shard that failed; then the program has ended on all shards, and nothing
    /// else comes any more.
    pub fn next_block(&mut self) -> Result<Option<Block>> {
        loop {
            match self.next_before(Deadline::never())? {
                Next::Block(block) => return Ok(Some(block)),
                Next::Barrier(..) => {}
                Next::End => return Ok(None),
                Next::Nothing => unreachable!("it waits for ever"),
            }
        }
    }

    /// Asks for a barrier in all that is read, between what is before it and what is behind; later
    /// ones have greater numbers, and each is asked for when all shards are done with the one
    /// before. What comes of it is taken with [`Running::next_told`], and each output has its
    /// [`Next::Barrier`]. A program that has ended by then has none.
    ///
    /// # Panics
    /// Where there can be none: see [`crate::snapshot::refusal`].
    pub fn ask_barrier(&self, epoch: u64) {
        assert_eq!(
            refusal(&self.program),
            None,
            "programs without snapshots have no barriers"
        );
        self.ask(epoch, Parts::State);
    }

    /// Asks for a barrier that only parts the results: those of all that is read before from those
    /// of what is read behind. Each output has its [`Next::Barrier`], and nothing is told. Of rows
    /// in memory it lies behind what the shards have taken. Any program has them; the next one is
    /// asked for when every output has had this one. A program that has ended by then has none.
    pub fn ask_parting(&self, epoch: u64) {
        self.ask(epoch, Parts::Results);
    }

    /// As [`Running::ask_parting`], where the barrier lies behind all rows that appenders had
    /// pushed before this call, also those that no shard has taken.
    pub fn ask_flushing(&self, epoch: u64) {
        self.ask(epoch, Parts::Pushed);
    }

    fn ask(&self, epoch: u64, parts: Parts) {
        self.orders().ask_barrier(epoch, parts);
        self.control.ring();
    }

    /// Whether all rows of an output were given; it has no barrier any more.
    pub fn has_given_all(&self, output: OutputId) -> bool {
        self.outputs[output.index()].is_ended()
    }

    /// What a shard has told of its snapshot, with its number.
    pub fn next_told(&mut self) -> Option<(usize, Told)> {
        let mut shards = self.told.iter_mut().enumerate();
        let told = shards.find_map(|(shard, from)| Some((shard, from.pop().ok()?)))?;
        // It may wait for room.
        self.control.bells[told.0].ring_always();
        Some(told)
    }

    /// When the program began (ns since 1970-01-01T00:00:00Z); for [`crate::snapshot::Restore`].
    pub fn begun(&self) -> i64 {
        self.begun
    }

    /// How many bytes of each file are read: what it had when it was opened, or when the program
    /// began that this one goes on from.
    pub fn sizes(&self) -> &HashMap<PathBuf, u64> {
        &self.sizes
    }

    /// Waits for the next results, for so long at most, or until [`Control::wake_host`].
    ///
    /// # Errors
    /// As [`Running::next_block`].
    pub fn next_block_timeout(&mut self, timeout: Duration) -> Result<Next> {
        match self.try_next_block()? {
            Next::Nothing => {}
            next => return Ok(next),
        }
        self.wait(Deadline::after(timeout));
        self.try_next_block()
    }

    fn next_before(&mut self, deadline: Deadline) -> Result<Next> {
        loop {
            let next = self.try_next_block()?;
            if !matches!(next, Next::Nothing) || deadline.is_past() {
                return Ok(next);
            }
            self.wait(deadline);
        }
    }

    /// Waits until there may be something.
    fn wait(&mut self, deadline: Deadline) {
        let Self { wait, outputs, .. } = self;
        if wait.look(deadline, || outputs.iter().any(HostLanes::has_more)) {
            return;
        }
        let host = Arc::clone(&self.control.host);
        if self.arm() {
            host.sleep(deadline.left_ms());
        }
        host.awake();
        self.wait.slept();
    }

    /// Has the descriptor of [`AsRawFd`] become readable once there is something to look at. False
    /// where there is already: then it may not.
    pub fn arm(&mut self) -> bool {
        self.control.host.announce_sleep();
        // Parts that come home are rung for, and who waits for a snapshot looks for them.
        self.collect();
        let failed = self.orders().failed.load(Ordering::Acquire);
        !(self.has_more() || self.has_new_home() || failed || self.is_cut_off())
    }

    /// Whether a part came home since that was asked last.
    fn has_new_home(&mut self) -> bool {
        let home = self.outcomes.iter().filter(|o| o.is_some()).count();
        std::mem::replace(&mut self.home, home) < home
    }

    /// Ends what [`Self::arm`] began, and quiets the descriptor.
    pub fn disarm(&mut self) {
        self.control.host.awake();
        self.control.host.sleep(0);
    }

    fn has_told(&self) -> bool {
        self.told.iter().any(|told| !told.is_empty())
    }

    fn has_more(&self) -> bool {
        self.has_told() || self.outputs.iter().any(HostLanes::has_more)
    }

    /// Whether a part is gone without having come home: its shard has ended.
    fn is_cut_off(&self) -> bool {
        self.shared.is_ended() && self.homes.iter().any(Consumer::is_abandoned)
    }

    fn orders(&self) -> &Orders {
        &self.control.orders
    }

    /// Gives a block back, so that its memory is used again. A shard makes as many as its ring
    /// holds and two, and then waits.
    pub fn give_back(&mut self, block: Block) {
        self.outputs[block.output.index()].give_back(block);
    }

    /// Whether all shards have given their parts back.
    pub fn is_home(&mut self) -> bool {
        self.collect();
        self.outcomes.iter().all(Option::is_some)
    }

    /// The shards that have ended and given their parts back: they tell nothing any more. One that
    /// failed is none: what it had still to tell of a barrier nobody has.
    pub fn ended_shards(&mut self) -> Vec<usize> {
        self.collect();
        let ended = |shard: &usize| {
            matches!(self.outcomes[*shard], Some(Ok(_))) && self.told[*shard].is_empty()
        };
        (0..self.outcomes.len()).filter(ended).collect()
    }

    /// Waits for the program's end and gives what it counted, by shard. Results that were not taken
    /// are lost.
    ///
    /// # Errors
    /// As [`Running::next_block`].
    pub fn finish(mut self) -> Result<Vec<ShardReport>> {
        // A shard whose ring to the host is full does not end.
        while let Some(block) = self.next_block()? {
            self.give_back(block);
        }
        self.join();
        let (reports, errors) = self.outcome();
        match errors.is_empty() {
            true => Ok(reports),
            false => Err(failure::first(errors, &self.program)),
        }
    }

    /// Ends the program; the error to show, the same one each time.
    fn failure(&mut self) -> Error {
        self.control.order(HALT);
        self.join();
        let (_, errors) = self.outcome();
        let error = match self.shared.failure() {
            Some(error) => error,
            None => failure::first(errors, &self.program),
        };
        self.failure.insert(error).clone()
    }

    /// What the parts counted, and their errors.
    fn outcome(&mut self) -> (Vec<ShardReport>, Vec<Error>) {
        let (mut reports, mut errors) = (Vec::new(), Vec::new());
        for outcome in self.outcomes.iter().flatten() {
            match outcome {
                Ok(report) => reports.push(report.clone().renumbered(&self.stages)),
                Err(error) => errors.push(error.clone()),
            }
        }
        (reports, errors)
    }

    /// Takes the parts that came home, and frees them.
    fn collect(&mut self) {
        for (home, outcome) in self.homes.iter_mut().zip(&mut self.outcomes) {
            if outcome.is_some() {
                continue;
            }
            // Asked first: what came home before is seen then.
            let gone = home.is_abandoned();
            match home.pop() {
                Ok(part) => *outcome = part.outcome,
                Err(_) if gone => *outcome = Some(Err(self.shared.ended())),
                Err(_) => {}
            }
        }
    }

    /// Waits until all parts are home, and forgets what they tell until then. Where the caller's
    /// own thread is the shard, they come home in its next step.
    fn join(&mut self) {
        self.collect();
        if self.seating == Seating::Here {
            return;
        }
        let host = Arc::clone(&self.control.host);
        while !self.is_home() {
            while self.next_told().is_some() {}
            host.announce_sleep();
            if !self.is_home() && !self.has_told() {
                host.sleep(-1);
            }
            host.awake();
        }
    }
}

/// For who waits in poll(2); see [`Running::arm`].
impl AsRawFd for Running {
    fn as_raw_fd(&self) -> RawFd {
        self.control.host.as_raw_fd()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control.order(HALT);
        // An error was either given already or is of no interest to who drops the run.
        self.join();
    }
}
