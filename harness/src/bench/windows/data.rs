//! The columns, the queries over them, and how many groups and rows these have to give.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
use trefoil::{SourceFile, plan_script};
use trefoil_ring0::program::{Program, SourceKind};

use crate::bench::data::{Random, scaled};
use crate::failure::Failure;

/// The time of the first record, in milliseconds since 1970: a whole number of all windows.
const START_MS: i64 = 1_704_067_000_000;
/// Length of tumbling windows.
const MINUTE_MS: i64 = 60_000;
/// Length of windows that hop.
const HOPPING_MS: i64 = 1_000_000;
/// The pause that ends a session: half of the mean one.
const GAP_MS: i64 = 5_000;

/// Kinds of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Each as many times as long as its slide.
    Hopping {
        ratio: u64,
    },
    Tumbling,
    Session,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hopping { .. } => "hopping",
            Self::Tumbling => "tumbling",
            Self::Session => "session",
        }
    }

    /// As SQL of the engine.
    fn window(self) -> String {
        let interval = |ms: i64| format!("INTERVAL '{}' SECOND", ms / 1000);
        match self {
            Self::Hopping { ratio } => {
                let slide = interval(HOPPING_MS / ratio as i64);
                format!("HOP(at, {slide}, {})", interval(HOPPING_MS))
            }
            Self::Tumbling => format!("TUMBLE(at, {})", interval(MINUTE_MS)),
            Self::Session => format!("SESSION(at, {})", interval(GAP_MS)),
        }
    }

    /// As SQL of DuckDB over a table t, which counts groups and sums their counts; of kinds that it
    /// is asked for.
    pub(super) fn duckdb(self) -> String {
        match self {
            Self::Session => {
                let ordered = "OVER (PARTITION BY k ORDER BY \"at\"";
                let begins = format!(
                    "SELECT k, v, \"at\", CASE WHEN \"at\" - LAG(\"at\") {ordered}) < \
                     INTERVAL '{GAP_MS} milliseconds' THEN 0 ELSE 1 END AS begins FROM t"
                );
                let numbered = format!(
                    "SELECT k, v, SUM(begins) {ordered} ROWS UNBOUNDED PRECEDING) AS id \
                     FROM ({begins})"
                );
                format!(
                    "SELECT COUNT(*), SUM(n), SUM(s) FROM (SELECT k, id, COUNT(*) AS n, \
                     SUM(v) AS s FROM ({numbered}) GROUP BY k, id)"
                )
            }
            Self::Tumbling | Self::Hopping { .. } => format!(
                "SELECT COUNT(*), SUM(n), SUM(s) FROM (SELECT k, time_bucket(INTERVAL \
                 '{MINUTE_MS} milliseconds', \"at\") AS w, COUNT(*) AS n, SUM(v) AS s FROM t \
                 GROUP BY k, w)"
            ),
        }
    }
}

/// Groups of a result, and the rows that they count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Groups {
    pub(super) groups: u64,
    pub(super) rows: u64,
}

impl Groups {
    /// Takes groups that count so many rows each.
    pub(super) fn take(&mut self, counts: &[i64]) {
        self.groups += counts.len() as u64;
        self.rows += counts.iter().sum::<i64>() as u64;
    }
}

/// Records, one each millisecond.
#[derive(Debug)]
pub(super) struct Data {
    keys: Vec<i64>,
    values: Vec<i64>,
    times: Vec<i64>,
}

impl Data {
    /// The same each time.
    pub(super) fn new(rows: usize, keys: u64) -> Self {
        let mut random = Random::default();
        let bits: Vec<u64> = (0..rows).map(|_| random.bits()).collect();
        let key = |bits: &u64| scaled(*bits, keys) as i64;
        Self {
            keys: bits.iter().map(key).collect(),
            values: bits.iter().map(|bits| (bits % 1000) as i64).collect(),
            times: (0..rows as i64).map(|n| START_MS + n).collect(),
        }
    }

    /// Windows one behind the other in each of which every one of `keys` has two records.
    pub(super) fn closing(windows: i64, keys: u64) -> Self {
        let keys = keys as i64;
        let rows = || (0..windows).flat_map(move |w| (0..2 * keys).map(move |n| (w, n)));
        Self {
            keys: rows().map(|(_, n)| n % keys).collect(),
            values: rows().map(|(_, n)| n).collect(),
            times: rows()
                .map(|(w, n)| START_MS - START_MS % MINUTE_MS + w * MINUTE_MS + n % MINUTE_MS)
                .collect(),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.keys.len()
    }

    /// k, v and at.
    fn arrays(&self) -> [ArrayRef; 3] {
        [
            Arc::new(Int64Array::from(self.keys.clone())),
            Arc::new(Int64Array::from(self.values.clone())),
            Arc::new(TimestampMillisecondArray::from(self.times.clone())),
        ]
    }

    /// The same as a batch.
    pub(super) fn batch(&self) -> Result<RecordBatch, Failure> {
        let named = ["k", "v", "at"].into_iter().zip(self.arrays());
        let batch = RecordBatch::try_from_iter(named);
        batch.map_err(|error| Failure::Running(error.to_string()))
    }

    /// The query over them, which gives key, start, count and sum.
    pub(super) fn program(&self, kind: Kind) -> Result<Program, Failure> {
        let text = format!(
            "CREATE SOURCE records (k BIGINT, v BIGINT, at TIMESTAMP(3) NOT NULL, \
             WATERMARK FOR at AS at - INTERVAL '1' SECOND) WITH (connector = 'file', \
             path = 'columns-in-memory', format = 'json', allowed_lateness = '1 minute'); \
             SELECT k, window_start, COUNT(*) AS n, SUM(v) AS s FROM records GROUP BY k, {}",
            kind.window()
        );
        let script = SourceFile {
            name: "bench windows".to_owned(),
            text,
            base: PathBuf::from("."),
        };
        let mut program = plan_script(&[script])?.remove(0).program;
        program.sources[0].kind = SourceKind::Columns {
            arrays: self.arrays().into(),
            repeat: 1,
        };
        Ok(program)
    }

    /// What a query gives.
    pub(super) fn groups(&self, kind: Kind) -> Groups {
        let rows = self.rows() as u64;
        let records = self.keys.iter().zip(&self.times);
        match kind {
            Kind::Tumbling => Groups {
                groups: records
                    .map(|(key, time)| (*key, time.div_euclid(MINUTE_MS)))
                    .collect::<HashSet<_>>()
                    .len() as u64,
                rows,
            },
            Kind::Hopping { ratio } => {
                let slide = HOPPING_MS / ratio as i64;
                let slides: HashSet<_> = records
                    .map(|(key, time)| (*key, time.div_euclid(slide)))
                    .collect();
                let windows = slides
                    .iter()
                    .flat_map(|(key, at)| (0..ratio as i64).map(move |back| (*key, at - back)));
                Groups {
                    groups: windows.collect::<HashSet<_>>().len() as u64,
                    rows: rows * ratio,
                }
            }
            Kind::Session => {
                let keys = self.keys.iter().max().map_or(0, |key| *key as usize + 1);
                let mut last = vec![i64::MIN; keys];
                let begins = records.filter(|(key, time)| {
                    let before = std::mem::replace(&mut last[**key as usize], **time);
                    before == i64::MIN || **time - before >= GAP_MS
                });
                Groups {
                    groups: begins.count() as u64,
                    rows,
                }
            }
        }
    }
}
