//! EXPLAIN of the acceptance pack and of one query for every strategy and router, as snapshots.

#![allow(clippy::unwrap_used, clippy::result_large_err)] // These are tests.

use std::path::{Path, PathBuf};

use trefoil::{Error, Explanation, SourceFile, SqlError, explain_script};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../harness/tests/fr082")
}

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile {
        name: name.into(),
        text: text.into(),
        base: folder(),
    }
}

fn explain(text: &str) -> Result<Explanation, SqlError> {
    let schema = std::fs::read_to_string(folder().join("schema.sql")).unwrap();
    let files = [file("schema.sql", &schema), file("q.sql", text)];
    match explain_script(&files) {
        Ok(mut all) => all.pop().expect("one query"),
        Err(Error::Sql(error)) => Err(*error),
        Err(error) => panic!("{error}"),
    }
}

fn shown(text: &str) -> String {
    let got = explain(text);
    got.map_or_else(|e| e.to_string(), |e| format!("{text}\n\n{}", e.text()))
}

#[test]
fn queries_of_the_analysis() {
    let mut paths: Vec<_> = std::fs::read_dir(folder().join("queries"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "sql"))
        .collect();
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        insta::assert_snapshot!(format!("fr082_{name}"), shown(&text));
    }
}

/// A script's last query, or its refusal.
fn shown_script(script: &str) -> String {
    let schema = std::fs::read_to_string(folder().join("schema.sql")).unwrap();
    match explain_script(&[file("schema.sql", &schema), file("q.sql", script)]) {
        Ok(mut all) => match all.pop().expect("one query") {
            Ok(query) => format!("{script}\n\n{}", query.text()),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    }
}

const ALIGNED: &str = "SELECT symbol, n, MAX(v) FROM \
    (SELECT symbol, COUNT(*) AS n, SUM(volume) AS v FROM trades GROUP BY symbol) AS q \
    GROUP BY symbol, n";

#[test]
fn one_query_for_every_strategy_and_router() {
    for (name, text) in [
        ("strategy_passthrough", "SELECT id FROM test_stream"),
        (
            "strategy_fully_partitionable",
            "SELECT symbol, COUNT(*) AS n FROM trades GROUP BY symbol",
        ),
        (
            "strategy_two_phase",
            "SELECT COUNT(*) AS n, AVG(price) AS p FROM trades",
        ),
        (
            "strategy_broadcast",
            "SELECT o.order_id, c.customer_tier FROM orders o \
             LEFT JOIN customers c ON o.customer_id = c.customer_id",
        ),
        (
            "strategy_repartition",
            "SELECT n, COUNT(*) AS symbols FROM \
             (SELECT symbol, COUNT(*) AS n FROM trades GROUP BY symbol) AS q GROUP BY n",
        ),
        (
            "router_always_hash",
            "SET auto_select_strategy = false;\nSELECT symbol, price FROM trades",
        ),
        ("router_smart", ALIGNED),
        (
            "router_round_robin",
            "CREATE SOURCE s (k BIGINT, v BIGINT) WITH (connector = 'file', path = 's.ndjson', \
             format = 'json', partitioning = 'round_robin');\nSELECT SUM(v) AS v FROM s",
        ),
        (
            "router_sticky",
            "SELECT TUMBLE(event_time, INTERVAL '1' MINUTE) AS w, COUNT(*) AS n FROM trades \
             GROUP BY TUMBLE(event_time, INTERVAL '1' MINUTE)",
        ),
        (
            "router_fan_in",
            "SELECT trade_id, price FROM trades ORDER BY price DESC LIMIT 10",
        ),
        (
            "broadcast_too_large",
            "SET broadcast_max_bytes = 1000;\n\
             SELECT o.order_id, c.customer_tier FROM orders o \
             JOIN customers c ON o.customer_id = c.customer_id",
        ),
        (
            "union_and_unnest",
            "SELECT tag, COUNT(*) AS n FROM (\
             SELECT symbol AS tag FROM trades UNION ALL SELECT symbol FROM quotes) AS u GROUP \
             BY tag",
        ),
        (
            "over_without_partition",
            "SELECT id, ROW_NUMBER() OVER (ORDER BY value) AS r FROM test_stream",
        ),
        (
            "override_that_would_change_the_answer",
            "CREATE SOURCE s (k BIGINT, v BIGINT) WITH (connector = 'file', path = 's.ndjson', \
             format = 'json', partitioning = 'round_robin');\n\
             SELECT k, SUM(v) AS v FROM s GROUP BY k",
        ),
    ] {
        insta::assert_snapshot!(name, shown_script(text));
    }
}

#[test]
fn joins_say_what_they_keep() {
    for (name, text) in [
        (
            "join_of_windows",
            "CREATE SOURCE a (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' \
             SECOND) WITH (connector = 'file', path = 'a', format = 'json', follow = true);\n\
             CREATE SOURCE b (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts) \
             WITH (connector = 'file', path = 'b', format = 'json', follow = true);\n\
             SELECT x.k, x.window_start FROM TUMBLE(a, ts, INTERVAL '1' MINUTE) AS x \
             LEFT JOIN TUMBLE(b, ts, INTERVAL '1' MINUTE) AS y ON x.k = y.k \
             AND x.window_start = y.window_start AND x.window_end = y.window_end",
        ),
        (
            "join_that_grows",
            "CREATE SOURCE a (k BIGINT, n BIGINT) \
             WITH (connector = 'file', path = 'a', format = 'json', follow = true);\n\
             CREATE SOURCE b (k BIGINT) \
             WITH (connector = 'file', path = 'b', format = 'json', follow = true);\n\
             SELECT a.n, b.k FROM a LEFT JOIN b ON a.k = b.k EMIT CHANGES",
        ),
        (
            "asof_join",
            "CREATE SOURCE a (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' \
             SECOND) WITH (connector = 'file', path = 'a', format = 'json', follow = true);\n\
             CREATE SOURCE b (k BIGINT, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts) \
             WITH (connector = 'file', path = 'b', format = 'json', follow = true);\n\
             SELECT a.ts, b.n FROM a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts) ON a.k = b.k",
        ),
        (
            "asof_join_of_what_ends",
            "CREATE SOURCE a (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts) \
             WITH (connector = 'file', path = 'a', format = 'json', follow = true);\n\
             CREATE SOURCE b (k BIGINT, n BIGINT, ts TIMESTAMP(3)) \
             WITH (connector = 'file', path = 'b', format = 'json');\n\
             SELECT a.ts, b.n FROM a ASOF JOIN b MATCH_CONDITION (a.ts < b.ts) ON a.k = b.k",
        ),
        (
            "not_in",
            "SELECT customer_id FROM orders WHERE customer_id NOT IN \
             (SELECT customer_id FROM customers WHERE customer_tier <> 'gold')",
        ),
        (
            "join_of_changes",
            "SELECT q.n, c.customer_tier FROM \
             (SELECT customer_id, COUNT(*) AS n FROM orders GROUP BY customer_id) AS q \
             JOIN customers c ON q.customer_id = c.customer_id EMIT CHANGES",
        ),
    ] {
        insta::assert_snapshot!(name, shown_script(text));
    }
}

/// A setting bounds what would grow, by times that rows have; and windows do without it.
#[test]
fn joins_say_what_they_forget() {
    let source = |name: &str| {
        format!(
            "CREATE SOURCE {name} (k BIGINT, n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - \
             INTERVAL '5' SECOND) \
             WITH (connector = 'file', path = '{name}', format = 'json', follow = true);\n"
        )
    };
    let groups = |name: &str| {
        format!(
            "(SELECT k, window_start, COUNT(*) AS n FROM {name} \
             GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE))"
        )
    };
    for (name, text) in [
        (
            "join_with_state_ttl",
            "SET state_ttl = '1 hour';\nSELECT a.n, b.k FROM a LEFT JOIN b ON a.k = b.k \
             AND a.n < b.n"
                .to_owned(),
        ),
        (
            "join_of_changing_windows",
            format!(
                "SELECT x.k, y.n FROM {} AS x FULL JOIN {} AS y \
                 ON x.k = y.k AND x.window_start = y.window_start EMIT CHANGES",
                groups("a"),
                groups("b")
            ),
        ),
        (
            "join_of_changing_windows_with_state_ttl",
            format!(
                "SET state_ttl = '90 minutes';\nSELECT x.k, y.n FROM {} AS x JOIN {} AS y \
                 ON x.k = y.k EMIT CHANGES",
                groups("a"),
                groups("b")
            ),
        ),
        (
            "join_with_state_ttl_without_time",
            "SET state_ttl = '1 hour';\nSELECT x.n, b.n FROM (SELECT k, COUNT(*) AS n FROM a \
             GROUP BY k) AS x JOIN b ON x.k = b.k EMIT CHANGES"
                .to_owned(),
        ),
    ] {
        let text = format!("{}{}{text}", source("a"), source("b"));
        insta::assert_snapshot!(name, shown_script(&text));
    }
}

#[test]
fn drawings() {
    let query = explain(ALIGNED).unwrap();
    insta::assert_snapshot!("mermaid", query.mermaid("q1"));
    insta::assert_snapshot!("dot", query.dot("q1"));
}
