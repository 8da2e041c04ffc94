//! DuckDB over the same columns, in tables in memory. It times the query alone.

use std::fs::File;
use std::path::PathBuf;

use parquet::arrow::ArrowWriter;

use super::data::{Data, Shape};
use crate::bench::peer::{self, Answer};
use crate::failure::Failure;

const SCRIPT: &str = "
import sys, time, json, duckdb
folder, query, threads = sys.argv[1:4]
db = duckdb.connect(config={'threads': threads})
db.execute('SET enable_progress_bar = false')
db.execute('SET enable_progress_bar = false')
for t in ('l', 'r', 't'):
    db.execute(f\"CREATE TABLE {t} AS SELECT * FROM read_parquet('{folder}/{t}.parquet')\")
begin = time.perf_counter()
groups, rows = db.execute(query).fetchone()
seconds = time.perf_counter() - begin
print(json.dumps({'seconds': seconds, 'groups': int(groups), 'rows': int(rows)}))
";

/// The columns as files, in a folder that goes with this.
#[derive(Debug)]
pub(super) struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        // What cannot be removed is in a folder for what is temporary.
        _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Files {
    pub(super) fn write(data: &Data) -> Result<Self, Failure> {
        let failed = |error: parquet::errors::ParquetError| Failure::Running(error.to_string());
        let folder = format!("trefoil-bench-joins-{}", std::process::id());
        let files = Self(std::env::temp_dir().join(folder));
        std::fs::create_dir_all(&files.0)?;
        for (name, batch) in data.batches()? {
            let file = File::create(files.0.join(format!("{name}.parquet")))?;
            let mut writer = ArrowWriter::try_new(file, batch.schema(), None).map_err(failed)?;
            writer.write(&batch).map_err(failed)?;
            writer.close().map_err(failed)?;
        }
        Ok(files)
    }
}

/// Its answer, where a Python has it: `groups` are rows here, and `rows` is their sum.
pub(super) fn run(files: &Files, shape: Shape, threads: usize) -> Result<Option<Answer>, Failure> {
    let (query, threads) = (shape.duckdb(), threads.to_string());
    let arguments = [files.0.as_ref(), query.as_ref(), threads.as_ref()];
    peer::run("duckdb", SCRIPT, &arguments)
}
