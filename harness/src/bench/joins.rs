//! Joins over columns in memory, a record of each side a millisecond: by an interval, of equal
//! windows, into a table, ASOF, and regular ones, which keep all rows. The engine takes its inputs
//! as streams without an end, so that it keeps and forgets as it does over these; DuckDB beside it
//! has all rows in tables, and as many threads as there are shards. Both say how many rows there
//! are and what two columns of them sum up to, which has to be the same.

mod data;
mod duckdb;

use trefoil_ring0::column::Column;
use trefoil_ring0::runtime::Config;

use self::data::{Data, SHAPES, Shape};
use super::Setting;
use super::engine::timed;
use super::report::{Run, Unit};
use crate::failure::Failure;

/// Records of each side.
const ROWS: usize = 2_000_000;
const QUICK_ROWS: usize = 100_000;

/// Rows of a result, and the sum of all that is in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Found {
    rows: u64,
    sum: u64,
}

/// The ratios that a run gives; those to DuckDB only where that is there.
pub(super) fn ratios(setting: &Setting) -> Vec<String> {
    let more = || setting.shards().into_iter().filter(|&n| n > 1);
    let of = |shape: &Shape| {
        let name = shape.name();
        let scaling = more().map(move |n| format!("efficiency@{name},{n}"));
        let peers = setting.shards().into_iter().map(move |n| peer(name, n));
        scaling.chain(peers).collect::<Vec<_>>()
    };
    SHAPES.iter().flat_map(of).collect()
}

fn peer(name: &str, shards: usize) -> String {
    match shards {
        1 => format!("engine/duckdb@{name}"),
        more => format!("engine/duckdb@{name},{more}"),
    }
}

/// One run of all shapes.
pub(super) fn once(setting: &Setting) -> Result<Run, Failure> {
    let usual = if setting.quick { QUICK_ROWS } else { ROWS };
    let mut run = Run::default();
    let data = Data::new(setting.rows.unwrap_or(usual))?;
    let files = duckdb::Files::write(&data)?;
    for &shape in &SHAPES {
        let mut one = f64::NAN;
        let mut wanted = None;
        for shards in setting.shards() {
            let config = setting.config(shards);
            if shards > config.cores.len() {
                let cores = config.cores.len();
                run.invalid(format!("more shards ({shards}) than cores ({cores})"));
            }
            let label = match shards {
                1 => shape.name().to_owned(),
                more => format!("{},{more}", shape.name()),
            };
            let (seconds, found) = engine(&data, shape, &config, &mut run)?;
            let rate = data.records(shape) as f64 / seconds;
            run.add(format!("engine@{label}"), Unit::RowsPerSecond, rate);
            match shards {
                1 => one = rate,
                _ => {
                    let efficiency = rate / (shards as f64 * one);
                    run.add(format!("efficiency@{label}"), Unit::Ratio, efficiency);
                }
            }
            if *wanted.get_or_insert(found) != found || found.rows == 0 {
                run.wrong(format!("results differ at {label}: {found:?}"));
            }
            let Some(answer) = duckdb::run(&files, shape, shards)? else {
                continue;
            };
            if (answer.groups, answer.rows) != (found.rows, found.sum) {
                run.wrong(format!(
                    "DuckDB has other rows at {label}: {answer:?}, {found:?}"
                ));
            }
            let theirs = data.records(shape) as f64 / answer.seconds;
            run.add(format!("duckdb@{label}"), Unit::RowsPerSecond, theirs);
            run.add(peer(shape.name(), shards), Unit::Ratio, rate / theirs);
        }
    }
    Ok(run)
}

fn engine(
    data: &Data,
    shape: Shape,
    config: &Config,
    run: &mut Run,
) -> Result<(f64, Found), Failure> {
    let program = data.program(shape)?;
    let mut found = Found::default();
    let timed = timed(&program, config, |rows| {
        found.rows += rows.rows() as u64;
        for column in &rows.columns {
            let Column::I64(column) = column else {
                panic!("results are BIGINT")
            };
            // What is not there is 0.
            let sum: i64 = column.values[..rows.rows()].iter().sum();
            found.sum += sum as u64;
        }
    })?;
    run.executor(timed.executor);
    Ok((timed.seconds, found))
}
