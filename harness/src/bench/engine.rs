//! One run of the engine: timed from before its shards start until the host has its last row, and
//! with every row accounted for.

use std::time::Instant;

use trefoil::Engine;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::program::Program;
use trefoil_ring0::runtime::{Config, Executor, ShardReport, start};

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

/// What the shards of an engine run on, as it says itself.
pub(super) fn executor_of(engine: &Engine) -> Result<Option<&'static str>, Failure> {
    let rows = engine.query("SELECT executor FROM trefoil.shards", &[])?;
    let row = rows.iter().flat_map(trefoil::engine::rows).next();
    let name = row.map(|row| row.get::<String>("executor")).transpose()?;
    Ok(name.map(|name| match name.as_str() {
        "threads" => executor_name(Executor::Threads),
        _ => executor_name(Executor::Uring),
    }))
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
