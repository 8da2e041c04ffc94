//! What GROUPING SETS have around an aggregation, as it stands in a chain.

use arrow_array::RecordBatch;

use super::{Place, resume};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::mesh::Flow;
use crate::message::Mark;
use crate::operator::repeat::Repeat;
use crate::operator::standing::{Owned, Standing};
use crate::program::OperatorSpec;
use crate::schema::Schema;
use crate::snapshot::NO_STATE;

/// Before the aggregation, and behind it.
#[derive(Debug)]
pub(super) enum Sets {
    Repeat(Repeat),
    Standing(Standing),
}

impl Sets {
    pub(super) fn new(spec: &OperatorSpec, schema: &Schema, place: Place) -> Result<Self> {
        let owned = Owned {
            first: place.first_group,
            count: place.groups,
            is_first: place.shard == 0,
            seed: place.seed,
        };
        Ok(match spec {
            OperatorSpec::Repeat(spec) => Self::Repeat(Repeat::new(spec, schema)?),
            OperatorSpec::Standing(spec) => Self::Standing(Standing::new(spec, schema, owned)?),
            other => unreachable!("{other:?} is not of grouping sets"),
        })
    }

    /// Takes as much of a frame as there is room for its results.
    pub(super) fn take(&mut self, frame: &Frame, taken: &mut usize, out: &mut Frame) -> Flow {
        match self {
            Self::Repeat(repeat) => {
                if *taken == 0 {
                    repeat.begin(frame);
                }
                let upto = repeat.append(frame, *taken, out);
                resume(taken, upto, repeat.len())
            }
            Self::Standing(groups) => {
                let upto = groups.take(frame, *taken, out);
                resume(taken, upto, frame.rows())
            }
        }
    }

    /// Writes what a mark sets free into `out`, as far as there is room.
    pub(super) fn emit(&mut self, mark: Mark, out: &mut Frame) -> Flow {
        match (self, mark) {
            (Self::Standing(groups), Mark::End) => groups.end(out),
            _ => Flow::Done,
        }
    }

    /// The next rows of state for a snapshot; `None` behind the last.
    pub(super) fn save(&mut self) -> Option<RecordBatch> {
        match self {
            Self::Repeat(_) => None,
            Self::Standing(groups) => groups.save(),
        }
    }

    /// Takes rows of state up.
    pub(super) fn load(&mut self, rows: &RecordBatch) -> Result<()> {
        match self {
            Self::Repeat(_) => Err(Error::Restore(NO_STATE.to_owned())),
            Self::Standing(groups) => groups.load(rows),
        }
    }

    /// For each result of a frame in hand the row that it comes from.
    pub(super) fn rows(&self) -> &[u32] {
        match self {
            Self::Repeat(repeat) => repeat.rows(),
            Self::Standing(_) => unreachable!("groups are no rows of a source"),
        }
    }
}
