//! When epochs begin, are committed and abandoned: a pure state machine, without a clock and
//! without files. Its driver tells it what happened, and does what it says.
//!
//! One epoch is in flight at most: the next begins when all shards have given their pieces of the
//! one before and that one is durable or has failed. A number is never used twice.

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The time is this: nanoseconds, of any clock that does not go back.
    Tick {
        /// The time.
        now_ns: i64,
    },
    /// Somebody wants a checkpoint of what is before now.
    Requested,
    /// The shard has given all its pieces of the epoch.
    ShardDone {
        /// Its number.
        shard: u32,
        /// Number of the epoch.
        epoch: u64,
    },
    /// The epoch is durable.
    Written {
        /// Number of the epoch.
        epoch: u64,
    },
    /// The epoch cannot be written: pieces of it, or its manifest.
    WriteFailed {
        /// Number of the epoch.
        epoch: u64,
    },
    /// The shards have ended, or are about to: no barrier reaches them any more.
    Ended,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send the barrier of this epoch, and begin to write it.
    Trigger(u64),
    /// All pieces are there: write the manifest.
    Commit(u64),
    /// Drop what was written of this epoch.
    Abandon(u64),
}

/// What is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing.
    Idle,
    /// Shards give their pieces.
    Collecting(u64),
    /// The epoch was abandoned, and its barrier has not passed all shards yet.
    Draining(u64),
    /// All pieces are there, and the manifest is being written.
    Committing(u64),
    /// The run has ended, and nothing more happens.
    Ended,
}

/// How many epochs there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Begun.
    pub triggered: u64,
    /// Durable.
    pub committed: u64,
    /// Failed, or cut off by the end of the run.
    pub abandoned: u64,
    /// Requests that an epoch serves which serves another one, too.
    pub coalesced: u64,
}

/// The state machine.
#[derive(Debug)]
pub struct Coordinator {
    phase: Phase,
    next_epoch: u64,
    interval_ns: Option<u64>,
    /// When the last epoch began, or the run.
    last_ns: i64,
    now_ns: i64,
    /// By shard: it has given its pieces of the epoch in flight.
    done: Vec<bool>,
    /// Somebody waits for an epoch behind the one in flight.
    is_requested: bool,
    is_ending: bool,
    tally: Tally,
}

impl Coordinator {
    /// For `shards` shards from the time `now_ns` on; the first epoch is `first_epoch`. Without an
    /// interval epochs begin on request alone.
    ///
    /// # Panics
    /// There is no shard.
    pub fn new(shards: u32, first_epoch: u64, interval_ns: Option<u64>, now_ns: i64) -> Self {
        assert!(shards > 0, "a run has shards");
        Self {
            phase: Phase::Idle,
            next_epoch: first_epoch,
            interval_ns,
            last_ns: now_ns,
            now_ns,
            done: vec![false; shards as usize],
            is_requested: false,
            is_ending: false,
            tally: Tally::default(),
        }
    }

    /// What is in flight.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The number that the next epoch will have: behind a request that triggered nothing, the one
    /// that serves it.
    pub fn next_epoch(&self) -> u64 {
        self.next_epoch
    }

    /// How many epochs there were so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// When the next [`Event::Tick`] can do something; `None` where none will before another event.
    pub fn wakes_at_ns(&self) -> Option<i64> {
        let interval = i64::try_from(self.interval_ns?).unwrap_or(i64::MAX);
        (self.phase == Phase::Idle).then(|| self.last_ns.saturating_add(interval))
    }

    /// Takes an event, and says what is to be done, in this order. Events about epochs that are not
    /// in flight do nothing.
    ///
    /// # Panics
    /// A shard that there is not, or one that gives its pieces of an epoch twice.
    pub fn step(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match (event, self.phase) {
            (_, Phase::Ended) => return actions,
            (Event::Tick { now_ns }, _) => self.now_ns = self.now_ns.max(now_ns),
            (Event::Requested, _) => {
                self.tally.coalesced += u64::from(self.is_requested);
                self.is_requested = true;
            }
            (
                Event::ShardDone { shard, epoch },
                Phase::Collecting(current) | Phase::Draining(current),
            ) if epoch == current => self.shard_done(shard, &mut actions),
            (Event::Written { epoch }, Phase::Committing(current)) if epoch == current => {
                self.tally.committed += 1;
                self.phase = Phase::Idle;
            }
            (
                Event::WriteFailed { epoch },
                Phase::Collecting(current) | Phase::Committing(current),
            ) if epoch == current => {
                self.abandon(current, &mut actions);
                self.phase = match self.phase {
                    Phase::Collecting(_) => Phase::Draining(current),
                    _ => Phase::Idle,
                };
            }
            (Event::Ended, _) => {
                self.is_ending = true;
                if let Phase::Collecting(epoch) = self.phase {
                    self.abandon(epoch, &mut actions);
                }
                if !matches!(self.phase, Phase::Committing(_)) {
                    self.phase = Phase::Idle;
                }
            }
            (Event::ShardDone { .. } | Event::Written { .. } | Event::WriteFailed { .. }, _) => {}
        }
        self.go_on(&mut actions);
        actions
    }

    fn shard_done(&mut self, shard: u32, actions: &mut Vec<Action>) {
        let done = &mut self.done[shard as usize];
        assert!(!*done, "a shard gives its pieces of an epoch once");
        *done = true;
        if !self.done.iter().all(|done| *done) {
            return;
        }
        self.phase = match self.phase {
            Phase::Collecting(epoch) => {
                actions.push(Action::Commit(epoch));
                Phase::Committing(epoch)
            }
            _ => Phase::Idle,
        };
    }

    fn abandon(&mut self, epoch: u64, actions: &mut Vec<Action>) {
        self.tally.abandoned += 1;
        actions.push(Action::Abandon(epoch));
    }

    /// Begins the next epoch where there is a reason and nothing is in flight.
    fn go_on(&mut self, actions: &mut Vec<Action>) {
        if self.phase != Phase::Idle {
            return;
        }
        if self.is_ending {
            self.phase = Phase::Ended;
            return;
        }
        let is_due = self.wakes_at_ns().is_some_and(|at| at <= self.now_ns);
        if !is_due && !self.is_requested {
            return;
        }
        self.is_requested = false;
        self.last_ns = self.now_ns;
        self.done.fill(false);
        let epoch = self.next_epoch;
        self.next_epoch += 1;
        self.tally.triggered += 1;
        self.phase = Phase::Collecting(epoch);
        actions.push(Action::Trigger(epoch));
    }
}
