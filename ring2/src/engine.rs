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
mod feed;
mod fold;
mod keeper;
mod kept;
pub(crate) mod keys;
mod live;
mod params;
mod probe;
mod query;
mod rehearsal;
mod results;
mod row;
mod shutdown;
mod statement;
mod subscription;
mod system;
mod view;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use datafusion::arrow::array::RecordBatch;
use datafusion::datasource::TableProvider;
use trefoil_ring0::appender::{Channel, row_frame};
use trefoil_ring0::program::SourceKind;
use trefoil_ring0::runtime::{Running, Runtime};
use trefoil_ring0::schema::{Field, Schema, physical};

pub use trefoil_ring0::appender::{Counts, Pushed, Value};
pub use trefoil_ring0::runtime::{Executor, Idle};

pub use self::appender::Appender;
pub use self::builder::Builder;
pub use self::rehearsal::Gives;
pub use self::results::{Outcome, Results};
pub use self::row::{FromValue, Row, rows};
pub use self::shutdown::{Drain, Shutdown, ViewLeft};
pub use self::subscription::{Received, Subscription};

use self::kept::Kept;
use self::query::Asked;
use self::statement::{Endless, Planned, plan};
use self::system::System;
use self::view::{Moment, View};
use self::workers::Workers;
use crate::catalog::SourceDef;
use crate::error::{Error, Result};
use crate::options::CHANNEL;
use crate::script::Session;
use crate::{PlannedQuery, SourceFile, limits};

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
}

#[derive(Debug)]
struct Inner {
    /// Taken out only while it is dropped.
    session: Session,
    /// Before the runtime, so that views end first.
    views: BTreeMap<String, View>,
    channels: BTreeMap<String, Channel>,
    /// Of each shard its core, where it is pinned.
    cores: Vec<Option<usize>>,
    runtime: Runtime,
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
    /// The watermark (ns) that it has reached, as said then.
    pub watermark: Option<i64>,
    /// The source, and the number of its split, that holds the watermark back.
    pub held_by: Option<(String, u32)>,
    /// Rows of results.
    pub rows_out: u64,
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
            match self.one(&file, number, Endless::Refused)? {
                None => break,
                Some(Outcome::Done) => {}
                Some(Outcome::Rows(rows)) => results.extend(rows),
                Some(Outcome::Results(rows)) => results.extend(self.collect(*rows)?),
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
        self.one(file, number, Endless::Allowed)
    }

    fn one(&self, file: &SourceFile, number: usize, endless: Endless) -> Result<Option<Outcome>> {
        let mut inner = self.lock();
        let (kept, now) = (inner.kept(), SystemTime::now());
        let planned = plan(file, number, &inner.session, &kept, now, endless)?;
        let Some((session, planned)) = planned else {
            return Ok(None);
        };
        let outcome = match planned {
            Planned::Done => Outcome::Done,
            Planned::Answer(answer) => Outcome::Rows(vec![batch::answer(&answer)?]),
            Planned::View(name, query) => {
                inner.create(&session, name, &query, self.frame_rows)?;
                Outcome::Done
            }
            Planned::Select { query, is_endless } => {
                let running = inner.start(&session, &query)?;
                let results = Results::new(running, *query, is_endless);
                return Ok(Some(Outcome::Results(Box::new(results))));
            }
            Planned::Query(asked) => {
                let tables = inner.tables(&asked.file.text);
                drop(inner);
                let rows = query::run(&self.workers, tables, asked, &[])?;
                return Ok(Some(Outcome::Rows(rows)));
            }
        };
        inner.commit(session, self.frame_rows)?;
        Ok(Some(outcome))
    }

    /// All rows of a query over input that ends. Where the caller's own thread is the shard nothing
    /// is waited for.
    fn collect(&self, mut results: Results) -> Result<Vec<RecordBatch>> {
        let wait = match self.lock().runtime.is_here() {
            true => Duration::ZERO,
            false => Duration::MAX,
        };
        let mut rows = Vec::new();
        loop {
            self.step();
            match results.next_timeout(wait)? {
                Received::End => return Ok(rows),
                Received::Nothing => {}
                Received::Batch(batch) => rows.push(batch),
            }
        }
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
        let mut functions = crate::planner::function_names();
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
        let Some(channel) = inner.channels.get_mut(source) else {
            let message = format!("there is no source \"{source}\" with connector 'channel'");
            return Err(Error::engine("E0603", message));
        };
        Ok(Appender::new(channel.appender()?))
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
        query::run(&self.workers, tables, Asked::text(sql), params)
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

    /// The views that have failed, and why.
    pub fn failures(&self) -> Vec<(String, Error)> {
        let inner = self.lock();
        let views = inner.views.iter();
        let failed = views.map(|(name, view)| Some((name.clone(), view.shared().failure()?)));
        failed.flatten().collect()
    }

    /// Reads and plans the statements of files as if they ran, one behind the other, and begins
    /// nothing. Says of each statement of each file what it would give.
    ///
    /// # Errors
    /// The first refusal of a statement.
    pub fn check(&self, files: &[SourceFile]) -> Result<Vec<Vec<Gives>>> {
        let (session, kept) = {
            let inner = self.lock();
            (inner.session.clone(), inner.kept())
        };
        rehearsal::check(files, session, kept)
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

impl Inner {
    fn view(&self, name: &str) -> Result<&View> {
        self.views.get(name).ok_or_else(|| {
            let message = format!("there is no materialized view \"{name}\"");
            Error::engine("E0603", message)
        })
    }

    /// When rows stood that are read. Where the caller's own thread is the shard, nothing comes to
    /// a barrier while it waits.
    fn moment(&self) -> Moment {
        match self.runtime.is_here() || self.session.settings.reads_latest() {
            true => Moment::Now,
            false => Moment::Barrier,
        }
    }

    /// What a query can name.
    fn tables(&self, sql: &str) -> query::Tables {
        let views = self.views.iter();
        let views = views.map(|(name, v)| (name.clone(), Arc::clone(v.shared())));
        query::Tables {
            views: views.collect(),
            kept: self.kept(),
            moment: self.moment(),
            system: system::may_be_named(sql).then(|| self.system()),
            session: self.session.clone(),
        }
    }

    /// The views as statements see them.
    fn kept(&self) -> Kept {
        let views = self.views.iter();
        views
            .map(|(name, view)| (name.clone(), view.kept().clone()))
            .collect()
    }

    fn system(&self) -> System {
        let channels = self.channels.iter();
        let splits = |channel: &Channel| channel.counts_by_appender().collect();
        System {
            jobs: self.views.values().map(View::job).collect(),
            channels: channels
                .map(|(name, c)| (name.clone(), c.counts(), splits(c)))
                .collect(),
            cores: self.cores.clone(),
            executor: self.runtime.executor(),
            settings: self.session.settings.rows(),
        }
    }

    /// Starts a view, of which nobody knows yet.
    fn create(
        &mut self,
        session: &Session,
        name: String,
        query: &PlannedQuery,
        frame_rows: usize,
    ) -> Result<()> {
        let mut running = self.start(session, query)?;
        let inlets = feed::inlets(&mut running, &self.views, frame_rows)?;
        let is_endless = feed::has_others(&query.program, &self.views);
        let view = View::start(name.clone(), query, running, inlets, is_endless)?;
        self.views.insert(name, view);
        Ok(())
    }

    /// Starts a query, and has appenders feed it.
    fn start(&mut self, session: &Session, query: &PlannedQuery) -> Result<Running> {
        let mut running = self.runtime.add(&query.program)?;
        for (number, spec) in query.program.sources.iter().enumerate() {
            if !matches!(spec.kind, SourceKind::Channel) || self.views.contains_key(&spec.name) {
                continue;
            }
            let def = session.catalog.sources.get(&spec.name);
            let (Some(def), Some(channel)) = (def, self.channels.get_mut(&spec.name)) else {
                unreachable!("a channel that is read was declared")
            };
            let bound = spec.event_time.and_then(|e| e.bound);
            let end = bound.unwrap_or(spec.schema.fields.len()) - spec.system.len();
            let fields = spec.schema.fields[..end].iter();
            let columns: Option<Vec<usize>> = fields.map(|f| def.index_of(&f.name)).collect();
            let columns = columns.expect("a source gives columns that it has");
            channel.attach(&mut running, number, &columns)?;
        }
        Ok(running)
    }

    /// Makes what was declared, and ends what was dropped.
    fn commit(&mut self, session: Session, frame_rows: usize) -> Result<()> {
        let catalog = &session.catalog;
        self.views
            .retain(|name, _| catalog.views.contains_key(name));
        self.channels.retain(|name, channel| {
            let stays = catalog.sources.contains_key(name);
            if !stays {
                channel.close();
            }
            stays
        });
        let is_channel = |s: &&SourceDef| s.connector.as_deref() == Some(CHANNEL);
        for def in catalog.sources.values().filter(is_channel) {
            if !self.channels.contains_key(&def.name) {
                self.channels
                    .insert(def.name.clone(), channel(def, frame_rows)?);
            }
        }
        self.drop_session(session);
        Ok(())
    }

    /// Takes another session for the one there is, which may be deep.
    fn drop_session(&mut self, session: Session) {
        let before = std::mem::replace(&mut self.session, session);
        limits::with_stack(move || drop(before));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.drop_session(Session::default());
    }
}

fn channel(def: &SourceDef, frame_rows: usize) -> Result<Channel> {
    let mut fields = Vec::new();
    for column in &def.columns {
        let data_type = physical(&column.data_type);
        if data_type.is_none() || column.length_max().is_some() {
            let (name, declared) = (&column.name, &column.declared);
            let message = format!("column \"{name}\": no {declared} can be appended yet");
            return Err(Error::engine("E0603", message));
        }
        fields.push(Field {
            nullable: column.nullable,
            ..Field::new(&column.name, column.data_type.clone())
        });
    }
    let schema = Arc::new(Schema::new(fields));
    let event_time = def.event_time.filter(|_| def.lag_ns.is_some());
    Ok(Channel::new(&def.name, schema, event_time, frame_rows))
}

/// A row of values as arrays.
fn arrays(schema: &Schema, row: &[Value<'_>]) -> Result<Vec<datafusion::arrow::array::ArrayRef>> {
    let frame = row_frame(schema, row)?;
    let columns = frame.columns.into_iter().zip(&schema.fields);
    Ok(columns.map(|(c, f)| c.into_array(&f.data_type)).collect())
}
