//! GROUP BY over files: from NDJSON, CSV and Parquet of the same records, which are made here. The
//! bare parsers do no more than read the two columns that the query wants, on one core; DuckDB and
//! Polars answer the same query with as many threads as the engine has shards, where a Python with
//! them is found. All files lie in the page cache.

mod bare;
mod data;
mod peers;

use std::time::Instant;

use trefoil::{SourceFile, plan_script};
use trefoil_ring0::column::Column;
use trefoil_ring0::preflight::pin_thread;
use trefoil_ring0::runtime::Config;

use self::data::{FileKind, Files};
use super::Setting;
use super::engine::timed;
use super::report::{Run, Unit};
use crate::failure::Failure;

const ROWS: usize = 4_000_000;
const QUICK_ROWS: usize = 400_000;

/// The ratios that a run gives; those to peers only where these are there, those beside shards on
/// their own only where there are several.
pub(super) fn ratios(setting: &Setting) -> Vec<String> {
    let most = setting.config.shards;
    let each = FileKind::ALL.iter().flat_map(|kind| {
        let peers = peers::NAMES.iter().copied();
        let others = std::iter::once(kind.bare()).chain(peers);
        let others = others.map(|other| format!("engine/{other}@{}", kind.name()));
        let apart = (most > 1).then(|| format!("engine/apart@{},{most}", kind.name()));
        others.chain(apart)
    });
    each.collect()
}

/// One run over all kinds of files.
pub(super) fn once(setting: &Setting) -> Result<Run, Failure> {
    let usual = if setting.quick { QUICK_ROWS } else { ROWS };
    let files = Files::make(setting.rows.unwrap_or(usual))?;
    let mut run = Run::default();
    for kind in FileKind::ALL {
        measure(&files, kind, setting, &mut run)?;
    }
    Ok(run)
}

fn measure(files: &Files, kind: FileKind, setting: &Setting, run: &mut Run) -> Result<(), Failure> {
    let (at, rows) = (kind.name(), files.rows as f64);
    let path = files.path(kind);
    let bytes = std::fs::metadata(&path)?.len() as f64;
    let (seconds, sum) = on_core(setting.core(), || bare::parse(kind, &path))?;
    if sum != files.sum() {
        run.wrong(format!("{} read a sum of {sum} from {at}", kind.bare()));
    }
    let bare = rows / seconds;
    run.add(format!("{}@{at}", kind.bare()), Unit::RowsPerSecond, bare);
    let (mut alone, mut all) = (f64::NAN, f64::NAN);
    let most = setting.config.shards;
    for shards in if most == 1 { vec![1] } else { vec![1, most] } {
        let config = setting.config(shards);
        if shards > config.cores.len() {
            let cores = config.cores.len();
            run.invalid(format!("more shards ({shards}) than cores ({cores})"));
        }
        let seconds = engine(files, kind, &config)?.told(kind, shards, run);
        let label = match shards {
            1 => at.to_owned(),
            _ => format!("{at},{shards}"),
        };
        all = rows / seconds;
        if shards == 1 {
            alone = all;
        }
        run.add(format!("engine@{label}"), Unit::RowsPerSecond, all);
        run.add(
            format!("engine_bytes@{label}"),
            Unit::BytesPerSecond,
            bytes / seconds,
        );
    }
    let ratio = format!("engine/{}@{at}", kind.bare());
    run.add(ratio, Unit::Ratio, alone / bare);
    if most > 1 {
        let rate = apart(files, kind, setting, run)?;
        run.add(format!("apart@{at},{most}"), Unit::RowsPerSecond, rate);
        run.add(format!("engine/apart@{at},{most}"), Unit::Ratio, all / rate);
    }
    for peer in peers::NAMES {
        let Some(answer) = peers::run(peer, kind, &path, most)? else {
            continue;
        };
        if (answer.groups, answer.rows) != (data::KEYS, files.rows as u64) {
            run.wrong(format!("{peer} has other groups or rows over {at}"));
        }
        let rate = rows / answer.seconds;
        run.add(format!("{peer}@{at}"), Unit::RowsPerSecond, rate);
        run.add(format!("engine/{peer}@{at}"), Unit::Ratio, all / rate);
    }
    Ok(())
}

/// Runs something on a core of its own. Gives the seconds, and what it came to.
fn on_core<T: Send>(
    core: usize,
    work: impl FnOnce() -> Result<T, String> + Send,
) -> Result<(f64, T), Failure> {
    let failed = |why: String| Failure::Running(format!("a bare parser: {why}"));
    let done = std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            pin_thread(core).map_err(|error| error.to_string())?;
            let clock = Instant::now();
            let result = work()?;
            Ok((clock.elapsed().as_secs_f64(), result))
        });
        thread.join()
    });
    match done {
        Ok(result) => result.map_err(failed),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// What engines of one shard each do at the same time, each on its core and over all of the file:
/// what as many shards would at best, had they nothing to tell each other.
fn apart(files: &Files, kind: FileKind, setting: &Setting, run: &mut Run) -> Result<f64, Failure> {
    let all = setting.config(setting.config.shards);
    let alone = |core: usize| Config {
        shards: 1,
        cores: vec![core],
        ..all.clone()
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let each = all.cores.iter().map(|core| {
            let config = alone(*core);
            scope.spawn(move || engine(files, kind, &config))
        });
        let each: Vec<_> = each.collect();
        each.into_iter().map(|thread| thread.join()).collect()
    });
    let mut rate = 0.0;
    for outcome in outcomes {
        let outcome = outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        rate += files.rows as f64 / outcome.told(kind, 1, run);
    }
    Ok(rate)
}

/// A run of the engine.
struct Outcome {
    /// From before its shards start until the last result is here.
    seconds: f64,
    executor: &'static str,
    is_right: bool,
}

impl Outcome {
    /// Its seconds, all else being told.
    fn told(self, kind: FileKind, shards: usize, run: &mut Run) -> f64 {
        run.executor(self.executor);
        if !self.is_right {
            let at = kind.name();
            run.wrong(format!("results differ over {at} on {shards} shards"));
        }
        self.seconds
    }
}

fn engine(files: &Files, kind: FileKind, config: &Config) -> Result<Outcome, Failure> {
    let script = SourceFile {
        name: "bench files".to_owned(),
        text: kind.sql(),
        base: files.folder().to_owned(),
    };
    let program = plan_script(&[script])?.remove(0).program;
    let mut got = Vec::new();
    let timed = timed(&program, config, |rows| {
        let [Column::Utf8(device), Column::I64(count), Column::F64(sum)] = &rows.columns[..] else {
            panic!("the query's columns are a text, its count, and a sum")
        };
        got.extend((0..rows.rows()).map(|row| {
            (
                device.value(row).to_owned(),
                count.values[row],
                sum.values[row],
            )
        }));
    })?;
    got.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Outcome {
        seconds: timed.seconds,
        executor: timed.executor,
        is_right: got == files.groups(),
    })
}
