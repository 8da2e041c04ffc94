//! The state directory of an engine: a folder for each view, with its checkpoints. A view that is
//! made again, with the definition that it had, goes on from the newest of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use arrow_ipc::reader::StreamReader;
use datafusion::arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use trefoil_ring0::program::{Program, SourceKind, SourceSpec};
use trefoil_ring0::runtime::{HASH_SEED, Running};
use trefoil_ring0::snapshot::{Piece, Restore, Taken};
use trefoil_ring1::checkpoint::{
    Checkpoint, ManifestData, StatementPrint, Store, StoreError, Writer, checksum,
};

use super::Engine;
use super::durable::Ledgers;
use super::fold::Homes;
use super::statement::When;
use super::taking::{ROWS, Taking};
use super::view::Shared;
use crate::PlannedQuery;
use crate::checkpoints::{outline, place_of, prints, read_on, read_upto};
use crate::error::{Error, Result};

/// Where an engine keeps its views, and how often it does.
#[derive(Debug, Clone)]
pub(super) struct StateDir {
    pub(super) dir: PathBuf,
    pub(super) every: Duration,
    /// Says what becomes of checkpoints.
    pub(super) tell: fn(&str),
    /// Bytes of the chunks that sources are read by.
    pub(super) chunk_bytes: usize,
}

/// What a view says of itself besides its rows and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Times {
    /// What NOW() is (ns since 1970-01-01T00:00:00Z).
    planned_ns: u64,
    /// When its program began.
    begun_ns: i64,
    /// How it is planned: what state belongs where.
    plan: String,
    /// It has ended: there is nothing but its rows.
    #[serde(default)]
    ended: bool,
    /// Its rows are not told apart by shards: it has gone on with another number of them.
    #[serde(default)]
    mixed: bool,
}

/// The folder of a view, and what the view goes on from.
pub(super) struct Opened {
    view: String,
    path: PathBuf,
    store: Store,
    from: Option<(Checkpoint, Times)>,
    planned: SystemTime,
}

/// What a view begins with.
pub(super) struct Begun {
    /// What its shards do.
    pub(super) restore: Option<Restore>,
    /// Rows that stood, with the shards that gave them.
    pub(super) rows: Vec<(usize, RecordBatch)>,
    /// How many shards gave them, as far as they are told apart by these.
    shards: Option<usize>,
    /// The view had ended.
    pub(super) is_over: bool,
}

impl Begun {
    /// What it had of a source that cannot be read again.
    pub(super) fn taken(&self, source: u32) -> Option<Taken> {
        self.restore.as_ref()?.taken(source)
    }

    /// Where the rows go among so many shards.
    pub(super) fn homes(&self, shards: usize) -> Homes {
        match self.restore.is_none() || self.shards == Some(shards) {
            true => Homes::Own,
            false => Homes::One,
        }
    }
}

fn unusable(view: &str, why: impl std::fmt::Display) -> Error {
    let message = format!(
        "the state of view \"{view}\" cannot be taken up: {why}; to begin anew, drop the view's \
         folder, or name another directory"
    );
    Error::engine("E0610", message)
}

fn store_error(view: &str, error: &StoreError) -> Error {
    let StoreError::Locked { .. } = error else {
        return unusable(view, error);
    };
    // What another one writes is not to be dropped.
    let message = format!(
        "the state of view \"{view}\" cannot be taken up: {error}; end that one first, or name \
         another directory"
    );
    Error::engine("E0610", message)
}

/// The name of a view as one of a folder: what is no letter, digit or underscore by its bytes.
fn folder_name(view: &str) -> String {
    let mut name = "view-".to_owned();
    for byte in view.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => name.push(char::from(byte)),
            other => name.push_str(&format!("%{other:02x}")),
        }
    }
    name
}

impl StateDir {
    /// Takes the folder of a view, which is made where it is not there.
    ///
    /// # Errors
    /// `E0610` where another engine has it, or nothing in it is sound.
    pub(super) fn open(&self, view: &str, now: SystemTime) -> Result<Opened> {
        let path = self.dir.join(folder_name(view));
        let store = Store::open(&path).map_err(|e| store_error(view, &e))?;
        let newest = store.newest().map_err(|e| store_error(view, &e))?;
        let Some(from) = newest else {
            return Ok(Opened {
                view: view.to_owned(),
                path,
                store,
                from: None,
                planned: now,
            });
        };
        for (epoch, error) in from.passed_over() {
            let note = format!("checkpoint {epoch} of view \"{view}\" is not sound: {error}");
            (self.tell)(&note);
        }
        let times = Times::deserialize(&from.manifest().data.counters);
        let times = times.map_err(|e| unusable(view, e))?;
        Ok(Opened {
            view: view.to_owned(),
            path,
            store,
            planned: SystemTime::UNIX_EPOCH + Duration::from_nanos(times.planned_ns),
            from: Some((from, times)),
        })
    }
}

/// What a view is: its text, what it became, and what it reads.
fn print(query: &PlannedQuery) -> StatementPrint {
    let mut all = format!(
        "{}\n{}\n{}",
        env!("CARGO_PKG_VERSION"),
        query.sql,
        query.logical
    );
    for source in &query.program.sources {
        let (name, schema) = (&source.name, &source.schema);
        let (time, bad) = (source.event_time, source.bad_data);
        all += &format!("\n{name} {schema:?} {time:?} {bad:?} {:?}", source.splits);
        // Rows that are made: other ones would go on behind these, and a position counts chunks, of
        // which the last one may have been in part.
        if let SourceKind::Generator(made) = &source.kind {
            all += &format!(
                " {:?} {:?} {} {:?}",
                made.rows, made.rate, made.seed, made.made
            );
        }
    }
    StatementPrint {
        hash: checksum(all.as_bytes()),
        text: query.sql.clone(),
    }
}

impl Opened {
    /// When, and over how much of its files, the view was planned that goes on; `None` where it
    /// begins.
    pub(super) fn planned(&self) -> Option<When> {
        let (from, _) = self.from.as_ref()?;
        Some(When {
            now: self.planned,
            read_upto: read_upto(&from.manifest().data.sources),
        })
    }

    /// What the view begins with; has its program read the files that were read.
    ///
    /// # Errors
    /// `E0610` where it is another view by now, or reads something else.
    pub(super) fn begin(&mut self, query: &mut PlannedQuery, chunk_bytes: usize) -> Result<Begun> {
        let view = self.view.clone();
        let Some((from, times)) = self.from.take() else {
            return Ok(Begun {
                restore: None,
                rows: Vec::new(),
                shards: None,
                is_over: false,
            });
        };
        let data = &from.manifest().data;
        if data.fingerprint != [print(query)] {
            return Err(unusable(&view, "it is of another definition"));
        }
        let plans = (&times.plan, data.seed, data.chunk_bytes);
        if plans != (&outline(&query.program), HASH_SEED, chunk_bytes as u64) {
            return Err(unusable(&view, "the view was planned in another way"));
        }
        let sizes = read_on(&mut query.program, &data.sources);
        let sizes = sizes.map_err(|why| unusable(&view, why))?;
        let (mut pieces, mut rows) = (Vec::new(), Vec::new());
        for piece in from.pieces() {
            let (shard, place, bytes) = piece.map_err(|e| store_error(&view, &e))?;
            let shard = shard as usize;
            if place.kind == ROWS {
                rows.push((shard, decoded(&bytes).map_err(|e| unusable(&view, e))?));
                continue;
            }
            let place = place_of(place).ok_or_else(|| unusable(&view, "unknown pieces"))?;
            pieces.push((shard, Piece { place, bytes }));
        }
        let shards = data.shards as usize;
        let restore = Restore::new(shards, times.begun_ns, pieces).with_sizes(sizes);
        Ok(Begun {
            restore: Some(restore),
            rows,
            shards: (!times.mixed).then_some(shards),
            is_over: times.ended,
        })
    }

    /// What takes the checkpoints of the view, which runs.
    ///
    /// # Errors
    /// `E0606` where there is no thread left, `E0607` where a file cannot be read.
    pub(super) fn taking(
        self,
        state: &StateDir,
        query: &PlannedQuery,
        running: &Running,
        begun: &Begun,
        ledgers: Ledgers,
    ) -> Result<Taking> {
        let homes = begun.homes(running.shards());
        let planned = self.planned.duration_since(SystemTime::UNIX_EPOCH);
        let planned = planned.map_or(0, |since| since.as_nanos());
        let times = Times {
            planned_ns: u64::try_from(planned).unwrap_or(u64::MAX),
            begun_ns: running.begun(),
            plan: outline(&query.program),
            ended: false,
            mixed: homes == Homes::One,
        };
        let sources = prints(&query.program, running.sizes());
        let data = ManifestData {
            created_ns: 0,
            shards: u32::try_from(running.shards()).unwrap_or(u32::MAX),
            seed: HASH_SEED,
            chunk_bytes: state.chunk_bytes as u64,
            step: 0,
            fingerprint: vec![print(query)],
            sources: sources.map_err(|why| Error::engine("E0607", why))?,
            sinks: Vec::new(),
            counters: serde_json::to_value(times).unwrap_or_default(),
        };
        let next_epoch = self.store.next_epoch();
        let control = running.control();
        let writer = Writer::start(self.store, move || control.wake_host());
        let none = |e| Error::engine("E0606", format!("no thread writes checkpoints: {e}"));
        let named = (self.view, state.tell);
        let taking = Taking::new(
            named,
            (writer.map_err(none)?, next_epoch),
            state.every,
            data,
        );
        let sources = 0..query.program.sources.len() as u32;
        let durable = sources.filter_map(|source| Some(begun.taken(source)?.rows));
        let taking = taking.telling(ledgers, durable.sum());
        Ok(match begun.is_over {
            true => taking.over(),
            false => taking,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn decoded(bytes: &[u8]) -> std::result::Result<RecordBatch, String> {
    let mut batches = StreamReader::try_new(bytes, None).map_err(|e| e.to_string())?;
    match batches.next() {
        Some(batch) => batch.map_err(|e| e.to_string()),
        None => Err("rows are missing".to_owned()),
    }
}

/// A folder that goes, when a view was dropped and has ended.
#[derive(Debug)]
pub(super) struct Removed(pub(super) PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // What stays is found by who makes the view again, with the same definition or not.
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What is planned before anything was kept.
impl Default for When {
    fn default() -> Self {
        Self {
            now: SystemTime::now(),
            read_upto: HashMap::new(),
        }
    }
}

/// How long is waited before it is looked whether the caller's own thread has to work.
const LOOK: Duration = Duration::from_millis(20);

impl Engine {
    /// Returns when what every view had read by now is in a checkpoint that is durable. Views that
    /// have failed, or ended before, are left out: of one that has ended the rows are kept already.
    /// Views over views are made again of these, and have none.
    ///
    /// # Errors
    /// `E0615` where there is no state directory, or a checkpoint cannot be written; what a view
    /// fails with meanwhile.
    pub fn checkpoint(&self) -> Result<()> {
        let views: Vec<Arc<Shared>> = {
            let inner = self.lock();
            if inner.state.is_none() {
                let message = "the engine has no state directory: Builder::state_dir names one";
                return Err(Error::engine("E0615", message));
            }
            let kept = inner.views.values().filter(|view| view.folder().is_some());
            let shared = kept.map(|view| Arc::clone(view.shared()));
            shared.collect()
        };
        self.checkpoint_of(views)
    }

    /// The same of these views.
    pub(super) fn checkpoint_of(&self, mut views: Vec<Arc<Shared>>) -> Result<()> {
        views.retain(|view| !view.lock().is_ended);
        // All are asked before the first is waited for.
        let asked: Vec<_> = views
            .iter()
            .map(|view| {
                let (waiting, done) = mpsc::channel();
                view.ask_checkpoint(waiting);
                done
            })
            .collect();
        for (view, done) in views.iter().zip(asked) {
            loop {
                match done.recv_timeout(self.look(LOOK)) {
                    Ok(error) => return Err(error),
                    Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) => self.rest(),
                }
            }
            view.failure().map_or(Ok(()), Err)?;
        }
        Ok(())
    }
}

/// What of a view is lost in a crash; `None` where nothing is.
pub(super) fn at_risk(view: &str, program: &Program) -> Option<String> {
    let source = program.sources.iter().find_map(|source| {
        let unless = match &source.kind {
            SourceKind::Channel => ", but for those of producers with names, which send them again",
            SourceKind::Connections { listen, .. } if listen.acknowledges() => {
                ", but for those of clients, which are told behind which they go on"
            }
            SourceKind::Connections { .. } => "",
            _ => return None,
        };
        Some((&source.name, unless))
    });
    let (source, unless) = source?;
    Some(format!(
        "view \"{view}\": rows of source {source} that come behind its last checkpoint are lost in \
         a crash{unless}"
    ))
}

/// Whether the files and operators of a program can be gone on with; why not.
pub(super) fn refusal(program: &Program, is_view: impl Fn(&str) -> bool) -> Option<String> {
    let mut sources = program.sources.iter();
    let Some(view) = sources.find(|source| is_view(&source.name)) else {
        return trefoil_ring0::snapshot::refusal(program);
    };
    // It is made again, of the rows of views and of what is read again beside them.
    let is_lost = |source: &&SourceSpec| !is_view(&source.name) && !has_a_beginning(&source.kind);
    let lost = program.sources.iter().find(is_lost)?;
    Some(format!(
        "it reads the view {} and, beside it, source {}, which cannot be read from its beginning \
         again",
        view.name, lost.name
    ))
}

/// Whether a source gives again, at once, what it has given.
fn has_a_beginning(kind: &SourceKind) -> bool {
    match kind {
        SourceKind::Generator(made) => made.rate.is_none(),
        SourceKind::Files { .. } | SourceKind::Columnar { .. } => true,
        // Of a file that is followed the beginning may be away.
        SourceKind::Stream { .. }
        | SourceKind::Connections { .. }
        | SourceKind::Channel
        | SourceKind::Columns { .. }
        | SourceKind::Memory { .. } => false,
    }
}
