//! The time, for an operator that holds changes back: it is offered between two items, and nothing
//! else is taken until all that it sets free has gone on.

use super::failing::End;
use super::made::Operator;
use super::{Chain, Item, drive};
use crate::error::Result;
use crate::frame::Frame;
use crate::mesh::Flow;
use crate::operator::aggregate::Progress;
use crate::program::{ChangesSpec, OperatorSpec};
use crate::snapshot::Recorder;

/// Which operator of a chain waits for its time, and how far it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticks {
    /// Its level.
    level: Option<usize>,
    /// What it set free has not all gone on.
    pub(super) is_ticking: bool,
    /// Of some other item not all was taken.
    pub(super) is_amid: bool,
}

impl Ticks {
    pub(super) fn of(operators: &[OperatorSpec]) -> Self {
        let waits = |o: &OperatorSpec| match o {
            OperatorSpec::Changing(ChangesSpec::Paced(spec)) => spec.every_ns.is_some(),
            _ => false,
        };
        Self {
            level: operators.iter().position(waits),
            is_ticking: false,
            is_amid: false,
        }
    }
}

impl Operator {
    /// Writes what the time sets free into `out`, as far as there is room.
    ///
    /// # Errors
    /// As [`crate::operator::paced::Paced::emit`].
    pub(super) fn tick(&mut self, out: &mut Frame) -> Result<Flow> {
        let waits = match self {
            Self::Changing(changing) => changing.paced(),
            _ => None,
        };
        let waits = waits.expect("the time is told to what waits for it");
        Ok(match waits.emit(out)? {
            Progress::Done => Flow::Done,
            Progress::Full => Flow::Full,
        })
    }
}

impl Chain {
    /// Whether an operator waits for its time here.
    pub(crate) fn waits(&self) -> bool {
        self.ticks.level.is_some()
    }

    /// Tells the time. Returns whether something moved; `fuel` is as in [`Chain::offer`].
    pub(crate) fn tick(
        &mut self,
        now_ns: i64,
        fuel: &mut u32,
        recorder: &mut Recorder,
    ) -> Result<bool> {
        let Some(level) = self.ticks.level else {
            return Ok(false);
        };
        if self.ticks.is_amid {
            return Ok(false);
        }
        let levels = &mut self.levels[level..];
        if !self.ticks.is_ticking {
            let waits = match &mut levels[0].operator {
                Operator::Changing(changing) => changing.paced(),
                _ => None,
            };
            self.ticks.is_ticking = waits.is_some_and(|changes| changes.is_due(now_ns));
        }
        if !self.ticks.is_ticking {
            return Ok(false);
        }
        let given = *fuel;
        let mut end = End {
            applies: false,
            sink: &mut self.sink,
            counters: &mut self.ports[0].counters,
            of_input: self.of_input,
            failed: &mut self.failed,
            late: self.late.as_mut(),
            recorder,
        };
        let flow = drive(levels, &mut end, Item::Tick, fuel)?;
        self.ticks.is_ticking = flow == Flow::Full;
        Ok(flow == Flow::Done || *fuel < given)
    }
}
