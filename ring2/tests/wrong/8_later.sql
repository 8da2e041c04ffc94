SELECT symbol FROM trades t WHERE price > (SELECT b FROM (
  SELECT symbol, MAX(bid) AS b FROM quotes GROUP BY symbol) q WHERE q.symbol = t.symbol) EMIT CHANGES
---
SELECT symbol FROM trades WHERE price > (SELECT MAX(bid) FROM quotes GROUP BY symbol) EMIT CHANGES
---
SELECT symbol, (SELECT bid FROM quotes q WHERE q.bid > t.price LIMIT 2) AS m FROM trades t
---
SELECT symbol, (SELECT MAX(bid) FROM quotes) AS m FROM trades t WHERE EXISTS (
  SELECT symbol FROM quotes q WHERE q.symbol = t.symbol UNION SELECT symbol FROM trades)
---
SELECT trade_id FROM trades t WHERE EXISTS (SELECT 1 FROM quotes q
  WHERE EXISTS (SELECT 1 FROM customers c WHERE c.customer_id = t.symbol))
---
SELECT symbol FROM trades WHERE symbol NOT IN (SELECT symbol FROM quotes GROUP BY symbol) EMIT CHANGES
---
CREATE SOURCE a (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts)
  WITH (connector = 'file', path = 'a', format = 'json', follow = true);
CREATE SOURCE b (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts)
  WITH (connector = 'file', path = 'b', format = 'json', follow = true);
SELECT a.k, b.k FROM a LEFT JOIN b ON a.k = b.k AND b.ts > a.ts
---
CREATE SOURCE a (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts)
  WITH (connector = 'file', path = 'a', format = 'json', follow = true);
CREATE SOURCE b (k BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts)
  WITH (connector = 'file', path = 'b', format = 'json', follow = true);
SELECT k FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.ts < a.ts)
---
CREATE SOURCE a (k BIGINT) WITH (connector = 'file', path = 'a', format = 'json', follow = true);
CREATE SOURCE b (k BIGINT) WITH (connector = 'file', path = 'b', format = 'json', follow = true);
SET state_ttl = '1 hour';
SELECT k FROM a INTERSECT SELECT k FROM b EMIT CHANGES
---
SELECT symbol, COUNT(*) FROM trades GROUP BY symbol
UNION ALL SELECT symbol, COUNT(*) FROM quotes GROUP BY symbol EMIT CHANGES
---
SELECT n, ARRAY_AGG(symbol ORDER BY symbol)
FROM (SELECT symbol, COUNT(*) AS n FROM trades GROUP BY symbol) t GROUP BY n
---
SELECT symbol, ARRAY_AGG(DISTINCT price ORDER BY volume) FROM trades GROUP BY symbol
---
SELECT symbol, NTH_VALUE(price, 2 ORDER BY price) FROM trades GROUP BY symbol
---
SELECT n FROM (SELECT symbol, COUNT(*) AS n FROM trades GROUP BY symbol) AS t ORDER BY n EMIT CHANGES
---
SELECT symbol, COUNT(*) FROM (SELECT symbol, event_time + INTERVAL '1' SECOND AS ts FROM trades) t
GROUP BY symbol, TUMBLE(ts, INTERVAL '1' MINUTE)
---
SELECT symbol, window_start, COUNT(*) FROM TUMBLE(trades, event_time, INTERVAL '1' MINUTE)
GROUP BY GROUPING SETS ((symbol, window_start), (symbol))
---
SELECT tag FROM (SELECT ARRAY_AGG(symbol) AS l FROM trades) t CROSS JOIN UNNEST(l) AS tag
---
SELECT tag FROM UNNEST(ARRAY['a', 'b']) AS tag
---
SELECT symbol FROM trades MINUS SELECT symbol FROM quotes
---
SELECT map(ARRAY['a'], ARRAY[price]) FROM trades
---
SELECT APPROX_DISTINCT(price) FROM trades
---
SELECT symbol FROM trades t JOIN customers FOR SYSTEM_TIME AS OF t.price AS c ON t.symbol = c.customer_id
---
SELECT symbol, GROUPING(price) FROM trades GROUP BY ROLLUP (symbol)
---
SELECT SUM(price) OVER (ORDER BY price ROWS BETWEEN 1 FOLLOWING AND 1 PRECEDING) FROM trades
---
SELECT LAG(price, 'x') OVER (ORDER BY price) FROM trades
---
SELECT NTILE(0) OVER (ORDER BY price) FROM trades
---
SELECT COUNT(DISTINCT price) OVER (PARTITION BY symbol) FROM trades
---
SELECT COUNT(DISTINCT symbol, volume) FROM trades
---
SELECT price, detail.venue.x FROM trades
---
SELECT symbol.a FROM trades
---
SELECT U&'x' FROM trades
---
SELECT symbol FROM trades WHERE price => 1
---
SELECT symbol FROM trades WHERE price > 1 AND AND volume > 1
---
SELECT DISTINCT ON (symbol) symbol, price FROM trades ORDER BY price
---
SELECT DISTINCT ON (symbol) symbol FROM trades QUALIFY RANK() OVER (ORDER BY price) < 3 ORDER BY symbol
---
SELECT DISTINCT ON (symbol) symbol FROM trades UNION SELECT symbol FROM quotes
---
CREATE VIEW latest AS SELECT t.symbol, q.bid FROM trades t
  ASOF JOIN quotes q MATCH_CONDITION (t.event_time >= q.event_time) ON t.symbol = q.symbol AND t.price > q.bid;

SELECT price FROM trades LEFT SEMI JOIN latest ON trades.symbol = latest.symbol
---
CREATE VIEW costly AS SELECT symbol

  FROM trades WHERE price > (SELECT MAX(bid) FROM quotes GROUP BY symbol);
SELECT symbol, 1 FROM costly EMIT CHANGES
---
SUBSCRIBE notes
---
DESCRIBE nosuch
---
WITH w AS (SELECT symbol, MAX(event_time) AS t FROM trades GROUP BY symbol)
SELECT symbol, t, window_start FROM CUMULATE(w, t, INTERVAL '1' MINUTE, INTERVAL '2' MINUTE) EMIT CHANGES
---
CREATE VIEW priced AS SELECT t.symbol, t.event_time FROM trades t ASOF JOIN quotes q
    MATCH_CONDITION (t.event_time >= q.event_time) ON t.symbol = q.symbol AND t.price > q.bid;
SELECT symbol, COUNT(*)
FROM TUMBLE(priced, event_time, INTERVAL '5' MINUTE) GROUP BY symbol, window_start
---
SELECT symbol, ARRAY_AGG(volume ORDER BY detail, trade_id) FROM trades GROUP BY symbol
---
SELECT FIRST_VALUE(symbol ORDER BY trade_id, ARRAY[detail] DESC) FROM trades
