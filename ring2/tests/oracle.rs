//! Two paths, one answer: the same SQL over the same records, once through the shards and once in
//! batch by DataFusion, at 1, 2 and 4 shards, with frames of 1, 7 and 1,024 rows, on plain
//! threads.

#![allow(clippy::unwrap_used)] // These are tests.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::arrow::util::display::array_value_to_string;
use proptest::prelude::*;
use trefoil::{SourceFile, convert, oracle, plan_script};
use trefoil_ring0::format::ndjson::NdjsonParser;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::runtime::{Config, Executor, start};
use trefoil_ring0::schema::Schema;

/// A value as it is compared: DOUBLE by size, all else by its text.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Number(f64),
    Text(String),
}

type Rows = Vec<Vec<Cell>>;

fn cell(array: &ArrayRef, row: usize) -> Cell {
    if array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Float64 => Cell::Number(array.as_primitive::<Float64Type>().value(row)),
        _ => Cell::Text(array_value_to_string(array, row).unwrap()),
    }
}

fn rows(batches: &[RecordBatch]) -> Rows {
    let mut out: Rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            out.push(batch.columns().iter().map(|c| cell(c, row)).collect());
        }
    }
    out.sort_by(|a, b| {
        let key = |cells: &[Cell]| {
            let text = |c: &Cell| match c {
                Cell::Null => (0, String::new()),
                // Sums differ in their last digits: they do not decide the order if others can.
                Cell::Number(x) => (1, format!("{x:+.6e}")),
                Cell::Text(t) => (2, t.clone()),
            };
            let exact: Vec<_> = cells
                .iter()
                .filter(|c| !matches!(c, Cell::Number(_)))
                .map(text)
                .collect();
            (exact, cells.iter().map(text).collect::<Vec<_>>())
        };
        key(a).cmp(&key(b))
    });
    out
}

fn same(a: &Cell, b: &Cell) -> bool {
    match (a, b) {
        (Cell::Number(x), Cell::Number(y)) => {
            x == y
                || (x.is_nan() && y.is_nan())
                || (x - y).abs() <= 1e-9 * x.abs().max(y.abs()).max(1.0)
        }
        _ => a == b,
    }
}

fn agree(engine: &Rows, batch: &Rows) -> bool {
    let row = |(a, b): (&Vec<Cell>, &Vec<Cell>)| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
    };
    engine.len() == batch.len() && engine.iter().zip(batch).all(row)
}

fn engine(script: &[SourceFile], config: &Config) -> Result<Rows, String> {
    let planned = plan_script(script).map_err(|e| e.to_string())?;
    let program = &planned[0].program;
    let mut running = start(program, config).map_err(|e| e.to_string())?;
    let schema = Arc::clone(&program.outputs[0].schema);
    let mut batches = Vec::new();
    while let Some(block) = running.next_block().map_err(|e| e.to_string())? {
        batches.push(convert::record_batch(&schema, block.rows()).map_err(|e| e.to_string())?);
        running.give_back(block);
    }
    let reports = running.finish().map_err(|e| e.to_string())?;
    let read: u64 = reports.iter().map(|r| r.sources[0].rows_read).sum();
    let passed: u64 = reports.iter().map(|r| r.sources[0].rows_passed).sum();
    let taken: u64 = reports
        .iter()
        .flat_map(|r| &r.inputs)
        .map(|(_, c)| c.rows_in)
        .sum();
    assert_eq!((read, passed), (taken, taken), "the ledger balances");
    Ok(rows(&batches))
}

const COLUMNS: &str = "k BIGINT, s VARCHAR, b BOOLEAN, d DATE, t TIMESTAMP(3), i BIGINT, \
                       x DOUBLE, y DOUBLE, ts TIMESTAMP(3) NOT NULL";

fn script(data: &std::path::Path, query: &str, lag: &str) -> Vec<SourceFile> {
    let text = format!(
        "CREATE SOURCE r ({COLUMNS}, WATERMARK FOR ts AS ts - INTERVAL '{lag}' SECOND) \
         WITH (connector = 'file', path = '{}', format = 'json');\n{query};",
        data.display()
    );
    vec![SourceFile {
        name: "oracle.sql".to_owned(),
        text,
        base: PathBuf::new(),
    }]
}

/// Compares a query over these lines on every path.
fn check(name: &str, lines: &str, query: &str, executors: &[Executor]) {
    let path = std::env::temp_dir().join(format!("trefoil-{}-{name}.ndjson", std::process::id()));
    std::fs::write(&path, lines).unwrap();
    // No record is late at this lag, so that batch SQL knows the answer.
    let files = script(&path, query, "100000000");
    let schema: Schema = oracle::source_schema(&files, "r").unwrap().unwrap();
    let mut parser = NdjsonParser::new(Arc::new(schema.clone()));
    let mut frame = Frame::new(&schema, 65_536);
    for line in lines.lines() {
        parser.parse_record(line.as_bytes(), &mut frame).unwrap();
    }
    let expected = oracle::batch(&files, &[("r".to_owned(), schema, vec![frame])]);
    let expected = expected
        .map(|r| rows(&r[0].batches))
        .map_err(|e| e.to_string());
    for &executor in executors {
        for shards in [1, 2, 4] {
            for frame_rows in [1, 7, 1024] {
                let config = Config {
                    shards,
                    frame_rows,
                    executor,
                    ..Config::default()
                };
                let got = engine(&files, &config);
                match (&got, &expected) {
                    (Ok(got), Ok(expected)) => assert!(
                        agree(got, expected),
                        "{query}\n{shards} shards, frames of {frame_rows}, {executor:?}\n\
                         engine: {got:?}\nbatch:  {expected:?}"
                    ),
                    (Err(_), Err(_)) => {}
                    // DataFusion wraps where the engine says that a sum is out of range.
                    (Err(error), Ok(_)) if error.contains("out of range") => {}
                    _ => panic!("{query}\nengine: {got:?}\nbatch:  {expected:?}"),
                }
            }
        }
    }
    std::fs::remove_file(path).unwrap();
}

/// A few hundred records with every kind of value, from a small generator.
fn lines(count: u64, seed: u64) -> String {
    let mut state = seed | 1;
    let mut next = move |bound: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut out = String::new();
    for n in 0..count {
        let mut members = vec![format!(
            "\"ts\":\"2025-11-06T{:02}:{:02}:{:02}.{:03}Z\"",
            n / 600 % 24,
            n / 10 % 60,
            next(60),
            next(1000)
        )];
        let texts = [
            "\"\"",
            "\"a\"",
            "\"b\"",
            "\"über\"",
            "\"a longer text, over twelve bytes\"",
        ];
        let doubles = [
            "0.0", "-0.0", "1.5", "-2.25", "7e-3", "1e9", "0.1", "100", "-3",
        ];
        // Of NaN, MIN and MAX of DataFusion's grouped kernel depend on the order of rows; here NaN is
        // the greatest number. So `y` is compared, counted and grouped by, and `x` is aggregated.
        let all = [
            "0.0",
            "-0.0",
            "\"NaN\"",
            "\"-Infinity\"",
            "1e300",
            "\"Infinity\"",
            "5e-324",
            "1",
            "2",
        ];
        let candidates = [
            format!("\"y\":{}", all[next(9) as usize]),
            format!("\"k\":{}", next(5) as i64 - 2),
            format!("\"s\":{}", texts[next(5) as usize]),
            format!("\"b\":{}", next(2) == 1),
            format!("\"d\":\"2025-0{}-1{}\"", 1 + next(9), next(9)),
            format!("\"t\":\"19{}0-01-01T00:00:00.{}00Z\"", 1 + next(9), next(9)),
            format!("\"i\":{}", next(2_000_001) as i64 - 1_000_000),
            format!("\"x\":{}", doubles[next(9) as usize]),
        ];
        members.extend(candidates.into_iter().filter(|_| next(6) != 0));
        out.push_str(&format!("{{{}}}\n", members.join(",")));
    }
    out
}

#[test]
fn hand_written_queries() {
    let both = [Executor::Threads, Executor::Uring];
    let all = lines(700, 42);
    for (number, query) in [
        "SELECT k, s, b, d, t, i, x FROM r",
        "SELECT i + 1 AS a, -i AS b, i * 2 - k AS c, x / 2.0 AS d FROM r WHERE i > 10 AND x < 5.0",
        "SELECT UPPER(s) AS u, LOWER(s) AS l FROM r WHERE s IS NOT NULL AND NOT b",
        "SELECT k FROM r WHERE b OR k IS NULL",
        "SELECT COUNT(*) FROM r",
        "SELECT COUNT(*), COUNT(k), SUM(i), AVG(x), MIN(x), MAX(x), MIN(s), MAX(d) FROM r",
        "SELECT COUNT(*), SUM(i), MIN(t) FROM r WHERE k > 1000",
        "SELECT k, COUNT(*), SUM(i), AVG(i), MIN(i), MAX(i) FROM r GROUP BY k",
        "SELECT s, COUNT(x), MIN(x), MAX(x), MIN(t), MAX(d), MIN(b) FROM r GROUP BY s",
        "SELECT y, COUNT(*), COUNT(y) FROM r GROUP BY y",
        "SELECT y, y * 2.0 AS z FROM r WHERE y >= 2.0 OR y = 0.0",
        "SELECT d, t, COUNT(*) FROM r GROUP BY d, t",
        "SELECT k, s, b, SUM(i), STDDEV(i) FROM r GROUP BY k, s, b HAVING COUNT(*) > 3",
        "SELECT k + 1 AS next, MAX(s), MIN(s) FROM r GROUP BY k + 1",
        "SELECT b, STDDEV(i), STDDEV_POP(i), VAR_SAMP(i), VAR_POP(i) FROM r GROUP BY b",
        "SELECT k, AVG(i) + MAX(i) AS a FROM r WHERE d >= DATE '2025-05-05' GROUP BY k",
        "SELECT DISTINCT k, s FROM r WHERE i > 0",
        "SELECT DISTINCT * FROM (SELECT b, k + 1 AS n FROM r) AS q",
        "SELECT k, COUNT(*) AS groups, SUM(n) AS rows FROM \
         (SELECT k, s, COUNT(*) AS n FROM r GROUP BY k, s) AS q GROUP BY k",
        "SELECT k, n, MAX(m) FROM (SELECT k, COUNT(*) AS n, MAX(i) AS m FROM r GROUP BY k) AS q \
         GROUP BY k, n",
        "SELECT COUNT(*), AVG(n), MAX(n) FROM (SELECT s, COUNT(*) AS n FROM r GROUP BY s) AS q",
        "WITH a AS (SELECT k, b, SUM(i) AS n FROM r GROUP BY k, b), \
              c AS (SELECT b, COUNT(*) AS n, MAX(n) AS m FROM a WHERE n > 0 GROUP BY b) \
         SELECT COUNT(*) AS groups, MAX(m) AS m FROM c",
        "SELECT k, k AS again, COUNT(*), MAX(x) FROM r GROUP BY k, again, k HAVING COUNT(*) > 1",
        "SELECT k, window_end, STDDEV(i) FROM r \
         GROUP BY k, TUMBLE(ts, INTERVAL '5' MINUTE), TUMBLE(ts, INTERVAL '5' MINUTE), 1",
        "SELECT DISTINCT k, k, s FROM r",
        "SELECT COUNT(*), 1 AS one, -7 AS two FROM r GROUP BY one, 3",
        "SELECT one, s, COUNT(*) FROM (SELECT 3 AS one, s FROM r) AS q GROUP BY one, s",
        "SELECT one, VARIANCE(n) FROM (SELECT s, 2 AS one, COUNT(*) AS n FROM r GROUP BY s, 2) AS q \
         GROUP BY one",
        "SELECT k, window_start, SUM(i) FROM (SELECT ts, k, i FROM r WHERE i > 0) AS q \
         GROUP BY k, TUMBLE(ts, INTERVAL '5' MINUTE)",
        "SELECT n, COUNT(*) FROM (SELECT COUNT(*) AS n FROM r) AS q GROUP BY n",
        "SELECT window_start, COUNT(*), MAX(n) FROM \
         (SELECT k, TUMBLE(ts, INTERVAL '5' MINUTE), COUNT(*) AS n FROM r \
          GROUP BY k, TUMBLE(ts, INTERVAL '5' MINUTE)) AS q GROUP BY window_start",
        "SELECT TUMBLE(ts, INTERVAL '1' MINUTE) AS w, COUNT(*) FROM r \
         GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)",
        "SELECT k, window_start, window_end, SUM(i), MAX(s) FROM r \
         GROUP BY k, TUMBLE(ts, INTERVAL '7' MINUTE) HAVING COUNT(*) > 1",
        "SELECT s, TUMBLE_START(ts, INTERVAL '1' HOUR) AS h, COUNT(x) FROM r \
         GROUP BY s, TUMBLE(ts, INTERVAL '1' HOUR)",
    ]
    .iter()
    .enumerate()
    {
        check(&format!("hand-{number}"), &all, query, &both);
        check(&format!("none-{number}"), "", query, &both);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Any keys, any aggregates, any filter, any data.
    #[test]
    fn generated_aggregations(
        seed in any::<u64>(),
        count in prop_oneof![Just(0u64), Just(1), 2..40u64, 40..1500u64],
        keys in prop::sample::subsequence(vec!["k", "s", "b", "d", "t", "y", "i % 7"], 0..4),
        calls in prop::sample::subsequence(vec![
            "COUNT(*)", "COUNT(s)", "SUM(i)", "SUM(x)", "AVG(i)", "AVG(x)", "MIN(k)", "MAX(s)",
            "MIN(x)", "MAX(x)", "MIN(s)", "MAX(d)", "MIN(t)", "MAX(b)", "STDDEV(i)",
            "SUM(i * 2 + k)",
        ], 1..6),
        filter in prop::sample::select(vec![
            "", " WHERE i > 0", " WHERE x < 1.0 OR b", " WHERE s IS NOT NULL AND k <> 1",
            " WHERE NOT (k = 2 AND b)", " WHERE UPPER(s) = 'A'", " WHERE y > 0.0",
        ]),
        having in prop::sample::select(vec!["", " HAVING COUNT(*) > 2", " HAVING MAX(i) > 0"]),
        window in prop::sample::select(vec!["", "TUMBLE(ts, INTERVAL '3' MINUTE)"]),
    ) {
        let mut groups: Vec<&str> = keys;
        let mut list: Vec<String> =
            groups.iter().enumerate().map(|(n, k)| format!("{k} AS g{n}")).collect();
        if !window.is_empty() {
            groups.push(window);
            list.push("window_start".to_owned());
        }
        list.extend(calls.iter().enumerate().map(|(n, c)| format!("{c} AS a{n}")));
        let by = if groups.is_empty() {
            String::new()
        } else {
            format!(" GROUP BY {}", groups.join(", "))
        };
        let query = format!("SELECT {} FROM r{filter}{by}{having}", list.join(", "));
        check(&format!("gen-{seed}"), &lines(count, seed), &query, &[Executor::Auto]);
    }
}
