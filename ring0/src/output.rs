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

    /// The shard that they come from.
    pub fn shard(&self) -> usize {
        self.lane
    }

    /// The rows.
    pub fn rows(&self) -> &Frame {
        &self.frame
    }
}

/// The host's end of one output: a lane from each shard.
#[derive(Debug)]
pub(crate) struct HostLanes {
    output: OutputId,
    order: Order,
    /// Each with whether it has ended; none where nothing goes into the output.
    lanes: Vec<(LaneReceiver, bool)>,
    /// The lane to look at: with chunks, whose chunk is next.
    next: usize,
}

impl HostLanes {
    pub(crate) fn new(output: OutputId, order: Order, lanes: Vec<LaneReceiver>) -> Self {
        Self {
            output,
            order,
            lanes: lanes.into_iter().map(|lane| (lane, false)).collect(),
            next: 0,
        }
    }

    /// The next rows, if there are any now.
    pub(crate) fn poll(&mut self) -> Option<Block> {
        let mut silent = 0;
        while silent < self.lanes.len() && !self.is_ended() {
            let at = self.next;
            let (lane, ended) = &mut self.lanes[at];
            match lane.pop() {
                Some(Message::Frame(frame)) => {
                    return Some(Block {
                        output: self.output,
                        lane: at,
                        frame,
                    });
                }
                Some(Message::Mark(Mark::End | Mark::Stop)) => {
                    *ended = true;
                    self.turn();
                }
                Some(Message::Mark(Mark::ChunkEnd | Mark::SplitEnd)) => self.turn(),
                Some(Message::Mark(Mark::Watermark(_) | Mark::Barrier(_))) => {}
                None if self.order != Order::Free => return None,
                None => {
                    silent += 1;
                    self.turn();
                }
            }
        }
        None
    }

    fn turn(&mut self) {
        self.next = (self.next + 1) % self.lanes.len();
    }

    /// Gives a block of this output back.
    pub(crate) fn give_back(&mut self, block: Block) {
        let lane = &mut self.lanes[block.lane].0;
        lane.give_back(block.frame);
        lane.end_turn();
    }

    /// Wakes shards that wait for room.
    pub(crate) fn end_turn(&mut self) {
        self.lanes.iter_mut().for_each(|(lane, _)| lane.end_turn());
    }

    /// Whether all was given.
    pub(crate) fn is_ended(&self) -> bool {
        self.lanes.iter().all(|(_, ended)| *ended)
    }

    /// Whether [`Self::poll`] has to look again.
    pub(crate) fn has_more(&self) -> bool {
        match self.order {
            Order::Free => self.lanes.iter().any(|(lane, _)| !lane.is_empty()),
            Order::Chunks { .. } => {
                let next = self.lanes.get(self.next);
                next.is_some_and(|(lane, _)| !lane.is_empty())
            }
        }
    }
}
