//! The engine inside a process: shards that run views over rows that the process appends. Nothing
//! here is shared between engines, and none of it is asynchronous.
//!
//! ```
//! use trefoil::{Engine, params};
//!
//! let engine = Engine::builder().shards(1).open()?;
//! engine.execute(
//!     "CREATE SOURCE trades (symbol VARCHAR, qty BIGINT) WITH (connector = 'channel');
//!      CREATE MATERIALIZED VIEW volumes AS
//!        SELECT symbol, SUM(qty) AS volume FROM trades GROUP BY symbol",
//! )?;
//! let mut changes = engine.subscribe("volumes")?;
//! let mut trades = engine.appender("trades")?;
//! trades.append_row(&params!["ACME", 100])?;
//! trades.flush()?;
//! let batch = changes.next().expect("the view goes on")?;
//! assert_eq!(batch.num_rows(), 1);
//! let row = engine.get("volumes", &params!["ACME"])?.expect("the key is there");
//! assert_eq!(row.get::<i64>("volume")?, 100);
//! # Ok::<(), trefoil::Error>(())
//! ```

mod appender;
mod batch;
mod builder;
mod durable;
mod feed;
mod flush;
mod fold;
mod inner;
mod keeper;
mod kept;
pub(crate) mod keys;
mod live;
mod measure;
mod params;
mod probe;
mod producer;
mod query;
mod rehearsal;
mod results;
mod row;
mod session;
mod shutdown;
mod sink;
mod state;
mod statement;
mod stream;
mod subscription;
mod system;
mod taking;
mod view;
mod wakers;
mod wanted;
mod workers;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::datasource::TableProvider;
use trefoil_ring0::appender::row_frame;
use trefoil_ring0::schema::Schema;

pub use trefoil_ring0::appender::{Counts, Pushed, Value};
pub use trefoil_ring0::runtime::{Executor, Idle};

pub use self::appender::Appender;
pub use self::builder::Builder;
pub use self::rehearsal::Gives;
pub use self::results::{Outcome, Results};
pub use self::row::{FromValue, Row, rows};
pub use self::shutdown::{Drain, Shutdown, SinkLeft, ViewLeft};
pub use self::sink::Feeding;
pub use self::stream::Changes;
pub use self::subscription::{Received, Subscription};

use self::inner::Inner;
use self::query::Asked;
use self::statement::{Endless, Planned, When, plan};
use self::view::View;
use self::wakers::Wakers;
use self::workers::{Still, Workers};
use crate::error::{Error, Result};
use crate::script::Session;
use crate::{PlannedQuery, SourceFile};

/// Values of a row, each of which becomes a [`Value`].
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        [$($crate::engine::Value::from($value)),*]
    };
}

/// An engine. Any thread may use it; dropping it ends all that it runs.
#[derive(Debug)]
pub struct Engine {
    inner: Mutex<Inner>,
    frame_rows: usize,
    workers: Workers,
    /// Who waits for room in a task.
    wakers: Arc<Wakers>,
}

/// What an engine has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    /// For each channel its name and what appenders did.
    pub channels: Vec<(String, Counts)>,
    /// For each materialized view.
    pub views: Vec<ViewMetrics>,
}

/// What a materialized view has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewMetrics {
    /// Its name.
    pub name: String,
    /// Records that it has read, as its shards said when metrics were last asked for.
    pub rows_read: u64,
    /// Those of them that are no rows, and were left out.
    pub rows_bad: u64,
    /// Rows on which an expression failed, left out as `bad_data` says, as said then. Of a source
    /// that the view reads twice they count twice.
    pub rows_failed: u64,
    /// Rows that were late for their own split's watermark, as said then.
    pub rows_late: u64,
    /// Rows that were late for the watermark of other splits alone, as said then.
    pub rows_late_idle: u64,
    /// The watermark (ns) that it has reached, as said then.
    pub watermark: Option<i64>,
    /// The source, and the number of its split, that holds the watermark back.
    pub held_by: Option<(String, u32)>,
    /// Rows of results.
    pub rows_out: u64,
    /// Checkpoints that are durable, where the engine has a state directory.
    pub checkpoints: u64,
    /// Those that could not be written.
    pub checkpoints_failed: u64,
    /// The longest (ns) that a shard waited at a barrier of them for one of its inputs.
    pub aligned_ns_max: u64,
    /// Bytes of the newest checkpoint.
    pub checkpoint_bytes: u64,
    /// How long (ns) it took until the newest was durable.
    pub checkpoint_ns: u64,
    /// Records that the newest checkpoint holds of channels and sockets, which cannot be read
    /// again, over all engines that kept the view: those behind it are lost in a crash.
    pub rows_durable: u64,
    /// The operators of its program that have state.
    pub state: Vec<StateMetrics>,
    /// Rows that the view keeps for who reads it: those that stand.
    pub rows_kept: u64,
    /// Bytes of memory that they take.
    pub bytes_kept: u64,
}

/// The state of an operator of a view, on all shards together, as these said when metrics were last
/// asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateMetrics {
    /// The stage of the view's program, from 0 on.
    pub stage: usize,
    /// The number of the operator in it, from 0 on.
    pub step: usize,
    /// What it is called, as in EXPLAIN ANALYZE.
    pub operator: &'static str,
    /// Rows and groups that it keeps.
    pub rows: u64,
    /// Bytes of memory that they take.
    pub bytes: u64,
    /// The most that they took on each shard at any time, added up.
    pub bytes_max: u64,
}

impl ViewMetrics {
    /// Bytes of memory of its state and of the rows that it keeps: what counts for
    /// [`Builder::memory_limit`].
    pub fn bytes(&self) -> u64 {
        let state = self.state.iter().map(|operator| operator.bytes);
        state.sum::<u64>() + self.bytes_kept
    }
}

impl Engine {
    /// An engine to be configured.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs statements, one after the other, and gives the rows of those that have some: SELECT
    /// over input that ends or over materialized views, SHOW, DESCRIBE. What was done before a
    /// statement that is refused stays done.
    ///
    /// # Errors
    /// The refusal of a statement, or what running it failed with.
    pub fn execute(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        let file = SourceFile {
            name: "<sql>".to_owned(),
            text: sql.to_owned(),
            base: PathBuf::from("."),
        };
        let mut results = Vec::new();
        for number in 0.. {
            match self.one(&file, number, Endless::Refused, Still::Wanted)? {
                None => break,
                Some(Outcome::Done | Outcome::Stopped) => {}
                Some(Outcome::Rows(rows)) => results.extend(rows),
                Some(Outcome::Results(rows)) => results.extend(self.collect(*rows)?),
                Some(Outcome::Feeding(feeding)) => self.wait_for(&feeding)?,
            }
        }
        Ok(results)
    }

    /// Runs the statement of this number, from 0 on, of a file; `None` behind the last one. A query
    /// over sources, also over one without an end, gives its rows as they come.
    ///
    /// # Errors
    /// The refusal of the statement, or what running it failed with.
    pub fn statement(&self, file: &SourceFile, number: usize) -> Result<Option<Outcome>> {
        self.one(file, number, Endless::Allowed, Still::Wanted)
    }

    /// As [`Self::statement`], for as long as it is wanted: a SELECT over views and EXPLAIN ANALYZE
    /// are given up where it is not any more, which is asked now and then, and are
    /// [`Outcome::Stopped`].
    ///
    /// # Errors
    /// As [`Self::statement`].
    pub fn statement_while(
        &self,
        file: &SourceFile,
        number: usize,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Option<Outcome>> {
        self.one(file, number, Endless::Allowed, Still::While(wanted))
    }

    fn one(
        &self,
        file: &SourceFile,
        number: usize,
        endless: Endless,
        still: Still<'_>,
    ) -> Result<Option<Outcome>> {
        let mut inner = self.lock();
        let (there, when) = (inner.there(), When::default());
        let planned = plan(file, number, &inner.session, &there, &when, endless)?;
        let Some((session, planned)) = planned else {
            return Ok(None);
        };
        let mut made = None;
        let outcome = match planned {
            Planned::Done => Outcome::Done,
            Planned::Rename(from, to) => {
                inner.rename(&from, &to);
                Outcome::Done
            }
            Planned::Subscribe(view, wanted) => {
                let results = Results::of_view(inner.listen(&view, wanted)?);
                return Ok(Some(Outcome::Results(Box::new(results))));
            }
            Planned::Declare(cursor, view, wanted) => {
                inner.declare(cursor, view, wanted)?;
                return Ok(Some(Outcome::Done));
            }
            Planned::Fetch(rows, cursor) => {
                return Ok(Some(Outcome::Rows(vec![inner.fetch(rows, &cursor)?])));
            }
            Planned::Close(cursor) => {
                inner.close(&cursor)?;
                return Ok(Some(Outcome::Done));
            }
            Planned::Flush | Planned::Checkpoint => {
                drop(inner);
                match planned {
                    Planned::Checkpoint => self.checkpoint()?,
                    _ => self.flush()?,
                }
                return Ok(Some(Outcome::Done));
            }
            Planned::Answer(answer) => Outcome::Rows(vec![batch::answer(&answer)?]),
            Planned::View(name, query) => {
                made = Some(name.clone());
                self.make_view(&mut inner, &session, (name, query), (file, number, &when))?;
                Outcome::Done
            }
            Planned::Sink(query, fed) => {
                match inner.feed(&session, &query, fed, self.frame_rows)? {
                    Some(feeding) => Outcome::Feeding(feeding),
                    None => Outcome::Done,
                }
            }
            Planned::Select { query, is_endless } => {
                let running = inner.start(&session, &query)?;
                let results = Results::new(running, *query, is_endless);
                return Ok(Some(Outcome::Results(Box::new(results))));
            }
            Planned::Analyze(analyze) => {
                let running = inner.start(&session, &analyze.query)?;
                drop(inner);
                return self.measure(running, *analyze, still).map(Some);
            }
            Planned::Query(asked) => {
                let tables = inner.tables(&asked.file.text);
                drop(inner);
                let rows = query::run((&self.workers, still), tables, asked, &[])?;
                return Ok(Some(rows.map_or(Outcome::Stopped, Outcome::Rows)));
            }
        };
        let mut gone = inner.commit(session, self.frame_rows)?;
        let unknowing = made.map_or_else(Vec::new, |view| inner.unknowing(&view));
        drop(inner);
        self.checkpoint_of(unknowing)?;
        // Views that went with them end behind them.
        self.end_sinks(std::mem::take(&mut gone.sinks))?;
        Ok(Some(outcome))
    }

    /// Makes a view; where it was kept on disk, it is planned as it was then, and goes on.
    fn make_view(
        &self,
        inner: &mut Inner,
        session: &Session,
        (name, query): (String, Box<PlannedQuery>),
        (file, number, when): (&SourceFile, usize, &When),
    ) -> Result<()> {
        // One that reads views is made again of their rows.
        let is_over_views = query.program.sources.iter();
        let is_over_views = is_over_views
            .map(|s| &s.name)
            .any(|s| inner.views.contains_key(s));
        let Some(dir) = inner.state.clone().filter(|_| !is_over_views) else {
            return inner.create(session, name, &query, self.frame_rows);
        };
        let opened = dir.open(&name, when.now)?;
        let query = match opened.planned() {
            None => query,
            Some(when) => {
                let there = inner.there();
                let before = &inner.session;
                match plan(file, number, before, &there, &when, Endless::Allowed)? {
                    Some((_, Planned::View(_, query))) => query,
                    _ => unreachable!("the same statement makes a view"),
                }
            }
        };
        if let Some(note) = state::at_risk(&name, &query.program) {
            (dir.tell)(&note);
        }
        inner.create_kept(session, name, *query, opened)
    }

    /// All that a query can name, for who completes what is typed: relations and their columns,
    /// then tables of the schema `trefoil`, then functions.
    pub fn names(&self) -> Vec<String> {
        let inner = self.lock();
        let catalog = &inner.session.catalog;
        let columns = catalog.sources.values().flat_map(|s| s.declared());
        let of_sources = columns.map(|c| c.name.as_str());
        let columns = catalog.views.values().flat_map(|v| &v.columns);
        let of_views = columns.map(|c| c.name.as_str());
        let declared = catalog.names().chain(of_sources).chain(of_views);
        let declared: BTreeSet<&str> = declared.collect();
        let system = system::TABLES.map(|table| format!("{}.{table}", system::SCHEMA));
        let known = &inner.session.functions;
        let mut functions = known.within(crate::planner::function_names);
        functions.sort_unstable();
        let declared = declared.into_iter().map(str::to_owned);
        declared.chain(system).chain(functions).collect()
    }

    /// A new appender to a source with connector = 'channel'.
    ///
    /// # Errors
    /// `E0601` where there is no such channel any more or never was.
    pub fn appender(&self, source: &str) -> Result<Appender> {
        let mut inner = self.lock();
        let rows = inner.channel(source)?.appender()?;
        Ok(Appender::new(rows, Arc::clone(&self.wakers), None))
    }

    /// What a materialized view gives from now on. Its first column, `op`, says what a row does,
    /// unless the view emits on window close.
    ///
    /// # Errors
    /// `E0603` where there is no such view.
    pub fn subscribe(&self, view: &str) -> Result<Subscription> {
        self.lock().view(view)?.subscribe()
    }

    /// The row of a materialized view with this key: a value for each of the columns that it groups
    /// by, in the order of its columns.
    ///
    /// # Errors
    /// `E0603` where there is no such view, where it has no key, or where the key is another one;
    /// what the view has failed with.
    pub fn get(&self, view: &str, key: &[Value<'_>]) -> Result<Option<Row>> {
        let shared = Arc::clone(self.lock().view(view)?.shared());
        shared.get(view, key)
    }

    /// Rows of a SELECT over what stands in materialized views; `$1`, `$2` are the parameters. It
    /// runs on threads of its own, within a limit of memory.
    ///
    /// # Errors
    /// What is wrong with its text, at its place; `E0607` where a row cannot be computed, and
    /// `E0605` where it needs more memory than one query may take.
    pub fn query(&self, sql: &str, params: &[Value<'_>]) -> Result<Vec<RecordBatch>> {
        let tables = self.lock().tables(sql);
        let workers = (&self.workers, Still::Wanted);
        let rows = query::run(workers, tables, Asked::text(sql), params)?;
        Ok(rows.expect("it is wanted to its end"))
    }

    /// A materialized view as a table, for a session of your own: partition i is shard i. Each scan
    /// sees the rows of one moment.
    ///
    /// # Errors
    /// `E0603` where there is no such view.
    pub fn table(&self, view: &str) -> Result<Arc<dyn TableProvider>> {
        let inner = self.lock();
        let shared = Arc::clone(inner.view(view)?.shared());
        let moment = inner.moment();
        Ok(Arc::new(live::ViewTable::new(view, shared, moment)))
    }

    /// What was done so far.
    pub fn metrics(&self) -> Metrics {
        let inner = self.lock();
        let channels = inner.channels.iter();
        Metrics {
            channels: channels
                .map(|(name, c)| (name.clone(), c.counts()))
                .collect(),
            views: inner.views.values().map(View::metrics).collect(),
        }
    }

    /// The views, and queries of sinks, that have failed, and why.
    pub fn failures(&self) -> Vec<(String, Error)> {
        let inner = self.lock();
        let failed = inner.jobs();
        let failed = failed.map(|job| Some((job.name().to_owned(), job.shared().failure()?)));
        failed.flatten().collect()
    }

    /// Reads and plans the statements of files as if they ran, one behind the other, and begins
    /// nothing. Says of each statement of each file what it would give.
    ///
    /// # Errors
    /// The first refusal of a statement.
    pub fn check(&self, files: &[SourceFile]) -> Result<Vec<Vec<Gives>>> {
        let (session, there) = {
            let inner = self.lock();
            (inner.session.clone(), inner.there())
        };
        rehearsal::check(files, session, there)
    }

    /// A turn of all that runs, where the caller's own thread is the shard
    /// ([`Builder::on_this_thread`]); whether something moved.
    pub fn step(&self) -> bool {
        self.lock().runtime.step()
    }

    /// Ends all that runs: what appenders have pushed is taken, or not, as `drain` says, until the
    /// deadline at most. What is appended from now on is refused.
    pub fn shutdown(self, drain: Drain, deadline: Duration) -> Shutdown {
        shutdown::run(&self, drain, deadline)
    }
}

/// A row of values as arrays.
fn arrays(schema: &Schema, row: &[Value<'_>]) -> Result<Vec<datafusion::arrow::array::ArrayRef>> {
    let frame = row_frame(schema, row)?;
    let columns = frame.columns.into_iter().zip(&schema.fields);
    Ok(columns.map(|(c, f)| c.into_array(&f.data_type)).collect())
}
