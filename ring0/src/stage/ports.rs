//! The inputs of a chain. What a chain has not taken whole is of one port; the others are told to
//! offer theirs again until it has. Marks of several ports become one: the least watermark, a
//! barrier that all have reached, the last end.
//!
//! A port declines while another one's item is in hand, while it waits for the others at a barrier,
//! and, of a join that keeps a side, as long as that side has not ended. That side hangs on nothing
//! that the other one holds up: they share no source. Joins of rows near each other in time are
//! told of each port's watermark, since each says what of the other's rows is over.

use std::ops::{Deref, DerefMut};

use super::Item;
use crate::lineage::{Lineage, OfInput};
use crate::mesh::Flow;
use crate::message::Mark;
use crate::metrics::QueryCounters;
use crate::operator::join::interval::ENDED;
use crate::program::{Keep, OperatorSpec};

/// An input of a chain.
#[derive(Debug)]
pub(crate) struct Port {
    /// The stage that reads the source of its rows.
    pub(crate) origin: usize,
    pub(crate) counters: QueryCounters,
    /// Which of its rows are that source's, and applied as they come.
    applies: OfInput,
    watermark: i64,
    barrier: Option<u64>,
    ended: Option<Mark>,
}

/// How rows of several ports meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meeting {
    /// They are alike.
    Union,
    /// The rows of this port are kept before those of the other are looked at.
    Kept(usize),
    /// As they come, near each other in time.
    Interval,
    /// As they come.
    Changes,
}

/// The inputs of a chain.
#[derive(Debug)]
pub(crate) struct Ports {
    ports: Vec<Port>,
    meeting: Meeting,
    /// The port whose item is in hand, and what it came to where it is a mark.
    in_hand: Option<(usize, Option<Mark>)>,
    watermark: i64,
}

/// What an offer comes to.
#[derive(Debug)]
pub(super) enum Merged<'a> {
    /// Nothing is taken now.
    Declined,
    /// It was taken, and changes nothing for the chain as a whole.
    Absorbed,
    /// What the chain is given.
    Item(Item<'a>),
}

impl Deref for Ports {
    type Target = [Port];

    fn deref(&self) -> &[Port] {
        &self.ports
    }
}

impl DerefMut for Ports {
    fn deref_mut(&mut self) -> &mut [Port] {
        &mut self.ports
    }
}

impl Ports {
    /// `of_input`: which rows the stage itself tells of; those of other ports are applied as they
    /// come.
    pub(super) fn new(lineages: &[Lineage], meeting: Meeting, of_input: OfInput) -> Self {
        let told = lineages.len() == 1 || of_input != OfInput::None;
        let port = |lineage: &Lineage| Port {
            origin: lineage.origin,
            counters: QueryCounters::default(),
            applies: if told {
                OfInput::None
            } else {
                lineage.of_input
            },
            watermark: i64::MIN,
            barrier: None,
            ended: None,
        };
        Self {
            ports: lineages.iter().map(port).collect(),
            meeting,
            in_hand: None,
            watermark: i64::MIN,
        }
    }

    /// Takes an offer in hand.
    pub(super) fn begin<'a>(&mut self, port: usize, item: Item<'a>) -> Merged<'a> {
        if self.ports.len() == 1 {
            return Merged::Item(item);
        }
        if let Some((other, mark)) = self.in_hand {
            return match mark {
                _ if other != port => Merged::Declined,
                Some(mark) => Merged::Item(Item::Mark(mark)),
                None => Merged::Item(item),
            };
        }
        if self.ports[port].barrier.is_some() {
            return Merged::Declined;
        }
        let mark = match item {
            Item::Frame(_) if self.waits(port) => return Merged::Declined,
            Item::Frame(frame) if self.is_stopped(port) => {
                let port = &mut self.ports[port];
                port.counters.rows_applied += port.applies.of(frame);
                return Merged::Absorbed;
            }
            Item::Frame(_) => {
                self.in_hand = Some((port, None));
                return Merged::Item(item);
            }
            Item::Mark(mark) => self.take_mark(port, mark),
            Item::Groups(_) => unreachable!("groups come where there is one port"),
            Item::Tick => unreachable!("no input tells the time"),
        };
        match mark {
            None => Merged::Absorbed,
            Some(mark) => {
                self.in_hand = Some((port, Some(mark)));
                Merged::Item(Item::Mark(mark))
            }
        }
    }

    /// What was in hand was offered on.
    pub(super) fn end(&mut self, port: usize, item: Item<'_>, flow: Flow) {
        if flow == Flow::Full {
            return;
        }
        self.in_hand = None;
        if let Item::Frame(frame) = item {
            let port = &mut self.ports[port];
            port.counters.rows_applied += port.applies.of(frame);
        }
    }

    /// Rows of two sides were forgotten that were kept for each other.
    pub(super) fn forgot(&mut self, rows: [u64; 2]) {
        for (port, rows) in self.ports.iter_mut().zip(rows) {
            port.counters.rows_forgotten += rows;
        }
    }

    /// The port of the side that is kept.
    pub(super) fn kept(&self) -> Option<usize> {
        match self.meeting {
            Meeting::Kept(port) => Some(port),
            Meeting::Union | Meeting::Interval | Meeting::Changes => None,
        }
    }

    /// The watermark of each of two ports, where it has one.
    pub(super) fn reached(&self) -> [Option<i128>; 2] {
        [0, 1].map(|port: usize| match &self.ports[port] {
            port if port.ended == Some(Mark::End) => Some(ENDED),
            port => Some(i128::from(port.watermark)).filter(|_| port.watermark > i64::MIN),
        })
    }

    /// Whether rows of a port are not looked at yet.
    fn waits(&self, port: usize) -> bool {
        let build = self.kept().filter(|&build| build != port);
        build.is_some_and(|build| self.ports[build].ended.is_none())
    }

    /// Whether a port waits at a barrier for the others.
    pub(crate) fn is_aligning(&self) -> bool {
        self.ports.iter().any(|port| port.barrier.is_some())
    }

    /// Whether the side that is kept was stopped: what would match is not known, so nothing leaves.
    fn is_stopped(&self, port: usize) -> bool {
        let build = self.kept().filter(|&build| build != port);
        build.is_some_and(|build| self.ports[build].ended == Some(Mark::Stop))
    }

    /// Takes a mark of one port. Gives that of all of them.
    fn take_mark(&mut self, port: usize, mark: Mark) -> Option<Mark> {
        let port = &mut self.ports[port];
        assert!(port.ended.is_none(), "nothing comes behind an end");
        match mark {
            Mark::Watermark(time) => port.watermark = time,
            // Chunks of one source say nothing of the others.
            Mark::ChunkEnd | Mark::SplitEnd => return None,
            Mark::Barrier(epoch) => port.barrier = Some(epoch),
            Mark::End | Mark::Stop => port.ended = Some(mark),
        }
        let open = || self.ports.iter().filter(|p| p.ended.is_none());
        if open().next().is_none() {
            let stopped = self.ports.iter().any(|p| p.ended == Some(Mark::Stop));
            return Some(if stopped { Mark::Stop } else { Mark::End });
        }
        if open().all(|p| p.barrier.is_some()) {
            let epoch = open().find_map(|p| p.barrier);
            assert!(
                open().all(|p| p.barrier == epoch),
                "ports align at one barrier"
            );
            self.ports.iter_mut().for_each(|p| p.barrier = None);
            return epoch.map(Mark::Barrier);
        }
        // An input that was stopped has more behind its watermark.
        let bounding = self.ports.iter().filter(|p| p.ended != Some(Mark::End));
        let least = bounding.map(|p| p.watermark).min()?;
        if least > self.watermark || self.meeting == Meeting::Interval {
            self.watermark = least;
            return Some(Mark::Watermark(least));
        }
        None
    }
}

/// Which rows of a stage still are those of the sources of its ports. Those of several, which are
/// alike, are told of for the last time here; pairs are nobody's.
pub(super) fn of_ports(lineages: &[Lineage], meeting: Meeting) -> OfInput {
    match lineages {
        [one] => one.of_input,
        all if meeting == Meeting::Union && all.iter().all(|l| l.of_input == OfInput::All) => {
            OfInput::All
        }
        _ => OfInput::None,
    }
}

/// How rows of several ports meet, as the first operator says.
pub(super) fn meeting(operators: &[OperatorSpec]) -> Meeting {
    match operators.first() {
        Some(OperatorSpec::Join(spec)) => match spec.keep {
            Keep::Side(side) => Meeting::Kept(side.port()),
            Keep::Nearest(_) => match spec.build() {
                Some(side) => Meeting::Kept(side.port()),
                None => Meeting::Interval,
            },
            Keep::Interval(_) => Meeting::Interval,
            Keep::Changes => Meeting::Changes,
        },
        _ => Meeting::Union,
    }
}
