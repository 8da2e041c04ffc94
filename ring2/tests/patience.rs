//! Splits that are idle, and splits that are ahead: the appenders of a channel, each of which is a
//! split with a watermark of its own.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::cell::Cell;
use std::time::Duration;

use trefoil::engine::{Appender, Builder, Drain, Idle, rows};
use trefoil::{Engine, params};
use trefoil_ring0::runtime::Config;

const HOUR_MS: i64 = 3_600_000;

const CLOSED: &str = "SELECT k, window_start, COUNT(*) AS n FROM r
    GROUP BY k, TUMBLE(ts, INTERVAL '1' HOUR) EMIT ON WINDOW CLOSE";

fn declare(engine: &Engine, options: &str) {
    declare_view(engine, options, CLOSED);
}

fn declare_view(engine: &Engine, options: &str, view: &str) {
    let sql = format!(
        "CREATE SOURCE r (k VARCHAR, ts TIMESTAMP(3) NOT NULL, WATERMARK FOR ts)
            WITH (connector = 'channel'{options});
         CREATE MATERIALIZED VIEW v AS {view}"
    );
    engine.execute(&sql).unwrap();
}

fn append(appender: &mut Appender, key: &str, hour: i64) {
    appender.append_row(&params![key, hour * HOUR_MS]).unwrap();
    appender.flush().unwrap();
}

/// Without a word from its other appender a window closes all the same; what that one says later
/// is late where its window is gone, and counts where it is not.
#[test]
fn nobody_waits_for_an_idle_split() {
    for shards in [1, 2, 4] {
        let engine = Engine::builder()
            .shards(shards)
            .idle(Idle::Park)
            .open()
            .unwrap();
        declare(&engine, ", idle_timeout = '20 milliseconds'");
        let mut closed = engine.subscribe("v").unwrap();
        let [mut quiet, mut busy] = [(); 2].map(|()| engine.appender("r").unwrap());
        append(&mut quiet, "quiet", 0);
        append(&mut busy, "busy", 0);
        append(&mut busy, "busy", 2);
        let mut of_hour = |wanted: usize| {
            let mut told = Vec::new();
            while told.len() < wanted {
                let batch = closed.next().unwrap().unwrap();
                told.extend(rows(&batch).map(|row| {
                    let (key, n): (String, i64) = (row.get("k").unwrap(), row.get("n").unwrap());
                    (key, n)
                }));
            }
            told.sort();
            told
        };
        let both = [("busy", 1), ("quiet", 1)].map(|(k, n)| (k.to_owned(), n));
        assert_eq!(of_hour(2), both, "{shards} shards");
        // The first window is gone, the second is not: no one has passed its end.
        append(&mut quiet, "quiet", 0);
        append(&mut quiet, "quiet", 2);
        append(&mut busy, "busy", 9);
        let both = [("busy", 1), ("quiet", 1)].map(|(k, n)| (k.to_owned(), n));
        assert_eq!(of_hour(2), both, "{shards} shards");
        engine.shutdown(Drain::Input, Duration::from_secs(60));
    }
}

/// Who is too far ahead is not read until the others have come nearer; the slowest never waits, and
/// at the end all that is there is taken.
#[test]
fn who_is_ahead_waits() {
    who_is_ahead_waits_in(CLOSED);
}

/// So it is where nothing but that asks for the time.
#[test]
fn who_is_ahead_waits_without_windows() {
    for view in [
        "SELECT k, COUNT(*) AS n FROM r GROUP BY k",
        "SELECT k FROM r",
    ] {
        who_is_ahead_waits_in(view);
    }
}

fn who_is_ahead_waits_in(view: &str) {
    let engine = Engine::builder().on_this_thread().open().unwrap();
    declare_view(&engine, ", max_drift = '90 minutes'", view);
    let [mut slow, mut fast] = [(); 2].map(|()| engine.appender("r").unwrap());
    let read = || {
        while engine.step() {}
        engine.metrics().views[0].rows_read
    };
    // Metrics are as of the last question.
    let read = || {
        read();
        read()
    };
    append(&mut slow, "slow", 0);
    append(&mut fast, "fast", 1);
    assert_eq!(read(), 2);
    append(&mut fast, "fast", 2);
    assert_eq!(read(), 3, "an hour ahead it is still read");
    append(&mut fast, "fast", 3);
    append(&mut fast, "fast", 4);
    assert_eq!(read(), 3, "two hours ahead it waits");
    append(&mut slow, "slow", 1);
    assert_eq!(read(), 5, "one record goes on, and is two hours ahead");
    append(&mut slow, "slow", 2);
    assert_eq!(read(), 7);
    append(&mut fast, "fast", 5);
    assert_eq!(read(), 7);
    drop(slow);
    assert_eq!(read(), 8, "nobody is behind any more");
    let [mut slow, mut other] = [(); 2].map(|()| engine.appender("r").unwrap());
    append(&mut slow, "slow", 5);
    append(&mut other, "other", 9);
    assert_eq!(read(), 10);
    append(&mut other, "other", 10);
    assert_eq!(read(), 10);
    let report = engine.shutdown(Drain::Input, Duration::from_secs(60));
    assert_eq!(
        (report.rows_unread, report.rows_staged),
        (0, 0),
        "{report:?}"
    );
}

thread_local! {
    /// Nanoseconds since the epoch, on the thread that is the shard.
    static NOW: Cell<i64> = const { Cell::new(0) };
}

const CLOSED_UNION: &str = "SELECT k, COUNT(*) AS n
    FROM (SELECT k, ts FROM a UNION ALL SELECT k, ts FROM b) AS u
    GROUP BY k, TUMBLE(ts, INTERVAL '1' HOUR) EMIT ON WINDOW CLOSE";

/// Two sources that meet in a union, with a clock that the test sets, on its own thread.
fn two(options: [&str; 2]) -> Engine {
    two_in(options, CLOSED_UNION)
}

fn two_in(options: [&str; 2], view: &str) -> Engine {
    let config = Config {
        now: || NOW.get(),
        ..Config::default()
    };
    let engine = Builder::from(config).on_this_thread().open().unwrap();
    for (name, options) in ["a", "b"].into_iter().zip(options) {
        let sql = format!(
            "CREATE SOURCE {name} (k VARCHAR, ts TIMESTAMP(3) NOT NULL, WATERMARK FOR ts)
                WITH (connector = 'channel'{options})"
        );
        engine.execute(&sql).unwrap();
    }
    let sql = format!("CREATE MATERIALIZED VIEW v AS {view}");
    engine.execute(&sql).unwrap();
    engine
}

/// A source whose splits are all idle does not hold back what it meets; what it says later is late
/// where the windows of both are gone.
#[test]
fn nobody_waits_for_an_idle_source() {
    let engine = two(["", ", idle_timeout = '10 seconds'"]);
    let mut closed = engine.subscribe("v").unwrap();
    // What is given once so many seconds more have passed, behind all that was before.
    let mut told = |seconds: i64, wanted: &[(&str, i64)]| {
        NOW.set(NOW.get() + seconds * 1_000_000_000);
        while engine.step() {}
        let mut told = Vec::new();
        while told.len() < wanted.len() {
            let batch = closed.next().unwrap().unwrap();
            told.extend(rows(&batch).map(|row| {
                let (key, n): (String, i64) = (row.get("k").unwrap(), row.get("n").unwrap());
                (key, n)
            }));
        }
        told.sort();
        let told: Vec<_> = told.iter().map(|(k, n)| (k.as_str(), *n)).collect();
        assert_eq!(told, wanted);
    };
    let [mut a, mut b] = ["a", "b"].map(|name| engine.appender(name).unwrap());
    append(&mut a, "a", 0);
    append(&mut b, "b", 0);
    append(&mut a, "a", 2);
    // It is at the first hour.
    told(0, &[]);
    told(9, &[]);
    told(1, &[("a", 1), ("b", 1)]);
    append(&mut b, "late", 1);
    append(&mut b, "b", 2);
    append(&mut a, "a", 9);
    // It is awake, at the third hour.
    told(0, &[]);
    told(10, &[("a", 1), ("b", 1)]);
    append(&mut b, "b", 12);
    // The other one is never idle.
    told(0, &[]);
    append(&mut a, "a", 13);
    told(0, &[("a", 1)]);
}

/// A source that is too far ahead of another one waits, at a barrier, too, and is read at the end.
#[test]
fn a_source_that_is_ahead_waits() {
    a_source_that_is_ahead_waits_in(CLOSED_UNION);
}

/// So it is where no window asks for the time, and where the sources meet in a join.
#[test]
fn a_source_that_is_ahead_waits_without_windows() {
    for view in [
        "SELECT k FROM a UNION ALL SELECT k FROM b",
        "SELECT k, COUNT(*) AS n FROM (SELECT k FROM a UNION ALL SELECT k FROM b) AS u GROUP BY k",
        "SELECT a.k FROM a JOIN b ON a.k = b.k",
    ] {
        a_source_that_is_ahead_waits_in(view);
    }
}

/// It is read as far as a FLUSH is about, and no further.
#[test]
fn a_flush_takes_what_was_there() {
    let engine = two_in(
        [", max_drift = '90 minutes'", ""],
        "SELECT k FROM a UNION ALL SELECT k FROM b",
    );
    let [mut fast, mut slow] = ["a", "b"].map(|name| engine.appender(name).unwrap());
    append(&mut slow, "slow", 0);
    append(&mut fast, "fast", 1);
    (2..6).for_each(|hour| append(&mut fast, "fast", hour));
    engine.execute("FLUSH").unwrap();
    let read = || {
        while engine.step() {}
        engine.metrics();
        while engine.step() {}
        engine.metrics().views[0].rows_read
    };
    assert_eq!(read(), 6);
    append(&mut fast, "fast", 7);
    assert_eq!(read(), 6);
}

fn a_source_that_is_ahead_waits_in(view: &str) {
    let engine = two_in([", max_drift = '90 minutes'", ""], view);
    let read = || {
        while engine.step() {}
        engine.metrics();
        while engine.step() {}
        engine.metrics().views[0].rows_read
    };
    let [mut fast, mut slow] = ["a", "b"].map(|name| engine.appender(name).unwrap());
    append(&mut slow, "slow", 0);
    append(&mut fast, "fast", 1);
    assert_eq!(read(), 2);
    append(&mut fast, "fast", 2);
    assert_eq!(read(), 3, "an hour ahead it is still read");
    append(&mut fast, "fast", 3);
    assert_eq!(read(), 3, "two hours ahead it waits");
    append(&mut slow, "slow", 1);
    assert_eq!(read(), 5);
    append(&mut fast, "fast", 9);
    assert_eq!(read(), 5);
    append(&mut slow, "slow", 7);
    assert_eq!(read(), 7, "the one behind may go as far as it likes");
    append(&mut slow, "slow", 20);
    append(&mut fast, "fast", 10);
    assert_eq!(read(), 9);
    append(&mut fast, "fast", 30);
    append(&mut fast, "fast", 31);
    assert_eq!(read(), 10);
    let report = engine.shutdown(Drain::Input, Duration::from_secs(60));
    assert_eq!((report.rows_unread, report.rows_staged), (0, 0));
}

#[test]
fn lengths_are_above_nothing() {
    let engine = Engine::builder().open().unwrap();
    for (options, said) in [
        ("idle_timeout = '0 seconds'", "above 0"),
        ("max_drift = 'long'", "no interval"),
    ] {
        let sql = format!(
            "CREATE SOURCE r (ts TIMESTAMP(3), WATERMARK FOR ts)
             WITH (connector = 'channel', {options})"
        );
        let error = engine.execute(&sql).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let sql = "CREATE SOURCE r (ts TIMESTAMP(3)) WITH (connector = 'channel',
        event_time_field = 'ts', idle_timeout = '5 seconds')";
    let error = engine.execute(sql).unwrap_err().to_string();
    assert!(error.contains("needs a watermark"), "{error}");
    let sql = "CREATE SOURCE p (ts TIMESTAMP(3), WATERMARK FOR ts)
            WITH (connector = 'channel', max_drift = '1 hour');
         CREATE MATERIALIZED VIEW w AS SELECT COUNT(*) AS n FROM p
            GROUP BY TUMBLE(PROCTIME(), INTERVAL '1' SECOND)";
    let error = engine.execute(sql).unwrap_err().to_string();
    assert!(
        error.contains("max_drift") && error.contains("hint"),
        "{error}"
    );
}

/// A view that tells of its changes from time to time holds what is so at the last of them, and
/// tells of it while nobody appends.
#[test]
fn a_view_tells_from_time_to_time() {
    for shards in [1, 4] {
        let engine = Engine::builder()
            .shards(shards)
            .idle(Idle::Park)
            .open()
            .unwrap();
        engine
            .execute(
                "CREATE SOURCE r (k VARCHAR, ts TIMESTAMP(3)) WITH (connector = 'channel');
                 CREATE MATERIALIZED VIEW v AS SELECT k, COUNT(*) AS n FROM r GROUP BY k
                    EMIT EVERY INTERVAL '0.02' SECOND",
            )
            .unwrap();
        let mut changes = engine.subscribe("v").unwrap();
        let mut appender = engine.appender("r").unwrap();
        for wanted in 1..4i64 {
            for key in ["a", "b"] {
                append(&mut appender, key, wanted);
            }
            let mut told = [0; 2];
            while told != [wanted; 2] {
                let batch = changes.next().unwrap().unwrap();
                for row in rows(&batch) {
                    let (op, key, n): (String, String, i64) = (
                        row.get("op").unwrap(),
                        row.get("k").unwrap(),
                        row.get("n").unwrap(),
                    );
                    if op.starts_with('+') {
                        told[usize::from(key == "b")] = n;
                    }
                }
            }
        }
        let stands = engine.execute("SELECT SUM(n) AS n FROM v").unwrap();
        let sum: i64 = stands
            .iter()
            .flat_map(rows)
            .next()
            .unwrap()
            .get("n")
            .unwrap();
        assert_eq!(sum, 6, "{shards} shards");
    }
}

/// Who is furthest behind is named, until it is gone.
#[test]
fn who_holds_the_watermark_back_is_named() {
    let engine = Engine::builder().on_this_thread().open().unwrap();
    declare(&engine, "");
    let [mut quiet, mut busy] = [(); 2].map(|()| engine.appender("r").unwrap());
    let held_by = || {
        while engine.step() {}
        // The question is answered in the next turn.
        engine.metrics();
        while engine.step() {}
        let held_by = engine.metrics().views[0].held_by.clone();
        let asked = "SELECT held_by_source, held_by_split FROM trefoil.watermarks";
        let told = engine.query(asked, &[]).unwrap();
        let told = rows(&told[0]).map(|row| {
            let source: Option<String> = row.get("held_by_source").unwrap();
            let split: Option<i64> = row.get("held_by_split").unwrap();
            source.zip(split.map(|split| u32::try_from(split).unwrap()))
        });
        assert_eq!(told.collect::<Vec<_>>(), std::slice::from_ref(&held_by));
        held_by
    };
    let split = |number| Some(("r".to_owned(), number));
    assert_eq!(held_by(), None);
    append(&mut busy, "busy", 5);
    assert_eq!(held_by(), split(1));
    append(&mut quiet, "quiet", 3);
    assert_eq!(held_by(), split(0));
    append(&mut quiet, "quiet", 7);
    assert_eq!(held_by(), split(1));
    drop(busy);
    assert_eq!(held_by(), split(0));
}
