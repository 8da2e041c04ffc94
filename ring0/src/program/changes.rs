//! What operators over a changelog are told: their rows' last column says what each does.

use std::sync::Arc;

use super::AggregateSpec;
use crate::operator::paced::PacedSpec;
use crate::operator::ranked::RankedSpec;
use crate::schema::Schema;

/// An operator over a changelog.
#[derive(Debug, Clone)]
pub enum ChangesSpec {
    /// Groups rows that come and go: [`Phase::Changes`](super::Phase::Changes), or
    /// [`Phase::Complete`](super::Phase::Complete), once the input has ended. Without a window.
    Aggregate(Arc<AggregateSpec>),
    /// Tells which rows are the first of their kind that come, or the last that go: what counts
    /// with DISTINCT.
    MarkFirst {
        /// The columns that say the kind.
        keys: Vec<usize>,
        /// The result's columns: the input's with a BOOLEAN before the changelog's.
        schema: Arc<Schema>,
    },
    /// Makes a deletion and an insertion of an update whose rows differ by these columns: they
    /// are about to part.
    Apart(Vec<usize>),
    /// Computes over the rows around each row.
    Ranked(Arc<RankedSpec>),
    /// Rows of a source, its rows no more from here on: by these columns what comes takes the place
    /// of what stands. Without any, changes are told as they were.
    Captured(Vec<usize>),
    /// Holds changes back, and tells of what is left of them from time to time. Of one program at
    /// most one stage has it, and that once.
    Paced(PacedSpec),
}

impl ChangesSpec {
    /// The columns that it makes; `None` where they are its input's.
    pub fn columns(&self) -> Option<&Arc<Schema>> {
        match self {
            Self::Aggregate(spec) => Some(&spec.output),
            Self::MarkFirst { schema, .. } => Some(schema),
            Self::Apart(_) | Self::Captured(_) | Self::Paced(_) => None,
            Self::Ranked(spec) => Some(&spec.output),
        }
    }
}
