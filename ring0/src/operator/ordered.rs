//! What waits for the end of its input, and then gives rows in an order of its own.

use crate::error::Result;
use crate::frame::Frame;
use crate::operator::aggregate::Progress;
use crate::operator::latest::Latest;
use crate::operator::over::Over;
use crate::operator::sort::Sort;
use crate::schema::Schema;

/// Rows that are gathered.
#[derive(Debug)]
pub(crate) enum Ordered {
    /// For ORDER BY and LIMIT.
    Sort(Sort),
    /// For OVER.
    Over(Over),
    /// For a table whose rows replace each other.
    Latest(Latest),
}

impl Ordered {
    /// Takes the rows of a frame.
    pub(crate) fn update(&mut self, frame: &Frame) {
        match self {
            Self::Sort(sort) => sort.update(frame),
            Self::Over(over) => over.update(frame),
            Self::Latest(latest) => latest.update(frame),
        }
    }

    /// The rows so far, in the order in which they came: blocks of them, and their columns.
    pub(crate) fn rows(&self) -> (&Schema, &[Frame]) {
        match self {
            Self::Sort(sort) => sort.all(),
            Self::Over(over) => over.all(),
            Self::Latest(latest) => latest.all(),
        }
    }

    /// Writes rows into `out` until it is full; to be called once no more come.
    ///
    /// # Errors
    /// [`crate::error::Error::Row`] where a function fails.
    pub(crate) fn emit(&mut self, out: &mut Frame) -> Result<Progress> {
        match self {
            Self::Sort(sort) => Ok(sort.emit(out)),
            Self::Over(over) => over.emit(out),
            Self::Latest(latest) => Ok(latest.emit(out)),
        }
    }
}
