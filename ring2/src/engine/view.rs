//! A materialized view that is kept: its program on the shards, and a thread that owns its results
//! ([`keeper`](super::keeper)). Who reads asks for a barrier, and is given the rows that stand when
//! it comes: those of all that every shard had taken by then, and of nothing else.

mod shared;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use futures::task::AtomicWaker;
use trefoil_ring0::mailbox::Receiver;
use trefoil_ring0::program::OperatorSpec;
use trefoil_ring0::runtime::{Control, Running};

pub(super) use self::shared::{Moment, Read, Shared, State};

use super::feed::{Feed, Inlet};
use super::fold::{Fold, Homes, Snapshot};
use super::keeper::{Given, Keeper, Subscriber};
use super::kept::KeptView;
use super::sink::Entry;
use super::subscription::Subscription;
use super::system::Job;
use super::taking::Taking;
use super::{StateMetrics, ViewMetrics, batch};
use crate::PlannedQuery;
use crate::error::{Error, Result};
use crate::limits::SUBSCRIBER_BATCHES;
use crate::partitioning::Stage;

/// A view in the hands of the engine. Dropping it ends it.
#[derive(Debug)]
pub(super) struct View {
    name: String,
    number: u64,
    sql: String,
    stages: Arc<[Stage]>,
    /// The names of its sources, in the order of the program.
    sources: Arc<[String]>,
    /// What its operators are called, in the order of the program.
    operators: Arc<[&'static str]>,
    kept: KeptView,
    columns: SchemaRef,
    control: Control,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// What it reads of other views.
    feeds: Vec<Feed>,
    /// Where it is kept on disk, if it is.
    folder: Option<PathBuf>,
}

/// What a view has that is kept on disk.
pub(super) struct OnDisk {
    pub(super) taking: Taking,
    pub(super) folder: PathBuf,
    /// Rows that stood, with the shards that gave them, and where they go.
    pub(super) rows: Vec<(usize, RecordBatch)>,
    pub(super) homes: Homes,
}

pub(super) fn wrong(error: &ArrowError) -> Error {
    Error::engine("E0609", format!("rows do not fit their view: {error}"))
}

/// What stands in a view, what of it is about to be replaced, and what it gives behind that.
pub(super) type Following = (Snapshot, Snapshot, Receiver<Given>);

impl View {
    /// A view of this program, which other views feed, and, if so, other input that goes on.
    pub(super) fn start(
        named: (String, u64),
        query: &PlannedQuery,
        running: Running,
        inlets: Vec<Inlet>,
        is_endless: bool,
    ) -> Result<Self> {
        let state = Self::state(query, &running)?;
        let inputs = (inlets.len(), is_endless);
        let shared = Arc::new(Shared::new(&running, state, inputs));
        let keeper = Keeper::new(running, query.clone(), Arc::clone(&shared));
        Self::with(named, query, keeper, shared, inlets)
    }

    /// A view of this program, which is kept on disk, and goes on with what it had.
    pub(super) fn kept_on_disk(
        named: (String, u64),
        query: &PlannedQuery,
        running: Running,
        on_disk: OnDisk,
        is_endless: bool,
    ) -> Result<Self> {
        let mut state = Self::state(query, &running)?;
        state.fold = state.fold.with_homes(on_disk.homes);
        state.checkpoints = on_disk.taking.counts();
        for (shard, rows) in &on_disk.rows {
            state.fold.go_on(*shard, rows).map_err(|e| wrong(&e))?;
        }
        let shared = Arc::new(Shared::new(&running, state, (0, is_endless)));
        let keeper = Keeper::new(running, query.clone(), Arc::clone(&shared));
        let keeper = keeper.taking(Some(on_disk.taking));
        let mut view = Self::with(named, query, keeper, shared, Vec::new())?;
        view.folder = Some(on_disk.folder);
        Ok(view)
    }

    /// What is shared of it, before it has rows.
    fn state(query: &PlannedQuery, running: &Running) -> Result<State> {
        let first = usize::from(query.changes);
        let keys: Vec<usize> = query.keys.iter().map(|key| key - first).collect();
        let has_key = !keys.is_empty();
        let kept = KeptView::of(query);
        // What texts mean is for who reads them.
        let plain = kept.columns.fields().iter();
        let plain = plain.map(|f| f.as_ref().clone().with_metadata(HashMap::new()));
        let schema = Arc::new(ArrowSchema::new(plain.collect::<Vec<_>>()));
        let fold = Fold::new(schema, query.changes, keys, running.shards());
        let fold = fold.map_err(|e| wrong(&e))?;
        Ok(State {
            has_key,
            ..State::of(fold)
        })
    }

    /// A query whose rows are not kept and go into a sink.
    pub(super) fn into(
        entry: Entry,
        named: (String, u64),
        query: &PlannedQuery,
        running: Running,
        inlets: Vec<Inlet>,
        is_endless: bool,
    ) -> Result<Self> {
        entry.begin(query)?;
        let nothing = Arc::new(ArrowSchema::empty());
        let fold = Fold::new(nothing, false, Vec::new(), running.shards());
        let state = State::of(fold.map_err(|e| wrong(&e))?);
        let inputs = (inlets.len(), is_endless);
        let shared = Arc::new(Shared::new(&running, state, inputs));
        let keeper = Keeper::new(running, query.clone(), Arc::clone(&shared));
        Self::with(named, query, keeper.into(entry), shared, inlets)
    }

    fn with(
        (name, number): (String, u64),
        query: &PlannedQuery,
        keeper: Keeper,
        shared: Arc<Shared>,
        inlets: Vec<Inlet>,
    ) -> Result<Self> {
        let keeper = keeper.named(&name);
        let thread = std::thread::Builder::new()
            .name(format!("view-{name}"))
            .spawn(move || keeper.run())
            .map_err(|e| Error::engine("E0606", format!("no thread for a view: {e}")))?;
        let mut view = Self {
            name,
            number,
            sql: query.sql.clone(),
            stages: query.stages.clone().into(),
            sources: query
                .program
                .sources
                .iter()
                .map(|s| s.name.clone())
                .collect(),
            operators: {
                let stages = query.program.stages.iter();
                let operators = stages.flat_map(|stage| &stage.operators);
                operators.map(OperatorSpec::name).collect()
            },
            kept: KeptView::of(query),
            columns: batch::schema(&query.columns, &query.program.outputs[0].schema),
            control: shared.control.clone(),
            shared,
            thread: Some(thread),
            feeds: Vec::new(),
            folder: None,
        };
        for inlet in inlets {
            view.feeds.push(inlet.start(&view.shared)?);
        }
        Ok(view)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// It, or what it reads, may be what is called otherwise now.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let alone = self.kept.alone.iter_mut().map(|(source, _)| source);
        for name in alone.chain([&mut self.name]) {
            if name == from {
                *name = to.to_owned();
            }
        }
    }

    /// What others see of it.
    pub(super) fn kept(&self) -> &KeptView {
        &self.kept
    }

    /// Where it is kept on disk, if it is.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.folder.clone()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn subscribe(&self) -> Result<Subscription> {
        let (sender, inbox) = self.control.mailbox(SUBSCRIBER_BATCHES)?;
        let waker: Arc<AtomicWaker> = Arc::default();
        let mut state = self.shared.lock();
        // Of a view that has ended there is nothing more.
        if !state.is_ended {
            state
                .joining
                .push(Subscriber::host(sender, Arc::clone(&waker)));
        }
        drop(state);
        Ok(Subscription::new(inbox, Arc::clone(&self.shared), waker))
    }

    /// What a batch of it looks like.
    pub(super) fn columns(&self) -> SchemaRef {
        Arc::clone(&self.columns)
    }

    /// What the system tables say of it.
    pub(super) fn job(&self) -> Job {
        let metrics = self.metrics();
        let state = self.shared.lock();
        Job {
            name: metrics.name,
            sql: self.sql.clone(),
            is_ended: state.is_ended,
            failure: state.failure().map(|e| e.to_string()),
            rows_out: metrics.rows_out,
            shards: self.control.reached_by_shard().collect(),
            stages: Arc::clone(&self.stages),
            sources: Arc::clone(&self.sources),
            state: metrics.state,
            rows_kept: metrics.rows_kept,
            bytes_kept: metrics.bytes_kept,
        }
    }

    pub(super) fn metrics(&self) -> ViewMetrics {
        self.control.ask();
        let reached = self.control.reached();
        let holding = self.control.holding();
        let operators = holding.operators.iter().zip(&*self.operators);
        let state = operators.map(|(operator, name)| StateMetrics {
            stage: operator.stage,
            step: operator.operator,
            operator: name,
            rows: operator.rows,
            bytes: operator.bytes,
            bytes_max: operator.bytes_max,
        });
        let state = state.filter(|operator| operator.bytes_max > 0).collect();
        // What its thread told last may be older: it looks at the memory now and then.
        let (checkpoints, (rows_kept, bytes_kept)) = {
            let state = self.shared.lock();
            (state.checkpoints, state.fold.size())
        };
        ViewMetrics {
            state,
            rows_kept: rows_kept as u64,
            bytes_kept: bytes_kept as u64,
            name: self.name.clone(),
            rows_read: reached.rows_read,
            rows_bad: reached.rows_bad,
            rows_failed: reached.rows_failed,
            rows_late: reached.rows_late,
            rows_late_idle: reached.rows_late_idle,
            watermark: reached.watermark,
            held_by: (reached.held_by)
                .and_then(|h| Some((self.sources.get(h.source)?.clone(), h.split))),
            rows_out: self.shared.rows_out.load(Ordering::Relaxed),
            checkpoints: checkpoints.taken,
            checkpoints_failed: checkpoints.failed,
            aligned_ns_max: checkpoints.aligned_ns_max,
            checkpoint_bytes: checkpoints.bytes,
            checkpoint_ns: checkpoints.took_ns,
            rows_durable: checkpoints.rows_durable,
        }
    }

    /// Whether its program has a source of this name.
    pub(super) fn reads(&self, source: &str) -> bool {
        self.sources.iter().any(|name| name == source)
    }

    /// The number of the view among those that were ever made: it reads only such of lesser ones.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether all views that it reads and that have ended are wholly in its lanes.
    pub(super) fn is_fed(&self) -> bool {
        let mut feeds = self.feeds.iter();
        feeds.all(|feed| feed.is_over() || !feed.has_ended())
    }

    /// Lets its input end.
    pub(super) fn drain(&self) {
        self.shared.ends(|inputs| inputs.is_drained = true);
    }

    /// Ends it, wherever it is; nobody waits for it.
    pub(super) fn leave(&self) {
        self.feeds.iter().for_each(Feed::leave);
        self.shared.gone.store(true, Ordering::Release);
        self.control.wake_host();
    }

    /// Ends it and waits until its threads have.
    pub(super) fn end(&mut self) {
        self.leave();
        if let Some(thread) = self.thread.take() {
            // What a panic of it means is told to who reads.
            _ = thread.join();
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.end();
    }
}
