//! Takes the checkpoints of one query while it runs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use trefoil::checkpoints::kept_place;
use trefoil_ring0::id::OutputId;
use trefoil_ring0::runtime::Running;
use trefoil_ring0::snapshot::{Piece, Told};
use trefoil_ring1::checkpoint::{
    Action, Coordinator, Event, ManifestData, Outcome, Phase, Prepared, SinkPrint, StoreError,
    Writer,
};

use super::{Counts, nanos};
use crate::failure::Failure;
use crate::say::say;

/// Longest wait for something to do.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// What ends the wait of a query.
type Waking = Box<dyn Fn() + Send>;

/// Ends the wait of whichever query runs.
#[derive(Clone, Default)]
pub(super) struct Wake(Arc<Mutex<Option<Waking>>>);

impl Wake {
    pub(super) fn set(&self, wake: impl Fn() + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(wake));
    }

    pub(super) fn wake(&self) {
        if let Some(wake) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            wake();
        }
    }
}

/// An output, which may go into files.
pub(super) struct Output {
    number: OutputId,
    /// What manifests call these.
    sink: String,
    /// Files of the sink that no checkpoint has committed.
    prepared: Vec<Prepared>,
    /// The last barrier that was met in it.
    behind: u64,
}

impl Output {
    pub(super) fn new(number: OutputId, sink: String) -> Self {
        Self {
            number,
            sink,
            prepared: Vec::new(),
            behind: 0,
        }
    }

    /// Files that are whole before anything is read: no barrier is met in them.
    pub(super) fn of_answers(sink: String, prepared: Vec<Prepared>) -> Self {
        Self {
            number: OutputId(u32::MAX),
            sink,
            prepared,
            behind: u64::MAX,
        }
    }

    pub(super) fn print(&self) -> Option<SinkPrint> {
        let first = self.prepared.first()?;
        Some(SinkPrint {
            name: self.sink.clone(),
            path: first.name.parent().map(Into::into).unwrap_or_default(),
            prepared: self.prepared.clone(),
        })
    }
}

/// Takes the checkpoints of one query.
pub(crate) struct Keeper<'a> {
    writer: &'a Writer,
    next_epoch: &'a mut u64,
    counts: &'a mut Counts,
    coordinator: Coordinator,
    clock: Instant,
    data: ManifestData,
    /// The results first.
    outputs: Vec<Output>,
    /// By shard, the last epoch of which it has told all.
    done: Vec<u64>,
    /// All shards have told of this epoch.
    told: Option<u64>,
    /// The longest that one of them waited for its inputs.
    aligned_us: u64,
    /// Rows of the results before the last barrier that was met in them.
    rows: u64,
    /// Somebody wants to know when one from this epoch on is durable.
    asked: Option<u64>,
    /// The last one before the run is stopped, and whether it is durable.
    last: Option<(u64, bool)>,
}

impl fmt::Debug for Keeper<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of step {}", self.coordinator, self.data.step)
    }
}

impl<'a> Keeper<'a> {
    pub(super) fn new(
        writer: &'a Writer,
        (next_epoch, counts): (&'a mut u64, &'a mut Counts),
        every: Duration,
        data: ManifestData,
        outputs: Vec<Output>,
    ) -> Self {
        let every = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX);
        Self {
            coordinator: Coordinator::new(data.shards, *next_epoch, Some(every), 0),
            clock: Instant::now(),
            writer,
            next_epoch,
            counts,
            done: vec![0; data.shards as usize],
            data,
            outputs,
            told: None,
            aligned_us: 0,
            rows: 0,
            asked: None,
            last: None,
        }
    }

    fn now_ns(&self) -> i64 {
        i64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    /// How long there is nothing to do.
    pub(crate) fn wait(&self) -> Duration {
        let wakes = self.coordinator.wakes_at_ns();
        let left = wakes.map(|at| at.saturating_sub(self.now_ns()).max(0) as u64);
        left.map_or(WAIT_MAX, Duration::from_nanos).min(WAIT_MAX)
    }

    /// Does what there is to do.
    pub(crate) fn turn(&mut self, running: &mut Running) -> Result<(), Failure> {
        while let Some(outcome) = self.writer.outcome() {
            self.note(outcome, running)?;
        }
        while self.writer.has_room()
            && let Some((shard, told)) = running.next_told()
        {
            let shard = u32::try_from(shard).unwrap_or(u32::MAX);
            match told {
                Told::Piece(piece) => self.keep(shard, piece),
                Told::Done {
                    epoch,
                    pieces,
                    aligned_ns,
                } => {
                    let pieces = pieces.into_iter();
                    pieces.for_each(|piece| self.keep(shard, piece));
                    self.aligned_us = self.aligned_us.max(aligned_ns / 1000);
                    self.done(shard, epoch, running);
                }
            }
        }
        let now_ns = self.now_ns();
        self.step(Event::Tick { now_ns }, running);
        if let Phase::Collecting(epoch) | Phase::Draining(epoch) = self.coordinator.phase() {
            // Who has ended has nothing to tell any more.
            for shard in running.ended_shards() {
                self.done(u32::try_from(shard).unwrap_or(u32::MAX), epoch, running);
            }
        }
        self.commit();
        Ok(())
    }

    fn done(&mut self, shard: u32, epoch: u64, running: &Running) {
        let done = &mut self.done[shard as usize];
        if std::mem::replace(done, epoch) < epoch {
            self.step(Event::ShardDone { shard, epoch }, running);
        }
    }

    fn keep(&self, shard: u32, piece: Piece) {
        self.writer
            .piece(shard, kept_place(piece.place), piece.bytes);
    }

    fn step(&mut self, event: Event, running: &Running) {
        for action in self.coordinator.step(event) {
            match action {
                Action::Trigger(epoch) => {
                    self.data.created_ns = nanos(SystemTime::now());
                    self.aligned_us = 0;
                    self.writer.begin(epoch);
                    running.ask_barrier(epoch);
                }
                Action::Commit(epoch) => self.told = Some(epoch),
                Action::Abandon(_) => self.writer.abandon(),
            }
        }
        *self.next_epoch = self.coordinator.next_epoch();
    }

    /// Commits what all shards have told of, once its rows are in the sink's files.
    fn commit(&mut self) {
        let behind = self.outputs.iter().map(|output| output.behind);
        let behind = behind.min().unwrap_or_default();
        if let Some(epoch) = self.told.take_if(|epoch| *epoch <= behind) {
            self.writer.commit(epoch, self.manifest());
        }
    }

    fn manifest(&self) -> ManifestData {
        let mut data = ManifestData {
            sinks: self.outputs.iter().filter_map(Output::print).collect(),
            ..self.data.clone()
        };
        data.counters["rows"] = self.rows.into();
        data.counters["aligned_us"] = self.aligned_us.into();
        data
    }

    fn note(&mut self, outcome: Outcome, running: &Running) -> Result<(), Failure> {
        match outcome {
            Outcome::Written(epoch, kept) => {
                say_kept(epoch, kept);
                self.written(epoch);
                if self.is_stopped() {
                    // Rows behind the last one are not taken: no other may hold what is behind.
                    self.step(Event::Ended, running);
                }
                self.step(Event::Written { epoch }, running);
                Ok(())
            }
            Outcome::Failed(epoch, error) if self.last.is_some_and(|(last, _)| last == epoch) => {
                Err(Failure::Checkpoint(format!(
                    "checkpoint {epoch} failed: {error}"
                )))
            }
            Outcome::Failed(epoch, error) => {
                self.counts.failed += 1;
                say(&format_args!(
                    "note: checkpoint {epoch} failed, the next may not: {error}"
                ));
                self.step(Event::WriteFailed { epoch }, running);
                Ok(())
            }
            Outcome::Lost(..) | Outcome::Unfinished(..) => Err(ended_by(outcome)),
        }
    }

    fn written(&mut self, epoch: u64) {
        self.counts.taken += 1;
        self.counts.aligned_us_max = self.counts.aligned_us_max.max(self.aligned_us);
        if self.asked.take_if(|asked| *asked <= epoch).is_some() {
            say(&format_args!("note: checkpoint {epoch} was taken"));
        }
        // Files of later epochs are not in it.
        for output in &mut self.outputs {
            output.prepared.retain(|prepared| !prepared.name.exists());
        }
        if let Some((last, written)) = &mut self.last {
            *written |= *last <= epoch;
        }
    }

    /// The barrier of an epoch was met in an output; these files hold what is before it.
    pub(crate) fn met(&mut self, output: OutputId, epoch: u64, prepared: Vec<Prepared>) {
        if let Some(output) = self.outputs.iter_mut().find(|o| o.number == output) {
            output.behind = epoch;
            output.prepared.extend(prepared);
        }
        self.commit();
    }

    /// So many rows of the results are before the barrier that was met in them last.
    pub(crate) fn met_behind(&mut self, rows: u64) {
        self.rows = rows;
    }

    /// Takes a checkpoint of what is before now, and says when it is durable: the next one, or the
    /// one behind that where it is under way.
    pub(crate) fn ask(&mut self, running: &Running) {
        self.asked = Some(self.coordinator.next_epoch());
        self.step(Event::Requested, running);
    }

    /// The last barrier that was met in the results.
    pub(crate) fn last_met(&self) -> Option<u64> {
        let behind = self.outputs.first().map(|output| output.behind);
        behind.filter(|epoch| *epoch > 0)
    }

    /// Whether the barrier of an epoch was not met in an output.
    pub(crate) fn waits_for(&self, output: OutputId, epoch: u64) -> bool {
        let mut outputs = self.outputs.iter();
        outputs.any(|o| o.number == output && o.behind < epoch)
    }

    /// Takes one more checkpoint, behind which the run is stopped.
    pub(crate) fn stop(&mut self, running: &Running) {
        if self.last.is_none() {
            let before = self.coordinator.next_epoch();
            self.last = Some((before, false));
            self.step(Event::Requested, running);
        }
    }

    /// Takes no further checkpoint but that of the end: sources that are stopped look as if they
    /// had ended.
    pub(crate) fn leave(&mut self, running: &Running) {
        self.step(Event::Ended, running);
    }

    /// Whether rows of an output are still of a checkpoint that will be taken.
    pub(crate) fn takes_rows(&self, output: OutputId) -> bool {
        self.last
            .is_none_or(|(last, _)| self.waits_for(output, last))
    }

    /// Whether the last checkpoint was taken.
    pub(crate) fn is_stopped(&self) -> bool {
        self.last.is_some_and(|(_, written)| written)
    }

    /// Waits, at the query's end, for the last checkpoint before a stop that is met in the results:
    /// what comes behind it was not taken, so that the query is not over.
    pub(crate) fn end_stopped(&mut self, running: &mut Running) -> Result<(), Failure> {
        while !self.is_stopped() {
            self.turn(running)?;
            if let Phase::Committing(_) = self.coordinator.phase()
                && self.told.is_none()
                && let Some(outcome) = self.writer.wait()
            {
                self.note(outcome, running)?;
            }
        }
        Ok(())
    }

    /// The epoch of the checkpoint at the query's end.
    pub(crate) fn end(&mut self, running: &Running) -> Result<u64, Failure> {
        let is_behind = |last| move |o: &Output| o.behind >= last && o.behind < u64::MAX;
        if let Some((last, _)) = self.last
            && self.outputs.iter().any(is_behind(last))
        {
            // What an output gave behind it was left to the next run.
            return Err(Failure::Checkpoint(format!(
                "the results ended before checkpoint {last}, and others did not; run again to go \
                 on from the one before"
            )));
        }
        // Its files get their names by it.
        while let Phase::Committing(_) = self.coordinator.phase()
            && self.told.is_none()
            && let Some(outcome) = self.writer.wait()
        {
            self.note(outcome, running)?;
        }
        if self.told.take().is_some() {
            // The results ended before its barrier.
            self.writer.abandon();
        }
        self.step(Event::Ended, running);
        Ok(self.coordinator.next_epoch())
    }

    /// Commits all that the query gave, as was told of each output; the next run goes on with the
    /// next step.
    pub(crate) fn finish(mut self, epoch: u64) -> Result<(), Failure> {
        self.data.step += 1;
        self.data.created_ns = nanos(SystemTime::now());
        self.data.sources.clear();
        *self.next_epoch = epoch + 1;
        commit_now(self.writer, epoch, self.manifest())?;
        self.written(epoch);
        Ok(())
    }
}

/// Writes a checkpoint without state, and waits for it.
pub(super) fn commit_now(writer: &Writer, epoch: u64, data: ManifestData) -> Result<(), Failure> {
    writer.begin(epoch);
    writer.commit(epoch, data);
    while let Some(outcome) = writer.wait() {
        match outcome {
            Outcome::Written(of, kept) if of == epoch => {
                say_kept(epoch, kept);
                return Ok(());
            }
            Outcome::Failed(of, error) if of == epoch => {
                let why = format!("the last checkpoint, {epoch}, failed: {error}");
                return Err(Failure::Checkpoint(why));
            }
            Outcome::Written(..) | Outcome::Failed(..) => {}
            Outcome::Lost(..) | Outcome::Unfinished(..) => return Err(ended_by(outcome)),
        }
    }
    Err(Failure::Checkpoint(
        "who writes checkpoints is gone".to_owned(),
    ))
}

/// Says which files nobody needs any more and are still there.
fn say_kept(epoch: u64, kept: Option<StoreError>) {
    if let Some(error) = kept {
        say(&format_args!(
            "note: checkpoint {epoch} is written, and files of older ones could not be removed, \
             the next may remove them: {error}"
        ));
    }
}

/// What ends a run whose rows are not where they should be.
fn ended_by(outcome: Outcome) -> Failure {
    Failure::Checkpoint(match outcome {
        Outcome::Written(epoch, _) => format!("checkpoint {epoch} is written"),
        Outcome::Failed(epoch, error) => format!("checkpoint {epoch} failed: {error}"),
        Outcome::Lost(epoch, error) => format!(
            "checkpoint {epoch} failed: it is not known whether files of a sink are whole: \
             {error}; run again to go on from the one before"
        ),
        Outcome::Unfinished(epoch, error) => format!(
            "checkpoint {epoch} is written, and files of a sink did not get their names: {error}; \
             run again to go on from it"
        ),
    })
}
