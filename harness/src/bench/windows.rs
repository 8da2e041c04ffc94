//! Windows over columns in memory: a record a millisecond, of keys that come evenly. Of hopping
//! windows of one size the slide is shorter and shorter: what a record costs is to stay as it is.
//! There are few keys then, so that it is records that cost and not results, of which there are as
//! many more. Tumbling windows and sessions stand beside DuckDB, which has the same columns in a
//! table in memory and as many threads as the engine has shards.
//!
//! Where groups close at once the caller's own thread is the shard, and each of its turns is timed.

mod data;
mod duckdb;
mod turns;

use trefoil_ring0::column::Column;
use trefoil_ring0::runtime::Config;

use self::data::{Data, Groups, Kind};
use super::Setting;
use super::engine::timed;
use super::report::{Run, Unit};
use crate::failure::Failure;

const ROWS: usize = 8_000_000;
const QUICK_ROWS: usize = 400_000;
/// How often a hopping window of the one size hops.
const RATIOS: [u64; 4] = [1, 10, 100, 1000];
/// Keys of hopping windows, and of the others.
const FEW_KEYS: u64 = 10;
const KEYS: u64 = 10_000;
/// Groups that close at once.
const CLOSING: u64 = 100_000;

/// The ratios that a run gives; those to DuckDB only where that is there.
pub(super) fn ratios() -> Vec<String> {
    let flat = RATIOS[1..].iter().map(|ratio| format!("flat@{ratio}"));
    let peers =
        [Kind::Tumbling, Kind::Session].map(|kind| format!("engine/duckdb@{}", kind.name()));
    flat.chain(peers).collect()
}

/// One run of all kinds.
pub(super) fn once(setting: &Setting) -> Result<Run, Failure> {
    let usual = if setting.quick { QUICK_ROWS } else { ROWS };
    let rows = setting.rows.unwrap_or(usual);
    let mut run = Run::default();
    let few = Data::new(rows, FEW_KEYS);
    let mut one = f64::NAN;
    for ratio in RATIOS {
        let kind = Kind::Hopping { ratio };
        let rate = measure(&few, kind, &setting.config(1), &ratio.to_string(), &mut run)?;
        match ratio {
            1 => one = rate,
            // 1 is as fast as windows that do not overlap.
            _ => run.add(format!("flat@{ratio}"), Unit::Ratio, rate / one),
        }
    }
    let many = Data::new(rows, KEYS);
    let most = setting.config.shards;
    for kind in [Kind::Tumbling, Kind::Session] {
        let name = kind.name();
        let mut rate = measure(&many, kind, &setting.config(1), name, &mut run)?;
        if most > 1 {
            let config = setting.config(most);
            rate = measure(&many, kind, &config, &format!("{name},{most}"), &mut run)?;
        }
        let Some(answer) = duckdb::run(&many, kind, most)? else {
            continue;
        };
        let wanted = many.groups(kind);
        if (answer.groups, answer.rows) != (wanted.groups, wanted.rows) {
            run.wrong(format!("DuckDB has other groups or rows of {name} windows"));
        }
        let peer = rows as f64 / answer.seconds;
        run.add(format!("duckdb@{name}"), Unit::RowsPerSecond, peer);
        run.add(format!("engine/duckdb@{name}"), Unit::Ratio, rate / peer);
    }
    turns::measure(setting, &mut run)?;
    Ok(run)
}

/// Records a second, which are noted as `engine@LABEL`.
fn measure(
    data: &Data,
    kind: Kind,
    config: &Config,
    label: &str,
    run: &mut Run,
) -> Result<f64, Failure> {
    if config.shards > config.cores.len() {
        let (shards, cores) = (config.shards, config.cores.len());
        run.invalid(format!("more shards ({shards}) than cores ({cores})"));
    }
    let program = data.program(kind)?;
    let mut got = Groups::default();
    let timed = timed(&program, config, |rows| {
        let [Column::I64(_), Column::I64(_), Column::I64(counts), ..] = &rows.columns[..] else {
            panic!("the query's columns are a BIGINT, a TIMESTAMP, and a count")
        };
        got.take(&counts.values);
    })?;
    run.executor(timed.executor);
    if got != data.groups(kind) {
        run.wrong(format!("results differ at {label}: {got:?}"));
    }
    let rate = data.rows() as f64 / timed.seconds;
    run.add(format!("engine@{label}"), Unit::RowsPerSecond, rate);
    Ok(rate)
}
