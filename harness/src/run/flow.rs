//! The results of a query, and what is told besides, on their way from the shards into outlets;
//! where there is a state directory checkpoints are taken between them.

use std::time::Duration;

use trefoil::PlannedQuery;
use trefoil::output::Shape;
use trefoil_ring0::id::OutputId;
use trefoil_ring0::output::Block;
use trefoil_ring0::runtime::{Next, Running};

use crate::failure::Failure;
use crate::late::LateWays;
use crate::letters::LetterWay;
use crate::say::say;
use crate::sinks::Outlet;
use crate::state::{Keeper, RESULTS};
use crate::stop::Stop;

/// Longest wait for results.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// The results of a query, on their way.
pub(super) struct Flow<'a, 'q> {
    pub(super) query: &'a PlannedQuery,
    pub(super) stop: &'a Stop,
    pub(super) letters: Option<LetterWay<'a>>,
    pub(super) late: LateWays<'q>,
    pub(super) outlet: &'a mut Outlet,
    pub(super) keeper: Option<Keeper<'a>>,
    /// Rows that came.
    pub(super) received: u64,
    /// Nobody wants the others.
    pub(super) is_left: bool,
}

impl Flow<'_, '_> {
    /// Takes all results. Gives how many rows were printed.
    pub(super) fn run(&mut self, running: &mut Running) -> Result<u64, Failure> {
        let control = running.control();
        let shape = Shape {
            columns: &self.query.columns,
            schema: &self.query.program.outputs[0].schema,
            changes: self.query.changes,
        };
        self.outlet.begin(shape)?;
        let before = self.outlet.rows();
        let sources = &self.query.program.sources;
        let is_live = sources.iter().any(|s| s.kind.is_live());
        let mut is_stopped = false;
        loop {
            if !self.is_left && !self.outlet.is_wanted() {
                self.is_left = true;
                if let Some(keeper) = &mut self.keeper {
                    keeper.leave(running);
                }
                control.stop();
            }
            let mut wait = WAIT_MAX;
            self.meet_ended(running)?;
            if let Some(keeper) = &mut self.keeper {
                keeper.turn(running)?;
                if self.stop.wants_checkpoint() {
                    keeper.ask(running);
                }
                if self.stop.is_asked() {
                    keeper.stop(running);
                }
                if keeper.is_stopped() && !is_stopped {
                    is_stopped = true;
                    control.stop();
                }
                wait = keeper.wait();
            }
            match running.next_block_timeout(wait)? {
                Next::Block(block) => {
                    self.take(shape, &block, is_live)?;
                    running.give_back(block);
                }
                Next::Barrier(output, epoch) => self.met(output, epoch)?,
                Next::Nothing => {}
                Next::End => break,
            }
        }
        self.meet_ended(running)?;
        if let Some(keeper) = &mut self.keeper
            && !is_stopped
            && !keeper.takes_rows(RESULTS)
        {
            keeper.end_stopped(running)?;
            is_stopped = true;
            say(&"note: stopped before the end of the results; the next run gives the others");
        }
        if let Some(mut keeper) = self.keeper.take()
            && !is_stopped
        {
            let epoch = keeper.end(running)?;
            keeper.met(RESULTS, epoch, self.outlet.cut(epoch)?);
            self.late.finish(epoch, &mut keeper)?;
            if let Some(letters) = &mut self.letters {
                letters.finish(epoch, &mut keeper)?;
            }
            keeper.finish(epoch)?;
        }
        Ok(self.outlet.rows() - before)
    }

    /// The barrier of an epoch was met in an output.
    fn met(&mut self, output: OutputId, epoch: u64) -> Result<(), Failure> {
        let Some(keeper) = &mut self.keeper else {
            return Ok(());
        };
        if output == RESULTS {
            let prepared = self.outlet.cut(epoch)?;
            keeper.met_behind(self.outlet.rows());
            keeper.met(output, epoch, prepared);
        }
        if let Some(letters) = &mut self.letters {
            letters.met(output, epoch, keeper)?;
        }
        self.late.met(output, epoch, keeper)
    }

    /// What an output gave that has ended is before every barrier that the results meet.
    fn meet_ended(&mut self, running: &Running) -> Result<(), Failure> {
        if let Some(keeper) = &mut self.keeper {
            self.late.meet_ended(running, keeper)?;
            if let Some(letters) = &mut self.letters {
                letters.meet_ended(running, keeper)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, shape: Shape<'_>, block: &Block, is_live: bool) -> Result<(), Failure> {
        let (keeper, output) = (self.keeper.as_ref(), block.output());
        let rows = (block.rows(), block.shard());
        if self.late.take(output, rows, keeper)? {
            return Ok(());
        }
        if let Some(letters) = &mut self.letters
            && letters.take(output, block.rows(), keeper)?
        {
            return Ok(());
        }
        assert_eq!(output, RESULTS, "nothing is told in other outputs");
        self.received += block.rows().rows() as u64;
        if keeper.is_some_and(|keeper| !keeper.takes_rows(RESULTS)) {
            // The next run gives them.
            return Ok(());
        }
        self.outlet.take(shape, block.rows(), block.shard())?;
        match is_live {
            true => self.outlet.flush(),
            false => Ok(()),
        }
    }
}
