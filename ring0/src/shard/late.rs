//! What becomes of a source's rows that came too late: they are counted by whose watermark they
//! were late for, and go to an output of their own, if there is one, in the order of the source.
//! Each goes once, however many stages dropped it.

use super::{Aside, Consumer};
use crate::frame::Frame;
use crate::message::Mark;
use crate::schema::Schema;
use crate::source::Source;
use crate::stage::{Chain, Sink};

/// Where a source's late rows go.
#[derive(Debug)]
pub(crate) struct Late {
    /// The output, and rows that it has not taken yet.
    told: Option<(Aside, Frame)>,
    /// Numbers of rows of the frame in hand.
    rows: Vec<u32>,
}

impl Late {
    /// Into an output of these columns, if anywhere.
    pub(crate) fn new(output: Option<(Sink, &Schema)>) -> Self {
        // As many as a frame of the source has, however large it is.
        let frame = |schema: &Schema| Frame::new(schema, usize::MAX);
        Self {
            told: output.map(|(sink, schema)| (Aside::new(sink), frame(schema))),
            rows: Vec::new(),
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

    /// What is told of a chunk ends with this mark.
    pub(super) fn end_chunk(&mut self, mark: Mark) {
        if let Some((to, _)) = &mut self.told {
            to.end_chunk(mark);
        }
    }

    /// Sends what there is. Returns whether all of it was taken.
    pub(super) fn send(&mut self, moved: &mut bool) -> bool {
        let told = self.told.as_mut();
        told.is_none_or(|(to, rows)| to.send(Some(rows), moved))
    }

    /// End of a turn. Returns whether something is still here.
    pub(super) fn end_turn(&mut self) -> bool {
        let told = self.told.as_mut();
        told.is_some_and(|(to, rows)| to.end_turn() || rows.rows() > 0)
    }
}
