//! What travels in a ring: a frame, or a mark. Marks stay in order with the frames around them,
//! and a mark enters all of a sender's rings of an exchange before any later frame enters any.

use crate::frame::Frame;

/// An entry of a ring.
#[derive(Debug)]
pub enum Message {
    /// Records.
    Frame(Box<Frame>),
    /// A mark.
    Mark(Mark),
}

/// A point in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// No later record of this lane has an event time below this one (ns), but for late ones.
    Watermark(i64),
    /// The sender's chunk of the file ends here; the next one is another shard's.
    ChunkEnd,
    /// As [`Mark::ChunkEnd`], and the split of which the chunk was the last has ended.
    SplitEnd,
    /// The lane's records before this barrier end here: twice its epoch, and one where what is
    /// before it is kept.
    Barrier(u64),
    /// The lane has no further record.
    End,
    /// The lane has no further record, though its input has not ended: what is still open at the
    /// end of its records is not complete.
    Stop,
}
