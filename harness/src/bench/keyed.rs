//! The engine's keyed aggregation beside the hand-written one: the same columns, the same results,
//! in turn within a run. The engine's plan comes from SQL, is run by the real runtime, and is timed
//! from before its shards start until its last result is in the host's hands.

use std::path::PathBuf;

use trefoil::{SourceFile, plan_script};
use trefoil_ring0::column::Column;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::preflight::pin_thread;
use trefoil_ring0::program::Program;
use trefoil_ring0::runtime::Config;

use super::Setting;
use super::data::{Data, Digest, Size};
use super::engine::timed;
use super::reference;
use super::report::{Run, Unit};
use crate::args::Keys;
use crate::failure::Failure;

const SQL: &str = "
CREATE SOURCE pairs (k BIGINT, v DOUBLE)
    WITH (connector = 'file', path = 'columns-in-memory', format = 'json');
SELECT k, COUNT(*) AS n, SUM(v) AS s, MIN(v) AS a, MAX(v) AS z FROM pairs GROUP BY k";

/// Fewer groups than this part of the keys, and too few rows were given for them.
const GROUPS_LEAST: f64 = 0.75;
/// The number of keys at which scaling is taken.
const SCALING: Keys = Keys::K10k;

/// The ratios that a run gives.
pub(super) fn ratios(setting: &Setting) -> Vec<String> {
    let keys = setting.sizes.iter().map(|size| size.keys);
    let scaled = keys.clone().any(|keys| keys == SCALING);
    let shards = setting.shards().into_iter().filter(|&n| scaled && n > 1);
    let more = |keys: Keys| {
        let shards = setting.shards().into_iter().filter(|&n| n > 1);
        shards.map(move |n| format!("gain/roofline@{},{n}", keys.name()))
    };
    let by_keys = keys
        .clone()
        .map(|keys| format!("engine/roofline@{}", keys.name()));
    by_keys
        .chain(shards.map(|n| format!("scaling@{n}")))
        .chain(keys.flat_map(more))
        .collect()
}

/// The hand-written loop on the core of a lone shard. Gives seconds and the digest.
pub(super) fn roofline(data: &Data, setting: &Setting) -> Result<(f64, Digest), Failure> {
    let core = setting.core();
    let done = std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            pin_thread(core)?;
            reference::aggregate(data)
        });
        thread.join()
    });
    match done {
        Ok(result) => result.map_err(|e| Failure::Running(format!("the hand-written loop: {e}"))),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// As many hand-written loops as there are shards, each on a core and over all of the data, which
/// start together. Gives the records a second of all.
fn rooflines(data: &Data, cores: &[usize]) -> Result<f64, Failure> {
    let begin = std::sync::Barrier::new(cores.len());
    let one = |core: usize| {
        // First, so that one that fails leaves nobody waiting.
        begin.wait();
        pin_thread(core)?;
        reference::aggregate(data).map(|(seconds, _)| seconds)
    };
    let (one, mut longest) = (&one, 0.0_f64);
    let done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = cores
            .iter()
            .map(|&core| scope.spawn(move || one(core)))
            .collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    for result in done {
        match result {
            Ok(seconds) => {
                let seconds =
                    seconds.map_err(|e| Failure::Running(format!("the hand-written loop: {e}")))?;
                longest = longest.max(seconds);
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    Ok((cores.len() as u64 * data.size.total()) as f64 / longest)
}

/// One run of all sizes.
pub(super) fn once(setting: &Setting) -> Result<Run, Failure> {
    let mut run = Run::default();
    for &size in &setting.sizes {
        let data = Data::new(size);
        measure(&data, setting, &mut run)?;
    }
    Ok(run)
}

fn measure(data: &Data, setting: &Setting, run: &mut Run) -> Result<(), Failure> {
    let Size { keys, .. } = data.size;
    let at = keys.name();
    let rows = data.size.total() as f64;
    let (seconds, wanted) = roofline(data, setting)?;
    let roofline = rows / seconds;
    run.add(format!("roofline@{at}"), Unit::RowsPerSecond, roofline);
    let mut alone = f64::NAN;
    for shards in setting.shards() {
        let config = setting.config(shards);
        if shards > config.cores.len() {
            let cores = config.cores.len();
            run.invalid(format!("more shards ({shards}) than cores ({cores})"));
        }
        let (seconds, got) = engine(data, &config, run)?;
        let rate = rows / seconds;
        if got != wanted {
            run.wrong(format!(
                "results differ at {at} keys on {shards} shards: {got:?} instead of {wanted:?}"
            ));
        }
        if shards == 1 {
            alone = rate;
            run.add(format!("engine@{at}"), Unit::RowsPerSecond, rate);
            let ratio = format!("engine/roofline@{at}");
            run.add(ratio, Unit::Ratio, rate / roofline);
            continue;
        }
        run.add(format!("engine@{at},{shards}"), Unit::RowsPerSecond, rate);
        if shards <= config.cores.len() {
            let loops = rooflines(data, &config.cores)?;
            run.add(
                format!("roofline@{at},{shards}"),
                Unit::RowsPerSecond,
                loops,
            );
            let gain = (rate / alone) / (loops / roofline);
            run.add(format!("gain/roofline@{at},{shards}"), Unit::Ratio, gain);
        }
        if keys == SCALING {
            let scaling = rate / (shards as f64 * alone);
            run.add(format!("scaling@{shards}"), Unit::Ratio, scaling);
        }
    }
    run.add(format!("groups@{at}"), Unit::Groups, wanted.groups as f64);
    if (wanted.groups as f64) < GROUPS_LEAST * keys.count() as f64 {
        let (groups, rows) = (wanted.groups, data.size.rows);
        run.invalid(format!("{rows} rows had only {groups} of {at} keys"));
    }
    Ok(())
}

/// The program of the query, its file replaced by the columns.
fn program(data: &Data) -> Result<Program, Failure> {
    let script = SourceFile {
        name: "bench keyed".to_owned(),
        text: SQL.to_owned(),
        base: PathBuf::from("."),
    };
    let mut queries = plan_script(&[script])?;
    let mut program = queries.remove(0).program;
    let source = &mut program.sources[0];
    let types: Vec<_> = source
        .schema
        .fields
        .iter()
        .map(|f| f.data_type.clone())
        .collect();
    source.kind = data.source(&types);
    Ok(program)
}

fn engine(data: &Data, config: &Config, run: &mut Run) -> Result<(f64, Digest), Failure> {
    let program = program(data)?;
    let mut digest = Digest::default();
    let timed = timed(&program, config, |rows| take(rows, &mut digest))?;
    run.executor(timed.executor);
    let read: u64 = timed.reports.iter().map(|r| r.sources[0].rows_read).sum();
    if read != data.size.total() {
        let given = data.size.total();
        return Err(Failure::Running(format!(
            "{read} of {given} rows were read"
        )));
    }
    Ok((timed.seconds, digest))
}

fn take(frame: &Frame, digest: &mut Digest) {
    let [
        Column::I64(k),
        Column::I64(n),
        Column::F64(s),
        Column::F64(a),
        Column::F64(z),
    ] = &frame.columns[..]
    else {
        panic!("the query's columns are a BIGINT, its count, and three DOUBLEs")
    };
    for row in 0..frame.rows() {
        digest.add(
            k.values[row],
            n.values[row],
            s.values[row],
            a.values[row],
            z.values[row],
        );
    }
}
