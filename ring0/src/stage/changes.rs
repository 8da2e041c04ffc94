//! HAVING over a changelog: of an update of which one row passes it leaves a deletion or an
//! insertion.

use super::failing::{End, OnError};
use crate::changelog::{self, is_weighted};
use crate::check::check_filter;
use crate::error::{Result, refuse};
use crate::expr::Expr;
use crate::frame::Frame;
use crate::kernel::Evaluator;
use crate::lineage::OfInput;
use crate::mesh::Flow;
use crate::schema::Schema;

/// A filter of a changelog.
#[derive(Debug)]
pub(super) struct ChangesFilter {
    condition: Box<Evaluator>,
    rows: Vec<u32>,
    ops: Vec<i8>,
}

impl ChangesFilter {
    /// Of rows of `schema`; `in_changes`: the stage has an aggregation that gives them.
    pub(super) fn new(expr: &Expr, schema: &Schema, in_changes: bool) -> Result<Self> {
        if !in_changes || !is_weighted(schema) {
            return refuse("a filter of a changelog, and there is none".to_owned());
        }
        let condition = Box::new(Evaluator::new(expr, schema)?);
        check_filter(expr, schema)?;
        Ok(Self {
            condition,
            rows: Vec::new(),
            ops: Vec::new(),
        })
    }

    /// Takes a frame, all of whose results the empty one has room for.
    pub(super) fn take(
        &mut self,
        frame: &Frame,
        on_error: OnError,
        end: &mut End<'_>,
        out: &mut Frame,
    ) -> Result<Flow> {
        self.rows.clear();
        let failed = self.condition.select_rest(frame, &mut self.rows);
        if !failed.is_empty() {
            end.note(failed, (on_error, OfInput::None), frame, &mut self.rows)?;
        }
        changelog::passing(frame, &self.rows, &mut self.ops);
        out.append_rows(frame, &self.rows);
        changelog::set_last(out, &self.ops);
        Ok(Flow::Done)
    }
}
