//! The state directory of a run: the checkpoint that it goes on from, and those that it takes.

mod keeper;
mod parts;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use trefoil::checkpoints::{outline, place_of, prints, read_on, read_upto};
use trefoil::{PlannedQuery, SourceFile, Step, statements};
use trefoil_ring0::id::OutputId;
use trefoil_ring0::program::Program;
use trefoil_ring0::runtime::{Config, HASH_SEED};
use trefoil_ring0::snapshot::{Piece, Restore, refusal, unrepeatable};
use trefoil_ring1::checkpoint::{
    Checkpoint, ManifestData, Prepared, StatementPrint, Store, StoreError, Writer,
    changed_statement, checksum, finish_sinks,
};

pub(crate) use self::keeper::Keeper;
pub(crate) use self::parts::Parts;

use crate::args::StateSettings;
use crate::failure::Failure;
use crate::letters::letters_of;
use crate::say::say;

/// What a run says of itself besides its statements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Times {
    /// What NOW() is (ns since 1970-01-01T00:00:00Z).
    planned_ns: i64,
    /// When the query in hand began.
    begun_ns: i64,
    /// How it is planned: what state belongs where.
    #[serde(default)]
    plan: String,
    /// Rows of the query in hand that are committed, where results are: some are wanted at most.
    #[serde(default)]
    rows: u64,
    /// The longest that a shard waited at the barrier for some of its inputs.
    #[serde(default)]
    aligned_us: u64,
}

/// What a query goes on from.
pub(crate) struct Before {
    pub(crate) restore: Restore,
    /// Rows of its results that are committed.
    pub(crate) rows: u64,
}

/// The checkpoints of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Those that are durable.
    pub(crate) taken: u64,
    /// Those that could not be written.
    pub(crate) failed: u64,
    /// The longest that a shard waited at a barrier for some of its inputs.
    pub(crate) aligned_us_max: u64,
}

/// What manifests call the files of results.
const PRINTED: &str = "--output";
/// The output of a query's results.
pub(crate) const RESULTS: OutputId = OutputId(0);

/// The state directory of a run.
pub(crate) struct State {
    writer: Writer,
    every: Duration,
    dir: PathBuf,
    next_epoch: u64,
    /// What the run goes on from, up to the query that it is of.
    from: Option<Checkpoint>,
    statements: Vec<StatementPrint>,
    planned_ns: i64,
    wake: keeper::Wake,
    counts: Counts,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Checkpoint(error.to_string())
    }
}

fn nanos(time: SystemTime) -> i64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

impl State {
    /// Opens the directory for a script.
    pub(crate) fn open(settings: &StateSettings, files: &[SourceFile]) -> Result<Self, Failure> {
        let version = env!("CARGO_PKG_VERSION");
        let print = |text: String| StatementPrint {
            hash: checksum(format!("{version}\n{text}").as_bytes()),
            text,
        };
        let statements: Vec<_> = statements(files)?.into_iter().map(print).collect();
        let store = Store::open(&settings.dir)?;
        let from = store.newest()?;
        let mut planned_ns = nanos(SystemTime::now());
        match &from {
            None if settings.resume => say(&format_args!(
                "note: {} holds no checkpoint: the run begins anew",
                settings.dir.display()
            )),
            None => {}
            Some(from) => {
                for (epoch, error) in from.passed_over() {
                    say(&format_args!(
                        "note: checkpoint {epoch} is not sound: {error}"
                    ));
                }
                let data = &from.manifest().data;
                if let Some(change) = changed_statement(&data.fingerprint, &statements) {
                    let dir = settings.dir.display();
                    return Err(Failure::Checkpoint(format!(
                        "the script is not the one that {dir} has checkpoints of: {change}\n\
                         to begin anew, name another directory or remove this one"
                    )));
                }
                planned_ns = times(from)?.planned_ns;
                finish_sinks(&data.sinks)?;
            }
        }
        let next_epoch = store.next_epoch();
        let wake = keeper::Wake::default();
        let woken = wake.clone();
        let writer = Writer::start(store, move || woken.wake());
        let writer = writer.map_err(|error| {
            Failure::Checkpoint(format!("no thread can write checkpoints: {error}"))
        })?;
        Ok(Self {
            writer,
            every: settings.every,
            dir: settings.dir.clone(),
            next_epoch,
            from,
            statements,
            planned_ns,
            wake,
            counts: Counts::default(),
        })
    }

    /// The checkpoints so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The number of the next epoch, which no other has.
    pub(crate) fn next_epoch(&self) -> u64 {
        self.next_epoch
    }

    /// What NOW() is in all of its queries.
    pub(crate) fn planned(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.planned_ns.try_into().unwrap_or(0))
    }

    /// How many bytes the query in hand reads of its files.
    pub(crate) fn read_upto(&self) -> HashMap<PathBuf, u64> {
        let from = self.from.as_ref();
        from.map_or_else(HashMap::new, |from| {
            read_upto(&from.manifest().data.sources)
        })
    }

    /// How many steps of the script were done before.
    pub(crate) fn done(&self) -> usize {
        self.from
            .as_ref()
            .map_or(0, |from| from.manifest().data.step as usize)
    }

    /// The epoch that the run goes on from.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.from.as_ref().map(Checkpoint::epoch)
    }

    /// Refuses what cannot be kept, before anything runs; says what is not committed.
    pub(crate) fn check(&self, steps: &[Step], files: &[SourceFile]) -> Result<(), Failure> {
        for step in steps {
            let Step::Query(query) = step else { continue };
            let why = refusal(&query.program).or_else(|| unrepeatable(&query.program));
            if let Some(why) = why {
                return Err(Failure::Sql(format!(
                    "error[E0301]: with --state this query does not run yet: {why}\n  --> {}\n{}",
                    place(&query.sql, files),
                    query.sql
                )));
            }
        }
        match self.epoch() {
            Some(epoch) if self.done() >= steps.len() => say(&format_args!(
                "note: all of the script was done at checkpoint {epoch} of {}",
                self.dir.display()
            )),
            Some(epoch) => say(&format_args!("note: going on from checkpoint {epoch}")),
            None => {}
        }
        Ok(())
    }

    /// What the query of this step goes on from, where it does: the files that it read then, and
    /// shards' snapshots. Their chunks are of the size that they were.
    pub(crate) fn restore(
        &mut self,
        step: usize,
        program: &mut Program,
        config: &mut Config,
    ) -> Result<Option<Before>, Failure> {
        let is_of = |from: &mut Checkpoint| from.manifest().data.step as usize == step;
        let Some(from) = self.from.take_if(is_of) else {
            return Ok(None);
        };
        let data = &from.manifest().data;
        if from.manifest().pieces() == 0 {
            return Ok(None);
        }
        if data.seed != HASH_SEED {
            let why = "it is of a version that puts keys elsewhere";
            return Err(Failure::Checkpoint(format!(
                "checkpoint {}: {why}",
                from.epoch()
            )));
        }
        let sizes = read_on(program, &data.sources).map_err(Failure::Checkpoint)?;
        config.chunk_bytes = usize::try_from(data.chunk_bytes).unwrap_or(usize::MAX);
        let mut pieces = Vec::new();
        for piece in from.pieces() {
            let (shard, place, bytes) = piece?;
            let place = place_of(place).ok_or_else(|| {
                Failure::Checkpoint(format!("checkpoint {}: unknown pieces", from.epoch()))
            })?;
            pieces.push((shard as usize, Piece { place, bytes }));
        }
        let before = times(&from)?;
        if before.plan != outline(program) {
            return Err(Failure::Checkpoint(format!(
                "checkpoint {}: the query is planned in another way than it was: its state belongs \
                 to other operators",
                from.epoch()
            )));
        }
        let restore = Restore::new(data.shards as usize, before.begun_ns, pieces);
        Ok(Some(Before {
            restore: restore.with_sizes(sizes),
            rows: before.rows,
        }))
    }

    /// Who takes the checkpoints of a query; the first one commits the files of answers before it.
    pub(crate) fn keeper(
        &mut self,
        step: usize,
        query: &PlannedQuery,
        program: &Program,
        running: &trefoil_ring0::runtime::Running,
        config: &Config,
        answers: Vec<Prepared>,
    ) -> Result<Keeper<'_>, Failure> {
        let control = running.control();
        self.wake.set(move || control.wake_host());
        let times = Times {
            begun_ns: running.begun(),
            plan: outline(program),
            ..self.times()
        };
        let data = ManifestData {
            chunk_bytes: config.chunk_bytes as u64,
            sources: prints(program, running.sizes()).map_err(Failure::Open)?,
            ..self.data(step, config.shards, &times)
        };
        let sink = query.sink.as_ref().map(|sink| sink.name.clone());
        let results = keeper::Output::new(RESULTS, sink.unwrap_or_else(|| PRINTED.to_owned()));
        let late = query.late.iter();
        let late = late.map(|late| keeper::Output::new(late.output, late.sink.name.clone()));
        let letters = letters_of(query).into_iter();
        let letters = letters.map(|output| keeper::Output::new(output, "bad records".to_owned()));
        let answers = keeper::Output::of_answers(PRINTED.to_owned(), answers);
        let outputs = std::iter::once(results).chain(late).chain(letters);
        Ok(Keeper::new(
            &self.writer,
            (&mut self.next_epoch, &mut self.counts),
            self.every,
            data,
            outputs.chain([answers]).collect(),
        ))
    }

    /// Commits the files of answers behind the last query; the next run goes on with this step.
    pub(crate) fn end(
        &mut self,
        step: usize,
        shards: usize,
        answers: Vec<Prepared>,
    ) -> Result<(), Failure> {
        let answers = keeper::Output::of_answers(PRINTED.to_owned(), answers);
        let data = ManifestData {
            created_ns: nanos(SystemTime::now()),
            sinks: answers.print().into_iter().collect(),
            ..self.data(step, shards, &self.times())
        };
        let epoch = self.next_epoch;
        self.next_epoch += 1;
        keeper::commit_now(&self.writer, epoch, data)?;
        self.counts.taken += 1;
        Ok(())
    }

    fn times(&self) -> Times {
        Times {
            planned_ns: self.planned_ns,
            begun_ns: 0,
            plan: String::new(),
            rows: 0,
            aligned_us: 0,
        }
    }

    /// What a checkpoint says of a step, besides what is read and written.
    fn data(&self, step: usize, shards: usize, times: &Times) -> ManifestData {
        ManifestData {
            created_ns: 0,
            shards: u32::try_from(shards).unwrap_or(u32::MAX),
            seed: HASH_SEED,
            chunk_bytes: 0,
            step: u32::try_from(step).unwrap_or(u32::MAX),
            fingerprint: self.statements.clone(),
            sources: Vec::new(),
            sinks: Vec::new(),
            counters: serde_json::to_value(times).unwrap_or_default(),
        }
    }
}

/// Where a query stands.
fn place(sql: &str, files: &[SourceFile]) -> String {
    let found = files
        .iter()
        .find_map(|file| Some((file, file.text.find(sql)?)));
    found.map_or_else(String::new, |(file, at)| {
        let before = &file.text[..at];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[start..].chars().count() + 1;
        format!("{}:{line}:{column}", file.name)
    })
}

fn times(from: &Checkpoint) -> Result<Times, Failure> {
    let times = Times::deserialize(&from.manifest().data.counters);
    let epoch = from.epoch();
    times.map_err(|error| Failure::Checkpoint(format!("checkpoint {epoch}: {error}")))
}
