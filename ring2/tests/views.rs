//! One SQL over views: what a SELECT over the rows of a view says is what it says over the same
//! rows in a file, name by name, type by type, row by row, and error by error.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::{Path, PathBuf};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use trefoil::engine::{Idle, rows};
use trefoil::{Engine, Error, params};

const COLUMNS: &str = "(k VARCHAR, v BIGINT, i INT, big BIGINT, d DOUBLE, m DECIMAL(38, 0),
    ts TIMESTAMP(3), raw JSON, tags VARCHAR[], at STRUCT<venue VARCHAR, lot INT>)";

/// A file that is gone with the test.
struct Records(PathBuf);

impl Records {
    fn new(name: &str) -> Self {
        let file = format!("trefoil-views-{}-{name}.ndjson", std::process::id());
        let path = std::env::temp_dir().join(file);
        let lines: String = (0..60_i64).map(|n| line(n) + "\n").collect();
        std::fs::write(&path, lines).unwrap();
        Self(path)
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}

fn line(n: i64) -> String {
    let k = ["\"A\"", "\"B\"", "\"C\"", "null"][(n % 4) as usize];
    let v = match n % 7 {
        3 => "null".to_owned(),
        _ => (n % 13 - 3).to_string(),
    };
    let d = ["0.0", "-0.0", "1.5", "null", "-2.25"][(n % 5) as usize];
    let big = i64::MAX - n;
    let m = "9".repeat(38);
    let (minute, second) = (n / 12, n * 5 % 60);
    let raw = [
        r#"{"a": 1.50}"#,
        r#"{"a":"x"}"#,
        r#"[1, {"b": null}]"#,
        "null",
    ][(n % 4) as usize];
    let tags = [r#"["x","y"]"#, "[]", "null", r#"["z"]"#][(n % 4) as usize];
    let values = format!(r#""k":{k},"v":{v},"i":{n},"big":{big},"d":{d},"m":{m}"#);
    let ts = format!("2025-11-06T07:{minute:02}:{second:02}");
    let nested = format!(r#""tags":{tags},"at":{{"venue":"X","lot":{n}}}"#);
    format!(r#"{{{values},"ts":"{ts}","raw":{raw},{nested}}}"#)
}

fn source(name: &str, records: &Path) -> String {
    let path = records.display();
    let from = format!("connector = 'file', path = '{path}', format = 'json'");
    format!("CREATE SOURCE {name} {COLUMNS} WITH ({from});\n")
}

fn open(shards: usize, frame_rows: usize) -> Engine {
    let engine = Engine::builder().shards(shards).frame_rows(frame_rows);
    engine.idle(Idle::Park).open().unwrap()
}

/// Waits until all views have come to the end of their input.
fn wait(engine: &Engine) {
    let left = "SELECT name FROM trefoil.jobs WHERE state = 'running'";
    while engine
        .query(left, &[])
        .unwrap()
        .iter()
        .any(|b| b.num_rows() > 0)
    {
        std::thread::yield_now();
    }
}

/// An engine in which `v` is a view, and one in which it is the file.
fn both(records: &Records, shards: usize, frame_rows: usize) -> (Engine, Engine) {
    let (view, file) = (open(shards, frame_rows), open(shards, frame_rows));
    let sql = source("f", &records.0) + "CREATE MATERIALIZED VIEW v AS SELECT * FROM f";
    view.execute(&sql).unwrap();
    file.execute(&source("v", &records.0)).unwrap();
    wait(&view);
    (view, file)
}

/// A number with a point to nine digits: the last ones are nobody's.
fn rounded(word: &str) -> String {
    let number = word.contains('.').then(|| word.parse::<f64>());
    match number {
        Some(Ok(x)) => format!("{x:.9e}"),
        _ => word.to_owned(),
    }
}

/// Rows as texts, sorted where the query says no order.
fn texts(batches: &[RecordBatch], sql: &str) -> Vec<String> {
    let text = pretty_format_batches(batches).unwrap().to_string();
    let lines = text.lines().filter(|l| l.starts_with('|')).skip(1);
    let squeezed = lines.map(|l| {
        l.split_whitespace()
            .map(rounded)
            .collect::<Vec<_>>()
            .join(" ")
    });
    let mut lines: Vec<String> = squeezed.collect();
    if !sql.contains("ORDER BY 1") {
        lines.sort_unstable();
    }
    lines
}

/// What of a refusal is the same: all but the file's name.
fn told(error: &Error) -> (String, String, u64, u64, Option<String>) {
    let code = error.code().to_owned();
    match error {
        Error::Sql(e) => (code, e.message.clone(), e.line, e.column, e.hint.clone()),
        // Over a file it says which record, too.
        other => {
            let text = other.to_string();
            let said = text.rsplit(": ").next().unwrap_or_default();
            (code, said.to_owned(), 0, 0, None)
        }
    }
}

const QUERIES: [&str; 58] = [
    "SELECT k, v FROM v",
    "SELECT * FROM v WHERE v > 3",
    "SELECT v.*, v + 1 FROM v WHERE i < 3",
    "SELECT v + 1, v * 2, v, v, -v, v % 3 FROM v",
    "SELECT sum(v), SUM(m.v), count(*), AVG(v) FROM v AS m",
    "SELECT k, SUM(v), MIN(d), MAX(i), STDDEV(v) FROM v GROUP BY k",
    "SELECT COUNT(DISTINCT k), SUM(DISTINCT v), SUM(v) FILTER (WHERE i > 3) FROM v",
    "SELECT ARRAY_AGG(v ORDER BY i) AS l, STRING_AGG(k, ',' ORDER BY i) FROM v",
    "SELECT k AS k2, SUM(v) AS total FROM v GROUP BY k2 HAVING total > 3",
    "SELECT k, i % 2 AS odd, SUM(v) AS s FROM v GROUP BY GROUPING SETS ((k), (i % 2), ())",
    "SELECT raw, raw->'a' AS a, raw->>'a' AS t, raw->1->'b' FROM v",
    "SELECT r.j FROM (SELECT raw AS j FROM v WHERE i < 9) AS r UNION ALL SELECT raw FROM v",
    "SELECT raw, COUNT(*) AS n FROM v GROUP BY raw",
    "SELECT TUMBLE(ts, INTERVAL '1' MINUTE) AS w, COUNT(*) AS n FROM v \
     GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)",
    "SELECT window_start, window_end, SUM(v) FROM TUMBLE(v, ts, INTERVAL '1' MINUTE) \
     GROUP BY window_start, window_end",
    "SELECT k, tag FROM v CROSS JOIN UNNEST(tags) AS tag",
    "SELECT i, tag, n FROM v CROSS JOIN UNNEST(tags) WITH ORDINALITY AS t (tag, n)",
    "SELECT DISTINCT ON (k) k, i FROM v ORDER BY k, i DESC",
    "SELECT DISTINCT k, v FROM v",
    "SELECT i, k FROM v ORDER BY 1 DESC LIMIT 7 OFFSET 2",
    "SELECT d, COUNT(*) AS n FROM v GROUP BY d",
    "SELECT i, NULLIF(d, 0.0), d IN (0.0), d = -0.0, CASE d WHEN 0.0 THEN 1 ELSE 2 END FROM v",
    "SELECT k FROM v WHERE k = 'A' OR k IN ('B', NULL) OR k LIKE 'C%' OR k ~ '^x'",
    "SELECT i, ROW_NUMBER() OVER (PARTITION BY k ORDER BY i) AS n FROM v QUALIFY n < 3",
    "SELECT i, SUM(v) OVER (PARTITION BY k ORDER BY i) AS s, LAG(v) OVER (ORDER BY i) FROM v",
    "SELECT a.i, b.v FROM v AS a JOIN v AS b ON a.i = b.v AND b.i < 20",
    "SELECT a.i, b.i FROM v AS a LEFT JOIN v AS b USING (k, v) WHERE a.i < 5",
    "SELECT i FROM v WHERE v > (SELECT AVG(v) FROM v)",
    "SELECT i FROM v AS a WHERE EXISTS (SELECT 1 FROM v AS b WHERE b.v = a.i)",
    "SELECT i FROM v WHERE i NOT IN (SELECT v FROM v WHERE v IS NOT NULL)",
    "SELECT k FROM v UNION SELECT 'Z' FROM v",
    "SELECT i FROM v EXCEPT SELECT v FROM v",
    "WITH big AS (SELECT i, v FROM v WHERE v > 5) SELECT SUM(i) AS s FROM big",
    "SELECT i FROM v WHERE v <> 0 AND 10 / v > 1",
    "SELECT i, CASE WHEN v = 0 THEN 0 ELSE 10 / v END AS q FROM v",
    "SELECT at, at['venue'], v.at['lot'] + 1 FROM v WHERE i = 7",
    "SELECT TO_CHAR(ts, 'YYYY-MM-DD HH24:MI'), EXTRACT(MINUTE FROM ts), CAST(ts AS DATE) FROM v",
    "SELECT NOW() IS NOT NULL AS t, COUNT(*) AS n FROM v",
    "SELECT i FROM v WHERE i > 1000",
    "SELECT CAST(v AS VARCHAR) || '-', UPPER(k), COALESCE(k, 'none'), TRY_CAST(k AS INT) FROM v",
    // What cannot be computed.
    "SELECT SUM(big) FROM v",
    "SELECT k, SUM(big) AS s FROM v GROUP BY k",
    "SELECT big + big FROM v",
    "SELECT i * 1000000000 * 1000000000 FROM v",
    "SELECT -(CAST(-128 AS TINYINT) + CAST(i * 0 AS TINYINT)) FROM v",
    "SELECT SUM(m) FROM v",
    "SELECT i / (v - v) FROM v",
    "SELECT i % (v - v) FROM v WHERE v IS NOT NULL",
    // What is wrong with the text.
    "SELECT nothing FROM v",
    "SELECT k,\n  vv FROM v",
    "SELECT k FROM vv",
    "SELECT NOTHING(k) FROM v",
    "SELECT k, SUM(v) FROM v",
    "SELECT k + 1 FROM v",
    "SELECT i FROM v WHERE k > 3",
    "SELECT a.i FROM v AS a JOIN v AS b ON a.i = b.i WHERE i > 2",
    "SELECT ABS(k) FROM v",
    "SELECT i FROM v FETCH FIRST 3 ROWS ONLY",
];

#[test]
fn a_view_says_what_a_file_says() {
    let records = Records::new("same");
    for (shards, frame_rows) in [(1, 7), (2, 1024), (4, 1)] {
        let (view, file) = both(&records, shards, frame_rows);
        let mut wrong = Vec::new();
        for sql in QUERIES {
            match (view.execute(sql), file.execute(sql)) {
                (Ok(a), Ok(b)) => {
                    // Over a file there are no rows, where there are none.
                    let (one, other) = (a.first(), b.first());
                    if let (Some(one), Some(other)) = (one, other)
                        && one.schema() != other.schema()
                    {
                        wrong.push(format!("{sql}\n{:?}\n{:?}", one.schema(), other.schema()));
                    }
                    if texts(&a, sql) != texts(&b, sql) {
                        wrong.push(format!("{sql}\n{:?}\n{:?}", texts(&a, sql), texts(&b, sql)));
                    }
                }
                (Err(a), Err(b)) if told(&a) == told(&b) => {}
                (a, b) => wrong.push(format!("{sql}\n{a:?}\n{b:?}")),
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }
}

#[test]
fn a_plain_view_of_views_is_read_as_what_it_stands_for() {
    let records = Records::new("plain");
    let (view, _) = both(&records, 2, 7);
    view.execute("CREATE VIEW p AS SELECT k, v + 1 AS w FROM v")
        .unwrap();
    view.execute("CREATE VIEW q AS SELECT k, SUM(w) FROM p GROUP BY k")
        .unwrap();
    let sql = "SELECT * FROM q ORDER BY 1";
    let direct = "SELECT k, SUM(v + 1) FROM v GROUP BY k ORDER BY 1";
    let (found, expected) = (
        view.query(sql, &[]).unwrap(),
        view.query(direct, &[]).unwrap(),
    );
    assert_eq!(texts(&found, sql), texts(&expected, sql));
    assert_eq!(found[0].num_rows(), 4);
}

#[test]
fn parameters_are_constants() {
    let records = Records::new("params");
    let (view, _) = both(&records, 2, 7);
    let count = |sql: &str, params: &[trefoil::engine::Value<'_>]| {
        let found = view.query(sql, params).unwrap();
        found
            .iter()
            .flat_map(rows)
            .next()
            .unwrap()
            .get::<i64>("n")
            .unwrap()
    };
    let cases = [
        ("i = $1", params![7].to_vec(), 1),
        ("i < $2 AND k = $1", params!["A", 8].to_vec(), 2),
        ("v = $1", params![-3].to_vec(), 4),
        ("big > $1", params![i64::MIN].to_vec(), 60),
        ("big > $1", params![u64::MAX].to_vec(), 0),
        ("d = $1", params![1.5].to_vec(), 12),
        ("k = $1", params![None::<i64>].to_vec(), 0),
        ("k <> $1", params!["it's"].to_vec(), 45),
        ("i > 3 = $1", params![true].to_vec(), 56),
        ("ts < $1", params!["2025-11-06 07:01:00"].to_vec(), 12),
    ];
    for (filter, params, n) in cases {
        let sql = format!("SELECT COUNT(*) AS n FROM v WHERE {filter}");
        assert_eq!(count(&sql, &params), n, "{filter}");
    }
    let missing = view
        .query("SELECT k FROM v\n WHERE k = $2", &params!["A"])
        .unwrap_err();
    let Error::Sql(missing) = missing else {
        panic!("{missing}")
    };
    assert_eq!(
        (missing.code, missing.line, missing.column),
        ("E0209", 2, 12)
    );
}

#[test]
fn what_no_query_over_views_does_is_refused_at_its_place() {
    let records = Records::new("refused");
    let (view, _) = both(&records, 1, 7);
    let cases = [
        (
            "SELECT HOP(ts, INTERVAL '1' MINUTE, INTERVAL '2' MINUTE) AS w, COUNT(*) FROM v \
          GROUP BY HOP(ts, INTERVAL '1' MINUTE, INTERVAL '2' MINUTE)",
            "E0301",
            (1, 8),
        ),
        (
            "SELECT k, COUNT(*) FROM v\nGROUP BY k, SESSION(ts, INTERVAL '1' MINUTE)",
            "E0301",
            (2, 13),
        ),
        ("SELECT v.k FROM v\n JOIN f ON v.i = f.i", "E0301", (2, 7)),
        ("SELECT k FROM v EMIT CHANGES", "E0301", (1, 17)),
        ("SELECT _offset FROM v", "E0201", (1, 8)),
        ("SELECT name FROM trefoil.nothing", "E0202", (1, 18)),
        ("SELECT nothing FROM trefoil.jobs", "E0201", (1, 8)),
    ];
    for (sql, code, (line, column)) in cases {
        let error = view.execute(sql).unwrap_err();
        let Error::Sql(error) = error else {
            panic!("{sql}: {error}")
        };
        assert_eq!(
            (error.code, error.line, error.column),
            (code, line, column),
            "{sql}: {error}"
        );
    }
}

/// What a window, a struct, a list and JSON are in a view they are in views of it.
#[test]
fn values_of_all_kinds_go_through_views_of_views() {
    let records = Records::new("kinds");
    let (view, file) = both(&records, 2, 7);
    view.execute(
        "CREATE MATERIALIZED VIEW n AS
           SELECT TUMBLE(ts, INTERVAL '1' MINUTE) AS w, k, COUNT(*) AS n FROM v
           GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE);
         CREATE MATERIALIZED VIEW o AS SELECT w, n, w['start'] AS s FROM n WHERE k = 'A';
         CREATE MATERIALIZED VIEW p AS SELECT i, at, tags, raw, d, m, at['lot'] AS lot FROM v",
    )
    .unwrap();
    wait(&view);
    let windows = "SELECT TUMBLE(ts, INTERVAL '1' MINUTE) AS w, COUNT(*) AS n FROM v
                   WHERE k = 'A' GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)";
    let wanted = file.execute(windows).unwrap();
    let found = view.execute("SELECT w, n FROM o").unwrap();
    assert_eq!(found[0].schema(), wanted[0].schema());
    assert_eq!(texts(&found, ""), texts(&wanted, ""));
    let starts = view
        .execute("SELECT s = w['start'] AS same FROM o")
        .unwrap();
    assert_eq!(texts(&starts, ""), vec!["| true |"; 5]);
    let plain = "SELECT i, at, tags, raw, d, m, at['lot'] AS lot FROM v";
    let wanted = file.execute(plain).unwrap();
    let found = view.execute("SELECT * FROM p").unwrap();
    assert_eq!(found[0].schema(), wanted[0].schema());
    assert_eq!(texts(&found, ""), texts(&wanted, ""));
}

/// A row is in a view, or is counted where it was dropped.
#[test]
fn rows_that_are_dropped_are_counted() {
    let path = std::env::temp_dir().join(format!("trefoil-dropped-{}.ndjson", std::process::id()));
    let mut lines = r#"{"ts":"2025-11-06T07:00:00","n":1}"#.to_owned() + "\n";
    lines += "{\"ts\":\"2025-11-06T06:00:00\",\"n\":1}\n"
        .repeat(48)
        .as_str();
    lines += "{\"ts\":\"2025-11-06T07:00:01\",\"n\":0}\nnothing\n";
    std::fs::write(&path, lines).unwrap();
    let records = Records(path);
    for shards in [1, 2, 4] {
        let engine = open(shards, 1024);
        let path = records.0.display();
        let sql = format!(
            "CREATE SOURCE s (ts TIMESTAMP(3), n INT, WATERMARK FOR ts) WITH \
               (connector = 'file', path = '{path}', format = 'json', bad_data = 'skip');
             CREATE MATERIALIZED VIEW v AS SELECT window_start, SUM(10 / n) AS x FROM s
               GROUP BY n, TUMBLE(ts, INTERVAL '1' MINUTE) EMIT ON WINDOW CLOSE;"
        );
        engine.execute(&sql).unwrap();
        wait(&engine);
        let view = &engine.metrics().views[0];
        let told = (view.rows_failed, view.rows_late, view.rows_late_idle);
        assert_eq!((told, view.rows_bad, view.rows_out), ((1, 48, 0), 1, 1));
        let sql = "SELECT rows_read, rows_bad, rows_failed, rows_late, rows_late_idle, rows_out
                   FROM trefoil.jobs";
        let jobs = pretty_format_batches(&engine.query(sql, &[]).unwrap()).unwrap();
        let jobs = jobs.to_string();
        let row = jobs.lines().nth(3).unwrap().split('|').map(str::trim);
        let row: Vec<&str> = row.filter(|cell| !cell.is_empty()).collect();
        assert_eq!(row, ["51", "1", "1", "48", "0", "1"], "{shards} shards");
        let sql = "SELECT SUM(rows_failed) AS f, SUM(rows_late) AS l FROM trefoil.watermarks";
        let sums = engine.query(sql, &[]).unwrap();
        let row = rows(&sums[0]).next().unwrap();
        let sums: (i64, i64) = (row.get("f").unwrap(), row.get("l").unwrap());
        assert_eq!(sums, (1, 48), "{shards} shards");
    }
}
