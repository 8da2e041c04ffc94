//! Rows by their keys: through the direct API and through SQL, while nothing comes, and while the
//! view is fed at half of the rate at which it is fed at most.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::data::{BATCH_ROWS, Groups, TIMES, records, records_in, sum, total};
use super::live::{Live, Read};
use super::memory::Memory;
use super::{Side, VIEW, ask, label, median};
use crate::bench::Setting;
use crate::bench::data::Random;
use crate::bench::report::{Run, Unit};
use crate::failure::Failure;

/// Look-ups through the API, and through SQL.
const GETS: usize = 20_000;
const QUICK_GETS: usize = 2_000;
const ASKED: usize = 100;
const QUICK_ASKED: usize = 10;
/// Records by which the most that goes in is found, at least.
const PEAK_ROWS: usize = 1_000_000;
const QUICK_PEAK_ROWS: usize = 100_000;
/// Full scans while the view is fed.
const SCANS: usize = 5;
/// What a look-up is to take at most while the view is fed (ns).
const AIM_NS: f64 = 5_000.0;
/// Time between two batches of who feeds the view.
const PAUSE: Duration = Duration::from_micros(500);
/// Who appends, who asks, and the shard.
const CORES: usize = 3;

/// Keys as they are looked up.
struct Keys(Random, u64);

impl Keys {
    fn new(groups: &Groups) -> Self {
        Self(Random::default(), groups.len() as u64)
    }

    fn next(&mut self) -> i64 {
        self.0.below(self.1) as i64
    }

    fn some(&mut self, count: usize) -> Vec<i64> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// Look-ups of all kinds.
pub(super) fn measure(
    setting: &Setting,
    groups: &Groups,
    (live, memory, shards): (&Live, &Memory, usize),
    run: &mut Run,
) -> Result<(), Failure> {
    live.read(Read::Pinned)?;
    let mut keys = Keys::new(groups);
    let at = |what: &str| label(what, shards);
    let gets = if setting.quick { QUICK_GETS } else { GETS };
    let (middle, rare) = get(live, &mut keys, gets, Some(total), run)?;
    run.add(format!("get@{}", at("point")), Unit::Nanoseconds, middle);
    run.add(format!("get_p99@{}", at("point")), Unit::Nanoseconds, rare);
    let asked = if setting.quick { QUICK_ASKED } else { ASKED };
    let sides = [Side::Live, Side::MemTable];
    let [own, memtable] = by_sql(live, memory, sides, &mut keys, asked, run)?;
    run.add(format!("live@{}", at("point")), Unit::Nanoseconds, own);
    let name = format!("memtable@{}", at("point"));
    run.add(name, Unit::Nanoseconds, memtable);
    let ratio = format!("live/memtable@{}", at("point"));
    run.add(ratio, Unit::Ratio, memtable / own);
    let peak_rows = match setting.quick {
        true => QUICK_PEAK_ROWS,
        false => PEAK_ROWS,
    };
    let fed = feed_at_once(live, &mut keys, peak_rows.min(16 * groups.len()))?;
    let peak = fed.rate();
    run.add(format!("fed@{}", at("peak")), Unit::RowsPerSecond, peak);
    busy(setting, groups, (live, memory, shards), (fed, peak), run)
}

/// Medians and 99th percentiles of look-ups through the API.
fn get(
    live: &Live,
    keys: &mut Keys,
    count: usize,
    wanted: Option<fn(i64) -> i64>,
    run: &mut Run,
) -> Result<(f64, f64), Failure> {
    let mut spent = Vec::with_capacity(count);
    for _ in 0..count {
        let key = keys.next();
        let (found, took) = live.get(key)?;
        let is_right = match (found, wanted) {
            (Some(found), Some(wanted)) => found == wanted(key),
            (found, _) => found.is_some(),
        };
        if !is_right {
            run.wrong(format!("get({key}) found {found:?}"));
        }
        spent.push(took);
    }
    spent.sort_by(f64::total_cmp);
    let at = |share: f64| spent[((spent.len() - 1) as f64 * share) as usize];
    Ok((at(0.5), at(0.99)))
}

/// Medians (ns) of look-ups through SQL, by turns.
fn by_sql<const N: usize>(
    live: &Live,
    memory: &Memory,
    sides: [Side; N],
    keys: &mut Keys,
    count: usize,
    run: &mut Run,
) -> Result<[f64; N], Failure> {
    let mut spent = [const { Vec::new() }; N];
    for _ in 0..count {
        let key = keys.next();
        let sql = format!("SELECT * FROM {VIEW} WHERE k = {key}");
        for (side, spent) in sides.into_iter().zip(&mut spent) {
            let clock = Instant::now();
            let rows = ask(live, memory, side, &sql)?;
            let found = sum(&rows);
            spent.push(clock.elapsed().as_nanos() as f64);
            if found.rows != 1 {
                let name = side.name();
                run.wrong(format!("{name} found {} rows of key {key}", found.rows));
            }
        }
    }
    Ok(spent.map(median))
}

/// Records that were fed.
#[derive(Debug, Clone, Copy)]
struct Fed {
    rows: u64,
    seconds: f64,
}

impl Fed {
    fn rate(self) -> f64 {
        self.rows as f64 / self.seconds
    }
}

/// As many as go in, until all of them are in the rows that stand.
fn feed_at_once(live: &Live, keys: &mut Keys, rows: usize) -> Result<Fed, Failure> {
    let mut appender = live.appender()?;
    let batches = rows.div_ceil(BATCH_ROWS);
    let batches: Vec<_> = (0..batches)
        .map(|_| records(&keys.some(BATCH_ROWS), 0))
        .collect();
    let clock = Instant::now();
    for batch in &batches {
        appender.append_batch(batch)?;
    }
    appender.flush()?;
    live.engine.flush()?;
    Ok(Fed {
        rows: (batches.len() * BATCH_ROWS) as u64,
        seconds: clock.elapsed().as_secs_f64(),
    })
}

/// Feeds the view at a rate until it is told to end.
fn feed(
    live: &Live,
    rate: f64,
    groups: &Groups,
    (is_over, fed): (&AtomicBool, &AtomicU64),
) -> Result<Fed, Failure> {
    let (mut appender, mut keys) = (live.appender()?, Keys::new(groups));
    let clock = Instant::now();
    let mut rows = 0;
    while !is_over.load(Ordering::Acquire) {
        let due = (clock.elapsed().as_secs_f64() * rate) as u64;
        while rows < due {
            let count = (due - rows).min(BATCH_ROWS as u64);
            // Before: who reads never finds more than was told.
            fed.fetch_add(count, Ordering::AcqRel);
            appender.append_batch(&records(&keys.some(count as usize), 0))?;
            rows += count;
        }
        appender.flush()?;
        std::thread::sleep(PAUSE);
    }
    let seconds = clock.elapsed().as_secs_f64();
    Ok(Fed { rows, seconds })
}

/// The same look-ups, and full scans, while the view is fed at half of its peak.
fn busy(
    setting: &Setting,
    groups: &Groups,
    (live, memory, shards): (&Live, &Memory, usize),
    (before, peak): (Fed, f64),
    run: &mut Run,
) -> Result<(), Failure> {
    let (is_over, told) = (AtomicBool::new(false), AtomicU64::new(before.rows));
    let made = TIMES * groups.len() as i64;
    let outcome = std::thread::scope(|scope| {
        let feeding = scope.spawn(|| feed(live, peak / 2.0, groups, (&is_over, &told)));
        let asked = asked_while_fed(setting, groups, (live, memory, shards), (&told, made), run);
        is_over.store(true, Ordering::Release);
        let fed = feeding.join();
        asked.map(|()| fed)
    });
    let fed = outcome?.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let name = format!("fed@{}", label("busy", shards));
    run.add(name, Unit::RowsPerSecond, fed.rate());
    if fed.rate() < 0.9 * peak / 2.0 {
        run.note("the view could not be fed at half of its peak while it was asked".to_owned());
    }
    if setting.config.cores.len() < CORES.max(shards + 2) {
        run.note(
            "who feeds the view, who asks and the view's thread share cores with shards: figures \
             of busy views are of this machine's scheduler, too"
                .to_owned(),
        );
    }
    live.engine.flush()?;
    let found = live.counts()?;
    let wanted = (groups.len() as i64, made + (before.rows + fed.rows) as i64);
    if found != wanted {
        run.wrong(format!("fed views have {found:?}, not {wanted:?}"));
    }
    Ok(())
}

fn asked_while_fed(
    setting: &Setting,
    groups: &Groups,
    (live, memory, shards): (&Live, &Memory, usize),
    (told, made): (&AtomicU64, i64),
    run: &mut Run,
) -> Result<(), Failure> {
    let at = |what: &str| label(what, shards);
    let mut keys = Keys::new(groups);
    let gets = if setting.quick { QUICK_GETS } else { GETS };
    let (middle, rare) = get(live, &mut keys, gets, None, run)?;
    let name = at("point_busy");
    run.add(format!("get@{name}"), Unit::Nanoseconds, middle);
    run.add(format!("get_p99@{name}"), Unit::Nanoseconds, rare);
    run.add(
        format!("aim/get@{}", at("point")),
        Unit::Ratio,
        AIM_NS / middle,
    );
    let asked = if setting.quick { QUICK_ASKED } else { ASKED };
    let [own] = by_sql(live, memory, [Side::Live], &mut keys, asked, run)?;
    run.add(format!("live@{name}"), Unit::Nanoseconds, own);
    let mut spent = Vec::new();
    let mut least = made;
    for _ in 0..SCANS {
        let clock = Instant::now();
        let rows = live.query(&format!("SELECT * FROM {VIEW}"))?;
        let found = sum(&rows);
        spent.push(clock.elapsed().as_secs_f64());
        // Groups that change are there all the time, and never fall behind.
        let most = made + told.load(Ordering::Acquire) as i64;
        let records = records_in(&rows);
        if found.rows != groups.len() as u64 || !(least..=most).contains(&records) {
            let rows = found.rows;
            run.wrong(format!(
                "a scan of the fed view has {rows} rows of {records} records, after {least}"
            ));
        }
        least = records;
    }
    let rate = groups.len() as f64 / median(spent);
    run.add(
        format!("live@{}", at("full_busy")),
        Unit::RowsPerSecond,
        rate,
    );
    Ok(())
}
