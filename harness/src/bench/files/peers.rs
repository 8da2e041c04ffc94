//! DuckDB and Polars over the same files. They time themselves, from the query to its last row.

use std::path::Path;

use super::data::FileKind;
use crate::bench::peer::{self, Answer};
use crate::failure::Failure;

pub(super) const NAMES: [&str; 2] = ["duckdb", "polars"];

const DUCKDB: &str = "
import sys, time, json, duckdb
kind, path, threads = sys.argv[1:4]
db = duckdb.connect(config={'threads': threads})
db.execute('SET enable_progress_bar = false')
columns = \"{'at': 'TIMESTAMP', 'device': 'VARCHAR', 'value': 'DOUBLE', 'n': 'BIGINT'}\"
source = {
    'ndjson': f\"read_json('{path}', format='newline_delimited', columns={columns})\",
    'csv': f\"read_csv('{path}', header=true, columns={columns})\",
    'parquet': f\"read_parquet('{path}')\",
}['ndjson' if kind == 'mixed' else kind]
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
}['ndjson' if kind == 'mixed' else kind]()
rows = source.group_by('device').agg(pl.len().alias('c'), pl.col('value').sum()).collect()
seconds = time.perf_counter() - begin
print(json.dumps({'seconds': seconds, 'groups': len(rows), 'rows': int(rows['c'].sum())}))
";

/// What a peer needs for the query; `None`, said once, where it is not there.
pub(super) fn run(
    peer: &'static str,
    kind: FileKind,
    path: &Path,
    threads: usize,
) -> Result<Option<Answer>, Failure> {
    let script = match peer {
        "duckdb" => DUCKDB,
        _ => POLARS,
    };
    let threads = threads.to_string();
    peer::run(
        peer,
        script,
        &[kind.name().as_ref(), path.as_ref(), threads.as_ref()],
    )
}
