//! Queries that are written by hand, each for something that it compares.

/// Over every record and over none.
pub(crate) const HAND_WRITTEN: &[&str] = &[
    // Of which shards have no parts to merge.
    "SELECT MIN(tags) AS a, MAX(tags) AS b, MIN(o) AS c, MAX(o) AS d, COUNT(*) AS n FROM r",
    "SELECT SUM(CASE b WHEN TRUE THEN INTERVAL '1 month' ELSE INTERVAL '2 hours' END) AS s FROM r",
    "SELECT (TIMESTAMP '2025-11-06T00:20:00' < ts) IS NOT FALSE AS late, COUNT(*) FROM r \
     GROUP BY late",
    "SELECT DISTINCT (CAST(k AS VARCHAR) = TO_HEX(255)) IS NOT TRUE AS v, i IS UNKNOWN AS u FROM \
     (SELECT k, i > 3 AS i FROM r) AS q",
    "SELECT k, s, b, d, t, i, x FROM r",
    "SELECT i + 1 AS a, -i AS b, i * 2 - k AS c, x / 2.0 AS d FROM r WHERE i > 10 AND x < 5.0",
    "SELECT UPPER(s) AS u, LOWER(s) AS l FROM r WHERE s IS NOT NULL AND NOT b",
    "SELECT k FROM r WHERE b OR k IS NULL",
    "SELECT COUNT(*) FROM r",
    "SELECT COUNT(*), COUNT(k), SUM(i), AVG(x), MIN(x), MAX(x), MIN(s), MAX(d) FROM r",
    "SELECT COUNT(*), SUM(i), MIN(t) FROM r WHERE k > 1000",
    "SELECT k, COUNT(*), SUM(i), AVG(i), MIN(i), MAX(i) FROM r GROUP BY k",
    "SELECT s, COUNT(x), MIN(x), MAX(x), MIN(t), MAX(d), MIN(b) FROM r GROUP BY s",
    "SELECT y, COUNT(*), COUNT(y) FROM r GROUP BY y",
    "SELECT y, y * 2.0 AS z FROM r WHERE y >= 2.0 OR y = 0.0",
    "SELECT d, t, COUNT(*) FROM r GROUP BY d, t",
    "SELECT k, s, b, SUM(i), STDDEV(i) FROM r GROUP BY k, s, b HAVING COUNT(*) > 3",
    "SELECT k + 1 AS next, MAX(s), MIN(s) FROM r GROUP BY k + 1",
    "SELECT b, STDDEV(i), STDDEV_POP(i), VAR_SAMP(i), VAR_POP(i) FROM r GROUP BY b",
    "SELECT k, AVG(i) + MAX(i) AS a FROM r WHERE d >= DATE '2025-05-05' GROUP BY k",
    "SELECT DISTINCT k, s FROM r WHERE i > 0",
    "SELECT DISTINCT ON (k) k, i FROM r ORDER BY k, i DESC",
    "SELECT b, SUM(i) FROM (SELECT DISTINCT ON (k, s) b, i FROM r ORDER BY s, k, i, b) AS q \
     GROUP BY b",
    "SELECT DISTINCT * FROM (SELECT b, k + 1 AS n FROM r) AS q",
    "SELECT k, COUNT(*) AS groups, SUM(n) AS rows FROM \
     (SELECT k, s, COUNT(*) AS n FROM r GROUP BY k, s) AS q GROUP BY k",
    "SELECT k, n, MAX(m) FROM (SELECT k, COUNT(*) AS n, MAX(i) AS m FROM r GROUP BY k) AS q \
     GROUP BY k, n",
    "SELECT COUNT(*), AVG(n), MAX(n) FROM (SELECT s, COUNT(*) AS n FROM r GROUP BY s) AS q",
    "WITH a AS (SELECT k, b, SUM(i) AS n FROM r GROUP BY k, b), \
          c AS (SELECT b, COUNT(*) AS n, MAX(n) AS m FROM a WHERE n > 0 GROUP BY b) \
     SELECT COUNT(*) AS groups, MAX(m) AS m FROM c",
    "SELECT k, k AS again, COUNT(*), MAX(x) FROM r GROUP BY k, again, k HAVING COUNT(*) > 1",
    "SELECT k, window_end, STDDEV(i) FROM r \
     GROUP BY k, TUMBLE(ts, INTERVAL '5' MINUTE), TUMBLE(ts, INTERVAL '5' MINUTE), 1",
    "SELECT DISTINCT k, k, s FROM r",
    "SELECT window_end, COUNT(*) FROM (SELECT ts, b, k FROM r WHERE (b AND k > 0) IS NOT UNKNOWN) \
     AS q WHERE b IS UNKNOWN OR b GROUP BY TUMBLE(ts, INTERVAL '5' MINUTE)",
    "SELECT COUNT(*), 1 AS one, -7 AS two FROM r GROUP BY one, 3",
    "SELECT one, s, COUNT(*) FROM (SELECT 3 AS one, s FROM r) AS q GROUP BY one, s",
    "SELECT one, VARIANCE(n) FROM (SELECT s, 2 AS one, COUNT(*) AS n FROM r GROUP BY s, 2) AS q \
     GROUP BY one",
    "SELECT k, window_start, SUM(i) FROM (SELECT ts, k, i FROM r WHERE i > 0) AS q \
     GROUP BY k, TUMBLE(ts, INTERVAL '5' MINUTE)",
    "SELECT n, COUNT(*) FROM (SELECT COUNT(*) AS n FROM r) AS q GROUP BY n",
    "SELECT window_start, COUNT(*), MAX(n) FROM \
     (SELECT k, TUMBLE(ts, INTERVAL '5' MINUTE), COUNT(*) AS n FROM r \
      GROUP BY k, TUMBLE(ts, INTERVAL '5' MINUTE)) AS q GROUP BY window_start",
    "SELECT TUMBLE(ts, INTERVAL '1' MINUTE) AS w, COUNT(*) FROM r \
     GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)",
    "SELECT k, window_start, window_end, SUM(i), MAX(s) FROM r \
     GROUP BY k, TUMBLE(ts, INTERVAL '7' MINUTE) HAVING COUNT(*) > 1",
    "SELECT 1 AS one, 'x' AS x, CAST(NULL AS INT) AS n, 2 + 3.5 AS f WHERE 1 < 2",
    "VALUES (1, 'a', NULL), (2, NULL, 2.5), (NULL, 'c', 1)",
    "SELECT v.name, COUNT(*) AS n, SUM(r.i) AS i FROM r JOIN \
     (VALUES (1, 'one'), (2, 'two'), (NULL, 'none'), (2, 'again')) AS v(k, name) ON r.k = v.k \
     GROUP BY v.name",
    "SELECT name, s FROM (VALUES (1, 'one'), (99999, 'far')) AS v(k, name) LEFT JOIN r ON r.k = v.k",
    "SELECT COUNT(*) AS n FROM (SELECT RANDOM() AS x FROM r) AS q WHERE x < 0.5 AND x >= 0.5",
    "SELECT k, i FROM r AS a WHERE EXISTS \
     (SELECT 1 FROM r AS b WHERE b.k = a.k AND b.k = a.w AND b.i > a.i)",
    "SELECT k, s FROM r WHERE k IN (VALUES (1), (3)) OR k = (SELECT MAX(2))",
    "SELECT k + (SELECT 20) AS a, (SELECT UPPER(s)) AS u FROM r WHERE k > (SELECT (SELECT 1)) - k",
    "SELECT SUM(a) AS s, COUNT(*) AS n FROM \
     (SELECT 1 AS a UNION ALL SELECT 2 UNION ALL VALUES (3), (4)) AS q",
    "SELECT s, TUMBLE_START(ts, INTERVAL '1' HOUR) AS h, COUNT(x) FROM r \
     GROUP BY s, TUMBLE(ts, INTERVAL '1' HOUR)",
];

/// Sets of keys, over rows that only come and over results that change.
pub(crate) const SETS: &[&str] = &[
    "SELECT k, s, COUNT(*) AS n, SUM(k) AS sum, MIN(s) AS s1, GROUPING(k) AS gk, \
            GROUPING(k, s) AS g FROM r GROUP BY ROLLUP (k, s)",
    "SELECT k, b, s, COUNT(*), COUNT(DISTINCT i), MAX(x) FROM r GROUP BY CUBE (k, b, s)",
    "SELECT k, s, COUNT(*), AVG(i) FROM r GROUP BY GROUPING SETS ((k), (s), (k), (), ())",
    "SELECT b, COUNT(*), APPROX_DISTINCT(k), MEDIAN(i) FROM r GROUP BY b, GROUPING SETS ((k), ())",
    "SELECT COUNT(*), SUM(i) FROM r GROUP BY GROUPING SETS (())",
    "SELECT k, COUNT(*) AS n FROM r GROUP BY ROLLUP (k) HAVING COUNT(*) > 1 OR GROUPING(k) = 1",
    "SELECT k, s, window_start, COUNT(*), SUM(i) FROM r \
     GROUP BY TUMBLE(ts, INTERVAL '5' MINUTE), ROLLUP (k, s)",
    "SELECT tag, k, COUNT(*) FROM r, UNNEST(tags) AS t(tag) GROUP BY CUBE (tag, k)",
    "SELECT k, n, COUNT(*) AS groups, SUM(m) AS m, MIN(m) AS low FROM \
     (SELECT k, s, COUNT(*) AS n, MAX(i) AS m FROM r GROUP BY k, s) AS q GROUP BY CUBE (k, n)",
    "SELECT k, COUNT(*) AS n, MAX(n) AS most FROM \
     (SELECT k, s, COUNT(*) AS n FROM r GROUP BY ROLLUP (k, s)) AS q GROUP BY k",
    "SELECT k, COUNT(*) AS n FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k HAVING COUNT(*) < 3) \
     AS q GROUP BY ROLLUP (k)",
    "SELECT a.k, b.s, COUNT(*) FROM r AS a JOIN r AS b ON a.k = b.k AND a.i = b.i \
     GROUP BY ROLLUP (a.k, b.s)",
];

/// Each type, and the functions of each.
pub(crate) const TYPES: &[&str] = &[
    // A NaN whose sign is set is the greatest, too, whoever computes with it.
    "SELECT COUNT(*) FROM r WHERE COALESCE(-y > 1.0, TRUE)",
    "SELECT k, -y > 1.0 AS a, (y - y) > 1.0 AS b, GREATEST(-y, 1.0) AS c, LEAST(y - y, 1.0) AS d, \
     (y - y) IN (-y, 3.0) AS e, NULLIF(-y, y - y) AS f FROM r",
    "SELECT k, MEDIAN(-y) AS m, COUNT(DISTINCT y - y) AS n FROM r GROUP BY k",
    "SELECT n, w, f, u, tm, tags, o, g, us FROM r",
    // Zeros of both signs are peers, also where an aggregate orders by them.
    "SELECT b, ARRAY_AGG(i ORDER BY y, i) AS a, FIRST_VALUE(i ORDER BY -y DESC, i) AS f, \
     LAST_VALUE(i ORDER BY y * 0.0, i) AS l, STRING_AGG(s, ',' ORDER BY y, s, i) AS t FROM r GROUP BY b",
    "SELECT ARRAY_AGG(i ORDER BY y, i) AS a FROM r",
    "SELECT -CASE WHEN b THEN INTERVAL '1 month 2 days 03:04:05' END AS a FROM r",
    "SELECT '[1, {\"a\": 2}]'::JSON->1 AS j, CAST('{\"k\": ' || k || '}' AS JSON)->>'k' AS t FROM r",
    "SELECT tm = TIME '12:00:07.25' AS a, tm < TIME '12:00:07.250000001' AS b, \
     tm BETWEEN TIME '01:00' AND TIME '13:00:00.5' AS c, CAST(tm AS TIME(9)) = tm AS d FROM r",
    "SELECT (o).a AS a, (r.o).b AS b FROM r",
    "SELECT b, MIN(o) AS least, MAX(o) AS most FROM r GROUP BY b",
    "SELECT TRY_CAST(CAST(w AS INT) AS TIME(0)) AS a, TRY_CAST(i AS TIME(9)) AS b, \
     TRY_CAST(k AS TIMESTAMP) AS c, TRY_CAST(i AS TIMESTAMP(9)) AS d, w::TIMESTAMP AS e FROM r",
    "SELECT CAST(i AS TIME(6)) AS c FROM r",
    "SELECT n + 1, n * 2, n / 3, n % 7, -n, n + w, n * x, u + w, w * w - k FROM r",
    "SELECT CASE WHEN i > 0 THEN 'up' WHEN i < 0 THEN s ELSE NULL END AS c, \
            CASE k WHEN 1 THEN n WHEN 2 THEN 0 END AS d FROM r",
    "SELECT COALESCE(s, g, 'none') AS c, NULLIF(k, 1) AS z, COALESCE(n, i) AS m FROM r",
    "SELECT TRY_CAST(g AS BIGINT) AS a, TRY_CAST(g AS DOUBLE) AS b, TRY_CAST(g AS DATE) AS c, \
            TRY_CAST(g AS BOOLEAN) AS e, TRY_CAST(i AS SMALLINT) AS h FROM r",
    "SELECT TRY_CAST('a' AS BIGINT) AS n, TRY_CAST('7' AS BIGINT) AS m FROM r",
    "SELECT CAST(g AS BIGINT) FROM r",
    "SELECT k FROM r WHERE i > 9223372036854775807 + k",
    "SELECT CAST(i AS VARCHAR), CAST(x AS VARCHAR), CAST(n AS VARCHAR), CAST(d AS VARCHAR), \
            CAST(ts AS VARCHAR), CAST(tm AS VARCHAR), CAST(b AS VARCHAR) FROM r",
    "SELECT CAST(i AS DOUBLE), CAST(x AS BIGINT), CAST(n AS DOUBLE), CAST(i AS DECIMAL(20, 2)), \
            CAST(ts AS DATE), CAST(d AS TIMESTAMP), CAST(w AS INT), CAST(us AS TIMESTAMP(3)) FROM r",
    "SELECT s FROM r WHERE s LIKE '%b%' OR s ILIKE 'A%' OR g NOT LIKE '_' OR s LIKE 'a\\%'",
    "SELECT k FROM r WHERE k IN (1, 2, NULL) OR s NOT IN ('a', 'b') OR n IN (1, 2.5)",
    "SELECT k FROM r WHERE n BETWEEN -5 AND 1000.25 AND w NOT BETWEEN 0 AND 100",
    "SELECT CONCAT(s, '-', k), s || g, LENGTH(s), SUBSTR(s, 2, 3), REPLACE(s, 'a', 'xy'), \
            TRIM(g), LPAD(g, 5, '*'), SPLIT_PART(s, ',', 1), REVERSE(s), INITCAP(s) FROM r",
    "SELECT ABS(i), ROUND(x, 1), FLOOR(x), CEIL(f), SQRT(ABS(x)), POWER(x, 2), SIGNUM(x), \
            LN(ABS(x) + 1), GREATEST(k, i), LEAST(k, w), TRUNC(x), ABS(n), ROUND(n, 1) FROM r",
    "SELECT DATE_TRUNC('hour', ts), EXTRACT(HOUR FROM ts), DATE_PART('dow', d), \
            DATE_BIN(INTERVAL '15' MINUTE, us), TO_TIMESTAMP(k), ts + INTERVAL '1' DAY, \
            d + INTERVAL '1' MONTH, ts - us FROM r",
    "SELECT REGEXP_LIKE(s, '^a'), REGEXP_REPLACE(s, '[aeiou]', '#', 'g'), s ~ 'b$', \
            REGEXP_COUNT(s, 'e') FROM r",
    "SELECT tags[1], CARDINALITY(tags), ARRAY_LENGTH(tags), ARRAY_TO_STRING(tags, '+'), ARRAY_CONTAINS(tags, 'a'), o['a'], o['b'] FROM r",
    "SELECT MD5(s), ENCODE(SHA256(s), 'hex'), CHR(65), ASCII(s), k & 3, k | 4, i >> 2 FROM r",
    "SELECT n, COUNT(*) FROM r GROUP BY n",
    "SELECT w, f, u, COUNT(*) FROM r GROUP BY w, f, u",
    "SELECT tm, us, COUNT(*) FROM r GROUP BY tm, us",
    "SELECT tags, o, COUNT(*) FROM r GROUP BY tags, o",
    "SELECT SUM(n), AVG(n), MIN(n), MAX(n), SUM(w), AVG(w), MIN(w), SUM(u), AVG(u), MAX(u), \
            SUM(f), MIN(f), AVG(f), MIN(tm), MAX(us), COUNT(tags), STDDEV(w) FROM r",
    "SELECT k, SUM(n), AVG(n), MIN(n), SUM(w), MIN(f), MAX(u), MIN(tm), MAX(us) FROM r GROUP BY k",
    "SELECT COUNT(*) FILTER (WHERE i > 0), SUM(i) FILTER (WHERE b), MIN(s) FILTER (WHERE k = 1), \
            COUNT(x) FILTER (WHERE x > 1), AVG(w) FILTER (WHERE w > 0) FROM r",
    "SELECT k, COUNT(*) FILTER (WHERE b), SUM(x) FILTER (WHERE i < 0), MIN(DISTINCT i) FROM r \
     GROUP BY k HAVING COUNT(*) FILTER (WHERE b) > 0",
    "SELECT LENGTH(s) AS l, UPPER(g) AS u, SUM(i * 2) FROM r WHERE ABS(i) > 10 \
     GROUP BY LENGTH(s), UPPER(g)",
    "SELECT DATE_TRUNC('minute', ts) AS m, COUNT(*), AVG(ROUND(x)) FROM r \
     GROUP BY DATE_TRUNC('minute', ts)",
    "SELECT MAX(s), MAX(TRY_CAST(s AS BIGINT)), MIN(i), MIN(CAST(i AS DOUBLE)) AS m FROM r",
    "SELECT SUM(i), SUM(CAST(k AS DOUBLE)), SUM(k), COUNT(*) FROM r GROUP BY k, CAST(k AS VARCHAR)",
    "SELECT k, tag FROM r CROSS JOIN UNNEST(tags) AS tag",
    "SELECT k, u.tag, u.z FROM r, UNNEST(tags) WITH ORDINALITY AS u(tag, z) WHERE z < 3",
    "SELECT tag, SUM(ordinality) AS n FROM r CROSS JOIN UNNEST(tags) WITH ORDINALITY AS tag \
     GROUP BY tag",
    "SELECT r.*, u.* FROM r CROSS JOIN UNNEST(r.tags) WITH ORDINALITY AS u(tag)",
    "SELECT r.* FROM r CROSS JOIN UNNEST(tags) AS tag WHERE tag.tag IS NOT NULL",
    "SELECT ordinality, COUNT(*) FROM r CROSS JOIN UNNEST(tags) WITH ORDINALITY \
     GROUP BY ordinality",
    "SELECT tag, COUNT(*), SUM(i), AVG(x) FROM r CROSS JOIN UNNEST(tags) AS tag GROUP BY tag",
    "SELECT UPPER(tag) AS t, k + 1 AS n, tags FROM r CROSS JOIN UNNEST(tags) AS tag \
     WHERE tag <> 'a' AND i > 0",
    "SELECT COUNT(*), COUNT(tag), MAX(tag) FROM r CROSS JOIN UNNEST(tags) AS tag WHERE b",
    "SELECT k, tag, COUNT(*) AS n FROM r CROSS JOIN UNNEST(tags) AS tag GROUP BY k, tag \
     HAVING COUNT(*) > 2",
    "SELECT 10 / k FROM r",
    "SELECT CASE WHEN k <> 0 THEN 10 / k END AS q FROM r",
    "SELECT SUM(9223372036854775807 - k) FROM r",
    "SELECT ABS(i - 9223372036854775807) FROM r",
    "SELECT COUNT(DISTINCT s), SUM(DISTINCT k), AVG(DISTINCT i), \
            COUNT(DISTINCT n) FILTER (WHERE k > 0), COUNT(DISTINCT tags), COUNT(DISTINCT b) FROM r",
    "SELECT k, COUNT(DISTINCT s), SUM(DISTINCT i), COUNT(DISTINCT i), MIN(DISTINCT x), SUM(i), \
            ARRAY_AGG(DISTINCT s ORDER BY s), COUNT(DISTINCT tm) FILTER (WHERE b) FROM r GROUP BY k",
    // DataFusion orders all rows by what one of the calls orders by.
    "SELECT k, ARRAY_AGG(i), STRING_AGG(s, '; '), FIRST_VALUE(s), LAST_VALUE(i), NTH_VALUE(i, 3) \
     FROM r GROUP BY k",
    "SELECT k, ARRAY_AGG(s ORDER BY i, s), STRING_AGG(g, '' ORDER BY g DESC), \
            FIRST_VALUE(s ORDER BY i, s), LAST_VALUE(s ORDER BY i, s) \
     FROM r GROUP BY k",
    "SELECT ARRAY_AGG(i), STRING_AGG(s, ','), FIRST_VALUE(x), LAST_VALUE(ts) FROM r",
    "SELECT LAST_VALUE(ts ORDER BY i, ts), ARRAY_AGG(ts ORDER BY ts DESC) FROM r",
    "SELECT k, FIRST_VALUE(s) IGNORE NULLS, LAST_VALUE(g) IGNORE NULLS FROM r GROUP BY k",
    "SELECT MEDIAN(i), MEDIAN(n), BOOL_AND(b), BOOL_OR(b), BIT_AND(k), BIT_OR(i), BIT_XOR(i), \
            CORR(i, k), COVAR_SAMP(i, k), COVAR_POP(k, i), REGR_SLOPE(i, k), REGR_R2(i, k), \
            PERCENTILE_CONT(0.25) WITHIN GROUP (ORDER BY i) FROM r",
    "SELECT b, MEDIAN(w), BOOL_AND(k > 1) FILTER (WHERE i > 0), REGR_COUNT(x, i), \
            REGR_INTERCEPT(i, k), APPROX_DISTINCT(s), MEDIAN(i) FILTER (WHERE k > 100) FROM r \
     GROUP BY b HAVING COUNT(DISTINCT s) > 1",
    "SELECT s, window_start, ARRAY_AGG(i), COUNT(DISTINCT k), MEDIAN(i) FROM r \
     GROUP BY s, TUMBLE(ts, INTERVAL '7' MINUTE)",
    "SELECT window_start, COUNT(DISTINCT k), STRING_AGG(s, '+') FROM r \
     GROUP BY TUMBLE(ts, INTERVAL '7' MINUTE)",
    "SELECT tag, COUNT(DISTINCT k), ARRAY_AGG(i ORDER BY i), MEDIAN(i) FROM r \
     CROSS JOIN UNNEST(tags) AS tag GROUP BY tag",
    "SELECT COUNT(DISTINCT n), MEDIAN(n) FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) AS q",
    "SELECT ARRAY_AGG(10 / k) FILTER (WHERE k <> 0) FROM r",
    "SELECT CAST(us AS TIME(0)), CAST(us AS TIME(3)), CAST(us AS TIME(5)), CAST(ts AS TIMESTAMP(1)), \
            TRY_CAST(us AS TIMESTAMP(8)), CAST(tm AS TIME(9)), CAST(us AS TIMESTAMP(2)) = us FROM r",
    // Zeros of both signs are equal, wherever they are compared.
    "SELECT NULLIF(x, 0.0), x IN (0.0, 1.5), x NOT IN (0.0, NULL), \
            CASE x WHEN 0.0 THEN 'zero' ELSE 'other' END, NULLIF(f, y) FROM r",
    "SELECT TRY_CAST(g || 'e3' AS DECIMAL(12, 1)), TRY_CAST(g AS DECIMAL(5, 0)) FROM r",
    // DataFusion knows that this is NULL, and divides nothing.
    "SELECT (7 / k) <= TRY_CAST('a' AS DECIMAL(12, 3)) AS never FROM r",
];

/// What is computed from results that change: groups of groups, ranks and the first of an order.
pub(crate) const CHANGING: &[&str] = &[
    // Of the same ranks one side is limited.
    "SELECT x.k AS a, x.p AS b, y.k AS c, y.p AS d FROM \
     (SELECT k, n, ROW_NUMBER() OVER (ORDER BY n DESC, k) AS p FROM \
     (SELECT k, COUNT(*) AS n FROM r GROUP BY k) t) x JOIN \
     (SELECT k, n, ROW_NUMBER() OVER (ORDER BY n DESC, k) AS p FROM \
     (SELECT k, COUNT(*) AS n FROM r GROUP BY k) t) y ON x.p + 2 = y.p WHERE x.p <= 2",
    "SELECT n, COUNT(*) AS c FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) t GROUP BY n",
    "SELECT COUNT(*) AS c, SUM(a) AS s, MIN(a) AS l, MAX(a) AS g, AVG(a) AS m \
     FROM (SELECT k, SUM(i) AS a FROM r GROUP BY k) t",
    "SELECT COUNT(*) AS c, SUM(a) AS s, MIN(a) AS l, MAX(a) AS g, AVG(a) AS m, STDDEV(a) AS d \
     FROM (SELECT k, SUM(x) AS a FROM r GROUP BY k) t",
    "SELECT b, COUNT(DISTINCT n) AS c, MEDIAN(n) AS m, BOOL_AND(n > 1) AS a, \
     SUM(n) FILTER (WHERE n > 2) AS f, SUM(DISTINCT n) AS u \
     FROM (SELECT b, k, COUNT(*) AS n FROM r GROUP BY b, k) t GROUP BY b",
    "SELECT m, COUNT(*) AS c, MIN(k) AS l FROM (SELECT k, MAX(s) AS m FROM r GROUP BY k) t \
     WHERE m <> 'a' GROUP BY m HAVING COUNT(*) < 3",
    "SELECT c, COUNT(*) AS e FROM (SELECT n, COUNT(*) AS c FROM \
     (SELECT k, b, COUNT(*) AS n FROM r GROUP BY k, b) t GROUP BY n) u GROUP BY c",
    "SELECT DISTINCT n FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) t",
    "SELECT w, MAX(n) AS m FROM (SELECT k, window_start AS w, COUNT(*) AS n FROM r \
     GROUP BY k, TUMBLE(ts, INTERVAL '3' MINUTE)) t GROUP BY w",
    "SELECT k, n, RANK() OVER (ORDER BY n DESC) AS p, DENSE_RANK() OVER (ORDER BY n DESC) AS d \
     FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) t",
    "SELECT b, k, n FROM (SELECT b, k, n, ROW_NUMBER() OVER (PARTITION BY b ORDER BY n DESC, k) \
     AS p FROM (SELECT b, k, COUNT(*) AS n FROM r GROUP BY b, k) t) u WHERE p <= 2",
    "SELECT k, w, n, p FROM (SELECT k, w, n, RANK() OVER (PARTITION BY w ORDER BY n DESC) AS p \
     FROM (SELECT k, window_start AS w, COUNT(*) AS n FROM r \
     GROUP BY k, TUMBLE(ts, INTERVAL '3' MINUTE)) t) u WHERE p < 3",
    "SELECT k, n, LAG(n) OVER (ORDER BY k) AS a, SUM(n) OVER (ORDER BY k) AS t, \
     COUNT(*) OVER () AS c FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) u",
    "SELECT s, i, ROW_NUMBER() OVER (PARTITION BY s ORDER BY i, k, x, b, d, t, y) AS p FROM r",
    "SELECT k, COUNT(*) AS n, SUM(i) AS s FROM r GROUP BY k ORDER BY n DESC, k LIMIT 2",
    "SELECT p, COUNT(*) AS c FROM (SELECT k, RANK() OVER (ORDER BY n) AS p \
     FROM (SELECT k, COUNT(*) AS n FROM r GROUP BY k) t) u GROUP BY p",
];
