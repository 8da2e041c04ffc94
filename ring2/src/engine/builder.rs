//! How an engine is to run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use trefoil_ring0::runtime::{Config, Executor, Idle, Runtime};

use super::Engine;
use super::inner::Inner;
use super::state::StateDir;
use super::workers::Workers;
use crate::error::Result;
use crate::functions::Functions;
use crate::limits::QUERY_BYTES;
use crate::script::Session;

/// Time between two checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// How an engine is to run.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    config: Config,
    here: bool,
    query_bytes: Option<usize>,
    scalars: Vec<ScalarUDF>,
    aggregates: Vec<AggregateUDF>,
    state_dir: Option<PathBuf>,
    checkpoint_every: Option<Duration>,
}

/// As programs without SQL are configured.
impl From<Config> for Builder {
    fn from(config: Config) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }
}

impl Builder {
    /// Number of shards: 1, where nothing is said.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.config.shards = shards;
        self
    }

    /// A shard on each of the first so many cores that the process may use.
    #[must_use]
    pub fn cores(mut self, cores: usize) -> Self {
        self.config.shards = cores;
        self.config.cores.truncate(cores.max(1));
        self
    }

    /// The cores that shards are pinned to, in turn, one shard on each.
    #[must_use]
    pub fn pin(mut self, cores: &[usize]) -> Self {
        self.config.shards = cores.len();
        self.config.cores = cores.to_vec();
        self
    }

    /// What a shard without work does.
    #[must_use]
    pub fn idle(mut self, idle: Idle) -> Self {
        self.config.idle = idle;
        self
    }

    /// What shards run on.
    #[must_use]
    pub fn executor(mut self, executor: Executor) -> Self {
        self.config.executor = executor;
        self
    }

    /// Rows of a frame.
    #[must_use]
    pub fn frame_rows(mut self, rows: usize) -> Self {
        self.config.frame_rows = rows;
        self
    }

    /// Messages of a ring: how much is under way before who sends is held back.
    #[must_use]
    pub fn ring_messages(mut self, messages: usize) -> Self {
        self.config.ring_messages = messages;
        self
    }

    /// One shard, which is the caller's own thread: it runs in [`Engine::step`] only.
    #[must_use]
    pub fn on_this_thread(mut self) -> Self {
        self.here = true;
        self
    }

    /// Bytes of memory that one query may take: 256 MiB, where nothing is said. Up to eight run at
    /// once; others wait for their turn.
    #[must_use]
    pub fn query_bytes(mut self, bytes: usize) -> Self {
        self.query_bytes = Some(bytes);
        self
    }

    /// Most bytes of memory that the state of all views, sinks and queries over sources may take
    /// together: tables, windows, joins, accumulators, and the rows that stand in views. Where it
    /// is more, the one that has most ends with `E0616`, and no other one does. Without it there is
    /// no limit. What one `query` takes is bounded by [`Self::query_bytes`], and comes on top.
    #[must_use]
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.config.memory_limit = Some(bytes as u64);
        self
    }

    /// A function of one row that SQL can call by its name. It runs on the shards, beside the
    /// engine's own: what it allocates, waits for or panics over is theirs to bear.
    #[must_use]
    pub fn function(mut self, function: ScalarUDF) -> Self {
        self.scalars.push(function);
        self
    }

    /// A function of a group that SQL can call by its name, as [`Self::function`].
    #[must_use]
    pub fn aggregate(mut self, function: AggregateUDF) -> Self {
        self.aggregates.push(function);
        self
    }

    /// A directory in which views are kept: a view that is made again, by the same statement, goes
    /// on from its newest checkpoint. Of what cannot be read again a crash loses what is behind
    /// that, but for rows of producers with names: see [`Engine::producer`]. Views over views are
    /// made again of these. Sinks are refused then.
    #[must_use]
    pub fn state_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(dir.into());
        self
    }

    /// Time between two checkpoints of a view: 10 seconds, where nothing is said.
    #[must_use]
    pub fn checkpoint_every(mut self, every: Duration) -> Self {
        self.checkpoint_every = Some(every);
        self
    }

    /// Starts the shards.
    ///
    /// # Errors
    /// `E0603` where a function has no name of its own.
    /// `E0606` where the machine does not allow it.
    pub fn open(self) -> Result<Engine> {
        let mut functions = Functions::default();
        for function in self.scalars {
            functions.scalar(function)?;
        }
        for function in self.aggregates {
            functions.aggregate(function)?;
        }
        let runtime = match self.here {
            true => Runtime::open_here(&self.config)?,
            false => Runtime::open(&self.config)?,
        };
        let Config { shards, cores, .. } = &self.config;
        let on_its_core = |shard: usize| Some(cores[shard % cores.len()]);
        let cores: Vec<Option<usize>> = match self.here {
            true => vec![None],
            false => (0..*shards).map(on_its_core).collect(),
        };
        let taken: Vec<usize> = cores.iter().flatten().copied().collect();
        Ok(Engine {
            workers: Workers::new(&taken, self.query_bytes.unwrap_or(QUERY_BYTES)),
            frame_rows: self.config.frame_rows,
            wakers: Arc::default(),
            inner: Mutex::new(Inner {
                session: Session {
                    functions: Arc::new(functions),
                    ..Session::default()
                },
                views: BTreeMap::new(),
                channels: BTreeMap::new(),
                ledgers: BTreeMap::new(),
                sinks: BTreeMap::new(),
                cursors: BTreeMap::new(),
                temporaries: Arc::default(),
                made: 0,
                state: self.state_dir.map(|dir| StateDir {
                    dir,
                    every: self.checkpoint_every.unwrap_or(CHECKPOINT_EVERY),
                    tell: self.config.tell,
                    chunk_bytes: self.config.chunk_bytes,
                }),
                cores,
                runtime,
            }),
        })
    }
}
