//! The runtime: starts one executor per pinned core, each running the same program, and gives the
//! host their results. The only file, with `io`, that names glommio.
//!
//! A start counts when every shard has reported. A shard that fails or panics stops the others,
//! and the host gets its error.

use std::io::Read;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use glommio::{LocalExecutorBuilder, Placement};

use crate::error::{Error, Result};
use crate::io::{Io, ThreadIo, UringIo};
use crate::limits::{CHUNK_BYTES, FRAME_ROWS_DEFAULT, FRAME_ROWS_MAX, IDLE_SPINS};
use crate::limits::{RING_MESSAGES_DEFAULT, RING_MESSAGES_MIN, SHARDS_MAX};
use crate::output::{Block, HostLanes};
use crate::preflight;
use crate::program::Program;
use crate::shard::{Shard, Turn};
use crate::source::TAGS;
use crate::wake::Bell;

pub use crate::build::{HASH_SEED, fuse};
pub use crate::shard::ShardReport;

use crate::build::{Parts, build, check as check_program, fuse_numbered, wire};

/// What a shard runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Executor {
    /// io_uring where the machine allows it, else plain threads, and says so.
    #[default]
    Auto,
    /// glommio on io_uring.
    Uring,
    /// Plain pinned threads.
    Threads,
}

/// How a program is run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Number of shards.
    pub shards: usize,
    /// Cores to pin shards to, in turn; where there are fewer than shards they share.
    pub cores: Vec<usize>,
    /// What shards run on.
    pub executor: Executor,
    /// Rows of a frame.
    pub frame_rows: usize,
    /// Messages of a ring.
    pub ring_messages: usize,
    /// Bytes of the chunks of a file that shards take in turn. Results never depend on it.
    pub chunk_bytes: usize,
    /// The time, in nanoseconds since 1970-01-01T00:00:00Z.
    pub now: fn() -> i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shards: 1,
            cores: preflight::allowed_cores(),
            executor: Executor::Auto,
            frame_rows: FRAME_ROWS_DEFAULT,
            ring_messages: RING_MESSAGES_DEFAULT,
            chunk_bytes: CHUNK_BYTES,
            now: system_time_ns,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "where time comes in")]
fn system_time_ns() -> i64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

/// What all shards know of each other's health.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    failed: AtomicBool,
    started: AtomicUsize,
}

/// A program that runs. Dropping it stops the shards.
#[derive(Debug)]
pub struct Running {
    executor: Executor,
    notes: Vec<String>,
    outputs: Vec<HostLanes>,
    host: Arc<Bell>,
    bells: Vec<Arc<Bell>>,
    threads: Vec<JoinHandle<Result<ShardReport>>>,
    shared: Arc<Shared>,
    /// The numbers of the chains' first stages.
    stages: Vec<usize>,
}

/// Starts a program on its shards.
///
/// # Errors
/// [`Error::Preflight`] where the machine does not allow it, [`Error::Open`] where a source cannot
/// be opened, [`Error::Program`] where the program is not sound.
pub fn start(program: &Program, config: &Config) -> Result<Running> {
    check(config)?;
    check_program(program)?;
    let (executor, notes) = choose_executor(config)?;
    let (program, stages) = match config.shards {
        1 => fuse_numbered(program),
        _ => (program.clone(), (0..program.stages.len()).collect()),
    };
    let host = Arc::new(bell()?);
    let bells = (0..config.shards)
        .map(|_| bell().map(Arc::new))
        .collect::<Result<Vec<_>>>()?;
    let (parts, outputs) = wire(&program, config, &bells, &host)?;
    let shared = Arc::new(Shared::default());
    let program = Arc::new(program);
    let mut running = Running {
        executor,
        notes,
        outputs,
        host,
        bells,
        threads: Vec::new(),
        shared,
        stages,
    };
    for (shard, parts) in parts.into_iter().enumerate() {
        let seat = Seat {
            shard,
            core: config.cores[shard % config.cores.len()],
            may_spin: config.shards <= config.cores.len(),
            executor,
            bell: Arc::clone(&running.bells[shard]),
            host: Arc::clone(&running.host),
            shared: Arc::clone(&running.shared),
        };
        let (program, config) = (Arc::clone(&program), config.clone());
        let thread = std::thread::Builder::new()
            .name(format!("trefoil-{shard}"))
            .spawn(move || seat.run(&program, &config, parts))
            .map_err(|e| preflight_error("a shard's thread cannot start", &e))?;
        running.threads.push(thread);
    }
    running.await_start()?;
    Ok(running)
}

fn check(config: &Config) -> Result<()> {
    let refuse = |what: String| Err(Error::Program(what));
    if config.shards == 0 || config.shards > SHARDS_MAX {
        return refuse(format!(
            "{} shards: 1 to {SHARDS_MAX} are possible",
            config.shards
        ));
    }
    if config.frame_rows == 0 || config.frame_rows > FRAME_ROWS_MAX {
        return refuse(format!(
            "{} rows a frame: 1 to {FRAME_ROWS_MAX}",
            config.frame_rows
        ));
    }
    if config.ring_messages < RING_MESSAGES_MIN {
        return refuse(format!(
            "a ring holds at least {RING_MESSAGES_MIN} messages"
        ));
    }
    if config.chunk_bytes == 0 {
        return refuse("a chunk has at least one byte".to_owned());
    }
    if config.cores.is_empty() {
        return refuse("no core to run on".to_owned());
    }
    preflight::check_cores(&config.cores)
}

fn choose_executor(config: &Config) -> Result<(Executor, Vec<String>)> {
    let mut notes = Vec::new();
    if config.shards > config.cores.len() {
        notes.push(format!(
            "{} shards share {} cores",
            config.shards,
            config.cores.len()
        ));
    }
    let executor = match config.executor {
        Executor::Threads => Executor::Threads,
        Executor::Uring => preflight::check_uring().map(|()| Executor::Uring)?,
        Executor::Auto => match preflight::check_uring() {
            Ok(()) => Executor::Uring,
            Err(error) => {
                notes.push(format!("running on plain threads: {error}"));
                Executor::Threads
            }
        },
    };
    Ok((executor, notes))
}

fn bell() -> Result<Bell> {
    Bell::new().map_err(|e| preflight_error("no eventfd can be made", &e))
}

fn preflight_error(what: &str, error: &std::io::Error) -> Error {
    Error::Preflight {
        what: format!("{what}: {error}"),
        hint: "see the limits on files, threads and memory (ulimit -a)".to_owned(),
    }
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

    fn await_start(&mut self) -> Result<()> {
        while self.shared.started.load(Ordering::Acquire) < self.threads.len() {
            if self.shared.failed.load(Ordering::Acquire) {
                return Err(self.failure());
            }
            self.host.announce_sleep();
            self.host.sleep(10);
            self.host.awake();
        }
        Ok(())
    }

    /// Waits for the next results; `None` when all inputs have ended and all results were given.
    ///
    /// # Errors
    /// The error of the shard that failed; then all shards have been stopped.
    pub fn next_block(&mut self) -> Result<Option<Block>> {
        loop {
            if let Some(block) = self.outputs.iter_mut().find_map(HostLanes::poll) {
                return Ok(Some(block));
            }
            if self.shared.failed.load(Ordering::Acquire) {
                return Err(self.failure());
            }
            if self.outputs.iter().all(HostLanes::is_ended) {
                return Ok(None);
            }
            // Marks, and blocks that are not given back yet, made room in the ring: a shard may
            // sleep for want of it.
            self.outputs.iter_mut().for_each(HostLanes::end_turn);
            self.host.announce_sleep();
            let more = self.outputs.iter().any(HostLanes::has_more);
            if !more && !self.shared.failed.load(Ordering::Acquire) {
                self.host.sleep(-1);
            }
            self.host.awake();
        }
    }

    /// Gives a block back, so that its memory is used again. A shard makes as many as its ring
    /// holds and two, and then waits.
    pub fn give_back(&mut self, block: Block) {
        self.outputs[block.output.index()].give_back(block);
    }

    /// Waits for the shards' end and gives what they counted. Results that were not taken are lost.
    ///
    /// # Errors
    /// As [`Running::next_block`].
    pub fn finish(mut self) -> Result<Vec<ShardReport>> {
        // A shard whose ring to the host is full does not end.
        while let Some(block) = self.next_block()? {
            self.give_back(block);
        }
        let threads = std::mem::take(&mut self.threads);
        let reports = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(lost())));
        reports
            .map(|report| report.map(|r| r.renumbered(&self.stages)))
            .collect()
    }

    /// Stops all shards and picks the error to show: that of the earliest bad record, if any.
    fn failure(&mut self) -> Error {
        self.halt();
        let mut errors: Vec<Error> = std::mem::take(&mut self.threads)
            .into_iter()
            .filter_map(|thread| thread.join().unwrap_or_else(|_| Err(lost())).err())
            .collect();
        errors.sort_by_key(|error| match error {
            Error::ShardPanicked { .. } => (0, 0),
            Error::BadRecord { offset, .. } => (1, *offset),
            _ => (2, 0),
        });
        let mut error = errors.into_iter().next().unwrap_or_else(lost);
        if let Error::BadRecord {
            path, offset, line, ..
        } = &mut error
        {
            // Shards know bytes and not lines, as they begin anywhere in a file.
            *line = line_of(path, *offset).ok();
        }
        error
    }

    fn halt(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.bells.iter().for_each(|bell| bell.ring_always());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.halt();
        for thread in std::mem::take(&mut self.threads) {
            // Its error was either given already or is of no interest to who drops the run.
            let _ = thread.join();
        }
    }
}

/// The number of the line that holds a byte of a file.
fn line_of(path: &Path, offset: u64) -> std::io::Result<u64> {
    let mut rest = std::fs::File::open(path)?.take(offset);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut line = 1;
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(line),
            count => line += memchr::memchr_iter(b'\n', &buffer[..count]).count() as u64,
        }
    }
}

fn lost() -> Error {
    Error::ShardPanicked {
        shard: 0,
        message: "the shard ended without a word".to_owned(),
    }
}

/// A shard's place: its core, its bell, and whom it tells.
struct Seat {
    shard: usize,
    core: usize,
    may_spin: bool,
    executor: Executor,
    bell: Arc<Bell>,
    host: Arc<Bell>,
    shared: Arc<Shared>,
}

impl Seat {
    fn run(self, program: &Program, config: &Config, parts: Parts) -> Result<ShardReport> {
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

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
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
        let mut idle = 0;
        while !self.stopped() {
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
                        Turn::Idle if !self.stopped() => {
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
        Ok(())
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
