//! Results leaving Ring 0. An output is a lane whose receiver is the host; a [`Block`] is what
//! the host sees of a frame: rows to read, and then to be given back.

use crate::frame::Frame;
use crate::id::OutputId;
use crate::mesh::LaneReceiver;
use crate::message::{Mark, Message};
use crate::program::Order;

/// Result rows of one output, to be given back once they were read: a shard that has no more room
/// waits for them.
#[derive(Debug)]
pub struct Block {
    pub(crate) output: OutputId,
    pub(crate) lane: usize,
    pub(crate) frame: Box<Frame>,
}

impl Block {
    /// Which output they belong to.
    pub fn output(&self) -> OutputId {
        self.output
    }

    /// The shard that made them.
    pub fn shard(&self) -> usize {
        self.lane
    }

    /// The rows.
    pub fn rows(&self) -> &Frame {
        &self.frame
    }
}

/// What an output gives.
#[derive(Debug)]
pub(crate) enum Gives {
    /// Rows.
    Block(Block),
    /// All rows before this barrier were given, and none behind it.
    Barrier(u64),
}

/// What one shard sends into an output.
#[derive(Debug)]
struct HostLane {
    lane: LaneReceiver,
    /// The barrier it waits at.
    barrier: Option<u64>,
    ended: bool,
}

/// The host's end of one output: a lane from each shard.
#[derive(Debug)]
pub(crate) struct HostLanes {
    output: OutputId,
    order: Order,
    /// None where nothing goes into the output.
    lanes: Vec<HostLane>,
    /// The lane to look at: with chunks, whose chunk is next.
    next: usize,
    /// With chunks, the lane whose chunk is next behind the barrier that lanes are brought to.
    behind_barrier: Option<usize>,
}

impl HostLanes {
    pub(crate) fn new(output: OutputId, order: Order, lanes: Vec<LaneReceiver>) -> Self {
        let lane = |lane| HostLane {
            lane,
            barrier: None,
            ended: false,
        };
        Self {
            output,
            order,
            lanes: lanes.into_iter().map(lane).collect(),
            next: 0,
            behind_barrier: None,
        }
    }

    /// Goes on behind so many chunks.
    pub(crate) fn go_on(&mut self, chunks: u64) {
        if self.order != Order::Free && !self.lanes.is_empty() {
            self.next = (chunks % self.lanes.len() as u64) as usize;
        }
    }

    /// The next rows, if there are any now, or the barrier that lies before them.
    pub(crate) fn poll(&mut self) -> Option<Gives> {
        let mut silent = 0;
        while silent < self.lanes.len() && !self.is_ended() {
            let at = self.next;
            let lane = &mut self.lanes[at];
            // One that ended while lanes were brought to a barrier tells it no second time.
            if lane.barrier.is_some() || lane.ended {
                silent += 1;
                self.turn();
                continue;
            }
            match lane.lane.pop() {
                Some(Message::Frame(frame)) => {
                    return Some(Gives::Block(Block {
                        output: self.output,
                        lane: at,
                        frame,
                    }));
                }
                Some(Message::Mark(Mark::End | Mark::Stop)) => {
                    lane.ended = true;
                    self.turn();
                    if let Some(epoch) = self.barrier() {
                        return Some(Gives::Barrier(epoch));
                    }
                }
                Some(Message::Mark(Mark::Barrier(epoch))) => {
                    lane.barrier = Some(epoch);
                    if self.order != Order::Free {
                        self.behind_barrier.get_or_insert(at);
                    }
                    self.turn();
                    silent = 0;
                    if let Some(epoch) = self.barrier() {
                        return Some(Gives::Barrier(epoch));
                    }
                }
                Some(Message::Mark(Mark::ChunkEnd | Mark::SplitEnd)) => self.turn(),
                Some(Message::Mark(Mark::Watermark(_))) => {}
                None if self.order != Order::Free => return None,
                None => {
                    silent += 1;
                    self.turn();
                }
            }
        }
        None
    }

    /// The barrier that all open lanes wait at, which they go on behind.
    fn barrier(&mut self) -> Option<u64> {
        let mut open = self.lanes.iter().filter(|lane| !lane.ended);
        let epoch = open.clone().find_map(|lane| lane.barrier)?;
        if !open.all(|lane| lane.barrier == Some(epoch)) {
            return None;
        }
        self.lanes.iter_mut().for_each(|lane| lane.barrier = None);
        if let Some(first) = self.behind_barrier.take() {
            self.next = first;
        }
        Some(epoch)
    }

    fn turn(&mut self) {
        self.next = (self.next + 1) % self.lanes.len();
    }

    /// Gives a block of this output back.
    pub(crate) fn give_back(&mut self, block: Block) {
        let lane = &mut self.lanes[block.lane].lane;
        lane.give_back(block.frame);
        lane.end_turn();
    }

    /// Wakes shards that wait for room.
    pub(crate) fn end_turn(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.lane.end_turn());
    }

    /// Whether all was given.
    pub(crate) fn is_ended(&self) -> bool {
        self.lanes.iter().all(|lane| lane.ended)
    }

    /// Whether [`Self::poll`] has to look again.
    pub(crate) fn has_more(&self) -> bool {
        match self.order {
            Order::Free => {
                let mut taken = self.lanes.iter().filter(|lane| lane.barrier.is_none());
                taken.any(|lane| !lane.lane.is_empty())
            }
            Order::Chunks { .. } => {
                let next = self.lanes.get(self.next);
                next.is_some_and(|lane| !lane.lane.is_empty())
            }
        }
    }
}
