//! The runtime: starts one executor per pinned core, each running the same program, and gives the
//! host their results. With `io` the only one that names glommio.
//!
//! A start counts when every shard has reported. A shard that fails or panics stops the others,
//! and the host gets its error.

mod seat;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::check::check;
use crate::error::{Error, Result, refuse};
use crate::failure;
use crate::limits::{CHUNK_BYTES, FRAME_ROWS_DEFAULT, FRAME_ROWS_MAX};
use crate::limits::{RING_MESSAGES_DEFAULT, RING_MESSAGES_MIN, SHARDS_MAX};
use crate::output::{Block, HostLanes};
use crate::preflight;
use crate::program::Program;
use crate::wake::Bell;

use self::seat::Seat;

pub use crate::build::{HASH_SEED, fuse};
pub use crate::shard::ShardReport;

use crate::build::{fuse_numbered, wire};

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
    /// Says something that the user should know while the program runs, from any thread.
    pub tell: fn(&str),
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
            tell: say_on_stderr,
        }
    }
}

fn say_on_stderr(note: &str) {
    eprintln!("note: {note}");
}

#[expect(clippy::disallowed_methods, reason = "where time comes in")]
fn system_time_ns() -> i64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

/// What all shards know of each other's health, and what the host wants of them.
#[derive(Debug)]
struct Shared {
    /// Bits: [`HALT`], [`STOP`], and above them a count of the times that the host asked how far
    /// they are. A shard looks at all of it at once, between two turns.
    orders: AtomicU32,
    failed: AtomicBool,
    started: AtomicUsize,
    told: Vec<Told>,
}

/// To end at once, whatever is in hand.
const HALT: u32 = 1;
/// To read no further record, and to end when those that were read have gone their way.
const STOP: u32 = 2;
/// One more question.
const ASK: u32 = 4;

/// What a shard said when it was last asked.
#[derive(Debug)]
struct Told {
    rows_read: AtomicU64,
    /// `i64::MIN` where it has none.
    watermark: AtomicI64,
}

/// How far a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reached {
    /// Records that were read.
    pub rows_read: u64,
    /// The least watermark (ns) that a shard has reached in what it reads.
    pub watermark: Option<i64>,
}

/// A running program in the hands of any thread.
#[derive(Debug, Clone)]
pub struct Control {
    shared: Arc<Shared>,
    bells: Arc<[Arc<Bell>]>,
}

impl Control {
    /// Lets the sources read no further record. What was read is the beginning of each file, and
    /// all of its results come out that do not wait for the end of input: that is not reached, so
    /// that what is still open by then is not given.
    pub fn stop(&self) {
        self.order(STOP);
    }

    /// Asks the shards how far they are. They answer between two turns.
    pub fn ask(&self) {
        self.shared.orders.fetch_add(ASK, Ordering::Release);
        self.ring();
    }

    /// How far the shards were when they were last asked.
    pub fn reached(&self) -> Reached {
        let told = &self.shared.told;
        let rows = told.iter().map(|t| t.rows_read.load(Ordering::Relaxed));
        let watermarks = told.iter().map(|t| t.watermark.load(Ordering::Relaxed));
        Reached {
            rows_read: rows.sum(),
            watermark: watermarks.filter(|w| *w > i64::MIN).min(),
        }
    }

    fn order(&self, order: u32) {
        self.shared.orders.fetch_or(order, Ordering::Release);
        self.ring();
    }

    fn ring(&self) {
        self.bells.iter().for_each(|bell| bell.ring_always());
    }
}

/// A program that runs. Dropping it stops the shards.
#[derive(Debug)]
pub struct Running {
    executor: Executor,
    notes: Vec<String>,
    outputs: Vec<HostLanes>,
    host: Arc<Bell>,
    threads: Vec<JoinHandle<Result<ShardReport>>>,
    shared: Arc<Shared>,
    control: Control,
    program: Arc<Program>,
    /// The numbers of the chains' first stages.
    stages: Vec<usize>,
    /// What the run ended with, once it has failed.
    failure: Option<Error>,
}

/// Starts a program on its shards.
///
/// # Errors
/// [`Error::Preflight`] where the machine does not allow it, [`Error::Open`] where a source cannot
/// be opened, [`Error::Program`] where the program is not sound.
pub fn start(program: &Program, config: &Config) -> Result<Running> {
    check_config(config)?;
    check(program)?;
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
    let untold = || Told {
        rows_read: AtomicU64::new(0),
        watermark: AtomicI64::new(i64::MIN),
    };
    let shared = Arc::new(Shared {
        orders: AtomicU32::new(0),
        failed: AtomicBool::new(false),
        started: AtomicUsize::new(0),
        told: (0..config.shards).map(|_| untold()).collect(),
    });
    let program = Arc::new(program);
    let control = Control {
        shared: Arc::clone(&shared),
        bells: bells.into(),
    };
    let mut running = Running {
        executor,
        notes,
        outputs,
        host,
        threads: Vec::new(),
        shared,
        control,
        program: Arc::clone(&program),
        stages,
        failure: None,
    };
    for (shard, parts) in parts.into_iter().enumerate() {
        let seat = Seat {
            shard,
            core: config.cores[shard % config.cores.len()],
            may_spin: config.shards <= config.cores.len(),
            executor,
            bell: Arc::clone(&running.control.bells[shard]),
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

fn check_config(config: &Config) -> Result<()> {
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
        let cores = match config.cores.len() {
            1 => "1 core".to_owned(),
            cores => format!("{cores} cores"),
        };
        notes.push(format!("{} shards share {cores}", config.shards));
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

    /// What any thread can do with it.
    pub fn control(&self) -> Control {
        self.control.clone()
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
    /// The error of the shard that failed; then all shards have been stopped, and nothing else
    /// comes any more.
    pub fn next_block(&mut self) -> Result<Option<Block>> {
        loop {
            if let Some(error) = &self.failure {
                return Err(error.clone());
            }
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
        let (reports, errors) = self.join();
        match errors.is_empty() {
            true => Ok(reports),
            false => Err(failure::first(errors, &self.program)),
        }
    }

    /// Stops all shards; the error to show, the same one each time.
    fn failure(&mut self) -> Error {
        self.halt();
        let (_, errors) = self.join();
        let error = failure::first(errors, &self.program);
        self.failure.insert(error).clone()
    }

    /// Waits until all shards have ended: what they counted, and their errors.
    fn join(&mut self) -> (Vec<ShardReport>, Vec<Error>) {
        let (mut reports, mut errors) = (Vec::new(), Vec::new());
        for thread in self.threads.drain(..) {
            match thread.join().unwrap_or_else(|_| Err(failure::lost())) {
                Ok(report) => reports.push(report.renumbered(&self.stages)),
                Err(error) => errors.push(error),
            }
        }
        (reports, errors)
    }

    fn halt(&self) {
        self.control.order(HALT);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.halt();
        // An error was either given already or is of no interest to who drops the run.
        _ = self.join();
    }
}
