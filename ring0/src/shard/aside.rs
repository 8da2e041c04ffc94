//! What is told of a source besides its rows: bad records, and rows that came too late. Each goes
//! to an output that takes chunks in order, and is followed by the marks of its source.

use crate::frame::Frame;
use crate::mesh::Flow;
use crate::message::Mark;
use crate::stage::{Item, Sink};

/// Where it goes.
#[derive(Debug)]
pub(crate) struct Aside {
    sink: Sink,
    /// A mark that has to follow.
    mark: Option<Mark>,
}

impl Aside {
    pub(crate) fn new(sink: Sink) -> Self {
        Self { sink, mark: None }
    }

    /// This mark follows what was told.
    pub(super) fn end_chunk(&mut self, mark: Mark) {
        self.mark = Some(mark);
    }

    /// Sends these rows, if there are any, and clears them, and then the mark. Returns whether all
    /// of it was taken.
    pub(super) fn send(&mut self, rows: Option<&mut Frame>, moved: &mut bool) -> bool {
        if let Some(rows) = rows.filter(|rows| rows.rows() > 0) {
            if self.sink.offer(Item::Frame(rows)) == Flow::Full {
                return false;
            }
            rows.clear();
            *moved = true;
        }
        if let Some(mark) = self.mark {
            if self.sink.offer(Item::Mark(mark)) == Flow::Full {
                return false;
            }
            self.mark = None;
            *moved = true;
        }
        true
    }

    /// End of a turn. Returns whether something is still here.
    pub(super) fn end_turn(&mut self) -> bool {
        match &mut self.sink {
            Sink::Output { lane, .. } => lane.end_turn() || self.mark.is_some(),
            Sink::Exchange(_) => false,
        }
    }
}
