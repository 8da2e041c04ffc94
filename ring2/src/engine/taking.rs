//! Takes the checkpoints of a view while it runs, in the view's thread: what shards tell of a
//! barrier, and the rows that stand at it.
//!
//! Invariants:
//! - the rows of a checkpoint are those of its barrier, and no others: they are taken when that is
//!   met in the results, and written slice by slice behind that;
//! - one barrier is under way at a time, whoever asked for it;
//! - a checkpoint that fails is said and counted, and the view goes on.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use trefoil_ring0::runtime::Running;
use trefoil_ring0::snapshot::{self, Taken, Told};
use trefoil_ring1::checkpoint::{
    Action, Coordinator, Event, ManifestData, Outcome, Phase, Place, StoreError, Writer,
};

use super::durable::Ledgers;
use super::fold::Snapshot;
use super::keeper::Flushing;
use super::view::Shared;
use crate::checkpoints::kept_place;
use crate::error::Error;
use crate::limits::SLICE_ROWS;

/// The kind of places in part files that hold rows of a view.
pub(super) const ROWS: u16 = 16;

/// Rows that are still to be written.
#[derive(Debug)]
struct Writing {
    rows: Snapshot,
    shard: usize,
    at: usize,
}

/// Somebody who waits for a checkpoint, and the least epoch that serves.
type Waiting = (u64, Flushing);

/// The checkpoints of a view.
#[derive(Debug)]
pub(super) struct Taking {
    view: String,
    tell: fn(&str),
    writer: Writer,
    coordinator: Coordinator,
    clock: Instant,
    data: ManifestData,
    /// An epoch whose barrier is still to be asked for.
    triggered: Option<u64>,
    /// The barrier under way.
    barrier: Option<u64>,
    is_met: bool,
    /// By shard: it has told all of it.
    done: Vec<bool>,
    /// All shards have told of this epoch.
    told: Option<u64>,
    writing: Option<Writing>,
    waiting: Vec<Waiting>,
    /// The view had ended before: there is nothing to be taken.
    is_over: bool,
    counts: Counts,
    /// What the epoch in flight holds of sources that cannot be read again, and who is told.
    taken: Vec<(u32, Taken)>,
    ledgers: Ledgers,
    /// When it began, and its bytes so far.
    begun: Instant,
    bytes: u64,
}

/// The checkpoints of a view so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) taken: u64,
    pub(super) failed: u64,
    /// The longest that a shard waited at a barrier for one of its inputs.
    pub(super) aligned_ns_max: u64,
    /// Bytes of the newest, and how long it took.
    pub(super) bytes: u64,
    pub(super) took_ns: u64,
    /// Records that it holds of sources that cannot be read again.
    pub(super) rows_durable: u64,
}

fn failed(epoch: u64, error: impl std::fmt::Display) -> Error {
    Error::engine("E0615", format!("checkpoint {epoch} failed: {error}"))
}

impl Taking {
    /// Of a view that begins, or goes on, and writes there from this epoch on.
    pub(super) fn new(
        (view, tell): (String, fn(&str)),
        (writer, next_epoch): (Writer, u64),
        every: Duration,
        data: ManifestData,
    ) -> Self {
        let every = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX);
        Self {
            view,
            tell,
            writer,
            coordinator: Coordinator::new(data.shards, next_epoch, Some(every), 0),
            clock: Instant::now(),
            done: vec![false; data.shards as usize],
            data,
            triggered: None,
            barrier: None,
            is_met: false,
            told: None,
            writing: None,
            waiting: Vec::new(),
            is_over: false,
            counts: Counts::default(),
            taken: Vec::new(),
            ledgers: Ledgers::default(),
            begun: Instant::now(),
            bytes: 0,
        }
    }

    /// Of one that reads channels, and had so many records of what cannot be read again.
    pub(super) fn telling(mut self, ledgers: Ledgers, rows_durable: u64) -> Self {
        self.ledgers = ledgers;
        self.counts.rows_durable = rows_durable;
        self
    }

    /// The checkpoints so far.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Of one that had ended.
    pub(super) fn over(self) -> Self {
        Self {
            is_over: true,
            ..self
        }
    }

    fn now_ns(&self) -> i64 {
        i64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    /// Whether a barrier is under way, so that no other may be asked for.
    pub(super) fn has_barrier(&self) -> bool {
        self.barrier.is_some()
    }

    /// Whether its barrier is still to be met in the results.
    pub(super) fn awaits_rows(&self) -> bool {
        self.barrier.is_some() && !self.is_met
    }

    /// Those who want a checkpoint of what is before now.
    pub(super) fn ask(&mut self, asked: Vec<Flushing>) {
        if asked.is_empty() || self.is_over {
            // Who had ended is kept as it is.
            return;
        }
        let epoch = self.coordinator.next_epoch();
        self.waiting
            .extend(asked.into_iter().map(|who| (epoch, who)));
        self.step(Event::Requested);
    }

    /// Tells all who wait for a checkpoint that none comes.
    pub(super) fn answer(&mut self, why: fn() -> Error) {
        for (_, who) in self.waiting.drain(..) {
            // Who has gone wants no answer.
            _ = who.send(why());
        }
    }

    /// How long there is nothing to do.
    pub(super) fn wait(&self) -> Duration {
        if self.writing.is_some() && self.writer.has_room() {
            return Duration::ZERO;
        }
        if self.is_over {
            return Duration::MAX;
        }
        let wakes = self.coordinator.wakes_at_ns();
        let left = wakes.map(|at| at.saturating_sub(self.now_ns()).max(0) as u64);
        left.map_or(Duration::MAX, Duration::from_nanos)
    }

    /// Does what there is to do.
    pub(super) fn turn(&mut self, running: &mut Running, shared: &Shared) {
        if self.is_over {
            return;
        }
        while let Some(outcome) = self.writer.outcome() {
            self.note(outcome, shared);
        }
        while self.writer.has_room()
            && let Some((shard, told)) = running.next_told()
        {
            let (pieces, is_last) = match told {
                Told::Piece(piece) => (vec![piece], false),
                Told::Done {
                    pieces, aligned_ns, ..
                } => {
                    let longest = &mut self.counts.aligned_ns_max;
                    *longest = aligned_ns.max(*longest);
                    (pieces, true)
                }
            };
            for piece in pieces {
                if let snapshot::Place::Source(source) = piece.place {
                    let taken = Taken::of(&piece.bytes);
                    self.taken.extend(taken.map(|taken| (source, taken)));
                }
                self.write(shard as u32, kept_place(piece.place), piece.bytes);
            }
            if is_last {
                self.shard_done(shard);
            }
        }
        self.write_rows();
        let now_ns = self.now_ns();
        self.step(Event::Tick { now_ns });
        if self.barrier.is_some() {
            // Who has ended has nothing to tell any more.
            for shard in running.ended_shards() {
                self.shard_done(shard);
            }
        }
        self.commit(shared);
    }

    fn shard_done(&mut self, shard: usize) {
        if let Phase::Collecting(epoch) | Phase::Draining(epoch) = self.coordinator.phase()
            && self.triggered.is_none()
            && !std::mem::replace(&mut self.done[shard], true)
        {
            let shard = shard as u32;
            self.step(Event::ShardDone { shard, epoch });
        }
        self.pass_barrier();
    }

    /// A barrier that all shards and the results have passed is under way no more.
    fn pass_barrier(&mut self) {
        if self.is_met && self.done.iter().all(|done| *done) {
            self.barrier = None;
        }
    }

    /// Asks for the barrier of an epoch that was triggered, with this number, if there is one.
    pub(super) fn begin(&mut self, barrier: u64, running: &Running) -> bool {
        let Some(epoch) = self.triggered.take() else {
            return false;
        };
        self.done.fill(false);
        (self.barrier, self.is_met) = (Some(barrier), false);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let created_ns = since.map_or(0, |since| since.as_nanos());
        self.data.created_ns = i64::try_from(created_ns).unwrap_or(i64::MAX);
        self.begin_writing(epoch);
        running.ask_barrier(barrier);
        true
    }

    fn begin_writing(&mut self, epoch: u64) {
        self.taken.clear();
        (self.begun, self.bytes) = (Instant::now(), 0);
        self.writer.begin(epoch);
    }

    fn write(&mut self, shard: u32, place: Place, bytes: Vec<u8>) {
        self.bytes += bytes.len() as u64;
        self.writer.piece(shard, place, bytes);
    }

    /// A checkpoint is durable.
    fn written(&mut self, shared: &Shared) {
        let rows = self.taken.iter().map(|(_, taken)| taken.rows);
        self.counts.taken += 1;
        self.counts.bytes = self.bytes;
        self.counts.took_ns = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counts.rows_durable = rows.sum();
        let taken = |source| self.taken.iter().find(|(of, _)| *of == source);
        self.ledgers.note(|source| Some(&taken(source)?.1));
        // Who waits for it finds it counted.
        shared.count(self.counts);
    }

    /// A barrier was met in the results, behind which these rows stand; whether it was this one.
    pub(super) fn met(&mut self, barrier: u64, shared: &Shared) -> bool {
        if self.barrier != Some(barrier) {
            return false;
        }
        self.is_met = true;
        if let Phase::Collecting(_) | Phase::Committing(_) = self.coordinator.phase() {
            self.writing = Some(Writing {
                rows: shared.lock().fold.snapshot(),
                shard: 0,
                at: 0,
            });
        }
        self.pass_barrier();
        self.write_rows();
        self.commit(shared);
        true
    }

    /// Writes a slice of the rows.
    fn write_rows(&mut self) {
        let Some(mut writing) = self.writing.take_if(|_| self.writer.has_room()) else {
            return;
        };
        if self.write_slice(&mut writing) {
            self.writing = Some(writing);
        }
    }

    /// Whether there is another one.
    fn write_slice(&mut self, writing: &mut Writing) -> bool {
        let Writing { rows, shard, at } = writing;
        while *shard < rows.shards() && *at == rows.len(*shard) {
            (*shard, *at) = (*shard + 1, 0);
        }
        if *shard == rows.shards() {
            return false;
        }
        let end = rows.len(*shard).min(*at + SLICE_ROWS);
        let place = Place {
            kind: ROWS,
            number: 0,
            level: 0,
        };
        let bytes = rows.encoded(*shard, *at..end);
        self.write(*shard as u32, place, bytes);
        *at = end;
        true
    }

    fn step(&mut self, event: Event) {
        for action in self.coordinator.step(event) {
            match action {
                Action::Trigger(epoch) => self.triggered = Some(epoch),
                Action::Commit(epoch) => self.told = Some(epoch),
                Action::Abandon(_) => {
                    (self.told, self.writing) = (None, None);
                    self.writer.abandon();
                }
            }
        }
    }

    /// Commits what all shards have told of, once its rows are written.
    fn commit(&mut self, shared: &Shared) {
        let is_ready = self.is_met && self.writing.is_none();
        let Some(epoch) = self.told.take_if(|_| is_ready) else {
            return;
        };
        // Sources without an end that were told to have one may be ended in it.
        match shared.is_drained() {
            true => self.leave(),
            false => self.writer.commit(epoch, self.data.clone()),
        }
    }

    /// No further checkpoint is taken.
    fn leave(&mut self) {
        (self.told, self.writing, self.barrier) = (None, None, None);
        self.writer.abandon();
        self.is_over = true;
        for (epoch, who) in self.waiting.drain(..) {
            // Who has gone wants no answer.
            _ = who.send(failed(epoch, "the engine is shut down"));
        }
    }

    fn note(&mut self, outcome: Outcome, shared: &Shared) {
        match outcome {
            Outcome::Written(epoch, kept) => {
                self.tell_kept(epoch, kept);
                self.written(shared);
                self.waiting.retain(|(of, _)| *of > epoch);
                self.step(Event::Written { epoch });
            }
            Outcome::Failed(epoch, error)
            | Outcome::Lost(epoch, error)
            | Outcome::Unfinished(epoch, error) => {
                self.fail(epoch, &error.to_string(), shared);
                self.step(Event::WriteFailed { epoch });
            }
        }
    }

    /// Tells of files that nobody needs any more and that are still there.
    fn tell_kept(&self, epoch: u64, kept: Option<StoreError>) {
        if let Some(error) = kept {
            let view = &self.view;
            (self.tell)(&format!(
                "checkpoint {epoch} of view \"{view}\" is written, and files of older ones could \
                 not be removed, the next may remove them: {error}"
            ));
        }
    }

    fn fail(&mut self, epoch: u64, why: &str, shared: &Shared) {
        self.counts.failed += 1;
        shared.count(self.counts);
        let view = &self.view;
        (self.tell)(&format!(
            "checkpoint {epoch} of view \"{view}\" failed, the next may not: {why}"
        ));
        for (_, who) in self.waiting.extract_if(.., |(of, _)| *of <= epoch) {
            // Who has gone wants no answer.
            _ = who.send(failed(epoch, why));
        }
    }

    /// The view has ended: takes a last checkpoint, of the rows that stand for ever; none where it
    /// was told to end, as its input goes on.
    pub(super) fn finish(&mut self, shared: &Shared) {
        // It has passed all there is.
        self.barrier = None;
        if self.is_over {
            return;
        }
        while let Phase::Committing(_) = self.coordinator.phase()
            && self.told.is_none()
            && let Some(outcome) = self.writer.wait()
        {
            self.note(outcome, shared);
        }
        if shared.is_drained() {
            return self.leave();
        }
        if self.told.take().is_some() {
            // The results ended before its barrier.
            self.writer.abandon();
        }
        self.step(Event::Ended);
        (self.writing, self.triggered) = (None, None);
        let epoch = self.coordinator.next_epoch();
        self.data.counters["ended"] = true.into();
        self.begin_writing(epoch);
        let mut writing = Writing {
            rows: shared.lock().fold.snapshot(),
            shard: 0,
            at: 0,
        };
        while self.write_slice(&mut writing) {}
        self.writer.commit(epoch, self.data.clone());
        match self.writer.wait() {
            Some(Outcome::Written(epoch, kept)) => {
                self.tell_kept(epoch, kept);
                self.written(shared);
                self.waiting.clear();
            }
            Some(
                Outcome::Failed(_, error) | Outcome::Lost(_, error) | Outcome::Unfinished(_, error),
            ) => self.fail(epoch, &error.to_string(), shared),
            None => self.fail(epoch, "who writes checkpoints is gone", shared),
        }
        self.is_over = true;
    }
}
