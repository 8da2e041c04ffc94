//! SUBSCRIBE and cursors in SQL: the changes that a subscription of the host is given, those rows
//! of them that are wanted, and nothing held back for who takes too little.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use trefoil::datafusion::arrow::array::RecordBatch;
use trefoil::engine::{Idle, Outcome, Received, Results, rows};
use trefoil::{Engine, SourceFile, params};

fn engine(shards: usize) -> Engine {
    let engine = Engine::builder().shards(shards).idle(Idle::Park);
    let engine = engine.frame_rows(16).ring_messages(4).open().unwrap();
    engine
        .execute(
            "CREATE SOURCE c (k BIGINT, v BIGINT) WITH (connector = 'channel');
             CREATE MATERIALIZED VIEW v AS SELECT k, SUM(v) AS total FROM c GROUP BY k;
             CREATE MATERIALIZED VIEW w AS SELECT v FROM c",
        )
        .unwrap();
    engine
}

fn code(engine: &Engine, sql: &str) -> &'static str {
    engine.execute(sql).unwrap_err().code()
}

/// Changes, applied: how often each row stands.
#[derive(Debug, Default, PartialEq)]
struct Standing(BTreeMap<(i64, i64), i64>);

impl Standing {
    fn apply(&mut self, batch: &RecordBatch) {
        for row in rows(batch) {
            let weight = match &*row.get::<String>("op").unwrap() {
                "+I" | "+U" => 1,
                _ => -1,
            };
            let of = (
                row.get::<i64>("k").unwrap(),
                row.get::<i64>("total").unwrap(),
            );
            *self.0.entry(of).or_default() += weight;
            self.0.retain(|_, weight| *weight != 0);
        }
    }
}

fn subscribe(engine: &Engine, sql: &str) -> Results {
    let file = SourceFile {
        name: "s".to_owned(),
        text: sql.to_owned(),
        base: PathBuf::from("."),
    };
    match engine.statement(&file, 0).unwrap() {
        Some(Outcome::Results(results)) => *results,
        other => panic!("{other:?}"),
    }
}

fn append(engine: &Engine, numbers: std::ops::Range<i64>) {
    let mut appender = engine.appender("c").unwrap();
    for n in numbers {
        appender.append_row(&params![n % 10, n % 17 - 8]).unwrap();
    }
    appender.flush().unwrap();
    drop(appender);
    engine.flush().unwrap();
}

/// The rows of a condition follow from the changes of SUBSCRIBE with it, whatever the shards.
#[test]
fn changes_of_wanted_rows() {
    for shards in [1, 2, 4] {
        let engine = engine(shards);
        let all = "v";
        let wheres = [
            "total > 5",
            "total % 2 = 0 AND k < 5",
            "v.total + 1 <= 0 OR v.k = 3",
        ];
        let mut open = vec![subscribe(&engine, &format!("SUBSCRIBE {all}"))];
        open.extend(wheres.map(|w| subscribe(&engine, &format!("SUBSCRIBE {all} WHERE {w}"))));
        for (number, condition) in wheres.iter().enumerate() {
            let sql = format!("DECLARE c{number} CURSOR FOR SUBSCRIBE v WHERE {condition}");
            engine.execute(&sql).unwrap();
        }
        append(&engine, 0..997);
        let conditions = std::iter::once("1 = 1").chain(wheres);
        for (changes, condition) in open.iter_mut().zip(conditions) {
            assert!(changes.is_endless());
            let mut standing = Standing::default();
            while let Received::Batch(batch) = changes.next_timeout(Duration::ZERO).unwrap() {
                assert_eq!(batch.schema().field(0).name(), "op");
                standing.apply(&batch);
            }
            let sql = format!("SELECT k, total FROM v WHERE {condition}");
            let wanted = engine.query(&sql, &[]).unwrap();
            let wanted = wanted
                .iter()
                .flat_map(rows)
                .map(|row| ((row.get("k").unwrap(), row.get("total").unwrap()), 1));
            let wanted = Standing(wanted.collect());
            assert_eq!(standing, wanted, "{condition} on {shards} shards");
        }
        // A cursor gives the same, in pieces.
        for (number, condition) in wheres.iter().enumerate() {
            let mut standing = Standing::default();
            loop {
                let fetched = engine.execute(&format!("FETCH 7 FROM c{number}")).unwrap();
                assert!(fetched[0].num_rows() <= 7);
                if fetched[0].num_rows() == 0 {
                    break;
                }
                standing.apply(&fetched[0]);
            }
            let sql = format!("SELECT k, total FROM v WHERE {condition}");
            let wanted = engine.query(&sql, &[]).unwrap();
            assert_eq!(
                standing.0.len(),
                wanted.iter().map(RecordBatch::num_rows).sum::<usize>()
            );
            engine.execute(&format!("CLOSE c{number}")).unwrap();
        }
    }
}

/// Rows that only come have no `op`; they are there behind FLUSH, each once and in order.
#[test]
fn rows_that_only_come() {
    let engine = engine(1);
    engine
        .execute("DECLARE a CURSOR FOR SUBSCRIBE w WHERE v < 0; DECLARE b CURSOR FOR SUBSCRIBE w")
        .unwrap();
    append(&engine, 0..100);
    let fetch = |sql: &str| -> Vec<i64> {
        let fetched = engine.execute(sql).unwrap();
        fetched
            .iter()
            .flat_map(rows)
            .map(|row| row.get("v").unwrap())
            .collect()
    };
    let all: Vec<i64> = (0..100).map(|n| n % 17 - 8).collect();
    let below: Vec<i64> = all.iter().copied().filter(|v| *v < 0).collect();
    let mut fetched = fetch("FETCH 10 FROM a");
    assert_eq!(fetched, below[..10]);
    fetched.extend(fetch("FETCH 1000 FROM a"));
    assert_eq!(fetched, below);
    assert_eq!(fetch("FETCH NEXT FROM b"), all[..1]);
    assert_eq!(fetch("FETCH 1000 FROM b"), all[1..]);
    assert_eq!(fetch("FETCH 1000 FROM b"), [0; 0]);
}

#[test]
fn what_is_refused() {
    let engine = engine(1);
    engine.execute("DECLARE a CURSOR FOR SUBSCRIBE v").unwrap();
    for (sql, wanted) in [
        ("SUBSCRIBE v", "E0402"),
        ("DECLARE x CURSOR FOR SUBSCRIBE c", "E0211"),
        ("DECLARE x CURSOR FOR SUBSCRIBE nothing", "E0202"),
        ("DECLARE x CURSOR FOR SUBSCRIBE v WHERE none > 1", "E0201"),
        ("DECLARE a CURSOR FOR SUBSCRIBE w", "E0603"),
        ("FETCH 1 FROM b", "E0603"),
        ("CLOSE b", "E0603"),
        (
            "DECLARE x CURSOR FOR SUBSCRIBE v WHERE k IN (SELECT v FROM w)",
            "E0301",
        ),
    ] {
        assert_eq!(code(&engine, sql), wanted, "{sql}");
    }
    engine.execute("CLOSE a").unwrap();
    assert_eq!(code(&engine, "FETCH 1 FROM a"), "E0603");
}

/// Who takes nothing is told so, and no one else waits for it; what the view ends with comes first.
#[test]
fn who_falls_behind_and_what_ends() {
    let engine = engine(1);
    engine
        .execute(
            "DECLARE slow CURSOR FOR SUBSCRIBE w; DECLARE last CURSOR FOR SUBSCRIBE v;
             DECLARE bad CURSOR FOR SUBSCRIBE w WHERE 10 / v > 1",
        )
        .unwrap();
    append(&engine, 0..9);
    assert_eq!(code(&engine, "FETCH 100 FROM bad"), "E0607");
    for n in 0..1200 {
        append(&engine, n..n + 1);
    }
    let mut fetched = 0;
    let error = loop {
        match engine.execute("FETCH 500 FROM slow") {
            Ok(batches) => fetched += batches[0].num_rows(),
            Err(error) => break error.code(),
        }
        assert!(fetched < 1209, "some were not kept");
    };
    assert_eq!(error, "E0614");
    assert!(fetched >= 500, "{fetched}");
    engine
        .execute("CLOSE last; DECLARE last CURSOR FOR SUBSCRIBE v")
        .unwrap();
    append(&engine, 0..1);
    engine.execute("DROP MATERIALIZED VIEW v").unwrap();
    assert_eq!(
        engine.execute("FETCH 10 FROM last").unwrap()[0].num_rows(),
        2
    );
    assert_eq!(code(&engine, "FETCH 10 FROM last"), "E0601");
}
