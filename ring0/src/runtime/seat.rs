//! A shard's seat: its thread, pinned to its core, and the loop that runs turns of its programs
//! until the runtime ends.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use glommio::{LocalExecutorBuilder, Placement};

use super::hosted::Hosted;
use super::{Executor, Idle, Shared, preflight_error};
use crate::error::{Error, Result};
use crate::io::{Io, ThreadIo, UringIo};
use crate::limits::{IDLE_TURNS, READS_MAX};
use crate::preflight;
use crate::shard::Turn;
use crate::wake::Bell;

/// A shard's place: its core, its bell, and whom it tells.
pub(super) struct Seat {
    pub(super) shard: usize,
    /// Where it is pinned to.
    pub(super) core: usize,
    pub(super) idle: Idle,
    pub(super) now: fn() -> i64,
    pub(super) executor: Executor,
    pub(super) bells: Arc<[Arc<Bell>]>,
    pub(super) host: Arc<Bell>,
    pub(super) shared: Arc<Shared>,
}

impl Seat {
    /// Runs what comes until the runtime ends.
    pub(super) fn run(self, mut hosted: Hosted) {
        let body = AssertUnwindSafe(|| match self.executor {
            Executor::Threads => self.run_on_thread(&mut hosted),
            Executor::Uring | Executor::Auto => self.run_on_uring(&mut hosted),
        });
        let result = std::panic::catch_unwind(body).unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(Error::ShardPanicked {
                shard: self.shard,
                message: text.to_owned(),
            })
        });
        if let Err(error) = result {
            // Before what it hosts is dropped: who then asks why finds it.
            self.shared.fail(error);
            self.bells.iter().for_each(|bell| bell.ring_always());
        }
        hosted.leave();
        self.host.ring_always();
    }

    fn run_on_thread(&self, hosted: &mut Hosted) -> Result<()> {
        preflight::pin_thread(self.core)
            .map_err(|e| preflight_error(&format!("core {} cannot be used", self.core), &e))?;
        let work = self.turns(hosted, Io::Thread(thread_io(&self.bells, self.shard)?));
        let mut context = Context::from_waker(Waker::noop());
        match pin!(work).poll(&mut context) {
            Poll::Ready(result) => result,
            Poll::Pending => unreachable!("on a plain thread the loop blocks and never awaits"),
        }
    }

    async fn turns(&self, hosted: &mut Hosted, mut io: Io) -> Result<()> {
        self.shared.started.fetch_add(1, Ordering::AcqRel);
        self.host.ring_always();
        let result = self.turn_until_ended(hosted, &mut io).await;
        io.close().await;
        result
    }

    /// Turns until the runtime ends. Nothing else runs on this thread, but the reads of `io`.
    async fn turn_until_ended(&self, hosted: &mut Hosted, io: &mut Io) -> Result<()> {
        let deaf = |e| preflight_error("a shard cannot listen to its bell", &e);
        let bell = &self.bells[self.shard];
        let mut spin = Spin::new(self.idle, self.now);
        while !self.shared.is_ended() {
            match hosted.turn(io) {
                Turn::Idle if !io.waits_for_sleep() && spin.goes_on() => std::hint::spin_loop(),
                Turn::Idle => {
                    bell.announce_sleep();
                    let idle = hosted.turn(io) == Turn::Idle;
                    if idle && !hosted.is_told() && !self.shared.is_ended() {
                        hosted.sleeps();
                        io.sleep(bell).await.map_err(&deaf)?;
                    }
                    bell.awake();
                    spin.begin();
                }
                Turn::Busy | Turn::Finished => spin.begin(),
            }
            io.hand_over().await.map_err(&deaf)?;
        }
        Ok(())
    }

    fn run_on_uring(&self, hosted: &mut Hosted) -> Result<()> {
        let executor = LocalExecutorBuilder::new(Placement::Fixed(self.core))
            .name(&format!("trefoil-{}", self.shard))
            .io_memory(URING_MEMORY_BYTES)
            .preempt_timer(PREEMPT_TIMER)
            .make()
            .map_err(|e| Error::Preflight {
                what: format!(
                    "the io_uring executor of shard {} cannot start: {e}",
                    self.shard
                ),
                hint: "see `ulimit -l` and `ulimit -n`, or run with --executor threads".to_owned(),
            })?;
        executor.run(async {
            let io = UringIo::start(Arc::clone(&self.bells[self.shard]));
            self.turns(hosted, Io::Uring(io)).await
        })
    }
}

/// A reader thread for a shard.
pub(super) fn thread_io(bells: &[Arc<Bell>], shard: usize) -> Result<ThreadIo> {
    let (bell, name) = (Arc::clone(&bells[shard]), format!("trefoil-io-{shard}"));
    ThreadIo::start(bell, name, READS_MAX)
        .map_err(|e| preflight_error("a reader thread cannot start", &e))
}

/// How long an idle shard has looked for work.
struct Spin {
    idle: Idle,
    now: fn() -> i64,
    turns: u32,
    since: i64,
}

impl Spin {
    fn new(idle: Idle, now: fn() -> i64) -> Self {
        Self {
            idle,
            now,
            turns: 0,
            since: 0,
        }
    }

    fn begin(&mut self) {
        self.turns = 0;
    }

    /// Whether the shard looks once more, after a turn without work.
    fn goes_on(&mut self) -> bool {
        let limit = match self.idle {
            Idle::Spin => return true,
            Idle::Park => return false,
            Idle::SpinThenPark(limit) => limit,
        };
        self.turns += 1;
        if self.turns == 1 {
            self.since = (self.now)();
        }
        // A clock that went back ends it, too.
        let spun = || ((self.now)().wrapping_sub(self.since)) as u64;
        !self.turns.is_multiple_of(IDLE_TURNS) || u128::from(spun()) < limit.as_nanos()
    }
}

/// An executor whose timer has already fired when it looks for work runs none and sleeps in
/// io_uring, although its task is ready: the default of 100 ms is reached whenever the thread is
/// descheduled in between. A shard is the only task of its executor and is never preempted, so
/// that the timer is put out of reach.
const PREEMPT_TIMER: std::time::Duration = std::time::Duration::from_secs(3600);

/// Memory that an executor registers with the kernel; files are read through the page cache, so
/// that little of it is used.
const URING_MEMORY_BYTES: usize = 256 * 1024;
