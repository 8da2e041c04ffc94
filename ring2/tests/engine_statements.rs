//! Statements of an engine besides views and their rows: EXPLAIN, with what was measured, and
//! FLUSH.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::PathBuf;

use datafusion::arrow::array::RecordBatch;
use serde_json::Value as Json;
use trefoil::engine::{Drain, Idle, rows};
use trefoil::explain::{Format, render};
use trefoil::{Engine, Error, SourceFile, explain_script, params};

const FORMATS: [Format; 4] = [Format::Text, Format::Json, Format::Mermaid, Format::Dot];

fn engine(shards: usize) -> Engine {
    let engine = Engine::builder().shards(shards).idle(Idle::Park);
    engine.frame_rows(16).ring_messages(4).open().unwrap()
}

/// What EXPLAIN gave, line by line.
fn lines(batches: &[RecordBatch]) -> String {
    let lines = batches.iter().flat_map(rows);
    let lines: Vec<String> = lines
        .map(|row| row.get::<String>("plan").unwrap())
        .collect();
    lines.join("\n") + "\n"
}

fn code(error: &Error) -> &'static str {
    error.code()
}

/// A file of `rows` numbers, and a source over it.
fn numbers(name: &str, rows: u64) -> (PathBuf, String) {
    let path = std::env::temp_dir().join(format!("trefoil-{name}-{}.ndjson", std::process::id()));
    let text: Vec<String> = (0..rows)
        .map(|n| format!("{{\"n\":{n},\"k\":{}}}", n % 7))
        .collect();
    std::fs::write(&path, text.join("\n")).unwrap();
    let source = format!(
        "CREATE SOURCE s (n BIGINT, k BIGINT) WITH (connector = 'file', path = '{}', \
         format = 'json');",
        path.display()
    );
    (path, source)
}

const QUERIES: [&str; 4] = [
    "SELECT k, COUNT(*) AS c FROM s WHERE n > 10 GROUP BY k",
    "SELECT n FROM s WHERE n % 2 = 0",
    "WITH w AS (SELECT MAX(n) AS m FROM s) SELECT a.k FROM s AS a JOIN w ON a.n = w.m",
    "SELECT k, reverse(CAST(k AS VARCHAR)) AS r FROM s ORDER BY k LIMIT 3",
];

/// The text is that of `trefoil explain`, below the query's own.
#[test]
fn explain_tells_the_plan_of_a_script() {
    let (path, source) = numbers("explained", 3);
    for shards in [1, 2] {
        let engine = engine(shards);
        engine.execute(&source).unwrap();
        for query in QUERIES {
            let script = SourceFile {
                name: "q.sql".to_owned(),
                text: format!("{source}{query}"),
                base: PathBuf::from("."),
            };
            let explained = explain_script(&[script]).unwrap();
            let explained: Vec<_> = explained.into_iter().map(|e| (None, e)).collect();
            for format in FORMATS {
                let sql = format!("EXPLAIN (FORMAT {}) {query}", format.name());
                let told = lines(&engine.execute(&sql).unwrap());
                let mut wanted = render(&explained, format, None);
                if format == Format::Text {
                    wanted = wanted.replacen(&format!("{query}\n\n"), "", 1);
                }
                assert_eq!(told, wanted, "{sql}");
            }
            let plain = engine.execute(&format!("EXPLAIN {query}")).unwrap();
            assert!(lines(&plain).starts_with("strategy "), "{query}");
        }
        let refused = engine.execute("EXPLAIN SELECT nothing FROM s").unwrap_err();
        assert_eq!(code(&refused), "E0201");
        assert!(refused.to_string().contains(":1:16"), "{refused}");
    }
    std::fs::remove_file(path).unwrap();
}

/// Rows that an operator of a stage took or gave.
fn sum(rows: &Json) -> u64 {
    rows.as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_u64().unwrap())
        .sum()
}

/// Queries, their rows of results, rows that reach their state, and a kernel of theirs.
const MEASURED: [(&str, u64, u64, &str); 4] = [
    (
        "SELECT k, COUNT(*) AS c FROM s WHERE n >= 1000 GROUP BY k",
        7,
        4000,
        "native",
    ),
    ("SELECT n FROM s WHERE n < 30", 30, 30, "native"),
    (
        "SELECT COUNT(*) AS c FROM s WHERE reverse(CAST(n AS VARCHAR)) < '1'",
        1,
        500,
        "generic",
    ),
    (
        "SELECT k, n FROM s WHERE k = 3 ORDER BY n DESC LIMIT 5",
        5,
        714,
        "native",
    ),
];

/// What is measured is what the query does, on any number of shards.
#[test]
fn what_a_run_measured() {
    const ROWS: u64 = 5000;
    let (path, source) = numbers("measured", ROWS);
    for shards in [1, 2, 4] {
        let engine = engine(shards);
        engine.execute(&source).unwrap();
        for (query, results, applied, kernel) in MEASURED {
            let sql = format!("EXPLAIN ANALYZE (FORMAT json) {query}");
            let told = lines(&engine.execute(&sql).unwrap());
            let told: Json = serde_json::from_str(&told).unwrap();
            let measured = &told["queries"][0]["measured"];
            assert_eq!(measured["shards"], shards, "{sql}");
            assert_eq!(measured["rows_out"], results, "{sql}");
            assert_eq!(measured["sources"][0]["rows_read"], ROWS, "{sql}");
            assert_eq!(measured["sources"][0]["rows_bad"], 0, "{sql}");
            let stages = measured["stages"].as_array().unwrap();
            let first = &stages[0];
            assert_eq!(first["reads"][0], "s", "{sql}");
            let input = &first["input"];
            assert_eq!(input["rows_in"], ROWS, "{sql}");
            assert_eq!(
                input["rows_filtered"].as_u64().unwrap() + applied,
                ROWS,
                "{sql}"
            );
            let operators = first["operators"].as_array().unwrap();
            assert_eq!(sum(&operators[0]["rows_in"]), ROWS, "{sql}");
            let kernels = operators.iter().filter(|o| o["kernel"] == kernel);
            assert!(kernels.count() > 0, "{sql}: {operators:?}");
            // What one operator gives the next one takes.
            for stage in stages {
                let operators = stage["operators"].as_array().unwrap();
                for pair in operators.windows(2) {
                    assert_eq!(sum(&pair[0]["rows_out"]), sum(&pair[1]["rows_in"]), "{sql}");
                }
                let by_shard = operators
                    .iter()
                    .flat_map(|o| [&o["rows_in"], &o["rows_out"]]);
                for rows in by_shard {
                    assert_eq!(rows.as_array().unwrap().len(), shards, "{sql}");
                }
            }
            let last = stages
                .iter()
                .rfind(|stage| stage["sends"].is_null())
                .unwrap();
            let gives = last["operators"].as_array().unwrap().last();
            if let Some(last) = gives {
                assert_eq!(sum(&last["rows_out"]), results, "{sql}");
            }
        }
    }
    std::fs::remove_file(path).unwrap();
}

/// It is told in every format, also where the caller's thread is the shard.
#[test]
fn what_was_measured_is_told() {
    let (path, source) = numbers("told", 5000);
    for shards in [1, 2] {
        let engine = engine(shards);
        engine.execute(&source).unwrap();
        let text = lines(
            &engine
                .execute(&format!("EXPLAIN ANALYZE {}", MEASURED[0].0))
                .unwrap(),
        );
        for part in [
            "measured    7 rows of results",
            "filter (native): 5000 in, 4000 out",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        for (format, part) in [("mermaid", "filter (native)"), ("dot", "filter (native)")] {
            let sql = format!("EXPLAIN ANALYZE (FORMAT {format}) {}", MEASURED[0].0);
            let text = lines(&engine.execute(&sql).unwrap());
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
    let here = Engine::builder().on_this_thread().open().unwrap();
    here.execute(&source).unwrap();
    let sql = format!("EXPLAIN ANALYZE {}", MEASURED[0].0);
    let text = lines(&here.execute(&sql).unwrap());
    assert!(text.contains("7 rows of results, 1 shard"), "{text}");
    std::fs::remove_file(path).unwrap();
}

const CHANNEL: &str = "CREATE SOURCE c (k BIGINT, v BIGINT) WITH (connector = 'channel');";

#[test]
fn a_query_without_an_end_is_explained_and_not_measured() {
    let engine = engine(2);
    engine.execute(CHANNEL).unwrap();
    let query = "SELECT k, SUM(v) AS s FROM c GROUP BY k";
    let text = lines(&engine.execute(&format!("EXPLAIN {query}")).unwrap());
    assert!(
        text.contains("aggregate sum(c.v)") || text.contains("aggregate"),
        "{text}"
    );
    let refused = engine
        .execute(&format!("EXPLAIN ANALYZE {query}"))
        .unwrap_err();
    assert_eq!(code(&refused), "E0402");
}

/// Over views it is DataFusion's plan.
#[test]
fn a_query_over_views_is_explained() {
    let engine = engine(2);
    engine.execute(CHANNEL).unwrap();
    let view = "CREATE MATERIALIZED VIEW v AS SELECT k, SUM(v) AS s FROM c GROUP BY k";
    engine.execute(view).unwrap();
    let mut appender = engine.appender("c").unwrap();
    for n in 0..20i64 {
        appender.append_row(&params![n % 4, n]).unwrap();
    }
    appender.flush().unwrap();
    engine.execute("FLUSH").unwrap();
    let query = "SELECT COUNT(*) AS n FROM v WHERE s > 0";
    let text = lines(&engine.execute(&format!("EXPLAIN {query}")).unwrap());
    assert!(text.starts_with("runs        in DataFusion"), "{text}");
    assert!(text.contains("Aggregate"), "{text}");
    assert!(!text.contains("measured"), "{text}");
    let text = lines(&engine.execute(&format!("EXPLAIN ANALYZE {query}")).unwrap());
    assert!(text.contains("measured    1 rows of results"), "{text}");
    assert!(text.contains("metrics="), "{text}");
    for (sql, wanted) in [
        (format!("EXPLAIN (FORMAT json) {query}"), "E0301"),
        ("EXPLAIN SELECT nothing FROM v".to_owned(), "E0201"),
    ] {
        assert_eq!(code(&engine.execute(&sql).unwrap_err()), wanted, "{sql}");
    }
}

/// What was pushed before FLUSH stands in views, and in views over them, when it is done: they are
/// read as they are then.
#[test]
fn flush_waits_for_what_was_pushed() {
    for shards in [1, 2, 4] {
        let engine = engine(shards);
        engine.execute(CHANNEL).unwrap();
        engine
            .execute(
                "CREATE MATERIALIZED VIEW a AS
                   SELECT k, COUNT(*) AS n, SUM(v) AS s FROM c GROUP BY k;
                 CREATE MATERIALIZED VIEW b AS SELECT n, COUNT(*) AS keys FROM a GROUP BY n;
                 CREATE MATERIALIZED VIEW z AS SELECT COUNT(*) AS groups, SUM(keys) AS keys FROM b;
                 CREATE MATERIALIZED VIEW j AS SELECT a.k AS k, b.keys AS keys
                   FROM a JOIN b ON a.n = b.n;
                 SET trefoil.read = 'latest'",
            )
            .unwrap();
        let mut appenders: Vec<_> = (0..3).map(|_| engine.appender("c").unwrap()).collect();
        for round in 1..=10i64 {
            for (number, appender) in appenders.iter_mut().enumerate() {
                for n in 0..50 {
                    let k = 50 * number as i64 + n;
                    appender.append_row(&params![k, round]).unwrap();
                }
                appender.flush().unwrap();
            }
            engine.flush().unwrap();
            let sql = "SELECT COUNT(*) AS n, MIN(n) AS low, MAX(n) AS high, SUM(s) AS s FROM a";
            let row = engine.query(sql, &[]).unwrap();
            let row = row.iter().flat_map(rows).next().unwrap();
            let get = |name: &str| row.get::<i64>(name).unwrap();
            assert_eq!(
                (get("n"), get("low"), get("high")),
                (150, round, round),
                "{shards}"
            );
            assert_eq!(get("s"), 150 * round * (round + 1) / 2, "{shards}");
            let row = engine.query("SELECT * FROM z", &[]).unwrap();
            let row = row.iter().flat_map(rows).next().unwrap();
            let get = |name: &str| row.get::<i64>(name).unwrap();
            assert_eq!((get("groups"), get("keys")), (1, 150), "{shards} {round}");
            let row = engine
                .query("SELECT COUNT(*) AS n, MIN(keys) AS least FROM j", &[])
                .unwrap();
            let row = row.iter().flat_map(rows).next().unwrap();
            let get = |name: &str| row.get::<i64>(name).unwrap();
            assert_eq!((get("n"), get("least")), (150, 150), "{shards} {round}");
        }
        drop(appenders);
        engine.flush().unwrap();
        let report = engine.shutdown(Drain::Input, std::time::Duration::from_secs(60));
        assert_eq!(report, Default::default());
    }
}

/// Where the caller's thread is the shard FLUSH works itself; without views there is nothing to do.
#[test]
fn flush_on_the_thread_that_is_the_shard() {
    let engine = Engine::builder().on_this_thread().open().unwrap();
    engine.flush().unwrap();
    engine.execute(CHANNEL).unwrap();
    engine
        .execute(
            "CREATE MATERIALIZED VIEW a AS SELECT k, COUNT(*) AS n FROM c GROUP BY k;
             CREATE MATERIALIZED VIEW b AS SELECT n, COUNT(*) AS keys FROM a GROUP BY n",
        )
        .unwrap();
    let mut appender = engine.appender("c").unwrap();
    for n in 0..30i64 {
        appender.append_row(&params![n % 10, n]).unwrap();
    }
    appender.flush().unwrap();
    engine.execute("FLUSH;").unwrap();
    let row = engine.get("b", &params![3]).unwrap().unwrap();
    assert_eq!(row.get::<i64>("keys").unwrap(), 10);
}

/// A subscriber that takes nothing holds its view back: FLUSH says so and does not wait for ever.
#[test]
fn flush_past_a_subscriber_that_takes_nothing() {
    let engine = engine(1);
    engine.execute(CHANNEL).unwrap();
    engine
        .execute("CREATE MATERIALIZED VIEW a AS SELECT k, v FROM c")
        .unwrap();
    let mut subscription = engine.subscribe("a").unwrap();
    let mut appender = engine.appender("c").unwrap();
    let mut pushed = 0i64;
    let error = loop {
        for _ in 0..50 {
            appender.append_row(&params![pushed, pushed]).unwrap();
            appender.flush().unwrap();
            pushed += 1;
        }
        if let Err(error) = engine.flush() {
            break error;
        }
        assert!(pushed < 100_000, "nobody takes these rows");
    };
    assert_eq!(code(&error), "E0612");
    let taking = std::thread::spawn(move || {
        let mut taken = 0;
        while taken < pushed {
            taken += subscription.next().unwrap().unwrap().num_rows() as i64;
        }
    });
    taking.join().unwrap();
    engine.flush().unwrap();
}

/// What a view fails with over rows that FLUSH waits for is its error.
#[test]
fn flush_tells_of_a_view_that_fails() {
    let engine = engine(2);
    engine.execute(CHANNEL).unwrap();
    engine
        .execute("CREATE MATERIALIZED VIEW a AS SELECT 10 / v AS x FROM c")
        .unwrap();
    let mut appender = engine.appender("c").unwrap();
    appender.append_row(&params![1, 0]).unwrap();
    appender.flush().unwrap();
    let told = engine.flush().map_err(|e| code(&e));
    // It may have failed before it was asked.
    assert!(matches!(told, Err("E0607") | Ok(())), "{told:?}");
    assert_eq!(engine.failures().len(), 1);
    engine.flush().unwrap();
}

/// One number of a query over what stands.
fn number(engine: &Engine, sql: &str) -> i64 {
    let rows_of = engine.execute(sql).unwrap();
    let row = rows_of.iter().flat_map(rows).next().unwrap();
    row.get::<i64>("x").unwrap()
}

/// Who reads what was renamed goes on, and so do those who append to it and subscribe.
#[test]
fn what_is_renamed_goes_on() {
    for shards in [1, 2] {
        let engine = engine(shards);
        engine.execute(CHANNEL).unwrap();
        engine
            .execute(
                "CREATE MATERIALIZED VIEW a AS SELECT c.k, COUNT(*) AS n FROM c GROUP BY c.k;
                 CREATE MATERIALIZED VIEW b AS SELECT a.n, COUNT(*) AS keys FROM a GROUP BY a.n;
                 CREATE VIEW p AS WITH q AS (SELECT a.k, a.n FROM a) SELECT q.k, b.keys
                   FROM q JOIN b ON q.n = b.n",
            )
            .unwrap();
        let mut changes = engine.subscribe("a").unwrap();
        let mut appender = engine.appender("c").unwrap();
        let mut append = |k: i64| {
            appender.append_row(&params![k, 1]).unwrap();
            appender.flush().unwrap();
            engine.flush().unwrap();
        };
        append(1);
        engine
            .execute(
                "ALTER SOURCE c RENAME TO d; ALTER MATERIALIZED VIEW a RENAME TO \"A b\";
                 ALTER MATERIALIZED VIEW b RENAME TO keys; ALTER VIEW p RENAME TO plain",
            )
            .unwrap();
        append(2);
        engine
            .execute("CREATE MATERIALIZED VIEW e AS SELECT COUNT(*) AS x FROM \"A b\"")
            .unwrap();
        append(3);
        for (sql, wanted) in [
            ("SELECT COUNT(*) AS x FROM \"A b\"", 3),
            ("SELECT keys AS x FROM keys", 3),
            ("SELECT COUNT(*) AS x FROM plain WHERE keys = 3", 3),
            ("SELECT x FROM e", 3),
            (
                "SELECT COUNT(*) AS x FROM trefoil.jobs WHERE name = 'A b'",
                1,
            ),
            ("SELECT COUNT(*) AS x FROM trefoil.jobs WHERE name = 'a'", 0),
        ] {
            assert_eq!(number(&engine, sql), wanted, "{sql}");
        }
        let told: usize = (0..3)
            .map(|_| changes.next().unwrap().unwrap().num_rows())
            .sum();
        assert_eq!(told, 3);
        assert!(engine.get("A b", &params![3]).unwrap().is_some());
        let mut other = engine.appender("d").unwrap();
        other.append_row(&params![9, 9]).unwrap();
        other.flush().unwrap();
        engine.flush().unwrap();
        assert_eq!(number(&engine, "SELECT x FROM e"), 4);
        for (sql, code) in [
            ("SELECT k FROM a", "E0202"),
            ("DROP SOURCE d", "E0210"),
            ("DROP MATERIALIZED VIEW \"A b\"", "E0210"),
            ("ALTER SOURCE d RENAME TO keys", "E0205"),
            ("ALTER SOURCE c RENAME TO x", "E0202"),
            ("ALTER MATERIALIZED VIEW keys RENAME TO q", "E0205"),
        ] {
            assert_eq!(code_of(&engine, sql), code, "{sql}");
        }
        // The old names are free.
        engine
            .execute(&format!(
                "{CHANNEL} ALTER SOURCE IF EXISTS nothing RENAME TO x"
            ))
            .unwrap();
        assert_eq!(engine.appender("c").unwrap().columns().count(), 2);
        engine.execute("DROP SOURCE d CASCADE").unwrap();
        assert_eq!(number(&engine, "SELECT COUNT(*) AS x FROM trefoil.jobs"), 0);
    }
}

fn code_of(engine: &Engine, sql: &str) -> &'static str {
    engine.execute(sql).unwrap_err().code()
}
