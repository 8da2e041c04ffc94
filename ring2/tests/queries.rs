//! Queries run apart from each other and from what they look at: none of them takes what another
//! one needs, and what is wrong with one is said of that one.

#![expect(clippy::unwrap_used, reason = "a test may")]

use datafusion::arrow::array::RecordBatch;
use trefoil::engine::{FromValue, Idle, rows};
use trefoil::{Engine, params};

const ROWS: i64 = 2_000;

/// An engine with a view of so many rows.
fn engine(query_bytes: usize) -> Engine {
    let engine = Engine::builder().shards(2).idle(Idle::Park);
    let engine = engine.query_bytes(query_bytes).open().unwrap();
    let sql = "CREATE SOURCE t (k BIGINT, name VARCHAR) WITH (connector = 'channel');
               CREATE MATERIALIZED VIEW v AS SELECT k, name FROM t";
    engine.execute(sql).unwrap();
    let mut changes = engine.subscribe("v").unwrap();
    let mut appender = engine.appender("t").unwrap();
    for k in 0..ROWS {
        appender
            .append_row(&params![k, format!("name {k}").as_str()])
            .unwrap();
    }
    appender.flush().unwrap();
    let mut there = 0;
    while there < ROWS as usize {
        there += changes.next().unwrap().unwrap().num_rows();
    }
    engine
}

fn one<T: FromValue>(batches: &[RecordBatch], column: &str) -> T {
    let row = batches.iter().flat_map(rows).next().unwrap();
    row.get(column).unwrap()
}

#[test]
fn a_query_that_wants_too_much_memory_is_told_and_no_other_notices() {
    let engine = engine(4 << 20);
    let greedy = [
        // Its results, its sort, and the table of its groups.
        "SELECT a.k, b.name FROM v AS a CROSS JOIN v AS b",
        "SELECT a.k FROM v AS a CROSS JOIN v AS b ORDER BY a.name, b.name LIMIT 1000000",
        "SELECT a.k, b.k, COUNT(*) AS n FROM v AS a CROSS JOIN v AS b GROUP BY a.k, b.k",
    ];
    let modest = "SELECT COUNT(*) AS n, SUM(k) AS s FROM v";
    std::thread::scope(|scope| {
        for sql in greedy {
            let engine = &engine;
            scope.spawn(move || {
                let error = engine.query(sql, &[]).unwrap_err();
                assert_eq!(error.code(), "E0605", "{error}");
                let told = "the query needs more memory than the 4194304 bytes";
                assert!(error.to_string().starts_with(told), "{error}");
            });
        }
        for _ in 0..20 {
            scope.spawn(|| {
                let found = engine.query(modest, &[]).unwrap();
                assert_eq!(one::<i64>(&found, "n"), ROWS);
                assert_eq!(one::<i64>(&found, "s"), ROWS * (ROWS - 1) / 2);
            });
        }
    });
}

#[test]
fn many_at_once_take_turns() {
    let engine = engine(64 << 20);
    std::thread::scope(|scope| {
        for k in 0..100 {
            let engine = &engine;
            scope.spawn(move || {
                let sql = "SELECT name FROM v WHERE k = $1";
                let found = engine.query(sql, &params![k]).unwrap();
                assert_eq!(one::<String>(&found, "name"), format!("name {k}"));
            });
        }
    });
}

#[test]
fn a_query_is_one_select_of_this_sql() {
    let engine = engine(64 << 20);
    let told = |sql: &str| engine.query(sql, &[]).unwrap_err();
    let cases = [
        ("SELECT k FORM v", "E0101"),
        ("SELECT k FROM v; SELECT k FROM v", "E0303"),
        ("", "E0303"),
        ("DROP MATERIALIZED VIEW v", "E0303"),
        ("SELECT k FROM v EMIT CHANGES", "E0303"),
        ("SELECT nothing FROM v", "E0201"),
    ];
    for (sql, code) in cases {
        let error = told(sql);
        assert_eq!(error.code(), code, "{sql}: {error}");
    }
    let at = told("SELECT k FROM v\n WHERE k ==== 3").to_string();
    assert!(at.contains("<sql>:2:"), "{at}");
    // Words are small unless they are quoted, `==` is no operator, and `~` is one.
    let found = engine.query("SELECT V.K AS Kk FROM v WHERE name ~ '^name 19$'", &[]);
    assert_eq!(one::<i64>(&found.unwrap(), "kk"), 19);
}
