//! Queries over input that ends, run to that end within a statement: for their rows, or for what a
//! run of them measures.

use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use trefoil_ring0::runtime::{Next, Running};

use super::workers::Still;
use super::{Engine, Outcome, Received, Results, batch};
use crate::error::Result;
use crate::explain::{Analyze, Measured};

impl Engine {
    /// How long rows are waited for: where the caller's own thread is the shard nothing is.
    fn patience(&self) -> Duration {
        match self.lock().runtime.is_here() {
            true => Duration::ZERO,
            false => Duration::MAX,
        }
    }

    /// All rows of a query over input that ends.
    pub(super) fn collect(&self, mut results: Results) -> Result<Vec<RecordBatch>> {
        let wait = self.patience();
        let mut rows = Vec::new();
        loop {
            self.step();
            match results.next_timeout(wait)? {
                Received::End => return Ok(rows),
                Received::Nothing => {}
                Received::Batch(batch) => rows.push(batch),
            }
        }
    }

    /// Runs a query without its rows, as long as it is wanted, and tells what that measured.
    pub(super) fn measure(
        &self,
        mut running: Running,
        analyze: Analyze,
        still: Still<'_>,
    ) -> Result<Outcome> {
        let (wait, begun) = (self.patience().min(still.look()), Instant::now());
        loop {
            if !still.is_wanted() {
                return Ok(Outcome::Stopped);
            }
            self.step();
            match running.next_block_timeout(wait)? {
                Next::Block(block) => running.give_back(block),
                Next::Barrier(..) | Next::Nothing => {}
                Next::End => break,
            }
        }
        let elapsed = begun.elapsed();
        // Where the caller's own thread is the shard its part comes home in a step.
        self.step();
        let executor = running.executor();
        let reports = running.finish()?;
        let program = &analyze.query.program;
        let measured = Measured::of(program, &reports, executor, elapsed);
        let answer = analyze.answer(measured);
        Ok(Outcome::Rows(vec![batch::answer(&answer)?]))
    }
}
