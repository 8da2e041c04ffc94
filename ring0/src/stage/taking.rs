//! How each operator takes a frame.

use super::Level;
use super::failing::{End, OnError};
use super::late::drop_late;
use super::made::Operator;
use super::rows::{append, pass, resume, spread_out};
use crate::error::Result;
use crate::frame::Frame;
use crate::kernel::{Evaluator, Projection, RowError, has_failed};
use crate::lineage::OfInput;
use crate::mesh::Flow;
use crate::operator::windows::Windows;

impl Level {
    /// Takes as much of a frame as there is room for its results.
    pub(super) fn take(&mut self, frame: &Frame, end: &mut End<'_>) -> Result<Flow> {
        let begins = self.taken == 0;
        let (out, taken, on_error) = (&mut self.out, &mut self.taken, self.on_error);
        match &mut self.operator {
            Operator::Filter {
                condition,
                rows,
                of_input,
            } => {
                if begins {
                    select(condition, (on_error, *of_input), frame, rows, end)?;
                }
                Ok(append(out, frame, rows, taken))
            }
            Operator::DropLate {
                rule,
                rows,
                of_input,
            } => {
                if begins {
                    drop_late(rule, *of_input, frame, rows, end);
                }
                Ok(append(out, frame, rows, taken))
            }
            Operator::Unnest { unnest, of_input } => {
                if begins {
                    end.counters.rows_filtered += unnest.begin(frame, *of_input);
                }
                let end = unnest.len().min(*taken + out.room());
                unnest.append(frame, *taken, end, out);
                Ok(resume(taken, end, unnest.len()))
            }
            Operator::Sets(sets) => Ok(sets.take(frame, taken, out)),
            Operator::Windows { windows, of_input } => {
                if begins {
                    spread(windows, (on_error, *of_input), frame, end)?;
                }
                Ok(spread_out(windows, frame, taken, out))
            }
            Operator::Applied { of_input } => {
                if begins {
                    end.counters.rows_applied += of_input.of(frame);
                }
                Ok(pass(frame, taken, out))
            }
            Operator::Project {
                projection,
                kept,
                of_input,
            } => {
                if begins {
                    *kept = evaluate(projection, (on_error, *of_input), frame, end)?;
                }
                Ok(append_results(projection, kept, frame, taken, out))
            }
            Operator::Aggregate(state) => {
                if begins {
                    end.counters.rows_applied += state.applies.of(frame);
                }
                let upto = state.take(frame, *taken, out)?;
                Ok(resume(taken, upto, frame.rows()))
            }
            Operator::Ordered(ordered) => {
                ordered.update(frame);
                end.counters.rows_applied += ordered.applies.of(frame);
                Ok(Flow::Done)
            }
            Operator::MarkFirst(state) => {
                let upto = frame.rows().min(*taken + out.room());
                state.mark(frame, *taken, upto, out)?;
                Ok(resume(taken, upto, frame.rows()))
            }
            Operator::Join(join) => joined(join.take(frame, out), on_error, frame, end),
            Operator::IntervalJoin(join) => joined(join.take(frame, out), on_error, frame, end),
            Operator::NearestJoin(join) => Ok(join.take(frame, out)),
            Operator::RegularJoin(join) => joined(join.take(frame, out), on_error, frame, end),
            Operator::Changing(changing) => changing.take_more(frame, taken, end, out),
            Operator::FilterChanges(filter) => filter.take(frame, on_error, end, out),
        }
    }
}

/// What a join made of a frame.
fn joined(
    (flow, failed): (Flow, Vec<RowError>),
    on_error: OnError,
    frame: &Frame,
    end: &mut End<'_>,
) -> Result<Flow> {
    if !failed.is_empty() {
        end.note(failed, (on_error, OfInput::None), frame, &mut Vec::new())?;
    }
    Ok(flow)
}

/// Finds the rows that a filter lets pass.
fn select(
    condition: &mut Evaluator,
    (on_error, of_input): (OnError, OfInput),
    frame: &Frame,
    rows: &mut Vec<u32>,
    end: &mut End<'_>,
) -> Result<()> {
    rows.clear();
    let failed = condition.select_rest(frame, rows);
    let mut others = of_input.of(frame);
    if !failed.is_empty() {
        others -= end.note(failed, (on_error, of_input), frame, rows)?;
    }
    end.counters.rows_filtered += others - of_input.of_rows(frame, rows);
    Ok(())
}

/// Appends the results of rows from `*taken` on, counted among those that are kept where not all
/// are, as far as there is room.
fn append_results(
    projection: &Projection,
    kept: &Option<Vec<u32>>,
    frame: &Frame,
    taken: &mut usize,
    out: &mut Frame,
) -> Flow {
    let all = kept.as_ref().map_or(frame.rows(), Vec::len);
    let upto = all.min(*taken + out.room());
    match kept {
        None => projection.append(frame, *taken..upto, out),
        Some(rows) => projection.append_rows(frame, &rows[*taken..upto], out),
    }
    resume(taken, upto, all)
}

/// Puts the rows of a frame into windows.
fn spread(
    windows: &mut Windows,
    of: (OnError, OfInput),
    frame: &Frame,
    end: &mut End<'_>,
) -> Result<()> {
    let (late, failed) = windows.begin(frame);
    end.counters.rows_late += late;
    if !failed.is_empty() {
        let mut rows = (0..frame.rows() as u32).collect();
        end.note(failed, of, frame, &mut rows)?;
        windows.keep(rows.len());
    }
    Ok(())
}

/// Evaluates a projection. Gives the rows that have results, where not all have.
fn evaluate(
    projection: &mut Projection,
    of: (OnError, OfInput),
    frame: &Frame,
    end: &mut End<'_>,
) -> Result<Option<Vec<u32>>> {
    let failed = projection.evaluate_rest(frame);
    if failed.is_empty() {
        return Ok(None);
    }
    let rows = 0..frame.rows() as u32;
    let mut rows = rows.filter(|row| !has_failed(&failed, *row)).collect();
    end.note(failed, of, frame, &mut rows)?;
    Ok(Some(rows))
}
