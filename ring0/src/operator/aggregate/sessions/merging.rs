//! Two sessions that become one: the cells of the one that goes are added to the other's, by a plan
//! for state as it passes between phases. It never reads rows.

use std::sync::Arc;

use crate::error::Result;
use crate::frame::Frame;
use crate::operator::aggregate::cells::{Plan, partial_schema};
use crate::program::{AggregateSpec, Phase};
use crate::schema::Schema;

/// How the cells of one session are added to those of another: as state between phases is.
#[derive(Debug)]
pub(super) struct Merging {
    pub(super) plan: Plan,
    pub(super) state: Frame,
}

impl Merging {
    /// For the sessions of `spec`, in slots whose state begins at word `state_at`.
    pub(super) fn new(spec: &AggregateSpec, state_at: usize) -> Result<Self> {
        let (calls, results) = (spec.calls.clone(), spec.results().to_vec());
        let input = Arc::new(partial_schema(&spec.input, &[], &calls)?);
        let last = AggregateSpec {
            input: Arc::clone(&input),
            keys: Vec::new(),
            phase: Phase::Final,
            window: None,
            output: Arc::new(Schema::new(results)),
            calls,
        };
        Ok(Self {
            plan: Plan::new(&last, state_at)?,
            state: Frame::new(&input, 1),
        })
    }
}
