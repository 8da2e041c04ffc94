//! Sinks of an engine: what their queries give stands in the file when the sink has ended, whatever
//! ended it, and nothing stands there before.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value as Json;
use trefoil::engine::{Drain, Idle, rows};
use trefoil::{Engine, params};

/// A folder of a test, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        // Tests of one process may run side by side under the same name.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("trefoil-sinks-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Names of what is in it, but for what tests read from.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != "in.ndjson").collect();
        names.sort();
        names
    }

    /// A source `s` over numbers in a file.
    fn numbers(&self, rows: i64) -> String {
        let text: Vec<String> = (0..rows)
            .map(|n| format!("{{\"n\":{n},\"t\":\"row {n}, \\\"quoted\\\"\"}}"))
            .collect();
        std::fs::write(self.path("in.ndjson"), text.join("\n")).unwrap();
        source("s", "n BIGINT, t VARCHAR", &self.path("in.ndjson"), "json")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

fn source(name: &str, columns: &str, path: &Path, format: &str) -> String {
    let path = path.display();
    format!(
        "CREATE SOURCE {name} ({columns}) WITH (connector = 'file', path = '{path}', \
         format = '{format}');"
    )
}

fn sink(name: &str, path: &Path, format: &str) -> String {
    let path = path.display();
    format!("CREATE SINK {name} WITH (connector = 'file', path = '{path}', format = '{format}')")
}

fn engine(shards: usize) -> Engine {
    let engine = Engine::builder().shards(shards).idle(Idle::Park);
    engine.frame_rows(16).ring_messages(4).open().unwrap()
}

fn number(engine: &Engine, sql: &str) -> i64 {
    let rows_of = engine.execute(sql).unwrap();
    let row = rows_of.iter().flat_map(rows).next().unwrap();
    row.get::<i64>("x").unwrap()
}

fn objects(path: &Path) -> Vec<Json> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

const CHANNEL: &str = "CREATE SOURCE c (k BIGINT, v BIGINT) WITH (connector = 'channel');";

/// What is written reads back as it was, in every format; several queries feed one sink.
#[test]
fn files_read_back() {
    const ROWS: i64 = 3000;
    for shards in [1, 2] {
        for format in ["json", "csv", "parquet", "arrow"] {
            let folder = Folder::new("formats");
            let engine = engine(shards);
            engine.execute(&folder.numbers(ROWS)).unwrap();
            let out = folder.path(&format!("out.{format}"));
            engine.execute(&sink("out", &out, format)).unwrap();
            assert_eq!(folder.names(), [""; 0], "nothing has fed it");
            let insert = "INSERT INTO out SELECT n, t FROM s WHERE n % 2 =";
            engine.execute(&format!("{insert} 0; {insert} 1")).unwrap();
            assert!(!out.exists(), "it has its name at its end");
            engine.execute("DROP SINK out").unwrap();
            assert_eq!(folder.names(), [out.file_name().unwrap().to_str().unwrap()]);
            engine
                .execute(&source("b", "n BIGINT, t VARCHAR", &out, format))
                .unwrap();
            assert_eq!(
                number(&engine, "SELECT COUNT(*) AS x FROM b"),
                ROWS,
                "{format}"
            );
            let alike = "SELECT COUNT(*) AS x FROM s JOIN b ON s.n = b.n AND s.t = b.t";
            assert_eq!(number(&engine, alike), ROWS, "{format}");
        }
    }
}

/// What was pushed before DROP SINK is in the file, also what comes by way of views.
#[test]
fn drop_sink_commits_what_was_pushed() {
    for shards in [1, 2, 4] {
        let folder = Folder::new("drop");
        let engine = engine(shards);
        engine.execute(CHANNEL).unwrap();
        let view = "CREATE MATERIALIZED VIEW v AS SELECT k, COUNT(*) AS n FROM c GROUP BY k";
        engine.execute(view).unwrap();
        let (plain, viewed, debezium) = (
            folder.path("plain"),
            folder.path("viewed"),
            folder.path("debezium"),
        );
        engine
            .execute(&format!(
                "{} AS SELECT k, v FROM c WHERE v >= 10",
                sink("plain", &plain, "json")
            ))
            .unwrap();
        let from = |sql: String| sql.replacen(" WITH", " FROM v WITH", 1);
        engine
            .execute(&from(sink("viewed", &viewed, "json")))
            .unwrap();
        engine
            .execute(&from(sink("debezium", &debezium, "debezium_json")))
            .unwrap();
        assert_eq!(number(&engine, "SELECT COUNT(*) AS x FROM trefoil.jobs"), 4);
        engine
            .execute("ALTER SINK plain RENAME TO \"PLAIN\"; ALTER SOURCE c RENAME TO d")
            .unwrap();
        let mut appender = engine.appender("d").unwrap();
        for v in 0..1000i64 {
            appender.append_row(&params![v % 7, v]).unwrap();
        }
        appender.flush().unwrap();
        engine
            .execute("DROP SINK viewed; DROP SINK \"PLAIN\"; DROP SINK debezium")
            .unwrap();
        assert_eq!(folder.names(), ["debezium", "plain", "viewed"]);
        let mut seen: Vec<i64> = objects(&plain)
            .iter()
            .map(|o| o["v"].as_i64().unwrap())
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (10..1000).collect::<Vec<_>>());
        let mut standing: BTreeMap<(i64, i64), i64> = BTreeMap::new();
        for change in objects(&viewed) {
            let weight = if change["op"].as_str().unwrap().starts_with('-') {
                -1
            } else {
                1
            };
            let row = (change["k"].as_i64().unwrap(), change["n"].as_i64().unwrap());
            *standing.entry(row).or_default() += weight;
        }
        standing.retain(|_, weight| *weight != 0);
        let count = |k: i64| 1000 / 7 + i64::from(k < 1000 % 7);
        let wanted: BTreeMap<_, _> = (0..7).map(|k| ((k, count(k)), 1)).collect();
        assert_eq!(standing, wanted, "{shards}");
        let mut last: BTreeMap<i64, i64> = BTreeMap::new();
        for change in objects(&debezium) {
            let row = &change["after"];
            last.insert(row["k"].as_i64().unwrap(), row["n"].as_i64().unwrap());
        }
        assert_eq!(last, (0..7).map(|k| (k, count(k))).collect(), "{shards}");
        // The view goes on.
        appender.append_row(&params![1, 1]).unwrap();
        appender.flush().unwrap();
        engine.flush().unwrap();
        assert_eq!(
            number(&engine, "SELECT n AS x FROM v WHERE k = 1"),
            count(1) + 1
        );
        assert_eq!(number(&engine, "SELECT COUNT(*) AS x FROM trefoil.jobs"), 1);
    }
}

const TIMED: &str = "CREATE SOURCE c (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts)
    WITH (connector = 'channel');";

/// The end of the input gives windows that are open; a stop does not, and the file is whole.
#[test]
fn shutdown_gives_files_their_names() {
    for (drain, windows) in [(Drain::Input, 4), (Drain::Nothing, 3)] {
        let folder = Folder::new("shutdown");
        let engine = engine(2);
        engine.execute(TIMED).unwrap();
        let out = folder.path("out");
        let query =
            "SELECT window_start, COUNT(*) AS n FROM c GROUP BY TUMBLE(ts, INTERVAL '1' SECOND)";
        engine
            .execute(&format!("{} AS {query}", sink("out", &out, "json")))
            .unwrap();
        let mut appender = engine.appender("c").unwrap();
        for n in 0..40i64 {
            appender.append_row(&params![n, n * 100]).unwrap();
        }
        appender.flush().unwrap();
        let written = || number(&engine, "SELECT rows_out AS x FROM trefoil.jobs");
        while written() < 3 {
            std::thread::yield_now();
        }
        let report = engine.shutdown(drain, Duration::from_secs(60));
        assert_eq!(report.sinks, [], "{drain:?}");
        assert_eq!(folder.names(), ["out"]);
        assert_eq!(objects(&out).len(), windows, "{drain:?}");
    }
}

/// Nothing is left of a sink whose engine was dropped, or whose query failed.
#[test]
fn what_did_not_end_gives_no_file() {
    let folder = Folder::new("dropped");
    {
        let engine = engine(1);
        engine.execute(CHANNEL).unwrap();
        let out = sink("out", &folder.path("out"), "csv");
        engine
            .execute(&format!("{out} AS SELECT k FROM c"))
            .unwrap();
        assert_eq!(folder.names().len(), 1, "a name of its own");
    }
    assert_eq!(folder.names(), [""; 0]);

    let engine = engine(2);
    engine.execute(CHANNEL).unwrap();
    engine.execute(&folder.numbers(100)).unwrap();
    engine
        .execute(&sink("out", &folder.path("out"), "json"))
        .unwrap();
    let failed = engine
        .execute("INSERT INTO out SELECT 10 / (n - 50) AS x FROM s")
        .unwrap_err();
    assert_eq!(failed.code(), "E0607");
    let again = engine.execute("DROP SINK out").unwrap_err();
    assert_eq!(again.code(), "E0607", "it says why there is no file");
    assert_eq!(folder.names(), [""; 0]);
    assert_eq!(number(&engine, "SELECT COUNT(*) AS x FROM s"), 100);
    let endless = format!(
        "{} AS SELECT 10 / v AS x FROM c",
        sink("o", &folder.path("o"), "json")
    );
    engine.execute(&endless).unwrap();
    let mut appender = engine.appender("c").unwrap();
    appender.append_row(&params![1, 0]).unwrap();
    appender.flush().unwrap();
    let report = engine.shutdown(Drain::Input, Duration::from_secs(60));
    assert_eq!(report.sinks.len(), 1);
    assert!(report.sinks[0].failure.is_some(), "{report:?}");
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn what_is_refused() {
    let folder = Folder::new("refused");
    let engine = engine(1);
    engine.execute(CHANNEL).unwrap();
    engine.execute(&folder.numbers(3)).unwrap();
    let out = folder.path("out");
    engine
        .execute(&format!("{} AS SELECT k FROM c", sink("out", &out, "json")))
        .unwrap();
    let own = sink("own", &folder.path("in.ndjson"), "json");
    let link = folder.path("link");
    std::os::unix::fs::symlink(folder.path("out"), &link).unwrap();
    let cases = [
        (
            "CREATE SINK p WITH (connector = 'print') AS SELECT k FROM c".to_owned(),
            "E0301",
        ),
        (
            format!("{} AS SELECT k FROM c", sink("two", &out, "json")),
            "E0104",
        ),
        (
            format!("{} AS SELECT k FROM c", sink("three", &link, "json")),
            "E0613",
        ),
        (format!("{own} AS SELECT n FROM s"), "E0613"),
        ("INSERT INTO out SELECT t FROM s".to_owned(), "E0206"),
        ("DROP SOURCE c".to_owned(), "E0210"),
        ("INSERT INTO none SELECT n FROM s".to_owned(), "E0202"),
        (
            format!(
                "{} AS SELECT k FROM c",
                sink("far", &folder.path("no/such"), "json")
            ),
            "E0613",
        ),
    ];
    for (sql, code) in cases {
        let error = engine.execute(&sql).unwrap_err();
        assert_eq!(error.code(), code, "{sql}: {error}");
    }
    // Late rows have no way out of an engine yet.
    engine
        .execute(&format!(
            "{}; CREATE SOURCE t (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts)
             WITH (connector = 'channel', late = 'sink:late')",
            sink("late", &folder.path("late"), "json")
        ))
        .unwrap();
    let windows = "SELECT COUNT(*) AS n FROM t GROUP BY TUMBLE(ts, INTERVAL '1' SECOND)";
    let view = format!("CREATE MATERIALIZED VIEW w AS {windows} EMIT ON WINDOW CLOSE");
    assert_eq!(engine.execute(&view).unwrap_err().code(), "E0301");
    engine.execute("DROP SOURCE t; DROP SINK late").unwrap();
    // What was refused is not declared.
    let shown = engine.execute("SHOW SINKS").unwrap();
    assert_eq!(shown.iter().map(|b| b.num_rows()).sum::<usize>(), 1);
    engine
        .execute("INSERT INTO out SELECT n FROM s")
        .unwrap_err();
    let mut appender = engine.appender("c").unwrap();
    appender.append_row(&params![5, 5]).unwrap();
    appender.flush().unwrap();
    std::fs::remove_file(link).unwrap();
    engine.execute("DROP SOURCE c CASCADE").unwrap();
    assert_eq!(
        objects(&out).len(),
        1,
        "the sink went with what it reads, and is whole"
    );
}

/// The caller's thread is the shard, and does all the work.
#[test]
fn on_this_thread() {
    let folder = Folder::new("here");
    let engine = Engine::builder().on_this_thread().open().unwrap();
    engine.execute(CHANNEL).unwrap();
    engine.execute(&folder.numbers(5000)).unwrap();
    let (one, two) = (folder.path("one"), folder.path("two"));
    engine
        .execute(&format!("{} AS SELECT n FROM s", sink("one", &one, "csv")))
        .unwrap();
    engine
        .execute(&format!("{} AS SELECT k FROM c", sink("two", &two, "json")))
        .unwrap();
    let mut appender = engine.appender("c").unwrap();
    for n in 0..100i64 {
        appender.append_row(&params![n, n]).unwrap();
    }
    appender.flush().unwrap();
    engine.execute("DROP SINK two").unwrap();
    assert_eq!(objects(&two).len(), 100);
    let report = engine.shutdown(Drain::Input, Duration::from_secs(60));
    assert_eq!(report, Default::default());
    assert_eq!(std::fs::read_to_string(one).unwrap().lines().count(), 5001);
}
