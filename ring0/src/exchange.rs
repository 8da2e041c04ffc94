//! An exchange as one shard sees it: the lanes it sends into and the lanes it receives from.
//!
//! Sending scatters a frame's rows over the lanes and remembers how far each lane came, so that a
//! full ring holds up only what goes into it. Receiving takes the lanes in turn, aligns barriers,
//! and turns the marks of all lanes into one: the smallest watermark, the last end.

use std::sync::Arc;

use crate::frame::Frame;
use crate::hash::{hash_keys, owner};
use crate::mesh::{Flow, LaneReceiver, LaneSender};
use crate::message::{Mark, Message};
use crate::program::Routing;
use crate::schema::Schema;

/// Sends the rows of one exchange.
#[derive(Debug)]
pub(crate) struct ExchangeSender {
    lanes: Vec<LaneSender>,
    routing: Routing,
    schema: Arc<Schema>,
    seed: u64,
    hashes: Vec<u64>,
    /// Rows of the frame in hand for each lane, and how many of them were sent.
    rows: Vec<Vec<u32>>,
    next: Vec<usize>,
    in_hand: bool,
    /// Lanes that have the mark in hand.
    marked: usize,
}

impl ExchangeSender {
    pub(crate) fn new(
        lanes: Vec<LaneSender>,
        routing: Routing,
        schema: Arc<Schema>,
        seed: u64,
    ) -> Self {
        let count = lanes.len();
        Self {
            lanes,
            routing,
            schema,
            seed,
            hashes: Vec::new(),
            rows: vec![Vec::new(); count],
            next: vec![0; count],
            in_hand: false,
            marked: 0,
        }
    }

    /// Sends a frame's rows; after `Full` the same frame has to be offered again.
    pub(crate) fn send(&mut self, frame: &Frame) -> Flow {
        if !self.in_hand {
            self.scatter(frame);
            self.in_hand = true;
        }
        let mut flow = Flow::Done;
        for ((lane, rows), next) in self.lanes.iter_mut().zip(&self.rows).zip(&mut self.next) {
            if lane.send(frame, rows, next) == Flow::Full {
                flow = Flow::Full;
            }
        }
        self.in_hand = flow == Flow::Full;
        flow
    }

    fn scatter(&mut self, frame: &Frame) {
        self.rows.iter_mut().for_each(Vec::clear);
        self.next.fill(0);
        let shards = self.lanes.len();
        match &self.routing {
            Routing::Hash(keys) => {
                hash_keys(frame, &self.schema, keys, self.seed, &mut self.hashes);
                for (row, &hash) in self.hashes.iter().enumerate() {
                    self.rows[owner(hash, shards)].push(row as u32);
                }
            }
            Routing::Single => self.rows[0].extend(0..frame.rows() as u32),
        }
        debug_assert_eq!(self.rows.iter().map(Vec::len).sum::<usize>(), frame.rows());
    }

    /// Sends a mark into every lane, behind all rows; after `Full` offer the same mark again.
    pub(crate) fn mark(&mut self, mark: Mark) -> Flow {
        assert!(!self.in_hand, "no mark overtakes a half-sent frame");
        while self.marked < self.lanes.len() {
            if self.lanes[self.marked].mark(mark) == Flow::Full {
                return Flow::Full;
            }
            self.marked += 1;
        }
        self.marked = 0;
        Flow::Done
    }

    /// Wakes receivers. Returns whether rows are still staged here.
    pub(crate) fn end_turn(&mut self) -> bool {
        self.lanes
            .iter_mut()
            .fold(false, |staged, lane| lane.end_turn() | staged)
    }

    /// Records that crossed each lane.
    pub(crate) fn rows_crossed(&self) -> Vec<u64> {
        self.lanes.iter().map(|l| l.rows).collect()
    }
}

/// What a receiver has for its stage.
#[derive(Debug)]
pub(crate) enum Received {
    /// A frame, to be given back to this lane.
    Frame(usize, Box<Frame>),
    /// A mark of the exchange as a whole.
    Mark(Mark),
}

/// State of one incoming lane.
#[derive(Debug)]
struct Incoming {
    lane: LaneReceiver,
    watermark: i64,
    /// The barrier it waits at.
    barrier: Option<u64>,
    ended: bool,
}

/// Receives the rows of one exchange.
#[derive(Debug)]
pub(crate) struct ExchangeReceiver {
    lanes: Vec<Incoming>,
    next: usize,
    watermark: i64,
    ended: bool,
}

impl ExchangeReceiver {
    pub(crate) fn new(lanes: Vec<LaneReceiver>) -> Self {
        let lanes = lanes
            .into_iter()
            .map(|lane| Incoming {
                lane,
                watermark: i64::MIN,
                barrier: None,
                ended: false,
            })
            .collect();
        Self {
            lanes,
            next: 0,
            watermark: i64::MIN,
            ended: false,
        }
    }

    /// The next frame or mark, taking the lanes in turn. `None` only after every lane was found
    /// empty or aligned: a shard that goes to sleep on it leaves no message behind that came
    /// before it said so.
    pub(crate) fn poll(&mut self) -> Option<Received> {
        let mut silent = 0;
        while silent < self.lanes.len() {
            let at = self.next;
            let incoming = &mut self.lanes[at];
            if incoming.barrier.is_some() {
                self.next = (at + 1) % self.lanes.len();
                silent += 1;
                continue;
            }
            match incoming.lane.pop() {
                None => {
                    self.next = (at + 1) % self.lanes.len();
                    silent += 1;
                }
                Some(Message::Frame(frame)) => {
                    assert!(!incoming.ended, "a lane sends nothing behind its end");
                    return Some(Received::Frame(at, frame));
                }
                Some(Message::Mark(mark)) => {
                    silent = 0;
                    self.take_mark(at, mark);
                    if let Some(mark) = self.combined() {
                        return Some(Received::Mark(mark));
                    }
                }
            }
        }
        None
    }

    fn take_mark(&mut self, at: usize, mark: Mark) {
        let incoming = &mut self.lanes[at];
        assert!(!incoming.ended, "a lane sends nothing behind its end");
        match mark {
            Mark::Watermark(t) => {
                assert!(t >= incoming.watermark, "a watermark never goes back");
                incoming.watermark = t;
            }
            Mark::Barrier(epoch) => incoming.barrier = Some(epoch),
            Mark::End => incoming.ended = true,
        }
    }

    /// The mark of the exchange as a whole that the lanes' marks amount to now.
    fn combined(&mut self) -> Option<Mark> {
        if self.ended {
            return None;
        }
        if self.lanes.iter().all(|l| l.ended) {
            self.ended = true;
            return Some(Mark::End);
        }
        let open = || self.lanes.iter().filter(|l| !l.ended);
        if open().all(|l| l.barrier.is_some()) {
            let epoch = open().find_map(|l| l.barrier)?;
            assert!(
                open().all(|l| l.barrier == Some(epoch)),
                "lanes align at one barrier"
            );
            self.lanes.iter_mut().for_each(|l| l.barrier = None);
            return Some(Mark::Barrier(epoch));
        }
        let least = open().map(|l| l.watermark).min()?;
        if least > self.watermark {
            self.watermark = least;
            return Some(Mark::Watermark(least));
        }
        None
    }

    /// Sends a frame home.
    pub(crate) fn give_back(&mut self, lane: usize, frame: Box<Frame>) {
        self.lanes[lane].lane.give_back(frame);
    }

    /// Wakes senders.
    pub(crate) fn end_turn(&mut self) {
        self.lanes.iter_mut().for_each(|l| l.lane.end_turn());
    }

    /// Whether nothing can come any more.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }
}
