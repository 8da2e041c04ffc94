//! Subqueries wherever a value stands, names of the select list that a column has, too, and what
//! else batch SQL says in other words.

use crate::check_pair;
use crate::compare::Order;
use crate::data::lines;

/// A query, and what it is to DataFusion.
const PAIRS: &[(&str, &str)] = &[
    (
        "SELECT i, EXISTS (SELECT 1 FROM r AS c WHERE c.k = r.i AND c.b) AS e FROM r",
        "SELECT i, (SELECT COUNT(*) FROM r AS c WHERE c.k = r.i AND c.b) > 0 AS e FROM r",
    ),
    (
        "SELECT i, CASE WHEN NOT EXISTS (SELECT DISTINCT c.s FROM r AS c WHERE c.k = r.i) \
         THEN 'none' ELSE s END AS e FROM r WHERE x > 0",
        "SELECT i, CASE WHEN (SELECT COUNT(*) FROM r AS c WHERE c.k = r.i) = 0 \
         THEN 'none' ELSE s END AS e FROM r WHERE x > 0",
    ),
    (
        "SELECT i, EXISTS (SELECT 1 FROM r AS c WHERE c.i > r.i) AS e, EXISTS (SELECT 1 FROM r \
         WHERE k = 99) AS n FROM r",
        "SELECT i, (SELECT COUNT(*) FROM r AS c WHERE c.i > r.i) > 0 AS e, FALSE AS n FROM r",
    ),
    (
        "SELECT i, i IN (SELECT k FROM r WHERE b) AS e FROM r",
        "SELECT i, CASE WHEN (SELECT COUNT(*) FROM r AS c WHERE c.b AND c.k = r.i) > 0 THEN TRUE \
         WHEN (SELECT COUNT(*) FROM r AS c WHERE c.b AND c.k IS NULL) > 0 OR r.i IS NULL \
         AND (SELECT COUNT(*) FROM r AS c WHERE c.b) > 0 THEN NULL ELSE FALSE END AS e FROM r",
    ),
    (
        "SELECT i, i + 1 NOT IN (SELECT c.i FROM r AS c WHERE c.s = r.s) AS e FROM r",
        "SELECT i, NOT CASE WHEN (SELECT COUNT(*) FROM r AS c WHERE c.s = r.s \
         AND c.i = r.i + 1) > 0 THEN TRUE \
         WHEN (SELECT COUNT(*) FROM r AS c WHERE c.s = r.s AND c.i IS NULL) > 0 \
         OR r.i IS NULL AND (SELECT COUNT(*) FROM r AS c WHERE c.s = r.s) > 0 \
         THEN NULL ELSE FALSE END AS e FROM r",
    ),
    (
        "SELECT i FROM r WHERE s = 'a' OR k NOT IN (SELECT i FROM r WHERE b)",
        "SELECT i FROM r WHERE s = 'a' OR \
         ((SELECT COUNT(*) FROM r AS c WHERE c.b AND c.i = r.k) = 0 \
         AND (SELECT COUNT(*) FROM r AS c WHERE c.b AND c.i IS NULL) = 0 \
         AND (r.k IS NOT NULL OR (SELECT COUNT(*) FROM r AS c WHERE c.b) = 0))",
    ),
    (
        "SELECT i FROM r WHERE (i IN (SELECT k FROM r WHERE b)) IS NULL",
        "SELECT i FROM r WHERE (SELECT COUNT(*) FROM r AS c WHERE c.b AND c.k = r.i) = 0 \
         AND ((SELECT COUNT(*) FROM r AS c WHERE c.b AND c.k IS NULL) > 0 OR r.i IS NULL \
         AND (SELECT COUNT(*) FROM r AS c WHERE c.b) > 0)",
    ),
    // A value that could be several, and is not.
    (
        "SELECT i, (SELECT c.n FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS c \
         WHERE c.k = r.i) AS n FROM r",
        "SELECT i, (SELECT MAX(c.n) FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS c \
         WHERE c.k = r.i) AS n FROM r",
    ),
    (
        "SELECT i, (SELECT k FROM r WHERE k = 99) AS n, (SELECT DISTINCT 7 FROM r) AS o FROM r",
        "SELECT i, CAST(NULL AS BIGINT) AS n, 7 AS o FROM r",
    ),
    // It is several where nobody asks.
    (
        "SELECT i, CASE WHEN (SELECT COUNT(*) FROM r AS c WHERE c.i = r.k) = 1 \
         THEN (SELECT c.s FROM r AS c WHERE c.i = r.k) END AS s FROM r",
        "SELECT i, CASE WHEN (SELECT COUNT(*) FROM r AS c WHERE c.i = r.k) = 1 \
         THEN (SELECT MAX(c.s) FROM r AS c WHERE c.i = r.k) END AS s FROM r",
    ),
    (
        "SELECT i, CASE WHEN i < -1000000 THEN (SELECT tags FROM r) END AS l FROM r",
        "SELECT i, CASE WHEN FALSE THEN tags END AS l FROM r",
    ),
    // The first of an order.
    (
        "SELECT i, (SELECT c.s FROM r AS c WHERE c.k = r.k \
         ORDER BY c.i DESC NULLS LAST, c.s NULLS FIRST LIMIT 1) AS f FROM r",
        "SELECT i, (SELECT FIRST_VALUE(c.s ORDER BY c.i DESC NULLS LAST, c.s NULLS FIRST) \
         FROM r AS c WHERE c.k = r.k) AS f FROM r",
    ),
    (
        "SELECT i FROM r WHERE i = (SELECT c.i + c.k AS n FROM r AS c WHERE c.s = r.s \
         ORDER BY n LIMIT 1)",
        "SELECT i FROM r WHERE i = (SELECT FIRST_VALUE(c.i + c.k ORDER BY c.i + c.k) \
         FROM r AS c WHERE c.s = r.s)",
    ),
    // In the arguments of aggregates, and in keys.
    (
        "SELECT k, SUM((SELECT COUNT(*) FROM r AS c WHERE c.k = r.i)) AS n, \
         COUNT(*) FILTER (WHERE EXISTS (SELECT 1 FROM r AS c WHERE c.k = r.i AND c.b)) AS m \
         FROM r GROUP BY k HAVING COUNT(*) > 1",
        "SELECT k, SUM(n) AS n, COUNT(*) FILTER (WHERE m > 0) AS m FROM \
         (SELECT k, (SELECT COUNT(*) FROM r AS c WHERE c.k = r.i) AS n, \
         (SELECT COUNT(*) FROM r AS c WHERE c.k = r.i AND c.b) AS m FROM r) AS q \
         GROUP BY k HAVING COUNT(*) > 1",
    ),
    (
        "SELECT i IN (SELECT k FROM r WHERE k IS NOT NULL) AS e, COUNT(*) AS n FROM r \
         WHERE i IS NOT NULL GROUP BY e",
        "SELECT e, COUNT(*) AS n FROM (SELECT (SELECT COUNT(*) FROM r AS c WHERE c.k = r.i) > 0 \
         AS e FROM r WHERE i IS NOT NULL) AS q GROUP BY e",
    ),
    // Equalities of more than columns.
    (
        "SELECT i, (SELECT COUNT(*) FROM r AS c WHERE UPPER(c.s) = UPPER(r.s) AND c.i + 1 > 0) \
         AS n FROM r",
        "SELECT i, (SELECT COUNT(*) FROM (SELECT UPPER(s) AS u, i FROM r) AS c \
         WHERE c.u = UPPER(r.s) AND c.i + 1 > 0) AS n FROM r",
    ),
    (
        "SELECT i, (SELECT MAX(c.i) FROM r AS c WHERE c.k + c.i = r.i) AS n FROM r",
        "SELECT i, (SELECT MAX(c.i) FROM (SELECT k + i AS u, i FROM r) AS c WHERE c.u = r.i) AS n \
         FROM r",
    ),
    // A name is a column's where there is one.
    (
        "SELECT k, -n AS n, RANK() OVER (ORDER BY n) AS p FROM \
         (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS q",
        "SELECT k, -m AS n, RANK() OVER (ORDER BY m) AS p FROM \
         (SELECT k, COUNT(*) AS m FROM r GROUP BY k) AS q",
    ),
    (
        "WITH q AS (SELECT k, COUNT(*) AS n FROM r GROUP BY k) \
         SELECT k, -n AS n FROM q QUALIFY RANK() OVER (ORDER BY n) <= 2 AND n > 0",
        "WITH q AS (SELECT k, COUNT(*) AS m FROM r GROUP BY k) \
         SELECT k, -m AS n FROM q QUALIFY RANK() OVER (ORDER BY m) <= 2 AND m > 0",
    ),
    (
        "SELECT -n AS n, COUNT(*) AS c FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k \
         UNION ALL SELECT i, COUNT(*) FROM r GROUP BY i) AS q GROUP BY n HAVING n > 1",
        "SELECT -m AS n, COUNT(*) AS c FROM (SELECT k, COUNT(*) AS m FROM r GROUP BY k \
         UNION ALL SELECT i, COUNT(*) FROM r GROUP BY i) AS q GROUP BY m HAVING m > 1",
    ),
    (
        "SELECT i, k + 1 AS z, SUM(i) OVER (PARTITION BY z % 2 ORDER BY z + i, i, s) AS n FROM r",
        "SELECT i, k + 1 AS z, SUM(i) OVER (PARTITION BY (k + 1) % 2 \
         ORDER BY k + 1 + i, i, s) AS n FROM r",
    ),
    (
        "WITH q AS (SELECT i AS k, s FROM r) SELECT s FROM q QUALIFY RANK() OVER (ORDER BY k) <= 3",
        "WITH q AS (SELECT i AS z, s FROM r) SELECT s FROM q QUALIFY RANK() OVER (ORDER BY z) <= 3",
    ),
    (
        "SELECT s, SUM(k) OVER e AS n FROM (SELECT i AS k, s FROM r) AS q \
         WINDOW e AS (PARTITION BY k)",
        "SELECT s, SUM(z) OVER (PARTITION BY z) AS n FROM (SELECT i AS z, s FROM r) AS q",
    ),
    (
        "SELECT 1 AS k, COUNT(*) AS n FROM (SELECT r.*, 1 AS z FROM r LIMIT 100000) AS q \
         GROUP BY k",
        "SELECT 1 AS one, COUNT(*) AS n FROM r GROUP BY r.k",
    ),
    (
        "WITH q AS (SELECT c.*, a.i AS z FROM r AS a JOIN r AS c ON a.i = c.k) \
         SELECT -z AS k, COUNT(*) AS n FROM q GROUP BY k, z",
        "SELECT -z AS e, COUNT(*) AS n FROM (SELECT c.k, a.i AS z FROM r AS a JOIN r AS c \
         ON a.i = c.k) AS q GROUP BY q.k, z",
    ),
    // What is distinct of groups that no column tells apart any more.
    (
        "SELECT DISTINCT window_start FROM r GROUP BY k, TUMBLE(ts, INTERVAL '3' MINUTE)",
        "SELECT window_start FROM r GROUP BY TUMBLE(ts, INTERVAL '3' MINUTE)",
    ),
    (
        "SELECT window_start, COUNT(*) AS n FROM (SELECT window_start FROM r \
         GROUP BY s, TUMBLE(ts, INTERVAL '3' MINUTE)) AS q GROUP BY window_start",
        "SELECT window_start, COUNT(*) AS n FROM (SELECT window_start, s FROM r \
         GROUP BY s, TUMBLE(ts, INTERVAL '3' MINUTE)) AS q GROUP BY window_start",
    ),
    // The bounds of a range are of the type that orders.
    (
        "SELECT i, SUM(i) OVER (ORDER BY i RANGE BETWEEN 5 PRECEDING AND CURRENT ROW) AS n FROM r",
        "SELECT r.i, (SELECT SUM(c.i) FROM r AS c WHERE c.i >= r.i - 5 AND c.i <= r.i) AS n FROM r",
    ),
    (
        "SELECT i, SUM(k) OVER (PARTITION BY s ORDER BY i RANGE BETWEEN 2 PRECEDING \
         AND 3 FOLLOWING) AS n FROM r WHERE i IS NOT NULL AND s IS NOT NULL",
        "SELECT r.i, (SELECT SUM(c.k) FROM r AS c WHERE c.s = r.s AND c.i >= r.i - 2 \
         AND c.i <= r.i + 3) AS n FROM r WHERE i IS NOT NULL AND s IS NOT NULL",
    ),
    // NULL is NULL where it is asked for so, and equals nothing beside.
    (
        "SELECT a.i, c.i AS j FROM r AS a JOIN r AS c ON a.s IS NOT DISTINCT FROM c.s \
         WHERE a.k = c.k AND a.b = c.b",
        "SELECT a.i, c.i AS j FROM r AS a JOIN r AS c ON a.s = c.s OR a.s IS NULL AND c.s IS NULL \
         WHERE a.k = c.k AND a.b = c.b",
    ),
    (
        "SELECT i FROM r AS a WHERE s = \
         (SELECT MAX(c.s) FROM r AS c WHERE c.k = a.k AND c.i < a.i)",
        "SELECT i FROM r AS a WHERE s IS NOT NULL AND s = \
         (SELECT MAX(c.s) FROM r AS c WHERE c.k = a.k AND c.i < a.i)",
    ),
    // Joins that do not say whose rows they give.
    (
        "SELECT a.i FROM r AS a SEMI JOIN r AS c ON a.i = c.k AND c.b",
        "SELECT a.i FROM r AS a LEFT SEMI JOIN r AS c ON a.i = c.k AND c.b",
    ),
    (
        "SELECT a.i FROM r AS a ANTI JOIN r AS c ON a.i = c.k",
        "SELECT a.i FROM r AS a LEFT ANTI JOIN r AS c ON a.i = c.k",
    ),
    // A column of USING around a subquery.
    (
        "SELECT key FROM (SELECT k AS key FROM r) AS a RIGHT JOIN (SELECT i AS key FROM r) AS c \
         USING (key) WHERE EXISTS (SELECT 1 FROM r AS e WHERE e.k = key AND e.b)",
        "SELECT c.key FROM (SELECT k AS key FROM r) AS a RIGHT JOIN (SELECT i AS key FROM r) AS c \
         ON a.key = c.key WHERE EXISTS (SELECT 1 FROM r AS e WHERE e.k = c.key AND e.b)",
    ),
    (
        "SELECT key, (SELECT COUNT(*) FROM r AS e WHERE e.k = key) AS n FROM \
         (SELECT k AS key FROM r WHERE b) AS a FULL JOIN (SELECT i AS key FROM r WHERE NOT b) AS c \
         USING (key)",
        "SELECT key, (SELECT COUNT(*) FROM r AS e WHERE e.k = q.key) AS n FROM (SELECT \
         COALESCE(a.key, c.key) AS key FROM (SELECT k AS key FROM r WHERE b) AS a \
         FULL JOIN (SELECT i AS key FROM r WHERE NOT b) AS c ON a.key = c.key) AS q",
    ),
    (
        "SELECT MOD(i, 3) AS rest, SIGN(i) AS side, EVERY(b) AS e FROM r GROUP BY rest, side",
        "SELECT i % 3 AS rest, SIGNUM(i) AS side, BOOL_AND(b) AS e FROM r GROUP BY rest, side",
    ),
];

/// As these, and rows come in an order.
const ORDERED: &[(&str, &str)] = &[
    (
        "SELECT s, b FROM (SELECT i AS k, s, b FROM r) AS q ORDER BY k, s, b LIMIT 20",
        "SELECT s, b FROM r ORDER BY i, s, b LIMIT 20",
    ),
    (
        "SELECT -n AS i, x FROM (SELECT k AS x, i AS n FROM r) AS q ORDER BY n DESC, x LIMIT 9",
        "SELECT -i AS z, k AS x FROM r ORDER BY r.i DESC, r.k LIMIT 9",
    ),
    (
        "SELECT COUNT(*) AS k FROM (SELECT k AS x FROM r) AS q GROUP BY x ORDER BY x LIMIT 3",
        "SELECT COUNT(*) AS n FROM r GROUP BY k ORDER BY r.k LIMIT 3",
    ),
    (
        "SELECT i AS s, b FROM (SELECT -i AS k, i, b FROM r) AS q ORDER BY k + 1, s, b",
        "SELECT i AS s, b FROM r ORDER BY -i + 1, i, b",
    ),
    (
        "SELECT k FROM (SELECT k, COUNT(*) AS i FROM r GROUP BY k) AS q ORDER BY i DESC, k LIMIT 4",
        "SELECT k FROM r GROUP BY k ORDER BY COUNT(*) DESC, k LIMIT 4",
    ),
    (
        "SELECT i, k AS z FROM r ORDER BY -z, i, s LIMIT 20",
        "SELECT i, k AS z FROM r ORDER BY -k, i, s LIMIT 20",
    ),
    (
        "SELECT *, -i AS z FROM r ORDER BY z, s, k LIMIT 30",
        "SELECT *, -i AS z FROM r ORDER BY -i, s, k LIMIT 30",
    ),
    (
        "SELECT *, i + 1 AS z FROM r ORDER BY z * -1, s, k",
        "SELECT *, i + 1 AS z FROM r ORDER BY (i + 1) * -1, s, k",
    ),
    (
        "SELECT -k AS k, i FROM r ORDER BY k + 0, i LIMIT 9",
        "SELECT -k AS other, i FROM r ORDER BY k, i LIMIT 9",
    ),
    (
        "SELECT k, COUNT(*) AS total FROM r GROUP BY k ORDER BY total % 3, -total, k",
        "SELECT k, COUNT(*) AS total FROM r GROUP BY k ORDER BY COUNT(*) % 3, -COUNT(*), k",
    ),
];

fn all_alike(name: &str, pairs: &[(&str, &str)], order: Order) {
    let some = lines(90, 17);
    let alike = |(number, pair): (usize, &(&str, &str))| {
        let name = format!("{name}-{number}");
        [some.as_str(), ""].map(|lines| check_pair(&name, lines, pair, order))
    };
    let compared = pairs.iter().enumerate().flat_map(alike);
    let differences: Vec<_> = compared.filter_map(Result::err).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn what_is_asked_for() {
    all_alike("asked", PAIRS, Order::Any);
}

#[test]
fn what_orders_is_asked_for() {
    all_alike("asked-ordered", ORDERED, Order::Said);
}
