//! Rows that producers of this process append. Each appender is a split with a lane of its own; one
//! shard takes the lanes in turn. Lanes come while the program runs, through the door, and go with
//! their appenders. A lane that never had a row does not hold the watermark.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use rtrb::{Consumer, Producer, RingBuffer};

use super::bad::BadRecords;
use super::clock::Clock;
use super::joint::Joint;
use super::open::file_schema;
use super::producers::{Left, Onward, Producers};
use super::system::{System, seal};
use crate::align::SplitFacts;
use crate::error::Result;
use crate::frame::Frame;
use crate::kernel::RowError;
use crate::limits::LANES_MAX;
use crate::mesh::LaneReceiver;
use crate::message::{Mark, Message};
use crate::metrics::SourceCounters;
use crate::program::SourceSpec;
use crate::snapshot::LivePosition;
use crate::source::{Polled, Reader};
use crate::wake::RungAtEnd;

/// The shard's end of an appender's lane.
#[derive(Debug)]
pub(crate) struct Inlet {
    pub(crate) lane: LaneReceiver,
    /// Rows that were taken from it, for the appender to know which were not.
    pub(crate) taken: Arc<AtomicU64>,
    /// Whose rows these are, where they are numbered.
    pub(crate) onward: Option<Onward>,
    /// Dropped last: an appender that waits for room sees that nobody takes more.
    #[expect(dead_code, reason = "what it does it does when it is dropped")]
    pub(crate) appender: RungAtEnd,
}

/// Where new lanes come from.
#[derive(Debug)]
pub(crate) struct Door {
    lanes: Consumer<Inlet>,
    gone: Arc<AtomicBool>,
}

/// The host's end of a door.
#[derive(Debug)]
pub(crate) struct Doorway {
    pub(crate) lanes: Producer<Inlet>,
    /// Nobody takes lanes any more. What is pushed before a look at this, with a fence in between,
    /// is either taken or seen to be gone.
    pub(crate) gone: Arc<AtomicBool>,
}

impl Door {
    pub(crate) fn new() -> (Doorway, Self) {
        let (lanes, taken) = RingBuffer::new(LANES_MAX);
        let gone: Arc<AtomicBool> = Arc::default();
        let doorway = Doorway {
            lanes,
            gone: Arc::clone(&gone),
        };
        (doorway, Self { lanes: taken, gone })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        while self.lanes.pop().is_ok() {}
    }
}

#[derive(Debug)]
struct Split {
    /// Which of those that came so far.
    number: usize,
    inlet: Inlet,
    /// Whose lane it is, where the producer has a name.
    producer: Option<usize>,
    clock: Option<Clock>,
    rows: u64,
    /// When something came from it last.
    moved_ns: i64,
    /// Messages to be taken before a barrier that was asked for.
    due: usize,
}

impl Split {
    fn facts(&self) -> SplitFacts {
        SplitFacts {
            watermark_ns: self.clock.as_ref().and_then(Clock::reached),
            moved_ns: self.moved_ns,
            waits: !self.inlet.lane.is_empty(),
        }
    }

    /// Whether nothing is in its lane, and nothing comes any more.
    fn is_over(&self) -> bool {
        // Asked first: what was sent before the end is seen then.
        self.inlet.lane.is_abandoned() && self.inlet.lane.is_empty()
    }

    /// How its producer left it.
    fn left(&self) -> Left {
        let onward = self.inlet.onward.as_ref();
        // What ended by a mark said so before; what is gone did, if it did at all.
        match onward.is_some_and(|onward| onward.has_ended.load(Ordering::Acquire)) {
            true => Left::Ended,
            false if self.rows == 0 => Left::Unused,
            false => Left::Away,
        }
    }
}

/// What is known of all splits, those first that have a lane.
fn facts<'a>(
    splits: &'a [Split],
    producers: &'a Producers,
) -> impl Iterator<Item = SplitFacts> + 'a {
    splits.iter().map(Split::facts).chain(producers.away())
}

/// Rows of appenders.
#[derive(Debug)]
pub(crate) struct ChannelSource {
    spec: SourceSpec,
    reader: Reader,
    /// Gone once nothing more is taken.
    door: Option<Door>,
    splits: Vec<Split>,
    producers: Producers,
    /// Splits so far.
    arrived: usize,
    joint: Joint,
    /// When they were judged.
    now_ns: i64,
    /// The one to look at first.
    next: usize,
    raw: Frame,
    pub(super) out: Frame,
    system: System,
    pub(super) bad: BadRecords,
    /// Rows before the frame in hand.
    first: u64,
    ending: Ending,
    pub(super) counters: SourceCounters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Open,
    /// What is in the lanes is still taken.
    Draining,
    Stopped,
}

/// Which of what is in the lanes is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    All,
    /// What lies before a barrier that was asked for.
    Due,
}

impl ChannelSource {
    pub(super) fn new(spec: &SourceSpec, door: Door, reader: Reader) -> Self {
        let schema = file_schema(spec);
        Self {
            spec: spec.clone(),
            reader,
            door: Some(door),
            splits: Vec::new(),
            producers: Producers::default(),
            arrived: 0,
            joint: Joint::new(spec),
            now_ns: reader.begun,
            next: 0,
            system: System::new(spec, schema.fields.len(), reader.now),
            raw: Frame::new(&schema, reader.frame_rows),
            out: Frame::new(&spec.schema, reader.frame_rows),
            bad: BadRecords::new(spec, reader.frame_rows),
            first: 0,
            ending: Ending::Open,
            counters: SourceCounters::default(),
        }
    }

    /// Where it is, behind the last frame.
    pub(super) fn at_barrier(&mut self) -> LivePosition {
        // Who has come by now is in the snapshot.
        self.admit();
        let splits = &self.splits;
        let clock = |number| splits.iter().find(|s| s.number == number)?.clock.as_ref();
        LivePosition {
            rows: self.first + self.out.rows() as u64,
            watermark: self.joint.reached(),
            producers: self.producers.positions(|split| clock(split)?.reached()),
        }
    }

    /// Goes on from where it was, before it is polled.
    pub(super) fn go_on(&mut self, at: LivePosition) {
        self.now_ns = (self.reader.now)();
        self.first = at.rows;
        self.joint.go_on(at.watermark);
        let clock = || Clock::new(&self.spec, self.reader, 1);
        self.producers.go_on(at.producers, clock, self.now_ns);
    }

    /// Takes the next frame of the splits in turn.
    pub(super) fn poll(&mut self) -> Polled {
        self.poll_of(Taken::All)
    }

    /// Takes the next frame of those that are to be taken before a barrier.
    pub(super) fn poll_due(&mut self) -> Polled {
        self.poll_of(Taken::Due)
    }

    fn poll_of(&mut self, taken: Taken) -> Polled {
        if self.ending == Ending::Stopped {
            self.close();
            return Polled::Stopped;
        }
        self.admit();
        if self.joint.needs_time() {
            self.now_ns = (self.reader.now)();
        }
        self.judge();
        self.first += self.out.rows() as u64;
        self.out.clear();
        let mut moved = false;
        let mut looked = 0;
        while looked < self.splits.len() {
            let at = self.next % self.splits.len();
            let waits = taken == Taken::Due || self.joint.is_ahead(at);
            // At the end all that is there is taken, and before a barrier what is due. A lane that
            // is over is left whenever it is seen: the next one of its producer waits for that.
            let split = &self.splits[at];
            if waits && self.ending == Ending::Open && split.due == 0 && !split.is_over() {
                self.next = at + 1;
                looked += 1;
                continue;
            }
            let split = &mut self.splits[at];
            // What the producer appended before goes first.
            let is_read = |producer| self.producers.is_read(producer, split.number);
            if !split.producer.is_none_or(is_read) {
                self.next = at + 1;
                looked += 1;
                continue;
            }
            // Asked first: what was sent before the end is seen then.
            let gone = split.inlet.lane.is_abandoned();
            let message = split.inlet.lane.pop();
            if message.is_some() {
                split.due = split.due.saturating_sub(1);
            }
            match message {
                Some(Message::Frame(frame)) => {
                    self.next = at + 1;
                    self.take(at, frame);
                    return Polled::Frame;
                }
                Some(Message::Mark(Mark::Watermark(time))) => {
                    split.moved_ns = self.now_ns;
                    if let Some(clock) = &mut split.clock {
                        clock.raise(time);
                    }
                    moved = true;
                }
                Some(Message::Mark(_)) => {
                    self.leave(at);
                    moved = true;
                }
                None if gone => {
                    self.leave(at);
                    moved = true;
                }
                None => {
                    self.next = at + 1;
                    looked += 1;
                }
            }
        }
        if self.combine() || moved {
            return Polled::Marked;
        }
        match self.ending {
            Ending::Draining => {
                self.close();
                Polled::End
            }
            Ending::Open | Ending::Stopped => Polled::Pending,
        }
    }

    /// What was pushed by now is to be taken before a barrier.
    pub(super) fn take_pushed(&mut self) {
        self.admit();
        for split in &mut self.splits {
            split.due = split.inlet.lane.len();
        }
    }

    /// Whether it has been.
    pub(super) fn has_taken_pushed(&self) -> bool {
        self.splits.iter().all(|split| split.due == 0)
    }

    /// Takes lanes that are new.
    fn admit(&mut self) {
        let Some(door) = &mut self.door else { return };
        while let Ok(inlet) = door.lanes.pop() {
            let number = self.arrived;
            self.arrived += 1;
            let turn = inlet.onward.as_ref();
            let turn = turn.map(|of| self.producers.enter(of, number, self.now_ns));
            let (producer, clock) = match turn {
                Some(turn) => (Some(turn.producer), turn.clock),
                None => (None, None),
            };
            self.splits.push(Split {
                number,
                inlet,
                producer,
                clock: clock.or_else(|| Clock::new(&self.spec, self.reader, 1)),
                rows: 0,
                moved_ns: self.now_ns,
                due: 0,
            });
        }
    }

    /// Takes away a split that has ended.
    fn leave(&mut self, at: usize) {
        let split = self.splits.remove(at);
        let left = split.left();
        if let Some(producer) = split.producer
            && self
                .producers
                .leave((producer, split.number), split.clock, left, self.now_ns)
            && let Some(next) = (self.splits.iter_mut()).find(|s| s.producer == Some(producer))
            && let Some(onward) = &next.inlet.onward
        {
            let clock = self.producers.begin(producer, onward, next.number);
            next.clock = clock.or(next.clock.take());
        }
        self.judge();
    }

    /// Has it decided how the splits stand now.
    fn judge(&mut self) {
        let facts = facts(&self.splits, &self.producers);
        self.joint.judge(self.now_ns, facts);
    }

    /// Nothing more is taken: appenders see that their lanes are gone.
    fn close(&mut self) {
        self.splits.clear();
        self.door = None;
    }

    fn take(&mut self, at: usize, mut frame: Box<Frame>) {
        let split = &mut self.splits[at];
        split.moved_ns = self.now_ns;
        let rows = frame.rows();
        for (raw, sent) in self.raw.columns.iter_mut().zip(&mut frame.columns) {
            std::mem::swap(raw, sent);
        }
        self.raw.commit_rows(rows);
        frame.clear();
        split.inlet.lane.give_back(frame);
        for row in 0..rows {
            if let Some(clock) = &mut split.clock {
                let ticked = clock.tick(&self.raw, row);
                assert!(
                    ticked.is_ok(),
                    "an appender refuses rows without event time"
                );
            }
            self.system.note(self.first + row as u64);
        }
        let (system, clock) = (&mut self.system, &mut split.clock);
        seal(&mut self.raw, &mut self.out, system, clock);
        if let (Some(producer), Some(onward)) = (split.producer, &split.inlet.onward) {
            let (before, rows) = (split.rows, rows as u64);
            self.producers.take(producer, onward, before, rows);
        }
        split.rows += rows as u64;
        split.inlet.taken.store(split.rows, Ordering::Release);
        self.joint.raise_bounds(&mut self.out);
        self.counters.rows_read += rows as u64;
        self.counters.rows_passed += rows as u64;
        self.combine();
    }

    /// Whether the watermark of all rose.
    fn combine(&mut self) -> bool {
        self.admit();
        let facts = facts(&self.splits, &self.producers);
        self.joint.combine(self.now_ns, facts)
    }

    /// The watermark behind the last frame, if it moved.
    pub(super) fn watermark(&mut self) -> Option<i64> {
        self.joint.advance()
    }

    /// The split that holds the watermark back.
    pub(super) fn holder(&self) -> Option<usize> {
        let split = self.joint.holder().and_then(|at| self.splits.get(at));
        split.map(|split| split.number)
    }

    /// Whether something is there that was not taken.
    pub(super) fn waits(&self) -> bool {
        self.splits.iter().any(|split| !split.inlet.lane.is_empty())
    }

    /// Of each row of the last frame its own split's watermark, where rows carry another one.
    pub(super) fn own_bounds(&self) -> &[i64] {
        self.joint.own_bounds()
    }

    /// The greatest watermark that was reached.
    pub(super) fn reached(&self) -> Option<i64> {
        self.joint.reached()
    }

    /// What becomes of rows of the last frame on which an expression failed.
    pub(super) fn take_failed(&mut self, failed: &mut Vec<RowError>) -> Result<()> {
        self.bad.take_rows(self.first as usize, failed)
    }

    /// Takes nothing more, not even what is in the lanes.
    pub(super) fn stop(&mut self) {
        if self.door.is_some() {
            self.ending = Ending::Stopped;
        }
    }

    /// Takes what is in the lanes; then the input has ended.
    pub(super) fn drain(&mut self) {
        if self.ending == Ending::Open {
            self.ending = Ending::Draining;
        }
    }

    /// Wakes appenders that wait for room.
    pub(super) fn end_turn(&mut self) {
        let lanes = self.splits.iter_mut();
        lanes.for_each(|split| split.inlet.lane.end_turn());
    }
}
