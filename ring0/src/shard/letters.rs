//! Where bad records are told.

use crate::mesh::Flow;
use crate::message::Mark;
use crate::source::Source;
use crate::stage::{Item, Sink};

/// Where a source tells of bad records, if anywhere: an output that takes chunks in order.
#[derive(Debug)]
pub(crate) struct Letters {
    sink: Option<Sink>,
    /// A mark that has to follow.
    pub(super) mark: Option<Mark>,
}

impl Letters {
    pub(crate) fn new(sink: Option<Sink>) -> Self {
        Self { sink, mark: None }
    }

    /// Sends what there is. Returns whether all of it was taken.
    pub(super) fn send(&mut self, source: &mut Source, moved: &mut bool) -> bool {
        let Some(sink) = &mut self.sink else {
            return true;
        };
        if let Some(letters) = source.letters().filter(|l| l.rows() > 0) {
            if sink.offer(Item::Frame(letters)) == Flow::Full {
                return false;
            }
            letters.clear();
            *moved = true;
        }
        if let Some(mark) = self.mark {
            if sink.offer(Item::Mark(mark)) == Flow::Full {
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
            Some(Sink::Output { lane, .. }) => lane.end_turn() || self.mark.is_some(),
            Some(Sink::Exchange(_)) | None => false,
        }
    }
}
