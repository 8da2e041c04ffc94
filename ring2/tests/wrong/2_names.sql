SELECT simbol FROM trades
---
SELECT symbol FROM trads
---
SELECT t.pric FROM trades t
---
SELECT x.price FROM trades t
---
SELECT trades.price FROM trades t
---
SELECT t.bid FROM trades t JOIN quotes q ON t.symbol = q.symbol
---
SELECT symbol FROM trades JOIN quotes ON trades.symbol = quotes.symbol
---
SELECT t.price FROM trades t JOIN trades t ON true
---
SELECT price FROM trades, trades
---
SELECT cnt(*) FROM trades
---
SELECT uper(symbol) FROM trades
---
SELECT price AS p FROM trades WHERE p > 1
---
SELECT price FROM trades ORDER BY prise
---
SELECT price FROM trades ORDER BY 3
---
SELECT symbol, COUNT(*) FROM trades GROUP BY 3
---
SELECT x.* FROM trades t
---
SELECT detail.venu FROM trades
---
SELECT price.cents FROM trades
---
WITH a AS (SELECT price FROM trades) SELECT symbol FROM a
---
WITH a AS (SELECT price FROM trades), a AS (SELECT 1) SELECT * FROM a
---
WITH a (x, y) AS (SELECT price FROM trades) SELECT x FROM a
---
SELECT price FROM trades WHERE symbol IN (SELECT symbl FROM quotes)
---
SELECT total FROM bigger
---
SELECT volume FROM big
---
SELECT symbol FROM out
---
SELECT t.symbol FROM trades t JOIN quotes q USING (price)
---
SELECT RANK() OVER w FROM trades
---
SELECT RANK() OVER (ORDER BY price) FROM trades WINDOW w AS (PARTITION BY symbol), w AS (ORDER BY price)
---
SHOW tbles
---
SHOW timezone
---
SET reed = 'latest'
---
SET read = 'newest'
---
SET state_ttl = '5 parsecs'
---
DESCRIBE trads
---
SELECT * FROM tumbl(trades, event_time, INTERVAL '5' MINUTE)
---
SELECT price FROM "Trades"
---
CREATE VIEW started AS SELECT window_start, symbol, event_time FROM TUMBLE(trades, event_time, INTERVAL '1' MINUTE);
SELECT *
FROM TUMBLE(started, event_time, INTERVAL '5' MINUTE)
