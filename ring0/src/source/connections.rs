//! Streams of records that come and go while the program runs, as the connections of a socket. Each
//! is a split with a ring, a parser and a clock of its own, and one shard takes them in turn: one
//! that is slow, silent or cut off is one that gives nothing.

use std::sync::Arc;

use super::clock::Clock;
use super::joint::Joint;
use super::producers::{Left, Onward, Producers};
use super::stream::StreamSource;
use crate::align::SplitFacts;
use crate::error::{Error, Result};
use crate::feed::{Arrived, Arriving, Greeting};
use crate::frame::Frame;
use crate::kernel::RowError;
use crate::metrics::SourceCounters;
use crate::program::{BadData, FileFormat, SourceSpec};
use crate::snapshot::LivePosition;
use crate::source::{Polled, Reader};

/// A connection.
#[derive(Debug)]
struct Split {
    /// Which of those that came so far.
    number: usize,
    stream: StreamSource,
    /// Whose records these are, where they are numbered, and how many came before.
    producer: Option<(usize, u64)>,
    /// When something came from it last.
    moved_ns: i64,
}

impl Split {
    fn facts(&self) -> SplitFacts {
        SplitFacts {
            watermark_ns: self.stream.reached(),
            moved_ns: self.moved_ns,
            waits: self.stream.waits(),
        }
    }
}

fn facts<'a>(
    splits: &'a [Split],
    producers: &'a Producers,
) -> impl Iterator<Item = SplitFacts> + 'a {
    splits.iter().map(Split::facts).chain(producers.away())
}

/// Records of connections.
#[derive(Debug)]
pub(crate) struct ConnectionsSource {
    spec: SourceSpec,
    format: FileFormat,
    reader: Reader,
    /// Gone once nothing more is taken.
    door: Option<Arriving>,
    splits: Vec<Split>,
    producers: Producers,
    /// Connections so far.
    arrived: usize,
    joint: Joint,
    now_ns: i64,
    /// The one to look at first.
    next: usize,
    /// The one whose frame and letters are in hand.
    current: Option<usize>,
    /// What is in hand where nothing is.
    empty: Frame,
    is_stopped: bool,
    /// What was counted in those that are gone.
    gone: SourceCounters,
    /// Records of programs that this one goes on from.
    before: u64,
}

impl ConnectionsSource {
    pub(super) fn new(
        spec: &SourceSpec,
        format: &FileFormat,
        door: Arriving,
        reader: Reader,
    ) -> Self {
        Self {
            spec: spec.clone(),
            format: format.clone(),
            reader,
            door: Some(door),
            splits: Vec::new(),
            producers: Producers::default(),
            arrived: 0,
            joint: Joint::new(spec),
            now_ns: reader.begun,
            next: 0,
            current: None,
            empty: Frame::new(&spec.schema, 1),
            is_stopped: false,
            gone: SourceCounters::default(),
            before: 0,
        }
    }

    /// Where it is, behind the last frame.
    pub(super) fn at_barrier(&mut self) -> LivePosition {
        (0..self.splits.len()).for_each(|at| self.count(at));
        let splits = &self.splits;
        let reached = |number| splits.iter().find(|s| s.number == number)?.stream.reached();
        LivePosition {
            rows: self.before + self.counters().rows_read,
            watermark: self.joint.reached(),
            producers: self.producers.positions(reached),
        }
    }

    /// Notes how many records of a producer were taken.
    fn count(&mut self, at: usize) {
        let split = &self.splits[at];
        if let (Some((producer, before)), Some(rows)) = (split.producer, split.stream.numbered()) {
            self.producers.reach(producer, before + rows);
        }
    }

    /// A connection has said whose records it brings: it goes on where that one was, and takes the
    /// place of another one that did. Returns where the connection is now.
    fn greet(&mut self, at: usize, greeting: &Greeting) -> Option<usize> {
        let number = self.splits[at].number;
        let same = |s: &Split| {
            s.producer
                .is_some_and(|(p, _)| self.producers.is(p, greeting))
        };
        if let Some(other) = self.splits.iter().position(same) {
            self.leave(other);
        }
        let at = self.splits.iter().position(|s| s.number == number)?;
        let Some(held) = self.producers.held(&greeting.producer) else {
            // Nobody could tell its records from others later.
            self.leave(at);
            return None;
        };
        let onward = Onward {
            name: Arc::clone(&greeting.producer),
            before: Arc::new(held.into()),
            has_ended: Arc::default(),
        };
        let turn = self.producers.enter(&onward, number, self.now_ns);
        let split = &mut self.splits[at];
        split.producer = Some((turn.producer, held));
        split.stream.begin_numbered(greeting, held, turn.clock);
        Some(at)
    }

    /// Goes on from where it was, before it is polled.
    pub(super) fn go_on(&mut self, at: LivePosition) {
        self.now_ns = (self.reader.now)();
        self.before = at.rows;
        self.joint.go_on(at.watermark);
        let clock = || Clock::new(&self.spec, self.reader, 1);
        self.producers.go_on(at.producers, clock, self.now_ns);
    }

    /// Takes the next frame of the connections in turn.
    pub(super) fn poll(&mut self) -> Result<Polled> {
        self.current = None;
        if self.is_stopped {
            (0..self.splits.len()).rev().for_each(|at| self.leave(at));
            self.door = None;
            return Ok(Polled::Stopped);
        }
        self.admit()?;
        if self.joint.needs_time() {
            self.now_ns = (self.reader.now)();
        }
        self.joint
            .judge(self.now_ns, facts(&self.splits, &self.producers));
        let (mut looked, mut moved) = (0, false);
        while looked < self.splits.len() {
            let at = self.next % self.splits.len();
            self.next = at + 1;
            looked += 1;
            if self.joint.is_ahead(at) {
                continue;
            }
            let split = &mut self.splits[at];
            let polled = match split.stream.poll() {
                // What stands before its records cannot be read: it has none.
                Err(Error::Read { message, .. }) if self.spec.bad_data != BadData::Fail => {
                    split.stream.refuse_all(&message)?;
                    Polled::End
                }
                polled => polled?,
            };
            let has_letters = split.stream.bad.letters().rows() > 0;
            match polled {
                Polled::Frame => {
                    split.moved_ns = self.now_ns;
                    self.joint.raise_bounds(&mut split.stream.out);
                    self.current = Some(at);
                    self.combine();
                    return Ok(Polled::Frame);
                }
                _ if has_letters => {
                    self.current = Some(at);
                    return Ok(Polled::Marked);
                }
                Polled::End => {
                    self.leave(at);
                    (self.next, looked, moved) = (at, 0, true);
                    self.joint
                        .judge(self.now_ns, facts(&self.splits, &self.producers));
                }
                polled => {
                    moved |= matches!(polled, Polled::Marked);
                    if let Some(greeting) = self.splits[at].stream.take_greeting() {
                        let now = self.greet(at, &greeting);
                        (self.next, looked, moved) = (now.unwrap_or_default(), 0, true);
                        self.joint
                            .judge(self.now_ns, facts(&self.splits, &self.producers));
                    }
                }
            }
        }
        Ok(match self.combine() || moved {
            true => Polled::Marked,
            false => Polled::Pending,
        })
    }

    fn combine(&mut self) -> bool {
        let facts = facts(&self.splits, &self.producers);
        self.joint.combine(self.now_ns, facts)
    }

    /// Takes connections that are new, as many as there may be at once.
    fn admit(&mut self) -> Result<()> {
        let Some(door) = &mut self.door else {
            return Ok(());
        };
        while self.splits.len() < door.connections_max
            && let Some(Arrived { name, blocks }) = door.pop()
        {
            let (spec, format) = (&self.spec, &self.format);
            let mut stream = StreamSource::new(spec, format, name, blocks, self.reader);
            stream.is_connection(self.arrived, door.record_bytes_max);
            self.arrived += 1;
            self.splits.push(Split {
                number: self.arrived - 1,
                stream,
                producer: None,
                moved_ns: self.now_ns,
            });
        }
        match door.failure() {
            Some(message) => Err(Error::Read {
                name: self.spec.name.clone(),
                path: door.name.clone(),
                message,
            }),
            None => Ok(()),
        }
    }

    /// Forgets a connection.
    fn leave(&mut self, at: usize) {
        self.count(at);
        let mut split = self.splits.remove(at);
        self.gone.add(&split.stream.counters);
        if let Some((producer, _)) = split.producer {
            // Who was cut off comes back, and is waited for.
            let left = match split.stream.ended_whole() {
                true => Left::Ended,
                false => Left::Away,
            };
            let (of, clock) = ((producer, split.number), split.stream.take_clock());
            self.producers.leave(of, clock, left, self.now_ns);
        }
    }

    /// The frame in hand.
    pub(super) fn frame(&self) -> &Frame {
        match self.current {
            Some(at) => &self.splits[at].stream.out,
            None => &self.empty,
        }
    }

    /// The same, to be changed.
    pub(super) fn frame_mut(&mut self) -> &mut Frame {
        match self.current {
            Some(at) => &mut self.splits[at].stream.out,
            None => &mut self.empty,
        }
    }

    /// Rows that tell of bad records of the connection in hand.
    pub(super) fn letters(&mut self) -> Option<&mut Frame> {
        let at = self.current?;
        Some(self.splits[at].stream.bad.letters())
    }

    /// What becomes of rows of the last frame on which an expression failed.
    pub(super) fn take_failed(&mut self, failed: &mut Vec<RowError>) -> Result<()> {
        let at = self.current.expect("its frame is in hand");
        self.splits[at].stream.take_failed(failed)
    }

    /// The watermark behind the last frame, if it moved.
    pub(super) fn watermark(&mut self) -> Option<i64> {
        self.joint.advance()
    }

    /// The connection that holds the watermark back.
    pub(super) fn holder(&self) -> Option<usize> {
        let split = self.joint.holder().and_then(|at| self.splits.get(at));
        split.map(|split| split.number)
    }

    /// Whether something is there that was not taken.
    pub(super) fn waits(&self) -> bool {
        self.splits.iter().any(|split| split.stream.waits())
    }

    /// Of each row of the last frame its own split's watermark, where rows carry another one.
    pub(super) fn own_bounds(&self) -> &[i64] {
        self.joint.own_bounds()
    }

    /// The greatest watermark that was reached.
    pub(super) fn reached(&self) -> Option<i64> {
        self.joint.reached()
    }

    /// Takes nothing more.
    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
    }

    pub(super) fn counters(&self) -> SourceCounters {
        let mut all = self.gone;
        self.splits
            .iter()
            .for_each(|split| all.add(&split.stream.counters));
        all
    }
}
