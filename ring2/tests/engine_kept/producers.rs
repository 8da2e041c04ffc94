//! Channels under a state directory: producers with names send again what the checkpoints of views
//! do not hold, and each row is in every view once, whatever each of them held, and with any number
//! of shards.

use std::fs;
use std::path::Path;

use trefoil::Engine;
use trefoil::engine::{Appender, Idle, Value};

use crate::{Folder, NEVER, builder, copy, rows};

fn engine(state: &Path, shards: usize) -> Engine {
    // What is left out of what is sent again spans frames, or ends within one.
    let frame_rows = [1024, 7, 1][shards % 3];
    let builder = builder(state, shards);
    builder.frame_rows(frame_rows).open().unwrap()
}

pub(crate) const SOURCE: &str = "CREATE SOURCE c (n BIGINT, k BIGINT, v BIGINT, t TIMESTAMP(3), \
     WATERMARK FOR t AS t - INTERVAL '1' SECOND) WITH (connector = 'channel');";

/// Record number `row`, from 1 on, of the producer that sends those with this remainder of two, a
/// tenth of a second apart, in some disorder.
pub(crate) fn send(to: &mut Appender, odd: u64, rows: std::ops::RangeInclusive<u64>) {
    for row in rows {
        assert_eq!(to.rows() + 1, row);
        let n = 2 * row + odd;
        let ms = 100 * (n + 7 - n * 5 % 8) as i64 + 1_735_689_600_000;
        let (k, v) = (n * 7 % 13, n * n % 101);
        let row = [n as i64, k as i64, v as i64, ms].map(Value::I64);
        to.append_row(&row).unwrap();
    }
    to.flush().unwrap();
}

pub(crate) const QUERIES: [&str; 6] = [
    "SELECT k, COUNT(*) AS n, SUM(v) AS total, COUNT(DISTINCT v % 7) AS kinds FROM c GROUP BY k",
    "SELECT COUNT(*) AS n, MAX(v) AS most, MEDIAN(v) AS middle FROM c",
    "SELECT window_start, COUNT(*) AS n, SUM(v) AS total FROM \
     TABLE(TUMBLE(TABLE c, DESCRIPTOR(t), INTERVAL '3' SECOND)) \
     GROUP BY window_start, window_end EMIT ON WINDOW CLOSE",
    "SELECT window_start, k, COUNT(*) AS n, MIN(n) AS least FROM \
     TABLE(HOP(TABLE c, DESCRIPTOR(t), INTERVAL '2' SECOND, INTERVAL '6' SECOND)) \
     GROUP BY window_start, window_end, k",
    "SELECT n, v * 2 AS v FROM c WHERE k % 3 = 0",
    "SELECT k, COUNT(*) AS n FROM (SELECT k FROM c UNION ALL SELECT k FROM c WHERE v > 50) AS u \
     GROUP BY k",
];

pub(crate) fn make(engine: &Engine, query: &str, other: &str) {
    engine.execute(SOURCE).unwrap();
    for (view, query) in [("v", query), ("w", other)] {
        let ddl = format!("CREATE MATERIALIZED VIEW {view} AS {query}");
        engine.execute(&ddl).unwrap();
    }
}

/// Both producers of an engine without a directory, which nothing disturbs.
fn undisturbed(query: &str, other: &str, upto: u64) -> [Vec<String>; 2] {
    let engine = Engine::builder().idle(Idle::Park).open().unwrap();
    make(&engine, query, other);
    let (mut p, mut q) = producers(&engine);
    begin(&mut p, &mut q);
    send(&mut p, 0, 2..=upto);
    send(&mut q, 1, 2..=upto);
    engine.flush().unwrap();
    ["v", "w"].map(|view| rows(&engine, view))
}

fn producers(engine: &Engine) -> (Appender, Appender) {
    let p = engine.producer("c", "p").unwrap();
    (p, engine.producer("c", "q").unwrap())
}

/// The first row of each, so that none goes on before the watermark of the other is known.
fn begin(p: &mut Appender, q: &mut Appender) {
    send(p, 0, 1..=1);
    send(q, 1, 1..=1);
}

/// Views are cut off at different rows; more was sent by then, and is sent again.
#[test]
fn each_row_is_in_every_view_once() {
    for (number, query) in QUERIES.into_iter().enumerate() {
        let folder = Folder::new(&format!("producers-{number}"));
        let other = QUERIES[(number + 2) % QUERIES.len()];
        let (mut held, mut sent) = (0, 1);
        for (turn, shards) in [1, 2, 4, 1, 3].into_iter().enumerate() {
            let state = folder.path(&format!("s{turn}"));
            let engine = engine(&state, shards);
            make(&engine, query, other);
            let mut p = engine.producer("c", "p").unwrap();
            if turn == 0 {
                let mut q = engine.producer("c", "q").unwrap();
                begin(&mut p, &mut q);
                // It goes away without an end, so that it is waited for.
                std::mem::forget(q);
                engine.flush().unwrap();
            }
            // All of one before the other is back, which is not late for that.
            let first = sent + 60;
            assert_eq!(p.held(), held, "{query}, turn {turn}");
            let next = p.rows() + 1;
            send(&mut p, 0, next..=first);
            engine.flush().unwrap();
            let mut q = match turn {
                0 => {
                    assert_eq!(engine.producer("c", "q").unwrap_err().code(), "E0603");
                    engine.checkpoint().unwrap();
                    let again = folder.path("again");
                    copy(&state, &again);
                    drop(engine);
                    held = first;
                    sent = first;
                    fs::rename(&again, folder.path("s1")).unwrap();
                    continue;
                }
                _ => engine.producer("c", "q").unwrap(),
            };
            let next = q.rows() + 1;
            send(&mut q, 1, next..=first);
            engine.flush().unwrap();
            engine.checkpoint().unwrap();
            assert_eq!((p.durable(), q.durable()), (Some(first), Some(first)));
            let next = folder.path(&format!("s{}", turn + 1));
            copy(&state, &next);
            // Of one of the views a later checkpoint is left.
            send(&mut p, 0, first + 1..=first + 40);
            send(&mut q, 1, first + 1..=first + 40);
            engine.flush().unwrap();
            engine.checkpoint().unwrap();
            fs::remove_dir_all(next.join("view-w")).unwrap();
            copy(&state.join("view-w"), &next.join("view-w"));
            sent = first + 55;
            send(&mut p, 0, first + 41..=sent);
            send(&mut q, 1, first + 41..=sent);
            engine.flush().unwrap();
            held = first;
            let got = ["v", "w"].map(|view| rows(&engine, view));
            let want = undisturbed(query, other, sent);
            assert_eq!(got, want, "{query}, turn {turn}, {shards} shards");
            assert!(want.iter().all(|rows| rows.len() > 4), "{want:#?}");
            assert_eq!(engine.metrics().channels[0].1.rows_missed, 0);
        }
    }
}

/// The numbers of a producer, with and without a directory.
#[test]
fn rows_are_numbered() {
    let plain = Engine::builder().idle(Idle::Park).open().unwrap();
    plain.execute(SOURCE).unwrap();
    let mut p = plain.producer("c", "p").unwrap();
    assert_eq!((p.held(), p.rows(), p.durable()), (0, 0, None));
    send(&mut p, 0, 1..=5);
    assert_eq!((p.rows(), p.durable()), (5, None));
    let there = plain.producer("c", "p").unwrap_err();
    assert_eq!(there.code(), "E0603", "{there}");
    p.close();
    assert_eq!(plain.producer("c", "p").unwrap().held(), 5);
    let less = plain.producer_from("c", "p", 4).unwrap_err();
    assert_eq!(less.code(), "E0603", "{less}");
    assert_eq!(plain.producer("d", "p").unwrap_err().code(), "E0603");
    let mut nameless = plain.appender("c").unwrap();
    send(&mut nameless, 0, 1..=3);
    assert_eq!((nameless.rows(), nameless.durable()), (3, None));

    let folder = Folder::new("producers-numbers");
    let state = folder.path("state");
    let first = engine(&state, 2);
    make(&first, QUERIES[0], QUERIES[4]);
    let mut p = first.producer("c", "p").unwrap();
    assert_eq!(p.durable(), Some(0));
    send(&mut p, 0, 1..=20);
    first.flush().unwrap();
    first.checkpoint().unwrap();
    assert_eq!(p.durable(), Some(20));
    assert_eq!(first.metrics().views[0].rows_durable, 20);
    first.execute("DROP MATERIALIZED VIEW w").unwrap();
    drop((p, first));
    // Who cannot send again what is missing says so, and it is counted.
    let second = engine(&state, 1);
    second.execute(SOURCE).unwrap();
    let ddl = format!("CREATE MATERIALIZED VIEW v AS {}", QUERIES[0]);
    second.execute(&ddl).unwrap();
    assert_eq!(second.metrics().views[0].rows_durable, 20);
    let mut p = second.producer_from("c", "p", 25).unwrap();
    assert_eq!((p.held(), p.rows(), p.durable()), (25, 25, Some(20)));
    send(&mut p, 0, 26..=30);
    second.flush().unwrap();
    second.checkpoint().unwrap();
    assert_eq!(p.durable(), Some(30));
    let counts = second.metrics().channels[0].1;
    assert_eq!((counts.rows_appended, counts.rows_missed), (5, 5));
    assert_eq!(second.metrics().views[0].rows_durable, 25);
}

/// A view that is made beside a producer is given again what came since, although the others hold
/// more.
#[test]
fn a_view_that_came_later() {
    for closes in [false, true] {
        let folder = Folder::new(&format!("producers-later-{closes}"));
        let (state, left) = (folder.path("state"), folder.path("left"));
        let first = engine(&state, 2);
        first.execute(SOURCE).unwrap();
        let ddl = |view: &str| format!("CREATE MATERIALIZED VIEW {view} AS {}", QUERIES[4]);
        first.execute(&ddl("v")).unwrap();
        let mut p = first.producer("c", "p").unwrap();
        send(&mut p, 0, 1..=50);
        first.flush().unwrap();
        first.execute(&ddl("w")).unwrap();
        let before = p.durable();
        assert_eq!(before, Some(0), "v has a checkpoint of its beginning alone");
        copy(&state, &left);
        send(&mut p, 0, 51..=80);
        if closes {
            p.close();
            p = first.producer("c", "p").unwrap();
            assert_eq!(p.held(), 80);
        }
        first.flush().unwrap();
        first.checkpoint().unwrap();
        assert_eq!(p.durable(), Some(80));
        fs::remove_dir_all(left.join("view-v")).unwrap();
        copy(&state.join("view-v"), &left.join("view-v"));
        let want = ["v", "w"].map(|view| rows(&first, view));
        let second = engine(&left, 1);
        second.execute(SOURCE).unwrap();
        second.execute(&ddl("w")).unwrap();
        second.execute(&ddl("v")).unwrap();
        let mut p = second.producer("c", "p").unwrap();
        assert_eq!(p.held(), 50);
        send(&mut p, 0, 51..=80);
        second.flush().unwrap();
        assert_eq!(["v", "w"].map(|view| rows(&second, view)), want);
        assert!(want[0].len() > want[1].len() && want[1].len() > 6);
    }
}

/// Views over views are made again of the rows that these have: they are what they would have been.
#[test]
fn views_over_views_follow_what_was_kept() {
    let folder = Folder::new("producers-over");
    let over = [
        (
            "o",
            "SELECT total % 2 AS odd, COUNT(*) AS groups, SUM(n) AS n FROM v GROUP BY total % 2",
        ),
        (
            "oo",
            "SELECT o.odd, o.n, SUM(w.n) AS windows FROM o JOIN w ON o.odd = w.total % 2 \
             GROUP BY o.odd, o.n",
        ),
    ];
    let all = |engine: &Engine| {
        make(engine, QUERIES[0], QUERIES[2]);
        for (view, query) in over {
            let ddl = format!("CREATE MATERIALIZED VIEW {view} AS {query}");
            engine.execute(&ddl).unwrap();
        }
    };
    for shards in [1, 2] {
        let (state, left) = (folder.path("state"), folder.path("left"));
        let mut engines = [
            Engine::builder().idle(Idle::Park).open().unwrap(),
            engine(&state, shards),
        ];
        let rows_of = engines.each_mut().map(|engine| {
            all(engine);
            let mut p = engine.producer("c", "p").unwrap();
            send(&mut p, 0, 1..=150);
            engine.flush().unwrap();
            if let Some(0) = p.durable() {
                engine.checkpoint().unwrap();
                let views = engine.metrics().views;
                let taken = views.iter().map(|v| (v.name.as_str(), v.checkpoints > 0));
                let want = [("o", false), ("oo", false), ("v", true), ("w", true)];
                assert_eq!(taken.collect::<Vec<_>>(), want);
                copy(&state, &left);
            }
            send(&mut p, 0, 151..=400);
            engine.flush().unwrap();
            ["v", "w", "o", "oo"].map(|view| rows(engine, view))
        });
        assert_eq!(rows_of[0], rows_of[1]);
        assert!(rows_of[0].iter().all(|rows| rows.len() > 5), "{rows_of:#?}");
        let second = engine(&left, 3 - shards);
        all(&second);
        second.flush().unwrap();
        let before = rows(&second, "oo");
        let mut p = second.producer("c", "p").unwrap();
        assert_eq!(p.held(), 150);
        send(&mut p, 0, 151..=400);
        second.flush().unwrap();
        let again = ["v", "w", "o", "oo"].map(|view| rows(&second, view));
        assert_eq!(again, rows_of[0], "{shards} shards before");
        assert!(before.len() > 4 && before != again[3]);
        second.execute("DROP MATERIALIZED VIEW v CASCADE").unwrap();
        drop(engines);
        drop((p, second));
        fs::remove_dir_all(&state).unwrap();
        fs::remove_dir_all(&left).unwrap();
    }
}

/// Without a name rows are lost with a crash; how many there were is known.
#[test]
fn what_is_lost_can_be_told() {
    let folder = Folder::new("producers-lost");
    let state = folder.path("state");
    let left = folder.path("left");
    let first = engine(&state, 2);
    make(&first, QUERIES[0], QUERIES[2]);
    let mut rows_of = first.appender("c").unwrap();
    send(&mut rows_of, 0, 1..=70);
    first.flush().unwrap();
    first.checkpoint().unwrap();
    copy(&state, &left);
    send(&mut rows_of, 0, 71..=90);
    first.flush().unwrap();
    let second = engine(&left, 3);
    make(&second, QUERIES[0], QUERIES[2]);
    let durable = second.metrics().views.iter().map(|v| v.rows_durable).min();
    assert_eq!(durable, Some(70));
    let mut again = second.producer_from("c", "all", 70).unwrap();
    send(&mut again, 0, 71..=90);
    second.flush().unwrap();
    for view in ["v", "w"] {
        assert_eq!(rows(&first, view), rows(&second, view));
    }
}

/// The thread of the caller is the shard.
#[test]
fn on_the_thread_of_the_caller() {
    let folder = Folder::new("producers-here");
    let state = folder.path("state");
    for life in 0..2 {
        let builder = Engine::builder().on_this_thread().state_dir(&state);
        let engine = builder.checkpoint_every(NEVER).open().unwrap();
        make(&engine, QUERIES[0], QUERIES[4]);
        let mut p = engine.producer("c", "p").unwrap();
        assert_eq!(p.held(), life * 30);
        send(&mut p, 0, life * 30 + 1..=life * 30 + 30);
        engine.flush().unwrap();
        engine.checkpoint().unwrap();
        assert_eq!(p.durable(), Some(life * 30 + 30));
    }
}
