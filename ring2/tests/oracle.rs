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
use trefoil::{PlannedQuery, SourceFile, convert, oracle, plan_script};
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

/// How a script is planned.
type Plan = fn(&[SourceFile]) -> trefoil::Result<Vec<PlannedQuery>>;

fn engine(script: &[SourceFile], plan: Plan, config: &Config) -> Result<Rows, String> {
    let planned = plan(script).map_err(|e| e.to_string())?;
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
                       x DOUBLE, y DOUBLE, ts TIMESTAMP(3) NOT NULL, n DECIMAL(12, 3), \
                       w SMALLINT, f REAL, u INT UNSIGNED, tm TIME(3), tags VARCHAR[], \
                       o STRUCT<a BIGINT, b VARCHAR>, g VARCHAR, us TIMESTAMP";

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
    compare(name, lines, query, executors).unwrap_or_else(|difference| panic!("{difference}"));
}

/// As [`check`]; gives the first difference.
fn compare(
    name: &str,
    lines: &str,
    query: &str,
    executors: &[Executor],
) -> std::result::Result<(), String> {
    let path = std::env::temp_dir().join(format!("trefoil-{}-{name}.ndjson", std::process::id()));
    std::fs::write(&path, lines).unwrap();
    // No record is late at this lag, so that batch SQL knows the answer.
    let files = script(&path, query, "100000000");
    let schema = oracle::source_schema(&files, "r").map_err(|e| format!("{query}\n{e}"))?;
    let schema: Schema = schema.unwrap();
    let mut parser = NdjsonParser::new(Arc::new(schema.clone()));
    let mut frame = Frame::new(&schema, 65_536);
    for line in lines.lines() {
        parser.parse_record(line.as_bytes(), &mut frame).unwrap();
    }
    let expected = oracle::batch(&files, &[("r".to_owned(), schema, vec![frame])]);
    let expected = expected
        .map(|r| rows(&r[0].batches))
        .map_err(|e| e.to_string());
    let plans: [(&str, Plan); 2] = [("native", plan_script), ("generic", oracle::plan_generic)];
    let kernels = |&executor| plans.map(|(kernels, plan)| (executor, kernels, plan));
    for (executor, kernels, plan) in executors.iter().flat_map(kernels) {
        for shards in [1, 2, 4] {
            for frame_rows in [1, 7, 1024] {
                let config = Config {
                    shards,
                    frame_rows,
                    executor,
                    ..Config::default()
                };
                let got = engine(&files, plan, &config);
                let alike = match (&got, &expected) {
                    (Ok(got), Ok(expected)) => agree(got, expected),
                    // A query that is refused would compare nothing.
                    (Err(a), Err(_)) => !a.starts_with("error["),
                    // DataFusion wraps where the engine says that a sum is out of range.
                    (Err(error), Ok(_)) => error.contains("out of range"),
                    (Ok(_), Err(_)) => false,
                };
                if !alike {
                    let differs = match (&got, &expected) {
                        (Ok(a), Ok(b)) => (a.iter().zip(b))
                            .find(|(a, b)| !agree(&vec![a.to_vec()], &vec![b.to_vec()]))
                            .map_or_else(
                                || format!("engine {} rows, batch {}", a.len(), b.len()),
                                |(a, b)| format!("engine {a:?}\nbatch  {b:?}"),
                            ),
                        _ => format!("engine {got:?}\nbatch  {expected:?}"),
                    };
                    return Err(format!(
                        "{query}\n{shards} shards, frames of {frame_rows}, {executor:?}, \
                         {kernels} kernels\n{differs}"
                    ));
                }
            }
        }
    }
    std::fs::remove_file(path).unwrap();
    Ok(())
}

/// Texts, as JSON.
const TEXTS: [&str; 5] = [
    "\"\"",
    "\"a\"",
    "\"b\"",
    "\"über\"",
    "\"a longer text, over twelve bytes\"",
];

const DOUBLES: [&str; 9] = [
    "0.0", "-0.0", "1.5", "-2.25", "7e-3", "1e9", "0.1", "100", "-3",
];

/// Of NaN, MIN and MAX of DataFusion's grouped kernel depend on the order of rows; here NaN is the
/// greatest number. So `y` is compared, counted and grouped by, and `x` is aggregated.
const ALL_DOUBLES: [&str; 9] = [
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
        let candidates = [
            format!("\"y\":{}", ALL_DOUBLES[next(9) as usize]),
            format!("\"k\":{}", next(5) as i64 - 2),
            format!("\"s\":{}", TEXTS[next(5) as usize]),
            format!("\"b\":{}", next(2) == 1),
            format!("\"d\":\"2025-0{}-1{}\"", 1 + next(9), next(9)),
            format!("\"t\":\"19{}0-01-01T00:00:00.{}00Z\"", 1 + next(9), next(9)),
            format!("\"i\":{}", next(2_000_001) as i64 - 1_000_000),
            format!("\"x\":{}", DOUBLES[next(9) as usize]),
            format!(
                "\"n\":{}.{:03}",
                next(2_000_001) as i64 - 1_000_000,
                next(1000)
            ),
            format!("\"w\":{}", next(65_536) as i64 - 32_768),
            format!("\"f\":{}", DOUBLES[next(7) as usize]),
            format!("\"u\":{}", next(1 << 32)),
            format!("\"tm\":\"{:02}:{:02}:07.25\"", next(24), next(60)),
            format!(
                "\"tags\":[{}]",
                ["", "\"a\"", "\"b\",null,\"c\""][next(3) as usize]
            ),
            format!(
                "\"o\":{{\"a\":{},\"b\":{}}}",
                next(4),
                TEXTS[next(5) as usize]
            ),
            format!(
                "\"g\":\"{}\"",
                ["12", " 7", "x", "-3.5", "true", "2025-01-02"][next(6) as usize]
            ),
            format!(
                "\"us\":\"2025-02-{:02}T12:34:56.{:06}\"",
                1 + next(28),
                next(1_000_000)
            ),
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
        "SELECT window_end, COUNT(*) FROM (SELECT ts, b, k FROM r WHERE (b AND k > 0) IS NOT UNKNOWN) \
         AS q WHERE b IS UNKNOWN OR b GROUP BY TUMBLE(ts, INTERVAL '5' MINUTE)",
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

#[test]
fn types_and_functions() {
    let all = lines(300, 7);
    let mut differences = Vec::new();
    for (number, query) in [
        "SELECT n, w, f, u, tm, tags, o, g, us FROM r",
        "SELECT n + 1, n * 2, n / 3, n % 7, -n, n + w, n * x, u + w, w * w - k FROM r",
        "SELECT CASE WHEN i > 0 THEN 'up' WHEN i < 0 THEN s ELSE NULL END AS c, \
                CASE k WHEN 1 THEN n WHEN 2 THEN 0 END AS d FROM r",
        "SELECT COALESCE(s, g, 'none') AS c, NULLIF(k, 1) AS z, COALESCE(n, i) AS m FROM r",
        "SELECT TRY_CAST(g AS BIGINT) AS a, TRY_CAST(g AS DOUBLE) AS b, TRY_CAST(g AS DATE) AS c, \
                TRY_CAST(g AS BOOLEAN) AS e, TRY_CAST(i AS SMALLINT) AS h FROM r",
        "SELECT TRY_CAST('a' AS BIGINT) AS n, TRY_CAST('7' AS BIGINT) AS m FROM r",
        "SELECT CAST(g AS BIGINT) FROM r",
        "SELECT k FROM r WHERE i > 9223372036854775807 + k",
        "SELECT CAST(i AS VARCHAR), CAST(x AS VARCHAR), CAST(n AS VARCHAR), CAST(d AS VARCHAR), \
                CAST(ts AS VARCHAR), CAST(tm AS VARCHAR), CAST(b AS VARCHAR) FROM r",
        "SELECT CAST(i AS DOUBLE), CAST(x AS BIGINT), CAST(n AS DOUBLE), CAST(i AS DECIMAL(20, 2)), \
                CAST(ts AS DATE), CAST(d AS TIMESTAMP), CAST(w AS INT), CAST(us AS TIMESTAMP(3)) FROM r",
        "SELECT s FROM r WHERE s LIKE '%b%' OR s ILIKE 'A%' OR g NOT LIKE '_' OR s LIKE 'a\\%'",
        "SELECT k FROM r WHERE k IN (1, 2, NULL) OR s NOT IN ('a', 'b') OR n IN (1, 2.5)",
        "SELECT k FROM r WHERE n BETWEEN -5 AND 1000.25 AND w NOT BETWEEN 0 AND 100",
        "SELECT CONCAT(s, '-', k), s || g, LENGTH(s), SUBSTR(s, 2, 3), REPLACE(s, 'a', 'xy'), \
                TRIM(g), LPAD(g, 5, '*'), SPLIT_PART(s, ',', 1), REVERSE(s), INITCAP(s) FROM r",
        "SELECT ABS(i), ROUND(x, 1), FLOOR(x), CEIL(f), SQRT(ABS(x)), POWER(x, 2), SIGNUM(x), \
                LN(ABS(x) + 1), GREATEST(k, i), LEAST(k, w), TRUNC(x), ABS(n), ROUND(n, 1) FROM r",
        "SELECT DATE_TRUNC('hour', ts), EXTRACT(HOUR FROM ts), DATE_PART('dow', d), \
                DATE_BIN(INTERVAL '15' MINUTE, us), TO_TIMESTAMP(k), ts + INTERVAL '1' DAY, \
                d + INTERVAL '1' MONTH, ts - us FROM r",
        "SELECT REGEXP_LIKE(s, '^a'), REGEXP_REPLACE(s, '[aeiou]', '#', 'g'), s ~ 'b$', \
                REGEXP_COUNT(s, 'e') FROM r",
        "SELECT tags[1], CARDINALITY(tags), ARRAY_LENGTH(tags), ARRAY_TO_STRING(tags, '+'), ARRAY_CONTAINS(tags, 'a'), o['a'], o['b'] FROM r",
        "SELECT MD5(s), ENCODE(SHA256(s), 'hex'), CHR(65), ASCII(s), k & 3, k | 4, i >> 2 FROM r",
        "SELECT n, COUNT(*) FROM r GROUP BY n",
        "SELECT w, f, u, COUNT(*) FROM r GROUP BY w, f, u",
        "SELECT tm, us, COUNT(*) FROM r GROUP BY tm, us",
        "SELECT tags, o, COUNT(*) FROM r GROUP BY tags, o",
        "SELECT SUM(n), AVG(n), MIN(n), MAX(n), SUM(w), AVG(w), MIN(w), SUM(u), AVG(u), MAX(u), \
                SUM(f), MIN(f), AVG(f), MIN(tm), MAX(us), COUNT(tags), STDDEV(w) FROM r",
        "SELECT k, SUM(n), AVG(n), MIN(n), SUM(w), MIN(f), MAX(u), MIN(tm), MAX(us) FROM r GROUP BY k",
        "SELECT COUNT(*) FILTER (WHERE i > 0), SUM(i) FILTER (WHERE b), MIN(s) FILTER (WHERE k = 1), \
                COUNT(x) FILTER (WHERE x > 1), AVG(w) FILTER (WHERE w > 0) FROM r",
        "SELECT k, COUNT(*) FILTER (WHERE b), SUM(x) FILTER (WHERE i < 0), MIN(DISTINCT i) FROM r \
         GROUP BY k HAVING COUNT(*) FILTER (WHERE b) > 0",
        "SELECT LENGTH(s) AS l, UPPER(g) AS u, SUM(i * 2) FROM r WHERE ABS(i) > 10 \
         GROUP BY LENGTH(s), UPPER(g)",
        "SELECT DATE_TRUNC('minute', ts) AS m, COUNT(*), AVG(ROUND(x)) FROM r \
         GROUP BY DATE_TRUNC('minute', ts)",
        "SELECT 10 / k FROM r",
        "SELECT CASE WHEN k <> 0 THEN 10 / k END AS q FROM r",
        "SELECT SUM(9223372036854775807 - k) FROM r",
        "SELECT ABS(i - 9223372036854775807) FROM r",
    ]
    .iter()
    .enumerate()
    {
        let name = format!("types-{number}");
        differences.extend(compare(&name, &all, query, &[Executor::Threads]).err());
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
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
