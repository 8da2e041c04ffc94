//! Vectorised evaluation of expressions over the columns of a frame.
//!
//! An [`Evaluator`] is made once for an expression and the columns it reads. It owns one scratch
//! column per operation, so that numeric expressions allocate nothing once those have grown.
//! Constants stay scalars where an operation takes them, and NULLs are carried as words of bits.
//!
//! Invariants: a column of the input is never copied to be read; a NULL's value is zero; an error
//! is that of the first row, in row order, whose value is asked for. It never looks at the clock
//! and never panics on data.

mod arithmetic;
mod binary;
mod branch;
mod cast;
mod check;
mod compare;
mod decimal;
mod generic;
mod like;
mod logic;
mod node;
mod temporal;
mod text;

pub use self::cast::castable;
pub use self::check::operable;
pub use self::generic::{Generic, ScalarKernel};

#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::column::{Bitmap, Column};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::frame::Frame;
use crate::schema::Schema;

use node::{Node, Run};

/// An expression failed on a row's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The first row, in row order, that errs.
    pub row: u32,
    /// What was wrong.
    pub message: String,
}

/// Rows on which expressions failed: each once, with the operation that came first on it.
#[derive(Debug, Default)]
struct Failures {
    rows: Bitmap,
    errors: Vec<RowError>,
}

impl Failures {
    #[cold]
    fn note(&mut self, row: usize, message: impl FnOnce() -> String) {
        if self.rows.len() <= row {
            self.rows.extend(false, row + 1 - self.rows.len());
        }
        if !self.rows.get(row) {
            self.rows.set(row, true);
            self.errors.push(RowError {
                row: row as u32,
                message: message(),
            });
        }
    }

    /// What was noted, in row order; none of it is here any more.
    fn take(&mut self) -> Vec<RowError> {
        self.rows.clear();
        let mut errors = std::mem::take(&mut self.errors);
        errors.sort_unstable_by_key(|error| error.row);
        errors
    }
}

/// Whether a row is one of those, which are in row order, that failed.
pub(crate) fn has_failed(failed: &[RowError], row: u32) -> bool {
    failed.binary_search_by_key(&row, |error| error.row).is_ok()
}

impl From<RowError> for Error {
    fn from(error: RowError) -> Self {
        Self::Row {
            message: error.message,
        }
    }
}

/// An expression, ready to be evaluated over frames of one schema.
///
/// ```
/// # use trefoil_ring0::{column::Column, expr::*, frame::Frame, kernel::Evaluator, schema::*};
/// # use arrow_schema::DataType;
/// let schema = Schema::new(vec![Field::new("n", DataType::Int64)]);
/// let big = Expr::Binary(
///     BinaryOp::Gt,
///     Box::new(Expr::Column(0)),
///     Box::new(Expr::Literal(Scalar::I64(1))),
/// );
/// let mut frame = Frame::new(&schema, 3);
/// if let Column::I64(n) = &mut frame.columns[0] {
///     [Some(1), None, Some(2)].map(|v| n.push(v));
/// }
/// frame.commit_rows(3);
/// let mut rows = Vec::new();
/// Evaluator::new(&big, &schema)?.select(&frame, &mut rows).expect("no row errs");
/// assert_eq!(rows, [2]);
/// # Ok::<(), trefoil_ring0::error::Error>(())
/// ```
#[derive(Debug)]
pub struct Evaluator {
    root: Node,
    /// Scratch memory for texts.
    text: String,
    failures: Failures,
}

impl Evaluator {
    /// Checks the types of `expr` over columns of `schema`.
    ///
    /// # Errors
    /// [`Error::Program`] where the expression has no type or is not supported.
    pub fn new(expr: &Expr, schema: &Schema) -> Result<Self> {
        Ok(Self {
            root: Node::new(expr, schema, 0)?,
            text: String::new(),
            failures: Failures::default(),
        })
    }

    /// One value per row of `frame`.
    ///
    /// # Errors
    /// The error of the first row that errs.
    pub fn evaluate<'a>(&'a mut self, frame: &'a Frame) -> Result<&'a Column, RowError> {
        self.run(frame);
        if let Some(error) = self.failures.take().into_iter().next() {
            return Err(error);
        }
        Ok(self.root.column(frame))
    }

    /// Evaluates to a boolean and appends the indices of the rows where it is true: neither NULL
    /// nor false.
    ///
    /// # Errors
    /// The error of the first row that errs.
    ///
    /// # Panics
    /// Where the expression is no BOOLEAN.
    pub fn select(&mut self, frame: &Frame, rows: &mut Vec<u32>) -> Result<(), RowError> {
        let failed = self.select_rest(frame, rows);
        failed.into_iter().next().map_or(Ok(()), Err)
    }

    /// As [`Evaluator::select`]; rows that err are left out, and given in row order.
    pub(crate) fn select_rest(&mut self, frame: &Frame, rows: &mut Vec<u32>) -> Vec<RowError> {
        self.run(frame);
        let Column::Bool(column) = self.root.column(frame) else {
            panic!("a filter is a BOOLEAN");
        };
        let first = rows.len();
        // A NULL's bit is zero, so the values alone say which rows stay.
        for (w, &word) in column.values.words().iter().enumerate() {
            let mut word = word;
            while word != 0 {
                rows.push((w * 64) as u32 + word.trailing_zeros());
                word &= word - 1;
            }
        }
        let failed = self.failures.take();
        if !failed.is_empty() {
            let selected = rows.split_off(first);
            let stays = |row: &u32| !has_failed(&failed, *row);
            rows.extend(selected.into_iter().filter(stays));
        }
        failed
    }

    /// Evaluates; the values of rows that err are unspecified.
    fn run(&mut self, frame: &Frame) {
        self.root.run(&mut Run {
            frame,
            active: None,
            failures: &mut self.failures,
            text: &mut self.text,
        });
    }
}

/// The expressions of a projection, ready to be evaluated over frames of one schema.
#[derive(Debug)]
pub struct Projection {
    evaluators: Vec<Evaluator>,
}

impl Projection {
    /// Checks the types of `exprs` over columns of `schema`.
    ///
    /// # Errors
    /// As [`Evaluator::new`].
    pub fn new(exprs: &[Expr], schema: &Schema) -> Result<Self> {
        Ok(Self {
            evaluators: exprs
                .iter()
                .map(|expr| Evaluator::new(expr, schema))
                .collect::<Result<_>>()?,
        })
    }

    /// Evaluates all expressions over `frame`, for [`Projection::append`].
    ///
    /// # Errors
    /// The error of the first row that errs.
    pub fn evaluate(&mut self, frame: &Frame) -> Result<(), RowError> {
        let failed = self.evaluate_rest(frame);
        failed.into_iter().next().map_or(Ok(()), Err)
    }

    /// As [`Projection::evaluate`]; rows that err are given in row order, and have no results.
    pub(crate) fn evaluate_rest(&mut self, frame: &Frame) -> Vec<RowError> {
        let mut failed = Vec::new();
        for evaluator in &mut self.evaluators {
            evaluator.run(frame);
            failed.append(&mut evaluator.failures.take());
        }
        // Of errors on one row the first expression's is told: sorting keeps their order.
        failed.sort_by_key(|error| error.row);
        failed.dedup_by_key(|error| error.row);
        failed
    }

    /// Appends the rows `range` of the results to `out`, which has room for them; `frame` is the
    /// one last evaluated.
    pub fn append(&self, frame: &Frame, range: Range<usize>, out: &mut Frame) {
        assert_eq!(
            out.columns.len(),
            self.evaluators.len(),
            "one column an expression"
        );
        for (to, evaluator) in out.columns.iter_mut().zip(&self.evaluators) {
            to.append_range(evaluator.root.column(frame), range.clone());
        }
        out.commit_rows(range.len());
    }

    /// As [`Projection::append`], of single rows.
    pub(crate) fn append_rows(&self, frame: &Frame, rows: &[u32], out: &mut Frame) {
        for (to, evaluator) in out.columns.iter_mut().zip(&self.evaluators) {
            to.append_rows(evaluator.root.column(frame), rows);
        }
        out.commit_rows(rows.len());
    }
}
