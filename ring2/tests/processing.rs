//! Windows on processing time: the clock that shards read is the tests' own, so that it says which
//! window each row is in, and when they close.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::cell::Cell;
use std::path::PathBuf;

use trefoil::engine::{Appender, Builder, Subscription, rows};
use trefoil::{Engine, SourceFile, convert, params, plan_script};
use trefoil_ring0::runtime::{Config, start};

const SECOND: i64 = 1_000_000_000;

thread_local! {
    /// Nanoseconds since the epoch, on the thread that is the shard.
    static NOW: Cell<i64> = const { Cell::new(0) };
}

struct Bench {
    engine: Engine,
    closed: Subscription,
    appender: Appender,
}

impl Bench {
    fn new(query: &str) -> Self {
        NOW.set(0);
        let config = Config {
            now: || NOW.get(),
            ..Config::default()
        };
        let engine = Builder::from(config).on_this_thread().open().unwrap();
        let sql = format!(
            "CREATE SOURCE r (k VARCHAR, v BIGINT) WITH (connector = 'channel');
             CREATE MATERIALIZED VIEW v AS {query}"
        );
        engine.execute(&sql).unwrap();
        let closed = engine.subscribe("v").unwrap();
        let appender = engine.appender("r").unwrap();
        Self {
            engine,
            closed,
            appender,
        }
    }

    /// Rows that come at this second, and what is given then, behind all that was before: key,
    /// start, end and number.
    fn at(&mut self, second: i64, come: &[&str], wanted: &[Row]) {
        NOW.set(second * SECOND);
        for key in come {
            self.appender.append_row(&params![*key, 1]).unwrap();
        }
        self.appender.flush().unwrap();
        while self.engine.step() {}
        let mut told = Vec::new();
        // A thread hands them on.
        while told.len() < wanted.len() {
            let batch = self.closed.next().unwrap().unwrap();
            told.extend(rows(&batch).map(|row| {
                let number = |name: &str| row.get::<i64>(name).unwrap();
                let key: String = row.get("k").unwrap();
                (key, number("a"), number("b"), number("n"))
            }));
        }
        told.sort();
        assert_eq!(told, wanted, "at {second}");
    }
}

type Row = (String, i64, i64, i64);

fn row(key: &str, start: i64, end: i64, n: i64) -> Row {
    (key.to_owned(), start, end, n)
}

const BOUNDS: &str = "CAST(EXTRACT(EPOCH FROM window_start) AS BIGINT) AS a, \
                      CAST(EXTRACT(EPOCH FROM window_end) AS BIGINT) AS b, COUNT(*) AS n";

/// What comes within ten seconds is one window, which closes when they are over, also where
/// nothing comes. The clock may go back; a row does not.
#[test]
fn tumbling_windows_close_by_the_clock() {
    for time in ["PROCTIME()", "_TIMESTAMP"] {
        let mut bench = Bench::new(&format!(
            "SELECT k, {BOUNDS} FROM r GROUP BY k, TUMBLE({time}, INTERVAL '10' SECOND) \
             EMIT ON WINDOW CLOSE"
        ));
        bench.at(100, &["a", "b", "a"], &[]);
        bench.at(109, &["a"], &[]);
        // It goes back, and so do no rows.
        bench.at(105, &["b"], &[]);
        let first = [row("a", 100, 110, 3), row("b", 100, 110, 2)];
        bench.at(110, &[], &first);
        bench.at(111, &["b"], &[]);
        bench.at(104, &["b"], &[]);
        bench.at(131, &["a"], &[row("b", 110, 120, 2)]);
        bench.at(200, &[], &[row("a", 130, 140, 1)]);
    }
}

/// A row is in each window that is open; a session ends with a pause of its key.
#[test]
fn windows_of_other_kinds() {
    let mut hop = Bench::new(&format!(
        "SELECT k, {BOUNDS} FROM r \
         GROUP BY k, HOP(PROCTIME(), INTERVAL '5' SECOND, INTERVAL '10' SECOND) \
         EMIT ON WINDOW CLOSE"
    ));
    hop.at(103, &["a"], &[]);
    hop.at(106, &["a"], &[row("a", 95, 105, 1)]);
    hop.at(110, &[], &[row("a", 100, 110, 2)]);
    hop.at(120, &[], &[row("a", 105, 115, 1)]);
    let mut session = Bench::new(&format!(
        "SELECT k, {BOUNDS} FROM r GROUP BY k, SESSION(PROCTIME(), INTERVAL '5' SECOND) \
         EMIT ON WINDOW CLOSE"
    ));
    session.at(100, &["a"], &[]);
    session.at(104, &["a", "b"], &[]);
    session.at(108, &["b"], &[]);
    session.at(110, &[], &[row("a", 100, 109, 2)]);
    session.at(113, &[], &[row("b", 104, 113, 2)]);
}

/// Without a word on when results appear a view follows each row; its windows are forgotten when
/// the clock has passed them.
#[test]
fn a_view_holds_what_is_open_and_what_was() {
    let mut bench = Bench::new(&format!(
        "SELECT k, {BOUNDS} FROM r GROUP BY k, TUMBLE(PROCTIME(), INTERVAL '10' SECOND)"
    ));
    bench.at(100, &["a"], &[row("a", 100, 110, 1)]);
    let update = [row("a", 100, 110, 1), row("a", 100, 110, 2)];
    bench.at(101, &["a"], &update);
    bench.at(112, &["a"], &[row("a", 110, 120, 1)]);
}

/// Over input that ends, on any number of shards, all rows are read at one time.
#[test]
fn every_shard_has_the_one_clock() {
    let path = std::env::temp_dir().join(format!("trefoil-clock-{}.ndjson", std::process::id()));
    let line = |n: i64| format!("{{\"k\":\"{}\",\"v\":{n}}}\n", ["a", "b", "c"][n as usize % 3]);
    std::fs::write(&path, (0..300).map(line).collect::<String>()).unwrap();
    for (window, bounds) in [
        ("TUMBLE(PROCTIME(), INTERVAL '10' SECOND)", &[(120, 130)][..]),
        (
            "HOP(PROCTIME(), INTERVAL '5' SECOND, INTERVAL '10' SECOND)",
            &[(115, 125), (120, 130)],
        ),
        ("SESSION(PROCTIME(), INTERVAL '5' SECOND)", &[(123, 128)]),
    ] {
        let file = SourceFile {
            name: "q.sql".to_owned(),
            text: format!(
                "CREATE SOURCE r (k VARCHAR, v BIGINT)
                 WITH (connector = 'file', path = '{}', format = 'json');
                 SELECT k, {BOUNDS} FROM r GROUP BY k, {window};",
                path.display()
            ),
            base: PathBuf::new(),
        };
        let planned = plan_script(&[file]).unwrap();
        let wanted = |key: &'static str| bounds.iter().map(move |(a, b)| row(key, *a, *b, 100));
        let wanted: Vec<Row> = ["a", "b", "c"].into_iter().flat_map(wanted).collect();
        for (shards, frame_rows) in [(1, 1), (1, 1024), (2, 7), (4, 1), (4, 1024)] {
            let config = Config {
                shards,
                frame_rows,
                chunk_bytes: 100,
                now: || 123 * SECOND,
                ..Config::default()
            };
            let program = &planned[0].program;
            let mut running = start(program, &config).unwrap();
            let mut got = Vec::new();
            while let Some(block) = running.next_block().unwrap() {
                let schema = &program.outputs[0].schema;
                let batch = convert::record_batch(schema, block.rows()).unwrap();
                got.extend(rows(&batch).map(|row| {
                    let number = |name: &str| row.get::<i64>(name).unwrap();
                    let key: String = row.get("k").unwrap();
                    (key, number("a"), number("b"), number("n"))
                }));
                running.give_back(block);
            }
            running.finish().unwrap();
            got.sort();
            assert_eq!(got, wanted, "{window}, {shards} shards, {frame_rows}");
        }
    }
    std::fs::remove_file(path).unwrap();
}
