//! What checkpoints cost who is waiting for results: latency and throughput of a GROUP BY under
//! uniform updates with a checkpoint every second and without, by turns in one run; the longest
//! turn of a shard; and how long it takes to go on from a checkpoint, beside reading its files.
//!
//! Records come from a generator, open loop: record i is due at i / rate, whatever became of those
//! before it, and is timed from then until the host has its change. The clock of the generator is
//! set ahead at the start, so that all groups are there before anything is timed.

mod taking;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use trefoil::checkpoints::place_of;
use trefoil::{PlannedQuery, ResultColumn, SourceFile, Step, plan_steps};
use trefoil_ring0::column::Column;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::output::Block;
use trefoil_ring0::runtime::{Config, Idle, Next, Running, Runtime, start_from};
use trefoil_ring0::snapshot::{Piece, Restore};
use trefoil_ring1::checkpoint::Store;

use self::taking::{Directory, Taking};
use super::Setting;
use super::report::{Run, Unit};
use crate::failure::Failure;
use crate::machine::executor_name;

const GROUPS: u64 = 1_000_000;
const QUICK_GROUPS: u64 = 100_000;
/// Time between two checkpoints.
const EVERY: Duration = Duration::from_secs(1);
/// Seconds of a turn: some checkpoints, or none.
const TURN_S: u64 = 2;
/// A minute: what takes longer counts as so much.
const LATENCY_NS_MAX: u64 = 60_000_000_000;
/// Where half of the records without checkpoints wait longer, the shard does not keep up.
const LATENCY_NS_SOUND: u64 = 100_000_000;
/// Who is so far behind what is due has not made all groups yet.
const LAG_NS: i128 = 50_000_000;
const PERCENTILES: [f64; 3] = [50.0, 99.0, 99.9];
/// Time until nothing waits any more of what was due while groups were made.
const SETTLING: Duration = Duration::from_secs(1);
/// Longest wait of the host, so that checkpoints begin in time.
const WAIT: Duration = Duration::from_millis(1);

/// The ratios that a run gives.
pub(super) fn ratios() -> Vec<String> {
    let of = |p: f64| format!("checkpoint/none@p{p}");
    let latencies = PERCENTILES.into_iter().map(of);
    latencies
        .chain(["checkpoint/none@throughput", "recovery/read"].map(str::to_owned))
        .collect()
}

/// One run.
pub(super) fn once(setting: &Setting) -> Result<Run, Failure> {
    let mut run = Run::default();
    if setting.config.cores.len() < 2 {
        run.invalid("a shard, and who takes its results and writes, need two cores".to_owned());
        return Ok(run);
    }
    let usual = if setting.quick { QUICK_GROUPS } else { GROUPS };
    let groups = setting.rows.map_or(usual, |rows| rows as u64);
    let rate = setting.rates.first().copied().unwrap_or(10_000);
    latency(setting, groups, rate, &mut run)?;
    throughput(setting, groups, &mut run)?;
    turns(setting, groups, &mut run)?;
    Ok(run)
}

/// A GROUP BY of so many groups, each changed in turn.
fn query(groups: u64, rate: Option<u64>) -> Result<PlannedQuery, Failure> {
    let rate = rate.map_or_else(String::new, |rate| format!("rate = {rate}, "));
    let text = format!(
        "CREATE SOURCE made (id BIGINT) WITH (connector = 'generator', {rate}\
         fields.id.kind = 'sequence');
         SELECT id % {groups} AS k, COUNT(*) AS n, SUM(id) AS total, MAX(id) AS last FROM made \
         GROUP BY id % {groups} EMIT CHANGES"
    );
    let file = SourceFile {
        name: "checkpoint".to_owned(),
        text,
        base: ".".into(),
    };
    match plan_steps(&[file])?.into_iter().next() {
        Some(Step::Query(query)) => Ok(*query),
        _ => Err(Failure::Running("the script has one query".to_owned())),
    }
}

/// How far the clock of generators is set ahead (ns).
static AHEAD_NS: AtomicI64 = AtomicI64::new(0);

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.map_or(0, |since| since.as_nanos() as i64);
    since + AHEAD_NS.load(Ordering::Relaxed)
}

fn config(setting: &Setting) -> Config {
    Config {
        now: now_ns,
        idle: Idle::Spin,
        ..setting.config(1)
    }
}

/// Numbers of the records whose changes a block has.
fn records(query: &PlannedQuery, rows: &Frame, mut take: impl FnMut(i64)) {
    let index = |column: &ResultColumn| match column {
        ResultColumn::Plain { index, .. } => *index,
        ResultColumn::Window { start, .. } => *start,
    };
    let [op, .., last] = &query.columns[..] else {
        unreachable!("the query has several columns")
    };
    let (Column::Utf8(ops), Column::I64(last)) =
        (&rows.columns[index(op)], &rows.columns[index(last)])
    else {
        unreachable!("what a row does is a text, the last record a BIGINT")
    };
    for row in 0..rows.rows() {
        if ops.get(row).is_some_and(|op| op.starts_with('+')) {
            take(last.values[row]);
        }
    }
}

/// The next results, if some come soon; checkpoints go on meanwhile.
fn next(running: &mut Running, mut taking: Option<&mut Taking>) -> Result<Option<Block>, Failure> {
    if let Some(taking) = taking.as_deref_mut() {
        taking.turn(running)?;
    }
    match running.next_block_timeout(WAIT)? {
        Next::Block(block) => return Ok(Some(block)),
        Next::Barrier(_, epoch) => taking.into_iter().for_each(|t| t.met(epoch)),
        Next::Nothing => {}
        Next::End => return Err(Failure::Running("the generator ended".to_owned())),
    }
    Ok(None)
}

fn histogram() -> Result<Histogram<u64>, Failure> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)
        .map_err(|e| Failure::Running(format!("a histogram: {e}")))
}

/// Whether checkpoints are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checkpoints {
    None,
    Every,
}

impl Checkpoints {
    fn of(turn: u64) -> Self {
        [Self::None, Self::Every][(turn % 2) as usize]
    }
}

/// Some seconds with checkpoints, or without.
struct Slice {
    begun: Instant,
    checkpoints: Checkpoints,
    asked: Option<Instant>,
}

impl Slice {
    fn new(checkpoints: Checkpoints) -> Self {
        Self {
            begun: Instant::now(),
            checkpoints,
            asked: None,
        }
    }

    /// Begins a checkpoint where one is due. Whether it goes on: until its last one is durable.
    fn goes_on(&mut self, taking: &mut Taking, running: &Running) -> bool {
        let is_over = self.begun.elapsed() >= Duration::from_secs(TURN_S);
        if taking.is_under_way() {
            return true;
        }
        let is_due = self.asked.is_none_or(|at| at.elapsed() >= EVERY);
        if self.checkpoints == Checkpoints::Every && is_due && !is_over {
            self.asked = Some(Instant::now());
            taking.begin(running);
        }
        !is_over
    }
}

/// Records at a rate, from when they were due until the host has their changes.
fn latency(setting: &Setting, groups: u64, rate: u64, run: &mut Run) -> Result<(), Failure> {
    let query = query(groups, Some(rate))?;
    AHEAD_NS.store(0, Ordering::Relaxed);
    let mut running = start_from(&query.program, &config(setting), None)?;
    run.executor(executor_name(running.executor()));
    let due = |record: i64| record as i128 * 1_000_000_000 / i128::from(rate);
    let begun = running.begun();
    AHEAD_NS.store(due(groups as i64) as i64, Ordering::Relaxed);
    // All groups, and what was due while they were made.
    let mut reached = -1;
    let lags = |reached| i128::from(now_ns()) - i128::from(begun) - due(reached) > LAG_NS;
    while reached < groups as i64 || lags(reached) {
        if let Some(block) = next(&mut running, None)? {
            records(&query, block.rows(), |record| reached = record.max(reached));
            running.give_back(block);
        }
    }
    let directory = Directory::new()?;
    let mut taking = Taking::new(&directory, &running)?;
    let mut sides = [histogram()?, histogram()?];
    // What waited because of what was made before is nobody's.
    let settled = Instant::now();
    while settled.elapsed() < SETTLING {
        if let Some(block) = next(&mut running, None)? {
            running.give_back(block);
        }
    }
    for turn in 0..setting.seconds.div_ceil(TURN_S) * 2 {
        let side = &mut sides[(turn % 2) as usize];
        let mut slice = Slice::new(Checkpoints::of(turn));
        while slice.goes_on(&mut taking, &running) {
            if let Some(block) = next(&mut running, Some(&mut taking))? {
                let now = i128::from(now_ns());
                records(&query, block.rows(), |record| {
                    let waited = now - due(record) - i128::from(begun);
                    side.saturating_record(u64::try_from(waited).unwrap_or(1).max(1));
                });
                running.give_back(block);
            }
        }
    }
    for (number, name) in ["none", "checkpoint"].into_iter().enumerate() {
        for p in PERCENTILES.into_iter().chain([99.99]) {
            let value = sides[number].value_at_percentile(p) as f64;
            run.add(format!("{name}@p{p}"), Unit::Nanoseconds, value);
        }
        let max = sides[number].max() as f64;
        run.add(format!("{name}@max"), Unit::Nanoseconds, max);
    }
    for p in PERCENTILES {
        let of = |side: &Histogram<u64>| side.value_at_percentile(p) as f64;
        let ratio = of(&sides[1]) / of(&sides[0]).max(1.0);
        run.add(format!("checkpoint/none@p{p}"), Unit::Ratio, ratio);
    }
    if sides[0].value_at_percentile(50.0) > LATENCY_NS_SOUND {
        run.invalid(format!("a shard does not keep up with {rate} records/s"));
    }
    taking.report(run);
    Ok(())
}

/// Records as fast as they go, and then going on from the last checkpoint.
fn throughput(setting: &Setting, groups: u64, run: &mut Run) -> Result<(), Failure> {
    let query = query(groups, None)?;
    AHEAD_NS.store(0, Ordering::Relaxed);
    let mut running = start_from(&query.program, &config(setting), None)?;
    let control = running.control();
    let directory = Directory::new()?;
    let mut taking = Taking::new(&directory, &running)?;
    let mut reached = -1;
    while reached < groups as i64 {
        if let Some(block) = next(&mut running, None)? {
            records(&query, block.rows(), |record| reached = record.max(reached));
            running.give_back(block);
        }
    }
    let (mut rows, mut spent) = ([0; 2], [Duration::ZERO; 2]);
    for turn in 0..setting.seconds.div_ceil(TURN_S) * 2 {
        let side = (turn % 2) as usize;
        let mut slice = Slice::new(Checkpoints::of(turn));
        while slice.goes_on(&mut taking, &running) {
            if let Some(block) = next(&mut running, Some(&mut taking))? {
                // Of an update two rows.
                rows[side] += block.rows().rows() as u64 / 2;
                running.give_back(block);
            }
        }
        spent[side] += slice.begun.elapsed();
    }
    let [none, with] = [0, 1].map(|side| rows[side] as f64 / spent[side].as_secs_f64());
    run.add("none@throughput", Unit::RowsPerSecond, none);
    run.add("checkpoint@throughput", Unit::RowsPerSecond, with);
    run.add("checkpoint/none@throughput", Unit::Ratio, with / none);
    control.stop();
    while let Some(block) = running.next_block()? {
        running.give_back(block);
    }
    drop((running, taking));
    recovery(setting, &query, &directory, run)
}

/// Going on from the newest checkpoint, up to the first change behind it; and its files, only read.
/// Both are in the page cache.
fn recovery(
    setting: &Setting,
    query: &PlannedQuery,
    directory: &Directory,
    run: &mut Run,
) -> Result<(), Failure> {
    let clock = Instant::now();
    let store = Store::open(directory.path())?;
    let Some(checkpoint) = store.newest()? else {
        run.invalid("no checkpoint was taken".to_owned());
        return Ok(());
    };
    let bytes = checkpoint.manifest().bytes() as f64;
    let mut pieces = Vec::new();
    for piece in checkpoint.pieces() {
        let (shard, place, bytes) = piece?;
        let Some(place) = place_of(place) else {
            return Err(Failure::Checkpoint("unknown pieces".to_owned()));
        };
        pieces.push((shard as usize, Piece { place, bytes }));
    }
    let shards = checkpoint.manifest().data.shards as usize;
    let restore = Restore::new(shards, now_ns(), pieces);
    let mut running = start_from(&query.program, &config(setting), Some(&restore))?;
    drop(restore);
    let first = running.next_block()?;
    let spent = clock.elapsed().as_secs_f64();
    first.into_iter().for_each(|block| running.give_back(block));
    drop(running);
    let clock = Instant::now();
    let read = directory.read()? as f64 / clock.elapsed().as_secs_f64();
    run.add("recovery", Unit::Nanoseconds, spent * 1e9);
    run.add("recovery_bytes", Unit::BytesPerSecond, bytes / spent);
    run.add("read", Unit::BytesPerSecond, read);
    run.add("recovery/read", Unit::Ratio, bytes / spent / read);
    Ok(())
}

/// The longest turn of a shard, with a checkpoint under way and without.
fn turns(setting: &Setting, groups: u64, run: &mut Run) -> Result<(), Failure> {
    let query = query(groups, None)?;
    let mut runtime = Runtime::open_here(&config(setting))?;
    let mut running = runtime.add(&query.program)?;
    let directory = Directory::new()?;
    let mut taking = Taking::new(&directory, &running)?;
    let mut reached = -1;
    // Filled, then without a checkpoint, then with one.
    let mut longest = [Duration::ZERO; 3];
    let mut phase = 0;
    while phase < longest.len() {
        let clock = Instant::now();
        runtime.step();
        longest[phase] = longest[phase].max(clock.elapsed());
        match running.try_next_block()? {
            Next::Block(block) => {
                records(&query, block.rows(), |record| reached = record.max(reached));
                running.give_back(block);
            }
            Next::Barrier(_, epoch) => taking.met(epoch),
            Next::Nothing => {}
            Next::End => return Err(Failure::Running("the generator ended".to_owned())),
        }
        taking.turn(&mut running)?;
        match phase {
            0 if reached > groups as i64 => phase = 1,
            1 if reached > 2 * groups as i64 => {
                taking.begin(&running);
                phase = 2;
            }
            2 if !taking.is_under_way() => phase = 3,
            _ => {}
        }
    }
    for (phase, name) in [(1, "none"), (2, "checkpoint")] {
        let nanos = longest[phase].as_nanos() as f64;
        run.add(format!("{name}@turn_max"), Unit::Nanoseconds, nanos);
    }
    Ok(())
}
