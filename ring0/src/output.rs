//! Results leaving Ring 0. An output is a lane whose receiver is the host; a [`Block`] is what
//! the host sees of a frame: rows to read, and then to be given back.

use crate::frame::Frame;
use crate::id::OutputId;

/// Result rows of one output.
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

    /// The rows.
    pub fn rows(&self) -> &Frame {
        &self.frame
    }
}
