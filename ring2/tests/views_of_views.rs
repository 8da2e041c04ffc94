//! Views over views: what stands in them is what batch SQL says of the rows, however deep they are
//! and whenever they were made.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use trefoil::engine::{Drain, Idle, rows};
use trefoil::oracle::{Constants, batch, source_schema};
use trefoil::{Engine, Error, SourceFile, params};
use trefoil_ring0::appender::{Value, row_frame};

const ROWS: i64 = 900;
const COLUMNS: &str = "(k BIGINT, v BIGINT, ts TIMESTAMP(3))";
/// Each reads the ones before it.
const VIEWS: [(&str, &str); 9] = [
    (
        "groups",
        "SELECT k, COUNT(*) AS n, SUM(v) AS total FROM t GROUP BY k",
    ),
    ("large", "SELECT k, total FROM groups WHERE n % 2 = 1"),
    (
        "classes",
        "SELECT n % 3 AS class, COUNT(*) AS c, SUM(total) AS s, MAX(k) AS top FROM groups \
         GROUP BY n % 3",
    ),
    (
        "whole",
        "SELECT COUNT(*) AS c, SUM(s) AS s, MIN(top) AS least FROM classes",
    ),
    (
        "joined",
        "SELECT g.k, g.n, l.total FROM groups AS g LEFT JOIN large AS l ON g.k = l.k",
    ),
    (
        "with_rows",
        "SELECT t.v, g.n FROM t JOIN groups AS g ON t.k = g.k WHERE t.v % 50 = 0",
    ),
    (
        "itself",
        "SELECT a.class, b.c FROM classes AS a JOIN classes AS b ON a.class = b.class + 1",
    ),
    (
        "first",
        "SELECT k, total FROM (SELECT k, total, ROW_NUMBER() OVER (ORDER BY total DESC, k) AS r \
         FROM groups) AS x WHERE r <= 3",
    ),
    (
        "minutes",
        "SELECT TUMBLE_START(ts, INTERVAL '1' MINUTE) AS s, COUNT(*) AS n FROM copies \
         GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)",
    ),
];

fn row(n: i64) -> [Value<'static>; 3] {
    let v = (n % 11 != 3).then_some(n * 37 % 101);
    params![n * n % 23, v, n * 500]
}

fn file(text: String) -> SourceFile {
    SourceFile {
        name: "views.sql".to_owned(),
        text,
        base: PathBuf::from("."),
    }
}

/// The rows of each view in batch.
fn in_batch(count: i64) -> Vec<(String, Vec<String>)> {
    let mut text = format!(
        "CREATE SOURCE t {COLUMNS} WITH (connector = 'file', path = 'no', format = 'json');
         CREATE VIEW copies AS SELECT k, ts FROM t;"
    );
    for (name, sql) in VIEWS {
        text += &format!("CREATE VIEW {name} AS {sql};");
    }
    for (name, _) in VIEWS {
        text += &format!("SELECT * FROM {name};");
    }
    let files = [file(text)];
    let schema = source_schema(&files, "t").unwrap().unwrap();
    let frames = (0..count).map(|n| row_frame(&schema, &row(n)).unwrap());
    let table = ("t".to_owned(), schema.clone(), frames.collect());
    let found = batch(&files, &[table], SystemTime::now(), Constants::Known).unwrap();
    let found = found.iter().map(|result| texts(&result.batches));
    let names = VIEWS.iter().map(|(name, _)| (*name).to_owned());
    names.zip(found).collect()
}

/// Rows as texts, in order.
fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let text = pretty_format_batches(batches).unwrap().to_string();
    let lines = text.lines().filter(|l| l.starts_with('|')).skip(1);
    let squeezed = lines.map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut lines: Vec<String> = squeezed.collect();
    lines.sort_unstable();
    lines
}

fn now(engine: &Engine, view: &str) -> Vec<String> {
    texts(&engine.query(&format!("SELECT * FROM {view}"), &[]).unwrap())
}

fn open(shards: usize, frame_rows: usize) -> Engine {
    let engine = Engine::builder().shards(shards).idle(Idle::Park);
    let engine = engine.frame_rows(frame_rows).ring_messages(4);
    let engine = engine.open().unwrap();
    let sql = format!("CREATE SOURCE t {COLUMNS} WITH (connector = 'channel')");
    engine.execute(&sql).unwrap();
    engine
}

fn create(engine: &Engine, views: &[(&str, &str)]) {
    for (name, sql) in views {
        let sql = format!("CREATE MATERIALIZED VIEW {name} AS {sql}");
        engine.execute(&sql).unwrap();
    }
}

/// Waits until a view is as it is to be: views go on by themselves.
fn becomes(engine: &Engine, view: &str, wanted: &[String], what: &str) {
    let begun = Instant::now();
    loop {
        let found = now(engine, view);
        if found == wanted {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{view}, {what}\n{found:?}\n{wanted:?}"
        );
        std::thread::yield_now();
    }
}

/// Some views before any row, some while rows come, some behind the last.
#[test]
fn views_of_views_are_what_batch_says_whenever_they_are_made() {
    let wanted = in_batch(ROWS);
    for (shards, frame_rows) in [(1, 1), (2, 7), (4, 1024), (4, 1)] {
        let engine = open(shards, frame_rows);
        create(&engine, &[("copies", "SELECT k, ts FROM t")]);
        // `with_rows` reads the rows of the source, too: of these a new view has none.
        let late = |name: &str| !matches!(name, "groups" | "large" | "with_rows");
        let (early, rest): (Vec<_>, Vec<_>) = VIEWS.into_iter().partition(|(n, _)| !late(n));
        let (middle, last) = rest.split_at(3);
        create(&engine, &early);
        let mut appender = engine.appender("t").unwrap();
        let (meet, created) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            let (meet, created) = (&meet, &created);
            scope.spawn(move || {
                for n in 0..ROWS {
                    appender.append_row(&row(n)).unwrap();
                    if n == ROWS / 3 {
                        meet.wait();
                    }
                }
                created.wait();
                drop(appender);
            });
            meet.wait();
            create(&engine, middle);
            created.wait();
        });
        create(&engine, last);
        let what = format!("{shards} shards, frames of {frame_rows}");
        for (name, rows) in &wanted {
            becomes(&engine, name, rows, &what);
        }
        let report = engine.shutdown(Drain::Input, Duration::from_secs(60));
        assert_eq!(report, Default::default(), "{what}");
    }
}

/// What stands at the end is given before it: nothing of it is lost on the way.
#[test]
fn the_end_of_input_goes_through_all_views() {
    let wanted = in_batch(100);
    for shards in [1, 2, 4] {
        let engine = open(shards, 7);
        create(&engine, &[("copies", "SELECT k, ts FROM t")]);
        create(&engine, &VIEWS);
        let changes = engine.subscribe("whole").unwrap();
        let mut appender = engine.appender("t").unwrap();
        (0..100).for_each(|n| appender.append_row(&row(n)).unwrap());
        drop(appender);
        let taken = std::thread::spawn(move || {
            let mut last = None;
            for batch in changes {
                last = rows(&batch.unwrap()).last().map(|r| r.to_batch());
            }
            last
        });
        let report = engine.shutdown(Drain::Input, Duration::from_secs(60));
        assert_eq!(report, Default::default());
        let last = taken.join().unwrap().unwrap();
        let last = last.project(&[1, 2, 3]).unwrap();
        let (_, rows) = wanted.iter().find(|(name, _)| name == "whole").unwrap();
        assert_eq!(&texts(&[last]), rows, "{shards} shards");
    }
}

#[test]
fn a_view_of_what_ended_has_all_of_it_and_ends() {
    let path = std::env::temp_dir().join(format!("trefoil-ended-{}.ndjson", std::process::id()));
    std::fs::write(&path, "{\"n\":1}\n{\"n\":2}\n{\"n\":2}\n").unwrap();
    let engine = Engine::builder().shards(2).open().unwrap();
    let sql = format!(
        "CREATE SOURCE f (n BIGINT) WITH (connector = 'file', path = '{}', format = 'json');
         CREATE MATERIALIZED VIEW v AS SELECT n, COUNT(*) AS c FROM f GROUP BY n",
        path.display()
    );
    engine.execute(&sql).unwrap();
    let running = |engine: &Engine| {
        let left = "SELECT name FROM trefoil.jobs WHERE state = 'running'";
        engine.query(left, &[]).unwrap()[0].num_rows() > 0
    };
    while running(&engine) {
        std::thread::yield_now();
    }
    engine
        .execute("CREATE MATERIALIZED VIEW w AS SELECT SUM(c) AS s, MAX(n) AS m FROM v")
        .unwrap();
    while running(&engine) {
        std::thread::yield_now();
    }
    assert_eq!(now(&engine, "w"), ["| 3 | 2 |"]);
    std::fs::remove_file(path).unwrap();
}

/// The end of a view that is read cuts nothing short that is read beside it.
#[test]
fn what_comes_beside_a_view_that_ended_is_read_to_its_end() {
    let engine = Engine::builder().shards(2).frame_rows(7).open().unwrap();
    let numbers = |name: &str, rows: i64| {
        format!(
            "CREATE SOURCE {name} (n BIGINT) WITH (connector = 'generator', rows = {rows},
               fields.n.kind = 'sequence');"
        )
    };
    let sql = numbers("few", 3)
        + &numbers("many", 50_000)
        + "CREATE MATERIALIZED VIEW v AS SELECT n FROM few;
           CREATE MATERIALIZED VIEW w AS SELECT COUNT(*) AS c, SUM(many.n) AS s
             FROM many JOIN v ON many.n % 3 = v.n";
    engine.execute(&sql).unwrap();
    becomes(
        &engine,
        "w",
        &["| 50000 | 1249975000 |".to_owned()],
        "all of them came",
    );
}

#[test]
fn a_view_that_is_read_is_not_dropped_alone() {
    let engine = open(2, 7);
    create(&engine, &[("copies", "SELECT k, ts FROM t")]);
    create(&engine, &VIEWS);
    let error = engine
        .execute("DROP MATERIALIZED VIEW classes")
        .unwrap_err();
    assert_eq!(error.code(), "E0210", "{error}");
    assert!(error.to_string().contains("itself, whole"), "{error}");
    let error = engine
        .execute("CREATE MATERIALIZED VIEW classes AS SELECT k FROM t")
        .unwrap_err();
    assert!(
        error.to_string().contains("a materialized view already"),
        "{error}"
    );
    let mut appender = engine.appender("t").unwrap();
    (0..100).for_each(|n| appender.append_row(&row(n)).unwrap());
    engine.execute("DROP MATERIALIZED VIEW whole").unwrap();
    engine
        .execute("DROP MATERIALIZED VIEW groups CASCADE")
        .unwrap();
    let left = engine.query("SELECT name FROM trefoil.jobs", &[]).unwrap();
    assert_eq!(texts(&left), ["| copies |", "| minutes |"]);
    // Nothing waits for what is gone.
    (100..ROWS).for_each(|n| appender.append_row(&row(n)).unwrap());
    appender.flush().unwrap();
    let wanted = in_batch(ROWS);
    let (_, rows) = wanted.iter().find(|(name, _)| name == "minutes").unwrap();
    becomes(&engine, "minutes", rows, "after the others were dropped");
}

#[test]
fn what_fails_fails_all_that_read_it() {
    let engine = open(2, 7);
    create(
        &engine,
        &[
            ("a", "SELECT k, 10 / v AS q FROM t"),
            ("b", "SELECT SUM(q) AS s FROM a"),
            ("c", "SELECT s FROM b"),
            ("d", "SELECT k FROM t"),
        ],
    );
    let mut changes = engine.subscribe("c").unwrap();
    let mut appender = engine.appender("t").unwrap();
    appender.append_row(&params![1, 0, 0]).unwrap();
    appender.flush().unwrap();
    let error = loop {
        match changes.next() {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("it failed"),
        }
    };
    assert_eq!(error.code(), "E0607", "{error}");
    let told = error.to_string();
    assert!(
        told.contains("view \"b\", which it reads, has failed: view \"a\""),
        "{told}"
    );
    becomes(&engine, "d", &["| 1 |".to_owned()], "the others go on");
    let error = engine.query("SELECT * FROM c", &[]).unwrap_err();
    assert_eq!(error.code(), "E0607", "{error}");
    let late = engine.execute("CREATE MATERIALIZED VIEW e AS SELECT s FROM b");
    let told = late.unwrap_err().to_string();
    assert!(
        told.contains("view \"b\" has failed: view \"a\", which it reads"),
        "{told}"
    );
    assert_eq!(engine.failures().len(), 3);
}

#[test]
fn what_a_view_of_a_view_cannot_be_is_refused_at_its_place() {
    let engine = open(1, 7);
    create(
        &engine,
        &[("v", "SELECT k, COUNT(*) AS n FROM t GROUP BY k")],
    );
    engine.execute("CREATE VIEW p AS SELECT n FROM v").unwrap();
    let cases = [
        (
            "CREATE MATERIALIZED VIEW w AS SELECT nothing\nFROM v",
            "E0201",
            (1, 38),
        ),
        (
            "CREATE MATERIALIZED VIEW w AS SELECT n, COUNT(*) AS c FROM p GROUP BY n\n\
             EMIT ON WINDOW CLOSE",
            "E0402",
            (2, 1),
        ),
        (
            "CREATE MATERIALIZED VIEW w AS SELECT n FROM p\nORDER BY n LIMIT 3",
            "E0404",
            (2, 1),
        ),
        (
            "CREATE MATERIALIZED VIEW w AS SELECT _offset FROM v",
            "E0201",
            (1, 38),
        ),
    ];
    for (sql, code, (line, column)) in cases {
        let Error::Sql(error) = engine.execute(sql).unwrap_err() else {
            panic!("{sql}")
        };
        let found = (error.code, error.line, error.column);
        assert_eq!(found, (code, line, column), "{sql}: {error}");
    }
    let names = engine.names();
    assert!(!names.contains(&"w".to_owned()));
    engine
        .execute("CREATE MATERIALIZED VIEW w AS SELECT SUM(n) AS s FROM p")
        .unwrap();
}

/// Where one shard gives all changes, one for each row, these are in the order of the rows, and no
/// update is parted.
#[test]
fn on_one_shard_a_read_is_batch_over_a_prefix() {
    for frame_rows in [1, 7, 1024] {
        let engine = open(1, frame_rows);
        create(
            &engine,
            &[
                (
                    "a",
                    "SELECT k, COUNT(*) AS n, SUM(v) AS t FROM t GROUP BY k",
                ),
                ("b", "SELECT k, n, t FROM a WHERE n > 0"),
                ("c", "SELECT b.n + 0 AS n, b.t FROM b"),
            ],
        );
        let mut appender = engine.appender("t").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || (0..ROWS).for_each(|n| appender.append_row(&row(n)).unwrap()));
            let (mut total, mut keys) = (vec![0], vec![std::collections::BTreeSet::new()]);
            for n in 0..ROWS {
                let [k, v, _] = row(n);
                let v = if let Value::I64(v) = v { v } else { 0 };
                total.push(total[n as usize] + v);
                let mut seen = keys[n as usize].clone();
                if let Value::I64(k) = k {
                    seen.insert(k);
                }
                keys.push(seen);
            }
            let mut before = 0;
            while before < ROWS {
                let sql = "SELECT COUNT(*) AS c, SUM(n) AS n, SUM(t) AS t FROM c HAVING SUM(n) > 0";
                let found = engine.query(sql, &[]).unwrap();
                let Some(row) = found.iter().flat_map(rows).next() else {
                    continue;
                };
                let n: i64 = row.get("n").unwrap();
                assert!(n >= before, "{n} behind {before}");
                before = n;
                assert_eq!(
                    row.get::<i64>("c").unwrap(),
                    keys[n as usize].len() as i64,
                    "{n}"
                );
                let t: Option<i64> = row.get("t").unwrap();
                assert_eq!(
                    t.unwrap_or(0),
                    total[n as usize],
                    "{n} rows, frames of {frame_rows}"
                );
            }
        });
    }
}

/// The caller's own thread is the shard.
#[test]
fn views_of_views_run_where_they_are_stepped() {
    let engine = Engine::builder().on_this_thread().frame_rows(7);
    let engine = engine.ring_messages(4).open().unwrap();
    let sql = format!("CREATE SOURCE t {COLUMNS} WITH (connector = 'channel')");
    engine.execute(&sql).unwrap();
    create(&engine, &VIEWS[..4]);
    let mut appender = engine.appender("t").unwrap();
    for n in 0..300 {
        while appender.try_push(&row(n)).unwrap() != trefoil::engine::Pushed::Done {
            engine.step();
        }
    }
    drop(appender);
    let wanted = in_batch(300);
    let begun = Instant::now();
    while now(&engine, "whole") != wanted[3].1 {
        engine.step();
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    engine
        .execute("DROP MATERIALIZED VIEW groups CASCADE")
        .unwrap();
}
