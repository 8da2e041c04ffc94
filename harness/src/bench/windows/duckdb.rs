//! DuckDB over the same columns, in a table in memory. It times the query alone.

use std::fs::File;

use parquet::arrow::ArrowWriter;

use super::data::{Data, Kind};
use crate::bench::peer::{self, Answer};
use crate::failure::Failure;

const SCRIPT: &str = "
import sys, time, json, duckdb
path, query, threads = sys.argv[1:4]
db = duckdb.connect(config={'threads': threads})
db.execute('SET enable_progress_bar = false')
db.execute(f\"CREATE TABLE t AS SELECT * FROM read_parquet('{path}')\")
begin = time.perf_counter()
groups, rows, _ = db.execute(query).fetchone()
seconds = time.perf_counter() - begin
print(json.dumps({'seconds': seconds, 'groups': int(groups), 'rows': int(rows)}))
";

/// Its answer, where a Python has it.
pub(super) fn run(data: &Data, kind: Kind, threads: usize) -> Result<Option<Answer>, Failure> {
    let name = format!("trefoil-bench-windows-{}.parquet", std::process::id());
    let path = std::env::temp_dir().join(name);
    let written = write(data, &path);
    let (query, threads) = (kind.duckdb(), threads.to_string());
    let arguments = [path.as_ref(), query.as_ref(), threads.as_ref()];
    let answer = written.and_then(|()| peer::run("duckdb", SCRIPT, &arguments));
    // What cannot be removed is in a folder for what is temporary.
    _ = std::fs::remove_file(&path);
    answer
}

fn write(data: &Data, path: &std::path::Path) -> Result<(), Failure> {
    let failed = |error: parquet::errors::ParquetError| Failure::Running(error.to_string());
    let batch = data.batch()?;
    let mut writer =
        ArrowWriter::try_new(File::create(path)?, batch.schema(), None).map_err(failed)?;
    writer.write(&batch).map_err(failed)?;
    writer.close().map(drop).map_err(failed)
}
