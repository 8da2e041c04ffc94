//! An exchange as one shard sees it: the lanes it sends into and the lanes it receives from.
//!
//! Sending scatters a frame's rows over the lanes and remembers how far each lane came, so that a
//! full ring holds up only what goes into it. Receiving takes the lanes in turn, aligns barriers,
//! and turns the marks of all lanes into one: the smallest watermark, the last end.

mod combiner;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::combiner::Taken;
use crate::align::Splits;
use crate::column::Column;
use crate::error::Error;
use crate::frame::Frame;
use crate::hash::{hash_keys, owner};
use crate::mesh::{Flow, LaneReceiver, LaneSender};
use crate::message::{Mark, Message};
use crate::program::{ExchangeSpec, Order, Routing};
use crate::schema::Schema;
use crate::snapshot::Split;
use crate::stage::Item;

pub(crate) use self::combiner::Combiner;

/// Sends the rows of one exchange.
#[derive(Debug)]
pub(crate) struct ExchangeSender {
    lanes: Vec<LaneSender>,
    routing: Routing,
    order: Order,
    schema: Arc<Schema>,
    seed: u64,
    hashes: Vec<u64>,
    /// Rows of the frame in hand for each lane, and how many of them were sent.
    rows: Vec<Vec<u32>>,
    next: Vec<usize>,
    in_hand: bool,
    /// Lanes that have the mark in hand.
    marked: usize,
    /// Makes groups of rows before they cross.
    combiner: Option<Box<Combiner>>,
    /// Of the frame that was sent last all rows became groups.
    has_combined: bool,
}

impl ExchangeSender {
    pub(crate) fn new(lanes: Vec<LaneSender>, spec: &ExchangeSpec, seed: u64) -> Self {
        let count = lanes.len();
        Self {
            lanes,
            routing: spec.routing.clone(),
            order: spec.order,
            schema: Arc::clone(&spec.schema),
            seed,
            hashes: Vec::new(),
            rows: vec![Vec::new(); count],
            next: vec![0; count],
            in_hand: false,
            marked: 0,
            combiner: None,
            has_combined: false,
        }
    }

    /// Makes groups of rows before they cross.
    pub(crate) fn combining(self, combiner: Combiner) -> Self {
        Self {
            combiner: Some(Box::new(combiner)),
            ..self
        }
    }

    /// Sends a frame's rows; after `Full` the same frame has to be offered again.
    pub(crate) fn send(&mut self, frame: &Frame) -> Flow {
        if let Some(combiner) = self.combiner.as_mut().filter(|_| !self.in_hand) {
            let taken = combiner.take(frame);
            self.has_combined = taken == Taken::Whole;
            match taken {
                Taken::Whole => return Flow::Done,
                Taken::Full => return Flow::Full,
                Taken::Not => {}
            }
        }
        self.send_rows(frame)
    }

    fn send_rows(&mut self, frame: &Frame) -> Flow {
        let begins = !self.in_hand;
        if begins {
            self.next.fill(0);
        }
        let mut flow = Flow::Done;
        match &self.routing {
            Routing::Single | Routing::Local => {
                flow = self.lanes[0].send_all(frame, &mut self.next[0]);
            }
            Routing::Broadcast => {
                for (lane, next) in self.lanes.iter_mut().zip(&mut self.next) {
                    if lane.send_all(frame, next) == Flow::Full {
                        flow = Flow::Full;
                    }
                }
            }
            Routing::Hash(keys) => {
                if begins {
                    hash_keys(frame, &self.schema, keys, self.seed, &mut self.hashes);
                    scatter(&self.hashes, &mut self.rows);
                }
                let lanes = self.lanes.iter_mut().zip(&self.rows);
                for ((lane, rows), next) in lanes.zip(&mut self.next) {
                    if lane.send(frame, rows, next) == Flow::Full {
                        flow = Flow::Full;
                    }
                }
            }
        }
        self.in_hand = flow == Flow::Full;
        flow
    }

    /// Sends a mark into every lane, behind all rows; after `Full` offer the same mark again.
    pub(crate) fn mark(&mut self, mark: Mark) -> Flow {
        assert!(!self.in_hand, "no mark overtakes a half-sent frame");
        let ends_chunk = matches!(mark, Mark::ChunkEnd | Mark::SplitEnd);
        if ends_chunk && self.order == Order::Free {
            return Flow::Done;
        }
        if let Some(combiner) = &mut self.combiner
            && combiner.mark(mark) == Flow::Full
        {
            return Flow::Full;
        }
        while self.marked < self.lanes.len() {
            if self.lanes[self.marked].mark(mark) == Flow::Full {
                return Flow::Full;
            }
            self.marked += 1;
        }
        self.marked = 0;
        if let Some(combiner) = &mut self.combiner {
            combiner.end_mark();
        }
        Flow::Done
    }

    /// Wakes receivers. Returns whether rows are still staged here.
    pub(crate) fn end_turn(&mut self) -> bool {
        let combiner = self.combiner.as_mut();
        let staged = combiner.is_some_and(|combiner| combiner.end_turn());
        self.lanes
            .iter_mut()
            .fold(staged, |staged, lane| lane.end_turn() | staged)
    }

    /// Records that crossed to each shard, groups that were made of them included.
    pub(crate) fn rows_crossed(&self) -> Vec<u64> {
        let mut crossed: Vec<u64> = self.lanes.iter().map(|l| l.rows).collect();
        let groups = self.combiner.iter().flat_map(|c| c.crossed());
        crossed
            .iter_mut()
            .zip(groups)
            .for_each(|(all, n)| *all += n);
        crossed
    }

    /// Records that were made groups of; `None` where none are.
    pub(crate) fn rows_combined(&self) -> Option<u64> {
        self.combiner.as_ref().map(|c| c.combined())
    }

    /// Whether all rows of the frame that was sent last became groups: they are taken here.
    pub(crate) fn has_combined(&self) -> bool {
        self.has_combined
    }

    /// What went wrong where groups were made.
    pub(crate) fn take_failed(&mut self) -> Option<Error> {
        self.combiner.as_mut()?.take_failed()
    }
}

/// Replaces `rows` by the rows of each shard, given the hashes of all.
fn scatter(hashes: &[u64], rows: &mut [Vec<u32>]) {
    rows.iter_mut().for_each(Vec::clear);
    for (row, &hash) in hashes.iter().enumerate() {
        rows[owner(hash, rows.len())].push(row as u32);
    }
}

/// What a receiver has for its stage.
#[derive(Debug)]
pub(crate) enum Received {
    /// A frame, to be given back to this lane.
    Frame(usize, Box<Frame>),
    /// A mark of the exchange as a whole.
    Mark(Mark),
    /// A lane's mark was taken, and the exchange as a whole is where it was.
    Absorbed,
}

/// State of one incoming lane.
#[derive(Debug)]
struct Incoming {
    lane: LaneReceiver,
    /// Its own where lanes are splits.
    watermark: i64,
    /// The barrier it waits at.
    barrier: Option<u64>,
    ended: bool,
    /// It ended because its input was stopped.
    stopped: bool,
}

/// Raises the rows' watermarks to that of all chunks of their split before theirs.
fn raise(frame: &mut Frame, bound: usize, least: i64) {
    let Column::I64(bounds) = &mut frame.columns[bound] else {
        panic!("a watermark is a BIGINT")
    };
    for value in &mut bounds.values {
        *value = (*value).max(least);
    }
}

/// Receives the rows of one exchange.
#[derive(Debug)]
pub(crate) struct ExchangeReceiver {
    /// Those of rows, and behind them those of groups.
    lanes: Vec<Incoming>,
    /// Lanes of rows.
    of_rows: usize,
    order: Order,
    /// The lane to look at: with chunks, whose chunk is next.
    next: usize,
    /// With chunks, the lane whose chunk is next behind the barrier that lanes are brought to.
    behind_barrier: Option<usize>,
    /// With chunks, the splits that they are of.
    splits: Splits,
    /// That of the exchange as a whole, where lanes are splits.
    watermark: i64,
    ended: bool,
}

impl ExchangeReceiver {
    /// `splits`: how many the chunks are of, where they are taken in order.
    pub(crate) fn new(
        lanes: Vec<LaneReceiver>,
        of_groups: Vec<LaneReceiver>,
        order: Order,
        splits: usize,
    ) -> Self {
        let of_rows = lanes.len();
        let lanes = lanes
            .into_iter()
            .chain(of_groups)
            .map(|lane| Incoming {
                lane,
                watermark: i64::MIN,
                barrier: None,
                ended: false,
                stopped: false,
            })
            .collect();
        Self {
            lanes,
            of_rows,
            order,
            next: 0,
            behind_barrier: None,
            splits: Splits::new(splits),
            watermark: i64::MIN,
            ended: false,
        }
    }

    /// Goes on behind so many chunks.
    pub(crate) fn go_on(&mut self, chunks: u64, split: Option<Split>) {
        if matches!(self.order, Order::Chunks { .. }) {
            self.next = (chunks % self.lanes.len() as u64) as usize;
            if let Some(split) = split {
                self.splits = Splits::going_on(split);
            }
        }
    }

    /// What is known of the splits whose chunks are taken in order.
    pub(crate) fn split(&self) -> Option<Split> {
        matches!(self.order, Order::Chunks { .. }).then(|| self.splits.at())
    }

    /// Whether a lane waits at a barrier for the others.
    pub(crate) fn is_aligning(&self) -> bool {
        self.lanes.iter().any(|lane| lane.barrier.is_some())
    }

    /// The next frame or mark, taking the lanes in turn; `None` only when no lane that may be
    /// taken from holds a message, as the shard may go to sleep upon it.
    pub(crate) fn poll(&mut self) -> Option<Received> {
        match self.order {
            Order::Free => self.poll_any(),
            Order::Chunks { bound } => self.poll_chunk(bound),
        }
    }

    /// From the lane whose chunk is next; the others have to wait.
    fn poll_chunk(&mut self, bound: Option<usize>) -> Option<Received> {
        if self.ended {
            return None;
        }
        // One that ended while lanes were brought to a barrier tells it no second time.
        while self.lanes[self.next].ended {
            self.next = (self.next + 1) % self.lanes.len();
        }
        let at = self.next;
        let lanes = self.lanes.len();
        let incoming = &mut self.lanes[at];
        Some(match incoming.lane.pop()? {
            Message::Frame(mut frame) => {
                if let Some(bound) = bound {
                    raise(&mut frame, bound, self.splits.own());
                }
                Received::Frame(at, frame)
            }
            Message::Mark(Mark::Watermark(time)) => {
                self.splits.raise(time);
                let edge = self.splits.advance().map(Mark::Watermark);
                edge.map_or(Received::Absorbed, Received::Mark)
            }
            Message::Mark(mark @ (Mark::ChunkEnd | Mark::SplitEnd)) => {
                if mark == Mark::SplitEnd {
                    self.splits.end();
                }
                self.next = (at + 1) % lanes;
                Received::Absorbed
            }
            // Where a shard's turn has come and it has no chunk, no later shard has one either.
            Message::Mark(mark @ (Mark::End | Mark::Stop)) => {
                incoming.ended = true;
                incoming.stopped = mark == Mark::Stop;
                self.next = (at + 1) % lanes;
                let all = self.end().or_else(|| self.pass_barrier());
                all.map_or(Received::Absorbed, Received::Mark)
            }
            Message::Mark(Mark::Barrier(epoch)) => {
                incoming.barrier = Some(epoch);
                self.behind_barrier.get_or_insert(at);
                self.next = (at + 1) % lanes;
                self.pass_barrier()
                    .map_or(Received::Absorbed, Received::Mark)
            }
        })
    }

    /// Goes on with the lanes whose next message is a barrier, too, since all lanes have it behind
    /// the same chunk. Gives it once all are there.
    fn pass_barrier(&mut self) -> Option<Mark> {
        let first = self.behind_barrier?;
        if let Some(barrier) = self.barrier() {
            self.behind_barrier = None;
            self.next = first;
            return Some(barrier);
        }
        // A lane that has ended tells nothing any more.
        while self.lanes[self.next].ended || self.lanes[self.next].barrier.is_some() {
            self.next = (self.next + 1) % self.lanes.len();
        }
        None
    }

    /// The barrier that all open lanes wait at, which they go on behind.
    fn barrier(&mut self) -> Option<Mark> {
        let open = || self.lanes.iter().filter(|l| !l.ended);
        if !open().all(|l| l.barrier.is_some()) {
            return None;
        }
        let epoch = open().find_map(|l| l.barrier)?;
        let same = |l: &Incoming| l.barrier == Some(epoch);
        assert!(open().all(same), "lanes align at one barrier");
        self.lanes.iter_mut().for_each(|l| l.barrier = None);
        Some(Mark::Barrier(epoch))
    }

    fn poll_any(&mut self) -> Option<Received> {
        for _ in 0..self.lanes.len() {
            let at = self.next;
            let incoming = &mut self.lanes[at];
            if incoming.barrier.is_some() {
                self.next = (at + 1) % self.lanes.len();
                continue;
            }
            match incoming.lane.pop() {
                None => self.next = (at + 1) % self.lanes.len(),
                Some(Message::Frame(frame)) => {
                    assert!(!incoming.ended, "a lane sends nothing behind its end");
                    return Some(Received::Frame(at, frame));
                }
                Some(Message::Mark(mark)) => {
                    self.take_mark(at, mark);
                    return Some(self.combined().map_or(Received::Absorbed, Received::Mark));
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
            Mark::ChunkEnd | Mark::SplitEnd => {
                unreachable!("chunk ends are sent where they are waited for")
            }
            Mark::Barrier(epoch) => incoming.barrier = Some(epoch),
            Mark::End => incoming.ended = true,
            Mark::Stop => (incoming.ended, incoming.stopped) = (true, true),
        }
    }

    /// The mark of the exchange as a whole once all lanes have ended: where one was stopped, its
    /// input has not ended.
    fn end(&mut self) -> Option<Mark> {
        self.ended = self.lanes.iter().all(|l| l.ended);
        self.ended
            .then(|| match self.lanes.iter().any(|l| l.stopped) {
                true => Mark::Stop,
                false => Mark::End,
            })
    }

    /// The mark of the exchange as a whole that the lanes' marks amount to now.
    fn combined(&mut self) -> Option<Mark> {
        if self.ended {
            return None;
        }
        if let Some(mark) = self.end() {
            return Some(mark);
        }
        if let Some(barrier) = self.barrier() {
            return Some(barrier);
        }
        // A lane that was stopped has more behind its watermark.
        let bounding = self.lanes.iter().filter(|l| !l.ended || l.stopped);
        let least = bounding.map(|l| l.watermark).min()?;
        if least > self.watermark {
            self.watermark = least;
            return Some(Mark::Watermark(least));
        }
        None
    }

    /// What a frame of a lane is to its reader.
    pub(crate) fn item<'a>(&self, lane: usize, frame: &'a Frame) -> Item<'a> {
        match lane < self.of_rows {
            true => Item::Frame(frame),
            false => Item::Groups(frame),
        }
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
