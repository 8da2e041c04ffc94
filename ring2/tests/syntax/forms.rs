//! Forms of statements that are rarer than those of the generator of expressions: one choice out of
//! the alternatives for each, so that all combinations come up. What is only refused later is among
//! them: it is read and printed all the same.

use proptest::prelude::*;
use proptest::sample::select;

/// Spellings of each clause of a query.
const WITH: &[&str] = &[
    "",
    "WITH x AS (SELECT 1 FROM t) ",
    "WITH x (a, b) AS (SELECT k, v FROM t), y AS (SELECT * FROM x) ",
];
const DISTINCT: &[&str] = &["", "DISTINCT ", "ALL "];
const ITEMS: &[&str] = &[
    "a",
    "t.*, a AS b",
    "window_start, window.end, TUMBLE(ts, INTERVAL '1' HOUR)",
    "TUMBLE_START(ts, INTERVAL '5' MINUTE), HOP_END(ts, INTERVAL '1' HOUR, INTERVAL '2' HOUR)",
    "RANK() OVER w, SUM(a) OVER (w ROWS UNBOUNDED PRECEDING)",
    "SUM(a) OVER (ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW)",
    "SUM(a) OVER (PARTITION BY k ORDER BY b GROUPS BETWEEN 1 PRECEDING AND 2 FOLLOWING)",
    "LAG(a, 1) IGNORE NULLS OVER (ORDER BY b), FIRST_VALUE(a) RESPECT NULLS OVER ()",
    "ARRAY_AGG(DISTINCT a ORDER BY a DESC NULLS LAST), STRING_AGG(a, ',' ORDER BY b)",
    "PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY a) FILTER (WHERE b > 1), COUNT(DISTINCT a)",
    "GROUPING(a), APPROX_DISTINCT(a)",
    "detail.venue, detail['lot'], tags[1], tags[1:2], (t).a.b",
    "raw -> 'a' ->> 0, a ~ 'x', a !~* 'y', a ILIKE 'z%' ESCAPE '!'",
    "a::DECIMAL(10, 2), TRY_CAST(b AS VARCHAR[]), CAST(c AS STRUCT)",
    "INTERVAL '1 day 2 hours', INTERVAL '-5' MINUTE, TIMESTAMP '2025-01-01', DATE '2025-01-01'",
    "POSITION('a' IN b), OVERLAY(a PLACING 'x' FROM 1 FOR 2), CEIL(a), FLOOR(a TO DAY)",
    "CASE a WHEN 1 THEN 2 END, NOT a IS UNKNOWN, a IS NOT DISTINCT FROM b, -(-1), + 2",
    "a = ANY(tags), a > ALL (SELECT b FROM u), a IN (SELECT b FROM u), (SELECT MAX(b) FROM u)",
    "NOT EXISTS (SELECT 1 FROM u WHERE u.a = t.a), a NOT BETWEEN 1 AND 2, a NOT IN (1, 2)",
    "E'a\\nb', 'it''s', $1, X'ff', a AT TIME ZONE 'UTC', a COLLATE \"C\", a SIMILAR TO 'b'",
    "NOW(), CURRENT_DATE, CURRENT_TIMESTAMP, PROCTIME(), _TIMESTAMP, _PARTITION, _OFFSET",
    "ARRAY[1, 2], STRUCT(a, b), ROW(1, 2), MAP {'a': 1}",
];
const FROM: &[&str] = &[
    "t",
    "t AS u (a, b)",
    "t, u AS v",
    "HOP(t, ts, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE) AS h",
    "SLIDING(t, ts, INTERVAL '5' MINUTE, INTERVAL '1' MINUTE)",
    "TABLE(CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE))",
    "TABLE(SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
    "TABLE(HOP(data => TABLE t, timecol => DESCRIPTOR(ts), slide => INTERVAL '1' MINUTE, \
     size => INTERVAL '5' MINUTE)) AS h",
    "t CROSS JOIN UNNEST(tags) AS tag",
    "t CROSS JOIN UNNEST(t.tags) WITH ORDINALITY AS u (tag, n)",
    "t, UNNEST(ARRAY[a, b]) AS x",
    "t LEFT JOIN UNNEST(tags) AS tag ON TRUE",
    "t JOIN c FOR SYSTEM_TIME AS OF t.ts AS d ON t.k = d.k",
    "t LEFT JOIN c FOR SYSTEM_TIME AS OF PROCTIME() ON t.k = c.k",
    "t ASOF JOIN q MATCH_CONDITION (t.ts >= q.ts) ON t.k = q.k AND t.j = q.j",
    "t ASOF JOIN q MATCH_CONDITION (t.ts > q.ts) USING (k)",
    "t JOIN q ON t.k = q.k AND q.ts BETWEEN t.ts - INTERVAL '1' SECOND AND t.ts",
    "t LEFT SEMI JOIN q ON t.k = q.k",
    "t RIGHT ANTI JOIN q USING (k, a)",
    "t FULL OUTER JOIN (u JOIN v ON u.a = v.a) ON t.k = u.k",
    "t NATURAL LEFT JOIN u",
    "(SELECT * FROM t UNION ALL SELECT * FROM u) AS both",
    "(VALUES (1, 'a'), (2, NULL)) AS v (n, s)",
    "LATERAL (SELECT 1) AS l",
    "t TABLESAMPLE BERNOULLI (10)",
    "t PIVOT (SUM(a) FOR k IN ('x', 'y')) AS p",
    "t UNPIVOT (v FOR n IN (a, b)) AS u",
];
const WHERE: &[&str] = &[
    "",
    " WHERE a > 1 AND b IS NOT NULL OR NOT c",
    " WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k) AND (a, b) = (1, 2)",
    " WHERE ts > NOW() - INTERVAL '1' HOUR",
];
const GROUP: &[&str] = &[
    "",
    " GROUP BY k, SESSION(INTERVAL '5' MINUTE)",
    " GROUP BY 1, TUMBLE(ts, INTERVAL '5' MINUTE, INTERVAL '1' MINUTE)",
    " GROUP BY GROUPING SETS ((a, b), (a), ()), c",
    " GROUP BY CUBE (a, (b, c)), ROLLUP (d)",
    " GROUP BY ALL",
    " GROUP BY k HAVING COUNT(*) > (SELECT AVG(a) FROM u)",
];
const WINDOW: &[&str] = &[
    "",
    " WINDOW w AS (PARTITION BY k ORDER BY a), v AS (w)",
    " QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY a DESC) <= 3",
    " WINDOW w AS (ORDER BY a) QUALIFY RANK() OVER w = 1",
    " QUALIFY RANK() OVER w = 1 WINDOW w AS (ORDER BY a)",
];
const SET: &[&str] = &[
    "",
    " UNION SELECT 1 FROM u",
    " UNION ALL (SELECT 1 FROM u EXCEPT SELECT 2 FROM v)",
    " EXCEPT ALL SELECT 1 FROM u INTERSECT SELECT 2 FROM v",
    " INTERSECT DISTINCT VALUES (1), (2)",
    " MINUS SELECT 1 FROM u",
    " UNION ALL BY NAME SELECT 1 FROM u",
];
const ORDER: &[&str] = &[
    "",
    " ORDER BY a",
    " ORDER BY 1 DESC NULLS FIRST, b ASC NULLS LAST LIMIT 5",
    " LIMIT 10 OFFSET 3",
    " OFFSET 3",
    " FETCH FIRST 5 ROWS ONLY",
];
const EMIT: &[&str] = &[
    "",
    " EMIT CHANGES",
    " EMIT ON WINDOW CLOSE",
    " EMIT FINAL",
    " EMIT EVERY INTERVAL '500' MILLISECOND",
    " EMIT EVERY INTERVAL '1 minute'",
];
/// DISTINCT ON belongs with its ORDER BY.
const FIRST: &[&str] = &[
    "SELECT DISTINCT ON (k) k, a FROM t ORDER BY k, a DESC",
    "SELECT DISTINCT ON (1, b) k, b FROM t ORDER BY b, 1, a LIMIT 3",
    "SELECT * FROM (SELECT DISTINCT ON (k) k, COUNT(*) AS n FROM t GROUP BY k, j ORDER BY k, n) u",
    "WITH f AS (SELECT DISTINCT ON (k) * FROM t ORDER BY k) SELECT * FROM f",
];

/// Statements besides queries.
const OTHERS: &[&str] = &[
    "CREATE FUNCTION f (a BIGINT, b DOUBLE PRECISION) RETURNS BIGINT LANGUAGE sql AS 'a + 1'",
    "CREATE OR REPLACE FUNCTION \"F\" () RETURNS VARCHAR[] AS $$it's$$ LANGUAGE python",
    "CREATE FUNCTION f (STRUCT<a INT, b STRUCT<c TEXT>>[])",
    "CREATE AGGREGATE g (TIMESTAMP(3), x TEXT) RETURNS STRUCT<a INT> LANGUAGE rust",
    "DROP FUNCTION IF EXISTS f, g",
    "DROP AGGREGATE f",
    "DROP MATERIALIZED VIEW a CASCADE",
    "CREATE SINK IF NOT EXISTS s (a BIGINT, b VARCHAR) WITH (connector = 'print')",
    "CREATE SINK s FROM v WITH (connector = 'file', path = 'o''x', format = 'json')",
    "CREATE SINK s WITH (connector = 'stdout') AS SELECT DISTINCT ON (k) * FROM t ORDER BY k, a",
    "CREATE TABLE t (v1 INT, v2 INT) APPEND ONLY",
    "CREATE TABLE t (a BIGINT PRIMARY KEY, d DATE GENERATED ALWAYS AS (CAST(ts AS DATE)) STORED)",
    "CREATE TABLE x (a BIGINT) WITH (connector = 'file', type = 'sink')",
    "CREATE STREAM s (ts TIMESTAMP(3), WATERMARK FOR ts) WITH (a.b = 1, 'c.d' = -1.5, e = false)",
    "CREATE SOURCE s (a STRUCT<b STRUCT<c INT[]>, d TIMESTAMP(9)>[] NOT NULL) WITH (x = 'y')",
    "CREATE SOURCE IF NOT EXISTS s WITH (connector = 'nexmark', table = 'bid', rows = 7)",
    "CREATE TABLE s (WATERMARK FOR a AS a - INTERVAL '4' SECOND) WITH (connector = 'nexmark')",
    "CREATE MATERIALIZED VIEW v (a, b) AS SELECT 1, 2 FROM t EMIT ON WINDOW CLOSE",
    "CREATE VIEW v AS SELECT DISTINCT ON (k) k, a FROM t ORDER BY k, a",
    "CREATE INDEX IF NOT EXISTS i ON v (a, \"B\")",
    "CREATE INDEX ON v (a)",
    "ALTER MATERIALIZED VIEW v RENAME TO w",
    "INSERT INTO t (a, b) VALUES (1, 'x'), (DEFAULT, NULL)",
    "INSERT INTO t WITH x AS (SELECT 1 FROM u) SELECT * FROM x",
    "UPDATE t SET a = b + 1, c = NULL",
    "DELETE FROM t",
    "SHOW STREAMS",
    "SHOW MATERIALIZED VIEWS",
    "SHOW INDEXES",
    "SHOW ALL",
    "SHOW trefoil.state_ttl",
    "DESC t",
    "DESCRIBE TABLE \"T\"",
    "SET trefoil.state_ttl = '1 hour'",
    "SET read TO latest",
    "SET a = DEFAULT",
    "FLUSH",
    "CHECKPOINT",
    "SUBSCRIBE v",
    "SUBSCRIBE TO v WHERE a > 1 AND b IN (1, 2)",
    "DECLARE c CURSOR FOR SUBSCRIBE v WHERE a > 1",
    "FETCH NEXT FROM c",
    "FETCH 100 FROM c",
    "CLOSE c",
    "EXPLAIN SELECT 1 FROM t EMIT CHANGES",
    "EXPLAIN ANALYZE SELECT 1 FROM t",
    "EXPLAIN (FORMAT mermaid) SELECT 1 FROM t",
    "EXPLAIN (ANALYZE, FORMAT dot) SELECT 1 FROM t",
    "EXPLAIN (FORMAT text) WITH x AS (SELECT 1 FROM t) SELECT * FROM x",
];

fn one(of: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    select(of.to_vec())
}

fn query() -> impl Strategy<Value = String> {
    let head = (one(WITH), one(DISTINCT), one(ITEMS), one(FROM));
    let tail = (one(WHERE), one(GROUP), one(WINDOW), one(SET), one(ORDER));
    (head, tail).prop_map(|((with, d, items, from), (w, g, v, s, o))| {
        format!("{with}SELECT {d}{items} FROM {from}{w}{g}{v}{s}{o}")
    })
}

/// A statement; some of them cannot be read.
pub(crate) fn statement() -> impl Strategy<Value = String> {
    let queried = || prop_oneof![4 => query(), 1 => one(FIRST).prop_map(str::to_owned)];
    let before = one(&[
        "",
        "",
        "",
        "CREATE VIEW v AS ",
        "CREATE OR REPLACE VIEW v (a) AS ",
        "CREATE MATERIALIZED VIEW IF NOT EXISTS v AS ",
        "CREATE SINK s WITH (connector = 'print') AS ",
        "INSERT INTO s (a, b) ",
        "EXPLAIN (FORMAT json) ",
    ]);
    prop_oneof![
        5 => (before, queried(), one(EMIT)).prop_map(|(b, q, e)| format!("{b}{q}{e}")),
        1 => one(OTHERS).prop_map(str::to_owned),
    ]
}

/// Every alternative once, the others being the first.
pub(crate) fn each() -> Vec<String> {
    let mut all: Vec<String> = [FIRST, OTHERS]
        .concat()
        .iter()
        .map(|s| s.to_string())
        .collect();
    let clauses = [
        WITH, DISTINCT, ITEMS, FROM, WHERE, GROUP, WINDOW, SET, ORDER, EMIT,
    ];
    for (at, clause) in clauses.iter().enumerate() {
        for chosen in *clause {
            let mut parts: Vec<&str> = clauses.iter().map(|c| c[0]).collect();
            parts[at] = *chosen;
            let [with, d, items, from, rest @ ..] = parts.as_slice() else {
                unreachable!("there are more clauses")
            };
            all.push(format!(
                "{with}SELECT {d}{items} FROM {from}{}",
                rest.concat()
            ));
        }
    }
    all
}
