//! A shard's seat: its thread, pinned to its core, and the loop that runs its turns until its
//! inputs end or the host wants it to.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use glommio::{LocalExecutorBuilder, Placement};

use super::{Config, Executor, HALT, STOP, ShardReport, Shared, preflight_error};
use crate::build::{Parts, build};
use crate::error::{Error, Result};
use crate::io::{Io, ThreadIo, UringIo};
use crate::limits::IDLE_SPINS;
use crate::preflight;
use crate::program::Program;
use crate::shard::{Shard, Turn};
use crate::source::TAGS;
use crate::wake::Bell;

/// A shard's place: its core, its bell, and whom it tells.
pub(super) struct Seat {
    pub(super) shard: usize,
    pub(super) core: usize,
    pub(super) may_spin: bool,
    pub(super) executor: Executor,
    pub(super) bell: Arc<Bell>,
    pub(super) host: Arc<Bell>,
    pub(super) shared: Arc<Shared>,
}

impl Seat {
    pub(super) fn run(
        self,
        program: &Program,
        config: &Config,
        parts: Parts,
    ) -> Result<ShardReport> {
        let body = AssertUnwindSafe(|| match self.executor {
            Executor::Threads => self.run_on_thread(program, config, parts),
            Executor::Uring | Executor::Auto => self.run_on_uring(program, config, parts),
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
        if result.is_err() {
            self.shared.failed.store(true, Ordering::Release);
        }
        self.host.ring_always();
        result
    }

    fn started(&self) {
        self.shared.started.fetch_add(1, Ordering::AcqRel);
        self.host.ring_always();
    }

    /// Says how far the shard is.
    fn tell(&self, shard: &Shard) {
        let (rows_read, watermark) = shard.reached();
        let told = &self.shared.told[self.shard];
        told.rows_read.store(rows_read, Ordering::Relaxed);
        told.watermark.store(watermark, Ordering::Relaxed);
    }

    fn orders(&self) -> u32 {
        self.shared.orders.load(Ordering::Acquire)
    }

    fn run_on_thread(
        &self,
        program: &Program,
        config: &Config,
        parts: Parts,
    ) -> Result<ShardReport> {
        preflight::pin_thread(self.core)
            .map_err(|e| preflight_error(&format!("core {} cannot be used", self.core), &e))?;
        let (bell, name) = (Arc::clone(&self.bell), format!("trefoil-io-{}", self.shard));
        let reader = ThreadIo::start(bell, name, program.sources.len() * TAGS)
            .map_err(|e| preflight_error("a reader thread cannot start", &e))?;
        let work = self.work(program, config, parts, Io::Thread(reader));
        let mut context = Context::from_waker(Waker::noop());
        match pin!(work).poll(&mut context) {
            Poll::Ready(result) => result,
            Poll::Pending => unreachable!("on a plain thread the loop blocks and never awaits"),
        }
    }

    async fn work(
        &self,
        program: &Program,
        config: &Config,
        parts: Parts,
        mut io: Io,
    ) -> Result<ShardReport> {
        let mut shard = build(program, config, self.shard, parts)?;
        self.started();
        let result = self.turns(&mut shard, &mut io).await;
        io.close().await;
        result?;
        Ok(shard.report())
    }

    /// Turns until the inputs end. Nothing else runs on this thread, but the reads of `io`.
    async fn turns(&self, shard: &mut Shard, io: &mut Io) -> Result<()> {
        let deaf = |e| preflight_error("a shard cannot listen to its bell", &e);
        let (mut idle, mut obeyed) = (0, 0);
        loop {
            let orders = self.orders();
            if orders != obeyed {
                if orders & HALT != 0 {
                    return Ok(());
                }
                if orders & !obeyed & STOP != 0 {
                    shard.stop();
                }
                self.tell(shard);
                obeyed = orders;
            }
            match shard.turn(io)? {
                Turn::Finished => return Ok(()),
                Turn::Busy => idle = 0,
                Turn::Idle if self.may_spin && idle < IDLE_SPINS && !io.waits_for_sleep() => {
                    idle += 1;
                    std::hint::spin_loop();
                }
                Turn::Idle => {
                    self.bell.announce_sleep();
                    match shard.turn(io)? {
                        Turn::Finished => return Ok(()),
                        Turn::Idle if self.orders() == obeyed => {
                            shard.sleeps += 1;
                            io.sleep(&self.bell).await.map_err(&deaf)?;
                        }
                        Turn::Idle | Turn::Busy => {}
                    }
                    self.bell.awake();
                    idle = 0;
                }
            }
            io.hand_over().await.map_err(&deaf)?;
        }
    }

    fn run_on_uring(
        &self,
        program: &Program,
        config: &Config,
        parts: Parts,
    ) -> Result<ShardReport> {
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
            let io = Io::Uring(UringIo::start(Arc::clone(&self.bell)));
            self.work(program, config, parts, io).await
        })
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
