//! DuckDB and Polars over the same files, through a Python that has them: the one that the
//! environment variable TREFOIL_BENCH_PYTHON names, else python3. They time themselves, from the
//! query to its last row; starting Python is not counted.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde::Deserialize;

use super::data::FileKind;
use crate::failure::Failure;
use crate::say::say;

pub(super) const NAMES: [&str; 2] = ["duckdb", "polars"];

/// What a peer says.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) seconds: f64,
    pub(super) groups: u64,
    pub(super) rows: u64,
}

const DUCKDB: &str = "
import sys, time, json, duckdb
kind, path, threads = sys.argv[1:4]
db = duckdb.connect(config={'threads': threads})
columns = \"{'at': 'TIMESTAMP', 'device': 'VARCHAR', 'value': 'DOUBLE', 'n': 'BIGINT'}\"
source = {
    'ndjson': f\"read_json('{path}', format='newline_delimited', columns={columns})\",
    'csv': f\"read_csv('{path}', header=true, columns={columns})\",
    'parquet': f\"read_parquet('{path}')\",
}[kind]
begin = time.perf_counter()
rows = db.execute(f'SELECT device, COUNT(*), SUM(value) FROM {source} GROUP BY device').fetchall()
seconds = time.perf_counter() - begin
print(json.dumps({'seconds': seconds, 'groups': len(rows), 'rows': sum(r[1] for r in rows)}))
";

const POLARS: &str = "
import sys, time, json, os
kind, path, threads = sys.argv[1:4]
os.environ['POLARS_MAX_THREADS'] = threads
import polars as pl
schema = {'at': pl.String, 'device': pl.String, 'value': pl.Float64, 'n': pl.Int64}
begin = time.perf_counter()
source = {
    'ndjson': lambda: pl.scan_ndjson(path, schema=schema),
    'csv': lambda: pl.scan_csv(path, schema=schema),
    'parquet': lambda: pl.scan_parquet(path),
}[kind]()
rows = source.group_by('device').agg(pl.len().alias('c'), pl.col('value').sum()).collect()
seconds = time.perf_counter() - begin
print(json.dumps({'seconds': seconds, 'groups': len(rows), 'rows': int(rows['c'].sum())}))
";

/// Peers that were said to be missing.
static MISSING: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// What a peer needs for the query; `None`, said once, where it is not there.
pub(super) fn run(
    peer: &'static str,
    kind: FileKind,
    path: &Path,
    threads: usize,
) -> Result<Option<Answer>, Failure> {
    let python = std::env::var_os("TREFOIL_BENCH_PYTHON").unwrap_or_else(|| "python3".into());
    let mut missing = MISSING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    if missing.contains(peer) {
        return Ok(None);
    }
    let has = Command::new(&python)
        .args(["-c", &format!("import {peer}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !has.is_ok_and(|status| status.success()) {
        missing.insert(peer);
        let python = python.to_string_lossy();
        say(&format_args!(
            "note: {python} has no {peer}: it is left out"
        ));
        return Ok(None);
    }
    let script = match peer {
        "duckdb" => DUCKDB,
        _ => POLARS,
    };
    let output = Command::new(&python)
        .args(["-c", script, kind.name()])
        .arg(path)
        .arg(threads.to_string())
        .output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::Running(format!("{peer}: {}", why.trim_end())));
    }
    let answer = serde_json::from_slice(&output.stdout).map_err(std::io::Error::from)?;
    Ok(Some(answer))
}
