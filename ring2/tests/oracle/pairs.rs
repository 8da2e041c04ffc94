//! Queries that batch SQL has in other words, and queries whose rows come in an order.

/// A query, and what it is to DataFusion. Clocks stand at 2025-11-06 07:08:09.123456789.
pub(crate) const PAIRS: &[(&str, &str)] = &[
    (
        "SELECT n FROM (SELECT MAX(i) AS n FROM r) AS q WHERE 1 > 2",
        "SELECT k FROM r WHERE FALSE",
    ),
    (
        "SELECT a.i, c.i FROM r AS a JOIN r AS c ON a.k = c.k AND a.i = c.i \
         JOIN r AS d ON c.i IS NOT DISTINCT FROM d.i",
        "SELECT a.i, c.i FROM r AS a JOIN r AS c ON a.k = c.k AND a.i = c.i \
         JOIN r AS d ON c.i = d.i",
    ),
    (
        "SELECT k, s FROM r WHERE b IS NOT DISTINCT FROM TRUE AND k = 1 \
         OR k IS DISTINCT FROM i + 1",
        "SELECT k, s FROM r WHERE ((b IS NOT DISTINCT FROM TRUE) AND k = 1) \
         OR (k IS DISTINCT FROM (i + 1))",
    ),
    (
        "SELECT k, NOW() AS n, CURRENT_DATE AS d, CURRENT_TIMESTAMP AS c, TODAY() AS y FROM r",
        "SELECT k, CAST('2025-11-06T07:08:09.123456789' AS TIMESTAMP(9)) AS n, \
                DATE '2025-11-06' AS d, \
                CAST('2025-11-06T07:08:09.123456789' AS TIMESTAMP(9)) AS c, \
                DATE '2025-11-06' AS y FROM r",
    ),
    (
        "SELECT CURRENT_TIME AS t, LOCALTIME AS l, LOCALTIMESTAMP AS m, \
                TRANSACTION_TIMESTAMP() AS n FROM r",
        "SELECT CAST('07:08:09.123456789' AS TIME(9)) AS t, \
                CAST('07:08:09.123456789' AS TIME(9)) AS l, \
                CAST('2025-11-06T07:08:09.123456789' AS TIMESTAMP(9)) AS m, \
                CAST('2025-11-06T07:08:09.123456789' AS TIMESTAMP(9)) AS n FROM r",
    ),
    (
        "SELECT k FROM r WHERE d >= CURRENT_DATE - INTERVAL '120' DAY",
        "SELECT k FROM r WHERE d >= DATE '2025-11-06' - INTERVAL '120' DAY",
    ),
    (
        "SELECT k, COUNT(*) FILTER (WHERE us < NOW() - INTERVAL '9' MONTH) AS n, \
                MAX(NOW() - INTERVAL '1' HOUR) AS m FROM r \
         WHERE EXTRACT(DAY FROM us) > EXTRACT(DAY FROM NOW()) GROUP BY k HAVING COUNT(*) > 1",
        "SELECT k, COUNT(*) FILTER (WHERE us < TIMESTAMP '2025-02-06T07:08:09.123456789') AS n, \
                MAX(CAST('2025-11-06T06:08:09.123456789' AS TIMESTAMP(9))) AS m FROM r \
         WHERE EXTRACT(DAY FROM us) > 6 GROUP BY k HAVING COUNT(*) > 1",
    ),
    (
        "SELECT day, COUNT(*) FROM (SELECT CURRENT_DATE AS day, k FROM r) AS q GROUP BY day",
        "SELECT day, COUNT(*) FROM (SELECT DATE '2025-11-06' AS day, k FROM r) AS q GROUP BY day",
    ),
    (
        "SELECT CURRENT_DATE AS day, COUNT(*) FROM r GROUP BY CURRENT_DATE",
        "SELECT DATE '2025-11-06' AS day, COUNT(*) FROM r GROUP BY day",
    ),
    // A window of what WITH names, of a query, and of groups by windows.
    (
        "WITH t (a, b) AS (SELECT k, ts FROM r WHERE i > 0) \
         SELECT t.a, window_start, COUNT(*) AS n FROM TUMBLE(t, t.b, INTERVAL '3' MINUTE) \
         GROUP BY t.a, window_start",
        "SELECT k, window_start, COUNT(*) AS n FROM r WHERE i > 0 \
         GROUP BY k, TUMBLE(ts, INTERVAL '3' MINUTE)",
    ),
    (
        "SELECT t.k, window_start, window_end, SUM(i) AS n FROM TUMBLE((SELECT k, ts, i FROM r \
         WHERE b), ts, INTERVAL '3' MINUTE) AS t GROUP BY t.k, window_start, window_end",
        "SELECT k, window_start, window_end, SUM(i) AS n FROM r WHERE b \
         GROUP BY k, TUMBLE(ts, INTERVAL '3' MINUTE)",
    ),
    (
        "WITH w AS (SELECT k, window_start AS ws, COUNT(*) AS n FROM TUMBLE(r, ts, \
         INTERVAL '1' MINUTE) GROUP BY k, window_start), v AS (SELECT * FROM w WHERE k > 0) \
         SELECT window_start, MAX(n) AS m FROM TABLE(TUMBLE(TABLE v, DESCRIPTOR(ws), \
         INTERVAL '4' MINUTE)) GROUP BY window_start",
        "SELECT v, MAX(n) AS m FROM (SELECT DATE_BIN(INTERVAL '4' MINUTE, ws) AS v, n FROM \
         (SELECT k, window_start AS ws, COUNT(*) AS n FROM r WHERE k > 0 \
          GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)) AS w) AS q GROUP BY v",
    ),
    // A key of a session is of any type, also one with zeros and NaNs.
    (
        "SELECT s, window_start, window_end, COUNT(*), SUM(i), MAX(g), AVG(w) FROM r \
         GROUP BY s, SESSION(ts, INTERVAL '2' MINUTE)",
        "SELECT s, MIN(ts), MAX(ts) + INTERVAL '2' MINUTE, COUNT(*), SUM(i), MAX(g), AVG(w) FROM \
         (SELECT *, SUM(apart) OVER (PARTITION BY s ORDER BY ts) AS island FROM \
          (SELECT *, CASE WHEN ts < LAG(ts) OVER (PARTITION BY s ORDER BY ts) \
                               + INTERVAL '2' MINUTE THEN 0 ELSE 1 END AS apart FROM r) AS p) AS q \
         GROUP BY s, island",
    ),
    (
        "SELECT window_start, window_end, COUNT(*) FROM r WHERE k = 1 AND b \
         GROUP BY SESSION(ts, INTERVAL '150' SECOND) HAVING COUNT(*) > 1",
        "SELECT MIN(ts), MAX(ts) + INTERVAL '150' SECOND, COUNT(*) FROM \
         (SELECT *, SUM(apart) OVER (ORDER BY ts) AS island FROM \
          (SELECT *, CASE WHEN ts < LAG(ts) OVER (ORDER BY ts) + INTERVAL '150' SECOND \
                     THEN 0 ELSE 1 END AS apart FROM r WHERE k = 1 AND b) AS p) AS q \
         GROUP BY island HAVING COUNT(*) > 1",
    ),
    // Sessions that meet hold the rows of both: in order, and each value once.
    (
        "SELECT s, window_start, COUNT(*) AS n, COUNT(DISTINCT k) AS ks, MEDIAN(i) AS middle, \
                SUM(DISTINCT k) AS total, ARRAY_AGG(i ORDER BY i) AS items, \
                FIRST_VALUE(i ORDER BY i) AS head, BOOL_OR(b) AS whether, \
                COUNT(DISTINCT i) FILTER (WHERE b) AS part FROM r \
         GROUP BY s, SESSION(ts, INTERVAL '2' MINUTE) HAVING COUNT(DISTINCT k) > 0",
        "SELECT s, MIN(ts), COUNT(*), COUNT(DISTINCT k), MEDIAN(i), SUM(DISTINCT k), \
                ARRAY_AGG(i ORDER BY i), FIRST_VALUE(i ORDER BY i), BOOL_OR(b), \
                COUNT(DISTINCT i) FILTER (WHERE b) FROM \
         (SELECT *, SUM(apart) OVER (PARTITION BY s ORDER BY ts) AS island FROM \
          (SELECT *, CASE WHEN ts < LAG(ts) OVER (PARTITION BY s ORDER BY ts) \
                               + INTERVAL '2' MINUTE THEN 0 ELSE 1 END AS apart FROM r) AS p) AS q \
         GROUP BY s, island HAVING COUNT(DISTINCT k) > 0",
    ),
    // Of what USING made one column `*` gives the left side's, whatever relations are called.
    (
        "SELECT * FROM (SELECT i, k FROM r) AS z LEFT JOIN (SELECT i, s FROM r WHERE k > 2) AS a \
         USING (i)",
        "SELECT z.i, z.k, a.s FROM (SELECT i, k FROM r) AS z LEFT JOIN \
         (SELECT i, s FROM r WHERE k > 2) AS a ON z.i = a.i",
    ),
    (
        "SELECT *, 1 AS one FROM (SELECT i, k FROM r) AS z LEFT JOIN (SELECT i, s FROM r WHERE b) \
         AS y USING (i) LEFT JOIN (SELECT k, i, x FROM r WHERE k > 2) AS a USING (k, i)",
        "SELECT z.i, z.k, y.s, a.x, 1 AS one FROM (SELECT i, k FROM r) AS z LEFT JOIN \
         (SELECT i, s FROM r WHERE b) AS y ON z.i = y.i LEFT JOIN \
         (SELECT k, i, x FROM r WHERE k > 2) AS a ON z.k = a.k AND z.i = a.i",
    ),
    // NULL that is computed, of columns that are not NULL.
    (
        "SELECT ts FROM r WHERE NULLIF(ts, TIMESTAMP '2025-11-06T00:00:00.271') NOT IN \
         (SELECT ts FROM r WHERE k = 1)",
        "SELECT ts FROM r WHERE ts <> TIMESTAMP '2025-11-06T00:00:00.271' \
         AND ts NOT IN (SELECT ts FROM r WHERE k = 1)",
    ),
    (
        "SELECT ts FROM r WHERE CAST(NULL AS TIMESTAMP(3)) NOT IN (SELECT DISTINCT ts FROM r)",
        "SELECT ts FROM r WHERE FALSE",
    ),
    (
        "SELECT ts, k FROM r AS a WHERE TIMESTAMP '2025-11-06T00:00:00.271' NOT IN \
         (SELECT ts FROM r AS c WHERE c.k = a.k)",
        "SELECT ts, k FROM r AS a WHERE NOT EXISTS (SELECT 1 FROM r AS c WHERE c.k = a.k \
         AND c.ts = TIMESTAMP '2025-11-06T00:00:00.271')",
    ),
    (
        "SELECT ts, k FROM r AS a WHERE ts NOT IN (SELECT DISTINCT ts FROM r AS c \
         WHERE c.k = a.i)",
        "SELECT ts, k FROM r AS a WHERE NOT EXISTS (SELECT 1 FROM r AS c WHERE c.k = a.i \
         AND c.ts = a.ts)",
    ),
    // What USING made one column is the left side's, wherever it is named.
    (
        "SELECT k, i, other FROM r AS a JOIN r AS c USING (k, i) \
         JOIN (SELECT i AS same, s AS other FROM r) AS d ON same = i AND k = 1",
        "SELECT a.k, a.i, d.s FROM r AS a JOIN r AS c ON a.k = c.k AND a.i = c.i \
         JOIN r AS d ON d.i = a.i AND a.k = 1",
    ),
    (
        "SELECT k, COUNT(*) AS n FROM r AS a JOIN r AS c USING (k, i) JOIN r AS d USING (k, i) \
         WHERE k > 0 GROUP BY k HAVING k < 9",
        "SELECT a.k, COUNT(*) AS n FROM r AS a JOIN r AS c ON a.k = c.k AND a.i = c.i \
         JOIN r AS d ON a.k = d.k AND a.i = d.i WHERE a.k > 0 GROUP BY a.k HAVING a.k < 9",
    ),
    (
        "SELECT i, a.k, c.s FROM r AS a LEFT JOIN \
         (r AS b JOIN (SELECT i, s FROM r WHERE k > 0) AS c USING (i)) USING (i)",
        "SELECT a.i, a.k, c.s FROM r AS a LEFT JOIN \
         (r AS b JOIN (SELECT i, s FROM r WHERE k > 0) AS c ON b.i = c.i) ON a.i = b.i",
    ),
    // That of a right join is the right side's, of a full one the first that is not NULL.
    (
        "SELECT i, z.k, a.s FROM (SELECT i, k FROM r WHERE b) AS z \
         RIGHT JOIN (SELECT i, s FROM r WHERE k > 0) AS a USING (i) WHERE i <> 7",
        "SELECT a.i, z.k, a.s FROM (SELECT i, k FROM r WHERE b) AS z \
         RIGHT JOIN (SELECT i, s FROM r WHERE k > 0) AS a ON z.i = a.i WHERE a.i <> 7",
    ),
    (
        "SELECT * FROM (SELECT x, k FROM r WHERE b) AS z RIGHT JOIN \
         (SELECT s, k FROM r WHERE i > 0) AS a USING (k)",
        "SELECT z.x, a.k, a.s FROM (SELECT x, k FROM r WHERE b) AS z RIGHT JOIN \
         (SELECT s, k FROM r WHERE i > 0) AS a ON z.k = a.k",
    ),
    (
        "SELECT *, k + 1 AS next FROM (SELECT x, k FROM r WHERE b AND k > 0) AS z FULL JOIN \
         (SELECT s, k FROM r WHERE k < 2) AS a USING (k)",
        "SELECT z.x, COALESCE(z.k, a.k) AS k, a.s, COALESCE(z.k, a.k) + 1 AS next FROM \
         (SELECT x, k FROM r WHERE b AND k > 0) AS z FULL JOIN \
         (SELECT s, k FROM r WHERE k < 2) AS a ON z.k = a.k",
    ),
    (
        "SELECT k, i FROM (SELECT k, i FROM r WHERE b) AS z FULL JOIN \
         (SELECT k, i FROM r WHERE k < 2) AS a USING (k, i) ORDER BY k, i",
        "SELECT COALESCE(z.k, a.k) AS k, COALESCE(z.i, a.i) AS i FROM \
         (SELECT k, i FROM r WHERE b) AS z FULL JOIN (SELECT k, i FROM r WHERE k < 2) AS a \
         ON z.k = a.k AND z.i = a.i",
    ),
    (
        "SELECT k, e.s FROM (SELECT k FROM r WHERE k > 0) AS z FULL JOIN \
         (SELECT k FROM r WHERE k < 2) AS a USING (k) LEFT JOIN r AS e USING (k) WHERE k <> -1",
        "SELECT y.k, e.s FROM (SELECT COALESCE(z.k, a.k) AS k FROM (SELECT k FROM r WHERE k > 0) \
         AS z FULL JOIN (SELECT k FROM r WHERE k < 2) AS a ON z.k = a.k) AS y \
         LEFT JOIN r AS e ON y.k = e.k WHERE y.k <> -1",
    ),
    (
        "SELECT * FROM (SELECT k, i FROM r WHERE k > 1) AS z FULL JOIN \
         (SELECT k FROM r WHERE k < 1) AS a USING (k) FULL JOIN \
         (SELECT x, k FROM r WHERE b) AS e USING (k)",
        "SELECT COALESCE(y.k, e.k) AS k, y.i, e.x FROM (SELECT COALESCE(z.k, a.k) AS k, z.i FROM \
         (SELECT k, i FROM r WHERE k > 1) AS z FULL JOIN (SELECT k FROM r WHERE k < 1) AS a \
         ON z.k = a.k) AS y FULL JOIN (SELECT x, k FROM r WHERE b) AS e ON y.k = e.k",
    ),
    (
        "SELECT i, c.k, b.s FROM r AS c JOIN ((SELECT i, s FROM r WHERE k > 0) AS b FULL JOIN \
         (SELECT i FROM r WHERE b) AS d USING (i)) USING (i)",
        "SELECT c.i, c.k, y.s FROM r AS c JOIN (SELECT COALESCE(b.i, d.i) AS i, b.s FROM \
         (SELECT i, s FROM r WHERE k > 0) AS b FULL JOIN (SELECT i FROM r WHERE b) AS d \
         ON b.i = d.i) AS y ON c.i = y.i",
    ),
    (
        "SELECT k, s FROM (SELECT k FROM r WHERE b) AS z RIGHT SEMI JOIN r AS a USING (k)",
        "SELECT k, s FROM r AS a WHERE k IN (SELECT k FROM r WHERE b)",
    ),
    // Rows that are there n and m times: n - m stay of EXCEPT ALL, the lesser of INTERSECT ALL.
    (
        "SELECT k, b FROM r EXCEPT ALL SELECT k, b FROM r WHERE i > 0",
        "SELECT q.k, q.b FROM (SELECT a.k, a.b, a.n - COALESCE(c.n, 0) AS n FROM \
         (SELECT k, b, COUNT(*) AS n FROM r GROUP BY k, b) AS a LEFT JOIN \
         (SELECT k, b, COUNT(*) AS n FROM r WHERE i > 0 GROUP BY k, b) AS c \
         ON (a.k IS NOT DISTINCT FROM c.k) AND (a.b IS NOT DISTINCT FROM c.b)) AS q \
         CROSS JOIN UNNEST(generate_series(1, q.n)) AS z",
    ),
    (
        "SELECT k, b FROM r INTERSECT ALL SELECT k, NOT b FROM r",
        "SELECT q.k, q.b FROM (SELECT a.k, a.b, LEAST(a.n, c.n) AS n FROM \
         (SELECT k, b, COUNT(*) AS n FROM r GROUP BY k, b) AS a JOIN \
         (SELECT k, NOT b AS b, COUNT(*) AS n FROM r GROUP BY k, NOT b) AS c \
         ON (a.k IS NOT DISTINCT FROM c.k) AND (a.b IS NOT DISTINCT FROM c.b)) AS q \
         CROSS JOIN UNNEST(generate_series(1, q.n)) AS z",
    ),
    (
        "SELECT s, COUNT(*) AS n FROM (SELECT s FROM r WHERE b EXCEPT ALL SELECT s FROM r \
         WHERE NOT b AND k = 1) AS q GROUP BY s",
        "SELECT a.s, a.n - COALESCE(c.n, 0) AS n FROM \
         (SELECT s, COUNT(*) AS n FROM r WHERE b GROUP BY s) AS a LEFT JOIN \
         (SELECT s, COUNT(*) AS n FROM r WHERE NOT b AND k = 1 GROUP BY s) AS c \
         ON (a.s IS NOT DISTINCT FROM c.s) WHERE a.n > COALESCE(c.n, 0)",
    ),
    (
        "SELECT COUNT(*) FROM (SELECT CAST(k AS DOUBLE) AS k FROM r INTERSECT ALL \
         SELECT i FROM r) AS q",
        "SELECT COALESCE(SUM(LEAST(a.n, c.n)), 0) FROM \
         (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS a JOIN \
         (SELECT i, COUNT(*) AS n FROM r GROUP BY i) AS c ON (a.k IS NOT DISTINCT FROM c.i)",
    ),
    // Values that meet the outer columns by more than equalities.
    (
        "SELECT a.i, (SELECT COUNT(*) FROM r AS c WHERE c.k = a.k AND c.i <= a.i) AS n, \
         (SELECT MAX(c.i) - 1 FROM r AS c WHERE c.i < a.i AND (c.s = a.s OR a.b)) AS m FROM r AS a \
         WHERE a.k = 1",
        "SELECT y.i, y.n, MAX(c.i) - 1 AS m FROM (SELECT a.z, a.i, a.s, a.b, COUNT(c.one) AS n \
         FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY ts, i, k, s) AS z FROM r WHERE k = 1) AS a \
         LEFT JOIN (SELECT k, i, 1 AS one FROM r) AS c ON c.k = a.k AND c.i <= a.i \
         GROUP BY a.z, a.i, a.s, a.b) AS y LEFT JOIN r AS c ON c.i < y.i AND (c.s = y.s OR y.b) \
         GROUP BY y.z, y.i, y.n",
    ),
    (
        "SELECT a.i, a.s FROM r AS a WHERE 2 > (SELECT COUNT(c.x) FROM r AS c \
         WHERE c.s = a.s AND c.i > a.i) AND a.i > (SELECT SUM(c.k) FROM r AS c WHERE c.k < a.k)",
        "SELECT y.i, y.s FROM (SELECT a.z, a.i, a.s, a.k, COUNT(c.x) AS n \
         FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY ts, i, k, s) AS z FROM r) AS a \
         LEFT JOIN r AS c ON c.s = a.s AND c.i > a.i GROUP BY a.z, a.i, a.s, a.k) AS y \
         JOIN r AS c ON c.k < y.k WHERE 2 > y.n GROUP BY y.z, y.i, y.s HAVING y.i > SUM(c.k)",
    ),
    // Whether there is a greater one, a lesser one or another one.
    (
        "SELECT a.i, a.x FROM r AS a WHERE EXISTS (SELECT 1 FROM r AS c WHERE c.k = a.k \
         AND c.x > a.x)",
        "SELECT a.i, a.x FROM r AS a JOIN (SELECT k, MAX(x) AS m FROM r GROUP BY k) AS c \
         ON a.k = c.k WHERE c.m > a.x",
    ),
    (
        "SELECT a.i, a.s FROM r AS a WHERE NOT EXISTS (SELECT 1 FROM r AS c WHERE c.k = a.k \
         AND c.b AND c.s <> a.s)",
        "SELECT a.i, a.s FROM r AS a LEFT JOIN (SELECT k, COUNT(DISTINCT s) AS n, MIN(s) AS m \
         FROM r WHERE b GROUP BY k) AS c ON a.k = c.k \
         WHERE a.s IS NULL OR COALESCE(c.n, 0) = 0 OR c.n = 1 AND c.m = a.s",
    ),
    (
        "SELECT i FROM r AS a WHERE a.b OR EXISTS (SELECT 1 FROM r AS c WHERE c.k = a.k \
         AND a.i >= c.i + 0 AND a.x <> c.y) OR EXISTS (SELECT 1 FROM r AS c WHERE c.s = a.s \
         AND c.ts < a.ts)",
        "SELECT i FROM (SELECT a.i, a.b, a.ts, a.x, c.m, d.one FROM \
         (SELECT *, ROW_NUMBER() OVER (ORDER BY ts, i, k, s) AS z FROM r) AS a \
         LEFT JOIN (SELECT s, MIN(ts) AS m FROM r GROUP BY s) AS c ON c.s = a.s \
         LEFT JOIN (SELECT DISTINCT a.z, 1 AS one FROM (SELECT *, ROW_NUMBER() OVER \
         (ORDER BY ts, i, k, s) AS z FROM r) AS a JOIN r AS c ON c.k = a.k AND a.i >= c.i \
         AND a.x <> c.y) AS d ON a.z = d.z) AS q WHERE b OR m < ts OR one = 1",
    ),
    // IN of a UNION beside OR.
    (
        "SELECT i, b FROM r WHERE b OR ts IN (SELECT ts FROM r WHERE k = 1 UNION ALL \
         SELECT ts + INTERVAL '1' SECOND FROM r WHERE k = 2)",
        "SELECT i, b FROM r WHERE b OR ts IN (SELECT ts FROM r WHERE k = 1) OR ts IN \
         (SELECT ts + INTERVAL '1' SECOND AS ts FROM r WHERE k = 2)",
    ),
    (
        "SELECT k, i FROM r WHERE i IN (SELECT CAST(z.k AS INT) FROM r AS z WHERE z.k > r.k)",
        "SELECT k, i FROM r WHERE EXISTS (SELECT 1 FROM r AS z WHERE z.k = r.i AND z.k > r.k)",
    ),
    // NULL in a list may be what is looked for.
    (
        "SELECT s = ANY(ARRAY[s, NULL]) AS a, NOT k = ANY(ARRAY[1, NULL]) AS c, \
                k <> ANY(ARRAY[1, NULL]) AS d, k > SOME(ARRAY[i, NULL]) AS e FROM r",
        "SELECT CASE WHEN s IS NOT NULL THEN TRUE END, CASE WHEN k = 1 THEN FALSE END, \
                CASE WHEN k <> 1 THEN TRUE END, CASE WHEN k > i THEN TRUE END FROM r",
    ),
    // Lengths compare by how long they are.
    (
        "SELECT k, i FROM r WHERE ts - TIMESTAMP '2025-11-06T00:01:00' < INTERVAL '10' MINUTE \
         AND ts - TIMESTAMP '2025-11-01T00:00:00' > INTERVAL '5' DAY \
         AND INTERVAL '1' MONTH > ts - TIMESTAMP '2025-10-07T00:02:00'",
        "SELECT k, i FROM r WHERE ts < TIMESTAMP '2025-11-06T00:11:00' \
         AND ts > TIMESTAMP '2025-11-06T00:00:00' AND ts < TIMESTAMP '2025-11-06T00:02:00'",
    ),
    (
        "SELECT a.i, c.i AS j FROM r AS a JOIN r AS c ON a.k = c.k \
         AND c.ts - a.ts < INTERVAL '1' DAY AND c.ts >= a.ts",
        "SELECT a.i, c.i AS j FROM r AS a JOIN r AS c ON a.k = c.k \
         AND c.ts < a.ts + INTERVAL '1' DAY AND c.ts >= a.ts",
    ),
    // No call counts rows, and the changelog does.
    (
        "SELECT window_start, MAX(i) AS m, MIN(ts) AS first FROM r WHERE b \
         GROUP BY SESSION(ts, INTERVAL '150' SECOND)",
        "SELECT MIN(ts), MAX(i), MIN(ts) FROM \
         (SELECT *, SUM(apart) OVER (ORDER BY ts) AS island FROM \
          (SELECT *, CASE WHEN ts < LAG(ts) OVER (ORDER BY ts) + INTERVAL '150' SECOND \
                     THEN 0 ELSE 1 END AS apart FROM r WHERE b) AS p) AS q GROUP BY island",
    ),
    // The time is also an argument: it is not the window's bound that is aggregated.
    (
        "SELECT window_start, MIN(ts) AS first, MAX(ts) AS last FROM r \
         GROUP BY HOP(ts, INTERVAL '2' MINUTE, INTERVAL '4' MINUTE)",
        "SELECT z, MIN(ts), MAX(ts) FROM (SELECT *, generate_series( \
            DATE_BIN(INTERVAL '2' MINUTE, ts) - INTERVAL '2' MINUTE, \
            DATE_BIN(INTERVAL '2' MINUTE, ts), INTERVAL '2' MINUTE) AS zs FROM r) AS q \
         CROSS JOIN UNNEST(zs) AS z GROUP BY z",
    ),
    // Conditions on the windows of a row are on groups, those on the row itself are not.
    (
        "SELECT window_start, k, MIN(ts) AS first FROM \
         HOP(r, ts, INTERVAL '2' MINUTE, INTERVAL '4' MINUTE) AS h WHERE i > 0 AND \
         h.window_start >= TIMESTAMP '2025-11-06T00:03:00' AND (k > 1 OR k IS NULL) \
         AND h.window_start < TIMESTAMP '2025-11-06T00:40:00' GROUP BY h.window_start, k",
        "SELECT z, k, MIN(ts) FROM (SELECT *, generate_series( \
            DATE_BIN(INTERVAL '2' MINUTE, ts) - INTERVAL '2' MINUTE, \
            DATE_BIN(INTERVAL '2' MINUTE, ts), INTERVAL '2' MINUTE) AS zs FROM r) AS q \
         CROSS JOIN UNNEST(zs) AS z WHERE i > 0 AND z >= TIMESTAMP '2025-11-06T00:03:00' \
         AND (k > 1 OR k IS NULL) AND z < TIMESTAMP '2025-11-06T00:40:00' GROUP BY z, k",
    ),
    (
        "SELECT w, COUNT(*) AS n FROM (SELECT window_start AS w, s, i + 1 AS j FROM (SELECT * FROM \
         HOP(r, ts, INTERVAL '2' MINUTE, INTERVAL '4' MINUTE) WHERE EXTRACT(MINUTE FROM \
         window_start) < 20) AS p WHERE b) AS q WHERE w <> TIMESTAMP '2025-11-06T00:02:00' \
         AND j <> 3 GROUP BY w HAVING w > TIMESTAMP '2025-11-06T00:00:00'",
        "SELECT z, COUNT(*) FROM (SELECT *, generate_series( \
            DATE_BIN(INTERVAL '2' MINUTE, ts) - INTERVAL '2' MINUTE, \
            DATE_BIN(INTERVAL '2' MINUTE, ts), INTERVAL '2' MINUTE) AS zs FROM r) AS q \
         CROSS JOIN UNNEST(zs) AS z WHERE b AND i + 1 <> 3 AND EXTRACT(MINUTE FROM z) < 20 \
         AND z NOT IN (TIMESTAMP '2025-11-06T00:02:00') AND z > TIMESTAMP '2025-11-06T00:00:00' \
         GROUP BY z",
    ),
    (
        "SELECT y, window_start, window_end, COUNT(*), COUNT(DISTINCT k), ARRAY_AGG(i ORDER BY i), \
                MEDIAN(w), SUM(DISTINCT k) FROM r \
         GROUP BY y, HOP(ts, INTERVAL '2' MINUTE, INTERVAL '5' MINUTE)",
        "SELECT y, z, z + INTERVAL '5' MINUTE, COUNT(*), COUNT(DISTINCT k), \
                ARRAY_AGG(i ORDER BY i), MEDIAN(w), SUM(DISTINCT k) FROM \
         (SELECT *, generate_series(DATE_BIN(INTERVAL '2' MINUTE, ts) - INTERVAL '4' MINUTE, \
                                    DATE_BIN(INTERVAL '2' MINUTE, ts), INTERVAL '2' MINUTE) AS zs \
          FROM r) AS q CROSS JOIN UNNEST(zs) AS z WHERE z + INTERVAL '5' MINUTE > ts GROUP BY y, z",
    ),
    (
        "SELECT window_start, window_end, COUNT(*), COUNT(DISTINCT s), SUM(n) FROM r \
         GROUP BY CUMULATE(ts, INTERVAL '3' MINUTE, INTERVAL '15' MINUTE)",
        "SELECT start, z, COUNT(*), COUNT(DISTINCT s), SUM(n) FROM \
         (SELECT *, DATE_BIN(INTERVAL '15' MINUTE, ts) AS start, \
                 generate_series(DATE_BIN(INTERVAL '15' MINUTE, ts) + INTERVAL '3' MINUTE, \
                                 DATE_BIN(INTERVAL '15' MINUTE, ts) + INTERVAL '15' MINUTE, \
                                 INTERVAL '3' MINUTE) AS zs \
          FROM r) AS q CROSS JOIN UNNEST(zs) AS z WHERE z > ts GROUP BY start, z",
    ),
    (
        "SELECT window_start, window_end, s, COUNT(*), COUNT(DISTINCT k) FROM \
         TUMBLE(r, ts, INTERVAL '7' MINUTE) GROUP BY window_start, window_end, s",
        "SELECT window_start, window_end, s, COUNT(*), COUNT(DISTINCT k) FROM r \
         GROUP BY s, TUMBLE(ts, INTERVAL '7' MINUTE)",
    ),
    (
        "SELECT window_start, s, SUM(i) FROM \
         TABLE(TUMBLE(TABLE r, DESCRIPTOR(ts), INTERVAL '7' MINUTE)) \
         GROUP BY window_start, window_end, s",
        "SELECT window_start, s, SUM(i) FROM r GROUP BY s, TUMBLE(ts, INTERVAL '7' MINUTE)",
    ),
    (
        "SELECT window_start, window_end, COUNT(*) FROM \
         HOP(r, ts, INTERVAL '2' MINUTE, INTERVAL '5' MINUTE) GROUP BY window_start, window_end",
        "SELECT z, z + INTERVAL '5' MINUTE, COUNT(*) FROM \
         (SELECT *, generate_series(DATE_BIN(INTERVAL '2' MINUTE, ts) - INTERVAL '4' MINUTE, \
                                    DATE_BIN(INTERVAL '2' MINUTE, ts), INTERVAL '2' MINUTE) AS zs \
          FROM r) AS q CROSS JOIN UNNEST(zs) AS z WHERE z + INTERVAL '5' MINUTE > ts GROUP BY z",
    ),
    // NOT IN over columns that may be NULL, as what it says of each row.
    (
        "SELECT i, k FROM r WHERE k NOT IN (SELECT i FROM r WHERE b AND i IS NOT NULL)",
        "SELECT i, k FROM r WHERE k IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM r AS c WHERE c.b AND c.i = r.k)",
    ),
    (
        "SELECT i, s FROM r WHERE i > 0 AND s NOT IN (SELECT s FROM r WHERE i < -990000)",
        "SELECT i, s FROM r WHERE i > 0 AND NOT EXISTS (SELECT 1 FROM r AS c \
         WHERE c.i < -990000 AND (c.s = r.s OR c.s IS NULL OR r.s IS NULL))",
    ),
    (
        "SELECT i, s FROM r WHERE NOT s IN (SELECT s FROM r)",
        "SELECT i, s FROM r WHERE NOT EXISTS (SELECT 1 FROM r AS c \
         WHERE c.s = r.s OR c.s IS NULL OR r.s IS NULL)",
    ),
    (
        "SELECT i, k FROM r WHERE k NOT IN (SELECT i FROM r WHERE i > 2000000)",
        "SELECT i, k FROM r",
    ),
    (
        "SELECT i, k, s FROM r WHERE k NOT IN (SELECT w / 9999 FROM r AS c WHERE c.s = r.s)",
        "SELECT i, k, s FROM r WHERE NOT EXISTS (SELECT 1 FROM r AS c WHERE c.s = r.s \
         AND (c.w / 9999 = r.k OR c.w IS NULL OR r.k IS NULL))",
    ),
    (
        "SELECT i, k FROM r WHERE 3 NOT IN (SELECT k FROM r AS c WHERE c.s = r.s AND c.i < r.i)",
        "SELECT i, k FROM r WHERE NOT EXISTS (SELECT 1 FROM r AS c WHERE c.s = r.s AND c.i < r.i \
         AND (c.k = 3 OR c.k IS NULL))",
    ),
    (
        "SELECT i FROM r WHERE 5 NOT IN (SELECT k FROM r AS c WHERE c.i > 0)",
        "SELECT i FROM r WHERE NOT EXISTS (SELECT 1 FROM r AS c WHERE c.i > 0 AND c.k IS NULL)",
    ),
    (
        "SELECT k, COUNT(*) FROM r WHERE k NOT IN (SELECT i FROM r GROUP BY i HAVING COUNT(*) > 1) \
         GROUP BY k",
        "SELECT k, COUNT(*) FROM r WHERE NOT EXISTS (SELECT 1 FROM \
         (SELECT i FROM r GROUP BY i HAVING COUNT(*) > 1) AS c \
         WHERE c.i = r.k OR c.i IS NULL OR r.k IS NULL) GROUP BY k",
    ),
    // Constants in quotes beside booleans.
    (
        "SELECT i FROM r WHERE b = 'true' OR 'f' <> b",
        "SELECT i FROM r WHERE b = TRUE OR FALSE <> b",
    ),
    (
        "SELECT i, b IN ('yes', 'OFF', NULL), b >= ' T' FROM r \
         WHERE (i > 0) = 'on' AND b IS DISTINCT FROM '0'",
        "SELECT i, b IN (TRUE, FALSE, NULL), b >= TRUE FROM r \
         WHERE (i > 0) = TRUE AND b IS DISTINCT FROM FALSE",
    ),
    // One column by several spellings.
    (
        "SELECT k, \"k\", K, r.k, R.\"k\" FROM r",
        "SELECT k, k AS k2, k AS k3, k AS k4, k AS k5 FROM r",
    ),
];

/// Each is in an order that leaves nothing open.
pub(crate) const ORDERED: &[&str] = &[
    "SELECT k, s, i FROM r ORDER BY k, s, i",
    "SELECT k, s, i FROM r ORDER BY i DESC, k NULLS FIRST, s LIMIT 17",
    "SELECT ts, tm, d FROM r ORDER BY tm DESC NULLS LAST, ts, d LIMIT 5 OFFSET 40",
    "SELECT n, g FROM r WHERE b ORDER BY n, g DESC OFFSET 20",
    "SELECT i FROM r ORDER BY i LIMIT 0",
    "SELECT k, COUNT(*) AS c, SUM(i) AS t FROM r GROUP BY k ORDER BY c DESC, k LIMIT 3",
    "SELECT s, COUNT(DISTINCT k) AS c FROM r GROUP BY s HAVING COUNT(*) > 2 \
     ORDER BY s DESC OFFSET 1",
    "SELECT window_start, COUNT(*) FROM r GROUP BY TUMBLE(ts, INTERVAL '3' MINUTE) \
     ORDER BY window_start DESC LIMIT 4",
    "SELECT DISTINCT k, b FROM r ORDER BY b, k LIMIT 6 OFFSET 2",
    "SELECT tag, z, ts FROM r CROSS JOIN UNNEST(tags) WITH ORDINALITY AS u(tag, z) \
     ORDER BY ts, z, tag LIMIT 30",
];
