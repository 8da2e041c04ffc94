//! Queries with several inputs: unions, joins, and what becomes one.

use proptest::prelude::*;

use crate::changelog::compare_prefixes;
use crate::check_pair;
use crate::compare::{Case, Changes, Lenient, Order};
use crate::data::{COLUMNS, lines};

/// Over every record and over none.
pub(crate) const UNIONS: &[&str] = &[
    "SELECT k, s FROM r UNION ALL SELECT k, s FROM r WHERE i > 0",
    "SELECT k, i FROM r UNION ALL SELECT x, k FROM r",
    "SELECT s, b FROM r UNION SELECT s, NOT b FROM r",
    "SELECT k, s FROM r INTERSECT SELECT i, s FROM r",
    "SELECT k FROM r WHERE b EXCEPT SELECT i FROM r WHERE i > 3",
    "SELECT k FROM r UNION SELECT i FROM r UNION ALL SELECT 3 FROM r WHERE b",
    "SELECT i + 1 AS n FROM (SELECT k AS i FROM r UNION ALL SELECT i FROM r) AS q WHERE i > 2",
    "SELECT k, COUNT(*), SUM(i), MIN(x) FROM \
     (SELECT k, i, x FROM r UNION ALL SELECT i, k, NULL FROM r UNION ALL \
      SELECT k, k, x + 1.0 FROM r) AS q GROUP BY k",
    "SELECT COUNT(*), SUM(n), AVG(n) FROM (SELECT i AS n FROM r UNION ALL SELECT k FROM r) AS q",
    "SELECT COUNT(DISTINCT n), MAX(n) FROM (SELECT i AS n FROM r UNION ALL SELECT k FROM r) AS q",
    "SELECT k, n FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS a \
     UNION ALL SELECT i, k FROM r WHERE b",
    "SELECT k, SUM(n) FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k UNION ALL \
     SELECT k, COUNT(s) FROM r GROUP BY k) AS a GROUP BY k",
    "SELECT SUM(n) FROM (SELECT COUNT(*) AS n FROM r UNION ALL SELECT MAX(i) FROM r) AS a",
    "SELECT k, window_start, COUNT(*) FROM (SELECT k, ts FROM r WHERE b UNION ALL \
     SELECT i, ts FROM r) AS q GROUP BY k, TUMBLE(ts, INTERVAL '5' MINUTE)",
    "SELECT window_end, COUNT(*), SUM(k) FROM (SELECT ts, k FROM r UNION ALL SELECT ts, 1 FROM r) \
     AS q GROUP BY TUMBLE(ts, INTERVAL '3' MINUTE)",
];

/// In the order that they say.
pub(crate) const ORDERED_UNIONS: &[&str] = &[
    "SELECT k, s, i FROM r UNION ALL SELECT i, s, k FROM r ORDER BY k, s, i",
    "SELECT k, s FROM r UNION ALL SELECT i, s FROM r WHERE b ORDER BY s DESC, k LIMIT 17",
    "SELECT a.k, COUNT(*) AS n FROM r AS a JOIN r AS c ON a.k = c.i GROUP BY a.k ORDER BY n, k",
];

/// Joins of all kinds.
pub(crate) const JOINS: &[&str] = &[
    "SELECT tag, c.i FROM r AS a CROSS JOIN UNNEST(a.tags) AS tag JOIN r AS c ON a.k = c.i",
    "SELECT COUNT(*) FROM r AS a, UNNEST(a.tags) AS tag JOIN r AS c ON tag = c.s",
    "SELECT a.k, a.s, c.i FROM r AS a JOIN r AS c ON a.k = c.i",
    "SELECT a.k, c.k, c.s FROM r AS a JOIN r AS c ON a.k = c.k AND a.s = c.s AND a.i < c.i",
    "SELECT a.i, c.k, c.s FROM r AS a LEFT JOIN r AS c ON a.i = c.k AND c.b",
    "SELECT a.i, c.k, c.s FROM r AS a RIGHT JOIN r AS c ON a.i = c.k AND a.x > 3.0",
    "SELECT a.i, a.s, c.k, c.s FROM r AS a FULL JOIN r AS c ON a.i = c.k AND a.b AND NOT c.b",
    "SELECT a.i FROM r AS a LEFT SEMI JOIN r AS c ON a.i = c.k",
    "SELECT a.i, a.s FROM r AS a LEFT ANTI JOIN r AS c ON a.i = c.k AND a.x < c.x",
    "SELECT c.k, c.s FROM r AS a RIGHT SEMI JOIN r AS c ON a.i = c.k AND a.s <> c.s",
    "SELECT c.k, c.s FROM r AS a RIGHT ANTI JOIN r AS c ON a.i = c.k",
    "SELECT a.i, c.x FROM r AS a JOIN r AS c ON a.x = c.y",
    "SELECT a.i, c.x FROM r AS a JOIN r AS c ON a.i = c.x WHERE a.b",
    "SELECT a.k, c.k FROM r AS a JOIN r AS c ON (a.k IS NOT DISTINCT FROM c.i) \
     AND a.s = c.s",
    "SELECT a.i, c.i FROM r AS a JOIN r AS c ON a.i > c.i + 90 AND a.b",
    "SELECT a.i, c.n FROM r AS a CROSS JOIN (SELECT COUNT(*) AS n FROM r) AS c",
    "SELECT a.k, a.n, c.m FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS a \
     LEFT JOIN (SELECT i, MAX(x) AS m FROM r GROUP BY i) AS c ON a.k = c.i",
    "SELECT a.k, a.n, c.i FROM (SELECT k, s, COUNT(*) AS n FROM r GROUP BY k, s) AS a \
     JOIN r AS c ON a.s = c.s AND a.k = c.k",
    "SELECT a.k, a.n, c.m FROM (SELECT k, s, COUNT(*) AS n FROM r GROUP BY k, s) AS a \
     FULL JOIN (SELECT s, i, MAX(x) AS m FROM r GROUP BY s, i) AS c ON a.s = c.s AND a.k = c.i",
    "SELECT a.k, COUNT(*), SUM(c.i), COUNT(c.s) FROM r AS a LEFT JOIN r AS c ON a.k = c.i \
     GROUP BY a.k",
    "SELECT COUNT(*), SUM(a.i), MIN(c.x) FROM r AS a JOIN r AS c ON a.s = c.s",
    "SELECT a.s, COUNT(DISTINCT c.k) FROM r AS a JOIN r AS c ON a.k = c.k AND a.i <> c.i \
     GROUP BY a.s",
    "SELECT a.i, c.s, e.x FROM r AS a JOIN r AS c ON a.i = c.k JOIN r AS e ON c.i = e.k \
     WHERE a.x > 2.0",
    "SELECT a.i, c.s, e.x FROM r AS a LEFT JOIN r AS c ON a.i = c.k \
     FULL JOIN (SELECT k, x FROM r WHERE b) AS e ON c.k = e.k AND a.i = e.k",
    "SELECT a.k, c.i FROM (SELECT k, s FROM r UNION ALL SELECT i, s FROM r) AS a \
     JOIN (SELECT i, s FROM r UNION ALL SELECT k, s FROM r WHERE b) AS c ON a.k = c.i \
     WHERE a.s < c.s",
    "SELECT a.i, c.i FROM r AS a, r AS c WHERE a.k + 1 = c.k AND a.s = c.s AND a.b",
    "SELECT a.ts, c.i FROM r AS a JOIN r AS c ON a.k = c.k \
     AND c.ts BETWEEN a.ts - INTERVAL '1' MINUTE AND a.ts + INTERVAL '1' MINUTE",
];

/// Of rows that come and go, on one side or on both; by EMIT CHANGES as well as at the end.
pub(crate) const CHANGED: &[&str] = &[
    // What is numbered is where its partitions are, and groups of it somewhere else.
    "SELECT k, COUNT(*) AS n FROM (SELECT k, RANK() OVER (PARTITION BY w ORDER BY n DESC) AS p \
     FROM (SELECT k, window_start AS w, COUNT(*) AS n FROM r \
     GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)) AS q) AS o WHERE p = 1 GROUP BY k",
    "SELECT p, COUNT(*) AS n FROM (SELECT k, RANK() OVER (PARTITION BY w, k ORDER BY n DESC) AS p \
     FROM (SELECT k, s, window_start AS w, COUNT(*) AS n FROM r \
     GROUP BY k, s, TUMBLE(ts, INTERVAL '1' MINUTE)) AS q) AS o GROUP BY p",
    "SELECT k, COUNT(*) AS n, SUM(t) AS u FROM (SELECT k, SUM(n) OVER (PARTITION BY k, s) AS t \
     FROM (SELECT k, s, i, COUNT(*) AS n FROM r GROUP BY k, s, i) AS q) AS o GROUP BY k",
    "SELECT k, COUNT(*) AS n FROM (SELECT k, RANK() OVER (PARTITION BY i ORDER BY k) AS p FROM \
     (SELECT i, k FROM r ORDER BY i, k, s, x LIMIT 20) AS q) AS o GROUP BY k",
    "SELECT DISTINCT k FROM (SELECT k, SUM(i) OVER (PARTITION BY s) AS t FROM \
     (SELECT i, k, s FROM r ORDER BY i, k, s, x LIMIT 30) AS q) AS o WHERE t > 1",
    "SELECT o.k, c.n FROM (SELECT k, RANK() OVER (PARTITION BY w ORDER BY n DESC) AS p FROM \
     (SELECT k, window_start AS w, COUNT(*) AS n FROM r \
     GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)) AS q) AS o JOIN \
     (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS c ON o.k = c.k WHERE o.p < 3",
    "SELECT k, m FROM (SELECT k, MAX(i) AS m FROM r GROUP BY k) AS q EXCEPT ALL \
     SELECT k, i FROM r WHERE i < 3",
    "SELECT k, m FROM (SELECT k, MAX(i) AS m FROM r GROUP BY k) AS q INTERSECT ALL \
     SELECT k, i FROM r WHERE s IS NOT NULL",
    "SELECT k, i FROM r INTERSECT ALL SELECT k, m FROM (SELECT k, MAX(i) AS m FROM r GROUP BY k) \
     AS q",
    "SELECT k, COUNT(*) AS n FROM (SELECT k, w FROM (SELECT k, i, window_start AS w FROM r \
     GROUP BY k, i, TUMBLE(ts, INTERVAL '1' MINUTE)) AS q EXCEPT ALL SELECT k, ts FROM r) AS o \
     GROUP BY k",
    "SELECT a.k, a.n, c.i FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS a \
     JOIN (SELECT i, MAX(s) AS s FROM r GROUP BY i) AS c ON a.k = c.i",
    "SELECT a.k, a.n, c.n FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS a \
     FULL JOIN (SELECT i AS k, SUM(k) AS n FROM r WHERE b GROUP BY i) AS c ON a.k = c.k",
    "SELECT a.k, a.n, c.i, c.s FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS a \
     LEFT JOIN r AS c ON a.n = c.i AND c.s <> 'a'",
    "SELECT a.k, a.n, c.i FROM r AS c RIGHT JOIN (SELECT k, MAX(i) AS n FROM r GROUP BY k) AS a \
     ON a.k = c.k AND a.n = c.i",
    "SELECT c.i, c.s, a.n FROM r AS c FULL JOIN (SELECT k, MIN(i) AS n FROM r GROUP BY k) AS a \
     ON a.k = c.i AND a.n < c.k",
    "SELECT c.i, c.s FROM r AS c LEFT SEMI JOIN (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS a \
     ON a.n = c.i",
    "SELECT c.i, c.s FROM r AS c LEFT ANTI JOIN (SELECT k, MAX(i) AS n FROM r GROUP BY k) AS a \
     ON a.k = c.k AND a.n > c.i",
    "SELECT a.k, a.n FROM r AS c RIGHT ANTI JOIN (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS a \
     ON a.n = c.i",
    "SELECT a.n, c.n FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS a \
     JOIN (SELECT i, COUNT(*) AS n FROM r GROUP BY i) AS c ON a.n < c.n",
    "SELECT a.s, c.n FROM (SELECT s, COUNT(*) AS n FROM r GROUP BY s) AS a \
     JOIN (SELECT s, MAX(k) AS n FROM r GROUP BY s) AS c ON a.s IS NOT DISTINCT FROM c.s",
    "SELECT i FROM r WHERE b OR EXISTS (SELECT 1 FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) \
     AS c WHERE c.n = r.i)",
    "SELECT a.n, COUNT(*), SUM(c.i) FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS a \
     LEFT JOIN r AS c ON a.k = c.k GROUP BY a.n",
    "SELECT a.k, c.n, e.m FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS a \
     FULL JOIN (SELECT i, COUNT(*) AS n FROM r GROUP BY i) AS c ON a.k = c.i \
     LEFT JOIN (SELECT k, MAX(i) AS m FROM r GROUP BY k) AS e ON c.n = e.m",
    "SELECT DISTINCT a.n FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS a \
     JOIN (SELECT DISTINCT i FROM r) AS c ON a.n = c.i",
    "SELECT k FROM r WHERE b INTERSECT SELECT i FROM r",
    "SELECT k, s FROM r EXCEPT SELECT i, s FROM r WHERE i > 3",
    "SELECT k, SUM(i) AS n FROM r GROUP BY k HAVING SUM(i) > (SELECT AVG(t) FROM \
     (SELECT SUM(i) AS t FROM r GROUP BY k) AS q)",
    "SELECT a.window_start, a.k, a.n, c.m FROM \
     (SELECT window_start, k, COUNT(*) AS n FROM r GROUP BY k, TUMBLE(ts, INTERVAL '3' MINUTE)) \
     AS a LEFT JOIN (SELECT window_start, k, MAX(i) AS m FROM r WHERE b \
     GROUP BY k, TUMBLE(ts, INTERVAL '3' MINUTE)) AS c \
     ON a.k = c.k AND a.window_start = c.window_start",
];

/// Subqueries.
pub(crate) const SUBQUERIES: &[&str] = &[
    "SELECT i, tag FROM r CROSS JOIN UNNEST(r.tags) AS tag WHERE i IN (SELECT k FROM r WHERE b)",
    "SELECT i, s FROM r WHERE i IN (SELECT k FROM r WHERE b)",
    "SELECT i, s FROM r WHERE EXISTS (SELECT 1 FROM r AS c WHERE c.k = r.i AND c.b)",
    "SELECT i, s FROM r WHERE NOT EXISTS (SELECT 1 FROM r AS c WHERE c.k = r.i AND c.x > r.x)",
    "SELECT i FROM r WHERE b OR EXISTS (SELECT 1 FROM r AS c WHERE c.k = r.i)",
    "SELECT i, x FROM r WHERE x > (SELECT AVG(x) FROM r)",
    "SELECT i, (SELECT MAX(i) FROM r) AS m FROM r WHERE k > 1",
    "SELECT k, SUM(i) AS n FROM r GROUP BY k HAVING SUM(i) > (SELECT AVG(t) * 2.0 FROM \
     (SELECT SUM(i) AS t FROM r GROUP BY k) AS q)",
    "SELECT i, s FROM r WHERE x > (SELECT AVG(c.x) FROM r AS c WHERE c.k = r.k)",
    "SELECT COUNT(*) FROM r WHERE i IN (SELECT k FROM r) AND x < (SELECT MAX(y) FROM r)",
];

/// Sides of a join, all of them with the columns k, i, s and x.
const SIDES: [&str; 6] = [
    "r",
    "(SELECT k, i, s, x FROM r WHERE b)",
    "(SELECT i AS k, k AS i, s, x FROM r)",
    "(SELECT k, COUNT(*) AS i, MAX(s) AS s, MIN(x) AS x FROM r GROUP BY k)",
    "(SELECT k, i, s, x FROM r UNION ALL SELECT i, k, s, x FROM r WHERE NOT b)",
    "(SELECT DISTINCT k, k AS i, s, 1.5 AS x FROM r)",
];

const KINDS: [&str; 8] = [
    "JOIN",
    "LEFT JOIN",
    "RIGHT JOIN",
    "FULL JOIN",
    "LEFT SEMI JOIN",
    "LEFT ANTI JOIN",
    "RIGHT SEMI JOIN",
    "RIGHT ANTI JOIN",
];

const CONDITIONS: [&str; 6] = [
    "",
    " AND a.i < c.i",
    " AND a.s = c.s",
    " AND (a.x > c.x OR a.s IS NULL)",
    " AND c.s <> 'a'",
    " AND a.i + 1 = c.i",
];

const KEYS: [&str; 6] = [
    "a.k = c.k",
    "a.k = c.i",
    "a.i + 1 = c.k",
    "a.s = c.s",
    "a.x = c.x",
    "(a.k IS NOT DISTINCT FROM c.k)",
];

/// A join of these sides, joined once more or grouped.
fn query(
    (left, right): (&str, &str),
    kind: &str,
    (key, condition): (&str, &str),
    above: u32,
    more: (&str, &str),
) -> String {
    let from = format!("{left} AS a {kind} {right} AS c ON {key}{condition}");
    let both = !kind.contains("SEMI") && !kind.contains("ANTI");
    let one = if kind.starts_with("RIGHT ") && !both {
        "c"
    } else {
        "a"
    };
    match (above, both) {
        (0, _) => {
            let calls = format!("COUNT(*), SUM({one}.i)");
            format!("SELECT {one}.s, {calls} FROM {from} GROUP BY {one}.s")
        }
        (1, _) => format!("SELECT COUNT(*), MIN({one}.k), MAX({one}.i) FROM {from}"),
        (2, true) => {
            let (kind, side) = more;
            format!(
                "SELECT a.k, a.s, c.i, e.k FROM {from} {kind} {side} AS e ON c.i = e.k \
                         AND a.s = e.s"
            )
        }
        (_, true) => format!("SELECT a.k, a.i, a.s, c.k, c.s, c.x FROM {from}"),
        (_, false) => format!("SELECT {one}.k, {one}.i, {one}.s FROM {from}"),
    }
}

proptest! {
    #![proptest_config(crate::join_cases(60))]

    /// Any sides, any kind, any conditions, any data; joined once more or grouped.
    #[test]
    fn generated_joins(
        seed in any::<u64>(),
        count in prop_oneof![Just(0u64), Just(1), 2..30u64, 30..90u64],
        sides in (prop::sample::select(&SIDES[..]), prop::sample::select(&SIDES[..])),
        kind in prop::sample::select(&KINDS[..]),
        key in prop::sample::select(&KEYS[..]),
        condition in prop::sample::select(&CONDITIONS[..]),
        above in 0..4u32,
        more in (prop::sample::select(&KINDS[..4]), prop::sample::select(&SIDES[..])),
    ) {
        let query = query(sides, kind, (key, condition), above, more);
        let (name, lines) = (format!("joined-{seed}"), lines(count, seed));
        check_pair(&name, &lines, &(&query, &query), Order::Any).unwrap();
    }

    /// The same under EMIT CHANGES, and what stands after each record.
    #[test]
    fn generated_joins_after_each_record(
        seed in any::<u64>(),
        count in 1..12u64,
        sides in (prop::sample::select(&SIDES[..]), prop::sample::select(&SIDES[..])),
        kind in prop::sample::select(&KINDS[..]),
        key in prop::sample::select(&KEYS[..]),
        condition in prop::sample::select(&CONDITIONS[..]),
        above in 0..4u32,
        more in (prop::sample::select(&KINDS[..4]), prop::sample::select(&SIDES[..])),
    ) {
        let query = query(sides, kind, (key, condition), above, more);
        let case = Case {
            name: &format!("joined-each-{seed}"),
            columns: COLUMNS,
            lines: &lines(count, seed),
            query: &query,
            batch: &query,
            lenient: Lenient::default(),
            changes: Changes::Any,
            keyless: false,
            order: Order::Any,
        };
        compare_prefixes(&case).unwrap();
    }
}
