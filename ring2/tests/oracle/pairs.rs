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
