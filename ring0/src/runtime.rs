//! The runtime: starts one executor per pinned core, each running the same programs, and gives the
//! host their results. With `io` the only one that names glommio.
//!
//! A start counts when every shard has reported. A program that fails on one shard is ended on all
//! of them, and its host gets the error; others go on. A shard that panics ends all of them.

mod config;
mod hosted;
mod orders;
mod running;
mod seat;
mod state;
mod wait;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::build::{Origin, build, fuse_numbered, wire};
use crate::check::check;
use crate::error::{Error, Result, refuse};
use crate::io::{Io, ThreadIo};
use crate::limits::{FRAME_ROWS_MAX, PROGRAMS_MAX, RING_MESSAGES_MIN, SHARDS_MAX};
use crate::preflight;
use crate::program::Program;
use crate::shard::Turn;
use crate::snapshot::Restore;
use crate::wake::{Bell, RungAtEnd};

use self::hosted::{Hosted, Part, Slot};
use self::orders::Orders;
pub(crate) use self::running::LaneShape;
use self::seat::{Seat, thread_io};
use self::state::{Holdings, Limit};
pub(crate) use self::wait::Deadline;
use self::wait::Wait;

pub use self::config::{Config, Executor, Idle};
pub use self::orders::{Holder, Reached};
pub use self::running::{Control, Next, Running};
pub use self::state::{Holding, OperatorState};
pub use crate::build::{HASH_SEED, fuse};
pub use crate::shard::ShardReport;

/// What all shards know of each other's health.
#[derive(Debug, Default)]
struct Shared {
    /// No shard has another turn.
    ended: AtomicBool,
    started: AtomicUsize,
    failure: OnceLock<Error>,
}

impl Shared {
    #[inline]
    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Ends all shards for what befell one of them.
    fn fail(&self, error: Error) {
        // The first one counts.
        _ = self.failure.set(error);
        self.ended.store(true, Ordering::Release);
    }

    fn failure(&self) -> Option<Error> {
        self.failure.get().cloned()
    }

    /// Why nothing runs any more.
    fn ended(&self) -> Error {
        let what = "the engine".to_owned();
        self.failure().unwrap_or(Error::Ended { what })
    }
}

/// Where the shards are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seating {
    /// On threads of their own.
    Threads,
    /// The caller's own thread is the shard.
    Here,
}

/// Shards that run programs, which come and go while others run. Dropping it ends all of them.
#[derive(Debug)]
pub struct Runtime {
    config: Config,
    executor: Executor,
    notes: Vec<String>,
    shared: Arc<Shared>,
    bells: Arc<[Arc<Bell>]>,
    host: Arc<Bell>,
    /// To the shards.
    controls: Vec<Producer<Slot>>,
    threads: Vec<JoinHandle<()>>,
    /// What the caller's own thread runs, where it is the shard.
    here: Option<(Hosted, ThreadIo)>,
    /// Sources of all programs so far: reads are told apart by them.
    sources: usize,
    /// Of the memory of all programs' state, if there is one.
    limit: Option<Arc<Limit>>,
}

/// Starts a program on shards of its own.
///
/// # Errors
/// [`Error::Preflight`] where the machine does not allow it, [`Error::Open`] where a source cannot
/// be opened, [`Error::Program`] where the program is not sound.
pub fn start(program: &Program, config: &Config) -> Result<Running> {
    start_from(program, config, None)
}

/// As [`start`]; goes on from snapshots of the same program, where there are some. The chunks of
/// files have to be of the same size as then ([`Config::chunk_bytes`]); all else may be different.
///
/// # Errors
/// As [`start`], and [`Error::Restore`] where the program cannot go on from them.
pub fn start_from(program: &Program, config: &Config, from: Option<&Restore>) -> Result<Running> {
    check_config(config)?;
    check(program)?;
    let mut runtime = Runtime::open(config)?;
    let mut running = runtime.add_from(program, from)?;
    running.own = Some(Box::new(runtime));
    // Of several programs each would look, on cores that others want.
    running.wait = Wait::new(preflight::allowed_cores().len() > config.shards);
    Ok(running)
}

impl Runtime {
    /// Starts the shards, each on a thread of its own.
    ///
    /// # Errors
    /// [`Error::Preflight`] where the machine does not allow it.
    pub fn open(config: &Config) -> Result<Self> {
        let (mut runtime, incoming) = Self::seated(config)?;
        for (shard, incoming) in incoming.into_iter().enumerate() {
            let seat = Seat {
                shard,
                core: config.cores[shard % config.cores.len()],
                idle: match config.shards <= config.cores.len() {
                    true => config.idle,
                    false => Idle::Park,
                },
                now: config.now,
                executor: runtime.executor,
                bells: Arc::clone(&runtime.bells),
                host: Arc::clone(&runtime.host),
                shared: Arc::clone(&runtime.shared),
            };
            let hosted = Hosted::new(incoming, runtime.limit.clone());
            let thread = std::thread::Builder::new()
                .name(format!("trefoil-{shard}"))
                .spawn(move || seat.run(hosted))
                .map_err(|e| preflight_error("a shard's thread cannot start", &e))?;
            runtime.threads.push(thread);
        }
        runtime.await_start()?;
        Ok(runtime)
    }

    /// One shard, which is the caller's own thread: it runs in [`Runtime::step`] only.
    ///
    /// # Errors
    /// As [`Runtime::open`].
    pub fn open_here(config: &Config) -> Result<Self> {
        let config = Config {
            shards: 1,
            executor: Executor::Threads,
            ..config.clone()
        };
        let (mut runtime, incoming) = Self::seated(&config)?;
        let io = thread_io(&runtime.bells, 0)?;
        let limit = runtime.limit.clone();
        let hosted = incoming.into_iter().next();
        let hosted = hosted.map(|incoming| Hosted::new(incoming, limit));
        runtime.here = hosted.map(|hosted| (hosted, io));
        Ok(runtime)
    }

    fn seated(config: &Config) -> Result<(Self, Vec<Consumer<Slot>>)> {
        check_config(config)?;
        let (executor, notes) = choose_executor(config)?;
        let bells = (0..config.shards).map(|_| bell().map(Arc::new));
        let rings = (0..config.shards).map(|_| RingBuffer::new(PROGRAMS_MAX));
        let (controls, incoming) = rings.unzip();
        let runtime = Self {
            config: config.clone(),
            limit: config.memory_limit.map(|bytes| Arc::new(Limit::new(bytes))),
            executor,
            notes,
            shared: Arc::default(),
            bells: bells.collect::<Result<_>>()?,
            host: Arc::new(bell()?),
            controls,
            threads: Vec::new(),
            here: None,
            sources: 0,
        };
        Ok((runtime, incoming))
    }

    fn await_start(&self) -> Result<()> {
        while self.shared.started.load(Ordering::Acquire) < self.threads.len() {
            if self.shared.is_ended() {
                return Err(self.shared.ended());
            }
            self.host.announce_sleep();
            self.host.sleep(10);
            self.host.awake();
        }
        Ok(())
    }

    /// Adds a program to those that run. It is made here; a shard takes it between two turns.
    ///
    /// # Errors
    /// [`Error::Open`] where a source cannot be opened, [`Error::Program`] where the program is not
    /// sound, [`Error::TooMany`] where too many run, and what the shards have ended with, once they
    /// have.
    pub fn add(&mut self, program: &Program) -> Result<Running> {
        self.add_from(program, None)
    }

    /// As [`Runtime::add`], of one that goes on from snapshots, if there are some: see
    /// [`start_from`].
    ///
    /// # Errors
    /// As of [`Runtime::add`], and [`Error::Restore`] where these are no snapshots of it.
    pub fn add_from(&mut self, program: &Program, from: Option<&Restore>) -> Result<Running> {
        check(program)?;
        if self.shared.is_ended() {
            return Err(self.shared.ended());
        }
        if self.controls.iter().any(Producer::is_full) {
            return Err(Error::TooMany {
                what: "programs",
                most: PROGRAMS_MAX,
            });
        }
        let config = &self.config;
        // Before stages are joined: which chunks there are does not depend on how many shards.
        let taken = program.taken();
        let holdings = Holdings::new(program, config.shards);
        let (program, origins) = match config.shards {
            1 => fuse_numbered(program),
            _ => (program.clone(), Origin::of_all(program)),
        };
        let host = Arc::new(bell()?);
        let (parts, ends) = wire((&program, &taken), config, &self.bells, &host, from)?;
        let orders = Arc::new(Orders::new(config.shards, holdings));
        let mut slots = Vec::with_capacity(config.shards);
        let mut homes = Vec::with_capacity(config.shards);
        for (number, parts) in parts.into_iter().enumerate() {
            let (home, at_home) = RingBuffer::new(1);
            homes.push(at_home);
            let of = (number, self.sources);
            let part = Part {
                number,
                shard: build(&program, config, &origins, of, parts, from)?,
                orders: Arc::clone(&orders),
                obeyed: 0,
                barrier: 0,
                outcome: None,
            };
            slots.push(Slot {
                part: Box::new(part),
                home,
                host: RungAtEnd(Arc::clone(&host)),
            });
        }
        self.sources += program.sources.len();
        for (control, slot) in self.controls.iter_mut().zip(slots) {
            let sent = control.push(slot);
            assert!(sent.is_ok(), "a ring that only this end fills had room");
        }
        self.bells.iter().for_each(|bell| bell.ring_always());
        Ok(Running {
            executor: self.executor,
            notes: self.notes.clone(),
            seating: match self.here {
                None => Seating::Threads,
                Some(_) => Seating::Here,
            },
            outputs: ends.outputs,
            told: ends.told,
            begun: ends.begun,
            sizes: ends.sizes,
            doors: ends.doors,
            outcomes: homes.iter().map(|_| None).collect(),
            home: 0,
            wait: Wait::new(false),
            homes,
            shared: Arc::clone(&self.shared),
            control: Control {
                orders,
                bells: Arc::clone(&self.bells),
                host,
            },
            program: Arc::new(program),
            stages: origins.iter().map(Origin::first).collect(),
            failure: None,
            lane: LaneShape {
                frame_rows: config.frame_rows,
                ring_messages: config.ring_messages,
            },
            own: None,
        })
    }

    /// A turn of all programs on the caller's thread; whether something moved. Nothing does where
    /// the shards have threads of their own.
    pub fn step(&mut self) -> bool {
        let Some((mut hosted, io)) = self.here.take() else {
            return false;
        };
        let mut io = Io::Thread(io);
        let turn = hosted.turn(&mut io);
        if let Io::Thread(io) = io {
            self.here = Some((hosted, io));
        }
        turn == Turn::Busy
    }

    /// Whether the caller's own thread is the shard.
    pub fn is_here(&self) -> bool {
        self.here.is_some()
    }

    /// What the shards run on.
    pub fn executor(&self) -> Executor {
        self.executor
    }

    /// What the user should know about this start.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What the shards have ended with, where they have.
    pub fn failure(&self) -> Option<Error> {
        self.shared.failure()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.bells.iter().for_each(|bell| bell.ring_always());
        for thread in self.threads.drain(..) {
            // A shard catches its own panics.
            _ = thread.join();
        }
        // In the caller's thread nobody else ends what is hosted.
        self.here = None;
    }
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
