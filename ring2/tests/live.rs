//! Reads of views while they change: each is batch SQL over a prefix of the input, whatever the
//! shards and the frames, and whether rows are scanned or looked up by their keys.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use datafusion::prelude::SessionContext;
use trefoil::engine::{Idle, Subscription, rows};
use trefoil::scan::create_partitioned_streaming_context;
use trefoil::{Engine, params};
use trefoil_ring0::appender::Value;

const KEYS: [&str; 7] = ["A", "B", "C", "D", "E", "F", "G"];
const ROWS: i64 = 3_000;
const GROUPS: &str = "SELECT k, COUNT(*) AS n, SUM(v) AS total, MAX(v) AS top FROM t GROUP BY k";

fn row(number: i64) -> [Value<'static>; 2] {
    let v = (number % 11 != 3).then_some(number * 31 % 97);
    params![KEYS[(number * number % 7) as usize], v]
}

fn engine(shards: usize, frame_rows: usize, view: &str) -> (Engine, Subscription) {
    let engine = Engine::builder().shards(shards).idle(Idle::Park);
    let engine = engine
        .frame_rows(frame_rows)
        .ring_messages(4)
        .open()
        .unwrap();
    let sql = format!(
        "CREATE SOURCE t (k VARCHAR, v BIGINT) WITH (connector = 'channel');
         CREATE MATERIALIZED VIEW v AS {view}"
    );
    engine.execute(&sql).unwrap();
    let changes = engine.subscribe("v").unwrap();
    (engine, changes)
}

/// Appends all rows on a thread of its own while `look` is called, and once after all is there.
fn while_it_changes(engine: &Engine, changes: Subscription, look: impl Fn()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut appender = engine.appender("t").unwrap();
        let done = &done;
        scope.spawn(move || {
            for number in 0..ROWS {
                appender.append_row(&row(number)).unwrap();
                if number % 5 == 0 {
                    appender.flush().unwrap();
                }
            }
            appender.flush().unwrap();
        });
        scope.spawn(move || {
            let mut counts = HashMap::new();
            for batch in changes {
                for row in rows(&batch.unwrap()) {
                    let op: String = row.get("op").unwrap();
                    if op.starts_with('+') {
                        let n: i64 = row.get("n").unwrap();
                        counts.insert(row.get::<String>("k").unwrap(), n);
                    }
                }
                if counts.values().sum::<i64>() == ROWS {
                    break;
                }
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            look();
        }
        look();
    });
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

/// A query of DataFusion's over the first rows.
fn in_batch(sql: &str, count: i64) -> Vec<RecordBatch> {
    let value = |value: &Value<'_>| match value {
        Value::Str(text) => format!("'{text}'"),
        Value::I64(number) => number.to_string(),
        _ => "CAST(NULL AS BIGINT)".to_owned(),
    };
    let values = (0..count).map(|number| {
        let [k, v] = row(number);
        format!("({number}, {}, {})", value(&k), value(&v))
    });
    let values = values.collect::<Vec<_>>().join(", ");
    let sql = format!("WITH t AS (SELECT * FROM (VALUES {values}) AS r (number, k, v)) {sql}");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let context = SessionContext::new();
    let rows = async { context.sql(&sql).await.unwrap().collect().await.unwrap() };
    runtime.unwrap().block_on(rows)
}

/// All rows that a group ever is, by its key and its count.
fn every_prefix() -> HashMap<(String, i64), (Option<i64>, Option<i64>)> {
    let over = "OVER (PARTITION BY k ORDER BY number ROWS UNBOUNDED PRECEDING)";
    let sql = format!(
        "SELECT k, COUNT(*) {over} AS n, SUM(v) {over} AS total, MAX(v) {over} AS top FROM t"
    );
    let all = in_batch(&sql, ROWS);
    let all = all.iter().flat_map(rows);
    all.map(|r| {
        let key = (r.get("k").unwrap(), r.get("n").unwrap());
        (key, (r.get("total").unwrap(), r.get("top").unwrap()))
    })
    .collect()
}

#[test]
fn a_read_is_batch_over_a_prefix() {
    for (shards, frame_rows) in [(1, 1), (1, 1024), (2, 7), (4, 1), (4, 1024), (8, 7)] {
        let (engine, changes) = engine(shards, frame_rows, GROUPS);
        while_it_changes(&engine, changes, || {
            let found = engine.query("SELECT k, n, total, top FROM v", &[]).unwrap();
            let counts = found
                .iter()
                .flat_map(rows)
                .map(|r| r.get::<i64>("n").unwrap());
            let count = counts.sum();
            if count > 0 {
                assert_eq!(
                    texts(&found),
                    texts(&in_batch(GROUPS, count)),
                    "{count} rows, {shards} shards"
                );
            }
        });
    }
}

/// The rows of one appender are read in their order, those of two sources each in its own.
#[test]
fn a_read_of_two_sources_is_of_a_prefix_of_each() {
    let engine = Engine::builder().shards(4).idle(Idle::Park).frame_rows(7);
    let engine = engine.ring_messages(4).open().unwrap();
    engine
        .execute(
            "CREATE SOURCE a (n BIGINT, k BIGINT) WITH (connector = 'channel');
             CREATE SOURCE b (n BIGINT, k BIGINT) WITH (connector = 'channel');
             CREATE MATERIALIZED VIEW v AS SELECT s, k, COUNT(*) AS c, MAX(n) AS top, SUM(n) AS t
             FROM (SELECT 'a' AS s, n, k FROM a UNION ALL SELECT 'b' AS s, n, k FROM b) u
             GROUP BY s, k",
        )
        .unwrap();
    let left = std::sync::atomic::AtomicUsize::new(2);
    std::thread::scope(|scope| {
        for source in ["a", "b"] {
            let (mut appender, left) = (engine.appender(source).unwrap(), &left);
            scope.spawn(move || {
                for number in 0..20_000i64 {
                    appender
                        .append_row(&params![number, number * 7 % 31])
                        .unwrap();
                }
                appender.flush().unwrap();
                left.fetch_sub(1, Ordering::AcqRel);
            });
        }
        let mut before = HashMap::new();
        while left.load(Ordering::Acquire) > 0 {
            let sql = "SELECT s, SUM(c) AS c, MAX(top) AS top, SUM(t) AS t FROM v GROUP BY s";
            for row in engine.query(sql, &[]).unwrap().iter().flat_map(rows) {
                let source: String = row.get("s").unwrap();
                let count: i64 = row.get("c").unwrap();
                assert_eq!(row.get::<i64>("top").unwrap(), count - 1);
                assert_eq!(row.get::<i64>("t").unwrap(), count * (count - 1) / 2);
                assert!(before.insert(source, count).unwrap_or(0) <= count);
            }
        }
    });
}

/// Who reads does not wait for a subscriber that takes nothing, and is told once too much waits.
#[test]
fn a_subscriber_that_takes_nothing_holds_no_read_back_silently() {
    let engine = Engine::builder().shards(2).idle(Idle::Park).frame_rows(1);
    let engine = engine.ring_messages(2).open().unwrap();
    engine
        .execute(
            "CREATE SOURCE t (k BIGINT) WITH (connector = 'channel');
             CREATE MATERIALIZED VIEW v AS SELECT k, COUNT(*) AS n FROM t GROUP BY k",
        )
        .unwrap();
    let subscription = engine.subscribe("v").unwrap();
    let mut appender = engine.appender("t").unwrap();
    let mut refused = 0;
    for number in 0..200_000i64 {
        // Held back as soon as all rings are full.
        _ = appender.try_push(&params![number % 3]);
        if number % 64 == 0 {
            match engine.query("SELECT SUM(n) AS n FROM v", &[]) {
                Ok(found) => assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 1),
                Err(error) => {
                    assert_eq!(error.code(), "E0612", "{error}");
                    refused += 1;
                    break;
                }
            }
        }
    }
    assert_eq!(refused, 1, "what waits for a subscriber is bounded");
    engine.execute("SET trefoil.read = 'latest'").unwrap();
    assert!(engine.query("SELECT k, n FROM v", &[]).is_ok());
    engine.execute("SET trefoil.read = 'snapshot'").unwrap();
    drop(subscription);
    assert!(engine.query("SELECT k, n FROM v", &[]).is_ok());
}

/// Views that read a view take their time, and then take what is there: who reads that view waits
/// for them, and is refused only where they wait for somebody who takes nothing.
#[test]
fn a_view_that_is_read_by_slower_ones_is_read() {
    let engine = Engine::builder().shards(2).idle(Idle::Park).frame_rows(1);
    let engine = engine.ring_messages(2).open().unwrap();
    engine
        .execute(
            "CREATE SOURCE t (k BIGINT) WITH (connector = 'channel');
             CREATE MATERIALIZED VIEW v AS SELECT k % 50 AS k, COUNT(*) AS n FROM t GROUP BY 1;
             CREATE MATERIALIZED VIEW w AS SELECT n, COUNT(*) AS c, MEDIAN(k) AS m FROM v \
             GROUP BY n",
        )
        .unwrap();
    let mut appender = engine.appender("t").unwrap();
    let mut read = |engine: &Engine, rounds: std::ops::Range<i64>| {
        for number in rounds {
            // Held back as soon as all rings are full.
            _ = appender.try_push(&params![number]);
            if number % 64 == 0 {
                engine.query("SELECT SUM(n) AS n FROM v", &[])?;
            }
        }
        Ok::<_, trefoil::Error>(())
    };
    read(&engine, 0..20_000).unwrap();
    let subscription = engine.subscribe("w").unwrap();
    let error = read(&engine, 20_000..400_000).unwrap_err();
    assert_eq!(
        error.code(),
        "E0612",
        "what waits for a subscriber is bounded"
    );
    drop(subscription);
    read(&engine, 0..1_000).unwrap();
}

#[test]
fn each_group_that_is_read_is_batch_over_a_prefix_of_it() {
    let known = every_prefix();
    for (shards, frame_rows) in [(1, 7), (2, 1), (2, 1024), (4, 7), (8, 7)] {
        let (engine, changes) = engine(shards, frame_rows, GROUPS);
        let before = std::cell::RefCell::new(HashMap::<String, i64>::new());
        while_it_changes(&engine, changes, || {
            let scan = "SELECT k, n, total, top FROM v WHERE n % 2 < 5";
            let probe = "SELECT k, n, total, top FROM v WHERE k IN ('A', 'C', 'E', 'X') OR k = 'B'";
            for sql in [scan, probe] {
                let found = engine.query(sql, &[]).unwrap();
                for row in found.iter().flat_map(rows) {
                    let (k, n): (String, i64) = (row.get("k").unwrap(), row.get("n").unwrap());
                    let values = (row.get("total").unwrap(), row.get("top").unwrap());
                    assert_eq!(known.get(&(k.clone(), n)), Some(&values), "{k} {n}");
                    let before = before.borrow_mut().insert(k, n);
                    assert!(
                        before.unwrap_or(0) <= n,
                        "no read is older than the one before"
                    );
                }
            }
        });
        let found = engine.query("SELECT k, n, total, top FROM v", &[]).unwrap();
        assert_eq!(
            texts(&found),
            texts(&in_batch(GROUPS, ROWS)),
            "{shards} {frame_rows}"
        );
    }
}

#[test]
fn all_scans_of_a_query_see_one_moment() {
    let (engine, changes) = engine(2, 7, GROUPS);
    while_it_changes(&engine, changes, || {
        let sql = "SELECT a.k FROM v AS a FULL JOIN v AS b ON a.k = b.k WHERE a.n <> b.n
                   OR a.k IS NULL OR b.k IS NULL
                   UNION ALL SELECT a.k FROM v AS a, v AS b
                   WHERE a.k = 'B' AND b.k IN ('A', 'B') AND b.k = a.k AND a.n <> b.n
                   UNION ALL SELECT k FROM v GROUP BY k HAVING COUNT(*) <> 1";
        assert_eq!(texts(&engine.query(sql, &[]).unwrap()), [""; 0]);
    });
}

/// A view of all values of the pairs of two keys.
fn pairs() -> Engine {
    let engine = Engine::builder().shards(3).idle(Idle::Park).open().unwrap();
    engine
        .execute(
            "CREATE SOURCE t (a BIGINT, b VARCHAR, d DOUBLE, s TIMESTAMP(3))
                 WITH (connector = 'channel');
             CREATE MATERIALIZED VIEW p AS SELECT a, COUNT(*) AS n, b FROM t GROUP BY b, a;
             CREATE MATERIALIZED VIEW d AS SELECT d, COUNT(*) AS n FROM t GROUP BY d;
             CREATE MATERIALIZED VIEW s AS SELECT s, COUNT(*) AS n FROM t GROUP BY s;
             CREATE MATERIALIZED VIEW r AS SELECT a, b FROM t",
        )
        .unwrap();
    let mut changes = engine.subscribe("r").unwrap();
    let others = ["p", "d", "s"].map(|view| engine.subscribe(view).unwrap());
    let mut appender = engine.appender("t").unwrap();
    for number in 0..200i64 {
        let a = (number % 13 != 5).then_some(number % 13);
        let b = (number % 7 != 2).then_some(KEYS[(number % 7) as usize]);
        let d = [0.0, -0.0, f64::NAN, 1.5][(number % 4) as usize];
        appender.append_row(&params![a, b, d, number % 9]).unwrap();
    }
    drop(appender);
    let mut there = 0;
    while there < 200 {
        there += changes.next().unwrap().unwrap().num_rows();
    }
    // A row of input is a row of each of these in the end, and its insertion counts.
    for changes in others {
        let mut there = 0;
        for batch in changes {
            let batch = batch.unwrap();
            let ops = rows(&batch).map(|r| r.get::<String>("op").unwrap());
            there += ops.into_iter().filter(|op| op.starts_with('+')).count();
            if there == 200 {
                break;
            }
        }
    }
    engine
}

#[test]
fn what_keys_find_is_what_a_scan_finds() {
    let engine = pairs();
    let cases = [
        ("p", "a = 3 AND b = 'A'"),
        ("p", "b = 'A' AND 3 = a AND n > 1"),
        ("p", "a IN (1, 2, 3, 99, 3) AND b IN ('A', 'B', 'Z')"),
        ("p", "(a = 1 OR a = 4) AND b = 'D'"),
        ("p", "a = 1 OR b = 'D'"),
        ("p", "a = 3"),
        ("p", "a = 3 AND a = 4 AND b = 'A'"),
        ("p", "a IS NULL AND b = 'A'"),
        ("p", "a = NULL AND b = 'A'"),
        ("p", "a NOT IN (1, 2) AND b = 'A'"),
        ("p", "a = 3.0 AND b = 'A'"),
        ("p", "a IN (2, NULL) AND b = 'A'"),
        ("p", "a = (SELECT MIN(a) FROM p) AND b = 'A'"),
        ("d", "d = 0.0"),
        ("d", "d = -0.0"),
        ("d", "d = 'NaN'"),
        ("s", "s = TIMESTAMP '1970-01-01 00:00:00.003'"),
        (
            "s",
            "s IN ('1970-01-01 00:00:00.003', '1970-01-01 00:00:00.005')",
        ),
        ("r", "a = 3 AND b = 'A'"),
    ];
    let mut found = 0;
    for (view, filter) in cases {
        let looked_up = engine.query(&format!("SELECT * FROM {view} WHERE {filter}"), &[]);
        // A scan that joins the view with itself looks at all rows.
        let scanned = format!(
            "SELECT {view}.* FROM {view}, (SELECT COUNT(*) AS c FROM {view}) WHERE {filter}"
        );
        let scanned = engine.query(&scanned, &[]).unwrap();
        let looked_up = looked_up.unwrap();
        assert_eq!(texts(&looked_up), texts(&scanned), "{view}: {filter}");
        found += texts(&looked_up).len();
    }
    assert!(found > 20, "{found}");
    let counted = "SELECT n, m, l FROM (SELECT COUNT(*) AS n FROM r)
                   CROSS JOIN (SELECT SUM(n) AS m FROM p)
                   CROSS JOIN (SELECT COUNT(*) AS l FROM (SELECT a FROM r LIMIT 17))";
    assert_eq!(
        texts(&engine.query(counted, &[]).unwrap()),
        ["| 200 | 200 | 17 |"]
    );
}

/// The scan of a plan.
fn scan_of(plan: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    match plan.children()[..] {
        [] => Arc::clone(plan),
        [child, ..] => scan_of(child),
    }
}

#[test]
fn a_view_is_a_table_whose_partitions_are_the_shards() {
    let engine = pairs();
    let context = create_partitioned_streaming_context(3);
    context
        .register_table("p", engine.table("p").unwrap())
        .unwrap();
    assert_eq!(engine.table("q").unwrap_err().code(), "E0603");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let frame = context.sql("SELECT a, b FROM p WHERE n > 1").await.unwrap();
        let plan = frame.clone().create_physical_plan().await.unwrap();
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        assert!(
            !shown.contains("Repartition") && !shown.contains("Filter"),
            "{shown}"
        );
        let scan = scan_of(&plan);
        assert_eq!(
            scan.properties().partitioning.partition_count(),
            3,
            "{shown}"
        );
        let parts = frame.collect_partitioned().await.unwrap();
        let parts: Vec<Vec<String>> = parts.iter().map(|p| texts(p)).collect();
        assert!(parts.iter().all(|part| !part.is_empty()), "{parts:?}");
        let all: Vec<RecordBatch> = engine.query("SELECT a, b FROM p WHERE n > 1", &[]).unwrap();
        let mut found = parts.concat();
        found.sort_unstable();
        assert_eq!(found, texts(&all));
    });
}

#[test]
fn what_the_engine_knows_is_a_table() {
    let engine = pairs();
    let spare = engine.appender("t").unwrap();
    let ask = |sql: &str| texts(&engine.query(sql, &[]).unwrap());
    // Three groups, as the zeros are one; each row but the first of a group takes one back.
    let jobs = "SELECT name, state, rows_out, error FROM trefoil.jobs WHERE name IN ('r', 'd')";
    assert_eq!(
        ask(jobs),
        ["| d | running | 397 | |", "| r | running | 200 | |"]
    );
    assert_eq!(
        ask("SELECT query FROM trefoil.jobs WHERE name = 'r'").len(),
        1
    );
    let native = "SELECT job, native, exchange FROM trefoil.operators WHERE operator LIKE 'agg%'
                  AND job = 'p'";
    assert!(!ask(native).is_empty());
    assert_eq!(
        ask("SELECT COUNT(*), COUNT(DISTINCT job) FROM trefoil.watermarks"),
        ["| 12 | 4 |"]
    );
    assert_eq!(
        ask("SELECT shard FROM trefoil.shards"),
        ["| 0 |", "| 1 |", "| 2 |"]
    );
    assert_eq!(
        ask("SELECT source, rows_appended FROM trefoil.ledger"),
        ["| t | 200 |"]
    );
    assert_eq!(
        ask("SELECT source, split, rows_appended FROM trefoil.splits"),
        ["| t | 0 | 0 |"]
    );
    let setting = "SELECT value FROM \"trefoil\".settings WHERE name = 'state_ttl'";
    assert_eq!(ask(setting), ["| none |"]);
    engine.execute("SET trefoil.state_ttl = '1 hour'").unwrap();
    assert_eq!(ask(setting), ["| 1 hour |"]);
    // Statements ask the same, and views may be joined with them.
    let joined = "SELECT j.name, MAX(p.n) > 1 AS m FROM trefoil.jobs AS j, p
                  WHERE j.name = 'p' GROUP BY j.name";
    assert_eq!(texts(&engine.execute(joined).unwrap()), ["| p | true |"]);
    let shown = texts(&engine.execute("SHOW JOBS").unwrap());
    assert_eq!(shown.len(), 4);
    assert_eq!(
        engine
            .query("SELECT * FROM trefoil.nothing", &[])
            .unwrap_err()
            .code(),
        "E0202"
    );
    drop(spare);
}
