//! The columns, and the queries over them.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
use trefoil::{SourceFile, plan_script};
use trefoil_ring0::program::{Program, SourceKind};

use crate::bench::data::Random;
use crate::failure::Failure;

/// The time of the first record, in milliseconds since 1970.
const START_MS: i64 = 1_704_067_200_000;
/// Keys of all shapes but the regular one.
const KEYS: u64 = 10_000;
const VALUE_MAX: u64 = 1000;

/// What a join keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Interval,
    Window,
    Lookup,
    Asof,
    Regular,
}

/// All of them.
pub(super) const SHAPES: [Shape; 5] = [
    Shape::Interval,
    Shape::Window,
    Shape::Lookup,
    Shape::Asof,
    Shape::Regular,
];

impl Shape {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Window => "window",
            Self::Lookup => "lookup",
            Self::Asof => "asof",
            Self::Regular => "regular",
        }
    }

    /// As SQL of the engine.
    fn sql(self) -> &'static str {
        match self {
            Self::Interval => {
                "SELECT l.v AS a, r.v AS b FROM l JOIN r ON l.k = r.k AND r.at BETWEEN \
                 l.at - INTERVAL '5' SECOND AND l.at + INTERVAL '5' SECOND"
            }
            Self::Window => {
                "SELECT l.v AS a, r.v AS b FROM TUMBLE(l, at, INTERVAL '10' SECOND) AS l \
                 JOIN TUMBLE(r, at, INTERVAL '10' SECOND) AS r \
                 ON l.k = r.k AND l.window_start = r.window_start"
            }
            Self::Lookup => "SELECT l.v AS a, t.v AS b FROM l LEFT JOIN t ON l.k = t.k",
            Self::Asof => {
                "SELECT l.v AS a, r.v AS b FROM l ASOF JOIN r MATCH_CONDITION (l.at >= r.at) \
                 ON l.k = r.k"
            }
            Self::Regular => "SELECT l.v AS a, r.v AS b FROM l JOIN r ON l.u = r.u",
        }
    }

    /// As SQL of DuckDB, which counts the rows and sums up their columns.
    pub(super) fn duckdb(self) -> String {
        let from = match self {
            Self::Interval => {
                "l JOIN r ON l.k = r.k AND r.\"at\" BETWEEN l.\"at\" - INTERVAL '5 seconds' \
                 AND l.\"at\" + INTERVAL '5 seconds'"
            }
            Self::Window => {
                "l JOIN r ON l.k = r.k AND time_bucket(INTERVAL '10 seconds', l.\"at\") \
                 = time_bucket(INTERVAL '10 seconds', r.\"at\")"
            }
            Self::Lookup => "l LEFT JOIN t AS r ON l.k = r.k",
            Self::Asof => "l ASOF LEFT JOIN r ON l.k = r.k AND l.\"at\" >= r.\"at\"",
            Self::Regular => "l JOIN r ON l.u = r.u",
        };
        format!("SELECT COUNT(*), SUM(l.v) + COALESCE(SUM(r.v), 0) FROM {from}")
    }
}

/// Records of both sides, one each millisecond, and a table of all keys.
#[derive(Debug)]
pub(super) struct Data {
    rows: usize,
    /// Of each side: k, u, v, and at.
    sides: [[ArrayRef; 4]; 2],
    /// k and v.
    table: [ArrayRef; 2],
}

impl Data {
    /// The same each time.
    pub(super) fn new(rows: usize) -> Result<Self, Failure> {
        if rows == 0 {
            return Err(Failure::Usage("--rows is at least 1 here".to_owned()));
        }
        let mut random = Random::default();
        let mut column = |end: u64, rows: usize| -> ArrayRef {
            let values = (0..rows).map(|_| random.below(end) as i64);
            Arc::new(Int64Array::from_iter_values(values))
        };
        let mut side = || {
            let times = (0..rows as i64).map(|n| START_MS + n);
            let times = TimestampMillisecondArray::from_iter_values(times);
            // As many keys as rows: of a regular join a row matches one.
            [
                column(KEYS, rows),
                column(rows as u64, rows),
                column(VALUE_MAX, rows),
                Arc::new(times) as ArrayRef,
            ]
        };
        let sides = [side(), side()];
        let keys = Int64Array::from_iter_values(0..KEYS as i64);
        let table = [Arc::new(keys) as ArrayRef, column(VALUE_MAX, KEYS as usize)];
        Ok(Self { rows, sides, table })
    }

    /// How many records a join reads.
    pub(super) fn records(&self, shape: Shape) -> usize {
        match shape {
            Shape::Lookup => self.rows + KEYS as usize,
            _ => 2 * self.rows,
        }
    }

    /// The tables l, r and t.
    pub(super) fn batches(&self) -> Result<[(&'static str, RecordBatch); 3], Failure> {
        let batch = |names: &[&str], arrays: &[ArrayRef]| {
            let named = names.iter().copied().zip(arrays.iter().cloned());
            RecordBatch::try_from_iter(named).map_err(|e| Failure::Running(e.to_string()))
        };
        let names = ["k", "u", "v", "at"];
        Ok([
            ("l", batch(&names, &self.sides[0])?),
            ("r", batch(&names, &self.sides[1])?),
            ("t", batch(&["k", "v"], &self.table)?),
        ])
    }

    /// The query over streams that do not end, for which the columns stand.
    pub(super) fn program(&self, shape: Shape) -> Result<Program, Failure> {
        let stream = |name: &str| {
            format!(
                "CREATE SOURCE {name} (k BIGINT NOT NULL, u BIGINT NOT NULL, v BIGINT NOT NULL, \
                 at TIMESTAMP(3) NOT NULL, WATERMARK FOR at AS at - INTERVAL '1' SECOND) WITH \
                 (connector = 'file', path = 'columns-in-memory', format = 'json', \
                 follow = true);\n"
            )
        };
        let table = "CREATE TABLE t (k BIGINT, v BIGINT, PRIMARY KEY (k)) WITH (connector = \
                     'file', path = 'columns-in-memory', format = 'json');\n";
        let script = SourceFile {
            name: "bench joins".to_owned(),
            text: [&stream("l"), &stream("r"), table, shape.sql()].concat(),
            base: PathBuf::from("."),
        };
        let mut program = plan_script(&[script])?.remove(0).program;
        for source in &mut program.sources {
            let (names, arrays) = match source.name.as_str() {
                "l" => (&["k", "u", "v", "at"][..], &self.sides[0][..]),
                "r" => (&["k", "u", "v", "at"][..], &self.sides[1][..]),
                _ => (&["k", "v"][..], &self.table[..]),
            };
            // Columns that nobody asks for are not read.
            let read = source.schema.fields.iter();
            let at = read.filter_map(|field| names.iter().position(|n| *n == field.name));
            source.kind = SourceKind::Columns {
                arrays: at.map(|at| Arc::clone(&arrays[at])).collect(),
                repeat: 1,
            };
        }
        Ok(program)
    }
}
