//! The state directory of a run: the checkpoint that it goes on from, and those that it takes.

mod keeper;
mod parts;

use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use trefoil::{PlannedQuery, SourceFile, Step, statements};
use trefoil_ring0::id::OutputId;
use trefoil_ring0::program::{Program, SourceKind};
use trefoil_ring0::runtime::{Config, HASH_SEED};
use trefoil_ring0::snapshot::{Piece, Place, Restore, refusal};
use trefoil_ring1::checkpoint::{
    self, Checkpoint, FilePrint, ManifestData, SourcePrint, StatementPrint, Store, StoreError,
    Writer, changed_statement, checksum, finish_sinks,
};

pub(crate) use self::keeper::Keeper;
pub(crate) use self::parts::Parts;

use crate::args::StateSettings;
use crate::failure::Failure;
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
}

/// What decides which state belongs where: stages, what they read, and their operators; between
/// them, where rows go.
fn outline(program: &Program) -> String {
    let name = |text: String| {
        let end = text.find(|c: char| !c.is_alphanumeric());
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let mut text = String::new();
    for stage in &program.stages {
        let inputs: Vec<_> = stage.inputs().collect();
        let operators = stage.operators.iter().map(|o| name(format!("{o:?}")));
        let operators: Vec<_> = operators.collect();
        _ = writeln!(text, "{inputs:?} {operators:?} {:?}", stage.output);
    }
    for exchange in &program.exchanges {
        _ = writeln!(text, "{:?}", exchange.routing);
    }
    format!("{:016x}", checksum(text.as_bytes()))
}

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
        })
    }

    /// What NOW() is in all of its queries.
    pub(crate) fn planned(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.planned_ns.try_into().unwrap_or(0))
    }

    /// How many bytes the query in hand reads of its files.
    pub(crate) fn read_upto(&self) -> HashMap<PathBuf, u64> {
        let sources = self
            .from
            .iter()
            .flat_map(|from| &from.manifest().data.sources);
        let files = sources.flat_map(|source| &source.files);
        files
            .map(|file| (file.path.clone(), file.read_upto))
            .collect()
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
            let why = refusal(&query.program).or_else(|| {
                let letters = "files of bad records are not committed with checkpoints yet; use \
                               bad_data = 'skip' or 'fail'";
                query.dead_letters.as_ref().map(|_| letters.to_owned())
            });
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
    ) -> Result<Option<Restore>, Failure> {
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
        let sizes = files_of(program, &data.sources)?;
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
        let begun = before.begun_ns;
        Ok(Some(
            Restore::new(data.shards as usize, begun, pieces).with_sizes(sizes),
        ))
    }

    /// Who takes the checkpoints of a query.
    pub(crate) fn keeper(
        &mut self,
        step: usize,
        query: &PlannedQuery,
        program: &Program,
        running: &trefoil_ring0::runtime::Running,
        config: &Config,
    ) -> Result<Keeper<'_>, Failure> {
        let control = running.control();
        self.wake.set(move || control.wake_host());
        let times = Times {
            planned_ns: self.planned_ns,
            begun_ns: running.begun(),
            plan: outline(program),
        };
        let data = ManifestData {
            created_ns: 0,
            shards: u32::try_from(config.shards).unwrap_or(u32::MAX),
            seed: HASH_SEED,
            chunk_bytes: config.chunk_bytes as u64,
            step: u32::try_from(step).unwrap_or(u32::MAX),
            fingerprint: self.statements.clone(),
            sources: prints(program, running.sizes())?,
            sinks: Vec::new(),
            counters: serde_json::to_value(times).unwrap_or_default(),
        };
        let sink = query.sink.as_ref().map(|sink| sink.name.clone());
        let late = query.late.iter();
        let late = late.map(|late| keeper::Output::new(late.output, Some(late.sink.name.clone())));
        let results = keeper::Output::new(RESULTS, sink);
        Ok(Keeper::new(
            &self.writer,
            &mut self.next_epoch,
            self.every,
            data,
            std::iter::once(results).chain(late).collect(),
        ))
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

/// The files that a program reads, as far as it does.
fn prints(program: &Program, sizes: &HashMap<PathBuf, u64>) -> Result<Vec<SourcePrint>, Failure> {
    let sources = program.sources.iter().map(|source| {
        let paths = match &source.kind {
            SourceKind::Files { paths, .. } | SourceKind::Columnar { paths, .. } => &paths[..],
            _ => &[],
        };
        let files = paths.iter().map(|path| {
            let size = sizes.get(path).copied().unwrap_or_default();
            FilePrint::of(path, size).map_err(|error| {
                Failure::Open(format!(
                    "source {}: {}: {error}",
                    source.name,
                    path.display()
                ))
            })
        });
        Ok(SourcePrint {
            name: source.name.clone(),
            connector: match source.kind {
                SourceKind::Generator(_) => "generator".to_owned(),
                _ => "file".to_owned(),
            },
            files: files.collect::<Result<_, Failure>>()?,
        })
    });
    sources.collect()
}

/// Has a program read the files that were read before, each of which has to be what it was. Gives
/// how far they are read: as far as then.
fn files_of(
    program: &mut Program,
    before: &[SourcePrint],
) -> Result<HashMap<PathBuf, u64>, Failure> {
    let mut sizes = HashMap::new();
    for (source, print) in program.sources.iter_mut().zip(before) {
        let (SourceKind::Files { paths, .. } | SourceKind::Columnar { paths, .. }) =
            &mut source.kind
        else {
            continue;
        };
        for file in &print.files {
            let changed = |why| Failure::Checkpoint(format!("source {}: {why}", source.name));
            file.check(&file.path).map_err(changed)?;
            sizes.insert(file.path.clone(), file.read_upto);
        }
        *paths = print.files.iter().map(|file| file.path.clone()).collect();
    }
    Ok(sizes)
}

/// Kinds of places in part files.
const SOURCE: u16 = 1;
const EXCHANGE: u16 = 2;
const STAGE: u16 = 3;
const OPERATOR: u16 = 4;

fn place_of(place: checkpoint::Place) -> Option<Place> {
    Some(match place.kind {
        SOURCE => Place::Source(place.number),
        EXCHANGE => Place::Exchange(place.number),
        STAGE => Place::Stage(place.number),
        OPERATOR => Place::Operator(place.number, place.level),
        _ => return None,
    })
}

fn kept_place(place: Place) -> checkpoint::Place {
    let (kind, number, level) = match place {
        Place::Source(number) => (SOURCE, number, 0),
        Place::Exchange(number) => (EXCHANGE, number, 0),
        Place::Stage(number) => (STAGE, number, 0),
        Place::Operator(stage, operator) => (OPERATOR, stage, operator),
    };
    checkpoint::Place {
        kind,
        number,
        level,
    }
}
