//! Whether looking hurts: records by a schedule through one shard, from when they were due until
//! the host has them, while nobody asks (`none`) and while queries over the views that the same
//! records change run as fast as they can (`isolation`). Both take turns by slices of 100 ms, as in
//! `latency`; so do slices in which records go as fast as they go.
//!
//! One thread generates and polls; the shard, and the engine's other threads, have other cores: the
//! threads of queries and of views, and who asks, have what is left. That needs three cores. On two
//! all of them share the generator's, so that what is measured is the scheduler: the result says so
//! and is not valid.

mod asking;

use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use trefoil::engine::{Appender, Builder, Idle, Outcome, Pushed, Received, Results, Subscription};
use trefoil::{Engine, SourceFile, params};
use trefoil_ring0::preflight::{allowed_cores, keep_thread_to, pin_thread};
use trefoil_ring0::runtime::Config;

use self::asking::Asking;
use super::Setting;
use super::engine::executor_of;
use super::latency::{PERCENTILES, Path, SLICES_PER_SECOND, SLIP_NS_MAX, SPIN, Side};
use super::report::{Run, Unit};
use crate::failure::Failure;

const GROUPS: u64 = 1_000_000;
const QUICK_GROUPS: u64 = 100_000;
/// With fewer, records of one frame would be of one group, of which there is one change then.
const GROUPS_MIN: u64 = 4096;
/// Bytes that a query may take for each group: rows of two views that it keeps, and a join of them.
const QUERY_BYTES_PER_GROUP: u64 = 1024;
const QUERY_BYTES_MIN: u64 = 256 << 20;
/// Generator, shard, and what is asked.
const CORES: usize = 3;
/// Rows that are sent before results are looked at, as fast as they go.
const BURST: i64 = 1024;
/// How long a slice is.
const SLICE: Duration = Duration::from_millis(1000 / SLICES_PER_SECOND);

/// The names of both sides.
const SIDES: [&str; 2] = ["none", "isolation"];

/// The ratios that a run gives.
pub(super) fn ratios() -> Vec<String> {
    let of = |p: f64| ["", "view_"].map(|of| format!("isolation/none@{of}p{p}"));
    let latencies = PERCENTILES.into_iter().flat_map(of);
    latencies
        .chain(["isolation/none@throughput".to_owned()])
        .collect()
}

/// One run.
pub(super) fn once(setting: &Setting) -> Result<Run, Failure> {
    let mut run = Run::default();
    let cores = &setting.config.cores;
    let [others @ .., here, there] = &cores[..] else {
        run.invalid("a generator and a shard need two cores".to_owned());
        return Ok(run);
    };
    let (here, there) = (*here, *there);
    let others = match others {
        [] => {
            let cores = cores.len();
            run.invalid(format!(
                "isolation needs {CORES} cores and has {cores}: queries, views and the generator \
                 share one, so that latencies and rates are of the scheduler there; that nothing \
                 is lost, and that all answers are right, is shown all the same"
            ));
            vec![here]
        }
        others => others.to_vec(),
    };
    let usual = if setting.quick { QUICK_GROUPS } else { GROUPS };
    let groups = setting.rows.map_or(usual, |rows| rows as u64);
    let groups = groups.max(GROUPS_MIN);
    let config = Config {
        frame_rows: setting.config.frame_rows.min(GROUPS_MIN as usize),
        idle: Idle::SpinThenPark(SPIN),
        cores: vec![there],
        ..setting.config(1)
    };
    let (engine, results) = apart(&others, there, || open(config, groups))?;
    if let Some(executor) = executor_of(&engine)? {
        run.executor(executor);
    }
    let asking = Asking::default();
    std::thread::scope(|scope| {
        asking.begin(scope, &engine, groups, &others);
        let generator = scope.spawn(|| {
            pin_thread(here)?;
            let probe = Probe {
                appender: engine.appender("records")?,
                groups,
                next: groups as i64,
                ahead: 0,
                back: Back::Results(Box::new(results)),
            };
            measure(setting, probe, (&engine, &asking), &mut run)
        });
        let measured = generator.join();
        asking.end();
        measured.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    Ok(run)
}

/// Runs something on a thread whose threads have these cores, besides the shard's own: so neither
/// queries nor views get to that of the generator.
fn apart<T: Send>(
    others: &[usize],
    shard: usize,
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let mut cores = others.to_vec();
    cores.push(shard);
    let done = std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            keep_thread_to(&cores)?;
            work()
        });
        thread.join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Opens the engine, and makes its views of so many groups, and a query that gives each record.
fn open(config: Config, groups: u64) -> Result<(Engine, Results), Failure> {
    let shards = config.cores.clone();
    let bytes = (groups * QUERY_BYTES_PER_GROUP).max(QUERY_BYTES_MIN);
    let engine = Builder::from(config).query_bytes(bytes as usize).open()?;
    // What follows starts the threads of views, which are to leave the shard alone.
    let rest = allowed_cores().into_iter();
    let rest: Vec<usize> = rest.filter(|core| !shards.contains(core)).collect();
    keep_thread_to(&rest)?;
    engine.execute(
        "CREATE SOURCE records (number BIGINT, k BIGINT) WITH (connector = 'channel');
         CREATE MATERIALIZED VIEW totals AS \
         SELECT k, COUNT(*) AS n, SUM(number) AS total FROM records GROUP BY k;
         CREATE MATERIALIZED VIEW lasts AS \
         SELECT k, MAX(number) AS last FROM records GROUP BY k",
    )?;
    let file = SourceFile {
        name: "isolation".to_owned(),
        text: "SELECT number FROM records".to_owned(),
        base: ".".into(),
    };
    let Some(Outcome::Results(mut results)) = engine.statement(&file, 0)? else {
        return Err(Failure::Running("the probe gives results".to_owned()));
    };
    // All groups, and all that comes of them.
    let mut appender = engine.appender("records")?;
    let (mut sent, mut came) = (0, 0);
    while came < groups {
        while sent < groups && sent < came + BURST as u64 {
            appender.append_row(&params![sent as i64, group(sent as i64, groups)])?;
            sent += 1;
        }
        appender.flush()?;
        if let Received::Batch(rows) = results.next_timeout(SLICE)? {
            came += rows.num_rows() as u64;
        }
    }
    appender.close();
    engine.flush()?;
    Ok((engine, *results))
}

/// Which group a record is of: the first so many records are of a group each, in no order.
fn group(number: i64, groups: u64) -> i64 {
    // A prime above 2^32 shares no divisor with any number of groups below it.
    let product = u128::from(number as u64) * 4_294_967_311;
    (product % u128::from(groups)) as i64
}

/// How records come back.
enum Back {
    /// By a query of their own.
    Results(Box<Results>),
    /// As changes of a view, whose thread has to have them first.
    View(Subscription),
}

/// Through the shard and back. Records are numbered on and on, so that each is the last of its
/// group; who sends numbers them anew in each slice.
struct Probe {
    appender: Appender,
    groups: u64,
    next: i64,
    /// The number of a record is so much more than what who sends it calls it.
    ahead: i64,
    back: Back,
}

impl Path for Probe {
    fn send(&mut self, number: i64) -> Result<bool, Failure> {
        let row = params![self.next, group(self.next, self.groups)];
        let is_sent = self.appender.try_push(&row)? == Pushed::Done;
        if is_sent {
            self.ahead = self.next - number;
            self.next += 1;
        }
        Ok(is_sent)
    }

    fn flush(&mut self) {
        // What does not fit now leaves with a later call.
        let _: Pushed = self.appender.try_flush();
    }

    fn receive(&mut self, take: &mut dyn FnMut(i64)) -> Result<(), Failure> {
        loop {
            let received = match &mut self.back {
                Back::Results(results) => results.next_timeout(Duration::ZERO)?,
                Back::View(changes) => changes.try_next()?,
            };
            let rows = match received {
                Received::Batch(rows) => rows,
                Received::Nothing => return Ok(()),
                Received::End => return Err(Failure::Running("the engine ended".to_owned())),
            };
            let long = |at: usize| rows.column(at).as_primitive::<Int64Type>().values();
            match &self.back {
                Back::Results(_) => long(0).iter().for_each(|number| take(number - self.ahead)),
                Back::View(_) => {
                    // What came of each record, and not what it replaces.
                    let ops = rows.column(0).as_string::<i32>();
                    let came = ops.iter().zip(long(2));
                    let came = came.filter(|(op, _)| op.is_some_and(|op| op.starts_with('+')));
                    came.for_each(|(_, number)| take(number - self.ahead));
                }
            }
        }
    }
}

fn measure(
    setting: &Setting,
    mut probe: Probe,
    (engine, asking): (&Engine, &Asking),
    run: &mut Run,
) -> Result<(), Failure> {
    let rate = setting.rates.first().copied().unwrap_or(10_000);
    // Of each side half of the slices.
    let turns = setting.seconds.div_ceil(2);
    latencies(&mut probe, (rate, turns), asking, ("", run))?;
    throughput(&mut probe, turns, asking, run)?;
    // What the views had not yet had is not timed, and the query ends here: nobody would take its
    // rows.
    engine.flush()?;
    probe.back = Back::View(engine.subscribe("lasts")?);
    latencies(&mut probe, (rate, turns), asking, ("view_", run))?;
    asking.report(run);
    Ok(())
}

/// Slices by the schedule, a second of them on each side by turns.
fn latencies(
    probe: &mut Probe,
    (rate, turns): (u64, u64),
    asking: &Asking,
    (of, run): (&str, &mut Run),
) -> Result<(), Failure> {
    let mut sides = [Side::new(SIDES[0])?, Side::new(SIDES[1])?];
    for _ in 0..turns {
        let mut turn =
            |side: usize| (0..SLICES_PER_SECOND).try_for_each(|_| sides[side].slice(probe, rate));
        turn(0)?;
        asking.while_asked(|| turn(1))?;
    }
    let medians = [sides[0].medians(), sides[1].medians()];
    for (number, p) in PERCENTILES.into_iter().enumerate() {
        let [none, with] = medians.map(|of| of[number]);
        run.add(format!("none@{of}p{p}"), Unit::Nanoseconds, none);
        run.add(format!("isolation@{of}p{p}"), Unit::Nanoseconds, with);
        let ratio = format!("isolation/none@{of}p{p}");
        run.add(ratio, Unit::Ratio, with / none.max(1.0));
    }
    for side in &sides {
        let name = side.name;
        for p in PERCENTILES {
            let whole = side.whole.value_at_percentile(p) as f64;
            run.add(format!("{name}@{of}whole_p{p}"), Unit::Nanoseconds, whole);
        }
        let max = side.whole.max() as f64;
        run.add(format!("{name}@{of}whole_max"), Unit::Nanoseconds, max);
        let slip = side.slip_ns();
        run.add(format!("{name}@{of}slip"), Unit::Nanoseconds, slip as f64);
        if slip > SLIP_NS_MAX {
            let us = slip / 1000;
            run.invalid(format!(
                "the generator fell behind by {us} us at {rate} records/s ({name})"
            ));
        }
    }
    Ok(())
}

/// Records as fast as they go, by the same turns.
fn throughput(
    probe: &mut Probe,
    turns: u64,
    asking: &Asking,
    run: &mut Run,
) -> Result<(), Failure> {
    let (mut rows, mut spent) = ([0; 2], [Duration::ZERO; 2]);
    for _ in 0..turns {
        let mut turn = |side: usize| {
            (0..SLICES_PER_SECOND).try_for_each(|_| {
                let (came, took) = flood(probe)?;
                rows[side] += came;
                spent[side] += took;
                Ok(())
            })
        };
        turn(0)?;
        asking.while_asked(|| turn(1))?;
    }
    let [none, with] = [0, 1].map(|side| rows[side] as f64 / spent[side].as_secs_f64());
    run.add("none@throughput", Unit::RowsPerSecond, none);
    run.add("isolation@throughput", Unit::RowsPerSecond, with);
    run.add("isolation/none@throughput", Unit::Ratio, with / none);
    Ok(())
}

/// What goes through in a slice, and how long it takes until all of it came back.
fn flood(probe: &mut Probe) -> Result<(u64, Duration), Failure> {
    let begun = Instant::now();
    let (mut sent, mut came) = (0, 0);
    loop {
        let is_over = begun.elapsed() >= SLICE;
        if is_over && came == sent {
            return Ok((came, begun.elapsed()));
        }
        for number in 0..if is_over { 0 } else { BURST } {
            if !probe.send(number)? {
                break;
            }
            sent += 1;
        }
        probe.flush();
        probe.receive(&mut |_| came += 1)?;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn records_one_behind_the_other_are_of_different_groups() {
        for groups in [GROUPS_MIN, 100_000, 1_000_003] {
            let some = (0..BURST).map(|number| group(number + 77, groups));
            let some: HashSet<i64> = some.collect();
            assert_eq!(some.len(), BURST as usize, "{groups}");
            let all: HashSet<i64> = (0..groups as i64).map(|n| group(n, groups)).collect();
            assert_eq!(all.len() as u64, groups);
        }
    }
}
