//! The engine, and the view that it keeps.

use std::sync::Arc;
use std::time::Instant;

use arrow_array::RecordBatch;
use trefoil::datafusion::catalog::TableProvider;
use trefoil::engine::{Appender, Builder};
use trefoil::{Engine, params};
use trefoil_ring0::preflight::allowed_cores;
use trefoil_ring0::runtime::Config;

use super::VIEW;
use super::data::{Groups, TIMES};
use crate::bench::engine::executor_of;
use crate::bench::report::Run;
use crate::failure::Failure;

/// Bytes that a query may take for each row of the view: the rows it keeps, and results.
const QUERY_BYTES_PER_ROW: usize = 512;
const QUERY_BYTES_MIN: usize = 256 << 20;

/// When rows stood that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// At a barrier.
    Pinned,
    /// Just then.
    Latest,
}

/// The engine, whose view has all groups.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) engine: Engine,
    /// The cores on which its queries run.
    pub(super) cores: Vec<usize>,
}

impl Live {
    /// Opens it and makes the groups.
    pub(super) fn open(config: &Config, groups: &Groups, run: &mut Run) -> Result<Self, Failure> {
        let bytes = (groups.len() * QUERY_BYTES_PER_ROW).max(QUERY_BYTES_MIN);
        let engine = Builder::from(config.clone()).query_bytes(bytes).open()?;
        engine.execute(&format!(
            "CREATE SOURCE records (k BIGINT, v BIGINT, x DOUBLE) WITH (connector = 'channel');
             CREATE MATERIALIZED VIEW {VIEW} AS SELECT k, COUNT(*) AS n, SUM(v) AS total, \
             MIN(x) AS least, MAX(x) AS most FROM records GROUP BY k"
        ))?;
        let free = |core: &usize| !config.cores.contains(core);
        let mut cores: Vec<usize> = allowed_cores().into_iter().filter(free).collect();
        if cores.is_empty() {
            cores = allowed_cores();
        }
        let live = Self { engine, cores };
        let mut appender = live.appender()?;
        for batch in groups.records() {
            appender.append_batch(&batch)?;
        }
        appender.flush()?;
        live.engine.flush()?;
        if let Some(executor) = executor_of(&live.engine)? {
            run.executor(executor);
        }
        let (rows, records) = live.counts()?;
        if (rows, records) != (groups.len() as i64, TIMES * groups.len() as i64) {
            run.wrong(format!("{rows} groups of {records} records are there"));
        }
        Ok(live)
    }

    /// Who appends.
    pub(super) fn appender(&self) -> Result<Appender, Failure> {
        Ok(self.engine.appender("records")?)
    }

    /// When the rows of the next queries stand.
    pub(super) fn read(&self, read: Read) -> Result<(), Failure> {
        let read = match read {
            Read::Pinned => "snapshot",
            Read::Latest => "latest",
        };
        let sql = format!("SET trefoil.read = '{read}'");
        self.engine.execute(&sql)?;
        Ok(())
    }

    /// The rows of a query.
    pub(super) fn query(&self, sql: &str) -> Result<Vec<RecordBatch>, Failure> {
        Ok(self.engine.query(sql, &[])?)
    }

    /// The view as a table.
    pub(super) fn table(&self) -> Result<Arc<dyn TableProvider>, Failure> {
        Ok(self.engine.table(VIEW)?)
    }

    /// The sum that stands for a key, and the nanoseconds that it took to get its row.
    pub(super) fn get(&self, key: i64) -> Result<(Option<i64>, f64), Failure> {
        let clock = Instant::now();
        let row = self.engine.get(VIEW, &params![key])?;
        let spent = clock.elapsed().as_nanos() as f64;
        let total = row.map(|row| row.get::<i64>("total")).transpose()?;
        Ok((total, spent))
    }

    /// How many groups there are, and of how many records.
    pub(super) fn counts(&self) -> Result<(i64, i64), Failure> {
        let sql = format!("SELECT COUNT(*) AS c, SUM(n) AS s FROM {VIEW}");
        let rows = self.query(&sql)?;
        let row = rows.iter().flat_map(trefoil::engine::rows).next();
        let Some(row) = row else { return Ok((0, 0)) };
        Ok((row.get("c")?, row.get::<Option<i64>>("s")?.unwrap_or(0)))
    }
}
