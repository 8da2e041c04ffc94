//! The five categories of the partitionability analysis over NDJSON files in the page cache, on one
//! shard and on more: records a second from reading the files to the last result in the host's
//! hands, how much of N times one shard's rate N shards have, and the rate beside what the analysis
//! hoped for on eight cores. All numbers of shards have to give the same rows.

mod data;

use trefoil::{SourceFile, plan_script};
use trefoil_ring0::column::Column;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::runtime::Config;

use self::data::Files;
use super::Setting;
use super::engine::timed;
use super::report::{Run, Unit};
use crate::failure::Failure;

const ROWS: usize = 1_000_000;
const QUICK_ROWS: usize = 100_000;

/// A query, the records a second that were hoped for, and how many of the streams it reads.
#[derive(Debug)]
struct Category {
    name: &'static str,
    sql: &'static str,
    hoped: f64,
    streams: usize,
}

const CATEGORIES: [Category; 9] = [
    Category {
        name: "projection",
        sql: "SELECT reading_id, sensor_type, UPPER(sensor_type) AS upper, value * 2 AS doubled \
              FROM readings WHERE value > 50",
        hoped: 400e3,
        streams: 1,
    },
    Category {
        name: "group_by",
        sql: "SELECT device_id, sensor_type, COUNT(*) AS n, AVG(value) AS mean, STDDEV(value) AS \
              deviation, MIN(value) AS least, MAX(value) AS greatest FROM readings GROUP BY \
              device_id, sensor_type",
        hoped: 1.5e6,
        streams: 1,
    },
    Category {
        name: "tumbling",
        sql: "SELECT device_id, window_start, COUNT(*) AS n, AVG(value) AS mean FROM readings \
              GROUP BY device_id, TUMBLE(event_time, INTERVAL '1' MINUTE)",
        hoped: 1e6,
        streams: 1,
    },
    Category {
        name: "session",
        sql: "SELECT device_id, window_start, COUNT(*) AS n, SUM(value) AS total FROM readings \
              GROUP BY device_id, SESSION(event_time, INTERVAL '4' SECOND)",
        hoped: 1e6,
        streams: 1,
    },
    Category {
        name: "sliding",
        sql: "SELECT device_id, sensor_type, window_start, AVG(value) AS mean, STDDEV(value) AS \
              deviation, COUNT(*) AS n FROM readings GROUP BY device_id, sensor_type, \
              SLIDING(event_time, INTERVAL '10' MINUTE, INTERVAL '1' MINUTE)",
        hoped: 500e3,
        streams: 1,
    },
    Category {
        name: "global",
        sql: "SELECT COUNT(*) AS n, SUM(lot) AS lots, AVG(value) AS mean, MIN(value) AS least, \
              MAX(value) AS greatest, SUM(value * lot) AS total FROM readings",
        hoped: 1.5e6,
        streams: 1,
    },
    Category {
        name: "co_partitioned",
        sql: "SELECT r.reading_id, r.device_id, r.value, c.lot FROM readings r JOIN checks c ON \
              r.device_id = c.device_id AND c.event_time BETWEEN r.event_time - INTERVAL '1' \
              SECOND AND r.event_time + INTERVAL '1' SECOND",
        hoped: 1.2e6,
        streams: 2,
    },
    Category {
        name: "broadcast",
        sql: "SELECT r.device_id, r.sensor_type, r.value, d.location FROM readings r LEFT JOIN \
              devices d ON r.device_id = d.device_id",
        hoped: 1.5e6,
        streams: 1,
    },
    Category {
        name: "repartition",
        sql: "SELECT lot, COUNT(*) AS n, SUM(total) AS total FROM (SELECT device_id, lot, \
              SUM(value) AS total FROM readings GROUP BY device_id, lot) AS q GROUP BY lot",
        hoped: 500e3,
        streams: 1,
    },
];

/// The ratios that a run gives.
pub(super) fn ratios(setting: &Setting) -> Vec<String> {
    let more = || setting.shards().into_iter().filter(|&n| n > 1);
    let of = |category: &Category| {
        let name = category.name;
        let efficiency = more().map(move |n| format!("efficiency@{name},{n}"));
        std::iter::once(format!("engine/hoped@{name}")).chain(efficiency)
    };
    CATEGORIES.iter().flat_map(of).collect()
}

/// One run of all categories.
pub(super) fn once(setting: &Setting) -> Result<Run, Failure> {
    let usual = if setting.quick { QUICK_ROWS } else { ROWS };
    let mut run = Run::default();
    let files = Files::make(setting.rows.unwrap_or(usual))?;
    for category in &CATEGORIES {
        measure(category, &files, setting, &mut run)?;
    }
    Ok(run)
}

fn measure(
    category: &Category,
    files: &Files,
    setting: &Setting,
    run: &mut Run,
) -> Result<(), Failure> {
    let name = category.name;
    let records = (files.rows * category.streams) as f64;
    let mut alone: Option<(f64, Digest)> = None;
    for shards in setting.shards() {
        let config = setting.config(shards);
        if shards > config.cores.len() {
            let cores = config.cores.len();
            run.invalid(format!("more shards ({shards}) than cores ({cores})"));
        }
        let (seconds, got) = engine(category, files, &config, run)?;
        let rate = records / seconds;
        if got.rows == 0 {
            run.wrong(format!("{name} gave no row"));
        }
        match alone {
            None => {
                run.add(format!("engine@{name}"), Unit::RowsPerSecond, rate);
                let ratio = format!("engine/hoped@{name}");
                run.add(ratio, Unit::Ratio, rate / category.hoped);
                alone = Some((rate, got));
            }
            Some((one, ref wanted)) => {
                run.add(format!("engine@{name},{shards}"), Unit::RowsPerSecond, rate);
                let efficiency = rate / (shards as f64 * one);
                run.add(
                    format!("efficiency@{name},{shards}"),
                    Unit::Ratio,
                    efficiency,
                );
                if got != *wanted {
                    run.wrong(format!(
                        "{name} differs on {shards} shards: {got:?} instead of {wanted:?}"
                    ));
                }
            }
        }
    }
    Ok(())
}

fn engine(
    category: &Category,
    files: &Files,
    config: &Config,
    run: &mut Run,
) -> Result<(f64, Digest), Failure> {
    let script = SourceFile {
        name: "bench categories".to_owned(),
        text: format!("{}{}", data::SCHEMA, category.sql),
        base: files.folder().to_owned(),
    };
    let program = plan_script(&[script])?.remove(0).program;
    let mut digest = Digest::default();
    let timed = timed(&program, config, |rows| digest.take(rows))?;
    run.executor(timed.executor);
    Ok((timed.seconds, digest))
}

/// What results come to, whatever their order: their number, and sums of what is in their columns.
/// Values are such that no sum depends on its order.
#[derive(Debug, Default, Clone, PartialEq)]
struct Digest {
    rows: u64,
    columns: Vec<u64>,
}

impl Digest {
    fn take(&mut self, frame: &Frame) {
        self.rows += frame.rows() as u64;
        self.columns.resize(frame.columns.len(), 0);
        for (sum, column) in self.columns.iter_mut().zip(&frame.columns) {
            *sum = sum.wrapping_add(of(column, frame.rows()));
        }
    }
}

/// A sum of a column's values. Means and deviations are taken to eight digits: the last ones of a
/// DOUBLE may differ.
fn of(column: &Column, rows: usize) -> u64 {
    match column {
        Column::F64(c) => {
            let rounded = c.values[..rows]
                .iter()
                .map(|v| (v * 1e4).round() as i64 as u64);
            rounded.fold(0, u64::wrapping_add)
        }
        Column::Utf8(c) => (0..rows).fold(0, |sum: u64, row| {
            let bytes = c.value(row).bytes();
            let text = bytes.fold(0, |h: u64, b| h.wrapping_mul(31).wrapping_add(b.into()));
            sum.wrapping_add(text)
        }),
        Column::I64(c) => {
            let values = c.values[..rows].iter();
            values.fold(0, |sum: u64, v| sum.wrapping_add(*v as u64))
        }
        other => panic!("no column of {:?} here", other.physical()),
    }
}
