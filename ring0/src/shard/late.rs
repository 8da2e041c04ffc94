//! What becomes of a source's rows that came too late: they are counted by whose watermark they
//! were late for, and go to an output of their own, if there is one, in the order of the source.
//! Each goes once, however many stages dropped it.

use super::Consumer;
use crate::frame::Frame;
use crate::mesh::Flow;
use crate::message::Mark;
use crate::schema::Schema;
use crate::source::Source;
use crate::stage::{Chain, Item, Sink};

/// Where a source's late rows go.
#[derive(Debug)]
pub(crate) struct Late {
    /// The output, and rows that it has not taken yet.
    told: Option<(Sink, Frame)>,
    /// Numbers of rows of the frame in hand.
    rows: Vec<u32>,
    /// A mark that has to follow.
    pub(super) mark: Option<Mark>,
}

impl Late {
    /// Into an output of these columns, if anywhere.
    pub(crate) fn new(output: Option<(Sink, &Schema)>) -> Self {
        // As many as a frame of the source has, however large it is.
        let frame = |schema: &Schema| Frame::new(schema, usize::MAX);
        Self {
            told: output.map(|(sink, schema)| (sink, frame(schema))),
            rows: Vec::new(),
            mark: None,
        }
    }

    /// Takes what chains say of the frame that they took.
    /// `own` are the watermarks of rows' own splits, where they carry others.
    pub(super) fn take(
        &mut self,
        (source, own): (&Source, &[i64]),
        chains: &mut [Chain],
        consumers: &[Consumer],
    ) {
        self.rows.clear();
        for to in consumers {
            let chain = &mut chains[to.chain];
            let Some(late) = chain.late.as_mut().filter(|late| !late.is_empty()) else {
                continue;
            };
            let mut for_others = 0;
            for late in late.drain(..) {
                let bound = own.get(late.row as usize);
                if bound.is_some_and(|bound| *bound < late.from_ns) {
                    for_others += late.counted;
                }
                self.rows.push(late.row);
            }
            let counters = &mut chain.ports[to.port].counters;
            counters.rows_late -= for_others;
            counters.rows_late_idle += for_others;
        }
        if let Some((_, out)) = self.told.as_mut().filter(|_| !self.rows.is_empty()) {
            self.rows.sort_unstable();
            self.rows.dedup();
            for (to, from) in out.columns.iter_mut().zip(&source.frame().columns) {
                to.append_rows(from, &self.rows);
            }
            out.commit_rows(self.rows.len());
        }
    }

    /// Sends what there is. Returns whether all of it was taken.
    pub(super) fn send(&mut self, moved: &mut bool) -> bool {
        let Some((sink, out)) = &mut self.told else {
            return true;
        };
        if out.rows() > 0 {
            if sink.offer(Item::Frame(out)) == Flow::Full {
                return false;
            }
            out.clear();
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
        match &mut self.told {
            Some((Sink::Output { lane, .. }, out)) => {
                lane.end_turn() || self.mark.is_some() || out.rows() > 0
            }
            Some((Sink::Exchange(_), _)) | None => false,
        }
    }
}
