//! Checkpoints of a program that a benchmark runs, as `trefoil run` writes them, without what says
//! how to go on with a script.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use trefoil::checkpoints::kept_place;
use trefoil_ring0::runtime::{HASH_SEED, Running};
use trefoil_ring0::snapshot::Told;
use trefoil_ring1::checkpoint::{Folder, ManifestData, Outcome, Store, Writer};

use crate::bench::report::{Run, Unit};
use crate::failure::Failure;

/// A state directory that goes with its benchmark.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new() -> Result<Self, Failure> {
        let name = format!("trefoil-bench-checkpoint-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(|error| Failure::write(&path, &error))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the files of the newest checkpoint, and gives their bytes.
    pub(super) fn read(&self) -> Result<u64, Failure> {
        let folder = Folder::new(&self.0);
        let mut bytes = 0;
        for epoch in folder.epochs()?.into_iter().take(1) {
            for part in folder.manifest(epoch)?.parts {
                let path = self.0.join("state").join(part.name);
                let read = std::fs::read(&path);
                let read =
                    read.map_err(|e| Failure::Running(format!("{}: {e}", path.display())))?;
                bytes += read.len() as u64;
            }
        }
        Ok(bytes)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Checkpoints, one at a time.
pub(super) struct Taking {
    writer: Writer,
    dir: PathBuf,
    shards: usize,
    next_epoch: u64,
    /// The one under way, and when it began.
    epoch: Option<(u64, Instant)>,
    /// Shards that have told of it.
    done: usize,
    is_met: bool,
    is_committing: bool,
    /// The last that is durable.
    last: Option<u64>,
    taken: Vec<Duration>,
    aligned_ns: u64,
}

impl Taking {
    pub(super) fn new(directory: &Directory, running: &Running) -> Result<Self, Failure> {
        let store = Store::open(directory.path())?;
        let next_epoch = store.next_epoch();
        let control = running.control();
        let writer = Writer::start(store, move || control.wake_host());
        let writer = writer.map_err(|e| Failure::Running(format!("a thread: {e}")))?;
        Ok(Self {
            writer,
            dir: directory.path().to_owned(),
            shards: running.shards(),
            next_epoch,
            epoch: None,
            done: 0,
            is_met: false,
            is_committing: false,
            last: None,
            taken: Vec::new(),
            aligned_ns: 0,
        })
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.epoch.is_some()
    }

    /// Begins one; none is under way.
    pub(super) fn begin(&mut self, running: &Running) {
        let epoch = self.next_epoch;
        self.next_epoch += 1;
        self.epoch = Some((epoch, Instant::now()));
        (self.done, self.is_met, self.is_committing) = (0, false, false);
        self.writer.begin(epoch);
        running.ask_barrier(epoch);
    }

    /// The barrier of an epoch was met in the results.
    pub(super) fn met(&mut self, epoch: u64) {
        self.is_met |= self.epoch.is_some_and(|(of, _)| of == epoch);
    }

    /// Writes what shards tell.
    pub(super) fn turn(&mut self, running: &mut Running) -> Result<(), Failure> {
        let Some((epoch, begun)) = self.epoch else {
            return Ok(());
        };
        while self.writer.has_room()
            && let Some((shard, told)) = running.next_told()
        {
            let shard = u32::try_from(shard).unwrap_or(u32::MAX);
            let pieces = match told {
                Told::Piece(piece) => vec![piece],
                Told::Done {
                    pieces, aligned_ns, ..
                } => {
                    self.done += 1;
                    self.aligned_ns = self.aligned_ns.max(aligned_ns);
                    pieces
                }
            };
            for piece in pieces {
                let place = kept_place(piece.place);
                self.writer.piece(shard, place, piece.bytes);
            }
        }
        if self.done == self.shards && self.is_met && !self.is_committing {
            self.is_committing = true;
            self.writer.commit(epoch, self.data());
        }
        match self.writer.outcome() {
            None => Ok(()),
            Some(Outcome::Written(..)) => {
                self.taken.push(begun.elapsed());
                self.last = Some(epoch);
                self.epoch = None;
                Ok(())
            }
            Some(
                Outcome::Failed(_, error) | Outcome::Lost(_, error) | Outcome::Unfinished(_, error),
            ) => Err(error.into()),
        }
    }

    fn data(&self) -> ManifestData {
        ManifestData {
            created_ns: 0,
            shards: u32::try_from(self.shards).unwrap_or(u32::MAX),
            seed: HASH_SEED,
            chunk_bytes: 0,
            step: 0,
            fingerprint: Vec::new(),
            sources: Vec::new(),
            sinks: Vec::new(),
            counters: serde_json::Value::Null,
        }
    }

    /// How large checkpoints are, and how long they take from the barrier until they are durable.
    pub(super) fn report(mut self, run: &mut Run) {
        self.taken.sort_unstable();
        let middle = self.taken.get(self.taken.len() / 2);
        let Some((middle, last)) = middle.zip(self.last) else {
            run.invalid("no checkpoint was taken".to_owned());
            return;
        };
        let manifest = Folder::new(&self.dir).manifest(last);
        let bytes = manifest.map_or(0, |manifest| manifest.bytes());
        run.add("state", Unit::Bytes, bytes as f64);
        run.add("taken", Unit::Nanoseconds, middle.as_nanos() as f64);
        run.add("aligned_max", Unit::Nanoseconds, self.aligned_ns as f64);
    }
}
