//! One run of the engine: timed from before its shards start until the host has its last row, and
//! with every row accounted for.

use std::time::Instant;

use trefoil_ring0::frame::Frame;
use trefoil_ring0::program::Program;
use trefoil_ring0::runtime::{Config, ShardReport, start};

use crate::failure::Failure;
use crate::machine::executor_name;
use crate::stats::{Rows, Stats};

/// What a run came to.
#[derive(Debug)]
pub(super) struct Timed {
    pub(super) seconds: f64,
    pub(super) executor: &'static str,
    pub(super) reports: Vec<ShardReport>,
}

/// Runs a program to its end; `take` is given its results.
pub(super) fn timed(
    program: &Program,
    config: &Config,
    mut take: impl FnMut(&Frame),
) -> Result<Timed, Failure> {
    let mut received = 0;
    let clock = Instant::now();
    let mut running = start(program, config)?;
    while let Some(block) = running.next_block()? {
        received += block.rows().rows() as u64;
        take(block.rows());
        running.give_back(block);
    }
    let seconds = clock.elapsed().as_secs_f64();
    let executor = executor_name(running.executor());
    let reports = running.finish()?;
    let rows = Rows {
        received,
        printed: received,
    };
    Stats::new(config.shards).add(program, &reports, executor, rows)?;
    Ok(Timed {
        seconds,
        executor,
        reports,
    })
}
