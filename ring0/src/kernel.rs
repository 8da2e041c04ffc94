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
        })
    }

    /// One value per row of `frame`.
    ///
    /// # Errors
    /// The error of the first row that errs.
    pub fn evaluate<'a>(&'a mut self, frame: &'a Frame) -> Result<&'a Column, RowError> {
        self.run(frame, None)?;
        Ok(self.root.column(frame))
    }

    /// As [`Evaluator::evaluate`], but only rows whose bit is set in `active` may raise an error;
    /// the values of other rows that would are unspecified.
    ///
    /// # Errors
    /// The error of the first active row that errs.
    pub fn evaluate_active<'a>(
        &'a mut self,
        frame: &'a Frame,
        active: &Bitmap,
    ) -> Result<&'a Column, RowError> {
        assert_eq!(active.len(), frame.rows(), "one bit a row");
        self.run(frame, Some(active))?;
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
        let Column::Bool(column) = self.evaluate(frame)? else {
            panic!("a filter is a BOOLEAN");
        };
        // A NULL's bit is zero, so the values alone say which rows stay.
        for (w, &word) in column.values.words().iter().enumerate() {
            let mut word = word;
            while word != 0 {
                rows.push((w * 64) as u32 + word.trailing_zeros());
                word &= word - 1;
            }
        }
        Ok(())
    }

    fn run(&mut self, frame: &Frame, active: Option<&Bitmap>) -> Result<(), RowError> {
        let mut error = None;
        let mut run = Run {
            frame,
            active,
            error: &mut error,
            text: &mut self.text,
        };
        self.root.run(&mut run);
        error.map_or(Ok(()), Err)
    }
}

/// The expressions of a projection, ready to be evaluated over frames of one schema.
#[derive(Debug)]
pub struct Projection {
    evaluators: Vec<Evaluator>,
    active: Bitmap,
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
            active: Bitmap::default(),
        })
    }

    /// Appends all rows of `frame`, projected, to `out`, which has room for them.
    ///
    /// # Errors
    /// The error of the first row that errs; then `out` is as before.
    pub fn apply(&mut self, frame: &Frame, out: &mut Frame) -> Result<(), RowError> {
        self.apply_range(frame, 0, frame.rows(), out)
    }

    /// Appends the rows from `from_row` to below `to_row`, projected, to `out`, which has room
    /// for them. All of `frame` is evaluated: to spread one frame over several, use
    /// [`Projection::evaluate`] once and [`Projection::append`] for each.
    ///
    /// # Errors
    /// The error of the first row of the range that errs; then `out` is as before.
    pub fn apply_range(
        &mut self,
        frame: &Frame,
        from_row: usize,
        to_row: usize,
        out: &mut Frame,
    ) -> Result<(), RowError> {
        if (from_row, to_row) == (0, frame.rows()) {
            self.evaluate(frame)?;
        } else {
            self.active.clear();
            self.active.extend(false, from_row);
            self.active.extend(true, to_row - from_row);
            self.active.extend(false, frame.rows() - to_row);
            run_all(&mut self.evaluators, frame, Some(&self.active))?;
        }
        self.append(frame, from_row..to_row, out);
        Ok(())
    }

    /// Appends the rows `rows` of `frame`, projected, to `out`, which has room for them. Only
    /// those rows may raise an error.
    ///
    /// # Errors
    /// The error of the first of the rows that errs; then `out` is as before.
    pub fn apply_rows(
        &mut self,
        frame: &Frame,
        rows: &[u32],
        out: &mut Frame,
    ) -> Result<(), RowError> {
        self.active.clear();
        self.active.extend(false, frame.rows());
        for &row in rows {
            self.active.set(row as usize, true);
        }
        run_all(&mut self.evaluators, frame, Some(&self.active))?;
        for (to, evaluator) in out.columns.iter_mut().zip(&self.evaluators) {
            to.append_rows(evaluator.root.column(frame), rows);
        }
        out.commit_rows(rows.len());
        Ok(())
    }

    /// Evaluates all expressions over `frame`, for [`Projection::append`].
    ///
    /// # Errors
    /// The error of the first row that errs.
    pub fn evaluate(&mut self, frame: &Frame) -> Result<(), RowError> {
        run_all(&mut self.evaluators, frame, None)
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
}

/// Evaluates all, and gives the error of the first row that errs in any.
fn run_all(
    evaluators: &mut [Evaluator],
    frame: &Frame,
    active: Option<&Bitmap>,
) -> Result<(), RowError> {
    let mut first: Option<RowError> = None;
    for evaluator in evaluators {
        if let Err(error) = evaluator.run(frame, active)
            && first.as_ref().is_none_or(|f| error.row < f.row)
        {
            first = Some(error);
        }
    }
    first.map_or(Ok(()), Err)
}
