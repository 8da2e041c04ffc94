SELECT TOP 5 symbol FROM trades
---
SELECT DISTINCT ON (symbol) price FROM trades
---
SELECT symbol INTO copy FROM trades
---
SELECT * EXCEPT (price) FROM trades
---
SELECT * FROM trades FETCH FIRST 5 ROWS ONLY
---
SELECT * FROM trades FOR UPDATE
---
SELECT * FROM trades TABLESAMPLE BERNOULLI (10)
---
SELECT * FROM trades PIVOT (SUM(price) FOR symbol IN ('A', 'B'))
---
SELECT * FROM trades UNPIVOT (v FOR n IN (price, volume))
---
SELECT * FROM trades, LATERAL (SELECT 1) x
---
SELECT * FROM LATERAL generate_series(1, 2)
---
SELECT * FROM generate_series(1, 2)
---
WITH RECURSIVE a AS (SELECT 1 UNION ALL SELECT 2) SELECT * FROM a
---
WITH a AS MATERIALIZED (SELECT 1) SELECT * FROM a
---
SELECT * FROM trades NATURAL JOIN quotes
---
SELECT * FROM trades t JOIN quotes q
---
SELECT * FROM trades t CROSS JOIN quotes q ON t.symbol = q.symbol
---
SELECT * FROM trades CROSS APPLY quotes
---
SELECT * FROM trades t ASOF JOIN quotes q MATCH_CONDITION (t.event_time = q.event_time) ON t.symbol = q.symbol
---
SELECT * FROM trades t JOIN quotes FOR SYSTEM_TIME AS OF t.event_time ON true
---
SELECT * FROM customers FOR SYSTEM_TIME AS OF TIMESTAMP '2025-01-01 00:00:00'
---
SELECT * FROM trades t JOIN customers FOR SYSTEM_TIME AS OF TIMESTAMP '2025-01-01 00:00:00' ON true
---
SELECT price FROM trades SETTINGS max_threads = 1
---
SELECT price FROM trades FORMAT JSON
---
SELECT price FROM trades WITH (NOLOCK)
---
SELECT symbol SIMILAR TO 'a%' FROM trades
---
SELECT event_time AT TIME ZONE 'UTC' FROM trades
---
SELECT symbol COLLATE "C" FROM trades
---
SELECT SAFE_CAST(symbol AS BIGINT) FROM trades
---
SELECT CONVERT(BIGINT, symbol) FROM trades
---
SELECT price ^ 2 FROM trades
---
SELECT price FROM trades WHERE (symbol, price) = ('a', 1)
---
SELECT price FROM trades WHERE price > $1
---
SELECT |/ price FROM trades
---
SELECT ARRAY(SELECT 1) FROM trades
---
SELECT UPPER(x => symbol) FROM trades
---
SELECT symbol FROM trades GROUP BY ALL
---
SELECT symbol FROM trades ORDER BY ALL
---
SELECT X'ff' FROM trades
---
TABLE trades
---
SELECT * FROM trades UNION BY NAME SELECT * FROM quotes
---
SELECT DATE_TRUNC('day', event_time) FROM trades CONNECT BY PRIOR price = volume
---
SELECT price FROM trades CLUSTER BY price
