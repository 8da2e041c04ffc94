//! Rows on which an expression fails. Where a chain reads a source they are left out and noted, and
//! what becomes of them is the source's to say: it knows the record. On their way there the numbers
//! of rows are led back through the operators, from what leaves each to what it was given; nothing
//! is kept for this as long as no row fails.

use super::{ChainInput, Item, LateRow, Level, Operator, Sink};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::kernel::RowError;
use crate::lineage::OfInput;
use crate::mesh::Flow;
use crate::metrics::QueryCounters;
use crate::program::{BadData, OperatorSpec};
use crate::snapshot::Recorder;

/// What an operator does where an expression fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnError {
    /// The program ends: nobody knows the record.
    End,
    /// The program ends: an element of a list would be left out and counted nowhere.
    EndUntold,
    /// The first row that fails is noted, and none goes on from there.
    Stop,
    /// Rows that fail are noted, and the others go on.
    LeaveOut,
}

impl OnError {
    /// At the beginning of a chain.
    pub(super) fn of(input: ChainInput<'_>) -> Self {
        match input {
            ChainInput::Exchange(_) => Self::End,
            ChainInput::Source(source) => match source.bad_data {
                BadData::Fail => Self::Stop,
                BadData::Skip | BadData::DeadLetters(_) => Self::LeaveOut,
            },
        }
    }
}

impl OnError {
    /// Behind an operator. Groups come from no one record. An element of a list that was left out
    /// would be counted nowhere, unless it is told: a row counts where its first element goes.
    pub(super) fn behind(self, operator: &OperatorSpec, input: ChainInput<'_>) -> Self {
        match (operator, input) {
            (
                OperatorSpec::Aggregate(_)
                | OperatorSpec::Sessions(_)
                | OperatorSpec::Panes(_)
                | OperatorSpec::Sort(_)
                | OperatorSpec::Over(_)
                | OperatorSpec::Latest(_)
                | OperatorSpec::Join(_)
                | OperatorSpec::Changing(_),
                _,
            ) => Self::End,
            (
                OperatorSpec::Unnest { .. } | OperatorSpec::Windows(_) | OperatorSpec::Repeat(_),
                ChainInput::Source(source),
            ) if source.bad_data == BadData::Skip => Self::EndUntold,
            _ => self,
        }
    }
}

/// What lies behind a chain's operators, and what they tell.
pub(super) struct End<'a> {
    pub(super) sink: &'a mut Sink,
    /// Rows of the input that leave are applied.
    pub(super) applies: bool,
    pub(super) counters: &'a mut QueryCounters,
    pub(super) of_input: OfInput,
    pub(super) failed: &'a mut Vec<RowError>,
    /// Rows that were late, where they are told.
    pub(super) late: Option<&'a mut Vec<LateRow>>,
    pub(super) recorder: &'a mut Recorder,
}

impl End<'_> {
    pub(super) fn offer(&mut self, item: Item<'_>) -> Flow {
        let flow = self.sink.offer(item);
        let applies = self.applies
            || match &self.sink {
                Sink::Exchange(exchange) => exchange.has_combined(),
                Sink::Output { .. } => false,
            };
        if let (Flow::Done, Item::Frame(frame), true) = (flow, item, applies) {
            self.counters.rows_applied += self.of_input.of(frame);
        }
        flow
    }

    /// Notes the rows of `frame` on which an operator failed, of which there are some. `rows` are
    /// the others that would go on. Returns how many of the source's rows failed.
    #[cold]
    pub(super) fn note(
        &mut self,
        failed: Vec<RowError>,
        (on_error, of_input): (OnError, OfInput),
        frame: &Frame,
        rows: &mut Vec<u32>,
    ) -> Result<u64> {
        let numbers: Vec<u32> = failed.iter().map(|error| error.row).collect();
        let mut errors = failed.into_iter();
        match on_error {
            OnError::End => {
                let first = errors.next().expect("some rows failed");
                return Err(first.into());
            }
            OnError::EndUntold => {
                let first = errors.next().expect("some rows failed");
                return Err(Error::Row {
                    message: format!(
                        "{}; of a row that UNNEST or HOP made several of none is left out \
                         uncounted: bad_data = 'dlq' tells of it",
                        first.message
                    ),
                });
            }
            OnError::Stop => {
                rows.retain(|&row| row < numbers[0]);
                self.failed.extend(errors.next());
            }
            OnError::LeaveOut => self.failed.extend(errors),
        }
        let count = of_input.of_rows(frame, &numbers);
        self.counters.rows_failed += count;
        Ok(count)
    }
}

impl End<'_> {
    /// How many rows were noted so far.
    pub(super) fn noted(&self) -> Noted {
        Noted {
            failed: self.failed.len(),
            late: self.late.as_ref().map_or(0, |late| late.len()),
        }
    }

    /// The numbers of the rows that were noted since.
    fn rows_since(&mut self, noted: Noted) -> impl Iterator<Item = &mut u32> {
        let failed = self.failed[noted.failed..].iter_mut();
        let late = self.late.as_mut().map(|late| &mut late[noted.late..]);
        let late = late.into_iter().flatten().map(|late| &mut late.row);
        failed.map(|error| &mut error.row).chain(late)
    }
}

/// How many rows were noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    failed: usize,
    late: usize,
}

impl Level {
    /// Leads rows of what was last written, which were noted since, back to those of the item in
    /// hand.
    #[cold]
    pub(super) fn trace(&self, item: Item<'_>, end: &mut End<'_>, noted: Noted) {
        let found = end.rows_since(noted);
        let Item::Frame(frame) = item else {
            unreachable!("what a mark or the time sets free is no row of a source")
        };
        let rows: Option<&[u32]> = match &self.operator {
            Operator::Filter { rows, .. } | Operator::DropLate { rows, .. } => Some(rows),
            Operator::Project { kept, .. } => kept.as_deref(),
            Operator::Unnest { unnest, .. } => Some(unnest.rows()),
            Operator::Sets(sets) => Some(sets.rows()),
            Operator::Applied { .. } | Operator::MarkFirst(_) => None,
            Operator::Windows { windows, .. } => {
                let end = if self.taken > 0 {
                    self.taken
                } else {
                    windows.len()
                };
                let first = end - self.out.rows();
                for row in found {
                    *row = windows.row_of(first + *row as usize) as u32;
                }
                return;
            }
            Operator::Aggregate(_)
            | Operator::Ordered(_)
            | Operator::FilterChanges { .. }
            | Operator::Join(_)
            | Operator::IntervalJoin(_)
            | Operator::NearestJoin(_)
            | Operator::RegularJoin(_)
            | Operator::Changing(_) => {
                unreachable!("groups and pairs are no rows of a source")
            }
        };
        let all = rows.map_or(frame.rows(), <[u32]>::len);
        let end = if self.taken > 0 { self.taken } else { all };
        let first = end - self.out.rows();
        for row in found {
            let at = first + *row as usize;
            *row = rows.map_or(at as u32, |rows| rows[at]);
        }
    }
}
