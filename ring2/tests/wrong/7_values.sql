SELECT CASE WHEN price > 1 THEN symbol ELSE tags END FROM trades
---
SELECT symbol, CASE symbol WHEN 'a' THEN TRUE WHEN 'b' THEN volume END FROM trades
---
SELECT CASE WHEN price THEN 1 ELSE 2 END FROM trades
---
SELECT CASE detail WHEN 1 THEN 1 END FROM trades
---
SELECT COUNT(*) FILTER (WHERE price) FROM trades
---
SELECT COUNT(*) FILTER (price > 1) FROM trades
---
SELECT symbol, COUNT(*) FROM trades GROUP BY symbol HAVING COUNT(*)
---
SELECT u FROM trades CROSS JOIN UNNEST(price + 1) AS u
---
SELECT UNNEST(symbol) FROM trades
---
SELECT CAST(symbol) FROM trades
---
SELECT price::BIGNT FROM trades
---
SELECT TRY_CAST(price AS MONEY) FROM trades
---
SELECT TRY_CAST(price, BIGINT) FROM trades
---
SELECT CAST(price AS DECIMAL(50, 2)) FROM trades
---
SELECT CAST(price AS DECIMAL(5, 9)) FROM trades
---
SELECT CAST(detail AS BIGINT) FROM trades
---
SELECT tags['a'] FROM trades
---
SELECT symbol[1] FROM trades
---
SELECT detail.nosuch FROM trades
---
SELECT detail['nosuch'] FROM trades
---
SELECT (detail).nosuch FROM trades
---
SELECT CAST(detail AS JSON) FROM trades
---
SELECT symbol FROM trades WHERE price IN ('a', 2)
---
SELECT symbol FROM trades WHERE symbol IN (1, TRUE)
---
SELECT symbol FROM trades WHERE event_time IN (1, 2)
---
SELECT symbol FROM trades WHERE price LIKE '1%'
---
SELECT symbol FROM trades WHERE symbol LIKE 5
---
SELECT symbol FROM trades WHERE price AND volume
---
SELECT symbol FROM trades WHERE detail = 1
---
SELECT symbol FROM trades WHERE event_time > 5
---
SELECT symbol FROM trades WHERE price BETWEEN 'a' AND 'b'
---
SELECT symbol FROM trades WHERE event_time > '2020-13-01'
---
SELECT symbol FROM trades WHERE CAST(event_time AS DATE) = '2020-13-01'
---
SELECT price + TRUE FROM trades
---
SELECT event_time + 5 FROM trades
---
SELECT event_time + event_time FROM trades
---
SELECT -symbol FROM trades
---
SELECT price FROM trades WHERE price > 1.5e400
---
SELECT CAST(1e300 AS REAL) FROM trades
---
SELECT CAST('abc' AS BIGINT) FROM trades
---
SELECT CAST(300 AS SMALLINT), CAST(70000 AS SMALLINT) FROM trades
---
SELECT EXTRACT(FORTNIGHT FROM event_time) FROM trades
---
SELECT price, DATE_TRUNC('fortnight', event_time) FROM trades
---
SELECT DATE_TRUNC('hour', price) FROM trades
---
SELECT DATE_TRUNC(event_time) FROM trades
---
SELECT SUBSTR(symbol) FROM trades
---
SELECT COALESCE() FROM trades
---
SELECT COALESCE(symbol, price, TRUE) FROM trades
---
SELECT NULLIF(symbol) FROM trades
---
SELECT ROUND(price, 2, 3) FROM trades
---
SELECT ABS(symbol) FROM trades
---
SELECT AVG(symbol) FROM trades
---
SELECT symbol, ARRAY_LENGTH(symbol) FROM trades
---
SELECT CONCAT_WS() FROM trades
---
SELECT COUNT(*) FROM trades GROUP BY ()
---
SELECT COUNT(*) FROM trades GROUP BY TUMBLE(event_time, INTERVAL '5' MINUTE), TUMBLE(event_time, INTERVAL '1' HOUR)
---
SELECT price FROM trades UNION ALL SELECT event_time FROM quotes
---
SELECT * FROM (VALUES (1), (TRUE)) AS v(a)
---
INSERT INTO out (symbol, m) SELECT symbol, 1 FROM trades
---
INSERT INTO out (n, symbol) SELECT symbol, trade_id FROM trades
---
INSERT INTO notes VALUES ('one', 'a')
---
CREATE SINK s WITH (connector = 'file', path = 'x', format = 'jsn') AS SELECT symbol FROM trades
---
CREATE SINK s (symbol VARCHAR) WITH (connector = 'print') AS SELECT price FROM trades
---
CREATE SINK s AS SELECT symbol FROM trades
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'csv', header = 'yes')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'csv', delimiter = ',', quote = ',')
---
CREATE SOURCE s (a BIGINT) WITH (connector = 'file', path = 'x', format = 'csv', separator = ';')
---
SELECT CAST(99999999999999999999 AS BIGINT UNSIGNED) FROM trades
---
SELECT EXTRACT(HOUR FROM price) FROM trades
---
SELECT EXTRACT(HOUR FROM nosuch) FROM trades
---
SELECT EXTRACT(HOUR FROM) FROM trades
---
SELECT EXTRACT(HOUR event_time) FROM trades
---
SELECT EXTRACT(HOUR FROM event_time) + symbol FROM trades
---
SELECT EXTRACT(HOUR FROM event_time), MAX(price) FROM trades
---
SELECT symbol FROM trades WHERE CAST(event_time AS DATE) LIKE '2020%'
---
SELECT CASE WHEN price > 1 THEN event_time ELSE 1 END FROM trades
---
SELECT CASE WHEN price > 1 THEN TRUE ELSE 1 END FROM trades
---
SELECT symbol FROM trades WHERE (price > 1) = volume
---
SELECT '5' + 1 FROM trades
---
SELECT symbol + symbol FROM trades
---
SELECT symbol FROM trades WHERE tags = 'a'
---
SELECT symbol FROM trades WHERE symbol = ANY(price)
---
SELECT price || price FROM trades
---
SELECT price -> 'a' FROM trades
---
SELECT symbol FROM trades WHERE event_time BETWEEN 1 AND 2
---
SELECT FLOOR(symbol) FROM trades
---
SELECT TRIM(price) FROM trades
---
SELECT POSITION(1 IN symbol) FROM trades
---
SELECT SUBSTR(price, 'a') FROM trades
---
SELECT tags[1.5] FROM trades
---
SELECT INTERVAL '1' DAY * symbol FROM trades
---
SELECT ARRAY[1, 'a', TRUE] FROM trades
---
SELECT NULLIF(price, tags) FROM trades
---
SELECT GREATEST(price, tags) FROM trades
---
SELECT ROUND(symbol) FROM trades
---
SELECT TRY_CAST(symbol AS JSON) FROM trades
---
SELECT CAST(symbol AS UUID) FROM trades
---
SELECT CAST(price AS TIME) FROM trades
---
SELECT CAST(TRUE AS DATE) FROM trades
---
SELECT CAST('x' AS BOOLEAN), DATE_TRUNC('hour', '2020-99-99') FROM trades
---
SELECT tag FROM trades LEFT JOIN UNNEST(tags) AS tag ON TRUE;
---
SELECT tag, b FROM trades CROSS JOIN UNNEST(tags) AS tag CROSS JOIN UNNEST(tags) AS b;
---
SELECT symbol, COUNT(*) FROM trades GROUP BY GROUPING SETS ((symbol, TUMBLE(event_time, INTERVAL '1' MINUTE)), (symbol));
---
SELECT symbol, COUNT(*) FROM trades
GROUP BY ROLLUP (symbol), SESSION(event_time, INTERVAL '1' MINUTE);
---
SELECT t.price FROM trades t
ASOF JOIN quotes q MATCH_CONDITION (t.event_time >= q.event_time) ON t.symbol = q.symbol AND t.price < q.bid;
---
SELECT t.price FROM trades t
ASOF JOIN quotes q MATCH_CONDITION (t.event_time >= t.event_time) ON t.symbol = q.symbol;
---
SELECT t.n, q.bid FROM (SELECT symbol, MAX(event_time) AS event_time, COUNT(*) AS n FROM trades GROUP BY symbol) t
ASOF JOIN quotes q MATCH_CONDITION (t.event_time >= q.event_time) ON t.symbol = q.symbol EMIT CHANGES;
---
CREATE SOURCE a (k BIGINT, ts TIMESTAMP(3), us TIMESTAMP(3), WATERMARK FOR ts)
  WITH (connector = 'file', path = 'a', format = 'json', follow = true);

SELECT t.price, a.k FROM trades t ASOF JOIN a MATCH_CONDITION (t.event_time >= a.us) ON t.volume = a.k;
---
SELECT COUNT(*) FROM trades WHERE event_time < PROCTIME();
---
SELECT symbol ~ volume FROM trades;
---
SELECT SUM(price) FROM trades HAVING SUM(price);
---
SELECT ARRAY[1, 'a'] FROM trades;
---
SELECT detail->'venue' FROM trades
---
SELECT symbol->1.5 FROM trades
---
SELECT '\xDEA'::bytea FROM trades
---
SELECT CAST(symbol AS VARCHAR(3)) FROM trades
---
SELECT symbol FROM trades WHERE symbol LIKE symbol ESCAPE '!'
---
SELECT symbol FROM trades WHERE symbol LIKE 'a' ESCAPE '!!'
---
SELECT price FROM trades t WHERE EXISTS (SELECT COUNT(*) FROM quotes q WHERE q.symbol = t.symbol)
---
SELECT price FROM trades t WHERE EXISTS (SELECT 1 FROM quotes q WHERE q.symbol = t.symbol HAVING COUNT(*) = 0)
---
SELECT price, EXISTS (SELECT COUNT(*) FROM quotes q WHERE q.symbol = t.symbol LIMIT 1) AS e FROM trades t
---
SELECT price FROM trades t WHERE 0 IN (SELECT COUNT(*) FROM quotes q WHERE q.symbol = t.symbol)
---
SELECT symbol FROM trades WHERE symbol = price;
---
SELECT symbol FROM trades WHERE UPPER(symbol) > price * 2;
---
SELECT symbol FROM trades WHERE symbol IN (1, 2);
---
SELECT symbol FROM trades WHERE symbol BETWEEN 'a' AND volume;
---
SELECT symbol FROM trades WHERE symbol = event_time;
---
SELECT symbol FROM trades GROUP BY symbol HAVING MAX(symbol) > 1;
---
SELECT symbol FROM trades UNION SELECT price FROM trades;
---
SELECT UPPER(symbol) FROM trades UNION ALL SELECT price * 2 FROM trades;
---
SELECT symbol FROM trades EXCEPT SELECT price FROM trades;
---
SELECT COALESCE(symbol, price) FROM trades;
---
SELECT CASE WHEN volume > 1 THEN symbol ELSE price END FROM trades;
---
SELECT CASE WHEN volume > 1 THEN 1 ELSE 'x' END FROM trades;
---
SELECT symbol FROM trades WHERE symbol IN (SELECT volume FROM trades);
---
SELECT symbol FROM trades WHERE volume = ANY(tags);
---
SELECT ARRAY[symbol, volume] FROM trades;
---
SELECT a.symbol FROM trades a JOIN trades b ON a.symbol = b.volume;
---
SELECT CAST(event_time AS DATE) - INTERVAL '1 day 90 minutes' FROM trades;
---
SELECT symbol FROM trades WHERE INTERVAL '36' HOUR + DATE '2024-01-01' > event_time;
