//! The engine inside a process: what comes out of views is what batch SQL says of the rows that
//! were appended, whatever the shards and the threads, and nothing waits for what was dropped.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::time::{Duration, SystemTime};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;
use trefoil::engine::{Drain, FromValue, Idle, Pushed, Received, rows};
use trefoil::oracle::{Constants, batch};
use trefoil::{Engine, SourceFile, params};
use trefoil_ring0::appender::{Value, row_frame};
use trefoil_ring0::schema::{Field, Schema};

const COLUMNS: &str = "(symbol VARCHAR, qty BIGINT, price DOUBLE, ts TIMESTAMP(3))";

fn channel(engine: &Engine) {
    let watermark = "ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)";
    let columns = COLUMNS.replace("ts TIMESTAMP(3))", watermark);
    let sql = format!("CREATE SOURCE trades {columns} WITH (connector = 'channel')");
    engine.execute(&sql).unwrap();
}

fn engine(shards: usize) -> Engine {
    let engine = Engine::builder().shards(shards).idle(Idle::Park);
    let engine = engine.frame_rows(16).ring_messages(4).open().unwrap();
    channel(&engine);
    engine
}

const SYMBOLS: [&str; 5] = ["A", "B", "C", "D", "E"];

fn row(number: i64) -> [Value<'static>; 4] {
    let symbol = SYMBOLS[(number % 5) as usize];
    let qty = (number % 11 != 3).then_some(number);
    params![symbol, qty, 0.5 * number as f64, number * 10]
}

/// One value of a result of one row.
fn one<T: FromValue>(batches: &[RecordBatch], column: &str) -> T {
    let row = batches.iter().flat_map(rows).next().unwrap();
    row.get(column).unwrap()
}

/// The rows of a query in batch, in order.
fn in_batch(sql: &str, numbers: std::ops::Range<i64>) -> String {
    let declared = format!(
        "CREATE SOURCE trades {COLUMNS} WITH (connector = 'file', path = 'no', format = 'json');
         {sql}"
    );
    let file = SourceFile {
        name: "batch".to_owned(),
        text: declared,
        base: std::path::PathBuf::from("."),
    };
    let files = [file];
    let schema = trefoil::oracle::source_schema(&files, "trades")
        .unwrap()
        .unwrap();
    let frames = numbers
        .map(|n| row_frame(&schema, &row(n)).unwrap())
        .collect();
    let table = ("trades".to_owned(), schema, frames);
    let now = SystemTime::now();
    let results = batch(&files, &[table], now, Constants::Known).unwrap();
    sorted(&results[0].batches)
}

/// Rows in the order of their first columns, as text.
fn sorted(batches: &[RecordBatch]) -> String {
    let text = pretty_format_batches(batches).unwrap().to_string();
    let mut lines: Vec<&str> = text.lines().filter(|l| l.starts_with('|')).collect();
    lines[1..].sort_unstable();
    lines.join("\n")
}

const TOTALS: &str =
    "SELECT symbol, COUNT(*) AS n, COUNT(qty) AS some, SUM(qty) AS total, MAX(price) AS top
     FROM trades WHERE price < 900 GROUP BY symbol HAVING COUNT(*) > 1";
const ALL: &str = "SELECT COUNT(*) AS n, SUM(qty) AS total FROM trades";
const BIG: &str = "SELECT symbol, qty * 2 AS twice FROM trades WHERE qty > 1500";

#[test]
fn views_are_what_batch_says() {
    const ROWS: i64 = 600;
    for shards in [1, 2, 4] {
        let engine = engine(shards);
        for (name, sql) in [("totals", TOTALS), ("everything", ALL), ("big", BIG)] {
            let created = format!("CREATE MATERIALIZED VIEW {name} AS {sql}");
            engine.execute(&created).unwrap();
        }
        let mut all = engine.subscribe("everything").unwrap();
        std::thread::scope(|scope| {
            for number in 0..3 {
                let mut appender = engine.appender("trades").unwrap();
                scope.spawn(move || {
                    for n in number * ROWS..(number + 1) * ROWS {
                        appender.append_row(&row(n)).unwrap();
                    }
                });
            }
            let counted = |batch: &RecordBatch| {
                rows(batch).any(|r| {
                    let op: String = r.get("op").unwrap();
                    op.starts_with('+') && r.get::<i64>("n").unwrap() == 3 * ROWS
                })
            };
            assert!(
                all.any(|batch| counted(&batch.unwrap())),
                "the last row counts"
            );
        });
        let now = |view: &str| {
            let sql = format!("SELECT * FROM {view}");
            sorted(&engine.query(&sql, &[]).unwrap())
        };
        assert_eq!(now("everything"), in_batch(ALL, 0..3 * ROWS));
        drop(all);
        let report = {
            let mut rest = engine.subscribe("totals").unwrap();
            let (mut totals, mut big) = (String::new(), String::new());
            let (want_totals, want_big) = (in_batch(TOTALS, 0..1800), in_batch(BIG, 0..1800));
            // Views go on by themselves: what is not there yet comes.
            while totals != want_totals || big != want_big {
                let waited = rest.next_timeout(Duration::from_millis(20)).unwrap();
                assert!(waited != Received::End);
                (totals, big) = (now("totals"), now("big"));
            }
            drop(rest);
            engine.shutdown(Drain::Input, Duration::from_secs(60))
        };
        assert_eq!(report, Default::default());
    }
}

#[test]
fn a_row_is_found_by_its_key() {
    let engine = engine(2);
    let sql = "CREATE MATERIALIZED VIEW v (who, n) AS
               SELECT symbol, COUNT(*) FROM trades GROUP BY symbol";
    engine.execute(sql).unwrap();
    let mut changes = engine.subscribe("v").unwrap();
    let mut appender = engine.appender("trades").unwrap();
    for (number, n) in [(0, 1), (5, 2), (10, 3)] {
        appender.append_row(&row(number)).unwrap();
        appender.flush().unwrap();
        while engine
            .get("v", &params!["A"])
            .unwrap()
            .map(|r| r.get("n").unwrap())
            != Some(n)
        {
            changes.next().unwrap().unwrap();
        }
    }
    assert!(engine.get("v", &params!["B"]).unwrap().is_none());
    assert_eq!(engine.get("v", &params![1]).unwrap_err().code(), "E0602");
    assert_eq!(engine.get("w", &params![1]).unwrap_err().code(), "E0603");
    let found = engine.query("SELECT n FROM v WHERE who = $1", &params!["A"]);
    assert_eq!(one::<i64>(&found.unwrap(), "n"), 3);
    let found = engine.execute("SELECT COUNT(*) AS groups FROM v").unwrap();
    assert_eq!(one::<i64>(&found, "groups"), 1);
    // The rows that stand have an end, whatever the view reads.
    let found = engine.execute("SELECT n FROM v ORDER BY who LIMIT 1");
    assert_eq!(one::<i64>(&found.unwrap(), "n"), 3);
}

#[test]
fn closed_windows_only() {
    let engine = engine(2);
    let sql =
        "SELECT window_start, symbol, COUNT(*) AS n FROM TUMBLE(trades, ts, INTERVAL '1' SECOND)
               GROUP BY window_start, window_end, symbol";
    let created = format!("CREATE MATERIALIZED VIEW v AS {sql} EMIT ON WINDOW CLOSE");
    engine.execute(&created).unwrap();
    let changes = engine.subscribe("v").unwrap();
    let mut appender = engine.appender("trades").unwrap();
    for number in 0..1_000 {
        appender.append_row(&row(number)).unwrap();
    }
    drop(appender);
    let reading = std::thread::spawn(move || {
        let batches: Vec<_> = changes.map(Result::unwrap).collect();
        sorted(&batches)
    });
    let report = engine.shutdown(Drain::Input, Duration::from_secs(60));
    assert_eq!(report, Default::default());
    assert_eq!(reading.join().unwrap(), in_batch(sql, 0..1_000));
}

/// Views come, and go with who reads them; what is wrong is refused with its code.
#[test]
fn names_come_and_go() {
    let engine = engine(1);
    let code = |sql: &str| engine.execute(sql).unwrap_err().code();
    engine
        .execute("CREATE MATERIALIZED VIEW v AS SELECT qty FROM trades")
        .unwrap();
    assert_eq!(
        code("CREATE MATERIALIZED VIEW v AS SELECT qty FROM trades"),
        "E0205"
    );
    assert_eq!(code("DROP SOURCE trades"), "E0210");
    assert_eq!(code("SELECT qty FROM trades"), "E0402");
    assert_eq!(code("SELECT nothing FROM trades"), "E0201");
    assert_eq!(code("ALTER VIEW v RENAME TO w"), "E0211");
    assert_eq!(engine.subscribe("w").unwrap_err().code(), "E0603");
    let mut appender = engine.appender("trades").unwrap();
    let mut changes = engine.subscribe("v").unwrap();
    appender.append_row(&row(1)).unwrap();
    appender.flush().unwrap();
    assert_eq!(one::<i64>(&[changes.next().unwrap().unwrap()], "qty"), 1);
    let shown = engine.execute("SHOW MATERIALIZED VIEWS").unwrap();
    assert_eq!(one::<String>(&shown, "name"), "v");
    engine.execute("DROP MATERIALIZED VIEW v").unwrap();
    assert!(changes.next().is_none());
    appender.append_row(&row(2)).unwrap();
    appender.flush().unwrap();
    assert_eq!(engine.metrics().channels[0].1.rows_unread, 1);
    engine.execute("DROP SOURCE trades").unwrap();
    assert_eq!(appender.append_row(&row(3)).unwrap_err().code(), "E0601");
    assert_eq!(engine.appender("trades").unwrap_err().code(), "E0603");
}

/// A subscriber that stops reading holds back its appender, and no end of an engine.
#[test]
fn a_subscriber_that_stops_is_left_behind() {
    let engine = engine(2);
    engine
        .execute("CREATE MATERIALIZED VIEW v AS SELECT qty FROM trades")
        .unwrap();
    let unread = engine.subscribe("v").unwrap();
    let mut appender = engine.appender("trades").unwrap();
    let mut number = 0;
    while appender.try_push(&row(number)).unwrap() == Pushed::Done
        || appender.flush_timeout(Duration::from_secs(1)).unwrap() == Pushed::Done
    {
        number += 1;
    }
    let report = engine.shutdown(Drain::Input, Duration::from_millis(1));
    assert_eq!(report.views.len(), 1, "{report:?}");
    assert!(
        report.views[0].rows_undelivered > 0 && report.rows_staged > 0,
        "{report:?}"
    );
    assert_eq!(appender.append_row(&row(0)).unwrap_err().code(), "E0601");
    drop(unread);
}

#[test]
fn two_engines_do_not_know_each_other() {
    let engines = [engine(1), engine(2)];
    for (number, engine) in engines.iter().enumerate() {
        engine
            .execute("CREATE MATERIALIZED VIEW v AS SELECT qty FROM trades")
            .unwrap();
        let mut changes = engine.subscribe("v").unwrap();
        let mut appender = engine.appender("trades").unwrap();
        appender.append_row(&row(number as i64)).unwrap();
        appender.flush().unwrap();
        let batch = changes.next().unwrap().unwrap();
        assert_eq!(one::<i64>(&[batch], "qty"), number as i64);
    }
}

#[test]
fn the_callers_thread_is_the_shard() {
    let engine = Engine::builder().on_this_thread().open().unwrap();
    channel(&engine);
    engine
        .execute(&format!("CREATE MATERIALIZED VIEW v AS {ALL}"))
        .unwrap();
    let mut changes = engine.subscribe("v").unwrap();
    let mut appender = engine.appender("trades").unwrap();
    for number in 0..10_000 {
        while appender.try_push(&row(number)).unwrap() == Pushed::Full {
            engine.step();
            while changes.try_next().unwrap() != Received::Nothing {}
        }
    }
    drop(appender);
    let reading = std::thread::spawn(move || changes.map(Result::unwrap).last());
    let report = engine.shutdown(Drain::Input, Duration::from_secs(60));
    assert_eq!(report, Default::default());
    let last = reading.join().unwrap().unwrap();
    let count = rows(&last).last().unwrap().get::<i64>("n").unwrap();
    assert_eq!(count, 10_000);
}

/// A SELECT over files runs beside views; batches go in whole, by the names of their columns.
#[test]
fn files_and_batches() {
    let engine = engine(2);
    let path = std::env::temp_dir().join(format!("trefoil-engine-{}", std::process::id()));
    std::fs::write(&path, "{\"a\":1}\n{\"a\":2}\n{\"a\":40}\n").unwrap();
    let sql = format!(
        "CREATE SOURCE f (a BIGINT) WITH (connector = 'file', path = '{}', format = 'json');
         SELECT SUM(a) AS s FROM f",
        path.display()
    );
    assert_eq!(one::<i64>(&engine.execute(&sql).unwrap(), "s"), 43);
    std::fs::remove_file(&path).unwrap();
    engine
        .execute(&format!("CREATE MATERIALIZED VIEW v AS {ALL}"))
        .unwrap();
    let mut changes = engine.subscribe("v").unwrap();
    let mut appender = engine.appender("trades").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    // The engine is called from an asynchronous runtime's own thread.
    runtime.block_on(async {
        let context = SessionContext::new();
        let sql = "SELECT 1.5 AS price, arrow_cast(0, 'Timestamp(Millisecond, None)') AS ts,
                   value AS qty, 'x' AS symbol FROM generate_series(1, 500)";
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        for batch in &batches {
            appender.append_batch(batch).unwrap();
        }
        appender.flush().unwrap();
        while engine
            .query("SELECT n FROM v", &[])
            .map(|b| one_or(&b, 0))
            .unwrap()
            != 500
        {
            changes.next().unwrap().unwrap();
        }
    });
    let schema = Schema::new(vec![Field::new(
        "a",
        datafusion::arrow::datatypes::DataType::Int64,
    )]);
    let frame = row_frame(&schema, &params![1]).unwrap();
    let other = trefoil::convert::record_batch(&schema, &frame).unwrap();
    assert_eq!(appender.append_batch(&other).unwrap_err().code(), "E0602");
}

fn one_or(batches: &[RecordBatch], none: i64) -> i64 {
    let row = batches.iter().flat_map(rows).next();
    row.map_or(none, |row| row.get("n").unwrap())
}

const JOINED: [&str; 7] = [
    "SELECT l.k AS k, l.n AS a, r.n AS b FROM l JOIN r ON l.k = r.k
     AND r.ts BETWEEN l.ts - INTERVAL '50' MILLISECOND AND l.ts + INTERVAL '30' MILLISECOND",
    "SELECT l.n AS a, r.n AS b, r.ts AS t FROM l LEFT JOIN r ON l.k = r.k AND l.n % 3 < r.n % 5
     AND l.ts > r.ts - INTERVAL '0.04' SECOND AND r.ts >= l.ts",
    "SELECT l.n AS a, r.n AS b FROM (SELECT k, n, ts FROM l WHERE n % 7 > 0) AS l
     FULL JOIN (SELECT n + 0 AS n, ts AS at, k FROM r) AS r
     ON r.at < l.ts + INTERVAL '1' SECOND AND l.ts + INTERVAL '960' MILLISECOND < r.at
     AND l.k = r.k",
    "SELECT l.n AS a, r.n AS b FROM l RIGHT JOIN r ON l.ts = r.ts AND l.n < r.n",
    "SELECT l.n AS a FROM l LEFT ANTI JOIN r ON l.k = r.k AND l.n % 7 < r.n % 3
     AND r.ts BETWEEN l.ts - INTERVAL '9' MILLISECOND AND l.ts + INTERVAL '9' MILLISECOND",
    "SELECT x.n AS a, y.n AS b, y.window_end AS w FROM TUMBLE(l, ts, INTERVAL '90' MILLISECOND) AS x
     JOIN TUMBLE(r, ts, INTERVAL '90' MILLISECOND) AS y ON x.k = y.k
     AND x.window_start = y.window_start AND x.window_end = y.window_end",
    "SELECT x.n AS a, y.n AS b, y.window_start AS w
     FROM TUMBLE(l, ts, INTERVAL '0.02' SECOND) AS x
     FULL JOIN (SELECT * FROM TUMBLE(r, ts, INTERVAL '0.02' SECOND) WHERE n % 7 > 0) AS y
     ON x.window_start = y.window_start AND x.window_end = y.window_end AND x.n < y.n",
];

/// ASOF joins, and what DataFusion has for them.
const NEAREST: [(&str, &str); 2] = [
    (
        "SELECT l.n AS a, r.ts AS t FROM l
         ASOF JOIN r MATCH_CONDITION (l.ts >= r.ts) ON l.k = r.k",
        "SELECT a, t FROM (SELECT l.n AS a, r.ts AS t, ROW_NUMBER() OVER (PARTITION BY l.n
         ORDER BY r.ts DESC) AS p FROM l LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts) AS z
         WHERE p = 1",
    ),
    (
        "SELECT l.n AS a, r.ts AS t FROM (SELECT * FROM l WHERE n % 3 > 0) AS l
         ASOF JOIN (SELECT * FROM r WHERE n % 2 > 0) AS r MATCH_CONDITION (r.ts < l.ts)",
        "SELECT a, t FROM (SELECT l.n AS a, r.ts AS t, ROW_NUMBER() OVER (PARTITION BY l.n
         ORDER BY r.ts DESC) AS p FROM (SELECT * FROM l WHERE n % 3 > 0) AS l
         LEFT JOIN (SELECT * FROM r WHERE n % 2 > 0) AS r ON r.ts < l.ts) AS z WHERE p = 1",
    ),
];

/// A row of either side: times are up to half a second apart from their order.
fn timed(number: i64) -> [Value<'static>; 3] {
    let time = number * 10 + (number * 7919) % 500;
    params![SYMBOLS[(number * number % 5) as usize], number, time]
}

fn sides(connector: &str) -> String {
    let source = |name: &str| {
        let watermark = "WATERMARK FOR ts AS ts - INTERVAL '3' SECOND";
        let columns = format!("k VARCHAR, n BIGINT, ts TIMESTAMP(3), {watermark}");
        format!("CREATE SOURCE {name} ({columns}) WITH ({connector});")
    };
    ["l", "r"].map(source).concat()
}

fn joined_in_batch(sql: &str, numbers: std::ops::Range<i64>) -> (usize, String) {
    let file = SourceFile {
        name: "batch".to_owned(),
        text: sides("connector = 'file', path = 'no', format = 'json'") + sql,
        base: std::path::PathBuf::from("."),
    };
    let files = [file];
    let tables = ["l", "r"].map(|name| {
        let schema = trefoil::oracle::source_schema(&files, name);
        let schema = schema.unwrap().unwrap();
        let frame = |n| row_frame(&schema, &timed(n)).unwrap();
        let frames = numbers.clone().map(frame).collect();
        (name.to_owned(), schema, frames)
    });
    let results = batch(&files, &tables, SystemTime::now(), Constants::Known).unwrap();
    let batches = &results[0].batches;
    let count = batches.iter().map(RecordBatch::num_rows).sum();
    (count, sorted(batches))
}

/// Both sides stay open, one of them by two appenders: pairs come as their rows do, rows without a
/// match once watermarks say so, and all of them are what batch says.
#[test]
fn joins_of_channels() {
    const ROWS: i64 = 900;
    for (shards, frame_rows) in [(1, 7), (2, 1), (2, 1024), (4, 7)] {
        for (sql, in_batch) in JOINED.map(|sql| (sql, sql)).into_iter().chain(NEAREST) {
            let engine = Engine::builder().shards(shards).idle(Idle::Park);
            let engine = engine.frame_rows(frame_rows).ring_messages(4);
            let engine = engine.open().unwrap();
            engine.execute(&sides("connector = 'channel'")).unwrap();
            let created = format!("CREATE MATERIALIZED VIEW v AS {sql}");
            engine.execute(&created).unwrap();
            let changes = engine.subscribe("v").unwrap();
            let lane = |name: &str| engine.appender(name).unwrap();
            let (mut left, mut rights) = (lane("l"), [lane("r"), lane("r")]);
            // Turns are far below the lag: no lane is late by what another one told.
            let appending = std::thread::spawn(move || {
                for n in 0..ROWS {
                    left.append_row(&timed(n)).unwrap();
                    rights[(n % 2) as usize].append_row(&timed(n)).unwrap();
                    if n % 10 == 9 {
                        left.flush().unwrap();
                        rights.iter_mut().for_each(|right| right.flush().unwrap());
                    }
                }
                for appender in [&mut left].into_iter().chain(&mut rights) {
                    appender.watermark(ROWS * 1_000_000_000);
                    appender.flush().unwrap();
                }
                (left, rights)
            });
            let (count, want) = joined_in_batch(in_batch, 0..ROWS);
            let (mut got, mut batches) = (0, Vec::new());
            for changed in changes {
                let changed = changed.unwrap();
                let ops = rows(&changed).map(|r| r.get::<String>("op").unwrap());
                assert!(
                    ops.into_iter().all(|op| op == "+I"),
                    "nothing is taken back"
                );
                got += changed.num_rows();
                let columns: Vec<usize> = (1..changed.num_columns()).collect();
                batches.push(changed.project(&columns).unwrap());
                if got >= count {
                    break;
                }
            }
            assert_eq!(sorted(&batches), want, "{shards}, {frame_rows}: {sql}");
            drop(appending.join().unwrap());
        }
    }
}
